/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transit gateways: attachments, groups of equal cost, route tables (TGW-01..TGW-16). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"
#include "state/cidr.h"

/* TGW-05, best first. */
enum transit_rank { RANK_STATIC, RANK_REFERENCE, RANK_VPC, RANK_DX, RANK_CONNECT, RANK_VPN, RANK_OTHER };

/* ---- attachments */

static bool usable_vpc(const struct tgw_vpc_attachment *attachment)
{
	return attachment->available && attachment->tgw && attachment->tgw->available && attachment->vpc;
}

static bool usable(const struct tgw_attachment *attachment)
{
	return attachment->available && attachment->tgw && attachment->tgw->available;
}

static bool is_peering(const struct tgw_attachment *attachment)
{
	return !strcmp(attachment->type, "peering");
}

/* Both ends of a peering of transit gateways have one id: the port of each end says whose it is. */
static void name_end(const struct tgw_attachment *attachment, char id[ID_MAX])
{
	(void)snprintf(id, ID_MAX, "%.31s@%.31s", attachment->id, attachment->tgw_id);
}

/* The uplink that carries an attachment: its own, or that of the VPN connection behind it. "" = none here */
static const char *uplink_of(const struct image_work *work, const struct tgw_attachment *attachment)
{
	if (has_uplink(work, attachment->id))
		return attachment->id;
	return has_uplink(work, attachment->resource) ? attachment->resource : "";
}

static const struct tgw_attachment *attachment_of(const struct image_work *work, const char *id, const struct tgw *tgw)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_tgw_attachments; i++)
		if (extra->tgw_attachments[i].tgw == tgw && !strcmp(extra->tgw_attachments[i].id, id))
			return extra->tgw_attachments + i;
	return NULL;
}

static const struct tgw_attachment *other_end(const struct image_work *work, const struct tgw_attachment *attachment)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_tgw_attachments; i++) {
		const struct tgw_attachment *other = extra->tgw_attachments + i;

		if (other != attachment && is_peering(other) && usable(other) && other->tgw != attachment->tgw &&
		    !strcmp(other->id, attachment->id))
			return other;
	}
	return NULL;
}

static const struct tgw_table *table_called(const struct image_work *work, const char *id)
{
	const struct state_extra *extra = work_extra(work);

	return FIND_BY_ID(extra->tgw_tables, extra->nr_tgw_tables, id);
}

/* TGW-02. ret: NULL = what comes from there goes nowhere */
static const struct tgw_table *association_of(const struct image_work *work, const char *id, const struct tgw *tgw)
{
	const struct state_extra *extra = work_extra(work);
	const struct tgw_attachment *attachment = attachment_of(work, id, tgw);
	const struct tgw_table *table = attachment ? table_called(work, attachment->table) : NULL;

	for (size_t i = 0; !table && i < extra->nr_tgw_tables; i++)
		for (size_t k = 0; k < extra->tgw_tables[i].nr_associations; k++)
			if (extra->tgw_tables[i].tgw == tgw && !strcmp(extra->tgw_tables[i].associations[k], id))
				table = extra->tgw_tables + i;
	return table && table->available ? table : NULL;
}

/* ---- what a route leads to */

/* One attachment. ret: false = it cannot be used: a static route to it is a blackhole, a propagated one is withdrawn */
static bool resolve_one(const struct image_work *work, const struct tgw *tgw, const char *id, uint32_t *ret_kind,
			uint32_t *ret_port)
{
	const struct tgw_attachment *attachment = attachment_of(work, id, tgw), *other;
	const struct hop *hop = hop_of(work, GATEWAY_ATTACHMENT, id);
	char end[ID_MAX];

	*ret_port = IMAGE_NONE;
	if (hop && ((const struct tgw_vpc_attachment *)hop->object)->tgw == tgw) {
		*ret_kind = ROUTE_ATTACHMENT;
		*ret_port = hop->port;
		return true;
	}
	if (!attachment || !usable(attachment) || !strcmp(attachment->type, "vpc"))
		return false;
	other = is_peering(attachment) ? other_end(work, attachment) : NULL;
	if (other) {
		name_end(other, end);
		hop = hop_of(work, GATEWAY_TRANSIT, end);
		*ret_kind = hop ? ROUTE_ATTACHMENT : ROUTE_NOT_SERVED;
		*ret_port = hop ? hop->port : IMAGE_NONE;
		return true;
	}
	*ret_port = uplink_port_of(work, uplink_of(work, attachment));
	*ret_kind = *ret_port == IMAGE_NONE ? ROUTE_NOT_SERVED : ROUTE_UPLINK;
	return true;
}

