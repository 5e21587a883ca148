/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "explain/program.h"
#include "explain/way.h"

#define ETHERNET 14

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t sum(const uint8_t *bytes, size_t nr)
{
	uint32_t total = 0;

	for (size_t i = 0; i + 1 < nr; i += 2)
		total += get16(bytes + i);
	return nr & 1 ? total + ((uint32_t)bytes[nr - 1] << 8) : total;
}

static uint32_t fold(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	return ~((total & 0xffff) + (total >> 16)) & 0xffff;
}

/* ret: its length; *ret_sum: where its checksum stands, 0 = it has none; *ret_pseudo: that covers the addresses, too */
static size_t put_l4(const struct frame_wish *wish, uint8_t *at, size_t *ret_sum, bool *ret_pseudo)
{
	const struct tuple *t = &wish->tuple;

	*ret_sum = 0;
	*ret_pseudo = true;
	memset(at, 0, 32);
	memcpy(at, &t->sport, 2);
	memcpy(at + 2, &t->dport, 2);
	if (t->proto == IPPROTO_TCP) {
		put16(at + 6, 1000);
		at[12] = 5 << 4;
		at[13] = wish->tcp_flags;
		put16(at + 14, 64240);
		*ret_sum = 16;
		return 20;
	}
	if (t->proto == IPPROTO_UDP) {
		put16(at + 4, 16);
		*ret_sum = 6;
		return 16;
	}
	memset(at, 0, 4);
	if (!way_is_query(t->family, t->proto))
		return 16;
	put16(at, wish->icmp);
	memcpy(at + 4, &t->sport, 2);
	put16(at + 6, 1);
	*ret_sum = 2;
	*ret_pseudo = t->family == 6;
	return 16;
}

static size_t put_ip(const struct tuple *t, size_t l4, uint8_t *at)
{
	memset(at, 0, t->family == 6 ? 40 : 20);
	if (t->family == 6) {
		at[0] = 0x60;
		put16(at + 4, (uint32_t)l4);
		at[6] = t->proto;
		at[7] = 64;
		memcpy(at + 8, t->saddr.bytes, 16);
		memcpy(at + 24, t->daddr.bytes, 16);
		return 40;
	}
	at[0] = 0x45;
	put16(at + 2, (uint32_t)l4 + 20);
	put16(at + 6, 0x4000);
	at[8] = 64;
	at[9] = t->proto;
	memcpy(at + 12, &t->saddr.ip4, 4);
	memcpy(at + 16, &t->daddr.ip4, 4);
	put16(at + 10, fold(sum(at, 20)));
	return 20;
}

size_t frame_build(const struct frame_wish *wish, uint8_t frame[FRAME_BUILT_MAX])
{
	const struct tuple *t = &wish->tuple;
	size_t header = t->family == 6 ? 40 : 20, check, l4;
	uint8_t *ip = frame + ETHERNET, *body = ip + header;
	uint32_t total;
	bool pseudo;

	memcpy(frame, wish->target_mac, 6);
	memcpy(frame + 6, wish->source_mac, 6);
	put16(frame + 12, t->family == 6 ? 0x86dd : 0x0800);
	l4 = put_l4(wish, body, &check, &pseudo);
	put_ip(t, l4, ip);
	if (check) {
		total = sum(body, l4);
		if (pseudo)
			total += sum(ip + (t->family == 6 ? 8 : 12), t->family == 6 ? 32 : 8) + t->proto + (uint32_t)l4;
		total = fold(total);
		put16(body + check, total || t->proto != IPPROTO_UDP ? total : 0xffff);
	}
	return ETHERNET + header + l4;
}

bool frame_read(const uint8_t *frame, size_t length, struct tuple *ret)
{
	const uint8_t *ip = frame + ETHERNET, *l4;
	struct tuple t = {};

	if (length < ETHERNET + 28)
		return false;
	if (get16(frame + 12) == 0x86dd && length >= ETHERNET + 48) {
		t.family = 6;
		t.proto = ip[6];
		memcpy(t.saddr.bytes, ip + 8, 16);
		memcpy(t.daddr.bytes, ip + 24, 16);
		l4 = ip + 40;
	} else if (get16(frame + 12) == 0x0800) {
		t.family = 4;
		t.proto = ip[9];
		memcpy(&t.saddr.ip4, ip + 12, 4);
		memcpy(&t.daddr.ip4, ip + 16, 4);
		l4 = ip + 20;
	} else {
		return false;
	}
	if (t.proto == IPPROTO_TCP || t.proto == IPPROTO_UDP) {
		memcpy(&t.sport, l4, 2);
		memcpy(&t.dport, l4 + 2, 2);
	} else if (way_is_query(t.family, t.proto) && way_query_type(t.family, l4[0])) {
		memcpy(&t.sport, l4 + 4, 2);
		t.dport = l4[0];
	}
	*ret = t;
	return true;
}
