/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The random state itself. Object i of a list stands at place[i]: what is said does not depend on where it stands. */
#include <stdlib.h>
#include <string.h>

#include "lib/world.h"

#define VPCS     3
#define SUBNETS  8
#define GROUPS   9
#define NACLS    4
#define TABLES   6
#define ENIS     24
#define GATEWAYS 4
#define LISTS    5

/* Where each object stands: a permutation by the order seed. */
struct places {
	uint32_t vpc[VPCS], subnet[SUBNETS], group[GROUPS], nacl[NACLS], table[TABLES], eni[ENIS], gateway[GATEWAYS],
		list[LISTS];
};

#define PLACE(world, places, kind, n) \
	do { \
		for (uint32_t place_i = 0; place_i < (n); place_i++) \
			(places)->kind[place_i] = place_i; \
		world_shuffle((world), (places)->kind, (n), sizeof(uint32_t)); \
	} while (0)

static void place_all(struct world *world, struct places *places)
{
	PLACE(world, places, vpc, VPCS);
	PLACE(world, places, subnet, SUBNETS);
	PLACE(world, places, group, GROUPS);
	PLACE(world, places, nacl, NACLS);
	PLACE(world, places, table, TABLES);
	PLACE(world, places, eni, ENIS);
	PLACE(world, places, gateway, GATEWAYS);
	PLACE(world, places, list, LISTS);
}

static void allocate(struct world *world)
{
	struct state *state = &world->state;

	state->vpcs = world_alloc(world, state->nr_vpcs = VPCS, sizeof(*state->vpcs));
	state->subnets = world_alloc(world, state->nr_subnets = SUBNETS, sizeof(*state->subnets));
	state->groups = world_alloc(world, state->nr_groups = GROUPS, sizeof(*state->groups));
	state->nacls = world_alloc(world, state->nr_nacls = NACLS, sizeof(*state->nacls));
	state->tables = world_alloc(world, state->nr_tables = TABLES, sizeof(*state->tables));
	state->enis = world_alloc(world, state->nr_enis = ENIS, sizeof(*state->enis));
	state->gateways = world_alloc(world, state->nr_gateways = GATEWAYS, sizeof(*state->gateways));
	state->prefix_lists = world_alloc(world, state->nr_prefix_lists = LISTS, sizeof(*state->prefix_lists));
	state->hosts = world_alloc(world, state->nr_hosts = 2, sizeof(*state->hosts));
}

static int random_family(struct dice *dice)
{
	return dice_hit(dice, 50) ? 6 : 4;
}

static int random_protocol(struct dice *dice)
{
	static const int protocols[] = {6, 6, 6, 17, 17, 1, 58, PROTOCOL_ANY, 50, 132, 0, 255};

	return protocols[dice_below(dice, sizeof(protocols) / sizeof(*protocols))];
}

static int random_port(struct dice *dice)
{
	static const int ports[] = {0, 1, 22, 79, 80, 81, 443, 1023, 1024, 32768, 65534, 65535};

	return ports[dice_below(dice, sizeof(ports) / sizeof(*ports))];
}

/* What state.h allows for the protocol. */
static void random_range(struct dice *dice, int protocol, int *ret_from, int *ret_to)
{
	int a = random_port(dice), b = random_port(dice);

	*ret_from = 0;
	*ret_to = 65535;
	if (protocol == 1 || protocol == 58) {
		*ret_from = dice_hit(dice, 20) ? -1 : (int)dice_below(dice, 4) * 85;
		*ret_to = *ret_from == -1 || dice_hit(dice, 40) ? -1 : (int)dice_below(dice, 4) * 85;
	} else if ((protocol == 6 || protocol == 17) && dice_hit(dice, 80)) {
		*ret_from = a < b ? a : b;
		*ret_to = a < b ? b : a;
	}
}

static void make_lists(struct world *world, const struct places *places)
{
	for (uint32_t i = 0; i < LISTS; i++) {
		struct prefix_list *list = world->state.prefix_lists + places->list[i];

		list->id = world_text(world, "pl-%02u", i);
		list->nr_entries = dice_below(&world->dice, 12);
		list->entries = world_alloc(world, list->nr_entries, sizeof(*list->entries));
		for (size_t k = 0; k < list->nr_entries; k++)
			list->entries[k] = random_cidr(&world->dice, i & 1 ? 6 : 4);
		world_shuffle(world, list->entries, list->nr_entries, sizeof(*list->entries));
	}
}

