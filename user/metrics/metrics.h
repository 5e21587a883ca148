/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What Prometheus is told. Everything comes from the pins and from files of the run folder, opened for this one time
 * and only read: no agent is needed, and one that runs is not asked, so its loop never waits for who scrapes. */
#ifndef ENID_METRICS_METRICS_H
#define ENID_METRICS_METRICS_H

#include <stdbool.h>
#include <stdio.h>

struct metrics_source {
	const char *run_dir, *pin_dir;
	bool per_eni; /* series of each ENI and port; on large hosts one may not want them */
};

/* ret: 0 | -ENOMEM | -EIO (out) */
int metrics_write(const struct metrics_source *source, FILE *out, bool json);

/* "on" or "off". ret: 0 | -EINVAL */
int metrics_switch(const char *word, bool *ret);

#endif
