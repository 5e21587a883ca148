/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keep what was judged: open a record for a new flow, refresh the half of a known one; and find a decision that was
 * kept. */
#ifndef ENID_KEEP_H
#define ENID_KEEP_H

#include "account.h"
#include "foresee.h"
#include "gwlbe.h"
#include "mapping.h"
#include "mtu.h"
#include "sg.h"

/* ---- the way back: what an answer to this packet will look like, and where it will arrive */

static __always_inline __u32 back_arrival(const struct pkt *p)
{
	struct port_policy *x;

	if (!p->exit || p->in & IN_TX)
		return p->in ^ IN_TX; /* left to the host's stack, or sent by it */
	x = policy_of(p, p->exit);
	return x ? arrival_from(x, p->exit) : p->exit;
}

static __always_inline __u32 epoch_of(const struct pkt *p, __u32 port)
{
	struct port_policy *e = port ? policy_of(p, port) : NULL;

	return e ? e->epoch : 0;
}

/* From now on packets of this half say nothing about the ENI at the other end: what they said so far is noted there. */
static __always_inline void half_part(struct flow_half *half, struct flow_half *sibling)
{
	if (half->flags & (HALF_ALONE | HALF_PARTED))
		return;
	if (sibling->last_ns < half->last_ns && CT_STATE(sibling->ct) != CT_CLOSED)
		sibling->last_ns = half->last_ns;
	flags_set(half, HALF_PARTED);
}

/* ret: how many decisions are known of the half */
static __always_inline __u8 trace_keep(struct pkt *p, __u32 ref)
{
	struct limbo *rest = limbo_at(ref);
	__u32 number = trace_number(p);

	if (!rest || !number)
		return 0;
	rest->trace[ref & 1] = number;
	return p->nr_trace < HALF_TRACE_MAX ? p->nr_trace : HALF_TRACE_MAX;
}

static __always_inline void half_decide(struct pkt *p, __u32 ref, struct flow_half *half, struct flow_half *sibling,
					bool alone, const bool new)
{
	if (alone)
		half_part(half, sibling);
	if (!new && !decision_take(half, p->parity))
		return;
	barrier();
	half->exit = p->exit;
	half->flags = (half->flags & HALF_STEADY) | p->flags | (alone ? HALF_ALONE : 0);
	__builtin_memcpy(half->dmac, p->dmac, 6);
	half->nr_trace = trace_keep(p, ref);
	PUBLISH(half->epoch, alone ? 0 : epoch_of(p, IN_PORT(p->in)) + epoch_of(p, p->exit));
}

/* A new entry at the ENI of `spot` stands in the half `ref`. */
static __always_inline void half_take_entry(const struct pkt *p, struct flow_half *half, struct spot *spot,
					    bool backwards, __u32 ref)
{
	struct port_policy *e = policy_of(p, spot->port);
	struct limbo *rest = spot->leg == LEG_UNTRACKED ? limbo_at(ref) : NULL;

	half->leg = spot->leg;
	half->ct = ct_first(p) | (backwards ? CT_BACKWARDS : 0);
	if (e && rest)
		rest->policy[ref & 1] = rules_hash(e);
	if (spot->leg == LEG_GATE)
		gate_note(spot, ref);
}

/* ... of a flow that has a record. Verified by itself: inline the verifier walks it once for each way to it. */
__noinline int entry_take(const struct pkt *p, struct spot *spot, __u32 backwards, __u32 ref)
{
	struct flow_record *record = record_at(ref);

	if (p && spot && record)
		half_take_entry(p, half_of(record, ref), spot, backwards, ref);
	return 0;
}

/* A packet that took another way touches the entry, but not the mapping of a gateway that it did not pass (EIGW-02). */
static __always_inline void mapping_pause(struct flow_record *record, __u32 ref)
{
	struct side *rest = record->half[0].shared & RECORD_MAPPED ? side_of(record, ref) : NULL;
	__u64 a = record->half[0].last_ns, b = record->half[1].last_ns;

	if (!rest || rest->mapping.paused || CT_STATE(rest->mapping.ct) == CT_CLOSED)
		return;
	rest->mapping.closed_ns = a > b ? a : b;
	WRITE_ONCE(rest->mapping.paused, 1);
	decision_forget(sibling_of(record, ref));
}

