/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The versions of route tables: each table of the state that somebody uses, compiled once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/objects.h"
#include "compile/work.h"

static uint32_t target_eni(const void *context, const struct eni *eni)
{
	const struct image_work *work = context;

	return work->notes[eni - work->state->enis].port;
}

static uint32_t target_uplink(const void *context, const struct gateway *gateway)
{
	const struct image_work *work = context;
	uint32_t port = uplink_port_of(work, gateway->id);

	return port != IMAGE_NONE && work->image->ports[port].gateway == ROUTE_IGW ? port : IMAGE_NONE;
}

static uint32_t at_port(uint32_t kind, uint32_t port, uint32_t *ret_port)
{
	*ret_port = port;
	return port == IMAGE_NONE ? ROUTE_NOT_SERVED : kind;
}

static uint32_t at_hop(uint32_t kind, const struct hop *hop, uint32_t *ret_port)
{
	return at_port(kind, hop ? hop->port : IMAGE_NONE, ret_port);
}

/* NAT-14: only within the VPC. */
static uint32_t target_nat(const struct image_work *work, const struct vpc *vpc, const char *id, uint32_t *ret_port)
{
	const struct state_extra *extra = work_extra(work);
	const struct nat_gateway *nat = FIND_BY_ID(extra->nat_gateways, extra->nr_nat_gateways, id);

	if (nat && nat->vpc != vpc)
		return ROUTE_BLACKHOLE;
	return at_hop(ROUTE_NAT, nat ? hop_of_nat(work, nat) : NULL, ret_port);
}

/* Without an uplink of its own an egress-only gateway uses that of the VPC's internet gateway. */
static uint32_t target_eigw(const struct image_work *work, const struct gateway *eigw, uint32_t *ret_port)
{
	const struct state *state = work->state;
	uint32_t port = uplink_port_of(work, eigw->id);

	for (size_t i = 0; port == IMAGE_NONE && i < state->nr_gateways; i++)
		if (state->gateways[i].kind == TARGET_IGW && state->gateways[i].vpc == eigw->vpc)
			port = uplink_port_of(work, state->gateways[i].id);
	return at_port(ROUTE_EIGW, port, ret_port);
}

static uint32_t target_peering(const struct image_work *work, const struct vpc *vpc, const char *id, uint32_t *ret_port)
{
	const struct state_extra *extra = work_extra(work);
	const struct peering *peering = FIND_BY_ID(extra->peerings, extra->nr_peerings, id);

	if (peering && (!peering->active || (peering->requester.vpc != vpc && peering->accepter.vpc != vpc)))
		return ROUTE_BLACKHOLE;
	return at_hop(ROUTE_PEERING, hop_of(work, GATEWAY_PEERING, id), ret_port);
}

/* The attachment of this VPC; without one the transit gateway cannot be reached. */
static uint32_t target_tgw(const struct image_work *work, const struct vpc *vpc, const char *id, uint32_t *ret_port)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < work->nr_hops; i++) {
		const struct tgw_vpc_attachment *attachment = work->hops[i].object;

		if (work->hops[i].kind == GATEWAY_ATTACHMENT && attachment->vpc == vpc &&
		    !strcmp(attachment->tgw->id, id))
			return at_hop(ROUTE_TGW, work->hops + i, ret_port);
	}
	return FIND_BY_ID(extra->tgws, extra->nr_tgws, id) ? ROUTE_BLACKHOLE : ROUTE_NOT_SERVED;
}

static uint32_t target_endpoint(const struct image_work *work, const struct vpc *vpc, const struct vpc_route *route,
				uint32_t *ret_port)
{
	const struct state_extra *extra = work_extra(work);
	const char *id = route->target_id;
	const struct vpc_endpoint *endpoint = FIND_BY_ID(extra->endpoints, extra->nr_endpoints, id);

	if (endpoint && endpoint->vpc != vpc)
		return ROUTE_BLACKHOLE;
	if (!endpoint || endpoint->kind != ENDPOINT_GWLB)
		return at_hop(ROUTE_ENDPOINT, hop_of(work, GATEWAY_ENDPOINT, id), ret_port);
	if (route->prefix_list)
		return ROUTE_BLACKHOLE; /* RT-17 */
	return at_hop(ROUTE_GWLBE, hop_of(work, GATEWAY_GWLBE, id), ret_port);
}

