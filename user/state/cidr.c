/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and CIDRs: the text forms by inet_pton/inet_ntop, the comparisons on bytes in network order, where an IPv4
 * address stands in the last four bytes of union addr. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"

static unsigned int bits_of(int family)
{
	return family == 4 ? 32 : 128;
}

static uint8_t *bytes_of(int family, union addr *addr)
{
	return family == 4 ? addr->bytes + 12 : addr->bytes;
}

int address_parse(const char *text, union addr *ret)
{
	union addr addr = {};

	if (inet_pton(AF_INET, text, &addr.ip4) == 1) {
		*ret = addr;
		return 4;
	}
	if (inet_pton(AF_INET6, text, addr.bytes) == 1) {
		*ret = addr;
		return 6;
	}
	return -EINVAL;
}

const char *address_format(int family, const union addr *addr, char *text)
{
	const void *bytes = family == 4 ? (const void *)&addr->ip4 : addr->bytes;

	return inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes, text, CIDR_TEXT_MAX);
}

static int prefixlen_parse(const char *text, unsigned int max, uint8_t *ret)
{
	unsigned int value = 0;

	if (!*text || (*text == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret = (uint8_t)value;
	return 0;
}

/* Clear all bits after the prefix; ret: whether one was set. */
static bool mask(struct cidr *cidr)
{
	uint8_t *bytes = bytes_of(cidr->family, &cidr->addr);
	bool any = false;

	for (unsigned int i = 0; i < bits_of(cidr->family) / 8; i++) {
		unsigned int kept = cidr->prefixlen > i * 8 ? cidr->prefixlen - i * 8 : 0;
		uint8_t bits = kept >= 8 ? 0xff : (uint8_t)(0xff00u >> kept);

		any |= (bytes[i] & ~bits) != 0;
		bytes[i] &= bits;
	}
	return any;
}

int cidr_parse(const char *text, struct cidr *ret, bool *ret_host_bits)
{
	const char *slash = strchr(text, '/');
	char address[CIDR_TEXT_MAX];
	struct cidr cidr = {};
	int family;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	family = address_parse(address, &cidr.addr);
	if (family < 0)
		return family;
	cidr.family = (uint8_t)family;
	if (prefixlen_parse(slash + 1, bits_of(family), &cidr.prefixlen))
		return -EINVAL;
	*ret_host_bits = mask(&cidr);
	*ret = cidr;
	return 0;
}

const char *cidr_format(const struct cidr *cidr, char *text)
{
	char address[CIDR_TEXT_MAX];

	address_format(cidr->family, &cidr->addr, address);
	snprintf(text, CIDR_TEXT_MAX, "%.45s/%u", address, cidr->prefixlen);
	return text;
}

int mac_parse(const char *text, uint8_t *ret_mac)
{
	unsigned int v[6];
	int used = 0;

	if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17)
		return -EINVAL;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &used) != 6 ||
	    used != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)v[i];
	return 0;
}

int cidr_compare(const void *a, const void *b)
{
	const struct cidr *x = a, *y = b;
	int order;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	order = memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes));
	return order ? order : (x->prefixlen > y->prefixlen) - (x->prefixlen < y->prefixlen);
}

bool cidr_contains(const struct cidr *outer, const struct cidr *inner)
{
	struct cidr cut = *inner;

	if (outer->family != inner->family || inner->prefixlen < outer->prefixlen)
		return false;
	cut.prefixlen = outer->prefixlen;
	mask(&cut);
	return !memcmp(cut.addr.bytes, outer->addr.bytes, sizeof(cut.addr.bytes));
}

bool cidr_overlaps(const struct cidr *a, const struct cidr *b)
{
	return cidr_contains(a, b) || cidr_contains(b, a);
}

size_t cidr_sort_unique(struct cidr *cidrs, size_t nr)
{
	size_t kept = 0;

	if (nr)
		qsort(cidrs, nr, sizeof(*cidrs), cidr_compare);
	for (size_t i = 0; i < nr; i++)
		if (!kept || cidr_compare(&cidrs[kept - 1], &cidrs[i]))
			cidrs[kept++] = cidrs[i];
	return kept;
}
