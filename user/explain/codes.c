/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Our reasons in the words of AWS's Reachability Analyzer. The codes and their meanings:
 * https://docs.aws.amazon.com/vpc/latest/reachability/explanation-codes.html ("Path is not reachable",
 * "Configuration"). Where AWS has no code for what we drop, NO_PATH stands, and the reason itself under "Enid" tells.
 */
#include <stddef.h>

#include "explain/report.h"

static const char *const codes[REASON_MAX] = {
	[REASON_MARTIAN] = "GATEWAY_REJECTS_SPOOFED_TRAFFIC",
	[REASON_SOURCE_CHECK] = "ENI_SOURCE_DEST_CHECK_RESTRICTION",
	[REASON_DEST_CHECK] = "ENI_SOURCE_DEST_CHECK_RESTRICTION",
	[REASON_SG_EGRESS] = "ENI_SG_RULES_MISMATCH",
	[REASON_SG_INGRESS] = "ENI_SG_RULES_MISMATCH",
	[REASON_NACL_EGRESS] = "SUBNET_ACL_RESTRICTION",
	[REASON_NACL_INGRESS] = "SUBNET_ACL_RESTRICTION",
	[REASON_NO_ROUTE] = "NO_ROUTE_TO_DESTINATION",
	[REASON_BLACKHOLE] = "BAD_STATE_ROUTE",
	[REASON_NO_OWNER] = "NO_POSSIBLE_DESTINATION",
	[REASON_NOT_SERVED] = "UNSUPPORTED_COMPONENT",
	[REASON_IGW_NO_PUBLIC_ADDRESS] = "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS",
	[REASON_IGW_NO_OWNER] = "IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS",
	[REASON_BPA] = "VPC_BLOCK_PUBLIC_ACCESS_ENABLED",
	[REASON_PEERING] = "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR",
	[REASON_TGW_ATTACHMENT] = "TGW_ROUTE_AZ_RESTRICTION",
	[REASON_TGW_NO_ROUTE] = "TGW_RTB_NO_ROUTE_TO_TGW_ATTACHMENT",
	[REASON_TGW_BLACKHOLE] = "TGW_RTB_BAD_STATE_ROUTE",
	[REASON_NAT_NO_MAPPING] = "NGW_REQUIRES_SOURCE_IN_VPC",
	[REASON_NAT_PROTOCOL] = "PROTOCOL_RESTRICTION",
	[REASON_NAT_HAIRPIN] = "IGW_NAT_REFLECTION",
	[REASON_NO_POLICY] = "BAD_STATE_ATTACHMENT",
};

static bool from_outside(const struct asked *asked, const struct way *way)
{
	return asked->image->ports[way->in].kind == PORT_UPLINK;
}

/* No group of the ENI has a rule in this direction at all. */
static bool no_rules(const struct way *way)
{
	const struct eni *eni = way->asked_eni;

	for (size_t i = 0; eni && i < eni->nr_groups; i++)
		if (way->asked.egress ? eni->groups[i]->nr_out : eni->groups[i]->nr_in)
			return false;
	return eni != NULL;
}

const char *explanation_code(const struct asked *asked, const struct way *way)
{
	switch (way->reason) {
	case REASON_ACCEPTED:
		return NULL;
	case REASON_SG_EGRESS:
	case REASON_SG_INGRESS:
		if (no_rules(way))
			return "SG_HAS_NO_RULES";
		break;
	case REASON_VGW:
		return from_outside(asked, way) ? "VGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS"
						: "VGW_PRIVATE_IP_ASSOCIATION_FOR_EGRESS";
	case REASON_ENDPOINT_SCOPE:
		return asked->image->ports[way->in].flags & PORT_ENDPOINT
			       ? "VPCE_INTRA_VPC_TRAFFIC"
			       : "VPCE_GATEWAY_EGRESS_SOURCE_ADDRESS_RESTRICTION";
	}
	return codes[way->reason] ? codes[way->reason] : "NO_PATH";
}
