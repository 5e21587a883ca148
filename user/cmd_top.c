/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid top: the busiest ENIs, flows, rules and reasons of drops, again and again. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/base.h"
#include "base/json.h"
#include "commands.h"
#include "folders.h"
#include "show/flows.h"
#include "show/output.h"
#include "top/top.h"

#define INTERVAL_S      2
#define INTERVAL_MAX    3600
#define ROWS            10
#define ROWS_MAX        1000
#define CLEAR           "\033[H\033[J"
#define OPTION_INTERVAL 256

struct asked {
	struct folders folders; /* nothing that is shown is in that of logs */
	const char *part;       /* NULL = all */
	long interval_s, rows;
	bool once, json;
};

static const char *const eni_columns[] = {"eni",         "in_packets_s", "in_bytes_s", "out_packets_s",
					  "out_bytes_s", "flows",        NULL};
static const char *const flow_columns[] = {"bytes_s", "packets_s", "flow", NULL};
static const char *const rule_columns[] = {"packets_s", "rule", NULL};
static const char *const drop_columns[] = {"packets_s", "bytes_s", "packets", "reason", NULL};

static const struct part {
	const char *name;
	const char *const *columns;
} parts[] = {
	{"enis", eni_columns},
	{"flows", flow_columns},
	{"rules", rule_columns},
	{"drops", drop_columns},
};

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid top [enis|flows|rules|drops] [--once] [--json] [--interval S] [--rows N]\n"
		     "                [--run-dir D] [--pin-dir D] [--log-dir D]\n\n"
		     "Who is busy: what the kernel counted between two looks, by the second; no agent is needed.\n\n"
		     "  --once        one block, after one interval\n"
		     "  --json        one object a line\n"
		     "  --interval S  seconds between looks (2)\n"
		     "  --rows N      of each at most so many (10)\n\n"
		     "Exit: 0 printed, 1 nothing is pinned there or it cannot be read, 2 misuse.\n");
	return code;
}

static int print_part(const struct part *part, const json_t *rows)
{
	struct output output;
	json_t *row;
	size_t i;

	output_begin(&output, false, part->columns);
	json_array_foreach (rows, i, row) {
		if (part->columns == flow_columns) {
			char *line = show_flow_line(row);

			(void)json_object_set_new(row, "flow", json_string(line ? line : "?"));
			free(line);
		}
		output_row(&output, json_incref(row), NULL);
	}
	return output_end(&output);
}

static int print(const struct asked *asked, json_t *top)
{
	const json_t *records = json_object_get(top, "records");
	int r = 0;

	if (asked->json) {
		r = json_print(top, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII) ||
		    putchar('\n') < 0;
		return r || fflush(stdout) ? -EIO : 0;
	}
	printf("%s%lld of %lld flow records, over %.1f s\n", isatty(STDOUT_FILENO) && !asked->once ? CLEAR : "",
	       (long long)json_integer_value(json_object_get(records, "live")),
	       (long long)json_integer_value(json_object_get(records, "max")),
	       json_real_value(json_object_get(top, "seconds")));
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !r; i++) {
		const json_t *rows = json_object_get(top, parts[i].name);

		if (!rows)
			continue;
		printf("\n%s\n", parts[i].name);
		r = print_part(&parts[i], rows);
	}
	return r;
}

static void leave_out(const struct asked *asked, json_t *top)
{
	for (size_t i = 0; asked->part && i < ARRAY_SIZE(parts); i++)
		if (strcmp(asked->part, parts[i].name) != 0)
			(void)json_object_del(top, parts[i].name);
}

static int one_round(const struct asked *asked, const struct view *view, struct look *before)
{
	struct look now = {};
	json_t *top = NULL;
	int r;

	(void)fflush(stdout);
	sleep((unsigned int)asked->interval_s);
	r = look_take(view, &now);
	if (!r)
		r = top_between(view, before, &now, (size_t)asked->rows, &top);
	if (!r) {
		leave_out(asked, top);
		r = print(asked, top);
	}
	json_decref(top);
	look_done(before);
	*before = now;
	return r;
}

/* Until another state is in force: names and numbers are others then. */
static int rounds(const struct asked *asked, char **ret_why)
{
	struct look before = {};
	struct view view;
	uint32_t generation;
	int r = view_open(asked->folders.pins, asked->folders.run, &view, ret_why);

	if (r)
		return r;
	generation = datapath_control(view.datapath)->generation;
	r = look_take(&view, &before);
	do {
		if (!r)
			r = one_round(asked, &view, &before);
	} while (!r && !asked->once && datapath_control(view.datapath)->generation == generation);
	look_done(&before);
	view_close(&view);
	return r;
}

static int read_number(const char *option, const char *word, long max, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(word, &end, 10);
	if (!errno && end != word && !*end && *ret > 0 && *ret <= max)
		return 0;
	warnx("%s: '%s' is no number from 1 to %ld", option, word, max);
	return -EINVAL;
}

static int set_option(int option, struct asked *asked)
{
	switch (option) {
	case 'j':
		asked->json = true;
		return 0;
	case '1':
		asked->once = true;
		return 0;
	case OPTION_INTERVAL:
		return read_number("--interval", optarg, INTERVAL_MAX, &asked->interval_s);
	case 'n':
		return read_number("--rows", optarg, ROWS_MAX, &asked->rows);
	default:
		return folder_option(&asked->folders, option, optarg);
	}
}

static bool is_part(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strcmp(word, parts[i].name))
			return true;
	return false;
}

int cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"once", no_argument, NULL, '1'},
		{"interval", required_argument, NULL, OPTION_INTERVAL},
		{"rows", required_argument, NULL, 'n'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct asked asked = {.folders = FOLDERS_DEFAULT, .interval_s = INTERVAL_S, .rows = ROWS};
	char *why = NULL;
	int option, r = 0;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout, 0);
		if (set_option(option, &asked))
			return usage(stderr, 2);
	}
	if (optind < argc)
		asked.part = argv[optind++];
	if (optind < argc || (asked.part && !is_part(asked.part))) {
		warnx("%s'%s'", optind < argc ? "one part at a time, without " : "there is no part ",
		      optind < argc ? argv[optind] : asked.part);
		return usage(stderr, 2);
	}
	do
		r = rounds(&asked, &why);
	while (!r && !asked.once);
	if (r && !ferror(stdout)) /* of that everybody is told at the end */
		warnx("%s", why ? why : strerror(-r));
	free(why);
	return r ? 1 : 0;
}
