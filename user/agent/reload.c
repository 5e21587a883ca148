/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From files to the kernel: load, compile, cover the devices, apply, serve. Every step before datapath_apply is without
 * consequence, and datapath_apply is all or nothing. */
#include "agent/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/saved.h"
#include "base/base.h"
#include "datapath/beside.h"
#include "state/change.h"

#define READ_TRIES 5

/* A state on its way into force. */
struct candidate {
	struct applied applied;
	size_t nr_warnings;
	char *first_warning;
};

static void candidate_done(struct candidate *candidate)
{
	image_free(&candidate->applied.image);
	state_free(&candidate->applied.state);
	sources_free(&candidate->applied.sources);
	free(candidate->first_warning);
}

static int say_why(char **ret_why, int error, const char *what, const char *text)
{
	if (asprintf(ret_why, "%s%s", what, text) < 0)
		*ret_why = NULL;
	return error;
}

static int load(const struct tree *tree, struct candidate *candidate, char **ret_why)
{
	struct state_messages messages = {};
	int r = state_load_sources(tree->paths, tree->nr, &candidate->applied.state, &messages,
				   &candidate->applied.sources);

	for (size_t i = 0; i < messages.nr_errors; i++)
		log_error("%s", messages.errors[i].text);
	if (r && messages.nr_errors > 1) {
		if (asprintf(ret_why, "%s (and %zu more error%s)", messages.errors[0].text, messages.nr_errors - 1,
			     plural(messages.nr_errors - 1)) < 0)
			*ret_why = NULL;
	} else if (r) {
		(void)say_why(ret_why, r, "", messages.nr_errors ? messages.errors[0].text : strerror(-r));
	}
	candidate->applied.revision = candidate->applied.sources ? candidate->applied.sources->revision : 0;
	candidate->nr_warnings = messages.nr_warnings;
	if (messages.nr_warnings)
		candidate->first_warning = strdup(messages.warnings[0].text);
	state_messages_done(&messages);
	return r;
}

/* What is read must be of one moment: when files change meanwhile, read again. */
static int read_files(const struct tree *tree, struct candidate *candidate, uint64_t *ret_seen, char **ret_why)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t before = tree_fingerprint(tree);
		int r;

		*ret_seen = before;
		r = load(tree, candidate, ret_why);
		if (r)
			return r;
		if (tree_fingerprint(tree) == before)
			return 0;
		candidate_done(candidate);
		memset(candidate, 0, sizeof(*candidate));
	}
	return say_why(ret_why, -EAGAIN, "", "the files keep changing while they are read");
}

static int compile(const struct agent *agent, struct candidate *candidate, char **ret_why)
{
	struct applied *applied = &candidate->applied;

	applied->host = state_host(applied->state, agent->options->host);
	if (!applied->host) {
		*ret_why = state_host_missing(applied->state, agent->options->host);
		return -ENOENT;
	}
	int r = devices_acceptable(applied->host, ret_why);

	if (r)
		return r;
	return compile_image(applied->state, applied->host, &applied->image, ret_why);
}

/* ---- what changed, for the log */

static void count_ports(const struct image *from, const struct image *to, size_t *ret_added, size_t *ret_removed)
{
	size_t i = 0, j = 0;

	*ret_added = *ret_removed = 0;
	while (i < (from ? from->nr_ports : 0) || j < to->nr_ports) {
		int order = !from || i == from->nr_ports ? 1
			    : j == to->nr_ports          ? -1
							 : strcmp(from->ports[i].id, to->ports[j].id);

		*ret_removed += order < 0;
		*ret_added += order > 0;
		i += order <= 0;
		j += order >= 0;
	}
}

static void say_warnings(const char *first, size_t nr)
{
	if (nr)
		log_warning("%s%s", first ? first : "", nr > 1 ? " (and more: enid check lists them)" : "");
}

static void say_applied(const struct applied *applied, const struct apply_result *result, size_t added, size_t removed,
			uint64_t took_us)
{
	log_info("generation %" PRIu64 ", revision %016" PRIx64 ": %u object%s changed (%zu ENIs and uplinks added, "
		 "%zu removed), %u kernel entr%s written, %" PRIu64 ".%03" PRIu64 " ms",
		 applied->generation, applied->revision, result->changed, plural(result->changed), added, removed,
		 result->kernel_writes, result->kernel_writes == 1 ? "y" : "ies", took_us / 1000, took_us % 1000);
}

