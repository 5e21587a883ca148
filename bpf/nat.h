/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT gateways (NAT-01..NAT-27). A station of the walk: what is composed here is claimed after judging (mapping.h), so
 * a packet that dies later takes no port. There is no table of its own: the mapping is the second name of the record.
 *
 * Mapping and filtering depend on the endpoint (NAT-04): the outside name holds the destination, too. */
#ifndef ENID_NAT_H
#define ENID_NAT_H

#include "mapping.h"
#include "mtu.h"
#include "nat64.h"
#include "owner.h"
#include "private.h"
#include "rewrite.h"
#include "station.h"

static __always_inline struct gateway_policy *nat_policy(const struct pkt *p, __u32 nat)
{
	struct port_policy *e = policy_of(p, nat);
	struct gateway_policy *g = e ? gateway_of(p, e) : NULL;

	return g && g->kind == GATEWAY_NAT && g->nr ? g : NULL;
}

/* What the gateway carries at all (NAT-01, NAT-11, NAT-21). */
static __always_inline int nat_carries(const struct pkt *p)
{
	__u8 proto = p->out.proto;
	bool six = p->out.family == 6;

	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != (six ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) ||
	    p->kind == KIND_BARE)
		return REASON_NAT_PROTOCOL;
	if (p->fragment && proto != IPPROTO_UDP)
		return REASON_FRAGMENT;
	return six ? nat64_carries(p) : 0;
}

/* What the gateway says itself leaves by its subnet. */
static __always_inline void nat_complain(struct pkt *p, __u32 nat, enum complaint what, const union addr *from)
{
	complain(p, what, from);
	p->complain_nat = nat;
}

/* The gateway is a hop (NAT-20). The sender hears of it from `from`, an IPv6 one from that address by NAT64. */
static __always_inline int nat_hop(struct pkt *p, __u32 nat, __be32 from)
{
	union addr self = {};

	if (p->ttl > p->hops + 1) {
		p->hops++;
		return 0;
	}
	self.ip4 = from;
	if (p->tuple.family == 6)
		nat64_embed(&self, from);
	nat_complain(p, nat, COMPLAIN_TTL, &self);
	return REASON_TTL;
}

/* ---- a new mapping: which address, which port */

/* Where mappings of the gateway's address p->nat_addr towards this destination are counted: p->nat_use.
 * ret: it has room */
__noinline int use_of(struct pkt *p, __u32 nat)
{
	__u64 to, hash;

	if (!p)
		return 0;
	to = (__u64)p->out.dport << 32 | (__u64)p->out.proto << 48 | nat;
	hash = flow_mix((__u64)p->nat_addr << 32 | p->out.daddr.ip4, control.secrets[3]) +
	       flow_mix(to, control.secrets[6]);
	return use_look(p, hash);
}

/* A client keeps to one address while that has ports for the destination, then the next one serves (NAT-07). Of a
 * regional gateway those of the client's zone come first (NAT-23). */
static __always_inline bool choose_address(struct pkt *p, const struct gateway_policy *g, __u32 nat)
{
	__u32 nr = g->nr > GATEWAY_MEMBERS_MAX ? GATEWAY_MEMBERS_MAX : g->nr;
	__u32 first = (__u32)(flow_mix(p->out.saddr.ip4, control.secrets[4]) >> 32) % (nr ? nr : 1);
	struct subnet_policy *from = p->at_subnet ? subnet_of(p, p->at_subnet) : NULL;
	__u32 az = from ? from->az : AZ_ANY;
	__be32 other = 0;

	for (__u32 i = 0; i < GATEWAY_MEMBERS_MAX; i++) {
		__u32 at = first + i;

		if (i >= nr)
			break;
		at = (at >= nr ? at - nr : at) & (GATEWAY_MEMBERS_MAX - 1);
		p->nat_addr = g->members[at];
		if (!use_of(p, nat))
			continue;
		if (g->az[at] == AZ_ANY || g->az[at] == az)
			return true;
		other = other ?: p->nat_addr;
	}
	p->nat_addr = other;
	return other && use_of(p, nat);
}

/* The client's own port if it is one that the gateway uses (NAT-03); whether it is free shows when it is claimed. */
static __always_inline void choose_port(struct pkt *p)
{
	if (p->out.proto != IPPROTO_ICMP && be16(p->out.sport) < NAT_PORT_FIRST)
		p->out.sport = be16(port_number(port_hash(&p->tuple, p->in), 0));
}

