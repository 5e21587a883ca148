/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A loaded state follows small edits of its files, in place: what an edit costs goes by the edit, not by the state.
 *
 * What can be followed: elements of SecurityGroups, NetworkAcls, RouteTables and NetworkInterfaces that say something
 * else than before of their rules, entries, routes, members, time-outs and checks, and nothing else. Everything beyond
 * is for state_load(), and so is every refusal: its messages tell all that is wrong.
 *
 * Invariants
 *  F1  After state_follow() the state is the one that state_load() of the files makes, but that what did not change
 *      stands where it stood. Nobody else's pointers into the state become void before state_change_keep().
 *  F2  -EAGAIN: nothing was changed.
 */
#ifndef ENID_STATE_CHANGE_H
#define ENID_STATE_CHANGE_H

#include "state/sources.h"
#include "state/state.h"

/* One object that changed. */
struct changed {
	enum list_kind list;
	uint32_t place; /* in its array of the state, which is by id */
	union {
		struct security_group group;
		struct nacl nacl;
		struct route_table table;
		struct eni eni;
	} other;     /* what it was; after state_change_undo() what it would have been */
	void *arena; /* what it is made of */
	void *array; /* if not NULL: its routes lie here, and texts of those that stayed in the arenas of what it was */
	bool exchanged; /* it stands in the state */
};

struct changed_source {
	struct source_file *source;
	struct source_file before;
};

struct state_change {
	struct sources *of;
	struct changed *changed;
	size_t nr, room;
	struct changed_source *sources;
	size_t nr_sources;
	uint64_t revision; /* to be added to the state's */
	char *documents; /* the new elements, a document on a line of its own for each: to be loaded over the old ones;
			  * or {"Splice": [...]}, items of a list inside one */
	size_t documents_length;
	size_t nr_warnings;
	char *first_warning;
};

/* Look at these files again. ret: 0, *ret_change is to be kept, or undone | -EAGAIN | -ENOMEM */
int state_follow(struct state *state, struct sources *sources, const char *const *paths, size_t nr_paths,
		 struct state_change **ret_change);
/* The old objects are gone for good; an image of the state must have been updated. Of what was undone, nothing is kept.
 */
void state_change_keep(struct state *state, struct state_change **change);
/* Before keep only: the state and the sources are as they were. The change still says which objects it concerned. */
void state_change_undo(struct state *state, struct state_change *change);
/* After undo, and before anything else was followed: the state and the sources are as the change made them. */
void state_change_redo(struct state *state, struct state_change *change);
void state_change_free(struct state_change **change);

#endif
