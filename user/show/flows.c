/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show flows, nat: the records, one line each, in the words of conntrack(8); and the address pairs of gateways. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "datapath/beside.h"
#include "datapath/records.h"
#include "show/flows.h"
#include "show/nat.h"
#include "show/show.h"

#define NS_PER_S 1000000000ull

/* As an ENI that tracks the flow saw it; an untracked flow has no state (CT-13). */
static const char *conversation_name(const struct flow_record *record)
{
	static const char *const tcp[] = {"SYN_SENT", "SYN_RECV", "SYN_RECV", "ESTABLISHED",
					  "FIN_WAIT", "FIN_WAIT", "CLOSE"};
	static const char *const udp[] = {"UNREPLIED", "REPLIED", "REPLIED", "STREAM", "STREAM", "STREAM", "CLOSE"};
	const struct flow_half *half = &record->half[record->half[0].leg != LEG_TRACKED];
	uint32_t state = CT_STATE(half->ct);

	if (half->leg != LEG_TRACKED || state > CT_CLOSED)
		return "NONE";
	if (half->tuple.proto == IPPROTO_TCP)
		return tcp[state];
	return half->tuple.proto == IPPROTO_UDP ? udp[state] : "OPEN";
}

static json_t *protocol_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return json_string("tcp");
	case IPPROTO_UDP:
		return json_string("udp");
	case IPPROTO_ICMP:
		return json_string("icmp");
	case IPPROTO_ICMPV6:
		return json_string("icmpv6");
	default:
		return json_sprintf("%u", proto);
	}
}

/* A record that stays the same flow while it is copied. */
static bool copy_live(const struct flow_record *record, struct flow_record *ret)
{
	uint32_t gs = __atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE);

	if (GS_STATE(gs) != RECORD_LIVE)
		return false;
	memcpy(ret, record, sizeof(*ret));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&record->half[0].gs, __ATOMIC_RELAXED) == gs;
}

static json_t *half_value(const struct view *view, const struct flow_half *half, const uint32_t *trace)
{
	const struct tuple *tuple = &half->tuple;
	bool icmp = tuple->proto == IPPROTO_ICMP || tuple->proto == IPPROTO_ICMPV6;
	json_t *rules = json_array();

	for (int i = 0; i < half->nr_trace && i < HALF_TRACE_MAX; i++)
		json_array_append_new(rules, view_decision(view, trace[i]));
	return json_pack("{s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "src",
			 view_address(tuple->family, &tuple->saddr), "dst", view_address(tuple->family, &tuple->daddr),
			 icmp ? "id" : "sport", (json_int_t)ntohs(tuple->sport), icmp ? "type" : "dport",
			 (json_int_t)(icmp ? tuple->dport : ntohs(tuple->dport)), "from",
			 view_port_name(view, IN_PORT(half->in)), "to", view_port_name(view, half->exit), "packets",
			 (json_int_t)half_packets(half), "bytes", (json_int_t)half_bytes(half), "rules", rules);
}

json_t *show_flow(const struct view *view, const struct flow_record *record, uint32_t index)
{
	const struct beside beside = datapath_beside(view->datapath);
	uint64_t now_ns = datapath_now_ns(view->datapath), at_ns = 0;
	bool tracked = record->half[0].leg == LEG_TRACKED || record->half[1].leg == LEG_TRACKED;
	bool over = record_expired(record, beside_side(&beside, record, index), now_ns, &at_ns);

	return json_pack("{s:o, s:s, s:I, s:b, s:b, s:o, s:o}", "protocol", protocol_name(record->half[0].tuple.proto),
			 "state", conversation_name(record), "expires_s",
			 (json_int_t)(over ? 0 : (at_ns - now_ns) / NS_PER_S), "tracked", tracked, "translated",
			 !!((record->half[0].flags | record->half[1].flags) & HALF_REWRITE), "forward",
			 half_value(view, &record->half[0], beside_trace(&beside, index, 0)), "reverse",
			 half_value(view, &record->half[1], beside_trace(&beside, index, 1)));
}

static char *half_line(const json_t *half)
{
	static const char *const keys[] = {"src", "dst", "sport", "dport", "id", "type", "packets", "bytes"};
	char *line = NULL, *longer;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *value = json_object_get(half, keys[i]);
		_cleanup_free_ char *text = value ? output_text(value) : NULL;

		if (!text)
			continue;
		if (asprintf(&longer, "%s%s=%s ", line ? line : "", keys[i], text) < 0)
			longer = NULL;
		free(line);
		line = longer;
	}
	return line;
}

/* tcp 431987 ESTABLISHED eni-web>eni-db src=.. dst=.. sport=.. dport=.. packets=.. bytes=.. src=.. ... tracked rules=..
 */
