/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs tell to `enid capture` (bpf/watch.h): packets as they came to a port or left for it, and the
 * verdict on them. */
#ifndef ENID_CAPTURE_H
#define ENID_CAPTURE_H

#include "enid/report.h"

/* A packet that came in is told twice: as it is before it is judged, which is the last chance to see it unchanged, and
 * the verdict behind it, without bytes. Both bear the same number, and the CPU's events are in order. */
enum captured_kind {
	CAPTURED_FRAME = 1, /* the bytes; its verdict follows, unless it got lost */
	CAPTURED_VERDICT,   /* the verdict on the frame of this number */
	CAPTURED_WHOLE,     /* bytes and verdict */
};

enum captured_hook { CAPTURED_RX, CAPTURED_TX, CAPTURED_RAW, CAPTURED_XDP, CAPTURED_HOOKS };

/* A perf event; the bytes follow. */
struct captured {
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u32 kind;  /* enum captured_kind */
	__u32 hook;  /* enum captured_hook */
	__u32 number;
	__u32 port;                /* on whose interface it is shown */
	__u32 outbound;            /* 1 = on its way out of the port's device, toward the guest */
	__u32 len;                 /* of the packet there */
	__u32 bytes;               /* of it that follow */
	__u16 vlan_tpid, vlan_tci; /* of a tag beside the frame; tpid 0 = none. Network and host order */
	/* the verdict */
	__s32 code;       /* what the program returned to the kernel */
	__u32 action;     /* enum enid_action */
	__u32 reason;     /* enum enid_reason */
	__u32 in;         /* port | IN_TX: where it came in */
	__u32 exit;       /* port */
	__u32 segments;   /* packets on the wire */
	__u32 hit;        /* 1 = a kept decision answered */
	__u32 record;     /* number + 1, 0 = none */
	__u32 generation; /* of the record */
	__u32 nr_trace;
	__u32 trace[TRACE_MAX];
	__u32 zero;
};
_Static_assert(sizeof(struct captured) % 8 == 0, "no padding at the end");

/* Map `capture_ports`, by port number: whose packets are asked for. */
struct capture_port {
	__u64 packets; /* told */
	__u64 lost;    /* found no room in the ring */
	__u32 bytes;   /* of each packet, at the most */
	__u32 zero;
};

/* control.watch while somebody captures; less: so many packets found no ring on their CPU. */
#define CAPTURE_PATIENCE 8192

#define CAPTURE_BYTES_MAX 60000 /* of a packet: a perf event has no more */

#endif
