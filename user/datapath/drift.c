/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "datapath/drift.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "datapath/drift_keys.h"
#include "datapath/internal.h"

#define CHUNK 64 /* array elements of a step */

struct drift {
	struct drift_walk walk;
	struct control kept; /* as it was in the beginning: what is set once */
	size_t phase, index, inner;
	uint32_t generation;
	bool judged_anew; /* this slice has to raise the epochs */
};

void drift_note(struct drift_walk *walk, const char *map, const char *what)
{
	walk->found->repaired++;
	walk->found->map = map;
	snprintf(walk->found->what, sizeof(walk->found->what), "%s", what);
}

/* ---- control */

static int check_control(struct drift *drift)
{
	struct datapath *datapath = drift->walk.datapath;
	struct control *control = datapath->control.at, wanted = drift->kept;
	uint32_t nr = 0;

	for (uint32_t number = 1; number < datapath->placement.nr_ports; number++)
		nr += datapath->placement.ports[number].policy.kind == PORT_ENI;
	flow_limits(&wanted, datapath->flows_max, nr);
	memcpy(wanted.router_mac, datapath->placement.router_mac, sizeof(wanted.router_mac));
	if (control->nr_buckets != wanted.nr_buckets ||
	    memcmp(control->secrets, wanted.secrets, sizeof(wanted.secrets)) != 0) {
		drift_note(&drift->walk, "control", "names");
		control->nr_buckets = wanted.nr_buckets;
		memcpy(control->secrets, wanted.secrets, sizeof(wanted.secrets));
	}
	if (memcmp(control->router_mac, wanted.router_mac, sizeof(wanted.router_mac)) != 0) {
		drift_note(&drift->walk, "control", "router");
		memcpy(control->router_mac, wanted.router_mac, sizeof(wanted.router_mac));
	}
	if (control->flows_max != wanted.flows_max || control->flows_shared != wanted.flows_shared ||
	    control->flows_guarantee != wanted.flows_guarantee || control->half_open_max != wanted.half_open_max) {
		drift_note(&drift->walk, "control", "limits");
		flow_limits(control, datapath->flows_max, nr);
	}
	return 1;
}

/* ---- arrays of two slots */

static bool put_slots(void *slot0, void *slot1, const void *wanted, size_t size)
{
	if (!memcmp(slot0, wanted, size) && !memcmp(slot1, wanted, size))
		return false;
	memcpy(slot0, wanted, size);
	memcpy(slot1, wanted, size);
	return true;
}

static int check_ports(struct drift *drift)
{
	static const struct port_policy none;
	const struct placement *placement = &drift->walk.datapath->placement;
	struct port *ports = drift->walk.datapath->ports.at;

	for (int i = 0; i < CHUNK && drift->index < PORTS_MAX; i++, drift->index++) {
		bool known = drift->index && drift->index < placement->nr_ports;
		const struct port_policy *wanted = known ? &placement->ports[drift->index].policy : &none;

		if (put_slots(&ports[drift->index].slot[0], &ports[drift->index].slot[1], wanted, sizeof(*wanted))) {
			drift_note(&drift->walk, "ports", known ? placement->ports[drift->index].id : "");
			drift->judged_anew = true;
		}
	}
	return drift->index == PORTS_MAX;
}

static int check_subnets(struct drift *drift)
{
	static const struct subnet_policy none;
	const struct placement *placement = &drift->walk.datapath->placement;
	struct subnet *subnets = drift->walk.datapath->subnets.at;

	for (int i = 0; i < CHUNK && drift->index < SUBNETS_MAX; i++, drift->index++) {
		bool known = drift->index && drift->index < placement->nr_subnets;
		const struct subnet_policy *wanted = known ? &placement->subnets[drift->index].policy : &none;

		if (put_slots(&subnets[drift->index].slot[0], &subnets[drift->index].slot[1], wanted,
			      sizeof(*wanted))) {
			drift_note(&drift->walk, "subnets", known ? placement->subnets[drift->index].id : "");
			drift->judged_anew = true;
		}
	}
	return drift->index == SUBNETS_MAX;
}

static int check_gateways(struct drift *drift)
{
	static const struct gateway_policy none;
	const struct placement *placement = &drift->walk.datapath->placement;
	struct gateway_slots *gateways = drift->walk.datapath->gateways.at;

	for (int i = 0; i < CHUNK && drift->index < GATEWAYS_MAX; i++, drift->index++) {
		bool known = drift->index && drift->index < placement->nr_gateways;
		const struct gateway_policy *wanted = known ? &placement->gateways[drift->index] : &none;

		if (put_slots(&gateways[drift->index].slot[0], &gateways[drift->index].slot[1], wanted,
			      sizeof(*wanted))) {
			drift_note(&drift->walk, "gateways", "");
			drift->judged_anew = true;
		}
	}
	return drift->index == GATEWAYS_MAX;
}

