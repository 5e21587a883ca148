/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups at one ENI: its connection-tracking entry first, then the rules (SG-01.., CT-01..).
 *
 * p->source is the ENI that the packet leaves (egress), p->target the one it is for (ingress). The entry of an ENI is
 * found by the packet's tuple as it leaves that ENI: as it is at the source, reversed at the target; an ICMP error asks
 * for the entry of the packet that it quotes (CT-14). */
#ifndef ENID_SG_H
#define ENID_SG_H

#include "classify.h"
#include "owner.h"
#include "track.h"

/* The arrival of packets that come from the ENI behind a port. */
static __always_inline __u32 arrival_from(const struct port_policy *e, __u32 port)
{
	return e->mode == MODE_GUARD && e->flags & PORT_SIDE_INSTANCE ? port | IN_TX : port;
}

static __always_inline void entry_tuple_target(struct pkt *p)
{
	if (p->kind == KIND_ERROR)
		p->back = p->inner_out; /* the quoted packet left the target */
	else
		tuple_reverse(&p->back, &p->out);
}

static __always_inline __u32 object_hash(__u32 object)
{
	struct policy_line *line = object ? policy_at(object) : NULL;

	return line ? line->w[POLICY_W_HASH] : 0;
}

/* Both directions' rules of an ENI in one word. */
static __always_inline __u32 rules_hash(const struct port_policy *e)
{
	__u32 out = object_hash(e->sg_out);

	return object_hash(e->sg_in) ^ (out << 16 | out >> 16);
}

/* An untracked flow is remembered while the rules that admitted it stand (CT-07, CT-21). */
static __always_inline bool rules_stand(const struct port_policy *e, __u32 ref)
{
	__u32 index = ref >> 1;
	struct limbo *rest = bpf_map_lookup_elem(&limbo, &index);

	return rest && rest->policy[ref & 1] == rules_hash(e);
}

/* ret: true = an entry lets the packet pass, no rule is asked */
static __always_inline bool entry_admits(struct pkt *p, struct spot *spot, const struct port_policy *e)
{
	struct flow_record *record;
	struct flow_half *half;
	__u64 last;

	if (spot->ref == REF_NONE)
		return false;
	record = record_at(spot->ref);
	if (!record)
		return false;
	half = half_of(record, spot->ref);
	last = entry_last(record, spot->ref);
	if (opens(p) || !within(p->now, last, half->leg_s))
		return false;
	if (half->leg == LEG_UNTRACKED && (p->kind != KIND_PLAIN || !rules_stand(e, spot->ref)))
		return false;
	spot->leg = half->leg;
	return half->leg != LEG_NONE;
}

/* A SYN on an entry that lives and is not closing changes nothing but must be admitted by the rules (C2, C8).
 * ret: the leg that stays, LEG_NONE = the packet opens a new entry */
static __always_inline __u8 entry_stays(const struct pkt *p, const struct spot *spot, const struct port_policy *e)
{
	struct flow_record *record;
	struct flow_half *half;

	if (spot->ref == REF_NONE)
		return LEG_NONE;
	record = record_at(spot->ref);
	if (!record)
		return LEG_NONE;
	half = half_of(record, spot->ref);
	if (CT_STATE(half->ct) == CT_CLOSED || !within(p->now, entry_last(record, spot->ref), half->leg_s))
		return LEG_NONE;
	if (half->leg == LEG_UNTRACKED && !rules_stand(e, spot->ref))
		return LEG_NONE;
	return half->leg;
}

static __always_inline __u32 open_flag(__u8 proto, __u8 family)
{
	if (proto == IPPROTO_TCP)
		return family == 6 ? POLICY_OPEN_TCP6 : POLICY_OPEN_TCP4;
	if (proto == IPPROTO_UDP)
		return family == 6 ? POLICY_OPEN_UDP6 : POLICY_OPEN_UDP4;
	return 0;
}

static __always_inline __u32 object_flags(__u32 object)
{
	struct policy_line *line = object ? policy_at(object) : NULL;

	return line ? line->w[POLICY_W_FLAGS] : 0;
}

