/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups as address ranges with protocols and ports: groups become their members' addresses, prefix lists
 * their entries. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export/export.h"
#include "state/cidr.h"

static int add(struct export_matches *into, const struct cidr *cidr, const struct sg_permission *permission)
{
	struct export_match match = {
		.cidr = *cidr, .protocol = permission->protocol, .from = permission->from, .to = permission->to};

	if (into->nr == into->room) {
		size_t room = into->room ? into->room * 2 : 16;
		struct export_match *grown = reallocarray(into->match, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		into->match = grown;
		into->room = room;
	}
	into->match[into->nr++] = match;
	return 0;
}

static bool carries(const struct eni *eni, const struct security_group *group)
{
	for (size_t i = 0; i < eni->nr_groups; i++)
		if (eni->groups[i] == group)
			return true;
	return false;
}

static int add_members(const struct state *state, const struct vpc *vpc, const struct security_group *group,
		       const struct sg_permission *permission, struct export_matches *into)
{
	int r = 0;

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = &state->enis[i];

		if (eni->vpc != vpc || !eni->live || !carries(eni, group))
			continue;
		for (size_t a = 0; !r && a < eni->nr_addresses; a++) {
			struct cidr cidr = {.family = eni->addresses[a].family,
					    .prefixlen = eni->addresses[a].prefixlen,
					    .addr = eni->addresses[a].addr};

			r = add(into, &cidr, permission);
		}
	}
	return r;
}

int export_resolve(const struct state *state, const struct vpc *vpc, const struct sg_permission *permissions, size_t nr,
		   struct export_matches *into)
{
	int r = 0;

	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; !r && j < permissions[i].nr_peers; j++) {
			const struct sg_peer *peer = &permissions[i].peers[j];

			if (peer->kind == PEER_CIDR)
				r = add(into, &peer->cidr, &permissions[i]);
			else if (peer->kind == PEER_GROUP && peer->group)
				r = add_members(state, vpc, peer->group, &permissions[i], into);
			for (size_t k = 0; !r && peer->kind == PEER_PREFIX_LIST && peer->prefix_list &&
					   k < peer->prefix_list->nr_entries;
			     k++)
				r = add(into, &peer->prefix_list->entries[k], &permissions[i]);
		}
	return r;
}

static int compare(const void *one, const void *other)
{
	const struct export_match *a = one, *b = other;

	if (a->cidr.family != b->cidr.family)
		return a->cidr.family < b->cidr.family ? -1 : 1;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	return cidr_compare(&a->cidr, &b->cidr);
}

void export_settle(struct export_matches *matches)
{
	size_t kept = 0;

	if (matches->nr)
		qsort(matches->match, matches->nr, sizeof(*matches->match), compare);
	for (size_t i = 0; i < matches->nr; i++) {
		const struct export_match *match = &matches->match[i], *last = &matches->match[kept - !!kept];

		/* CIDRs nest or are disjoint, and what holds others sorts before them */
		if (kept && last->protocol == match->protocol && last->from == match->from && last->to == match->to &&
		    last->cidr.family == match->cidr.family && cidr_contains(&last->cidr, &match->cidr))
			continue;
		matches->match[kept++] = *match;
	}
	matches->nr = kept;
}
