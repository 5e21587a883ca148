/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the sender of a dropped packet is told: ICMP errors and TCP resets (MTU-02, NAT-08, NAT-20).
 *
 * A stage that returns a reason may call complain() before; once the drop is accounted for, the answer is written over
 * the frame and goes back to where it came from, with the router's MAC; where that is an appliance, past it to the ENI
 * that sent the packet. It counts as an answer of the fabric: no flow log tells of it. The sender's security group lets
 * it in where the flow is tracked, else a rule must (CT-14, MTU-01); a reset belongs to the connection. No answer is
 * ever given to an ICMP error, a later fragment, a group's frame or a reset (RFC 1122, RFC 4443, RFC 9293), and at most
 * ANSWER_RATE a second for each port. */
#ifndef ENID_COMPLAIN_H
#define ENID_COMPLAIN_H

#include "gwlbe.h"
#include "mtu.h"
#include "nacl.h"
#include "rewrite.h"
#include "sg.h"

#define QUOTE4_MAX 68   /* an IP header with options and 8 bytes */
#define QUOTE6_MAX 1232 /* what fits 1280 behind the headers */

struct icmp_error {
	__u8 type, code;
	__be16 check;
	__be32 rest; /* next-hop MTU, or nothing */
};

/* Frames on the workbench begin at its third byte, so that their headers lie at even words. */
struct error4 {
	__u8 zero[2];
	struct eth_header eth;
	struct ip4_header ip;
	struct icmp_error icmp;
	__u8 quote[QUOTE4_MAX];
};

struct error6 {
	__u8 zero[2];
	struct eth_header eth;
	struct ip6_header ip;
	struct icmp_error icmp;
	__u8 quote[QUOTE6_MAX];
};

struct reset4 {
	__u8 zero[2];
	struct eth_header eth;
	struct ip4_header ip;
	struct tcp_header tcp;
};

struct reset6 {
	__u8 zero[2];
	struct eth_header eth;
	struct ip6_header ip;
	struct tcp_header tcp;
};

#define FRAME_AT 2

struct workbench { /* frames are made here: the stack is too small */
	__u8 bytes[24576 + 512];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct workbench);
} workbenches SEC(".maps");

static __always_inline struct workbench *workbench(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&workbenches, &zero);
}

/* ---- sums */

/* Added to `sum`; size: a multiple of 4, at most 512. */
static __always_inline __u32 sum_more(__u32 sum, const void *data, __u32 size)
{
	return (__u32)bpf_csum_diff(NULL, 0, (__be32 *)data, size, sum);
}

static __always_inline __u32 sum_pseudo(const void *addrs, const __u32 size, __u8 proto, __u32 len)
{
	return fold((__u64)sum_more(0, addrs, size) + be16(proto) + be16(len));
}

/* The compiler must not know better, so that 6.1's verifier sees the mask. */
static __always_inline __u32 masked(__u32 value, const __u32 mask)
{
	asm volatile("" : "+r"(value));
	return value & mask;
}

/* ---- headers */

static __always_inline void answer_eth(const struct pkt *p, struct eth_header *eth, __u16 ethertype)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));

	__builtin_memcpy(eth->dmac, p->smac, 6);
	if (e && e->kind == PORT_UPLINK)
		__builtin_memcpy(eth->smac, e->mac, 6);
	else
		__builtin_memcpy(eth->smac, control.router_mac, 6);
	eth->ethertype = be16(ethertype);
}

static __always_inline void answer_ip4(const struct pkt *p, struct ip4_header *ip, __be32 from, __u8 proto, __u32 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version_ihl = 0x45;
	ip->tos = proto == IPPROTO_ICMP ? 0xc0 : 0; /* internetwork control (RFC 1812, 4.3.2.5) */
	ip->total = be16(len);
	ip->fragment = be16(IP4_DONT);
	ip->ttl = 64;
	ip->proto = proto;
	ip->saddr = from;
	ip->daddr = p->tuple.saddr.ip4;
	ip->check = ~fold(sum_more(0, ip, sizeof(*ip)));
}

