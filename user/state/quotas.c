/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VPC-19, VPC-20: quotas can be raised, so a state beyond them loads; a warning says so. The numbers are the highest
 * that AWS is known to grant. */
#include "state/load.h"

#define VPC_CIDRS4       50
#define VPC_CIDRS6       5
#define SUBNETS_PER_VPC  200
#define GROUPS_PER_ENI   16
#define RULES_PER_GROUP  1000
#define NACL_RULES       40
#define ROUTES_PER_TABLE 1000

static void check_vpcs(struct load *load)
{
	struct state *state = load->state;
	size_t *nr_subnets = ARENA_ARRAY(load->arena, state->nr_vpcs + 1, size_t);

	for (size_t i = 0; i < state->nr_subnets; i++)
		if (state->subnets[i].vpc)
			nr_subnets[state->subnets[i].vpc - state->vpcs]++;
	for (size_t i = 0; i < state->nr_vpcs; i++) {
		const struct vpc *vpc = &state->vpcs[i];
		struct item *item = &load->lists[LIST_VPCS].item[i];
		size_t nr4 = 0;

		while (nr4 < vpc->nr_cidrs && vpc->cidrs[nr4].family == 4)
			nr4++;
		if (nr4 > VPC_CIDRS4 || vpc->nr_cidrs - nr4 > VPC_CIDRS6)
			state_warn(load, item, "", "has %zu IPv4 and %zu IPv6 CIDRs, beyond the quota of %d and %d",
				   nr4, vpc->nr_cidrs - nr4, VPC_CIDRS4, VPC_CIDRS6);
		if (nr_subnets[i] > SUBNETS_PER_VPC)
			state_warn(load, item, "", "has %zu subnets, beyond the quota of %d", nr_subnets[i],
				   SUBNETS_PER_VPC);
	}
}

static size_t nr_elements(const struct sg_permission *permissions, size_t nr)
{
	size_t elements = 0;

	for (size_t i = 0; i < nr; i++)
		elements += permissions[i].nr_peers;
	return elements;
}

static void check_groups(struct load *load)
{
	struct state *state = load->state;

	for (size_t i = 0; i < state->nr_groups; i++) {
		size_t nr_in = nr_elements(state->groups[i].in, state->groups[i].nr_in);
		size_t nr_out = nr_elements(state->groups[i].out, state->groups[i].nr_out);

		if (nr_in > RULES_PER_GROUP || nr_out > RULES_PER_GROUP)
			state_warn(load, &load->lists[LIST_SECURITY_GROUPS].item[i], "",
				   "has %zu ingress and %zu egress rules, beyond the quota of %d", nr_in, nr_out,
				   RULES_PER_GROUP);
	}
	for (size_t i = 0; i < state->nr_enis; i++)
		if (state->enis[i].nr_groups > GROUPS_PER_ENI)
			state_warn(load, &load->lists[LIST_NETWORK_INTERFACES].item[i], "",
				   "has %zu security groups, beyond the quota of %d", state->enis[i].nr_groups,
				   GROUPS_PER_ENI);
}

void check_quotas(struct load *load)
{
	struct state *state = load->state;

	check_vpcs(load);
	check_groups(load);
	for (size_t i = 0; i < state->nr_nacls; i++) {
		const struct nacl *nacl = &state->nacls[i];

		if (nacl->nr_in > NACL_RULES || nacl->nr_out > NACL_RULES)
			state_warn(load, &load->lists[LIST_NETWORK_ACLS].item[i], "",
				   "has %zu ingress and %zu egress entries, beyond the quota of %d", nacl->nr_in,
				   nacl->nr_out, NACL_RULES);
	}
	for (size_t i = 0; i < state->nr_tables; i++)
		if (state->tables[i].nr_routes > ROUTES_PER_TABLE)
			state_warn(load, &load->lists[LIST_ROUTE_TABLES].item[i], "",
				   "has %zu routes, beyond the quota of %d", state->tables[i].nr_routes,
				   ROUTES_PER_TABLE);
}
