/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet's way, on one screen. A stage returns 0 (go on) or the reason to drop.
 *
 *   receive()
 *     parse_quick -> flow_cached ----------------- hit ----------------> track, count -> act
 *     parse_full  -> admit (MAC, ARP, ND, DHCP, source, services) -> fragment -> flow_cached
 *                 -> judge: sg egress -> route -> nacl egress -> igw -> nacl ingress -> dest check -> sg ingress
 *                 -> flow_keep (open or refresh the record) -> act
 */
#ifndef ENID_PIPELINE_H
#define ENID_PIPELINE_H

#include "admit.h"
#include "answer.h"
#include "complain.h"
#include "cut.h"
#include "foresee.h"
#include "fragment.h"
#include "geneve.h"
#include "judge.h"
#include "keep.h"
#include "mirror.h"

/* On a wire the XDP program only drops, and accounts for what it drops. What is accepted or needs an answer is left, as
 * it is and uncounted, to tc_rx on the same device, which judges it again: XDP has neither GSO nor a way into the
 * neighbour table, and TCP through an XDP redirect between veths loses a factor of five (LIMITS). */
static __always_inline int leave_to_tc(struct pkt *p)
{
	p->action = ACTION_PASS;
	return 0;
}

/* A frame that a stage has dealt with already: p->action says how. */
#define DONE (-1)

/* Questions come from an own address, a link-local one, or nobody (ENI-07, B4). */
static __always_inline int admit_nd_source(struct pkt *p, struct port_policy *e, struct subnet_policy *subnet)
{
	if (link_local6(&p->tuple.saddr) || any_address(&p->tuple.saddr))
		return 0;
	return admit_source(p, e, subnet);
}

static __always_inline int admit_icmp6(void *ctx, const int hook, struct pkt *p, struct port_policy *e,
				       struct subnet_policy *subnet)
{
	switch (p->icmp_type) {
	case ND_NEIGHBOUR_SOLICIT:
		return admit_nd_source(p, e, subnet) ?: answer_solicit(ctx, hook, p, e) ?: DONE;
	case ND_ROUTER_SOLICIT:
		return admit_nd_source(p, e, subnet) ?: router_advert(ctx, hook, p) ?: DONE;
	case ND_ROUTER_ADVERT:
	case ND_NEIGHBOUR_ADVERT:
	case ND_REDIRECT:
	case 130: /* multicast listener queries and reports */
	case 131:
	case 132:
	case 143:
		return REASON_L2;
	}
	return 0;
}

static __always_inline bool is_icmp6(const struct pkt *p)
{
	return p->tuple.family == 6 && p->tuple.proto == IPPROTO_ICMPV6 && p->fragment == FRAGMENT_NO;
}

static __always_inline bool echo_request(const struct pkt *p)
{
	if (p->fragment == FRAGMENT_LATER)
		return false;
	return p->tuple.family == 4 ? p->tuple.proto == IPPROTO_ICMP && p->icmp_type == 8
				    : p->tuple.proto == IPPROTO_ICMPV6 && p->icmp_type == 128;
}

/* Services of the link: left to the host's stack, at a bounded rate (SG-22, DNS-04, DNS-05). */
static __always_inline int to_service(struct pkt *p)
{
	if (!p->early && !port_rate_allows(p, RATE_LINK_LOCAL))
		return REASON_RATE_LIMIT;
	p->action = ACTION_PASS;
	return DONE;
}

