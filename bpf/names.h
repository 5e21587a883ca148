/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of flows: find, claim, drop. Nobody else knows how they are kept (layout and invariants: enid/names.h). */
#ifndef ENID_BPF_NAMES_H
#define ENID_BPF_NAMES_H

#include "order.h"
#include "packet.h"

#define EEXIST 17
#define EBUSY  16

static __always_inline struct flow_record *record_at(__u32 ref)
{
	__u32 index = ref >> 1;

	return bpf_map_lookup_elem(&records, &index);
}

static __always_inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[3] == y[3] && x[4] == y[4] && x[1] == y[1] && x[0] == y[0] && x[2] == y[2];
}

static __always_inline __u64 name_print(const struct tuple *tuple, __u32 in)
{
	return flow_fingerprint(control.secrets, tuple, in);
}

static __always_inline struct name_bucket *bucket_at(__u32 index)
{
	return bpf_map_lookup_elem(&names, &index);
}

/* The name will be asked for soon: its bucket comes into the cache meanwhile. */
static __always_inline void name_fetch(const struct tuple *tuple, __u32 in)
{
	const struct name_bucket *b = bucket_at(name_home(name_print(tuple, in), control.nr_buckets));

	if (b)
		(void)READ_ONCE(b->over);
}

/* ---- find */

/* The first name in its home bucket that has the tag, REF_NONE = none. It may be another's (N4). */
static __always_inline __u32 bucket_peek(const struct name_bucket *b, __u32 tag)
{
#pragma unroll
	for (int i = 0; i < BUCKET_NAMES; i++)
		if (READ_ONCE(b->slot[i].tag) == tag)
			return READ_ONCE(b->slot[i].ref);
	return REF_NONE;
}

static __always_inline bool ref_has_key(__u32 ref, const struct tuple *tuple, __u32 in)
{
	struct flow_record *record = record_at(ref);
	struct flow_half *half;

	if (!record)
		return false;
	half = ref & 1 ? &record->half[1] : &record->half[0];
	return half->in == in && tuple_equal(&half->tuple, tuple);
}

static __always_inline __u32 bucket_search(__u32 index, __u32 tag, const struct tuple *tuple, __u32 in)
{
	struct name_bucket *b = bucket_at(index);

	if (!b)
		return REF_NONE;
#pragma unroll
	for (int i = 0; i < BUCKET_NAMES; i++) {
		__u32 ref;

		if (READ_ONCE(b->slot[i].tag) != tag)
			continue;
		ref = READ_ONCE(b->slot[i].ref);
		if (ref_has_key(ref, tuple, in))
			return ref;
	}
	return REF_NONE;
}

/* The half that is named {tuple, in}, whatever state its record is in, wherever the name stands; or REF_NONE. */
__noinline __u32 name_holder(const struct tuple *tuple, __u32 in)
{
	struct name_bucket *b;
	__u32 home, ref, over, *spilled;
	__u64 print;

	if (!tuple)
		return REF_NONE;
	print = name_print(tuple, in);
	home = name_home(print, control.nr_buckets);
	ref = bucket_search(home, name_tag(print), tuple, in);
	b = bucket_at(home);
	if (ref != REF_NONE || !b)
		return ref;
	over = READ_ONCE(b->over);
	if (over & (OVER_SPILLED - 1))
		ref = bucket_search(home ^ 1, name_tag(print), tuple, in);
	if (ref != REF_NONE || over < OVER_SPILLED)
		return ref;
	spilled = bpf_map_lookup_elem(&names_spilled, &print);
	if (!spilled)
		return REF_NONE;
	ref = READ_ONCE(*spilled);
	return ref_has_key(ref, tuple, in) ? ref : REF_NONE;
}

/* ---- claim */

/* Whoever holds a lock does so for 100 ns, unless the hypervisor took its CPU away: wait as for a lock of the kernel,
 * but not for ever. LOCK_TRIES: all that one bpf_loop takes; LOCK_WAITS of them last about a quarter of a second. */
#define LOCK_TRIES (1 << 23)
#define LOCK_WAITS 8

struct lock_wait { /* bpf_loop wants its context on the stack */
	struct name_bucket *bucket;
	bool taken;
};

static __always_inline bool lock_try(struct name_bucket *b)
{
	return !READ_ONCE(b->lock) && !__sync_val_compare_and_swap(&b->lock, 0, 1);
}