static __always_inline void answer_ip6(const struct pkt *p, struct ip6_header *ip, const union addr *from, __u8 next,
				       __u32 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version_class = 0x60;
	ip->payload = be16(len);
	ip->next = next;
	ip->hops = 64;
	__builtin_memcpy(ip->saddr, from, 16);
	__builtin_memcpy(ip->daddr, &p->tuple.saddr, 16);
}

/* ---- ICMP errors. ret: length of the frame on the workbench, 0 = none */

static __always_inline void icmp_begin(const struct pkt *p, struct icmp_error *icmp, const bool six)
{
	bool big = p->complaint == COMPLAIN_TOO_BIG;

	icmp->type = big ? (six ? 2 : 3) : (six ? 3 : 11);
	icmp->code = big && !six ? 4 : 0;
	icmp->check = 0;
	icmp->rest = big ? be32(p->mtu) : 0;
}

static __always_inline __u32 write_error4(void *ctx, const int hook, struct pkt *p, struct workbench *bench)
{
	struct error4 *e = (void *)bench->bytes;
	struct ip4_header *inner = (void *)e->quote;
	__u32 size = masked(p->l4 - ETH_HLEN + 7, 127) + 1; /* the header and 8 bytes: a multiple of 4 */
	__be16 total;

	if (size > QUOTE4_MAX || p->payload < 8 || ctx_load(ctx, hook, ETH_HLEN, e->quote, size))
		return 0;
	if (p->segments > 1) { /* as if quoted from the wire */
		total = be16(p->largest);
		inner->check = check_update(inner->check, inner->total, total);
		inner->total = total;
	}
	answer_eth(p, &e->eth, ETH_P_IP);
	answer_ip4(p, &e->ip, p->complain_from.ip4, IPPROTO_ICMP, 28 + size);
	icmp_begin(p, &e->icmp, false);
	e->icmp.check = ~fold(sum_more(sum_more(0, &e->icmp, 8), e->quote, size));
	return ETH_HLEN + 28 + size;
}

#define SUM_CHUNK 512

/* Added to `sum`: what an error quotes, up to QUOTE6_MAX bytes; those behind `size` up to the next word are 0. */
static __always_inline __u32 sum_quote(__u32 sum, const __u8 *quote, __u32 size)
{
	for (__u32 at = 0; at < QUOTE6_MAX; at += SUM_CHUNK) {
		__u32 rest = at < size ? size - at + 3 & ~3u : 0;

		if (rest > SUM_CHUNK)
			rest = SUM_CHUNK;
		rest = masked(rest, 1023);
		if (rest > SUM_CHUNK)
			return 0;
		sum = sum_more(sum, quote + at, rest);
	}
	return sum;
}

static __always_inline __u32 write_error6(void *ctx, const int hook, struct pkt *p, struct workbench *bench)
{
	struct error6 *e = (void *)bench->bytes;
	__u32 size = p->l4 - ETH_HLEN + p->payload, seen = ctx_len(ctx, hook) - ETH_HLEN, sum;

	if (size > seen)
		size = seen;
	if (size > QUOTE6_MAX)
		size = QUOTE6_MAX;
	size = masked(size - 1, 2047) + 1;
	if (size > QUOTE6_MAX)
		return 0;
	__builtin_memset(e->quote + (size - 1 & ~3u), 0, 4);
	if (ctx_load(ctx, hook, ETH_HLEN, e->quote, size))
		return 0;
	if (p->segments > 1)
		((struct ip6_header *)e->quote)->payload = be16(p->largest - 40);
	answer_eth(p, &e->eth, ETH_P_IPV6);
	answer_ip6(p, &e->ip, &p->complain_from, IPPROTO_ICMPV6, 8 + size);
	icmp_begin(p, &e->icmp, true);
	sum = sum_more(sum_pseudo(e->ip.saddr, 32, IPPROTO_ICMPV6, 8 + size), &e->icmp, 8);
	e->icmp.check = ~fold(sum_quote(sum, e->quote, size));
	return ETH_HLEN + 48 + size;
}

