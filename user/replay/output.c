/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/names.h"
#include "base/text.h"
#include "replay/cut.h"
#include "replay/line.h"

#define OUTPUT_CHUNK (1u << 20)

int output_init(struct output *output, int fd)
{
	*output = (struct output){.fd = fd, .size = 2 * OUTPUT_CHUNK};
	output->data = malloc(output->size);
	return output->data ? 0 : -ENOMEM;
}

void output_done(struct output *output)
{
	output_forget(output);
	free(output->data);
	output->data = NULL;
}

int output_flush(struct output *output)
{
	size_t done = 0;

	while (done < output->used) {
		ssize_t n = write(output->fd, output->data + done, output->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	output->used = 0;
	return 0;
}

void output_forget(struct output *output)
{
	for (size_t i = 0; i < DECISIONS_CACHED; i++) {
		free(output->decisions[i].text);
		output->decisions[i] = (struct decision_json){};
	}
}

/* Room for `more` bytes. Lines are whole when the buffer is flushed, so a reader never waits for the rest of one. */
static int reserve(struct output *output, size_t more)
{
	size_t size = output->size;
	char *data;

	while (size - output->used < more)
		size *= 2;
	if (size == output->size)
		return 0;
	data = realloc(output->data, size);
	if (!data)
		return -ENOMEM;
	output->data = data;
	output->size = size;
	return 0;
}

static int end_line(struct output *output)
{
	output->data[output->used++] = '\n';
	return output->used >= OUTPUT_CHUNK ? output_flush(output) : 0;
}

static void put(struct output *output, const char *text, size_t length)
{
	memcpy(output->data + output->used, text, length);
	output->used += length;
}

#define PUT(output, literal) put(output, literal, sizeof(literal) - 1)

static void put_number(struct output *output, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(output, digits + at, sizeof(digits) - at);
}

/* A JSON string. At most 6 * strlen(text) + 2 bytes. */
static void put_string(struct output *output, const char *text)
{
	char *to = output->data + output->used;

	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			*to++ = '\\';
			*to++ = *text;
		} else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			memcpy(to, "\\u00", 4);
			hex_encode((const uint8_t *)text, 1, to + 4);
			to += 6;
		} else {
			*to++ = *text;
		}
	}
	*to++ = '"';
	output->used = (size_t)(to - output->data);
}

/* Render a decision into the free end of the buffer, and keep a copy. */
static int put_new_decision(struct output *output, const struct datapath *datapath, uint32_t decision)
{
	struct decision_json *cached = &output->decisions[decision % DECISIONS_CACHED];
	struct decision_text text;
	size_t start = output->used;

	if (!datapath_decision(datapath, decision, &text))
		text = (struct decision_text){"none", "", ""};
	if (reserve(output, 6 * (strlen(text.id) + strlen(text.rule)) + 4096) < 0)
		return -ENOMEM;
	PUT(output, "{\"stage\":");
	put_string(output, text.stage);
	PUT(output, ",\"id\":");
	put_string(output, text.id);
	PUT(output, ",\"rule\":");
	put_string(output, text.rule);
	PUT(output, "}");
	free(cached->text);
	*cached = (struct decision_json){.decision = decision, .length = (uint32_t)(output->used - start)};
	cached->text = malloc(cached->length);
	if (!cached->text)
		return -ENOMEM;
	memcpy(cached->text, output->data + start, cached->length);
	return 0;
}

static int put_decisions(struct output *output, const struct datapath *datapath, const struct verdict *verdict)
{
	PUT(output, ",\"decided_by\":[");
	for (uint32_t i = 0; i < verdict->nr_trace; i++) {
		const struct decision_json *cached = &output->decisions[verdict->trace[i] % DECISIONS_CACHED];

		if (i)
			PUT(output, ",");
		if (cached->text && cached->decision == verdict->trace[i]) {
			if (reserve(output, cached->length + 4096) < 0)
				return -ENOMEM;
			put(output, cached->text, cached->length);
		} else if (put_new_decision(output, datapath, verdict->trace[i]) < 0) {
			return -ENOMEM;
		}
	}
	PUT(output, "]");
	return 0;
}

static void put_hex(struct output *output, const uint8_t *bytes, size_t length)
{
	hex_encode(bytes, length, output->data + output->used);
	output->used += 2 * length;
}

/* `length` bytes of the frame from `at` on. */
static void put_part(struct output *output, const struct verdict *verdict, size_t at, size_t length)
{
	size_t first = at < verdict->nr_head ? verdict->nr_head - at : 0;

	if (first > length)
		first = length;
	put_hex(output, verdict->head + at, first);
	if (length > first)
		put_hex(output, verdict->tail + (at + first - verdict->nr_head), length - first);
}

static void put_piece(struct output *output, const struct verdict *verdict, const struct piece *piece)
{
	PUT(output, ",\"packet\":\"");
	put_hex(output, piece->header, piece->nr_header);
	put_part(output, verdict, piece->at, piece->length);
	PUT(output, "\"");
}

static void put_where(struct output *output, const char *action, const char *to)
{
	PUT(output, "\"action\":\"");
	put(output, action, strlen(action));
	PUT(output, "\"");
	if (!to)
		return;
	PUT(output, ",\"to\":");
	put_string(output, to);
}

