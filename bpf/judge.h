/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The first packet's way: who it is from, where it goes, and every check on the way, in the order of SEMANTICS'
 * notation block (PATH-15). The result stands in *p: exit, action, translated tuple, decisions; later packets replay
 * it. */
#ifndef ENID_JUDGE_H
#define ENID_JUDGE_H

#include "sg.h"
#include "walk.h"

/* NACL ingress -> destination check -> SG ingress of the ENI at p->target. */
static __always_inline int ingress_half(struct pkt *p)
{
	struct port_policy *e = policy_of(p, p->target.port);
	int reason;

	if (!e || !(e->flags & PORT_LIVE))
		return REASON_NO_OWNER;
	if (e->kind == PORT_REMOTE)
		return REASON_NOT_SERVED;
	if (e->kind != PORT_ENI)
		return REASON_NO_OWNER;
	if (p->crossing) {
		reason = nacl_ingress(p, e->subnet);
		if (reason)
			return reason;
	}
	if (e->flags & PORT_CHECK && owner_at(p, &p->out.daddr, e->zone, p->out.family) != p->target.port)
		return REASON_DEST_CHECK;
	if (e->flags & PORT_ENDPOINT)
		p->tracked = 1;
	reason = sg_ingress(p);
	if (!reason && e->mode == MODE_GUARD && p->exit)
		return REASON_NOT_SERVED; /* somebody else delivers there */
	return reason;
}

static __always_inline int deliver_to(struct pkt *p)
{
	p->exit = p->target.port;
	p->action = ACTION_DELIVER;
	return ingress_half(p);
}

/* After the walk: out by an uplink, or into the ENI it is for. */
static __always_inline int conclude(struct pkt *p, int reason)
{
	return reason || !p->target.port ? reason : deliver_to(p);
}

/* Within the subnet: no route, no NACL, the sender's MAC stays (PATH-01). ret: as walk_step() */
static __always_inline int same_subnet(struct pkt *p, __u32 port)
{
	int reason;

	p->seen_egress = 1;
	if (!port)
		return REASON_NO_OWNER;
	reason = arrive(p, port);
	if (!reason)
		p->flags |= HALF_KEEP_SMAC;
	return reason;
}

/* From an own address, not on behalf of others as a middlebox does. */
static __always_inline bool sends_own(struct pkt *p, const struct port_policy *e)
{
	return owner_at(p, &p->tuple.saddr, e->zone, p->tuple.family) == p->source.port;
}

/* Does a middlebox, an endpoint of one or a NAT gateway stand between a sender and whom it sends to? (SG-18) */
static __always_inline bool sends_through(struct pkt *p, const struct port_policy *e)
{
	return p->route.kind == ROUTE_NAT || p->route.kind == ROUTE_GWLBE ||
	       (p->route.kind == ROUTE_ENI && sends_own(p, e));
}

/* Where egress references look for the destination (SG-17): in the peer VPC if the route leads there. */
static __always_inline __u32 destination_zone(const struct pkt *p, const struct port_policy *e)
{
	struct gateway_policy *g = p->route.kind == ROUTE_PEERING ? gateway_at(p, p->route.target) : NULL;

	if (!g)
		return e->zone;
	return g->zone[0] == e->zone ? g->zone[1] : g->zone[0];
}

/* Only clients open connections to an interface endpoint (EP-05). */
static __always_inline int endpoint_opens(struct pkt *p, const struct port_policy *e)
{
	if (!(e->flags & PORT_ENDPOINT))
		return 0;
	p->tracked = 1;
	return p->source.fresh || (resets(p) && p->source.leg == LEG_NONE) ? REASON_ENDPOINT_SCOPE : 0;
}

/* A router-mode ENI sends. */
static __always_inline int judge_eni(struct pkt *p, const struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	int reason = WALK_ON;
	bool by_mac, local;

	if (!subnet)
		return REASON_NO_POLICY;
	by_mac = !same_mac(p->dmac, control.router_mac); /* L2-04: the MAC decides first */
	local = by_mac || subnet_covers(subnet, &p->tuple.daddr, p->tuple.family);
	p->source.port = IN_PORT(p->in);
	station(p, AT_SUBNET, e->zone, e->subnet, subnet->table);
	p->at_port = p->source.port;
	p->peer_zone = e->zone;
	if (!local) {
		route_look(p);
		p->relayed = sends_through(p, e);
		p->peer_zone = destination_zone(p, e);
	}
	reason = sg_egress(p) ?: endpoint_opens(p, e);
	if (reason)
		return reason;
	reason = WALK_ON;
	if (by_mac)
		reason = same_subnet(p, mac_owner(p, e->subnet, p->dmac));
	else if (local)
		reason = same_subnet(p, owner_at(p, &p->tuple.daddr, e->zone, p->tuple.family));
	return conclude(p, reason == WALK_ON ? walk(p) : reason);
}

