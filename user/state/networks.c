/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VpcPeeringConnections (PCX-01), NatGateways (NAT-15..NAT-24) and VpcEndpoints (EP-01..EP-11). */
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

static bool is_available(const json_t *json)
{
	return !json_object_get(json, "State") || get_is(json, "State", "available");
}

/* ---- peering */

static void parse_side(struct load *load, const json_t *json, struct peering_side *side)
{
	const json_t *set4 = json_object_get(json, "CidrBlockSet"), *set6 = json_object_get(json, "Ipv6CidrBlockSet");
	struct cidr *cidrs = ARENA_ARRAY(load->arena, json_array_size(set4) + json_array_size(set6) + 1, struct cidr);
	const json_t *element;
	size_t index, nr = 0;

	nr += get_cidr(json, "CidrBlock", &cidrs[nr]);
	json_array_foreach (set4, index, element)
		nr += get_cidr(element, "CidrBlock", &cidrs[nr]);
	json_array_foreach (set6, index, element)
		nr += get_cidr(element, "Ipv6CidrBlock", &cidrs[nr]);
	side->cidrs = cidrs;
	side->nr_cidrs = cidr_sort_unique(cidrs, nr);
	side->vpc_id = get_text(load, json, "VpcId");
	side->owner = get_text(load, json, "OwnerId");
	side->region = get_text(load, json, "Region");
	side->vpc = FIND(load, vpcs, side->vpc_id);
}

/* PCX-02: an active connection joins VPCs that do not overlap. */
static void check_peering(struct load *load, struct item *item, const struct peering *peering)
{
	const struct vpc *a = peering->requester.vpc, *b = peering->accepter.vpc;
	char text[CIDR_TEXT_MAX], other[CIDR_TEXT_MAX];

	if (!a || !b || !peering->active)
		return;
	for (size_t i = 0; i < a->nr_cidrs; i++)
		for (size_t j = 0; j < b->nr_cidrs; j++)
			if (cidr_overlaps(&a->cidrs[i], &b->cidrs[j]))
				state_warn(load, item, "", "joins VPCs that overlap: %s of %s and %s of %s",
					   cidr_format(&a->cidrs[i], text), a->id, cidr_format(&b->cidrs[j], other),
					   b->id);
}

void load_peerings(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->peerings = ARENA_ARRAY(load->arena, load->lists[LIST_PEERINGS].nr + 1, struct peering);
	LIST_FOREACH (load, LIST_PEERINGS, item) {
		struct peering *peering = &extra->peerings[extra->nr_peerings++];
		const json_t *status = json_object_get(item->json, "Status");

		peering->id = item->id;
		peering->active = get_is(status, "Code", "active");
		parse_side(load, json_object_get(item->json, "RequesterVpcInfo"), &peering->requester);
		parse_side(load, json_object_get(item->json, "AccepterVpcInfo"), &peering->accepter);
		check_peering(load, item, peering);
	}
}

/* ---- NAT gateways */

static int compare_nat_addresses(const void *a, const void *b)
{
	const struct nat_address *x = a, *y = b;

	if (x->primary != y->primary)
		return x->primary ? -1 : 1;
	if (x->private_ip != y->private_ip)
		return memcmp(&x->private_ip, &y->private_ip, sizeof(x->private_ip));
	return memcmp(&x->public_ip, &y->public_ip, sizeof(x->public_ip));
}

static void parse_nat_addresses(struct load *load, struct item *item, struct nat_gateway *nat)
{
	const json_t *list = json_object_get(item->json, "NatGatewayAddresses"), *json;
	size_t index;

	nat->addresses = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct nat_address);
	json_array_foreach (list, index, json) {
		struct nat_address *address = &nat->addresses[nat->nr_addresses];

		if (!json_is_object(json))
			continue;
		address->eni_id = get_text(load, json, "NetworkInterfaceId");
		address->eni = FIND(load, enis, address->eni_id);
		address->private_ip = get_ip4(json, "PrivateIp");
		address->public_ip = get_ip4(json, "PublicIp");
		address->az = get_text(load, json, "AvailabilityZone");
		address->primary = get_flag(json, "IsPrimary", json_array_size(list) == 1);
		address->usable = !json_object_get(json, "Status") || get_is(json, "Status", "succeeded");
		if (!address->eni && *address->eni_id)
			state_warn(load, item, "NatGatewayAddresses",
				   "NetworkInterfaceId %s is not in the state: not served", address->eni_id);
		nat->nr_addresses++;
	}
	if (nat->nr_addresses)
		qsort(nat->addresses, nat->nr_addresses, sizeof(*nat->addresses), compare_nat_addresses);
}

