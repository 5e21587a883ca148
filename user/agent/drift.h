/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's watch over the maps: slices of datapath/drift.h, and what they found for log and status. */
#ifndef ENID_AGENT_DRIFT_H
#define ENID_AGENT_DRIFT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/devices.h"
#include "datapath/drift.h"

struct drift_watch {
	struct drift *drift;
	uint64_t repaired; /* elements, since the start */
	uint64_t rounds;   /* times that everything was looked at */
	uint64_t began_ns; /* the round at hand */
	uint64_t over_ns;  /* CLOCK_MONOTONIC of the end of the last one */
	uint64_t round_ns; /* how long it took */
	bool watched;      /* that was no long time ago */
	uint64_t at_ns;    /* CLOCK_MONOTONIC of the last repair; 0 = none */
	char last[128];    /* what it was */
	bool under_way;    /* the round goes on */
	int error;         /* of the last slice */
};

/* ret: whether there is something to report */
bool drift_watch(struct drift_watch *watch, const struct image *image, const struct devices *devices);
json_t *drift_json(const struct drift_watch *watch); /* for status.json */

#endif
