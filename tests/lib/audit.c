/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/audit.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/beside.h"
#include "enid/names.h"
#include "lib/fill.h"

struct walk {
	struct datapath *datapath;
	struct flow_record *records;
	const struct name_bucket *buckets;
	int spilled;
	uint32_t fresh, nr_buckets;
	__u64 secrets[FLOW_SECRETS];
	uint32_t *flows, *half_open; /* by port: what the records say */
	uint32_t *over;              /* by bucket: what it says, less what there is. NULL = not asked for */
	struct beside beside;
	uint32_t sides; /* that records have */
	struct audit audit;
};

static const char *wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *wrong(const char *format, ...)
{
	static __thread char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return text;
}

static void begin(struct walk *walk, struct datapath *datapath)
{
	const struct control *control = (const struct control *)datapath_control(datapath);

	*walk = (struct walk){.datapath = datapath,
			      .records = datapath_records(datapath),
			      .buckets = datapath_names(datapath),
			      .beside = datapath_beside(datapath),
			      .spilled = datapath_map_fd(datapath, "names_spilled"),
			      .nr_buckets = control->nr_buckets,
			      .fresh = __atomic_load_n(&control->flows_fresh, __ATOMIC_ACQUIRE)};
	if (walk->fresh > datapath_flows_max(datapath))
		walk->fresh = datapath_flows_max(datapath);
	memcpy(walk->secrets, control->secrets, sizeof(walk->secrets));
}

/* Does this bucket lead to the half? */
static bool bucket_has(const struct walk *walk, uint32_t index, uint64_t print, uint32_t ref)
{
	for (int i = 0; i < BUCKET_NAMES; i++)
		if (__atomic_load_n(&walk->buckets[index].word[i], __ATOMIC_ACQUIRE) ==
		    (((print & UINT32_MAX) | 1) << 32 | ref))
			return true;
	return false;
}

/* How often the name of this half leads to it: in its home, in the neighbour, in the hash. */
static uint32_t leads_to(struct walk *walk, const struct flow_half *half, uint32_t ref)
{
	__u64 print = flow_fingerprint(walk->secrets, &half->tuple, half->in);
	uint32_t home = name_home(print, walk->nr_buckets), spilled;
	bool at_home = bucket_has(walk, home, print, ref), near = bucket_has(walk, home ^ 1, print, ref);
	bool far = !bpf_map_lookup_elem(walk->spilled, &print, &spilled) && spilled == ref;

	if (walk->over)
		walk->over[home] -= near + far * 65536u;
	walk->audit.near += near;
	walk->audit.far += far;
	return at_home + near + far;
}

static const char *check_names(struct walk *walk, uint32_t index, const struct flow_record *record)
{
	for (uint32_t side = 0; side < 2; side++) {
		uint32_t found;

		if (!record->half[side].in)
			continue;
		found = leads_to(walk, &record->half[side], index << 1 | side);
		if (found != 1)
			return wrong("record %u is live, but its half %u has %u names", index, side, found);
		walk->audit.names++;
	}
	return NULL;
}

static const char *check_record(struct walk *walk, uint32_t index)
{
	const struct flow_record *record = &walk->records[index];
	uint32_t state = GS_STATE(record->half[0].gs), owner = record->half[1].shared;

	if (state != RECORD_CLOSING && record->half[0].gs != record->half[1].gs)
		return wrong("record %u: halves say %x and %x", index, record->half[0].gs, record->half[1].gs);
	if (state == RECORD_BUSY || state > RECORD_CLOSING)
		return wrong("record %u is left in state %u", index, state);
	if (state == RECORD_CLOSING && GS_STATE(record->half[1].gs) != RECORD_GONE)
		return wrong("record %u is closing, and nobody says since when: %x", index, record->half[1].gs);
	walk->sides += state != RECORD_FREE && beside_side(&walk->beside, record, index);
	if (state == RECORD_FREE) {
		walk->audit.free++;
		return NULL;
	}
	if (owner >= PORTS_MAX)
		return wrong("record %u is charged to port %u", index, owner);
	walk->flows[owner]++;
	walk->half_open[owner] += !!(record->half[0].shared & RECORD_HALF_OPEN);
	walk->audit.packets += half_packets(&record->half[0]) + half_packets(&record->half[1]);
	if (state == RECORD_CLOSING) {
		walk->audit.closing++;
		return NULL;
	}
	walk->audit.live++;
	return check_names(walk, index, record);
}

