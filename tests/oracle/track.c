/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connection tracking as CT-01..CT-21 tell it: one table per ENI, an entry knows the direction it was opened in.
 *
 * The key names the ENI's own side `near`: the source of what it sends, the destination of what it receives. So a
 * packet and its reply share a key, while a forwarder that re-emits a tuple has another one (CT-02). Of ICMP queries
 * there may be two flows with one identifier, one opened each way, so there the direction is part of the key.
 */
#include <stdlib.h>
#include <string.h>
#include "oracle.h"

static unsigned bucket_of(const struct flow_key *k)
{
	const uint8_t *b = (const uint8_t *)k;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*k); i++)
		h = (h ^ b[i]) * 16777619u;
	return h % NR_BUCKETS;
}

static struct flow *find(struct model *m, const struct flow_key *k)
{
	struct flow *f = m->flows[bucket_of(k)];

	while (f && memcmp(&f->key, k, sizeof(*k)))
		f = f->next;
	return f && f->expires >= m->now ? f : NULL;
}

static void key_make(struct flow_key *k, const struct eni *e, bool egress, int fam, int proto, const struct ip *src,
		     const struct ip *dst, uint16_t sport, uint16_t dport)
{
	memset(k, 0, sizeof(*k));
	k->eni = e->number;
	k->fam = fam;
	k->proto = proto;
	k->qtype = -1;
	k->near = egress ? *src : *dst;
	k->far = egress ? *dst : *src;
	k->near_port = egress ? sport : dport;
	k->far_port = egress ? dport : sport;
}

static bool is_icmp(const struct pkt *p)
{
	return p->proto == (p->fam == 4 ? P_ICMP : P_ICMP6);
}

/* CT-14: the error is admitted when the packet it quotes, which went the other way, belongs to a tracked flow. */
static bool is_related(struct model *m, const struct eni *e, bool egress, const struct pkt *p)
{
	const struct inner *in = &p->inner;
	struct flow_key k;

	if (!p->has_inner || !ip_eq(&p->dst, &in->src))
		return false;
	key_make(&k, e, !egress, p->fam, in->proto, &in->src, &in->dst, in->sport, in->dport);
	if (in->qtype >= 0) {
		k.qtype = in->qtype;
		k.opener = in->qreply ? egress : !egress;
	}
	const struct flow *f = find(m, &k);

	return f && f->tracked;
}

static bool judge_icmp(struct model *m, const struct eni *e, bool egress, int refs, const struct pkt *p,
		       struct change *c)
{
	struct sg_verdict v;

	c->related = is_related(m, e, egress, p);
	if (c->related)
		return true;
	c->key.qtype = p->qtype;
	c->key.opener = p->qtype < 0 ? 0 : p->qreply ? !egress : egress;
	if (p->qtype >= 0 && find(m, &c->key)) {
		c->kind = CHANGE_TOUCH;
		return true;
	}
	sg_judge(m->world, e, egress, refs, p, &v);
	if (v.admitted && p->qtype >= 0 && !p->qreply) {
		c->kind = CHANGE_OPEN;
		c->tracked = true; /* CT-05 */
	}
	return v.admitted;
}

