/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a subnet to the next: routes, network ACLs and gateways until the packet is delivered, leaves or dies. Each
 * place it comes to changes struct trip; where it ends the verdict is made.
 */
#include <string.h>
#include "walk.h"

static void go(struct trip *t, int subnet);

static void drop(struct trip *t, uint64_t reasons)
{
	verdict_drop(t->v, reasons);
}

void trip_begin(struct trip *t, struct model *m, struct verdict *v, const struct pkt *p, int vpc, const char *by)
{
	*t = (struct trip){.m = m, .v = v, .p = p, .q = *p, .vpc = vpc, .refs = REFS_NONE, .peering = -1, .by = by};
}

static bool nacl(struct trip *t, int subnet, bool egress)
{
	const struct world *w = t->m->world;

	if (nacl_allows(w, &w->subnet[subnet], egress, &t->q))
		return true;
	drop(t, BIT(egress ? WHY_NACL_EGRESS : WHY_NACL_INGRESS));
	return false;
}

/* Other addresses, in the quoted packet, too (IGW-05). */
static void translate(struct trip *t, const struct ip *src, const struct ip *dst)
{
	struct pkt *q = &t->q;

	if (q->has_inner && ip_eq(&q->inner.src, &q->dst))
		q->inner.src = *dst;
	if (q->has_inner && ip_eq(&q->inner.dst, &q->src))
		q->inner.dst = *src;
	q->src = *src;
	q->dst = *dst;
}

/* The smallest limit on the way counts, and with it whether the sender is told. */
static void limit(struct trip *t, int mtu, bool told)
{
	if (!mtu || (t->mtu && mtu >= t->mtu))
		return;
	t->mtu = mtu;
	t->told = told;
}

static bool answers_allowed(const struct pkt *p)
{
	return !p->foff && (p->itype < 0 || p->qtype >= 0);
}

/* The router's address in the sender's subnet. */
static struct ip router_of(const struct trip *t)
{
	const struct subnet *s = &t->m->world->subnet[t->from->subnet];
	struct ip router = {0};

	for (int i = 0; i < s->nr_cidr; i++) {
		if (s->cidr[i].fam != t->p->fam)
			continue;
		router = s->cidr[i].ip;
		router.b[t->p->fam == 4 ? 3 : 15] += 1;
	}
	return router;
}

/* CT-14: the answer is let in by the flow, if it is tracked, or by a rule. */
static bool answer_admitted(struct trip *t, const struct change *opened, const struct ip *src)
{
	struct pkt error = {
		.fam = t->p->fam, .src = *src, .dst = t->p->src, .qtype = -1, .icode = t->p->fam == 4 ? 4 : 0};
	struct sg_verdict sg;

	error.proto = error.fam == 4 ? P_ICMP : P_ICMP6;
	error.itype = error.fam == 4 ? 3 : 2;
	sg_judge(t->m->world, t->from, false, REFS_NONE, &error, &sg);
	return track_is_tracked(t->m, opened) || sg.admitted;
}

/* MTU-02: to a guest from its router, to who is outside from the address that it sent to. */
static bool too_big(struct trip *t)
{
	struct verdict *v = t->v;
	struct change opened = v->change[0];
	struct ip from = t->p->dst;

	if (!t->mtu || t->p->end - 14 <= t->mtu)
		return false;
	drop(t, BIT(WHY_MTU));
	if (!t->told || !answers_allowed(t->p))
		return true;
	if (t->from)
		from = router_of(t);
	if (t->from && !answer_admitted(t, &opened, &from))
		return true;
	v->act = ACT_REPLY;
	v->answer = ANSWER_TOO_BIG;
	v->answer_mtu = t->mtu;
	v->nr_answer_src = 1;
	v->answer_src[0] = from;
	v->by_uplink = !t->from;
	snprintf(v->to, sizeof(v->to), "%s", t->by);
	return true;
}

static void leave(struct trip *t, enum act act, const char *to)
{
	struct rewrite *o = &t->v->out;

	if (too_big(t))
		return;

	t->v->act = act;
	snprintf(t->v->to, sizeof(t->v->to), "%s", to);
	*o = (struct rewrite){.src = t->q.src,
			      .dst = t->q.dst,
			      .sport = t->q.sport,
			      .dport = t->q.dport,
			      .isrc = t->q.inner.src,
			      .idst = t->q.inner.dst,
			      .isport = t->q.inner.sport,
			      .idport = t->q.inner.dport,
			      .ttl_less = t->ttl_less,
			      .mss = t->mss};
	t->v->map.map.peering = t->peering;
}

