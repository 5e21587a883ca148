/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which ports a change concerns.
 *
 * A cached decision of a flow holds while the sum of the epochs of its two ports (where it comes in, where it leaves)
 * stays the same, so it is enough that every change raises one of the two. What a decision was made of, and whose
 * epoch stands for it:
 *   policy of a port (groups, flags, MAC, time-outs)      that port
 *   NACLs, route table, CIDRs of a subnet                 its ports
 *   who owns a MAC in a subnet                            ports of the subnet
 *   who owns an address, which groups the owner has, and  every port of the zone: routing and group references may ask
 *   what the internet may see of it                       for any address of the zone, and a way may end before it
 *   public address of an ENI                              the ENI, and the uplinks of its zone
 *   ... of a NAT gateway, or where the internet gateway   every port of the zone: a packet that turns round there
 *   has a route table                                     may come from, and go to, ENIs whose addresses stay
 *   the router's MAC                                      all
 *   a gateway, a NAT gateway's port, a subnet of either   every port of the realm: zones that gateways join share each
 *                                                         other's gateways, addresses and groups
 * A policy object or a table that changed is another object: the slot that points at it differs.
 */
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

enum concern { CONCERN_PORTS = 1, CONCERN_UPLINKS = 2, CONCERN_REALM = 4, CONCERN_EDGE = 8 };

/* Flags that count where others send to the port, even by way of a middlebox. */
#define OUTSIDE_FLAGS (PORT_LIVE | PORT_BPA_IN | PORT_BPA_OUT | PORT_DENY_IGW)

struct raise {
	const struct placement *current;
	struct plan *plan;
	uint8_t *ports;   /* by number */
	uint8_t *subnets; /* by number */
	uint8_t *zones;   /* enum concern, by zone */
	uint32_t nr_zones;
	const uint32_t *touched; /* NULL = it may be any port */
	size_t nr_touched;
	uint32_t *realms; /* by zone: another of its realm, in the end the lowest; of old and new gateways together */
};

static const struct port_policy *old_policy(const struct raise *raise, uint32_t number)
{
	static const struct port_policy none;

	return number < raise->current->nr_ports ? &raise->current->ports[number].policy : &none;
}

static const struct port_policy *new_policy(const struct raise *raise, uint32_t number)
{
	return &raise->plan->next.ports[number].policy;
}

static uint32_t entry_zone(const struct entry *entry)
{
	uint32_t zone;

	memcpy(&zone, entry->key, sizeof(zone)); /* the first word of address_key and association_key */
	return zone;
}

static uint32_t realm_of(const struct raise *raise, uint32_t zone)
{
	while (raise->realms[zone] != zone)
		zone = raise->realms[zone];
	return zone;
}

static void join_realms(struct raise *raise, const struct placement *placement)
{
	for (uint32_t number = 1; number < placement->nr_gateways; number++) {
		const struct gateway_policy *gateway = &placement->gateways[number];

		for (int i = 0; i < 2; i++) {
			uint32_t a = realm_of(raise, gateway->realm);
			uint32_t b = gateway->zone[i] ? realm_of(raise, gateway->zone[i]) : a;

			raise->realms[a > b ? a : b] = a < b ? a : b;
		}
	}
}

static void highest_zone(const struct placement *placement, uint32_t *highest)
{
	for (uint32_t number = 1; number < placement->nr_ports; number++)
		if (placement->ports[number].policy.zone > *highest)
			*highest = placement->ports[number].policy.zone;
	for (uint32_t number = 1; number < placement->nr_gateways; number++) {
		const struct gateway_policy *gateway = &placement->gateways[number];
		const uint32_t zones[] = {gateway->zone[0], gateway->zone[1], gateway->realm};

		for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
			if (zones[i] > *highest)
				*highest = zones[i];
	}
	for (size_t i = 0; i < placement->entries[ENTRY_ADDRESS].nr; i++)
		if (entry_zone(&placement->entries[ENTRY_ADDRESS].entries[i]) > *highest)
			*highest = entry_zone(&placement->entries[ENTRY_ADDRESS].entries[i]);
}

/* What others see of a port: who it is for group references, and whether and whence it can be reached. */
static bool outside_differs(const struct port_policy *old, const struct port_policy *new)
{
	return old->identity != new->identity || old->kind != new->kind || old->zone != new->zone ||
	       old->subnet != new->subnet || ((old->flags ^ new->flags) & OUTSIDE_FLAGS) ||
	       memcmp(old->mac, new->mac, sizeof(old->mac)) != 0;
}

