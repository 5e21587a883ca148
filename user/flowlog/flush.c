/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One closed window to lines: entries that the asker does not tell apart are added up (FL-03).
 *
 * The books change only after the last line, so that a flush that was killed and is done again counts nothing twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flowlog/flush.h"

#define STALL_MAX_S 3600u /* after a longer stall no NODATA lines are made up for the time before */

struct flush {
	const struct window_header *header;
	const struct window_entry *entries;
	const struct log_enis *enis;
	const struct books *books;
	const struct flush_ask *ask;
	uint32_t *due; /* entries to write, in order */
	size_t nr_due;
};

/* What the asker sees of a key. */
static struct window_key seen(const struct flush *flush, uint32_t index)
{
	struct window_key key = flush->entries[index].key;
	union addr own;

	if (!(flush->ask->by & FORMAT_BY_PATH))
		key.path = 0;
	if (!(flush->ask->by & FORMAT_BY_REASON))
		key.reason = 0;
	if (!(flush->ask->by & FORMAT_BY_PACKET)) {
		log_eni_own(log_eni(flush->enis, key.port), key.family, key.egress ? &key.src : &key.dst, &own);
		*(key.egress ? &key.src : &key.dst) = own;
	}
	return key;
}

static int compare_entries(const void *a, const void *b, void *arg)
{
	struct window_key x = seen(arg, *(const uint32_t *)a), y = seen(arg, *(const uint32_t *)b);

	if (x.start_s != y.start_s)
		return x.start_s < y.start_s ? -1 : 1;
	if (x.port != y.port)
		return x.port < y.port ? -1 : 1;
	return memcmp(&x, &y, sizeof(x));
}

static bool is_rejects(const struct flush *flush)
{
	size_t log = (size_t)flush->ask->log;

	return flush->ask->log != FLUSH_ALL && log < flush->enis->nr_logs && flush->enis->logs[log].rejects;
}

static int collect_due(struct flush *flush)
{
	bool rejects = is_rejects(flush);

	flush->due = malloc(((size_t)flush->header->used + 1) * sizeof(*flush->due));
	if (!flush->due)
		return -ENOMEM;
	for (uint32_t i = 0; i < flush->header->used; i++)
		if (window_is_due(flush->header, &flush->entries[i]) && (!rejects || flush->entries[i].key.reject) &&
		    log_eni(flush->enis, flush->entries[i].key.port))
			flush->due[flush->nr_due++] = i;
	qsort_r(flush->due, flush->nr_due, sizeof(*flush->due), compare_entries, flush);
	return 0;
}

static uint32_t wanted(const struct flush *flush, const struct log_eni *eni)
{
	if (flush->ask->log == FLUSH_ALL)
		return eni->transit ? 0 : eni->what; /* the log file is of ENIs */
	return log_eni_wants(eni, (uint32_t)flush->ask->log);
}

static void give_traffic(const struct flush *flush, const struct window_key *key, const struct window_count *count)
{
	const struct log_eni *eni = log_eni(flush->enis, key->port);
	struct settlement *settlement = &flush->ask->settlement[key->port];

	if (settlement->last_start_s < key->start_s)
		settlement->last_start_s = key->start_s;
	if (wanted(flush, eni) & (key->reject ? LOG_REJECT : LOG_ACCEPT))
		flush->ask->line(flush->ask->arg, &(struct log_line){.eni = eni,
								     .enis = flush->enis,
								     .key = key,
								     .count = count,
								     .port = key->port,
								     .start_s = count->first_s,
								     .end_s = count->last_s,
								     .packets = count->packets});
}

