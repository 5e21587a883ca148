/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who "internet" is: an address for which nothing holds but what holds for everybody. */
#include "explain/ask.h"
#include "state/cidr.h"
#include "state/extra.h"

static bool names(const struct cidr *cidr, const struct cidr *point)
{
	return cidr->prefixlen && cidr_contains(cidr, point);
}

static bool list_names(const struct cidr *list, size_t nr, const struct cidr *point)
{
	for (size_t i = 0; i < nr; i++)
		if (names(list + i, point))
			return true;
	return false;
}

static bool permissions_name(const struct sg_permission *list, size_t nr, const struct cidr *point)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t k = 0; k < list[i].nr_peers; k++)
			if (list[i].peers[k].kind == PEER_CIDR && names(&list[i].peers[k].cidr, point))
				return true;
	return false;
}

static bool rules_name(const struct state *state, const struct cidr *point)
{
	for (size_t i = 0; i < state->nr_groups; i++)
		if (permissions_name(state->groups[i].in, state->groups[i].nr_in, point) ||
		    permissions_name(state->groups[i].out, state->groups[i].nr_out, point))
			return true;
	for (size_t i = 0; i < state->nr_nacls; i++)
		for (int out = 0; out < 2; out++) {
			const struct nacl *nacl = state->nacls + i;

			for (size_t k = 0; k < (out ? nacl->nr_out : nacl->nr_in); k++)
				if (names(&(out ? nacl->out : nacl->in)[k].cidr, point))
					return true;
		}
	return false;
}

static bool state_names(const struct state *state, const struct cidr *point)
{
	for (size_t i = 0; i < state->nr_vpcs; i++)
		if (list_names(state->vpcs[i].cidrs, state->vpcs[i].nr_cidrs, point))
			return true;
	for (size_t i = 0; i < state->nr_prefix_lists; i++)
		if (list_names(state->prefix_lists[i].entries, state->prefix_lists[i].nr_entries, point))
			return true;
	for (size_t i = 0; i < state->nr_tables; i++)
		for (size_t k = 0; k < state->tables[i].nr_routes; k++)
			if (state->tables[i].routes[k].cidr.family && names(&state->tables[i].routes[k].cidr, point))
				return true;
	for (size_t i = 0; i < state->nr_enis; i++)
		for (size_t k = 0; k < state->enis[i].nr_addresses; k++)
			if (point->family == 4 && state->enis[i].addresses[k].public_ip == point->addr.ip4)
				return true;
	return rules_name(state, point);
}

union addr outside_address(const struct state *state, int family)
{
	static const char *const candidates[] = {"198.51.100.1", "192.0.2.1", "203.0.113.1",           "9.9.9.9",
						 "1.1.1.1",      "37.0.0.1",  "2001:db8:ffff:ffff::1", "2600:1f00::1",
						 "2a00:1450::1"};
	union addr first = {}, addr;
	bool any = false;

	for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates); i++) {
		struct cidr point;

		if (address_parse(candidates[i], &addr) != family)
			continue;
		first = any ? first : addr;
		any = true;
		point = (struct cidr){(uint8_t)family, family == 6 ? 128 : 32, addr};
		if (!state_names(state, &point))
			return addr;
	}
	return first;
}
