/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Private addresses, delegated prefixes and public associations of ENIs (ENI-06, ENI-12, IGW-01, VPC-10, VPC-11), and
 * the list Addresses, which repeats the associations (JSON-08). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "enid/limits.h"
#include "state/cidr.h"
#include "state/eni_addresses.h"

static struct cidr as_cidr(const struct eni_address *address)
{
	return (struct cidr){.family = address->family, .prefixlen = address->prefixlen, .addr = address->addr};
}

/* Primary first, then IPv4 before IPv6, then by address. */
static int compare_addresses(const void *a, const void *b)
{
	const struct eni_address *x = a, *y = b;
	struct cidr cx = as_cidr(x), cy = as_cidr(y);

	if (x->primary != y->primary)
		return x->primary ? -1 : 1;
	return cidr_compare(&cx, &cy);
}

static struct eni_address *add_address(struct eni *eni, int family, const union addr *addr)
{
	for (size_t i = 0; i < eni->nr_addresses; i++)
		if (eni->addresses[i].family == family && !memcmp(&eni->addresses[i].addr, addr, sizeof(*addr)))
			return &eni->addresses[i];
	eni->addresses[eni->nr_addresses] =
		(struct eni_address){.addr = *addr, .family = (uint8_t)family, .prefixlen = family == 4 ? 32 : 128};
	return &eni->addresses[eni->nr_addresses++];
}

static void parse_private(struct load *load, struct item *item, struct eni *eni)
{
	__be32 primary = get_ip4(item->json, "PrivateIpAddress");
	const json_t *json;
	size_t index, nr_primary = 0;

	json_array_foreach (json_object_get(item->json, "PrivateIpAddresses"), index, json) {
		union addr addr = {.ip4 = get_ip4(json, "PrivateIpAddress")};
		struct eni_address *address;

		if (!json_is_object(json))
			continue;
		address = add_address(eni, 4, &addr);
		address->public_ip = get_ip4(json_object_get(json, "Association"), "PublicIp");
		address->primary = get_flag(json, "Primary", false) || addr.ip4 == primary;
		nr_primary += address->primary;
	}
	if (primary && !nr_primary) {
		union addr addr = {.ip4 = primary};

		add_address(eni, 4, &addr)->primary = true;
	} else if (nr_primary > 1) {
		state_error(load, item, "PrivateIpAddresses", "has %zu primary addresses", nr_primary);
	}
}

static void parse_ipv6(const json_t *list, struct eni *eni)
{
	const json_t *json;
	size_t index;

	json_array_foreach (list, index, json) {
		const char *text = json_string_value(json_object_get(json, "Ipv6Address"));
		union addr addr;

		if (text && address_parse(text, &addr) == 6)
			add_address(eni, 6, &addr);
	}
}

/* ENI-06: /28 and /80, nothing else */
static void parse_prefixes(struct load *load, struct item *item, struct eni *eni, int family)
{
	const char *list = family == 4 ? "Ipv4Prefixes" : "Ipv6Prefixes",
		   *key = family == 4 ? "Ipv4Prefix" : "Ipv6Prefix";
	unsigned int length = family == 4 ? 28 : 80;
	char text[CIDR_TEXT_MAX];
	const json_t *json;
	size_t index;

	json_array_foreach (json_object_get(item->json, list), index, json) {
		struct cidr cidr;

		if (!get_cidr(json, key, &cidr))
			continue;
		if (cidr.prefixlen != length) {
			state_error(load, item, list, "%s %s is not a /%u", key, cidr_format(&cidr, text), length);
			continue;
		}
		eni->addresses[eni->nr_addresses++] =
			(struct eni_address){.addr = cidr.addr, .family = cidr.family, .prefixlen = cidr.prefixlen};
	}
}

/* VPC-10, VPC-11: the first four addresses and the last one */
static bool is_reserved(const struct cidr *subnet, const struct eni_address *address)
{
	unsigned int bits = subnet->family == 4 ? 32 : 128;
	union addr last = subnet->addr;
	union addr first = address->addr;

	for (unsigned int i = subnet->prefixlen; i < bits; i++)
		last.bytes[16 - bits / 8 + i / 8] |= (uint8_t)(0x80 >> i % 8);
	first.bytes[15] &= 0xfc;
	return address->prefixlen == bits &&
	       (!memcmp(&first, &subnet->addr, sizeof(first)) || !memcmp(&address->addr, &last, sizeof(last)));
}

static void check_in_subnet(struct load *load, struct item *item, const struct eni *eni,
			    const struct eni_address *address)
{
	struct cidr own = as_cidr(address);
	char text[CIDR_TEXT_MAX];
	bool inside = false;

	for (size_t i = 0; i <= eni->subnet->nr_cidrs6; i++) {
		const struct cidr *cidr = i ? &eni->subnet->cidrs6[i - 1] : &eni->subnet->cidr4;

		if (!cidr_contains(cidr, &own))
			continue;
		inside = true;
		if (is_reserved(cidr, address))
			state_warn(load, item, "", "address %s is one that its subnet reserves",
				   address_format(address->family, &address->addr, text));
	}
	if (!inside)
		state_warn(load, item, "", "address %s lies outside its subnet",
			   address_format(address->family, &address->addr, text));
}

