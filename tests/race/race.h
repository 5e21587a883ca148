/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the race tests share: two senders, each on a CPU of its own, and the first thing that went wrong. */
#ifndef ENID_TESTS_RACE_H
#define ENID_TESTS_RACE_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/stage.h"
#include "lib/world.h"

#define SENDERS 2

struct race;

struct sender {
	struct race *race;
	int cpu;
	struct dice dice;
	pthread_t thread;
	volatile uint64_t ticks;                         /* odd: a packet is under way */
	uint64_t sent[STAGE_ENIS], accepted[STAGE_ENIS]; /* by source, by exit */
	uint64_t packets, refused;
	void *own; /* the test's */
};

typedef void (*race_step)(struct sender *sender);

struct race {
	struct stage stage;
	struct sender senders[SENDERS];
	uint64_t seed;  /* as printed; sender i has seed + i */
	race_step step; /* one packet or a few of one sender */
	pthread_barrier_t start, end;
	volatile bool pause, over;
	char why[240]; /* what went wrong first, "" = nothing */
	void *own;
};

/* Senders start in race_go() and stand still after race_halt(). */
void race_open(struct race *race, uint32_t flows_max, uint16_t seconds, race_step step, const char *name);
void race_go(struct race *race);
void race_halt(struct race *race);
void race_close(struct race *race);
unsigned long long race_packets(const struct race *race); /* of both senders */

/* One packet, counted. ret: as stage_send_frame */
int race_send(struct sender *sender, const struct stage_packet *packet);
int race_send_frame(struct sender *sender, int from, const uint8_t frame[STAGE_FRAME]);
void race_wrong(struct race *race, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
