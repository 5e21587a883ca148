/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sums of the flow logs: dense entries in a store, and an open-addressed index over them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "enid/flow_hash.h"
#include "flowlog/window.h"

#define ENTRIES_FIRST 1024u

_Static_assert(sizeof(struct window_key) == 56, "keys are hashed and compared as seven words");

static size_t bytes_for(uint32_t entries)
{
	return sizeof(struct window_header) + (size_t)entries * sizeof(struct window_entry);
}

static uint32_t capacity(const struct window *window)
{
	return (uint32_t)((window->store.size - sizeof(struct window_header)) / sizeof(struct window_entry));
}

struct window_header *window_header(const struct window *window)
{
	return window->store.base;
}

struct window_entry *window_entries(const struct window *window)
{
	return (struct window_entry *)((char *)window->store.base + sizeof(struct window_header));
}

/* Secret: a guest that chose colliding tuples would make the agent slow, not wrong (C13). */
static uint32_t hash_key(const struct window *window, const struct window_key *key)
{
	const uint64_t *word = (const uint64_t *)key;
	uint64_t hash = 0;

	for (unsigned int i = 0; i < sizeof(*key) / sizeof(*word); i++)
		hash += flow_mix(word[i], window->secret + 0x9e3779b97f4a7c15ull * i);
	return (uint32_t)(hash ^ hash >> 32);
}

/* The index slot that holds the entry of `key`, or the free one where it belongs. */
static uint32_t *find_slot(const struct window *window, const struct window_key *key)
{
	const struct window_entry *entries = window_entries(window);
	uint32_t at = hash_key(window, key) & window->mask;

	while (window->index[at] && memcmp(&entries[window->index[at] - 1].key, key, sizeof(*key)) != 0)
		at = (at + 1) & window->mask;
	return &window->index[at];
}

static int make_index(struct window *window, uint32_t slots)
{
	uint32_t *index = calloc(slots, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(window->index);
	window->index = index;
	window->mask = slots - 1;
	for (uint32_t i = 0; i < window_header(window)->used; i++)
		*find_slot(window, &window_entries(window)[i].key) = i + 1;
	return 0;
}

static void start_empty(struct window *window, uint64_t instance)
{
	*window_header(window) = (struct window_header){
		.magic = WINDOW_MAGIC,
		.instance = instance,
		.entry_size = sizeof(struct window_entry),
	};
}

static bool is_usable(const struct window *window, uint64_t instance)
{
	const struct window_header *header = window_header(window);

	return header->magic == WINDOW_MAGIC && header->instance == instance &&
	       header->entry_size == sizeof(struct window_entry) && header->used <= capacity(window) &&
	       header->state <= WINDOW_CLOSED;
}

int window_open(const char *dir, const char *name, uint64_t instance, uint32_t max, struct window *ret)
{
	struct window window = {.max = max};
	uint32_t slots = 2 * ENTRIES_FIRST;
	int r;

	if (getrandom(&window.secret, sizeof(window.secret), 0) != sizeof(window.secret))
		return -EIO;
	r = store_open(dir, name, bytes_for(ENTRIES_FIRST), &window.store);
	if (r)
		return r;
	if (!is_usable(&window, instance))
		start_empty(&window, instance);
	while (slots < 2 * window_header(&window)->used)
		slots *= 2;
	r = make_index(&window, slots);
	if (r) {
		store_close(&window.store);
		return r;
	}
	*ret = window;
	return 0;
}

void window_close(struct window *window)
{
	free(window->index);
	store_close(&window->store);
	*window = (struct window){.store.fd = -1};
}

/* Room for one more entry, in the store and in the index. */
static int make_room(struct window *window)
{
	uint32_t used = window_header(window)->used;
	int r = 0;

	if (used >= window->max)
		return -ENOSPC;
	if (used >= capacity(window))
		r = store_grow(&window->store, bytes_for(2 * capacity(window)));
	if (!r && 2 * (used + 1) > window->mask + 1)
		r = make_index(window, 2 * (window->mask + 1));
	return r;
}

void window_merge(struct window_count *into, const struct window_count *count)
{
	if (count->last_s >= into->last_s && count->rule)
		into->rule = count->rule;
	if (count->last_s >= into->last_s && count->flow)
		into->flow = count->flow;
	into->packets += count->packets;
	into->bytes += count->bytes;
	into->tcp_flags |= count->tcp_flags;
	if (count->first_s < into->first_s)
		into->first_s = count->first_s;
	if (count->last_s > into->last_s)
		into->last_s = count->last_s;
}

int window_add(struct window *window, const struct window_key *key, uint32_t interval_s,
	       const struct window_count *count)
{
	uint32_t *slot = find_slot(window, key), used;
	int r;

	if (*slot) {
		window_merge(&window_entries(window)[*slot - 1].count, count);
		return 0;
	}
	r = make_room(window);
	if (r)
		return r;
	slot = find_slot(window, key);
	used = window_header(window)->used;
	window_entries(window)[used] = (struct window_entry){.key = *key, .count = *count, .interval_s = interval_s};
	__atomic_store_n(&window_header(window)->used, used + 1, __ATOMIC_RELEASE);
	*slot = used + 1;
	return 0;
}

static int copy_unfinished(const struct window *window, struct window *next)
{
	const struct window_header *header = window_header(window);

	for (uint32_t i = 0; i < header->used; i++) {
		const struct window_entry *entry = &window_entries(window)[i];
		int r = window_is_due(header, entry) ? 0
						     : window_add(next, &entry->key, entry->interval_s, &entry->count);

		if (r)
			return r;
	}
	return 0;
}

static uint64_t new_sequence(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int window_hand_over(struct window *window, struct window *next, uint32_t from_s, uint32_t due_s, bool partial)
{
	struct window_header *header = window_header(window), *next_header = window_header(next);
	int r;

	if (!header->sequence) /* nobody shall take it for an earlier one that he has done (sink.h) */
		header->sequence = new_sequence();
	header->from_s = from_s;
	header->due_s = due_s;
	header->partial = partial;
	header->log_inode = 0;
	next_header->sequence = header->sequence + 1;
	next_header->state = WINDOW_COPYING;
	r = copy_unfinished(window, next);
	if (r) {
		window_reset(next);
		return r;
	}
	__atomic_store_n(&header->state, WINDOW_CLOSED, __ATOMIC_RELEASE);
	__atomic_store_n(&window_header(next)->state, WINDOW_OPEN, __ATOMIC_RELEASE);
	return 0;
}

void window_reset(struct window *window)
{
	uint64_t instance = window_header(window)->instance;
	uint32_t *small;

	__atomic_store_n(&window_header(window)->state, WINDOW_EMPTY, __ATOMIC_RELEASE);
	start_empty(window, instance);
	store_shrink(&window->store, bytes_for(ENTRIES_FIRST));
	small = window->mask + 1 > 2 * ENTRIES_FIRST ? calloc((size_t)2 * ENTRIES_FIRST, sizeof(*small)) : NULL;
	if (small) {
		free(window->index);
		window->index = small;
		window->mask = 2 * ENTRIES_FIRST - 1;
	} else {
		memset(window->index, 0, ((size_t)window->mask + 1) * sizeof(*window->index));
	}
}
