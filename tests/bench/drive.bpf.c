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

/* Written in pieces that hold each field whole: what is read next is found in the store buffer. A load that met two
 * stores there would wait for both, which no packet from a device has to. */
#define COPY(type, at) (*(type *)(data + (at)) = *(type *)((void *)plan.headers + (at)))

SEC("tc")
int drive(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	__be16 near, far;
	__u32 flow;

	if (data + DRIVE_HEADERS > (void *)(long)ctx->data_end)
		return TC_ACT_SHOT;
	flow = (plan.step++ * plan.scramble) & plan.mask;
	near = bpf_htons(DRIVE_SPORT(flow));
	far = bpf_htons(plan.dport_first + (flow >> 15));
	COPY(__u64, 0);
	COPY(__u32, 8);
	COPY(__u16, 12);
	COPY(__u64, 14);
	COPY(__u32, 22);
	COPY(__u64, 26);
	if (plan.daddr_first) {
		__u32 offset = (flow * plan.daddr_scramble) & plan.daddr_mask;

		__be32 address = bpf_htonl(plan.daddr_first + offset + (offset & plan.daddr_gap));

		if (plan.vary_source)
			*(__be32 *)(data + 26) = address;
		else
			*(__be32 *)(data + 30) = address;
	}
	*(__u32 *)(data + 34) = plan.reply ? far | near << 16 : near | far << 16;
	COPY(__u64, 38);
	COPY(__u64, 46);
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
