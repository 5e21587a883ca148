/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/log.h"
#include "base/base.h"

/* Elsewhere every call would be refused, and the first test fail: its number is to be added. */
#ifdef __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE AUDIT_ARCH_X86_64
#endif

#define REFUSED     (SECCOMP_RET_ERRNO | EPERM)
#define NOT_KNOWN   (SECCOMP_RET_ERRNO | ENOSYS)
#define SOCKET_TYPE 0xfu /* the rest are flags */
#define PROGRAM_MAX 512
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define ARGUMENT(which) offsetof(struct seccomp_data, args[which]) /* the lower half, on a little-endian machine */

/* From a trace of the agent under all tests, and what the C library may use in place of it. On some machines calls have
 * newer forms only. */
static const int allowed[] = {
	/* files */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_openat,
	SYS_close,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_statfs,
	SYS_fstatfs,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_readlinkat,
	SYS_getdents64,
	SYS_lseek,
	SYS_mkdirat,
	SYS_renameat,
	SYS_renameat2,
	SYS_unlinkat,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_symlinkat,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_fsync,
	SYS_fdatasync,
	SYS_flock,
	SYS_fcntl,
	SYS_umask,
	SYS_getcwd,
	SYS_fadvise64,
	SYS_dup,
	SYS_dup3,
	SYS_pipe2,
	SYS_sendfile,
	/* events and time */
	SYS_eventfd2,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_ppoll,
	SYS_pselect6,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_timerfd_gettime,
	SYS_signalfd4,
	SYS_inotify_init1,
	SYS_inotify_add_watch,
	SYS_inotify_rm_watch,
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	/* memory and threads */
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_futex,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_membarrier,
	SYS_getpriority,
	SYS_setpriority,
	SYS_exit,
	SYS_exit_group,
	SYS_restart_syscall,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_rt_sigtimedwait,
	SYS_sigaltstack,
	/* who and where we are */
	SYS_getpid,
	SYS_getppid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_capget,
	SYS_uname,
	SYS_sysinfo,
	SYS_getrandom,
	SYS_prlimit64,
	SYS_getrusage,
	/* the kernel's side */
	SYS_bpf,
	SYS_perf_event_open,
	/* sockets: which ones is decided when they are made */
	SYS_connect,
	SYS_bind,
	SYS_sendto,
	SYS_recvfrom,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_sendmmsg,
	SYS_recvmmsg,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_shutdown,
#ifdef SYS_open /* the older forms */
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_readlink,
	SYS_mkdir,
	SYS_rmdir,
	SYS_rename,
	SYS_unlink,
	SYS_symlink,
	SYS_chmod,
	SYS_dup2,
	SYS_pipe,
	SYS_epoll_wait,
	SYS_poll,
	SYS_select,
	SYS_time,
	SYS_getrlimit,
#endif
};

/* Of sockets that listen. */
static const int listening[] = {SYS_listen, SYS_accept, SYS_accept4};

/* Devices' offloads and names, rings of events, what the C library asks of a file that may be a terminal. */
static const uint32_t requests[] = {SIOCETHTOOL, SIOCGIFINDEX, SIOCGIFNAME,           FIONREAD,
				    FIONBIO,     TCGETS,       PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE};

/* Names of threads and of memory, for whoever looks at us. */
static const uint32_t settings[] = {PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_VMA};

struct program {
	struct sock_filter code[PROGRAM_MAX];
	uint16_t nr;
};

static void emit(struct program *program, uint16_t code, uint32_t value, uint8_t yes, uint8_t no)
{
	if (program->nr < PROGRAM_MAX)
		program->code[program->nr++] = (struct sock_filter)BPF_JUMP(code, value, yes, no);
}

static void load(struct program *program, size_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *program, uint32_t action)
{
	emit(program, BPF_RET | BPF_K, action, 0, 0);
}

/* If what is loaded is `value`, that is the end. */
static void answer_if(struct program *program, uint32_t value, uint32_t action)
{
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	answer(program, action);
}

/* Is the call `number`? The code up to end() is for it alone. ret: to hand to end() */
static uint16_t begin(struct program *program, int number)
{
	load(program, offsetof(struct seccomp_data, nr));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 0);
	return program->nr;
}

static void end(struct program *program, uint16_t begun, uint32_t action)
{
	answer(program, action);
	program->code[begun - 1].jf = (uint8_t)(program->nr - begun);
}

