/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One packet on its way through the pipeline. It lives in a per-CPU map, which spares the 512-byte stack and lets
 * global functions (verified once, not once a caller) work on it. */
#ifndef ENID_PACKET_H
#define ENID_PACKET_H

#include <stdbool.h>

#include "maps.h"

#define ETH_HLEN     14
#define ETH_P_IP     0x0800
#define ETH_P_ARP    0x0806
#define ETH_P_IPV6   0x86dd
#define ETH_P_8021Q  0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_QINQ1  0x9100

#define IPPROTO_ICMP   1
#define IPPROTO_TCP    6
#define IPPROTO_UDP    17
#define IPPROTO_ICMPV6 58

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

#define NS_PER_S 1000000000ull
#define REF_NONE 0xffffffffu

enum packet_kind {
	KIND_PLAIN, /* has or opens a flow */
	KIND_ERROR, /* ICMP error that quotes a packet (CT-14) */
	KIND_BARE,  /* other ICMP: opens nothing, refers to nothing */
};

enum fragment_kind { FRAGMENT_NO, FRAGMENT_FIRST, FRAGMENT_LATER };

/* What the security groups at one end hold of this packet's conversation. */
struct spot {
	__u32 port;                /* ENI, 0 = no security group on this side */
	__u32 ref;                 /* record << 1 | half that holds the entry at this ENI, REF_NONE = none */
	__u8 leg;                  /* enum leg, after judging */
	__u8 fresh;                /* the entry is new: the rules admitted it */
	__u8 ct;                   /* enum conversation of the entry before this packet */
	__u8 made;                 /* the ticket's cookie is of the record that is being opened */
	struct gate_ticket ticket; /* LEG_GATE */
};

/* What the sender of a dropped packet is told (complain.h). */
enum complaint {
	COMPLAIN_NOT,
	COMPLAIN_TOO_BIG, /* it does not fit p->mtu */
	COMPLAIN_TTL,     /* its time to live is used up */
	COMPLAIN_RESET,   /* TCP: as if by the packet's destination */
};

/* Who owns an address of a zone, as somebody asked before for this packet (owner_at). */
struct owned {
	union addr addr;
	__u32 zone;
	__u32 family; /* 0 = nobody has asked */
	__u32 port;
};

/* How the last flow between two addresses was answered (foresee.h). IPv4. */
struct guess {
	__u32 key; /* of the addresses and the arrival of who opened it */
	__u32 in;  /* where answers arrive */
	__be32 from;
	__be32 to;
};

#define GUESSES     64 /* a power of two */
#define OWNED_MAX   2  /* its source and its destination */
#define SPILLED_MAX 2  /* at the source and at the target */

