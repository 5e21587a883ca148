/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets are gathered from the ENIs, sorted and numbered; then each gets the hash of its ids, moved on where that is
 * taken. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/hash.h"
#include "compile/identity.h"

static int compare_groups(const void *a, const void *b)
{
	return strcmp((*(const struct security_group *const *)a)->id, (*(const struct security_group *const *)b)->id);
}

static const char *vpc_id(const struct vpc *vpc)
{
	return vpc ? vpc->id : "";
}

int identity_compare_sets(const void *a, const void *b)
{
	const struct group_set *x = a, *y = b;
	int order = x->vpc == y->vpc ? 0 : strcmp(vpc_id(x->vpc), vpc_id(y->vpc));

	for (size_t i = 0; !order && i < x->nr && i < y->nr; i++)
		order = x->groups[i] == y->groups[i] ? 0 : strcmp(x->groups[i]->id, y->groups[i]->id);
	return order ? order : (x->nr > y->nr) - (x->nr < y->nr);
}

static int compare_members(const void *a, const void *b)
{
	const struct group_member *x = a, *y = b;
	int order = strcmp(x->group->id, y->group->id);

	return order ? order : (x->set > y->set) - (x->set < y->set);
}

uint32_t sg_identity(const struct vpc *vpc, const struct security_group *const *groups, size_t nr)
{
	struct hasher hasher = HASHER_INIT;
	uint32_t hash;

	hasher_add_text(&hasher, vpc_id(vpc));
	for (size_t i = 0; i < nr; i++)
		hasher_add_text(&hasher, groups[i]->id);
	hash = hasher_result(&hasher).w[0];
	return hash ? hash : 1;
}

size_t sort_groups(const struct security_group **groups, size_t nr)
{
	size_t kept = 0;

	qsort(groups, nr, sizeof(*groups), compare_groups);
	for (size_t i = 0; i < nr; i++)
		if (!kept || strcmp(groups[kept - 1]->id, groups[i]->id) != 0)
			groups[kept++] = groups[i];
	return kept;
}

/* The set of every ENI that has one, in the order of the state. */
static size_t gather_sets(const struct state *state, struct identities *identities)
{
	const struct security_group **groups = identities->storage;
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		if (!eni->nr_groups)
			continue;
		for (size_t g = 0; g < eni->nr_groups; g++)
			groups[g] = eni->groups[g];
		identities->sets[nr].vpc = eni->vpc;
		identities->sets[nr].groups = groups;
		identities->sets[nr].nr = sort_groups(groups, eni->nr_groups);
		identities->sets[nr++].eni = i;
		groups += eni->nr_groups;
	}
	return nr;
}

/* Equal sets become one, and every ENI learns the number of its set. */
static void merge_sets(struct identities *identities, size_t nr)
{
	struct group_set *sets = identities->sets;
	size_t kept = 0;

	qsort(sets, nr, sizeof(*sets), identity_compare_sets);
	for (size_t i = 0; i < nr; i++) {
		if (!kept || identity_compare_sets(&sets[kept - 1], &sets[i]) != 0)
			sets[kept++] = sets[i];
		identities->of_eni[sets[i].eni] = (uint32_t)(kept - 1);
	}
	identities->nr_sets = kept;
}

/* Take a number: the wanted one, else the next that is free. `taken`: open addressing, 0 = free. */
static uint32_t take(uint32_t *taken, size_t size, uint32_t wanted)
{
	size_t at = wanted & (size - 1);

	while (taken[at]) {
		if (taken[at] == wanted) {
			wanted = wanted == UINT32_MAX ? 1 : wanted + 1;
			at = wanted & (size - 1);
		} else {
			at = (at + 1) & (size - 1);
		}
	}
	taken[at] = wanted;
	return wanted;
}

/* The sets come sorted, so equal states get equal numbers. */
static int number_sets(struct group_set *sets, size_t nr)
{
	size_t size = 4;
	uint32_t *taken;

	while (size < nr * 2)
		size *= 2;
	taken = calloc(size, sizeof(*taken));
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		sets[i].identity = take(taken, size, sg_identity(sets[i].vpc, sets[i].groups, sets[i].nr));
	free(taken);
	return 0;
}

static void list_members(struct identities *identities)
{
	for (uint32_t i = 0; i < identities->nr_sets; i++)
		for (size_t g = 0; g < identities->sets[i].nr; g++)
			identities->members[identities->nr_members++] =
				(struct group_member){.group = identities->sets[i].groups[g], .set = i};
	qsort(identities->members, identities->nr_members, sizeof(*identities->members), compare_members);
}

int identities_build(const struct state *state, struct identities *ret)
{
	struct identities made = {};
	size_t nr = 0;
	int r = -ENOMEM;

	for (size_t i = 0; i < state->nr_enis; i++)
		nr += state->enis[i].nr_groups;
	made.sets = calloc(state->nr_enis + 1, sizeof(*made.sets));
	made.of_eni = calloc(state->nr_enis + 1, sizeof(*made.of_eni));
	made.members = calloc(nr + 1, sizeof(*made.members));
	made.storage = calloc(nr + 1, sizeof(*made.storage));
	if (made.sets && made.of_eni && made.members && made.storage) {
		for (size_t i = 0; i < state->nr_enis; i++)
			made.of_eni[i] = IDENTITY_NONE;
		merge_sets(&made, gather_sets(state, &made));
		r = number_sets(made.sets, made.nr_sets);
	}
	if (r < 0) {
		identities_done(&made);
		return r;
	}
	list_members(&made);
	*ret = made;
	return 0;
}

void identities_done(struct identities *identities)
{
	free(identities->sets);
	free(identities->of_eni);
	free(identities->members);
	free(identities->storage);
	*identities = (struct identities){};
}

int identities_find(const struct identities *identities, const struct eni *eni, uint32_t *ret_set)
{
	struct group_set wanted = {.vpc = eni->vpc};
	const struct group_set *found = NULL;

	*ret_set = IDENTITY_NONE;
	if (!eni->nr_groups)
		return 0;
	wanted.groups = malloc(eni->nr_groups * sizeof(*wanted.groups));
	if (!wanted.groups)
		return -ENOMEM;
	memcpy(wanted.groups, eni->groups, eni->nr_groups * sizeof(*wanted.groups));
	wanted.nr = sort_groups(wanted.groups, eni->nr_groups);
	if (identities->nr_sets)
		found = bsearch(&wanted, identities->sets, identities->nr_sets, sizeof(wanted), identity_compare_sets);
	free(wanted.groups);
	if (!found)
		return -ENOENT;
	*ret_set = (uint32_t)(found - identities->sets);
	return 0;
}

size_t identities_of_group(const struct identities *identities, const struct security_group *group,
			   const struct group_member **ret_first)
{
	size_t low = 0, high = identities->nr_members, nr = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(identities->members[middle].group->id, group->id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + nr < identities->nr_members && !strcmp(identities->members[low + nr].group->id, group->id))
		nr++;
	*ret_first = identities->members + low;
	return nr;
}
