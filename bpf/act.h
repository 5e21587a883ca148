/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Carry out a verdict: rewrite, set the MACs, send the packet on its way. The only file besides the entries that knows
 * what hooks return. */
#ifndef ENID_ACT_H
#define ENID_ACT_H

#include <linux/if_packet.h>

#include "account.h"
#include "clamp.h"
#include "cut.h"
#include "geneve.h"
#include "mirror.h"
#include "owner.h"
#include "translate.h"

/* A packet that this program sends out of a port's device by bpf_redirect meets the port's own egress guard. It carries
 * a fresh mark that the guard compares with what this CPU noted; the redirect runs on the same CPU before anything else
 * can, and the note serves once. Nobody else can know the mark: it comes from a secret and is wiped before the packet
 * leaves. */
struct handover {
	__u32 mark;
	__u32 ifindex;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handover);
} handover SEC(".maps");

static __always_inline void hand_over(struct __sk_buff *ctx, __u32 ifindex)
{
	__u32 zero = 0;
	struct handover *note = bpf_map_lookup_elem(&handover, &zero);

	if (!note)
		return;
	note->mark = (__u32)(++note->count * (control.secrets[6] | 1) >> 16) | 1;
	note->ifindex = ifindex;
	ctx->mark = note->mark;
}

static __always_inline bool handed_over(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct handover *note = bpf_map_lookup_elem(&handover, &zero);
	bool ours;

	if (!note)
		return false;
	ours = note->mark && note->mark == ctx->mark && note->ifindex == ctx->ifindex;
	note->mark = 0;
	if (ours)
		ctx->mark = 0;
	return ours;
}

/* Destination: the ENI's MAC; source: smac, unless the sender's stays. Three whole words, as the next device's program
 * will read them (take_macs()). ret: 0, -1 = frame too short to write */
static __always_inline int set_macs(void *ctx, const int hook, const void *dmac, const void *smac, bool keep)
{
	struct eth_header *eth = ctx_data(ctx, hook);
	const __u16 *to = dmac, *from = smac;
	__u32 *words = (__u32 *)eth;
	__u16 first;

	if ((void *)(eth + 1) > ctx_data_end(ctx, hook))
		return -1;
	first = keep ? *(const __u16 *)eth->smac : from[0];
	words[0] = *(const __u32 *)dmac;
	words[1] = HALVES_OF(to[2], first);
	if (!keep)
		words[2] = HALVES_OF(from[1], from[2]);
	return 0;
}

static __always_inline int tc_send(struct __sk_buff *ctx, const struct port *port, bool peer)
{
	if (peer) {
		if (ctx->pkt_type != PACKET_HOST)
			bpf_skb_change_type(ctx, PACKET_HOST);
		return bpf_redirect_peer(port->ifindex, 0);
	}
	hand_over(ctx, port->ifindex);
	return bpf_redirect(port->ifindex, 0);
}

static __always_inline int drop_late(struct pkt *p, __u32 reason)
{
	p->action = ACTION_DROP;
	p->reason = reason;
	count_drop(p, reason);
	return TC_ACT_SHOT;
}

/* Of what bpf_clone_redirect() returns, the one above 0 that is a loss: NET_XMIT_DROP, NET_RX_DROP. */
#define NET_LOST 1

/* turn: by the uplink's ingress once more. ret: true = it is lost */
__noinline int tc_leave_piece(struct __sk_buff *ctx, __u32 ifindex, __u32 turn)
{
	long sent;

	if (turn)
		ctx->mark = cut_mark();
	else
		hand_over(ctx, ifindex);
	sent = bpf_clone_redirect(ctx, ifindex, turn ? BPF_F_INGRESS : 0);
	return sent < 0 || sent == NET_LOST;
}

/* A packet in pieces. Each needs the neighbour of an uplink, which only a packet at a hook can ask for: so they come
 * in by the uplink once more, with a mark that nobody else knows (cut_returns). */
__noinline int tc_deliver_pieces(struct __sk_buff *ctx, struct pkt *p)
{
	struct port *port = p ? port_at(p->exit) : NULL;
	bool turn, lost = false;
	int more;

	if (!port)
		return TC_ACT_SHOT;
	if (!port->ifindex || port->deliver == DELIVER_NOT)
		return drop_late(p, REASON_NO_OWNER);
	if (cut_take(ctx, p))
		return drop_late(p, REASON_MTU);
	turn = port->deliver == DELIVER_NEIGH;
	for (__u32 i = 0; i < CUT_PIECES_MAX; i++) {
		more = cut_piece(ctx, p, i);
		lost = more < 0;
		if (more <= 0)
			break;
		lost = tc_leave_piece(ctx, port->ifindex, turn);
		if (lost)
			break;
	}
	ctx->mark = 0;
	if (lost) /* a datagram without all its pieces is none: the rest would be sent for nothing */
		return drop_late(p, REASON_MTU);
	return TC_ACT_SHOT; /* the packet itself is no longer needed */
}

