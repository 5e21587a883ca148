/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid reach: who reaches whom on what, the whole matrix. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "explain/ask.h"
#include "explain/reach.h"
#include "explain/session.h"

#define ITEMS_MAX 4096

static const char help[] =
	"usage: enid reach [--host ID] [--json | --csv] STATE...\n"
	"\n"
	"For each ordered pair of network interfaces of a host, and of them and the internet: the protocols and ports "
	"on\n"
	"which the first may open connections to the second, by the model of enid-explain(8), with primary addresses.\n"
	"'no answer': what answers does not come back to any port from 1024 to 65535; 'some answers': to some only.\n"
	"\n"
	"      --host ID  act for this host (default: this machine's name, else the only host of the state)\n"
	"      --json     a list of objects\n"
	"      --csv      a line for each pair, protocol and range\n"
	"\n"
	"Exit: 0 printed, 1 failed, 2 misuse.\n";

enum reach_form { FORM_TEXT, FORM_JSON, FORM_CSV };

struct reach_print {
	enum reach_form form;
	size_t nr; /* pairs so far */
	struct reach_item items[ITEMS_MAX];
};

static const char *const answers[] = {[REACH_NONE] = "none", [REACH_SOME] = "some", [REACH_ALL] = "all"};

static const char *name(const struct eni *eni)
{
	return eni ? eni->id : "internet";
}

static void print_text(const struct reach_pair *pair, const struct reach_item *items, size_t nr)
{
	static const char *const notes[] = {
		[REACH_NONE] = " (no answer)", [REACH_SOME] = " (some answers)", [REACH_ALL] = ""};
	char text[64];

	printf("%s -> %s%s:", name(pair->from), name(pair->to), pair->family == 6 ? " (IPv6)" : "");
	for (size_t i = 0; i < nr; i++)
		printf("%s %s%s", i ? "," : "", reach_words(items + i, pair->family, text), notes[items[i].answers]);
	putchar('\n');
}

/* Ids are printable, which quotes and backslashes are, too (E32). */
static void put_id(const char *id, char escape)
{
	putchar('"');
	for (; *id; id++) {
		if (*id == '"' || (*id == '\\' && escape == '\\'))
			putchar(escape);
		putchar(*id);
	}
	putchar('"');
}

static void print_json(const struct reach_pair *pair, const struct reach_item *items, size_t nr, bool first)
{
	fputs(first ? "{\"source\":" : ",\n{\"source\":", stdout);
	put_id(name(pair->from), '\\');
	fputs(",\"destination\":", stdout);
	put_id(name(pair->to), '\\');
	printf(",\"family\":%d,\"services\":[", pair->family);
	for (size_t i = 0; i < nr; i++)
		printf("%s{\"protocol\":%d,\"protocol_to\":%d,\"from\":%d,\"to\":%d,\"answers\":\"%s\"}", i ? "," : "",
		       items[i].protocol, items[i].protocol_to, items[i].from, items[i].to, answers[items[i].answers]);
	printf("]}");
}

static void put_csv(const char *id)
{
	if (strpbrk(id, "\","))
		put_id(id, '"');
	else
		fputs(id, stdout);
	putchar(',');
}

static void print_csv(const struct reach_pair *pair, const struct reach_item *items, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		put_csv(name(pair->from));
		put_csv(name(pair->to));
		printf("%d,%d,%d,%d,%d,%s\n", pair->family, items[i].protocol, items[i].protocol_to, items[i].from,
		       items[i].to, answers[items[i].answers]);
	}
}

static int print_pair(void *context, const struct reach_pair *pair)
{
	struct reach_print *print = context;
	size_t nr = reach_items(pair, print->items, ITEMS_MAX);

	if (nr > ITEMS_MAX)
		return -E2BIG;
	if (print->form == FORM_TEXT)
		print_text(pair, print->items, nr);
	else if (print->form == FORM_JSON)
		print_json(pair, print->items, nr, !print->nr);
	else
		print_csv(pair, print->items, nr);
	print->nr++;
	return ferror(stdout) ? -EIO : 0;
}

static int run(const struct explain_options *options, enum reach_form form)
{
	struct reach_print *print = calloc(1, sizeof(*print));
	struct explain_session session = {};
	char *why = NULL;
	int r = print ? session_open(options, &session, &why) : -ENOMEM;

	if (!r) {
		print->form = form;
		if (form == FORM_JSON)
			putchar('[');
		if (form == FORM_CSV)
			puts("source,destination,family,protocol,protocol_to,from,to,answers");
		r = reach(session.asked.state, session.asked.image, print_pair, print);
		if (form == FORM_JSON)
			puts("]");
		session_close(&session);
	}
	if (r)
		warnx("%s", why ? why : strerror(-r));
	free(why);
	free(print);
	return r ? 1 : 0;
}

int cmd_reach(int argc, char **argv)
{
	static const struct option long_options[] = {{"host", required_argument, NULL, 'H'},
						     {"json", no_argument, NULL, 'j'},
						     {"csv", no_argument, NULL, 'c'},
						     {"help", no_argument, NULL, 'h'},
						     {}};
	struct explain_options options = {.model_only = true};
	bool json = false, csv = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'H':
			options.host = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'c':
			csv = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs(help, stderr);
			return 2;
		}
	}
	options.states = (const char *const *)argv + optind;
	options.nr_states = (size_t)(argc - optind);
	if (!options.nr_states || (json && csv)) {
		warnx("%s", json && csv ? "either --json or --csv" : "which state?");
		fputs(help, stderr);
		return 2;
	}
	return run(&options, json ? FORM_JSON : csv ? FORM_CSV : FORM_TEXT);
}
