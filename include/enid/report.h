/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the data path tells: tallies for flow logs, events, counters, and the full verdict for replay and explain. */
#ifndef ENID_REPORT_H
#define ENID_REPORT_H

#include "enid/flow.h"
#include "enid/reasons.h"
#include "enid/types.h"

/* Map `tallies`: packets that no record counts (rejects, ICMP errors, flows without a record), summed up per flow,
 * port, direction and verdict. `parity` = control.log_parity when it was counted: the collector flips it, waits out
 * late writers, then reads and deletes the old half, so nothing is lost or counted twice. */
struct tally_key {
	struct tuple tuple; /* as the packet was seen at the port. ICMP: ports 0 */
	__u32 port;
	__u8 egress; /* 1 = the packet came from the guest */
	__u8 reject;
	__u8 parity;
	__u8 reason; /* enum enid_reason, rejects only */
};

struct tally {
	__u64 packets;
	__u64 bytes;
	__u64 first_ns;
	__u64 last_ns;
	__u32 tcp_flags;
	__u32 decision; /* rule that decided, 0 = none matched */
};

/* The rule that refused, if one did: `decision` is the last that was made on the way, and where no rule of a group
 * admits a packet none refuses it, either. */
static inline __u32 tally_refused_by(const struct tally_key *key, const struct tally *tally)
{
	__u32 stage = DECISION_STAGE(tally->decision);
	__u32 is_acl = (stage == STAGE_NACL_EGRESS && key->reason == REASON_NACL_EGRESS) ||
		       (stage == STAGE_NACL_INGRESS && key->reason == REASON_NACL_INGRESS);

	return key->reject && is_acl ? tally->decision : 0;
}

/* A port may have as many tallies as are free: one that floods leaves half of the map, two a third, n leave 1/(n+1),
 * and a port with few always finds room (C12). */

/* Perf event: a packet whose tally found no room in `tallies` (a flood of distinct rejects). The collector takes it as
 * a tally of one packet. Where the ring has no room either, or the port has sent too many, the data path counts the
 * packet in port_stats.skipped_*: so the books balance whatever is full. */
enum event_kind {
	EVENT_TALLY = 1,
};

struct event {
	__u32 kind;
	__u32 packets;
	__u32 bytes;
	__u32 tcp_flags; /* as in flow logs (FL-13) */
	__u64 at_ns;     /* CLOCK_MONOTONIC, or replay's time */
	struct tally_key key;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

/* Map `port_drops`. */
struct drop_key {
	__u32 port;
	__u32 reason;
};

#define TRACE_MAX 16

#define REPORT_COPIES_MAX 2 /* of a packet that is mirrored: where it leaves, and where it comes in */

/* Map `report` (one entry, replay and explain only): everything about the last packet. */
struct report {
	__u32 action; /* enum enid_action */
	__u32 reason; /* enum enid_reason */
	__u32 exit;   /* port number */
	__u32 nr_trace;
	__u32 trace[TRACE_MAX];
	__u32 record; /* record number + 1, 0 = none */
	__u32 hit;    /* 1 = a cached decision answered */
	__u32 cut;    /* it leaves in fragments of this size; 0 = whole */
	__u32 copies; /* in `mirror_told`; set to 0 by who runs the program */
};

/* The one instance of this stands in .data: what the agent tells the programs. What each packet reads lies apart from
 * what new flows write, or every new flow would take that cache line away from the other CPUs. */
struct control {
	__u32 generation; /* & 1: slot in force */
	__u32 nr_buckets; /* of `names`; even. Set once, as are the secrets: both say where a name stands */
	__u64 secrets[7]; /* of flow_fingerprint; set once, before the first packet */
	/* seldom read */
	__u32 log_parity;
	__u32 flows_max;       /* records in use at the most */
	__u32 flows_shared;    /* ports above their guarantee stop here */
	__u32 flows_guarantee; /* per port */
	__u32 half_open_max;   /* per port */
	__u32 flows_batch;     /* how many records a CPU's shelf takes and gives at a time; 1 = it has none */
	__u32 nr_sides;        /* places of `sides`; set once */
	__u8 router_mac[6];
	__u16 watch; /* > 0: somebody captures: see bpf/watch.h, which counts it down when nobody does any more */
	__u64 agent_alive_ns; /* CLOCK_MONOTONIC; older than 10 s: the kernel sweeper works alone */
	/* replay only */
	__u64 now_ns;
	__u32 in;       /* port number | IN_TX */
	__u32 wire_len; /* length of the frame, of which the program sees the first part */
	/* written by the data path */
	__u64 free_list __attribute__((aligned(64))); /* how often it was popped << 32 | record + 1; see bpf/free.h */
	__u32 flows_used;                             /* records not FREE, and those on the shelves */
	__u32 flows_fresh;                            /* records never used so far: the next one */
	__u64 closed __attribute__((aligned(64)));    /* records that went to limbo */
	__u32 tallies_used[2];                        /* entries of `tallies`, by parity */
	__u64 traces_lost;                            /* halves whose decisions found no place in `traces` */
	__u64 sides_refused;                          /* flows through gateways that found no place in `sides` */
};

#endif
