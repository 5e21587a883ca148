/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* E2, E26, E31: an agent is killed while it moves flows to a table of another size, at any instruction. The next one
 * tells no packet twice and declares what may be lost; ports and gateways are charged for all that lives. And what a
 * CPU that was held up for long leaves beside a record. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datapath/beside.h"
#include "datapath/former.h"
#include "datapath/internal.h"
#include "datapath/records.h"
#include "lib/steps.h"

#define SMALL   64u /* flows */
#define LARGE   128u
#define CLIENT  1u /* ports */
#define SERVER  2u
#define GATEWAY 5u
#define USE     7u
#define WATCHED 4u /* records, ports and so on that steps look at: the first ones */

struct kills_test {
	char pin_dir[64];
	struct datapath *datapath;
	struct flow_record *former; /* its records */
	struct side *former_sides;
	struct control *former_control;
	size_t former_size, former_sides_size;
	struct steps steps;
};

void __wrap_datapath_grace(void);
void __wrap_datapath_grace(void)
{
}

static void open_table(struct kills_test *test, uint32_t flows, bool gated)
{
	struct datapath_options options = {
		.pin_dir = test->pin_dir, .flows_max = flows, .policy_lines = 4096, .gated = gated};
	char *why = NULL;

	if (datapath_open(&options, &test->datapath, &why))
		fail_msg("datapath_open: %s", why);
}

/* To load programs takes seconds: tests that want a new table share one. */
static int set_up(void **state)
{
	static unsigned int nr;
	struct kills_test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	snprintf(test->pin_dir, sizeof(test->pin_dir), "/sys/fs/bpf/enid-kills-%d-%u", (int)getpid(), nr++);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct kills_test *test = *state;
	char command[128];

	datapath_close(&test->datapath);
	if (test->former)
		munmap(test->former, test->former_size);
	if (test->former_sides)
		munmap(test->former_sides, test->former_sides_size);
	if (test->former_control)
		munmap(test->former_control, sizeof(*test->former_control));
	steps_done(&test->steps);
	snprintf(command, sizeof(command), "rm -rf %s", test->pin_dir);
	(void)system(command);
	free(test);
	return 0;
}

/* ---- flows, as the programs leave them */

static struct tuple tuple_of(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	struct tuple tuple = {.sport = htons(sport), .dport = htons(dport), .proto = 17, .family = 4};

	tuple.saddr.ip4 = inet_addr(src);
	tuple.daddr.ip4 = inet_addr(dst);
	return tuple;
}

static struct flow_record flow(const struct kills_test *test, uint16_t sport)
{
	struct flow_record record = {};
	struct flow_half half = {.gs = GS_MAKE(3, RECORD_LIVE),
				 .leg = LEG_TRACKED,
				 .leg_s = 3600,
				 .last_ns = datapath_now_ns(test->datapath)};

	record.half[0] = record.half[1] = half;
	record.half[0].tuple = tuple_of("10.0.1.10", "10.0.2.20", sport, 53);
	record.half[1].tuple = tuple_of("10.0.2.20", "10.0.1.10", 53, sport);
	record.half[0].in = record.half[1].exit = CLIENT;
	record.half[1].in = record.half[0].exit = SERVER;
	record.half[1].shared = CLIENT; /* is charged for it */
	return record;
}

static void count(struct flow_half *half, uint64_t packets, uint64_t told)
{
	half->others.packets = packets;
	half->others.bytes = packets * 100;
	half->told_packets = (uint32_t)told;
	half->told_bytes = TOLD_MAKE(told, told * 100, GS_GENERATION(half->gs));
}

static struct port_stats *stats_of(const struct kills_test *test, uint32_t port)
{
	return &((struct port_stats *)test->datapath->port_stats.at)[port];
}

static struct nat_stats *gateway(const struct kills_test *test)
{
	return &((struct nat_stats *)test->datapath->nat_stats.at)[GATEWAY];
}

static uint64_t *uses(const struct kills_test *test)
{
	return &((uint64_t *)test->datapath->nat_uses.at)[USE];
}

static void charge(const struct kills_test *test, bool mapped)
{
	stats_of(test, CLIENT)->flows++;
	gateway(test)->active += mapped;
	*uses(test) += mapped;
}

