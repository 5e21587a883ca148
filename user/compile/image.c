/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* compile_image(): the steps in order, then the sorting that makes the result independent of how the state was written.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/mirror.h"
#include "compile/objects.h"
#include "compile/tree.h"
#include "compile/work.h"

static const uint8_t router_mac_default[6] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01};

int work_refuse(struct image_work *work, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&work->why, format, arguments) < 0)
		work->why = NULL;
	va_end(arguments);
	return -E2BIG;
}

int work_add_object(struct image_work *work, struct image_object *object, uint32_t *ret_index)
{
	struct image *image = work->image;

	work->nr_lines += object->nr_lines;
	if (work->nr_lines > OBJECT_LINES_MAX) {
		image_object_done(object);
		return work_refuse(work, "lines of all policy objects: more than %u", OBJECT_LINES_MAX);
	}
	if (image->nr_objects == work->objects_room) {
		size_t room = work->objects_room ? work->objects_room * 2 : 16;
		struct image_object *objects = reallocarray(image->objects, room, sizeof(*objects));

		if (!objects) {
			image_object_done(object);
			return -ENOMEM;
		}
		image->objects = objects;
		work->objects_room = room;
	}
	image->objects[image->nr_objects] = *object;
	*ret_index = (uint32_t)image->nr_objects++;
	return 0;
}

int image_hash_compare(const struct content_hash *a, const struct content_hash *b)
{
	for (int i = 0; i < 4; i++)
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	return 0;
}

/* Elements that begin with their hash, to be sorted with a memory of where they stood. */
struct placed {
	const struct content_hash *hash;
	size_t from;
};

static int compare_placed(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int order = image_hash_compare(x->hash, y->hash);

	return order ? order : (x->from > y->from) - (x->from < y->from);
}

/* Sort elements by the hash that each begins with, and keep one of each; places[i]: where element i stands now. */
static int settle(void **base, size_t *nr, size_t size, void (*done)(void *), uint32_t *places)
{
	struct placed *order = calloc(*nr + 1, sizeof(*order));
	char *from = *base, *to = calloc(*nr + 1, size);
	size_t kept = 0;

	if (!order || !to) {
		free(order);
		free(to);
		return -ENOMEM;
	}
	for (size_t i = 0; i < *nr; i++)
		order[i] = (struct placed){(const struct content_hash *)(from + i * size), i};
	qsort(order, *nr, sizeof(*order), compare_placed);
	for (size_t i = 0; i < *nr; i++) {
		char *element = from + order[i].from * size;

		if (kept && !image_hash_compare((const struct content_hash *)(to + (kept - 1) * size), order[i].hash)) {
			places[order[i].from] = (uint32_t)(kept - 1);
			done(element);
			continue;
		}
		places[order[i].from] = (uint32_t)kept;
		memcpy(to + kept++ * size, element, size);
	}
	free(order);
	free(from);
	*base = to;
	*nr = kept;
	return 0;
}

static void object_done(void *object)
{
	image_object_done(object);
}

static void table_done(void *table)
{
	image_table_done(table);
}

static void move_to(uint32_t *index, const uint32_t *places)
{
	if (*index != IMAGE_NONE)
		*index = places[*index];
}

static void move_pairs(struct object_pair *pairs, size_t nr, const uint32_t *places)
{
	for (size_t i = 0; i < nr; i++) {
		move_to(&pairs[i].in, places);
		move_to(&pairs[i].out, places);
	}
}

static int settle_objects(struct image_work *work)
{
	struct image *image = work->image;
	uint32_t *places = calloc(image->nr_objects + 1, sizeof(*places));
	void *objects = image->objects;
	int r = places ? settle(&objects, &image->nr_objects, sizeof(*image->objects), object_done, places) : -ENOMEM;

	if (!r) {
		image->objects = objects;
		for (size_t i = 0; i < image->nr_ports; i++) {
			move_to(&image->ports[i].sg_in, places);
			move_to(&image->ports[i].sg_out, places);
			move_to(&image->ports[i].mirror, places);
		}
		for (size_t i = 0; i < image->nr_subnets; i++) {
			move_to(&image->subnets[i].nacl_in, places);
			move_to(&image->subnets[i].nacl_out, places);
		}
		move_pairs(work->set_objects, work->identities.nr_sets + 1, places);
		move_pairs(work->nacl_objects, work->state->nr_nacls + 1, places);
	}
	free(places);
	return r;
}

