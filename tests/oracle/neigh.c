/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fabric answers or consumes itself: ARP, neighbour discovery, DHCP, link-local services, the router's own
 * addresses (L2-01..L2-07, SG-22, RT-14).
 */
#include <string.h>
#include "oracle.h"

#define CONSUMED (BIT(WHY_L2) | BIT(WHY_MULTICAST) | BIT(WHY_MARTIAN))

void verdict_drop(struct verdict *v, uint64_t reasons)
{
	v->act = ACT_DROP;
	v->others = 0;
	v->reasons = reasons;
	memset(v->change, 0, sizeof(v->change));
	memset(&v->map, 0, sizeof(v->map));
}

static void answer(struct verdict *v, enum answer what, const char *to, const uint8_t *mac)
{
	v->act = ACT_REPLY;
	v->answer = what;
	snprintf(v->to, sizeof(v->to), "%s", to);
	memcpy(v->answer_mac, mac, 6);
}

static const struct subnet *subnet_of(const struct world *w, const struct eni *e)
{
	return &w->subnet[e->subnet];
}

/* Base + offset of a CIDR. */
static void nth(const struct cidr *c, int offset, struct ip *ret_ip)
{
	*ret_ip = c->ip;
	ret_ip->b[c->fam == 4 ? 3 : 15] += (uint8_t)offset;
}

static bool is_link_local(const struct ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

static bool is_zero(const struct ip *ip)
{
	static const struct ip zero;

	return ip_eq(ip, &zero);
}

/* VPC-13: +1 of the subnet, ::1 of it, fe80:ec2::1 and the router's own link-local. */
bool is_router_address(const struct world *w, const struct eni *e, int fam, const struct ip *ip)
{
	const struct subnet *s = subnet_of(w, e);
	struct ip a;

	for (int i = 0; i < s->nr_cidr; i++) {
		nth(&s->cidr[i], 1, &a);
		if (s->cidr[i].fam == fam && ip_eq(&a, ip))
			return true;
	}
	if (fam == 4)
		return false;
	ip_eui64(w->router_mac, &a);
	if (ip_eq(&a, ip))
		return true;
	ip_read("fe80:ec2::1", &fam, &a);
	return ip_eq(&a, ip);
}

bool is_service(const struct world *w, const struct eni *e, int fam, const struct ip *ip)
{
	static const char *const services[] = {"169.254.169.253", "169.254.169.254", "169.254.170.2", "169.254.169.250",
					       "169.254.169.251", "169.254.169.123", "fd00:ec2::253", "fd00:ec2::254",
					       "fd00:ec2::250",   "fd00:ec2::123"};
	static struct cidr known[ARRAY_SIZE(services)];
	struct ip dns;

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		if (!known[i].fam)
			cidr_read(services[i], &known[i]);
		if (known[i].fam == fam && ip_eq(&known[i].ip, ip))
			return true;
	}
	if (fam != 4 || !w->vpc[e->vpc].nr_cidr || w->vpc[e->vpc].cidr[0].fam != 4)
		return false;
	nth(&w->vpc[e->vpc].cidr[0], 2, &dns); /* VPC-12 */
	return ip_eq(&dns, ip);
}

bool is_multicast(int fam, const struct ip *ip)
{
	return fam == 4 ? ip->b[0] >= 224 : ip->b[0] == 0xff;
}

/* A13: no packet may carry it as source; as destination it leads nowhere. */
bool is_martian(int fam, const struct ip *ip)
{
	static const struct ip mapped = {{[10] = 0xff, [11] = 0xff}};
	static const struct ip loopback = {{[15] = 1}};

	if (is_multicast(fam, ip))
		return true;
	if (fam == 4)
		return ip->b[0] == 0 || ip->b[0] == 127 || (ip->b[0] == 169 && ip->b[1] == 254);
	return is_zero(ip) || ip_eq(ip, &loopback) || !memcmp(ip->b, mapped.b, 12) || is_link_local(ip);
}

