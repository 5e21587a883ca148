/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups and network ACLs read rule by rule from the state, without the compiled objects: what explain says of
 * them is found another way than what the kernel program says. */
#ifndef ENID_EXPLAIN_RULES_H
#define ENID_EXPLAIN_RULES_H

#include "explain/services.h"
#include "state/state.h"

/* What is asked: of whom, in which direction, about which far end. */
struct rules_question {
	const struct state *state;
	bool egress;
	int family;
	union addr peer;
	const struct eni *member; /* security groups: the ENI that references may match; NULL = none may */
};

/* One rule of either. */
struct rule_found {
	const char *id, *text; /* as decided_by names it */
	const struct security_group *group;
	const struct sg_permission *permission;
	const struct sg_peer *peer;
	const struct nacl *nacl;
	const struct nacl_entry *entry; /* NULL: the final `*`, or no network ACL at all */
	bool allow;
};

/* The rule that decides about `service`. ret: false = none admits it (security groups); a network ACL always answers */
bool rules_of_groups(const struct rules_question *q, const struct eni *eni, uint32_t service, struct rule_found *ret);
bool rules_of_nacl(const struct rules_question *q, const struct nacl *nacl, uint32_t service, struct rule_found *ret);

/* Everything that is admitted. *ret is emptied first. */
void rules_admit_groups(const struct rules_question *q, const struct eni *eni, struct services *ret);
void rules_admit_nacl(const struct rules_question *q, const struct nacl *nacl, struct services *ret);

/* How near a rule comes. */
enum rule_miss {
	MISS_NOT,      /* it matches: but another rule came first */
	MISS_PORT,     /* but for the port, or the ICMP type */
	MISS_PROTOCOL, /* but for the protocol */
	MISS_PEER,     /* but for the address, prefix list or group at the other end */
	MISS_ALL,      /* for more than one of these */
};

/* Call `each` with every rule that admits something like `service`, and why it does not admit this. */
typedef void (*rule_near)(void *context, const struct rule_found *rule, enum rule_miss miss);
void rules_near_groups(const struct rules_question *q, const struct eni *eni, uint32_t service, rule_near each,
		       void *context);
void rules_near_nacl(const struct rules_question *q, const struct nacl *nacl, uint32_t service, rule_near each,
		     void *context);

#endif
