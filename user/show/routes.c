/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show routes: the two tries, with the subnets that use each table version. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enid/policy.h"
#include "show/show.h"

static const char *const kinds[] = {
	[ROUTE_NONE] = "none",
	[ROUTE_LOCAL] = "local",
	[ROUTE_ENI] = "eni",
	[ROUTE_IGW] = "igw",
	[ROUTE_BLACKHOLE] = "blackhole",
	[ROUTE_NOT_SERVED] = "not-served",
	[ROUTE_NAT] = "nat",
	[ROUTE_EIGW] = "eigw",
	[ROUTE_PEERING] = "peering",
	[ROUTE_TGW] = "tgw",
	[ROUTE_VGW] = "vgw",
	[ROUTE_ENDPOINT] = "endpoint",
	[ROUTE_GWLBE] = "gwlb-endpoint",
	[ROUTE_ATTACHMENT] = "attachment",
	[ROUTE_UPLINK] = "uplink",
};

struct found_route {
	uint32_t table;
	uint8_t family, prefixlen;
	union addr addr;
	struct route route;
};

struct found_routes {
	struct found_route *routes;
	size_t nr, size;
};

static int add_route(struct found_routes *found, const struct found_route *route)
{
	if (found->nr == found->size) {
		size_t size = found->size ? 2 * found->size : 256;
		struct found_route *routes = realloc(found->routes, size * sizeof(*routes));

		if (!routes)
			return -ENOMEM;
		found->routes = routes;
		found->size = size;
	}
	found->routes[found->nr++] = *route;
	return 0;
}

static int collect4(const struct view *view, struct found_routes *found)
{
	int fd = datapath_map_fd(view->datapath, "routes4"), r = 0;
	struct route4_key key, *before = NULL;

	for (; !r && !bpf_map_get_next_key(fd, before, &key); before = &key) {
		struct found_route route = {.table = key.table,
					    .family = 4,
					    .prefixlen = (uint8_t)(key.prefixlen - 32),
					    .addr.ip4 = key.addr};

		if (!bpf_map_lookup_elem(fd, &key, &route.route))
			r = add_route(found, &route);
	}
	return r;
}

static int collect6(const struct view *view, struct found_routes *found)
{
	int fd = datapath_map_fd(view->datapath, "routes6"), r = 0;
	struct route6_key key, *before = NULL;

	for (; !r && !bpf_map_get_next_key(fd, before, &key); before = &key) {
		struct found_route route = {
			.table = key.table, .family = 6, .prefixlen = (uint8_t)(key.prefixlen - 32)};

		memcpy(&route.addr, key.addr, sizeof(route.addr));
		if (!bpf_map_lookup_elem(fd, &key, &route.route))
			r = add_route(found, &route);
	}
	return r;
}

static int compare_routes(const void *a, const void *b)
{
	const struct found_route *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->family != y->family)
		return x->family - y->family;
	if (memcmp(&x->addr, &y->addr, sizeof(x->addr)) != 0)
		return memcmp(&x->addr, &y->addr, sizeof(x->addr));
	return x->prefixlen - y->prefixlen;
}

/* The ids of the subnets by table version: an object of arrays. */
static json_t *subnets_by_table(const struct view *view)
{
	int names = datapath_map_fd(view->datapath, "subnet_names"),
	    values = datapath_map_fd(view->datapath, "subnets");
	json_t *tables = json_object();
	struct port_name name;
	struct subnet subnet;
	char key[16];

	for (uint32_t i = 1; i < SUBNETS_MAX; i++) {
		if (bpf_map_lookup_elem(names, &i, &name) || !*name.id || bpf_map_lookup_elem(values, &i, &subnet) ||
		    !subnet.slot[view->slot].zone)
			continue;
		name.id[ID_MAX - 1] = 0;
		snprintf(key, sizeof(key), "%u", subnet.slot[view->slot].table);
		if (!json_object_get(tables, key))
			json_object_set_new(tables, key, json_array());
		json_array_append_new(json_object_get(tables, key), json_string(name.id));
	}
	return tables;
}

static json_t *route_row(const struct view *view, const struct found_route *found, const json_t *users)
{
	const struct route *route = &found->route;
	struct decision_text text = {.id = ""};
	char key[16];
	json_t *subnets;

	(void)datapath_decision(view->datapath, DECISION(STAGE_ROUTE, route->rule), &text);
	snprintf(key, sizeof(key), "%u", found->table);
	subnets = json_object_get(users, key);
	return json_pack("{s:s?, s:I, s:o, s:s, s:o, s:o}", "table", *text.id ? text.id : NULL, "version",
			 (json_int_t)found->table, "destination",
			 view_prefix(found->family, &found->addr, found->prefixlen), "route",
			 route->kind < ROUTE_KINDS ? kinds[route->kind] : "unknown", "target",
			 view_port_name(view, route->target), "subnets", subnets ? json_incref(subnets) : json_array());
}

int show_routes(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"table", "version", "destination", "route", "target", "subnets", NULL};
	struct found_routes found = {0};
	json_t *users = subnets_by_table(view);
	int r = collect4(view, &found);

	if (!r)
		r = collect6(view, &found);
	if (!r) {
		if (found.nr)
			qsort(found.routes, found.nr, sizeof(*found.routes), compare_routes);
		output_begin(output, json, columns);
		for (size_t i = 0; i < found.nr; i++)
			output_row(output, route_row(view, &found.routes[i], users), NULL);
		r = output_end(output);
	}
	free(found.routes);
	json_decref(users);
	return r;
}
