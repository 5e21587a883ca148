/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every metric, in the order in which it is told. Numbers of the kernel and of the agent come by status_gather(). */
#include "metrics/metrics.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/status.h"
#include "base/base.h"
#include "commands.h"
#include "metrics/exposition.h"
#include "metrics/meters.h"

struct telling {
	struct exposition *to;
	const json_t *status;
	const struct metrics_source *source;
};

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A family of one sample, which stands at object[key]; where nobody knows it, it is not told. */
static void tell_one(const struct telling *t, const char *name, const char *type, const char *help,
		     const json_t *object, const char *key)
{
	if (!json_is_integer(json_object_get(object, key)))
		return;
	exposition_family(t->to, name, type, help);
	exposition_count(t->to, "", NULL, number_of(object, key));
}

static void tell_flag(const struct telling *t, const char *name, const char *help, bool flag)
{
	exposition_family(t->to, name, "gauge", help);
	exposition_count(t->to, "", NULL, flag);
}

/* ---- the agent and its state */

static void tell_agent(const struct telling *t)
{
	const struct label build[] = {{"version", ENID_VERSION}, {}};

	exposition_family(t->to, "enid_build_info", "gauge", "Always 1; which build tells this.");
	exposition_count(t->to, "", build, 1);
	tell_flag(t, "enid_agent_running", "Whether an agent runs; the kernel enforces without one, too.",
		  is_true(json_object_get(t->status, "agent"), "running"));
	exposition_family(t->to, "enid_attention_items", "gauge", "What needs attention: lines of enid status.");
	exposition_count(t->to, "", NULL, json_array_size(json_object_get(t->status, "attention")));
	tell_one(t, "enid_hooks_restored_total", "counter", "Programs that somebody removed and the agent put back.",
		 t->status, "hooks_restored");
	tell_one(t, "enid_drift_repaired_total", "counter",
		 "Elements of kernel maps that somebody changed and the agent put right.",
		 json_object_get(t->status, "drift"), "repaired");
}

static void tell_applies(const struct telling *t, const json_t *applies)
{
	const json_t *bounds = json_object_get(applies, "bounds_s"), *counts = json_object_get(applies, "counts");
	uint64_t sum = 0;

	if (!counts)
		return;
	exposition_family(t->to, "enid_state_apply_seconds", "histogram",
			  "How long states took from being complete to being in force.");
	for (size_t i = 0; i < json_array_size(counts); i++) {
		const json_t *bound = json_array_get(bounds, i);
		char le[32] = "+Inf";
		const struct label labels[] = {{"le", le}, {}};

		if (bound)
			snprintf(le, sizeof(le), "%g", json_number_value(bound));
		sum += (uint64_t)json_integer_value(json_array_get(counts, i));
		exposition_count(t->to, "_bucket", labels, sum);
	}
	exposition_real(t->to, "_sum", NULL, json_number_value(json_object_get(applies, "sum_s")));
	exposition_count(t->to, "_count", NULL, sum);
	tell_one(t, "enid_state_refused_total", "counter", "States that were not brought into force.", applies,
		 "refused");
}

static void tell_state(const struct telling *t)
{
	tell_one(t, "enid_state_generation", "gauge", "States that this agent has brought into force.", t->status,
		 "generation");
	tell_one(t, "enid_state_last_success_timestamp_seconds", "gauge", "When a state came into force last.",
		 t->status, "applied_at");
	if (json_is_boolean(json_object_get(t->status, "state_refused")))
		tell_flag(t, "enid_state_stale", "Whether the files are refused and an older state is in force.",
			  is_true(t->status, "state_refused"));
	tell_applies(t, json_object_get(t->status, "applies"));
}

/* ---- the data path */

static void tell_drops(const struct telling *t)
{
	static const struct {
		const char *name, *help, *key;
	} families[] = {
		{"enid_drops_total", "Packets dropped, by reason.", "packets"},
		{"enid_drop_bytes_total", "Bytes of packets dropped, by reason.", "bytes"},
	};
	json_t *drops = json_object_get(t->status, "drops"), *counter;
	const char *reason;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		exposition_family(t->to, families[i].name, "counter", families[i].help);
		json_object_foreach (drops, reason, counter) {
			const struct label labels[] = {{"reason", reason}, {}};

			exposition_count(t->to, "", labels, number_of(counter, families[i].key));
		}
	}
}

static void tell_fill(const struct telling *t, const char *name, const char *help, size_t which)
{
	json_t *maps = json_object_get(t->status, "maps"), *pair;
	const char *map;

	exposition_family(t->to, name, "gauge", help);
	json_object_foreach (maps, map, pair) {
		const struct label labels[] = {{"map", map}, {}};

		exposition_count(t->to, "", labels, (uint64_t)json_integer_value(json_array_get(pair, which)));
	}
}

