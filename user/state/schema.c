/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON-08 as tables: the lists that the data path enforces, our own list Hosts, and the index of all lists. */
#include "state/schema.h"

#include "enid/limits.h"

static const struct key state_keys[] = {KEY("State", V_WORD), KEYS_END};
static const struct key value_keys[] = {KEY("Value", V_BOOL), KEYS_END};
static const struct key group_id_keys[] = {KEY("GroupId", V_ID), KEYS_END};
static const struct key bpa_state_keys[] = {
	KEY_WORDS("InternetGatewayBlockMode", "off|block-bidirectional|block-ingress"),
	KEYS_END,
};

static const struct key cidr4_association_keys[] = {
	KEY("CidrBlock", V_CIDR4),
	KEY_OBJECT("CidrBlockState", state_keys),
	KEYS_END,
};
static const struct key cidr6_association_keys[] = {
	KEY("Ipv6CidrBlock", V_CIDR6),
	KEY_OBJECT("Ipv6CidrBlockState", state_keys),
	KEYS_END,
};

static const struct key vpc_keys[] = {
	KEY_N("VpcId", V_ID),
	KEY("CidrBlock", V_CIDR4),
	KEY_LIST("CidrBlockAssociationSet", cidr4_association_keys),
	KEY_LIST("Ipv6CidrBlockAssociationSet", cidr6_association_keys),
	KEY("DhcpOptionsId", V_ID),
	KEY("IsDefault", V_BOOL),
	KEY("OwnerId", V_ID),
	KEY("State", V_WORD),
	KEY_OBJECT("BlockPublicAccessStates", bpa_state_keys),
	KEY_INT("Vni", 1, 16777215),
	KEYS_END,
};

static const struct key vpc_attribute_keys[] = {
	KEY_N("VpcId", V_ID),
	KEY_OBJECT("EnableDnsSupport", value_keys),
	KEY_OBJECT("EnableDnsHostnames", value_keys),
	KEYS_END,
};

static const struct key subnet_keys[] = {
	KEY_N("SubnetId", V_ID),
	KEY("VpcId", V_ID),
	KEY("CidrBlock", V_CIDR4),
	KEY_LIST("Ipv6CidrBlockAssociationSet", cidr6_association_keys),
	KEY("AvailabilityZone", V_ID),
	KEY("AvailabilityZoneId", V_ID),
	KEY("Ipv6Native", V_BOOL),
	KEY("EnableDns64", V_BOOL),
	KEY("MapPublicIpOnLaunch", V_BOOL),
	KEY("OwnerId", V_ID),
	KEY_OBJECT("BlockPublicAccessStates", bpa_state_keys),
	KEYS_END,
};

static const struct key ip_range_keys[] = {KEY_N("CidrIp", V_CIDR4), KEYS_END};
static const struct key ipv6_range_keys[] = {KEY_N("CidrIpv6", V_CIDR6), KEYS_END};
static const struct key prefix_list_id_keys[] = {KEY_N("PrefixListId", V_ID), KEYS_END};
static const struct key group_pair_keys[] = {
	KEY("GroupId", V_ID),         KEY("UserId", V_ID),
	KEY("VpcId", V_ID),           KEY("VpcPeeringConnectionId", V_ID),
	KEY("PeeringStatus", V_WORD), KEYS_END,
};
static const struct key permission_keys[] = {
	KEY_N("IpProtocol", V_PROTOCOL),
	KEY_INT("FromPort", -1, 65535),
	KEY_INT("ToPort", -1, 65535),
	KEY_LIST("IpRanges", ip_range_keys),
	KEY_LIST("Ipv6Ranges", ipv6_range_keys),
	KEY_LIST("PrefixListIds", prefix_list_id_keys),
	KEY_LIST("UserIdGroupPairs", group_pair_keys),
	KEYS_END,
};
static const struct key security_group_keys[] = {
	KEY_N("GroupId", V_ID),
	KEY_TEXT("GroupName", 255),
	KEY("VpcId", V_ID),
	KEY("OwnerId", V_ID),
	KEY_LIST("IpPermissions", permission_keys),
	KEY_LIST("IpPermissionsEgress", permission_keys),
	KEYS_END,
};
static const struct key security_group_rule_keys[] = {
	KEY_N("SecurityGroupRuleId", V_ID),
	KEY_N("GroupId", V_ID),
	KEY_N("IsEgress", V_BOOL),
	KEY_N("IpProtocol", V_PROTOCOL),
	KEY_INT("FromPort", -1, 65535),
	KEY_INT("ToPort", -1, 65535),
	KEY("CidrIpv4", V_CIDR4),
	KEY("CidrIpv6", V_CIDR6),
	KEY("PrefixListId", V_ID),
	KEY_OBJECT("ReferencedGroupInfo", group_pair_keys),
	KEYS_END,
};
static const struct key group_vpc_association_keys[] = {
	KEY_N("GroupId", V_ID),
	KEY_N("VpcId", V_ID),
	KEY("State", V_WORD),
	KEYS_END,
};

