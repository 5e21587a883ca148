/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NetworkAcls: entries by number, and which ACL each subnet has (NACL-01..NACL-08, VPC-16, VPC-17). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

#define NUMBER_LAST 32766 /* NACL-03: above it stand the implied denies */
#define IP_TCP      6
#define IP_UDP      17
#define IP_ICMP     1
#define IP_ICMP6    58

/* NACL-06, NACL-07 */
static bool parse_ports(struct load *load, struct item *item, const char *path, const json_t *json,
			struct nacl_entry *entry)
{
	const json_t *range = json_object_get(json, "PortRange");

	if (!range) {
		state_error(load, item, path, "PortRange is missing");
		return false;
	}
	entry->from = (int)get_int(range, "From", -1);
	entry->to = (int)get_int(range, "To", -1);
	if (entry->from < 0 || entry->to < 0)
		state_error(load, item, path, "port range %d to %d is not within 0..65535", entry->from, entry->to);
	else if (entry->from > entry->to)
		state_error(load, item, path, "port range %d-%d is empty", entry->from, entry->to);
	else
		return true;
	return false;
}

/* NACL-08: ICMP of the entry's own family needs type and code; of the other family, all types. */
static bool parse_icmp(struct load *load, struct item *item, const char *path, const json_t *json,
		       struct nacl_entry *entry)
{
	const json_t *icmp = json_object_get(json, "IcmpTypeCode");
	bool own = (entry->protocol == IP_ICMP) == (entry->cidr.family == 4);

	entry->from = -1;
	entry->to = -1;
	if (!own)
		return true;
	if (!icmp) {
		state_error(load, item, path, "IcmpTypeCode is missing");
		return false;
	}
	entry->from = (int)get_int(icmp, "Type", -1);
	entry->to = (int)get_int(icmp, "Code", -1);
	if (entry->from == -1 && entry->to != -1) {
		state_error(load, item, path, "ICMP code %d without a type", entry->to);
		return false;
	}
	return true;
}

static bool parse_cidr(struct load *load, struct item *item, const char *path, const json_t *json, struct cidr *ret)
{
	struct cidr cidr4 = {}, cidr6 = {};
	bool has4 = get_cidr(json, "CidrBlock", &cidr4), has6 = get_cidr(json, "Ipv6CidrBlock", &cidr6);

	if (has4 == has6) {
		state_error(load, item, path, "has %s CidrBlock %s Ipv6CidrBlock", has4 ? "both" : "neither",
			    has4 ? "and" : "nor");
		return false;
	}
	*ret = has4 ? cidr4 : cidr6;
	return true;
}

static bool parse_entry(struct load *load, struct item *item, const char *path, const json_t *json,
			struct nacl_entry *entry)
{
	entry->number = (int)get_int(json, "RuleNumber", 0);
	entry->allow = get_is(json, "RuleAction", "allow");
	entry->protocol = (int)get_int(json, "Protocol", PROTOCOL_ANY);
	entry->to = 65535;
	if (entry->number > NUMBER_LAST && entry->allow) {
		state_error(load, item, path, "RuleNumber %d is that of an implied deny", entry->number);
		return false;
	}
	if (!parse_cidr(load, item, path, json, &entry->cidr))
		return false;
	if (entry->protocol == IP_TCP || entry->protocol == IP_UDP)
		return parse_ports(load, item, path, json, entry);
	if (entry->protocol == IP_ICMP || entry->protocol == IP_ICMP6)
		return parse_icmp(load, item, path, json, entry);
	return true;
}

static int compare_entries(const void *a, const void *b)
{
	const struct nacl_entry *x = a, *y = b;

	return x->number - y->number;
}

static bool entries_equal(const struct nacl_entry *a, const struct nacl_entry *b)
{
	return a->allow == b->allow && a->protocol == b->protocol && a->from == b->from && a->to == b->to &&
	       !cidr_compare(&a->cidr, &b->cidr);
}