void load_nat_gateways(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->nat_gateways = ARENA_ARRAY(load->arena, load->lists[LIST_NAT_GATEWAYS].nr + 1, struct nat_gateway);
	LIST_FOREACH (load, LIST_NAT_GATEWAYS, item) {
		struct nat_gateway *nat = &extra->nat_gateways[extra->nr_nat_gateways++];
		const char *state = get_text(load, item->json, "State");

		nat->id = item->id;
		nat->vpc = find_vpc(load, item, get_text(load, item->json, "VpcId"), "the NAT gateway is not served");
		nat->subnet = find_subnet(load, item, get_text(load, item->json, "SubnetId"),
					  "the NAT gateway is not served");
		nat->state = *state ? state : "available";
		nat->available = !strcmp(nat->state, "available");
		nat->draining = !strcmp(nat->state, "deleting");
		nat->private_only = get_is(item->json, "ConnectivityType", "private");
		nat->regional = get_is(item->json, "AvailabilityMode", "regional");
		parse_nat_addresses(load, item, nat);
	}
}

/* ---- endpoints */

static enum endpoint_kind endpoint_kind(const json_t *json)
{
	if (get_is(json, "VpcEndpointType", "interface"))
		return ENDPOINT_INTERFACE;
	if (get_is(json, "VpcEndpointType", "gatewayloadbalancer"))
		return ENDPOINT_GWLB;
	return !json_object_get(json, "VpcEndpointType") || get_is(json, "VpcEndpointType", "gateway")
		       ? ENDPOINT_GATEWAY
		       : ENDPOINT_OTHER;
}

/* Objects of `array` that the ids name; a missing one gets a warning. ret: how many are in *ret_found */
static size_t find_all(struct load *load, struct item *item, const char *key, const void *array, size_t nr, size_t size,
		       void ***ret_found)
{
	const json_t *list = json_object_get(item->json, key), *element;
	void **found = ARENA_ARRAY(load->arena, json_array_size(list) + 1, void *);
	size_t index, nr_found = 0;

	json_array_foreach (list, index, element) {
		const char *id =
			json_string_value(json_is_object(element) ? json_object_get(element, "GroupId") : element);
		void *object = id ? state_find(array, nr, size, id) : NULL;

		if (object)
			found[nr_found++] = object;
		else if (id)
			state_warn(load, item, key, "%s is not in the state: ignored", id);
	}
	*ret_found = found;
	return nr_found;
}

#define FIND_ALL(load, item, key, list, ret) \
	find_all(load, item, key, (load)->state->list, (load)->state->nr_##list, sizeof(*(load)->state->list), \
		 (void ***)(ret))

void load_endpoints(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->endpoints = ARENA_ARRAY(load->arena, load->lists[LIST_ENDPOINTS].nr + 1, struct vpc_endpoint);
	LIST_FOREACH (load, LIST_ENDPOINTS, item) {
		struct vpc_endpoint *endpoint = &extra->endpoints[extra->nr_endpoints++];

		endpoint->id = item->id;
		endpoint->kind = endpoint_kind(item->json);
		endpoint->vpc = find_vpc(load, item, get_text(load, item->json, "VpcId"), "the endpoint is not served");
		endpoint->service = get_text(load, item->json, "ServiceName");
		endpoint->available = is_available(item->json);
		endpoint->nr_subnets = FIND_ALL(load, item, "SubnetIds", subnets, &endpoint->subnets);
		endpoint->nr_groups = FIND_ALL(load, item, "Groups", groups, &endpoint->groups);
		endpoint->nr_enis = FIND_ALL(load, item, "NetworkInterfaceIds", enis, &endpoint->enis);
	}
}

void link_tables(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	for (size_t i = 0; i < extra->nr_endpoints; i++)
		extra->endpoints[i].nr_tables = FIND_ALL(load, &load->lists[LIST_ENDPOINTS].item[i], "RouteTableIds",
							 tables, &extra->endpoints[i].tables);
	for (size_t i = 0; i < extra->nr_nat_gateways; i++) {
		const json_t *json = load->lists[LIST_NAT_GATEWAYS].item[i].json;

		extra->nat_gateways[i].table = FIND(load, tables, get_text(load, json, "RouteTableId"));
	}
}
