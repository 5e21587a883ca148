/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random gateways: what leads out of a VPC, what joins VPCs, and edits that add and remove any of it under live flows.
 * Each kind can be left out by name (differ --without).
 */
#include <string.h>
#include "gen.h"

static bool chance(struct plan *g, const char *feature, int percent)
{
	return rnd_chance(g->r, percent) && gen_has(feature);
}

void gen_plan_gates(struct plan *g)
{
	g->nats = !g->guard && chance(g, "nat", 60) ? rnd_between(g->r, 1, 2) : 0;
	for (int i = 0; i < g->nats; i++)
		g->nat_subnet[i] = rnd_between(g->r, 1, g->subnets);
	g->eigw = !g->guard && g->v6 && chance(g, "eigw", 50);
	g->endpoint = !g->guard && chance(g, "endpoint", 45);
}

static void add_uplink(struct plan *g, json_t *id)
{
	json_array_append_new(g->uplinks, json_pack("{soso}", "GatewayId", id, "Device",
						    text("up%d", (int)json_array_size(g->uplinks))));
}

/* ---- NAT gateways */

static void gen_nat(struct plan *g, int k)
{
	bool public = g->igw && rnd_chance(g->r, 85);
	int s = g->nat_subnet[k], addresses = rnd_chance(g->r, 65) ? 1 : rnd_between(g->r, 2, 3);
	json_t *n = json_pack("{sosososssss[]}", "NatGatewayId", text("nat-%d%d", g->v, k), "VpcId",
			      text("vpc-%d", g->v), "SubnetId", text("subnet-%d%d", g->v, s), "State", "available",
			      "ConnectivityType", public ? "public" : "private", "NatGatewayAddresses");
	json_t *o = json_pack("{sososososssssbs[]so}", "NetworkInterfaceId", text("eni-nat-%d%d", g->v, k), "VpcId",
			      text("vpc-%d", g->v), "SubnetId", text("subnet-%d%d", g->v, s), "MacAddress",
			      text("02:00:00:01:%02x:%02x", g->v, k), "Status", "in-use", "InterfaceType",
			      "nat_gateway", "SourceDestCheck", 0, "Groups", "PrivateIpAddress",
			      text("10.%d.%d.%d", g->second, s, 240 + 4 * k));

	for (int i = 0; i < addresses; i++) {
		json_t *a = json_pack("{sbso}", "Primary", i == 0, "PrivateIpAddress",
				      text("10.%d.%d.%d", g->second, s, 240 + 4 * k + i));
		json_t *x = json_pack("{sososbss}", "NetworkInterfaceId", text("eni-nat-%d%d", g->v, k), "PrivateIp",
				      text("10.%d.%d.%d", g->second, s, 240 + 4 * k + i), "IsPrimary", i == 0, "Status",
				      "succeeded");

		if (public) {
			int q = 10 + g->publics++;

			json_object_set_new(a, "Association", json_pack("{so}", "PublicIp", text("203.0.113.%d", q)));
			json_object_set_new(x, "PublicIp", text("203.0.113.%d", q));
		}
		add(o, "PrivateIpAddresses", a);
		add(n, "NatGatewayAddresses", x);
	}
	add(g->root, "NatGateways", n);
	add(g->root, "NetworkInterfaces", o);
	if (rnd_chance(g->r, 96))
		json_array_append_new(g->hosts_ports,
				      json_pack("{so}", "NetworkInterfaceId", text("eni-nat-%d%d", g->v, k)));
}

/* ---- gateways with an uplink */

static void gen_vgw(struct plan *g)
{
	bool served = chance(g, "vgw", 65);

	if (!rnd_chance(g->r, 50))
		return;
	add(g->root, "VpnGateways",
	    json_pack("{sosss[{soss}]}", "VpnGatewayId", text("vgw-%d", g->v), "State", "available", "VpcAttachments",
		      "VpcId", text("vpc-%d", g->v), "State", "attached"));
	if (!served || g->guard)
		return;
	add_uplink(g, text("vgw-%d", g->v));
	if (rnd_chance(g->r, 60))
		add(g->root, "VpnConnections",
		    json_pack("{sososssss{sb}s[{ssss}]}", "VpnConnectionId", text("vpn-%d", g->v), "VpnGatewayId",
			      text("vgw-%d", g->v), "CustomerGatewayId", "cgw-0", "State", "available", "Options",
			      "StaticRoutesOnly", rnd_chance(g->r, 70), "Routes", "DestinationCidrBlock",
			      "172.20.0.0/17", "State", "available"));
}

