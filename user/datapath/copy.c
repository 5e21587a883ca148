/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A private copy of the pinned maps, for questions of the kind "what if".
 *
 * The kernel goes on meanwhile. Records are copied one by one while each stands still, as all readers do; a name whose
 * record is not there any more leads nowhere, as everywhere. That no state was flipped in between is looked at
 * afterwards: else the copy is made once more.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "datapath/beside.h"
#include "datapath/internal.h"
#include "enid/names.h"
#include "plan/changes.h"

#define COPY_TRIES   5
#define RECORDS_MORE 4096 /* for flows that probes open */

static uint32_t fresh_of(const struct datapath *datapath)
{
	const struct control *control = datapath->control.at;
	uint32_t fresh = __atomic_load_n(&control->flows_fresh, __ATOMIC_ACQUIRE);

	return fresh < datapath->flows_max ? fresh : datapath->flows_max;
}

static void copy_memory(const struct mapping *from, struct mapping *to)
{
	memcpy(to->at, from->at, from->size < to->size ? from->size : to->size);
}

/* Whoever held a lock does not know of the copy. */
static void copy_names(const struct datapath *from, struct datapath *to)
{
	struct name_bucket *buckets = to->names.at;

	copy_memory(&from->names, &to->names);
	for (size_t i = 0; i < to->names.size / sizeof(*buckets); i++)
		buckets[i].lock = 0;
}

/* It stands in the same place: both have as many. */
static void copy_side(const struct datapath *from, struct datapath *to, const struct flow_record *copy, uint32_t index)
{
	const struct beside beside = datapath_beside(from);
	const struct side *side = beside_side(&beside, copy, index);

	if (side)
		((struct side *)to->sides.at)[side - beside.sides] = *side;
}

/* ret: whether it is a live one */
static bool copy_record(const struct datapath *from, struct datapath *to, uint32_t index)
{
	const struct flow_record *record = &((const struct flow_record *)from->records.at)[index];
	struct flow_record *copy = &((struct flow_record *)to->records.at)[index];
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);

	*copy = *record;
	((struct limbo *)to->limbo.at)[index] = ((const struct limbo *)from->limbo.at)[index];
	copy_side(from, to, copy, index);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (GS_STATE(gs) != RECORD_LIVE || __atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED) != gs)
		memset(copy, 0, sizeof(*copy));
	for (int i = 0; i < 2; i++)
		if (copy->half[i].epoch == EPOCH_TAKEN)
			copy->half[i].epoch = 0;
	return GS_STATE(copy->half[0].gs) == RECORD_LIVE;
}

/* What a map of keys had is replaced by what it has now. */
static int copy_keys(const struct datapath *from, struct datapath *to, const char *map, uint32_t key_size,
		     uint32_t value_size)
{
	int source = datapath_map_fd(from, map), fd = datapath_map_fd(to, map), r = 0;
	uint8_t key[64], next[64], value[64];
	struct batch batch = {};
	bool first = true;

	while (!bpf_map_get_next_key(fd, NULL, next))
		if (bpf_map_delete_elem(fd, next) < 0)
			return -errno;
	r = batch_init(&batch, fd, key_size, value_size);
	while (!r && !bpf_map_get_next_key(source, first ? NULL : key, next)) {
		first = false;
		memcpy(key, next, key_size);
		if (!bpf_map_lookup_elem(source, key, value))
			r = batch_add(&batch, key, value);
	}
	if (!r)
		r = batch_flush(&batch);
	batch_done(&batch);
	return r;
}

