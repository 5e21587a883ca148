/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every refusal of the state, with its exact text, and every warning (JSON-06). One state a row; a row that gives more
 * than its one error fails. */
#include "test_state.h"

#include "flowlog/spec.h"

struct refusal {
	const char *text; /* the state */
	const char *error;
};

#define GROUP_IN(permission) "{'SecurityGroups':[{'GroupId':'sg-1','IpPermissions':[" permission "]}]}"
#define RULE(rest) \
	"{'SecurityGroups':[{'GroupId':'sg-1'}],'SecurityGroupRules':[{'SecurityGroupRuleId':'sgr-1'," rest "}]}"
#define ACL_IN(entry)       "{'NetworkAcls':[{'NetworkAclId':'acl-1','Entries':[" entry "]}]}"
#define ENTRY(number, rest) "{'RuleNumber':" number ",'RuleAction':'allow','Egress':false," rest "}"
#define ROUTE_IN(route)     "{" VPC ",'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Routes':[" route "]}]}"
#define EDGE_ROUTE(route) \
	"{" VPC "," SUBNET ",'InternetGateways':[{'InternetGatewayId':'igw-1','Attachments':[{'VpcId':'v1'}]}]," \
	"'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Associations':[{'GatewayId':'igw-1'}],'Routes':[" route \
	"]}]}"
#define ENI_WITH(rest) \
	"{" VPC "," SUBNET "," GROUP ",'NetworkInterfaces':[{'NetworkInterfaceId':'eni-1','SubnetId':'s1'," rest "}]}"
#define HOST_WITH(rest) "{" BASE ",'Hosts':[{'HostId':'h1'," rest "}]}"
#define MIRROR_ENI(nr) \
	"{'NetworkInterfaceId':'e" nr "','SubnetId':'s1','Groups':[{'GroupId':'sg-1'}]," \
	"'PrivateIpAddress':'10.0.1.1" nr "'}"
#define MIRROR_TARGET(nr) "{'TrafficMirrorTargetId':'t" nr "','NetworkInterfaceId':'e" nr "'}"
#define MIRROR_FROM(id, eni, target) \
	"{'TrafficMirrorSessionId':" id ",'SessionNumber':1,'TrafficMirrorFilterId':'tmf-1'," \
	"'NetworkInterfaceId':" eni ",'TrafficMirrorTargetId':" target "}"
#define MIRRORED(eni1, target1, eni2, target2) \
	"{" VPC "," SUBNET "," GROUP ",'NetworkInterfaces':[" MIRROR_ENI("1") "," MIRROR_ENI("2") "," MIRROR_ENI( \
		"3") "],'TrafficMirrorFilters':[{'TrafficMirrorFilterId':'tmf-1'}]," \
		     "'TrafficMirrorTargets':[" MIRROR_TARGET("1") "," MIRROR_TARGET("2") "," MIRROR_TARGET( \
			     "3") "]," \
				  "'TrafficMirrorSessions':[" MIRROR_FROM("'tms-1'", eni1, target1) "," MIRROR_FROM( \
					  "'tms-2'", eni2, target2) "]}"
