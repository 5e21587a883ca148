/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The bytes of a mirrored packet's copy: the frame, or the segment of one, that a session keeps, and VXLAN around it
 * (TM-09..TM-12, RFC 7348). */
#ifndef ENID_VXLAN_H
#define ENID_VXLAN_H

#include "complain.h"
#include "cut.h"
#include "enid/mirror.h"

struct { /* the copy as a packet of its own */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pkt);
} mirror_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mirror_copy);
} mirror_bench SEC(".maps");

struct { /* replay: the last packet's copies */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REPORT_COPIES_MAX);
	__type(key, __u32);
	__type(value, struct mirror_copy);
} mirror_told SEC(".maps");

static __always_inline struct mirror_copy *copy_at_hand(void)
{
	__u32 zero = 0;
	struct report *told;

	if (!replay)
		return bpf_map_lookup_elem(&mirror_bench, &zero);
	told = bpf_map_lookup_elem(&report, &zero);
	if (!told || told->copies >= REPORT_COPIES_MAX)
		return NULL;
	zero = told->copies;
	return bpf_map_lookup_elem(&mirror_told, &zero);
}

static __always_inline struct pkt *copy_packet(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mirror_scratch, &zero);
}

static __always_inline __u32 at_most(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* ---- the bytes of a copy */

static __always_inline bool frame_is_six(const struct mirror_copy *c)
{
	return *(const __be16 *)(c->bytes + 12) == be16(ETH_P_IPV6);
}

/* Of `length` bytes of a frame, those that are kept; padding behind the IP packet is none of it. */
static __always_inline void mirror_lengths(struct mirror_copy *c, __u32 length, __u32 seen)
{
	__u32 total;

	c->length = at_most(c->keep, length);
	c->seen = at_most(c->length, seen);
	total = c->length + MIRROR_ROOM;
	c->outer.total = be16(total);
	c->outer.length = be16(total - 20);
	c->outer.check = 0;
	c->outer.check = ~fold(sum_more(0, &c->outer, 20));
}

/* ret: 0, -1 = cannot */
static __always_inline int mirror_load(void *ctx, const int hook, struct mirror_copy *c)
{
	__u32 seen = at_most(ctx_len(ctx, hook), MIRROR_MAX);

	if (seen < ETH_HLEN + 20)
		return -1;
	seen = masked(seen - 1, 16383) + 1;
	if (ctx_load(ctx, hook, 0, c->bytes, seen))
		return -1;
	if (frame_is_six(c))
		mirror_lengths(c, ETH_HLEN + 40 + be16(*(__be16 *)(c->bytes + 18)), seen);
	else
		mirror_lengths(c, ETH_HLEN + be16(*(__be16 *)(c->bytes + 16)), seen);
	return 0;
}

/* The L4 checksum of a whole packet of `end` bytes with its frame, from scratch: what a device would have done. ret: 0,
 * -1 = cannot, of IPv6 behind many extension headers included */
__noinline int mirror_sum(struct mirror_copy *c, __u32 l4, __u32 end)
{
	bool six, pseudo;
	__u32 at, size, sum;
	__be16 *check;

	if (!c || l4 > MIRROR_L4_MAX || end <= l4 || end > MIRROR_MAX)
		return -1;
	six = frame_is_six(c);
	at = check_offset(c->proto, six ? 6 : 4, &pseudo);
	if (!pseudo)
		return 0;
	l4 = masked(l4, MIRROR_L4_MAX);
	size = masked(end - l4, 16383);
	check = (void *)c->bytes + l4 + (at & 31);
	*check = 0;
	__builtin_memset(c->bytes + l4 + size, 0, 4);
	if (six)
		sum = sum_pseudo(c->bytes + ETH_HLEN + 8, 32, c->proto, size);
	else
		sum = sum_pseudo(c->bytes + ETH_HLEN + 12, 8, c->proto, size);
	for (__u32 from = 0; from < MIRROR_MAX; from += SUM_CHUNK) {
		__u32 rest = from < size ? size - from + 3 & ~3u : 0;

		if (rest > SUM_CHUNK)
			rest = SUM_CHUNK;
		rest = masked(rest, 1023);
		if (rest > SUM_CHUNK)
			return -1;
		sum = sum_more(sum, c->bytes + l4 + from, rest);
	}
	*check = ~fold(sum);
	if (!*check)
		*check = 0xffff;
	return 0;
}

/* A packet of its own; what was left to the device to sum is summed. */
static __always_inline int mirror_whole(struct __sk_buff *ctx, struct mirror_copy *c, const struct pkt *q)
{
	bool pseudo;
	__u32 at, end;

	if (mirror_load(ctx, HOOK_TC, c))
		return -1;
	at = check_offset(c->proto, frame_is_six(c) ? 6 : 4, &pseudo);
	end = frame_is_six(c) ? ETH_HLEN + 40 + be16(*(__be16 *)(c->bytes + 18))
			      : ETH_HLEN + be16(*(__be16 *)(c->bytes + 16));
	return at && pseudo && check_is_partial(ctx, q->l4 + at) ? mirror_sum(c, q->l4, end) : 0;
}

/* Headers of segment `nr` of a GSO packet, with `size` bytes of payload; `last`: the last one. */
static __always_inline void mirror_headers(struct mirror_copy *c, __u32 l4, __u32 header, __u32 nr, __u32 size,
					   bool last)
{
	struct ip4_header *ip = (void *)c->bytes + ETH_HLEN;
	struct tcp_header *tcp;
	struct udp_header *udp;

	if (frame_is_six(c)) {
		((struct ip6_header *)ip)->payload = be16(header - ETH_HLEN - 40 + size);
	} else {
		ip->total = be16(header - ETH_HLEN + size);
		ip->id = be16(be16(ip->id) + nr);
		ip->check = 0;
		ip->check = ~fold(sum_more(0, ip, masked((ip->version_ihl & 15) * 4, 63)));
	}
	l4 = masked(l4, MIRROR_L4_MAX);
	if (c->proto == IPPROTO_UDP) {
		udp = (void *)c->bytes + l4;
		udp->len = be16(8 + size);
		return;
	}
	tcp = (void *)c->bytes + l4;
	tcp->seq = be32(be32(tcp->seq) + nr * c->size);
	if (!last)
		tcp->flags &= ~(TCP_FIN | 8); /* FIN and PSH stand on the last, CWR on the first */
	if (nr)
		tcp->flags &= ~0x80;
}

/* A tunnel's packet, to be cut by its inner headers. The kernel widens what has TCP in it alone, and datagrams never
 * without BPF_F_ADJ_ROOM_FIXED_GSO: a tunnel over UDP with TCP inside is known by that (and the clone is then lost). */
static __always_inline bool is_tunnel(struct __sk_buff *ctx, const struct mirror_copy *c)
{
	if (c->proto == IPPROTO_UDP)
		return !bpf_skb_adjust_room(ctx, 4, BPF_ADJ_ROOM_MAC, 0);
	return c->proto != IPPROTO_TCP;
}

/* As the device would have cut it off. */
static __always_inline int mirror_segment(struct __sk_buff *ctx, struct mirror_copy *c, const struct pkt *q)
{
	__u32 l4 = q->l4, header = l4 + 8, nr = c->segment - 1, at = nr * c->size, size = c->size, total;
	__u8 offset = 0;

	if (c->proto == IPPROTO_TCP) {
		if (ctx_load(ctx, HOOK_TC, l4 + 12, &offset, 1))
			return -1;
		header = l4 + (offset >> 4) * 4;
	}
	if (is_tunnel(ctx, c) || l4 > MIRROR_L4_MAX || header > 250 || ctx->len <= header + at)
		return -1;
	total = ctx->len - header;
	size = at_most(size, total - at);
	if (!size || header + size > MIRROR_MAX)
		return -1;
	header = masked(header - 1, 255) + 1;
	size = masked(size - 1, 16383) + 1;
	if (ctx_load(ctx, HOOK_TC, 0, c->bytes, header) || ctx_load(ctx, HOOK_TC, header + at, c->bytes + header, size))
		return -1;
	mirror_headers(c, l4, header, nr, size, at + size == total);
	mirror_lengths(c, header + size, header + size);
	return mirror_sum(c, l4, header + size);
}

/* ---- on a wire: the clone, at the egress of the mirrored ENI's device, becomes the copy */

static __always_inline int mirror_write(struct __sk_buff *ctx, struct mirror_copy *c, const struct pkt *q)
{
	bool six = frame_is_six(c);
	__u32 length = masked(c->length - 1, 16383) + 1;
	struct eth_header eth = {.ethertype = be16(ETH_P_IP)};

	__builtin_memcpy(eth.dmac, c->dmac, 6);
	__builtin_memcpy(eth.smac, c->smac, 6);
	if (ctx_blank(ctx, HOOK_TC, q, ETH_HLEN + MIRROR_ROOM + length + (six ? 20 : 0)))
		return -1;
	if (six && bpf_skb_change_proto(ctx, be16(ETH_P_IP), 0))
		return -1;
	return ctx_store(ctx, HOOK_TC, 0, &eth, sizeof(eth)) ||
			       ctx_store(ctx, HOOK_TC, ETH_HLEN, &c->outer, MIRROR_ROOM) ||
			       ctx_store(ctx, HOOK_TC, ETH_HLEN + MIRROR_ROOM, c->bytes, length)
		       ? -1
		       : 0;
}

/* ret: port number where the copy leaves, 0 = it could not be made */
__noinline int mirror_make(struct __sk_buff *ctx)
{
	struct mirror_copy *c = copy_at_hand();
	struct pkt *q = copy_packet();

	if (!c || !q)
		return 0;
	if ((c->segment ? mirror_segment(ctx, c, q) : mirror_whole(ctx, c, q)) || mirror_write(ctx, c, q)) {
		c->reason = REASON_MALFORMED;
		return 0;
	}
	return c->exit;
}

#endif
