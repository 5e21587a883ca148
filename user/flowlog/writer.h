/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Closed windows to lines, in a thread of its own: a slow or full disk stops neither agent nor forwarding (E23).
 *
 * A flush is one transaction: the window remembers where the log file ended before its first line, and is emptied after
 * its last; a killed flush is cut back and done again. What cannot be written is added to the books, and declared by a
 * SKIPDATA line with the next flush that succeeds.
 */
#ifndef ENID_FLOWLOG_WRITER_H
#define ENID_FLOWLOG_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "flowlog/books.h"
#include "flowlog/enis.h"
#include "flowlog/window.h"

struct writer;

/* dir and books are borrowed. instance: of the kernel side. ret: 0 | -ENOMEM | -errno of the thread */
int writer_open(const char *dir, uint64_t instance, struct books *books, struct writer **ret);
/* Waits for the flush under way. */
void writer_close(struct writer **writer);

bool writer_idle(struct writer *writer);
/* Only while idle. window must be CLOSED; it is EMPTY when the writer is idle again. */
void writer_submit(struct writer *writer, struct window *window, struct log_enis *enis);
void writer_wait(struct writer *writer);

/* What the operator should know; "" = all is well. ret: 0 | -errno of the last flush that lost lines */
int writer_attention(struct writer *writer, char *ret, size_t size);

#endif
