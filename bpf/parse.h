/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parser: frame -> struct pkt. Two ways with one result:
 *   parse_quick  IPv4 without options and IPv6 without extension headers, whole TCP and UDP packets: the fast path
 *   parse_full   everything else, header by header, each length checked before it is believed (A1..A16)
 * On a fault p->reason says what is wrong; unknown is never "pass". */
#ifndef ENID_PARSE_H
#define ENID_PARSE_H

#include "ctx.h"

struct eth_header {
	__u8 dmac[6];
	__u8 smac[6];
	__be16 ethertype;
} __attribute__((packed));

struct ip4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 total;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 proto;
	__be16 check;
	__be32 saddr;
	__be32 daddr;
};

struct ip6_header {
	__u8 version_class;
	__u8 flow[3];
	__be16 payload;
	__u8 next;
	__u8 hops;
	__be32 saddr[4];
	__be32 daddr[4];
};

struct tcp_header {
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__be16 check;
	__be16 urgent;
};

struct udp_header {
	__be16 sport;
	__be16 dport;
	__be16 len;
	__be16 check;
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 check;
	__be16 id;
	__be16 seq;
};

#define IP4_DONT   0x4000
#define IP4_MORE   0x2000
#define IP4_OFFSET 0x1fff
#define IPOPT_END  0
#define IPOPT_NOP  1
#define IPOPT_LSRR 0x83
#define IPOPT_SSRR 0x89

static __always_inline void tuple_set4(struct tuple *t, __be32 saddr, __be32 daddr)
{
	t->saddr.d[0] = 0;
	t->saddr.w[2] = 0;
	t->saddr.ip4 = saddr;
	t->daddr.d[0] = 0;
	t->daddr.w[2] = 0;
	t->daddr.ip4 = daddr;
	t->family = 4;
	t->zero = 0;
}

static __always_inline void tuple_set6(struct tuple *t, const __be32 *saddr, const __be32 *daddr)
{
	for (int i = 0; i < 4; i++) {
		t->saddr.w[i] = saddr[i];
		t->daddr.w[i] = daddr[i];
	}
	t->family = 6;
	t->zero = 0;
}

/* The quick parser writes a tuple in the words that it will be read in: a load of what two stores have just written
 * waits until both, and whatever was stored before them, have left the store buffer. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HALVES_OF(first, second)         ((__u32)(first) | (__u32)(second) << 16)
#define WORD_OF(first, second)           ((__u64)(first) | (__u64)(second) << 32)
#define TUPLE_TAIL(ports, proto, family) WORD_OF(ports, (__u32)(proto) | (__u32)(family) << 8)
#else
#define HALVES_OF(first, second)         ((__u32)(first) << 16 | (second))
#define WORD_OF(first, second)           ((__u64)(first) << 32 | (second))
#define TUPLE_TAIL(ports, proto, family) WORD_OF(ports, (__u32)(proto) << 24 | (__u32)(family) << 16)
#endif

_Static_assert(__builtin_offsetof(struct tuple, sport) == 32 && __builtin_offsetof(struct tuple, dport) == 34 &&
		       __builtin_offsetof(struct tuple, proto) == 36 && sizeof(struct tuple) == 40,
	       "the last word is as TUPLE_TAIL says");

static __always_inline void tuple_words4(struct tuple *t, __be32 saddr, __be32 daddr)
{
	t->saddr.d[0] = 0;
	t->saddr.d[1] = WORD_OF(0u, saddr);
	t->daddr.d[0] = 0;
	t->daddr.d[1] = WORD_OF(0u, daddr);
}

static __always_inline void tuple_words6(struct tuple *t, const __be32 *saddr, const __be32 *daddr)
{
	t->saddr.d[0] = WORD_OF(saddr[0], saddr[1]);
	t->saddr.d[1] = WORD_OF(saddr[2], saddr[3]);
	t->daddr.d[0] = WORD_OF(daddr[0], daddr[1]);
	t->daddr.d[1] = WORD_OF(daddr[2], daddr[3]);
}

/* both_ports: as they stand in the header */
static __always_inline void tuple_word_tail(struct tuple *t, __u32 both_ports, __u8 proto, __u8 family)
{
	*(__u64 *)&t->sport = TUPLE_TAIL(both_ports, proto, family);
}

