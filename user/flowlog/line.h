/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a flow log record, in the format that a FlowLogs object asks for (FL-04 to FL-16), or as JSON. Ids are
 * escaped where they enter (enis.c), so nothing here can break a line. */
#ifndef ENID_FLOWLOG_LINE_H
#define ENID_FLOWLOG_LINE_H

#include <stddef.h>

#include "flowlog/enis.h"
#include "flowlog/format.h"
#include "flowlog/window.h"

#define LINE_MAX_BYTES (FORMAT_FIELDS_MAX * (2 * LOG_NAME_MAX + 80))

enum line_status { LINE_OK, LINE_NODATA, LINE_SKIPDATA };

/* One line to be. */
struct log_line {
	const struct log_eni *eni;
	const struct log_enis *enis;  /* for service names, rules and zones; may be NULL */
	const struct window_key *key; /* LINE_OK only, as is count */
	const struct window_count *count;
	uint32_t port;
	uint32_t start_s, end_s;
	enum line_status status;
	uint64_t packets; /* that it stands for, SKIPDATA's too */
};

/* Each writes one line with its newline into buf[LINE_MAX_BYTES] and returns its length. */
size_t line_text(const struct format *format, const struct log_line *line, char *buf);
size_t line_json(const struct format *format, const struct log_line *line, char *buf);

/* The record's name for its whole life on this host, joining its lines at all ENIs. */
static inline uint64_t line_flow_id(uint32_t index, uint32_t generation)
{
	return (uint64_t)generation << 32 | index;
}

#endif
