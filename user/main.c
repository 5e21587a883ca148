/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid: one binary, one file per command. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

static const struct command {
	const char *name, *full_name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
#define X(name, summary) {#name, "enid " #name, cmd_##name, summary},
	ENID_COMMANDS(X)
#undef X
};

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: enid COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\nenid COMMAND --help tells more; enid --version tells which build this is\n");
	return code;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	warnx("unknown command '%s'", name);
	return NULL;
}

/* Results that did not get out are not done. Why they did not, only a write that failed just now can tell. */
static int finish(int code)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	warnx("cannot write to standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
	return code ? code : 1;
}

/* A standard stream that is closed is made one that fails: or what is opened first would be it. */
static void keep_streams_apart(void)
{
	for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
		if (fcntl(stream, F_GETFD) < 0)
			(void)open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run(const struct command *command, int argc, char **argv)
{
	program_invocation_short_name = argv[0] = (char *)command->full_name;
	return finish(command->run(argc, argv));
}

int main(int argc, char **argv)
{
	const struct command *command;
	bool help;

	keep_streams_apart();
	if (argc < 2)
		return usage(stderr, 2);
	if (is_one_of(argv[1], "version", "--version", "-V"))
		return finish(puts("enid " ENID_VERSION) < 0);
	help = is_one_of(argv[1], "help", "--help", "-h");
	if (help && argc == 2)
		return usage(stdout, 0);
	command = find_command(argv[help ? 2 : 1]);
	if (!command)
		return usage(stderr, 2);
	return help ? run(command, 2, (char *[]){NULL, (char *)"--help", NULL}) : run(command, argc - 1, argv + 1);
}