static __always_inline void take_tcp(struct pkt *p, const struct tcp_header *tcp)
{
	p->seq = be32(tcp->seq);
	p->ack = be32(tcp->ack);
	p->tcp_flags = tcp->flags;
}

/* Both MACs in three moves: a plain copy of unaligned bytes would take twelve. */
static __always_inline void take_macs(struct pkt *p, const __u32 *frame)
{
	__u32 *to = (__u32 *)p->dmac;

	to[0] = frame[0];
	to[1] = frame[1];
	to[2] = frame[2];
}

/* Wire packets and bytes of a GSO packet: each segment repeats the headers. */
static __always_inline void count_segments(struct __sk_buff *ctx, struct pkt *p)
{
	__u32 size = ctx->gso_size, headers, payload, segments;

	if (likely(!size))
		return;
	headers = p->l4 - ETH_HLEN + 8;
	if (p->tuple.proto == IPPROTO_TCP) {
		__u8 offset = 5 << 4;

		ctx_load(ctx, HOOK_TC, p->l4 + 12, &offset, 1);
		headers += (offset >> 4) * 4 - 8;
	}
	payload = p->bytes > headers ? p->bytes - headers : 0;
	segments = ctx->gso_segs;
	if (segments <= 1)
		segments = (payload + size - 1) / size;
	if (segments > 1) {
		p->segments = segments;
		p->largest = headers + size;
		p->bytes += (segments - 1) * headers;
	}
}

/* ret: true = parsed and faultless, what a kept decision needs is set; false = ask parse_full. */
static __always_inline bool parse_quick(void *ctx, const int hook, struct pkt *p)
{
	void *data = ctx_data(ctx, hook), *end = ctx_data_end(ctx, hook);
	struct eth_header *eth = data;
	__u8 proto, family;
	__u32 payload;
	void *l4;

	if (data + ETH_HLEN + 20 + 8 > end)
		return false;
	take_macs(p, data);
	if (eth->ethertype == be16(ETH_P_IP)) {
		struct ip4_header *ip = data + ETH_HLEN;

		p->bytes = be16(ip->total);
		if (ip->version_ihl != 0x45 || ip->fragment & be16(IP4_MORE | IP4_OFFSET) || p->bytes < 28 ||
		    ETH_HLEN + p->bytes > p->len)
			return false;
		tuple_words4(&p->tuple, ip->saddr, ip->daddr);
		proto = ip->proto;
		family = 4;
		l4 = ip + 1;
		p->l4 = ETH_HLEN + 20;
		payload = p->bytes - 20;
	} else if (eth->ethertype == be16(ETH_P_IPV6)) {
		struct ip6_header *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) + 8 > end)
			return false;
		payload = be16(ip->payload);
		if (ip->version_class >> 4 != 6 || payload < 8 || ETH_HLEN + 40 + payload > p->len)
			return false;
		tuple_words6(&p->tuple, ip->saddr, ip->daddr);
		proto = ip->next;
		family = 6;
		p->bytes = payload + 40;
		l4 = ip + 1;
		p->l4 = ETH_HLEN + 40;
	} else {
		return false;
	}
	if (proto == IPPROTO_TCP) {
		struct tcp_header *tcp = l4;

		if ((void *)(tcp + 1) > end || tcp->offset < 0x50 || (tcp->offset >> 4) * 4u > payload)
			return false;
		take_tcp(p, tcp);
	} else if (proto == IPPROTO_UDP) {
		struct udp_header *udp = l4;

		if (be16(udp->len) < 8 || be16(udp->len) > payload)
			return false;
		p->tcp_flags = 0;
	} else {
		return false;
	}
	tuple_word_tail(&p->tuple, *(const __u32 *)l4, proto, family);
	p->kind = KIND_PLAIN;
	p->fragment = FRAGMENT_NO;
	if (hook == HOOK_TC)
		count_segments(ctx, p);
	return true;
}

