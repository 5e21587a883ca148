/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ranges of numbers, handed out and taken back: lines of the map `policy`, rule numbers, table numbers.
 *
 * Invariants
 *  A1  The free extents are sorted, do not overlap, do not touch and are not empty.
 *  A2  What was handed out is free again only after arena_give(); giving back what is free is refused.
 */
#ifndef ENID_ARENA_H
#define ENID_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct extent {
	uint32_t start, length;
};

struct arena {
	struct extent *free; /* sorted by start (A1) */
	size_t nr, capacity;
	uint32_t cursor; /* where arena_take_next() goes on */
};

int arena_init(struct arena *arena, uint32_t start, uint32_t length);
int arena_copy(struct arena *to, const struct arena *from);
void arena_done(struct arena *arena);

/* The first free range of `length` (> 0). ret: 0 | -ENOSPC | -ENOMEM */
int arena_take(struct arena *arena, uint32_t length, uint32_t *ret_start);

/* The same, but going round: a number that was given back is not handed out again soon, because old flows still bear
 * it. */
int arena_take_next(struct arena *arena, uint32_t length, uint32_t *ret_start);

/* Take exactly this range. ret: 0 | -EEXIST (not all of it is free) | -ENOMEM */
int arena_reserve(struct arena *arena, uint32_t start, uint32_t length);

/* ret: 0 | -EINVAL (some of it is free already) | -ENOMEM */
int arena_give(struct arena *arena, uint32_t start, uint32_t length);

/* All that is free, in however many pieces. */
uint64_t arena_left(const struct arena *arena);

#endif
