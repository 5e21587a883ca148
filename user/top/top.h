/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is busy: what the flow records counted between two looks, by ENI, flow and rule, and what was dropped. Looks
 * only; no agent is needed. */
#ifndef ENID_TOP_TOP_H
#define ENID_TOP_TOP_H

#include <jansson.h>

#include "show/view.h"

/* One look at all records. */
struct look {
	uint64_t at_ns;
	uint32_t nr;
	struct mark *marks; /* by record */
	json_t *drops;
};

/* ret: 0 | -ENOMEM */
int look_take(const struct view *view, struct look *ret);
void look_done(struct look *look);

/* {"seconds", "records": {"live", "max"}, "enis": [..], "flows": [..], "rules": [..], "drops": [..]}, the busiest
 * `rows` of each, those with most bytes (rules and drops: packets) first. A flow that ended between the looks is not in
 * it. */
int top_between(const struct view *view, const struct look *before, const struct look *now, size_t rows, json_t **ret);

#endif
