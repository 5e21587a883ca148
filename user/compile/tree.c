/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Build and search the trees of a policy object. Building knows the whole key array, so level k is simply every
 * fanout^(depth-1-k)-th key: no insertion, no balancing. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/tree.h"

#define KEY128_WORDS 4

/* How many lines each level needs. */
struct shape {
	uint32_t depth;
	uint32_t lines[TREE128_DEPTH_MAX]; /* root first */
	uint32_t value_lines;
	uint32_t all; /* header included */
};

int lines_add(struct lines *lines, uint32_t nr, uint32_t *ret_first)
{
	if (nr > OBJECT_LINES_MAX || lines->nr > OBJECT_LINES_MAX - nr)
		return -E2BIG;
	if (lines->nr + nr > lines->room) {
		uint32_t room = lines->room * 2 > lines->nr + nr ? lines->room * 2 : lines->nr + nr + 16;
		struct policy_line *line = reallocarray(lines->line, room, sizeof(*line));

		if (!line)
			return -ENOMEM;
		lines->line = line;
		lines->room = room;
	}
	memset(lines->line + lines->nr, 0, nr * sizeof(*lines->line));
	*ret_first = lines->nr;
	lines->nr += nr;
	return 0;
}

void lines_done(struct lines *lines)
{
	free(lines->line);
	*lines = (struct lines){};
}

static uint32_t divide_up(uint32_t n, uint32_t by)
{
	return n / by + (n % by != 0);
}

static int shape_of(uint32_t n, uint32_t fanout, uint32_t depth_max, struct shape *ret)
{
	struct shape shape = {.value_lines = divide_up(n, POLICY_LINE_WORDS)};
	uint32_t lines = n;

	do {
		if (shape.depth == depth_max)
			return -E2BIG;
		lines = divide_up(lines, fanout);
		memmove(shape.lines + 1, shape.lines, shape.depth * sizeof(*shape.lines));
		shape.lines[0] = lines;
		shape.depth++;
		shape.all += lines;
	} while (lines > 1);
	shape.all += 1 + shape.value_lines;
	*ret = shape;
	return 0;
}

static void write_header(struct policy_line *object, uint32_t line, uint32_t n, const struct shape *shape)
{
	uint32_t *w = object[line].w;
	uint32_t next = line + 1;

	w[0] = n;
	w[1] = shape->depth;
	for (uint32_t k = 0; k < shape->depth; k++) {
		w[2 + k] = next;
		next += shape->lines[k];
	}
	w[2 + shape->depth] = next;
}

static void write_values(struct policy_line *line, const uint32_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		line[i / POLICY_LINE_WORDS].w[i % POLICY_LINE_WORDS] = values[i];
}

static int small_build(struct lines *lines, const uint32_t *keys, const uint32_t *values, uint32_t n,
		       uint32_t *ret_line)
{
	uint32_t *w;
	int r = lines_add(lines, 1, ret_line);

	if (r < 0)
		return r;
	w = lines->line[*ret_line].w;
	w[0] = n;
	for (uint32_t i = 0; i < TREE_SMALL_MAX; i++) {
		w[1 + i] = i < n ? keys[i] : UINT32_MAX;
		w[1 + TREE_SMALL_MAX + i] = i < n ? values[i] : 0;
	}
	return 0;
}

/* fanout^(levels below k): the distance between two keys of level k in the key array. */
static uint64_t stride(const struct shape *shape, uint32_t k, uint32_t fanout)
{
	uint64_t stride = 1;

	for (uint32_t below = shape->depth - 1 - k; below; below--)
		stride *= fanout;
	return stride;
}

static void write_level32(struct policy_line *level, uint32_t lines, uint64_t stride, const uint32_t *keys, uint32_t n)
{
	for (uint64_t j = 0; j < (uint64_t)lines * TREE32_FANOUT; j++)
		level[j / TREE32_FANOUT].w[j % TREE32_FANOUT] = j * stride < n ? keys[j * stride] : UINT32_MAX;
}

static void write_level128(struct policy_line *level, uint32_t lines, uint64_t stride, const key128 *keys, uint32_t n)
{
	for (uint64_t j = 0; j < (uint64_t)lines * TREE128_FANOUT; j++) {
		uint32_t *w = level[j / TREE128_FANOUT].w + j % TREE128_FANOUT * KEY128_WORDS;
		key128 key = j * stride < n ? keys[j * stride] : ~(key128)0;

		for (int i = 0; i < KEY128_WORDS; i++)
			w[i] = (uint32_t)(key >> (96 - 32 * i));
	}
}