static const struct key subnet_id_keys[] = {KEY("SubnetId", V_ID), KEYS_END};
static const struct key port_range_keys[] = {
	KEY_INT_N("From", -1, 65535),
	KEY_INT_N("To", -1, 65535),
	KEYS_END,
};
static const struct key icmp_keys[] = {
	KEY_INT_N("Type", -1, 255),
	KEY_INT_N("Code", -1, 255),
	KEYS_END,
};
static const struct key nacl_entry_keys[] = {
	KEY_INT_N("RuleNumber", 1, 32768),
	KEY_N("Protocol", V_PROTOCOL),
	KEY_WORDS_N("RuleAction", "allow|deny"),
	KEY_N("Egress", V_BOOL),
	KEY("CidrBlock", V_CIDR4),
	KEY("Ipv6CidrBlock", V_CIDR6),
	KEY_OBJECT("PortRange", port_range_keys),
	KEY_OBJECT("IcmpTypeCode", icmp_keys),
	KEYS_END,
};
static const struct key nacl_keys[] = {
	KEY_N("NetworkAclId", V_ID),
	KEY("VpcId", V_ID),
	KEY("IsDefault", V_BOOL),
	KEY_LIST("Associations", subnet_id_keys),
	KEY_LIST("Entries", nacl_entry_keys),
	KEYS_END,
};

static const struct key table_association_keys[] = {
	KEY("Main", V_BOOL),
	KEY("SubnetId", V_ID),
	KEY("GatewayId", V_ID),
	KEY("PublicIpv4Pool", V_ID),
	KEY_OBJECT("AssociationState", state_keys),
	KEYS_END,
};
static const struct key gateway_id_keys[] = {KEY("GatewayId", V_ID), KEYS_END};
static const struct key route_keys[] = {
	KEY("DestinationCidrBlock", V_CIDR4),
	KEY("DestinationIpv6CidrBlock", V_CIDR6),
	KEY("DestinationPrefixListId", V_ID),
	KEY("GatewayId", V_ID),
	KEY("EgressOnlyInternetGatewayId", V_ID),
	KEY("NatGatewayId", V_ID),
	KEY("NetworkInterfaceId", V_ID),
	KEY("VpcPeeringConnectionId", V_ID),
	KEY("TransitGatewayId", V_ID),
	KEY("LocalGatewayId", V_ID),
	KEY("CarrierGatewayId", V_ID),
	KEY("CoreNetworkArn", V_TEXT),
	KEY("OdbNetworkArn", V_TEXT),
	KEY("Origin", V_WORD),
	KEY("State", V_WORD),
	KEYS_END,
};
static const struct key route_table_keys[] = {
	KEY_N("RouteTableId", V_ID),
	KEY("VpcId", V_ID),
	KEY_LIST("Associations", table_association_keys),
	KEY_LIST("PropagatingVgws", gateway_id_keys),
	KEY_LIST("Routes", route_keys),
	KEYS_END,
};

