/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ENIs that change their groups: mostly from one set to another, rarely so that a set comes or goes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/update.h"

static const struct object_pair no_objects = {IMAGE_NONE, IMAGE_NONE};

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
	if (update->nr_moves)
		drop_unused_sets(update, &update->work->identities, *ret_used);
	else
		for (size_t i = 0; i < nr; i++)
			(*ret_used)[i] = update->sets[i].in != IMAGE_NONE;
	return 0;
}

void exchange_moves(struct update *update)
{
	for (size_t i = update->nr_moves; i-- > 0;) {
		struct move *move = &update->moves[i];
		uint32_t set = *move->of_eni;

		*move->of_eni = move->set;
		move->set = set;
	}
}

static bool is_empty(const struct update *update, uint32_t set)
{
	const struct identities *identities = &update->work->identities;

	for (size_t i = 0; i < update->state->nr_enis; i++)
		if (identities->of_eni[i] == set)
			return false;
	return set != IDENTITY_NONE;
}

/* What most often happens to the members of groups: an ENI joins others. ret: 0 | -ENOENT: all must be gathered anew
 * | -ENOMEM */
static int move_enis(struct update *update)
{
	const struct identities *identities = &update->work->identities;
	const struct state_change *change = update->change;
	int r = 0;

	update->moves = calloc(change->nr + 1, sizeof(*update->moves));
	if (!update->moves)
		return -ENOMEM;
	for (size_t i = 0; i < change->nr && !r; i++) {
		uint32_t place = change->changed[i].place, was, set;

		if (change->changed[i].list != LIST_NETWORK_INTERFACES)
			continue;
		was = identities->of_eni[place];
		r = identities_find(identities, &update->state->enis[place], &set);
		if (r || set == was)
			continue;
		update->moves[update->nr_moves++] = (struct move){&identities->of_eni[place], was};
		identities->of_eni[place] = set;
		r = is_empty(update, was) ? -ENOENT : 0;
	}
	if (r) {
		exchange_moves(update);
		update->nr_moves = 0;
	}
	return r;
}

static bool has_other_groups(const struct eni *a, const struct eni *b)
{
	return a->nr_groups != b->nr_groups || memcmp(a->groups, b->groups, a->nr_groups * sizeof(*a->groups)) != 0;
}

int update_sets(struct update *update, bool **ret_used)
{
	bool regrouped = false;
	int r;

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
	r = regrouped ? move_enis(update) : 0;
	if (r == -ENOENT)
		return regroup(update, ret_used);
	return r ? r : keep_groups(update, ret_used);
}

void exchange_identities(struct update *update)
{
	struct identities old = update->work->identities;

	update->work->identities = update->identities;
	update->identities = old;
	update->exchanged = !update->exchanged;
}
