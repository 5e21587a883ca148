/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet that a live flow would carry next, in one direction: what is asked of the programs. */
#ifndef ENID_PROBE_H
#define ENID_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enid/flow.h"
#include "enid/port.h"

#define PROBE_MAX 86 /* Ethernet, IPv6, and a TCP header with room */

/* One direction of a flow, as it was when the question came up. */
struct probe {
	struct tuple tuple;
	uint32_t in; /* 0 = this direction has no name, and so no packets of its own */
	uint8_t dmac[6];
	uint8_t flags; /* of TCP */
};

/* `which`: the half. */
struct probe probe_of(const struct flow_record *record, int which);

/* `port`: policy of the port it arrives at. ret: length of the frame */
size_t probe_frame(const struct probe *probe, const struct port_policy *port, const uint8_t router_mac[6],
		   uint8_t frame[PROBE_MAX]);

#endif
