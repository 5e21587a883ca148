/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets and bytes that each ENI saw, by direction and verdict. Summed up as the collector harvests records and
 * tallies, so the data path pays nothing: flows that live are counted once a minute, all else within a second. A file
 * of the run folder, which a restarted agent goes on with and which anybody may read. */
#ifndef ENID_METRICS_METERS_H
#define ENID_METRICS_METERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enid/limits.h"
#include "enid/report.h"

#define METERS_FILE  "eni.meters"
#define METER_ID_MAX (4 * ID_MAX) /* as in flow logs: an id whose every byte is escaped */

struct meter {
	char id[METER_ID_MAX];     /* "" = nothing was counted here */
	struct counter seen[2][2]; /* [egress][reject] */
};

struct meters;

/* instance: of the kernel side, whose port numbers the file is by; what another one left is forgotten. dir NULL: plain
 * memory. ret: 0 | -ENOMEM */
int meters_open(const char *dir, uint64_t instance, struct meters **ret);
void meters_close(struct meters **meters);
/* meters may be NULL. What finds no memory is not counted. */
void meters_count(struct meters *meters, uint32_t port, const char *id, bool egress, bool reject,
		  const struct counter *more);

/* A copy, by port number, to free(). ret: 0 | -ENOENT (no agent has counted) | -errno */
int meters_read(const char *dir, struct meter **ret, size_t *ret_nr);

#endif
