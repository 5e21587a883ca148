/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of the flow log, oldest first: rotated files, then flow.log, then what comes. */
#ifndef ENID_FLOWLOG_READER_H
#define ENID_FLOWLOG_READER_H

#include <stdbool.h>
#include <stddef.h>

/* line: without its newline. ret: 0 = go on, else reading ends and returns it */
typedef int (*log_line_fn)(void *arg, const char *line, size_t len);

/* idle (may be NULL): called when there is nothing more for now, before waiting. follow: only an error, or a callback's
 * word, ends it. ret: 0 | -errno | what a callback returned */
int log_read(const char *dir, bool follow, log_line_fn each, int (*idle)(void *arg), void *arg);

#endif
