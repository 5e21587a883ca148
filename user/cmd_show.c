/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show: what the kernel holds, in resource names; works with the agent dead. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "commands.h"
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
	fprintf(out, " [--json] [--run-dir D] [--pin-dir D] [--log-dir D]\n");
	return code;
}

static const struct topic *find_topic(const char *name)
{
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
		if (!strcmp(topics[i].name, name))
			return &topics[i];
	return NULL;
}

static int show(const struct topic *topic, const char *pin_dir, const char *run_dir, bool json)
{
	struct output output = {0};
	struct view view;
	char *why = NULL;
	int r = view_open(pin_dir, run_dir, &view, &why);

	if (!r) {
		r = topic->show(&view, &output, json);
		view_close(&view);
	}
	if (r)
		fprintf(stderr, "enid: show %s: %s\n", topic->name, why ? why : strerror(-r));
	free(why);
	return r ? 1 : 0;
}

int cmd_show(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},          {"pin-dir", required_argument, NULL, 'p'},
		{"run-dir", required_argument, NULL, 'r'}, {"log-dir", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	const char *pin_dir = DEFAULT_PIN_DIR, *run_dir = DEFAULT_RUN_DIR;
	const struct topic *topic;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'p':
			pin_dir = optarg;
			break;
		case 'r':
			run_dir = optarg;
			break;
		case 'l':
			break; /* nothing that is shown is there */
		default:
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
		}
	}
	topic = optind + 1 == argc ? find_topic(argv[optind]) : NULL;
	return topic ? show(topic, pin_dir, run_dir, json) : usage(stderr, 2);
}
