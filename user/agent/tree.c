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

uint64_t tree_file_fingerprint(const char *path, const struct stat *st)
{
	uint64_t hash = 14695981039346656037ull;

	for (const char *c = path; *c; c++)
		mix(&hash, (unsigned char)*c);
	mix(&hash, st->st_dev);
	mix(&hash, st->st_ino);
	mix(&hash, (uint64_t)st->st_size);
	mix(&hash, (uint64_t)st->st_mtim.tv_sec);
	mix(&hash, (uint64_t)st->st_mtim.tv_nsec);
	mix(&hash, (uint64_t)st->st_ctim.tv_sec);
	mix(&hash, (uint64_t)st->st_ctim.tv_nsec);
	return hash;
}

static void add_file(const char *path, const struct stat *st, int error, void *data)
{
	uint64_t *sum = data;

	/* What a folder holds is told by its files; its own times also change with dot-files. */
	if (!error && !S_ISDIR(st->st_mode))
		*sum += tree_file_fingerprint(path, st);
}

uint64_t tree_fingerprint(const struct tree *tree)
{
	uint64_t sum = 0;

	walk(tree, add_file, &sum);
	return sum;
}

/* ---- watching */

#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF)

struct watch {
	int inotify;
	char **folders; /* by watch descriptor; NULL = unknown */
	int nr_folders;
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
	for (int i = 0; i < (*watch)->nr_folders; i++)
		free((*watch)->folders[i]);
	free((*watch)->folders);
	free(*watch);
	*watch = NULL;
}

int watch_fd(const struct watch *watch)
{
	return watch->inotify;
}

/* ---- news */

static bool is_file_of_state(const char *name)
{
	size_t length = strlen(name);

	return *name != '.' && length > 5 && !strcmp(name + length - 5, ".json");
}

static void add_path(struct news *news, const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name) < 0) {
		news->whole = true;
		return;
	}
	for (size_t i = 0; i < news->nr; i++)
		if (!strcmp(news->paths[i], path)) {
			free(path);
			return;
		}
	if (news->nr == NEWS_MAX) {
		free(path);
		news->whole = true;
		return;
	}
	news->paths[news->nr++] = path;
}

static void add_event(const struct watch *watch, const struct inotify_event *event, struct news *news)
{
	const char *folder = event->wd >= 0 && event->wd < watch->nr_folders ? watch->folders[event->wd] : NULL;
	const char *name = event->len ? event->name : "";

	if (*name && !(event->mask & IN_ISDIR) && !is_file_of_state(name))
		return; /* also the draft of a file that is renamed into its place */
	if (event->mask & IN_ISDIR && *name == '.')
		return;
	if (folder && *name && !(event->mask & IN_ISDIR) && event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB))
		add_path(news, folder, name);
	else
		news->whole = true;
}

void watch_read(struct watch *watch, struct news *news)
{
	char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t length;

	while ((length = read(watch->inotify, buffer, sizeof(buffer))) > 0)
		for (char *at = buffer; at < buffer + length;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			add_event(watch, event, news);
			at += sizeof(*event) + event->len;
		}
}

void news_done(struct news *news)
{
	for (size_t i = 0; i < news->nr; i++)
		free(news->paths[i]);
	*news = (struct news){};
}

/* ---- what to watch */

static void remember(struct watch *watch, int wd, const char *path)
{
	if (wd >= watch->nr_folders) {
		int nr = wd + 64;
		char **folders = reallocarray(watch->folders, (size_t)nr, sizeof(*folders));

		if (!folders)
			return;
		memset(folders + watch->nr_folders, 0, (size_t)(nr - watch->nr_folders) * sizeof(*folders));
		watch->folders = folders;
		watch->nr_folders = nr;
	}
	if (watch->folders[wd] && !strcmp(watch->folders[wd], path))
		return;
	free(watch->folders[wd]);
	watch->folders[wd] = strdup(path);
}

static void watch_folder(struct watch *watch, const char *path)
{
	int wd = inotify_add_watch(watch->inotify, path, CHANGES | IN_ONLYDIR);

	if (wd >= 0)
		remember(watch, wd, path);
}

static void watch_one(const char *path, const struct stat *st, int error, void *data)
{
	/* The same inode twice is one watch. What cannot be watched is found by looking now and then. */
	if (!error && S_ISDIR(st->st_mode))
		watch_folder(data, path);
}

static void watch_above(struct watch *watch, const char *path)
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
	watch_folder(watch, above);
}

void watch_follow(struct watch *watch, const struct tree *tree)
{
	for (size_t i = 0; i < tree->nr; i++)
		watch_above(watch, tree->paths[i]);
	walk(tree, watch_one, watch);
}
