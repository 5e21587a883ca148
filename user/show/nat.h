/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What NAT gateways count (NAT-25), under the names of CloudWatch. */
#ifndef ENID_SHOW_NAT_H
#define ENID_SHOW_NAT_H

#include <jansson.h>

#include "datapath/datapath.h"

/* An object for each NAT gateway of this host: "gateway" (its primary ENI), and the metrics. */
json_t *nat_gateways(struct datapath *datapath);

#endif
