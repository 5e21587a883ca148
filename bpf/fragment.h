/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments follow the first one of their datagram (CT-18): it leaves its ports, or the reason why it was dropped,
 * under {arrival, addresses, protocol, identification}; the others are judged with these ports, or dropped for that
 * reason. Unknown: dropped. The arrival port in the key keeps tenants apart (A4, B9); each port may hold
 * FRAGMENTS_PER_PORT. What expired is reaped by the next datagrams, and by the sweeper. */
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

static __always_inline void fragment_forget(const struct fragment_key *key)
{
	__u32 port = IN_PORT(key->in);
	struct port_stats *stats;

	if (bpf_map_delete_elem(&fragments, key))
		return;
	stats = bpf_map_lookup_elem(&port_stats, &port);
	if (stats)
		__sync_fetch_and_add(&stats->fragments, -1);
}

struct fragment_reaper { /* bpf_loop wants its context on the stack */
	__u64 now;
};

static long fragment_reap_one(__u32 step, struct fragment_reaper *reaper)
{
	struct fragment_due due;
	struct fragment *known;

	if (bpf_map_peek_elem(&fragments_due, &due) || due.at_ns >= reaper->now ||
	    bpf_map_pop_elem(&fragments_due, &due))
		return 1;
	known = bpf_map_lookup_elem(&fragments, &due.key);
	if (!known)
		return 0;
	if (known->until_ns < reaper->now) {
		fragment_forget(&due.key);
		return 0;
	}
	due.at_ns = known->until_ns; /* refreshed meanwhile; or another CPU took what we had seen, and this is a later
					one */
	if (bpf_map_push_elem(&fragments_due, &due, 0))
		fragment_forget(&due.key);
	return 0;
}

#define FRAGMENTS_REAPED 32 /* a packet: ~5 us, and only after a flood */

/* Virtual time has no sweeper, so in replay a packet reaps all there is. */
__noinline int fragment_reap(__u64 now, __u32 most)
{
	struct fragment_reaper reaper = {.now = now};

	bpf_loop(replay ? FRAGMENTS_MAX : most, fragment_reap_one, &reaper, 0);
	return 0;
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
	p->tuple.sport = known->sport;
	p->tuple.dport = known->dport;
	if (known->reason) {
		p->out = known->out;
		p->source.port = known->source;
		p->target.port = known->target;
		p->at_port = known->at_port;
		p->seen_egress = known->seen_egress;
		p->nr_trace = 0;
		return known->reason;
	}
	p->service = p->tuple.proto == IPPROTO_ICMP || p->tuple.proto == IPPROTO_ICMPV6 ? known->dport << 8
											: be16(known->dport);
	return REASON_ACCEPTED;
}

/* After judging a first fragment: remember. A second first fragment that is denied leaves what is remembered (A3). */
__noinline int fragment_after(struct pkt *p, __u32 reason)
{
	struct fragment entry = {};
	struct fragment_due due;
	struct fragment *known;
	struct port_stats *stats;
	__u32 port;

	if (!p || p->fragment != FRAGMENT_FIRST)
		return 0;
	fragment_key(p, &due.key);
	known = bpf_map_lookup_elem(&fragments, &due.key);
	if (known && known->until_ns >= p->now && reason)
		return 0;
	entry.until_ns = p->now + FRAGMENT_MEMORY_S * NS_PER_S;
	entry.sport = p->tuple.sport;
	entry.dport = p->tuple.dport;
	entry.reason = reason;
	if (reason) {
		entry.out = p->out;
		entry.source = p->source.port;
		entry.target = p->target.port;
		entry.at_port = p->at_port;
		entry.seen_egress = p->seen_egress;
	}
	if (known && !bpf_map_update_elem(&fragments, &due.key, &entry, BPF_EXIST))
		return 0; /* unless it was reaped just now */
	fragment_reap(p->now, FRAGMENTS_REAPED);
	port = IN_PORT(p->in);
	stats = bpf_map_lookup_elem(&port_stats, &port);
	if (!stats || stats->fragments >= FRAGMENTS_PER_PORT)
		return 0; /* the others will be unknown: dropped and counted */
	if (bpf_map_update_elem(&fragments, &due.key, &entry, BPF_NOEXIST))
		return 0;
	__sync_fetch_and_add(&stats->fragments, 1);
	due.at_ns = entry.until_ns;
	if (bpf_map_push_elem(&fragments_due, &due, 0))
		fragment_forget(&due.key);
	return 0;
}

#endif
