/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NetworkInterfaces (ENI-01..ENI-14, CT-09). eni_addresses.c has their addresses. */
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/eni_addresses.h"
#include "state/load.h"

/* CT-09 */
#define TCP_ESTABLISHED_S 432000
#define UDP_S             30
#define UDP_STREAM_S      180

/* ENI-02, ENI-03, SG-24, JSON-09: what the type says; an unknown type goes by its groups. A network load balancer may
 * have groups or none. */
static bool is_routing(const char *type, bool has_groups)
{
	static const char *const routing[] = {"nat_gateway", "transit_gateway", "gateway_load_balancer",
					      "gateway_load_balancer_endpoint"};
	static const char *const compute[] = {"interface", "vpc_endpoint", "load_balancer", "lambda",
					      "efa",       "efa-only",     "trunk",         "branch"};

	for (size_t i = 0; i < sizeof(routing) / sizeof(*routing); i++)
		if (!strcmp(type, routing[i]))
			return true;
	for (size_t i = 0; i < sizeof(compute) / sizeof(*compute); i++)
		if (!strcmp(type, compute[i]))
			return false;
	return !has_groups;
}

static bool serves(const struct security_group *group, const struct vpc *vpc)
{
	for (size_t i = 0; i < group->nr_associated; i++)
		if (group->associated[i] == vpc)
			return true;
	return !group->vpc || !vpc || group->vpc == vpc;
}

static int compare_pointers(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b; /* into one array, sorted by id */

	return (x > y) - (x < y);
}

static void parse_groups(struct load *load, struct item *item, struct eni *eni)
{
	const json_t *list = json_object_get(item->json, "Groups"), *json;
	size_t index, nr = 0, kept = 0;

	eni->groups = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct security_group *);
	json_array_foreach (list, index, json) {
		const char *id = get_text(load, json, "GroupId");
		struct security_group *group = FIND(load, groups, id);

		if (!*id)
			continue;
		if (!group) {
			state_warn(load, item, "Groups", "GroupId %s is not in the state: it admits nothing", id);
			continue;
		}
		if (!serves(group, eni->vpc)) /* SG-20: what is attached stays enforced */
			state_warn(load, item, "Groups", "GroupId %s belongs to %s and is enforced here all the same",
				   id, group->vpc->id);
		eni->groups[nr++] = group;
	}
	if (nr)
		qsort(eni->groups, nr, sizeof(*eni->groups), compare_pointers);
	for (size_t i = 0; i < nr; i++)
		if (!kept || eni->groups[kept - 1] != eni->groups[i])
			eni->groups[kept++] = eni->groups[i];
	eni->nr_groups = kept;
	if (!eni->routing && !kept) /* SG-03 */
		state_warn(load, item, "", "has no security group of the state: nothing is admitted");
	if (eni->routing && kept)
		state_warn(load, item, "", "is of type %s: its security groups have no effect", eni->type);
}

/* ENI-01 */
static void parse_place(struct load *load, struct item *item, struct eni *eni)
{
	const char *vpc = get_text(load, item->json, "VpcId"), *subnet = get_text(load, item->json, "SubnetId");

	eni->vpc = find_vpc(load, item, vpc, "the ENI is not served");
	eni->subnet = find_subnet(load, item, subnet, "the ENI is not served");
	if (!*subnet)
		state_warn(load, item, "", "SubnetId is missing: the ENI is not served");
	if (!eni->vpc && !*vpc && eni->subnet)
		eni->vpc = eni->subnet->vpc;
	if (eni->vpc && eni->subnet && eni->subnet->vpc && eni->subnet->vpc != eni->vpc)
		state_error(load, item, "", "SubnetId %s is a subnet of %s, not of %s", subnet, eni->subnet->vpc->id,
			    eni->vpc->id);
}

/* ENI-11 */
static bool is_live(const json_t *json)
{
	const json_t *attachment = json_object_get(json, "Attachment");

	return (!json_object_get(json, "Status") || get_is(json, "Status", "in-use")) &&
	       (!json_object_get(attachment, "Status") || get_is(attachment, "Status", "attached"));
}

static void parse_timeouts(const json_t *json, struct eni *eni)
{
	const json_t *tracking = json_object_get(json, "ConnectionTrackingConfiguration");

	eni->tcp_established_s = (uint32_t)get_int(tracking, "TcpEstablishedTimeout", TCP_ESTABLISHED_S);
	eni->udp_s = (uint32_t)get_int(tracking, "UdpTimeout", UDP_S);
	eni->udp_stream_s = (uint32_t)get_int(tracking, "UdpStreamTimeout", UDP_STREAM_S);
}

