/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON-08 as tables: gateways between networks, mirroring and DHCP. */
#include "state/schema.h"

static const struct key nat_address_keys[] = {
	KEY("NetworkInterfaceId", V_ID), KEY("PrivateIp", V_IP4),
	KEY("PublicIp", V_IP4),          KEY("AllocationId", V_ID),
	KEY("IsPrimary", V_BOOL),        KEY("Status", V_WORD),
	KEY("AvailabilityZone", V_ID),   KEYS_END,
};
const struct key nat_gateway_keys[] = {
	KEY_N("NatGatewayId", V_ID),
	KEY("VpcId", V_ID),
	KEY("SubnetId", V_ID),
	KEY("State", V_WORD),
	KEY_OPEN("ConnectivityType", "public|private"),
	KEY_OPEN("AvailabilityMode", "zonal|regional"),
	KEY("RouteTableId", V_ID),
	KEY_LIST("NatGatewayAddresses", nat_address_keys),
	KEYS_END,
};

static const struct key code_keys[] = {KEY("Code", V_WORD), KEYS_END};
static const struct key cidr4_keys[] = {KEY("CidrBlock", V_CIDR4), KEYS_END};
static const struct key cidr6_keys[] = {KEY("Ipv6CidrBlock", V_CIDR6), KEYS_END};
static const struct key peering_side_keys[] = {
	KEY("VpcId", V_ID),
	KEY("OwnerId", V_ID),
	KEY("Region", V_ID),
	KEY("CidrBlock", V_CIDR4),
	KEY_LIST("CidrBlockSet", cidr4_keys),
	KEY_LIST("Ipv6CidrBlockSet", cidr6_keys),
	KEYS_END,
};
const struct key peering_keys[] = {
	KEY_N("VpcPeeringConnectionId", V_ID),
	KEY_OBJECT("Status", code_keys),
	KEY_OBJECT("RequesterVpcInfo", peering_side_keys),
	KEY_OBJECT("AccepterVpcInfo", peering_side_keys),
	KEYS_END,
};

static const struct key group_id_keys[] = {KEY("GroupId", V_ID), KEYS_END};
const struct key endpoint_keys[] = {
	KEY_N("VpcEndpointId", V_ID),
	KEY("VpcEndpointType", V_WORD),
	KEY("VpcId", V_ID),
	KEY_TEXT("ServiceName", 255),
	KEY("State", V_WORD),
	KEY("RouteTableIds", V_IDS),
	KEY("SubnetIds", V_IDS),
	KEY_LIST("Groups", group_id_keys),
	KEY("NetworkInterfaceIds", V_IDS),
	KEYS_END,
};

#define ENABLE "enable|disable"

static const struct key tgw_option_keys[] = {
	KEY("AssociationDefaultRouteTableId", V_ID), KEY("PropagationDefaultRouteTableId", V_ID),
	KEY_OPEN("VpnEcmpSupport", ENABLE),          KEY_OPEN("SecurityGroupReferencingSupport", ENABLE),
	KEY_OPEN("MulticastSupport", ENABLE),        KEYS_END,
};
const struct key tgw_keys[] = {
	KEY_N("TransitGatewayId", V_ID),
	KEY("State", V_WORD),
	KEY("OwnerId", V_ID),
	KEY_OBJECT("Options", tgw_option_keys),
	KEYS_END,
};
static const struct key tgw_association_keys[] = {
	KEY("TransitGatewayRouteTableId", V_ID),
	KEY("State", V_WORD),
	KEYS_END,
};
const struct key tgw_attachment_keys[] = {
	KEY_N("TransitGatewayAttachmentId", V_ID),
	KEY("TransitGatewayId", V_ID),
	KEY("ResourceType", V_WORD),
	KEY("ResourceId", V_ID),
	KEY("ResourceOwnerId", V_ID),
	KEY("State", V_WORD),
	KEY_OBJECT("Association", tgw_association_keys),
	KEYS_END,
};
static const struct key tgw_vpc_option_keys[] = {
	KEY_OPEN("Ipv6Support", ENABLE),
	KEY_OPEN("ApplianceModeSupport", ENABLE),
	KEY_OPEN("SecurityGroupReferencingSupport", ENABLE),
	KEY_OPEN("DnsSupport", ENABLE),
	KEYS_END,
};
const struct key tgw_vpc_attachment_keys[] = {
	KEY_N("TransitGatewayAttachmentId", V_ID),
	KEY("TransitGatewayId", V_ID),
	KEY("VpcId", V_ID),
	KEY("SubnetIds", V_IDS),
	KEY("State", V_WORD),
	KEY_OBJECT("Options", tgw_vpc_option_keys),
	KEYS_END,
};
const struct key tgw_table_keys[] = {
	KEY_N("TransitGatewayRouteTableId", V_ID),
	KEY("TransitGatewayId", V_ID),
	KEY("State", V_WORD),
	KEY("DefaultAssociationRouteTable", V_BOOL),
	KEY("DefaultPropagationRouteTable", V_BOOL),
	KEYS_END,
};
static const struct key attachment_ref_keys[] = {
	KEY("TransitGatewayAttachmentId", V_ID),
	KEY("ResourceId", V_ID),
	KEY("ResourceType", V_WORD),
	KEY("State", V_WORD),
	KEYS_END,
};
static const struct key tgw_route_keys[] = {
	KEY("DestinationCidrBlock", V_CIDR),
	KEY_WORDS("Type", "static|propagated"),
	KEY("State", V_WORD),
	KEY_LIST("TransitGatewayAttachments", attachment_ref_keys),
	KEY("PrefixListId", V_ID),
	KEYS_END,
};
const struct key tgw_routes_keys[] = {
	KEY_N("TransitGatewayRouteTableId", V_ID),
	KEY_LIST("Routes", tgw_route_keys),
	KEYS_END,
};
const struct key tgw_associations_keys[] = {
	KEY_N("TransitGatewayRouteTableId", V_ID),
	KEY_LIST("Associations", attachment_ref_keys),
	KEYS_END,
};
const struct key tgw_propagations_keys[] = {
	KEY_N("TransitGatewayRouteTableId", V_ID),
	KEY_LIST("TransitGatewayRouteTablePropagations", attachment_ref_keys),
	KEYS_END,
};
const struct key tgw_prefix_reference_keys[] = {
	KEY_N("TransitGatewayRouteTableId", V_ID),
	KEY_N("PrefixListId", V_ID),
	KEY("Blackhole", V_BOOL),
	KEY("State", V_WORD),
	KEY_OBJECT("TransitGatewayAttachment", attachment_ref_keys),
	KEYS_END,
};

