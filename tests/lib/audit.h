/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An independent walk over the kernel's flow tables: are records, names, free list and budgets what enid/flow.h says
 * (I1..I4)? It shares no code with the data path but the layout of its maps and the fingerprint. */
#ifndef ENID_TESTS_AUDIT_H
#define ENID_TESTS_AUDIT_H

#include "datapath/datapath.h"

struct audit {
	uint32_t live, closing, free, names;
	uint32_t near, far; /* names in the neighbour of their home, and in the hash */
	uint64_t packets;   /* counted by records that are not free */
};

/* Nobody sends, sweeps or applies. ret: NULL, or what is wrong */
const char *audit_all(struct datapath *datapath, struct audit *ret);

/* At any time: a record that is LIVE before and after the look has its names. ret: NULL, or what is wrong */
const char *audit_names_of_live(struct datapath *datapath, uint32_t *ret_seen);

#endif
