/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* GENEVE as between a Gateway Load Balancer and its appliances (EP-08, RFC 8926): outer IPv4, UDP, three options that
 * come back as they went, and the inner IP packet without an Ethernet header. Nothing else is taken for it. */
#ifndef ENID_GENEVE_H
#define ENID_GENEVE_H

#include "cut.h"
#include "gwlbe.h"

#define GENEVE_CLASS 0x0108 /* Amazon */

enum geneve_option { GENEVE_ENDPOINT = 1, GENEVE_ATTACHMENT = 2, GENEVE_COOKIE = 3 };

struct geneve_option_header {
	__be16 class;
	__u8 type;
	__u8 words; /* of its value */
};

struct geneve_outer {
	struct ip4_header ip;
	struct udp_header udp;
	__u8 version_words; /* version 0; words of all options */
	__u8 flags;
	__be16 protocol;
	__be32 vni;
	struct geneve_option_header endpoint_is;
	__be32 endpoint[2];
	struct geneve_option_header attachment_is;
	__be32 attachment[2];
	struct geneve_option_header cookie_is;
	__be32 cookie;
};
_Static_assert(sizeof(struct geneve_outer) == GENEVE_ROOM, "EP-08");

#define GENEVE_OPTION_WORDS 8

/* The stack is too small for headers: they lie behind what the workbench holds of a packet. */
#define OUTER_AT  12288
#define WANTED_AT 12544

_Static_assert(OUTER_AT >= CUT_AT + CUT_MAX, "a packet on the workbench ends before");

static __always_inline void option_is(struct geneve_option_header *to, __u8 type, __u8 words)
{
	to->class = be16(GENEVE_CLASS);
	to->type = type;
	to->words = words;
}

/* What follows from the endpoint alone. */
static __always_inline void geneve_begin(struct geneve_outer *outer, const struct gateway_policy *g, __u8 family)
{
	__builtin_memset(outer, 0, sizeof(*outer));
	outer->udp.dport = be16(GENEVE_PORT);
	outer->version_words = GENEVE_OPTION_WORDS;
	outer->protocol = family == 6 ? be16(ETH_P_IPV6) : be16(ETH_P_IP);
	option_is(&outer->endpoint_is, GENEVE_ENDPOINT, 2);
	option_is(&outer->attachment_is, GENEVE_ATTACHMENT, 2);
	option_is(&outer->cookie_is, GENEVE_COOKIE, 1);
	for (int i = 0; i < 2; i++) {
		outer->endpoint[i] = g->members[GWLB_ENDPOINT + i];
		outer->attachment[i] = g->members[GWLB_ATTACHMENT + i];
	}
}

/* ---- to the appliance */

static __always_inline void geneve_address(struct geneve_outer *outer, const struct gateway_policy *g,
					   const struct gate_ticket *ticket, __u32 inner)
{
	__u32 total = inner + GENEVE_ROOM;

	if (total > 0xffff)
		total = 0xffff; /* GSO: each segment gets its own */
	outer->cookie = be32(ticket->cookie);
	outer->udp.sport = be16(0xc000 | (ticket->cookie & 0x3fff)); /* entropy for whoever spreads flows on the way */
	outer->udp.len = be16(total - sizeof(outer->ip));
	outer->ip.version_ihl = 0x45;
	outer->ip.total = be16(total);
	outer->ip.fragment = be16(IP4_DONT);
	outer->ip.ttl = 64;
	outer->ip.proto = IPPROTO_UDP;
	outer->ip.saddr = g->members[GWLB_SOURCE];
	outer->ip.daddr = ticket->appliance;
	outer->ip.check = ~fold(sum_more(0, &outer->ip, sizeof(outer->ip)));
}

/* Of a kept decision the ticket stands in the record, of a judged packet in p. */
static __always_inline bool geneve_ticket(const struct pkt *p, struct gate_ticket *ret)
{
	struct flow_record *record;
	struct side *rest;

	if (p->flags & PACKET_TICKET) {
		*ret = p->target.ticket;
		return ret->cookie;
	}
	record = record_at(p->ref);
	rest = record ? side_of(record, p->ref) : NULL;
	if (!rest)
		return false;
	ticket_load(ret, &rest->tickets[~p->ref & 1]);
	return ret->cookie;
}

