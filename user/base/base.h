/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small helpers of all of user space: ownership by scope, and messages that are returned, not printed. */
#ifndef ENID_BASE_H
#define ENID_BASE_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_   __attribute__((cleanup(cleanup_free)))
#define _cleanup_close_  __attribute__((cleanup(cleanup_close)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose)))

/* Hand over what a scope would otherwise free. */
#define TAKE_PTR(pointer) \
	({ \
		__typeof__(pointer) taken = (pointer); \
		(pointer) = NULL; \
		taken; \
	})

#define TAKE_FD(fd) \
	({ \
		int taken = (fd); \
		(fd) = -1; \
		taken; \
	})

/* Is there such a file? By the capabilities that we have: access() leaves them out for all users but root.
 * ret: 0 | -1, errno */
static inline int look_for(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS);
}

/* The end of a counted noun: "1 error", "2 errors". */
static inline const char *plural(uint64_t number)
{
	return number == 1 ? "" : "s";
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

/* Return `error` and say why: *ret_why (may be NULL) becomes a sentence to free(), lower case, without a full stop. */
static inline __attribute__((format(printf, 3, 4))) int refuse(char **ret_why, int error, const char *format, ...)
{
	va_list args;

	if (!ret_why)
		return error;
	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return error;
}

#endif