/* TGW-09: never VPCs or peerings; VPN connections where the gateway allows it. */
static bool may_share(const struct tgw *tgw, const struct tgw_attachment *attachment)
{
	if (!strcmp(attachment->type, "vpc") || is_peering(attachment))
		return false;
	return tgw->vpn_ecmp || strcmp(attachment->type, "vpn") != 0;
}

/* The uplinks of this host that share a route, or that take its turn when one does not work. */
static struct uplinks uplinks_to(const struct image_work *work, const struct tgw_route *route, const struct tgw *tgw)
{
	struct uplinks uplinks = {};

	for (size_t i = 0; i < route->nr_attachments; i++) {
		const struct tgw_attachment *attachment = attachment_of(work, route->attachments[i], tgw);

		if (!attachment || !usable(attachment) || !*uplink_of(work, attachment))
			continue;
		uplinks_add(&uplinks, uplink_of(work, attachment));
		uplinks.ordered |= !may_share(tgw, attachment);
	}
	return uplinks;
}

static bool resolve(const struct image_work *work, const struct tgw *tgw, const struct tgw_route *route,
		    uint32_t *ret_kind, uint32_t *ret_port)
{
	const struct uplinks uplinks = uplinks_to(work, route, tgw);

	if (uplinks.nr > 1) {
		*ret_kind = route_by_uplinks(work, &uplinks, ret_port);
		return true;
	}
	for (size_t i = 0; i < route->nr_attachments; i++)
		if (resolve_one(work, tgw, route->attachments[i], ret_kind, ret_port) && *ret_kind != ROUTE_NOT_SERVED)
			return true;
	return route->nr_attachments && resolve_one(work, tgw, route->attachments[0], ret_kind, ret_port);
}

/* ---- route tables */

struct transit_work {
	struct image_work *work;
	const struct tgw_table *table;
	struct route_entry *entries;
	size_t nr, room;
};

