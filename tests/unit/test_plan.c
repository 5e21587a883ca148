/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pure difference: small images by hand, then random states one after another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/image.h"
#include "lib/world.h"
#include "plan/plan.h"

#define LINES 65536u
#define PORTS 6u

/* Two VPCs (zones 1 and 2). Zone 1: web and db in subnet s1, lb in s2, uplink igw. Zone 2: other in s3, uplink jgw. */
enum { DB, IGW, JGW, LB, OTHER, WEB }; /* index in image.ports: sorted by id */

struct scene {
	struct image image;
	struct policy_line lines[3][2];
	struct image_rule rules[3];
	struct image_object objects[3];
	struct image_route routes[2];
	struct image_rule route_rules[2];
	struct image_table tables[2];
	struct image_subnet subnets[3];
	struct image_port ports[PORTS];
	struct image_address addresses[8];
	struct image_association associations[2];
	struct image_mac macs[4];
	struct image_gateway gateways[2];
	struct placement placement;
	uint32_t epochs[PORTS]; /* before the last step, by index in image.ports */
};

static struct address_key key4(uint32_t zone, const char *text)
{
	struct address_key key;

	memset(&key, 0, sizeof(key));
	key.zone = zone;
	key.prefixlen = 32;
	key.addr.ip4 = inet_addr(text);
	return key;
}

static void add_objects(struct scene *scene)
{
	for (uint32_t i = 0; i < 3; i++) {
		scene->rules[i] = (struct image_rule){"sg-1", "IpPermissions[0]"};
		scene->objects[i] = (struct image_object){.hash = {{i + 1}},
							  .nr_lines = 2,
							  .lines = scene->lines[i],
							  .rules = &scene->rules[i],
							  .nr_rules = 1};
	}
	for (uint32_t i = 0; i < 2; i++) {
		scene->routes[i] = (struct image_route){
			.cidr = world_cidr("10.0.0.0/16"), .kind = ROUTE_LOCAL, .target = IMAGE_NONE};
		scene->route_rules[i] = (struct image_rule){"rtb-1", "10.0.0.0/16"};
		scene->tables[i] = (struct image_table){.hash = {{0x100 + i}},
							.routes = &scene->routes[i],
							.nr_routes = 1,
							.rules = &scene->route_rules[i],
							.nr_rules = 1};
	}
}

static void add_subnets(struct scene *scene)
{
	static const char *const ids[] = {"s1", "s2", "s3"};

	for (uint32_t i = 0; i < 3; i++)
		scene->subnets[i] = (struct image_subnet){.id = ids[i],
							  .nacl_in = 2,
							  .nacl_out = 2,
							  .table = i == 2,
							  .zone = i == 2 ? 2 : 1,
							  .net4 = inet_addr("10.0.0.0") + i,
							  .mask4 = inet_addr("255.255.255.0")};
}

static void add_ports(struct scene *scene)
{
	static const struct {
		const char *id;
		uint32_t kind, zone, subnet;
	} rows[PORTS] = {
		[DB] = {"db", PORT_ENI, 1, 0},
		[IGW] = {"igw", PORT_UPLINK, 1, IMAGE_NONE},
		[JGW] = {"jgw", PORT_UPLINK, 2, IMAGE_NONE},
		[LB] = {"lb", PORT_ENI, 1, 1},
		[OTHER] = {"other", PORT_ENI, 2, 2},
		[WEB] = {"web", PORT_ENI, 1, 0},
	};

	for (uint32_t i = 0; i < PORTS; i++) {
		bool eni = rows[i].kind == PORT_ENI;

		scene->ports[i] = (struct image_port){.id = rows[i].id,
						      .device = "",
						      .kind = rows[i].kind,
						      .flags = PORT_LIVE,
						      .zone = rows[i].zone,
						      .subnet = rows[i].subnet,
						      .sg_in = eni ? 0 : IMAGE_NONE,
						      .sg_out = eni ? 1 : IMAGE_NONE,
						      .identity = eni,
						      .mac = {2, 0, 0, 0, 0, (uint8_t)i}};
	}
}

