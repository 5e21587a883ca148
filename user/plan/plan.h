/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The plan: how to make the kernel hold an image, as a difference to what it holds.
 *
 * plan_make() is pure: it reads a placement and an image, touches neither, and returns the writes in the order in which
 * they are safe, together with the placement that will be true afterwards. What needs no write is not in the plan, so
 * the plan of an image that is in force already is empty. All capacities are checked here, before anything is written.
 *
 *   1. objects, tables   new ones, which nobody points at yet
 *   2. ports, subnets, entries   into the slot or parity that is not in force
 *   (flip, grace)
 *   3. the same once more, into the other slot
 *   4. entries without owner, old tables and objects go; flows of fallen ports are closed
 */
#ifndef ENID_PLAN_H
#define ENID_PLAN_H

#include "plan/placement.h"

struct plan_object {
	uint32_t image; /* index in image.objects */
	uint32_t line;
	uint32_t rule_base;
};

struct plan_table {
	uint32_t image; /* index in image.tables */
	uint32_t number;
	uint32_t rule_base;
};

struct plan_port {
	uint32_t number;
	bool named;      /* the number is new: its id must be written */
	bool fell;       /* detached, deleted or moved away: its flows are closed (CT-20) */
	bool epoch_only; /* nothing but the epoch differs */
};

struct plan_subnet {
	uint32_t number;
	bool named;
};

struct plan_entry {
	const struct entry *old; /* NULL: comes. In the placement */
	const struct entry *new; /* NULL: goes. In the plan's next */
};

struct plan {
	struct placement next;
	struct plan_object *objects;
	size_t nr_objects;
	struct plan_table *tables;
	size_t nr_tables;
	struct plan_port *ports;
	size_t nr_ports;
	uint32_t *raised; /* numbers of the ports whose epoch rises, or that differ otherwise */
	size_t nr_raised;
	struct plan_subnet *subnets;
	size_t nr_subnets;
	uint32_t *gateways; /* numbers of those that differ */
	size_t nr_gateways;
	struct plan_entry *entries[ENTRY_KINDS];
	size_t nr_entries[ENTRY_KINDS];
	const struct placed_table **old_tables; /* in the current placement: nobody needs them afterwards */
	size_t nr_old_tables;
	const struct placed_object **old_objects; /* likewise */
	size_t nr_old_objects;
	bool router_mac;
	bool other_kinds;       /* a port comes, goes, or becomes something else */
	uint32_t changed;       /* objects of the state that differ: what the user is told */
	uint32_t *port_numbers; /* by index in image.ports */
};

/* ret: 0 | -ENOSPC (*ret_why names the map) | -ENOMEM */
int plan_make(const struct placement *current, const struct image *image, struct plan **ret, char **ret_why);
bool plan_is_empty(const struct plan *plan);

/* The plan was carried out: `current` becomes the plan's next. Pointers of the plan into `current` are void afterwards.
 */
void plan_commit(struct placement *current, struct plan *plan);
void plan_free(struct plan **plan);

/* epochs.c: raise the epoch of every port a change may concern (flow.h, I5), and list them. Policies of `plan->next`
 * are otherwise final and hold the epochs of `current`; if `touched` is not NULL, only these ports' differ from there.
 * ret: 0 | -ENOMEM */
int plan_raise_epochs(const struct placement *current, struct plan *plan, const uint32_t *touched, size_t nr_touched);

/* What the kernel gets for route `index` of a table. */
struct route route_value(const struct image_route *route, uint32_t target, uint32_t rule_base);
struct route plan_route(const struct plan *plan, const struct image_table *table, size_t index, uint32_t rule_base);

#endif
