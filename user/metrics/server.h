/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Metrics over HTTP, for this host only: GET /metrics on a loopback address or a unix socket.
 *
 * A thread of its own, of low priority, that shares nothing with the agent's loop (metrics.h). Whoever asks again
 * within a second gets the same answer, so no crowd of scrapers costs more than one.
 */
#ifndef ENID_METRICS_SERVER_H
#define ENID_METRICS_SERVER_H

#include "metrics/metrics.h"

struct metrics_server;

/* Where to listen: "127.0.0.1:9410", "[::1]:9410", "unix:/run/enid/metrics.sock". ret: 0 | -EINVAL, *ret_why */
int metrics_where(const char *where, char **ret_why);

/* ret: 0 | -errno, *ret_why. The strings of `source` are borrowed. */
int metrics_serve(const char *where, const struct metrics_source *source, struct metrics_server **ret, char **ret_why);
void metrics_stop(struct metrics_server **server);

#endif
