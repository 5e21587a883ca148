/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the readers of the desired state share: world.c reads VPCs and their insides, world_gates.c what joins them. */
#ifndef ENID_ORACLE_WORLD_H
#define ENID_ORACLE_WORLD_H

#include "oracle.h"

const char *text_of(json_t *o, const char *key);
bool state_is(json_t *o, const char *wanted);
void copy_id(char *to, const char *from);
void *list_new(json_t *root, const char *key, size_t size, int *ret_nr);
int find_vpc(const struct world *w, const char *id);
int find_subnet(const struct world *w, const char *id);
int find_eni(const struct world *w, const char *id);
int find_list(const struct world *w, const char *id);
int find_gate(const struct world *w, const char *id);

void read_gateways(struct world *w, json_t *root);
void read_gate_tables(struct world *w, json_t *root);
void free_gateways(struct world *w);
#endif