void parse_addresses(struct load *load, struct item *item, struct eni *eni)
{
	static const char *const lists[] = {"PrivateIpAddresses", "Ipv6Addresses", "Ipv4Prefixes", "Ipv6Prefixes"};
	size_t room = 1;

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		room += json_array_size(json_object_get(item->json, lists[i]));
	if (room > ENI_ADDRESSES_MAX + 1) {
		state_error(load, item, "", "has %zu addresses, more than %d", room - 1, ENI_ADDRESSES_MAX);
		return;
	}
	eni->addresses = ARENA_ARRAY(load->arena, room, struct eni_address);
	parse_private(load, item, eni);
	parse_ipv6(json_object_get(item->json, "Ipv6Addresses"), eni);
	parse_prefixes(load, item, eni, 4);
	parse_prefixes(load, item, eni, 6);
	if (eni->nr_addresses)
		qsort(eni->addresses, eni->nr_addresses, sizeof(*eni->addresses), compare_addresses);
	else
		state_warn(load, item, "", "has no address: nothing reaches it");
	for (size_t i = 0; eni->subnet && i < eni->nr_addresses; i++)
		check_in_subnet(load, item, eni, &eni->addresses[i]);
}

/* The ENI's address that a public one belongs to: as named, else the primary. */
static struct eni_address *private_address(struct eni *eni, __be32 private_ip)
{
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		struct eni_address *address = &eni->addresses[i];
		bool wanted = private_ip ? address->addr.ip4 == private_ip : address->primary;

		if (address->family == 4 && address->prefixlen == 32 && wanted)
			return address;
	}
	return NULL;
}

static void apply_elastic_ip(struct load *load, struct item *item, const struct elastic_ip *elastic)
{
	struct eni_address *address;

	if (!*elastic->eni_id)
		return;
	if (!elastic->eni) {
		state_warn(load, item, "", "NetworkInterfaceId %s is not in the state: the address is nobody's",
			   elastic->eni_id);
		return;
	}
	address = private_address(elastic->eni, elastic->private_ip);
	if (!address)
		state_warn(load, item, "", "%s does not have the private address: the address is nobody's",
			   elastic->eni_id);
	else if (!address->public_ip)
		address->public_ip = elastic->public_ip;
	else if (address->public_ip != elastic->public_ip)
		state_warn(load, item, "", "%s says another public address: that one holds", elastic->eni_id);
}

void load_elastic_ips(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->elastic_ips = ARENA_ARRAY(load->arena, load->lists[LIST_ADDRESSES].nr + 1, struct elastic_ip);
	LIST_FOREACH (load, LIST_ADDRESSES, item) {
		struct elastic_ip *elastic = &extra->elastic_ips[extra->nr_elastic_ips++];

		elastic->id = item->id;
		elastic->public_ip = get_ip4(item->json, "PublicIp");
		elastic->private_ip = get_ip4(item->json, "PrivateIpAddress");
		elastic->allocation = get_text(load, item->json, "AllocationId");
		elastic->eni_id = get_text(load, item->json, "NetworkInterfaceId");
		elastic->eni = FIND(load, enis, elastic->eni_id);
		apply_elastic_ip(load, item, elastic);
	}
}

/* ---- one owner for each address */

struct claim {
	const struct vpc *vpc; /* NULL for a public address */
	struct cidr cidr;
	const struct eni *eni;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order;

	if (x->vpc != y->vpc)
		return x->vpc < y->vpc ? -1 : 1;
	order = cidr_compare(&x->cidr, &y->cidr);
	return order ? order : (x->eni > y->eni) - (x->eni < y->eni);
}

static size_t collect_claims(const struct state *state, struct claim *claims)
{
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_enis; i++) {
		const struct eni *eni = &state->enis[i];

		for (size_t j = 0; j < eni->nr_addresses; j++) {
			const struct eni_address *address = &eni->addresses[j];
			struct cidr public = {.family = 4, .prefixlen = 32, .addr = {.ip4 = address->public_ip}};

			if (eni->vpc)
				claims[nr++] = (struct claim){eni->vpc, as_cidr(address), eni};
			if (address->public_ip)
				claims[nr++] = (struct claim){NULL, public, eni};
		}
	}
	return nr;
}

void check_address_owners(struct load *load)
{
	struct state *state = load->state;
	const struct claim *last = NULL;
	char text[CIDR_TEXT_MAX];
	struct claim *claims;
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_enis; i++)
		nr += 2 * state->enis[i].nr_addresses;
	claims = ARENA_ARRAY(load->arena, nr + 1, struct claim);
	nr = collect_claims(state, claims);
	if (nr)
		qsort(claims, nr, sizeof(*claims), compare_claims);
	for (size_t i = 0; i < nr; i++) {
		if (!last || last->vpc != claims[i].vpc || !cidr_overlaps(&last->cidr, &claims[i].cidr)) {
			last = &claims[i];
			continue;
		}
		if (last->eni == claims[i].eni && last->vpc) /* an address inside the ENI's own prefix, or twice */
			continue;
		state_error(load, &load->lists[LIST_NETWORK_INTERFACES].item[claims[i].eni - state->enis], "",
			    "%s address %s is that of %s, too", claims[i].vpc ? "private" : "public",
			    address_format(claims[i].cidr.family, &claims[i].cidr.addr, text), last->eni->id);
	}
}
