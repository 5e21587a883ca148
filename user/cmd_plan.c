/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid plan STATE...: what would change against what is applied, and whom it would cut off. */
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/base.h"
#include "base/json.h"
#include "commands.h"
#include "folders.h"
#include "rehearse/rehearse.h"
#include "show/flows.h"

static const char help[] =
	"usage: enid plan STATE... [--json] [--host ID] [--run-dir D] [--pin-dir D] [--log-dir D]\n"
	"\n"
	"Compare the desired state STATE (JSON files, or folders of them) with the one in force, without changing "
	"anything:\n"
	"the objects that differ, the entries that each kernel map needs and whether they fit, and the live flows that "
	"would end.\n"
	"\n"
	"Exit: 0 the state could be applied (also if nothing would change), 1 it would be refused or nothing can be "
	"said, 2 misuse.\n";

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* route table rtb-1: Routes: 0.0.0.0/0 igw-1 -> nat-1 */
static void print_detail(const json_t *change, const json_t *detail)
{
	const char *from = text_of(detail, "from"), *to = text_of(detail, "to"), *what = text_of(detail, "what");
	const char *how = text_of(detail, "change");

	printf("%s %s: %s:%s%s%s", text_of(change, "kind"), text_of(change, "id"), text_of(detail, "key"),
	       !strcmp(how, "added")     ? " +"
	       : !strcmp(how, "removed") ? " -"
					 : " ",
	       what, *what && (*from || *to) ? " " : "");
	if (!strcmp(how, "changed"))
		printf("%s -> %s\n", *from ? from : "nothing", *to ? to : "nothing");
	else
		printf("%s%s\n", from, to);
}

static void print_changes(const json_t *changes)
{
	const json_t *change, *detail;
	size_t i, j;

	json_array_foreach (changes, i, change) {
		const json_t *details = json_object_get(change, "details");

		if (!json_array_size(details))
			printf("%s %s: %s\n", text_of(change, "kind"), text_of(change, "id"),
			       text_of(change, "change"));
		json_array_foreach (details, j, detail)
			print_detail(change, detail);
	}
}

/* Maps that need nothing are left out. */
static void print_entries(const json_t *entries)
{
	const char *map;
	const json_t *change;
	bool first = true;

	json_object_foreach ((json_t *)entries, map, change) {
		if (!number_of(change, "added") && !number_of(change, "updated") && !number_of(change, "deleted"))
			continue;
		if (first)
			printf("%-14s %8s %8s %8s   %s\n", "map", "added", "updated", "deleted", "in use, at most, of");
		first = false;
		printf("%-14s %8lld %8lld %8lld   %lld, %lld of %lld\n", map, number_of(change, "added"),
		       number_of(change, "updated"), number_of(change, "deleted"), number_of(change, "after"),
		       number_of(change, "most"), number_of(change, "max"));
	}
	if (first && entries)
		puts("nothing changes in the kernel");
}

static void print_cut(const json_t *flow)
{
	_cleanup_free_ char *line = show_flow_line(flow);
	const json_t *rule = json_object_get(flow, "decided_by");

	printf("cut   %s\n      %s: %s, by %s %s %s\n", line ? line : "", text_of(flow, "direction"),
	       text_of(flow, "reason"), text_of(rule, "stage"), text_of(rule, "id"), text_of(rule, "rule"));
}

static void print_moved(const json_t *flow)
{
	_cleanup_free_ char *line = show_flow_line(flow);
	const char *from = text_of(flow, "left_by"), *to = text_of(flow, "leaves_by");

	printf("moved %s\n      %s: ", line ? line : "", text_of(flow, "direction"));
	if (strcmp(from, to) != 0)
		printf("by %s instead of %s%s\n", *to ? to : "the host", *from ? from : "the host",
		       json_is_true(json_object_get(flow, "readdressed")) ? ", as another address" : "");
	else
		puts("as another address");
}

static void print_flows(const json_t *flows)
{
	const json_t *cut = json_object_get(flows, "cut"), *moved = json_object_get(flows, "moved"), *flow;
	size_t i;

	if (!flows)
		return;
	json_array_foreach (cut, i, flow)
		print_cut(flow);
	json_array_foreach (moved, i, flow)
		print_moved(flow);
	printf("flows: %lld live, %zu cut, %zu moved", number_of(flows, "live"), json_array_size(cut),
	       json_array_size(moved));
	if (number_of(flows, "not_asked"))
		printf(", %lld not asked", number_of(flows, "not_asked"));
	putchar('\n');
}

static void print_text(const json_t *told)
{
	const json_t *error;
	size_t i;

	print_changes(json_object_get(told, "changes"));
	if (json_object_get(told, "changes") && !json_array_size(json_object_get(told, "changes")))
		puts("nothing changes");
	print_entries(json_object_get(told, "entries"));
	print_flows(json_object_get(told, "flows"));
	json_array_foreach (json_object_get(told, "errors"), i, error)
		warnx("refused: %s", json_string_value(error));
}

static int plan(const struct rehearsal *rehearsal, bool json)
{
	json_t *told = NULL;
	char *why = NULL;
	int r = rehearse(rehearsal, &told, &why);

	if (!told)
		warnx("%s", why ? why : strerror(-r));
	else if (json)
		r |= json_print(told, stdout, JSON_INDENT(2)) | (putchar('\n') == EOF);
	else
		print_text(told);
	json_decref(told);
	free(why);
	return r ? 1 : 0;
}

int cmd_plan(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"host", required_argument, NULL, 'H'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct folders folders = FOLDERS_DEFAULT; /* nothing that is asked is in that of logs */
	struct rehearsal rehearsal = {};
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'H':
			rehearsal.host = optarg;
			break;
		default:
			if (!folder_option(&folders, option, optarg))
				break;
			fputs(help, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind == argc) {
		warnx("which state?");
		fputs(help, stderr);
		return 2;
	}
	rehearsal.run_dir = folders.run;
	rehearsal.pin_dir = folders.pins;
	rehearsal.states = (const char *const *)argv + optind;
	rehearsal.nr_states = (size_t)(argc - optind);
	return plan(&rehearsal, json);
}
