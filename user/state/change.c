/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Elements that differ are parsed and shaped as state_load() does it, compared with what they were, and the object that
 * each stands for is made anew beside the old one; then the two change places. */
#include "state/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/files.h"
#include "state/load.h"

#define ELEMENT_DEPTH 2 /* of an element of a top-level list */

struct follower {
	struct load load;
	struct sources *sources;
	struct state_change *change;
	char *text;              /* of the file at hand: here, because a longjmp() leaves no other trace of it */
	struct text_change edit; /* what differs in it */
};

/* What may differ between an element and the one before. */
static const struct followed {
	enum list_kind list;
	const char *keys[4];
} followed[] = {
	{LIST_SECURITY_GROUPS, {"IpPermissions", "IpPermissionsEgress"}},
	{LIST_NETWORK_ACLS, {"Entries"}},
	{LIST_ROUTE_TABLES, {"Routes"}},
	{LIST_NETWORK_INTERFACES, {"Groups", "SourceDestCheck", "ConnectionTrackingConfiguration"}},
};

static const struct followed *followed_list(enum list_kind list)
{
	for (size_t i = 0; i < sizeof(followed) / sizeof(*followed); i++)
		if (followed[i].list == list)
			return &followed[i];
	return NULL;
}

/* ---- revision */

static uint64_t fnv(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 1099511628211ull;
	return hash;
}

int state_element_revision(const char *list, const json_t *object, uint64_t *ret)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	if (!text)
		return -ENOMEM;
	*ret = fnv(fnv(14695981039346656037ull, list) * 31, text);
	free(text);
	return 0;
}

/* ---- objects of the state */

static void arena_free(void **arena)
{
	if (*arena)
		state_arena_done(*arena);
	free(*arena);
	*arena = NULL;
}

static void *object_at(const struct state *state, enum list_kind list, uint32_t place, size_t *ret_size)
{
	switch (list) {
	case LIST_SECURITY_GROUPS:
		*ret_size = sizeof(*state->groups);
		return &state->groups[place];
	case LIST_NETWORK_ACLS:
		*ret_size = sizeof(*state->nacls);
		return &state->nacls[place];
	case LIST_ROUTE_TABLES:
		*ret_size = sizeof(*state->tables);
		return &state->tables[place];
	default:
		*ret_size = sizeof(*state->enis);
		return &state->enis[place];
	}
}

static bool find_place(struct load *load, enum list_kind list, const char *id, uint32_t *ret)
{
	const struct state *state = load->state;
	const char *found;
	const char *base;
	size_t size;

	switch (list) {
	case LIST_SECURITY_GROUPS:
		found = (const char *)FIND(load, groups, id);
		break;
	case LIST_NETWORK_ACLS:
		found = (const char *)FIND(load, nacls, id);
		break;
	case LIST_ROUTE_TABLES:
		found = (const char *)FIND(load, tables, id);
		break;
	default:
		found = (const char *)FIND(load, enis, id);
	}
	base = object_at(state, list, 0, &size);
	*ret = found ? (uint32_t)((size_t)(found - base) / size) : 0;
	return found;
}

static void copy_object(const struct state *state, struct changed *changed)
{
	size_t size;
	const void *object = object_at(state, changed->list, changed->place, &size);

	memcpy(&changed->other, object, size);
}

static void swap_object(struct state *state, struct changed *changed)
{
	size_t size;
	void *object = object_at(state, changed->list, changed->place, &size);
	__typeof__(changed->other) other;

	memcpy(&other, object, size);
	memcpy(object, &changed->other, size);
	changed->other = other;
	changed->exchanged = !changed->exchanged;
}

/* *ret is a copy of the object; its changed parts are made anew. ret: whether nothing else would differ */
static bool make_anew(struct load *load, struct item *item, struct changed *changed)
{
	switch (changed->list) {
	case LIST_SECURITY_GROUPS:
		remake_group(load, item, &changed->other.group);
		return true;
	case LIST_NETWORK_ACLS:
		remake_nacl(load, item, &changed->other.nacl);
		return true;
	case LIST_ROUTE_TABLES:
		return remake_table(load, item, &changed->other.table);
	default:
		return remake_eni(load, item, &changed->other.eni);
	}
}

/* ---- elements */

static json_t *parse_element(struct follower *f, const char *text, const struct source_element *element)
{
	json_t *json = json_loadb(text + element->start, element->end - element->start, JSON_REJECT_DUPLICATES, NULL);

	if (json && json_array_append_new(f->load.documents, json))
		longjmp(*f->load.arena->failed, 1);
	return json_is_object(json) ? json : NULL;
}

/* Nothing but the keys that may change differs. */
static bool same_but(struct follower *f, const json_t *a, const json_t *b, const char *const *keys)
{
	json_t *x = need(&f->load, json_copy((json_t *)a)), *y = json_copy((json_t *)b);
	bool same;

	for (; *keys; keys++) {
		(void)json_object_del(x, *keys);
		(void)json_object_del(y, *keys);
	}
	same = y && json_equal(x, y);
	json_decref(x);
	json_decref(need(&f->load, y));
	return same;
}

