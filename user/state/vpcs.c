/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Vpcs, VpcAttributes, Subnets, and block public access (VPC-01..VPC-18). */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enid/limits.h"
#include "state/cidr.h"
#include "state/load.h"

static int bpa_mode(const json_t *states, int absent)
{
	if (get_is(states, "InternetGatewayBlockMode", "block-bidirectional"))
		return BPA_BIDIRECTIONAL;
	if (get_is(states, "InternetGatewayBlockMode", "block-ingress"))
		return BPA_INGRESS;
	return get_is(states, "InternetGatewayBlockMode", "off") ? BPA_OFF : absent;
}

static bool is_any_of(const struct cidr *cidr, const char *const *ranges)
{
	for (; *ranges; ranges++) {
		struct cidr range;
		bool host_bits;

		if (!cidr_parse(*ranges, &range, &host_bits) && cidr_overlaps(&range, cidr))
			return true;
	}
	return false;
}

/* VPC-01, VPC-02, VPC-08 */
static void check_vpc_cidr(struct load *load, struct item *item, const struct cidr *cidr)
{
	static const char *const forbidden[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", NULL};
	char text[CIDR_TEXT_MAX];

	cidr_format(cidr, text);
	if (cidr->family == 4 && (cidr->prefixlen < 16 || cidr->prefixlen > 28))
		state_error(load, item, "", "CIDR %s: prefix length is not within 16..28", text);
	else if (cidr->family == 4 && is_any_of(cidr, forbidden))
		state_error(load, item, "", "CIDR %s lies in a range that no VPC may have", text);
	else if (cidr->family == 6 && (cidr->prefixlen < 44 || cidr->prefixlen > 60 || cidr->prefixlen % 4))
		state_error(load, item, "", "CIDR %s: prefix length is not one of 44, 48, 52, 56, 60", text);
}

/* VPC-07: which of the families that exclude each other; 0 = another range */
static int rfc1918_family(const struct cidr *cidr)
{
	static const char *const families[][2] = {{"10.0.0.0/8"}, {"172.16.0.0/12"}, {"192.168.0.0/16"}};

	for (int i = 0; i < 3; i++)
		if (is_any_of(cidr, families[i]))
			return i + 1;
	return 0;
}

static void check_mixed_families(struct load *load, struct item *item, const struct vpc *vpc)
{
	static const char *const benchmark[] = {"198.19.0.0/16", NULL};
	int primary = vpc->primary.family ? rfc1918_family(&vpc->primary) : 0;
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; primary && i < vpc->nr_cidrs && vpc->cidrs[i].family == 4; i++) {
		int family = rfc1918_family(&vpc->cidrs[i]);

		if ((family && family != primary) || is_any_of(&vpc->cidrs[i], benchmark))
			state_warn(load, item, "", "CIDR %s may not be added to this VPC's primary range",
				   cidr_format(&vpc->cidrs[i], text));
	}
}

/* The CIDRs that are in effect (VPC-04), sorted; ret: how many */
static size_t associated_cidrs(const json_t *object, const char *list, const char *cidr_key, const char *state_key,
			       struct cidr *ret)
{
	const json_t *association;
	size_t index, nr = 0;

	json_array_foreach (json_object_get(object, list), index, association)
		if (json_is_object(association) && get_associated(association, state_key))
			nr += get_cidr(association, cidr_key, &ret[nr]);
	return nr;
}

static size_t associated_cidrs6(const json_t *object, struct cidr *ret)
{
	return associated_cidrs(object, "Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock", "Ipv6CidrBlockState", ret);
}

static void vpc_cidrs(struct load *load, struct item *item, struct vpc *vpc)
{
	size_t room = 1 + json_array_size(json_object_get(item->json, "CidrBlockAssociationSet")) +
		      json_array_size(json_object_get(item->json, "Ipv6CidrBlockAssociationSet"));
	struct cidr *cidrs = ARENA_ARRAY(load->arena, room, struct cidr);
	char text[CIDR_TEXT_MAX], other[CIDR_TEXT_MAX];
	size_t nr;

	nr = associated_cidrs(item->json, "CidrBlockAssociationSet", "CidrBlock", "CidrBlockState", cidrs);
	if (get_cidr(item->json, "CidrBlock", &vpc->primary))
		cidrs[nr++] = vpc->primary;
	nr += associated_cidrs6(item->json, cidrs + nr);
	vpc->cidrs = cidrs;
	vpc->nr_cidrs = cidr_sort_unique(cidrs, nr);
	if (vpc->nr_cidrs > VPC_CIDRS_MAX) {
		state_error(load, item, "", "has %zu CIDRs, more than %d", vpc->nr_cidrs, VPC_CIDRS_MAX);
		vpc->nr_cidrs = VPC_CIDRS_MAX;
	}
	for (size_t i = 0; i < vpc->nr_cidrs; i++) {
		check_vpc_cidr(load, item, &cidrs[i]);
		if (i && cidr_overlaps(&cidrs[i - 1], &cidrs[i])) /* VPC-05; sorted, so neighbours suffice */
			state_error(load, item, "", "CIDR %s overlaps CIDR %s", cidr_format(&cidrs[i], text),
				    cidr_format(&cidrs[i - 1], other));
	}
	check_mixed_families(load, item, vpc);
	if (!vpc->nr_cidrs)
		state_warn(load, item, "", "has no CIDR: no address is local to it");
}

