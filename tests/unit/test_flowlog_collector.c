/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The collector on plain arrays instead of a kernel: windows, ledger, restarts, kills, full disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flowlog/collector.h"
#include "flowlog/harvest.h"
#include "flowlog/source.h"
#include "lib/folder.h"

#define T0         1760000040ull /* a full minute */
#define NS         1000000000ull
#define BOOT_S     1759990000ull /* CLOCK_MONOTONIC 0 */
#define FLOWS      64u
#define WEB        1u
#define DB         2u
#define UPLINK     3u
#define NR_TALLIES 16

/* Everything a kernel would hold: outlives a collector. */
struct world {
	struct control control;
	struct flow_record records[FLOWS];
	struct port_stats stats[PORTS_MAX];
	struct tally_key keys[NR_TALLIES];
	struct tally tallies[NR_TALLIES];
	int nr_tallies;
	struct tally_key spilled[8]; /* of one packet of 40 bytes each */
	int nr_spilled;
	uint32_t expired[8]; /* records that the next sweep frees */
	int nr_expired;
	struct source source;
	struct vpc vpc;
	struct vpc_subnet subnet;
	struct eni enis[2];
	struct eni_address addresses[2][4];
	struct flow_log logs[2];
	struct state state;
	struct image_port ports[3];
	struct image image;
	struct collector *collector;
	char dir[64];
	char text[65536];
};

static uint64_t mono(uint64_t wall_s)
{
	return (wall_s - BOOT_S) * NS;
}

static int fake_tallies(void *self, tally_fn each, void *arg)
{
	struct world *w = self;

	for (int i = 0; i < w->nr_tallies; i++)
		each(arg, &w->keys[i], &w->tallies[i]);
	w->nr_tallies = 0;
	return 0;
}

static int fake_events(void *self, tally_fn spilled, void *arg)
{
	struct tally one = {.packets = 1, .bytes = 40, .first_ns = mono(T0 + 7), .last_ns = mono(T0 + 7)};
	struct world *w = self;

	for (int i = 0; i < w->nr_spilled; i++)
		spilled(arg, &w->spilled[i], &one);
	w->nr_spilled = 0;
	return 0;
}

static int fake_sweep(void *self, uint64_t now_ns, record_fn last, void *arg)
{
	struct world *w = self;

	(void)now_ns;
	for (int i = 0; i < w->nr_expired; i++) {
		struct flow_record *record = &w->records[w->expired[i]];

		last(arg, w->expired[i], record);
		record->half[0].gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);
	}
	w->nr_expired = 0;
	return 0;
}

static uint64_t fake_lost(void *self)
{
	(void)self;
	return 0;
}

static int fake_fd(void *self)
{
	(void)self;
	return -1;
}

static void fake_close(void *self)
{
	(void)self;
}

static uint32_t port_of(const void *arg, const char *id)
{
	(void)arg;
	return !strcmp(id, "eni-web") ? WEB : !strcmp(id, "eni-db") ? DB : !strcmp(id, "igw-01") ? UPLINK : 0;
}

static union addr ip(const char *text)
{
	union addr addr = {0};

	if (inet_pton(AF_INET6, text, addr.bytes) != 1)
		assert_int_equal(inet_pton(AF_INET, text, &addr.ip4), 1);
	return addr;
}

static void add_address(struct eni *eni, const char *text, int prefixlen)
{
	struct eni_address *address = &eni->addresses[eni->nr_addresses++];

	address->addr = ip(text);
	address->family = strchr(text, ':') ? 6 : 4;
	address->prefixlen = (uint8_t)prefixlen;
}

