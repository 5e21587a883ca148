/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SecurityGroups and SecurityGroupVpcAssociations (SG-01..SG-20). What a rule names and what does not exist, or cannot
 * be reached any more (SG-17, SG-19), stays in the rule as NULL and matches nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

#define IP_TCP   6
#define IP_UDP   17
#define IP_ICMP  1
#define IP_ICMP6 58

/* SG-08, SG-09 */
static bool parse_icmp(struct load *load, struct item *item, const char *path, int type, int code)
{
	if (type > 255 || code > 255)
		state_error(load, item, path, "ICMP type %d code %d is not within -1..255", type, code);
	else if (type == -1 && code != -1)
		state_error(load, item, path, "ICMP code %d without a type", code);
	else
		return true;
	return false;
}

/* SG-07 */
static bool parse_ports(struct load *load, struct item *item, const char *path, struct sg_permission *permission)
{
	if (permission->from == -1 && permission->to == -1) {
		state_warn(load, item, path, "port range -1 to -1 is read as all ports");
		permission->from = 0;
		permission->to = 65535;
	} else if (permission->from == -1 || permission->to == -1) {
		state_error(load, item, path, "port range %d to %d mixes -1 with a port", permission->from,
			    permission->to);
		return false;
	} else if (permission->from > permission->to) {
		state_error(load, item, path, "port range %d-%d is empty", permission->from, permission->to);
		return false;
	}
	return true;
}

bool parse_permission(struct load *load, struct item *item, const char *path, const json_t *json,
		      struct sg_permission *ret)
{
	bool has_from = json_object_get(json, "FromPort"), has_to = json_object_get(json, "ToPort");
	bool tcp_udp, icmp;

	ret->protocol = (int)get_int(json, "IpProtocol", PROTOCOL_ANY);
	ret->from = (int)get_int(json, "FromPort", -1);
	ret->to = (int)get_int(json, "ToPort", -1);
	tcp_udp = ret->protocol == IP_TCP || ret->protocol == IP_UDP;
	icmp = ret->protocol == IP_ICMP || ret->protocol == IP_ICMP6;
	if (!tcp_udp && !icmp) {
		ret->from = 0;
		ret->to = 65535;
		return true;
	}
	if (ret->protocol == IP_ICMP6 && !has_from && !has_to)
		return true;
	if (!has_from || !has_to) {
		state_error(load, item, path, "%s is missing", has_from ? "ToPort" : "FromPort");
		return false;
	}
	return icmp ? parse_icmp(load, item, path, ret->from, ret->to) : parse_ports(load, item, path, ret);
}

struct sg_peer prefix_list_peer(struct load *load, struct item *item, const char *path, const json_t *json)
{
	struct sg_peer peer = {.kind = PEER_PREFIX_LIST, .peering = "", .rule_id = ""};

	peer.id = get_text(load, json, "PrefixListId");
	peer.prefix_list = FIND(load, prefix_lists, peer.id);
	if (!peer.prefix_list)
		state_warn(load, item, path, "PrefixListId %s is not in the state: the rule matches nothing", peer.id);
	return peer;
}

static bool serves(const struct security_group *group, const struct vpc *vpc)
{
	for (size_t i = 0; i < group->nr_associated; i++)
		if (group->associated[i] == vpc)
			return true;
	return group->vpc == vpc;
}

static bool same_region(const struct peering *peering)
{
	const char *a = peering->requester.region, *b = peering->accepter.region;

	return !*a || !*b || !strcmp(a, b);
}

static bool connects(const struct peering *peering, const struct vpc *a, const struct vpc *b)
{
	const struct vpc *x = peering->requester.vpc, *y = peering->accepter.vpc;

	return (x == a && y == b) || (x == b && y == a);
}

struct peering *find_peering(struct load *load, const struct vpc *a, const struct vpc *b)
{
	struct state_extra *extra = load->state->extra;

	for (size_t i = 0; i < extra->nr_peerings; i++)
		if (extra->peerings[i].active && same_region(&extra->peerings[i]) &&
		    connects(&extra->peerings[i], a, b))
			return &extra->peerings[i];
	return NULL;
}

