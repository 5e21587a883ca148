/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whole or nothing: each limit of the kernel's maps, met exactly and by one too many. What does not fit is refused by
 * the map's name, with what is needed and what there is, before anything is written: the placement stays as it is. */
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
#include "plan/changes.h"
#include "plan/plan.h"

#define IDS PORTS_MAX

static char ids[IDS][16]; /* in order, as an image has them */

static int make_ids(void **state)
{
	(void)state;
	for (int i = 0; i < IDS; i++)
		snprintf(ids[i], sizeof(ids[i]), "id-%05d", i);
	return 0;
}

static void *array(size_t nr, size_t size)
{
	void *made = calloc(nr + 1, size);

	assert_non_null(made);
	return made;
}

static void image_done(struct image *image)
{
	free(image->objects);
	free(image->tables);
	free(image->subnets);
	free(image->ports);
	free(image->gateways);
	free(image->addresses);
	free(image->associations);
	free(image->macs);
	*image = (struct image){};
}

/* ret: what the plan says of it; NULL = it fits. The placement is as it was, but where it fits and is committed. */
static char *refusal(struct placement *placement, struct image *image)
{
	struct placement before = *placement;
	struct plan *plan = NULL;
	char *why = NULL;
	int r = plan_make(placement, image, &plan, &why);

	assert_memory_equal(&before, placement, sizeof(before));
	if (r) {
		assert_int_equal(r, -ENOSPC);
		assert_null(plan);
		assert_non_null(why);
	} else {
		plan_commit(placement, plan);
		plan_free(&plan);
	}
	image_done(image);
	return why;
}

static void assert_says(char *why, const char *map, unsigned long long needed, unsigned long long limit)
{
	char numbers[2][24];

	assert_non_null(why);
	snprintf(numbers[0], sizeof(numbers[0]), "%llu", needed);
	snprintf(numbers[1], sizeof(numbers[1]), "%llu", limit);
	if (!strstr(why, map) || !strstr(why, numbers[0]) || !strstr(why, numbers[1]))
		fail_msg("'%s' does not name %s, %s and %s", why, map, numbers[0], numbers[1]);
	free(why);
}

static struct placement placement_of(uint32_t lines)
{
	struct placement placement;

	assert_int_equal(placement_init(&placement, lines), 0);
	assert_int_equal(placement_sort(&placement), 0);
	return placement;
}

/* ---- images of one kind of thing, as many as are asked for */

static struct image ports_of(size_t nr)
{
	struct image image = {.ports = array(nr, sizeof(*image.ports)), .nr_ports = nr};

	for (size_t i = 0; i < nr; i++)
		image.ports[i] = (struct image_port){.id = ids[i],
						     .device = "",
						     .kind = PORT_ENI,
						     .subnet = IMAGE_NONE,
						     .sg_in = IMAGE_NONE,
						     .sg_out = IMAGE_NONE};
	return image;
}

static struct image subnets_of(size_t nr)
{
	struct image image = {.subnets = array(nr, sizeof(*image.subnets)), .nr_subnets = nr};

	for (size_t i = 0; i < nr; i++)
		image.subnets[i] = (struct image_subnet){
			.id = ids[i], .nacl_in = IMAGE_NONE, .nacl_out = IMAGE_NONE, .table = IMAGE_NONE, .zone = 1};
	return image;
}

static struct image gateways_of(size_t nr)
{
	struct image image = ports_of(nr);

	image.gateways = array(nr, sizeof(*image.gateways));
	image.nr_gateways = nr;
	for (size_t i = 0; i < nr; i++) {
		image.gateways[i] = (struct image_gateway){.kind = GATEWAY_EGRESS, .table = {IMAGE_NONE, IMAGE_NONE}};
		memcpy(image.gateways[i].id, ids[i], sizeof(ids[i]));
		image.ports[i].hop = (uint32_t)i + 1;
	}
	return image;
}

static struct image tables_of(size_t nr, uint32_t salt)
{
	struct image image = {.tables = array(nr, sizeof(*image.tables)), .nr_tables = nr};

	for (size_t i = 0; i < nr; i++)
		image.tables[i].hash = (struct content_hash){{(uint32_t)i, salt}};
	return image;
}