static void concern_port(struct raise *raise, uint32_t number)
{
	const struct port_policy *old = old_policy(raise, number), *new = new_policy(raise, number);

	if (!memcmp(old, new, sizeof(*old))) /* epochs are still the same */
		return;
	raise->ports[number] = 1;
	if (outside_differs(old, new) || new->kind == PORT_NAT || old->kind == PORT_NAT) {
		raise->zones[old->zone] |= CONCERN_PORTS;
		raise->zones[new->zone] |= CONCERN_PORTS;
	}
}

static void concern_ports(struct raise *raise)
{
	for (size_t i = 0; raise->touched && i < raise->nr_touched; i++)
		concern_port(raise, raise->touched[i]);
	for (uint32_t number = 1; !raise->touched && number < raise->plan->next.nr_ports; number++)
		concern_port(raise, number);
}

static void concern_owner(struct raise *raise, const struct entry *entry)
{
	uint32_t number = entry ? entry->value[0] : 0;

	if (!number)
		return;
	raise->ports[number] = 1;
	raise->zones[old_policy(raise, number)->zone] |= CONCERN_UPLINKS;
	raise->zones[new_policy(raise, number)->zone] |= CONCERN_UPLINKS;
}

/* Zones whose internet gateway has a route table. */
static void mark_edges(struct raise *raise, const struct placement *placement)
{
	for (uint32_t number = 1; number < placement->nr_gateways; number++)
		if (placement->gateways[number].kind == GATEWAY_EDGE &&
		    (placement->gateways[number].table[0] || placement->gateways[number].table[1]))
			raise->zones[placement->gateways[number].zone[0]] |= CONCERN_EDGE;
}

static void concern_association(struct raise *raise, const struct entry *entry)
{
	uint32_t number = entry ? entry->value[0] : 0;
	const struct port_policy *policies[] = {old_policy(raise, number), new_policy(raise, number)};

	concern_owner(raise, entry);
	for (size_t i = 0; number && i < ARRAY_SIZE(policies); i++)
		if (policies[i]->kind == PORT_NAT || raise->zones[policies[i]->zone] & CONCERN_EDGE)
			raise->zones[policies[i]->zone] |= CONCERN_PORTS;
}

static void concern_entries(struct raise *raise)
{
	const struct plan *plan = raise->plan;

	for (size_t i = 0; i < plan->nr_entries[ENTRY_ADDRESS]; i++) {
		const struct plan_entry *change = &plan->entries[ENTRY_ADDRESS][i];

		raise->zones[entry_zone(change->old ? change->old : change->new)] |= CONCERN_PORTS;
		concern_owner(raise, change->old);
		concern_owner(raise, change->new);
	}
	for (size_t i = 0; i < plan->nr_entries[ENTRY_ASSOCIATION]; i++) {
		concern_association(raise, plan->entries[ENTRY_ASSOCIATION][i].old);
		concern_association(raise, plan->entries[ENTRY_ASSOCIATION][i].new);
	}
	for (size_t i = 0; i < plan->nr_entries[ENTRY_MAC]; i++) {
		const struct plan_entry *change = &plan->entries[ENTRY_MAC][i];
		struct mac_key key;

		memcpy(&key, change->old ? change->old->key : change->new->key, sizeof(key));
		raise->subnets[key.subnet] = 1;
	}
}

static void concern_realm(struct raise *raise, const struct gateway_policy *gateway)
{
	if (gateway->kind != GATEWAY_NONE)
		raise->zones[gateway->realm] |= CONCERN_PORTS;
}

/* Gateways that changed, or whose subnets did. */
static void concern_gateways(struct raise *raise, const struct placement *placement)
{
	const struct plan *plan = raise->plan;

	for (size_t i = 0; i < plan->nr_gateways; i++)
		if (plan->gateways[i] < placement->nr_gateways)
			concern_realm(raise, &placement->gateways[plan->gateways[i]]);
	for (uint32_t number = 1; number < placement->nr_gateways; number++) {
		const struct gateway_policy *gateway = &placement->gateways[number];

		for (uint32_t i = 0; gateway->kind == GATEWAY_ATTACHMENT && i < gateway->nr; i++)
			if (raise->subnets[gateway->members[i]])
				concern_realm(raise, gateway);
	}
	for (uint32_t number = 1; plan->nr_subnets && number < placement->nr_ports; number++) {
		const struct port_policy *policy = &placement->ports[number].policy;

		if (policy->kind == PORT_NAT && raise->subnets[policy->subnet])
			raise->zones[policy->zone] |= CONCERN_PORTS;
	}
}

static void spread_over_realms(struct raise *raise)
{
	for (uint32_t zone = 0; zone <= raise->nr_zones; zone++)
		if (raise->zones[zone] & CONCERN_PORTS)
			raise->zones[realm_of(raise, zone)] |= CONCERN_REALM;
}

