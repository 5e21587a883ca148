/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Races: two CPUs, the sweeper, the agent's collector and edits against each other (C4, C14, C15, C16, C23).
 * RACE_SECONDS: how long each of the stress tests runs.
 *   race [TEST] */
#include "race/tests.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c15_state_flips_never_leave_an_old_exit),
		cmocka_unit_test(c14_two_cpus_open_one_flow),
		cmocka_unit_test(c14_the_holder_of_a_lock_is_away),
		cmocka_unit_test(c11_no_record_stays_on_a_shelf),
		cmocka_unit_test(c16_a_full_name_table_leaks_nothing),
		cmocka_unit_test(c12_no_record_for_an_eni_without_a_device),
		cmocka_unit_test(c4_c23_expiry_sweeper_collector_and_edits),
		cmocka_unit_test(c23_names_away_from_home_come_and_go),
		cmocka_unit_test(c14_c23_few_flows_opened_and_ended_all_the_time),
	};

	if (geteuid()) {
		printf("race: SKIPPED: loading BPF programs needs root\n");
		return 0;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
