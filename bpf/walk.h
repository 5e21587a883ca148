/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet from where it is to where it leaves: station by station, each with its own route table. A step
 * looks p->out.daddr up in p->at_table, runs the network ACLs of the borders that it crosses (NACL-09), and composes
 * what the gateway does into p->out. Later packets replay the result, however many stations there were. */
#ifndef ENID_WALK_H
#define ENID_WALK_H

#include "egress.h"
#include "gwlbe.h"
#include "igw.h"
#include "nacl.h"
#include "nat.h"
#include "private.h"

#define WALK_MAX 8 /* steps; who needs more goes in a circle */

/* Out of the subnet where the packet is. From here on its sender has sent it (PATH-14). */
static __always_inline int depart(struct pkt *p, bool border)
{
	int reason = border && p->at_subnet ? nacl_egress(p, p->at_subnet) : 0;

	if (!reason)
		p->seen_egress = 1;
	return reason;
}

/* At the port it is for: the end of the walk, unless a NAT gateway knows more. */
static __always_inline int arrive(struct pkt *p, __u32 port)
{
	struct port_policy *e = policy_of(p, port);

	if (e && e->kind == PORT_NAT && e->flags & PORT_LIVE) {
		p->at = AT_NAT;
		p->at_port = port;
		return WALK_ON;
	}
	p->target.port = port;
	return 0;
}

static __always_inline int step_local(struct pkt *p)
{
	struct subnet_policy *subnet = p->at_subnet ? subnet_of(p, p->at_subnet) : NULL;
	__u32 port;
	int reason;

	p->crossing = !subnet || !subnet_covers(subnet, &p->out.daddr, p->out.family);
	reason = depart(p, p->crossing);
	if (reason)
		return reason;
	port = owner_at(p, &p->out.daddr, p->at_zone, p->out.family);
	if (!port)
		return p->at == AT_PEER ? REASON_PEERING : REASON_NO_OWNER;
	return arrive(p, port);
}

/* To a middlebox, which may sit in the same subnet. */
static __always_inline int step_eni(struct pkt *p)
{
	struct port_policy *e = policy_of(p, p->route.target);
	int reason;

	p->crossing = !e || !p->at_subnet || e->subnet != p->at_subnet;
	reason = depart(p, p->crossing);
	if (reason)
		return reason;
	p->relayed = 1;
	return arrive(p, p->route.target);
}

/* Inside a NAT gateway, on its way out: by the table of its subnet, or by its own (NAT-14, NAT-23). */
static __always_inline int leave_nat(struct pkt *p, __u32 nat, const struct port_policy *e)
{
	struct gateway_policy *g = gateway_of(p, e);

	if (!g)
		return REASON_NOT_SERVED;
	station(p, AT_SUBNET, e->zone, e->subnet, g->table[0]);
	p->at_port = nat;
	p->relayed = 1;
	return WALK_ON;
}

static __always_inline int step_nat(struct pkt *p)
{
	__u32 nat = p->route.target;
	struct port_policy *e = policy_of(p, nat);
	bool border;
	int reason;

	if (!e || e->kind != PORT_NAT || !(e->flags & PORT_LIVE))
		return REASON_NOT_SERVED;
	border = e->subnet != p->at_subnet;
	reason = depart(p, border);
	p->at_port = reason ? p->at_port : nat;
	if (!reason && border && e->subnet)
		reason = nacl_ingress(p, e->subnet);
	if (!reason)
		reason = nat_outbound(p, nat);
	if (reason)
		return reason;
	p->transit = 0;
	path_limit(p, PATH_8500, OVERSIZE_TELL | OVERSIZE_CUT); /* NAT-19 */
	return leave_nat(p, nat, e);
}

/* An answer, or an attempt, to an address of the NAT gateway p->at_port. */
static __always_inline int step_from_nat(struct pkt *p)
{
	__u32 nat = p->at_port;
	struct port_policy *e = policy_of(p, nat);
	int reason = 0;

	if (!e || owner_of(&p->out.daddr, e->zone, p->out.family, p->parity) != nat)
		return REASON_NO_OWNER;
	if (p->crossing && e->subnet)
		reason = nacl_ingress(p, e->subnet);
	if (!reason)
		reason = nat_inbound(p, nat);
	return reason ? reason : leave_nat(p, nat, e);
}

/* Does a peering that lives join the two? */
static __always_inline bool peering_joins(const struct pkt *p, __u32 peering, __u32 a, __u32 b)
{
	struct gateway_policy *g = peering ? gateway_at(p, peering) : NULL;

	if (!g || g->kind != GATEWAY_PEERING)
		return false;
	return (g->zone[0] == a && g->zone[1] == b) || (g->zone[0] == b && g->zone[1] == a);
}

