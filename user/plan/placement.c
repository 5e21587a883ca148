/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "plan/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

const struct entry_class entry_classes[ENTRY_KINDS] = {
	[ENTRY_ADDRESS] = {"addresses", sizeof(struct address_key), sizeof(struct address) / 2, ADDRESSES_MAX},
	[ENTRY_ASSOCIATION] = {"associations", sizeof(struct association_key), sizeof(struct association) / 2,
			       ASSOCIATIONS_MAX},
	[ENTRY_MAC] = {"macs", sizeof(struct mac_key), sizeof(struct mac_owner) / 2, PORTS_MAX},
};

_Static_assert(sizeof(struct association) / 2 <= ENTRY_VALUE_MAX, "a value of one parity fits");
_Static_assert(sizeof(struct association_key) <= ENTRY_KEY_MAX && sizeof(struct mac_key) <= ENTRY_KEY_MAX,
	       "so do keys");

int placement_init(struct placement *placement, uint32_t policy_lines)
{
	*placement = (struct placement){.nr_ports = 1, .nr_subnets = 1, .nr_gateways = 1};
	placement->ports = calloc(1, sizeof(*placement->ports));
	placement->subnets = calloc(1, sizeof(*placement->subnets));
	placement->gateways = calloc(1, sizeof(*placement->gateways));
	if (!placement->ports || !placement->subnets || !placement->gateways ||
	    arena_init(&placement->lines, 1, policy_lines - 1) < 0 || /* line 0 means "nothing" */
	    arena_init(&placement->rules, 1, RULE_NUMBER_MAX) < 0 ||
	    arena_init(&placement->table_numbers, 1, TABLES_MAX - 1) < 0) {
		placement_done(placement);
		return -ENOMEM;
	}
	return 0;
}

int entry_list_new(struct entry_list *list, size_t nr)
{
	*list = (struct entry_list){.entries = calloc(nr + 1, sizeof(struct entry)),
				    .references = malloc(sizeof(*list->references))};
	if (!list->entries || !list->references) {
		free(list->entries);
		free(list->references);
		*list = (struct entry_list){};
		return -ENOMEM;
	}
	list->nr = nr;
	*list->references = 1;
	return 0;
}

struct entry_list entry_list_ref(const struct entry_list *list)
{
	++*list->references;
	return *list;
}

static void entry_list_unref(struct entry_list *list)
{
	if (list->references && --*list->references)
		return;
	free(list->references);
	free(list->entries);
}

void placement_done(struct placement *placement)
{
	for (size_t i = 0; i < placement->nr_tables; i++)
		table_routes_unref(&placement->tables[i].routes);
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		entry_list_unref(&placement->entries[kind]);
	free(placement->shape_ports);
	free(placement->shape_subnets);
	free(placement->shape_gateways);
	free(placement->ports);
	free(placement->port_order);
	free(placement->subnets);
	free(placement->subnet_order);
	free(placement->gateways);
	free(placement->objects);
	free(placement->tables);
	arena_done(&placement->lines);
	arena_done(&placement->rules);
	arena_done(&placement->table_numbers);
	*placement = (struct placement){};
}

