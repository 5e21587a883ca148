/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stream of frames: conversations that open, answer, go on, close, reset and come back, with time that mostly creeps
 * and sometimes jumps to one second before or after a time-out.
 */
#include <string.h>
#include "oracle.h"

unsigned traffic_without;

void traffic_init(struct traffic *t, struct rnd *r)
{
	memset(t, 0, sizeof(*t));
	t->r = r;
	t->last = -1;
	t->fragment_id = 1000;
}

static const int64_t timeouts[] = {10, 30, 30, 60, 60, 60, 120, 180, 350, 350, 350, 600, 3600, 432000};

/* Microseconds at random keep any two moments from being a whole time-out apart by accident. Returns whether it was a
 * jump, after which the last conversation goes on. */
static bool advance_time(struct traffic *t, const struct world *w)
{
	int kind = rnd_below(t->r, 1000);
	int64_t s;

	if (kind >= 25) {
		t->now += (kind < 80 ? rnd_between(t->r, 1, 3000000) : rnd_between(t->r, 1, 40000)) * 1000LL;
		return false;
	}
	s = timeouts[rnd_below(t->r, (int)ARRAY_SIZE(timeouts))];
	if (rnd_chance(t->r, 40) && w->nr_eni) {
		const struct eni *e = &w->eni[rnd_below(t->r, w->nr_eni)];

		s = rnd_chance(t->r, 40) ? e->udp : rnd_chance(t->r, 50) ? e->udp_stream : e->tcp_established;
	}
	t->now += s * NS + (rnd_chance(t->r, 50) ? 1 : -1) * (NS - rnd_between(t->r, 0, 300000) * 1000LL);
	return true;
}

/* The usual next segment of a TCP conversation: handshake, data, half-close, close. */
static bool next_tcp(struct traffic *t, const struct world *w, struct conv *c, struct line *l)
{
	int step = c->step++;

	switch (step) {
	case 0:
		return gen_tcp(w, c, 0, TCP_SYN, 0, l);
	case 1:
		return gen_tcp(w, c, 1, TCP_SYN | TCP_ACK, 0, l);
	case 2:
		return gen_tcp(w, c, 0, TCP_ACK, 0, l);
	case 9:
		return gen_tcp(w, c, rnd_below(t->r, 2), TCP_FIN | TCP_ACK, 0, l);
	case 10:
	case 11:
		return gen_tcp(w, c, rnd_below(t->r, 2), TCP_ACK, rnd_below(t->r, 9), l);
	case 12:
		return gen_tcp(w, c, 0, TCP_FIN | TCP_ACK, 0, l);
	case 13:
		return gen_tcp(w, c, 1, TCP_FIN | TCP_ACK, 0, l);
	case 14:
	case 15:
		return gen_tcp(w, c, step & 1, TCP_ACK, 0, l);
	case 16:
		c->step = rnd_chance(t->r, 60) ? 0 : 3; /* the port comes back */
		return gen_tcp(w, c, rnd_below(t->r, 2), TCP_ACK, 3, l);
	default:
		return gen_tcp(w, c, rnd_below(t->r, 2), TCP_ACK | TCP_PSH, rnd_between(t->r, 1, 40), l);
	}
}

/* From somebody who does not know the numbers (C5). */
static bool blind_fin(struct traffic *t, const struct world *w, struct conv *c, int s, struct line *l)
{
	uint32_t seq = c->side[s].seq;
	bool made;

	c->side[s].seq += (uint32_t)rnd_between(t->r, 2, 14) << 28;
	made = gen_tcp(w, c, s, TCP_FIN | TCP_ACK, 0, l);
	c->side[s].seq = seq;
	return made;
}