void gen_gates(struct plan *g)
{
	gen_vgw(g);
	for (int k = 0; k < g->nats; k++)
		gen_nat(g, k);
	if (g->eigw) {
		add(g->root, "EgressOnlyInternetGateways",
		    json_pack("{sos[{soss}]}", "EgressOnlyInternetGatewayId", text("eigw-%d", g->v), "Attachments",
			      "VpcId", text("vpc-%d", g->v), "State", "attached"));
		add_uplink(g, text("eigw-%d", g->v));
	}
	if (g->endpoint) {
		add(g->root, "VpcEndpoints",
		    json_pack("{sosssossss}", "VpcEndpointId", text("vpce-%d", g->v), "VpcEndpointType", "Gateway",
			      "VpcId", text("vpc-%d", g->v), "ServiceName",
			      rnd_chance(g->r, 60) ? "com.amazonaws.eu-west-1.s3" : "com.amazonaws.eu-west-1.dynamodb",
			      "State", "available"));
		if (rnd_chance(g->r, 90))
			add_uplink(g, text("vpce-%d", g->v));
	}
	if (!g->igw)
		return;
	add(g->root, "InternetGateways",
	    json_pack("{sos[{soss}]}", "InternetGatewayId", text("igw-%d", g->v), "Attachments", "VpcId",
		      text("vpc-%d", g->v), "State", "available"));
	add_uplink(g, text("igw-%d", g->v));
}

/* The default routes of a table, and those to the gateways of its VPC. */
void gen_gate_routes(struct plan *g, json_t *t, int subnet)
{
	bool hosts_nat = false;

	for (int i = 0; i < g->nats; i++)
		hosts_nat |= g->nat_subnet[i] == subnet;
	if (g->nats && rnd_chance(g->r, hosts_nat ? 8 : 65))
		add_route(t, text("0.0.0.0/0"), false, "NatGatewayId", text("nat-%d%d", g->v, rnd_below(g->r, g->nats)),
			  "active");
	else if (g->igw && rnd_chance(g->r, 85))
		add_route(t, text("0.0.0.0/0"), false, "GatewayId", text("igw-%d", g->v), "active");
	if (g->eigw && rnd_chance(g->r, 60))
		add_route(t, text("::/0"), true, "EgressOnlyInternetGatewayId", text("eigw-%d", g->v), "active");
	else if (g->igw && rnd_chance(g->r, 80))
		add_route(t, text("::/0"), true, "GatewayId", text("igw-%d", g->v), "active");
	if (g->endpoint && rnd_chance(g->r, 80))
		add(t, "Routes",
		    json_pack("{sssossss}", "DestinationPrefixListId", "pl-3", "GatewayId", text("vpce-%d", g->v),
			      "Origin", "CreateRoute", "State", "active"));
	if (gen_has("vgw") && rnd_chance(g->r, 35))
		add_route(t, text("172.20.0.0/16"), false, "GatewayId", text("vgw-%d", g->v), "active");
	if (g->nats && g->middlebox < 0 && !hosts_nat && rnd_chance(g->r, 20))
		add_route(t, text("10.%d.%d.0/24", g->second, g->subnets), false, "NatGatewayId",
			  text("nat-%d%d", g->v, rnd_below(g->r, g->nats)), "active"); /* RT-05 */
}

/* ---- what joins VPCs */

static bool is_of(json_t *o, int v)
{
	const char *id = json_string_value(json_object_get(o, "VpcId"));

	return id && id[4] - '0' == v;
}

