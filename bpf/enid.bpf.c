/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entry programs: the only ones who know the return codes of their hook, and which direction it is.
 *   tc_rx, xdp_rx  received on the device of a port or uplink
 *   tc_rx_raw      the same on a device whose packets have no Ethernet header (xfrm, vti, WireGuard, GRE, tun)
 *   tc_tx          about to be sent out of a port's device: nothing reaches an ENI unjudged, whoever sends it
 *   start_sweeper  run once by the agent: arms the ageing timer */
#include "pipeline.h"
#include "act.h"
#include "sweep.h"
#include "watch.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("tc")
int tc_rx(struct __sk_buff *ctx)
{
	struct pkt *p;
	int code;

	if (watching())
		watch_came(ctx, CAPTURED_RX);
	p = receive(ctx, HOOK_TC, 0);
	code = p ? tc_act(ctx, p) : TC_ACT_SHOT;
	if (watching())
		watch_judged(ctx, CAPTURED_RX, code);
	return code;
}

/* Everything behind this knows frames only, so the packet gets a header. Sent out of such a device it loses it again.
 */
static __always_inline int add_header(struct __sk_buff *ctx)
{
	struct eth_header eth = {.ethertype = ctx->protocol};

	__builtin_memcpy(eth.dmac, control.router_mac, sizeof(eth.dmac));
	return bpf_skb_change_head(ctx, sizeof(eth), 0) || bpf_skb_store_bytes(ctx, 0, &eth, sizeof(eth), 0);
}

SEC("tc")
int tc_rx_raw(struct __sk_buff *ctx)
{
	struct pkt *p;
	int code;

	if (watching())
		watch_came(ctx, CAPTURED_RAW);
	p = replay || add_header(ctx) ? NULL : receive(ctx, HOOK_TC, 0);
	code = p ? tc_act(ctx, p) : TC_ACT_SHOT;
	if (watching())
		watch_judged(ctx, CAPTURED_RAW, code);
	return code;
}

/* Packets that another device of the host received may not be forwarded to a router-mode port by the host's stack. */
static __always_inline bool forwarded_by_host(struct __sk_buff *ctx)
{
	struct port *port;

	if (replay || !ctx->ingress_ifindex)
		return false;
	port = port_at(device_port(ctx->ifindex));
	return !port || port->slot[control.generation & 1].mode == MODE_ROUTER;
}

/* place: which packet of `scratch` may be used for it */
static __always_inline int drop_unjudged(struct __sk_buff *ctx, __u32 place, __u32 reason)
{
	struct pkt *p = bpf_map_lookup_elem(&scratch, &place);

	if (p) {
		p->in = device_port(ctx->ifindex) | IN_TX;
		p->segments = 1;
		p->bytes = ctx->len;
		p->reason = reason;
		count_drop(p, reason);
	}
	return TC_ACT_SHOT;
}

SEC("tc")
int tc_tx(struct __sk_buff *ctx)
{
	struct pkt *p;
	int code;

	if (!replay && handed_over(ctx))
		return TC_ACT_OK; /* captured where it was judged */
	if (!replay && is_mirrored(ctx))
		return tc_send_copy(ctx);
	if (!replay && in_a_copy())
		return drop_unjudged(ctx, 1, REASON_NOT_SERVED);
	if (watching())
		watch_came(ctx, CAPTURED_TX);
	if (forwarded_by_host(ctx)) {
		code = drop_unjudged(ctx, 0, REASON_HOST_FORWARD);
	} else {
		p = receive(ctx, HOOK_TC, IN_TX);
		code = p ? tc_guard_act(ctx, p) : TC_ACT_SHOT;
	}
	if (watching())
		watch_judged(ctx, CAPTURED_TX, code);
	return code;
}

SEC("xdp")
int xdp_rx(struct xdp_md *ctx)
{
	struct pkt *p;
	int code;

	if (watching())
		watch_came_xdp();
	p = receive(ctx, HOOK_XDP, 0);
	code = p ? xdp_act(ctx, p) : XDP_DROP;
	if (watching() && code == XDP_DROP)
		watch_dropped_xdp(ctx, code);
	return code;
}

SEC("tc")
int start_sweeper(struct __sk_buff *ctx)
{
	return sweeper_start();
}

/* mark: the number of the record */
SEC("tc")
int carry_record(struct __sk_buff *ctx)
{
	return record_carried(ctx->mark);
}

/* mark: the port; priority: session << 16 | reason */
SEC("tc")
int forget_mirror(struct __sk_buff *ctx)
{
	return mirror_forgotten(ctx->mark, ctx->priority >> 16, ctx->priority & 0xffff);
}