/* What a well-behaved host would not send now. */
static bool odd_tcp(struct traffic *t, const struct world *w, struct conv *c, struct line *l)
{
	int s = rnd_below(t->r, 2);

	switch (rnd_below(t->r, 8)) {
	case 0:
		return gen_tcp(w, c, 0, TCP_SYN, 0, l);
	case 1:
		return gen_tcp(w, c, 1, TCP_SYN, 0, l);
	case 2:
		return gen_tcp(w, c, s, TCP_RST, 0, l);
	case 3:
		c->side[!s].acked += (uint32_t)rnd_between(t->r, 1, 9);
		if (!gen_tcp(w, c, s, TCP_RST, 0, l))
			return false;
		c->side[!s].acked = c->side[s].seq;
		return true;
	case 4:
		return rnd_chance(t->r, 50) ? gen_tcp(w, c, s, TCP_FIN | TCP_ACK, 0, l) : blind_fin(t, w, c, s, l);
	case 5:
		c->step = rnd_between(t->r, 0, 16);
		return gen_tcp(w, c, s, TCP_ACK, 1, l);
	case 6:
		return gen_tcp(w, c, s, TCP_SYN | TCP_ACK, 0, l);
	default:
		return gen_tcp(w, c, s, TCP_ACK, 5, l);
	}
}

static int big_or_small(struct rnd *r)
{
	return rnd_chance(r, 6) && gen_has("sizes") ? rnd_between(r, 1380, 1600) : rnd_between(r, 0, 60);
}

static bool any_step(struct traffic *t, const struct world *w, struct conv *c, struct line *l)
{
	int s = c->step == 0 ? 0 : rnd_below(t->r, 2);

	if (rnd_chance(t->r, 4) && c->step)
		return gen_error(t->r, w, c, s, l);
	if (c->proto == P_TCP)
		return rnd_chance(t->r, 86) ? next_tcp(t, w, c, l) : odd_tcp(t, w, c, l);
	if (rnd_chance(t->r, 70))
		s = c->step & 1;
	c->step++;
	if (c->proto == P_UDP)
		return gen_udp(w, c, s, big_or_small(t->r), l);
	if (c->proto == P_ICMP || c->proto == P_ICMP6)
		return rnd_chance(t->r, 85) ? gen_query(w, c, s, s == 1, l) : gen_query(w, c, s, s == 0, l);
	return gen_raw(w, c, s, l);
}

static bool step_conv(struct traffic *t, const struct world *w, struct conv *c, struct line *l)
{
	if (!any_step(t, w, c, l))
		return false;
	if (!rnd_chance(t->r, 2) || !gen_has("ttl"))
		return true;
	l->frame[c->fam == 4 ? 22 : 21] = (uint8_t)rnd_between(t->r, 0, 3); /* near its end */
	gen_seal(l->frame, l->n);
	return true;
}

static void note_pending(struct traffic *t, const struct line *l)
{
	if (t->nr_pending < MAX_PENDING)
		t->pending[t->nr_pending++] = *l;
}

/* A middlebox sends on what it was given, or an answer to it: the same packet from its own port (CT-02). */
static void forward(struct traffic *t, const struct world *w, const struct line *l)
{
	struct pkt p;

	pkt_parse(l->frame, l->n, &p);
	for (int i = 0; i < w->nr_eni; i++) {
		const struct eni *e = &w->eni[i], *from = gen_eni_named(w, l->port);
		struct line again = *l;

		if (e->check || !e->compute || !from || e->vpc != from->vpc || e == from || e->guard || !p.fam)
			continue;
		snprintf(again.port, sizeof(again.port), "%s", e->id);
		memcpy(again.frame + 6, e->mac, 6);
		memcpy(again.frame, w->router_mac, 6);
		note_pending(t, &again);
		return;
	}
}

static bool fresh_conv(struct traffic *t, const struct world *w)
{
	struct conv c;

	if (!gen_conv(t->r, w, &c))
		return false;
	if (rnd_chance(t->r, 12))
		c.step = rnd_between(t->r, 3, 8); /* mid-stream */
	if (t->nr_conv < MAX_CONV)
		t->last = t->nr_conv++;
	else
		t->last = rnd_below(t->r, MAX_CONV);
	t->conv[t->last] = c;
	return true;
}

