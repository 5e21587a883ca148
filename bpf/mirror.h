/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic mirroring: copies of what an ENI sends and gets, in VXLAN, to the target of a session (TM-01..TM-15).
 *
 * Which flows are copied is decided with them (mirror_wanted) and kept as HALF_MIRROR; where the frame is as the guest
 * knows it, a copy is judged as if the ENI had sent it (mirror_judge), but that its own security group is not asked
 * (TM-07), by nobody else's records and without one of its own: copies are never the reason that a flow is refused.
 *
 * A program cannot make a packet, it can clone the one it has. The clone is sent out of the mirrored ENI's device,
 * whose egress program runs at once, on this CPU, before the clone_redirect returns; it knows the clone by a fresh mark
 * (as hand_over() in act.h), makes the copy of it and sends that on. So the packet itself is never touched, whatever
 * offloads it has, and no copy is ever taken for a packet that could be copied again. XDP cannot clone: what may have
 * to be copied it leaves to TC. */
#ifndef ENID_MIRROR_BPF_H
#define ENID_MIRROR_BPF_H

#include "admit.h"
#include "enid/mirror.h"
#include "judge.h"
#include "rate.h"
#include "vxlan.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3 * PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mirror_key);
	__type(value, struct counter);
} mirror_counts SEC(".maps");

struct { /* ... reason 0: copies that a session may still send (TM-15) */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3 * PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mirror_key);
	__type(value, struct bucket);
} mirror_budgets SEC(".maps");

/* How a packet is looked at. */
#define MIRROR_OUT      1u /* it leaves the ENI (MIRROR_EGRESS): else it is for the ENI */
#define MIRROR_REFUSED  2u /* it was dropped: p->reason */
#define MIRROR_SERVICE  4u /* Amazon DNS: no rule is asked */
#define MIRROR_AS_GIVEN 8u /* as p->out: else as p->tuple */

/* ---- filters */

static __always_inline bool in_range(__u32 port, __u32 range)
{
	return port >= range >> 16 && port <= (range & 0xffff);
}

static __always_inline bool ports_match(const struct tuple *t, const struct policy_line *rule)
{
	if (t->proto != IPPROTO_TCP && t->proto != IPPROTO_UDP)
		return rule->w[RULE_W_SPORTS] == MIRROR_ALL_PORTS && rule->w[RULE_W_DPORTS] == MIRROR_ALL_PORTS;
	return in_range(be16(t->sport), rule->w[RULE_W_SPORTS]) && in_range(be16(t->dport), rule->w[RULE_W_DPORTS]);
}

static __always_inline bool nets_match(const struct tuple *t, const struct policy_line *nets)
{
	__u32 differ = 0;

	for (int i = 0; i < 4; i++) {
		differ |= (t->saddr.w[i] ^ nets->w[i]) & nets->w[4 + i];
		differ |= (t->daddr.w[i] ^ nets->w[8 + i]) & nets->w[12 + i];
	}
	return !differ;
}

/* ret: 0 = it says nothing of the packet, 1 = accept, 2 = reject */
__noinline int mirror_rule(struct pkt *p, __u32 line, __u32 how)
{
	struct policy_line *rule = policy_at(line), *nets = policy_at(line + 1);
	const struct tuple *t;

	if (!p || !rule || !nets)
		return 2;
	t = how & MIRROR_AS_GIVEN ? &p->out : &p->tuple;
	if (rule->w[RULE_W_FAMILY] != t->family ||
	    (rule->w[RULE_W_PROTOCOL] != MIRROR_ANY && rule->w[RULE_W_PROTOCOL] != t->proto) || !ports_match(t, rule) ||
	    !nets_match(t, nets))
		return 0;
	return rule->w[RULE_W_ACCEPT] ? 1 : 2;
}

