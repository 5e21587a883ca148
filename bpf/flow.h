/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flow records: look-up, birth, death (model and invariants: enid/flow.h; protocol: FLOWTABLE). What names are and how
 * they are kept is names.h's. */
#ifndef ENID_BPF_FLOW_H
#define ENID_BPF_FLOW_H

#include "side.h"

static __always_inline struct limbo *limbo_at(__u32 ref)
{
	__u32 index = ref >> 1;

	return bpf_map_lookup_elem(&limbo, &index);
}

/* ---- look-up */

/* The half `ref` if it is LIVE and has this key, or NULL. */
static __always_inline struct flow_half *half_named(__u32 ref, const struct tuple *tuple, __u32 in,
						    struct flow_record **ret_record, __u32 *ret_gs)
{
	struct flow_record *record = record_at(ref);
	struct flow_half *half;

	if (!record)
		return NULL;
	half = ref & 1 ? &record->half[1] : &record->half[0];
	*ret_gs = READ_ONCE(half->gs);
	OBSERVE();
	if (GS_STATE(*ret_gs) != RECORD_LIVE || half->in != in || !tuple_equal(&half->tuple, tuple))
		return NULL;
	*ret_record = record;
	return half;
}

/* The half that is named {tuple, in} and LIVE, or REF_NONE (I1). What is copied of it is good iff its gs is still
 * *ret_gs afterwards (I2). */
static __always_inline __u32 flow_find_inline(const struct tuple *tuple, __u32 in, struct flow_half **ret_half,
					      struct flow_record **ret_record, __u32 *ret_gs)
{
	__u64 print = name_print(tuple, in);
	struct name_bucket *home = bucket_at(name_home(print, control.nr_buckets));
	__u32 ref;

	if (!home)
		return REF_NONE;
	ref = bucket_peek(home, name_tag(print));
	if (likely(ref != REF_NONE)) {
		*ret_half = half_named(ref, tuple, in, ret_record, ret_gs);
		if (likely(*ret_half))
			return ref;
	} else if (likely(!READ_ONCE(home->over))) {
		return REF_NONE;
	}
	ref = name_holder(tuple, in);
	if (ref == REF_NONE)
		return REF_NONE;
	*ret_half = half_named(ref, tuple, in, ret_record, ret_gs);
	return *ret_half ? ref : REF_NONE;
}

__noinline __u32 flow_find(const struct tuple *tuple, __u32 in)
{
	struct flow_record *record;
	struct flow_half *half;
	__u32 gs;

	if (!tuple)
		return REF_NONE;
	return flow_find_inline(tuple, in, &half, &record, &gs);
}

static __always_inline struct flow_half *half_of(struct flow_record *record, __u32 ref)
{
	return ref & 1 ? &record->half[1] : &record->half[0];
}

static __always_inline struct flow_half *sibling_of(struct flow_record *record, __u32 ref)
{
	return ref & 1 ? &record->half[0] : &record->half[1];
}

static __always_inline __u64 record_last(const struct flow_record *record)
{
	__u64 a = record->half[0].last_ns, b = record->half[1].last_ns;

	return a > b ? a : b;
}

/* When the ENI of half `ref` last saw a packet of the flow. Packets of the other direction count unless they go another
 * way (HALF_ALONE): then who delivers them touches this half. */
static __always_inline __u64 entry_last(const struct flow_record *record, __u32 ref)
{
	const struct flow_half *half = ref & 1 ? &record->half[1] : &record->half[0];
	const struct flow_half *sibling = ref & 1 ? &record->half[0] : &record->half[1];

	if (sibling->flags & (HALF_ALONE | HALF_PARTED) || sibling->last_ns < half->last_ns ||
	    CT_STATE(half->ct) == CT_CLOSED)
		return half->last_ns; /* a closed entry's clock has stopped */
	return sibling->last_ns;
}

/* Flags of a record that packets use are changed in one step: another CPU may change others (the word ends in the
 * first bytes of dmac, which stay). */
