/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Compiled route tables against a linear reading of RT-02..RT-13 and RT-28: random tables, addresses at every border.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "compile/image.h"
#include "lib/world.h"

#define WORLDS             400
#define QUESTIONS_A_SUBNET 400

struct answer {
	bool found;
	uint32_t kind;
	const char *target, *text;
};

struct reading {
	const struct route_table *table;
	const struct vpc *vpc;
	const struct host *host;
	const struct state *state;
	int family;
	const union addr *addr;
	/* the best so far */
	struct answer answer;
	int length, rank;
	const char *tie;
};

static bool reserved(int family, const union addr *addr)
{
	struct cidr four = world_cidr("169.254.168.0/22"), six = world_cidr("fd00:ec2::/32");

	return cidr_has(&four, family, addr) || cidr_has(&six, family, addr);
}

/* RT-04: is the block inside one of the VPC's? */
static bool inside_vpc(const struct reading *reading, const struct cidr *block)
{
	const struct vpc *vpc = reading->vpc;

	for (size_t i = 0; i < vpc->nr_cidrs; i++)
		if (vpc->cidrs[i].prefixlen <= block->prefixlen &&
		    cidr_has(&vpc->cidrs[i], block->family, &block->addr))
			return true;
	for (size_t i = 0; reading->table && i < reading->table->nr_routes; i++) {
		const struct vpc_route *route = reading->table->routes + i;

		if (route->target == TARGET_LOCAL && !route->filtered && !route->prefix_list &&
		    route->cidr.prefixlen <= block->prefixlen && cidr_has(&route->cidr, block->family, &block->addr))
			return true;
	}
	return false;
}

static const struct host_uplink *uplink_of(const struct reading *reading, const struct gateway *gateway)
{
	for (size_t i = 0; i < reading->host->nr_uplinks; i++)
		if (reading->host->uplinks[i].gateway == gateway)
			return reading->host->uplinks + i;
	return NULL;
}

/* Out by its own uplink, else by that of an internet gateway of the VPC. */
static struct answer by_egress_only(const struct reading *reading, struct answer answer, const struct gateway *gateway)
{
	const struct host_uplink *uplink = uplink_of(reading, gateway);

	for (size_t i = 0; !uplink && i < reading->state->nr_gateways; i++) {
		const struct gateway *other = reading->state->gateways + i;

		if (other->kind == TARGET_IGW && other->vpc == reading->vpc)
			uplink = uplink_of(reading, other);
	}
	answer.kind = uplink ? ROUTE_EIGW : ROUTE_NOT_SERVED;
	answer.target = uplink ? uplink->gateway_id : "";
	return answer;
}

static struct answer meaning(const struct reading *reading, const struct vpc_route *route)
{
	struct answer answer = {.found = true, .kind = ROUTE_BLACKHOLE, .target = "", .text = route->destination};
	const struct gateway *gateway = route->gateway;

	if (route->blackhole || route->target == TARGET_OTHER || route->target == TARGET_NONE)
		return answer;
	if (route->target == TARGET_LOCAL) {
		answer.kind = ROUTE_LOCAL;
	} else if (route->target == TARGET_ENI) {
		if (route->eni && route->eni->live && route->eni->vpc == reading->vpc) {
			answer.kind = ROUTE_ENI;
			answer.target = route->eni->id;
		}
	} else if (route->target == TARGET_IGW) {
		if (!gateway || gateway->vpc != reading->vpc)
			return answer;
		answer.kind = ROUTE_NOT_SERVED;
		for (size_t i = 0; i < reading->host->nr_uplinks; i++)
			if (reading->host->uplinks[i].gateway == gateway && gateway->kind == TARGET_IGW) {
				answer.kind = ROUTE_IGW;
				answer.target = gateway->id;
			}
	} else if (route->target == TARGET_VGW && gateway && gateway->vpc == reading->vpc) {
		answer.kind = gateway->kind == TARGET_VGW ? ROUTE_VGW : ROUTE_NOT_SERVED;
		answer.target = gateway->kind == TARGET_VGW ? gateway->id : "";
	} else if (route->target == TARGET_EIGW && gateway && gateway->vpc == reading->vpc) {
		answer = by_egress_only(reading, answer, gateway);
	} else if (route->target != TARGET_EIGW && route->target != TARGET_VGW) {
		answer.kind = ROUTE_NOT_SERVED; /* these worlds have no such objects */
	}
	return answer;
}