/* Does the filter of the session at `line` accept it (TM-03)? */
__noinline int mirror_accepts(struct pkt *p, __u32 object, __u32 line, __u32 how)
{
	struct policy_line *session = policy_at(line);
	__u32 nr, first;
	int said = 0;

	if (!session || (how & MIRROR_REFUSED && !(session->w[MIRROR_W_FLAGS] & MIRROR_DROPPED)))
		return 0;
	if (how & MIRROR_SERVICE)
		return session->w[MIRROR_W_FLAGS] & MIRROR_DNS;
	nr = session->w[MIRROR_W_RULES + (how & MIRROR_OUT)];
	first = object + session->w[MIRROR_W_FIRST + (how & MIRROR_OUT)];
	for (__u32 i = 0; i < MIRROR_RULES_MAX && i < nr && !said; i++)
		said = mirror_rule(p, first + 2 * i, how);
	return said == 1;
}

/* The first session of the ENI that takes the packet (TM-02). ret: its line in `policy`, 0 = none */
__noinline int mirror_match(struct pkt *p, __u32 port, __u32 how)
{
	struct port_policy *e = p ? policy_of(p, port) : NULL;
	struct policy_line *head = e && e->mirror ? policy_at(e->mirror) : NULL;
	__u32 object;

	if (!head)
		return 0;
	object = e->mirror;
	for (__u32 i = 0; i < MIRROR_SESSIONS_MAX && i < head->w[POLICY_W_SESSIONS]; i++)
		if (mirror_accepts(p, object, object + 1 + i, how))
			return object + 1 + i;
	return 0;
}

/* Of a packet that passes: is it to be copied at either end? */
__noinline int mirror_wanted(struct pkt *p)
{
	struct port_policy *source, *target;

	if (!p)
		return 0;
	source = p->source.port ? policy_of(p, p->source.port) : NULL;
	target = p->target.port ? policy_of(p, p->target.port) : NULL;
	if (unlikely(source && source->mirror) && mirror_match(p, p->source.port, MIRROR_OUT))
		return true;
	return unlikely(target && target->mirror) && mirror_match(p, p->target.port, MIRROR_AS_GIVEN);
}

/* ---- the way of a copy */

/* Who the frame at hand says it is of: what was refused has not been translated. */
static __always_inline const struct tuple *frame_tuple(const struct pkt *p, __u32 how)
{
	return (how & (MIRROR_AS_GIVEN | MIRROR_REFUSED)) == MIRROR_AS_GIVEN ? &p->out : &p->tuple;
}

/* Would the copy of a refused packet show a sender that its target was never to see? */
static __always_inline bool gives_away(const struct pkt *p, __u32 how)
{
	return (how & (MIRROR_AS_GIVEN | MIRROR_REFUSED)) == (MIRROR_AS_GIVEN | MIRROR_REFUSED) &&
	       (p->out.family != p->tuple.family || p->out.sport != p->tuple.sport ||
		!addr_equal(&p->out.saddr, &p->tuple.saddr));
}

static __always_inline void mirror_count(const struct pkt *q, __u32 session, __u32 reason, __u32 packets, __u64 bytes)
{
	struct mirror_key key = {.port = IN_PORT(q->in), .session = session, .reason = reason};
	struct counter first = {.packets = 0, .bytes = 0}, *found = bpf_map_lookup_elem(&mirror_counts, &key);

	if (!found) {
		bpf_map_update_elem(&mirror_counts, &key, &first, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&mirror_counts, &key);
	}
	if (!found)
		return;
	__sync_fetch_and_add(&found->packets, packets);
	__sync_fetch_and_add(&found->bytes, bytes);
}

/* Copies are the first to go when there are too many: of one packet, which a guest may have told to be cut into
 * thousands, and of one session. What they cost is the sender's CPU, which others need, too. ret: how many may leave */
static __always_inline __u32 mirror_grant(const struct pkt *q, __u32 session)
{
	struct mirror_key key = {.port = IN_PORT(q->in), .session = session};
	struct bucket first = {}, *budget = bpf_map_lookup_elem(&mirror_budgets, &key);

	if (!budget) {
		bpf_map_update_elem(&mirror_budgets, &key, &first, BPF_NOEXIST);
		budget = bpf_map_lookup_elem(&mirror_budgets, &key);
	}
	return budget ? rate_takes(budget, q->now, MIRROR_RATE, at_most(q->segments, MIRROR_SEGMENTS)) : 0;
}

