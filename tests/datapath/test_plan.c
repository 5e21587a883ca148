/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Metamorphic tests on real maps, with random states: the way to a state leaves no trace, order says nothing, twice is
 * once; a plan says what an apply then does; and what somebody else changed in the maps is found and put right (E2, E4,
 * E30). Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile/image.h"
#include "datapath/drift.h"
#include "datapath/internal.h"
#include "lib/maps_text.h"
#include "lib/world.h"
#include "plan/changes.h"

#define SECOND 1000000000ull

static const struct datapath_options private = {
	.replay = true, .flows_max = 1024, .policy_lines = 65536, .without = "xdp_rx"};

struct subject {
	struct world *world;
	struct image *image;
};

static struct subject subject_make(uint64_t seed, uint64_t order)
{
	struct subject subject = {.world = world_make(seed, order)};
	char *why = NULL;

	assert_int_equal(compile_image(&subject.world->state, &subject.world->state.hosts[0], &subject.image, &why), 0);
	return subject;
}

static void subject_done(struct subject *subject)
{
	image_free(&subject->image);
	world_free(subject->world);
}

static struct datapath *open_it(void)
{
	struct datapath *datapath = NULL;
	char *why = NULL;

	if (datapath_open(&private, &datapath, &why) < 0)
		fail_msg("%s", why);
	return datapath;
}

static struct apply_result apply(struct datapath *datapath, const struct image *image)
{
	struct apply_result result = {};
	char *why = NULL;

	if (datapath_apply(datapath, image, &result, &why) < 0)
		fail_msg("%s", why);
	return result;
}

static unsigned int rounds(unsigned int otherwise)
{
	const char *word = getenv("ENID_ROUNDS");

	return word ? (unsigned int)strtoul(word, NULL, 10) : otherwise;
}

/* ---- the way does not matter */

static void assert_same_maps(struct datapath *a, struct datapath *b, uint64_t seed)
{
	char *left = maps_text(a), *right = maps_text(b);

	if (strcmp(left, right) != 0) {
		size_t at = 0;

		while (left[at] == right[at])
			at++;
		while (at && left[at - 1] != '\n')
			at--;
		fail_msg("seed %llu: the maps differ at\n%.200s\n%.200s", (unsigned long long)seed, left + at,
			 right + at);
	}
	free(left);
	free(right);
}

/* Random states one after another, then one from scratch: the same maps, numbers aside (maps_text.h). */
static void the_way_leaves_no_trace(void **state)
{
	uint64_t seed = test_seed("way");
	struct datapath *walked = open_it();

	(void)state;
	for (uint64_t i = 0; i < rounds(2); i++) {
		struct subject last = subject_make(seed + i * 10 + 9, seed);
		struct datapath *fresh = open_it();

		for (uint64_t step = 0; step < 5; step++) {
			struct subject other = subject_make(seed + i * 10 + step, seed + step);

			(void)apply(walked, other.image);
			subject_done(&other);
		}
		(void)apply(walked, last.image);
		(void)apply(fresh, last.image);
		assert_same_maps(walked, fresh, seed + i * 10 + 9);
		assert_int_equal(apply(walked, last.image).kernel_writes, 0);
		datapath_close(&fresh);
		subject_done(&last);
	}
	datapath_close(&walked);
}

static void assert_same_memory(const struct mapping *a, const struct mapping *b)
{
	assert_int_equal(a->size, b->size);
	assert_true(!memcmp(a->at, b->at, a->size));
}

/* From scratch the same lists in another order give the same bytes, numbers and lines included; and applied over the
 * first they write nothing. */
static void order_says_nothing(void **state)
{
	uint64_t seed = test_seed("order");

	(void)state;
	for (uint64_t i = 0; i < rounds(1); i++) {
		struct subject a = subject_make(seed + i, 1), b = subject_make(seed + i, 2);
		struct datapath *left = open_it(), *right = open_it();

		(void)apply(left, a.image);
		(void)apply(right, b.image);
		assert_same_memory(&left->ports, &right->ports);
		assert_same_memory(&left->subnets, &right->subnets);
		assert_same_memory(&left->gateways, &right->gateways);
		assert_same_memory(&left->policy, &right->policy);
		assert_same_maps(left, right, seed + i);
		assert_int_equal(apply(left, b.image).kernel_writes, 0);
		datapath_close(&left);
		datapath_close(&right);
		subject_done(&a);
		subject_done(&b);
	}
}

/* ---- what a plan says */

struct dump {
	uint8_t *keys, *values;
	size_t nr, key_size, value_size;
};