static void make_vpcs(struct world *world, const struct places *places)
{
	for (uint32_t i = 0; i < VPCS; i++) {
		struct vpc *vpc = world->state.vpcs + places->vpc[i];

		vpc->id = world_text(world, "vpc-%02u", i);
		vpc->zone = i + 1;
		vpc->dns_support = i != 1;
		vpc->nr_cidrs = 2;
		vpc->cidrs = world_alloc(world, 2, sizeof(*vpc->cidrs));
		vpc->primary = vpc->cidrs[0] = world_cidr("10.0.0.0/16");
		vpc->cidrs[1] = world_cidr("2000::/56");
		vpc->cidrs[1].addr.bytes[5] = (uint8_t)i;
		world_shuffle(world, vpc->cidrs, 2, sizeof(*vpc->cidrs));
	}
}

static struct sg_peer random_peer(struct world *world, const struct places *places)
{
	struct dice *dice = &world->dice;
	struct sg_peer peer = {.peering = dice_hit(dice, 30) ? "pcx-01" : "", .rule_id = ""};
	uint32_t list = dice_below(dice, LISTS), group = dice_below(dice, GROUPS), kind = dice_below(dice, 10);

	if (dice_hit(dice, 40))
		peer.rule_id = world_text(world, "sgr-%u", dice_below(dice, 1000));
	if (kind < 5) {
		peer.kind = PEER_CIDR;
		peer.cidr = random_cidr(dice, random_family(dice));
	} else if (kind < 7) {
		peer.kind = PEER_PREFIX_LIST;
		peer.prefix_list = kind == 5 && !list ? NULL : world->state.prefix_lists + places->list[list];
	} else {
		peer.kind = PEER_GROUP;
		peer.group = group ? world->state.groups + places->group[group] : NULL;
	}
	return peer;
}

static struct sg_permission *random_permissions(struct world *world, const struct places *places, const char *key,
						size_t *ret_nr)
{
	struct dice *dice = &world->dice;
	size_t nr = dice_below(dice, 6);
	struct sg_permission *permissions = world_alloc(world, nr, sizeof(*permissions));

	for (size_t i = 0; i < nr; i++) {
		struct sg_permission *permission = permissions + i;

		permission->protocol = random_protocol(dice);
		random_range(dice, permission->protocol, &permission->from, &permission->to);
		permission->place = world_text(world, "%s[%zu]", key, i);
		permission->nr_peers = dice_below(dice, 4);
		permission->peers = world_alloc(world, permission->nr_peers, sizeof(*permission->peers));
		for (size_t k = 0; k < permission->nr_peers; k++)
			permission->peers[k] = random_peer(world, places);
	}
	*ret_nr = nr;
	return permissions;
}

static void make_groups(struct world *world, const struct places *places)
{
	for (uint32_t i = 0; i < GROUPS; i++) {
		struct security_group *group = world->state.groups + places->group[i];

		group->id = world_text(world, "sg-%02u", i);
		group->vpc = world->state.vpcs + places->vpc[i % VPCS];
		group->in = random_permissions(world, places, "IpPermissions", &group->nr_in);
		group->out = random_permissions(world, places, "IpPermissionsEgress", &group->nr_out);
		if (dice_hit(&world->dice, 30)) {
			group->nr_associated = 1;
			group->associated = world_alloc(world, 1, sizeof(*group->associated));
			group->associated[0] = world->state.vpcs + places->vpc[(i + 1) % VPCS];
		}
	}
}

static struct nacl_entry *random_entries(struct world *world, size_t *ret_nr)
{
	struct dice *dice = &world->dice;
	size_t nr = dice_below(dice, 25);
	struct nacl_entry *entries = world_alloc(world, nr, sizeof(*entries));
	int number = 0;

	for (size_t i = 0; i < nr; i++) {
		struct nacl_entry *entry = entries + i;

		entry->number = number += 1 + (int)dice_below(dice, 100);
		entry->allow = dice_hit(dice, 60);
		entry->protocol = random_protocol(dice);
		entry->cidr = random_cidr(dice, random_family(dice));
		random_range(dice, entry->protocol, &entry->from, &entry->to);
	}
	world_shuffle(world, entries, nr, sizeof(*entries));
	*ret_nr = nr;
	return entries;
}

void random_nacl(struct world *world, struct nacl *nacl, const char *id)
{
	nacl->id = id;
	nacl->in = random_entries(world, &nacl->nr_in);
	nacl->out = random_entries(world, &nacl->nr_out);
}

