/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All sources in one document. Elements go over as text; only of files in which lists stand elsewhere something is
 * parsed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/files.h"
#include "state/sources.h"

/* ---- revision: FNV-1a of what stands there, of keys in any order */

static uint64_t fnv(uint64_t hash, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)text[i]) * 1099511628211ull;
	return (hash ^ length) * 1099511628211ull;
}

static uint64_t finish(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	return x ^ x >> 29;
}

static uint64_t value_hash(const json_t *value, uint64_t seed)
{
	uint64_t hash = (seed + (uint64_t)json_typeof(value)) * 0x9e3779b97f4a7c15ull, sum = 0;
	const char *key;
	json_t *inner;
	double real;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return fnv(hash, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return finish(hash ^ (uint64_t)json_integer_value(value));
	case JSON_REAL:
		real = json_real_value(value);
		memcpy(&sum, &real, sizeof(sum));
		return finish(hash ^ sum);
	case JSON_ARRAY:
		json_array_foreach (value, i, inner)
			hash = value_hash(inner, hash);
		return finish(hash);
	case JSON_OBJECT:
		json_object_foreach ((json_t *)value, key, inner)
			sum += finish(value_hash(inner, fnv(hash, key, strlen(key))));
		return finish(hash ^ sum);
	default:
		return finish(hash);
	}
}

/* Routes are summed up, each with its table's id, beside all else that the table says: what one of them changes is had
 * without the others (and their order says nothing). */
static uint64_t table_revision(const json_t *table, uint64_t seed)
{
	json_t *rest = json_copy((json_t *)table), *routes = json_object_get(table, "Routes"), *route;
	uint64_t sum = 0;
	size_t i;

	if (!rest)
		return 0; /* the library's caller knows that memory was short */
	(void)json_object_del(rest, "Routes");
	sum = finish(value_hash(rest, seed));
	json_decref(rest);
	if (json_object_get(table, "RouteTableId"))
		seed = value_hash(json_object_get(table, "RouteTableId"), seed);
	json_array_foreach (routes, i, route)
		sum += finish(value_hash(route, seed));
	return sum;
}

uint64_t state_element_revision(const char *list, const json_t *object)
{
	uint64_t seed = fnv(14695981039346656037ull, list, strlen(list));

	if (!strcmp(list, state_lists[LIST_ROUTE_TABLES].name) && json_is_object(object) &&
	    json_is_array(json_object_get(object, "Routes")))
		return table_revision(object, seed);
	return finish(value_hash(object, seed));
}

/* ---- text */

struct writing {
	char *text;
	size_t length, room;
	bool any_list, any_element; /* a comma comes before the next */
	bool failed;                /* no memory */
};

static void put(struct writing *w, const char *text, size_t length)
{
	if (w->room - w->length < length) {
		size_t room = 2 * w->room + length;
		char *larger = w->failed ? NULL : realloc(w->text, room);

		w->failed |= !larger;
		if (w->failed)
			return;
		w->text = larger;
		w->room = room;
	}
	memcpy(w->text + w->length, text, length);
	w->length += length;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* ret: behind the string that begins at c */
static const char *string_end(const char *c, const char *end)
{
	for (c++; c < end && *c != '"'; c++)
		c += *c == '\\';
	return c < end ? c + 1 : end;
}

/* Valid JSON without its blanks. */
static void put_compact(struct writing *w, const char *c, const char *end)
{
	while (c < end) {
		const char *start = c;

		while (c < end && !is_blank(*c))
			c = *c == '"' ? string_end(c, end) : c + 1;
		put(w, start, (size_t)(c - start));
		while (c < end && is_blank(*c))
			c++;
	}
}

static void put_json(struct writing *w, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	w->failed |= !text;
	if (text)
		put(w, text, strlen(text));
	free(text);
}

static void begin_member(struct writing *w, const char *name)
{
	json_t *key = json_string(name);

	put(w, w->any_list ? ",\n" : "{", w->any_list ? 2 : 1);
	w->any_list = true;
	if (key)
		put_json(w, key);
	w->failed |= !key;
	put(w, ":", 1);
	json_decref(key);
}

static void begin_element(struct writing *w, const char *list)
{
	if (!w->any_element) {
		begin_member(w, list);
		put(w, "[", 1);
	} else {
		put(w, ",", 1);
	}
	w->any_element = true;
}

/* All elements of one list, first of plain files, then of the others. */
static void put_list(struct writing *w, const struct sources *sources, const char *name, json_t *others)
{
	json_t *list = json_object_get(others, name), *element;
	size_t index;

	w->any_element = false;
	for (size_t i = 0; i < sources->nr; i++) {
		const struct source_file *source = &sources->source[i];

		for (size_t k = 0; k < source->nr && source->plain; k++) {
			if (source->elements[k].name != name)
				continue;
			begin_element(w, name);
			put_compact(w, source->text + source->elements[k].start,
				    source->text + source->elements[k].end);
		}
	}
	json_array_foreach (list, index, element) {
		begin_element(w, name);
		put_json(w, element);
	}
	if (w->any_element)
		put(w, "]", 1);
	if (json_is_array(list))
		(void)json_object_del(others, name);
}

/* ---- files in which lists stand elsewhere */

static int append(json_t *whole, const char *key, json_t *list)
{
	json_t *own = json_object_get(whole, key);

	if (json_is_array(own))
		return json_array_extend(own, list) ? -ENOMEM : 0;
	own = json_array();
	if (!own || json_array_extend(own, list)) {
		json_decref(own);
		return -ENOMEM;
	}
	return json_object_set_new(whole, key, own) ? -ENOMEM : 0;
}

static int add_other(json_t *whole, const struct source_file *source)
{
	json_t *document = json_loadb(source->text, source->length, JSON_REJECT_DUPLICATES, NULL), *lists, *value;
	const char *id_key, *key;
	int r = 0;

	if (!document)
		return -ENOMEM; /* it was valid */
	lists = state_document_lists(source->path, document, &id_key);
	json_decref(document);
	json_object_foreach (lists, key, value) {
		if (json_is_array(value))
			r = append(whole, key, value);
		else if (json_is_object(value))
			r = json_object_set(whole, key, value) ? -ENOMEM : 0;
		if (r)
			break;
	}
	r = lists ? r : -ENOMEM;
	json_decref(lists);
	return r;
}

static int add_others(json_t *whole, const struct sources *sources)
{
	int r = whole ? 0 : -ENOMEM;

	for (size_t i = 0; i < sources->nr && !r; i++)
		if (!sources->source[i].plain)
			r = add_other(whole, &sources->source[i]);
	return r;
}

int sources_document(const struct sources *sources, char **ret_text, size_t *ret_length)
{
	struct writing w = {.room = sources->bytes + 4096};
	json_t *others = json_object(), *value;
	const char *key;
	int r = sources->lost ? -ENOMEM : add_others(others, sources);

	w.text = r ? NULL : malloc(w.room);
	w.failed = !w.text;
	for (enum list_kind kind = 0; kind < LIST_MAX && !w.failed; kind++) {
		put_list(&w, sources, state_lists[kind].name, others);
		if (state_lists[kind].alias)
			put_list(&w, sources, state_lists[kind].alias, others);
	}
	json_object_foreach (others, key, value) {
		begin_member(&w, key);
		put_json(&w, value);
	}
	put(&w, w.any_list ? "}\n" : "{}\n", w.any_list ? 2 : 3);
	json_decref(others);
	if (w.failed) {
		free(w.text);
		return -ENOMEM;
	}
	*ret_text = w.text;
	*ret_length = w.length;
	return 0;
}