#define WRAP_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP)

/* Room behind the Ethernet header; what stands there is to be written. */
static __always_inline long geneve_room(void *ctx, const int hook)
{
	if (hook == HOOK_TC)
		return bpf_skb_adjust_room(ctx, GENEVE_ROOM, BPF_ADJ_ROOM_MAC, WRAP_FLAGS);
	return bpf_xdp_adjust_head(ctx, -GENEVE_ROOM);
}

/* Of a packet that changed its family on the way, its new header tells. ret: 0 = too short */
static __always_inline __u32 inner_length(void *ctx, const int hook, const struct pkt *p, const bool six)
{
	__be16 length;

	if (p->segments > 1)
		return ctx_len(ctx, hook) - ETH_HLEN;
	if (likely(!(p->flags & HALF_NAT64)))
		return p->bytes;
	if (ctx_load(ctx, hook, ETH_HLEN + (six ? 4 : 2), &length, 2))
		return 0;
	return be16(length) + (six ? 40 : 0);
}

static __always_inline int geneve_wrap(void *ctx, const int hook, struct pkt *p)
{
	struct gateway_policy *g = gateway_at(p, p->exit);
	struct workbench *bench = workbench();
	struct gate_ticket ticket;
	struct geneve_outer *outer;
	struct eth_header eth;
	__u32 inner;
	bool six;

	if (!bench || !g || g->kind != GATEWAY_GWLBE || !geneve_ticket(p, &ticket) ||
	    ctx_load(ctx, hook, 0, &eth, sizeof(eth)))
		return -1;
	six = eth.ethertype == be16(ETH_P_IPV6);
	inner = inner_length(ctx, hook, p, six);
	if (!inner)
		return -1;
	outer = (void *)bench->bytes + OUTER_AT;
	geneve_begin(outer, g, six ? 6 : 4);
	geneve_address(outer, g, &ticket, inner);
	eth.ethertype = be16(ETH_P_IP);
	if (geneve_room(ctx, hook))
		return -1;
	return ctx_store(ctx, hook, 0, &eth, sizeof(eth)) || ctx_store(ctx, hook, ETH_HLEN, outer, sizeof(*outer));
}

/* p, as it is to leave, goes to its appliance. ret: 0, or not: it is unfit to be sent */
__noinline int tc_wrap(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? geneve_wrap(ctx, HOOK_TC, p) : -1;
}

__noinline int xdp_wrap(struct xdp_md *ctx, struct pkt *p)
{
	return p ? geneve_wrap(ctx, HOOK_XDP, p) : -1;
}

/* ---- from the appliance */