static void add_entries(struct scene *scene)
{
	static const char *const addresses[] = {"10.0.0.10", "10.0.0.11", "10.0.1.10", "10.0.0.10"};
	static const uint32_t owners[] = {DB, WEB, LB, OTHER}, subnets[] = {0, 0, 1, 2};

	for (uint32_t i = 0; i < 4; i++) {
		scene->addresses[i] = (struct image_address){key4(i == 3 ? 2 : 1, addresses[i]), owners[i]};
		scene->macs[i] = (struct image_mac){.subnet = subnets[i], .port = owners[i]};
		memcpy(scene->macs[i].mac, scene->ports[owners[i]].mac, 6);
	}
	scene->associations[0] = (struct image_association){{0, inet_addr("203.0.113.1")}, WEB, inet_addr("10.0.0.11")};
	scene->associations[1] = (struct image_association){{1, inet_addr("10.0.0.11")}, WEB, inet_addr("203.0.113.1")};
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	add_objects(scene);
	add_subnets(scene);
	add_ports(scene);
	add_entries(scene);
	scene->image = (struct image){.router_mac = {2, 0x65, 0x6e, 0x69, 0x64, 1},
				      .objects = scene->objects,
				      .nr_objects = 3,
				      .tables = scene->tables,
				      .nr_tables = 2,
				      .subnets = scene->subnets,
				      .nr_subnets = 3,
				      .ports = scene->ports,
				      .nr_ports = PORTS,
				      .addresses = scene->addresses,
				      .nr_addresses = 4,
				      .associations = scene->associations,
				      .nr_associations = 2,
				      .macs = scene->macs,
				      .nr_macs = 4};
	*state = scene;
	return placement_init(&scene->placement, LINES);
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	placement_done(&scene->placement);
	free(scene);
	return 0;
}

static const struct port_policy *policy_of(const struct scene *scene, uint32_t port)
{
	return &scene->placement.ports[placement_port(&scene->placement, scene->ports[port].id)].policy;
}

/* Plan, remember the epochs, commit. The plan stays with the caller. */
static struct plan *step(struct scene *scene)
{
	struct plan *plan = NULL;
	char *why = NULL;

	for (uint32_t i = 0; i < PORTS; i++)
		scene->epochs[i] = policy_of(scene, i)->epoch;
	assert_int_equal(plan_make(&scene->placement, &scene->image, &plan, &why), 0);
	assert_null(why);
	return plan;
}

static void go(struct scene *scene)
{
	struct plan *plan = step(scene);

	plan_commit(&scene->placement, plan);
	plan_free(&plan);
}

/* Exactly the ports in `raised` (1 << index) got a new epoch by the last step. */
static void assert_raised(const struct scene *scene, uint32_t raised)
{
	for (uint32_t i = 0; i < PORTS; i++) {
		uint32_t expected = scene->epochs[i] + (raised >> i & 1);

		if (policy_of(scene, i)->epoch != expected)
			fail_msg("port %s has epoch %u, not %u", scene->ports[i].id, policy_of(scene, i)->epoch,
				 expected);
	}
}

#define ONLY(port) (1u << (port))
#define ZONE1      (ONLY(DB) | ONLY(WEB) | ONLY(LB) | ONLY(IGW))

static void plan_of_what_is_in_force_is_empty(void **state)
{
	struct scene *scene = *state;
	struct plan *plan = step(scene);

	assert_false(plan_is_empty(plan));
	assert_int_equal(plan->nr_objects, 3);
	assert_int_equal(plan->nr_tables, 2);
	assert_int_equal(plan->nr_ports, PORTS);
	plan_commit(&scene->placement, plan);
	plan_free(&plan);
	for (uint32_t i = 0; i < PORTS; i++)
		assert_int_equal(policy_of(scene, i)->epoch, 1);
	plan = step(scene);
	assert_true(plan_is_empty(plan));
	assert_int_equal(plan->changed, 0);
	plan_free(&plan);
}

static void group_rules_concern_their_enis_only(void **state)
{
	struct scene *scene = *state;

	go(scene);
	scene->ports[WEB].sg_in = 1;
	go(scene);
	assert_raised(scene, ONLY(WEB));
}

static void nacl_concerns_the_subnet(void **state)
{
	struct scene *scene = *state;

	go(scene);
	scene->subnets[0].nacl_in = 1;
	go(scene);
	assert_raised(scene, ONLY(WEB) | ONLY(DB));
}

static void route_table_concerns_the_subnet_and_old_routes_go(void **state)
{
	struct scene *scene = *state;
	struct plan *plan;

	go(scene);
	scene->tables[1].hash.w[0] = 0x200;
	scene->routes[1].kind = ROUTE_BLACKHOLE;
	plan = step(scene);
	assert_int_equal(plan->nr_tables, 1);
	assert_int_equal(plan->nr_old_tables, 1);
	assert_int_equal(plan->old_tables[0]->hash.w[0], 0x101);
	assert_int_not_equal(plan->old_tables[0]->number, plan->tables[0].number);
	assert_int_equal(plan->old_tables[0]->routes->nr, 1);
	plan_commit(&scene->placement, plan);
	plan_free(&plan);
	assert_raised(scene, ONLY(OTHER));
	assert_int_equal(scene->placement.nr_routes4, 2);
}

