/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/replay.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "replay/capture.h"
#include "replay/session.h"

#define INPUT_CHUNK    (1u << 20)
#define LINE_MAX_BYTES (64u << 20) /* a line beyond this is no line */

struct input {
	int from; /* file descriptor */
	char *data;
	size_t start, used, size;
};

/* Read more, behind what is not consumed yet. Output first: who feeds us may wait for it.
 * ret: bytes read, 0 = end | -errno */
static ssize_t read_more(struct session *session, struct input *input)
{
	ssize_t n = output_flush(&session->output);

	if (n < 0)
		return n;
	memmove(input->data, input->data + input->start, input->used - input->start);
	input->used -= input->start;
	input->start = 0;
	if (input->used == input->size) {
		char *data = input->size < LINE_MAX_BYTES ? realloc(input->data, 2 * input->size) : NULL;

		if (!data)
			return -ENOMEM;
		input->data = data;
		input->size *= 2;
	}
	do
		n = read(input->from, input->data + input->used, input->size - input->used);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	input->used += (size_t)n;
	return n;
}

/* Does the input begin like a pcap or pcapng file? Four bytes that begin no JSON. */
static bool is_capture(const struct input *input)
{
	static const uint32_t magics[] = {0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a};
	uint32_t magic = 0;

	if (input->used >= sizeof(magic))
		memcpy(&magic, input->data, sizeof(magic));
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (magic == magics[i])
			return true;
	return false;
}

/* ret: 0 | -ENOMSG: these are no lines but a capture | -errno */
static int run_lines(struct session *session, struct input *input)
{
	ssize_t n;
	int r = 0;

	do {
		size_t searched = input->used - input->start;
		char *newline;

		n = read_more(session, input);
		if (n < 0)
			return (int)n;
		if (!session->n && is_capture(input))
			return -ENOMSG;
		while (!r && (newline = memchr(input->data + input->start + searched, '\n',
					       input->used - input->start - searched))) {
			const char *text = input->data + input->start;

			r = session_line(session, text, (size_t)(newline - text));
			input->start = (size_t)(newline - input->data) + 1;
			searched = 0;
		}
	} while (!r && n > 0);
	if (!r && input->start < input->used) /* a last line without its newline */
		r = session_line(session, input->data + input->start, input->used - input->start);
	return r;
}

static int run_file(struct session *session, const char *path)
{
	_cleanup_close_ int opened = -1;
	const char *name = path ? path : "-";
	struct input input = {.from = STDIN_FILENO, .data = malloc(INPUT_CHUNK), .size = INPUT_CHUNK};
	int r;

	if (!input.data)
		return -ENOMEM;
	if (path && strcmp(path, "-") != 0) {
		opened = open(path, O_RDONLY | O_CLOEXEC);
		input.from = opened;
	}
	if (input.from < 0) {
		r = -errno;
		warnx("cannot read '%s': %s", path, strerror(-r));
	} else {
		r = run_lines(session, &input);
		if (r == -ENOMSG)
			warnx("'%s' is a capture: say by --port where its frames arrive", name);
		else if (r < 0)
			warnx("'%s': after line %llu: %s", name, (unsigned long long)session->n, strerror(-r));
	}
	free(input.data);
	return r;
}

struct capture_context {
	struct session *session;
	uint32_t in;
};

static int run_captured(void *context, uint64_t at_ns, const uint8_t *frame, size_t length, size_t wire_length)
{
	const struct capture_context *captured = context;

	captured->session->at_ns = at_ns;
	return session_frame(captured->session, captured->in, frame, length < FRAME_MAX ? length : FRAME_MAX,
			     wire_length);
}

static int run_capture(struct session *session, const char *path, uint32_t in)
{
	struct capture_context context = {session, in};
	_cleanup_free_ char *why = NULL;
	int r = capture_read(path, run_captured, &context, &why);

	if (r < 0)
		warnx("%s", why ? why : strerror(-r));
	return r;
}

static int run_input(struct session *session)
{
	const struct replay_options *options = session->options;
	const struct span name = {options->port, options->port ? strlen(options->port) : 0};
	uint32_t port;

	if (!options->port)
		return run_file(session, options->input);
	port = session_port(session, &name);
	if (!port) {
		warnx("port '%s' is neither an ENI nor an uplink of the state", options->port);
		return -ENOENT;
	}
	return run_capture(session, options->input ?: "-", port);
}

static int start(struct session *session)
{
	const struct replay_options *options = session->options;
	const struct datapath_options private = {
		.replay = true,
		.flows_max = options->flows_max,
		.without = options->xdp ? "tc_rx" : "xdp_rx",
	};
	struct session_errors errors = {};
	_cleanup_free_ char *why = NULL;
	uint32_t changed;
	int r = datapath_open(&private, &session->datapath, &why);

	if (r < 0) {
		warnx("%s", why ? why : strerror(-r));
		return r;
	}
	datapath_control(session->datapath)->now_ns = REPLAY_BASE_NS;
	r = runner_init(&session->runner, session->datapath, options->xdp);
	if (!r)
		r = session_apply(session, options->states, options->nr_states, &changed, &errors);
	for (size_t i = 0; i < errors.nr; i++)
		warnx("%s", errors.texts[i]);
	session_errors_done(&errors);
	return r;
}

int replay_run(const struct replay_options *options)
{
	struct session *session = calloc(1, sizeof(*session));
	int r, flushed;

	if (!session)
		return -ENOMEM;
	session->options = options;
	r = output_init(&session->output, options->fd);
	if (!r)
		r = start(session);
	if (!r)
		r = run_input(session);
	flushed = output_flush(&session->output);
	if (session->refused)
		warnx("%llu line%s not understood", (unsigned long long)session->refused, plural(session->refused));
	output_done(&session->output);
	datapath_close(&session->datapath);
	json_decref(session->served);
	free(session);
	return r < 0 ? r : flushed;
}
