/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet is, before anybody asks where it goes. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "explain/way.h"

bool way_is_query(int family, uint8_t proto)
{
	return proto == (family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

bool way_query_type(int family, uint32_t type)
{
	if (family == 6)
		return type == 128 || type == 129;
	return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* It has a flow, or opens one; other ICMP messages refer to nothing. */
bool way_plain(const struct way *way)
{
	return !way_is_query(way->tuple.family, way->tuple.proto) || way_query_type(way->tuple.family, way->icmp >> 8);
}

bool way_may_open(const struct way *way)
{
	uint32_t type = way->tuple.dport;

	if (way->set)
		return true;
	if (!way_plain(way))
		return false;
	if (!way_is_query(way->tuple.family, way->tuple.proto))
		return true;
	return way->tuple.family == 6 ? type == 128 : type == 8 || type == 13 || type == 15 || type == 17;
}

static uint16_t query_counterpart(uint16_t type)
{
	switch (type) {
	case 8:
		return 0;
	case 0:
		return 8;
	case 13:
	case 15:
	case 17:
	case 128:
		return (uint16_t)(type + 1);
	default:
		return (uint16_t)(type - 1);
	}
}

struct tuple way_answer(const struct tuple *tuple)
{
	bool query = way_is_query(tuple->family, tuple->proto);

	return (struct tuple){
		.saddr = tuple->daddr,
		.daddr = tuple->saddr,
		.sport = query ? tuple->sport : tuple->dport,
		.dport = query ? query_counterpart(tuple->dport) : tuple->sport,
		.proto = tuple->proto,
		.family = tuple->family,
	};
}

bool way_martian_source(int family, const union addr *a)
{
	if (family == 4) {
		uint32_t top = ntohl(a->ip4) >> 24;

		return top == 0 || top == 127 || top >= 224 || ntohl(a->ip4) >> 16 == 0xa9fe;
	}
	if (a->bytes[0] == 0xff || (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80))
		return true;
	return !a->d[0] && (!a->w[2] || a->w[2] == htonl(0xffff));
}

bool way_martian_destination(int family, const union addr *a)
{
	if (family == 4) {
		uint32_t top = ntohl(a->ip4) >> 24;

		return top == 0 || top == 127 || top >= 240 || ntohl(a->ip4) >> 16 == 0xa9fe;
	}
	if (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80)
		return true;
	return !a->d[0] && (!a->w[2] || a->w[2] == htonl(0xffff));
}