/* The target's entry stands in another record: touch it there. */
static __always_inline void touch_target(struct pkt *p)
{
	struct flow_record *record = record_at(p->target.ref);
	struct flow_half *half;

	if (!record)
		return;
	half = half_of(record, p->target.ref);
	decision_forget(half);
	if (p->ref == REF_NONE || (p->ref ^ p->target.ref) > 1)
		mapping_pause(record, p->target.ref);
	half_part(half, sibling_of(record, p->target.ref));
	flow_track(p, p->target.ref ^ 1, MOVE_HALF(p->target.ref));
	if (p->kind == KIND_PLAIN && acknowledges(p)) /* what the entry's own resets are compared with */
		sibling_of(record, p->target.ref)->ack = p->ack;
	if (p->target.fresh) {
		entry_take(p, &p->target, !(p->target.ref & 1), p->target.ref);
		flow_settle(p, p->target.ref);
	}
	if (CT_STATE(half->ct) != CT_CLOSED)
		half->last_ns = p->now;
}

/* ---- a new flow */

/* Before anything of the record is written: a locked step waits for what was written before, and a record's lines come
 * from memory. */
static __always_inline void charge(struct port_stats *stats, bool half_open)
{
	__sync_fetch_and_add(charges(stats), charge_of(half_open));
}

static __always_inline void uncharge(struct port_stats *stats, bool half_open)
{
	__sync_fetch_and_add(charges(stats), -charge_of(half_open));
}

/* No record: a flow that some ENI must remember cannot start (CT-16, CT-17); any other one is judged packet by packet.
 */
static __always_inline int without_record(struct pkt *p)
{
	if (p->nat || p->remembered || p->source.leg == LEG_TRACKED || p->target.leg == LEG_TRACKED ||
	    (p->target.leg == LEG_GATE && !p->target.ticket.cookie))
		return REASON_CONNTRACK_FULL;
	account_pass(p);
	return 0;
}

/* The other CPU opened this flow a moment ago, with a port that this packet has to use as well. */
static __always_inline int join_twin(struct pkt *p)
{
	struct flow_record *record;

	if (!mapping_join(p))
		return REASON_CONNTRACK_FULL;
	record = record_at(p->ref);
	if (record)
		flow_count(p, half_of(record, p->ref));
	return 0;
}

/* The entry of the sender's ENI goes on in the new record, as this packet moves it. */
static __always_inline void entry_resume(struct pkt *p, struct flow_record *record, __u32 index)
{
	struct flow_half *half = &record->half[0];

	half->ct = p->moved_ct;
	half->ack = p->moved_ack[0];
	record->half[1].ack = p->moved_ack[1];
	if (CT_STATE(half->ct) == CT_CLOSED)
		half->last_ns = p->moved_ns;
	flow_track(p, index << 1, MOVE_HALF(0));
}

/* Who pays for the record: an ENI, else the Gateway Load Balancer endpoint. */
static __always_inline __u32 charged_port(const struct pkt *p)
{
	if (p->source.port || p->target.port)
		return p->source.port ? p->source.port : p->target.port;
	if (p->source.leg == LEG_GATE)
		return IN_PORT(p->in);
	return p->target.leg == LEG_GATE ? p->exit : 0;
}

/* The new record has a mapping, or an endpoint's entry. */
static __always_inline bool wants_side(const struct pkt *p, const bool hold_target)
{
	return p->target.leg == LEG_GATE || (!hold_target && (p->nat || p->source.leg == LEG_GATE));
}

/* Charged as half-open until both sides are known to take part, or the guest goes on by itself (goes_on_alone()). */
static __always_inline bool opens_half(const struct pkt *p, const bool hold_target)
{
	__u8 state = CT_STATE(p->moved ? p->moved_ct : ct_first(p));

	if (p->tuple.proto != IPPROTO_TCP || state >= CT_ESTABLISHED)
		return false;
	return hold_target || state != CT_AGAIN || p->tcp_flags & TCP_SYN || !p->source.port ||
	       p->target.leg != LEG_NONE;
}

/* Open the record of p. hold_target: only the target's entry needs a home, the source's has one (asymmetric path).
 * ret: 0 or REASON_CONNTRACK_FULL */
