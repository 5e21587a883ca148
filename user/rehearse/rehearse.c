/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rehearse/rehearse.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/devices.h"
#include "agent/saved.h"
#include "base/base.h"
#include "base/text.h"
#include "plan/changes.h"
#include "rehearse/flows.h"
#include "rehearse/objects.h"
#include "show/view.h"

struct stage {
	const struct rehearsal *rehearsal;
	struct view view; /* what is applied; its datapath is NULL where nothing is pinned */
	json_t *before, *after;
	struct state *state;
	const struct host *host;
	struct image *image;
	struct datapath *copy;
	struct live_flows *flows;
	json_t *told;
};

static void stage_done(struct stage *stage)
{
	live_flows_free(&stage->flows);
	datapath_close(&stage->copy);
	image_free(&stage->image);
	state_free(&stage->state);
	view_close(&stage->view);
	json_decref(stage->before);
	json_decref(stage->after);
}

static void add(json_t *to, const char *key, json_t *value)
{
	(void)json_object_set_new(to, key, value);
}

/* The state would be refused, for this. Takes the text. ret: -EINVAL | -ENOMEM */
static int would_refuse(struct stage *stage, char *text)
{
	json_t *errors = json_object_get(stage->told, "errors");
	int r = text ? json_array_append_new(errors, text_json(text)) : -1;

	free(text);
	add(stage->told, "applies", json_false());
	return r ? -ENOMEM : -EINVAL;
}

/* ---- the two states */

static int load_proposed(struct stage *stage)
{
	struct state_messages messages = {};
	int r = state_load_objects(stage->rehearsal->states, stage->rehearsal->nr_states, NULL, &stage->state,
				   &messages, &stage->after);

	for (size_t i = 0; i < messages.nr_warnings; i++)
		warnx("warning: %s", messages.warnings[i].text);
	for (size_t i = 0; i < messages.nr_errors; i++)
		(void)would_refuse(stage, strdup(messages.errors[i].text));
	state_messages_done(&messages);
	return r;
}

static int load_applied(struct stage *stage, char **ret_why)
{
	const char *const name = APPLIED_FILE, *run_dir = stage->rehearsal->run_dir;
	struct state_messages messages = {};
	json_t *documents = NULL;
	struct state *state = NULL;
	int r = saved_read(run_dir, &documents);

	if (r)
		return refuse(ret_why, r, "cannot read what is applied, %s/" APPLIED_FILE ": %s", run_dir,
			      strerror(-r));
	r = state_load_objects(&name, 1, documents, &state, &messages, &stage->before);
	if (r)
		(void)refuse(ret_why, r, "%s/" APPLIED_FILE " is no state: %s", run_dir,
			     messages.nr_errors ? messages.errors[0].text : strerror(-r));
	state_messages_done(&messages);
	state_free(&state);
	json_decref(documents);
	return r;
}

/* Where nothing is pinned nothing is applied, whatever an agent has left behind. */
static int look_at_applied(struct stage *stage, char **ret_why)
{
	const struct rehearsal *rehearsal = stage->rehearsal;
	int r;

	if (look_for(rehearsal->pin_dir) && errno == ENOENT) {
		stage->before = json_object();
		return stage->before ? 0 : -ENOMEM;
	}
	r = view_open(rehearsal->pin_dir, rehearsal->run_dir, &stage->view, ret_why);
	return r ? r : load_applied(stage, ret_why);
}

/* ---- the proposed image, as the agent would have it */

/* An uplink answers with the MAC address of its device: the one that the agent found, where it is still that device. */
static int fill_macs(struct stage *stage)
{
	int r = devices_fill_once(stage->image);

	for (size_t i = 0; i < stage->image->nr_ports && stage->view.datapath; i++) {
		struct image_port *port = &stage->image->ports[i];
		const struct image_port *old = view_image_port(&stage->view, port->id);
		uint32_t number = datapath_port_number(stage->view.datapath, port->id);

		if (number && port->kind == PORT_UPLINK && old && !strcmp(old->device, port->device))
			memcpy(port->mac, view_port(&stage->view, number)->mac, sizeof(port->mac));
	}
	return r;
}