/* One hop less; the last one tells the sender or does not (NAT-20, L2-07). */
static bool spend_ttl(struct trip *t, const struct nat *n)
{
	t->ttl_less++;
	if (t->p->ttl > t->ttl_less)
		return true;
	drop(t, BIT(WHY_TTL));
	if (!answers_allowed(t->p))
		return false;
	t->v->others = 1u << ACT_REPLY;
	t->v->answer = ANSWER_TTL;
	t->v->nr_answer_src = 0;
	if (n) { /* NAT-20: at most as often as MTU-02 allows */
		t->v->act = ACT_REPLY;
		t->v->others = 1u << ACT_DROP;
		t->v->by_uplink = !t->from;
		snprintf(t->v->to, sizeof(t->v->to), "%s", t->by);
	}
	for (int i = 0; n && t->from && i < n->nr_addr && i < (int)ARRAY_SIZE(t->v->answer_src); i++)
		t->v->answer_src[t->v->nr_answer_src++] = n->addr[i];
	return false;
}

/* A packet at its end may be found out before anything else is asked about it, or after. */
static bool ends_early(struct trip *t, const struct nat *n)
{
	if (t->p->ttl > t->ttl_less + 1 || model_pick(t->m, 2))
		return false;
	return !spend_ttl(t, n);
}

static void clamp(struct trip *t, int v4)
{
	int mss = t->p->fam == 4 ? v4 : v4 - 20;

	if (!t->mss || mss < t->mss)
		t->mss = mss;
}

/* ---- the end: an ENI */

static void deliver(struct trip *t, int at, bool crosses)
{
	const struct eni *e = &t->m->world->eni[at];
	struct change *c = &t->v->change[1];

	bool served = e->port && !e->guard && e->compute;

	if (crosses && !nacl(t, e->subnet, false)) {
		t->v->reasons |= served ? 0 : BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER);
		return;
	}
	if (e->check && !eni_owns(e, t->q.fam, &t->q.dst))
		return drop(t, BIT(WHY_DEST_CHECK));
	if (!track_judge(t->m, e, false, t->refs, &t->q, c))
		return drop(t, BIT(WHY_SG_INGRESS));
	c->always = t->tracked || e->endpoint;
	limit(t, e->mtu, true);
	if (!served)
		return drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER));
	leave(t, ACT_DELIVER, e->id);
	memcpy(t->v->dmac, e->mac, 6);
}

/* ---- NAT gateways */

