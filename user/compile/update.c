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
#include "compile/work.h"
#include "state/change.h"

/* An object to be: index in image.objects, or from nr_objects on one that was made. */
struct update {
	struct image *image;
	struct image_work *work;
	const struct state *state;
	const struct state_change *change;
	struct identities identities; /* where an ENI has other groups: the new ones, after the exchange the old ones */
	bool regrouped, exchanged;
	struct object_pair *sets, *nacls;
	bool *touched_groups; /* by place in state.groups: its members' identities changed */
	bool *stale_groups;   /* by place in state.groups: an object that contains it is compiled anew */
	struct image_object *made;
	size_t nr_made, made_room;
	struct image_object *objects; /* the new array */
	size_t nr_objects;
	uint32_t *object_places; /* by object to be: where it stands now; IMAGE_NONE = nobody needs it */
	struct image_table *tables;
	size_t nr_tables;
	uint32_t *table_places;
};

static const struct object_pair no_objects = {IMAGE_NONE, IMAGE_NONE};

static size_t nr_sets(const struct update *update)
{
	return update->work->identities.nr_sets + 1;
}

/* ---- sets of groups */

/* A group whose members' identities changed: what refers to it is stale. */
static void mark_members(bool *touched, const struct state *state, const struct group_set *set)
{
	for (size_t g = 0; g < set->nr; g++)
		touched[set->groups[g] - state->groups] = true;
}

/* Sets that stay keep their objects; groups of those that come, go or get another number are `touched`. */
static bool carry_sets_over(struct update *update, const struct identities *old, const struct identities *new,
			    bool *touched)
{
	const struct object_pair *had = update->work->set_objects;
	bool any = false;
	size_t i = 0, j = 0;

	while (i < old->nr_sets || j < new->nr_sets) {
		int order = i == old->nr_sets   ? 1
			    : j == new->nr_sets ? -1
						: identity_compare_sets(&old->sets[i], &new->sets[j]);

		if (order || old->sets[i].identity != new->sets[j].identity) {
			any = true;
			if (order <= 0)
				mark_members(touched, update->state, &old->sets[i]);
			if (order >= 0)
				mark_members(touched, update->state, &new->sets[j]);
		}
		if (!order)
			update->sets[j] = had[i];
		i += order <= 0;
		j += order >= 0;
	}
	update->sets[new->nr_sets] = had[old->nr_sets];
	return any;
}

static bool refers(const struct sg_permission *permissions, size_t nr, const bool *touched, const struct state *state)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t k = 0; k < permissions[i].nr_peers; k++) {
			const struct sg_peer *peer = &permissions[i].peers[k];

			if (peer->kind == PEER_GROUP && peer->group && touched[peer->group - state->groups])
				return true;
		}
	return false;
}

/* A port has the objects of its set if and only if it has some. */
static void drop_unused_sets(struct update *update, const struct identities *identities, bool *used)
{
	const struct image *image = update->image;

	for (size_t i = 0; i < image->nr_ports; i++) {
		uint32_t set;

		if (!image->ports[i].eni || image->ports[i].sg_in == IMAGE_NONE)
			continue;
		set = identities->of_eni[image->ports[i].eni - update->state->enis];
		used[set == IDENTITY_NONE ? identities->nr_sets : set] = true;
	}
	for (size_t i = 0; i <= identities->nr_sets; i++)
		if (!used[i])
			update->sets[i] = no_objects;
}

