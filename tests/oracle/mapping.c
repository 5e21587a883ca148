/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What NAT gateways and egress-only gateways remember (NAT-03, 04, 08, 09, EIGW-02): one list, scanned. A mapping is
 * endpoint-dependent: client and server in full on the inside, the gateway's address and port on the outside.
 *
 * Which port a mapping gets is enid's choice. It is read from the packet that came out, and must fit (map_port_fits).
 */
#include <stdlib.h>
#include <string.h>
#include "oracle.h"

/* The tuple of a packet on the inside or outside of a gateway; of an ICMP error, that of the packet it quotes, turned.
 */
struct tuple {
	int fam, proto, qtype;
	struct ip near, far; /* near: the client's side */
	uint16_t near_port, far_port;
};

static void tuple_of(const struct pkt *p, bool outward, struct tuple *t)
{
	const struct ip *src = &p->src, *dst = &p->dst;
	uint16_t sport = p->sport, dport = p->dport;

	*t = (struct tuple){.fam = p->fam, .proto = p->proto, .qtype = p->qtype};
	if (p->has_inner) {
		src = &p->inner.dst;
		dst = &p->inner.src;
		sport = p->inner.dport;
		dport = p->inner.sport;
		t->proto = p->inner.proto;
		t->qtype = p->inner.qtype;
		if (t->qtype >= 0 && p->inner.qreply != outward)
			t->qtype = -2; /* a request from outside, a reply from inside: of no mapping */
	}
	if (!p->has_inner && t->qtype >= 0 && p->qreply == outward)
		t->qtype = -2;
	t->near = outward ? *src : *dst;
	t->far = outward ? *dst : *src;
	t->near_port = outward ? sport : dport;
	t->far_port = outward ? dport : sport;
	if (t->qtype >= 0)
		t->far_port = 0;
}

static bool fits(const struct mapping *f, const struct tuple *t)
{
	return f->fam == t->fam && f->proto == t->proto && f->qtype == t->qtype && f->remote_port == t->far_port &&
	       ip_eq(&f->remote, &t->far);
}

static bool is_live(const struct model *m, const struct mapping *f)
{
	return !f->ghost && f->expires >= m->now;
}

/* The mapping of a packet that comes from the client's side; that of this ENI's flow before another's (a middlebox may
 * send on what its client has sent itself, too). */
const struct mapping *map_inside(const struct model *m, int gate, int from, const struct pkt *p)
{
	const struct mapping *other = NULL;
	struct tuple t;

	tuple_of(p, true, &t);
	for (const struct mapping *f = m->mappings; f; f = f->next)
		if (f->gate == gate && is_live(m, f) && fits(f, &t) && ip_eq(&f->client, &t.near) &&
		    f->client_port == t.near_port) {
			if (f->from == from)
				return f;
			other = f;
		}
	return other;
}

/* The mapping of a packet that comes from the world. */
const struct mapping *map_outside(const struct model *m, int gate, const struct pkt *p)
{
	struct tuple t;

	tuple_of(p, false, &t);
	for (const struct mapping *f = m->mappings; f; f = f->next)
		if (f->gate == gate && is_live(m, f) && fits(f, &t) && ip_eq(&f->addr, &t.near) &&
		    f->port == t.near_port)
			return f;
	return NULL;
}

/* NAT-18: the mapping whose packets left by a peering, and which this packet answers. */
const struct mapping *map_by_peering(const struct model *m, const struct pkt *p)
{
	struct tuple t;

	tuple_of(p, false, &t);
	for (const struct mapping *f = m->mappings; f; f = f->next)
		if (f->peering >= 0 && is_live(m, f) && fits(f, &t) && ip_eq(&f->addr, &t.near) &&
		    f->port == t.near_port)
			return f;
	return NULL;
}

static bool same_outside(const struct mapping *a, const struct mapping *b)
{
	return a->fam == b->fam && a->proto == b->proto && a->qtype == b->qtype && a->gate == b->gate &&
	       ip_eq(&a->addr, &b->addr) && ip_eq(&a->remote, &b->remote) && a->remote_port == b->remote_port;
}

/* How a mapping of this outside name stands: 0 free, 1 maybe still held (just ended), 2 another's and alive. */
static int port_state(const struct model *m, const struct mapping *want, uint16_t port)
{
	int state = 0;

	for (const struct mapping *f = m->mappings; f; f = f->next) {
		bool own = f->from == want->from && ip_eq(&f->client, &want->client) &&
			   f->client_port == want->client_port;

		if (!same_outside(f, want) || f->port != port)
			continue;
		if (!is_live(m, f) || f->elsewhere)
			state = state ? state : 1;
		else
			state = own && f->tcp.closing ? 1 : 2;
		if (state == 2)
			break;
	}
	return state;
}

/* A new mapping. Translating ones may get any port that is free, and have the one that came out if it fits; the
 * client's own, if that is free and has a right number. */
void map_open(const struct model *m, int gate, int from, const struct ip *addr, const struct pkt *p,
	      struct map_change *ret_change)
{
	struct map_change *c = ret_change;
	struct tuple t;