static void give_all_traffic(const struct flush *flush)
{
	size_t i = 0;

	while (i < flush->nr_due) {
		struct window_key key = seen(flush, flush->due[i]);
		struct window_count count = flush->entries[flush->due[i]].count;

		for (i++; i < flush->nr_due; i++) {
			struct window_key next = seen(flush, flush->due[i]);

			if (memcmp(&next, &key, sizeof(key)) != 0)
				break;
			window_merge(&count, &flush->entries[flush->due[i]].count);
		}
		give_traffic(flush, &key, &count);
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

static void give_empty(const struct flush *flush, uint32_t port, uint32_t start_s, enum line_status status,
		       uint64_t packets)
{
	const struct log_eni *eni = log_eni(flush->enis, port);

	flush->ask->line(flush->ask->arg, &(struct log_line){.eni = eni,
							     .enis = flush->enis,
							     .port = port,
							     .start_s = start_s,
							     .end_s = start_s + eni->interval_s - 1,
							     .status = status,
							     .packets = packets});
}

static void give_skipdata(const struct flush *flush, uint32_t port, uint32_t start_s)
{
	uint64_t pending = flush->ask->pending(flush->ask->arg, port);

	if (pending)
		give_empty(flush, port, start_s, LINE_SKIPDATA, pending);
}

/* The windows of one ENI that ended in (from_s, due_s]: the idle ones, and what is missing, with the last of them. */
static void give_idle(const struct flush *flush, const struct log_eni *eni, uint32_t port)
{
	uint32_t step = eni->interval_s, due_s = flush->header->due_s, from_s = flush->header->from_s;
	uint32_t last = due_s / step * step, told_s = flush->books->page->port[port].last_start_s;
	struct settlement *settlement = &flush->ask->settlement[port];

	if (is_rejects(flush)) { /* idle windows are no news */
		if (last > from_s)
			give_skipdata(flush, port, last - step);
		return;
	}
	if (from_s + STALL_MAX_S < due_s)
		from_s = due_s - STALL_MAX_S;
	for (uint32_t end = (from_s / step + 1) * step; end <= last; end += step) {
		bool idle = !eni->gone && !had_traffic(flush, port, end - step) && told_s != end - step;

		if (idle && (end != last || !flush->ask->pending(flush->ask->arg, port))) {
			give_empty(flush, port, end - step, LINE_NODATA, 0);
			settlement->last_start_s = end - step;
		}
		if (end == last)
			give_skipdata(flush, port, end - step);
	}
}

static void give_all(const struct flush *flush)
{
	give_all_traffic(flush);
	for (uint32_t port = 0; port < flush->enis->nr; port++) {
		const struct log_eni *eni = flush->enis->by_port[port];

		if (!eni || !wanted(flush, eni))
			continue;
		if (!flush->header->partial)
			give_idle(flush, eni, port);
		else
			give_skipdata(flush, port, flush->header->due_s / eni->interval_s * eni->interval_s);
	}
}

int flush_lines(const struct window *window, const struct log_enis *enis, const struct books *books,
		const struct flush_ask *ask)
{
	struct flush flush = {.header = window_header(window),
			      .entries = window_entries(window),
			      .enis = enis,
			      .books = books,
			      .ask = ask};
	int r = collect_due(&flush);

	if (!r)
		give_all(&flush);
	free(flush.due);
	return r;
}

/* ---- the log file */

struct all {
	struct pager pager;
	struct format format;
	struct books *books;
	struct settlement settlement[PORTS_MAX]; /* by port */
};

static int append_to_file(void *out, const char *lines, size_t len, size_t *ret_kept)
{
	return logfile_append(out, lines, len, ret_kept);
}

static uint64_t pending_at_all(void *arg, uint32_t port)
{
	return books_pending(((struct all *)arg)->books, port);
}

static void line_of_all(void *arg, const struct log_line *line)
{
	pager_line(&((struct all *)arg)->pager, line);
}

static void settle(struct all *all, uint64_t sequence)
{
	struct books_settling *settling = &all->books->page->settling;

	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		const struct settlement *settlement = &all->settlement[port];
		const struct book *book = &all->books->page->port[port];
		uint32_t last_start_s = settlement->last_start_s;

		settling->port[port].lost = book->lost + settlement->lost;
		settling->port[port].declared = book->declared + settlement->declared;
		settling->port[port].common_then = settlement->common;
		settling->port[port].last_start_s =
			last_start_s > book->last_start_s ? last_start_s : book->last_start_s;
	}
	settling->lines = all->books->page->lines + all->pager.lines;
	__atomic_store_n(&settling->sequence, sequence, __ATOMIC_RELEASE);
	(void)books_settle(all->books, sequence);
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
	struct all *all = calloc(1, sizeof(*all));
	struct flush_ask ask = {.log = FLUSH_ALL, .pending = pending_at_all, .line = line_of_all, .arg = all};
	char *why = NULL;
	int r;

	if (books_settle(books, window_header(window)->sequence)) { /* a killed agent came that far */
		free(all);
		window_reset(window);
		books_settled(books);
		return 0;
	}
	if (!all || format_parse(LOG_FORMAT_DEFAULT, &all->format, &why)) {
		free(why);
		free(all);
		return -ENOMEM;
	}
	all->books = books;
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		all->settlement[port].common = books_common(books, port);
	all->pager.append = append_to_file;
	all->pager.out = file;
	all->pager.format = &all->format;
	all->pager.settlement = ask.settlement = all->settlement;
	all->pager.r = logfile_ready(file);
	if (!all->pager.r)
		begin(file, window_header(window));
	r = flush_lines(window, enis, books, &ask);
	if (!r) {
		pager_write(&all->pager);
		settle(all, window_header(window)->sequence);
		window_reset(window);
		books_settled(books);
		r = all->pager.r;
	}
	free(all);
	return r;
}