/* An address of the uplink's own VPC, as it is or as the internet knows it: nobody outside has it (B1), and on the
 * internet nobody has what lies in the VPC's CIDRs, the router's and the resolver's addresses among them. Packets
 * between two public addresses of a VPC turn round inside (IGW-11). */
static __always_inline bool inside_address(const struct pkt *p, const struct port_policy *e, const union addr *a)
{
	struct gateway_policy *g = e->gateway == ROUTE_IGW ? gateway_of(p, e) : NULL;
	__u32 port = 0;
	__be32 other;
	struct port_policy *owner;

	if (owner_of(a, e->zone, p->tuple.family, p->parity))
		return true;
	if (g && g->table[2] && route_find(g->table[2], a, p->tuple.family))
		return true;
	if (p->tuple.family == 6)
		return a->w[0] == be32(0xfd000ec2);
	owner = association_of(p, ZONE_INTERNET, a->ip4, &port, &other) ? policy_of(p, port) : NULL;
	return owner && owner->zone == e->zone;
}

/* In by the uplink of a virtual private gateway, or of one of its VPN connections. */
static __always_inline int vgw_inbound(struct pkt *p, const struct gateway_policy *g)
{
	if (p->out.family != 4)
		return REASON_VGW;
	station(p, AT_VGW, g->zone[0], 0, g->table[0]);
	p->at_gateway = IN_PORT(p->in);
	return take_hop(p) == WALK_ON ? 0 : REASON_TTL;
}

static __always_inline int transit_inbound(struct pkt *p, const struct gateway_policy *g)
{
	station(p, AT_TRANSIT, 0, 0, g->table[0]);
	enter_transit(p, IN_PORT(p->in));
	p->at_az = AZ_NONE;
	p->tracked = 1;
	return take_hop(p) == WALK_ON ? 0 : REASON_TTL;
}

/* An egress-only gateway without an uplink of its own shares the internet gateway's. What comes in there is for it if
 * it is the receiver's way out to the sender; nobody outside opens anything then (EIGW-01). */
static __always_inline bool shared_with_eigw(struct pkt *p, const struct port_policy *e)
{
	struct subnet_policy *subnet;
	struct port_policy *owner;
	struct route *back;

	if (p->out.family != 6)
		return false;
	owner = policy_of(p, owner_of(&p->out.daddr, e->zone, 6, p->parity));
	subnet = owner ? subnet_of(p, owner->subnet) : NULL;
	back = subnet ? route_find(subnet->table, &p->out.saddr, 6) : NULL;
	return back && back->kind == ROUTE_EIGW && back->target == IN_PORT(p->in);
}

/* Into the gateway that the uplink belongs to. ret: 0 = the first station is set, or a reason */
static __always_inline int uplink_inbound(struct pkt *p, const struct port_policy *e)
{
	struct gateway_policy *g = gateway_of(p, e);

	if (e->gateway == ROUTE_EIGW || (e->gateway == ROUTE_IGW && shared_with_eigw(p, e)))
		return eigw_inbound(p, e);
	if (e->gateway == ROUTE_IGW)
		return igw_inbound(p, e->zone);
	if (e->gateway == ROUTE_GWLBE)
		return gwlbe_inbound(p);
	if (!g)
		return REASON_NOT_SERVED;
	if (g->flags & GATEWAY_VPN || g->kind == GATEWAY_TRANSIT)
		p->flags |= HALF_CLAMP; /* VGW-05, TGW-13 */
	switch (g->kind) {
	case GATEWAY_VGW:
		return vgw_inbound(p, g);
	case GATEWAY_TRANSIT:
		return transit_inbound(p, g);
	case GATEWAY_ENDPOINT:
		return endpoint_inbound(p, g);
	}
	return REASON_NOT_SERVED;
}

/* Does the packet belong to a flow that was opened toward the port it came in by, or that its ENI remembers? */
static __always_inline bool answers(const struct pkt *p)
{
	struct flow_record *record = p->ref == REF_NONE ? NULL : record_at(p->ref);

	if (opens(p))
		return false;
	if (record && p->ref & 1 && !record_silent(record, p->now, 0))
		return true;
	return p->target.leg != LEG_NONE && !p->target.fresh;
}

