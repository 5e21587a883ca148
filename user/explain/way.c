/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk itself: from the sender, station by station, to whom it is for. */
#include "explain/way.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define WALK_MAX 8 /* stations; who needs more goes in a circle */

static bool same_tuple(const struct tuple *a, const struct tuple *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool same_addr(const union addr *a, const union addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool group_destination(int family, const union addr *a)
{
	return family == 4 ? ntohl(a->ip4) >> 28 == 14 : a->bytes[0] == 0xff;
}

/* ---- notes */

uint64_t way_secret(const struct way *way, int i)
{
	return way->secrets ? way->secrets[i] : 0;
}

static struct way_step *note(struct way *way, uint32_t stage, const char *id, const char *rule)
{
	static struct way_step beyond; /* more than the report of a program holds */
	struct way_step *step = way->nr_steps < TRACE_MAX ? way->step + way->nr_steps++ : &beyond;

	*step = (struct way_step){.stage = stage, .id = id, .rule = rule, .subnet = way->at_subnet, .at = way->out};
	return step;
}

void way_note(struct way *way, uint32_t stage, const char *id, const char *rule)
{
	if (!way->set)
		(void)note(way, stage, id, rule);
}

static uint32_t service_key(const struct way *way)
{
	return SERVICE_KEY(way->out.family, way->out.proto, way->service);
}

static const struct image_port *port_of(const struct way *way, uint32_t port)
{
	return port == IMAGE_NONE ? NULL : way->image->ports + port;
}

void way_station(struct way *way, uint32_t at, uint32_t zone, uint32_t subnet, uint32_t table)
{
	way->at = at;
	way->at_zone = zone;
	way->at_subnet = subnet;
	way->at_table = table;
	way->at_port = IMAGE_NONE;
	way->at_gateway = IMAGE_NONE;
	way->routed = false;
}

/* ---- network ACLs (NACL-01..NACL-18) */

int way_nacl(struct way *way, uint32_t subnet, bool egress)
{
	const struct vpc_subnet *s = way_find_subnet(way->state, way->image, subnet);
	int refused = egress ? REASON_NACL_EGRESS : REASON_NACL_INGRESS;
	struct rule_found rule;
	bool allow;

	way->asked = (struct rules_question){.state = way->state,
					     .egress = egress,
					     .family = way->out.family,
					     .peer = egress ? way->out.daddr : way->out.saddr};
	way->asked_subnet = subnet;
	if (!s)
		return refused;
	if (way->set) {
		struct services admitted = {};

		rules_admit_nacl(&way->asked, s->nacl, &admitted);
		services_meet(way->set, &admitted);
		services_done(&admitted);
		return way->set->nr ? 0 : refused;
	}
	allow = rules_of_nacl(&way->asked, s->nacl, service_key(way), &rule);
	{
		struct way_step *step = note(way, egress ? STAGE_NACL_EGRESS : STAGE_NACL_INGRESS, rule.id, rule.text);

		step->what = rule;
		step->subnet = subnet;
	}
	return allow ? 0 : refused;
}

/* ---- security groups (SG-01.., CT-01..) */

/* Does the ENI remember the flow? Untracked flows are remembered while their rules stand, and here they do. */
static bool remembered(const struct way *way, uint32_t port, bool egress)
{
	const struct tuple own = egress ? way->tuple : way_answer(&way->out);
	const struct way_memory *memory = way->memory;

	if (!memory || way->opens || !way_plain(way))
		return false;
	for (size_t i = 0; i < memory->nr; i++)
		if (memory->entry[i].port == port && same_tuple(&memory->entry[i].tuple, &own))
			return true;
	return false;
}

/* Whom a group reference may match (SG-14, SG-17, SG-18). */
static const struct eni *member(const struct way *way, const struct image_port *e, const union addr *peer, bool egress)
{
	const struct image_port *source = egress ? NULL : port_of(way, way->source);
	uint32_t port;

	if (way->relayed)
		return NULL;
	port = way_find_owner(way->image,
			      source   ? source->zone
			      : egress ? way->peer_zone
				       : e->zone,
			      way->out.family, peer);
	if (port == IMAGE_NONE || (source && port != way->source))
		return NULL;
	return way->image->ports[port].identity ? way->image->ports[port].eni : NULL;
}

static int groups(struct way *way, uint32_t port, bool egress)
{
	const struct image_port *e = port_of(way, port);
	int refused = egress ? REASON_SG_EGRESS : REASON_SG_INGRESS;
	const union addr *peer = egress ? &way->tuple.daddr : &way->out.saddr;
	struct rule_found rule;

	if (!e || e->flags & PORT_NO_SG)
		return 0;
	if (remembered(way, port, egress)) {
		way_note(way, STAGE_CONNTRACK, e->id, "");
		way->answered |= !egress;
		return 0;
	}
	way->asked = (struct rules_question){.state = way->state,
					     .egress = egress,
					     .family = way->out.family,
					     .peer = *peer,
					     .member = member(way, e, peer, egress)};
	way->asked_eni = e->eni;
	if (!e->eni || !e->eni->vpc || !e->eni->subnet || (egress ? e->sg_out : e->sg_in) == IMAGE_NONE)
		return refused;
	if (way->set) {
		struct services admitted = {};

		rules_admit_groups(&way->asked, e->eni, &admitted);
		services_meet(way->set, &admitted);
		services_done(&admitted);
		return way->set->nr ? 0 : refused;
	}
	if (!rules_of_groups(&way->asked, e->eni, service_key(way), &rule))
		return refused;
	note(way, egress ? STAGE_SG_EGRESS : STAGE_SG_INGRESS, rule.id, rule.text)->what = rule;
	if (way_may_open(way) && egress)
		way->source_fresh = true;
	if (way_may_open(way) && !egress)
		way->target_fresh = true;
	return 0;
}

/* ---- the last station */

static int ingress_half(struct way *way)
{
	const struct image_port *e = port_of(way, way->target);

	if (!e || !(e->flags & PORT_LIVE))
		return REASON_NO_OWNER;
	if (e->kind == PORT_REMOTE)
		return REASON_NOT_SERVED;
	if (e->kind != PORT_ENI)
		return REASON_NO_OWNER;
	if (way->crossing) {
		int reason = way_nacl(way, e->subnet, false);

		if (reason)
			return reason;
	}
	if (e->flags & PORT_CHECK &&
	    way_find_owner(way->image, e->zone, way->out.family, &way->out.daddr) != way->target)
		return REASON_DEST_CHECK;
	return groups(way, way->target, false);
}

static int deliver(struct way *way)
{
	int reason;

	way->exit = way->target;
	way->action = ACTION_DELIVER;
	reason = ingress_half(way);
	if (!reason && way->image->ports[way->target].mode == MODE_GUARD)
		return REASON_NOT_SERVED; /* somebody else delivers there */
	return reason;
}

/* At the port it is for, unless a NAT gateway knows more. */
static int arrive(struct way *way, uint32_t port)
{
	const struct image_port *e = port_of(way, port);

	if (e && e->kind == PORT_NAT && e->flags & PORT_LIVE) {
		way->at = WAY_NAT;
		way->at_port = port;
		return WAY_ON;
	}
	way->target = port;
	return 0;
}

/* ---- steps */

static int depart(struct way *way, bool border)
{
	return border && way->at_subnet != IMAGE_NONE ? way_nacl(way, way->at_subnet, true) : 0;
}

static int step_local(struct way *way)
{
	uint32_t port;
	int reason;

	way->crossing = !way_find_covers(way->image, way->at_subnet, way->out.family, &way->out.daddr);
	reason = depart(way, way->crossing);
	if (reason)
		return reason;
	port = way_find_owner(way->image, way->at_zone, way->out.family, &way->out.daddr);
	if (port == IMAGE_NONE)
		return way->at == WAY_PEER ? REASON_PEERING : REASON_NO_OWNER;
	return arrive(way, port);
}

static int step_eni(struct way *way)
{
	const struct image_port *e = port_of(way, way->route->target);
	int reason;

	way->crossing = !e || way->at_subnet == IMAGE_NONE || e->subnet != way->at_subnet;
	reason = depart(way, way->crossing);
	if (reason)
		return reason;
	way->relayed = true;
	return arrive(way, way->route->target);
}

/* Inside a NAT gateway, on its way out: by the table of its subnet, or by its own (NAT-14, NAT-23). */
static int leave_nat(struct way *way, uint32_t nat)
{
	const struct image_gateway *g = way_find_gateway(way->image, nat);
	const struct image_port *e = port_of(way, nat);

	if (!g)
		return REASON_NOT_SERVED;
	way_station(way, WAY_SUBNET, e->zone, e->subnet, g->table[0]);
	way->at_port = nat;
	way->relayed = true;
	return WAY_ON;
}

static int step_nat(struct way *way)
{
	uint32_t nat = way->route->target;
	const struct image_port *e = port_of(way, nat);
	bool border;
	int reason;

	if (!e || e->kind != PORT_NAT || !(e->flags & PORT_LIVE))
		return REASON_NOT_SERVED;
	border = e->subnet != way->at_subnet;
	reason = depart(way, border);
	if (reason)
		return reason;
	way->at_port = nat;
	if (border && e->subnet != IMAGE_NONE)
		reason = way_nacl(way, e->subnet, false);
	if (!reason)
		reason = gate_nat_out(way, nat);
	if (reason)
		return reason;
	way->transit = false;
	return leave_nat(way, nat);
}

/* An answer, or an attempt, to an address of the NAT gateway at_port. */
static int step_from_nat(struct way *way)
{
	uint32_t nat = way->at_port;
	const struct image_port *e = port_of(way, nat);
	int reason = 0;

	if (!e || way_find_owner(way->image, e->zone, way->out.family, &way->out.daddr) != nat)
		return REASON_NO_OWNER;
	if (way->crossing && e->subnet != IMAGE_NONE)
		reason = way_nacl(way, e->subnet, false);
	if (!reason)
		reason = gate_nat_in(way, nat);
	return reason ? reason : leave_nat(way, nat);
}

/* Is this an answer to what a NAT gateway sent over a peering? It goes back there whatever the route (NAT-18). */
static uint32_t peered_nat(const struct way *way)
{
	const struct way_memory *m = way->memory;
	const struct image_port *e = m ? port_of(way, m->gateway) : NULL;

	if (!e || way->at != WAY_SUBNET || way->out.family != 4 || m->addr != way->out.daddr.ip4)
		return IMAGE_NONE;
	return gate_joins(way->image, m->peering, way->at_zone, e->zone) ? m->gateway : IMAGE_NONE;
}

static int follow_route(struct way *way)
{
	uint32_t target = way->route->target;
	int reason;

	switch (way->route->kind) {
	case ROUTE_LOCAL:
		return way->at == WAY_VGW ? gate_vgw_to_vpc(way) : step_local(way);
	case ROUTE_ENI:
		return step_eni(way);
	case ROUTE_NAT:
		return step_nat(way);
	case ROUTE_ATTACHMENT:
		return gate_attachment(way, target);
	case ROUTE_UPLINK:
		return way->at == WAY_VGW && target == way->in ? REASON_VGW : gate_uplink(way, target);
	}
	if (way->route->kind == ROUTE_GWLBE && way->image->ports[target].gateway != ROUTE_GWLBE)
		return REASON_NOT_SERVED;
	reason = depart(way, true);
	return reason ? reason : gate_out(way, way->route->kind, target);
}

static uint32_t route_stage(const struct way *way)
{
	return way->at == WAY_TRANSIT ? STAGE_TGW_ROUTE : way->at == WAY_EDGE ? STAGE_GATEWAY_ROUTE : STAGE_ROUTE;
}

static int route_missing(const struct way *way)
{
	switch (way->at) {
	case WAY_PEER:
		return REASON_PEERING;
	case WAY_TRANSIT:
		return REASON_TGW_NO_ROUTE;
	case WAY_VGW:
		return REASON_VGW;
	case WAY_EDGE:
		return way->at_gateway != IMAGE_NONE ? REASON_VGW : REASON_NO_ROUTE;
	}
	return REASON_NO_ROUTE;
}

static int route_usable(struct way *way)
{
	const struct image_rule *rule = way->image->tables[way->at_table].rules + way->route->rule;

	way_note(way, route_stage(way), rule->id, rule->text);
	if (way->route->kind == ROUTE_BLACKHOLE)
		return way->at == WAY_TRANSIT ? REASON_TGW_BLACKHOLE : REASON_BLACKHOLE;
	if (way->at == WAY_PEER && way->route->kind != ROUTE_LOCAL)
		return REASON_PEERING;
	return way->route->kind == ROUTE_NOT_SERVED ? REASON_NOT_SERVED : 0;
}

static void look(struct way *way)
{
	static const union addr services6 = {.bytes = {0xfd, 0x00, 0x0e, 0xc2}};
	const union addr *to = &way->out.daddr;
	bool never = way->out.family == 4 ? (ntohl(to->ip4) & 0xfffffc00) == 0xa9fea800 : to->w[0] == services6.w[0];

	way->routed = true;
	way->asked_table = way->at_table;
	way->route = never ? NULL : way_find_route(way->image, way->at_table, way->out.family, to);
}

static int back_to_nat(struct way *way, uint32_t nat)
{
	int reason = depart(way, true);

	way->crossing = true;
	return reason ? reason : arrive(way, nat);
}

static int walk_step(struct way *way)
{
	uint32_t nat = IMAGE_NONE;
	int reason;

	if (way->at == WAY_NAT)
		return step_from_nat(way);
	if ((way->at == WAY_EDGE && way->at_table == IMAGE_NONE) ||
	    (way->at == WAY_SUBNET && !way->routed &&
	     way_find_covers(way->image, way->at_subnet, way->out.family, &way->out.daddr)))
		return step_local(way);
	if (!way->routed)
		look(way);
	way->routed = false;
	if (!way->route || (way->route->kind != ROUTE_LOCAL && way->route->kind != ROUTE_PEERING))
		nat = peered_nat(way);
	if (nat != IMAGE_NONE)
		return back_to_nat(way, nat);
	reason = way->route ? route_usable(way) : route_missing(way);
	return reason ? reason : follow_route(way);
}

static int walk(struct way *way)
{
	int reason = WAY_ON;

	for (int i = 0; i < WALK_MAX && reason == WAY_ON; i++)
		reason = walk_step(way);
	return reason == WAY_ON ? REASON_TTL : reason;
}

static int conclude(struct way *way, int reason)
{
	return reason || way->target == IMAGE_NONE ? reason : deliver(way);
}

/* ---- from an ENI */

#define PASSED (-2) /* way->action says it all */

static int admit_source(const struct way *way, const struct image_port *e)
{
	const union addr *from = &way->tuple.saddr;
	int family = way->tuple.family;

	if (e->flags & PORT_CHECK)
		return way_find_owner(way->image, e->zone, family, from) == way->in ? 0 : REASON_SOURCE_CHECK;
	return way_martian_source(family, from) || way_find_is_router(way->image, e->subnet, family, from) ||
			       way_find_is_service(way->image, e->subnet, family, from) ||
			       same_addr(from, &way->tuple.daddr)
		       ? REASON_MARTIAN
		       : 0;
}

static bool echo_request(const struct way *way)
{
	return way_is_query(way->tuple.family, way->tuple.proto) &&
	       way->icmp >> 8 == (way->tuple.family == 6 ? 128 : 8);
}

/* Before any policy (ENI-04, ENI-06, SG-22). ret: 0, PASSED, or the reason */
static int admit_eni(struct way *way, const struct image_port *e)
{
	const union addr *to = &way->tuple.daddr;
	int family = way->tuple.family, reason;

	if (group_destination(family, to) || (family == 4 && to->ip4 == 0xffffffff))
		return REASON_MULTICAST;
	reason = admit_source(way, e);
	if (reason)
		return reason;
	if (e->mode == MODE_GUARD) {
		way->action = ACTION_PASS;
		if (way_find_is_router(way->image, e->subnet, family, to) ||
		    way_find_is_service(way->image, e->subnet, family, to))
			return PASSED;
	} else {
		if (way_find_owner(way->image, e->zone, family, to) == way->in)
			return REASON_L2;
		way->action = ACTION_PASS;
		if (way_find_is_router(way->image, e->subnet, family, to)) {
			way->action = echo_request(way) ? ACTION_REPLY : ACTION_PASS;
			return PASSED;
		}
		if (way_find_is_service(way->image, e->subnet, family, to))
			return PASSED;
	}
	return way_martian_destination(family, to) ? REASON_MARTIAN : 0;
}

static int judge_guard(struct way *way, const struct image_port *e)
{
	int reason;

	way->crossing = !way_find_covers(way->image, e->subnet, way->tuple.family, &way->tuple.daddr);
	way->peer_zone = e->zone;
	way->source = way->in;
	way->at_subnet = e->subnet;
	reason = groups(way, way->in, true);
	if (!reason && way->crossing)
		reason = way_nacl(way, e->subnet, true);
	way->action = ACTION_PASS;
	return reason;
}

/* SG-18: does a middlebox or a NAT gateway stand between them? SG-17: where references look for the destination. */
static void look_ahead(struct way *way, const struct image_port *e)
{
	const struct image_gateway *g;

	look(way);
	if (!way->route)
		return;
	way->relayed = way->route->kind == ROUTE_NAT || way->route->kind == ROUTE_GWLBE ||
		       (way->route->kind == ROUTE_ENI &&
			way_find_owner(way->image, e->zone, way->tuple.family, &way->tuple.saddr) == way->source);
	g = way->route->kind == ROUTE_PEERING ? way_find_gateway(way->image, way->route->target) : NULL;
	if (g)
		way->peer_zone = g->zone[0] == e->zone ? g->zone[1] : g->zone[0];
}

static int judge_eni(struct way *way, const struct image_port *e)
{
	bool local = way_find_covers(way->image, e->subnet, way->tuple.family, &way->tuple.daddr);
	uint32_t owner;
	int reason;

	way->source = way->in;
	way_station(way, WAY_SUBNET, e->zone, e->subnet, way->image->subnets[e->subnet].table);
	way->at_port = way->source;
	way->peer_zone = e->zone;
	if (!local)
		look_ahead(way, e);
	reason = groups(way, way->in, true);
	if (!reason && e->flags & PORT_ENDPOINT && (way->source_fresh || way->set))
		reason = REASON_ENDPOINT_SCOPE;
	if (reason)
		return reason;
	if (!local)
		return conclude(way, walk(way));
	owner = way_find_owner(way->image, e->zone, way->tuple.family, &way->tuple.daddr);
	reason = owner == IMAGE_NONE ? REASON_NO_OWNER : arrive(way, owner);
	return conclude(way, reason == WAY_ON ? walk(way) : reason);
}

static int from_eni(struct way *way, const struct image_port *e)
{
	int reason;

	if (e->kind != PORT_ENI || !(e->flags & PORT_LIVE))
		return REASON_NO_POLICY;
	if (e->subnet == IMAGE_NONE)
		return REASON_NO_POLICY;
	reason = admit_eni(way, e);
	if (reason == PASSED)
		return 0;
	if (reason)
		return reason;
	way->action = ACTION_DROP;
	return e->mode == MODE_GUARD ? judge_guard(way, e) : judge_eni(way, e);
}

/* ---- from outside */

static int from_uplink(struct way *way, const struct image_port *e)
{
	int family = way->tuple.family, reason;

	if (group_destination(family, &way->tuple.daddr) || (family == 4 && way->tuple.daddr.ip4 == 0xffffffff))
		return REASON_MULTICAST;
	if (way_martian_destination(family, &way->tuple.daddr) || way_martian_source(family, &way->tuple.saddr))
		return REASON_MARTIAN;
	way->relayed = true;
	reason = gate_in(way, e);
	if (!reason)
		reason = conclude(way, walk(way));
	return reason ? reason : gate_outsider(way, e);
}

static void begin(struct way *way)
{
	way->out = way->tuple;
	way->service = way_is_query(way->tuple.family, way->tuple.proto)                    ? way->icmp
		       : way->tuple.proto == IPPROTO_TCP || way->tuple.proto == IPPROTO_UDP ? ntohs(way->tuple.dport)
											    : 0;
	way->action = ACTION_DROP;
	way->exit = way->source = way->target = way->at_zone = way->at_subnet = way->at_table = IMAGE_NONE;
	way->at_port = way->at_gateway = way->at_az = way->via = way->nat = way->nat_inner = IMAGE_NONE;
	way->peering = way->asked_subnet = way->asked_table = IMAGE_NONE;
}

uint32_t way_walk(struct way *way)
{
	const struct image_port *e = port_of(way, way->in);
	int reason;

	begin(way);
	reason = !e ? REASON_NO_POLICY : e->kind == PORT_UPLINK ? from_uplink(way, e) : from_eni(way, e);
	way->reason = (uint32_t)reason;
	if (reason)
		way->action = ACTION_DROP;
	return way->reason;
}

/* ---- what it leaves behind */

void way_remember(const struct way *way, struct way_memory *ret)
{
	const struct image_port *source = port_of(way, way->source), *target = port_of(way, way->target);

	*ret = (struct way_memory){.gateway = IMAGE_NONE, .inner = IMAGE_NONE, .peering = IMAGE_NONE};
	if (!way_may_open(way))
		return;
	if (source && way->source == way->target) {
		const struct tuple answer = way_answer(&way->out);

		if (same_tuple(&answer, &way->tuple))
			return; /* it is its own answer: no record can tell the two apart */
	}
	ret->opened = true;
	ret->client = way->tuple;
	ret->outside = way->exit;
	if (source && !(source->flags & PORT_NO_SG))
		ret->entry[ret->nr++] = (struct way_entry){way->source, way->tuple};
	if (target && !(target->flags & PORT_NO_SG))
		ret->entry[ret->nr++] = (struct way_entry){way->target, way_answer(&way->out)};
	ret->gateway = way->nat;
	ret->inner = way->nat_inner;
	ret->peering = way->peering;
	ret->addr = way->nat_addr;
	ret->inner_addr = way->nat_inner_addr;
}
