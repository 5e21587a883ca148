/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transit gateways: attachments, route tables, associations and propagations (TGW-01..TGW-16). */
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

static bool state_is(const json_t *json, const char *word)
{
	return !json_object_get(json, "State") || get_is(json, "State", word);
}

static struct tgw *find_tgw(struct load *load, const struct item *item, const char *id)
{
	struct tgw *tgw = FIND_EXTRA(load, tgws, id);

	if (!tgw && *id)
		state_warn(load, item, "", "TransitGatewayId %s is not in the state: not served", id);
	return tgw;
}

static void load_tgws(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->tgws = ARENA_ARRAY(load->arena, load->lists[LIST_TGWS].nr + 1, struct tgw);
	LIST_FOREACH (load, LIST_TGWS, item) {
		struct tgw *tgw = &extra->tgws[extra->nr_tgws++];
		const json_t *options = json_object_get(item->json, "Options");

		tgw->id = item->id;
		tgw->owner = get_text(load, item->json, "OwnerId");
		tgw->available = state_is(item->json, "available");
		tgw->vpn_ecmp = get_is(options, "VpnEcmpSupport", "enable");
		tgw->sg_referencing =
			get_is(options, "SecurityGroupReferencingSupport", "enable"); /* SG-17: off by default */
		tgw->multicast = get_is(options, "MulticastSupport", "enable");
		tgw->association_table = get_text(load, options, "AssociationDefaultRouteTableId");
		tgw->propagation_table = get_text(load, options, "PropagationDefaultRouteTableId");
	}
}

static void load_attachments(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->tgw_attachments =
		ARENA_ARRAY(load->arena, load->lists[LIST_TGW_ATTACHMENTS].nr + 1, struct tgw_attachment);
	LIST_FOREACH (load, LIST_TGW_ATTACHMENTS, item) {
		struct tgw_attachment *attachment = &extra->tgw_attachments[extra->nr_tgw_attachments++];
		const json_t *association = json_object_get(item->json, "Association");

		attachment->id = item->id;
		attachment->tgw_id = item->id2;
		attachment->tgw = find_tgw(load, item, item->id2);
		attachment->type = get_text(load, item->json, "ResourceType");
		attachment->resource = get_text(load, item->json, "ResourceId");
		attachment->owner = get_text(load, item->json, "ResourceOwnerId");
		attachment->available = state_is(item->json, "available");
		attachment->table = state_is(association, "associated")
					    ? get_text(load, association, "TransitGatewayRouteTableId")
					    : "";
	}
}

static void parse_vpc_attachment(struct load *load, struct item *item, struct tgw_vpc_attachment *attachment)
{
	const json_t *options = json_object_get(item->json, "Options");
	const json_t *list = json_object_get(item->json, "SubnetIds"), *element;
	size_t index;

	attachment->id = item->id;
	attachment->tgw = find_tgw(load, item, get_text(load, item->json, "TransitGatewayId"));
	attachment->vpc = find_vpc(load, item, get_text(load, item->json, "VpcId"), "the attachment is not served");
	attachment->available = state_is(item->json, "available");
	attachment->ipv6 = get_is(options, "Ipv6Support", "enable");
	attachment->appliance_mode = get_is(options, "ApplianceModeSupport", "enable");
	attachment->sg_referencing = !get_is(options, "SecurityGroupReferencingSupport", "disable"); /* SG-17: on */
	attachment->subnets = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct vpc_subnet *);
	json_array_foreach (list, index, element) {
		const char *id = json_string_value(element);
		struct vpc_subnet *subnet = id ? find_subnet(load, item, id, "no attachment there") : NULL;

		if (subnet)
			attachment->subnets[attachment->nr_subnets++] = subnet;
	}
}

static void load_vpc_attachments(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->tgw_vpc_attachments =
		ARENA_ARRAY(load->arena, load->lists[LIST_TGW_VPC_ATTACHMENTS].nr + 1, struct tgw_vpc_attachment);
	LIST_FOREACH (load, LIST_TGW_VPC_ATTACHMENTS, item)
		parse_vpc_attachment(load, item, &extra->tgw_vpc_attachments[extra->nr_tgw_vpc_attachments++]);
}

/* ---- route tables */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The attachments that a list names in a state that counts, sorted. ret: how many */
static size_t attachment_ids(struct load *load, const json_t *list, const char *state, const char ***ret)
{
	const char **ids = ARENA_ARRAY(load->arena, json_array_size(list) + 1, const char *);
	const json_t *json;
	size_t index, nr = 0;

	json_array_foreach (list, index, json) {
		const char *id = get_text(load, json, "TransitGatewayAttachmentId");

		if (*id && (!state || state_is(json, state)))
			ids[nr++] = id;
	}
	if (nr)
		qsort(ids, nr, sizeof(*ids), compare_text);
	*ret = ids;
	return nr;
}

