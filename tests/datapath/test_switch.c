/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A take-over that cannot be, and one whose agent was killed right after the switch: what is said of them. The other
 * build's set is one of ours under another name. Needs root. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "datapath/beside.h"
#include "datapath/internal.h"
#include "enid/handover.h"

#define OTHER_HASH 0x00000abdu
#define CLIENT     1u
#define GATEWAY    5u
#define OLD_FLOWS  4096u

struct switch_test {
	char pin_dir[64], root[PATH_MAX], other[128];
	struct datapath *datapath;
};

static void open_set(struct switch_test *test, uint32_t flows)
{
	struct datapath_options options = {.pin_dir = test->pin_dir, .flows_max = flows, .policy_lines = 4096};
	char *why = NULL;

	if (datapath_open(&options, &test->datapath, &why))
		fail_msg("datapath_open: %s", why);
	snprintf(test->root, sizeof(test->root), "%s", test->datapath->root);
}

static int set_up(void **state)
{
	struct switch_test *test = calloc(1, sizeof(*test));

	if (!test)
		return -1;
	snprintf(test->pin_dir, sizeof(test->pin_dir), "/sys/fs/bpf/enid-switch-%d", (int)getpid());
	snprintf(test->other, sizeof(test->other), "%s/" DATAPATH_LAYOUT "-%08x", test->pin_dir, OTHER_HASH);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct switch_test *test = *state;
	char command[128];

	datapath_close(&test->datapath);
	snprintf(command, sizeof(command), "rm -rf %s", test->pin_dir);
	(void)system(command);
	free(test);
	return 0;
}

/* ---- killed after the switch */

static void make_folder(const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* As the agent that switched left it: both sets are whole, and a map says which one is in force. */
static void leave_both(struct switch_test *test, enum handover_flip flip)
{
	struct handover_phase phase = {.flipped = flip, .layout = {OTHER_HASH}};
	char from[PATH_MAX + 16], to[PATH_MAX];
	uint32_t zero = 0;
	int fd;

	phase.layout[1] = (uint32_t)strtoul(strrchr(test->root, '-') + 1, NULL, 16);
	make_folder("%s", test->other);
	make_folder("%s/maps", test->other);
	make_folder("%s/" HANDOVER_FOLDER, test->pin_dir);
	snprintf(from, sizeof(from), "%s/maps/control", test->root);
	fd = bpf_obj_get(from);
	assert_true(fd >= 0);
	snprintf(to, sizeof(to), "%s/maps/control", test->other);
	assert_int_equal(bpf_obj_pin(fd, to), 0);
	close(fd);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "handover_phase", sizeof(zero), sizeof(phase), 1, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, &phase, BPF_ANY), 0);
	snprintf(to, sizeof(to), "%s/" HANDOVER_FOLDER "/handover_phase", test->pin_dir);
	assert_int_equal(bpf_obj_pin(fd, to), 0);
	close(fd);
}

/* missing: what the logs of a port with flows say that they lack */
static void start_after(struct switch_test *test, enum handover_flip flip, uint64_t missing)
{
	struct port_stats *stats = datapath_port_stats(test->datapath);

	stats[CLIENT].skipped_accepts = 0;
	stats[CLIENT].flows = 3;
	datapath_close(&test->datapath);
	leave_both(test, flip);
	open_set(test, OLD_FLOWS);
	assert_true(datapath_takes_over(test->datapath));
	assert_true(datapath_in_force(test->datapath));
	assert_int_equal(datapath_lost_counts(test->datapath), flip != HANDOVER_COUNTED);
	datapath_leave_old(test->datapath);
	assert_int_equal(access(test->other, F_OK), -1);
	stats = datapath_port_stats(test->datapath);
	assert_int_equal(stats[CLIENT].skipped_accepts, missing);
	assert_int_equal(stats[CLIENT + 1].skipped_accepts, 0);
	stats[CLIENT].flows = 0;
}

/* What the old programs counted until the switch went with the agent: the logs of all who have flows say so. */
static void e26_killed_right_after_the_switch(struct switch_test *test)
{
	start_after(test, HANDOVER_NEW, 1);
	start_after(test, HANDOVER_COUNTED, 0);
}

/* ---- no places for flows through gateways */

#define NEW_FLOWS 2048u
#define MAPPED    (NEW_FLOWS / 4 + 200) /* more than places, fewer than records */

static struct flow_record mapped_flow(struct switch_test *test, uint32_t i)
{
	struct flow_half half = {.gs = GS_MAKE(3, RECORD_LIVE),
				 .leg = LEG_TRACKED,
				 .leg_s = 3600,
				 .last_ns = datapath_now_ns(test->datapath)};
	struct flow_record record = {.half = {half, half}};

	for (int side = 0; side < 2; side++) {
		struct tuple *tuple = &record.half[side].tuple;

		*tuple = (struct tuple){.proto = 17, .family = 4};
		tuple->saddr.ip4 = inet_addr(side ? "198.51.100.7" : "10.0.1.10");
		tuple->daddr.ip4 = inet_addr(side ? "203.0.113.9" : "198.51.100.7");
		tuple->sport = htons((uint16_t)(side ? 53 : 2000 + i));
		tuple->dport = htons((uint16_t)(side ? 2000 + i : 53));
		record.half[side].in = CLIENT + (uint32_t)side;
		record.half[side].exit = (uint16_t)(CLIENT + !side);
	}
	record.half[0].shared = RECORD_GATED | RECORD_MAPPED | RECORD_SIDE;
	record.half[1].shared = CLIENT;
	return record;
}

static void fill_table(struct switch_test *test)
{
	volatile struct control *control = datapath_control(test->datapath);
	const struct beside beside = datapath_beside(test->datapath);
	struct flow_record *records = datapath_records(test->datapath);

	assert_true(beside.nr_sides < OLD_FLOWS && beside.nr_sides > MAPPED);
	for (uint32_t i = 0; i < MAPPED; i++) {
		struct side *side = &beside.sides[side_place(i, 0, beside.nr_sides)];

		side->owner = i + 1;
		side->mapping = (struct gate_mapping){.gateway = GATEWAY, .use = NAT_USE_NONE, .idle_s = 350};
		records[i] = mapped_flow(test, i);
	}
	control->flows_fresh = control->flows_used = MAPPED;
}

/* The table has room for twice as many flows: it is not what is full. */
static void a_lack_of_places_is_called_that(struct switch_test *test)
{
	struct datapath_options options = {.flows_max = NEW_FLOWS, .policy_lines = 4096};
	char *why = NULL;

	fill_table(test);
	datapath_close(&test->datapath);
	assert_int_equal(rename(test->root, test->other), 0);
	options.pin_dir = test->pin_dir;
	assert_int_equal(datapath_open(&options, &test->datapath, &why), -ENOBUFS);
	assert_non_null(why);
	assert_non_null(strstr(why, "places for flows through gateways"));
	assert_non_null(strstr(why, "--max-flows"));
	assert_null(strstr(why, "table of flows is"));
	free(why);
}

/* To load programs takes seconds: one set serves for both. */
static void e26_takeovers(void **state)
{
	open_set(*state, OLD_FLOWS);
	e26_killed_right_after_the_switch(*state);
	a_lack_of_places_is_called_that(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(e26_takeovers, set_up, tear_down),
	};

	if (geteuid()) {
		printf("test_switch: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
