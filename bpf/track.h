/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connection tracking: how a packet moves the entries of its record, and how long each lives (CT-09, CT-11).
 *
 * Each ENI on the way has its own entry (half.leg, half.ct, half.leg_s). Two CPUs may move one entry at once: each step
 * is one exchange of the state, and what follows from the states is settled until they stand still (C15). */
#ifndef ENID_TRACK_H
#define ENID_TRACK_H

#include "flow.h"

static __always_inline bool opens(const struct pkt *p)
{
	return p->tuple.proto == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       p->kind == KIND_PLAIN && p->fragment != FRAGMENT_LATER;
}

/* ICMP errors, answers and the like never open a flow, even where a rule admits them. */
static __always_inline bool may_open(const struct pkt *p)
{
	__u16 type = p->tuple.dport;

	if (p->kind != KIND_PLAIN)
		return false;
	if (p->tuple.family == 4 && p->tuple.proto == IPPROTO_ICMP)
		return type == 8 || type == 13 || type == 15 || type == 17;
	if (p->tuple.family == 6 && p->tuple.proto == IPPROTO_ICMPV6)
		return type == 128;
	return true;
}

static __always_inline __u8 tcp_first(__u8 flags)
{
	if (flags & TCP_SYN)
		return flags & TCP_ACK ? CT_ANSWERED : CT_NEW;
	return flags & TCP_FIN ? CT_FIN0 : CT_ESTABLISHED; /* picked up midway (CT-13) */
}

/* The state of an entry that this packet opens. */
static __always_inline __u8 ct_first(const struct pkt *p)
{
	if (p->tuple.proto == IPPROTO_TCP)
		return p->fragment == FRAGMENT_LATER ? CT_ESTABLISHED : tcp_first(p->tcp_flags);
	return p->tuple.proto == IPPROTO_UDP ? CT_NEW : CT_ESTABLISHED;
}

static __always_inline __u8 tcp_next(__u8 state, bool reply, __u8 flags)
{
	if (state == CT_NEW && reply && flags & TCP_SYN)
		state = CT_ANSWERED;
	else if (state == CT_ANSWERED && !reply && flags & TCP_ACK)
		state = CT_ESTABLISHED;
	if (!(flags & TCP_FIN))
		return state;
	if (state == CT_FIN0)
		return reply ? CT_CLOSED : CT_FIN0;
	if (state == CT_FIN1)
		return reply ? CT_FIN1 : CT_CLOSED;
	return state == CT_CLOSED ? CT_CLOSED : reply ? CT_FIN1 : CT_FIN0;
}

static __always_inline __u8 udp_next(__u8 state, bool reply)
{
	if (state == CT_NEW)
		return reply ? CT_ANSWERED : CT_NEW;
	if (state == CT_ANSWERED)
		return reply ? CT_ANSWERED : CT_AGAIN;
	return state == CT_AGAIN && reply ? CT_ESTABLISHED : state;
}

static __always_inline __u8 ct_next(const struct pkt *p, __u8 ct, bool backwards)
{
	bool reply = backwards != !!(ct & CT_BACKWARDS);
	__u8 state = CT_STATE(ct);

	if (p->tuple.proto == IPPROTO_TCP)
		state = tcp_next(state, reply, p->tcp_flags);
	else if (p->tuple.proto == IPPROTO_UDP)
		state = udp_next(state, reply);
	return state | (ct & CT_BACKWARDS);
}

#define CLOSED_S 10 /* CT-11 */

static __always_inline __u32 entry_seconds(const struct port_policy *e, __u8 proto, __u8 family, __u8 state)
{
	if (proto == IPPROTO_TCP) {
		switch (state) {
		case CT_NEW:
		case CT_ANSWERED:
			return 60;
		case CT_FIN0:
		case CT_FIN1:
			return 120;
		case CT_CLOSED:
			return CLOSED_S;
		default:
			return e->tcp_established_s;
		}
	}
	if (proto == IPPROTO_UDP)
		return state == CT_ESTABLISHED ? e->udp_stream_s : e->udp_s;
	if ((family == 4 && proto == IPPROTO_ICMP) || (family == 6 && proto == IPPROTO_ICMPV6))
		return 30;
	return 600;
}

/* A Gateway Load Balancer endpoint knows one time-out for TCP, and one for the rest (EP-09). */
static __always_inline __u32 gate_seconds(const struct pkt *p, const struct flow_half *half,
					  const struct port_policy *e)
{
	struct gateway_policy *g = half->tuple.proto == IPPROTO_TCP ? gateway_of(p, e) : NULL;

	if (half->tuple.proto != IPPROTO_TCP)
		return GWLB_IDLE_S;
	if (CT_STATE(READ_ONCE(half->ct)) == CT_CLOSED)
		return CLOSED_S;
	return g && g->kind == GATEWAY_GWLBE ? g->members[GWLB_TCP_IDLE] : GWLB_TCP_IDLE_S;
}

