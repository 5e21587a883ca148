/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* E26: an agent that is killed while it takes a record's counters, at any instruction: the next one tells nothing
 * twice, and what neither of them tells is declared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enid/policy.h"
#include "flowlog/harvest.h"
#include "flowlog/telling.h"
#include "lib/steps.h"

#define T0     1760000040u
#define BOOT_S 1759990000u
#define NS     1000000000ull
#define A      1u
#define B      2u
#define PORTS  4u
#define BEFORE \
	(1ull << 32) /* packets of half 0 that were told long ago, but for five: the next carry into the upper word */
#define MORE  20u    /* ... that were not */
#define BACK  7u     /* packets of half 1, of which none was */
#define BYTES 100u

struct world {
	struct log_eni eni[PORTS];
	struct log_eni *by_port[PORTS];
	struct log_place place[PORTS_MAX];
	struct log_enis enis;
	struct books books;
	struct window window;
	struct harvest harvest;
	struct flow_record *record; /* of one, shared */
	char dir[64];
	struct steps steps;
};

static struct tuple tuple_of(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	struct tuple tuple = {.sport = htons(sport), .dport = htons(dport), .proto = 6, .family = 4};

	tuple.saddr.ip4 = inet_addr(src);
	tuple.daddr.ip4 = inet_addr(dst);
	return tuple;
}

static void put_eni(struct world *w, uint32_t port, const char *id)
{
	strcpy(w->eni[port].id, id);
	w->eni[port].what = LOG_ACCEPT;
	w->eni[port].interval_s = 60;
	w->by_port[port] = &w->eni[port];
	w->place[port] = (struct log_place){.kind = PORT_ENI, .zone = 1, .az = 1};
}

/* As a collector that starts. */
static void open_stores(struct world *w)
{
	assert_int_equal(books_open(w->dir, "books", 1, &w->books), 0);
	assert_int_equal(window_open(w->dir, "window", 1, 1000, &w->window), 0);
	telling_recover(&w->books, w->record, 1);
	w->harvest = (struct harvest){.enis = &w->enis,
				      .window = &w->window,
				      .books = &w->books,
				      .wall_ns = (int64_t)(BOOT_S * NS),
				      .open_s = T0};
}

static void close_stores(struct world *w)
{
	window_close(&w->window);
	books_close(&w->books);
}

static void set_told(struct flow_half *half, uint64_t packets, uint64_t bytes, uint32_t generation)
{
	half->told_packets = (uint32_t)packets;
	half->told_bytes = TOLD_MAKE(packets, bytes, generation);
}

