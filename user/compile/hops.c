/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways that packets pass through on their way: which of them there are, the ports that stand for them, and what the
 * data path must know of each. NAT gateways stand here; the others have files of their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"

const struct state_extra *work_extra(const struct image_work *work)
{
	static const struct state_extra none;

	return work->state->extra ? work->state->extra : &none;
}

const void *find_by_id(const void *array, size_t nr, size_t size, const char *id)
{
	const char *base = array;
	size_t low = 0, high = nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(*(const char *const *)(base + middle * size), id);

		if (!order)
			return base + middle * size;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int compare_hops(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return strcmp(x->id, y->id);
}

const struct hop *hop_of(const struct image_work *work, uint32_t kind, const char *id)
{
	struct hop wanted = {.kind = kind};

	if (!work->nr_hops || strlen(id) >= sizeof(wanted.id))
		return NULL;
	memcpy(wanted.id, id, strlen(id) + 1);
	return bsearch(&wanted, work->hops, work->nr_hops, sizeof(wanted), compare_hops);
}

bool has_uplink(const struct image_work *work, const char *id)
{
	for (size_t i = 0; work->host && i < work->host->nr_uplinks; i++)
		if (!strcmp(work->host->uplinks[i].gateway_id, id))
			return true;
	return false;
}

uint32_t uplink_port_of(const struct image_work *work, const char *id)
{
	const struct image *image = work->image;
	const struct image_port *port = FIND_BY_ID(image->ports, image->nr_ports, id);

	return port && port->kind == PORT_UPLINK ? (uint32_t)(port - image->ports) : IMAGE_NONE;
}

int hop_add(struct image_work *work, const char *id, uint32_t kind, const void *object)
{
	struct hop *hop;

	if (work->nr_hops == work->hops_room) {
		size_t room = work->hops_room ? work->hops_room * 2 : 16;
		struct hop *hops = reallocarray(work->hops, room, sizeof(*hops));

		if (!hops)
			return -ENOMEM;
		work->hops = hops;
		work->hops_room = room;
	}
	hop = work->hops + work->nr_hops++;
	*hop = (struct hop){.kind = kind, .object = object, .port = IMAGE_NONE};
	(void)snprintf(hop->id, sizeof(hop->id), "%s", id);
	return 0;
}

/* ---- NAT gateways */

static const struct eni *primary_eni(const struct nat_gateway *nat)
{
	return nat->nr_addresses ? nat->addresses[0].eni : NULL;
}

const struct nat_gateway *nat_of_eni(const struct image_work *work, const struct eni *eni)
{
	const struct hop *hop = hop_of(work, GATEWAY_NAT, eni->id);

	return hop ? hop->object : NULL;
}

/* A zonal NAT gateway is where its ENI is a port; a regional one (NAT-23) has none, so every host serves it. */
static const char *served_as(const struct image_work *work, const struct nat_gateway *nat)
{
	const struct eni *eni = primary_eni(nat);

	if ((!nat->available && !nat->draining) || !nat->vpc)
		return NULL;
	if (nat->regional)
		return nat->id;
	if (!eni || eni->vpc != nat->vpc || !eni->subnet || !work->notes[eni - work->state->enis].here)
		return NULL;
	return eni->id;
}

const struct hop *hop_of_nat(const struct image_work *work, const struct nat_gateway *nat)
{
	const char *id = served_as(work, nat);

	return id ? hop_of(work, GATEWAY_NAT, id) : NULL;
}

static int collect_nats(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_nat_gateways && !r; i++) {
		const char *id = served_as(work, extra->nat_gateways + i);

		if (id)
			r = hop_add(work, id, GATEWAY_NAT, extra->nat_gateways + i);
	}
	return r;
}

/* The address that stands behind one of a NAT gateway in the VPC: a regional one may have public ones only. */
__be32 nat_inside(const struct nat_address *address)
{
	return address->private_ip ? address->private_ip : address->public_ip;
}

/* Only a regional gateway's addresses belong to zones. */
static uint8_t az_served(const struct image_work *work, const struct nat_gateway *nat,
			 const struct nat_address *address)
{
	const struct state *state = work->state;

	for (size_t i = 0; nat->regional && *address->az && i < state->nr_subnets; i++) {
		const struct vpc_subnet *subnet = state->subnets + i;
		uint32_t az = work->image->subnets[work->subnet_places[i]].az;

		if (az < AZ_ANY && (!strcmp(subnet->az, address->az) || !strcmp(subnet->az_id, address->az)))
			return (uint8_t)az;
	}
	return AZ_ANY;
}

