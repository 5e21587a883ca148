/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateway Load Balancer endpoints as a station (EP-07..EP-09): who may go to the appliances, to which one, and whether
 * what comes back was sent there.
 *
 * The way to the endpoint and the way on from it are two records, and each holds the endpoint's entry of the flow in
 * the half whose packets come from there, as it holds an ENI's: LEG_GATE, with a ticket in `sides`. Both entries have
 * one ticket, which the first packet makes and the others take over: the same cookie and the same appliance, both ways.
 * Cookies differ while flows live, since the record's index is in them, and nobody can guess one. */
#ifndef ENID_GWLBE_H
#define ENID_GWLBE_H

#include "mapping.h"
#include "mtu.h"
#include "private.h"

/* ---- tickets */

#define COOKIE_INDEX_BITS 24

/* A number that no other flow has: one-to-one from {how often, index}. */
static __always_inline __u32 cookie_make(struct side *rest, __u32 index)
{
	__u32 x = __sync_fetch_and_add(&rest->nr_tickets, 1) << COOKIE_INDEX_BITS | index;

	x = (x ^ (__u32)control.secrets[4]) * ((__u32)control.secrets[5] | 1);
	x = (x ^ x >> 15) * ((__u32)control.secrets[6] | 1);
	x ^= x >> 16;
	return x ? x : ~0u;
}

static __always_inline void ticket_store(struct gate_ticket *to, const struct gate_ticket *ticket)
{
	WRITE_ONCE(*(__u64 *)to, *(const __u64 *)ticket);
}

static __always_inline void ticket_load(struct gate_ticket *to, const struct gate_ticket *ticket)
{
	*(__u64 *)to = READ_ONCE(*(const __u64 *)ticket);
}

_Static_assert(sizeof(struct gate_ticket) == 8 && __builtin_offsetof(struct side, tickets) % 8 == 0,
	       "a ticket is read and written in one move");

/* The endpoint's entry that the half `ref` holds. ret: false = it is over, or there is none */
static __always_inline bool gate_entry(const struct pkt *p, __u32 ref, struct gate_ticket *ret)
{
	struct flow_record *record = ref == REF_NONE ? NULL : record_at(ref);
	struct side *rest;
	struct flow_half *half;

	if (!record)
		return false;
	half = half_of(record, ref);
	if (half->leg != LEG_GATE || !within(p->now, entry_last(record, ref), half->leg_s) ||
	    (opens(p) && half_closed(record)))
		return false;
	rest = side_of(record, ref);
	if (!rest)
		return false;
	ticket_load(ret, &rest->tickets[ref & 1]);
	return ret->cookie;
}

/* The half that carries an entry writes it down; a new flow gets its cookie. */
static __always_inline void gate_note(struct spot *spot, __u32 ref)
{
	__u32 place = side_find(ref >> 1);
	struct side *rest = side_at(place);

	if (!rest)
		return;
	if (!spot->ticket.cookie) {
		spot->ticket.cookie = cookie_make(rest, place);
		spot->made = 1;
	}
	ticket_store(&rest->tickets[ref & 1], &spot->ticket);
}

/* ---- which appliance */

/* The same for both directions. */
static __always_inline __u64 sticky_hash(const struct tuple *t, __u32 sticky)
{
	__u64 more = sticky == STICKY_2_TUPLE ? 0 : t->proto;

	if (sticky == STICKY_5_TUPLE && (t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP))
		more |= (__u64)((__u32)t->sport + t->dport) << 8;
	return flow_mix(t->saddr.d[0] + t->daddr.d[0], control.secrets[1]) +
	       flow_mix(t->saddr.d[1] + t->daddr.d[1], control.secrets[2]) + flow_mix(more, control.secrets[3]);
}

/* The one with the highest score: when others come and go, few flows have another choice. */
static __always_inline __be32 choose_appliance(const struct pkt *p, const struct gateway_policy *g)
{
	__u64 hash = sticky_hash(&p->out, g->members[GWLB_STICKY]), best = 0;
	__be32 chosen = 0;

	for (__u32 i = 0; i < GWLB_TARGETS_MAX; i++) {
		__be32 appliance = g->members[i];
		__u64 score = flow_mix(hash ^ appliance, control.secrets[4]) | 1;

		if (i >= g->nr)
			break;
		if (score > best) {
			best = score;
			chosen = appliance;
		}
	}
	return chosen;
}