/* ---- policy objects */

static int check_object(struct drift *drift)
{
	struct datapath *datapath = drift->walk.datapath;
	const struct image_object *object;
	const struct placed_object *placed;
	struct policy_line *lines, head;
	size_t size;

	if (drift->index >= drift->walk.image->nr_objects)
		return 1;
	object = &drift->walk.image->objects[drift->index++];
	placed = placement_object(&datapath->placement, &object->hash);
	if (!placed)
		return 0;
	lines = (struct policy_line *)datapath->policy.at + placed->line;
	head = object_head(object, placed->rule_base);
	size = (object->nr_lines - 1) * sizeof(*lines);
	if (!memcmp(lines, &head, sizeof(head)) && !memcmp(lines + 1, object->lines + 1, size))
		return 0;
	memcpy(lines + 1, object->lines + 1, size);
	*lines = head;
	drift_note(&drift->walk, "policy", object->nr_rules ? object->rules[0].id : "");
	drift->judged_anew = true;
	return 0;
}

/* ---- maps of keys: each that should be there, then each that is */

static int put_element(struct drift *drift, const char *map, const void *key, const void *wanted, size_t size,
		       const char *what)
{
	int fd = datapath_map_fd(drift->walk.datapath, map);
	uint8_t value[ID_MAX];

	if (!bpf_map_lookup_elem(fd, key, value) && !memcmp(value, wanted, size))
		return 0;
	drift_note(&drift->walk, map, what);
	drift->judged_anew = true;
	return bpf_map_update_elem(fd, key, wanted, BPF_ANY) < 0 ? -errno : 0;
}

static int check_table(struct drift *drift)
{
	const struct placement *placement = &drift->walk.datapath->placement;
	const struct placed_table *table;
	struct table_version version;

	if (drift->index >= placement->nr_tables)
		return 1;
	table = &placement->tables[drift->index++];
	version = (struct table_version){.rule_base = table->rule_base, .nr_rules = table->nr_rules};
	version.nr_routes = (uint32_t)table->routes->nr;
	memcpy(version.hash, table->hash.w, sizeof(version.hash));
	return put_element(drift, "tables", &table->number, &version, sizeof(version), "");
}

static int check_route(struct drift *drift)
{
	struct datapath *datapath = drift->walk.datapath;
	const struct image *image = drift->walk.image;
	const struct image_table *table;
	const struct placed_table *placed;
	const struct image_route *route;
	struct route_key key;
	struct route wanted;
	uint32_t target = 0;

	if (drift->index >= image->nr_tables)
		return 1;
	table = &image->tables[drift->index];
	if (drift->inner >= table->nr_routes) {
		drift->inner = 0;
		drift->index++;
		return 0;
	}
	route = &table->routes[drift->inner++];
	placed = placement_table(&datapath->placement, &table->hash);
	if (!placed)
		return 0;
	if (route->target != IMAGE_NONE)
		target = placement_port(&datapath->placement, image->ports[route->target].id);
	wanted = route_value(route, target, placed->rule_base);
	(void)route_map(datapath, &route->cidr, placed->number, &key);
	return put_element(drift, route->cidr.family == 4 ? "routes4" : "routes6", key.bytes, &wanted, sizeof(wanted),
			   table->nr_rules > route->rule ? table->rules[route->rule].id : "");
}

/* Both parities hold the same. */
static int check_entry(struct drift *drift, int kind)
{
	const struct placement *placement = &drift->walk.datapath->placement;
	const struct entry_class *class = &entry_classes[kind];
	const struct entry_list *list = &placement->entries[kind];
	uint8_t wanted[2 * ENTRY_VALUE_MAX];
	const struct entry *entry;

	if (drift->index >= list->nr)
		return 1;
	entry = &list->entries[drift->index++];
	memcpy(wanted, entry->value, class->value_size);
	memcpy(wanted + class->value_size, entry->value, class->value_size);
	return put_element(drift, class->map, entry->key, wanted, 2 * (size_t) class->value_size,
			   entry->value[0] < placement->nr_ports ? placement->ports[entry->value[0]].id : "");
}

static int check_address(struct drift *drift)
{
	return check_entry(drift, ENTRY_ADDRESS);
}

static int check_association(struct drift *drift)
{
	return check_entry(drift, ENTRY_ASSOCIATION);
}

static int check_mac(struct drift *drift)
{
	return check_entry(drift, ENTRY_MAC);
}

static int check_name(struct drift *drift, const char *map, const char *id)
{
	struct port_name name;
	uint32_t number = (uint32_t)drift->index++;

	memset(&name, 0, sizeof(name));
	memcpy(name.id, id, strnlen(id, ID_MAX - 1));
	return put_element(drift, map, &number, &name, sizeof(name), id);
}

