/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A change of state, rehearsed: what differs, what the kernel would have to hold, and which live flows would end.
 *
 * Invariants
 *  H1  Nothing that is pinned, and no file, is touched; no agent is needed.
 *  H2  What is counted is the plan that datapath_apply() makes, and it is carried out, by the same code, on a private
 *      copy of the maps, where the flows are asked.
 */
#ifndef ENID_REHEARSE_H
#define ENID_REHEARSE_H

#include <jansson.h>
#include <stddef.h>

struct rehearsal {
	const char *const *states;
	size_t nr_states;
	const char *host; /* NULL: the one that the agent acts for, else as state_host() chooses */
	const char *run_dir, *pin_dir;
};

/* *ret: {"host", "applies": true|false, "errors": [..], "changes": [..], "objects": n, "entries": {map: {..}}, "flows":
 * {..}}; what comes after the first error is not there. ret: 0 | -EINVAL: the state would be refused, *ret says why |
 * -errno: it cannot be said, *ret_why */
int rehearse(const struct rehearsal *rehearsal, json_t **ret, char **ret_why);

#endif
