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
	if (blocked_for_public(inside, 4, ret_reason))
		return true;
	if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->out.daddr.ip4)
		p->inner_out.saddr.ip4 = other;
	p->out.daddr.ip4 = other;
	return true;
}

/* The ENI that the addresses of a public pool lead to, untranslated (RT-23); 0 = none. */
static __always_inline __u32 pool_address(struct pkt *p, const struct gateway_policy *g, const union addr *addr)
{
	struct route *route = g && g->table[1] ? route_find(g->table[1], addr, p->out.family) : NULL;

	return route && route->kind == ROUTE_ENI ? route->target : 0;
}

/* The private source becomes the public one. */
static __always_inline int igw_source(struct pkt *p, const struct gateway_policy *g)
{
	__u32 port = 0;
	__be32 other = 0;

	if (p->transit)
		return REASON_IGW_NO_PUBLIC_ADDRESS; /* IGW-08 */
	if (p->out.family == 6)
		return unique_local(&p->out.saddr) ? REASON_IGW_NO_PUBLIC_ADDRESS : 0; /* V6-01 */
	if (!association_of(p, p->at_zone, p->out.saddr.ip4, &port, &other))
		return pool_address(p, g, &p->out.saddr) == p->at_port && p->at_port ? 0 : REASON_IGW_NO_PUBLIC_ADDRESS;
	if (p->kind == KIND_ERROR && p->inner_out.daddr.ip4 == p->out.saddr.ip4)
		p->inner_out.daddr.ip4 = other;
	p->out.saddr.ip4 = other;
	return 0;
}

/* Out by the uplink. ret: 0 = it leaves, WALK_ON = it turned round, or a reason */
__noinline int igw_outbound(struct pkt *p, __u32 uplink)
{
	struct gateway_policy *g;
	struct port_policy *e;
	int reason = 0;

	if (!p)
		return REASON_NO_POLICY;
	g = gateway_at(p, uplink);
	e = p->at_port ? policy_of(p, p->at_port) : NULL;
	if (e && blocked_for_public(e, p->out.family, &reason))
		return reason;
	reason = igw_source(p, g);
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

/* The public destination becomes the private one; *ret_port: whose it is. */
static __always_inline int igw_destination(struct pkt *p, __u32 zone, __u32 *ret_port)
{
	__be32 other = 0;

	if (p->out.family == 6) {
		if (nat64_address(&p->out.saddr))
			return REASON_MARTIAN; /* only NAT64 in the VPC makes such sources (B1) */
		*ret_port = owner_of(&p->out.daddr, zone, 6, p->parity);
		return *ret_port ? 0 : REASON_NO_OWNER;
	}
	if (!association_of(p, ZONE_INTERNET, p->out.daddr.ip4, ret_port, &other))
		return REASON_IGW_NO_OWNER;
	if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->out.daddr.ip4)
		p->inner_out.saddr.ip4 = other;
	p->out.daddr.ip4 = other;
	return 0;
}

/* In by the uplink of zone `zone`: from there on as its route table says. */
__noinline int igw_inbound(struct pkt *p, __u32 zone)
{
	struct gateway_policy *g;
	struct port_policy *e;
	__u32 port = 0;
	int reason = 0;
	bool pool;

	if (!p)
		return REASON_NO_POLICY;
	g = gateway_at(p, IN_PORT(p->in));
	port = pool_address(p, g, &p->out.daddr);
	pool = port != 0;
	if (!pool)
		reason = igw_destination(p, zone, &port);
	if (reason)
		return reason;
	e = policy_of(p, port);
	if (!e || e->zone != zone)
		return REASON_IGW_NO_OWNER;
	if (blocked_for_public(e, p->out.family, &reason))
		return reason;
	decide(p, STAGE_IGW, IN_PORT(p->in));
	station(p, AT_EDGE, zone, 0, !g ? 0 : pool ? g->table[1] : g->table[0]);
	return 0;
}

#endif
