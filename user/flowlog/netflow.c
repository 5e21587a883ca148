/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NetFlow version 9 and IPFIX. */
#include <endian.h>
#include <string.h>

#include "flowlog/netflow.h"

#define HEADER_9     20
#define HEADER_IPFIX 16
#define SET_HEADER   4

enum set_id { SET_TEMPLATE_9, SET_OPTIONS_9, SET_TEMPLATE = 2, SET_OPTIONS, SET_FLOW4 = 256, SET_FLOW6, SET_LOST };

enum element {
	IE_BYTES = 1,
	IE_PACKETS = 2,
	IE_PROTOCOL = 4,
	IE_TCP_FLAGS = 6,
	IE_SPORT = 7,
	IE_SRC4 = 8,
	IE_INPUT = 10,
	IE_DPORT = 11,
	IE_DST4 = 12,
	IE_OUTPUT = 14,
	IE_LAST_9 = 21,
	IE_FIRST_9 = 22,
	IE_SRC6 = 27,
	IE_DST6 = 28,
	IE_DIRECTION = 61,
	IE_FORWARDING = 89,
	IE_LOST = 133,
	IE_FLOW = 148,
	IE_FIRST_MS = 152,
	IE_LAST_MS = 153,
	IE_FIREWALL = 233,
	IE_VRF = 234,
};

#define SCOPE_INTERFACE_9 2

struct field {
	uint16_t element, bytes;
};

#define FORWARDED    64  /* forwardingStatus: unknown why */
#define DROPPED_ACL  130 /* ... "ACL drop" */
#define EVENT_UPDATE 5   /* firewallEvent */
#define EVENT_DENIED 3

/* In this order, in template and record. The addresses stand first, the times last. */
static const struct field common[] = {
	{IE_SPORT, 2},      {IE_DPORT, 2},    {IE_PROTOCOL, 1}, {IE_TCP_FLAGS, 1}, {IE_DIRECTION, 1},
	{IE_FORWARDING, 1}, {IE_FIREWALL, 1}, {IE_INPUT, 4},    {IE_OUTPUT, 4},    {IE_VRF, 4},
	{IE_PACKETS, 8},    {IE_BYTES, 8},    {IE_FLOW, 8},
};
#define NR_COMMON (sizeof(common) / sizeof(*common))

static void put(struct netflow *netflow, uint64_t value, size_t bytes)
{
	uint64_t wire = htobe64(value);

	memcpy(netflow->bytes + netflow->len, (uint8_t *)&wire + 8 - bytes, bytes);
	netflow->len += bytes;
}

static void put_at(struct netflow *netflow, size_t at, uint64_t value, size_t bytes)
{
	uint64_t wire = htobe64(value);

	memcpy(netflow->bytes + at, (uint8_t *)&wire + 8 - bytes, bytes);
}

static void put_field(struct netflow *netflow, uint16_t element, uint16_t bytes)
{
	put(netflow, element, 2);
	put(netflow, bytes, 2);
}

/* Sets end on a multiple of four. */
static void end_set(struct netflow *netflow)
{
	if (!netflow->set)
		return;
	while (netflow->len % 4)
		put(netflow, 0, 1);
	put_at(netflow, netflow->set + 2, netflow->len - netflow->set, 2);
	netflow->set = 0;
}

static void begin_set(struct netflow *netflow, uint16_t id)
{
	end_set(netflow);
	netflow->set = netflow->len;
	netflow->set_id = id;
	put(netflow, id, 2);
	put(netflow, 0, 2);
}

static void flow_template(struct netflow *netflow, uint16_t id, bool four)
{
	put(netflow, id, 2);
	put(netflow, NR_COMMON + 4, 2);
	put_field(netflow, four ? IE_SRC4 : IE_SRC6, four ? 4 : 16);
	put_field(netflow, four ? IE_DST4 : IE_DST6, four ? 4 : 16);
	for (size_t i = 0; i < NR_COMMON; i++)
		put_field(netflow, common[i].element, common[i].bytes);
	put_field(netflow, netflow->ipfix ? IE_FIRST_MS : IE_FIRST_9, netflow->ipfix ? 8 : 4);
	put_field(netflow, netflow->ipfix ? IE_LAST_MS : IE_LAST_9, netflow->ipfix ? 8 : 4);
}

static void put_times(struct netflow *netflow, uint32_t first_s, uint32_t last_s)
{
	const uint32_t times[] = {first_s, last_s};

	for (int i = 0; i < 2; i++)
		put(netflow, netflow->ipfix ? times[i] * 1000ull : (uint32_t)((times[i] - netflow->since_s) * 1000u),
		    netflow->ipfix ? 8 : 4);
}

