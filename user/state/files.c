/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "state/files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/schema.h"

#define FOLDER_DEPTH_MAX 8

/* ---- walking */

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool is_json(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && !strcmp(name + length - 5, ".json");
}

static void walk_folder(const char *path, unsigned int depth, state_file_fn fn, void *data)
{
	const char *slash = *path && path[strlen(path) - 1] == '/' ? "" : "/";
	struct dirent **entries;
	char child[PATH_MAX];
	int nr = scandir(path, &entries, not_hidden, alphasort);

	if (nr < 0) {
		fn(path, NULL, errno, data);
		return;
	}
	for (int i = 0; i < nr; i++) {
		bool fits =
			snprintf(child, sizeof(child), "%s%s%s", path, slash, entries[i]->d_name) < (int)sizeof(child);
		bool json = is_json(entries[i]->d_name);
		struct stat st;

		free(entries[i]);
		if (!fits || stat(child, &st)) {
			if (json)
				fn(child, NULL, fits ? errno : ENAMETOOLONG, data);
		} else if (S_ISDIR(st.st_mode) && depth < FOLDER_DEPTH_MAX) {
			fn(child, &st, 0, data);
			walk_folder(child, depth + 1, fn, data);
		} else if (S_ISREG(st.st_mode) && json) {
			fn(child, &st, 0, data);
		}
	}
	free(entries);
}

void state_files_walk(const char *path, state_file_fn fn, void *data)
{
	struct stat st;

	if (stat(path, &st)) {
		fn(path, NULL, errno, data);
		return;
	}
	fn(path, &st, 0, data);
	if (S_ISDIR(st.st_mode))
		walk_folder(path, 0, fn, data);
}

/* ---- documents */

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

static bool has_lists(const json_t *document)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++)
		if (json_object_get(document, state_lists[kind].name) ||
		    (state_lists[kind].alias && json_object_get(document, state_lists[kind].alias)))
			return true;
	return false;
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

/* ret: a new reference | NULL: not by its folder, or *ret_id_key is set, or no memory */
static json_t *wrap_by_folder(const char *path, json_t *document, bool *ret_is, const char **ret_id_key)
{
	char folder[256], stem[256];

	*ret_is = false;
	split_path(path, folder, stem, sizeof(stem));
	for (size_t i = 0; i < ARRAY_SIZE(bare_outputs); i++) {
		const struct bare_output *bare = &bare_outputs[i];
		json_t *part = json_object_get(document, bare->key);

		if (!part || strcmp(folder, bare->folder) != 0)
			continue;
		*ret_is = true;
		if (is_ascii(stem))
			return json_pack("{s:[{s:s, s:O}]}", bare->list, bare->id_key, stem, bare->key, part);
		*ret_id_key = bare->id_key;
		return NULL;
	}
	return NULL;
}

json_t *state_document_lists(const char *path, json_t *document, const char **ret_id_key)
{
	json_t *body = json_object_get(document, "data"), *wrapped;
	bool bare;

	*ret_id_key = NULL;
	if (has_lists(document))
		return json_incref(document);
	if (json_is_object(body))
		return json_incref(body);
	if (json_object_get(document, "VpcId") &&
	    (json_object_get(document, "EnableDnsSupport") || json_object_get(document, "EnableDnsHostnames")))
		return json_pack("{s:[O]}", state_lists[LIST_VPC_ATTRIBUTES].name, document);
	wrapped = wrap_by_folder(path, document, &bare, ret_id_key);
	return bare ? wrapped : json_incref(document);
}
