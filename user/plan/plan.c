/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers and values of everything in an image, and the comparison with what is placed. */
#include "plan/planner.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

/* Room for a copy of `nr` elements and `extra` more; never an empty allocation. */
static void *copy_array(const void *from, size_t nr, size_t extra, size_t size)
{
	void *copy = calloc(nr + extra + 1, size);

	if (copy && nr)
		memcpy(copy, from, nr * size);
	return copy;
}

static int start_next(struct planner *planner)
{
	const struct placement *current = planner->current;
	const struct image *image = planner->image;
	struct placement *next = &planner->plan->next;

	*next = (struct placement){
		.nr_ports = current->nr_ports, .nr_subnets = current->nr_subnets, .nr_gateways = current->nr_gateways};
	memcpy(next->router_mac, image->router_mac, sizeof(next->router_mac));
	next->ports = copy_array(current->ports, current->nr_ports, image->nr_ports, sizeof(*next->ports));
	next->subnets = copy_array(current->subnets, current->nr_subnets, image->nr_subnets, sizeof(*next->subnets));
	next->gateways = calloc(current->nr_gateways + image->nr_gateways, sizeof(*next->gateways));
	next->objects = calloc(image->nr_objects + 1, sizeof(*next->objects));
	next->tables = calloc(image->nr_tables + 1, sizeof(*next->tables));
	if (!next->ports || !next->subnets || !next->gateways || !next->objects || !next->tables)
		return -ENOMEM;
	if (arena_copy(&next->lines, &current->lines) < 0 || arena_copy(&next->rules, &current->rules) < 0 ||
	    arena_copy(&next->table_numbers, &current->table_numbers) < 0)
		return -ENOMEM;
	return 0;
}

static int start(struct planner *planner)
{
	const struct image *image = planner->image;
	struct plan *plan = planner->plan;

	planner->lines = calloc(image->nr_objects + 1, sizeof(*planner->lines));
	planner->tables = calloc(image->nr_tables + 1, sizeof(*planner->tables));
	planner->subnets = calloc(image->nr_subnets + 1, sizeof(*planner->subnets));
	planner->gateways = calloc(image->nr_gateways + 1, sizeof(*planner->gateways));
	plan->port_numbers = calloc(image->nr_ports + 1, sizeof(*plan->port_numbers));
	plan->objects = calloc(image->nr_objects + 1, sizeof(*plan->objects));
	plan->tables = calloc(image->nr_tables + 1, sizeof(*plan->tables));
	plan->old_tables = calloc(planner->current->nr_tables + 1, sizeof(void *));
	if (!planner->lines || !planner->tables || !planner->subnets || !planner->gateways || !plan->port_numbers ||
	    !plan->objects || !plan->tables || !plan->old_tables)
		return -ENOMEM;
	return start_next(planner);
}

/* A range of decision numbers; none for what has no rules. */
static int take_rules(struct planner *planner, uint32_t nr, uint32_t *ret_base)
{
	int r;

	*ret_base = 0;
	if (!nr)
		return 0;
	r = arena_take_next(&planner->plan->next.rules, nr, ret_base);
	if (r == -ENOSPC)
		return refuse(planner->ret_why, r, "out of rule numbers: %u more needed, %llu of %u left", nr,
			      (unsigned long long)arena_left(&planner->plan->next.rules), RULE_NUMBER_MAX);
	return r;
}

static int place_object(struct planner *planner, size_t index)
{
	const struct image_object *object = &planner->image->objects[index];
	const struct placed_object *placed = placement_object(planner->current, &object->hash);
	struct plan *plan = planner->plan;
	struct placed_object new = {.hash = object->hash, .nr_lines = object->nr_lines, .nr_rules = object->nr_rules};
	int r;

	if (placed) {
		plan->next.objects[plan->next.nr_objects++] = *placed;
		planner->lines[index] = placed->line;
		return 0;
	}
	r = arena_take(&plan->next.lines, object->nr_lines, &new.line);
	if (r == -ENOSPC)
		return refuse(planner->ret_why, r,
			      "map policy is full: an object of %u lines does not fit, %llu lines are free",
			      object->nr_lines, (unsigned long long)arena_left(&plan->next.lines));
	if (r >= 0)
		r = take_rules(planner, object->nr_rules, &new.rule_base);
	if (r < 0)
		return r;
	plan->next.objects[plan->next.nr_objects++] = new;
	plan->objects[plan->nr_objects++] =
		(struct plan_object){.image = (uint32_t)index, .line = new.line, .rule_base = new.rule_base};
	planner->lines[index] = new.line;
	return 0;
}