static __always_inline int tc_deliver(struct __sk_buff *ctx, struct pkt *p)
{
	struct port *port = port_at(p->exit);
	struct port_policy *e;

	if (!port)
		return TC_ACT_SHOT;
	e = &port->slot[p->parity & 1];
	if (p->flags & (HALF_REWRITE | HALF_MIRROR) || p->kind == KIND_ERROR) {
		mirror_sent(ctx, HOOK_TC, p);
		if (p->flags & HALF_REWRITE || p->kind == KIND_ERROR)
			if (unlikely(p->flags & HALF_NAT64) ? tc_translate(ctx, p) : rewrite(ctx, HOOK_TC, p))
				return drop_late(p, REASON_NO_OWNER);
	}
	clamp(ctx, HOOK_TC, p);
	if (p->action == ACTION_UPLINK) {
		__u8 nobody[8] = {};

		if (e->gateway == ROUTE_GWLBE && tc_wrap(ctx, p))
			return drop_late(p, REASON_NO_OWNER);
		if (replay)
			return set_macs(ctx, HOOK_TC, nobody, e->mac, false) ? TC_ACT_SHOT : TC_ACT_OK;
		if (unlikely(p->flags & PACKET_CUT))
			return tc_deliver_pieces(ctx, p);
		if (port->deliver == DELIVER_NEIGH)
			return bpf_redirect_neigh(port->ifindex, NULL, 0, 0);
		if (port->deliver == DELIVER_REDIRECT)
			return bpf_redirect(port->ifindex, 0); /* no Ethernet header, no neighbours, no egress guard */
	} else {
		if (set_macs(ctx, HOOK_TC, e->mac, control.router_mac, p->flags & HALF_KEEP_SMAC))
			return TC_ACT_SHOT;
	}
	if (replay) {
		mirror_given(ctx, HOOK_TC, p);
		return TC_ACT_OK;
	}
	if (!port->ifindex || port->deliver == DELIVER_NOT)
		return drop_late(p, REASON_NO_OWNER);
	if (unlikely(p->flags & (PACKET_CUT | HALF_MIRROR))) {
		mirror_given(ctx, HOOK_TC, p);
		if (p->flags & PACKET_CUT)
			return tc_deliver_pieces(ctx, p);
	}
	return tc_send(ctx, port, port->deliver == DELIVER_PEER);
}

#define FIB_NOT_FORWARDED 4 /* BPF_FIB_LKUP_RET_NOT_FWDED: local, broadcast or multicast */
#define FIB_FORWARDS_NOT  5 /* BPF_FIB_LKUP_RET_FWD_DISABLED: asked before the address is looked at */

/* Is the packet's destination the host itself, or nobody, since the host forwards nothing from this device? Broadcast
 * and multicast (DHCP) never are forwarded. */
__noinline int host_address(struct __sk_buff *ctx, struct pkt *p)
{
	struct bpf_fib_lookup fib = {};
	long answer;

	if (!p)
		return false;
	if (p->tuple.family == 4 && p->tuple.daddr.ip4 == 0xffffffff)
		return true;
	if (p->tuple.family == 6 && p->tuple.daddr.bytes[0] == 0xff)
		return true;
	fib.family = p->tuple.family == 4 ? 2 : 10;
	fib.l4_protocol = p->tuple.proto;
	fib.ifindex = ctx->ifindex;
	if (p->tuple.family == 4) {
		fib.ipv4_src = p->tuple.saddr.ip4;
		fib.ipv4_dst = p->tuple.daddr.ip4;
	} else {
		__builtin_memcpy(fib.ipv6_src, p->tuple.saddr.w, 16);
		__builtin_memcpy(fib.ipv6_dst, p->tuple.daddr.w, 16);
	}
	answer = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return answer == FIB_NOT_FORWARDED || answer == FIB_FORWARDS_NOT;
}

/* To the host's own stack. In router mode only what is for the host itself: its forwarding must never see a port's
 * packets. */
