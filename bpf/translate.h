/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT64 in the frame (nat64.h has the tuples): the IP header is exchanged for one of the other family, the L4 header
 * keeps its place behind it, and only its checksum and what NAT changes are written. On TC the kernel's helpers make
 * the room, so that segments and partial checksums stay what they are. An ICMP error is made anew on the workbench,
 * since the quoted header grows, too. IP options and extension headers end here (RFC 7915, 4.1 and 5.1). */
#ifndef ENID_TRANSLATE_H
#define ENID_TRANSLATE_H

#include "complain.h"
#include "nat64.h"
#include "rewrite.h"

struct piece_header { /* the IPv6 fragment header */
	__u8 next;
	__u8 zero;
	__be16 offset;
	__be32 id;
};

#define NEXT_PIECE 44

/* Behind the Ethernet header there shall be `size` bytes for an IP header, whatever there was. */
static __always_inline long change_header(void *ctx, const int hook, struct pkt *p, const bool six, __u32 size)
{
	__s32 growth = (__s32)size - (__s32)(p->l4 - ETH_HLEN), rest = growth + (six ? -NAT64_GROWTH : NAT64_GROWTH);

	p->l4 = ETH_HLEN + size;
	if (hook == HOOK_XDP)
		return bpf_xdp_adjust_head(ctx, -growth);
	if (bpf_skb_change_proto(ctx, be16(six ? ETH_P_IPV6 : ETH_P_IP), 0))
		return -1;
	return rest ? bpf_skb_adjust_room(ctx, rest, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO) : 0;
}

/* ---- IP headers */

static __always_inline void header_widen(struct ip6_header *to, const struct ip4_header *from, const struct tuple *t)
{
	to->version_class = 0x60 | from->tos >> 4;
	to->flow[0] = from->tos << 4;
	to->flow[1] = 0;
	to->flow[2] = 0;
	to->next = t->proto;
	to->hops = from->ttl;
	__builtin_memcpy(to->saddr, &t->saddr, 16);
	__builtin_memcpy(to->daddr, &t->daddr, 16);
}

static __always_inline void header_narrow(struct ip4_header *to, const struct ip6_header *from, const struct tuple *t)
{
	to->version_ihl = 0x45;
	to->tos = from->version_class << 4 | from->flow[0] >> 4;
	to->id = 0;
	to->fragment = be16(IP4_DONT);
	to->ttl = from->hops;
	to->proto = t->proto;
	to->check = 0;
	to->saddr = t->saddr.ip4;
	to->daddr = t->daddr.ip4;
}

static __always_inline int ip_widen(void *ctx, const int hook, struct pkt *p)
{
	struct piece_header piece = {.next = p->out.proto};
	__u32 size = p->fragment ? 48 : 40, place;
	__be16 ethertype = be16(ETH_P_IPV6);
	struct ip4_header from;
	struct ip6_header to;

	if (ctx_load(ctx, hook, ETH_HLEN, &from, sizeof(from)))
		return -1;
	header_widen(&to, &from, &p->out);
	to.payload = be16(be16(from.total) - (p->l4 - ETH_HLEN) + size - 40);
	to.hops -= HALF_TTL(p->flags);
	if (p->fragment) {
		place = be16(from.fragment);
		to.next = NEXT_PIECE;
		piece.offset = be16((place & IP4_OFFSET) << 3 | !!(place & IP4_MORE));
		piece.id = be32(be16(from.id));
	}
	if (change_header(ctx, hook, p, true, size) || ctx_store(ctx, hook, 12, &ethertype, 2) ||
	    ctx_store_summed(ctx, hook, ETH_HLEN, &to, sizeof(to)))
		return -1;
	return p->fragment ? ctx_store_summed(ctx, hook, ETH_HLEN + 40, &piece, sizeof(piece)) : 0;
}

/* Of two packets that may be cut on their way not soon the same (RFC 6864). */
static __always_inline __be16 packet_number(const struct pkt *p)
{
	struct flow_record *record = p->ref == REF_NONE ? NULL : record_at(p->ref);

	return (__be16)(flow_mix(p->ref, control.secrets[5]) >> 32) +
	       (record ? half_packets(&record->half[p->ref & 1]) : 0);
}