	tuple_of(p, true, &t);
	memset(c, 0, sizeof(*c));
	c->kind = CHANGE_OPEN;
	c->outward = true;
	c->map = (struct mapping){.gate = gate,
				  .from = from,
				  .fam = t.fam,
				  .proto = t.proto,
				  .qtype = t.qtype,
				  .client = t.near,
				  .remote = t.far,
				  .addr = addr ? *addr : t.near,
				  .client_port = t.near_port,
				  .remote_port = t.far_port,
				  .port = t.near_port,
				  .peering = -1};
	c->map.tcp.phase = tcp_opens(p);
	c->port_free = addr != NULL;
	if (!c->port_free)
		return;
	c->kept = t.near_port >= 1024 && port_state(m, &c->map, t.near_port) == 0;
	bool usable = c->map.qtype >= 0 || t.near_port >= 1024;

	if (m->seen_port >= 0 && !map_port_fits(m, c, (uint16_t)m->seen_port)) {
		c->map.port = (uint16_t)m->seen_port;
		return;
	}
	for (unsigned port = 1024; (!usable || port_state(m, &c->map, c->map.port) == 2) && port < 65536; port++) {
		c->map.port = (uint16_t)port;
		usable = true;
	}
}

void map_touch(const struct mapping *f, bool outward, struct map_change *ret_change)
{
	memset(ret_change, 0, sizeof(*ret_change));
	ret_change->kind = CHANGE_TOUCH;
	ret_change->outward = outward;
	ret_change->map = *f;
}

/* NAT-03: what is wrong with the port that enid chose, or NULL. Identifiers of echoes may have any value. */
const char *map_port_fits(const struct model *m, const struct map_change *c, uint16_t port)
{
	if (c->kept)
		return port == c->map.client_port ? NULL : "the client's port is free and was not kept (NAT-03)";
	if (port < 1024 && c->map.qtype < 0)
		return "a NAT port below 1024 (NAT-03)";
	return port_state(m, &c->map, port) == 2 ? "the NAT port belongs to a live mapping (NAT-04)" : NULL;
}

/* ---- what a packet does to its mapping */

/* NAT-08, NAT-09. */
static int64_t idle_time(const struct mapping *f)
{
	if (f->tcp.closing)
		return 60;
	return f->proto == P_TCP && tcp_half_open(&f->tcp) ? 60 : 350;
}

static struct mapping *stored(struct model *m, const struct mapping *like)
{
	for (struct mapping *f = m->mappings; f; f = f->next)
		if (same_outside(f, like) && ip_eq(&f->client, &like->client) && f->client_port == like->client_port &&
		    f->from == like->from)
			return f;
	return NULL;
}

void map_commit(struct model *m, const struct map_change *c, const struct pkt *p)
{
	struct mapping *f;

	if (c->kind == CHANGE_NONE || p->has_inner)
		return; /* CT-15: an error refreshes nothing */
	f = stored(m, &c->map);
	if (f)
		f->elsewhere = false;
	if (c->kind == CHANGE_OPEN) {
		if (!f) {
			f = malloc(sizeof(*f));
			*f = c->map;
			f->next = m->mappings;
			m->mappings = f;
		} else {
			struct mapping *next = f->next;

			*f = c->map;
			f->next = next;
		}
	}
	if (!f || f->tcp.closing)
		return; /* the 60 s count from the closing packet */
	if (p->proto == P_TCP)
		tcp_advance(&f->tcp, p, c->outward, c->kind == CHANGE_OPEN);
	f->expires = m->now + idle_time(f) * NS;
}

/* The client's packets take another way by now: whether the gateway still knows the flow is not fixed. */
void map_left(struct model *m, int from, const struct map_change *c, const struct pkt *p)
{
	struct tuple t;

	if (p->has_inner)
		return;
	tuple_of(p, true, &t);
	for (struct mapping *f = m->mappings; f; f = f->next)
		if (f->from == from && is_live(m, f) && fits(f, &t) && ip_eq(&f->client, &t.near) &&
		    f->client_port == t.near_port && (c->kind == CHANGE_NONE || c->map.gate != f->gate))
			f->elsewhere = true;
}

/* ---- edits: what belongs to a gateway, an address or a client that is gone goes, but its port may stay taken */

static bool still_there(const struct world *w, const struct mapping *f)
{
	for (int i = 0; i < w->nr_nat; i++)
		for (int k = 0; w->nat[i].number == f->gate && k < w->nat[i].nr_addr; k++)
			if ((w->nat[i].available || w->nat[i].deleting) && ip_eq(&w->nat[i].addr[k], &f->addr))
				return true;
	for (int i = 0; i < w->nr_gate; i++)
		if (w->gate[i].kind == GATE_EIGW && w->gate[i].vpc >= 0 && eni_number(w->gate[i].id) == f->gate)
			return true;
	return false;
}

void map_prune(struct model *m, const struct world *w)
{
	for (struct mapping **at = &m->mappings; *at;) {
		struct mapping *f = *at;

		f->ghost |= !still_there(w, f);
		if (f->expires + 600 * NS > m->now) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		free(f);
	}
}

void map_clear(struct model *m)
{
	while (m->mappings) {
		struct mapping *f = m->mappings;

		m->mappings = f->next;
		free(f);
	}
}
