/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Routes that come near where a route table ends a way: what the table has instead of the wanted prefix, what a longer
 * prefix hides, and which other route table of the VPC would have led on. */
#ifndef ENID_EXPLAIN_NEAR_H
#define ENID_EXPLAIN_NEAR_H

#include "explain/way.h"

enum route_miss {
	ROUTE_MISS_BITS,  /* the address leaves the prefix after some of its bits */
	ROUTE_MISS_LATER, /* it matches, but a longer prefix comes first */
	ROUTE_MISS_TABLE, /* it matches, but in a table that other subnets of the VPC have */
};

struct route_found {
	const char *table, *prefix; /* as decided_by names it */
	const char *target;         /* "" = none that has an id */
	enum route_miss miss;
	unsigned int bits; /* ROUTE_MISS_BITS: how many are the same */
};

#define NEAR_ROUTES_MAX 3 /* of each table, and of other tables */
#define NEAR_WORDS_MAX  128

/* Call `each` with the routes near to way->out.daddr, nearest first, if it was a route, or the want of one, that ended
 * the way. */
typedef void (*route_near)(void *context, const struct route_found *route);
void near_routes(const struct way *way, route_near each, void *context);

/* "but for bit 15 and those behind it", ...; text: of NEAR_WORDS_MAX; returned */
const char *near_words(const struct route_found *route, char *text);

#endif
