/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fabric answers by itself: ARP, neighbour discovery, router solicitations, pings of the router (L2-01..L2-06,
 * RT-14). The answer is written over the question and sent back where it came from. */
#ifndef ENID_ANSWER_H
#define ENID_ANSWER_H

#include "owner.h"
#include "rewrite.h"

#define ND_ROUTER_SOLICIT    133
#define ND_ROUTER_ADVERT     134
#define ND_NEIGHBOUR_SOLICIT 135
#define ND_NEIGHBOUR_ADVERT  136
#define ND_REDIRECT          137

struct arp_frame {
	struct eth_header eth;
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 op;
	__u8 sha[6];
	__be32 spa;
	__u8 tha[6];
	__be32 tpa;
} __attribute__((packed));

struct nd_frame {
	struct eth_header eth;
	struct ip6_header ip;
	__u8 type, code;
	__be16 check;
	__be32 flags;
	union {
		struct {
			__be32 target[4];
			__u8 option, option_len;
			__u8 mac[6];
		} neighbour;
		struct {
			__be32 reachable, retrans;
			__u8 option, option_len;
			__u8 mac[6];
		} router;
	};
} __attribute__((packed));

#define NEIGHBOUR_LEN (ETH_HLEN + 40 + 32)
#define ROUTER_LEN    (ETH_HLEN + 40 + 24)

static __always_inline int answered(struct pkt *p)
{
	p->action = ACTION_REPLY;
	p->exit = IN_PORT(p->in);
	return 0;
}

/* MAC that answers for an IPv4 address of the subnet: the router's, or that of another live ENI. ret: false = nobody's
 */
static __always_inline bool neighbour_mac(struct pkt *p, const struct port_policy *e,
					  const struct subnet_policy *subnet, const union addr *addr, __u8 family,
					  __u8 *ret_mac)
{
	struct port_policy *owner;
	__u32 port;

	if (router_address(subnet, addr, family)) {
		__builtin_memcpy(ret_mac, control.router_mac, 6);
		return true;
	}
	port = owner_of(addr, e->zone, family, p->parity);
	if (!port || port == IN_PORT(p->in))
		return false;
	owner = policy_of(p, port);
	if (!owner || owner->subnet != e->subnet || !(owner->flags & PORT_LIVE))
		return false;
	__builtin_memcpy(ret_mac, owner->mac, 6);
	return true;
}

/* Behind an uplink the public addresses and the VPC's IPv6 addresses are on-link (DESIGN, Uplinks). */
static __always_inline bool uplink_answers(struct pkt *p, const struct port_policy *e, const union addr *addr,
					   __u8 family)
{
	struct port_policy *owner;
	__u32 port = 0;
	__be32 other;

	if (!(e->flags & PORT_ANSWER))
		return false;
	if (family == 4) {
		if (!association_of(p, ZONE_INTERNET, addr->ip4, &port, &other))
			return false;
	} else {
		port = owner_of(addr, e->zone, 6, p->parity);
	}
	owner = port ? policy_of(p, port) : NULL;
	return owner && owner->zone == e->zone && owner->flags & PORT_LIVE;
}

static __always_inline int arp_write(void *ctx, const int hook, struct pkt *p, struct arp_frame *arp, const __u8 *mac)
{
	__be32 asked = arp->tpa;

	__builtin_memcpy(arp->eth.dmac, arp->sha, 6);
	__builtin_memcpy(arp->eth.smac, mac, 6);
	arp->op = be16(2);
	__builtin_memcpy(arp->tha, arp->sha, 6);
	arp->tpa = arp->spa;
	__builtin_memcpy(arp->sha, mac, 6);
	arp->spa = asked;
	ctx_store(ctx, hook, 0, arp, sizeof(*arp));
	return answered(p);
}

/* ARP from an ENI: requests for the router and for live neighbours are answered, all else is consumed (L2-02, L2-03).
 * A foreign sender address is a spoof (B3). */
