/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One object for each id (JSON-06): the items of a list are sorted by id; neighbours with the same id are joined when
 * every key that both have agrees, and refused with both places otherwise. After this, order is that of the ids,
 * whatever the order of files and lists was. */
#include <stdlib.h>
#include <string.h>

#include "state/load.h"

#define ITEMS_MAX 4194304

void state_add_item(struct load *load, enum list_kind list, const struct item *item)
{
	struct items *items = &load->lists[list];
	size_t room = items->room ? 2 * items->room : 16;
	struct item *larger;

	if (items->nr == items->room) {
		larger = ARENA_ARRAY(load->arena, room, struct item);
		if (items->nr)
			memcpy(larger, items->item, items->nr * sizeof(*larger));
		items->item = larger;
		items->room = room;
	}
	items->item[items->nr++] = *item;
}

/* By ids, then in the order they came (addresses grow within the array, but qsort may move them: file and index). */
static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order = strcmp(x->id, y->id);

	if (!order)
		order = strcmp(x->id2, y->id2);
	if (!order)
		order = strcmp(x->file, y->file);
	if (!order)
		order = strcmp(x->list, y->list);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_texts(char **texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		free(texts[i]);
	free(texts);
}

/* The elements as canonical text, sorted; to be freed by free_texts(). NULL = no memory */
static char **list_texts(const json_t *list)
{
	size_t nr = json_array_size(list);
	char **texts = calloc(nr + 1, sizeof(*texts));

	for (size_t i = 0; texts && i < nr; i++) {
		texts[i] = json_dumps(json_array_get(list, i), JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
		if (!texts[i]) {
			free_texts(texts);
			return NULL;
		}
	}
	if (texts && nr)
		qsort(texts, nr, sizeof(*texts), compare_text);
	return texts;
}

/* Lists of the same elements in any order are equal. */
static bool list_equal(struct load *load, const json_t *a, const json_t *b)
{
	char **x, **y;
	bool equal = true, known;

	if (json_array_size(a) != json_array_size(b))
		return false;
	x = list_texts(a);
	y = list_texts(b);
	known = x && y;
	for (size_t i = 0; known && equal && x[i]; i++)
		equal = y[i] && !strcmp(x[i], y[i]);
	free_texts(x);
	free_texts(y);
	if (!known)
		longjmp(*load->arena->failed, 1);
	return equal;
}

static bool value_equal(struct load *load, const json_t *a, const json_t *b)
{
	if (json_is_array(a) && json_is_array(b))
		return list_equal(load, a, b);
	return json_equal(a, b);
}

/* Take over what only `from` has. ret: a key that both have with different values, or NULL */
static const char *join(struct load *load, json_t *into, json_t *from)
{
	const char *name, *conflict;
	json_t *value;

	json_object_foreach (from, name, value) {
		json_t *own = json_object_get(into, name);

		if (!own) {
			if (json_object_set(into, name, value))
				longjmp(*load->arena->failed, 1);
		} else if (json_is_object(own) && json_is_object(value)) {
			conflict = join(load, own, value);
			if (conflict)
				return conflict;
		} else if (!value_equal(load, own, value)) {
			return name;
		}
	}
	return NULL;
}

static void merge_list(struct load *load, enum list_kind kind)
{
	struct items *items = &load->lists[kind];
	size_t max = state_lists[kind].max ? state_lists[kind].max : ITEMS_MAX;
	size_t kept = 0;

	if (items->nr)
		qsort(items->item, items->nr, sizeof(*items->item), compare_items);
	for (size_t i = 0; i < items->nr; i++) {
		struct item *last = kept ? &items->item[kept - 1] : NULL;
		struct item *item = &items->item[i];
		const char *conflict;

		if (!last || strcmp(last->id, item->id) != 0 || strcmp(last->id2, item->id2) != 0) {
			items->item[kept++] = *item;
			continue;
		}
		if (load->sources)
			load->sources->fixed[kind] = true;
		conflict = join(load, last->json, item->json);
		if (conflict)
			state_error(load, item, "", "%s differs from the one in %s: %s[%zu]", conflict, last->file,
				    last->list, last->index);
	}
	items->nr = kept > max ? max : kept; /* what comes later costs time by their number, and is refused anyway */
	if (kept > max)
		state_error(load, &items->item[max], "", "is more than the %zu that the list %s may have", max,
			    state_lists[kind].name);
}

void state_merge(struct load *load)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++)
		merge_list(load, kind);
}
