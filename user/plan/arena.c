/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "plan/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int arena_init(struct arena *arena, uint32_t start, uint32_t length)
{
	*arena = (struct arena){.cursor = start};
	return length ? arena_give(arena, start, length) : 0;
}

int arena_copy(struct arena *to, const struct arena *from)
{
	struct extent *extents = NULL;

	if (from->nr) {
		extents = malloc(from->nr * sizeof(*extents));
		if (!extents)
			return -ENOMEM;
		memcpy(extents, from->free, from->nr * sizeof(*extents));
	}
	*to = (struct arena){.free = extents, .nr = from->nr, .capacity = from->nr, .cursor = from->cursor};
	return 0;
}

void arena_done(struct arena *arena)
{
	free(arena->free);
	*arena = (struct arena){};
}

/* Index of the first extent that ends after `start`. */
static size_t extent_at(const struct arena *arena, uint32_t start)
{
	size_t low = 0, high = arena->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct extent *extent = &arena->free[middle];

		if ((uint64_t)extent->start + extent->length > start)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int extent_insert(struct arena *arena, size_t at, struct extent extent)
{
	if (arena->nr == arena->capacity) {
		size_t capacity = arena->capacity ? 2 * arena->capacity : 16;
		struct extent *extents = realloc(arena->free, capacity * sizeof(*extents));

		if (!extents)
			return -ENOMEM;
		arena->free = extents;
		arena->capacity = capacity;
	}
	memmove(arena->free + at + 1, arena->free + at, (arena->nr - at) * sizeof(extent));
	arena->free[at] = extent;
	arena->nr++;
	return 0;
}

static void extent_remove(struct arena *arena, size_t at)
{
	arena->nr--;
	memmove(arena->free + at, arena->free + at + 1, (arena->nr - at) * sizeof(*arena->free));
}

/* Cut [start, start + length) out of the extent `at` that contains it. */
static int extent_cut(struct arena *arena, size_t at, uint32_t start, uint32_t length)
{
	struct extent *extent = &arena->free[at];
	uint32_t before = start - extent->start, after = extent->length - before - length;

	if (before && after) {
		int r = extent_insert(arena, at + 1, (struct extent){start + length, after});

		if (r < 0)
			return r;
		arena->free[at].length = before;
	} else if (before) {
		extent->length = before;
	} else if (after) {
		*extent = (struct extent){start + length, after};
	} else {
		extent_remove(arena, at);
	}
	return 0;
}

int arena_take(struct arena *arena, uint32_t length, uint32_t *ret_start)
{
	for (size_t i = 0; i < arena->nr; i++) {
		uint32_t start = arena->free[i].start;
		int r;

		if (arena->free[i].length < length)
			continue;
		r = extent_cut(arena, i, start, length);
		if (r < 0)
			return r;
		*ret_start = start;
		return 0;
	}
	return -ENOSPC;
}

int arena_take_next(struct arena *arena, uint32_t length, uint32_t *ret_start)
{
	size_t first = extent_at(arena, arena->cursor);
	int r;

	for (size_t i = first; i < arena->nr; i++) {
		struct extent *extent = &arena->free[i];
		uint32_t start = extent->start < arena->cursor ? arena->cursor : extent->start;

		if (extent->length - (start - extent->start) < length)
			continue;
		r = extent_cut(arena, i, start, length);
		if (r < 0)
			return r;
		arena->cursor = start + length;
		*ret_start = start;
		return 0;
	}
	r = arena_take(arena, length, ret_start);
	if (!r)
		arena->cursor = *ret_start + length;
	return r;
}

int arena_reserve(struct arena *arena, uint32_t start, uint32_t length)
{
	size_t at = extent_at(arena, start);
	const struct extent *extent = &arena->free[at];

	if (at == arena->nr || extent->start > start ||
	    (uint64_t)extent->start + extent->length < (uint64_t)start + length)
		return -EEXIST;
	return extent_cut(arena, at, start, length);
}

int arena_give(struct arena *arena, uint32_t start, uint32_t length)
{
	size_t at = extent_at(arena, start);
	struct extent *after = at < arena->nr ? &arena->free[at] : NULL;
	struct extent *before = at ? &arena->free[at - 1] : NULL;

	if (after && after->start < (uint64_t)start + length)
		return -EINVAL;
	if (before && before->start + before->length == start) {
		before->length += length;
		if (after && after->start == start + length) {
			before->length += after->length;
			extent_remove(arena, at);
		}
	} else if (after && after->start == start + length) {
		*after = (struct extent){start, length + after->length};
	} else {
		return extent_insert(arena, at, (struct extent){start, length});
	}
	return 0;
}

uint64_t arena_left(const struct arena *arena)
{
	uint64_t left = 0;

	for (size_t i = 0; i < arena->nr; i++)
		left += arena->free[i].length;
	return left;
}
