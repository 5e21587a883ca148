/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames of a conversation: which port they arrive on, with which MACs, and their headers with right checksums. */
#include <string.h>
#include "oracle.h"

static const uint8_t outside_mac[6] = {0x02, 0xff, 0xff, 0xff, 0xfe, 0x01};

const struct eni *gen_eni_named(const struct world *w, const char *id)
{
	for (int i = 0; i < w->nr_eni; i++)
		if (!strcmp(w->eni[i].id, id))
			return &w->eni[i];
	return NULL;
}

const struct gate *gen_uplink_of(const struct world *w, int vpc)
{
	for (int i = 0; i < w->nr_gate; i++)
		if (w->gate[i].kind == GATE_IGW && w->gate[i].vpc == vpc && w->gate[i].uplink)
			return &w->gate[i];
	return NULL;
}

static bool random_ip(struct rnd *r, const struct eni *e, int fam, struct ip *ret_ip)
{
	int seen = 0;

	for (int i = 0; i < e->nr_ip; i++)
		if (e->ip[i].fam == fam && !rnd_below(r, ++seen))
			*ret_ip = e->ip[i].ip;
	for (int i = 0; i < e->nr_prefix; i++) {
		if (e->prefix[i].fam != fam || rnd_below(r, ++seen))
			continue;
		*ret_ip = e->prefix[i].ip;
		ret_ip->b[fam == 4 ? 3 : 15] += (uint8_t)rnd_below(r, 16);
	}
	return seen;
}

static void outside_ip(struct rnd *r, int fam, struct ip *ret_ip)
{
	char buf[64];

	if (fam == 6)
		snprintf(buf, sizeof(buf), "2001:db8:ffff::%d", rnd_between(r, 1, 6));
	else
		snprintf(buf, sizeof(buf), "%s.%d", rnd_chance(r, 80) ? "198.51.100" : "192.0.2",
			 rnd_chance(r, 80) ? rnd_between(r, 1, 6) : rnd_between(r, 129, 140));
	ip_read(buf, &fam, ret_ip);
}

/* Somewhere that a gateway other than the internet's leads to, or nobody. */
static void elsewhere_ip(struct rnd *r, struct ip *ret_ip)
{
	static const char *const nets[] = {"198.18.0", "198.18.1", "172.20.1", "172.20.200", "192.0.2"};
	char buf[64];
	int fam;

	snprintf(buf, sizeof(buf), "%s.%d", nets[rnd_below(r, (int)ARRAY_SIZE(nets))], rnd_between(r, 60, 66));
	ip_read(buf, &fam, ret_ip);
}

static uint16_t service_port(struct rnd *r)
{
	static const uint16_t popular[] = {22, 53, 80, 443, 3306, 8080, 40000};

	return rnd_chance(r, 85) ? popular[rnd_below(r, (int)ARRAY_SIZE(popular))] : (uint16_t)rnd_between(r, 1, 65535);
}

/* A conversation of ENI e with the internet, opened by either; with a public address where it has one. */
static void talk_outside(struct rnd *r, const struct eni *e, struct conv *c)
{
	int inside = rnd_chance(r, 50) ? 0 : 1;
	struct side *in = &c->side[inside], *out = &c->side[!inside];
	const struct own_ip *own;

	in->own = c->side[0].own;
	own = eni_ip(e, c->fam, &in->own);
	if (c->fam == 4 && !e->guard && rnd_chance(r, 18))
		elsewhere_ip(r, &in->far);
	else
		outside_ip(r, c->fam, &in->far);
	out->own = in->far;
	out->far = own && own->has_public ? own->public : in->own;
	out->outside = true;
	in->outside = false;
	snprintf(in->eni, sizeof(in->eni), "%s", e->id);
	snprintf(out->eni, sizeof(out->eni), "%s", e->id);
}

static bool talk_inside(struct rnd *r, const struct world *w, const struct eni *e, struct conv *c)
{
	const struct eni *peer = &w->eni[rnd_below(r, w->nr_eni)];
	struct ip a = c->side[0].own, b;

	if (peer == e || (peer->vpc != e->vpc && (e->guard || peer->guard)) || !random_ip(r, peer, c->fam, &b))
		return false;
	if (!peer->compute && rnd_chance(r, 85))
		return false; /* the address of a NAT gateway */
	snprintf(c->side[0].eni, ID_LEN, "%s", e->id);
	snprintf(c->side[1].eni, ID_LEN, "%s", peer->id);
	c->side[1].outside = e->guard;
	if (e->guard)
		snprintf(c->side[1].eni, ID_LEN, "%s", e->id);
	c->side[0].far = c->side[1].own = b;
	c->side[1].far = a;
	c->direct = peer->subnet == e->subnet && rnd_chance(r, peer->compute ? 70 : 5);
	const struct own_ip *oa = eni_ip(e, 4, &a), *ob = eni_ip(peer, 4, &b);

	if (c->fam == 4 && !e->guard && oa && ob && oa->has_public && ob->has_public && rnd_chance(r, 20)) {
		c->direct = false; /* hairpin at the gateway (IGW-11) */
		c->side[0].far = ob->public;
		c->side[1].far = oa->public;
	}
	return true;
}

