/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program's last call is its n-th, or one of its bpf() calls fails: nth REPORT KIND N WHAT PROGRAM ARGUMENT...
 *
 * KIND: any, effect (calls that change something outside of the process) or bpf. N: which of that kind, over all
 * threads in the order they are made, since the mark; 0 = none, only count. WHAT: KILL, which comes instead of the
 * call, or the errno that it returns undone. REPORT is shared memory, `struct report`; whoever runs us sets `marked`.
 * strace counts each thread by itself and from its beginning, so half of what was drawn from its counts was not met in
 * the next run. The program dies with us (an agent under strace goes on when strace is killed), and SIGTERM is handed
 * on to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64
#define OPTIONS     (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)
#define LENGTH(x)   (sizeof(x) / sizeof(*(x)))

enum kind { ANY, EFFECT, BPF, KINDS };

struct report {
	uint32_t marked, met;
	uint32_t seen[KINDS];
	uint32_t call; /* number of the one that was met */
};

static struct report *report;
static pid_t child;
static struct {
	enum kind kind;
	uint32_t n;
	int error; /* 0 = death */
} wanted;

/* Where in a call is each thread? */
static struct thread {
	pid_t id;
	bool inside, undone;
} threads[THREADS_MAX];

static const long effects[] = {
	SYS_bpf,       SYS_write,     SYS_pwrite64, SYS_writev,     SYS_sendto,  SYS_sendmsg,
	SYS_renameat,  SYS_renameat2, SYS_close,    SYS_unlinkat,   SYS_mkdirat, SYS_ftruncate,
	SYS_fchownat,  SYS_fchown,    SYS_ioctl,    SYS_munmap,     SYS_flock,   SYS_symlinkat,
	SYS_fallocate, SYS_fsync,     SYS_clone,    SYS_membarrier,
#ifdef SYS_open
	SYS_open,      SYS_rename,    SYS_unlink,   SYS_mkdir,      SYS_rmdir,   SYS_chmod,
#endif
};

static bool is_effect(long call)
{
	for (size_t i = 0; i < LENGTH(effects); i++)
		if (effects[i] == call)
			return true;
	return false;
}

static struct thread *thread_of(pid_t id)
{
	struct thread *unused = NULL;

	for (size_t i = 0; i < LENGTH(threads); i++) {
		if (threads[i].id == id)
			return &threads[i];
		if (!threads[i].id && !unused)
			unused = &threads[i];
	}
	if (!unused) {
		fprintf(stderr, "nth: too many threads\n");
		exit(2);
	}
	*unused = (struct thread){.id = id};
	return unused;
}

/* ret: is it this call? */
static bool count(long call)
{
	bool is[KINDS] = {[ANY] = true, [EFFECT] = is_effect(call), [BPF] = call == SYS_bpf};

	if (!__atomic_load_n(&report->marked, __ATOMIC_ACQUIRE) || call == SYS_exit || call == SYS_exit_group)
		return false;
	for (int kind = 0; kind < KINDS; kind++)
		report->seen[kind] += is[kind];
	return is[wanted.kind] && wanted.n && report->seen[wanted.kind] == wanted.n && !report->met;
}

/* The call is to fail: another one is made in its place that does nothing, and that every filter allows. */
static void begin_call(struct thread *thread)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, thread->id, NULL, &registers) || !count((long)registers.orig_rax))
		return;
	report->call = (uint32_t)registers.orig_rax;
	__atomic_store_n(&report->met, 1, __ATOMIC_RELEASE);
	if (!wanted.error) {
		(void)kill(child, SIGKILL);
		return;
	}
	registers.orig_rax = SYS_getpid;
	thread->undone = !ptrace(PTRACE_SETREGS, thread->id, NULL, &registers);
}

static void end_call(struct thread *thread)
{
	struct user_regs_struct registers;

	if (!thread->undone || ptrace(PTRACE_GETREGS, thread->id, NULL, &registers))
		return;
	registers.rax = (unsigned long)-(long)wanted.error;
	(void)ptrace(PTRACE_SETREGS, thread->id, NULL, &registers);
	thread->undone = false;
}

/* ret: the signal to hand on */
static int on_stop(pid_t id, int status)
{
	struct thread *thread = thread_of(id);

	if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
		thread->inside = !thread->inside;
		if (thread->inside)
			begin_call(thread);
		else
			end_call(thread);
		return 0;
	}
	if (status >> 16)
		return 0; /* of ptrace: a new thread, a new program, the first stop */
	return WSTOPSIG(status);
}

static void on_term(int number)
{
	(void)kill(child, number);
}

static int follow(void)
{
	int status = 0;
	pid_t id;

	while ((id = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (id <= 0)
			continue;
		if (!WIFSTOPPED(status)) {
			if (id == child)
				return status;
			thread_of(id)->id = 0;
			continue;
		}
		int number = on_stop(id, status);
		bool done = report->met && !thread_of(id)->undone; /* from here on at full speed */

		(void)ptrace(done ? PTRACE_CONT : PTRACE_SYSCALL, id, NULL, (long)number);
	}
	return status;
}

static bool read_wanted(char **words)
{
	static const char *const kinds[] = {[ANY] = "any", [EFFECT] = "effect", [BPF] = "bpf"};
	int kind = 0, fd = open(words[1], O_RDWR | O_CLOEXEC);

	while (kind < KINDS && strcmp(words[2], kinds[kind]) != 0)
		kind++;
	wanted.kind = (enum kind)kind;
	wanted.n = (uint32_t)strtoul(words[3], NULL, 10);
	wanted.error = strcmp(words[4], "KILL") != 0 ? atoi(words[4]) : 0;
	report = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return report != MAP_FAILED && kind < KINDS;
}

int main(int argc, char **argv)
{
	const struct sigaction term = {.sa_handler = on_term};
	int status;

	if (argc < 6 || !read_wanted(argv))
		return 2;
	child = fork();
	if (child < 0)
		return 2;
	if (!child) {
		(void)raise(SIGSTOP);
		execv(argv[5], argv + 5);
		_exit(127);
	}
	if (waitpid(child, &status, WUNTRACED) != child || ptrace(PTRACE_SEIZE, child, NULL, (long)OPTIONS) ||
	    kill(child, SIGCONT))
		return 2;
	(void)sigaction(SIGTERM, &term, NULL);
	(void)sigaction(SIGINT, &term, NULL);
	status = follow();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
