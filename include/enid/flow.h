/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: one conversation on one leg is one record with two halves and two names (FLOWTABLE, variant A).
 *
 * A half is one direction: the packets that arrive at half.in with half.tuple. `names` leads from a 64-bit fingerprint
 * of {in, tuple} to record << 1 | half; the full key stands in the half and is compared on every look-up, so a
 * fingerprint that two keys share costs the later one its record, never a wrong verdict.
 *
 * The state of a security group at an ENI is kept per ENI (CT-19): in the half whose packets come from that ENI
 * (half.in == port). So "the state of this packet at ENI e" is found by the name {e, the packet's tuple as it leaves
 * e}: as it is at the source, reversed at the target.
 *
 * Invariants
 *  I1  A record is FREE, BUSY (being made by one CPU), LIVE or CLOSING; only LIVE halves are used by packets.
 *  I2  gs = generation << 8 | state. The generation grows whenever a record is made, so a half that was copied is still
 *      the same one iff gs did not change in between.
 *  I3  A LIVE record has exactly its two names; whoever moves half[0].gs from LIVE to CLOSING drops them, alone. A half
 *      with in == 0 has no name: where paths are asymmetric a record may hold the state of one ENI only.
 *  I4  A record is reused no sooner than LIMBO_NS after its names are gone; until then late readers may still count.
 *  I5  A cached decision holds iff half.epoch equals the sum of the epochs of its two ports.
 *  I6  A flow that was opened through a gateway that translates or remembers (NAT, egress-only) has the gateway's
 * mapping in `limbo`. Its second name is the outside name, claimed with BPF_NOEXIST: no two flows share one. The
 * mapping lives while RECORD_MAPPED stands. Who clears that bit, one alone, gives the port back and drops the second
 * name; if the ENI's entry outlives the mapping the record goes on with one name (half[1].in == 0).
 */
#ifndef ENID_FLOW_H
#define ENID_FLOW_H

#include "enid/types.h"

/* Where a packet came in: port number, and whether the host's own stack sent it toward the port's device. */
#define IN_TX       0x80000000u
#define IN_PORT(in) ((in)&0x7fffffffu)

enum record_state { RECORD_FREE, RECORD_BUSY, RECORD_LIVE, RECORD_CLOSING };
#define GS_STATE(gs)               ((gs)&0xffu)
#define GS_MAKE(generation, state) (((generation) << 8) | (state))
#define GS_GENERATION(gs)          ((gs) >> 8)

/* What the security groups of the ENI at half.in hold of the flow. */
enum leg {
	LEG_NONE,      /* no security group here (uplink, routing ENI, host) */
	LEG_TRACKED,   /* stateful: survives an edit (CT-07) */
	LEG_UNTRACKED, /* a cached decision, valid for its epoch only (CT-03) */
	LEG_GATE,      /* a Gateway Load Balancer endpoint's own flow (EP-09): limbo.tickets[] */
};

/* Flags of a record: half[0].shared. */
#define RECORD_HALF_OPEN 1u /* counted in port_stats.half_open of the charged port */
#define RECORD_GATED     2u /* opened through a gateway that keeps mappings */
#define RECORD_MAPPED    4u /* ... and the mapping lives: half 1's name belongs to it */

/* State of the conversation as the entry at one ENI saw it: half.ct. */
enum conversation {
	CT_NEW,         /* TCP: SYN seen. UDP: request seen */
	CT_ANSWERED,    /* TCP: SYN-ACK seen. UDP: one exchange done */
	CT_AGAIN,       /* UDP: a second request */
	CT_ESTABLISHED, /* TCP: handshake done or picked up. UDP: a second answer. Others: always */
	CT_FIN0,        /* TCP: FIN from the side of half 0 */
	CT_FIN1,        /* ... of half 1 */
	CT_CLOSED,      /* both FINs or a valid RST: dies 10 s after that packet (CT-11) */
};
#define CT_STATE(ct) ((ct)&0x7f)
#define CT_BACKWARDS 0x80 /* the entry at this ENI was opened by the direction of half 1 */

