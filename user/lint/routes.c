/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "lint/lint.h"
#include "state/cidr.h"

/* ---- one route table */

static void check_table(const struct lint *lint, const struct route_table *table)
{
	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct vpc_route *route = table->routes + i;

		if (route->blackhole)
			lint_say(lint, LINT_BLACKHOLE, table->id, "%s leads nowhere%s%s", route->destination,
				 route->target_id && *route->target_id ? ": " : "",
				 route->target_id ? route->target_id : "");
	}
}

static const struct vpc_route *default_route(const struct route_table *table, int family)
{
	for (size_t i = 0; table && i < table->nr_routes; i++)
		if (table->routes[i].cidr.family == family && !table->routes[i].cidr.prefixlen)
			return table->routes + i;
	return NULL;
}

static bool by_igw(const struct route_table *table)
{
	const struct vpc_route *route = default_route(table, 4);

	return route && route->target == TARGET_IGW && !route->blackhole;
}

/* ---- public subnets */

static bool has_public(const struct eni *eni)
{
	for (size_t i = 0; i < eni->nr_addresses; i++)
		if (eni->addresses[i].public_ip || eni->addresses[i].family == 6)
			return true;
	return false;
}

static bool has_nat(const struct state *state, const struct vpc_subnet *subnet)
{
	for (size_t i = 0; i < state->extra->nr_nat_gateways; i++)
		if (state->extra->nat_gateways[i].subnet == subnet)
			return true;
	return false;
}

static void check_subnet(const struct lint *lint, const struct vpc_subnet *subnet)
{
	size_t enis = 0;

	if (!by_igw(subnet->table) || has_nat(lint->state, subnet))
		return;
	for (size_t i = 0; i < lint->state->nr_enis; i++) {
		const struct eni *eni = lint->state->enis + i;

		if (eni->subnet != subnet)
			continue;
		if (has_public(eni))
			return;
		enis++;
	}
	if (enis)
		lint_say(lint, LINT_IGW_NO_PUBLIC, subnet->id,
			 "%s leads to an internet gateway, and none of the %zu interfaces has a public address",
			 subnet->table->id, enis);
}

static void check_nat(const struct lint *lint, const struct nat_gateway *nat)
{
	const struct route_table *table = nat->regional || !nat->subnet ? nat->table : nat->subnet->table;

	if (nat->available && !nat->private_only && !by_igw(table))
		lint_say(lint, LINT_NAT_NO_IGW, nat->id, "%s has no default route to an internet gateway",
			 table ? table->id : "its subnet");
}

/* ---- peerings: there and back */

static const struct vpc *far_end(const struct peering *peering, const struct vpc *vpc)
{
	if (peering->requester.vpc == vpc)
		return peering->accepter.vpc;
	return peering->accepter.vpc == vpc ? peering->requester.vpc : NULL;
}

static bool leads(const struct route_table *table, const char *target, const struct cidr *to)
{
	for (size_t i = 0; table && i < table->nr_routes; i++) {
		const struct vpc_route *route = table->routes + i;

		if (route->target_id && !strcmp(route->target_id, target) &&
		    (route->prefix_list || cidr_overlaps(&route->cidr, to)))
			return true;
	}
	return false;
}

/* Subnets that one can send to by the peering, from where no route leads back to the sender's. */
static void check_way_back(const struct lint *lint, const struct peering *peering, const struct vpc_subnet *from)
{
	const struct state *state = lint->state;
	const struct vpc *far = far_end(peering, from->vpc);
	const struct route_table *said = NULL;

	for (size_t i = 0; far && i < state->nr_subnets; i++) {
		const struct vpc_subnet *to = state->subnets + i;

		if (to->vpc != far || !to->cidr4.family || !from->cidr4.family || to->table == said ||
		    !leads(from->table, peering->id, &to->cidr4) || leads(to->table, peering->id, &from->cidr4))
			continue;
		lint_say(lint, LINT_ASYMMETRIC_ROUTE, from->id, "%s leads to %s by %s, but %s does not lead back",
			 from->table->id, to->id, peering->id, to->table ? to->table->id : "its route table");
		said = to->table;
	}
}

static void check_overlap(const struct lint *lint, const struct peering *a, const struct peering *b,
			  const struct vpc *near)
{
	const struct vpc *x = far_end(a, near), *y = far_end(b, near);

	for (size_t i = 0; x && y && x != y && i < x->nr_cidrs; i++)
		for (size_t k = 0; k < y->nr_cidrs; k++) {
			char text[CIDR_TEXT_MAX];

			if (!cidr_overlaps(x->cidrs + i, y->cidrs + k))
				continue;
			lint_say(lint, LINT_PEERING_OVERLAP, near->id, "%s and %s lead to %s and %s, and both have %s",
				 a->id, b->id, x->id, y->id, cidr_format(x->cidrs + i, text));
			return;
		}
}

static void check_peering(const struct lint *lint, size_t at)
{
	const struct state *state = lint->state;
	const struct peering *peering = state->extra->peerings + at;
	const struct vpc *ends[] = {peering->requester.vpc, peering->accepter.vpc};

	if (!peering->active)
		return;
	for (size_t i = 0; i < state->nr_subnets; i++)
		if (state->subnets[i].vpc && (state->subnets[i].vpc == ends[0] || state->subnets[i].vpc == ends[1]))
			check_way_back(lint, peering, state->subnets + i);
	for (size_t e = 0; e < 2; e++)
		for (size_t i = 0; ends[e] && i < at; i++)
			if (state->extra->peerings[i].active)
				check_overlap(lint, state->extra->peerings + i, peering, ends[e]);
}

void lint_routes(const struct lint *lint)
{
	const struct state *state = lint->state;

	for (size_t i = 0; i < state->nr_tables; i++)
		check_table(lint, state->tables + i);
	for (size_t i = 0; i < state->nr_subnets; i++)
		check_subnet(lint, state->subnets + i);
	for (size_t i = 0; i < state->extra->nr_nat_gateways; i++)
		check_nat(lint, state->extra->nat_gateways + i);
	for (size_t i = 0; i < state->extra->nr_peerings; i++)
		check_peering(lint, i);
}