static const struct key public_ip_keys[] = {KEY("PublicIp", V_IP4), KEYS_END};
static const struct key private_ip_keys[] = {
	KEY("Primary", V_BOOL),
	KEY_N("PrivateIpAddress", V_IP4),
	KEY_OBJECT("Association", public_ip_keys),
	KEYS_END,
};
static const struct key ipv6_address_keys[] = {
	KEY_N("Ipv6Address", V_IP6),
	KEY("IsPrimaryIpv6", V_BOOL),
	KEYS_END,
};
static const struct key ipv4_prefix_keys[] = {KEY_N("Ipv4Prefix", V_CIDR4), KEYS_END};
static const struct key ipv6_prefix_keys[] = {KEY_N("Ipv6Prefix", V_CIDR6), KEYS_END};
static const struct key attachment_keys[] = {
	KEY("InstanceId", V_ID),
	KEY_INT("DeviceIndex", 0, 65535),
	KEY("Status", V_WORD),
	KEYS_END,
};
static const struct key tracking_keys[] = {
	/* CT-09 */
	KEY_INT("TcpEstablishedTimeout", 60, 432000),
	KEY_INT("UdpTimeout", 30, 60),
	KEY_INT("UdpStreamTimeout", 60, 180),
	KEYS_END,
};
static const struct key tag_keys[] = {
	KEY_TEXT("Key", 255),
	KEY_TEXT("Value", 511),
	KEYS_END,
};
static const struct key eni_keys[] = {
	KEY_N("NetworkInterfaceId", V_ID),
	KEY("VpcId", V_ID),
	KEY("SubnetId", V_ID),
	KEY("MacAddress", V_MAC),
	KEY("Status", V_WORD),
	KEY("InterfaceType", V_WORD),
	KEY_TEXT("Description", 4096),
	KEY("SourceDestCheck", V_BOOL),
	KEY("RequesterManaged", V_BOOL),
	KEY_LIST("Groups", group_id_keys),
	KEY("PrivateIpAddress", V_IP4),
	KEY_LIST("PrivateIpAddresses", private_ip_keys),
	KEY_LIST("Ipv6Addresses", ipv6_address_keys),
	KEY_LIST("Ipv4Prefixes", ipv4_prefix_keys),
	KEY_LIST("Ipv6Prefixes", ipv6_prefix_keys),
	KEY_OBJECT("Attachment", attachment_keys),
	KEY_OBJECT("ConnectionTrackingConfiguration", tracking_keys),
	KEY("DenyAllIgwTraffic", V_BOOL),
	KEY_LIST("TagSet", tag_keys),
	KEY("AvailabilityZone", V_ID),
	KEY("OwnerId", V_ID),
	KEYS_END,
};

static const struct key vpc_attachment_keys[] = {KEY("VpcId", V_ID), KEY("State", V_WORD), KEYS_END};
static const struct key igw_keys[] = {
	KEY_N("InternetGatewayId", V_ID),
	KEY_LIST("Attachments", vpc_attachment_keys),
	KEYS_END,
};
static const struct key eigw_keys[] = {
	KEY_N("EgressOnlyInternetGatewayId", V_ID),
	KEY_LIST("Attachments", vpc_attachment_keys),
	KEYS_END,
};
static const struct key vgw_keys[] = {
	KEY_N("VpnGatewayId", V_ID),
	KEY("State", V_WORD),
	KEY_INT("AmazonSideAsn", 0, 4294967295),
	KEY_LIST("VpcAttachments", vpc_attachment_keys),
	KEYS_END,
};

static const struct key prefix_list_keys[] = {
	KEY_N("PrefixListId", V_ID),
	KEY_TEXT("PrefixListName", 255),
	KEY_OPEN("AddressFamily", "ipv4|ipv6"),
	KEY_INT("MaxEntries", 0, 4294967295),
	KEY_INT("Version", 0, 9223372036854775807),
	KEY("State", V_WORD),
	KEY("OwnerId", V_ID),
	KEY("Cidrs", V_CIDRS),
	KEYS_END,
};
static const struct key prefix_list_entry_keys[] = {KEY_N("Cidr", V_CIDR), KEYS_END};
static const struct key prefix_list_entries_keys[] = {
	KEY_N("PrefixListId", V_ID),
	KEY_LIST("Entries", prefix_list_entry_keys),
	KEYS_END,
};

static const struct key address_keys[] = {
	KEY("PublicIp", V_IP4),
	KEY("AllocationId", V_ID),
	KEY("AssociationId", V_ID),
	KEY("NetworkInterfaceId", V_ID),
	KEY("PrivateIpAddress", V_IP4),
	KEY("Domain", V_WORD),
	KEYS_END,
};

static const struct key log_destination_keys[] = {
	KEY("FileFormat", V_WORD),
	KEY("HiveCompatiblePartitions", V_BOOL),
	KEY("PerHourPartition", V_BOOL),
	KEYS_END,
};
static const struct key flow_log_keys[] = {
	KEY_N("FlowLogId", V_ID),
	KEY("FlowLogStatus", V_WORD),
	KEY("ResourceId", V_ID),
	KEY_OPEN("TrafficType", "accept|reject|all"),
	KEY("LogDestinationType", V_WORD),
	KEY("LogDestination", V_TEXT),
	KEY("LogGroupName", V_TEXT),
	KEY_TEXT("LogFormat", 8192),
	KEY_INT("MaxAggregationInterval", 60, 600),
	KEY_OBJECT("DestinationOptions", log_destination_keys),
	KEYS_END,
};