/* What is missing, of which interface. The two say differently what the scope is. */
static void lost_template(struct netflow *netflow)
{
	begin_set(netflow, netflow->ipfix ? SET_OPTIONS : SET_OPTIONS_9);
	put(netflow, SET_LOST, 2);
	if (netflow->ipfix) {
		put(netflow, 4, 2); /* fields, */
		put(netflow, 1, 2); /* ... of them scopes */
		put_field(netflow, IE_INPUT, 4);
	} else {
		put(netflow, 4, 2);  /* bytes of scopes, */
		put(netflow, 12, 2); /* ... of options */
		put_field(netflow, SCOPE_INTERFACE_9, 4);
	}
	put_field(netflow, IE_LOST, 8);
	put_field(netflow, netflow->ipfix ? IE_FIRST_MS : IE_FIRST_9, netflow->ipfix ? 8 : 4);
	put_field(netflow, netflow->ipfix ? IE_LAST_MS : IE_LAST_9, netflow->ipfix ? 8 : 4);
}

static void put_templates(struct netflow *netflow)
{
	begin_set(netflow, netflow->ipfix ? SET_TEMPLATE : SET_TEMPLATE_9);
	flow_template(netflow, SET_FLOW4, true);
	flow_template(netflow, SET_FLOW6, false);
	lost_template(netflow);
	end_set(netflow);
}

void netflow_begin(struct netflow *netflow, uint32_t now_s)
{
	netflow->now_s = now_s;
	netflow->len = netflow->ipfix ? HEADER_IPFIX : HEADER_9;
	netflow->set = 0;
	netflow->nr_records = 0;
	memset(netflow->bytes, 0, netflow->len);
	if (netflow->untemplated >= NETFLOW_TEMPLATES_NR || now_s - netflow->templated_s >= NETFLOW_TEMPLATES_S) {
		put_templates(netflow);
		netflow->untemplated = 0;
		netflow->templated_s = now_s;
	}
}

static void put_flow(struct netflow *netflow, const struct log_line *line)
{
	const struct window_key *key = line->key;
	uint64_t values[NR_COMMON] = {
		be16toh(key->sport),
		be16toh(key->dport),
		key->proto,
		line->count->tcp_flags,
		key->egress,
		key->reject ? DROPPED_ACL : FORWARDED,
		key->reject ? EVENT_DENIED : EVENT_UPDATE,
		key->egress ? line->port : 0,
		key->egress ? 0 : line->port,
		line->enis && line->enis->place ? line->enis->place[line->port].zone : 0,
		line->count->packets,
		line->count->bytes,
		line->count->flow,
	};
	const union addr *addresses[] = {&key->src, &key->dst};

	for (int i = 0; i < 2; i++) {
		size_t bytes = key->family == 4 ? 4 : 16;

		memcpy(netflow->bytes + netflow->len, addresses[i]->bytes + 16 - bytes, bytes);
		netflow->len += bytes;
	}
	for (size_t i = 0; i < NR_COMMON; i++)
		put(netflow, values[i], common[i].bytes);
	put_times(netflow, line->start_s, line->end_s);
}

static size_t record_bytes(const struct netflow *netflow, uint16_t set)
{
	size_t bytes = netflow->ipfix ? 16 : 8;

	if (set == SET_LOST)
		return bytes + 12;
	for (size_t i = 0; i < NR_COMMON; i++)
		bytes += common[i].bytes;
	return bytes + (set == SET_FLOW4 ? 8 : 32);
}

bool netflow_add(struct netflow *netflow, const struct log_line *line)
{
	uint16_t set = line->status != LINE_OK ? SET_LOST : line->key->family == 4 ? SET_FLOW4 : SET_FLOW6;
	bool open = netflow->set && netflow->set_id == set;

	if (line->status == LINE_NODATA)
		return true;
	if (netflow->nr_records == NETFLOW_RECORDS_MAX ||
	    netflow->len + record_bytes(netflow, set) + (open ? 3 : SET_HEADER + 6) > NETFLOW_BYTES)
		return false;
	if (!open)
		begin_set(netflow, set);
	if (set == SET_LOST) {
		put(netflow, line->port, 4);
		put(netflow, line->packets, 8);
		put_times(netflow, line->start_s, line->end_s);
	} else {
		put_flow(netflow, line);
	}
	netflow->nr_records++;
	return true;
}

size_t netflow_end(struct netflow *netflow)
{
	end_set(netflow);
	if (!netflow->nr_records)
		return 0;
	put_at(netflow, 0, netflow->ipfix ? 10 : 9, 2);
	if (netflow->ipfix) {
		put_at(netflow, 2, netflow->len, 2);
		put_at(netflow, 4, netflow->now_s, 4);
		put_at(netflow, 8, netflow->sequence, 4);
		put_at(netflow, 12, netflow->domain, 4);
		netflow->sequence += netflow->nr_records;
	} else {
		/* count: records of every kind; a datagram that began with templates has three more */
		put_at(netflow, 2, netflow->nr_records + (netflow->untemplated ? 0 : 3), 2);
		put_at(netflow, 4, (uint32_t)((netflow->now_s - netflow->since_s) * 1000u), 4);
		put_at(netflow, 8, netflow->now_s, 4);
		put_at(netflow, 12, netflow->sequence, 4);
		put_at(netflow, 16, netflow->domain, 4);
		netflow->sequence++;
	}
	netflow->untemplated++;
	return netflow->len;
}
