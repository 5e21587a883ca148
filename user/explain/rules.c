/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/rules.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/classify.h"
#include "compile/objects.h"
#include "state/cidr.h"

/* ---- security groups, in the order of their ids (compile/sg.c: that decides only which rule is named) */

static bool peer_covers(const struct rules_question *q, const struct cidr *cidr)
{
	const struct cidr point = {
		.family = (uint8_t)q->family, .prefixlen = q->family == 6 ? 128 : 32, .addr = q->peer};

	return cidr_contains(cidr, &point);
}

static bool list_covers(const struct rules_question *q, const struct prefix_list *list)
{
	for (size_t i = 0; list && i < list->nr_entries; i++)
		if (peer_covers(q, list->entries + i))
			return true;
	return false;
}

static bool carries(const struct eni *eni, const struct security_group *group)
{
	for (size_t i = 0; i < eni->nr_groups; i++)
		if (eni->groups[i] == group)
			return true;
	return false;
}

static bool sg_peer_matches(const struct rules_question *q, const struct eni *eni, const struct sg_peer *peer)
{
	switch (peer->kind) {
	case PEER_CIDR:
		return peer_covers(q, &peer->cidr);
	case PEER_PREFIX_LIST:
		return list_covers(q, peer->prefix_list);
	case PEER_GROUP:
		return peer->group && q->member && carries(q->member, peer->group) &&
		       sg_reference_reaches(eni->vpc, q->state->extra, q->egress, peer, q->member->vpc);
	}
	return false;
}

/* SG-10: icmp exists in IPv4 only, icmpv6 in IPv6 only. */
static bool sg_range(const struct rules_question *q, const struct sg_permission *permission, struct service_range *ret)
{
	*ret = service_range_of(q->family, permission->protocol, permission->from, permission->to);
	if (permission->protocol == IPPROTO_ICMP)
		return q->family == 4;
	return permission->protocol != IPPROTO_ICMPV6 || q->family == 6;
}

/* A step over all rules of an ENI's groups. */
struct sg_walk {
	const struct security_group **groups;
	size_t nr, g, i, k;
	bool egress;
};

static bool sg_begin(struct sg_walk *walk, const struct eni *eni, bool egress)
{
	*walk = (struct sg_walk){.groups = calloc(eni->nr_groups + 1, sizeof(*walk->groups)), .egress = egress};
	if (!walk->groups)
		return false;
	for (size_t i = 0; i < eni->nr_groups; i++)
		walk->groups[i] = eni->groups[i];
	walk->nr = sort_groups(walk->groups, eni->nr_groups);
	return true;
}

static bool sg_next(struct sg_walk *walk, struct rule_found *ret)
{
	for (; walk->g < walk->nr; walk->g++, walk->i = 0) {
		const struct security_group *group = walk->groups[walk->g];
		const struct sg_permission *list = walk->egress ? group->out : group->in;
		size_t nr = walk->egress ? group->nr_out : group->nr_in;

		for (; walk->i < nr; walk->i++, walk->k = 0) {
			const struct sg_permission *permission = list + walk->i;
			const struct sg_peer *peer = permission->peers + walk->k;

			if (walk->k >= permission->nr_peers)
				continue;
			walk->k++;
			*ret = (struct rule_found){.id = group->id,
						   .text = *peer->rule_id ? peer->rule_id : permission->place,
						   .group = group,
						   .permission = permission,
						   .peer = peer,
						   .allow = true};
			return true;
		}
	}
	free(walk->groups);
	walk->groups = NULL;
	return false;
}

bool rules_of_groups(const struct rules_question *q, const struct eni *eni, uint32_t service, struct rule_found *ret)
{
	struct service_range range;
	struct rule_found rule;
	struct sg_walk walk;

	if (!sg_begin(&walk, eni, q->egress))
		return false;
	while (sg_next(&walk, &rule)) {
		if (!sg_range(q, rule.permission, &range) || service < range.lo || service > range.hi ||
		    !sg_peer_matches(q, eni, rule.peer))
			continue;
		*ret = rule;
		free(walk.groups);
		return true;
	}
	return false;
}

void rules_admit_groups(const struct rules_question *q, const struct eni *eni, struct services *ret)
{
	struct service_range range;
	struct rule_found rule;
	struct sg_walk walk;

	ret->nr = 0;
	if (!sg_begin(&walk, eni, q->egress)) {
		ret->lost = true;
		return;
	}
	while (sg_next(&walk, &rule))
		if (sg_range(q, rule.permission, &range) && sg_peer_matches(q, eni, rule.peer))
			services_add(ret, range.lo, range.hi);
}

/* ---- network ACLs */

