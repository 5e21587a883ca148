/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the names of flows stand (FLOWTABLE, variant D): map `names`, an array of buckets of one cache line each.
 *
 * A name is the 64-bit print of {in, tuple}. A hash of it finds the home bucket, its lower half is the tag that is
 * compared there; the key itself stands in the record only. A name that finds its home full stands in the neighbour
 * (home ^ 1), and if that is full, too, in the hash `names_spilled`; `over` of the home says that there are such. At
 * four and a half names a bucket, that is with every record in use, under the worst of 40 secrets 2.8 % are in the
 * neighbour and 1 % in the hash (tests/unit/test_names.c).
 *
 * Invariants
 *
 *  N1  Slots are claimed under the lock of the home bucket, by compare-and-swap since a neighbour has another lock.
 *      The same key has the same home, so nobody claims it twice.
 *
 *  N2  A slot is dropped without a lock, and cannot fail to be: it holds the number of its record's half. Mostly that
 *      record has one owner (BUSY, or who moved it to CLOSING), but the agent takes one name of a LIVE one away, too:
 *      so it is dropped by compare-and-swap, and who did it lowers `over`.
 *
 *  N3  `over` counts the names of this home that stand elsewhere: in its lower half those in the neighbour, in its
 *      upper half those in the hash. It is raised before the record is LIVE, lowered after the name is gone.
 *      Where an agent was killed in between it stays too high: one more look, never a wrong one.
 *
 *  N4  Two keys of one home may share a tag: who looks up compares the key, and looks on where it differs.
 *
 *  N5  Nothing stands here that the records do not say as well: each half holds its key.
 */
#ifndef ENID_NAMES_H
#define ENID_NAMES_H

#include "enid/flow_hash.h"

#define BUCKET_NAMES 7
#define OVER_SPILLED 65536u /* one name in the hash; below that: names in the neighbour */

struct name_slot { /* all zero = empty: a tag is never 0 */
	__u32 ref; /* record << 1 | half */
	__u32 tag;
};

struct name_bucket {
	union {
		struct name_slot slot[BUCKET_NAMES];
		__u64 word[BUCKET_NAMES]; /* the same, as it is claimed and dropped */
	};
	__u32 lock;
	__u32 over;
};

_Static_assert(sizeof(struct name_bucket) == 64, "one cache line");

static inline __attribute__((always_inline)) __u32 name_tag(__u64 print)
{
	return (__u32)print | 1;
}

static inline __attribute__((always_inline)) __u64 name_word(__u64 print, __u32 ref)
{
	return (__u64)name_tag(print) << 32 | ref;
}

/* buckets: their number, even. The upper half of a print alone is too regular: where flows differ by one in one field
 * it grows in steps, and under one secret in twenty these meet in a part of the buckets. One multiplication more makes
 * it as good as drawn by lot (tests/unit/test_names.c). */
static inline __attribute__((always_inline)) __u32 name_home(__u64 print, __u32 buckets)
{
	return (__u32)((print * 0x9e3779b97f4a7c15ull >> 32) * buckets >> 32);
}

/* Sizes of the two maps for so many records. */
static inline __u32 names_buckets(__u32 records)
{
	return (records / 9 * 2 + 2) * 2;
}

static inline __u32 names_spilled_max(__u32 records)
{
	return records / 24 + 64;
}

#endif