static int add_entry(struct transit_work *transit, const struct route_entry *entry)
{
	if (transit->nr == transit->room) {
		size_t room = transit->room ? transit->room * 2 : 64;
		struct route_entry *entries = reallocarray(transit->entries, room, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		transit->entries = entries;
		transit->room = room;
	}
	transit->entries[transit->nr++] = *entry;
	return 0;
}

static enum transit_rank rank_of(const struct image_work *work, const char *id, const struct tgw *tgw)
{
	static const struct {
		const char *type;
		enum transit_rank rank;
	} ranks[] = {
		{"vpc", RANK_VPC}, {"direct-connect-gateway", RANK_DX}, {"connect", RANK_CONNECT}, {"vpn", RANK_VPN}};
	const struct tgw_attachment *attachment = attachment_of(work, id, tgw);

	if (hop_of(work, GATEWAY_ATTACHMENT, id))
		return RANK_VPC;
	for (size_t i = 0; attachment && i < sizeof(ranks) / sizeof(*ranks); i++)
		if (!strcmp(attachment->type, ranks[i].type))
			return ranks[i].rank;
	return RANK_OTHER;
}

static int add_route(struct transit_work *transit, const struct tgw_route *route)
{
	const char *first = route->nr_attachments ? route->attachments[0] : "";
	struct route_entry entry = {.cidr = route->cidr, .tie = first, .kind = ROUTE_BLACKHOLE, .target = IMAGE_NONE};
	const struct tgw *tgw = transit->table->tgw;
	int r = 0;

	entry.rank = route->prefix_list ? RANK_REFERENCE
		     : route->is_static ? RANK_STATIC
					: (int)rank_of(transit->work, first, tgw);
	if (!route->blackhole && !resolve(transit->work, tgw, route, &entry.kind, &entry.target) && !route->is_static)
		return 0;
	if (!route->prefix_list)
		return add_entry(transit, &entry);
	for (size_t i = 0; i < route->prefix_list->nr_entries && !r; i++) {
		entry.cidr = route->prefix_list->entries[i];
		r = add_entry(transit, &entry);
	}
	return r;
}

/* TGW-07: a CIDR that overlaps one of another attachment, propagated before, is not. */
static bool overlaps(const struct transit_work *transit, const struct cidr *cidr, const char *id)
{
	for (size_t i = 0; i < transit->nr; i++) {
		const struct route_entry *entry = transit->entries + i;

		if (entry->rank == RANK_VPC && strcmp(entry->tie, id) != 0 && cidr_overlaps(&entry->cidr, cidr))
			return true;
	}
	return false;
}

static int propagate_cidrs(struct transit_work *transit, const char *id, const struct cidr *cidrs, size_t nr)
{
	struct route_entry entry = {.rank = (int)rank_of(transit->work, id, transit->table->tgw), .tie = id};
	int r = 0;

	if (!resolve_one(transit->work, transit->table->tgw, id, &entry.kind, &entry.target))
		return 0;
	for (size_t i = 0; i < nr && !r; i++) {
		entry.cidr = cidrs[i];
		if (entry.rank != RANK_VPC || !overlaps(transit, cidrs + i, id))
			r = add_entry(transit, &entry);
	}
	return r;
}

static int propagate_vpc(struct transit_work *transit, const struct tgw_vpc_attachment *attachment)
{
	const struct vpc *vpc = attachment->vpc;
	int r = 0;

	for (size_t i = 0; i < vpc->nr_cidrs && !r; i++)
		if (vpc->cidrs[i].family == 4 || attachment->ipv6)
			r = propagate_cidrs(transit, attachment->id, vpc->cidrs + i, 1);
	return r;
}

/* What an attachment propagates by itself: the CIDRs of its VPC, the static prefixes of its VPN connection. */
static int propagate(struct transit_work *transit, const char *id)
{
	const struct state_extra *extra = work_extra(transit->work);
	const struct hop *hop = hop_of(transit->work, GATEWAY_ATTACHMENT, id);
	const struct tgw_attachment *attachment = attachment_of(transit->work, id, transit->table->tgw);
	const struct vpn_connection *connection = NULL;

	if (hop)
		return propagate_vpc(transit, hop->object);
	if (attachment && !strcmp(attachment->type, "vpn"))
		connection = FIND_BY_ID(extra->vpn_connections, extra->nr_vpn_connections, attachment->resource);
	if (!connection || !connection->available)
		return 0;
	return propagate_cidrs(transit, id, connection->routes, connection->nr_routes);
}

static int compile_table(struct image_work *work, const struct tgw_table *table, uint32_t *ret_index)
{
	struct transit_work transit = {.work = work, .table = table};
	int r = 0;

	for (size_t i = 0; i < table->nr_routes && !r; i++)
		r = add_route(&transit, table->routes + i);
	for (size_t i = 0; i < table->nr_propagations && !r; i++)
		r = propagate(&transit, table->propagations[i]);
	if (!r)
		r = add_table(work, table->id, transit.entries, transit.nr, ret_index);
	free(transit.entries);
	return r;
}

/* Compiled when first asked for; an attachment without a table gets none. */
static int transit_table(struct image_work *work, const struct tgw_table *table, uint32_t *ret_index)
{
	uint32_t *index;
	int r = 0;

	*ret_index = IMAGE_NONE;
	if (!table)
		return 0;
	index = work->known_transit + (table - work_extra(work)->tgw_tables);
	if (*index == IMAGE_NONE)
		r = compile_table(work, table, index);
	*ret_index = *index;
	return r;
}

/* ---- hops */

static int collect_groups(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t t = 0; t < extra->nr_tgw_tables; t++) {
		const struct tgw_table *table = extra->tgw_tables + t;

		for (size_t i = 0; table->tgw && i < table->nr_routes && !r; i++) {
			const struct uplinks uplinks = uplinks_to(work, table->routes + i, table->tgw);

			r = group_add(work, &uplinks, realm_of_tgw(work, table->tgw));
		}
	}
	return r;
}