static int compare_vni(const void *a, const void *b)
{
	const struct vpc *x = *(struct vpc *const *)a, *y = *(struct vpc *const *)b;

	return x->vni != y->vni ? (x->vni < y->vni ? -1 : 1) : strcmp(x->id, y->id);
}

/* Numbers that Vpcs[].Vni gives may meet those that are counted. */
static void check_vnis(struct load *load)
{
	struct state *state = load->state;
	struct vpc **by_vni = ARENA_ARRAY(load->arena, state->nr_vpcs + 1, struct vpc *);

	for (size_t i = 0; i < state->nr_vpcs; i++)
		by_vni[i] = &state->vpcs[i];
	qsort(by_vni, state->nr_vpcs, sizeof(*by_vni), compare_vni);
	for (size_t i = 1; i < state->nr_vpcs; i++)
		if (by_vni[i]->vni == by_vni[i - 1]->vni)
			state_error(load, &load->lists[LIST_VPCS].item[by_vni[i] - state->vpcs], "",
				    "Vni %u is that of %s, too", by_vni[i]->vni, by_vni[i - 1]->id);
}

static void load_bpa_options(struct load *load)
{
	LIST_FOREACH (load, LIST_BPA_OPTIONS, item)
		load->state->extra->bpa = bpa_mode(item->json, BPA_OFF);
}

static void load_vpc_attributes(struct load *load)
{
	LIST_FOREACH (load, LIST_VPC_ATTRIBUTES, item) {
		struct vpc *vpc = find_vpc(load, item, item->id, "its attributes are ignored");

		if (vpc)
			vpc->dns_support = get_flag(json_object_get(item->json, "EnableDnsSupport"), "Value", true);
	}
}

void load_vpcs(struct load *load)
{
	struct items *items = &load->lists[LIST_VPCS];
	struct state *state = load->state;

	load_bpa_options(load);
	state->vpcs = ARENA_ARRAY(load->arena, items->nr + 1, struct vpc);
	state->nr_vpcs = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct vpc *vpc = &state->vpcs[i];

		vpc->id = item->id;
		vpc->owner = get_text(load, item->json, "OwnerId");
		vpc->dhcp_options = get_text(load, item->json, "DhcpOptionsId");
		vpc->zone = (uint32_t)i + 1;
		vpc->vni = (uint32_t)get_int(item->json, "Vni", vpc->zone);
		vpc->bpa = bpa_mode(json_object_get(item->json, "BlockPublicAccessStates"), state->extra->bpa);
		vpc->dns_support = true;
		vpc_cidrs(load, item, vpc);
	}
	check_vnis(load);
	load_vpc_attributes(load);
}

/* ---- subnets */

static bool inside_vpc(const struct vpc *vpc, const struct cidr *cidr)
{
	for (size_t i = 0; i < vpc->nr_cidrs; i++)
		if (cidr_contains(&vpc->cidrs[i], cidr))
			return true;
	return false;
}

/* VPC-08, VPC-09 */
static void check_subnet_cidr(struct load *load, struct item *item, const struct vpc *vpc, const struct cidr *cidr)
{
	char text[CIDR_TEXT_MAX];

	cidr_format(cidr, text);
	if (cidr->family == 4 && (cidr->prefixlen < 16 || cidr->prefixlen > 28))
		state_error(load, item, "", "CIDR %s: prefix length is not within 16..28", text);
	else if (cidr->family == 6 && (cidr->prefixlen < 44 || cidr->prefixlen > 64 || cidr->prefixlen % 4))
		state_error(load, item, "", "CIDR %s: prefix length is not one of 44, 48, 52, 56, 60, 64", text);
	else if (vpc && vpc->nr_cidrs && !inside_vpc(vpc, cidr))
		state_error(load, item, "", "CIDR %s lies outside the CIDRs of %s", text, vpc->id);
}

