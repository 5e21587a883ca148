/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* E9: the pin folder was removed while no agent ran. What is left at devices goes on judging and is named; nobody
 * else's is. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/clsact.h"
#include "attach/strays.h"
#include "datapath/datapath.h"

#define NS 1000000000ull

static char pin_dir[64], other_dir[64];

static struct datapath *open_set(void)
{
	struct datapath_options options = {.pin_dir = pin_dir, .flows_max = 64, .policy_lines = 4096};
	struct datapath *datapath = NULL;
	char *why = NULL;

	if (datapath_open(&options, &datapath, &why))
		fail_msg("datapath_open: %s", why);
	return datapath;
}

static void remove_pins(void)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s", pin_dir);
	assert_int_equal(system(command), 0);
}

static void e9_filters_without_pins_are_named(void **state)
{
	struct datapath *datapath;
	uint32_t in0, prog;
	struct stray stray[2];
	uint64_t now;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link add in0 type veth peer name guest0"), 0);
	in0 = if_nametoindex("in0");
	datapath = open_set();
	now = datapath_now_ns(datapath);
	assert_int_equal(strays_find(pin_dir, now, stray, 2), 0);
	assert_int_equal(clsact_attach(in0, false, datapath_prog_fd(datapath, "tc_rx")), 0);
	assert_int_equal(clsact_attach(in0, true, datapath_prog_fd(datapath, "tc_tx")), 0);
	datapath_control(datapath)->agent_alive_ns = now - 60 * NS; /* the agent is down */
	assert_int_equal(strays_find(pin_dir, now, stray, 2), 0);   /* ours: its pins are there */
	assert_int_equal(strays_find(other_dir, now, stray, 2), 2); /* of no agent that lives, as far as one can see */
	datapath_control(datapath)->agent_alive_ns = now - NS;
	assert_int_equal(strays_find(other_dir, now, stray, 2), 0); /* another agent's */
	datapath_control(datapath)->agent_alive_ns = now - 60 * NS;
	remove_pins();
	datapath_close(&datapath);
	memset(stray, 0, sizeof(stray));
	assert_int_equal(strays_find(pin_dir, now, stray, 1), 2);
	assert_string_equal(stray[0].device, "in0");
	assert_string_equal(stray[0].direction, "ingress");
	assert_null(stray[1].direction); /* no more than were asked for */
	assert_int_equal(clsact_program(in0, false, &prog), 0);
	assert_int_equal(prog, stray[0].prog_id); /* it goes on judging */
	clsact_detach(in0, false);
	clsact_detach(in0, true);
	assert_int_equal(strays_find(pin_dir, now, stray, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(e9_filters_without_pins_are_named)};
	int failed;

	if (geteuid()) {
		printf("test_strays: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/enid-strays-%d", (int)getpid());
	snprintf(other_dir, sizeof(other_dir), "/sys/fs/bpf/enid-strays-%d-b", (int)getpid());
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	remove_pins();
	return failed;
}