static __always_inline void flags_set(struct flow_half *half, __u32 flags)
{
	__sync_fetch_and_or((__u32 *)&half->flags, flags);
}

static __always_inline void flags_clear(struct flow_half *half, __u32 flags)
{
	__sync_fetch_and_and((__u32 *)&half->flags, ~flags);
}

_Static_assert(__builtin_offsetof(struct flow_half, flags) % 4 == 0, "flags are changed as a word");

/* The decision of a half is written by one CPU at a time, or the exit of one might be left beside the epoch of the
 * other (C15); and by nobody whose state is no longer in force, or a reader that stands still might find the same epoch
 * before and after it, and what the old state decided in between. The generation is asked after the epoch was read: one
 * that the new state has put there is never replaced. parity: of the packet's state. ret: false = it is not kept; what
 * stands there will do, or its epoch is old and the next packet asks */
static __always_inline bool decision_take(struct flow_half *half, __u32 parity)
{
	__u32 epoch = READ_ONCE(half->epoch);

	OBSERVE();
	if (epoch == EPOCH_TAKEN || (READ_ONCE(control.generation) & 1) != parity)
		return false;
	return __sync_val_compare_and_swap(&half->epoch, epoch, EPOCH_TAKEN) == epoch;
}

/* The next packet asks anew; unless a decision is being written just now. */
static __always_inline void decision_forget(struct flow_half *half)
{
	__u32 epoch = READ_ONCE(half->epoch);

	if (epoch != EPOCH_TAKEN)
		__sync_val_compare_and_swap(&half->epoch, epoch, 0);
}

static __always_inline bool within(__u64 now, __u64 last, __u32 seconds)
{
	return (__s64)(now - last) <= (__s64)(seconds * NS_PER_S); /* also if another CPU was here just now */
}

/* No ENI's entry lives any more. */
static __always_inline bool record_silent(const struct flow_record *record, __u64 now, __u32 extra_s)
{
	const struct flow_half *a = &record->half[0], *b = &record->half[1];
	__u32 longest = a->leg_s > b->leg_s ? a->leg_s : b->leg_s;

	return !within(now, record_last(record), longest + extra_s);
}

static __always_inline __u64 side_end(const struct flow_record *record, const struct side *side)
{
	return side ? mapping_end(record, &side->mapping) : 0;
}

static __always_inline bool mapping_over(const struct flow_record *record, const struct side *side, __u64 now)
{
	__u64 end = side_end(record, side);

	return end && (__s64)(now - end) > 0;
}

#define EXPIRY_MARGIN_S 1 /* a packet that came just in time has long been noted then (C4) */

static __always_inline bool record_expired(const struct flow_record *record, const struct side *side, __u64 now,
					   __u32 extra_s)
{
	return record_silent(record, now, extra_s) && now > side_end(record, side) + extra_s * NS_PER_S;
}

/* ---- death */

/* The mapping of a record ends (I6). ret: true = the second name is ours to drop */
static __always_inline bool mapping_release(struct flow_record *record, struct side *rest, __u64 now)
{
	__u32 gateway = rest->mapping.gateway, use = rest->mapping.use;
	__u64 end = mapping_end(record, &rest->mapping);
	struct nat_stats *stats;
	__u64 *used;

	if (!(__sync_fetch_and_and(&record->half[0].shared, ~RECORD_MAPPED) & RECORD_MAPPED))
		return false;
	stats = bpf_map_lookup_elem(&nat_stats, &gateway);
	if (stats) {
		__sync_fetch_and_add(&stats->active, -1);
		if (now > end && CT_STATE(rest->mapping.ct) != CT_CLOSED)
			__sync_fetch_and_add(&stats->idle_timeout, 1);
	}
	used = rest->mapping.addr ? bpf_map_lookup_elem(&nat_uses, &use) : NULL;
	if (used)
		__sync_fetch_and_add(used, -1);
	return true;
}

