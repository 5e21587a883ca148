/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The image under construction: what the steps of compile_image() hand to each other. */
#ifndef ENID_COMPILE_WORK_H
#define ENID_COMPILE_WORK_H

#include "compile/identity.h"
#include "compile/image.h"
#include "state/extra.h"

/* Where an ENI of the state is served, by place in state.enis. */
struct eni_note {
	const struct host_port *here; /* on this host, or NULL */
	bool elsewhere;               /* on another host */
	uint32_t port;                /* in image.ports, once they are sorted */
};

/* A gateway that is a station of a walk. */
struct hop {
	const char *id; /* of its port */
	uint32_t kind;  /* enum gateway_kind */
	const void *object;
	uint32_t port; /* in image.ports, once they are sorted */
};

struct image_work {
	const struct state *state;
	const struct host *host; /* may be NULL: no ENI is served here */
	struct image *image;
	struct identities identities;
	struct eni_note *notes;
	uint32_t *subnet_places; /* by place in state.subnets: place in image.subnets */
	struct hop *hops;        /* image.gateways[i] is what hops[i] becomes */
	size_t nr_hops;
	/* By place in state.tables, then of the VPCs' local routes alone by place in state.vpcs, then of the empty one:
	 * index in image.tables, IMAGE_NONE = not compiled yet. */
	uint32_t *known_tables;
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
int hops_collect(struct image_work *work);
struct image_port hop_port(const struct hop *hop);
/* The hop of an object of the state, NULL = none. */
const struct hop *hop_of(const struct image_work *work, uint32_t kind, const void *object);
__be32 nat_inside(const struct nat_address *address);
/* The NAT gateway of this host whose primary ENI this is, or NULL. */
const struct nat_gateway *nat_of_eni(const struct image_work *work, const struct eni *eni);
/* The lists of the state beyond what older states have. */
const struct state_extra *work_extra(const struct image_work *work);

/* The version of a route table, or with `table` NULL of the VPC's local routes; compiled when first asked for. */
int table_index(struct image_work *work, const struct route_table *table, const struct vpc *vpc, uint32_t *ret_index);

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
