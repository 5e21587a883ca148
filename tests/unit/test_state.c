/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a loaded state holds: defaults and resolved references. The larger cases look into tests/unit/data/full.json,
 * which has every list. */
#include <arpa/inet.h>

#include "state/cidr.h"
#include "test_state.h"

static bool is_address(const struct eni_address *address, const char *text)
{
	char own[CIDR_TEXT_MAX];

	return !strcmp(address_format(address->family, &address->addr, own), text);
}

/* ---- defaults and effects */

static void vpcs_have_zones_in_the_order_of_ids(void **context)
{
	struct loaded loaded = load_full();
	struct vpc *vpcs = loaded.state->vpcs;

	(void)context;
	assert_int_equal(loaded.state->nr_vpcs, 3);
	assert_string_equal(vpcs[0].id, "vpc-a");
	assert_int_equal(vpcs[0].zone, 1);
	assert_int_equal(vpcs[2].zone, 3);
	assert_int_equal(vpcs[1].vni, 2);
	assert_int_equal(vpcs[2].vni, 77);
	assert_int_equal(vpcs[0].nr_cidrs, 3); /* VPC-04: without the disassociated one */
	assert_true(is_cidr(&vpcs[0].primary, "10.40.0.0/16"));
	assert_true(is_cidr(&vpcs[0].cidrs[0], "10.40.0.0/16"));
	assert_true(is_cidr(&vpcs[0].cidrs[1], "100.64.0.0/20"));
	assert_true(is_cidr(&vpcs[0].cidrs[2], "2001:db8:40::/56"));
	assert_true(vpcs[0].dns_support);
	assert_false(vpcs[1].dns_support);
	unload(&loaded);
}

/* VPC-18: the VPC's own mode, else the account's; exclusions in force only. */
static void block_public_access_reaches_subnets(void **context)
{
	struct loaded loaded = load_full();
	struct vpc_subnet *subnets = loaded.state->subnets;

	(void)context;
	assert_string_equal(subnets[0].id, "subnet-b");
	assert_int_equal(subnets[0].bpa, BPA_OFF); /* the account blocks ingress, the VPC is excluded */
	assert_string_equal(subnets[1].id, "subnet-prv");
	assert_int_equal(subnets[1].bpa, BPA_BIDIRECTIONAL);
	assert_string_equal(subnets[2].id, "subnet-pub");
	assert_int_equal(subnets[2].bpa, BPA_INGRESS); /* allow-egress */
	assert_int_equal(loaded.state->extra->bpa, BPA_INGRESS);
	assert_int_equal(loaded.state->vpcs[0].bpa, BPA_BIDIRECTIONAL); /* its own; its exclusion is gone */
	assert_string_equal(loaded.state->vpcs[1].id, "vpc-b");
	assert_int_equal(loaded.state->vpcs[1].bpa, BPA_OFF);
	assert_int_equal(loaded.state->extra->nr_bpa_exclusions, 2);
	unload(&loaded);
}

/* VPC-16, VPC-17 */
static void subnets_fall_back_to_default_acl_and_main_table(void **context)
{
	struct loaded loaded = load_full();
	struct vpc_subnet *subnets = loaded.state->subnets;

	(void)context;
	assert_null(subnets[0].nacl);
	assert_null(subnets[0].table);
	assert_string_equal(subnets[1].nacl->id, "acl-2");
	assert_string_equal(subnets[1].table->id, "rtb-main");
	assert_string_equal(subnets[2].nacl->id, "acl-1");
	assert_string_equal(subnets[2].table->id, "rtb-pub");
	assert_string_equal(subnets[3].id, "subnet-six");
	assert_string_equal(subnets[3].nacl->id, "acl-1");
	assert_string_equal(subnets[3].table->id, "rtb-main");
	assert_int_equal(subnets[3].cidr4.family, 0);
	assert_int_equal(subnets[2].nr_cidrs6, 1); /* VPC-04 */
	unload(&loaded);
}

static void a_disassociated_table_serves_nobody(void **context)
{
	struct loaded loaded =
		load_clean("{" VPC "," SUBNET
			   ",'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Associations':[{'SubnetId':'s1',"
			   "'AssociationState':{'State':'disassociated'}}]}]}");

	(void)context;
	assert_null(loaded.state->subnets[0].table);
	unload(&loaded);
}

