/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of the flow log, oldest first. All files are opened under a shared lock of the folder, under which the
 * writer renames none (logfile.h I3): no line is missed or seen twice. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "flowlog/logfile.h"
#include "flowlog/reader.h"

#define BUF_BYTES 65536u
#define POLL_MS   1000 /* a lost notification costs this much */

struct reader {
	int dir;                   /* the folder */
	int rotated[LOG_KEEP + 2]; /* oldest first; -1 ends */
	int file;                  /* flow.log; -1 = there is none yet */
	ino_t inode;
	off_t at;
	log_line_fn each;
	void *arg;
	char *line; /* the line so far */
	size_t len, size;
};

static int add_bytes(struct reader *reader, const char *bytes, size_t len)
{
	if (reader->len + len > reader->size) {
		char *line = realloc(reader->line, 2 * (reader->len + len));

		if (!line)
			return -ENOMEM;
		reader->line = line;
		reader->size = 2 * (reader->len + len);
	}
	if (len)
		memcpy(reader->line + reader->len, bytes, len);
	reader->len += len;
	return 0;
}

static int give_lines(struct reader *reader, const char *bytes, size_t len)
{
	while (len) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) : len;
		int r = add_bytes(reader, bytes, part);

		if (r || !end)
			return r;
		r = reader->each(reader->arg, reader->line, reader->len);
		reader->len = 0;
		if (r)
			return r;
		bytes += part + 1;
		len -= part + 1;
	}
	return 0;
}

static int open_current(struct reader *reader)
{
	struct stat st;

	reader->at = 0;
	reader->file = openat(reader->dir, LOG_FILE, O_RDONLY | O_CLOEXEC);
	if (reader->file < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(reader->file, &st))
		return -errno;
	reader->inode = st.st_ino;
	return 0;
}

static int open_all(struct reader *reader)
{
	int nr = 0, r;

	if (flock(reader->dir, LOCK_SH))
		return -errno;
	for (int n = LOG_KEEP; n >= 1; n--) {
		char name[64];

		snprintf(name, sizeof(name), LOG_FILE ".%d.gz", n);
		reader->rotated[nr] = openat(reader->dir, name, O_RDONLY | O_CLOEXEC);
		if (reader->rotated[nr] >= 0)
			nr++;
		else if (n == 1) /* not yet compressed */
			reader->rotated[nr] = openat(reader->dir, LOG_FILE ".1", O_RDONLY | O_CLOEXEC);
	}
	if (reader->rotated[nr] >= 0)
		reader->rotated[++nr] = -1;
	r = open_current(reader);
	flock(reader->dir, LOCK_UN);
	return r;
}

static int read_rotated(struct reader *reader, int fd)
{
	char buf[BUF_BYTES];
	gzFile gz = gzdopen(fd, "rb"); /* reads plain files as well */
	int n = 0, r = gz ? 0 : -ENOMEM;

	while (!r && (n = gzread(gz, buf, sizeof(buf))) > 0)
		r = give_lines(reader, buf, (size_t)n);
	if (!r && n < 0)
		r = -EIO;
	if (gz)
		gzclose(gz);
	else
		close(fd);
	reader->len = 0; /* a torn last line is none */
	return r;
}

static int read_current(struct reader *reader)
{
	char buf[BUF_BYTES];
	struct stat st;
	ssize_t n;
	int r = 0;

	if (reader->file < 0)
		return 0;
	if (!fstat(reader->file, &st) && st.st_size < reader->at) {
		reader->at = st.st_size; /* a torn flush was cut back */
		reader->len = 0;
	}
	while (!r && (n = pread(reader->file, buf, sizeof(buf), reader->at)) != 0) {
		if (n < 0)
			return -errno;
		reader->at += n;
		r = give_lines(reader, buf, (size_t)n);
	}
	return r;
}

/* flow.log is another file now: what the old one got last, then the new one. */
static int change_file(struct reader *reader)
{
	struct stat st;
	int r;

	if (fstatat(reader->dir, LOG_FILE, &st, 0) || (reader->file >= 0 && st.st_ino == reader->inode))
		return 0;
	r = read_current(reader);
	if (r)
		return r;
	if (reader->file >= 0)
		close(reader->file);
	reader->len = 0;
	r = open_current(reader);
	return r ? r : read_current(reader);
}

static int follow(struct reader *reader, const char *dir, int (*idle)(void *arg))
{
	struct pollfd wait = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN};
	int r = wait.fd < 0 || inotify_add_watch(wait.fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0 ? -errno : 0;

	while (!r) {
		char events[4096];

		r = read_current(reader);
		if (!r)
			r = change_file(reader);
		if (!r && idle)
			r = idle(reader->arg);
		if (!r && poll(&wait, 1, POLL_MS) > 0)
			while (read(wait.fd, events, sizeof(events)) > 0)
				;
	}
	if (wait.fd >= 0)
		close(wait.fd);
	return r;
}

static int read_all(struct reader *reader, const char *dir, bool following, int (*idle)(void *arg))
{
	int r = open_all(reader);

	for (int i = 0; reader->rotated[i] >= 0; i++) {
		if (!r)
			r = read_rotated(reader, reader->rotated[i]);
		else
			close(reader->rotated[i]);
	}
	if (!r)
		r = read_current(reader);
	if (!r && idle)
		r = idle(reader->arg);
	return r || !following ? r : follow(reader, dir, idle);
}

int log_read(const char *dir, bool following, log_line_fn each, int (*idle)(void *arg), void *arg)
{
	struct reader reader = {.file = -1, .each = each, .arg = arg};
	int r;

	memset(reader.rotated, 0xff, sizeof(reader.rotated));
	reader.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reader.dir < 0)
		return -errno;
	r = read_all(&reader, dir, following, idle);
	if (reader.file >= 0)
		close(reader.file);
	close(reader.dir);
	free(reader.line);
	return r;
}
