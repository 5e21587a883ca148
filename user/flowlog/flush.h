/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One closed window to lines of the log file. */
#ifndef ENID_FLOWLOG_FLUSH_H
#define ENID_FLOWLOG_FLUSH_H

#include "flowlog/books.h"
#include "flowlog/enis.h"
#include "flowlog/logfile.h"
#include "flowlog/window.h"

/* Write what is due, settle the books, empty the window. ret: 0 | -errno: something could not be written, the books
 * know how many packets it stood for. */
int flush_window(struct logfile *file, struct window *window, const struct log_enis *enis, struct books *books);

#endif
