/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/former.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/beside.h"
#include "datapath/names.h"
#include "datapath/records.h"
#include "enid/names.h"

/* `control` last (F1) */
static const char *const family[] = {"records", "names", "names_spilled", "shelves", "limbo", "sides", "control"};

struct former {
	struct mapping records, limbo, sides, control;
	uint32_t flows_max;
	char *pin_dir;
};

bool former_holds(const char *map)
{
	for (size_t i = 0; i < ARRAY_SIZE(family); i++)
		if (!strcmp(map, family[i]))
			return true;
	return false;
}

/* ---- pins */

static int aside(char path[PATH_MAX], const char *pin_dir, const char *map, const char *suffix)
{
	int r = pin_path(path, pin_dir, "maps", map);

	if (!r && strlen(path) + strlen(suffix) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!r)
		strcat(path, suffix);
	return r;
}

static bool stands(const char *pin_dir, const char *map, const char *suffix)
{
	char path[PATH_MAX];

	return !aside(path, pin_dir, map, suffix) && !look_for(path);
}

bool former_left(const char *pin_dir, bool *ret_moving)
{
	*ret_moving = stands(pin_dir, "control", "_next");
	return stands(pin_dir, "records", "_former");
}

static void forget(const char *pin_dir, const char *suffix)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(family); i++)
		if (!aside(path, pin_dir, family[i], suffix))
			(void)unlink(path);
}

static int change_place(const char *pin_dir, const char *map, char **ret_why)
{
	char path[PATH_MAX], next[PATH_MAX], former[PATH_MAX];
	int r = pin_path(path, pin_dir, "maps", map);

	if (!r)
		r = aside(next, pin_dir, map, "_next");
	if (!r)
		r = aside(former, pin_dir, map, "_former");
	if (r < 0 || look_for(next) < 0)
		return r;
	if ((!look_for(path) && rename(path, former) < 0) || rename(next, path) < 0)
		return refuse(ret_why, -errno, "cannot replace the pinned map '%s': %s", path, strerror(errno));
	return 0;
}

int former_recover(const char *pin_dir, char **ret_why)
{
	int r = 0;

	if (!stands(pin_dir, "control", "_next")) {
		forget(pin_dir, "_next");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(family) && !r; i++)
		r = change_place(pin_dir, family[i], ret_why);
	return r;
}

static int displace(const struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(family) && !r; i++) {
		r = aside(path, pin_dir, family[i], "_next");
		if (!r && bpf_obj_pin(handles_find(&datapath->maps, family[i]), path) < 0)
			r = refuse(ret_why, -errno, "cannot pin map '%s': %s", path, strerror(errno));
	}
	if (r < 0) {
		forget(pin_dir, "_next");
		return r;
	}
	return former_recover(pin_dir, ret_why);
}

/* ---- the former maps */

static int map_pinned(const char *pin_dir, const char *map, const char *suffix, size_t value_size, struct mapping *ret)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r = aside(path, pin_dir, map, suffix);

	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	if (info.value_size != value_size)
		return -EPROTO;
	ret->size = (size_t)info.max_entries * ((value_size + 7) & ~(size_t)7);
	ret->at = mmap(NULL, ret->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ret->at == MAP_FAILED) {
		ret->at = NULL;
		return -errno;
	}
	return 0;
}

static void unmap(struct mapping *mapping)
{
	if (mapping->at)
		munmap(mapping->at, mapping->size);
	*mapping = (struct mapping){};
}

void former_close(struct former **former)
{
	struct former *old = *former;

	if (!old)
		return;
	unmap(&old->records);
	unmap(&old->limbo);
	unmap(&old->sides);
	unmap(&old->control);
	free(old->pin_dir);
	free(old);
	*former = NULL;
}

static int former_map(const char *pin_dir, const char *suffix, struct former **ret)
{
	struct former *former = calloc(1, sizeof(*former));
	int r = former ? 0 : -ENOMEM;

	if (!r)
		former->pin_dir = strdup(pin_dir);
	if (!r && !former->pin_dir)
		r = -ENOMEM;
	if (!r)
		r = map_pinned(pin_dir, "records", suffix, sizeof(struct flow_record), &former->records);
	if (!r)
		r = map_pinned(pin_dir, "limbo", suffix, sizeof(struct limbo), &former->limbo);
	if (!r)
		r = map_pinned(pin_dir, "sides", suffix, sizeof(struct side), &former->sides);
	if (!r)
		r = map_pinned(pin_dir, "control", suffix, sizeof(struct control), &former->control);
	if (r < 0) {
		former_close(&former);
		return r;
	}
	former->flows_max = (uint32_t)(former->records.size / sizeof(struct flow_record));
	*ret = former;
	return 0;
}