static struct table_routes *routes_of(const struct image_table *table)
{
	struct table_routes *routes = table_routes_new(table->nr_routes);

	for (size_t i = 0; routes && i < table->nr_routes; i++) {
		routes->cidrs[i] = table->routes[i].cidr;
		if (table->routes[i].cidr.family == 4)
			routes->nr4++;
		else
			routes->nr6++;
	}
	return routes;
}

static int place_table(struct planner *planner, size_t index)
{
	const struct image_table *table = &planner->image->tables[index];
	const struct placed_table *placed = placement_table(planner->current, &table->hash);
	struct plan *plan = planner->plan;
	struct placed_table new = {.hash = table->hash, .nr_rules = table->nr_rules};
	int r;

	if (placed) {
		struct placed_table *kept = &plan->next.tables[plan->next.nr_tables++];

		*kept = *placed;
		kept->routes = table_routes_ref(placed->routes);
		planner->tables[index] = placed->number;
		return 0;
	}
	r = arena_take_next(&plan->next.table_numbers, 1, &new.number);
	if (r == -ENOSPC)
		return refuse(planner->ret_why, r, "map tables is full: %d route table versions at the most",
			      TABLES_MAX);
	if (r >= 0)
		r = take_rules(planner, table->nr_rules, &new.rule_base);
	if (r < 0)
		return r;
	new.routes = routes_of(table);
	if (!new.routes)
		return -ENOMEM;
	plan->next.tables[plan->next.nr_tables++] = new;
	plan->tables[plan->nr_tables++] =
		(struct plan_table){.image = (uint32_t)index, .number = new.number, .rule_base = new.rule_base};
	planner->tables[index] = new.number;
	return 0;
}

/* While the flip is under way the routes of both generations stand in the map. */
static int check_routes(struct planner *planner)
{
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;
	uint64_t nr4 = current->nr_routes4, nr6 = current->nr_routes6;

	for (size_t i = 0; i < plan->next.nr_tables; i++) {
		const struct table_routes *routes = plan->next.tables[i].routes;

		plan->next.nr_routes4 += routes->nr4;
		plan->next.nr_routes6 += routes->nr6;
		if (!placement_table(current, &plan->next.tables[i].hash)) {
			nr4 += routes->nr4;
			nr6 += routes->nr6;
		}
	}
	if (nr4 > ROUTES_MAX || nr6 > ROUTES_MAX)
		return refuse(planner->ret_why, -ENOSPC,
			      "map %s is full: %llu routes, old and new together, and %d is the most",
			      nr4 > ROUTES_MAX ? "routes4" : "routes6",
			      (unsigned long long)(nr4 > ROUTES_MAX ? nr4 : nr6), ROUTES_MAX);
	return 0;
}

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
			return refuse(planner->ret_why, -ENOSPC, "map ports is full: '%s' is one port more than %d", id,
				      PORTS_MAX - 1);
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

