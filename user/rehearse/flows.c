/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rehearse/flows.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/names.h"
#include "datapath/beside.h"
#include "datapath/records.h"
#include "rehearse/probe.h"
#include "replay/runner.h"
#include "show/flows.h"

#define ETHERNET 14

/* What became of a packet. */
struct outcome {
	bool asked, passed;
	uint32_t exit;
	uint64_t way; /* a hash of the tuple that it left by */
};

struct live_flow {
	uint32_t index; /* of its record */
	struct probe probe[2];
	struct outcome before[2];
};

struct live_flows {
	struct datapath *datapath;
	struct runner runner;
	uint64_t now_ns;
	struct live_flow *flow;
	size_t nr;
	uint32_t *gs; /* of every record, as it is between questions */
	uint32_t nr_gs;
};

/* ---- one question */

/* Addresses and ports, wherever they stand. */
static uint64_t way_of(const struct verdict *verdict)
{
	const uint8_t *frame = verdict->head;
	bool six = verdict->nr_head > ETHERNET && frame[12] == 0x86;
	size_t from = ETHERNET + (six ? 8 : 12), to = ETHERNET + (six ? 44 : 24);
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = from; i < to && i < verdict->nr_head; i++)
		hash = (hash ^ frame[i]) * 1099511628211ull;
	return hash;
}

/* A record that the packet opened would be in the way of others. */
static void close_opened(struct live_flows *flows)
{
	const struct flow_record *records = datapath_records(flows->datapath);
	uint32_t index = datapath_report(flows->datapath)->record - 1;

	if (index >= flows->nr_gs || records[index].half[0].gs == flows->gs[index])
		return;
	if (record_close(flows->datapath, index, flows->now_ns))
		(void)record_free(flows->datapath, index, flows->now_ns, NULL, NULL);
	flows->gs[index] = records[index].half[0].gs;
}

static const struct port_policy *policy_of(const struct live_flows *flows, uint32_t in)
{
	uint32_t slot = datapath_control(flows->datapath)->generation & 1;

	return &datapath_ports(flows->datapath)[IN_PORT(in) % PORTS_MAX].slot[slot];
}

/* What an appliance returns comes wrapped, with a ticket: that packet cannot be made up from the record alone. */
static bool can_be_asked(const struct live_flows *flows, const struct probe *probe)
{
	const struct port_policy *port = policy_of(flows, probe->in);

	return probe->in && !(port->kind == PORT_UPLINK && port->gateway == ROUTE_GWLBE);
}

static int ask(struct live_flows *flows, const struct live_flow *flow, int which, struct verdict *verdict)
{
	struct flow_record *record = &datapath_records(flows->datapath)[flow->index], kept = *record;
	struct limbo *limbo = &datapath_limbo(flows->datapath)[flow->index], kept_limbo = *limbo;
	const struct beside beside = datapath_beside(flows->datapath);
	struct side *side = beside_side(&beside, record, flow->index), kept_side = side ? *side : (struct side){};
	const struct probe *probe = &flow->probe[which];
	uint8_t frame[PROBE_MAX], router_mac[6];
	volatile struct control *control = datapath_control(flows->datapath);
	size_t length;
	int r;

	for (int i = 0; i < 6; i++)
		router_mac[i] = control->router_mac[i];
	length = probe_frame(probe, policy_of(flows, probe->in), router_mac, frame);
	((struct report *)datapath_report(flows->datapath))->record = 0;
	r = runner_run(&flows->runner, probe->in, flows->now_ns, frame, length, length, verdict);
	if (record->half[0].gs == kept.half[0].gs) { /* L2 */
		*record = kept;
		*limbo = kept_limbo;
		if (side)
			*side = kept_side;
	} else {
		flows->gs[flow->index] = record->half[0].gs;
	}
	close_opened(flows);
	return r;
}

static int ask_before(struct live_flows *flows, struct live_flow *flow, int which)
{
	struct outcome *outcome = &flow->before[which];
	struct verdict verdict;
	int r;

	if (!can_be_asked(flows, &flow->probe[which]))
		return 0;
	r = ask(flows, flow, which, &verdict);
	if (r)
		return r;
	outcome->asked = true;
	outcome->passed = verdict.action != ACTION_DROP;
	outcome->exit = verdict.exit;
	outcome->way = outcome->passed ? way_of(&verdict) : 0;
	return 0;
}

/* ---- all flows */

/* A conversation that is over is remembered for some seconds, but nobody can cut it any more. */
static bool is_closed(const struct flow_record *record)
{
	return CT_STATE(record->half[0].ct) == CT_CLOSED || CT_STATE(record->half[1].ct) == CT_CLOSED;
}

static int collect(struct live_flows *flows)
{
	const struct flow_record *records = datapath_records(flows->datapath);
	const struct beside beside = datapath_beside(flows->datapath);
	uint32_t fresh = datapath_control(flows->datapath)->flows_fresh;
	uint64_t at;

	flows->flow = calloc(fresh + 1, sizeof(*flows->flow));
	if (!flows->flow)
		return -ENOMEM;
	for (uint32_t index = 0; index < fresh; index++) {
		struct live_flow *flow = &flows->flow[flows->nr];

		if (GS_STATE(records[index].half[0].gs) != RECORD_LIVE || is_closed(&records[index]) ||
		    record_expired(&records[index], beside_side(&beside, &records[index], index), flows->now_ns, &at))
			continue;
		flow->index = index;
		for (int which = 0; which < 2; which++)
			flow->probe[which] = probe_of(&records[index], which);
		flows->nr++;
	}
	return 0;
}

