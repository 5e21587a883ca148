/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet gateway: one private address <-> one public address, packet by packet, without state (IGW-01..IGW-06).
 * Addresses quoted in ICMP errors are translated alike. IPv6 is not translated (IGW-10). */
#ifndef ENID_IGW_H
#define ENID_IGW_H

#include "mtu.h"

static __always_inline bool unique_local(const union addr *addr)
{
	return (addr->bytes[0] & 0xfe) == 0xfc;
}

static __always_inline bool blocked_for_public(const struct port_policy *e, __u8 family, int *ret_reason)
{
	if (e->flags & (PORT_BPA_IN | PORT_BPA_OUT))
		*ret_reason = REASON_BPA;
	else if (family == 6 && e->flags & PORT_DENY_IGW)
		*ret_reason = REASON_DENY_IGW;
	else
		return false;
	return true;
}

/* From the ENI `source` out by the uplink: its private address becomes the public one. */
__noinline int igw_outbound(struct pkt *p, __u32 uplink)
{
	struct port_policy *e, *inside;
	__u32 port = 0;
	__be32 other = 0;
	int reason = 0;

	if (!p)
		return REASON_NO_POLICY;
	e = policy_of(p, p->source.port);
	if (!e)
		return REASON_NO_POLICY;
	if (blocked_for_public(e, p->tuple.family, &reason))
		return reason;
	if (p->tuple.family == 6) {
		if (unique_local(&p->out.saddr))
			return REASON_IGW_NO_PUBLIC_ADDRESS; /* V6-01 */
	} else {
		if (!association_of(p, e->zone, p->out.saddr.ip4, &port, &other))
			return REASON_IGW_NO_PUBLIC_ADDRESS;
		p->out.saddr.ip4 = other;
		if (p->kind == KIND_ERROR && p->inner_out.daddr.ip4 == p->tuple.saddr.ip4)
			p->inner_out.daddr.ip4 = other;
	}
	decide(p, STAGE_IGW, uplink);
	path_limit(p, PATH_1500, OVERSIZE_TELL | OVERSIZE_CUT); /* IGW-09 */
	if (p->tuple.family == 4 && association_of(p, ZONE_INTERNET, p->out.daddr.ip4, &port, &other)) {
		inside = policy_of(p, port);
		if (inside && inside->zone == e->zone) { /* hairpin (IGW-11) */
			if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->out.daddr.ip4)
				p->inner_out.saddr.ip4 = other;
			p->out.daddr.ip4 = other;
			p->relayed = 1;
			p->target.port = port;
			return 0;
		}
	}
	p->exit = uplink;
	p->action = ACTION_UPLINK;
	return 0;
}

/* In by the uplink of zone `zone`: the public address becomes the private one of its ENI, which is the target. */
__noinline int igw_inbound(struct pkt *p, __u32 zone)
{
	struct port_policy *e;
	__u32 port = 0;
	__be32 other = 0;
	int reason = 0;

	if (!p)
		return REASON_NO_POLICY;
	if (p->tuple.family == 6) {
		port = owner_of(&p->out.daddr, zone, 6, p->parity);
		if (!port)
			return REASON_NO_OWNER;
	} else {
		if (!association_of(p, ZONE_INTERNET, p->out.daddr.ip4, &port, &other))
			return REASON_IGW_NO_OWNER;
		p->out.daddr.ip4 = other;
		if (p->kind == KIND_ERROR && p->inner_out.saddr.ip4 == p->tuple.daddr.ip4)
			p->inner_out.saddr.ip4 = other;
	}
	e = policy_of(p, port);
	if (!e || e->zone != zone)
		return REASON_IGW_NO_OWNER;
	if (blocked_for_public(e, p->tuple.family, &reason))
		return reason;
	decide(p, STAGE_IGW, IN_PORT(p->in));
	p->target.port = port;
	return 0;
}

#endif