static const struct side *former_side(const struct former *former, const struct flow_record *record, uint32_t index)
{
	const struct beside beside = {.sides = former->sides.at,
				      .nr_sides = (uint32_t)(former->sides.size / sizeof(struct side))};

	return beside_side(&beside, record, index);
}

static uint32_t former_used(const struct former *former)
{
	const struct control *control = former->control.at;
	uint32_t fresh = __atomic_load_n(&control->flows_fresh, __ATOMIC_ACQUIRE);

	return fresh < former->flows_max ? fresh : former->flows_max;
}

/* ret: 0 = there is none of this shape */
static uint32_t entries_pinned(const char *pin_dir, const char *map, size_t value_size)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (pin_path(path, pin_dir, "maps", map) < 0)
		return 0;
	fd = bpf_obj_get(path);
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length) && info.value_size == value_size
		       ? info.max_entries
		       : 0;
}

bool former_wanted(struct datapath_options *options)
{
	uint32_t flows, sides, wanted;

	if (!stands(options->pin_dir, "control", ""))
		return false;
	flows = entries_pinned(options->pin_dir, "records", sizeof(struct flow_record));
	sides = entries_pinned(options->pin_dir, "sides", sizeof(struct side));
	wanted = options->flows_max ? options->flows_max : flows;
	if (!flows || !sides ||
	    (wanted == flows && (!options->gated || sides >= flows ||
				 stands(options->pin_dir, "control", "_former")))) /* first that one */
		return false;
	options->flows_max = wanted;
	return true;
}

static uint32_t sides_taken(const struct former *former)
{
	const struct side *sides = former->sides.at;
	uint32_t taken = 0;

	for (size_t i = 0; i < former->sides.size / sizeof(*sides); i++)
		taken += __atomic_load_n(&sides[i].owner, __ATOMIC_RELAXED) != 0;
	return taken;
}

int former_check(struct datapath_options *options, char **ret_why)
{
	const struct flow_record *records;
	struct former *former = NULL;
	uint32_t live = 0;
	int r;

	if (stands(options->pin_dir, "control", "_former"))
		return refuse(
			ret_why, -EBUSY,
			"flows are still being carried over from a table of another size: start once with the size "
			"of the new one");
	r = former_map(options->pin_dir, "", &former);
	if (r < 0)
		return refuse(ret_why, r, "cannot open the pinned table of flows: %s", strerror(-r));
	records = former->records.at;
	for (uint32_t i = 0; i < former_used(former); i++)
		live += GS_STATE(__atomic_load_n(&records[i].half[0].gs, __ATOMIC_RELAXED)) == RECORD_LIVE;
	if (sides_taken(former) > sides_max(options->flows_max, false) / 2)
		options->gated = true; /* all find a place surely */
	former_close(&former);
	if (live > options->flows_max)
		return refuse(ret_why, -ENOSPC, "%u flows live, a table of %u has no room for them", live,
			      options->flows_max);
	return 0;
}

/* ---- one flow */

static void charge(struct datapath *datapath, const struct flow_record *record, int sign)
{
	struct port_stats *stats = datapath->port_stats.at;
	uint32_t port = record->half[1].shared;
	uint64_t sum = record->half[0].shared & RECORD_HALF_OPEN ? 1ull << 32 | 1 : 1;

	if (port < PORTS_MAX)
		__atomic_fetch_add((uint64_t *)&stats[port].flows, sign < 0 ? -sum : sum, __ATOMIC_RELAXED);
}

static void charge_mapping(struct datapath *datapath, const struct flow_record *record, const struct side *side,
			   int sign)
{
	const struct gate_mapping *mapping;
	struct nat_stats *stats = datapath->nat_stats.at;
	uint64_t *uses = datapath->nat_uses.at;

	if (!side || !(record->half[0].shared & RECORD_MAPPED))
		return;
	mapping = &side->mapping;
	if (mapping->gateway < PORTS_MAX)
		__atomic_fetch_add(&stats[mapping->gateway].active, (uint64_t)sign, __ATOMIC_RELAXED);
	if (mapping->addr && mapping->use != NAT_USE_NONE)
		__atomic_fetch_add(&uses[mapping->use % NAT_USES], (uint64_t)sign, __ATOMIC_RELAXED);
}

