/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From records and tallies to the sums of the window (FL-08 to FL-13, PATH-14).
 *
 * A record counts for its whole life; the ledger beside it says what was told already, and lies in the kernel, so a
 * restarted agent goes on where the last one ended. Both halves of a record carry accepted packets: each gives a line
 * at the ENI they left and one at the ENI they reached. Rejects, and all that has no record, are tallied by the kernel.
 *
 * Invariants
 *  I1  The ledger is written before the window: an agent killed in between loses one delta, it tells none twice.
 *  I2  ledger.generation 0 = nothing told of this record. The end of a record (its event or its freeing) sets it to 0.
 *  I3  A packet is never put in a later window than the one being filled, nor in an earlier one than its record's last.
 */
#ifndef ENID_FLOWLOG_HARVEST_H
#define ENID_FLOWLOG_HARVEST_H

#include "enid/flow.h"
#include "enid/report.h"
#include "flowlog/books.h"
#include "flowlog/enis.h"
#include "flowlog/window.h"

struct harvest {
	const struct log_enis *enis;
	struct window *window;
	struct books *books;
	int64_t wall_ns; /* wall clock minus CLOCK_MONOTONIC */
	uint32_t open_s; /* start of the minute that is being filled */
};

/* The LIVE and CLOSING records from..nr - 1, until `budget` of them had something new.
 * ret: where to go on; nr = all done */
uint32_t harvest_walk(struct harvest *harvest, struct flow_record *records, struct ledger *ledger, uint32_t from,
		      uint32_t nr, uint32_t budget);
/* The final counters of a record that is freed: record is a copy, or nobody writes it any more. */
void harvest_final(struct harvest *harvest, const struct flow_record *record, struct ledger *ledger);
void harvest_tally(struct harvest *harvest, const struct tally_key *key, const struct tally *tally);

#endif
