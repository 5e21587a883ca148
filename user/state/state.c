/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* state_load(): read, merge, resolve, in this order; either a whole state comes out or all errors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/load.h"

/* Objects that others point at come first. */
static void resolve(struct load *load)
{
	load_vpcs(load);
	load_subnets(load);
	load_prefix_lists(load);
	load_peerings(load);
	load_transit_gateways(load);
	load_groups(load);
	load_enis(load);
	load_gateways(load);
	load_nat_gateways(load);
	load_endpoints(load);
	load_tables(load);
	link_tables(load);
	load_nacls(load);
	load_vpn(load);
	load_mirrors(load);
	load_options(load);
	load_flow_logs(load);
	load_hosts(load);
	check_quotas(load);
}

/* By now each object has one spelling, and its ids are its own. */
static void tell_objects(struct load *load)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++) {
		json_t *objects = need(load, json_object());

		if (json_object_set_new(load->objects, state_lists[kind].name, objects))
			longjmp(*load->arena->failed, 1);
		LIST_FOREACH (load, kind, it) {
			char key[2 * ID_MAX + 2];

			snprintf(key, sizeof(key), "%s%s%s", it->id, *it->id2 ? " " : "", it->id2);
			if (json_object_set(objects, key, it->json))
				longjmp(*load->arena->failed, 1);
		}
	}
}

/* ret: 0 | -EINVAL | -ENOMEM. A function of its own, because setjmp() leaves locals undefined. */
static int fill(struct load *load, const char *const *paths, size_t nr_paths)
{
	jmp_buf failed;

	if (setjmp(failed))
		return -ENOMEM;
	load->arena->failed = &failed;
	((struct arena *)load->messages->arena)->failed = &failed;
	state_messages_init(load, load->messages->arena);
	load->state = ARENA_ARRAY(load->arena, 1, struct state);
	load->state->extra = ARENA_ARRAY(load->arena, 1, struct state_extra);
	load->state->arena = load->arena;
	for (size_t i = 0; i < nr_paths && !load->document; i++)
		state_read(load, paths[i]);
	if (load->document)
		state_read_document(load, paths[0], load->document);
	state_merge(load);
	if (load->objects)
		tell_objects(load);
	resolve(load);
	state_messages_finish(load);
	if (load->sources) /* these say of a group what its own element does not */
		load->sources->fixed[LIST_SECURITY_GROUPS] |= load->lists[LIST_SECURITY_GROUP_RULES].nr > 0;
	return load->nr_errors ? -EINVAL : 0;
}

static void arena_free(struct arena **arena)
{
	if (*arena) {
		state_arena_done(*arena);
		free(*arena);
	}
	*arena = NULL;
}

/* jansson 2.14 does not always tell when it has no memory: it calls a string an invalid token, goes on with a part of
 * it ("10.0.0.0/16" becomes "10.0.0.0/1"), dumps text with a hole. So watch its allocations: one that fails is the end
 * of the whole load, whatever came out. */
static bool library_lacked_memory;

static void *watched_malloc(size_t size)
{
	void *memory = malloc(size);

	library_lacked_memory |= !memory;
	return memory;
}

void state_watch_library(struct library_watch *watch)
{
	library_lacked_memory = false;
	json_get_alloc_funcs(&watch->old_malloc, &watch->old_free);
	json_set_alloc_funcs(watched_malloc, free);
}

bool state_unwatch_library(const struct library_watch *watch)
{
	json_set_alloc_funcs(watch->old_malloc, watch->old_free);
	return library_lacked_memory;
}

static int fill_watched(struct load *load, const char *const *paths, size_t nr_paths)
{
	struct library_watch watch;
	int r = -ENOMEM;

	state_watch_library(&watch);
	load->documents = json_array();
	if (load->documents)
		r = fill(load, paths, nr_paths);
	json_decref(load->documents);
	return state_unwatch_library(&watch) ? -ENOMEM : r;
}

static int load_from(const char *const *paths, size_t nr_paths, struct sources *sources, json_t *document,
		     json_t *objects, struct state **ret_state, struct state_messages *messages)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	struct load *load = calloc(1, sizeof(*load));
	int r = -ENOMEM;

	memset(messages, 0, sizeof(*messages));
	messages->arena = calloc(1, sizeof(struct arena));
	if (arena && load && messages->arena) {
		load->arena = arena;
		load->messages = messages;
		load->sources = sources;
		load->document = document;
		load->objects = objects;
		r = fill_watched(load, paths, nr_paths);
		arena->failed = NULL;
		((struct arena *)messages->arena)->failed = NULL;
	}
	if (r == -ENOMEM) /* what was found until then is not all there is */
		messages->nr_errors = messages->nr_warnings = 0;
	if (!r)
		*ret_state = load->state;
	else
		arena_free(&arena);
	free(load);
	return r;
}

int state_load(const char *const *paths, size_t nr_paths, struct state **ret_state, struct state_messages *messages)
{
	return load_from(paths, nr_paths, NULL, NULL, NULL, ret_state, messages);
}

int state_load_document(json_t *document, const char *name, struct state **ret_state, struct state_messages *messages)
{
	return load_from(&name, 1, NULL, document, NULL, ret_state, messages);
}

int state_load_objects(const char *const *paths, size_t nr_paths, json_t *document, struct state **ret_state,
		       struct state_messages *messages, json_t **ret_objects)
{
	json_t *objects = json_object();
	int r = objects ? load_from(paths, nr_paths, NULL, document, objects, ret_state, messages) : -ENOMEM;

	if (r)
		json_decref(objects);
	else
		*ret_objects = objects;
	return r;
}

int state_load_sources(const char *const *paths, size_t nr_paths, struct state **ret_state,
		       struct state_messages *messages, struct sources **ret_sources)
{
	struct sources *sources = calloc(1, sizeof(*sources));
	int r = load_from(paths, nr_paths, sources, NULL, NULL, ret_state, messages);

	if (!r && sources)
		sources_settle(sources);
	if (r)
		sources_free(&sources);
	*ret_sources = sources;
	return r;
}

void state_free(struct state **state)
{
	struct arena *arena = *state ? (*state)->arena : NULL;

	if (*state)
		state_changes_free(*state);

	arena_free(&arena);
	*state = NULL;
}

const struct eni *state_eni(const struct state *state, const char *id)
{
	return state_find(state->enis, state->nr_enis, sizeof(*state->enis), id);
}
