/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow log collector: what happens each second and each minute, and how two window tables take turns. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enid/flow_hash.h"
#include "flowlog/collector.h"
#include "flowlog/harvest.h"
#include "flowlog/logfile.h"
#include "flowlog/source.h"
#include "flowlog/telling.h"
#include "flowlog/writer.h"

#define MINUTE_S        60u
#define NS_PER_S        1000000000ull
#define HOUSEKEEPING_NS (NS_PER_S / 2) /* sweeps and tallies at most this often, however often the fd wakes us */
#define WALK_BUDGET     200000u        /* changed records a tick: at most 0.2 s of the agent's loop */
#define CLOCK_BACK_S    120u           /* a wall clock set back by less is waited out, by more is followed (E24) */

struct collector {
	struct source source;
	collector_port_fn number;
	const void *number_arg;
	char *dir;
	struct log_enis *enis;
	struct books books;
	struct window table[2];
	int open; /* which of the two is being filled */
	struct writer *writer;
	struct rulebook *rules;
	struct meters *meters;
	struct ranges *ranges;
	char *ranges_problem; /* NULL = none */
	struct harvest harvest;
	uint32_t written_s; /* windows that ended by then were handed to the writer */
	uint64_t housekeeping_ns;
	bool started;     /* the first tick has set the clock */
	bool walking;     /* the open minute is over, and its counters are being taken */
	uint32_t walk_at; /* next record to look at */
	uint32_t next_s;  /* the minute to open then */
};

static struct window *open_table(struct collector *collector)
{
	return &collector->table[collector->open];
}

static struct window *other_table(struct collector *collector)
{
	return &collector->table[!collector->open];
}

static void use_table(struct collector *collector, int which)
{
	collector->open = which;
	collector->harvest.window = open_table(collector);
}

/* Which tables a killed agent left: at most one OPEN, at most one CLOSED (its flush is done again), and a COPYING one
 * that counts only if the other was closed already. */
static void recover_tables(struct collector *collector)
{
	struct window_header *a = window_header(&collector->table[0]), *b = window_header(&collector->table[1]);
	bool closed = a->state == WINDOW_CLOSED || b->state == WINDOW_CLOSED;
	int which = 0;

	for (int i = 0; i < 2; i++) {
		struct window_header *header = window_header(&collector->table[i]);

		if (header->state == WINDOW_COPYING && closed)
			header->state = WINDOW_OPEN;
		else if (header->state == WINDOW_COPYING || header->state == WINDOW_EMPTY)
			window_reset(&collector->table[i]);
		if (header->state == WINDOW_OPEN)
			which = i;
	}
	a = window_header(&collector->table[0]);
	b = window_header(&collector->table[1]);
	if (a->state != WINDOW_OPEN && b->state != WINDOW_OPEN)
		which = a->state == WINDOW_EMPTY ? 0 : 1;
	use_table(collector, which);
	if (window_header(open_table(collector))->state == WINDOW_CLOSED)
		window_reset(open_table(collector)); /* both closed: no agent leaves that */
	window_header(open_table(collector))->state = WINDOW_OPEN;
}

static void final(void *arg, uint32_t index, struct flow_record *record)
{
	struct collector *collector = arg;

	if (index < collector->source.flows_max)
		harvest_final(&collector->harvest, index, record);
}

static void tallied(void *arg, const struct tally_key *key, const struct tally *tally)
{
	struct collector *collector = arg;

	harvest_tally(&collector->harvest, key, tally);
}

static void drain_events(struct collector *collector)
{
	(void)collector->source.events(collector->source.self, tallied, collector);
}

static uint32_t fresh(const struct collector *collector)
{
	uint32_t nr = collector->source.control->flows_fresh;

	return nr < collector->source.flows_max ? nr : collector->source.flows_max;
}

/* Go on with the walk over all records. ret: true = done; the data path's own losses are taken then, too */
static bool walk(struct collector *collector, uint32_t budget)
{
	uint32_t nr = fresh(collector);

	collector->walk_at =
		harvest_walk(&collector->harvest, collector->source.records, collector->walk_at, nr, budget);
	if (collector->walk_at < nr)
		return false;
	for (uint32_t port = 0; port < collector->enis->nr; port++)
		if (collector->enis->by_port[port] && collector->enis->by_port[port]->what)
			books_kernel(&collector->books, port, &collector->source.stats[port]);
	collector->walk_at = 0;
	return true;
}

static int open_stores(struct collector *collector, uint64_t instance)
{
	static const char *const names[] = {"window.a.part", "window.b.part"};
	int r = books_open(collector->dir, "books.part", instance, &collector->books);

	for (int i = 0; !r && i < 2; i++)
		r = window_open(collector->dir, names[i], instance, WINDOW_ENTRIES_MAX, &collector->table[i]);
	return r;
}

