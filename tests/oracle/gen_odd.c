/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames that are wrong, rare or not for the wire: spoofed, cut, tagged, fragmented, link-local, ARP and ND. */
#include <string.h>
#include "oracle.h"

static bool any_frame(struct traffic *t, const struct world *w, struct line *l, struct conv *c)
{
	for (int tries = 0; tries < 20; tries++) {
		if (!gen_conv(t->r, w, c))
			continue;
		int s = rnd_chance(t->r, 75) && !c->side[0].outside ? 0 : rnd_below(t->r, 2);

		if (c->proto == P_TCP ? gen_tcp(w, c, s, TCP_SYN, 0, l) : gen_udp(w, c, s, 20, l))
			return true;
	}
	return false;
}

static void set_address(struct line *l, bool source, const char *text)
{
	struct ip ip;
	int fam, have = get16(l->frame + 12) == ET_IP4 ? 4 : 6;

	if (ip_read(text, &fam, &ip) || fam != have)
		return;
	if (fam == 4)
		memcpy(l->frame + (source ? 26 : 30), ip.b, 4);
	else
		memcpy(l->frame + (source ? 22 : 38), ip.b, 16);
	gen_seal(l->frame, l->n);
}

/* Make room of n bytes at `at`, filled with what the caller gives. */
static void insert_bytes(struct line *l, int at, const uint8_t *b, int n)
{
	memmove(l->frame + at + n, l->frame + at, (size_t)(l->n - at));
	memcpy(l->frame + at, b, (size_t)n);
	l->n += n;
}

static void add_options(struct rnd *r, struct line *l)
{
	static const uint8_t options[][8] = {{1, 1, 1, 1, 1, 1, 1, 0},     {0x83, 7, 4, 10, 0, 0, 1, 0},
					     {0x89, 7, 4, 10, 0, 0, 1, 0}, {7, 7, 4, 0, 0, 0, 0, 0},
					     {7, 0, 4, 0, 0, 0, 0, 0},     {1, 7, 90, 0, 0, 0, 0, 0},
					     {0x94, 4, 0, 0, 1, 1, 1, 1}};

	if (get16(l->frame + 12) != ET_IP4)
		return;
	insert_bytes(l, 34, options[rnd_below(r, (int)ARRAY_SIZE(options))], 8);
	l->frame[14] += 2;
	put16(l->frame + 16, get16(l->frame + 16) + 8u);
	gen_seal(l->frame, l->n);
}

/* A chain of 1 to 10 extension headers; rarely with a routing header or a second fragment header. */
static void add_extensions(struct rnd *r, struct line *l)
{
	int n = rnd_between(r, 1, 10), next;

	if (get16(l->frame + 12) != ET_IP6)
		return;
	for (int i = 0; i < n; i++) {
		uint8_t h[8] = {0, 0, 1, 4, 0, 0, 0, 0};
		int kind = rnd_below(r, 20);

		next = l->frame[20];
		h[0] = (uint8_t)next;
		if (next == 44)
			kind = 9;
		if (kind == 0) {
			h[2] = h[3] = 0;
			h[7] = 7;
		}
		l->frame[20] = kind == 0 ? 44 : kind == 1 && i ? 43 : i == n - 1 && kind > 10 ? 0 : 60;
		insert_bytes(l, 54, h, 8);
		put16(l->frame + 18, get16(l->frame + 18) + 8u);
	}
	gen_seal(l->frame, l->n);
}

static void spoof(struct rnd *r, const struct world *w, struct line *l)
{
	static const char *const wrong[] = {
		"10.0.1.10",   "10.0.1.11",        "198.51.100.3", "127.0.0.1",         "224.0.0.1",        "0.0.0.0",
		"169.254.1.1", "255.255.255.255",  "240.0.0.1",    "10.0.1.200",        "2001:db8:1:1::11", "::1",
		"ff02::1",     "::ffff:10.0.1.10", "::",           "2001:db8:1:1:1::5", "fe80::1"};
	const char *a = wrong[rnd_below(r, (int)ARRAY_SIZE(wrong))];

	(void)w;
	set_address(l, rnd_chance(r, 60), a);
}

