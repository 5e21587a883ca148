/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random desired states: small, dense and nasty. VPCs share IPv4 CIDRs, groups refer to each other and to themselves,
 * routes contradict each other. All ports are on host-a; a VPC is either in router or in guard mode.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "gen.h"

const char *gen_without = "";

bool gen_has(const char *feature)
{
	return !strstr(gen_without, feature);
}

json_t *text(const char *format, ...)
{
	char buf[128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	return json_string(buf);
}

json_t *list_of(json_t *o, const char *key)
{
	json_t *l = json_object_get(o, key);

	if (!l) {
		l = json_array();
		json_object_set_new(o, key, l);
	}
	return l;
}

void add(json_t *o, const char *key, json_t *item)
{
	if (json_array_append_new(list_of(o, key), item))
		abort(); /* a wrong format, up there */
}

static json_t *any_cidr4(struct plan *g)
{
	switch (rnd_below(g->r, 11)) {
	case 0:
	case 1:
	case 2:
		return text("0.0.0.0/0");
	case 3:
		return text("10.%d.0.0/16", g->second);
	case 4:
		return text("10.%d.%d.0/24", g->second, rnd_between(g->r, 1, g->subnets));
	case 5:
		return text("10.%d.%d.%d/32", g->second, rnd_between(g->r, 1, g->subnets), rnd_between(g->r, 10, 14));
	case 6:
		return text("198.51.100.%d/32", rnd_between(g->r, 1, 6));
	case 7:
		return text("198.51.100.0/%d", rnd_between(g->r, 24, 30));
	case 8:
		return text("203.0.113.0/24");
	case 9:
		return text("10.0.0.0/8");
	default:
		return text("128.0.0.0/1");
	}
}

static json_t *any_cidr6(struct plan *g)
{
	switch (rnd_below(g->r, 6)) {
	case 0:
	case 1:
		return text("::/0");
	case 2:
		return text("2001:db8:%d::/56", g->v + 1);
	case 3:
		return text("2001:db8:%d:%d::/64", g->v + 1, rnd_between(g->r, 1, g->subnets));
	case 4:
		return text("2001:db8:ffff::%d/128", rnd_between(g->r, 1, 6));
	default:
		return text("2001:db8:ffff::/48");
	}
}

static const int popular[] = {22, 53, 80, 443, 3306, 8080, 40000};

static void port_range(struct plan *g, int *from, int *to)
{
	int kind = rnd_below(g->r, 10);

	*from = *to = popular[rnd_below(g->r, (int)ARRAY_SIZE(popular))];
	if (kind < 4) {
		*from = 0;
		*to = 65535;
	} else if (kind == 4) {
		*from = 20;
		*to = 65535;
	} else if (kind == 5) {
		*to += rnd_below(g->r, 400);
	}
}

static void set_int(json_t *o, const char *key, int v)
{
	json_object_set_new(o, key, json_integer(v));
}

/* Protocol and ports of a permission, in all the spellings of SG-05..SG-09. */
static void set_service(struct plan *g, json_t *perm)
{
	static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6", "-1", "6", "17", "1", "58", "47", "TCP"};
	static const int types[] = {8, 3, 13, 128, 0, 129};
	const char *name = names[rnd_chance(g->r, 60) ? rnd_below(g->r, 2) : rnd_below(g->r, (int)ARRAY_SIZE(names))];
	int from, to;

	json_object_set_new(perm, "IpProtocol", json_string(name));
	if (!strcmp(name, "-1") || !strcmp(name, "47"))
		return;
	if (!strcmp(name, "icmp") || !strcmp(name, "icmpv6") || !strcmp(name, "1") || !strcmp(name, "58")) {
		bool any = rnd_chance(g->r, 40);

		set_int(perm, "FromPort", any ? -1 : types[rnd_below(g->r, (int)ARRAY_SIZE(types))]);
		set_int(perm, "ToPort", any || rnd_chance(g->r, 60) ? -1 : 0);
		return;
	}
	port_range(g, &from, &to);
	set_int(perm, "FromPort", from);
	set_int(perm, "ToPort", to);
}

json_t *any_permission(struct plan *g)
{
	json_t *perm = json_object();
	int peers = rnd_between(g->r, 1, 2);

	set_service(g, perm);
	for (int i = 0; i < peers; i++) {
		switch (rnd_below(g->r, 10)) {
		case 0:
		case 1:
		case 2:
			add(perm, "IpRanges", json_pack("{so}", "CidrIp", any_cidr4(g)));
			break;
		case 3:
		case 4:
			add(perm, "Ipv6Ranges", json_pack("{so}", "CidrIpv6", any_cidr6(g)));
			break;
		case 5:
			add(perm, "PrefixListIds",
			    json_pack("{so}", "PrefixListId", text("pl-%d", rnd_below(g->r, 4))));
			break;
		default:
			add(perm, "UserIdGroupPairs",
			    json_pack("{soss}", "GroupId",
				      text("sg-%d%d", rnd_chance(g->r, 22) ? rnd_below(g->r, 3) : g->v,
					   rnd_below(g->r, g->groups)),
				      "UserId", OWNER));
		}
	}
	return perm;
}

json_t *all_permission(int fam)
{
	if (fam == 4)
		return json_pack("{sss[{ss}]}", "IpProtocol", "-1", "IpRanges", "CidrIp", "0.0.0.0/0");
	return json_pack("{sss[{ss}]}", "IpProtocol", "-1", "Ipv6Ranges", "CidrIpv6", "::/0");
}

static void gen_group(struct plan *g, int k)
{
	json_t *o = json_pack("{sososossss}", "GroupId", text("sg-%d%d", g->v, k), "GroupName", text("g%d%d", g->v, k),
			      "VpcId", text("vpc-%d", g->v), "OwnerId", OWNER, "Description", "random");
	int in = rnd_between(g->r, 1, 5), out = rnd_between(g->r, 0, 3);

	list_of(o, "IpPermissions");
	list_of(o, "IpPermissionsEgress");
	for (int i = 0; i < in; i++)
		add(o, "IpPermissions", any_permission(g));
	for (int i = 0; i < out; i++)
		add(o, "IpPermissionsEgress", any_permission(g));
	if (rnd_chance(g->r, 75)) {
		add(o, "IpPermissionsEgress", all_permission(4));
		add(o, "IpPermissionsEgress", all_permission(6));
	}
	if (rnd_chance(g->r, 40))
		add(o, "IpPermissions", all_permission(rnd_chance(g->r, 50) ? 4 : 6));
	add(g->root, "SecurityGroups", o);
}

static void gen_lists(json_t *root)
{
	static const char *const entries[4][2] = {{"198.51.100.0/28", "10.0.1.0/28"},
						  {"198.51.100.2/32", "192.0.2.0/24"},
						  {"2001:db8:ffff::/124", "2001:db8:1::/56"},
						  {"198.18.0.0/24", "198.18.1.0/25"}};

	for (int i = 0; i < 4; i++) {
		add(root, "PrefixLists",
		    json_pack("{sosossssss}", "PrefixListId", text("pl-%d", i), "PrefixListName", text("list%d", i),
			      "AddressFamily", i == 2 ? "IPv6" : "IPv4", "State", "create-complete", "OwnerId", OWNER));
		add(root, "ManagedPrefixListEntries",
		    json_pack("{sos[{ss}{ss}]}", "PrefixListId", text("pl-%d", i), "Entries", "Cidr", entries[i][0],
			      "Cidr", entries[i][1]));
	}
}

/* ---- network ACLs */

json_t *any_entry(struct plan *g, int number, bool egress)
{
	static const char *const protos[] = {"6", "17", "1", "58", "-1", "47"};
	const char *proto = protos[rnd_below(g->r, (int)ARRAY_SIZE(protos))];
	bool v6 = !strcmp(proto, "58") || (strcmp(proto, "1") && rnd_chance(g->r, 25));
	json_t *e = json_pack("{sisbsssssoso*}", "RuleNumber", number, "Egress", egress, "RuleAction",
			      rnd_chance(g->r, 45) ? "deny" : "allow", "Protocol", proto,
			      v6 ? "Ipv6CidrBlock" : "CidrBlock", v6 ? any_cidr6(g) : any_cidr4(g), "PortRange", NULL);
	int from, to;

	if (!strcmp(proto, "6") || !strcmp(proto, "17")) {
		port_range(g, &from, &to);
		json_object_set_new(e, "PortRange", json_pack("{sisi}", "From", from, "To", to));
	} else if (!strcmp(proto, "1") || !strcmp(proto, "58")) {
		static const int types[] = {-1, 8, 0, 3, 128, 135};
		int type = types[rnd_below(g->r, (int)ARRAY_SIZE(types))];

		json_object_set_new(
			e, "IcmpTypeCode",
			json_pack("{sisi}", "Type", type, "Code", type < 0 || rnd_chance(g->r, 70) ? -1 : 0));
	}
	return e;
}

static void allow_all(json_t *acl, int number)
{
	for (int i = 0; i < 4; i++)
		add(acl, "Entries",
		    json_pack("{sisbssssss}", "RuleNumber", number + (i & 1), "Egress", i > 1, "RuleAction", "allow",
			      "Protocol", "-1", i & 1 ? "Ipv6CidrBlock" : "CidrBlock", i & 1 ? "::/0" : "0.0.0.0/0"));
}

static void gen_nacl(struct plan *g, int k)
{
	json_t *o = json_pack("{sososb}", "NetworkAclId", text("acl-%d%d", g->v, k), "VpcId", text("vpc-%d", g->v),
			      "IsDefault", k == 0);
	int n = k ? rnd_between(g->r, 1, 7) : rnd_below(g->r, 3);

	list_of(o, "Associations");
	list_of(o, "Entries");
	for (int i = 0; i < n; i++)
		add(o, "Entries", any_entry(g, 10 + 10 * i + rnd_below(g->r, 8), rnd_chance(g->r, 50)));
	if (rnd_chance(g->r, 85))
		allow_all(o, rnd_chance(g->r, 80) ? 200 : 38);
	add(g->root, "NetworkAcls", o);
}

static void gen_nacls(struct plan *g)
{
	if (rnd_chance(g->r, 30))
		return;
	int n = rnd_between(g->r, 1, 3);

	for (int k = 0; k < n; k++)
		gen_nacl(g, k);
	for (int s = 1; s <= g->subnets; s++) {
		int k = rnd_below(g->r, n);
		json_t *all = json_object_get(g->root, "NetworkAcls");

		if (k)
			add(json_array_get(all, json_array_size(all) - (size_t)(n - k)), "Associations",
			    json_pack("{so}", "SubnetId", text("subnet-%d%d", g->v, s)));
	}
}

/* ---- routes */

void add_route(json_t *table, json_t *cidr, bool v6, const char *key, json_t *target, const char *state)
{
	add(table, "Routes",
	    json_pack("{soso ssss}", v6 ? "DestinationIpv6CidrBlock" : "DestinationCidrBlock", cidr, key, target,
		      "Origin", "CreateRoute", "State", state));
}

static json_t *outside4(struct plan *g)
{
	return rnd_chance(g->r, 50) ? text("198.51.100.%d/32", rnd_between(g->r, 1, 6))
				    : text("198.51.100.0/%d", rnd_between(g->r, 24, 29));
}

static void odd_route(struct plan *g, json_t *t)
{
	switch (rnd_below(g->r, 7)) {
	case 0:
		add_route(t, outside4(g), false, "GatewayId", text("igw-%d", g->v), "blackhole");
		break;
	case 1:
		add_route(t, text("192.0.2.0/24"), false, "NatGatewayId", text("nat-gone"), "active");
		break;
	case 2:
		add_route(t, text("192.0.2.%d/32", rnd_between(g->r, 1, 6)), false, "GatewayId", text("vgw-%d", g->v),
			  "active");
		break;
	case 3:
		add_route(t, text("192.0.2.0/26"), false, "TransitGatewayId", text("tgw-gone"), "active");
		break;
	case 4:
		add(t, "Routes",
		    json_pack("{sosossss}", "DestinationPrefixListId", text("pl-%d", rnd_below(g->r, 3)), "GatewayId",
			      text("igw-%d", g->v), "Origin", "CreateRoute", "State",
			      rnd_chance(g->r, 50) ? "active" : "blackhole"));
		break;
	case 5:
		add(t, "Routes",
		    json_pack("{sosossss}", "DestinationCidrBlock", text("10.%d.%d.0/24", g->second, g->subnets),
			      "GatewayId", text("vgw-%d", g->v), "Origin", "EnableVgwRoutePropagation", "State",
			      "active"));
		break;
	default:
		add_route(t, text("2001:db8:ffff::%d/128", rnd_between(g->r, 1, 6)), true, "NetworkInterfaceId",
			  text("eni-gone"), "active");
	}
}

static void middlebox_routes(struct plan *g, json_t *t, int subnet, int middlebox_subnet)
{
	int other = 1;

	while (other < g->subnets && (other == subnet || other == middlebox_subnet))
		other++;
	if (g->middlebox < 0 || subnet == middlebox_subnet || !rnd_chance(g->r, 85))
		return;
	if (other != subnet && other != middlebox_subnet)
		add_route(t, text("10.%d.%d.0/24", g->second, other), false, "NetworkInterfaceId",
			  text("eni-%d%d", g->v, g->middlebox), "active");
	if (rnd_chance(g->r, 40))
		add_route(t, text("192.0.2.128/25"), false, "NetworkInterfaceId", text("eni-%d%d", g->v, g->middlebox),
			  "active");
}

static void gen_table(struct plan *g, int subnet, int middlebox_subnet)
{
	json_t *t = json_pack("{soso}", "RouteTableId", text("rtb-%d%d", g->v, subnet), "VpcId", text("vpc-%d", g->v));
	json_t *a = json_pack("{sbsoso*}", "Main", subnet == 0, "AssociationState",
			      json_pack("{ss}", "State", "associated"), "SubnetId",
			      subnet ? text("subnet-%d%d", g->v, subnet) : NULL);

	add(t, "Associations", a);
	add(t, "Routes",
	    json_pack("{sossssss}", "DestinationCidrBlock", text("10.%d.0.0/16", g->second), "GatewayId", "local",
		      "Origin", "CreateRouteTable", "State", "active"));
	gen_gate_routes(g, t, subnet);
	if (subnet)
		middlebox_routes(g, t, subnet, middlebox_subnet);
	for (int i = rnd_below(g->r, 2); i > 0; i--)
		odd_route(g, t);
	add(g->root, "RouteTables", t);
}

/* ---- ENIs */

static json_t *own_address(struct plan *g, int subnet, int host, bool primary)
{
	json_t *a = json_pack("{sbso}", "Primary", primary, "PrivateIpAddress",
			      text("10.%d.%d.%d", g->second, subnet, host));

	if (g->igw && rnd_chance(g->r, primary ? 65 : 40))
		json_object_set_new(a, "Association",
				    json_pack("{so}", "PublicIp", text("203.0.113.%d", 10 + g->publics++)));
	return a;
}

void gen_timeouts(struct plan *g, json_t *o)
{
	if (rnd_chance(g->r, 50))
		return;
	json_object_set_new(o, "ConnectionTrackingConfiguration",
			    json_pack("{sisisi}", "TcpEstablishedTimeout",
				      rnd_chance(g->r, 50) ? 60 : rnd_between(g->r, 60, 4000), "UdpTimeout",
				      rnd_between(g->r, 30, 60), "UdpStreamTimeout", rnd_between(g->r, 60, 180)));
}

static void gen_port(struct plan *g, int k)
{
	json_t *port = json_pack("{soso}", "NetworkInterfaceId", text("eni-%d%d", g->v, k), "Device",
				 text("tap%d%d", g->v, k));

	if (g->guard) {
		json_object_set_new(port, "Mode", json_string("guard"));
		if (rnd_chance(g->r, 40))
			json_object_set_new(port, "Side", json_string("instance"));
	}
	json_array_append_new(g->hosts_ports, port);
}

static void gen_eni(struct plan *g, int k, int subnet)
{
	bool middlebox = k == g->middlebox, prefix = rnd_chance(g->r, 30);
	json_t *o = json_pack("{sosososs sssbssso}", "NetworkInterfaceId", text("eni-%d%d", g->v, k), "VpcId",
			      text("vpc-%d", g->v), "SubnetId", text("subnet-%d%d", g->v, subnet), "Status", "in-use",
			      "InterfaceType", "interface", "SourceDestCheck", !middlebox && rnd_chance(g->r, 92),
			      "OwnerId", OWNER, "MacAddress", text("02:00:00:00:%02x:%02x", g->v, 16 + k));

	add(o, "Groups", json_pack("{so}", "GroupId", text("sg-%d%d", g->v, rnd_below(g->r, g->groups))));
	if (rnd_chance(g->r, 35)) {
		json_t *second = text("sg-%d%d", g->v, rnd_below(g->r, g->groups));
		json_t *first = json_array_get(json_object_get(o, "Groups"), 0);

		if (strcmp(json_string_value(json_object_get(first, "GroupId")), json_string_value(second)))
			add(o, "Groups", json_pack("{sO}", "GroupId", second));
		json_decref(second);
	}
	json_object_set_new(o, "PrivateIpAddress", text("10.%d.%d.%d", g->second, subnet, 10 + k));
	add(o, "PrivateIpAddresses", own_address(g, subnet, 10 + k, true));
	for (int i = rnd_below(g->r, 3); i > 0; i--)
		add(o, "PrivateIpAddresses", own_address(g, subnet, 100 + 10 * k + i, false));
	if (prefix)
		add(o, "Ipv4Prefixes",
		    json_pack("{so}", "Ipv4Prefix", text("10.%d.%d.%d/28", g->second, subnet, 160 + 16 * k)));
	if (g->v6 && rnd_chance(g->r, 80))
		add(o, "Ipv6Addresses",
		    json_pack("{so}", "Ipv6Address", text("2001:db8:%d:%d::%d", g->v + 1, subnet, 10 + k)));
	if (g->v6 && rnd_chance(g->r, 25))
		add(o, "Ipv6Prefixes",
		    json_pack("{so}", "Ipv6Prefix", text("2001:db8:%d:%d:%d::/80", g->v + 1, subnet, k + 1)));
	if (rnd_chance(g->r, 6))
		json_object_set_new(o, "DenyAllIgwTraffic", json_true());
	json_object_set_new(
		o, "Attachment",
		json_pack("{sosiss}", "InstanceId", text("i-%d%d", g->v, k), "DeviceIndex", 0, "Status", "attached"));
	gen_timeouts(g, o);
	add(g->root, "NetworkInterfaces", o);
	gen_port(g, k);
}

/* ---- VPCs */

static void gen_subnet(struct plan *g, int s)
{
	json_t *o = json_pack("{sosososs}", "SubnetId", text("subnet-%d%d", g->v, s), "VpcId", text("vpc-%d", g->v),
			      "CidrBlock", text("10.%d.%d.0/24", g->second, s), "AvailabilityZone",
			      rnd_chance(g->r, 60) ? "eu-west-1a" : "eu-west-1b");

	if (g->v6)
		add(o, "Ipv6CidrBlockAssociationSet",
		    json_pack("{sos{ss}}", "Ipv6CidrBlock", text("2001:db8:%d:%d::/64", g->v + 1, s),
			      "Ipv6CidrBlockState", "State", "associated"));
	add(g->root, "Subnets", o);
}

static void gen_vpc(struct plan *g)
{
	json_t *o = json_pack("{sosossss}", "VpcId", text("vpc-%d", g->v), "CidrBlock", text("10.%d.0.0/16", g->second),
			      "State", "available", "OwnerId", OWNER);
	int subnet_of[8], middlebox_subnet = 0;

	add(o, "CidrBlockAssociationSet",
	    json_pack("{sos{ss}}", "CidrBlock", text("10.%d.0.0/16", g->second), "CidrBlockState", "State",
		      "associated"));
	if (g->v6)
		add(o, "Ipv6CidrBlockAssociationSet",
		    json_pack("{sos{ss}}", "Ipv6CidrBlock", text("2001:db8:%d::/56", g->v + 1), "Ipv6CidrBlockState",
			      "State", "associated"));
	add(g->root, "Vpcs", o);
	for (int k = 0; k < g->enis; k++)
		subnet_of[k] = rnd_between(g->r, 1, g->subnets);
	g->middlebox = !g->guard && g->subnets > 1 && rnd_chance(g->r, 60) ? rnd_below(g->r, g->enis) : -1;
	if (g->middlebox >= 0)
		middlebox_subnet = subnet_of[g->middlebox];
	gen_plan_gates(g);
	for (int s = 1; s <= g->subnets; s++)
		gen_subnet(g, s);
	for (int k = 0; k < g->groups; k++)
		gen_group(g, k);
	gen_nacls(g);
	gen_gates(g);
	gen_table(g, 0, middlebox_subnet);
	for (int s = 1; s <= g->subnets; s++)
		if (rnd_chance(g->r, 60))
			gen_table(g, s, middlebox_subnet);
	for (int k = 0; k < g->enis; k++)
		gen_eni(g, k, subnet_of[k]);
}

json_t *gen_state(struct rnd *r)
{
	struct plan g = {.r = r, .root = json_object(), .hosts_ports = json_array(), .uplinks = json_array()};
	struct made_vpc made[3];
	int vpcs = rnd_between(r, 1, 3);

	gen_lists(g.root);
	for (g.v = 0; g.v < vpcs; g.v++) {
		g.second = rnd_chance(r, 45) ? 0 : g.v;
		g.subnets = rnd_between(r, 1, 3);
		g.groups = rnd_between(r, 1, 4);
		g.enis = rnd_between(r, 2, 5);
		g.guard = rnd_chance(r, 20);
		g.igw = !g.guard && rnd_chance(r, 80);
		g.v6 = rnd_chance(r, 75);
		gen_vpc(&g);
		made[g.v] = (struct made_vpc){g.v, g.second, g.subnets, g.middlebox, g.guard, g.v6, g.igw};
	}
	gen_joints(r, g.root, made, vpcs);
	add(g.root, "Hosts",
	    json_pack("{sssssoso}", "HostId", "host-a", "TunnelAddress", "192.0.2.250", "Ports", g.hosts_ports,
		      "Uplinks", g.uplinks));
	return g.root;
}
