/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Errors and warnings: "FILE: LIST[INDEX] ID: PATH: what is wrong". Every message is one line of printable text,
 * whatever the state contains (E32). A hostile state makes no more than STATE_MESSAGES_MAX of each kind. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/text.h"
#include "state/load.h"

void state_messages_init(struct load *load, struct arena *arena)
{
	struct state_messages *messages = load->messages;

	messages->arena = arena;
	messages->errors = ARENA_ARRAY(arena, STATE_MESSAGES_MAX + 1, struct state_message);
	messages->warnings = ARENA_ARRAY(arena, STATE_MESSAGES_MAX + 1, struct state_message);
}

/* Terminal and log safety: each byte of what is unprintable becomes '?'. */
static const char *printable(char *text)
{
	for (char *c = text; *c;) {
		size_t bytes = text_unprintable(c);

		memset(c, '?', bytes);
		c += bytes ? bytes : 1;
	}
	return text;
}

static void add(struct load *load, bool error, const char *place, const char *format, va_list args)
{
	struct state_messages *messages = load->messages;
	struct arena *arena = messages->arena;
	size_t *nr = error ? &messages->nr_errors : &messages->nr_warnings;
	size_t *total = error ? &load->nr_errors : &load->nr_warnings;
	char *text;

	if ((*total)++ >= STATE_MESSAGES_MAX)
		return;
	text = state_arena_vprintf(arena, format, args);
	text = state_arena_printf(arena, "%s: %s", place, text);
	(error ? messages->errors : messages->warnings)[(*nr)++].text = printable(text);
}

static const char *place_of(struct load *load, const struct item *item, const char *path)
{
	const char *gap = *item->id ? " " : "";
	const char *colon = *path ? ": " : "";

	return state_arena_printf(load->messages->arena, "%s: %s[%zu]%s%s%s%s", item->file, item->list, item->index,
				  gap, item->id, colon, path);
}

void state_error(struct load *load, const struct item *item, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(load, true, load->nr_errors < STATE_MESSAGES_MAX ? place_of(load, item, path) : "", format, args);
	va_end(args);
}

void state_warn(struct load *load, const struct item *item, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(load, false, load->nr_warnings < STATE_MESSAGES_MAX ? place_of(load, item, path) : "", format, args);
	va_end(args);
}

void state_file_error(struct load *load, const char *file, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(load, true, file, format, args);
	va_end(args);
}

/* Say how many were not kept. */
void state_messages_finish(struct load *load)
{
	struct state_messages *messages = load->messages;

	if (load->nr_errors > messages->nr_errors)
		messages->errors[messages->nr_errors++].text = state_arena_printf(
			messages->arena, "and %zu more error%s", load->nr_errors - STATE_MESSAGES_MAX,
			plural(load->nr_errors - STATE_MESSAGES_MAX));
	if (load->nr_warnings > messages->nr_warnings)
		messages->warnings[messages->nr_warnings++].text = state_arena_printf(
			messages->arena, "and %zu more warning%s", load->nr_warnings - STATE_MESSAGES_MAX,
			plural(load->nr_warnings - STATE_MESSAGES_MAX));
}

void state_messages_done(struct state_messages *messages)
{
	if (messages->arena) {
		state_arena_done(messages->arena);
		free(messages->arena);
	}
	memset(messages, 0, sizeof(*messages));
}