static void wrong_mac(struct rnd *r, const struct world *w, struct line *l)
{
	const struct eni *any = &w->eni[rnd_below(r, w->nr_eni)];

	switch (rnd_below(r, 6)) {
	case 0:
		l->frame[11] ^= 0x40;
		break;
	case 1:
		memcpy(l->frame + 6, any->mac, 6);
		break;
	case 2:
		memcpy(l->frame, "\x02\xaa\xaa\xaa\xaa\xaa", 6);
		break;
	case 3:
		memset(l->frame, 0xff, 6);
		break;
	case 4:
		memcpy(l->frame, "\x01\x00\x5e\x00\x00\x01", 6);
		break;
	default:
		memcpy(l->frame, any->mac, 6);
	}
}

static void lie(struct rnd *r, struct line *l)
{
	bool v4 = get16(l->frame + 12) == ET_IP4;
	int l4 = v4 ? 34 : 54;

	switch (rnd_below(r, 7)) {
	case 0:
		l->n = rnd_between(r, 1, l->n);
		break;
	case 1:
		put16(l->frame + (v4 ? 16 : 18), get16(l->frame + (v4 ? 16 : 18)) + (unsigned)rnd_between(r, 1, 100));
		break;
	case 2:
		put16(l->frame + (v4 ? 16 : 18), (unsigned)rnd_between(r, 0, 40));
		break;
	case 3:
		l->frame[14] = (uint8_t)rnd_below(r, 256);
		break;
	case 4:
		if (l->frame[v4 ? 23 : 20] == P_TCP)
			l->frame[l4 + 12] = (uint8_t)(rnd_below(r, 16) << 4);
		else
			put16(l->frame + l4 + 4, (unsigned)rnd_between(r, 0, 90));
		break;
	case 5:
		memset(l->frame + l->n, 0xee, 30); /* Ethernet padding is no fault */
		l->n += rnd_between(r, 1, 30);
		break;
	default:
		l->frame[v4 ? 23 : 20] = (uint8_t)rnd_below(r, 256);
		if (v4)
			gen_seal(l->frame, l->n);
	}
	if (v4 && l->n >= 34)
		put16(l->frame + 24, 0), gen_seal(l->frame, l->n);
}

static void tag(struct rnd *r, struct line *l)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x8847, 0x0842, 0x8863, 0x0100, 0x86de, 0};
	int k = rnd_below(r, (int)ARRAY_SIZE(types));
	uint8_t h[4];

	put16(h, types[k] ? types[k] : (unsigned)rnd_between(r, 0x0900, 0xffff));
	put16(h + 2, (unsigned)rnd_below(r, 4096));
	if (k < 2)
		insert_bytes(l, 12, h, 4);
	else
		memcpy(l->frame + 12, h, 2);
}

/* A frame of an ENI of the wanted kind, without its own conversation. */
static const struct eni *a_port(struct rnd *r, const struct world *w)
{
	const struct eni *e = &w->eni[rnd_below(r, w->nr_eni)];

	return e->port && e->compute ? e : NULL;
}

static void guest_packet(const struct world *w, const struct eni *e, int fam, int proto, const char *src,
			 const struct ip *dst, uint16_t sport, uint16_t dport, struct line *l)
{
	struct conv c = {.fam = fam, .proto = proto, .qtype = fam == 4 ? 8 : 128};
	int f;

	snprintf(c.side[0].eni, ID_LEN, "%s", e->id);
	snprintf(c.side[1].eni, ID_LEN, "%s", e->id);
	c.side[1].outside = true;
	if (src) {
		ip_read(src, &f, &c.side[0].own);
	} else {
		for (int i = 0; i < e->nr_ip; i++)
			if (e->ip[i].fam == fam)
				c.side[0].own = e->ip[i].ip;
	}
	c.side[0].far = *dst;
	c.side[0].port = sport;
	c.side[1].port = dport;
	if (proto == P_UDP)
		gen_udp(w, &c, 0, 30, l);
	else if (proto == P_TCP)
		gen_tcp(w, &c, 0, TCP_SYN, 0, l);
	else
		gen_query(w, &c, 0, false, l);
}

static bool has_family(const struct eni *e, int fam)
{
	for (int i = 0; i < e->nr_ip; i++)
		if (e->ip[i].fam == fam)
			return true;
	return false;
}

