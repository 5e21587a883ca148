/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers and values of everything in an image, and the comparison with what is placed. */
#include "plan/planner.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

/* Room for a copy of `nr` elements and `extra` more; never an empty allocation. */
static void *copy_array(const void *from, size_t nr, size_t extra, size_t size)
{
	char *copy = reallocarray(NULL, nr + extra + 1, size);

	if (!copy)
		return NULL;
	if (nr)
		memcpy(copy, from, nr * size);
	memset(copy + nr * size, 0, (extra + 1) * size);
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
	next->ports = copy_array(current->ports, current->nr_ports, planner->same_shape ? 0 : image->nr_ports,
				 sizeof(*next->ports));
	next->subnets = copy_array(current->subnets, current->nr_subnets, planner->same_shape ? 0 : image->nr_subnets,
				   sizeof(*next->subnets));
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
	plan->old_objects = calloc(planner->current->nr_objects + 1, sizeof(void *));
	if (!planner->lines || !planner->tables || !planner->subnets || !planner->gateways || !plan->port_numbers ||
	    !plan->objects || !plan->tables || !plan->old_tables || !plan->old_objects)
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

static uint64_t lines_in_all(const struct placement *placement)
{
	uint64_t nr = arena_left(&placement->lines);

	for (size_t i = 0; i < placement->nr_objects; i++)
		nr += placement->objects[i].nr_lines;
	return nr;
}

/* Lists that are by hash and differ in little, walked side by side: what is looked for mostly stands where the last one
 * was found, or behind it. */
static const struct placed_object *find_object(const struct placement *placement, const struct content_hash *hash,
					       size_t *likely)
{
	const struct placed_object *found = placement->objects + *likely;

	if (*likely >= placement->nr_objects || memcmp(&found->hash, hash, sizeof(*hash)) != 0)
		found = placement_object(placement, hash);
	if (found)
		*likely = (size_t)(found - placement->objects) + 1;
	return found;
}

static int place_object(struct planner *planner, size_t index)
{
	const struct image_object *object = &planner->image->objects[index];
	const struct placed_object *placed = find_object(planner->current, &object->hash, &planner->next_object);
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
			      "map policy is full: an object of %u lines does not fit, %llu of %llu lines are free",
			      object->nr_lines, (unsigned long long)arena_left(&plan->next.lines),
			      (unsigned long long)lines_in_all(planner->current));
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

/* While the flip is under way. */
static size_t tables_in_all(const struct planner *planner)
{
	size_t nr = planner->current->nr_tables;

	for (size_t i = 0; i < planner->image->nr_tables; i++)
		nr += !placement_table(planner->current, &planner->image->tables[i].hash);
	return nr;
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
		return refuse(planner->ret_why, r,
			      "map tables is full: %zu route table versions, old and new together, and %d is the most",
			      tables_in_all(planner), TABLES_MAX - 1);
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

static bool subnet_is_empty(const struct subnet_policy *policy)
{
	static const struct subnet_policy none;

	return !memcmp(policy, &none, sizeof(none));
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
	policy.mirror = line_of(planner, port->mirror);
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

static void want_port(struct planner *planner, uint32_t index)
{
	struct port_policy *policy = &planner->plan->next.ports[planner->plan->port_numbers[index]].policy;
	uint32_t epoch = policy->epoch;

	*policy = port_policy(planner, &planner->image->ports[index]);
	policy->epoch = epoch;
}

static void want_ports(struct planner *planner)
{
	struct placement *next = &planner->plan->next;

	if (planner->few) {
		for (size_t i = 0; i < planner->image->nr_touched; i++)
			want_port(planner, planner->image->touched[i]);
		return;
	}
	for (uint32_t number = 1; number < next->nr_ports; number++) {
		struct port_policy none;

		memset(&none, 0, sizeof(none));
		none.epoch = next->ports[number].policy.epoch; /* P2 */
		next->ports[number].policy = none;
	}
	for (uint32_t i = 0; i < planner->image->nr_ports; i++)
		want_port(planner, i);
}

/* By number. ret: NULL = no memory */
static uint32_t *touched_ports(const struct planner *planner)
{
	size_t nr = planner->image->nr_touched;
	uint32_t *numbers = malloc((nr + 1) * sizeof(*numbers));

	for (size_t i = 0; i < nr && numbers; i++)
		numbers[i] = planner->plan->port_numbers[planner->image->touched[i]];
	return numbers;
}

static int raise_epochs(struct planner *planner)
{
	_cleanup_free_ uint32_t *touched = NULL;

	if (planner->few) {
		touched = touched_ports(planner);
		if (!touched)
			return -ENOMEM;
	}
	return plan_raise_epochs(planner->current, planner->plan, touched, planner->image->nr_touched);
}

/* Runs after the epochs were raised: whatever concerns a port differs in its epoch. */
static int compare_ports(struct planner *planner)
{
	static const struct placed_port nobody;
	const struct placement *current = planner->current;
	struct plan *plan = planner->plan;

	plan->ports = calloc(plan->nr_raised + 1, sizeof(*plan->ports));
	if (!plan->ports)
		return -ENOMEM;
	for (size_t i = 0; i < plan->nr_raised; i++) {
		uint32_t number = plan->raised[i];
		const struct placed_port *old = number < current->nr_ports ? &current->ports[number] : &nobody;
		const struct placed_port *new = &plan->next.ports[number];
		struct port_policy policy = new->policy;
		struct plan_port change = {.number = number};

		policy.epoch = old->policy.epoch;
		change.epoch_only = !memcmp(&old->policy, &policy, sizeof(policy));
		change.named = strcmp(old->id, new->id) != 0;
		change.fell = old->policy.kind != PORT_NONE &&
			      (policy.kind != old->policy.kind ||
			       ((old->policy.flags & PORT_LIVE) && !(policy.flags & PORT_LIVE)));
		plan->other_kinds |= policy.kind != old->policy.kind;
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
	size_t likely = 0;
	int r = 0;

	for (size_t i = 0; i < current->nr_objects && !r; i++) {
		const struct placed_object *object = &current->objects[i];

		if (find_object(next, &object->hash, &likely))
			continue;
		plan->old_objects[plan->nr_old_objects++] = object;
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
	int r = 0;

	for (int kind = 0; kind < ENTRY_KINDS && planner->same_shape; kind++)
		lists[kind] = entry_list_ref(&planner->current->entries[kind]);
	for (int kind = 0; kind < ENTRY_KINDS && !planner->same_shape && !r; kind++)
		r = entry_list_new(&lists[kind], nr[kind]);
	if (r || planner->same_shape)
		return r;
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

	if (old->entries == new->entries)
		return 0;
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

/* The next plan of an image of this shape needs to look up nothing. */
static int keep_shape(struct planner *planner)
{
	struct placement *next = &planner->plan->next;
	const struct image *image = planner->image;

	next->shape_ports = copy_array(planner->plan->port_numbers, image->nr_ports, 0, sizeof(uint32_t));
	next->shape_subnets = copy_array(planner->subnets, image->nr_subnets, 0, sizeof(uint32_t));
	next->shape_gateways = copy_array(planner->gateways, image->nr_gateways, 0, sizeof(uint32_t));
	next->nr_shape_ports = image->nr_ports;
	next->nr_shape_subnets = image->nr_subnets;
	next->nr_shape_gateways = image->nr_gateways;
	next->shape = image->shape;
	next->version = image->version;
	return next->shape_ports && next->shape_subnets && next->shape_gateways ? 0 : -ENOMEM;
}

static bool has_shape(const struct placement *current, const struct image *image)
{
	return image->shape && current->shape == image->shape && current->nr_shape_ports == image->nr_ports &&
	       current->nr_shape_subnets == image->nr_subnets && current->nr_shape_gateways == image->nr_gateways;
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
		r = plan_number_ports(planner);
	if (!r)
		r = plan_number_subnets(planner);
	if (!r)
		r = plan_number_gateways(planner);
	return r ? r : keep_shape(planner);
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
		r = placement_sort_like(&plan->next, planner->current, planner->same_shape);
	}
	if (!r)
		r = check_routes(planner);
	for (int kind = 0; kind < ENTRY_KINDS && !r; kind++)
		r = compare_entries(planner, kind);
	plan->router_mac = memcmp(planner->current->router_mac, planner->image->router_mac, 6) != 0;
	if (!r)
		r = raise_epochs(planner);
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
	planner.same_shape = has_shape(current, image);
	planner.few = planner.same_shape && image->before && image->before == current->version;
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
	free(old->raised);
	free(old->subnets);
	free(old->gateways);
	free(old->old_tables);
	free(old->old_objects);
	free(old->port_numbers);
	free(old);
	*plan = NULL;
}

struct route route_value(const struct image_route *route, uint32_t target, uint32_t rule_base)
{
	return (struct route){.kind = route->kind, .target = target, .rule = rule_base + route->rule};
}

struct route plan_route(const struct plan *plan, const struct image_table *table, size_t index, uint32_t rule_base)
{
	const struct image_route *route = &table->routes[index];

	return route_value(route, route->target == IMAGE_NONE ? 0 : plan->port_numbers[route->target], rule_base);
}
