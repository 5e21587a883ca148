/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/audit.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enid/flow_hash.h"

struct walk {
	struct datapath *datapath;
	struct flow_record *records;
	int names;
	uint32_t fresh;
	__u64 secrets[FLOW_SECRETS];
	uint32_t *flows, *half_open; /* by port: what the records say */
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
			      .names = datapath_map_fd(datapath, "names"),
			      .fresh = __atomic_load_n(&control->flows_fresh, __ATOMIC_ACQUIRE)};
	if (walk->fresh > datapath_flows_max(datapath))
		walk->fresh = datapath_flows_max(datapath);
	memcpy(walk->secrets, control->secrets, sizeof(walk->secrets));
}

/* REF: where the name of this half leads; UINT32_MAX = nowhere */
static uint32_t led_to(const struct walk *walk, const struct flow_half *half)
{
	__u64 print = flow_fingerprint(walk->secrets, &half->tuple, half->in);
	uint32_t ref;

	return bpf_map_lookup_elem(walk->names, &print, &ref) ? UINT32_MAX : ref;
}

static const char *check_names(struct walk *walk, uint32_t index, const struct flow_record *record)
{
	for (uint32_t side = 0; side < 2; side++) {
		uint32_t ref;

		if (!record->half[side].in)
			continue;
		ref = led_to(walk, &record->half[side]);
		if (ref != (index << 1 | side))
			return wrong("record %u is live, but the name of its half %u leads to %x", index, side, ref);
		walk->audit.names++;
	}
	return NULL;
}

static const char *check_record(struct walk *walk, uint32_t index)
{
	const struct flow_record *record = &walk->records[index];
	const struct limbo *limbo = &datapath_limbo(walk->datapath)[index];
	uint32_t state = GS_STATE(record->half[0].gs), owner = record->half[1].shared;

	if (record->half[0].gs != record->half[1].gs)
		return wrong("record %u: halves say %x and %x", index, record->half[0].gs, record->half[1].gs);
	if (state == RECORD_BUSY || state > RECORD_CLOSING)
		return wrong("record %u is left in state %u", index, state);
	if ((state == RECORD_CLOSING) != !!limbo->since_ns)
		return wrong("record %u in state %u: in limbo since %llu", index, state, limbo->since_ns);
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

/* Entries of the hash, counted: with check_names, no name leads anywhere else. */
static const char *count_names(const struct walk *walk)
{
	uint64_t print, *at = NULL;
	uint32_t nr = 0;

	for (; !bpf_map_get_next_key(walk->names, at, &print); at = &print)
		nr++;
	if (nr != walk->audit.names)
		return wrong("%u names, but live records have %u", nr, walk->audit.names);
	return NULL;
}

/* The free list can only be read by emptying it; it is filled again. */
static const char *check_free_list(const struct walk *walk)
{
	int fd = datapath_map_fd(walk->datapath, "free_records");
	uint32_t *list = calloc(walk->fresh + 1, sizeof(*list)), nr = 0, index;
	bool *seen = calloc(walk->fresh + 1, 1);
	const char *why = list && seen ? NULL : "no memory";

	while (!why && !bpf_map_lookup_and_delete_elem(fd, NULL, &index)) {
		if (index >= walk->fresh || seen[index] || GS_STATE(walk->records[index].half[0].gs) != RECORD_FREE)
			why = wrong("the free list has %u, which is %s", index,
				    index >= walk->fresh ? "no record"
				    : seen[index]        ? "there twice"
							 : "in use");
		else
			seen[index] = true, list[nr++] = index;
	}
	if (!why && nr != walk->audit.free)
		why = wrong("%u records are free, the list has %u", walk->audit.free, nr);
	while (nr)
		(void)bpf_map_update_elem(fd, NULL, &list[--nr], BPF_ANY);
	free(seen);
	free(list);
	return why;
}

static const char *check_budgets(const struct walk *walk)
{
	const volatile struct control *control = datapath_control(walk->datapath);
	const struct port_stats *stats = datapath_port_stats(walk->datapath);
	uint32_t used = walk->audit.live + walk->audit.closing;

	if (control->flows_used != used)
		return wrong("flows_used is %u, records in use are %u", control->flows_used, used);
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
	if (!walk.flows || !walk.half_open)
		why = "no memory";
	for (uint32_t index = 0; !why && index < walk.fresh; index++)
		why = check_record(&walk, index);
	if (!why)
		why = count_names(&walk);
	if (!why)
		why = check_budgets(&walk);
	if (!why)
		why = check_free_list(&walk);
	free(walk.flows);
	free(walk.half_open);
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
