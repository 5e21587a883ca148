/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Realms: VPCs that gateways join, directly or by way of transit gateways. Whatever changes in one may matter to flows
 * of all the others. A union-find over the VPCs, then the transit gateways, each set named by its first member. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"

static uint32_t find(const uint32_t *realms, uint32_t i)
{
	while (realms[i] != i)
		i = realms[i];
	return i;
}

static void join(uint32_t *realms, uint32_t a, uint32_t b)
{
	a = find(realms, a);
	b = find(realms, b);
	realms[a > b ? a : b] = a < b ? a : b;
}

static uint32_t place_of_vpc(const struct image_work *work, const struct vpc *vpc)
{
	return (uint32_t)(vpc - work->state->vpcs);
}

static uint32_t place_of_tgw(const struct image_work *work, const struct tgw *tgw)
{
	return (uint32_t)(work->state->nr_vpcs + (size_t)(tgw - work_extra(work)->tgws));
}

static void join_peerings(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_peerings; i++) {
		const struct vpc *a = extra->peerings[i].requester.vpc, *b = extra->peerings[i].accepter.vpc;

		if (a && b)
			join(work->realms, place_of_vpc(work, a), place_of_vpc(work, b));
	}
}

static void join_attachments(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_tgw_vpc_attachments; i++) {
		const struct tgw_vpc_attachment *attachment = extra->tgw_vpc_attachments + i;

		if (attachment->tgw && attachment->vpc)
			join(work->realms, place_of_vpc(work, attachment->vpc), place_of_tgw(work, attachment->tgw));
	}
	for (size_t i = 1; i < extra->nr_tgw_attachments; i++) { /* both ends of a peering have one id */
		const struct tgw_attachment *a = extra->tgw_attachments + i, *b = a - 1;

		if (a->tgw && b->tgw && !strcmp(a->id, b->id))
			join(work->realms, place_of_tgw(work, a->tgw), place_of_tgw(work, b->tgw));
	}
}

int realms_build(struct image_work *work)
{
	size_t nr = work->state->nr_vpcs + work_extra(work)->nr_tgws;

	work->realms = calloc(nr + 1, sizeof(*work->realms));
	if (!work->realms)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++)
		work->realms[i] = i;
	join_peerings(work);
	join_attachments(work);
	return 0;
}

static uint32_t realm_at(const struct image_work *work, uint32_t place)
{
	uint32_t first = find(work->realms, place);

	return first < work->state->nr_vpcs ? vpc_zone(work->state->vpcs + first) : ZONE_INTERNET;
}

uint32_t realm_of_vpc(const struct image_work *work, const struct vpc *vpc)
{
	return vpc ? realm_at(work, place_of_vpc(work, vpc)) : ZONE_INTERNET;
}

uint32_t realm_of_tgw(const struct image_work *work, const struct tgw *tgw)
{
	return tgw ? realm_at(work, place_of_tgw(work, tgw)) : ZONE_INTERNET;
}