static void nacl_entries_are_sorted_without_the_implied_ones(void **context)
{
	struct loaded loaded = load_full();
	struct nacl *nacl = &loaded.state->nacls[0];

	(void)context;
	assert_int_equal(nacl->nr_in, 2);
	assert_int_equal(nacl->in[0].number, 90);
	assert_false(nacl->in[0].allow);
	assert_int_equal(nacl->in[0].protocol, 6);
	assert_int_equal(nacl->in[0].from, 22);
	assert_int_equal(nacl->in[1].protocol, PROTOCOL_ANY);
	assert_int_equal(nacl->in[1].to, 65535);
	assert_int_equal(nacl->nr_out, 2); /* 32767 and 32768 are implied (NACL-03) */
	assert_int_equal(nacl->out[0].from, -1);
	assert_int_equal(nacl->out[1].from, 0); /* the range of protocol -1 is ignored (NACL-07) */
	unload(&loaded);
}

struct port_case {
	const char *permission;
	int protocol, from, to;
};

/* SG-05..SG-09 */
static void permissions_select_ports_by_protocol(void **context)
{
	static const struct port_case cases[] = {
		{"'IpProtocol':'tcp','FromPort':0,'ToPort':65535", 6, 0, 65535},
		{"'IpProtocol':'TCP','FromPort':80,'ToPort':80", 6, 80, 80},
		{"'IpProtocol':'6','FromPort':1,'ToPort':2", 6, 1, 2},
		{"'IpProtocol':17,'FromPort':1,'ToPort':2", 17, 1, 2},
		{"'IpProtocol':'icmp','FromPort':8,'ToPort':0", 1, 8, 0},
		{"'IpProtocol':'1','FromPort':8,'ToPort':-1", 1, 8, -1},
		{"'IpProtocol':'icmp','FromPort':-1,'ToPort':-1", 1, -1, -1},
		{"'IpProtocol':'icmpv6'", 58, -1, -1},
		{"'IpProtocol':'58','FromPort':255,'ToPort':255", 58, 255, 255},
		{"'IpProtocol':'-1'", PROTOCOL_ANY, 0, 65535},
		{"'IpProtocol':'-1','FromPort':0,'ToPort':0", PROTOCOL_ANY, 0, 65535},
		{"'IpProtocol':'-1','FromPort':-1,'ToPort':-1", PROTOCOL_ANY, 0, 65535},
		{"'IpProtocol':'50','FromPort':9,'ToPort':3", 50, 0, 65535},
		{"'IpProtocol':'0'", 0, 0, 65535},
		{"'IpProtocol':'255'", 255, 0, 65535},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[512];
		struct loaded loaded;
		struct sg_permission *permission;

		snprintf(text, sizeof(text), "{'SecurityGroups':[{'GroupId':'sg-1','IpPermissions':[{%s}]}]}",
			 cases[i].permission);
		loaded = load_clean(text);
		permission = &loaded.state->groups[0].in[0];
		assert_int_equal(permission->protocol, cases[i].protocol);
		assert_int_equal(permission->from, cases[i].from);
		assert_int_equal(permission->to, cases[i].to);
		unload(&loaded);
	}
}

static void peers_are_sorted_and_unique(void **context)
{
	struct loaded loaded = load_valid(
		"{'PrefixLists':[{'PrefixListId':'pl-1','Cidrs':['10.0.0.0/8']}],'SecurityGroups':[{'GroupId':'sg-2',"
		"'IpPermissions':[{'IpProtocol':'-1','IpRanges':[{'CidrIp':'10.9.0.0/8'},{'CidrIp':'9.0.0.0/8'},"
		"{'CidrIp':'10.0.0.0/8'}],'Ipv6Ranges':[{'CidrIpv6':'2001:DB8::/32'},{'CidrIpv6':'2001:db8:0::/32'}],"
		"'PrefixListIds':[{'PrefixListId':'pl-1'},{'PrefixListId':'pl-1'}]}]}]}");
	struct sg_permission *permission = &loaded.state->groups[0].in[0];

	(void)context;
	assert_int_equal(permission->nr_peers, 4);
	assert_true(is_cidr(&permission->peers[0].cidr, "9.0.0.0/8"));
	assert_true(is_cidr(&permission->peers[1].cidr, "10.0.0.0/8"));
	assert_true(is_cidr(&permission->peers[2].cidr, "2001:db8::/32"));
	assert_int_equal(permission->peers[3].kind, PEER_PREFIX_LIST);
	assert_non_null(permission->peers[3].prefix_list);
	assert_string_equal(permission->place, "IpPermissions[0]");
	unload(&loaded);
}