/* A router-mode ENI sent this. */
static __always_inline int admit_eni(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	int reason;

	if (!same_mac(p->smac, e->mac))
		return REASON_MAC_SPOOF;
	if (!subnet)
		return REASON_NO_POLICY;
	if (p->ethertype == ETH_P_ARP)
		return answer_arp(ctx, hook, p, e) ?: DONE;
	if (is_icmp6(p)) {
		reason = admit_icmp6(ctx, hook, p, e, subnet);
		if (reason)
			return reason;
	}
	if (dhcp_exempt(p, e, subnet))
		return to_service(p);
	reason = admit_group(p);
	if (!reason)
		reason = admit_source(p, e, subnet);
	if (reason)
		return reason;
	if (p->dmac[0] & 1 || owner_at(p, &p->tuple.daddr, e->zone, p->tuple.family) == IN_PORT(p->in))
		return REASON_L2; /* a group's MAC, or a packet to oneself */
	if (router_address(subnet, &p->tuple.daddr, p->tuple.family)) {
		if (!echo_request(p))
			return to_service(p);
		return port_rate_allows(p, RATE_LINK_LOCAL) ? answer_ping(ctx, hook, p) ?: DONE : REASON_RATE_LIMIT;
	}
	if (service_address(subnet, &p->tuple.daddr, p->tuple.family))
		return to_service(p);
	if (same_mac(p->dmac, e->mac))
		return REASON_L2;
	if (!same_mac(p->dmac, control.router_mac) && !mac_owner(p, e->subnet, p->dmac))
		return REASON_UNKNOWN_MAC;
	return admit_destination(p);
}