/* All fragments but the first, which stands where a whole packet would. ret: how many, or -ENOMEM */
static int put_pieces(struct output *output, const struct verdict *verdict, const char *action, const char *to)
{
	struct piece piece;
	uint32_t nr;

	for (nr = 1; cut_frame(verdict->head, verdict->cut, nr, &piece); nr++) {
		if (reserve(output, 2 * piece.length + 6 * ID_MAX + 4096) < 0)
			return -ENOMEM;
		put(output, nr > 1 ? ",{" : "{", nr > 1 ? 2 : 1);
		put_where(output, action, to);
		put_piece(output, verdict, &piece);
		PUT(output, "}");
	}
	return (int)nr - 1;
}

static void put_copied_frame(struct output *output, const struct verdict *verdict, const struct mirror_copy *copy)
{
	size_t rest = copy->length - copy->seen;

	PUT(output, ",\"packet\":\"");
	put_hex(output, copy->dmac, sizeof(copy->dmac));
	put_hex(output, copy->smac, sizeof(copy->smac));
	PUT(output, "0800");
	put_hex(output, (const uint8_t *)&copy->outer, MIRROR_ROOM);
	put_hex(output, copy->bytes, copy->seen);
	put_hex(output, verdict->rest, rest < verdict->nr_rest ? rest : verdict->nr_rest);
	PUT(output, "\"");
}

/* What a traffic mirror session made of the packet. */
static int put_copy(struct output *output, const struct datapath *datapath, const struct verdict *verdict,
		    const struct mirror_copy *copy)
{
	const char *action = action_name(copy->action);
	const char *reason = reason_name(copy->reason);

	if (reserve(output, 2 * (size_t)copy->length + 12 * ID_MAX + 4096) < 0)
		return -ENOMEM;
	PUT(output, "{");
	put_where(output, action, copy->reason ? NULL : datapath_port_id(datapath, copy->exit));
	PUT(output, ",\"reason\":\"");
	put(output, reason, strlen(reason));
	PUT(output, "\",\"mirror\":");
	put_string(output, datapath_port_id(datapath, copy->source));
	PUT(output, ",\"session\":");
	put_number(output, copy->session);
	if (!copy->reason)
		put_copied_frame(output, verdict, copy);
	PUT(output, "}");
	return 0;
}

static int put_also(struct output *output, const struct datapath *datapath, const struct verdict *verdict,
		    const char *action, const char *to)
{
	int nr = 0;

	PUT(output, ",\"also\":[");
	if (verdict->cut)
		nr = put_pieces(output, verdict, action, to);
	for (uint32_t i = 0; i < verdict->copies && nr >= 0; i++) {
		if (nr + (int)i)
			PUT(output, ",");
		if (put_copy(output, datapath, verdict, datapath_copies(datapath) + i) < 0)
			return -ENOMEM;
	}
	PUT(output, "]");
	return nr < 0 ? nr : 0;
}

int output_verdict(struct output *output, uint64_t n, const struct datapath *datapath, const char *from,
		   const struct verdict *verdict)
{
	const char *to = verdict->action == ACTION_REPLY ? from : datapath_port_id(datapath, verdict->exit);
	const char *action = action_name(verdict->action);
	const char *reason = reason_name(verdict->reason);
	struct piece piece;

	if (verdict->action == ACTION_DROP || verdict->action == ACTION_PASS)
		to = NULL;
	if (reserve(output, 2 * (verdict->nr_head + verdict->nr_tail) + 6 * ID_MAX + 4096) < 0)
		return -ENOMEM;
	PUT(output, "{\"n\":");
	put_number(output, n);
	PUT(output, ",");
	put_where(output, action, to);
	PUT(output, ",\"reason\":\"");
	put(output, reason, strlen(reason));
	PUT(output, "\"");
	if (verdict->cut && cut_frame(verdict->head, verdict->cut, 0, &piece)) {
		put_piece(output, verdict, &piece);
	} else if (verdict->action != ACTION_DROP) {
		PUT(output, ",\"packet\":\"");
		put_hex(output, verdict->head, verdict->nr_head);
		put_hex(output, verdict->tail, verdict->nr_tail);
		PUT(output, "\"");
	}
	if (put_decisions(output, datapath, verdict) < 0)
		return -ENOMEM;
	if ((verdict->cut || verdict->copies) && put_also(output, datapath, verdict, action, to) < 0)
		return -ENOMEM;
	PUT(output, "}");
	return end_line(output);
}

int output_applied(struct output *output, uint64_t n, uint32_t changed)
{
	if (reserve(output, 128) < 0)
		return -ENOMEM;
	PUT(output, "{\"n\":");
	put_number(output, n);
	PUT(output, ",\"action\":\"applied\",\"changed\":");
	put_number(output, changed);
	PUT(output, "}");
	return end_line(output);
}

int output_refused(struct output *output, uint64_t n, const char *const *errors, size_t nr)
{
	if (reserve(output, 128) < 0)
		return -ENOMEM;
	PUT(output, "{\"n\":");
	put_number(output, n);
	PUT(output, ",\"action\":\"refused\",\"errors\":[");
	for (size_t i = 0; i < nr; i++) {
		json_t *text = text_json(errors[i]);

		if (!text || reserve(output, 6 * json_string_length(text) + 128) < 0) {
			json_decref(text);
			return -ENOMEM;
		}
		if (i)
			PUT(output, ",");
		put_string(output, json_string_value(text));
		json_decref(text);
	}
	PUT(output, "]}");
	return end_line(output);
}