/* JSON-08: union, joined by content */
static void flat_rules_give_their_id_or_become_permissions(void **context)
{
	struct loaded loaded = load_full();
	struct security_group *db = &loaded.state->groups[0], *web = &loaded.state->groups[2];

	(void)context;
	assert_string_equal(db->id, "sg-db");
	assert_int_equal(db->nr_in, 3); /* sgr-1 joined */
	assert_int_equal(db->in[0].nr_peers, 2);
	assert_string_equal(db->in[0].peers[0].id, "pl-office");
	assert_string_equal(db->in[0].peers[0].rule_id, "");
	assert_string_equal(db->in[0].peers[1].id, "sg-web");
	assert_string_equal(db->in[0].peers[1].rule_id, "sgr-1");
	assert_int_equal(db->nr_out, 1); /* sgr-3 alone */
	assert_string_equal(db->out[0].place, "sgr-3");
	assert_int_equal(db->out[0].from, 443);
	assert_string_equal(db->out[0].peers[0].rule_id, "sgr-3");
	assert_int_equal(web->nr_out, 1);
	assert_string_equal(web->out[0].peers[0].rule_id, "sgr-2");
	unload(&loaded);
}

/* Two flat rules of the same content are two rules; one of them joins. */
static void a_flat_rule_joins_once(void **context)
{
	struct loaded loaded =
		load_clean("{'SecurityGroups':[{'GroupId':'sg-1','IpPermissions':[{'IpProtocol':'-1','IpRanges':[{'"
			   "CidrIp':'1.0.0.0/8'}]}]"
			   "}],'SecurityGroupRules':[{'SecurityGroupRuleId':'sgr-2','GroupId':'sg-1','IsEgress':false,'"
			   "IpProtocol':'-1',"
			   "'CidrIpv4':'1.0.0.0/"
			   "8'},{'SecurityGroupRuleId':'sgr-1','GroupId':'sg-1','IsEgress':false,'IpProtocol':'-1',"
			   "'FromPort':-1,'ToPort':-1,'CidrIpv4':'1.0.0.0/8'}]}");
	struct security_group *group = &loaded.state->groups[0];

	(void)context;
	assert_int_equal(group->nr_in, 2);
	assert_string_equal(group->in[0].peers[0].rule_id, "sgr-1");
	assert_string_equal(group->in[0].place, "IpPermissions[0]");
	assert_string_equal(group->in[1].place, "sgr-2");
	unload(&loaded);
}

/* ---- group references */

#define PEERED(status, region, more) \
	"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.1.0.0/16'},{'VpcId':'v2','CidrBlock':'10.2.0.0/16'}]," \
	"'VpcPeeringConnections':[{'VpcPeeringConnectionId':'pcx-1','Status':{'Code':'" status \
	"'},'RequesterVpcInfo':" \
	"{'VpcId':'v1','Region':'r1'},'AccepterVpcInfo':{'VpcId':'v2','Region':'" region "'}}]," REFERENCE(more)
#define REFERENCE(more) \
	"'SecurityGroups':[{'GroupId':'sg-1','VpcId':'v1','IpPermissions':[{'IpProtocol':'-1','UserIdGroupPairs':[{" \
	"'GroupId':'sg-2'" more \
	"}]}],'IpPermissionsEgress':[{'IpProtocol':'-1','UserIdGroupPairs':[{'GroupId':'sg-2'}]}]}," \
	"{'GroupId':'sg-2','VpcId':'v2'}]}"
