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

static int compare_port_id(const void *id, const void *port)
{
	return strcmp(id, ((const struct image_port *)port)->id);
}

static uint32_t target_uplink(const void *context, const struct gateway *gateway)
{
	const struct image_work *work = context;
	const struct image *image = work->image;
	const struct image_port *port;

	port = bsearch(gateway->id, image->ports, image->nr_ports, sizeof(*image->ports), compare_port_id);
	return port && port->gateway == ROUTE_IGW ? (uint32_t)(port - image->ports) : IMAGE_NONE;
}

/* NAT-14: only within the VPC. */
static uint32_t target_nat(const struct image_work *work, const struct vpc *vpc, const char *id, uint32_t *ret_port)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_nat_gateways; i++) {
		const struct nat_gateway *nat = extra->nat_gateways + i;
		const struct hop *hop = hop_of(work, GATEWAY_NAT, nat);

		if (strcmp(nat->id, id) != 0)
			continue;
		if (nat->vpc != vpc)
			return ROUTE_BLACKHOLE;
		*ret_port = hop ? hop->port : IMAGE_NONE;
		return hop ? ROUTE_NAT : ROUTE_NOT_SERVED;
	}
	return ROUTE_NOT_SERVED;
}

static uint32_t target_gateway(const void *context, const struct vpc *vpc, const struct vpc_route *route,
			       uint32_t *ret_port)
{
	*ret_port = IMAGE_NONE;
	if (route->target == TARGET_NAT)
		return target_nat(context, vpc, route->target_id, ret_port);
	return ROUTE_NOT_SERVED;
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

int table_index(struct image_work *work, const struct route_table *table, const struct vpc *vpc, uint32_t *ret_index)
{
	const struct route_targets targets = {target_eni, target_uplink, target_gateway, target_port_id, work};
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
	size_t most = state->nr_tables + state->nr_vpcs + 1;
	int r = 0;

	work->known_tables = calloc(most, sizeof(*work->known_tables));
	work->image->tables = calloc(most, sizeof(*work->image->tables));
	if (!work->known_tables || !work->image->tables)
		return -ENOMEM;
	for (size_t i = 0; i < most; i++)
		work->known_tables[i] = IMAGE_NONE;
	for (size_t i = 0; i < state->nr_subnets && !r; i++) {
		const struct vpc_subnet *subnet = state->subnets + i;

		r = table_index(work, subnet->table, subnet->vpc, &work->image->subnets[work->subnet_places[i]].table);
	}
	if (!r)
		r = gateways_compile(work);
	return r ? r : check_routes(work);
}
