/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flow records from user space: who closes and frees them besides the data path (FLOWTABLE protocol, steps 4 and 5).
 *
 *   close  cmpxchg half[0].gs LIVE -> CLOSING (one winner), half[1] follows; drop both names; half[1] GONE since now;
 *          control.closed += 1
 *   free   not before LIMBO_NS: cmpxchg half[0].gs CLOSING -> BUSY (one winner: packet path, kernel sweeper and agent
 *          must all do so), take the final counters, gs = FREE in both halves (same generation), give the admission
 *          back, push the index to the free list (bpf/free.h)
 *
 * Admission of a record: port_stats[half[1].shared].flows and control.flows_used, from creation to free; and
 * port_stats[].half_open while half[0].shared says RECORD_HALF_OPEN: whoever clears that flag gives it back, once.
 */
#ifndef ENID_RECORDS_H
#define ENID_RECORDS_H

#include "datapath/datapath.h"

/* Silence after which the flow is over: the longest time-out of its two ENIs and its gateway; 10 s once it is closed
 * (CT-11). *ret_at: when that is, in the clock of the data path. */
bool record_expired(const struct flow_record *record, const struct side *side, uint64_t now_ns, uint64_t *ret_at);

/* ret: true = it was LIVE and is CLOSING now by us */
bool record_close(struct datapath *datapath, uint32_t index, uint64_t now_ns);

/* Called with the final counters of a record that is about to be FREE. */
typedef void (*record_final)(void *context, uint32_t index, struct flow_record *record);

/* Free one CLOSING record whose limbo is over (replay knows no late readers, and no limbo). ret: true = freed by us */
bool record_free(struct datapath *datapath, uint32_t index, uint64_t now_ns, record_final final, void *context);

/* CT-20: the entries of these ports (by number) go; a record that holds an entry of another ENI stays for that one.
 * ret: how many records lost an entry */
size_t records_leave_ports(struct datapath *datapath, const bool *ports, uint64_t now_ns);

struct records_sweep {
	size_t closed, freed;
	size_t ports;     /* mappings of flows that go on: their ports are free */
	uint64_t next_ns; /* the earliest time at which another live record can expire; UINT64_MAX = none */
};

/* For an agent that starts: finish what one that was killed in the middle of record_close or record_free left behind,
 * which nobody else may touch (E2). ret: how many records, -ENOMEM */
int records_repair(struct datapath *datapath, uint64_t now_ns);

/* Close what expired, free what is out of limbo. final may be NULL. */
struct records_sweep records_sweep(struct datapath *datapath, uint64_t now_ns, record_final final, void *context);

/* A FREE record that is ours now, as bpf/free.h gives them. ret: its number, UINT32_MAX = none is free */
uint32_t record_take(struct datapath *datapath);
/* Make a record that is ours FREE: nothing is charged for it any more, and nothing leads there. */
void record_untake(struct datapath *datapath, uint32_t index);
/* Of a record that is ours: what its port and its gateway are charged for, as far as it says so. */
void record_uncount(struct datapath *datapath, uint32_t index);
/* No log will show what was not told of it: that is declared, as the kernel's sweeper does (E26). */
void record_declare(struct datapath *datapath, const struct flow_record *record);
/* Claim the names of a BUSY record that came from another table, and make it LIVE: the kernel does it, under the locks
 * of the names. ret: 1 | 0: there is no room, or a new flow has them already: its next packets opened it anew | -errno:
 * the kernel does not do it, now */
int record_carried(struct datapath *datapath, uint32_t index);

#endif
