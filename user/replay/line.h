/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One line of replay input: {"port":..,"packet":..,"at":..} or {"state":..,"at":..}.
 *
 * The common forms are scanned in place; whatever the scanner does not know (escapes, nesting, exponents) is given to
 * jansson, which also finds the words for what is wrong. Both accept the same lines with the same meaning.
 */
#ifndef ENID_REPLAY_LINE_H
#define ENID_REPLAY_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_AT_MAX_S   9000000000ull /* so that virtual time in ns fits in 64 bits */
#define LINE_STATES_MAX 16

/* A string inside the line, or inside `json`. data NULL = the key is absent. */
struct span {
	const char *data;
	size_t length;
};

struct replay_line {
	struct span port, packet, from;
	struct span states[LINE_STATES_MAX];
	size_t nr_states;
	bool has_at, tx;
	uint64_t at_ns;
	json_t *json; /* owns the spans when jansson read the line */
	char error[256];
};

/* ret: 0 | -EINVAL (ret->error says why). ret needs line_done() in both cases. */
int line_parse(const char *text, size_t length, struct replay_line *ret);
void line_done(struct replay_line *line);

/* The fast scanner alone. ret: false = not a form it knows */
bool line_scan(const char *text, size_t length, struct replay_line *ret);

/* Hex digits, either case. ret: bytes written (length / 2) | -EINVAL */
long hex_decode(const char *hex, size_t length, uint8_t *ret);
void hex_encode(const uint8_t *bytes, size_t length, char *ret);

#endif