/* Whom a group reference may match: the ENI that owns the address, in this VPC or at the other end of a peering. On the
 * way in only if the packet came from that ENI itself, not by an uplink nor by a middlebox (SG-14, SG-17, SG-18). */
static __always_inline __u32 peer_identity(struct pkt *p, const struct port_policy *e, const union addr *peer,
					   bool ingress)
{
	struct port_policy *owner, *source = ingress && p->source.port ? policy_of(p, p->source.port) : NULL;
	__u32 port, zone = ingress ? e->zone : p->peer_zone;

	if (p->relayed)
		return 0;
	port = owner_at(p, peer, source ? source->zone : zone, p->out.family);
	if (!port || (ingress && p->source.port && port != p->source.port))
		return 0;
	owner = policy_of(p, port);
	return owner ? owner->identity : 0;
}

static __always_inline int rules_admit(struct pkt *p, struct spot *spot, const struct port_policy *e,
				       const bool ingress)
{
	const union addr *peer = ingress ? &p->out.saddr : &p->tuple.daddr;
	__u32 object = ingress ? e->sg_in : e->sg_out, opposite = ingress ? e->sg_out : e->sg_in;
	__u32 identity = peer_identity(p, e, peer, ingress);
	__u64 answer;

	answer = policy_ask(object, peer, identity, SERVICE_KEY(p->out.family, p->out.proto, p->service));
	if (!(__u32)answer)
		return ingress ? REASON_SG_INGRESS : REASON_SG_EGRESS;
	decide(p, ingress ? STAGE_SG_INGRESS : STAGE_SG_EGRESS, rule_number(object, answer));
	if (!may_open(p)) {
		if (opens(p)) /* a SYN that resets, which the entry was not asked about */
			spot->leg = entry_stays(p, spot, e);
		return 0;
	}
	spot->leg = entry_stays(p, spot, e);
	if (spot->leg != LEG_NONE)
		return 0;
	spot->fresh = 1;
	spot->leg = LEG_TRACKED;
	if (answer & ANSWER_ANY && object_flags(opposite) & open_flag(p->out.proto, p->out.family))
		spot->leg = LEG_UNTRACKED; /* CT-03; CT-06 has its say when the path is known */
	return 0;
}

/* ret: 0 or REASON_SG_EGRESS */
__noinline int sg_egress(struct pkt *p)
{
	struct port_policy *e;

	if (!p)
		return REASON_NO_POLICY;
	e = policy_of(p, p->source.port);
	if (!e || e->flags & PORT_NO_SG)
		return 0;
	p->source.ref = p->ref;
	if (entry_admits(p, &p->source, e)) {
		decide(p, STAGE_CONNTRACK, p->source.port);
		return 0;
	}
	return rules_admit(p, &p->source, e, false);
}

/* Is what was found under p->out of this flow? Behind a NAT gateway p->out has the client's own port until the mapping
 * is claimed, and that may be another client's there. */
static __always_inline bool own_entry(const struct pkt *p)
{
	if (!p->nat || !p->nat_addr)
		return true;
	return !p->nat_new && (p->ref & 1 || (p->target.ref ^ p->ref) == 1);
}

/* ret: 0 or REASON_SG_INGRESS */
__noinline int sg_ingress(struct pkt *p)
{
	struct port_policy *e;

	if (!p)
		return REASON_NO_POLICY;
	e = policy_of(p, p->target.port);
	if (!e || e->flags & PORT_NO_SG)
		return 0;
	if (p->kind == KIND_PLAIN || p->related) {
		entry_tuple_target(p);
		p->target.ref = flow_find(&p->back, arrival_from(e, p->target.port));
		if (!own_entry(p))
			p->target.ref = REF_NONE;
	}
	if (entry_admits(p, &p->target, e)) {
		decide(p, STAGE_CONNTRACK, p->target.port);
		return 0;
	}
	return rules_admit(p, &p->target, e, true);
}

#endif