#define TGW(referencing) \
	"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.1.0.0/16'},{'VpcId':'v2','CidrBlock':'10.2.0.0/" \
	"16'}],'TransitGateways':[" \
	"{'TransitGatewayId':'tgw-1','Options':{'SecurityGroupReferencingSupport':'" referencing "'}}]," \
	"'TransitGatewayVpcAttachments':[{'TransitGatewayAttachmentId':'a1','TransitGatewayId':'tgw-1','VpcId':'v1'}," \
	"{'TransitGatewayAttachmentId':'a2','TransitGatewayId':'tgw-1','VpcId':'v2'}]," REFERENCE("")

/* SG-17, SG-19, SG-20 */
static void references_hold_only_where_they_may(void **context)
{
	static const struct {
		const char *text;
		bool in, out;
	} cases[] = {
		{PEERED("active", "r1", ""), true, true},
		{PEERED("deleted", "r1", ""), false, false},
		{PEERED("active", "r1", ",'VpcPeeringConnectionId':'pcx-1','PeeringStatus':'deleted'"), true, true},
		{PEERED("expired", "r1", ",'VpcPeeringConnectionId':'pcx-1','PeeringStatus':'active'"), false, false},
		{PEERED("active", "r2", ",'VpcPeeringConnectionId':'pcx-1'"), false, false},
		{PEERED("active", "r2", ""), false, false}, /* another Region */
		{TGW("enable"), true, false},               /* ingress only */
		{TGW("disable"), false, false},
		{"{'Vpcs':[{'VpcId':'v1'},{'VpcId':'v2'}]," REFERENCE(""), false, false},
		{"{'Vpcs':[{'VpcId':'v1'},{'VpcId':'v2'}]," REFERENCE(",'VpcPeeringConnectionId':'pcx-9'"), false,
		 false},
		{"{'Vpcs':[{'VpcId':'v1'},{'VpcId':'v2'}],'SecurityGroupVpcAssociations':[{'GroupId':'sg-2','VpcId':'"
		 "v1'}]," REFERENCE(""),
		 true, true},
		{"{'Vpcs':[{'VpcId':'v1'},{'VpcId':'v2'}],'SecurityGroupVpcAssociations':[{'GroupId':'sg-2','VpcId':'"
		 "v1',"
		 "'State':'disassociating'}]," REFERENCE(""),
		 false, false},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct loaded loaded = load_valid(cases[i].text);
		struct security_group *group = &loaded.state->groups[0];

		if (cases[i].in != !!group->in[0].peers[0].group || cases[i].out != !!group->out[0].peers[0].group)
			fail_msg("case %zu", i);
		assert_string_equal(group->in[0].peers[0].id, "sg-2");
		unload(&loaded);
	}
}

/* ---- routes */

static void routes_are_sorted_and_resolved(void **context)
{
	static const struct {
		const char *destination;
		enum target_kind target;
		enum route_origin origin;
		bool blackhole;
	} wanted[] = {
		{"pl-s3", TARGET_VPCE, ORIGIN_STATIC, false},
		{"0.0.0.0/0", TARGET_NAT, ORIGIN_STATIC, false},
		{"10.40.0.0/16", TARGET_LOCAL, ORIGIN_LOCAL, false},
		{"10.40.1.0/24", TARGET_ENI, ORIGIN_STATIC, false},
		{"10.50.0.0/16", TARGET_PEERING, ORIGIN_STATIC, false},
		{"10.70.0.0/16", TARGET_TGW, ORIGIN_STATIC, false},
		{"172.20.0.0/16", TARGET_VGW, ORIGIN_PROPAGATED, false},
		{"198.18.0.0/15", TARGET_ENI, ORIGIN_STATIC, true},
		{"::/0", TARGET_EIGW, ORIGIN_STATIC, false},
	};
	struct loaded loaded = load_full();
	struct route_table *table = &loaded.state->tables[1];

	(void)context;
	assert_string_equal(table->id, "rtb-main");
	assert_true(table->main);
	assert_int_equal(table->nr_propagating, 1);
	assert_string_equal(table->propagating[0], "vgw-1");
	assert_int_equal(table->nr_routes, sizeof(wanted) / sizeof(*wanted)); /* the Lattice route is ignored (RT-16) */
	for (size_t i = 0; i < table->nr_routes; i++) {
		assert_string_equal(table->routes[i].destination, wanted[i].destination);
		assert_int_equal(table->routes[i].target, wanted[i].target);
		assert_int_equal(table->routes[i].origin, wanted[i].origin);
		assert_int_equal(table->routes[i].blackhole, wanted[i].blackhole);
	}
	assert_string_equal(table->routes[3].eni->id, "eni-web");
	assert_null(table->routes[7].eni);
	assert_string_equal(table->routes[8].gateway->id, "eigw-1");
	assert_true(loaded.state->tables[2].routes[2].filtered);
	assert_string_equal(loaded.state->tables[0].id, "rtb-edge");
	assert_ptr_equal(state_eni(loaded.state, "eni-web"), table->routes[3].eni);
	unload(&loaded);
}

