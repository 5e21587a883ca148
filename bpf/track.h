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

static __always_inline bool resets(const struct pkt *p)
{
	return p->tuple.proto == IPPROTO_TCP && p->kind == KIND_PLAIN && p->tcp_flags & TCP_RST;
}

static __always_inline bool acknowledges(const struct pkt *p)
{
	return p->tuple.proto == IPPROTO_TCP && (p->tcp_flags & (TCP_ACK | TCP_RST)) == TCP_ACK;
}

/* ICMP errors, answers, resets and the like never open a flow, even where a rule admits them: nobody answers them, so
 * nobody would end what they opened (C9). */
static __always_inline bool may_open(const struct pkt *p)
{
	__u16 type = p->tuple.dport;

	if (p->kind != KIND_PLAIN || resets(p))
		return false;
	if (p->tuple.family == 4 && p->tuple.proto == IPPROTO_ICMP)
		return type == 8 || type == 13 || type == 15 || type == 17;
	if (p->tuple.family == 6 && p->tuple.proto == IPPROTO_ICMPV6)
		return type == 128;
	return true;
}

static __always_inline __u8 tcp_first(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN ? CT_NEW : CT_AGAIN; /* picked up midway (CT-13) */
}

/* The state of an entry that this packet opens. */
static __always_inline __u8 ct_first(const struct pkt *p)
{
	if (p->tuple.proto == IPPROTO_TCP)
		return p->fragment == FRAGMENT_LATER ? CT_ESTABLISHED : tcp_first(p->tcp_flags);
	return p->tuple.proto == IPPROTO_UDP ? CT_NEW : CT_ESTABLISHED;
}

/* flags: those that count */
static __always_inline __u8 tcp_next(__u8 state, bool reply, __u8 flags)
{
	if (flags & TCP_RST)
		return CT_CLOSED;
	if (state == CT_NEW && reply && flags & TCP_SYN)
		state = CT_ANSWERED;
	else if (state == CT_ANSWERED && !reply && flags & TCP_ACK)
		state = CT_ESTABLISHED;
	else if (state == CT_AGAIN && reply && flags & TCP_ACK)
		state = CT_ESTABLISHED; /* the other side takes part: until then anybody may have made it up (C10) */
	if (!(flags & TCP_FIN) || state < CT_ESTABLISHED)
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

__noinline __u32 ct_next(const struct pkt *p, __u32 ct, __u32 backwards, __u32 flags)
{
	bool reply = !!backwards != !!(ct & CT_BACKWARDS);
	__u8 state = CT_STATE(ct);

	if (!p)
		return ct;

	if (p->tuple.proto == IPPROTO_TCP)
		state = tcp_next(state, reply, flags);
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
		case CT_AGAIN:
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
	return state < CT_ESTABLISHED || state == CT_CLOSED ? NAT_SHORT_S : NAT_IDLE_S;
}

/* The mapping's share in the time-outs. ret: true = it, too, is established */
static __always_inline bool settle_mapping(struct side *rest, __u8 proto, __u32 *idle)
{
	__u8 state = CT_STATE(READ_ONCE(rest->mapping.ct));

	rest->mapping.idle_s = mapping_seconds(proto, state);
	if (state == CT_CLOSED)
		*idle = 0;
	else if (rest->mapping.idle_s < *idle)
		*idle = rest->mapping.idle_s;
	return state == CT_ESTABLISHED;
}

/* Time-outs. ret: true = later packets may skip this file (HALF_STEADY) */
static __always_inline bool settle_seconds(const struct pkt *p, struct flow_half *a, struct flow_half *b,
					   struct side *rest)
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
	return steady && CT_STATE(READ_ONCE(a->ct)) == CT_ESTABLISHED && CT_STATE(READ_ONCE(b->ct)) == CT_ESTABLISHED;
}

static __always_inline void settle_times(const struct pkt *p, struct flow_half *a, struct flow_half *b,
					 struct side *rest)
{
	if (settle_seconds(p, a, b, rest)) {
		flags_set(a, HALF_STEADY);
		flags_set(b, HALF_STEADY);
	} else {
		flags_clear(a, HALF_STEADY);
		flags_clear(b, HALF_STEADY);
	}
}

#define SETTLE_TRIES 3 /* each further one needs another CPU's step in between */

/* A half of no ENI has no entry, and on an asymmetric path it may never see the other direction: nobody waits for it.
 * What was never established and is closed waits for its end, or a flood of openings that the guest resets would pay
 * for nothing (C10). */
static __always_inline bool half_waits(const struct flow_half *half)
{
	return half->leg != LEG_NONE && (CT_STATE(half->ct) < CT_ESTABLISHED || CT_STATE(half->ct) == CT_CLOSED);
}

/* The guest that was picked up midway goes on, and the other side's packets never come by here: nothing that others
 * made up (CT-19, C10). Like UDP it holds its 60 s. A mere answer to a SYN is not that. */
