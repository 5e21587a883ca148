/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From one set of programs and maps to another one, at all hooks in the same moment (E3).
 *
 * While a new build takes over from one with other maps, its hooks hold these programs. They lead to the old set until
 * one store says that the new one is in force; so no packet of a flow meets the old set at one device and the new one
 * at the next. Where they lead nowhere packets are dropped. The maps are pinned: an array of programs is emptied when
 * no pin and no process holds it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "enid/handover.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2 * HANDOVER_TC);
	__type(key, __u32);
	__type(value, __u32);
} handover_tc SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} handover_xdp SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct handover_phase);
} handover_phase SEC(".maps");

static __always_inline __u32 in_force(void)
{
	__u32 zero = 0;
	const volatile struct handover_phase *phase = bpf_map_lookup_elem(&handover_phase, &zero);

	return phase && phase->flipped ? 1 : 0;
}

SEC("tc")
int tc_rx(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &handover_tc, 2 * HANDOVER_RX + in_force());
	return TC_ACT_SHOT;
}

SEC("tc")
int tc_tx(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &handover_tc, 2 * HANDOVER_TX + in_force());
	return TC_ACT_SHOT;
}

SEC("tc")
int tc_rx_raw(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &handover_tc, 2 * HANDOVER_RAW + in_force());
	return TC_ACT_SHOT;
}

SEC("xdp")
int xdp_rx(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &handover_xdp, in_force());
	return XDP_PASS; /* the old set has none here, tc_rx judges */
}
