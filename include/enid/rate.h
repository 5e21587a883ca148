/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Token buckets: `rate` packets a second, a second's worth of burst (ENI-15, DNS-04, TM-15). CPUs share them, and the
 * clock of one may be a tick behind another's: that adds nothing. Of two that add at once one does; what is spent
 * meanwhile may come back to the bucket, once a tick. */
#ifndef ENID_INCLUDE_RATE_H
#define ENID_INCLUDE_RATE_H

#include "enid/port.h"

#define RATE_SECOND_NS 1000000000ll

static inline __attribute__((always_inline)) void rate_refill(struct bucket *bucket, __u64 now, __u32 rate)
{
	__u64 at = *(volatile __u64 *)&bucket->at_ns, fresh;
	__s64 since = (__s64)(now - at);
	__u32 left;

	if (!at || since >= RATE_SECOND_NS) {
		if (__sync_val_compare_and_swap(&bucket->at_ns, at, now) == at)
			*(volatile __u32 *)&bucket->tokens = rate;
		return;
	}
	fresh = since > 0 ? (__u64)since * rate / RATE_SECOND_NS : 0;
	if (!fresh || __sync_val_compare_and_swap(&bucket->at_ns, at, at + fresh * RATE_SECOND_NS / rate) != at)
		return;
	left = *(volatile __u32 *)&bucket->tokens + (__u32)fresh;
	*(volatile __u32 *)&bucket->tokens = (__s32)left > (__s32)rate ? rate : left;
}

/* now: ns, of a clock that never goes back by itself. ret: how many of `wanted` */
static inline __attribute__((always_inline)) __u32 rate_takes(struct bucket *bucket, __u64 now, __u32 rate,
							      __u32 wanted)
{
	__s32 left, taken;

	rate_refill(bucket, now, rate);
	left = (__s32)__sync_fetch_and_sub(&bucket->tokens, wanted);
	if (left >= (__s32)wanted)
		return wanted;
	taken = left > 0 ? left : 0;
	__sync_fetch_and_add(&bucket->tokens, wanted - (__u32)taken);
	return (__u32)taken;
}

#endif
