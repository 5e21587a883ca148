/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Subnets, with the network ACL objects that hold there. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/objects.h"
#include "compile/tree.h"
#include "compile/work.h"

static __be32 mask4(unsigned prefixlen)
{
	return prefixlen ? htonl(UINT32_MAX << (32 - prefixlen)) : 0;
}

static void mask6(unsigned prefixlen, union addr *ret)
{
	for (unsigned i = 0; i<16; i++, prefixlen -= prefixlen> 8 ? 8 : prefixlen)
		ret->bytes[i] = prefixlen >= 8 ? 0xff : (uint8_t)(0xff << (8 - prefixlen));
}

static __be32 address_after(const struct cidr *cidr, uint32_t distance)
{
	return cidr->family == 4 ? htonl(ntohl(cidr->addr.ip4) + distance) : 0;
}

static struct image_subnet subnet_image(const struct vpc_subnet *subnet)
{
	const struct vpc *vpc = subnet->vpc;
	struct image_subnet image = {
		.id = subnet->id,
		.nacl_in = IMAGE_NONE,
		.nacl_out = IMAGE_NONE,
		.table = IMAGE_NONE,
		.zone = vpc_zone(vpc),
		.router4 = address_after(&subnet->cidr4, 1),                                /* VPC-13 */
		.resolver4 = vpc && vpc->dns_support ? address_after(&vpc->primary, 2) : 0, /* VPC-12, DNS-03 */
		.nr_cidrs6 = (uint32_t)subnet->nr_cidrs6,
	};

	if (subnet->cidr4.family == 4) {
		image.net4 = subnet->cidr4.addr.ip4;
		image.mask4 = mask4(subnet->cidr4.prefixlen);
	}
	for (size_t i = 0; i < subnet->nr_cidrs6; i++) {
		image.cidrs6[i].net = subnet->cidrs6[i].addr;
		mask6(subnet->cidrs6[i].prefixlen, &image.cidrs6[i].mask);
	}
	return image;
}

int nacl_compile(struct image_work *work, const struct nacl *nacl, bool egress, const char *subnet,
		 struct image_object *ret)
{
	int r = compile_nacl_object(nacl, egress, ret);

	if (r == -E2BIG)
		return work_refuse(work, "network ACL of %s: too large for one policy object (%u lines)", subnet,
				   OBJECT_LINES_MAX);
	return r;
}

static int add_nacl(struct image_work *work, const struct vpc_subnet *subnet, bool egress, uint32_t *ret_index)
{
	struct image_object object;
	int r = nacl_compile(work, subnet->nacl, egress, subnet->id, &object);

	return r < 0 ? r : work_add_object(work, &object, ret_index);
}

static int compile_nacls(struct image_work *work, const struct vpc_subnet *subnet, struct object_pair *known,
			 struct image_subnet *image)
{
	if (known->in == IMAGE_NONE) {
		int r = add_nacl(work, subnet, false, &known->in);

		if (!r)
			r = add_nacl(work, subnet, true, &known->out);
		if (r < 0)
			return r;
	}
	image->nacl_in = known->in;
	image->nacl_out = known->out;
	return 0;
}

/* AZ ids are the same for all accounts, names are not: ids count where every subnet has one. */
static const char *az_of(const struct vpc_subnet *subnet, bool by_id)
{
	const char *name = by_id ? subnet->az_id : subnet->az;

	return name ? name : "";
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Number the availability zones in the order of their names. */
static int number_zones(struct image_work *work, const struct vpc_subnet *const *order)
{
	size_t nr = work->state->nr_subnets, distinct = 0;
	const char **names = calloc(nr + 1, sizeof(*names));
	bool by_id = true;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		by_id &= order[i]->az_id && *order[i]->az_id;
	for (size_t i = 0; i < nr; i++)
		names[i] = az_of(order[i], by_id);
	qsort(names, nr, sizeof(*names), compare_texts);
	for (size_t i = 0; i < nr; i++)
		if (!distinct || strcmp(names[distinct - 1], names[i]) != 0)
			names[distinct++] = names[i];
	for (size_t i = 0; i < nr; i++) {
		const char *name = az_of(order[i], by_id);
		const char **found = bsearch(&name, names, distinct, sizeof(*names), compare_texts);

		work->image->subnets[i].az = (uint32_t)(found - names);
	}
	free(names);
	return 0;
}

static int compare_subnets(const void *a, const void *b)
{
	return strcmp((*(const struct vpc_subnet *const *)a)->id, (*(const struct vpc_subnet *const *)b)->id);
}

static int fill_subnets(struct image_work *work, const struct vpc_subnet **order, struct object_pair *known)
{
	const struct state *state = work->state;
	struct image *image = work->image;

	for (size_t i = 0; i <= state->nr_nacls; i++)
		known[i] = (struct object_pair){IMAGE_NONE, IMAGE_NONE};
	for (size_t i = 0; i < state->nr_subnets; i++)
		order[i] = state->subnets + i;
	qsort(order, state->nr_subnets, sizeof(*order), compare_subnets);
	for (uint32_t i = 0; i < state->nr_subnets; i++) {
		const struct nacl *nacl = order[i]->nacl;
		int r;

		work->subnet_places[order[i] - state->subnets] = i;
		image->subnets[i] = subnet_image(order[i]);
		r = compile_nacls(work, order[i], known + (nacl ? (size_t)(nacl - state->nacls) : state->nr_nacls),
				  image->subnets + i);
		if (r < 0)
			return r;
	}
	image->nr_subnets = state->nr_subnets;
	return number_zones(work, order);
}

int subnets_compile(struct image_work *work)
{
	const struct state *state = work->state;
	const struct vpc_subnet **order;
	struct object_pair *known;
	int r = -ENOMEM;

	if (state->nr_subnets > SUBNETS_MAX - 1)
		return work_refuse(work, "subnets: more than %u", SUBNETS_MAX - 1);
	order = calloc(state->nr_subnets + 1, sizeof(const struct vpc_subnet *));
	work->nacl_objects = known = calloc(state->nr_nacls + 1, sizeof(*known));
	work->image->subnets = calloc(state->nr_subnets + 1, sizeof(*work->image->subnets));
	work->subnet_places = calloc(state->nr_subnets + 1, sizeof(*work->subnet_places));
	if (order && known && work->image->subnets && work->subnet_places)
		r = fill_subnets(work, order, known);
	free(order);
	return r;
}
