/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Before the first file is read: a state that outwits the parser then finds no more than these. By raw calls, which
 * need no library. */
#include "agent/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/log.h"
#include "base/base.h"

#define BIT(capability) (1ull << (capability))

/* BPF, PERFMON: maps, and programs that look into kernel memory. NET_ADMIN: hooks, netlink, the sysctls of devices.
 * SYS_ADMIN: only so does the kernel look up a program or a link by its number, which tells whose hook it is.
 * DAC_READ_SEARCH: the state may lie in somebody's home, and the BPF file system may be root's alone; what is
 * written lies in folders of the agent's own user. */
static const uint64_t needed =
	BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_READ_SEARCH);

bool privilege_to_change_user(void)
{
	const uint32_t wanted = BIT(CAP_CHOWN) | BIT(CAP_SETUID) | BIT(CAP_SETGID);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2] = {};

	return !syscall(SYS_capget, &header, held) && (held[0].effective & wanted) == wanted;
}

/* ret: 0 | -errno */
static int drop_bounds(void)
{
	for (int capability = 0;; capability++) {
		int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);

		if (has < 0)
			return 0; /* past the last one that this kernel knows */
		if (!has || needed & BIT(capability) || !prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
			continue;
		if (errno != EPERM || !geteuid())
			return -errno; /* only root can, and only root's programs would get it back */
	}
}

/* ret: 0 | -errno */
static int drop_held(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2];

	if (syscall(SYS_capget, &header, held))
		return -errno;
	for (int word = 0; word < 2; word++) {
		uint32_t mask = (uint32_t)(needed >> (32 * word));

		held[word].permitted &= mask;
		held[word].effective = held[word].permitted; /* which a change of user has emptied */
		held[word].inheritable = 0;
	}
	return syscall(SYS_capset, &header, held) ? -errno : 0;
}

void privilege_of_others(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/unprivileged_bpf_disabled", "re");

	if (file && fgetc(file) == '0')
		log_warning("kernel.unprivileged_bpf_disabled is 0: any user may load programs, and the kernel's "
			    "verifier has had holes; set it to 2");
}

/* What is permitted stays over the change, until drop_held(). ret: 0 | -errno */
static int become(const struct owner *owner)
{
	if (owner->uid == geteuid() && owner->gid == getegid())
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(1, &owner->gid) ||
	    setresgid(owner->gid, owner->gid, owner->gid) || setresuid(owner->uid, owner->uid, owner->uid) ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return -errno;
	return 0;
}

int privilege_drop(const struct owner *owner)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int r;

	/* Rings of events count as locked memory, of which there is little without CAP_IPC_LOCK. */
	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
	r = drop_bounds();
	if (!r)
		r = become(owner);
	if (!r && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		r = -errno;
	if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	if (!r)
		r = drop_held();
	if (r)
		log_error("cannot give up privileges: %s", strerror(-r));
	return r;
}