static uint32_t target_gateway(const void *context, const struct vpc *vpc, const struct vpc_route *route,
			       uint32_t *ret_port)
{
	*ret_port = IMAGE_NONE;
	if (!vpc)
		return ROUTE_BLACKHOLE;
	switch (route->target) {
	case TARGET_NAT:
		return target_nat(context, vpc, route->target_id, ret_port);
	case TARGET_EIGW:
		return target_eigw(context, route->gateway, ret_port);
	case TARGET_VGW:
		return at_hop(ROUTE_VGW, hop_of(context, GATEWAY_VGW, route->gateway->id), ret_port);
	case TARGET_PEERING:
		return target_peering(context, vpc, route->target_id, ret_port);
	case TARGET_TGW:
		return target_tgw(context, vpc, route->target_id, ret_port);
	case TARGET_VPCE:
		return target_endpoint(context, vpc, route, ret_port);
	default:
		return ROUTE_NOT_SERVED;
	}
}

static const char *target_port_id(const void *context, uint32_t port)
{
	return ((const struct image_work *)context)->image->ports[port].id;
}

static int check_routes(struct image_work *work)
{
	size_t routes[2] = {};

	for (size_t t = 0; t < work->image->nr_tables; t++)
		for (size_t i = 0; i < work->image->tables[t].nr_routes; i++)
			routes[work->image->tables[t].routes[i].cidr.family == 6]++;
	if (routes[0] > ROUTES_MAX || routes[1] > ROUTES_MAX)
		return work_refuse(work, "%s routes: more than %u", routes[0] > ROUTES_MAX ? "IPv4" : "IPv6",
				   ROUTES_MAX);
	return 0;
}

struct route_targets table_targets(const struct image_work *work)
{
	return (struct route_targets){target_eni, target_uplink, target_gateway, target_port_id, work};
}

int add_table(struct image_work *work, const char *id, const struct route_entry *entries, size_t nr,
	      uint32_t *ret_index)
{
	const struct route_targets targets = table_targets(work);
	struct image *image = work->image;
	int r = routes_compile(id, entries, nr, &targets, image->tables + image->nr_tables);

	if (!r)
		*ret_index = (uint32_t)image->nr_tables++;
	return r;
}

int table_index(struct image_work *work, const struct route_table *table, const struct vpc *vpc, uint32_t *ret_index)
{
	const struct route_targets targets = table_targets(work);
	const struct state *state = work->state;
	struct image *image = work->image;
	uint32_t *index = work->known_tables + state->nr_tables + state->nr_vpcs;
	int r = 0;

	if (table)
		index = work->known_tables + (table - state->tables);
	else if (vpc)
		index = work->known_tables + state->nr_tables + (vpc - state->vpcs);
	if (*index == IMAGE_NONE) {
		r = route_table_compile(table, table ? table->vpc : vpc, &targets, image->tables + image->nr_tables);
		if (r < 0)
			return r;
		*index = (uint32_t)image->nr_tables++;
	}
	*ret_index = *index;
	return r;
}

int tables_compile(struct image_work *work)
{
	const struct state *state = work->state;
	size_t known = state->nr_tables + state->nr_vpcs + 1, transit = work_extra(work)->nr_tgw_tables;
	int r = 0;

	work->known_tables = calloc(known, sizeof(*work->known_tables));
	work->known_transit = calloc(transit + 1, sizeof(*work->known_transit));
	work->image->tables = calloc(known + transit + work->nr_hops, sizeof(*work->image->tables));
	if (!work->known_tables || !work->known_transit || !work->image->tables)
		return -ENOMEM;
	for (size_t i = 0; i < known; i++)
		work->known_tables[i] = IMAGE_NONE;
	for (size_t i = 0; i < transit; i++)
		work->known_transit[i] = IMAGE_NONE;
	for (size_t i = 0; i < state->nr_subnets && !r; i++) {
		const struct vpc_subnet *subnet = state->subnets + i;

		r = table_index(work, subnet->table, subnet->vpc, &work->image->subnets[work->subnet_places[i]].table);
	}
	if (!r)
		r = gateways_compile(work);
	return r ? r : check_routes(work);
}