static int number_ports(struct planner *planner)
{
	const struct image *image = planner->image;
	struct plan *plan = planner->plan;
	_cleanup_free_ bool *in_image = calloc(PORTS_MAX, sizeof(*in_image));

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

static bool subnet_is_empty(const struct subnet_policy *policy)
{
	static const struct subnet_policy none;

	return !memcmp(policy, &none, sizeof(none));
}

static int number_subnets(struct planner *planner)
{
	struct placement *next = &planner->plan->next;
	const struct image *image = planner->image;

	for (size_t i = 0; i < image->nr_subnets; i++) {
		uint32_t number = placement_subnet(planner->current, image->subnets[i].id);

		if (!number) {
			if (next->nr_subnets == SUBNETS_MAX)
				return refuse(planner->ret_why, -ENOSPC,
					      "map subnets is full: '%s' is one subnet more than %d",
					      image->subnets[i].id, SUBNETS_MAX - 1);
			number = next->nr_subnets++;
			strncpy(next->subnets[number].id, image->subnets[i].id, ID_MAX - 1);
		}
		planner->subnets[i] = number;
	}
	return 0;
}

static uint32_t line_of(const struct planner *planner, uint32_t object)
{
	return object == IMAGE_NONE ? 0 : planner->lines[object];
}

static struct subnet_policy subnet_policy(const struct planner *planner, const struct image_subnet *subnet)
{
	struct subnet_policy policy;

	memset(&policy, 0, sizeof(policy));
	policy.nacl_in = line_of(planner, subnet->nacl_in);
	policy.nacl_out = line_of(planner, subnet->nacl_out);
	policy.table = subnet->table == IMAGE_NONE ? 0 : planner->tables[subnet->table];
	policy.zone = subnet->zone;
	policy.az = subnet->az;
	policy.net4 = subnet->net4;
	policy.mask4 = subnet->mask4;
	policy.router4 = subnet->router4;
	policy.resolver4 = subnet->resolver4;
	policy.nr_cidrs6 = subnet->nr_cidrs6;
	memcpy(policy.cidrs6, subnet->cidrs6, subnet->nr_cidrs6 * sizeof(*policy.cidrs6));
	return policy;
}

static struct port_policy port_policy(const struct planner *planner, const struct image_port *port)
{
	struct port_policy policy;

	memset(&policy, 0, sizeof(policy));
	policy.zone = port->zone;
	policy.subnet = port->subnet == IMAGE_NONE ? 0 : planner->subnets[port->subnet];
	policy.sg_in = line_of(planner, port->sg_in);
	policy.sg_out = line_of(planner, port->sg_out);
	policy.identity = port->identity;
	policy.tcp_established_s = port->tcp_established_s;
	policy.udp_s = port->udp_s;
	policy.udp_stream_s = port->udp_stream_s;
	memcpy(policy.mac, port->mac, sizeof(policy.mac));
	policy.kind = (uint8_t)port->kind;
	policy.mode = (uint8_t)port->mode;
	policy.flags = port->flags;
	policy.gateway = port->gateway;
	policy.hop = port->hop ? planner->gateways[port->hop - 1] : 0;
	policy.primary4 = port->primary4;
	return policy;
}

static int compare_subnets(struct planner *planner)
{
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;
	struct placement *next = &plan->next;

	for (uint32_t number = 1; number < next->nr_subnets; number++)
		memset(&next->subnets[number].policy, 0, sizeof(next->subnets[number].policy));
	for (size_t i = 0; i < planner->image->nr_subnets; i++)
		next->subnets[planner->subnets[i]].policy = subnet_policy(planner, &planner->image->subnets[i]);
	plan->subnets = calloc(next->nr_subnets, sizeof(*plan->subnets));
	if (!plan->subnets)
		return -ENOMEM;
	for (uint32_t number = 1; number < next->nr_subnets; number++) {
		bool named = number >= current->nr_subnets;

		if (named ? subnet_is_empty(&next->subnets[number].policy)
			  : !memcmp(&current->subnets[number].policy, &next->subnets[number].policy,
				    sizeof(struct subnet_policy)))
			continue;
		plan->subnets[plan->nr_subnets++] = (struct plan_subnet){.number = number, .named = named};
	}
	return 0;
}

static void want_ports(struct planner *planner)
{
	struct placement *next = &planner->plan->next;

	for (uint32_t number = 1; number < next->nr_ports; number++) {
		struct port_policy none;

		memset(&none, 0, sizeof(none));
		none.epoch = next->ports[number].policy.epoch; /* P2 */
		next->ports[number].policy = none;
	}
	for (size_t i = 0; i < planner->image->nr_ports; i++) {
		struct port_policy *policy = &next->ports[planner->plan->port_numbers[i]].policy;
		uint32_t epoch = policy->epoch;

		*policy = port_policy(planner, &planner->image->ports[i]);
		policy->epoch = epoch;
	}
}

/* Runs after the epochs were raised: whatever concerns a port differs in its epoch. */
static int compare_ports(struct planner *planner)
{
	static const struct placed_port nobody;
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;

	plan->ports = calloc(plan->next.nr_ports, sizeof(*plan->ports));
	if (!plan->ports)
		return -ENOMEM;
	for (uint32_t number = 1; number < plan->next.nr_ports; number++) {
		const struct placed_port *old = number < current->nr_ports ? &current->ports[number] : &nobody;
		const struct placed_port *new = &plan->next.ports[number];
		struct port_policy policy = new->policy;
		struct plan_port change = {.number = number};

		if (!memcmp(&old->policy, &policy, sizeof(policy)))
			continue;
		policy.epoch = old->policy.epoch;
		change.epoch_only = !memcmp(&old->policy, &policy, sizeof(policy));
		change.named = strcmp(old->id, new->id) != 0;
		change.fell = old->policy.kind != PORT_NONE &&
			      (policy.kind != old->policy.kind ||
			       ((old->policy.flags & PORT_LIVE) && !(policy.flags & PORT_LIVE)));
		plan->ports[plan->nr_ports++] = change;
		plan->changed += !change.epoch_only;
	}
	return 0;
}

/* Give back the lines, numbers and rules of what the image does not have any more. */
static int retire(struct planner *planner)
{
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;
	struct placement *next = &plan->next;
	int r = 0;

	for (size_t i = 0; i < current->nr_objects && !r; i++) {
		const struct placed_object *object = &current->objects[i];

		if (placement_object(next, &object->hash))
			continue;
		r = arena_give(&next->lines, object->line, object->nr_lines);
		if (!r && object->nr_rules)
			r = arena_give(&next->rules, object->rule_base, object->nr_rules);
	}
	for (size_t i = 0; i < current->nr_tables && !r; i++) {
		const struct placed_table *table = &current->tables[i];

		if (placement_table(next, &table->hash))
			continue;
		plan->old_tables[plan->nr_old_tables++] = table;
		r = arena_give(&next->table_numbers, table->number, 1);
		if (!r && table->nr_rules)
			r = arena_give(&next->rules, table->rule_base, table->nr_rules);
	}
	return r;
}

static void want_addresses(const struct planner *planner, struct entry *entries)
{
	for (size_t i = 0; i < planner->image->nr_addresses; i++) {
		const struct image_address *address = &planner->image->addresses[i];

		memcpy(entries[i].key, &address->key, sizeof(address->key));
		entries[i].value[0] = planner->plan->port_numbers[address->port];
	}
}

static void want_associations(const struct planner *planner, struct entry *entries)
{
	for (size_t i = 0; i < planner->image->nr_associations; i++) {
		const struct image_association *association = &planner->image->associations[i];

		memcpy(entries[i].key, &association->key, sizeof(association->key));
		entries[i].value[0] = planner->plan->port_numbers[association->port];
		entries[i].value[1] = association->other;
	}
}

static void want_macs(const struct planner *planner, struct entry *entries)
{
	for (size_t i = 0; i < planner->image->nr_macs; i++) {
		const struct image_mac *mac = &planner->image->macs[i];
		struct mac_key key;

		memset(&key, 0, sizeof(key));
		key.subnet = planner->subnets[mac->subnet];
		memcpy(key.mac, mac->mac, sizeof(key.mac));
		memcpy(entries[i].key, &key, sizeof(key));
		entries[i].value[0] = planner->plan->port_numbers[mac->port];
	}
}

static int want_entries(struct planner *planner)
{
	const struct image *image = planner->image;
	const size_t nr[ENTRY_KINDS] = {image->nr_addresses, image->nr_associations, image->nr_macs};
	struct entry_list *lists = planner->plan->next.entries;

	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		lists[kind].entries = calloc(nr[kind] + 1, sizeof(struct entry));
		if (!lists[kind].entries)
			return -ENOMEM;
		lists[kind].nr = nr[kind];
	}
	want_addresses(planner, lists[ENTRY_ADDRESS].entries);
	want_associations(planner, lists[ENTRY_ASSOCIATION].entries);
	want_macs(planner, lists[ENTRY_MAC].entries);
	return 0;
}

