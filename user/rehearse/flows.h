/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which live flows a state would cut: the next packet of every flow, in both directions, goes through the real
 * programs, on a private copy of the maps: once as they are, and once after the state was applied there.
 *
 * Invariants
 *  L1  A flow is cut if a packet of it passes now and is dropped then. What is dropped already is not the state's
 * doing. L2  Each question finds the records as they were: what the one before did to them is undone.
 */
#ifndef ENID_REHEARSE_FLOWS_H
#define ENID_REHEARSE_FLOWS_H

#include <jansson.h>

#include "datapath/datapath.h"
#include "show/view.h"

struct live_flows;

/* Ask before the state is applied. `copied`: datapath_copy(). ret: 0 | -errno */
int live_flows_ask(struct datapath *copied, struct live_flows **ret);

/* Ask again, after it was applied to `copied`; `view` names the flows. *ret: {"live", "not_asked", "cut": [..],
 * "moved": [..]}; a flow that leaves by another port, or by another address, is moved. ret: 0 | -errno */
int live_flows_compare(struct live_flows *flows, const struct view *view, json_t **ret);

void live_flows_free(struct live_flows **flows);

#endif
