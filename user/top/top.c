/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "top/top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "agent/status.h"
#include "datapath/beside.h"
#include "show/flows.h"

struct mark {
	uint32_t generation; /* 0 = not in use */
	struct counter half[2];
};

struct busy_flow {
	uint32_t index;
	struct counter count;
};

struct busy_port {
	uint32_t port;
	struct counter in, out; /* as the guest sees it */
};

struct busy_rule {
	uint32_t decision;
	uint64_t packets;
	UT_hash_handle hh;
};

struct sums {
	const struct view *view;
	struct busy_port *ports; /* by number */
	struct busy_flow *flows;
	size_t nr_flows;
	struct busy_rule *rules;
	double seconds;
};

/* ---- looks */

static struct mark mark_of(const struct flow_record *record)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);
	struct mark mark = {};

	if (GS_STATE(gs) != RECORD_LIVE)
		return mark;
	for (int side = 0; side < 2; side++)
		mark.half[side] = (struct counter){.packets = half_packets(&record->half[side]),
						   .bytes = half_bytes(&record->half[side])};
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED) == gs)
		mark.generation = GS_GENERATION(gs) + 1;
	return mark;
}

int look_take(const struct view *view, struct look *ret)
{
	const struct flow_record *records = datapath_records(view->datapath);
	uint32_t nr = datapath_control(view->datapath)->flows_fresh, max = datapath_flows_max(view->datapath);
	struct look look = {.nr = nr < max ? nr : max};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	look.at_ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	look.marks = calloc(look.nr + 1, sizeof(*look.marks));
	look.drops = status_drops(view->datapath);
	if (!look.marks || !look.drops) {
		look_done(&look);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < look.nr; i++)
		look.marks[i] = mark_of(&records[i]);
	*ret = look;
	return 0;
}

void look_done(struct look *look)
{
	free(look->marks);
	json_decref(look->drops);
	*look = (struct look){};
}

/* ---- sums */

static void add(struct counter *to, const struct counter *more)
{
	to->packets += more->packets;
	to->bytes += more->bytes;
}

static int add_rules(struct sums *sums, const struct flow_half *half, const uint32_t *trace, uint64_t packets)
{
	for (int i = 0; packets && i < half->nr_trace && i < HALF_TRACE_MAX; i++) {
		struct busy_rule *rule;

		if (!trace[i])
			continue;
		HASH_FIND(hh, sums->rules, &trace[i], sizeof(trace[i]), rule);
		if (!rule) {
			rule = calloc(1, sizeof(*rule));
			if (!rule)
				return -ENOMEM;
			rule->decision = trace[i];
			HASH_ADD(hh, sums->rules, decision, sizeof(rule->decision), rule);
		}
		rule->packets += packets;
	}
	return 0;
}

static int add_flow(struct sums *sums, uint32_t index, const struct mark *before, const struct mark *now)
{
	const struct flow_record *record = &datapath_records(sums->view->datapath)[index];
	const struct beside beside = datapath_beside(sums->view->datapath);
	struct busy_flow flow = {.index = index};
	int r = 0;

	for (int side = 0; side < 2 && !r; side++) {
		const struct flow_half *half = &record->half[side];
		struct counter more = now->half[side];
		uint32_t from = IN_PORT(half->in), to = half->exit;

		if (before && before->generation == now->generation) {
			more.packets -= before->half[side].packets;
			more.bytes -= before->half[side].bytes;
		}
		add(&flow.count, &more);
		if (from < PORTS_MAX)
			add(&sums->ports[from].out, &more);
		if (to < PORTS_MAX)
			add(&sums->ports[to].in, &more);
		r = add_rules(sums, half, beside_trace(&beside, index, side), more.packets);
	}
	if (flow.count.packets)
		sums->flows[sums->nr_flows++] = flow;
	return r;
}

/* ---- rows: the busiest first */

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare_flows(const void *a, const void *b)
{
	return by_number(((const struct busy_flow *)a)->count.bytes, ((const struct busy_flow *)b)->count.bytes);
}

static int compare_ports(const void *a, const void *b)
{
	const struct busy_port *left = a, *right = b;

	return by_number(left->in.bytes + left->out.bytes, right->in.bytes + right->out.bytes);
}

static int compare_rules(const struct busy_rule *a, const struct busy_rule *b)
{
	return by_number(a->packets, b->packets);
}

static json_int_t rate(const struct sums *sums, uint64_t number)
{
	return (json_int_t)((double)number / sums->seconds + 0.5);
}

