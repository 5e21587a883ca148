/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Elements are found by a walk over text that the library has accepted: strings and brackets are all there is to see.
 */
#include "state/sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state/load.h"

/* ---- walking over valid JSON */

static const char *skip_blanks(const char *c, const char *end)
{
	while (c < end && (*c == ' ' || *c == '\n' || *c == '\r' || *c == '\t'))
		c++;
	return c;
}

/* c: behind the opening quote. ret: behind the closing one */
static const char *skip_string(const char *c, const char *end)
{
	const char *quote = c < end ? memchr(c, '"', (size_t)(end - c)) : NULL;

	if (quote && !memchr(c, '\\', (size_t)(quote - c)))
		return quote + 1;
	while (c < end && *c != '"')
		c += *c == '\\' ? 2 : 1;
	return c < end ? c + 1 : end;
}

/* ret: behind the value that begins at c, or where a value cannot go on */
static const char *skip_value(const char *c, const char *end)
{
	unsigned int depth = 0;

	while (c < end) {
		switch (*c) {
		case '"':
			c = skip_string(c + 1, end);
			break;
		case '{':
		case '[':
			depth++;
			c++;
			break;
		case '}':
		case ']':
			if (!depth)
				return c;
			depth--;
			c++;
			break;
		case ',':
			if (!depth)
				return c;
			c++;
			continue;
		default:
			c++;
			continue;
		}
		if (!depth)
			return c;
	}
	return end;
}

struct finding {
	struct source_element *elements;
	size_t nr, room;
};

static int find_element(struct finding *finding, const struct source_element *element)
{
	if (finding->nr == finding->room) {
		size_t room = finding->room ? 2 * finding->room : 16;
		struct source_element *elements = reallocarray(finding->elements, room, sizeof(*elements));

		if (!elements)
			return -ENOMEM;
		finding->elements = elements;
		finding->room = room;
	}
	finding->elements[finding->nr++] = *element;
	return 0;
}

/* The elements of a list, from the first one (or the closing bracket) on. like: their list, name and next index.
 * ret: 0, *c is where no further element comes | -ENOMEM */
static int find_elements(struct finding *finding, const char *text, const char **c, const char *end,
			 struct source_element like)
{
	const char *at = skip_blanks(*c, end);
	int r = 0;

	while (!r && at < end && *at != ']') {
		like.start = (uint32_t)(at - text);
		at = skip_value(at, end);
		like.end = (uint32_t)(at - text);
		while (like.end > like.start && strchr(" \n\r\t", text[like.end - 1]))
			like.end--;
		r = find_element(finding, &like);
		like.index++;
		at = skip_blanks(at, end);
		if (at == end || *at != ',')
			break;
		at = skip_blanks(at + 1, end);
	}
	*c = at;
	return r;
}

/* The list of the schema that has this key; LIST_MAX = none that stands for objects one by one. */
static enum list_kind list_of_key(const char *key, size_t length, const char **ret_name)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++) {
		const char *names[] = {state_lists[kind].name, state_lists[kind].alias};

		for (size_t i = 0; i < 2 && names[i] && state_lists[kind].id_key; i++) {
			*ret_name = names[i];
			if (strlen(names[i]) == length && !memcmp(names[i], key, length))
				return kind;
		}
	}
	return LIST_MAX;
}

static int find_lists(struct finding *finding, const char *text, size_t length, bool *ret_plain)
{
	const char *end = text + length, *c = skip_blanks(text, end);
	int r = 0;

	*ret_plain = c < end && *c == '{';
	if (!*ret_plain)
		return 0;
	for (c = skip_blanks(c + 1, end); !r && c < end && *c == '"';) {
		const char *key = c + 1, *key_end = skip_string(key, end) - 1;
		struct source_element like = {};

		like.list = list_of_key(key, (size_t)(key_end - key), &like.name);
		c = skip_blanks(key_end + 1, end);
		c = skip_blanks(c < end ? c + 1 : end, end); /* the colon */
		if (like.list != LIST_MAX && c < end && *c == '[') {
			c++;
			r = find_elements(finding, text, &c, end, like);
			c = c < end ? c + 1 : end;
		} else {
			*ret_plain &= c < end && *c != '[' && *c != '{';
			c = skip_value(c, end);
		}
		c = skip_blanks(c, end);
		if (c < end && *c == ',')
			c = skip_blanks(c + 1, end);
	}
	return r;
}

/* ---- the sources of a state */

static int index_source(struct source_file *source)
{
	struct finding finding = {};
	int r;

	source->weight = 0;
	if (state_weigh(source->text, source->length, 0, &source->weight))
		return -EINVAL;
	r = find_lists(&finding, source->text, source->length, &source->plain);
	source->elements = finding.elements;
	source->nr = finding.nr;
	return r;
}

