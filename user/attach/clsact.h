/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TC hooks as clsact filters, for kernels before TCX (6.6). Preference 1, handle 1: nothing runs before it. */
#ifndef ENID_CLSACT_H
#define ENID_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

int clsact_attach(uint32_t ifindex, bool egress, int prog_fd);
/* *ret_id: of the program of our filter; 0 = there is none, or no such device. ret: 0 | -errno: it cannot be told */
int clsact_program(uint32_t ifindex, bool egress, uint32_t *ret_id);
/* Remove our filter, and the qdisc if it is then empty. */
void clsact_detach(uint32_t ifindex, bool egress);

#endif
