/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Metrics on their way out: Prometheus' text format 0.0.4, or the same as JSON. */
#ifndef ENID_METRICS_EXPOSITION_H
#define ENID_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct exposition {
	FILE *out;
	bool json;
	const char *family;
	size_t nr_families, nr_samples;
};

struct label {
	const char *key, *value; /* key NULL: there is none */
};

#define LABELS_MAX 4

void exposition_begin(struct exposition *exposition, FILE *out, bool json);
/* type: "counter", "gauge", "histogram" */
void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help);
/* Of the family. suffix: of a histogram's samples, else "". labels: LABELS_MAX of them at the most, NULL = none */
void exposition_count(struct exposition *exposition, const char *suffix, const struct label *labels, uint64_t value);
void exposition_real(struct exposition *exposition, const char *suffix, const struct label *labels, double value);
void exposition_end(struct exposition *exposition);

#endif
