/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows: what a set of rules says about every service, as a step function from SERVICE_KEY to the deciding rule.
 *
 * Invariants
 *  R1  Equal functions have equal row numbers (hash-consing), so two addresses with the same rules share a service
 * tree. R2  Row 0 is "no rule anywhere". R3  Neighbouring steps of a row differ; the first step begins at 0. R4  Row
 * numbers depend only on the order of the calls: the same calls give the same object, byte for byte.
 */
#ifndef ENID_COMPILE_ROWS_H
#define ENID_COMPILE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "compile/tree.h"

/* One rule's say about one block of addresses and one range of services. */
struct claim {
	key128 key;        /* first address of the block, or an identity */
	uint32_t lo, hi;   /* SERVICE_KEYs, both included */
	uint32_t value;    /* local rule index + 1, POLICY_DENY for a deny */
	uint8_t prefixlen; /* of 32 or 128 bits */
};

/* The lower rank decides; 0 stands for no rule and ranks last. */
#define RULE_RANK(value) (((value) & ~POLICY_DENY) - 1)

struct row {
	size_t first; /* in rows.keys and rows.values */
	uint32_t n;
	uint32_t hash;
	uint32_t line; /* of its service tree; 0 = not placed */
};

struct row_pair {
	uint64_t pair; /* row << 32 | row; 0 = free: nobody combines 0 with 0 */
	uint32_t row;
};

struct rows {
	struct row *row;
	size_t nr, room;
	uint32_t *keys, *values; /* the steps of all rows */
	size_t steps, steps_room;
	uint32_t *index; /* open addressing by content: row number + 1 */
	size_t index_size;
	struct row_pair *memo; /* open addressing: results of rows_combine */
	size_t nr_memo, memo_size;
	uint32_t *scratch; /* keys, values and links of the row being made */
	size_t scratch_room;
};

/* ret: 0 | -ENOMEM. rows_done() is needed in both cases. */
int rows_init(struct rows *rows);
void rows_done(struct rows *rows);

/* The row of claims with ascending ranks; keys and prefix lengths do not matter.  cost: n log n
 * ret: 0, *ret_row | -ENOMEM | -E2BIG */
int rows_paint(struct rows *rows, const struct claim *claims, size_t n, uint32_t *ret_row);

/* The row in which the better of both rules decides everywhere.  cost: the steps of both; nothing when asked again */
int rows_combine(struct rows *rows, uint32_t a, uint32_t b, uint32_t *ret_row);

/* Line of the row's service tree in the object, written when first asked for; 0 for row 0. */
int rows_place(struct rows *rows, uint32_t row, struct lines *lines, uint32_t *ret_line);

#endif
