/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdarg.h>
#include <string.h>

#include "base/base.h"
#include "graph/graph.h"
#include "state/cidr.h"
#include "state/extra.h"

struct builder {
	json_t *nodes, *edges;
	json_t *known; /* id: node */
};

static void say(json_t *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One more line of a node's text; empty ones are left out. */
static void say(json_t *node, const char *format, ...)
{
	_cleanup_free_ char *line = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	va_end(args);
	if (line && *line)
		json_array_append_new(json_object_get(node, "text"), json_string(line));
}

/* ret: the node, borrowed. Its first line is its id. */
static json_t *add_node(struct builder *builder, const char *kind, const char *id, const char *inside)
{
	json_t *node = json_pack("{s:s, s:s, s:[s], s:s?, s:b}", "id", id, "kind", kind, "text", id, "inside",
				 inside && *inside ? inside : NULL, "missing", 0);

	json_object_set(builder->known, id, node);
	json_array_append_new(builder->nodes, node);
	return node;
}

static void add_edge(struct builder *builder, const char *from, const char *to, const char *kind, const char *text,
		     bool dead)
{
	if (*from && *to)
		json_array_append_new(builder->edges, json_pack("{s:s, s:s, s:s, s:s, s:b}", "from", from, "to", to,
								"kind", kind, "text", text, "dead", dead));
}

static const char *vpc_id(const struct vpc *vpc)
{
	return vpc ? vpc->id : "";
}

static void say_cidrs(json_t *node, const struct cidr *cidrs, size_t nr)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < nr; i++)
		say(node, "%s", cidr_format(&cidrs[i], text));
}

/* ---- networks */

static void add_vpcs(struct builder *builder, const struct state *state)
{
	for (size_t i = 0; i < state->nr_vpcs; i++)
		say_cidrs(add_node(builder, "vpc", state->vpcs[i].id, NULL), state->vpcs[i].cidrs,
			  state->vpcs[i].nr_cidrs);
}

static void add_subnets(struct builder *builder, const struct state *state)
{
	for (size_t i = 0; i < state->nr_subnets; i++) {
		const struct vpc_subnet *subnet = &state->subnets[i];
		json_t *node = add_node(builder, "subnet", subnet->id, vpc_id(subnet->vpc));

		if (subnet->cidr4.family)
			say_cidrs(node, &subnet->cidr4, 1);
		say_cidrs(node, subnet->cidrs6, subnet->nr_cidrs6);
		say(node, "%s", *subnet->az ? subnet->az : subnet->az_id);
		say(node, "%s", subnet->nacl ? subnet->nacl->id : "");
		if (subnet->table)
			add_edge(builder, subnet->id, subnet->table->id, "uses", "", false);
	}
}

static void say_addresses(json_t *node, const struct eni *eni)
{
	char inside[CIDR_TEXT_MAX], outside[CIDR_TEXT_MAX];

	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *address = &eni->addresses[i];
		union addr public_ip = {.ip4 = address->public_ip};
		bool alone = address->prefixlen == (address->family == 4 ? 32 : 128);

		address_format(address->family, &address->addr, inside);
		if (!alone)
			say(node, "%s/%u", inside, address->prefixlen);
		else if (address->public_ip)
			say(node, "%s = %s", inside, address_format(4, &public_ip, outside));
		else
			say(node, "%s", inside);
	}
}

static void add_enis(struct builder *builder, const struct state *state)
{
	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = &state->enis[i];
		json_t *node = add_node(builder, "eni", eni->id, eni->subnet ? eni->subnet->id : vpc_id(eni->vpc));

		say_addresses(node, eni);
		for (size_t j = 0; j < eni->nr_groups; j++)
			say(node, "%s", eni->groups[j]->id);
		if (!eni->live)
			say(node, "detached");
	}
}

/* Where an ENI is plugged in: the host, and its device there. */
static void say_hosts(struct builder *builder, const struct state *state)
{
	for (size_t h = 0; h < state->nr_hosts; h++)
		for (size_t i = 0; i < state->hosts[h].nr_ports; i++) {
			const struct host_port *port = &state->hosts[h].ports[i];

			say(json_object_get(builder->known, port->eni->id), "%s%s%s", state->hosts[h].id,
			    *port->device ? " " : "", port->device);
		}
}

