/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "race/race.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void race_wrong(struct race *race, const char *format, ...)
{
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
	va_list arguments;

	pthread_mutex_lock(&first);
	if (!race->why[0]) {
		va_start(arguments, format);
		vsnprintf(race->why, sizeof(race->why), format, arguments);
		va_end(arguments);
	}
	pthread_mutex_unlock(&first);
}

static void *run_sender(void *arg)
{
	struct sender *sender = arg;
	struct race *race = sender->race;

	stage_pin_thread(sender->cpu);
	for (;;) {
		pthread_barrier_wait(&race->start);
		if (race->over)
			return NULL;
		while (!race->pause)
			race->step(sender);
		pthread_barrier_wait(&race->end);
	}
}

void race_open(struct race *race, uint32_t flows_max, uint16_t seconds, race_step step, const char *name)
{
	uint64_t seed = test_seed(name);

	memset(race, 0, sizeof(*race));
	stage_open(&race->stage, flows_max, seconds);
	stage_unlimited(&race->stage);
	race->step = step;
	race->seed = seed;
	pthread_barrier_init(&race->start, NULL, SENDERS + 1);
	pthread_barrier_init(&race->end, NULL, SENDERS + 1);
	for (int i = 0; i < SENDERS; i++) {
		struct sender *sender = &race->senders[i];

		sender->race = race;
		sender->cpu = i;
		sender->dice.at = seed + (uint64_t)i;
		if (pthread_create(&sender->thread, NULL, run_sender, sender))
			abort();
	}
}

void race_go(struct race *race)
{
	race->pause = false;
	pthread_barrier_wait(&race->start);
}

void race_halt(struct race *race)
{
	race->pause = true;
	pthread_barrier_wait(&race->end);
}

void race_close(struct race *race)
{
	race->over = true;
	pthread_barrier_wait(&race->start);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(race->senders[i].thread, NULL);
	stage_close(&race->stage);
}

unsigned long long race_packets(const struct race *race)
{
	return race->senders[0].packets + race->senders[1].packets;
}

int race_send_frame(struct sender *sender, int from, const uint8_t frame[STAGE_FRAME])
{
	int exit;

	__atomic_add_fetch(&sender->ticks, 1, __ATOMIC_SEQ_CST);
	exit = stage_send_frame(&sender->race->stage, from, frame);
	__atomic_add_fetch(&sender->ticks, 1, __ATOMIC_SEQ_CST);
	sender->packets++;
	sender->sent[from]++;
	if (exit == STAGE_NOWHERE)
		sender->refused++;
	else
		sender->accepted[exit]++;
	return exit;
}

int race_send(struct sender *sender, const struct stage_packet *packet)
{
	uint8_t frame[STAGE_FRAME];

	stage_frame(packet, frame);
	return race_send_frame(sender, packet->from, frame);
}
