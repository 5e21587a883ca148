/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "host.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

uint64_t host_updates_left = UINT64_MAX;

static struct host_entry *graves;

static uint32_t round8(uint32_t size)
{
	return (size + 7) & ~7u;
}

uint32_t host_map_stride(const struct host_map *map)
{
	return round8(map->value_size);
}

static bool is_array(const struct host_map *map)
{
	return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_ring(const struct host_map *map)
{
	return map->type == BPF_MAP_TYPE_QUEUE || map->type == BPF_MAP_TYPE_STACK;
}

static size_t values_size(const struct host_map *map)
{
	return (size_t)map->max_entries * host_map_stride(map);
}

static void must(bool holds, const char *what)
{
	if (!holds) {
		__builtin_printf("host: %s\n", what);
		abort();
	}
}

void host_map_init(struct host_map *map, void *borrowed)
{
	map->borrowed = borrowed != NULL;
	if (borrowed) {
		map->values = borrowed;
	} else if (is_array(map) || is_ring(map)) {
		map->values = mmap(NULL, values_size(map), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		must(map->values != MAP_FAILED, "no memory for an array");
	} else if (map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
		must(map->type == BPF_MAP_TYPE_HASH || map->type == BPF_MAP_TYPE_LPM_TRIE,
		     "a map type that map.c does not know: add it");
		map->nr_chains = 64;
		map->chains = calloc(map->nr_chains, sizeof(*map->chains));
		must(map->chains, "no memory for a hash");
	}
}

void host_map_done(struct host_map *map)
{
	for (uint32_t i = 0; i < map->nr_chains; i++)
		while (map->chains[i]) {
			struct host_entry *entry = map->chains[i];

			map->chains[i] = entry->next;
			free(entry);
		}
	free(map->chains);
	if (map->values && !map->borrowed)
		munmap(map->values, values_size(map));
	memset(map, 0, sizeof(*map));
}

void host_grace(void)
{
	while (graves) {
		struct host_entry *entry = graves;

		graves = entry->next;
		free(entry);
	}
}

/* ---- hashes */

static uint64_t hash_of(const void *key, uint32_t size)
{
	const uint8_t *bytes = key;
	uint64_t hash = 14695981039346656037ull;

	for (uint32_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 1099511628211ull;
	return hash ^ hash >> 29;
}

static void *value_of(const struct host_map *map, struct host_entry *entry)
{
	return entry->key + round8(map->key_size);
}

static struct host_entry **place_of(struct host_map *map, const void *key, uint64_t hash)
{
	struct host_entry **at = &map->chains[hash & (map->nr_chains - 1)];

	while (*at && ((*at)->hash != hash || memcmp((*at)->key, key, map->key_size) != 0))
		at = &(*at)->next;
	return at;
}

static void grow(struct host_map *map)
{
	uint32_t nr = map->nr_chains * 4;
	struct host_entry **chains = calloc(nr, sizeof(*chains));

	must(chains, "no memory for a hash");
	for (uint32_t i = 0; i < map->nr_chains; i++)
		while (map->chains[i]) {
			struct host_entry *entry = map->chains[i];

			map->chains[i] = entry->next;
			entry->next = chains[entry->hash & (nr - 1)];
			chains[entry->hash & (nr - 1)] = entry;
		}
	free(map->chains);
	map->chains = chains;
	map->nr_chains = nr;
}

static void bury(struct host_entry **at)
{
	struct host_entry *entry = *at;

	*at = entry->next;
	entry->next = graves;
	graves = entry;
}

/* As in the kernel an update of a hash puts a new element in the old one's place: who holds the old one keeps it. */
static int hash_update(struct host_map *map, const void *key, const void *value, uint64_t flags)
{
	uint64_t hash = hash_of(key, map->key_size);
	struct host_entry **at = place_of(map, key, hash), *entry;

	if (*at && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!*at && flags == BPF_EXIST)
		return -ENOENT;
	if (!*at && map->nr >= map->max_entries)
		return -E2BIG;
	if (!host_updates_left)
		return -ENOMEM;
	host_updates_left -= host_updates_left != UINT64_MAX;
	entry = calloc(1, sizeof(*entry) + round8(map->key_size) + host_map_stride(map));
	must(entry, "no memory for an entry");
	entry->hash = hash;
	memcpy(entry->key, key, map->key_size);
	memcpy(value_of(map, entry), value, map->value_size);
	if (*at)
		bury(at);
	else
		map->nr++;
	entry->next = *at;
	*at = entry;
	if (map->nr > 2 * map->nr_chains)
		grow(map);
	return 0;
}

static int hash_delete(struct host_map *map, const void *key)
{
	struct host_entry **at = place_of(map, key, hash_of(key, map->key_size));

	if (!*at)
		return -ENOENT;
	bury(at);
	map->nr--;
	return 0;
}

static void *hash_lookup(struct host_map *map, const void *key)
{
	struct host_entry *entry = *place_of(map, key, hash_of(key, map->key_size));

	return entry ? value_of(map, entry) : NULL;
}

/* ---- tries: a hash of prefixes, asked from the longest to the shortest */

#define TRIE_KEY_MAX 64

struct trie_key {
	uint32_t prefixlen;
	uint8_t data[TRIE_KEY_MAX];
};

static struct trie_key prefix_of(const struct host_map *map, const void *key, uint32_t prefixlen)
{
	struct trie_key prefix = {.prefixlen = prefixlen};
	const uint8_t *data = (const uint8_t *)key + sizeof(uint32_t);

	memcpy(prefix.data, data, map->key_size - sizeof(uint32_t));
	for (uint32_t bit = prefixlen; bit < 8 * (map->key_size - sizeof(uint32_t)); bit++)
		prefix.data[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
	return prefix;
}

static uint32_t prefixlen_of(const void *key)
{
	uint32_t prefixlen;

	memcpy(&prefixlen, key, sizeof(prefixlen));
	return prefixlen;
}

static void *trie_lookup(struct host_map *map, const void *key)
{
	for (uint32_t length = prefixlen_of(key) + 1; length-- > 0;) {
		struct trie_key prefix;
		void *value;

		if (!map->nr_of_length[length])
			continue;
		prefix = prefix_of(map, key, length);
		value = hash_lookup(map, &prefix);
		if (value)
			return value;
	}
	return NULL;
}

static int trie_change(struct host_map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t length = prefixlen_of(key), nr = map->nr;
	struct trie_key prefix;
	int r;

	if (length > 8 * (map->key_size - sizeof(uint32_t)))
		return -EINVAL;
	prefix = prefix_of(map, key, length);
	r = value ? hash_update(map, &prefix, value, flags) : hash_delete(map, &prefix);
	map->nr_of_length[length] += map->nr - nr;
	return r;
}

/* ---- any */

static void *array_at(struct host_map *map, const void *key)
{
	uint32_t index = prefixlen_of(key); /* four bytes, as there */

	return index < map->max_entries ? map->values + (size_t)index * host_map_stride(map) : NULL;
}

void *host_map_lookup(struct host_map *map, const void *key)
{
	if (is_array(map))
		return array_at(map, key);
	return map->type == BPF_MAP_TYPE_LPM_TRIE ? trie_lookup(map, key) : hash_lookup(map, key);
}

int host_map_update(struct host_map *map, const void *key, const void *value, uint64_t flags)
{
	if (is_array(map)) {
		void *at = array_at(map, key);

		if (!at)
			return -E2BIG;
		if (flags == BPF_NOEXIST)
			return -EEXIST;
		memcpy(at, value, map->value_size);
		return 0;
	}
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		return trie_change(map, key, value, flags);
	return hash_update(map, key, value, flags);
}

int host_map_delete(struct host_map *map, const void *key)
{
	if (is_array(map))
		return -EINVAL;
	return map->type == BPF_MAP_TYPE_LPM_TRIE ? trie_change(map, key, NULL, 0) : hash_delete(map, key);
}

int host_map_next(struct host_map *map, const void *key, void *ret_key)
{
	uint64_t hash = key ? hash_of(key, map->key_size) : 0;
	struct host_entry *entry = key ? *place_of(map, key, hash) : NULL;
	uint32_t chain = entry ? (uint32_t)(hash & (map->nr_chains - 1)) + 1 : 0;

	entry = entry ? entry->next : NULL;
	while (!entry && chain < map->nr_chains)
		entry = map->chains[chain++];
	if (!entry)
		return -ENOENT;
	memcpy(ret_key, entry->key, map->key_size);
	return 0;
}

int host_map_push(struct host_map *map, const void *value, uint64_t flags)
{
	if (map->nr >= map->max_entries) {
		if (flags != BPF_EXIST)
			return -E2BIG;
		map->head = (map->head + 1) % map->max_entries;
		map->nr--;
	}
	memcpy(map->values + (size_t)((map->head + map->nr) % map->max_entries) * host_map_stride(map), value,
	       map->value_size);
	map->nr++;
	return 0;
}

int host_map_pop(struct host_map *map, void *ret_value, bool keep)
{
	bool stack = map->type == BPF_MAP_TYPE_STACK;

	if (!map->nr) {
		memset(ret_value, 0, map->value_size);
		return -ENOENT;
	}
	memcpy(ret_value,
	       map->values + (size_t)((map->head + (stack ? map->nr - 1 : 0)) % map->max_entries) * host_map_stride(map),
	       map->value_size);
	if (keep)
		return 0;
	map->nr--;
	if (!stack)
		map->head = (map->head + 1) % map->max_entries;
	return 0;
}
