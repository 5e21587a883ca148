/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old maps are read through their own types (layout.h); what comes out is of our types, and only that is worked
 * with. A carried record has the same halves, without a decision: its next packets are judged, which a tracked flow
 * survives (CT-07). It has another index, so the names are made anew.
 */
#include "datapath/carry.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "datapath/beside.h"
#include "datapath/counts.h"
#include "datapath/internal.h"
#include "datapath/layout.h"
#include "datapath/old_map.h"
#include "datapath/records.h"
#include "enid/names.h"

/* What our set has of an old record. */
struct told {
	uint32_t gs;    /* of the old record; 0 = not carried */
	uint32_t index; /* of ours */
	struct {
		uint64_t packets, bytes, last_ns;
		uint64_t unsaid; /* packets that the old set's logs had not shown */
	} half[2];
};

enum { OLD_RECORDS, OLD_LIMBO, OLD_SIDES, OLD_CONTROL, OLD_PORT_STATS, OLD_NAT_STATS, OLD_NAT_USES, OLD_MAPS };

struct carry {
	struct datapath *datapath;
	const char *root;
	bool former, spare;
	struct old_map old[OLD_MAPS];
	struct moves records, limbo, side;
	uint32_t *side_of; /* by old record: place in the old `sides` + 1, 0 = none */
	struct told *told;
	struct counts *counts; /* of the old set when they were copied */
	uint32_t nr;           /* carried */
};

/* One flow in our types. */
struct flow_copy {
	struct flow_record record;
	struct limbo limbo;
	struct side side;
};

/* ---- the old maps */

static struct typed old_type(const struct carry *carry, int which)
{
	return (struct typed){carry->old[which].btf, carry->old[which].type};
}

static struct typed new_type(const struct carry *carry, const char *name)
{
	return old_map_ours(carry->datapath, name);
}

static const void *old_at(const struct carry *carry, int which, uint32_t index)
{
	const struct old_map *map = &carry->old[which];

	return map->at && index < map->nr ? map->at + map->stride * index : NULL;
}

static int make_flow_moves(struct carry *carry)
{
	const struct typed all[] = {old_type(carry, OLD_RECORDS), old_type(carry, OLD_LIMBO),
				    old_type(carry, OLD_SIDES)};
	const struct typed rest[] = {all[1], all[0], all[2]};
	const struct typed side[] = {all[2], all[1], all[0]};
	int r = moves_make(new_type(carry, "records"), all, ARRAY_SIZE(all), &carry->records);

	if (!r)
		r = moves_make(new_type(carry, "limbo"), rest, ARRAY_SIZE(rest), &carry->limbo);
	if (!r)
		r = moves_make(new_type(carry, "sides"), side, ARRAY_SIZE(side), &carry->side);
	return r;
}

static int old_control(const struct carry *carry, struct control *ret)
{
	const struct typed from = old_type(carry, OLD_CONTROL);
	const void *source = old_at(carry, OLD_CONTROL, 0);
	struct moves moves;
	int r = moves_make(new_type(carry, "control"), &from, 1, &moves);

	memset(ret, 0, sizeof(*ret));
	if (!r)
		moves_do(&moves, ret, &source);
	moves_done(&moves);
	return r;
}

static uint32_t old_used(const struct carry *carry)
{
	struct control control;

	if (old_control(carry, &control) < 0)
		return 0;
	return control.flows_fresh < carry->old[OLD_RECORDS].nr ? control.flows_fresh : carry->old[OLD_RECORDS].nr;
}

static const void *old_side(const struct carry *carry, uint32_t index)
{
	return carry->side_of[index] ? old_at(carry, OLD_SIDES, carry->side_of[index] - 1) : NULL;
}

static void read_flow(const struct carry *carry, uint32_t index, struct flow_copy *ret)
{
	const void *records = old_at(carry, OLD_RECORDS, index), *limbo = old_at(carry, OLD_LIMBO, index);
	const void *side = old_side(carry, index);

	memset(ret, 0, sizeof(*ret));
	moves_do(&carry->records, &ret->record, (const void *const[]){records, limbo, side});
	moves_do(&carry->limbo, &ret->limbo, (const void *const[]){limbo, records, side});
	moves_do(&carry->side, &ret->side, (const void *const[]){side, limbo, records});
	memset(ret->limbo.trace, 0, sizeof(ret->limbo.trace)); /* numbers of another list */
	if (ret->side.owner != index + 1)                      /* it went to another record since find_sides() */
		memset(&ret->side, 0, sizeof(ret->side));
}

