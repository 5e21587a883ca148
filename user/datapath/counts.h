/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of another set counted, for ours (takeover.c). Inside datapath/ only. */
#ifndef ENID_COUNTS_H
#define ENID_COUNTS_H

#include <stdint.h>

#include "datapath/internal.h"

/* Of ports and gateways, not of flows. */
struct counts {
	struct control control;
	struct port_stats ports[PORTS_MAX];
	struct nat_stats nats[PORTS_MAX];
};

/* Add what was counted between `before` and `now`, under our programs. */
void counts_since(struct datapath *datapath, const struct counts *now, const struct counts *before);

/* Of a map that cannot be shared. What is not there for an entry of the old one, is not counted any more.
 * *ret_before: NULL, or an array's values, to be freed. ret: 0 | -errno */
int counts_copy(int from, int to, void **ret_before);

/* What the old programs counted between copy and switch. Ours count there already: what they add between our reading
 * and writing of one sum, a microsecond, is lost; so only sums that changed are touched. ret: 0 | -errno */
int counts_add(int from, int to, const uint8_t *before);

#endif