static void make_enis(struct world *w)
{
	static const char *const ids[] = {"eni-web", "eni-db"};

	w->vpc = (struct vpc){.id = "vpc-1", .owner = "111122223333"};
	w->subnet = (struct vpc_subnet){.id = "subnet-1", .vpc = &w->vpc};
	for (int i = 0; i < 2; i++) {
		w->enis[i] = (struct eni){.id = ids[i],
					  .owner = "111122223333",
					  .vpc = &w->vpc,
					  .subnet = &w->subnet,
					  .addresses = w->addresses[i]};
		w->ports[i] = (struct image_port){.id = ids[i], .kind = PORT_ENI, .eni = &w->enis[i]};
	}
	add_address(&w->enis[0], "10.0.1.25", 32);
	add_address(&w->enis[0], "2001:db8::25", 128);
	add_address(&w->enis[1], "10.0.2.40", 32);
	w->ports[0].primary4 = w->addresses[0][0].addr.ip4;
	w->ports[1].primary4 = w->addresses[1][0].addr.ip4;
	w->ports[2] = (struct image_port){.id = "igw-01", .kind = PORT_UPLINK};
	w->state = (struct state){.flow_logs = w->logs};
	w->image = (struct image){.ports = w->ports, .nr_ports = 3};
}

static void start(struct world *w)
{
	const struct collector_options options = {.log_dir = w->dir};

	assert_int_equal(collector_start(&w->source, port_of, NULL, &w->state, &w->image, &options, &w->collector), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/flowlog-test-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	w->source = (struct source){
		.control = &w->control,
		.records = w->records,
		.stats = w->stats,
		.flows_max = FLOWS,
		.self = w,
		.tallies = fake_tallies,
		.events = fake_events,
		.sweep = fake_sweep,
		.lost_events = fake_lost,
		.fd = fake_fd,
		.close = fake_close,
	};
	w->control.secrets[0] = 77;
	make_enis(w);
	start(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	collector_close(&w->collector);
	folder_remove(w->dir);
	free(w);
	return 0;
}

static void tick(struct world *w, uint64_t wall_s)
{
	collector_wait(w->collector);
	assert_int_equal(collector_tick(w->collector, mono(wall_s), wall_s * NS), 0);
}

/* The log so far; the collector's writer is done with it. */
static const char *text(struct world *w)
{
	char path[128];
	FILE *file;
	size_t n;

	if (w->collector)
		collector_wait(w->collector);
	snprintf(path, sizeof(path), "%s/flow.log", w->dir);
	file = fopen(path, "r");
	n = file ? fread(w->text, 1, sizeof(w->text) - 1, file) : 0;
	w->text[n] = 0;
	if (file)
		fclose(file);
	return w->text;
}

static struct flow_record *new_flow(struct world *w, uint32_t index, uint32_t in, uint32_t exit, const char *src,
				    const char *dst, uint16_t sport, uint16_t dport)
{
	struct flow_record *record = &w->records[index];
	uint32_t gs = GS_MAKE(GS_GENERATION(record->half[0].gs) + 1, RECORD_LIVE);
	struct tuple tuple = {.saddr = ip(src),
			      .daddr = ip(dst),
			      .sport = htons(sport),
			      .dport = htons(dport),
			      .proto = 6,
			      .family = 4};

	memset(record, 0, sizeof(*record));
	if (strchr(src, ':'))
		tuple.family = 6;
	record->half[0] = (struct flow_half){.tuple = tuple, .in = in, .exit = exit, .gs = gs};
	record->half[1] = (struct flow_half){.in = exit, .exit = in, .gs = gs};
	record->half[1].tuple = tuple;
	record->half[1].tuple.saddr = tuple.daddr;
	record->half[1].tuple.daddr = tuple.saddr;
	record->half[1].tuple.sport = tuple.dport;
	record->half[1].tuple.dport = tuple.sport;
	if (w->control.flows_fresh <= index)
		w->control.flows_fresh = index + 1;
	return record;
}

static void packets(struct flow_record *record, int side, uint64_t nr, uint64_t bytes, uint64_t wall_s)
{
	record->half[side].own += OWN_MAKE(nr, bytes);
	record->half[side].last_ns = mono(wall_s);
}

static struct tally *reject(struct world *w, uint32_t port, bool egress, const char *src, const char *dst,
			    uint16_t sport, uint16_t dport, uint64_t wall_s)
{
	int i = w->nr_tallies++;

	w->keys[i] = (struct tally_key){
		.tuple = {.saddr = ip(src),
			  .daddr = ip(dst),
			  .sport = htons(sport),
			  .dport = htons(dport),
			  .proto = 6,
			  .family = 4},
		.port = port,
		.egress = egress,
		.reject = 1,
	};
	w->tallies[i] = (struct tally){.packets = 1, .bytes = 40, .first_ns = mono(wall_s), .last_ns = mono(wall_s)};
	return &w->tallies[i];
}

static int count_of(const char *haystack, const char *needle)
{
	int nr = 0;

	for (haystack = strstr(haystack, needle); haystack; haystack = strstr(haystack + 1, needle))
		nr++;
	return nr;
}

/* FL-20, and FL-09: request and reply are two records at each end. */
static void flow_gives_a_line_at_each_end_and_in_each_direction(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, DB, "10.0.1.25", "10.0.2.40", 51514, 22);

	tick(w, T0 + 1);
	packets(record, 0, 17, 3284, T0 + 55);
	packets(record, 1, 12, 2000, T0 + 54);
	tick(w, T0 + 61);
	assert_string_equal(
		text(w),
		"2 111122223333 eni-web 10.0.1.25 10.0.2.40 51514 22 6 17 3284 1760000040 1760000095 ACCEPT OK\n"
		"2 111122223333 eni-web 10.0.2.40 10.0.1.25 22 51514 6 12 2000 1760000040 1760000094 ACCEPT OK\n"
		"2 111122223333 eni-db 10.0.1.25 10.0.2.40 51514 22 6 17 3284 1760000040 1760000095 ACCEPT OK\n"
		"2 111122223333 eni-db 10.0.2.40 10.0.1.25 22 51514 6 12 2000 1760000040 1760000094 ACCEPT OK\n");
}

/* PATH-14: the source accepted, the target rejects. */
static void reject_is_one_line_with_its_own_times(void **state)
{
	struct world *w = *state;

	tick(w, T0 + 1);
	reject(w, DB, false, "198.51.100.7", "10.0.2.40", 40112, 3389, T0 + 20);
	tick(w, T0 + 60);
	assert_string_equal(
		text(w),
		"2 111122223333 eni-db 198.51.100.7 10.0.2.40 40112 3389 6 1 40 1760000060 1760000060 REJECT OK\n"
		"2 111122223333 eni-web - - - - - - - 1760000040 1760000099 - NODATA\n");
}

static void idle_eni_has_one_nodata_line_per_window(void **state)
{
	struct world *w = *state;

	for (uint64_t s = T0 + 1; s <= T0 + 125; s++)
		tick(w, s);
	assert_string_equal(text(w), "2 111122223333 eni-web - - - - - - - 1760000040 1760000099 - NODATA\n"
				     "2 111122223333 eni-db - - - - - - - 1760000040 1760000099 - NODATA\n"
				     "2 111122223333 eni-web - - - - - - - 1760000100 1760000159 - NODATA\n"
				     "2 111122223333 eni-db - - - - - - - 1760000100 1760000159 - NODATA\n");
}

/* FL-21: pings with different identifiers are one record, ports 0. */
static void icmp_has_no_ports_and_identifiers_add_up(void **state)
{
	struct world *w = *state;

	tick(w, T0 + 1);
	for (uint32_t i = 0; i < 2; i++) {
		struct flow_record *record = new_flow(w, i, UPLINK, DB, "198.51.100.7", "10.0.2.40", 0x1234 + i, 8);

		record->half[0].tuple.proto = record->half[1].tuple.proto = 1;
		packets(record, 0, 2, 168, T0 + 5);
	}
	tick(w, T0 + 60);
	assert_non_null(strstr(text(w), "eni-db 198.51.100.7 10.0.2.40 0 0 1 4 336 1760000040 1760000045 ACCEPT OK\n"));
	assert_int_equal(count_of(text(w), "ACCEPT"), 1);
}

/* Each half's exit shows the packet as it leaves: behind the internet gateway, with private addresses (PATH-03). */
static void translated_flow_shows_private_addresses_at_the_eni(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 40000, 443);

	tick(w, T0 + 1);
	record->half[1].tuple.daddr = ip("203.0.113.9");
	record->half[0].flags = record->half[1].flags = HALF_REWRITE;
	packets(record, 0, 3, 180, T0 + 5);
	packets(record, 1, 2, 120, T0 + 6);
	tick(w, T0 + 60);
	assert_non_null(strstr(text(w), "eni-web 10.0.1.25 198.51.100.7 40000 443 6 3 180 "));
	assert_non_null(strstr(text(w), "eni-web 198.51.100.7 10.0.1.25 443 40000 6 2 120 "));
	assert_null(strstr(text(w), "203.0.113.9"));
	assert_int_equal(count_of(text(w), "ACCEPT"), 2);
}