static void make_gateways(struct world *world, const struct places *places)
{
	static const enum target_kind kinds[GATEWAYS] = {TARGET_IGW, TARGET_IGW, TARGET_EIGW, TARGET_VGW};

	for (uint32_t i = 0; i < GATEWAYS; i++) {
		struct gateway *gateway = world->state.gateways + places->gateway[i];

		gateway->id = world_text(world, "gw-%02u", i);
		gateway->kind = kinds[i];
		gateway->vpc = dice_hit(&world->dice, 10) ? NULL : world->state.vpcs + places->vpc[i % VPCS];
	}
}

static struct vpc_route random_route(struct world *world, const struct places *places)
{
	struct dice *dice = &world->dice;
	struct vpc_route route = {.target = (enum target_kind)dice_below(dice, TARGET_NONE + 1)};
	uint32_t gateway = dice_below(dice, GATEWAYS), eni = dice_below(dice, ENIS), list = dice_below(dice, LISTS);

	route.origin = (enum route_origin[]){ORIGIN_STATIC, ORIGIN_STATIC, ORIGIN_PROPAGATED}[dice_below(dice, 3)];
	route.blackhole = dice_hit(dice, 5);
	route.filtered = dice_hit(dice, 5);
	if (dice_hit(dice, 50))
		route.target = dice_hit(dice, 70) ? TARGET_ENI : TARGET_IGW;
	if (route.target == TARGET_ENI && eni)
		route.eni = world->state.enis + places->eni[eni];
	if (route.target == TARGET_IGW || route.target == TARGET_EIGW || route.target == TARGET_VGW)
		route.gateway = world->state.gateways + places->gateway[gateway];
	route.target_id = world_text(world, "target-%u-%u-%u", route.target, eni, gateway);
	if (route.target == TARGET_LOCAL)
		route.origin = ORIGIN_LOCAL;
	if (route.origin == ORIGIN_STATIC && dice_hit(dice, 25)) {
		route.prefix_list = world->state.prefix_lists + places->list[list];
		route.destination = world_text(world, "pl-%02u", list);
	} else {
		route.cidr = random_cidr(dice, random_family(dice));
		route.destination = world_text(world, "written-%u", dice_below(dice, 100000));
	}
	return route;
}

/* A static destination is unique in its table (RT-26). */
static bool repeats(const struct vpc_route *routes, size_t nr, const struct vpc_route *route)
{
	for (size_t i = 0; i < nr; i++)
		if (routes[i].prefix_list == route->prefix_list && routes[i].cidr.prefixlen == route->cidr.prefixlen &&
		    (routes[i].origin == ORIGIN_PROPAGATED) == (route->origin == ORIGIN_PROPAGATED) &&
		    !memcmp(&routes[i].cidr.addr, &route->cidr.addr, sizeof(route->cidr.addr)) &&
		    routes[i].cidr.family == route->cidr.family)
			return true;
	return false;
}

static void make_tables(struct world *world, const struct places *places)
{
	for (uint32_t i = 0; i < TABLES; i++) {
		struct route_table *table = world->state.tables + places->table[i];
		size_t nr = dice_below(&world->dice, 30);

		table->id = world_text(world, "rtb-%02u", i);
		table->vpc = world->state.vpcs + places->vpc[i % VPCS];
		table->routes = world_alloc(world, nr, sizeof(*table->routes));
		for (size_t k = 0; k < nr; k++) {
			struct vpc_route route = random_route(world, places);

			if (!repeats(table->routes, table->nr_routes, &route))
				table->routes[table->nr_routes++] = route;
		}
		world_shuffle(world, table->routes, table->nr_routes, sizeof(*table->routes));
	}
}

static void make_subnets(struct world *world, const struct places *places)
{
	for (uint32_t i = 0; i < SUBNETS; i++) {
		struct vpc_subnet *subnet = world->state.subnets + places->subnet[i];
		uint32_t vpc = i % VPCS, table = dice_below(&world->dice, TABLES);

		subnet->id = world_text(world, "subnet-%02u", i);
		subnet->vpc = world->state.vpcs + places->vpc[vpc];
		subnet->cidr4 = world_cidr("10.0.0.0/24");
		subnet->cidr4.addr.bytes[14] = (uint8_t)i;
		subnet->bpa = (int)dice_below(&world->dice, 3);
		if (dice_hit(&world->dice, 70))
			subnet->nacl = world->state.nacls + places->nacl[dice_below(&world->dice, NACLS)];
		if (table % VPCS == vpc)
			subnet->table = world->state.tables + places->table[table];
	}
}

