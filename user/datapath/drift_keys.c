/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/drift_keys.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/cidr.h"

#define ROUTE_KEY_TABLE_BITS 32 /* of a prefix: the number of the table */

typedef bool (*wanted_fn)(struct drift_walk *walk, const void *key);

/* ---- tables and routes */

static bool know_tables(struct drift_walk *walk)
{
	const struct placement *placement = &walk->datapath->placement;

	if (walk->table_index)
		return true;
	walk->table_index = calloc(TABLES_MAX, sizeof(*walk->table_index));
	for (size_t i = 0; walk->table_index && i < placement->nr_tables; i++)
		walk->table_index[placement->tables[i].number] = (uint32_t)i + 1;
	return walk->table_index;
}

/* After know_tables() */
static const struct placed_table *table_by_number(const struct drift_walk *walk, uint32_t number)
{
	uint32_t index = number < TABLES_MAX ? walk->table_index[number] : 0;

	return index ? &walk->datapath->placement.tables[index - 1] : NULL;
}

/* Without memory to know, what there is stays where it is. */
static bool table_wanted(struct drift_walk *walk, const void *key)
{
	return !know_tables(walk) || table_by_number(walk, *(const uint32_t *)key);
}

/* NULL = none of the image: what was placed of it is not ours to judge. */
static const struct image_table *image_table_of(const struct drift_walk *walk, const struct placed_table *placed)
{
	size_t low = 0, high = walk->image->nr_tables;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = image_hash_compare(&placed->hash, &walk->image->tables[mid].hash);

		if (!order)
			return &walk->image->tables[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static int compare_route(const void *cidr, const void *route)
{
	return cidr_compare(cidr, &((const struct image_route *)route)->cidr);
}

/* By the image, whose routes are in order, for the placement may have been read from maps that somebody had changed. */
static bool route_wanted(struct drift_walk *walk, uint32_t number, const struct cidr *cidr)
{
	const struct placed_table *placed;
	const struct image_table *table;

	if (number >= TABLES_MAX)
		return false;
	if (!know_tables(walk))
		return true;
	placed = table_by_number(walk, number);
	if (!placed)
		return false;
	table = image_table_of(walk, placed);
	return !table || bsearch(cidr, table->routes, table->nr_routes, sizeof(*table->routes), compare_route);
}

static bool route4_wanted(struct drift_walk *walk, const void *data)
{
	const struct route4_key *key = data;
	struct cidr cidr = {.family = 4, .prefixlen = (uint8_t)(key->prefixlen - ROUTE_KEY_TABLE_BITS)};

	cidr.addr.ip4 = key->addr;
	return key->prefixlen >= ROUTE_KEY_TABLE_BITS && route_wanted(walk, key->table, &cidr);
}

static bool route6_wanted(struct drift_walk *walk, const void *data)
{
	const struct route6_key *key = data;
	struct cidr cidr = {.family = 6, .prefixlen = (uint8_t)(key->prefixlen - ROUTE_KEY_TABLE_BITS)};

	memcpy(cidr.addr.bytes, key->addr, sizeof(cidr.addr.bytes));
	return key->prefixlen >= ROUTE_KEY_TABLE_BITS && route_wanted(walk, key->table, &cidr);
}

/* ---- entries: their lists are sorted (P3) */

static bool entry_wanted(const struct drift_walk *walk, int kind, const void *key)
{
	const struct entry_list *list = &walk->datapath->placement.entries[kind];
	size_t low = 0, high = list->nr;
	uint8_t whole[ENTRY_KEY_MAX] = {};

	memcpy(whole, key, entry_classes[kind].key_size);
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = memcmp(whole, list->entries[mid].key, sizeof(whole));

		if (!order)
			return true;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

static bool address_wanted(struct drift_walk *walk, const void *key)
{
	return entry_wanted(walk, ENTRY_ADDRESS, key);
}

static bool association_wanted(struct drift_walk *walk, const void *key)
{
	return entry_wanted(walk, ENTRY_ASSOCIATION, key);
}

static bool mac_wanted(struct drift_walk *walk, const void *key)
{
	return entry_wanted(walk, ENTRY_MAC, key);
}

static const struct keyed {
	const char *map;
	size_t key_size;
	wanted_fn wanted;
} keyed[DRIFT_KEYED_MAPS] = {
	{"tables", sizeof(uint32_t), table_wanted},
	{"routes4", sizeof(struct route4_key), route4_wanted},
	{"routes6", sizeof(struct route6_key), route6_wanted},
	{"addresses", sizeof(struct address_key), address_wanted},
	{"associations", sizeof(struct association_key), association_wanted},
	{"macs", sizeof(struct mac_key), mac_wanted},
};

/* A key is deleted when the one behind it is known already, or the kernel would begin again. */
int drift_next_key(struct drift_walk *walk, size_t n)
{
	const struct keyed *map = &keyed[n];
	int fd = datapath_map_fd(walk->datapath, map->map);
	uint8_t next[sizeof(walk->key)] = {};
	bool more = !bpf_map_get_next_key(fd, walk->begun ? walk->key : NULL, next), surplus;

	surplus = walk->begun && !map->wanted(walk, walk->key);
	if (surplus) {
		if (!bpf_map_delete_elem(fd, walk->key))
			drift_note(walk, map->map, "");
		else if (errno != ENOENT) /* since it was met, an apply took it away: that is nobody's doing */
			return -errno;
	}
	memcpy(walk->key, next, sizeof(next));
	walk->begun = more;
	return !more;
}

void drift_keys_forget(struct drift_walk *walk)
{
	free(walk->table_index);
	walk->table_index = NULL;
}

void drift_keys_restart(struct drift_walk *walk)
{
	drift_keys_forget(walk);
	walk->begun = false;
}
