/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lint/lint.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name, *meaning;
} ids[LINT_MAX] = {
#define X(symbol, name, meaning) [LINT_##symbol] = {name, meaning},
	LINT_IDS(X)
#undef X
};

const char *lint_name(enum lint_id id)
{
	return ids[id].name;
}

void lint_say(const struct lint *lint, enum lint_id id, const char *object, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lint->found(lint->context, id, object, text);
}

void lint_state(const struct state *state, lint_found found, void *context)
{
	const struct lint lint = {state, found, context};

	lint_nacls(&lint);
	lint_groups(&lint);
	lint_routes(&lint);
	lint_mirrors(&lint);
}
