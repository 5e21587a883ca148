/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A FlowLogs object to a collector by UDP. A datagram is counted as sent before it goes out: killed in between, the
 * collector sees by the sequence number that one is missing, and none comes twice. What cannot be sent is in the books
 * of the sink; what is lost on the way is not, which is UDP's nature. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flowlog/netflow.h"
#include "flowlog/sink.h"

#define BURST    16        /* datagrams, then a pause: */
#define PAUSE_NS 1000000ll /* about 20 MB/s at the most */

struct sending {
	struct sink *sink;
	struct netflow netflow;
	int fd;
	uint64_t skip; /* records that a killed flush has sent */
	uint32_t burst;
	struct {
		uint32_t port;
		uint64_t packets;
		bool skipdata;
	} line[NETFLOW_RECORDS_MAX];
	int r;
};

static void pace(struct sending *sending)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	if (++sending->burst % BURST == 0)
		nanosleep(&pause, NULL);
}

/* An error may be about a datagram sent before (nobody listens): the one that met it is sent again. */
static int send_bytes(struct sending *sending, const void *bytes, size_t len)
{
	ssize_t n = send(sending->fd, bytes, len, MSG_NOSIGNAL);

	if (n < 0 && errno == ECONNREFUSED) {
		sending->r = -ECONNREFUSED;
		n = send(sending->fd, bytes, len, MSG_NOSIGNAL);
	}
	if (n < 0 && errno == ENOMEM)
		return -ENOBUFS; /* this datagram is lost: -ENOMEM would mean that nothing was given */
	return n < 0 ? -errno : 0;
}

/* Before it goes out. A SKIPDATA that a killed flush has sent is not pending when the flush is done again. */
static void settle_as_sent(struct sending *sending, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (sending->line[i].skipdata)
			sink_declare(sending->sink, sending->line[i].port, sending->line[i].packets);
		else
			sending->sink->page->sent++;
	sending->sink->page->lines += nr;
}

/* What it stood for is owed, be it traffic or a declaration. */
static void settle_as_lost(struct sending *sending, uint32_t nr)
{
	struct sink_page *page = sending->sink->page;

	for (uint32_t i = 0; i < nr; i++) {
		page->port[sending->line[i].port].lost += sending->line[i].packets;
		if (sending->line[i].skipdata)
			page->declared[sending->line[i].port] -= sending->line[i].packets;
	}
	page->lines -= nr;
}

static void send_datagram(struct sending *sending)
{
	struct sink_page *page = sending->sink->page;
	uint32_t nr = sending->netflow.nr_records;
	size_t len = netflow_end(&sending->netflow);
	int r;

	if (!len)
		return;
	/* first: of what a kill keeps from being sent although it is settled the collector sees the gap */
	*(sending->netflow.ipfix ? &page->records : &page->datagrams) = sending->netflow.sequence;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	settle_as_sent(sending, nr);
	r = sending->fd >= 0 ? send_bytes(sending, sending->netflow.bytes, len) : sending->r;
	if (r) {
		sending->r = r;
		settle_as_lost(sending, nr);
	}
	pace(sending);
}

static void add_line(void *arg, const struct log_line *line)
{
	struct sending *sending = arg;
	uint32_t nr;

	if (line->status == LINE_NODATA)
		return;
	if (sending->skip && line->status == LINE_OK) {
		sending->skip--;
		return;
	}
	if (!netflow_add(&sending->netflow, line)) {
		send_datagram(sending);
		netflow_begin(&sending->netflow, (uint32_t)time(NULL));
		(void)netflow_add(&sending->netflow, line);
	}
	nr = sending->netflow.nr_records - 1;
	sending->line[nr].port = line->port;
	sending->line[nr].packets = line->packets;
	sending->line[nr].skipdata = line->status == LINE_SKIPDATA;
}

static uint64_t pending(void *arg, uint32_t port)
{
	return sink_pending(((struct sending *)arg)->sink, port);
}

static int open_socket(const struct log_spec *spec)
{
	int fd = socket(spec->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0 || !connect(fd, (const struct sockaddr *)&spec->to, spec->to_len))
		return fd < 0 ? -errno : fd;
	r = -errno;
	close(fd);
	return r;
}

int netflow_flush(struct sink *sink, const struct log_enis *enis, struct flush_ask *ask)
{
	uint64_t sequence = window_header(sink->window)->sequence;
	struct sending *sending = calloc(1, sizeof(*sending));
	struct flush_ask through = *ask;
	int r, fd = open_socket(sink->spec);

	if (!sending || fd == -ENOMEM) {
		if (fd >= 0)
			close(fd);
		free(sending);
		return -ENOMEM;
	}
	sending->skip = sink->page->sending == sequence ? sink->page->sent : 0;
	sink->page->sent = sending->skip;
	sink->page->sending = sequence;
	sending->sink = sink;
	sending->netflow = (struct netflow){.ipfix = sink->spec->kind == SPEC_IPFIX,
					    .domain = 1,
					    .sequence = sink->spec->kind == SPEC_IPFIX ? sink->page->records
										       : sink->page->datagrams,
					    .since_s = sink->page->since_s,
					    .untemplated = NETFLOW_TEMPLATES_NR};
	sending->fd = fd;
	sending->r = sending->fd < 0 ? sending->fd : 0;
	through.arg = sending;
	through.pending = pending;
	through.line = add_line;
	through.by = FORMAT_BY_PACKET;
	netflow_begin(&sending->netflow, (uint32_t)time(NULL));
	r = flush_lines(sink->window, enis, sink->books, &through);
	send_datagram(sending);
	r = r ? r : sending->r;
	if (sending->fd >= 0)
		close(sending->fd);
	free(sending);
	return r;
}
