/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which files a state has, and where in a document its lists are: said once, for whoever loads, merges or watches them.
 */
#ifndef ENID_STATE_FILES_H
#define ENID_STATE_FILES_H

#include <jansson.h>
#include <sys/stat.h>

/* Tell fn of `path`, and if it is a folder of every folder and *.json below, sorted by name; dot-files are nobody's
 * business. error: 0, or the errno why it cannot be read, and then st is NULL. */
typedef void (*state_file_fn)(const char *path, const struct stat *st, int error, void *data);
void state_files_walk(const char *path, state_file_fn fn, void *data);

/* Read a file whole. ret: 0 | -errno, -EFBIG if it is larger than a file of a state may be */
int state_read_file(const char *path, char **ret_text, size_t *ret_length, struct stat *ret_st);

/* The object that holds the lists of a document (an object, read from `path`): itself; the one that a recording wraps
 * as `data`; or, for outputs that do not say what they belong to, a list of one object that has its id from the file's
 * name (FORMATS 1.1): prefix-list-entries/pl-0a1.json = {"Entries": [...]}. ret: a new reference | NULL: no memory, or
 * *ret_id_key is set: the file's name is no such id */
json_t *state_document_lists(const char *path, json_t *document, const char **ret_id_key);

#endif
