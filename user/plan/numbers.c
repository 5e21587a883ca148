/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers of ports and subnets: who had one keeps it (P1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "plan/planner.h"

/* A number for an id that has none: a fresh one; else (P1) one whose port is gone from both states. `in_image`: by
 * number. */
static int take_port_number(struct planner *planner, const char *id, const bool *in_image, uint32_t *ret_number)
{
	struct placement *next = &planner->plan->next;
	uint32_t number = next->nr_ports;

	if (number < PORTS_MAX) {
		next->nr_ports++;
	} else {
		for (number = 1; number < PORTS_MAX; number++)
			if (!in_image[number] && next->ports[number].policy.kind == PORT_NONE &&
			    next->ports[number].id[0])
				break;
		if (number == PORTS_MAX)
			return refuse(planner->ret_why, -ENOSPC,
				      "map ports is full: %zu ports, and '%s' is one more than %d, old and new "
				      "together",
				      planner->image->nr_ports, id, PORTS_MAX - 1);
	}
	memset(next->ports[number].id, 0, ID_MAX);
	strncpy(next->ports[number].id, id, ID_MAX - 1);
	*ret_number = number;
	return 0;
}

/* Both lists are by id, so one pass over them finds what placement_port() would. */
static void known_numbers(struct planner *planner)
{
	const struct placement *current = planner->current;
	const struct image *image = planner->image;
	size_t known = 0;

	for (size_t i = 0; i < image->nr_ports; i++) {
		int order = -1;

		while (known + 1 < current->nr_ports && order < 0) {
			order = strcmp(current->ports[current->port_order[known]].id, image->ports[i].id);
			known += order < 0;
		}
		planner->plan->port_numbers[i] = order ? 0 : current->port_order[known];
	}
}

int plan_number_ports(struct planner *planner)
{
	const struct image *image = planner->image;
	struct plan *plan = planner->plan;
	_cleanup_free_ bool *in_image = NULL;

	if (planner->same_shape) {
		memcpy(plan->port_numbers, planner->current->shape_ports,
		       image->nr_ports * sizeof(*plan->port_numbers));
		return 0;
	}
	in_image = calloc(PORTS_MAX, sizeof(*in_image));
	if (!in_image)
		return -ENOMEM;
	known_numbers(planner);
	for (size_t i = 0; i < image->nr_ports; i++)
		in_image[plan->port_numbers[i]] = true;
	for (size_t i = 0; i < image->nr_ports; i++) {
		int r;

		if (plan->port_numbers[i])
			continue;
		r = take_port_number(planner, image->ports[i].id, in_image, &plan->port_numbers[i]);
		if (r < 0)
			return r;
		in_image[plan->port_numbers[i]] = true;
	}
	return 0;
}

int plan_number_subnets(struct planner *planner)
{
	struct placement *next = &planner->plan->next;
	const struct image *image = planner->image;

	if (planner->same_shape) {
		memcpy(planner->subnets, planner->current->shape_subnets,
		       image->nr_subnets * sizeof(*planner->subnets));
		return 0;
	}
	for (size_t i = 0; i < image->nr_subnets; i++) {
		uint32_t number = placement_subnet(planner->current, image->subnets[i].id);

		if (!number) {
			if (next->nr_subnets == SUBNETS_MAX)
				return refuse(planner->ret_why, -ENOSPC,
					      "map subnets is full: %zu subnets, and '%s' is one more than %d, old and "
					      "new together",
					      image->nr_subnets, image->subnets[i].id, SUBNETS_MAX - 1);
			number = next->nr_subnets++;
			strncpy(next->subnets[number].id, image->subnets[i].id, ID_MAX - 1);
		}
		planner->subnets[i] = number;
	}
	return 0;
}
