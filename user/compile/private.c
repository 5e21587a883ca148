/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Peerings, virtual private gateways, gateway endpoints, and what internet gateways have route tables for. */
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

/* ---- internet gateways with a route table (RT-18, RT-23) */

static int collect_edges(struct image_work *work)
{
	const struct state *state = work->state;
	int r = 0;

	for (size_t i = 0; i < state->nr_gateways && !r; i++) {
		const struct gateway *gateway = state->gateways + i;

		if (gateway->kind == TARGET_IGW && gateway->vpc && (gateway->table || gateway->pool) &&
		    has_uplink(work, gateway->id))
			r = hop_add(work, gateway->id, GATEWAY_EDGE, gateway);
	}
	return r;
}

int fill_edge(struct image_work *work, const struct gateway *igw, struct image_gateway *gateway)
{
	int r = 0;

	gateway->zone[0] = vpc_zone(igw->vpc);
	gateway->realm = realm_of_vpc(work, igw->vpc);
	if (igw->table)
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

/* ---- virtual private gateways */

static bool belongs(const struct vpn_connection *connection, const struct gateway *vgw)
{
	return connection->available && connection->vgw == vgw;
}

/* The uplinks of its connections lead into it, too. */
static int collect_vgws(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	const struct state *state = work->state;
	int r = 0;

	for (size_t i = 0; i < state->nr_gateways && !r; i++)
		if (state->gateways[i].kind == TARGET_VGW && state->gateways[i].vpc)
			r = hop_add(work, state->gateways[i].id, GATEWAY_VGW, state->gateways + i);
	for (size_t i = 0; i < extra->nr_vpn_connections && !r; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (connection->available && connection->vgw && connection->vgw->kind == TARGET_VGW &&
		    connection->vgw->vpc && has_uplink(work, connection->id))
			r = hop_add(work, connection->id, GATEWAY_VGW, connection->vgw);
	}
	return r;
}

/* VGW-03: what is known of a prefix, best first. */
enum vgw_rank { VGW_LOCAL, VGW_STATIC, VGW_LEARNED };

struct vgw_work {
	struct image_work *work;
	const struct gateway *vgw;
	struct route_entry *entries;
	size_t nr;
};

static void add_vgw_route(struct vgw_work *vgw, const struct cidr *cidr, enum vgw_rank rank, const char *uplink)
{
	uint32_t port = *uplink ? uplink_port_of(vgw->work, uplink) : IMAGE_NONE;

	vgw->entries[vgw->nr++] = (struct route_entry){
		.cidr = *cidr,
		.rank = (int)rank,
		.tie = port == IMAGE_NONE ? "~" : uplink, /* who has a device goes before who has none */
		.kind = rank == VGW_LOCAL    ? ROUTE_LOCAL
			: port == IMAGE_NONE ? ROUTE_NOT_SERVED
					     : ROUTE_UPLINK,
		.target = port,
	};
}

/* An address of the VPC is never beyond the gateway (RT-04, VGW-07), whatever a site says it has. */
static bool is_inside(const struct vgw_work *vgw, const struct cidr *cidr)
{
	for (size_t i = 0; i < vgw->vgw->vpc->nr_cidrs; i++)
		if (cidr_contains(vgw->vgw->vpc->cidrs + i, cidr))
			return true;
	return false;
}

static void add_site(struct vgw_work *vgw, const struct cidr *cidr, enum vgw_rank rank, const char *uplink)
{
	if (!is_inside(vgw, cidr))
		add_vgw_route(vgw, cidr, rank, uplink);
}

/* The device of a connection, else the one that serves the whole gateway. */
static const char *uplink_of(const struct vgw_work *vgw, const struct vpn_connection *connection)
{
	return connection && has_uplink(vgw->work, connection->id) ? connection->id : vgw->vgw->id;
}

/* VGW-01: one with a dynamic connection, or without any that is listed, forwards whatever a route sends to it.
 * ret: whether this is one; *ret_connection: the dynamic connection, or NULL */
static bool forwards_all(const struct vgw_work *vgw, const struct vpn_connection **ret_connection)
{
	const struct state_extra *extra = work_extra(vgw->work);
	bool any = false;

	*ret_connection = NULL;
	for (size_t i = 0; i < extra->nr_vpn_connections; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (!belongs(connection, vgw->vgw))
			continue;
		any = true;
		if (!connection->static_only && (!*ret_connection || !has_uplink(vgw->work, (*ret_connection)->id)))
			*ret_connection = connection;
	}
	return !any || *ret_connection;
}

/* Without any it is reached by Direct Connect. */
static bool has_connections(const struct vgw_work *vgw)
{
	const struct state_extra *extra = work_extra(vgw->work);

	for (size_t i = 0; i < extra->nr_vpn_connections; i++)
		if (belongs(extra->vpn_connections + i, vgw->vgw))
			return true;
	return false;
}

static void add_vgw_connections(struct vgw_work *vgw)
{
	const struct state_extra *extra = work_extra(vgw->work);

	for (size_t i = 0; i < extra->nr_vpn_connections; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		for (size_t k = 0; belongs(connection, vgw->vgw) && k < connection->nr_routes; k++)
			add_site(vgw, connection->routes + k, VGW_STATIC, uplink_of(vgw, connection));
	}
}

/* Destinations of propagated routes count as learned. */
static void add_vgw_learned(struct vgw_work *vgw, const struct vpn_connection *dynamic)
{
	for (size_t t = 0; t < vgw->work->state->nr_tables; t++) {
		const struct route_table *table = vgw->work->state->tables + t;

		for (size_t i = 0; i < table->nr_routes; i++)
			if (table->routes[i].origin == ORIGIN_PROPAGATED && table->routes[i].gateway == vgw->vgw &&
			    table->routes[i].cidr.family == 4)
				add_site(vgw, &table->routes[i].cidr, VGW_LEARNED, uplink_of(vgw, dynamic));
	}
}

static size_t count_vgw_routes(const struct vgw_work *vgw)
{
	const struct state_extra *extra = work_extra(vgw->work);
	size_t nr = 2 + vgw->vgw->vpc->nr_cidrs;

	for (size_t i = 0; i < extra->nr_vpn_connections; i++)
		nr += extra->vpn_connections[i].nr_routes;
	for (size_t t = 0; t < vgw->work->state->nr_tables; t++)
		nr += vgw->work->state->tables[t].nr_routes;
	return nr;
}

/* By any of them an answer may come. */
static void list_tunnels(const struct vgw_work *vgw, struct image_gateway *gateway)
{
	const struct state_extra *extra = work_extra(vgw->work);

	if (has_uplink(vgw->work, vgw->vgw->id))
		gateway->members[gateway->nr++] = uplink_port_of(vgw->work, vgw->vgw->id);
	for (size_t i = 0; i < extra->nr_vpn_connections && gateway->nr < GATEWAY_MEMBERS_MAX; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (belongs(connection, vgw->vgw) && has_uplink(vgw->work, connection->id))
			gateway->members[gateway->nr++] = uplink_port_of(vgw->work, connection->id);
	}
}

int fill_vgw(struct image_work *work, const struct gateway *gateway, struct image_gateway *ret)
{
	static const struct cidr everywhere = {.family = 4};
	struct vgw_work vgw = {.work = work, .vgw = gateway};
	const struct vpn_connection *dynamic;
	int r;

	vgw.entries = calloc(count_vgw_routes(&vgw), sizeof(*vgw.entries));
	if (!vgw.entries)
		return -ENOMEM;
	for (size_t i = 0; i < gateway->vpc->nr_cidrs; i++)
		if (gateway->vpc->cidrs[i].family == 4)
			add_vgw_route(&vgw, gateway->vpc->cidrs + i, VGW_LOCAL, "");
	add_vgw_connections(&vgw);
	if (forwards_all(&vgw, &dynamic))
		add_vgw_route(&vgw, &everywhere, VGW_LEARNED, uplink_of(&vgw, dynamic));
	add_vgw_learned(&vgw, dynamic);
	ret->flags = has_connections(&vgw) ? GATEWAY_VPN : 0;
	list_tunnels(&vgw, ret);
	r = add_table(work, gateway->id, vgw.entries, vgw.nr, &ret->table[0]);
	free(vgw.entries);
	ret->zone[0] = vpc_zone(gateway->vpc);
	ret->realm = realm_of_vpc(work, gateway->vpc);
	return r ? r : table_index(work, gateway->table, gateway->vpc, &ret->table[1]);
}

int private_collect(struct image_work *work)
{
	int r = collect_peerings(work);

	if (!r)
		r = collect_edges(work);
	if (!r)
		r = collect_endpoints(work);
	return r ? r : collect_vgws(work);
}
