/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid run: the agent. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "commands.h"
#include "folders.h"

#define OPTION_NO_TCX  256
#define OPTION_HOST    257
#define OPTION_RANGES  258
#define OPTION_METRICS 259
#define OPTION_PER_ENI 260
#define OPTION_USER    261
#define OPTION_PREPARE 262

static const char usage[] =
	"usage: enid run [--state STATE]... [--host ID] [--run-dir D] [--pin-dir D] [--log-dir D] [--max-flows N]\n"
	"                [--ip-ranges FILE] [--metrics WHERE] [--metrics-per-eni on|off] [--no-tcx]\n"
	"                [--user USER] [--prepare]\n\n"
	"  --state STATE   JSON file or folder with the desired state (" DEFAULT_STATE ")\n"
	"  --host ID       which of Hosts this is (default: by host name, or the only one)\n"
	"  --run-dir D     applied.json, status.json, lock (" DEFAULT_RUN_DIR ")\n"
	"  --pin-dir D     kernel objects, on a BPF file system (" DEFAULT_PIN_DIR ")\n"
	"  --log-dir D     flow logs (" DEFAULT_LOG_DIR ")\n"
	"  --ip-ranges F   AWS's ip-ranges.json, for the names of services in flow logs\n"
	"  --max-flows N   flow records (1048576, or as many as before); live flows move to the new table\n"
	"  --metrics W     serve metrics over HTTP at 127.0.0.1:9410, [::1]:9410 or unix:/PATH (default: nowhere)\n"
	"  --metrics-per-eni on|off\n"
	"                  series of each ENI and port, too (on)\n"
	"  --no-tcx        attach TC programs as clsact filters even where the kernel has TCX\n"
	"  --user USER     whom root becomes: a name, or UID[:GID] (enid, if there is such a user)\n"
	"  --prepare       make run, pin and log folder, hand them over to that user, and end\n\n"
	"Exit: 0 ended by a signal, 1 failed to start, 2 misuse.\n";

static int read_count(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !value || value > UINT32_MAX / 4)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int set_metrics(struct agent_options *options)
{
	char *why = NULL;
	int r = metrics_where(optarg, &why);

	options->metrics = optarg;
	if (r)
		warnx("--metrics: %s", why ? why : strerror(-r));
	free(why);
	return r;
}

/* ret: 0 | -EINVAL, after a word on stderr */
static int set_option(int option, struct agent_options *options, const char **paths)
{
	switch (option) {
	case 's':
		paths[options->tree.nr++] = optarg;
		return 0;
	case OPTION_HOST:
		options->host = optarg;
		return 0;
	case OPTION_RANGES:
		options->ip_ranges = optarg;
		return 0;
	case OPTION_NO_TCX:
		options->no_tcx = true;
		return 0;
	case OPTION_USER:
		options->user = optarg;
		return 0;
	case OPTION_PREPARE:
		options->prepare = true;
		return 0;
	case OPTION_METRICS:
		return set_metrics(options);
	case OPTION_PER_ENI:
		if (!metrics_switch(optarg, &options->metrics_per_eni))
			return 0;
		warnx("--metrics-per-eni is on or off, not '%s'", optarg);
		return -EINVAL;
	case 'm':
		if (!read_count(optarg, &options->flows_max))
			return 0;
		warnx("--max-flows '%s' is no number from 1 to %u", optarg, UINT32_MAX / 4);
		return -EINVAL;
	default:
		fputs(usage, stderr);
		return -EINVAL;
	}
}

int cmd_run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"state", required_argument, NULL, 's'},
		{"host", required_argument, NULL, OPTION_HOST},
		FOLDER_OPTIONS,
		{"ip-ranges", required_argument, NULL, OPTION_RANGES},
		{"max-flows", required_argument, NULL, 'm'},
		{"metrics", required_argument, NULL, OPTION_METRICS},
		{"metrics-per-eni", required_argument, NULL, OPTION_PER_ENI},
		{"user", required_argument, NULL, OPTION_USER},
		{"prepare", no_argument, NULL, OPTION_PREPARE},
		{"no-tcx", no_argument, NULL, OPTION_NO_TCX},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	const char **paths = calloc(argc + 1, sizeof(*paths));
	struct agent_options options = {.tree.paths = paths, .metrics_per_eni = true};
	struct folders folders = FOLDERS_DEFAULT;
	int option, code = 0;

	if (!paths)
		return 1;
	while (!code && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			free(paths);
			return 0;
		}
		if (folder_option(&folders, option, optarg))
			code = set_option(option, &options, paths) ? 2 : 0;
	}
	options.run_dir = folders.run;
	options.pin_dir = folders.pins;
	options.log_dir = folders.logs;
	/* --state A B is as good as --state A --state B. */
	for (; !code && optind < argc; optind++)
		paths[options.tree.nr++] = argv[optind];
	if (!options.tree.nr)
		paths[options.tree.nr++] = DEFAULT_STATE;
	if (!code)
		code = agent_run(&options);
	free(paths);
	return code;
}
