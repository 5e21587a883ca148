/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The image under construction: what the steps of compile_image() hand to each other. It stays with the image, for
 * image_update(). */
#ifndef ENID_COMPILE_WORK_H
#define ENID_COMPILE_WORK_H

#include "compile/identity.h"
#include "compile/image.h"
#include "compile/objects.h"
#include "state/extra.h"

/* Where an ENI of the state is served, by place in state.enis. */
struct eni_note {
	const struct host_port *here; /* on this host, or NULL */
	bool elsewhere;               /* on another host */
	uint32_t port;                /* in image.ports, once they are sorted */
};

/* The objects of one set of groups, or of one NACL: indexes in image.objects, IMAGE_NONE = not compiled. */
struct object_pair {
	uint32_t in, out;
};

/* A gateway that is a station of a walk. */
struct hop {
	char id[ID_MAX]; /* of its port */
	uint32_t kind;   /* enum gateway_kind */
	const void *object;
	uint32_t port; /* in image.ports, once they are sorted */
};

/* Uplinks of this host that lead to one place. */
struct uplinks {
	const char *ids[GATEWAY_MEMBERS_MAX];
	size_t nr;
	bool ordered; /* the first that works; else they share (TGW-09) */
};

struct group {
	char id[ID_MAX];
	struct uplinks uplinks;
	uint32_t realm;
	struct group *next;
};

struct image_work {
	const struct state *state;
	const struct host *host; /* may be NULL: no ENI is served here */
	struct image *image;
	struct identities identities;
	struct object_pair *set_objects;  /* by number of the set, then those of ENIs without groups */
	struct object_pair *nacl_objects; /* by place in state.nacls, then those of subnets without one */
	struct eni_note *notes;
	uint32_t *subnet_places; /* by place in state.subnets: place in image.subnets */
	struct hop *hops;        /* image.gateways[i] is what hops[i] becomes; sorted by kind and id */
	size_t nr_hops, hops_room;
	struct group *groups;
	uint32_t *realms; /* by place in state.vpcs, then in the list of transit gateways: see realms.c */
	/* By place in state.tables, then of the VPCs' local routes alone by place in state.vpcs, then of the empty one:
	 * index in image.tables, IMAGE_NONE = not compiled yet. */
	uint32_t *known_tables;
	uint32_t *known_transit; /* the same by place in the list of transit gateway tables */
	size_t objects_room;
	size_t nr_lines; /* of all objects */
	char *why;       /* which limit is exceeded */
};

/* Each step fills its part of the image, in this order.  ret: 0 | -ENOMEM | -E2BIG with work->why set */
int subnets_compile(struct image_work *work); /* all but .table */
int ports_compile(struct image_work *work);
int tables_compile(struct image_work *work);
int gateways_compile(struct image_work *work);
int addresses_compile(struct image_work *work);
int associations_compile(struct image_work *work);
int macs_compile(struct image_work *work);

/* hops.c: which gateways there are, and how their ports begin. */
int hop_add(struct image_work *work, const char *id, uint32_t kind, const void *object);
int hops_collect(struct image_work *work);
struct image_port hop_port(const struct image_work *work, size_t i);
const struct hop *hop_of_nat(const struct image_work *work, const struct nat_gateway *nat);
const struct hop *hop_of(const struct image_work *work, uint32_t kind, const char *id); /* NULL = none */
/* Index in image.ports of this host's uplink for a gateway, once ports are sorted; IMAGE_NONE = none. */
uint32_t uplink_port_of(const struct image_work *work, const char *id);
/* ... and whether the host has one. */
bool has_uplink(const struct image_work *work, const char *id);
/* In an array sorted by id, which its elements begin with. */
const void *find_by_id(const void *array, size_t nr, size_t size, const char *id);
#define FIND_BY_ID(array, nr, id) ((__typeof__(array))find_by_id(array, nr, sizeof(*(array)), id))
__be32 nat_inside(const struct nat_address *address);
/* The NAT gateway of this host whose primary ENI this is, or NULL. */
const struct nat_gateway *nat_of_eni(const struct image_work *work, const struct eni *eni);
/* The lists of the state beyond what older states have. */
const struct state_extra *work_extra(const struct image_work *work);

