/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups, network ACLs and routes, each as a scan over the list that the state holds. */
#include <string.h>
#include "oracle.h"

const struct own_ip *eni_ip(const struct eni *e, int fam, const struct ip *ip)
{
	for (int i = 0; i < e->nr_ip; i++)
		if (e->ip[i].fam == fam && ip_eq(&e->ip[i].ip, ip))
			return &e->ip[i];
	return NULL;
}

/* ENI-06: own addresses are the listed ones and all of the delegated prefixes. */
bool eni_owns(const struct eni *e, int fam, const struct ip *ip)
{
	if (eni_ip(e, fam, ip))
		return true;
	for (int i = 0; i < e->nr_prefix; i++)
		if (cidr_has(&e->prefix[i], fam, ip))
			return true;
	return false;
}

int owner_of(const struct world *w, int vpc, int fam, const struct ip *ip)
{
	for (int i = 0; i < w->nr_eni; i++)
		if (w->eni[i].vpc == vpc && w->eni[i].live && eni_owns(&w->eni[i], fam, ip))
			return i;
	return -1;
}

/* IGW-04: who has this public address in the VPC. */
int public_owner(const struct world *w, int vpc, const struct ip *public, struct ip *ret_private)
{
	for (int i = 0; i < w->nr_eni; i++) {
		const struct eni *e = &w->eni[i];

		if (e->vpc != vpc || !e->live)
			continue;
		for (int k = 0; k < e->nr_ip; k++) {
			if (!e->ip[k].has_public || !ip_eq(&e->ip[k].public, public))
				continue;
			*ret_private = e->ip[k].ip;
			return i;
		}
	}
	return -1;
}

/* IGW-03: the public address of a private one; whose ENI sends the packet is not asked (PATH-08). */
bool public_of(const struct world *w, int vpc, const struct ip *private, struct ip *ret_public)
{
	for (int i = 0; i < w->nr_eni; i++) {
		const struct own_ip *own =
			w->eni[i].vpc == vpc && w->eni[i].live ? eni_ip(&w->eni[i], 4, private) : NULL;

		if (!own)
			continue;
		if (own->has_public)
			*ret_public = own->public;
		return own->has_public;
	}
	return false;
}

bool subnet_has(const struct subnet *s, int fam, const struct ip *ip)
{
	for (int i = 0; i < s->nr_cidr; i++)
		if (cidr_has(&s->cidr[i], fam, ip))
			return true;
	return false;
}

/* ---- network ACLs */

static bool entry_matches(const struct nacl_entry *e, const struct pkt *p)
{
	if (!cidr_has(&e->cidr, p->fam, e->egress ? &p->dst : &p->src))
		return false;
	if (e->proto == -1)
		return true;
	if (e->proto != p->proto)
		return false;
	if (p->proto == P_TCP || p->proto == P_UDP)
		return !e->ports || (p->dport >= e->from && p->dport <= e->to); /* NACL-06 */
	if (p->itype < 0)
		return true; /* NACL-07, and NACL-08: 58 over IPv4 is all types */
	return (e->type == -1 || e->type == p->itype) && (e->type == -1 || e->code == -1 || e->code == p->icode);
}

/* NACL-02: the lowest number that matches decides; NACL-03: else deny. */
bool nacl_allows(const struct world *w, const struct subnet *s, bool egress, const struct pkt *p)
{
	const struct nacl_entry *best = NULL;

	if (s->nacl < 0)
		return true;
	const struct nacl *n = &w->nacl[s->nacl];

	for (int i = 0; i < n->nr_entry; i++) {
		const struct nacl_entry *e = &n->entry[i];

		if (e->egress == egress && (!best || e->number < best->number) && entry_matches(e, p))
			best = e;
	}
	return best && best->allow;
}

/* ---- routes */

struct candidate {
	const struct route *route;
	enum route_rank rank;
	int len;
};

