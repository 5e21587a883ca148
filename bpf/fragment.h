/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments follow the first one of their datagram (CT-18): if that is let through, it leaves its ports, or the type
 * and what it quotes, under {arrival, addresses, protocol, identification}; the others are judged with these. Unknown:
 * dropped. The arrival port in the key keeps tenants apart (A4, B9); of what an ENI sends, and of what comes to it,
 * FRAGMENTS_PER_PORT datagrams are remembered. What expired is reaped by the next ones, and by the sweeper. */
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

/* Where the datagrams that `payer` answers for are counted. NULL = nowhere */
static __always_inline __u32 *fragment_count(__u32 payer)
{
	__u32 port = payer & ~FRAGMENT_FROM_OUTSIDE;
	struct port_stats *stats = bpf_map_lookup_elem(&port_stats, &port);

	if (!stats)
		return NULL;
	return payer & FRAGMENT_FROM_OUTSIDE ? &stats->fragments_in : &stats->fragments;
}

/* Who answers for a datagram: the ENI that sent it; of one from outside the ENI that gets it, so that what comes by one
 * uplink for one of them takes nothing from the others (A4, C12); or the uplink, if it goes on by another. */
static __always_inline __u32 fragment_payer(const struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in)), *to = p->exit ? policy_of(p, p->exit) : NULL;

	if (!e || from_eni(p, e))
		return IN_PORT(p->in);
	return (to && to->kind == PORT_ENI ? p->exit : IN_PORT(p->in)) | FRAGMENT_FROM_OUTSIDE;
}

static __always_inline void fragment_forget(const struct fragment_key *key, __u32 payer)
{
	__u32 *count;

	if (bpf_map_delete_elem(&fragments, key))
		return;
	count = fragment_count(payer);
	if (count)
		__sync_fetch_and_add(count, -1);
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
		fragment_forget(&due.key, known->payer);
		return 0;
	}
	due.at_ns = known->until_ns; /* refreshed meanwhile; or another CPU took what we had seen, and this is a later
					one */
	if (bpf_map_push_elem(&fragments_due, &due, 0))
		fragment_forget(&due.key, known->payer);
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

#define QUOTE_BYTES 128 /* the ICMP header, and IP and L4 headers of what it quotes */

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
	if (known->kind == KIND_ERROR && p->piece < QUOTE_BYTES)
		return REASON_FRAGMENT; /* would write over the quote that was judged (A3) */
	p->tuple.sport = known->sport;
	p->tuple.dport = known->dport;
	p->service = known->service;
	p->kind = known->kind;
	p->inner = known->inner;
	return REASON_ACCEPTED;
}

/* After judging a first fragment that was let through: remember. One that was refused leaves nothing, so the others are
 * unknown, and nobody fills the memory with what no rule admits; nor does it touch what is remembered (A3). */
__noinline int fragment_after(struct pkt *p, __u32 reason)
{
	struct fragment entry = {};
	struct fragment_due due;
	struct fragment *known;
	__u32 *count;

	if (!p || p->fragment != FRAGMENT_FIRST || reason)
		return 0;
	fragment_key(p, &due.key);
	known = bpf_map_lookup_elem(&fragments, &due.key);
	entry.until_ns = p->now + FRAGMENT_MEMORY_S * NS_PER_S;
	entry.sport = p->tuple.sport;
	entry.dport = p->tuple.dport;
	entry.service = p->service;
	entry.kind = p->kind;
	if (p->kind == KIND_ERROR)
		entry.inner = p->inner;
	if (known && known->until_ns >= p->now && known->kind != entry.kind)
		return 0; /* nor does another first piece change what the later ones are (A3) */
	entry.payer = known ? known->payer : fragment_payer(p);
	if (known && !bpf_map_update_elem(&fragments, &due.key, &entry, BPF_EXIST))
		return 0; /* unless it was reaped just now */
	fragment_reap(p->now, FRAGMENTS_REAPED);
	count = fragment_count(entry.payer);
	if (!count || (__s32)*count >= FRAGMENTS_PER_PORT)
		return 0; /* the others will be unknown: dropped and counted */
	if (bpf_map_update_elem(&fragments, &due.key, &entry, BPF_NOEXIST))
		return 0;
	__sync_fetch_and_add(count, 1);
	due.at_ns = entry.until_ns;
	if (bpf_map_push_elem(&fragments_due, &due, 0))
		fragment_forget(&due.key, entry.payer);
	return 0;
}

#endif
