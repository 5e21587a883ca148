/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RouteTables: whom they serve and which of their routes lead somewhere (RT-01, RT-09..RT-19, RT-26, RT-28). routes.c
 * reads the routes themselves. */
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"
#include "state/routes.h"

static int compare_routes(const void *a, const void *b)
{
	const struct vpc_route *x = a, *y = b;
	int order = cidr_compare(&x->cidr, &y->cidr);

	if (!order)
		order = strcmp(x->destination, y->destination);
	if (!order)
		order = (x->origin == ORIGIN_PROPAGATED) - (y->origin == ORIGIN_PROPAGATED);
	return order ? order : strcmp(x->target_id, y->target_id);
}

/* RT-26: one static route for each destination; the same route twice counts as one. */
static size_t sort_routes(struct load *load, struct item *item, struct vpc_route *routes, size_t nr)
{
	size_t kept = 0;

	if (nr)
		qsort(routes, nr, sizeof(*routes), compare_routes);
	for (size_t i = 0; i < nr; i++) {
		struct vpc_route *last = kept ? &routes[kept - 1] : NULL;
		bool again = last && !strcmp(last->destination, routes[i].destination) &&
			     (last->origin == ORIGIN_PROPAGATED) == (routes[i].origin == ORIGIN_PROPAGATED);
		bool same = again && last->target == routes[i].target && !strcmp(last->target_id, routes[i].target_id);

		if (again && !same && last->origin != ORIGIN_PROPAGATED)
			state_error(load, item, "Routes", "destination %s leads to %s and to %s", routes[i].destination,
				    last->target_id, routes[i].target_id);
		if (!same)
			routes[kept++] = routes[i];
	}
	return kept;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void parse_propagating(struct load *load, struct item *item, struct route_table *table)
{
	const json_t *list = json_object_get(item->json, "PropagatingVgws"), *gateway;
	size_t index;

	table->propagating = ARENA_ARRAY(load->arena, json_array_size(list) + 1, const char *);
	json_array_foreach (list, index, gateway) {
		const char *id = get_text(load, gateway, "GatewayId");

		if (!*id)
			continue;
		if (!FIND(load, gateways, id))
			state_warn(load, item, "PropagatingVgws",
				   "GatewayId %s is not in the state: it propagates nothing", id);
		table->propagating[table->nr_propagating++] = id;
	}
	if (table->nr_propagating)
		qsort(table->propagating, table->nr_propagating, sizeof(*table->propagating), compare_text);
}

static void associate_subnet(struct load *load, struct item *item, struct route_table *table, const char *id)
{
	struct vpc_subnet *subnet = find_subnet(load, item, id, "the association has no effect");

	if (!subnet)
		return;
	if (subnet->vpc && table->vpc && subnet->vpc != table->vpc)
		state_error(load, item, "Associations", "SubnetId %s is a subnet of another VPC", id);
	else if (subnet->table && subnet->table != table)
		state_error(load, item, "Associations", "SubnetId %s is associated with %s, too", id,
			    subnet->table->id);
	else
		subnet->table = table;
}

static void associate_gateway(struct load *load, struct item *item, struct route_table *table, const char *id)
{
	struct gateway *gateway = FIND(load, gateways, id);

	if (!gateway)
		state_warn(load, item, "Associations",
			   "GatewayId %s is not in the state: the association has no effect", id);
	else if (gateway->kind == TARGET_EIGW)
		state_error(load, item, "Associations",
			    "GatewayId %s is an egress-only gateway, which has no route table", id);
	else if (gateway->table && gateway->table != table)
		state_error(load, item, "Associations", "GatewayId %s is associated with %s, too", id,
			    gateway->table->id);
	else
		gateway->table = table;
}

/* RT-23: the pool is reached by the internet gateway of the VPC. */
static void associate_pool(struct load *load, struct route_table *table)
{
	struct state *state = load->state;

	for (size_t i = 0; i < state->nr_gateways; i++)
		if (state->gateways[i].kind == TARGET_IGW && table->vpc && state->gateways[i].vpc == table->vpc)
			state->gateways[i].pool = table;
}

/* Is the table one of a gateway, and not for a public address pool (RT-19, RT-23)? */
static bool is_of_gateway(const json_t *table)
{
	bool of_gateway = false, of_pool = false;
	const json_t *association;
	size_t index;

	json_array_foreach (json_object_get(table, "Associations"), index, association) {
		if (!get_associated(association, "AssociationState"))
			continue;
		of_pool |= json_object_get(association, "PublicIpv4Pool") != NULL;
		of_gateway |= json_object_get(association, "GatewayId") != NULL;
	}
	return of_gateway && !of_pool;
}

static void associate(struct load *load, struct item *item, struct route_table *table)
{
	bool of_gateway = false, of_pool = false;
	const json_t *association;
	size_t index;

	json_array_foreach (json_object_get(item->json, "Associations"), index, association) {
		const char *subnet = get_text(load, association, "SubnetId");
		const char *gateway = get_text(load, association, "GatewayId");

		if (!get_associated(association, "AssociationState"))
			continue;
		table->main |= get_flag(association, "Main", false);
		of_pool |= json_object_get(association, "PublicIpv4Pool") != NULL;
		of_gateway |= *gateway != '\0';
		if (*subnet)
			associate_subnet(load, item, table, subnet);
		if (*gateway)
			associate_gateway(load, item, table, gateway);
	}
	if (of_pool)
		associate_pool(load, table);
	if (of_gateway && table->main)
		state_error(load, item, "Associations", "the main route table cannot be that of a gateway");
}

/* first: index of the first of the item's routes, for messages */
static void parse_routes(struct load *load, struct item *item, struct route_table *table, size_t first)
{
	const json_t *list = json_object_get(item->json, "Routes"), *json;
	bool of_gateway = is_of_gateway(item->json);
	size_t index, nr = 0;

	table->routes = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct vpc_route);
	json_array_foreach (list, index, json)
		if (json_is_object(json) &&
		    parse_route(load, item, first + index, json, table, of_gateway, &table->routes[nr]))
			nr++;
	table->nr_routes = sort_routes(load, item, table->routes, nr);
}

