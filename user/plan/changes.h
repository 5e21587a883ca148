/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a plan needs of each map: the entries that come, change and go, and how full the map is on the way.
 *
 * Numbers are of distinct keys; what stands twice, or is written before and after the flip, counts once. In arrays,
 * whose elements are always there, one that means nothing in the old state comes, one that means nothing in the new one
 * goes.
 */
#ifndef ENID_PLAN_CHANGES_H
#define ENID_PLAN_CHANGES_H

#include "plan/plan.h"

#define PLAN_MAPS(X) \
	X(POLICY, "policy") \
	X(TABLES, "tables") \
	X(ROUTES4, "routes4") \
	X(ROUTES6, "routes6") \
	X(PORTS, "ports") \
	X(PORT_NAMES, "port_names") \
	X(SUBNETS, "subnets") \
	X(SUBNET_NAMES, "subnet_names") \
	X(GATEWAYS, "gateways") \
	X(ADDRESSES, "addresses") \
	X(ASSOCIATIONS, "associations") \
	X(MACS, "macs") \
	X(CONTROL, "control")

enum plan_map {
#define X(symbol, name) MAP_##symbol,
	PLAN_MAPS(X)
#undef X
		PLAN_MAP_MAX
};

extern const char *const plan_map_names[PLAN_MAP_MAX];

/* Map policy counts lines, of objects that are the same in both states none. */
struct map_change {
	uint32_t added, updated, deleted;
	uint64_t before, most, after; /* entries in use; most: while old and new stand together */
	uint64_t max;
};

/* `current`: what the plan was made from, before it is committed. */
void plan_changes(const struct plan *plan, const struct placement *current, struct map_change ret[PLAN_MAP_MAX]);

/* How full the maps are: before and max only. */
void plan_use(const struct placement *current, struct map_change ret[PLAN_MAP_MAX]);

#endif
