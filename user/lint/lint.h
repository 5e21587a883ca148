/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `enid check --lint`: valid states that will not do what was meant. Each finding has a stable id, listed in
 * enid-check(8). */
#ifndef ENID_LINT_LINT_H
#define ENID_LINT_LINT_H

#include <stddef.h>

#include "state/extra.h"
#include "state/state.h"

/*      id                       meaning */
#define LINT_IDS(X) \
	X(NACL_EPHEMERAL, "nacl-ephemeral", "answers to what an entry lets through cannot come back (NACL-02)") \
	X(NACL_MTU, "nacl-mtu", "ICMP type 3 code 4, or ICMPv6 type 2, cannot come in: large packets vanish (MTU-02)") \
	X(NACL_SHADOWED, "nacl-shadowed", "an entry before it decides about everything that it matches (NACL-02)") \
	X(NACL_UNUSED, "nacl-unused", "no subnet has this network ACL") \
	X(SG_DUPLICATE, "sg-duplicate", "a rule stands twice") \
	X(SG_SHADOWED, "sg-shadowed", "another rule of the group admits all that it admits") \
	X(SG_UNUSED, "sg-unused", "no interface carries the group, and no rule names it") \
	X(STALE_REFERENCE, "stale-reference", "a rule names a group or prefix list that matches nothing (SG-19)") \
	X(OPEN_ADMIN, "open-admin", "SSH or RDP of an interface is open to everybody") \
	X(BLACKHOLE, "blackhole", "a route leads nowhere (RT-11)") \
	X(ASYMMETRIC_ROUTE, "asymmetric-route", "there is a way there, but none back") \
	X(IGW_NO_PUBLIC, "igw-no-public", \
	  "the subnet's default route is an internet gateway, but nobody there has a public " \
	  "address (IGW-03)") \
	X(NAT_NO_IGW, "nat-no-igw", \
	  "a public NAT gateway stands in a subnet without a route to an internet gateway (NAT-14)") \
	X(PEERING_OVERLAP, "peering-overlap", "peerings lead to overlapping addresses (PCX-02)") \
	X(MIRROR_SILENT, "mirror-silent", "a traffic mirror session copies nothing, or to nobody who takes it (TM-13)")

enum lint_id {
#define X(symbol, name, meaning) LINT_##symbol,
	LINT_IDS(X)
#undef X
		LINT_MAX
};

struct lint;

/* One finding. `object`: the id of what it is about; `text`: what there is wrong with it */
typedef void (*lint_found)(void *context, enum lint_id id, const char *object, const char *text);
void lint_state(const struct state *state, lint_found found, void *context);
const char *lint_name(enum lint_id id);

/* ---- for the checks themselves */
struct lint {
	const struct state *state;
	lint_found found;
	void *context;
};

void lint_say(const struct lint *lint, enum lint_id id, const char *object, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void lint_nacls(const struct lint *lint);
void lint_groups(const struct lint *lint);
void lint_routes(const struct lint *lint);
void lint_mirrors(const struct lint *lint);

#endif
