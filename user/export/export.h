/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The policy of one host as rules of other filters, for who wants to compare, or to leave. Packets between the host's
 * router-mode ENIs: source check, network ACLs, security groups (stateful by conntrack). What nftables does not know,
 * gateways and their translation, is left out, and a comment in the output says so. */
#ifndef ENID_EXPORT_H
#define ENID_EXPORT_H

#include <stdio.h>

#include "state/state.h"

/* How a security group's rules are written. The verdicts are the same. */
enum export_form {
	EXPORT_LINEAR, /* a rule each */
	EXPORT_SETS,   /* a rule for each protocol and ports, with the set of their addresses */
	EXPORT_CONCAT, /* a rule for each protocol, with the set of its address . port pairs */
};

/* A ruleset for `nft -f`: the same state in any order gives the same bytes. ret: 0 | -ENOMEM */
int export_nft(FILE *out, const struct state *state, const struct host *host, enum export_form form);

/* ---- between nft.c and its parts */

/* One match of a security group: a peer's address range, and what the permission asks of the packet. */
struct export_match {
	struct cidr cidr;
	int protocol;
	int from, to;
};

struct export_matches {
	struct export_match *match;
	size_t nr, room;
};

/* Add what a list of permissions admits at an ENI of `vpc`, references resolved. ret: 0 | -ENOMEM */
int export_resolve(const struct state *state, const struct vpc *vpc, const struct sg_permission *permissions, size_t nr,
		   struct export_matches *into);
/* Sort; leave out what another match of the same protocol and ports holds already. */
void export_settle(struct export_matches *matches);

/* The rules for them, each with `verdict`; side: "saddr" or "daddr", the end that a peer is. */
void export_rules(FILE *out, const struct export_matches *matches, const char *side, const char *verdict,
		  enum export_form form);
/* What a rule asks of protocol and ports, without the address. */
void export_protocol(FILE *out, uint8_t family, int protocol, int from, int to);

#endif