static int append_document(struct follower *f, const char *list, json_t *object)
{
	struct state_change *change = f->change;
	json_t *document = json_pack("{s:[O]}", list, object);
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL, *longer = NULL;
	size_t length = text ? strlen(text) : 0;

	if (text)
		longer = realloc(change->documents, change->documents_length + length + 2);
	if (longer) {
		memcpy(longer + change->documents_length, text, length);
		memcpy(longer + change->documents_length + length, "\n", 2);
		change->documents = longer;
		change->documents_length += length + 1;
	}
	free(text);
	json_decref(document);
	return longer ? 0 : -ENOMEM;
}

static struct changed *add_changed(struct follower *f)
{
	struct state_change *change = f->change;

	if (change->nr == change->room) {
		size_t room = change->room ? 2 * change->room : 4;
		struct changed *larger = reallocarray(change->changed, room, sizeof(*larger));

		if (!larger)
			return NULL;
		change->changed = larger;
		change->room = room;
	}
	change->changed[change->nr] = (struct changed){};
	return &change->changed[change->nr];
}

/* Shape both spellings, and bring the new one into the state. */
static int follow_object(struct follower *f, const struct followed *rule, struct item *before, struct item *now)
{
	struct load *load = &f->load;
	struct changed *changed;
	struct arena *arena;
	uint32_t place;
	bool good;

	state_shape(load, before, &state_lists[rule->list]);
	state_shape(load, now, &state_lists[rule->list]);
	if (load->nr_errors || !*now->id || strcmp(before->id, now->id) != 0 ||
	    !find_place(load, rule->list, now->id, &place) || !same_but(f, before->json, now->json, rule->keys))
		return -EAGAIN;
	if (json_equal(before->json, now->json))
		return 0;
	changed = add_changed(f);
	if (!changed)
		return -ENOMEM;
	changed->list = rule->list;
	changed->place = place;
	arena = changed->arena = calloc(1, sizeof(*arena));
	if (!arena)
		return -ENOMEM;
	arena->failed = load->arena->failed;
	copy_object(load->state, changed);
	f->change->nr++; /* from here on its arena is freed with the change */
	load->arena = arena;
	good = make_anew(load, now, changed);
	load->arena = load->messages->arena;
	if (!good || load->nr_errors) {
		f->change->nr--; /* the state does not have it */
		arena_free(&changed->arena);
		return -EAGAIN;
	}
	swap_object(load->state, changed);
	return 0;
}

static int follow_element(struct follower *f, const struct source_file *source, const struct source_element *before,
			  const char *text, const struct source_element *now, unsigned long long *weight)
{
	const struct followed *rule = followed_list(before->list);
	struct item items[2] = {{.file = source->path, .list = before->name, .index = before->index},
				{.file = source->path, .list = before->name, .index = before->index}};
	unsigned long long old_weight = 0;
	uint64_t old_revision, revision;

	if (!rule || f->sources->fixed[rule->list] ||
	    state_weigh(source->text + before->start, before->end - before->start, ELEMENT_DEPTH, &old_weight))
		return -EAGAIN;
	*weight -= old_weight;
	if (state_weigh(text + now->start, now->end - now->start, ELEMENT_DEPTH, weight))
		return -EAGAIN;
	items[0].json = parse_element(f, source->text, before);
	items[1].json = parse_element(f, text, now);
	if (!items[0].json || !items[1].json)
		return -EAGAIN;
	if (state_element_revision(before->name, items[0].json, &old_revision) ||
	    state_element_revision(before->name, items[1].json, &revision) ||
	    append_document(f, before->name, items[1].json))
		return -ENOMEM;
	f->change->revision += revision - old_revision;
	return follow_object(f, rule, &items[0], &items[1]);
}

/* ---- files */

static int follow_text(struct follower *f, struct source_file *source, size_t length, unsigned long long *ret_weight)
{
	int r = sources_compare(source, f->text, length, &f->edit);

	*ret_weight = source->weight;
	for (size_t i = 0; !r && i < f->edit.nr; i++) {
		const struct source_element *before = &source->elements[f->edit.first + i], *now = &f->edit.now[i];

		if (before->end - before->start == now->end - now->start &&
		    !memcmp(source->text + before->start, f->text + now->start, now->end - now->start))
			continue;
		r = follow_element(f, source, before, f->text, now, ret_weight);
	}
	return r;
}

static void forget_text(struct follower *f)
{
	free(f->edit.now);
	free(f->text);
	f->edit = (struct text_change){};
	f->text = NULL;
}

static int follow_file(struct follower *f, const char *path)
{
	struct source_file *source = sources_find(f->sources, path);
	struct changed_source *changed = &f->change->sources[f->change->nr_sources];
	unsigned long long weight;
	size_t length;
	struct stat st;
	int r;

	if (!source)
		return -EAGAIN;
	r = state_read_file(path, &f->text, &length, &st);
	if (r)
		return r == -ENOMEM ? r : -EAGAIN;
	if (f->sources->bytes - source->length + length > STATE_BYTES_MAX)
		return -EAGAIN;
	r = follow_text(f, source, length, &weight);
	if (!r)
		r = sources_replace(source, f->text, length, &st, &f->edit, &changed->before);
	if (r)
		return r;
	f->text = NULL;
	forget_text(f);
	source->weight = weight;
	f->sources->bytes += length - changed->before.length;
	changed->source = source;
	f->change->nr_sources++;
	return 0;
}