#define EPOCH_TAKEN 0xffffffffu /* half.epoch: a CPU is writing the decision */

#define IDLE_NOBODY_S 120 /* a kept decision of a flow that no security group remembers */

#define HALF_STEADY     1u   /* no packet without SYN, FIN or RST changes the conversation */
#define HALF_REWRITE    2u   /* the packet leaves as the reverse of the other half's tuple */
#define HALF_KEEP_SMAC  4u   /* same subnet: the sender's MAC stays */
#define HALF_PASS       8u   /* leave it to the host's stack */
#define HALF_ALONE      16u  /* the state at the exit is another record's (asymmetric path): judge every packet */
#define HALF_PARTED     32u  /* packets for this ENI came by another way: its clock says nothing of the other end */
#define HALF_MAPPED     64u  /* a NAT or egress-only gateway on the way keeps a mapping for the flow */
#define HALF_CLAMP      128u /* the MSS of a TCP handshake is lowered on the way */
#define HALF_TTL_SHIFT  8    /* three bits: how much the way takes off the time to live */
#define HALF_TTL_MAX    7u
#define HALF_TTL(flags) ((flags) >> HALF_TTL_SHIFT & HALF_TTL_MAX)

#define HALF_NAT64 (1u << 14) /* the packet changes its family on the way (NAT-21) */

/* What lies between the two ports carries no more than this (bits of half.flags). */
enum path_limit { PATH_FREE, PATH_8500, PATH_1500, PATH_1446 };
#define HALF_PATH_SHIFT 12
#define HALF_PATH_MASK  (3u << HALF_PATH_SHIFT)
#define PATH_MTUS       (0xffffull | 8500ull << 16 | 1500ull << 32 | 1446ull << 48)

#define HALF_TRACE_MAX 5

struct flow_half {
	/* read by every packet */
	struct tuple tuple;
	__u32 in;
	__u32 gs;
	__u32 epoch;  /* 0 = judge anew, EPOCH_TAKEN = as well */
	__u32 exit;   /* port it leaves by; 0 = the host's stack */
	__u16 flags;  /* HALF_* */
	__u8 dmac[6]; /* destination MAC for which this was decided */
	/* written by every packet */
	__u64 last_ns;
	__u64 packets;  /* of the owner; see half_packets() */
	__u64 bytes;    /* IP total lengths */
	__u32 ack;      /* last acknowledgement seen, host order; 0 = none (C5) */
	__u32 idle_s;   /* after this much silence the packet path asks again: the smaller leg_s of the two */
	__u32 leg_s;    /* time-out of the entry at this ENI */
	__u8 tcp_flags; /* as in flow logs (FL-13), of the current window */
	__u8 leg;       /* enum leg */
	__u8 nr_trace;  /* ... of limbo.trace */
	__u8 ct;        /* enum conversation */
	__u32 shared;   /* half 0: RECORD_* flags. half 1: port that is charged for the record */
	__u32 owner;    /* CPU + 1 that alone counts in packets and bytes, without a locked step; 0 = none yet */
	struct {
		__u64 packets;
		__u64 bytes;
	} others; /* what came on other CPUs */
};

_Static_assert(sizeof(struct flow_half) == 128, "two lines, the first for reading");

/* What a half has counted, on whichever CPU. */
static inline __attribute__((always_inline)) __u64 half_packets(const struct flow_half *half)
{
	return half->packets + half->others.packets;
}

static inline __attribute__((always_inline)) __u64 half_bytes(const struct flow_half *half)
{
	return half->bytes + half->others.bytes;
}

struct flow_record {
	struct flow_half half[2]; /* 0 = the direction that opened the flow */
};

