/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/records.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/base.h"
#include "datapath/internal.h"
#include "datapath/mappings.h"
#include "enid/flow_hash.h"

#define NS_PER_S 1000000000ull

static uint32_t state_of(const struct flow_record *record)
{
	return GS_STATE(__atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE));
}

bool record_expired(const struct flow_record *record, const struct limbo *limbo, uint64_t now_ns, uint64_t *ret_at)
{
	const struct flow_half *a = &record->half[0], *b = &record->half[1];
	uint64_t last = a->last_ns > b->last_ns ? a->last_ns : b->last_ns;
	uint64_t idle_s = a->leg_s > b->leg_s ? a->leg_s : b->leg_s;

	*ret_at = last + idle_s * NS_PER_S;
	if (mapping_end(record, &limbo->mapping) > *ret_at)
		*ret_at = mapping_end(record, &limbo->mapping);
	return now_ns > *ret_at;
}

/* A name is ours only if it leads here: a flow whose name collided with another's has none. */
static void drop_name(struct datapath *datapath, uint32_t index, uint32_t which, uint32_t in)
{
	const struct flow_half *half = &((struct flow_record *)datapath->records.at)[index].half[which];
	const struct control *control = datapath->control.at;
	__u64 secrets[FLOW_SECRETS], fingerprint;
	int fd = datapath_map_fd(datapath, "names");
	uint32_t leads_to;
	int r;

	if (!in)
		return; /* a half without a name */
	memcpy(secrets, control->secrets, sizeof(secrets));
	fingerprint = flow_fingerprint(secrets, &half->tuple, in);
	if (bpf_map_lookup_elem(fd, &fingerprint, &leads_to) || leads_to != (index << 1 | which))
		return;
	do /* a bucket may be busy (Linux 6.1); a name that stays would keep its flow from ever having a record again */
		r = bpf_map_delete_elem(fd, &fingerprint);
	while (r < 0 && errno == EBUSY);
}

/* A flow with a mapping leaves its second name to who ends the mapping. */
static void drop_second_name(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	const struct flow_half *half = ((const struct flow_record *)datapath->records.at)[index].half;

	if (!(half[0].shared & RECORD_GATED) || mapping_release(datapath, index, now_ns))
		drop_name(datapath, index, 1, half[1].in);
}

