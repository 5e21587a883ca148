/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT64 (NAT-21): a NAT gateway takes IPv6 for 64:ff9b::/96 and sends IPv4. The record has two names of different
 * families, half 0 the client's and half 1 the outside one; here are the tuples, translate.h has the frames.
 * RFC 6146 for what is translated, RFC 7915 for how. */
#ifndef ENID_NAT64_H
#define ENID_NAT64_H

#include "admit.h"
#include "flow.h"

#define NAT64_GROWTH 20 /* the IPv6 header is so much longer */
#define IP6_MTU_MIN  1280

static __always_inline bool nat64_address(const union addr *a)
{
	return a->w[0] == be32(0x0064ff9b) && !a->w[1] && !a->w[2];
}

static __always_inline void nat64_embed(union addr *to, __be32 addr)
{
	to->w[0] = be32(0x0064ff9b);
	to->w[1] = 0;
	to->w[2] = 0;
	to->ip4 = addr;
}

static __always_inline bool changes_family(const struct pkt *p)
{
	return p->out.family != p->tuple.family;
}

/* ---- ICMP: type and code in one number, as in p->service; ICMP_NONE = has no counterpart */

#define ICMP_NONE             0xffffu
#define ICMP_WORD(type, code) ((type) << 8 | (code))

/* RFC 7915, 4.2 */
static __always_inline __u32 icmp_widen(__u8 type, __u8 code)
{
	switch (type) {
	case 8:
		return ICMP_WORD(128, 0);
	case 0:
		return ICMP_WORD(129, 0);
	case 11:
		return ICMP_WORD(3, code);
	case 12:
		return code == 1 ? ICMP_NONE : ICMP_WORD(4, 0);
	case 3:
		break;
	default:
		return ICMP_NONE;
	}
	switch (code) {
	case 2:
		return ICMP_WORD(4, 1); /* the next header is unknown */
	case 3:
		return ICMP_WORD(1, 4);
	case 4:
		return ICMP_WORD(2, 0);
	case 9:
	case 10:
	case 13:
	case 15:
		return ICMP_WORD(1, 1);
	case 14:
		return ICMP_NONE;
	}
	return code <= 12 ? ICMP_WORD(1, 0) : ICMP_NONE;
}

/* RFC 7915, 5.2 */
static __always_inline __u32 icmp_narrow(__u8 type, __u8 code)
{
	switch (type) {
	case 128:
		return ICMP_WORD(8, 0);
	case 129:
		return ICMP_WORD(0, 0);
	case 1:
		return code == 1   ? ICMP_WORD(3, 10)
		       : code == 4 ? ICMP_WORD(3, 3)
		       : code < 4  ? ICMP_WORD(3, 1)
				   : ICMP_NONE;
	case 2:
		return ICMP_WORD(3, 4);
	case 3:
		return ICMP_WORD(11, code);
	case 4:
		return code == 0 ? ICMP_WORD(12, 0) : code == 1 ? ICMP_WORD(3, 2) : ICMP_NONE;
	}
	return ICMP_NONE;
}

/* What an error says besides its type: the MTU of the next hop, or where in the quoted header the fault is; in host
 * order. ret: false = there is no such place in the other header */
static __always_inline bool rest_widen(__u32 icmp, __u32 rest, __u32 *ret)
{
	__u32 at = rest >> 24;

	*ret = 0;
	if (icmp == ICMP_WORD(2, 0))
		*ret = (rest & 0xffff) + NAT64_GROWTH > IP6_MTU_MIN ? (rest & 0xffff) + NAT64_GROWTH : IP6_MTU_MIN;
	if (icmp == ICMP_WORD(4, 1))
		*ret = 6;
	if (icmp != ICMP_WORD(4, 0))
		return true;
	*ret = at < 2 ? at : at < 4 ? 4 : at == 8 ? 7 : at == 9 ? 6 : at < 16 ? 8 : 24;
	return at < 4 || at == 8 || at == 9 || (at >= 12 && at < 20);
}

