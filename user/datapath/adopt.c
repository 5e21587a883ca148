/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rebuild the placement from the maps: what an earlier agent left, or what a failed apply did.
 *
 * The slots in force say what holds. From them everything else follows: which objects and tables are in use, and so
 * which lines and numbers are free. With `repair`, the other slots and parities are made equal to those in force, and
 * routes of tables that nobody uses are removed: the rest of an apply that was killed before or after its flip.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "datapath/internal.h"

struct adoption {
	struct datapath *datapath;
	struct placement placement;
	uint32_t in_force; /* slot */
	bool repair;
	uint32_t *table_index; /* by number: index in placement.tables + 1 */
	uint32_t *nr_routes;   /* by number: how many it should have */
	char **ret_why;
};

static void repair_slots(struct adoption *adoption)
{
	struct port *ports = adoption->datapath->ports.at;
	struct subnet *subnets = adoption->datapath->subnets.at;
	struct gateway_slots *gateways = adoption->datapath->gateways.at;
	uint32_t slot = adoption->in_force;

	for (uint32_t number = 0; number < PORTS_MAX; number++)
		if (memcmp(&ports[number].slot[0], &ports[number].slot[1], sizeof(struct port_policy)) != 0)
			ports[number].slot[!slot] = ports[number].slot[slot];
	for (uint32_t number = 0; number < SUBNETS_MAX; number++)
		if (memcmp(&subnets[number].slot[0], &subnets[number].slot[1], sizeof(struct subnet_policy)) != 0)
			subnets[number].slot[!slot] = subnets[number].slot[slot];
	for (uint32_t number = 0; number < GATEWAYS_MAX; number++)
		if (memcmp(&gateways[number].slot[0], &gateways[number].slot[1], sizeof(struct gateway_policy)) != 0)
			gateways[number].slot[!slot] = gateways[number].slot[slot];
}

/* Numbers are handed out in order and keep their names, so the first without one ends the list. */
static uint32_t count_names(const struct datapath *datapath, const char *map, uint32_t max)
{
	int fd = datapath_map_fd(datapath, map);
	struct port_name name;
	uint32_t number;

	for (number = 1; number < max; number++)
		if (bpf_map_lookup_elem(fd, &number, &name) < 0 || !name.id[0])
			break;
	return number;
}

static int adopt_ports(struct adoption *adoption)
{
	const struct port *ports = adoption->datapath->ports.at;
	struct placement *placement = &adoption->placement;
	int fd = datapath_map_fd(adoption->datapath, "port_names");
	struct port_name name;

	free(placement->ports);
	placement->nr_ports = count_names(adoption->datapath, "port_names", PORTS_MAX);
	placement->ports = calloc(placement->nr_ports, sizeof(*placement->ports));
	if (!placement->ports) {
		placement->nr_ports = 1;
		return -ENOMEM;
	}
	for (uint32_t number = 1; number < placement->nr_ports; number++) {
		if (bpf_map_lookup_elem(fd, &number, &name) < 0)
			return -errno;
		memcpy(placement->ports[number].id, name.id, ID_MAX - 1);
		placement->ports[number].policy = ports[number].slot[adoption->in_force];
	}
	return 0;
}

static int adopt_subnets(struct adoption *adoption)
{
	const struct subnet *subnets = adoption->datapath->subnets.at;
	struct placement *placement = &adoption->placement;
	int fd = datapath_map_fd(adoption->datapath, "subnet_names");
	struct port_name name;

	free(placement->subnets);
	placement->nr_subnets = count_names(adoption->datapath, "subnet_names", SUBNETS_MAX);
	placement->subnets = calloc(placement->nr_subnets, sizeof(*placement->subnets));
	if (!placement->subnets) {
		placement->nr_subnets = 1;
		return -ENOMEM;
	}
	for (uint32_t number = 1; number < placement->nr_subnets; number++) {
		if (bpf_map_lookup_elem(fd, &number, &name) < 0)
			return -errno;
		memcpy(placement->subnets[number].id, name.id, ID_MAX - 1);
		placement->subnets[number].policy = subnets[number].slot[adoption->in_force];
	}
	return 0;
}