static void identity_concerns_the_zone(void **state)
{
	struct scene *scene = *state;

	go(scene);
	scene->ports[LB].identity = 77;
	go(scene);
	assert_raised(scene, ZONE1);
}

static void moved_address_concerns_the_zone(void **state)
{
	struct scene *scene = *state;
	struct plan *plan;

	go(scene);
	scene->addresses[0].port = LB;
	plan = step(scene);
	assert_int_equal(plan->nr_entries[ENTRY_ADDRESS], 1);
	assert_non_null(plan->entries[ENTRY_ADDRESS][0].old);
	assert_non_null(plan->entries[ENTRY_ADDRESS][0].new);
	plan_commit(&scene->placement, plan);
	plan_free(&plan);
	assert_raised(scene, ZONE1);
}

static void moved_public_address_concerns_both_enis_and_the_uplink(void **state)
{
	struct scene *scene = *state;

	go(scene);
	scene->associations[0].port = LB;
	go(scene);
	assert_raised(scene, ONLY(WEB) | ONLY(LB) | ONLY(IGW));
}

static void router_mac_concerns_all(void **state)
{
	struct scene *scene = *state;

	go(scene);
	scene->image.router_mac[5] = 9;
	go(scene);
	assert_raised(scene, (1u << PORTS) - 1);
}

static void removed_eni_keeps_its_number_and_its_epoch_grows(void **state)
{
	struct scene *scene = *state;
	struct plan *plan;
	uint32_t number;

	go(scene);
	number = placement_port(&scene->placement, "web");
	scene->image.nr_ports = PORTS - 1; /* web is the last one */
	scene->image.nr_associations = 0;
	scene->addresses[1] = scene->addresses[2];
	scene->addresses[2] = scene->addresses[3];
	scene->image.nr_addresses = 3;
	scene->macs[1] = scene->macs[3];
	scene->image.nr_macs = 3;
	plan = step(scene);
	for (size_t i = 0; i < plan->nr_ports; i++)
		assert_int_equal(plan->ports[i].fell, plan->ports[i].number == number);
	plan_commit(&scene->placement, plan);
	plan_free(&plan);
	assert_int_equal(placement_port(&scene->placement, "web"), number);
	assert_int_equal(policy_of(scene, WEB)->kind, PORT_NONE);
	assert_raised(scene, ZONE1);
	scene->image.nr_ports = PORTS; /* and back */
	go(scene);
	assert_int_equal(placement_port(&scene->placement, "web"), number);
	assert_int_equal(policy_of(scene, WEB)->epoch, 3);
}

static void detached_eni_falls(void **state)
{
	struct scene *scene = *state;
	struct plan *plan;

	go(scene);
	scene->ports[LB].flags = 0;
	plan = step(scene);
	for (size_t i = 0; i < plan->nr_ports; i++)
		assert_int_equal(plan->ports[i].fell, plan->ports[i].number == placement_port(&scene->placement, "lb"));
	plan_free(&plan);
}

/* A gateway that stands behind the port of the internet gateway of zone 1, and joins zones 1 and 2 if asked to. */
static void add_gateway(struct scene *scene, uint32_t second_zone)
{
	scene->gateways[0] = (struct image_gateway){
		.kind = GATEWAY_PEERING, .zone = {1, second_zone}, .table = {0, IMAGE_NONE}, .realm = 1};
	scene->ports[IGW].hop = 1;
	scene->image.gateways = scene->gateways;
	scene->image.nr_gateways = 1;
}

static const struct gateway_policy *gateway_behind(const struct scene *scene, uint32_t port)
{
	return &scene->placement.gateways[policy_of(scene, port)->hop];
}

