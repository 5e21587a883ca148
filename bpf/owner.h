/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns an address: the ENI of a zone, the other address of a public pair, the ENI behind a MAC. */
#ifndef ENID_OWNER_H
#define ENID_OWNER_H

#include "packet.h"

static __always_inline bool addr_equal(const union addr *a, const union addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

static __always_inline __u32 owner_look(const union addr *addr, __u32 zone, __u32 family, __u32 parity)
{
	struct address_key key;
	struct address *found;

	key.zone = zone;
	key.addr = *addr;
	key.prefixlen = family == 6 ? 128 : 32;
	found = bpf_map_lookup_elem(&addresses, &key);
	if (found && found->port[parity & 1])
		return found->port[parity & 1];
	if (family == 6) {
		key.prefixlen = 80;
		key.addr.w[2] &= be32(0xffff0000);
		key.addr.w[3] = 0;
	} else {
		key.prefixlen = 28;
		key.addr.w[3] &= be32(0xfffffff0);
	}
	found = bpf_map_lookup_elem(&addresses, &key);
	return found ? found->port[parity & 1] : 0;
}

/* ret: port of the ENI that owns the address in the zone, 0 = nobody (ENI-06: single addresses, then delegated
 * prefixes) */
__noinline __u32 owner_of(const union addr *addr, __u32 zone, __u32 family, __u32 parity)
{
	return addr ? owner_look(addr, zone, family, parity) : 0;
}

/* The same for what several stages ask about one packet: the hash is asked once. */
__noinline __u32 owner_at(struct pkt *p, const union addr *addr, __u32 zone, __u32 family)
{
	struct owned *known;

	if (!p || !addr)
		return 0;
	for (int i = 0; i < OWNED_MAX; i++) {
		known = &p->owned[i];
		if (known->family == family && known->zone == zone && addr_equal(&known->addr, addr))
			return known->port;
	}
	known = p->owned[0].family ? &p->owned[1] : &p->owned[0];
	known->addr = *addr;
	known->zone = zone;
	known->family = family;
	known->port = owner_look(addr, zone, family, p->parity);
	return known->port;
}

static __always_inline void owners_forget(struct pkt *p)
{
	p->owned[0].family = 0;
	p->owned[1].family = 0;
}

/* The other address of a public pair (IGW-01). ret: false = none */
static __always_inline bool association_of(const struct pkt *p, __u32 zone, __be32 addr, __u32 *ret_port,
					   __be32 *ret_other)
{
	struct association_key key = {.zone = zone, .addr = addr};
	struct association *found = bpf_map_lookup_elem(&associations, &key);

	if (!found || !found->slot[p->parity & 1].port)
		return false;
	*ret_port = found->slot[p->parity & 1].port;
	*ret_other = found->slot[p->parity & 1].other;
	return true;
}

static __always_inline __u32 mac_owner(const struct pkt *p, __u32 subnet, const __u8 *mac)
{
	struct mac_key key = {.subnet = subnet};
	struct mac_owner *found;

	__builtin_memcpy(key.mac, mac, 6);
	found = bpf_map_lookup_elem(&macs, &key);
	return found ? found->port[p->parity & 1] : 0;
}

static __always_inline bool subnet_covers(const struct subnet_policy *subnet, const union addr *addr, __u8 family)
{
	if (family == 4)
		return subnet->mask4 && (addr->ip4 & subnet->mask4) == subnet->net4;
	for (int i = 0; i < SUBNET_CIDRS6_MAX; i++) {
		const struct cidr6 *cidr = &subnet->cidrs6[i];

		if (i >= (int)subnet->nr_cidrs6)
			break;
		if ((addr->d[0] & cidr->mask.d[0]) == cidr->net.d[0] &&
		    (addr->d[1] & cidr->mask.d[1]) == cidr->net.d[1])
			return true;
	}
	return false;
}

#define EUI64_PREFIX 0xfe800000u

/* The router's addresses in a subnet (VPC-13): base + 1; net | 1, fe80:ec2::1, EUI-64 of the router's MAC. */
static __always_inline bool router_address(const struct subnet_policy *subnet, const union addr *addr, __u8 family)
{
	const __u8 *mac = control.router_mac;

	if (family == 4)
		return subnet->mask4 && addr->ip4 == subnet->router4;
	if (addr->w[0] == be32(0xfe800ec2) && !addr->w[1] && !addr->w[2] && addr->w[3] == be32(1))
		return true;
	if (addr->w[0] == be32(EUI64_PREFIX) && !addr->w[1])
		return addr->w[2] == be32((__u32)(mac[0] ^ 2) << 24 | mac[1] << 16 | mac[2] << 8 | 0xff) &&
		       addr->w[3] == be32(0xfe000000u | mac[3] << 16 | mac[4] << 8 | mac[5]);
	for (int i = 0; i < SUBNET_CIDRS6_MAX; i++) {
		const struct cidr6 *cidr = &subnet->cidrs6[i];

		if (i >= (int)subnet->nr_cidrs6)
			break;
		if (addr->d[0] == cidr->net.d[0] && addr->w[2] == cidr->net.w[2] &&
		    addr->w[3] == (cidr->net.w[3] | be32(1)))
			return true;
	}
	return false;
}

#endif