static void tell_tables(const struct telling *t)
{
	const json_t *flows = json_object_get(t->status, "flows");

	tell_one(t, "enid_conntrack_entries", "gauge", "Flow records in use.", flows, "live");
	tell_one(t, "enid_conntrack_limit", "gauge", "Flow records that there are.", flows, "max");
	tell_one(t, "enid_conntrack_gated_limit", "gauge",
		 "Of them, those that may be flows through gateways that remember them (NAT, egress-only, Gateway Load "
		 "Balancer).",
		 flows, "gated_max");
	tell_one(t, "enid_conntrack_gated_refused_total", "counter",
		 "Packets refused (conntrack-full) since no more such flows had room.", flows, "gated_refused");
	if (!json_is_object(json_object_get(t->status, "maps")))
		return;
	tell_fill(t, "enid_map_entries", "Entries in use of a map of the desired state; of policy, lines.", 0);
	tell_fill(t, "enid_map_max_entries", "Entries that the map has room for.", 1);
}

/* ---- NAT gateways (NAT-25) */

static const struct {
	const char *key, *name, *type, *help;
} gateway_families[] = {
	{"ActiveConnectionCount", "enid_nat_active_connections", "gauge", "Mappings that a NAT gateway has now."},
	{"ConnectionAttemptCount", "enid_nat_connection_attempts_total", "counter", "TCP SYNs that opened a mapping."},
	{"ConnectionEstablishedCount", "enid_nat_connections_established_total", "counter",
	 "Mappings opened by a TCP SYN whose handshake was completed."},
	{"ErrorPortAllocation", "enid_nat_port_allocation_errors_total", "counter",
	 "Flows that found no source port at the gateway."},
	{"IdleTimeoutCount", "enid_nat_idle_timeouts_total", "counter", "Mappings that ended by silence."},
	{"PacketsDropCount", "enid_nat_dropped_packets_total", "counter", "Packets that the gateway dropped."},
	{"PeakBytesPerSecond", "enid_nat_peak_bytes_per_second", "gauge",
	 "Of the last whole minute, the ten seconds with the most bytes."},
	{"PeakPacketsPerSecond", "enid_nat_peak_packets_per_second", "gauge",
	 "Of the last whole minute, the ten seconds with the most packets."},
};

static const struct {
	const char *bytes, *packets, *way;
} gateway_ways[] = {
	{"BytesInFromSource", "PacketsInFromSource", "in_from_source"},
	{"BytesOutToDestination", "PacketsOutToDestination", "out_to_destination"},
	{"BytesInFromDestination", "PacketsInFromDestination", "in_from_destination"},
	{"BytesOutToSource", "PacketsOutToSource", "out_to_source"},
};

static void tell_carried(const struct telling *t, const json_t *gateways, const char *name, const char *help,
			 bool bytes)
{
	const json_t *gateway;
	size_t i;

	exposition_family(t->to, name, "counter", help);
	json_array_foreach (gateways, i, gateway) {
		for (size_t way = 0; way < ARRAY_SIZE(gateway_ways); way++) {
			const struct label labels[] = {
				{"gateway", text_of(gateway, "gateway")}, {"way", gateway_ways[way].way}, {}};

			exposition_count(
				t->to, "", labels,
				number_of(gateway, bytes ? gateway_ways[way].bytes : gateway_ways[way].packets));
		}
	}
}

static void tell_gateways(const struct telling *t)
{
	const json_t *gateways = json_object_get(t->status, "nat_gateways"), *gateway;
	size_t i;

	if (!json_array_size(gateways))
		return;
	for (size_t f = 0; f < ARRAY_SIZE(gateway_families); f++) {
		exposition_family(t->to, gateway_families[f].name, gateway_families[f].type, gateway_families[f].help);
		json_array_foreach (gateways, i, gateway) {
			const json_t *value = json_object_get(gateway, gateway_families[f].key);
			const struct label labels[] = {{"gateway", text_of(gateway, "gateway")}, {}};

			if (json_is_integer(value))
				exposition_count(t->to, "", labels, number_of(gateway, gateway_families[f].key));
		}
	}
	tell_carried(t, gateways, "enid_nat_bytes_total", "Bytes that the gateway translated, by way.", true);
	tell_carried(t, gateways, "enid_nat_packets_total", "Packets that the gateway translated, by way.", false);
}

/* ---- traffic mirroring */

static void tell_mirrored(const struct telling *t, const json_t *sessions, const char *name, const char *help,
			  const char *key)
{
	const json_t *row;
	size_t i;

	exposition_family(t->to, name, "counter", help);
	json_array_foreach (sessions, i, row) {
		char number[16];
		const struct label labels[] = {{"eni", text_of(row, "eni")}, {"session", number}, {}};

		snprintf(number, sizeof(number), "%d", (int)number_of(row, "session"));
		exposition_count(t->to, "", labels, number_of(row, key));
	}
}