/* The ENI's entry outlives the mapping: the record goes on with one name. */
__noinline int mapping_end_alone(__u32 ref, __u64 now)
{
	struct flow_record *record = record_at(ref);
	struct side *rest = record ? side_of(record, ref) : NULL;
	__u32 in;

	if (!record || !rest)
		return 0;
	in = record->half[1].in;
	if (!mapping_release(record, rest, now))
		return 0;
	WRITE_ONCE(record->half[0].epoch, 0);
	WRITE_ONCE(record->half[1].epoch, 0);
	WRITE_ONCE(record->half[1].in, 0);
	return name_drop(&record->half[1].tuple, in, ref | 1);
}

/* Who drops the second name: a flow with a mapping leaves that to who ends the mapping. */
static __always_inline bool second_name_ours(struct flow_record *record, __u32 ref, __u64 now)
{
	struct side *rest;

	if (!(record->half[0].shared & RECORD_GATED))
		return record->half[1].in;
	rest = side_of(record, ref);
	return rest && mapping_release(record, rest, now);
}

/* One winner drops the names; the record goes to limbo (I3, I4). ret: true = we are the winner */
static __always_inline bool flow_close(__u32 ref, __u64 now)
{
	struct flow_record *record = record_at(ref);
	__u32 gs, closing;

	if (!record)
		return false;
	gs = READ_ONCE(record->half[0].gs);
	if (GS_STATE(gs) != RECORD_LIVE)
		return false;
	closing = GS_MAKE(GS_GENERATION(gs), RECORD_CLOSING);
	if (__sync_val_compare_and_swap(&record->half[0].gs, gs, closing) != gs)
		return false;
	WRITE_ONCE(record->half[1].gs, closing);
	if (record->half[0].in)
		name_drop(&record->half[0].tuple, record->half[0].in, ref & ~1u);
	if (second_name_ours(record, ref, now))
		name_drop(&record->half[1].tuple, record->half[1].in, ref | 1);
	PUBLISH(record->half[1].gs, GS_GONE(now));
	__sync_fetch_and_add(&control.closed, 1);
	return true;
}

/* After the limbo: one winner, this sweeper or the agent, takes the final counters and then frees. gs: as it was before
 * the limbo was looked at, or a record that lived and died again meanwhile would be taken for it. ret: true = we are */
static __always_inline bool flow_bury(struct flow_record *record, __u32 gs)
{
	return GS_STATE(gs) == RECORD_CLOSING &&
	       __sync_val_compare_and_swap(&record->half[0].gs, gs, GS_MAKE(GS_GENERATION(gs), RECORD_BUSY)) == gs;
}

/* What a flow's halves carried goes to the account of its gateway (NAT-25). */
static __always_inline void mapping_account(const struct flow_record *record, __u32 ref)
{
	const struct side *rest = record->half[0].shared & RECORD_GATED ? side_of(record, ref) : NULL;
	struct nat_stats *stats;
	__u32 gateway;

	if (!rest)
		return;
	gateway = rest->mapping.gateway;
	stats = bpf_map_lookup_elem(&nat_stats, &gateway);
	if (!stats)
		return;
	for (int i = 0; i < 2; i++) {
		__sync_fetch_and_add(&stats->ended[i].packets, half_packets(&record->half[i]));
		__sync_fetch_and_add(&stats->ended[i].bytes, half_bytes(&record->half[i]));
	}
}

/* What a port is charged for stands in one word: records, and those of them that are half open. */
static __always_inline __u64 *charges(struct port_stats *stats)
{
	return (__u64 *)&stats->flows;
}

static __always_inline __u64 charge_of(bool half_open)
{
	return half_open ? 1ull << 32 | 1 : 1;
}

_Static_assert(__builtin_offsetof(struct port_stats, flows) % 8 == 0 &&
		       __builtin_offsetof(struct port_stats, half_open) ==
			       __builtin_offsetof(struct port_stats, flows) + 4,
	       "charges in one word");