static int settle_tables(struct image_work *work)
{
	struct image *image = work->image;
	const struct state *state = work->state;
	uint32_t *places = calloc(image->nr_tables + 1, sizeof(*places));
	void *tables = image->tables;
	int r = places ? settle(&tables, &image->nr_tables, sizeof(*image->tables), table_done, places) : -ENOMEM;

	if (!r) {
		image->tables = tables;
		for (size_t i = 0; i < image->nr_subnets; i++)
			move_to(&image->subnets[i].table, places);
		for (size_t i = 0; i < image->nr_gateways; i++)
			for (int k = 0; k < GATEWAY_TABLES; k++)
				move_to(&image->gateways[i].table[k], places);
		for (size_t i = 0; i < state->nr_tables + state->nr_vpcs + 1; i++)
			move_to(&work->known_tables[i], places);
		for (size_t i = 0; i < work_extra(work)->nr_tgw_tables; i++)
			move_to(&work->known_transit[i], places);
	}
	free(places);
	return r;
}

static int compile_steps(struct image_work *work)
{
	static int (*const steps[])(struct image_work *) = {
		subnets_compile,   ports_compile,        mirrors_compile, tables_compile,
		addresses_compile, associations_compile, macs_compile,
	};
	int r = identities_build(work->state, &work->identities);

	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(*steps); i++)
		r = steps[i](work);
	if (!r)
		r = settle_objects(work);
	if (!r)
		r = settle_tables(work);
	return r;
}

static void choose_router_mac(const struct host *host, uint8_t *mac)
{
	static const uint8_t none[6];

	memcpy(mac, host && memcmp(host->router_mac, none, 6) != 0 ? host->router_mac : router_mac_default, 6);
}

void work_free(struct image_work **work)
{
	struct image_work *old = *work;

	if (!old)
		return;
	identities_done(&old->identities);
	free(old->set_objects);
	free(old->nacl_objects);
	free(old->notes);
	free(old->subnet_places);
	free(old->hops);
	groups_free(old);
	free(old->known_tables);
	free(old->known_transit);
	free(old->realms);
	free(old);
	*work = NULL;
}

static uint64_t new_version(void)
{
	static uint64_t versions;

	return ++versions;
}

void image_altered(struct image *image)
{
	image->version = new_version();
	image->before = 0;
	image->nr_touched = 0;
}

int compile_image(const struct state *state, const struct host *host, struct image **ret_image, char **ret_why)
{
	struct image *image = calloc(1, sizeof(*image));
	struct image_work *work = calloc(1, sizeof(*work));
	int r;

	if (!image || !work) {
		free(image);
		free(work);
		return -ENOMEM;
	}
	*work = (struct image_work){.state = state, .host = host, .image = image};
	image->work = work;
	image->host = host;
	image->shape = image->version = new_version();
	choose_router_mac(host, image->router_mac);
	r = compile_steps(work);
	if (r == -E2BIG)
		*ret_why = work->why;
	if (!r)
		*ret_image = image;
	else
		image_free(&image);
	return r;
}

void image_free(struct image **image)
{
	struct image *old = *image;

	if (!old)
		return;
	for (size_t i = 0; i < old->nr_objects; i++)
		image_object_done(old->objects + i);
	for (size_t i = 0; i < old->nr_tables; i++)
		image_table_done(old->tables + i);
	free(old->objects);
	free(old->tables);
	free(old->subnets);
	free(old->ports);
	free(old->gateways);
	free(old->addresses);
	free(old->associations);
	free(old->macs);
	free(old->touched);
	work_free(&old->work);
	free(old);
	*image = NULL;
}
