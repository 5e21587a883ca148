/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "frame.h"

#include <string.h>

#define ETHERNET 14

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, value >> 16);
	put16(to + 2, value);
}

static uint32_t get16(const uint8_t *from)
{
	return (uint32_t)from[0] << 8 | from[1];
}

static uint32_t sum(const uint8_t *bytes, size_t nr, uint32_t start)
{
	for (size_t i = 0; i < nr; i++)
		start += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
	return start;
}

static uint32_t folded(uint32_t value)
{
	value = (value >> 16) + (value & 0xffff);
	value = (value >> 16) + (value & 0xffff);
	return ~value & 0xffff;
}

/* ret: where the L4 header begins; *ret_next is where its protocol number stands */
static size_t put_ip(const struct frame_spec *spec, size_t nr, uint8_t *ip)
{
	size_t header = 20 + 4u * (spec->options % 11);

	if (spec->family == 4) {
		memset(ip, 1, header); /* options are NOPs */
		memset(ip, 0, 20);
		ip[0] = (uint8_t)(0x40 | header / 4);
		put16(ip + 2, (uint32_t)(header + nr));
		put16(ip + 4, spec->sport ^ 0x5a5a);
		ip[6] = spec->dont_fragment ? 0x40 : 0;
		ip[8] = 64;
		ip[9] = spec->proto;
		memcpy(ip + 12, spec->saddr, 4);
		memcpy(ip + 16, spec->daddr, 4);
		put16(ip + 10, folded(sum(ip, header, 0)));
		return header;
	}
	header = 40 + 8u * (spec->options % 10);
	memset(ip, 0, header);
	ip[0] = 0x60;
	put16(ip + 4, (uint32_t)(header - 40 + nr));
	ip[6] = spec->options % 10 ? 60 : spec->proto;
	ip[7] = 255;
	memcpy(ip + 8, spec->saddr, 16);
	memcpy(ip + 24, spec->daddr, 16);
	for (size_t at = 40; at < header; at += 8) {
		ip[at] = at + 8 < header ? 60 : spec->proto;
		ip[at + 2] = 1; /* PadN */
		ip[at + 3] = 4;
	}
	return header;
}

static size_t l4_header(uint8_t proto)
{
	return proto == 6 ? 20 : proto == 17 || proto == 1 || proto == 58 ? 8 : 0;
}

static void put_l4(const struct frame_spec *spec, size_t nr, uint8_t *l4)
{
	size_t size = spec->family == 4 ? 4 : 16;
	uint32_t pseudo = sum(spec->saddr, size, sum(spec->daddr, size, (uint32_t)nr + spec->proto));

	put16(l4, spec->sport);
	put16(l4 + 2, spec->dport);
	switch (spec->proto) {
	case 6:
		put32(l4 + 4, spec->seq);
		put32(l4 + 8, spec->ack);
		l4[12] = 5 << 4;
		l4[13] = spec->flags;
		put16(l4 + 16, folded(sum(l4, nr, pseudo)));
		break;
	case 17:
		put16(l4 + 4, (uint32_t)nr);
		put16(l4 + 6, folded(sum(l4, nr, pseudo)));
		break;
	case 1:
	case 58:
		put16(l4 + 2, 0);
		put16(l4 + 4, spec->dport);
		put16(l4 + 2, folded(sum(l4, nr, spec->proto == 58 ? pseudo : 0)));
		break;
	}
}

size_t frame_make(const struct frame_spec *spec, uint8_t *frame)
{
	size_t payload = spec->payload % 1801, nr = l4_header(spec->proto) + payload, at;

	memcpy(frame, spec->dmac, 6);
	memcpy(frame + 6, spec->smac, 6);
	put16(frame + 12, spec->family == 4 ? 0x0800 : 0x86dd);
	at = ETHERNET + put_ip(spec, nr, frame + ETHERNET);
	memset(frame + at, 0, nr);
	if (spec->body)
		memcpy(frame + at + nr - payload, spec->body, payload);
	if (nr > payload)
		put_l4(spec, nr, frame + at);
	return at + nr;
}

size_t frame_piece(const uint8_t *whole, size_t length, uint16_t offset, uint16_t nr, uint32_t id, uint8_t *frame)
{
	bool six = whole[12] == 0x86;
	size_t header = six ? 40 : 4u * (whole[14] & 15), from = ETHERNET + header + offset, to = ETHERNET + header;
	bool more;

	if (length < from || offset & 7)
		return 0;
	nr = nr < length - from ? nr : (uint16_t)(length - from);
	more = from + nr < length;
	memcpy(frame, whole, to);
	if (six) {
		uint8_t *fragment = frame + to;

		memset(fragment, 0, 8);
		fragment[0] = frame[ETHERNET + 6];
		frame[ETHERNET + 6] = 44;
		put16(fragment + 2, offset | more);
		put32(fragment + 4, id);
		to += 8;
		put16(frame + ETHERNET + 4, 8u + nr);
	} else {
		put16(frame + ETHERNET + 2, (uint32_t)header + nr);
		put16(frame + ETHERNET + 4, id);
		put16(frame + ETHERNET + 6, offset / 8u | (more ? 0x2000 : 0));
		put16(frame + ETHERNET + 10, 0);
		put16(frame + ETHERNET + 10, folded(sum(frame + ETHERNET, header, 0)));
	}
	memcpy(frame + to, whole + from, nr);
	return to + nr;
}

static void swap(uint8_t *a, uint8_t *b, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

size_t frame_l4(const uint8_t *frame, size_t length, uint8_t *ret_proto)
{
	size_t at;

	if (length < ETHERNET + 20)
		return 0;
	if (frame[12] == 8 && !frame[13]) {
		at = ETHERNET + 4u * (frame[14] & 15);
		*ret_proto = frame[23];
	} else if (frame[12] == 0x86 && length >= ETHERNET + 40) {
		at = ETHERNET + 40;
		*ret_proto = frame[20];
		for (int i = 0; i < 10 && (*ret_proto == 60 || *ret_proto == 44) && at + 8 <= length; i++, at += 8)
			*ret_proto = frame[at];
	} else {
		return 0;
	}
	return at + 8 <= length ? at : 0;
}

void frame_reverse(uint8_t *frame, size_t length)
{
	uint8_t proto = 0, *l4;
	size_t at = frame_l4(frame, length, &proto);

	if (!at)
		return;
	l4 = frame + at;
	if (frame[12] == 8)
		swap(frame + 26, frame + 30, 4);
	else
		swap(frame + 22, frame + 38, 16);
	if (proto == 6 || proto == 17)
		swap(l4, l4 + 2, 2);
	if ((proto == 1 && *l4 == 8) || (proto == 58 && *l4 == 128)) {
		uint32_t check = (~get16(l4 + 2) & 0xffff) + (~((uint32_t)*l4 << 8) & 0xffff);

		*l4 = proto == 1 ? 0 : 129;
		put16(l4 + 2, folded(check + ((uint32_t)*l4 << 8)));
	}
}