/* SG-17: one transit gateway with referencing on, both attachments too */
static bool share_transit_gateway(struct load *load, const struct vpc *a, const struct vpc *b)
{
	struct state_extra *extra = load->state->extra;

	for (size_t i = 0; i < extra->nr_tgws; i++) {
		const struct tgw *tgw = &extra->tgws[i];
		bool has_a = false, has_b = false;

		for (size_t j = 0; tgw->available && tgw->sg_referencing && j < extra->nr_tgw_vpc_attachments; j++) {
			const struct tgw_vpc_attachment *attachment = &extra->tgw_vpc_attachments[j];
			bool usable = attachment->tgw == tgw && attachment->available && attachment->sg_referencing;

			has_a |= usable && attachment->vpc == a;
			has_b |= usable && attachment->vpc == b;
		}
		if (has_a && has_b)
			return true;
	}
	return false;
}

/* ret: NULL = the reference holds (SG-17, SG-20), else why it matches nothing (SG-19) */
static const char *why_stale(struct load *load, const struct security_group *group, bool egress,
			     const struct sg_peer *peer)
{
	const struct peering *peering = FIND_EXTRA(load, peerings, peer->peering);

	if (*peer->peering) {
		if (!peering)
			return "its peering connection is not in the state";
		if (!peering->active)
			return "its peering connection is not active";
		if (!same_region(peering))
			return "its peering connection leads to another Region";
		return NULL;
	}
	if (!group->vpc || !peer->group->vpc || serves(group, peer->group->vpc) || serves(peer->group, group->vpc))
		return NULL;
	if (find_peering(load, group->vpc, peer->group->vpc))
		return NULL;
	if (!egress && share_transit_gateway(load, group->vpc, peer->group->vpc))
		return NULL;
	return "it belongs to another VPC";
}

struct sg_peer group_peer(struct load *load, struct item *item, const char *path, const struct security_group *group,
			  bool egress, const json_t *pair)
{
	struct sg_peer peer = {.kind = PEER_GROUP, .rule_id = ""};
	const char *why;

	peer.id = get_text(load, pair, "GroupId");
	peer.peering = get_text(load, pair, "VpcPeeringConnectionId");
	peer.group = FIND(load, groups, peer.id);
	if (!peer.group) {
		state_warn(load, item, path, "GroupId %s is not in the state: the rule matches nothing",
			   *peer.id ? peer.id : "(none)");
		return peer;
	}
	why = why_stale(load, group, egress, &peer);
	if (why) {
		state_warn(load, item, path, "GroupId %s%s%s: %s: the rule matches nothing", peer.id,
			   *peer.peering ? " by " : "", peer.peering, why);
		peer.group = NULL;
	}
	return peer;
}

int compare_peers(const void *a, const void *b)
{
	const struct sg_peer *x = a, *y = b;
	int order = (int)x->kind - (int)y->kind;

	if (!order)
		order = cidr_compare(&x->cidr, &y->cidr);
	if (!order)
		order = strcmp(x->id, y->id);
	return order ? order : strcmp(x->peering, y->peering);
}

static size_t unique_peers(struct sg_peer *peers, size_t nr)
{
	size_t kept = 0;

	if (nr)
		qsort(peers, nr, sizeof(*peers), compare_peers);
	for (size_t i = 0; i < nr; i++)
		if (!kept || compare_peers(&peers[kept - 1], &peers[i]))
			peers[kept++] = peers[i];
	return kept;
}

static struct sg_peer cidr_peer(const json_t *json, const char *key)
{
	struct sg_peer peer = {.kind = PEER_CIDR, .id = "", .peering = "", .rule_id = ""};

	get_cidr(json, key, &peer.cidr);
	return peer;
}

