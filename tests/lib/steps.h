/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a kill -9 may leave in shared memory: a child runs a function one instruction after the other, and what memory
 * is like after each that changed it is kept. So a test tries every death there is, and not a sample. x86-64. */
#ifndef ENID_TESTS_STEPS_H
#define ENID_TESTS_STEPS_H

#include <stddef.h>
#include <stdint.h>

#define STEPS_REGIONS 12

struct steps {
	struct {
		void *at; /* mapped MAP_SHARED */
		size_t size;
	} region[STEPS_REGIONS]; /* size 0 = no more */
	uint8_t *shots;
	size_t nr, size;
	unsigned long instructions;
};

/* After it the memory is as fn leaves it, and as the last shot. shot 0: as it was before. */
void steps_take(struct steps *steps, void (*fn)(void *arg), void *arg);
/* Make the memory what it was in a shot. */
void steps_restore(const struct steps *steps, size_t shot);
void steps_done(struct steps *steps);

#endif