/* ... through a gateway */
static void map_through(struct flow_record *record, struct side *side, uint32_t index)
{
	record->half[0].shared = RECORD_GATED | RECORD_MAPPED | RECORD_SIDE;
	side->mapping = (struct gate_mapping){
		.gateway = GATEWAY, .addr = inet_addr("203.0.113.9"), .use = USE, .idle_s = 350, .ct = CT_ESTABLISHED};
	side->owner = index + 1;
}

static void *map_pin(const struct kills_test *test, const char *name, size_t size)
{
	char path[PATH_MAX + 64];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", test->datapath->root, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	close(fd);
	return at;
}

/* A table with one flow is exchanged for a larger one. */
static void exchange(struct kills_test *test, const struct flow_record *record)
{
	volatile struct control *control;

	control = datapath_control(test->datapath);
	datapath_records(test->datapath)[0] = *record;
	control->flows_fresh = control->flows_used = 1;
	charge(test, false);
	datapath_close(&test->datapath);
	open_table(test, LARGE, true);
	assert_true(datapath_carries(test->datapath));
	test->former_size = SMALL * sizeof(struct flow_record);
	test->former = map_pin(test, "records_former", test->former_size);
	test->former_sides_size = sides_max(SMALL, true) * sizeof(struct side);
	test->former_sides = map_pin(test, "sides_former", test->former_sides_size);
	test->former_control = map_pin(test, "control_former", sizeof(*test->former_control));
}

/* ---- deaths */

static void watch(struct kills_test *test, int i, void *at, size_t size)
{
	test->steps.region[i].at = at;
	test->steps.region[i].size = size;
}

static void finish(void *arg)
{
	struct kills_test *test = arg;

	datapath_carried(test->datapath);
}

static void take_steps(struct kills_test *test)
{
	struct datapath *datapath = test->datapath;

	watch(test, 0, test->former, 2 * sizeof(*test->former));
	watch(test, 1, test->former_sides, test->former_sides_size);
	watch(test, 2, datapath->records.at, WATCHED * sizeof(struct flow_record));
	watch(test, 3, datapath->sides.at, datapath->sides.size);
	watch(test, 4, datapath->control.at, sizeof(struct control));
	watch(test, 5, datapath->port_stats.at, WATCHED * sizeof(struct port_stats));
	watch(test, 6, gateway(test), sizeof(*gateway(test)));
	watch(test, 7, uses(test), sizeof(*uses(test)));
	watch(test, 8, datapath->names.at, datapath->names.size);
	steps_take(&test->steps, finish, test);
}

