/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The names of include/enid/reasons.h. */
#ifndef ENID_NAMES_H
#define ENID_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "enid/reasons.h"

/* ret: "unknown" for what another build may know */
const char *reason_name(uint32_t reason);
const char *reason_meaning(uint32_t reason);
const char *action_name(uint32_t action);
const char *stage_name(uint32_t stage);

/* The stage that drops for that reason; STAGE_NONE: none does, but a check before or behind them. */
enum enid_stage reason_stage(uint32_t reason);
bool is_reason_name(const char *word);

#endif
