/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drift: whatever the kernel holds of the policy is compared with what it should hold, a slice at a time, and put
 * right.
 *
 * The maps belong to the agent alone, but root can write to them (bpftool, another agent's mistake). A walk goes
 * through every element of every map of policy, and through every key that should not be there; what differs is written
 * anew, and all decisions that flows have kept are judged once more.
 *
 * Invariants
 *  G1  A slice takes its budget and a few steps more, however large the state.
 *  G2  Between an apply and its settling the maps differ by design: then nothing is looked at.
 *  G3  After a new state the walk goes on where it is; what it repairs is always the state in force.
 */
#ifndef ENID_DRIFT_H
#define ENID_DRIFT_H

#include "datapath/datapath.h"

struct drift;

struct drift_found {
	uint32_t repaired; /* elements, in this slice */
	const char *map;   /* of the last of them */
	char what[ID_MAX]; /* whose it was, or "" */
	bool round_over;   /* all was looked at */
};

int drift_open(struct datapath *datapath, struct drift **ret);
void drift_close(struct drift **drift);

/* `image`: what is in force. ret: 0 | -errno: something could not be repaired, *ret says which map */
int drift_slice(struct drift *drift, const struct image *image, uint64_t budget_ns, struct drift_found *ret);

/* What a port's device is, as the datapath was told. */
struct drift_carrier {
	uint32_t ifindex, port;
	int how; /* enum deliver_how; -1 = not told: not judged */
};

/* Devices and ports against this, all at once: a few milliseconds. Orders `carriers`. ret: as drift_slice() */
int drift_devices(struct drift *drift, struct drift_carrier *carriers, size_t nr, struct drift_found *ret);

#endif
