/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands beside the records: limbo, sides and traces (I7, I8 of enid/flow.h). */
#ifndef ENID_DATAPATH_BESIDE_H
#define ENID_DATAPATH_BESIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enid/flow.h"

struct beside {
	const struct limbo *limbo; /* NULL = nobody knows more than the records */
	const struct trace *traces;
	struct side *sides;
	uint32_t nr_sides;
};

/* The side of record number `index`, of which `record` may be a copy; NULL = it has none. */
static inline struct side *beside_side(const struct beside *beside, const struct flow_record *record, uint32_t index)
{
	for (uint32_t step = 0; record->half[0].shared & RECORD_SIDE && beside->nr_sides && step < SIDE_PLACES;
	     step++) {
		struct side *side = &beside->sides[side_place(index, step, beside->nr_sides)];

		if (__atomic_load_n(&side->owner, __ATOMIC_ACQUIRE) == index + 1)
			return side;
	}
	return NULL;
}

/* HALF_TRACE_MAX decisions of a half, 0 = no more. */
static inline const uint32_t *beside_trace(const struct beside *beside, uint32_t index, int half)
{
	static const uint32_t none[HALF_TRACE_MAX];
	uint32_t number = beside->limbo ? __atomic_load_n(&beside->limbo[index].trace[half], __ATOMIC_RELAXED) : 0;

	return number && number <= TRACES && beside->traces ? beside->traces[number - 1].decisions : none;
}

struct datapath;
struct image;

struct beside datapath_beside(const struct datapath *datapath);
/* NULL = there is no room */
struct side *side_claim(struct datapath *datapath, uint32_t index);
/* With its record, which is ours and about to be FREE. */
void side_drop(struct datapath *datapath, uint32_t index);
/* May flows of this image need more sides than there are? */
bool datapath_short_of_sides(const struct datapath *datapath, const struct image *image);
/* Free the traces that no record refers to, if few are free. ret: how many */
size_t traces_tidy(struct datapath *datapath);

#endif
