/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Write the differences between p->tuple and p->out into the frame: addresses, ports or ICMP identifier, time to live,
 * the MSS of a handshake (clamp.h) and, in ICMP errors, the quoted packet. On TC the L4 sums go through the kernel's
 * helper, which knows partial and complete checksums of GSO packets; XDP frames have none of these, so there, and in
 * the IPv4 header, sums are updated by hand (RFC 1624). A UDP checksum of 0 stays 0 (IGW-05). */
#ifndef ENID_REWRITE_H
#define ENID_REWRITE_H

#ifdef __bpf__
#include <bpf/bpf_core_read.h>
#endif

#include "flow.h"
#include "parse.h"

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff) + (sum >> 48);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* What a word's change adds to the sum over it (RFC 1624, equation 3). Works in either byte order. */
static __always_inline __u32 sum_change(__be32 from, __be32 to)
{
	__u64 sum = (__u64)(__u32)~from + to;

	if (from == to)
		return 0;
	return (__u32)sum + (__u32)(sum >> 32);
}

static __always_inline __u32 sum_add(__u32 a, __u32 b)
{
	__u64 sum = (__u64)a + b;

	return (__u32)sum + (__u32)(sum >> 32);
}

static __always_inline __be16 check_apply(__be16 check, __u32 change)
{
	__u32 sum = (__u16)~check + (change & 0xffff) + (change >> 16);

	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline __be16 check_update(__be16 check, __be32 from, __be32 to)
{
	return check_apply(check, sum_change(from, to));
}

/* 16-bit words change like 32-bit ones whose other half is the same. */
static __always_inline __u32 half_change(__be16 from, __be16 to)
{
	return sum_change(from, to);
}

static __always_inline void apply_by_hand(void *ctx, const int hook, __u32 offset, __u32 change, bool keep_zero)
{
	__be16 check;

	if (!change || ctx_load(ctx, hook, offset, &check, 2) || (keep_zero && !check))
		return;
	check = check_apply(check, change);
	if (keep_zero && !check)
		check = 0xffff;
	ctx_store(ctx, hook, offset, &check, 2);
}

/* Offset of the checksum of an L4 header, 0 = none; *ret_pseudo: it covers the addresses, too. */
static __always_inline __u32 check_offset(__u8 proto, __u8 family, bool *ret_pseudo)
{
	*ret_pseudo = true;
	if (proto == IPPROTO_TCP)
		return 16;
	if (proto == IPPROTO_UDP)
		return 6;
	if (proto == IPPROTO_ICMPV6 && family == 6)
		return 2;
	*ret_pseudo = false;
	return proto == IPPROTO_ICMP && family == 4 ? 2 : 0;
}

/* The L4 sum follows what changed in the addresses and in the header itself. */
static __always_inline void follow_l4(void *ctx, const int hook, const struct pkt *p, __u32 addrs, __u32 header)
{
	bool udp = p->tuple.proto == IPPROTO_UDP, pseudo;
	__u32 at = check_offset(p->tuple.proto, p->tuple.family, &pseudo), zero = udp ? BPF_F_MARK_MANGLED_0 : 0;

	if (!at)
		return;
	at += p->l4;
	if (!pseudo)
		addrs = 0;
	if (hook == HOOK_XDP) {
		apply_by_hand(ctx, hook, at, sum_add(addrs, header), udp);
		return;
	}
	if (addrs)
		bpf_l4_csum_replace(ctx, at, 0, addrs, BPF_F_PSEUDO_HDR | zero);
	if (header)
		bpf_l4_csum_replace(ctx, at, 0, header, zero);
}

/* Where the ports stand, or the identifier of an ICMP query. */
static __always_inline bool has_query_id(const struct tuple *t)
{
	return (t->family == 4 && t->proto == IPPROTO_ICMP) || (t->family == 6 && t->proto == IPPROTO_ICMPV6);
}

static __always_inline bool has_ports(const struct tuple *t)
{
	return t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP;
}

/* ret: what the change adds to the sum over the header */
static __always_inline __u32 rewrite_ports(void *ctx, const int hook, __u32 l4, const struct tuple *from,
					   const struct tuple *to)
{
	__be16 both[2] = {to->sport, to->dport};

	if (from->sport == to->sport && (from->dport == to->dport || has_query_id(from)))
		return 0;
	if (has_ports(from)) {
		ctx_store(ctx, hook, l4, both, 4);
		return sum_add(half_change(from->sport, to->sport), half_change(from->dport, to->dport));
	}
	if (!has_query_id(from))
		return 0;
	ctx_store(ctx, hook, l4 + 4, both, 2);
	return half_change(from->sport, to->sport);
}

static __always_inline __u32 rewrite_l4(void *ctx, const int hook, const struct pkt *p)
{
	if (p->fragment == FRAGMENT_LATER || p->kind != KIND_PLAIN)
		return 0;
	return rewrite_ports(ctx, hook, p->l4, &p->tuple, &p->out);
}

/* The IPv4 header in one go; the frame may lie in pieces. ret: 0, -1 = too short */
static __always_inline int rewrite_ip4(void *ctx, const int hook, const struct pkt *p, __u32 addrs)
{
	void *data = ctx_data(ctx, hook);
	struct ip4_header *ip = data + ETH_HLEN;
	__u32 hops = HALF_TTL(p->flags), change = addrs;

	if (data + ETH_HLEN + 20 > ctx_data_end(ctx, hook))
		return -1;
	if (hops) {
		__u8 ttl = ip->ttl - hops;

		change = sum_add(change, half_change(be16(ip->ttl << 8), be16(ttl << 8)));
		ip->ttl = ttl;
	}
	ip->check = check_apply(ip->check, change);
	ip->saddr = p->out.saddr.ip4;
	ip->daddr = p->out.daddr.ip4;
	return 0;
}

/* ---- the packet that an ICMP error quotes */

/* The quoted IP checksum makes up for the addresses, so the ICMP checksum around them only has to follow what changes
 * in the quoted ports, and in the quoted L4 checksum, if that was quoted at all (D7, D8). */
static __always_inline void rewrite_inner4(void *ctx, const int hook, const struct pkt *p)
{
	__u32 addrs = sum_add(sum_change(p->inner.saddr.ip4, p->inner_out.saddr.ip4),
			      sum_change(p->inner.daddr.ip4, p->inner_out.daddr.ip4));
	__be32 ends[2] = {p->inner_out.saddr.ip4, p->inner_out.daddr.ip4};
	__u32 end = p->l4 + p->payload, around, at;
	__be16 before, after;
	bool pseudo;

	apply_by_hand(ctx, hook, p->inner_l3 + 10, addrs, false);
	ctx_store(ctx, hook, p->inner_l3 + 12, ends, 8);
	around = rewrite_ports(ctx, hook, p->inner_l4, &p->inner, &p->inner_out);
	at = check_offset(p->inner.proto, 4, &pseudo);
	if (at && p->inner_l4 + at + 2 <= end && !ctx_load(ctx, hook, p->inner_l4 + at, &before, 2) &&
	    (before || p->inner.proto != IPPROTO_UDP)) {
		after = check_apply(before, pseudo ? sum_add(addrs, around) : around);
		if (!after && p->inner.proto == IPPROTO_UDP)
			after = 0xffff;
		ctx_store(ctx, hook, p->inner_l4 + at, &after, 2);
		around = sum_add(around, half_change(before, after));
	}
	apply_by_hand(ctx, hook, p->l4 + 2, around, false);
}

/* ---- all of it */

static __always_inline int rewrite4(void *ctx, const int hook, const struct pkt *p)
{
	__u32 addrs = sum_add(sum_change(p->tuple.saddr.ip4, p->out.saddr.ip4),
			      sum_change(p->tuple.daddr.ip4, p->out.daddr.ip4));

	if (p->fragment != FRAGMENT_LATER)
		follow_l4(ctx, hook, p, addrs, rewrite_l4(ctx, hook, p));
	if (p->kind == KIND_ERROR && p->fragment != FRAGMENT_LATER && !tuple_equal(&p->inner, &p->inner_out))
		rewrite_inner4(ctx, hook, p);
	return rewrite_ip4(ctx, hook, p, addrs);
}

/* IPv6 is never translated but by NAT64: only the hop limit shrinks. */
static __always_inline int rewrite6(void *ctx, const int hook, const struct pkt *p)
{
	__u32 hops = HALF_TTL(p->flags);
	__u8 ttl;

	if (!hops)
		return 0;
	if (ctx_load(ctx, hook, ETH_HLEN + 7, &ttl, 1))
		return -1;
	ttl -= hops;
	return ctx_store(ctx, hook, ETH_HLEN + 7, &ttl, 1);
}

static __always_inline int rewrite_packet(void *ctx, const int hook, const struct pkt *p)
{
	return p->tuple.family == 4 ? rewrite4(ctx, hook, p) : rewrite6(ctx, hook, p);
}

/* ---- what most packets are: TCP or UDP over IPv4 without options */

/* How the kernel keeps the L4 sum of a packet (skb->ip_summed). */
enum summed { SUMMED_NOT, SUMMED_KNOWN_GOOD, SUMMED_APART, SUMMED_PARTLY };

#ifdef __bpf__
struct sk_buff___enid {
	__u8 ip_summed : 2;
} __attribute__((preserve_access_index));

/* Since 6.2; before, its absence is known when the program is loaded, and the branch is gone. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/* SUMMED_APART: or unknown. The helper deals with any. */
static __always_inline enum summed summed_how(struct __sk_buff *ctx)
{
	struct sk_buff___enid *skb = NULL;
	__u64 bits;

	if (!bpf_cast_to_kern_ctx || __CORE_RELO(skb, ip_summed, BYTE_SIZE) != 1)
		return SUMMED_APART;
	skb = bpf_cast_to_kern_ctx(ctx);
	bits = *((__u8 *)skb + __CORE_RELO(skb, ip_summed, BYTE_OFFSET));
	return bits << __CORE_RELO(skb, ip_summed, LSHIFT_U64) >> __CORE_RELO(skb, ip_summed, RSHIFT_U64);
}
#else
static __always_inline enum summed summed_how(struct __sk_buff *ctx)
{
	(void)ctx;
	return SUMMED_NOT;
}
#endif

/* A partial sum covers addresses only, and is not complemented yet: a device adds the rest. */
static __always_inline void check_in_place(__be16 *check, enum summed summed, __u32 addrs, __u32 header, bool udp)
{
	__be16 now;

	if (udp && !*check)
		return;
	if (summed == SUMMED_PARTLY)
		now = ~check_apply(~*check, addrs);
	else
		now = check_apply(*check, sum_add(addrs, header));
	*check = udp && !now ? 0xffff : now;
}

/* No helper where the sum lies in the packet alone. ret: true = done */
static __always_inline bool follow_in_place(struct __sk_buff *ctx, const struct pkt *p, __u32 addrs)
{
	enum summed summed = summed_how(ctx);
	void *l4 = ctx_data(ctx, HOOK_TC) + ETH_HLEN + 20, *end = ctx_data_end(ctx, HOOK_TC);
	bool udp = p->tuple.proto == IPPROTO_UDP;
	__be16 *words = l4;
	__u32 header;

	if (unlikely(summed == SUMMED_APART) || l4 + 8 > end || (!udp && l4 + 20 > end))
		return false;
	header = sum_add(half_change(p->tuple.sport, p->out.sport), half_change(p->tuple.dport, p->out.dport));
	words[0] = p->out.sport;
	words[1] = p->out.dport;
	check_in_place(udp ? &words[3] : &words[8], summed, addrs, header, udp);
	return true;
}

/* ret: true = done */
static __always_inline bool rewrite_quick(struct __sk_buff *ctx, const struct pkt *p)
{
	__u32 addrs = sum_add(sum_change(p->tuple.saddr.ip4, p->out.saddr.ip4),
			      sum_change(p->tuple.daddr.ip4, p->out.daddr.ip4));

	return p->tuple.family == 4 && p->kind == KIND_PLAIN && !p->fragment && p->l4 == ETH_HLEN + 20 &&
	       has_ports(&p->tuple) && follow_in_place(ctx, p, addrs) && !rewrite_ip4(ctx, HOOK_TC, p, addrs);
}

/* ret: 0, or not: the packet is unfit to be sent */
__noinline int tc_rewrite(struct __sk_buff *ctx, struct pkt *p)
{
	if (!p)
		return -1;
	if (ctx_data(ctx, HOOK_TC) + ETH_HLEN + 20 > ctx_data_end(ctx, HOOK_TC) &&
	    bpf_skb_pull_data(ctx, ETH_HLEN + 20))
		return -1;
	return rewrite_packet(ctx, HOOK_TC, p);
}

__noinline int xdp_rewrite(struct xdp_md *ctx, struct pkt *p)
{
	return p ? rewrite_packet(ctx, HOOK_XDP, p) : -1;
}

static __always_inline int rewrite(void *ctx, const int hook, struct pkt *p)
{
	if (hook == HOOK_XDP)
		return xdp_rewrite(ctx, p);
	return likely(rewrite_quick(ctx, p)) ? 0 : tc_rewrite(ctx, p);
}

#endif