/* ---- into force */

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

/* The collector looks at the old state until it is told of the new one. */
static void swap(struct agent *agent, struct candidate *candidate)
{
	struct applied old = agent->applied;

	agent->applied = candidate->applied;
	candidate->applied = old;
	if (!agent->collector)
		return;
	int r = collector_state_changed(agent->collector, agent->applied.state, agent->applied.image);

	if (r)
		log_error("flow logs: the new state was not taken: %s", strerror(-r));
}

static int bring_into_force(struct agent *agent, struct candidate *candidate, char **ret_why)
{
	struct apply_result result = {};
	uint64_t start_us = now_us(), took_us;
	size_t added, removed;
	int r;

	devices_cover(agent->devices, candidate->applied.host);
	r = devices_fill(agent->devices, candidate->applied.image);
	if (r)
		log_warning("cannot list the network devices: %s", strerror(-r));
	r = datapath_apply(agent->datapath, candidate->applied.image, &result, ret_why);
	if (r) {
		devices_cover(agent->devices, NULL);
		return r;
	}
	candidate->applied.generation = agent->applied.generation + 1;
	candidate->applied.at_s = time(NULL);
	count_ports(agent->applied.image, candidate->applied.image, &added, &removed);
	took_us = now_us() - start_us;
	applies_note(&agent->applies, took_us);
	say_applied(&candidate->applied, &result, added, removed, took_us);
	say_warnings(candidate->first_warning, candidate->nr_warnings);
	if (datapath_short_of_sides(agent->datapath, candidate->applied.image))
		log_warning("of %u flows at most %u may pass gateways that remember them: a restart makes room for all",
			    datapath_flows_max(agent->datapath), datapath_beside(agent->datapath).nr_sides);
	swap(agent, candidate);
	r = devices_serve(agent->devices, agent->applied.host);
	if (r)
		log_error("cannot serve the ports: %s", strerror(-r));
	return 0;
}

void agent_follow_uplinks(struct agent *agent)
{
	struct apply_result result = {};
	char *why = NULL;
	int r;

	if (!agent->devices->uplink_changed)
		return;
	agent->devices->uplink_changed = false;
	r = devices_fill(agent->devices, agent->applied.image);
	if (!r)
		r = datapath_apply(agent->datapath, agent->applied.image, &result, &why);
	if (r)
		log_error("the MAC address of an uplink was not taken: %s", why ? why : strerror(-r));
	free(why);
}

static int save(const struct agent *agent)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	int r = agent->applied.sources ? sources_document(agent->applied.sources, &text, &length) : -ENOMEM;

	return r ? r : saved_write(agent->options->run_dir, text, length);
}

static int take(struct agent *agent, const struct tree *tree, bool keep, uint64_t *ret_seen, char **ret_why)
{
	struct candidate candidate = {};
	int r = read_files(tree, &candidate, ret_seen, ret_why);

	if (!r)
		r = compile(agent, &candidate, ret_why);
	if (!r)
		r = bring_into_force(agent, &candidate, ret_why);
	if (!r && keep) {
		agent->save_error = save(agent);
		if (agent->save_error) {
			log_error("cannot write %s/" APPLIED_FILE ": %s", agent->options->run_dir,
				  strerror(-agent->save_error));
			sources_free(&agent->applied.sources); /* changes would be read over an older one */
		}
	}
	candidate_done(&candidate);
	return r;
}

/* ---- a small change: what state/change.h can follow. Ports, their devices and their numbers stay as they are, and so
 * does all that the flow logs know but for the rules. */

static void follow_seen(struct agent *agent, const struct state_change *change)
{
	for (size_t i = 0; i < change->nr_sources; i++) {
		const struct changed_source *changed = &change->sources[i];

		agent->seen += tree_file_fingerprint(changed->source->path, &changed->source->st) -
			       tree_file_fingerprint(changed->source->path, &changed->before.st);
	}
}