/* The version of a route table, or with `table` NULL of the VPC's local routes; compiled when first asked for. */
int table_index(struct image_work *work, const struct route_table *table, const struct vpc *vpc, uint32_t *ret_index);

int add_table(struct image_work *work, const char *id, const struct route_entry *entries, size_t nr,
	      uint32_t *ret_index);

/* realms.c: which zones gateways join. realm_of_*: the lowest of them, 0 = none */
int realms_build(struct image_work *work);
uint32_t realm_of_vpc(const struct image_work *work, const struct vpc *vpc);
uint32_t realm_of_tgw(const struct image_work *work, const struct tgw *tgw);

/* private.c, vgw.c, transit.c: what they add to the hops, and what becomes of each. */
int private_collect(struct image_work *work);
int fill_peering(struct image_work *work, const struct peering *peering, struct image_gateway *gateway);
int fill_vgw(struct image_work *work, const struct gateway *gateway, struct image_gateway *ret);
int fill_edge(struct image_work *work, const struct gateway *igw, struct image_gateway *gateway);
int fill_endpoint(struct image_work *work, const struct vpc_endpoint *endpoint, struct image_gateway *gateway);
int vgw_collect(struct image_work *work);
/* gwlbe.c */
int gwlbe_collect(struct image_work *work);
int fill_gwlbe(struct image_work *work, const struct vpc_endpoint *endpoint, struct image_gateway *gateway);
const struct vpc_subnet *gwlbe_subnet(const struct vpc_endpoint *endpoint); /* NULL: it is in none of its VPC */
int transit_collect(struct image_work *work);
int fill_attachment(struct image_work *work, const struct tgw_vpc_attachment *attachment,
		    struct image_gateway *gateway);
int fill_transit(struct image_work *work, const struct tgw_attachment *attachment, struct image_gateway *gateway);

/* groups.c. Who is in a list already stays where he is, and "" is nobody. */
void uplinks_add(struct uplinks *uplinks, const char *id);
int group_add(struct image_work *work, const struct uplinks *uplinks, uint32_t realm);
void groups_free(struct image_work *work);
/* Kind and port of a route that leads to them, once ports are sorted. */
uint32_t route_by_uplinks(const struct image_work *work, const struct uplinks *uplinks, uint32_t *ret_port);
void fill_group(const struct image_work *work, const struct group *group, struct image_gateway *gateway);

/* ports.c, subnets.c, tables.c: what update.c needs of them. */
__be32 eni_primary4(const struct eni *eni);                          /* 0 = it has none */
struct image_port eni_port(const struct image_work *work, size_t i); /* but for its objects and hop */
uint32_t bpa_flags(int mode);                                        /* VPC-18 */
int set_compile(struct image_work *work, const struct group_set *set, bool egress, const char *id,
		struct image_object *ret);
int nacl_compile(struct image_work *work, const struct nacl *nacl, bool egress, const char *subnet,
		 struct image_object *ret);
struct route_targets table_targets(const struct image_work *work);
void work_free(struct image_work **work);

/* Take over a policy object. Its index is provisional until image.c has sorted the objects. */
int work_add_object(struct image_work *work, struct image_object *object, uint32_t *ret_index);

/* Say which limit is exceeded. ret: -E2BIG */
int work_refuse(struct image_work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sort what the state may hold twice under one key, and keep the first of each key.
 * compare: of elements, given the image; same_key: whether two neighbours are one. ret: how many are left */
size_t image_sort_unique(void *base, size_t nr, size_t size, int (*compare)(const void *, const void *, void *),
			 bool (*same_key)(const void *, const void *), const struct image *image);

uint32_t vpc_zone(const struct vpc *vpc); /* ZONE_INTERNET without one: no address may be filed there */

#endif