/* ---- gateways */

static void add_gateways(struct builder *builder, const struct state *state)
{
	for (size_t i = 0; i < state->nr_gateways; i++) {
		const struct gateway *gateway = &state->gateways[i];
		bool vgw = gateway->kind == TARGET_VGW;

		add_node(builder,
			 vgw                            ? "virtual-private-gateway"
			 : gateway->kind == TARGET_EIGW ? "egress-only-internet-gateway"
							: "internet-gateway",
			 gateway->id, vpc_id(gateway->vpc));
		if (gateway->table)
			add_edge(builder, gateway->id, gateway->table->id, "uses", "", false);
		if (!vgw)
			add_edge(builder, gateway->id, "internet", "link", "", !gateway->vpc);
	}
}

static void add_nat_gateways(struct builder *builder, const struct state_extra *extra)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < extra->nr_nat_gateways; i++) {
		const struct nat_gateway *nat = &extra->nat_gateways[i];
		json_t *node =
			add_node(builder, "nat-gateway", nat->id, nat->subnet ? nat->subnet->id : vpc_id(nat->vpc));

		say(node, "%s", nat->available ? "" : nat->state);
		for (size_t j = 0; j < nat->nr_addresses; j++) {
			union addr addr = {.ip4 = nat->addresses[j].public_ip ? nat->addresses[j].public_ip
									      : nat->addresses[j].private_ip};

			say(node, "%s", address_format(4, &addr, text));
		}
		if (nat->table)
			add_edge(builder, nat->id, nat->table->id, "uses", "", false);
	}
}

static void add_peerings(struct builder *builder, const struct state_extra *extra)
{
	for (size_t i = 0; i < extra->nr_peerings; i++) {
		const struct peering *peering = &extra->peerings[i];

		add_node(builder, "vpc-peering-connection", peering->id, NULL);
		for (int side = 0; side < 2; side++) {
			const struct peering_side *end = side ? &peering->accepter : &peering->requester;

			if (!end->vpc && *end->vpc_id && !json_object_get(builder->known, end->vpc_id))
				add_node(builder, "vpc", end->vpc_id, NULL);
			add_edge(builder, peering->id, end->vpc_id, "link", "", !peering->active);
		}
	}
}

static void add_endpoints(struct builder *builder, const struct state_extra *extra)
{
	for (size_t i = 0; i < extra->nr_endpoints; i++) {
		const struct vpc_endpoint *endpoint = &extra->endpoints[i];

		say(add_node(builder, "vpc-endpoint", endpoint->id, vpc_id(endpoint->vpc)), "%s", endpoint->service);
		for (size_t j = 0; j < endpoint->nr_enis; j++)
			add_edge(builder, endpoint->id, endpoint->enis[j]->id, "attached", "", !endpoint->available);
	}
}

static void add_vpns(struct builder *builder, const struct state_extra *extra)
{
	for (size_t i = 0; i < extra->nr_vpn_connections; i++) {
		const struct vpn_connection *vpn = &extra->vpn_connections[i];
		json_t *node = add_node(builder, "vpn-connection", vpn->id, NULL);

		say_cidrs(node, vpn->routes, vpn->nr_routes);
		if (vpn->customer_gateway)
			say(node, "%s", vpn->customer_gateway->address);
		if (vpn->vgw)
			add_edge(builder, vpn->vgw->id, vpn->id, "attached", "", !vpn->available);
	}
}

/* ---- transit gateways: attachments use tables, tables lead to attachments */

