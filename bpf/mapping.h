/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Mappings of the gateways that keep state: NAT gateways and egress-only gateways (I6 of enid/flow.h). A mapping is the
 * second name of a flow's record; it is claimed here, after the whole way was judged, and may take another port than
 * the one judged by. Two stages behind the gateway look at it: sg_ingress() takes no entry found by a port that is not
 * claimed (own_entry), and what flow_choice() chose by it is not kept (claim_names). */
#ifndef ENID_MAPPING_H
#define ENID_MAPPING_H

#include "track.h"

static __always_inline struct nat_stats *nat_stats_of(__u32 gateway)
{
	return bpf_map_lookup_elem(&nat_stats, &gateway);
}

static __always_inline bool half_closed(const struct flow_record *record)
{
	return CT_STATE(record->half[0].ct) == CT_CLOSED || CT_STATE(record->half[1].ct) == CT_CLOSED;
}

/* The mapping that lives at this gateway under the packet's own name, or NULL. One that is over ends here. */
static __always_inline struct gate_mapping *mapping_at(struct pkt *p, __u32 gateway, __u32 inbound)
{
	struct flow_record *record = p->ref == REF_NONE ? NULL : record_at(p->ref);
	struct side *rest = record && record->half[0].shared & RECORD_MAPPED ? side_of(record, p->ref) : NULL;

	if (!rest || (rest->mapping.gateway != gateway && rest->mapping.inner != gateway) || (p->ref & 1) != inbound)
		return NULL;
	if (mapping_over(record, rest, p->now)) {
		mapping_end_alone(p->ref, p->now);
		return NULL;
	}
	if (opens(p) && (CT_STATE(rest->mapping.ct) == CT_CLOSED || (inbound && half_closed(record))))
		return NULL; /* a SYN starts over after the close, and nobody outside starts anything */
	return &rest->mapping;
}

static __always_inline void mapping_pass(struct pkt *p, __u32 gateway)
{
	p->nat = gateway;
	p->tracked = 1; /* CT-06 */
	p->flags |= HALF_MAPPED;
}

/* ---- which port: the client's own if it is free, else a walk over all of them that nobody outside can foresee */

static __always_inline __u64 port_hash(const struct tuple *inside, __u32 in)
{
	return flow_mix(name_print(inside, in), control.secrets[5]);
}

static __always_inline __u16 port_number(__u64 hash, __u32 step)
{
	__u32 stride =
		(1 + (__u32)(hash >> 32) % (NAT_PORTS / 42 - 1)) * 42 + 1; /* not 1; no factor of 64512 = 2^10 3^2 7 */

	return NAT_PORT_FIRST + ((__u32)hash % NAT_PORTS + (__u64)step * stride) % NAT_PORTS;
}

