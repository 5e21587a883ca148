/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Mappings of gateways (I6 of enid/flow.h) from user space: the same steps as bpf/flow.h, for the agent's sweep. */
#ifndef ENID_MAPPINGS_H
#define ENID_MAPPINGS_H

#include "datapath/datapath.h"

/* End the mapping of a record. ret: true = it lived and we ended it: the second name is ours to drop */
bool mapping_release(struct datapath *datapath, uint32_t index, uint64_t now_ns);

/* It has one and packets may come after its end. */
bool mapping_is_over(const struct datapath *datapath, uint32_t index, uint64_t now_ns);

/* What a flow carried goes to the account of its gateway, once, when its record is freed (NAT-25). */
void mapping_account(struct datapath *datapath, uint32_t index);

#endif