static __always_inline bool goes_on_alone(const struct pkt *p, const struct flow_record *record, __u32 ref)
{
	const struct flow_half *own = &record->half[0];

	return own->shared & RECORD_HALF_OPEN && !(ref & 1) && own->ct == CT_AGAIN && own->leg != LEG_NONE &&
	       record->half[1].leg == LEG_NONE && !(p->tcp_flags & (TCP_SYN | TCP_RST | TCP_FIN));
}

/* After any change of an entry. Charges of a half-open flow end when both entries have seen the handshake, once. */
__noinline int flow_settle(const struct pkt *p, __u32 ref)
{
	struct flow_record *record = record_at(ref);
	struct flow_half *a, *b;
	struct port_stats *stats;
	struct side *rest;
	__u32 owner;

	if (!p || !record)
		return 0;
	a = &record->half[0];
	b = &record->half[1];
	rest = a->shared & RECORD_MAPPED ? side_of(record, ref) : NULL;
	owner = b->shared;
	for (int i = 0; i < SETTLE_TRIES; i++) {
		__u8 first = READ_ONCE(a->ct), second = READ_ONCE(b->ct);

		settle_times(p, a, b, rest);
		OBSERVE(); /* its locked step gives no value, so elsewhere than on x86 it orders nothing */
		if (READ_ONCE(a->ct) == first && READ_ONCE(b->ct) == second)
			break;
	}
	if (!(a->shared & RECORD_HALF_OPEN) || ((half_waits(a) || half_waits(b)) && !goes_on_alone(p, record, ref)))
		return 0;
	if (!(__sync_fetch_and_and(&a->shared, ~RECORD_HALF_OPEN) & RECORD_HALF_OPEN))
		return 0;
	stats = bpf_map_lookup_elem(&port_stats, &owner);
	if (stats)
		__sync_fetch_and_add(&stats->half_open, -1);
	return 0;
}

/* Of a record that nobody else can find yet (BUSY). Without a locked step: it would wait for the record's lines, which
 * come from memory. rest: its mapping's place, NULL = it has none */
static __always_inline void flow_settle_new(const struct pkt *p, struct flow_record *record, struct side *rest)
{
	if (!settle_seconds(p, &record->half[0], &record->half[1], rest))
		return;
	record->half[0].flags |= HALF_STEADY;
	record->half[1].flags |= HALF_STEADY;
}

/* A RST that closes: exactly the next sequence number that the other side has seen to be acknowledged (C5). */
static __always_inline bool reset_valid(const struct pkt *p, const struct flow_half *sibling)
{
	return p->tuple.proto == IPPROTO_TCP && p->tcp_flags & TCP_RST && sibling->ack && p->seq == sibling->ack;
}

/* A FIN comes behind data that nobody has acknowledged yet: behind not more than was sent, or than is ever on its way.
 * What was lost before it came here was not counted, and one that is sent again may begin below what was acknowledged.
 */
#define FIN_SLACK (256u << 10)
#define FIN_AHEAD (64u << 20)

static __always_inline bool fin_near(const struct pkt *p, const struct flow_half *half, const struct flow_half *sibling)
{
	__u64 sent = half_bytes(half);
	__u32 ahead = sent < FIN_AHEAD ? sent : FIN_AHEAD;

	if (sibling->flags & (HALF_ALONE | HALF_PARTED))
		ahead = FIN_AHEAD; /* counted elsewhere */
	return !sibling->ack || p->seq - sibling->ack + FIN_SLACK <= 2 * FIN_SLACK + ahead;
}

/* Flags that count: a reset if it is exact, a FIN if its number may be right, an acknowledgement of something. seen:
 * the ENI in question saw what `sibling` says */
static __always_inline __u8 flags_counting(const struct pkt *p, const struct flow_half *half,
					   const struct flow_half *sibling, bool seen)
{
	__u8 flags = p->tcp_flags;

	if (flags & TCP_RST)
		return seen && reset_valid(p, sibling) ? TCP_RST : 0;
	if (!p->ack)
		flags &= ~TCP_ACK; /* or a reset that answers it could never be exact */
	if (flags & TCP_FIN && (!(flags & TCP_ACK) || (seen && !fin_near(p, half, sibling))))
		flags &= ~TCP_FIN;
	return flags;
}

#define MOVE_BOTH      3u /* entries of both halves: the packet passed both ENIs */
#define MOVE_HALF(ref) (1u << ((ref)&1))

#define ENTRY_TRIES 4

_Static_assert(__builtin_offsetof(struct flow_half, tcp_flags) % 4 == 0 &&
		       __builtin_offsetof(struct flow_half, exit) % 4 == 0 &&
		       __builtin_offsetof(struct flow_half, owner) == __builtin_offsetof(struct flow_half, exit) + 2 &&
		       __builtin_offsetof(struct flow_half, ct) == __builtin_offsetof(struct flow_half, tcp_flags) + 3,
	       "ct is the last byte of a word");