void sources_add(struct sources *sources, const char *path, const struct stat *st, char *text, size_t length)
{
	struct source_file source = {.path = strdup(path), .st = *st, .text = text, .length = length};

	if (sources->nr == sources->room) {
		size_t room = sources->room ? 2 * sources->room : 16;
		struct source_file *larger = reallocarray(sources->source, room, sizeof(*larger));

		if (larger) {
			sources->source = larger;
			sources->room = room;
		}
	}
	if (!source.path || sources->nr == sources->room || index_source(&source)) {
		sources->incomplete = sources->lost = true;
		source_done(&source);
		return;
	}
	sources->source[sources->nr++] = source;
	sources->bytes += length;
}

static int compare_sources(const void *a, const void *b)
{
	return strcmp(((const struct source_file *)a)->path, ((const struct source_file *)b)->path);
}

void sources_settle(struct sources *sources)
{
	if (sources->nr)
		qsort(sources->source, sources->nr, sizeof(*sources->source), compare_sources);
	for (size_t i = 1; i < sources->nr; i++) /* one file by two ways */
		sources->incomplete |= !compare_sources(&sources->source[i - 1], &sources->source[i]);
}

void source_done(struct source_file *source)
{
	free(source->path);
	free(source->text);
	free(source->elements);
	*source = (struct source_file){};
}

void sources_free(struct sources **sources)
{
	struct sources *old = *sources;

	if (!old)
		return;
	for (size_t i = 0; i < old->nr; i++)
		source_done(&old->source[i]);
	free(old->source);
	free(old);
	*sources = NULL;
}

struct source_file *sources_find(const struct sources *sources, const char *path)
{
	struct source_file wanted = {.path = (char *)path};

	if (!sources->nr)
		return NULL;
	return bsearch(&wanted, sources->source, sources->nr, sizeof(wanted), compare_sources);
}

/* ---- comparing */

/* How many bytes are equal from the start; the library's memcmp is fast but says only whether. */
static size_t common_start(const char *a, const char *b, size_t length)
{
	size_t at = 0;

	for (size_t step = 4096; at < length; at += step) {
		if (step > length - at)
			step = length - at;
		if (memcmp(a + at, b + at, step) != 0)
			break;
	}
	while (at < length && a[at] == b[at])
		at++;
	return at;
}

static size_t common_end(const char *a_end, const char *b_end, size_t length)
{
	size_t at = 0;

	for (size_t step = 4096; at < length; at += step) {
		if (step > length - at)
			step = length - at;
		if (memcmp(a_end - at - step, b_end - at - step, step) != 0)
			break;
	}
	while (at < length && a_end[-(ptrdiff_t)at - 1] == b_end[-(ptrdiff_t)at - 1])
		at++;
	return at;
}