static int copy_ids(const struct datapath *from, struct datapath *to, const char *map, uint32_t max)
{
	int source = datapath_map_fd(from, map), fd = datapath_map_fd(to, map);
	struct port_name name;

	for (uint32_t number = 1; number < max; number++) {
		if (bpf_map_lookup_elem(source, &number, &name) < 0)
			return -errno;
		if (!name.id[0])
			break; /* handed out in order */
		if (bpf_map_update_elem(fd, &number, &name, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int copy_policy_keys(const struct datapath *from, struct datapath *to)
{
	static const struct {
		const char *name;
		uint32_t key_size, value_size;
	} maps[] = {
		{"addresses", sizeof(struct address_key), sizeof(struct address)},
		{"associations", sizeof(struct association_key), sizeof(struct association)},
		{"macs", sizeof(struct mac_key), sizeof(struct mac_owner)},
		{"routes4", sizeof(struct route4_key), sizeof(struct route)},
		{"routes6", sizeof(struct route6_key), sizeof(struct route)},
		{"tables", sizeof(uint32_t), sizeof(struct table_version)},
	};
	int r = copy_ids(from, to, "port_names", PORTS_MAX);

	if (!r)
		r = copy_ids(from, to, "subnet_names", SUBNETS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(maps) && !r; i++)
		r = copy_keys(from, to, maps[i].name, maps[i].key_size, maps[i].value_size);
	return r;
}

static int copy_policy(const struct datapath *from, struct datapath *to)
{
	const struct control *theirs = from->control.at;
	struct control *mine = to->control.at;

	mine->generation = theirs->generation;
	memcpy(mine->router_mac, theirs->router_mac, sizeof(mine->router_mac));
	memcpy(mine->secrets, theirs->secrets, sizeof(mine->secrets));
	copy_memory(&from->ports, &to->ports);
	copy_memory(&from->subnets, &to->subnets);
	copy_memory(&from->gateways, &to->gateways);
	copy_memory(&from->policy, &to->policy);
	return copy_policy_keys(from, to);
}

/* Its list of free records, and its shelves of them, stay where they are: probes take what was never used. */
static int copy_flows(const struct datapath *from, struct datapath *to, uint32_t nr_records)
{
	struct control *control = to->control.at;
	uint32_t live = 0;

	*control = *(const struct control *)from->control.at;
	if (control->flows_fresh > nr_records)
		control->flows_fresh = nr_records;
	control->flows_max = to->flows_max; /* there are no more; the other limits are those of the original */
	control->now_ns = datapath_now_ns(from);
	copy_memory(&from->port_stats, &to->port_stats);
	copy_memory(&from->nat_uses, &to->nat_uses);
	copy_memory(&from->nat_stats, &to->nat_stats);
	copy_names(from, to);
	copy_memory(&from->traces, &to->traces);
	memset(to->sides.at, 0, to->sides.size);
	for (uint32_t index = 0; index < nr_records; index++)
		live += copy_record(from, to, index);
	control->free_list = 0;
	control->flows_batch = 1;
	control->flows_used = live;
	return copy_keys(from, to, "names_spilled", sizeof(uint64_t), sizeof(uint32_t));
}

/* ret: 0 | -EAGAIN | -errno */
static int copy(const struct datapath *from, struct datapath *to, bool flows, uint32_t nr_records)
{
	const struct control *control = from->control.at;

	for (int i = 0; i < COPY_TRIES; i++) {
		uint32_t generation = __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE);
		int r = flows ? copy_flows(from, to, nr_records) : 0;

		if (!r)
			r = copy_policy(from, to);

		if (r)
			return r;
		if (__atomic_load_n(&control->generation, __ATOMIC_ACQUIRE) == generation)
			return 0;
	}
	return -EAGAIN;
}

int datapath_copy(const struct datapath *pinned, bool flows, bool xdp, struct datapath **ret, char **ret_why)
{
	uint32_t nr_records = flows ? fresh_of(pinned) : 0;
	const struct datapath_options options = {
		.replay = true,
		.flows_max = nr_records + RECORDS_MORE,
		.names_for = flows ? pinned->flows_max : 0,
		.sides = flows ? datapath_beside(pinned).nr_sides : 0,
		.policy_lines = pinned->policy_lines,
		.without = xdp ? "tc_rx" : "xdp_rx",
	};
	struct datapath *datapath = NULL;
	int r = datapath_open(&options, &datapath, ret_why);

	if (r)
		return r;
	r = copy(pinned, datapath, flows, nr_records);
	if (r)
		(void)refuse(ret_why, r, "cannot copy the maps: %s",
			     r == -EAGAIN ? "the state keeps changing meanwhile" : strerror(-r));
	else
		r = adopt_placement(datapath, true, ret_why);
	if (r)
		datapath_close(&datapath);
	*ret = datapath;
	return r;
}

void datapath_copy_limits(const struct datapath *pinned, struct datapath *copied)
{
	const struct control *from = pinned->control.at;
	struct control *to = copied->control.at;

	to->flows_shared = from->flows_shared;
	to->flows_guarantee = from->flows_guarantee;
	to->half_open_max = from->half_open_max;
}

int datapath_plan(const struct datapath *datapath, const struct image *image, struct map_change *ret,
		  uint32_t *ret_changed, char **ret_why)
{
	struct plan *plan = NULL;
	int r = plan_make(&datapath->placement, image, &plan, ret_why);

	if (r)
		return r;
	plan_changes(plan, &datapath->placement, ret);
	*ret_changed = plan->changed;
	plan_free(&plan);
	return 0;
}

void datapath_use(const struct datapath *datapath, struct map_change *ret)
{
	plan_use(&datapath->placement, ret);
}