/* NAT-21: the ENI knows IPv6 only, and as many bytes as it got. */
static void translated_family_shows_ipv6_at_the_eni(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "2001:db8::25", "64:ff9b::c633:6407", 40000, 443);

	tick(w, T0 + 1);
	record->half[1].tuple.saddr = ip("198.51.100.7");
	record->half[1].tuple.daddr = ip("203.0.113.9");
	record->half[1].tuple.family = 4;
	record->half[0].flags = record->half[1].flags = HALF_REWRITE | HALF_NAT64;
	packets(record, 0, 3, 240, T0 + 5);
	packets(record, 1, 2, 120, T0 + 6);
	tick(w, T0 + 60);
	assert_non_null(strstr(text(w), "eni-web 2001:db8::25 64:ff9b::c633:6407 40000 443 6 3 240 "));
	assert_non_null(strstr(text(w), "eni-web 64:ff9b::c633:6407 2001:db8::25 443 40000 6 2 160 "));
	assert_int_equal(count_of(text(w), "ACCEPT"), 2);
}

/* FL-10, FL-11: the own side is the primary address; of IPv6 the address itself if it is the ENI's, else its first. */
static void own_side_shows_the_primary_address(void **state)
{
	struct world *w = *state;

	tick(w, T0 + 1);
	packets(new_flow(w, 0, WEB, 0, "10.0.1.99", "10.0.9.9", 1, 2), 0, 1, 40, T0 + 5);
	packets(new_flow(w, 1, WEB, 0, "2001:db8::25", "2001:db8::1", 3, 4), 0, 1, 60, T0 + 5);
	packets(new_flow(w, 2, WEB, 0, "2001:db8:9::9", "2001:db8::1", 5, 6), 0, 1, 60, T0 + 5);
	packets(new_flow(w, 3, UPLINK, WEB, "198.51.100.7", "10.0.1.99", 7, 8), 0, 1, 40, T0 + 5);
	tick(w, T0 + 60);
	assert_non_null(strstr(text(w), "eni-web 10.0.1.25 10.0.9.9 1 2 "));
	assert_non_null(strstr(text(w), "eni-web 2001:db8::25 2001:db8::1 3 4 "));
	assert_non_null(strstr(text(w), "eni-web 2001:db8::25 2001:db8::1 5 6 "));
	assert_non_null(strstr(text(w), "eni-web 198.51.100.7 10.0.1.25 7 8 "));
}