static __always_inline bool rest_narrow(__u32 icmp, __u32 rest, __u32 *ret)
{
	__u32 at = rest;

	*ret = 0;
	if (icmp == ICMP_WORD(3, 4))
		*ret = rest < NAT64_GROWTH ? 0 : rest - NAT64_GROWTH > 0xffff ? 0xffff : rest - NAT64_GROWTH;
	if (icmp != ICMP_WORD(12, 0))
		return true;
	at = at < 2 ? at : at < 6 ? 2 : at == 6 ? 9 : at == 7 ? 8 : at < 24 ? 12 : 16;
	*ret = at << 24;
	return rest < 2 || (rest >= 4 && rest < 40);
}

/* ---- tuples */

/* What the gateway sends IPv6 for, and what it may lead to: the IPv4 address is as good as if it had been asked for. */
static __always_inline int nat64_carries(const struct pkt *p)
{
	__u8 proto = p->out.proto;
	__u32 icmp, rest;

	if (!nat64_address(&p->out.daddr) ||
	    (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMPV6) || p->kind == KIND_BARE)
		return REASON_NAT_PROTOCOL;
	if (group_destination(&p->out.daddr, 4))
		return REASON_MULTICAST;
	if (martian_destination(&p->out.daddr, 4))
		return REASON_MARTIAN;
	if (proto != IPPROTO_ICMPV6)
		return 0;
	icmp = icmp_narrow(p->icmp_type, p->icmp_code);
	return icmp == ICMP_NONE || !rest_narrow(icmp, be32(p->icmp_rest), &rest) ? REASON_NAT_PROTOCOL : 0;
}

static __always_inline void tuple_narrow(struct tuple *t)
{
	t->saddr.d[0] = 0;
	t->saddr.w[2] = 0;
	t->daddr.d[0] = 0;
	t->daddr.w[2] = 0;
	t->family = 4;
	if (t->proto != IPPROTO_ICMPV6)
		return;
	t->proto = IPPROTO_ICMP;
	if (t->dport)
		t->dport = t->dport == 128 ? 8 : 0;
}

/* p->out becomes IPv4; the source is still to be chosen, until then a number that stands for the client is there. */
static __always_inline void nat64_narrow(struct pkt *p)
{
	__u64 client = p->out.saddr.d[0] ^ p->out.saddr.d[1];

	if (p->out.proto == IPPROTO_ICMPV6)
		p->service = icmp_narrow(p->icmp_type, p->icmp_code);
	tuple_narrow(&p->out);
	p->out.saddr.ip4 = (__u32)client ^ (__u32)(client >> 32);
	if (p->kind == KIND_ERROR)
		tuple_narrow(&p->inner_out);
}

/* May this go to an IPv6 client? IPv6 has no UDP without a checksum, and over pieces nobody can make one. */
static __always_inline int nat64_takes(const struct pkt *p)
{
	__u32 icmp, rest;

	if (p->out.proto != IPPROTO_ICMP)
		return p->fragment == FRAGMENT_FIRST && p->unsummed ? REASON_FRAGMENT : 0;
	icmp = icmp_widen(p->icmp_type, p->icmp_code);
	return icmp == ICMP_NONE || !rest_widen(icmp, be32(p->icmp_rest), &rest) ? REASON_NAT_PROTOCOL : 0;
}

/* p->out becomes what the client of the record gets. */
static __always_inline void nat64_widen(struct pkt *p, const struct tuple *client)
{
	__be32 from = p->out.saddr.ip4;

	if (p->out.proto == IPPROTO_ICMP)
		p->service = icmp_widen(p->icmp_type, p->icmp_code);
	else
		p->service = be16(client->sport);
	tuple_reverse(&p->out, client);
	if (p->kind != KIND_ERROR)
		return;
	nat64_embed(&p->out.saddr, from); /* a router on the way, known by its IPv4 address */
	p->out.proto = IPPROTO_ICMPV6;
	p->out.sport = 0;
	p->out.dport = 0;
	p->inner_out = *client;
}

#endif
