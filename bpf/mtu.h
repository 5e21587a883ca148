/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sizes: what fits the path and the receiving port's device (MTU-01, MTU-02, IGW-09, the path table of SEMANTICS 11).
 *
 * The gateways on the way note their limit in p->flags, which a record keeps, so a kept decision costs two comparisons;
 * whatever is larger is judged anew, and here is decided what becomes of it: the sender is told, it is cut, or it is
 * dropped in silence. GSO packets are judged by their largest segment, never by the length of the whole. */
#ifndef ENID_MTU_H
#define ENID_MTU_H

#include "nat64.h"
#include "owner.h"

/* What becomes of a packet beyond the limit. */
#define OVERSIZE_TELL 1 /* with DF, and IPv6: the sender is told */
#define OVERSIZE_CUT  2 /* without DF: fragments */

/* In p->flags, beyond what a half keeps. */
#define PACKET_CUT    (1u << 16) /* leaves in pieces of p->mtu */
#define PACKET_TICKET (1u << 17) /* to an appliance, with p->target.ticket */

/* A gateway on the way carries no more than this; the smallest limit holds. */
static __always_inline void path_limit(struct pkt *p, enum path_limit limit, __u8 oversize)
{
	if ((p->flags & HALF_PATH_MASK) >> HALF_PATH_SHIFT >= limit)
		return;
	p->flags = (p->flags & ~HALF_PATH_MASK) | limit << HALF_PATH_SHIFT;
	p->oversize = oversize;
}

static __always_inline __u32 path_mtu(__u32 flags)
{
	return PATH_MTUS >> (flags >> (HALF_PATH_SHIFT - 4) & 0x30) & 0xffff;
}

static __always_inline __u32 size_on_wire(const struct pkt *p)
{
	return likely(p->segments == 1) ? p->bytes : p->largest;
}

/* A device of MTU 0 is unknown and takes all: 0 - 1 is the largest number. */
static __always_inline bool fits(const struct pkt *p, const struct port *exit)
{
	__u32 limit = path_mtu(p->flags);

	if (exit->mtu - 1 < limit)
		limit = exit->mtu;
	return likely(p->bytes <= limit) || size_on_wire(p) <= limit;
}

/* What the way carries of a packet that changes its family, as long as it arrives: the path's limits count as it is on
 * the IPv4 side, but the gateway's own, which is on the client's. The exit's device takes it as it leaves. */
static __always_inline __u32 nat64_limit(const struct pkt *p, const struct port *exit)
{
	__u32 six = path_mtu(p->flags), device = exit->mtu ?: 0xffff;
	__u32 growth = p->fragment ? NAT64_GROWTH + 8 : NAT64_GROWTH;

	if (exit->mtu == MTU_DOWN)
		return 0;
	if (six != path_mtu(PATH_8500 << HALF_PATH_SHIFT))
		six += growth;
	if (p->tuple.family == 6)
		return six < device + growth ? six : device + growth;
	return (six < device ? six : device) - growth;
}

/* The router's address that the sender knows: of its subnet; outside, nobody but the addressee is known. */
static __always_inline void router_of_sender(struct pkt *p, union addr *ret)
{
	struct port_policy *e = p->source.port ? policy_of(p, p->source.port) : NULL;
	struct subnet_policy *subnet = e ? subnet_of(p, e->subnet) : NULL;
	struct cidr6 *cidr;

	*ret = p->tuple.daddr;
	if (!subnet)
		return;
	if (p->tuple.family == 4) {
		if (subnet->router4)
			ret->ip4 = subnet->router4;
		return;
	}
	cidr = &subnet->cidrs6[0];
	for (int i = 1; i < SUBNET_CIDRS6_MAX; i++) {
		struct cidr6 *other = &subnet->cidrs6[i];

		if (i < (int)subnet->nr_cidrs6 && (p->tuple.saddr.d[0] & other->mask.d[0]) == other->net.d[0])
			cidr = other;
	}
	*ret = cidr->net;
	ret->w[3] |= be32(1);
}

static __always_inline bool may_cut(const struct pkt *p)
{
	__u32 header = p->l4 - ETH_HLEN, room = CUT_ROOM(p->mtu, header);

	return p->tuple.family == 4 && !changes_family(p) && !p->dont_fragment && p->oversize & OVERSIZE_CUT &&
	       p->segments == 1 && p->bytes <= CUT_MAX && p->mtu > header + 8 && room <= 8192 &&
	       room * CUT_PIECES_MAX >= p->payload;
}

static __always_inline void set_mtu(struct pkt *p, const struct port *exit)
{
	if (changes_family(p)) {
		p->mtu = nat64_limit(p, exit);
		if (p->tuple.family == 6 && p->mtu < IP6_MTU_MIN)
			p->mtu = IP6_MTU_MIN; /* pieces of its IPv4 form go on (RFC 7915, 5.1) */
		return;
	}
	p->mtu = path_mtu(p->flags);
	if (exit->mtu - 1 >= p->mtu)
		return;
	/* what the path carries meets the receiver's limit alone (MTU-01) */
	if (!(p->flags & HALF_PATH_MASK) || (p->action == ACTION_DELIVER && size_on_wire(p) <= p->mtu))
		p->oversize = OVERSIZE_TELL | OVERSIZE_CUT;
	p->mtu = exit->mtu;
}

/* After judge() let p pass. ret: 0, with PACKET_CUT where it must be cut, or REASON_MTU */
__noinline int check_size(struct pkt *p)
{
	struct port *exit;
	union addr router;

	if (!p || !p->exit || p->in & IN_TX)
		return 0; /* the host's stack knows its devices */
	exit = port_at(p->exit);
	if (exit && !replay && (exit->deliver == DELIVER_NOT || !exit->ifindex)) /* it has no device */
		return exit->slot[p->parity & 1].kind == PORT_UPLINK ? REASON_NOT_SERVED : REASON_NO_OWNER;
	if (!exit || (changes_family(p) ? size_on_wire(p) <= nat64_limit(p, exit) : fits(p, exit)))
		return 0;
	if (exit->mtu == MTU_DOWN)
		return REASON_NOT_SERVED;
	set_mtu(p, exit);
	if (may_cut(p)) {
		p->flags |= PACKET_CUT;
		return 0;
	}
	if (p->oversize & OVERSIZE_TELL && (p->dont_fragment || p->tuple.family == 6)) {
		router_of_sender(p, &router);
		complain(p, COMPLAIN_TOO_BIG, &router);
	}
	return REASON_MTU;
}

#endif
