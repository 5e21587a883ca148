/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/line.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at;
}

/* A string without escapes, from its opening quote. ret: behind the closing quote, NULL = not such a string */
static const char *scan_string(const char *at, const char *end, struct span *ret)
{
	const char *close;

	if (at == end || *at != '"')
		return NULL;
	close = memchr(at + 1, '"', (size_t)(end - at - 1));
	if (!close)
		return NULL;
	for (const char *c = at + 1; c < close; c++)
		if (*c == '\\' || (signed char)*c < 0x20) /* escapes, control characters, and all that is not ASCII */
			return NULL;
	*ret = (struct span){at + 1, (size_t)(close - at - 1)};
	return close + 1;
}

/* Seconds, as a decimal number without sign and exponent, to ns. */
static const char *scan_seconds(const char *at, const char *end, uint64_t *ret_ns)
{
	uint64_t seconds = 0, fraction = 0, unit = 1000000000;
	const char *start = at;

	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		seconds = seconds * 10 + (uint64_t)(*at - '0');
		if (seconds > LINE_AT_MAX_S)
			return NULL;
	}
	if (at == start || (*start == '0' && at - start > 1))
		return NULL;
	if (at < end && *at == '.') {
		const char *point = at++;

		for (; at < end && *at >= '0' && *at <= '9'; at++) {
			unit /= 10;
			fraction += (uint64_t)(*at - '0') * unit;
		}
		if (at == point + 1)
			return NULL;
	}
	if (at < end && (*at == 'e' || *at == 'E'))
		return NULL;
	*ret_ns = seconds * 1000000000 + fraction;
	return at;
}

static bool span_is(const struct span *span, const char *word)
{
	return span->length == strlen(word) && !memcmp(span->data, word, span->length);
}

static const char *scan_value(const char *at, const char *end, const struct span *key, struct replay_line *line)
{
	struct span value;
	uint64_t number;

	if (span_is(key, "at")) {
		line->has_at = true;
		return scan_seconds(at, end, &line->at_ns);
	}
	if (span_is(key, "vni"))
		return scan_seconds(at, end, &number);
	at = scan_string(at, end, &value);
	if (!at)
		return NULL;
	if (span_is(key, "packet")) {
		line->packet = value;
	} else if (span_is(key, "port")) {
		line->port = value;
	} else if (span_is(key, "from")) {
		line->from = value;
	} else if (span_is(key, "state")) {
		line->states[0] = value;
		line->nr_states = 1;
	} else if (span_is(key, "dir")) {
		line->tx = span_is(&value, "tx");
		return line->tx || span_is(&value, "rx") ? at : NULL;
	}
	return at;
}

bool line_scan(const char *text, size_t length, struct replay_line *ret)
{
	const char *end = text + length, *at = skip_blanks(text, end);

	if (at == end || *at != '{')
		return false;
	do {
		struct span key;

		at = scan_string(skip_blanks(at + 1, end), end, &key);
		if (!at)
			return false;
		at = skip_blanks(at, end);
		if (at == end || *at != ':')
			return false;
		at = scan_value(skip_blanks(at + 1, end), end, &key, ret);
		if (!at)
			return false;
		at = skip_blanks(at, end);
	} while (at < end && *at == ',');
	return at < end && *at == '}' && skip_blanks(at + 1, end) == end;
}

static __attribute__((format(printf, 2, 3))) int wrong(struct replay_line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(line->error, sizeof(line->error), format, args);
	va_end(args);
	return -EINVAL;
}

static int read_string(struct replay_line *line, const json_t *object, const char *key, struct span *ret)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return wrong(line, "'%s' is not a string", key);
	*ret = (struct span){json_string_value(value), json_string_length(value)};
	return 0;
}

static int read_at(struct replay_line *line, const json_t *object)
{
	const json_t *value = json_object_get(object, "at");
	double seconds = json_number_value(value);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_number(value) || seconds < 0 || seconds > (double)LINE_AT_MAX_S)
		return wrong(line, "'at' is not a number of seconds from 0 to %llu", LINE_AT_MAX_S);
	line->has_at = true;
	line->at_ns = json_is_integer(value) ? (uint64_t)json_integer_value(value) * 1000000000
					     : (uint64_t)llround(seconds * 1e9);
	return 0;
}

static int read_states(struct replay_line *line, const json_t *object)
{
	const json_t *value = json_object_get(object, "state");
	size_t nr = json_array_size(value);

	if (!json_is_array(value)) {
		line->nr_states = value && !json_is_null(value);
		return read_string(line, object, "state", &line->states[0]);
	}
	if (!nr || nr > LINE_STATES_MAX)
		return wrong(line, "'state' has %zu paths, not 1 to %d", nr, LINE_STATES_MAX);
	for (size_t i = 0; i < nr; i++) {
		const json_t *path = json_array_get(value, i);

		if (!json_is_string(path))
			return wrong(line, "'state' is neither a path nor a list of paths");
		line->states[i] = (struct span){json_string_value(path), json_string_length(path)};
	}
	line->nr_states = nr;
	return 0;
}

static int read_json(const char *text, size_t length, struct replay_line *line)
{
	struct span dir = {};
	json_error_t error;
	int r;

	line->json = json_loadb(text, length, 0, &error);
	if (!line->json)
		return wrong(line, "not JSON: %s", error.text);
	if (!json_is_object(line->json))
		return wrong(line, "not a JSON object");
	r = read_string(line, line->json, "port", &line->port);
	if (!r)
		r = read_string(line, line->json, "packet", &line->packet);
	if (!r)
		r = read_string(line, line->json, "from", &line->from);
	if (!r)
		r = read_string(line, line->json, "dir", &dir);
	if (!r)
		r = read_at(line, line->json);
	if (!r)
		r = read_states(line, line->json);
	if (r < 0)
		return r;
	line->tx = dir.data && span_is(&dir, "tx");
	return !dir.data || line->tx || span_is(&dir, "rx") ? 0 : wrong(line, "'dir' is neither \"rx\" nor \"tx\"");
}

int line_parse(const char *text, size_t length, struct replay_line *ret)
{
	int r = 0;

	*ret = (struct replay_line){};
	if (!line_scan(text, length, ret)) {
		*ret = (struct replay_line){};
		r = read_json(text, length, ret);
	}
	if (r < 0)
		return r;
	if (ret->nr_states)
		return ret->port.data || ret->packet.data ? wrong(ret, "both a 'state' and a packet") : 0;
	if (!ret->port.data)
		return wrong(ret, "neither 'port' nor 'state'");
	return ret->packet.data ? 0 : wrong(ret, "'packet' is missing");
}

void line_done(struct replay_line *line)
{
	if (line->json)
		json_decref(line->json);
	line->json = NULL;
}

/* Value of a hex digit, plus one; 0 = no digit. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

long hex_decode(const char *hex, size_t length, uint8_t *ret)
{
	uint8_t bad = 0;

	if (length % 2)
		return -EINVAL;
	for (size_t i = 0; i < length / 2; i++) {
		uint8_t high = hex_values[(uint8_t)hex[2 * i]] - 1, low = hex_values[(uint8_t)hex[2 * i + 1]] - 1;

		bad |= high | low;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return bad & 0xf0 ? -EINVAL : (long)(length / 2);
}

void hex_encode(const uint8_t *bytes, size_t length, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
}