static int fill_nat(struct image_work *work, const struct nat_gateway *nat, struct image_gateway *gateway)
{
	const struct route_table *table = nat->regional || !nat->subnet ? nat->table : nat->subnet->table;

	gateway->zone[0] = vpc_zone(nat->vpc);
	gateway->realm = realm_of_vpc(work, nat->vpc);
	gateway->flags = (nat->private_only ? GATEWAY_PRIVATE : 0) | (nat->regional ? GATEWAY_REGIONAL : 0) |
			 (nat->draining ? GATEWAY_DRAINING : 0);
	for (size_t i = 0; i < nat->nr_addresses; i++) {
		__be32 inside = nat_inside(nat->addresses + i);

		if (!nat->addresses[i].usable || !inside)
			continue;
		if (gateway->nr == GATEWAY_MEMBERS_MAX)
			return work_refuse(work, "addresses of %s: more than %u", nat->id, GATEWAY_MEMBERS_MAX);
		gateway->az[gateway->nr] = az_served(work, nat, nat->addresses + i);
		gateway->members[gateway->nr++] = inside;
	}
	return table_index(work, table, nat->vpc, &gateway->table[0]);
}

/* ---- all of them */

/* Their ids live as long as the image. */
static int settle_hops(struct image_work *work)
{
	size_t kept = 0;

	if (work->nr_hops)
		qsort(work->hops, work->nr_hops, sizeof(*work->hops), compare_hops);
	for (size_t i = 0; i < work->nr_hops; i++)
		if (!kept || compare_hops(work->hops + kept - 1, work->hops + i) != 0)
			work->hops[kept++] = work->hops[i];
	work->nr_hops = kept;
	if (kept > GATEWAYS_MAX - 1)
		return work_refuse(work, "gateways: more than %u", GATEWAYS_MAX - 1);
	work->image->gateways = calloc(kept + 1, sizeof(*work->image->gateways));
	if (!work->image->gateways)
		return -ENOMEM;
	for (size_t i = 0; i < kept; i++)
		memcpy(work->image->gateways[i].id, work->hops[i].id, ID_MAX);
	work->image->nr_gateways = kept;
	return 0;
}

int hops_collect(struct image_work *work)
{
	int r = realms_build(work);

	if (!r)
		r = collect_nats(work);
	if (!r)
		r = private_collect(work);
	if (!r)
		r = transit_collect(work);
	return r ? r : settle_hops(work);
}

struct image_port hop_port(const struct image_work *work, size_t i)
{
	const struct hop *hop = work->hops + i;
	struct image_port port = {
		.id = work->image->gateways[i].id,
		.device = "",
		.hook = HOOK_AUTO,
		.kind = PORT_GATEWAY,
		.mode = MODE_ROUTER,
		.flags = PORT_LIVE | PORT_NO_SG,
		.subnet = IMAGE_NONE,
		.sg_in = IMAGE_NONE,
		.sg_out = IMAGE_NONE,
		.mirror = IMAGE_NONE,
	};

	/* a regional one, in no subnet: only an exclusion of its VPC reaches it (VPC-18) */
	if (hop->kind == GATEWAY_NAT) {
		const struct nat_gateway *nat = hop->object;

		port.kind = PORT_NAT;
		port.zone = vpc_zone(nat->vpc);
		port.flags |= bpa_flags(nat->vpc->bpa);
	}
	return port;
}

static int fill_gateway(struct image_work *work, const struct hop *hop, struct image_gateway *gateway)
{
	gateway->kind = hop->kind;
	for (int i = 0; i < GATEWAY_TABLES; i++)
		gateway->table[i] = IMAGE_NONE;
	switch (hop->kind) {
	case GATEWAY_NAT:
		return fill_nat(work, hop->object, gateway);
	case GATEWAY_EDGE:
		return fill_edge(work, hop->object, gateway);
	case GATEWAY_ENDPOINT:
		return fill_endpoint(work, hop->object, gateway);
	case GATEWAY_PEERING:
		return fill_peering(work, hop->object, gateway);
	case GATEWAY_ATTACHMENT:
		return fill_attachment(work, hop->object, gateway);
	case GATEWAY_TRANSIT:
		return fill_transit(work, hop->object, gateway);
	case GATEWAY_GROUP:
		fill_group(work, hop->object, gateway);
		return 0;
	case GATEWAY_VGW:
		return fill_vgw(work, hop->object, gateway);
	case GATEWAY_GWLBE:
		return fill_gwlbe(work, hop->object, gateway);
	}
	return 0;
}

int gateways_compile(struct image_work *work)
{
	int r = 0;

	for (size_t i = 0; i < work->nr_hops && !r; i++)
		r = fill_gateway(work, work->hops + i, work->image->gateways + i);
	return r;
}
