/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid logs: flow log records from the files, as they are or as JSON lines (keys as consumers name them: account_id).
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/agent.h"
#include "base/json.h"
#include "commands.h"
#include "folders.h"
#include "flowlog/reader.h"
#include "flowlog/spec.h"
#include "show/filter.h"
#include "state/cidr.h"

#define NR_FIELDS 17 /* of LOG_REJECTS; the log file has fewer */
#define NR_USUAL  14

static const struct field {
	const char *name;
	bool number;
} fields[NR_FIELDS] = {
	{"version", true},  {"account_id", false}, {"interface_id", false}, {"srcaddr", false},    {"dstaddr", false},
	{"srcport", true},  {"dstport", true},     {"protocol", true},      {"packets", true},     {"bytes", true},
	{"start", true},    {"end", true},         {"action", false},       {"log_status", false}, {"x_reason", false},
	{"x_stage", false}, {"x_rule_id", false},
};

/* ---- which lines */

enum { F_ENI = 2, F_SRC, F_DST, F_SPORT, F_DPORT, F_PROTOCOL, F_ACTION = 12, F_STATUS, F_REASON = NR_USUAL };

static size_t nr_fields(const struct filter *filter)
{
	return filter->reason ? NR_FIELDS : NR_USUAL;
}

static int number_of(const char *word)
{
	return *word == '-' ? -1 : (int)strtol(word, NULL, 10);
}

/* A line that has no addresses (NODATA, SKIPDATA) has no port either: only its ENI can be asked for. */
static bool ends_match(const struct filter *filter, char *const word[NR_FIELDS])
{
	struct filter_ends ends = {.protocol = number_of(word[F_PROTOCOL]),
				   .sport = number_of(word[F_SPORT]),
				   .dport = number_of(word[F_DPORT])};

	if (!filter->cidr.family && filter->port < 0 && filter->protocol < 0)
		return true;
	ends.family = address_parse(word[F_SRC], &ends.src);
	if (ends.family < 0 || address_parse(word[F_DST], &ends.dst) != ends.family)
		return false;
	if (ends.protocol == IPPROTO_ICMP || ends.protocol == IPPROTO_ICMPV6)
		ends.sport = ends.dport = -1;
	return filter_ends(filter, &ends);
}

static bool reason_matches(const struct filter *filter, char *const word[NR_FIELDS])
{
	if (!filter->reason || !strcmp(word[F_REASON], filter->reason))
		return true;
	if (!strcmp(word[F_STATUS], "SKIPDATA")) /* rejects are missing, of whatever reason */
		return true;
	return !strcmp(filter->reason, FILTER_ANY_REASON) && strcmp(word[F_REASON], "-") != 0;
}

struct reading {
	const struct filter *filter;
	bool json;
	bool met, missed; /* a line of the ENI that is asked for; that there was none is told */
};

static bool is_asked_for(struct reading *reading, const char *line, size_t len)
{
	const struct filter *filter = reading->filter;
	char *word[NR_FIELDS], *copy, *next;
	bool yes = false;
	size_t nr = 0;

	if (!filter->any)
		return true;
	next = copy = strndup(line, len);
	while (next && nr < nr_fields(filter))
		word[nr++] = strsep(&next, " ");
	if (copy && nr == nr_fields(filter) && !next && (!filter->eni || !strcmp(filter->eni, word[F_ENI]))) {
		reading->met = true;
		yes = (!filter->verdict || !strcmp(filter->verdict, word[F_ACTION])) && reason_matches(filter, word) &&
		      ends_match(filter, word);
	}
	free(copy);
	return yes;
}

/* ---- output */

