/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/status.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/agent.h"
#include "agent/lock.h"
#include "attach/hook.h"
#include "base/text.h"
#include "show/nat.h"

#define RESTORED_NEWS_NS 10000000000LL /* a hook that was put back needs attention for so long */
#define FLOWS_FULL_PCT   90

static const char *const reason_names[] = {
#define X(symbol, name, meaning) name,
	ENID_REASONS(X)
#undef X
};

/* What goes into one status. */
struct gathering {
	const char *pin_dir;
	json_t *report; /* of the agent, or an empty object */
	json_t *attention;
	struct datapath *datapath; /* NULL = nothing pinned that can be read */
};

static void attend(struct gathering *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void attend(struct gathering *g, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0)
		(void)json_array_append_new(g->attention, text_json(text));
	va_end(args);
	free(text);
}

json_t *status_report(const char *run_dir)
{
	char path[PATH_MAX];
	json_t *report, *ports;

	snprintf(path, sizeof(path), "%s/" STATUS_FILE, run_dir);
	report = json_load_file(path, 0, NULL);
	if (!json_is_object(report)) {
		json_decref(report);
		return json_object();
	}
	snprintf(path, sizeof(path), "%s/" PORTS_FILE, run_dir);
	ports = json_load_file(path, 0, NULL);
	(void)json_object_set_new(report, "ports", ports ? ports : json_array());
	return report;
}

static json_t *agent_part(struct gathering *g, const char *run_dir)
{
	pid_t pid = lock_holder(run_dir);
	json_t *said = json_object_get(g->report, "attention"), *text;
	size_t i;

	if (!pid) {
		attend(g, "no agent runs");
		return json_pack("{s:b, s:n}", "running", 0, "pid");
	}
	if (pid > 0 && json_integer_value(json_object_get(g->report, "pid")) != pid) {
		attend(g, "the agent is starting");
	} else {
		if (!json_is_true(json_object_get(g->report, "ready")))
			attend(g, "the agent is starting");
		json_array_foreach (said, i, text) {
			(void)json_array_append(g->attention, text);
		}
	}
	if (pid < 0)
		return json_pack("{s:b, s:O?}", "running", 1, "pid", json_object_get(g->report, "pid"));
	return json_pack("{s:b, s:i}", "running", 1, "pid", (int)pid);
}

static void look_at_restored(struct gathering *g)
{
	long long at = json_integer_value(json_object_get(g->report, "restored_at_ns"));
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (at && now.tv_sec * 1000000000LL + now.tv_nsec - at < RESTORED_NEWS_NS)
		attend(g, "somebody removed %s: it was put back",
		       json_string_value(json_object_get(g->report, "restored")));
}

static json_t *drops(const struct gathering *g)
{
	int cpus = libbpf_num_possible_cpus(), fd = datapath_map_fd(g->datapath, "drops");
	struct counter *counters = cpus > 0 ? calloc(cpus, sizeof(*counters)) : NULL;
	json_t *all = json_object();

	for (uint32_t reason = REASON_ACCEPTED + 1; counters && reason < REASON_MAX; reason++) {
		struct counter sum = {};

		if (bpf_map_lookup_elem(fd, &reason, counters))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++) {
			sum.packets += counters[cpu].packets;
			sum.bytes += counters[cpu].bytes;
		}
		if (sum.packets)
			(void)json_object_set_new(all, reason_names[reason],
						  json_pack("{s:I, s:I}", "packets", (json_int_t)sum.packets, "bytes",
							    (json_int_t)sum.bytes));
	}
	free(counters);
	return all;
}

static json_t *flows(struct gathering *g)
{
	uint32_t max = datapath_flows_max(g->datapath), live = datapath_control(g->datapath)->flows_used;

	if ((uint64_t)live * 100 > (uint64_t)max * FLOWS_FULL_PCT)
		attend(g, "%u of %u flow records are in use", live, max);
	return json_pack("{s:I, s:I}", "max", (json_int_t)max, "live", (json_int_t)live);
}

