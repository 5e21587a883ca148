/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets of some ports with the verdict on each, as the programs at work tell them while a session is open.
 *
 * Invariants
 *  W1  One session at a time, by a lock that ends with the process. The programs tell until control.watch is 0, and
 * clear it themselves when they find no reader: who is killed leaves nothing that costs anything.
 *  W2  A frame is told with its own verdict or not at all; what is not told is in capture_counts().
 *  W3  Memory is bounded: a ring for each CPU, together no more than RINGS_BYTES_MAX unless there are very many. */
#ifndef ENID_CAPTURE_SESSION_H
#define ENID_CAPTURE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "enid/capture.h"

struct capture;

/* bytes: event->bytes of them, only until it returns. ret: 0 = go on, else capture_poll() returns it */
typedef int (*capture_fn)(void *arg, const struct captured *event, const uint8_t *bytes);

struct capture_options {
	const uint32_t *ports; /* numbers */
	size_t nr_ports;
	const char *lock; /* a file */
	uint32_t bytes;   /* of each packet, at the most; up to CAPTURE_BYTES_MAX */
	capture_fn fn;
	void *arg;
};

/* ret: 0 | -EBUSY: somebody else captures | -errno. *ret_why: a sentence to free() */
int capture_open(const struct datapath *datapath, const struct capture_options *options, struct capture **ret,
		 char **ret_why);
void capture_close(struct capture **capture);

/* Tell what there is, or wait. ret: 0 | what fn returned | -errno */
int capture_poll(struct capture *capture, int timeout_ms);

/* Take the programs away and tell what is left in the rings. ret: 0 | what fn returned | -errno */
int capture_rest(struct capture *capture);

/* Of a port: what was told, and what found no room in a ring. */
struct capture_port capture_counts(const struct capture *capture, uint32_t port);

#endif
