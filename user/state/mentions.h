/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of a state speak of, before anybody has read them: for sizes that are chosen first. */
#ifndef ENID_STATE_MENTIONS_H
#define ENID_STATE_MENTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Is there a gateway that remembers flows (NAT, egress-only, Gateway Load Balancer endpoint), in force here or not?
 * What cannot be read speaks of nothing: whoever loads the state will say so. */
bool state_mentions_gates(const char *const *paths, size_t nr_paths);

#endif