bool gen_conv(struct rnd *r, const struct world *w, struct conv *ret_conv)
{
	static const int protos[] = {P_TCP, P_TCP, P_TCP, P_TCP, P_UDP, P_UDP, P_UDP, P_ICMP, P_ICMP, 47, 132, 50};
	const struct eni *e = &w->eni[rnd_below(r, w->nr_eni)];
	struct conv *c = ret_conv;

	memset(c, 0, sizeof(*c));
	c->fam = rnd_chance(r, 70) ? 4 : 6;
	c->proto = protos[rnd_below(r, (int)ARRAY_SIZE(protos))];
	if (c->proto == P_ICMP && c->fam == 6)
		c->proto = P_ICMP6;
	if (!e->compute || !random_ip(r, e, c->fam, &c->side[0].own))
		return false;
	const struct own_ip *own = eni_ip(e, c->fam, &c->side[0].own);
	bool reachable = e->guard || (gen_uplink_of(w, e->vpc) && (c->fam == 6 || (own && own->has_public)));

	reachable |= w->nr_nat || w->nr_tgw || c->fam == 6;

	if (rnd_chance(r, reachable ? 55 : 8) || w->nr_eni < 2)
		talk_outside(r, e, c);
	else if (!talk_inside(r, w, e, c))
		return false;
	c->side[0].port = (uint16_t)(rnd_chance(r, 70) ? rnd_between(r, 40000, 40040) : rnd_between(r, 1024, 65535));
	c->side[1].port = service_port(r);
	c->side[0].seq = (uint32_t)rnd_next(r);
	c->side[1].seq = (uint32_t)rnd_next(r);
	c->zero_checksum = rnd_chance(r, 10);
	c->qtype = c->fam == 6 ? 128 : rnd_chance(r, 85) ? 8 : 13;
	if (c->proto == P_ICMP || c->proto == P_ICMP6)
		c->side[0].port = c->side[1].port = (uint16_t)rnd_between(r, 1, 12);
	if (rnd_chance(r, 50) && gen_has("mss"))
		c->mss = rnd_chance(r, 50) ? 8961 : rnd_between(r, 536, 1500);
	if (!e->guard)
		gen_aim(r, w, c);
	return true;
}

/* Let the far side answer what arrives there: where, and as whom, is asked of the model. A gateway may choose another
 * port than this; then nobody answers. */
void gen_aim(struct rnd *r, const struct world *w, struct conv *c)
{
	struct conv first = *c;
	struct side *far = &c->side[1];
	struct model m = {.world = (struct world *)w, .choice = rnd_below(r, 6)};
	struct verdict v;
	struct line l;
	struct pkt p;

	memset(&l, 0, offsetof(struct line, frame));
	if (c->side[0].outside)
		return;
	bool made = c->proto == P_TCP                           ? gen_tcp(w, &first, 0, TCP_SYN, 0, &l)
		    : c->proto == P_UDP                         ? gen_udp(w, &first, 0, 9, &l)
		    : c->proto == P_ICMP || c->proto == P_ICMP6 ? gen_query(w, &first, 0, false, &l)
								: gen_raw(w, &first, 0, &l);

	if (!made)
		return;
	pkt_parse(l.frame, l.n, &p);
	model_judge(&m, l.port, false, &p, &v);
	if (v.act != ACT_UPLINK && v.act != ACT_DELIVER)
		return;
	far->outside = v.act == ACT_UPLINK;
	far->own = v.out.dst;
	far->far = v.out.src;
	if (far->outside)
		snprintf(far->uplink, ID_LEN, "%s", v.to);
	else
		snprintf(far->eni, ID_LEN, "%s", v.to);
}

/* ---- one frame */

