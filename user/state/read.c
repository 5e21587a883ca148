/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From paths to items: files and folders are read, each JSON document is taken apart into its lists (JSON-01), and
 * every object of a known list is shaped and stored. A file that is refused does not keep the others from being
 * checked. Files are read whole, not mapped: a state file that somebody truncates while we look must not kill the
 * agent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/files.h"
#include "state/load.h"

#define FILE_BYTES_MAX (64ull << 20)
#define FILES_MAX      65536

static const char *type_name(const json_t *value)
{
	static const char *const names[] = {"an object", "a list",    "a string",  "an integer",
					    "a number",  "a boolean", "a boolean", "null"};

	return names[json_typeof(value)];
}

static void add_objects(struct load *load, const char *file, enum list_kind kind, const char *name, json_t *list)
{
	const struct list_schema *schema = &state_lists[kind];
	size_t index;
	json_t *object;

	json_array_foreach (list, index, object) {
		struct item item = {.json = object, .file = file, .list = name, .index = index, .id = "", .id2 = ""};

		if (json_is_null(object))
			continue;
		if (!json_is_object(object)) {
			state_error(load, &item, "", "is %s, not an object", type_name(object));
			continue;
		}
		state_shape(load, &item, schema);
		if (*item.id || !schema->id_key)
			state_add_item(load, kind, &item);
	}
}

static void add_list(struct load *load, const char *file, enum list_kind kind, const char *name, json_t *list)
{
	bool single = !state_lists[kind].id_key;

	if (json_is_null(list))
		return;
	if (single && json_is_object(list)) {
		struct item item = {.json = list, .file = file, .list = name, .id = "", .id2 = ""};

		state_shape(load, &item, &state_lists[kind]);
		state_add_item(load, kind, &item);
	} else if (json_is_array(list) && !single) {
		add_objects(load, file, kind, name, list);
	} else {
		state_file_error(load, file, "%s is %s, not %s", name, type_name(list),
				 single ? "an object" : "a list");
	}
}

static void add_lists(struct load *load, const char *file, json_t *document)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++) {
		const char *names[] = {state_lists[kind].name, state_lists[kind].alias};

		for (size_t i = 0; i < 2 && names[i]; i++) {
			json_t *list = json_object_get(document, names[i]);

			if (list)
				add_list(load, file, kind, names[i], list);
		}
	}
}

/* Keep a document for as long as its items are in use. */
static json_t *keep(struct load *load, json_t *document)
{
	if (json_array_append_new(load->documents, need(load, document)))
		longjmp(*load->arena->failed, 1);
	return document;
}

static uint64_t revision_of(const json_t *lists)
{
	uint64_t revision = 0;
	json_t *list, *element;
	const char *name;
	size_t index;

	json_object_foreach ((json_t *)lists, name, list) {
		if (!json_is_array(list))
			revision += state_element_revision(name, list);
		json_array_foreach (list, index, element)
			revision += state_element_revision(name, element);
	}
	return revision;
}

static void add_document(struct load *load, const char *file, json_t *document)
{
	const char *id_key;
	json_t *lists;

	if (!json_is_object(document)) {
		state_file_error(load, file, "the document is %s, not an object", type_name(document));
		return;
	}
	lists = state_document_lists(file, document, &id_key);
	if (lists && load->sources)
		load->sources->revision += revision_of(lists); /* before anything is taken out of them */
	if (!lists && id_key)
		state_file_error(load, file, "the file's name is no %s", id_key);
	else
		add_lists(load, file, keep(load, lists));
}

void state_read_document(struct load *load, const char *name, json_t *document)
{
	add_document(load, name, keep(load, json_incref(document)));
}

/* Read all of fd, at most FILE_BYTES_MAX. expected: how much it will be. ret: 0 | -errno, -EFBIG if there is more */
static int read_all(int fd, size_t expected, char **ret_text, size_t *ret_length)
{
	size_t room = expected + 1, length = 0; /* the last byte finds the end */
	char *text = malloc(room);

	while (text) {
		ssize_t n = read(fd, text + length, room - length);
		char *larger;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (length += (size_t)n) > FILE_BYTES_MAX) {
			int r = n < 0 ? -errno : n > 0 ? -EFBIG : 0;

			if (r) {
				free(text);
				return r;
			}
			*ret_text = text;
			*ret_length = length;
			return 0;
		}
		if (length < room)
			continue;
		room *= 2;
		larger = realloc(text, room);
		if (!larger)
			free(text);
		text = larger;
	}
	return -ENOMEM;
}

int state_read_file(const char *path, char **ret_text, size_t *ret_length, struct stat *ret_st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st))
		r = -errno;
	else if (S_ISREG(ret_st->st_mode) && (unsigned long long)ret_st->st_size > FILE_BYTES_MAX)
		r = -EFBIG;
	else
		r = read_all(fd, (size_t)ret_st->st_size, ret_text, ret_length);
	close(fd);
	return r;
}

static void parse_file(struct load *load, const char *file, char *text, size_t length, const struct stat *st)
{
	const char *why = state_scan(text, length);
	json_error_t error;
	json_t *document;

	if (why) {
		free(text);
		state_file_error(load, file, "%s", why);
		return;
	}
	document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (document && load->sources)
		sources_add(load->sources, file, st, text, length);
	else
		free(text);
	if (!document) {
		state_file_error(load, file, "line %d, column %d: %s", error.line, error.column, error.text);
		return;
	}
	add_document(load, file, keep(load, document));
}

static void load_file(struct load *load, const char *path)
{
	const char *file = state_arena_strdup(load->arena, path);
	size_t length = 0;
	char *text = NULL;
	struct stat st;
	int r;

	if (++load->nr_files > FILES_MAX) {
		if (load->nr_files == FILES_MAX + 1)
			state_file_error(load, file, "is one file more than %d", FILES_MAX);
		return;
	}
	r = state_read_file(path, &text, &length, &st);
	if (r == -ENOMEM)
		longjmp(*load->arena->failed, 1);
	if (r == -EFBIG) {
		state_file_error(load, file, "is larger than %llu MiB", FILE_BYTES_MAX >> 20);
		return;
	}
	if (r) {
		state_file_error(load, file, "cannot read: %s", strerror(-r));
		return;
	}
	load->bytes += length;
	if (load->bytes > STATE_BYTES_MAX) {
		free(text);
		state_file_error(load, file, "makes the state larger than %llu MiB", STATE_BYTES_MAX >> 20);
		return;
	}
	parse_file(load, file, text, length, &st);
}

struct reading {
	struct load *load;
	size_t nr; /* files read, or found unreadable */
};

static void read_one(const char *path, const struct stat *st, int error, void *data)
{
	struct reading *reading = data;

	if (error == ENOMEM)
		longjmp(*reading->load->arena->failed, 1);
	if (error)
		state_file_error(reading->load, state_arena_strdup(reading->load->arena, path), "cannot read: %s",
				 strerror(error));
	else if (!S_ISDIR(st->st_mode))
		load_file(reading->load, path);
	reading->nr += error || !S_ISDIR(st->st_mode);
}

void state_read(struct load *load, const char *path)
{
	struct reading reading = {.load = load};

	state_files_walk(path, read_one, &reading);
	if (!reading.nr)
		state_file_error(load, path, "has no *.json file");
}
