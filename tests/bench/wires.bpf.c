/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets on real wires: a generator whose frames enter the stack as if a device had received them, a sink that counts,
 * and the least that can bring a packet from one port to another. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "wires.h"

struct wires_plan plan = {};
__u64 arrived = 0; /* one CPU runs it all */

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u64 *to = data;
	__be16 *ports, near, far;
	__u32 flow;

	if (data + WIRES_FRAME > (void *)(long)ctx->data_end)
		return XDP_DROP;
#pragma unroll
	for (int i = 0; i < WIRES_FRAME / 8; i++)
		to[i] = plan.frame[i]; /* pages come back as the last packet left them */
	flow = plan.flows ? plan.step++ * WIRES_SCRAMBLE & (plan.flows - 1) : plan.step++;
	ports = data + 34;
	near = bpf_htons(1024 + (flow & 0x7fff));
	far = bpf_htons(plan.dport + (flow >> 15));
	ports[0] = plan.reply ? far : near;
	ports[1] = plan.reply ? near : far;
	return plan.drop ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int sink(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u16 *type = data + 12;

	if (data + 14 > (void *)(long)ctx->data_end || *type != bpf_htons(0x0800))
		return TC_ACT_OK;
	arrived++;
	return TC_ACT_SHOT;
}

SEC("tc")
int bare(struct __sk_buff *ctx)
{
	return (int)bpf_redirect_peer(plan.exit, 0);
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct wires_way);
} ways SEC(".maps");

/* The least that forwards: by the packet's destination, with the MACs of the next link. No state, no rule. */
SEC("tc")
int routed(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct wires_way *way;
	__u32 *words = data;
	__u16 *type = data + 12;
	__be32 to;

	if (data + 34 > (void *)(long)ctx->data_end || *type != bpf_htons(0x0800))
		return TC_ACT_SHOT;
	to = *(__be32 *)(data + 30);
	way = bpf_map_lookup_elem(&ways, &to);
	if (!way)
		return TC_ACT_SHOT;
#pragma unroll
	for (int i = 0; i < 3; i++)
		words[i] = ((__u32 *)way)[i];
	return (int)bpf_redirect_peer(way->exit, 0);
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
