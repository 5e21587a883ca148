/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/dissect.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#define IP6_EXTENSIONS_MAX 8

struct bytes {
	const uint8_t *at;
	size_t len;
};

static uint16_t word(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool skip(struct bytes *bytes, size_t len)
{
	if (bytes->len < len)
		return false;
	bytes->at += len;
	bytes->len -= len;
	return true;
}

static void read_l4(struct bytes bytes, struct dissected *ret)
{
	if (ret->later)
		return;
	switch (ret->ends.protocol) {
	case IPPROTO_TCP:
		if (bytes.len > 13)
			ret->tcp_flags = bytes.at[13];
		/* fall through */
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (bytes.len < 4)
			return;
		ret->ends.sport = word(bytes.at);
		ret->ends.dport = word(bytes.at + 2);
	}
}

static void read_ip4(struct bytes bytes, struct dissected *ret)
{
	size_t header = bytes.len ? (size_t)(bytes.at[0] & 15) * 4 : 0;

	if (bytes.len < 20 || bytes.at[0] >> 4 != 4 || header < 20)
		return;
	ret->ends.family = 4;
	ret->ends.protocol = bytes.at[9];
	memcpy(&ret->ends.src.ip4, bytes.at + 12, 4);
	memcpy(&ret->ends.dst.ip4, bytes.at + 16, 4);
	ret->later = word(bytes.at + 6) & 0x1fff;
	if (skip(&bytes, header))
		read_l4(bytes, ret);
}

/* Hop-by-hop and destination options, routing, fragment: to the next header. ret: false = that is none of them */
static bool read_extension(struct bytes *bytes, struct dissected *ret)
{
	const uint8_t *at = bytes->at;
	int protocol = ret->ends.protocol;

	if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS &&
	    protocol != IPPROTO_FRAGMENT)
		return false;
	if (bytes->len < 8)
		return false;
	if (protocol == IPPROTO_FRAGMENT)
		ret->later = word(at + 2) >> 3;
	if (!skip(bytes, protocol == IPPROTO_FRAGMENT ? 8 : ((size_t)at[1] + 1) * 8))
		return false;
	ret->ends.protocol = at[0];
	return !ret->later;
}

static void read_ip6(struct bytes bytes, struct dissected *ret)
{
	if (bytes.len < 40 || bytes.at[0] >> 4 != 6)
		return;
	ret->ends.family = 6;
	ret->ends.protocol = bytes.at[6];
	memcpy(&ret->ends.src, bytes.at + 8, 16);
	memcpy(&ret->ends.dst, bytes.at + 24, 16);
	(void)skip(&bytes, 40);
	for (int i = 0; i < IP6_EXTENSIONS_MAX && read_extension(&bytes, ret); i++)
		;
	read_l4(bytes, ret);
}

void dissect(const uint8_t *bytes, size_t len, bool raw, struct dissected *ret)
{
	struct bytes rest = {bytes, len};

	*ret = (struct dissected){.ends = {.protocol = -1, .sport = -1, .dport = -1}};
	if (raw && len) {
		ret->ethertype = bytes[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
	} else {
		if (!skip(&rest, 14))
			return;
		ret->ethertype = word(bytes + 12);
		if (ret->ethertype == ETHERTYPE_VLAN && rest.len >= 4) {
			ret->ethertype = word(rest.at + 2);
			(void)skip(&rest, 4);
		}
	}
	if (ret->ethertype == ETHERTYPE_IP)
		read_ip4(rest, ret);
	else if (ret->ethertype == ETHERTYPE_IPV6)
		read_ip6(rest, ret);
}
