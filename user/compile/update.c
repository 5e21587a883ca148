/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* image_update(): what depends on the changed objects is compiled beside the old, then everything is put in its place
 * without a step that can fail.
 *
 * What depends on what, of the things that a change may be (state/change.h)
 *   rules of a group         objects of the sets that contain it
 *   groups of an ENI         its port; if a set comes or goes, objects of the sets whose rules refer to one of its
 * groups check, time-outs         its port entries of a NACL        its two objects routes of a table        its
 * version Addresses, MACs, zones, realms and gateways (but for the index of a table) depend on none of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "compile/objects.h"
#include "compile/tree.h"
#include "compile/update.h"

#define FEW_OBJECTS 64 /* moving all others for one is cheaper than sorting, up to about here */

/* ---- new objects */

static int make_room(struct update *update)
{
	size_t room = update->made_room ? 2 * update->made_room : 8;
	struct image_object *made;

	if (update->nr_made < update->made_room)
		return 0;
	made = reallocarray(update->made, room, sizeof(*made));
	if (!made)
		return -ENOMEM;
	update->made = made;
	update->made_room = room;
	return 0;
}

static uint32_t made_index(struct update *update)
{
	return (uint32_t)(update->image->nr_objects + update->nr_made++);
}

static int make_set(struct update *update, const struct group_set *set, struct object_pair *ret)
{
	uint32_t *indexes[] = {&ret->in, &ret->out};
	int r = 0;

	for (int egress = 0; egress < 2 && !r; egress++) {
		r = make_room(update);
		if (!r)
			r = set_compile(update->work, set, egress, "", &update->made[update->nr_made]);
		if (!r)
			*indexes[egress] = made_index(update);
	}
	return r;
}

static int make_nacl(struct update *update, uint32_t place)
{
	uint32_t *indexes[] = {&update->nacls[place].in, &update->nacls[place].out};
	int r = 0;

	for (int egress = 0; egress < 2 && !r && *indexes[egress] != IMAGE_NONE; egress++) {
		r = make_room(update);
		if (!r)
			r = nacl_compile(update->work, &update->state->nacls[place], egress, "",
					 &update->made[update->nr_made]);
		if (!r)
			*indexes[egress] = made_index(update);
	}
	return r;
}

static bool is_stale(const struct update *update, const struct group_set *set)
{
	for (size_t g = 0; g < set->nr; g++)
		if (update->stale_groups[set->groups[g] - update->state->groups])
			return true;
	return false;
}

/* The identities of the work are the new ones by now. */
static int make_sets(struct update *update, const bool *used)
{
	static const struct group_set empty;
	const struct identities *identities = &update->work->identities;
	int r = 0;

	for (size_t i = 0; i <= identities->nr_sets && !r; i++) {
		const struct group_set *set = i < identities->nr_sets ? &identities->sets[i] : &empty;

		if (used[i] && (update->sets[i].in == IMAGE_NONE || is_stale(update, set)))
			r = make_set(update, set, &update->sets[i]);
	}
	return r;
}

static const struct image_object *object_to_be(const struct update *update, uint32_t index)
{
	size_t nr = update->image->nr_objects;

	return index < nr ? &update->image->objects[index] : &update->made[index - nr];
}

/* ---- the new array of objects: by hash, each once */

static int compare_to_be(const void *a, const void *b, void *data)
{
	const struct update *update = data;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = image_hash_compare(&object_to_be(update, x)->hash, &object_to_be(update, y)->hash);

	return order ? order : (x < y) - (x > y); /* what is made first: the texts of the old one may go */
}

static void need_pair(struct update *update, const struct object_pair *pair, size_t *nr_lines)
{
	const uint32_t indexes[] = {pair->in, pair->out};

	for (int i = 0; i < 2; i++) {
		if (indexes[i] == IMAGE_NONE)
			continue;
		update->object_places[indexes[i]] = 0;
		*nr_lines += object_to_be(update, indexes[i])->nr_lines;
	}
}