/* The same for all packets of one direction of a flow, and another one for the other (TM-09, TM-10). */
static __always_inline __be16 mirror_sport(const struct tuple *t)
{
	__u64 hash = flow_mix((__u64)t->saddr.w[3] << 32 | t->daddr.w[3], t->proto);

	if (t->family == 6) {
		hash += flow_mix((__u64)t->saddr.w[1] << 32 | t->daddr.w[1], 1);
		hash += flow_mix((__u64)t->saddr.w[2] << 32 | t->daddr.w[2], 2);
	}
	if (t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP)
		hash += flow_mix((__u64)t->sport << 16 | t->dport, 3);
	return be16(0xc000 | (hash >> 32 & 0x3fff));
}

/* IP bytes of all copies of a packet whose frames are cut to `keep`. */
static __always_inline __u32 mirror_bytes(const struct pkt *p, __u32 keep)
{
	__u32 each = p->segments > 1 ? p->largest : p->bytes, last = p->bytes - (p->segments - 1) * each;

	return (p->segments - 1) * (at_most(each + ETH_HLEN, keep) + MIRROR_ROOM) + at_most(last + ETH_HLEN, keep) +
	       MIRROR_ROOM;
}

static __always_inline void mirror_begin(struct pkt *q, const struct pkt *p, const struct policy_line *session,
					 __u32 port, const struct tuple *t)
{
	q->now = p->now;
	q->parity = p->parity;
	q->in = port;
	q->segments = p->segments;
	q->bytes = mirror_bytes(p, MIRROR_MAX);
	tuple_set4(&q->tuple, session->w[MIRROR_W_SOURCE], session->w[MIRROR_W_TARGET]);
	q->tuple.proto = IPPROTO_UDP;
	q->tuple.sport = mirror_sport(t);
	q->tuple.dport = be16(VXLAN_PORT);
	q->ethertype = ETH_P_IP;
	q->kind = KIND_PLAIN;
	q->fragment = FRAGMENT_NO;
	q->tcp_flags = 0;
	q->service = VXLAN_PORT;
	q->ttl = 64;
	q->ref = REF_NONE;
	q->related = 0;
	q->early = 0;
	q->complaint = COMPLAIN_NOT;
	q->nr_spilled = 0;
	owners_forget(q);
	judge_begin(q);
}

/* Whoever else has the target's address, in another VPC of the same range, neither gets the copy nor judges it. A
 * middlebox on the way does not have it. */
static __always_inline bool is_anothers(struct pkt *q, const struct policy_line *session)
{
	struct port_policy *e = q->target.port ? policy_of(q, q->target.port) : NULL;

	return e && e->zone != session->w[MIRROR_W_ZONE] && owner_at(q, &q->out.daddr, e->zone, 4) == q->target.port;
}

/* From the source's subnet by its route table, as judge_eni(). On its own: the walk needs the stack. ret: 0 or the
 * reason */
__noinline int mirror_walk(struct pkt *q, __u32 line)
{
	struct port_policy *e = q ? policy_of(q, IN_PORT(q->in)) : NULL;
	struct subnet_policy *subnet = e ? subnet_of(q, e->subnet) : NULL;
	struct policy_line *session = policy_at(line);
	struct mirror_copy *c = copy_at_hand();
	int reason = WALK_ON;

	if (!q || !subnet || !session || !c)
		return REASON_NO_POLICY;
	if (!c->allowed)
		return REASON_RATE_LIMIT;
	q->source.port = IN_PORT(q->in);
	station(q, AT_SUBNET, e->zone, e->subnet, subnet->table);
	q->at_port = q->source.port;
	q->peer_zone = e->zone;
	if (subnet_covers(subnet, &q->tuple.daddr, 4)) {
		reason = same_subnet(q, owner_at(q, &q->tuple.daddr, e->zone, 4));
	} else {
		route_look(q);
		q->relayed = sends_through(q, e);
	}
	reason = reason == WALK_ON ? walk(q) : reason;
	if (!reason && is_anothers(q, session))
		reason = REASON_NO_OWNER;
	return conclude(q, reason);
}

