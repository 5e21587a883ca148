/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/names.h"

#include <string.h>

static const struct {
	const char *name, *meaning;
} reasons[REASON_MAX] = {
#define X(symbol, name, meaning) [REASON_##symbol] = {name, meaning},
	ENID_REASONS(X)
#undef X
};
static const char *const actions[] = {
#define X(symbol, name) [ACTION_##symbol] = (name),
	ENID_ACTIONS(X)
#undef X
};
static const char *const stages[] = {
#define X(symbol, name) [STAGE_##symbol] = (name),
	ENID_STAGES(X)
#undef X
};

const char *reason_name(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].name : "unknown";
}

const char *reason_meaning(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].meaning : "unknown";
}

const char *action_name(uint32_t action)
{
	return action < ACTION_MAX ? actions[action] : "unknown";
}

const char *stage_name(uint32_t stage)
{
	return stage < STAGE_MAX ? stages[stage] : "unknown";
}

bool is_reason_name(const char *word)
{
	for (uint32_t reason = 0; reason < REASON_MAX; reason++)
		if (!strcmp(word, reasons[reason].name))
			return true;
	return false;
}
