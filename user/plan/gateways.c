/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers and values of the gateways in an image, and which of them differ from what is placed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "plan/planner.h"

/* A gateway keeps the number that its port had; a new one takes the lowest that is free in both states. */
int plan_number_gateways(struct planner *planner)
{
	const struct placement *current = planner->current;
	const struct image *image = planner->image;
	struct placement *next = &planner->plan->next;
	uint32_t free_number = 1;

	if (planner->same_shape) {
		memcpy(planner->gateways, current->shape_gateways, image->nr_gateways * sizeof(*planner->gateways));
		return 0;
	}
	for (size_t i = 0; i < image->nr_ports; i++) {
		uint32_t port = planner->plan->port_numbers[i], hop = image->ports[i].hop;

		if (hop && port < current->nr_ports)
			planner->gateways[hop - 1] = current->ports[port].policy.hop;
	}
	for (size_t i = 0; i < image->nr_gateways; i++) {
		if (planner->gateways[i])
			continue;
		while (free_number < current->nr_gateways && current->gateways[free_number].kind != GATEWAY_NONE)
			free_number++;
		if (free_number == GATEWAYS_MAX)
			return refuse(planner->ret_why, -ENOSPC,
				      "map gateways is full: %zu gateways, and '%s' is one more than %d, old and new "
				      "together",
				      image->nr_gateways, image->gateways[i].id, GATEWAYS_MAX - 1);
		planner->gateways[i] = free_number++;
		if (free_number > next->nr_gateways)
			next->nr_gateways = free_number;
	}
	return 0;
}

static uint32_t gateway_member(const struct planner *planner, const struct image_gateway *gateway, uint32_t i)
{
	uint32_t member = gateway->members[i];

	switch (gateway->kind) {
	case GATEWAY_ATTACHMENT:
		return i < AZS_MAX && i < gateway->nr ? planner->subnets[member] : member;
	case GATEWAY_GROUP:
	case GATEWAY_TRANSIT:
	case GATEWAY_VGW:
		return i < gateway->nr ? planner->plan->port_numbers[member] : 0;
	default:
		return member;
	}
}

static struct gateway_policy gateway_policy(const struct planner *planner, const struct image_gateway *gateway)
{
	struct gateway_policy policy;

	memset(&policy, 0, sizeof(policy));
	policy.kind = gateway->kind;
	policy.flags = gateway->flags;
	policy.realm = gateway->realm;
	policy.nr = gateway->nr;
	memcpy(policy.zone, gateway->zone, sizeof(policy.zone));
	for (int i = 0; i < GATEWAY_TABLES; i++)
		policy.table[i] = gateway->table[i] == IMAGE_NONE ? 0 : planner->tables[gateway->table[i]];
	for (uint32_t i = 0; i < GATEWAY_MEMBERS_MAX; i++)
		policy.members[i] = gateway_member(planner, gateway, i);
	memcpy(policy.az, gateway->az, sizeof(policy.az));
	return policy;
}

int plan_compare_gateways(struct planner *planner)
{
	static const struct gateway_policy none;
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;

	for (size_t i = 0; i < planner->image->nr_gateways; i++)
		plan->next.gateways[planner->gateways[i]] = gateway_policy(planner, &planner->image->gateways[i]);
	plan->gateways = calloc(plan->next.nr_gateways, sizeof(*plan->gateways));
	if (!plan->gateways)
		return -ENOMEM;
	for (uint32_t number = 1; number < plan->next.nr_gateways; number++) {
		const struct gateway_policy *old = number < current->nr_gateways ? &current->gateways[number] : &none;

		if (memcmp(old, &plan->next.gateways[number], sizeof(*old)) != 0)
			plan->gateways[plan->nr_gateways++] = number;
	}
	return 0;
}
