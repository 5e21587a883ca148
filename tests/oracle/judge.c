/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One packet's way through the VPC, in the order of SEMANTICS' notation block (PATH-15): header faults, security groups
 * out, route, network ACL out, gateway, network ACL in, destination check, security groups in.
 */
#include <stdlib.h>
#include <string.h>
#include "walk.h"

const char *const act_name[ACT_MAX] = {"drop", "deliver", "uplink", "pass", "reply", "tunnel"};
const char *const why_name[WHY_MAX] = {[WHY_ACCEPTED] = "accepted",
				       [WHY_MALFORMED] = "malformed",
				       [WHY_ETHERTYPE] = "ethertype",
				       [WHY_VLAN] = "vlan",
				       [WHY_FRAGMENT] = "fragment",
				       [WHY_IP_OPTIONS] = "ip-options",
				       [WHY_MARTIAN] = "martian",
				       [WHY_MULTICAST] = "multicast",
				       [WHY_L2] = "l2",
				       [WHY_MAC_SPOOF] = "mac-spoof",
				       [WHY_UNKNOWN_MAC] = "unknown-mac",
				       [WHY_SOURCE_CHECK] = "source-check",
				       [WHY_DEST_CHECK] = "dest-check",
				       [WHY_SG_EGRESS] = "sg-egress",
				       [WHY_SG_INGRESS] = "sg-ingress",
				       [WHY_NACL_EGRESS] = "nacl-egress",
				       [WHY_NACL_INGRESS] = "nacl-ingress",
				       [WHY_NO_ROUTE] = "no-route",
				       [WHY_BLACKHOLE] = "blackhole",
				       [WHY_NO_OWNER] = "no-owner",
				       [WHY_NOT_SERVED] = "not-served",
				       [WHY_IGW_NO_PUBLIC] = "igw-no-public-address",
				       [WHY_IGW_NO_OWNER] = "igw-no-owner",
				       [WHY_DENY_IGW] = "deny-igw",
				       [WHY_NO_POLICY] = "no-policy",
				       [WHY_RATE_LIMIT] = "rate-limit",
				       [WHY_BPA] = "bpa",
				       [WHY_PEERING] = "peering",
				       [WHY_TGW_ATTACHMENT] = "tgw-attachment",
				       [WHY_TGW_NO_ROUTE] = "tgw-no-route",
				       [WHY_TGW_BLACKHOLE] = "tgw-blackhole",
				       [WHY_VGW] = "vgw",
				       [WHY_EIGW] = "eigw-unsolicited",
				       [WHY_ENDPOINT] = "endpoint-scope",
				       [WHY_NAT_MAPPING] = "nat-no-mapping",
				       [WHY_NAT_PORT] = "nat-no-port",
				       [WHY_NAT_PROTOCOL] = "nat-protocol",
				       [WHY_NAT_HAIRPIN] = "nat-hairpin",
				       [WHY_TTL] = "ttl",
				       [WHY_MTU] = "mtu"};

/* One of n that the contract leaves open. The caller tries the choices one after the other. */
int model_pick(struct model *m, int n)
{
	int at = m->choice / m->choices % n;

	m->choices *= n;
	return at;
}

/* ---- header faults: those that hold of any IP packet, wherever it came from */

static uint64_t ip_faults(const struct pkt *p)
{
	uint64_t faults = 0;

	if (p->srcroute)
		faults |= BIT(WHY_IP_OPTIONS);
	if (p->foff && p->foff <= 16 && p->proto == P_TCP)
		faults |= BIT(WHY_FRAGMENT); /* A2 */
	if (is_martian(p->fam, &p->src))
		faults |= BIT(WHY_MARTIAN);
	if (p->itype >= 133 && p->itype <= 137 && p->fam == 6 && p->more)
		faults |= BIT(WHY_FRAGMENT); /* RFC 6980 */
	if (is_multicast(p->fam, &p->dst))
		faults |= BIT(WHY_MULTICAST) | BIT(WHY_L2) | BIT(WHY_MARTIAN);
	return faults;
}

/* RT-09, A13: loopback, link-local and the like lead nowhere; which stage says so is not fixed. */
static bool leads_nowhere(const struct pkt *p, struct verdict *v)
{
	if (!is_martian(p->fam, &p->dst) && (p->fam == 4 || get32(p->dst.b) != 0xfd000ec2))
		return false;
	verdict_drop(v, WHY_ANY);
	return true;
}

