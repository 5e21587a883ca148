/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns an address, which route leads there: look-ups in the lists of an image. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "explain/way.h"
#include "state/cidr.h"

static int by_id(const void *id, const void *port)
{
	return strcmp(id, ((const struct image_port *)port)->id);
}

uint32_t way_find_port(const struct image *image, const char *id)
{
	const struct image_port *found = bsearch(id, image->ports, image->nr_ports, sizeof(*image->ports), by_id);

	return found ? (uint32_t)(found - image->ports) : IMAGE_NONE;
}

static int by_address(const void *key, const void *address)
{
	const struct address_key *x = key, *y = &((const struct image_address *)address)->key;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	if (x->prefixlen != y->prefixlen)
		return x->prefixlen < y->prefixlen ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

static uint32_t owner_by(const struct image *image, const struct address_key *key)
{
	const struct image_address *found =
		bsearch(key, image->addresses, image->nr_addresses, sizeof(*image->addresses), by_address);

	return found ? found->port : IMAGE_NONE;
}

/* ENI-06: single addresses, then delegated prefixes. */
uint32_t way_find_owner(const struct image *image, uint32_t zone, int family, const union addr *addr)
{
	struct address_key key = {.zone = zone, .prefixlen = family == 6 ? 128 : 32, .addr = *addr};
	uint32_t owner = owner_by(image, &key);

	if (owner != IMAGE_NONE)
		return owner;
	if (family == 6) {
		key.prefixlen = 80;
		memset(key.addr.bytes + 10, 0, 6);
	} else {
		key.prefixlen = 28;
		key.addr.bytes[15] &= 0xf0;
	}
	return owner_by(image, &key);
}

static int by_association(const void *key, const void *association)
{
	const struct association_key *x = key, *y = &((const struct image_association *)association)->key;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

bool way_find_association(const struct image *image, uint32_t zone, __be32 addr, uint32_t *ret_port, __be32 *ret_other)
{
	const struct association_key key = {.zone = zone, .addr = addr};
	const struct image_association *found = bsearch(&key, image->associations, image->nr_associations,
							sizeof(*image->associations), by_association);

	if (!found)
		return false;
	*ret_port = found->port;
	*ret_other = found->other;
	return true;
}

/* RT-01, RT-02: the longest prefix. RT-09: what belongs to the fabric's services is never forwarded. */
const struct image_route *way_find_route(const struct image *image, uint32_t table, int family, const union addr *addr)
{
	const struct cidr point = {.family = (uint8_t)family, .prefixlen = family == 6 ? 128 : 32, .addr = *addr};
	const struct image_route *best = NULL;

	if (table == IMAGE_NONE)
		return NULL;
	for (size_t i = 0; i < image->tables[table].nr_routes; i++) {
		const struct image_route *route = image->tables[table].routes + i;

		if ((!best || route->cidr.prefixlen >= best->cidr.prefixlen) && cidr_contains(&route->cidr, &point))
			best = route;
	}
	return best;
}

bool way_find_covers(const struct image *image, uint32_t subnet, int family, const union addr *addr)
{
	const struct image_subnet *s = subnet == IMAGE_NONE ? NULL : image->subnets + subnet;

	if (!s)
		return false;
	if (family == 4)
		return s->mask4 && (addr->ip4 & s->mask4) == s->net4;
	for (uint32_t i = 0; i < s->nr_cidrs6; i++) {
		const struct cidr6 *cidr = s->cidrs6 + i;

		if ((addr->d[0] & cidr->mask.d[0]) == cidr->net.d[0] &&
		    (addr->d[1] & cidr->mask.d[1]) == cidr->net.d[1])
			return true;
	}
	return false;
}

/* VPC-13: base + 1; net | 1, fe80:ec2::1. The EUI-64 of the router's MAC is link-local: nobody asks explain for it. */
bool way_find_is_router(const struct image *image, uint32_t subnet, int family, const union addr *addr)
{
	const struct image_subnet *s = image->subnets + subnet;

	if (family == 4)
		return s->mask4 && addr->ip4 == s->router4;
	for (uint32_t i = 0; i < s->nr_cidrs6; i++) {
		union addr router = s->cidrs6[i].net;

		router.bytes[15] |= 1;
		if (!memcmp(&router, addr, sizeof(router)))
			return true;
	}
	return addr->w[0] == htonl(0xfe800ec2) && !addr->w[1] && !addr->w[2] && addr->w[3] == htonl(1);
}

/* SG-22 */
bool way_find_is_service(const struct image *image, uint32_t subnet, int family, const union addr *addr)
{
	static const char *const known[] = {"169.254.169.253", "169.254.169.254", "169.254.170.2", "169.254.169.250",
					    "169.254.169.251", "169.254.169.123", "fd00:ec2::253", "fd00:ec2::254",
					    "fd00:ec2::250",   "fd00:ec2::123"};
	const struct image_subnet *s = image->subnets + subnet;

	if (family == 4 && s->resolver4 && addr->ip4 == s->resolver4)
		return true;
	if (family == 4 ? (addr->ip4 & htonl(0xffff0000)) != htonl(0xa9fe0000) : addr->w[0] != htonl(0xfd000ec2))
		return false; /* all are in there */
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		union addr service;

		if (address_parse(known[i], &service) == family && !memcmp(&service, addr, sizeof(service)))
			return true;
	}
	return false;
}

const struct image_gateway *way_find_gateway(const struct image *image, uint32_t port)
{
	uint32_t hop = port == IMAGE_NONE ? 0 : image->ports[port].hop;

	return hop ? image->gateways + hop - 1 : NULL;
}

static int subnet_by_id(const void *id, const void *subnet)
{
	return strcmp(id, ((const struct vpc_subnet *)subnet)->id);
}

const struct vpc_subnet *way_find_subnet(const struct state *state, const struct image *image, uint32_t subnet)
{
	if (subnet == IMAGE_NONE)
		return NULL;
	return bsearch(image->subnets[subnet].id, state->subnets, state->nr_subnets, sizeof(*state->subnets),
		       subnet_by_id);
}
