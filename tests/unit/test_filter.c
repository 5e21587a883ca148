/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* E28: what a process behind the agent's filter can do, and what not, whatever its user may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/filter.h"

static char *const nothing[] = {NULL};

/* Each: the call's result as the kernel gives it, errno set. */
static long try_execve(void)
{
	return execve("/bin/true", nothing, nothing);
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_fork(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	return child;
}

static long try_stream(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_local_stream(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

/* EINVAL without the filter: a thread shares the handlers of signals. */
static long try_namespace_of_a_thread(void)
{
	return syscall(SYS_clone, CLONE_THREAD | CLONE_NEWNET, 0, 0, 0, 0);
}

static long try_family(void)
{
	return socket(AF_RDS, SOCK_SEQPACKET, 0); /* known to no kernel of ours: another error if it is asked */
}

static long try_raw(void)
{
	return socket(AF_INET, SOCK_RAW, 1);
}

static long try_listen(void)
{
	return listen(socket(AF_UNIX, SOCK_STREAM, 0), 1);
}

static long try_unshare(void)
{
	return unshare(CLONE_FILES);
}

static long try_mount(void)
{
	return mount(NULL, NULL, NULL, 0, NULL);
}

static long try_keys(void)
{
	return syscall(SYS_keyctl, 0, -1, 0);
}

static long try_memory(void)
{
	return (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long try_memory_later(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static long try_other_memory(void)
{
	return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
}

static long try_kill(void)
{
	return kill(getpid(), 0);
}

static long try_core(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_module(void)
{
	return syscall(SYS_finit_module, -1, "", 0);
}

static long try_kexec(void)
{
	return syscall(SYS_kexec_load, 0, 0, NULL, 0xffffffff);
}

static long try_terminal(void)
{
	return syscall(SYS_ioctl, -1, 0x5412 /* TIOCSTI */, "x");
}

static const struct attempt {
	const char *what;
	long (*call)(void);
	bool root; /* anybody else is refused anyway */
} attempts[] = {
	{"another program", try_execve, false},
	{"tracing", try_ptrace, false},
	{"another process", try_fork, false},
	{"a stream of IP", try_stream, false},
	{"a local stream", try_local_stream, false},
	{"a thread in another namespace", try_namespace_of_a_thread, false},
	{"a socket of another family", try_family, false},
	{"a raw socket", try_raw, true},
	{"listening", try_listen, false},
	{"namespaces", try_unshare, false},
	{"mounts", try_mount, true},
	{"keys", try_keys, false},
	{"memory to write and run", try_memory, false},
	{"memory to run later", try_memory_later, false},
	{"the memory of processes", try_other_memory, false},
	{"signals", try_kill, false},
	{"core dumps", try_core, false},
	{"modules", try_module, true},
	{"another kernel", try_kexec, true},
	{"typing on a terminal", try_terminal, false},
};

/* ret: errno of the call, made by a process behind the filter, or without one */
static int result(long (*call)(void), bool filtered, bool may_listen)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (filtered && filter_enter(may_listen))
			_exit(255);
		errno = 0;
		_exit(call() == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void e28_what_an_agent_never_does_is_refused(void **data)
{
	(void)data;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		int open = result(attempts[i].call, false, false), closed = result(attempts[i].call, true, false);

		if (closed != EPERM || (open == EPERM && (!attempts[i].root || !geteuid())))
			fail_msg("%s: errno %d without the filter, %d behind it", attempts[i].what, open, closed);
	}
}

static void *say_so(void *data)
{
	*(volatile int *)data = 1;
	return data;
}

static long do_an_agents_work(void)
{
	static char path[] = "/tmp/enid-filter-XXXXXX";
	volatile int said = 0;
	pthread_t thread;
	int fd = mkstemp(path);
	bool works = fd >= 0 && write(fd, "x", 1) == 1 && !fsync(fd) && !rename(path, path) && !unlink(path);

	works = works && !pthread_create(&thread, NULL, say_so, (void *)&said) && !pthread_join(thread, NULL) && said;
	works = works && socket(AF_NETLINK, SOCK_RAW, 0) >= 0 && socket(AF_INET6, SOCK_DGRAM, 0) >= 0;
	works = works && socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0;
	works = works && eventfd(0, EFD_CLOEXEC) >= 0 && malloc(8 << 20);
	return works ? 0 : -1;
}

static long serve_metrics(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? -1 : listen(fd, 1);
}

static long give_up(void)
{
	abort();
}

static void e28_what_an_agent_does_works(void **data)
{
	pid_t child;
	int status;

	(void)data;
	assert_int_equal(result(do_an_agents_work, true, false), 0);
	assert_int_equal(result(serve_metrics, true, true), 0);
	child = fork();
	if (!child) { /* a fault still ends it, by its own signal */
		(void)filter_enter(false);
		(void)give_up();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e28_what_an_agent_never_does_is_refused),
		cmocka_unit_test(e28_what_an_agent_does_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
