/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lower the MSS that a TCP handshake announces to what the way carries (NAT-19, MTU-01). Only SYN and SYN-ACK carry it,
 * and no SYN is ever answered from a kept decision. */
#ifndef ENID_CLAMP_H
#define ENID_CLAMP_H

#include "rewrite.h"

#define TCPOPT_MSS 2

static long clamp_step(__u32 step, struct option_walk *walk)
{
	struct pkt *p = walk->p;
	__u32 at = p->walk_at, kind, size;

	if (at + 1 >= p->walk_len)
		return 1;
	kind = walk->options[at & 63];
	if (kind == 0)
		return 1;
	if (kind == 1) {
		p->walk_at = at + 1;
		return 0;
	}
	size = walk->options[(at + 1) & 63];
	if (kind == TCPOPT_MSS && size == 4 && at + 4 <= p->walk_len)
		p->walk_found = at + 2;
	p->walk_at = at + size;
	return size < 2 || p->walk_found;
}

/* A word at an odd offset adds to the sum with its bytes swapped. */
static __always_inline void clamp_store(void *ctx, const int hook, const struct pkt *p, __u32 offset, __u16 from)
{
	__be16 before = be16(from), after = be16(p->clamp);
	__u32 change = half_change(before, after);

	if ((offset - p->l4) & 1)
		change = half_change(from, p->clamp);
	ctx_store(ctx, hook, offset, &after, 2);
	if (hook == HOOK_XDP)
		apply_by_hand(ctx, hook, p->l4 + 16, change, false);
	else
		bpf_l4_csum_replace(ctx, p->l4 + 16, 0, change, 0);
}

static __always_inline int clamp_packet(void *ctx, const int hook, struct pkt *p)
{
	struct option_walk walk = {.p = p};
	__u8 offset;
	__u32 size;
	__u16 mss;

	if (ctx_load(ctx, hook, p->l4 + 12, &offset, 1))
		return 0;
	p->walk_at = 0;
	p->walk_len = (offset >> 4) * 4 - 20;
	p->walk_found = 0; /* offset of the MSS in the options */
	if (!p->walk_len || p->walk_len > 40)
		return 0;
	size = ((p->walk_len - 1) & 63) + 1; /* 1..40, said so that every verifier sees it */
	if (ctx_load(ctx, hook, p->l4 + 20, walk.options, size))
		return 0;
	bpf_loop(40, clamp_step, &walk, 0);
	if (!p->walk_found)
		return 0;
	mss = walk.options[p->walk_found & 63] << 8 | walk.options[(p->walk_found + 1) & 63];
	if (mss > p->clamp)
		clamp_store(ctx, hook, p, p->l4 + 20 + p->walk_found, mss);
	return 0;
}

__noinline int tc_clamp(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? clamp_packet(ctx, HOOK_TC, p) : 0;
}

__noinline int xdp_clamp(struct xdp_md *ctx, struct pkt *p)
{
	return p ? clamp_packet(ctx, HOOK_XDP, p) : 0;
}

/* After rewrite(). */
static __always_inline void clamp(void *ctx, const int hook, struct pkt *p)
{
	if (likely(!(p->tcp_flags & TCP_SYN)) || !p->clamp)
		return;
	if (hook == HOOK_XDP)
		xdp_clamp(ctx, p);
	else
		tc_clamp(ctx, p);
}

#endif
