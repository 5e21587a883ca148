/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 50

/* On overlayfs, /proc/locks shows another inode than stat does: then it is what the holder wrote into the file. */
static pid_t written_holder(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* A line of /proc/locks: "3: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF". */
static pid_t find_holder(int fd)
{
	char line[256], place[64], *word;
	struct stat st;
	pid_t holder = 0;
	FILE *file;

	if (fstat(fd, &st))
		return 0;
	snprintf(place, sizeof(place), " %02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino);
	file = fopen("/proc/locks", "re");
	if (!file)
		return 0;
	while (!holder && fgets(line, sizeof(line), file))
		if (strstr(line, ": FLOCK ") && strstr(line, place) && (word = strstr(line, " WRITE ")))
			holder = (pid_t)strtol(word + strlen(" WRITE "), NULL, 10);
	(void)fclose(file);
	return holder ? holder : written_holder(fd);
}

static int open_lock(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == EISDIR)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int lock_take(const char *path, unsigned wait_ms, int *ret_fd, pid_t *ret_holder)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	int fd = open_lock(path);

	if (fd < 0)
		return fd;
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += RETRY_MS) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= wait_ms) {
			int r = -errno;

			*ret_holder = find_holder(fd);
			close(fd);
			return r;
		}
		(void)nanosleep(&pause, NULL);
	}
	/* Fails on a folder, which needs no such help. */
	if (!ftruncate(fd, 0))
		(void)dprintf(fd, "%d\n", (int)getpid());
	*ret_fd = fd;
	return 0;
}

/* The file is its agent's alone, so that nobody else can hold it. Whoever may not read it learns from /proc/locks who
 * does, where that shows what stat does. ret: pid, 0 = nobody, -1 = perhaps somebody */
static pid_t unread_holder(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;
	pid_t holder = fd < 0 ? -1 : find_holder(fd);

	if (!holder && (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC))
		holder = -1;
	if (fd >= 0)
		close(fd);
	return holder;
}

pid_t lock_holder(const char *run_dir)
{
	char path[PATH_MAX];
	pid_t holder = 0;
	int fd = -1;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == EACCES ? unread_holder(path) : 0;
	/* Shared: several may ask at once. An agent that starts in this moment tries again. */
	if (flock(fd, LOCK_SH | LOCK_NB)) {
		holder = find_holder(fd);
		if (!holder)
			holder = -1;
	}
	close(fd);
	return holder;
}

/* The byte whose number is the error is locked: such locks, unlike those of flock(), have places. */
void lock_tell(int fd, int error)
{
	struct flock place = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	(void)fcntl(fd, F_OFD_SETLK, &place);
	place = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = error, .l_len = 1};
	if (error)
		(void)fcntl(fd, F_OFD_SETLK, &place);
}

int lock_told(const char *run_dir)
{
	struct flock place = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];
	int fd = -1, r;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	r = fcntl(fd, F_OFD_GETLK, &place);
	close(fd);
	return r || place.l_type == F_UNLCK ? 0 : (int)place.l_start;
}