/* ---- TCP resets (RFC 9293, 3.10.7.1) */

static __always_inline void reset_tcp(const struct pkt *p, struct tcp_header *tcp, __u8 offset)
{
	__u32 header = (offset >> 4) * 4u, length = p->payload - header;

	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->sport = p->tuple.dport;
	tcp->dport = p->tuple.sport;
	tcp->offset = 5 << 4;
	tcp->flags = TCP_RST;
	if (p->tcp_flags & TCP_ACK) {
		tcp->seq = be32(p->ack);
		return;
	}
	length += !!(p->tcp_flags & TCP_SYN) + !!(p->tcp_flags & TCP_FIN);
	tcp->ack = be32(p->seq + length);
	tcp->flags |= TCP_ACK;
}

static __always_inline __u32 write_reset(void *ctx, const int hook, struct pkt *p, struct workbench *bench)
{
	__u8 offset;

	if (p->tuple.proto != IPPROTO_TCP || p->tcp_flags & TCP_RST || ctx_load(ctx, hook, p->l4 + 12, &offset, 1))
		return 0;
	if (p->tuple.family == 4) {
		struct reset4 *r = (void *)bench->bytes;

		answer_eth(p, &r->eth, ETH_P_IP);
		answer_ip4(p, &r->ip, p->complain_from.ip4, IPPROTO_TCP, 40);
		reset_tcp(p, &r->tcp, offset);
		r->tcp.check = ~fold(sum_more(sum_pseudo(&r->ip.saddr, 8, IPPROTO_TCP, 20), &r->tcp, 20));
		return sizeof(*r) - FRAME_AT;
	} else {
		struct reset6 *r = (void *)bench->bytes;

		answer_eth(p, &r->eth, ETH_P_IPV6);
		answer_ip6(p, &r->ip, &p->complain_from, IPPROTO_TCP, 20);
		reset_tcp(p, &r->tcp, offset);
		r->tcp.check = ~fold(sum_more(sum_pseudo(r->ip.saddr, 32, IPPROTO_TCP, 20), &r->tcp, 20));
		return sizeof(*r) - FRAME_AT;
	}
}

/* ---- sending */

/* Turn the frame into one of `len` bytes that promises nothing: no segments, no checksum left to the device. There is
 * no helper for the latter; but the kernel forgets it when the header in question is pulled off (skb_postpull_rcsum),
 * so all is cut off up to behind the start of the L4 header. */
static __always_inline long ctx_blank(void *ctx, const int hook, const struct pkt *p, __u32 len)
{
	__u32 cut = p->l4 + 4;

	if (hook == HOOK_TC &&
	    (bpf_skb_change_tail(ctx, cut + 256, 0) || bpf_skb_adjust_room(ctx, -(__s32)cut, BPF_ADJ_ROOM_MAC, 0)))
		return -1;
	return ctx_resize(ctx, hook, len);
}

/* May the answer reach the ENI that sent the packet? */
static __always_inline bool sender_admits(struct pkt *p)
{
	bool six = p->tuple.family == 6;
	struct icmp_error icmp;

	if (!p->source.port || p->tracked || p->source.leg == LEG_TRACKED || p->complaint == COMPLAIN_RESET)
		return true;
	icmp_begin(p, &icmp, six);
	p->kind = KIND_BARE;
	p->related = 0;
	p->relayed = 0;
	p->target.port = p->source.port;
	p->target.ref = REF_NONE;
	p->out.saddr = p->complain_from;
	p->out.family = p->tuple.family;
	p->out.proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	p->service = icmp.type << 8 | icmp.code;
	return !sg_ingress(p);
}

/* A NAT gateway's answer leaves its subnet, passes that by which the packet came to it, and comes into the sender's,
 * where these differ (NACL-09, NACL-12). The fabric's own answers come from the router of the sender's subnet. */
