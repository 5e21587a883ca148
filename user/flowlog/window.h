/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sums of the flow logs: per ENI, direction, verdict, addresses and window one entry (FL-03, FL-19).
 *
 * An entry is what will be one line. Entries lie densely in a store (store.h) behind a header, so that a killed agent
 * finds them again; the hash index over them is plain memory and made anew.
 *
 * Invariants
 *  I1  header.used counts whole entries only: it is raised after the entry is written.
 *  I2  Of the two tables of a collector one is filled (OPEN); the other is empty or with the writer (CLOSED).
 *  I3  A table is CLOSED only when all its unfinished windows were copied to the next one; that one is OPEN only after.
 */
#ifndef ENID_WINDOW_H
#define ENID_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "enid/types.h"
#include "flowlog/store.h"

#define WINDOW_ENTRIES_MAX (4u << 20)
#define WINDOW_MAGIC       0x32676f6c64696e65ull

struct window_key {
	union addr src, dst; /* as in the packet there; the own one is replaced where lines are made (FL-11) */
	__be16 sport, dport;
	uint8_t proto, family;
	uint8_t egress, reject;
	uint32_t port;     /* whose line it is */
	uint32_t start_s;  /* of the window, Unix time */
	uint8_t reason;    /* enum enid_reason, rejects only */
	uint8_t path;      /* FL-14; 0 = none */
	uint16_t pair;     /* at a transit gateway: port of the other attachment (FL-27) */
	uint16_t from, to; /* ... ports of the ENIs by which packets came in and go out; 0 = none is known */
};

struct window_count {
	uint64_t packets, bytes;
	uint32_t first_s, last_s; /* Unix time of the first and last packet, as far as known */
	uint32_t tcp_flags;       /* FL-13 */
	uint32_t rule;            /* rulebook.h: who decided, as far as known; 0 = nobody */
	uint64_t flow;            /* number and generation of the record; 0 = none */
};

struct window_entry {
	struct window_key key;
	struct window_count count;
	uint32_t interval_s;
};

enum window_state { WINDOW_EMPTY, WINDOW_COPYING, WINDOW_OPEN, WINDOW_CLOSED };

struct window_header {
	uint64_t magic;
	uint64_t instance; /* which kernel side the port numbers belong to */
	uint64_t sequence; /* grows with each table that is opened */
	uint32_t entry_size;
	uint32_t state; /* enum window_state */
	uint32_t used;
	uint32_t due_s;     /* CLOSED: windows that end by then are to be written, the others were copied */
	uint32_t from_s;    /* ... and those that ended by then were written before */
	uint32_t partial;   /* ... everything is due: the agent stops */
	uint64_t log_inode; /* CLOSED: the log file and its size before the first line; 0 = not begun */
	uint64_t log_size;
};

struct window {
	struct store store;
	uint32_t *index; /* entry + 1 */
	uint32_t mask;
	uint32_t max;
	uint64_t secret;
};

/* dir NULL: plain memory. A file of another instance or layout counts as empty. ret: 0 | -ENOMEM */
int window_open(const char *dir, const char *name, uint64_t instance, uint32_t max, struct window *ret);
void window_close(struct window *window);

struct window_header *window_header(const struct window *window);
struct window_entry *window_entries(const struct window *window);

/* Add to the entry of `key`, making it if need be. ret: 0 | -ENOSPC (table full, nothing added) | -ENOMEM */
int window_add(struct window *window, const struct window_key *key, uint32_t interval_s,
	       const struct window_count *count);

/* Both are of the same flow: sums, the earliest and latest packet, the rule of the latest. */
void window_merge(struct window_count *into, const struct window_count *count);

/* Copy what is not due by `due_s` into `next` and close `window`. ret: 0 | -errno (nothing changed) */
int window_hand_over(struct window *window, struct window *next, uint32_t from_s, uint32_t due_s, bool partial);
/* All is written: forget it. */
void window_reset(struct window *window);

static inline bool window_is_due(const struct window_header *header, const struct window_entry *entry)
{
	return header->partial || entry->key.start_s + entry->interval_s <= header->due_s;
}

#endif
