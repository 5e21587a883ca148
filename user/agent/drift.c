/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/drift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/log.h"
#include "base/base.h"

#define SLICE_NS   5000000u      /* of CPU, at once */
#define WATCHED_NS 300000000000u /* a round of a million elements takes one */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void say_repaired(struct drift_watch *watch, const struct drift_found *found)
{
	watch->repaired += found->repaired;
	watch->at_ns = now_ns();
	snprintf(watch->last, sizeof(watch->last), "map %s%s%s", found->map, *found->what ? ", " : "", found->what);
	log_warning("somebody changed %s: %u element%s put right, decisions are made anew", watch->last,
		    found->repaired, plural(found->repaired));
}

static void count_round(struct drift_watch *watch)
{
	uint64_t now = now_ns();

	watch->rounds++;
	watch->round_ns = watch->began_ns ? now - watch->began_ns : 0;
	watch->began_ns = watch->over_ns = now;
}

/* ret: whether that is news */
static bool judge_watch(struct drift_watch *watch)
{
	bool watched = watch->rounds && now_ns() - watch->over_ns < WATCHED_NS, before = watch->watched;

	watch->watched = watched;
	return watched != before;
}

/* What an earlier agent left of devices that are gone is cleared in the first round, and is nobody's doing. */
static int look_at_devices(struct drift_watch *watch, const struct devices *devices, struct drift_found *ret)
{
	struct drift_carrier *carriers = calloc(devices->nr_served + 1, sizeof(*carriers));
	size_t nr = 0;
	int r;

	if (!carriers)
		return -ENOMEM;
	for (size_t i = 0; i < devices->nr_served; i++) {
		const struct served *served = &devices->served[i];

		if (served->on.ifindex && served->port)
			carriers[nr++] = (struct drift_carrier){served->on.ifindex, served->port, served->how};
	}
	r = drift_devices(watch->drift, carriers, nr, ret);
	free(carriers);
	if (watch->rounds == 1)
		ret->repaired = 0;
	return r;
}

bool drift_watch(struct drift_watch *watch, const struct image *image, const struct devices *devices)
{
	struct drift_found found;
	int r, before = watch->error;
	uint32_t repaired;
	bool round_over;

	if (!watch->began_ns)
		watch->began_ns = now_ns();
	if (!image)
		return false;
	r = drift_slice(watch->drift, image, SLICE_NS, &found);
	round_over = found.round_over;
	if (found.repaired)
		say_repaired(watch, &found);
	repaired = found.repaired;
	if (round_over) {
		count_round(watch);
		r = look_at_devices(watch, devices, &found);
		if (found.repaired)
			say_repaired(watch, &found);
		repaired += found.repaired;
	}
	watch->error = r;
	if (r && r != before)
		log_error("map %s is not what it should be, and cannot be put right: %s", found.map ? found.map : "?",
			  strerror(-r));
	watch->under_way = !round_over;
	return judge_watch(watch) || repaired || r != before;
}

json_t *drift_json(const struct drift_watch *watch)
{
	return json_pack("{s:I, s:b, s:f, s:s, s:I}", "repaired", (json_int_t)watch->repaired, "watched",
			 watch->watched, "round_s", (double)watch->round_ns / 1e9, "last", watch->last, "at_ns",
			 (json_int_t)watch->at_ns);
}
