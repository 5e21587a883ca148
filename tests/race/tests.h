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
void c16_a_full_name_table_leaks_nothing(void **state);
void c4_c23_expiry_sweeper_collector_and_edits(void **state);

#endif
