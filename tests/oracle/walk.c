/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a subnet to the next: routes, network ACLs and gateways until the packet is delivered, leaves or dies. Each
 * place it comes to changes struct trip; where it ends the verdict is made.
 */
#include <string.h>
#include "walk.h"

/* ---- the end: an ENI */

static void deliver(struct trip *t, int at, bool crosses)
{
	const struct eni *e = &t->m->world->eni[at];
	struct change *c = &t->v->change[1];

	bool served = e->port && !e->guard && e->compute;

	if (crosses && !trip_nacl(t, e->subnet, false)) {
		t->v->reasons |= served ? 0 : BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER);
		return;
	}
	if (e->check && !eni_owns(e, t->q.fam, &t->q.dst))
		return trip_drop(t, BIT(WHY_DEST_CHECK));
	if (!track_judge(t->m, e, false, t->refs, &t->q, c))
		return trip_drop(t, BIT(WHY_SG_INGRESS));
	c->always = t->tracked || e->endpoint;
	trip_limit(t, e->mtu, true);
	if (!served)
		return trip_drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER));
	trip_leave(t, ACT_DELIVER, e->id);
	memcpy(t->v->dmac, e->mac, 6);
}

/* At an ENI's door: a guest's, or a NAT gateway's. */
void walk_arrive(struct trip *t, int at, bool crosses)
{
	const struct world *w = t->m->world;
	const struct nat *n = nat_of_eni(w, at);

	if (!n)
		return deliver(t, at, crosses);
	if (!w->eni[at].port)
		return trip_drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER));
	if (crosses && !trip_nacl(t, w->eni[at].subnet, false))
		return;
	nat_inward(t, n);
}

/* Local delivery in the VPC where the packet is. */
static void arrive_at_owner(struct trip *t)
{
	int at = owner_of(t->m->world, t->vpc, t->q.fam, &t->q.dst);

	if (at < 0)
		return trip_drop(t, BIT(WHY_NO_OWNER));
	walk_arrive(t, at, true);
}

/* ---- between VPCs */

static void over_peering(struct trip *t, int at)
{
	const struct world *w = t->m->world;
	const struct peering *x = &w->peering[at];

	t->vpc = x->vpc[0] == t->vpc ? x->vpc[1] : x->vpc[0];
	t->peering = eni_number(x->id);
	if (x->far)
		trip_limit(t, 8500, false); /* PCX-07 */
	arrive_at_owner(t);
}

static uint64_t peering_refuses(struct trip *t, int at)
{
	const struct peering *x = &t->m->world->peering[at];
	int far = x->vpc[0] == t->vpc ? x->vpc[1] : x->vpc[0];

	if (t->by_tgw && !t->by_nat)
		return BIT(WHY_PEERING); /* PCX-04: no edge-to-edge routing */
	if (far < 0 || !vpc_has(t->m->world, far, t->q.fam, &t->q.dst))
		return BIT(WHY_PEERING); /* PCX-05 */
	return owner_of(t->m->world, far, t->q.fam, &t->q.dst) < 0 ? BIT(WHY_PEERING) | BIT(WHY_NO_OWNER) : 0;
}

static const struct attachment *attachment_of(const struct world *w, int vpc, int tgw)
{
	for (int i = 0; i < w->nr_attachment; i++)
		if (w->attachment[i].vpc == vpc && w->attachment[i].tgw == tgw && w->attachment[i].available)
			return &w->attachment[i];
	return NULL;
}

static int subnet_in_az(const struct world *w, const struct attachment *a, const char *az)
{
	for (int i = 0; i < a->nr_subnet; i++)
		if (!strcmp(w->subnet[a->subnet[i]].az, az))
			return a->subnet[i];
	return -1;
}

/* TGW-03: out of the attachment's subnet in the zone that the packet came from, if there is one. */
static int exit_subnet(struct trip *t, const struct attachment *a, const char *az)
{
	int at = subnet_in_az(t->m->world, a, az);

	if (a->appliance && a->nr_subnet > 1)
		return a->subnet[model_pick(t->m, a->nr_subnet)]; /* TGW-10: by a hash of the flow */
	return at >= 0 ? at : a->subnet[a->nr_subnet > 1 ? model_pick(t->m, a->nr_subnet) : 0];
}