/* Merge two sorted lists into what comes, goes and changes. */
static int compare_entries(struct planner *planner, int kind)
{
	const struct entry_list *old = &planner->current->entries[kind], *new = &planner->plan->next.entries[kind];
	struct plan *plan = planner->plan;
	size_t i = 0, j = 0, coming = 0;

	plan->entries[kind] = calloc(old->nr + new->nr + 1, sizeof(struct plan_entry));
	if (!plan->entries[kind])
		return -ENOMEM;
	while (i < old->nr || j < new->nr) {
		int order = i == old->nr ? 1 : j == new->nr ? -1 : 0;
		struct plan_entry change = {};

		if (!order)
			order = memcmp(old->entries[i].key, new->entries[j].key, ENTRY_KEY_MAX);
		if (order <= 0)
			change.old = &old->entries[i++];
		if (order >= 0)
			change.new = &new->entries[j++];
		if (change.old && change.new && !memcmp(change.old->value, change.new->value, ENTRY_VALUE_MAX))
			continue;
		coming += !change.old;
		plan->entries[kind][plan->nr_entries[kind]++] = change;
	}
	if (old->nr + coming > entry_classes[kind].max)
		return refuse(planner->ret_why, -ENOSPC,
			      "map %s is full: %zu entries, old and new together, and %u is the most",
			      entry_classes[kind].map, old->nr + coming, entry_classes[kind].max);
	plan->changed += (uint32_t)plan->nr_entries[kind];
	return 0;
}