/* A number stands once in each direction; the same entry twice counts as one. */
static size_t sort_entries(struct load *load, struct item *item, bool egress, struct nacl_entry *entries, size_t nr)
{
	size_t kept = 0;

	if (nr)
		qsort(entries, nr, sizeof(*entries), compare_entries);
	for (size_t i = 0; i < nr; i++) {
		if (!kept || entries[kept - 1].number != entries[i].number)
			entries[kept++] = entries[i];
		else if (!entries_equal(&entries[kept - 1], &entries[i]))
			state_error(load, item, "Entries", "RuleNumber %d stands twice for %s traffic",
				    entries[i].number, egress ? "egress" : "ingress");
	}
	return kept;
}

void remake_nacl(struct load *load, struct item *item, struct nacl *nacl)
{
	const json_t *list = json_object_get(item->json, "Entries"), *json;
	size_t index, room = json_array_size(list) + 1;

	nacl->nr_in = nacl->nr_out = 0;
	nacl->in = ARENA_ARRAY(load->arena, room, struct nacl_entry);
	nacl->out = ARENA_ARRAY(load->arena, room, struct nacl_entry);
	json_array_foreach (list, index, json) {
		struct nacl_entry entry = {};
		char path[64];

		snprintf(path, sizeof(path), "Entries[%zu]", index);
		if (!json_is_object(json) || !parse_entry(load, item, path, json, &entry) || entry.number > NUMBER_LAST)
			continue;
		if (get_flag(json, "Egress", false))
			nacl->out[nacl->nr_out++] = entry;
		else
			nacl->in[nacl->nr_in++] = entry;
	}
	nacl->nr_in = sort_entries(load, item, false, nacl->in, nacl->nr_in);
	nacl->nr_out = sort_entries(load, item, true, nacl->out, nacl->nr_out);
}

static void associate(struct load *load, struct item *item, struct nacl *nacl)
{
	const json_t *association;
	size_t index;

	json_array_foreach (json_object_get(item->json, "Associations"), index, association) {
		const char *id = get_text(load, association, "SubnetId");
		struct vpc_subnet *subnet = find_subnet(load, item, id, "the association has no effect");

		if (!subnet)
			continue;
		if (subnet->vpc && nacl->vpc && subnet->vpc != nacl->vpc)
			state_error(load, item, "Associations", "SubnetId %s is a subnet of another VPC", id);
		else if (subnet->nacl && subnet->nacl != nacl)
			state_error(load, item, "Associations", "SubnetId %s is associated with %s, too", id,
				    subnet->nacl->id);
		else
			subnet->nacl = nacl;
	}
}

/* VPC-16, VPC-17: the default ACL of a VPC serves its other subnets. */
static void apply_defaults(struct load *load)
{
	struct state *state = load->state;
	struct nacl **by_vpc = ARENA_ARRAY(load->arena, state->nr_vpcs + 1, struct nacl *);

	for (size_t i = 0; i < state->nr_nacls; i++) {
		struct nacl *nacl = &state->nacls[i];
		struct nacl **slot = nacl->vpc ? &by_vpc[nacl->vpc - state->vpcs] : NULL;

		if (!nacl->is_default || !slot)
			continue;
		if (*slot)
			state_error(load, &load->lists[LIST_NETWORK_ACLS].item[i], "",
				    "%s has the default ACL %s already", nacl->vpc->id, (*slot)->id);
		*slot = nacl;
	}
	for (size_t i = 0; i < state->nr_subnets; i++) {
		struct vpc_subnet *subnet = &state->subnets[i];

		if (subnet->vpc && !subnet->nacl)
			subnet->nacl = by_vpc[subnet->vpc - state->vpcs];
	}
}

void load_nacls(struct load *load)
{
	struct items *items = &load->lists[LIST_NETWORK_ACLS];
	struct state *state = load->state;

	state->nacls = ARENA_ARRAY(load->arena, items->nr + 1, struct nacl);
	state->nr_nacls = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct nacl *nacl = &state->nacls[i];

		nacl->id = item->id;
		nacl->vpc = find_vpc(load, item, get_text(load, item->json, "VpcId"),
				     "the ACL serves no subnet by default");
		nacl->is_default = get_flag(item->json, "IsDefault", false);
		remake_nacl(load, item, nacl);
		associate(load, item, nacl);
	}
	apply_defaults(load);
}
