/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Number ranges against a plain map of which number is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/world.h"
#include "plan/arena.h"

#define SIZE  200u
#define FIRST 1u

struct model {
	struct arena arena;
	bool taken[FIRST + SIZE];
};

static void check(const struct model *model)
{
	bool free[FIRST + SIZE] = {};
	uint64_t left = 0;

	for (size_t i = 0; i < model->arena.nr; i++) {
		const struct extent *extent = &model->arena.free[i];

		assert_true(extent->length > 0);
		if (i) /* A1: sorted, and not even touching */
			assert_true(model->arena.free[i - 1].start + model->arena.free[i - 1].length < extent->start);
		for (uint32_t n = extent->start; n < extent->start + extent->length; n++)
			free[n] = true;
		left += extent->length;
	}
	for (uint32_t n = FIRST; n < FIRST + SIZE; n++)
		assert_int_equal(free[n], !model->taken[n]);
	assert_int_equal(arena_left(&model->arena), left);
}

static bool all(const struct model *model, uint32_t start, uint32_t length, bool taken)
{
	for (uint32_t n = start; n < start + length; n++)
		if (n < FIRST || n >= FIRST + SIZE || model->taken[n] != taken)
			return false;
	return true;
}

static bool fits(const struct model *model, uint32_t length)
{
	for (uint32_t start = FIRST; start + length <= FIRST + SIZE; start++)
		if (all(model, start, length, false))
			return true;
	return false;
}

static void step(struct model *model, struct dice *dice)
{
	uint32_t start = dice_below(dice, FIRST + SIZE + 3), length = 1 + dice_below(dice, 25), got = 0;
	uint32_t what = dice_below(dice, 4);
	int r;

	if (what == 0) {
		r = arena_reserve(&model->arena, start, length);
		assert_int_equal(r, all(model, start, length, false) ? 0 : -EEXIST);
	} else if (what == 1) {
		bool free = false;

		for (uint32_t n = start; n < start + length; n++)
			free = free || n < FIRST || n >= FIRST + SIZE || !model->taken[n];
		if (free && all(model, start, length, true) == false &&
		    (start < FIRST || start + length > FIRST + SIZE))
			return; /* giving what never belonged to the arena is nobody's business */
		r = arena_give(&model->arena, start, length);
		assert_int_equal(r, free ? -EINVAL : 0);
		for (uint32_t n = start; !r && n < start + length; n++)
			model->taken[n] = false;
		return;
	} else {
		r = what == 2 ? arena_take(&model->arena, length, &got) : arena_take_next(&model->arena, length, &got);
		assert_int_equal(r, fits(model, length) ? 0 : -ENOSPC);
		start = got;
		if (!r)
			assert_true(all(model, start, length, false));
	}
	for (uint32_t n = start; !r && n < start + length; n++)
		model->taken[n] = true;
}

static void arena_agrees_with_a_plain_map(void **state)
{
	struct dice dice = {test_seed("arena")};
	struct model model = {};

	(void)state;
	assert_int_equal(arena_init(&model.arena, FIRST, SIZE), 0);
	for (int i = 0; i < 20000; i++) {
		step(&model, &dice);
		check(&model);
	}
	arena_done(&model.arena);
}

static void arena_gives_back_a_number_last(void **state)
{
	struct arena arena;
	uint32_t first, second;

	(void)state;
	assert_int_equal(arena_init(&arena, 1, 10), 0);
	assert_int_equal(arena_take_next(&arena, 3, &first), 0);
	assert_int_equal(arena_give(&arena, first, 3), 0);
	assert_int_equal(arena_take_next(&arena, 3, &second), 0);
	assert_int_equal(second, 4); /* not the numbers that were used a moment ago */
	assert_int_equal(arena_take_next(&arena, 5, &second), -ENOSPC); /* 1-3 and 7-10 are free */
	assert_int_equal(arena_take_next(&arena, 4, &second), 0);
	assert_int_equal(arena_take_next(&arena, 3, &second), 0);
	assert_int_equal(second, 1);
	arena_done(&arena);
}

static void arena_copy_is_independent(void **state)
{
	struct arena arena, copy;
	uint32_t start;

	(void)state;
	assert_int_equal(arena_init(&arena, 5, 10), 0);
	assert_int_equal(arena_copy(&copy, &arena), 0);
	assert_int_equal(arena_take(&copy, 10, &start), 0);
	assert_int_equal(arena_left(&copy), 0);
	assert_int_equal(arena_left(&arena), 10);
	arena_done(&arena);
	arena_done(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_agrees_with_a_plain_map),
		cmocka_unit_test(arena_gives_back_a_number_last),
		cmocka_unit_test(arena_copy_is_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