static __always_inline bool broadcast_mac(const __u8 *mac)
{
	return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

static __always_inline int admit_uplink(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	int reason;

	if (p->ethertype == ETH_P_ARP)
		return answer_uplink_arp(ctx, hook, p, e) ?: DONE;
	if (is_icmp6(p) && p->icmp_type >= ND_ROUTER_SOLICIT && p->icmp_type <= ND_REDIRECT) {
		if (p->icmp_type == ND_NEIGHBOUR_SOLICIT)
			return answer_uplink_solicit(ctx, hook, p, e) ?: DONE;
		p->action = ACTION_PASS;
		return DONE;
	}
	reason = admit_group(p) ?: admit_destination(p);
	if (reason)
		return reason;
	if (!same_mac(p->dmac, control.router_mac) && !same_mac(p->dmac, e->mac) && !broadcast_mac(p->dmac))
		return REASON_UNKNOWN_MAC;
	return martian_source(&p->tuple.saddr, p->tuple.family) ? REASON_MARTIAN : 0;
}

/* Guard mode: neighbour discovery and ARP of the own address pass; the rest is judged. A probe (from nobody) claims the
 * address that it asks for: if it got through, its owner would take its own address for a duplicate (RFC 4862, 5227).
 */
static __always_inline int guard_arp(void *ctx, const int hook, struct pkt *p, struct port_policy *e, bool egress)
{
	struct arp_frame arp;
	union addr claimed = {};

	if (ctx_load(ctx, hook, 0, &arp, sizeof(arp)) || arp.hardware_len != 6 || arp.protocol_len != 4)
		return REASON_MALFORMED;
	claimed.ip4 = arp.spa ?: arp.tpa;
	if (egress && (!same_mac(arp.sha, e->mac) || owner_of(&claimed, e->zone, 4, p->parity) != IN_PORT(p->in)))
		return REASON_MAC_SPOOF;
	p->action = ACTION_PASS;
	return DONE;
}

static __always_inline int guard_nd(void *ctx, const int hook, struct pkt *p, struct port_policy *e,
				    struct subnet_policy *subnet)
{
	bool probe = p->icmp_type == ND_NEIGHBOUR_SOLICIT && any_address(&p->tuple.saddr);
	union addr target = {};

	if (p->icmp_type == ND_ROUTER_ADVERT || p->icmp_type == ND_REDIRECT)
		return REASON_L2;
	if (router_address(subnet, &p->tuple.saddr, 6))
		return REASON_MARTIAN; /* its link-local addresses, too, are the router's alone (B4) */
	if ((probe || p->icmp_type == ND_NEIGHBOUR_ADVERT) &&
	    (p->payload < 24 || ctx_load(ctx, hook, p->l4 + 8, &target, 16) || router_address(subnet, &target, 6) ||
	     (!link_local6(&target) && owner_of(&target, e->zone, 6, p->parity) != IN_PORT(p->in))))
		return REASON_L2;
	return 0;
}

/* Between neighbours, by no router: then it needs no rule (SG-22, RFC 4861). What comes from further away, or goes
 * there, is judged as any packet; so are redirects, which nobody needs. */
static __always_inline bool nd_of_link(const struct pkt *p, struct subnet_policy *subnet, bool egress)
{
	const union addr *far = egress ? &p->tuple.daddr : &p->tuple.saddr;

	if (p->ttl != 255 || p->icmp_code || p->icmp_type == ND_REDIRECT)
		return false;
	if (link_local6(far))
		return true;
	if (p->icmp_type == ND_ROUTER_ADVERT)
		return false;
	return (egress ? be32(far->w[0]) >> 16 == 0xff02 : any_address(far)) || subnet_covers(subnet, far, 6);
}

/* Toward a guest: does a neighbour's MAC come with an address that is not that neighbour's? Of MACs that no ENI of the
 * subnet has nothing is known: somebody else routes. */
static __always_inline bool foreign_mac(struct pkt *p, const struct port_policy *e, struct subnet_policy *subnet)
{
	const union addr *from = &p->tuple.saddr;
	__u32 port = mac_owner(p, e->subnet, p->smac);
	struct port_policy *sender = port ? policy_of(p, port) : NULL;

	if (!sender || port == IN_PORT(p->in) || (p->tuple.family == 6 && link_local6(from)))
		return false;
	if (router_address(subnet, from, p->tuple.family) || service_address(subnet, from, p->tuple.family))
		return true;
	return sender->flags & PORT_CHECK && owner_of(from, sender->zone, p->tuple.family, p->parity) != port;
}

static __always_inline int admit_guard(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	bool egress = !!(p->in & IN_TX) == !!(e->flags & PORT_SIDE_INSTANCE);
	const union addr *far = egress ? &p->tuple.daddr : &p->tuple.saddr;
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	int reason;

	if (egress && !same_mac(p->smac, e->mac))
		return REASON_MAC_SPOOF;
	if (!subnet)
		return REASON_NO_POLICY;
	if (p->ethertype == ETH_P_ARP)
		return guard_arp(ctx, hook, p, e, egress);
	p->action = ACTION_PASS;
	if (is_icmp6(p) && p->icmp_type >= ND_ROUTER_SOLICIT && p->icmp_type <= ND_REDIRECT) {
		reason = egress ? guard_nd(ctx, hook, p, e, subnet) ?: admit_nd_source(p, e, subnet) : 0;
		if (reason || nd_of_link(p, subnet, egress))
			return reason ?: DONE;
	}
	if (!egress && foreign_mac(p, e, subnet))
		return REASON_MAC_SPOOF;
	if (egress ? dhcp_exempt(p, e, subnet) : dhcp_answer_of_router(p, subnet))
		return egress ? to_service(p) : DONE;
	reason = admit_group(p);
	if (!reason)
		reason = egress ? admit_source(p, e, subnet) : 0;
	if (reason)
		return reason;
	if (egress && p->dmac[0] & 1)
		return REASON_L2; /* the bridge would hand it to everybody (L2-01, B7) */
	if (service_address(subnet, far, p->tuple.family) || router_address(subnet, far, p->tuple.family))
		return egress ? to_service(p) : DONE;
	if (!egress && martian_source(&p->tuple.saddr, p->tuple.family))
		return REASON_MARTIAN;
	return admit_destination(p);
}

/* The host's stack sends toward a router-mode port: answers of the services pass, the rest is an ingress packet. */
static __always_inline int admit_from_host(struct pkt *p, struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);

	if (!subnet)
		return REASON_NO_POLICY;
	if (p->ethertype == ETH_P_ARP)
		return REASON_L2;
	p->action = ACTION_PASS;
	if (dhcp_answer(p) || service_address(subnet, &p->tuple.saddr, p->tuple.family))
		return DONE;
	if (is_icmp6(p) && p->icmp_type >= ND_ROUTER_SOLICIT && p->icmp_type <= ND_REDIRECT)
		return REASON_L2;
	if (martian_source(&p->tuple.saddr, p->tuple.family))
		return REASON_MARTIAN;
	return admit_group(p) ?: admit_destination(p);
}

static __always_inline int admit(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	if (e->kind == PORT_UPLINK)
		return admit_uplink(ctx, hook, p, e);
	if (e->kind != PORT_ENI || !(e->flags & PORT_LIVE))
		return REASON_NO_POLICY;
	if (e->mode == MODE_GUARD)
		return admit_guard(ctx, hook, p, e);
	return p->in & IN_TX ? admit_from_host(p, e) : admit_eni(ctx, hook, p, e);
}