static int compile(struct stage *stage, char **ret_why)
{
	_cleanup_free_ char *served = stage->rehearsal->host ? NULL : view_host(stage->rehearsal->run_dir);
	const char *id = stage->rehearsal->host ?: served;
	char *why = NULL;
	int r;

	stage->host = state_host(stage->state, id);
	if (!stage->host)
		return would_refuse(stage, state_host_missing(stage->state, id));
	add(stage->told, "host", json_string(stage->host->id));
	r = devices_acceptable(stage->host, &why);
	if (!r)
		r = compile_image(stage->state, stage->host, &stage->image, &why);
	if (r == -ENOMEM)
		return r;
	if (r)
		return would_refuse(stage, why ?: strdup(strerror(-r)));
	r = fill_macs(stage);
	return r ? refuse(ret_why, r, "cannot list the network devices: %s", strerror(-r)) : 0;
}

/* ---- the kernel */

static int open_copy(struct stage *stage, char **ret_why)
{
	const struct datapath_options nothing = {.replay = true, .flows_max = 1, .maps_only = true}; /* no live flows */

	if (stage->view.datapath)
		return datapath_copy(stage->view.datapath, true, false, &stage->copy, ret_why);
	return datapath_open(&nothing, &stage->copy, ret_why);
}

static json_t *entries_json(const struct map_change *changes)
{
	json_t *maps = json_object();

	for (int map = 0; map < PLAN_MAP_MAX; map++) {
		const struct map_change *change = &changes[map];

		add(maps, plan_map_names[map],
		    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "added", (json_int_t)change->added, "updated",
			      (json_int_t)change->updated, "deleted", (json_int_t)change->deleted, "before",
			      (json_int_t)change->before, "most", (json_int_t)change->most, "after",
			      (json_int_t)change->after, "max", (json_int_t)change->max));
	}
	return maps;
}

static bool nothing_changes(const struct map_change *changes)
{
	for (int map = 0; map < PLAN_MAP_MAX; map++)
		if (changes[map].added || changes[map].updated || changes[map].deleted)
			return false;
	return true;
}

static int plan_entries(struct stage *stage, bool *ret_nothing)
{
	struct map_change changes[PLAN_MAP_MAX];
	uint32_t changed = 0;
	char *why = NULL;
	int r = datapath_plan(stage->copy, stage->image, changes, &changed, &why);

	if (r == -ENOMEM)
		return r;
	if (r)
		return would_refuse(stage, why ?: strdup(strerror(-r)));
	*ret_nothing = nothing_changes(changes);
	add(stage->told, "objects", json_integer(changed));
	add(stage->told, "entries", entries_json(changes));
	return 0;
}

static int apply_to_copy(struct stage *stage, char **ret_why)
{
	struct apply_result result;
	int r = datapath_apply(stage->copy, stage->image, &result, ret_why);

	if (!r)
		datapath_copy_limits(stage->view.datapath, stage->copy);
	return r;
}

/* Without a change no flow can end by it. */
static int ask_flows(struct stage *stage, bool nothing, char **ret_why)
{
	json_t *flows = NULL;
	int r;

	if (nothing || !stage->view.datapath) {
		uint32_t live = datapath_flows_used(stage->copy);

		flows = json_pack("{s:I, s:i, s:[], s:[]}", "live", (json_int_t)live, "not_asked", 0, "cut", "moved");
		add(stage->told, "flows", flows);
		return flows ? 0 : -ENOMEM;
	}
	r = live_flows_ask(stage->copy, &stage->flows);
	if (!r)
		r = apply_to_copy(stage, ret_why);
	if (!r)
		r = live_flows_compare(stage->flows, &stage->view, &flows);
	if (!r)
		add(stage->told, "flows", flows);
	return r;
}

static int run(struct stage *stage, char **ret_why)
{
	bool nothing = false;
	json_t *changes;
	int r = load_proposed(stage);

	if (!r)
		r = look_at_applied(stage, ret_why);
	if (r)
		return r;
	changes = objects_differ(stage->before, stage->after);
	if (!changes)
		return -ENOMEM;
	add(stage->told, "changes", changes);
	r = compile(stage, ret_why);
	if (!r)
		r = open_copy(stage, ret_why);
	if (!r)
		r = plan_entries(stage, &nothing);
	return r ? r : ask_flows(stage, nothing, ret_why);
}

int rehearse(const struct rehearsal *rehearsal, json_t **ret, char **ret_why)
{
	struct stage stage = {.rehearsal = rehearsal};
	int r;

	stage.told = json_pack("{s:b, s:[]}", "applies", 1, "errors");
	if (!stage.told)
		return -ENOMEM;
	r = run(&stage, ret_why);
	/* -EINVAL of the state itself is what was asked for; any other failure is ours */
	if (r && !json_is_false(json_object_get(stage.told, "applies")))
		json_decref(stage.told);
	else
		*ret = stage.told;
	stage_done(&stage);
	return r;
}
