/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid metrics: what `enid run --metrics` serves, once, on stdout; works with the agent dead. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "commands.h"
#include "datapath/datapath.h"
#include "folders.h"
#include "metrics/metrics.h"

static int usage(FILE *out, int code)
{
	fprintf(out,
		"usage: enid metrics [--json] [--per-eni on|off] [--run-dir D] [--pin-dir D] [--log-dir D]\n\n"
		"Counters and gauges in Prometheus' text format, once; no agent is needed.\n\n"
		"  --json     an array of families\n"
		"  --per-eni  series of each ENI and port, too (on)\n\n"
		"Exit: 0 printed, also where nothing is pinned; 1 the maps cannot be read, or failed; 2 misuse.\n");
	return code;
}

/* Without the kernel's maps most numbers would be missing, which nobody need notice. Where nothing is pinned there are
 * none, and that is told. ret: 0 | -errno, after a word on stderr */
static int may_read(const char *pin_dir)
{
	const struct datapath_options options = {.pin_dir = pin_dir, .read_only = true};
	struct datapath *datapath = NULL;
	char *why = NULL;
	int r = datapath_open(&options, &datapath, &why);

	if (!r)
		datapath_close(&datapath);
	if (r == -ENOENT)
		r = 0;
	if (r)
		warnx("%s", why ? why : strerror(-r));
	free(why);
	return r;
}

int cmd_metrics(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"per-eni", required_argument, NULL, 'e'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct folders folders = FOLDERS_DEFAULT; /* nothing that is counted is in that of logs */
	struct metrics_source source = {.per_eni = true};
	bool json = false;
	int option, r;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'e':
			if (!metrics_switch(optarg, &source.per_eni))
				break;
			warnx("--per-eni is on or off, not '%s'", optarg);
			return usage(stderr, 2);
		default:
			if (!folder_option(&folders, option, optarg))
				break;
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
		}
	}
	if (optind < argc) {
		warnx("'%s' is no option", argv[optind]);
		return usage(stderr, 2);
	}
	source.run_dir = folders.run;
	source.pin_dir = folders.pins;
	if (may_read(source.pin_dir))
		return 1;
	r = metrics_write(&source, stdout, json);
	if (r && !ferror(stdout)) /* of that everybody is told at the end */
		warnx("%s", strerror(-r));
	return r ? 1 : 0;
}