static bool talk(struct traffic *t, const struct world *w, struct line *l)
{
	if (rnd_chance(t->r, 25) || !t->nr_conv) {
		if (!fresh_conv(t, w))
			return false;
	} else if (rnd_chance(t->r, 50)) {
		t->last = rnd_below(t->r, t->nr_conv);
	}
	if (!step_conv(t, w, &t->conv[t->last], l))
		return false;
	if (rnd_chance(t->r, 12))
		forward(t, w, l);
	return true;
}

static bool is_unwanted(const struct world *w, const struct line *l)
{
	const struct eni *e = gen_eni_named(w, l->port);
	struct ip ignored;
	struct pkt p;

	pkt_parse(l->frame, l->n, &p);
	if (traffic_without & WITHOUT_MAC && !e && p.n > 14 && memcmp(p.raw, w->router_mac, 6) &&
	    memcmp(p.raw, "\xff\xff\xff\xff\xff\xff", 6))
		return true;
	if (traffic_without & WITHOUT_RUNTS && p.etype == ET_IP6 && p.n < 54)
		return true;
	if (traffic_without & WITHOUT_LIES && p.has_inner && !ip_eq(&p.inner.src, &p.dst))
		return true;
	if (traffic_without & WITHOUT_LINK_LOCAL && p.fam == 6 && p.dst.b[0] == 0xfe && !is_neighbour_message(&p) &&
	    !(e && is_router_address(w, e, 6, &p.dst)))
		return true;
	if (traffic_without & WITHOUT_LINK_LOCAL && p.fam == 4 && p.dst.b[0] == 169 &&
	    !(e && is_service(w, e, 4, &p.dst)))
		return true;
	if (!e || !p.fam)
		return false;
	if (traffic_without & WITHOUT_SELF && eni_owns(e, p.fam, &p.dst) && !l->tx && !e->guard)
		return true;
	if (traffic_without & WITHOUT_ERRORS && p.has_inner)
		return true;
	if (traffic_without & WITHOUT_FRAGMENTS && (p.more || p.foff))
		return true;
	return traffic_without & WITHOUT_HAIRPIN && p.fam == 4 && public_owner(w, e->vpc, &p.dst, &ignored) >= 0;
}

static void any_line(struct traffic *t, const struct world *w, struct line *ret_line);

/* The next line. The world is the state in force, for addresses and MACs; verdicts play no part in it. */
void traffic_line(struct traffic *t, const struct world *w, struct line *ret_line)
{
	do
		any_line(t, w, ret_line);
	while (traffic_without && is_unwanted(w, ret_line));
}

static void any_line(struct traffic *t, const struct world *w, struct line *ret_line)
{
	struct line *l = ret_line;
	bool done = false;

	memset(l, 0, offsetof(struct line, frame));
	*l->state = 0;
	l->broken = false;
	if (t->nr_pending) {
		t->now += rnd_between(t->r, 1, 9000) * 1000LL;
		if (rnd_chance(t->r, 2))
			t->now += 30 * NS +
				  (rnd_chance(t->r, 50) ? 1 : -1) * NS; /* around what a fragment is remembered */
		*l = t->pending[--t->nr_pending];
		l->at = t->now;
		return;
	}
	bool jumped = advance_time(t, w);

	if (jumped && t->last >= 0)
		done = step_conv(t, w, &t->conv[t->last], l);
	for (int tries = 0; !done && tries < 40; tries++) {
		int kind = rnd_below(t->r, 100);

		if (kind < 80) {
			done = talk(t, w, l);
		} else if (kind < 92 && !(traffic_without & WITHOUT_ODD)) {
			l->n = 0;
			gen_oddity(t, w, l);
			done = l->n > 0;
		} else if (kind < 96) {
			l->n = 0;
			gen_neighbour(t->r, w, l);
			done = l->n > 0;
		} else {
			gen_fragments(t, w);
			if (t->nr_pending) {
				*l = t->pending[--t->nr_pending];
				done = true;
			}
		}
	}
	if (!done) {
		snprintf(l->port, sizeof(l->port), "%s", w->nr_eni ? w->eni[0].id : "none");
		l->tx = false;
		l->n = 9;
	}
	l->at = t->now;
}
