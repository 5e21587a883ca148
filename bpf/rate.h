/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a port may have in a second, by the buckets of enid/rate.h. */
#ifndef ENID_RATE_H
#define ENID_RATE_H

#include "enid/rate.h"
#include "packet.h"

static __always_inline bool rate_allows(struct bucket *bucket, __u64 now, __u32 rate)
{
	return rate_takes(bucket, now, rate, 1);
}

enum rate_of { RATE_FRAGMENTS, RATE_LINK_LOCAL, RATE_ANSWERS };

static __always_inline bool port_rate_allows(const struct pkt *p, const int which)
{
	__u32 port = IN_PORT(p->in);
	struct port_stats *stats = bpf_map_lookup_elem(&port_stats, &port);

	if (!stats)
		return false;
	if (which == RATE_FRAGMENTS)
		return rate_allows(&stats->fragment_rate, p->now, FRAGMENT_RATE);
	if (which == RATE_ANSWERS)
		return rate_allows(&stats->answer_rate, p->now, ANSWER_RATE);
	return rate_allows(&stats->link_local_rate, p->now, LINK_LOCAL_RATE);
}

#endif
