/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who saw the packets of a record's half on their way: the ENI that sent them, the gateways' own ENIs (FL-22 to FL-24)
 * and the ENI that got them. Each sees them once or twice, each time with the addresses that they have there. */
#ifndef ENID_FLOWLOG_VANTAGE_H
#define ENID_FLOWLOG_VANTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "enid/flow.h"
#include "flowlog/enis.h"

#define SIGHTS_MAX 24

/* A line in the making. */
struct sight {
	uint32_t port;
	bool egress;
	uint8_t path;            /* FL-14; 0 = none */
	uint16_t pair, from, to; /* at a transit gateway: as in struct window_key */
	struct tuple tuple;
};

/* A copy of what decided, and of what a gateway remembers. */
struct way {
	uint32_t trace[2][HALF_TRACE_MAX];
	struct gate_mapping mapping;
	uint32_t tgw[2]; /* number of the transit gateway that routed first (log_transit.tgw); 0 = not known */
};

/* ret: how many of ret[] are filled, in the order in which the packets pass */
int vantage_sights(const struct log_enis *enis, const struct flow_record *record, const struct way *way, int side,
		   struct sight ret[SIGHTS_MAX]);

#endif
