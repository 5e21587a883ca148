/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Write the differences between p->tuple and p->out (and, in ICMP errors, between the quoted addresses) into the frame.
 * TC uses the kernel's checksum helpers, which know partial and complete checksums of GSO packets; XDP frames have none
 * of these, so there the sums are updated by hand (RFC 1624). A UDP checksum of 0 stays 0 (IGW-05). */
#ifndef ENID_REWRITE_H
#define ENID_REWRITE_H

#include "parse.h"

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff) + (sum >> 48);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* RFC 1624, equation 3. Works in either byte order. */
static __always_inline __be16 check_update(__be16 check, __be32 from, __be32 to)
{
	__u64 sum = (__u16)~check;

	sum += (__u16)~from + (__u64)(__u16) ~(from >> 16) + (to & 0xffff) + (to >> 16);
	return ~fold(sum);
}

/* Offset of the L4 checksum that covers the pseudo header, 0 = none. */
static __always_inline __u32 check_offset(__u8 proto, __u8 family)
{
	if (proto == IPPROTO_TCP)
		return 16;
	if (proto == IPPROTO_UDP)
		return 6;
	return proto == IPPROTO_ICMPV6 && family == 6 ? 2 : 0;
}

static __always_inline void replace_by_hand(void *ctx, const int hook, __u32 offset, __be32 from, __be32 to,
					    bool keep_zero)
{
	__be16 check;

	if (ctx_load(ctx, hook, offset, &check, 2) || (keep_zero && !check))
		return;
	check = check_update(check, from, to);
	if (keep_zero && !check)
		check = 0xffff;
	ctx_store(ctx, hook, offset, &check, 2);
}

static __always_inline void replace_l4(void *ctx, const int hook, const struct pkt *p, __be32 from, __be32 to)
{
	__u32 at = check_offset(p->tuple.proto, 4);
	bool udp = p->tuple.proto == IPPROTO_UDP;

	if (!at || p->fragment == FRAGMENT_LATER)
		return;
	if (hook == HOOK_TC)
		bpf_l4_csum_replace(ctx, p->l4 + at, from, to, BPF_F_PSEUDO_HDR | 4 | (udp ? BPF_F_MARK_MANGLED_0 : 0));
	else
		replace_by_hand(ctx, hook, p->l4 + at, from, to, udp);
}

static __always_inline void rewrite_addr4(void *ctx, const int hook, const struct pkt *p, __u32 offset, __be32 from,
					  __be32 to)
{
	if (from == to)
		return;
	replace_l4(ctx, hook, p, from, to);
	if (hook == HOOK_TC)
		bpf_l3_csum_replace(ctx, ETH_HLEN + 10, from, to, 4);
	else
		replace_by_hand(ctx, hook, ETH_HLEN + 10, from, to, false);
	ctx_store(ctx, hook, offset, &to, 4);
}

/* An address inside the quoted packet. The quoted IP checksum makes up for the address, so the ICMP checksum around
 * them only has to follow what changes in the quoted L4 checksum, if that was quoted at all. */
static __always_inline void rewrite_inner4(void *ctx, const int hook, const struct pkt *p, __u32 offset, __be32 from,
					   __be32 to)
{
	__u32 at = p->inner_l4 + check_offset(p->inner.proto, 4), end = p->l4 + p->payload;
	__be16 before, after;

	if (from == to)
		return;
	replace_by_hand(ctx, hook, p->inner_l3 + 10, from, to, false);
	ctx_store(ctx, hook, offset, &to, 4);
	if (at == p->inner_l4 || at + 2 > end || ctx_load(ctx, hook, at, &before, 2))
		return;
	if (!before && p->inner.proto == IPPROTO_UDP)
		return;
	after = check_update(before, from, to);
	ctx_store(ctx, hook, at, &after, 2);
	if ((at - p->l4) & 1) /* cannot be: headers are even */
		return;
	replace_by_hand(ctx, hook, p->l4 + 2, before, after, false);
}

static __always_inline int rewrite_packet(void *ctx, const int hook, const struct pkt *p)
{
	if (p->tuple.family != 4)
		return 0;
	rewrite_addr4(ctx, hook, p, ETH_HLEN + 12, p->tuple.saddr.ip4, p->out.saddr.ip4);
	rewrite_addr4(ctx, hook, p, ETH_HLEN + 16, p->tuple.daddr.ip4, p->out.daddr.ip4);
	if (p->kind != KIND_ERROR)
		return 0;
	rewrite_inner4(ctx, hook, p, p->inner_l3 + 12, p->inner.saddr.ip4, p->inner_out.saddr.ip4);
	rewrite_inner4(ctx, hook, p, p->inner_l3 + 16, p->inner.daddr.ip4, p->inner_out.daddr.ip4);
	return 0;
}

__noinline int tc_rewrite(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? rewrite_packet(ctx, HOOK_TC, p) : 0;
}

__noinline int xdp_rewrite(struct xdp_md *ctx, struct pkt *p)
{
	return p ? rewrite_packet(ctx, HOOK_XDP, p) : 0;
}

static __always_inline void rewrite(void *ctx, const int hook, struct pkt *p)
{
	if (hook == HOOK_XDP)
		xdp_rewrite(ctx, p);
	else
		tc_rewrite(ctx, p);
}

#endif
