/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows are kept end to end in two arrays. A new one is first made in scratch memory, normalised (R3), then looked up by
 * content and appended only if it is new (R1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/hash.h"
#include "compile/rows.h"

/* Steps of all rows of one object (256 MB): nested CIDRs multiply rules, and a state may nest them in bad faith. */
#define STEPS_MAX (1u << 25)

static int reserve_scratch(struct rows *rows, size_t n)
{
	uint32_t *scratch;

	if (n > STEPS_MAX)
		return -E2BIG;
	if (n * 3 <= rows->scratch_room)
		return 0;
	scratch = reallocarray(rows->scratch, n, 6 * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	rows->scratch = scratch;
	rows->scratch_room = n * 6;
	return 0;
}

static int reserve_steps(struct rows *rows, size_t n)
{
	size_t room = rows->steps_room * 2 > rows->steps + n ? rows->steps_room * 2 : rows->steps + n + 64;
	uint32_t *keys, *values;

	if (rows->steps + n > STEPS_MAX)
		return -E2BIG;
	if (rows->steps + n <= rows->steps_room)
		return 0;
	keys = reallocarray(rows->keys, room, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	rows->keys = keys;
	values = reallocarray(rows->values, room, sizeof(*values));
	if (!values)
		return -ENOMEM;
	rows->values = values;
	rows->steps_room = room;
	return 0;
}

static void index_row(struct rows *rows, uint32_t row)
{
	size_t at = rows->row[row].hash & (rows->index_size - 1);

	while (rows->index[at])
		at = (at + 1) & (rows->index_size - 1);
	rows->index[at] = row + 1;
}

static int reserve_row(struct rows *rows)
{
	size_t room = rows->room ? rows->room * 2 : 64;
	struct row *row;
	uint32_t *index;

	if (rows->nr < rows->room)
		return 0;
	row = reallocarray(rows->row, room, sizeof(*row));
	if (!row)
		return -ENOMEM;
	rows->row = row;
	index = calloc(room * 2, sizeof(*index));
	if (!index)
		return -ENOMEM;
	free(rows->index);
	rows->index = index;
	rows->index_size = room * 2;
	rows->room = room;
	for (uint32_t i = 0; i < rows->nr; i++)
		index_row(rows, i);
	return 0;
}

static uint32_t hash_steps(const uint32_t *keys, const uint32_t *values, uint32_t n)
{
	uint64_t hash = n;

	for (uint32_t i = 0; i < n; i++)
		hash = hash_mix(hash, (uint64_t)keys[i] << 32 | values[i]);
	return (uint32_t)hash;
}

/* Drop steps that say what the one before says (R3). */
static uint32_t normalise(uint32_t *keys, uint32_t *values, uint32_t n)
{
	uint32_t kept = 1;

	for (uint32_t i = 1; i < n; i++) {
		if (values[i] == values[kept - 1])
			continue;
		keys[kept] = keys[i];
		values[kept++] = values[i];
	}
	return kept;
}

static int intern(struct rows *rows, uint32_t *keys, uint32_t *values, uint32_t n, uint32_t *ret_row)
{
	uint32_t hash;
	int r;

	n = normalise(keys, values, n);
	hash = hash_steps(keys, values, n);
	r = reserve_row(rows);
	if (r < 0)
		return r;
	for (size_t at = hash & (rows->index_size - 1); rows->index[at]; at = (at + 1) & (rows->index_size - 1)) {
		const struct row *row = rows->row + rows->index[at] - 1;

		if (row->hash == hash && row->n == n && !memcmp(rows->keys + row->first, keys, n * sizeof(*keys)) &&
		    !memcmp(rows->values + row->first, values, n * sizeof(*values))) {
			*ret_row = rows->index[at] - 1;
			return 0;
		}
	}
	r = reserve_steps(rows, n);
	if (r < 0)
		return r;
	memcpy(rows->keys + rows->steps, keys, n * sizeof(*keys));
	memcpy(rows->values + rows->steps, values, n * sizeof(*values));
	rows->row[rows->nr] = (struct row){.first = rows->steps, .n = n, .hash = hash};
	rows->steps += n;
	index_row(rows, rows->nr);
	*ret_row = rows->nr++;
	return 0;
}

int rows_init(struct rows *rows)
{
	uint32_t key = 0, value = 0, row;

	*rows = (struct rows){};
	return intern(rows, &key, &value, 1, &row);
}

void rows_done(struct rows *rows)
{
	free(rows->row);
	free(rows->keys);
	free(rows->values);
	free(rows->index);
	free(rows->memo);
	free(rows->scratch);
	*rows = (struct rows){};
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Every key at which some claim begins or ends, and 0; ascending, each once. */
static uint32_t collect_borders(uint32_t *borders, const struct claim *claims, size_t n)
{
	uint32_t nr = 1, kept = 1;

	borders[0] = 0;
	for (size_t i = 0; i < n; i++) {
		borders[nr++] = claims[i].lo;
		if (claims[i].hi != UINT32_MAX)
			borders[nr++] = claims[i].hi + 1;
	}
	qsort(borders, nr, sizeof(*borders), compare_u32);
	for (uint32_t i = 1; i < nr; i++)
		if (borders[i] != borders[kept - 1])
			borders[kept++] = borders[i];
	return kept;
}

static uint32_t position(const uint32_t *borders, uint32_t n, uint32_t key)
{
	uint32_t low = 0, high = n;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (borders[middle] <= key)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* First unpainted step from i on; halves the path on its way, so that a long run is walked once. */
static uint32_t unpainted(uint32_t *next, uint32_t i)
{
	while (next[i] != i) {
		next[i] = next[next[i]];
		i = next[i];
	}
	return i;
}

int rows_paint(struct rows *rows, const struct claim *claims, size_t n, uint32_t *ret_row)
{
	uint32_t *borders, *values, *next, nr;
	int r = reserve_scratch(rows, 2 * n + 2);

	if (r < 0)
		return r;
	borders = rows->scratch;
	values = borders + 2 * n + 2;
	next = values + 2 * n + 2;
	nr = collect_borders(borders, claims, n);
	for (uint32_t i = 0; i <= nr; i++) {
		values[i] = 0;
		next[i] = i;
	}
	/* The best rank comes first, and what is painted stays. */
	for (size_t i = 0; i < n; i++) {
		uint32_t at = unpainted(next, position(borders, nr, claims[i].lo));

		while (at < nr && borders[at] <= claims[i].hi) {
			values[at] = claims[i].value;
			next[at] = at + 1;
			at = unpainted(next, at);
		}
	}
	return intern(rows, borders, values, nr, ret_row);
}

static int grow_memo(struct rows *rows)
{
	size_t size = rows->memo_size ? rows->memo_size * 2 : 64;
	struct row_pair *memo;

	if (rows->nr_memo * 2 < rows->memo_size)
		return 0;
	memo = calloc(size, sizeof(*memo));
	if (!memo)
		return -ENOMEM;
	for (size_t i = 0; i < rows->memo_size; i++) {
		size_t at = hash_mix(rows->memo[i].pair, 0) & (size - 1);

		if (!rows->memo[i].pair)
			continue;
		while (memo[at].pair)
			at = (at + 1) & (size - 1);
		memo[at] = rows->memo[i];
	}
	free(rows->memo);
	rows->memo = memo;
	rows->memo_size = size;
	return 0;
}

static struct row_pair *find_memo(struct rows *rows, uint64_t pair)
{
	size_t at = hash_mix(pair, 0) & (rows->memo_size - 1);

	while (rows->memo[at].pair && rows->memo[at].pair != pair)
		at = (at + 1) & (rows->memo_size - 1);
	return rows->memo + at;
}

static int merge(struct rows *rows, const struct row *a, const struct row *b, uint32_t *ret_row)
{
	uint32_t n = 0, i = 0, k = 0, *keys, *values;
	int r = reserve_scratch(rows, (size_t)a->n + b->n);

	if (r < 0)
		return r;
	keys = rows->scratch;
	values = keys + a->n + b->n;
	while (i < a->n || k < b->n) {
		uint32_t from_a = i < a->n ? rows->keys[a->first + i] : UINT32_MAX;
		uint32_t from_b = k < b->n ? rows->keys[b->first + k] : UINT32_MAX;
		uint32_t here = from_a < from_b ? from_a : from_b, value_a, value_b;

		i += i < a->n && from_a == here;
		k += k < b->n && from_b == here;
		value_a = rows->values[a->first + i - 1];
		value_b = rows->values[b->first + k - 1];
		keys[n] = here;
		values[n++] = RULE_RANK(value_a) <= RULE_RANK(value_b) ? value_a : value_b;
	}
	return intern(rows, keys, values, n, ret_row);
}

int rows_combine(struct rows *rows, uint32_t a, uint32_t b, uint32_t *ret_row)
{
	uint64_t pair = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
	struct row_pair *memo;
	uint32_t row;
	int r;

	if (!a || !b || a == b) {
		*ret_row = a ? a : b;
		return 0;
	}
	r = grow_memo(rows);
	if (r < 0)
		return r;
	memo = find_memo(rows, pair);
	if (!memo->pair) {
		struct row copy_a = rows->row[a], copy_b = rows->row[b];

		r = merge(rows, &copy_a, &copy_b, &row);
		if (r < 0)
			return r;
		*memo = (struct row_pair){.pair = pair, .row = row};
		rows->nr_memo++;
	}
	*ret_row = memo->row;
	return 0;
}

int rows_place(struct rows *rows, uint32_t row, struct lines *lines, uint32_t *ret_line)
{
	struct row *at = rows->row + row;
	int r;

	if (row && !at->line) {
		r = tree32_build(lines, rows->keys + at->first, rows->values + at->first, at->n, &at->line);
		if (r < 0)
			return r;
	}
	*ret_line = at->line;
	return 0;
}
