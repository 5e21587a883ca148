/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Peerings, gateway endpoints, and what internet gateways have route tables for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"
#include "state/cidr.h"

/* ---- peering (PCX-01) */

static int collect_peerings(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_peerings && !r; i++) {
		const struct peering *peering = extra->peerings + i;

		if (peering->active && peering->requester.vpc && peering->accepter.vpc)
			r = hop_add(work, peering->id, GATEWAY_PEERING, peering);
	}
	return r;
}

int fill_peering(struct image_work *work, const struct peering *peering, struct image_gateway *gateway)
{
	const struct vpc *vpcs[] = {peering->requester.vpc, peering->accepter.vpc};
	int r = 0;

	for (int i = 0; i < 2 && !r; i++) {
		gateway->zone[i] = vpc_zone(vpcs[i]);
		r = table_index(work, NULL, vpcs[i], &gateway->table[i]);
	}
	gateway->realm = realm_of_vpc(work, vpcs[0]);
	if (*peering->requester.region && *peering->accepter.region &&
	    strcmp(peering->requester.region, peering->accepter.region) != 0)
		gateway->flags = GATEWAY_FAR;
	return r;
}

/* ---- internet gateways (B1), and what they have route tables for (RT-18, RT-23) */

static int collect_edges(struct image_work *work)
{
	const struct state *state = work->state;
	int r = 0;

	for (size_t i = 0; i < state->nr_gateways && !r; i++) {
		const struct gateway *gateway = state->gateways + i;

		if (gateway->kind == TARGET_IGW && gateway->vpc && has_uplink(work, gateway->id))
			r = hop_add(work, gateway->id, GATEWAY_EDGE, gateway);
	}
	return r;
}

int fill_edge(struct image_work *work, const struct gateway *igw, struct image_gateway *gateway)
{
	int r = table_index(work, NULL, igw->vpc, &gateway->table[2]);

	gateway->zone[0] = vpc_zone(igw->vpc);
	gateway->realm = realm_of_vpc(work, igw->vpc);
	if (!r && igw->table)
		r = table_index(work, igw->table, igw->vpc, &gateway->table[0]);
	if (!r && igw->pool)
		r = table_index(work, igw->pool, igw->vpc, &gateway->table[1]);
	return r;
}

/* ---- gateway endpoints (EP-01..EP-04) */

static int collect_endpoints(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_endpoints && !r; i++) {
		const struct vpc_endpoint *endpoint = extra->endpoints + i;

		if (endpoint->kind == ENDPOINT_GATEWAY && endpoint->available && endpoint->vpc &&
		    has_uplink(work, endpoint->id))
			r = hop_add(work, endpoint->id, GATEWAY_ENDPOINT, endpoint);
	}
	return r;
}

/* The service's prefix list has its name; routes to the endpoint say it, too. */
static bool lists_service(const struct image_work *work, const struct vpc_endpoint *endpoint,
			  const struct prefix_list *list)
{
	if (*endpoint->service && !strcmp(endpoint->service, list->name))
		return true;
	for (size_t t = 0; t < work->state->nr_tables; t++) {
		const struct route_table *table = work->state->tables + t;

		for (size_t i = 0; table->vpc == endpoint->vpc && i < table->nr_routes; i++)
			if (table->routes[i].prefix_list == list && table->routes[i].target == TARGET_VPCE &&
			    !strcmp(table->routes[i].target_id, endpoint->id))
				return true;
	}
	return false;
}

int fill_endpoint(struct image_work *work, const struct vpc_endpoint *endpoint, struct image_gateway *gateway)
{
	const struct state *state = work->state;
	struct route_entry *entries;
	size_t room = 0, nr = 0;
	int r;

	for (size_t i = 0; i < state->nr_prefix_lists; i++)
		room += state->prefix_lists[i].nr_entries;
	entries = calloc(room + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_prefix_lists; i++) {
		const struct prefix_list *list = state->prefix_lists + i;

		for (size_t k = 0; lists_service(work, endpoint, list) && k < list->nr_entries; k++)
			entries[nr++] = (struct route_entry){
				.cidr = list->entries[k], .tie = "", .kind = ROUTE_ENDPOINT, .target = IMAGE_NONE};
	}
	r = add_table(work, endpoint->id, entries, nr, &gateway->table[0]);
	free(entries);
	gateway->zone[0] = vpc_zone(endpoint->vpc);
	gateway->realm = realm_of_vpc(work, endpoint->vpc);
	if (strstr(endpoint->service, "dynamodb"))
		gateway->flags = GATEWAY_TRACKED; /* CT-06 */
	return r;
}

int private_collect(struct image_work *work)
{
	int r = collect_peerings(work);

	if (!r)
		r = collect_edges(work);
	if (!r)
		r = collect_endpoints(work);
	if (!r)
		r = gwlbe_collect(work);
	return r ? r : vgw_collect(work);
}
