/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/session.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "compile/image.h"
#include "datapath/records.h"
#include "state/state.h"

/* ---- state */

static int errors_add(struct session_errors *errors, char *text)
{
	char **texts = text ? realloc(errors->texts, (errors->nr + 1) * sizeof(*texts)) : NULL;

	if (!texts) {
		free(text);
		return -ENOMEM;
	}
	errors->texts = texts;
	errors->texts[errors->nr++] = text;
	return -EINVAL;
}

void session_errors_done(struct session_errors *errors)
{
	for (size_t i = 0; i < errors->nr; i++)
		free(errors->texts[i]);
	free(errors->texts);
	*errors = (struct session_errors){};
}

/* A device outlives its port: what arrives there after an edit is dropped, as a running agent has it. */
static int remember_ports(struct session *session, const struct host *host)
{
	int r = 0;

	if (!session->served)
		session->served = json_object();
	for (size_t i = 0; i < host->nr_ports && !r; i++)
		r = json_object_set_new(session->served, host->ports[i].eni->id, json_true());
	for (size_t i = 0; i < host->nr_uplinks && !r; i++)
		r = json_object_set_new(session->served, host->uplinks[i].gateway_id, json_true());
	return r ? -ENOMEM : 0;
}

static bool was_served(const struct session *session, const struct span *name)
{
	char id[ID_MAX];

	if (name->length >= sizeof(id))
		return false;
	memcpy(id, name->data, name->length);
	id[name->length] = '\0';
	return json_object_get(session->served, id);
}

/* No devices here: sizes are what the state says. */
static void set_sizes(struct session *session, const struct host *host)
{
	for (size_t i = 0; i < host->nr_ports; i++)
		datapath_set_mtu(session->datapath, datapath_port_number(session->datapath, host->ports[i].eni->id),
				 host->ports[i].mtu);
	for (size_t i = 0; i < host->nr_uplinks; i++)
		datapath_set_mtu(session->datapath,
				 datapath_port_number(session->datapath, host->uplinks[i].gateway_id),
				 host->uplinks[i].mtu);
}

static int apply_state(struct session *session, const struct state *state, uint32_t *ret_changed,
		       struct session_errors *errors)
{
	const struct host *host = state_host(state, session->options->host);
	struct apply_result result;
	struct image *image = NULL;
	char *why = NULL;
	int r;

	if (!host)
		return errors_add(errors, state_host_missing(state, session->options->host));
	r = compile_image(state, host, &image, &why);
	if (!r)
		r = datapath_apply(session->datapath, image, &result, &why);
	if (!r)
		r = remember_ports(session, host);
	if (!r)
		set_sizes(session, host);
	image_free(&image);
	if (r < 0)
		return errors_add(errors, why ? why : strdup(strerror(-r)));
	*ret_changed = result.changed;
	return 0;
}

static void say_warnings(const struct state_messages *messages)
{
	for (size_t i = 0; i < messages->nr_warnings; i++)
		warnx("warning: %s", messages->warnings[i].text);
}

int session_apply(struct session *session, const char *const *states, size_t nr, uint32_t *ret_changed,
		  struct session_errors *errors)
{
	struct state_messages messages = {};
	struct state *state = NULL;
	int r = state_load(states, nr, &state, &messages);

	say_warnings(&messages);
	for (size_t i = 0; r < 0 && i < messages.nr_errors; i++)
		(void)errors_add(errors, strdup(messages.errors[i].text));
	if (r < 0 && !errors->nr)
		(void)errors_add(errors, strdup(strerror(-r)));
	if (!r)
		r = apply_state(session, state, ret_changed, errors);
	state_messages_done(&messages);
	state_free(&state);
	if (!r) {
		output_forget(&session->output);
		memset(session->ports, 0, sizeof(session->ports));
	}
	return r;
}

/* ---- packets */

uint32_t session_port(struct session *session, const struct span *name)
{
	uint32_t hash = 2166136261u;
	struct port_cached *cached;

	if (!name->length || name->length >= ID_MAX)
		return 0;
	for (size_t i = 0; i < name->length; i++)
		hash = (hash ^ (uint8_t)name->data[i]) * 16777619u;
	cached = &session->ports[(hash ^ hash >> 15) % PORTS_CACHED];
	if (cached->length != name->length || memcmp(cached->id, name->data, name->length) != 0) {
		memset(cached, 0, sizeof(*cached));
		memcpy(cached->id, name->data, name->length);
		cached->length = (uint8_t)name->length;
		cached->number = datapath_port_number(session->datapath, cached->id);
	}
	return cached->number;
}

/* The agent of a running host frees expired records in time. Here they are freed when one is missed; a sweep reads
 * every record that was used, so it runs only when some can have expired, and not more often than it can pay for. ret:
 * true = some are free now */
static bool sweep(struct session *session, uint64_t now_ns)
{
	const volatile struct control *control = datapath_control(session->datapath);
	struct records_sweep swept;

	if (now_ns <= session->expiry_ns)
		return false;
	if (session->swept_packets < control->flows_fresh / 64 && now_ns < session->swept_ns + 1000000000)
		return false;
	swept = records_sweep(session->datapath, now_ns, NULL, NULL);
	session->expiry_ns = swept.next_ns;
	session->swept_ns = now_ns;
	session->swept_packets = 0;
	return swept.freed || swept.ports;
}