#define ROUTED(lists, target) \
	"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'},{'VpcId':'v2','CidrBlock':'10.2.0.0/16'}]," SUBNET \
	"," lists \
	"'RouteTables':[{'RouteTableId':'rtb-1','VpcId':'v1','Routes':[{'DestinationCidrBlock':'8.0.0.0/8'," target \
	"}]}]}"

/* RT-28: computed, even if the State says active */
static void routes_to_unusable_targets_are_blackholes(void **context)
{
	static const struct {
		const char *text;
		bool blackhole;
	} cases[] = {
		{ROUTED("'InternetGateways':[{'InternetGatewayId':'igw-1','Attachments':[{'VpcId':'v1'}]}],",
			"'GatewayId':'igw-1'"),
		 false},
		{ROUTED("'InternetGateways':[{'InternetGatewayId':'igw-1','Attachments':[{'VpcId':'v2'}]}],",
			"'GatewayId':'igw-1'"),
		 true}, /* IGW-08 */
		{ROUTED("'InternetGateways':[{'InternetGatewayId':'igw-1','Attachments':[{'VpcId':'v1','State':'"
			"detaching'}]}],",
			"'GatewayId':'igw-1'"),
		 true},
		{ROUTED("'NatGateways':[{'NatGatewayId':'nat-1','State':'available'}],", "'NatGatewayId':'nat-1'"),
		 false},
		{ROUTED("'NatGateways':[{'NatGatewayId':'nat-1','State':'deleted'}],", "'NatGatewayId':'nat-1'"), true},
		{ROUTED("", "'NatGatewayId':'nat-1','State':'active'"), true},
		{ROUTED("'VpcPeeringConnections':[{'VpcPeeringConnectionId':'p','Status':{'Code':'active'}}],",
			"'VpcPeeringConnectionId':'p'"),
		 false},
		{ROUTED("'VpcPeeringConnections':[{'VpcPeeringConnectionId':'p','Status':{'Code':'expired'}}],",
			"'VpcPeeringConnectionId':'p'"),
		 true}, /* PCX-01 */
		{ROUTED("'NetworkInterfaces':[{'NetworkInterfaceId':'e','SubnetId':'s1'}],",
			"'NetworkInterfaceId':'e'"),
		 false},
		{ROUTED("'NetworkInterfaces':[{'NetworkInterfaceId':'e','SubnetId':'s1','Status':'available'}],",
			"'NetworkInterfaceId':'e'"),
		 true}, /* RT-16 */
		{ROUTED("'TransitGateways':[{'TransitGatewayId':'t','State':'deleting'}],", "'TransitGatewayId':'t'"),
		 true},
		{ROUTED("'VpcEndpoints':[{'VpcEndpointId':'vpce-1','State':'pending'}],", "'GatewayId':'vpce-1'"),
		 true},
		{ROUTED("", "'GatewayId':'deleted'"), true},
		{ROUTED("", "'InstanceId':'i-1'"), true},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct loaded loaded = load_valid(cases[i].text);

		assert_int_equal(loaded.state->tables[0].nr_routes, 1);
		if (loaded.state->tables[0].routes[0].blackhole != cases[i].blackhole)
			fail_msg("case %zu", i);
		unload(&loaded);
	}
}

/* ---- ENIs */