static void add_transit_attachments(struct builder *builder, const struct state_extra *extra)
{
	for (size_t i = 0; i < extra->nr_tgw_attachments; i++) {
		const struct tgw_attachment *attachment = &extra->tgw_attachments[i];
		json_t *node = add_node(builder, "transit-gateway-attachment", attachment->id, NULL);

		say(node, "%s %s", attachment->type, attachment->resource);
		add_edge(builder, attachment->tgw_id, attachment->id, "attached", "", !attachment->available);
		if (json_object_get(builder->known, attachment->resource))
			add_edge(builder, attachment->id, attachment->resource, "link", "", !attachment->available);
	}
	for (size_t i = 0; i < extra->nr_tgw_vpc_attachments; i++) {
		const struct tgw_vpc_attachment *attachment = &extra->tgw_vpc_attachments[i];

		if (json_object_get(builder->known, attachment->id))
			continue;
		say(add_node(builder, "transit-gateway-attachment", attachment->id, NULL), "vpc %s",
		    vpc_id(attachment->vpc));
		add_edge(builder, attachment->tgw ? attachment->tgw->id : "", attachment->id, "attached", "",
			 !attachment->available);
		add_edge(builder, attachment->id, vpc_id(attachment->vpc), "link", "", !attachment->available);
	}
}

static void add_transit_routes(struct builder *builder, const struct tgw_table *table)
{
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct tgw_route *route = &table->routes[i];
		const char *to = route->prefix_list   ? route->prefix_list->id
				 : route->cidr.family ? cidr_format(&route->cidr, text)
						      : "";

		for (size_t j = 0; j < route->nr_attachments; j++)
			add_edge(builder, table->id, route->attachments[j], "route", to, route->blackhole);
		if (!route->nr_attachments)
			add_edge(builder, table->id, "blackhole", "route", to, true);
	}
	for (size_t i = 0; i < table->nr_associations; i++)
		add_edge(builder, table->associations[i], table->id, "uses", "", false);
	for (size_t i = 0; i < table->nr_propagations; i++)
		add_edge(builder, table->id, table->propagations[i], "route", "propagated", false);
}

static void add_transit(struct builder *builder, const struct state_extra *extra)
{
	for (size_t i = 0; i < extra->nr_tgws; i++)
		add_node(builder, "transit-gateway", extra->tgws[i].id, NULL);
	add_transit_attachments(builder, extra);
	for (size_t i = 0; i < extra->nr_tgw_tables; i++) {
		add_node(builder, "transit-gateway-route-table", extra->tgw_tables[i].id, NULL);
		add_transit_routes(builder, &extra->tgw_tables[i]);
	}
}

/* ---- route tables */

static void add_tables(struct builder *builder, const struct state *state)
{
	for (size_t i = 0; i < state->nr_tables; i++) {
		const struct route_table *table = &state->tables[i];

		say(add_node(builder, "table", table->id, vpc_id(table->vpc)), "%s", table->main ? "main" : "");
		for (size_t j = 0; j < table->nr_routes; j++) {
			const struct vpc_route *route = &table->routes[j];

			if (route->target == TARGET_LOCAL || route->filtered)
				continue;
			add_edge(builder, table->id, *route->target_id ? route->target_id : "blackhole", "route",
				 route->destination, route->blackhole);
		}
		for (size_t j = 0; j < table->nr_propagating; j++)
			add_edge(builder, table->id, table->propagating[j], "route", "propagated", false);
	}
}

/* Every end of an edge is a node: the internet, and what the state only names. */
static void add_missing(struct builder *builder)
{
	json_t *edge;
	size_t i;

	json_array_foreach (builder->edges, i, edge)
		for (int end = 0; end < 2; end++) {
			const char *id = json_string_value(json_object_get(edge, end ? "to" : "from"));

			if (!json_object_get(builder->known, id))
				json_object_set_new(
					add_node(builder, strcmp(id, "internet") ? "missing" : "internet", id, NULL),
					"missing", json_boolean(strcmp(id, "internet")));
		}
}

json_t *graph_build(const struct state *state)
{
	struct builder builder = {.nodes = json_array(), .edges = json_array(), .known = json_object()};

	add_vpcs(&builder, state);
	add_subnets(&builder, state);
	add_enis(&builder, state);
	say_hosts(&builder, state);
	add_gateways(&builder, state);
	add_nat_gateways(&builder, state->extra);
	add_peerings(&builder, state->extra);
	add_endpoints(&builder, state->extra);
	add_vpns(&builder, state->extra);
	add_transit(&builder, state->extra);
	add_tables(&builder, state);
	add_missing(&builder);
	json_decref(builder.known);
	return json_pack("{s:o, s:o}", "nodes", builder.nodes, "edges", builder.edges);
}