/* Whether ENI e lets the packet through in this direction, and what that does to its table. */
bool track_judge(struct model *m, const struct eni *e, bool egress, int refs, const struct pkt *p,
		 struct change *ret_change)
{
	struct change *c = ret_change;
	struct sg_verdict v;
	bool syn = p->proto == P_TCP && (p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;

	memset(c, 0, sizeof(*c));
	if (!e->compute)
		return true; /* SG-24 */
	c->eni = e;
	c->egress = egress;
	key_make(&c->key, e, egress, p->fam, p->proto, &p->src, &p->dst, p->sport, p->dport);
	if (is_icmp(p))
		return judge_icmp(m, e, egress, refs, p, c);

	const struct flow *f = find(m, &c->key);

	if (f && !f->tracked && f->policy != e->policy)
		f = NULL; /* CT-07, CT-21 */
	if (f && syn && f->tcp.closing)
		f = NULL;
	if (f && !(syn && f->tracked)) {
		c->kind = CHANGE_TOUCH;
		return true;
	}
	sg_judge(m->world, e, egress, refs, p, &v);
	if (!v.admitted)
		return false;
	if (p->proto == P_TCP && p->flags & TCP_RST)
		return true; /* C9: opens nothing */
	c->kind = f ? CHANGE_TOUCH : CHANGE_OPEN;
	c->tracked = !v.untracked;
	return true;
}

/* Whether the entry is, or would be, a tracked one. */
bool track_is_tracked(struct model *m, const struct change *c)
{
	const struct flow *f = c->kind == CHANGE_TOUCH ? find(m, &c->key) : NULL;

	return f ? f->tracked || c->always : c->kind == CHANGE_OPEN && (c->tracked || c->always);
}

enum tcp_phase tcp_opens(const struct pkt *p)
{
	return (p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN ? PHASE_SYN : PHASE_PICKED_UP;
}

#define NEAR (1 << 20)

/* C5: a FIN has a number near what the other side acknowledged. Where it stops being near is enid's choice (it counts
 * bytes); none is generated between. */
static bool is_near(const struct conversation *c, const struct pkt *p, int me)
{
	int32_t off = (int32_t)(p->seq - c->ack[!me]);

	return !c->acked[!me] || (off > -NEAR && off < NEAR);
}

/* One packet of the conversation. opened: it is the first one. An acknowledgement of 0 is none. */
void tcp_advance(struct conversation *c, const struct pkt *p, bool opener, bool opened)
{
	bool acks = p->flags & TCP_ACK && p->ack;
	int me = opener ? 0 : 1;

	if (p->flags & TCP_RST) {
		if (c->acked[!me] && c->ack[!me] == p->seq)
			c->closing = true;
		return;
	}
	if (acks && !opened && c->phase == (opener ? PHASE_SYN_ACK : PHASE_PICKED_UP))
		c->phase = PHASE_ESTABLISHED;
	else if (!opener && c->phase == PHASE_SYN && p->flags & TCP_SYN)
		c->phase = PHASE_SYN_ACK;
	if (p->flags & TCP_FIN && acks && c->phase == PHASE_ESTABLISHED && is_near(c, p, me))
		c->fin[me] = true;
	if (p->flags & TCP_ACK) {
		c->acked[me] = acks;
		c->ack[me] = p->ack;
	}
	c->closing = c->fin[0] && c->fin[1];
}

bool tcp_half_open(const struct conversation *c)
{
	return c->phase != PHASE_ESTABLISHED;
}

/* CT-09, CT-11: seconds that the flow may now be idle. */
static int64_t idle_time(const struct flow *f, const struct eni *e)
{
	if (f->tcp.closing)
		return 10;
	if (f->key.qtype >= 0)
		return 30;
	if (f->key.proto == P_UDP)
		return f->exchanges > 1 ? e->udp_stream : e->udp;
	if (f->key.proto != P_TCP)
		return 600;
	if (f->tcp.fin[0] || f->tcp.fin[1])
		return 120;
	return tcp_half_open(&f->tcp) ? 60 : e->tcp_established;
}

/* A gateway reset the connection: the ENI that it told so has nothing to track any more. */
void track_reset(struct model *m, const struct change *c)
{
	struct flow *f = c->kind == CHANGE_TOUCH ? find(m, &c->key) : NULL;

	if (!f || f->tcp.closing || !f->egress)
		return; /* one that the world opened is left as it is */
	f->tcp.closing = true;
	f->expires = m->now + 10 * NS;
}

void track_commit(struct model *m, const struct change *c, const struct pkt *p)
{
	bool opened = false;
	struct flow *f;

	if (c->kind == CHANGE_NONE)
		return;
	unsigned b = bucket_of(&c->key);

	for (f = m->flows[b]; f && memcmp(&f->key, &c->key, sizeof(c->key));)
		f = f->next;
	if (c->kind == CHANGE_OPEN) {
		struct flow *next = f ? f->next : m->flows[b];

		if (!f) {
			f = malloc(sizeof(*f));
			m->flows[b] = f;
		}
		*f = (struct flow){.key = c->key, .next = next, .egress = c->egress, .tracked = c->tracked};
		f->policy = c->eni->policy;
		f->tcp.phase = tcp_opens(p);
		opened = true;
	}
	f->tracked |= c->always;
	if (f->tcp.closing)
		return; /* the 10 s count from the closing packet */
	bool opener = f->key.qtype >= 0 ? !p->qreply : f->egress == c->egress;

	if (!opener && f->asked)
		f->exchanges++;
	f->asked = opener;
	if (p->proto == P_TCP)
		tcp_advance(&f->tcp, p, opener, opened);
	f->expires = m->now + idle_time(f, c->eni) * NS;
}

static void drop_flows(struct model *m, int eni, bool all)
{
	for (int b = 0; b < NR_BUCKETS; b++) {
		struct flow **at = &m->flows[b];

		while (*at) {
			struct flow *f = *at;

			if (!all && f->key.eni != eni) {
				at = &f->next;
				continue;
			}
			*at = f->next;
			free(f);
		}
	}
}

void track_forget(struct model *m, int eni)
{
	drop_flows(m, eni, false);
}

void track_clear(struct model *m)
{
	drop_flows(m, 0, true);
}
