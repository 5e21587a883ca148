/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways with an uplink: out of the VPC by them, and in. */
#include <stdio.h>
#include <string.h>
#include "walk.h"

/* RT-18..RT-20: by the gateway's table if it has one, else to the owner. */
static void come_in(struct trip *t, const struct gate *g)
{
	const struct world *w = t->m->world;
	struct ip dst = t->q.dst;
	struct route_choice c;
	int at;

	if (g->kind == GATE_IGW && t->q.fam == 4)
		at = public_owner(w, g->vpc, &t->q.dst, &dst);
	else
		at = owner_of(w, g->vpc, t->q.fam, &t->q.dst);
	if (at < 0)
		return trip_drop(
			t, BIT(WHY_IGW_NO_OWNER) |
				   (t->q.fam == 6 || g->kind != GATE_IGW ? BIT(WHY_NO_OWNER) | BIT(WHY_NO_ROUTE) : 0) |
				   (g->kind == GATE_VGW ? BIT(WHY_VGW) : 0) | (w->bpa ? BIT(WHY_BPA) : 0));
	const struct nat *n = nat_of_eni(w, at);
	uint64_t bad = 0;

	if (g->kind == GATE_IGW && t->q.fam == 6 && w->eni[at].deny_igw)
		bad |= BIT(WHY_DENY_IGW);
	if (g->kind == GATE_IGW && bpa_blocks(w, g->vpc, w->eni[at].subnet, !n))
		bad |= BIT(WHY_BPA);
	if (g->kind == GATE_EIGW && bpa_blocks(w, g->vpc, w->eni[at].subnet, false))
		bad |= BIT(WHY_BPA);
	if (bad)
		return trip_drop(t, bad);
	trip_translate(t, &t->q.src, &dst);
	if (n && g->kind == GATE_IGW)
		trip_clamp(t, 1460);
	if (g->table < 0)
		return walk_arrive(t, at, true);
	route_choose(w, g->vpc, g->table, &t->q, &c);
	if (c.fail || (c.kind != TO_LOCAL && c.kind != TO_ENI))
		return trip_drop(t, c.fail ? c.fail : WHY_ANY);
	walk_arrive(t, c.kind == TO_ENI ? c.at : at, true);
}

/* ---- gateways out of the VPC */

static bool is_unique_local(const struct ip *ip)
{
	return (ip->b[0] & 0xfe) == 0xfc; /* V6-01: never on the internet */
}

/* IGW-10: an own address that is not for the VPC alone */
static bool is_public6(const struct world *w, const struct gate *g, const struct ip *ip)
{
	return !is_unique_local(ip) && owner_of(w, g->vpc, 6, ip) >= 0;
}

static void leave_by_uplink(struct trip *t, const struct gate *g)
{
	trip_limit(t, g->mtu, true);
	t->v->smac = MAC_ANY;
	trip_leave(t, ACT_UPLINK, g->id);
}

/* VPC-18: whose the source is, wherever it comes from last. */
static const struct eni *who_has(const struct trip *t, const struct gate *g, int *subnet)
{
	int at = owner_of(t->m->world, g->vpc, t->q.fam, &t->q.src);

	if (at < 0 || t->by_nat)
		return t->from;
	*subnet = t->m->world->eni[at].subnet;
	return &t->m->world->eni[at];
}

static void out_by_igw(struct trip *t, const struct gate *g, int subnet)
{
	const struct world *w = t->m->world;
	struct ip src = t->q.src, dst = t->q.dst;
	const struct eni *who = who_has(t, g, &subnet);
	uint64_t bad = 0;

	if (t->q.fam == 6 && who && who->deny_igw)
		bad |= BIT(WHY_DENY_IGW);
	if (bpa_blocks(w, g->vpc, subnet, !t->by_nat))
		bad |= BIT(WHY_BPA);
	if (t->by_tgw && !t->by_nat)
		bad |= BIT(WHY_IGW_NO_PUBLIC); /* IGW-08: no transit */
	if (t->q.fam == 4 ? !public_of(w, g->vpc, &t->q.src, &src) : !is_public6(w, g, &t->q.src))
		bad |= BIT(WHY_IGW_NO_PUBLIC); /* beside a block: nothing says which comes first */
	if (bad)
		return trip_drop(t, bad);
	if (t->by_nat)
		trip_clamp(t, 1460);
	bool hairpin = t->q.fam == 4 && public_owner(w, g->vpc, &t->q.dst, &dst) >= 0;

	trip_translate(t, &src, &t->q.dst);
	trip_limit(t, 1500, true); /* IGW-09 */
	if (!hairpin)
		return leave_by_uplink(t, g);
	t->refs = REFS_NONE;
	come_in(t, g); /* IGW-11 */
}

