/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One closed window to lines: the entries in order of window, ENI and addresses, then a line for each ENI that had
 * nothing (NODATA) or lost something (SKIPDATA, FL-12).
 *
 * The books change only after the last line, so that a flush that was killed and is done again counts nothing twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flowlog/flush.h"
#include "flowlog/line.h"

#define PAGE_BYTES  (256u << 10)
#define PAGE_LINES  4096u
#define STALL_MAX_S 3600u /* after a longer stall no NODATA lines are made up for the time before */

struct page_line {
	uint32_t end; /* offset of the line's end in the page */
	uint32_t port;
	uint64_t packets; /* that the line stands for */
	bool skipdata;
};

struct settlement {
	uint64_t lost, declared;
};

struct flush {
	struct logfile *file;
	const struct window_header *header;
	const struct window_entry *entries;
	const struct log_enis *enis;
	struct books *books;
	uint32_t *due; /* entries to write, in order */
	size_t nr_due;
	struct settlement *settlement; /* by port */
	int r;                         /* first error: nothing more is tried */
	uint64_t lines;
	size_t len;
	uint32_t nr_lines;
	struct page_line line[PAGE_LINES];
	char page[PAGE_BYTES];
};

static int compare_entries(const void *a, const void *b, void *entries)
{
	const struct window_entry *x = (const struct window_entry *)entries + *(const uint32_t *)a;
	const struct window_entry *y = (const struct window_entry *)entries + *(const uint32_t *)b;

	if (x->key.start_s != y->key.start_s)
		return x->key.start_s < y->key.start_s ? -1 : 1;
	if (x->key.port != y->key.port)
		return x->key.port < y->key.port ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int collect_due(struct flush *flush)
{
	flush->due = malloc(((size_t)flush->header->used + 1) * sizeof(*flush->due));
	flush->settlement = calloc(PORTS_MAX, sizeof(*flush->settlement));
	if (!flush->due || !flush->settlement)
		return -ENOMEM;
	for (uint32_t i = 0; i < flush->header->used; i++)
		if (window_is_due(flush->header, &flush->entries[i]))
			flush->due[flush->nr_due++] = i;
	qsort_r(flush->due, flush->nr_due, sizeof(*flush->due), compare_entries, (void *)flush->entries);
	return 0;
}

/* Write the page. Lines that do not reach the disk are lost, and so is all that follows. */
static void write_page(struct flush *flush)
{
	size_t kept = 0;

	if (!flush->r && flush->len)
		flush->r = logfile_append(flush->file, flush->page, flush->len, &kept);
	for (uint32_t i = 0; i < flush->nr_lines; i++) {
		const struct page_line *line = &flush->line[i];
		struct settlement *settlement = &flush->settlement[line->port];

		if (line->end <= kept) {
			flush->lines++;
			settlement->declared += line->skipdata ? line->packets : 0;
		} else {
			settlement->lost += line->skipdata ? 0 : line->packets;
		}
	}
	flush->len = flush->nr_lines = 0;
}

static char *next_line(struct flush *flush)
{
	if (flush->nr_lines == PAGE_LINES || flush->len + LINE_MAX_BYTES > PAGE_BYTES)
		write_page(flush);
	return flush->page + flush->len;
}

static void add_line(struct flush *flush, size_t len, uint32_t port, uint64_t packets, bool skipdata)
{
	flush->len += len;
	flush->line[flush->nr_lines++] = (struct page_line){(uint32_t)flush->len, port, packets, skipdata};
}

static void write_traffic(struct flush *flush)
{
	for (size_t i = 0; i < flush->nr_due; i++) {
		const struct window_entry *entry = &flush->entries[flush->due[i]];
		const struct log_eni *eni = log_eni(flush->enis, entry->key.port);
		struct book *book;

		if (!eni)
			continue;
		book = &flush->books->page->port[entry->key.port];
		if (book->last_start_s < entry->key.start_s)
			book->last_start_s = entry->key.start_s;
		if (eni->what & (entry->key.reject ? LOG_REJECT : LOG_ACCEPT))
			add_line(flush, line_traffic(eni, entry, next_line(flush)), entry->key.port,
				 entry->count.packets, false);
	}
}

/* Did this port have traffic in the window from start_s? The due entries are in order of window and port. */
static bool had_traffic(const struct flush *flush, uint32_t port, uint32_t start_s)
{
	size_t low = 0, high = flush->nr_due;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct window_key *key = &flush->entries[flush->due[mid]].key;

		if (key->start_s == start_s && key->port == port)
			return true;
		if (key->start_s < start_s || (key->start_s == start_s && key->port < port))
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static void write_skipdata(struct flush *flush, const struct log_eni *eni, uint32_t port, uint32_t start_s)
{
	uint64_t pending = books_pending(flush->books, port);

	if (pending)
		add_line(flush, line_empty(eni, start_s, eni->interval_s, "SKIPDATA", next_line(flush)), port, pending,
			 true);
}

/* The windows of one ENI that ended in (from_s, due_s]: the idle ones, and what is missing, with the last of them. */
static void write_idle(struct flush *flush, const struct log_eni *eni, uint32_t port)
{
	uint32_t step = eni->interval_s, due_s = flush->header->due_s, from_s = flush->header->from_s;
	uint32_t last = due_s / step * step;
	struct book *book = &flush->books->page->port[port];

	if (from_s + STALL_MAX_S < due_s)
		from_s = due_s - STALL_MAX_S;
	for (uint32_t end = (from_s / step + 1) * step; end <= last; end += step) {
		bool idle = !eni->gone && !had_traffic(flush, port, end - step) && book->last_start_s != end - step;

		if (idle && (end != last || !books_pending(flush->books, port))) {
			add_line(flush, line_empty(eni, end - step, step, "NODATA", next_line(flush)), port, 0, false);
			book->last_start_s = end - step;
		}
		if (end == last)
			write_skipdata(flush, eni, port, end - step);
	}
}

static void write_all(struct flush *flush)
{
	write_traffic(flush);
	for (uint32_t port = 0; port < flush->enis->nr; port++) {
		const struct log_eni *eni = flush->enis->by_port[port];

		if (!eni || !eni->what)
			continue;
		if (!flush->header->partial)
			write_idle(flush, eni, port);
		else
			write_skipdata(flush, eni, port, flush->header->due_s / eni->interval_s * eni->interval_s);
	}
	write_page(flush);
}

static void settle(struct flush *flush)
{
	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		const struct settlement *settlement = &flush->settlement[port];

		if (settlement->declared)
			books_declare(flush->books, port, settlement->declared);
		if (settlement->lost)
			books_skip(flush->books, port, settlement->lost);
	}
	flush->books->page->lines += flush->lines;
}

/* Where the file ended before the first line; a flush begun by a killed agent is undone first. */
static void begin(struct logfile *file, struct window_header *header)
{
	if (header->log_inode)
		logfile_rewind(file, header->log_inode, header->log_size);
	header->log_size = file->size;
	__atomic_store_n(&header->log_inode, file->inode, __ATOMIC_RELEASE);
}

int flush_window(struct logfile *file, struct window *window, const struct log_enis *enis, struct books *books)
{
	struct flush *flush = calloc(1, sizeof(*flush));
	int r;

	if (!flush)
		return -ENOMEM;
	flush->file = file;
	flush->header = window_header(window);
	flush->entries = window_entries(window);
	flush->enis = enis;
	flush->books = books;
	r = collect_due(flush);
	if (!r) {
		flush->r = logfile_ready(file);
		if (!flush->r)
			begin(file, window_header(window));
		write_all(flush);
		settle(flush);
		window_reset(window);
		r = flush->r;
	}
	free(flush->due);
	free(flush->settlement);
	free(flush);
	return r;
}