/* What fits the smallest IPv6 MTU may be cut: who sends so little has been told to (RFC 7915, 5.1). */
static __always_inline int place_narrow(void *ctx, const int hook, const struct pkt *p, struct ip4_header *to)
{
	struct piece_header piece;
	__u32 place;

	if (p->fragment) {
		if (ctx_load(ctx, hook, p->l4 - sizeof(piece), &piece, sizeof(piece)))
			return -1;
		place = be16(piece.offset);
		to->fragment = be16(place >> 3 | (place & 1 ? IP4_MORE : 0));
		to->id = be16(be32(piece.id) & 0xffff);
	} else if (be16(to->total) <= IP6_MTU_MIN - NAT64_GROWTH) {
		to->fragment = 0;
		to->id = packet_number(p);
	}
	return 0;
}

static __always_inline int ip_narrow(void *ctx, const int hook, struct pkt *p)
{
	__be16 ethertype = be16(ETH_P_IP);
	struct ip6_header from;
	struct ip4_header to;
	__u32 total;

	if (ctx_load(ctx, hook, ETH_HLEN, &from, sizeof(from)))
		return -1;
	total = be16(from.payload) + 40 - (p->l4 - ETH_HLEN) + 20;
	if (total > 0xffff)
		return -1;
	header_narrow(&to, &from, &p->out);
	to.total = be16(total);
	to.ttl -= HALF_TTL(p->flags);
	if (place_narrow(ctx, hook, p, &to))
		return -1;
	to.check = ~fold(sum_more(0, &to, sizeof(to)));
	if (change_header(ctx, hook, p, false, 20) || ctx_store(ctx, hook, 12, &ethertype, 2))
		return -1;
	return ctx_store_summed(ctx, hook, ETH_HLEN, &to, sizeof(to));
}

/* ---- sums */

/* What the other addresses add to a sum over the old ones. */
static __always_inline __u32 addrs_change(const struct tuple *from, const struct tuple *to)
{
	__be32 pair[2] = {to->saddr.ip4, to->daddr.ip4};

	if (to->family == 6)
		return (__u32)bpf_csum_diff((__be32 *)&from->saddr, 32, (__be32 *)&to->saddr, 32, 0);
	return (__u32)bpf_csum_diff((__be32 *)&from->saddr, 32, pair, 8, 0);
}

/* ICMPv6 sums the addresses and its length, ICMP does not. six: the tuple of that family; len: of the ICMP message */
static __always_inline __u32 icmp_change(const struct tuple *six, __u32 len, bool widens)
{
	__u32 sum = sum_pseudo(&six->saddr, 32, IPPROTO_ICMPV6, len);

	return widens ? sum : (__u16)~sum;
}

struct udp_sum { /* bpf_loop wants its context on the stack */
	void *ctx;
	__u32 at, end;
	__u32 sum;
	__u32 failed;
};

static __always_inline long udp_sum_step(const int hook, struct udp_sum *s)
{
	struct workbench *bench = workbench();
	__u32 size = s->end - s->at;

	if (!bench || s->at >= s->end)
		return 1;
	if (size > SUM_CHUNK)
		size = SUM_CHUNK;
	size = masked(size - 1, SUM_CHUNK - 1) + 1;
	__builtin_memset(bench->bytes + (size - 1 & ~3u), 0, 4);
	s->failed |= !!ctx_load(s->ctx, hook, s->at, bench->bytes, size);
	s->sum = sum_more(s->sum, bench->bytes, size + 3 & ~3u);
	s->at += size;
	return s->failed ? 1 : 0;
}

static long tc_udp_sum_step(__u32 step, struct udp_sum *s)
{
	return udp_sum_step(HOOK_TC, s);
}

static long xdp_udp_sum_step(__u32 step, struct udp_sum *s)
{
	return udp_sum_step(HOOK_XDP, s);
}

/* IPv4 may do without a checksum over UDP, IPv6 may not. */
static __always_inline int udp_add_check(void *ctx, const int hook, const struct pkt *p)
{
	struct udp_sum s = {.ctx = ctx, .at = p->l4};
	__be16 len, check;

	if (ctx_load(ctx, hook, p->l4 + 4, &len, 2))
		return -1;
	s.end = p->l4 + be16(len);
	s.sum = sum_pseudo(&p->out.saddr, 32, IPPROTO_UDP, be16(len));
	if (hook == HOOK_XDP)
		bpf_loop(0x10000 / SUM_CHUNK, xdp_udp_sum_step, &s, 0);
	else
		bpf_loop(0x10000 / SUM_CHUNK, tc_udp_sum_step, &s, 0);
	check = ~fold(s.sum);
	if (!check)
		check = 0xffff;
	return s.failed || ctx_store_summed(ctx, hook, p->l4 + 6, &check, 2) ? -1 : 0;
}

