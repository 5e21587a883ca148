/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "metrics/applies.h"

static const uint64_t bounds_us[APPLY_BUCKETS] = {500,    1000,   2500,   5000,    10000,   25000,    50000,
						  100000, 250000, 500000, 1000000, 2500000, 10000000, 30000000};

void applies_note(struct applies *applies, uint64_t took_us)
{
	int i = 0;

	while (i < APPLY_BUCKETS && took_us > bounds_us[i])
		i++;
	applies->bucket[i]++;
	applies->sum_us += took_us;
}

json_t *applies_json(const struct applies *applies)
{
	json_t *bounds = json_array(), *counts = json_array();

	for (int i = 0; i < APPLY_BUCKETS; i++)
		(void)json_array_append_new(bounds, json_real((double)bounds_us[i] / 1e6));
	for (int i = 0; i <= APPLY_BUCKETS; i++)
		(void)json_array_append_new(counts, json_integer((json_int_t)applies->bucket[i]));
	return json_pack("{s:o, s:o, s:f, s:I}", "bounds_s", bounds, "counts", counts, "sum_s",
			 (double)applies->sum_us / 1e6, "refused", (json_int_t)applies->refused);
}