/* Give a buried record back. */
static __always_inline void flow_free(__u32 index, struct flow_record *record)
{
	__u32 gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);
	__u32 owner = record->half[1].shared, flags = record->half[0].shared;
	struct port_stats *stats;

	mapping_account(record, index << 1);
	side_drop(record, index);
	WRITE_ONCE(record->half[1].gs, gs);
	WRITE_ONCE(record->half[0].gs, gs);
	stats = bpf_map_lookup_elem(&port_stats, &owner);
	if (stats)
		__sync_fetch_and_add(charges(stats), -charge_of(flags & RECORD_HALF_OPEN));
	record_put(index);
}

/* ---- birth */

static __always_inline bool record_admitted(const struct port_stats *stats, bool half_open)
{
	if (half_open && (__s32)stats->half_open >= (__s32)control.half_open_max)
		return false;
	return (__s32)stats->flows < (__s32)control.flows_guarantee ||
	       (__s32)control.flows_used < (__s32)control.flows_shared;
}

/* The lines of the record that this CPU will likely take next come into the cache meanwhile. */
static __always_inline void record_fetch(void)
{
	__u32 number = bpf_get_smp_processor_id(), nr, index;
	const struct shelf *shelf = bpf_map_lookup_elem(&shelves, &number);
	const struct flow_record *record;
	const struct limbo *rest;

	nr = shelf ? READ_ONCE(shelf->nr) : 0;
	if (!nr)
		return;
	index = READ_ONCE(shelf->index[(nr - 1) & (SHELF_RECORDS - 1)]);
	record = bpf_map_lookup_elem(&records, &index);
	rest = bpf_map_lookup_elem(&limbo, &index);
	if (!record || !rest)
		return;
	(void)READ_ONCE(record->half[0].gs);
	(void)READ_ONCE(record->half[0].ack);
	(void)READ_ONCE(record->half[1].gs);
	(void)READ_ONCE(record->half[1].ack);
	(void)READ_ONCE(rest->trace[0]);
}

static __always_inline void half_reset(struct flow_half *half)
{
	half->epoch = 0;
	half->exit = 0;
	half->flags = 0;
	half->own = 0;
	half->told_bytes = 0;
	half->told_packets = 0;
	half->ack = 0;
	half->tcp_flags = 0;
	half->leg = LEG_NONE;
	half->ct = 0;
	half->nr_trace = 0;
	half->shared = 0;
	half->leg_s = 0;
	half->idle_s = 0;
	half->owner = 0;
	half->others.packets = 0;
	half->others.bytes = 0;
}

/* A record in state BUSY with both keys set and nothing claimed. ret: its index, or REF_NONE */
static __always_inline __u32 record_new(const struct tuple *there, __u32 in, const struct tuple *back, __u32 back_in,
					__u64 now)
{
	__u32 index = record_take(), gs;
	struct flow_record *record;

	if (index == REF_NONE)
		return REF_NONE;
	record = bpf_map_lookup_elem(&records, &index);
	if (!record || GS_STATE(record->half[0].gs) != RECORD_FREE)
		return REF_NONE;
	gs = GS_MAKE(GS_GENERATION(record->half[0].gs) + 1, RECORD_BUSY);
	WRITE_ONCE(record->half[0].gs, gs);
	WRITE_ONCE(record->half[1].gs, gs);
	barrier();
	side_drop(record, index); /* if a late CPU gave it one when it was FREE */
	half_reset(&record->half[0]);
	half_reset(&record->half[1]);
	record->half[0].tuple = *there;
	record->half[0].in = in;
	record->half[0].last_ns = now;
	record->half[1].tuple = *back;
	record->half[1].in = back_in;
	record->half[1].last_ns = now;
	return index;
}

static __always_inline void record_give_back(__u32 index, struct flow_record *record)
{
	__u32 gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);

	side_drop(record, index);
	WRITE_ONCE(record->half[1].gs, gs);
	WRITE_ONCE(record->half[0].gs, gs);
	record_put(index);
}