static struct flow_half carried_half(const struct flow_half *old, uint32_t gs)
{
	struct flow_half half = *old;

	half.gs = gs;
	if (half.epoch == EPOCH_TAKEN)
		half.epoch = 0;
	half.own = half.others.packets = half.others.bytes = 0;
	half.told_bytes = half.told_packets = 0;
	half.owner = 0;
	half.tcp_flags = 0; /* comes with the counters */
	return half;
}

/* ret: there is room */
static bool carry_side(struct datapath *datapath, uint32_t index, const struct side *from)
{
	struct side *side = from ? side_claim(datapath, index) : NULL;

	if (side) {
		side->mapping = from->mapping;
		memcpy(side->tickets, from->tickets, sizeof(side->tickets));
	}
	return side || !from;
}

/* ret: the half that the flow's first half is in our table, or NAME_NONE: it is not live any more, or has no room */
static uint32_t carry(struct datapath *datapath, const struct flow_record *copy, const struct limbo *limbo,
		      const struct side *side)
{
	struct flow_record *record;
	struct flow_half half;
	uint32_t index = record_take(datapath), gs;
	bool room;

	if (index == NAME_NONE)
		return NAME_NONE;
	record = &((struct flow_record *)datapath->records.at)[index];
	gs = GS_MAKE(GS_GENERATION(record->half[0].gs) + 1, RECORD_BUSY);
	__atomic_store_n(&record->half[1].shared, CHARGED_NOBODY, __ATOMIC_RELEASE);
	half = carried_half(&copy->half[0], gs);
	half.shared &= ~(RECORD_SIDE | RECORD_MAPPED); /* that, and who is charged, when it is: we may be killed */
	record->half[0] = half;
	half = carried_half(&copy->half[1], gs);
	half.shared = CHARGED_NOBODY;
	record->half[1] = half;
	((struct limbo *)datapath->limbo.at)[index] = *limbo;
	room = carry_side(datapath, index, side);
	charge(datapath, copy, 1);
	__atomic_store_n(&record->half[1].shared, copy->half[1].shared, __ATOMIC_RELEASE);
	charge_mapping(datapath, copy, room ? side : NULL, 1);
	if (room && side)
		(void)__atomic_fetch_or(&record->half[0].shared, copy->half[0].shared & RECORD_MAPPED,
					__ATOMIC_ACQ_REL);
	if (room && record_carried(datapath, index) > 0)
		return index << 1;
	record_uncount(datapath, index);
	record_untake(datapath, index);
	return NAME_NONE;
}

static uint32_t find(struct datapath *datapath, const struct flow_record *record)
{
	uint32_t ref = NAME_NONE;

	if (record->half[0].in)
		ref = name_find(datapath, &record->half[0].tuple, record->half[0].in);
	if (ref == NAME_NONE && record->half[1].in) {
		ref = name_find(datapath, &record->half[1].tuple, record->half[1].in);
		ref ^= ref != NAME_NONE;
	}
	return ref;
}

/* ---- before: all that live, without their counters */

static void carry_live(struct datapath *datapath, const struct former *former)
{
	const struct flow_record *records = former->records.at;
	const struct limbo *limbo = former->limbo.at;

	for (uint32_t i = 0; i < former_used(former); i++) {
		uint32_t gs = __atomic_load_n(&records[i].half[0].gs, __ATOMIC_ACQUIRE);
		struct flow_record copy = records[i];

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (GS_STATE(gs) == RECORD_LIVE && __atomic_load_n(&records[i].half[0].gs, __ATOMIC_RELAXED) == gs &&
		    find(datapath, &copy) == NAME_NONE)
			(void)carry(datapath, &copy, &limbo[i], former_side(former, &copy, i));
	}
}

/* ---- after: counters, and what happened since */

/* What the other table's entry learned while we copied it; ours has seen nothing newer. */
static void take_state(struct flow_half *to, const struct flow_half *from, bool quiet)
{
	if (from->last_ns > to->last_ns)
		to->last_ns = from->last_ns;
	if (!quiet && CT_STATE(from->ct) != CT_CLOSED)
		return;
	to->ct = from->ct;
	to->ack = from->ack;
	to->leg_s = from->leg_s;
	to->idle_s = from->idle_s;
	__atomic_store_n(&to->epoch, 0, __ATOMIC_RELEASE);
}

/* Told of a half, in packets and bytes. */
struct told {
	uint64_t packets, bytes;
};

static struct told told_of(const struct flow_half *half, uint32_t generation)
{
	uint64_t word = half->told_bytes;