/* An uplink of a transit gateway is in no zone, but in a realm. */
static bool hop_concerns(const struct raise *raise, const struct placement *placement, const struct port_policy *policy)
{
	if (!policy->hop || policy->hop >= placement->nr_gateways)
		return false;
	return raise->zones[realm_of(raise, placement->gateways[policy->hop].realm)] & CONCERN_REALM;
}

static bool zone_concerns(const struct raise *raise, const struct port_policy *policy)
{
	if (policy->kind == PORT_NONE)
		return false;
	return (raise->zones[realm_of(raise, policy->zone)] & CONCERN_REALM) ||
	       ((raise->zones[policy->zone] & CONCERN_UPLINKS) && policy->kind == PORT_UPLINK);
}

static bool concerned(const struct raise *raise, uint32_t number)
{
	const struct port_policy *old = old_policy(raise, number), *new = new_policy(raise, number);

	if (old->kind == PORT_NONE && new->kind == PORT_NONE)
		return false;
	return raise->plan->router_mac || raise->ports[number] || raise->subnets[old->subnet] ||
	       raise->subnets[new->subnet] || zone_concerns(raise, old) || zone_concerns(raise, new) ||
	       hop_concerns(raise, raise->current, old) || hop_concerns(raise, &raise->plan->next, new);
}

/* Whether something concerns more ports than those that are marked one by one. */
static bool concerns_many(const struct raise *raise)
{
	if (!raise->touched || raise->plan->router_mac || raise->plan->nr_subnets)
		return true;
	for (uint32_t zone = 0; zone <= raise->nr_zones; zone++)
		if (raise->zones[zone] & ~CONCERN_EDGE)
			return true;
	return false;
}

static void raise_port(struct raise *raise, uint32_t number)
{
	struct plan *plan = raise->plan;
	bool raised = concerned(raise, number);

	plan->next.ports[number].policy.epoch += raised;
	if (raised ||
	    raise->ports[number]) /* a number of nobody has no epoch to raise, but may be of nobody in two ways */
		plan->raised[plan->nr_raised++] = number;
}

static int raise_concerned(struct raise *raise)
{
	struct plan *plan = raise->plan;
	bool many = concerns_many(raise);

	plan->raised = calloc(many ? plan->next.nr_ports : raise->nr_touched + 1, sizeof(*plan->raised));
	if (!plan->raised)
		return -ENOMEM;
	for (uint32_t number = 1; many && number < plan->next.nr_ports; number++)
		raise_port(raise, number);
	for (size_t i = 0; !many && i < raise->nr_touched; i++)
		raise_port(raise, raise->touched[i]);
	return 0;
}

int plan_raise_epochs(const struct placement *current, struct plan *plan, const uint32_t *touched, size_t nr_touched)
{
	struct placement *next = &plan->next;
	struct raise raise = {.current = current, .plan = plan, .touched = touched, .nr_touched = nr_touched};
	_cleanup_free_ uint8_t *ports = calloc(next->nr_ports, 1);
	_cleanup_free_ uint8_t *subnets = calloc(next->nr_subnets, 1);
	_cleanup_free_ uint8_t *zones = NULL;
	_cleanup_free_ uint32_t *realms = NULL;

	if (next->shape && next->shape == current->shape) { /* nothing has moved to another */
		next->highest_zone = current->highest_zone;
	} else {
		highest_zone(current, &raise.nr_zones);
		highest_zone(next, &next->highest_zone);
	}
	if (next->highest_zone > raise.nr_zones)
		raise.nr_zones = next->highest_zone;
	zones = calloc((size_t)raise.nr_zones + 1, 1);
	realms = calloc((size_t)raise.nr_zones + 1, sizeof(*realms));
	if (!ports || !subnets || !zones || !realms)
		return -ENOMEM;
	for (uint32_t zone = 0; zone <= raise.nr_zones; zone++)
		realms[zone] = zone;
	raise.realms = realms;
	join_realms(&raise, current);
	join_realms(&raise, next);
	raise.ports = ports;
	raise.subnets = subnets;
	raise.zones = zones;
	for (size_t i = 0; i < plan->nr_subnets; i++)
		raise.subnets[plan->subnets[i].number] = 1;
	raise.subnets[0] = 0;
	mark_edges(&raise, current);
	mark_edges(&raise, next);
	concern_ports(&raise);
	concern_entries(&raise);
	concern_gateways(&raise, current);
	concern_gateways(&raise, next);
	spread_over_realms(&raise);
	return raise_concerned(&raise);
}
