/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "plan/changes.h"

#include <string.h>

const char *const plan_map_names[PLAN_MAP_MAX] = {
#define X(symbol, name) name,
	PLAN_MAPS(X)
#undef X
};

/* How full a map is follows from what it has now and what changes. */
static void fill(struct map_change *change, uint64_t before, uint64_t max)
{
	change->before = before;
	change->most = before + change->added;
	change->after = change->most - change->deleted;
	change->max = max;
}

static uint64_t lines_of(const struct placement *placement)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < placement->nr_objects; i++)
		nr += placement->objects[i].nr_lines;
	return nr;
}

static void count_objects(const struct plan *plan, const struct placement *current, struct map_change *ret)
{
	for (size_t i = 0; i < plan->next.nr_objects; i++)
		if (!placement_object(current, &plan->next.objects[i].hash))
			ret->added += plan->next.objects[i].nr_lines;
	for (size_t i = 0; i < current->nr_objects; i++)
		if (!placement_object(&plan->next, &current->objects[i].hash))
			ret->deleted += current->objects[i].nr_lines;
	fill(ret, lines_of(current), lines_of(current) + arena_left(&current->lines));
}

static void count_tables(const struct plan *plan, const struct placement *current, struct map_change *ret)
{
	for (size_t i = 0; i < plan->next.nr_tables; i++) {
		const struct placed_table *table = &plan->next.tables[i];

		if (placement_table(current, &table->hash))
			continue;
		ret[MAP_TABLES].added++;
		ret[MAP_ROUTES4].added += table->routes->nr4;
		ret[MAP_ROUTES6].added += table->routes->nr6;
	}
	for (size_t i = 0; i < plan->nr_old_tables; i++) {
		ret[MAP_TABLES].deleted++;
		ret[MAP_ROUTES4].deleted += plan->old_tables[i]->routes->nr4;
		ret[MAP_ROUTES6].deleted += plan->old_tables[i]->routes->nr6;
	}
	fill(&ret[MAP_TABLES], current->nr_tables, TABLES_MAX - 1);
	fill(&ret[MAP_ROUTES4], current->nr_routes4, ROUTES_MAX);
	fill(&ret[MAP_ROUTES6], current->nr_routes6, ROUTES_MAX);
}

static void count_element(struct map_change *ret, bool was, bool is)
{
	ret->added += !was && is;
	ret->updated += was == is;
	ret->deleted += was && !is;
}

static bool port_in_use(const struct placement *placement, uint32_t number)
{
	return number < placement->nr_ports && placement->ports[number].policy.kind != PORT_NONE;
}

static void count_ports(const struct plan *plan, const struct placement *current, struct map_change *ret)
{
	uint64_t before = 0;

	for (size_t i = 0; i < plan->nr_ports; i++) {
		const struct plan_port *port = &plan->ports[i];

		count_element(&ret[MAP_PORTS], port_in_use(current, port->number),
			      port_in_use(&plan->next, port->number));
		if (port->named)
			count_element(&ret[MAP_PORT_NAMES], port->number < current->nr_ports, true);
	}
	for (uint32_t number = 1; number < current->nr_ports; number++)
		before += port_in_use(current, number);
	fill(&ret[MAP_PORTS], before, PORTS_MAX - 1);
	fill(&ret[MAP_PORT_NAMES], current->nr_ports - 1, PORTS_MAX - 1);
}

static bool subnet_in_use(const struct placement *placement, uint32_t number)
{
	static const struct subnet_policy none;

	return number < placement->nr_subnets && memcmp(&placement->subnets[number].policy, &none, sizeof(none)) != 0;
}

static void count_subnets(const struct plan *plan, const struct placement *current, struct map_change *ret)
{
	uint64_t before = 0;

	for (size_t i = 0; i < plan->nr_subnets; i++) {
		const struct plan_subnet *subnet = &plan->subnets[i];

		count_element(&ret[MAP_SUBNETS], subnet_in_use(current, subnet->number),
			      subnet_in_use(&plan->next, subnet->number));
		ret[MAP_SUBNET_NAMES].added += subnet->named;
	}
	for (uint32_t number = 1; number < current->nr_subnets; number++)
		before += subnet_in_use(current, number);
	fill(&ret[MAP_SUBNETS], before, SUBNETS_MAX - 1);
	fill(&ret[MAP_SUBNET_NAMES], current->nr_subnets - 1, SUBNETS_MAX - 1);
}

static bool gateway_in_use(const struct placement *placement, uint32_t number)
{
	return number < placement->nr_gateways && placement->gateways[number].kind != GATEWAY_NONE;
}

static void count_gateways(const struct plan *plan, const struct placement *current, struct map_change *ret)
{
	uint64_t before = 0;

	for (size_t i = 0; i < plan->nr_gateways; i++)
		count_element(ret, gateway_in_use(current, plan->gateways[i]),
			      gateway_in_use(&plan->next, plan->gateways[i]));
	for (uint32_t number = 1; number < current->nr_gateways; number++)
		before += gateway_in_use(current, number);
	fill(ret, before, GATEWAYS_MAX - 1);
}

static void count_entries(const struct plan *plan, const struct placement *current, int kind, struct map_change *ret)
{
	for (size_t i = 0; i < plan->nr_entries[kind]; i++)
		count_element(ret, plan->entries[kind][i].old, plan->entries[kind][i].new);
	fill(ret, current->entries[kind].nr, entry_classes[kind].max);
}

void plan_changes(const struct plan *plan, const struct placement *current, struct map_change ret[PLAN_MAP_MAX])
{
	memset(ret, 0, PLAN_MAP_MAX * sizeof(*ret));
	count_objects(plan, current, &ret[MAP_POLICY]);
	count_tables(plan, current, ret);
	count_ports(plan, current, ret);
	count_subnets(plan, current, ret);
	count_gateways(plan, current, &ret[MAP_GATEWAYS]);
	count_entries(plan, current, ENTRY_ADDRESS, &ret[MAP_ADDRESSES]);
	count_entries(plan, current, ENTRY_ASSOCIATION, &ret[MAP_ASSOCIATIONS]);
	count_entries(plan, current, ENTRY_MAC, &ret[MAP_MACS]);
	ret[MAP_CONTROL].updated = !plan_is_empty(plan);
	fill(&ret[MAP_CONTROL], 1, 1);
}

void plan_use(const struct placement *current, struct map_change ret[PLAN_MAP_MAX])
{
	static const struct plan nothing;

	plan_changes(&nothing, current, ret);
}