uint32_t placement_port(const struct placement *placement, const char *id)
{
	size_t low = 0, high = placement->nr_ports - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(placement->ports[placement->port_order[middle]].id, id);

		if (!order)
			return placement->port_order[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

uint32_t placement_subnet(const struct placement *placement, const char *id)
{
	size_t low = 0, high = placement->nr_subnets - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(placement->subnets[placement->subnet_order[middle]].id, id);

		if (!order)
			return placement->subnet_order[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* Objects and tables begin with their hash, so one order serves both: that of the image. */
int content_hash_compare(const void *left, const void *right)
{
	return image_hash_compare(left, right);
}

const struct placed_object *placement_object(const struct placement *placement, const struct content_hash *hash)
{
	if (!placement->nr_objects)
		return NULL;
	return bsearch(hash, placement->objects, placement->nr_objects, sizeof(*placement->objects),
		       content_hash_compare);
}

const struct placed_table *placement_table(const struct placement *placement, const struct content_hash *hash)
{
	if (!placement->nr_tables)
		return NULL;
	return bsearch(hash, placement->tables, placement->nr_tables, sizeof(*placement->tables), content_hash_compare);
}

static int port_order(const void *left, const void *right, void *ports)
{
	const struct placed_port *all = ports;

	return strcmp(all[*(const uint32_t *)left].id, all[*(const uint32_t *)right].id);
}

static int subnet_order(const void *left, const void *right, void *subnets)
{
	const struct placed_subnet *all = subnets;

	return strcmp(all[*(const uint32_t *)left].id, all[*(const uint32_t *)right].id);
}

/* Numbers 1 .. nr-1, by the id that `compare` finds. */
static uint32_t *numbers_by_id(uint32_t nr, int (*compare)(const void *, const void *, void *), void *all)
{
	uint32_t *order = malloc(nr * sizeof(*order));

	if (!order)
		return NULL;
	for (uint32_t number = 1; number < nr; number++)
		order[number - 1] = number;
	qsort_r(order, nr - 1, sizeof(*order), compare, all);
	return order;
}

static int entry_order(const void *left, const void *right)
{
	return memcmp(left, right, ENTRY_KEY_MAX);
}

static bool entries_are_sorted(const struct entry_list *list)
{
	for (size_t i = 1; i < list->nr; i++)
		if (entry_order(&list->entries[i - 1], &list->entries[i]) >= 0)
			return false;
	return true;
}

static bool is_by_hash(const void *base, size_t nr, size_t size)
{
	for (size_t i = 1; i < nr; i++)
		if (content_hash_compare((const char *)base + (i - 1) * size, (const char *)base + i * size) > 0)
			return false;
	return true;
}

static void sort_by_hash(void *base, size_t nr, size_t size)
{
	if (!is_by_hash(base, nr, size))
		qsort(base, nr, size, content_hash_compare);
}

static void sort_lists(struct placement *placement)
{
	sort_by_hash(placement->objects, placement->nr_objects, sizeof(*placement->objects));
	sort_by_hash(placement->tables, placement->nr_tables, sizeof(*placement->tables));
	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		struct entry_list *list = &placement->entries[kind];

		if (list->references && *list->references > 1)
			continue;
		if (!entries_are_sorted(list))
			qsort(list->entries, list->nr, sizeof(*list->entries), entry_order);
	}
}

static int take_orders(struct placement *placement, uint32_t *ports, uint32_t *subnets)
{
	if (!ports || !subnets) {
		free(ports);
		free(subnets);
		return -ENOMEM;
	}
	free(placement->port_order);
	free(placement->subnet_order);
	placement->port_order = ports;
	placement->subnet_order = subnets;
	sort_lists(placement);
	return 0;
}

int placement_sort(struct placement *placement)
{
	return take_orders(placement, numbers_by_id(placement->nr_ports, port_order, placement->ports),
			   numbers_by_id(placement->nr_subnets, subnet_order, placement->subnets));
}

static bool same_ids(const struct placement *a, const struct placement *b)
{
	if (a->nr_ports != b->nr_ports || a->nr_subnets != b->nr_subnets || !b->port_order || !b->subnet_order)
		return false;
	for (uint32_t number = 1; number < a->nr_ports; number++)
		if (memcmp(a->ports[number].id, b->ports[number].id, ID_MAX) != 0)
			return false;
	for (uint32_t number = 1; number < a->nr_subnets; number++)
		if (memcmp(a->subnets[number].id, b->subnets[number].id, ID_MAX) != 0)
			return false;
	return true;
}

static uint32_t *copy_order(const uint32_t *order, uint32_t nr)
{
	uint32_t *copy = malloc(nr * sizeof(*copy));

	if (copy)
		memcpy(copy, order, (nr - 1) * sizeof(*copy));
	return copy;
}

int placement_sort_like(struct placement *placement, const struct placement *other, bool same)
{
	if (!same && !same_ids(placement, other))
		return placement_sort(placement);
	return take_orders(placement, copy_order(other->port_order, other->nr_ports),
			   copy_order(other->subnet_order, other->nr_subnets));
}

struct table_routes *table_routes_new(size_t nr)
{
	struct table_routes *routes = calloc(1, sizeof(*routes) + nr * sizeof(*routes->cidrs));

	if (routes) {
		routes->references = 1;
		routes->nr = nr;
	}
	return routes;
}

struct table_routes *table_routes_ref(struct table_routes *routes)
{
	if (routes)
		routes->references++;
	return routes;
}

void table_routes_unref(struct table_routes **routes)
{
	if (*routes && !--(*routes)->references)
		free(*routes);
	*routes = NULL;
}