/* What of a frame that parse_quick() took the slow path wants to know as well. ret: false = ask parse_full */
static __always_inline bool parse_rest(void *ctx, const int hook, struct pkt *p)
{
	void *data = ctx_data(ctx, hook), *end = ctx_data_end(ctx, hook);
	struct ip4_header *ip = data + ETH_HLEN;
	struct ip6_header *six = data + ETH_HLEN;
	struct udp_header *l4;

	if (data + ETH_HLEN + 20 + 8 > end)
		return false;
	p->source_routed = 0;
	p->reason = REASON_ACCEPTED;
	if (p->tuple.family == 4) {
		p->ethertype = ETH_P_IP;
		p->ttl = ip->ttl;
		p->fragment_id = ip->id;
		p->dont_fragment = !!(ip->fragment & be16(IP4_DONT));
		p->payload = be16(ip->total) - 20;
		l4 = (struct udp_header *)(ip + 1);
	} else {
		if ((void *)(six + 1) + 8 > end)
			return false;
		p->ethertype = ETH_P_IPV6;
		p->ttl = six->hops;
		p->payload = be16(six->payload);
		l4 = (struct udp_header *)(six + 1);
	}
	p->service = be16(p->tuple.dport);
	if (p->tuple.proto == IPPROTO_UDP)
		p->unsummed = !l4->check;
	return true;
}

static __always_inline bool query_type(__u8 family, __u8 type)
{
	if (family == 6)
		return type == 128 || type == 129;
	return type == 8 || type == 0 || (type >= 13 && type <= 18);
}