/* One step of an entry, lost to no other CPU's. ret: true = it changed */
static __always_inline bool entry_step(const struct pkt *p, struct flow_half *half, bool backwards, __u8 flags)
{
	__u32 *word = (__u32 *)&half->tcp_flags;

	for (int i = 0; i < ENTRY_TRIES; i++) {
		__u32 old = READ_ONCE(*word);
		__u8 before = old >> 24, after;

		after = ct_next(p, before, backwards, flags);
		if (after == before)
			return false;
		if (__sync_val_compare_and_swap(word, old, (old & 0xffffff) | (__u32)after << 24) == old)
			return true;
	}
	return false;
}

static __always_inline bool entry_move(const struct pkt *p, struct flow_half *half, bool backwards, __u8 flags)
{
	if (!entry_step(p, half, backwards, flags))
		return false;
	if (CT_STATE(half->ct) == CT_CLOSED)
		half->last_ns = p->now; /* the 10 s count from here (CT-11) */
	return true;
}

/* The gateway on the way sees every packet of the flow. ret: true = its state changed */
static __always_inline bool mapping_move(const struct pkt *p, struct gate_mapping *mapping, bool backwards, __u8 flags)
{
	__u8 before = mapping->ct;
	bool shaken = before == CT_ANSWERED && !backwards && flags & TCP_ACK; /* the third packet */

	if (p->tuple.proto != IPPROTO_TCP || mapping->paused)
		return false; /* paused: this packet passes elsewhere */
	mapping->ct = ct_next(p, before, backwards, flags);
	if (mapping->ct == before)
		return false;
	if (mapping->ct == CT_CLOSED)
		mapping->closed_ns = p->now;
	if (shaken) {
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
	const struct flow_half *half, *sibling;
	bool moved = false;
	__u8 there, here;

	if (!p || !record || p->kind != KIND_PLAIN || p->fragment == FRAGMENT_LATER)
		return 0;
	half = half_of(record, ref);
	sibling = sibling_of(record, ref);
	there = flags_counting(p, half, sibling, true);
	here = flags_counting(p, half, sibling, !(sibling->flags & HALF_ALONE)); /* at the sender's ENI */
	if (which & 1)
		moved = entry_move(p, &record->half[0], ref & 1, ref & 1 ? there : here);
	if (which & 2)
		moved |= entry_move(p, &record->half[1], ref & 1, ref & 1 ? here : there);
	if (record->half[0].shared & RECORD_MAPPED) {
		struct side *rest = side_of(record, ref);

		if (rest)
			moved |= mapping_move(p, &rest->mapping, ref & 1, there);
	}
	if (moved || goes_on_alone(p, record, ref))
		flow_settle(p, ref);
	return 0;
}

/* The first CPU that counts on a half owns its counters; the books must be exact, so others have counters of their own.
 */
__noinline int count_as_other(struct pkt *p, __u32 cpu)
{
	struct flow_record *record = p ? record_at(p->ref) : NULL;
	struct flow_half *half;
	__u32 *word, old;

	if (!record)
		return 0;
	half = half_of(record, p->ref);
	word = (__u32 *)&half->exit; /* and the owner */
	old = READ_ONCE(*word);
	if (!(old >> 16) && __sync_val_compare_and_swap(word, old, old | cpu << 16) == old) {
		half->own += OWN_MAKE(p->segments, p->bytes);
		return 0;
	}
	__sync_fetch_and_add(&half->others.packets, p->segments);
	__sync_fetch_and_add(&half->others.bytes, p->bytes);
	return 0;
}

/* By the owner, before its word overflows. Who copies the counters meanwhile sees OWN_MOVING, or `others` change. */
__noinline int own_move(__u32 ref)
{
	struct flow_record *record = record_at(ref);
	struct flow_half *half;
	__u64 own;

	if (!record)
		return 0;
	half = half_of(record, ref);
	own = half->own;
	WRITE_ONCE(half->own, own | OWN_MOVING);
	__sync_fetch_and_add(&half->others.packets, OWN_PACKETS(own));
	__sync_fetch_and_add(&half->others.bytes, OWN_BYTES(own));
	PUBLISH(half->own, 0);
	return 0;
}

/* Count the packet on its half, which is p->ref. A closed conversation's clock has stopped. Programs of one CPU never
 * interrupt each other here: packets come with softirqs off.
 */
static __always_inline void flow_count(struct pkt *p, struct flow_half *half)
{
	__u32 cpu = bpf_get_smp_processor_id() + 1;

	if (likely(half->owner == cpu)) {
		__u64 own = half->own + OWN_MAKE(p->segments, p->bytes);

		WRITE_ONCE(half->own, own);
		if (unlikely(own & OWN_FULL))
			own_move(p->ref);
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
		if (acknowledges(p))
			half->ack = p->ack;
	}
}

#endif
