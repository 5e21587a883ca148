/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines on their way to a file, page by page, and what became of the packets that they stand for: lines that do not
 * reach the disk are lost, and so is all that follows (E23). */
#ifndef ENID_FLOWLOG_PAGER_H
#define ENID_FLOWLOG_PAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flowlog/line.h"

#define PAGE_BYTES (512u << 10)
#define PAGE_LINES 4096u

/* Of one port: what a flush has done, in packets. */
struct settlement {
	uint64_t lost, declared;
	uint64_t common;       /* of the books, at the beginning */
	uint32_t last_start_s; /* the latest window that has a line */
};

struct page_line {
	uint32_t end; /* offset of the line's end in the page */
	uint32_t port;
	uint64_t packets; /* that the line stands for */
	bool skipdata;
};

struct pager {
	/* Append whole lines. *ret_kept: bytes that stay, up to a line's end. ret: 0 | -errno */
	int (*append)(void *out, const char *lines, size_t len, size_t *ret_kept);
	void *out;
	const struct format *format;
	bool json;
	struct settlement *settlement; /* by port; borrowed */
	int r;                         /* first error: nothing more is tried */
	uint64_t lines;                /* that are in the file */
	size_t len;
	uint32_t nr_lines;
	struct page_line line[PAGE_LINES];
	char page[PAGE_BYTES];
};

void pager_line(struct pager *pager, const struct log_line *line);
void pager_write(struct pager *pager);

#endif