/* The next agent. Ours is still where the first one was, so it is a child. */
static void start_again(struct kills_test *test)
{
	int status;
	pid_t child = fork();

	if (!child) {
		if (records_repair(test->datapath, datapath_now_ns(test->datapath)) < 0)
			_exit(1);
		datapath_carried(test->datapath);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

struct sums {
	uint64_t packets, untold, skipped;
};

static struct sums sums_of(const struct kills_test *test, int side)
{
	const struct flow_half *half = &datapath_records(test->datapath)[0].half[side];
	uint32_t generation = GS_GENERATION(datapath_records(test->datapath)[0].half[0].gs);

	return (struct sums){.packets = half_packets(half),
			     .untold = half_untold(half, generation, half_packets(half)),
			     .skipped = stats_of(test, side ? SERVER : CLIENT)->skipped_accepts};
}

/* What the former table had told is told; what it had not is told by ours, or declared. Ours has counted, too. */
static void check_that_a_past_is_told_once(struct kills_test *test)
{
	static const struct {
		uint64_t packets, told, ours, ours_told; /* of half 0 */
	} cases[] = {
		{1000, 900, 7, 4}, /* a long past */
		{10, 9, 500, 20},  /* ours has more than that was */
		{5ull << 32, (5ull << 32) - 3, 1ull << 31, 1},
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		uint64_t untold = cases[c].packets - cases[c].told + cases[c].ours - cases[c].ours_told;
		struct flow_record *ours = datapath_records(test->datapath);
		size_t declared = 0;
		struct sums sums;

		if (c)
			steps_restore(&test->steps, 0);
		count(&test->former[0].half[0], cases[c].packets, cases[c].told);
		count(&test->former[0].half[1], 40, 30);
		count(&ours[0].half[0], cases[c].ours, cases[c].ours_told);
		count(&ours[0].half[1], 0, 0);
		take_steps(test);
		for (size_t i = 0; i < test->steps.nr; i++) {
			steps_restore(&test->steps, i);
			start_again(test);
			sums = sums_of(test, 0);
			if (sums.untold > untold || sums.untold + sums.skipped < untold ||
			    sums.packets > cases[c].packets + cases[c].ours)
				fail_msg("case %zu, death %zu: %llu packets, %llu to be told and %llu declared of %llu",
					 c, i, (unsigned long long)sums.packets, (unsigned long long)sums.untold,
					 (unsigned long long)sums.skipped, (unsigned long long)untold);
			declared += sums.skipped != 0;
			sums = sums_of(test, 1);
			assert_in_range(sums.untold, 0, 10);
			assert_true(sums.untold + sums.skipped >= 10);
			assert_in_range(stats_of(test, CLIENT)->flows, 1, 2);
			assert_int_equal(GS_STATE(test->former[0].half[0].gs), RECORD_FREE);
		}
		/* nobody was killed */
		sums = sums_of(test, 0);
		assert_int_equal(sums.untold, untold);
		assert_int_equal(sums.skipped, 0);
		assert_int_equal(sums.packets, cases[c].packets + cases[c].ours);
		assert_int_equal(stats_of(test, CLIENT)->flows, 1);
		print_message("%zu deaths of %lu instructions, declared after %zu\n", test->steps.nr,
			      test->steps.instructions, declared);
		assert_in_range(declared, 1, test->steps.nr / 2);
	}
}

static uint32_t in_use(const struct kills_test *test)
{
	const struct flow_record *records = datapath_records(test->datapath);
	uint32_t nr = 0;

	for (uint32_t i = 0; i < datapath_control(test->datapath)->flows_fresh; i++)
		nr += GS_STATE(records[i].half[0].gs) != RECORD_FREE;
	return nr;
}

static uint32_t sides_taken(const struct kills_test *test)
{
	const struct beside beside = datapath_beside(test->datapath);
	uint32_t nr = 0;

	for (uint32_t i = 0; i < beside.nr_sides; i++)
		nr += beside.sides[i].owner != 0;
	return nr;
}

/* A flow through a gateway was opened in the former table since, and is carried at last. */
static void check_charges(struct kills_test *test)
{
	size_t charges = 0, taken = 0;

	steps_restore(&test->steps, 0);
	test->former[1] = flow(test, 4001);
	map_through(&test->former[1], &test->former_sides[1], 1);
	test->former_control->flows_fresh = 2;
	charge(test, true);
	take_steps(test);
	for (size_t i = 0; i < test->steps.nr; i++) {
		steps_restore(&test->steps, i);
		start_again(test);
		assert_int_equal(in_use(test), 2);
		assert_in_range(datapath_flows_used(test->datapath), 2, 3); /* one was taken, and not begun */
		assert_int_equal(sides_taken(test), 1);
		assert_in_range(gateway(test)->active, 1, 2);
		assert_in_range(*uses(test), 1, 2);
		assert_in_range(stats_of(test, CLIENT)->flows, 2, 3);
		charges += gateway(test)->active > 1 || *uses(test) > 1 || stats_of(test, CLIENT)->flows > 2;
		taken += datapath_flows_used(test->datapath) > 2;
	}
	assert_int_equal(gateway(test)->active, 1);
	assert_int_equal(*uses(test), 1);
	assert_int_equal(stats_of(test, CLIENT)->flows, 2);
	print_message("%zu deaths of %lu instructions, a charge too many after %zu, a record after %zu\n",
		      test->steps.nr, test->steps.instructions, charges, taken);
	assert_in_range(charges, 0, 7); /* between a charge and the word that says so: three of ours, four of the old */
	assert_in_range(taken, 0, 8);   /* ... while it is filled: its state is in the midst of it */
}

static void e2_e26_killed_anywhere(void **state)
{
	struct kills_test *test = *state;
	struct flow_record record;

	open_table(test, SMALL, true);
	record = flow(test, 4000);
	exchange(test, &record);
	check_that_a_past_is_told_once(test);
	check_charges(test);
}

/* ---- sides of free records */

/* An agent that starts takes them away, and leaves those of flows that live. */
static void i7_no_side_stays_with_a_free_record(void **state)
{
	struct kills_test *test = *state;
	struct datapath_options options = {.flows_max = SMALL, .gated = true, .maps_only = true};
	volatile struct control *control;
	struct flow_record *records;
	struct beside beside;
	char *why = NULL;

	assert_int_equal(datapath_open(&options, &test->datapath, &why), 0);
	records = datapath_records(test->datapath);
	control = datapath_control(test->datapath);
	beside = datapath_beside(test->datapath);
	records[0] = flow(test, 4000);
	map_through(&records[0], &beside.sides[0], 0);
	for (uint32_t i = 1; i < 3; i++) { /* once with the bit, once without */
		records[i] = flow(test, (uint16_t)(4000 + i));
		map_through(&records[i], &beside.sides[i], i);
		records[i].half[0].gs = records[i].half[1].gs = GS_MAKE(3, RECORD_FREE);
		records[i].half[0].shared = i == 1 ? RECORD_SIDE : 0;
	}
	control->flows_fresh = 3;
	assert_int_equal(records_repair(test->datapath, datapath_now_ns(test->datapath)), 2);
	assert_int_equal(sides_taken(test), 1);
	assert_int_equal(beside.sides[0].owner, 1);
	assert_int_equal(beside.sides[0].mapping.gateway, GATEWAY);
	for (uint32_t i = 1; i < 3; i++) {
		assert_int_equal(beside.sides[i].mapping.gateway, 0);
		assert_int_equal(records[i].half[0].shared & RECORD_SIDE, 0);
		assert_int_equal(records[i].half[0].gs, GS_MAKE(3, RECORD_FREE));
	}
	assert_int_equal(records_repair(test->datapath, datapath_now_ns(test->datapath)), 0);
}

/* ---- too few places for flows through gateways */

/* More than half of the few are taken: in a smaller table the few there may collide, so each record gets one. */
static void check_many(struct kills_test *test)
{
	struct datapath_options options = {.pin_dir = test->datapath->root, .flows_max = 2048};
	const struct beside beside = datapath_beside(test->datapath);
	char *why = NULL;

	assert_int_equal(former_check(&options, &why), 0);
	assert_false(options.gated);
	for (uint32_t i = 0; i <= sides_max(2048, false) / 2; i++)
		beside.sides[i].owner = i + 1;
	assert_int_equal(former_check(&options, &why), 0);
	assert_true(options.gated);
	for (uint32_t i = 0; i <= sides_max(2048, false) / 2; i++)
		beside.sides[i].owner = 0;
}

/* The state has a gateway now, which it had not when the table was made: a restart makes places for all. */
static void a_restart_makes_places_for_gateways(void **state)
{
	struct kills_test *test = *state;
	struct datapath_options options = {.flows_max = 0, .gated = true};

	open_table(test, 4096, false);
	assert_int_equal(datapath_beside(test->datapath).nr_sides, sides_max(4096, false));
	options.pin_dir = test->datapath->root;
	assert_true(former_wanted(&options));
	assert_int_equal(options.flows_max, 4096);
	options = (struct datapath_options){.pin_dir = test->datapath->root};
	assert_false(former_wanted(&options));
	check_many(test);
	datapath_close(&test->datapath);
	open_table(test, 0, true);
	assert_int_equal(datapath_flows_max(test->datapath), 4096);
	assert_int_equal(datapath_beside(test->datapath).nr_sides, 4096);
	assert_true(datapath_carries(test->datapath));
	/* before that is over, a start without any word of sizes goes on with it, and begins nothing */
	options = (struct datapath_options){.pin_dir = test->datapath->root, .gated = true};
	assert_false(former_wanted(&options));
	datapath_carried(test->datapath);
	datapath_close(&test->datapath);
	open_table(test, 0, false); /* the gateway went: they stay */
	assert_int_equal(datapath_beside(test->datapath).nr_sides, 4096);
	assert_false(datapath_carries(test->datapath));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(e2_e26_killed_anywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(i7_no_side_stays_with_a_free_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_restart_makes_places_for_gateways, set_up, tear_down),
	};

	if (geteuid()) {
		printf("test_kills: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