static void out_by_eigw(struct trip *t, const struct gate *g, int subnet)
{
	const struct pkt *q = &t->q;
	int number = eni_number(g->id);

	who_has(t, g, &subnet);
	if (bpa_blocks(t->m->world, g->vpc, subnet, false))
		return trip_drop(t, BIT(WHY_BPA) | (q->fam == 4 ? WHY_ANY : 0));
	if (q->fam == 4 || !is_public6(t->m->world, g, &q->src) || t->by_tgw)
		return trip_drop(t, q->fam == 4 ? WHY_ANY : BIT(WHY_IGW_NO_PUBLIC)); /* V6-01, IGW-08 */
	bool other;
	const struct mapping *f = nat_mapping_of(t, number, &other);
	bool syn = is_syn(q);
	bool opens = q->proto != P_ICMP6 || (q->qtype >= 0 && !q->qreply);

	bool reset = q->proto == P_TCP && q->flags & TCP_RST;

	if (!f && other && !reset)
		return trip_drop(t, BIT(WHY_NAT_PORT) | BIT(WHY_EIGW));
	if (q->has_inner && !ip_eq(&q->inner.src, &q->dst))
		f = NULL;
	if (f && !(f->tcp.closing && syn))
		map_touch(f, true, &t->v->map);
	else if (opens && !reset)
		map_open(t->m, number, trip_sender(t), NULL, q, &t->v->map);
	else if (!reset && model_pick(t->m, 2))
		return trip_drop(t, BIT(WHY_EIGW)); /* an error or a reply that belongs to nothing: out or not */
	t->tracked = true;
	trip_limit(t, 1500, true);
	leave_by_uplink(t, gate_exit(t->m->world, g));
}

/* VGW-03: the connection with the longest prefix, one that has an uplink first; without an own one, by its gateway's.
 * NULL: nobody has the destination. */
static const struct gate *exit_of_vgw(const struct world *w, const struct gate *vgw, const struct pkt *q, bool listed)
{
	const struct gate *best = listed || vgw->any_site ? vgw : NULL;
	int len = -1;

	for (int i = 0; i < w->nr_gate; i++) {
		const struct gate *c = &w->gate[i], *out = c->uplink ? c : vgw;

		if (c->vgw != vgw - w->gate)
			continue;
		for (int k = 0; k < c->nr_site; k++) {
			if (!cidr_has(&c->site[k], q->fam, &q->dst) || c->site[k].len < len)
				continue;
			if (c->site[k].len == len && best->uplink)
				continue;
			best = out;
			len = c->site[k].len;
		}
		if (c->any_site && len < 0)
			best = out;
	}
	return best;
}

static void leave_by_vgw(struct trip *t, const struct gate *vgw, const struct gate *out)
{
	if (!out->uplink)
		return trip_drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_VGW));
	if (vgw->vpn) {
		trip_clamp(t, 1406);
		trip_limit(t, 1446, 0); /* VGW-05: what is larger vanishes */
	}
	leave_by_uplink(t, out);
}

void gate_out(struct trip *t, const struct gate *g, const struct route_choice *c, int subnet)
{
	if (g->kind == GATE_IGW)
		return out_by_igw(t, g, subnet);
	if (g->kind == GATE_EIGW)
		return out_by_eigw(t, g, subnet);
	if (g->kind == GATE_ENDPOINT) {
		if (t->by_tgw)
			return trip_drop(t, BIT(WHY_ENDPOINT)); /* EP-03 */
		t->tracked |= g->tracks;
		return leave_by_uplink(t, g);
	}
	if (trip_ends_early(t, NULL))
		return;
	const struct gate *out = exit_of_vgw(t->m->world, g, &t->q, c->listed);

	if (t->q.fam != 4 || !out)
		return trip_drop(t, BIT(WHY_VGW));
	if (t->by_tgw && model_pick(t->m, 2))
		return trip_drop(t, BIT(WHY_VGW)); /* on from a transit gateway to a private one: carried or not */
	if (!trip_spend_ttl(t, NULL))
		return;
	leave_by_vgw(t, g, out);
}

/* ---- in by a gateway */