static const char *name_tag(struct load *load, const json_t *json)
{
	const json_t *tag;
	size_t i;

	json_array_foreach (json_object_get(json, "TagSet"), i, tag) {
		if (get_is(tag, "Key", "Name"))
			return get_text(load, tag, "Value");
	}
	return "";
}

/* Whose ENI it is stands there only, in AWS's words: "... for Transit Gateway Attachment tgw-attach-0a1". */
static const char *transit_of(struct load *load, const json_t *json)
{
	static const char words[] = "Transit Gateway Attachment ";
	const char *found = strstr(get_text(load, json, "Description"), words);

	return found ? found + strlen(words) : "";
}

static void parse_eni(struct load *load, struct item *item, struct eni *eni)
{
	const json_t *json = item->json;
	const char *mac = get_text(load, json, "MacAddress");

	eni->id = item->id;
	eni->type = get_text(load, json, "InterfaceType");
	if (!*eni->type)
		eni->type = "interface";
	else if (!strcmp(eni->type, "natgateway")) /* JSON-09 */
		eni->type = "nat_gateway";
	eni->owner = get_text(load, json, "OwnerId");
	eni->instance = get_text(load, json_object_get(json, "Attachment"), "InstanceId");
	eni->name = name_tag(load, json);
	eni->transit = transit_of(load, json);
	eni->routing = is_routing(eni->type, json_array_size(json_object_get(json, "Groups")));
	eni->check = get_flag(json, "SourceDestCheck", !eni->routing);
	eni->deny_igw = get_flag(json, "DenyAllIgwTraffic", false);
	eni->live = is_live(json);
	if (*mac)
		(void)mac_parse(mac, eni->mac); /* cannot fail: checked by shape.c */
	parse_timeouts(json, eni);
	parse_place(load, item, eni);
	parse_groups(load, item, eni);
	parse_addresses(load, item, eni);
}

bool remake_eni(struct load *load, struct item *item, struct eni *eni)
{
	if (is_routing(eni->type, json_array_size(json_object_get(item->json, "Groups"))) != eni->routing)
		return false;
	eni->nr_groups = 0;
	eni->check = get_flag(item->json, "SourceDestCheck", !eni->routing);
	parse_timeouts(item->json, eni);
	parse_groups(load, item, eni);
	return true;
}

static int compare_macs(const void *a, const void *b)
{
	const struct eni *x = *(struct eni *const *)a, *y = *(struct eni *const *)b;
	int order;

	if (x->subnet != y->subnet)
		return x->subnet < y->subnet ? -1 : 1;
	order = memcmp(x->mac, y->mac, 6);
	return order ? order : strcmp(x->id, y->id);
}

/* Inside a subnet the MAC is the address (L2-04): it must be one ENI's. */
static void check_macs(struct load *load)
{
	static const uint8_t none[6];
	struct state *state = load->state;
	struct eni **by_mac = ARENA_ARRAY(load->arena, state->nr_enis + 1, struct eni *);
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_enis; i++)
		if (state->enis[i].subnet && memcmp(state->enis[i].mac, none, 6) != 0)
			by_mac[nr++] = &state->enis[i];
	if (nr)
		qsort(by_mac, nr, sizeof(*by_mac), compare_macs);
	for (size_t i = 1; i < nr; i++)
		if (by_mac[i]->subnet == by_mac[i - 1]->subnet && !memcmp(by_mac[i]->mac, by_mac[i - 1]->mac, 6))
			state_error(load, &load->lists[LIST_NETWORK_INTERFACES].item[by_mac[i] - state->enis], "",
				    "MacAddress is that of %s in the same subnet", by_mac[i - 1]->id);
}

void load_enis(struct load *load)
{
	struct items *items = &load->lists[LIST_NETWORK_INTERFACES];
	struct state *state = load->state;

	state->enis = ARENA_ARRAY(load->arena, items->nr + 1, struct eni);
	state->nr_enis = items->nr;
	for (size_t i = 0; i < items->nr; i++)
		parse_eni(load, &items->item[i], &state->enis[i]);
	check_macs(load);
	load_elastic_ips(load);
	check_address_owners(load);
}
