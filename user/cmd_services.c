/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid services dnsmasq|setup: what the host needs so that its own dnsmasq serves DHCP and DNS to the guests. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "services/services.h"

static int usage(FILE *out, int code)
{
	fprintf(out,
		"usage: enid services dnsmasq|setup [--host ID] [--vpc ID] STATE...\n\n"
		"  dnsmasq    a configuration for dnsmasq\n"
		"  setup      a script for sh: addresses, routes and a firewall table on this host\n"
		"  --host ID  act for this host (default: this machine's name, else the only host of the state)\n"
		"  --vpc ID   serve this VPC only, where guests of several have the same addresses\n\n"
		"Exit: 0 printed, 1 the state is invalid, or has no such host or VPC, or needs --vpc; 2 misuse.\n");
	return code;
}

static const struct vpc *find_vpc(const struct state *state, const char *id)
{
	for (size_t i = 0; i < state->nr_vpcs; i++)
		if (!strcmp(state->vpcs[i].id, id))
			return &state->vpcs[i];
	return NULL;
}

static int print(const struct state *state, const char *what, const char *host_id, const char *vpc_id)
{
	const struct host *host = state_host(state, host_id);
	const struct vpc *vpc = vpc_id ? find_vpc(state, vpc_id) : NULL;
	char *why = NULL;
	int r = 0;

	if (!host)
		why = state_host_missing(state, host_id);
	else if (vpc_id && !vpc)
		r = asprintf(&why, "the state has no VPC '%s'", vpc_id);
	else
		r = services_check(host, vpc, &why);
	if (why || r < 0) {
		warnx("%s", why ? why : strerror(ENOMEM));
		free(why);
		return 1;
	}
	if (!strcmp(what, "dnsmasq"))
		services_dnsmasq(stdout, state, host, vpc);
	else
		services_setup(stdout, host, vpc);
	return 0;
}

int cmd_services(int argc, char **argv)
{
	static const struct option options[] = {
		{"host", required_argument, NULL, 'H'},
		{"vpc", required_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *host = NULL, *vpc = NULL, *what;
	struct state_messages messages = {};
	struct state *state = NULL;
	int option, r;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'H')
			host = optarg;
		else if (option == 'v')
			vpc = optarg;
		else
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	what = optind < argc ? argv[optind++] : "";
	if (optind >= argc || (strcmp(what, "dnsmasq") != 0 && strcmp(what, "setup") != 0)) {
		if (!strcmp(what, "dnsmasq") || !strcmp(what, "setup"))
			warnx("which state?");
		else
			warnx("dnsmasq or setup%s%s?", *what ? ", not " : "", what);
		return usage(stderr, 2);
	}
	r = state_load((const char *const *)argv + optind, (size_t)(argc - optind), &state, &messages);
	for (size_t i = 0; i < messages.nr_errors; i++)
		warnx("%s", messages.errors[i].text);
	r = r < 0 ? 1 : print(state, what, host, vpc);
	state_messages_done(&messages);
	state_free(&state);
	return r;
}
