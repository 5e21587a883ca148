/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A route: its one destination (RT-17), its one target (RT-16), and whether that can be used (RT-28): a route whose
 * target is missing or unusable is a blackhole, whatever its State says. */
#include <stdio.h>
#include <string.h>

#include "state/cidr.h"
#include "state/routes.h"

struct route_place {
	struct load *load;
	struct item *item;
	const struct route_table *table;
	bool of_gateway;
	char path[32];
};

static const struct target_key {
	const char *name;
	enum target_kind kind;
} target_keys[] = {
	{"GatewayId", TARGET_OTHER}, /* the id decides */
	{"EgressOnlyInternetGatewayId", TARGET_EIGW},
	{"NatGatewayId", TARGET_NAT},
	{"NetworkInterfaceId", TARGET_ENI},
	{"VpcPeeringConnectionId", TARGET_PEERING},
	{"TransitGatewayId", TARGET_TGW},
	{"LocalGatewayId", TARGET_OTHER},
	{"CarrierGatewayId", TARGET_OTHER},
	{"CoreNetworkArn", TARGET_OTHER},
	{"OdbNetworkArn", TARGET_OTHER},
};

static enum target_kind gateway_kind(struct load *load, const char *id)
{
	static const struct {
		const char *prefix;
		enum target_kind kind;
	} prefixes[] = {{"igw-", TARGET_IGW}, {"eigw-", TARGET_EIGW}, {"vgw-", TARGET_VGW}, {"vpce-", TARGET_VPCE}};
	const struct gateway *gateway = FIND(load, gateways, id);

	if (!strcasecmp(id, "local"))
		return TARGET_LOCAL;
	if (gateway)
		return gateway->kind;
	if (FIND_EXTRA(load, endpoints, id))
		return TARGET_VPCE;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(id, prefixes[i].prefix, strlen(prefixes[i].prefix)))
			return prefixes[i].kind;
	return TARGET_OTHER;
}

/* RT-16. ret: false = two targets */
static bool parse_target(struct route_place *place, const json_t *json, struct vpc_route *route)
{
	const char *first = NULL;

	route->target = TARGET_NONE;
	route->target_id = "";
	for (size_t i = 0; i < sizeof(target_keys) / sizeof(*target_keys); i++) {
		const struct target_key *key = &target_keys[i];

		if (!json_object_get(json, key->name))
			continue;
		if (first) {
			state_error(place->load, place->item, place->path, "has two targets, %s and %s", first,
				    key->name);
			return false;
		}
		first = key->name;
		route->target_id = get_text(place->load, json, key->name);
		route->target = i ? key->kind : gateway_kind(place->load, route->target_id);
	}
	return true;
}

/* RT-17 */
static bool parse_destination(struct route_place *place, const json_t *json, struct vpc_route *route)
{
	struct load *load = place->load;
	bool has4 = json_object_get(json, "DestinationCidrBlock"),
	     has6 = json_object_get(json, "DestinationIpv6CidrBlock");
	bool has_list = json_object_get(json, "DestinationPrefixListId");

	if (has4 + has6 + has_list != 1) {
		state_error(
			load, place->item, place->path,
			"has %d of DestinationCidrBlock, DestinationIpv6CidrBlock, DestinationPrefixListId, not one",
			has4 + has6 + has_list);
		return false;
	}
	if (has_list) {
		route->destination = get_text(load, json, "DestinationPrefixListId");
		route->prefix_list = FIND(load, prefix_lists, route->destination);
		if (!route->prefix_list)
			state_warn(load, place->item, place->path,
				   "DestinationPrefixListId %s is not in the state: the route matches nothing",
				   route->destination);
	} else {
		const char *key = has4 ? "DestinationCidrBlock" : "DestinationIpv6CidrBlock";

		route->destination = get_text(load, json, key);
		get_cidr(json, key, &route->cidr);
	}
	return true;
}

/* RT-11, RT-12 */
static void parse_origin(const json_t *json, struct vpc_route *route)
{
	bool propagated =
		get_is(json, "Origin", "enablevgwroutepropagation") || get_is(json, "Origin", "advertisement");

	route->origin = propagated ? ORIGIN_PROPAGATED : route->target == TARGET_LOCAL ? ORIGIN_LOCAL : ORIGIN_STATIC;
	route->blackhole = get_is(json, "State", "blackhole");
	route->filtered = get_is(json, "State", "filtered");
}

/* ret: NULL = the gateway can be used by this table's VPC, else why not */
static const char *why_no_gateway(const struct route_place *place, const struct vpc_route *route)
{
	if (!route->gateway || route->gateway->kind != route->target)
		return "is not in the state";
	if (place->table->vpc && route->gateway->vpc != place->table->vpc)
		return "is not attached to this VPC"; /* IGW-08 */
	return NULL;
}

static const char *why_no_eni(const struct vpc_route *route)
{
	if (!route->eni)
		return "is not in the state";
	return route->eni->live ? NULL : "is not attached"; /* RT-16 */
}

