/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The places of FlowLogs objects beside the log file: a folder, an S3 tree, a collector of NetFlow or IPFIX. Used by
 * the writer's thread only, which flushes each window to the sinks first and to the log file last.
 *
 * What a sink has done stands in <log-dir>/<FlowLogId>.sink.part, a store: which window it has whole, how long its
 * files were then, and what it still has to declare. So a killed flush is cut back and done again, at this sink as at
 * the log file, and each sink has exact books of its own: what was lost before it came to any file (books.h), and what
 * this sink lost.
 */
#ifndef ENID_FLOWLOG_SINK_H
#define ENID_FLOWLOG_SINK_H

#include "flowlog/flush.h"

#define SINK_MAGIC 0x336b6e6973646965ull
#define SINK_PARTS 16
#define SINK_PATH  1024 /* prefix, names of account, Region and object at their longest */

/* A file that is being filled: text, compressed when it is cut. */
struct sink_part {
	uint32_t slot_s; /* five minutes from there (FL-26); used: path is not empty */
	uint32_t zero;
	uint64_t size;
	char path[SINK_PATH]; /* below the log folder, without .part or .gz */
};

struct sink_page {
	uint64_t magic, instance;
	uint64_t done;    /* sequence of the last window that is here whole */
	uint64_t sending; /* datagrams: sequence of the window under way, and how many of its records are sent: */
	uint64_t sent;    /* ... SKIPDATA is not counted, it is in port[] as soon as it goes out */
	uint64_t lines;
	uint32_t datagrams, records; /* sequence numbers of NetFlow and IPFIX */
	uint32_t since_s;            /* NetFlow's uptime counts from here */
	uint32_t kind;               /* that the parts are of: enum spec_kind; 0 = none yet */
	struct sink_part part[SINK_PARTS];
	struct {
		uint64_t told; /* of books.common: declared here, or lost before this sink's first window */
		uint64_t lost; /* by this sink, not yet declared */
	} port[PORTS_MAX];
	uint64_t declared[PORTS_MAX]; /* by SKIPDATA, ever */
	/* What these are to be once window `settling` is here whole. It counts from the moment that this is the
	 * window's. */
	uint64_t settling;
	struct sink_part part_then[SINK_PARTS];
	struct {
		uint64_t told, lost, declared;
	} then[PORTS_MAX];
	uint64_t declaring; /* the port whose `then` is being taken by sink_declare(); 0 = none */
};

struct sink {
	char id[ID_MAX];
	struct store store;
	struct sink_page *page;
	const char *dir;
	/* for the flush under way */
	const struct log_spec *spec;
	const struct window *window;
	const struct books *books;
	struct settlement *settlement;
	struct sink_part part[SINK_PARTS]; /* as they are to stand in the page */
	int r;
};

struct sinks {
	const char *dir;
	uint64_t instance;
	struct sink *sink[SINKS_MAX + 1]; /* and LOG_REJECTS */
	size_t nr;
	bool looked;       /* for what FlowLogs objects left that are gone */
	char problem[200]; /* of the last flush; "" = none */
};

/* One closed window to all sinks of `enis`. ret: 0 | -ENOMEM: to be done again | -errno of the last one that failed;
 * the window stays as it is */
int sinks_flush(struct sinks *sinks, const struct window *window, const struct log_enis *enis, struct books *books);
void sinks_close(struct sinks *sinks);

/* Packets of a port that no line here has shown or declared. */
uint64_t sink_pending(const struct sink *sink, uint32_t port);
/* A SKIPDATA line stands for these. All of it or nothing, whenever the agent is killed: what it was at is done again.
 */
void sink_declare(struct sink *sink, uint32_t port, uint64_t packets);
void sink_redeclare(struct sink *sink);

/* The kinds. Each gives its lines to flush_lines() and settles. ret: 0 | -errno */
int tree_flush(struct sink *sink, const struct log_enis *enis, struct flush_ask *ask);
int netflow_flush(struct sink *sink, const struct log_enis *enis, struct flush_ask *ask);
/* tree.c: cut what is due by then; UINT32_MAX = everything */
int tree_cut(struct sink *sink, uint32_t due_s);

#endif