static bool has_route(json_t *table, const char *key, const char *cidr)
{
	size_t i;
	json_t *r;

	json_array_foreach (json_object_get(table, "Routes"), i, r) {
		const char *d = json_string_value(json_object_get(r, key));

		if (d && !strcmp(d, cidr))
			return true;
	}
	return false;
}

/* A route to another VPC, or to all, in the tables of VPC v, if they have none for it yet. */
static void route_to(struct rnd *r, json_t *root, int v, json_t *cidr, bool v6, int percent, const char *key,
		     const char *target)
{
	size_t i;
	json_t *t;

	json_array_foreach (json_object_get(root, "RouteTables"), i, t)
		if (is_of(t, v) && rnd_chance(r, percent) &&
		    !has_route(t, v6 ? "DestinationIpv6CidrBlock" : "DestinationCidrBlock", json_string_value(cidr)))
			add_route(t, json_incref(cidr), v6, key, text("%s", target), "active");
	json_decref(cidr);
}

static json_t *vpc_side(const struct made_vpc *v)
{
	json_t *o = json_pack("{sosssss[{so}]}", "VpcId", text("vpc-%d", v->v), "OwnerId", OWNER, "Region", "eu-west-1",
			      "CidrBlockSet", "CidrBlock", text("10.%d.0.0/16", v->second));

	json_object_set_new(o, "CidrBlock", text("10.%d.0.0/16", v->second));
	if (v->v6)
		add(o, "Ipv6CidrBlockSet", json_pack("{so}", "Ipv6CidrBlock", text("2001:db8:%d::/56", v->v + 1)));
	return o;
}

static void gen_peering(struct rnd *r, json_t *root, const struct made_vpc *a, const struct made_vpc *b)
{
	char id[32];

	snprintf(id, sizeof(id), "pcx-%d%d", a->v, b->v);
	add(root, "VpcPeeringConnections",
	    json_pack("{sss{ss}soso}", "VpcPeeringConnectionId", id, "Status", "Code",
		      rnd_chance(r, 88) ? "active" : "pending-acceptance", "RequesterVpcInfo", vpc_side(a),
		      "AccepterVpcInfo", vpc_side(b)));
	for (int side = 0; side < 2; side++) {
		const struct made_vpc *here = side ? b : a, *there = side ? a : b;

		route_to(r, root, here->v, text("10.%d.0.0/16", there->second), false, 78, "VpcPeeringConnectionId",
			 id);
		if (there->v6)
			route_to(r, root, here->v, text("2001:db8:%d::/56", there->v + 1), true, 70,
				 "VpcPeeringConnectionId", id);
		if (rnd_chance(r, 20))
			route_to(r, root, here->v, text("192.0.2.64/26"), false, 60, "VpcPeeringConnectionId", id);
	}
}

static void gen_attachment(struct rnd *r, json_t *root, const struct made_vpc *v, int tables)
{
	json_t *x = json_pack("{sosssosss{ssssss}}", "TransitGatewayAttachmentId", text("tgw-attach-%d", v->v),
			      "TransitGatewayId", "tgw-0", "VpcId", text("vpc-%d", v->v), "State", "available",
			      "Options", "Ipv6Support", rnd_chance(r, 70) ? "enable" : "disable",
			      "ApplianceModeSupport", rnd_chance(r, 15) ? "enable" : "disable",
			      "SecurityGroupReferencingSupport", rnd_chance(r, 80) ? "enable" : "disable");
	json_t *o =
		json_pack("{sosssssoss}", "TransitGatewayAttachmentId", text("tgw-attach-%d", v->v), "TransitGatewayId",
			  "tgw-0", "ResourceType", "vpc", "ResourceId", text("vpc-%d", v->v), "State", "available");
	const char *zone[2] = {"", ""};
	size_t i;
	json_t *s;

	list_of(x, "SubnetIds");
	json_array_foreach (json_object_get(root, "Subnets"), i, s) {
		const char *az = json_string_value(json_object_get(s, "AvailabilityZone"));

		if (!is_of(s, v->v) || !strcmp(az, zone[0]) || !strcmp(az, zone[1]) || (*zone[0] && rnd_chance(r, 25)))
			continue;
		json_array_append(json_object_get(x, "SubnetIds"), json_object_get(s, "SubnetId"));
		zone[*zone[0] ? 1 : 0] = az;
	}
	if (rnd_chance(r, 92))
		json_object_set_new(o, "Association",
				    json_pack("{soss}", "TransitGatewayRouteTableId",
					      text("tgw-rtb-%d", rnd_below(r, tables)), "State", "associated"));
	add(root, "TransitGatewayVpcAttachments", x);
	add(root, "TransitGatewayAttachments", o);
}

