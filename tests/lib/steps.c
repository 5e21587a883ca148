/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/steps.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

static void keep(struct steps *steps)
{
	uint8_t *at, *last = steps->nr ? steps->shots + (steps->nr - 1) * steps->size : NULL;
	size_t done = 0;
	bool changed = !last;

	for (int i = 0; i < STEPS_REGIONS && steps->region[i].size && !changed; i++) {
		changed = memcmp(last + done, steps->region[i].at, steps->region[i].size) != 0;
		done += steps->region[i].size;
	}
	if (!changed)
		return;
	steps->shots = realloc(steps->shots, (steps->nr + 1) * steps->size);
	need(steps->shots, "realloc");
	at = steps->shots + steps->nr++ * steps->size;
	for (int i = 0; i < STEPS_REGIONS && steps->region[i].size; i++) {
		memcpy(at, steps->region[i].at, steps->region[i].size);
		at += steps->region[i].size;
	}
}

void steps_take(struct steps *steps, void (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t child;

	steps->nr = steps->size = steps->instructions = 0;
	for (int i = 0; i < STEPS_REGIONS; i++)
		steps->size += steps->region[i].size;
	keep(steps);
	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		fn(arg);
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child, "waitpid");
	while (WIFSTOPPED(status)) {
		need(!ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), "ptrace");
		need(waitpid(child, &status, 0) == child, "waitpid");
		steps->instructions++;
		keep(steps);
	}
	need(WIFEXITED(status) && !WEXITSTATUS(status), "the child failed");
}

void steps_restore(const struct steps *steps, size_t shot)
{
	const uint8_t *at = steps->shots + shot * steps->size;

	for (int i = 0; i < STEPS_REGIONS && steps->region[i].size; i++) {
		memcpy(steps->region[i].at, at, steps->region[i].size);
		at += steps->region[i].size;
	}
}

void steps_done(struct steps *steps)
{
	free(steps->shots);
	steps->shots = NULL;
}