/* RT-02, RT-03: the longer prefix, then the better rank, then the lower id. */
static void consider(struct reading *reading, const struct cidr *block, int rank, const char *tie, struct answer answer)
{
	bool better = !reading->answer.found || block->prefixlen > reading->length;

	if (!cidr_has(block, reading->family, reading->addr) || reserved(block->family, &block->addr))
		return;
	if (reading->answer.found && block->prefixlen == reading->length)
		better = rank < reading->rank || (rank == reading->rank && strcmp(tie, reading->tie) < 0);
	if (!better)
		return;
	reading->answer = answer;
	reading->length = block->prefixlen;
	reading->rank = rank;
	reading->tie = tie;
}

static struct answer naive(struct reading *reading)
{
	struct answer local = {.found = true, .kind = ROUTE_LOCAL, .target = "", .text = NULL};

	for (size_t i = 0; reading->table && i < reading->table->nr_routes; i++) {
		const struct vpc_route *route = reading->table->routes + i;
		const struct prefix_list *list = route->prefix_list;
		bool propagated = route->origin == ORIGIN_PROPAGATED;

		if (route->filtered)
			continue;
		for (size_t k = 0; list && k < list->nr_entries; k++)
			consider(reading, list->entries + k, 2, list->id, meaning(reading, route));
		if (!list && !(propagated && inside_vpc(reading, &route->cidr)))
			consider(reading, &route->cidr, propagated ? 3 : 0, route->target_id, meaning(reading, route));
	}
	for (size_t i = 0; i < reading->vpc->nr_cidrs; i++)
		consider(reading, reading->vpc->cidrs + i, 1, "", local);
	if (reading->answer.found && reserved(reading->family, reading->addr)) /* RT-09 */
		return (struct answer){true, ROUTE_BLACKHOLE, "", NULL};
	return reading->answer;
}

static const struct image_route *longest(const struct image_table *table, int family, const union addr *addr)
{
	const struct image_route *best = NULL;

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct image_route *route = table->routes + i;

		if (!cidr_has(&route->cidr, family, addr) || (best && best->cidr.prefixlen > route->cidr.prefixlen))
			continue;
		/* one route for each destination */
		assert_true(!best || best->cidr.prefixlen != route->cidr.prefixlen);
		best = route;
	}
	return best;
}

static union addr random_address(struct dice *dice, const struct route_table *table, int *ret_family)
{
	static const char *const fixed[] = {"169.254.167.255/32", "169.254.168.0/32", "169.254.171.255/32",
					    "169.254.172.0/32",   "fd00:ec2::fd/128", "fd00:ec1:ffff::1/128",
					    "fd00:ec3::/128",     "2000:0:0:1::/64",  "10.0.255.255/32"};
	struct cidr near = random_cidr(dice, dice_hit(dice, 50) ? 6 : 4);

	if (dice_hit(dice, 10)) {
		near = world_cidr(fixed[dice_below(dice, 9)]);
	} else if (table && table->nr_routes && dice_hit(dice, 80)) {
		const struct vpc_route *route = table->routes + dice_below(dice, (uint32_t)table->nr_routes);
		const struct prefix_list *list = route->prefix_list;

		if (route->cidr.family)
			near = route->cidr;
		else if (list->nr_entries)
			near = list->entries[dice_below(dice, (uint32_t)list->nr_entries)];
	}
	*ret_family = near.family;
	return border_address(dice, &near);
}

static void check_address(const struct image *image, const struct image_table *table, struct reading *reading)
{
	struct answer wanted = naive(reading);
	const struct image_route *route = longest(table, reading->family, reading->addr);
	const char *target;

	assert_int_equal(route != NULL, wanted.found);
	if (!route)
		return;
	target = route->target == IMAGE_NONE ? "" : image->ports[route->target].id;
	assert_int_equal(route->kind, wanted.kind);
	assert_string_equal(target, wanted.target);
	assert_in_range(route->rule, 0, table->nr_rules - 1);
	if (wanted.text)
		assert_string_equal(table->rules[route->rule].text, wanted.text);
}

