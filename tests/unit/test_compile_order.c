/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same state in any order gives the same image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/image.h"
#include "lib/image_text.h"
#include "lib/world.h"

static struct image *compile(const struct state *state)
{
	struct image *image = NULL;
	char *why = NULL;

	assert_int_equal(compile_image(state, state->nr_hosts ? state->hosts : NULL, &image, &why), 0);
	return image;
}

static void e18_image_does_not_depend_on_order(void **state)
{
	uint64_t seed = test_seed("order");

	(void)state;
	for (uint64_t i = 0; i < 60; i++) {
		struct world *one = world_make(seed + i, 1), *two = world_make(seed + i, seed + i);
		struct image *image_one = compile(&one->state), *image_two = compile(&two->state);
		char *text_one = image_text(image_one), *text_two = image_text(image_two);

		assert_string_equal(text_one, text_two);
		free(text_one);
		free(text_two);
		image_free(&image_one);
		image_free(&image_two);
		world_free(one);
		world_free(two);
	}
}

static int compare_hashes(const struct content_hash *a, const struct content_hash *b)
{
	for (int i = 0; i < 4; i++)
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	return 0;
}

static void lists_are_sorted_and_distinct(void **state)
{
	uint64_t seed = test_seed("sorting");

	(void)state;
	for (uint64_t w = 0; w < 60; w++) {
		struct world *world = world_make(seed + w, w);
		struct image *image = compile(&world->state);

		for (size_t i = 1; i < image->nr_objects; i++)
			assert_true(compare_hashes(&image->objects[i - 1].hash, &image->objects[i].hash) < 0);
		for (size_t i = 1; i < image->nr_tables; i++)
			assert_true(compare_hashes(&image->tables[i - 1].hash, &image->tables[i].hash) < 0);
		for (size_t i = 1; i < image->nr_ports; i++)
			assert_true(strcmp(image->ports[i - 1].id, image->ports[i].id) < 0);
		for (size_t i = 1; i < image->nr_subnets; i++)
			assert_true(strcmp(image->subnets[i - 1].id, image->subnets[i].id) < 0);
		for (size_t i = 1; i < image->nr_addresses; i++)
			assert_memory_not_equal(&image->addresses[i - 1].key, &image->addresses[i].key,
						sizeof(struct address_key));
		image_free(&image);
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e18_image_does_not_depend_on_order),
		cmocka_unit_test(lists_are_sorted_and_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
