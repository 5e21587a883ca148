/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One agent per run folder and per pin folder (E10). A lock is a flock: the kernel lets go of it with its holder, so
 * there is nothing stale to clean up, and it is the kernel that names the holder. */
#ifndef ENID_LOCK_H
#define ENID_LOCK_H

#include <sys/types.h>

/* Take the lock on a file (made if missing) or a folder, waiting up to wait_ms for an agent that is just ending.
 * ret: 0, *ret_fd holds it | -EWOULDBLOCK, *ret_holder = its pid, 0 = not visible from here | -errno */
int lock_take(const char *path, unsigned wait_ms, int *ret_fd, pid_t *ret_holder);

/* ret: pid of the agent that holds the lock of this run folder | 0 = none runs | -1 = one runs whose pid is not visible
 */
pid_t lock_holder(const char *run_dir);

/* An agent whose folder is full, or read-only, or that has no descriptor left, cannot write there that it cannot write.
 * It says so by the lock that it holds anyway. error: errno, 0 = all is well */
void lock_tell(int fd, int error);
/* ret: what the holder of the lock of this run folder tells; 0 also if that may not be asked */
int lock_told(const char *run_dir);

#define LOCK_FILE "lock"

#endif