static void check_world(struct dice *dice, struct world *world, unsigned *kinds)
{
	struct image *image = NULL;
	char *why = NULL;

	assert_int_equal(compile_image(&world->state, world->state.hosts, &image, &why), 0);
	for (size_t i = 0; i < world->state.nr_subnets; i++) {
		const struct vpc_subnet *subnet = world->state.subnets + i;
		const struct image_table *table = NULL;

		for (size_t k = 0; k < image->nr_subnets; k++)
			if (!strcmp(image->subnets[k].id, subnet->id))
				table = image->tables + image->subnets[k].table;
		assert_non_null(table);
		for (int k = 0; k < QUESTIONS_A_SUBNET; k++) {
			struct reading reading = {.table = subnet->table,
						  .vpc = subnet->vpc,
						  .host = image->host,
						  .state = &world->state};
			union addr addr = random_address(dice, subnet->table, &reading.family);

			reading.addr = &addr;
			check_address(image, table, &reading);
			kinds[reading.answer.kind]++;
		}
	}
	image_free(&image);
}

static void tables_route_as_they_read(void **state)
{
	struct dice dice = {test_seed("route tables")};
	unsigned kinds[ROUTE_KINDS] = {};

	(void)state;
	for (int i = 0; i < WORLDS; i++) {
		struct world *world = world_make(dice.at + (uint64_t)i, dice.at);

		check_world(&dice, world, kinds);
		world_free(world);
	}
	/* The questions must hit routes of every kind, and none. */
	for (uint32_t kind = ROUTE_NONE; kind <= ROUTE_NOT_SERVED; kind++)
		assert_true(kinds[kind] > 500);
}

/* ---- single cases */

struct one_table {
	struct world *world;
	struct vpc vpc;
	struct route_table table;
	struct vpc_subnet subnet;
	struct host host;
	struct state state;
	struct image *image;
	const struct image_table *made;
};

static void compile_table(struct one_table *one, struct vpc_route *routes, size_t nr)
{
	char *why = NULL;

	one->world = world_empty(1);
	one->vpc = (struct vpc){.id = "vpc-1", .zone = 1, .nr_cidrs = 2};
	one->vpc.cidrs = world_alloc(one->world, 2, sizeof(*one->vpc.cidrs));
	one->vpc.cidrs[0] = world_cidr("10.0.0.0/16");
	one->vpc.cidrs[1] = world_cidr("2001:db8::/56");
	one->table = (struct route_table){.id = "rtb-1", .vpc = &one->vpc, .routes = routes, .nr_routes = nr};
	one->subnet = (struct vpc_subnet){.id = "subnet-1", .vpc = &one->vpc, .table = nr ? &one->table : NULL};
	one->host = (struct host){.id = "host-a"};
	one->state = (struct state){
		.vpcs = &one->vpc,
		.nr_vpcs = 1,
		.subnets = &one->subnet,
		.nr_subnets = 1,
		.tables = &one->table,
		.nr_tables = 1,
		.hosts = &one->host,
		.nr_hosts = 1,
	};
	assert_int_equal(compile_image(&one->state, &one->host, &one->image, &why), 0);
	one->made = one->image->tables;
}

static void done_table(struct one_table *one)
{
	image_free(&one->image);
	world_free(one->world);
}

static const struct image_route *route_to(const struct one_table *one, const char *address)
{
	int family;
	union addr addr = world_addr(address, &family);

	return longest(one->made, family, &addr);
}

static const char *text_of(const struct one_table *one, const struct image_route *route)
{
	return one->made->rules[route->rule].text;
}

static struct vpc_route route_by(const char *destination, enum target_kind target, enum route_origin origin)
{
	return (struct vpc_route){
		.cidr = world_cidr(destination),
		.destination = destination,
		.target = target,
		.target_id = "",
		.origin = origin,
	};
}

static void subnet_without_table_has_local_routes(void **state)
{
	struct one_table one;

	(void)state;
	compile_table(&one, NULL, 0);
	assert_int_equal(one.made->nr_routes, 2);
	assert_int_equal(route_to(&one, "10.0.255.255")->kind, ROUTE_LOCAL);
	assert_string_equal(text_of(&one, route_to(&one, "10.0.0.1")), "10.0.0.0/16");
	assert_string_equal(text_of(&one, route_to(&one, "2001:db8::1")), "2001:db8::/56");
	assert_string_equal(one.made->rules[0].id, "vpc-1");
	assert_null(route_to(&one, "10.1.0.0"));
	done_table(&one);
}