#define ID64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct refusal refusals[] = {
	/* documents and lists */
	{"[]", "s.json: the document is a list, not an object"},
	{"{'Vpcs':{}}", "s.json: Vpcs is an object, not a list"},
	{"{'Vpcs':'x'}", "s.json: Vpcs is a string, not a list"},
	{"{'Vpcs':[5]}", "s.json: Vpcs[0]: is an integer, not an object"},
	{"{'Vpcs':[null,{}]}", "s.json: Vpcs[1]: VpcId is missing"},
	{"{'VpcBlockPublicAccessOptions':[]}", "s.json: VpcBlockPublicAccessOptions is a list, not an object"},
	/* types and ids (JSON-02, E32) */
	{"{'Vpcs':[{'VpcId':7}]}", "s.json: Vpcs[0]: VpcId is an integer, not a string"},
	{"{'Vpcs':[{'VpcId':'a b'}]}", "s.json: Vpcs[0]: VpcId 'a b' is not an id of 1 to 63 printable characters"},
	{"{'Vpcs':[{'VpcId':''}]}", "s.json: Vpcs[0]: VpcId '' is not an id of 1 to 63 printable characters"},
	{"{'Vpcs':[{'VpcId':'" ID64 "'}]}",
	 "s.json: Vpcs[0]: VpcId '" ID64 "' is not an id of 1 to 63 printable characters"},
	{"{'Vpcs':[{'VpcId':'a\\u001b[2J'}]}",
	 "s.json: Vpcs[0]: VpcId 'a?[2J' is not an id of 1 to 63 printable characters"},
	{"{'Vpcs':[{'VpcId':'v1','IsDefault':'yes'}]}", "s.json: Vpcs[0] v1: IsDefault is a string, not a boolean"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/33'}]}",
	 "s.json: Vpcs[0] v1: CidrBlock '10.0.0.0/33' is not an IPv4 CIDR"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'2001:db8::/56'}]}",
	 "s.json: Vpcs[0] v1: CidrBlock '2001:db8::/56' is not an IPv4 CIDR"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0'}]}",
	 "s.json: Vpcs[0] v1: CidrBlock '10.0.0.0' is not an IPv4 CIDR"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'010.0.0.0/16'}]}",
	 "s.json: Vpcs[0] v1: CidrBlock '010.0.0.0/16' is not an IPv4 CIDR"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlockAssociationSet':[3]}]}",
	 "s.json: Vpcs[0] v1: CidrBlockAssociationSet[0]: is an integer, not an object"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlockAssociationSet':{}}]}",
	 "s.json: Vpcs[0] v1: CidrBlockAssociationSet is an object, not a list"},
	{"{'Vpcs':[{'VpcId':'v1','Vni':0}]}", "s.json: Vpcs[0] v1: Vni 0 is not within 1..16777215"},
	{"{'Vpcs':[{'VpcId':'v1','Vni':1.5}]}", "s.json: Vpcs[0] v1: Vni is a number, not an integer"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16','Vni':2},{'VpcId':'v2','CidrBlock':'10.0.0.0/16'}]}",
	 "s.json: Vpcs[1] v2: Vni 2 is that of v1, too"},
	{"{'Vpcs':[{'VpcId':'v1','BlockPublicAccessStates':{'InternetGatewayBlockMode':'some'}}]}",
	 "s.json: Vpcs[0] v1: BlockPublicAccessStates: InternetGatewayBlockMode 'some' is not one of "
	 "off|block-bidirectional|block-ingress"},
	/* VPC-01, VPC-02, VPC-05, VPC-08, VPC-09 */
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/15'}]}",
	 "s.json: Vpcs[0] v1: CIDR 10.0.0.0/15: prefix length is not within 16..28"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/29'}]}",
	 "s.json: Vpcs[0] v1: CIDR 10.0.0.0/29: prefix length is not within 16..28"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'127.0.0.0/16'}]}",
	 "s.json: Vpcs[0] v1: CIDR 127.0.0.0/16 lies in a range that no VPC may have"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'239.1.0.0/16'}]}",
	 "s.json: Vpcs[0] v1: CIDR 239.1.0.0/16 lies in a range that no VPC may have"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16','CidrBlockAssociationSet':[{'CidrBlock':'10.0.4.0/24'}]}]}",
	 "s.json: Vpcs[0] v1: CIDR 10.0.4.0/24 overlaps CIDR 10.0.0.0/16"},
	{"{'Vpcs':[{'VpcId':'v1','Ipv6CidrBlockAssociationSet':[{'Ipv6CidrBlock':'2001:db8::/57'}]}]}",
	 "s.json: Vpcs[0] v1: CIDR 2001:db8::/57: prefix length is not one of 44, 48, 52, 56, 60"},
	{"{'Vpcs':[{'VpcId':'v1','Ipv6CidrBlockAssociationSet':[{'Ipv6CidrBlock':'2001:db8::/58'}]}]}",
	 "s.json: Vpcs[0] v1: CIDR 2001:db8::/58: prefix length is not one of 44, 48, 52, 56, 60"},
	{"{'Vpcs':[{'VpcId':'v1','Ipv6CidrBlockAssociationSet':[{'Ipv6CidrBlock':'2001:db8::/64'}]}]}",
	 "s.json: Vpcs[0] v1: CIDR 2001:db8::/64: prefix length is not one of 44, 48, 52, 56, 60"},
	{"{'Vpcs':[{'VpcId':'v1'}],'Subnets':[{'SubnetId':'s1','VpcId':'v1','Ipv6CidrBlockAssociationSet':[{"
	 "'Ipv6CidrBlock':'2001:db8::/62'}]}]}",
	 "s.json: Subnets[0] s1: CIDR 2001:db8::/62: prefix length is not one of 44, 48, 52, 56, 60, 64"},
	{"{" VPC ",'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.1.0.0/24'}]}",
	 "s.json: Subnets[0] s1: CIDR 10.1.0.0/24 lies outside the CIDRs of v1"},
	{"{" VPC ",'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.0.0/29'}]}",
	 "s.json: Subnets[0] s1: CIDR 10.0.0.0/29: prefix length is not within 16..28"},
	{"{" VPC ",'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.0.0/20'},"
	 "{'SubnetId':'s2','VpcId':'v1','CidrBlock':'10.0.1.0/24'}]}",
	 "s.json: Subnets[1] s2: CIDR 10.0.1.0/24 overlaps CIDR 10.0.0.0/20 of s1"},
	/* security groups: SG-05, SG-07, SG-08 */
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':90,'ToPort':80}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: port range 90-80 is empty"},
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':-1,'ToPort':80}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: port range -1 to 80 mixes -1 with a port"},
	{GROUP_IN("{'IpProtocol':'udp','FromPort':53,'ToPort':-1}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: port range 53 to -1 mixes -1 with a port"},
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':80}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: ToPort is missing"},
	{GROUP_IN("{'IpProtocol':'tcp','IpRanges':[{'CidrIp':'10.0.0.0/8'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: FromPort is missing"},
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':80,'ToPort':65536}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: ToPort 65536 is not within -1..65535"},
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':'80','ToPort':80}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: FromPort is a string, not an integer"},
	{GROUP_IN("{'IpProtocol':'icmp','FromPort':-1,'ToPort':3}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: ICMP code 3 without a type"},
	{GROUP_IN("{'IpProtocol':'icmp','FromPort':256,'ToPort':-1}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: ICMP type 256 code -1 is not within -1..255"},
	{GROUP_IN("{'IpProtocol':'icmp'}"), "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: FromPort is missing"},
	{GROUP_IN("{'IpProtocol':'esp'}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: IpProtocol 'esp' is not tcp, "
	 "udp, icmp, icmpv6 or a number within -1..255"},
	{GROUP_IN("{'IpProtocol':'256'}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: IpProtocol '256' is not tcp, "
	 "udp, icmp, icmpv6 or a number within -1..255"},
	{GROUP_IN("{'IpProtocol':-2}"), "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: IpProtocol -2 is not within "
					"-1..255"},
	{GROUP_IN("{'FromPort':1,'ToPort':2}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: IpProtocol is missing"},
	{GROUP_IN("{'IpProtocol':'-1','IpRanges':[{'CidrIp':'10.0.0.0/8'},{'CidrIp':'x'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0].IpRanges[1]: CidrIp 'x' is not an IPv4 CIDR"},
	{GROUP_IN("{'IpProtocol':'-1','IpRanges':[{'CidrIp':'::/0'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0].IpRanges[0]: CidrIp '::/0' is not an IPv4 CIDR"},
	{GROUP_IN("{'IpProtocol':'-1','Ipv6Ranges':[{'CidrIpv6':'0.0.0.0/0'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0].Ipv6Ranges[0]: CidrIpv6 '0.0.0.0/0' is not an IPv6 CIDR"},
	{GROUP_IN("{'IpProtocol':'-1','IpRanges':[{}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0].IpRanges[0]: CidrIp is missing"},
	/* ... in the flat form */
	{RULE("'GroupId':'sg-1','IsEgress':false,'IpProtocol':'tcp','FromPort':9,'ToPort':8,'CidrIpv4':'10.0.0.0/8'"),
	 "s.json: SecurityGroupRules[0] sgr-1: port range 9-8 is empty"},
	{RULE("'GroupId':'sg-1','IsEgress':false,'IpProtocol':'-1'"),
	 "s.json: SecurityGroupRules[0] sgr-1: has 0 of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupInfo, not "
	 "one"},
	{RULE("'GroupId':'sg-1','IsEgress':false,'IpProtocol':'-1','CidrIpv4':'10.0.0.0/8','CidrIpv6':'::/0'"),
	 "s.json: SecurityGroupRules[0] sgr-1: has 2 of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupInfo, not "
	 "one"},
	{RULE("'GroupId':'sg-1','IpProtocol':'-1','CidrIpv4':'10.0.0.0/8'"),
	 "s.json: SecurityGroupRules[0] sgr-1: IsEgress is missing"},
	/* NACLs: NACL-03, NACL-06..NACL-08 */
	{ACL_IN(ENTRY("0", "'Protocol':'-1','CidrBlock':'0.0.0.0/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: RuleNumber 0 is not within 1..32768"},
	{ACL_IN(ENTRY("32767", "'Protocol':'-1','CidrBlock':'0.0.0.0/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: RuleNumber 32767 is that of an implied deny"},
	{ACL_IN(ENTRY("5", "'Protocol':'-1'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: has neither CidrBlock nor Ipv6CidrBlock"},
	{ACL_IN(ENTRY("5", "'Protocol':'-1','CidrBlock':'0.0.0.0/0','Ipv6CidrBlock':'::/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: has both CidrBlock and Ipv6CidrBlock"},
	{ACL_IN(ENTRY("5", "'Protocol':'6','CidrBlock':'0.0.0.0/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: PortRange is missing"},
	{ACL_IN(ENTRY("5", "'Protocol':'6','CidrBlock':'0.0.0.0/0','PortRange':{'From':2,'To':1}")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: port range 2-1 is empty"},
	{ACL_IN(ENTRY("5", "'Protocol':17,'CidrBlock':'0.0.0.0/0','PortRange':{'From':-1,'To':-1}")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: port range -1 to -1 is not within 0..65535"},
	{ACL_IN(ENTRY("5", "'Protocol':'6','CidrBlock':'0.0.0.0/0','PortRange':{'From':2}")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0].PortRange: To is missing"},
	{ACL_IN(ENTRY("5", "'Protocol':'1','CidrBlock':'0.0.0.0/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: IcmpTypeCode is missing"},
	{ACL_IN(ENTRY("5", "'Protocol':'58','Ipv6CidrBlock':'::/0'")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: IcmpTypeCode is missing"},
	{ACL_IN(ENTRY("5", "'Protocol':'1','CidrBlock':'0.0.0.0/0','IcmpTypeCode':{'Type':-1,'Code':0}")),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: ICMP code 0 without a type"},
	{ACL_IN("{'RuleNumber':5,'RuleAction':'permit','Egress':true,'Protocol':'-1','CidrBlock':'0.0.0.0/0'}"),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: RuleAction 'permit' is not one of allow|deny"},
	{ACL_IN("{'RuleNumber':5,'RuleAction':'deny','Protocol':'-1','CidrBlock':'0.0.0.0/0'}"),
	 "s.json: NetworkAcls[0] acl-1: Entries[0]: Egress is missing"},
	{ACL_IN(ENTRY("5", "'Protocol':'-1','CidrBlock':'10.0.0.0/8'") "," ENTRY(
		 "5", "'Protocol':'-1','CidrBlock':'11.0.0.0/8'")),
	 "s.json: NetworkAcls[0] acl-1: Entries: RuleNumber 5 stands twice for ingress traffic"},
	{"{" VPC "," SUBNET ",'NetworkAcls':[{'NetworkAclId':'acl-1','VpcId':'v1','Associations':[{'SubnetId':'s1'}]},"
	 "{'NetworkAclId':'acl-2','VpcId':'v1','Associations':[{'SubnetId':'s1'}]}]}",
	 "s.json: NetworkAcls[1] acl-2: Associations: SubnetId s1 is associated with acl-1, too"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v2','CidrBlock':'10.0.0.0/16'}]," SUBNET ","
	 "'NetworkAcls':[{'NetworkAclId':'acl-1','VpcId':'v2','Associations':[{'SubnetId':'s1'}]}]}",
	 "s.json: NetworkAcls[0] acl-1: Associations: SubnetId s1 is a subnet of another VPC"},
	{"{" VPC ",'NetworkAcls':[{'NetworkAclId':'acl-1','VpcId':'v1','IsDefault':true},"
	 "{'NetworkAclId':'acl-2','VpcId':'v1','IsDefault':true}]}",
	 "s.json: NetworkAcls[1] acl-2: v1 has the default ACL acl-1 already"},
	/* routes: RT-05, RT-06, RT-09, RT-16..RT-19, RT-26 */
	{ROUTE_IN("{'GatewayId':'local'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: has 0 of DestinationCidrBlock, DestinationIpv6CidrBlock, "
	 "DestinationPrefixListId, not one"},
	{ROUTE_IN("{'DestinationCidrBlock':'0.0.0.0/0','DestinationIpv6CidrBlock':'::/0','GatewayId':'local'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: has 2 of DestinationCidrBlock, DestinationIpv6CidrBlock, "
	 "DestinationPrefixListId, not one"},
	{ROUTE_IN("{'DestinationCidrBlock':'0.0.0.0/0','GatewayId':'igw-1','NatGatewayId':'nat-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: has two targets, GatewayId and NatGatewayId"},
	{ROUTE_IN("{'DestinationCidrBlock':'169.254.170.0/24','NetworkInterfaceId':'eni-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: destination 169.254.170.0/24 lies in the reserved range "
	 "169.254.168.0/22"},
	{ROUTE_IN("{'DestinationIpv6CidrBlock':'fd00:ec2:1::/48','NetworkInterfaceId':'eni-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: destination fd00:ec2:1::/48 lies in the reserved range "
	 "fd00:ec2::/32"},
	{ROUTE_IN("{'DestinationCidrBlock':'10.0.1.0/24','VpcPeeringConnectionId':'pcx-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: route to 10.0.1.0/24 by pcx-1 would override the local route "
	 "10.0.0.0/16"},
	{ROUTE_IN("{'DestinationCidrBlock':'10.0.0.0/16','TransitGatewayId':'tgw-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: route to 10.0.0.0/16 by tgw-1 would override the local route "
	 "10.0.0.0/16"},
	{ROUTE_IN("{'DestinationCidrBlock':'1.0.0.0/8','NatGatewayId':'nat-1'},"
		  "{'DestinationCidrBlock':'1.2.3.4/8','NatGatewayId':'nat-2'}"),
	 "s.json: RouteTables[0] rtb-1: Routes: destination 1.0.0.0/8 leads to nat-1 and to nat-2"},
	{EDGE_ROUTE("{'DestinationCidrBlock':'10.0.1.0/24','NatGatewayId':'nat-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: route to 10.0.1.0/24 by nat-1: a gateway's table leads only to ENIs "
	 "and endpoints inside the VPC"},
	{EDGE_ROUTE("{'DestinationCidrBlock':'11.0.1.0/24','NetworkInterfaceId':'eni-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: route to 11.0.1.0/24 by eni-1: a gateway's table leads only to ENIs "
	 "and endpoints inside the VPC"},
	{"{" VPC
	 ",'InternetGateways':[{'InternetGatewayId':'igw-1'}],'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1',"
	 "'Associations':[{'Main':true},{'GatewayId':'igw-1'}]}]}",
	 "s.json: RouteTables[0] rtb-1: Associations: the main route table cannot be that of a gateway"},
	{"{" VPC "," SUBNET ",'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Associations':[{'SubnetId':'s1'}]},"
	 "{'RouteTableId':'rtb-2','VpcId':'v1','Associations':[{'SubnetId':'s1'}]}]}",
	 "s.json: RouteTables[1] rtb-2: Associations: SubnetId s1 is associated with rtb-1, too"},
	{"{" VPC ",'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Associations':[{'Main':true}]},"
	 "{'RouteTableId':'rtb-2','VpcId':'v1','Associations':[{'Main':true}]}]}",
	 "s.json: RouteTables[1] rtb-2: v1 has the main route table rtb-1 already"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v2','CidrBlock':'10.0.0.0/16'}]," SUBNET ","
	 "'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v2','Associations':[{'SubnetId':'s1'}]}]}",
	 "s.json: RouteTables[0] rtb-1: Associations: SubnetId s1 is a subnet of another VPC"},
	{"{" VPC ",'EgressOnlyInternetGateways':[{'EgressOnlyInternetGatewayId':'eigw-1'}],'RouteTables':["
	 "{'RouteTableId':'rtb-1','VpcId':'v1','Associations':[{'GatewayId':'eigw-1'}]}]}",
	 "s.json: RouteTables[0] rtb-1: Associations: GatewayId eigw-1 is an egress-only gateway, which has no route "
	 "table"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v2','CidrBlock':'10.0.0.0/16'}],"
	 "'InternetGateways':[{'InternetGatewayId':'igw-1','Attachments':[{'VpcId':'v1'},{'VpcId':'v2'}]}]}",
	 "s.json: InternetGateways[0] igw-1: Attachments: is attached to v1 and to v2"},
	/* ENIs: ENI-01, ENI-06, CT-09 */
	{ENI_WITH("'Groups':[{'GroupId':'sg-1'}],'PrivateIpAddress':'10.0.1.300'"),
	 "s.json: NetworkInterfaces[0] eni-1: PrivateIpAddress '10.0.1.300' is not an IPv4 address"},
	{ENI_WITH("'MacAddress':'01:00:00:00:00:01'"),
	 "s.json: NetworkInterfaces[0] eni-1: MacAddress '01:00:00:00:00:01' is not a unicast MAC address"},
	{ENI_WITH("'MacAddress':'2:0:0:0:0:1'"),
	 "s.json: NetworkInterfaces[0] eni-1: MacAddress '2:0:0:0:0:1' is not a unicast MAC address"},
	{ENI_WITH("'ConnectionTrackingConfiguration':{'TcpEstablishedTimeout':59}"),
	 "s.json: NetworkInterfaces[0] eni-1: ConnectionTrackingConfiguration: TcpEstablishedTimeout 59 is not within "
	 "60..432000"},
	{ENI_WITH("'ConnectionTrackingConfiguration':{'TcpEstablishedTimeout':432001}"),
	 "s.json: NetworkInterfaces[0] eni-1: ConnectionTrackingConfiguration: TcpEstablishedTimeout 432001 is not "
	 "within "
	 "60..432000"},
	{ENI_WITH("'ConnectionTrackingConfiguration':{'UdpTimeout':61}"),
	 "s.json: NetworkInterfaces[0] eni-1: ConnectionTrackingConfiguration: UdpTimeout 61 is not within 30..60"},
	{ENI_WITH("'ConnectionTrackingConfiguration':{'UdpStreamTimeout':181}"),
	 "s.json: NetworkInterfaces[0] eni-1: ConnectionTrackingConfiguration: UdpStreamTimeout 181 is not within "
	 "60..180"},
	{ENI_WITH("'Ipv4Prefixes':[{'Ipv4Prefix':'10.0.1.64/27'}]"),
	 "s.json: NetworkInterfaces[0] eni-1: Ipv4Prefixes: Ipv4Prefix 10.0.1.64/27 is not a /28"},
	{ENI_WITH("'PrivateIpAddresses':[{'Primary':true,'PrivateIpAddress':'10.0.1.9'},"
		  "{'Primary':true,'PrivateIpAddress':'10.0.1.8'}]"),
	 "s.json: NetworkInterfaces[0] eni-1: PrivateIpAddresses: has 2 primary addresses"},
	{"{" VPC "," SUBNET "," GROUP ",'NetworkInterfaces':[" ENI_OF(
		 "eni-1", "10.0.1.10", "02:00:00:00:00:01") "," ENI_OF("eni-2", "10.0.1.10", "02:00:00:00:00:02") "]}",
	 "s.json: NetworkInterfaces[1] eni-2: private address 10.0.1.10 is that of eni-1, too"},
	{"{" VPC "," SUBNET "," GROUP ",'NetworkInterfaces':[" ENI_OF(
		 "eni-1", "10.0.1.10", "02:00:00:00:00:01") "," ENI_OF("eni-2", "10.0.1.11", "02:00:00:00:00:01") "]}",
	 "s.json: NetworkInterfaces[1] eni-2: MacAddress is that of eni-1 in the same subnet"},
	{ENI_WITH("'PrivateIpAddresses':[{'PrivateIpAddress':'10.0.1.9','Association':{'PublicIp':'1.1.1.1'}},"
		  "{'PrivateIpAddress':'10.0.1.8','Association':{'PublicIp':'1.1.1.1'}}]"),
	 "s.json: NetworkInterfaces[0] eni-1: public address 1.1.1.1 is that of eni-1, too"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v2','CidrBlock':'10.0.0.0/16'}]," SUBNET ","
	 "'NetworkInterfaces':[{'NetworkInterfaceId':'eni-1','SubnetId':'s1','VpcId':'v2'}]}",
	 "s.json: NetworkInterfaces[0] eni-1: SubnetId s1 is a subnet of v1, not of v2"},
	/* hosts */
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-9','Device':'tap0'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: NetworkInterfaceId eni-9 is not in the state"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: Device is missing: eni-1 is not a routing ENI"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1','Device':'tap0','Side':'instance','Mode':'router'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: Side instance does not go with Mode router"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1','Device':'tap0','Mode':'bridge'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: Mode 'bridge' is not one of router|guard"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1','Device':'a/b'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: Device 'a/b' is not the name of a network device"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1','Device':'abcdefghijklmnop'}]"),
	 "s.json: Hosts[0] h1: Ports[0]: Device 'abcdefghijklmnop' is not the name of a network device"},
	{HOST_WITH("'Ports':[{'NetworkInterfaceId':'eni-1','Device':'tap0'},{'NetworkInterfaceId':'eni-1','Device':'"
		   "tap1'}]"),
	 "s.json: Hosts[0] h1: Ports: NetworkInterfaceId eni-1 is a port of h1, too"},
	{"{" BASE
	 ",'InternetGateways':[{'InternetGatewayId':'igw-1'}],'Hosts':[{'HostId':'h1','Ports':[{'NetworkInterfaceId':"
	 "'eni-1','Device':'x0'}],'Uplinks':[{'GatewayId':'igw-1','Device':'x0'}]}]}",
	 "s.json: Hosts[0] h1: Device x0 stands twice"},
	{"{'InternetGateways':[{'InternetGatewayId':'igw-1'}],'Hosts':[{'HostId':'h1',"
	 "'Uplinks':[{'GatewayId':'igw-1','Device':'x0'},{'GatewayId':'igw-1','Device':'x1'}]}]}",
	 "s.json: Hosts[0] h1: Uplinks: GatewayId igw-1 has two devices, x0 and x1"},
	{"{" BASE ",'Hosts':[{'HostId':'h1','Ports':[{'NetworkInterfaceId':'eni-1','Device':'x0'}]},"
	 "{'HostId':'h2','Ports':[{'NetworkInterfaceId':'eni-1','Device':'x0'}]}]}",
	 "s.json: Hosts[1] h2: Ports: NetworkInterfaceId eni-1 is a port of h1, too"},
	{"{'Hosts':[{'HostId':'h1','TunnelAddress':'192.0.2.1'},{'HostId':'h2','TunnelAddress':'192.0.2.1'}]}",
	 "s.json: Hosts[1] h2: TunnelAddress is that of h1, too"},
	{"{'Hosts':[{'HostId':'h1','TunnelAddress':'2001:db8::1'}]}",
	 "s.json: Hosts[0] h1: TunnelAddress '2001:db8::1' is not an IPv4 address"},
	/* lists of later builds */
	{"{'PrefixLists':[{'PrefixListId':'pl-1','Cidrs':['10.0.0.0/8','z']}]}",
	 "s.json: PrefixLists[0] pl-1: Cidrs[1]: element 'z' is not a CIDR"},
	{"{'PrefixLists':[{'PrefixListId':'pl-1','AddressFamily':'IPv6'}],'ManagedPrefixListEntries':[{'PrefixListId':'"
	 "pl-1',"
	 "'Entries':[{'Cidr':'10.0.0.0/8'}]}]}",
	 "s.json: PrefixLists[0] pl-1: entry 10.0.0.0/8 is not of the list's address family"},
	{"{'FlowLogs':[{'FlowLogId':'fl-1','MaxAggregationInterval':300}]}",
	 "s.json: FlowLogs[0] fl-1: MaxAggregationInterval 300 is neither 60 nor 600"},
	{"{'FlowLogs':[{'FlowLogId':'..','LogFormat':'${srcport}'}]}",
	 "s.json: FlowLogs[0] ..: a FlowLogId is needed that can name a folder of the log's: letters, digits, '.', '_' "
	 "and "
	 "'-', no '.' first, not flow.log..., AWSLogs, enid-rejects or ....part"},
	{"{'FlowLogs':[{'FlowLogId':'a/b','LogDestinationType':'s3','LogDestination':'arn:aws:s3:::b'}]}",
	 "s.json: FlowLogs[0] a/b: a FlowLogId without a slash, and not enid-rejects, is needed: files are named after "
	 "it"},
	{"{'FlowLogs':[{'FlowLogId':'fl-1','LogDestinationType':'s3','LogDestination':'arn:aws:s3:::b/flow.log/x'}]}",
	 "s.json: FlowLogs[0] fl-1: LogDestination: the prefix leaves the log folder, is no plain text, or is longer "
	 "than "
	 "512 bytes, 255 between slashes"},
	{"{'FlowLogs':[{'FlowLogId':'fl-1','LogFormat':'${srcport} ${Foo}'}]}",
	 "s.json: FlowLogs[0] fl-1: LogFormat: a name of more than a-z, 0-9 and '-' at '${Foo}'"},
	{"{'VpcEndpoints':[{'VpcEndpointId':'vpce-1','SubnetIds':['s1',2]}]}",
	 "s.json: VpcEndpoints[0] vpce-1: SubnetIds[1]: element is an integer, not a string"},
	{"{'TransitGatewayRouteTables':[{'TransitGatewayRouteTableId':'t'}],'TransitGatewayRoutes':["
	 "{'TransitGatewayRouteTableId':'t','Routes':[{'Type':'static'}]}]}",
	 "s.json: TransitGatewayRoutes[0] t: Routes: DestinationCidrBlock is missing"},
	{"{'TrafficMirrorFilters':[{'TrafficMirrorFilterId':'tmf-1','IngressFilterRules':[{'RuleNumber':1,'RuleAction':"
	 "'accept','SourceCidrBlock':'::/0','DestinationCidrBlock':'0.0.0.0/0'}]}]}",
	 "s.json: TrafficMirrorFilters[0] tmf-1: IngressFilterRules[0]: SourceCidrBlock and DestinationCidrBlock are "
	 "of "
	 "different families"},
	{MIRRORED("'e1'", "'t2'", "'e2'", "'t1'"),
	 "s.json: TrafficMirrorSessions[0] tms-1: e1 is mirrored to e2, and that one on, in a ring (TM-01)"},
	{MIRRORED("'e1'", "'t3'", "'e3'",
		  "'t2'},{'TrafficMirrorSessionId':'tms-3','SessionNumber':1,"
		  "'TrafficMirrorFilterId':'tmf-1','NetworkInterfaceId':'e2','TrafficMirrorTargetId':'t1'"),
	 "s.json: TrafficMirrorSessions[0] tms-1: e1 is mirrored to e3, and that one on, in a ring (TM-01)"},
	{"{'TrafficMirrorSessions':[{'TrafficMirrorSessionId':'tms-1','SessionNumber':0}]}",
	 "s.json: TrafficMirrorSessions[0] tms-1: SessionNumber 0 is not within 1..32766"},
	{"{'VpnGateways':[{'VpnGatewayId':'g'},{'VpnGatewayId':'g2','AmazonSideAsn':-1}]}",
	 "s.json: VpnGateways[1] g2: AmazonSideAsn -1 is not within 0..4294967295"},
	/* JSON-06 */
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v1','CidrBlock':'10.1.0.0/16'}]}",
	 "s.json: Vpcs[1] v1: CidrBlock differs from the one in s.json: Vpcs[0]"},
};

static void each_refusal_has_its_text(void **context)
{
	size_t nr_wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		const struct refusal *row = &refusals[i];
		struct loaded loaded = load_text(row->text);
		bool found = false;

		for (size_t j = 0; j < loaded.messages.nr_errors; j++)
			found |= !strcmp(loaded.messages.errors[j].text, row->error);
		if (loaded.r != -EINVAL || !found || loaded.messages.nr_errors != 1) {
			print_error("row %zu: %s\n  wanted: %s\n", i, row->text, row->error);
			print_messages(&loaded.messages);
			nr_wrong++;
		}
		unload(&loaded);
	}
	assert_int_equal(nr_wrong, 0);
}

/* A state that is wrong in many places says so at once, in the order of the places. */
static void all_errors_come_at_once(void **context)
{
	struct loaded loaded = load_text(
		"{'Vpcs':[{'VpcId':'v1','CidrBlock':'x','OwnerId':'a b'},{}],"
		"'SecurityGroups':[{'GroupId':'sg-1','IpPermissions':[{'IpProtocol':'tcp','FromPort':2,'ToPort':1},"
		"{'IpProtocol':'x'}],'IpPermissionsEgress':[{'IpProtocol':'udp','FromPort':4,'ToPort':3}]}]}");
	static const char *const wanted[] = {
		"s.json: Vpcs[0] v1: CidrBlock 'x' is not an IPv4 CIDR",
		"s.json: Vpcs[0] v1: OwnerId 'a b' is not an id of 1 to 63 printable characters",
		"s.json: Vpcs[1]: VpcId is missing",
		"s.json: SecurityGroups[0] sg-1: IpPermissions[1]: IpProtocol 'x' is not tcp, udp, icmp, icmpv6 or a "
		"number "
		"within -1..255",
		"s.json: SecurityGroups[0] sg-1: IpPermissions[0]: port range 2-1 is empty",
		"s.json: SecurityGroups[0] sg-1: IpPermissionsEgress[0]: port range 4-3 is empty",
	};

	(void)context;
	assert_int_equal(loaded.r, -EINVAL);
	assert_int_equal(loaded.messages.nr_errors, sizeof(wanted) / sizeof(*wanted));
	for (size_t i = 0; i < loaded.messages.nr_errors; i++)
		assert_string_equal(loaded.messages.errors[i].text, wanted[i]);
	unload(&loaded);
}

/* VPC-09: a wide CIDR overlaps all that lie inside it, also when one of them begins where it begins. */
static void each_overlapping_subnet_is_named(void **context)
{
	struct loaded loaded = load_text("{" VPC ",'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.0.0/24'},"
					 "{'SubnetId':'s2','VpcId':'v1','CidrBlock':'10.0.0.0/20'},"
					 "{'SubnetId':'s3','VpcId':'v1','CidrBlock':'10.0.2.0/24'},"
					 "{'SubnetId':'s4','VpcId':'v1','CidrBlock':'10.0.16.0/24'}]}");

	(void)context;
	assert_int_equal(loaded.messages.nr_errors, 2);
	assert_string_equal(loaded.messages.errors[0].text,
			    "s.json: Subnets[0] s1: CIDR 10.0.0.0/24 overlaps CIDR 10.0.0.0/20 of s2");
	assert_string_equal(loaded.messages.errors[1].text,
			    "s.json: Subnets[2] s3: CIDR 10.0.2.0/24 overlaps CIDR 10.0.0.0/20 of s2");
	unload(&loaded);
}

/* Routes and uplinks name a gateway by id only. */
static void gateway_ids_are_unique_over_all_kinds(void **context)
{
	struct loaded loaded =
		load_text("{'InternetGateways':[{'InternetGatewayId':'g'}],'VpnGateways':[{'VpnGatewayId':'g'}]}");

	(void)context;
	assert_int_equal(loaded.r, -EINVAL);
	assert_int_equal(loaded.messages.nr_errors, 2);
	assert_string_equal(loaded.messages.errors[0].text,
			    "s.json: InternetGateways[0] g: is the id of another gateway, too");
	assert_string_equal(loaded.messages.errors[1].text,
			    "s.json: VpnGateways[0] g: is the id of another gateway, too");
	unload(&loaded);
}

/* E17: a hostile state cannot make the messages grow without bound. */
static void errors_are_bounded(void **context)
{
	size_t room = 200000;
	char *text = malloc(room);
	size_t length = (size_t)sprintf(text, "{'Vpcs':[0");
	struct loaded loaded;

	(void)context;
	for (int i = 0; i < 5000; i++)
		length += (size_t)sprintf(text + length, ",0");
	sprintf(text + length, "]}");
	loaded = load_text(text);
	free(text);
	assert_int_equal(loaded.r, -EINVAL);
	assert_int_equal(loaded.messages.nr_errors, 1001);
	assert_string_equal(loaded.messages.errors[1000].text, "and 4001 more errors");
	unload(&loaded);
}

/* As many FlowLogs with files or a collector of their own as have books; inactive ones, and those that the log file
 * serves, do not count. */
static void flow_logs_have_a_limit(void **context)
{
	char text[16384];

	(void)context;
	for (unsigned int nr = SINKS_MAX; nr <= SINKS_MAX + 2; nr++) {
		size_t length = (size_t)sprintf(text, "{'FlowLogs':[{'FlowLogId':'fl-x'},{'FlowLogId':'fl-y',"
						      "'LogFormat':'${start}','FlowLogStatus':'INACTIVE'}");
		struct loaded loaded;

		for (unsigned int i = 0; i < nr; i++)
			length += (size_t)sprintf(text + length, ",{'FlowLogId':'fl-%u','LogFormat':'${start}'}", i);
		sprintf(text + length, "]}");
		loaded = load_text(text);
		assert_int_equal(loaded.messages.nr_errors, nr > SINKS_MAX); /* said once */
		if (nr == SINKS_MAX + 1)                                     /* the last one by id */
			assert_string_equal(loaded.messages.errors[0].text,
					    "s.json: FlowLogs[11] fl-9: is one more than the 64 FlowLogs that may have "
					    "a place of their own");
		unload(&loaded);
	}
}

static const struct refusal warnings[] = {
	/* states that load, and what they are told (JSON-06) */
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.3.0/16'}]}",
	 "s.json: Vpcs[0] v1: CidrBlock 10.0.3.0/16 has host bits set: read as 10.0.0.0/16"},
	{"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16','CidrBlockAssociationSet':[{'CidrBlock':'192.168.0.0/"
	 "16'}]}]}",
	 "s.json: Vpcs[0] v1: CIDR 192.168.0.0/16 may not be added to this VPC's primary range"}, /* VPC-07 */
	{"{'Subnets':[{'SubnetId':'s1','VpcId':'v1','CidrBlock':'10.0.1.0/24'}]}",
	 "s.json: Subnets[0] s1: VpcId v1 is not in the state: the subnet is not served"},
	{GROUP_IN("{'IpProtocol':'tcp','FromPort':-1,'ToPort':-1}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: port range -1 to -1 is read as all ports"}, /* SG-07 */
	{GROUP_IN("{'IpProtocol':'-1','UserIdGroupPairs':[{'GroupId':'sg-9'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: GroupId sg-9 is not in the state: the rule matches "
	 "nothing"},
	{GROUP_IN("{'IpProtocol':'-1','PrefixListIds':[{'PrefixListId':'pl-9'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: PrefixListId pl-9 is not in the state: the rule matches "
	 "nothing"},
	{GROUP_IN("{'IpProtocol':'icmp','FromPort':-1,'ToPort':-1,'Ipv6Ranges':[{'CidrIpv6':'::/0'}]}"),
	 "s.json: SecurityGroups[0] sg-1: IpPermissions[0]: protocol 1 never meets a CIDR of the other address family"},
	{RULE("'GroupId':'sg-7','IsEgress':true,'IpProtocol':'-1','CidrIpv6':'::/0'"),
	 "s.json: SecurityGroupRules[0] sgr-1: GroupId sg-7 is not in the state: the rule has no effect"},
	{ROUTE_IN("{'DestinationCidrBlock':'0.0.0.0/0','GatewayId':'igw-9'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: target igw-9 is not in the state: the route to 0.0.0.0/0 is a "
	 "blackhole"},
	{ROUTE_IN("{'DestinationCidrBlock':'0.0.0.0/0','CarrierGatewayId':'cagw-1'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: target cagw-1 is of a kind that is not served: the route to "
	 "0.0.0.0/0 "
	 "is a blackhole"},
	{ROUTE_IN("{'DestinationCidrBlock':'0.0.0.0/0'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: target is missing: the route to 0.0.0.0/0 is a blackhole"},
	{ROUTE_IN("{'DestinationPrefixListId':'pl-9','NatGatewayId':'nat-9','State':'blackhole'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: DestinationPrefixListId pl-9 is not in the state: the route matches "
	 "nothing"},
	{ROUTE_IN("{'DestinationCidrBlock':'10.0.9.0/24','NetworkInterfaceId':'eni-9','State':'blackhole'}"),
	 "s.json: RouteTables[0] rtb-1: Routes[0]: destination 10.0.9.0/24 is the CIDR of no subnet"},
	{ENI_WITH("'PrivateIpAddress':'10.0.1.9'"),
	 "s.json: NetworkInterfaces[0] eni-1: has no security group of the state: nothing is admitted"},
	{ENI_WITH("'PrivateIpAddress':'10.0.1.9','Groups':[{'GroupId':'sg-9'}]"),
	 "s.json: NetworkInterfaces[0] eni-1: Groups: GroupId sg-9 is not in the state: it admits nothing"},
	{ENI_WITH("'PrivateIpAddress':'10.0.2.9'"),
	 "s.json: NetworkInterfaces[0] eni-1: address 10.0.2.9 lies outside its subnet"},
	{ENI_WITH("'PrivateIpAddress':'10.0.1.3'"),
	 "s.json: NetworkInterfaces[0] eni-1: address 10.0.1.3 is one that its subnet reserves"},
	{ENI_WITH("'PrivateIpAddress':'10.0.1.255'"),
	 "s.json: NetworkInterfaces[0] eni-1: address 10.0.1.255 is one that its subnet reserves"},
	{"{'NetworkInterfaces':[{'NetworkInterfaceId':'eni-1','SubnetId':'s9'}]}",
	 "s.json: NetworkInterfaces[0] eni-1: SubnetId s9 is not in the state: the ENI is not served"},
	{"{'PrefixLists':[{'PrefixListId':'pl-1','State':'delete-in-progress','Cidrs':['10.0.0.0/8']}]}",
	 "s.json: PrefixLists[0] pl-1: State delete-in-progress: its entries match nothing"},
	{"{'PrefixLists':[{'PrefixListId':'pl-1','AddressFamily':'IPv4'}]}",
	 "s.json: PrefixLists[0] pl-1: its entries are not in the state: it matches nothing"},
	{"{'FlowLogs':[{'FlowLogId':'fl-1','TrafficType':'SOME'}]}",
	 "s.json: FlowLogs[0] fl-1: TrafficType 'SOME' is not known: ignored"},
	{"{'NatGateways':[{'NatGatewayId':'nat-1','ConnectivityType':'shared'}]}",
	 "s.json: NatGateways[0] nat-1: ConnectivityType 'shared' is not known: ignored"},
	{HOST_WITH("'Uplinks':[{'GatewayId':'igw-9','Device':'x0'}]"),
	 "s.json: Hosts[0] h1: Uplinks: GatewayId igw-9 is no gateway of the state: the uplink carries nothing"},
	{"{" BASE ",'Addresses':[{'PublicIp':'1.1.1.1','NetworkInterfaceId':'eni-9'}]}",
	 "s.json: Addresses[0] 1.1.1.1: NetworkInterfaceId eni-9 is not in the state: the address is nobody's"},
	{"{" BASE ",'VpcBlockPublicAccessExclusions':[{'ExclusionId':'x-1','ResourceArn':'arn:aws:ec2:r:1:vpc/v9'}]}",
	 "s.json: VpcBlockPublicAccessExclusions[0] x-1: ResourceArn names v9, which is not in the state: the "
	 "exclusion has "
	 "no effect"},
};

static void each_warning_has_its_text(void **context)
{
	size_t nr_wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(warnings) / sizeof(*warnings); i++) {
		struct loaded loaded = load_text(warnings[i].text);

		if (loaded.r || !has_warning(&loaded, warnings[i].error)) {
			print_error("row %zu: %s\n  wanted: %s\n", i, warnings[i].text, warnings[i].error);
			print_messages(&loaded.messages);
			nr_wrong++;
		}
		unload(&loaded);
	}
	assert_int_equal(nr_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_has_its_text),
		cmocka_unit_test(all_errors_come_at_once),
		cmocka_unit_test(each_overlapping_subnet_is_named),
		cmocka_unit_test(gateway_ids_are_unique_over_all_kinds),
		cmocka_unit_test(errors_are_bounded),
		cmocka_unit_test(flow_logs_have_a_limit),
		cmocka_unit_test(each_warning_has_its_text),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