/* What gateways remember, translate or wrap has no way for copies: they have no record. */
static __always_inline bool mirror_passes(const struct pkt *q, const struct port *exit)
{
	const struct port_policy *x = &exit->slot[q->parity & 1];

	return !q->nat && !q->remembered && q->target.leg != LEG_GATE && tuple_equal(&q->out, &q->tuple) &&
	       (x->kind != PORT_UPLINK || x->gateway != ROUTE_IGW) && exit->mtu != MTU_DOWN;
}

/* How much of a frame the way and the target's device take (TM-11, TM-12). ret: 0 = not even headers */
static __always_inline __u32 mirror_room(const struct pkt *q, const struct port *exit, __u32 length, __u8 family)
{
	__u32 least = family == 6 ? MIRROR_MIN6 : MIRROR_MIN4;
	__u32 room = at_most(path_mtu(q->flags), exit->mtu ? exit->mtu : ENI_MTU);

	room = room > MIRROR_OVERHEAD ? at_most(room - MIRROR_OVERHEAD + ETH_HLEN, MIRROR_MAX) : 0;
	if (room < least)
		return 0;
	return length && length < room ? length < least ? least : length : room;
}

static __always_inline void mirror_outer(struct mirror_outer *o, const struct pkt *q, __u32 vni, __u32 refused)
{
	__builtin_memset(o, 0, sizeof(*o));
	o->version_ihl = 0x45;
	o->ttl = 64 - q->hops;
	o->proto = IPPROTO_UDP;
	o->saddr = q->out.saddr.ip4;
	o->daddr = q->out.daddr.ip4;
	o->sport = q->out.sport;
	o->dport = q->out.dport;
	o->flags = refused ? 0x88 : 0x08;
	o->group = be16(refused);
	o->vni = be32(vni << 8);
}

/* The copy may leave, or is counted as one that does not. */
static __always_inline int mirror_book(struct pkt *q, struct mirror_copy *c, int reason)
{
	c->reason = reason;
	c->action = reason ? ACTION_DROP : q->action;
	if (!reason)
		return 0;
	if (q->target.port && (reason == REASON_SG_INGRESS || reason == REASON_NACL_INGRESS))
		tally(q, &q->out, q->target.port, TALLY_REJECT | TALLY_REASON(reason));
	mirror_count(q, c->session, reason, q->segments, q->bytes);
	return reason;
}

static __always_inline int mirror_fits(struct pkt *p, struct pkt *q, struct mirror_copy *c, const struct port_policy *e,
				       __u32 length, __u8 family)
{
	struct port *exit = port_at(q->exit);

	if (!exit || (!replay && (!exit->ifindex || exit->deliver == DELIVER_NOT)))
		return REASON_NO_OWNER;
	if (!mirror_passes(q, exit))
		return REASON_NOT_SERVED;
	c->keep = mirror_room(q, exit, length, family);
	if (!c->keep)
		return REASON_MTU;
	q->bytes = mirror_bytes(p, c->keep);
	c->exit = q->exit;
	__builtin_memset(c->dmac, 0, 6);
	if (q->action == ACTION_DELIVER)
		__builtin_memcpy(c->dmac, exit->slot[q->parity & 1].mac, 6);
	if (q->action == ACTION_UPLINK)
		__builtin_memcpy(c->smac, exit->slot[q->parity & 1].mac, 6);
	else if (q->flags & HALF_KEEP_SMAC)
		__builtin_memcpy(c->smac, e->mac, 6);
	else
		__builtin_memcpy(c->smac, control.router_mac, 6);
	return 0;
}

/* A copy of p by the session at `line` of the ENI behind `port` is to be judged. ret: 0, -1 = it cannot be */
__noinline int mirror_prepare(struct pkt *p, __u32 port, __u32 line, __u32 how)
{
	struct policy_line *session = policy_at(line);
	struct mirror_copy *c = copy_at_hand();
	struct pkt *q = copy_packet();
	const struct tuple *t;

	if (!p || !session || !c || !q)
		return -1;
	t = frame_tuple(p, how);
	c->source = port;
	c->session = session->w[MIRROR_W_NUMBER];
	c->length = 0;
	c->seen = 0;
	c->exit = 0;
	c->sent = 0;
	c->sent_bytes = 0;
	c->proto = p->fragment ? 0 : t->proto;
	mirror_begin(q, p, session, port, how & MIRROR_AS_GIVEN ? &p->out : &p->tuple);
	q->l4 = p->l4;
	if (t->family != p->tuple.family)
		q->l4 = ETH_HLEN + (t->family == 6 ? 40 : 20);
	c->allowed = mirror_grant(q, c->session);
	return 0;
}