static int place(struct planner *planner)
{
	const struct image *image = planner->image;
	int r = start(planner);

	for (size_t i = 0; i < image->nr_objects && !r; i++)
		r = place_object(planner, i);
	for (size_t i = 0; i < image->nr_tables && !r; i++)
		r = place_table(planner, i);
	if (!r)
		r = number_ports(planner);
	if (!r)
		r = number_subnets(planner);
	if (!r)
		r = plan_number_gateways(planner);
	return r;
}

static int compare(struct planner *planner)
{
	struct plan *plan = planner->plan;
	int r = compare_subnets(planner);

	if (!r)
		r = plan_compare_gateways(planner);
	if (!r)
		r = want_entries(planner);
	if (!r) {
		want_ports(planner);
		r = placement_sort_like(&plan->next, planner->current);
	}
	if (!r)
		r = check_routes(planner);
	for (int kind = 0; kind < ENTRY_KINDS && !r; kind++)
		r = compare_entries(planner, kind);
	plan->router_mac = memcmp(planner->current->router_mac, planner->image->router_mac, 6) != 0;
	if (!r)
		r = plan_raise_epochs(planner->current, plan);
	if (!r)
		r = compare_ports(planner);
	if (!r)
		r = retire(planner);
	plan->changed += (uint32_t)(plan->nr_objects + plan->nr_tables + plan->nr_subnets + plan->nr_gateways +
				    plan->router_mac);
	return r;
}

int plan_make(const struct placement *current, const struct image *image, struct plan **ret, char **ret_why)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	struct planner planner = {.current = current, .image = image, .plan = plan, .ret_why = ret_why};
	int r;

	if (!plan)
		return -ENOMEM;
	r = place(&planner);
	if (!r)
		r = compare(&planner);
	free(planner.lines);
	free(planner.tables);
	free(planner.subnets);
	free(planner.gateways);
	if (r < 0) {
		plan_free(&plan);
		return r;
	}
	*ret = plan;
	return 0;
}

bool plan_is_empty(const struct plan *plan)
{
	size_t writes = plan->nr_objects + plan->nr_tables + plan->nr_ports + plan->nr_subnets + plan->nr_gateways +
			plan->nr_old_tables;

	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		writes += plan->nr_entries[kind];
	return !writes && !plan->router_mac;
}

void plan_commit(struct placement *current, struct plan *plan)
{
	placement_done(current);
	*current = plan->next;
	plan->next = (struct placement){};
}

void plan_free(struct plan **plan)
{
	struct plan *old = *plan;

	if (!old)
		return;
	placement_done(&old->next);
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		free(old->entries[kind]);
	free(old->objects);
	free(old->tables);
	free(old->ports);
	free(old->subnets);
	free(old->gateways);
	free(old->old_tables);
	free(old->port_numbers);
	free(old);
	*plan = NULL;
}

struct route plan_route(const struct plan *plan, const struct image_table *table, size_t index, uint32_t rule_base)
{
	const struct image_route *route = &table->routes[index];

	return (struct route){
		.kind = route->kind,
		.target = route->target == IMAGE_NONE ? 0 : plan->port_numbers[route->target],
		.rule = rule_base + route->rule,
	};
}