static __always_inline int flow_open(struct pkt *p, const bool hold_target)
{
	__u32 owner = charged_port(p), index;
	struct port_stats *stats = bpf_map_lookup_elem(&port_stats, &owner);
	bool half_open = opens_half(p, hold_target);
	struct flow_record *record;
	bool room;
	int claim;

	if (!stats || !record_admitted(stats, half_open))
		return without_record(p);
	tuple_reverse(&p->back, &p->out);
	charge(stats, half_open);
	index = record_new(hold_target ? &p->back : &p->tuple, hold_target ? back_arrival(p) : p->in, &p->back,
			   hold_target ? 0 : back_arrival(p), p->now);
	record = index == REF_NONE ? NULL : bpf_map_lookup_elem(&records, &index);
	if (!record) {
		uncharge(stats, half_open);
		return without_record(p);
	}
	record->half[0].shared = half_open ? RECORD_HALF_OPEN : 0;
	record->half[0].owner = bpf_get_smp_processor_id() + 1; /* who counts on it first, below */
	record->half[1].shared = owner;
	room = !wants_side(p, hold_target) || side_claim(index);
	if (hold_target) {
		half_take_entry(p, &record->half[0], &p->target, true, index << 1);
		record->half[1].ct = CT_ESTABLISHED; /* holds no entry, so waits for nothing */
	} else {
		half_take_entry(p, &record->half[0], &p->source, false, index << 1);
		half_take_entry(p, &record->half[1], &p->target, false, index << 1 | 1);
		half_decide(p, index << 1, &record->half[0], &record->half[1], false, true);
		if (p->moved)
			entry_resume(p, record, index);
	}
	flow_settle_new(p, record, NULL);
	if (!room)
		claim = CLAIM_FULL;
	else if (hold_target)
		claim = record_claim_one(index, record);
	else
		claim = p->nat ? mapping_claim(p, index) : record_claim(index);
	if (claim >= CLAIM_LOST) {
		if (p->target.made)
			p->target.ticket.cookie = 0; /* it was this record's */
		uncharge(stats, half_open);
		record_give_back(index, record);
		if (claim == CLAIM_NO_PORT)
			return REASON_NAT_NO_PORT;
		if (claim == CLAIM_FULL)
			return without_record(p);
		if (p->nat && !hold_target)
			return join_twin(p);
		if (!hold_target)        /* else the record of the way there counts it */
			account_pass(p); /* the other CPU is opening this very flow */
		return 0;
	}
	if (hold_target)
		return 0;
	if (claim == CLAIM_ONE && p->target.ref != REF_NONE)
		touch_target(p);
	if (claim == CLAIM_ONE)
		flow_settle(p, index << 1);
	p->ref = index << 1;
	guess_learn(p, &record->half[1]);
	flow_count(p, &record->half[0]);
	return 0;
}

/* ---- a known flow */

/* Nothing of the record lives any more, neither entry nor mapping, or a SYN starts over after the close: its successor
 * is a new flow. */
static __always_inline bool record_over(const struct pkt *p, const struct flow_record *record, __u32 ref)
{
	struct side *rest = record->half[0].shared & RECORD_MAPPED ? side_of(record, ref) : NULL;

	if (opens(p) && half_closed(record))
		return true;
	return record_silent(record, p->now, 0) && (!rest || mapping_over(record, rest, p->now));
}

/* A flow with a mapping whose way does not pass the gateway any more, or leaves it elsewhere, starts anew: what the
 * gateway promised holds for one way only. So does one that needs a new mapping. */
static __always_inline bool gate_left(const struct pkt *p, const struct flow_record *record, __u32 ref)
{
	const struct flow_half *sibling = ref & 1 ? &record->half[0] : &record->half[1];

	if (!(record->half[0].shared & RECORD_GATED) || !p->nat || p->nat_new)
		return p->nat || record->half[0].shared & RECORD_GATED;
	return !(ref & 1) && (sibling->in != back_arrival(p) || !tuple_equal(&sibling->tuple, &p->back));
}

