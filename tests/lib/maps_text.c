/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "lib/maps_text.h"

#include <bpf/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/internal.h"

struct text {
	struct datapath *datapath;
	char **lines;
	size_t nr, room;
	int slot;     /* in force */
	bool settled; /* nothing is under way: the other slot is the same */
	bool table_used[TABLES_MAX];
};

static void fail(const char *what)
{
	fprintf(stderr, "maps: %s\n", what);
	abort();
}

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	va_list args;

	if (text->nr == text->room) {
		text->room = text->room ? 2 * text->room : 256;
		text->lines = realloc(text->lines, text->room * sizeof(*text->lines));
	}
	va_start(args, format);
	if (!text->lines || vasprintf(&text->lines[text->nr++], format, args) < 0)
		fail("no memory");
	va_end(args);
}

static uint64_t hash_of(const void *bytes, size_t size)
{
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211ull;
	return hash;
}

static const char *hex(const void *bytes, size_t size)
{
	static char room[4][2 * sizeof(struct gateway_policy) + 1];
	static int turn;
	char *to = room[turn = (turn + 1) % 4];

	for (size_t i = 0; i < size; i++)
		sprintf(to + 2 * i, "%02x", ((const uint8_t *)bytes)[i]);
	to[2 * size] = '\0';
	return to;
}

static struct port_name name_in(const struct text *text, const char *map, uint32_t number)
{
	struct port_name name = {};

	if (number && bpf_map_lookup_elem(datapath_map_fd(text->datapath, map), &number, &name) < 0)
		fail("a number without a name");
	if (number && !name.id[0])
		fail("a number whose name is empty");
	return name;
}

/* Of an object at a line: its content, but not where its rules are numbered. */
static uint64_t object_at(const struct text *text, uint32_t line)
{
	const struct policy_line *lines = text->datapath->policy.at;
	struct policy_line head;
	uint32_t nr;

	if (!line)
		return 0;
	head = lines[line];
	nr = head.w[POLICY_W_LINES];
	head.w[POLICY_W_RULE_BASE] = 0;
	return hash_of(&head, sizeof(head)) ^ hash_of(&lines[line + 1], (nr - 1) * sizeof(head)) * 31;
}

static struct table_version table_at(const struct text *text, uint32_t number)
{
	struct table_version version = {};

	if (number && bpf_map_lookup_elem(datapath_map_fd(text->datapath, "tables"), &number, &version) < 0)
		fail("a table number without a table");
	return version;
}

static uint64_t table_hash(const struct text *text, uint32_t number)
{
	struct table_version version = table_at(text, number);

	return number ? hash_of(version.hash, sizeof(version.hash)) : 0;
}

static uint64_t use_table(struct text *text, uint32_t number)
{
	if (number >= TABLES_MAX)
		fail("a table number beyond the last");
	text->table_used[number] = true;
	return table_hash(text, number);
}

static void compare_slots(const struct text *text, const void *a, const void *b, size_t size, const char *what)
{
	if (text->settled && memcmp(a, b, size) != 0)
		fail(what);
}

static void tell_gateway(struct text *text, const char *id, uint32_t number)
{
	const struct gateway_slots *slots = (const struct gateway_slots *)text->datapath->gateways.at + number;
	struct gateway_policy gateway = slots->slot[text->slot];
	uint64_t tables[GATEWAY_TABLES];

	compare_slots(text, &slots->slot[0], &slots->slot[1], sizeof(gateway), "slots of a gateway differ");
	for (int i = 0; i < GATEWAY_TABLES; i++) {
		tables[i] = use_table(text, gateway.table[i]);
		gateway.table[i] = 0;
	}
	for (uint32_t i = 0; i < gateway.nr && i < GATEWAY_MEMBERS_MAX; i++) {
		bool ports =
			gateway.kind == GATEWAY_GROUP || gateway.kind == GATEWAY_TRANSIT || gateway.kind == GATEWAY_VGW;
		bool subnets = gateway.kind == GATEWAY_ATTACHMENT && i < AZS_MAX;

		if (ports || subnets) {
			add(text, "member %s %u %s", id, i,
			    name_in(text, ports ? "port_names" : "subnet_names", gateway.members[i]).id);
			gateway.members[i] = 0;
		}
	}
	add(text, "gateway %s %016llx %016llx %016llx %s", id, (unsigned long long)tables[0],
	    (unsigned long long)tables[1], (unsigned long long)tables[2], hex(&gateway, sizeof(gateway)));
}

static void tell_ports(struct text *text)
{
	const struct port *ports = text->datapath->ports.at;

	for (uint32_t number = 0; number < PORTS_MAX; number++) {
		struct port_policy policy = ports[number].slot[text->slot];
		struct port_name name, subnet;
		uint64_t in, out;

		compare_slots(text, &ports[number].slot[0], &ports[number].slot[1], sizeof(policy),
			      "slots of a port differ");
		if (policy.kind == PORT_NONE)
			continue;
		name = name_in(text, "port_names", number);
		subnet = name_in(text, "subnet_names", policy.subnet);
		in = object_at(text, policy.sg_in);
		out = object_at(text, policy.sg_out);
		if (policy.hop)
			tell_gateway(text, name.id, policy.hop);
		policy.hop = policy.hop != 0;
		policy.epoch = policy.subnet = policy.sg_in = policy.sg_out = 0;
		add(text, "port %s subnet %s in %016llx out %016llx %s", name.id, subnet.id, (unsigned long long)in,
		    (unsigned long long)out, hex(&policy, sizeof(policy)));
	}
}

