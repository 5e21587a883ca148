/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups of an ENI and one direction -> policy object (SG-01..SG-20).
 *
 * The union of the groups' rules, one local rule for each peer of each permission, ordered by group id, permission,
 * peer: rules only allow, so the order decides nothing but which rule is named.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "compile/classify.h"
#include "compile/objects.h"

struct sg_work {
	const struct vpc *vpc;           /* of the ENI */
	const struct state_extra *extra; /* what joins it to others; NULL = nothing */
	bool egress;
	const struct identities *identities;
	struct claim_sets claims;
	uint32_t flags; /* POLICY_OPEN_* */
	struct image_rule *rules;
	uint32_t nr_rules;
};

/* SG-10: icmp exists in IPv4 only, icmpv6 in IPv6 only. */
static bool exists_in(const struct sg_permission *permission, int family)
{
	if (permission->protocol == IPPROTO_ICMP)
		return family == 4;
	return permission->protocol != IPPROTO_ICMPV6 || family == 6;
}

static struct service_range services_of(const struct sg_permission *permission, int family)
{
	return service_range_of(family, permission->protocol, permission->from, permission->to);
}

/* CT-03 b, CT-04: one rule for all addresses and all ports. */
static uint32_t open_flags(const struct sg_permission *permission, int family)
{
	bool all = permission->protocol == PROTOCOL_ANY;
	bool all_ports = permission->from == 0 && permission->to == 65535;
	uint32_t flags = 0;

	if (all || (permission->protocol == IPPROTO_TCP && all_ports))
		flags |= family == 6 ? POLICY_OPEN_TCP6 : POLICY_OPEN_TCP4;
	if (all || (permission->protocol == IPPROTO_UDP && all_ports))
		flags |= family == 6 ? POLICY_OPEN_UDP6 : POLICY_OPEN_UDP4;
	return flags;
}

static int add_cidr(struct sg_work *work, const struct sg_permission *permission, const struct cidr *cidr)
{
	int family = cidr->family;

	if (!exists_in(permission, family))
		return 0;
	if (!cidr->prefixlen)
		work->flags |= open_flags(permission, family);
	return claim_cidr(&work->claims, cidr, services_of(permission, family), work->nr_rules + 1);
}