static bool is_syn(const struct pkt *q)
{
	return q->proto == P_TCP && (q->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

static int from_number(const struct trip *t)
{
	return t->from ? t->from->number : -1;
}

/* A mapping whose client sends the flow by another way by now is still there or not. */
static const struct mapping *still(struct trip *t, const struct mapping *f)
{
	return f && f->elsewhere && !model_pick(t->m, 2) ? NULL : f;
}

/* The mapping that an outgoing packet belongs to. Another ENI's, if it sent the same tuple: taken for this one's or
 * not. */
static const struct mapping *mapping_of(struct trip *t, int gate, bool *ret_other)
{
	const struct mapping *f = still(t, map_inside(t->m, gate, from_number(t), &t->q));

	*ret_other = f && f->from != from_number(t);
	return *ret_other && model_pick(t->m, 2) ? NULL : f;
}

static bool nat_takes(struct trip *t, const struct nat *n, bool outward)
{
	const struct pkt *q = &t->q;
	uint64_t bad = 0;

	if (q->fam != 4 || (q->proto != P_TCP && q->proto != P_UDP && q->proto != P_ICMP))
		bad |= BIT(WHY_NAT_PROTOCOL);
	bool other_query = q->qtype > 8 && q->qreply != outward && model_pick(t->m, 2); /* NAT-12 says echo */

	if (q->proto == P_ICMP && !q->has_inner && !other_query && (q->qtype != 8 || q->qreply == outward))
		bad |= BIT(WHY_NAT_PROTOCOL) | BIT(WHY_NAT_MAPPING) | BIT(WHY_NOT_SERVED);
	if (q->proto != P_UDP && (q->more || q->foff))
		bad |= BIT(WHY_FRAGMENT) | BIT(WHY_NAT_PROTOCOL); /* NAT-11 */
	if (q->has_inner && !ip_eq(&q->inner.src, &q->dst))
		bad |= BIT(WHY_NAT_PROTOCOL) | BIT(WHY_NAT_MAPPING);
	if (bad && !outward)
		bad |= BIT(WHY_NAT_HAIRPIN);
	if (!bad && t->by_nat)
		bad = WHY_ANY; /* a second translation of one packet: not served */
	struct ip ignored;
	bool own = owner_of(t->m->world, n->vpc, q->fam, &q->dst) == n->eni ||
		   (q->fam == 4 && public_owner(t->m->world, n->vpc, &q->dst, &ignored) == n->eni);

	if (outward && own)
		bad |= BIT(WHY_NAT_HAIRPIN) | BIT(WHY_NAT_MAPPING); /* NAT-26 */
	if (bad)
		drop(t, bad);
	t->by_nat = true;
	return !bad;
}

/* NAT-08, NAT-09: TCP that is not an opening, and no mapping. */
static void nat_refuse(struct trip *t)
{
	if (t->q.proto != P_TCP)
		return drop(t, BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_PROTOCOL));
	struct change entry = t->v->change[0];

	drop(t, BIT(WHY_NAT_MAPPING));
	if (t->q.flags & TCP_RST)
		return;
	t->v->change[0] = entry;
	t->v->act = ACT_REPLY;
	t->v->answer = ANSWER_RESET;
	snprintf(t->v->to, sizeof(t->v->to), "%s", t->from ? t->from->id : "");
}

static const struct ip *nat_address(struct trip *t, const struct nat *n)
{
	return &n->addr[n->nr_addr > 1 ? model_pick(t->m, n->nr_addr) : 0];
}

/* From the clients' side: the source becomes the gateway's address and a port. */
static void nat_outward(struct trip *t, const struct nat *n)
{
	bool syn = is_syn(&t->q);
	struct map_change *c = &t->v->map;

	if (ends_early(t, n) || !nat_takes(t, n, true))
		return;
	bool other;
	const struct mapping *f = mapping_of(t, n->number, &other);

	if (f && f->closing && syn)
		f = NULL;
	if (!spend_ttl(t, n))
		return;
	if (!f && !t->q.has_inner && !syn && t->q.proto == P_TCP)
		return nat_refuse(t);
	if (!f && (t->q.has_inner || !n->available || !n->nr_addr))
		return drop(t, t->q.has_inner ? BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_PROTOCOL)
					      : BIT(WHY_BLACKHOLE)); /* NAT-24 */
	if (f)
		map_touch(f, true, c);
	else
		map_open(t->m, n->number, from_number(t), nat_address(t, n), &t->q, c);
	struct ip addr = c->map.addr;

	if (t->q.has_inner) {
		t->q.inner.dport = c->map.port;
		if (t->q.inner.qtype >= 0)
			t->q.inner.sport = c->map.port;
	} else {
		t->q.sport = c->map.port;
		if (t->q.qtype >= 0)
			t->q.dport = c->map.port;
	}
	translate(t, &addr, &t->q.dst);
	t->tracked = true;
	t->refs = REFS_NONE;
	t->vpc = n->vpc;
	clamp(t, 8460);
	go(t, n->subnet);
}