static __always_inline bool appliance_known(const struct gateway_policy *g, __be32 appliance)
{
	for (__u32 i = 0; i < GWLB_TARGETS_MAX; i++)
		if (i < g->members[GWLB_KNOWN] && g->members[i] == appliance)
			return true;
	return false;
}

/* ---- to the appliances */

/* The entry of p's flow: of this leg, else of the leg behind the endpoint. An ICMP error belongs to the flow of the
 * packet that it quotes, whichever way that went. ret: true = p->target.ticket is set */
static __always_inline bool gate_known(struct pkt *p, __u32 endpoint)
{
	const struct tuple *base = p->kind == KIND_ERROR ? &p->inner_out : &p->out;
	__u32 ref;

	if (p->kind == KIND_BARE)
		return false; /* no echo with the identifier 0 */
	if (p->nat_new)
		return false; /* its port is not known yet: what has this tuple now is another flow */
	tuple_reverse(&p->back, base);
	ref = flow_find(&p->back, endpoint);
	if (p->kind == KIND_PLAIN)
		p->target.ref = ref;
	if (gate_entry(p, ref, &p->target.ticket))
		return true;
	p->target.fresh = 1;
	return gate_entry(p, flow_find(base, endpoint), &p->target.ticket);
}

static __always_inline bool gate_opens(const struct pkt *p)
{
	return may_open(p) && p->fragment != FRAGMENT_LATER && (p->tuple.proto != IPPROTO_TCP || opens(p));
}

/* From one endpoint into another, or into the same since it was translated on the way (IGW-11). Tables may lead in a
 * circle whose stations each see a packet of their own, so this takes one off the time to live (D10). */
static __always_inline int pass_on(struct pkt *p, __u32 endpoint)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));

	if (!e || e->kind != PORT_UPLINK || e->gateway != ROUTE_GWLBE)
		return 0;
	if (endpoint == IN_PORT(p->in) && tuple_equal(&p->out, &p->tuple))
		return REASON_TTL; /* it would go round for ever */
	return take_hop(p) == WALK_ON ? 0 : REASON_TTL;
}

/* To the endpoint behind port `endpoint`. ret: 0 = it leaves, or a reason */
__noinline int gwlbe_outbound(struct pkt *p, __u32 endpoint)
{
	struct gateway_policy *g = p ? gateway_at(p, endpoint) : NULL;

	if (!p || !g || g->kind != GATEWAY_GWLBE || !g->members[GWLB_KNOWN])
		return REASON_NOT_SERVED;
	if (pass_on(p, endpoint))
		return REASON_TTL;
	decide(p, STAGE_ENDPOINT, endpoint);
	p->relayed = 1; /* SG-18 */
	p->tracked = 1; /* CT-06 */
	path_limit(p, PATH_8500, 0);
	p->oversize = size_on_wire(p) > path_mtu(PATH_8500 << HALF_PATH_SHIFT) ? 0 : OVERSIZE_TELL; /* EP-08 */
	p->target.leg = LEG_GATE;
	if (!gate_known(p, endpoint)) {
		if (!gate_opens(p))
			return REASON_GWLB_NO_FLOW;
		p->target.ticket.cookie = 0;
		p->target.ticket.appliance = 0;
		p->target.fresh = 1;
	}
	if (!appliance_known(g, p->target.ticket.appliance)) {
		p->target.ticket.appliance = choose_appliance(p, g);
		p->target.fresh = 1;
	}
	if (!p->target.ticket.appliance)
		return REASON_NOT_SERVED;
	return leave_by_uplink(p, endpoint);
}

/* After flow_keep(): a record has a ticket for p by now. ret: 0 or REASON_CONNTRACK_FULL */
static __always_inline int gate_ticket_take(struct pkt *p)
{
	struct gate_ticket *ticket = &p->target.ticket;
	__u32 ref;

	p->flags |= PACKET_TICKET;
	if (ticket->cookie)
		return 0;
	/* another CPU opened the flow a moment ago */
	tuple_reverse(&p->back, &p->out);
	ref = flow_find(&p->back, p->exit);
	return gate_entry(p, ref, ticket) ? 0 : REASON_CONNTRACK_FULL;
}

