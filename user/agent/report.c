/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent alone knows, for `enid status`: which ports it serves, what went wrong. What the kernel knows is asked
 * there, so that a report which outlives its agent misleads nobody. */
#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/lock.h"
#include "agent/log.h"
#include "agent/saved.h"
#include "base/text.h"
#include "plan/changes.h"

static void attend(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void attend(json_t *list, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0)
		(void)json_array_append_new(list, text_json(text));
	va_end(args);
	free(text);
}

static json_t *attention(const struct agent *agent)
{
	const struct devices *devices = agent->devices;
	json_t *list = json_array();

	if (agent->state_problem)
		attend(list, "the state is refused, the last good one is in force: %s", agent->state_problem);
	if (agent->save_error)
		attend(list,
		       "the state in force is not in %s/" APPLIED_FILE
		       ": %s: without its files an agent would start with an older one",
		       agent->options->run_dir, strerror(-agent->save_error));
	if (devices->taking_over)
		attend(list, "not every hook leads to this build's maps yet: some packets are judged by those of "
			     "an earlier agent");
	if (!devices->settled)
		attend(list, "it cannot be told what an earlier agent left on devices that are no ports");
	if (devices->guard_problem)
		attend(list, "forwarding guard: %s", devices->guard_problem);
	if (agent->drift.error)
		attend(list, "a kernel map is not what it should be, and cannot be put right: %s",
		       strerror(-agent->drift.error));
	if (agent->collector_problem)
		attend(list, "flow logs: %s", agent->collector_problem);
	if (*agent->logged.attention)
		attend(list, "flow logs: %s", agent->logged.attention);
	if (agent->metrics_problem)
		attend(list, "metrics: %s", agent->metrics_problem);
	for (size_t i = 0; i < devices->nr_served; i++)
		if (*devices->served[i].problem)
			attend(list, "port %s (%s): %s", devices->served[i].id, devices->served[i].device,
			       devices->served[i].problem);
	return list;
}

static json_t *ports(const struct devices *devices)
{
	json_t *list = json_array();

	for (size_t i = 0; i < devices->nr_served; i++) {
		const struct served *served = &devices->served[i];

		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "eni", served->id,
							    "device", served->device, "kind",
							    served->uplink ? "uplink" : "eni", "mode",
							    served->guard ? "guard" : "router", "side",
							    served->side_instance ? "instance" : "host", "ifindex",
							    (int)served->on.ifindex, "unknown", served->port == 0));
	}
	return list;
}

static json_t *held(const struct devices *devices)
{
	json_t *list = json_array();

	for (size_t i = 0; i < devices->nr_held; i++)
		(void)json_array_append_new(list, json_string(devices->held[i].name));
	return list;
}

/* {map: [entries in use, entries there are]} */
static json_t *maps(const struct agent *agent)
{
	struct map_change use[PLAN_MAP_MAX];
	json_t *all = json_object();

	datapath_use(agent->datapath, use);
	for (size_t i = 0; i < PLAN_MAP_MAX; i++)
		if (i != MAP_CONTROL)
			(void)json_object_set_new(
				all, plan_map_names[i],
				json_pack("[I, I]", (json_int_t)use[i].before, (json_int_t)use[i].max));
	return all;
}

static json_t *flow_logs(const struct agent *agent)
{
	return json_pack("{s:I, s:I, s:I, s:b}", "skipped", (json_int_t)agent->logged.skipped, "lost_events",
			 (json_int_t)agent->logged.lost_events, "lines", (json_int_t)agent->logged.lines, "failing",
			 agent->collector_problem || *agent->logged.attention);
}

/* There may be many, and most changes of the state leave them as they are: a file of their own. */
static int report_ports(const struct agent *agent)
{
	json_t *list = ports(agent->devices);
	int r = list ? write_json(agent->options->run_dir, PORTS_FILE, list) : -ENOMEM;

	json_decref(list);
	return r;
}

/* What could not be written is tried again with the next tick, and said once. */
static void tell_reported(struct agent *agent, bool with_ports, int r)
{
	if (r) {
		agent->status_stale = true;
		agent->devices->dirty |= with_ports;
	}
	if (r == agent->report_error)
		return;
	agent->report_error = r;
	lock_tell(agent->run_lock, -r);
	if (r)
		log_error("cannot write %s/" STATUS_FILE ": %s", agent->options->run_dir, strerror(-r));
}

void agent_report(struct agent *agent, bool with_ports)
{
	const struct devices *devices = agent->devices;
	char revision[17];

	snprintf(revision, sizeof(revision), "%016" PRIx64, agent->applied.revision);

	json_t *report = json_pack(
		"{s:i, s:b, s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:s, s:o, s:O?, s:o, s:b, s:o, s:o}", "pid",
		(int)getpid(), "ready", agent->ready, "host", agent->applied.host ? agent->applied.host->id : "",
		"revision", revision, "generation", (json_int_t)agent->applied.generation, "applied_at",
		(json_int_t)agent->applied.at_s, "held", held(devices), "attention", attention(agent), "hooks_restored",
		(json_int_t)devices->hooks_restored, "restored_at_ns", (json_int_t)devices->restored_at_ns, "restored",
		devices->restored, "flow_logs", flow_logs(agent), "nat_peaks", agent->peaks.told, "drift",
		drift_json(&agent->drift), "state_refused", agent->state_problem != NULL, "applies",
		applies_json(&agent->applies), "maps", maps(agent));
	int r = with_ports ? report_ports(agent) : 0;

	if (!r)
		r = report ? write_json(agent->options->run_dir, STATUS_FILE, report) : -ENOMEM;

	json_decref(report);
	tell_reported(agent, with_ports, r);
}
