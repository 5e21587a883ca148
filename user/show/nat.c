/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "show/nat.h"

#include <stdlib.h>

#include "datapath/beside.h"

/* What flows carry that still have a record; ended ones have told theirs. */
static void add_records(struct datapath *datapath, struct nat_stats *sums)
{
	const struct flow_record *records = datapath_records(datapath);
	const struct beside beside = datapath_beside(datapath);
	uint32_t fresh = datapath_control(datapath)->flows_fresh, max = datapath_flows_max(datapath);

	for (uint32_t i = 0; i < fresh && i < max; i++) {
		const struct flow_half *half = records[i].half;
		uint32_t state = GS_STATE(half[0].gs), gateway;
		const struct side *own;

		if ((state != RECORD_LIVE && state != RECORD_CLOSING) || !(half[0].shared & RECORD_GATED))
			continue;
		own = beside_side(&beside, &records[i], i);
		gateway = own ? own->mapping.gateway : PORTS_MAX;
		if (gateway >= PORTS_MAX)
			continue;
		for (int side = 0; side < 2; side++) {
			sums[gateway].ended[side].packets += half_packets(&half[side]);
			sums[gateway].ended[side].bytes += half_bytes(&half[side]);
		}
	}
}

static json_t *gateway_row(const char *id, const struct nat_stats *stats)
{
	const json_int_t bytes[2] = {(json_int_t)stats->ended[0].bytes, (json_int_t)stats->ended[1].bytes};
	const json_int_t packets[2] = {(json_int_t)stats->ended[0].packets, (json_int_t)stats->ended[1].packets};

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "gateway", id,
			 "ActiveConnectionCount", (json_int_t)stats->active, "ConnectionAttemptCount",
			 (json_int_t)stats->attempts, "ConnectionEstablishedCount", (json_int_t)stats->established,
			 "ErrorPortAllocation", (json_int_t)stats->no_port, "IdleTimeoutCount",
			 (json_int_t)stats->idle_timeout, "PacketsDropCount", (json_int_t)stats->drops,
			 "BytesInFromSource", bytes[0], "BytesOutToDestination", bytes[0], "BytesInFromDestination",
			 bytes[1], "BytesOutToSource", bytes[1], "PacketsInFromSource", packets[0],
			 "PacketsOutToDestination", packets[0], "PacketsInFromDestination", packets[1],
			 "PacketsOutToSource", packets[1]);
}

static bool any_gateway(const struct port *ports, uint32_t slot)
{
	for (uint32_t port = 1; port < PORTS_MAX; port++)
		if (ports[port].slot[slot].kind == PORT_NAT)
			return true;
	return false;
}

json_t *nat_gateways(struct datapath *datapath)
{
	const struct nat_stats *stats = datapath_nat_stats(datapath);
	uint32_t slot = datapath_control(datapath)->generation & 1;
	struct nat_stats *sums = calloc(PORTS_MAX, sizeof(*sums));
	const struct port *ports = datapath_ports(datapath);
	json_t *list = json_array();

	if (sums && any_gateway(ports, slot))
		add_records(datapath, sums);
	for (uint32_t port = 1; sums && stats && port < PORTS_MAX; port++) {
		struct nat_stats sum = stats[port];

		if (ports[port].slot[slot].kind != PORT_NAT)
			continue;
		for (int side = 0; side < 2; side++) {
			sum.ended[side].packets += sums[port].ended[side].packets;
			sum.ended[side].bytes += sums[port].ended[side].bytes;
		}
		json_array_append_new(list, gateway_row(datapath_port_id(datapath, port), &sum));
	}
	free(sums);
	return list;
}
