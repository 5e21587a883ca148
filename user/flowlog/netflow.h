/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NetFlow version 9 (RFC 3954) and IPFIX (RFC 7011): flow log records as datagrams. One encoder for both: the fields
 * are the same but for the times, header and sequence differ. Pure: bytes in memory; netflow_flush() sends them.
 *
 * A record tells the packet's own addresses, the port number as interface (input: from the guest, output: to it), the
 * VPC's zone as VRF, forwardingStatus and firewallEvent. SKIPDATA is an options record: the interface, and how many
 * packets are missing (droppedPacketDeltaCount).
 */
#ifndef ENID_FLOWLOG_NETFLOW_H
#define ENID_FLOWLOG_NETFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flowlog/line.h"

#define NETFLOW_BYTES        1400 /* of a datagram, headers above UDP included */
#define NETFLOW_RECORDS_MAX  40
#define NETFLOW_TEMPLATES_S  60 /* templates again after this many seconds, */
#define NETFLOW_TEMPLATES_NR 20 /* ... or datagrams */

struct netflow {
	bool ipfix;
	uint32_t domain;   /* observation domain, source id */
	uint32_t sequence; /* v9: datagrams; IPFIX: data records */
	uint32_t since_s;  /* v9's uptime counts from here */
	uint32_t now_s;
	uint32_t untemplated; /* datagrams since the templates were sent; NETFLOW_TEMPLATES_NR: with the next one */
	uint32_t templated_s; /* ... and when that was */
	uint32_t nr_records;  /* in this datagram, templates not counted */
	size_t len, set;      /* set: where the open set begins; 0 = none */
	uint16_t set_id;
	uint8_t bytes[NETFLOW_BYTES + 4];
};

/* Begin a datagram. */
void netflow_begin(struct netflow *netflow, uint32_t now_s);
/* ret: false = it has no room, begin another one after netflow_end(); NODATA takes none */
bool netflow_add(struct netflow *netflow, const struct log_line *line);
/* Complete the header. ret: length of the datagram; 0 = nothing to send */
size_t netflow_end(struct netflow *netflow);

#endif
