/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows to stdout. JSON is printed row by row, because a million flows do not fit into memory as JSON values. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "show/output.h"

#define COLUMNS_MAX 16

void output_begin(struct output *output, bool json, const char *const *columns)
{
	*output = (struct output){.json = json, .columns = columns};
	if (json)
		putchar('[');
	else if (columns)
		output->rows = json_array();
}

void output_row(struct output *output, json_t *row, const char *line)
{
	if (!row)
		return;
	if (output->json) {
		fputs(output->nr ? ",\n " : "\n ", stdout);
		json_print(row, stdout, JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
	} else if (output->columns) {
		json_array_append(output->rows, row);
	} else if (line) {
		puts(line);
	}
	output->nr++;
	json_decref(row);
}

static const char *text_at(const json_t *value, const char *key)
{
	const char *text = json_string_value(key ? json_object_get(value, key) : value);

	return text ? text : "";
}

static int compare_texts(const void *a, const void *b, void *arg)
{
	for (const char *const *key = arg;; key++) {
		const char *x = text_at(*(json_t *const *)a, *key), *y = text_at(*(json_t *const *)b, *key);
		int order = !!strchr(x, ':') - !!strchr(y, ':');

		if (!order)
			order = strverscmp(x, y);
		if (order || !*key || !key[1])
			return order;
	}
}

void output_sort(json_t *array, const char *const *keys)
{
	size_t nr = json_array_size(array);
	json_t **values = calloc(nr + 1, sizeof(json_t *));

	if (!values) /* as they came */
		return;
	for (size_t i = 0; i < nr; i++)
		values[i] = json_incref(json_array_get(array, i));
	qsort_r(values, nr, sizeof(json_t *), compare_texts, (void *)keys);
	json_array_clear(array);
	for (size_t i = 0; i < nr; i++)
		json_array_append_new(array, values[i]);
	free(values);
}

static char *join(const json_t *array)
{
	char *text = NULL, *longer, *part;
	size_t i;
	json_t *value;

	json_array_foreach (array, i, value) {
		part = output_text(value);
		if (!part || asprintf(&longer, "%s%s%s", text ? text : "", text ? "," : "", part) < 0)
			longer = NULL;
		free(part);
		free(text);
		text = longer;
	}
	return text ? text : strdup("-");
}

/* {"sg-ingress": 4} as sg-ingress=4 */
static char *join_object(const json_t *object)
{
	json_t *parts = json_array(), *value;
	const char *key;
	char *text;

	json_object_foreach ((json_t *)object, key, value) {
		char *part = output_text(value);

		json_array_append_new(parts, json_sprintf("%s=%s", key, part ? part : "?"));
		free(part);
	}
	text = join(parts);
	json_decref(parts);
	return text;
}

char *output_text(const json_t *value)
{
	char *text;
	int r;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return strdup(*json_string_value(value) ? json_string_value(value) : "-");
	case JSON_INTEGER:
		r = asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return r < 0 ? NULL : text;
	case JSON_TRUE:
		return strdup("yes");
	case JSON_FALSE:
		return strdup("no");
	case JSON_ARRAY:
		return join(value);
	case JSON_OBJECT:
		return join_object(value);
	default:
		return strdup("-");
	}
}

static size_t cell_width(const json_t *rows, const char *column)
{
	size_t width = strlen(column), i;
	json_t *row;

	json_array_foreach (rows, i, row) {
		char *text = output_text(json_object_get(row, column));

		if (text && strlen(text) > width)
			width = strlen(text);
		free(text);
	}
	return width;
}

static void print_cell(const char *text, size_t width, bool last)
{
	if (last)
		puts(text);
	else
		printf("%-*s  ", (int)width, text);
}

static void print_table(const struct output *output)
{
	size_t width[COLUMNS_MAX], nr = 0, i;
	json_t *row;

	for (; nr < COLUMNS_MAX && output->columns[nr]; nr++)
		width[nr] = cell_width(output->rows, output->columns[nr]);
	for (size_t c = 0; c < nr; c++) {
		char title[64] = "";

		for (size_t k = 0; k + 1 < sizeof(title) && output->columns[c][k]; k++)
			title[k] = (char)toupper((unsigned char)output->columns[c][k]);
		print_cell(title, width[c], c + 1 == nr);
	}
	json_array_foreach (output->rows, i, row) {
		for (size_t c = 0; c < nr; c++) {
			char *text = output_text(json_object_get(row, output->columns[c]));

			print_cell(text ? text : "", width[c], c + 1 == nr);
			free(text);
		}
	}
}

int output_end(struct output *output)
{
	if (output->json)
		puts(output->nr ? "\n]" : "]");
	else if (output->columns)
		print_table(output);
	json_decref(output->rows);
	output->rows = NULL;
	return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}
