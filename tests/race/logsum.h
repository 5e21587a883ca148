/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The collector of a stage, with a wall clock that runs as fast as we like, and the sum of its flow log. */
#ifndef ENID_TESTS_LOGSUM_H
#define ENID_TESTS_LOGSUM_H

#include "flowlog/collector.h"
#include "lib/stage.h"

struct logsum {
	struct stage *stage;
	struct collector *collector;
	char dir[64];
	uint64_t skipped[STAGE_ENIS]; /* packets that SKIPDATA declares */
	uint64_t packets[STAGE_ENIS]; /* of all lines */
	uint64_t rejects[STAGE_ENIS]; /* ... of those that say REJECT */
	uint64_t lines;
};

#define LOGSUM_WALL_SPEED 30 /* a minute each two seconds */

void logsum_open(struct logsum *sum, struct stage *stage);
void logsum_tick(struct logsum *sum);
/* Write everything, read it again. */
void logsum_close(struct logsum *sum);

#endif