static void service(struct traffic *t, const struct world *w, struct line *l)
{
	static const char *const services[] = {"169.254.169.253", "169.254.169.254", "169.254.170.2", "169.254.169.123",
					       "169.254.169.250", "169.254.168.9",   "169.254.1.1",   "10.0.0.2",
					       "10.1.0.2",        "10.0.1.2",        "fd00:ec2::253", "fd00:ec2::254",
					       "fd00:ec2::77",    "fd00:ec2::123"};
	const struct eni *e = a_port(t->r, w);
	struct ip dst;
	int fam;

	ip_read(services[rnd_below(t->r, (int)ARRAY_SIZE(services))], &fam, &dst);
	if (!e || !has_family(e, fam))
		return;
	guest_packet(w, e, fam, rnd_chance(t->r, 70) ? P_UDP : P_TCP, NULL, &dst, 5353, rnd_chance(t->r, 70) ? 53 : 80,
		     l);
	if (rnd_chance(t->r, 30) && !e->guard && (is_service(w, e, fam, &dst))) {
		struct pkt p; /* and the host's answer, on its way to the guest */
		uint8_t back[16];
		int n = fam == 4 ? 4 : 16, at = fam == 4 ? 26 : 22;

		pkt_parse(l->frame, l->n, &p);
		memcpy(back, l->frame + at, 16);
		memcpy(l->frame + at, dst.b, (size_t)n);
		memcpy(l->frame + at + n, back, (size_t)n);
		memcpy(l->frame, e->mac, 6);
		memcpy(l->frame + 6, w->router_mac, 6);
		gen_seal(l->frame, l->n);
		l->tx = true;
	}
}

static void router_packet(struct traffic *t, const struct world *w, struct line *l)
{
	const struct eni *e = a_port(t->r, w);
	struct ip dst;
	char buf[64];
	int fam = rnd_chance(t->r, 60) ? 4 : 6;

	if (!e || !has_family(e, fam) || e->guard)
		return;
	const struct subnet *s = &w->subnet[rnd_chance(t->r, 75) ? e->subnet : rnd_below(t->r, w->nr_subnet)];

	dst = s->cidr[0].ip;
	for (int i = 0; i < s->nr_cidr; i++)
		if (s->cidr[i].fam == fam)
			dst = s->cidr[i].ip;
	dst.b[fam == 4 ? 3 : 15] += 1;
	snprintf(buf, sizeof(buf), "fe80:ec2::1");
	if (fam == 6 && rnd_chance(t->r, 30))
		ip_read(buf, &fam, &dst);
	guest_packet(w, e, fam, rnd_chance(t->r, 75) ? (fam == 4 ? P_ICMP : P_ICMP6) : P_UDP, NULL, &dst, 7, 33434, l);
}

static void dhcp(struct traffic *t, const struct world *w, struct line *l)
{
	const struct eni *e = a_port(t->r, w);
	bool rogue = rnd_chance(t->r, 25), v4 = rnd_chance(t->r, 70);
	struct ip dst;
	int fam;

	if (!e || (e->guard && rogue))
		return;
	ip_read(v4 ? "255.255.255.255" : "ff02::1:2", &fam, &dst);
	guest_packet(w, e, fam, P_UDP, v4 ? "0.0.0.0" : "fe80::11:22", &dst, v4 ? 68 : 546, v4 ? 67 : 547, l);
	if (v4)
		memset(l->frame, 0xff, 6);
	else
		memcpy(l->frame, "\x33\x33\x00\x01\x00\x02", 6);
	if (rogue && rnd_chance(t->r, 50))
		put16(l->frame + (v4 ? 34 : 54), v4 ? 67 : 547);
	else if (rogue)
		l->frame[10] ^= 1;
	gen_seal(l->frame, l->n);
}

/* What arrives at a router port from the host's own stack, other than an answer of a service: judged as ingress. */
static void host_packet(struct traffic *t, const struct world *w, struct line *l)
{
	struct conv c;
	const struct eni *e;

	if (!gen_conv(t->r, w, &c) || c.side[0].outside)
		return;
	e = gen_eni_named(w, c.side[0].eni);
	if (!e || e->guard || !c.side[1].outside)
		return;
	c.side[1].far = c.side[0].own;
	c.side[1].own.b[c.fam == 4 ? 3 : 15] |= 0x40; /* nobody else speaks to these */
	c.proto = P_UDP;
	if (!gen_udp(w, &c, 1, 9, l))
		return;
	snprintf(l->port, sizeof(l->port), "%s", e->id);
	l->tx = true;
	memcpy(l->frame, e->mac, 6);
	memcpy(l->frame + 6, w->router_mac, 6);
	if (rnd_chance(t->r, 20))
		set_address(l, false, "10.0.77.77");
}

