/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways that lead out without translation: egress-only internet gateways (EIGW-01, EIGW-02) and gateway endpoints
 * (EP-01..EP-04). */
#ifndef ENID_EGRESS_H
#define ENID_EGRESS_H

#include "igw.h"
#include "mapping.h"
#include "private.h"

/* ---- egress-only internet gateways */

/* Nothing is translated there, so of two ENIs that send the same tuple only one has its answers. Asked before anything
 * is kept: who is refused loses nothing. */
static __always_inline bool name_of_another(struct pkt *p, __u32 uplink)
{
	struct flow_record *record;
	struct side *rest;
	__u32 ref;

	tuple_reverse(&p->back, &p->out);
	ref = flow_find(&p->back, uplink);
	record = ref == REF_NONE || !((ref ^ p->ref) >> 1) ? NULL : record_at(ref);
	rest = record && record->half[0].shared & RECORD_MAPPED ? side_of(record, ref) : NULL;
	return rest && !mapping_over(record, rest, p->now);
}

/* ret: the port of who has the address, if its public access is blocked: both ways that is asked (VPC-18), and `other`
 * only where nobody has it. */
static __always_inline __u32 eigw_blocked(const struct pkt *p, __u32 zone, const union addr *addr, __u32 other)
{
	__u32 port = owner_of(addr, zone, p->out.family, p->parity) ?: other;
	struct port_policy *e = port ? policy_of(p, port) : NULL;

	return e && e->flags & PORT_BPA_OUT ? port : 0;
}

static __always_inline int eigw_outbound(struct pkt *p, __u32 uplink)
{
	if (eigw_blocked(p, p->at_zone, &p->out.saddr, p->at_port))
		return REASON_BPA;
	if (p->out.family != 6 || p->transit || unique_local(&p->out.saddr) ||
	    !owner_of(&p->out.saddr, p->at_zone, 6, p->parity))
		return REASON_IGW_NO_PUBLIC_ADDRESS;
	decide(p, STAGE_IGW, uplink);
	path_limit(p, PATH_1500, OVERSIZE_TELL);
	p->tracked = 1; /* CT-06 */
	if (!mapping_at(p, uplink, 0)) {
		if (p->kind != KIND_PLAIN)
			return REASON_EIGW_UNSOLICITED; /* opens nothing, belongs to nothing */
		if (!may_open(p))
			return leave_by_uplink(p, uplink); /* answers what came in elsewhere: nothing to remember */
		if (name_of_another(p, uplink))
			return REASON_NAT_NO_PORT;
		p->nat_new = 1;
		p->nat_addr = 0;
	}
	mapping_pass(p, uplink);
	return leave_by_uplink(p, uplink);
}

/* Only what was opened from inside comes back, and nothing while its ENI's public access is blocked (IGW-12). */
static __always_inline int eigw_inbound(struct pkt *p, const struct port_policy *e)
{
	__u32 blocked = eigw_blocked(p, e->zone, &p->out.daddr, 0);

	if (blocked) {
		p->target.port = blocked; /* the line of its flow log */
		return REASON_BPA;
	}
	if (p->out.family != 6 || !mapping_at(p, IN_PORT(p->in), 1))
		return REASON_EIGW_UNSOLICITED;
	decide(p, STAGE_IGW, IN_PORT(p->in));
	station(p, AT_EDGE, e->zone, 0, 0);
	mapping_pass(p, IN_PORT(p->in));
	return 0;
}

/* ---- gateway endpoints */

/* Does the endpoint serve the address? Its table holds the service's prefixes. */
static __always_inline bool endpoint_serves(const struct gateway_policy *g, const union addr *addr, __u8 family)
{
	struct route *route = route_find(g->table[0], addr, family);

	return route && route->kind == ROUTE_ENDPOINT;
}

static __always_inline int endpoint_outbound(struct pkt *p, __u32 uplink)
{
	struct gateway_policy *g = gateway_at(p, uplink);

	if (!g || g->kind != GATEWAY_ENDPOINT)
		return REASON_NOT_SERVED;
	if (p->transit || !endpoint_serves(g, &p->out.daddr, p->out.family))
		return REASON_ENDPOINT_SCOPE; /* EP-03, EP-04 */
	if (g->flags & GATEWAY_TRACKED)
		p->tracked = 1;
	p->remembered = 1;
	decide(p, STAGE_ENDPOINT, uplink);
	return leave_by_uplink(p, uplink);
}

/* Services only answer: judge.h asks for the flow when all else is known. */
static __always_inline int endpoint_inbound(struct pkt *p, const struct gateway_policy *g)
{
	if (!endpoint_serves(g, &p->out.saddr, p->out.family))
		return REASON_ENDPOINT_SCOPE;
	if (g->flags & GATEWAY_TRACKED)
		p->tracked = 1;
	decide(p, STAGE_ENDPOINT, IN_PORT(p->in));
	station(p, AT_EDGE, g->zone[0], 0, 0);
	return 0;
}

#endif
