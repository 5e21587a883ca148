/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two independent 64-bit lanes, eight bytes a step. Each step is a bijection of the lane for a given word, and of the
 * word for a given lane, so two inputs that differ in one word never meet in that step. */
#include <string.h>

#include "compile/hash.h"

static uint64_t finish(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static void step(struct hasher *hasher, uint64_t word)
{
	uint64_t a = (hasher->a ^ word) * 0x9e3779b97f4a7c15ull;
	uint64_t b = hasher->b + word;

	hasher->a = a ^ a >> 32;
	hasher->b = (b << 27 | b >> 37) * 0xd6e8feb86659fd93ull ^ 0xa0761d6478bd642full;
}

void hasher_add(struct hasher *hasher, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t word;

	step(hasher, finish(size + 1));
	for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		step(hasher, word);
	}
	word = 0;
	if (size) {
		memcpy(&word, at, size);
		step(hasher, word);
	}
}

void hasher_add_u32(struct hasher *hasher, uint32_t value)
{
	step(hasher, value);
}

void hasher_add_text(struct hasher *hasher, const char *text)
{
	hasher_add(hasher, text, strlen(text));
}

void hasher_add_rules(struct hasher *hasher, const struct image_rule *rules, uint32_t nr)
{
	hasher_add_u32(hasher, nr);
	for (uint32_t i = 0; i < nr; i++) {
		hasher_add_text(hasher, rules[i].id);
		hasher_add_text(hasher, rules[i].text);
	}
}

struct content_hash hasher_result(const struct hasher *hasher)
{
	uint64_t a = finish(hasher->a ^ (hasher->b << 17 | hasher->b >> 47));
	uint64_t b = finish(hasher->b + a);

	return (struct content_hash){{(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)}};
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	return finish(finish(a + 0x9e3779b97f4a7c15ull) ^ b);
}
