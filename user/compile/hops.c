/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways that packets pass through on their way: which of them there are, the ports that stand for them, and what the
 * data path must know of each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/objects.h"
#include "compile/work.h"

const struct state_extra *work_extra(const struct image_work *work)
{
	static const struct state_extra none;

	return work->state->extra ? work->state->extra : &none;
}

/* Collected kind by kind, in the order of the state's lists. */
static int compare_hops(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->object > y->object) - (x->object < y->object);
}

const struct hop *hop_of(const struct image_work *work, uint32_t kind, const void *object)
{
	const struct hop wanted = {.kind = kind, .object = object};

	return work->nr_hops ? bsearch(&wanted, work->hops, work->nr_hops, sizeof(wanted), compare_hops) : NULL;
}

static const struct eni *primary_eni(const struct nat_gateway *nat)
{
	return nat->nr_addresses ? nat->addresses[0].eni : NULL;
}

const struct nat_gateway *nat_of_eni(const struct image_work *work, const struct eni *eni)
{
	for (size_t i = 0; i < work->nr_hops; i++) {
		const struct nat_gateway *nat = work->hops[i].object;

		if (work->hops[i].kind == GATEWAY_NAT && !nat->regional && primary_eni(nat) == eni)
			return nat;
	}
	return NULL;
}

static void add_hop(struct image_work *work, const char *id, uint32_t kind, const void *object)
{
	work->hops[work->nr_hops++] = (struct hop){.id = id, .kind = kind, .object = object, .port = IMAGE_NONE};
}

/* A zonal NAT gateway is where its ENI is a port; a regional one (NAT-23) has none, so every host serves it. */
static bool serves_nat(const struct image_work *work, const struct nat_gateway *nat)
{
	const struct eni *eni = primary_eni(nat);

	if ((!nat->available && !nat->draining) || !nat->vpc)
		return false;
	if (nat->regional)
		return true;
	return eni && eni->vpc == nat->vpc && eni->subnet && work->notes[eni - work->state->enis].here;
}

static void collect_nats(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_nat_gateways; i++) {
		const struct nat_gateway *nat = extra->nat_gateways + i;

		if (serves_nat(work, nat))
			add_hop(work, nat->regional ? nat->id : primary_eni(nat)->id, GATEWAY_NAT, nat);
	}
}

int hops_collect(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);

	work->hops = calloc(extra->nr_nat_gateways + 1, sizeof(*work->hops));
	if (!work->hops)
		return -ENOMEM;
	collect_nats(work);
	if (work->nr_hops > GATEWAYS_MAX - 1)
		return work_refuse(work, "gateways: more than %u", GATEWAYS_MAX - 1);
	return 0;
}

struct image_port hop_port(const struct hop *hop)
{
	struct image_port port = {
		.id = hop->id,
		.device = "",
		.hook = HOOK_AUTO,
		.kind = PORT_GATEWAY,
		.mode = MODE_ROUTER,
		.flags = PORT_LIVE | PORT_NO_SG,
		.subnet = IMAGE_NONE,
		.sg_in = IMAGE_NONE,
		.sg_out = IMAGE_NONE,
	};

	if (hop->kind == GATEWAY_NAT) {
		port.kind = PORT_NAT;
		port.zone = vpc_zone(((const struct nat_gateway *)hop->object)->vpc);
	}
	return port;
}

/* The address that stands behind one of a NAT gateway in the VPC: a regional one may have public ones only. */
__be32 nat_inside(const struct nat_address *address)
{
	return address->private_ip ? address->private_ip : address->public_ip;
}

static int fill_nat(struct image_work *work, const struct nat_gateway *nat, struct image_gateway *gateway)
{
	const struct route_table *table = nat->regional || !nat->subnet ? nat->table : nat->subnet->table;

	gateway->zone[0] = vpc_zone(nat->vpc);
	gateway->flags = (nat->private_only ? GATEWAY_PRIVATE : 0) | (nat->regional ? GATEWAY_REGIONAL : 0) |
			 (nat->draining ? GATEWAY_DRAINING : 0);
	for (size_t i = 0; i < nat->nr_addresses; i++) {
		__be32 inside = nat_inside(nat->addresses + i);

		if (!nat->addresses[i].usable || !inside)
			continue;
		if (gateway->nr == GATEWAY_MEMBERS_MAX)
			return work_refuse(work, "addresses of %s: more than %u", nat->id, GATEWAY_MEMBERS_MAX);
		gateway->members[gateway->nr++] = inside;
	}
	return table_index(work, table, nat->vpc, &gateway->table[0]);
}

static int fill_gateway(struct image_work *work, const struct hop *hop, struct image_gateway *gateway)
{
	*gateway = (struct image_gateway){.kind = hop->kind, .table = {IMAGE_NONE, IMAGE_NONE}};
	if (hop->kind == GATEWAY_NAT)
		return fill_nat(work, hop->object, gateway);
	return 0;
}

int gateways_compile(struct image_work *work)
{
	struct image *image = work->image;
	int r = 0;

	image->gateways = calloc(work->nr_hops + 1, sizeof(*image->gateways));
	if (!image->gateways)
		return -ENOMEM;
	for (size_t i = 0; i < work->nr_hops && !r; i++) {
		r = fill_gateway(work, work->hops + i, image->gateways + i);
		image->gateways[i].realm = image->gateways[i].zone[0];
	}
	image->nr_gateways = work->nr_hops;
	return r;
}
