/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/near.h"

#include <stdio.h>

#include "enid/policy.h"
#include "state/cidr.h"

static bool route_ended_it(const struct way *way)
{
	switch (way->reason) {
	case REASON_NO_ROUTE:
	case REASON_BLACKHOLE:
	case REASON_TGW_NO_ROUTE:
	case REASON_TGW_BLACKHOLE:
		return way->asked_table != IMAGE_NONE;
	default:
		return false;
	}
}

static unsigned int bits_in_common(int family, const union addr *a, const union addr *b)
{
	const uint8_t *x = family == 4 ? (const uint8_t *)&a->ip4 : a->bytes;
	const uint8_t *y = family == 4 ? (const uint8_t *)&b->ip4 : b->bytes;
	unsigned int most = family == 4 ? 32 : 128, bits = 0;

	while (bits < most && !((x[bits / 8] ^ y[bits / 8]) >> (7 - bits % 8) & 1))
		bits++;
	return bits;
}

static bool covers(const struct way *way, const struct cidr *cidr)
{
	const struct cidr point = {
		.family = way->out.family, .prefixlen = way->out.family == 6 ? 128 : 32, .addr = way->out.daddr};

	return cidr_contains(cidr, &point);
}

static struct route_found found(const struct way *way, uint32_t table, const struct image_route *route,
				enum route_miss miss)
{
	const struct image_rule *rule = way->image->tables[table].rules + route->rule;

	return (struct route_found){
		.table = rule->id,
		.prefix = rule->text,
		.target = route->target == IMAGE_NONE || route->target >= way->image->nr_ports
				  ? route->kind == ROUTE_LOCAL       ? "local"
				    : route->kind == ROUTE_BLACKHOLE ? "blackhole"
								     : ""
				  : way->image->ports[route->target].id,
		.miss = miss,
		.bits = bits_in_common(way->out.family, &route->cidr.addr, &way->out.daddr),
	};
}

/* Prefixes that the longest one hides, longest first. */
static void hidden_routes(const struct way *way, route_near each, void *context)
{
	const struct image_table *table = way->image->tables + way->asked_table;
	const struct image_route *best = way_find_route(way->image, way->asked_table, way->out.family, &way->out.daddr);
	int len = best ? best->cidr.prefixlen : 0, told = 0;

	while (best && len-- > 0)
		for (size_t i = 0; i < table->nr_routes && told < NEAR_ROUTES_MAX; i++)
			if (table->routes[i].cidr.prefixlen == len && covers(way, &table->routes[i].cidr)) {
				struct route_found route =
					found(way, way->asked_table, table->routes + i, ROUTE_MISS_LATER);

				each(context, &route);
				told++;
			}
}

/* Prefixes with which the address has most bits in common, and no other bit that is nothing of theirs. */
static void close_routes(const struct way *way, route_near each, void *context)
{
	const struct image_table *table = way->image->tables + way->asked_table;
	int told = 0;

	for (int bits = 127; bits > 0 && told < NEAR_ROUTES_MAX; bits--)
		for (size_t i = 0; i < table->nr_routes && told < NEAR_ROUTES_MAX; i++) {
			const struct cidr *cidr = &table->routes[i].cidr;
			struct route_found route;

			if (cidr->family != way->out.family || covers(way, cidr))
				continue;
			route = found(way, way->asked_table, table->routes + i, ROUTE_MISS_BITS);
			if (route.bits != (unsigned int)bits)
				continue;
			each(context, &route);
			told++;
		}
}

static bool was_told(const struct way *way, uint32_t subnet, uint32_t table)
{
	for (uint32_t i = 0; i < subnet; i++)
		if (way->image->subnets[i].zone == way->at_zone && way->image->subnets[i].table == table)
			return true;
	return false;
}

/* Of the subnets of the same VPC: a subnet that was given the wrong table, or none, is the commonest mistake. */
static void other_tables(const struct way *way, route_near each, void *context)
{
	int told = 0;

	for (uint32_t i = 0; i < way->image->nr_subnets && told < NEAR_ROUTES_MAX; i++) {
		const struct image_subnet *subnet = way->image->subnets + i;
		const struct image_route *best;
		struct route_found route;

		if (subnet->zone != way->at_zone || subnet->table == way->asked_table ||
		    was_told(way, i, subnet->table))
			continue;
		best = way_find_route(way->image, subnet->table, way->out.family, &way->out.daddr);
		if (!best || best->kind == ROUTE_BLACKHOLE || best->kind == ROUTE_LOCAL)
			continue;
		route = found(way, subnet->table, best, ROUTE_MISS_TABLE);
		each(context, &route);
		told++;
	}
}

void near_routes(const struct way *way, route_near each, void *context)
{
	if (!route_ended_it(way))
		return;
	hidden_routes(way, each, context);
	close_routes(way, each, context);
	if (way->at == WAY_SUBNET)
		other_tables(way, each, context);
}

const char *near_words(const struct route_found *route, char *text)
{
	switch (route->miss) {
	case ROUTE_MISS_BITS:
		snprintf(text, NEAR_WORDS_MAX, "but for what follows its first %u bit%s", route->bits,
			 route->bits == 1 ? "" : "s");
		break;
	case ROUTE_MISS_LATER:
		snprintf(text, NEAR_WORDS_MAX, "matches, but a longer prefix comes first");
		break;
	case ROUTE_MISS_TABLE:
		snprintf(text, NEAR_WORDS_MAX, "matches, but is in the table of other subnets");
		break;
	}
	return text;
}
