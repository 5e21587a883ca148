/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Trees of policy objects against linear search, at every size where the shape changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/tree.h"
#include "lib/world.h"

static const uint32_t sizes[] = {1,  2,   3,   4,   5,    7,    8,    15,   16,   17,   63,    64,
				 65, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097, 65537, 100000};

static int compare_keys(const void *a, const void *b)
{
	key128 x = *(const key128 *)a, y = *(const key128 *)b;

	return (x > y) - (x < y);
}

static key128 random_key(struct dice *dice, unsigned bits)
{
	key128 key = 0;

	for (unsigned i = 0; i < bits; i += 32)
		key = key << 32 | ((key128)dice_below(dice, 65536) << 16 | dice_below(dice, 65536));
	return key;
}

/* n ascending distinct keys beginning with 0; the greatest key of all is sometimes one of them. */
static key128 *random_keys(struct dice *dice, uint32_t n, unsigned bits)
{
	key128 *keys = calloc(n, sizeof(*keys)), end = bits == 32 ? UINT32_MAX : ~(key128)0;
	bool dense = dice_hit(dice, 30);

	assert_non_null(keys);
	for (uint32_t i = 1; i < n; i++)
		keys[i] = dense ? i : random_key(dice, bits);
	if (n > 1 && !dense && dice_hit(dice, 50))
		keys[1] = end;
	for (bool again = true; again;) {
		again = false;
		qsort(keys, n, sizeof(*keys), compare_keys);
		for (uint32_t i = 1; i < n; i++)
			if (keys[i] == keys[i - 1]) {
				keys[i] = random_key(dice, bits);
				again = true;
			}
	}
	return keys;
}

static uint32_t linear_find(const key128 *keys, const uint32_t *values, uint32_t n, key128 key)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < n && keys[i] <= key; i++)
		found = values[i];
	return found;
}

struct tree {
	struct lines lines;
	uint32_t line;
	unsigned bits;
};

static void build(struct tree *tree, const key128 *keys, const uint32_t *values, uint32_t n, unsigned bits)
{
	uint32_t first, *keys32 = calloc(n, sizeof(*keys32));

	*tree = (struct tree){.bits = bits};
	assert_non_null(keys32);
	assert_int_equal(lines_add(&tree->lines, 3, &first), 0);
	for (uint32_t i = 0; i < n; i++)
		keys32[i] = (uint32_t)keys[i];
	if (bits == 32)
		assert_int_equal(tree32_build(&tree->lines, keys32, values, n, &tree->line), 0);
	else
		assert_int_equal(tree128_build(&tree->lines, keys, values, n, &tree->line), 0);
	assert_int_equal(tree->line, 3);
	free(keys32);
}

static uint32_t find(const struct tree *tree, key128 key)
{
	return tree->bits == 32 ? tree32_find(tree->lines.line, tree->line, (uint32_t)key)
				: tree128_find(tree->lines.line, tree->line, key);
}

static void check_tree(struct dice *dice, uint32_t n, unsigned bits)
{
	key128 *keys = random_keys(dice, n, bits), end = bits == 32 ? UINT32_MAX : ~(key128)0;
	uint32_t *values = calloc(n, sizeof(*values));
	uint32_t linear_every = n > 5000 ? n / 50 : 1;
	struct tree tree;

	assert_non_null(values);
	for (uint32_t i = 0; i < n; i++)
		values[i] = dice_below(dice, 1u << 31);
	build(&tree, keys, values, n, bits);
	/* Both ends of every interval ... */
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(find(&tree, keys[i]), values[i]);
		assert_int_equal(find(&tree, i + 1 < n ? keys[i + 1] - 1 : end), values[i]);
	}
	/* ... and anywhere. */
	for (uint32_t i = 0; i < n; i += linear_every) {
		key128 key = random_key(dice, bits);

		assert_int_equal(find(&tree, key), linear_find(keys, values, n, key));
	}
	lines_done(&tree.lines);
	free(values);
	free(keys);
}

static void tree_finds_what_linear_search_finds(void **state)
{
	struct dice dice = {test_seed("trees")};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int round = 0; round < (sizes[i] < 5000 ? 8 : 2); round++) {
			check_tree(&dice, sizes[i], 32);
			check_tree(&dice, sizes[i], 128);
		}
}

