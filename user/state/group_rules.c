/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SecurityGroupRules, the flat form: united with IpPermissions (JSON-08). A flat rule that says what an element of
 * IpPermissions says gives that element its id; any other becomes a permission of its own. */
#include <stdlib.h>
#include <string.h>

#include "state/load.h"

struct flat_rule {
	struct item *item;
	struct security_group *group;
	bool egress;
	struct sg_permission permission; /* with one peer */
};

/* One peer of one permission, to be found by content. */
struct element {
	const struct sg_permission *permission;
	struct sg_peer *peer;
};

static int compare_rules(const void *a, const void *b)
{
	const struct flat_rule *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->egress != y->egress)
		return x->egress ? 1 : -1;
	return strcmp(x->item->id, y->item->id);
}

static int compare_elements(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	if (x->permission->protocol != y->permission->protocol)
		return x->permission->protocol < y->permission->protocol ? -1 : 1;
	if (x->permission->from != y->permission->from)
		return x->permission->from < y->permission->from ? -1 : 1;
	if (x->permission->to != y->permission->to)
		return x->permission->to < y->permission->to ? -1 : 1;
	return compare_peers(x->peer, y->peer);
}

static bool parse_rule_peer(struct load *load, struct flat_rule *rule, struct sg_peer *ret)
{
	struct item *item = rule->item;
	const json_t *json = item->json, *pair = json_object_get(json, "ReferencedGroupInfo");
	bool cidr4 = json_object_get(json, "CidrIpv4"), cidr6 = json_object_get(json, "CidrIpv6");
	bool list = json_object_get(json, "PrefixListId");

	if (cidr4 + cidr6 + list + (pair != NULL) != 1) {
		state_error(load, item, "", "has %d of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupInfo, not one",
			    cidr4 + cidr6 + list + (pair != NULL));
		return false;
	}
	*ret = (struct sg_peer){.kind = PEER_CIDR, .id = "", .peering = ""};
	if (list)
		*ret = prefix_list_peer(load, item, "", json);
	else if (pair)
		*ret = group_peer(load, item, "", rule->group, rule->egress, pair);
	else
		get_cidr(json, cidr4 ? "CidrIpv4" : "CidrIpv6", &ret->cidr);
	ret->rule_id = item->id;
	return true;
}

static bool parse_rule(struct load *load, struct item *item, struct flat_rule *rule)
{
	const char *group = get_text(load, item->json, "GroupId");

	rule->item = item;
	rule->egress = get_flag(item->json, "IsEgress", false);
	rule->group = FIND(load, groups, group);
	if (!parse_permission(load, item, "", item->json, &rule->permission))
		return false;
	if (!rule->group) {
		if (*group)
			state_warn(load, item, "", "GroupId %s is not in the state: the rule has no effect", group);
		return false;
	}
	rule->permission.place = item->id;
	rule->permission.peers = ARENA_ARRAY(load->arena, 1, struct sg_peer);
	rule->permission.nr_peers = 1;
	return parse_rule_peer(load, rule, rule->permission.peers);
}

/* All elements of the permissions, sorted by content. ret: how many */
static size_t index_elements(struct load *load, struct sg_permission *permissions, size_t nr, struct element **ret)
{
	struct element *elements;
	size_t nr_elements = 0;

	for (size_t i = 0; i < nr; i++)
		nr_elements += permissions[i].nr_peers;
	elements = ARENA_ARRAY(load->arena, nr_elements + 1, struct element);
	nr_elements = 0;
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < permissions[i].nr_peers; j++)
			elements[nr_elements++] = (struct element){&permissions[i], &permissions[i].peers[j]};
	if (nr_elements)
		qsort(elements, nr_elements, sizeof(*elements), compare_elements);
	*ret = elements;
	return nr_elements;
}

/* The rules of one group and direction. */
static void join_run(struct load *load, struct flat_rule *rules, size_t nr_rules, struct sg_permission **permissions,
		     size_t *nr)
{
	struct sg_permission *joined = ARENA_ARRAY(load->arena, *nr + nr_rules, struct sg_permission);
	struct element *elements;
	size_t nr_elements;

	if (*nr)
		memcpy(joined, *permissions, *nr * sizeof(*joined));
	nr_elements = index_elements(load, joined, *nr, &elements);
	for (size_t i = 0; i < nr_rules; i++) {
		struct element wanted = {&rules[i].permission, rules[i].permission.peers};
		struct element *found =
			nr_elements ? bsearch(&wanted, elements, nr_elements, sizeof(*elements), compare_elements)
				    : NULL;

		if (found && !*found->peer->rule_id)
			found->peer->rule_id = rules[i].item->id;
		else
			joined[(*nr)++] = rules[i].permission;
	}
	*permissions = joined;
}

void join_group_rules(struct load *load)
{
	struct items *items = &load->lists[LIST_SECURITY_GROUP_RULES];
	struct flat_rule *rules = ARENA_ARRAY(load->arena, items->nr + 1, struct flat_rule);
	size_t nr = 0, end;

	for (size_t i = 0; i < items->nr; i++)
		nr += parse_rule(load, &items->item[i], &rules[nr]);
	if (nr)
		qsort(rules, nr, sizeof(*rules), compare_rules);
	for (size_t start = 0; start < nr; start = end) {
		struct security_group *group = rules[start].group;
		bool egress = rules[start].egress;

		for (end = start; end < nr && rules[end].group == group && rules[end].egress == egress; end++)
			;
		if (egress)
			join_run(load, rules + start, end - start, &group->out, &group->nr_out);
		else
			join_run(load, rules + start, end - start, &group->in, &group->nr_in);
	}
}
