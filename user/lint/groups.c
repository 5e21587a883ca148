/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <netinet/in.h>
#include <string.h>

#include "compile/classify.h"
#include "lint/lint.h"
#include "state/cidr.h"

/* ---- rules of one group and direction */

struct rule {
	const struct sg_permission *permission;
	const struct sg_peer *peer;
};

static bool covers_peer(const struct sg_peer *outer, const struct sg_peer *inner)
{
	if (outer->kind != inner->kind)
		return false;
	if (outer->kind == PEER_CIDR)
		return cidr_contains(&outer->cidr, &inner->cidr);
	return !strcmp(outer->id, inner->id) && !strcmp(outer->peering, inner->peering);
}

static bool covers(const struct rule *outer, const struct rule *inner)
{
	const struct sg_permission *a = outer->permission, *b = inner->permission;
	struct service_range wide = service_range_of(4, a->protocol, a->from, a->to);
	struct service_range narrow = service_range_of(4, b->protocol, b->from, b->to);

	/* ICMP types of either family are compared in the family that they are of */
	if (b->protocol == IPPROTO_ICMPV6) {
		wide = service_range_of(6, a->protocol, a->from, a->to);
		narrow = service_range_of(6, b->protocol, b->from, b->to);
	}
	return wide.lo <= narrow.lo && narrow.hi <= wide.hi && covers_peer(outer->peer, inner->peer);
}

static const char *rule_text(const struct rule *rule)
{
	return *rule->peer->rule_id ? rule->peer->rule_id : rule->permission->place;
}

#define RULES_MAX 4096 /* beyond that nobody reads what is said */

static size_t rules_of(const struct security_group *group, bool egress, struct rule *rules)
{
	const struct sg_permission *permissions = egress ? group->out : group->in;
	size_t nr_permissions = egress ? group->nr_out : group->nr_in, nr = 0;

	for (size_t i = 0; i < nr_permissions; i++)
		for (size_t k = 0; k < permissions[i].nr_peers && nr < RULES_MAX; k++)
			rules[nr++] = (struct rule){permissions + i, permissions[i].peers + k};
	return nr;
}

static void check_rules(const struct lint *lint, const struct security_group *group, bool egress)
{
	static struct rule rules[RULES_MAX];
	size_t nr = rules_of(group, egress, rules);
	const char *direction = egress ? "egress" : "ingress";

	for (size_t i = 0; i < nr; i++) {
		const struct sg_peer *peer = rules[i].peer;

		if ((peer->kind == PEER_GROUP && !peer->group) ||
		    (peer->kind == PEER_PREFIX_LIST && !peer->prefix_list))
			lint_say(lint, LINT_STALE_REFERENCE, group->id, "%s %s names %s, which matches nothing",
				 direction, rule_text(rules + i), peer->id);
		for (size_t k = 0; k < nr; k++) {
			bool twice = k < i && covers(rules + i, rules + k);

			if (k == i || !covers(rules + k, rules + i) || (k > i && covers(rules + i, rules + k)))
				continue;
			lint_say(lint, twice ? LINT_SG_DUPLICATE : LINT_SG_SHADOWED, group->id, "%s %s: %s %s",
				 direction, rule_text(rules + i), twice ? "the same as" : "all of it is admitted by",
				 rule_text(rules + k));
			break;
		}
	}
}

/* ---- groups */

static bool names(const struct security_group *group, const struct security_group *other)
{
	for (int egress = 0; egress < 2; egress++) {
		const struct sg_permission *permissions = egress ? group->out : group->in;
		size_t nr = egress ? group->nr_out : group->nr_in;

		for (size_t i = 0; i < nr; i++)
			for (size_t k = 0; k < permissions[i].nr_peers; k++)
				if (permissions[i].peers[k].kind == PEER_GROUP &&
				    permissions[i].peers[k].group == other)
					return true;
	}
	return false;
}

static bool used(const struct state *state, const struct security_group *group)
{
	for (size_t i = 0; i < state->nr_enis; i++)
		for (size_t k = 0; k < state->enis[i].nr_groups; k++)
			if (state->enis[i].groups[k] == group)
				return true;
	for (size_t i = 0; i < state->nr_groups; i++)
		if (state->groups + i != group && names(state->groups + i, group))
			return true;
	return !strcmp(group->name, "default"); /* it cannot be deleted */
}

/* ---- what is open to everybody */

static const struct sg_permission *open_to_all(const struct security_group *group, int port)
{
	for (size_t i = 0; i < group->nr_in; i++) {
		const struct sg_permission *permission = group->in + i;
		bool tcp = permission->protocol == PROTOCOL_ANY ||
			   (permission->protocol == IPPROTO_TCP && permission->from <= port && port <= permission->to);

		for (size_t k = 0; tcp && k < permission->nr_peers; k++)
			if (permission->peers[k].kind == PEER_CIDR && !permission->peers[k].cidr.prefixlen)
				return permission;
	}
	return NULL;
}

static void check_open(const struct lint *lint, const struct eni *eni)
{
	static const int ports[] = {22, 3389};

	for (size_t p = 0; p < 2; p++)
		for (size_t i = 0; i < eni->nr_groups; i++) {
			const struct sg_permission *permission = open_to_all(eni->groups[i], ports[p]);

			if (permission)
				lint_say(lint, LINT_OPEN_ADMIN, eni->id, "TCP port %d is open to everybody by %s %s",
					 ports[p], eni->groups[i]->id, permission->place);
		}
}

void lint_groups(const struct lint *lint)
{
	for (size_t i = 0; i < lint->state->nr_groups; i++) {
		const struct security_group *group = lint->state->groups + i;

		check_rules(lint, group, false);
		check_rules(lint, group, true);
		if (!used(lint->state, group))
			lint_say(lint, LINT_SG_UNUSED, group->id, "no interface carries it, and no rule names it");
	}
	for (size_t i = 0; i < lint->state->nr_enis; i++)
		if (!lint->state->enis[i].routing)
			check_open(lint, lint->state->enis + i);
}