/* After the walk, which said `reason`: 0, where the copy goes; else why it goes nowhere. */
__noinline int mirror_settle(struct pkt *p, __u32 line, __u32 how, int reason)
{
	struct policy_line *session = policy_at(line);
	struct mirror_copy *c = copy_at_hand();
	struct pkt *q = copy_packet();
	struct port_policy *e;
	__u8 family;

	if (!p || !session || !c || !q)
		return REASON_NO_POLICY;
	e = policy_of(q, IN_PORT(q->in));
	if (!e)
		return REASON_NO_POLICY;
	family = frame_tuple(p, how)->family;
	if (!reason && gives_away(p, how))
		reason = REASON_NOT_SERVED;
	if (!reason)
		reason = mirror_fits(p, q, c, e, session->w[MIRROR_W_LENGTH], family);
	mirror_outer(&c->outer, q, session->w[MIRROR_W_VNI], how & MIRROR_REFUSED ? p->reason : 0);
	return mirror_book(q, c, reason);
}

/* ---- taking copies */

static __always_inline void mirror_tell(void)
{
	__u32 zero = 0;
	struct report *told = bpf_map_lookup_elem(&report, &zero);

	if (told)
		told->copies++;
}

/* ret: a mark that nobody knows, for one clone */
static __always_inline __u32 mirror_mark(struct mirror_copy *c)
{
	return (__u32)(++c->count * (control.secrets[4] | 1) >> 16) | 1;
}

/* One clone. ret: why it did not leave; 0 = it did, or nobody says why not */
__noinline int tc_mirror_clone(struct __sk_buff *ctx)
{
	struct mirror_copy *c = copy_at_hand();
	bool sent;

	if (!c)
		return 0;
	c->reason = 0;
	c->mark = mirror_mark(c);
	ctx->mark = c->mark;
	sent = !bpf_clone_redirect(ctx, c->ifindex, 0) && !c->reason;
	c->mark = 0;
	if (!sent)
		return c->reason;
	c->sent++;
	c->sent_bytes += be16(c->outer.total);
	return 0;
}

/* A clone for each packet that stands in this one. c->sent, c->sent_bytes: of those that left; c->reason: of the others
 */
static __always_inline void mirror_clones(struct __sk_buff *ctx, struct mirror_copy *c, __u32 nr)
{
	struct port *port = port_at(c->source);
	__u32 mark = ctx->mark, reason = REASON_NOT_SERVED;

	c->size = nr > 1 ? ctx->gso_size : 0;
	c->ifindex = port ? port->ifindex : 0;
	for (__u32 i = 0; i < MIRROR_SEGMENTS && i < c->allowed && c->ifindex; i++) {
		c->segment = nr > 1 ? i + 1 : 0;
		reason = tc_mirror_clone(ctx) ?: reason;
	}
	ctx->mark = mark;
	c->reason = reason;
}

/* Of those that did not leave: what there was no room for in the budget, and what failed. */
static __always_inline void mirror_close_lost(const struct pkt *q, const struct mirror_copy *c)
{
	__u32 lost = q->segments - c->sent, over = q->segments - c->allowed;
	__u64 bytes = q->bytes > c->sent_bytes ? q->bytes - c->sent_bytes : 0, of_over;

	of_over = bytes * over / lost;
	if (over)
		mirror_count(q, c->session, REASON_RATE_LIMIT, over, of_over);
	if (lost > over)
		mirror_count(q, c->session, c->reason, lost - over, bytes - of_over);
}

/* What was made of a copy that may leave: in the books of both ends. */
__noinline int mirror_close(struct pkt *q)
{
	struct mirror_copy *c = copy_at_hand();

	if (!q || !c)
		return 0;
	if (c->sent < q->segments)
		mirror_close_lost(q, c);
	if (!c->sent)
		return 0;
	mirror_count(q, c->session, REASON_ACCEPTED, c->sent, c->sent_bytes);
	q->segments = c->sent;
	q->bytes = c->sent_bytes;
	return q->target.port ? tally(q, &q->out, q->target.port, 0) : 0;
}