static __always_inline int tc_pass(struct __sk_buff *ctx, struct pkt *p)
{
	struct port_policy *e = policy_of(p, IN_PORT(p->in));

	if (!e)
		return TC_ACT_SHOT; /* unknown is never "pass" */
	if (unlikely(p->flags & HALF_MIRROR))
		tc_mirror_passing(ctx, p);
	if (e->mode == MODE_GUARD || replay)
		return TC_ACT_OK;
	if (e->kind == PORT_UPLINK)
		return TC_ACT_OK; /* ARP and ND only */
	if (!host_address(ctx, p))
		return drop_late(p, REASON_NOT_SERVED);
	if (ctx->pkt_type == PACKET_OTHERHOST)
		bpf_skb_change_type(ctx, PACKET_HOST);
	ctx->mark = MARK_FOR_HOST;
	return TC_ACT_OK;
}

static __always_inline int tc_act(struct __sk_buff *ctx, struct pkt *p)
{
	switch (p->action) {
	case ACTION_DELIVER:
	case ACTION_UPLINK:
		return tc_deliver(ctx, p);
	case ACTION_PASS:
		return tc_pass(ctx, p);
	case ACTION_REPLY:
		hand_over(ctx, ctx->ifindex);
		return bpf_redirect(ctx->ifindex, 0);
	}
	return TC_ACT_SHOT;
}

/* A clone that tc_mirror_clone() sent here to become a copy: it goes where the copy was judged to go. */
static __always_inline bool is_mirrored(struct __sk_buff *ctx)
{
	struct mirror_copy *c = ctx->mark ? copy_at_hand() : NULL;

	return c && c->mark && c->mark == ctx->mark && c->ifindex == ctx->ifindex;
}

/* Is a clone on its way? A copy that leaves by a bridge, or an ARP request for its next hop, comes to the bridge's
 * other ports at once, while the packet that was copied waits for its verdict in `scratch`. */
static __always_inline bool in_a_copy(void)
{
	struct mirror_copy *c = copy_at_hand();

	return c && c->mark;
}

static __always_inline int tc_send_copy(struct __sk_buff *ctx)
{
	struct port *port;

	ctx->mark = 0;
	port = port_at(mirror_make(ctx));
	if (!port || !port->ifindex)
		return TC_ACT_SHOT;
	if (port->deliver == DELIVER_NEIGH)
		return bpf_redirect_neigh(port->ifindex, NULL, 0, 0);
	if (port->slot[control.generation & 1].kind != PORT_UPLINK)
		hand_over(ctx, port->ifindex);
	return bpf_redirect(port->ifindex, 0);
}

/* The egress guard: what it lets through goes out as it is. */
static __always_inline int tc_guard_act(struct __sk_buff *ctx, struct pkt *p)
{
	if (unlikely(p->flags & HALF_MIRROR) && p->action != ACTION_DROP)
		tc_mirror_passing(ctx, p);
	return p->action == ACTION_DELIVER || p->action == ACTION_PASS ? TC_ACT_OK : TC_ACT_SHOT;
}

/* Replay through XDP shows the frame as it would leave; on a wire XDP delivers nothing (see leave_to_tc). */
static __always_inline int xdp_deliver(struct xdp_md *ctx, struct pkt *p)
{
	struct port *port = port_at(p->exit);
	struct port_policy *e;
	__u8 nobody[8] = {};
	bool keep = p->flags & HALF_KEEP_SMAC;

	if (!port)
		return XDP_DROP;
	e = &port->slot[p->parity & 1];
	mirror_sent(ctx, HOOK_XDP, p);
	if (p->flags & HALF_REWRITE || p->kind == KIND_ERROR)
		if (unlikely(p->flags & HALF_NAT64) ? xdp_translate(ctx, p) : rewrite(ctx, HOOK_XDP, p))
			return XDP_DROP;
	clamp(ctx, HOOK_XDP, p);
	if (p->action == ACTION_UPLINK && e->gateway == ROUTE_GWLBE && xdp_wrap(ctx, p))
		return XDP_DROP;
	if (p->action == ACTION_UPLINK)
		return set_macs(ctx, HOOK_XDP, nobody, e->mac, false) ? XDP_DROP : XDP_PASS;
	if (set_macs(ctx, HOOK_XDP, e->mac, control.router_mac, keep))
		return XDP_DROP;
	mirror_given(ctx, HOOK_XDP, p);
	return XDP_PASS;
}

static __always_inline int xdp_act(struct xdp_md *ctx, struct pkt *p)
{
	if (p->action == ACTION_DROP)
		return XDP_DROP;
	if (replay && (p->action == ACTION_DELIVER || p->action == ACTION_UPLINK))
		return xdp_deliver(ctx, p);
	if (replay && p->action == ACTION_PASS && p->flags & HALF_MIRROR)
		xdp_mirror_passing(ctx, p);
	return XDP_PASS;
}

#endif