static __always_inline __u32 leg_seconds(const struct pkt *p, const struct flow_half *half)
{
	struct port_policy *e;

	if (half->leg == LEG_NONE)
		return 0;
	e = policy_of(p, IN_PORT(half->in));
	if (e && half->leg == LEG_GATE)
		return gate_seconds(p, half, e);
	return e ? entry_seconds(e, half->tuple.proto, half->tuple.family, CT_STATE(READ_ONCE(half->ct))) : 0;
}

/* A gateway's timers are its own: they know no configuration (NAT-08, NAT-09). */
static __always_inline __u32 mapping_seconds(__u8 proto, __u8 state)
{
	if (proto != IPPROTO_TCP)
		return NAT_IDLE_S;
	return state == CT_NEW || state == CT_ANSWERED || state == CT_CLOSED ? NAT_SHORT_S : NAT_IDLE_S;
}

/* The mapping's share in the time-outs. ret: true = it, too, is established */
static __always_inline bool settle_mapping(struct limbo *rest, __u8 proto, __u32 *idle)
{
	__u8 state = CT_STATE(READ_ONCE(rest->mapping.ct));

	rest->mapping.idle_s = mapping_seconds(proto, state);
	if (state == CT_CLOSED)
		*idle = 0;
	else if (rest->mapping.idle_s < *idle)
		*idle = rest->mapping.idle_s;
	return state == CT_ESTABLISHED;
}

/* Time-outs, and whether later packets may skip this file. */
static __always_inline void settle_times(const struct pkt *p, struct flow_half *a, struct flow_half *b,
					 struct limbo *rest)
{
	__u32 first = leg_seconds(p, a), second = leg_seconds(p, b), idle;
	bool steady = true;

	if (!first && !second)
		first = second = IDLE_NOBODY_S;
	idle = !first || (second && second < first) ? second : first;
	if (rest)
		steady = settle_mapping(rest, a->tuple.proto, &idle);
	if (CT_STATE(READ_ONCE(a->ct)) == CT_CLOSED || CT_STATE(READ_ONCE(b->ct)) == CT_CLOSED)
		idle = 0; /* ask each time: one entry may be over before the other */
	a->leg_s = first;
	b->leg_s = second;
	a->idle_s = idle;
	b->idle_s = idle;
	if (steady && CT_STATE(READ_ONCE(a->ct)) == CT_ESTABLISHED && CT_STATE(READ_ONCE(b->ct)) == CT_ESTABLISHED) {
		flags_set(a, HALF_STEADY);
		flags_set(b, HALF_STEADY);
	} else {
		flags_clear(a, HALF_STEADY);
		flags_clear(b, HALF_STEADY);
	}
}

#define SETTLE_TRIES 3 /* each further one needs another CPU's step in between */

/* After any change of an entry. Charges of a half-open flow end when both entries have seen the handshake, once. */
static __always_inline void flow_settle(const struct pkt *p, struct flow_record *record, __u32 ref)
{
	struct flow_half *a = &record->half[0], *b = &record->half[1];
	struct limbo *rest = a->shared & RECORD_MAPPED ? limbo_at(ref) : NULL;
	struct port_stats *stats;
	__u32 owner = b->shared;

	for (int i = 0; i < SETTLE_TRIES; i++) {
		__u8 first = READ_ONCE(a->ct), second = READ_ONCE(b->ct);

		settle_times(p, a, b, rest); /* ends in a locked step, so what is read next is not older */
		if (READ_ONCE(a->ct) == first && READ_ONCE(b->ct) == second)
			break;
	}
	if (!(a->shared & RECORD_HALF_OPEN) || CT_STATE(a->ct) < CT_ESTABLISHED || CT_STATE(b->ct) < CT_ESTABLISHED)
		return;
	if (!(__sync_fetch_and_and(&a->shared, ~RECORD_HALF_OPEN) & RECORD_HALF_OPEN))
		return;
	stats = bpf_map_lookup_elem(&port_stats, &owner);
	if (stats)
		__sync_fetch_and_add(&stats->half_open, -1);
}

/* A RST that closes: exactly the next sequence number that the other side has seen to be acknowledged (C5). */
static __always_inline bool reset_valid(const struct pkt *p, const struct flow_half *sibling)
{
	return p->tuple.proto == IPPROTO_TCP && p->tcp_flags & TCP_RST && sibling->ack && p->seq == sibling->ack;
}

#define MOVE_BOTH      3u /* entries of both halves: the packet passed both ENIs */
#define MOVE_HALF(ref) (1u << ((ref)&1))

#define ENTRY_TRIES 4

_Static_assert(__builtin_offsetof(struct flow_half, tcp_flags) % 4 == 0 &&
		       __builtin_offsetof(struct flow_half, ct) == __builtin_offsetof(struct flow_half, tcp_flags) + 3,
	       "ct is the last byte of a word");