/* The record ends, the entry of the sender's ENI does not (CT-02). */
static __always_inline void entry_move_on(struct pkt *p, const struct flow_record *record)
{
	const struct flow_half *half = p->ref & 1 ? &record->half[1] : &record->half[0];
	const struct flow_half *sibling = p->ref & 1 ? &record->half[0] : &record->half[1];

	if (p->source.ref != p->ref || p->source.fresh || p->source.leg == LEG_NONE)
		return;
	p->moved = 1;
	p->moved_ct = half->ct ^ (p->ref & 1 ? CT_BACKWARDS : 0);
	p->moved_ack[0] = half->ack;
	p->moved_ack[1] = sibling->ack;
	p->moved_ns = half->last_ns;
}

static __always_inline void close_if_gate_left(struct pkt *p)
{
	struct flow_record *record = p->ref == REF_NONE ? NULL : record_at(p->ref);

	if (!record)
		return;
	tuple_reverse(&p->back, &p->out);
	if (!gate_left(p, record, p->ref))
		return;
	entry_move_on(p, record);
	flow_close(p->ref, p->now);
	p->ref = REF_NONE;
}

static __always_inline void close_if_over(const struct pkt *p, __u32 *ref)
{
	struct flow_record *record = *ref == REF_NONE ? NULL : record_at(*ref);

	if (!record || !record_over(p, record, *ref))
		return;
	flow_close(*ref, p->now);
	*ref = REF_NONE;
}

/* The way out of the gateway may lead over another peering by now, or over none. */
static __always_inline void note_peering(const struct pkt *p, const struct flow_record *record)
{
	struct side *rest = p->nat && !(p->ref & 1) ? side_of(record, p->ref) : NULL;

	if (rest && rest->mapping.peering != p->peering)
		WRITE_ONCE(rest->mapping.peering, p->peering);
}

static __always_inline void mapping_resume(const struct pkt *p, const struct flow_record *record)
{
	struct side *rest = p->nat ? side_of(record, p->ref) : NULL;

	if (rest && rest->mapping.paused)
		WRITE_ONCE(rest->mapping.paused, 0);
}

static __always_inline int flow_refresh(struct pkt *p)
{
	struct flow_record *record = record_at(p->ref);
	struct flow_half *half, *sibling;
	bool alone;
	int reason = 0;

	if (!record)
		return 0;
	half = half_of(record, p->ref);
	sibling = sibling_of(record, p->ref);
	tuple_reverse(&p->back, &p->out);
	alone = sibling->in != back_arrival(p) || !tuple_equal(&sibling->tuple, &p->back);
	if (alone && p->target.ref == REF_NONE && (p->target.leg == LEG_TRACKED || p->target.leg == LEG_GATE) &&
	    may_open(p))
		reason = flow_open(p, true);
	if (reason)
		return reason;
	if (((p->source.fresh && p->source.leg == LEG_GATE) || (p->target.fresh && p->target.leg == LEG_GATE)) &&
	    !side_claim(p->ref >> 1))
		return REASON_CONNTRACK_FULL;
	mapping_resume(p, record);
	flow_track(p, p->ref,
		   alone ? MOVE_HALF(p->ref) : MOVE_BOTH); /* first: what this packet opens, it does not move as well */
	if (p->source.fresh)
		entry_take(p, &p->source, p->ref & 1, p->ref);
	if (p->target.fresh && !alone)
		entry_take(p, &p->target, p->ref & 1, p->ref ^ 1);
	if (alone && p->target.ref != REF_NONE)
		touch_target(p);
	if (half->in == p->in) /* else an answer by another tunnel: each is judged */
		half_decide(p, p->ref, half, sibling, alone, false);
	if (p->nat && !(READ_ONCE(record->half[0].shared) & RECORD_MAPPED))
		decision_forget(half); /* another CPU ended the mapping meanwhile */
	note_peering(p, record);
	flow_settle(p, p->ref);
	flow_count(p, half);
	return 0;
}

/* The packet's way makes entries tracked, old ones as well (CT-06). */
static __always_inline void entry_tracked(struct spot *spot)
{
	struct flow_record *record = spot->fresh || spot->ref == REF_NONE ? NULL : record_at(spot->ref);

	if (spot->leg != LEG_UNTRACKED)
		return;
	spot->leg = LEG_TRACKED;
	if (record)
		half_of(record, spot->ref)->leg = LEG_TRACKED;
}

