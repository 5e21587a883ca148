/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT gateways (NAT-01..NAT-27). */
#include <stdio.h>
#include <string.h>
#include "walk.h"

/* A mapping whose client sends the flow by another way by now is still there or not. */
const struct mapping *nat_still(struct trip *t, const struct mapping *f)
{
	return f && f->elsewhere && !model_pick(t->m, 2) ? NULL : f;
}

/* The mapping that an outgoing packet belongs to. Another ENI's, if it sent the same tuple: taken for this one's or
 * not. */
const struct mapping *nat_mapping_of(struct trip *t, int gate, bool *ret_other)
{
	const struct mapping *f = nat_still(t, map_inside(t->m, gate, trip_sender(t), &t->q));

	*ret_other = f && f->from != trip_sender(t);
	return *ret_other && !model_pick(t->m, 2) ? NULL : f;
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
		trip_drop(t, bad);
	t->by_nat = true;
	return !bad;
}

/* NACL-09, NACL-12: what the gateway answers leaves its subnet, passes that by which the packet came to it, and comes
 * into the sender's, where these differ. */
static bool answer_crosses(const struct trip *t, const struct nat *n)
{
	const struct world *w = t->m->world;
	int home = t->from ? t->from->subnet : -1;
	struct pkt answer = t->q;

	answer.src = t->q.dst;
	answer.dst = t->p->src;
	answer.sport = t->p->dport;
	answer.dport = t->p->sport;
	if (n->subnet >= 0 && n->subnet != home && !nacl_allows(w, &w->subnet[n->subnet], true, &answer))
		return false;
	if (t->before != home && t->before != n->subnet && !nacl_allows(w, &w->subnet[t->before], false, &answer))
		return false;
	return home < 0 || home == n->subnet || nacl_allows(w, &w->subnet[home], false, &answer);
}

/* NAT-08, NAT-09: TCP that is not an opening, and no mapping. */
static void nat_refuse(struct trip *t, const struct nat *n)
{
	if (t->q.proto != P_TCP)
		return trip_drop(t, BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_PROTOCOL));
	struct change entry = t->v->change[0];

	trip_drop(t, BIT(WHY_NAT_MAPPING));
	if (t->q.flags & TCP_RST || !answer_crosses(t, n))
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
void nat_outward(struct trip *t, const struct nat *n)
{
	bool syn = is_syn(&t->q);
	struct map_change *c = &t->v->map;

	if (trip_ends_early(t, n) || !nat_takes(t, n, true))
		return;
	bool other;
	const struct mapping *f = nat_mapping_of(t, n->number, &other);

	if (f && f->tcp.closing && syn)
		f = NULL;
	if (!trip_spend_ttl(t, n))
		return;
	if (!f && !t->q.has_inner && !syn && t->q.proto == P_TCP)
		return nat_refuse(t, n);
	if (!f && (t->q.has_inner || !n->available || !n->nr_addr))
		return trip_drop(t, t->q.has_inner ? BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_PROTOCOL)
						   : BIT(WHY_BLACKHOLE)); /* NAT-24 */
	if (f)
		map_touch(f, true, c);
	else
		map_open(t->m, n->number, trip_sender(t), nat_address(t, n), &t->q, c);
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
	trip_translate(t, &addr, &t->q.dst);
	t->tracked = true;
	t->refs = REFS_NONE;
	t->vpc = n->vpc;
	trip_clamp(t, 8460);
	walk_on(t, n->subnet);
}

/* To the gateway's address: back to the client, if it is an answer. */
void nat_inward(struct trip *t, const struct nat *n)
{
	if (trip_ends_early(t, n) || !nat_takes(t, n, false))
		return;
	const struct mapping *f = nat_still(t, map_outside(t->m, n->number, &t->q));

	if (f && f->tcp.closing && is_syn(&t->q))
		f = NULL; /* NAT-10: nobody outside opens anything */
	if (!trip_spend_ttl(t, n)) {
		t->v->reasons |= f ? 0 : BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_HAIRPIN);
		return;
	}
	if (!f)
		return trip_drop(t, BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_HAIRPIN));
	if (t->from && !eni_owns(t->from, t->p->fam, &t->p->src) && model_pick(t->m, 2))
		return trip_drop(t, BIT(WHY_NAT_MAPPING) |
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
	trip_translate(t, &t->q.src, &f->client);
	t->tracked = true;
	t->refs = REFS_NONE;
	t->vpc = n->vpc;
	trip_clamp(t, 8460);
	walk_on(t, n->subnet);
}
