/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the benchmark's BPF programs and its harness share. */
#ifndef ENID_BENCH_REF_H
#define ENID_BENCH_REF_H

#include <linux/types.h>

#define REF_FLOWS_MAX 1310720
#define DRIVE_HEADERS 54 /* Ethernet, IPv4 and TCP without options */

struct ref_key {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 zero[3];
};

struct ref_flow {
	__u64 packets;
	__u64 bytes;
	__u32 ifindex;
	__u32 zero[11];
};

_Static_assert(sizeof(struct ref_key) == 16 && sizeof(struct ref_flow) == 64, "as in the metric's name");

/* What drive() writes into the packet before each run. */
struct drive_plan {
	__u16 headers[DRIVE_HEADERS / 2];
	__u16 reply;       /* 1 = swap the ports: the packet answers */
	__u32 dport_first; /* destination port of the first 32768 flows */
	__u32 step;        /* of the next packet; grows by one a packet */
	__u32 scramble;    /* odd: flow = step * scramble & mask, so that neighbours in time are none in memory */
	__u32 mask;        /* flows - 1, a power of two less one */
	__u32 daddr_first; /* 0 = as in headers; else destinations vary with the flow, from this address on */
	__u32 vary_source; /* 1 = it is sources that vary so */
	__u32 daddr_scramble;
	__u32 daddr_mask;
	__u32 daddr_gap; /* bits of the offset that count twice: a gap after each 2^n addresses */
};

/* Source port of flow n; destination ports begin at plan.dport_first. Rules admit ports from DRIVE_PORT_FIRST on. */
#define DRIVE_PORT_FIRST 1024
#define DRIVE_SPORT(n)   (DRIVE_PORT_FIRST + ((n)&0x7fff))

#endif
