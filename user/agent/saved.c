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
static int write_draft(const char *folder, const char *name, const char *text, size_t length, char *ret_path,
		       char *ret_draft)
{
	int r;

	if (snprintf(ret_path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX ||
	    snprintf(ret_draft, PATH_MAX, "%s/.%s.new", folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	r = write_file(ret_draft, O_TRUNC, text, length);
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
	_cleanup_free_ char *text = json_dumps(json, JSON_COMPACT); /* to a file, the library writes byte by byte */
	char path[PATH_MAX], draft[PATH_MAX];
	int r = text ? write_draft(folder, name, text, strlen(text), path, draft) : -ENOMEM;

	return r ? r : put_in_place(path, draft);
}

/* The changes go first: whoever is killed in between leaves an older state, but never the changes of another one. */
int saved_write(const char *run_dir, const char *text, size_t length)
{
	char path[PATH_MAX], draft[PATH_MAX], changes[PATH_MAX];
	int r = write_draft(run_dir, APPLIED_FILE, text, length, path, draft);

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

static size_t count_lines(const char *lines, size_t length)
{
	size_t nr = 0;

	for (size_t i = 0; i < length; i++)
		nr += lines[i] == '\n';
	return nr;
}

int saved_append(const char *run_dir, const char *lines, size_t length, size_t *nr_lines)
{
	size_t nr = *nr_lines + count_lines(lines, length);
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (snprintf(path, sizeof(path), "%s/" CHANGES_FILE, run_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (nr > CHANGES_LINES_MAX || (!stat(path, &st) && st.st_size + (off_t)length > CHANGES_BYTES_MAX))
		return -EFBIG;
	r = write_file(path, O_APPEND, lines, length);
	if (!r)
		*nr_lines = nr;
	return r;
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

/* ret: its index, or the size of the list */
static size_t find_element(const json_t *list, const char *key, const json_t *id)
{
	json_t *other;
	size_t index;

	json_array_foreach (list, index, other)
		if (id && json_equal(json_object_get(other, key), id))
			break;
	return index;
}

static int replace_element(json_t *list, const char *key, json_t *object)
{
	size_t index = find_element(list, key, json_object_get(object, key));

	if (index == json_array_size(list))
		return -EINVAL;
	return json_array_set(list, index, object) ? -ENOMEM : 0;
}

static int splice_list(json_t *list, json_int_t at, json_int_t less, const json_t *more)
{
	json_t *item;
	size_t index;

	if (at < 0 || less < 0 || at > (json_int_t)json_array_size(list) ||
	    less > (json_int_t)json_array_size(list) - at)
		return -EINVAL;
	while (less--)
		(void)json_array_remove(list, (size_t)at);
	json_array_foreach (more, index, item)
		if (json_array_insert(list, (size_t)at + index, item))
			return -ENOMEM;
	return 0;
}

/* Of an element only some items of a list inside it were written down: those from `At` on, which stand for `Less`. */
static int splice_element(json_t *documents, json_t *splice)
{
	const char *list = NULL, *key = NULL, *id_key;
	json_t *id = NULL, *more = NULL, *elements;
	json_int_t at, less;
	size_t index;

	if (json_unpack(splice, "{s:s,s:o,s:s,s:I,s:I,s:o}", "List", &list, "Id", &id, "Key", &key, "At", &at, "Less",
			&less, "More", &more))
		return -EINVAL;
	id_key = id_key_of(list);
	elements = json_object_get(documents, list);
	index = id_key ? find_element(elements, id_key, id) : 0;
	if (!id_key || index == json_array_size(elements))
		return -EINVAL;
	return splice_list(json_object_get(json_array_get(elements, index), key), at, less, more);
}

static int take_element(json_t *documents, const char *list, json_t *object)
{
	const char *key = id_key_of(list);

	if (!strcmp(list, "Splice"))
		return splice_element(documents, object);
	return key ? replace_element(json_object_get(documents, list), key, object) : -EINVAL;
}

/* ret: -EINVAL, too, of what is of a later form: all of them have a list of objects under each name */
static int replace_elements(json_t *documents, json_t *change)
{
	json_t *list, *object;
	const char *name;
	size_t index;

	json_object_foreach (change, name, list) {
		if (!json_is_array(list))
			return -EINVAL;
		json_array_foreach (list, index, object) {
			int r = take_element(documents, name, object);

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
	if (look_for(path))
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
