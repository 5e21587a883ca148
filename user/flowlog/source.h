/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where flow logs come from: the arrays that the kernel shares, and the few things that need system calls. Tests put
 * plain arrays and their own functions here. */
#ifndef ENID_FLOWLOG_SOURCE_H
#define ENID_FLOWLOG_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/beside.h"
#include "enid/flow.h"
#include "enid/port.h"
#include "enid/report.h"

struct datapath;
struct decision_text;

typedef void (*tally_fn)(void *arg, const struct tally_key *key, const struct tally *tally);
typedef void (*record_fn)(void *arg, uint32_t index, struct flow_record *record);

struct source {
	volatile struct control *control;
	struct flow_record *records;
	struct beside beside;     /* .limbo NULL = none: ways and rules are not known */
	struct port_stats *stats; /* by port number */
	uint32_t flows_max;
	void *self;
	/* Pass on and delete everything tallied before the call, each tally once. ret: 0 | -errno (the rest stays) */
	int (*tallies)(void *self, tally_fn each, void *arg);
	/* Pass on what found no room among the tallies and came through the ring. ret: 0 | -errno */
	int (*events)(void *self, tally_fn spilled, void *arg);
	/* Close and free what expired; `last` sees each record before it is free. ret: 0 | -errno */
	int (*sweep)(void *self, uint64_t now_ns, record_fn last, void *arg);
	/* Words of a decision number; NULL = none. ret: false = unknown */
	bool (*decision)(void *self, uint32_t decision, struct decision_text *ret);
	/* Events that the ring had no room for, since the start. */
	uint64_t (*lost_events)(void *self);
	/* Readable when the ring fills up; -1 = none. */
	int (*fd)(void *self);
	void (*close)(void *self);
};

/* The kernel's. ret: 0 | -errno, *ret_why a sentence to free() */
int source_open(struct datapath *datapath, struct source *ret, char **ret_why);

#endif