/* Targets of state_extra: an object that is there and in a state that carries traffic. */
static const char *why_no_extra(struct load *load, const struct vpc_route *route)
{
	const struct nat_gateway *nat = FIND_EXTRA(load, nat_gateways, route->target_id);
	const struct peering *peering = FIND_EXTRA(load, peerings, route->target_id);
	const struct tgw *tgw = FIND_EXTRA(load, tgws, route->target_id);
	const struct vpc_endpoint *endpoint = FIND_EXTRA(load, endpoints, route->target_id);
	bool usable;

	if (route->target == TARGET_NAT)
		usable = nat && (nat->available || nat->draining); /* NAT-24 */
	else if (route->target == TARGET_PEERING)
		usable = peering && peering->active; /* PCX-01 */
	else if (route->target == TARGET_TGW)
		usable = tgw && tgw->available;
	else
		usable = endpoint && endpoint->available; /* EP-11 */
	if (usable)
		return NULL;
	return nat || peering || tgw || endpoint ? "is not available" : "is not in the state";
}

/* RT-28; what the State says already needs no warning. */
static void resolve_target(struct route_place *place, struct vpc_route *route)
{
	const char *why = NULL;

	route->eni = route->target == TARGET_ENI ? FIND(place->load, enis, route->target_id) : NULL;
	route->gateway = FIND(place->load, gateways, route->target_id);
	switch (route->target) {
	case TARGET_LOCAL:
		return;
	case TARGET_IGW:
	case TARGET_EIGW:
	case TARGET_VGW:
		why = why_no_gateway(place, route);
		break;
	case TARGET_ENI:
		why = why_no_eni(route);
		break;
	case TARGET_OTHER:
		why = "is of a kind that is not served";
		break;
	case TARGET_NONE:
		why = "is missing";
		break;
	default:
		why = why_no_extra(place->load, route);
	}
	if (why && !route->blackhole)
		state_warn(place->load, place->item, place->path, "target %s%s%s: the route to %s is a blackhole",
			   route->target_id, *route->target_id ? " " : "", why, route->destination);
	route->blackhole |= why != NULL;
}

/* RT-09 */
static bool check_reserved(struct route_place *place, const struct vpc_route *route)
{
	static const char *const reserved[] = {"169.254.168.0/22", "fd00:ec2::/32"};

	for (size_t i = 0; i < 2; i++) {
		struct cidr range;
		bool host_bits;

		if (cidr_parse(reserved[i], &range, &host_bits) || !cidr_contains(&range, &route->cidr))
			continue;
		state_error(place->load, place->item, place->path, "destination %s lies in the reserved range %s",
			    route->destination, reserved[i]);
		return false;
	}
	return true;
}

static bool is_subnet(struct load *load, const struct vpc *vpc, const struct cidr *cidr)
{
	for (size_t i = 0; i < load->state->nr_subnets; i++) {
		const struct vpc_subnet *subnet = &load->state->subnets[i];

		if (subnet->vpc != vpc)
			continue;
		if (!cidr_compare(&subnet->cidr4, cidr))
			return true;
		for (size_t j = 0; j < subnet->nr_cidrs6; j++)
			if (!cidr_compare(&subnet->cidrs6[j], cidr))
				return true;
	}
	return false;
}

/* The VPC CIDR that covers the destination, or NULL */
static const struct cidr *local_cidr(const struct route_table *table, const struct vpc_route *route)
{
	for (size_t i = 0; table->vpc && route->cidr.family && i < table->vpc->nr_cidrs; i++)
		if (cidr_contains(&table->vpc->cidrs[i], &route->cidr))
			return &table->vpc->cidrs[i];
	return NULL;
}

/* RT-05, RT-06, RT-19: inside the VPC's CIDRs a static route may lead only to middleboxes, and only for whole subnets
 * (a subnet that is gone leaves its route behind: harmless). */
static bool check_local(struct route_place *place, const struct vpc_route *route)
{
	const struct cidr *local = local_cidr(place->table, route);
	bool middlebox = route->target == TARGET_ENI || route->target == TARGET_VPCE ||
			 (route->target == TARGET_NAT && !place->of_gateway);
	char text[CIDR_TEXT_MAX];

	if (route->target == TARGET_LOCAL || route->target == TARGET_NONE || route->target == TARGET_OTHER)
		return true;
	if (route->origin != ORIGIN_STATIC)
		return true;
	if (place->of_gateway && (!middlebox || (place->table->vpc && !local))) {
		state_error(place->load, place->item, place->path,
			    "route to %s by %s: a gateway's table leads only to ENIs and endpoints inside the VPC",
			    route->destination, route->target_id);
		return false;
	}
	if (!local)
		return true;
	if (!middlebox) {
		state_error(place->load, place->item, place->path,
			    "route to %s by %s would override the local route %s", route->destination, route->target_id,
			    cidr_format(local, text));
		return false;
	}
	if (cidr_compare(local, &route->cidr) != 0 && !is_subnet(place->load, place->table->vpc, &route->cidr))
		state_warn(place->load, place->item, place->path, "destination %s is the CIDR of no subnet",
			   route->destination);
	return true;
}

bool parse_route(struct load *load, struct item *item, size_t index, const json_t *json,
		 const struct route_table *table, bool of_gateway, struct vpc_route *ret)
{
	struct route_place place = {.load = load, .item = item, .table = table, .of_gateway = of_gateway};
	struct vpc_route route = {};

	snprintf(place.path, sizeof(place.path), "Routes[%zu]", index);
	if (get_is(json, "GatewayId", "VpcLattice")) /* RT-16: a managed link-local service, out of scope */
		return false;
	if (!parse_destination(&place, json, &route) || !parse_target(&place, json, &route))
		return false;
	parse_origin(json, &route);
	if (route.cidr.family && !check_reserved(&place, &route))
		return false;
	if (!check_local(&place, &route))
		return false;
	resolve_target(&place, &route);
	*ret = route;
	return true;
}