/* What the host sends out of a port goes to the guest, unless the device is the ENI itself. */
static void guard_ports_tell_directions_by_side_and_tx(void **state)
{
	struct world *w = *state;

	w->ports[1].flags = PORT_SIDE_INSTANCE;
	assert_int_equal(collector_state_changed(w->collector, &w->state, &w->image), 0);
	tick(w, T0 + 1);
	packets(new_flow(w, 0, WEB | IN_TX, 0, "10.0.1.77", "10.0.1.99", 1, 2), 0, 1, 40, T0 + 5);
	packets(new_flow(w, 1, DB | IN_TX, 0, "10.0.2.99", "10.0.1.77", 3, 4), 0, 1, 40, T0 + 5);
	packets(new_flow(w, 2, DB, DB, "10.0.1.77", "10.0.2.99", 5, 6), 0, 1, 40, T0 + 5);
	tick(w, T0 + 60);
	assert_non_null(strstr(text(w), "eni-web 10.0.1.77 10.0.1.25 1 2 "));
	assert_non_null(strstr(text(w), "eni-db 10.0.2.40 10.0.1.77 3 4 "));
	assert_non_null(strstr(text(w), "eni-db 10.0.1.77 10.0.2.40 5 6 6 1 40 "));
	assert_int_equal(count_of(text(w), "ACCEPT"), 3);
}