static void over_tgw(struct trip *t, int at, int subnet)
{
	const struct world *w = t->m->world;
	const struct attachment *in = attachment_of(w, t->vpc, at), *out;
	const char *az = w->subnet[subnet].az;
	struct tgw_route r;
	int enter = subnet_in_az(w, in, az);

	if (enter < 0)
		return trip_drop(t, BIT(WHY_TGW_ATTACHMENT)); /* TGW-04 */
	if (!trip_nacl(t, enter, false))
		return;
	if (trip_ends_early(t, NULL))
		return;
	if (in->table < 0)
		return trip_drop(t, BIT(WHY_TGW_ATTACHMENT) | BIT(WHY_TGW_NO_ROUTE));
	if (!tgw_choose(w, in->table, &t->q, &r))
		return trip_drop(t, BIT(WHY_TGW_NO_ROUTE));
	out = r.attachment < 0 ? NULL : &w->attachment[r.attachment];
	if (r.blackhole || !out || !out->available || out->vpc < 0 || !out->nr_subnet)
		return trip_drop(t, BIT(WHY_TGW_BLACKHOLE));
	if (!trip_spend_ttl(t, NULL))
		return;
	trip_clamp(t, 8460);
	trip_limit(t, 8500, true); /* TGW-13 */
	t->tracked = true;
	t->by_tgw = true;
	t->vpc = out->vpc;
	if (!w->tgw[at].refs || !in->refs || !out->refs)
		t->refs = REFS_NONE; /* SG-17 */
	walk_on(t, exit_subnet(t, out, az));
}

/* ---- one step: out of a subnet, by its table */

struct step {
	struct route_choice c;
	int eni; /* that it is for, -1: a gateway's */
	bool crosses;
};

/* Where the subnet sends the packet. */
static void next_step(struct trip *t, int subnet, struct step *s)
{
	const struct world *w = t->m->world;
	const struct subnet *at = &w->subnet[subnet];

	*s = (struct step){.eni = -1};
	if (subnet_has(at, t->q.fam, &t->q.dst)) { /* RT-07 */
		s->c.kind = TO_LOCAL;
		s->eni = owner_of(w, at->vpc, t->q.fam, &t->q.dst);
		s->c.fail = s->eni < 0 ? BIT(WHY_NO_OWNER) : 0;
		return;
	}
	route_choose(w, at->vpc, at->table, &t->q, &s->c);
	s->crosses = true;
	if (s->c.fail)
		return;
	if (s->c.kind == TO_LOCAL) {
		s->eni = owner_of(w, at->vpc, t->q.fam, &t->q.dst);
		s->c.fail = s->eni < 0 ? BIT(WHY_NO_OWNER) : 0;
	} else if (s->c.kind == TO_ENI) {
		s->eni = s->c.at;
		s->crosses = w->eni[s->eni].subnet != subnet; /* NACL-09 */
	} else if (s->c.kind == TO_NAT) {
		s->crosses = w->nat[s->c.at].subnet != subnet;
	} else if (s->c.kind == TO_PEERING) {
		s->c.fail = peering_refuses(t, s->c.at);
	}
}

static void take_step(struct trip *t, int subnet, const struct step *s)
{
	const struct world *w = t->m->world;
	const struct nat *n;

	if (s->c.fail & BIT(WHY_VGW) && trip_ends_early(t, NULL))
		return;
	if (s->c.fail) { /* whether the NACL speaks before or after is not fixed for all of these */
		bool by_table = s->c.fail == BIT(WHY_NO_ROUTE) || s->c.fail == BIT(WHY_BLACKHOLE);
		uint64_t also = by_table ? 0 : BIT(WHY_NACL_EGRESS);
		bool denied = s->crosses && !nacl_allows(w, &w->subnet[subnet], true, &t->q);

		return trip_drop(t, s->c.fail | (denied ? also : 0));
	}
	if (s->crosses && !trip_nacl(t, subnet, true))
		return;
	if (s->c.kind == TO_LOCAL || s->c.kind == TO_ENI)
		return walk_arrive(t, s->eni, s->crosses);
	if (s->c.kind == TO_PEERING)
		return over_peering(t, s->c.at);
	if (s->c.kind == TO_TGW)
		return over_tgw(t, s->c.at, subnet);
	if (s->c.kind == TO_GATE)
		return gate_out(t, &w->gate[s->c.at], &s->c, subnet);
	n = &w->nat[s->c.at];
	if (s->crosses && !trip_nacl(t, n->subnet, false))
		return;
	t->before = subnet;
	nat_outward(t, n);
}