static void enis_have_their_defaults(void **context)
{
	struct loaded loaded = load_full();
	const struct eni *web = state_eni(loaded.state, "eni-web"), *nat = state_eni(loaded.state, "eni-nat");
	const struct eni *db = state_eni(loaded.state, "eni-db"), *mon = state_eni(loaded.state, "eni-mon");

	(void)context;
	assert_null(state_eni(loaded.state, "eni-none"));
	assert_true(web->live && !web->check && web->deny_igw && !web->routing);
	assert_int_equal(web->tcp_established_s, 3600);
	assert_int_equal(web->udp_s, 40);
	assert_int_equal(web->udp_stream_s, 120);
	assert_int_equal(web->nr_groups, 2);
	assert_string_equal(web->groups[0]->id, "sg-db");
	assert_memory_equal(web->mac, "\x02\0\0\0\0\x0a", 6);
	assert_string_equal(web->instance, "i-1");
	assert_true(nat->routing && !nat->check && nat->live);
	assert_string_equal(nat->type, "nat_gateway"); /* JSON-09 */
	assert_false(db->live);                        /* ENI-11: available */
	assert_true(db->check && !db->routing);
	assert_string_equal(db->vpc->id, "vpc-a"); /* by its subnet */
	assert_string_equal(db->type, "interface");
	assert_int_equal(db->tcp_established_s, 432000);
	assert_int_equal(db->udp_s, 30);
	assert_int_equal(db->udp_stream_s, 180);
	assert_true(mon->routing); /* JSON-09: unknown type without groups */
	assert_false(state_eni(loaded.state, "eni-ep")->routing);
	unload(&loaded);
}

static void addresses_stand_primary_first(void **context)
{
	struct loaded loaded = load_full();
	const struct eni *web = state_eni(loaded.state, "eni-web"), *db = state_eni(loaded.state, "eni-db");

	(void)context;
	assert_int_equal(web->nr_addresses, 4);
	assert_true(web->addresses[0].primary && is_address(&web->addresses[0], "10.40.1.10"));
	assert_int_equal(web->addresses[0].public_ip, inet_addr("203.0.113.10"));
	assert_true(!web->addresses[1].primary && is_address(&web->addresses[1], "10.40.1.9"));
	assert_int_equal(web->addresses[1].public_ip, 0);
	assert_int_equal(web->addresses[2].prefixlen, 28);
	assert_int_equal(web->addresses[3].family, 6);
	assert_true(is_address(&web->addresses[3], "2001:db8:40:1::10"));
	assert_int_equal(db->addresses[0].public_ip, inet_addr("203.0.113.20")); /* by the list Addresses */
	unload(&loaded);
}

static void the_enis_own_association_wins(void **context)
{
	struct loaded loaded = load_valid(
		"{" VPC "," SUBNET "," GROUP
		",'NetworkInterfaces':[{'NetworkInterfaceId':'eni-1','SubnetId':'s1','Groups':[{"
		"'GroupId':'sg-1'}],'PrivateIpAddresses':[{'Primary':true,'PrivateIpAddress':'10.0.1.9','Association':{"
		"'PublicIp':'1.1.1.1'}}]}],'Addresses':[{'PublicIp':'2.2.2.2','NetworkInterfaceId':'eni-1'},{'Domain':'"
		"vpc'}]}");

	(void)context;
	assert_int_equal(loaded.state->enis[0].addresses[0].public_ip, inet_addr("1.1.1.1"));
	assert_true(has_warning(&loaded,
				"s.json: Addresses[0] 2.2.2.2: eni-1 says another public address: that one holds"));
	unload(&loaded);
}

/* ENI-11 */
static void an_eni_is_live_when_in_use_and_attached(void **context)
{
	static const struct {
		const char *text;
		bool live;
	} cases[] = {
		{"'Status':'in-use','Attachment':{'Status':'attached'}", true},
		{"'Status':'In-Use','Attachment':{'Status':'Attached'}", true},
		{"'Status':'in-use'", true},
		{"'Attachment':{'InstanceId':'i-1'}", true},
		{"'Status':'available'", false},
		{"'Status':'in-use','Attachment':{'Status':'detaching'}", false},
		{"'Status':'attaching','Attachment':{'Status':'attached'}", false},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[256];
		struct loaded loaded;

		snprintf(text, sizeof(text), "{'NetworkInterfaces':[{'NetworkInterfaceId':'e',%s}]}", cases[i].text);
		loaded = load_valid(text);
		if (loaded.state->enis[0].live != cases[i].live)
			fail_msg("case %zu", i);
		unload(&loaded);
	}
}

