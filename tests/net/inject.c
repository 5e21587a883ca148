/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Have a running process make system calls that it would not: inject PID NUMBER [ARGUMENT]... [-- NUMBER ...]...
 *
 * Each is made by the process itself, so its own filter and privileges decide, in place of the call that it waits in.
 * On stdout a line for each: what the kernel answered. Arguments are numbers; negative ones will do. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifdef __x86_64__
#define ARGUMENTS    6
#define CALL_BYTES   2      /* of the instruction `syscall` */
#define CALL_CODE    0x050f /* ... in memory */
#define NO_CALL_LEFT (-1ul) /* orig_rax: nothing to make again */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void wait_for_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) {
		fprintf(stderr, "inject: process %d does not stop\n", (int)pid);
		exit(1);
	}
}

static long make_call(pid_t pid, const struct user_regs_struct *waiting, const unsigned long *words)
{
	struct user_regs_struct regs = *waiting;

	regs.rip -= CALL_BYTES;
	regs.orig_rax = NO_CALL_LEFT;
	regs.rax = words[0];
	regs.rdi = words[1];
	regs.rsi = words[2];
	regs.rdx = words[3];
	regs.r10 = words[4];
	regs.r8 = words[5];
	regs.r9 = words[6];
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) || ptrace(PTRACE_SINGLESTEP, pid, 0, 0))
		fail("inject: step");
	wait_for_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, 0, &regs))
		fail("inject: registers");
	return (long)regs.rax;
}

int main(int argc, char **argv)
{
	struct user_regs_struct waiting;
	pid_t pid = argc > 2 ? atoi(argv[1]) : 0;

	if (pid <= 0)
		return 2;
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) || ptrace(PTRACE_INTERRUPT, pid, 0, 0))
		fail("inject: attach");
	wait_for_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, 0, &waiting))
		fail("inject: registers");
	if ((ptrace(PTRACE_PEEKTEXT, pid, waiting.rip - CALL_BYTES, 0) & 0xffff) != CALL_CODE) {
		fprintf(stderr, "inject: process %d is not waiting in a system call\n", (int)pid);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		unsigned long words[1 + ARGUMENTS] = {};

		for (int word = 0; i < argc && strcmp(argv[i], "--") != 0; i++, word++)
			if (word <= ARGUMENTS)
				words[word] = (unsigned long)strtoll(argv[i], NULL, 0);
		printf("%ld\n", make_call(pid, &waiting, words));
	}
	if (ptrace(PTRACE_SETREGS, pid, 0, &waiting) || ptrace(PTRACE_DETACH, pid, 0, 0))
		fail("inject: leave");
	return 0;
}
#else
int main(void)
{
	fprintf(stderr, "inject: for x86-64 only\n");
	return 77;
}
#endif