static const struct key bpa_options_keys[] = {
	KEY_WORDS("InternetGatewayBlockMode", "off|block-bidirectional|block-ingress"),
	KEY("State", V_WORD),
	KEYS_END,
};
static const struct key bpa_exclusion_keys[] = {
	KEY_N("ExclusionId", V_ID),
	KEY("ResourceArn", V_TEXT),
	KEY_WORDS("InternetGatewayExclusionMode", "allow-bidirectional|allow-egress"),
	KEY("State", V_WORD),
	KEYS_END,
};

static const struct key host_port_keys[] = {
	KEY_N("NetworkInterfaceId", V_ID),
	KEY("Device", V_DEVICE),
	KEY_WORDS("Mode", "router|guard"),
	KEY_WORDS("Side", "host|instance"),
	KEY_WORDS("Hook", "auto|xdp|tc"),
	KEY_INT("Mtu", 576, 65535),
	KEYS_END,
};
static const struct key target_keys[] = {KEY_N("Id", V_IP4), KEY_INT("Port", 1, 65535), KEYS_END};
static const struct key target_health_state_keys[] = {KEY("State", V_WORD), KEYS_END};
static const struct key target_health_keys[] = {
	KEY_OBJECT("Target", target_keys),
	KEY_OBJECT("TargetHealth", target_health_state_keys),
	KEYS_END,
};
static const struct key attribute_keys[] = {KEY_N("Key", V_TEXT), KEY("Value", V_TEXT), KEYS_END};
static const struct key host_uplink_keys[] = {
	KEY_N("GatewayId", V_ID),
	KEY_N("Device", V_DEVICE),
	KEY("AnswerNeighbours", V_BOOL),
	KEY_INT("Mtu", 576, 65535),
	KEY("Address", V_IP4),
	KEY_LIST("TargetHealthDescriptions", target_health_keys),
	KEY_LIST("TargetGroupAttributes", attribute_keys),
	KEY_LIST("ListenerAttributes", attribute_keys),
	KEYS_END,
};
static const struct key host_keys[] = {
	KEY_N("HostId", V_ID),
	KEY("TunnelAddress", V_IP4),
	KEY("RouterMacAddress", V_MAC),
	KEY_LIST("Ports", host_port_keys),
	KEY_LIST("Uplinks", host_uplink_keys),
	KEYS_END,
};

#define LIST_OF(n, id, k) \
	{ \
		.name = (n), .id_key = (id), .keys = (k) \
	}
#define LIST_OF_MAX(n, id, k, m) \
	{ \
		.name = (n), .id_key = (id), .keys = (k), .max = (m) \
	}
#define LIST_OF_PAIRS(n, id, id2, k) \
	{ \
		.name = (n), .id_key = (id), .id2_key = (id2), .keys = (k) \
	}