static void later_window_shows_only_what_is_new(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);

	tick(w, T0 + 1);
	packets(record, 0, 5, 500, T0 + 5);
	tick(w, T0 + 60);
	(void)text(w);
	packets(record, 0, 2, 80, T0 + 70);
	tick(w, T0 + 120);
	assert_non_null(strstr(text(w), " 6 5 500 1760000040 1760000045 ACCEPT"));
	assert_non_null(strstr(text(w), " 6 2 80 1760000100 1760000110 ACCEPT"));
	assert_int_equal(count_of(text(w), "ACCEPT"), 2);
}

/* Freed by the sweep and used again within the window: every packet once. */
static void ended_flows_are_counted_once_however_they_end(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);

	tick(w, T0 + 1);
	packets(record, 0, 5, 500, T0 + 5);
	tick(w, T0 + 60);
	packets(record, 0, 3, 30, T0 + 62);
	w->expired[w->nr_expired++] = 0;
	tick(w, T0 + 80);
	record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);
	packets(record, 0, 7, 70, T0 + 90);
	tick(w, T0 + 120);
	assert_non_null(strstr(text(w), " 6 5 500 1760000040 "));
	assert_non_null(strstr(text(w), " 6 10 100 1760000100 ")); /* 3 of the first life, 7 of the second */
	assert_int_equal(count_of(text(w), "ACCEPT"), 2);
}

/* What found no room among the tallies and came through the ring is one line with what did. */
static void spilled_packets_join_their_tally(void **state)
{
	struct world *w = *state;
	struct tally_key *key = &w->keys[0];

	tick(w, T0 + 1);
	memset(key, 0, sizeof(*key));
	key->tuple = w->records[0].half[0].tuple;
	key->tuple.family = 4;
	key->tuple.proto = 6;
	key->tuple.sport = htons(1);
	key->tuple.dport = htons(2);
	key->port = WEB;
	key->reject = 1;
	w->tallies[0] = (struct tally){.packets = 2, .bytes = 80, .first_ns = mono(T0 + 5), .last_ns = mono(T0 + 6)};
	w->nr_tallies = 1;
	w->spilled[0] = *key;
	w->nr_spilled = 1;
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), "REJECT"), 1);
	assert_non_null(strstr(text(w), " 6 3 120 "));
}

/* Busy tables are walked in slices: each flow is found once, wherever a slice ends. */
static void walk_in_slices_takes_each_flow_once(void **state)
{
	struct world *w = *state;
	struct log_eni eni = {.id = "eni-web", .account = "1", .what = LOG_ACCEPT, .interval_s = 60};
	struct log_eni *by_port[] = {NULL, &eni};
	struct log_enis enis = {.users = 1, .nr = 2, .by_port = by_port};
	struct window window;
	struct books books;
	struct harvest harvest = {
		.enis = &enis, .window = &window, .books = &books, .open_s = T0, .wall_ns = BOOT_S * NS};
	uint32_t at = 0, slices = 0;

	assert_int_equal(window_open(NULL, "", 1, 1000, &window), 0);
	assert_int_equal(books_open(NULL, "", 1, &books), 0);
	for (uint32_t i = 0; i < FLOWS; i++)
		packets(new_flow(w, i, WEB, 0, "10.0.1.25", "198.51.100.7", (uint16_t)i, 2), 0, i % 3, 40, T0 + 5);
	for (; at < FLOWS; slices++)
		at = harvest_walk(&harvest, w->records, at, FLOWS, 7);
	assert_int_equal(slices, 7); /* 64 records, a third of which has nothing to tell */
	assert_int_equal(window_header(&window)->used, FLOWS - (FLOWS + 2) / 3);
	for (uint32_t i = 0; i < window_header(&window)->used; i++)
		assert_in_range(window_entries(&window)[i].count.packets, 1, 2);
	window_close(&window);
	books_close(&books);
}

