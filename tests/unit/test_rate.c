/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Token buckets that CPUs share (ENI-15, DNS-04, TM-15). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "enid/rate.h"

#define SECOND UINT64_C(1000000000)
#define TICK   UINT64_C(4000000)
#define START  (5 * SECOND)
#define RATE   1024u

static uint32_t drain(struct bucket *bucket, uint64_t now)
{
	uint32_t taken = 0;

	while (rate_takes(bucket, now, RATE, 1))
		taken++;
	return taken;
}

static void a_burst_and_then_the_rate(void **state)
{
	struct bucket bucket = {};
	uint32_t taken = 0;

	(void)state;
	assert_int_equal(drain(&bucket, START), RATE);
	for (uint64_t now = START; now <= START + 10 * SECOND; now += TICK)
		taken += drain(&bucket, now);
	assert_in_range(taken, 10 * RATE - 1, 10 * RATE);
	assert_int_equal(drain(&bucket, START + 10 * SECOND + SECOND), RATE);
	assert_int_equal(drain(&bucket, START + 100 * SECOND), RATE); /* no more than a second's */
}

static void many_at_once_get_what_there_is(void **state)
{
	struct bucket bucket = {};

	(void)state;
	assert_int_equal(rate_takes(&bucket, START, RATE, 1000), 1000);
	assert_int_equal(rate_takes(&bucket, START, RATE, 128), 24);
	assert_int_equal(rate_takes(&bucket, START, RATE, 128), 0);
	assert_int_equal(rate_takes(&bucket, START + SECOND / RATE + 1, RATE, 128), 1);
}

/* One CPU's clock is a tick behind the other's, whoever's turn it is. */
static void a_clock_that_is_late_adds_nothing(void **state)
{
	struct bucket bucket = {};
	uint32_t taken = 0;

	(void)state;
	for (uint64_t now = START; now < START + SECOND; now += TICK) {
		taken += drain(&bucket, now);
		taken += drain(&bucket, now - TICK);
	}
	assert_in_range(taken, RATE, 2 * RATE);
}

#define TAKERS 4
#define TURNS  1000000 /* long enough that all are at it at once, on a busy machine as well */
#define BURST  (TAKERS * TURNS)

struct taker {
	struct bucket *bucket;
	uint32_t taken;
};

static void *take_all(void *arg)
{
	struct taker *taker = arg;

	for (int i = 0; i < TURNS; i++)
		taker->taken += rate_takes(taker->bucket, START, BURST, 1 + (uint32_t)i % 3);
	return NULL;
}

/* Nobody's spending is lost: all together get the burst, and not one more. */
static void the_last_is_given_once(void **state)
{
	struct bucket bucket = {.at_ns = START, .tokens = BURST};
	struct taker takers[TAKERS] = {};
	pthread_t threads[TAKERS];
	uint32_t taken = 0;

	(void)state;
	for (int i = 0; i < TAKERS; i++) {
		takers[i].bucket = &bucket;
		assert_int_equal(pthread_create(&threads[i], NULL, take_all, &takers[i]), 0);
	}
	for (int i = 0; i < TAKERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		taken += takers[i].taken;
	}
	assert_int_equal(taken, BURST);
	assert_int_equal(bucket.tokens, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_the_rate),
		cmocka_unit_test(many_at_once_get_what_there_is),
		cmocka_unit_test(a_clock_that_is_late_adds_nothing),
		cmocka_unit_test(the_last_is_given_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