static __always_inline bool crosses(struct pkt *p)
{
	struct port_policy *nat = policy_of(p, p->complain_nat);
	struct port_policy *sender = p->source.port ? policy_of(p, p->source.port) : NULL;
	__u32 home = sender ? sender->subnet : 0, own = nat ? nat->subnet : 0;
	bool six = p->tuple.family == 6;
	int reason = 0;

	p->out.saddr = p->complain_from;
	p->out.daddr = p->tuple.saddr;
	p->out.family = p->tuple.family;
	p->out.proto = p->tuple.proto;
	p->service = be16(p->tuple.sport);
	if (p->complaint != COMPLAIN_RESET) {
		p->service = (six ? 3 : 11) << 8;
		p->out.proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	}
	if (own && own != home)
		reason = nacl_egress(p, own);
	if (!reason && p->at_subnet && p->at_subnet != home && p->at_subnet != own)
		reason = nacl_ingress(p, p->at_subnet);
	if (!reason && home && home != own)
		reason = nacl_ingress(p, home);
	return !reason;
}

/* The entry of an ENI whose connection was reset ends like after any reset. */
static __always_inline void sender_was_reset(struct pkt *p, __u32 ref)
{
	struct flow_record *record = ref == REF_NONE ? NULL : record_at(ref);

	if (record && CT_STATE(record->half[0].ct) != CT_CLOSED && !(ref & 1) &&
	    within(p->now, entry_last(record, ref), record->half[0].leg_s)) {
		record->half[0].ct = CT_CLOSED;
		record->half[0].last_ns = p->now;
		flow_settle(p, ref);
	}
}

/* An appliance gets nothing but what is wrapped (EP-08). What it returned was sent by an ENI, which is told past it, as
 * if nothing stood between; or nobody is. ret: false = there is nobody to be told */
static __always_inline bool find_sender(struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));

	p->exit = IN_PORT(p->in);
	if (!e || e->gateway != ROUTE_GWLBE)
		return e;
	p->exit = sender_behind(p);
	p->source.port = p->exit;
	if (p->exit && p->complaint == COMPLAIN_TOO_BIG)
		router_of_sender(p, &p->complain_from);
	return p->exit;
}

static __always_inline void send_answer(struct pkt *p)
{
	bool back = p->exit == IN_PORT(p->in);

	if (p->complaint == COMPLAIN_RESET) {
		sender_was_reset(p, p->ref);
		if (!back)
			sender_was_reset(p, p->target.ref);
	}
	p->action = back ? ACTION_REPLY : ACTION_DELIVER;
	p->flags = 0;
	p->clamp = 0;
}

static __always_inline bool worth_an_answer(const struct pkt *p)
{
	return !(p->in & IN_TX) && p->kind == KIND_PLAIN && p->fragment != FRAGMENT_LATER && !(p->dmac[0] & 1);
}

static __always_inline int answer_drop(void *ctx, const int hook, struct pkt *p)
{
	struct workbench *bench = workbench();
	__u32 len;

	if (!bench || !worth_an_answer(p) || !find_sender(p) || (p->complain_nat && !crosses(p)) || !sender_admits(p) ||
	    !port_rate_allows(p, RATE_ANSWERS))
		return 0;
	if (p->complaint == COMPLAIN_RESET)
		len = write_reset(ctx, hook, p, bench);
	else if (p->tuple.family == 4)
		len = write_error4(ctx, hook, p, bench);
	else
		len = write_error6(ctx, hook, p, bench);
	if (!len)
		return 0;
	len = masked(len - 1, 2047) + 1;
	if (ctx_blank(ctx, hook, p, len) || ctx_store(ctx, hook, 0, bench->bytes + FRAME_AT, len))
		return 0;
	send_answer(p);
	return 0;
}

/* After a drop with p->complaint set: p->action becomes ACTION_REPLY or ACTION_DELIVER if there is an answer. */
__noinline int tc_answer_drop(struct __sk_buff *ctx, struct pkt *p)
{
	return p ? answer_drop(ctx, HOOK_TC, p) : 0;
}

__noinline int xdp_answer_drop(struct xdp_md *ctx, struct pkt *p)
{
	return p ? answer_drop(ctx, HOOK_XDP, p) : 0;
}

#endif