/* What stays is in its order already and what was made is little: each goes to its place among the others. */
static void sort_to_be(struct update *update, uint32_t *order, size_t nr)
{
	size_t sorted = 0;

	while (sorted < nr && order[sorted] < update->image->nr_objects)
		sorted++;
	if (nr - sorted > FEW_OBJECTS) {
		qsort_r(order, nr, sizeof(*order), compare_to_be, update);
		return;
	}
	for (; sorted < nr; sorted++) {
		uint32_t made = order[sorted];
		size_t low = 0, high = sorted;

		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (compare_to_be(&order[middle], &made, update) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		memmove(order + low + 1, order + low, (sorted - low) * sizeof(*order));
		order[low] = made;
	}
}

static int order_objects(struct update *update)
{
	size_t nr = update->image->nr_objects + update->nr_made, nr_order = 0, nr_lines = 0;
	_cleanup_free_ uint32_t *order = calloc(nr + 1, sizeof(*order));

	update->objects = calloc(nr + 1, sizeof(*update->objects));
	update->object_places = malloc((nr + 1) * sizeof(*update->object_places));
	if (!order || !update->objects || !update->object_places)
		return -ENOMEM;
	memset(update->object_places, 0xff, (nr + 1) * sizeof(*update->object_places));
	for (size_t i = 0; i < nr_sets(update); i++)
		need_pair(update, &update->sets[i], &nr_lines);
	for (size_t i = 0; i <= update->state->nr_nacls; i++)
		need_pair(update, &update->nacls[i], &nr_lines);
	for (size_t i = 0; i < update->image->nr_ports; i++)
		need_pair(update, &(struct object_pair){update->image->ports[i].mirror, IMAGE_NONE}, &nr_lines);
	if (nr_lines > OBJECT_LINES_MAX)
		return -EAGAIN;
	for (uint32_t i = 0; i < nr; i++)
		if (update->object_places[i] != IMAGE_NONE)
			order[nr_order++] = i;
	sort_to_be(update, order, nr_order);
	for (size_t i = 0; i < nr_order; i++) {
		const struct image_object *object = object_to_be(update, order[i]);
		size_t last = update->nr_objects - 1;

		if (update->nr_objects && !image_hash_compare(&update->objects[last].hash, &object->hash)) {
			update->object_places[order[i]] = (uint32_t)last;
			continue;
		}
		update->object_places[order[i]] = (uint32_t)update->nr_objects;
		update->objects[update->nr_objects++] = *object;
	}
	return 0;
}

/* ---- route tables. Their rules bear the table's id, so a table with a rule is no other's. */

static int replace_table(struct update *update, uint32_t place)
{
	const struct route_targets targets = table_targets(update->work);
	const struct route_table *table = &update->state->tables[place];
	uint32_t index = update->work->known_tables[place];
	struct image_table *old, made;
	int r;

	if (index == IMAGE_NONE)
		return 0;
	old = &update->tables[index];
	if (old->routes != update->image->tables[index].routes) /* twice in one change */
		return -EAGAIN;
	r = route_table_compile(table, table->vpc, &targets, &made);
	if (r)
		return r;
	if (!old->nr_rules || !made.nr_rules) {
		image_table_done(&made);
		return -EAGAIN;
	}
	*old = made;
	return 0;
}

static int compare_tables_to_be(const void *a, const void *b, void *data)
{
	const struct update *update = data;

	return image_hash_compare(&update->tables[*(const uint32_t *)a].hash,
				  &update->tables[*(const uint32_t *)b].hash);
}

static int check_new_routes(const struct update *update)
{
	size_t routes[2] = {};

	for (size_t t = 0; t < update->nr_tables; t++)
		for (size_t i = 0; i < update->tables[t].nr_routes; i++)
			routes[update->tables[t].routes[i].cidr.family == 6]++;
	return routes[0] > ROUTES_MAX || routes[1] > ROUTES_MAX ? -EAGAIN : 0;
}

/* Where each table stands by its hash; the tables themselves stay in the old order until the end. */
static int order_tables(struct update *update)
{
	size_t nr = update->nr_tables;
	_cleanup_free_ uint32_t *order = calloc(nr + 1, sizeof(*order));

	update->table_places = calloc(nr + 1, sizeof(*update->table_places));
	if (!order || !update->table_places)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++)
		order[i] = i;
	qsort_r(order, nr, sizeof(*order), compare_tables_to_be, update);
	for (uint32_t i = 0; i < nr; i++) {
		if (i && !compare_tables_to_be(&order[i - 1], &order[i], update))
			return -EAGAIN;
		update->table_places[order[i]] = i;
	}
	return check_new_routes(update);
}

