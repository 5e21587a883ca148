/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "flowlog/telling.h"

#include <string.h>

void telling_note(struct telling *telling, uint32_t index, const struct flow_record *copy)
{
	uint32_t generation = GS_GENERATION(copy->half[0].gs);

	telling->index = index;
	telling->gs = copy->half[0].gs;
	telling->tuple = copy->half[0].tuple;
	for (int side = 0; side < 2; side++) {
		uint64_t packets = half_packets(&copy->half[side]), bytes = half_bytes(&copy->half[side]);

		telling->told_packets[side] = (uint32_t)packets;
		telling->told_bytes[side] = TOLD_MAKE(packets, bytes, generation);
	}
}

void telling_owe(struct telling *telling, uint32_t which, uint32_t port, uint64_t packets)
{
	if (which >= TELLING_SIGHTS)
		return;
	telling->owed[which].port = port;
	telling->owed[which].packets = packets;
}

/* Forward only: an agent that could not read the note may have told more since (E23). */
static void say(const struct telling *telling, struct flow_record *record)
{
	uint32_t generation = GS_GENERATION(telling->gs);

	for (int side = 0; side < 2; side++) {
		struct flow_half *half = &record->half[side];
		uint64_t told = __atomic_load_n(&half->told_bytes, __ATOMIC_ACQUIRE);

		if (TOLD_IS_OF(told, generation) && TOLD_BYTES(told) > TOLD_BYTES(telling->told_bytes[side]))
			continue;
		__atomic_store_n(&record->half[side].told_packets, telling->told_packets[side], __ATOMIC_RELEASE);
		__atomic_store_n(&record->half[side].told_bytes, telling->told_bytes[side], __ATOMIC_RELEASE);
	}
}

void telling_begin(struct telling *telling, uint32_t nr, struct flow_record *record)
{
	__atomic_store_n(&telling->nr, nr, __ATOMIC_RELEASE);
	say(telling, record);
}

void telling_is_in(struct telling *telling, uint32_t which)
{
	if (which < TELLING_SIGHTS)
		__atomic_store_n(&telling->owed[which].packets, 0, __ATOMIC_RELEASE);
}

void telling_end(struct telling *telling)
{
	__atomic_store_n(&telling->nr, 0, __ATOMIC_RELEASE);
}

/* A table of another size may have taken that one's place, or another flow the record's. */
static bool is_the_one(const struct telling *telling, const struct flow_record *record)
{
	return GS_GENERATION(__atomic_load_n(&record->half[0].gs, __ATOMIC_ACQUIRE)) == GS_GENERATION(telling->gs) &&
	       !memcmp(&record->half[0].tuple, &telling->tuple, sizeof(telling->tuple));
}

void telling_recover(struct books *books, struct flow_record *records, uint32_t nr)
{
	struct telling *telling = &books->page->telling;
	uint32_t owed = telling->nr < TELLING_SIGHTS ? telling->nr : TELLING_SIGHTS;

	if (!telling->nr)
		return;
	if (telling->index < nr && is_the_one(telling, &records[telling->index]))
		say(telling, &records[telling->index]);
	for (uint32_t i = 0; i < owed; i++) {
		books_skip(books, telling->owed[i].port, telling->owed[i].packets);
		telling_is_in(telling, i);
	}
	telling_end(telling);
}
