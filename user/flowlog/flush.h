/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One closed window to lines: first for each FlowLogs object that has a place of its own (sink.h), then for the log
 * file, which holds everything and empties the window. */
#ifndef ENID_FLOWLOG_FLUSH_H
#define ENID_FLOWLOG_FLUSH_H

#include "flowlog/books.h"
#include "flowlog/enis.h"
#include "flowlog/line.h"
#include "flowlog/logfile.h"
#include "flowlog/pager.h"
#include "flowlog/window.h"

#define FLUSH_ALL (-1)

/* Who asks, and for what. */
struct flush_ask {
	int log;     /* index of the FlowLogs object; FLUSH_ALL = what any of them wants */
	uint32_t by; /* FORMAT_BY_* */
	/* Packets of a port that no line has shown or declared so far. */
	uint64_t (*pending)(void *arg, uint32_t port);
	void (*line)(void *arg, const struct log_line *line);
	void *arg;
	struct settlement *settlement; /* last_start_s is written here */
};

/* What is due, in order of window, ENI and addresses, then a line for each ENI that had nothing (NODATA) or lost
 * something (SKIPDATA, FL-12). Reads the books, changes nothing in them. ret: 0 | -ENOMEM (no line was given) */
int flush_lines(const struct window *window, const struct log_enis *enis, const struct books *books,
		const struct flush_ask *ask);

/* Write what is due, settle the books, empty the window. ret: 0 | -errno: something could not be written, the books
 * know how many packets it stood for. */
int flush_window(struct logfile *file, struct window *window, const struct log_enis *enis, struct books *books);

#endif