/* Parallel array `ledger`: what of a record's counters the flow logs have already told (mmap-able, agent only). */
struct ledger {
	__u32 generation;
	__u32 zero;
	struct {
		__u64 packets;
		__u64 bytes;
	} half[2];
};

/* What a NAT gateway or an egress-only gateway remembers of a flow (NAT-04, EIGW-02). */
struct gate_mapping {
	__u64 closed_ns; /* when both FINs or a RST had passed: nothing extends the time from there; or see `paused` */
	__u32 gateway;   /* its port number */
	__u32 idle_s;    /* time-out of the state that it is in */
	__be32 addr;     /* the gateway's address that stands for the client; 0 = it translates nothing */
	__be16 port;     /* ... and port, or ICMP identifier */
	__u8 ct;         /* enum conversation, as the gateway saw it */
	__u8 paused;     /* the flow's last packet took another way: here the last one passed at closed_ns */
	__u32 use;       /* where in `nat_uses` it is counted */
	__u32 inner;     /* port number of a NAT gateway between the client and this one; 0 = none */
	__be32 inner_addr; /* ... and its address that stands for the client there */
	__u32 peering; /* port of the peering by which its packets go on: answers need no route (NAT-18); 0 = by none */
};

/* What a Gateway Load Balancer endpoint remembers of a flow (EP-08, EP-09), by half whose packets come from there. Both
 * legs of the flow, before and behind the endpoint, have the same one: who meets the flow first makes it. */
struct gate_ticket {
	__u32 cookie;     /* of the flow, in this VPC's endpoint; 0 = none yet */
	__be32 appliance; /* where its packets go, and come from */
};

/* Parallel array `limbo`: what is seldom needed of a record. */
struct limbo {
	__u64 since_ns;  /* when the names of a closing record were gone; written by who closed it */
	__u32 policy[2]; /* by half: hash of the rules that admitted the flow untracked at the half's ENI */
	struct gate_mapping mapping;
	__u32 trace[2][HALF_TRACE_MAX]; /* by half: the decisions that let its first packet pass */
	struct gate_ticket tickets[2];  /* by half with LEG_GATE */
	__u32 nr_tickets;               /* made in this place, ever: no cookie comes again soon */
	__u32 zero;
};

#define FLOW_NS_PER_S 1000000000ull

/* When a record's mapping is over if no packet comes until then (NAT-08, NAT-09); 0 = it has none. */
static inline __attribute__((always_inline)) __u64 mapping_end(const struct flow_record *record,
							       const struct gate_mapping *mapping)
{
	__u64 a = record->half[0].last_ns, b = record->half[1].last_ns, last = a > b ? a : b;

	if (!(record->half[0].shared & RECORD_MAPPED))
		return 0;
	if (CT_STATE(mapping->ct) == CT_CLOSED || mapping->paused)
		last = mapping->closed_ns;
	return last + mapping->idle_s * FLOW_NS_PER_S;
}

/* A word of the map `nat_uses`: how many mappings, and a print of address, destination and gateway that they have. */
#define NAT_USE_COUNT(word) ((word)&0xffffffu)
#define NAT_USE_PRINT(word) ((word) & ~0xffffffull)
#define NAT_USE_NONE        0xffffffffu /* nobody counts it */
#define NAT_USE_PLACES      8

/* Map `nat_stats`, by port number of the gateway (NAT-25). Bytes and packets of flows stand in their records; here is
 * what ended ones had. */
struct nat_stats {
	__u64 active;       /* mappings now */
	__u64 attempts;     /* TCP SYNs that opened a mapping */
	__u64 established;  /* ... whose handshake was completed */
	__u64 no_port;      /* ErrorPortAllocation */
	__u64 idle_timeout; /* mappings that ended by silence */
	__u64 drops;        /* packets that the gateway dropped */
	struct {
		__u64 packets;
		__u64 bytes;
	} ended[2]; /* by half: from clients, from destinations */
};

#endif
