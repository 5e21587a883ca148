/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/handover.bpf.c and the agent share. */
#ifndef ENID_HANDOVER_H
#define ENID_HANDOVER_H

#include "enid/types.h"

/* Places in `handover_tc`: two each, of the old set and of the new one. */
enum handover_hook { HANDOVER_RX, HANDOVER_TX, HANDOVER_RAW, HANDOVER_TC };

enum handover_flip {
	HANDOVER_OLD,     /* the old set is in force */
	HANDOVER_NEW,     /* the new one is */
	HANDOVER_COUNTED, /* ... and has all that the old one counted until then */
};

struct handover_phase {
	__u32 flipped;   /* enum handover_flip */
	__u32 layout[2]; /* hashes of the old set's layout and of the new one's */
};

#endif