/* Checksums of the IPv4 header and of the L4 header, where they can be told. A UDP checksum of 0 stays. */
void gen_seal(uint8_t *f, int n)
{
	struct pkt p;

	pkt_parse(f, n, &p);
	if (p.fam == 4) {
		put16(f + 24, 0);
		put16(f + 24, (uint16_t)~fold16(sum16(f + 14, (f[14] & 15) * 4)));
	}
	if (!p.fam || p.err || p.foff || p.more)
		return;
	bool icmp = p.proto == (p.fam == 4 ? P_ICMP : P_ICMP6);
	int at = p.proto == P_TCP ? 16 : p.proto == P_UDP ? 6 : icmp ? 2 : -1, len = p.end - p.l4;

	if (at < 0 || (p.proto == P_UDP && p.fam == 4 && !get16(f + p.l4 + at)))
		return;
	put16(f + p.l4 + at, 0);
	uint32_t s = sum16(f + p.l4, len);

	if (p.proto != P_ICMP || p.fam == 6)
		s += pseudo_sum(p.fam, &p.src, &p.dst, p.proto, len);
	uint16_t sum = (uint16_t)~fold16(s);

	put16(f + p.l4 + at, sum ? sum : p.proto == P_UDP ? 0xffff : 0);
}

static int put_ip(uint8_t *b, int fam, int proto, const struct ip *src, const struct ip *dst, int len)
{
	if (fam == 4) {
		memset(b, 0, 20);
		b[0] = 0x45;
		put16(b + 2, (unsigned)(20 + len));
		put16(b + 4, 1);
		put16(b + 6, 0x4000);
		b[8] = 64;
		b[9] = (uint8_t)proto;
		memcpy(b + 12, src->b, 4);
		memcpy(b + 16, dst->b, 4);
		put16(b + 10, (uint16_t)~fold16(sum16(b, 20)));
		return 20;
	}
	memset(b, 0, 40);
	b[0] = 0x60;
	put16(b + 4, (unsigned)len);
	b[6] = (uint8_t)proto;
	b[7] = 64;
	memcpy(b + 8, src->b, 16);
	memcpy(b + 24, dst->b, 16);
	return 40;
}

/* Port, direction and MACs of what side s sends. False: it has no way to send (no uplink, ENI gone). */
static bool address_frame(const struct world *w, const struct conv *c, int s, struct line *l)
{
	const struct side *me = &c->side[s], *other = &c->side[!s];
	const struct eni *e = gen_eni_named(w, me->eni), *peer = gen_eni_named(w, other->eni);
	const struct gate *g;

	if (!e || (!e->compute && !me->outside))
		return false;
	snprintf(l->port, sizeof(l->port), "%s", e->id);
	if (!me->outside) {
		memcpy(l->frame + 6, e->mac, 6);
		memcpy(l->frame, c->direct && !other->outside && peer ? peer->mac : w->router_mac, 6);
		l->tx = e->guard && e->instance;
		return true;
	}
	if (e->guard) {
		memcpy(l->frame, e->mac, 6);
		memcpy(l->frame + 6, w->router_mac, 6);
		l->tx = !e->instance;
		return true;
	}
	g = gen_uplink_of(w, e->vpc);
	if (!g && !*me->uplink)
		return false;
	snprintf(l->port, sizeof(l->port), "%s", *me->uplink ? me->uplink : g->id);
	memcpy(l->frame, w->router_mac, 6);
	memcpy(l->frame + 6, outside_mac, 6);
	return true;
}

bool gen_frame(const struct world *w, const struct conv *c, int s, int l4_len, const uint8_t *l4, struct line *l)
{
	const struct side *me = &c->side[s];
	int hl;

	l->tx = false;
	if (!address_frame(w, c, s, l))
		return false;
	put16(l->frame + 12, c->fam == 4 ? ET_IP4 : ET_IP6);
	hl = put_ip(l->frame + 14, c->fam, c->proto, &me->own, &me->far, l4_len);
	memcpy(l->frame + 14 + hl, l4, (size_t)l4_len);
	l->n = 14 + hl + l4_len;
	gen_seal(l->frame, l->n);
	return true;
}

bool gen_tcp(const struct world *w, struct conv *c, int s, int flags, int data, struct line *l)
{
	struct side *me = &c->side[s], *other = &c->side[!s];
	uint8_t h[20 + 12 + 64] = {0};
	int options = 0;

	put16(h, me->port);
	put16(h + 2, other->port);
	put32(h + 4, flags & TCP_RST ? other->acked : me->seq);
	put32(h + 8, flags & TCP_ACK ? other->seq : 0);
	h[12] = 5 << 4;
	h[13] = (uint8_t)flags;
	put16(h + 14, 8192);
	if (flags & TCP_SYN && c->mss) { /* with a NOP before it, every other time */
		options = c->mss & 1 ? 8 : 4;
		memcpy(h + 20, c->mss & 1 ? "\x01\x01\x02\x04\0\0\x01\x00" : "\x02\x04\0\0", (size_t)options);
		put16(h + (c->mss & 1 ? 24 : 22), (unsigned)c->mss);
		h[12] = (uint8_t)((5 + options / 4) << 4);
	}
	memset(h + 20 + options, 'd', (size_t)data);
	if (!gen_frame(w, c, s, 20 + options + data, h, l))
		return false;
	if (flags & TCP_ACK)
		me->acked = other->seq;
	me->seq += (uint32_t)data + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	return true;
}

