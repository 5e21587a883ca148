/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/world.h"

uint32_t dice_below(struct dice *dice, uint32_t below)
{
	uint64_t x = dice->at += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((x ^ x >> 31) >> 32) % below;
}

bool dice_hit(struct dice *dice, uint32_t percent)
{
	return dice_below(dice, 100) < percent;
}

uint64_t test_seed(const char *name)
{
	const char *given = getenv("ENID_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("%s: ENID_SEED=%llu\n", name, (unsigned long long)seed);
	return seed;
}

struct world *world_empty(uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		abort();
	world->dice.at = seed;
	return world;
}

void *world_alloc(struct world *world, size_t nr, size_t size)
{
	void *memory = calloc(nr + 1, size);
	void **owned = reallocarray(world->owned, world->nr_owned + 1, sizeof(*owned));

	if (!memory || !owned)
		abort();
	world->owned = owned;
	world->owned[world->nr_owned++] = memory;
	return memory;
}

void world_free(struct world *world)
{
	for (size_t i = 0; i < world->nr_owned; i++)
		free(world->owned[i]);
	free(world->owned);
	free(world);
}

const char *world_text(struct world *world, const char *format, ...)
{
	char *text = world_alloc(world, 96, 1);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, 96, format, arguments);
	va_end(arguments);
	return text;
}

void world_shuffle(struct world *world, void *base, size_t nr, size_t size)
{
	char *at = base, *spare = malloc(size);

	if (!spare)
		abort();
	for (size_t i = nr; i > 1; i--) {
		size_t other = dice_below(&world->order, (uint32_t)i);

		memcpy(spare, at + other * size, size);
		memmove(at + other * size, at + (i - 1) * size, size);
		memcpy(at + (i - 1) * size, spare, size);
	}
	free(spare);
}

union addr world_addr(const char *text, int *ret_family)
{
	union addr addr = {};

	*ret_family = strchr(text, ':') ? 6 : 4;
	if (inet_pton(*ret_family == 6 ? AF_INET6 : AF_INET, text, addr.bytes + (*ret_family == 6 ? 0 : 12)) != 1)
		abort();
	return addr;
}

struct cidr world_cidr(const char *text)
{
	struct cidr cidr = {};
	char address[64];
	unsigned prefixlen;
	int family;

	if (sscanf(text, "%63[^/]/%u", address, &prefixlen) != 2)
		abort();
	cidr.addr = world_addr(address, &family);
	cidr.family = (uint8_t)family;
	cidr.prefixlen = (uint8_t)prefixlen;
	return cidr;
}

static void clear_host_bits(struct cidr *cidr)
{
	for (unsigned bit = cidr->prefixlen; bit < (cidr->family == 4 ? 32u : 128u); bit++) {
		unsigned at = bit + (cidr->family == 4 ? 96 : 0);

		cidr->addr.bytes[at / 8] &= (uint8_t) ~(0x80 >> at % 8);
	}
}

/* Few distinct bits, so that blocks nest, repeat and touch; sometimes the very ends of the address space. */
struct cidr random_cidr(struct dice *dice, int family)
{
	static const uint8_t lengths4[] = {0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 28, 30, 31, 32, 32};
	static const uint8_t lengths6[] = {0, 1, 16, 31, 32, 33, 48, 56, 63, 64, 65, 96, 120, 126, 127, 128};
	struct cidr cidr = {.family = (uint8_t)family};
	unsigned first = family == 4 ? 12 : 0;
	uint32_t pick = dice_below(dice, 16);

	cidr.prefixlen = family == 4 ? lengths4[pick] : lengths6[pick];
	if (dice_hit(dice, 5)) {
		memset(cidr.addr.bytes + first, dice_hit(dice, 50) ? 0xff : 0, 16 - first);
	} else {
		for (unsigned i = first; i < 16; i++)
			cidr.addr.bytes[i] = dice_hit(dice, 70) ? 0 : (uint8_t)(0xff << dice_below(dice, 8));
		cidr.addr.bytes[first] = family == 4 ? 10 : 0x20;
		cidr.addr.bytes[15] = (uint8_t)dice_below(dice, 8);
	}
	clear_host_bits(&cidr);
	return cidr;
}

union addr border_address(struct dice *dice, const struct cidr *cidr)
{
	union addr addr = cidr->addr;
	unsigned first = cidr->family == 4 ? 12 : 0, side = dice_below(dice, 4);
	int step = dice_hit(dice, 40) ? (side & 1 ? 1 : -1) : 0;

	if (side & 1)
		for (unsigned bit = cidr->prefixlen; bit < (16 - first) * 8; bit++)
			addr.bytes[first + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	for (unsigned i = 16; step && i-- > first;) {
		addr.bytes[i] = (uint8_t)(addr.bytes[i] + step);
		if (addr.bytes[i] != (step > 0 ? 0 : 0xff))
			break;
	}
	return addr;
}

bool cidr_has(const struct cidr *cidr, int family, const union addr *addr)
{
	unsigned first = family == 4 ? 96 : 0;

	if (cidr->family != family)
		return false;
	for (unsigned bit = first; bit < first + cidr->prefixlen; bit++)
		if ((cidr->addr.bytes[bit / 8] ^ addr->bytes[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}