static json_t *tgw_route(json_t *cidr, int v, bool blackhole)
{
	json_t *o = json_pack("{sossss}", "DestinationCidrBlock", cidr, "Type", "static", "State",
			      blackhole ? "blackhole" : "active");

	if (!blackhole)
		add(o, "TransitGatewayAttachments",
		    json_pack("{sososs}", "TransitGatewayAttachmentId", text("tgw-attach-%d", v), "ResourceId",
			      text("vpc-%d", v), "ResourceType", "vpc"));
	return o;
}

static bool overlaps_earlier(const struct made_vpc *vpc, int at)
{
	for (int i = 0; i < at; i++)
		if (vpc[i].second == vpc[at].second)
			return true;
	return false;
}

static void gen_tgw_table(struct rnd *r, json_t *root, const struct made_vpc *vpc, int nr, int k)
{
	json_t *routes = json_pack("{sos[]}", "TransitGatewayRouteTableId", text("tgw-rtb-%d", k), "Routes");
	json_t *learned = json_pack("{sos[]}", "TransitGatewayRouteTableId", text("tgw-rtb-%d", k),
				    "TransitGatewayRouteTablePropagations");

	add(root, "TransitGatewayRouteTables",
	    json_pack("{sossss}", "TransitGatewayRouteTableId", text("tgw-rtb-%d", k), "TransitGatewayId", "tgw-0",
		      "State", "available"));
	for (int i = 0; i < nr; i++) {
		if (vpc[i].guard || overlaps_earlier(vpc, i))
			continue;
		if (rnd_chance(r, 65))
			add(learned, "TransitGatewayRouteTablePropagations",
			    json_pack("{sosososs}", "TransitGatewayAttachmentId", text("tgw-attach-%d", i),
				      "ResourceType", text("vpc"), "ResourceId", text("vpc-%d", i), "State",
				      "enabled"));
		else if (rnd_chance(r, 75))
			add(routes, "Routes", tgw_route(text("10.%d.0.0/16", vpc[i].second), i, rnd_chance(r, 10)));
		if (vpc[i].v6 && rnd_chance(r, 40))
			add(routes, "Routes", tgw_route(text("2001:db8:%d::/56", i + 1), i, rnd_chance(r, 10)));
		if (rnd_chance(r, 15))
			add(routes, "Routes", tgw_route(text("10.%d.2.0/24", vpc[i].second), i, rnd_chance(r, 60)));
	}
	if (rnd_chance(r, 70))
		add(routes, "Routes", tgw_route(text("0.0.0.0/0"), rnd_below(r, nr), false));
	add(root, "TransitGatewayRoutes", routes);
	add(root, "TransitGatewayPropagations", learned);
}

static void gen_tgw(struct rnd *r, json_t *root, const struct made_vpc *vpc, int nr)
{
	int tables = rnd_between(r, 1, 2);

	add(root, "TransitGateways",
	    json_pack("{sssss{ss}}", "TransitGatewayId", "tgw-0", "State", "available", "Options",
		      "SecurityGroupReferencingSupport", rnd_chance(r, 60) ? "enable" : "disable"));
	for (int k = 0; k < tables; k++)
		gen_tgw_table(r, root, vpc, nr, k);
	for (int i = 0; i < nr; i++) {
		if (vpc[i].guard)
			continue;
		if (rnd_chance(r, 92))
			gen_attachment(r, root, &vpc[i], tables);
		for (int k = 0; k < nr; k++) {
			if (k == i || vpc[k].guard || vpc[k].second == vpc[i].second)
				continue;
			route_to(r, root, i, text("10.%d.0.0/16", vpc[k].second), false, 75, "TransitGatewayId",
				 "tgw-0");
			route_to(r, root, i, text("2001:db8:%d::/56", k + 1), true, 60, "TransitGatewayId", "tgw-0");
		}
		route_to(r, root, i, text("0.0.0.0/0"), false, 60, "TransitGatewayId", "tgw-0");
	}
}

