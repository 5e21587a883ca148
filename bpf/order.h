/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The order in which CPUs see each other's memory.
 *
 * Flow records are read without locks: a half is written, then its gs says LIVE; who reads looks at gs, then at the
 * half, then at gs and epoch again (I2 of enid/flow.h). x86 keeps stores in their order and loads in theirs, so the
 * compiler alone has to be held. Elsewhere (arm64) two things more are needed, and BPF as clang 14 compiles it has
 * neither: a store behind which no earlier store stays (PUBLISH), and a point that no later load is moved before
 * (OBSERVE). What it does have are atomics that return a value, which every kernel's JIT orders fully, so those stand
 * in.
 *
 * Compare-and-swap and fetch-and-add are ordered already, where their value is used. A plain load of a reference, and
 * the load of what it refers to, are ordered by address everywhere BPF runs.
 */
#ifndef ENID_ORDER_H
#define ENID_ORDER_H

#include "packet.h"

#ifdef ENID_WEAK_MEMORY
#define PUBLISH(to, value) ((void)__sync_lock_test_and_set(&(to), value))
#define OBSERVE() \
	do { \
		__u64 here = 0; \
		__sync_val_compare_and_swap(&here, 0, 1); \
	} while (0)
#else
#define PUBLISH(to, value) \
	do { \
		barrier(); \
		WRITE_ONCE(to, value); \
	} while (0)
#define OBSERVE() barrier()
#endif

#endif