static struct image object_of(uint32_t lines, uint32_t rules)
{
	struct image image = {.objects = array(1, sizeof(*image.objects)), .nr_objects = 1};

	image.objects[0] = (struct image_object){.hash = {{lines, rules}}, .nr_lines = lines, .nr_rules = rules};
	return image;
}

static struct image addresses_of(size_t nr, uint32_t zone)
{
	struct image image = ports_of(1);

	image.addresses = array(nr, sizeof(*image.addresses));
	image.nr_addresses = nr;
	for (size_t i = 0; i < nr; i++) {
		image.addresses[i].key.zone = zone;
		image.addresses[i].key.addr.ip4 = htonl((uint32_t)i);
	}
	return image;
}

static struct image associations_of(size_t nr, uint32_t zone)
{
	struct image image = ports_of(1);

	image.associations = array(nr, sizeof(*image.associations));
	image.nr_associations = nr;
	for (size_t i = 0; i < nr; i++)
		image.associations[i].key = (struct association_key){.zone = zone, .addr = htonl((uint32_t)i)};
	return image;
}

static struct image macs_of(size_t nr, uint8_t first)
{
	struct image image = subnets_of(1);

	image.ports = array(1, sizeof(*image.ports));
	image.ports[0] = (struct image_port){.id = ids[0],
					     .device = "",
					     .kind = PORT_ENI,
					     .subnet = IMAGE_NONE,
					     .sg_in = IMAGE_NONE,
					     .sg_out = IMAGE_NONE};
	image.nr_ports = 1;
	image.macs = array(nr, sizeof(*image.macs));
	image.nr_macs = nr;
	for (size_t i = 0; i < nr; i++) {
		image.macs[i].mac[0] = first;
		image.macs[i].mac[4] = (uint8_t)(i >> 8);
		image.macs[i].mac[5] = (uint8_t)i;
	}
	return image;
}

/* ---- the limits */

/* One that fits is taken, one more is refused; then the one that fits needs nothing. */
static void assert_limit(struct image (*make)(size_t), size_t most, const char *map)
{
	struct placement placement = placement_of(16);
	struct image image = make(most + 1), fits = make(most);

	assert_says(refusal(&placement, &image), map, most + 1, most);
	assert_null(refusal(&placement, &fits));
	image = make(most + 1);
	assert_says(refusal(&placement, &image), map, most + 1, most);
	placement_done(&placement);
}

static void e4_ports(void **state)
{
	(void)state;
	assert_limit(ports_of, PORTS_MAX - 1, "map ports");
}

static void e4_subnets(void **state)
{
	(void)state;
	assert_limit(subnets_of, SUBNETS_MAX - 1, "map subnets");
}

static void e4_gateways(void **state)
{
	(void)state;
	assert_limit(gateways_of, GATEWAYS_MAX - 1, "map gateways");
}

static void e4_route_tables(void **state)
{
	struct placement placement = placement_of(16);
	struct image image = tables_of(TABLES_MAX, 0), other = tables_of(TABLES_MAX - 1000, 0);

	(void)state;
	assert_says(refusal(&placement, &image), "map tables", TABLES_MAX, TABLES_MAX - 1);
	assert_null(refusal(&placement, &other));
	other = tables_of(1000, 1); /* old and new stand together until the flip */
	assert_says(refusal(&placement, &other), "map tables", TABLES_MAX, TABLES_MAX - 1);
	other = tables_of(999, 1);
	assert_null(refusal(&placement, &other));
	placement_done(&placement);
}

static void e4_routes(void **state)
{
	struct image_route route = {.target = IMAGE_NONE};
	struct placement placement = placement_of(16);
	struct image image;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		const char *map = family == 4 ? "map routes4" : "map routes6";

		route.cidr.family = family;
		image = tables_of(1, 7 + family);
		image.tables[0].routes = &route;
		image.tables[0].nr_routes = 1;
		placement.nr_routes4 = family == 4 ? ROUTES_MAX : 0;
		placement.nr_routes6 = family == 6 ? ROUTES_MAX : 0;
		assert_says(refusal(&placement, &image), map, ROUTES_MAX + 1, ROUTES_MAX);
	}
	placement.nr_routes6 = ROUTES_MAX - 1;
	image = tables_of(1, 13);
	image.tables[0].routes = &route;
	image.tables[0].nr_routes = 1;
	assert_null(refusal(&placement, &image));
	placement_done(&placement);
}

