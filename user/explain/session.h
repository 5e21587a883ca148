/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What explain has open: a state and its image, and the programs. */
#ifndef ENID_EXPLAIN_SESSION_H
#define ENID_EXPLAIN_SESSION_H

#include <stdio.h>

#include "explain/ask.h"
#include "show/view.h"

struct explain_options {
	const char *const *states; /* none: what is in force on this host */
	size_t nr_states;
	const char *host, *run_dir, *pin_dir;
	bool model_only, xdp;
};

struct explain_session {
	struct state *state;
	struct image *image;
	struct view view; /* of the pinned maps, if the state is the one in force */
	bool live;
	struct program program;
	struct asked asked;
};

/* ret: 0 | -errno; *ret_why to free(). Warnings go to stderr. */
int session_open(const struct explain_options *options, struct explain_session *ret, char **ret_why);
void session_close(struct explain_session *session);

/* questions.c: words, NULL = not said. ret: 0 | -EINVAL, *ret_why to free() */
int question_read(const char *from, const char *to, const char *protocol, const char *port, const char *source_port,
		  const char *icmp, const char *family, struct question *ret, char **ret_why);
/* One question a line, one answer a line. ret: exit code */
int questions_answer(struct explain_session *session, const char *file, FILE *out);

#endif
