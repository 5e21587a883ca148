/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The image: everything the kernel should hold for one host and one state, as plain data.
 *
 * compile_image() is a pure function: the same state gives the same image, byte for byte, in whatever order its lists
 * came. It knows no kernel numbers: ports are named by id, objects and tables by the hash of their content. Placing
 * them (port numbers, lines, table numbers, rule numbers) is the work of datapath/, which keeps what is there already.
 */
#ifndef ENID_IMAGE_H
#define ENID_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enid/policy.h"
#include "enid/port.h"
#include "enid/reasons.h"
#include "state/state.h"

#define IMAGE_NONE UINT32_MAX /* "no object", "no port" */

struct content_hash {
	uint32_t w[4];
};

/* What a decision number stands for: `enid show`, `decided_by`. */
struct image_rule {
	const char *id;   /* sg-..., acl-..., rtb-... */
	const char *text; /* SecurityGroupRuleId or "IpPermissions[2]"; NACL rule number or "*"; route destination */
};

/* A policy object, position-independent; words of POLICY_W_RULE_BASE and POLICY_W_HASH are zero in `lines`. */
struct image_object {
	struct content_hash hash; /* over lines and rules */
	uint32_t nr_lines;
	struct policy_line *lines;
	struct image_rule *rules; /* by local rule index */
	uint32_t nr_rules;
};

struct image_route {
	struct cidr cidr;
	uint32_t kind;   /* enum route_kind */
	uint32_t target; /* index in image.ports, or IMAGE_NONE */
	uint32_t rule;   /* index in the table's rules */
};

struct image_table {
	struct content_hash hash;   /* over routes (targets by port id) and rules */
	struct image_route *routes; /* one per destination, as cidr_compare() orders them: RT-02..RT-08 are decided */
	size_t nr_routes;
	struct image_rule *rules;
	uint32_t nr_rules;
};

struct image_subnet {
	const char *id;
	uint32_t nacl_in, nacl_out; /* index in image.objects */
	uint32_t table;             /* index in image.tables */
	uint32_t zone;
	uint32_t az;
	__be32 net4, mask4, router4, resolver4;
	uint32_t nr_cidrs6;
	struct cidr6 cidrs6[SUBNET_CIDRS6_MAX];
};

struct image_port {
	const char *id;     /* ENI id, or gateway id of an uplink */
	const char *device; /* "" = none */
	enum hook_kind hook;
	uint32_t kind, mode, flags; /* of struct port_policy */
	uint32_t zone;
	uint32_t subnet;        /* index in image.subnets, or IMAGE_NONE (uplink) */
	uint32_t sg_in, sg_out; /* index in image.objects, or IMAGE_NONE */
	uint32_t mirror;        /* likewise: its traffic mirror sessions */
	uint32_t identity;      /* hash of VPC and sorted group ids; 0 = none. Distinct ones have distinct identities */
	uint32_t tcp_established_s;
	uint16_t udp_s, udp_stream_s;
	uint8_t mac[6];
	uint32_t gateway; /* uplink: enum route_kind */
	__be32 primary4;
	uint32_t hop;          /* 1 + index in image.gateways; 0 = none */
	const struct eni *eni; /* NULL for an uplink or gateway; borrowed from the state */
};

/* struct gateway_policy in the making. */
struct image_gateway {
	char id[ID_MAX]; /* of its port */
	uint32_t kind, flags;
	uint32_t zone[2];
	uint32_t table[GATEWAY_TABLES]; /* index in image.tables, or IMAGE_NONE */
	uint32_t realm;
	uint32_t nr;
	/* by kind: NAT addresses; indexes in image.subnets, and from AZS_MAX on their AZs; indexes in image.ports */
	uint32_t members[GATEWAY_MEMBERS_MAX];
	uint8_t az[GATEWAY_MEMBERS_MAX];
};

struct image_address {
	struct address_key key;
	uint32_t port; /* index in image.ports */
};

struct image_association {
	struct association_key key;
	uint32_t port;
	__be32 other;
};

struct image_mac {
	uint32_t subnet; /* index in image.subnets */
	uint8_t mac[6];
	uint32_t port;
};

struct image {
	const struct host *host;
	uint8_t router_mac[6];
	struct image_object *objects; /* distinct, sorted by hash */
	size_t nr_objects;
	struct image_table *tables; /* distinct, sorted by hash */
	size_t nr_tables;
	struct image_subnet *subnets; /* sorted by id */
	size_t nr_subnets;
	struct image_port *ports; /* every ENI of the state, every uplink of the host, every gateway; sorted by id */
	size_t nr_ports;
	struct image_gateway *gateways;
	size_t nr_gateways;
	struct image_address *addresses; /* sorted by key */
	size_t nr_addresses;
	struct image_association *associations; /* sorted by key */
	size_t nr_associations;
	struct image_mac *macs;
	size_t nr_macs;
	struct image_work *work; /* what compiling found out, for image_update() */
	uint64_t shape; /* images of one shape have the same ports, subnets and entries by their ids; 0 = of its own */
	uint64_t version;  /* two images that differ have two versions */
	uint64_t before;   /* version that the last image_update() found; 0 = none */
	uint32_t *touched; /* indexes of the ports that it altered: all others point to what they pointed to before */
	size_t nr_touched;
};

/* The order of objects and tables. */
int image_hash_compare(const struct content_hash *a, const struct content_hash *b);

/* Compile `state` for `host`. The image borrows strings from the state: it must not outlive it.
 * ret: 0 | -ENOMEM | -E2BIG (a limit of limits.h; *ret_why names it, free() it) */
int compile_image(const struct state *state, const struct host *host, struct image **ret_image, char **ret_why);
void image_free(struct image **image);

/* Bring an image up to date with the change that its state went through: the image is then what compile_image() would
 * make, byte for byte, but only what depends on the changed objects is compiled. After state_change_undo() the same
 * call leads back. ret: 0 | -EAGAIN (compile anew, for whatever reason) | -ENOMEM; unless 0, nothing was changed */
struct state_change;
int image_update(struct image *image, const struct state_change *change);

/* To be called by whoever alters an image otherwise. */
void image_altered(struct image *image);

/* Policy objects one by one, for tests and benchmarks. `groups` in any order. There is no state, so a group reference
 * is compiled for ENIs of `vpc` that carry the referenced group and no other: sg_identity() is what such an ENI has.
 * ret: 0 | -ENOMEM | -E2BIG */
int compile_sg_object(const struct security_group *const *groups, size_t nr, bool egress, const struct vpc *vpc,
		      struct image_object *ret);
int compile_nacl_object(const struct nacl *nacl, bool egress, struct image_object *ret);
/* What an ENI of `vpc` (may be NULL) with these groups, sorted by id, has for identity, unless another set of the state
 * has the same hash. Never 0. */
uint32_t sg_identity(const struct vpc *vpc, const struct security_group *const *groups, size_t nr);
void image_object_done(struct image_object *object);

/* Ask a compiled object in user space, as the data path does. family 4 or 6; service: SERVICE_KEY.
 * ret: value of the deciding rule (local index + 1, POLICY_DENY set for a deny), 0 = none. *ret_any: an all-addresses
 * rule matched (CT-03 a). */
uint32_t policy_ask(const struct policy_line *object, int family, const union addr *peer, uint32_t identity,
		    uint32_t service, bool *ret_any);

#endif