static struct dump dump_map(struct datapath *datapath, const char *map, size_t key_size, size_t value_size)
{
	struct dump dump = {.key_size = key_size, .value_size = value_size};
	int fd = datapath_map_fd(datapath, map);
	uint8_t next[64];

	dump.keys = malloc(1 << 20);
	dump.values = malloc(1 << 20);
	while (!bpf_map_get_next_key(fd, dump.nr ? dump.keys + (dump.nr - 1) * key_size : NULL, next)) {
		assert_true((dump.nr + 1) * 64 < 1 << 20);
		memcpy(dump.keys + dump.nr * key_size, next, key_size);
		assert_int_equal(bpf_map_lookup_elem(fd, next, dump.values + dump.nr * value_size), 0);
		dump.nr++;
	}
	return dump;
}

static const uint8_t *dump_find(const struct dump *dump, const uint8_t *key)
{
	for (size_t i = 0; i < dump->nr; i++)
		if (!memcmp(dump->keys + i * dump->key_size, key, dump->key_size))
			return dump->values + i * dump->value_size;
	return NULL;
}

static const struct {
	enum plan_map map;
	size_t key_size, value_size;
} keyed[] = {
	{MAP_ADDRESSES, sizeof(struct address_key), sizeof(struct address)},
	{MAP_ASSOCIATIONS, sizeof(struct association_key), sizeof(struct association)},
	{MAP_MACS, sizeof(struct mac_key), sizeof(struct mac_owner)},
	{MAP_ROUTES4, sizeof(struct route4_key), sizeof(struct route)},
	{MAP_ROUTES6, sizeof(struct route6_key), sizeof(struct route)},
	{MAP_TABLES, sizeof(uint32_t), sizeof(struct table_version)},
};

#define KEYED (sizeof(keyed) / sizeof(*keyed))

static void compare_dumps(const struct dump *before, const struct dump *after, const struct map_change *said)
{
	uint32_t added = 0, updated = 0, deleted = 0;

	for (size_t i = 0; i < after->nr; i++) {
		const uint8_t *old = dump_find(before, after->keys + i * after->key_size);

		added += !old;
		updated += old && memcmp(old, after->values + i * after->value_size, after->value_size) != 0;
	}
	for (size_t i = 0; i < before->nr; i++)
		deleted += !dump_find(after, before->keys + i * before->key_size);
	assert_int_equal(said->added, added);
	assert_int_equal(said->updated, updated);
	assert_int_equal(said->deleted, deleted);
	assert_int_equal(said->before, before->nr);
	assert_int_equal(said->after, after->nr);
}

static uint32_t count_differing(const void *a, const void *b, size_t nr, size_t size)
{
	uint32_t differ = 0;

	for (size_t i = 0; i < nr; i++)
		differ += memcmp((const uint8_t *)a + i * size, (const uint8_t *)b + i * size, size) != 0;
	return differ;
}

static void assert_array(const void *before, const struct mapping *now, size_t size, const struct map_change *said)
{
	assert_int_equal(said->added + said->updated + said->deleted,
			 count_differing(before, now->at, now->size / size, size));
}

static void *copy_of(const struct mapping *mapping)
{
	void *copy = malloc(mapping->size);

	assert_non_null(copy);
	return memcpy(copy, mapping->at, mapping->size);
}

/* A byte for each line of the policy map: does an object lie there? */
static uint8_t *lines_used(const struct datapath *datapath)
{
	const struct placement *placement = &datapath->placement;
	uint8_t *used = calloc(datapath->policy.size / sizeof(struct policy_line), 1);

	assert_non_null(used);
	for (size_t i = 0; i < placement->nr_objects; i++)
		memset(used + placement->objects[i].line, 1, placement->objects[i].nr_lines);
	return used;
}

/* Objects never lie where one of before does; what is written lies in new ones. Takes `was`. */
static void compare_lines(const struct datapath *datapath, const void *before, uint8_t *was,
			  const struct map_change *said)
{
	uint8_t *is = lines_used(datapath);
	uint32_t added = 0, deleted = 0, first = 0, last = 0;

	for (size_t i = 0; i < datapath->policy.size / sizeof(struct policy_line); i++) {
		if (memcmp((const struct policy_line *)before + i, (const struct policy_line *)datapath->policy.at + i,
			   sizeof(struct policy_line)) != 0)
			assert_true(is[i] && !was[i]);
		added += is[i] && !was[i];
		deleted += was[i] && !is[i];
		first += was[i];
		last += is[i];
	}
	assert_int_equal(said->added, added);
	assert_int_equal(said->updated, 0);
	assert_int_equal(said->deleted, deleted);
	assert_int_equal(said->before, first);
	assert_int_equal(said->after, last);
	free(is);
	free(was);
}