static int peer_by_mac(const struct world *w, const struct eni *e, const uint8_t *mac)
{
	for (int i = 0; i < w->nr_eni; i++)
		if (&w->eni[i] != e && w->eni[i].subnet == e->subnet && w->eni[i].live &&
		    !memcmp(w->eni[i].mac, mac, 6))
			return i;
	return -1;
}

/* Faults of what a guest sends. */
static uint64_t guest_faults(const struct world *w, const struct eni *e, const struct pkt *p)
{
	uint64_t faults = p->err ? BIT(p->err) : 0;

	if (p->n >= 14 && memcmp(p->raw + 6, e->mac, 6))
		faults |= BIT(WHY_MAC_SPOOF);
	if (p->n >= 14 && p->raw[0] & 1)
		faults |= BIT(WHY_MULTICAST) | BIT(WHY_L2); /* L2-01 */
	else if (!e->guard && p->n >= 14 && memcmp(p->raw, w->router_mac, 6)) {
		if (!memcmp(p->raw, e->mac, 6))
			faults |= WHY_ANY; /* to itself: which stage finds out is not fixed */
		else if (peer_by_mac(w, e, p->raw) < 0)
			faults |= BIT(WHY_UNKNOWN_MAC) | BIT(WHY_L2);
	}
	if (!p->fam)
		return faults;
	if (e->check && !eni_owns(e, p->fam, &p->src))
		faults |= BIT(WHY_SOURCE_CHECK);
	if (!e->check &&
	    (is_service(w, e, p->fam, &p->src) || is_router_address(w, e, p->fam, &p->src) || ip_eq(&p->src, &p->dst)))
		faults |= BIT(WHY_MARTIAN); /* A13: the own gateway, LAND */
	return faults | ip_faults(p);
}

/* ---- fragments (CT-18) */

static bool same_datagram(const struct datagram *d, int where, bool tx, const struct pkt *p)
{
	return d->where == where && d->tx == tx && d->fam == p->fam && d->proto == p->proto && d->id == p->fid &&
	       ip_eq(&d->src, &p->src) && ip_eq(&d->dst, &p->dst);
}

static struct datagram *datagram_find(struct model *m, int where, bool tx, const struct pkt *p)
{
	struct datagram **at = &m->datagrams;

	while (*at) {
		struct datagram *d = *at;

		if (d->expires <= m->now) {
			*at = d->next;
			free(d->verdict);
			free(d);
			continue;
		}
		if (same_datagram(d, where, tx, p))
			return d;
		at = &d->next;
	}
	return NULL;
}

static void judge_later_fragment(struct model *m, int where, bool tx, const struct pkt *p, struct verdict *v)
{
	const struct datagram *d = datagram_find(m, where, tx, p);

	if (!d) {
		verdict_drop(v, BIT(WHY_FRAGMENT));
	} else {
		*v = *d->verdict;
		memset(v->change, 0, sizeof(v->change));
		memset(&v->map, 0, sizeof(v->map));
		if (d->revision != m->revision) {
			v->others = 1u << ACT_DROP;
			v->reasons = WHY_ANY;
		}
		if (v->out.ttl_less >= p->ttl)
			verdict_drop(v, BIT(WHY_TTL));
	}
	v->later_fragment = true;
	v->first_fragment = false;
}

/* What a first fragment leaves behind that was let through. */
static void datagram_note(struct model *m, int where, bool tx, const struct pkt *p, const struct verdict *v)
{
	struct datagram *d = datagram_find(m, where, tx, p);

	if (!d) {
		d = calloc(1, sizeof(*d));
		d->verdict = malloc(sizeof(*v));
		*d = (struct datagram){.next = m->datagrams,
				       .where = where,
				       .tx = tx,
				       .fam = p->fam,
				       .proto = p->proto,
				       .src = p->src,
				       .dst = p->dst,
				       .id = p->fid,
				       .verdict = d->verdict};
		m->datagrams = d;
	}
	*d->verdict = *v;
	d->revision = m->revision;
	d->expires = m->now + 30 * NS;
}

/* ---- uplinks */

#define NAT_REASONS (BIT(WHY_NAT_MAPPING) | BIT(WHY_NAT_PROTOCOL) | BIT(WHY_FRAGMENT) | BIT(WHY_TTL))

