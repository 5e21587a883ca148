/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* LD_PRELOAD: one system call of the agent fails, waits or is its last, chosen by what it is about, not by its number.
 *
 * ENID_FAULT, rules with ';' between them:
 *     bpf COMMAND WHAT FIRST LAST ERRNO     the FIRST to LAST of these fail. WHAT: end of the path that is opened, or -
 *     bpf COMMAND WHAT FIRST LAST sleep MS
 *     map NAME FIRST LAST sleep MS          these updates of an element of this map wait, or fail
 *     map NAME FIRST LAST fail ERRNO
 *     membarrier|inotify FIRST LAST sleep MS
 *     membarrier|inotify FIRST LAST kill 0
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX 8

static struct rule {
	char call[16], what[64], act[8];
	unsigned int command, first, last, number;
	unsigned int seen;
} rules[RULES_MAX];
static int nr_rules = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void read_rules(void)
{
	char *text = strdup(getenv("ENID_FAULT") ? getenv("ENID_FAULT") : ""), *rest = text, *word;

	nr_rules = 0;
	while ((word = strsep(&rest, ";")) && nr_rules < RULES_MAX) {
		struct rule *r = &rules[nr_rules];

		if (sscanf(word, " bpf %u %63s %u %u %u", &r->command, r->what, &r->first, &r->last, &r->number) == 5 ||
		    sscanf(word, " bpf %u %63s %u %u %7s %u", &r->command, r->what, &r->first, &r->last, r->act,
			   &r->number) == 6)
			strcpy(r->call, "bpf");
		else if (sscanf(word, " map %63s %u %u %7s %u", r->what, &r->first, &r->last, r->act, &r->number) == 5)
			strcpy(r->call, "map");
		else if (sscanf(word, " %15s %u %u %7s %u", r->call, &r->first, &r->last, r->act, &r->number) != 5)
			continue;
		nr_rules++;
	}
	free(text);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && !strcmp(text + length - wanted, end);
}

static bool map_is(int fd, const char *name)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)&info}};
	long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");

	return !real(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) && !strcmp(info.name, name);
}

static bool meant(const struct rule *rule, const char *call, unsigned int command, const union bpf_attr *attr)
{
	if (strcmp(rule->call, call) != 0)
		return false;
	if (!attr)
		return true;
	if (!strcmp(call, "map"))
		return map_is((int)attr->map_fd, rule->what);
	if (rule->command != command)
		return false;
	return !strcmp(rule->what, "-") || ends_with((const char *)(uintptr_t)attr->pathname, rule->what);
}

/* ret: errno to fail with | 0 */
static int strike(const char *call, unsigned int command, const union bpf_attr *attr)
{
	struct rule hit = {};

	pthread_mutex_lock(&lock);
	if (nr_rules < 0)
		read_rules();
	for (int i = 0; i < nr_rules; i++) {
		if (!meant(&rules[i], call, command, attr))
			continue;
		rules[i].seen++;
		if (rules[i].seen >= rules[i].first && rules[i].seen <= rules[i].last)
			hit = rules[i];
	}
	pthread_mutex_unlock(&lock);
	if (!strcmp(hit.act, "kill"))
		(void)raise(SIGKILL);
	if (!strcmp(hit.act, "sleep")) {
		fprintf(stderr, "fault: waiting\n");
		(void)usleep(hit.number * 1000);
	}
	return *hit.act && strcmp(hit.act, "fail") != 0 ? 0 : (int)hit.number;
}

long syscall(long number, ...) /* NOLINT(readability-inconsistent-declaration-parameter-name): the C library's */
{
	long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list args;
	int error = 0;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_bpf && a[0] == BPF_MAP_UPDATE_ELEM)
		error = strike("map", 0, (const union bpf_attr *)a[1]);
	if (number == SYS_bpf && !error)
		error = strike("bpf", (unsigned int)a[0], (const union bpf_attr *)a[1]);
	else if (number == SYS_membarrier)
		error = strike("membarrier", 0, NULL);
	if (error) {
		errno = error;
		return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int inotify_init1(int flags)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "inotify_init1");

	(void)strike("inotify", 0, NULL);
	return real(flags);
}