/* ret: 0 | -errno: the old state is in force; where its image could not be had again, nothing can be followed */
static int apply_change(struct agent *agent, struct state_change *change, struct apply_result *result)
{
	struct applied *applied = &agent->applied;
	char *why = NULL;
	int r = image_update(applied->image, change);

	if (r) {
		state_change_undo(applied->state, change);
		return r;
	}
	r = datapath_apply(agent->datapath, applied->image, result, &why);
	free(why);
	if (!r)
		return 0;
	state_change_undo(applied->state, change);
	if (image_update(applied->image, change)) {
		state_change_redo(applied->state, change); /* what its image is of: in no kernel, but whole */
		sources_free(&applied->sources);
	}
	return r;
}

/* Where the changes on disk get too many, all is written as a whole. */
static int save_change(struct agent *agent, const struct state_change *change)
{
	struct applied *applied = &agent->applied;
	int r;

	if (!change->documents)
		return 0;
	r = saved_append(agent->options->run_dir, change->documents, change->documents_length, &applied->nr_changes);
	if (r != -EFBIG)
		return r;
	applied->nr_changes = 0;
	return save(agent);
}

int agent_follow(struct agent *agent, const char *const *paths, size_t nr_paths)
{
	struct applied *applied = &agent->applied;
	struct state_change *change = NULL;
	struct apply_result result = {};
	uint64_t start_us = now_us(), took_us;
	int r;

	if (!applied->sources || agent->state_problem)
		return -EAGAIN;
	if (state_follow(applied->state, applied->sources, paths, nr_paths, &change))
		return -EAGAIN;
	if (apply_change(agent, change, &result)) {
		if (applied->sources)
			state_change_free(&change);
		else
			state_change_keep(applied->state, &change);
		return -EAGAIN;
	}
	if (agent->collector)
		collector_rules_changed(agent->collector);
	follow_seen(agent, change);
	applied->revision += change->revision;
	applied->generation++;
	applied->at_s = time(NULL);
	took_us = now_us() - start_us;
	applies_note(&agent->applies, took_us);
	say_applied(applied, &result, 0, 0, took_us);
	say_warnings(change->first_warning, change->nr_warnings);
	r = agent->save_error = save_change(agent, change);
	if (r) {
		log_warning("cannot write %s/" CHANGES_FILE ": %s", agent->options->run_dir, strerror(-r));
		sources_free(&applied->sources); /* so the next change writes all of it */
	}
	state_change_keep(applied->state, &change);
	agent->status_stale = true;
	return 0;
}

int agent_reload(struct agent *agent)
{
	char *why = NULL;
	int r = take(agent, &agent->options->tree, true, &agent->seen, &why);

	free(agent->state_problem);
	agent->state_problem = NULL;
	agent->status_stale = true;
	if (!r)
		return 0;
	agent->applies.refused++;
	agent->state_problem = why ? why : strdup(strerror(-r));
	log_error("the state is refused%s: %s", agent->applied.state ? ", the last good one stays in force" : "",
		  agent->state_problem ? agent->state_problem : "");
	return r;
}

int agent_recover(struct agent *agent)
{
	char path[PATH_MAX];
	const char *const paths[] = {path};
	const struct tree tree = {paths, 1};
	json_t *documents = NULL;
	char *text = NULL, *why = NULL;
	uint64_t seen;
	int r = saved_read(agent->options->run_dir, &documents);

	text = r ? NULL : json_dumps(documents, JSON_COMPACT);
	json_decref(documents);
	if (!r) /* the changes are in it */
		r = text ? saved_write(agent->options->run_dir, text, strlen(text)) : -ENOMEM;
	free(text);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/" APPLIED_FILE, agent->options->run_dir);
	r = take(agent, &tree, false, &seen, &why);
	sources_free(&agent->applied.sources); /* it is not the files that it came from */
	if (!r)
		log_warning("going on with the state that was in force last, %s", path);
	free(why);
	return r;
}

int agent_try(const struct agent *agent)
{
	struct candidate candidate = {};
	char *why = NULL;
	uint64_t seen;
	int r = read_files(&agent->options->tree, &candidate, &seen, &why);

	if (!r)
		r = compile(agent, &candidate, &why);
	if (r)
		log_error("the state is refused, and there is no other to enforce: %s", why ? why : strerror(-r));
	free(why);
	candidate_done(&candidate);
	return r;
}