/* ---- from the appliances */

static __always_inline bool ticket_shown(const struct pkt *p, const struct gate_ticket *ticket)
{
	return ticket->cookie == p->shown.cookie && ticket->appliance == p->shown.appliance;
}

/* A kept decision holds for what shows the ticket that its record knows. */
static __always_inline bool ticket_fits(const struct pkt *p, const struct port_policy *e)
{
	struct flow_record *record;
	struct side *rest;

	if (likely(e->gateway != ROUTE_GWLBE || e->kind != PORT_UPLINK))
		return true;
	record = record_at(p->ref);
	rest = record ? side_of(record, p->ref) : NULL;
	return rest && ticket_shown(p, &rest->tickets[p->ref & 1]);
}

/* Only what was sent to an appliance comes back from it: its flow lives, on either leg, and it shows its ticket. */
static __always_inline bool gate_sent(struct pkt *p)
{
	const struct tuple *base = p->kind == KIND_ERROR ? &p->inner : &p->tuple;
	__u32 own = p->kind == KIND_ERROR ? flow_find(base, p->in) : p->ref;

	p->source.ticket = p->shown;
	if (gate_entry(p, own, &p->target.ticket) && ticket_shown(p, &p->target.ticket))
		return true;
	p->source.fresh = 1;
	tuple_reverse(&p->back, base);
	return gate_entry(p, flow_find(&p->back, p->in), &p->target.ticket) && ticket_shown(p, &p->target.ticket);
}

#define ENDPOINTS_MAX 4 /* one behind the other, between a sender and where its packet is */

/* Who sent a packet that came from an appliance: the records of the ways to the endpoints tell, as long as nothing on
 * them translated it. p->target.ref: the half of its packets. ret: port of an ENI, 0 = somebody else's packet */
__noinline int sender_behind(struct pkt *p)
{
	__u32 port = p ? IN_PORT(p->in) : 0;

	if (!p)
		return 0;
	tuple_reverse(&p->back, &p->tuple);
	for (int i = 0; i < ENDPOINTS_MAX; i++) {
		__u32 ref = flow_find(&p->back, port);
		struct flow_record *record = ref == REF_NONE ? NULL : record_at(ref);
		struct flow_half *way = record ? sibling_of(record, ref) : NULL;
		struct port_policy *e;

		if (!way || way->in & IN_TX || !tuple_equal(&way->tuple, &p->tuple))
			return 0;
		port = way->in;
		e = policy_of(p, port);
		if (!e)
			return 0;
		if (e->kind == PORT_ENI && e->mode != MODE_GUARD && e->flags & PORT_LIVE) {
			p->target.ref = ref ^ 1;
			return port;
		}
		if (e->gateway != ROUTE_GWLBE)
			return 0;
	}
	return 0;
}

/* Did an ENI of the endpoint's VPC send the packet, in somebody else's name as forwarders do (PCX-06)? */
static __always_inline bool forwarded_here(struct pkt *p, __u32 zone)
{
	struct port_policy *e = policy_of(p, sender_behind(p));

	p->target.ref = REF_NONE;
	return e && e->kind == PORT_ENI && e->zone == zone;
}

/* In by the uplink of an endpoint, out of its wrapping: from there on by the endpoint's subnet (RT-24). */
__noinline int gwlbe_inbound(struct pkt *p)
{
	struct port_policy *e = p ? policy_of(p, IN_PORT(p->in)) : NULL;
	struct subnet_policy *subnet = e ? subnet_of(p, e->subnet) : NULL;

	if (!p || !subnet)
		return REASON_NO_POLICY;
	if (p->kind == KIND_BARE || !gate_sent(p))
		return REASON_GENEVE;
	p->target.ticket.cookie = 0;
	p->target.ticket.appliance = 0;
	p->source.leg = LEG_GATE;
	p->tracked = 1;
	decide(p, STAGE_ENDPOINT, IN_PORT(p->in));
	station(p, AT_SUBNET, e->zone, e->subnet, subnet->table);
	p->at_port = owner_of(&p->tuple.saddr, e->zone, p->tuple.family, p->parity); /* VPC-18, ENI-14 are about it */
	p->transit = !p->at_port && !forwarded_here(p, e->zone); /* by whichever gateway it came (IGW-08, EP-03) */
	return 0;
}

#endif
