/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/describe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/names.h"
#include "flowlog/line.h"
#include "state/cidr.h"

#define NS_PER_S 1000000000ull

const char *captured_verdict(const struct captured *event)
{
	return action_name(event->action);
}

/* The programs drop what comes to a device without a policy before they have looked for a reason. */
static uint32_t reason_of(const struct captured *event)
{
	return event->action == ACTION_DROP && event->reason == REASON_ACCEPTED ? REASON_NO_POLICY : event->reason;
}

const char *captured_reason(const struct captured *event)
{
	return reason_name(reason_of(event));
}

bool captured_is_rejected(const struct captured *event)
{
	return reason_of(event) != REASON_ACCEPTED;
}

static uint32_t nr_decisions(const struct captured *event)
{
	return event->nr_trace < TRACE_MAX ? event->nr_trace : TRACE_MAX;
}

/* The stage that refused; else that of the last decision, which settled it: what let it in at the end. */
static const char *stage_of(const struct captured *event)
{
	uint32_t nr = nr_decisions(event), last = nr ? DECISION_STAGE(event->trace[nr - 1]) : STAGE_NONE;
	uint32_t refused = reason_stage(reason_of(event));

	if (refused != STAGE_NONE && (refused != STAGE_ROUTE || last != STAGE_GATEWAY_ROUTE))
		return stage_name(refused);
	return nr ? stage_name(last) : NULL;
}

/* Whether that decision is by a rule: where no rule of a group admits a packet none refuses it, either. */
static bool has_rule(const struct captured *event)
{
	uint32_t nr = nr_decisions(event);
	const char *stage = stage_of(event);

	return nr && stage && !strcmp(stage, view_stage_name(event->trace[nr - 1]));
}

static uint64_t flow_of(const struct captured *event)
{
	return line_flow_id(event->record - 1, event->generation);
}

static void print_decision(FILE *out, const struct view *view, uint32_t decision)
{
	json_t *text = view_decision(view, decision);
	const char *word = json_string_value(text);

	/* quotes are ours: whoever reads the comment shall find the end of the rule */
	for (; word && *word; word++)
		fputc(*word == '"' || *word < ' ' || *word == 0x7f ? '?' : *word, out);
	json_decref(text);
}

static void print_comment(FILE *out, const struct view *view, const void *what)
{
	const struct captured *event = what;
	uint32_t nr = nr_decisions(event);
	const char *stage = stage_of(event);
	json_t *to = view_port_name(view, event->exit);

	fprintf(out, "verdict=%s reason=%s", captured_verdict(event), captured_reason(event));
	if (stage)
		fprintf(out, " stage=%s", stage);
	if (has_rule(event)) {
		fputs(" rule=\"", out);
		print_decision(out, view, event->trace[nr - 1]);
		fputc('"', out);
	}
	if (event->exit && event->action != ACTION_DROP)
		fprintf(out, " to=%s", json_string_value(to));
	if (event->record)
		fprintf(out, " flow=%llu%s", (unsigned long long)flow_of(event), event->hit ? " kept" : "");
	if (event->segments > 1)
		fprintf(out, " segments=%u", event->segments);
	for (uint32_t i = 0; i < nr; i++) {
		fputs(i ? "; " : " decisions=\"", out);
		print_decision(out, view, event->trace[i]);
	}
	if (nr)
		fputc('"', out);
	json_decref(to);
}

/* ret: what `print` writes, as text in memory | NULL = no memory */
static char *text_of(const struct view *view, const void *what,
		     void (*print)(FILE *, const struct view *, const void *))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	print(out, view, what);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

char *captured_comment(const struct view *view, const struct captured *event)
{
	return text_of(view, event, print_comment);
}

/* ---- for people */

static void print_protocol(FILE *out, int protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		fputs("tcp", out);
		break;
	case IPPROTO_UDP:
		fputs("udp", out);
		break;
	case IPPROTO_ICMP:
		fputs("icmp", out);
		break;
	case IPPROTO_ICMPV6:
		fputs("icmpv6", out);
		break;
	default:
		fprintf(out, "protocol %d", protocol);
	}
}

static void print_end(FILE *out, int family, const union addr *addr, int port)
{
	char text[CIDR_TEXT_MAX];

	fputs(address_format(family, addr, text), out);
	if (port >= 0)
		fprintf(out, family == 6 ? " port %d" : ":%d", port);
}

