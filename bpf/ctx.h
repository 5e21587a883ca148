/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two hooks under one set of verbs. Everything that touches a context says which hook it is for by a constant, so
 * the compiler keeps one side only. */
#ifndef ENID_CTX_H
#define ENID_CTX_H

#include <linux/pkt_cls.h>

#include "packet.h"

#define HOOK_TC  0
#define HOOK_XDP 1

/* The agent's mark on packets that are left to the host's stack on purpose; its firewall table lets only these in. */
#define MARK_FOR_HOST 0x656e6964

/* For Linux 6.1: its verifier takes a call right before a loop's head for a back edge. */
#ifdef __bpf__
#define move_after_call(r) asm volatile("%0 = %0" : "+r"(r))
#else
#define move_after_call(r) ((void)(r))
#endif

static __always_inline long ctx_load(void *ctx, const int hook, __u32 offset, void *to, __u32 len)
{
	long r = hook == HOOK_XDP ? bpf_xdp_load_bytes(ctx, offset, to, len) : bpf_skb_load_bytes(ctx, offset, to, len);

	move_after_call(r);
	return r;
}

/* Checksums are the caller's business. */
static __always_inline long ctx_store(void *ctx, const int hook, __u32 offset, void *from, __u32 len)
{
	return hook == HOOK_XDP ? bpf_xdp_store_bytes(ctx, offset, from, len)
				: bpf_skb_store_bytes(ctx, offset, from, len, 0);
}

/* As ctx_store(), where the bytes change the sum over the whole packet that a device may have handed over. */
static __always_inline long ctx_store_summed(void *ctx, const int hook, __u32 offset, void *from, __u32 len)
{
	return hook == HOOK_XDP ? bpf_xdp_store_bytes(ctx, offset, from, len)
				: bpf_skb_store_bytes(ctx, offset, from, len, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline void *ctx_data(void *ctx, const int hook)
{
	return (void *)(long)(hook == HOOK_XDP ? ((struct xdp_md *)ctx)->data : ((struct __sk_buff *)ctx)->data);
}

static __always_inline void *ctx_data_end(void *ctx, const int hook)
{
	return (void *)(long)(hook == HOOK_XDP ? ((struct xdp_md *)ctx)->data_end
					       : ((struct __sk_buff *)ctx)->data_end);
}

/* Bytes the program can see, frags included. */
static __always_inline __u32 ctx_len(void *ctx, const int hook)
{
	return hook == HOOK_XDP ? (__u32)bpf_xdp_get_buff_len(ctx) : ((struct __sk_buff *)ctx)->len;
}

static __always_inline __u32 ctx_ifindex(void *ctx, const int hook)
{
	return hook == HOOK_XDP ? ((struct xdp_md *)ctx)->ingress_ifindex : ((struct __sk_buff *)ctx)->ifindex;
}

static __always_inline long ctx_resize(void *ctx, const int hook, __u32 len)
{
	if (hook == HOOK_XDP)
		return bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx));
	return bpf_skb_change_tail(ctx, len, 0);
}

#endif