static void subnet_cidrs(struct load *load, struct item *item, struct vpc_subnet *subnet)
{
	size_t room = json_array_size(json_object_get(item->json, "Ipv6CidrBlockAssociationSet"));
	struct cidr *cidrs6 = ARENA_ARRAY(load->arena, room + 1, struct cidr);
	size_t nr = cidr_sort_unique(cidrs6, associated_cidrs6(item->json, cidrs6));

	if (get_cidr(item->json, "CidrBlock", &subnet->cidr4))
		check_subnet_cidr(load, item, subnet->vpc, &subnet->cidr4);
	if (nr > SUBNET_CIDRS6_MAX) {
		state_error(load, item, "", "has %zu IPv6 CIDRs, more than %d", nr, SUBNET_CIDRS6_MAX);
		nr = SUBNET_CIDRS6_MAX;
	}
	for (size_t i = 0; i < nr; i++) {
		check_subnet_cidr(load, item, subnet->vpc, &cidrs6[i]);
		subnet->cidrs6[i] = cidrs6[i];
	}
	subnet->nr_cidrs6 = nr;
	if (!subnet->cidr4.family && !nr)
		state_warn(load, item, "", "has no CIDR: no address belongs to it");
}

struct claim { /* a CIDR of a subnet */
	struct cidr cidr;
	const struct vpc_subnet *subnet;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->subnet->vpc != y->subnet->vpc)
		return x->subnet->vpc < y->subnet->vpc ? -1 : 1;
	return cidr_compare(&x->cidr, &y->cidr);
}

/* VPC-09: no overlap among the subnets of a VPC. In the order of addresses, a CIDR overlaps an earlier one only if it
 * overlaps the widest of those that began last. */
static void check_subnet_overlaps(struct load *load)
{
	struct state *state = load->state;
	struct claim *claims = ARENA_ARRAY(load->arena, state->nr_subnets * (1 + SUBNET_CIDRS6_MAX) + 1, struct claim);
	char text[CIDR_TEXT_MAX], other[CIDR_TEXT_MAX];
	const struct claim *last = NULL;
	size_t nr = 0;

	for (size_t i = 0; i < state->nr_subnets; i++) {
		struct vpc_subnet *subnet = &state->subnets[i];

		if (subnet->vpc && subnet->cidr4.family)
			claims[nr++] = (struct claim){subnet->cidr4, subnet};
		for (size_t j = 0; subnet->vpc && j < subnet->nr_cidrs6; j++)
			claims[nr++] = (struct claim){subnet->cidrs6[j], subnet};
	}
	qsort(claims, nr, sizeof(*claims), compare_claims);
	for (size_t i = 0; i < nr; i++) {
		if (!last || last->subnet->vpc != claims[i].subnet->vpc ||
		    !cidr_overlaps(&last->cidr, &claims[i].cidr)) {
			last = &claims[i];
			continue;
		}
		state_error(load, &load->lists[LIST_SUBNETS].item[claims[i].subnet - state->subnets], "",
			    "CIDR %s overlaps CIDR %s of %s", cidr_format(&claims[i].cidr, text),
			    cidr_format(&last->cidr, other), last->subnet->id);
	}
}

void load_subnets(struct load *load)
{
	struct items *items = &load->lists[LIST_SUBNETS];
	struct state *state = load->state;

	state->subnets = ARENA_ARRAY(load->arena, items->nr + 1, struct vpc_subnet);
	state->nr_subnets = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct vpc_subnet *subnet = &state->subnets[i];
		const char *vpc = get_text(load, item->json, "VpcId");

		subnet->id = item->id;
		subnet->vpc = find_vpc(load, item, vpc, "the subnet is not served");
		if (!*vpc)
			state_warn(load, item, "", "VpcId is missing: the subnet is not served");
		subnet->az = get_text(load, item->json, "AvailabilityZone");
		subnet->az_id = get_text(load, item->json, "AvailabilityZoneId");
		subnet->bpa = bpa_mode(json_object_get(item->json, "BlockPublicAccessStates"),
				       subnet->vpc ? subnet->vpc->bpa : state->extra->bpa);
		subnet_cidrs(load, item, subnet);
	}
	check_subnet_overlaps(load);
}