char *show_flow_line(const json_t *row)
{
	const json_t *forward = json_object_get(row, "forward"), *reverse = json_object_get(row, "reverse");
	_cleanup_free_ char *there = half_line(forward), *back = half_line(reverse);
	_cleanup_free_ char *from = output_text(json_object_get(forward, "from"));
	_cleanup_free_ char *to = output_text(json_object_get(forward, "to"));
	_cleanup_free_ char *rules = output_text(json_object_get(forward, "rules"));
	char *line;

	if (asprintf(&line, "%-6s %6lld %-11s %s>%s %s%s%s%s rules=%s",
		     json_string_value(json_object_get(row, "protocol")),
		     (long long)json_integer_value(json_object_get(row, "expires_s")),
		     json_string_value(json_object_get(row, "state")), from, to, there, back,
		     json_is_true(json_object_get(row, "tracked")) ? "tracked" : "untracked",
		     json_is_true(json_object_get(row, "translated")) ? " translated" : "", rules) < 0)
		return NULL;
	return line;
}

static bool half_matches(const struct filter *filter, const struct tuple *tuple)
{
	bool icmp = tuple->proto == IPPROTO_ICMP || tuple->proto == IPPROTO_ICMPV6;

	return filter_ends(filter, &(const struct filter_ends){.family = tuple->family,
							       .protocol = tuple->proto,
							       .src = tuple->saddr,
							       .dst = tuple->daddr,
							       .sport = icmp ? -1 : ntohs(tuple->sport),
							       .dport = icmp ? -1 : ntohs(tuple->dport)});
}

/* Either half: behind a translation they have other addresses. */
static bool is_asked_for(const struct view *view, const struct flow_record *record)
{
	const struct filter *filter = &view->filter;
	uint32_t eni = filter->eni ? datapath_port_number(view->datapath, filter->eni) : 0;
	const struct flow_half *half = record->half;

	if (!filter->any)
		return true;
	if (filter->eni && (!eni || (IN_PORT(half[0].in) != eni && half[0].exit != eni)))
		return false;
	return half_matches(filter, &half[0].tuple) || half_matches(filter, &half[1].tuple);
}

static void print_flows(const struct view *view, struct output *output, uint16_t flags)
{
	const struct flow_record *records = datapath_records(view->datapath);
	uint32_t fresh = datapath_control(view->datapath)->flows_fresh, max = datapath_flows_max(view->datapath);
	struct flow_record record;

	for (uint32_t i = 0; i < fresh && i < max; i++) {
		_cleanup_free_ char *line = NULL;
		json_t *row;

		if (!copy_live(&records[i], &record) ||
		    (flags && !((record.half[0].flags | record.half[1].flags) & flags)) || !is_asked_for(view, &record))
			continue;
		row = show_flow(view, &record, i);
		if (row && !output->json)
			line = show_flow_line(row);
		output_row(output, row, line);
	}
}

int show_flows(const struct view *view, struct output *output, bool json)
{
	output_begin(output, json, NULL);
	print_flows(view, output, 0);
	return output_end(output);
}

static json_t *association_row(const struct view *view, const struct association_key *key,
			       const struct association *association)
{
	union addr inside = {.ip4 = key->addr}, outside = {.ip4 = association->slot[view->slot].other};

	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "association", "1:1", "vpc", view_zone_name(view, key->zone),
			 "eni", view_port_name(view, association->slot[view->slot].port), "private",
			 view_address(4, &inside), "public", view_address(4, &outside));
}

static void print_association(struct output *output, json_t *row)
{
	_cleanup_free_ char *eni = output_text(json_object_get(row, "eni")), *line = NULL;

	if (asprintf(&line, "1:1    %s private=%s public=%s", eni, json_string_value(json_object_get(row, "private")),
		     json_string_value(json_object_get(row, "public"))) < 0)
		line = NULL;
	output_row(output, json_incref(row), line);
}

static void print_associations(const struct view *view, struct output *output)
{
	static const char *const order[] = {"eni", "private", NULL};
	int fd = datapath_map_fd(view->datapath, "associations");
	struct association_key key, *before = NULL;
	struct association association;
	json_t *rows = json_array(), *row;
	size_t i;

	for (; !bpf_map_get_next_key(fd, before, &key); before = &key)
		if (key.zone != ZONE_INTERNET && !bpf_map_lookup_elem(fd, &key, &association) &&
		    association.slot[view->slot].port)
			json_array_append_new(rows, association_row(view, &key, &association));
	output_sort(rows, order);
	json_array_foreach (rows, i, row) {
		print_association(output, row);
	}
	json_decref(rows);
}

static void print_gateways(const struct view *view, struct output *output)
{
	json_t *list = nat_gateways(view->datapath), *row;
	size_t i;

	json_array_foreach (list, i, row) {
		char *line = strdup("nat   "), *longer;
		json_t *value;
		const char *key;

		json_object_foreach (row, key, value) {
			_cleanup_free_ char *text = output_text(value);

			if (asprintf(&longer, "%s %s=%s", line ? line : "", key, text ? text : "?") < 0)
				longer = NULL;
			free(line);
			line = longer;
		}
		output_row(output, json_incref(row), line);
		free(line);
	}
	json_decref(list);
}

/* Pairs first, then the gateways, then the flows that are translated by either. */
int show_nat(const struct view *view, struct output *output, bool json)
{
	output_begin(output, json, NULL);
	print_associations(view, output);
	print_gateways(view, output);
	print_flows(view, output, HALF_REWRITE);
	return output_end(output);
}
