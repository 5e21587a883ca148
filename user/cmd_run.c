/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid run: the agent. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "commands.h"

#define OPTION_NO_TCX 256
#define OPTION_HOST   257

static const char usage[] =
	"usage: enid run [--state STATE]... [--host ID] [--run-dir D] [--pin-dir D] [--log-dir D] [--max-flows N]\n\n"
	"  --state STATE   JSON file or folder with the desired state (" DEFAULT_STATE ")\n"
	"  --host ID       which of Hosts this is (default: by host name, or the only one)\n"
	"  --run-dir D     applied.json, status.json, lock (" DEFAULT_RUN_DIR ")\n"
	"  --pin-dir D     kernel objects, on a BPF file system (" DEFAULT_PIN_DIR ")\n"
	"  --log-dir D     flow logs (" DEFAULT_LOG_DIR ")\n"
	"  --max-flows N   flow records (1048576)\n"
	"  --no-tcx        attach TC programs as clsact filters even where the kernel has TCX\n";

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
	case 'r':
		options->run_dir = optarg;
		return 0;
	case 'p':
		options->pin_dir = optarg;
		return 0;
	case 'l':
		options->log_dir = optarg;
		return 0;
	case OPTION_NO_TCX:
		options->no_tcx = true;
		return 0;
	case 'm':
		if (!read_count(optarg, &options->flows_max))
			return 0;
		fprintf(stderr, "enid: --max-flows '%s' is no number from 1 to %u\n", optarg, UINT32_MAX / 4);
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
		{"run-dir", required_argument, NULL, 'r'},
		{"pin-dir", required_argument, NULL, 'p'},
		{"log-dir", required_argument, NULL, 'l'},
		{"max-flows", required_argument, NULL, 'm'},
		{"no-tcx", no_argument, NULL, OPTION_NO_TCX},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	const char **paths = calloc(argc + 1, sizeof(*paths));
	struct agent_options options = {.tree.paths = paths,
					.run_dir = DEFAULT_RUN_DIR,
					.pin_dir = DEFAULT_PIN_DIR,
					.log_dir = DEFAULT_LOG_DIR};
	int option, code = 0;

	if (!paths)
		return 1;
	while (!code && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			free(paths);
			return 0;
		}
		code = set_option(option, &options, paths) ? 2 : 0;
	}
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
