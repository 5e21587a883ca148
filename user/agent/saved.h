/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is in force, on disk: applied.json, all documents in one, and behind it applied.changes, the elements that were
 * changed since, a document on a line for each. A line that is not whole was never said to be in force. */
#ifndef ENID_SAVED_H
#define ENID_SAVED_H

#include <jansson.h>
#include <stddef.h>

#define APPLIED_FILE "applied.json"
#define CHANGES_FILE "applied.changes"

/* Beyond one of them, applied.json is written anew. To read a line, the element that it is about is looked for. */
#define CHANGES_BYTES_MAX (64l << 20)
#define CHANGES_LINES_MAX 4096u

/* text: all documents in one, a JSON object. ret: 0 | -errno */
int saved_write(const char *run_dir, const char *text, size_t length);
/* Lines that end in a newline. *nr_lines: how many there are since saved_write(), kept by the caller. ret: 0 | -EFBIG:
 * they would be too many | -errno */
int saved_append(const char *run_dir, const char *lines, size_t length, size_t *nr_lines);
/* Both in one. ret: 0 | -ENOENT | -EINVAL: no JSON object | -ENOMEM */
int saved_read(const char *run_dir, json_t **ret_documents);

/* Replace a file in one step. */
int write_json(const char *folder, const char *name, const json_t *json);

#endif
