/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From claims to a policy object: the part that security groups and network ACLs share.
 *
 * The caller says, rule by rule in ascending rank, which peers and services a rule covers; classify() sorts addresses
 * into intervals with one service tree each. A rule that covers a block inside another one's block is merged into the
 * inner interval's tree, so a look-up finds all rules for an address in one place.
 */
#ifndef ENID_COMPILE_CLASSIFY_H
#define ENID_COMPILE_CLASSIFY_H

#include "compile/image.h"
#include "compile/rows.h"

struct claims {
	struct claim *claim;
	size_t nr, room;
};

enum claim_family { CLAIM4, CLAIM6, CLAIM_FAMILIES };

struct claim_sets {
	struct claims any[CLAIM_FAMILIES];   /* hold for every address of the family */
	struct claims peers[CLAIM_FAMILIES]; /* hold for a CIDR */
	struct claims groups;                /* hold for an identity */
};

/* Services of one protocol and family: at most one range. */
struct service_range {
	uint32_t lo, hi;
};

/* A protocol's port range (or ICMP type and code) as SERVICE_KEYs. Protocols without ports, and ICMP of the other
 * family (NACL-08), cover their one key and the room beside it. from, to: as in struct sg_permission. */
struct service_range service_range_of(int family, int protocol, int from, int to);

/* File a claim of a CIDR: under any[] if it has length 0, else under peers[]. ret: 0 | -ENOMEM */
int claim_cidr(struct claim_sets *sets, const struct cidr *cidr, struct service_range services, uint32_t value);
int claim_identity(struct claim_sets *sets, uint32_t identity, struct service_range services, uint32_t value);
void claim_sets_done(struct claim_sets *sets);

/* Fill ret->lines, nr_lines and hash; ret->rules must be set. Sorts the claims in place. ret: 0 | -ENOMEM | -E2BIG */
int classify(enum policy_kind kind, uint32_t flags, struct claim_sets *sets, struct image_object *ret);

#endif
