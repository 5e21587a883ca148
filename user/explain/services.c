/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/services.h"

#include <stdlib.h>
#include <string.h>

#include "enid/policy.h"

void services_done(struct services *set)
{
	free(set->range);
	*set = (struct services){};
}

static bool make_room(struct services *set, size_t nr)
{
	struct services_range *grown;

	if (nr <= set->room)
		return true;
	grown = reallocarray(set->range, nr * 2, sizeof(*grown));
	if (!grown) {
		set->lost = true;
		return false;
	}
	set->range = grown;
	set->room = nr * 2;
	return true;
}

void services_all(struct services *set, int family)
{
	set->nr = 0;
	services_add(set, SERVICE_KEY(family, 0, 0), SERVICE_KEY(family, 0xff, 0xffff));
}

void services_copy(struct services *to, const struct services *from)
{
	if (!make_room(to, from->nr))
		return;
	if (from->nr)
		memcpy(to->range, from->range, from->nr * sizeof(*from->range));
	to->nr = from->nr;
	to->lost |= from->lost;
}

void services_add(struct services *set, uint32_t lo, uint32_t hi)
{
	size_t first = 0, last;

	while (first < set->nr && lo && set->range[first].hi < lo - 1)
		first++;
	for (last = first; last < set->nr && set->range[last].lo <= hi + 1; last++) {
		lo = set->range[last].lo < lo ? set->range[last].lo : lo;
		hi = set->range[last].hi > hi ? set->range[last].hi : hi;
	}
	if (first == last && !make_room(set, set->nr + 1))
		return;
	memmove(set->range + first + 1, set->range + last, (set->nr - last) * sizeof(*set->range));
	set->range[first] = (struct services_range){lo, hi};
	set->nr = set->nr - (last - first) + 1;
}

void services_meet(struct services *set, const struct services *with)
{
	struct services met = {.lost = set->lost || with->lost};
	size_t i = 0, k = 0;

	while (i < set->nr && k < with->nr) {
		const struct services_range *a = set->range + i, *b = with->range + k;
		uint32_t lo = a->lo > b->lo ? a->lo : b->lo, hi = a->hi < b->hi ? a->hi : b->hi;

		if (lo <= hi && make_room(&met, met.nr + 1))
			met.range[met.nr++] = (struct services_range){lo, hi};
		if (a->hi < b->hi)
			i++;
		else
			k++;
	}
	free(set->range);
	*set = met;
}

void services_take(struct services *set, uint32_t lo, uint32_t hi)
{
	struct services rest = {.lost = set->lost};

	for (size_t i = 0; i < set->nr && make_room(&rest, rest.nr + 2); i++) {
		const struct services_range *a = set->range + i;

		if (a->lo < lo)
			rest.range[rest.nr++] = (struct services_range){a->lo, a->hi < lo ? a->hi : lo - 1};
		if (a->hi > hi)
			rest.range[rest.nr++] = (struct services_range){a->lo > hi ? a->lo : hi + 1, a->hi};
	}
	free(set->range);
	*set = rest;
}

bool services_hold(const struct services *set, uint32_t service)
{
	for (size_t i = 0; i < set->nr; i++)
		if (set->range[i].lo <= service && service <= set->range[i].hi)
			return true;
	return false;
}

bool services_equal(const struct services *a, const struct services *b)
{
	return a->nr == b->nr && (!a->nr || !memcmp(a->range, b->range, a->nr * sizeof(*a->range)));
}