static void e4_lines_of_policy(void **state)
{
	struct placement placement = placement_of(101); /* line 0 is nobody's */
	struct image image = object_of(101, 1);

	(void)state;
	assert_says(refusal(&placement, &image), "map policy", 101, 100);
	image = object_of(60, 1);
	assert_null(refusal(&placement, &image));
	image = object_of(41, 1); /* beside the old one */
	assert_says(refusal(&placement, &image), "map policy", 41, 100);
	image = object_of(40, 1);
	assert_null(refusal(&placement, &image));
	placement_done(&placement);
}

static void e4_rule_numbers(void **state)
{
	struct placement placement = placement_of(101);
	struct image image = object_of(2, RULE_NUMBER_MAX);

	(void)state;
	assert_null(refusal(&placement, &image));
	image = object_of(2, 5);
	assert_says(refusal(&placement, &image), "rule numbers", 5, RULE_NUMBER_MAX);
	placement_done(&placement);
}

static void assert_entries(struct image (*make)(size_t, uint32_t), size_t most, const char *map)
{
	struct placement placement = placement_of(16);
	struct image image = make(most + 1, 1);

	assert_says(refusal(&placement, &image), map, most + 1, most);
	image = make(most, 1);
	assert_null(refusal(&placement, &image));
	image = make(1, 2); /* old and new stand together until the flip */
	assert_says(refusal(&placement, &image), map, most + 1, most);
	placement_done(&placement);
}

static struct image macs_by_zone(size_t nr, uint32_t zone)
{
	return macs_of(nr, (uint8_t)(2 * zone));
}

static void e4_entries(void **state)
{
	(void)state;
	assert_entries(addresses_of, ADDRESSES_MAX, "map addresses");
	assert_entries(associations_of, ASSOCIATIONS_MAX, "map associations");
	assert_entries(macs_by_zone, PORTS_MAX, "map macs");
}

/* What is told of a map follows the plan: nothing of a state that is in force, all of one that comes first. */
static void changes(void **state)
{
	struct map_change told[PLAN_MAP_MAX];
	struct placement placement = placement_of(16);
	struct image image = gateways_of(7);
	struct plan *plan = NULL;

	(void)state;
	assert_int_equal(plan_make(&placement, &image, &plan, NULL), 0);
	plan_changes(plan, &placement, told);
	assert_int_equal(told[MAP_PORTS].added, 7);
	assert_int_equal(told[MAP_PORT_NAMES].added, 7);
	assert_int_equal(told[MAP_GATEWAYS].added, 7);
	assert_int_equal(told[MAP_GATEWAYS].most, 7);
	assert_int_equal(told[MAP_CONTROL].updated, 1);
	plan_commit(&placement, plan);
	plan_free(&plan);
	assert_int_equal(plan_make(&placement, &image, &plan, NULL), 0);
	plan_changes(plan, &placement, told);
	for (int map = 0; map < PLAN_MAP_MAX; map++)
		assert_int_equal(told[map].added + told[map].updated + told[map].deleted, 0);
	assert_int_equal(told[MAP_GATEWAYS].after, 7);
	plan_free(&plan);
	image.nr_ports = image.nr_gateways = 3;
	assert_int_equal(plan_make(&placement, &image, &plan, NULL), 0);
	plan_changes(plan, &placement, told);
	assert_int_equal(told[MAP_PORTS].deleted, 4);
	assert_int_equal(told[MAP_PORT_NAMES].deleted, 0); /* P1 */
	assert_int_equal(told[MAP_GATEWAYS].after, 3);
	plan_free(&plan);
	image_done(&image);
	placement_done(&placement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e4_ports),        cmocka_unit_test(e4_subnets), cmocka_unit_test(e4_gateways),
		cmocka_unit_test(e4_route_tables), cmocka_unit_test(e4_routes),  cmocka_unit_test(e4_lines_of_policy),
		cmocka_unit_test(e4_rule_numbers), cmocka_unit_test(e4_entries), cmocka_unit_test(changes),
	};

	return cmocka_run_group_tests(tests, make_ids, NULL);
}