static void one_of(struct program *program, int number, int argument, const uint32_t *values, size_t nr)
{
	uint16_t begun = begin(program, number);

	load(program, ARGUMENT(argument));
	for (size_t i = 0; i < nr; i++)
		answer_if(program, values[i], SECCOMP_RET_ALLOW);
	end(program, begun, REFUSED);
}

/* By the bits of an argument: action if they are `value`, else otherwise. */
static void by_bits(struct program *program, int number, int argument, uint32_t mask, uint32_t value, uint32_t action,
		    uint32_t otherwise)
{
	uint16_t begun = begin(program, number);

	load(program, ARGUMENT(argument));
	emit(program, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	answer_if(program, value, action);
	end(program, begun, otherwise);
}

/* Netlink; datagrams, local (to systemd) and of IP (flow records for a collector); streams of both to serve metrics. */
static void sockets(struct program *program, bool may_listen)
{
	uint16_t begun = begin(program, SYS_socket);

	load(program, ARGUMENT(0));
	answer_if(program, AF_NETLINK, SECCOMP_RET_ALLOW);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 3, 0);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
	answer(program, REFUSED);
	load(program, ARGUMENT(1));
	emit(program, BPF_ALU | BPF_AND | BPF_K, SOCKET_TYPE, 0, 0);
	answer_if(program, SOCK_DGRAM, SECCOMP_RET_ALLOW);
	if (may_listen)
		answer_if(program, SOCK_STREAM, SECCOMP_RET_ALLOW);
	end(program, begun, REFUSED);
}

static void begin_all(struct program *program)
{
	load(program, offsetof(struct seccomp_data, arch));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	answer(program, REFUSED);
	load(program, offsetof(struct seccomp_data, nr));
}

/* Its flags lie in memory: whoever is told that there is no such call takes clone(). A program of its own, as this is
 * nothing for the kernel to log. */
static void no_clone3(struct program *program)
{
	begin_all(program);
	answer_if(program, SYS_clone3, NOT_KNOWN);
	answer(program, SECCOMP_RET_ALLOW);
}

static void allow_known(struct program *program, bool may_listen)
{
	const uint32_t self = (uint32_t)getpid();

	begin_all(program);
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		answer_if(program, (uint32_t)allowed[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(listening) && may_listen; i++)
		answer_if(program, (uint32_t)listening[i], SECCOMP_RET_ALLOW);
	answer_if(program, SYS_clone3, SECCOMP_RET_ALLOW); /* no_clone3() */
	by_bits(program, SYS_clone, 0, CLONE_THREAD | NAMESPACES, CLONE_THREAD, SECCOMP_RET_ALLOW, REFUSED);
	by_bits(program, SYS_mmap, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, REFUSED, SECCOMP_RET_ALLOW);
	by_bits(program, SYS_mprotect, 2, PROT_EXEC, PROT_EXEC, REFUSED, SECCOMP_RET_ALLOW);
	one_of(program, SYS_tgkill, 0, &self, 1); /* abort() */
	one_of(program, SYS_ioctl, 1, requests, ARRAY_SIZE(requests));
	one_of(program, SYS_prctl, 0, settings, ARRAY_SIZE(settings));
	sockets(program, may_listen);
	answer(program, REFUSED);
}

/* ret: 0 | -errno */
static int enter(const struct program *program, unsigned int flags)
{
	struct sock_fprog whole = {.len = program->nr, .filter = (struct sock_filter *)program->code};

	if (program->nr == PROGRAM_MAX)
		return -E2BIG;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &whole) ? -errno : 0;
}

int filter_enter(bool may_listen)
{
	struct program silent = {}, telling = {};
	int r;

#ifdef __SANITIZE_ADDRESS__
	return 0; /* whose search for leaks looks into its own process */
#endif
	no_clone3(&silent);
	allow_known(&telling, may_listen);
	r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : enter(&silent, 0);
	if (!r) /* which the first one has to allow */
		r = enter(&telling, SECCOMP_FILTER_FLAG_LOG);
	if (r == -ENOSYS || r == -EINVAL) {
		log_warning("this kernel filters no system calls: all are allowed");
		return 0;
	}
	if (r)
		log_error("cannot filter system calls: %s", strerror(-r));
	return r;
}
