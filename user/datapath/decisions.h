/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What rule numbers stand for. The texts are copied from the image, which need not live on. */
#ifndef ENID_DECISIONS_H
#define ENID_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/plan.h"

/* The rules of one object or table: numbers base .. base + nr - 1. */
struct decision_block {
	struct content_hash hash;
	uint32_t base, nr;
	char *texts;       /* id NUL text NUL, rule after rule */
	uint32_t *offsets; /* of each rule in texts */
};

struct decisions {
	struct decision_block *blocks; /* sorted by base */
	size_t nr, room;
};

/* Know exactly the rules of `image`, where `placement` put them; what was known already is kept. */
int decisions_bind(struct decisions *decisions, const struct placement *placement, const struct image *image);
/* The same by what a plan changes, where the decisions are those of the image before. */
int decisions_change(struct decisions *decisions, const struct plan *plan, const struct image *image);
void decisions_done(struct decisions *decisions);

#endif