/* TCP needs a SYN to start; anything else is told that its connection is gone (NAT-08, NAT-09), but not the internet or
 * a service, whose packet another gateway let in. */
static __always_inline int nat_refuse(struct pkt *p, __u32 nat)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));
	bool outside = e && e->kind == PORT_UPLINK && (e->gateway == ROUTE_IGW || e->gateway == ROUTE_ENDPOINT);

	if (p->nat_inner && p->ref != REF_NONE && p->ref & 1)
		outside = true; /* an answer that was translated back, and that the routes lead here again */
	if (!outside && p->out.proto == IPPROTO_TCP && p->kind == KIND_PLAIN && !(p->tcp_flags & TCP_RST))
		nat_complain(p, nat, COMPLAIN_RESET, &p->tuple.daddr);
	return REASON_NAT_NO_MAPPING;
}

static __always_inline int nat_new(struct pkt *p, const struct gateway_policy *g, __u32 nat)
{
	if (p->kind != KIND_PLAIN || !may_open(p) || (p->out.proto == IPPROTO_TCP && !opens(p)))
		return nat_refuse(p, nat);
	if (p->fragment == FRAGMENT_LATER)
		return REASON_FRAGMENT; /* its datagram had a mapping */
	if (g->flags & GATEWAY_DRAINING)
		return REASON_BLACKHOLE; /* NAT-24 */
	if (!choose_address(p, g, nat)) {
		mapping_refused(nat);
		return REASON_NAT_NO_PORT;
	}
	choose_port(p);
	p->nat_new = 1;
	return 0;
}

/* Of two gateways on a flow's way the outer one has the mapping, and the inner one's address stands beside it: the
 * client's port is the same at both, since only the outer one's is claimed. */
static __always_inline __be32 mapped_at(const struct gate_mapping *m, __u32 nat)
{
	return m->gateway == nat ? m->addr : m->inner_addr;
}

static __always_inline void nat_keep(struct pkt *p, const struct gate_mapping *m, __u32 nat)
{
	p->nat_addr = mapped_at(m, nat);
	use_of(p, nat); /* for a flow that has to start anew */
	if (p->kind == KIND_PLAIN)
		p->out.sport = m->port;
}

/* An error of the client about a packet that the gateway had let in: quoted as the sender knows it (NAT-12). */
static __always_inline void nat_quote_out(struct pkt *p, const struct gate_mapping *m)
{
	p->inner_out.daddr.ip4 = p->nat_addr;
	if (has_query_id(&p->inner_out))
		p->inner_out.sport = m->port;
	else
		p->inner_out.dport = m->port;
}

static __always_inline bool hairpins(const struct pkt *p, __u32 nat, __u32 zone)
{
	__be32 other;
	__u32 port = 0;

	if (association_of(p, ZONE_INTERNET, p->out.daddr.ip4, &port, &other) && port == nat)
		return true;
	return owner_of(&p->out.daddr, zone, 4, p->parity) == nat;
}

static __always_inline int outbound(struct pkt *p, const struct gateway_policy *g, __u32 nat)
{
	struct gate_mapping *m;
	int reason = nat_carries(p);

	if (!reason && p->out.family == 6)
		nat64_narrow(p);
	if (!reason && hairpins(p, nat, g->zone[0]))
		reason = REASON_NAT_HAIRPIN;
	if (!reason)
		reason = nat_hop(p, nat, g->members[0]);
	if (reason)
		return reason;
	m = p->kind == KIND_PLAIN || p->related ? mapping_at(p, nat, 0) : NULL;
	if (m && m->gateway == nat && m->inner != p->nat_inner)
		m = NULL; /* it came by another way then */
	if (m)
		nat_keep(p, m, nat);
	else
		reason = nat_new(p, g, nat);
	if (reason)
		return reason;
	if (p->kind == KIND_ERROR && m)
		nat_quote_out(p, m);
	p->out.saddr.ip4 = p->nat_addr;
	return 0;
}

/* Back to the gateway that stands between this one and the client. */
static __always_inline int to_inner(struct pkt *p, const struct gate_mapping *m)
{
	int reason = nat_hop(p, m->inner, p->tuple.daddr.ip4);

	if (reason)
		return reason;
	p->out.daddr.ip4 = m->inner_addr;
	if (p->kind == KIND_ERROR)
		p->inner_out.saddr.ip4 = m->inner_addr;
	return 0;
}

/* ---- answers by another tunnel */

struct tunnels { /* bpf_loop wants its context on the stack */
	struct pkt *p;
	struct gateway_policy *g;
};

