/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A small seeded generator (xorshift64*): the same seed gives the same case on any machine. */
#include "oracle.h"

uint64_t rnd_next(struct rnd *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return r->s * 0x2545f4914f6cdd1dULL;
}

int rnd_below(struct rnd *r, int n)
{
	return n > 1 ? (int)((rnd_next(r) >> 33) % (uint64_t)n) : 0;
}

int rnd_between(struct rnd *r, int lo, int hi)
{
	return lo + rnd_below(r, hi - lo + 1);
}

bool rnd_chance(struct rnd *r, int percent)
{
	return rnd_below(r, 100) < percent;
}
