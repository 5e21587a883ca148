/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys that should not be there: the second half of drift.c. Nobody else includes this. */
#ifndef ENID_DRIFT_KEYS_H
#define ENID_DRIFT_KEYS_H

#include "datapath/drift.h"
#include "datapath/internal.h"

#define DRIFT_KEYED_MAPS 6

struct drift_walk {
	struct datapath *datapath;
	const struct image *image;
	struct drift_found *found;
	uint8_t key[sizeof(struct route6_key)]; /* the last one that was looked at */
	bool begun;
	uint32_t *table_index; /* by number: index in placement.tables + 1; made when it is needed */
};

void drift_note(struct drift_walk *walk, const char *map, const char *what);

/* Look at the next key of the n-th map. ret: 1 = there is none | 0 | -errno */
int drift_next_key(struct drift_walk *walk, size_t n);
/* drift_devices.c */
int drift_check_devices(struct drift_walk *walk, struct drift_carrier *carriers, size_t nr);

/* There is a new state: forget what is known of the one before. */
void drift_keys_forget(struct drift_walk *walk);
/* ... and where the walk is. */
void drift_keys_restart(struct drift_walk *walk);

#endif
