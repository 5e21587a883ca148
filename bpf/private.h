/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways between private networks: VPC peering, transit gateways, virtual private gateways. They translate nothing;
 * each leads to the next station, in another VPC or in a table of its own. */
#ifndef ENID_PRIVATE_H
#define ENID_PRIVATE_H

#include "mtu.h"
#include "nacl.h"
#include "route.h"
#include "station.h"

static __always_inline struct gateway_policy *gateway_at(const struct pkt *p, __u32 port)
{
	struct port_policy *e = policy_of(p, port);

	return e ? gateway_of(p, e) : NULL;
}

/* ---- peering (PCX-01..PCX-09) */

/* Into the peer VPC, where only local routes count (PCX-04, PCX-05). */
static __always_inline int through_peering(struct pkt *p, __u32 peering)
{
	struct gateway_policy *g = gateway_at(p, peering);
	__u32 far;

	if (!g || g->kind != GATEWAY_PEERING)
		return REASON_NOT_SERVED;
	if (p->transit)
		return REASON_PEERING; /* PCX-04: no edge-to-edge, whoever is before the VPC */
	far = g->zone[0] == p->at_zone;
	if (g->flags & GATEWAY_FAR)
		path_limit(p, PATH_8500, 0);
	decide(p, STAGE_PEERING, peering);
	if (p->nat)
		p->peering = peering;
	station(p, AT_PEER, far ? g->zone[1] : g->zone[0], 0, far ? g->table[1] : g->table[0]);
	p->transit = 1;
	return WALK_ON;
}

/* ---- transit gateways (TGW-01..TGW-16) */

static __always_inline __u32 flow_choice(const struct pkt *p, __u32 nr)
{
	return flow_choice_of((const __u64 *)control.secrets, &p->out, nr);
}

static __always_inline __u32 member(const struct gateway_policy *g, __u32 i)
{
	return i < GATEWAY_MEMBERS_MAX ? g->members[i] : 0;
}

/* The subnet of an attachment in an availability zone, 0 = it has none there. */
static __always_inline __u32 subnet_in(const struct gateway_policy *g, __u32 az)
{
	for (__u32 i = 0; i < AZS_MAX; i++)
		if (i < g->nr && g->members[AZS_MAX + i] == az)
			return g->members[i];
	return 0;
}

static __always_inline void enter_transit(struct pkt *p, __u32 attachment)
{
	p->at_gateway = attachment;
	if (p->entered)
		return;
	p->entered = attachment;
	p->entered_out = !addr_equal(&p->out.saddr, &p->tuple.saddr);
}

/* From a subnet into the transit gateway, by the attachment's ENI in the same zone (TGW-04). Its subnet's network ACL
 * sees the packet come in even if that is the sender's own (NACL-15). */
static __always_inline int into_transit(struct pkt *p, __u32 attachment)
{
	struct gateway_policy *g = gateway_at(p, attachment);
	struct subnet_policy *from = p->at_subnet ? subnet_of(p, p->at_subnet) : NULL;
	__u32 subnet;
	int reason;

	if (!g || g->kind != GATEWAY_ATTACHMENT)
		return REASON_NOT_SERVED;
	p->at_az = from ? from->az : AZ_NONE;
	subnet = from ? subnet_in(g, from->az) : member(g, 0);
	if (!subnet)
		return REASON_TGW_ATTACHMENT;
	p->at_port = 0;
	reason = nacl_ingress(p, subnet);
	if (reason)
		return reason;
	if (!(g->flags & GATEWAY_SG_REF))
		p->relayed = 1;
	p->tracked = 1;
	p->flags |= HALF_CLAMP;
	path_limit(p, PATH_8500, OVERSIZE_TELL); /* TGW-13 */
	station(p, AT_TRANSIT, 0, 0, g->table[0]);
	enter_transit(p, attachment);
	return take_hop(p);
}

/* Out of the transit gateway into a VPC: in the zone of the sender if the attachment is there, else in another one; in
 * appliance mode in that of the flow (TGW-03, TGW-10). */
static __always_inline int into_vpc(struct pkt *p, const struct gateway_policy *g, __u32 attachment)
{
	__u32 subnet = g->flags & GATEWAY_APPLIANCE ? 0 : subnet_in(g, p->at_az);
	struct subnet_policy *s;

	if (!subnet)
		subnet = member(g, g->flags & GATEWAY_APPLIANCE ? flow_choice(p, g->nr) : 0);
	s = subnet ? subnet_of(p, subnet) : NULL;
	if (!s)
		return REASON_TGW_ATTACHMENT;
	if (!(g->flags & GATEWAY_SG_REF))
		p->relayed = 1;
	if (!p->via)
		p->via = attachment;
	station(p, AT_SUBNET, g->zone[0], subnet, s->table);
	p->transit = 1;
	return WALK_ON;
}