/* Of an ICMP query the identifier stands in sport, whichever way it goes; dport holds its type. */
static __always_inline bool icmp_tuple(const struct tuple *t)
{
	return t->proto == (t->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

struct port_search { /* bpf_loop wants its context on the stack */
	const struct pkt *p;
	__u32 ref;
	__be16 own;
	__s16 result; /* of the claim; -EEXIST = all are taken */
};

/* The name is held by a mapping or a flow that is over, and that nobody has swept yet: take it away. ret: done */
__noinline int name_freed(const struct flow_half *half, __u64 now)
{
	__u32 ref = half ? name_holder(&half->tuple, half->in) : REF_NONE;
	struct flow_record *record = ref == REF_NONE ? NULL : record_at(ref);
	struct side *rest;
	__u32 margin = replay ? 0 : EXPIRY_MARGIN_S; /* another CPU may just have judged a packet of it (C4) */

	if (!record || !(ref & 1) || GS_STATE(READ_ONCE(record->half[0].gs)) != RECORD_LIVE)
		return 0;
	rest = side_of(record, ref);
	if (record_expired(record, rest, now, margin))
		return flow_close(ref, now);
	if (!mapping_over(record, rest, now - margin * NS_PER_S))
		return 0;
	mapping_end_alone(ref, now);
	return 1;
}

static long port_try(__u32 step, struct port_search *s)
{
	__u16 number = port_number(s->p->port_walk, step);
	__be16 port = step ? be16(number) : s->own;
	struct flow_record *record = record_at(s->ref);
	struct flow_half *half;
	int r;

	if (!record)
		return 1;
	half = &record->half[1];
	if (icmp_tuple(&half->tuple))
		half->tuple.sport = port;
	else
		half->tuple.dport = port;
	r = name_claim(&half->tuple, half->in, s->ref | 1);
	if (r == -EEXIST && name_freed(half, s->p->now))
		r = name_claim(&half->tuple, half->in, s->ref | 1);
	s->result = r;
	return r != -EEXIST;
}

/* ---- how many mappings an address of a gateway has towards a destination (NAT-04)
 *
 * A word of `nat_uses` is a count and the print of whom it counts; one whose count is 0 is free. Prints look for their
 * word in a few places, so two destinations share a count only if 58 bits of their hashes agree.
 * Where all places are taken a mapping goes uncounted: then the ports are the limit. */

/* Find p->nat_use for a hash. ret: there is room */
__noinline int use_look(struct pkt *p, __u64 hash)
{
	__u64 print = NAT_USE_PRINT(hash);
	__u32 stride = (hash >> 18 & 63) * 2 + 1;

	if (!p)
		return false;
	p->nat_print = print;
	p->nat_use = NAT_USE_NONE;
	for (__u32 i = 0; i < NAT_USE_PLACES; i++) {
		__u32 at = (__u32)(hash + i * stride) & (NAT_USES - 1);
		__u64 *word = bpf_map_lookup_elem(&nat_uses, &at);
		__u64 used = word ? READ_ONCE(*word) : 0;

		if (!word)
			break;
		if (NAT_USE_COUNT(used) && NAT_USE_PRINT(used) == print) {
			p->nat_use = at;
			return NAT_USE_COUNT(used) < NAT_PORTS_LIMIT;
		}
		if (!NAT_USE_COUNT(used) && p->nat_use == NAT_USE_NONE)
			p->nat_use = at;
	}
	return true;
}

#define USE_TRIES 4

/* One more. ret: false = it has NAT_PORTS_LIMIT; p->nat_use is NAT_USE_NONE if nobody counts it */
static __always_inline bool use_take(struct pkt *p)
{
	__u32 at = p->nat_use;
	__u64 *word = at == NAT_USE_NONE ? NULL : bpf_map_lookup_elem(&nat_uses, &at);

	for (int i = 0; word && i < USE_TRIES; i++) {
		__u64 used = READ_ONCE(*word), next = used + 1;

		if (!NAT_USE_COUNT(used))
			next = p->nat_print | 1;
		else if (NAT_USE_PRINT(used) != p->nat_print)
			break; /* another destination took the place just now */
		else if (NAT_USE_COUNT(used) >= NAT_PORTS_LIMIT)
			return false;
		if (__sync_val_compare_and_swap(word, used, next) == used)
			return true;
	}
	p->nat_use = NAT_USE_NONE;
	return true;
}

static __always_inline void use_give_back(__u32 use)
{
	__u64 *used = bpf_map_lookup_elem(&nat_uses, &use);

	if (used)
		__sync_fetch_and_add(used, -1);
}

static __always_inline void mapping_fill(const struct pkt *p, struct gate_mapping *m, __be16 port)
{
	m->closed_ns = 0;
	m->gateway = p->nat;
	m->addr = p->nat_addr;
	m->port = port;
	m->ct = p->tuple.proto == IPPROTO_TCP ? ct_first(p) : CT_ESTABLISHED;
	m->paused = 0;
	m->use = p->nat_use;
	m->inner = p->nat_inner;
	m->inner_addr = p->nat_inner_addr;
	m->peering = p->peering;
}

/* Claim both names of a record that has a mapping, the inside one first: two CPUs that open one flow meet there, and
 * the later one has taken no port yet. */
static __always_inline enum claim claim_names(struct pkt *p, __u32 index, struct flow_record *record)
{
	struct port_search s = {.p = p};
	struct side *rest = side_of(record, index << 1);
	__u32 gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_LIVE);
	int r = half_claim(record, index, false);

	if (r || !rest)
		return r == -EEXIST ? CLAIM_LOST : CLAIM_FULL;
	s.ref = index << 1;
	p->port_walk = port_hash(&p->tuple, p->in);
	s.own = p->out.sport;
	s.result = -EEXIST;
	bpf_loop(p->nat_addr ? NAT_PORT_TRIES : 1, port_try, &s, 0); /* D3 */
	if (s.result) {
		half_drop(record, index, false);
		return s.result == -EEXIST ? CLAIM_NO_PORT : CLAIM_FULL;
	}
	p->out.sport = icmp_tuple(&record->half[1].tuple) ? record->half[1].tuple.sport : record->half[1].tuple.dport;
	if (p->out.sport != s.own) /* flow_choice() may go another way by this port: the next packet asks */
		decision_forget(&record->half[0]);
	mapping_fill(p, &rest->mapping, p->out.sport);
	record->half[0].shared |= RECORD_GATED | RECORD_MAPPED;
	flow_settle_new(p, record, rest);
	PUBLISH(record->half[1].gs, gs);
	PUBLISH(record->half[0].gs, gs);
	return CLAIM_BOTH;
}

static __always_inline void mapping_opened(const struct pkt *p)
{
	struct nat_stats *stats = nat_stats_of(p->nat);

	if (!stats)
		return;
	__sync_fetch_and_add(&stats->active, 1);
	if (opens(p))
		__sync_fetch_and_add(&stats->attempts, 1);
}

static __always_inline void mapping_refused(__u32 gateway)
{
	struct nat_stats *stats = nat_stats_of(gateway);

	if (stats)
		__sync_fetch_and_add(&stats->no_port, 1);
}

__noinline int mapping_claim(struct pkt *p, __u32 index)
{
	struct flow_record *record = bpf_map_lookup_elem(&records, &index);
	int claim;

	if (!p || !record)
		return CLAIM_FULL;
	if (p->nat_addr && !use_take(p)) {
		mapping_refused(p->nat);
		return CLAIM_NO_PORT;
	}
	claim = claim_names(p, index, record);
	if (claim == CLAIM_BOTH) {
		mapping_opened(p);
		return claim;
	}
	if (p->nat_addr)
		use_give_back(p->nat_use);
	if (claim == CLAIM_NO_PORT)
		mapping_refused(p->nat);
	return claim;
}

/* ---- the other CPU is opening this very flow: its port is ours */

struct twin_wait { /* bpf_loop wants its context on the stack */
	struct pkt *p;
};

static long twin_look(__u32 step, struct twin_wait *wait)
{
	struct pkt *p = wait->p;

	p->ref = flow_find(&p->tuple, p->in);
	return p->ref != REF_NONE;
}

#define TWIN_LOOKS 4096 /* some 100 us: the other one is a microsecond ahead, unless its CPU was taken away */

/* ret: true = p->ref is the flow's, and p->out has its port */
static __always_inline bool mapping_join(struct pkt *p)
{
	struct twin_wait wait = {.p = p};
	struct gate_mapping *mapping;

	bpf_loop(TWIN_LOOKS, twin_look, &wait, 0);
	mapping = mapping_at(p, p->nat, 0);
	if (!mapping || mapping->addr != p->nat_addr)
		return false;
	p->out.sport = mapping->port;
	return true;
}

#endif
