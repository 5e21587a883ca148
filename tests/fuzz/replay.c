/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replay's input: a line of any bytes is answered by one line (R1), the fast scanner and jansson read the same, and a
 * capture of any bytes is read or refused. The first byte: odd = a capture. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "feed.h"
#include "host/host.h"
#include "replay/line.h"
#include "replay/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_span(const struct span *a, const struct span *b)
{
	return a->length == b->length && !a->data == !b->data && (!a->data || !memcmp(a->data, b->data, a->length));
}

#define ROUNDING_NS 2000 /* jansson's times are doubles; the latest is 9e9 s */

static void check_meaning(const struct replay_line *fast, const struct replay_line *slow, const char *text, int length)
{
	uint64_t apart = fast->at_ns > slow->at_ns ? fast->at_ns - slow->at_ns : slow->at_ns - fast->at_ns;

	MUST(same_span(&fast->port, &slow->port) && same_span(&fast->packet, &slow->packet) && fast->tx == slow->tx &&
		     fast->nr_states == slow->nr_states && fast->has_at == slow->has_at && apart <= ROUNDING_NS,
	     "'%.*s' has two meanings", length, text);
}

/* The same line with one letter of its first key written as an escape, which only jansson reads. */
static void check_scanner(const char *text, size_t length)
{
	const char *quote = memchr(text, '"', length);
	struct replay_line fast = {}, slow;
	char *escaped = malloc(length + 8);
	size_t before;
	int r;

	if (escaped && quote && quote + 1 < text + length && line_scan(text, length, &fast)) {
		before = (size_t)(quote - text) + 1;
		memcpy(escaped, text, before);
		snprintf(escaped + before, 7, "\\u%04x", (unsigned char)text[before]);
		memcpy(escaped + before + 6, text + before + 1, length - before - 1);
		r = line_parse(text, length, &fast);
		MUST(r == line_parse(escaped, length + 5, &slow), "only one of two reads '%.*s': %s", (int)length, text,
		     slow.error);
		MUST(r || slow.json, "the scanner reads escapes");
		if (!r)
			check_meaning(&fast, &slow, text, (int)length);
		line_done(&slow);
	}
	line_done(&fast);
	free(escaped);
}

/* A state line could read any file of this machine: only what the fixed states are named. */
static bool harmless(const char *text, size_t length)
{
	return !memmem(text, length, "state", 5) && !memmem(text, length, "\\u", 2);
}

static size_t check_lines(const uint8_t *data, size_t size, bool *ret_harmless)
{
	const char *text = (const char *)data;
	size_t nr = 0;

	*ret_harmless = harmless(text, size);
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size;

		check_scanner(text, length);
		nr++;
		size -= length + (end != NULL);
		text += length + (end != NULL);
	}
	return nr;
}

static size_t count_lines(int fd)
{
	char bytes[4096];
	size_t nr = 0;
	ssize_t n;

	(void)lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			nr += bytes[i] == '\n';
	return nr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const state = "tests/fuzz/states/before.json";
	struct replay_options options = {.states = &state, .nr_states = 1, .host = "host-a", .flows_max = 16};
	struct feed in, out;
	bool safe = true;
	size_t nr = 0;
	int r;

	if (size < 2)
		return 0;
	host_entries_max = 4096;
	options.port = data[0] & 1 ? "a" : NULL;
	options.xdp = data[0] & 2;
	if (!options.port)
		nr = check_lines(data + 1, size - 1, &safe);
	if (!safe)
		return 0;
	in = feed_make(data + 1, size - 1);
	out = feed_make(data, 0);
	options.input = in.path;
	options.fd = out.fd;
	r = replay_run(&options);
	MUST(options.port || r || count_lines(out.fd) == nr, "%zu lines in, %zu out", nr, count_lines(out.fd));
	feed_done(&in);
	feed_done(&out);
	return 0;
}