static __always_inline int answer_arp(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	struct arp_frame arp;
	union addr sender = {}, asked = {};
	__u8 mac[6];

	if (ctx_load(ctx, hook, 0, &arp, sizeof(arp)) || arp.hardware != be16(1) || arp.protocol != be16(ETH_P_IP) ||
	    arp.hardware_len != 6 || arp.protocol_len != 4)
		return REASON_MALFORMED;
	if (arp.op != be16(1))
		return REASON_L2;
	if (!same_mac(arp.sha, p->smac))
		return REASON_MAC_SPOOF;
	sender.ip4 = arp.spa;
	asked.ip4 = arp.tpa;
	if (arp.spa && owner_of(&sender, e->zone, 4, p->parity) != IN_PORT(p->in))
		return REASON_MAC_SPOOF;
	if (!subnet || !subnet_covers(subnet, &asked, 4) || !neighbour_mac(p, e, subnet, &asked, 4, mac))
		return REASON_L2;
	return arp_write(ctx, hook, p, &arp, mac);
}

static __always_inline int answer_uplink_arp(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	struct arp_frame arp;
	union addr asked = {};
	__u8 mac[6];

	if (ctx_load(ctx, hook, 0, &arp, sizeof(arp)))
		return REASON_MALFORMED;
	asked.ip4 = arp.tpa;
	if (arp.op != be16(1) || !uplink_answers(p, e, &asked, 4)) {
		p->action = ACTION_PASS; /* the host's own neighbour table lives from these */
		return 0;
	}
	__builtin_memcpy(mac, e->mac, 6);
	return arp_write(ctx, hook, p, &arp, mac);
}

static __always_inline __be16 icmp6_check(const struct nd_frame *nd, const __u32 len)
{
	const __u16 *words = (const __u16 *)((const char *)nd + ETH_HLEN + 8); /* from the source address on */
	__u64 sum = be16(len - ETH_HLEN - 40) + be16(IPPROTO_ICMPV6);

	for (__u32 i = 0; i < (len - ETH_HLEN - 8) / 2; i++)
		sum += words[i];
	return ~fold(sum);
}

static __always_inline void nd_begin(struct nd_frame *nd, const struct pkt *p, const __u8 *mac, const __be32 *from)
{
	bool nobody = !p->tuple.saddr.d[0] && !p->tuple.saddr.d[1];

	__builtin_memset(nd, 0, sizeof(*nd));
	__builtin_memcpy(nd->eth.smac, mac, 6);
	nd->eth.ethertype = be16(ETH_P_IPV6);
	nd->ip.version_class = 0x60;
	nd->ip.next = IPPROTO_ICMPV6;
	nd->ip.hops = 255;
	for (int i = 0; i < 4; i++)
		nd->ip.saddr[i] = from[i];
	if (nobody) { /* duplicate address detection: to all nodes */
		nd->ip.daddr[0] = be32(0xff020000);
		nd->ip.daddr[3] = be32(1);
		nd->eth.dmac[0] = 0x33;
		nd->eth.dmac[1] = 0x33;
		nd->eth.dmac[5] = 1;
		return;
	}
	__builtin_memcpy(nd->eth.dmac, p->smac, 6);
	for (int i = 0; i < 4; i++)
		nd->ip.daddr[i] = p->tuple.saddr.w[i];
}

static __always_inline int nd_send(void *ctx, const int hook, struct pkt *p, struct nd_frame *nd, const __u32 len)
{
	nd->ip.payload = be16(len - ETH_HLEN - 40);
	nd->check = 0;
	nd->check = icmp6_check(nd, len);
	if (ctx_resize(ctx, hook, len))
		return REASON_L2;
	ctx_store(ctx, hook, 0, nd, len);
	return answered(p);
}

static __always_inline int neighbour_advert(void *ctx, const int hook, struct pkt *p, const __u8 *mac,
					    const union addr *asked, bool router)
{
	bool solicited = p->tuple.saddr.d[0] || p->tuple.saddr.d[1];
	struct nd_frame nd;

	nd_begin(&nd, p, mac, asked->w);
	nd.type = ND_NEIGHBOUR_ADVERT;
	nd.flags = be32((router ? 0x80000000u : 0) | (solicited ? 0x40000000u : 0) | 0x20000000u);
	for (int i = 0; i < 4; i++)
		nd.neighbour.target[i] = asked->w[i];
	nd.neighbour.option = 2;
	nd.neighbour.option_len = 1;
	__builtin_memcpy(nd.neighbour.mac, mac, 6);
	return nd_send(ctx, hook, p, &nd, NEIGHBOUR_LEN);
}