static bool holds_nat(json_t *root, const struct made_vpc *v, int subnet)
{
	char id[32];
	size_t i;
	json_t *n;

	snprintf(id, sizeof(id), "subnet-%d%d", v->v, subnet);
	json_array_foreach (json_object_get(root, "NatGateways"), i, n)
		if (!strcmp(json_string_value(json_object_get(n, "SubnetId")), id))
			return true;
	return false;
}

/* RT-18: what comes in by the internet gateway passes the middlebox first; not so what comes back to a NAT gateway. */
static void gen_gate_table(struct rnd *r, json_t *root, const struct made_vpc *v)
{
	json_t *t = json_pack("{sosos[{sosbs{ss}}]}", "RouteTableId", text("rtb-g%d", v->v), "VpcId",
			      text("vpc-%d", v->v), "Associations", "GatewayId", text("igw-%d", v->v), "Main", 0,
			      "AssociationState", "State", "associated");

	add(t, "Routes",
	    json_pack("{sossssss}", "DestinationCidrBlock", text("10.%d.0.0/16", v->second), "GatewayId", "local",
		      "Origin", "CreateRouteTable", "State", "active"));
	for (int s = 1; s <= v->subnets; s++)
		if (!holds_nat(root, v, s) && rnd_chance(r, 50))
			add_route(t, text("10.%d.%d.0/24", v->second, s), false, "NetworkInterfaceId",
				  text("eni-%d%d", v->v, v->middlebox), "active");
	add(root, "RouteTables", t);
}

static void set_bpa(struct rnd *r, json_t *root, int vpcs)
{
	json_object_set_new(root, "VpcBlockPublicAccessOptions",
			    json_pack("{ssss}", "InternetGatewayBlockMode",
				      rnd_chance(r, 50) ? "block-ingress" : "block-bidirectional", "State",
				      "update-complete"));
	json_object_del(root, "VpcBlockPublicAccessExclusions");
	for (int i = 0; i < 2 && rnd_chance(r, 50); i++)
		add(root, "VpcBlockPublicAccessExclusions",
		    json_pack("{sosossss}", "ExclusionId", text("vpcbpa-exclude-%d", i), "ResourceArn",
			      rnd_chance(r, 40) ? text("arn:aws:ec2:eu-west-1:" OWNER ":vpc/vpc-%d", rnd_below(r, vpcs))
						: text("arn:aws:ec2:eu-west-1:" OWNER ":subnet/subnet-%d%d",
						       rnd_below(r, vpcs), i + 1),
			      "InternetGatewayExclusionMode",
			      rnd_chance(r, 50) ? "allow-bidirectional" : "allow-egress", "State", "create-complete"));
}

void gen_joints(struct rnd *r, json_t *root, const struct made_vpc *vpc, int nr)
{
	for (int a = 0; a < nr; a++)
		for (int b = a + 1; b < nr; b++)
			if (!vpc[a].guard && !vpc[b].guard && vpc[a].second != vpc[b].second && rnd_chance(r, 60) &&
			    gen_has("peering"))
				gen_peering(r, root, &vpc[a], &vpc[b]);
	if (rnd_chance(r, 65) && gen_has("tgw"))
		gen_tgw(r, root, vpc, nr);
	for (int i = 0; i < nr; i++)
		if (vpc[i].igw && vpc[i].middlebox >= 0 && rnd_chance(r, 35) && gen_has("tables"))
			gen_gate_table(r, root, &vpc[i]);
	if (rnd_chance(r, 12) && gen_has("bpa"))
		set_bpa(r, root, nr);
}

/* ---- edits */