void gen_oddity(struct traffic *t, const struct world *w, struct line *l)
{
	struct conv c;
	int kind = rnd_below(t->r, 12);

	l->tx = false;
	if (kind == 0)
		return service(t, w, l);
	if (kind == 1)
		return router_packet(t, w, l);
	if (kind == 2)
		return dhcp(t, w, l);
	if (kind == 3)
		return host_packet(t, w, l);
	if (!any_frame(t, w, l, &c))
		return;
	const struct eni *e = gen_eni_named(w, l->port);

	if (kind < 6)
		spoof(t->r, w, l);
	else if (kind < 8 && !(e && e->guard))
		wrong_mac(t->r, w, l);
	else if (kind == 8)
		lie(t->r, l);
	else if (kind == 9)
		tag(t->r, l);
	else if (kind == 10)
		add_options(t->r, l);
	else
		add_extensions(t->r, l);
}

/* ---- ARP and ND */

static void arp(struct rnd *r, const struct world *w, const struct eni *e, struct line *l)
{
	const struct eni *peer = &w->eni[rnd_below(r, w->nr_eni)];
	const struct subnet *s = &w->subnet[e->subnet];
	uint8_t *h = l->frame + 14;
	struct ip target = peer->ip[rnd_below(r, peer->nr_ip)].ip;

	if (rnd_chance(r, 30)) {
		target = s->cidr[0].ip;
		target.b[3] += (uint8_t)(rnd_chance(r, 70) ? 1 : rnd_below(r, 256));
	}
	memset(l->frame, 0xff, 6);
	memcpy(l->frame + 6, e->mac, 6);
	put16(l->frame + 12, ET_ARP);
	memset(h, 0, 28);
	put16(h, 1);
	put16(h + 2, ET_IP4);
	h[4] = 6;
	h[5] = 4;
	put16(h + 6, rnd_chance(r, 85) ? 1 : (unsigned)rnd_between(r, 2, 4));
	memcpy(h + 8, e->mac, 6);
	memcpy(h + 14, e->ip[0].ip.b, 4);
	memcpy(h + 24, target.b, 4);
	l->n = 42;
	if (rnd_chance(r, 8))
		h[13] ^= 1;
	if (rnd_chance(r, 8))
		h[17] ^= 1;
	if (rnd_chance(r, 5))
		l->frame[11] ^= 1;
	if (rnd_chance(r, 4))
		h[rnd_below(r, 6)] ^= 1;
	if (rnd_chance(r, 3))
		l->n = rnd_between(r, 14, 41);
}