/* Replay: it is told of instead. */
static __always_inline void mirror_show(void *ctx, const int hook, struct mirror_copy *c, const struct pkt *q)
{
	if (mirror_load(ctx, hook, c)) {
		c->reason = REASON_MALFORMED;
		c->action = ACTION_DROP;
		return;
	}
	c->sent = c->allowed;
	c->sent_bytes = q->segments ? q->bytes * c->allowed / q->segments : 0;
}

__noinline int tc_mirror_copy(struct __sk_buff *ctx)
{
	struct mirror_copy *c = copy_at_hand();
	struct pkt *q = copy_packet();

	if (!c || !q)
		return 0;
	if (replay)
		mirror_show(ctx, HOOK_TC, c, q);
	else
		mirror_clones(ctx, c, q->segments);
	return 0;
}

__noinline int xdp_mirror_copy(struct xdp_md *ctx)
{
	struct mirror_copy *c = copy_at_hand();
	struct pkt *q = copy_packet();

	if (c && q && replay)
		mirror_show(ctx, HOOK_XDP, c, q);
	return 0;
}

static __always_inline void mirror(void *ctx, const int hook, struct pkt *p, __u32 port, __u32 how)
{
	__u32 line = mirror_match(p, port, how);
	struct pkt *q;

	if (!line || mirror_prepare(p, port, line, how))
		return;
	q = copy_packet();
	if (!q)
		return;
	if (!mirror_settle(p, line, how, mirror_walk(q, line))) {
		hook == HOOK_XDP ? xdp_mirror_copy(ctx) : tc_mirror_copy(ctx);
		mirror_close(q);
	}
	if (replay)
		mirror_tell();
	if (unlikely(q->nr_spilled))
		hook == HOOK_XDP ? xdp_spill(ctx, q) : tc_spill(ctx, q);
}

/* ---- where packets pass */

static __always_inline bool leaves_eni(const struct pkt *p, const struct port_policy *e)
{
	return e->kind == PORT_ENI && !(p->in & IN_TX) == !(e->flags & PORT_SIDE_INSTANCE);
}

/* The frame is as the ENI behind p->in sent it. */
static __always_inline void mirror_sent(void *ctx, const int hook, struct pkt *p)
{
	if (unlikely(p->flags & HALF_MIRROR))
		mirror(ctx, hook, p, IN_PORT(p->in), MIRROR_OUT);
}

/* The frame is as the ENI behind p->exit gets it. */
static __always_inline void mirror_given(void *ctx, const int hook, struct pkt *p)
{
	if (unlikely(p->flags & HALF_MIRROR && p->action == ACTION_DELIVER))
		mirror(ctx, hook, p, p->exit, p->flags & HALF_REWRITE ? MIRROR_AS_GIVEN : 0);
}

enum mirror_kind { MIRROR_ORDINARY, MIRROR_NEVER, MIRROR_RESOLVER };

static __always_inline bool resolver_address(const struct subnet_policy *subnet, const union addr *a, __u8 family)
{
	if (family == 6)
		return a->w[3] == be32(0x253); /* of the service addresses */
	return a->ip4 == be32(0xa9fea9fd) || (subnet->resolver4 && a->ip4 == subnet->resolver4);
}

/* TM-05, TM-06 */
static __always_inline enum mirror_kind mirror_kind_of(const struct pkt *p, const struct port_policy *e, bool out)
{
	const union addr *far = out ? &p->tuple.daddr : &p->tuple.saddr;
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	__be16 port = out ? p->tuple.dport : p->tuple.sport;

	if (!subnet || !p->tuple.family || dhcp_request(p) || dhcp_answer(p))
		return MIRROR_NEVER;
	if (p->tuple.family == 6 && p->tuple.proto == IPPROTO_ICMPV6 && p->icmp_type >= 133 && p->icmp_type <= 137)
		return MIRROR_NEVER;
	if (!service_address(subnet, far, p->tuple.family))
		return router_address(subnet, far, p->tuple.family) ? MIRROR_NEVER : MIRROR_ORDINARY;
	return resolver_address(subnet, far, p->tuple.family) && port == be16(53) &&
			       (p->tuple.proto == IPPROTO_UDP || p->tuple.proto == IPPROTO_TCP)
		       ? MIRROR_RESOLVER
		       : MIRROR_NEVER;
}

