/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Free records: who takes one, who gives one back.
 *
 * Records that were used and are FREE again hang together in a list through FREE_LINK (R1); those that were never
 * used are counted by control.flows_fresh. Both are shared by all CPUs, so each CPU has a shelf of its own, which it
 * fills from them and empties to them `control.flows_batch` records at a time.
 *
 * Invariants
 *  R1  control.free_list is {how often it was popped, record + 1}. Who pops walks the list, then swaps the head: if
 *      nobody popped in between, the links that were read are the list's. Whatever else they were is thrown away.
 *  R2  A shelf is touched by who has `taken` it, for a moment: a program that interrupts another on its CPU, or another
 *      CPU in need, does not wait but goes elsewhere. So nothing is lost where programs nest (FLOWTABLE, pitfall 1).
 *  R3  control.flows_used counts the records that are neither fresh nor in the list: those not FREE, and the shelves'.
 *  R4  While any record is FREE, somebody finds it: who has none looks on the other CPUs' shelves.
 */
#ifndef ENID_BPF_FREE_H
#define ENID_BPF_FREE_H

#include "names.h"

#define LIST_TRIES 1024 /* each further one needs another CPU's success in between */

struct list_step { /* bpf_loop wants its context on the stack */
	struct shelf *shelf;
	__u32 wanted;
};

static __always_inline __u32 free_batch(void)
{
	__u32 batch = control.flows_batch;

	return batch > SHELF_RECORDS / 2 ? SHELF_RECORDS / 2 : batch;
}

static __always_inline struct flow_record *record_numbered(__u32 index)
{
	return bpf_map_lookup_elem(&records, &index);
}

static long list_pop(__u32 step, struct list_step *s)
{
	__u64 head = READ_ONCE(control.free_list);
	__u32 at = (__u32)head, nr = 0;

	for (int i = 0; i < SHELF_RECORDS / 2; i++) {
		struct flow_record *record = at ? record_numbered(at - 1) : NULL;

		if (!record || nr >= s->wanted)
			break;
		s->shelf->index[nr & (SHELF_RECORDS - 1)] = at - 1;
		nr++;
		at = READ_ONCE(FREE_LINK(record));
	}
	if (nr && __sync_val_compare_and_swap(&control.free_list, head, LIST_POPPED(head, at)) != head) {
		s->wanted =
			s->wanted > 1 ? s->wanted / 2 : 1; /* somebody is busy here: a shorter walk is not overtaken */
		return 0;
	}
	s->shelf->nr = nr;
	return 1;
}

/* Records that were never used, lowest on top. */
static __always_inline void take_fresh(struct shelf *shelf, __u32 wanted)
{
	__u32 first, nr;

	if (READ_ONCE(control.flows_fresh) >= control.flows_max)
		return;
	first = __sync_fetch_and_add(&control.flows_fresh, wanted);
	nr = first >= control.flows_max ? 0 : control.flows_max - first;
	if (nr >= wanted)
		nr = wanted;
	else
		__sync_fetch_and_add(&control.flows_fresh, nr - wanted);
	for (__u32 i = 0; i < SHELF_RECORDS / 2 && i < nr; i++)
		shelf->index[i] = first + nr - 1 - i;
	shelf->nr = nr;
}

/* The shelf is empty, and ours. */
__noinline int shelf_fill(__u32 number)
{
	struct list_step s = {.shelf = bpf_map_lookup_elem(&shelves, &number), .wanted = free_batch()};

	if (!s.shelf)
		return 0;
	s.shelf->nr = 0;
	bpf_loop(LIST_TRIES, list_pop, &s, 0);
	if (!s.shelf->nr)
		take_fresh(s.shelf, s.wanted);
	if (s.shelf->nr)
		__sync_fetch_and_add(&control.flows_used, s.shelf->nr);
	return 0;
}

static __always_inline bool shelf_take(struct shelf *shelf)
{
	return !__sync_lock_test_and_set(&shelf->taken, 1);
}

