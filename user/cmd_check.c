/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid check STATE... [--lint [--strict]] [--json]: what the state holds, its warnings, and every error at once. */
#include <err.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/json.h"
#include "base/text.h"
#include "commands.h"
#include "lint/lint.h"
#include "state/extra.h"
#include "state/state.h"

#define COUNTS(X) \
	X("VPCs", nr_vpcs) \
	X("subnets", nr_subnets) \
	X("security groups", nr_groups) \
	X("network ACLs", nr_nacls) \
	X("route tables", nr_tables) \
	X("network interfaces", nr_enis) \
	X("gateways", nr_gateways) \
	X("prefix lists", nr_prefix_lists) \
	X("flow logs", nr_flow_logs) \
	X("hosts", nr_hosts) \
	X("NAT gateways", extra->nr_nat_gateways) \
	X("peering connections", extra->nr_peerings) \
	X("endpoints", extra->nr_endpoints) \
	X("transit gateways", extra->nr_tgws) \
	X("transit gateway attachments", extra->nr_tgw_attachments) \
	X("transit gateway route tables", extra->nr_tgw_tables) \
	X("VPN connections", extra->nr_vpn_connections) \
	X("mirror sessions", extra->nr_mirror_sessions) \
	X("DHCP option sets", extra->nr_dhcp_options) \
	X("elastic IP addresses", extra->nr_elastic_ips)

static size_t count_rules(const struct state *state)
{
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_groups; i++) {
		const struct security_group *group = &state->groups[i];

		for (size_t j = 0; j < group->nr_in; j++)
			nr += group->in[j].nr_peers;
		for (size_t j = 0; j < group->nr_out; j++)
			nr += group->out[j].nr_peers;
	}
	return nr;
}

static size_t count_routes(const struct state *state)
{
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_tables; i++)
		nr += state->tables[i].nr_routes;
	return nr;
}

struct findings {
	json_t *list; /* NULL = print them */
	size_t nr;
};

static void take_finding(void *context, enum lint_id id, const char *object, const char *text)
{
	struct findings *findings = context;

	findings->nr++;
	if (findings->list)
		json_array_append_new(findings->list, json_pack("{s:s, s:s, s:o}", "id", lint_name(id), "object",
								object, "text", text_json(text)));
	else
		printf("%s: %s: %s\n", lint_name(id), object, text);
}

static void print_text(const struct state *state, const struct state_messages *messages)
{
	for (size_t i = 0; i < messages->nr_errors; i++)
		fprintf(stderr, "error: %s\n", messages->errors[i].text);
	for (size_t i = 0; i < messages->nr_warnings; i++)
		fprintf(stderr, "warning: %s\n", messages->warnings[i].text);
	if (state) {
#define X(name, member) \
	if (state->member) \
		printf("%8zu %s\n", state->member, name);
		COUNTS(X)
#undef X
		printf("%8zu security group rules\n%8zu routes\n", count_rules(state), count_routes(state));
	}
	printf("%s: %zu error%s, %zu warning%s\n", state ? "valid" : "invalid", messages->nr_errors,
	       plural(messages->nr_errors), messages->nr_warnings, plural(messages->nr_warnings));
}

static json_t *texts(const struct state_message *messages, size_t nr)
{
	json_t *list = json_array();

	for (size_t i = 0; i < nr; i++)
		json_array_append_new(list, text_json(messages[i].text));
	return list;
}

static int print_json(const struct state *state, const struct state_messages *messages, json_t *lint)
{
	json_t *holds = json_object();
	json_t *result;
	int r;

	if (state) {
#define X(name, member) json_object_set_new(holds, name, json_integer((json_int_t)state->member));
		COUNTS(X)
#undef X
		json_object_set_new(holds, "security group rules", json_integer((json_int_t)count_rules(state)));
		json_object_set_new(holds, "routes", json_integer((json_int_t)count_routes(state)));
	}
	result = json_pack("{s:b, s:o, s:o, s:o}", "valid", state != NULL, "holds", holds, "warnings",
			   texts(messages->warnings, messages->nr_warnings), "errors",
			   texts(messages->errors, messages->nr_errors));
	if (lint)
		json_object_set(result, "lint", lint);
	r = result ? json_print(result, stdout, JSON_INDENT(2)) : -1;
	putchar('\n');
	json_decref(result);
	return r;
}

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid check STATE... [--lint [--strict]] [--json]\n\n"
		     "Parse and validate desired state: JSON files, or folders of *.json files, merged list by list.\n"
		     "Prints what it holds, all warnings and all errors.\n\n"
		     "      --lint    also what is valid and will hardly do what was meant, by name\n"
		     "      --strict  that is a failure, too\n"
		     "      --json    one object\n\n"
		     "Exit: 0 valid, 1 invalid (or found by --lint --strict), 2 misuse.\n");
	return code;
}

/* ret: exit code */
static int report(const struct state *state, const struct state_messages *messages, bool lint, bool strict, bool json)
{
	struct findings findings = {.list = json && lint && state ? json_array() : NULL};
	bool failed = false;

	if (!json)
		print_text(state, messages);
	if (lint && state)
		lint_state(state, take_finding, &findings);
	if (lint && state && !json)
		printf("lint: %zu finding%s\n", findings.nr, plural(findings.nr));
	if (json && print_json(state, messages, findings.list))
		failed = true;
	json_decref(findings.list);
	return failed || (strict && findings.nr) ? 1 : 0;
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"lint", no_argument, NULL, 'l'},
						{"strict", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{}};
	struct state_messages messages;
	struct state *state = NULL;
	bool json = false, lint = false, strict = false;
	int option, r, code = 1;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout, 0);
		if (option != 'j' && option != 'l' && option != 's')
			return usage(stderr, 2);
		json |= option == 'j';
		lint |= option == 'l';
		strict |= option == 's';
	}
	if (optind == argc || (strict && !lint)) {
		warnx("%s", optind == argc ? "which state?" : "--strict needs --lint");
		return usage(stderr, 2);
	}
	r = state_load((const char *const *)argv + optind, (size_t)(argc - optind), &state, &messages);
	if (r && !messages.nr_errors)
		warnx("cannot load the state: %s", strerror(-r));
	else
		code = report(state, &messages, lint, strict, json);
	state_free(&state);
	state_messages_done(&messages);
	return r ? 1 : code;
}
