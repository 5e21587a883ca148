/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments follow the first one of their datagram (CT-18): it leaves its ports, or the reason why it was dropped,
 * under {arrival, addresses, protocol, identification}; the others are judged with these ports, or dropped for that
 * reason. Unknown: dropped. The arrival port in the key keeps tenants apart (A4, B9); each port may hold
 * FRAGMENTS_PER_PORT. */
#ifndef ENID_FRAGMENT_H
#define ENID_FRAGMENT_H

#include "packet.h"
#include "rate.h"

static __always_inline void fragment_key(const struct pkt *p, struct fragment_key *key)
{
	key->saddr = p->tuple.saddr;
	key->daddr = p->tuple.daddr;
	key->in = p->in;
	key->id = p->fragment_id;
	key->proto = p->tuple.proto;
	key->family = p->tuple.family;
	__builtin_memset(key->zero, 0, sizeof(key->zero));
}

/* Before judging. ret: 0 = go on (a later fragment has its ports now), else the reason to drop */
__noinline int fragment_before(struct pkt *p)
{
	struct fragment_key key;
	struct fragment *known;

	if (!p)
		return REASON_NO_POLICY;
	if (p->fragment != FRAGMENT_LATER)
		return REASON_ACCEPTED;
	fragment_key(p, &key);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known || known->until_ns < p->now)
		return REASON_FRAGMENT;
	if (known->reason)
		return known->reason;
	p->tuple.sport = known->sport;
	p->tuple.dport = known->dport;
	p->service = p->tuple.proto == IPPROTO_ICMP || p->tuple.proto == IPPROTO_ICMPV6 ? known->dport << 8
											: be16(known->dport);
	return REASON_ACCEPTED;
}

/* After judging a first fragment: remember. A second first fragment that is denied leaves what is remembered (A3). */
__noinline int fragment_after(struct pkt *p, __u32 reason)
{
	struct fragment entry = {};
	struct fragment_key key;
	struct fragment *known;
	struct port_stats *stats;
	__u32 port;

	if (!p || p->fragment != FRAGMENT_FIRST)
		return 0;
	fragment_key(p, &key);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (known && known->until_ns >= p->now && reason)
		return 0;
	entry.until_ns = p->now + FRAGMENT_MEMORY_S * NS_PER_S;
	entry.sport = p->tuple.sport;
	entry.dport = p->tuple.dport;
	entry.reason = reason;
	if (known) {
		bpf_map_update_elem(&fragments, &key, &entry, BPF_ANY);
		return 0;
	}
	port = IN_PORT(p->in);
	stats = bpf_map_lookup_elem(&port_stats, &port);
	if (!stats || stats->fragments >= FRAGMENTS_PER_PORT)
		return 0; /* the others will be unknown: dropped and counted */
	if (!bpf_map_update_elem(&fragments, &key, &entry, BPF_NOEXIST))
		__sync_fetch_and_add(&stats->fragments, 1);
	return 0;
}

#endif