/* ---- gateways and hosts */

static void gateways_know_vpc_and_table(void **context)
{
	struct loaded loaded = load_full();
	struct gateway *gateways = loaded.state->gateways;

	(void)context;
	assert_int_equal(loaded.state->nr_gateways, 3);
	assert_int_equal(gateways[0].kind, TARGET_EIGW);
	assert_int_equal(gateways[1].kind, TARGET_IGW);
	assert_string_equal(gateways[1].table->id, "rtb-edge"); /* RT-18 */
	assert_int_equal(gateways[2].kind, TARGET_VGW);
	assert_string_equal(gateways[2].vpc->id, "vpc-a"); /* the detached one does not count */
	assert_null(gateways[2].table);
	unload(&loaded);
}

static void hosts_have_ports_and_uplinks(void **context)
{
	struct loaded loaded = load_full();
	const struct host *a = state_host(loaded.state, "host-a"), *b = state_host(loaded.state, "host-b");

	(void)context;
	assert_null(state_host(loaded.state, "host-c"));
	assert_null(state_host(loaded.state, NULL)); /* two, and none has this machine's name */
	assert_int_equal(a->nr_ports, 3);
	assert_string_equal(a->ports[0].eni->id, "eni-db");
	assert_true(a->ports[0].guard && a->ports[0].hook == HOOK_TC && !a->ports[0].side_instance);
	assert_string_equal(a->ports[1].device, "");
	assert_false(a->ports[2].guard);
	assert_int_equal(a->ports[2].hook, HOOK_AUTO);
	assert_memory_equal(a->router_mac, "\x02\x11\x22\x33\x44\x55", 6);
	assert_memory_equal(b->router_mac, "\x02\x65\x6e\x69\x64\x01", 6);
	assert_int_equal(a->tunnel_address, inet_addr("192.0.2.11"));
	assert_string_equal(a->uplinks[0].gateway->id, "igw-1");
	assert_true(a->uplinks[0].answer_neighbours);
	assert_false(a->uplinks[1].answer_neighbours);
	assert_true(b->ports[0].side_instance && b->ports[0].guard && b->ports[0].hook == HOOK_XDP);
	unload(&loaded);
	loaded = load_clean("{'Hosts':[{'HostId':'only'}]}");
	assert_string_equal(state_host(loaded.state, NULL)->id, "only");
	unload(&loaded);
}

#define SIZED(port, uplink) \
	"{'Vpcs':[{'VpcId':'v1','CidrBlock':'10.0.0.0/16'}]," SUBNET \
	",'NetworkInterfaces':[{'NetworkInterfaceId':'e','SubnetId':'s1','MacAddress':'02:00:00:00:00:01'}]," \
	"'Hosts':[{'HostId':'h','Ports':[{'NetworkInterfaceId':'e','Device':'d'" port "}]," \
	"'Uplinks':[{'GatewayId':'igw-1','Device':'u'" uplink "}]}]}"

static void ports_and_uplinks_have_sizes(void **context)
{
	static const struct {
		const char *text;
		uint32_t port, uplink; /* 0, 0: refused */
	} cases[] = {
		{SIZED("", ""), ENI_MTU, 0},
		{SIZED(",'Mtu':1400", ",'Mtu':9001"), 1400, 9001},
		{SIZED(",'Mtu':576", ",'Mtu':65535"), 576, 65535},
		{SIZED(",'Mtu':575", ""), 0, 0},
		{SIZED(",'Mtu':1", ""), 0, 0}, /* MTU_DOWN is no size of a device */
		{SIZED("", ",'Mtu':1"), 0, 0},
		{SIZED("", ",'Mtu':65536"), 0, 0},
		{SIZED(",'Mtu':'1400'", ""), 0, 0},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct loaded loaded = load_text(cases[i].text);
		const struct host *host = loaded.state ? state_host(loaded.state, "h") : NULL;

		if (!loaded.r != !!cases[i].port)
			fail_msg("case %zu", i);
		if (host) {
			assert_int_equal(host->ports[0].mtu, cases[i].port);
			assert_int_equal(host->uplinks[0].mtu, cases[i].uplink);
		}
		unload(&loaded);
	}
}

