/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of a replay share. */
#ifndef ENID_REPLAY_SESSION_H
#define ENID_REPLAY_SESSION_H

#include <jansson.h>

#include "enid/limits.h"
#include "replay/line.h"
#include "replay/output.h"
#include "replay/replay.h"
#include "replay/runner.h"

#define PORTS_CACHED 8192

/* A port name seen in the input. */
struct port_cached {
	char id[ID_MAX];
	uint8_t length;
	uint32_t number;
};

struct session {
	const struct replay_options *options;
	struct datapath *datapath;
	struct runner runner;
	struct output output;
	struct port_cached ports[PORTS_CACHED];
	json_t *served;     /* keys: every port and uplink of this host in any state so far */
	uint64_t n;         /* of the next output line */
	uint64_t at_ns;     /* virtual time */
	uint64_t expiry_ns; /* no record can expire before */
	uint64_t swept_ns;  /* when records were swept last, and how many packets ago */
	uint64_t swept_packets;
	uint64_t refused; /* lines that were not understood */
	uint8_t frame[FRAME_MAX];
};

/* Take over a new desired state. ret: 0 | -EINVAL: refused, and the last one stays; *ret_errors, *ret_nr to free with
 * session_errors_done() | -errno */
struct session_errors {
	char **texts;
	size_t nr;
};

int session_apply(struct session *session, const char *const *states, size_t nr, uint32_t *ret_changed,
		  struct session_errors *errors);
void session_errors_done(struct session_errors *errors);

/* Number of the port that an input line names. 0 = unknown */
uint32_t session_port(struct session *session, const struct span *name);

/* Judge one frame and write its output line. */
int session_frame(struct session *session, uint32_t in, const uint8_t *frame, size_t length, size_t wire_length);

/* One input line, one output line (R1). ret: 0 | -errno of the output */
int session_line(struct session *session, const char *text, size_t length);

#endif
