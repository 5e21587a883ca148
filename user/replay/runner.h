/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One frame through the real programs, by BPF_PROG_TEST_RUN. */
#ifndef ENID_REPLAY_RUNNER_H
#define ENID_REPLAY_RUNNER_H

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

#define FRAME_MAX     65600 /* a frame with the longest IP packet */
#define RUN_FRAME_MAX 3400  /* what test_run takes, on every hook and kernel, in one linear piece */
#define RUN_HEAD      2048  /* of a longer frame the program sees this much */

struct runner {
	struct datapath *datapath;
	int rx, tx; /* program fds; tx 0 = not needed yet, < 0 = could not be loaded */
	struct bpf_test_run_opts opts;
	uint8_t out[4096];
	uint8_t padded[64];
};

struct verdict {
	uint32_t action, reason, exit, nr_trace;
	uint32_t trace[TRACE_MAX];
	uint32_t cut;               /* leaves in fragments of this size; 0 = whole */
	const uint8_t *head, *tail; /* the frame as it leaves, in two pieces; head in the runner, tail in the input */
	size_t nr_head, nr_tail;
	uint32_t copies;     /* in datapath_copies() */
	const uint8_t *rest; /* what no program saw of the frame */
	size_t nr_rest;
};

int runner_init(struct runner *runner, struct datapath *datapath, bool xdp);

/* `in`: port number, with IN_TX for what the host sends. wire_length >= length: how long the frame was on the wire.
 * ret: 0 | -errno of the test run itself (then the verdict is not set) */
int runner_run(struct runner *runner, uint32_t in, uint64_t now_ns, const uint8_t *frame, size_t length,
	       size_t wire_length, struct verdict *ret);

#endif
