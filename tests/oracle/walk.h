/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet on its way from place to place (SEMANTICS section 17). */
#ifndef ENID_ORACLE_WALK_H
#define ENID_ORACLE_WALK_H

#include "oracle.h"

struct trip {
	struct model *m;
	struct verdict *v;
	const struct pkt *p; /* as it came */
	struct pkt q;        /* as it is here: addresses, ports and the quoted packet's */
	const struct eni *from;
	int vpc, refs; /* REFS_NONE, or the VPC where its source is a member */
	bool tracked;  /* CT-06 */
	bool by_tgw, by_nat;
	int steps, ttl_less, mss;
	int peering;    /* that it went over; -1 */
	int mtu;        /* the smallest limit so far, 0: none */
	bool told;      /* the sender hears of it */
	const char *by; /* where it came in */
};

void trip_begin(struct trip *t, struct model *m, struct verdict *v, const struct pkt *p, int vpc, const char *by);
void walk_from_eni(struct trip *t, const struct eni *e);
void walk_from_gate(struct trip *t, const struct gate *g);
#endif