static int regroup(struct update *update, bool **ret_used)
{
	const struct state *state = update->state;
	const struct identities *old = &update->work->identities;
	bool *touched, *used;
	int r = identities_build(state, &update->identities);

	if (r)
		return r;
	update->regrouped = true;
	update->sets = calloc(update->identities.nr_sets + 1, sizeof(*update->sets));
	update->touched_groups = touched = calloc(state->nr_groups + 1, sizeof(*touched));
	*ret_used = used = calloc(update->identities.nr_sets + 1, sizeof(*used));
	if (!update->sets || !touched || !used)
		return -ENOMEM;
	for (size_t i = 0; i <= update->identities.nr_sets; i++)
		update->sets[i] = no_objects;
	if (carry_sets_over(update, old, &update->identities, touched))
		for (size_t i = 0; i < state->nr_groups; i++) {
			const struct security_group *group = &state->groups[i];

			update->stale_groups[i] |= refers(group->in, group->nr_in, touched, state) ||
						   refers(group->out, group->nr_out, touched, state);
		}
	drop_unused_sets(update, &update->identities, used);
	return 0;
}

static int keep_groups(struct update *update, bool **ret_used)
{
	size_t nr = nr_sets(update);

	update->sets = calloc(nr, sizeof(*update->sets));
	*ret_used = calloc(nr, sizeof(bool));
	if (!update->sets || !*ret_used)
		return -ENOMEM;
	memcpy(update->sets, update->work->set_objects, nr * sizeof(*update->sets));
	for (size_t i = 0; i < nr; i++)
		(*ret_used)[i] = update->sets[i].in != IMAGE_NONE;
	return 0;
}

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
	if (nr_lines > OBJECT_LINES_MAX)
		return -EAGAIN;
	for (uint32_t i = 0; i < nr; i++)
		if (update->object_places[i] != IMAGE_NONE)
			order[nr_order++] = i;
	qsort_r(order, nr_order, sizeof(*order), compare_to_be, update);
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
	for (size_t i = 0; i < image->nr_gateways; i++) {
		move_to(&image->gateways[i].table[0], places);
		move_to(&image->gateways[i].table[1], places);
	}
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
	now.hop = port->hop;
	*port = now;
}

static void put_ports(struct update *update)
{
	const struct identities *identities = &update->work->identities;
	struct image *image = update->image;

	for (size_t i = 0; i < update->change->nr; i++)
		if (update->change->changed[i].list == LIST_NETWORK_INTERFACES)
			put_eni(update, update->change->changed[i].place);
	for (size_t i = 0; i < image->nr_ports; i++) {
		struct image_port *port = &image->ports[i];
		uint32_t set;

		if (!port->eni)
			continue;
		set = identities->of_eni[port->eni - update->state->enis];
		port->identity = set == IDENTITY_NONE ? 0 : identities->sets[set].identity;
		if (port->sg_in == IMAGE_NONE)
			continue;
		set = set == IDENTITY_NONE ? (uint32_t)identities->nr_sets : set;
		port->sg_in = update->work->set_objects[set].in;
		port->sg_out = update->work->set_objects[set].out;
	}
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

static bool has_other_groups(const struct eni *a, const struct eni *b)
{
	return a->nr_groups != b->nr_groups || memcmp(a->groups, b->groups, a->nr_groups * sizeof(*a->groups)) != 0;
}

static int update_sets(struct update *update, bool **ret_used)
{
	bool regrouped = false;

	update->stale_groups = calloc(update->state->nr_groups + 1, sizeof(*update->stale_groups));
	if (!update->stale_groups)
		return -ENOMEM;
	for (size_t i = 0; i < update->change->nr; i++) {
		const struct changed *changed = &update->change->changed[i];

		if (changed->list == LIST_SECURITY_GROUPS)
			update->stale_groups[changed->place] = true;
		if (changed->list == LIST_NETWORK_INTERFACES)
			regrouped |= has_other_groups(&update->state->enis[changed->place], &changed->other.eni);
	}
	return regrouped ? regroup(update, ret_used) : keep_groups(update, ret_used);
}

static void exchange_identities(struct update *update)
{
	struct identities old = update->work->identities;

	update->work->identities = update->identities;
	update->identities = old;
	update->exchanged = !update->exchanged;
}

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
	if (!update->nacls)
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
}

static void give_up(struct update *update)
{
	if (update->exchanged)
		exchange_identities(update);
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
	return r == -E2BIG ? -EAGAIN : r;
}
