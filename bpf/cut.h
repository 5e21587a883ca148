/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments: an IPv4 packet larger than its path, without DF, leaves in pieces (IGW-09, RFC 791). TC only: XDP leaves
 * such packets to TC, and replay cuts outside the kernel (user/replay/cut.c).
 *
 * There is one packet and no way to make another but to clone it, so all of it is copied aside (cut_take), and each
 * piece in turn is written into the frame, cloned and sent. IP options go with the first piece only. */
#ifndef ENID_CUT_H
#define ENID_CUT_H

#include "complain.h"

static __always_inline __u32 cut_mark(void)
{
	return (__u32)(control.secrets[5] >> 32) | 1;
}

/* A piece that we sent to ourselves by way of the uplink's ingress, to leave by the same uplink. */
static __always_inline bool cut_returns(const struct __sk_buff *ctx, const struct pkt *p)
{
	return !replay && p->fragment && ctx->mark == cut_mark();
}

#define CUT_AT 128 /* the payload's place on the workbench */

/* Is the L4 checksum left to the device? There is no field to ask, but then a change of what the sum covers leaves the
 * checksum alone. Spoils the checksum in the frame. */
static __always_inline bool check_is_partial(struct __sk_buff *ctx, __u32 at)
{
	__be16 before, after;

	return !ctx_load(ctx, HOOK_TC, at, &before, 2) && !bpf_l4_csum_replace(ctx, at, 0, be16(1), 2) &&
	       !ctx_load(ctx, HOOK_TC, at, &after, 2) && before == after;
}

/* A checksum that the device would complete is completed here: it covers all pieces. */
static __always_inline void cut_finish_check(struct __sk_buff *ctx, const struct pkt *p, struct workbench *bench)
{
	bool pseudo;
	__u32 at = check_offset(p->tuple.proto, 4, &pseudo), sum = 0;
	__be16 *check = (void *)bench->bytes + CUT_AT + (at & 31);

	if (!pseudo || p->fragment || p->payload < 20 || !check_is_partial(ctx, p->l4 + at))
		return;
	for (__u32 from = 0; from < CUT_MAX; from += SUM_CHUNK) {
		__u32 rest = from < p->payload ? p->payload - from + 3 & ~3u : 0;

		if (rest > SUM_CHUNK)
			rest = SUM_CHUNK;
		rest = masked(rest, 1023);
		if (rest > SUM_CHUNK)
			return;
		sum = sum_more(sum, bench->bytes + CUT_AT + from, rest);
	}
	*check = ~fold(sum);
	if (!*check)
		*check = 0xffff;
}

/* Copy the packet aside; what remains is a frame without offloads. ret: 0, -1 = cannot */
__noinline int cut_take(struct __sk_buff *ctx, struct pkt *p)
{
	struct workbench *bench = workbench();
	__u32 header, size;

	if (!p || !bench || p->l4 < ETH_HLEN + 20 || p->l4 > ETH_HLEN + 60 || !p->payload || p->payload > CUT_MAX)
		return -1;
	header = masked(p->l4 - 1, 127) + 1;
	size = masked(p->payload - 1, 16383) + 1;
	__builtin_memset(bench->bytes + CUT_AT + (size - 1 & ~3u), 0, 4);
	if (ctx_load(ctx, HOOK_TC, 0, bench->bytes + FRAME_AT, header) ||
	    ctx_load(ctx, HOOK_TC, p->l4, bench->bytes + CUT_AT, size))
		return -1;
	p->cut_word = be16(*(__be16 *)(bench->bytes + FRAME_AT + ETH_HLEN + 6));
	cut_finish_check(ctx, p, bench);
	return ctx_blank(ctx, HOOK_TC, p, p->l4 + 8) ? -1 : 0;
}

/* Write piece `nr` into the frame. ret: 1, 0 = that was the last one before, -1 = cannot */
__noinline int cut_piece(struct __sk_buff *ctx, struct pkt *p, __u32 nr)
{
	struct workbench *bench = workbench();
	__u32 header, at, len, room, word;
	struct ip4_header *ip;

	if (!p || !bench)
		return -1;
	room = CUT_ROOM(p->mtu, p->l4 - ETH_HLEN);
	at = nr * room;
	if (at >= p->payload)
		return 0;
	len = p->payload - at;
	word = (p->cut_word & (IP4_MORE | IP4_OFFSET)) + at / 8;
	if (len > room) {
		len = room;
		word |= IP4_MORE;
	}
	header = nr ? 20 : p->l4 - ETH_HLEN;
	ip = (void *)bench->bytes + FRAME_AT + ETH_HLEN;
	ip->version_ihl = 0x40 | header / 4;
	ip->total = be16(header + len);
	ip->fragment = be16(word);
	ip->check = 0;
	header = masked(header - 1, 63) + 1;
	ip->check = ~fold(sum_more(0, ip, header));
	at = masked(at, 16383);
	len = masked(len - 1, 8191) + 1;
	if (ctx_resize(ctx, HOOK_TC, ETH_HLEN + header + len) ||
	    ctx_store(ctx, HOOK_TC, 0, bench->bytes + FRAME_AT, ETH_HLEN + header) ||
	    ctx_store(ctx, HOOK_TC, ETH_HLEN + header, bench->bytes + CUT_AT + at, len))
		return -1;
	return 1;
}

#endif
