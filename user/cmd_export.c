/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid export nft: the policy of a host as a ruleset of another filter. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "export/export.h"

static const char *const forms[] = {[EXPORT_LINEAR] = "linear", [EXPORT_SETS] = "sets", [EXPORT_CONCAT] = "concat"};

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid export nft [--host ID] [--form linear|sets|concat] STATE...\n\n"
		     "A ruleset for `nft -f`: what may pass between the router-mode ports of a host.\n\n"
		     "  --host ID  act for this host (default: this machine's name, else the only host of the state)\n"
		     "  --form     how security groups are written: a rule each, address sets (default), sets of\n"
		     "             address and port; the verdicts are the same\n\n"
		     "Exit: 0 printed, 1 the state is invalid or has no such host, 2 misuse.\n");
	return code;
}

static int find_form(const char *name)
{
	for (int i = 0; i < (int)(sizeof(forms) / sizeof(*forms)); i++)
		if (!strcmp(forms[i], name))
			return i;
	return -1;
}

/* A device's name goes into a quoted string, in which a star at the end would mean "and what begins so". */
static const char *unfit_device(const struct host *host)
{
	for (size_t i = 0; i < host->nr_ports; i++)
		if (strpbrk(host->ports[i].device, "\"\\*"))
			return host->ports[i].device;
	return NULL;
}

static int print(const struct state *state, const char *host_id, enum export_form form)
{
	const struct host *host = state_host(state, host_id);
	const char *unfit = host ? unfit_device(host) : NULL;
	char *why = NULL;
	int r = 0;

	if (!host)
		why = state_host_missing(state, host_id);
	else if (unfit)
		r = asprintf(&why, "nftables has no way to name the device '%s'", unfit);
	else
		r = export_nft(stdout, state, host, form);
	if (!why && r >= 0)
		return 0;
	warnx("%s", why ? why : strerror(ENOMEM));
	free(why);
	return 1;
}

int cmd_export(int argc, char **argv)
{
	static const struct option options[] = {
		{"host", required_argument, NULL, 'H'},
		{"form", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct state_messages messages = {};
	struct state *state = NULL;
	int option, r, form = EXPORT_SETS;
	const char *host = NULL;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'H')
			host = optarg;
		else if (option == 'f')
			form = find_form(optarg);
		else
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	if (form < 0 || optind + 1 >= argc || strcmp(argv[optind], "nft") != 0) {
		if (form < 0)
			warnx("--form is linear, sets or concat");
		else if (optind < argc && strcmp(argv[optind], "nft") != 0)
			warnx("'nft' is what there is, not '%s'", argv[optind]);
		else
			warnx("which %s?", optind < argc ? "state" : "form of rules, nft");
		return usage(stderr, 2);
	}
	r = state_load((const char *const *)argv + optind + 1, (size_t)(argc - optind - 1), &state, &messages);
	for (size_t i = 0; i < messages.nr_errors; i++)
		warnx("%s", messages.errors[i].text);
	r = r < 0 ? 1 : print(state, host, (enum export_form)form);
	state_messages_done(&messages);
	state_free(&state);
	return r;
}
