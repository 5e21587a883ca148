/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Filters of a set that is nobody's: its pin folder was removed while no agent ran. A filter needs no pin, so it goes
 * on judging by the state of that day. On a device of the state the agent puts its own filter in its place, in one
 * step. On any other it stays: to take it away would open the device, and who it belongs to nobody can tell. It is
 * said. */
#ifndef ENID_ATTACH_STRAYS_H
#define ENID_ATTACH_STRAYS_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

struct stray {
	char device[IF_NAMESIZE];
	const char *direction; /* as tc says it */
	uint32_t prog_id;
};

/* In this namespace. Whose agent lives, or is below this pin folder, is none. now_ns: CLOCK_MONOTONIC
 * ret: how many there are; the first `max` of them are in ret */
size_t strays_find(const char *pin_dir, uint64_t now_ns, struct stray *ret, size_t max);

#endif