static __always_inline bool error_type(__u8 family, __u8 type)
{
	return family == 6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* Where a walk is stands in the packet's scratch, not on the stack: kernels before 6.7 verify the body of a bpf_loop
 * once, take what the stack holds in the first round for a constant for ever, and drop the branches that it decides;
 * later ones look at every value it may have. */
struct option_walk {
	__u8 options[64]; /* 40 used; 64 so that a mask can bound the index */
	struct pkt *p;
};

static long option_step(__u32 step, struct option_walk *walk)
{
	struct pkt *p = walk->p;
	__u32 at = p->walk_at, kind, size;

	if (at >= p->walk_len)
		return 1;
	kind = walk->options[at & 63];
	if (kind == IPOPT_END)
		return 1;
	if (kind == IPOPT_NOP) {
		p->walk_at = at + 1;
		return 0;
	}
	size = walk->options[(at + 1) & 63];
	if (kind == IPOPT_LSRR || kind == IPOPT_SSRR)
		p->source_routed = 1;
	p->walk_at = at + size;
	if (at + 1 < p->walk_len && size >= 2 && at + size <= p->walk_len)
		return 0;
	p->walk_found = 1;
	return 1;
}

/* IPv4 options: well-formed; source routing is noted (A6). A bpf_loop, which a verifier walks once. */
static __always_inline int parse_options(void *ctx, const int hook, struct pkt *p, __u32 len)
{
	__u32 size = ((len - 1) & 63) + 1; /* 1..40, said so that every verifier sees it */
	struct option_walk walk = {.p = p};

	if (ctx_load(ctx, hook, ETH_HLEN + 20, walk.options, size))
		return REASON_MALFORMED;
	p->walk_at = 0;
	p->walk_len = len;
	p->walk_found = 0; /* a fault */
	bpf_loop(40, option_step, &walk, 0);
	return p->walk_found ? REASON_MALFORMED : 0;
}

static __always_inline int parse_ip4(void *ctx, const int hook, struct pkt *p)
{
	struct ip4_header ip;
	__u32 header, fragment;

	if (p->len < ETH_HLEN + 20 || ctx_load(ctx, hook, ETH_HLEN, &ip, sizeof(ip)))
		return REASON_MALFORMED;
	header = (ip.version_ihl & 15) * 4;
	p->bytes = be16(ip.total);
	if (ip.version_ihl >> 4 != 4 || header < 20 || p->bytes < header || ETH_HLEN + p->bytes > p->len)
		return REASON_MALFORMED;
	tuple_set4(&p->tuple, ip.saddr, ip.daddr);
	p->tuple.proto = ip.proto;
	p->l4 = ETH_HLEN + header;
	p->payload = p->bytes - header;
	p->ttl = ip.ttl;
	p->fragment_id = ip.id;
	fragment = be16(ip.fragment);
	p->dont_fragment = !!(fragment & IP4_DONT);
	if (fragment & IP4_OFFSET) {
		p->fragment = FRAGMENT_LATER;
		p->piece = (fragment & IP4_OFFSET) * 8;
		if (ip.proto == IPPROTO_TCP && (fragment & IP4_OFFSET) < 3)
			return REASON_FRAGMENT; /* would rewrite the header of the first (A2) */
	} else if (fragment & IP4_MORE) {
		p->fragment = FRAGMENT_FIRST;
	}
	return header > 20 ? parse_options(ctx, hook, p, header - 20) : REASON_ACCEPTED;
}

static __always_inline bool extension_header(__u8 next)
{
	return next == 0 || next == 43 || next == 60;
}

/* Walk the extension headers (V6-06). A fragment header with an offset ends the chain: the rest is the datagram's. */
static __always_inline int parse_ip6(void *ctx, const int hook, struct pkt *p)
{
	struct ip6_header ip;
	__u32 offset = ETH_HLEN + 40, end, pieces = 0;
	bool fragmented = false;
	__u8 next;

	if (p->len < ETH_HLEN + 40 || ctx_load(ctx, hook, ETH_HLEN, &ip, sizeof(ip)))
		return REASON_MALFORMED;
	p->bytes = be16(ip.payload) + 40;
	end = ETH_HLEN + p->bytes;
	if (ip.version_class >> 4 != 6 || end > p->len)
		return REASON_MALFORMED;
	tuple_set6(&p->tuple, ip.saddr, ip.daddr);
	p->ttl = ip.hops;
	next = ip.next;
	for (int i = 0; i <= EXTENSION_HEADERS_MAX; i++) {
		__u8 header[8];

		if (!extension_header(next) && next != 44)
			break;
		if (i == EXTENSION_HEADERS_MAX || offset + 8 > end || ctx_load(ctx, hook, offset, header, 8))
			return REASON_MALFORMED;
		if (next == 44) {
			__u32 fragment = header[2] << 8 | header[3];

			if (fragmented)
				return REASON_MALFORMED; /* nested (A8) */
			fragmented = true;
			__builtin_memcpy(&p->fragment_id, header + 4, 4);
			next = header[0];
			offset += 8;
			if (fragment & 0xfff8) {
				p->fragment = FRAGMENT_LATER;
				p->piece = fragment & 0xfff8;
				if (next == IPPROTO_TCP && (fragment & 0xfff8) < 24)
					return REASON_FRAGMENT;
				break;
			}
			if (fragment & 1)
				p->fragment = FRAGMENT_FIRST;
			pieces = offset;
		} else {
			if (next == 43 && header[3])
				p->source_routed = 1; /* of any type, with segments left (A7) */
			next = header[0];
			offset += (header[1] + 1) * 8;
			if (offset > end)
				return REASON_MALFORMED;
		}
	}
	if (p->fragment == FRAGMENT_FIRST && offset != pieces)
		return REASON_FRAGMENT; /* a later piece could write over an L4 header that lies so far in (A3) */
	p->tuple.proto = next;
	p->l4 = offset;
	p->payload = end - offset;
	return REASON_ACCEPTED;
}

static __always_inline int parse_inner_l4(void *ctx, const int hook, struct pkt *p)
{
	struct icmp_header icmp;

	if (ctx_load(ctx, hook, p->inner_l4, &icmp, sizeof(icmp)))
		return -1;
	if (p->inner.proto == IPPROTO_TCP || p->inner.proto == IPPROTO_UDP) {
		__builtin_memcpy(&p->inner.sport, &icmp, 4);
	} else if (p->inner.proto == (p->inner.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		if (!query_type(p->inner.family, icmp.type))
			return -1; /* never an error about an error */
		p->inner.sport = icmp.id;
		p->inner.dport = icmp.type;
	} else {
		p->inner.sport = 0;
		p->inner.dport = 0;
	}
	return 0;
}

static __always_inline int parse_inner4(void *ctx, const int hook, struct pkt *p, __u32 offset, __u32 end)
{
	struct ip4_header ip;
	__u32 header;

	if (offset + 28 > end || ctx_load(ctx, hook, offset, &ip, sizeof(ip)))
		return -1;
	header = (ip.version_ihl & 15) * 4;
	if (ip.version_ihl >> 4 != 4 || header < 20 || offset + header + 8 > end || ip.fragment & be16(IP4_OFFSET))
		return -1; /* D8 */
	tuple_set4(&p->inner, ip.saddr, ip.daddr);
	p->inner.proto = ip.proto;
	p->inner_l4 = offset + header;
	return 0;
}

static __always_inline int parse_inner6(void *ctx, const int hook, struct pkt *p, __u32 offset, __u32 end)
{
	struct ip6_header ip;
	__u8 next;

	if (offset + 48 > end || ctx_load(ctx, hook, offset, &ip, sizeof(ip)) || ip.version_class >> 4 != 6)
		return -1;
	tuple_set6(&p->inner, ip.saddr, ip.daddr);
	next = ip.next;
	offset += 40;
	for (int i = 0; i < EXTENSION_HEADERS_MAX; i++) {
		__u8 header[8];

		if (!extension_header(next) || offset + 8 > end)
			break;
		if (ctx_load(ctx, hook, offset, header, 8))
			return -1;
		next = header[0];
		offset += (header[1] + 1) * 8;
	}
	if (extension_header(next) || next == 44 || offset + 8 > end)
		return -1;
	p->inner.proto = next;
	p->inner_l4 = offset;
	return 0;
}

/* The packet that an ICMP error quotes. One that cannot be read makes the error an ordinary ICMP message. */
static __always_inline void parse_inner(void *ctx, const int hook, struct pkt *p)
{
	__u32 offset = p->l4 + 8, end = p->l4 + p->payload;

	p->kind = KIND_BARE;
	p->inner_l3 = offset;
	if (p->tuple.family == 4 ? parse_inner4(ctx, hook, p, offset, end) : parse_inner6(ctx, hook, p, offset, end))
		return;
	if (parse_inner_l4(ctx, hook, p))
		return;
	p->kind = KIND_ERROR;
}

static __always_inline int parse_icmp(void *ctx, const int hook, struct pkt *p, int cut)
{
	struct icmp_header icmp;

	if (p->payload < 8 || ctx_load(ctx, hook, p->l4, &icmp, sizeof(icmp)))
		return cut;
	p->icmp_type = icmp.type;
	p->icmp_code = icmp.code;
	__builtin_memcpy(&p->icmp_rest, &icmp.id, 4);
	p->service = icmp.type << 8 | icmp.code;
	if (p->fragment == FRAGMENT_FIRST && p->tuple.family == 6 && icmp.type >= 133 && icmp.type <= 137)
		return REASON_FRAGMENT; /* neighbour discovery in pieces (B4, RFC 6980) */
	if (query_type(p->tuple.family, icmp.type)) {
		p->tuple.sport = icmp.id;
		p->tuple.dport = icmp.type;
	} else if (error_type(p->tuple.family, icmp.type)) {
		parse_inner(ctx, hook, p);
	} else {
		p->kind = KIND_BARE;
	}
	return REASON_ACCEPTED;
}

static __always_inline int parse_l4(void *ctx, const int hook, struct pkt *p)
{
	int cut = p->fragment == FRAGMENT_FIRST ? REASON_FRAGMENT : REASON_MALFORMED;
	__u8 proto = p->tuple.proto;

	if (p->fragment == FRAGMENT_LATER)
		return REASON_ACCEPTED;
	if (proto == IPPROTO_TCP) {
		struct tcp_header tcp;
		__u32 header;

		if (p->payload < sizeof(tcp) || ctx_load(ctx, hook, p->l4, &tcp, sizeof(tcp)))
			return cut;
		header = (tcp.offset >> 4) * 4;
		if (header < sizeof(tcp))
			return REASON_MALFORMED;
		if (header > p->payload)
			return cut;
		take_tcp(p, &tcp);
		p->tuple.sport = tcp.sport;
		p->tuple.dport = tcp.dport;
		p->service = be16(tcp.dport);
	} else if (proto == IPPROTO_UDP) {
		struct udp_header udp;

		if (p->payload < sizeof(udp) || ctx_load(ctx, hook, p->l4, &udp, sizeof(udp)))
			return cut;
		if (be16(udp.len) < 8 || (p->fragment == FRAGMENT_NO && be16(udp.len) > p->payload))
			return REASON_MALFORMED;
		p->tuple.sport = udp.sport;
		p->tuple.dport = udp.dport;
		p->unsummed = !udp.check;
		p->service = be16(udp.dport);
	} else if (proto == (p->tuple.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		return parse_icmp(ctx, hook, p, cut);
	}
	return REASON_ACCEPTED;
}

static __always_inline bool vlan_type(__u16 ethertype)
{
	return ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD || ethertype == ETH_P_QINQ1;
}

static __always_inline int parse_frame(void *ctx, const int hook, struct pkt *p)
{
	struct eth_header eth;
	int r;

	p->tuple.sport = 0;
	p->tuple.dport = 0;
	p->tuple.family = 0;
	p->tcp_flags = 0;
	p->service = 0;
	p->kind = KIND_PLAIN;
	p->fragment = FRAGMENT_NO;
	p->ethertype = 0;
	p->source_routed = 0;
	if (p->len < ETH_HLEN || ctx_load(ctx, hook, 0, &eth, sizeof(eth)))
		return REASON_MALFORMED;
	__builtin_memcpy(p->dmac, &eth, 12);
	p->ethertype = be16(eth.ethertype);
	if (vlan_type(p->ethertype) || (hook == HOOK_TC && ((struct __sk_buff *)ctx)->vlan_present))
		return REASON_VLAN; /* in the frame, or beside it (A9) */
	if (p->ethertype == ETH_P_ARP)
		return p->len < ETH_HLEN + 28 ? REASON_MALFORMED : REASON_ACCEPTED;
	if (p->ethertype == ETH_P_IP)
		r = parse_ip4(ctx, hook, p);
	else if (p->ethertype == ETH_P_IPV6)
		r = parse_ip6(ctx, hook, p);
	else
		return REASON_ETHERTYPE;
	if (r)
		return r;
	r = parse_l4(ctx, hook, p);
	if (r)
		return r;
	if (hook == HOOK_TC)
		count_segments(ctx, p);
	return p->source_routed ? REASON_IP_OPTIONS : REASON_ACCEPTED;
}

/* One verified function a hook. */
__noinline int tc_parse(struct __sk_buff *ctx, struct pkt *p)
{
	if (!p)
		return REASON_NO_POLICY;
	return parse_frame(ctx, HOOK_TC, p);
}

__noinline int xdp_parse(struct xdp_md *ctx, struct pkt *p)
{
	if (!p)
		return REASON_NO_POLICY;
	return parse_frame(ctx, HOOK_XDP, p);
}

static __always_inline void parse_full(void *ctx, const int hook, struct pkt *p)
{
	p->reason = hook == HOOK_XDP ? xdp_parse(ctx, p) : tc_parse(ctx, p);
}

#endif