/* An inside address that comes from outside: an ENI's or, from the internet, any of the VPC's CIDRs. */
static bool is_inside(const struct world *w, const struct gate *g, const struct pkt *p)
{
	struct ip ignored;

	return owner_of(w, g->vpc, p->fam, &p->src) >= 0 ||
	       (g->kind == GATE_IGW && vpc_has(w, g->vpc, p->fam, &p->src)) ||
	       (p->fam == 4 && public_owner(w, g->vpc, &p->src, &ignored) >= 0);
}

static void judge_uplink(struct model *m, const struct gate *g, const struct pkt *p, struct verdict *v)
{
	const struct world *w = m->world;
	uint64_t faults = (p->err ? BIT(p->err) : 0) | (p->fam ? ip_faults(p) : 0);
	struct trip t;

	if (neigh_uplink(m, g, p, v))
		return;
	if (p->n >= 14 && memcmp(p->raw, w->router_mac, 6) && memcmp(p->raw, "\xff\xff\xff\xff\xff\xff", 6))
		faults |= BIT(WHY_UNKNOWN_MAC) | BIT(WHY_L2) | (p->raw[0] & 1 ? BIT(WHY_MULTICAST) : 0);
	if (faults)
		return verdict_drop(v, faults);
	if (leads_nowhere(p, v))
		return;
	if (p->foff)
		return judge_later_fragment(m, eni_number(g->id), false, p, v);
	trip_begin(&t, m, v, p, g->vpc, g->id);
	walk_from_gate(&t, g);
	if (g->vpc < 0 || !is_inside(w, g, p))
		return;
	if (v->act != ACT_DROP)
		verdict_drop(v, BIT(WHY_MARTIAN));
	else if (owner_of(w, g->vpc, p->fam, &p->src) >= 0 || g->kind != GATE_IGW || v->reasons & NAT_REASONS)
		v->reasons |= BIT(WHY_MARTIAN);
}

/* ---- the way out of a guest, router mode */

static void judge_guest(struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	const struct world *w = m->world;
	struct trip t;

	if (neigh_port(m, e, p, v))
		return;
	uint64_t faults = guest_faults(w, e, p);

	if (faults)
		return verdict_drop(v, faults);
	if (leads_nowhere(p, v))
		return;
	if (p->foff) {
		judge_later_fragment(m, e->number, false, p, v);
		v->reasons |= eni_owns(e, p->fam, &p->dst) ? BIT(WHY_L2) : 0;
		return;
	}
	trip_begin(&t, m, v, p, e->vpc, e->id);
	walk_from_eni(&t, e);
}

/* ---- guard mode, and what the host itself sends toward a guest */

static void judge_guard(struct model *m, const struct eni *e, bool egress, bool tx, const struct pkt *p,
			struct verdict *v)
{
	const struct world *w = m->world;
	const struct subnet *s = &w->subnet[e->subnet];

	if (p->fam && neigh_guard(m, e, egress, p, v))
		return;
	if (!p->fam && p->etype == ET_ARP && neigh_guard(m, e, egress, p, v))
		return;
	uint64_t faults = egress ? guest_faults(w, e, p) : (p->err ? BIT(p->err) : 0) | (p->fam ? ip_faults(p) : 0);

	if (faults)
		return verdict_drop(v, faults);
	if (p->foff)
		return judge_later_fragment(m, e->number, tx, p, v);
	bool crosses = !subnet_has(s, p->fam, egress ? &p->dst : &p->src);

	if (!egress && crosses && !nacl_allows(w, s, false, p))
		return verdict_drop(v, BIT(WHY_NACL_INGRESS));
	if (!egress && e->check && !eni_owns(e, p->fam, &p->dst))
		return verdict_drop(v, BIT(WHY_DEST_CHECK));
	if (!track_judge(m, e, egress, e->vpc, p, &v->change[egress ? 0 : 1]))
		return verdict_drop(v, BIT(egress ? WHY_SG_EGRESS : WHY_SG_INGRESS));
	if (egress && crosses && !nacl_allows(w, s, true, p))
		return verdict_drop(v, BIT(WHY_NACL_EGRESS));
	v->act = ACT_PASS;
}

/* What the host's own stack sends toward a guest in router mode. */
static void judge_host(struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	judge_guard(m, e, false, true, p, v);
	if (v->act == ACT_PASS)
		v->others |= 1u << ACT_DELIVER;
}