bool gen_udp(const struct world *w, const struct conv *c, int s, int data, struct line *l)
{
	uint8_t h[8 + 1800];

	put16(h, c->side[s].port);
	put16(h + 2, c->side[!s].port);
	put16(h + 4, (unsigned)(8 + data));
	put16(h + 6, c->zero_checksum && c->fam == 4 ? 0 : 1);
	for (int i = 0; i < data; i++)
		h[8 + i] = (uint8_t)i;
	return gen_frame(w, c, s, 8 + data, h, l);
}

bool gen_query(const struct world *w, const struct conv *c, int s, bool reply, struct line *l)
{
	uint8_t h[20] = {0};

	h[0] = (uint8_t)(!reply ? c->qtype : c->qtype == 8 ? 0 : c->qtype + 1);
	put16(h + 4, c->side[0].port);
	put16(h + 6, 1);
	return gen_frame(w, c, s, sizeof(h), h, l);
}

bool gen_raw(const struct world *w, const struct conv *c, int s, struct line *l)
{
	uint8_t h[24];

	memset(h, 0x5a, sizeof(h));
	return gen_frame(w, c, s, sizeof(h), h, l);
}

/* ---- ICMP errors */

/* What the other side sent, as side s saw it: the quote. Some are lies. */
static int quote(struct rnd *r, const struct conv *c, int s, uint8_t *b)
{
	const struct side *me = &c->side[s], *other = &c->side[!s];
	int l4_len = rnd_chance(r, 50) ? 8 : 20, hl;
	bool lie = rnd_chance(r, 15);
	uint8_t *h;

	hl = put_ip(b, c->fam, c->proto, &me->far, &me->own, 40);
	h = b + hl;
	memset(h, 0, 20);
	if (c->proto == P_TCP || c->proto == P_UDP) {
		put16(h, (unsigned)other->port + (lie ? 1 : 0));
		put16(h + 2, me->port);
		if (c->proto == P_UDP)
			put16(h + 4, 40);
		put16(h + (c->proto == P_UDP ? 6 : 16), 0x1234);
	} else if (c->proto == P_ICMP || c->proto == P_ICMP6) {
		bool reply = s == 0;

		h[0] = (uint8_t)(!reply ? c->qtype : c->qtype == 8 ? 0 : c->qtype + 1);
		put16(h + 4, c->side[0].port + (lie ? 1 : 0));
	}
	if (lie && rnd_chance(r, 50))
		b[c->fam == 4 ? 15 : 23] ^= 3; /* another quoted source */
	if (c->fam == 4) {
		put16(b + 10, 0);
		put16(b + 10, (uint16_t)~fold16(sum16(b, 20)));
	}
	return hl + l4_len;
}

bool gen_error(struct rnd *r, const struct world *w, const struct conv *c, int s, struct line *l)
{
	static const int types4[][2] = {{3, 4}, {3, 3}, {3, 1}, {11, 0}, {12, 0}, {5, 0}, {4, 0}};
	static const int types6[][2] = {{1, 4}, {2, 0}, {3, 0}, {4, 1}};
	struct conv e = *c;
	uint8_t h[96] = {0};
	int k = rnd_below(r, (int)(c->fam == 4 ? ARRAY_SIZE(types4) : ARRAY_SIZE(types6)));

	h[0] = (uint8_t)(c->fam == 4 ? types4[k][0] : types6[k][0]);
	h[1] = (uint8_t)(c->fam == 4 ? types4[k][1] : types6[k][1]);
	put16(h + 6, 1400);
	int n = 8 + quote(r, c, s, h + 8);

	e.proto = c->fam == 4 ? P_ICMP : P_ICMP6;
	if (e.side[s].outside && rnd_chance(r, 40))
		outside_ip(r, c->fam, &e.side[s].own); /* a router on the way */
	if (rnd_chance(r, 5))
		e.side[s].far.b[c->fam == 4 ? 3 : 15] ^= 1;
	if (rnd_chance(r, 5))
		n -= rnd_below(r, 12);
	return gen_frame(w, &e, s, n, h, l);
}
