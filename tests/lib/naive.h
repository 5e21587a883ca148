/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Security groups and network ACLs read rule by rule: what the compiled objects are held against. */
#ifndef ENID_TESTS_NAIVE_H
#define ENID_TESTS_NAIVE_H

#include "state/state.h"

struct question {
	int family, protocol;
	int port; /* TCP, UDP: destination; ICMP of the family: type << 8 | code; else 0 */
	union addr peer;
	const struct eni *member; /* ENI that the packet comes from or goes to, or NULL */
};

struct answer {
	uint32_t rule; /* + 1 */
	const char *id, *text;
	bool any;
};

/* SG-01..SG-20: the first rule of the ENI's groups, sorted by id, that admits it. */
struct answer naive_groups(const struct eni *eni, bool egress, const struct question *question);
/* The ENI's groups, each once, sorted by id. */
size_t own_groups(const struct eni *eni, const struct security_group **groups);

/* NACL-02..NACL-08: the entry with the lowest number that matches, or NULL for `*`. */
const struct nacl_entry *naive_nacl(const struct nacl_entry *entries, size_t nr, const struct question *question);

#endif
