/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "state/schema.h"

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

static int open_for(const char *path, int how)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | how, 0640);

	return fd < 0 ? -errno : fd;
}

static int write_file(const char *path, int how, const char *text, size_t length)
{
	int fd = open_for(path, how), r;

	if (fd < 0)
		return fd;
	r = write_all(fd, text, length);
	return close(fd) && !r ? -errno : r;
}

/* Write a draft of it. *ret_path, *ret_draft: PATH_MAX each */
static int write_draft(const char *folder, const char *name, const json_t *json, char *ret_path, char *ret_draft)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (snprintf(ret_path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX ||
	    snprintf(ret_draft, PATH_MAX, "%s/.%s.new", folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	text = json_dumps(json, JSON_COMPACT); /* the library writes to a file byte by byte */
	if (!text)
		return -ENOMEM;
	r = write_file(ret_draft, O_TRUNC, text, strlen(text));
	if (r)
		(void)unlink(ret_draft);
	return r;
}

static int put_in_place(const char *path, const char *draft)
{
	int r = rename(draft, path) ? -errno : 0;

	if (r)
		(void)unlink(draft);
	return r;
}

int write_json(const char *folder, const char *name, const json_t *json)
{
	char path[PATH_MAX], draft[PATH_MAX];
	int r = write_draft(folder, name, json, path, draft);

	return r ? r : put_in_place(path, draft);
}

/* The changes go first: whoever is killed in between leaves an older state, but never the changes of another one. */
int saved_write(const char *run_dir, const json_t *documents)
{
	char path[PATH_MAX], draft[PATH_MAX], changes[PATH_MAX];
	int r = write_draft(run_dir, APPLIED_FILE, documents, path, draft);

	if (r)
		return r;
	snprintf(changes, sizeof(changes), "%s/" CHANGES_FILE, run_dir);
	if (unlink(changes) && errno != ENOENT) {
		r = -errno;
		(void)unlink(draft);
		return r;
	}
	return put_in_place(path, draft);
}

int saved_append(const char *run_dir, const char *lines, size_t length)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/" CHANGES_FILE, run_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (!stat(path, &st) && st.st_size + (off_t)length > CHANGES_BYTES_MAX)
		return -EFBIG;
	return write_file(path, O_APPEND, lines, length);
}

/* ---- reading */

static const char *id_key_of(const char *list)
{
	for (enum list_kind kind = 0; kind < LIST_MAX; kind++)
		if (!strcmp(state_lists[kind].name, list) ||
		    (state_lists[kind].alias && !strcmp(state_lists[kind].alias, list)))
			return state_lists[kind].id_key;
	return NULL;
}

static int replace_element(json_t *list, const char *key, json_t *object)
{
	const json_t *id = json_object_get(object, key);
	json_t *other;
	size_t index;

	json_array_foreach (list, index, other)
		if (id && json_equal(json_object_get(other, key), id))
			return json_array_set(list, index, object) ? -ENOMEM : 0;
	return -EINVAL;
}

static int replace_elements(json_t *documents, json_t *change)
{
	json_t *list, *object;
	const char *name;
	size_t index;

	json_object_foreach (change, name, list) {
		const char *key = id_key_of(name);

		json_array_foreach (list, index, object) {
			int r = key ? replace_element(json_object_get(documents, name), key, object) : -EINVAL;

			if (r)
				return r;
		}
	}
	return 0;
}

/* getline() gives a last line without its end, too: that one was not written to its end. */
static int replace_all(json_t *documents, FILE *lines)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int r = 0;

	while (!r && (length = getline(&line, &room, lines)) > 0 && line[length - 1] == '\n') {
		json_t *change = json_loadb(line, (size_t)length, JSON_REJECT_DUPLICATES, NULL);

		r = json_is_object(change) ? replace_elements(documents, change) : -EINVAL;
		json_decref(change);
	}
	return r;
}

int saved_read(const char *run_dir, json_t **ret_documents)
{
	_cleanup_fclose_ FILE *lines = NULL;
	char path[PATH_MAX];
	json_t *documents;
	int r = 0;

	if (snprintf(path, sizeof(path), "%s/" APPLIED_FILE, run_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK))
		return -errno;
	documents = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(documents))
		r = -EINVAL;
	snprintf(path, sizeof(path), "%s/" CHANGES_FILE, run_dir);
	lines = r ? NULL : fopen(path, "re");
	/* What cannot be read was never said to be in force. */
	if (lines && replace_all(documents, lines) == -ENOMEM)
		r = -ENOMEM;
	if (r)
		json_decref(documents);
	else
		*ret_documents = documents;
	return r;
}