enum claim { CLAIM_BOTH, CLAIM_ONE, CLAIM_LOST, CLAIM_FULL, CLAIM_NO_PORT };

/* The reverse name is somebody else's: another conversation's for good, or this one being made on the other CPU? */
static __always_inline bool taken_for_good(const struct flow_record *ours)
{
	__u32 ref = name_holder(&ours->half[1].tuple, ours->half[1].in);
	struct flow_record *record;
	struct flow_half *sibling;

	if (ref == REF_NONE)
		return false;
	record = record_at(ref);
	if (!record)
		return false;
	sibling = sibling_of(record, ref);
	return GS_STATE(READ_ONCE(record->half[0].gs)) == RECORD_LIVE &&
	       (sibling->in != ours->half[0].in || !tuple_equal(&sibling->tuple, &ours->half[0].tuple));
}

static __always_inline void half_drop(const struct flow_record *record, __u32 index, bool second)
{
	const struct flow_half *half = second ? &record->half[1] : &record->half[0];

	name_drop(&half->tuple, half->in, index << 1 | second);
}

static __always_inline int half_claim(const struct flow_record *record, __u32 index, bool second)
{
	const struct flow_half *half = second ? &record->half[1] : &record->half[0];

	return name_claim(&half->tuple, half->in, index << 1 | second);
}

/* Claim both names in the order of their prints, on which both directions agree; make the record LIVE. */
__noinline int record_claim(__u32 index)
{
	struct flow_record *record = bpf_map_lookup_elem(&records, &index);
	bool back_first, one = false;
	__u32 gs;
	int r;

	if (!record)
		return CLAIM_FULL;
	gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_LIVE);
	back_first = name_print(&record->half[1].tuple, record->half[1].in) <
		     name_print(&record->half[0].tuple, record->half[0].in);
	r = half_claim(record, index, back_first);
	if (r == -EEXIST && back_first && taken_for_good(record))
		one = true;
	else if (r)
		return r == -EEXIST ? CLAIM_LOST : CLAIM_FULL;
	r = half_claim(record, index, !back_first);
	if (r == -EEXIST && !back_first && taken_for_good(record)) {
		one = true;
	} else if (r) {
		if (!one)
			half_drop(record, index, back_first);
		return r == -EEXIST ? CLAIM_LOST : CLAIM_FULL;
	}
	if (one) {
		record->half[1].in = 0;
		record->half[1].leg = LEG_NONE;
		record->half[0].epoch = 0;
		record->half[0].flags |= HALF_ALONE;
	}
	PUBLISH(record->half[1].gs, gs);
	PUBLISH(record->half[0].gs, gs);
	return one ? CLAIM_ONE : CLAIM_BOTH;
}

/* A record that holds one entry only: half 0 is named, half 1 is not. */
static __always_inline enum claim record_claim_one(__u32 index, struct flow_record *record)
{
	__u32 gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_LIVE);
	int r = half_claim(record, index, false);

	if (r)
		return r == -EEXIST ? CLAIM_LOST : CLAIM_FULL;
	PUBLISH(record->half[1].gs, gs);
	PUBLISH(record->half[0].gs, gs);
	return CLAIM_ONE;
}

/* A record that the agent brought over from another table: keys and state are set, and it is BUSY. ret: 0 = it is LIVE
 */
__noinline int record_carried(__u32 index)
{
	struct flow_record *record = bpf_map_lookup_elem(&records, &index);
	__u32 gs;

	if (!record || GS_STATE(record->half[0].gs) != RECORD_BUSY)
		return 1;
	gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_LIVE);
	if (record->half[0].in && half_claim(record, index, false))
		return 1;
	if (record->half[1].in && half_claim(record, index, true)) {
		if (record->half[0].in)
			half_drop(record, index, false);
		return 1;
	}
	PUBLISH(record->half[1].gs, gs);
	PUBLISH(record->half[0].gs, gs);
	return 0;
}

#endif
