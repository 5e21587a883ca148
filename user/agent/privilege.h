/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent may do, once it is more than a command line. */
#ifndef ENID_PRIVILEGE_H
#define ENID_PRIVILEGE_H

#include <stdbool.h>

#include "agent/owner.h"

/* May root give its files away, and become somebody else? */
bool privilege_to_change_user(void);

/* E33: what users without any privilege may do to the kernel, where that is more than nothing, is logged. */
void privilege_of_others(void);

/* Become this user, and give up for good, this process and all that come of it, every capability that no part of the
 * agent needs. ret: 0 | -errno, logged */
int privilege_drop(const struct owner *owner);

#endif