/* To the gateway's address: back to the client, if it is an answer. */
static void nat_inward(struct trip *t, const struct nat *n)
{
	if (ends_early(t, n) || !nat_takes(t, n, false))
		return;
	const struct mapping *f = still(t, map_outside(t->m, n->number, &t->q));

	if (f && f->closing && is_syn(&t->q))
		f = NULL; /* NAT-10: nobody outside opens anything */
	if (!spend_ttl(t, n)) {
		t->v->reasons |= f ? 0 : BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_HAIRPIN);
		return;
	}
	if (!f)
		return drop(t, BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_HAIRPIN));
	if (t->from && !eni_owns(t->from, t->p->fam, &t->p->src) && model_pick(t->m, 2))
		return drop(t, BIT(WHY_NAT_MAPPING) |
				       BIT(WHY_NAT_HAIRPIN)); /* sent on by somebody else: an answer or not */
	map_touch(f, false, &t->v->map);
	if (t->q.has_inner) {
		t->q.inner.sport = f->client_port;
		if (t->q.inner.qtype >= 0)
			t->q.inner.dport = f->client_port;
	} else {
		t->q.dport = f->client_port;
		if (t->q.qtype >= 0)
			t->q.sport = f->client_port;
	}
	translate(t, &t->q.src, &f->client);
	t->tracked = true;
	t->refs = REFS_NONE;
	t->vpc = n->vpc;
	clamp(t, 8460);
	go(t, n->subnet);
}

/* At an ENI's door: a guest's, or a NAT gateway's. */
static void arrive(struct trip *t, int at, bool crosses)
{
	const struct world *w = t->m->world;
	const struct nat *n = nat_of_eni(w, at);

	if (!n)
		return deliver(t, at, crosses);
	if (!w->eni[at].port)
		return drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_NO_OWNER));
	if (crosses && !nacl(t, w->eni[at].subnet, false))
		return;
	nat_inward(t, n);
}

/* Local delivery in the VPC where the packet is. */
static void arrive_at_owner(struct trip *t)
{
	int at = owner_of(t->m->world, t->vpc, t->q.fam, &t->q.dst);

	if (at < 0)
		return drop(t, BIT(WHY_NO_OWNER));
	arrive(t, at, true);
}

/* ---- gateways out of the VPC */

static bool is_unique_local(const struct ip *ip)
{
	return (ip->b[0] & 0xfe) == 0xfc; /* V6-01: never on the internet */
}

static void leave_by_uplink(struct trip *t, const struct gate *g)
{
	limit(t, g->mtu, true);
	t->v->smac = MAC_ANY;
	leave(t, ACT_UPLINK, g->id);
}

static void come_in(struct trip *t, const struct gate *g);

static void out_by_igw(struct trip *t, const struct gate *g, int subnet)
{
	const struct world *w = t->m->world;
	struct ip src = t->q.src, dst = t->q.dst;
	uint64_t bad = 0;

	if (t->q.fam == 6 && t->from && t->from->deny_igw)
		bad |= BIT(WHY_DENY_IGW);
	if (bpa_blocks(w, g->vpc, subnet, !t->by_nat))
		bad |= BIT(WHY_BPA);
	if (t->by_tgw && !t->by_nat)
		bad |= BIT(WHY_IGW_NO_PUBLIC); /* IGW-08: no transit */
	if (bad)
		return drop(t, bad);
	if (t->q.fam == 4 ? !public_of(w, g->vpc, &t->q.src, &src) : is_unique_local(&t->q.src))
		return drop(t, BIT(WHY_IGW_NO_PUBLIC));
	if (t->by_nat)
		clamp(t, 1460);
	bool hairpin = t->q.fam == 4 && public_owner(w, g->vpc, &t->q.dst, &dst) >= 0;

	translate(t, &src, &t->q.dst);
	limit(t, 1500, true); /* IGW-09 */
	if (!hairpin)
		return leave_by_uplink(t, g);
	t->refs = REFS_NONE;
	come_in(t, g); /* IGW-11 */
}

static void out_by_eigw(struct trip *t, const struct gate *g, int subnet)
{
	const struct pkt *q = &t->q;
	int number = eni_number(g->id);

	if (bpa_blocks(t->m->world, g->vpc, subnet, false))
		return drop(t, BIT(WHY_BPA) | (q->fam == 4 ? WHY_ANY : 0));
	if (q->fam == 4 || is_unique_local(&q->src) || t->by_tgw)
		return drop(t, q->fam == 4 ? WHY_ANY : BIT(WHY_IGW_NO_PUBLIC)); /* V6-01, IGW-08 */
	bool other;
	const struct mapping *f = mapping_of(t, number, &other);
	bool syn = is_syn(q);
	bool opens = q->proto != P_ICMP6 || (q->qtype >= 0 && !q->qreply);

	if (!f && other)
		return drop(t, BIT(WHY_NAT_PORT) | BIT(WHY_EIGW));
	if (q->has_inner && !ip_eq(&q->inner.src, &q->dst))
		f = NULL;
	if (f && !(f->closing && syn))
		map_touch(f, true, &t->v->map);
	else if (opens)
		map_open(t->m, number, from_number(t), NULL, q, &t->v->map);
	else if (model_pick(t->m, 2))
		return drop(t, BIT(WHY_EIGW)); /* an error or a reply that belongs to nothing: out or not */
	t->tracked = true;
	limit(t, 1500, true);
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
		return drop(t, BIT(WHY_NOT_SERVED) | BIT(WHY_VGW));
	if (vgw->vpn) {
		clamp(t, 1406);
		limit(t, 1446, 0); /* VGW-05: what is larger vanishes */
	}
	leave_by_uplink(t, out);
}

