/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rehearse/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ETHERNET 14
#define TCP_SYN  2
#define TCP_ACK  16
#define TTL      64

/* What comes next of a handshake's first half is its answer; of anything else, a segment that only acknowledges. */
struct probe probe_of(const struct flow_record *record, int which)
{
	const struct flow_half *half = &record->half[which];
	struct probe probe = {.tuple = half->tuple, .in = half->in, .flags = TCP_ACK};

	memcpy(probe.dmac, half->dmac, sizeof(probe.dmac));
	if (which == 1 && CT_STATE(record->half[0].ct) == CT_NEW)
		probe.flags |= TCP_SYN;
	return probe;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum_of(const uint8_t *bytes, size_t length, uint32_t sum)
{
	for (size_t i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint32_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* ret: length of the header; *ret_sum_at: where its checksum stands, 0 = it has none */
static size_t l4_header(const struct probe *probe, uint8_t *l4, size_t *ret_sum_at)
{
	const struct tuple *tuple = &probe->tuple;

	memcpy(l4, &tuple->sport, 2);
	memcpy(l4 + 2, &tuple->dport, 2);
	switch (tuple->proto) {
	case IPPROTO_TCP:
		l4[11] = 1; /* acknowledges something */
		l4[12] = 5 << 4;
		l4[13] = probe->flags;
		put16(l4 + 14, 8192);
		*ret_sum_at = 16;
		return 20;
	case IPPROTO_UDP:
		put16(l4 + 4, 8);
		*ret_sum_at = 6;
		return 8;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: /* sport is the identifier, dport the type */
		l4[0] = (uint8_t)tuple->dport;
		l4[1] = 0;
		put16(l4 + 2, 0);
		memcpy(l4 + 4, &tuple->sport, 2);
		*ret_sum_at = 2;
		return 8;
	default:
		memset(l4, 0, 4);
		*ret_sum_at = 0;
		return 8;
	}
}

static size_t ip_header(const struct tuple *tuple, size_t payload, uint8_t *ip)
{
	if (tuple->family == 6) {
		ip[0] = 6 << 4;
		put16(ip + 4, (uint32_t)payload);
		ip[6] = tuple->proto;
		ip[7] = TTL;
		memcpy(ip + 8, tuple->saddr.bytes, 16);
		memcpy(ip + 24, tuple->daddr.bytes, 16);
		return 40;
	}
	ip[0] = 0x45;
	put16(ip + 2, (uint32_t)payload + 20);
	put16(ip + 6, 0x4000); /* may not be cut */
	ip[8] = TTL;
	ip[9] = tuple->proto;
	memcpy(ip + 12, &tuple->saddr.ip4, 4);
	memcpy(ip + 16, &tuple->daddr.ip4, 4);
	put16(ip + 10, fold(sum_of(ip, 20, 0)));
	return 20;
}

/* ICMP has no pseudo header. */
static void seal(const struct tuple *tuple, uint8_t *l4, size_t length, size_t sum_at)
{
	uint32_t sum = 0;

	if (tuple->proto != IPPROTO_ICMP) {
		sum = sum_of(tuple->saddr.bytes, 16, tuple->proto + (uint32_t)length);
		sum = sum_of(tuple->daddr.bytes, 16, sum);
	}
	sum = fold(sum_of(l4, length, sum));
	put16(l4 + sum_at, sum || tuple->proto != IPPROTO_UDP ? sum : 0xffff);
}

static bool is_zero(const uint8_t mac[6])
{
	return !memcmp(mac, "\0\0\0\0\0\0", 6);
}

/* A guest sends by its own MAC; what comes for it, or from outside, by anybody's. */
static void ethernet(const struct probe *probe, const struct port_policy *port, const uint8_t router_mac[6],
		     uint8_t *frame)
{
	static const uint8_t anybody[6] = {0x02, 0, 0, 0, 0, 1};
	bool from_guest = port->kind == PORT_ENI && !(probe->in & IN_TX) == !(port->flags & PORT_SIDE_INSTANCE);
	const uint8_t *to = from_guest ? router_mac : port->mac;

	memcpy(frame, is_zero(probe->dmac) ? to : probe->dmac, 6);
	memcpy(frame + 6, from_guest ? port->mac : anybody, 6);
	put16(frame + 12, probe->tuple.family == 6 ? 0x86dd : 0x0800);
}

size_t probe_frame(const struct probe *probe, const struct port_policy *port, const uint8_t router_mac[6],
		   uint8_t frame[PROBE_MAX])
{
	size_t header = probe->tuple.family == 6 ? 40 : 20, length, sum_at;
	uint8_t *ip = frame + ETHERNET, *l4 = ip + header;

	memset(frame, 0, PROBE_MAX);
	ethernet(probe, port, router_mac, frame);
	length = l4_header(probe, l4, &sum_at);
	(void)ip_header(&probe->tuple, length, ip);
	if (sum_at)
		seal(&probe->tuple, l4, length, sum_at);
	return ETHERNET + header + length;
}