void walk_on(struct trip *t, int subnet)
{
	struct step s;

	if (++t->steps > 8)
		return trip_drop(t, WHY_ANY); /* D10: it goes round */
	next_step(t, subnet, &s);
	if (s.c.kind == TO_ENI || s.c.kind == TO_NAT)
		t->refs = REFS_NONE; /* SG-18 */
	take_step(t, subnet, &s);
}

/* ---- out of a guest */

static int mac_owner(const struct world *w, const struct eni *e, const uint8_t *mac)
{
	for (int i = 0; i < w->nr_eni; i++)
		if (&w->eni[i] != e && w->eni[i].subnet == e->subnet && w->eni[i].live &&
		    !memcmp(w->eni[i].mac, mac, 6))
			return i;
	return -1;
}

/* Whose group members the sender's rules may name for this destination. */
static int egress_refs(const struct trip *t, const struct step *s, bool own)
{
	const struct peering *x;

	if (s->c.kind == TO_TGW)
		return REFS_NONE; /* SG-17: ingress only */
	if (s->c.kind == TO_PEERING && !s->c.fail) {
		x = &t->m->world->peering[s->c.at];
		return x->vpc[0] == t->vpc ? x->vpc[1] : x->vpc[0];
	}
	if (s->c.kind == TO_NAT || (own && s->c.kind == TO_ENI && s->eni >= 0))
		return REFS_NONE; /* SG-18 */
	return t->vpc;
}

/* CT-06, as far as the first step tells. */
static bool is_always_tracked(const struct world *w, const struct step *s)
{
	if (s->c.fail)
		return false;
	if (s->c.kind == TO_NAT || s->c.kind == TO_TGW)
		return true;
	if (s->c.kind == TO_GATE)
		return w->gate[s->c.at].kind == GATE_EIGW || w->gate[s->c.at].tracks;
	return s->eni >= 0 && nat_of_eni(w, s->eni);
}

/* NAT-18: the answer to what a NAT gateway sent over a peering goes back to it, route or not. */
static bool returns_to_nat(struct trip *t, struct step *s)
{
	const struct world *w = t->m->world;
	const struct mapping *f = nat_still(t, map_by_peering(t->m, &t->q));

	for (int i = 0; f && i < w->nr_peering; i++) {
		if (eni_number(w->peering[i].id) != f->peering || !w->peering[i].active ||
		    (w->peering[i].vpc[0] != t->vpc && w->peering[i].vpc[1] != t->vpc))
			continue;
		*s = (struct step){.c = {.kind = TO_PEERING, .at = i}, .eni = -1, .crosses = true};
		s->c.fail = peering_refuses(t, i);
		return true;
	}
	return false;
}

void walk_from_eni(struct trip *t, const struct eni *e)
{
	const struct world *w = t->m->world;
	const struct pkt *p = t->p;
	bool own = eni_owns(e, p->fam, &p->src), routed = !memcmp(p->raw, w->router_mac, 6);
	struct step s = {.eni = -1, .c = {.kind = TO_LOCAL}};

	t->from = e;
	t->refs = own ? e->vpc : REFS_NONE;
	if (!routed)
		s.eni = mac_owner(w, e, p->raw); /* L2-04 */
	else
		next_step(t, e->subnet, &s);
	if (routed && s.c.kind != TO_LOCAL && s.c.kind != TO_PEERING)
		returns_to_nat(t, &s);
	struct change *c = &t->v->change[0];
	uint64_t self = eni_owns(e, p->fam, &p->dst) ? BIT(WHY_L2) : 0;

	if (!track_judge(t->m, e, true, egress_refs(t, &s, own), p, c))
		return trip_drop(t, BIT(WHY_SG_EGRESS) | self);
	if (self)
		return trip_drop(t, self);
	if (e->endpoint && c->kind == CHANGE_OPEN)
		return trip_drop(t, BIT(WHY_ENDPOINT)); /* EP-05: only clients open */
	if (s.c.kind == TO_ENI || s.c.kind == TO_NAT)
		t->refs = REFS_NONE;
	c->always = is_always_tracked(w, &s) || e->endpoint; /* CT-06 */
	t->steps = 1;
	t->v->smac = s.crosses || s.c.kind != TO_LOCAL ? MAC_ROUTER : routed ? MAC_ANY : MAC_SENDER;
	if (!routed && nat_of_eni(w, s.eni) && model_pick(t->m, 2))
		return trip_drop(t, WHY_ANY); /* straight to the MAC of a NAT gateway: taken or not */
	take_step(t, e->subnet, &s);
}
