/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Do all hooks of ours lead to one set of maps? Asked of the kernel, not of the lists of those who attached: before
 * other maps are let go, nothing may be judged by them any more (E3). */
#ifndef ENID_AUDIT_H
#define ENID_AUDIT_H

#include "attach/hook.h"

/* Every pinned link and every filter of ours whose program does not use the datapath's maps gets the attacher's.
 * ret_why: the first that could not be brought to it. ret: 0 = all of them lead to the datapath now | -errno */
int audit_hooks(struct attacher *attacher, char ret_why[160]);

#endif
