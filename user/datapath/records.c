/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/records.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/base.h"
#include "datapath/beside.h"
#include "datapath/internal.h"
#include "datapath/mappings.h"
#include "datapath/names.h"

#define NS_PER_S    1000000000ull
#define CARRY_TRIES 3

static uint32_t state_of(const struct flow_record *record)
{
	return GS_STATE(__atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE));
}

bool record_expired(const struct flow_record *record, const struct side *side, uint64_t now_ns, uint64_t *ret_at)
{
	const struct flow_half *a = &record->half[0], *b = &record->half[1];
	uint64_t last = a->last_ns > b->last_ns ? a->last_ns : b->last_ns;
	uint64_t idle_s = a->leg_s > b->leg_s ? a->leg_s : b->leg_s;

	*ret_at = last + idle_s * NS_PER_S;
	if (side && mapping_end(record, &side->mapping) > *ret_at)
		*ret_at = mapping_end(record, &side->mapping);
	return now_ns > *ret_at;
}

/* A flow with a mapping leaves its second name to who ends the mapping. */
static void drop_second_name(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	const struct flow_half *half = ((const struct flow_record *)datapath->records.at)[index].half;

	if (!(half[0].shared & RECORD_GATED) || mapping_release(datapath, index, now_ns))
		name_drop(datapath, index, 1, half[1].in);
}

