/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* state_load(): read, merge, resolve, in this order; either a whole state comes out or all errors. */
#include <errno.h>
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
	for (size_t i = 0; i < nr_paths; i++)
		state_read(load, paths[i]);
	state_merge(load);
	resolve(load);
	state_messages_finish(load);
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
 * it
 * ("10.0.0.0/16" becomes "10.0.0.0/1"), dumps text with a hole. So watch its allocations: one that fails is the end of
 * the whole load, whatever came out. */
static bool library_lacked_memory;

static void *watched_malloc(size_t size)
{
	void *memory = malloc(size);

	library_lacked_memory |= !memory;
	return memory;
}

static int fill_watched(struct load *load, const char *const *paths, size_t nr_paths)
{
	json_malloc_t old_malloc;
	json_free_t old_free;
	int r = -ENOMEM;

	library_lacked_memory = false;
	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(watched_malloc, free);
	load->documents = json_array();
	if (load->documents)
		r = fill(load, paths, nr_paths);
	json_decref(load->documents);
	json_set_alloc_funcs(old_malloc, old_free);
	return library_lacked_memory ? -ENOMEM : r;
}

int state_load(const char *const *paths, size_t nr_paths, struct state **ret_state, struct state_messages *messages)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	struct load *load = calloc(1, sizeof(*load));
	int r = -ENOMEM;

	memset(messages, 0, sizeof(*messages));
	messages->arena = calloc(1, sizeof(struct arena));
	if (arena && load && messages->arena) {
		load->arena = arena;
		load->messages = messages;
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

void state_free(struct state **state)
{
	struct arena *arena = *state ? (*state)->arena : NULL;

	arena_free(&arena);
	*state = NULL;
}

const struct eni *state_eni(const struct state *state, const char *id)
{
	return state_find(state->enis, state->nr_enis, sizeof(*state->enis), id);
}
