/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What makes policy objects and route tables, for image.c. */
#ifndef ENID_COMPILE_OBJECTS_H
#define ENID_COMPILE_OBJECTS_H

#include "compile/identity.h"
#include "compile/image.h"
#include "state/extra.h"

/* As compile_sg_object(), with the identities that references compile to. */
int sg_compile(const struct security_group *const *groups, size_t nr, bool egress, const struct vpc *vpc,
	       const struct state_extra *extra, const struct identities *identities, struct image_object *ret);

/* Do ENIs of VPC `member` count as members of a group that a rule of an ENI in `vpc` references (SG-17, SG-20)?
 * peer->group is not NULL. */
bool sg_reference_reaches(const struct vpc *vpc, const struct state_extra *extra, bool egress,
			  const struct sg_peer *peer, const struct vpc *member);

/* What route.c asks about targets: answered by image.c, which knows the ports. */
struct route_targets {
	/* Port of an ENI; IMAGE_NONE when it is nobody to route to. */
	uint32_t (*eni)(const void *context, const struct eni *eni);
	/* Port of this host's uplink for a gateway, IMAGE_NONE without one. */
	uint32_t (*uplink)(const void *context, const struct gateway *gateway);
	/* What a route to any other gateway is: enum route_kind, and its port or IMAGE_NONE. */
	uint32_t (*gateway)(const void *context, const struct vpc *vpc, const struct vpc_route *route,
			    uint32_t *ret_port);
	const char *(*port_id)(const void *context, uint32_t port);
	const void *context;
};

/* A table that is not one of a VPC: the best entry of each destination counts. */
struct route_entry {
	struct cidr cidr;
	int rank;        /* lower is better */
	const char *tie; /* decides between equal ranks */
	uint32_t kind, target;
};

int routes_compile(const char *id, const struct route_entry *entries, size_t nr, const struct route_targets *targets,
		   struct image_table *ret);

/* Compile a route table, or with table NULL the local routes of a VPC (VPC-17). vpc may be NULL: no local routes.
 * ret: 0 | -ENOMEM */
int route_table_compile(const struct route_table *table, const struct vpc *vpc, const struct route_targets *targets,
			struct image_table *ret);
void image_table_done(struct image_table *table);

#endif
