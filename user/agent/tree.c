/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "state/files.h"

static void walk(const struct tree *tree, state_file_fn fn, void *data)
{
	for (size_t i = 0; i < tree->nr; i++)
		state_files_walk(tree->paths[i], fn, data);
}

/* ---- fingerprint: FNV-1a */

static void mix(uint64_t *hash, uint64_t value)
{
	for (int shift = 0; shift < 64; shift += 8)
		*hash = (*hash ^ (value >> shift & 0xff)) * 1099511628211ull;
}

static void mix_file(const char *path, const struct stat *st, int error, void *data)
{
	uint64_t *hash = data;

	/* What a folder holds is told by its files; its own times also change with dot-files. */
	if (error || S_ISDIR(st->st_mode))
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

	walk(tree, mix_file, &hash);
	return hash;
}

/* ---- merging */

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

static int merge_document(json_t *whole, const char *path, json_t *document)
{
	const char *id_key, *key;
	json_t *lists = state_document_lists(path, document, &id_key), *value;
	int r = lists ? 0 : id_key ? -EINVAL : -ENOMEM;

	json_object_foreach (lists, key, value) {
		if (json_is_array(value))
			r = append(whole, key, value);
		else if (json_is_object(value))
			r = json_object_set(whole, key, value) ? -ENOMEM : 0;
		if (r)
			break;
	}
	json_decref(lists);
	return r;
}

static void merge_file(const char *path, const struct stat *st, int error, void *data)
{
	struct merging *merging = data;
	json_t *document;

	if (merging->r || error || S_ISDIR(st->st_mode))
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
	walk(tree, merge_file, &merging);
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

static void watch_one(const char *path, const struct stat *st, int error, void *data)
{
	const struct watch *watch = data;

	/* The same inode twice is one watch. What cannot be watched is found by looking now and then. */
	if (!error && S_ISDIR(st->st_mode))
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
	walk(tree, watch_one, watch);
}