static int adopt_gateways(struct adoption *adoption)
{
	const struct gateway_slots *gateways = adoption->datapath->gateways.at;
	struct placement *placement = &adoption->placement;
	uint32_t nr = GATEWAYS_MAX;

	while (nr > 1 && gateways[nr - 1].slot[adoption->in_force].kind == GATEWAY_NONE)
		nr--;
	free(placement->gateways);
	placement->gateways = calloc(nr, sizeof(*placement->gateways));
	placement->nr_gateways = placement->gateways ? nr : 1;
	if (!placement->gateways)
		return -ENOMEM;
	for (uint32_t number = 1; number < nr; number++)
		placement->gateways[number] = gateways[number].slot[adoption->in_force];
	return 0;
}

static int number_order(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* The lines that ports and subnets point at, sorted, each once. */
static uint32_t *lines_in_use(const struct placement *placement, size_t *ret_nr)
{
	uint32_t *lines = calloc(3 * (size_t)placement->nr_ports + 2 * (size_t)placement->nr_subnets, sizeof(*lines));
	size_t nr = 0, distinct = 0;

	if (!lines)
		return NULL;
	for (uint32_t number = 1; number < placement->nr_ports; number++) {
		lines[nr++] = placement->ports[number].policy.sg_in;
		lines[nr++] = placement->ports[number].policy.sg_out;
		lines[nr++] = placement->ports[number].policy.mirror;
	}
	for (uint32_t number = 1; number < placement->nr_subnets; number++) {
		lines[nr++] = placement->subnets[number].policy.nacl_in;
		lines[nr++] = placement->subnets[number].policy.nacl_out;
	}
	qsort(lines, nr, sizeof(*lines), number_order);
	for (size_t i = 0; i < nr; i++)
		if (lines[i] && (!distinct || lines[distinct - 1] != lines[i]))
			lines[distinct++] = lines[i];
	*ret_nr = distinct;
	return lines;
}

static int adopt_object(struct adoption *adoption, uint32_t line)
{
	const struct policy_line *lines = adoption->datapath->policy.at;
	struct placement *placement = &adoption->placement;
	struct placed_object object = {.line = line};
	int r;

	if (line >= adoption->datapath->policy_lines)
		return refuse(adoption->ret_why, -EUCLEAN, "map policy has no line %u", line);
	object.nr_lines = lines[line].w[POLICY_W_LINES];
	object.rule_base = lines[line].w[POLICY_W_RULE_BASE];
	object.nr_rules = lines[line].w[POLICY_W_RULES];
	memcpy(object.hash.w, &lines[line].w[POLICY_W_HASH], sizeof(object.hash.w));
	r = object.nr_lines ? arena_reserve(&placement->lines, line, object.nr_lines) : -EEXIST;
	if (!r && object.nr_rules)
		r = arena_reserve(&placement->rules, object.rule_base, object.nr_rules);
	if (r == -EEXIST)
		return refuse(adoption->ret_why, -EUCLEAN, "map policy: the object at line %u overlaps another one",
			      line);
	if (!r)
		placement->objects[placement->nr_objects++] = object;
	return r;
}

static int adopt_objects(struct adoption *adoption)
{
	size_t nr = 0;
	_cleanup_free_ uint32_t *lines = lines_in_use(&adoption->placement, &nr);
	int r = 0;

	if (!lines)
		return -ENOMEM;
	adoption->placement.objects = calloc(nr + 1, sizeof(*adoption->placement.objects));
	if (!adoption->placement.objects)
		return -ENOMEM;
	for (size_t i = 0; i < nr && !r; i++)
		r = adopt_object(adoption, lines[i]);
	return r;
}

static int adopt_table(struct adoption *adoption, uint32_t number)
{
	struct placement *placement = &adoption->placement;
	struct placed_table *table = &placement->tables[placement->nr_tables];
	struct table_version version;
	int r;

	if (bpf_map_lookup_elem(datapath_map_fd(adoption->datapath, "tables"), &number, &version) < 0)
		return refuse(adoption->ret_why, -EUCLEAN, "map tables has no entry %u, which is in use", number);
	*table = (struct placed_table){.number = number, .rule_base = version.rule_base, .nr_rules = version.nr_rules};
	memcpy(table->hash.w, version.hash, sizeof(version.hash));
	table->routes = table_routes_new(version.nr_routes);
	if (!table->routes)
		return -ENOMEM;
	placement->nr_tables++;
	adoption->table_index[number] = (uint32_t)placement->nr_tables;
	table->routes->nr = 0; /* counted up as they are found */
	adoption->nr_routes[number] = version.nr_routes;
	r = arena_reserve(&placement->table_numbers, number, 1);
	if (!r && table->nr_rules)
		r = arena_reserve(&placement->rules, table->rule_base, table->nr_rules);
	return r == -EEXIST ? refuse(adoption->ret_why, -EUCLEAN, "map tables: entry %u overlaps another one", number)
			    : r;
}

static int adopt_used_table(struct adoption *adoption, uint32_t number, const char *user)
{
	if (number >= TABLES_MAX)
		return refuse(adoption->ret_why, -EUCLEAN, "%s has route table %u, which cannot be", user, number);
	return number && !adoption->table_index[number] ? adopt_table(adoption, number) : 0;
}

static int adopt_tables(struct adoption *adoption)
{
	struct placement *placement = &adoption->placement;
	int r = 0;

	placement->tables = calloc(placement->nr_subnets + GATEWAY_TABLES * (size_t)placement->nr_gateways,
				   sizeof(*placement->tables));
	if (!placement->tables)
		return -ENOMEM;
	for (uint32_t subnet = 1; subnet < placement->nr_subnets && !r; subnet++)
		r = adopt_used_table(adoption, placement->subnets[subnet].policy.table, placement->subnets[subnet].id);
	for (uint32_t gateway = 1; gateway < placement->nr_gateways && !r; gateway++)
		for (int i = 0; i < GATEWAY_TABLES && !r; i++)
			r = adopt_used_table(adoption, placement->gateways[gateway].table[i], "a gateway");
	return r;
}

/* A growing list of keys to delete: maps are not changed while they are walked. */
struct keys {
	uint8_t *bytes;
	size_t nr, capacity, size;
};

static int keys_add(struct keys *keys, const void *key)
{
	if (keys->nr == keys->capacity) {
		size_t capacity = keys->capacity ? 2 * keys->capacity : 64;
		uint8_t *bytes = realloc(keys->bytes, capacity * keys->size);

		if (!bytes)
			return -ENOMEM;
		keys->bytes = bytes;
		keys->capacity = capacity;
	}
	memcpy(keys->bytes + keys->nr++ * keys->size, key, keys->size);
	return 0;
}

static int keys_delete(struct keys *keys, int fd)
{
	int r = 0;

	for (size_t i = 0; i < keys->nr && !r; i++)
		if (bpf_map_delete_elem(fd, keys->bytes + i * keys->size) < 0 && errno != ENOENT)
			r = -errno;
	free(keys->bytes);
	*keys = (struct keys){};
	return r;
}

static struct cidr route_cidr(int family, const struct route6_key *key)
{
	struct cidr cidr = {.family = (uint8_t)family, .prefixlen = (uint8_t)(key->prefixlen - 32)};

	if (family == 4)
		cidr.addr.ip4 = key->addr[0];
	else
		memcpy(cidr.addr.bytes, key->addr, sizeof(key->addr));
	return cidr;
}

/* Note a route that belongs to a table in use; say whether it does. */
static bool note_route(struct adoption *adoption, int family, const struct route6_key *key)
{
	uint32_t index = key->table < TABLES_MAX ? adoption->table_index[key->table] : 0;
	struct table_routes *routes = index ? adoption->placement.tables[index - 1].routes : NULL;

	if (!routes || routes->nr >= adoption->nr_routes[key->table])
		return false; /* not ours, or more than we wrote */
	routes->cidrs[routes->nr++] = route_cidr(family, key);
	if (family == 4)
		routes->nr4++;
	else
		routes->nr6++;
	return true;
}

static int adopt_routes(struct adoption *adoption, int family)
{
	int fd = datapath_map_fd(adoption->datapath, family == 4 ? "routes4" : "routes6"), r = 0;
	size_t size = family == 4 ? sizeof(struct route4_key) : sizeof(struct route6_key);
	struct route6_key key = {}, next = {};
	struct keys unknown = {.size = size};
	bool first = true;

	while (!r && !bpf_map_get_next_key(fd, first ? NULL : &key, &next)) {
		first = false;
		key = next;
		if (!note_route(adoption, family, &key))
			r = keys_add(&unknown, &key);
	}
	if (!adoption->repair || r < 0) {
		free(unknown.bytes);
		return r;
	}
	return keys_delete(&unknown, fd);
}

/* Table versions that nobody uses go; one that lacks routes gets no hash, so that the next plan replaces it. */
static int check_tables(struct adoption *adoption)
{
	int fd = datapath_map_fd(adoption->datapath, "tables"), r = 0;
	struct placement *placement = &adoption->placement;
	struct keys unused = {.size = sizeof(uint32_t)};
	uint32_t number = 0, next;

	while (!r && !bpf_map_get_next_key(fd, number ? &number : NULL, &next)) {
		uint32_t index = next < TABLES_MAX ? adoption->table_index[next] : 0;

		number = next;
		if (!index) {
			r = keys_add(&unused, &number);
		} else {
			struct placed_table *table = &placement->tables[index - 1];

			if (table->routes->nr != adoption->nr_routes[number]) /* never NULL: adopt_table() */
				memset(&table->hash, 0, sizeof(table->hash));
			placement->nr_routes4 += table->routes->nr4;
			placement->nr_routes6 += table->routes->nr6;
		}
	}
	if (!adoption->repair || r < 0) {
		free(unused.bytes);
		return r;
	}
	return keys_delete(&unused, fd);
}

static int entry_list_add(struct entry_list *list, size_t *capacity, const struct entry *entry)
{
	if (list->nr == *capacity) {
		size_t more = *capacity ? 2 * *capacity : 256;
		struct entry *entries = realloc(list->entries, more * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		list->entries = entries;
		*capacity = more;
	}
	list->entries[list->nr++] = *entry;
	return 0;
}

static int adopt_entries(struct adoption *adoption, int kind)
{
	const struct entry_class *class = &entry_classes[kind];
	int fd = datapath_map_fd(adoption->datapath, class->map), r = 0;
	uint8_t key[ENTRY_KEY_MAX], value[2 * ENTRY_VALUE_MAX];
	struct keys nobodys = {.size = class->key_size};
	struct entry entry = {};
	size_t capacity = 0;
	bool first = true;

	while (!r && !bpf_map_get_next_key(fd, first ? NULL : key, entry.key)) {
		first = false;
		memcpy(key, entry.key, sizeof(key));
		if (bpf_map_lookup_elem(fd, key, value) < 0)
			continue;
		memcpy(entry.value, value + (size_t)adoption->in_force * class->value_size, class->value_size);
		if (!entry.value[0]) {
			r = keys_add(&nobodys, key);
			continue;
		}
		r = entry_list_add(&adoption->placement.entries[kind], &capacity, &entry);
		if (r || !adoption->repair || !memcmp(value, value + class->value_size, class->value_size))
			continue;
		memcpy(value + (size_t)!adoption->in_force * class->value_size, entry.value, class->value_size);
		if (bpf_map_update_elem(fd, key, value, BPF_EXIST) < 0)
			r = -errno;
	}
	if (!adoption->repair || r < 0) {
		free(nobodys.bytes);
		return r;
	}
	return keys_delete(&nobodys, fd);
}

static int adopt(struct adoption *adoption)
{
	int r = adopt_ports(adoption);

	if (!r)
		r = adopt_subnets(adoption);
	if (!r)
		r = adopt_gateways(adoption);
	if (!r)
		r = adopt_objects(adoption);
	if (!r)
		r = adopt_tables(adoption);
	if (!r)
		r = adopt_routes(adoption, 4);
	if (!r)
		r = adopt_routes(adoption, 6);
	if (!r)
		r = check_tables(adoption);
	for (int kind = 0; kind < ENTRY_KINDS && !r; kind++)
		r = adopt_entries(adoption, kind);
	if (!r)
		r = placement_sort(&adoption->placement);
	return r;
}

int adopt_placement(struct datapath *datapath, bool repair, char **ret_why)
{
	struct adoption adoption = {.datapath = datapath, .repair = repair, .ret_why = ret_why};
	_cleanup_free_ uint32_t *table_index = calloc(TABLES_MAX, sizeof(*table_index));
	_cleanup_free_ uint32_t *nr_routes = calloc(TABLES_MAX, sizeof(*nr_routes));
	const struct control *control = datapath->control.at;
	int r = placement_init(&adoption.placement, datapath->policy_lines);

	if (r < 0 || !table_index || !nr_routes) {
		placement_done(&adoption.placement);
		return -ENOMEM;
	}
	adoption.table_index = table_index;
	adoption.nr_routes = nr_routes;
	adoption.in_force = __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE) & 1;
	memcpy(adoption.placement.router_mac, control->router_mac, sizeof(control->router_mac));
	if (repair && !datapath->replay)
		datapath_grace(); /* the last flip may be a moment ago */
	if (repair)
		repair_slots(&adoption);
	r = adopt(&adoption);
	if (r < 0) {
		placement_done(&adoption.placement);
		return r;
	}
	placement_done(&datapath->placement);
	datapath->placement = adoption.placement;
	datapath->stale = false;
	return 0;
}
