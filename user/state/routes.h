/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One element of RouteTables[].Routes. */
#ifndef ENID_STATE_ROUTES_H
#define ENID_STATE_ROUTES_H

#include "state/load.h"

/* of_gateway: the table governs what enters through a gateway (RT-19).
 * ret: whether there is a route; false = refused (the error is noted) or ignored */
bool parse_route(struct load *load, struct item *item, size_t index, const json_t *json,
		 const struct route_table *table, bool of_gateway, struct vpc_route *ret);

#endif