static int update_tables(struct update *update)
{
	const struct state_change *change = update->change;
	const struct image *image = update->image;
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < change->nr; i++)
		any |= change->changed[i].list == LIST_ROUTE_TABLES;
	if (!any)
		return 0;
	update->tables = calloc(image->nr_tables + 1, sizeof(*update->tables));
	if (!update->tables)
		return -ENOMEM;
	update->nr_tables = image->nr_tables;
	memcpy(update->tables, image->tables, image->nr_tables * sizeof(*update->tables));
	for (size_t i = 0; i < change->nr && !r; i++)
		if (change->changed[i].list == LIST_ROUTE_TABLES)
			r = replace_table(update, change->changed[i].place);
	return r ? r : order_tables(update);
}

/* ---- everything into its place; nothing here can fail */

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

/* An object that stands in the new array, or whose memory does. */
static bool was_taken(const struct update *update, uint32_t index)
{
	uint32_t place = update->object_places[index];

	return place != IMAGE_NONE && update->objects[place].lines == object_to_be(update, index)->lines;
}

static void put_objects(struct update *update)
{
	struct image *image = update->image;
	struct image_work *work = update->work;

	for (uint32_t i = 0; i < image->nr_objects + update->nr_made; i++)
		if (!was_taken(update, i))
			image_object_done((struct image_object *)object_to_be(update, i));
	move_pairs(update->sets, nr_sets(update), update->object_places);
	move_pairs(update->nacls, update->state->nr_nacls + 1, update->object_places);
	for (size_t i = 0; i < image->nr_ports; i++)
		move_to(&image->ports[i].mirror, update->object_places);
	free(image->objects);
	free(update->made);
	free(work->set_objects);
	free(work->nacl_objects);
	image->objects = TAKE_PTR(update->objects);
	image->nr_objects = update->nr_objects;
	work->set_objects = TAKE_PTR(update->sets);
	work->nacl_objects = TAKE_PTR(update->nacls);
	update->made = NULL;
	update->nr_made = 0;
}

static void put_tables(struct update *update)
{
	struct image *image = update->image;
	const uint32_t *places = update->table_places;

	if (!update->tables)
		return;
	for (size_t i = 0; i < image->nr_tables; i++)
		if (image->tables[i].routes != update->tables[i].routes)
			image_table_done(&image->tables[i]);
	for (size_t i = 0; i < image->nr_tables; i++)
		image->tables[places[i]] = update->tables[i];
	for (size_t i = 0; i < image->nr_subnets; i++)
		move_to(&image->subnets[i].table, places);
	for (size_t i = 0; i < image->nr_gateways; i++)
		for (int k = 0; k < GATEWAY_TABLES; k++)
			move_to(&image->gateways[i].table[k], places);
	for (size_t i = 0; i < update->state->nr_tables + update->state->nr_vpcs + 1; i++)
		move_to(&update->work->known_tables[i], places);
	for (size_t i = 0; i < work_extra(update->work)->nr_tgw_tables; i++)
		move_to(&update->work->known_transit[i], places);
	free(TAKE_PTR(update->tables));
}

/* What eni_port() says anew of an ENI; its objects follow. */
static void put_eni(struct update *update, uint32_t place)
{
	struct image_port *port = &update->image->ports[update->work->notes[place].port];
	struct image_port now = eni_port(update->work, place);

	now.sg_in = port->sg_in;
	now.sg_out = port->sg_out;
	now.mirror = port->mirror;
	now.hop = port->hop;
	now.identity = port->identity;
	*port = now;
}

/* ret: whether the port now points to other objects, or is somebody else to others */
static bool put_port(struct update *update, struct image_port *port)
{
	const struct identities *identities = &update->work->identities;
	uint32_t set = identities->of_eni[port->eni - update->state->enis], in = port->sg_in, out = port->sg_out;
	uint32_t identity = set == IDENTITY_NONE ? 0 : identities->sets[set].identity;
	bool other = identity != port->identity;

	port->identity = identity;
	if (in == IMAGE_NONE)
		return other;
	set = set == IDENTITY_NONE ? (uint32_t)identities->nr_sets : set;
	port->sg_in = update->work->set_objects[set].in;
	port->sg_out = update->work->set_objects[set].out;
	move_to(&in, update->object_places);
	move_to(&out, update->object_places);
	return other || in != port->sg_in || out != port->sg_out;
}

