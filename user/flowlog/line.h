/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a flow log record: AWS's default format, version 2 (FL-04, FL-05, FL-20). */
#ifndef ENID_FLOWLOG_LINE_H
#define ENID_FLOWLOG_LINE_H

#include <stddef.h>

#include "flowlog/enis.h"
#include "flowlog/window.h"

#define LINE_MAX_BYTES (2 * LOG_NAME_MAX + 256)

/* Each writes one line with its newline into buf[LINE_MAX_BYTES] and returns its length. */
size_t line_traffic(const struct log_eni *eni, const struct window_entry *entry, char *buf);
/* status: NODATA or SKIPDATA; the window from start_s (FL-12) */
size_t line_empty(const struct log_eni *eni, uint32_t start_s, uint32_t interval_s, const char *status, char *buf);

#endif