static bool in_by_eigw(struct trip *t, const struct gate *g)
{
	const struct mapping *f = t->q.fam == 6 ? nat_still(t, map_outside(t->m, eni_number(g->id), &t->q)) : NULL;

	if (!f || (f->tcp.closing && is_syn(&t->q)) || (t->q.has_inner && !ip_eq(&t->q.inner.src, &t->q.dst)) ||
	    (t->q.qtype >= 0 && !t->q.qreply && !t->q.has_inner)) {
		trip_drop(t, t->q.fam == 6 ? BIT(WHY_EIGW) | (t->m->world->bpa ? BIT(WHY_BPA) : 0) : WHY_ANY);
		return false;
	}
	int at = owner_of(t->m->world, g->vpc, 6, &t->q.dst);

	if (at >= 0 && bpa_blocks(t->m->world, g->vpc, t->m->world->eni[at].subnet, false)) {
		trip_drop(t, BIT(WHY_BPA)); /* IGW-12: before the gateway knows of it */
		return false;
	}
	map_touch(f, false, &t->v->map);
	t->tracked = true;
	return true;
}

/* Whether a prefix list that some table of the VPC sends to the endpoint holds the source. */
static bool serves(const struct world *w, const struct gate *g, const struct pkt *q)
{
	for (int t = 0; t < w->nr_table; t++)
		for (int i = 0; w->table[t].vpc == g->vpc && i < w->table[t].nr_route; i++) {
			const struct route *r = &w->table[t].route[i];

			for (int l = 0; !strcmp(r->target, g->id) && l < w->nr_list; l++)
				for (int k = 0; !strcmp(w->list[l].id, r->list) && k < w->list[l].nr_cidr; k++)
					if (cidr_has(&w->list[l].cidr[k], q->fam, &q->src))
						return true;
		}
	return false;
}

/* VGW-06: from site to site. Nothing turns round. */
static void between_sites(struct trip *t, const struct gate *g)
{
	const struct world *w = t->m->world;
	const struct gate *vgw = g->vgw < 0 ? g : &w->gate[g->vgw];
	const struct gate *out = t->q.fam == 4 ? exit_of_vgw(w, vgw, &t->q, false) : NULL;

	if (!out || out == g)
		return trip_drop(t, t->q.fam == 6 ? WHY_ANY : BIT(WHY_VGW));
	if (trip_spend_ttl(t, NULL))
		leave_by_vgw(t, vgw, out);
}

/* An egress-only gateway that shares the uplink of an internet gateway: what it sent out comes back there. */
static void back_to_eigw(struct trip *t, const struct gate *igw)
{
	const struct world *w = t->m->world;

	for (int i = 0; t->q.fam == 6 && i < w->nr_gate; i++) {
		const struct gate *g = &w->gate[i];
		const struct mapping *f;

		if (g->kind != GATE_EIGW || g->vpc != igw->vpc || g->uplink)
			continue;
		f = map_outside(t->m, eni_number(g->id), &t->q);
		if (!f || f->elsewhere)
			continue;
		map_touch(f, false, &t->v->map);
		t->tracked = true;
	}
}

/* EP-01: a service opens nothing. */
static void only_answers(struct trip *t)
{
	const struct verdict *v = t->v;

	if (v->act == ACT_DROP)
		t->v->reasons |= BIT(WHY_ENDPOINT);
	else if (t->q.has_inner ? !v->change[1].related && !model_pick(t->m, 2)
				: v->change[1].kind != CHANGE_TOUCH || is_syn(&t->q))
		trip_drop(t, BIT(WHY_ENDPOINT));
}

void walk_from_gate(struct trip *t, const struct gate *g)
{
	if (g->vpc < 0)
		return trip_drop(t, WHY_ANY);
	t->v->smac = MAC_ROUTER;
	if (g->kind == GATE_EIGW && !in_by_eigw(t, g))
		return;
	if (g->kind == GATE_VGW && (t->q.fam != 4 || !vpc_has(t->m->world, g->vpc, 4, &t->q.dst)))
		return between_sites(t, g);
	if (g->kind == GATE_VGW && !trip_spend_ttl(t, NULL))
		return;
	if (g->vpn)
		trip_clamp(t, 1406);
	if (g->kind == GATE_ENDPOINT && !serves(t->m->world, g, &t->q))
		return trip_drop(t, BIT(WHY_ENDPOINT)); /* EP-04 */
	t->tracked |= g->tracks;
	if (g->kind == GATE_IGW)
		back_to_eigw(t, g);
	come_in(t, g);
	if (g->kind == GATE_ENDPOINT)
		only_answers(t);
}