static int collect_transits(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	char end[ID_MAX];
	int r = 0;

	for (size_t i = 0; i < extra->nr_tgw_attachments && !r; i++) {
		const struct tgw_attachment *attachment = extra->tgw_attachments + i;
		const char *uplink = uplink_of(work, attachment);

		if (!usable(attachment) || !strcmp(attachment->type, "vpc"))
			continue;
		if (*uplink) {
			r = hop_add(work, uplink, GATEWAY_TRANSIT, attachment);
		} else if (is_peering(attachment)) {
			name_end(attachment, end);
			r = hop_add(work, end, GATEWAY_TRANSIT, attachment);
		}
	}
	return r;
}

int transit_collect(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_tgw_vpc_attachments && !r; i++)
		if (usable_vpc(extra->tgw_vpc_attachments + i))
			r = hop_add(work, extra->tgw_vpc_attachments[i].id, GATEWAY_ATTACHMENT,
				    extra->tgw_vpc_attachments + i);
	if (!r)
		r = collect_transits(work);
	return r ? r : collect_groups(work);
}

static int compare_members(const void *a, const void *b, void *image)
{
	const struct image_subnet *subnets = ((const struct image *)image)->subnets;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (subnets[x].az != subnets[y].az)
		return subnets[x].az < subnets[y].az ? -1 : 1;
	return (x > y) - (x < y);
}

/* The data path keeps a tally of what is lost there for who asks (FL-27). */
static uint32_t logged(const struct image_work *work, const char *attachment, const struct tgw *tgw)
{
	for (size_t i = 0; i < work->state->nr_flow_logs; i++) {
		const struct flow_log *log = &work->state->flow_logs[i];

		if (log->active && (!strcmp(log->resource, attachment) || !strcmp(log->resource, tgw->id)))
			return GATEWAY_LOGGED;
	}
	return 0;
}

int fill_attachment(struct image_work *work, const struct tgw_vpc_attachment *attachment, struct image_gateway *gateway)
{
	if (attachment->nr_subnets > AZS_MAX)
		return work_refuse(work, "subnets of %s: more than %u", attachment->id, AZS_MAX);
	gateway->zone[0] = vpc_zone(attachment->vpc);
	gateway->realm = realm_of_vpc(work, attachment->vpc);
	gateway->flags = attachment->appliance_mode ? GATEWAY_APPLIANCE : 0;
	gateway->flags |= logged(work, attachment->id, attachment->tgw);
	if (attachment->tgw->sg_referencing && attachment->sg_referencing)
		gateway->flags |= GATEWAY_SG_REF;
	for (size_t i = 0; i < attachment->nr_subnets; i++)
		if (attachment->subnets[i]->vpc == attachment->vpc)
			gateway->members[gateway->nr++] =
				work->subnet_places[attachment->subnets[i] - work->state->subnets];
	qsort_r(gateway->members, gateway->nr, sizeof(*gateway->members), compare_members, work->image);
	for (uint32_t i = 0; i < gateway->nr; i++)
		gateway->members[AZS_MAX + i] = work->image->subnets[gateway->members[i]].az;
	return transit_table(work, association_of(work, attachment->id, attachment->tgw), &gateway->table[0]);
}

/* By any of them an answer may come. */
static void list_tunnels(const struct image_work *work, const struct tgw *tgw, struct image_gateway *gateway)
{
	const struct state_extra *extra = work_extra(work);

	for (size_t i = 0; i < extra->nr_tgw_attachments && gateway->nr < GATEWAY_MEMBERS_MAX; i++) {
		const struct tgw_attachment *attachment = extra->tgw_attachments + i;
		const char *uplink = uplink_of(work, attachment);

		if (attachment->tgw == tgw && usable(attachment) && *uplink)
			gateway->members[gateway->nr++] = uplink_port_of(work, uplink);
	}
}

int fill_transit(struct image_work *work, const struct tgw_attachment *attachment, struct image_gateway *gateway)
{
	gateway->realm = realm_of_tgw(work, attachment->tgw);
	gateway->flags = strcmp(attachment->type, "vpn") ? 0 : GATEWAY_VPN;
	gateway->flags |= logged(work, attachment->id, attachment->tgw);
	if (*uplink_of(work, attachment))
		list_tunnels(work, attachment->tgw, gateway);
	return transit_table(work, association_of(work, attachment->id, attachment->tgw), &gateway->table[0]);
}
