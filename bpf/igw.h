/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet gateway: one private address <-> one public address, packet by packet, without state (IGW-01..IGW-06).
 * Addresses quoted in ICMP errors are translated alike. IPv6 is not translated (IGW-10). */
#ifndef ENID_IGW_H
#define ENID_IGW_H

#include "mtu.h"
#include "private.h"

static __always_inline bool unique_local(const union addr *addr)
{
	return (addr->bytes[0] & 0xfe) == 0xfc;
}

/* A NAT gateway opens its flows outward, so only the bidirectional mode stops it (VPC-18). */
static __always_inline bool blocked_for_public(const struct port_policy *e, __u8 family, int *ret_reason)
{
	if (e->flags & (e->kind == PORT_NAT ? PORT_BPA_OUT : PORT_BPA_IN | PORT_BPA_OUT))
		*ret_reason = REASON_BPA;
	else if (family == 6 && e->flags & PORT_DENY_IGW)
		*ret_reason = REASON_DENY_IGW;
	else
		return false;
	return true;
}

/* To a public address of the VPC: the packet turns round (IGW-11). ret: false = it is somebody else's; *ret_reason: it
 * may not come in */
static __always_inline bool hairpin(struct pkt *p, int *ret_reason)
{
	struct port_policy *inside;
	__u32 port = 0;
	__be32 other = 0;

	if (p->out.family != 4 || !association_of(p, ZONE_INTERNET, p->out.daddr.ip4, &port, &other))
		return false;
	inside = policy_of(p, port);
	if (!inside || inside->zone != p->at_zone)
		return false;
	if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->out.daddr.ip4)
		p->inner_out.saddr.ip4 = other;
	p->out.daddr.ip4 = other;
	if (blocked_for_public(inside, 4, ret_reason))
		p->target.port = port; /* the line of its flow log, with the address inside */
	return true;
}

/* The ENI that the addresses of a public pool lead to, untranslated (RT-23); 0 = none. */
static __always_inline __u32 pool_address(struct pkt *p, const struct gateway_policy *g, const union addr *addr)
{
	struct route *route = g && g->table[1] ? route_find(g->table[1], addr, p->out.family) : NULL;

	return route && route->kind == ROUTE_ENI ? route->target : 0;
}

/* Who is at the inner end of a gateway to the internet. */
struct insider {
	__u32 port; /* 0 = nobody */
	bool pool;
	__be32 other; /* IPv4, no pool: the address on the gateway's other side */
};

/* Of the source outward, of the destination inward: who has the address is asked, not who handed the packet on, so
 * a flow is one ENI's matter in both directions (VPC-18). side: where an IPv4 address is looked for */
static __always_inline void insider_of(struct pkt *p, const struct gateway_policy *g, __u32 zone, __u32 side,
				       const union addr *addr, struct insider *ret)
{
	ret->other = 0;
	ret->port = pool_address(p, g, addr);
	ret->pool = ret->port != 0;
	if (ret->pool)
		return;
	if (p->out.family == 6)
		ret->port = owner_of(addr, zone, 6, p->parity);
	else
		association_of(p, side, addr->ip4, &ret->port, &ret->other);
}

/* The private source becomes the public one. */
static __always_inline int igw_source(struct pkt *p, const struct insider *inside)
{
	if (inside->pool)
		return inside->port == p->at_port ? 0 : REASON_IGW_NO_PUBLIC_ADDRESS;
	if (!inside->port)
		return REASON_IGW_NO_PUBLIC_ADDRESS; /* IGW-03; of IPv6 an own address is the public one (IGW-10) */
	if (p->out.family == 6)
		return unique_local(&p->out.saddr) ? REASON_IGW_NO_PUBLIC_ADDRESS : 0; /* V6-01 */
	if (p->kind == KIND_ERROR && p->inner_out.daddr.ip4 == p->out.saddr.ip4)
		p->inner_out.daddr.ip4 = inside->other;
	p->out.saddr.ip4 = inside->other;
	return 0;
}

/* Out by the uplink. ret: 0 = it leaves, WALK_ON = it turned round, or a reason */
__noinline int igw_outbound(struct pkt *p, __u32 uplink)
{
	struct gateway_policy *g;
	struct insider inside;
	struct port_policy *e;
	int reason = 0;

	if (!p)
		return REASON_NO_POLICY;
	if (p->transit)
		return REASON_IGW_NO_PUBLIC_ADDRESS; /* IGW-08 */
	g = gateway_at(p, uplink);
	insider_of(p, g, p->at_zone, p->at_zone, &p->out.saddr, &inside);
	e = policy_of(p, inside.port ? inside.port : p->at_port);
	if (e && blocked_for_public(e, p->out.family, &reason))
		return reason;
	reason = igw_source(p, &inside);
	if (reason)
		return reason;
	decide(p, STAGE_IGW, uplink);
	path_limit(p, PATH_1500, OVERSIZE_TELL | OVERSIZE_CUT); /* IGW-09 */
	if (hairpin(p, &reason)) {
		p->relayed = 1;
		station(p, AT_EDGE, p->at_zone, 0, g ? g->table[0] : 0);
		return reason ? reason : WALK_ON;
	}
	return leave_by_uplink(p, uplink);
}

/* The public destination becomes the private one. */
static __always_inline int igw_destination(struct pkt *p, const struct insider *inside)
{
	if (inside->pool)
		return 0;
	if (p->out.family == 6) {
		if (nat64_address(&p->out.saddr))
			return REASON_MARTIAN; /* only NAT64 in the VPC makes such sources (B1) */
		return inside->port ? 0 : REASON_NO_OWNER;
	}
	if (!inside->port)
		return REASON_IGW_NO_OWNER;
	if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->out.daddr.ip4)
		p->inner_out.saddr.ip4 = inside->other;
	p->out.daddr.ip4 = inside->other;
	return 0;
}

/* In by the uplink of zone `zone`: from there on as its route table says. */
__noinline int igw_inbound(struct pkt *p, __u32 zone)
{
	struct gateway_policy *g;
	struct insider inside;
	struct port_policy *e;
	int reason;

	if (!p)
		return REASON_NO_POLICY;
	g = gateway_at(p, IN_PORT(p->in));
	insider_of(p, g, zone, ZONE_INTERNET, &p->out.daddr, &inside);
	reason = igw_destination(p, &inside);
	if (reason)
		return reason;
	e = policy_of(p, inside.port);
	if (!e || e->zone != zone)
		return REASON_IGW_NO_OWNER;
	if (blocked_for_public(e, p->out.family, &reason)) {
		p->target.port = inside.port; /* the line of its flow log */
		return reason;
	}
	decide(p, STAGE_IGW, IN_PORT(p->in));
	station(p, AT_EDGE, zone, 0, !g ? 0 : inside.pool ? g->table[1] : g->table[0]);
	return 0;
}

#endif
