/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replay/cut.h"

#include <string.h>

#include "enid/limits.h"

#define ETHERNET  14
#define IP_PLAIN  20
#define IP_MORE   0x2000
#define IP_OFFSET 0x1fff

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void seal(uint8_t *ip, size_t length)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (size_t i = 0; i < length; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)));
}

bool cut_frame(const uint8_t *head, uint32_t mtu, uint32_t nr, struct piece *ret)
{
	const uint8_t *ip = head + ETHERNET;
	uint32_t header = (ip[0] & 15) * 4, payload = get16(ip + 2) - header, word = get16(ip + 6);
	uint32_t room = CUT_ROOM(mtu, header), at = nr * room, length = payload - at;
	uint32_t kept = nr ? IP_PLAIN : header; /* options go with the first */

	if (at >= payload)
		return false;
	word = (word & (IP_MORE | IP_OFFSET)) + at / 8;
	if (length > room) {
		length = room;
		word |= IP_MORE;
	}
	memcpy(ret->header, head, ETHERNET + kept);
	ret->header[ETHERNET] = (uint8_t)(0x40 | kept / 4);
	put16(ret->header + ETHERNET + 2, kept + length);
	put16(ret->header + ETHERNET + 6, word);
	seal(ret->header + ETHERNET, kept);
	ret->nr_header = ETHERNET + kept;
	ret->at = ETHERNET + header + at;
	ret->length = length;
	return true;
}
