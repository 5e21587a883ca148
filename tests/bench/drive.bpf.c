/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BPF_PROG_TEST_RUN repeats a program on one packet, which the program may have rewritten. This driver stands before
 * the program under test: it writes the headers anew, with the ports of the next flow, and tail-calls it. What the
 * driver costs is measured by itself, with nothing() behind it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ref.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

struct drive_plan plan = {};

SEC("tc")
int drive(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u16 *words = data;
	__be16 *ports = data + DRIVE_HEADERS - 20;
	__be16 near, far;
	__u32 flow;

	if (data + DRIVE_HEADERS > (void *)(long)ctx->data_end)
		return TC_ACT_SHOT;
#pragma unroll
	for (int i = 0; i < DRIVE_HEADERS / 2; i++)
		words[i] = plan.headers[i];
	flow = (plan.step++ * plan.scramble) & plan.mask;
	near = bpf_htons(DRIVE_SPORT(flow));
	far = bpf_htons(plan.dport_first + (flow >> 15));
	ports[0] = plan.reply ? far : near;
	ports[1] = plan.reply ? near : far;
	bpf_tail_call(ctx, &under_test, 0);
	return TC_ACT_SHOT;
}

SEC("tc")
int nothing(struct __sk_buff *ctx)
{
	return TC_ACT_REDIRECT;
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