static __always_inline __u32 shelf_pop(struct shelf *shelf)
{
	__u32 nr = shelf->nr;

	if (!nr)
		return REF_NONE;
	shelf->nr = nr - 1;
	return shelf->index[(nr - 1) & (SHELF_RECORDS - 1)];
}

struct steal { /* bpf_loop wants its context on the stack */
	__u32 found;
};

static long steal_step(__u32 number, struct steal *s)
{
	struct shelf *shelf = bpf_map_lookup_elem(&shelves, &number);

	if (!shelf)
		return 1;
	if (!READ_ONCE(shelf->nr) || !shelf_take(shelf))
		return 0;
	s->found = shelf_pop(shelf);
	PUBLISH(shelf->taken, 0);
	return s->found != REF_NONE;
}

/* Nothing on the own shelf, in the list, or fresh (R4). */
__noinline __u32 record_steal(void)
{
	struct steal s = {.found = REF_NONE};

	bpf_loop(SHELVES_MAX, steal_step, &s, 0);
	return s.found;
}

/* ret: the number of a FREE record that is ours now, or REF_NONE */
__noinline __u32 record_take(void)
{
	__u32 number = bpf_get_smp_processor_id(), index;
	struct shelf *shelf = bpf_map_lookup_elem(&shelves, &number);

	if (!shelf || !shelf_take(shelf))
		return record_steal();
	if (!shelf->nr)
		shelf_fill(number);
	index = shelf_pop(shelf);
	PUBLISH(shelf->taken, 0);
	return index != REF_NONE ? index : record_steal();
}

struct list_push { /* bpf_loop wants its context on the stack */
	__u32 first, nr;
	struct flow_record *last;
	bool done;
};

static long push_step(__u32 step, struct list_push *s)
{
	__u64 head = READ_ONCE(control.free_list);

	if (!s->last)
		return 1;
	WRITE_ONCE(FREE_LINK(s->last), (__u32)head);
	s->done = __sync_val_compare_and_swap(&control.free_list, head, LIST_PUSHED(head, s->first)) == head;
	return s->done;
}

static __always_inline void list_push(struct list_push *s)
{
	__sync_fetch_and_add(&control.flows_used, -s->nr);
	bpf_loop(LIST_TRIES, push_step, s, 0);
}

__noinline int list_push_one(__u32 index)
{
	struct list_push s = {.first = index, .nr = 1, .last = record_numbered(index)};

	list_push(&s);
	return 0;
}

/* The newer half of a full shelf goes to the list. */
__noinline int shelf_flush(__u32 number)
{
	struct shelf *shelf = bpf_map_lookup_elem(&shelves, &number);
	__u32 batch = free_batch();
	struct list_push s = {};

	if (!shelf || shelf->nr < batch)
		return 0;
	for (int i = 0; i < SHELF_RECORDS / 2; i++) {
		__u32 index, nr = shelf->nr;
		struct flow_record *record;

		if (s.nr >= batch || !nr)
			break;
		index = shelf->index[(nr - 1) & (SHELF_RECORDS - 1)];
		record = record_numbered(index);
		shelf->nr = nr - 1;
		if (!record)
			break;
		WRITE_ONCE(FREE_LINK(record), s.first);
		if (!s.nr)
			s.last = record;
		s.first = index + 1;
		s.nr++;
	}
	s.first--;
	list_push(&s);
	return 0;
}

/* The record is FREE already, and ours no more. */
__noinline int record_put(__u32 index)
{
	__u32 number = bpf_get_smp_processor_id(), batch = free_batch();
	struct shelf *shelf = bpf_map_lookup_elem(&shelves, &number);

	if (batch < 2 || !shelf || !shelf_take(shelf))
		return list_push_one(index);
	if (shelf->nr >= 2 * batch)
		shelf_flush(number);
	shelf->index[shelf->nr & (SHELF_RECORDS - 1)] = index;
	shelf->nr++;
	PUBLISH(shelf->taken, 0);
	return 0;
}

#endif