static void make_record(struct flow_record *record)
{
	uint32_t gs = GS_MAKE(9, RECORD_LIVE);

	memset(record, 0, sizeof(*record));
	record->half[0] = (struct flow_half){.tuple = tuple_of("10.0.1.10", "10.0.2.20", 4000, 80),
					     .in = A,
					     .exit = B,
					     .gs = gs,
					     .last_ns = 10100 * NS};
	record->half[1] = (struct flow_half){.tuple = tuple_of("10.0.2.20", "10.0.1.10", 80, 4000),
					     .in = B,
					     .exit = A,
					     .gs = gs,
					     .last_ns = 10100 * NS};
	record->half[0].others.packets = BEFORE - 5 + MORE;
	record->half[0].others.bytes = BYTES * (BEFORE - 5 + MORE);
	set_told(&record->half[0], BEFORE - 5, BYTES * (BEFORE - 5), 9);
	record->half[1].own = OWN_MAKE(BACK, BYTES * BACK);
	set_told(&record->half[1], 1000, 1000 * BYTES, 8); /* of the record's flow before */
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/enid-telling-XXXXXX");
	w->record = mmap(NULL, sizeof(*w->record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!mkdtemp(w->dir) || w->record == MAP_FAILED)
		return -1;
	put_eni(w, A, "eni-a");
	put_eni(w, B, "eni-b");
	w->enis = (struct log_enis){.users = 1, .nr = PORTS, .by_port = w->by_port, .place = w->place};
	make_record(w->record);
	open_stores(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char path[80];

	close_stores(w);
	steps_done(&w->steps);
	snprintf(path, sizeof(path), "%s/books", w->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/window", w->dir);
	unlink(path);
	rmdir(w->dir);
	munmap(w->record, sizeof(*w->record));
	free(w);
	return 0;
}

static void walk(void *arg)
{
	struct world *w = arg;

	harvest_walk(&w->harvest, w->record, 0, 1, 1);
}

/* The record is freed, as records.c does. */
static void bury(void *arg)
{
	struct world *w = arg;

	w->record->half[0].gs = GS_MAKE(9, RECORD_BUSY);
	harvest_final(&w->harvest, 0, w->record);
}

static void take_steps(struct world *w, void (*fn)(void *arg))
{
	w->steps.region[0].at = w->record;
	w->steps.region[0].size = sizeof(*w->record);
	w->steps.region[1].at = &w->books.page->telling;
	w->steps.region[1].size = sizeof(w->books.page->telling);
	w->steps.region[2].at = w->books.page->port;
	w->steps.region[2].size = PORTS * sizeof(*w->books.page->port);
	w->steps.region[3].at = w->window.store.base;
	w->steps.region[3].size = w->window.store.size;
	steps_take(&w->steps, fn, w);
}

/* Packets and bytes of a port's lines in one direction. */
static void told_at(const struct world *w, uint32_t port, bool egress, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	const struct window_entry *entries = window_entries(&w->window);

	*ret_packets = *ret_bytes = 0;
	for (uint32_t i = 0; i < window_header(&w->window)->used; i++)
		if (entries[i].key.port == port && entries[i].key.egress == egress) {
			*ret_packets += entries[i].count.packets;
			*ret_bytes += entries[i].count.bytes;
		}
}

/* Nothing is told that was not there, and nothing of it is missing without a word. */
static void check_port(const struct world *w, uint32_t port, uint64_t there, uint64_t back)
{
	uint64_t packets[2], bytes[2], declared = books_pending(&w->books, port);

	for (int egress = 0; egress < 2; egress++)
		told_at(w, port, egress, &packets[egress], &bytes[egress]);
	assert_in_range(packets[1], 0, there);
	assert_in_range(packets[0], 0, back);
	assert_in_range(bytes[1], 0, there * BYTES);
	assert_in_range(bytes[0], 0, back * BYTES);
	assert_in_range(packets[0] + packets[1] + declared, there + back, 2 * (there + back));
}

static void check(const struct world *w)
{
	check_port(w, A, MORE, BACK);
	check_port(w, B, BACK, MORE);
}

/* ret: in so many of them something was declared */
static size_t each_death(struct world *w, void (*next)(void *arg))
{
	size_t declared = 0;

	for (size_t i = 0; i < w->steps.nr; i++) {
		steps_restore(&w->steps, i);
		close_stores(w);
		open_stores(w);
		next(w);
		check(w);
		declared += books_pending(&w->books, A) != 0;
		if (i == 0 || i == w->steps.nr - 1) { /* not begun, and done */
			assert_int_equal(books_pending(&w->books, A), 0);
			assert_int_equal(books_pending(&w->books, B), 0);
		}
		/* where the note and the window lie may be another place now */
		w->steps.region[1].at = &w->books.page->telling;
		w->steps.region[2].at = w->books.page->port;
		w->steps.region[3].at = w->window.store.base;
	}
	return declared;
}

static void e26_killed_at_a_record_that_goes_on(void **state)
{
	struct world *w = *state;
	size_t declared;

	take_steps(w, walk);
	declared = each_death(w, walk);
	print_message("%zu deaths of %lu instructions, something was declared after %zu\n", w->steps.nr,
		      w->steps.instructions, declared);
	assert_in_range(declared, 1, w->steps.nr - 2);
}

/* What the agent does with a record that is left BUSY: what was not told is declared (records.c). */
static void repair(void *arg)
{
	struct world *w = arg;

	if (GS_STATE(w->record->half[0].gs) == RECORD_LIVE) {
		bury(w);
		return;
	}
	for (int side = 0; side < 2; side++) {
		const struct flow_half *half = &w->record->half[side];
		uint64_t untold = half_untold(half, 9, half_packets(half));

		books_skip(&w->books, A, untold);
		books_skip(&w->books, B, untold);
	}
}

static void e26_killed_at_a_record_that_ends(void **state)
{
	struct world *w = *state;

	take_steps(w, bury);
	assert_true(each_death(w, repair) > 0);
}

/* The note is of another record, which has the number now: that one is left alone. */
static void a_note_is_of_one_record(void **state)
{
	struct world *w = *state;

	take_steps(w, walk);
	for (size_t i = 0; i < w->steps.nr; i++) {
		struct flow_record other;

		steps_restore(&w->steps, i);
		make_record(w->record);
		w->record->half[0].tuple.sport = htons(4001);
		other = *w->record;
		close_stores(w);
		open_stores(w);
		assert_memory_equal(w->record, &other, sizeof(other));
		w->steps.region[1].at = &w->books.page->telling;
		w->steps.region[2].at = w->books.page->port;
		w->steps.region[3].at = w->window.store.base;
	}
}

/* An agent whose log folder was read-only told more of the record than the note of the one before says (E23, E26). */
static void an_old_note_takes_nothing_back(void **state)
{
	struct world *w = *state;
	struct telling *telling = &w->books.page->telling;
	struct flow_record after;

	telling_note(telling, 0, w->record);
	telling->nr = 1; /* killed before the record said so */
	w->record->half[0].others.packets += 100;
	w->record->half[0].others.bytes += 100 * BYTES;
	set_told(&w->record->half[0], BEFORE - 5 + MORE + 100, BYTES * (BEFORE - 5 + MORE + 100), 9);
	set_told(&w->record->half[1], BACK, BYTES * BACK, 9);
	after = *w->record;
	close_stores(w);
	open_stores(w);
	assert_memory_equal(w->record, &after, sizeof(after));
	assert_int_equal(w->books.page->telling.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(e26_killed_at_a_record_that_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(e26_killed_at_a_record_that_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_note_is_of_one_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_old_note_takes_nothing_back, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