int session_frame(struct session *session, uint32_t in, const uint8_t *frame, size_t length, size_t wire_length)
{
	uint64_t now_ns = REPLAY_BASE_NS + session->at_ns;
	struct verdict verdict = {};
	int r = runner_run(&session->runner, in, now_ns, frame, length, wire_length, &verdict);

	session->swept_packets++;
	if (!r && (verdict.reason == REASON_CONNTRACK_FULL || verdict.reason == REASON_NAT_NO_PORT) &&
	    sweep(session, now_ns))
		r = runner_run(&session->runner, in, now_ns, frame, length, wire_length, &verdict);
	if (r < 0) {
		char error[96];
		const char *const errors[] = {error};

		snprintf(error, sizeof(error), "the kernel does not run this frame of %zu bytes: %s", length,
			 strerror(-r));
		session->refused++;
		return output_refused(&session->output, session->n++, errors, 1);
	}
	if (session->expiry_ns == UINT64_MAX) /* nothing lived: something may now, and lasts a second at least */
		session->expiry_ns = now_ns;
	return output_verdict(&session->output, session->n++, session->datapath,
			      datapath_port_id(session->datapath, IN_PORT(in)), &verdict);
}

/* ---- lines */

static __attribute__((format(printf, 2, 3))) int refuse_line(struct session *session, const char *format, ...)
{
	char error[512];
	const char *const errors[] = {error};
	va_list args;

	va_start(args, format);
	vsnprintf(error, sizeof(error), format, args);
	va_end(args);
	session->refused++;
	return output_refused(&session->output, session->n++, errors, 1);
}

/* A path is relative to the working directory, else to the folder of the input file. */
static char *state_path(const struct session *session, const struct span *span)
{
	const char *input = session->options->input, *slash = input ? strrchr(input, '/') : NULL;
	_cleanup_free_ char *path = strndup(span->data, span->length);
	char *beside = NULL;

	if (!path || path[0] == '/' || !slash || !access(path, F_OK))
		return TAKE_PTR(path);
	if (asprintf(&beside, "%.*s/%s", (int)(slash - input), input, path) < 0)
		return NULL;
	if (!access(beside, F_OK))
		return beside;
	free(beside);
	return TAKE_PTR(path);
}

static int state_line(struct session *session, const struct replay_line *line)
{
	char *paths[LINE_STATES_MAX] = {};
	struct session_errors errors = {};
	uint32_t changed = 0;
	int r = 0;

	for (size_t i = 0; i < line->nr_states && !r; i++) {
		paths[i] = state_path(session, &line->states[i]);
		r = paths[i] ? 0 : -ENOMEM;
	}
	/* time-outs of the flows that a new state closes are virtual, too */
	datapath_control(session->datapath)->now_ns = REPLAY_BASE_NS + session->at_ns;
	if (!r)
		r = session_apply(session, (const char *const *)paths, line->nr_states, &changed, &errors);
	for (size_t i = 0; i < line->nr_states; i++)
		free(paths[i]);
	if (!r)
		r = output_applied(&session->output, session->n++, changed);
	else
		r = output_refused(&session->output, session->n++, (const char *const *)errors.texts, errors.nr);
	session_errors_done(&errors);
	return r;
}

/* A drop that no program needs to be asked about. */
static int drop_line(struct session *session, enum enid_reason reason)
{
	const struct verdict verdict = {.action = ACTION_DROP, .reason = reason};

	return output_verdict(&session->output, session->n++, session->datapath, "", &verdict);
}

static int packet_line(struct session *session, const struct replay_line *line)
{
	uint32_t port = session_port(session, &line->port);
	bool tunnel = line->port.length == 6 && !memcmp(line->port.data, "tunnel", 6);
	long length;

	if (!port && !tunnel && !was_served(session, &line->port))
		return refuse_line(session, "port '%.*s' is neither an ENI nor an uplink of the state",
				   line->port.length > 80 ? 80 : (int)line->port.length, line->port.data);
	if (line->packet.length > 2 * FRAME_MAX)
		return refuse_line(session, "a frame of %zu bytes: at most %d", line->packet.length / 2, FRAME_MAX);
	length = hex_decode(line->packet.data, line->packet.length, session->frame);
	if (length < 0)
		return refuse_line(session, "'packet' is not an even number of hex digits");
	if (!port) /* frames from other hosts are dropped by the name of what is missing: the overlay */
		return drop_line(session, tunnel ? REASON_NOT_SERVED : REASON_NO_POLICY);
	return session_frame(session, port | (line->tx ? IN_TX : 0), session->frame, (size_t)length, (size_t)length);
}

int session_line(struct session *session, const char *text, size_t length)
{
	struct replay_line line;
	int r = line_parse(text, length, &line);

	if (r < 0) {
		r = refuse_line(session, "%s", line.error);
	} else if (line.has_at && line.at_ns < session->at_ns) {
		r = refuse_line(session, "'at' is %.9g, and the line before is at %.9g already",
				(double)line.at_ns / 1e9, (double)session->at_ns / 1e9);
	} else {
		if (line.has_at)
			session->at_ns = line.at_ns;
		r = line.nr_states ? state_line(session, &line) : packet_line(session, &line);
	}
	line_done(&line);
	return r;
}