bool is_neighbour_message(const struct pkt *p)
{
	return !p->more && p->fam == 6 && p->proto == P_ICMP6 && p->itype >= 0 &&
	       ((p->itype >= 133 && p->itype <= 137) || (p->itype >= 130 && p->itype <= 132) || p->itype == 143);
}

bool is_dhcp(const struct pkt *p)
{
	if (p->proto != P_UDP || p->foff || p->err)
		return false;
	return p->fam == 4 ? p->sport == 68 && p->dport == 67 : p->sport == 546 && p->dport == 547;
}

/* ---- ARP */

static void judge_arp(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	const struct world *w = m->world;
	const uint8_t *h = p->raw + 14;
	struct ip spa = {0}, tpa = {0};

	memcpy(spa.b, h + 14, 4);
	memcpy(tpa.b, h + 24, 4);
	if (memcmp(p->raw + 6, e->mac, 6)) {
		verdict_drop(v, BIT(WHY_MAC_SPOOF));
		return;
	}
	verdict_drop(v, BIT(WHY_L2) | BIT(WHY_MAC_SPOOF) | BIT(WHY_SOURCE_CHECK));
	if (get16(h) != 1 || get16(h + 2) != ET_IP4 || h[4] != 6 || h[5] != 4)
		v->reasons |= BIT(WHY_MALFORMED);
	if (v->reasons & BIT(WHY_MALFORMED) || get16(h + 6) != 1)
		return;
	if (memcmp(h + 8, e->mac, 6) || (!is_zero(&spa) && !eni_owns(e, 4, &spa)))
		return;
	v->reasons = BIT(WHY_L2);
	if (eni_owns(e, 4, &tpa))
		return;
	int peer = owner_of(w, e->vpc, 4, &tpa);

	if (is_router_address(w, e, 4, &tpa))
		answer(v, ANSWER_ARP, e->id, w->router_mac);
	else if (peer >= 0 && w->eni[peer].subnet == e->subnet && subnet_has(subnet_of(w, e), 4, &tpa))
		answer(v, ANSWER_ARP, e->id, w->eni[peer].mac);
	if (v->act == ACT_REPLY && (is_zero(&spa) || (peer >= 0 && !w->eni[peer].compute)))
		v->others = 1u << ACT_DROP; /* a probe for a peer's address, or a gateway's: either is sane */
}

/* ---- neighbour discovery */

/* The link-layer address option of this type, or NULL. */
static const uint8_t *nd_option(const struct pkt *p, int type)
{
	for (int o = p->l4 + 24; o + 8 <= p->end && p->raw[o + 1]; o += p->raw[o + 1] * 8)
		if (p->raw[o] == type)
			return p->raw + o + 2;
	return NULL;
}

static void judge_solicit(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	const struct world *w = m->world;
	const uint8_t *from = nd_option(p, 1);
	struct ip target;

	verdict_drop(v, WHY_ANY);
	if (p->ttl != 255 || p->icode || p->end - p->l4 < 24)
		return;
	memcpy(target.b, p->raw + p->l4 + 8, 16);
	if (!is_zero(&p->src) && !is_link_local(&p->src) && !eni_owns(e, 6, &p->src))
		return;
	if (eni_owns(e, 6, &target))
		return;
	int peer = owner_of(w, e->vpc, 6, &target);

	if (is_router_address(w, e, 6, &target))
		answer(v, ANSWER_ND, e->id, w->router_mac);
	else if (peer >= 0 && w->eni[peer].subnet == e->subnet)
		answer(v, ANSWER_ND, e->id, w->eni[peer].mac);
	if (v->act == ACT_REPLY && (is_zero(&p->src) || (from && memcmp(from, e->mac, 6))))
		v->others = 1u << ACT_DROP; /* a probe, or a link-layer address that is not the sender's */
}

