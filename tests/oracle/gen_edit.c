/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random edits of a state, and random ways to break one. */
#include <string.h>
#include "gen.h"

json_t *any_item(struct rnd *r, json_t *root, const char *key)
{
	json_t *l = json_object_get(root, key);

	return json_array_get(l, (size_t)rnd_below(r, (int)json_array_size(l)));
}

/* An ENI of a guest: those of gateways go with their gateway. */
static json_t *any_guest(struct rnd *r, json_t *root)
{
	json_t *eni;

	do
		eni = any_item(r, root, "NetworkInterfaces");
	while (strcmp(json_string_value(json_object_get(eni, "InterfaceType")), "interface"));
	return eni;
}

static bool remove_any(struct rnd *r, json_t *list)
{
	if (!json_array_size(list))
		return false;
	json_array_remove(list, (size_t)rnd_below(r, (int)json_array_size(list)));
	return true;
}

static struct plan plan_for(struct rnd *r, json_t *root, json_t *object)
{
	const char *vpc = json_string_value(json_object_get(object, "VpcId"));
	struct plan g = {.r = r, .root = root, .v = vpc ? vpc[4] - '0' : 0, .subnets = 3, .groups = 4, .igw = true};

	return g;
}

static const char *edit_group(struct rnd *r, json_t *root)
{
	json_t *sg = any_item(r, root, "SecurityGroups");
	const char *list = rnd_chance(r, 60) ? "IpPermissions" : "IpPermissionsEgress";
	struct plan g = plan_for(r, root, sg);

	if (rnd_chance(r, 65) && remove_any(r, list_of(sg, list)))
		return "rule removed";
	add(sg, list, any_permission(&g));
	return "rule added";
}

static const char *edit_nacl(struct rnd *r, json_t *root)
{
	json_t *acl = any_item(r, root, "NetworkAcls");

	if (!acl)
		return edit_group(r, root);
	struct plan g = plan_for(r, root, acl);

	if (rnd_chance(r, 40) && remove_any(r, list_of(acl, "Entries")))
		return "NACL entry removed";
	add(acl, "Entries", any_entry(&g, rnd_between(r, 300, 32000), rnd_chance(r, 50)));
	return "NACL entry added";
}

static const char *edit_routes(struct rnd *r, json_t *root)
{
	json_t *t = any_item(r, root, "RouteTables");
	json_t *routes = list_of(t, "Routes");

	if (json_array_size(routes) > 1 && rnd_chance(r, 60)) {
		json_array_remove(routes, 1 + (size_t)rnd_below(r, (int)json_array_size(routes) - 1));
		return "route removed";
	}
	json_t *route = json_array_get(routes, json_array_size(routes) - 1);

	if (strcmp(json_string_value(json_object_get(route, "Origin")), "CreateRouteTable"))
		json_object_set_new(route, "State", json_string("blackhole"));
	return "route turned blackhole";
}

static const char *edit_membership(struct rnd *r, json_t *root)
{
	json_t *eni = any_guest(r, root);
	json_t *groups = list_of(eni, "Groups"), *sg = any_item(r, root, "SecurityGroups");
	const char *id = json_string_value(json_object_get(sg, "GroupId"));

	if (json_array_size(groups) > 1) {
		json_array_remove(groups, 0);
		return "group taken from an ENI";
	}
	if (!json_equal(json_object_get(sg, "VpcId"), json_object_get(eni, "VpcId")) ||
	    !strcmp(json_string_value(json_object_get(json_array_get(groups, 0), "GroupId")), id))
		return "nothing";
	json_array_append_new(groups, json_pack("{ss}", "GroupId", id));
	return "group given to an ENI";
}

/* Move a public address from one ENI to another of its VPC, or take it away. */
static const char *edit_public(struct rnd *r, json_t *root)
{
	json_t *from = any_guest(r, root), *to = any_guest(r, root);
	json_t *a = json_array_get(json_object_get(from, "PrivateIpAddresses"), 0);
	json_t *b = json_array_get(json_object_get(to, "PrivateIpAddresses"), 0);
	json_t *public = json_object_get(a, "Association");

	if (!public || from == to)
		return "nothing";
	if (json_equal(json_object_get(from, "VpcId"), json_object_get(to, "VpcId")) &&
	    !json_object_get(b, "Association"))
		json_object_set(b, "Association", public);
	json_object_del(a, "Association");
	return "public address moved";
}

static const char *edit_timeouts(struct rnd *r, json_t *root)
{
	struct plan g = {.r = r};
	json_t *eni = any_guest(r, root);

	json_object_del(eni, "ConnectionTrackingConfiguration");
	gen_timeouts(&g, eni);
	return "timeouts edited";
}

static const char *remove_eni(struct rnd *r, json_t *root)
{
	json_t *enis = json_object_get(root, "NetworkInterfaces"), *eni = any_guest(r, root), *port, *ports;
	size_t at, i;
	const char *id = json_string_value(json_object_get(eni, "NetworkInterfaceId"));

	for (at = 0; json_array_get(enis, at) != eni;)
		at++;
	ports = json_object_get(json_array_get(json_object_get(root, "Hosts"), 0), "Ports");
	if (json_array_size(enis) < 5)
		return "nothing";
	json_array_foreach (ports, i, port) {
		if (strcmp(json_string_value(json_object_get(port, "NetworkInterfaceId")), id))
			continue;
		json_array_remove(ports, i);
		break;
	}
	json_array_remove(enis, at);
	return "ENI removed";
}

static const char *break_state(struct rnd *r, json_t *root)
{
	json_t *sg = any_item(r, root, "SecurityGroups"), *twin;

	switch (rnd_below(r, 4)) {
	case 0:
		add(sg, "IpPermissions",
		    json_pack("{sssisis[{ss}]}", "IpProtocol", "tcp", "FromPort", 90, "ToPort", 80, "IpRanges",
			      "CidrIp", "0.0.0.0/0"));
		return "broken: empty port range";
	case 1:
		add(sg, "IpPermissions",
		    json_pack("{sss[{ss}]}", "IpProtocol", "-1", "IpRanges", "CidrIp", "10.0.0.0/33"));
		return "broken: CIDR of 33 bits";
	case 2:
		twin = json_deep_copy(sg);
		add(twin, "IpPermissions", all_permission(4));
		add(twin, "IpPermissions", all_permission(6));
		json_object_set_new(twin, "GroupName", json_string("another name"));
		add(root, "SecurityGroups", twin);
		return "broken: conflicting duplicate";
	default:
		json_object_set_new(any_item(r, root, "Vpcs"), "CidrBlock", json_integer(10));
		return "broken: CIDR is a number";
	}
}

/* A changed copy of the state, in words in *ret_what; *ret_broken: one that must be refused. */
json_t *gen_edit(struct rnd *r, json_t *state, const char **ret_what, bool *ret_broken)
{
	static const char *(*const edits[])(struct rnd *, json_t *) = {
		edit_group,  edit_group,    edit_group, edit_nacl,  edit_nacl,  edit_routes, edit_membership,
		edit_public, edit_timeouts, remove_eni, edit_gates, edit_gates, edit_gates,
	};
	json_t *copy = json_deep_copy(state);

	*ret_broken = rnd_chance(r, 10);
	*ret_what = *ret_broken ? break_state(r, copy) : edits[rnd_below(r, (int)ARRAY_SIZE(edits))](r, copy);
	return copy;
}