/* ret: 0 | -EAGAIN | -ENOMEM. A function of its own, because setjmp() leaves locals undefined. */
static int follow_files(struct follower *f, const char *const *paths, size_t nr_paths)
{
	jmp_buf failed;
	int r = 0;

	if (setjmp(failed))
		return -ENOMEM;
	f->load.arena->failed = &failed;
	state_messages_init(&f->load, f->load.arena);
	f->load.documents = need(&f->load, json_array());
	for (size_t i = 0; i < nr_paths && !r; i++)
		r = follow_file(f, paths[i]);
	return r;
}

static int take_warnings(struct state_change *change, const struct state_messages *messages)
{
	change->nr_warnings = messages->nr_warnings;
	if (!messages->nr_warnings)
		return 0;
	change->first_warning = strdup(messages->warnings[0].text);
	return change->first_warning ? 0 : -ENOMEM;
}

int state_follow(struct state *state, struct sources *sources, const char *const *paths, size_t nr_paths,
		 struct state_change **ret_change)
{
	struct state_change *change = calloc(1, sizeof(*change));
	struct arena scratch = {};
	struct state_messages messages = {.arena = &scratch};
	struct follower f = {.load = {.state = state, .arena = &scratch, .messages = &messages},
			     .sources = sources,
			     .change = change};
	struct library_watch watch;
	int r = -ENOMEM;

	if (sources->incomplete)
		r = -EAGAIN;
	else if (change && (change->sources = calloc(nr_paths + 1, sizeof(*change->sources)))) {
		change->of = sources;
		state_watch_library(&watch);
		r = follow_files(&f, paths, nr_paths);
		json_decref(f.load.documents);
		if (state_unwatch_library(&watch))
			r = -ENOMEM;
	}
	if (!r)
		r = take_warnings(change, &messages);
	forget_text(&f);
	state_arena_done(&scratch);
	if (r && change)
		state_change_undo(state, change);
	if (r)
		state_change_free(&change);
	else
		*ret_change = change;
	return r;
}

void state_change_undo(struct state *state, struct state_change *change)
{
	for (size_t i = change->nr; i-- > 0;)
		if (change->changed[i].exchanged)
			swap_object(state, &change->changed[i]);
	for (size_t i = change->nr_sources; i-- > 0;) {
		struct changed_source *changed = &change->sources[i];
		struct source_file now = *changed->source;

		change->of->bytes += changed->before.length - now.length;
		*changed->source = changed->before;
		changed->before = now;
	}
}

/* ---- memory: each object that was ever changed has an arena of its own, which its next change frees */

struct own_arenas {
	void **of[LIST_MAX]; /* by place */
	size_t nr[LIST_MAX];
};

static size_t nr_objects(const struct state *state, enum list_kind list)
{
	switch (list) {
	case LIST_SECURITY_GROUPS:
		return state->nr_groups;
	case LIST_NETWORK_ACLS:
		return state->nr_nacls;
	case LIST_ROUTE_TABLES:
		return state->nr_tables;
	default:
		return state->nr_enis;
	}
}

static void **own_arena(struct state *state, const struct changed *changed)
{
	struct own_arenas *own = state->changed;

	if (!own)
		own = state->changed = calloc(1, sizeof(*own));
	if (own && !own->of[changed->list]) {
		own->nr[changed->list] = nr_objects(state, changed->list);
		own->of[changed->list] = calloc(own->nr[changed->list] + 1, sizeof(void *));
	}
	return own && own->of[changed->list] ? &own->of[changed->list][changed->place] : NULL;
}

void state_change_keep(struct state *state, struct state_change **change)
{
	struct state_change *kept = *change;

	for (size_t i = 0; i < kept->nr; i++) {
		void **own = own_arena(state, &kept->changed[i]);

		if (own) {
			arena_free(own);
			*own = TAKE_PTR(kept->changed[i].arena);
		} else {
			/* No memory to remember it by: it lives as long as the state. */
			state_arena_join(state->arena, kept->changed[i].arena);
		}
	}
	state_change_free(change);
}

void state_changes_free(struct state *state)
{
	struct own_arenas *own = state->changed;

	for (enum list_kind list = 0; own && list < LIST_MAX; list++) {
		for (size_t i = 0; i < own->nr[list] && own->of[list]; i++)
			arena_free(&own->of[list][i]);
		free(own->of[list]);
	}
	free(own);
}

void state_change_free(struct state_change **change)
{
	struct state_change *old = *change;

	if (!old)
		return;
	for (size_t i = 0; i < old->nr; i++)
		arena_free(&old->changed[i].arena);
	for (size_t i = 0; i < old->nr_sources; i++)
		source_done(&old->sources[i].before);
	free(old->changed);
	free(old->sources);
	free(old->documents);
	free(old->first_warning);
	free(old);
	*change = NULL;
}
