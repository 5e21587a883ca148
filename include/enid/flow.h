/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: one conversation on one leg is one record with two halves and two names.
 *
 * A half is one direction: the packets that arrive at half.in with half.tuple. `names` (enid/names.h) leads from a hash
 * of {in, tuple} to record << 1 | half; the full key stands in the half and is compared on every look-up. In which
 * order CPUs see each other's memory: bpf/order.h.
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
 *      half[1].gs of a closing record says since when they are (RECORD_GONE): nobody but who closes it writes there.
 *  I5  A cached decision holds iff half.epoch equals the sum of the epochs of its two ports.
 *  I6  A flow that was opened through a gateway that translates or remembers (NAT, egress-only) has the gateway's
 * mapping in `sides`. Its second name is the outside name, claimed as every name is: no two flows share one. The
 * mapping lives while RECORD_MAPPED stands. Who clears that bit, one alone, gives the port back and drops the second
 * name; if the ENI's entry outlives the mapping the record goes on with one name (half[1].in == 0).
 *  I7  What few flows need stands in `sides`, an array that may be smaller than the records': an entry belongs to the
 *      record that its `owner` says, and stands in one of the places that follow from the record's number, so that
 *      nobody keeps a list of free ones and nothing leads there. A free entry is all zero but for nr_tickets: who gives
 *      one back clears it first. RECORD_SIDE, set before the place is taken: this record may have one; of two CPUs
 *      that want it for a LIVE one who sets the bit takes the place. It goes with its record, after the limbo (I4): who
 *      found it through a LIVE record is done with it long before another record has it.
 *  I8  The decisions of a half stand once for all halves that have the same ones, in `traces`. Whoever finds a READY
 *      one may refer to it; the agent alone frees them, those that no record refers to: it dooms them, which nobody
 *      refers to anew, and waits until who found them before has written it down.
 */
#ifndef ENID_FLOW_H
#define ENID_FLOW_H

#include "enid/types.h"

/* Where a packet came in: port number, and whether the host's own stack sent it toward the port's device. */
#define IN_TX       0x80000000u
#define IN_PORT(in) ((in)&0x7fffffffu)

enum record_state {
	RECORD_FREE,
	RECORD_BUSY,
	RECORD_LIVE,
	RECORD_CLOSING,
	RECORD_GONE, /* half[1].gs alone: CLOSING, and its names are gone; instead of the generation: since when */
};
#define GS_STATE(gs)               ((gs)&0xffu)
#define GS_MAKE(generation, state) (((generation) << 8) | (state))
#define GS_GENERATION(gs)          ((gs) >> 8)

/* What the security groups of the ENI at half.in hold of the flow. */
enum leg {
	LEG_NONE,      /* no security group here (uplink, routing ENI, host) */
	LEG_TRACKED,   /* stateful: survives an edit (CT-07) */
	LEG_UNTRACKED, /* a cached decision, valid for its epoch only (CT-03) */
	LEG_GATE,      /* a Gateway Load Balancer endpoint's own flow (EP-09): side.tickets[] */
};

/* Flags of a record: half[0].shared. */
#define RECORD_HALF_OPEN 1u /* counted in port_stats.half_open of the charged port */
#define RECORD_GATED     2u /* opened through a gateway that keeps mappings */
#define RECORD_MAPPED    4u /* ... and the mapping lives: half 1's name belongs to it */
#define RECORD_SIDE      8u /* something of it stands in `sides` */

