/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's own filter of system calls.
 *
 * What an agent never does is refused with EPERM from the first file that is read: other programs, other processes'
 * memory, mounts, modules, keys, namespaces, users, sockets of other families; sockets that listen, unless metrics are
 * served. Refused and not killed for: an agent that dies over a call that a new libc makes would leave devices that
 * come later without policy, while a call that fails is an error like any other. The kernel logs each (audit, type
 * 1326). */
#ifndef ENID_FILTER_H
#define ENID_FILTER_H

#include <stdbool.h>

/* For good, this process and all threads it starts; no new privileges from here on. ret: 0 | -errno, logged */
int filter_enter(bool may_listen);

#endif