const struct key customer_gateway_keys[] = {
	KEY_N("CustomerGatewayId", V_ID),
	KEY("State", V_WORD),
	KEY("IpAddress", V_IP),
	KEY("BgpAsn", V_ID),
	KEY("Type", V_WORD),
	KEYS_END,
};
static const struct key vpn_option_keys[] = {KEY("StaticRoutesOnly", V_BOOL), KEYS_END};
static const struct key vpn_route_keys[] = {
	KEY_N("DestinationCidrBlock", V_CIDR),
	KEY("State", V_WORD),
	KEYS_END,
};
static const struct key telemetry_keys[] = {
	KEY("OutsideIpAddress", V_IP),
	KEY("Status", V_WORD),
	KEYS_END,
};
const struct key vpn_connection_keys[] = {
	KEY_N("VpnConnectionId", V_ID),
	KEY("CustomerGatewayId", V_ID),
	KEY("VpnGatewayId", V_ID),
	KEY("TransitGatewayId", V_ID),
	KEY("State", V_WORD),
	KEY_OBJECT("Options", vpn_option_keys),
	KEY_LIST("Routes", vpn_route_keys),
	KEY_LIST("VgwTelemetry", telemetry_keys),
	KEYS_END,
};

static const struct key mirror_range_keys[] = {
	KEY_INT_N("FromPort", 0, 65535),
	KEY_INT_N("ToPort", 0, 65535),
	KEYS_END,
};
static const struct key mirror_rule_keys[] = {
	KEY_INT_N("RuleNumber", 1, 32766),
	KEY_WORDS_N("RuleAction", "accept|reject"),
	KEY("TrafficDirection", V_WORD),
	KEY("Protocol", V_PROTOCOL),
	KEY_N("SourceCidrBlock", V_CIDR),
	KEY_N("DestinationCidrBlock", V_CIDR),
	KEY_OBJECT("SourcePortRange", mirror_range_keys),
	KEY_OBJECT("DestinationPortRange", mirror_range_keys),
	KEYS_END,
};
const struct key mirror_filter_keys[] = {
	KEY_N("TrafficMirrorFilterId", V_ID),
	KEY_LIST("IngressFilterRules", mirror_rule_keys),
	KEY_LIST("EgressFilterRules", mirror_rule_keys),
	KEY("NetworkServices", V_IDS),
	KEYS_END,
};
const struct key mirror_session_keys[] = {
	KEY_N("TrafficMirrorSessionId", V_ID),
	KEY("NetworkInterfaceId", V_ID),
	KEY("TrafficMirrorTargetId", V_ID),
	KEY("TrafficMirrorFilterId", V_ID),
	KEY_INT_N("SessionNumber", 1, 32766),
	KEY_INT("PacketLength", 1, 8500),
	KEY_INT("VirtualNetworkId", 0, 16777215),
	KEY("MirrorDroppedPackets", V_BOOL),
	KEYS_END,
};
const struct key mirror_target_keys[] = {
	KEY_N("TrafficMirrorTargetId", V_ID),
	KEY("Type", V_WORD),
	KEY("NetworkInterfaceId", V_ID),
	KEY("NetworkLoadBalancerArn", V_TEXT),
	KEY("GatewayLoadBalancerEndpointId", V_ID),
	KEYS_END,
};

static const struct key dhcp_value_keys[] = {KEY("Value", V_TEXT), KEYS_END};
static const struct key dhcp_configuration_keys[] = {
	KEY_N("Key", V_WORD),
	KEY_LIST("Values", dhcp_value_keys),
	KEYS_END,
};
const struct key dhcp_options_keys[] = {
	KEY_N("DhcpOptionsId", V_ID),
	KEY_LIST("DhcpConfigurations", dhcp_configuration_keys),
	KEYS_END,
};