static void judge_nd(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	if (memcmp(p->raw + 6, e->mac, 6)) {
		verdict_drop(v, WHY_ANY);
	} else if (p->itype == 135) {
		judge_solicit(m, e, p, v);
	} else if (p->itype == 133 && p->ttl == 255) {
		answer(v, ANSWER_RA, e->id, m->world->router_mac);
		v->others = 1u << ACT_DROP;
		v->reasons = WHY_ANY;
	} else {
		verdict_drop(v, WHY_ANY); /* L2-03, L2-06: advertisements, redirects and MLD are consumed */
	}
}

/* ---- services and router */

static bool judge_router_address(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	int request = p->fam == 4 ? 8 : 128;

	if (!is_router_address(m->world, e, p->fam, &p->dst))
		return false;
	if (p->qtype == request && !p->qreply && !p->more && eni_owns(e, p->fam, &p->src)) {
		answer(v, ANSWER_ECHO, e->id, m->world->router_mac);
		return true;
	}
	verdict_drop(v, WHY_ANY);
	v->others = 1u << ACT_PASS | 1u << ACT_REPLY;
	return true;
}

static bool judge_dhcp(const struct eni *e, const struct pkt *p, struct verdict *v)
{
	static const uint8_t all_ones[4] = {255, 255, 255, 255};
	bool client4 = p->fam == 4 && is_zero(&p->src) && !memcmp(p->dst.b, all_ones, 4);
	bool client6 = p->fam == 6 && is_link_local(&p->src) && p->dst.b[0] == 0xff;

	if (!is_dhcp(p) || (!client4 && !client6))
		return false;
	if (memcmp(p->raw + 6, e->mac, 6)) {
		verdict_drop(v, BIT(WHY_MAC_SPOOF) | CONSUMED);
		return true;
	}
	v->act = ACT_PASS;
	return true;
}

bool neigh_port(const struct model *m, const struct eni *e, const struct pkt *p, struct verdict *v)
{
	bool own_mac = p->n >= 14 && !memcmp(p->raw + 6, e->mac, 6);

	if (p->etype == ET_ARP && !p->err) {
		judge_arp(m, e, p, v);
		return true;
	}
	if (p->err || p->foff || !p->fam)
		return false;
	if (is_neighbour_message(p)) {
		judge_nd(m, e, p, v);
		return true;
	}
	if (judge_dhcp(e, p, v))
		return true;
	if (!own_mac || (e->check && !eni_owns(e, p->fam, &p->src)) || is_martian(p->fam, &p->src))
		return false;
	if (memcmp(p->raw, m->world->router_mac, 6) || p->srcroute)
		return false;
	if (is_service(m->world, e, p->fam, &p->dst)) {
		v->act = ACT_PASS; /* DNS-05 */
		return true;
	}
	return judge_router_address(m, e, p, v);
}

/* ---- uplinks */

static bool is_on_link(const struct world *w, const struct gate *g, int fam, const struct ip *ip, bool *ret_sure)
{
	struct ip private;

	*ret_sure = true;
	if (g->vpc < 0)
		return false;
	if (fam == 4)
		return public_owner(w, g->vpc, ip, &private) >= 0;
	if (owner_of(w, g->vpc, 6, ip) >= 0)
		return true;
	*ret_sure = false;
	for (int i = 0; i < w->vpc[g->vpc].nr_cidr; i++)
		if (cidr_has(&w->vpc[g->vpc].cidr[i], 6, ip))
			return true;
	*ret_sure = true;
	return false;
}