bool record_close(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct control *control = datapath->control.at;
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE), closing;

	if (GS_STATE(gs) != RECORD_LIVE)
		return false;
	closing = GS_MAKE(GS_GENERATION(gs), RECORD_CLOSING);
	if (!__atomic_compare_exchange_n(&record->half[0].gs, &gs, closing, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	__atomic_store_n(&record->half[1].gs, closing, __ATOMIC_RELEASE);
	name_drop(datapath, index, 0, record->half[0].in);
	drop_second_name(datapath, index, now_ns);
	__atomic_store_n(&record->half[1].gs, GS_GONE(now_ns), __ATOMIC_RELEASE);
	__atomic_fetch_add(&control->closed, 1, __ATOMIC_RELAXED);
	return true;
}

/* Once, even if we are killed in it: a port may stay charged for one record too many then, never for one too few. The
 * two charges stand in one word (bpf/flow.h). */
static void give_back(struct datapath *datapath, struct flow_record *record)
{
	struct port_stats *stats = datapath->port_stats.at;
	uint64_t sum = record->half[0].shared & RECORD_HALF_OPEN ? 1ull << 32 | 1 : 1;
	uint32_t port = __atomic_exchange_n(&record->half[1].shared, CHARGED_NOBODY, __ATOMIC_ACQ_REL);

	if (port < PORTS_MAX)
		__atomic_fetch_sub((uint64_t *)&stats[port].flows, sum, __ATOMIC_RELAXED);
}

/* R1 of bpf/free.h */
static void list_push(struct datapath *datapath, uint32_t index)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct control *control = datapath->control.at;
	__u64 head = __atomic_load_n(&control->free_list, __ATOMIC_ACQUIRE);

	do
		__atomic_store_n(&FREE_LINK(record), (uint32_t)head, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&control->free_list, &head, LIST_PUSHED(head, index), false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

uint32_t record_take(struct datapath *datapath)
{
	const struct flow_record *records = datapath->records.at;
	struct control *control = datapath->control.at;
	__u64 head = __atomic_load_n(&control->free_list, __ATOMIC_ACQUIRE), rest;
	uint32_t index;

	do {
		if (!(uint32_t)head || (uint32_t)head > datapath->flows_max)
			break;
		rest = __atomic_load_n(&FREE_LINK(&records[(uint32_t)head - 1]), __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&control->free_list, &head, LIST_POPPED(head, rest), false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	index = (uint32_t)head - 1;
	if (index >= datapath->flows_max) {
		index = __atomic_fetch_add(&control->flows_fresh, 1, __ATOMIC_ACQ_REL);
		if (index >= datapath->flows_max) {
			__atomic_fetch_sub(&control->flows_fresh, 1, __ATOMIC_ACQ_REL);
			return UINT32_MAX;
		}
	}
	__atomic_fetch_add(&control->flows_used, 1, __ATOMIC_RELAXED);
	return index;
}

void record_untake(struct datapath *datapath, uint32_t index)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct control *control = datapath->control.at;
	uint32_t gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);

	side_drop(datapath, index);
	__atomic_store_n(&record->half[1].gs, gs, __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[0].gs, gs, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&control->flows_used, 1, __ATOMIC_RELAXED);
	list_push(datapath, index);
}

void record_uncount(struct datapath *datapath, uint32_t index)
{
	(void)mapping_release(datapath, index, 0);
	give_back(datapath, &((struct flow_record *)datapath->records.at)[index]);
}

void record_declare(struct datapath *datapath, const struct flow_record *record)
{
	struct port_stats *stats = datapath->port_stats.at;

	for (int i = 0; i < 2; i++) {
		const struct flow_half *half = &record->half[i];
		uint64_t packets = half_untold(half, GS_GENERATION(record->half[0].gs), half_packets(half));
		uint32_t ports[] = {half->in ? IN_PORT(half->in) : 0, half->exit};

		for (size_t end = 0; end < ARRAY_SIZE(ports); end++)
			if (packets && ports[end] && ports[end] < PORTS_MAX)
				__atomic_fetch_add(&stats[ports[end]].skipped_accepts, packets, __ATOMIC_RELAXED);
	}
}

int record_carried(struct datapath *datapath, uint32_t index)
{
	uint8_t frame[64] = {};
	struct __sk_buff context = {.mark = index};
	struct bpf_test_run_opts run = {.sz = sizeof(run),
					.data_in = frame,
					.data_size_in = sizeof(frame),
					.ctx_in = &context,
					.ctx_size_in = sizeof(context)};

	int r = -EAGAIN;

	for (int tries = 0; r && tries < CARRY_TRIES; tries++)
		r = bpf_prog_test_run_opts(programs_need(datapath, "carry_record", NULL), &run);
	return r ? r : !run.retval;
}

uint32_t datapath_flows_used(const struct datapath *datapath)
{
	const struct control *control = datapath->control.at;
	const struct shelf *shelves = datapath->shelves.at;
	uint32_t used = __atomic_load_n(&control->flows_used, __ATOMIC_RELAXED);

	for (size_t i = 0; i < datapath->shelves.size / sizeof(*shelves); i++)
		used -= __atomic_load_n(&shelves[i].nr, __ATOMIC_RELAXED);
	return used;
}

const struct shelf *datapath_shelf(const struct datapath *datapath, uint32_t cpu)
{
	return cpu < datapath->shelves.size / sizeof(struct shelf) ? &((const struct shelf *)datapath->shelves.at)[cpu]
								   : NULL;
}

bool record_free(struct datapath *datapath, uint32_t index, uint64_t now_ns, record_final final, void *context)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);
	uint32_t gone = __atomic_load_n(&record->half[1].gs, __ATOMIC_ACQUIRE);
	uint32_t generation = GS_GENERATION(gs);

	if (GS_STATE(gs) != RECORD_CLOSING)
		return false;
	if (!datapath->replay && !gone_for(gone, now_ns, LIMBO_NS))
		return false;
	if (!__atomic_compare_exchange_n(&record->half[0].gs, &gs, GS_MAKE(generation, RECORD_BUSY), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	if (final)
		final(context, index, record);
	mapping_account(datapath, index);
	give_back(datapath, record);
	record_untake(datapath, index);
	return true;
}

/* Records that were ever used: the others are all zero. */
static uint32_t used_records(const struct datapath *datapath)
{
	const struct control *control = datapath->control.at;
	uint32_t fresh = __atomic_load_n(&control->flows_fresh, __ATOMIC_ACQUIRE);

	return fresh < datapath->flows_max ? fresh : datapath->flows_max;
}

static bool theirs(const struct flow_half *half, const bool *ports)
{
	return half->in && ports[IN_PORT(half->in) % PORTS_MAX];
}

/* The next packet of this half is judged. A CPU that is writing its decision will have done so in a moment. */
static void forget_decision(struct flow_half *half)
{
	uint32_t epoch;

	do
		epoch = __atomic_load_n(&half->epoch, __ATOMIC_ACQUIRE);
	while (epoch == EPOCH_TAKEN ||
	       !__atomic_compare_exchange_n(&half->epoch, &epoch, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

/* Take the entry of one end away; the ENI at the other end keeps its own (CT-19, CT-20). Packets of the half that stays
 * are judged one by one from now on. */
static void record_leave(struct datapath *datapath, uint32_t index, int which)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct flow_half *gone = &record->half[which], *stays = &record->half[!which];
	uint32_t in = gone->in;

	__atomic_fetch_or(&stays->flags, HALF_ALONE, __ATOMIC_RELAXED);
	forget_decision(stays);
	gone->leg = LEG_NONE;
	if (which == 1 && stays->shared & RECORD_GATED && !mapping_release(datapath, index, 0))
		return; /* its name went with the mapping */
	/* first: a packet that closes the record now must not drop a name that a new flow has claimed after us */
	__atomic_store_n(&gone->in, 0, __ATOMIC_RELEASE);
	name_drop(datapath, index, (uint32_t)which, in);
}

/* The gateway is gone: what it remembers goes, the entry of the ENI inside stays. */
static void leave_gateway(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	const struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];

	if (record->half[0].in && record->half[0].leg != LEG_NONE)
		record_leave(datapath, index, 1);
	else if (record_close(datapath, index, now_ns) && datapath->replay)
		(void)record_free(datapath, index, now_ns, NULL, NULL);
}

static bool through(const struct datapath *datapath, uint32_t index, const bool *ports)
{
	const struct flow_record *record = &((const struct flow_record *)datapath->records.at)[index];
	const struct beside beside = datapath_beside(datapath);
	const struct side *side = record->half[0].shared & RECORD_MAPPED ? beside_side(&beside, record, index) : NULL;

	return side && (ports[side->mapping.gateway % PORTS_MAX] || ports[side->mapping.inner % PORTS_MAX]);
}

size_t records_leave_ports(struct datapath *datapath, const bool *ports, uint64_t now_ns)
{
	const struct flow_record *records = datapath->records.at;
	uint32_t used = used_records(datapath);
	size_t left = 0;

	for (uint32_t index = 0; index < used; index++) {
		const struct flow_half *half = records[index].half;
		bool first = theirs(&half[0], ports), second = theirs(&half[1], ports);
		bool gateway = through(datapath, index, ports);

		if ((!first && !second && !gateway) || state_of(&records[index]) != RECORD_LIVE)
			continue;
		left++;
		if (gateway && !first) {
			leave_gateway(datapath, index, now_ns);
			continue;
		}
		if (first != second && half[first ? 1 : 0].in && half[first ? 1 : 0].leg != LEG_NONE) {
			record_leave(datapath, index, first ? 0 : 1);
			continue;
		}
		if (record_close(datapath, index, now_ns) && datapath->replay)
			(void)record_free(datapath, index, now_ns, NULL, NULL);
	}
	return left;
}

static bool in_the_middle(const struct datapath *datapath, uint32_t index, uint32_t gs)
{
	const struct flow_record *records = datapath->records.at;
	uint32_t second = __atomic_load_n(&records[index].half[1].gs, __ATOMIC_ACQUIRE);

	return GS_STATE(gs) == RECORD_BUSY || (GS_STATE(gs) == RECORD_CLOSING && GS_STATE(second) != RECORD_GONE);
}

static void finish_close(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];

	__atomic_store_n(&record->half[1].gs, record->half[0].gs, __ATOMIC_RELEASE);
	(void)mapping_release(datapath, index, now_ns);
	name_drop(datapath, index, 0, record->half[0].in);
	name_drop(datapath, index, 1, record->half[1].in); /* only if it leads here still */
	__atomic_store_n(&record->half[1].gs, GS_GONE(now_ns), __ATOMIC_RELEASE);
}

/* Being freed, or being carried over. Of the first, what was told says so (record_final); of the other nothing was
 * counted yet. */
static void finish_free(struct datapath *datapath, uint32_t index)
{
	record_declare(datapath, &((struct flow_record *)datapath->records.at)[index]);
	record_uncount(datapath, index);
	record_untake(datapath, index);
}

/* A CPU that was held up for long may leave a side at a record that is FREE; the record's next flow would give it back.
 * While it is BUSY nobody takes it; who would have, just now, is refused. */
static void free_side(struct datapath *datapath, uint32_t index, uint32_t gs)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	uint32_t busy = GS_MAKE(GS_GENERATION(gs), RECORD_BUSY);

	if (!__atomic_compare_exchange_n(&record->half[0].gs, &gs, busy, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	(void)__atomic_fetch_or(&record->half[0].shared, RECORD_SIDE, __ATOMIC_ACQ_REL);
	side_drop(datapath, index);
	__atomic_store_n(&record->half[0].gs, GS_MAKE(GS_GENERATION(gs), RECORD_FREE), __ATOMIC_RELEASE);
}

/* before: states of all records, before a grace period. ret: how many */
static int free_sides(struct datapath *datapath, const uint32_t *before, uint32_t used)
{
	const struct flow_record *records = datapath->records.at;
	const struct beside beside = datapath_beside(datapath);
	int freed = 0;

	for (uint32_t place = 0; place < beside.nr_sides; place++) {
		uint32_t index = __atomic_load_n(&beside.sides[place].owner, __ATOMIC_ACQUIRE) - 1;

		if (index >= used || GS_STATE(before[index]) != RECORD_FREE ||
		    __atomic_load_n(&records[index].half[0].gs, __ATOMIC_ACQUIRE) != before[index])
			continue;
		free_side(datapath, index, before[index]);
		freed++;
	}
	return freed;
}

int records_repair(struct datapath *datapath, uint64_t now_ns)
{
	const struct flow_record *records = datapath->records.at;
	uint32_t used = used_records(datapath);
	_cleanup_free_ uint32_t *before = calloc(used ? used : 1, sizeof(*before));
	int repaired = 0;

	if (!before)
		return -ENOMEM;
	for (uint32_t index = 0; index < used; index++)
		before[index] = __atomic_load_n(&records[index].half[0].gs, __ATOMIC_ACQUIRE);
	datapath_grace(); /* packets and the kernel's sweeper have finished theirs after it */
	for (uint32_t index = 0; index < used; index++) {
		uint32_t gs = __atomic_load_n(&records[index].half[0].gs, __ATOMIC_ACQUIRE);

		if (gs != before[index] || !in_the_middle(datapath, index, gs))
			continue;
		if (GS_STATE(gs) == RECORD_BUSY)
			finish_free(datapath, index);
		else
			finish_close(datapath, index, now_ns);
		repaired++;
	}
	return repaired + free_sides(datapath, before, used);
}

/* The mapping is over and the flow is not: the port is free for others. */
static bool end_mapping(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_half *half = ((struct flow_record *)datapath->records.at)[index].half;
	uint32_t in = half[1].in;

	if (!mapping_release(datapath, index, now_ns))
		return false;
	__atomic_store_n(&half[0].epoch, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&half[1].epoch, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&half[1].in, 0, __ATOMIC_RELEASE);
	name_drop(datapath, index, 1, in);
	return true;
}

static void look_at_mapping(struct datapath *datapath, uint32_t index, uint64_t now_ns, struct records_sweep *sweep)
{
	const struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct beside beside = datapath_beside(datapath);
	const struct side *side = beside_side(&beside, record, index);
	uint64_t end = side ? mapping_end(record, &side->mapping) : 0;

	if (mapping_is_over(datapath, index, now_ns))
		sweep->ports += end_mapping(datapath, index, now_ns);
	else if (end && end < sweep->next_ns)
		sweep->next_ns = end;
}

struct records_sweep records_sweep(struct datapath *datapath, uint64_t now_ns, record_final final, void *context)
{
	const struct flow_record *records = datapath->records.at;
	const struct beside beside = datapath_beside(datapath);
	struct records_sweep sweep = {.next_ns = UINT64_MAX};
	/* a packet that came just in time has been noted long before we look; virtual time knows no such packets (C4)
	 */
	uint64_t silent_ns = datapath->replay ? now_ns : now_ns - NS_PER_S;
	uint32_t used = used_records(datapath);

	for (uint32_t index = 0; index < used; index++) {
		uint32_t state = state_of(&records[index]);
		uint64_t at;

		if (state == RECORD_LIVE) {
			if (!record_expired(&records[index], beside_side(&beside, &records[index], index), silent_ns,
					    &at)) {
				look_at_mapping(datapath, index, silent_ns, &sweep);
				sweep.next_ns = at < sweep.next_ns ? at : sweep.next_ns;
				continue;
			}
			sweep.closed += record_close(datapath, index, now_ns);
			state = RECORD_CLOSING;
		}
		if (state == RECORD_CLOSING)
			sweep.freed += record_free(datapath, index, now_ns, final, context);
	}
	return sweep;
}
