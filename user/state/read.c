/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From paths to items: files and folders are read, each JSON document is taken apart into its lists (JSON-01), and
 * every object of a known list is shaped and stored. A file that is refused does not keep the others from being
 * checked. Files are read whole, not mapped: a state file that somebody truncates while we look must not kill the
 * agent. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/load.h"

#define FILE_BYTES_MAX   (64ull << 20)
#define STATE_BYTES_MAX  (256ull << 20) /* all files of a state */
#define FILES_MAX        65536
#define FOLDER_DEPTH_MAX 8

/* Outputs that do not say which object they belong to take its id from their file name (FORMATS 1.1):
 * prefix-list-entries/pl-0a1.json = {"Entries": [...]} */
static const struct bare_output {
	const char *folder, *key, *list, *id_key;
} bare_outputs[] = {
	{"prefix-list-entries", "Entries", "ManagedPrefixListEntries", "PrefixListId"},
	{"transit-gateway-routes", "Routes", "TransitGatewayRoutes", "TransitGatewayRouteTableId"},
	{"transit-gateway-associations", "Associations", "TransitGatewayRouteTableAssociations",
	 "TransitGatewayRouteTableId"},
	{"transit-gateway-propagations", "TransitGatewayRouteTablePropagations", "TransitGatewayPropagations",
	 "TransitGatewayRouteTableId"},
};

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

/* ret: how many of our lists the document has */
static size_t add_lists(struct load *load, const char *file, json_t *document)
{
	size_t nr = 0;

	for (enum list_kind kind = 0; kind < LIST_MAX; kind++) {
		const char *names[] = {state_lists[kind].name, state_lists[kind].alias};

		for (size_t i = 0; i < 2 && names[i]; i++) {
			json_t *list = json_object_get(document, names[i]);

			if (!list)
				continue;
			add_list(load, file, kind, names[i], list);
			nr++;
		}
	}
	return nr;
}

/* The last folder of a path and its file name without ".json". */
static void split_path(const char *path, char *folder, char *stem, size_t size)
{
	const char *name = strrchr(path, '/');
	const char *start = name;

	*folder = '\0';
	snprintf(stem, size, "%s", name ? name + 1 : path);
	if (strlen(stem) > 5)
		stem[strlen(stem) - 5] = '\0';
	while (start && start > path && start[-1] != '/')
		start--;
	if (start)
		snprintf(folder, size, "%.*s", (int)(name - start), start);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80)
			return false;
	return true;
}

/* Keep a document for as long as its items are in use. */
static json_t *keep(struct load *load, json_t *document)
{
	if (json_array_append_new(load->documents, need(load, document)))
		longjmp(*load->arena->failed, 1);
	return document;
}

/* An output without an id: wrap it like JSON-05. */
static void add_bare_output(struct load *load, const char *file, json_t *document)
{
	bool attribute =
		json_object_get(document, "EnableDnsSupport") || json_object_get(document, "EnableDnsHostnames");
	char folder[256], stem[256];

	if (attribute && json_object_get(document, "VpcId")) {
		json_t *list = keep(load, json_pack("[O]", document));

		add_list(load, file, LIST_VPC_ATTRIBUTES, state_lists[LIST_VPC_ATTRIBUTES].name, list);
		return;
	}
	split_path(file, folder, stem, sizeof(stem));
	for (size_t i = 0; i < sizeof(bare_outputs) / sizeof(*bare_outputs); i++) {
		const struct bare_output *bare = &bare_outputs[i];
		json_t *part = json_object_get(document, bare->key);

		if (!part || strcmp(folder, bare->folder) != 0)
			continue;
		if (!is_ascii(stem)) {
			state_file_error(load, file, "the file's name is no %s", bare->id_key);
			continue;
		}
		part = json_pack("{s:[{s:s, s:O}]}", bare->list, bare->id_key, stem, bare->key, part);
		add_lists(load, file, keep(load, part));
	}
}

