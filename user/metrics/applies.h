/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How long states took to come into force: a histogram, as Prometheus has it. */
#ifndef ENID_METRICS_APPLIES_H
#define ENID_METRICS_APPLIES_H

#include <jansson.h>
#include <stdint.h>

#define APPLY_BUCKETS 14

struct applies {
	uint64_t bucket[APPLY_BUCKETS + 1]; /* each alone; the last one is what took longer */
	uint64_t sum_us;
	uint64_t refused; /* states that did not come into force */
};

void applies_note(struct applies *applies, uint64_t took_us);
/* {"bounds_s": [..], "counts": [..] (one more), "sum_s", "refused"} */
json_t *applies_json(const struct applies *applies);

#endif
