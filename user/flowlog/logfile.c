/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log file and its predecessors. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "flowlog/logfile.h"

#define DAY_S 86400

void logfile_init(struct logfile *file, const char *dir)
{
	*file = (struct logfile){.dir = dir, .dir_fd = -1, .fd = -1, .max_bytes = LOG_ROTATE_BYTES};
}

void logfile_done(struct logfile *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->dir_fd >= 0)
		close(file->dir_fd);
	file->fd = file->dir_fd = -1;
}

int logfile_make_folder(const char *dir)
{
	char *path = strdup(dir), *slash = path;
	int r = 0;

	if (!path)
		return -ENOMEM;
	while (!r && slash) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			r = -errno;
		if (slash)
			*slash = '/';
	}
	free(path);
	return r;
}

static int open_file(struct logfile *file)
{
	struct stat st;
	int r = logfile_make_folder(file->dir);

	if (r)
		return r;
	file->dir_fd = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->dir_fd < 0)
		return -errno;
	file->fd = openat(file->dir_fd, LOG_FILE, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (file->fd < 0 || fstat(file->fd, &st)) {
		r = -errno;
		logfile_done(file);
		return r;
	}
	file->inode = st.st_ino;
	file->size = (uint64_t)st.st_size;
	file->written = st.st_mtime;
	return 0;
}

int logfile_ready(struct logfile *file)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" LOG_FILE, file->dir);
	if (file->fd >= 0 && !stat(path, &st) && st.st_ino == file->inode) {
		file->size = (uint64_t)st.st_size;
		return 0;
	}
	logfile_done(file);
	return open_file(file);
}

static size_t whole_lines(const char *lines, size_t len)
{
	const char *end = memrchr(lines, '\n', len);

	return end ? (size_t)(end + 1 - lines) : 0;
}

int lines_append(int fd, uint64_t size, const char *lines, size_t len, size_t *ret_kept)
{
	size_t done = 0;
	int r = 0;

	while (!r && done < len) {
		ssize_t n = write(fd, lines + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			r = n ? -errno : -ENOSPC;
	}
	if (r) {
		size_t kept = whole_lines(lines, done);

		/* Cutting back needs no space; should it fail, the reader skips what is no line. */
		if (kept < done && ftruncate(fd, (off_t)(size + kept)))
			r = -errno;
		done = kept;
	}
	*ret_kept = done;
	return r;
}

int logfile_append(struct logfile *file, const char *lines, size_t len, size_t *ret_kept)
{
	int r = lines_append(file->fd, file->size, lines, len, ret_kept);

	file->size += *ret_kept;
	file->written = time(NULL);
	return r;
}

void logfile_rewind(struct logfile *file, uint64_t inode, uint64_t size)
{
	if (file->inode == inode && file->size > size && !ftruncate(file->fd, (off_t)size))
		file->size = size;
}

static int copy_to_gz(int fd, gzFile gz)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (gzwrite(gz, buf, (unsigned int)n) != (int)n)
			return -ENOSPC;
	return n < 0 ? -errno : 0;
}

int log_compress(int dir_fd, const char *name, const char *part)
{
	int from = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), to, r;
	gzFile gz;

	if (from < 0)
		return -errno;
	to = openat(dir_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	gz = to >= 0 ? gzdopen(dup(to), "wb6") : NULL;
	r = gz ? copy_to_gz(from, gz) : -errno;
	if (gz && gzclose(gz) != Z_OK && !r)
		r = -ENOSPC;
	if (!r && fsync(to))
		r = -errno;
	if (to >= 0)
		close(to);
	close(from);
	if (r)
		unlinkat(dir_fd, part, 0);
	return r;
}

static int finish_rotation(struct logfile *file)
{
	int r = 0;

	if (faccessat(file->dir_fd, LOG_FILE ".1", F_OK, 0))
		return 0;
	if (faccessat(file->dir_fd, LOG_FILE ".1.gz", F_OK, 0)) {
		r = log_compress(file->dir_fd, LOG_FILE ".1", LOG_FILE ".1.gz.part");
		if (r)
			return r;
		if (flock(file->dir_fd, LOCK_EX | LOCK_NB))
			return -EAGAIN;
		if (renameat(file->dir_fd, LOG_FILE ".1.gz.part", file->dir_fd, LOG_FILE ".1.gz"))
			r = -errno;
	}
	if (!r && unlinkat(file->dir_fd, LOG_FILE ".1", 0))
		r = -errno;
	flock(file->dir_fd, LOCK_UN);
	return r;
}

static void shift_names(int dir_fd)
{
	char from[64], to[64];

	for (int n = LOG_KEEP; n >= 1; n--) {
		snprintf(from, sizeof(from), LOG_FILE ".%d.gz", n);
		snprintf(to, sizeof(to), LOG_FILE ".%d.gz", n + 1);
		if (n == LOG_KEEP)
			unlinkat(dir_fd, from, 0);
		else if (renameat(dir_fd, from, dir_fd, to) && errno != ENOENT)
			return;
	}
}

static bool is_due(const struct logfile *file, time_t now)
{
	return file->size && (file->size >= file->max_bytes || file->written / DAY_S < now / DAY_S);
}

int logfile_rotate(struct logfile *file, time_t now)
{
	int r = finish_rotation(file);

	if (r || !is_due(file, now))
		return r;
	if (flock(file->dir_fd, LOCK_EX | LOCK_NB))
		return 0; /* somebody is opening the files: after the next window */
	shift_names(file->dir_fd);
	if (renameat(file->dir_fd, LOG_FILE, file->dir_fd, LOG_FILE ".1"))
		r = -errno;
	flock(file->dir_fd, LOCK_UN);
	logfile_done(file);
	if (!r)
		r = open_file(file);
	return r ? r : finish_rotation(file);
}