static void gateway_has_a_number_and_its_table(void **state)
{
	struct scene *scene = *state;
	uint32_t number;

	go(scene);
	add_gateway(scene, 0);
	go(scene);
	assert_raised(scene, ZONE1);
	number = policy_of(scene, IGW)->hop;
	assert_int_not_equal(number, 0);
	assert_int_equal(gateway_behind(scene, IGW)->table[0],
			 placement_table(&scene->placement, &scene->tables[0].hash)->number);
	assert_int_equal(gateway_behind(scene, IGW)->table[1], 0);

	/* another one comes; the first keeps its number, the second gets one of its own */
	scene->gateways[1] = scene->gateways[0];
	scene->gateways[0] =
		(struct image_gateway){.kind = GATEWAY_EDGE, .zone = {2}, .table = {1, IMAGE_NONE}, .realm = 2};
	scene->ports[IGW].hop = 2;
	scene->ports[JGW].hop = 1;
	scene->image.nr_gateways = 2;
	go(scene);
	assert_int_equal(policy_of(scene, IGW)->hop, number);
	assert_int_not_equal(policy_of(scene, JGW)->hop, number);
	assert_int_equal(gateway_behind(scene, JGW)->kind, GATEWAY_EDGE);
	assert_raised(scene, ONLY(JGW) | ONLY(OTHER));

	scene->ports[IGW].hop = scene->ports[JGW].hop = 0;
	scene->image.nr_gateways = 0;
	go(scene);
	assert_int_equal(policy_of(scene, IGW)->hop, 0);
	assert_int_equal(scene->placement.gateways[number].kind, GATEWAY_NONE);
}

static void change_in_a_joined_zone_concerns_both(void **state)
{
	struct scene *scene = *state;

	add_gateway(scene, 2);
	go(scene);
	scene->ports[LB].identity = 77;
	go(scene);
	assert_raised(scene, ZONE1 | ONLY(OTHER) | ONLY(JGW));
	scene->gateways[0].zone[1] = 0; /* parted: those that were one realm are raised once more */
	go(scene);
	assert_raised(scene, ZONE1 | ONLY(OTHER) | ONLY(JGW));
	scene->ports[LB].identity = 78;
	go(scene);
	assert_raised(scene, ZONE1);
}

static void subnet_of_an_attachment_concerns_the_realm(void **state)
{
	struct scene *scene = *state;

	add_gateway(scene, 2);
	scene->gateways[0].kind = GATEWAY_ATTACHMENT;
	scene->gateways[0].nr = 1;
	scene->gateways[0].members[0] = 1;
	go(scene);
	assert_int_equal(gateway_behind(scene, IGW)->members[0], placement_subnet(&scene->placement, "s2"));
	scene->subnets[0].nacl_in = 1;
	go(scene);
	assert_raised(scene, ONLY(WEB) | ONLY(DB));
	scene->subnets[1].nacl_in = 1;
	go(scene);
	assert_raised(scene, ZONE1 | ONLY(OTHER) | ONLY(JGW));
}

static void full_policy_map_is_named(void **state)
{
	struct scene *scene = *state;
	struct placement before;
	struct plan *plan = NULL;
	char *why = NULL;

	placement_done(&scene->placement);
	assert_int_equal(placement_init(&scene->placement, 6), 0); /* 5 lines, 6 needed */
	before = scene->placement;
	assert_int_equal(plan_make(&scene->placement, &scene->image, &plan, &why), -ENOSPC);
	assert_non_null(strstr(why, "map policy is full"));
	assert_null(plan);
	assert_memory_equal(&before, &scene->placement, sizeof(before));
	assert_int_equal(arena_left(&scene->placement.lines), 5);
	free(why);
}

static void too_many_routes_are_refused_together_with_the_old_ones(void **state)
{
	struct scene *scene = *state;
	struct plan *plan = NULL;
	char *why = NULL;

	go(scene);
	scene->placement.nr_routes4 = ROUTES_MAX;
	scene->tables[0].hash.w[0] = 0x300;
	assert_int_equal(plan_make(&scene->placement, &scene->image, &plan, &why), -ENOSPC);
	assert_non_null(strstr(why, "map routes4 is full"));
	free(why);
}

/* ---- random states, one after another */

struct ranges {
	uint8_t *taken;
	uint32_t size;
};

static void take(struct ranges *ranges, uint32_t start, uint32_t length)
{
	for (uint32_t n = start; n < start + length; n++) {
		assert_true(n > 0 && n < ranges->size);
		assert_int_equal(ranges->taken[n], 0);
		ranges->taken[n] = 1;
	}
}