static void make_addresses(struct world *world, struct eni *eni, uint32_t i)
{
	eni->nr_addresses = 3;
	eni->addresses = world_alloc(world, 3, sizeof(*eni->addresses));
	eni->addresses[0] = (struct eni_address){.family = 4, .prefixlen = 32, .primary = true};
	eni->addresses[0].addr = eni->subnet->cidr4.addr;
	eni->addresses[0].addr.bytes[15] = (uint8_t)(i + 10);
	if (i % 3 == 0)
		eni->addresses[0].public_ip = (__be32)(0x0a0071cb + (i << 24));
	eni->addresses[1] = (struct eni_address){.family = 6, .prefixlen = 128};
	eni->addresses[1].addr = world_cidr("2000::/56").addr;
	eni->addresses[1].addr.bytes[15] = (uint8_t)i;
	eni->addresses[2] = (struct eni_address){.family = 4, .prefixlen = 28};
	eni->addresses[2].addr = eni->subnet->cidr4.addr;
	eni->addresses[2].addr.bytes[15] = (uint8_t)(i << 4);
	world_shuffle(world, eni->addresses, 3, sizeof(*eni->addresses));
}

static void make_enis(struct world *world, const struct places *places)
{
	struct dice *dice = &world->dice;

	for (uint32_t i = 0; i < ENIS; i++) {
		struct eni *eni = world->state.enis + places->eni[i];

		eni->id = world_text(world, "eni-%02u", i);
		eni->subnet = world->state.subnets + places->subnet[i % SUBNETS];
		eni->vpc = eni->subnet->vpc;
		eni->mac[5] = (uint8_t)(i + 1);
		eni->live = dice_hit(dice, 80);
		eni->routing = dice_hit(dice, 10);
		eni->check = !eni->routing;
		eni->groups = world_alloc(world, 3, sizeof(*eni->groups));
		eni->nr_groups = eni->routing ? 0 : dice_below(dice, 4);
		for (size_t g = 0; g < eni->nr_groups; g++)
			eni->groups[g] = world->state.groups + places->group[dice_below(dice, GROUPS)];
		world_shuffle(world, eni->groups, eni->nr_groups, sizeof(*eni->groups));
		eni->tcp_established_s = 432000;
		eni->udp_s = 30;
		eni->udp_stream_s = 180;
		make_addresses(world, eni, i);
	}
}

/* Two of three ENIs here, some on the other host, some nowhere. */
static void make_hosts(struct world *world, const struct places *places)
{
	struct host *here = world->state.hosts, *there = here + 1;

	here->id = "host-a";
	there->id = "host-b";
	here->ports = world_alloc(world, ENIS, sizeof(*here->ports));
	there->ports = world_alloc(world, ENIS, sizeof(*there->ports));
	for (uint32_t i = 0; i < ENIS; i++) {
		struct host_port port = {.eni = world->state.enis + places->eni[i], .device = ""};

		if (i % 3 != 2)
			here->ports[here->nr_ports++] = port;
		else if (i % 2)
			there->ports[there->nr_ports++] = port;
	}
	world_shuffle(world, here->ports, here->nr_ports, sizeof(*here->ports));
	here->nr_uplinks = 2;
	here->uplinks = world_alloc(world, 2, sizeof(*here->uplinks));
	for (uint32_t i = 0; i < 2; i++) {
		struct gateway *gateway = world->state.gateways + places->gateway[2 * i];

		here->uplinks[i] = (struct host_uplink){
			.gateway_id = gateway->id, .gateway = gateway, .device = "up0", .answer_neighbours = true};
	}
	world_shuffle(world, here->uplinks, 2, sizeof(*here->uplinks));
}

struct world *world_make(uint64_t seed, uint64_t order)
{
	struct world *world = world_empty(seed);
	struct places places;

	world->order.at = order;
	place_all(world, &places);
	allocate(world);
	make_lists(world, &places);
	make_vpcs(world, &places);
	make_groups(world, &places);
	for (uint32_t i = 0; i < NACLS; i++)
		random_nacl(world, world->state.nacls + places.nacl[i], world_text(world, "acl-%02u", i));
	make_gateways(world, &places);
	make_subnets(world, &places);
	make_enis(world, &places);
	make_tables(world, &places);
	make_hosts(world, &places);
	return world;
}