static long lock_step(__u32 step, struct lock_wait *wait)
{
	wait->taken = lock_try(wait->bucket);
	return wait->taken;
}

__noinline int bucket_lock(__u32 index)
{
	struct lock_wait wait = {.bucket = bucket_at(index)};

	if (!wait.bucket)
		return false;
	if (lock_try(wait.bucket))
		return true;
	for (int i = 0; i < LOCK_WAITS && !wait.taken; i++)
		bpf_loop(LOCK_TRIES, lock_step, &wait, 0);
	return wait.taken;
}

static __always_inline bool bucket_put(struct name_bucket *b, __u64 word)
{
#pragma unroll
	for (int i = 0; i < BUCKET_NAMES; i++)
		if (!READ_ONCE(b->word[i]) && !__sync_val_compare_and_swap(&b->word[i], 0, word))
			return true;
	return false;
}

/* Under the lock of the home bucket. ret: 0 | -errno: there is no room */
__noinline int name_put(__u32 at, __u64 print, __u32 ref)
{
	struct name_bucket *home = bucket_at(at), *neighbour = bucket_at(at ^ 1);
	int r; /* kernels before 6.4 leave the upper half of a helper's error zero */

	if (!home || !neighbour)
		return -EBUSY;
	if (bucket_put(home, name_word(print, ref)))
		return 0;
	if (bucket_put(neighbour, name_word(print, ref))) {
		__sync_fetch_and_add(&home->over, 1);
		return 0;
	}
	__sync_fetch_and_add(&home->over, OVER_SPILLED);
	r = (int)bpf_map_update_elem(&names_spilled, &print, &ref, BPF_NOEXIST);
	if (r)
		__sync_fetch_and_add(&home->over, -OVER_SPILLED);
	return r == -EEXIST ? -EBUSY : r; /* another key's print, to the last bit: as if there were no room */
}

/* The key stands in the half already. ret: 0 | -EEXIST: another record's half has it | another -errno: no room.
 * Called at the end of the longest chain of calls there is: what needs stack stands in functions of their own. */
__noinline int name_claim(const struct tuple *tuple, __u32 in, __u32 ref)
{
	struct name_bucket *locked;
	int r = -EEXIST;
	__u64 print;
	__u32 home;

	if (!tuple)
		return -EBUSY;
	print = name_print(tuple, in);
	home = name_home(print, control.nr_buckets);
	locked = bucket_at(home);
	if (!locked || !bucket_lock(home))
		return -EBUSY;
	if (name_holder(tuple, in) == REF_NONE)
		r = name_put(home, print, ref);
	PUBLISH(locked->lock, 0);
	return r;
}

/* ---- drop */

static __always_inline bool bucket_take(struct name_bucket *b, __u64 word)
{
#pragma unroll
	for (int i = 0; i < BUCKET_NAMES; i++)
		if (READ_ONCE(b->word[i]) == word)
			return __sync_val_compare_and_swap(&b->word[i], word, 0) == word;
	return false;
}

static __always_inline bool spilled_to(__u64 print, __u32 ref)
{
	__u32 *spilled = bpf_map_lookup_elem(&names_spilled, &print);

	return spilled && READ_ONCE(*spilled) == ref;
}

/* A bucket of the hash may be busy: Linux 6.1, when the agent is at it. */
static __always_inline bool spilled_delete(__u64 print)
{
	for (int i = 0; i < 4; i++)
		if ((int)bpf_map_delete_elem(&names_spilled, &print) != -EBUSY)
			return true;
	return false;
}

/* ref: the half that has the name, whose record is ours alone (N2) */
__noinline int name_drop(const struct tuple *tuple, __u32 in, __u32 ref)
{
	struct name_bucket *home, *neighbour;
	__u64 print;
	__u32 at;

	if (!tuple)
		return 0;
	print = name_print(tuple, in);
	at = name_home(print, control.nr_buckets);
	home = bucket_at(at);
	neighbour = bucket_at(at ^ 1);
	if (!home || !neighbour || bucket_take(home, name_word(print, ref)))
		return 0;
	if (bucket_take(neighbour, name_word(print, ref)))
		__sync_fetch_and_add(&home->over, -1);
	else if (spilled_to(print, ref) && spilled_delete(print))
		__sync_fetch_and_add(&home->over, -OVER_SPILLED);
	return 0;
}

#endif