/* ---- what stands beside a record */

static struct side read_side(const struct carry *carry, uint32_t place)
{
	const void *source = old_at(carry, OLD_SIDES, place);
	struct side side = {};

	moves_do(&carry->side, &side, (const void *const[]){source, NULL, NULL});
	return side;
}

static void find_sides(struct carry *carry)
{
	uint32_t nr = carry->old[OLD_RECORDS].nr;

	memset(carry->side_of, 0, nr * sizeof(*carry->side_of));
	for (uint32_t place = 0; place < carry->old[OLD_SIDES].nr; place++) {
		uint32_t owner = read_side(carry, place).owner;

		if (owner && owner <= nr)
			carry->side_of[owner - 1] = place + 1;
	}
}

static bool has_side(const struct flow_copy *flow)
{
	const struct flow_half *half = flow->record.half;

	return flow->side.owner || half[0].shared & RECORD_GATED || half[0].leg == LEG_GATE || half[1].leg == LEG_GATE;
}

/* No cookie comes again soon: whichever place a flow has now, it may have one that was made in another. */
static void carry_cookies(const struct carry *carry)
{
	struct datapath *datapath = carry->datapath;
	struct side *sides = datapath->sides.at;
	uint32_t most = 0;

	for (uint32_t i = 0; i < carry->old[OLD_SIDES].nr; i++) {
		struct side side = read_side(carry, i);

		most = side.nr_tickets > most ? side.nr_tickets : most;
	}
	for (size_t i = 0; most && i < datapath->sides.size / sizeof(*sides); i++)
		sides[i].nr_tickets = most;
}

/* What it has beside the record is not known before the next find_sides(). */
static bool lacks_side(const struct flow_copy *flow)
{
	return flow->record.half[0].shared & RECORD_SIDE && !flow->side.owner;
}

/* ret: there is room */
static bool add_side(struct datapath *datapath, const struct flow_copy *flow, uint32_t index)
{
	struct side *side = has_side(flow) ? side_claim(datapath, index) : NULL;

	if (side) {
		side->mapping = flow->side.mapping;
		memcpy(side->tickets, flow->side.tickets, sizeof(side->tickets));
	}
	return side || !has_side(flow);
}

static bool worth_carrying(uint32_t gs)
{
	return GS_STATE(gs) == RECORD_LIVE || GS_STATE(gs) == RECORD_CLOSING;
}

static int check_room(const struct carry *carry, char **ret_why)
{
	uint32_t used = old_used(carry), live = 0;
	struct flow_copy flow;

	for (uint32_t index = 0; index < used; index++) {
		read_flow(carry, index, &flow);
		live += worth_carrying(flow.record.half[0].gs);
	}
	if (live <= carry->datapath->flows_max)
		return 0;
	return refuse(ret_why, -ENOSPC, "%u flows are live below '%s', and there is room for %u (--max-flows)", live,
		      carry->root, carry->datapath->flows_max);
}

int carry_open(struct datapath *datapath, const char *root, bool former, struct carry **ret, char **ret_why)
{
	static const struct {
		const char *name;
		bool needed;
	} maps[OLD_MAPS] = {
		[OLD_RECORDS] = {"records", true},       [OLD_LIMBO] = {"limbo", true},
		[OLD_SIDES] = {"sides", true},           [OLD_CONTROL] = {"control", true},
		[OLD_PORT_STATS] = {"port_stats", true}, [OLD_NAT_STATS] = {"nat_stats", false},
		[OLD_NAT_USES] = {"nat_uses", false},
	};
	struct carry *carry = calloc(1, sizeof(*carry));
	int r = carry ? 0 : -ENOMEM;

	for (int i = 0; i < OLD_MAPS && !r; i++) {
		carry->root = root;
		carry->former = former;
		carry->datapath = datapath;
		/* libbpf makes a map without types where it cannot be made with them: nothing would be found for it */
		r = new_type(carry, maps[i].name).type ? 0 : -ENOMEM;
		if (!r)
			r = old_map_open(root, former, maps[i].name, &carry->old[i]);
		if (r == -ENOENT && !maps[i].needed)
			r = 0;
		if (r < 0)
			(void)refuse(ret_why, r, "cannot take over '%s': map '%s': %s", root, maps[i].name,
				     r == -EPROTO ? "nothing is known of its types" : strerror(-r));
	}
	if (!r)
		r = make_flow_moves(carry);
	if (!r) {
		carry->told = calloc(carry->old[OLD_RECORDS].nr, sizeof(*carry->told));
		carry->side_of = calloc(carry->old[OLD_RECORDS].nr, sizeof(*carry->side_of));
		r = carry->told && carry->side_of ? check_room(carry, ret_why) : -ENOMEM;
	}
	if (r < 0)
		carry_close(&carry);
	*ret = carry;
	return r;
}

