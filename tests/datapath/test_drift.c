/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The watch over the maps while the state changes again and again. Needs root; says so and skips otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compile/image.h"
#include "datapath/drift.h"
#include "datapath/internal.h"
#include "lib/world.h"

#define SLICES_MAX  4000
#define LATE_SLICES 60
#define APPLY_EVERY 8 /* slices of 16 steps: ports alone take 512 */

static struct datapath *subject;
static struct world *worlds[2];
static struct image *images[2]; /* the same ENIs, under other rules */

static int set_up(void **state)
{
	const struct datapath_options options = {.flows_max = 1024, .policy_lines = 65536};
	uint64_t seed = test_seed("drift");
	char *why = NULL;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		worlds[i] = world_make(seed, seed);
		for (size_t k = 0; i && k < worlds[i]->state.nr_enis; k++)
			worlds[i]->state.enis[k].check = !worlds[i]->state.enis[k].check;
		for (size_t k = 0; i && k < worlds[i]->state.nr_tables; k++)
			for (size_t n = 0; n < worlds[i]->state.tables[k].nr_routes; n++)
				worlds[i]->state.tables[k].routes[n].blackhole = n % 2;
		assert_int_equal(compile_image(&worlds[i]->state, &worlds[i]->state.hosts[0], &images[i], &why), 0);
	}
	if (datapath_open(&options, &subject, &why) < 0)
		fail_msg("%s", why);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	datapath_close(&subject);
	for (size_t i = 0; i < 2; i++) {
		image_free(&images[i]);
		world_free(worlds[i]);
	}
	return 0;
}

static void apply(const struct image *image)
{
	struct apply_result result;
	uint32_t before = datapath_control(subject)->generation;

	assert_int_equal(datapath_apply(subject, image, &result, NULL), 0);
	assert_int_not_equal(datapath_control(subject)->generation, before);
}

/* What comes late in a round is reached, too. */
static void changes_do_not_starve_the_watch(void **state)
{
	const struct entry_class *class = &entry_classes[ENTRY_MAC];
	uint8_t key[ENTRY_KEY_MAX], value[2 * ENTRY_VALUE_MAX] = {};
	struct drift_found found = {};
	struct drift *drift = NULL;
	int fd = datapath_map_fd(subject, class->map), i;

	(void)state;
	apply(images[0]);
	assert_int_equal(drift_open(subject, &drift), 0);
	memset(key, 0xee, sizeof(key));
	assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
	for (i = 1; i < SLICES_MAX && !found.repaired; i++) {
		const struct image *image = images[i / APPLY_EVERY % 2];

		if (i % APPLY_EVERY == 0)
			apply(image);
		assert_int_equal(drift_slice(drift, image, 0, &found), 0);
	}
	assert_int_equal(found.repaired, 1);
	assert_string_equal(found.map, class->map);
	assert_true(bpf_map_lookup_elem(fd, key, value) < 0);
	printf("%d slices\n", i);
	drift_close(&drift);
}

static void set_element(const char *map, uint32_t key, uint32_t value)
{
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(subject, map), &key, &value, BPF_ANY), 0);
}

static uint32_t repairs(struct drift *drift, struct drift_carrier *carriers, size_t nr)
{
	struct drift_found found;

	assert_int_equal(drift_devices(drift, carriers, nr, &found), 0);
	return found.repaired;
}

/* In and out, near and far, too many and too few; a port that two devices claim is left alone. */
static void devices_are_what_was_told(void **state)
{
	uint32_t a, b, near_index = 700, far_index = DEVICES_NEAR + 5, port;
	struct drift_carrier told[2], twice[2];
	struct drift *drift = NULL;
	struct port *ports;

	(void)state;
	assert_int_equal(drift_open(subject, &drift), 0);
	assert_true(images[0]->nr_ports > 1);
	ports = subject->ports.at;
	a = datapath_port_number(subject, images[0]->ports[0].id);
	b = datapath_port_number(subject, images[0]->ports[1].id);
	assert_int_equal(datapath_set_device(subject, a, near_index, DELIVER_PEER), 0);
	assert_int_equal(datapath_set_device(subject, b, far_index, DELIVER_REDIRECT), 0);
	told[0] = (struct drift_carrier){far_index, b, DELIVER_REDIRECT};
	told[1] = (struct drift_carrier){near_index, a, DELIVER_PEER};
	assert_int_equal(repairs(drift, told, 2), 0);

	set_element("devices", 5, a);
	set_element("devices", near_index, b);
	set_element("devices_far", far_index + 4, a);
	assert_int_equal(bpf_map_delete_elem(datapath_map_fd(subject, "devices_far"), &far_index), 0);
	ports[a].ifindex = 9;
	ports[b].deliver = DELIVER_NOT;
	assert_int_equal(repairs(drift, told, 2), 6);
	assert_int_equal(repairs(drift, told, 2), 0);
	assert_int_equal(ports[a].ifindex, near_index);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(subject, "devices_far"), &far_index, &port), 0);
	assert_int_equal(port, b);

	twice[0] = (struct drift_carrier){near_index, a, DELIVER_PEER};
	twice[1] = (struct drift_carrier){near_index + 1, a, DELIVER_PEER};
	assert_int_equal(datapath_clear_device(subject, far_index), 0);
	assert_int_equal(repairs(drift, twice, 2), 0);
	drift_close(&drift);
}

/* How many slices one round takes while nothing changes. */
static int slices_of_a_round(struct drift *drift)
{
	struct drift_found found = {};
	int nr = 0;

	while (!found.round_over && nr < SLICES_MAX) {
		assert_int_equal(drift_slice(drift, images[0], 0, &found), 0);
		assert_int_equal(found.repaired, 0);
		nr++;
	}
	assert_true(found.round_over);
	return nr;
}

/* Keys that are met stand in the walk for one step more; what an apply has deleted meanwhile nobody else has put there.
 * Maps of keys are looked through at the end of a round. */
static void nobody_is_blamed_for_what_an_apply_took(void **state)
{
	struct drift_found found = {};
	struct drift *drift = NULL;
	int round, late, turn = 0;

	(void)state;
	apply(images[0]);
	assert_int_equal(drift_open(subject, &drift), 0);
	round = slices_of_a_round(drift);
	late = round > LATE_SLICES ? round - LATE_SLICES : 0;
	for (int i = 0; i < 3 * round; i++) {
		if (i % round >= late)
			apply(images[turn ^= 1]);
		assert_int_equal(drift_slice(drift, images[turn], 0, &found), 0);
		if (found.repaired)
			fail_msg("map %s", found.map);
	}
	if (!turn)
		apply(images[1]);
	drift_close(&drift);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_blamed_for_what_an_apply_took),
		cmocka_unit_test(changes_do_not_starve_the_watch),
		cmocka_unit_test(devices_are_what_was_told),
	};

	if (geteuid()) {
		printf("SKIP test_drift: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
