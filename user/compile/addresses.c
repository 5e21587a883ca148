/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns which private address, public address and MAC.
 *
 * Every ENI of the state counts, live or not: a group reference matches any address of an ENI that carries the group
 * (SG-14), and delivery asks the port whether it is live. Where a state gives one address to two ENIs, a live one wins
 * over another, then the lower id, so that no order of lists matters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"

static int compare_ports(const struct image *image, uint32_t a, uint32_t b)
{
	int live_a = (image->ports[a].flags & PORT_LIVE) != 0, live_b = (image->ports[b].flags & PORT_LIVE) != 0;

	return live_a != live_b ? live_b - live_a : (a > b) - (a < b);
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

size_t image_sort_unique(void *base, size_t nr, size_t size, int (*compare)(const void *, const void *, void *),
			 bool (*same_key)(const void *, const void *), const struct image *image)
{
	char *at = base;
	size_t kept = 0;

	qsort_r(base, nr, size, compare, (void *)image);
	for (size_t i = 0; i < nr; i++) {
		if (kept && same_key(at + (kept - 1) * size, at + i * size))
			continue;
		if (kept != i)
			memcpy(at + kept * size, at + i * size, size);
		kept++;
	}
	return kept;
}

static size_t count_addresses(const struct image_work *work)
{
	const struct state *state = work->state;
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_enis; i++)
		nr += state->enis[i].nr_addresses;
	for (size_t i = 0; i < work_extra(work)->nr_nat_gateways; i++)
		nr += work_extra(work)->nat_gateways[i].nr_addresses;
	return nr;
}

/* Delegated prefixes stand with their host bits zero. */
static union addr masked(const union addr *addr, unsigned first_bit, unsigned prefixlen)
{
	union addr net = *addr;

	for (unsigned bit = first_bit + prefixlen; bit < 128; bit++)
		net.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return net;
}

static int compare_addresses(const void *a, const void *b, void *image)
{
	const struct image_address *x = a, *y = b;
	int order = compare_u32(x->key.zone, y->key.zone);

	if (!order)
		order = compare_u32(x->key.prefixlen, y->key.prefixlen);
	if (!order)
		order = memcmp(&x->key.addr, &y->key.addr, sizeof(x->key.addr));
	return order ? order : compare_ports(image, x->port, y->port);
}

static bool same_address(const void *a, const void *b)
{
	return !memcmp(&((const struct image_address *)a)->key, &((const struct image_address *)b)->key,
		       sizeof(struct address_key));
}

/* What a NAT gateway lists of its own; its ENI may list the same. */
static void add_nat_addresses(struct image_work *work, size_t *nr)
{
	for (size_t h = 0; h < work->nr_hops; h++) {
		const struct hop *hop = work->hops + h;
		const struct nat_gateway *nat = hop->object;

		for (size_t i = 0; hop->kind == GATEWAY_NAT && i < nat->nr_addresses; i++) {
			__be32 inside = nat_inside(nat->addresses + i);

			if (inside && nat->addresses[i].usable)
				work->image->addresses[(*nr)++] = (struct image_address){
					.key = {.zone = vpc_zone(nat->vpc), .prefixlen = 32, .addr.ip4 = inside},
					.port = hop->port,
				};
		}
	}
}

int addresses_compile(struct image_work *work)
{
	const struct state *state = work->state;
	struct image *image = work->image;
	size_t nr = 0;

	image->addresses = calloc(count_addresses(work) + 1, sizeof(*image->addresses));
	if (!image->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		for (size_t k = 0; eni->vpc && k < eni->nr_addresses; k++) {
			const struct eni_address *address = eni->addresses + k;
			unsigned first_bit = address->family == 4 ? 96 : 0;

			image->addresses[nr++] = (struct image_address){
				.key.zone = vpc_zone(eni->vpc),
				.key.prefixlen = address->prefixlen,
				.key.addr = masked(&address->addr, first_bit, address->prefixlen),
				.port = work->notes[i].port,
			};
		}
	}
	add_nat_addresses(work, &nr);
	image->nr_addresses = image_sort_unique(image->addresses, nr, sizeof(*image->addresses), compare_addresses,
						same_address, image);
	return image->nr_addresses > ADDRESSES_MAX ? work_refuse(work, "private addresses: more than %u", ADDRESSES_MAX)
						   : 0;
}

