/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid status: what the agent reported, checked against the kernel. Works with the agent dead.
 * Exit 0: an agent runs, every present device is enforced, nothing needs attention. */
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/status.h"
#include "base/base.h"
#include "base/json.h"
#include "commands.h"
#include "folders.h"

static const char usage[] =
	"usage: enid status [--json] [--run-dir D] [--pin-dir D] [--log-dir D]\n\n"
	"Agent, revision in force, ports, drops by reason, use of tables, NAT gateways, and what needs attention.\n\n"
	"Exit: 0 an agent runs, every present device is enforced, nothing needs attention; 1 otherwise; 2 misuse.\n";

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_agent(const json_t *status)
{
	const json_t *agent = json_object_get(status, "agent"), *flows = json_object_get(status, "flows");

	if (json_is_integer(json_object_get(agent, "pid")))
		printf("agent      running, pid %lld\n", number_of(agent, "pid"));
	else if (json_is_true(json_object_get(agent, "running")))
		printf("agent      running\n");
	else
		printf("agent      not running\n");
	printf("host       %s\n", text_of(status, "host"));
	printf("revision   %s\n", text_of(status, "revision"));
	if (json_is_integer(json_object_get(flows, "max")))
		printf("flows      %lld of %lld\n", number_of(flows, "live"), number_of(flows, "max"));
	printf("restored   %lld hook%s\n", number_of(status, "hooks_restored"),
	       plural(number_of(status, "hooks_restored")));
}

static void print_ports(const json_t *status)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(status, "ports"), i, port) {
		const char *how = !json_is_true(json_object_get(port, "present"))   ? "no device"
				  : json_is_true(json_object_get(port, "enforced")) ? "enforced"
										    : "NOT ENFORCED";

		printf("port       %-24s %-16s %-7s %-7s %s\n", text_of(port, "eni"), text_of(port, "device"),
		       text_of(port, "mode"), text_of(port, "hook"), how);
	}
}

static void print_skipped(long long accepts, long long rejects)
{
	if (accepts || rejects)
		printf("skipped    %lld accept%s, %lld reject%s\n", accepts, plural(accepts), rejects, plural(rejects));
}

static void print_drops(const char *reason, long long packets, long long bytes)
{
	printf("dropped    %-24s %lld packet%s, %lld byte%s\n", reason, packets, plural(packets), bytes, plural(bytes));
}

/* Of each table how much is in use, of each NAT gateway its metrics. */
static void print_tables(json_t *status)
{
	const json_t *skipped = json_object_get(status, "skipped");
	const char *name;
	json_t *use, *gateway, *value;
	size_t i;

	json_object_foreach (json_object_get(status, "maps"), name, use) {
		printf("table      %-24s %lld of %lld\n", name, (long long)json_integer_value(json_array_get(use, 0)),
		       (long long)json_integer_value(json_array_get(use, 1)));
	}
	json_array_foreach (json_object_get(status, "nat_gateways"), i, gateway) {
		printf("nat        %s", text_of(gateway, "gateway"));
		json_object_foreach (gateway, name, value) {
			if (json_is_integer(value))
				printf(" %s=%lld", name, (long long)json_integer_value(value));
		}
		putchar('\n');
	}
	print_skipped(number_of(skipped, "accepts"), number_of(skipped, "rejects"));
}

static void print_rest(json_t *status)
{
	const char *reason;
	json_t *drops, *text;
	size_t i;

	json_object_foreach (json_object_get(status, "drops"), reason, drops) {
		print_drops(reason, number_of(drops, "packets"), number_of(drops, "bytes"));
	}
	json_array_foreach (json_object_get(status, "held"), i, text) {
		printf("held       %s\n", json_string_value(text));
	}
	json_array_foreach (json_object_get(status, "attention"), i, text) {
		printf("attention  %s\n", json_string_value(text));
	}
}

static int print(json_t *status, bool as_json)
{
	if (as_json) {
		json_print(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_agent(status);
		print_ports(status);
		print_tables(status);
		print_rest(status);
	}
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}

int cmd_status(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, 'j'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct folders folders = FOLDERS_DEFAULT; /* nothing of the status is in that of logs */
	bool as_json = false, well;
	json_t *status;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'j':
			as_json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			if (!folder_option(&folders, option, optarg))
				break;
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		warnx("'%s' is no option", argv[optind]);
		fputs(usage, stderr);
		return 2;
	}
	if (status_gather(folders.run, folders.pins, &status, &well)) {
		warnx("out of memory");
		return 1;
	}
	code = print(status, as_json);
	json_decref(status);
	return code || !well ? 1 : 0;
}