static __always_inline int leave_by_uplink(struct pkt *p, __u32 uplink)
{
	struct gateway_policy *g = gateway_at(p, uplink);

	if (g && g->flags & GATEWAY_VPN) {
		p->flags |= HALF_CLAMP;
		path_limit(p, PATH_1446, 0); /* what is larger vanishes (VGW-05) */
	}
	p->exit = uplink;
	p->action = ACTION_UPLINK;
	return 0;
}

/* A tunnel works if its device does (VGW-08); replay knows none. */
static __always_inline bool works(__u32 uplink)
{
	struct port *port = port_at(uplink);

	return port && port->mtu != MTU_DOWN && (replay || port->deliver != DELIVER_NOT);
}

/* The member of a group that the flow takes: its own if that works, else the next one that does. */
__noinline int group_member(struct pkt *p, __u32 group)
{
	struct gateway_policy *g = p ? gateway_at(p, group) : NULL;
	__u32 first, nr, own = 0;

	if (!g || !g->nr || g->nr > GATEWAY_MEMBERS_MAX)
		return 0;
	nr = g->nr;
	first = g->flags & GATEWAY_ORDERED ? 0 : flow_choice(p, nr);
	for (__u32 i = 0; i < GATEWAY_MEMBERS_MAX && i < nr; i++) {
		__u32 at = first + i < nr ? first + i : first + i - nr, uplink;

		asm volatile("" : "+r"(at)); /* so that the verifier sees the mask */
		uplink = g->members[at & (GATEWAY_MEMBERS_MAX - 1)];
		if (works(uplink))
			return uplink;
		own = i ? own : uplink;
	}
	return own;
}

static __always_inline int through_group(struct pkt *p, __u32 group)
{
	__u32 uplink = group_member(p, group);

	if (!uplink)
		return REASON_NOT_SERVED;
	if (p->at == AT_VGW && uplink == IN_PORT(p->in))
		return REASON_VGW; /* nothing turns round there */
	return leave_by_uplink(p, uplink);
}

static __always_inline int through_attachment(struct pkt *p, __u32 attachment)
{
	struct gateway_policy *g = gateway_at(p, attachment);

	if (!g)
		return REASON_NOT_SERVED;
	switch (g->kind) {
	case GATEWAY_ATTACHMENT:
		return into_vpc(p, g, attachment);
	case GATEWAY_GROUP:
		return through_group(p, attachment);
	case GATEWAY_TRANSIT: /* the far side of a peering of transit gateways */
		p->relayed = 1;
		station(p, AT_TRANSIT, 0, 0, g->table[0]);
		enter_transit(p, attachment);
		return take_hop(p);
	}
	return REASON_NOT_SERVED;
}

/* Of a packet that an uplink of a transit gateway brought: is its source at home in the VPC that it came into, or in
 * one to which the answer would go? Then nobody out there has it (B1). Where the answer would go back out, or nowhere,
 * the address may well be somebody's out there: a firewall that packets between VPCs pass, a domain of its own
 * (TGW-15). */
__noinline int transit_martian(struct pkt *p)
{
	struct gateway_policy *g;
	struct route *route;

	if (!p)
		return false;
	g = gateway_at(p, p->via ? p->via : p->exit);
	if (p->via && g && owner_of(&p->tuple.saddr, g->zone[0], p->tuple.family, p->parity))
		return true;
	for (int i = 0; i < 4; i++) { /* peerings of transit gateways may lie between */
		if (!g || (g->kind != GATEWAY_ATTACHMENT && g->kind != GATEWAY_TRANSIT))
			return false;
		route = route_find(g->table[0], &p->tuple.saddr, p->tuple.family);
		if (!route || route->kind != ROUTE_ATTACHMENT)
			return false;
		g = gateway_at(p, route->target);
		if (g && g->kind == GATEWAY_ATTACHMENT)
			return owner_of(&p->tuple.saddr, g->zone[0], p->tuple.family, p->parity) != 0;
	}
	return false;
}

/* ---- virtual private gateways (VGW-01..VGW-09) */

/* From the VPC. A VGW carries no IPv6 and nobody else's packets (VGW-04). */
static __always_inline int into_vgw(struct pkt *p, __u32 vgw)
{
	struct gateway_policy *g = gateway_at(p, vgw);

	if (!g || g->kind != GATEWAY_VGW)
		return REASON_NOT_SERVED;
	if (p->out.family != 4 || p->transit)
		return REASON_VGW;
	station(p, AT_VGW, g->zone[0], 0, g->table[0]);
	p->at_gateway = vgw;
	return take_hop(p);
}

/* Its table leads to the VPC: as the gateway's route table says, if the packet comes from outside (VGW-07). */
static __always_inline int out_of_vgw(struct pkt *p)
{
	struct gateway_policy *g = gateway_at(p, p->at_gateway);

	if (!g || p->at_gateway != IN_PORT(p->in))
		return REASON_VGW;
	station(p, AT_EDGE, g->zone[0], 0, g->table[1]);
	p->transit = 1;
	return WALK_ON;
}

#endif