/* RT-02, RT-03, RT-08: longer, then better origin, then the lower list id. */
static bool beats(const struct candidate *a, const struct candidate *b)
{
	if (!b->route)
		return true;
	if (a->len != b->len)
		return a->len > b->len;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	return a->rank == RANK_LIST && strcmp(a->route->list, b->route->list) < 0;
}

static void consider(const struct route *r, const struct cidr *c, const struct pkt *p, struct candidate *best)
{
	struct candidate now = {r, r->propagated ? RANK_PROPAGATED : *r->list ? RANK_LIST : RANK_STATIC, c->len};

	if (cidr_has(c, p->fam, &p->dst) && beats(&now, best))
		*best = now;
}

static void consider_list(const struct world *w, const struct route *r, const struct pkt *p, struct candidate *best)
{
	for (int l = 0; l < w->nr_list; l++)
		for (int i = 0; !strcmp(w->list[l].id, r->list) && i < w->list[l].nr_cidr; i++)
			consider(r, &w->list[l].cidr[i], p, best);
}

/* VPC-05: each CIDR of the VPC has a local route in each table, listed or not, unless the table re-targets it (RT-06).
 */
static const struct cidr *local_cidr(const struct vpc *v, const struct pkt *p)
{
	for (int i = 0; i < v->nr_cidr; i++)
		if (cidr_has(&v->cidr[i], p->fam, &p->dst))
			return &v->cidr[i];
	return NULL;
}

static int find_id(const struct world *w, const struct route *r)
{
	int nr = r->kind == TO_ENI       ? w->nr_eni
		 : r->kind == TO_GATE    ? w->nr_gate
		 : r->kind == TO_NAT     ? w->nr_nat
		 : r->kind == TO_PEERING ? w->nr_peering
		 : r->kind == TO_TGW     ? w->nr_tgw
					 : 0;

	for (int i = 0; i < nr; i++) {
		const char *id = r->kind == TO_ENI       ? w->eni[i].id
				 : r->kind == TO_GATE    ? w->gate[i].id
				 : r->kind == TO_NAT     ? w->nat[i].id
				 : r->kind == TO_PEERING ? w->peering[i].id
							 : w->tgw[i].id;

		if (!strcmp(id, r->target))
			return i;
	}
	return -1;
}

static uint64_t nat_usable(const struct world *w, int vpc, const struct nat *n)
{
	if (n->vpc != vpc || !(n->available || n->deleting))
		return BIT(WHY_BLACKHOLE);
	if (n->eni < 0)
		return BIT(WHY_BLACKHOLE) | BIT(WHY_NOT_SERVED);
	return w->eni[n->eni].port ? 0 : BIT(WHY_NOT_SERVED);
}

static bool is_attached(const struct world *w, int vpc, int tgw)
{
	for (int i = 0; i < w->nr_attachment; i++)
		if (w->attachment[i].vpc == vpc && w->attachment[i].tgw == tgw && w->attachment[i].available)
			return true;
	return false;
}

/* Where what leaves by the gateway goes: an egress-only one without an uplink has that of the VPC's internet gateway.
 */
const struct gate *gate_exit(const struct world *w, const struct gate *g)
{
	for (int i = 0; g->kind == GATE_EIGW && !g->uplink && i < w->nr_gate; i++)
		if (w->gate[i].kind == GATE_IGW && w->gate[i].vpc == g->vpc && w->gate[i].uplink)
			return &w->gate[i];
	return g->uplink ? g : NULL;
}

