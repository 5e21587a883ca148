/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid replay: packets through the real programs, without touching any interface. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "replay/replay.h"

#define STATES_MAX 64

static const char help[] =
	"usage: enid replay --state STATE... [OPTION...] [FILE]\n"
	"\n"
	"Run packets through the data path, privately, and print what becomes of each: one JSON line for each line of "
	"FILE\n"
	"(default: standard input), or for each frame of the capture FILE with --port.\n"
	"\n"
	"  -s, --state STATE    desired state: a JSON file or a folder; repeat for several\n"
	"      --host ID        act for this host (default: this machine's name, else the only host of the state)\n"
	"      --port NAME      FILE is a pcap or pcapng capture, received on this ENI or uplink\n"
	"      --hook tc|xdp    the program that received frames go through (default: tc)\n"
	"      --max-flows N    flow records (default: 262144)\n"
	"\n"
	"Exit: 0 every line has its answer, 1 failed, 2 misuse.\n";

static const struct option long_options[] = {
	{"state", required_argument, NULL, 's'},
	{"host", required_argument, NULL, 'H'},
	{"port", required_argument, NULL, 'p'},
	{"hook", required_argument, NULL, 'k'},
	{"max-flows", required_argument, NULL, 'm'},
	{"help", no_argument, NULL, 'h'},
	{},
};

static int misuse(const char *problem, const char *word)
{
	warnx("%s%s%s%s", problem, word ? " '" : "", word ? word : "", word ? "'" : "");
	fprintf(stderr, "try: enid replay --help\n");
	return 2;
}

/* ret: false = not a number from 1 to 2^29 */
static bool read_flows(const char *word, uint32_t *ret)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(word, &end, 10);
	if (errno || *end || end == word || word[0] == '-' || !value || value > 1ul << 29)
		return false;
	*ret = (uint32_t)value;
	return true;
}

int cmd_replay(int argc, char **argv)
{
	const char *states[STATES_MAX];
	struct replay_options options = {.states = states, .fd = STDOUT_FILENO};
	int option;

	while ((option = getopt_long(argc, argv, "s:h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			if (options.nr_states == STATES_MAX)
				return misuse("too many states at", optarg);
			states[options.nr_states++] = optarg;
			break;
		case 'H':
			options.host = optarg;
			break;
		case 'p':
			options.port = optarg;
			break;
		case 'k':
			options.xdp = !strcmp(optarg, "xdp");
			if (!options.xdp && strcmp(optarg, "tc") != 0)
				return misuse("--hook is tc or xdp, not", optarg);
			break;
		case 'm':
			if (!read_flows(optarg, &options.flows_max))
				return misuse("--max-flows is a number of records, not", optarg);
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return misuse("unknown option or missing value", NULL);
		}
	}
	/* --state A B C FILE: all but the last word are further states */
	while (options.nr_states && argc - optind > 1 && options.nr_states < STATES_MAX)
		states[options.nr_states++] = argv[optind++];
	if (!options.nr_states)
		return misuse("--state is missing", NULL);
	if (argc - optind > 1)
		return misuse("too many words at", argv[optind + 1]);
	options.input = optind < argc ? argv[optind] : NULL;
	return replay_run(&options) < 0 ? 1 : 0;
}