int tree32_build(struct lines *lines, const uint32_t *keys, const uint32_t *values, uint32_t n, uint32_t *ret_line)
{
	struct shape shape;
	uint32_t line;
	int r;

	if (!n || keys[0])
		return -EINVAL;
	if (n <= TREE_SMALL_MAX)
		return small_build(lines, keys, values, n, ret_line);
	r = shape_of(n, TREE32_FANOUT, TREE32_DEPTH_MAX, &shape);
	if (r < 0)
		return r;
	r = lines_add(lines, shape.all, &line);
	if (r < 0)
		return r;
	write_header(lines->line, line, n, &shape);
	for (uint32_t k = 0; k < shape.depth; k++)
		write_level32(lines->line + lines->line[line].w[2 + k], shape.lines[k],
			      stride(&shape, k, TREE32_FANOUT), keys, n);
	write_values(lines->line + lines->line[line].w[2 + shape.depth], values, n);
	*ret_line = line;
	return 0;
}

int tree128_build(struct lines *lines, const key128 *keys, const uint32_t *values, uint32_t n, uint32_t *ret_line)
{
	struct shape shape;
	uint32_t line;
	int r;

	if (!n || keys[0])
		return -EINVAL;
	r = shape_of(n, TREE128_FANOUT, TREE128_DEPTH_MAX, &shape);
	if (r < 0)
		return r;
	r = lines_add(lines, shape.all, &line);
	if (r < 0)
		return r;
	write_header(lines->line, line, n, &shape);
	for (uint32_t k = 0; k < shape.depth; k++)
		write_level128(lines->line + lines->line[line].w[2 + k], shape.lines[k],
			       stride(&shape, k, TREE128_FANOUT), keys, n);
	write_values(lines->line + lines->line[line].w[2 + shape.depth], values, n);
	*ret_line = line;
	return 0;
}

static uint32_t child32(const struct policy_line *line, uint32_t key)
{
	uint32_t below = 0;

	for (int i = 0; i < TREE32_FANOUT; i++)
		below += line->w[i] <= key;
	return below ? below - 1 : 0;
}

static uint32_t child128(const struct policy_line *line, key128 key)
{
	uint32_t below = 0;

	for (int i = 0; i < TREE128_FANOUT; i++) {
		key128 here = 0;

		for (int k = 0; k < KEY128_WORDS; k++)
			here = here << 32 | line->w[i * KEY128_WORDS + k];
		below += here <= key;
	}
	return below ? below - 1 : 0;
}

/* Child `child` of line `at` in level k, as a line of the level below, or as an interval below the last level. The
 * padding of a last line reads as all ones, which the greatest keys reach: clamp. Level k + 1 ends where the next
 * level, or the values, begin: w[4 + k] in both cases. */
static uint32_t step_down(const uint32_t *w, uint32_t k, uint32_t at, uint32_t fanout, uint32_t child)
{
	uint32_t to = at * fanout + child;
	uint32_t exist = k + 1 == w[1] ? w[0] : w[4 + k] - w[3 + k];

	return to < exist ? to : exist - 1;
}

uint32_t tree32_find(const struct policy_line *object, uint32_t line, uint32_t key)
{
	const uint32_t *w = object[line].w;
	uint32_t at = 0;

	if (w[0] <= TREE_SMALL_MAX) {
		for (uint32_t i = 1; i < w[0]; i++)
			at += w[1 + i] <= key;
		return w[1 + TREE_SMALL_MAX + at];
	}
	for (uint32_t k = 0; k < w[1]; k++)
		at = step_down(w, k, at, TREE32_FANOUT, child32(object + w[2 + k] + at, key));
	return object[w[2 + w[1]] + at / POLICY_LINE_WORDS].w[at % POLICY_LINE_WORDS];
}

uint32_t tree128_find(const struct policy_line *object, uint32_t line, key128 key)
{
	const uint32_t *w = object[line].w;
	uint32_t at = 0;

	for (uint32_t k = 0; k < w[1]; k++)
		at = step_down(w, k, at, TREE128_FANOUT, child128(object + w[2 + k] + at, key));
	return object[w[2 + w[1]] + at / POLICY_LINE_WORDS].w[at % POLICY_LINE_WORDS];
}

key128 key128_of(const union addr *addr)
{
	key128 key = 0;

	for (int i = 0; i < KEY128_WORDS; i++)
		key = key << 32 | ntohl(addr->w[i]);
	return key;
}