/* One verified function a hook, with a stack of its own. */
__noinline int tc_admit(struct __sk_buff *ctx, struct pkt *p)
{
	struct port_policy *e = p ? policy_of(p, IN_PORT(p->in)) : NULL;

	return e ? admit(ctx, HOOK_TC, p, e) : REASON_NO_POLICY;
}

__noinline int xdp_admit(struct xdp_md *ctx, struct pkt *p)
{
	struct port_policy *e = p ? policy_of(p, IN_PORT(p->in)) : NULL;

	return e ? admit(ctx, HOOK_XDP, p, e) : REASON_NO_POLICY;
}

static __always_inline void use_cached(struct pkt *p, struct flow_half *half)
{
	if (unlikely(!(p->flags & HALF_STEADY) || p->tcp_flags & (TCP_FIN | TCP_RST)))
		flow_track(p, p->ref, MOVE_BOTH);
	flow_count(p, half);
}

/* The MSS that a handshake may announce where a gateway on the way says so (NAT-19, TGW-13, VGW-05). */
static __always_inline __u16 clamp_of(const struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));
	struct gateway_policy *g = e && e->kind == PORT_UPLINK ? gateway_of(p, e) : NULL;
	__u32 mtu = path_mtu(p->flags), came = path_mtu(PATH_8500 << HALF_PATH_SHIFT);

	if (e && e->kind == PORT_UPLINK && e->gateway == ROUTE_IGW)
		came = path_mtu(PATH_1500 << HALF_PATH_SHIFT);
	else if (g && g->flags & GATEWAY_VPN)
		came = path_mtu(PATH_1446 << HALF_PATH_SHIFT);
	if (mtu > came)
		mtu = came;
	return mtu - (p->out.family == 4 && !changes_family(p) ? 40 : 60); /* NAT-21 */
}

/* What the way does to the packet, in the words of a half's flags. */
static __always_inline void compose(struct pkt *p)
{
	p->flags |= p->hops << HALF_TTL_SHIFT;
	if (p->hops || !tuple_equal(&p->out, &p->tuple))
		p->flags |= HALF_REWRITE;
	if (changes_family(p))
		p->flags |= HALF_NAT64;
	if (p->flags & HALF_CLAMP && p->tcp_flags & TCP_SYN)
		p->clamp = clamp_of(p);
	if (mirror_wanted(p))
		p->flags |= HALF_MIRROR;
}

/* ret: 0 = it passes and is kept next | DONE | the reason to drop it */
__noinline int judge_way(struct pkt *p)
{
	int reason;

	if (!p)
		return REASON_NO_POLICY;

	/* sent to whom it quotes (C17) */
	p->related = p->kind == KIND_ERROR && addr_equal(&p->tuple.daddr, &p->inner.saddr);
	if (p->related) {
		tuple_reverse(&p->back, &p->inner);
		p->ref = flow_find(&p->back, p->in);
	} else if (p->kind != KIND_PLAIN) {
		p->ref = REF_NONE;
	}
	reason = judge(p) ?: check_size(p);
	if (p->early && (!reason || p->complaint)) {
		leave_to_tc(p);
		return DONE;
	}
	if (reason)
		return reason;
	compose(p);
	return 0;
}

static __always_inline int keep_way(struct pkt *p)
{
	int reason = flow_keep(p);

	return reason || p->target.leg != LEG_GATE ? reason : gate_ticket_take(p);
}

static __always_inline int piece_goes(struct __sk_buff *ctx, struct pkt *p)
{
	ctx->mark = 0;
	p->exit = IN_PORT(p->in);
	p->action = ACTION_UPLINK;
	p->flags = 0;
	p->kind = KIND_PLAIN;
	return 0;
}

/* A kept decision looked at the packet's size as it came. */
static __always_inline bool nat64_exceptional(const struct pkt *p)
{
	struct port *exit = port_at(p->exit);

	return !exit || size_on_wire(p) > nat64_limit(p, exit) || p->fragment == FRAGMENT_FIRST;
}

