/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A replay: a private datapath, virtual time, and lines or captures run through it (the `enid replay` contract).
 *
 * Invariants
 *  R1  Every input line gets exactly one output line, in order: also one that cannot be understood, which is answered
 *      {"action":"refused","errors":[..]} and changes nothing.
 *  R2  Virtual time is what `at` says and never falls. Nothing depends on the real clock.
 */
#ifndef ENID_REPLAY_H
#define ENID_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_options {
	const char *const *states;
	size_t nr_states;
	const char *host;  /* NULL: as state_host() chooses */
	const char *port;  /* with a capture: the port its frames are received on */
	const char *input; /* NULL or "-": stdin */
	uint32_t flows_max;
	bool xdp;
	int fd; /* output */
};

/* Say warnings and errors on stderr. ret: 0 | -errno */
int replay_run(const struct replay_options *options);

/* Base of virtual time: so large that a time of 0 always means "never". */
#define REPLAY_BASE_NS 1000000000000000ull

#endif