static void tell_mirrors(const struct telling *t)
{
	const json_t *sessions = json_object_get(t->status, "mirrors"), *row;
	size_t i;

	if (!json_array_size(sessions))
		return;
	tell_mirrored(t, sessions, "enid_mirror_packets_total", "Copies that a traffic mirror session sent.",
		      "packets");
	tell_mirrored(t, sessions, "enid_mirror_bytes_total", "IP bytes of copies that a traffic mirror session sent.",
		      "bytes");
	exposition_family(t->to, "enid_mirror_lost_total", "counter", "Copies that went nowhere, by reason.");
	json_array_foreach (sessions, i, row) {
		json_t *lost = json_object_get(row, "lost"), *packets;
		const char *reason;

		json_object_foreach (lost, reason, packets) {
			char number[16];
			const struct label labels[] = {
				{"eni", text_of(row, "eni")}, {"session", number}, {"reason", reason}, {}};

			snprintf(number, sizeof(number), "%d", (int)number_of(row, "session"));
			exposition_count(t->to, "", labels, (uint64_t)json_integer_value(packets));
		}
	}
}

/* ---- flow logs: their books (E23) */

static void tell_flow_logs(const struct telling *t)
{
	const json_t *logs = json_object_get(t->status, "flow_logs");

	tell_one(t, "enid_flow_log_lines_total", "counter", "Lines written to the flow log.", logs, "lines");
	tell_one(t, "enid_flow_log_skipped_packets_total", "counter",
		 "Packets that no record shows: declared by SKIPDATA lines, or to be declared.", logs, "skipped");
	tell_one(t, "enid_flow_events_lost_total", "counter", "Events of the data path that nobody read in time.", logs,
		 "lost_events");
	if (json_is_boolean(json_object_get(logs, "failing")))
		tell_flag(t, "enid_flow_log_failing", "Whether flow logs cannot be taken or written now.",
			  is_true(logs, "failing"));
}

/* ---- each ENI and port */

static void tell_ports(const struct telling *t, const char *name, const char *help, const char *key)
{
	const json_t *port;
	size_t i;

	exposition_family(t->to, name, "gauge", help);
	json_array_foreach (json_object_get(t->status, "ports"), i, port) {
		const json_t *value = json_object_get(port, key);
		const struct label labels[] = {{"eni", text_of(port, "eni")}, {"device", text_of(port, "device")}, {}};

		if (value)
			exposition_count(t->to, "", labels,
					 json_is_boolean(value) ? json_is_true(value) : number_of(port, key));
	}
}

static void tell_seen(const struct telling *t, const struct meter *meters, size_t nr, const char *name,
		      const char *help, bool bytes)
{
	exposition_family(t->to, name, "counter", help);
	for (size_t i = 0; i < nr; i++) {
		for (int which = 0; *meters[i].id && which < 4; which++) {
			const struct counter *seen = &meters[i].seen[which & 1][which >> 1];
			const struct label labels[] = {{"eni", meters[i].id},
						       {"direction", which & 1 ? "egress" : "ingress"},
						       {"verdict", which >> 1 ? "reject" : "accept"},
						       {}};

			exposition_count(t->to, "", labels, bytes ? seen->bytes : seen->packets);
		}
	}
}

static void tell_enis(const struct telling *t)
{
	struct meter *meters = NULL;
	size_t nr = 0;

	tell_ports(t, "enid_port_present", "Whether the device of a port or uplink exists.", "present");
	tell_ports(t, "enid_port_enforced", "Whether both programs are on the device.", "enforced");
	tell_ports(t, "enid_port_flows", "Flow records charged to the port.", "flows");
	tell_ports(t, "enid_port_half_open", "Flow records of the port that are TCP without a finished handshake.",
		   "half_open");
	if (meters_read(t->source->run_dir, &meters, &nr))
		return;
	tell_seen(t, meters, nr, "enid_packets_total", "Packets that an ENI saw, by direction and verdict.", false);
	tell_seen(t, meters, nr, "enid_bytes_total", "Bytes that an ENI saw, by direction and verdict.", true);
	free(meters);
}

int metrics_write(const struct metrics_source *source, FILE *out, bool json)
{
	struct exposition to;
	json_t *status = NULL;
	struct telling telling = {.to = &to, .source = source};
	bool well;
	int r = status_gather(source->run_dir, source->pin_dir, &status, &well);

	if (r)
		return r;
	telling.status = status;
	exposition_begin(&to, out, json);
	tell_agent(&telling);
	tell_state(&telling);
	tell_drops(&telling);
	tell_tables(&telling);
	tell_gateways(&telling);
	tell_mirrors(&telling);
	tell_flow_logs(&telling);
	if (source->per_eni)
		tell_enis(&telling);
	exposition_end(&to);
	json_decref(status);
	return ferror(out) ? -EIO : 0;
}

int metrics_switch(const char *word, bool *ret)
{
	*ret = !strcmp(word, "on");
	return *ret || !strcmp(word, "off") ? 0 : -EINVAL;
}