/* The answer to what a NAT gateway sent over a peering goes back there whatever the route (NAT-18), as long as there is
 * that peering. ret: the gateway's port, 0 = this is none */
static __always_inline __u32 peered_nat(struct pkt *p)
{
	struct flow_record *record = p->ref == REF_NONE ? NULL : record_at(p->ref);
	struct side *rest = record && record->half[0].shared & RECORD_MAPPED ? side_of(record, p->ref) : NULL;
	struct port_policy *e;

	if (!rest || !(p->ref & 1) || p->at != AT_SUBNET || p->out.family != 4 ||
	    rest->mapping.addr != p->out.daddr.ip4)
		return 0;
	e = policy_of(p, rest->mapping.gateway);
	return e && peering_joins(p, rest->mapping.peering, p->at_zone, e->zone) ? rest->mapping.gateway : 0;
}

static __always_inline int back_to_nat(struct pkt *p, __u32 nat)
{
	int reason = depart(p, true);

	p->crossing = 1;
	return reason ? reason : arrive(p, nat);
}

/* To a Gateway Load Balancer endpoint. Both its subnet's and the sender's network ACL see the packet, even if they are
 * one (NACL-16). */
static __always_inline int step_gwlbe(struct pkt *p)
{
	__u32 endpoint = p->route.target;
	struct port_policy *e = policy_of(p, endpoint);
	int reason;

	if (!e || e->gateway != ROUTE_GWLBE)
		return REASON_NOT_SERVED;
	reason = depart(p, true);
	if (reason)
		return reason;
	p->at_port = 0;
	return nacl_ingress(p, e->subnet) ?: gwlbe_outbound(p, endpoint);
}

/* Out of a subnet by a gateway, which is beyond every border. */
static __always_inline int step_out(struct pkt *p)
{
	__u32 target = p->route.target;
	int reason = depart(p, true);

	if (reason)
		return reason;
	switch (p->route.kind) {
	case ROUTE_IGW:
		return igw_outbound(p, target);
	case ROUTE_PEERING:
		return through_peering(p, target);
	case ROUTE_TGW:
		return into_transit(p, target);
	case ROUTE_VGW:
		return into_vgw(p, target);
	case ROUTE_EIGW:
		return eigw_outbound(p, target);
	case ROUTE_ENDPOINT:
		return endpoint_outbound(p, target);
	}
	return REASON_NOT_SERVED;
}

static __always_inline int follow_route(struct pkt *p)
{
	switch (p->route.kind) {
	case ROUTE_LOCAL:
		return p->at == AT_VGW ? out_of_vgw(p) : step_local(p);
	case ROUTE_ENI:
		return step_eni(p);
	case ROUTE_NAT:
		return step_nat(p);
	case ROUTE_GWLBE:
		return step_gwlbe(p);
	case ROUTE_ATTACHMENT:
		return through_attachment(p, p->route.target);
	case ROUTE_UPLINK:
		if (p->at == AT_VGW && p->route.target == IN_PORT(p->in))
			return REASON_VGW; /* nothing turns round there */
		return leave_by_uplink(p, p->route.target);
	}
	return step_out(p);
}

/* Out of a gateway, into the subnet where that stands: no route counts (RT-07). */
static __always_inline bool stays_in_subnet(const struct pkt *p)
{
	struct subnet_policy *subnet =
		p->at == AT_SUBNET && !p->routed && p->at_subnet ? subnet_of(p, p->at_subnet) : NULL;

	return subnet && subnet_covers(subnet, &p->out.daddr, p->out.family);
}

/* ret: 0 = arrived: p->target.port is the ENI it is for, or p->exit the way out; WALK_ON; or the reason to drop */
__noinline int walk_step(struct pkt *p)
{
	__u32 nat;
	int reason;

	if (!p)
		return REASON_NO_POLICY;
	if (p->at == AT_NAT)
		return step_from_nat(p);
	if ((p->at == AT_EDGE && !p->at_table) || stays_in_subnet(p))
		return step_local(p);
	if (!p->routed)
		route_look(p);
	p->routed = 0;
	nat = p->route.kind == ROUTE_LOCAL || p->route.kind == ROUTE_PEERING ? 0 : peered_nat(p);
	if (nat)
		return back_to_nat(p, nat);
	reason = p->route.kind == ROUTE_NONE ? route_missing(p) : route_usable(p);
	if (p->route.kind == ROUTE_NONE || reason) {
		p->seen_egress = 1;
		return reason;
	}
	return follow_route(p);
}

/* ret: 0 = arrived, or the reason to drop */
static __always_inline int walk(struct pkt *p)
{
	int reason = WALK_ON;

	for (int i = 0; i < WALK_MAX && reason == WALK_ON; i++)
		reason = walk_step(p);
	return reason == WALK_ON ? REASON_TTL : reason;
}

#endif