/* Left to the host's stack, or by it to the ENI, as it is. */
static __always_inline void mirror_passing(void *ctx, const int hook, struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));
	enum mirror_kind kind;
	bool out;

	if (!e || !e->mirror)
		return;
	out = leaves_eni(p, e);
	kind = mirror_kind_of(p, e, out);
	if (kind != MIRROR_NEVER)
		mirror(ctx, hook, p, IN_PORT(p->in),
		       (out ? MIRROR_OUT : 0) | (kind == MIRROR_RESOLVER ? MIRROR_SERVICE : 0));
}

__noinline int tc_mirror_passing(struct __sk_buff *ctx, struct pkt *p)
{
	if (p)
		mirror_passing(ctx, HOOK_TC, p);
	return 0;
}

__noinline int xdp_mirror_passing(struct xdp_md *ctx, struct pkt *p)
{
	if (p && replay)
		mirror_passing(ctx, HOOK_XDP, p);
	return 0;
}

/* Dropped on its way into an ENI that is known: p->target.port. */
static __always_inline bool refused_inside(const struct pkt *p, __u32 reason)
{
	return p->target.port && (reason == REASON_SG_INGRESS || reason == REASON_NACL_INGRESS ||
				  reason == REASON_DEST_CHECK || reason == REASON_CONNTRACK_FULL);
}

static __always_inline bool minds_drops(const struct port_policy *e)
{
	struct policy_line *head = unlikely(e->mirror) ? policy_at(e->mirror) : NULL;

	return head && head->w[POLICY_W_DROPPED];
}

/* May a session have an interest in this drop? */
static __always_inline bool mirror_minds(const struct pkt *p, const struct port_policy *e, __u32 reason)
{
	struct port_policy *target;

	if (unlikely(e->mirror) && (p->seen_egress || minds_drops(e)))
		return true;
	target = refused_inside(p, reason) ? policy_of(p, p->target.port) : NULL;
	return target && minds_drops(target);
}

/* Frames that no filter can be asked about. */
static __always_inline bool unread(const struct pkt *p, __u32 reason)
{
	return !p->tuple.family || reason == REASON_MALFORMED || reason == REASON_VLAN || reason == REASON_ETHERTYPE ||
	       reason == REASON_FRAGMENT;
}

/* What left its ENI is copied there like any other; what a session asks for of dropped packets, as they came. */
static __always_inline void mirror_dropped(void *ctx, const int hook, struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));
	__u32 reason = p->reason;

	if (!e || unread(p, reason))
		return;
	if (e->mirror && leaves_eni(p, e) && mirror_kind_of(p, e, true) == MIRROR_ORDINARY)
		mirror(ctx, hook, p, IN_PORT(p->in), MIRROR_OUT | (p->seen_egress ? 0 : MIRROR_REFUSED));
	if (refused_inside(p, reason))
		mirror(ctx, hook, p, p->target.port, MIRROR_AS_GIVEN | MIRROR_REFUSED);
}

__noinline int tc_mirror_dropped(struct __sk_buff *ctx, struct pkt *p)
{
	if (p)
		mirror_dropped(ctx, HOOK_TC, p);
	return 0;
}

__noinline int xdp_mirror_dropped(struct xdp_md *ctx, struct pkt *p)
{
	if (p && replay)
		mirror_dropped(ctx, HOOK_XDP, p);
	return 0;
}

/* ---- sessions that are gone */

static __always_inline int mirror_forgotten(__u32 port, __u32 session, __u32 reason)
{
	struct mirror_key key = {.port = port, .session = session, .reason = reason};

	bpf_map_delete_elem(&mirror_counts, &key);
	key.reason = 0;
	bpf_map_delete_elem(&mirror_budgets, &key);
	return 0;
}

#endif