static __always_inline bool same_words(const void *a, const void *b, const __u32 bytes)
{
	const __u32 *x = a, *y = b;
	__u32 differ = 0;

	for (__u32 i = 0; i < bytes / 4; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* UDP's checksum, if there is one. One that a device would complete was never on a wire. */
static __always_inline bool geneve_sum_right(void *ctx, const int hook, const struct pkt *p,
					     const struct geneve_outer *outer)
{
	struct workbench *bench = workbench();
	__u32 size = p->payload, sum;

	if (!outer->udp.check)
		return true;
	if (replay && ctx_len(ctx, hook) < p->len)
		return true; /* its end was not given to the program */
	if (!bench || !size || size > CUT_MAX)
		return false;
	size = masked(size - 1, 16383) + 1;
	__builtin_memset(bench->bytes + CUT_AT + (size - 1 & ~3u), 0, 4);
	if (ctx_load(ctx, hook, p->l4, bench->bytes + CUT_AT, size))
		return false;
	sum = sum_pseudo(&outer->ip.saddr, 8, IPPROTO_UDP, size);
	for (__u32 at = 0; at < CUT_MAX; at += SUM_CHUNK) {
		__u32 rest = at < size ? size - at + 3 & ~3u : 0;

		if (rest > SUM_CHUNK)
			rest = SUM_CHUNK;
		rest = masked(rest, 1023);
		if (rest > SUM_CHUNK)
			return false;
		sum = sum_more(sum, bench->bytes + CUT_AT + at, rest);
	}
	if (fold(sum) == 0xffff)
		return true;
	return hook == HOOK_TC && check_is_partial(ctx, p->l4 + 6);
}

/* What is inside fills the outer packet: not a byte less or more (A5). */
static __always_inline bool lengths_agree(void *ctx, const int hook, const struct geneve_outer *outer, bool six)
{
	__u32 total = be16(outer->ip.total);
	__be16 length;

	if (total <= GENEVE_ROOM || ctx_load(ctx, hook, ETH_HLEN + GENEVE_ROOM + (six ? 4 : 2), &length, 2))
		return false;
	return be16(length) + GENEVE_ROOM + (six ? 40u : 0) == total;
}

/* Is it what the endpoint wraps its packets in, on its way back? *ret_six: with an IPv6 packet inside */
static __always_inline bool geneve_ours(void *ctx, const int hook, struct pkt *p, bool *ret_six)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));
	struct gateway_policy *g = e ? gateway_of(p, e) : NULL;
	struct workbench *bench = workbench();
	struct geneve_outer *outer, *wanted;
	bool six;

	if (!bench)
		return false;
	outer = (void *)bench->bytes + OUTER_AT;
	wanted = (void *)bench->bytes + WANTED_AT;
	if (!g || g->kind != GATEWAY_GWLBE || p->tuple.family != 4 || p->tuple.proto != IPPROTO_UDP || p->fragment ||
	    p->segments > 1 || p->l4 != ETH_HLEN + sizeof(outer->ip) ||
	    ctx_load(ctx, hook, ETH_HLEN, outer, sizeof(*outer)))
		return false;
	six = outer->protocol == be16(ETH_P_IPV6);
	geneve_begin(wanted, g, six ? 6 : 4);
	if (outer->udp.dport != wanted->udp.dport || be16(outer->udp.len) != p->payload ||
	    outer->ip.daddr != (__be32)g->members[GWLB_SOURCE] || !appliance_known(g, outer->ip.saddr) ||
	    !same_words(&outer->version_words, &wanted->version_words,
			sizeof(*outer) - __builtin_offsetof(struct geneve_outer, version_words) -
				sizeof(outer->cookie)) ||
	    !lengths_agree(ctx, hook, outer, six))
		return false;
	*ret_six = six;
	p->shown.cookie = be32(outer->cookie);
	p->shown.appliance = outer->ip.saddr;
	return geneve_sum_right(ctx, hook, p, outer);
}

/* Linux 6.1 knows no way to say that the packet inside is of IPv6, but to make it one before. */
static __always_inline long geneve_strip(void *ctx, const int hook, bool six)
{
	if (hook == HOOK_XDP)
		return bpf_xdp_adjust_head(ctx, GENEVE_ROOM);
	if (!six)
		return bpf_skb_adjust_room(ctx, -GENEVE_ROOM, BPF_ADJ_ROOM_MAC, 0);
	return bpf_skb_change_proto(ctx, be16(ETH_P_IPV6), 0)
		       ?: bpf_skb_adjust_room(ctx, -(GENEVE_ROOM + 20), BPF_ADJ_ROOM_MAC, 0);
}

/* The frame becomes the one inside, which is to be parsed. ret: 0 or a reason */
static __always_inline int geneve_unwrap(void *ctx, const int hook, struct pkt *p)
{
	struct eth_header eth;
	bool six = false;

	if (!geneve_ours(ctx, hook, p, &six) || ctx_load(ctx, hook, 0, &eth, sizeof(eth)))
		return REASON_GENEVE;
	eth.ethertype = six ? be16(ETH_P_IPV6) : be16(ETH_P_IP);
	if (geneve_strip(ctx, hook, six) || ctx_store(ctx, hook, 0, &eth, sizeof(eth)))
		return REASON_MALFORMED;
	p->len -= GENEVE_ROOM;
	return 0;
}

__noinline int tc_unwrap(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? geneve_unwrap(ctx, HOOK_TC, p) : REASON_NO_POLICY;
}

__noinline int xdp_unwrap(struct xdp_md *ctx, struct pkt *p)
{
	return p ? geneve_unwrap(ctx, HOOK_XDP, p) : REASON_NO_POLICY;
}

#endif