/* Where the way is more than delivery a kept decision does not fit every packet: the time to live may run out on it,
 * and gateways that keep mappings carry no fragments but of UDP (NAT-11). */
static __always_inline bool exceptional(void *ctx, const int hook, const struct pkt *p)
{
	__u8 *at = ctx_data(ctx, hook) + ETH_HLEN + 7, ttl;

	if (likely(!(p->flags & (HALF_MAPPED | HALF_TTL_MAX << HALF_TTL_SHIFT))))
		return false;
	if (p->fragment && p->tuple.proto != IPPROTO_UDP && p->flags & HALF_MAPPED)
		return true;
	if ((void *)(at + 2) > ctx_data_end(ctx, hook))
		return true;
	ttl = p->tuple.family == 4 ? at[1] : at[0];
	return ttl <= HALF_TTL(p->flags) || (p->flags & HALF_NAT64 && nat64_exceptional(p));
}

/* From an appliance of a Gateway Load Balancer endpoint: what is inside goes on. */
static __always_inline int take_returned(void *ctx, const int hook, struct pkt *p)
{
	int reason = hook == HOOK_XDP ? xdp_unwrap(ctx, p) : tc_unwrap(ctx, p);

	if (reason)
		return reason;
	parse_full(ctx, hook, p);
	reason = p->reason;
	if (!reason)
		reason = admit_group(p) ?: admit_destination(p);
	if (reason)
		return reason;
	return martian_source(&p->tuple.saddr, p->tuple.family) ? REASON_MARTIAN : 0;
}

/* The slow path. ret: 0, or the reason; p->action is set either way */
static __always_inline int examine(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	struct flow_half *half;
	int reason;

	p->ref = REF_NONE;
	p->nr_trace = 0; /* first: no earlier packet's decisions may stand beside a fault of the parser */
	if (!p->quick || !parse_rest(ctx, hook, p))
		parse_full(ctx, hook, p);
	if (p->reason)
		return p->reason;
	if (hook == HOOK_TC && e->kind == PORT_UPLINK && cut_returns(ctx, p))
		return piece_goes(ctx, p);
	if (p->early && (e->gateway == ROUTE_GWLBE || p->ethertype == ETH_P_ARP || p->fragment ||
			 p->tuple.proto == IPPROTO_ICMP || p->tuple.proto == IPPROTO_ICMPV6))
		return leave_to_tc(p);
	reason = hook == HOOK_XDP ? xdp_admit(ctx, p) : tc_admit(ctx, p);
	if (reason) {
		if (reason == DONE && e->mirror)
			p->flags = HALF_MIRROR;
		return reason == DONE ? 0 : reason;
	}
	if (e->gateway == ROUTE_GWLBE) {
		reason = take_returned(ctx, hook, p);
		if (reason)
			return reason;
	}
	if (p->fragment && from_eni(p, e) && !port_rate_allows(p, RATE_FRAGMENTS))
		return REASON_RATE_LIMIT;
	reason = fragment_before(p);
	if (reason)
		return reason;
	if (p->looked)
		p->ref = p->seen_ref;
	half = p->kind == KIND_PLAIN && !p->looked ? flow_cached(p, e) : NULL;
	if (half && (exceptional(ctx, hook, p) || !ticket_fits(p, e)))
		half = NULL;
	if (half && p->early)
		return leave_to_tc(p);
	if (half)
		use_cached(p, half);
	else
		reason = judge_way(p) ?: keep_way(p);
	if (reason == DONE)
		reason = 0;
	fragment_after(p, reason);
	return reason;
}

/* What replay tells of a packet that meets a kept decision. */
static __always_inline void recall(struct pkt *p, const struct flow_half *half)
{
	struct limbo *rest = limbo_at(p->ref);
	__u32 number = rest ? rest->trace[p->ref & 1] : 0;
	const struct trace *trace = number ? trace_at(number - 1) : NULL;

	p->reason = REASON_ACCEPTED;
	p->nr_trace = half->nr_trace;
	for (int i = 0; trace && i < HALF_TRACE_MAX; i++)
		p->trace[i] = trace->decisions[i];
}