struct pkt {
	/* parser */
	struct tuple tuple; /* as it arrived */
	struct tuple inner; /* KIND_ERROR: the quoted packet, as it arrived */
	__u8 dmac[6];
	__u8 smac[6];
	__u16 ethertype; /* host order */
	__u16 l4;        /* offset of the L4 header in the frame */
	__u32 len;       /* of the frame on the wire */
	__u32 bytes;     /* IP total length, or of all its segments (GSO) */
	__u32 segments;  /* packets on the wire: 1, or the GSO segments */
	__u32 seq, ack;  /* TCP, host order */
	__u32 fragment_id;
	__u16 inner_l3, inner_l4;
	__u16 payload; /* bytes from l4 to the end of the IP packet */
	__u16 service; /* port part of SERVICE_KEY */
	__u16 piece;   /* FRAGMENT_LATER: where in its datagram it begins, bytes */
	__u8 kind;     /* enum packet_kind */
	__u8 fragment; /* enum fragment_kind */
	__u8 tcp_flags;
	__u8 icmp_type, icmp_code;
	__be32 icmp_rest;   /* what stands behind the checksum */
	__u8 reason;        /* parser's verdict: enum enid_reason */
	__u8 source_routed; /* by an IPv4 option or an IPv6 routing header (A6, A7) */
	__u8 unsummed;      /* UDP without a checksum; not known of later fragments, nor on the fast path */
	__u32 walk_at, walk_len, walk_found; /* of a walk through options (option_walk) */
	/* set by the entry */
	__u64 now;
	__u64 tick;     /* jiffies when `now` was read */
	__u32 in;       /* port number | IN_TX */
	__u32 parity;   /* slot in force */
	__u32 foreseen; /* exit_fetch() */
	/* set by the entry where no kept decision holds */
	__u8 quick;     /* parse_quick() found no fault */
	__u8 looked;    /* its name has been looked up: p->seen_ref */
	__u32 seen_ref; /* record << 1 | half, REF_NONE = none */
	struct owned owned[OWNED_MAX];
	/* pipeline */
	struct tuple out; /* as it leaves */
	struct tuple inner_out;
	struct tuple back; /* a tuple to look up, computed where it is needed: spares the stack */
	struct spot source;
	struct spot target;
	__u32 ref;        /* record << 1 | half of this packet's own name */
	__u32 exit;       /* port it leaves by, 0 = the host's stack */
	__u32 flags;      /* HALF_* to be */
	__u32 epoch;      /* of source and target together */
	__u8 seen_egress; /* passed SG and NACL of the source: flow log ACCEPT there */
	__u8 related;     /* ICMP error about a tracked flow */
	__u8 crossing;    /* leaves the subnet: NACLs run */
	__u8 relayed;     /* by an uplink or a middlebox: no group reference matches (SG-18) */
	__u8 tracked;     /* path makes it tracked (CT-06) */
	__u8 action;      /* enum enid_action */
	__u8 early;       /* the XDP program on a wire: it drops, the TC program of the port does the rest */
	/* on its walk (walk.h) */
	struct route route; /* the one that p->at_table has for p->out.daddr */
	__u32 at_zone;      /* the VPC where it is, 0 = in none */
	__u32 at_subnet;    /* ... and the subnet; 0 = none: no network ACL on the way out */
	__u32 at_table;     /* route table version that decides next; 0 = local delivery only */
	__u32 at_port;      /* whose packet it is there: the sender's, a NAT gateway's; 0 = one in transit */
	__u32 at_gateway;   /* AT_VGW, AT_EDGE: the gateway; AT_TRANSIT: the attachment by which it came; 0 = none */
	__u32 at_az;        /* AT_TRANSIT: the availability zone that it comes from */
	__u32 peer_zone;    /* where group references look for the other end's address */
	__u32 via;          /* the attachment by which it came out of a transit gateway first; 0 = none */
	__u32 entered;      /* ... by which it came into one first; 0 = none */
	__u32 nat;          /* NAT or egress-only gateway that keeps a mapping for the flow; 0 = none */
	__u8 at;            /* enum station */
	__u8 routed;        /* p->route is looked up */
	__u8 transit;       /* came into the VPC by a private gateway: no way out to public ones (IGW-08, EP-03) */
	__u8 remembered;    /* by a gateway that lets nothing in but answers: the flow needs a record */
	__u8 entered_out;   /* as p->out, for a gateway before had translated it: else as p->tuple */
	__u8 hops;          /* taken off the time to live */
	/* at a gateway that keeps mappings (mapping.h) */
	__u64 port_walk;       /* where the search for a free port begins, and how it goes on */
	__u64 nat_print;       /* ... and whose word there it is */
	__u32 nat_use;         /* word in `nat_uses` that counts the mapping */
	__u32 nat_refused;     /* the one that dropped the packet; 0 = none did */
	__u32 nat_inner;       /* NAT gateway that the packet passed before p->nat; 0 = none */
	__be32 nat_inner_addr; /* ... and the client's address there */
	__u32 peering;         /* port of the peering behind the gateway; 0 = none */
	__be32 nat_addr;       /* the gateway's address that stands for the client; 0 = it translates nothing */
	__u16 clamp;           /* the largest MSS that the way carries; 0 = any */
	__u8 moved;            /* the sender's entry moves to a new record: as it stood in the old one */
	__u8 moved_ct;
	__u32 moved_ack[2]; /* of the sender, of its peer */
	__u64 moved_ns;
	__u8 nat_new; /* the flow has no mapping there yet */
	__u8 ttl;     /* as it arrived; not read on the fast path */
	/* from an appliance of a Gateway Load Balancer endpoint (geneve.h) */
	struct gate_ticket shown;
	/* sizes and answers */
	__u32 largest;      /* IP bytes of the largest packet on the wire, where segments > 1 */
	__u16 mtu;          /* what the path carries */
	__u16 cut_word;     /* host order: flags and fragment offset of a packet that is cut */
	__u8 dont_fragment; /* IPv4 */
	__u8 oversize;      /* OVERSIZE_*: what becomes of a packet beyond the path limit */
	__u8 complaint;     /* enum complaint */
	union addr complain_from;
	__u32 complain_nat; /* port of the NAT gateway that says so; 0 = the fabric does */
	__u32 nr_trace;
	__u32 trace[TRACE_MAX];
	__u32 nr_spilled; /* tallies that found no room: an event each */
	__u32 none;
	struct tally_key spilled[SPILLED_MAX];
	struct guess guesses[GUESSES]; /* outlive the packet, as `now` and `tick` do */
};

