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
#include "lib/world.h"

static struct image *compile(const struct state *state)
{
	struct image *image = NULL;
	char *why = NULL;

	assert_int_equal(compile_image(state, state->nr_hosts ? state->hosts : NULL, &image, &why), 0);
	return image;
}

static void print_bytes(FILE *out, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x", ((const uint8_t *)bytes)[i]);
	fputc(' ', out);
}

static void print_rules(FILE *out, const struct image_rule *rules, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		fprintf(out, "  %s %s\n", rules[i].id, rules[i].text);
}

static void print_port(FILE *out, const struct image_port *port)
{
	fprintf(out, "%s %s %d %u %u %x %u %u %u %u %x %u %u %u %u %x %s ", port->id, port->device, port->hook,
		port->kind, port->mode, port->flags, port->zone, port->subnet, port->sg_in, port->sg_out,
		port->identity, port->tcp_established_s, port->udp_s, port->udp_stream_s, port->gateway, port->primary4,
		port->eni ? port->eni->id : "-");
	print_bytes(out, port->mac, 6);
}

/* All that an image says, as text. */
static char *print_image(const struct image *image)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < image->nr_objects; i++) {
		print_bytes(out, &image->objects[i].hash, sizeof(image->objects[i].hash));
		print_bytes(out, image->objects[i].lines, image->objects[i].nr_lines * sizeof(struct policy_line));
		print_rules(out, image->objects[i].rules, image->objects[i].nr_rules);
	}
	for (size_t i = 0; i < image->nr_tables; i++) {
		print_bytes(out, &image->tables[i].hash, sizeof(image->tables[i].hash));
		for (size_t k = 0; k < image->tables[i].nr_routes; k++) {
			const struct image_route *route = image->tables[i].routes + k;

			print_bytes(out, &route->cidr.addr, sizeof(route->cidr.addr));
			fprintf(out, "%u/%u %u %u %u\n", route->cidr.family, route->cidr.prefixlen, route->kind,
				route->target, route->rule);
		}
		print_rules(out, image->tables[i].rules, image->tables[i].nr_rules);
	}
	for (size_t i = 0; i < image->nr_subnets; i++) {
		const struct image_subnet *subnet = image->subnets + i;

		fprintf(out, "%s %u %u %u %u %x %x %x %x ", subnet->id, subnet->nacl_in, subnet->nacl_out,
			subnet->table, subnet->zone, subnet->net4, subnet->mask4, subnet->router4, subnet->resolver4);
		print_bytes(out, subnet->cidrs6, subnet->nr_cidrs6 * sizeof(*subnet->cidrs6));
	}
	for (size_t i = 0; i < image->nr_ports; i++)
		print_port(out, image->ports + i);
	for (size_t i = 0; i < image->nr_addresses; i++) {
		print_bytes(out, &image->addresses[i].key, sizeof(image->addresses[i].key));
		fprintf(out, "%u\n", image->addresses[i].port);
	}
	print_bytes(out, image->associations, image->nr_associations * sizeof(*image->associations));
	for (size_t i = 0; i < image->nr_macs; i++) {
		fprintf(out, "%u %u ", image->macs[i].subnet, image->macs[i].port);
		print_bytes(out, image->macs[i].mac, 6);
	}
	fclose(out);
	return text;
}

static void image_does_not_depend_on_order(void **state)
{
	uint64_t seed = test_seed("order");

	(void)state;
	for (uint64_t i = 0; i < 60; i++) {
		struct world *one = world_make(seed + i, 1), *two = world_make(seed + i, seed + i);
		struct image *image_one = compile(&one->state), *image_two = compile(&two->state);
		char *text_one = print_image(image_one), *text_two = print_image(image_two);

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
		cmocka_unit_test(image_does_not_depend_on_order),
		cmocka_unit_test(lists_are_sorted_and_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
