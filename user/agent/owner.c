/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/privilege.h"
#include "base/base.h"

#define DEPTH_MAX 16

/* ---- who */

static gid_t group_of(uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);

	return entry ? entry->pw_gid : uid;
}

/* UID:GID, or UID of whom the group is his own, or one of the same number */
static bool read_numbers(const char *text, struct owner *ret)
{
	unsigned long uid, gid;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	uid = strtoul(text, &end, 10);
	if (errno || uid >= (uid_t)-1)
		return false;
	if (*end == ':' && end[1] >= '0' && end[1] <= '9')
		gid = strtoul(end + 1, &end, 10);
	else
		gid = group_of((uid_t)uid);
	if (*end || gid >= (gid_t)-1)
		return false;
	*ret = (struct owner){(uid_t)uid, (gid_t)gid, (uid_t)uid};
	return true;
}

/* ret: 0 | -ENOENT */
static int find_name(const char *name, struct owner *ret)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return -ENOENT;
	*ret = (struct owner){entry->pw_uid, entry->pw_gid, entry->pw_uid};
	return 0;
}

int owner_find(const char *wanted, struct owner *ret)
{
	struct owner own = {geteuid(), getegid(), geteuid()};

	if (!wanted && own.uid) {
		*ret = own;
		return 0;
	}
	if (!wanted && find_name(DEFAULT_USER, ret)) {
		log_info("there is no user '" DEFAULT_USER "': staying root, without most of its capabilities");
		*ret = own;
		return 0;
	}
	if (!wanted && !privilege_to_change_user()) { /* a unit of an earlier version */
		log_info("this root may not become another user: staying root");
		*ret = own;
		return 0;
	}
	if (wanted && !read_numbers(wanted, ret) && find_name(wanted, ret)) {
		log_error("there is no user '%s'", wanted);
		return -ENOENT;
	}
	if (own.uid && own.uid != ret->uid) {
		log_error("only root can become another user");
		return -EPERM;
	}
	return 0;
}

bool owner_may_be(const struct owner *owner, uid_t uid)
{
	struct owner usual;

	return uid == geteuid() || uid == owner->uid || uid == owner->wanted ||
	       (!geteuid() && !find_name(DEFAULT_USER, &usual) && uid == usual.uid);
}

/* ---- what. By descriptors: whoever may write there already cannot lead us elsewhere by renaming. */

static int give_all(const struct owner *owner, int folder, const char *const *names, int depth);

static bool is_known(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!fnmatch(*names, name, 0))
			return true;
	return false;
}

/* What is mounted there, be it of the same file system, is somebody else's.
 * ret: fd | -ENOENT | -EXDEV | another -errno */
static int open_here(int folder, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV};
	long fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int give_one(const struct owner *owner, int folder, const char *name, int depth)
{
	_cleanup_close_ int fd = open_here(folder, name);
	struct stat st;

	if (fd < 0)
		return fd == -ENOENT || fd == -EXDEV ? 0 : fd;
	if (fstat(fd, &st))
		return -errno;
	if (!owner_may_be(owner, st.st_uid) || (!S_ISDIR(st.st_mode) && st.st_nlink > 1))
		return 0;
	if ((st.st_uid != owner->uid || st.st_gid != owner->gid) &&
	    fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH))
		return -errno;
	return S_ISDIR(st.st_mode) && depth ? give_all(owner, fd, NULL, depth - 1) : 0;
}

static int open_list(int folder, DIR **ret)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = fd < 0 ? NULL : fdopendir(fd);
	if (*ret)
		return 0;
	if (fd >= 0)
		close(fd);
	return -errno;
}

static bool is_entry(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* names: of what is given, NULL = all */
static int give_all(const struct owner *owner, int folder, const char *const *names, int depth)
{
	const struct dirent *entry;
	DIR *list;
	int r = open_list(folder, &list);

	if (r)
		return r;
	while (!r && (entry = readdir(list)))
		if (is_entry(entry->d_name) && (!names || is_known(entry->d_name, names)))
			r = give_one(owner, folder, entry->d_name, depth);
	closedir(list);
	return r;
}

/* Does it hold nothing but what an agent writes? */
static bool is_ours(int folder, const char *const *names)
{
	const struct dirent *entry;
	bool ours = true;
	DIR *list;

	if (open_list(folder, &list))
		return false;
	while (ours && (entry = readdir(list)))
		ours = !is_entry(entry->d_name) || is_known(entry->d_name, names);
	closedir(list);
	return ours;
}

int owner_look(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool owner_may_have(const struct owner *owner, int folder, const char *const *names)
{
	struct stat st;

	if (folder < 0 || fstat(folder, &st))
		return folder == -ENOENT;
	if (st.st_uid == owner->uid)
		return true;
	return owner_may_be(owner, st.st_uid) && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (!names || is_ours(folder, names));
}

int owner_give(const struct owner *owner, int folder, const char *const *names)
{
	struct stat st;

	if (folder < 0)
		return folder;
	if (fstat(folder, &st))
		return -errno;
	if ((st.st_uid != owner->uid || st.st_gid != owner->gid) && fchown(folder, owner->uid, owner->gid))
		return -errno;
	return give_all(owner, folder, names, DEPTH_MAX);
}
