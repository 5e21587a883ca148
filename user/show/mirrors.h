/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What traffic mirror sessions do (TM-01..TM-15), as the kernel has them. */
#ifndef ENID_SHOW_MIRRORS_H
#define ENID_SHOW_MIRRORS_H

#include <jansson.h>

#include "datapath/datapath.h"

/* An object for each session that is in force on this host: "eni", "session" (its number), "vni", "source" and "target"
 * (addresses), "packet_length" (null = whole packets), "dropped", "packets" and "bytes" of the copies sent, and "lost":
 * packets by the reason why their copies went nowhere. */
json_t *mirror_sessions(struct datapath *datapath);

#endif