static const char *edit_nat(struct rnd *r, json_t *root)
{
	json_t *n = any_item(r, root, "NatGateways"), *list = json_object_get(root, "NatGateways");
	json_t *addresses = json_object_get(n, "NatGatewayAddresses");
	size_t i;

	if (!n)
		return "nothing";
	if (json_array_size(addresses) > 1 && rnd_chance(r, 60)) {
		json_object_set_new(json_array_get(addresses, json_array_size(addresses) - 1), "Status",
				    json_string("disassociating"));
		return "address taken from a NAT gateway";
	}
	if (rnd_chance(r, 50)) {
		bool gone = !strcmp(json_string_value(json_object_get(n, "State")), "deleted");

		json_object_set_new(n, "State", json_string(gone ? "available" : "deleted"));
		return gone ? "NAT gateway back" : "NAT gateway deleted";
	}
	for (i = 0; json_array_get(list, i) != n;)
		i++;
	json_array_remove(list, i);
	return "NAT gateway removed";
}

static const char *edit_peering(struct rnd *r, json_t *root)
{
	json_t *x = any_item(r, root, "VpcPeeringConnections");
	json_t *status = json_object_get(x, "Status");

	if (!x)
		return "nothing";
	bool active = !strcmp(json_string_value(json_object_get(status, "Code")), "active");

	json_object_set_new(status, "Code", json_string(active ? "deleted" : "active"));
	return active ? "peering deleted" : "peering active";
}

static const char *edit_tgw(struct rnd *r, json_t *root)
{
	json_t *o = any_item(r, root, "TransitGatewayRoutes"), *a = any_item(r, root, "TransitGatewayAttachments");
	json_t *routes = json_object_get(o, "Routes");
	json_t *route = json_array_get(routes, (size_t)rnd_below(r, (int)json_array_size(routes) + 1));

	if (route && rnd_chance(r, 60)) {
		json_object_set_new(route, "State", json_string("blackhole"));
		return "TGW route turned blackhole";
	}
	if (!a)
		return "nothing";
	if (json_object_get(a, "Association"))
		json_object_del(a, "Association");
	else
		json_object_set_new(
			a, "Association",
			json_pack("{ssss}", "TransitGatewayRouteTableId", "tgw-rtb-0", "State", "associated"));
	return "TGW association edited";
}

static const char *edit_default_route(struct rnd *r, json_t *root)
{
	json_t *t = any_item(r, root, "RouteTables"), *route;
	const char *v = json_string_value(json_object_get(t, "VpcId"));
	size_t i;

	json_array_foreach (json_object_get(t, "Routes"), i, route) {
		const char *d = json_string_value(json_object_get(route, "DestinationCidrBlock"));

		if (!d || strcmp(d, "0.0.0.0/0"))
			continue;
		bool nat = json_object_get(route, "NatGatewayId");

		json_object_del(route, "NatGatewayId");
		json_object_del(route, "GatewayId");
		json_object_del(route, "TransitGatewayId");
		json_object_set_new(route, nat || !gen_has("nat") ? "GatewayId" : "NatGatewayId",
				    nat || !gen_has("nat") ? text("igw-%c", v[4]) : text("nat-%c0", v[4]));
		return "default route moved";
	}
	return "nothing";
}

const char *edit_gates(struct rnd *r, json_t *root)
{
	json_t *eigw = json_object_get(root, "EgressOnlyInternetGateways");

	switch (rnd_below(r, 7)) {
	case 0:
	case 1:
		return edit_nat(r, root);
	case 2:
		return edit_peering(r, root);
	case 3:
		return edit_tgw(r, root);
	case 4:
		if (!gen_has("bpa"))
			return "nothing";
		if (rnd_chance(r, 60))
			json_object_del(root, "VpcBlockPublicAccessOptions");
		else
			set_bpa(r, root, 2);
		return "block public access edited";
	case 5:
		if (!json_array_size(eigw))
			return "nothing";
		json_array_remove(eigw, 0);
		return "egress-only gateway removed";
	default:
		return edit_default_route(r, root);
	}
}