/* RT-28: a target that is gone, of another VPC or not in use makes the route a blackhole. */
static uint64_t target_fails(const struct world *w, int vpc, enum target_kind kind, int at)
{
	if (kind == TO_LOCAL)
		return 0;
	if (at < 0)
		return BIT(WHY_BLACKHOLE);
	if (kind == TO_ENI)
		return w->eni[at].live && w->eni[at].vpc == vpc ? 0 : BIT(WHY_BLACKHOLE);
	if (kind == TO_GATE)
		return w->gate[at].vpc != vpc         ? BIT(WHY_BLACKHOLE)
		       : w->gate[at].kind == GATE_VGW ? 0 /* the way out depends on the site */
		       : gate_exit(w, &w->gate[at])   ? 0
						      : BIT(WHY_NOT_SERVED);
	if (kind == TO_NAT)
		return nat_usable(w, vpc, &w->nat[at]);
	if (kind == TO_PEERING)
		return w->peering[at].active && (w->peering[at].vpc[0] == vpc || w->peering[at].vpc[1] == vpc)
			       ? 0
			       : BIT(WHY_BLACKHOLE);
	if (!w->tgw[at].available)
		return BIT(WHY_BLACKHOLE);
	return is_attached(w, vpc, at) ? 0 : BIT(WHY_BLACKHOLE) | BIT(WHY_TGW_ATTACHMENT);
}

static void choose_target(const struct world *w, int vpc, const struct route *r, struct route_choice *c)
{
	c->kind = r->kind;
	c->at = find_id(w, r);
	c->listed = r->propagated;
	c->fail = r->blackhole ? BIT(WHY_BLACKHOLE) : target_fails(w, vpc, r->kind, c->at);
}

/* Where a table (-1: local routes only) of a VPC sends the packet. */
void route_choose(const struct world *w, int vpc, int table, const struct pkt *p, struct route_choice *ret_choice)
{
	static const struct route implied = {.kind = TO_LOCAL};
	const struct cidr *local = local_cidr(&w->vpc[vpc], p);
	struct candidate best = {0};
	const struct table *t = table < 0 ? NULL : &w->table[table];

	for (int i = 0; t && i < t->nr_route; i++) {
		const struct route *r = &t->route[i];

		if (r->filtered || (r->propagated && local))
			continue; /* RT-11, RT-04 */
		if (*r->list)
			consider_list(w, r, p, &best);
		else
			consider(r, &r->cidr, p, &best);
	}
	if (local && (!best.route || best.len < local->len || (best.len == local->len && best.rank != RANK_STATIC)))
		best = (struct candidate){&implied, RANK_STATIC, local->len};
	*ret_choice = (struct route_choice){TO_NOTHING, BIT(WHY_NO_ROUTE), -1, false};
	if (best.route)
		choose_target(w, vpc, best.route, ret_choice);
}

bool vpc_has(const struct world *w, int vpc, int fam, const struct ip *ip)
{
	for (int i = 0; vpc >= 0 && i < w->vpc[vpc].nr_cidr; i++)
		if (cidr_has(&w->vpc[vpc].cidr[i], fam, ip))
			return true;
	return false;
}

/* TGW-05: longer, then static, by a prefix list, propagated. */
bool tgw_choose(const struct world *w, int table, const struct pkt *p, struct tgw_route *ret_route)
{
	const struct tgw_table *t = &w->tgw_table[table];
	const struct tgw_route *best = NULL;

	for (int i = 0; i < t->nr_route; i++) {
		const struct tgw_route *r = &t->route[i];

		if (cidr_has(&r->cidr, p->fam, &p->dst) &&
		    (!best || r->cidr.len > best->cidr.len || (r->cidr.len == best->cidr.len && r->rank < best->rank)))
			best = r;
	}
	if (best)
		*ret_route = *best;
	return best;
}

const struct nat *nat_of_eni(const struct world *w, int eni)
{
	for (int i = 0; i < w->nr_nat; i++)
		if (w->nat[i].eni == eni && (w->nat[i].available || w->nat[i].deleting))
			return &w->nat[i];
	return NULL;
}

