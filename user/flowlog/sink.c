/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The places of FlowLogs objects: which there are, what they have done, what they still owe. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flowlog/sink.h"

/* A name for a file of any id: what might mean something in a path is spelt out. */
static void file_name(const char *id, char *ret, size_t size)
{
	size_t at = 0;

	for (; *id && at + 16 < size; id++)
		at += (size_t)snprintf(ret + at, size - at, isalnum((unsigned char)*id) || *id == '-' ? "%c" : "%%%02x",
				       (unsigned char)*id);
	snprintf(ret + at, size - at, ".sink.part");
}

static void sink_free(struct sink *sink)
{
	if (sink)
		store_close(&sink->store);
	free(sink);
}

static int sink_open(const struct sinks *sinks, const char *id, const struct books *books, struct sink **ret)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	char name[4 * ID_MAX];
	int r = sink ? 0 : -ENOMEM;

	file_name(id, name, sizeof(name));
	if (!r)
		r = store_open(sinks->dir, name, sizeof(struct sink_page), &sink->store);
	if (r) {
		free(sink);
		return r;
	}
	snprintf(sink->id, sizeof(sink->id), "%s", id);
	sink->dir = sinks->dir;
	sink->page = sink->store.base;
	if (sink->page->magic && sink->page->magic != SINK_MAGIC)
		memset(sink->page, 0, sizeof(*sink->page)); /* of another build */
	if (sink->page->magic != SINK_MAGIC || sink->page->instance != sinks->instance) {
		sink->page->instance = sinks->instance;
		sink->page->done = sink->page->sending = sink->page->settling = sink->page->declaring = 0;
		sink->page->since_s = sink->page->since_s ? sink->page->since_s : (uint32_t)time(NULL) - 86400;
		for (uint32_t port = 0; port < PORTS_MAX; port++) {
			sink->page->port[port].told = books->page->port[port].common_then;
			sink->page->port[port].lost = sink->page->declared[port] = 0;
		}
		sink->page->magic = SINK_MAGIC;
	}
	*ret = sink;
	return 0;
}

static int sink_of(struct sinks *sinks, const struct log_spec *spec, const struct books *books, struct sink **ret)
{
	size_t i = 0;
	int r = 0;

	while (i < sinks->nr && strcmp(sinks->sink[i]->id, spec->id) != 0)
		i++;
	if (i == SINKS_MAX + 1)
		return -ENFILE; /* user/state refuses so many */
	if (i == sinks->nr)
		r = sink_open(sinks, spec->id, books, &sinks->sink[i]);
	if (r)
		return r;
	sinks->nr += i == sinks->nr;
	*ret = sinks->sink[i];
	return 0;
}

/* The same FlowLogId goes elsewhere from now on: what lies at the former place is finished there. */
static void become(struct sink *sink, enum spec_kind kind)
{
	struct sink_page *page = sink->page;

	if (page->kind == (uint32_t)kind)
		return;
	if (page->kind) {
		(void)tree_cut(sink, UINT32_MAX);
		memset(page->part, 0, sizeof(page->part));
		page->sending = page->sent = 0;
	}
	page->kind = kind;
}

uint64_t sink_pending(const struct sink *sink, uint32_t port)
{
	return books_common(sink->books, port) - sink->page->port[port].told + sink->page->port[port].lost;
}

static uint64_t pending(void *arg, uint32_t port)
{
	return sink_pending(arg, port);
}

/* What was declared is paid back first from what this sink lost. */
static void pay(uint64_t *lost, uint64_t *told, uint64_t packets)
{
	uint64_t own = *lost < packets ? *lost : packets;

	*lost -= own;
	*told += packets - own;
}

static void take_port(struct sink_page *page, uint32_t port)
{
	page->port[port].told = page->then[port].told;
	page->port[port].lost = page->then[port].lost;
	page->declared[port] = page->then[port].declared;
}

void sink_declare(struct sink *sink, uint32_t port, uint64_t packets)
{
	struct sink_page *page = sink->page;
	uint64_t lost = page->port[port].lost, told = page->port[port].told;

	pay(&lost, &told, packets);
	page->then[port].lost = lost;
	page->then[port].told = told;
	page->then[port].declared = page->declared[port] + packets;
	__atomic_store_n(&page->declaring, port, __ATOMIC_RELEASE);
	sink_redeclare(sink);
}

void sink_redeclare(struct sink *sink)
{
	uint64_t port = __atomic_load_n(&sink->page->declaring, __ATOMIC_ACQUIRE);

	if (port && port < PORTS_MAX)
		take_port(sink->page, (uint32_t)port);
	__atomic_store_n(&sink->page->declaring, 0, __ATOMIC_RELEASE);
}

/* ret: false = this window is not settled yet */
static bool take_settled(struct sink_page *page, uint64_t sequence)
{
	if (!sequence || __atomic_load_n(&page->settling, __ATOMIC_ACQUIRE) != sequence)
		return false;
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		take_port(page, port);
	memcpy(page->part, page->part_then, sizeof(page->part));
	__atomic_store_n(&page->done, sequence, __ATOMIC_RELEASE);
	__atomic_store_n(&page->settling, 0, __ATOMIC_RELEASE);
	return true;
}

