/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet is on its walk. */
#ifndef ENID_STATION_H
#define ENID_STATION_H

#include "packet.h"

enum station {
	AT_SUBNET,  /* in a subnet of at_zone: its route table */
	AT_EDGE,    /* came into at_zone by a gateway: the gateway's route table (RT-18) */
	AT_NAT,     /* arrived at an address of the NAT gateway at_port */
	AT_PEER,    /* came into at_zone by a peering: local delivery only */
	AT_TRANSIT, /* in a transit gateway: the table of the attachment by which it came */
	AT_VGW,     /* in the virtual private gateway at_gateway */
};

#define AZ_NONE 0xffffffffu /* from a place outside */

#define WALK_ON (-1) /* no reason: the next station is set */

/* Nothing is known yet of whose packet it is there. */
static __always_inline void station(struct pkt *p, __u8 at, __u32 zone, __u32 subnet, __u32 table)
{
	p->at = at;
	p->at_zone = zone;
	p->at_subnet = subnet;
	p->at_table = table;
	p->at_port = 0;
	p->at_gateway = 0;
	p->routed = 0;
}

/* A router on the way takes one off the time to live; it does not say so when nothing is left. ret: as walk_step() */
static __always_inline int take_hop(struct pkt *p)
{
	if (p->ttl <= p->hops + 1)
		return REASON_TTL;
	p->hops++;
	return WALK_ON;
}

#endif
