/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of things, from the lock, the agent's report and the kernel. */
#ifndef ENID_STATUS_H
#define ENID_STATUS_H

#include <jansson.h>
#include <stdbool.h>

/* {agent{running, pid}, host, revision, generation, applied_at, flows{max, live}, drops{reason{packets, bytes}},
 * ports[], held[], hooks_restored, skipped{accepts, rejects}, flow_logs{}, state_refused, applies{}, maps{},
 * attention[]}. *ret_well: nothing needs attention. ret: 0 | -ENOMEM */
int status_gather(const char *run_dir, const char *pin_dir, json_t **ret, bool *ret_well);

/* What the agent said last, its ports with it; an empty object if nothing. */
json_t *status_report(const char *run_dir);

/* {reason: {"packets", "bytes"}} of all reasons that dropped something. */
struct datapath;
json_t *status_drops(struct datapath *datapath);

#endif
