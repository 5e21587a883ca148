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
#include <unistd.h>

#include "agent/agent.h"
#include "agent/lock.h"
#include "attach/hook.h"
#include "attach/strays.h"
#include "base/names.h"
#include "base/text.h"
#include "datapath/beside.h"
#include "show/mirrors.h"
#include "show/nat.h"

#define RESTORED_NEWS_NS 10000000000LL /* a hook that was put back needs attention for so long */
#define FLOWS_FULL_PCT   90

/* What goes into one status. */
struct gathering {
	const char *pin_dir;
	json_t *report; /* of the agent, or an empty object */
	json_t *attention;
	struct datapath *datapath;     /* NULL = nothing pinned that can be read */
	uint32_t ours[HOOK_POINT_MAX]; /* the last program of each point that was found to be of it */
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

/* What the agent reports is there, and not for our eyes: it may be anything but "starting". */
static bool cannot_read(const char *run_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" STATUS_FILE, run_dir);
	return access(path, R_OK) && errno == EACCES;
}

static json_t *agent_part(struct gathering *g, const char *run_dir)
{
	pid_t pid = lock_holder(run_dir);
	int error = pid ? lock_told(run_dir) : 0;
	json_t *said = json_object_get(g->report, "attention"), *text;
	size_t i;

	if (!pid) {
		attend(g, "no agent runs");
		return json_pack("{s:b, s:n}", "running", 0, "pid");
	}
	if (error)
		attend(g, "the agent cannot write to %s: %s: what it told last is older", run_dir, strerror(error));
	if (!json_object_size(g->report) && cannot_read(run_dir)) {
		attend(g, "cannot read %s/" STATUS_FILE ": %s", run_dir, strerror(EACCES));
	} else if (pid > 0 && json_integer_value(json_object_get(g->report, "pid")) != pid) {
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

static void look_at_drift(struct gathering *g)
{
	const json_t *drift = json_object_get(g->report, "drift");
	long long at = json_integer_value(json_object_get(drift, "at_ns"));
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (at && now.tv_sec * 1000000000LL + now.tv_nsec - at < RESTORED_NEWS_NS)
		attend(g, "somebody changed %s: it was put right", json_string_value(json_object_get(drift, "last")));
}

json_t *status_drops(struct datapath *datapath)
{
	int cpus = libbpf_num_possible_cpus(), fd = datapath_map_fd(datapath, "drops");
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
			(void)json_object_set_new(all, reason_name(reason),
						  json_pack("{s:I, s:I}", "packets", (json_int_t)sum.packets, "bytes",
							    (json_int_t)sum.bytes));
	}
	free(counters);
	return all;
}

static json_t *flows(struct gathering *g)
{
	uint32_t max = datapath_flows_max(g->datapath), live = datapath_flows_used(g->datapath);
	uint32_t sides = datapath_beside(g->datapath).nr_sides;
	unsigned long long refused = datapath_control(g->datapath)->sides_refused;

	if ((uint64_t)live * 100 > (uint64_t)max * FLOWS_FULL_PCT)
		attend(g, "%u of %u flow records are in use", live, max);
	if (refused && sides < max)
		attend(g,
		       "%llu flows through gateways that remember them were refused, there is room for about %u: a "
		       "restart "
		       "of the agent makes more",
		       refused, sides);
	return json_pack("{s:I, s:I, s:I, s:I}", "max", (json_int_t)max, "live", (json_int_t)live, "gated_max",
			 (json_int_t)(sides < max ? sides : max), "gated_refused", (json_int_t)refused);
}

/* Which of our hooks is there. Its program has to lead to the maps that are read here, or it enforces another state.
 * ret: kind | NULL = none */
static const char *hook_at(struct gathering *g, enum hook_point point, uint32_t ifindex, const char **ret_other)
{
	struct hook_seen seen;
	int fd = -1, r = hook_look(g->pin_dir, point, ifindex, &seen);

	if (r < 0 || !seen.kind || !g->datapath)
		return r < 0 ? NULL : seen.kind;
	if (seen.prog_id == g->ours[point])
		return seen.kind;
	fd = bpf_prog_get_fd_by_id(seen.prog_id);
	r = fd < 0 ? -errno : datapath_is_of(g->datapath, fd);
	if (fd >= 0)
		close(fd);
	if (r > 0)
		g->ours[point] = seen.prog_id;
	else if (r != -EPERM) /* a program is shown to CAP_SYS_ADMIN only */
		*ret_other = hook_program(point);
	return seen.kind;
}

static void judge_port(struct gathering *g, const json_t *port, bool enforced, const char *other)
{
	const char *id = json_string_value(json_object_get(port, "eni"));
	const char *device = json_string_value(json_object_get(port, "device"));

	if (!enforced && !json_is_true(json_object_get(port, "unknown")))
		attend(g, "port %s: %s is not enforced", id, device);
	if (other)
		attend(g, "port %s: %s of %s leads to other maps than this build's", id, other, device);
}

/* By the kernel: are both hooks on the device that has the name now? */
static void check_port(struct gathering *g, json_t *port)
{
	const char *device = json_string_value(json_object_get(port, "device"));
	const char *kind = json_string_value(json_object_get(port, "kind"));
	uint32_t ifindex = device ? if_nametoindex(device) : 0;
	const char *rx = NULL, *tx = NULL, *early = NULL, *other = NULL;
	bool uplink = kind && !strcmp(kind, "uplink"), enforced;

	if (ifindex) {
		early = hook_at(g, HOOK_RX_XDP, ifindex, &other);
		rx = hook_at(g, HOOK_RX_TC, ifindex, &other);
		if (!rx)
			rx = hook_at(g, HOOK_RX_RAW, ifindex, &other);
		tx = hook_at(g, HOOK_TX_TC, ifindex, &other);
	}
	enforced = rx && (tx || uplink);
	(void)json_object_set_new(port, "present", json_boolean(ifindex));
	(void)json_object_set_new(port, "ifindex", ifindex ? json_integer(ifindex) : json_null());
	(void)json_object_set_new(port, "enforced", json_boolean(enforced));
	(void)json_object_set_new(port, "hook", early ? json_string(early) : rx ? json_string(rx) : json_null());
	if (ifindex)
		judge_port(g, port, enforced, other);
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
	char *why = NULL;
	int r = datapath_open(&options, &g->datapath, &why);

	if (r)
		attend(g, "no kernel state can be read: %s", why ? why : strerror(-r));
	free(why);
}

#define STRAYS_NAMED 8

/* Its device is as closed or as open as that set has it, and no agent changes that. */
static void look_at_strays(struct gathering *g)
{
	struct stray strays[STRAYS_NAMED];
	struct timespec now;
	size_t nr;

	clock_gettime(CLOCK_MONOTONIC, &now);
	nr = strays_find(g->pin_dir, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, strays, STRAYS_NAMED);
	for (size_t i = 0; i < nr && i < STRAYS_NAMED; i++)
		attend(g,
		       "the %s filter of %s is of an agent that is gone and goes on judging by its state (program %u): "
		       "'tc filter del dev %s %s' ends that",
		       strays[i].direction, strays[i].device, strays[i].prog_id, strays[i].device, strays[i].direction);
	if (nr > STRAYS_NAMED)
		attend(g, "%zu more such filters are left", nr - STRAYS_NAMED);
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
	look_at_drift(&g);
	look_at_strays(&g);
	copy(status, g.report, "host");
	copy(status, g.report, "revision");
	copy(status, g.report, "generation");
	copy(status, g.report, "applied_at");
	copy(status, g.report, "hooks_restored");
	copy(status, g.report, "drift");
	(void)json_object_set_new(status, "ports", ports(&g, skipped));
	copy(status, g.report, "held");
	copy(status, g.report, "flow_logs");
	copy(status, g.report, "state_refused");
	copy(status, g.report, "applies");
	copy(status, g.report, "maps");
	(void)json_object_set_new(status, "drops", g.datapath ? status_drops(g.datapath) : json_object());
	(void)json_object_set_new(status, "flows", g.datapath ? flows(&g) : json_pack("{s:n, s:n}", "max", "live"));
	(void)json_object_set_new(status, "nat_gateways", nat_part(&g));
	(void)json_object_set_new(status, "mirrors", g.datapath ? mirror_sessions(g.datapath) : json_array());
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
