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

#define ELEMENT_DEPTH 2           /* of an element of a top-level list */
#define SPLICE_MAX    64          /* with more items than these an element is looked at as a whole */
#define SPLICED_BYTES (64u << 10) /* beside what the table itself takes: with more, it is made anew */

struct follower {
	struct load load;
	struct sources *sources;
	struct state_change *change;
	char *text;              /* of the file at hand: here, because a longjmp() leaves no other trace of it */
	struct text_change edit; /* what differs in it */
	struct text_splice splice;
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

/* It lives as long as the follower, whoever gives up by longjmp(). NULL is for want of memory. */
static json_t *hold(struct follower *f, json_t *json)
{
	if (json_array_append_new(f->load.documents, need(&f->load, json)))
		longjmp(*f->load.arena->failed, 1);
	return json;
}

static json_t *parse_element(struct follower *f, const char *text, const struct source_element *element)
{
	json_t *json = json_loadb(text + element->start, element->end - element->start, JSON_REJECT_DUPLICATES, NULL);

	if (json)
		(void)hold(f, json);
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

static int append_document(struct follower *f, json_t *document)
{
	struct state_change *change = f->change;
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

/* With an arena of its own. */
static struct changed *add_changed(struct follower *f, enum list_kind list, uint32_t place)
{
	struct state_change *change = f->change;
	struct changed *changed;

	if (change->nr == change->room) {
		size_t room = change->room ? 2 * change->room : 4;
		struct changed *larger = reallocarray(change->changed, room, sizeof(*larger));

		if (!larger)
			return NULL;
		change->changed = larger;
		change->room = room;
	}
	changed = &change->changed[change->nr];
	*changed = (struct changed){.list = list, .place = place, .arena = calloc(1, sizeof(struct arena))};
	if (!changed->arena)
		return NULL;
	((struct arena *)changed->arena)->failed = f->load.arena->failed;
	copy_object(f->load.state, changed);
	change->nr++; /* from here on its arenas are freed with the change */
	return changed;
}

static void drop_changed(struct follower *f)
{
	struct changed *changed = &f->change->changed[--f->change->nr];

	arena_free(&changed->arena);
	arena_free(&changed->array);
}

/* Shape both spellings. ret: whether nothing but what can be followed differs */
static bool shape_both(struct follower *f, const struct followed *rule, struct item *before, struct item *now,
		       uint32_t *ret_place)
{
	struct load *load = &f->load;

	state_shape(load, before, &state_lists[rule->list]);
	state_shape(load, now, &state_lists[rule->list]);
	return !load->nr_errors && *now->id && !strcmp(before->id, now->id) &&
	       find_place(load, rule->list, now->id, ret_place) && same_but(f, before->json, now->json, rule->keys);
}

/* Bring the new spelling into the state. */
static int follow_object(struct follower *f, const struct followed *rule, struct item *before, struct item *now)
{
	struct load *load = &f->load;
	struct changed *changed;
	uint32_t place;
	bool good;

	if (!shape_both(f, rule, before, now, &place))
		return -EAGAIN;
	if (json_equal(before->json, now->json))
		return 0;
	changed = add_changed(f, rule->list, place);
	if (!changed)
		return -ENOMEM;
	load->arena = changed->arena;
	good = make_anew(load, now, changed);
	load->arena = load->messages->arena;
	if (!good || load->nr_errors) {
		drop_changed(f); /* the state does not have it */
		return -EAGAIN;
	}
	swap_object(load->state, changed);
	return 0;
}

/* ---- some routes of a table: what an edit of one costs does not go by the others */

static bool spliced_enough(const struct state *state, uint32_t table);

static json_t *splice_document(const struct text_splice *splice, const struct source_element *element, const char *key,
			       const json_t *id, json_t *list)
{
	return json_pack("{s:[{s:s,s:O,s:s,s:I,s:I,s:O}]}", "Splice", "List", element->name, "Id", id, "Key", key, "At",
			 (json_int_t)splice->at, "Less", (json_int_t)splice->nr_before, "More", list);
}

static int splice_object(struct follower *f, const struct followed *rule, struct item *before, struct item *now)
{
	struct load *load = &f->load;
	struct changed *changed;
	size_t nr_warnings = load->nr_warnings;
	uint32_t place;
	bool good;

	if (!shape_both(f, rule, before, now, &place) || load->state->tables[place].nr_routes != f->splice.nr_items ||
	    spliced_enough(load->state, place))
		return -EAGAIN; /* where two items are one route, taking one away leaves it there */
	if (load->nr_warnings != nr_warnings)
		return -EAGAIN; /* shaping tells them by their places in the shorter list */
	if (json_equal(before->json, now->json))
		return 0;
	changed = add_changed(f, rule->list, place);
	if (!changed || !(changed->array = calloc(1, sizeof(struct arena))))
		return -ENOMEM;
	load->arena = changed->arena;
	good = splice_table(load, before, now, f->splice.at, changed->array, &changed->other.table);
	load->arena = load->messages->arena;
	if (!good || load->nr_errors) {
		drop_changed(f);
		return -EAGAIN;
	}
	swap_object(load->state, changed);
	return 0;
}

static json_t *parse_text(struct follower *f, const char *text, size_t length)
{
	const struct source_element whole = {.end = (uint32_t)length};

	return parse_element(f, text, &whole);
}

static int follow_items(struct follower *f, const struct followed *rule, const struct source_element *element,
			struct item items[2], unsigned long long *weight)
{
	const struct text_splice *splice = &f->splice;
	unsigned long long old_weight = 0, new_weight = *weight;
	const char *key = rule->keys[0];
	json_t *id, *list;
	uint64_t revision;
	int r;

	items[0].json = parse_text(f, splice->before, splice->before_length);
	items[1].json = parse_text(f, splice->now, splice->now_length);
	if (!items[0].json || !items[1].json ||
	    state_weigh(splice->before, splice->before_length, ELEMENT_DEPTH, &old_weight))
		return -EAGAIN;
	new_weight -= old_weight;
	if (state_weigh(splice->now, splice->now_length, ELEMENT_DEPTH, &new_weight))
		return -EAGAIN;
	revision = state_element_revision(element->name, items[1].json) -
		   state_element_revision(element->name, items[0].json);
	id = json_object_get(items[1].json, state_lists[rule->list].id_key);
	list = json_object_get(items[1].json, key);
	if (!id || json_array_size(list) != splice->nr_now)
		return -EAGAIN;
	list = hold(f, json_deep_copy(list)); /* as written: shaping reduces what is in it */
	id = hold(f, json_incref(id));
	r = splice_object(f, rule, &items[0], &items[1]);
	if (!r && append_document(f, splice_document(splice, element, key, id, list)))
		r = -ENOMEM;
	if (r)
		return r;
	f->change->revision += revision;
	*weight = new_weight;
	return 0;
}

/* ret: -EAGAIN = nothing was changed, and nothing said */
static int follow_routes(struct follower *f, const struct followed *rule, const struct source_file *source,
			 const struct source_element *before, const char *text, const struct source_element *now,
			 const struct item items[2], unsigned long long *weight)
{
	size_t nr_errors = f->load.nr_errors, kept_errors = f->load.messages->nr_errors;
	size_t nr_warnings = f->load.nr_warnings, kept_warnings = f->load.messages->nr_warnings;
	struct item shorter[2] = {items[0], items[1]};
	int r = sources_splice(source->text + before->start, before->end - before->start, text + now->start,
			       now->end - now->start, rule->keys[0], &f->splice);

	if (!r && (f->splice.nr_before > SPLICE_MAX || f->splice.nr_now > SPLICE_MAX))
		r = -EAGAIN;
	if (!r)
		r = follow_items(f, rule, before, shorter, weight);
	text_splice_done(&f->splice);
	if (r == -EAGAIN) {
		f->load.nr_errors = nr_errors;
		f->load.messages->nr_errors = kept_errors;
		f->load.nr_warnings = nr_warnings;
		f->load.messages->nr_warnings = kept_warnings;
	}
	return r;
}

static int follow_element(struct follower *f, const struct source_file *source, const struct source_element *before,
			  const char *text, const struct source_element *now, unsigned long long *weight)
{
	const struct followed *rule = followed_list(before->list);
	struct item items[2] = {{.file = source->path, .list = before->name, .index = before->index},
				{.file = source->path, .list = before->name, .index = before->index}};
	unsigned long long old_weight = 0;
	int r;

	if (!rule || f->sources->fixed[rule->list])
		return -EAGAIN;
	if (rule->list == LIST_ROUTE_TABLES) {
		r = follow_routes(f, rule, source, before, text, now, items, weight);
		if (r != -EAGAIN)
			return r;
	}
	if (state_weigh(source->text + before->start, before->end - before->start, ELEMENT_DEPTH, &old_weight))
		return -EAGAIN;
	*weight -= old_weight;
	if (state_weigh(text + now->start, now->end - now->start, ELEMENT_DEPTH, weight))
		return -EAGAIN;
	items[0].json = parse_element(f, source->text, before);
	items[1].json = parse_element(f, text, now);
	if (!items[0].json || !items[1].json)
		return -EAGAIN;
	if (append_document(f, json_pack("{s:[O]}", before->name, items[1].json)))
		return -ENOMEM;
	f->change->revision += state_element_revision(before->name, items[1].json) -
			       state_element_revision(before->name, items[0].json);
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
	text_splice_done(&f->splice);
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

static void swap_source(struct state_change *change, struct changed_source *changed)
{
	struct source_file now = *changed->source;

	change->of->bytes += changed->before.length - now.length;
	*changed->source = changed->before;
	changed->before = now;
}

void state_change_undo(struct state *state, struct state_change *change)
{
	for (size_t i = change->nr; i-- > 0;)
		if (change->changed[i].exchanged)
			swap_object(state, &change->changed[i]);
	for (size_t i = change->nr_sources; i-- > 0;)
		swap_source(change, &change->sources[i]);
}

void state_change_redo(struct state *state, struct state_change *change)
{
	for (size_t i = 0; i < change->nr; i++)
		if (!change->changed[i].exchanged)
			swap_object(state, &change->changed[i]);
	for (size_t i = 0; i < change->nr_sources; i++)
		swap_source(change, &change->sources[i]);
}

/* ---- memory: each object that was ever changed has arenas of its own, which its next change frees, or takes over.
 * What is taken over grows with each splice: after so many that it is about the table, the table is made anew. */

struct own {
	void *arena, *array;
	size_t spliced; /* bytes, since all of it was made anew */
};

struct own_arenas {
	struct own *of[LIST_MAX]; /* by place */
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

static struct own *own_of(struct state *state, const struct changed *changed)
{
	struct own_arenas *own = state->changed;

	if (!own)
		own = state->changed = calloc(1, sizeof(*own));
	if (own && !own->of[changed->list]) {
		own->nr[changed->list] = nr_objects(state, changed->list);
		own->of[changed->list] = calloc(own->nr[changed->list] + 1, sizeof(struct own));
	}
	return own && own->of[changed->list] ? &own->of[changed->list][changed->place] : NULL;
}

static bool spliced_enough(const struct state *state, uint32_t table)
{
	const struct own_arenas *own = state->changed;
	const struct own *of = own ? own->of[LIST_ROUTE_TABLES] : NULL;

	return of && of[table].spliced > SPLICED_BYTES + state->tables[table].nr_routes * sizeof(struct vpc_route);
}

static void keep_changed(struct own *own, struct changed *changed)
{
	own->spliced = changed->array ? own->spliced + state_arena_size(changed->arena) : 0;
	if (changed->array && own->arena) { /* the few to the many: what is joined is walked over */
		state_arena_join(own->arena, changed->arena);
		arena_free(&changed->arena);
	} else {
		arena_free(&own->arena);
		own->arena = TAKE_PTR(changed->arena);
	}
	arena_free(&own->array);
	own->array = TAKE_PTR(changed->array);
}

void state_change_keep(struct state *state, struct state_change **change)
{
	struct state_change *kept = *change;

	for (size_t i = 0; i < kept->nr; i++) {
		struct changed *changed = &kept->changed[i];
		struct own *own;

		if (!changed->exchanged)
			continue; /* what it is made of goes with the change */
		own = own_of(state, changed);
		if (own) {
			keep_changed(own, changed);
		} else {
			/* No memory to remember it by: it lives as long as the state. */
			state_arena_join(state->arena, changed->arena);
			if (changed->array)
				state_arena_join(state->arena, changed->array);
		}
	}
	state_change_free(change);
}

void state_changes_free(struct state *state)
{
	struct own_arenas *own = state->changed;

	for (enum list_kind list = 0; own && list < LIST_MAX; list++) {
		for (size_t i = 0; i < own->nr[list] && own->of[list]; i++) {
			arena_free(&own->of[list][i].arena);
			arena_free(&own->of[list][i].array);
		}
		free(own->of[list]);
	}
	free(own);
}

void state_change_free(struct state_change **change)
{
	struct state_change *old = *change;

	if (!old)
		return;
	for (size_t i = 0; i < old->nr; i++) {
		arena_free(&old->changed[i].arena);
		arena_free(&old->changed[i].array);
	}
	for (size_t i = 0; i < old->nr_sources; i++)
		source_done(&old->sources[i].before);
	free(old->changed);
	free(old->sources);
	free(old->documents);
	free(old->first_warning);
	free(old);
	*change = NULL;
}
