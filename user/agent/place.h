/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An agent's place: the locks that make it the only one, and folders that belong to whom it is going to be. */
#ifndef ENID_PLACE_H
#define ENID_PLACE_H

#include "agent/agent.h"
#include "agent/owner.h"

/* Before anything is given up. *ret_owner: whom to become. ret: 0 | -errno, logged */
int place_take(struct agent *agent, struct owner *ret_owner);

#endif
