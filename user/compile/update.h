/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What update.c and regroup.c share: an image on its way from one version to the next. */
#ifndef ENID_COMPILE_UPDATE_H
#define ENID_COMPILE_UPDATE_H

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
	struct move *moves; /* ENIs of other groups, where that makes no set and empties none: they are done */
	size_t nr_moves;
	uint32_t *touched; /* for image.touched */
	size_t nr_touched;
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

/* An ENI that goes to another set. */
struct move {
	uint32_t *of_eni, set; /* the set it is not in */
};

static inline size_t nr_sets(const struct update *update)
{
	return update->work->identities.nr_sets + 1;
}

/* regroup.c: which set each ENI is in, and which objects the sets keep. *ret_used: by number of the set, whether a port
 * needs its objects. ret: 0 | -ENOMEM */
int update_sets(struct update *update, bool **ret_used);
/* Do, or undo, what update_sets() did to the identities of the work. */
void exchange_identities(struct update *update);
void exchange_moves(struct update *update);

#endif