/* One step of an entry, lost to no other CPU's. ret: true = it changed */
static __always_inline bool entry_step(const struct pkt *p, struct flow_half *half, bool backwards, bool reset)
{
	__u32 *word = (__u32 *)&half->tcp_flags;

	for (int i = 0; i < ENTRY_TRIES; i++) {
		__u32 old = READ_ONCE(*word);
		__u8 before = old >> 24, after;

		after = reset ? CT_CLOSED | (before & CT_BACKWARDS) : ct_next(p, before, backwards);
		if (after == before)
			return false;
		if (__sync_val_compare_and_swap(word, old, (old & 0xffffff) | (__u32)after << 24) == old)
			return true;
	}
	return false;
}

static __always_inline bool entry_move(const struct pkt *p, struct flow_half *half, bool backwards, bool reset)
{
	if (!entry_step(p, half, backwards, reset))
		return false;
	if (CT_STATE(half->ct) == CT_CLOSED)
		half->last_ns = p->now; /* the 10 s count from here (CT-11) */
	return true;
}

/* The gateway on the way sees every packet of the flow. ret: true = its state changed */
static __always_inline bool mapping_move(const struct pkt *p, struct gate_mapping *mapping, bool backwards, bool reset)
{
	__u8 before = mapping->ct;
	bool shaken = before == CT_ANSWERED && !backwards && p->tcp_flags & TCP_ACK; /* the third packet */

	if (p->tuple.proto != IPPROTO_TCP || mapping->paused)
		return false; /* paused: this packet passes elsewhere */
	mapping->ct = reset ? CT_CLOSED : ct_next(p, before, backwards);
	if (before < CT_ESTABLISHED && mapping->ct > CT_ESTABLISHED && !reset && !shaken)
		mapping->ct = before; /* a FIN before the handshake is done leaves it half-open (NAT-09) */
	if (mapping->ct == before)
		return false;
	if (mapping->ct == CT_CLOSED)
		mapping->closed_ns = p->now;
	if (shaken && !reset) {
		__u32 gateway = mapping->gateway;
		struct nat_stats *stats = bpf_map_lookup_elem(&nat_stats, &gateway);

		if (stats)
			__sync_fetch_and_add(&stats->established, 1);
	}
	return true;
}

/* Move entries by this packet, which passed. ref: the record and the direction of the packet in it; which: MOVE_* */
__noinline int flow_track(struct pkt *p, __u32 ref, __u32 which)
{
	struct flow_record *record = record_at(ref);
	bool reset, seen, moved = false;

	if (!p || !record || p->kind != KIND_PLAIN || p->fragment == FRAGMENT_LATER)
		return 0;
	reset = reset_valid(p, sibling_of(record, ref));
	seen = reset && !(sibling_of(record, ref)->flags & HALF_ALONE); /* the sender's ENI saw that acknowledgement */
	if (which & 1)
		moved = entry_move(p, &record->half[0], ref & 1, ref & 1 ? reset : seen);
	if (which & 2)
		moved |= entry_move(p, &record->half[1], ref & 1, ref & 1 ? seen : reset);
	if (record->half[0].shared & RECORD_MAPPED) {
		struct limbo *rest = limbo_at(ref);

		if (rest)
			moved |= mapping_move(p, &rest->mapping, ref & 1, reset);
	}
	if (moved)
		flow_settle(p, record, ref);
	return 0;
}

/* The first CPU that counts on a half owns its counters; the books must be exact, so others have counters of their own.
 */
__noinline int count_as_other(struct pkt *p, __u32 cpu)
{
	struct flow_record *record = p ? record_at(p->ref) : NULL;
	struct flow_half *half;

	if (!record)
		return 0;
	half = half_of(record, p->ref);
	if (!half->owner && !__sync_val_compare_and_swap(&half->owner, 0, cpu)) {
		half->packets += p->segments;
		half->bytes += p->bytes;
		return 0;
	}
	__sync_fetch_and_add(&half->others.packets, p->segments);
	__sync_fetch_and_add(&half->others.bytes, p->bytes);
	return 0;
}

/* Count the packet on its half, which is p->ref. A closed conversation's clock has stopped. Programs of one CPU never
 * interrupt each other here: packets come with softirqs off.
 */
static __always_inline void flow_count(struct pkt *p, struct flow_half *half)
{
	__u32 cpu = bpf_get_smp_processor_id() + 1;

	if (likely(half->owner == cpu)) {
		half->packets += p->segments;
		half->bytes += p->bytes;
	} else {
		count_as_other(p, cpu);
	}
	if (unlikely(p->fragment == FRAGMENT_LATER))
		return; /* touches no entry */
	if (likely(CT_STATE(half->ct) != CT_CLOSED))
		half->last_ns = p->now;
	if (p->tuple.proto == IPPROTO_TCP) {
		__u8 flags = log_flags(p->tcp_flags);

		if (flags & ~half->tcp_flags)
			half->tcp_flags |= flags;
		if ((p->tcp_flags & (TCP_ACK | TCP_RST)) == TCP_ACK)
			half->ack = p->ack;
	}
}

#endif
