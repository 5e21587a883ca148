/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show: what the kernel holds, in resource names; works with the agent dead. */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/base.h"
#include "commands.h"
#include "flowlog/rulebook.h"
#include "folders.h"
#include "show/show.h"

static const struct topic {
	const char *name;
	int (*show)(const struct view *view, struct output *output, bool json);
} topics[] = {
#define X(topic) {#topic, show_##topic},
	SHOW_TOPICS(X)
#undef X
};

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid show ");
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
		fprintf(out, "%s%s", i ? "|" : "", topics[i].name);
	fprintf(out, "\n                [--json] [--unused] " FILTER_USAGE
		     "\n                [--run-dir D] [--pin-dir D] [--log-dir D]\n\n"
		     "One topic of what the kernel holds, in resource names; no agent is needed.\n\n"
		     "  --json     a list of objects\n"
		     "  --unused   of rules those that no packet has met since counting began\n"
		     "  --eni, --address, --port, --protocol\n"
		     "             of flows those for which all of it holds, at either end\n\n"
		     "Exit: 0 printed, 1 nothing is pinned there or it cannot be read, 2 misuse.\n");
	return code;
}

/* What is wrong with the command line. ret: whether something is */
static bool is_misused(int nr_topics, char **topics_asked, const struct topic *topic, bool unused, bool filtered)
{
	if (!nr_topics)
		warnx("which topic?");
	else if (nr_topics > 1)
		warnx("one topic at a time: '%s' is too much", topics_asked[1]);
	else if (!topic)
		warnx("'%s' is no topic", topics_asked[0]);
	else if (unused && topic->show != show_rules)
		warnx("--unused is for rules, not for %s", topic->name);
	else if (filtered && topic->show != show_flows)
		warnx("--eni, --address, --port and --protocol are for flows, not for %s", topic->name);
	else
		return false;
	return true;
}

static const struct topic *find_topic(const char *name)
{
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
		if (!strcmp(topics[i].name, name))
			return &topics[i];
	return NULL;
}

static int show(const struct topic *topic, const char *pin_dir, const char *run_dir, bool json, bool unused,
		const struct filter *filter)
{
	struct output output = {0};
	struct view view;
	char *why = NULL;
	int r = view_open(pin_dir, run_dir, &view, &why);

	if (!r) {
		view.run_dir = run_dir;
		view.unused_only = unused;
		view.filter = *filter;
		if (filter->eni && !datapath_port_number(view.datapath, filter->eni))
			warnx("'%s' is no ENI or gateway that is in force here", filter->eni);
		r = topic->show(&view, &output, json);
		view_close(&view);
	}
	if (r && unused && !why)
		r = refuse(&why, r, "no agent has counted: %s/" RULEBOOK_FILE ": %s", run_dir, strerror(-r));
	if (r && !ferror(stdout)) /* of that everybody is told at the end */
		warnx("%s: %s", topic->name, why ? why : strerror(-r));
	free(why);
	return r ? 1 : 0;
}

int cmd_show(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"unused", no_argument, NULL, 'u'},
		FOLDER_OPTIONS,
		FILTER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct folders folders = FOLDERS_DEFAULT; /* nothing that is shown is in that of logs */
	const struct topic *topic;
	struct filter filter = FILTER_NONE;
	bool json = false, unused = false;
	int option;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'u':
			unused = true;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			if (folder_option(&folders, option, optarg) && filter_option(&filter, option, optarg))
				return usage(stderr, 2);
		}
	}
	topic = optind + 1 == argc ? find_topic(argv[optind]) : NULL;
	if (is_misused(argc - optind, argv + optind, topic, unused, filter.any))
		return usage(stderr, 2);
	return show(topic, folders.pins, folders.run, json, unused, &filter);
}
