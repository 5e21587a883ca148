/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow log collector: takes what the data path counted, sums it up in windows of wall-clock minutes, and has it
 * written. Called from the agent's loop; only the writing of files happens in a thread of its own.
 *
 * Killed at any moment it loses nothing: counters, and what of them was told, are the kernel's, sums lie in the log
 * folder (*.part) until their lines are in the file.
 */
#ifndef ENID_FLOWLOG_COLLECTOR_H
#define ENID_FLOWLOG_COLLECTOR_H

#include <stdint.h>

#include "compile/image.h"
#include "datapath/datapath.h"
#include "state/state.h"

struct collector;

struct collector_options {
	const char *log_dir;
	const char *run_dir;   /* of rulebook.h and meters.h; NULL = rules in use and what ENIs saw are not kept */
	const char *ip_ranges; /* AWS's ip-ranges.json (FL-16); NULL = services have no names */
};

/* ret: 0 | -errno; *ret_why: a sentence for the user, to free() */
int collector_open(struct datapath *datapath, const struct state *state, const struct image *image,
		   const struct collector_options *options, struct collector **ret, char **ret_why);
/* After datapath_apply() of a new state. ret: 0 | -ENOMEM (the former state's ENIs go on being logged) */
int collector_state_changed(struct collector *collector, const struct state *state, const struct image *image);
/* After a change that left ports and ENIs as they were, but not rules: decisions are asked for anew. */
void collector_rules_changed(struct collector *collector);
/* Once a second, and when the fd is readable. ret: 0 | -errno: some step failed and is tried again next time, or the
 * last flush lost lines (collector_report says which file) */
int collector_tick(struct collector *collector, uint64_t now_mono_ns, uint64_t now_wall_ns);
int collector_fd(struct collector *collector); /* -1 = none */
/* Harvests once more and writes everything, unfinished windows too. */
void collector_close(struct collector **collector);

/* Until everything handed to the writer is written. */
void collector_wait(struct collector *collector);

/* For `enid status`: what is missing so far, and what the operator should know ("" = nothing). */
struct collector_report {
	uint64_t lines;   /* in the log since the pins were made */
	uint64_t skipped; /* packets declared by SKIPDATA, and to be declared */
	uint64_t lost_events;
	char attention[256];
};
void collector_report(struct collector *collector, struct collector_report *ret);
/* Packets of one port that flow logs do not show. */
uint64_t collector_skipped(struct collector *collector, uint32_t port);

/* The same on any source, for tests. */
struct source;
typedef uint32_t (*collector_port_fn)(const void *arg, const char *id);
int collector_start(const struct source *source, collector_port_fn number, const void *arg, const struct state *state,
		    const struct image *image, const struct collector_options *options, struct collector **ret);

#endif