/* The last element that begins at or before `offset`. ret: source->nr = none */
static size_t element_at(const struct source_file *source, size_t offset)
{
	size_t low = 0, high = source->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (source->elements[middle].start <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : source->nr;
}

/* Between two elements stands one comma, and blanks. */
static bool is_comma(const char *c, const char *end)
{
	c = skip_blanks(c, end);
	return c < end && *c == ',' && skip_blanks(c + 1, end) == end;
}

static bool same_shape(const struct finding *now, size_t nr, const char *text, size_t start, size_t end)
{
	if (now->nr != nr || !nr || now->elements[0].start != start || now->elements[nr - 1].end != end)
		return false;
	for (size_t i = 1; i < nr; i++)
		if (!is_comma(text + now->elements[i - 1].end, text + now->elements[i].start))
			return false;
	return true;
}

int sources_compare(const struct source_file *before, const char *text, size_t length, struct text_change *ret)
{
	size_t shorter = before->length < length ? before->length : length, first, last;
	size_t start = common_start(before->text, text, shorter), end;
	struct finding now = {};
	const char *c;
	int r;

	*ret = (struct text_change){};
	if (start == before->length && start == length)
		return 0;
	end = before->length - common_end(before->text + before->length, text + length, shorter - start);
	first = element_at(before, start);
	if (first == before->nr || end <= before->elements[first].start)
		return -EAGAIN;
	for (last = first; before->elements[last].end < end; last++)
		if (last + 1 == before->nr || before->elements[last + 1].name != before->elements[first].name)
			return -EAGAIN;
	if (before->elements[first].end < start || before->elements[first].start > start)
		return -EAGAIN;
	c = text + before->elements[first].start;
	end = length - (before->length - before->elements[last].end); /* of the last one, in the new text */
	if (end < before->elements[first].start)
		return -EAGAIN;
	r = find_elements(&now, text, &c, text + end, before->elements[first]);
	if (!r && !same_shape(&now, last - first + 1, text, before->elements[first].start, end))
		r = -EAGAIN;
	if (r) {
		free(now.elements);
		return r;
	}
	*ret = (struct text_change){.first = first, .nr = now.nr, .now = now.elements};
	return 0;
}

int sources_replace(struct source_file *source, char *text, size_t length, const struct stat *st,
		    const struct text_change *change, struct source_file *ret_old)
{
	struct source_file new = *source;
	size_t grown = length - source->length; /* modulo its range */

	new.path = strdup(source->path);
	new.elements = calloc(source->nr + 1, sizeof(*new.elements));
	if (!new.path || !new.elements) {
		free(new.path);
		free(new.elements);
		return -ENOMEM;
	}
	new.text = text;
	new.length = length;
	new.st = *st;
	for (size_t i = 0; i < source->nr; i++) {
		new.elements[i] = source->elements[i];
		if (i >= change->first + change->nr) {
			new.elements[i].start = (uint32_t)(new.elements[i].start + grown);
			new.elements[i].end = (uint32_t)(new.elements[i].end + grown);
		} else if (i >= change->first) {
			new.elements[i] = change->now[i - change->first];
		}
	}
	*ret_old = *source;
	*source = new;
	return 0;
}

/* ---- a list inside an element */

/* Behind the opening bracket of the object's list of this key; NULL = it has none. */
static const char *find_list(const char *text, const char *end, const char *key)
{
	size_t length = strlen(key);

	for (const char *c = skip_blanks(text + 1, end); c < end && *c == '"';) {
		const char *name = c + 1, *name_end = skip_string(name, end) - 1;

		c = skip_blanks(name_end + 1, end);
		c = skip_blanks(c < end ? c + 1 : end, end); /* the colon */
		if ((size_t)(name_end - name) == length && !memcmp(name, key, length))
			return c < end && *c == '[' ? c + 1 : NULL;
		c = skip_blanks(skip_value(c, end), end);
		if (c < end && *c == ',')
			c = skip_blanks(c + 1, end);
	}
	return NULL;
}

/* Offsets in the element as it was. */
struct stretch {
	size_t list, list_end; /* what stands between the brackets */
	size_t from, to;       /* of the items that may differ; all before and behind them is as it was */
};

/* The items that touch what differs, [start, end): one before an insertion is one of them. */
static bool find_stretch(const char *text, size_t start, size_t end, struct stretch *stretch, struct text_splice *ret)
{
	const char *limit = text + stretch->list_end, *c = skip_blanks(text + stretch->list, limit);
	bool ended = false;

	stretch->from = stretch->list;
	for (; c < limit && *c != ']'; c = skip_blanks(c + 1, limit)) {
		size_t first = (size_t)(c - text), last;

		c = skip_value(c, limit);
		last = (size_t)(c - text);
		if (first <= start) {
			stretch->from = first;
			ret->at = ret->nr_items;
		}
		ret->nr_items++;
		if (!ended && last >= end) {
			ended = true;
			stretch->to = last;
			ret->nr_before = ret->nr_items - ret->at;
		}
		c = skip_blanks(c, limit);
		if (c == limit || *c != ',')
			break;
	}
	stretch->list_end = (size_t)(c - text);
	if (!ended) {
		stretch->to = stretch->list_end;
		ret->nr_before = ret->nr_items - ret->at;
	}
	return ret->nr_items && stretch->list <= start && end <= stretch->list_end && stretch->to >= end;
}

/* The items of text[from, to) and nothing else. ret: how many, 0 = that is not what it is */
static size_t count_items(const char *text, const char *end)
{
	size_t nr = 0;

	for (const char *c = skip_blanks(text, end); c < end; c = skip_blanks(c + 1, end)) {
		const char *item = c;

		c = skip_value(c, end);
		if (c == item)
			return 0;
		nr++;
		c = skip_blanks(c, end);
		if (c == end)
			return nr;
		if (*c != ',')
			return 0;
	}
	return 0;
}

/* What stands before the list, some of its items, and what stands behind it. */
static char *shorten(const char *text, size_t length, const struct stretch *stretch, size_t *ret_length)
{
	size_t items = stretch->to - stretch->from, rest = length - stretch->list_end;
	char *copy = malloc(stretch->list + items + rest + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, stretch->list);
	memcpy(copy + stretch->list, text + stretch->from, items);
	memcpy(copy + stretch->list + items, text + stretch->list_end, rest);
	*ret_length = stretch->list + items + rest;
	return copy;
}

int sources_splice(const char *before, size_t before_length, const char *now, size_t now_length, const char *key,
		   struct text_splice *ret)
{
	size_t shorter = before_length < now_length ? before_length : now_length;
	size_t grown = now_length - before_length; /* modulo its range */
	size_t start = common_start(before, now, shorter);
	size_t end = before_length - common_end(before + before_length, now + now_length, shorter - start);
	const char *list = find_list(before, before + before_length, key);
	struct stretch stretch = {.list_end = before_length};

	*ret = (struct text_splice){};
	stretch.list = list ? (size_t)(list - before) : 0;
	if (!list || !find_stretch(before, start, end, &stretch, ret) || stretch.to + grown < stretch.from ||
	    stretch.to + grown > now_length)
		return -EAGAIN;
	ret->before = shorten(before, before_length, &stretch, &ret->before_length);
	stretch.to += grown;
	stretch.list_end += grown;
	ret->nr_now = count_items(now + stretch.from, now + stretch.to);
	if (ret->nr_now)
		ret->now = shorten(now, now_length, &stretch, &ret->now_length);
	if (ret->before && ret->now)
		return 0;
	text_splice_done(ret);
	return ret->nr_now ? -ENOMEM : -EAGAIN;
}

void text_splice_done(struct text_splice *splice)
{
	free(splice->before);
	free(splice->now);
	splice->before = splice->now = NULL;
}