/* Nothing overlaps, and what is not in use is free: no line and no number leaks. */
static void check_ranges(const struct placement *placement)
{
	struct ranges lines = {calloc(LINES, 1), LINES}, rules = {calloc(1u << 24, 1), 1u << 24};
	uint64_t used_lines = 0, used_rules = 0;

	for (size_t i = 0; i < placement->nr_objects; i++) {
		const struct placed_object *object = &placement->objects[i];

		take(&lines, object->line, object->nr_lines);
		take(&rules, object->rule_base, object->nr_rules);
		used_lines += object->nr_lines;
		used_rules += object->nr_rules;
	}
	for (size_t i = 0; i < placement->nr_tables; i++) {
		take(&rules, placement->tables[i].rule_base, placement->tables[i].nr_rules);
		used_rules += placement->tables[i].nr_rules;
	}
	assert_int_equal(arena_left(&placement->lines), LINES - 1 - used_lines);
	assert_int_equal(arena_left(&placement->rules), RULE_NUMBER_MAX - used_rules);
	assert_int_equal(arena_left(&placement->table_numbers), TABLES_MAX - 1 - placement->nr_tables);
	free(lines.taken);
	free(rules.taken);
}

/* The placement says what the image says. */
static void check_image(const struct placement *placement, const struct image *image)
{
	assert_int_equal(placement->entries[ENTRY_ADDRESS].nr, image->nr_addresses);
	assert_int_equal(placement->entries[ENTRY_MAC].nr, image->nr_macs);
	for (size_t i = 0; i < image->nr_ports; i++) {
		const struct image_port *port = &image->ports[i];
		const struct port_policy *policy = &placement->ports[placement_port(placement, port->id)].policy;

		assert_int_equal(policy->kind, port->kind);
		assert_int_equal(policy->identity, port->identity);
		if (port->sg_in != IMAGE_NONE)
			assert_int_equal(policy->sg_in,
					 placement_object(placement, &image->objects[port->sg_in].hash)->line);
		if (port->subnet != IMAGE_NONE)
			assert_string_equal(placement->subnets[policy->subnet].id, image->subnets[port->subnet].id);
	}
	for (size_t i = 0; i < image->nr_subnets; i++) {
		const struct image_subnet *subnet = &image->subnets[i];
		uint32_t number = placement_subnet(placement, subnet->id);

		if (subnet->table != IMAGE_NONE)
			assert_int_equal(placement->subnets[number].policy.table,
					 placement_table(placement, &image->tables[subnet->table].hash)->number);
	}
}

/* P2, and: a policy that differs has a higher epoch. */
static void check_epochs(const struct placement *old, const struct placement *new)
{
	for (uint32_t number = 1; number < old->nr_ports; number++) {
		struct port_policy before = old->ports[number].policy, after = new->ports[number].policy;
		bool raised = after.epoch > before.epoch;

		assert_true(after.epoch == before.epoch || after.epoch == before.epoch + 1);
		before.epoch = after.epoch;
		if (memcmp(&before, &after, sizeof(before)) != 0)
			assert_true(raised);
	}
}

static void one_random_state(struct placement *placement, uint64_t seed)
{
	struct world *world = world_make(seed, seed);
	const struct host *host = &world->state.hosts[0];
	struct image *image = NULL;
	struct plan *plan = NULL;
	char *why = NULL;

	assert_true(world->state.nr_hosts > 0);
	assert_int_equal(compile_image(&world->state, host, &image, &why), 0);
	assert_int_equal(plan_make(placement, image, &plan, &why), 0);
	check_epochs(placement, &plan->next);
	plan_commit(placement, plan);
	plan_free(&plan);
	check_ranges(placement);
	check_image(placement, image);
	assert_int_equal(plan_make(placement, image, &plan, &why), 0);
	assert_true(plan_is_empty(plan));
	plan_free(&plan);
	image_free(&image);
	world_free(world);
}

static void random_states_are_reached_from_each_other(void **state)
{
	uint64_t seed = test_seed("plan");
	struct placement placement;

	(void)state;
	assert_int_equal(placement_init(&placement, LINES), 0);
	for (uint64_t i = 0; i < 60; i++)
		one_random_state(&placement, seed + i / 2 * 2 + (i % 4 == 3)); /* some come again */
	placement_done(&placement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plan_of_what_is_in_force_is_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(group_rules_concern_their_enis_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nacl_concerns_the_subnet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(route_table_concerns_the_subnet_and_old_routes_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(identity_concerns_the_zone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(moved_address_concerns_the_zone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(moved_public_address_concerns_both_enis_and_the_uplink, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(router_mac_concerns_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(removed_eni_keeps_its_number_and_its_epoch_grows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(detached_eni_falls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gateway_has_a_number_and_its_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(change_in_a_joined_zone_concerns_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(subnet_of_an_attachment_concerns_the_realm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(full_policy_map_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_many_routes_are_refused_together_with_the_old_ones, set_up,
						tear_down),
		cmocka_unit_test(random_states_are_reached_from_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