static __always_inline __u32 device_port(__u32 ifindex)
{
	__u32 *port;

	if (likely(ifindex < DEVICES_NEAR)) {
		port = bpf_map_lookup_elem(&devices, &ifindex);
	} else {
		port = bpf_map_lookup_elem(&devices_far, &ifindex);
		move_after_call(port); /* or the two calls would be made one, which no kernel puts in place */
	}
	return port ? *port : 0;
}

/* The coarse clock stands still from one tick to the next: whoever knows that there was none need not ask. It is read
 * within the tick that it is noted for, or early in the next: at most one tick late. */
static __always_inline void take_time(struct pkt *p)
{
	__u64 tick = bpf_jiffies64();
	__u64 now;

	if (likely(p->tick == tick && p->now))
		return;
	now = bpf_ktime_get_coarse_ns();
	/* An unmoved clock: the tick is counted, the clock not yet set (after a sleep by all of it). Ask again. */
	if (now != p->now)
		p->tick = tick;
	p->now = now;
}

/* May a kept decision be looked for by what the outermost headers say? An ENI's only if it sends by its own MAC; and
 * what comes from an appliance has its name inside: outside may stand whatever another packet had inside. */
static __always_inline bool quick_knows(const struct pkt *p, const struct port_policy *e)
{
	if (e->kind == PORT_UPLINK)
		return e->gateway != ROUTE_GWLBE;
	return !from_eni(p, e) || same_mac(p->smac, e->mac);
}

/* From arrival to verdict: p->action, p->exit, p->reason. ret: NULL = no port, drop */
static __always_inline struct pkt *receive(void *ctx, const int hook, __u32 tx)
{
	__u32 zero = 0, reason;
	struct flow_half *half;
	struct port_policy *e;
	struct pkt *p = bpf_map_lookup_elem(&scratch, &zero);

	if (!p)
		return NULL;
	if (replay) {
		p->in = control.in;
		p->now = control.now_ns;
		p->len = control.wire_len;
	} else {
		p->in = device_port(ctx_ifindex(ctx, hook)) | tx;
		take_time(p);
		p->len = ctx_len(ctx, hook);
	}
	p->segments = 1;
	p->early = hook == HOOK_XDP && !replay;
	p->parity = control.generation & 1;
	e = policy_of(p, IN_PORT(p->in));
	if (!e)
		return NULL;
	if (likely(parse_quick(ctx, hook, p)) && (hook == HOOK_XDP || !((struct __sk_buff *)ctx)->vlan_present)) {
		if (likely(quick_knows(p, e))) {
			exit_fetch(p, e);
			half = flow_cached(p, e);
			if (likely(half) && !exceptional(ctx, hook, p)) {
				if (hook == HOOK_XDP && p->early) {
					leave_to_tc(p);
					return p;
				}
				exit_learn(p, e);
				use_cached(p, half);
				if (replay) {
					recall(p, half);
					fill_report(p, true);
				}
				return p;
			}
			p->looked = 1;
			p->seen_ref = p->ref;
		} else {
			p->looked = 0;
		}
		p->quick = 1;
	} else {
		p->looked = 0;
		p->quick = 0;
		p->bytes = p->len;
	}
	owners_forget(p);
	foresee(p);
	p->source.port = 0;
	p->seen_egress = 0;
	p->complaint = COMPLAIN_NOT;
	p->nat_refused = 0;
	p->nr_spilled = 0;
	p->flags = 0;
	reason = examine(ctx, hook, p, e);
	if (reason && p->early && mirror_minds(p, e, reason))
		reason = leave_to_tc(p);
	p->reason = reason;
	if (reason) {
		p->action = ACTION_DROP;
		account_drop(p, reason);
		nat_account(p);
		if (mirror_minds(p, e, reason))
			hook == HOOK_XDP ? xdp_mirror_dropped(ctx, p) : tc_mirror_dropped(ctx, p);
		if (p->complaint)
			hook == HOOK_XDP ? xdp_answer_drop(ctx, p) : tc_answer_drop(ctx, p);
	}
	if (unlikely(p->nr_spilled)) {
		if (hook == HOOK_XDP)
			xdp_spill(ctx, p);
		else
			tc_spill(ctx, p);
	}
	fill_report(p, false);
	return p;
}

#endif
