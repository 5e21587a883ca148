/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows to stdout: a JSON array, an aligned table, or one free line each. */
#ifndef ENID_SHOW_OUTPUT_H
#define ENID_SHOW_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

struct output {
	bool json;
	const char *const *columns; /* keys of a row that the table shows, NULL ends; NULL = lines */
	json_t *rows;               /* of a table, until the end */
	size_t nr;
};

void output_begin(struct output *output, bool json, const char *const *columns);
/* Takes the row. line: what is printed without --json where there are no columns; it may be NULL otherwise. */
void output_row(struct output *output, json_t *row, const char *line);
/* ret: 0 | -EIO (stdout) */
int output_end(struct output *output);

/* Sort objects by the texts at `keys` (NULL ends), or texts, if there is no key: numbers by value, IPv4 before IPv6. */
void output_sort(json_t *array, const char *const *keys);

/* A value as people read it; "-" for null. To free(). */
char *output_text(const json_t *value);

#endif
