/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One security-group object on its own, without a state: for tests, benchmarks and tools. */
#include <errno.h>
#include <stdlib.h>

#include "compile/objects.h"

static size_t referenced(const struct security_group *group, bool egress, struct security_group **ret_groups)
{
	const struct sg_permission *permissions = egress ? group->out : group->in;
	size_t nr_permissions = egress ? group->nr_out : group->nr_in, nr = 0;

	for (size_t i = 0; i < nr_permissions; i++)
		for (size_t k = 0; k < permissions[i].nr_peers; k++) {
			if (permissions[i].peers[k].kind != PEER_GROUP || !permissions[i].peers[k].group)
				continue;
			if (ret_groups)
				ret_groups[nr] = permissions[i].peers[k].group;
			nr++;
		}
	return nr;
}

/* A state in which each referenced group has one member that carries only it. */
static int identities_of_references(const struct security_group *const *groups, size_t nr, bool egress,
				    const struct vpc *vpc, struct identities *ret)
{
	struct state state = {};
	struct security_group **carried;
	size_t nr_carried = 0;
	int r = -ENOMEM;

	for (size_t i = 0; i < nr; i++)
		state.nr_enis += referenced(groups[i], egress, NULL);
	carried = calloc(state.nr_enis + 1, sizeof(struct security_group *));
	state.enis = calloc(state.nr_enis + 1, sizeof(*state.enis));
	if (carried && state.enis) {
		for (size_t i = 0; i < nr; i++)
			nr_carried += referenced(groups[i], egress, carried + nr_carried);
		for (size_t i = 0; i < nr_carried; i++) {
			state.enis[i].vpc = (struct vpc *)vpc;
			state.enis[i].groups = carried + i;
			state.enis[i].nr_groups = 1;
		}
		r = identities_build(&state, ret);
	}
	free(carried);
	free(state.enis);
	return r;
}

int compile_sg_object(const struct security_group *const *groups, size_t nr, bool egress, const struct vpc *vpc,
		      struct image_object *ret)
{
	struct identities identities;
	const struct security_group **sorted = calloc(nr + 1, sizeof(struct security_group *));
	int r;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		sorted[i] = groups[i];
	nr = sort_groups(sorted, nr);
	r = identities_of_references(sorted, nr, egress, vpc, &identities);
	if (!r) {
		r = sg_compile(sorted, nr, egress, vpc, NULL, &identities, ret);
		identities_done(&identities);
	}
	free(sorted);
	return r;
}

void image_object_done(struct image_object *object)
{
	free(object->lines);
	free(object->rules);
	*object = (struct image_object){};
}
