/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The addresses of ENIs. */
#ifndef ENID_STATE_ENI_ADDRESSES_H
#define ENID_STATE_ENI_ADDRESSES_H

#include "state/load.h"

void parse_addresses(struct load *load, struct item *item, struct eni *eni);
/* The list Addresses: same facts as the ENIs' own associations */
void load_elastic_ips(struct load *load);
/* An address has one owner in its VPC, a public one in the whole state */
void check_address_owners(struct load *load);

#endif
