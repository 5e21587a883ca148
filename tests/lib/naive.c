/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/naive.h"

#include <stdlib.h>
#include <string.h>

#include "lib/world.h"

static int compare_group_ids(const void *a, const void *b)
{
	return strcmp((*(struct security_group *const *)a)->id, (*(struct security_group *const *)b)->id);
}

static bool service_matches(const struct sg_permission *permission, const struct question *question)
{
	int type = question->port >> 8, code = question->port & 0xff;

	if ((permission->protocol == 1 && question->family == 6) ||
	    (permission->protocol == 58 && question->family == 4))
		return false; /* SG-10 */
	if (permission->protocol == PROTOCOL_ANY)
		return true;
	if (permission->protocol != question->protocol)
		return false;
	if (question->protocol == 6 || question->protocol == 17)
		return question->port >= permission->from && question->port <= permission->to;
	if (question->protocol == 1 || question->protocol == 58)
		return permission->from == -1 ||
		       (permission->from == type && (permission->to == -1 || permission->to == code));
	return true; /* SG-09 */
}

/* Does the ENI carry the group, where the reference counts (SG-14, SG-17, SG-20)? */
static bool is_member(const struct sg_peer *peer, const struct eni *member, const struct vpc *vpc)
{
	bool carries = false, related = member && member->vpc == vpc;

	if (!member || !peer->group)
		return false;
	for (size_t i = 0; i < member->nr_groups; i++)
		carries |= member->groups[i] == peer->group;
	if (!related && *peer->peering) {
		related = peer->group->vpc == member->vpc;
		for (size_t i = 0; i < peer->group->nr_associated; i++)
			related |= peer->group->associated[i] == member->vpc;
	}
	return carries && related;
}

static bool peer_matches(const struct sg_peer *peer, const struct question *question, const struct vpc *vpc,
			 bool *all_addresses)
{
	bool matches = false;

	if (peer->kind == PEER_GROUP)
		return is_member(peer, question->member, vpc);
	if (peer->kind == PEER_CIDR) {
		*all_addresses = peer->cidr.prefixlen == 0;
		return cidr_has(&peer->cidr, question->family, &question->peer);
	}
	for (size_t i = 0; peer->prefix_list && i < peer->prefix_list->nr_entries; i++) {
		const struct cidr *entry = peer->prefix_list->entries + i;

		if (!cidr_has(entry, question->family, &question->peer))
			continue;
		matches = true;
		*all_addresses |= entry->prefixlen == 0;
	}
	return matches;
}

size_t own_groups(const struct eni *eni, const struct security_group **groups)
{
	size_t nr = 0;

	for (size_t i = 0; i < eni->nr_groups; i++) {
		bool there = false;

		for (size_t k = 0; k < nr; k++)
			there |= groups[k] == eni->groups[i];
		if (!there)
			groups[nr++] = eni->groups[i];
	}
	qsort(groups, nr, sizeof(*groups), compare_group_ids);
	return nr;
}

struct answer naive_groups(const struct eni *eni, bool egress, const struct question *question)
{
	const struct security_group *groups[8];
	size_t nr = own_groups(eni, groups);
	struct answer answer = {};
	uint32_t rule = 0;

	for (size_t g = 0; g < nr; g++) {
		const struct sg_permission *permissions = egress ? groups[g]->out : groups[g]->in;
		size_t nr_permissions = egress ? groups[g]->nr_out : groups[g]->nr_in;

		for (size_t i = 0; i < nr_permissions; i++)
			for (size_t k = 0; k < permissions[i].nr_peers; k++) {
				const struct sg_peer *peer = permissions[i].peers + k;
				bool all_addresses = false;

				rule++;
				if (!service_matches(permissions + i, question) ||
				    !peer_matches(peer, question, eni->vpc, &all_addresses))
					continue;
				answer.any |= all_addresses;
				if (answer.rule)
					continue;
				answer.rule = rule;
				answer.id = groups[g]->id;
				answer.text = *peer->rule_id ? peer->rule_id : permissions[i].place;
			}
	}
	return answer;
}

static bool entry_matches(const struct nacl_entry *entry, const struct question *question)
{
	int type = question->port >> 8, code = question->port & 0xff;

	if (!cidr_has(&entry->cidr, question->family, &question->peer))
		return false;
	if (entry->protocol == PROTOCOL_ANY)
		return true;
	if (entry->protocol != question->protocol)
		return false;
	if (entry->protocol == 6 || entry->protocol == 17)
		return question->port >= entry->from && question->port <= entry->to;
	if (entry->protocol == (question->family == 6 ? 58 : 1))
		return entry->from == -1 || (entry->from == type && (entry->to == -1 || entry->to == code));
	return true; /* NACL-07, NACL-08: protocol 58 with an IPv4 CIDR = all types */
}

const struct nacl_entry *naive_nacl(const struct nacl_entry *entries, size_t nr, const struct question *question)
{
	const struct nacl_entry *first = NULL;

	for (size_t i = 0; i < nr; i++)
		if (entry_matches(entries + i, question) && (!first || entries[i].number < first->number))
			first = entries + i;
	return first;
}
