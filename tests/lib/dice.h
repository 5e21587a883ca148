/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chance that can be had again. */
#ifndef ENID_TESTS_DICE_H
#define ENID_TESTS_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t at;
};

uint32_t dice_below(struct dice *dice, uint32_t below); /* 0 .. below - 1 */
bool dice_hit(struct dice *dice, uint32_t percent);

/* The seed of this run: $ENID_SEED, else from the clock; printed. */
uint64_t test_seed(const char *name);

#endif
