/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log file and its predecessors: <dir>/flow.log, flow.log.1.gz (the youngest), flow.log.2.gz, ...
 *
 * Invariants
 *  I1  The file holds whole lines only, whatever the disk does.
 *  I2  flow.log.1 (plain) is there only between a rotation and the end of its compression.
 *  I3  Names change only under an exclusive flock of the folder; readers open all files under a shared one, so they see
 *      each line once.
 */
#ifndef ENID_FLOWLOG_LOGFILE_H
#define ENID_FLOWLOG_LOGFILE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LOG_FILE         "flow.log"
#define LOG_ROTATE_BYTES (64ull << 20)
#define LOG_KEEP         30

struct logfile {
	const char *dir;
	int dir_fd;
	int fd; /* -1 = not open */
	uint64_t inode, size;
	time_t written; /* when the last line was */
	uint64_t max_bytes;
};

/* With all its parents. ret: 0 | -errno */
int logfile_make_folder(const char *dir);

void logfile_init(struct logfile *file, const char *dir);
void logfile_done(struct logfile *file);

/* Open, or open again when somebody took folder or file away. ret: 0 | -errno */
int logfile_ready(struct logfile *file);
/* Append whole lines. *ret_kept: bytes that stay, up to a line's end; less than len only with an error.
 * ret: 0 | -errno */
int logfile_append(struct logfile *file, const char *lines, size_t len, size_t *ret_kept);
/* The same at the end of any file that has this size. */
int lines_append(int fd, uint64_t size, const char *lines, size_t len, size_t *ret_kept);
/* dir_fd/name -> dir_fd/part, complete and on the disk. ret: 0 | -errno, and there is no part */
int log_compress(int dir_fd, const char *name, const char *part);
/* Forget what was appended since the file had this inode and size (a flush that was killed). */
void logfile_rewind(struct logfile *file, uint64_t inode, uint64_t size);
/* Rotate when the file is too large or from an earlier day (UTC); compress what a rotation left. ret: 0 | -errno */
int logfile_rotate(struct logfile *file, time_t now);

#endif