const struct list_schema state_lists[LIST_MAX] = {
	[LIST_VPCS] = LIST_OF("Vpcs", "VpcId", vpc_keys),
	[LIST_VPC_ATTRIBUTES] = LIST_OF("VpcAttributes", "VpcId", vpc_attribute_keys),
	[LIST_SUBNETS] = LIST_OF_MAX("Subnets", "SubnetId", subnet_keys, SUBNETS_MAX - 1),
	[LIST_SECURITY_GROUPS] = LIST_OF("SecurityGroups", "GroupId", security_group_keys),
	[LIST_SECURITY_GROUP_RULES] = LIST_OF("SecurityGroupRules", "SecurityGroupRuleId", security_group_rule_keys),
	[LIST_GROUP_VPC_ASSOCIATIONS] =
		LIST_OF_PAIRS("SecurityGroupVpcAssociations", "GroupId", "VpcId", group_vpc_association_keys),
	[LIST_NETWORK_ACLS] = LIST_OF("NetworkAcls", "NetworkAclId", nacl_keys),
	[LIST_ROUTE_TABLES] = LIST_OF("RouteTables", "RouteTableId", route_table_keys),
	[LIST_NETWORK_INTERFACES] = LIST_OF_MAX("NetworkInterfaces", "NetworkInterfaceId", eni_keys, PORTS_MAX - 1),
	[LIST_INTERNET_GATEWAYS] = LIST_OF("InternetGateways", "InternetGatewayId", igw_keys),
	[LIST_EGRESS_ONLY_GATEWAYS] = LIST_OF("EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId", eigw_keys),
	[LIST_VPN_GATEWAYS] = LIST_OF("VpnGateways", "VpnGatewayId", vgw_keys),
	[LIST_PREFIX_LISTS] = LIST_OF("PrefixLists", "PrefixListId", prefix_list_keys),
	[LIST_PREFIX_LIST_ENTRIES] = LIST_OF("ManagedPrefixListEntries", "PrefixListId", prefix_list_entries_keys),
	[LIST_ADDRESSES] = {.name = "Addresses", .id_key = "PublicIp", .keys = address_keys, .id_optional = true},
	[LIST_FLOW_LOGS] = LIST_OF("FlowLogs", "FlowLogId", flow_log_keys),
	[LIST_BPA_OPTIONS] = {.name = "VpcBlockPublicAccessOptions", .keys = bpa_options_keys},
	[LIST_BPA_EXCLUSIONS] = LIST_OF("VpcBlockPublicAccessExclusions", "ExclusionId", bpa_exclusion_keys),
	[LIST_HOSTS] = LIST_OF_MAX("Hosts", "HostId", host_keys, HOSTS_MAX),
	[LIST_NAT_GATEWAYS] = LIST_OF("NatGateways", "NatGatewayId", nat_gateway_keys),
	[LIST_PEERINGS] = LIST_OF_MAX("VpcPeeringConnections", "VpcPeeringConnectionId", peering_keys, PEERINGS_MAX),
	[LIST_ENDPOINTS] = LIST_OF("VpcEndpoints", "VpcEndpointId", endpoint_keys),
	[LIST_TGWS] = LIST_OF("TransitGateways", "TransitGatewayId", tgw_keys),
	[LIST_TGW_ATTACHMENTS] = LIST_OF_PAIRS("TransitGatewayAttachments", "TransitGatewayAttachmentId",
					       "TransitGatewayId", tgw_attachment_keys),
	[LIST_TGW_VPC_ATTACHMENTS] =
		LIST_OF("TransitGatewayVpcAttachments", "TransitGatewayAttachmentId", tgw_vpc_attachment_keys),
	[LIST_TGW_TABLES] = LIST_OF("TransitGatewayRouteTables", "TransitGatewayRouteTableId", tgw_table_keys),
	[LIST_TGW_ROUTES] = {.name = "TransitGatewayRoutes",
			     .alias = "TransitGatewayStaticRoutes",
			     .id_key = "TransitGatewayRouteTableId",
			     .keys = tgw_routes_keys},
	[LIST_TGW_ASSOCIATIONS] =
		LIST_OF("TransitGatewayRouteTableAssociations", "TransitGatewayRouteTableId", tgw_associations_keys),
	[LIST_TGW_PROPAGATIONS] =
		LIST_OF("TransitGatewayPropagations", "TransitGatewayRouteTableId", tgw_propagations_keys),
	[LIST_TGW_PREFIX_REFERENCES] = LIST_OF_PAIRS("TransitGatewayPrefixListReferences", "TransitGatewayRouteTableId",
						     "PrefixListId", tgw_prefix_reference_keys),
	[LIST_CUSTOMER_GATEWAYS] = LIST_OF("CustomerGateways", "CustomerGatewayId", customer_gateway_keys),
	[LIST_VPN_CONNECTIONS] = LIST_OF("VpnConnections", "VpnConnectionId", vpn_connection_keys),
	[LIST_MIRROR_FILTERS] = LIST_OF("TrafficMirrorFilters", "TrafficMirrorFilterId", mirror_filter_keys),
	[LIST_MIRROR_SESSIONS] = LIST_OF("TrafficMirrorSessions", "TrafficMirrorSessionId", mirror_session_keys),
	[LIST_MIRROR_TARGETS] = LIST_OF("TrafficMirrorTargets", "TrafficMirrorTargetId", mirror_target_keys),
	[LIST_DHCP_OPTIONS] = LIST_OF("DhcpOptions", "DhcpOptionsId", dhcp_options_keys),
};