/* A reset that the rules alone let in, although the ENI has known the flow: what ran out there ends, or the clock of
 * the record, which lives on for the other ENI, would wake it. ret: it does */
static __always_inline bool entry_ends(struct pkt *p, const struct spot *spot)
{
	struct flow_record *record =
		spot->port && spot->ref != REF_NONE && spot->leg == LEG_NONE ? record_at(spot->ref) : NULL;

	if (!record || !resets(p))
		return false;
	half_of(record, spot->ref)->leg = LEG_NONE;
	return true;
}

static __always_inline void decide_anew(__u32 ref)
{
	struct flow_record *record = record_at(ref);

	if (!record)
		return;
	decision_forget(&record->half[0]);
	decision_forget(&record->half[1]);
}

/* After judge() let p pass. ret: 0 or REASON_CONNTRACK_FULL */
__noinline int flow_keep(struct pkt *p)
{
	bool ended;
	int reason;

	if (!p)
		return REASON_NO_POLICY;
	if (p->kind != KIND_PLAIN || p->fragment == FRAGMENT_LATER) {
		account_pass(p);
		return 0;
	}
	if (p->tracked) {
		entry_tracked(&p->source);
		entry_tracked(&p->target);
	}
	p->moved = 0;
	close_if_gate_left(p);
	close_if_over(p, &p->ref);
	close_if_over(p, &p->target.ref);
	ended = entry_ends(p, &p->source);
	ended |= entry_ends(p, &p->target);
	if (p->ref != REF_NONE) {
		reason = flow_refresh(p);
		if (ended)
			decide_anew(p->ref); /* what comes next needs a rule, and has an entry to open */
		return reason;
	}
	if (may_open(p) || (p->moved && resets(p)))
		return flow_open(p, false);
	if (resets(p) && p->target.ref != REF_NONE && !p->target.fresh && p->target.leg != LEG_NONE)
		touch_target(p); /* by another way than the flow: it opens nothing, but the entry hears of it */
	account_pass(p);
	return 0;
}

/* ---- a kept decision */

/* As tuple_reverse(), as far as rewrite() asks. */
static __always_inline void reverse_quick(struct tuple *to, const struct tuple *from)
{
	if (unlikely(from->family != 4 || from->proto == IPPROTO_ICMP)) {
		tuple_reverse(to, from);
		return;
	}
	to->saddr.ip4 = from->daddr.ip4;
	to->daddr.ip4 = from->saddr.ip4;
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
	to->family = 4;
}

/* The half whose decision holds for p, or NULL: judge. p->ref, p->exit, p->flags, p->out are set on a hit. */
static __always_inline struct flow_half *flow_cached(struct pkt *p, const struct port_policy *e)
{
	struct flow_record *record = NULL;
	struct flow_half *half = NULL;
	struct port_policy *x;
	struct port *exit;
	__u32 epoch, gs;

	p->ref = flow_find_inline(&p->tuple, p->in, &half, &record, &gs);
	if (p->ref == REF_NONE || !half || !record)
		return NULL;
	epoch = READ_ONCE(half->epoch);
	p->exit = READ_ONCE(half->exit);
	p->flags = READ_ONCE(half->flags);
	if (!epoch || !same_mac(half->dmac, p->dmac) || p->tcp_flags & TCP_SYN)
		return NULL;
	exit = port_at(p->exit);
	if (!exit)
		return NULL;
	x = &exit->slot[p->parity & 1];
	if (epoch != e->epoch + (p->exit ? x->epoch : 0) || unlikely(!fits(p, exit)))
		return NULL;
	if (unlikely(!within(p->now, half->last_ns, half->idle_s)) &&
	    !within(p->now, entry_last(record, p->ref), half->idle_s))
		return NULL;
	if (p->flags & HALF_REWRITE)
		reverse_quick(&p->out, &sibling_of(record, p->ref)->tuple);
	OBSERVE();
	if (READ_ONCE(half->epoch) != epoch || READ_ONCE(half->gs) != gs)
		return NULL;
	p->action = !p->exit ? ACTION_PASS : x->kind == PORT_UPLINK ? ACTION_UPLINK : ACTION_DELIVER;
	return half;
}

#endif