/* Does a route say more than where this table's packets go: which sites a gateway knows, what an endpoint serves? */
static bool tells_others(const struct route_table *table)
{
	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct vpc_route *route = &table->routes[i];

		if (route->origin == ORIGIN_PROPAGATED || route->target == TARGET_VGW || route->target == TARGET_VPCE)
			return true;
	}
	return table->nr_propagating > 0;
}

bool remake_table(struct load *load, struct item *item, struct route_table *table)
{
	if (tells_others(table))
		return false;
	parse_routes(load, item, table, 0);
	return !tells_others(table);
}

/* ---- some routes of a table become others */

/* The first route that does not come before this one. */
static size_t route_place(const struct route_table *table, const struct vpc_route *route)
{
	size_t low = 0, high = table->nr_routes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_routes(&table->routes[middle], route) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool drop_route(struct route_table *table, const struct vpc_route *route)
{
	size_t at = route_place(table, route);

	if (at == table->nr_routes || compare_routes(&table->routes[at], route) != 0)
		return false;
	memmove(table->routes + at, table->routes + at + 1, (--table->nr_routes - at) * sizeof(*route));
	return true;
}

static bool same_destination(const struct vpc_route *a, const struct vpc_route *b)
{
	return !strcmp(a->destination, b->destination);
}

/* The table has room for it. ret: false = there is one to this destination already: sort_routes() tells what that means
 */
static bool put_route(struct route_table *table, const struct vpc_route *route)
{
	size_t at = route_place(table, route);

	if ((at && same_destination(&table->routes[at - 1], route)) ||
	    (at < table->nr_routes && same_destination(&table->routes[at], route)))
		return false;
	memmove(table->routes + at + 1, table->routes + at, (table->nr_routes++ - at) * sizeof(*route));
	table->routes[at] = *route;
	return true;
}

/* Two destinations may be one prefix, which order decides by their texts: both are compared by all that
 * compare_routes() looks at, so the table is in the order in which parse_routes() leaves it. */
bool splice_table(struct load *load, struct item *before, struct item *now, size_t first, struct arena *arena,
		  struct route_table *table)
{
	size_t nr_warnings = load->nr_warnings, nr_kept = load->messages->nr_warnings;
	struct route_table gone = *table, come = *table;
	bool good = !tells_others(table);

	if (!good)
		return false;
	parse_routes(load, before, &gone, first);
	load->nr_warnings = nr_warnings; /* of what is gone */
	load->messages->nr_warnings = nr_kept;
	parse_routes(load, now, &come, first);
	if (gone.nr_routes != json_array_size(json_object_get(before->json, "Routes")) ||
	    come.nr_routes != json_array_size(json_object_get(now->json, "Routes")) || tells_others(&come))
		return false;
	arena->failed = load->arena->failed;
	table->routes = memcpy(ARENA_ARRAY(arena, table->nr_routes + come.nr_routes + 1, struct vpc_route),
			       table->routes, table->nr_routes * sizeof(*table->routes));
	for (size_t i = 0; i < gone.nr_routes && good; i++)
		good = drop_route(table, &gone.routes[i]);
	for (size_t i = 0; i < come.nr_routes && good; i++)
		good = put_route(table, &come.routes[i]);
	return good;
}

/* VPC-17: the main table serves the subnets that no table names. */
static void apply_main(struct load *load)
{
	struct state *state = load->state;
	struct route_table **by_vpc = ARENA_ARRAY(load->arena, state->nr_vpcs + 1, struct route_table *);

	for (size_t i = 0; i < state->nr_tables; i++) {
		struct route_table *table = &state->tables[i];
		struct route_table **slot = table->vpc ? &by_vpc[table->vpc - state->vpcs] : NULL;

		if (!table->main || !slot)
			continue;
		if (*slot)
			state_error(load, &load->lists[LIST_ROUTE_TABLES].item[i], "",
				    "%s has the main route table %s already", table->vpc->id, (*slot)->id);
		*slot = table;
	}
	for (size_t i = 0; i < state->nr_subnets; i++) {
		struct vpc_subnet *subnet = &state->subnets[i];

		if (subnet->vpc && !subnet->table)
			subnet->table = by_vpc[subnet->vpc - state->vpcs];
	}
}

void load_tables(struct load *load)
{
	struct items *items = &load->lists[LIST_ROUTE_TABLES];
	struct state *state = load->state;

	state->tables = ARENA_ARRAY(load->arena, items->nr + 1, struct route_table);
	state->nr_tables = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct route_table *table = &state->tables[i];

		table->id = item->id;
		table->vpc =
			find_vpc(load, item, get_text(load, item->json, "VpcId"), "the table is main to no subnet");
		parse_propagating(load, item, table);
		associate(load, item, table);
		parse_routes(load, item, table, 0);
	}
	apply_main(load);
}
