/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines on their way to a file. */
#include "flowlog/pager.h"

_Static_assert(2 * LINE_MAX_BYTES < PAGE_BYTES, "a page takes more than one line of any length");

void pager_write(struct pager *pager)
{
	size_t kept = 0;

	if (!pager->r && pager->len)
		pager->r = pager->append(pager->out, pager->page, pager->len, &kept);
	for (uint32_t i = 0; i < pager->nr_lines; i++) {
		const struct page_line *line = &pager->line[i];
		struct settlement *settlement = &pager->settlement[line->port];

		if (line->end <= kept) {
			pager->lines++;
			settlement->declared += line->skipdata ? line->packets : 0;
		} else {
			settlement->lost += line->skipdata ? 0 : line->packets;
		}
	}
	pager->len = pager->nr_lines = 0;
}

void pager_line(struct pager *pager, const struct log_line *line)
{
	char *at;

	if (pager->nr_lines == PAGE_LINES || pager->len + LINE_MAX_BYTES > PAGE_BYTES)
		pager_write(pager);
	at = pager->page + pager->len;
	pager->len += pager->json ? line_json(pager->format, line, at) : line_text(pager->format, line, at);
	pager->line[pager->nr_lines++] = (struct page_line){.end = (uint32_t)pager->len,
							    .port = line->port,
							    .packets = line->packets,
							    .skipdata = line->status == LINE_SKIPDATA};
}
