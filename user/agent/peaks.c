/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/peaks.h"

static json_int_t number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static json_int_t item(const json_t *pair, size_t i)
{
	return json_integer_value(json_array_get(pair, i));
}

static json_t *pair_of(json_int_t bytes, json_int_t packets)
{
	return json_pack("[I, I]", bytes, packets);
}

static json_int_t larger(json_int_t a, json_int_t b)
{
	return a > b ? a : b;
}

/* A gateway that is new, or whose counters began anew, has no average yet. */
static void note_average(struct peaks *peaks, const char *gateway, const json_t *now, uint64_t passed_ns)
{
	const json_t *before = json_object_get(peaks->before, gateway), *best = json_object_get(peaks->minute, gateway);
	json_int_t rate[2];

	if (!before || item(now, 0) < item(before, 0) || item(now, 1) < item(before, 1))
		return;
	for (size_t i = 0; i < 2; i++)
		rate[i] = (json_int_t)((double)(item(now, i) - item(before, i)) * 1e9 / (double)passed_ns);
	(void)json_object_set_new(peaks->minute, gateway,
				  pair_of(larger(rate[0], item(best, 0)), larger(rate[1], item(best, 1))));
}

/* ret: something else is told now */
static bool end_minute(struct peaks *peaks)
{
	json_t *told = json_object(), *pair;
	const char *gateway;
	bool other;

	json_object_foreach (peaks->minute, gateway, pair) {
		(void)json_object_set_new(told, gateway,
					  json_pack("{s:I, s:I}", "PeakBytesPerSecond", item(pair, 0),
						    "PeakPacketsPerSecond", item(pair, 1)));
	}
	other = !json_equal(told, peaks->told);
	json_decref(peaks->told);
	peaks->told = told;
	(void)json_object_clear(peaks->minute);
	peaks->nr = 0;
	return other;
}

bool peaks_sample(struct peaks *peaks, json_t *rows, uint64_t now_ns)
{
	json_t *now = json_object(), *row;
	size_t i;

	if (!peaks->minute)
		peaks->minute = json_object();
	json_array_foreach (rows, i, row) {
		const char *gateway = json_string_value(json_object_get(row, "gateway"));
		json_t *pair =
			pair_of(number_of(row, "BytesInFromSource") + number_of(row, "BytesInFromDestination"),
				number_of(row, "PacketsInFromSource") + number_of(row, "PacketsInFromDestination"));

		if (gateway && peaks->before)
			note_average(peaks, gateway, pair, now_ns - peaks->at_ns);
		(void)json_object_set_new(now, gateway ? gateway : "", pair);
	}
	json_decref(rows);
	peaks->nr += peaks->before != NULL;
	json_decref(peaks->before);
	peaks->before = now;
	peaks->at_ns = now_ns;
	return peaks->nr >= PEAK_WINDOWS && end_minute(peaks);
}

void peaks_done(struct peaks *peaks)
{
	json_decref(peaks->before);
	json_decref(peaks->minute);
	json_decref(peaks->told);
	*peaks = (struct peaks){};
}