static const struct nacl_entry *entries_of(const struct nacl *nacl, bool egress, size_t *ret_nr)
{
	*ret_nr = nacl ? egress ? nacl->nr_out : nacl->nr_in : 0;
	return nacl ? egress ? nacl->out : nacl->in : NULL;
}

static struct service_range entry_range(const struct rules_question *q, const struct nacl_entry *entry)
{
	return service_range_of(q->family, entry->protocol, entry->from, entry->to);
}

static const char *number_text(int number)
{
	static char texts[1 << 16][8];
	char *text = texts[number & 0xffff];

	if (!*text)
		snprintf(text, sizeof(texts[0]), "%u", (unsigned int)number & 0xffff);
	return text;
}

static struct rule_found nacl_rule(const struct nacl *nacl, const struct nacl_entry *entry)
{
	return (struct rule_found){.id = nacl ? nacl->id : "default",
				   .text = entry  ? number_text(entry->number)
					   : nacl ? "*"
						  : "default",
				   .nacl = nacl,
				   .entry = entry,
				   .allow = entry ? entry->allow : !nacl};
}

bool rules_of_nacl(const struct rules_question *q, const struct nacl *nacl, uint32_t service, struct rule_found *ret)
{
	size_t nr;
	const struct nacl_entry *entries = entries_of(nacl, q->egress, &nr);

	*ret = nacl_rule(nacl, NULL);
	for (size_t i = 0; i < nr; i++) {
		struct service_range range = entry_range(q, entries + i);

		if (service < range.lo || service > range.hi || !peer_covers(q, &entries[i].cidr))
			continue;
		*ret = nacl_rule(nacl, entries + i);
		break;
	}
	return ret->allow;
}

/* From the last entry to the first: each has its way with what those behind it left. */
void rules_admit_nacl(const struct rules_question *q, const struct nacl *nacl, struct services *ret)
{
	size_t nr;
	const struct nacl_entry *entries = entries_of(nacl, q->egress, &nr);

	ret->nr = 0;
	if (!nacl)
		services_all(ret, q->family);
	while (nr--) {
		struct service_range range = entry_range(q, entries + nr);

		if (!peer_covers(q, &entries[nr].cidr))
			continue;
		if (entries[nr].allow)
			services_add(ret, range.lo, range.hi);
		else
			services_take(ret, range.lo, range.hi);
	}
}

/* ---- near misses */

static enum rule_miss miss_of(struct service_range range, uint32_t service, int protocol, bool peer)
{
	bool right = protocol == PROTOCOL_ANY || (uint32_t)protocol == (service >> 16 & 0xff);
	bool in = range.lo <= service && service <= range.hi;

	if (peer)
		return in ? MISS_NOT : right ? MISS_PORT : MISS_PROTOCOL;
	return in ? MISS_PEER : MISS_ALL;
}

/* Another protocol is near only if its ports would do. */
static bool ports_hold(struct service_range range, int protocol, uint32_t service)
{
	bool ported = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
	uint32_t asked = service >> 16 & 0xff, port = service & 0xffff;

	return ported && (asked == IPPROTO_TCP || asked == IPPROTO_UDP) && (range.lo & 0xffff) <= port &&
	       port <= (range.hi & 0xffff);
}

void rules_near_groups(const struct rules_question *q, const struct eni *eni, uint32_t service, rule_near each,
		       void *context)
{
	struct service_range range;
	struct rule_found rule;
	struct sg_walk walk;

	if (!sg_begin(&walk, eni, q->egress))
		return;
	while (sg_next(&walk, &rule)) {
		enum rule_miss miss;

		if (!sg_range(q, rule.permission, &range))
			continue;
		miss = miss_of(range, service, rule.permission->protocol, sg_peer_matches(q, eni, rule.peer));
		if (miss == MISS_ALL ||
		    (miss == MISS_PROTOCOL && !ports_hold(range, rule.permission->protocol, service)))
			continue;
		if (miss == MISS_PEER && rule.peer->kind == PEER_CIDR && rule.peer->cidr.family != q->family)
			continue;
		each(context, &rule, miss);
	}
}

void rules_near_nacl(const struct rules_question *q, const struct nacl *nacl, uint32_t service, rule_near each,
		     void *context)
{
	size_t nr;
	const struct nacl_entry *entries = entries_of(nacl, q->egress, &nr);

	for (size_t i = 0; i < nr; i++) {
		const struct nacl_entry *entry = entries + i;
		struct service_range range = entry_range(q, entry);
		struct rule_found rule = nacl_rule(nacl, entry);
		enum rule_miss miss;

		if (!entry->allow || entry->cidr.family != q->family)
			continue;
		miss = miss_of(range, service, entry->protocol, peer_covers(q, &entry->cidr));
		if (miss != MISS_ALL && (miss != MISS_PROTOCOL || ports_hold(range, entry->protocol, service)))
			each(context, &rule, miss);
	}
}
