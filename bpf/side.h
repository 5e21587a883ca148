/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands beside a record: what few flows need (I7 of enid/flow.h), and what many have the same of (I8). */
#ifndef ENID_BPF_SIDE_H
#define ENID_BPF_SIDE_H

#include "free.h"

/* ---- sides */

struct side_search { /* bpf_loop wants its context on the stack */
	__u32 index, found;
};

static __always_inline struct side *side_at(__u32 place)
{
	return bpf_map_lookup_elem(&sides, &place);
}

static long side_look(__u32 step, struct side_search *s)
{
	__u32 place = side_place(s->index, step, control.nr_sides);
	const struct side *side = side_at(place);

	if (!side || READ_ONCE(side->owner) != s->index + 1)
		return 0;
	s->found = place;
	return 1;
}

/* ret: the place of the record's side, or REF_NONE */
__noinline __u32 side_find(__u32 index)
{
	struct side_search s = {.index = index, .found = REF_NONE};

	if (!side_look(0, &s))
		bpf_loop(SIDE_PLACES, side_look, &s, 0);
	return s.found;
}

static __always_inline struct side *side_of(const struct flow_record *record, __u32 ref)
{
	return record->half[0].shared & RECORD_SIDE ? side_at(side_find(ref >> 1)) : NULL;
}

static long side_take(__u32 step, struct side_search *s)
{
	__u32 place = side_place(s->index, step, control.nr_sides);
	struct side *side = side_at(place);

	if (!side || READ_ONCE(side->owner) || __sync_val_compare_and_swap(&side->owner, 0, s->index + 1))
		return 0;
	s->found = place;
	return 1;
}

static long side_leave(__u32 step, struct side_search *s)
{
	struct side *side = side_at(side_place(s->index, step, control.nr_sides));

	if (!side || READ_ONCE(side->owner) != s->index + 1)
		return 0;
	__builtin_memset(&side->mapping, 0, sizeof(side->mapping));
	__builtin_memset(side->tickets, 0, sizeof(side->tickets));
	PUBLISH(side->owner, 0);
	return 1;
}

__noinline int side_give_back(__u32 index)
{
	struct side_search s = {.index = index};

	bpf_loop(SIDE_PLACES, side_leave, &s, 0);
	return 0;
}

#define SIDE_LOOKS 64 /* at the other CPU's work, each at all places: some 10 us */

static long side_await(__u32 step, struct side_search *s)
{
	s->found = side_find(s->index);
	return s->found != REF_NONE;
}

/* A record that is in use, or is about to be, gets a side unless it has one, or another CPU gives it one just now.
 * ret: it has one */
__noinline int side_claim(__u32 index)
{
	struct flow_record *record = record_numbered(index);
	struct side_search s = {.index = index, .found = REF_NONE};
	__u32 generation;

	if (!record)
		return false;
	generation = GS_GENERATION(READ_ONCE(record->half[0].gs));
	if (__sync_fetch_and_or(&record->half[0].shared, RECORD_SIDE) & RECORD_SIDE) {
		bpf_loop(SIDE_LOOKS, side_await, &s, 0);
	} else {
		bpf_loop(SIDE_PLACES, side_take, &s, 0);
		/* a CPU that was held up for longer than the limbo finds it FREE, or another flow's by now: nobody
		 * would give that side back */
		if (s.found != REF_NONE && (GS_STATE(READ_ONCE(record->half[0].gs)) == RECORD_FREE ||
					    GS_GENERATION(READ_ONCE(record->half[0].gs)) != generation)) {
			side_give_back(index);
			s.found = REF_NONE;
		}
		if (s.found == REF_NONE)
			__sync_fetch_and_and(&record->half[0].shared, ~RECORD_SIDE);
	}
	if (s.found == REF_NONE)
		__sync_fetch_and_add(&control.sides_refused, 1);
	return s.found != REF_NONE;
}

/* With its record, which is ours alone and about to be FREE. */
static __always_inline void side_drop(struct flow_record *record, __u32 index)
{
	if (unlikely(record->half[0].shared & RECORD_SIDE)) {
		side_give_back(index);
		__sync_fetch_and_and(&record->half[0].shared,
				     ~RECORD_SIDE); /* or it is looked for as long as it is FREE */
	}
}

/* ---- traces */

static __always_inline struct trace *trace_at(__u32 place)
{
	place &= TRACES - 1;
	return bpf_map_lookup_elem(&traces, &place);
}

static __always_inline __u32 trace_word(const struct pkt *p, __u32 i)
{
	return i < p->nr_trace ? p->trace[i] : 0;
}

static __always_inline __u32 trace_home(const struct pkt *p)
{
	__u64 hash = 0;

#pragma unroll
	for (int i = 0; i < HALF_TRACE_MAX; i++)
		hash = (hash ^ trace_word(p, i)) * 0x9e3779b97f4a7c15ull;
	return hash >> 40;
}

static __always_inline bool trace_is(const struct trace *t, const struct pkt *p)
{
	if (READ_ONCE(t->state) != TRACE_READY)
		return false;
	OBSERVE();
#pragma unroll
	for (int i = 0; i < HALF_TRACE_MAX; i++)
		if (t->decisions[i] != trace_word(p, i))
			return false;
	return true;
}

static __always_inline bool trace_write(struct trace *t, const struct pkt *p)
{
	if (READ_ONCE(t->state) || __sync_val_compare_and_swap(&t->state, TRACE_FREE, TRACE_BUSY))
		return false;
#pragma unroll
	for (int i = 0; i < HALF_TRACE_MAX; i++)
		t->decisions[i] = trace_word(p, i);
	PUBLISH(t->state, TRACE_READY);
	return true;
}

/* ret: place + 1 of the packet's decisions, 0 = there is no room for more */
__noinline __u32 trace_number(const struct pkt *p)
{
	__u32 home;

	if (!p)
		return 0;
	home = trace_home(p);
	for (__u32 i = 0; i < TRACE_PLACES; i++) {
		const struct trace *t = trace_at(home + i);

		if (t && trace_is(t, p))
			return ((home + i) & (TRACES - 1)) + 1;
	}
	for (__u32 i = 0; i < TRACE_PLACES; i++) {
		struct trace *t = trace_at(home + i);

		if (t && trace_write(t, p))
			return ((home + i) & (TRACES - 1)) + 1;
	}
	__sync_fetch_and_add(&control.traces_lost, 1);
	return 0;
}

#endif