bool neigh_uplink(const struct model *m, const struct gate *g, const struct pkt *p, struct verdict *v)
{
	struct ip target = {0};
	bool arp = p->etype == ET_ARP && !p->err, sure;

	if (!arp && (p->err || p->foff || !p->fam || !is_neighbour_message(p)))
		return false;
	verdict_drop(v, WHY_ANY);
	v->others = 1u << ACT_PASS; /* what is not asked of us may be for the host, whose neighbour table we use */
	if (arp && get16(p->raw + 20) != 1)
		return true;
	if (!arp && (p->itype != 135 || p->ttl != 255 || p->end - p->l4 < 24))
		return true;
	memcpy(target.b, p->raw + (arp ? 38 : p->l4 + 8), arp ? 4 : 16);
	if (is_on_link(m->world, g, arp ? 4 : 6, &target, &sure)) {
		answer(v, arp ? ANSWER_ARP : ANSWER_ND, g->id, m->world->router_mac);
		v->any_mac = true;
		v->others = sure ? 0 : 1u << ACT_DROP | 1u << ACT_PASS;
	}
	return true;
}

/* ---- guard mode: ARP and ND of the own address pass, the services pass, foreign claims do not leave */

/* SG-22, RFC 4861: between neighbours, and no router has forwarded it. Else it is a packet like any other. */
static bool nd_of_link(const struct world *w, const struct eni *e, bool egress, const struct pkt *p)
{
	const struct ip *far = egress ? &p->dst : &p->src;
	static const struct ip nobody;

	if (p->itype < 133 || p->itype > 136 || p->ttl != 255 || p->icode)
		return false;
	if (far->b[0] == 0xfe && (far->b[1] & 0xc0) == 0x80)
		return true;
	return p->itype != 134 && (subnet_has(&w->subnet[e->subnet], 6, far) ||
				   (egress ? far->b[0] == 0xff && far->b[1] == 2 : ip_eq(far, &nobody)));
}

static void guard_neighbour(const struct world *w, const struct eni *e, bool egress, const struct pkt *p,
			    struct verdict *v)
{
	struct ip claim = p->src;
	bool own_mac = !memcmp(p->raw + 6, e->mac, 6);

	v->act = ACT_PASS;
	v->others = 1u << ACT_DROP;
	v->reasons = WHY_ANY;
	if (!egress)
		return;
	if (p->etype == ET_ARP) {
		memset(&claim, 0, sizeof(claim));
		memcpy(claim.b, p->raw + 28, 4);
		own_mac = own_mac && !memcmp(p->raw + 22, e->mac, 6);
		if (get16(p->raw + 14) != 1 || get16(p->raw + 16) != ET_IP4 || get16(p->raw + 18) != 0x0604)
			return;
		if (!own_mac || !eni_owns(e, 4, &claim))
			verdict_drop(v, WHY_ANY);
		else
			v->others = 0;
		return;
	}
	struct ip target = {0};

	if (p->end - p->l4 >= 24)
		memcpy(target.b, p->raw + p->l4 + 8, 16);
	if (!own_mac || p->itype == 134 || is_router_address(w, e, 6, &p->src) || p->itype == 137 ||
	    (p->itype == 136 && is_router_address(w, e, 6, &target))) /* B4 */
		verdict_drop(v, WHY_ANY);
	else if (p->itype == 135 && eni_owns(e, 6, &p->src) && nd_of_link(w, e, true, p))
		v->others = 0;
}

bool neigh_guard(const struct model *m, const struct eni *e, bool egress, const struct pkt *p, struct verdict *v)
{
	if (p->err || p->foff)
		return false;
	if (p->etype == ET_ARP || is_neighbour_message(p)) {
		if (!egress && p->itype >= 133 && p->itype <= 137 && !nd_of_link(m->world, e, false, p))
			return false;
		guard_neighbour(m->world, e, egress, p, v);
		return true;
	}
	if (egress && judge_dhcp(e, p, v))
		return true;
	if (egress && (p->raw[0] & 1 || memcmp(p->raw + 6, e->mac, 6) || (e->check && !eni_owns(e, p->fam, &p->src))))
		return false;
	const struct ip *far = egress ? &p->dst : &p->src;

	if (!egress && e->check && !eni_owns(e, p->fam, &p->dst))
		return false;
	if (!is_service(m->world, e, p->fam, far) && !is_router_address(m->world, e, p->fam, far))
		return false;
	v->act = ACT_PASS;
	return true;
}
