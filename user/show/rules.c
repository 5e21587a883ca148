/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show rules, drops: what decided, and how often. `flows`, `packets` and `rejects` are those of the flows that
 * live now, and the rejects that no flow log has taken yet; `total` and `last_use` are what the collector has kept of
 * the rule since counting began (flowlog/rulebook.h), restarts included. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datapath/beside.h"
#include "enid/policy.h"
#include "base/names.h"
#include "flowlog/rulebook.h"
#include "show/show.h"

/* One decision number and what it decided. */
struct hit {
	uint32_t decision;
	uint64_t flows, packets, rejects;
};

struct hits {
	struct hit *hits;
	size_t nr, size;
};

static int add_hit(struct hits *hits, const struct hit *hit)
{
	if (hits->nr == hits->size) {
		size_t size = hits->size ? 2 * hits->size : 1024;
		struct hit *more = realloc(hits->hits, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		hits->hits = more;
		hits->size = size;
	}
	hits->hits[hits->nr++] = *hit;
	return 0;
}

static int compare_hits(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	return x->decision < y->decision ? -1 : x->decision > y->decision;
}

static void merge_hits(struct hits *hits)
{
	size_t last = 0;

	if (!hits->nr)
		return;
	qsort(hits->hits, hits->nr, sizeof(*hits->hits), compare_hits);
	for (size_t i = 1; i < hits->nr; i++) {
		struct hit *into = &hits->hits[last];

		if (hits->hits[i].decision != into->decision) {
			hits->hits[++last] = hits->hits[i];
			continue;
		}
		into->flows += hits->hits[i].flows;
		into->packets += hits->hits[i].packets;
		into->rejects += hits->hits[i].rejects;
	}
	hits->nr = last + 1;
}

/* Every rule of the objects that ports and subnets point at: also those that decided nothing. */
static int add_object(const struct view *view, struct hits *hits, uint32_t line, enum enid_stage stage)
{
	struct policy_line header;
	int r = 0;

	if (!line || bpf_map_lookup_elem(datapath_map_fd(view->datapath, "policy"), &line, &header))
		return 0;
	for (uint32_t i = 0; !r && i < header.w[POLICY_W_RULES]; i++) {
		struct hit hit = {.decision = DECISION(stage, header.w[POLICY_W_RULE_BASE] + i)};

		r = add_hit(hits, &hit);
	}
	return r;
}

/* The routes of a table version. */
static int add_table(const struct view *view, struct hits *hits, uint32_t number, enum enid_stage stage)
{
	struct table_version table;
	int r = 0;

	if (!number || bpf_map_lookup_elem(datapath_map_fd(view->datapath, "tables"), &number, &table))
		return 0;
	for (uint32_t i = 0; !r && i < table.nr_rules; i++) {
		struct hit hit = {.decision = DECISION(stage, table.rule_base + i)};

		r = add_hit(hits, &hit);
	}
	return r;
}

static int add_objects(const struct view *view, struct hits *hits)
{
	int fd = datapath_map_fd(view->datapath, "subnets"), r = 0;
	struct subnet subnet;

	for (uint32_t port = 1; !r && port < view->nr_ports; port++) {
		r = add_object(view, hits, view_port(view, port)->sg_out, STAGE_SG_EGRESS);
		if (!r)
			r = add_object(view, hits, view_port(view, port)->sg_in, STAGE_SG_INGRESS);
	}
	for (uint32_t i = 1; !r && i < SUBNETS_MAX; i++) {
		if (bpf_map_lookup_elem(fd, &i, &subnet))
			continue;
		r = add_object(view, hits, subnet.slot[view->slot].nacl_out, STAGE_NACL_EGRESS);
		if (!r)
			r = add_object(view, hits, subnet.slot[view->slot].nacl_in, STAGE_NACL_INGRESS);
		if (!r)
			r = add_table(view, hits, subnet.slot[view->slot].table, STAGE_ROUTE);
	}
	merge_hits(hits);
	return r;
}

static int add_flows(const struct view *view, struct hits *hits)
{
	const struct flow_record *records = datapath_records(view->datapath);
	const struct beside beside = datapath_beside(view->datapath);
	uint32_t fresh = datapath_control(view->datapath)->flows_fresh, max = datapath_flows_max(view->datapath);

	for (uint32_t i = 0; i < fresh && i < max; i++) {
		if (GS_STATE(records[i].half[0].gs) != RECORD_LIVE)
			continue;
		for (int side = 0; side < 2; side++) {
			const struct flow_half *half = &records[i].half[side];

			for (int t = 0; t < half->nr_trace && t < HALF_TRACE_MAX; t++) {
				struct hit hit = {.decision = beside_trace(&beside, i, side)[t],
						  .flows = 1,
						  .packets = half_packets(half)};
				int r = add_hit(hits, &hit);

				if (r)
					return r;
			}
		}
		if (hits->nr > 1u << 22)
			merge_hits(hits);
	}
	return 0;
}

static int add_tallies(const struct view *view, struct hits *hits)
{
	int fd = datapath_map_fd(view->datapath, "tallies"), r = 0;
	struct tally_key key, *before = NULL;
	struct tally tally;

	for (; !r && !bpf_map_get_next_key(fd, before, &key); before = &key) {
		struct hit hit = {0};

		if (!key.reject || bpf_map_lookup_elem(fd, &key, &tally) || !tally_refused_by(&key, &tally))
			continue;
		hit.decision = tally_refused_by(&key, &tally);
		hit.rejects = tally.packets;
		r = add_hit(hits, &hit);
	}
	return r;
}

/* A decision by its words; id NULL = nobody knows them any more. */
struct rule {
	struct decision_text text;
	struct hit hit;
};

/* What the collector has kept. */
struct uses {
	struct rule_use *uses;
	size_t nr;
	uint32_t since_s;
	bool unused_only;
};

static int compare_rules(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	uint32_t stage_x = DECISION_STAGE(x->hit.decision), stage_y = DECISION_STAGE(y->hit.decision);
	int order;

	if (stage_x != stage_y)
		return stage_x < stage_y ? -1 : 1;
	if (!x->text.id || !y->text.id)
		return x->text.id ? -1 : y->text.id ? 1 : compare_hits(&x->hit, &y->hit);
	order = strcmp(x->text.id, y->text.id);
	return order ? order : strverscmp(x->text.rule, y->text.rule);
}

static const struct rule_use *find_use(const struct uses *uses, const struct rule *rule)
{
	struct rule_words words = {.stage = DECISION_STAGE(rule->hit.decision)};
	size_t low = 0, high = uses->nr;

	snprintf(words.id, sizeof(words.id), "%s", rule->text.id ? rule->text.id : "");
	snprintf(words.rule, sizeof(words.rule), "%s", rule->text.id ? rule->text.rule : "");
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = rule_words_compare(&words, &uses->uses[middle].words);

		if (!order)
			return &uses->uses[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Unused: neither a packet that was counted, nor one that will be. A number that nobody can name is no rule. */
static bool is_unused(const struct rule *rule, const struct rule_use *use)
{
	return rule->text.id && !(use && use->packets) && !rule->hit.packets && !rule->hit.rejects;
}

static json_t *time_value(uint32_t at_s)
{
	time_t at = at_s;
	char text[32];
	struct tm tm;

	if (!at_s || !gmtime_r(&at, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(text);
}

static void print_rule(struct output *output, const struct uses *uses, const struct rule *rule)
{
	const struct rule_use *use = find_use(uses, rule);
	json_t *words;

	if (uses->unused_only && !is_unused(rule, use))
		return;
	words = rule->text.id ? json_string(rule->text.rule) : json_sprintf("%u", DECISION_NUMBER(rule->hit.decision));
	output_row(output,
		   json_pack("{s:s, s:s?, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "stage",
			     view_stage_name(rule->hit.decision), "id", rule->text.id, "rule", words, "flows",
			     (json_int_t)rule->hit.flows, "packets", (json_int_t)rule->hit.packets, "rejects",
			     (json_int_t)rule->hit.rejects, "total", (json_int_t)(use ? use->packets : 0),
			     "total_bytes", (json_int_t)(use ? use->bytes : 0), "last_use",
			     time_value(use ? use->last_s : 0), "since", time_value(uses->since_s)),
		   NULL);
}

/* One row a rule: its families and peers, and what is left of it from before an edit, are decisions of their own. */
static int print_rules(const struct view *view, const struct hits *hits, const struct uses *uses, struct output *output)
{
	struct rule *rules = calloc(hits->nr + 1, sizeof(*rules)), *row = rules;

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < hits->nr; i++) {
		rules[i].hit = hits->hits[i];
		if (!datapath_decision(view->datapath, hits->hits[i].decision, &rules[i].text))
			rules[i].text.id = NULL;
	}
	qsort(rules, hits->nr, sizeof(*rules), compare_rules);
	for (size_t i = 1; i < hits->nr; i++) {
		if (compare_rules(row, &rules[i])) {
			print_rule(output, uses, row);
			row = &rules[i];
			continue;
		}
		row->hit.flows += rules[i].hit.flows;
		row->hit.packets += rules[i].hit.packets;
		row->hit.rejects += rules[i].hit.rejects;
	}
	if (hits->nr)
		print_rule(output, uses, row);
	free(rules);
	return 0;
}

static int show_hits(const struct view *view, struct output *output, bool json, const struct uses *uses)
{
	static const char *const columns[] = {"stage",   "id",    "rule",     "flows", "packets",
					      "rejects", "total", "last_use", NULL};
	struct hits hits = {0};
	int r = add_objects(view, &hits);

	if (!r)
		r = add_flows(view, &hits);
	if (!r)
		r = add_tallies(view, &hits);
	if (!r) {
		merge_hits(&hits);
		output_begin(output, json, columns);
		r = print_rules(view, &hits, uses, output);
		if (!r)
			r = output_end(output);
	}
	free(hits.hits);
	return r;
}

int show_rules(const struct view *view, struct output *output, bool json)
{
	struct uses uses = {.unused_only = view->unused_only};
	int r = rulebook_read(view->run_dir, &uses.uses, &uses.nr, &uses.since_s);

	if (r && view->unused_only)
		return r; /* nobody has counted: every rule would seem unused */
	r = show_hits(view, output, json, &uses);
	free(uses.uses);
	return r;
}

int show_drops(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"port", "reason", "packets", "bytes", NULL};
	static const char *const order[] = {"port", "reason", NULL};
	int fd = datapath_map_fd(view->datapath, "port_drops");
	struct drop_key key, *before = NULL;
	json_t *rows = json_array(), *row;
	struct counter counter;
	size_t i;

	for (; !bpf_map_get_next_key(fd, before, &key); before = &key) {
		if (bpf_map_lookup_elem(fd, &key, &counter))
			continue;
		json_array_append_new(rows, json_pack("{s:o, s:s, s:I, s:I}", "port", view_port_name(view, key.port),
						      "reason", reason_name(key.reason), "packets",
						      (json_int_t)counter.packets, "bytes", (json_int_t)counter.bytes));
	}
	output_sort(rows, order);
	output_begin(output, json, columns);
	json_array_foreach (rows, i, row) {
		output_row(output, json_incref(row), NULL);
	}
	json_decref(rows);
	return output_end(output);
}