static void add_document(struct load *load, const char *file, json_t *document)
{
	json_t *body = json_object_get(document, "data");

	if (!json_is_object(document)) {
		state_file_error(load, file, "the document is %s, not an object", type_name(document));
		return;
	}
	if (add_lists(load, file, document))
		return;
	if (json_is_object(body)) /* recordings that wrap the output */
		add_lists(load, file, body);
	else
		add_bare_output(load, file, document);
}

/* Read all of fd, at most FILE_BYTES_MAX. ret: 0 | -errno, -EFBIG if there is more */
static int read_all(int fd, char **ret_text, size_t *ret_length)
{
	size_t room = 1 << 16, length = 0;
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

static int read_file(const char *path, char **ret_text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (S_ISREG(st.st_mode) && (unsigned long long)st.st_size > FILE_BYTES_MAX)
		r = -EFBIG;
	else
		r = read_all(fd, ret_text, ret_length);
	close(fd);
	return r;
}

/* jansson 2.14 calls a string for which it has no memory an invalid token, so watch its allocations ourselves. */
static bool library_lacked_memory;

static void *watched_malloc(size_t size)
{
	void *memory = malloc(size);

	library_lacked_memory |= !memory;
	return memory;
}

static json_t *parse_text(const char *text, size_t length, json_error_t *ret_error)
{
	json_malloc_t old_malloc;
	json_free_t old_free;
	json_t *document;

	library_lacked_memory = false;
	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(watched_malloc, free);
	document = json_loadb(text, length, JSON_REJECT_DUPLICATES, ret_error);
	json_set_alloc_funcs(old_malloc, old_free);
	return document;
}

static void parse_file(struct load *load, const char *file, char *text, size_t length)
{
	const char *why = state_scan(text, length);
	json_error_t error;
	json_t *document;

	if (why) {
		free(text);
		state_file_error(load, file, "%s", why);
		return;
	}
	document = parse_text(text, length, &error);
	free(text);
	if (!document && library_lacked_memory)
		longjmp(*load->arena->failed, 1);
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
	int r;

	if (++load->nr_files > FILES_MAX) {
		if (load->nr_files == FILES_MAX + 1)
			state_file_error(load, file, "is one file more than %d", FILES_MAX);
		return;
	}
	r = read_file(path, &text, &length);
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
	parse_file(load, file, text, length);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool is_json(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && !strcmp(name + length - 5, ".json");
}

/* Every *.json below, sorted by name. ret: how many files */
static size_t load_folder(struct load *load, const char *path, unsigned int depth)
{
	struct dirent **entries;
	int nr = scandir(path, &entries, not_hidden, alphasort);
	size_t nr_files = 0;

	if (nr < 0 && errno == ENOMEM)
		longjmp(*load->arena->failed, 1);
	if (nr < 0) {
		state_file_error(load, path, "cannot read: %s", strerror(errno));
		return 1;
	}
	for (int i = 0; i < nr; i++) {
		bool slash = *path && path[strlen(path) - 1] == '/';
		const char *child =
			state_arena_printf(load->arena, "%s%s%s", path, slash ? "" : "/", entries[i]->d_name);
		bool json = is_json(entries[i]->d_name);
		struct stat st;

		free(entries[i]);
		if (stat(child, &st)) {
			if (json)
				state_file_error(load, child, "cannot read: %s", strerror(errno));
		} else if (S_ISDIR(st.st_mode) && depth < FOLDER_DEPTH_MAX) {
			nr_files += load_folder(load, child, depth + 1);
		} else if (S_ISREG(st.st_mode) && json) {
			load_file(load, child);
			nr_files++;
		}
	}
	free(entries);
	return nr_files;
}

void state_read(struct load *load, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		state_file_error(load, path, "cannot read: %s", strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		load_file(load, path);
	else if (!load_folder(load, path, 0))
		state_file_error(load, path, "has no *.json file");
}