/* Kernel sides differ in their secrets: sums and port numbers of another one are not ours. */
static uint64_t instance_of(const struct source *source)
{
	uint64_t instance = 1;

	for (int i = 0; i < FLOW_SECRETS; i++)
		instance = instance * 31 + source->control->secrets[i];
	return instance;
}

static void free_all(struct collector *collector)
{
	writer_close(&collector->writer);
	for (int i = 0; i < 2; i++)
		if (collector->table[i].index)
			window_close(&collector->table[i]);
	if (collector->books.page)
		books_close(&collector->books);
	log_enis_drop(&collector->enis);
	rulebook_close(&collector->rules);
	meters_close(&collector->meters);
	ranges_close(&collector->ranges);
	free(collector->ranges_problem);
	free(collector->dir);
	free(collector);
}

static int make_enis(struct collector *collector, const struct state *state, const struct image *image,
		     struct log_enis **ret)
{
	int r = log_enis_make(state, image, collector->number, collector->number_arg, collector->enis, ret);

	if (!r) {
		(*ret)->ranges = collector->ranges;
		(*ret)->rules = collector->rules;
		for (int i = 0; i < 4; i++)
			(*ret)->secrets[i] = collector->source.control->secrets[i];
	}
	return r;
}

/* Without them there are no service names; the log goes on, and `enid status` says why. */
static void open_ranges(struct collector *collector, const char *path)
{
	if (path && ranges_open(path, &collector->ranges, &collector->ranges_problem) && !collector->ranges_problem)
		collector->ranges_problem = strdup("ip ranges cannot be read");
}

static int set_up(struct collector *collector, const struct state *state, const struct image *image,
		  const struct collector_options *options)
{
	uint64_t instance = instance_of(&collector->source);
	int r = -ENOMEM;

	collector->dir = strdup(options->log_dir);
	(void)logfile_make_folder(options->log_dir); /* the writer says so if it cannot be made */
	open_ranges(collector, options->ip_ranges);
	if (collector->dir)
		r = options->run_dir ? rulebook_open(options->run_dir, &collector->rules) : 0;
	if (!r && options->run_dir)
		r = meters_open(options->run_dir, instance, &collector->meters);
	if (!r)
		r = make_enis(collector, state, image, &collector->enis);
	if (!r)
		r = open_stores(collector, instance);
	if (!r)
		r = writer_open(collector->dir, instance, &collector->books, &collector->writer);
	return r;
}

static void set_up_harvest(struct collector *collector)
{
	struct harvest *harvest = &collector->harvest;

	harvest->enis = collector->enis;
	harvest->books = &collector->books;
	harvest->beside = collector->source.beside;
	harvest->rules = collector->source.decision ? collector->rules : NULL;
	harvest->meters = collector->meters;
	harvest->decide = collector->source.decision;
	harvest->decide_arg = collector->source.self;
}

int collector_start(const struct source *source, collector_port_fn number, const void *arg, const struct state *state,
		    const struct image *image, const struct collector_options *options, struct collector **ret)
{
	struct collector *collector = calloc(1, sizeof(*collector));
	int r;

	if (!collector)
		return -ENOMEM;
	collector->source = *source;
	collector->number = number;
	collector->number_arg = arg;
	r = set_up(collector, state, image, options);
	if (r) {
		free_all(collector);
		return r;
	}
	recover_tables(collector);
	telling_recover(&collector->books, collector->source.records, fresh(collector));
	set_up_harvest(collector);
	if (window_header(other_table(collector))->state == WINDOW_CLOSED)
		writer_submit(collector->writer, other_table(collector), collector->enis);
	*ret = collector;
	return 0;
}

int collector_state_changed(struct collector *collector, const struct state *state, const struct image *image)
{
	struct log_enis *enis;
	int r = make_enis(collector, state, image, &enis);

	if (r)
		return r;
	log_enis_drop(&collector->enis);
	collector->enis = enis;
	collector->harvest.enis = enis;
	harvest_forget_rules(&collector->harvest);
	return 0;
}

void collector_rules_changed(struct collector *collector)
{
	harvest_forget_rules(&collector->harvest);
}

static int housekeep(struct collector *collector, uint64_t now_mono_ns)
{
	int r, swept;

	collector->housekeeping_ns = now_mono_ns;
	swept = collector->source.sweep(collector->source.self, now_mono_ns, final, collector);
	r = collector->source.tallies(collector->source.self, tallied, collector);
	return swept ? swept : r;
}

/* Hand the finished windows over, if the writer has done the ones before. */
static int hand_over(struct collector *collector, bool partial)
{
	struct window *full = open_table(collector);
	uint32_t due_s = collector->harvest.open_s;
	int r;

	if (!writer_idle(collector->writer))
		return 0;
	if (!partial && collector->written_s == due_s)
		return 0;
	r = window_hand_over(full, other_table(collector), collector->written_s, due_s, partial);
	if (r)
		return r;
	use_table(collector, !collector->open);
	collector->written_s = due_s;
	writer_submit(collector->writer, full, collector->enis);
	return 0;
}

