/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generator on real wires and its programs share. */
#ifndef ENID_BENCH_WIRES_H
#define ENID_BENCH_WIRES_H

#include <linux/types.h>

#define WIRES_FRAME    64
#define WIRES_SCRAMBLE 0x9e3779b1u

struct wires_plan {
	__u64 frame[WIRES_FRAME / 8];
	__u32 step;  /* of the next packet */
	__u32 flows; /* number of flows, a power of two; 0 = each packet is of a flow of its own */
	__u32 reply; /* 1 = the ports change places */
	__u32 dport; /* of the first 32,768 flows */
	__u32 drop;  /* 1 = what the generator itself costs */
	__u32 exit;  /* bare(): where to */
};

/* Where an address is, for the smallest program that forwards. */
struct wires_way {
	__u8 to[6], from[6]; /* MACs */
	__u32 exit;
};

#endif