static void restarted_collector_goes_on_where_the_last_one_ended(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);

	tick(w, T0 + 1);
	packets(record, 0, 5, 500, T0 + 5);
	reject(w, DB, false, "198.51.100.7", "10.0.2.40", 40112, 3389, T0 + 5);
	tick(w, T0 + 10);
	collector_close(&w->collector);
	assert_int_equal(count_of(text(w), " 6 5 500 "), 1);
	packets(record, 0, 2, 20, T0 + 15);
	start(w);
	tick(w, T0 + 20);
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), " 6 5 500 "), 1);
	assert_int_equal(count_of(text(w), " 6 2 20 "), 1);
	assert_int_equal(count_of(text(w), "NODATA"), 0);
}

/* Killed while the unfinished windows were being copied to the next table (window.h I3): before the old one is closed
 * the copies do not count, afterwards they do. */
static void killed_hand_over_doubles_and_loses_nothing(void **state)
{
	static const char *const names[] = {"window.a.part", "window.b.part"};
	struct world *w = *state;
	struct window table[2];

	for (int closed = 0; closed < 2; closed++) {
		struct store raw;
		struct window_key key = {.port = WEB, .family = 4, .proto = (uint8_t)(200 + closed), .start_s = T0};
		struct window_count count = {.packets = 1, .bytes = 40, .first_s = T0, .last_s = T0};

		collector_close(&w->collector);
		assert_int_equal(store_open(w->dir, names[0], 1, &raw), 0);
		for (int i = 0; i < 2; i++)
			assert_int_equal(window_open(w->dir, names[i], ((struct window_header *)raw.base)->instance,
						     100, &table[i]),
					 0);
		window_reset(&table[0]);
		window_reset(&table[1]);
		for (int i = 0; i < 2; i++)
			assert_int_equal(window_add(&table[i], &key, 60, &count), 0);
		key.proto = 210; /* not copied yet */
		if (!closed)
			assert_int_equal(window_add(&table[0], &key, 60, &count), 0);
		window_header(&table[0])->due_s =
			T0; /* not due here: the copy is the one that counts once it is closed */
		window_header(&table[0])->state = closed ? WINDOW_CLOSED : WINDOW_OPEN;
		window_header(&table[1])->state = WINDOW_COPYING;
		for (int i = 0; i < 2; i++)
			window_close(&table[i]);
		store_close(&raw);
		start(w);
		tick(w, T0 + 30);
		tick(w, T0 + 60);
		assert_int_equal(count_of(text(w), closed ? " 0 0 201 1 40 " : " 0 0 200 1 40 "), 1);
		assert_int_equal(count_of(text(w), " 0 0 210 1 40 "), 1);
	}
}

/* A kill -9 between two ticks: what had ended is in the stores. The child dies with the collector open. */
static void killed_collector_loses_nothing(void **state)
{
	struct world *w = *state;
	struct flow_record *record;
	pid_t child;
	int status;

	collector_close(&w->collector);
	child = fork();
	if (!child) {
		start(w);
		record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);
		tick(w, T0 + 1);
		packets(record, 0, 5, 500, T0 + 5);
		w->expired[w->nr_expired++] = 0;
		reject(w, DB, false, "198.51.100.7", "10.0.2.40", 40112, 3389, T0 + 5);
		tick(w, T0 + 10);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	start(w);
	tick(w, T0 + 30);
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), "eni-web 10.0.1.25 198.51.100.7 1 2 6 5 500 1760000040 1760000045 ACCEPT"),
			 1);
	assert_int_equal(count_of(text(w), "REJECT"), 1);
	assert_int_equal(count_of(text(w), "NODATA"), 0);
}

/* Sums of another kernel side (detached and loaded anew) are not taken over. */
static void stores_of_another_instance_are_not_used(void **state)
{
	struct world *w = *state;
	pid_t child;
	int status;

	collector_close(&w->collector);
	child = fork();
	if (!child) {
		start(w);
		reject(w, DB, false, "198.51.100.7", "10.0.2.40", 40112, 3389, T0 + 5);
		tick(w, T0 + 10);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	w->control.secrets[0]++;
	start(w);
	tick(w, T0 + 30);
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), "REJECT"), 0);
	assert_int_equal(count_of(text(w), "NODATA"), 2);
}

