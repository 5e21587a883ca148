/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random states for tests of the compiler: small address ranges that nest, every kind of rule, peer and route.
 *
 * Two seeds: `seed` decides what the state says, `order` in which order its lists say it. Worlds of one seed and two
 * orders are the same state, so they must compile to the same image.
 */
#ifndef ENID_TESTS_WORLD_H
#define ENID_TESTS_WORLD_H

#include "lib/dice.h"
#include "state/state.h"

struct world {
	struct state state;
	struct dice dice, order;
	void **owned;
	size_t nr_owned;
};

struct world *world_make(uint64_t seed, uint64_t order);
void world_free(struct world *world);

/* Building blocks, for states written by hand: memory that lives as long as the world, zeroed. */
struct world *world_empty(uint64_t seed);
void *world_alloc(struct world *world, size_t nr, size_t size);
const char *world_text(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct cidr world_cidr(const char *text); /* "10.0.0.0/8" */
union addr world_addr(const char *text, int *ret_family);
struct cidr random_cidr(struct dice *dice, int family);
void random_nacl(struct world *world, struct nacl *nacl, const char *id);
/* Fisher-Yates by world->order. */
void world_shuffle(struct world *world, void *base, size_t nr, size_t size);

/* An address at or beside the borders of a CIDR. */
union addr border_address(struct dice *dice, const struct cidr *cidr);
bool cidr_has(const struct cidr *cidr, int family, const union addr *addr);

#endif
