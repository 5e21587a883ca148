/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The placement: what the kernel holds and where, as the agent knows it.
 *
 * An image names ports and subnets by id, policy objects and route tables by the hash of their content; the kernel
 * knows numbers. This is the mapping between the two, together with the values in force. It is rebuilt from the maps
 * after a restart, and replaced as a whole by the `next` placement of a plan.
 *
 * Invariants
 *  P1  The number of a port or subnet belongs to its id for good: nobody else gets it before all numbers were used.
 *  P2  Epochs of a port number never fall, also not when the port goes and comes back.
 *  P3  Lists are sorted: objects and tables by hash, entries by key (memcmp), *_order by id.
 */
#ifndef ENID_PLACEMENT_H
#define ENID_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compile/image.h"
#include "enid/policy.h"
#include "enid/port.h"
#include "plan/arena.h"

struct placed_port {
	char id[ID_MAX];
	struct port_policy policy; /* in force. kind PORT_NONE: the number is kept for its id */
};

struct placed_subnet {
	char id[ID_MAX];
	struct subnet_policy policy; /* all zero: the number is kept for its id */
};

struct placed_object {
	struct content_hash hash;
	uint32_t line, nr_lines;
	uint32_t rule_base, nr_rules;
};

/* What a table version has in routes4 and routes6: shared between placements. */
struct table_routes {
	unsigned int references;
	uint32_t nr4, nr6;
	size_t nr;
	struct cidr cidrs[];
};

struct placed_table {
	struct content_hash hash;
	uint32_t number;
	uint32_t rule_base, nr_rules;
	struct table_routes *routes;
};

/* The three maps whose values stand twice, by parity: {address -> port}, {address -> port, other}, {MAC -> port}. */
enum entry_kind { ENTRY_ADDRESS, ENTRY_ASSOCIATION, ENTRY_MAC, ENTRY_KINDS };

#define ENTRY_KEY_MAX   sizeof(struct address_key)
#define ENTRY_VALUE_MAX 8

struct entry_class {
	const char *map;
	uint32_t key_size;
	uint32_t value_size; /* of one parity; the map's value is two of them. Its first word is a port number */
	uint32_t max;
};

extern const struct entry_class entry_classes[ENTRY_KINDS];

struct entry {
	uint8_t key[ENTRY_KEY_MAX];
	uint32_t value[ENTRY_VALUE_MAX / 4]; /* [0] = port number */
};

/* May be shared between placements; then nobody changes it. */
struct entry_list {
	struct entry *entries;
	size_t nr;
	unsigned int *references; /* NULL = not shared */
};

struct placement {
	struct placed_port *ports; /* by number; [0] is nobody */
	uint32_t nr_ports;         /* numbers that ever had an id, 0 included */
	uint32_t *port_order;      /* their numbers by id: nr_ports - 1 */
	struct placed_subnet *subnets;
	uint32_t nr_subnets;
	uint32_t *subnet_order;
	struct gateway_policy *gateways; /* by port_policy.hop; [0] is none, kind GATEWAY_NONE: the number is free */
	uint32_t nr_gateways;
	struct placed_object *objects;
	size_t nr_objects;
	struct placed_table *tables;
	size_t nr_tables;
	struct entry_list entries[ENTRY_KINDS];
	struct arena lines, rules, table_numbers;
	uint64_t nr_routes4, nr_routes6;
	uint8_t router_mac[6];
	uint64_t shape;           /* of the image that this is of; 0 = none, the next two are not there */
	uint32_t *shape_ports;    /* numbers, by index in image.ports */
	uint32_t *shape_subnets;  /* ... in image.subnets */
	uint32_t *shape_gateways; /* ... in image.gateways */
	size_t nr_shape_ports, nr_shape_subnets, nr_shape_gateways;
	uint32_t highest_zone; /* of any port, gateway and address; where there is a shape */
	uint64_t version;      /* of the image; 0 = unknown */
};

/* An empty placement for a policy map of `policy_lines` lines. */
int placement_init(struct placement *placement, uint32_t policy_lines);
void placement_done(struct placement *placement);

/* Numbers by id. 0 = unknown. */
uint32_t placement_port(const struct placement *placement, const char *id);
uint32_t placement_subnet(const struct placement *placement, const char *id);
const struct placed_object *placement_object(const struct placement *placement, const struct content_hash *hash);
const struct placed_table *placement_table(const struct placement *placement, const struct content_hash *hash);

/* A list of `nr` entries, all zero, to be shared. ret: 0 | -ENOMEM */
int entry_list_new(struct entry_list *list, size_t nr);
struct entry_list entry_list_ref(const struct entry_list *list);

/* Sort everything by P3, after the lists were filled in any order. */
int placement_sort(struct placement *placement);
/* The same where the ids may be those of another placement, by the same numbers; same: they are. */
int placement_sort_like(struct placement *placement, const struct placement *other, bool same);

int content_hash_compare(const void *left, const void *right);

struct table_routes *table_routes_new(size_t nr);
struct table_routes *table_routes_ref(struct table_routes *routes);
void table_routes_unref(struct table_routes **routes);

#endif
