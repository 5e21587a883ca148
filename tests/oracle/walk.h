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
	int before;    /* subnet by which it came to the NAT gateway */
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
void trip_drop(struct trip *t, uint64_t reasons);
bool trip_nacl(struct trip *t, int subnet, bool egress);
void trip_translate(struct trip *t, const struct ip *src, const struct ip *dst);
void trip_limit(struct trip *t, int mtu, bool told);
void trip_leave(struct trip *t, enum act act, const char *to);
bool trip_spend_ttl(struct trip *t, const struct nat *n);
bool trip_ends_early(struct trip *t, const struct nat *n);
void trip_clamp(struct trip *t, int v4);
int trip_sender(const struct trip *t);
bool is_syn(const struct pkt *q);

const struct mapping *nat_still(struct trip *t, const struct mapping *f);
const struct mapping *nat_mapping_of(struct trip *t, int gate, bool *ret_other);
void nat_outward(struct trip *t, const struct nat *n);
void nat_inward(struct trip *t, const struct nat *n);
void gate_out(struct trip *t, const struct gate *g, const struct route_choice *c, int subnet);

void walk_on(struct trip *t, int subnet);
void walk_arrive(struct trip *t, int at, bool crosses);
void walk_from_eni(struct trip *t, const struct eni *e);
void walk_from_gate(struct trip *t, const struct gate *g);
#endif
