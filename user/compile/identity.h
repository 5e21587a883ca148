/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Identities: one number for each {VPC, set of security groups} that some ENI carries.
 *
 * A group reference compiles to the identities whose set contains the group (SG-14, SG-16), so a new member of a known
 * set changes no policy object. The VPC belongs to the identity because a group may serve several VPCs (SG-20) while a
 * reference is valid within one (SG-17).
 */
#ifndef ENID_COMPILE_IDENTITY_H
#define ENID_COMPILE_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "compile/image.h"
#include "state/state.h"

struct group_set {
	const struct vpc *vpc;
	const struct security_group **groups; /* sorted by id, each once */
	size_t nr;
	size_t eni; /* one that carries it: place in state.enis */
	uint32_t identity;
};

struct group_member {
	const struct security_group *group;
	uint32_t set; /* one that contains it */
};

struct identities {
	struct group_set *sets; /* sorted, each once; the number of a set is its place here */
	size_t nr_sets;
	uint32_t *of_eni;             /* by place in state.enis: number of its set, IDENTITY_NONE without groups */
	struct group_member *members; /* sorted by group id, then set */
	size_t nr_members;
	const struct security_group **storage;
};

#define IDENTITY_NONE UINT32_MAX

/* Sort by id and drop what is there twice. ret: how many are left */
size_t sort_groups(const struct security_group **groups, size_t nr);

/* ret: 0 | -ENOMEM. identities_done() after success only. */
int identities_build(const struct state *state, struct identities *ret);
void identities_done(struct identities *identities);

/* The number of the set that an ENI has by its groups of now; IDENTITY_NONE without groups.
 * ret: 0 | -ENOENT: no such set stands here | -ENOMEM */
int identities_find(const struct identities *identities, const struct eni *eni, uint32_t *ret_set);

/* The order of the sets: by VPC, then by groups. */
int identity_compare_sets(const void *a, const void *b);

/* The members of one group: a run in identities.members. */
size_t identities_of_group(const struct identities *identities, const struct security_group *group,
			   const struct group_member **ret_first);

#endif
