/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid logs: flow log records from the files, as they are or as JSON lines (keys as consumers name them: account_id).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/agent.h"
#include "commands.h"
#include "flowlog/reader.h"

#define NR_FIELDS 14

static const struct field {
	const char *name;
	bool number;
} fields[NR_FIELDS] = {
	{"version", true}, {"account_id", false}, {"interface_id", false}, {"srcaddr", false},    {"dstaddr", false},
	{"srcport", true}, {"dstport", true},     {"protocol", true},      {"packets", true},     {"bytes", true},
	{"start", true},   {"end", true},         {"action", false},       {"log_status", false},
};

static int print_text(void *arg, const char *line, size_t len)
{
	(void)arg;
	if (fwrite(line, 1, len, stdout) != len || putchar('\n') < 0)
		return -errno;
	return 0;
}

static json_t *field_value(const struct field *field, const char *text, size_t len)
{
	char number[24], *end;
	json_int_t value;

	if (len == 1 && *text == '-')
		return json_null();
	if (!field->number || len >= sizeof(number))
		return json_stringn(text, len);
	memcpy(number, text, len);
	number[len] = 0;
	value = strtoll(number, &end, 10);
	return *end ? json_stringn(text, len) : json_integer(value);
}

/* A line that is not of 14 fields is none of ours, and is left out. */
static int print_json(void *arg, const char *line, size_t len)
{
	json_t *object = json_object();
	size_t at = 0;
	int nr = 0, r = 0;

	(void)arg;
	while (nr < NR_FIELDS && at <= len) {
		const char *blank = memchr(line + at, ' ', len - at);
		size_t part = blank ? (size_t)(blank - line) - at : len - at;

		json_object_set_new_nocheck(object, fields[nr].name, field_value(&fields[nr], line + at, part));
		at += part + 1;
		nr++;
	}
	if (nr == NR_FIELDS && at == len + 1)
		r = json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) || putchar('\n') < 0 ? -EIO : 0;
	json_decref(object);
	return r;
}

static int flush_output(void *arg)
{
	(void)arg;
	return fflush(stdout) ? -errno : 0;
}

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid logs [--follow] [--format default|json] [--run-dir D] [--pin-dir D] [--log-dir D]\n");
	return code;
}

int cmd_logs(int argc, char **argv)
{
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'},        {"format", required_argument, NULL, 'F'},
		{"log-dir", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
		{"run-dir", required_argument, NULL, 'i'}, {"pin-dir", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	const char *dir = DEFAULT_LOG_DIR, *format = "default";
	bool follow = false;
	int option, r;

	while ((option = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			follow = true;
			break;
		case 'F':
			format = optarg;
			break;
		case 'd':
			dir = optarg;
			break;
		case 'j':
			format = "json";
			break;
		case 'i':
			break; /* the records are files: neither maps nor agent are asked */
		default:
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
		}
	}
	if (optind < argc || (strcmp(format, "default") != 0 && strcmp(format, "json") != 0))
		return usage(stderr, 2);
	r = log_read(dir, follow, strcmp(format, "json") == 0 ? print_json : print_text, flush_output, NULL);
	if (r)
		fprintf(stderr, "enid: logs: %s: %s\n", dir, strerror(-r));
	return r ? 1 : 0;
}