/* State of the conversation as the entry at one ENI saw it: half.ct. */
enum conversation {
	CT_NEW,         /* TCP: SYN seen. UDP: request seen */
	CT_ANSWERED,    /* TCP: SYN-ACK seen. UDP: one exchange done */
	CT_AGAIN,       /* TCP: picked up midway, the other side has not spoken. UDP: a second request */
	CT_ESTABLISHED, /* TCP: both sides have spoken. UDP: a second answer. Others: always */
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

#define HALF_NAT64  (1u << 14) /* the packet changes its family on the way (NAT-21) */
#define HALF_MIRROR (1u << 11) /* a session at either end takes copies */

/* What lies between the two ports carries no more than this (bits of half.flags). */
enum path_limit { PATH_FREE, PATH_8500, PATH_1500, PATH_1446 };
#define HALF_PATH_SHIFT 12
#define HALF_PATH_MASK  (3u << HALF_PATH_SHIFT)
#define PATH_MTUS       (0xffffull | 8500ull << 16 | 1500ull << 32 | 1446ull << 48)

#define HALF_TRACE_MAX 5

#define CHARGED_NOBODY 0xffffffffu /* half 1's shared: not charged yet, or given back already */

/* `make LAYOUT=1` builds one whose records look another way, for tests of an upgrade (tests/survive). */
#ifdef ENID_TEST_LAYOUT
#define TEST_LAYOUT_LINE __u64 test_line[8];
#else
#define TEST_LAYOUT_LINE
#endif

struct flow_half {
	TEST_LAYOUT_LINE
	/* read by every packet */
	struct tuple tuple;
	__u32 in;
	__u32 gs;
	__u32 epoch;  /* 0 = judge anew, EPOCH_TAKEN = as well */
	__u16 exit;   /* port it leaves by; 0 = the host's stack */
	__u16 owner;  /* CPU + 1 that alone counts in `own`, without a locked step; 0 = none yet */
	__u16 flags;  /* HALF_* */
	__u8 dmac[6]; /* destination MAC for which this was decided */
	/* written by every packet */
	__u64 last_ns;
	__u64 own; /* what the owner counted: OWN_*; see half_packets() */
	struct {
		__u64 packets;
		__u64 bytes; /* IP total lengths */
	} others;            /* what came on other CPUs, and what the owner's word had no room for */
	__u64 told_bytes;    /* TOLD_*: what the flow logs have told already */
	__u32 told_packets;  /* ... lower half */
	__u32 ack;           /* last acknowledgement seen, host order; 0 = none (C5) */
	__u32 idle_s;        /* after this much silence the packet path asks again: the smaller leg_s of the two */
	__u32 leg_s;         /* time-out of the entry at this ENI */
	__u8 tcp_flags;      /* as in flow logs (FL-13), of the current window */
	__u8 leg;            /* enum leg */
	__u8 nr_trace;       /* decisions in limbo.trace's entry */
	__u8 ct;             /* enum conversation */
	__u32 shared; /* half 0: RECORD_* flags. half 1: port that is charged for the record, or CHARGED_NOBODY */
};

#ifndef ENID_TEST_LAYOUT
_Static_assert(sizeof(struct flow_half) == 128, "two lines, the first for reading");
#endif

/* The owner's word: packets above bytes. Before either overflows the owner moves both to `others`; while it does, it
 * says so, since what is moved stands twice for a moment. */
#define OWN_SHIFT          40
#define OWN_BYTES(own)     ((own) & ((1ull << OWN_SHIFT) - 1))
#define OWN_PACKETS(own)   ((own) >> OWN_SHIFT & 0x7fffff)
#define OWN_MAKE(nr, size) (((__u64)(nr) << OWN_SHIFT) + (size))
#define OWN_FULL           (1ull << 62 | 1ull << 39)
#define OWN_MOVING         (1ull << 63)

/* What a half has counted, on whichever CPU. */
static inline __attribute__((always_inline)) __u64 half_packets(const struct flow_half *half)
{
	return OWN_PACKETS(half->own) + half->others.packets;
}

static inline __attribute__((always_inline)) __u64 half_bytes(const struct flow_half *half)
{
	return OWN_BYTES(half->own) + half->others.bytes;
}

/* What was told: 48 bits of bytes, 40 of packets, of which eight stand above the bytes, and above these eight of the
 * record's generation: those of another one count for nothing. */
#define TOLD_BYTES(word)             ((word) & ((1ull << 48) - 1))
#define TOLD_PACKETS(word, low)      (((word) >> 48 & 0xff) << 32 | (low))
#define TOLD_IS_OF(word, generation) ((word) >> 56 == ((generation)&0xff))
#define TOLD_MAKE(packets, bytes, generation) \
	(TOLD_BYTES(bytes) | ((packets) >> 32 & 0xff) << 48 | (__u64)((generation)&0xff) << 56)

/* What was not told yet of `packets` that the half has. More was told than it has while an agent moves counters to it
 * (user/datapath/former.c), and if that agent is killed: then nothing is told before the next one has put it right. */
static inline __attribute__((always_inline)) __u64 half_untold(const struct flow_half *half, __u32 generation,
							       __u64 packets)
{
	__u64 word = half->told_bytes, told = TOLD_PACKETS(word, half->told_packets);
	__u64 rest = packets - (TOLD_IS_OF(word, generation) ? told : 0);

	return rest >> 39 & 1 ? 0 : rest & ((1ull << 40) - 1);
}

static inline __attribute__((always_inline)) __u64 half_untold_bytes(const struct flow_half *half, __u32 generation,
								     __u64 bytes)
{
	__u64 word = half->told_bytes, rest = bytes - (TOLD_IS_OF(word, generation) ? TOLD_BYTES(word) : 0);

	return rest >> 47 & 1 ? 0 : TOLD_BYTES(rest);
}

struct flow_record {
	struct flow_half half[2]; /* 0 = the direction that opened the flow */
};

/* What a NAT gateway or an egress-only gateway remembers of a flow (NAT-04, EIGW-02). */
struct gate_mapping {
	TEST_LAYOUT_LINE
	__u64 closed_ns; /* when both FINs or a RST had passed: nothing extends the time from there; or see `paused` */
	__be32 addr;     /* the gateway's address that stands for the client; 0 = it translates nothing */
	__u32 use;       /* where in `nat_uses` it is counted */
	__be32 inner_addr; /* address that stands for the client at a NAT gateway between the client and this one */
	__u16 gateway;     /* its port number */
	__u16 inner;       /* port number of that other gateway; 0 = none */
	__u16 peering; /* port of the peering by which its packets go on: answers need no route (NAT-18); 0 = by none */
	__be16 port;   /* the gateway's port that stands for the client's, or ICMP identifier */
	__u16 idle_s;  /* time-out of the state that it is in */
	__u8 ct;       /* enum conversation, as the gateway saw it */
	__u8 paused;   /* the flow's last packet took another way: here the last one passed at closed_ns */
};

/* What a Gateway Load Balancer endpoint remembers of a flow (EP-08, EP-09), by half whose packets come from there. Both
 * legs of the flow, before and behind the endpoint, have the same one: who meets the flow first makes it. */
struct gate_ticket {
	__u32 cookie;     /* of the flow, in this VPC's endpoint; 0 = none yet */
	__be32 appliance; /* where its packets go, and come from */
};

/* Parallel array `limbo`: what is seldom needed of a record. */
struct limbo {
	TEST_LAYOUT_LINE
	__u32 policy[2]; /* by half: hash of the rules that admitted the flow untracked at the half's ENI */
	__u32 trace[2];  /* by half: the decisions that let its first packet pass: place in `traces` + 1; 0 = unknown */
};

/* Map `sides` (I7). */
struct side {
	TEST_LAYOUT_LINE
	__u32 owner;      /* record + 1; 0 = free */
	__u32 nr_tickets; /* made in this place, ever: no cookie comes again soon */
	struct gate_mapping mapping;
	struct gate_ticket tickets[2]; /* by half with LEG_GATE */
};

#define SIDE_PLACES 64

/* The places that a record may have in `sides`, one after the other. The first is its own where there are enough. */
static inline __attribute__((always_inline)) __u32 side_place(__u32 index, __u32 step, __u32 nr_sides)
{
	__u32 x = index * 0x9e3779b1u;

	if (!step && index < nr_sides)
		return index;
	if (step) {
		x = ((x ^ x >> 15) + step * 0x7feb352du) * 0x846ca68bu;
		x ^= x >> 16;
	}
	return (__u32)((__u64)x * nr_sides >> 32);
}

/* For so many records. gated: each of them may be a flow with a mapping or a ticket, and then each has a place that
 * nobody else takes; else about a quarter may. */
static inline __u32 sides_max(__u32 records, int gated)
{
	return gated ? records : records / 4 + 64;
}

/* Map `traces` (I8). */
enum trace_state { TRACE_FREE, TRACE_BUSY, TRACE_READY, TRACE_DOOMED };

struct trace {
	__u32 state;
	__u32 decisions[HALF_TRACE_MAX]; /* 0 = no more */
};

#define TRACES       16384 /* a power of two */
#define TRACE_PLACES 8

/* When the names of a closing record were gone, in half[1].gs: 24 bits of milliseconds, or nearly. */
#define GONE_SHIFT  20
#define GS_GONE(ns) ((__u32)((ns) >> GONE_SHIFT) << 8 | RECORD_GONE)

/* ret: has it been so long? Of two clocks one may be late. */
static inline __attribute__((always_inline)) int gone_for(__u32 gs, __u64 now_ns, __u64 ns)
{
	__u32 age = ((__u32)(now_ns >> GONE_SHIFT) - GS_GENERATION(gs)) & 0xffffff;

	/* the last four seconds before the clock comes round: it is the other one that is late */
	return GS_STATE(gs) == RECORD_GONE && age < 0xfff000 && age > (ns >> GONE_SHIFT) + 1;
}

/* Free records (bpf/free.h). Those that were used hang together: record + 1, 0 = the last. The link stands where nobody
 * but the record's next owner writes: a CPU that was held up for longer than the limbo may still write a decision. */
#define FREE_LINK(record)        ((record)->half[0].tuple.saddr.w[0])
#define LIST_POPPED(head, at)    ((((head) >> 32) + 1) << 32 | (at))
#define LIST_PUSHED(head, index) (((head) & ~0xffffffffull) | ((__u64)(index) + 1))

#define SHELF_RECORDS 64
#define SHELVES_MAX   8192

struct shelf {       /* of a CPU: FREE records that it takes without asking others */
	__u32 taken; /* 1 = somebody is at it */
	__u32 nr;
	__u32 zero[14];
	__u32 index[SHELF_RECORDS];
};

#define FLOW_NS_PER_S 1000000000ull

/* When a record's mapping is over if no packet comes until then (NAT-08, NAT-09); 0 = it has none. */
static inline __attribute__((always_inline)) __u64 mapping_end(const struct flow_record *record,
							       const struct gate_mapping *mapping)
{
	__u64 a = record->half[0].last_ns, b = record->half[1].last_ns, last = a > b ? a : b;

	if (!mapping || !(record->half[0].shared & RECORD_MAPPED))
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
