/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is missing in the flow logs, per port, exactly: packets seen = packets in records + packets declared by SKIPDATA
 * (E26). Lies in a store (store.h) beside the windows.
 *
 * Losses have three sources: the data path had no room for a tally or an event (port_stats.skipped_*), the window table
 * was full, the disk was. The collector and the writer's thread both add to `pending`; only the writer takes from it.
 */
#ifndef ENID_FLOWLOG_BOOKS_H
#define ENID_FLOWLOG_BOOKS_H

#include <stdint.h>

#include "enid/port.h"
#include "flowlog/store.h"

#define BOOKS_MAGIC 0x31736b6f6f626e65ull

struct book {
	uint64_t told_accepts; /* port_stats.skipped_accepts, as far as it is in pending or declared */
	uint64_t told_rejects;
	uint64_t pending;      /* packets that no record shows and no SKIPDATA line has declared yet */
	uint64_t declared;     /* ... and those that one has */
	uint32_t last_start_s; /* the latest window that has a line of this port */
	uint32_t zero;
};

struct books_page {
	uint64_t magic;
	uint64_t instance;
	uint64_t lines; /* written since the pins were made */
	struct book port[PORTS_MAX];
};

struct books {
	struct store store;
	struct books_page *page;
};

/* dir NULL: plain memory. ret: 0 | -ENOMEM */
int books_open(const char *dir, const char *name, uint64_t instance, struct books *ret);
void books_close(struct books *books);

void books_skip(struct books *books, uint32_t port, uint64_t packets);
/* Take over what the data path skipped since the last call. */
void books_kernel(struct books *books, uint32_t port, const struct port_stats *stats);
uint64_t books_pending(const struct books *books, uint32_t port);
/* A SKIPDATA line stands for these. */
void books_declare(struct books *books, uint32_t port, uint64_t packets);

#endif
