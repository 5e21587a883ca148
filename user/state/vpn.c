/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CustomerGateways and VpnConnections (VGW-01..VGW-08). VgwTelemetry is history and has no effect (VGW-08). */
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

static void load_customer_gateways(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->customer_gateways =
		ARENA_ARRAY(load->arena, load->lists[LIST_CUSTOMER_GATEWAYS].nr + 1, struct customer_gateway);
	LIST_FOREACH (load, LIST_CUSTOMER_GATEWAYS, item) {
		struct customer_gateway *gateway = &extra->customer_gateways[extra->nr_customer_gateways++];

		gateway->id = item->id;
		gateway->address = get_text(load, item->json, "IpAddress");
		gateway->asn = get_text(load, item->json, "BgpAsn");
		gateway->type = get_text(load, item->json, "Type");
		gateway->available = !json_object_get(item->json, "State") || get_is(item->json, "State", "available");
	}
}

static void parse_routes(struct load *load, const json_t *list, struct vpn_connection *connection)
{
	struct cidr *routes = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct cidr);
	const json_t *json;
	size_t index, nr = 0;

	json_array_foreach (list, index, json) {
		bool counts = !json_object_get(json, "State") || get_is(json, "State", "available");

		if (json_is_object(json) && counts)
			nr += get_cidr(json, "DestinationCidrBlock", &routes[nr]);
	}
	connection->routes = routes;
	connection->nr_routes = cidr_sort_unique(routes, nr);
}

static void parse_connection(struct load *load, struct item *item, struct vpn_connection *connection)
{
	const char *customer = get_text(load, item->json, "CustomerGatewayId");
	const char *vgw = get_text(load, item->json, "VpnGatewayId");

	connection->id = item->id;
	connection->tgw_id = get_text(load, item->json, "TransitGatewayId");
	connection->customer_gateway = FIND_EXTRA(load, customer_gateways, customer);
	connection->vgw = FIND(load, gateways, vgw);
	connection->available = !json_object_get(item->json, "State") || get_is(item->json, "State", "available");
	connection->static_only = get_flag(json_object_get(item->json, "Options"), "StaticRoutesOnly", false);
	parse_routes(load, json_object_get(item->json, "Routes"), connection);
	if (*customer && !connection->customer_gateway)
		state_warn(load, item, "", "CustomerGatewayId %s is not in the state: its address is unknown",
			   customer);
	if (*vgw && !connection->vgw)
		state_warn(load, item, "", "VpnGatewayId %s is not in the state: the connection carries nothing", vgw);
}

static bool has_route(const struct route_table *table, const struct cidr *cidr, const struct gateway *vgw)
{
	for (size_t i = 0; i < table->nr_routes; i++)
		if (table->routes[i].origin == ORIGIN_PROPAGATED && table->routes[i].gateway == vgw &&
		    !cidr_compare(&table->routes[i].cidr, cidr))
			return true;
	return false;
}

static bool propagates(const struct route_table *table, const struct gateway *vgw)
{
	for (size_t i = 0; i < table->nr_propagating; i++)
		if (!strcmp(table->propagating[i], vgw->id))
			return true;
	return false;
}

/* VGW-02: a table that the gateway propagates into has the static prefixes of its connections, told or not. */
static void propagate(struct load *load, struct route_table *table, const struct vpn_connection *connection)
{
	struct vpc_route *routes =
		ARENA_ARRAY(load->arena, table->nr_routes + connection->nr_routes + 1, struct vpc_route);

	if (table->nr_routes)
		memcpy(routes, table->routes, table->nr_routes * sizeof(*routes));
	table->routes = routes;
	for (size_t i = 0; i < connection->nr_routes; i++) {
		char *text = ARENA_ARRAY(load->arena, CIDR_TEXT_MAX, char);

		if (has_route(table, &connection->routes[i], connection->vgw))
			continue;
		routes[table->nr_routes++] = (struct vpc_route){
			.cidr = connection->routes[i],
			.destination = cidr_format(&connection->routes[i], text),
			.target = TARGET_VGW,
			.target_id = connection->vgw->id,
			.gateway = connection->vgw,
			.origin = ORIGIN_PROPAGATED,
			.blackhole = connection->vgw->vpc != table->vpc,
		};
	}
}

static void propagate_all(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	for (size_t i = 0; i < extra->nr_vpn_connections; i++) {
		const struct vpn_connection *connection = &extra->vpn_connections[i];

		for (size_t t = 0; t < load->state->nr_tables && connection->vgw && connection->available; t++)
			if (propagates(&load->state->tables[t], connection->vgw))
				propagate(load, &load->state->tables[t], connection);
	}
}

void load_vpn(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	load_customer_gateways(load);
	extra->vpn_connections =
		ARENA_ARRAY(load->arena, load->lists[LIST_VPN_CONNECTIONS].nr + 1, struct vpn_connection);
	LIST_FOREACH (load, LIST_VPN_CONNECTIONS, item)
		parse_connection(load, item, &extra->vpn_connections[extra->nr_vpn_connections++]);
	propagate_all(load);
}
