/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Route look-up: longest prefix in the version of the table that the subnet points at (RT-01, RT-02). */
#ifndef ENID_ROUTE_H
#define ENID_ROUTE_H

#include "station.h"

static __always_inline struct route *route_find(__u32 table, const union addr *dst, __u8 family)
{
	if (family == 4) {
		struct route4_key key = {.prefixlen = 64, .table = table, .addr = dst->ip4};

		return bpf_map_lookup_elem(&routes4, &key);
	} else {
		struct route6_key key = {.prefixlen = 160, .table = table};

		__builtin_memcpy(key.addr, dst->w, 16);
		return bpf_map_lookup_elem(&routes6, &key);
	}
}

/* RT-09: these belong to the fabric's services, no route covers them. */
static __always_inline bool never_forwarded(const union addr *dst, __u8 family)
{
	if (family == 4)
		return (dst->ip4 & be32(0xfffffc00)) == be32(0xa9fea800); /* 169.254.168.0/22 */
	return dst->w[0] == be32(0xfd000ec2);
}

/* p->route: what p->at_table has for p->out.daddr; kind ROUTE_NONE = nothing. */
__noinline int route_look(struct pkt *p)
{
	struct route *found;

	if (!p)
		return 0;
	p->routed = 1;
	p->route.kind = ROUTE_NONE;
	if (never_forwarded(&p->out.daddr, p->out.family))
		return 0;
	found = route_find(p->at_table, &p->out.daddr, p->out.family);
	if (found)
		p->route = *found;
	return 0;
}

/* Nothing matches. */
static __always_inline int route_missing(const struct pkt *p)
{
	switch (p->at) {
	case AT_PEER:
		return REASON_PEERING;
	case AT_TRANSIT:
		return REASON_TGW_NO_ROUTE;
	case AT_VGW:
		return REASON_VGW;
	case AT_EDGE:
		return p->at_gateway ? REASON_VGW : REASON_NO_ROUTE;
	}
	return REASON_NO_ROUTE;
}

static __always_inline __u32 route_stage(const struct pkt *p)
{
	return p->at == AT_TRANSIT ? STAGE_TGW_ROUTE : p->at == AT_EDGE ? STAGE_GATEWAY_ROUTE : STAGE_ROUTE;
}

/* ret: 0 or the reason why the packet goes no further */
static __always_inline int route_usable(struct pkt *p)
{
	decide(p, route_stage(p), p->route.rule);
	if (p->route.kind == ROUTE_BLACKHOLE)
		return p->at == AT_TRANSIT ? REASON_TGW_BLACKHOLE : REASON_BLACKHOLE;
	if (p->at == AT_PEER && p->route.kind != ROUTE_LOCAL)
		return REASON_PEERING;
	return p->route.kind == ROUTE_NOT_SERVED ? REASON_NOT_SERVED : 0;
}

#endif