/* All of it, or nothing, whenever the agent is killed. */
static void settle(struct sink *sink, uint64_t sequence)
{
	struct sink_page *page = sink->page;

	for (uint32_t port = 0; port < PORTS_MAX; port++) {
		const struct settlement *settlement = &sink->settlement[port];
		uint64_t lost = page->port[port].lost, told = page->port[port].told;

		pay(&lost, &told, settlement->declared);
		page->then[port].lost = lost + settlement->lost;
		page->then[port].told = told;
		page->then[port].declared = page->declared[port] + settlement->declared;
	}
	memcpy(page->part_then, sink->spec->kind >= SPEC_NETFLOW9 ? page->part : sink->part, sizeof(page->part_then));
	__atomic_store_n(&page->settling, sequence, __ATOMIC_RELEASE);
	(void)take_settled(page, sequence);
}

static int flush_one(struct sink *sink, const struct log_enis *enis, int log)
{
	struct flush_ask ask = {.log = log, .by = sink->spec->format.by, .pending = pending, .arg = sink};
	const struct window_header *header = window_header(sink->window);
	bool datagrams = sink->spec->kind >= SPEC_NETFLOW9;
	int r = 0;

	if (sink->page->done != header->sequence) {
		sink->settlement = ask.settlement = calloc(PORTS_MAX, sizeof(*sink->settlement));
		if (!sink->settlement)
			return -ENOMEM;
		r = datagrams ? netflow_flush(sink, enis, &ask) : tree_flush(sink, enis, &ask);
		if (r != -ENOMEM)
			settle(sink, header->sequence);
		free(sink->settlement);
		sink->settlement = NULL;
	}
	return r;
}

static bool is_wanted(const struct log_enis *enis, const char *id)
{
	for (size_t log = 0; log < enis->nr_logs; log++)
		if (enis->logs[log].kind != SPEC_LOCAL && !strcmp(enis->logs[log].id, id))
			return true;
	return false;
}

/* The FlowLogs object left the state: what it has so far is cut, and its books are closed. */
static void retire(struct sinks *sinks, const struct log_enis *enis)
{
	size_t nr = 0;

	for (size_t i = 0; i < sinks->nr; i++) {
		struct sink *sink = sinks->sink[i];

		if (is_wanted(enis, sink->id)) {
			sinks->sink[nr++] = sink;
			continue;
		}
		(void)tree_cut(sink, UINT32_MAX);
		sink->page->magic = 0;
		sink_free(sink);
	}
	sinks->nr = nr;
}

static bool is_wanted_file(const struct log_enis *enis, const char *file)
{
	char name[4 * ID_MAX];

	for (size_t log = 0; log < enis->nr_logs; log++) {
		file_name(enis->logs[log].id, name, sizeof(name));
		if (enis->logs[log].kind != SPEC_LOCAL && !strcmp(name, file))
			return true;
	}
	return false;
}

/* Cut what the sink of this store has begun. The store goes when nothing is left to do. */
static void clear_away(const struct sinks *sinks, const char *file)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	char path[4096];

	if (!sink || store_open(sinks->dir, file, sizeof(struct sink_page), &sink->store)) {
		free(sink);
		return;
	}
	sink->dir = sinks->dir;
	sink->page = sink->store.base;
	snprintf(path, sizeof(path), "%s/%s", sinks->dir, file);
	if ((sink->page->magic && sink->page->magic != SINK_MAGIC) || !tree_cut(sink, UINT32_MAX))
		(void)unlink(path);
	sink_free(sink);
}

/* FlowLogs objects that left the state while no agent ran. */
static void clear_away_all(const struct sinks *sinks, const struct log_enis *enis)
{
	static const char end[] = ".sink.part";
	const struct dirent *entry;
	DIR *dir = sinks->dir ? opendir(sinks->dir) : NULL;

	while (dir && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (entry->d_type == DT_REG && len > strlen(end) && !strcmp(entry->d_name + len - strlen(end), end) &&
		    !is_wanted_file(enis, entry->d_name))
			clear_away(sinks, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static void complain(struct sinks *sinks, const struct log_spec *spec, int r)
{
	snprintf(sinks->problem, sizeof(sinks->problem), "%s: %s: lost lines will be declared by SKIPDATA", spec->id,
		 r == -ENFILE ? "too many FlowLogs with a place of their own" : strerror(-r));
}

static int flush_and_cut(struct sink *sink, const struct log_enis *enis, int log)
{
	const struct window_header *header = window_header(sink->window);
	int r, cut = 0;

	sink_redeclare(sink);                             /* a killed agent came that far */
	(void)take_settled(sink->page, header->sequence); /* ... or so far */
	become(sink, sink->spec->kind);
	r = flush_one(sink, enis, log);
	if (sink->spec->kind == SPEC_TREE)
		cut = tree_cut(sink, header->partial ? UINT32_MAX : header->due_s);
	return r ? r : cut;
}

int sinks_flush(struct sinks *sinks, const struct window *window, const struct log_enis *enis, struct books *books)
{
	int r = 0;

	sinks->problem[0] = 0;
	retire(sinks, enis);
	if (!sinks->looked)
		clear_away_all(sinks, enis);
	sinks->looked = true;
	for (size_t i = 0; i < enis->nr_logs; i++) {
		const struct log_spec *spec = &enis->logs[i];
		struct sink *sink = NULL;
		int one = spec->kind == SPEC_LOCAL ? 0 : sink_of(sinks, spec, books, &sink);

		if (sink) {
			sink->spec = spec;
			sink->window = window;
			sink->books = books;
			one = flush_and_cut(sink, enis, (int)i);
		}
		if (one)
			complain(sinks, spec, one);
		/* for want of memory the window comes again: whatever else failed, it must not be given up */
		r = one && r != -ENOMEM ? one : r;
	}
	return r;
}

void sinks_close(struct sinks *sinks)
{
	for (size_t i = 0; i < sinks->nr; i++)
		sink_free(sinks->sink[i]);
	sinks->nr = 0;
}