/* Counted key by key, map by map. */
static void a_plan_says_what_an_apply_does(void **state)
{
	uint64_t seed = test_seed("plan");
	struct datapath *datapath = open_it();

	(void)state;
	for (uint64_t i = 0; i < rounds(12); i++) {
		struct subject subject = subject_make(seed + i / 3, seed + i);
		struct map_change said[PLAN_MAP_MAX];
		struct dump before[KEYED], after;
		void *ports = copy_of(&datapath->ports), *subnets = copy_of(&datapath->subnets),
		     *gateways = copy_of(&datapath->gateways), *policy = copy_of(&datapath->policy);
		uint8_t *lines = lines_used(datapath);
		uint32_t changed;

		for (size_t k = 0; k < KEYED; k++)
			before[k] = dump_map(datapath, plan_map_names[keyed[k].map], keyed[k].key_size,
					     keyed[k].value_size);
		assert_int_equal(datapath_plan(datapath, subject.image, said, &changed, NULL), 0);
		assert_int_equal(apply(datapath, subject.image).changed, changed);
		for (size_t k = 0; k < KEYED; k++) {
			after = dump_map(datapath, plan_map_names[keyed[k].map], keyed[k].key_size,
					 keyed[k].value_size);
			compare_dumps(&before[k], &after, &said[keyed[k].map]);
			free(before[k].keys);
			free(before[k].values);
			free(after.keys);
			free(after.values);
		}
		assert_array(ports, &datapath->ports, sizeof(struct port), &said[MAP_PORTS]);
		assert_array(subnets, &datapath->subnets, sizeof(struct subnet), &said[MAP_SUBNETS]);
		assert_array(gateways, &datapath->gateways, sizeof(struct gateway_slots), &said[MAP_GATEWAYS]);
		compare_lines(datapath, policy, lines, &said[MAP_POLICY]);
		if (i % 3)
			assert_int_equal(changed, 0);
		free(policy);
		free(ports);
		free(subnets);
		free(gateways);
		subject_done(&subject);
	}
	datapath_close(&datapath);
}

/* ---- drift */

static uint32_t one_round(struct drift *drift, const struct image *image)
{
	struct drift_found found = {};
	uint32_t repaired = 0;

	do {
		assert_int_equal(drift_slice(drift, image, SECOND, &found), 0);
		repaired += found.repaired;
	} while (!found.round_over);
	return repaired;
}

struct damage {
	struct datapath *datapath;
	struct dice dice;
};

static uint32_t number_in_use(struct damage *damage)
{
	return 1 + dice_below(&damage->dice, damage->datapath->placement.nr_ports - 1);
}

static void hurt_ports(struct damage *damage)
{
	struct port *port = (struct port *)damage->datapath->ports.at + number_in_use(damage);

	port->slot[dice_below(&damage->dice, 2)].sg_in ^= 1u << dice_below(&damage->dice, 16);
}

static void hurt_a_port_of_nobody(struct damage *damage)
{
	((struct port *)damage->datapath->ports.at)[PORTS_MAX - 1].slot[1].kind = PORT_ENI;
}

static void hurt_subnets(struct damage *damage)
{
	((struct subnet *)damage->datapath->subnets.at)[1].slot[dice_below(&damage->dice, 2)].table ^= 1;
}

static void hurt_gateways(struct damage *damage)
{
	((struct gateway_slots *)damage->datapath->gateways.at)[GATEWAYS_MAX - 1].slot[0].kind = GATEWAY_NAT;
}

static void hurt_policy(struct damage *damage)
{
	const struct placement *placement = &damage->datapath->placement;
	const struct placed_object *object =
		&placement->objects[dice_below(&damage->dice, (uint32_t)placement->nr_objects)];
	uint32_t line = object->line + dice_below(&damage->dice, object->nr_lines);

	((struct policy_line *)damage->datapath->policy.at)[line].w[dice_below(&damage->dice, 16)] ^= 0x10;
}

static void hurt_control(struct damage *damage)
{
	datapath_control(damage->datapath)->router_mac[dice_below(&damage->dice, 6)] ^= 2;
}

static void hurt_limits(struct damage *damage)
{
	datapath_control(damage->datapath)->half_open_max = 1;
}

static void hurt_secrets(struct damage *damage)
{
	datapath_control(damage->datapath)->secrets[dice_below(&damage->dice, 7)]++;
}