static void print_packet(FILE *out, const struct dissected *dissected)
{
	const struct filter_ends *ends = &dissected->ends;

	if (!ends->family) {
		fprintf(out, "ethertype 0x%04x", dissected->ethertype);
		return;
	}
	print_protocol(out, ends->protocol);
	fputc(' ', out);
	print_end(out, ends->family, &ends->src, ends->sport);
	fputs(" > ", out);
	print_end(out, ends->family, &ends->dst, ends->dport);
	if (dissected->later)
		fputs(" fragment", out);
	if (ends->protocol != IPPROTO_TCP || dissected->later)
		return;
	fputs(" [", out);
	for (int bit = 0; bit < 6; bit++)
		if (dissected->tcp_flags >> bit & 1)
			fputc("FSRP.U"[bit], out);
	fputc(']', out);
}

static void print_line(FILE *out, const struct view *view, const void *what)
{
	const struct captured_packet *packet = what;
	const struct captured *event = packet->event;
	time_t seconds = (time_t)(packet->at_ns / NS_PER_S);
	json_t *port = view_port_name(view, event->port);
	struct tm tm;
	char text[16];

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	fprintf(out, "%s.%06llu %s %s ", text, (unsigned long long)(packet->at_ns % NS_PER_S / 1000),
		json_string_value(port), event->outbound ? "<" : ">");
	print_packet(out, packet->dissected);
	fprintf(out, " length %u ", event->len);
	print_comment(out, view, event);
	json_decref(port);
}

char *captured_line(const struct view *view, const struct captured_packet *packet)
{
	return text_of(view, packet, print_line);
}

/* ---- for programs */

static void set_ends(json_t *row, const struct dissected *dissected)
{
	const struct filter_ends *ends = &dissected->ends;

	if (!ends->family)
		return;
	json_object_set_new(row, "family", json_integer(ends->family));
	json_object_set_new(row, "protocol", json_integer(ends->protocol));
	json_object_set_new(row, "src", view_address(ends->family, &ends->src));
	json_object_set_new(row, "dst", view_address(ends->family, &ends->dst));
	if (ends->sport >= 0) {
		json_object_set_new(row, "sport", json_integer(ends->sport));
		json_object_set_new(row, "dport", json_integer(ends->dport));
	}
	if (ends->protocol == IPPROTO_TCP && !dissected->later)
		json_object_set_new(row, "tcp_flags", json_integer(dissected->tcp_flags));
}

static void set_verdict(json_t *row, const struct view *view, const struct captured *event)
{
	const char *stage = stage_of(event);
	json_t *decisions = json_array();
	uint32_t nr = nr_decisions(event);

	json_object_set_new(row, "verdict", json_string(captured_verdict(event)));
	json_object_set_new(row, "reason", json_string(captured_reason(event)));
	json_object_set_new(row, "stage", stage ? json_string(stage) : json_null());
	json_object_set_new(row, "rule", has_rule(event) ? view_decision(view, event->trace[nr - 1]) : json_null());
	json_object_set_new(row, "to", view_port_name(view, event->action == ACTION_DROP ? 0 : event->exit));
	json_object_set_new(row, "flow", event->record ? json_integer((json_int_t)flow_of(event)) : json_null());
	json_object_set_new(row, "kept", json_boolean(event->hit));
	json_object_set_new(row, "segments", json_integer(event->segments));
	for (uint32_t i = 0; i < nr; i++)
		json_array_append_new(decisions, view_decision(view, event->trace[i]));
	json_object_set_new(row, "decisions", decisions);
}

json_t *captured_json(const struct view *view, const struct captured_packet *packet)
{
	const struct captured *event = packet->event;
	json_t *row = json_object();

	json_object_set_new(row, "at",
			    json_sprintf("%llu.%09llu", (unsigned long long)(packet->at_ns / NS_PER_S),
					 (unsigned long long)(packet->at_ns % NS_PER_S)));
	json_object_set_new(row, "port", view_port_name(view, event->port));
	json_object_set_new(row, "direction", json_string(event->outbound ? "to-guest" : "from-guest"));
	json_object_set_new(row, "length", json_integer(event->len));
	json_object_set_new(row, "ethertype", json_integer(packet->dissected->ethertype));
	set_ends(row, packet->dissected);
	set_verdict(row, view, event);
	return row;
}