static int compare_tgw_routes(const void *a, const void *b)
{
	const struct tgw_route *x = a, *y = b;
	int order = cidr_compare(&x->cidr, &y->cidr);

	if (!order && x->prefix_list && y->prefix_list)
		order = strcmp(x->prefix_list->id, y->prefix_list->id);
	return order ? order : y->is_static - x->is_static;
}

static bool parse_tgw_route(struct load *load, struct item *item, const json_t *json, struct tgw_route *route)
{
	if (!json_is_object(json))
		return false;
	if (!get_cidr(json, "DestinationCidrBlock", &route->cidr)) {
		state_error(load, item, "Routes", "DestinationCidrBlock is missing");
		return false;
	}
	route->is_static = !get_is(json, "Type", "propagated");
	route->blackhole = get_is(json, "State", "blackhole");
	route->nr_attachments =
		attachment_ids(load, json_object_get(json, "TransitGatewayAttachments"), NULL, &route->attachments);
	return true;
}

/* TransitGatewayPrefixListReferences of this table become static routes to a prefix list (TGW-05). */
static size_t parse_references(struct load *load, const char *table, struct tgw_route *routes)
{
	size_t nr = 0;

	LIST_FOREACH (load, LIST_TGW_PREFIX_REFERENCES, item) {
		struct tgw_route *route = &routes[nr];
		const char *attachment = get_text(load, json_object_get(item->json, "TransitGatewayAttachment"),
						  "TransitGatewayAttachmentId");

		if (strcmp(item->id, table) != 0)
			continue;
		route->prefix_list = FIND(load, prefix_lists, item->id2);
		route->is_static = true;
		route->blackhole = get_flag(item->json, "Blackhole", false);
		route->attachments = ARENA_ARRAY(load->arena, 1, const char *);
		route->attachments[0] = attachment;
		route->nr_attachments = *attachment != '\0';
		if (!route->prefix_list)
			state_warn(load, item, "", "PrefixListId %s is not in the state: the reference matches nothing",
				   item->id2);
		else
			nr++;
	}
	return nr;
}

static struct item *find_item(struct load *load, enum list_kind list, const char *id)
{
	LIST_FOREACH (load, list, item)
		if (!strcmp(item->id, id))
			return item;
	return NULL;
}

static void parse_tgw_table(struct load *load, struct item *item, struct tgw_table *table)
{
	struct item *routes = find_item(load, LIST_TGW_ROUTES, item->id);
	struct item *associations = find_item(load, LIST_TGW_ASSOCIATIONS, item->id);
	struct item *propagations = find_item(load, LIST_TGW_PROPAGATIONS, item->id);
	const json_t *list = routes ? json_object_get(routes->json, "Routes") : NULL, *json;
	size_t room = json_array_size(list) + load->lists[LIST_TGW_PREFIX_REFERENCES].nr + 1, index;

	table->id = item->id;
	table->tgw = find_tgw(load, item, get_text(load, item->json, "TransitGatewayId"));
	table->available = state_is(item->json, "available");
	table->default_association = get_flag(item->json, "DefaultAssociationRouteTable", false);
	table->default_propagation = get_flag(item->json, "DefaultPropagationRouteTable", false);
	table->routes = ARENA_ARRAY(load->arena, room, struct tgw_route);
	json_array_foreach (list, index, json)
		table->nr_routes += parse_tgw_route(load, routes, json, &table->routes[table->nr_routes]);
	table->nr_routes += parse_references(load, item->id, table->routes + table->nr_routes);
	if (table->nr_routes)
		qsort(table->routes, table->nr_routes, sizeof(*table->routes), compare_tgw_routes);
	if (associations)
		table->nr_associations = attachment_ids(load, json_object_get(associations->json, "Associations"),
							"associated", &table->associations);
	if (propagations)
		table->nr_propagations = attachment_ids(
			load, json_object_get(propagations->json, "TransitGatewayRouteTablePropagations"), "enabled",
			&table->propagations);
}

/* What is wrapped with the id of a table that nobody describes. */
static void warn_orphans(struct load *load)
{
	static const enum list_kind lists[] = {LIST_TGW_ROUTES, LIST_TGW_ASSOCIATIONS, LIST_TGW_PROPAGATIONS,
					       LIST_TGW_PREFIX_REFERENCES};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		LIST_FOREACH (load, lists[i], item)
			if (!FIND_EXTRA(load, tgw_tables, item->id))
				state_warn(load, item, "", "TransitGatewayRouteTableId %s is not in the state: ignored",
					   item->id);
}

void load_transit_gateways(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	load_tgws(load);
	load_attachments(load);
	load_vpc_attachments(load);
	extra->tgw_tables = ARENA_ARRAY(load->arena, load->lists[LIST_TGW_TABLES].nr + 1, struct tgw_table);
	LIST_FOREACH (load, LIST_TGW_TABLES, item)
		parse_tgw_table(load, item, &extra->tgw_tables[extra->nr_tgw_tables++]);
	warn_orphans(load);
}