/* VPC-18. `direct`: not by a NAT gateway or an egress-only gateway, which ingress blocking spares. */
bool bpa_blocks(const struct world *w, int vpc, int subnet, bool direct)
{
	enum bpa_mode mode = bpa_mode(w->vpc[vpc].bpa, w->bpa);

	for (int i = 0; i < w->nr_exclusion; i++) {
		const struct exclusion *x = &w->exclusion[i];

		if (strcmp(x->id, w->vpc[vpc].id) && (subnet < 0 || strcmp(x->id, w->subnet[subnet].id)))
			continue;
		if (x->bidirectional)
			return false;
		mode = mode == BPA_OFF ? BPA_OFF : BPA_INGRESS;
	}
	return mode == BPA_BIDIRECTIONAL || (mode == BPA_INGRESS && direct);
}

/* ---- security groups */

static bool is_all_addresses(const struct sg_rule *r, int fam)
{
	return r->kind == PEER_CIDR && r->cidr.fam == fam && r->cidr.len == 0;
}

/* SG-14, SG-17: a private address of an ENI that carries the group, in the VPC where the peer is. */
static bool is_member(const struct world *w, int vpc, const char *group, int fam, const struct ip *ip)
{
	for (int i = 0; i < w->nr_eni; i++) {
		const struct eni *e = &w->eni[i];

		if (e->vpc != vpc || !eni_owns(e, fam, ip))
			continue;
		for (int k = 0; k < e->nr_group; k++)
			if (!strcmp(e->group[k], group))
				return true;
	}
	return false;
}

static bool peer_matches(const struct world *w, const struct sg_rule *r, int refs, const struct pkt *p)
{
	const struct ip *peer = r->egress ? &p->dst : &p->src;

	if (r->kind == PEER_CIDR)
		return cidr_has(&r->cidr, p->fam, peer);
	if (r->kind == PEER_GROUP)
		return refs >= 0 && is_member(w, refs, r->ref, p->fam, peer);
	for (int l = 0; l < w->nr_list; l++)
		for (int i = 0; !strcmp(w->list[l].id, r->ref) && i < w->list[l].nr_cidr; i++)
			if (cidr_has(&w->list[l].cidr[i], p->fam, peer))
				return true;
	return false;
}

static bool service_matches(const struct sg_rule *r, const struct pkt *p)
{
	if (r->proto == -1)
		return true;
	if (r->proto != p->proto)
		return false;
	if (r->proto == P_ICMP || r->proto == P_ICMP6) {
		if (p->itype < 0)
			return false; /* SG-10: icmp is IPv4 only, icmpv6 IPv6 only */
		return (r->from == -1 || r->from == p->itype) && (r->from == -1 || r->to == -1 || r->to == p->icode);
	}
	if (r->proto != P_TCP && r->proto != P_UDP)
		return true; /* SG-09 */
	return (r->from == -1 && r->to == -1) || (p->dport >= r->from && p->dport <= r->to);
}

/* CT-03 (b): one rule of the other direction for all addresses and all ports. */
static bool covers_everything(const struct sg_rule *r, const struct pkt *p)
{
	if (!is_all_addresses(r, p->fam))
		return false;
	if (r->proto == -1)
		return true;
	return r->proto == p->proto && ((r->from == -1 && r->to == -1) || (r->from == 0 && r->to == 65535));
}

void sg_judge(const struct world *w, const struct eni *e, bool egress, int refs, const struct pkt *p,
	      struct sg_verdict *ret_verdict)
{
	bool admitted = false, by_all = false, back = false;

	for (int i = 0; i < e->nr_group; i++) {
		for (int g = 0; g < w->nr_group; g++) {
			if (strcmp(w->group[g].id, e->group[i]))
				continue;
			for (int k = 0; k < w->group[g].nr_rule; k++) {
				const struct sg_rule *r = &w->group[g].rule[k];

				if (r->egress != egress) {
					back |= covers_everything(r, p);
				} else if (service_matches(r, p) && peer_matches(w, r, refs, p)) {
					admitted = true;
					by_all |= is_all_addresses(r, p->fam);
				}
			}
		}
	}
	ret_verdict->admitted = admitted;
	ret_verdict->untracked = by_all && back && (p->proto == P_TCP || p->proto == P_UDP);
}