static int compare_associations(const void *a, const void *b, void *image)
{
	const struct image_association *x = a, *y = b;
	int order = compare_u32(x->key.zone, y->key.zone);

	if (!order)
		order = memcmp(&x->key.addr, &y->key.addr, sizeof(x->key.addr));
	if (!order)
		order = compare_ports(image, x->port, y->port);
	return order ? order : memcmp(&x->other, &y->other, sizeof(x->other));
}

static bool same_association(const void *a, const void *b)
{
	return !memcmp(&((const struct image_association *)a)->key, &((const struct image_association *)b)->key,
		       sizeof(struct association_key));
}

static void associate(struct image *image, const struct vpc *vpc, __be32 inside, __be32 outside, uint32_t port)
{
	image->associations[image->nr_associations++] =
		(struct image_association){{vpc_zone(vpc), inside}, port, outside};
	image->associations[image->nr_associations++] =
		(struct image_association){{ZONE_INTERNET, outside}, port, inside};
}

static void associate_nats(struct image_work *work)
{
	for (size_t h = 0; h < work->nr_hops; h++) {
		const struct hop *hop = work->hops + h;
		const struct nat_gateway *nat = hop->object;

		for (size_t i = 0; hop->kind == GATEWAY_NAT && i < nat->nr_addresses; i++) {
			const struct nat_address *address = nat->addresses + i;

			if (address->public_ip && address->usable)
				associate(work->image, nat->vpc, nat_inside(address), address->public_ip, hop->port);
		}
	}
}

/* IGW-01: both ways, IPv4 only. */
int associations_compile(struct image_work *work)
{
	const struct state *state = work->state;
	struct image *image = work->image;

	image->associations = calloc(count_addresses(work) * 2 + 1, sizeof(*image->associations));
	if (!image->associations)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = state->enis + i;

		for (size_t k = 0; eni->vpc && k < eni->nr_addresses; k++) {
			const struct eni_address *address = eni->addresses + k;

			if (address->family == 4 && address->public_ip)
				associate(image, eni->vpc, address->addr.ip4, address->public_ip, work->notes[i].port);
		}
	}
	associate_nats(work);
	image->nr_associations =
		image_sort_unique(image->associations, image->nr_associations, sizeof(*image->associations),
				  compare_associations, same_association, image);
	return image->nr_associations > ASSOCIATIONS_MAX
		       ? work_refuse(work, "associations: more than %u", ASSOCIATIONS_MAX)
		       : 0;
}

static int compare_macs(const void *a, const void *b, void *image)
{
	const struct image_mac *x = a, *y = b;
	int order = compare_u32(x->subnet, y->subnet);

	if (!order)
		order = memcmp(x->mac, y->mac, sizeof(x->mac));
	return order ? order : compare_ports(image, x->port, y->port);
}

static bool same_mac(const void *a, const void *b)
{
	const struct image_mac *x = a, *y = b;

	return x->subnet == y->subnet && !memcmp(x->mac, y->mac, sizeof(x->mac));
}

int macs_compile(struct image_work *work)
{
	static const uint8_t no_mac[6];
	struct image *image = work->image;
	size_t nr = 0;

	image->macs = calloc(image->nr_ports + 1, sizeof(*image->macs));
	if (!image->macs)
		return -ENOMEM;
	for (uint32_t i = 0; i < image->nr_ports; i++) {
		const struct image_port *port = image->ports + i;

		if (port->subnet == IMAGE_NONE || !memcmp(port->mac, no_mac, sizeof(no_mac)))
			continue;
		image->macs[nr] = (struct image_mac){.subnet = port->subnet, .port = i};
		memcpy(image->macs[nr++].mac, port->mac, sizeof(port->mac));
	}
	image->nr_macs = image_sort_unique(image->macs, nr, sizeof(*image->macs), compare_macs, same_mac, image);
	return 0;
}