	if (!TOLD_IS_OF(word, generation))
		return (struct told){};
	return (struct told){.packets = TOLD_PACKETS(word, half->told_packets), .bytes = TOLD_BYTES(word)};
}

static void set_told(struct flow_half *half, uint32_t generation, struct told told)
{
	__atomic_store_n(&half->told_packets, (uint32_t)told.packets, __ATOMIC_RELEASE);
	__atomic_store_n(&half->told_bytes, TOLD_MAKE(told.packets, told.bytes, generation), __ATOMIC_RELEASE);
}

/* How far the counters of a former half have been taken (F3): in its epoch, which no program looks at any more. */
enum { NOT_TAKEN, TAKING, TAKEN };

/* What was told of ours before stands in the former half while its counters are TAKING: its clock and its
 * acknowledgement have been taken. */
static void note_before(struct flow_half *old, struct told before)
{
	old->ack = (uint32_t)before.packets;
	old->last_ns = TOLD_MAKE(before.packets, before.bytes, 0);
	__atomic_store_n(&old->epoch, TAKING, __ATOMIC_RELEASE);
}

static struct told noted_before(const struct flow_half *old)
{
	return (struct told){.packets = TOLD_PACKETS(old->last_ns, old->ack), .bytes = TOLD_BYTES(old->last_ns)};
}

/* As much more is told of ours as was told of the other one. */
static struct told told_then(struct told before, const struct flow_half *old, uint32_t theirs)
{
	uint64_t packets = half_packets(old), bytes = half_bytes(old);

	return (struct told){.packets = before.packets + packets - half_untold(old, theirs, packets),
			     .bytes = before.bytes + bytes - half_untold_bytes(old, theirs, bytes)};
}

/* What was told first: killed before the counters follow, we have told too much, and nobody tells it again. */
static void take_half(struct flow_half *half, uint32_t generation, struct flow_half *old, uint32_t theirs)
{
	note_before(old, told_of(half, generation));
	set_told(half, generation, told_then(noted_before(old), old, theirs));
	(void)__atomic_fetch_or(&half->tcp_flags, old->tcp_flags, __ATOMIC_RELAXED);
	(void)__atomic_fetch_add(&half->others.bytes, half_bytes(old), __ATOMIC_RELAXED);
	(void)__atomic_fetch_add(&half->others.packets, half_packets(old), __ATOMIC_RELAXED);
	__atomic_store_n(&old->epoch, TAKEN, __ATOMIC_RELEASE);
}

static void skip(struct datapath *datapath, uint32_t port, uint64_t packets)
{
	struct port_stats *stats = datapath->port_stats.at;

	if (port && port < PORTS_MAX)
		__atomic_fetch_add(&stats[port].skipped_accepts, packets, __ATOMIC_RELAXED);
}

/* An agent was killed while it took these counters, before or after they came to ours. Where our half has less than was
 * told they did not, and all that it has is declared with them. Else nobody knows: they are declared, and what ours has
 * beyond what was told is told. */
static void take_rest(struct datapath *datapath, struct flow_half *half, uint32_t generation, struct flow_half *old,
		      uint32_t theirs)
{
	struct told now = told_of(half, generation), then = told_then(noted_before(old), old, theirs);
	uint64_t lost = half_packets(old);

	if (half_packets(half) < then.packets) {
		lost -= then.packets - half_packets(half);
		then = (struct told){.packets = half_packets(half), .bytes = half_bytes(half)};
	} else if (now.packets > then.packets) {
		then = now; /* and that was told since */
	}
	if (then.bytes > half_bytes(half))
		then.bytes = half_bytes(half);
	set_told(half, generation, then);
	skip(datapath, IN_PORT(old->in), lost);
	skip(datapath, old->exit, lost);
	__atomic_store_n(&old->epoch, TAKEN, __ATOMIC_RELEASE);
}

static void take_counters(struct datapath *datapath, uint32_t ref, struct flow_record *from)
{
	struct flow_record *record = &((struct flow_record *)datapath->records.at)[ref >> 1];
	uint32_t generation = GS_GENERATION(record->half[0].gs), theirs = GS_GENERATION(from->half[0].gs);
	bool quiet = !half_packets(&record->half[0]) && !half_packets(&record->half[1]);

	for (uint32_t i = 0; i < 2; i++) {
		struct flow_half *old = &from->half[i], *half = &record->half[i ^ (ref & 1)];

		if (old->epoch == TAKEN)
			continue;
		if (old->epoch == TAKING) {
			take_rest(datapath, half, generation, old, theirs);
			continue;
		}
		take_state(half, old, quiet && !(ref & 1));
		take_half(half, generation, old, theirs);
	}
}

