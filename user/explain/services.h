/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of services (SERVICE_KEY of enid/policy.h: protocol and port, or ICMP type and code, in one number) as
 * intervals: sorted, disjoint, not even touching. */
#ifndef ENID_EXPLAIN_SERVICES_H
#define ENID_EXPLAIN_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct services_range {
	uint32_t lo, hi;
};

struct services {
	struct services_range *range;
	size_t nr, room;
	bool lost; /* memory was too short: the set is not what it should be */
};

void services_done(struct services *set);
/* Everything there is in a family. */
void services_all(struct services *set, int family);
void services_copy(struct services *to, const struct services *from);
/* set |= lo..hi */
void services_add(struct services *set, uint32_t lo, uint32_t hi);
/* set &= with; set -= lo..hi */
void services_meet(struct services *set, const struct services *with);
void services_take(struct services *set, uint32_t lo, uint32_t hi);
bool services_hold(const struct services *set, uint32_t service);
bool services_equal(const struct services *a, const struct services *b);

#endif