static int check_port_name(struct drift *drift)
{
	const struct placement *placement = &drift->walk.datapath->placement;

	if (drift->index >= placement->nr_ports)
		return 1;
	return check_name(drift, "port_names", placement->ports[drift->index].id);
}

static int check_subnet_name(struct drift *drift)
{
	const struct placement *placement = &drift->walk.datapath->placement;

	if (drift->index >= placement->nr_subnets)
		return 1;
	return check_name(drift, "subnet_names", placement->subnets[drift->index].id);
}

/* What nobody asked for. */
static int check_surplus(struct drift *drift)
{
	uint32_t before = drift->walk.found->repaired;
	int r = drift_next_key(&drift->walk, drift->index);

	drift->judged_anew = drift->judged_anew || drift->walk.found->repaired != before;
	if (r == 1)
		return ++drift->index == DRIFT_KEYED_MAPS;
	return r;
}

static const struct phase {
	int (*look)(struct drift *drift); /* ret: 1 = there is no more | 0 | -errno */
	size_t first;                     /* index */
} phases[] = {
	{check_control, 0},     {check_ports, 0},   {check_subnets, 0}, {check_gateways, 0}, {check_port_name, 1},
	{check_subnet_name, 1}, {check_object, 0},  {check_table, 0},   {check_route, 0},    {check_association, 0},
	{check_mac, 0},         {check_address, 0}, {check_surplus, 0},
};

/* ---- the walk */

/* Nobody may go on by a decision that was made while the maps were wrong. */
static void judge_anew(struct drift *drift)
{
	struct placement *placement = &drift->walk.datapath->placement;
	struct port *ports = drift->walk.datapath->ports.at;

	for (uint32_t number = 1; number < placement->nr_ports; number++) {
		uint32_t epoch = ++placement->ports[number].policy.epoch;

		ports[number].slot[0].epoch = ports[number].slot[1].epoch = epoch;
	}
	drift->judged_anew = false;
}

static void start_over(struct drift *drift)
{
	drift->phase = drift->index = drift->inner = 0;
	drift_keys_restart(&drift->walk);
	drift->generation = datapath_control(drift->walk.datapath)->generation;
}

/* A new state. The walk goes on where it is, or frequent changes would keep it from what comes late; what has moved to
 * before its place meanwhile was either written just now or is looked at in the next round. */
static void go_on(struct drift *drift)
{
	drift_keys_forget(&drift->walk);
	drift->generation = datapath_control(drift->walk.datapath)->generation;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int step(struct drift *drift)
{
	int r = phases[drift->phase].look(drift);

	if (r != 1)
		return r;
	if (++drift->phase == ARRAY_SIZE(phases)) {
		drift->phase = 0;
		drift->walk.found->round_over = true;
	}
	drift->index = phases[drift->phase].first;
	drift->inner = 0;
	drift_keys_restart(&drift->walk);
	return 0;
}

int drift_slice(struct drift *drift, const struct image *image, uint64_t budget_ns, struct drift_found *ret)
{
	struct datapath *datapath = drift->walk.datapath;
	uint64_t end_ns = now_ns() + budget_ns;
	int r = 0;

	*ret = (struct drift_found){};
	if (datapath->unsettled || datapath->stale) { /* G2 */
		drift_keys_forget(&drift->walk);
		return 0;
	}
	if (drift->generation != datapath_control(datapath)->generation)
		go_on(drift);
	drift->walk.image = image;
	drift->walk.found = ret;
	do
		for (int i = 0; i < 16 && !r && !ret->round_over; i++)
			r = step(drift);
	while (!r && !ret->round_over && now_ns() < end_ns);
	if (drift->judged_anew)
		judge_anew(drift);
	if (r < 0)
		start_over(drift);
	return r;
}

int drift_devices(struct drift *drift, struct drift_carrier *carriers, size_t nr, struct drift_found *ret)
{
	int r;

	*ret = (struct drift_found){};
	if (drift->walk.datapath->unsettled || drift->walk.datapath->stale) /* G2 */
		return 0;
	drift->walk.found = ret;
	r = drift_check_devices(&drift->walk, carriers, nr);
	if (ret->repaired)
		judge_anew(drift);
	return r;
}

int drift_open(struct datapath *datapath, struct drift **ret)
{
	struct drift *drift = calloc(1, sizeof(*drift));

	if (!drift)
		return -ENOMEM;
	drift->walk.datapath = datapath;
	drift->kept = *(const struct control *)datapath->control.at;
	start_over(drift);
	*ret = drift;
	return 0;
}

void drift_close(struct drift **drift)
{
	if (*drift)
		drift_keys_restart(&(*drift)->walk);
	free(*drift);
	*drift = NULL;
}