/* The layout that enid/policy.h promises to the kernel, word by word. */
static void layout_is_the_documented_one(void **state)
{
	uint32_t keys[17], values[17];
	key128 wide[5] = {0, 1, (key128)0x20010db8 << 96, ((key128)0x20010db8 << 96) + 5, ~(key128)0};
	struct lines lines = {};
	uint32_t line;
	const uint32_t *w;

	(void)state;
	for (uint32_t i = 0; i < 17; i++) {
		keys[i] = i * 10;
		values[i] = 100 + i;
	}
	assert_int_equal(tree32_build(&lines, keys, values, 7, &line), 0);
	w = lines.line[line].w;
	assert_int_equal(w[0], 7);
	assert_int_equal(w[7], 60);
	assert_int_equal(w[14], 106);
	assert_int_equal(lines.nr, 1);

	assert_int_equal(tree32_build(&lines, keys, values, 17, &line), 0);
	w = lines.line[line].w;
	assert_int_equal(line, 1);
	assert_int_equal(w[0], 17);
	assert_int_equal(w[1], 2);
	assert_int_equal(w[2], 2); /* root */
	assert_int_equal(w[3], 3); /* two lines of 16 keys */
	assert_int_equal(w[4], 5); /* two lines of values */
	assert_int_equal(lines.nr, 7);
	assert_int_equal(lines.line[2].w[1], 160);
	assert_int_equal(lines.line[2].w[2], UINT32_MAX);
	assert_int_equal(lines.line[4].w[0], 160);
	assert_int_equal(lines.line[6].w[0], 116);

	assert_int_equal(tree128_build(&lines, wide, values, 5, &line), 0);
	w = lines.line[line].w;
	assert_int_equal(w[1], 2);
	assert_int_equal(lines.line[w[3]].w[2 * 4], 0x20010db8);
	assert_int_equal(lines.line[w[3]].w[3 * 4 + 3], 5);
	assert_int_equal(lines.line[w[3] + 1].w[0], UINT32_MAX);
	lines_done(&lines);
}

/* C13: whatever the rules are, a look-up reads no more nodes than the number of intervals demands. */
static void c13_no_rules_make_a_deep_tree(void **state)
{
	struct dice dice = {test_seed("deep trees")};

	(void)state;
	for (uint32_t n = 8; n < 200000; n = n * 3 + 1)
		for (unsigned bits = 32; bits <= 128; bits += 96)
			for (int shape = 0; shape < 3; shape++) {
				key128 *keys = random_keys(&dice, n, bits);
				uint32_t *values = calloc(n, sizeof(*values)), depth = 0;
				struct tree tree;

				assert_non_null(values);
				for (uint32_t i = 1; shape && i < n;
				     i++) /* side by side, or as far apart as they get */
					keys[i] = shape == 1 ? i : i + (((key128)1 << (bits - 1)) - 1) / n * i;
				build(&tree, keys, values, n, bits);
				for (uint64_t reach = 1; reach < n; depth++)
					reach *= bits == 32 ? TREE32_FANOUT : TREE128_FANOUT;
				assert_in_range(tree.lines.line[tree.line].w[1], 1, depth);
				assert_in_range(depth, 1, bits == 32 ? TREE32_DEPTH_MAX : TREE128_DEPTH_MAX);
				lines_done(&tree.lines);
				free(values);
				free(keys);
			}
}

static void impossible_trees_are_refused(void **state)
{
	uint32_t zero = 0, one = 1, line = 77, n = (1u << 20) + 1, *values = calloc(n, sizeof(*values));
	key128 *keys = calloc(n, sizeof(*keys));
	struct lines lines = {};

	(void)state;
	assert_int_equal(tree32_build(&lines, &zero, &zero, 0, &line), -EINVAL);
	assert_int_equal(tree32_build(&lines, &one, &zero, 1, &line), -EINVAL);
	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	assert_int_equal(tree128_build(&lines, keys, values, n, &line), -E2BIG);
	assert_int_equal(line, 77);
	assert_int_equal(tree128_build(&lines, keys, values, n - 1, &line), 0);
	assert_int_equal(lines.line[line].w[1], TREE128_DEPTH_MAX);
	lines_done(&lines);
	free(keys);
	free(values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_finds_what_linear_search_finds),
		cmocka_unit_test(layout_is_the_documented_one),
		cmocka_unit_test(c13_no_rules_make_a_deep_tree),
		cmocka_unit_test(impossible_trees_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
