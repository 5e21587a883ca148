/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Before any policy: may this frame be what it claims to be? MAC, source check, martians, group destinations, and the
 * services that no policy touches (ENI-04, ENI-07, ENI-09, SG-22, A13, B6). */
#ifndef ENID_ADMIT_H
#define ENID_ADMIT_H

#include "owner.h"
#include "rate.h"

#define PORT_DHCP_SERVER  67
#define PORT_DHCP_CLIENT  68
#define PORT_DHCP6_CLIENT 546
#define PORT_DHCP6_SERVER 547

static __always_inline bool any_address(const union addr *a)
{
	return !a->d[0] && !a->d[1];
}

static __always_inline bool link_local6(const union addr *a)
{
	return (a->w[0] & be32(0xffc00000)) == be32(0xfe800000);
}

/* Addresses of services that are never filtered (SG-22). */
static __always_inline bool service_address(const struct subnet_policy *subnet, const union addr *a, __u8 family)
{
	if (family == 4) {
		switch (be32(a->ip4)) {
		case 0xa9fea9fd: /* 169.254.169.253 DNS */
		case 0xa9fea9fe: /* .254 IMDS */
		case 0xa9feaa02: /* 169.254.170.2 task metadata */
		case 0xa9fea9fa: /* .250, .251 activation */
		case 0xa9fea9fb:
		case 0xa9fea97b: /* .123 time */
			return true;
		}
		return subnet->resolver4 && a->ip4 == subnet->resolver4;
	}
	if (a->w[0] != be32(0xfd000ec2) || a->w[1] || a->w[2])
		return false;
	return a->w[3] == be32(0x253) || a->w[3] == be32(0x254) || a->w[3] == be32(0x250) || a->w[3] == be32(0x123);
}

static __always_inline bool dhcp_request(const struct pkt *p)
{
	if (p->tuple.proto != IPPROTO_UDP || p->fragment == FRAGMENT_LATER)
		return false;
	if (p->tuple.family == 4)
		return p->tuple.sport == be16(PORT_DHCP_CLIENT) && p->tuple.dport == be16(PORT_DHCP_SERVER);
	return p->tuple.sport == be16(PORT_DHCP6_CLIENT) && p->tuple.dport == be16(PORT_DHCP6_SERVER);
}

static __always_inline bool dhcp_answer(const struct pkt *p)
{
	if (p->tuple.proto != IPPROTO_UDP || p->fragment == FRAGMENT_LATER)
		return false;
	if (p->tuple.family == 4)
		return p->tuple.sport == be16(PORT_DHCP_SERVER) && p->tuple.dport == be16(PORT_DHCP_CLIENT);
	return p->tuple.sport == be16(PORT_DHCP6_SERVER) && p->tuple.dport == be16(PORT_DHCP6_CLIENT);
}

/* Where anybody's packet may come this way (guard mode), only the router's answers are the fabric's (B6). */
static __always_inline bool dhcp_answer_of_router(const struct pkt *p, const struct subnet_policy *subnet)
{
	if (!dhcp_answer(p))
		return false;
	return p->tuple.family == 4 ? router_address(subnet, &p->tuple.saddr, 4) : link_local6(&p->tuple.saddr);
}

/* Sources that nobody may use on the wire. 169.254/16 and fe80::/10 never leave a link. */
static __always_inline bool martian_source(const union addr *a, __u8 family)
{
	if (family == 4) {
		__u32 v = be32(a->ip4), top = v >> 24;

		return top == 0 || top == 127 || top >= 224 || v >> 16 == 0xa9fe;
	}
	if (a->bytes[0] == 0xff || link_local6(a))
		return true;
	return !a->d[0] && (!a->w[2] || a->w[2] == be32(0xffff)); /* ::, ::1, IPv4 compatible and mapped */
}

static __always_inline bool martian_destination(const union addr *a, __u8 family)
{
	if (family == 4) {
		__u32 top = be32(a->ip4) >> 24;

		return top == 0 || top == 127 || top >= 240 || be32(a->ip4) >> 16 == 0xa9fe;
	}
	return link_local6(a) || (!a->d[0] && (!a->w[2] || a->w[2] == be32(0xffff)));
}

static __always_inline bool group_destination(const union addr *a, __u8 family)
{
	if (family == 4)
		return be32(a->ip4) >> 28 == 14 || a->ip4 == 0xffffffff;
	return a->bytes[0] == 0xff;
}

/* ENI-04, ENI-06. Check off: anything but martians (ENI-08); the router's and the services' addresses are the fabric's
 * alone, since guard ports let in unasked what comes from them. ret: 0 or a reason */
static __always_inline int admit_source(struct pkt *p, const struct port_policy *e, const struct subnet_policy *subnet)
{
	const union addr *a = &p->tuple.saddr;

	if (e->flags & PORT_CHECK)
		return owner_at(p, a, e->zone, p->tuple.family) == IN_PORT(p->in) ? 0 : REASON_SOURCE_CHECK;
	return martian_source(a, p->tuple.family) || router_address(subnet, a, p->tuple.family) ||
			       service_address(subnet, a, p->tuple.family) || addr_equal(a, &p->tuple.daddr)
		       ? REASON_MARTIAN
		       : 0;
}

static __always_inline int admit_group(const struct pkt *p)
{
	return group_destination(&p->tuple.daddr, p->tuple.family) ? REASON_MULTICAST : 0;
}

/* After the services, which live in link-local space. */
static __always_inline int admit_destination(const struct pkt *p)
{
	return martian_destination(&p->tuple.daddr, p->tuple.family) ? REASON_MARTIAN : 0;
}

/* A DHCP request: from nobody yet, from a link-local address, or from an own one (ENI-07). Only to where the fabric's
 * server is: broadcast, the DHCPv6 group, the router. */
static __always_inline bool dhcp_exempt(struct pkt *p, const struct port_policy *e, const struct subnet_policy *subnet)
{
	const union addr *src = &p->tuple.saddr, *dst = &p->tuple.daddr;

	if (!dhcp_request(p))
		return false;
	if (p->tuple.family == 4) {
		if (src->ip4 && owner_of(src, e->zone, 4, p->parity) != IN_PORT(p->in))
			return false;
		return dst->ip4 == 0xffffffff || router_address(subnet, dst, 4);
	}
	if (!link_local6(src))
		return false;
	return dst->w[0] == be32(0xff020000) && !dst->w[1] && !dst->w[2] && dst->w[3] == be32(0x10002);
}

#endif