static void losses_of_the_data_path_are_declared_once(void **state)
{
	struct world *w = *state;
	struct collector_report report;

	tick(w, T0 + 1);
	w->stats[DB].skipped_rejects = 40;
	w->stats[DB].skipped_accepts = 2;
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), "eni-db - - - - - - - 1760000040 1760000099 - SKIPDATA\n"), 1);
	assert_int_equal(count_of(text(w), "eni-db - - - - - - - 1760000040 1760000099 - NODATA\n"), 0);
	tick(w, T0 + 120);
	assert_int_equal(count_of(text(w), "SKIPDATA"), 1);
	assert_int_equal(collector_skipped(w->collector, DB), 42);
	collector_report(w->collector, &report);
	assert_int_equal(report.skipped, 42);
	collector_close(&w->collector);
	start(w);
	tick(w, T0 + 130);
	tick(w, T0 + 180);
	assert_int_equal(count_of(text(w), "SKIPDATA"), 1);
	assert_int_equal(collector_skipped(w->collector, DB), 42);
}

/* E23. The folder is gone and a file stands in its place: no line can be written, nothing is silent afterwards. */
static void lines_lost_to_the_disk_are_declared_when_it_works_again(void **state)
{
	struct world *w = *state;
	struct collector_report report;
	char aside[128];

	tick(w, T0 + 1);
	snprintf(aside, sizeof(aside), "%s.aside", w->dir);
	assert_int_equal(rename(w->dir, aside), 0);
	fclose(fopen(w->dir, "w"));
	reject(w, DB, false, "198.51.100.7", "10.0.2.40", 40112, 3389, T0 + 20);
	collector_tick(w->collector, mono(T0 + 60),
		       (T0 + 60) * NS); /* the writer may have failed already, or not yet */
	collector_wait(w->collector);
	collector_report(w->collector, &report);
	assert_non_null(strstr(report.attention, "cannot be written"));
	assert_int_equal(collector_tick(w->collector, mono(T0 + 61), (T0 + 61) * NS), -ENOTDIR);
	unlink(w->dir);
	assert_int_equal(rename(aside, w->dir), 0);
	collector_tick(w->collector, mono(T0 + 120), (T0 + 120) * NS);
	assert_int_equal(count_of(text(w), "eni-db - - - - - - - 1760000100 1760000159 - SKIPDATA\n"), 1);
	assert_int_equal(count_of(text(w), "REJECT"), 0);
	assert_int_equal(collector_skipped(w->collector, DB), 1);
	collector_report(w->collector, &report);
	assert_string_equal(report.attention, "");
}

/* FL-01 to FL-03. */
static void flow_logs_choose_enis_verdicts_and_windows(void **state)
{
	struct world *w = *state;

	w->logs[0] = (struct flow_log){.resource = "eni-web", .traffic = "REJECT", .interval_s = 60, .active = true};
	w->logs[1] = (struct flow_log){.resource = "subnet-9", .traffic = "ALL", .interval_s = 60, .active = true};
	w->state.nr_flow_logs = 2;
	assert_int_equal(collector_state_changed(w->collector, &w->state, &w->image), 0);
	tick(w, T0 + 1);
	packets(new_flow(w, 0, WEB, DB, "10.0.1.25", "10.0.2.40", 1, 2), 0, 1, 40, T0 + 5);
	reject(w, WEB, true, "10.0.1.25", "10.0.2.40", 5, 6, T0 + 5);
	tick(w, T0 + 60);
	assert_string_equal(text(w),
			    "2 111122223333 eni-web 10.0.1.25 10.0.2.40 5 6 6 1 40 1760000045 1760000045 REJECT OK\n");
}