/* Its charges, once (F2). Killed in between, one may stay: never one too few. */
static void give_back(struct datapath *datapath, struct flow_record *old, const struct side *side)
{
	struct flow_record copy = *old;

	(void)__atomic_fetch_and(&old->half[0].shared, ~RECORD_MAPPED, __ATOMIC_ACQ_REL);
	charge_mapping(datapath, &copy, side, -1);
	__atomic_store_n(&old->half[1].shared, CHARGED_NOBODY, __ATOMIC_RELEASE);
	charge(datapath, &copy, -1);
}

/* GONE, which no record but a former one is: an agent is at it, or was killed at it (F3). */
static void begin_one(struct flow_record *old)
{
	old->half[0].epoch = old->half[1].epoch = NOT_TAKEN;
	__atomic_store_n(&old->half[0].gs, GS_MAKE(GS_GENERATION(old->half[0].gs), RECORD_GONE), __ATOMIC_RELEASE);
}

static void finish_one(struct datapath *datapath, struct former *former, uint32_t index)
{
	struct flow_record *old = &((struct flow_record *)former->records.at)[index];
	const struct limbo *limbo = &((struct limbo *)former->limbo.at)[index];
	const struct side *side = former_side(former, old, index);
	uint32_t state = GS_STATE(old->half[0].gs), ref;

	if (state == RECORD_FREE)
		return;
	ref = find(datapath, old);
	if (ref == NAME_NONE && state == RECORD_LIVE)
		ref = carry(datapath, old, limbo, side);
	if (state != RECORD_GONE)
		begin_one(old);
	give_back(datapath, old, side);
	if (ref != NAME_NONE)
		take_counters(datapath, ref, old);
	else
		record_declare(datapath, old); /* the flow is in neither table any more (E26) */
	__atomic_store_n(&old->half[0].gs, GS_MAKE(GS_GENERATION(old->half[0].gs), RECORD_FREE), __ATOMIC_RELEASE);
}

bool datapath_carries(const struct datapath *datapath)
{
	return datapath->former;
}

void datapath_carried(struct datapath *datapath)
{
	struct former *former = datapath->former;

	if (!former)
		return;
	datapath_grace(); /* who was in one of the former programs is out of it */
	for (uint32_t i = 0; i < former_used(former); i++)
		finish_one(datapath, former, i);
	forget(former->pin_dir, "_former");
	former_close(&datapath->former);
}

/* ---- start */

static void inherit(struct control *control, const struct control *old)
{
	memcpy(control->secrets, old->secrets, sizeof(control->secrets));
	memcpy(control->router_mac, old->router_mac, sizeof(control->router_mac));
	memcpy(control->tallies_used, old->tallies_used, sizeof(control->tallies_used));
	control->log_parity = old->log_parity;
	control->agent_alive_ns = old->agent_alive_ns;
	control->generation = old->generation;
}

/* No cookie comes again soon: whichever place a flow has now, it may have one that was made in another. */
static void inherit_cookies(struct datapath *datapath, const struct former *former)
{
	const struct side *old = former->sides.at;
	struct side *sides = datapath->sides.at;
	uint32_t most = 0;

	for (size_t i = 0; i < former->sides.size / sizeof(*old); i++)
		most = old[i].nr_tickets > most ? old[i].nr_tickets : most;
	for (size_t i = 0; most && i < datapath->sides.size / sizeof(*sides); i++)
		sides[i].nr_tickets = most;
}

int former_replace(struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	struct former *former = NULL;
	int r = former_map(pin_dir, "", &former);

	if (r < 0)
		return refuse(ret_why, r, "cannot open the pinned table of flows: %s", strerror(-r));
	inherit(datapath->control.at, former->control.at);
	inherit_cookies(datapath, former);
	former_close(&former);
	return displace(datapath, pin_dir, ret_why);
}

int former_open(struct datapath *datapath, const char *pin_dir, char **ret_why)
{
	int r;

	if (!stands(pin_dir, "control", "_former")) {
		forget(pin_dir, "_former");
		return 0;
	}
	r = former_map(pin_dir, "_former", &datapath->former);
	if (r < 0)
		return refuse(ret_why, r, "cannot open the former table of flows: %s", strerror(-r));
	carry_live(datapath, datapath->former);
	return 0;
}
