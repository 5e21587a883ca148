/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet on its way meets everywhere: drops, limits, hops, translation, the end. */
#include <stdio.h>
#include <string.h>
#include "walk.h"

void trip_drop(struct trip *t, uint64_t reasons)
{
	verdict_drop(t->v, reasons);
}

void trip_begin(struct trip *t, struct model *m, struct verdict *v, const struct pkt *p, int vpc, const char *by)
{
	*t = (struct trip){.m = m, .v = v, .p = p, .q = *p, .vpc = vpc, .refs = REFS_NONE, .peering = -1, .by = by};
}

bool trip_nacl(struct trip *t, int subnet, bool egress)
{
	const struct world *w = t->m->world;

	if (nacl_allows(w, &w->subnet[subnet], egress, &t->q))
		return true;
	trip_drop(t, BIT(egress ? WHY_NACL_EGRESS : WHY_NACL_INGRESS));
	return false;
}

/* Other addresses, in the quoted packet, too (IGW-05). */
void trip_translate(struct trip *t, const struct ip *src, const struct ip *dst)
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
void trip_limit(struct trip *t, int mtu, bool told)
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
	trip_drop(t, BIT(WHY_MTU));
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

void trip_leave(struct trip *t, enum act act, const char *to)
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
bool trip_spend_ttl(struct trip *t, const struct nat *n)
{
	t->ttl_less++;
	if (t->p->ttl > t->ttl_less)
		return true;
	trip_drop(t, BIT(WHY_TTL));
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
bool trip_ends_early(struct trip *t, const struct nat *n)
{
	if (t->p->ttl > t->ttl_less + 1 || model_pick(t->m, 2))
		return false;
	return !trip_spend_ttl(t, n);
}

void trip_clamp(struct trip *t, int v4)
{
	int mss = t->p->fam == 4 ? v4 : v4 - 20;

	if (!t->mss || mss < t->mss)
		t->mss = mss;
}

int trip_sender(const struct trip *t)
{
	return t->from ? t->from->number : -1;
}

bool is_syn(const struct pkt *q)
{
	return q->proto == P_TCP && (q->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}