static json_t *port_rows(struct sums *sums, size_t rows)
{
	const struct port_stats *stats = datapath_port_stats(sums->view->datapath);
	json_t *list = json_array();

	for (uint32_t port = 0; port < PORTS_MAX; port++)
		sums->ports[port].port = port;
	memset(&sums->ports[0], 0, sizeof(sums->ports[0])); /* nobody */
	qsort(sums->ports, PORTS_MAX, sizeof(*sums->ports), compare_ports);
	for (size_t i = 0; i < rows && sums->ports[i].in.packets + sums->ports[i].out.packets; i++) {
		const struct busy_port *port = &sums->ports[i];

		(void)json_array_append_new(
			list, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "eni", view_port_name(sums->view, port->port),
					"in_packets_s", rate(sums, port->in.packets), "in_bytes_s",
					rate(sums, port->in.bytes), "out_packets_s", rate(sums, port->out.packets),
					"out_bytes_s", rate(sums, port->out.bytes), "flows",
					(json_int_t)stats[port->port].flows));
	}
	return list;
}

static json_t *flow_rows(struct sums *sums, size_t rows)
{
	const struct view *view = sums->view;
	json_t *list = json_array();

	qsort(sums->flows, sums->nr_flows, sizeof(*sums->flows), compare_flows);
	for (size_t i = 0; i < rows && i < sums->nr_flows; i++) {
		const struct busy_flow *flow = &sums->flows[i];
		json_t *row = show_flow(view, &datapath_records(view->datapath)[flow->index], flow->index);

		(void)json_object_set_new(row, "packets_s", json_integer(rate(sums, flow->count.packets)));
		(void)json_object_set_new(row, "bytes_s", json_integer(rate(sums, flow->count.bytes)));
		(void)json_array_append_new(list, row);
	}
	return list;
}

static json_t *rule_rows(struct sums *sums, size_t rows)
{
	json_t *list = json_array();

	HASH_SORT(sums->rules, compare_rules);
	for (struct busy_rule *rule = sums->rules; rule && rows; rule = rule->hh.next, rows--)
		(void)json_array_append_new(list,
					    json_pack("{s:o, s:I}", "rule", view_decision(sums->view, rule->decision),
						      "packets_s", rate(sums, rule->packets)));
	return list;
}

static int compare_drops(const void *a, const void *b)
{
	const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;

	return by_number((uint64_t)json_integer_value(json_object_get(left, "packets_s")),
			 (uint64_t)json_integer_value(json_object_get(right, "packets_s")));
}

static uint64_t more_than(const json_t *now, const json_t *before, const char *key)
{
	return (uint64_t)(json_integer_value(json_object_get(now, key)) -
			  json_integer_value(json_object_get(before, key)));
}

static json_t *drop_rows(const struct sums *sums, const struct look *before, const struct look *now, size_t rows)
{
	json_t *row[REASON_MAX] = {}, *list = json_array(), *counter;
	const char *reason;
	size_t nr = 0;

	json_object_foreach (now->drops, reason, counter) {
		const json_t *then = json_object_get(before->drops, reason);

		if (nr < REASON_MAX && more_than(counter, then, "packets"))
			row[nr++] = json_pack("{s:s, s:I, s:I, s:O}", "reason", reason, "packets_s",
					      rate(sums, more_than(counter, then, "packets")), "bytes_s",
					      rate(sums, more_than(counter, then, "bytes")), "packets",
					      json_object_get(counter, "packets"));
	}
	qsort(row, nr, sizeof(*row), compare_drops);
	for (size_t i = 0; i < nr; i++) {
		if (i < rows)
			(void)json_array_append(list, row[i]);
		json_decref(row[i]);
	}
	return list;
}

static void sums_done(struct sums *sums)
{
	struct busy_rule *rule, *next;

	HASH_ITER (hh, sums->rules, rule, next) {
		HASH_DEL(sums->rules, rule);
		free(rule);
	}
	free(sums->ports);
	free(sums->flows);
}

int top_between(const struct view *view, const struct look *before, const struct look *now, size_t rows, json_t **ret)
{
	struct sums sums = {.view = view, .seconds = (double)(now->at_ns - before->at_ns) / 1e9};
	int r = 0;

	sums.ports = calloc(PORTS_MAX, sizeof(*sums.ports));
	sums.flows = calloc(now->nr + 1, sizeof(*sums.flows));
	if (!sums.ports || !sums.flows)
		r = -ENOMEM;
	for (uint32_t i = 0; i < now->nr && !r; i++)
		if (now->marks[i].generation)
			r = add_flow(&sums, i, i < before->nr ? &before->marks[i] : NULL, &now->marks[i]);
	if (!r)
		*ret = json_pack("{s:f, s:{s:I, s:I}, s:o, s:o, s:o, s:o}", "seconds", sums.seconds, "records", "live",
				 (json_int_t)datapath_flows_used(view->datapath), "max",
				 (json_int_t)datapath_flows_max(view->datapath), "enis", port_rows(&sums, rows),
				 "flows", flow_rows(&sums, rows), "rules", rule_rows(&sums, rows), "drops",
				 drop_rows(&sums, before, now, rows));
	sums_done(&sums);
	return r || *ret ? r : -ENOMEM;
}
