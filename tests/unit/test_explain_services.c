/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of services as intervals, held against a set that is an array of yes and no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enid/policy.h"
#include "explain/services.h"

#define SIZE 64 /* services in the small world of this test */

static uint32_t state = 2463534242u;

static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % n;
}

static void assert_same(const struct services *set, const bool *naive)
{
	for (uint32_t i = 0; i < SIZE; i++)
		assert_int_equal(services_hold(set, i), naive[i]);
	for (size_t i = 0; i < set->nr; i++) {
		assert_true(set->range[i].lo <= set->range[i].hi);
		assert_true(!i || set->range[i - 1].hi < set->range[i].lo);
	}
	assert_false(set->lost);
}

static void pick(uint32_t *lo, uint32_t *hi)
{
	*lo = below(SIZE);
	*hi = *lo + below(SIZE - *lo);
}

static void random_set(struct services *set, bool *naive)
{
	memset(naive, 0, SIZE * sizeof(*naive));
	for (uint32_t n = below(6); n; n--) {
		uint32_t lo, hi;

		pick(&lo, &hi);
		hi = lo + (hi - lo) / 4;
		services_add(set, lo, hi);
		for (uint32_t i = lo; i <= hi; i++)
			naive[i] = true;
	}
}

static void sets_are_what_a_bitmap_is(void **unused)
{
	(void)unused;
	for (int round = 0; round < 20000; round++) {
		struct services set = {}, other = {};
		bool naive[SIZE], naive_other[SIZE];
		uint32_t lo, hi;

		random_set(&set, naive);
		assert_same(&set, naive);
		random_set(&other, naive_other);
		pick(&lo, &hi);
		if (round & 1) {
			services_meet(&set, &other);
			for (uint32_t i = 0; i < SIZE; i++)
				naive[i] &= naive_other[i];
		} else {
			services_take(&set, lo, hi);
			for (uint32_t i = lo; i <= hi; i++)
				naive[i] = false;
		}
		assert_same(&set, naive);
		services_copy(&other, &set);
		assert_true(services_equal(&set, &other));
		services_done(&set);
		services_done(&other);
	}
}

static void neighbours_become_one(void **unused)
{
	struct services set = {};

	(void)unused;
	services_add(&set, 10, 19);
	services_add(&set, 30, 39);
	services_add(&set, 20, 29);
	assert_int_equal(set.nr, 1);
	assert_int_equal(set.range[0].lo, 10);
	assert_int_equal(set.range[0].hi, 39);
	services_take(&set, 0, UINT32_MAX);
	assert_int_equal(set.nr, 0);
	services_done(&set);
}

static void all_is_one_interval_of_the_family(void **unused)
{
	struct services set = {};

	(void)unused;
	services_all(&set, 6);
	assert_int_equal(set.nr, 1);
	assert_true(services_hold(&set, SERVICE_KEY(6, 0, 0)));
	assert_true(services_hold(&set, SERVICE_KEY(6, 255, 65535)));
	assert_false(services_hold(&set, SERVICE_KEY(4, 255, 65535)));
	services_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_are_what_a_bitmap_is),
		cmocka_unit_test(neighbours_become_one),
		cmocka_unit_test(all_is_one_interval_of_the_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