static void out_by_gate(struct trip *t, const struct gate *g, const struct route_choice *c, int subnet)
{
	if (g->kind == GATE_IGW)
		return out_by_igw(t, g, subnet);
	if (g->kind == GATE_EIGW)
		return out_by_eigw(t, g, subnet);
	if (g->kind == GATE_ENDPOINT) {
		if (t->by_tgw)
			return drop(t, BIT(WHY_ENDPOINT)); /* EP-03 */
		t->tracked |= g->tracks;
		return leave_by_uplink(t, g);
	}
	if (ends_early(t, NULL))
		return;
	const struct gate *out = exit_of_vgw(t->m->world, g, &t->q, c->listed);

	if (t->q.fam != 4 || !out)
		return drop(t, BIT(WHY_VGW));
	if (t->by_tgw && model_pick(t->m, 2))
		return drop(t, BIT(WHY_VGW)); /* on from a transit gateway to a private one: carried or not */
	if (!spend_ttl(t, NULL))
		return;
	leave_by_vgw(t, g, out);
}

/* ---- between VPCs */

static void over_peering(struct trip *t, int at)
{
	const struct world *w = t->m->world;
	const struct peering *x = &w->peering[at];

	t->vpc = x->vpc[0] == t->vpc ? x->vpc[1] : x->vpc[0];
	t->peering = eni_number(x->id);
	if (x->far)
		limit(t, 8500, false); /* PCX-07 */
	arrive_at_owner(t);
}

static uint64_t peering_refuses(struct trip *t, int at)
{
	const struct peering *x = &t->m->world->peering[at];
	int far = x->vpc[0] == t->vpc ? x->vpc[1] : x->vpc[0];

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
		return drop(t, BIT(WHY_TGW_ATTACHMENT)); /* TGW-04 */
	if (!nacl(t, enter, false))
		return;
	if (ends_early(t, NULL))
		return;
	if (in->table < 0)
		return drop(t, BIT(WHY_TGW_ATTACHMENT) | BIT(WHY_TGW_NO_ROUTE));
	if (!tgw_choose(w, in->table, &t->q, &r))
		return drop(t, BIT(WHY_TGW_NO_ROUTE));
	out = r.attachment < 0 ? NULL : &w->attachment[r.attachment];
	if (r.blackhole || !out || !out->available || out->vpc < 0 || !out->nr_subnet)
		return drop(t, BIT(WHY_TGW_BLACKHOLE));
	if (!spend_ttl(t, NULL))
		return;
	clamp(t, 8460);
	limit(t, 8500, true); /* TGW-13 */
	t->tracked = true;
	t->by_tgw = true;
	t->vpc = out->vpc;
	if (!w->tgw[at].refs || !in->refs || !out->refs)
		t->refs = REFS_NONE; /* SG-17 */
	go(t, exit_subnet(t, out, az));
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

	if (s->c.fail & BIT(WHY_VGW) && ends_early(t, NULL))
		return;
	if (s->c.fail) { /* whether the NACL speaks before or after is not fixed for all of these */
		bool by_table = s->c.fail == BIT(WHY_NO_ROUTE) || s->c.fail == BIT(WHY_BLACKHOLE);
		uint64_t also = by_table ? 0 : BIT(WHY_NACL_EGRESS);
		bool denied = s->crosses && !nacl_allows(w, &w->subnet[subnet], true, &t->q);

		return drop(t, s->c.fail | (denied ? also : 0));
	}
	if (s->crosses && !nacl(t, subnet, true))
		return;
	if (s->c.kind == TO_LOCAL || s->c.kind == TO_ENI)
		return arrive(t, s->eni, s->crosses);
	if (s->c.kind == TO_PEERING)
		return over_peering(t, s->c.at);
	if (s->c.kind == TO_TGW)
		return over_tgw(t, s->c.at, subnet);
	if (s->c.kind == TO_GATE)
		return out_by_gate(t, &w->gate[s->c.at], &s->c, subnet);
	n = &w->nat[s->c.at];
	if (s->crosses && !nacl(t, n->subnet, false))
		return;
	nat_outward(t, n);
}

