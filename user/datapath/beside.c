/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/beside.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "datapath/internal.h"

struct beside datapath_beside(const struct datapath *datapath)
{
	return (struct beside){.limbo = datapath->limbo.at,
			       .traces = datapath->traces.at,
			       .sides = datapath->sides.at,
			       .nr_sides = ((const struct control *)datapath->control.at)->nr_sides};
}

static void side_free(struct side *side)
{
	memset(&side->mapping, 0, sizeof(side->mapping));
	memset(side->tickets, 0, sizeof(side->tickets));
	__atomic_store_n(&side->owner, 0, __ATOMIC_RELEASE);
}

struct side *side_claim(struct datapath *datapath, uint32_t index)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct beside beside = datapath_beside(datapath);

	(void)__atomic_fetch_or(&record->half[0].shared, RECORD_SIDE, __ATOMIC_ACQ_REL);
	for (uint32_t step = 0; beside.nr_sides && step < SIDE_PLACES; step++) {
		struct side *side = beside.sides + side_place(index, step, beside.nr_sides);
		__u32 nobody = 0;

		if (__atomic_compare_exchange_n(&side->owner, &nobody, index + 1, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return side;
	}
	return NULL;
}

void side_drop(struct datapath *datapath, uint32_t index)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct beside beside = datapath_beside(datapath);
	struct side *side = beside_side(&beside, record, index);

	if (side)
		side_free(side);
	(void)__atomic_fetch_and(&record->half[0].shared, ~RECORD_SIDE, __ATOMIC_ACQ_REL);
}

bool datapath_short_of_sides(const struct datapath *datapath, const struct image *image)
{
	if (datapath_beside(datapath).nr_sides >= datapath->flows_max)
		return false;
	for (size_t i = 0; i < image->nr_tables; i++)
		for (size_t j = 0; j < image->tables[i].nr_routes; j++) {
			uint32_t kind = image->tables[i].routes[j].kind;

			if (kind == ROUTE_NAT || kind == ROUTE_EIGW || kind == ROUTE_GWLBE)
				return true;
		}
	return false;
}

/* ---- traces */

/* Every record says what its halves refer to, a FREE one what they did: that costs nothing but a place for a while. */
static void mark(const struct datapath *datapath, bool *used)
{
	uint32_t fresh =
		__atomic_load_n(&((const struct control *)datapath->control.at)->flows_fresh, __ATOMIC_ACQUIRE);
	const struct flow_record *records = datapath->records.at;
	const struct limbo *limbo = datapath->limbo.at;

	for (uint32_t i = 0; i < fresh && i < datapath->flows_max; i++)
		for (int half = 0; half < 2; half++) {
			uint32_t number = __atomic_load_n(&limbo[i].trace[half], __ATOMIC_RELAXED);

			if (number && number <= TRACES &&
			    GS_STATE(__atomic_load_n(&records[i].half[0].gs, __ATOMIC_RELAXED)) != RECORD_FREE)
				used[number - 1] = true;
		}
}

static uint32_t trace_state(const struct trace *trace)
{
	return __atomic_load_n(&trace->state, __ATOMIC_ACQUIRE);
}

size_t traces_tidy(struct datapath *datapath)
{
	_cleanup_free_ bool *used = calloc(TRACES, 1);
	struct trace *traces = datapath->traces.at;
	size_t taken = 0, freed = 0;

	for (uint32_t i = 0; i < TRACES; i++)
		taken += trace_state(&traces[i]) != TRACE_FREE;
	if (!used || taken < TRACES / 2 || datapath->former) /* records of that table refer to them, too */
		return 0;
	mark(datapath, used);
	for (uint32_t i = 0; i < TRACES; i++)
		if (!used[i] && trace_state(&traces[i]) == TRACE_READY)
			__atomic_store_n(&traces[i].state, TRACE_DOOMED, __ATOMIC_RELEASE);
	datapath_grace(); /* who found one before has noted it in a record */
	mark(datapath, used);
	for (uint32_t i = 0; i < TRACES; i++) {
		if (trace_state(&traces[i]) != TRACE_DOOMED)
			continue;
		__atomic_store_n(&traces[i].state, used[i] ? TRACE_READY : TRACE_FREE, __ATOMIC_RELEASE);
		freed += !used[i];
	}
	return freed;
}
