/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A first packet waits for memory longer than it computes: its name's bucket, that of the name of its answer, and its
 * record are lines that nobody has touched for long. They are asked for here, all at once and long before they are
 * used. What the answer will look like is only known when the packet is judged, so it is guessed: as that to the last
 * flow between the two addresses. A wrong guess costs a line that nobody needed; nothing is decided by it. */
#ifndef ENID_FORESEE_H
#define ENID_FORESEE_H

#include "flow.h"

static __always_inline struct guess *guess_at(struct pkt *p, __u32 *ret_key)
{
	__u64 hash = flow_mix((__u64)p->tuple.saddr.w[3] << 32 | p->tuple.daddr.w[3], p->in);

	*ret_key = (__u32)hash;
	return &p->guesses[hash >> 40 & (GUESSES - 1)];
}

/* For a packet whose name nobody has: p->back is written over. */
static __always_inline void foresee(struct pkt *p)
{
	struct guess *g;
	__u32 key;

	if (!p->looked || p->seen_ref != REF_NONE)
		return;
	g = guess_at(p, &key);
	if (p->tuple.family == 4 && g->key == key) {
		p->back.saddr.w[3] = g->from;
		p->back.daddr.w[3] = g->to;
		p->back.sport = p->tuple.dport;
		p->back.dport = p->tuple.sport;
		p->back.proto = p->tuple.proto;
		p->back.family = 4;
		name_fetch(&p->back, g->in);
	}
	record_fetch();
}

/* A kept decision knows the exit only when its record has come from memory, and the exit's line is then waited for once
 * more: with thousands of ENIs a third of what a packet costs. So it is asked for by a guess, too: who got the last
 * packet for such an address. */
static __always_inline __u16 *exit_place(const struct pkt *p, const struct port_policy *e)
{
	__u32 bits = be32(p->tuple.daddr.w[3]) + (e->zone << 7), at = bits % EXITS_FORESEEN / EXITS_A_LINE;
	struct exit_line *line = bpf_map_lookup_elem(&exits, &at);

	return line ? &line->port[bits % EXITS_A_LINE] : NULL;
}

static __always_inline void exit_fetch(struct pkt *p, const struct port_policy *e)
{
	__u16 *place = exit_place(p, e);
	struct port *port;

	p->foreseen = place ? *place : 0;
	port = port_at(p->foreseen);
	if (!port)
		return;
	(void)READ_ONCE(port->mtu);
	(void)READ_ONCE(port->slot[p->parity & 1].epoch);
}

/* Only exits that many addresses do not share: these are in the cache anyhow. */
static __always_inline void exit_learn(struct pkt *p, const struct port_policy *e)
{
	__u16 *place;

	if (likely(p->foreseen == p->exit) || p->action != ACTION_DELIVER || p->flags & HALF_REWRITE)
		return;
	place = exit_place(p, e);
	if (place)
		*place = p->exit;
}

/* p opened a flow, which is answered like this. */
static __always_inline void guess_learn(struct pkt *p, const struct flow_half *answer)
{
	struct guess *g;
	__u32 key;

	if (p->tuple.family != 4)
		return;
	g = guess_at(p, &key);
	g->key = key;
	g->in = answer->in;
	g->from = answer->tuple.saddr.w[3];
	g->to = answer->tuple.daddr.w[3];
}

#endif
