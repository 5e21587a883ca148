/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replay's output lines: written by hand into one buffer, because there are millions of them. */
#ifndef ENID_REPLAY_OUTPUT_H
#define ENID_REPLAY_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "replay/runner.h"

#define DECISIONS_CACHED 4096

/* {"stage":..,"id":..,"rule":..} of a decision, as text. */
struct decision_json {
	uint32_t decision;
	uint32_t length;
	char *text;
};

struct output {
	int fd;
	char *data;
	size_t used, size;
	struct decision_json decisions[DECISIONS_CACHED];
};

int output_init(struct output *output, int fd);
void output_done(struct output *output);

/* ret: 0 | -errno of write() */
int output_flush(struct output *output);

/* The meaning of decisions changes with the state: forget what was rendered. */
void output_forget(struct output *output);

/* One line each. `from`: id of the port that the frame came from. ret: 0 | -errno */
int output_verdict(struct output *output, uint64_t n, const struct datapath *datapath, const char *from,
		   const struct verdict *verdict);
int output_applied(struct output *output, uint64_t n, uint32_t changed);
int output_refused(struct output *output, uint64_t n, const char *const *errors, size_t nr);

#endif