static void note_records(struct live_flows *flows)
{
	const struct flow_record *records = datapath_records(flows->datapath);

	for (uint32_t index = 0; index < flows->nr_gs; index++)
		flows->gs[index] = records[index].half[0].gs;
}

int live_flows_ask(struct datapath *copied, struct live_flows **ret)
{
	struct live_flows *flows = calloc(1, sizeof(*flows));
	int r;

	if (!flows)
		return -ENOMEM;
	flows->datapath = copied;
	flows->now_ns = datapath_now_ns(copied);
	flows->nr_gs = datapath_flows_max(copied);
	flows->gs = calloc(flows->nr_gs, sizeof(*flows->gs));
	r = flows->gs ? runner_init(&flows->runner, copied, false) : -ENOMEM;
	if (!r)
		r = collect(flows);
	if (!r)
		note_records(flows);
	for (size_t i = 0; i < flows->nr && !r; i++)
		for (int which = 0; which < 2 && !r; which++)
			r = ask_before(flows, &flows->flow[i], which);
	if (r)
		live_flows_free(&flows);
	*ret = flows;
	return r;
}

void live_flows_free(struct live_flows **flows)
{
	if (*flows) {
		free((*flows)->flow);
		free((*flows)->gs);
	}
	free(*flows);
	*flows = NULL;
}

/* ---- what is told */

struct telling {
	const struct view *view;
	json_t *cut, *moved;
	size_t not_asked;
};

/* The last decision was the drop's if it is of the stage that dropped: where no rule matched there is none. */
static json_t *deciding_rule(const struct live_flows *flows, const struct verdict *verdict)
{
	const char *reason = reason_name(verdict->reason);
	struct decision_text text = {reason, "", ""}, last;
	bool blackhole = verdict->reason == REASON_BLACKHOLE || verdict->reason == REASON_TGW_BLACKHOLE;

	if (verdict->nr_trace && datapath_decision(flows->datapath, verdict->trace[verdict->nr_trace - 1], &last) &&
	    (blackhole || !strcmp(last.stage, reason)))
		text = last;
	return json_pack("{s:s, s:s, s:s}", "stage", text.stage, "id", text.id, "rule", text.rule);
}

/* The flow as `show flows` has it, and more of it. Takes `more`. */
static int tell(const struct telling *telling, const struct live_flow *flow, int which, json_t *list, json_t *more)
{
	const struct flow_record *record = &datapath_records(telling->view->datapath)[flow->index];
	json_t *row = show_flow(telling->view, record, flow->index);
	int r = row && more ? json_object_set_new(row, "direction", json_string(which ? "reverse" : "forward")) : -1;

	if (!r)
		r = json_object_update(row, more);
	json_decref(more);
	if (r)
		json_decref(row);
	return r || json_array_append_new(list, row) ? -ENOMEM : 0;
}

static json_t *port_name(const struct datapath *datapath, uint32_t port)
{
	return port ? json_string(datapath_port_id(datapath, port)) : json_null();
}

/* ret: 1 = there is something to tell of this flow, and it was told | 0 | -errno */
static int compare_one(struct live_flows *flows, const struct live_flow *flow, int which, struct telling *telling)
{
	const struct outcome *before = &flow->before[which];
	struct verdict verdict;
	bool dropped;
	int r;

	if (!before->asked || !before->passed)
		return 0;
	r = ask(flows, flow, which, &verdict);
	if (r)
		return r;
	dropped = verdict.action == ACTION_DROP;
	if (!dropped && verdict.exit == before->exit && way_of(&verdict) == before->way)
		return 0;
	if (dropped)
		r = tell(telling, flow, which, telling->cut,
			 json_pack("{s:s, s:o}", "reason", reason_name(verdict.reason), "decided_by",
				   deciding_rule(flows, &verdict)));
	else
		r = tell(telling, flow, which, telling->moved,
			 json_pack("{s:o, s:o, s:b}", "left_by", port_name(flows->datapath, before->exit), "leaves_by",
				   port_name(flows->datapath, verdict.exit), "readdressed",
				   way_of(&verdict) != before->way));
	return r ? r : 1;
}

/* A direction has packets of which none could be made up. */
static bool cannot_say(const struct live_flow *flow)
{
	return (flow->probe[0].in && !flow->before[0].asked) || (flow->probe[1].in && !flow->before[1].asked);
}

static int compare(struct live_flows *flows, struct telling *telling)
{
	int r = 0;

	for (size_t i = 0; i < flows->nr && r >= 0; i++) {
		const struct live_flow *flow = &flows->flow[i];

		telling->not_asked += cannot_say(flow);
		r = 0;
		for (int which = 0; which < 2 && !r; which++)
			r = compare_one(flows, flow, which, telling);
	}
	return r < 0 ? r : 0;
}

int live_flows_compare(struct live_flows *flows, const struct view *view, json_t **ret)
{
	struct telling telling = {.view = view, .cut = json_array(), .moved = json_array()};
	int r = telling.cut && telling.moved ? 0 : -ENOMEM;

	note_records(flows);
	if (!r)
		r = compare(flows, &telling);
	if (!r)
		*ret = json_pack("{s:I, s:I, s:o, s:o}", "live", (json_int_t)flows->nr, "not_asked",
				 (json_int_t)telling.not_asked, "cut", telling.cut, "moved", telling.moved);
	if (r) {
		json_decref(telling.cut);
		json_decref(telling.moved);
	}
	return r ? r : *ret ? 0 : -ENOMEM;
}
