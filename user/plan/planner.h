/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What plan.c, numbers.c and gateways.c share. */
#ifndef ENID_PLAN_PLANNER_H
#define ENID_PLAN_PLANNER_H

#include "plan/plan.h"

/* What the parts of plan_make() share. */
struct planner {
	const struct placement *current;
	const struct image *image;
	struct plan *plan;
	uint32_t *lines;                /* by index in image.objects */
	uint32_t *tables;               /* number, by index in image.tables */
	uint32_t *subnets;              /* number, by index in image.subnets */
	uint32_t *gateways;             /* number, by index in image.gateways */
	bool same_shape;                /* as `current`: numbers and entries stay */
	bool few;                       /* ... and of the ports only those of image.touched can differ */
	size_t next_object, next_table; /* where in `current` the next one that is looked for most likely is */
	char **ret_why;
};

/* ret: 0 | -ENOSPC | -ENOMEM */
int plan_number_ports(struct planner *planner);
int plan_number_subnets(struct planner *planner);
int plan_number_gateways(struct planner *planner);
int plan_compare_gateways(struct planner *planner);

#endif
