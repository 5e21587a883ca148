/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/session.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static int load(const struct explain_options *options, struct explain_session *session, char **ret_why)
{
	struct state_messages messages = {};
	const struct host *host;
	bool told;
	int r = state_load(options->states, options->nr_states, &session->state, &messages);

	for (size_t i = 0; i < messages.nr_errors; i++)
		warnx("%s", messages.errors[i].text);
	for (size_t i = 0; i < messages.nr_warnings; i++)
		warnx("warning: %s", messages.warnings[i].text);
	told = messages.nr_errors > 0;
	state_messages_done(&messages);
	if (r)
		return refuse(ret_why, r, "cannot load the state%s%s", told ? "" : ": ", told ? "" : strerror(-r));
	host = state_host(session->state, options->host);
	if (!host) {
		*ret_why = state_host_missing(session->state, options->host);
		return -ENOENT;
	}
	r = compile_image(session->state, host, &session->image, ret_why);
	if (!r && !options->model_only)
		r = program_open(session->image, options->xdp, &session->program, ret_why);
	session->asked = (struct asked){session->state, session->image, options->model_only ? NULL : &session->program};
	return r;
}

static int load_live(const struct explain_options *options, struct explain_session *session, char **ret_why)
{
	int r = view_open(options->pin_dir, options->run_dir, &session->view, ret_why);

	if (r)
		return r;
	session->live = true;
	if (!session->view.image)
		return refuse(ret_why, -ENOENT, "no state is in force on this host: name one");
	if (options->host && strcmp(options->host, session->view.image->host->id) != 0)
		return refuse(ret_why, -EINVAL, "in force here is what the state says of host '%s', not of '%s'",
			      session->view.image->host->id, options->host);
	if (!options->model_only)
		r = program_open_copy(session->view.datapath, options->xdp, &session->program, ret_why);
	session->asked = (struct asked){session->view.state, session->view.image,
					options->model_only ? NULL : &session->program};
	return r;
}

int session_open(const struct explain_options *options, struct explain_session *ret, char **ret_why)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = options->nr_states ? load(options, ret, ret_why) : load_live(options, ret, ret_why);
	if (r)
		session_close(ret);
	return r;
}

void session_close(struct explain_session *session)
{
	program_close(&session->program);
	if (session->live)
		view_close(&session->view);
	image_free(&session->image);
	state_free(&session->state);
}