static void solicit(struct rnd *r, const struct world *w, const struct eni *e, struct line *l)
{
	const struct eni *peer = &w->eni[rnd_below(r, w->nr_eni)];
	struct ip target = {0}, src = {0};
	uint8_t *h = l->frame + 54;
	int fam;

	for (int i = 0; i < peer->nr_ip; i++)
		if (peer->ip[i].fam == 6)
			target = peer->ip[i].ip;
	for (int i = 0; i < e->nr_ip; i++)
		if (e->ip[i].fam == 6)
			src = e->ip[i].ip;
	if (rnd_chance(r, 30))
		ip_read("fe80:ec2::1", &fam, &target);
	else if (rnd_chance(r, 30))
		ip_eui64(w->router_mac, &target);
	if (rnd_chance(r, 25))
		ip_eui64(e->mac, &src);
	memset(l->frame, 0, 86);
	memcpy(l->frame, "\x33\x33\xff", 3);
	memcpy(l->frame + 3, target.b + 13, 3);
	memcpy(l->frame + 6, e->mac, 6);
	put16(l->frame + 12, ET_IP6);
	l->frame[14] = 0x60;
	put16(l->frame + 18, 32);
	l->frame[20] = P_ICMP6;
	l->frame[21] = rnd_chance(r, 95) ? 255 : 64;
	memcpy(l->frame + 22, src.b, 16);
	memcpy(l->frame + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff", 13);
	memcpy(l->frame + 51, target.b + 13, 3);
	h[0] = (uint8_t)(rnd_chance(r, 85) ? 135 : rnd_between(r, 133, 137));
	memcpy(h + 8, target.b, 16);
	h[24] = 1;
	h[25] = 1;
	memcpy(h + 26, e->mac, 6);
	if (rnd_chance(r, 6))
		h[31] ^= 1;
	if (rnd_chance(r, 6))
		l->frame[11] ^= 1;
	l->n = 86;
	gen_seal(l->frame, l->n);
}

void gen_neighbour(struct rnd *r, const struct world *w, struct line *l)
{
	const struct eni *e = a_port(r, w);
	bool v4 = rnd_chance(r, 60);

	l->tx = false;
	if (!e || (!v4 && !has_family(e, 6)))
		return;
	snprintf(l->port, sizeof(l->port), "%s", e->id);
	if (v4)
		arp(r, w, e, l);
	else
		solicit(r, w, e, l);
	if (l->n && e->guard && e->instance)
		l->tx = true;
	const struct gate *g = gen_uplink_of(w, e->vpc);

	if (!e->guard && g && v4 && l->n == 42 && rnd_chance(r, 15)) {
		snprintf(l->port, sizeof(l->port), "%s", g->id);
		memcpy(l->frame + 6, "\x02\xff\xff\xff\xfe\x01", 6);
		memcpy(l->frame + 22, "\x02\xff\xff\xff\xfe\x01", 6);
		memcpy(l->frame + 28, "\xcb\x00\x71\x01", 4);
		memcpy(l->frame + 38, e->ip[0].has_public ? e->ip[0].public.b : e->ip[0].ip.b, 4);
	}
}

/* ---- fragments: a datagram cut in two or three, its pieces in any order, some missing, some twice */

static void cut(const struct line *whole, int fam, uint32_t id, int from, int to, bool more, struct line *ret_line)
{
	struct line *l = ret_line;
	int l3 = 14, hl = fam == 4 ? 20 : 40;

	*l = *whole;
	memcpy(l->frame + l3 + hl + (fam == 6 ? 8 : 0), whole->frame + l3 + hl + from, (size_t)(to - from));
	if (fam == 4) {
		put16(l->frame + l3 + 2, (unsigned)(hl + to - from));
		put16(l->frame + l3 + 4, id & 0xffff);
		put16(l->frame + l3 + 6, (unsigned)(from / 8) | (more ? 0x2000u : 0));
		put16(l->frame + l3 + 10, 0);
		put16(l->frame + l3 + 10, (uint16_t)~fold16(sum16(l->frame + l3, 20)));
	} else {
		uint8_t *h = l->frame + l3 + hl;

		h[0] = l->frame[20];
		h[1] = 0;
		l->frame[20] = 44;
		put16(h + 2, (unsigned)from | (more ? 1u : 0));
		put32(h + 4, id);
		put16(l->frame + l3 + 4, (unsigned)(8 + to - from));
	}
	l->n = l3 + hl + (fam == 6 ? 8 : 0) + to - from;
}

void gen_fragments(struct traffic *t, const struct world *w)
{
	struct conv c;
	struct line whole;

	memset(&whole, 0, offsetof(struct line, frame));
	*whole.state = 0;
	whole.broken = false;
	if (!gen_conv(t->r, w, &c) || (c.proto != P_TCP && c.proto != P_UDP))
		return;
	int s = rnd_chance(t->r, 70) ? 0 : 1;
	bool made = c.proto == P_UDP ? gen_udp(w, &c, s, 120, &whole) : gen_tcp(w, &c, s, TCP_ACK, 60, &whole);

	if (!made)
		return;
	int len = whole.n - 14 - (c.fam == 4 ? 20 : 40), pieces = rnd_between(t->r, 2, 3), at[4] = {0};
	uint32_t id = rnd_chance(t->r, 85) ? ++t->fragment_id : t->fragment_id;

	at[1] = rnd_chance(t->r, 85) ? 24 : rnd_chance(t->r, 50) ? 8 : 16;
	at[2] = pieces == 3 ? at[1] + 16 : len;
	at[3] = len;
	for (int i = pieces - 1; i >= 0; i--) {
		if (rnd_chance(t->r, 8) || t->nr_pending == MAX_PENDING)
			continue;
		cut(&whole, c.fam, rnd_chance(t->r, 95) ? id : id + 1, at[i], at[i + 1], i + 1 < pieces,
		    &t->pending[t->nr_pending++]);
		if (rnd_chance(t->r, 6) && t->nr_pending < MAX_PENDING) {
			t->pending[t->nr_pending] = t->pending[t->nr_pending - 1];
			t->nr_pending++;
		}
	}
	for (int i = 1; rnd_chance(t->r, 25) && i < t->nr_pending; i++) {
		struct line swap = t->pending[i];

		t->pending[i] = t->pending[i - 1];
		t->pending[i - 1] = swap;
	}
}