/* ---- L4, behind the new header */

static __always_inline int echo_change(void *ctx, const int hook, const struct pkt *p, __u32 len)
{
	bool widens = p->out.family == 6;
	struct icmp_header icmp;
	__be16 before;
	__u32 change;

	if (ctx_load(ctx, hook, p->l4, &icmp, sizeof(icmp)))
		return -1;
	before = *(__be16 *)&icmp.type;
	change = half_change(icmp.id, p->out.sport);
	icmp.type = p->out.dport;
	icmp.id = p->out.sport;
	change = sum_add(change, half_change(before, *(__be16 *)&icmp.type));
	change = sum_add(change, icmp_change(widens ? &p->out : &p->tuple, len, widens));
	icmp.check = check_apply(icmp.check, change);
	return ctx_store_summed(ctx, hook, p->l4, &icmp, sizeof(icmp));
}

static __always_inline int l4_change(void *ctx, const int hook, const struct pkt *p, __u32 len)
{
	__be16 check;

	if (p->fragment == FRAGMENT_LATER)
		return 0;
	if (!has_ports(&p->tuple))
		return echo_change(ctx, hook, p, len);
	follow_l4(ctx, hook, p, addrs_change(&p->tuple, &p->out), rewrite_ports(ctx, hook, p->l4, &p->tuple, &p->out));
	if (p->tuple.proto != IPPROTO_UDP || p->out.family == 4)
		return 0;
	if (ctx_load(ctx, hook, p->l4 + 6, &check, 2))
		return -1;
	return check ? 0 : udp_add_check(ctx, hook, p);
}

/* ---- ICMP errors */

#define QUOTE4_LONG 528 /* behind two headers, as much as 576 bytes hold (RFC 1812, 4.3.2.3) */

/* The L4 part of the quoted packet. ret: its length, 0 = it cannot be read */
static __always_inline __u32 quote_take(void *ctx, const int hook, const struct pkt *p, __u8 *to, const __u32 most)
{
	__u32 size = p->l4 + p->payload - p->inner_l4, seen = ctx_len(ctx, hook) - p->inner_l4;

	if (size > seen)
		size = seen;
	if (size > most)
		size = most;
	size = masked(size - 1, 2047) + 1;
	if (size > most)
		return 0;
	__builtin_memset(to + (size - 1 & ~3u), 0, 4);
	return ctx_load(ctx, hook, p->inner_l4, to, size) ? 0 : size;
}

/* len: of the whole L4 part when it was sent; size: how much of it is quoted, at least 8 */
static __always_inline void quote_change(const struct pkt *p, __u8 *l4, __u32 size, __u32 len)
{
	const struct tuple *from = &p->inner, *to = &p->inner_out;
	__be16 *word = (__be16 *)l4, before = word[0], *check = word + 8;
	bool widens = to->family == 6;
	__u32 change;

	if (has_ports(from)) {
		change = sum_add(half_change(from->sport, to->sport), half_change(from->dport, to->dport));
		change = sum_add(change, addrs_change(from, to));
		word[0] = to->sport;
		word[1] = to->dport;
		if (from->proto == IPPROTO_UDP)
			check = word + 3;
		else if (size < 18)
			return;
		if (*check || from->proto == IPPROTO_TCP)
			*check = check_apply(*check, change);
		return;
	}
	change = half_change(from->sport, to->sport);
	l4[0] = to->dport;
	change = sum_add(change, half_change(before, word[0]));
	change = sum_add(change, icmp_change(widens ? to : from, len, widens));
	word[2] = to->sport;
	word[1] = check_apply(word[1], change);
}