/* ---- lists of later builds */

static void later_lists_are_there(void **context)
{
	struct loaded loaded = load_full();
	struct state_extra *extra = loaded.state->extra;

	(void)context;
	assert_true(extra->nat_gateways[0].available && !extra->nat_gateways[0].private_only);
	assert_string_equal(extra->nat_gateways[0].addresses[0].eni->id, "eni-nat");
	assert_true(extra->peerings[0].active);
	assert_int_equal(extra->peerings[0].requester.nr_cidrs, 1);
	assert_int_equal(extra->endpoints[0].kind, ENDPOINT_GWLB);
	assert_int_equal(extra->endpoints[1].kind, ENDPOINT_GATEWAY);
	assert_string_equal(extra->endpoints[1].tables[0]->id, "rtb-main");
	assert_true(extra->endpoints[1].available); /* JSON-09a: Available */
	assert_true(extra->tgws[0].sg_referencing);
	assert_string_equal(extra->tgw_attachments[0].table, "tgw-rtb-1");
	assert_true(extra->tgw_vpc_attachments[0].appliance_mode && extra->tgw_vpc_attachments[0].sg_referencing);
	assert_int_equal(extra->tgw_tables[0].nr_routes, 3); /* two and a prefix-list reference */
	assert_non_null(extra->tgw_tables[0].routes[0].prefix_list);
	assert_false(extra->tgw_tables[0].routes[1].is_static);
	assert_true(extra->tgw_tables[0].routes[2].blackhole);
	assert_int_equal(extra->tgw_tables[0].nr_associations, 1);
	assert_int_equal(extra->tgw_tables[0].nr_propagations, 1);
	assert_string_equal(extra->vpn_connections[0].vgw->id, "vgw-1");
	assert_int_equal(extra->vpn_connections[0].nr_routes, 1); /* the deleted one does not count */
	assert_int_equal(extra->mirror_filters[0].in[0].number, 10);
	assert_int_equal(extra->mirror_filters[0].in[1].protocol, PROTOCOL_ANY);
	assert_true(extra->mirror_filters[0].amazon_dns);
	assert_string_equal(extra->mirror_sessions[0].target->eni->id, "eni-mon");
	assert_string_equal(extra->dhcp_options[0].configurations[0].values[0], "AmazonProvidedDNS");
	assert_int_equal(extra->nr_elastic_ips, 2);
	assert_true(loaded.state->flow_logs[0].hive && loaded.state->flow_logs[0].active);
	unload(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vpcs_have_zones_in_the_order_of_ids),
		cmocka_unit_test(block_public_access_reaches_subnets),
		cmocka_unit_test(subnets_fall_back_to_default_acl_and_main_table),
		cmocka_unit_test(a_disassociated_table_serves_nobody),
		cmocka_unit_test(nacl_entries_are_sorted_without_the_implied_ones),
		cmocka_unit_test(permissions_select_ports_by_protocol),
		cmocka_unit_test(peers_are_sorted_and_unique),
		cmocka_unit_test(flat_rules_give_their_id_or_become_permissions),
		cmocka_unit_test(a_flat_rule_joins_once),
		cmocka_unit_test(references_hold_only_where_they_may),
		cmocka_unit_test(routes_are_sorted_and_resolved),
		cmocka_unit_test(routes_to_unusable_targets_are_blackholes),
		cmocka_unit_test(enis_have_their_defaults),
		cmocka_unit_test(addresses_stand_primary_first),
		cmocka_unit_test(the_enis_own_association_wins),
		cmocka_unit_test(an_eni_is_live_when_in_use_and_attached),
		cmocka_unit_test(gateways_know_vpc_and_table),
		cmocka_unit_test(hosts_have_ports_and_uplinks),
		cmocka_unit_test(ports_and_uplinks_have_sizes),
		cmocka_unit_test(later_lists_are_there),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