/* All names, counted: with check_names, none leads anywhere else, and `over` tells of those away from home. */
static const char *check_buckets(const struct walk *walk)
{
	uint32_t nr = names_count(walk->datapath);

	if (nr != walk->audit.names)
		return wrong("%u names, but live records have %u", nr, walk->audit.names);
	for (uint32_t i = 0; i < walk->nr_buckets; i++)
		if (walk->over[i] || walk->buckets[i].lock)
			return wrong("bucket %u: lock %u, over by %x", i, walk->buckets[i].lock, walk->over[i]);
	return NULL;
}

static const char *see_free(const struct walk *walk, uint32_t index, bool *seen, const char *where)
{
	if (index >= walk->fresh)
		return wrong("%s has %u, which is no record", where, index);
	if (GS_STATE(walk->records[index].half[0].gs) != RECORD_FREE || seen[index])
		return wrong("%s has %u, which is %s", where, index, seen[index] ? "free twice" : "in use");
	seen[index] = true;
	return NULL;
}

/* Nobody has two sides, and none is left behind by a record that is free. */
static const char *check_sides(const struct walk *walk)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < walk->beside.nr_sides; i++)
		nr += walk->beside.sides[i].owner != 0;
	return nr == walk->sides ? NULL : wrong("%u sides are taken, but records have %u", nr, walk->sides);
}

/* Each FREE record is in the list or on a shelf, once. */
static const char *check_free(const struct walk *walk)
{
	const volatile struct control *control = datapath_control(walk->datapath);
	uint32_t at = (uint32_t)control->free_list, nr = 0;
	bool *seen = calloc(walk->fresh + 1, 1);
	const char *why = seen ? NULL : "no memory";
	const struct shelf *shelf;

	for (; !why && at; at = FREE_LINK(&walk->records[at - 1]), nr++)
		why = see_free(walk, at - 1, seen, "the free list");
	for (uint32_t cpu = 0; !why && (shelf = datapath_shelf(walk->datapath, cpu)); cpu++) {
		if (shelf->taken)
			why = wrong("the shelf of CPU %u is left taken", cpu);
		for (uint32_t i = 0; !why && i < shelf->nr; i++, nr++)
			why = see_free(walk, shelf->index[i], seen, "a shelf");
	}
	if (!why && nr != walk->audit.free)
		why = wrong("%u records are free, list and shelves have %u", walk->audit.free, nr);
	free(seen);
	return why;
}

static const char *check_budgets(const struct walk *walk)
{
	const struct port_stats *stats = datapath_port_stats(walk->datapath);
	uint32_t used = walk->audit.live + walk->audit.closing, counted = datapath_flows_used(walk->datapath);

	if (counted != used)
		return wrong("%u records are counted as used, %u are", counted, used);
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		if (stats[port].flows != walk->flows[port])
			return wrong("port %u is charged for %u records, has %u", port, stats[port].flows,
				     walk->flows[port]);
		if (stats[port].half_open != walk->half_open[port])
			return wrong("port %u is charged for %u half-open flows, has %u", port, stats[port].half_open,
				     walk->half_open[port]);
	}
	return NULL;
}

const char *audit_all(struct datapath *datapath, struct audit *ret)
{
	const char *why = NULL;
	struct walk walk;

	begin(&walk, datapath);
	walk.flows = calloc(PORTS_MAX, sizeof(*walk.flows));
	walk.half_open = calloc(PORTS_MAX, sizeof(*walk.half_open));
	walk.over = calloc(walk.nr_buckets, sizeof(*walk.over));
	if (!walk.flows || !walk.half_open || !walk.over)
		why = "no memory";
	for (uint32_t i = 0; !why && i < walk.nr_buckets; i++)
		walk.over[i] = walk.buckets[i].over;
	for (uint32_t index = 0; !why && index < walk.fresh; index++)
		why = check_record(&walk, index);
	if (!why)
		why = check_buckets(&walk);
	if (!why)
		why = check_sides(&walk);
	if (!why)
		why = check_budgets(&walk);
	if (!why)
		why = check_free(&walk);
	free(walk.flows);
	free(walk.half_open);
	free(walk.over);
	*ret = walk.audit;
	return why;
}

const char *audit_names_of_live(struct datapath *datapath, uint32_t *ret_seen)
{
	const char *why = NULL;
	struct walk walk;

	begin(&walk, datapath);
	*ret_seen = 0;
	for (uint32_t index = 0; index < walk.fresh; index++) {
		uint32_t gs = __atomic_load_n(&walk.records[index].half[0].gs, __ATOMIC_ACQUIRE);
		struct flow_record copy;

		if (GS_STATE(gs) != RECORD_LIVE)
			continue;
		memcpy(&copy, &walk.records[index], sizeof(copy));
		why = check_names(&walk, index, &copy);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&walk.records[index].half[0].gs, __ATOMIC_ACQUIRE) != gs)
			continue; /* it went meanwhile */
		if (why)
			return why;
		++*ret_seen;
	}
	return NULL;
}
