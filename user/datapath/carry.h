/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows, mappings and counters from the maps of another build into ours. Inside datapath/ only. */
#ifndef ENID_CARRY_H
#define ENID_CARRY_H

#include <stdbool.h>
#include <stdint.h>

struct datapath;
struct carry;

/* root: folder of the old set's pins; former: of its tables of flows, the one that was to be replaced (former.h).
 * ret: 0 | -EPROTO: it has no types | -ENOSPC: more flows than fit */
int carry_open(struct datapath *datapath, const char *root, bool former, struct carry **ret, char **ret_why);
void carry_close(struct carry **carry);

/* Secrets, numbers of ports and subnets, counters of ports and gateways. */
int carry_books(struct carry *carry, char **ret_why);
/* All flows, or what changed since the last call. in_use: packets are judged by our set already, and what does not fit
 * any more is declared as lost to the logs. ret: 0 | -errno */
int carry_flows(struct carry *carry, bool in_use);
/* After the switch: what the old set counted of ports and gateways since carry_books(). ret: 0 | -errno */
int carry_counted_since(struct carry *carry);
/* Most of its flows are copies of another's: what finds no place is not lost. */
void carry_is_spare(struct carry *carry);
uint32_t carry_nr(const struct carry *carry);      /* flows carried */
uint64_t carry_last_ns(const struct carry *carry); /* when a flow that lives had its last packet */

#endif