struct { /* the packet in hand, and one that comes in the middle of it (in_a_copy() in act.h) */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct pkt);
} scratch SEC(".maps");

#define likely(x)        __builtin_expect(!!(x), 1)
#define unlikely(x)      __builtin_expect(!!(x), 0)
#define barrier()        asm volatile("" ::: "memory")
#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) ((__u16)__builtin_bswap16(x))
#define be32(x) ((__u32)__builtin_bswap32(x))
#else
#define be16(x) ((__u16)(x))
#define be32(x) ((__u32)(x))
#endif

static __always_inline void decide(struct pkt *p, __u32 stage, __u32 number)
{
	__u32 n = p->nr_trace;

	if (n >= TRACE_MAX)
		return;
	p->trace[n] = DECISION(stage, number);
	p->nr_trace = n + 1;
}

/* For a stage about to return a reason: the sender shall hear of it, from the address `from`. */
static __always_inline void complain(struct pkt *p, enum complaint what, const union addr *from)
{
	p->complaint = what;
	p->complain_from = *from;
}

static __always_inline struct port *port_at(__u32 port)
{
	return bpf_map_lookup_elem(&ports, &port);
}

static __always_inline struct port_policy *policy_of(const struct pkt *p, __u32 port)
{
	struct port *found = port_at(port);

	return found ? &found->slot[p->parity & 1] : NULL;
}

static __always_inline struct subnet_policy *subnet_of(const struct pkt *p, __u32 subnet)
{
	struct subnet *found = bpf_map_lookup_elem(&subnets, &subnet);

	return found ? &found->slot[p->parity & 1] : NULL;
}

/* Did the ENI behind port `e`, where the packet is seen, send it? */
static __always_inline bool from_eni(const struct pkt *p, const struct port_policy *e)
{
	return e->kind == PORT_ENI && !(p->in & IN_TX) == !(e->flags & PORT_SIDE_INSTANCE);
}

static __always_inline struct gateway_policy *gateway_of(const struct pkt *p, const struct port_policy *e)
{
	__u32 hop = e->hop;
	struct gateway_slots *found = hop ? bpf_map_lookup_elem(&gateways, &hop) : NULL;

	return found ? &found->slot[p->parity & 1] : NULL;
}

/* TCP flags as flow logs tell them (FL-13). */
static __always_inline __u8 log_flags(__u8 flags)
{
	return (flags & 7) | ((flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) ? 16 : 0);
}

/* The other half of an ICMP query: request <-> reply. */
static __always_inline __u16 query_counterpart(__u16 type)
{
	switch (type) {
	case 8:
		return 0;
	case 0:
		return 8;
	case 13:
	case 15:
	case 17:
	case 128:
		return type + 1;
	default:
		return type - 1;
	}
}

/* The tuple of a packet that answers one with `from`. */
static __always_inline void tuple_reverse(struct tuple *to, const struct tuple *from)
{
	bool query = (from->family == 4 && from->proto == IPPROTO_ICMP) ||
		     (from->family == 6 && from->proto == IPPROTO_ICMPV6);

	to->saddr = from->daddr;
	to->daddr = from->saddr;
	to->sport = query ? from->sport : from->dport;
	to->dport = query ? query_counterpart(from->dport) : from->sport;
	to->proto = from->proto;
	to->family = from->family;
	to->zero = 0;
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b; /* every MAC here lies at an even address */

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

#endif
