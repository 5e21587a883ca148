/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid explain: one packet's way through a desired state, from the static model and from the kernel's programs. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/base.h"
#include "commands.h"
#include "explain/ask.h"
#include "explain/report.h"
#include "explain/session.h"

#define STATES_MAX 64

static const char help[] =
	"usage: enid explain --from X --to Y [--port N] [OPTION...] [STATE...]\n"
	"\n"
	"Walk one packet through a desired state, and its answer back: every decision, the rule that made it, and "
	"near\n"
	"misses. X and Y: network interface id, name tag, instance id, address, or 'internet'. The way comes from a "
	"model\n"
	"in user space and from the kernel's programs in a private copy; if they disagree, that is an error. Without "
	"STATE\n"
	"it is the state in force on this host, and the tables that the kernel has.\n"
	"\n"
	"      --protocol P     tcp, udp, icmp, or a number (default: tcp)\n"
	"      --port N         destination port\n"
	"      --source-port N  (default: 49152)\n"
	"      --icmp-type T[:CODE]  (default: an echo request)\n"
	"      --family 4|6     which addresses, where both ends have both (default: 4)\n"
	"      --vpc ID         where the addresses and names are looked up\n"
	"      --via ID         the gateway by which somebody outside sends (default: the internet gateway)\n"
	"      --host ID        act for this host (default: this machine's name, else the only host of the state)\n"
	"      --questions FILE one JSON object with these words as keys on each line, an answer on each; - is stdin\n"
	"      --static         the model alone: needs no root\n"
	"      --hook tc|xdp    the program that is asked (default: tc)\n"
	"      --run-dir D      (default: " DEFAULT_RUN_DIR ")\n"
	"      --pin-dir D      (default: " DEFAULT_PIN_DIR ")\n"
	"      --json           in the form of aws ec2 describe-network-insights-analyses\n"
	"\n"
	"Exit: 0 there is a way there and back; 1 there is none, or it failed; 2 misuse; 3 model and programs "
	"disagree.\n";

static const struct option long_options[] = {
	{"from", required_argument, NULL, 'f'},
	{"to", required_argument, NULL, 't'},
	{"protocol", required_argument, NULL, 'p'},
	{"port", required_argument, NULL, 'd'},
	{"source-port", required_argument, NULL, 's'},
	{"icmp-type", required_argument, NULL, 'i'},
	{"family", required_argument, NULL, '6'},
	{"vpc", required_argument, NULL, 'v'},
	{"via", required_argument, NULL, 'V'},
	{"host", required_argument, NULL, 'H'},
	{"questions", required_argument, NULL, 'q'},
	{"static", no_argument, NULL, 'S'},
	{"hook", required_argument, NULL, 'k'},
	{"run-dir", required_argument, NULL, 'r'},
	{"pin-dir", required_argument, NULL, 'P'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{},
};

struct words {
	const char *from, *to, *protocol, *port, *source_port, *icmp_type, *family, *vpc, *via, *questions;
	struct explain_options options;
	bool json;
};

static int misuse(const char *problem, const char *word)
{
	warnx("%s%s%s%s", problem, word ? " '" : "", word ? word : "", word ? "'" : "");
	fprintf(stderr, "try: enid explain --help\n");
	return 2;
}

static int read_question(const struct words *words, struct question *ret)
{
	char *why = NULL;
	int r = question_read(words->from, words->to, words->protocol, words->port, words->source_port,
			      words->icmp_type, words->family, ret, &why);

	ret->vpc = words->vpc;
	ret->via = words->via;
	if (r)
		r = misuse(why ? why : "no memory", NULL);
	free(why);
	return r;
}

static int explain_one(struct explain_session *session, const struct words *words, const struct question *question)
{
	struct answer answer;
	char *why = NULL;
	int r = ask(&session->asked, question, &answer, &why);

	if (r) {
		warnx("%s", why ? why : strerror(-r));
		free(why);
		return r == -EINVAL ? 2 : 1;
	}
	if (words->json)
		r = report_json(&session->asked, &answer, stdout, JSON_INDENT(2));
	else
		report_text(&session->asked, &answer, stdout);
	if (answer.there.differs[0] || answer.back.differs[0]) {
		warnx("disagreement on the way %s: %s", answer.there.differs[0] ? "there" : "back",
		      answer.there.differs[0] ? answer.there.differs : answer.back.differs);
		return 3;
	}
	return r ? 1 : answer.found ? 0 : 1;
}

static int explain(const struct words *words, const struct question *question)
{
	struct explain_session session;
	char *why = NULL;
	int r = session_open(&words->options, &session, &why);

	if (r) {
		warnx("%s", why ? why : strerror(-r));
		free(why);
		return 1;
	}
	r = words->questions ? questions_answer(&session, words->questions, stdout)
			     : explain_one(&session, words, question);
	session_close(&session);
	return r;
}

int cmd_explain(int argc, char **argv)
{
	struct words words = {.protocol = "tcp", .options = {.run_dir = DEFAULT_RUN_DIR, .pin_dir = DEFAULT_PIN_DIR}};
	struct question question;
	int option, r;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'f':
			words.from = optarg;
			break;
		case 't':
			words.to = optarg;
			break;
		case 'p':
			words.protocol = optarg;
			break;
		case 'd':
			words.port = optarg;
			break;
		case 's':
			words.source_port = optarg;
			break;
		case 'i':
			words.icmp_type = optarg;
			break;
		case '6':
			words.family = optarg;
			break;
		case 'v':
			words.vpc = optarg;
			break;
		case 'V':
			words.via = optarg;
			break;
		case 'H':
			words.options.host = optarg;
			break;
		case 'q':
			words.questions = optarg;
			break;
		case 'S':
			words.options.model_only = true;
			break;
		case 'k':
			words.options.xdp = !strcmp(optarg, "xdp");
			if (!words.options.xdp && strcmp(optarg, "tc") != 0)
				return misuse("--hook is tc or xdp, not", optarg);
			break;
		case 'r':
			words.options.run_dir = optarg;
			break;
		case 'P':
			words.options.pin_dir = optarg;
			break;
		case 'j':
			words.json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return misuse("unknown option or missing value", NULL);
		}
	}
	words.options.states = (const char *const *)argv + optind;
	words.options.nr_states = (size_t)(argc - optind);
	if (!words.questions && (!words.from || !words.to))
		return misuse(words.from ? "--to is missing" : "--from is missing", NULL);
	r = words.questions ? 0 : read_question(&words, &question);
	return r ? r : explain(&words, &question);
}