static void put_ports(struct update *update)
{
	const struct state_change *change = update->change;
	struct image *image = update->image;

	for (size_t i = 0; i < change->nr; i++)
		if (change->changed[i].list == LIST_NETWORK_INTERFACES) {
			put_eni(update, change->changed[i].place);
			update->touched[update->nr_touched++] = update->work->notes[change->changed[i].place].port;
		}
	for (uint32_t i = 0; i < image->nr_ports; i++)
		if (image->ports[i].eni && put_port(update, &image->ports[i]))
			update->touched[update->nr_touched++] = i;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* For the plan: what it need not look at. */
static void put_touched(struct update *update)
{
	struct image *image = update->image;
	uint64_t before = image->version;
	size_t nr = 0;

	qsort(update->touched, update->nr_touched, sizeof(*update->touched), compare_numbers);
	for (size_t i = 0; i < update->nr_touched; i++)
		if (!nr || update->touched[nr - 1] != update->touched[i])
			update->touched[nr++] = update->touched[i];
	image_altered(image);
	image->before = before;
	image->nr_touched = nr;
	free(image->touched);
	image->touched = TAKE_PTR(update->touched);
}

static void put_subnets(struct update *update)
{
	const struct state *state = update->state;

	for (size_t i = 0; i < state->nr_subnets; i++) {
		struct image_subnet *subnet = &update->image->subnets[update->work->subnet_places[i]];
		const struct nacl *nacl = state->subnets[i].nacl;
		const struct object_pair *pair =
			&update->work->nacl_objects[nacl ? (size_t)(nacl - state->nacls) : state->nr_nacls];

		subnet->nacl_in = pair->in;
		subnet->nacl_out = pair->out;
	}
}

/* ---- all of it */

static int prepare(struct update *update)
{
	const struct state_change *change = update->change;
	_cleanup_free_ bool *used = NULL;
	size_t nr_nacls = update->state->nr_nacls + 1;
	int r = update_sets(update, &used);

	if (r)
		return r;
	if (update->regrouped)
		exchange_identities(update);
	update->nacls = calloc(nr_nacls, sizeof(*update->nacls));
	update->touched = calloc(update->image->nr_ports + change->nr + 1, sizeof(*update->touched));
	if (!update->nacls || !update->touched)
		return -ENOMEM;
	memcpy(update->nacls, update->work->nacl_objects, nr_nacls * sizeof(*update->nacls));
	r = make_sets(update, used);
	for (size_t i = 0; i < change->nr && !r; i++)
		if (change->changed[i].list == LIST_NETWORK_ACLS)
			r = make_nacl(update, change->changed[i].place);
	if (!r)
		r = order_objects(update);
	return r ? r : update_tables(update);
}

static void put(struct update *update)
{
	put_objects(update);
	put_tables(update);
	put_ports(update);
	put_subnets(update);
	put_touched(update);
}

static void give_up(struct update *update)
{
	if (update->exchanged)
		exchange_identities(update);
	exchange_moves(update);
	for (size_t i = 0; i < update->nr_made; i++)
		image_object_done(&update->made[i]);
	for (size_t i = 0; i < update->nr_tables && update->tables; i++)
		if (update->tables[i].routes != update->image->tables[i].routes)
			image_table_done(&update->tables[i]);
}

int image_update(struct image *image, const struct state_change *change)
{
	struct update update = {.image = image, .work = image->work, .state = image->work->state, .change = change};
	int r = prepare(&update);

	if (!r)
		put(&update);
	else
		give_up(&update);
	free(update.work->why);
	update.work->why = NULL;
	if (update.regrouped)
		identities_done(&update.identities);
	free(update.sets);
	free(update.nacls);
	free(update.touched_groups);
	free(update.stale_groups);
	free(update.made);
	free(update.objects);
	free(update.object_places);
	free(update.tables);
	free(update.table_places);
	free(update.touched);
	free(update.moves);
	return r == -E2BIG ? -EAGAIN : r;
}
