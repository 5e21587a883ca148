/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef ENID_TESTS_RACE_TESTS_H
#define ENID_TESTS_RACE_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "race/race.h"

void c15_state_flips_never_leave_an_old_exit(void **state);
void c14_two_cpus_open_one_flow(void **state);
void c14_the_holder_of_a_lock_is_away(void **state);
void c11_no_record_stays_on_a_shelf(void **state);
void c16_a_full_name_table_leaks_nothing(void **state);
void c12_no_record_for_an_eni_without_a_device(void **state);
void c4_c23_expiry_sweeper_collector_and_edits(void **state);
void c23_names_away_from_home_come_and_go(void **state);
void c14_c23_few_flows_opened_and_ended_all_the_time(void **state);

#endif
