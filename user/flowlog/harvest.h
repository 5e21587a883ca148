/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From records and tallies to the sums of the window (FL-08 to FL-13, PATH-14).
 *
 * A record counts for its whole life; its halves say what was told already, so a
 * restarted agent goes on where the last one ended. Both halves of a record carry accepted packets: each gives a line
 * at the ENI they left and one at the ENI they reached. Rejects, and all that has no record, are tallied by the kernel.
 *
 * Invariants
 *  I1  What is told is noted in the record before the window: an agent killed in between tells nothing twice, and the
 * next one declares what may be missing (telling.h). Of tallies it loses at most the batch that it had deleted, of the
 * ring what nobody had read.
 *  I2  A record that is
 * opened was told nothing of; what was told carries a part of the record's generation, so an agent that was held up for
 * long does not take its word for the next flow's. I3  A packet is never put in a later window than the one being
 * filled, nor in an earlier one than its record's last.
 */
#ifndef ENID_FLOWLOG_HARVEST_H
#define ENID_FLOWLOG_HARVEST_H

#include "datapath/beside.h"
#include "enid/flow.h"
#include "enid/report.h"
#include "flowlog/books.h"
#include "flowlog/enis.h"
#include "flowlog/rulebook.h"
#include "flowlog/window.h"
#include "metrics/meters.h"

/* Words of decision numbers. ret: false = unknown (an old state's) */
struct decision_text;
typedef bool (*decision_fn)(void *arg, uint32_t decision, struct decision_text *ret);

#define RULES_KNOWN 8192u /* a power of two */

struct harvest {
	const struct log_enis *enis;
	struct window *window;
	struct books *books;
	int64_t wall_ns;        /* wall clock minus CLOCK_MONOTONIC */
	uint32_t open_s;        /* start of the minute that is being filled */
	struct beside beside;   /* .limbo NULL = nobody knows the way of any */
	struct rulebook *rules; /* NULL = rules are not counted */
	struct meters *meters;  /* NULL = ENIs are not counted */
	decision_fn decide;
	void *decide_arg;
	struct known_rule {
		uint32_t decision, slot; /* in the rulebook */
		uint32_t tgw;            /* of a transit gateway's route: log_transit.tgw */
	} known[RULES_KNOWN];            /* by decision; of the state in force */
};

/* The LIVE and CLOSING records from..nr - 1, until `budget` of them had something new.
 * ret: where to go on; nr = all done */
uint32_t harvest_walk(struct harvest *harvest, struct flow_record *records, uint32_t from, uint32_t nr,
		      uint32_t budget);
/* The final counters of record number `index`, which is freed: nobody else writes it any more. */
void harvest_final(struct harvest *harvest, uint32_t index, struct flow_record *record);
void harvest_tally(struct harvest *harvest, const struct tally_key *key, const struct tally *tally);
/* Decision numbers have other meanings now. */
void harvest_forget_rules(struct harvest *harvest);

#endif