void carry_close(struct carry **carry)
{
	struct carry *old = TAKE_PTR(*carry);

	if (!old)
		return;
	for (int i = 0; i < OLD_MAPS; i++)
		old_map_close(&old->old[i]);
	moves_done(&old->records);
	moves_done(&old->limbo);
	moves_done(&old->side);
	free(old->side_of);
	free(old->told);
	free(old->counts);
	free(old);
}

void carry_is_spare(struct carry *carry)
{
	carry->spare = true;
}

uint32_t carry_nr(const struct carry *carry)
{
	return carry->nr;
}

uint64_t carry_last_ns(const struct carry *carry)
{
	uint32_t used = old_used(carry);
	struct flow_copy flow;
	uint64_t last = 0;

	for (uint32_t index = 0; index < used; index++) {
		read_flow(carry, index, &flow);
		for (int i = 0; i < 2 && GS_STATE(flow.record.half[0].gs) == RECORD_LIVE; i++)
			last = flow.record.half[i].last_ns > last ? flow.record.half[i].last_ns : last;
	}
	return last;
}

/* ---- books */

static int copy_names(const struct carry *carry, const char *name, uint32_t max)
{
	int to = datapath_map_fd(carry->datapath, name), r;
	_cleanup_close_ int from = -1;
	struct bpf_map_info info;
	struct port_name id;

	r = old_map_find(carry->root, carry->former, name, &from, &info);
	if (r < 0)
		return r;
	if (info.value_size != sizeof(id))
		return -EPROTO; /* an id is what AWS says */
	for (uint32_t number = 1; number < max && number < info.max_entries; number++) {
		if (bpf_map_lookup_elem(from, &number, &id) < 0 || !id.id[0])
			break;
		if (bpf_map_update_elem(to, &number, &id, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int copy_array(const struct carry *carry, int which, const char *name, void *to, size_t stride, uint32_t nr)
{
	const struct typed from = old_type(carry, which);
	struct moves moves;
	int r = moves_make(new_type(carry, name), &from, 1, &moves);

	for (uint32_t i = 0; i < nr && !r; i++) {
		const void *source = old_at(carry, which, i);

		moves_do(&moves, (uint8_t *)to + stride * i, &source);
	}
	moves_done(&moves);
	return r;
}

static int read_counts(const struct carry *carry, struct counts *ret)
{
	int r = old_control(carry, &ret->control);

	if (!r)
		r = copy_array(carry, OLD_PORT_STATS, "port_stats", ret->ports, sizeof(*ret->ports), PORTS_MAX);
	if (!r)
		r = copy_array(carry, OLD_NAT_STATS, "nat_stats", ret->nats, sizeof(*ret->nats), PORTS_MAX);
	return r;
}

/* What is counted per flow is counted again, flow by flow; fragments are not carried, so none is remembered. */
static int copy_counters(struct carry *carry)
{
	struct port_stats *ports = carry->datapath->port_stats.at;
	struct nat_stats *nats = carry->datapath->nat_stats.at;
	int r;

	if (!carry->counts)
		carry->counts = malloc(sizeof(*carry->counts));
	r = carry->counts ? read_counts(carry, carry->counts) : -ENOMEM;
	if (r < 0)
		return r;
	memcpy(ports, carry->counts->ports, sizeof(carry->counts->ports));
	memcpy(nats, carry->counts->nats, sizeof(carry->counts->nats));
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		ports[port].flows = ports[port].half_open = ports[port].fragments = 0;
		ports[port].fragments_in = 0;
		nats[port].active = 0;
	}
	return 0;
}

/* The old programs counted on until the switch. */
int carry_counted_since(struct carry *carry)
{
	_cleanup_free_ struct counts *now = malloc(sizeof(*now));
	int r = now ? read_counts(carry, now) : -ENOMEM;

	if (!r && carry->counts)
		counts_since(carry->datapath, now, carry->counts);
	return r;
}

int carry_books(struct carry *carry, char **ret_why)
{
	volatile struct control *control = datapath_control(carry->datapath);
	int r = copy_counters(carry);
	struct control old = {};

	if (!r)
		old = carry->counts->control;
	if (!r && old.secrets[0])
		for (size_t i = 0; i < FLOW_SECRETS; i++)
			control->secrets[i] = old.secrets[i];
	control->log_parity = old.log_parity;
	control->closed = old.closed;
	for (int i = 0; i < 2; i++)
		control->tallies_used[i] = old.tallies_used[i];
	if (!r)
		r = copy_names(carry, "port_names", PORTS_MAX);
	if (!r)
		r = copy_names(carry, "subnet_names", SUBNETS_MAX);
	carry_cookies(carry);
	return r < 0 ? refuse(ret_why, r, "cannot carry over the numbers of '%s': %s", carry->root, strerror(-r)) : 0;
}

/* ---- a flow into our set */

static void count_use(const struct carry *carry, const struct gate_mapping *mapping)
{
	const uint64_t *source = old_at(carry, OLD_NAT_USES, mapping->use);
	uint64_t *uses = carry->datapath->nat_uses.at, word, more;

	if (!mapping->addr || mapping->use >= NAT_USES || !source)
		return;
	word = __atomic_load_n(&uses[mapping->use], __ATOMIC_ACQUIRE);
	do
		more = (NAT_USE_COUNT(word) ? word : NAT_USE_PRINT(*source)) + 1;
	while (!__atomic_compare_exchange_n(&uses[mapping->use], &word, more, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE));
}

/* As the opening of a flow does; records.c gives it back. */
static void count_flow(const struct carry *carry, const struct flow_copy *flow)
{
	struct port_stats *ports = carry->datapath->port_stats.at;
	struct nat_stats *nats = carry->datapath->nat_stats.at;
	uint32_t port = flow->record.half[1].shared, flags = flow->record.half[0].shared;

	if (port < PORTS_MAX) {
		__atomic_fetch_add(&ports[port].flows, 1, __ATOMIC_RELAXED);
		if (flags & RECORD_HALF_OPEN)
			__atomic_fetch_add(&ports[port].half_open, 1, __ATOMIC_RELAXED);
	}
	if (!(flags & RECORD_MAPPED) || GS_STATE(flow->record.half[0].gs) != RECORD_LIVE)
		return;
	if (flow->side.mapping.gateway < PORTS_MAX)
		__atomic_fetch_add(&nats[flow->side.mapping.gateway].active, 1, __ATOMIC_RELAXED);
	count_use(carry, &flow->side.mapping);
}

static void note_told(struct told *told, uint32_t gs, uint32_t index, const struct flow_copy *flow)
{
	const struct flow_record *record = &flow->record;
	uint32_t generation = GS_GENERATION(record->half[0].gs);

	told->gs = gs;
	told->index = index;
	for (int i = 0; i < 2; i++) {
		told->half[i].unsaid = half_untold(&record->half[i], generation, half_packets(&record->half[i]));
		told->half[i].packets = half_packets(&record->half[i]);
		told->half[i].bytes = half_bytes(&record->half[i]);
		told->half[i].last_ns = record->half[i].last_ns;
	}
}

static void set_state(struct flow_record *record, uint32_t gs)
{
	__atomic_store_n(&record->half[1].gs, gs, __ATOMIC_RELEASE);
	__atomic_store_n(&record->half[0].gs, gs, __ATOMIC_RELEASE);
}

/* What a decision was made of is another thing now: rules have other numbers, and epochs begin anew. */
static void forget_decisions(struct flow_record *record)
{
	for (int i = 0; i < 2; i++) {
		record->half[i].epoch = 0;
		record->half[i].nr_trace = 0;
	}
}

static void skip(const struct carry *carry, uint32_t port, uint64_t packets)
{
	struct port_stats *ports = carry->datapath->port_stats.at;

	if (port && port < PORTS_MAX)
		__atomic_fetch_add(&ports[port].skipped_accepts, packets, __ATOMIC_RELAXED);
}

/* No log will show these packets of a half: that is declared, as the kernel's sweeper does (E26). */
static void skip_half(const struct carry *carry, const struct flow_half *half, uint64_t packets)
{
	skip(carry, IN_PORT(half->in), packets);
	skip(carry, half->exit, packets);
}

/* What gives it back looks at the record: nothing stands there that is not counted yet, we may be killed (records.c).
 */
static void count_carried(const struct carry *carry, const struct flow_copy *flow, struct flow_record *record)
{
	count_flow(carry, flow);
	__atomic_store_n(&record->half[1].shared, flow->record.half[1].shared, __ATOMIC_RELEASE);
	if (GS_STATE(flow->record.half[0].gs) == RECORD_LIVE)
		(void)__atomic_fetch_or(&record->half[0].shared, flow->record.half[0].shared & RECORD_MAPPED,
					__ATOMIC_ACQ_REL);
}

/* ret: 0 | -ENOSPC | -ENOBUFS: no side is free | -EEXIST: no room for its names, or another has them | another -errno
 */
static int add_flow(struct carry *carry, const struct flow_copy *flow, struct told *told)
{
	struct datapath *datapath = carry->datapath;
	uint32_t gs = flow->record.half[0].gs, index = record_take(datapath);
	struct flow_record ours, *record = &((struct flow_record *)datapath->records.at)[index];
	int carried = 1;

	if (index == UINT32_MAX)
		return -ENOSPC;
	ours = flow->record;
	ours.half[0].shared &= ~(RECORD_SIDE | RECORD_MAPPED);
	ours.half[1].shared = CHARGED_NOBODY;
	for (int i = 0; i < 2; i++)
		ours.half[i].own &= ~OWN_MOVING;
	set_state(&ours, GS_MAKE(GS_GENERATION(gs), RECORD_BUSY));
	forget_decisions(&ours);
	*record = ours;
	((struct limbo *)datapath->limbo.at)[index] = flow->limbo;
	if (!add_side(datapath, flow, index)) {
		record_untake(datapath, index);
		return -ENOBUFS;
	}
	count_carried(carry, flow, record);
	if (GS_STATE(gs) == RECORD_LIVE) {
		carried = record_carried(datapath, index);
	} else {
		set_state(record, gs);
		__atomic_store_n(&record->half[1].gs, GS_GONE(datapath_now_ns(datapath)), __ATOMIC_RELEASE);
	}
	if (carried <= 0) {
		record_uncount(datapath, index);
		record_untake(datapath, index);
		return carried ? carried : -EEXIST;
	}
	note_told(told, gs, index, flow);
	carry->nr++;
	return 0;
}

/* ---- a flow that our set has already */

/* Nothing of ours has passed: the half is as the old set knows it now. */
static void refresh_half(struct flow_half *to, const struct flow_half *from)
{
	to->ct = from->ct;
	to->flags = from->flags;
	to->tcp_flags |= from->tcp_flags;
	to->idle_s = from->idle_s;
	to->leg_s = from->leg_s;
	to->ack = from->ack;
	__atomic_store_n(&to->last_ns, from->last_ns, __ATOMIC_RELEASE);
}

/* A ticket, and with it a side, may have come after the first copy. */
static void refresh_side(const struct carry *carry, const struct flow_copy *flow, uint32_t index)
{
	const struct flow_record *record = &((const struct flow_record *)carry->datapath->records.at)[index];
	const struct beside beside = datapath_beside(carry->datapath);
	struct side *side = beside_side(&beside, record, index);

	if (!flow->side.owner)
		return;
	if (!side) {
		(void)add_side(carry->datapath, flow, index);
		return;
	}
	side->mapping.closed_ns = flow->side.mapping.closed_ns;
	side->mapping.idle_s = flow->side.mapping.idle_s;
	side->mapping.ct = flow->side.mapping.ct;
	side->mapping.paused = flow->side.mapping.paused;
	memcpy(side->tickets, flow->side.tickets, sizeof(side->tickets));
}

static void update_flow(const struct carry *carry, const struct flow_copy *flow, struct told *told, bool in_use)
{
	struct flow_record *record = &((struct flow_record *)carry->datapath->records.at)[told->index];
	uint64_t last_ns[2] = {record->half[0].last_ns, record->half[1].last_ns};
	bool ours = in_use && (last_ns[0] != told->half[0].last_ns || last_ns[1] != told->half[1].last_ns);

	for (int i = 0; i < 2; i++) {
		const struct flow_half *from = &flow->record.half[i];
		struct flow_half *to = &record->half[i];

		__atomic_fetch_add(&to->others.packets, half_packets(from) - told->half[i].packets, __ATOMIC_RELAXED);
		__atomic_fetch_add(&to->others.bytes, half_bytes(from) - told->half[i].bytes, __ATOMIC_RELAXED);
		if (!ours)
			refresh_half(to, from);
	}
	if (!ours) {
		refresh_side(carry, flow, told->index);
		if (record->half[0].shared & RECORD_HALF_OPEN && !(flow->record.half[0].shared & RECORD_HALF_OPEN) &&
		    __atomic_fetch_and(&record->half[0].shared, ~RECORD_HALF_OPEN, __ATOMIC_ACQ_REL) & RECORD_HALF_OPEN)
			__atomic_fetch_sub(&((struct port_stats *)
						     carry->datapath->port_stats.at)[record->half[1].shared % PORTS_MAX]
						    .half_open,
					   1, __ATOMIC_RELAXED);
	}
	note_told(told, told->gs, told->index, flow);
}

/* Our record may have ended by itself, and another flow be in its place. */
static bool has_it(const struct carry *carry, const struct told *told)
{
	const struct flow_record *record = &((const struct flow_record *)carry->datapath->records.at)[told->index];
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);

	return GS_GENERATION(gs) == GS_GENERATION(told->gs) && worth_carrying(gs);
}

/* Ours ends, too. Whether its mapping ended by silence has been counted there. */
static void close_ours(const struct carry *carry, const struct told *told)
{
	const struct flow_record *record = &((const struct flow_record *)carry->datapath->records.at)[told->index];
	const struct beside beside = datapath_beside(carry->datapath);
	struct side *side = beside_side(&beside, record, told->index);

	if (side)
		side->mapping.ct = CT_CLOSED;
	(void)record_close(carry->datapath, told->index, datapath_now_ns(carry->datapath));
}

/* Flows that ended wait in ours, which nothing sweeps before the switch, and new ones come. */
static bool is_scarce(const struct carry *carry)
{
	const struct control *control = carry->datapath->control.at;
	uint32_t max = carry->datapath->flows_max;

	return __atomic_load_n(&control->flows_used, __ATOMIC_RELAXED) >= max - max / 8;
}

/* The old set has freed the flow: it went to its gateway's account there, and its sweeper declared what no log had
 * shown (carry_counted_since()). But ours shows it, up to what was copied, if there is room for it until then. */
static void end_flow(const struct carry *carry, struct told *told, bool in_use)
{
	struct flow_record *record = &((struct flow_record *)carry->datapath->records.at)[told->index];
	uint32_t index = told->index;

	close_ours(carry, told);
	(void)__atomic_fetch_and(&record->half[0].shared, ~RECORD_GATED, __ATOMIC_ACQ_REL);
	told->gs = 0;
	if (!in_use && is_scarce(carry) &&
	    record_free(carry->datapath, index, datapath_now_ns(carry->datapath) + 4 * LIMBO_NS, NULL, NULL))
		return;
	for (int i = 0; i < 2; i++)
		skip_half(carry, &record->half[i], -told->half[i].unsaid);
}

/* Ours was ended by its own packets, and is freed: what the old set counted after the last copy. */
static void declare_rest(const struct carry *carry, const struct flow_copy *flow, const struct told *told)
{
	for (int i = 0; i < 2; i++)
		skip_half(carry, &flow->record.half[i], half_packets(&flow->record.half[i]) - told->half[i].packets);
}

static int carry_one(struct carry *carry, uint32_t index, bool in_use)
{
	struct told *told = &carry->told[index];
	struct flow_copy flow;
	uint32_t gs;
	int r;

	read_flow(carry, index, &flow);
	gs = flow.record.half[0].gs;
	if (told->gs && !has_it(carry, told)) {
		bool same = GS_GENERATION(told->gs) == GS_GENERATION(gs);

		told->gs = 0;
		if (same && in_use) {
			declare_rest(carry, &flow, told);
			return 0;
		}
	}
	if (told->gs && (GS_GENERATION(told->gs) != GS_GENERATION(gs) || !worth_carrying(gs)))
		end_flow(carry, told, in_use);
	if (!worth_carrying(gs))
		return 0;
	if (!told->gs) {
		r = lacks_side(&flow) ? -EAGAIN : add_flow(carry, &flow, told);
		if (r < 0 && in_use && !carry->spare)
			record_declare(carry->datapath, &flow.record); /* no way back, and the others are known */
		return in_use || r == -EEXIST || r == -EAGAIN ? 0 : r;
	}
	update_flow(carry, &flow, told, in_use);
	if (told->gs != gs)
		close_ours(carry, told);
	told->gs = gs;
	return 0;
}

int carry_flows(struct carry *carry, bool in_use)
{
	uint32_t used = old_used(carry);
	int r = 0;

	find_sides(carry);
	for (uint32_t index = 0; index < used && !r; index++)
		r = carry_one(carry, index, in_use);
	return r;
}