/* TV-16 */
static void propagated_route_inside_local_is_dropped(void **state)
{
	struct vpc_route routes[] = {
		route_by("10.0.2.0/24", TARGET_TGW, ORIGIN_PROPAGATED),
		route_by("10.0.0.0/16", TARGET_LOCAL, ORIGIN_LOCAL),
		route_by("10.0.0.0/8", TARGET_TGW, ORIGIN_PROPAGATED),
		route_by("10.0.0.0/16", TARGET_TGW, ORIGIN_PROPAGATED),
	};
	struct one_table one;

	(void)state;
	compile_table(&one, routes, 4);
	assert_int_equal(route_to(&one, "10.0.2.1")->kind, ROUTE_LOCAL);
	assert_int_equal(route_to(&one, "10.1.0.1")->kind, ROUTE_NOT_SERVED);
	done_table(&one);
}

/* RT-06; a propagated route inside is no better against it than against the local one. */
static void local_route_can_be_retargeted(void **state)
{
	struct vpc_route routes[] = {
		route_by("10.0.2.0/24", TARGET_TGW, ORIGIN_PROPAGATED),
		route_by("10.0.0.0/16", TARGET_NAT, ORIGIN_STATIC),
	};
	struct one_table one;

	(void)state;
	compile_table(&one, routes, 2);
	assert_int_equal(route_to(&one, "10.0.0.1")->kind, ROUTE_NOT_SERVED);
	assert_int_equal(route_to(&one, "10.0.2.1")->cidr.prefixlen, 16);
	assert_int_equal(route_to(&one, "2001:db8::1")->kind, ROUTE_LOCAL);
	done_table(&one);
}

/* RT-08 */
static void lowest_prefix_list_id_wins(void **state)
{
	struct cidr entry = world_cidr("192.0.2.0/24");
	struct prefix_list low = {.id = "pl-1", .entries = &entry, .nr_entries = 1};
	struct prefix_list high = {.id = "pl-2", .entries = &entry, .nr_entries = 1};
	struct vpc_route routes[] = {
		{.prefix_list = &high, .destination = "pl-2", .target = TARGET_TGW, .target_id = "tgw-1"},
		{.prefix_list = &low, .destination = "pl-1", .target = TARGET_OTHER, .target_id = "zzz"},
	};
	struct one_table one;

	(void)state;
	compile_table(&one, routes, 2);
	assert_string_equal(text_of(&one, route_to(&one, "192.0.2.9")), "pl-1");
	assert_int_equal(route_to(&one, "192.0.2.9")->kind, ROUTE_BLACKHOLE);
	done_table(&one);
}

/* RT-09 */
static void reserved_blocks_are_never_forwarded(void **state)
{
	struct vpc_route routes[] = {
		route_by("0.0.0.0/0", TARGET_TGW, ORIGIN_STATIC),
		route_by("169.254.169.0/24", TARGET_TGW, ORIGIN_STATIC),
		route_by("fd00:ec2::/48", TARGET_TGW, ORIGIN_STATIC),
	};
	struct one_table one;

	(void)state;
	compile_table(&one, routes, 3);
	assert_int_equal(route_to(&one, "169.254.169.1")->kind, ROUTE_BLACKHOLE);
	assert_string_equal(text_of(&one, route_to(&one, "169.254.171.255")), "169.254.168.0/22");
	assert_int_equal(route_to(&one, "169.254.172.0")->kind, ROUTE_NOT_SERVED);
	assert_null(route_to(&one, "fd00:ec2::1"));
	done_table(&one);
}

static void lattice_routes_are_ignored(void **state)
{
	struct vpc_route routes[] = {route_by("192.0.2.0/24", TARGET_OTHER, ORIGIN_STATIC)};
	struct one_table one;

	(void)state;
	routes[0].target_id = "VpcLattice";
	compile_table(&one, routes, 1);
	assert_null(route_to(&one, "192.0.2.1"));
	done_table(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_route_as_they_read),
		cmocka_unit_test(subnet_without_table_has_local_routes),
		cmocka_unit_test(propagated_route_inside_local_is_dropped),
		cmocka_unit_test(local_route_can_be_retargeted),
		cmocka_unit_test(lowest_prefix_list_id_wins),
		cmocka_unit_test(reserved_blocks_are_never_forwarded),
		cmocka_unit_test(lattice_routes_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
