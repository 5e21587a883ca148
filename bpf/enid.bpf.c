/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entry programs: the only ones who know the return codes of their hook, and which direction it is.
 *   tc_rx, xdp_rx  received on the device of a port or uplink
 *   tc_rx_raw      the same on a device whose packets have no Ethernet header (xfrm, vti, WireGuard, GRE, tun)
 *   tc_tx          about to be sent out of a port's device: nothing reaches an ENI unjudged, whoever sends it
 *   start_sweeper  run once by the agent: arms the ageing timer */
#include "pipeline.h"
#include "act.h"
#include "sweep.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("tc")
int tc_rx(struct __sk_buff *ctx)
{
	struct pkt *p = receive(ctx, HOOK_TC, 0);

	return p ? tc_act(ctx, p) : TC_ACT_SHOT;
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
	struct pkt *p = replay || add_header(ctx) ? NULL : receive(ctx, HOOK_TC, 0);

	return p ? tc_act(ctx, p) : TC_ACT_SHOT;
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

static __always_inline int drop_forwarded(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct pkt *p = bpf_map_lookup_elem(&scratch, &zero);

	if (p) {
		p->in = device_port(ctx->ifindex) | IN_TX;
		p->segments = 1;
		p->bytes = ctx->len;
		count_drop(p, REASON_HOST_FORWARD);
	}
	return TC_ACT_SHOT;
}

SEC("tc")
int tc_tx(struct __sk_buff *ctx)
{
	struct pkt *p;

	if (!replay && handed_over(ctx))
		return TC_ACT_OK;
	if (forwarded_by_host(ctx))
		return drop_forwarded(ctx);
	p = receive(ctx, HOOK_TC, IN_TX);
	return p ? tc_guard_act(ctx, p) : TC_ACT_SHOT;
}

SEC("xdp")
int xdp_rx(struct xdp_md *ctx)
{
	struct pkt *p = receive(ctx, HOOK_XDP, 0);

	return p ? xdp_act(ctx, p) : XDP_DROP;
}

SEC("tc")
int start_sweeper(struct __sk_buff *ctx)
{
	return sweeper_start();
}