/* Toward a guest, by the MAC of another ENI of its subnet, from an address that is not that one's. */
static bool in_anothers_name(const struct world *w, const struct eni *e, const struct pkt *p)
{
	int at = p->fam && p->n >= 14 ? peer_by_mac(w, e, p->raw + 6) : -1;

	return at >= 0 && !eni_owns(&w->eni[at], p->fam, &p->src);
}

/* ---- entry points */

static const struct eni *port_named(const struct world *w, const char *port)
{
	for (int i = 0; i < w->nr_eni; i++)
		if (w->eni[i].port && w->eni[i].compute && !strcmp(w->eni[i].id, port))
			return &w->eni[i];
	return NULL;
}

static const struct gate *uplink_named(const struct world *w, const char *port)
{
	for (int i = 0; i < w->nr_gate; i++)
		if (w->gate[i].uplink && !strcmp(w->gate[i].id, port))
			return &w->gate[i];
	return NULL;
}

void model_judge(struct model *m, const char *port, bool tx, const struct pkt *p, struct verdict *ret_verdict)
{
	const struct eni *e = port_named(m->world, port);
	const struct gate *g = uplink_named(m->world, port);
	struct verdict *v = ret_verdict;

	memset(v, 0, sizeof(*v));
	m->choices = 1;
	rewrite_none(p, &v->out);
	v->first_fragment = p->fam && p->more && !p->foff;
	if (e && e->live && e->guard)
		judge_guard(m, e, e->instance ? tx : !tx, tx, p, v);
	else if (e && e->live && tx)
		judge_host(m, e, p, v);
	else if (e && e->live)
		judge_guest(m, e, p, v);
	else if (g)
		judge_uplink(m, g, p, v);
	else
		verdict_drop(v, WHY_ANY); /* a port without an ENI or gateway any more */
	if (e && (e->guard || tx) && p->fam && is_martian(p->fam, &p->dst)) {
		v->others |= 1u << ACT_DROP;
		v->reasons = WHY_ANY;
	}
	if (e && e->guard && tx != e->instance && in_anothers_name(m->world, e, p)) {
		v->others |= 1u << ACT_DROP;
		v->reasons = WHY_ANY;
	}
	if (p->routing_header && v->act != ACT_DROP) {
		v->others |= 1u << ACT_DROP;
		v->reasons = BIT(WHY_IP_OPTIONS);
	} else if (p->routing_header) {
		v->reasons |= BIT(WHY_IP_OPTIONS);
	}
}

/* Do what the packet did, now that its fate is known (invariant 2). */
void model_commit(struct model *m, const char *port, bool tx, const struct pkt *p, const struct verdict *v,
		  bool dropped)
{
	const struct eni *e = port_named(m->world, port);
	const struct gate *g = uplink_named(m->world, port);

	if (v->act == ACT_REPLY && v->answer == ANSWER_RESET)
		track_reset(m, &v->change[0]);
	if (dropped || v->act == ACT_DROP || v->act == ACT_REPLY)
		return;
	if (v->first_fragment && !v->later_fragment && !p->err && (e || g))
		datagram_note(m, e ? e->number : eni_number(g->id), e && tx, p, v);
	for (int i = 0; i < 2; i++)
		track_commit(m, &v->change[i], p);
	map_commit(m, &v->map, p);
	if (e && !tx && p->fam)
		map_left(m, e->number, &v->map, p);
}

/* CT-20: what belongs to an ENI that is gone or detached goes with it. */
void model_apply(struct model *m, struct world *w)
{
	for (int i = 0; m->world && i < m->world->nr_eni; i++) {
		bool stays = false;

		for (int k = 0; k < w->nr_eni; k++)
			stays |= w->eni[k].number == m->world->eni[i].number && w->eni[k].live;
		if (!stays)
			track_forget(m, m->world->eni[i].number);
	}
	map_prune(m, w);
	world_free(m->world);
	m->world = w;
	m->revision++;
}

void model_done(struct model *m)
{
	track_clear(m);
	map_clear(m);
	while (m->datagrams) {
		struct datagram *d = m->datagrams;

		m->datagrams = d->next;
		free(d->verdict);
		free(d);
	}
	world_free(m->world);
	m->world = NULL;
}