static __always_inline int router_advert(void *ctx, const int hook, struct pkt *p)
{
	const __u8 *m = control.router_mac;
	__u8 hops;
	struct nd_frame nd;
	__u8 mac[6];
	__be32 from[4];

	if (ctx_load(ctx, hook, ETH_HLEN + 7, &hops, 1) || hops != 255 || p->icmp_code)
		return REASON_L2; /* RFC 4861, 6.1.1 */
	__builtin_memcpy(mac, m, 6);
	from[0] = be32(EUI64_PREFIX);
	from[1] = 0;
	from[2] = be32((__u32)(mac[0] ^ 2) << 24 | mac[1] << 16 | mac[2] << 8 | 0xff);
	from[3] = be32(0xfe000000u | mac[3] << 16 | mac[4] << 8 | mac[5]);
	nd_begin(&nd, p, mac, from);
	nd.type = ND_ROUTER_ADVERT;
	nd.flags = be32(64u << 24 | 0x80u << 16 | 1800); /* hop limit, M: addresses by DHCPv6; lifetime */
	nd.router.option = 1;
	nd.router.option_len = 1;
	__builtin_memcpy(nd.router.mac, mac, 6);
	return nd_send(ctx, hook, p, &nd, ROUTER_LEN);
}

/* ret: false = the solicitation is broken (RFC 4861, 7.1.1) */
static __always_inline bool solicit_target(void *ctx, const int hook, const struct pkt *p, union addr *ret_asked)
{
	__u8 hops;

	return p->payload >= 24 && !p->icmp_code && !ctx_load(ctx, hook, ETH_HLEN + 7, &hops, 1) && hops == 255 &&
	       !ctx_load(ctx, hook, p->l4 + 8, ret_asked, 16);
}

static __always_inline int answer_solicit(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	struct subnet_policy *subnet = subnet_of(p, e->subnet);
	union addr asked;
	__u8 mac[6];

	if (!subnet || !solicit_target(ctx, hook, p, &asked) || !neighbour_mac(p, e, subnet, &asked, 6, mac))
		return REASON_L2;
	return neighbour_advert(ctx, hook, p, mac, &asked, router_address(subnet, &asked, 6));
}

static __always_inline int answer_uplink_solicit(void *ctx, const int hook, struct pkt *p, struct port_policy *e)
{
	union addr asked;
	__u8 mac[6];

	if (!solicit_target(ctx, hook, p, &asked) || !uplink_answers(p, e, &asked, 6)) {
		p->action = ACTION_PASS;
		return 0;
	}
	__builtin_memcpy(mac, e->mac, 6);
	return neighbour_advert(ctx, hook, p, mac, &asked, true);
}

/* Ping of the router's own address: the request turned round. The sum changes by the type only: 8 -> 0, 128 -> 129. */
static __always_inline int answer_ping(void *ctx, const int hook, struct pkt *p)
{
	bool six = p->tuple.family == 6;
	__u8 macs_swapped[12], type = six ? 129 : 0;
	__be16 from = be16(p->icmp_type << 8), to = be16(type << 8), check;
	union addr a = p->tuple.daddr, b = p->tuple.saddr;

	__builtin_memcpy(macs_swapped, p->smac, 6);
	__builtin_memcpy(macs_swapped + 6, p->dmac, 6);
	if (ctx_load(ctx, hook, p->l4 + 2, &check, 2))
		return REASON_MALFORMED;
	check = check_update(check, from, to);
	ctx_store(ctx, hook, p->l4 + 2, &check, 2);
	ctx_store(ctx, hook, p->l4, &type, 1);
	if (six) {
		ctx_store(ctx, hook, ETH_HLEN + 8, &a, 16);
		ctx_store(ctx, hook, ETH_HLEN + 24, &b, 16);
	} else {
		ctx_store(ctx, hook, ETH_HLEN + 12, &a.ip4, 4);
		ctx_store(ctx, hook, ETH_HLEN + 16, &b.ip4, 4);
	}
	ctx_store(ctx, hook, 0, macs_swapped, 12);
	return answered(p);
}

#endif