static void ten_minute_windows_end_at_full_ten_minutes(void **state)
{
	struct world *w = *state;
	uint64_t t = 1760000400; /* a multiple of 600 */
	struct flow_record *record = new_flow(w, 0, WEB, DB, "10.0.1.25", "10.0.2.40", 1, 2);

	w->logs[0] = (struct flow_log){.resource = "eni-db", .traffic = "ALL", .interval_s = 60, .active = true};
	w->logs[1] = (struct flow_log){.resource = "vpc-1", .traffic = "ALL", .interval_s = 600, .active = true};
	w->state.nr_flow_logs = 2;
	assert_int_equal(collector_state_changed(w->collector, &w->state, &w->image), 0);
	for (uint64_t s = t + 1; s <= t + 600; s++) {
		tick(w, s);
		if (s % 60 == 30)
			packets(record, 0, 1, 40, s);
		if (s % 60 == 0)
			(void)text(w);
	}
	assert_int_equal(count_of(text(w), "eni-web 10.0.1.25 10.0.2.40 1 2 6 10 400 1760000400 1760000970 ACCEPT"), 1);
	assert_int_equal(count_of(text(w), "eni-web"), 1);
	assert_int_equal(count_of(text(w), "eni-db 10.0.1.25 10.0.2.40 1 2 6 1 40 "), 10);
}

/* E32. */
static void hostile_names_stay_one_line(void **state)
{
	struct world *w = *state;

	w->enis[0].owner = "1 2\n2 x";
	assert_int_equal(collector_state_changed(w->collector, &w->state, &w->image), 0);
	tick(w, T0 + 1);
	tick(w, T0 + 60);
	assert_int_equal(count_of(text(w), "\n"), 2);
	assert_non_null(strstr(text(w), "2 1\\x202\\x0a2\\x20x eni-web - - "));
}

/* E24: an hour forward, then a day back; every line's bounds are at most a minute apart, nothing is counted twice. */
static void jumps_of_the_clock_double_nothing(void **state)
{
	struct world *w = *state;
	struct flow_record *record = new_flow(w, 0, WEB, UPLINK, "10.0.1.25", "198.51.100.7", 1, 2);
	uint64_t start_ns = mono(T0 + 1), day = 86400;

	tick(w, T0 + 1);
	packets(record, 0, 5, 50, T0 + 20);
	collector_tick(w->collector, start_ns + 30 * NS, (T0 + 3600) * NS);
	(void)text(w);
	packets(record, 0, 7, 70, T0 + 40);
	collector_tick(w->collector, start_ns + 50 * NS, (T0 - day) * NS);
	(void)text(w);
	collector_tick(w->collector, start_ns + 130 * NS, (T0 - day + 80) * NS);
	assert_int_equal(count_of(text(w), " 6 5 50 "), 1);
	assert_int_equal(count_of(text(w), " 6 7 70 "), 1);
	assert_int_equal(count_of(text(w), "ACCEPT"), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flow_gives_a_line_at_each_end_and_in_each_direction),
		TEST(reject_is_one_line_with_its_own_times),
		TEST(idle_eni_has_one_nodata_line_per_window),
		TEST(icmp_has_no_ports_and_identifiers_add_up),
		TEST(translated_flow_shows_private_addresses_at_the_eni),
		TEST(translated_family_shows_ipv6_at_the_eni),
		TEST(own_side_shows_the_primary_address),
		TEST(guard_ports_tell_directions_by_side_and_tx),
		TEST(later_window_shows_only_what_is_new),
		TEST(ended_flows_are_counted_once_however_they_end),
		TEST(spilled_packets_join_their_tally),
		TEST(walk_in_slices_takes_each_flow_once),
		TEST(restarted_collector_goes_on_where_the_last_one_ended),
		TEST(killed_hand_over_doubles_and_loses_nothing),
		TEST(killed_collector_loses_nothing),
		TEST(stores_of_another_instance_are_not_used),
		TEST(losses_of_the_data_path_are_declared_once),
		TEST(lines_lost_to_the_disk_are_declared_when_it_works_again),
		TEST(flow_logs_choose_enis_verdicts_and_windows),
		TEST(ten_minute_windows_end_at_full_ten_minutes),
		TEST(hostile_names_stay_one_line),
		TEST(jumps_of_the_clock_double_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