/* ret: length of the frame on the workbench, 0 = none */
static __always_inline __u32 error_widen(void *ctx, const int hook, const struct pkt *p, struct workbench *bench)
{
	struct error6 *e = (void *)bench->bytes;
	struct ip6_header *inner = (void *)e->quote;
	__u32 icmp = icmp_widen(p->icmp_type, p->icmp_code), rest, size, len;
	struct ip4_header from, quoted;

	if (ctx_load(ctx, hook, ETH_HLEN, &from, sizeof(from)) ||
	    ctx_load(ctx, hook, p->inner_l3, &quoted, sizeof(quoted)))
		return 0;
	size = quote_take(ctx, hook, p, e->quote + 40, QUOTE6_MAX - 40);
	if (!size)
		return 0;
	len = be16(quoted.total) - (p->inner_l4 - p->inner_l3);
	quote_change(p, e->quote + 40, size, len);
	header_widen(inner, &quoted, &p->inner_out);
	inner->payload = be16(len);
	size += 40;
	header_widen(&e->ip, &from, &p->out);
	e->ip.payload = be16(size + 8);
	e->ip.hops -= HALF_TTL(p->flags);
	rest_widen(icmp, be32(p->icmp_rest), &rest);
	e->icmp = (struct icmp_error){.type = icmp >> 8, .code = icmp, .rest = be32(rest)};
	e->icmp.check = ~fold(sum_quote(sum_more(sum_pseudo(e->ip.saddr, 32, IPPROTO_ICMPV6, size + 8), &e->icmp, 8),
					e->quote, size));
	e->eth.ethertype = be16(ETH_P_IPV6);
	return ETH_HLEN + 48 + size;
}

static __always_inline __u32 error_narrow(void *ctx, const int hook, const struct pkt *p, struct workbench *bench)
{
	struct error4 *e = (void *)bench->bytes;
	__u8 *quote = bench->bytes + __builtin_offsetof(struct error4, quote);
	struct ip4_header *inner = (void *)quote;
	__u32 icmp = icmp_narrow(p->icmp_type, p->icmp_code), rest, size, len;
	struct ip6_header from, quoted;

	if (ctx_load(ctx, hook, ETH_HLEN, &from, sizeof(from)) ||
	    ctx_load(ctx, hook, p->inner_l3, &quoted, sizeof(quoted)))
		return 0;
	size = quote_take(ctx, hook, p, quote + 20, QUOTE4_LONG);
	if (!size)
		return 0;
	len = be16(quoted.payload) + 40 - (p->inner_l4 - p->inner_l3);
	quote_change(p, quote + 20, size, len);
	header_narrow(inner, &quoted, &p->inner_out);
	inner->total = be16(len + 20);
	inner->check = ~fold(sum_more(0, inner, sizeof(*inner)));
	size += 20;
	header_narrow(&e->ip, &from, &p->out);
	e->ip.total = be16(size + 28);
	e->ip.ttl -= HALF_TTL(p->flags);
	e->ip.check = ~fold(sum_more(0, &e->ip, sizeof(e->ip)));
	rest_narrow(icmp, be32(p->icmp_rest), &rest);
	e->icmp = (struct icmp_error){.type = icmp >> 8, .code = icmp, .rest = be32(rest)};
	e->icmp.check = ~fold(sum_quote(sum_more(0, &e->icmp, 8), quote, size));
	e->eth.ethertype = be16(ETH_P_IP);
	return ETH_HLEN + 28 + size;
}

#define TYPE_AT 12 /* the MACs are not this file's business */

static __always_inline int translate_error(void *ctx, const int hook, struct pkt *p)
{
	struct workbench *bench = workbench();
	bool widens = p->out.family == 6;
	__u32 len;

	if (!bench)
		return -1;
	len = widens ? error_widen(ctx, hook, p, bench) : error_narrow(ctx, hook, p, bench);
	if (!len)
		return -1;
	len = masked(len - 1, 2047) + 1;
	if (len <= ETH_HLEN ||
	    (hook == HOOK_TC && bpf_skb_change_proto(ctx, be16(widens ? ETH_P_IPV6 : ETH_P_IP), 0)) ||
	    ctx_resize(ctx, hook, len) || ctx_store(ctx, hook, TYPE_AT, bench->bytes + FRAME_AT + TYPE_AT, 2))
		return -1; /* a device's sum of the packet begins behind the Ethernet header */
	return ctx_store_summed(ctx, hook, ETH_HLEN, bench->bytes + FRAME_AT + ETH_HLEN, len - ETH_HLEN);
}

/* ---- all of it. ret: 0, or not: the packet is unfit to be sent */

static __always_inline int translate(void *ctx, const int hook, struct pkt *p)
{
	if (p->kind == KIND_ERROR)
		return translate_error(ctx, hook, p);
	if (p->out.family == 6 ? ip_widen(ctx, hook, p) : ip_narrow(ctx, hook, p))
		return -1;
	return l4_change(ctx, hook, p, p->payload);
}

__noinline int tc_translate(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? translate(ctx, HOOK_TC, p) : -1;
}

__noinline int xdp_translate(struct xdp_md *ctx, struct pkt *p)
{
	return p ? translate(ctx, HOOK_XDP, p) : -1;
}

#endif
