/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/tree.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define FOLDER_DEPTH_MAX 8 /* as state_load */

/* ---- walking */

static bool is_json(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && !strcmp(name + length - 5, ".json");
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void walk_folder(const char *path, unsigned depth, tree_fn fn, void *data)
{
	struct dirent **entries;
	char child[PATH_MAX];
	int nr = scandir(path, &entries, not_hidden, alphasort);
	struct stat st = {};

	if (nr < 0)
		return;
	for (int i = 0; i < nr; i++) {
		bool fits = snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name) < (int)sizeof(child);
		bool json = is_json(entries[i]->d_name);

		free(entries[i]);
		if (!fits || stat(child, &st))
			continue;
		if (S_ISDIR(st.st_mode) && depth < FOLDER_DEPTH_MAX) {
			fn(child, &st, data);
			walk_folder(child, depth + 1, fn, data);
		} else if (S_ISREG(st.st_mode) && json) {
			fn(child, &st, data);
		}
	}
	free(entries);
}

void tree_walk(const struct tree *tree, tree_fn fn, void *data)
{
	struct stat st = {};

	for (size_t i = 0; i < tree->nr; i++) {
		if (stat(tree->paths[i], &st))
			continue;
		fn(tree->paths[i], &st, data);
		if (S_ISDIR(st.st_mode))
			walk_folder(tree->paths[i], 0, fn, data);
	}
}

/* ---- fingerprint: FNV-1a */

static void mix(uint64_t *hash, uint64_t value)
{
	for (int shift = 0; shift < 64; shift += 8)
		*hash = (*hash ^ (value >> shift & 0xff)) * 1099511628211ull;
}

static void mix_file(const char *path, const struct stat *st, void *data)
{
	uint64_t *hash = data;

	/* What a folder holds is told by its files; its own times also change with dot-files. */
	if (S_ISDIR(st->st_mode))
		return;
	for (const char *c = path; *c; c++)
		mix(hash, (unsigned char)*c);
	mix(hash, st->st_dev);
	mix(hash, st->st_ino);
	mix(hash, (uint64_t)st->st_size);
	mix(hash, (uint64_t)st->st_mtim.tv_sec);
	mix(hash, (uint64_t)st->st_mtim.tv_nsec);
	mix(hash, (uint64_t)st->st_ctim.tv_sec);
	mix(hash, (uint64_t)st->st_ctim.tv_nsec);
}

uint64_t tree_fingerprint(const struct tree *tree)
{
	uint64_t hash = 14695981039346656037ull;

	tree_walk(tree, mix_file, &hash);
	return hash;
}

/* ---- merging */

/* Outputs that do not say what they belong to: the file's name does, as in state_load (FORMATS 1.1). */
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

struct merging {
	json_t *whole;
	int r;
};

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

/* In place of a bare output: a list of one object that names its owner. NULL = it is no bare output */
static json_t *wrap_bare(const char *path, json_t *document)
{
	const char *name = strrchr(path, '/');
	const char *folder = name;

	if (json_object_get(document, "VpcId") && !json_object_get(document, "Vpcs"))
		return json_pack("{s:[O]}", "VpcAttributes", document);
	while (folder && folder > path && folder[-1] != '/')
		folder--;
	for (size_t i = 0; folder && i < sizeof(bare_outputs) / sizeof(*bare_outputs); i++) {
		const struct bare_output *bare = &bare_outputs[i];
		json_t *part = json_object_get(document, bare->key);

		if (part && strlen(bare->folder) == (size_t)(name - folder) &&
		    !strncmp(folder, bare->folder, name - folder))
			return json_pack("{s:[{s:s%, s:O}]}", bare->list, bare->id_key, name + 1, strlen(name + 1) - 5,
					 bare->key, part);
	}
	return NULL;
}

static int merge_document(json_t *whole, const char *path, json_t *document)
{
	json_t *body = json_object_get(document, "data"), *bare = NULL, *value;
	const char *key;
	int r = 0;

	if (json_is_object(body) && json_object_size(document) <= 2)
		document = body;
	else
		bare = wrap_bare(path, document);
	json_object_foreach (bare ? bare : document, key, value) {
		if (json_is_array(value))
			r = append(whole, key, value);
		else if (json_is_object(value))
			r = json_object_set(whole, key, value) ? -ENOMEM : 0;
		if (r)
			break;
	}
	json_decref(bare);
	return r;
}

static void merge_file(const char *path, const struct stat *st, void *data)
{
	struct merging *merging = data;
	json_t *document;

	if (merging->r || S_ISDIR(st->st_mode))
		return;
	document = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	merging->r = json_is_object(document) ? merge_document(merging->whole, path, document) : -EINVAL;
	json_decref(document);
}

int tree_merge(const struct tree *tree, json_t **ret)
{
	struct merging merging = {.whole = json_object()};

	if (!merging.whole)
		return -ENOMEM;
	tree_walk(tree, merge_file, &merging);
	if (merging.r) {
		json_decref(merging.whole);
		return merging.r;
	}
	*ret = merging.whole;
	return 0;
}

/* ---- watching */

#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF)

struct watch {
	int inotify;
};

int watch_open(struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->inotify < 0) {
		free(watch);
		return -errno;
	}
	*ret = watch;
	return 0;
}

void watch_close(struct watch **watch)
{
	if (!*watch)
		return;
	close((*watch)->inotify);
	free(*watch);
	*watch = NULL;
}

int watch_fd(const struct watch *watch)
{
	return watch->inotify;
}

void watch_drain(struct watch *watch)
{
	char buffer[8192];

	while (read(watch->inotify, buffer, sizeof(buffer)) > 0)
		;
}

static void watch_one(const char *path, const struct stat *st, void *data)
{
	const struct watch *watch = data;

	/* The same inode twice is one watch. What cannot be watched is found by looking now and then. */
	if (S_ISDIR(st->st_mode))
		(void)inotify_add_watch(watch->inotify, path, CHANGES | IN_ONLYDIR);
}

static void watch_above(const struct watch *watch, const char *path)
{
	char above[PATH_MAX];
	size_t end = strlen(path);

	while (end > 1 && path[end - 1] == '/')
		end--;
	while (end && path[end - 1] != '/')
		end--;
	if (end)
		snprintf(above, sizeof(above), "%.*s", (int)end, path);
	else
		snprintf(above, sizeof(above), ".");
	(void)inotify_add_watch(watch->inotify, above, CHANGES | IN_ONLYDIR);
}

void watch_follow(struct watch *watch, const struct tree *tree)
{
	for (size_t i = 0; i < tree->nr; i++)
		watch_above(watch, tree->paths[i]);
	tree_walk(tree, watch_one, watch);
}