static void set_clock(struct collector *collector, uint64_t now_mono_ns, uint64_t now_wall_ns)
{
	collector->harvest.wall_ns = (int64_t)(now_wall_ns - now_mono_ns);
	if (collector->started)
		return;
	collector->started = true;
	collector->harvest.open_s = (uint32_t)(now_wall_ns / NS_PER_S) / MINUTE_S * MINUTE_S;
	collector->written_s = collector->harvest.open_s;
}

static bool minute_is_over(const struct collector *collector, uint64_t now_wall_ns)
{
	uint64_t now_s = now_wall_ns / NS_PER_S, open_s = collector->harvest.open_s;

	return now_s >= open_s + MINUTE_S || now_s + CLOCK_BACK_S < open_s;
}

/* The open minute has ended: its counters are taken, in several ticks if many flows are busy, then the minute opens
 * that the clock shows. Where minutes are missing (the agent was stopped, the clock jumped), what was counted goes to
 * the last of them, or to the one of its last packet; nothing is claimed about the others. */
static int end_minute(struct collector *collector, uint64_t now_mono_ns, uint64_t now_wall_ns)
{
	uint32_t now_s = (uint32_t)(now_wall_ns / NS_PER_S) / MINUTE_S * MINUTE_S;

	if (now_s > collector->harvest.open_s + MINUTE_S) {
		collector->harvest.open_s = now_s - MINUTE_S;
		collector->written_s = now_s - MINUTE_S;
	}
	collector->next_s = now_s;
	collector->walking = true;
	collector->walk_at = 0;
	return housekeep(collector, now_mono_ns);
}

static void open_minute(struct collector *collector)
{
	collector->walking = false;
	if (collector->next_s < collector->harvest.open_s) { /* the clock was set back */
		collector->harvest.open_s += MINUTE_S;
		(void)hand_over(collector, false);
		collector->written_s = collector->next_s;
	}
	collector->harvest.open_s = collector->next_s;
}

int collector_tick(struct collector *collector, uint64_t now_mono_ns, uint64_t now_wall_ns)
{
	char attention[256];
	int r = 0, handed;

	set_clock(collector, now_mono_ns, now_wall_ns);
	drain_events(collector);
	if (!collector->walking && minute_is_over(collector, now_wall_ns))
		r = end_minute(collector, now_mono_ns, now_wall_ns);
	else if (now_mono_ns - collector->housekeeping_ns >= HOUSEKEEPING_NS)
		r = housekeep(collector, now_mono_ns);
	if (collector->walking && walk(collector, WALK_BUDGET))
		open_minute(collector);
	handed = hand_over(collector, false);
	if (!r)
		r = handed;
	return r ? r : writer_attention(collector->writer, attention, sizeof(attention));
}

void collector_wait(struct collector *collector)
{
	writer_wait(collector->writer);
}

int collector_fd(struct collector *collector)
{
	return collector->source.fd(collector->source.self);
}

void collector_close(struct collector **collector)
{
	struct collector *c = *collector;

	*collector = NULL;
	if (!c)
		return;
	if (c->started) {
		drain_events(c);
		(void)c->source.tallies(c->source.self, tallied, c);
		c->walk_at = 0;
		(void)walk(c, UINT32_MAX);
		writer_wait(c->writer);
		(void)hand_over(c, false);
		writer_wait(c->writer);
		(void)hand_over(c, true);
	}
	writer_wait(c->writer);
	c->source.close(c->source.self);
	free_all(c);
}

void collector_report(struct collector *collector, struct collector_report *ret)
{
	struct collector_report report = {.lines = collector->books.page->lines};

	for (uint32_t port = 0; port < collector->enis->nr; port++)
		report.skipped += collector_skipped(collector, port);
	report.lost_events = collector->source.lost_events(collector->source.self);
	(void)writer_attention(collector->writer, report.attention, sizeof(report.attention));
	if (!*report.attention && collector->ranges_problem)
		snprintf(report.attention, sizeof(report.attention), "%s", collector->ranges_problem);
	*ret = report;
}

uint64_t collector_skipped(struct collector *collector, uint32_t port)
{
	return port < PORTS_MAX ? books_pending(&collector->books, port) + collector->books.page->port[port].declared
				: 0;
}

static uint32_t number_in_datapath(const void *arg, const char *id)
{
	return datapath_port_number(arg, id);
}

int collector_open(struct datapath *datapath, const struct state *state, const struct image *image,
		   const struct collector_options *options, struct collector **ret, char **ret_why)
{
	struct source source;
	int r = source_open(datapath, &source, ret_why);

	if (r)
		return r;
	r = collector_start(&source, number_in_datapath, datapath, state, image, options, ret);
	if (r) {
		source.close(source.self);
		if (asprintf(ret_why, "flow logs in %s cannot be collected: %s", options->log_dir, strerror(-r)) < 0)
			*ret_why = NULL;
	}
	return r;
}