static void go(struct trip *t, int subnet)
{
	struct step s;

	if (++t->steps > 8)
		return drop(t, WHY_ANY); /* D10: it goes round */
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
	const struct mapping *f = still(t, map_by_peering(t->m, &t->q));

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
		return drop(t, BIT(WHY_SG_EGRESS) | self);
	if (self)
		return drop(t, self);
	if (e->endpoint && c->kind == CHANGE_OPEN)
		return drop(t, BIT(WHY_ENDPOINT)); /* EP-05: only clients open */
	if (s.c.kind == TO_ENI || s.c.kind == TO_NAT)
		t->refs = REFS_NONE;
	c->always = is_always_tracked(w, &s) || e->endpoint; /* CT-06 */
	t->steps = 1;
	t->v->smac = s.crosses || s.c.kind != TO_LOCAL ? MAC_ROUTER : routed ? MAC_ANY : MAC_SENDER;
	if (!routed && nat_of_eni(w, s.eni) && model_pick(t->m, 2))
		return drop(t, WHY_ANY); /* straight to the MAC of a NAT gateway: taken or not */
	take_step(t, e->subnet, &s);
}

/* ---- in by a gateway */

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
		return drop(t,
			    BIT(WHY_IGW_NO_OWNER) |
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
		return drop(t, bad);
	translate(t, &t->q.src, &dst);
	if (n && g->kind == GATE_IGW)
		clamp(t, 1460);
	if (g->table < 0)
		return arrive(t, at, true);
	route_choose(w, g->vpc, g->table, &t->q, &c);
	if (c.fail || (c.kind != TO_LOCAL && c.kind != TO_ENI))
		return drop(t, c.fail ? c.fail : WHY_ANY);
	arrive(t, c.kind == TO_ENI ? c.at : at, true);
}

static bool in_by_eigw(struct trip *t, const struct gate *g)
{
	const struct mapping *f = t->q.fam == 6 ? still(t, map_outside(t->m, eni_number(g->id), &t->q)) : NULL;

	if (!f || (f->closing && is_syn(&t->q)) || (t->q.has_inner && !ip_eq(&t->q.inner.src, &t->q.dst)) ||
	    (t->q.qtype >= 0 && !t->q.qreply && !t->q.has_inner)) {
		drop(t, t->q.fam == 6 ? BIT(WHY_EIGW) | (t->m->world->bpa ? BIT(WHY_BPA) : 0) : WHY_ANY);
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
		return drop(t, t->q.fam == 6 ? WHY_ANY : BIT(WHY_VGW));
	if (spend_ttl(t, NULL))
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

void walk_from_gate(struct trip *t, const struct gate *g)
{
	if (g->vpc < 0)
		return drop(t, WHY_ANY);
	t->v->smac = MAC_ROUTER;
	if (g->kind == GATE_EIGW && !in_by_eigw(t, g))
		return;
	if (g->kind == GATE_VGW && (t->q.fam != 4 || !vpc_has(t->m->world, g->vpc, 4, &t->q.dst)))
		return between_sites(t, g);
	if (g->kind == GATE_VGW && !spend_ttl(t, NULL))
		return;
	if (g->vpn)
		clamp(t, 1406);
	if (g->kind == GATE_ENDPOINT && !serves(t->m->world, g, &t->q))
		return drop(t, BIT(WHY_ENDPOINT)); /* EP-04 */
	t->tracked |= g->tracks;
	if (g->kind == GATE_IGW)
		back_to_eigw(t, g);
	come_in(t, g);
}