/* By the kernel: are both hooks on the device that has the name now? */
static void check_port(struct gathering *g, json_t *port)
{
	const char *device = json_string_value(json_object_get(port, "device"));
	const char *kind = json_string_value(json_object_get(port, "kind"));
	uint32_t ifindex = device ? if_nametoindex(device) : 0;
	const char *rx = NULL, *tx = NULL, *early = NULL;
	bool uplink = kind && !strcmp(kind, "uplink"), enforced;

	if (ifindex) {
		early = hook_found(g->pin_dir, HOOK_RX_XDP, ifindex);
		rx = hook_found(g->pin_dir, HOOK_RX_TC, ifindex);
		if (!rx)
			rx = hook_found(g->pin_dir, HOOK_RX_RAW, ifindex);
		tx = hook_found(g->pin_dir, HOOK_TX_TC, ifindex);
	}
	enforced = rx && (tx || uplink);
	(void)json_object_set_new(port, "present", json_boolean(ifindex));
	(void)json_object_set_new(port, "ifindex", ifindex ? json_integer(ifindex) : json_null());
	(void)json_object_set_new(port, "enforced", json_boolean(enforced));
	(void)json_object_set_new(port, "hook", early ? json_string(early) : rx ? json_string(rx) : json_null());
	if (ifindex && !enforced && !json_is_true(json_object_get(port, "unknown")))
		attend(g, "port %s: %s is not enforced", json_string_value(json_object_get(port, "eni")), device);
}

static void add_counters(const struct gathering *g, json_t *port, uint64_t skipped[2])
{
	const char *id = json_string_value(json_object_get(port, "eni"));
	uint32_t number = id ? datapath_port_number(g->datapath, id) : 0;
	const struct port_stats *stats = datapath_port_stats(g->datapath);

	if (!number || !stats)
		return;
	stats += number;
	skipped[0] += stats->skipped_accepts;
	skipped[1] += stats->skipped_rejects;
	(void)json_object_set_new(port, "flows", json_integer(stats->flows));
	(void)json_object_set_new(port, "half_open", json_integer(stats->half_open));
}

static json_t *ports(struct gathering *g, uint64_t skipped[2])
{
	json_t *list = json_deep_copy(json_object_get(g->report, "ports")), *port;
	size_t i;

	json_array_foreach (list, i, port) {
		check_port(g, port);
		if (g->datapath)
			add_counters(g, port, skipped);
		(void)json_object_del(port, "unknown");
	}
	return list ? list : json_array();
}

static void open_pins(struct gathering *g)
{
	const struct datapath_options options = {.pin_dir = g->pin_dir, .read_only = true};
	libbpf_print_fn_t loud = libbpf_set_print(NULL);
	char *why = NULL;
	int r = datapath_open(&options, &g->datapath, &why);

	(void)libbpf_set_print(loud);
	if (r)
		attend(g, "no kernel state can be read: %s", why ? why : strerror(-r));
	free(why);
}

static void copy(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	(void)json_object_set(to, key, value ? value : json_null());
}

/* What only the agent knows, which has looked for a minute. */
static json_t *nat_part(const struct gathering *g)
{
	json_t *list = g->datapath ? nat_gateways(g->datapath) : json_array(), *row;
	size_t i;

	json_array_foreach (list, i, row) {
		const json_t *peak = json_object_get(json_object_get(g->report, "nat_peaks"),
						     json_string_value(json_object_get(row, "gateway")));

		copy(row, peak, "PeakBytesPerSecond");
		copy(row, peak, "PeakPacketsPerSecond");
	}
	return list;
}

int status_gather(const char *run_dir, const char *pin_dir, json_t **ret, bool *ret_well)
{
	struct gathering g = {.pin_dir = pin_dir, .report = status_report(run_dir), .attention = json_array()};
	json_t *status = json_object();
	uint64_t skipped[2] = {};

	if (!g.report || !g.attention || !status) {
		json_decref(g.report);
		json_decref(g.attention);
		json_decref(status);
		return -ENOMEM;
	}
	(void)json_object_set_new(status, "agent", agent_part(&g, run_dir));
	open_pins(&g);
	look_at_restored(&g);
	copy(status, g.report, "host");
	copy(status, g.report, "revision");
	copy(status, g.report, "generation");
	copy(status, g.report, "applied_at");
	copy(status, g.report, "hooks_restored");
	(void)json_object_set_new(status, "ports", ports(&g, skipped));
	copy(status, g.report, "held");
	copy(status, g.report, "flow_logs");
	(void)json_object_set_new(status, "drops", g.datapath ? drops(&g) : json_object());
	(void)json_object_set_new(status, "flows", g.datapath ? flows(&g) : json_pack("{s:n, s:n}", "max", "live"));
	(void)json_object_set_new(status, "nat_gateways", nat_part(&g));
	if (g.datapath) {
		(void)json_object_set_new(
			status, "skipped",
			json_pack("{s:I, s:I}", "accepts", (json_int_t)skipped[0], "rejects", (json_int_t)skipped[1]));
	}
	*ret_well = json_array_size(g.attention) == 0;
	(void)json_object_set_new(status, "attention", g.attention);
	datapath_close(&g.datapath);
	json_decref(g.report);
	*ret = status;
	return 0;
}