/* A key that there is: gone, or with another value; or one that there was never. */
static bool hurt_keys(struct damage *damage, size_t k, uint32_t how)
{
	int fd = datapath_map_fd(damage->datapath, plan_map_names[keyed[k].map]);
	uint8_t key[64] = {}, value[64], without[64];

	if (bpf_map_get_next_key(fd, NULL, key))
		return false; /* this world has none */
	assert_int_equal(bpf_map_lookup_elem(fd, key, value), 0);
	if (how == 0)
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
	if (how == 0 && !bpf_map_lookup_elem(fd, key, without) && !memcmp(value, without, keyed[k].value_size)) {
		assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
		return false; /* a route for more addresses says the same of these: nothing is amiss */
	}
	if (how == 1)
		value[0] ^= 1;
	if (how == 2)
		key[keyed[k].key_size - 1] ^= 0x5a; /* of a route: another address; its prefix is longer */
	if (how == 2 && (keyed[k].map == MAP_ROUTES4 || keyed[k].map == MAP_ROUTES6))
		*(uint32_t *)key = 8 * (uint32_t)keyed[k].key_size - 32;
	if (how)
		assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
	return true;
}

static void hurt_a_name(struct damage *damage)
{
	struct port_name name = {.id = "eni-of-somebody"};
	uint32_t number = number_in_use(damage);

	assert_int_equal(bpf_map_update_elem(datapath_map_fd(damage->datapath, "port_names"), &number, &name, BPF_ANY),
			 0);
}

static void (*const wounds[])(struct damage *damage) = {
	hurt_ports,   hurt_a_port_of_nobody, hurt_subnets, hurt_gateways, hurt_policy,
	hurt_control, hurt_limits,           hurt_secrets, hurt_a_name,
};

#define WOUNDS (sizeof(wounds) / sizeof(*wounds))

/* Each map, each kind of damage: found within a round, put right byte for byte, epochs raised, and then all is well. */
static void e30_drift_is_found_and_repaired(void **state)
{
	uint64_t seed = test_seed("drift");
	struct datapath *datapath = open_it();
	struct subject subject = subject_make(seed, seed);
	struct damage damage = {.datapath = datapath, .dice = {.at = seed}};
	struct drift *drift = NULL;
	char *sound;

	(void)state;
	(void)apply(datapath, subject.image);
	assert_int_equal(drift_open(datapath, &drift), 0);
	assert_int_equal(one_round(drift, subject.image), 0);
	sound = maps_text(datapath);
	for (size_t i = 0; i < WOUNDS + 3 * KEYED; i++) {
		struct control control = *(struct control *)datapath->control.at;
		uint32_t epoch = datapath->placement.ports[1].policy.epoch;
		char *healed;

		if (i < WOUNDS)
			wounds[i](&damage);
		else if (!hurt_keys(&damage, (i - WOUNDS) / 3, (uint32_t)(i - WOUNDS) % 3))
			continue;
		if (!one_round(drift, subject.image))
			fail_msg("damage %zu of seed %llu was not seen", i, (unsigned long long)seed);
		healed = maps_text(datapath);
		assert_string_equal(sound, healed);
		assert_memory_equal(control.secrets, ((struct control *)datapath->control.at)->secrets,
				    sizeof(control.secrets));
		if (i < 5 || i > WOUNDS)
			assert_true(datapath->placement.ports[1].policy.epoch > epoch);
		assert_int_equal(one_round(drift, subject.image), 0);
		assert_int_equal(apply(datapath, subject.image).kernel_writes, 0);
		free(healed);
	}
	free(sound);
	drift_close(&drift);
	subject_done(&subject);
	datapath_close(&datapath);
}

/* A state applied in the middle of a round: the walk begins again, and repairs nothing that is right. */
static void a_new_state_is_no_drift(void **state)
{
	uint64_t seed = test_seed("states");
	struct datapath *datapath = open_it();
	struct drift *drift = NULL;
	struct drift_found found;

	(void)state;
	assert_int_equal(drift_open(datapath, &drift), 0);
	for (uint64_t i = 0; i < rounds(10); i++) {
		struct subject subject = subject_make(seed + i, seed);

		(void)apply(datapath, subject.image);
		assert_int_equal(drift_slice(drift, subject.image, 0, &found), 0);
		assert_int_equal(found.repaired, 0);
		assert_int_equal(found.round_over, false);
		if (i % 2)
			assert_int_equal(one_round(drift, subject.image), 0);
		subject_done(&subject);
	}
	drift_close(&drift);
	datapath_close(&datapath);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_leaves_no_trace),        cmocka_unit_test(order_says_nothing),
		cmocka_unit_test(a_plan_says_what_an_apply_does), cmocka_unit_test(e30_drift_is_found_and_repaired),
		cmocka_unit_test(a_new_state_is_no_drift),
	};

	if (geteuid()) {
		puts("skipped: needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