static void tell_subnets(struct text *text)
{
	static const struct subnet_policy none;
	const struct subnet *subnets = text->datapath->subnets.at;

	for (uint32_t number = 0; number < SUBNETS_MAX; number++) {
		struct subnet_policy policy = subnets[number].slot[text->slot];
		uint64_t in = object_at(text, policy.nacl_in), out = object_at(text, policy.nacl_out);
		uint64_t table = use_table(text, policy.table);

		compare_slots(text, &subnets[number].slot[0], &subnets[number].slot[1], sizeof(policy),
			      "slots of a subnet differ");
		if (!memcmp(&policy, &none, sizeof(none)))
			continue;
		policy.nacl_in = policy.nacl_out = policy.table = 0;
		add(text, "subnet %s in %016llx out %016llx table %016llx %s", name_in(text, "subnet_names", number).id,
		    (unsigned long long)in, (unsigned long long)out, (unsigned long long)table,
		    hex(&policy, sizeof(policy)));
	}
}

typedef void (*tell_fn)(struct text *text, const uint8_t *key, const uint8_t *value);

static void tell_keys(struct text *text, const char *map, size_t key_size, tell_fn tell)
{
	int fd = datapath_map_fd(text->datapath, map);
	uint8_t key[64], next[64], value[64];
	bool first = true;

	for (; !bpf_map_get_next_key(fd, first ? NULL : key, next); first = false) {
		memcpy(key, next, key_size);
		if (bpf_map_lookup_elem(fd, key, value) < 0)
			fail("a key without a value");
		tell(text, key, value);
	}
}

static void tell_table(struct text *text, const uint8_t *key, const uint8_t *value)
{
	const struct table_version *version = (const void *)value;
	uint32_t number = *(const uint32_t *)key;

	if (!text->settled && !text->table_used[number])
		return;
	add(text, "table %016llx rules %u routes %u", (unsigned long long)table_hash(text, number), version->nr_rules,
	    version->nr_routes);
}

static void tell_route(struct text *text, const uint8_t *key, const uint8_t *value, size_t address_size)
{
	const struct route4_key *head = (const void *)key;
	const struct route *route = (const void *)value;

	if (!text->settled && !text->table_used[head->table])
		return;
	add(text, "route %016llx %s/%u kind %u target %s rule %u", (unsigned long long)table_hash(text, head->table),
	    hex(&head->addr, address_size), head->prefixlen - 32, route->kind,
	    name_in(text, "port_names", route->target).id, route->rule - table_at(text, head->table).rule_base);
}

static void tell_route4(struct text *text, const uint8_t *key, const uint8_t *value)
{
	tell_route(text, key, value, 4);
}

static void tell_route6(struct text *text, const uint8_t *key, const uint8_t *value)
{
	tell_route(text, key, value, 16);
}

static void tell_address(struct text *text, const uint8_t *key, const uint8_t *value)
{
	const struct address *address = (const void *)value;

	compare_slots(text, &address->port[0], &address->port[1], sizeof(address->port[0]),
		      "parities of an address differ");
	if (text->settled || address->port[text->slot])
		add(text, "address %s %s", hex(key, sizeof(struct address_key)),
		    name_in(text, "port_names", address->port[text->slot]).id);
}

static void tell_association(struct text *text, const uint8_t *key, const uint8_t *value)
{
	const struct association *association = (const void *)value;

	compare_slots(text, &association->slot[0], &association->slot[1], sizeof(association->slot[0]),
		      "parities of an association differ");
	if (text->settled || association->slot[text->slot].port)
		add(text, "association %s %s %08x", hex(key, sizeof(struct association_key)),
		    name_in(text, "port_names", association->slot[text->slot].port).id,
		    association->slot[text->slot].other);
}

static void tell_mac(struct text *text, const uint8_t *key, const uint8_t *value)
{
	const struct mac_key *mac = (const void *)key;
	const struct mac_owner *owner = (const void *)value;

	compare_slots(text, &owner->port[0], &owner->port[1], sizeof(owner->port[0]),
		      "parities of a MAC address differ");
	if (text->settled || owner->port[text->slot])
		add(text, "mac %s %s %s", name_in(text, "subnet_names", mac->subnet).id, hex(mac->mac, 6),
		    name_in(text, "port_names", owner->port[text->slot]).id);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *tell_all(struct datapath *datapath, int slot, bool settled)
{
	struct text text = {.datapath = datapath, .slot = slot, .settled = settled};
	char *whole = NULL;
	size_t size = 0;
	FILE *out;

	add(&text, "router %s", hex((const void *)datapath_control(datapath)->router_mac, 6));
	tell_ports(&text);
	tell_subnets(&text);
	tell_keys(&text, "tables", sizeof(uint32_t), tell_table);
	tell_keys(&text, "routes4", sizeof(struct route4_key), tell_route4);
	tell_keys(&text, "routes6", sizeof(struct route6_key), tell_route6);
	tell_keys(&text, "addresses", sizeof(struct address_key), tell_address);
	tell_keys(&text, "associations", sizeof(struct association_key), tell_association);
	tell_keys(&text, "macs", sizeof(struct mac_key), tell_mac);
	qsort(text.lines, text.nr, sizeof(*text.lines), compare);
	out = open_memstream(&whole, &size);
	for (size_t i = 0; i < text.nr; i++) {
		if (out)
			fprintf(out, "%s\n", text.lines[i]);
		free(text.lines[i]);
	}
	free(text.lines);
	if (!out || fclose(out))
		fail("no memory");
	return whole;
}

char *maps_text(struct datapath *datapath)
{
	return tell_all(datapath, 0, true);
}

char *maps_text_in_force(struct datapath *datapath)
{
	return tell_all(datapath, (int)(datapath_control(datapath)->generation & 1), false);
}