bool record_close(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct control *control = datapath->control.at;
	struct limbo *limbo = datapath->limbo.at;
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE), closing;

	if (GS_STATE(gs) != RECORD_LIVE)
		return false;
	closing = GS_MAKE(GS_GENERATION(gs), RECORD_CLOSING);
	if (!__atomic_compare_exchange_n(&record->half[0].gs, &gs, closing, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	__atomic_store_n(&record->half[1].gs, closing, __ATOMIC_RELEASE);
	drop_name(datapath, index, 0, record->half[0].in);
	drop_second_name(datapath, index, now_ns);
	__atomic_store_n(&limbo[index].since_ns, now_ns, __ATOMIC_RELEASE);
	__atomic_fetch_add(&control->closed, 1, __ATOMIC_RELAXED);
	return true;
}

static void give_back(struct datapath *datapath, const struct flow_record *record)
{
	struct control *control = datapath->control.at;
	struct port_stats *stats = datapath->port_stats.at;
	uint32_t port = record->half[1].shared;

	if (port < PORTS_MAX) {
		__atomic_fetch_sub(&stats[port].flows, 1, __ATOMIC_RELAXED);
		if (record->half[0].shared & RECORD_HALF_OPEN)
			__atomic_fetch_sub(&stats[port].half_open, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_sub(&control->flows_used, 1, __ATOMIC_RELAXED);
}

bool record_free(struct datapath *datapath, uint32_t index, uint64_t now_ns, record_final final, void *context)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct limbo *limbo = datapath->limbo.at;
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);
	uint32_t generation = GS_GENERATION(gs);
	uint64_t since = __atomic_load_n(&limbo[index].since_ns, __ATOMIC_ACQUIRE);

	if (GS_STATE(gs) != RECORD_CLOSING)
		return false;
	if (!datapath->replay && (!since || now_ns < since + LIMBO_NS))
		return false;
	if (!__atomic_compare_exchange_n(&record->half[0].gs, &gs, GS_MAKE(generation, RECORD_BUSY), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	if (final)
		final(context, index, record);
	mapping_account(datapath, index);
	give_back(datapath, record);
	/* or the next to close this record would seem to be out of limbo before its names are gone (I4) */
	__atomic_store_n(&limbo[index].since_ns, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[1].gs, GS_MAKE(generation, RECORD_FREE), __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[0].gs, GS_MAKE(generation, RECORD_FREE), __ATOMIC_RELEASE);
	(void)bpf_map_update_elem(datapath_map_fd(datapath, "free_records"), NULL, &index, BPF_ANY);
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
	drop_name(datapath, index, (uint32_t)which, in);
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
	const struct flow_record *records = datapath->records.at;
	const struct limbo *limbo = datapath->limbo.at;

	return records[index].half[0].shared & RECORD_MAPPED &&
	       (ports[limbo[index].mapping.gateway % PORTS_MAX] || ports[limbo[index].mapping.inner % PORTS_MAX]);
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
	const struct limbo *limbo = datapath->limbo.at;

	return GS_STATE(gs) == RECORD_BUSY ||
	       (GS_STATE(gs) == RECORD_CLOSING && !__atomic_load_n(&limbo[index].since_ns, __ATOMIC_ACQUIRE));
}

static void finish_close(struct datapath *datapath, uint32_t index, uint64_t now_ns)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	struct limbo *limbo = datapath->limbo.at;

	__atomic_store_n(&record->half[1].gs, record->half[0].gs, __ATOMIC_RELEASE);
	(void)mapping_release(datapath, index, now_ns);
	drop_name(datapath, index, 0, record->half[0].in);
	drop_name(datapath, index, 1, record->half[1].in); /* only if it leads here still */
	__atomic_store_n(&limbo[index].since_ns, now_ns, __ATOMIC_RELEASE);
}

/* Its counters were told before anything else; half 1 is FREE once the admission was given back. */
static void finish_free(struct datapath *datapath, uint32_t index)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	uint32_t gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);
	struct limbo *limbo = datapath->limbo.at;

	if (record->half[1].gs != gs)
		give_back(datapath, record);
	__atomic_store_n(&limbo[index].since_ns, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[1].gs, gs, __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[0].gs, gs, __ATOMIC_RELEASE);
	(void)bpf_map_update_elem(datapath_map_fd(datapath, "free_records"), NULL, &index, BPF_ANY);
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
	return repaired;
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
	drop_name(datapath, index, 1, in);
	return true;
}

static void look_at_mapping(struct datapath *datapath, uint32_t index, uint64_t now_ns, struct records_sweep *sweep)
{
	const struct flow_record *record = &((struct flow_record *)datapath->records.at)[index];
	const struct limbo *limbo = datapath->limbo.at;
	uint64_t end = mapping_end(record, &limbo[index].mapping);

	if (mapping_is_over(datapath, index, now_ns))
		sweep->ports += end_mapping(datapath, index, now_ns);
	else if (end && end < sweep->next_ns)
		sweep->next_ns = end;
}

struct records_sweep records_sweep(struct datapath *datapath, uint64_t now_ns, record_final final, void *context)
{
	const struct flow_record *records = datapath->records.at;
	const struct limbo *limbo = datapath->limbo.at;
	struct records_sweep sweep = {.next_ns = UINT64_MAX};
	/* a packet that came just in time has been noted long before we look; virtual time knows no such packets (C4)
	 */
	uint64_t silent_ns = datapath->replay ? now_ns : now_ns - NS_PER_S;
	uint32_t used = used_records(datapath);

	for (uint32_t index = 0; index < used; index++) {
		uint32_t state = state_of(&records[index]);
		uint64_t at;

		if (state == RECORD_LIVE) {
			if (!record_expired(&records[index], &limbo[index], silent_ns, &at)) {
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
