/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is missing in the flow logs, per port, exactly: packets seen = packets in records + packets declared by SKIPDATA
 * (E26). Lies in a store (store.h) beside the windows.
 *
 * Losses have three sources: the data path had no room for a tally or an event (port_stats.skipped_*), the window table
 * was full, the disk was. Each number has one writer: the collector those down to `common`, the writer's thread the
 * others, and these only by settling a window, which is done whole or not at all, whenever the agent is killed.
 */
#ifndef ENID_FLOWLOG_BOOKS_H
#define ENID_FLOWLOG_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "enid/port.h"
#include "enid/types.h"
#include "flowlog/store.h"

#define BOOKS_MAGIC        0x34736b6f6f626e65ull
#define BOOKS_MAGIC_3      0x33736b6f6f626e65ull /* of builds that kept what is owed in place of `lost` */
#define BOOKS_MAGIC_3_READ 0x72336b6f6f626e65ull /* ... whose `lost` is worked out, in `settling` */

struct book {
	uint64_t told_accepts; /* port_stats.skipped_accepts, as far as it is in pending or declared */
	uint64_t told_rejects;
	uint64_t lost;         /* on the way to the log file */
	uint64_t declared;     /* packets that no record shows, and a SKIPDATA line does */
	uint64_t common;       /* lost before it came to any file */
	uint64_t common_then;  /* ... as it was at the last flush: a reader that is new answers for the rest */
	uint32_t last_start_s; /* the latest window that has a line of this port */
	uint32_t zero;
};

/* What the numbers are to be once a window is written. It counts from the moment that `sequence` is the window's. */
struct books_settling {
	uint64_t sequence;
	uint64_t lines;
	struct {
		uint64_t lost, declared, common_then;
		uint32_t last_start_s, zero;
	} port[PORTS_MAX];
};

#define TELLING_SIGHTS 48 /* of both halves (vantage.h) */

/* One record's news on their way from the record to the window: telling.h */
struct telling {
	uint32_t nr; /* of owed[]; 0 = nothing is on its way */
	uint32_t index, gs;
	uint32_t told_packets[2]; /* the record is to say so, by half */
	struct tuple tuple;       /* ... if it is this one still */
	uint64_t told_bytes[2];
	struct {
		uint32_t port, zero;
		uint64_t packets; /* 0 = in the window, or nobody asks */
	} owed[TELLING_SIGHTS];
};

struct books_page {
	uint64_t magic;
	uint64_t instance;
	uint64_t lines; /* written since the pins were made */
	struct book port[PORTS_MAX];
	struct books_settling settling;
	struct telling telling; /* builds before had none: it is zero then (store.h) */
};

struct books {
	struct store store;
	struct books_page *page;
};

/* dir NULL: plain memory. ret: 0 | -ENOMEM */
int books_open(const char *dir, const char *name, uint64_t instance, struct books *ret);
void books_close(struct books *books);

/* Before it came to a file: no reader will see it. */
void books_skip(struct books *books, uint32_t port, uint64_t packets);
/* Take over what the data path skipped since the last call. */
void books_kernel(struct books *books, uint32_t port, const struct port_stats *stats);
/* Neither shown nor declared so far. */
uint64_t books_pending(const struct books *books, uint32_t port);
/* All that was skipped, ever. */
uint64_t books_common(const struct books *books, uint32_t port);
/* Take the numbers of page->settling, if they are those of this window. ret: false = it is not settled yet */
bool books_settle(struct books *books, uint64_t sequence);
/* The window is empty: nobody asks again. */
void books_settled(struct books *books);

#endif
