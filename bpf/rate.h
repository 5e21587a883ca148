/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Token buckets per port: `rate` packets a second, a second's worth of burst (ENI-15, DNS-04). Two CPUs may both spend
 * the last token: the bound is then exceeded by one. */
#ifndef ENID_RATE_H
#define ENID_RATE_H

#include "packet.h"

static __always_inline bool rate_allows(struct bucket *bucket, __u64 now, __u32 rate)
{
	__u64 since = now - bucket->at_ns, fresh;

	if (!bucket->at_ns || since >= NS_PER_S || now < bucket->at_ns) {
		bucket->at_ns = now;
		bucket->tokens = rate;
	} else {
		fresh = since * rate / NS_PER_S;
		if (fresh) {
			bucket->at_ns += fresh * NS_PER_S / rate;
			bucket->tokens = bucket->tokens + fresh > rate ? rate : bucket->tokens + fresh;
		}
	}
	if (!bucket->tokens)
		return false;
	bucket->tokens--;
	return true;
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
