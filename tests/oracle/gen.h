/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the makers of random states share. */
#ifndef ENID_ORACLE_GEN_H
#define ENID_ORACLE_GEN_H

#include "oracle.h"

#define OWNER "111122223333"

struct plan {
	struct rnd *r;
	json_t *root, *hosts_ports, *uplinks;
	int v;      /* VPC at hand */
	int second; /* its IPv4 CIDR is 10.second.0.0/16 */
	int subnets, groups, enis;
	bool guard, igw, v6;
	int middlebox; /* ENI index, or -1 */
	int publics;
	int nats, nat_subnet[2];
	bool eigw, endpoint;
};

/* A VPC that is made, for what joins it to others. */
struct made_vpc {
	int v, second, subnets, middlebox;
	bool guard, v6, igw;
};

json_t *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *list_of(json_t *o, const char *key);
void add(json_t *o, const char *key, json_t *item);
void add_route(json_t *table, json_t *cidr, bool v6, const char *key, json_t *target, const char *state);
json_t *any_item(struct rnd *r, json_t *root, const char *key);

json_t *any_permission(struct plan *g);
json_t *all_permission(int fam);
json_t *any_entry(struct plan *g, int number, bool egress);
void gen_timeouts(struct plan *g, json_t *o);

/* gen_gates.c */
void gen_plan_gates(struct plan *g);
void gen_gates(struct plan *g);
void gen_gate_routes(struct plan *g, json_t *table, int subnet);
void gen_joints(struct rnd *r, json_t *root, const struct made_vpc *vpc, int nr);
const char *edit_gates(struct rnd *r, json_t *root);
#endif
