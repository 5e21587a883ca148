/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The reference of the benchmark: the smallest program that does what any stateful forwarder must do for an established
 * packet. Parse Ethernet, IPv4 and the ports; one look-up in a HASH (key 16 bytes, value 64); count; redirect. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ref.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REF_FLOWS_MAX);
	__type(key, struct ref_key);
	__type(value, struct ref_flow);
} flows SEC(".maps");

SEC("tc")
int ref(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct tcphdr *tcp = data + sizeof(*eth) + sizeof(*ip);
	struct ref_key key = {};
	struct ref_flow *flow;

	if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_TCP)
		return TC_ACT_SHOT;
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.sport = tcp->source;
	key.dport = tcp->dest;
	key.proto = ip->protocol;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return TC_ACT_SHOT;
	flow->packets++;
	flow->bytes += bpf_ntohs(ip->tot_len);
	return (int)bpf_redirect(flow->ifindex, 0);
}

SEC("tc")
int ref_learn(struct __sk_buff *ctx) /* enters the packet's flow, for the set-up */
{
	void *data = (void *)(long)ctx->data;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct tcphdr *tcp = data + sizeof(struct ethhdr) + sizeof(*ip);
	struct ref_flow flow = {.ifindex = ctx->ifindex};
	struct ref_key key = {};

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return TC_ACT_SHOT;
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.sport = tcp->source;
	key.dport = tcp->dest;
	key.proto = ip->protocol;
	return bpf_map_update_elem(&flows, &key, &flow, BPF_ANY) ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