static int add_prefix_list(struct sg_work *work, const struct sg_permission *permission, const struct prefix_list *list)
{
	for (size_t i = 0; list && i < list->nr_entries; i++) {
		int r = add_cidr(work, permission, list->entries + i);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_identity(struct sg_work *work, const struct sg_permission *permission, uint32_t identity)
{
	static const int families[] = {4, 6};

	for (size_t i = 0; i < 2; i++) {
		int r;

		if (!exists_in(permission, families[i]))
			continue;
		r = claim_identity(&work->claims, identity, services_of(permission, families[i]), work->nr_rules + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool in_one_region(const struct peering *peering)
{
	const char *a = peering->requester.region, *b = peering->accepter.region;

	return !*a || !*b || !strcmp(a, b);
}

/* An active peering within one Region; the one that the reference names, if it names one (SG-17): that it can be used
 * was checked when the state was loaded, so one that is not told of here is taken as it stands. */
static bool peered(const struct sg_work *work, const struct sg_peer *peer, const struct vpc *vpc)
{
	bool found = !*peer->peering;

	for (size_t i = 0; work->extra && i < work->extra->nr_peerings; i++) {
		const struct peering *peering = work->extra->peerings + i;
		const struct vpc *a = peering->requester.vpc, *b = peering->accepter.vpc;

		if (*peer->peering && strcmp(peer->peering, peering->id) != 0)
			continue;
		found = true;
		if (!peering->active || !in_one_region(peering))
			continue;
		if ((a == work->vpc && b == vpc) || (a == vpc && b == work->vpc))
			return true;
	}
	return !found;
}

static bool attached(const struct sg_work *work, const struct tgw *tgw, const struct vpc *vpc)
{
	for (size_t i = 0; i < work->extra->nr_tgw_vpc_attachments; i++) {
		const struct tgw_vpc_attachment *attachment = work->extra->tgw_vpc_attachments + i;

		if (attachment->tgw == tgw && attachment->vpc == vpc && attachment->available &&
		    attachment->sg_referencing)
			return true;
	}
	return false;
}

/* One transit gateway that carries references: ingress only (SG-17). */
static bool shares_transit_gateway(const struct sg_work *work, const struct vpc *vpc)
{
	for (size_t i = 0; work->extra && i < work->extra->nr_tgws; i++) {
		const struct tgw *tgw = work->extra->tgws + i;

		if (tgw->available && tgw->sg_referencing && attached(work, tgw, work->vpc) && attached(work, tgw, vpc))
			return true;
	}
	return false;
}

static bool serves(const struct security_group *group, const struct vpc *vpc)
{
	for (size_t i = 0; i < group->nr_associated; i++)
		if (group->associated[i] == vpc)
			return true;
	return vpc == group->vpc;
}

/* Do ENIs of this VPC count as members? Within the VPC always; beyond it only where the reference crosses a peering or
 * a transit gateway, and then the referenced group's VPCs count (SG-17, SG-20). */
static bool within_reach(const struct sg_work *work, const struct sg_peer *peer, const struct vpc *vpc)
{
	if (!vpc)
		return false;
	if (vpc == work->vpc)
		return true;
	if (!serves(peer->group, vpc))
		return false;
	return peered(work, peer, vpc) || (!work->egress && !*peer->peering && shares_transit_gateway(work, vpc));
}

bool sg_reference_reaches(const struct vpc *vpc, const struct state_extra *extra, bool egress,
			  const struct sg_peer *peer, const struct vpc *member)
{
	const struct sg_work work = {.vpc = vpc, .extra = extra, .egress = egress};

	return within_reach(&work, peer, member);
}

static int add_group(struct sg_work *work, const struct sg_permission *permission, const struct sg_peer *peer)
{
	const struct group_member *members;
	size_t nr;

	if (!peer->group)
		return 0;
	nr = identities_of_group(work->identities, peer->group, &members);
	for (size_t i = 0; i < nr; i++) {
		const struct group_set *set = work->identities->sets + members[i].set;
		int r;

		if (!within_reach(work, peer, set->vpc))
			continue;
		r = add_identity(work, permission, set->identity);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_peer(struct sg_work *work, const struct sg_permission *permission, const struct sg_peer *peer)
{
	switch (peer->kind) {
	case PEER_CIDR:
		return add_cidr(work, permission, &peer->cidr);
	case PEER_PREFIX_LIST:
		return add_prefix_list(work, permission, peer->prefix_list);
	case PEER_GROUP:
		return add_group(work, permission, peer);
	}
	return -EINVAL;
}

static int add_permission(struct sg_work *work, const struct security_group *group,
			  const struct sg_permission *permission)
{
	for (size_t i = 0; i < permission->nr_peers; i++) {
		const struct sg_peer *peer = permission->peers + i;
		int r = add_peer(work, permission, peer);

		if (r < 0)
			return r;
		work->rules[work->nr_rules++] = (struct image_rule){
			.id = group->id,
			.text = *peer->rule_id ? peer->rule_id : permission->place,
		};
	}
	return 0;
}

static size_t permissions_of(const struct security_group *group, bool egress, const struct sg_permission **ret)
{
	*ret = egress ? group->out : group->in;
	return egress ? group->nr_out : group->nr_in;
}

static size_t count_rules(const struct security_group *const *groups, size_t nr, bool egress)
{
	const struct sg_permission *permissions;
	size_t rules = 0;

	for (size_t g = 0; g < nr; g++) {
		size_t nr_permissions = permissions_of(groups[g], egress, &permissions);

		for (size_t i = 0; i < nr_permissions; i++)
			rules += permissions[i].nr_peers;
	}
	return rules;
}

static int add_groups(struct sg_work *work, const struct security_group *const *groups, size_t nr, bool egress)
{
	for (size_t g = 0; g < nr; g++) {
		const struct sg_permission *permissions;
		size_t nr_permissions = permissions_of(groups[g], egress, &permissions);

		for (size_t i = 0; i < nr_permissions; i++) {
			int r = add_permission(work, groups[g], permissions + i);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* groups: sorted by id, each once */
int sg_compile(const struct security_group *const *groups, size_t nr, bool egress, const struct vpc *vpc,
	       const struct state_extra *extra, const struct identities *identities, struct image_object *ret)
{
	struct sg_work work = {.vpc = vpc, .extra = extra, .egress = egress, .identities = identities};
	struct image_object object = {};
	size_t rules = count_rules(groups, nr, egress);
	int r;

	if (rules > RULE_NUMBER_MAX)
		return -E2BIG;
	work.rules = calloc(rules + 1, sizeof(*work.rules));
	if (!work.rules)
		return -ENOMEM;
	r = add_groups(&work, groups, nr, egress);
	object.rules = work.rules;
	object.nr_rules = work.nr_rules;
	if (!r)
		r = classify(POLICY_SG, work.flags, &work.claims, &object);
	claim_sets_done(&work.claims);
	if (r < 0) {
		free(work.rules);
		return r;
	}
	*ret = object;
	return 0;
}
