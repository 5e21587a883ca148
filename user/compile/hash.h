/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Content hash: 128 bits that name a policy object or route table version by what it holds.
 *
 * Not cryptographic: it tells versions apart, it does not defend against somebody who may write the state (who may
 * write the policy anyway). The same input gives the same hash on every run and machine of one byte order.
 */
#ifndef ENID_COMPILE_HASH_H
#define ENID_COMPILE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "compile/image.h"

struct hasher {
	uint64_t a, b;
};

#define HASHER_INIT \
	{ \
		0x243f6a8885a308d3ull, 0x13198a2e03707344ull \
	}

/* Each call is framed by its length: "ab","c" and "a","bc" differ. */
void hasher_add(struct hasher *hasher, const void *bytes, size_t size);
void hasher_add_u32(struct hasher *hasher, uint32_t value);
void hasher_add_text(struct hasher *hasher, const char *text);
struct content_hash hasher_result(const struct hasher *hasher);

void hasher_add_rules(struct hasher *hasher, const struct image_rule *rules, uint32_t nr);

/* One 64-bit number out of two: for hash tables and identities. */
uint64_t hash_mix(uint64_t a, uint64_t b);

#endif
