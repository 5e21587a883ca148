/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT-25: the peak of a minute is the highest average over ten seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/peaks.h"

#define SECOND 1000000000ull

static json_t *rows(json_int_t bytes_out, json_int_t bytes_in, json_int_t packets)
{
	return json_pack("[{s:s, s:I, s:I, s:I, s:I}]", "gateway", "eni-nat", "BytesInFromSource", bytes_out,
			 "BytesInFromDestination", bytes_in, "PacketsInFromSource", packets, "PacketsInFromDestination",
			 (json_int_t)0);
}

static json_int_t told(const struct peaks *peaks, const char *key)
{
	const json_t *value = json_object_get(json_object_get(peaks->told, "eni-nat"), key);

	return value ? json_integer_value(value) : -1;
}

static void the_busiest_ten_seconds_of_a_minute(void **data)
{
	static const json_int_t bytes[] = {500, 1500, 41500, 42500, 43500, 44500, 45500};
	struct peaks peaks = {};

	(void)data;
	for (unsigned int i = 0; i < 6; i++)
		assert_false(peaks_sample(&peaks, rows(bytes[i], bytes[i], bytes[i] / 100), (i + 1) * 10 * SECOND));
	assert_int_equal(told(&peaks, "PeakBytesPerSecond"), -1);
	assert_true(peaks_sample(&peaks, rows(bytes[6], bytes[6], bytes[6] / 100), 70 * SECOND));
	assert_int_equal(told(&peaks, "PeakBytesPerSecond"), 8000);
	assert_int_equal(told(&peaks, "PeakPacketsPerSecond"), 40);
	peaks_done(&peaks);
}

static void each_minute_begins_anew(void **data)
{
	struct peaks peaks = {};

	(void)data;
	for (unsigned int i = 0; i <= 12; i++) {
		json_int_t sum = i < 6 ? i * 1000 : 6000 + (i - 6) * 10;

		(void)peaks_sample(&peaks, rows(sum, 0, 0), (i + 1) * 10 * SECOND);
		if (i == 6)
			assert_int_equal(told(&peaks, "PeakBytesPerSecond"), 100);
	}
	assert_int_equal(told(&peaks, "PeakBytesPerSecond"), 1);
	peaks_done(&peaks);
}

static void counters_that_began_anew_are_no_peak(void **data)
{
	struct peaks peaks = {};

	(void)data;
	for (unsigned int i = 0; i <= 6; i++)
		(void)peaks_sample(&peaks, rows(i < 3 ? 1000000 : 100 * i, 0, 0), (i + 1) * 10 * SECOND);
	assert_int_equal(told(&peaks, "PeakBytesPerSecond"), 10);
	peaks_done(&peaks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_busiest_ten_seconds_of_a_minute),
		cmocka_unit_test(each_minute_begins_anew),
		cmocka_unit_test(counters_that_began_anew_are_no_peak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