static long tunnel_look(__u32 i, struct tunnels *tunnels)
{
	struct pkt *p = tunnels->p;

	if (i < GATEWAY_MEMBERS_MAX)
		p->ref = flow_find(&p->back, tunnels->g->members[i]);
	return p->ref != REF_NONE;
}

/* A transit or virtual private gateway does not ask by which of its uplinks an answer comes (TGW-09, VGW-03), but the
 * mapping is named after the one that the flow left by: look under the names of the others. */
static __always_inline void find_by_tunnels(struct pkt *p)
{
	struct gateway_policy *g = gateway_at(p, IN_PORT(p->in));
	struct tunnels tunnels = {.p = p, .g = g};

	if (p->ref != REF_NONE || p->kind == KIND_BARE || !g || (g->kind != GATEWAY_TRANSIT && g->kind != GATEWAY_VGW))
		return;
	p->back = p->tuple;
	if (p->related)
		tuple_reverse(&p->back, &p->inner);
	bpf_loop(g->nr, tunnel_look, &tunnels, 0);
}

static __always_inline int inbound(struct pkt *p, const struct gateway_policy *g, __u32 nat)
{
	bool inside = p->source.port && !p->transit && p->at_zone == g->zone[0];
	struct flow_record *record;
	struct gate_mapping *m;
	int reason = nat_carries(p);

	if (reason)
		return reason;
	find_by_tunnels(p);
	m = p->kind == KIND_PLAIN || p->related ? mapping_at(p, nat, 1) : NULL;
	record = m ? record_at(p->ref) : NULL;
	if (!m || !record || mapped_at(m, nat) != p->out.daddr.ip4)
		return inside ? REASON_NAT_HAIRPIN : REASON_NAT_NO_MAPPING;
	if (m->gateway == nat && m->inner)
		return to_inner(p, m);
	reason = record->half[0].tuple.family == 6 ? nat64_takes(p) : 0;
	if (!reason)
		reason = nat_hop(p, nat, p->tuple.daddr.ip4);
	if (reason)
		return reason;
	if (record->half[0].tuple.family == 6) {
		nat64_widen(p, &record->half[0].tuple);
		return 0;
	}
	p->out.daddr = record->half[0].tuple.saddr;
	if (p->kind == KIND_ERROR) {
		p->inner_out.saddr = record->half[0].tuple.saddr;
		p->inner_out.sport = record->half[0].tuple.sport;
	} else if (p->out.proto == IPPROTO_ICMP) {
		p->out.sport = record->half[0].tuple.sport;
	} else {
		p->out.dport = record->half[0].tuple.sport;
		p->service = be16(p->out.dport); /* what is behind the gateway knows the client's port (NAT-13) */
	}
	return 0;
}

static __always_inline int nat_done(struct pkt *p, __u32 nat, int reason)
{
	if (!reason) {
		mapping_pass(p, nat);
		p->flags |= HALF_CLAMP;
		path_limit(p, PATH_8500, OVERSIZE_TELL | OVERSIZE_CUT); /* NAT-19 */
		return 0;
	}
	p->nat_refused = nat;
	return reason;
}

/* Of a packet that is dropped for good: what XDP refuses may be judged once more by TC, which answers or mirrors it. */
static __always_inline void nat_account(const struct pkt *p)
{
	struct nat_stats *stats = p->nat_refused ? nat_stats_of(p->nat_refused) : NULL;

	if (stats)
		__sync_fetch_and_add(&stats->drops, p->segments);
}

/* From inside, p->out as it came to the gateway behind port `nat`. ret: 0 = p->out as it leaves, or a reason */
__noinline int nat_outbound(struct pkt *p, __u32 nat)
{
	struct gateway_policy *g = p ? nat_policy(p, nat) : NULL;

	if (!p || !g)
		return REASON_NOT_SERVED;
	if (p->nat_inner)
		return REASON_NOT_SERVED; /* a mapping has room for two */
	if (p->nat) {
		p->nat_inner = p->nat;
		p->nat_inner_addr = p->nat_addr;
	}
	decide(p, STAGE_NAT, nat);
	return nat_done(p, nat, outbound(p, g, nat));
}

/* To an address of the gateway. ret: 0 = p->out as its client gets it, or a reason */
__noinline int nat_inbound(struct pkt *p, __u32 nat)
{
	struct gateway_policy *g = p ? nat_policy(p, nat) : NULL;

	if (!p || !g)
		return REASON_NOT_SERVED;
	decide(p, STAGE_NAT, nat);
	return nat_done(p, nat, inbound(p, g, nat));
}

#endif
