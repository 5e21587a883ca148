/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid graph: the topology of a desired state, for Graphviz. */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "commands.h"
#include "graph/graph.h"

static int usage(FILE *out, int code)
{
	fprintf(out,
		"usage: enid graph STATE... [--json]\n\n"
		"Print VPCs, subnets, ENIs, gateways and route tables in Graphviz's language (enid graph STATE | dot "
		"-Tsvg);\n"
		"routes are edges, blackholes and what is missing are red. --json: the same nodes and edges as JSON.\n"
		"Exit: 0 done, 1 the state is invalid, 2 misuse.\n");
	return code;
}

static int print(const struct state *state, bool json)
{
	json_t *graph = graph_build(state);

	if (!graph)
		return 1;
	if (!json)
		graph_print_dot(stdout, graph);
	else if (!json_print(graph, stdout, JSON_INDENT(2)))
		putchar('\n');
	json_decref(graph);
	return 0;
}

int cmd_graph(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {}};
	struct state_messages messages = {};
	struct state *state = NULL;
	bool json = false;
	int option, r;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout, 0);
		if (option != 'j')
			return usage(stderr, 2);
		json = true;
	}
	if (optind == argc) {
		warnx("which state?");
		return usage(stderr, 2);
	}
	r = state_load((const char *const *)argv + optind, (size_t)(argc - optind), &state, &messages);
	for (size_t i = 0; i < messages.nr_errors; i++)
		warnx("%s", messages.errors[i].text);
	r = r < 0 ? 1 : print(state, json);
	state_messages_done(&messages);
	state_free(&state);
	return r;
}
