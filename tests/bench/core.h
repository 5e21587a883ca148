/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Has this thread its core to itself? A virtual CPU is often one of a core's two hardware threads, and the other one
 * somebody else's: while that is busy, what needs a core's width takes twice as long, what waits for one result after
 * another takes as long as ever. A ratio of the two sorts of code then says who the neighbour is, not what they cost.
 */
#ifndef ENID_BENCH_CORE_H
#define ENID_BENCH_CORE_H

#include <stdbool.h>

/* On the CPU whose core is the least shared, for good. ENID_BENCH_CPU says which one, ENID_BENCH_PROBE what the best
 * probe is (core_best()): runs that are compared have both from who starts them. */
void core_choose(void);
double core_best(void);
bool core_alone(void);
/* Until it is so, a tenth of a second at most. ret: core_alone() */
bool core_wait(void);

#endif