static int print_text(void *arg, const char *line, size_t len)
{
	if (!is_asked_for(arg, line, len))
		return 0;
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

/* A line that has not as many fields is none of ours, and is left out. */
static int print_json(void *arg, const char *line, size_t len)
{
	const size_t nr_wanted = nr_fields(((struct reading *)arg)->filter);
	json_t *object = json_object();
	size_t at = 0, nr = 0;
	int r = 0;

	while (nr < nr_wanted && at <= len) {
		const char *blank = memchr(line + at, ' ', len - at);
		size_t part = blank ? (size_t)(blank - line) - at : len - at;

		json_object_set_new_nocheck(object, fields[nr].name, field_value(&fields[nr], line + at, part));
		at += part + 1;
		nr++;
	}
	if (nr == nr_wanted && at == len + 1 && is_asked_for(arg, line, len))
		r = json_print(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) || putchar('\n') < 0 ? -EIO : 0;
	json_decref(object);
	return r;
}

/* When all that there is was read: an ENI of which there is nothing may be one that nobody knows. */
static int pause_reading(void *arg)
{
	struct reading *reading = arg;

	if (reading->filter->eni && !reading->met && !reading->missed) {
		warnx("no %s of '%s' is here", reading->filter->reason ? "reject" : "record", reading->filter->eni);
		reading->missed = true;
	}
	return fflush(stdout) ? -errno : 0;
}

static int usage(FILE *out, int code)
{
	fprintf(out,
		"usage: enid logs [--follow] [--format default|json] [--json] [--verdict accept|reject] [--reason R]\n"
		"                " FILTER_USAGE "\n                [--run-dir D] [--pin-dir D] [--log-dir D]\n"
		"reasons: " FILTER_REASONS "\n\n"
		"Flow log records of this host, oldest first, rotated files included; all filters that are given must "
		"hold.\n\n"
		"  --follow   go on with records as they are written\n"
		"  --format   lines as AWS has them (default), or one JSON object a line; --json is short for that\n"
		"  --reason   rejects for that reason, with three fields more: reason, stage, and the rule that "
		"refused\n\n"
		"Exit: 0 printed, 1 no log or it cannot be read, 2 misuse.\n");
	return code;
}

/* Reasons stand in a log of their own, which begins with the first reject; who follows waits for it. */
static int read_logs(const char *dir, bool follow, struct reading *reading)
{
	const char *reason = reading->filter->reason;
	char rejects[PATH_MAX];
	int r;

	if (snprintf(rejects, sizeof(rejects), "%s/" LOG_REJECTS, dir) >= (int)sizeof(rejects))
		return -ENAMETOOLONG;
	for (;;) {
		r = log_read(reason ? rejects : dir, follow, reading->json ? print_json : print_text, pause_reading,
			     reading);
		if (r != -ENOENT || !reason || access(dir, X_OK))
			return r;
		r = pause_reading(reading);
		if (r || !follow)
			return r;
		sleep(1);
	}
}

/* What is wrong with the command line. ret: whether something is */
static bool is_misused(const char *word, const char *format, const struct filter *filter)
{
	if (word)
		warnx("'%s' is no option", word);
	else if (strcmp(format, "default") != 0 && strcmp(format, "json") != 0)
		warnx("--format is default or json, not '%s'", format);
	else if (filter->reason && filter->verdict && strcmp(filter->verdict, "REJECT") != 0)
		warnx("--reason is of rejects: there is none with --verdict accept");
	else
		return false;
	return true;
}

int cmd_logs(int argc, char **argv)
{
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'},
		{"format", required_argument, NULL, 'F'},
		{"json", no_argument, NULL, 'j'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{"verdict", required_argument, NULL, FILTER_VERDICT},
		{"reason", required_argument, NULL, FILTER_REASON},
		FILTER_OPTIONS,
		{0},
	};
	struct folders folders = FOLDERS_DEFAULT; /* the records are files: neither maps nor agent are asked */
	const char *format = "default";
	struct filter filter = FILTER_NONE;
	struct reading reading = {.filter = &filter};
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
		case 'j':
			format = "json";
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			if (folder_option(&folders, option, optarg) && filter_option(&filter, option, optarg))
				return usage(stderr, 2);
		}
	}
	if (is_misused(argc > optind ? argv[optind] : NULL, format, &filter))
		return usage(stderr, 2);
	reading.json = !strcmp(format, "json");
	r = read_logs(folders.logs, follow, &reading);
	if (r && !ferror(stdout)) /* of that everybody is told at the end */
		warnx("%s: %s", folders.logs, strerror(-r));
	return r ? 1 : 0;
}
