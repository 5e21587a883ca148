/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT gateways (NAT-01..NAT-27): translation of addresses and ports, both ways. */
#ifndef ENID_NAT_H
#define ENID_NAT_H

#include "packet.h"

/* From inside, p->out as it came to the gateway behind port `nat`. ret: 0 = p->out as it leaves, or a reason */
__noinline int nat_outbound(struct pkt *p, __u32 nat)
{
	if (!p)
		return REASON_NO_POLICY;
	decide(p, STAGE_NAT, nat);
	return REASON_NOT_SERVED;
}

/* To an address of the gateway. ret: 0 = p->out as its client gets it, or a reason */
__noinline int nat_inbound(struct pkt *p, __u32 nat)
{
	if (!p)
		return REASON_NO_POLICY;
	decide(p, STAGE_NAT, nat);
	return REASON_NOT_SERVED;
}

#endif
