/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TC hooks as clsact filters, for kernels before TCX (6.6). Preference 1, handle 1: nothing runs before it. */
#ifndef ENID_CLSACT_H
#define ENID_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

int clsact_attach(uint32_t ifindex, bool egress, int prog_fd);
/* ret: id of the program of our filter | 0 = no such filter */
uint32_t clsact_program(uint32_t ifindex, bool egress);
/* Remove our filter, and the qdisc if it is then empty. */
void clsact_detach(uint32_t ifindex, bool egress);

#endif