/* SG-11: every element is an alternative of its own. */
static void parse_peers(struct load *load, struct item *item, const char *path, const struct security_group *group,
			bool egress, const json_t *json, struct sg_permission *permission)
{
	const json_t *ranges = json_object_get(json, "IpRanges"), *ranges6 = json_object_get(json, "Ipv6Ranges");
	const json_t *lists = json_object_get(json, "PrefixListIds"),
		     *pairs = json_object_get(json, "UserIdGroupPairs");
	size_t room =
		json_array_size(ranges) + json_array_size(ranges6) + json_array_size(lists) + json_array_size(pairs);
	struct sg_peer *peers = ARENA_ARRAY(load->arena, room + 1, struct sg_peer);
	const json_t *element;
	size_t index, nr = 0;

	json_array_foreach (ranges, index, element)
		if (json_is_object(element))
			peers[nr++] = cidr_peer(element, "CidrIp");
	json_array_foreach (ranges6, index, element)
		if (json_is_object(element))
			peers[nr++] = cidr_peer(element, "CidrIpv6");
	json_array_foreach (lists, index, element)
		if (json_is_object(element))
			peers[nr++] = prefix_list_peer(load, item, path, element);
	json_array_foreach (pairs, index, element)
		if (json_is_object(element))
			peers[nr++] = group_peer(load, item, path, group, egress, element);
	permission->peers = peers;
	permission->nr_peers = unique_peers(peers, nr);
	if ((permission->protocol == IP_ICMP && ranges6) || (permission->protocol == IP_ICMP6 && ranges)) /* SG-10 */
		state_warn(load, item, path, "protocol %d never meets a CIDR of the other address family",
			   permission->protocol);
}

static void parse_direction(struct load *load, struct item *item, const struct security_group *group, bool egress,
			    struct sg_permission **ret, size_t *ret_nr)
{
	const char *key = egress ? "IpPermissionsEgress" : "IpPermissions";
	const json_t *list = json_object_get(item->json, key), *json;
	struct sg_permission *permissions = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct sg_permission);
	size_t index, nr = 0;

	json_array_foreach (list, index, json) {
		struct sg_permission *permission = &permissions[nr];
		char place[64];

		snprintf(place, sizeof(place), "%s[%zu]", key, index);
		if (!json_is_object(json) || !parse_permission(load, item, place, json, permission))
			continue;
		permission->place = state_arena_strdup(load->arena, place);
		parse_peers(load, item, permission->place, group, egress, json, permission);
		nr++;
	}
	*ret = permissions;
	*ret_nr = nr;
}

void remake_group(struct load *load, struct item *item, struct security_group *group)
{
	parse_direction(load, item, group, false, &group->in, &group->nr_in);
	parse_direction(load, item, group, true, &group->out, &group->nr_out);
}

/* SG-20; the list is sorted by group, then VPC. */
static void load_associations(struct load *load)
{
	struct items *items = &load->lists[LIST_GROUP_VPC_ASSOCIATIONS];

	LIST_FOREACH (load, LIST_GROUP_VPC_ASSOCIATIONS, item) {
		struct security_group *group = FIND(load, groups, item->id);
		struct vpc *vpc = FIND(load, vpcs, item->id2);
		const char *state = get_text(load, item->json, "State");

		if (!group || !vpc) {
			state_warn(load, item, "", "%s is not in the state: the association has no effect",
				   group ? item->id2 : item->id);
			continue;
		}
		if (*state && strcmp(state, "associated") != 0)
			continue;
		if (!group->associated)
			group->associated =
				ARENA_ARRAY(load->arena, (size_t)(items->item + items->nr - item), struct vpc *);
		group->associated[group->nr_associated++] = vpc;
	}
}

void load_groups(struct load *load)
{
	struct items *items = &load->lists[LIST_SECURITY_GROUPS];
	struct state *state = load->state;

	state->groups = ARENA_ARRAY(load->arena, items->nr + 1, struct security_group);
	state->nr_groups = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct security_group *group = &state->groups[i];

		group->id = item->id;
		group->name = get_text(load, item->json, "GroupName");
		group->owner = get_text(load, item->json, "OwnerId");
		group->vpc = find_vpc(load, item, get_text(load, item->json, "VpcId"), "no ENI of the state is in it");
	}
	load_associations(load);
	for (size_t i = 0; i < items->nr; i++)
		remake_group(load, &items->item[i], &state->groups[i]);
	join_group_rules(load);
}