/* What the groups and everything else would admit, but no outsider may send. ret: 0 or the reason */
static __always_inline int outsider_may(struct pkt *p, const struct port_policy *e)
{
	struct gateway_policy *g = gateway_of(p, e);

	if (inside_address(p, e, &p->tuple.saddr) || (g && g->kind == GATEWAY_TRANSIT && transit_martian(p)))
		return REASON_MARTIAN; /* no rule for an inside address, and no flow with one, is meant for outsiders */
	return g && g->kind == GATEWAY_ENDPOINT && !answers(p) ? REASON_ENDPOINT_SCOPE : 0;
}

/* From outside, by an uplink. Gateways have no security group. */
static __always_inline int judge_uplink(struct pkt *p, const struct port_policy *e)
{
	int reason;

	p->relayed = 1;
	reason = uplink_inbound(p, e);
	if (!reason)
		reason = conclude(p, walk(p));
	return reason || e->gateway == ROUTE_GWLBE ? reason : outsider_may(p, e);
}

/* The host's own stack sends toward the ENI of a router-mode port: an ingress packet like any other. */
static __always_inline int judge_from_host(struct pkt *p, const struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);

	if (!subnet)
		return REASON_NO_POLICY;
	p->target.port = IN_PORT(p->in);
	p->crossing = !subnet_covers(subnet, &p->tuple.saddr, p->tuple.family);
	p->flags |= HALF_KEEP_SMAC;
	return deliver_to(p);
}

/* Guard mode: somebody else routes. Only this ENI's own checks, in the direction of the packet. */
static __always_inline int judge_guard(struct pkt *p, const struct port_policy *e)
{
	bool egress = !!(p->in & IN_TX) == !!(e->flags & PORT_SIDE_INSTANCE);
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	int reason = 0;

	if (!subnet)
		return REASON_NO_POLICY;
	p->flags |= HALF_PASS;
	p->exit = 0;
	p->crossing = !subnet_covers(subnet, egress ? &p->tuple.daddr : &p->tuple.saddr, p->tuple.family);
	p->peer_zone = e->zone;
	if (egress) {
		p->source.port = IN_PORT(p->in);
		reason = sg_egress(p);
		if (!reason && p->crossing)
			reason = nacl_egress(p, e->subnet);
		p->seen_egress = !reason;
	} else {
		p->target.port = IN_PORT(p->in);
		reason = ingress_half(p);
	}
	p->action = ACTION_PASS;
	return reason;
}

static __always_inline void judge_begin(struct pkt *p)
{
	p->out = p->tuple;
	p->inner_out = p->inner;
	__builtin_memset(&p->source, 0, sizeof(p->source));
	__builtin_memset(&p->target, 0, sizeof(p->target));
	p->source.ref = REF_NONE;
	p->target.ref = REF_NONE;
	p->exit = 0;
	p->flags = 0;
	p->seen_egress = 0;
	p->crossing = 0;
	p->relayed = 0;
	p->tracked = 0;
	p->nat = 0;
	p->hops = 0;
	p->transit = 0;
	p->via = 0;
	p->entered = 0;
	p->remembered = 0;
	p->complain_nat = 0;
	p->nat_new = 0;
	p->nat_addr = 0;
	p->nat_inner = 0;
	p->nat_inner_addr = 0;
	p->peering = 0;
	p->clamp = 0;
	p->oversize = OVERSIZE_TELL | OVERSIZE_CUT;
	p->nr_trace = 0;
	p->action = ACTION_DROP;
}

/* ret: 0 = p->action is what to do; else the reason to drop. p->ref: the half of the packet's own name, or REF_NONE */
static __always_inline int judge(struct pkt *p)
{
	struct port_policy *e;

	judge_begin(p);
	e = policy_of(p, IN_PORT(p->in));
	if (!e)
		return REASON_NO_POLICY;
	if (e->kind == PORT_UPLINK)
		return judge_uplink(p, e);
	if (e->kind != PORT_ENI || !(e->flags & PORT_LIVE))
		return REASON_NO_POLICY;
	if (e->mode == MODE_GUARD)
		return judge_guard(p, e);
	return p->in & IN_TX ? judge_from_host(p, e) : judge_eni(p, e);
}

#endif
