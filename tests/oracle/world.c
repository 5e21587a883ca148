/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The desired state (SEMANTICS section 18) read into plain lists. Only what the model judges by is read; a state that
 * the generator broke on purpose is told apart by world_read() refusing conflicting duplicates (JSON-06).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "world.h"

const char *text_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

bool state_is(json_t *o, const char *wanted)
{
	const char *s = text_of(o, "State");

	return !*s || !strcasecmp(s, wanted);
}

void copy_id(char *to, const char *from)
{
	snprintf(to, ID_LEN, "%s", from);
}

void *list_new(json_t *root, const char *key, size_t size, int *ret_nr)
{
	*ret_nr = 0;
	return calloc(json_array_size(json_object_get(root, key)) + 1, size);
}

/* Numbers stay with an ENI's id as long as the process lives: what is remembered is keyed by them. */
int eni_number(const char *id)
{
	static char(*names)[ID_LEN];
	static int nr, room;

	for (int i = nr - 1; i >= 0; i--)
		if (!strcmp(names[i], id))
			return i;
	if (nr == room) {
		room = room ? room * 2 : 64;
		names = realloc(names, (size_t)room * ID_LEN);
	}
	copy_id(names[nr], id);
	return nr++;
}

#define FIND(list, nr, name) \
	for (int i = 0; i < (nr); i++) \
		if (!strcmp((list)[i].id, name)) \
			return i; \
	return -1

int find_vpc(const struct world *w, const char *id)
{
	FIND(w->vpc, w->nr_vpc, id);
}

int find_subnet(const struct world *w, const char *id)
{
	FIND(w->subnet, w->nr_subnet, id);
}

int find_eni(const struct world *w, const char *id)
{
	FIND(w->eni, w->nr_eni, id);
}

static int find_group(const struct world *w, const char *id)
{
	FIND(w->group, w->nr_group, id);
}

int find_list(const struct world *w, const char *id)
{
	FIND(w->list, w->nr_list, id);
}

int find_gate(const struct world *w, const char *id)
{
	FIND(w->gate, w->nr_gate, id);
}

static void read_cidrs(json_t *set, const char *key, const char *state_key, struct cidr *cidr, int max, int *nr)
{
	size_t i;
	json_t *o;

	json_array_foreach (set, i, o) {
		struct cidr c;

		if (*nr >= max || !state_is(json_object_get(o, state_key), "associated"))
			continue;
		if (cidr_read(text_of(o, key), &c))
			continue;
		bool known = false;

		for (int k = 0; k < *nr; k++)
			known |= !memcmp(&cidr[k], &c, sizeof(c));
		if (!known)
			cidr[(*nr)++] = c;
	}
}

static void read_vpcs(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	w->vpc = list_new(root, "Vpcs", sizeof(*w->vpc), &w->nr_vpc);
	json_array_foreach (json_object_get(root, "Vpcs"), i, o) {
		struct vpc *v = &w->vpc[w->nr_vpc++];

		copy_id(v->id, text_of(o, "VpcId"));
		copy_id(v->bpa, text_of(json_object_get(o, "BlockPublicAccessStates"), "InternetGatewayBlockMode"));
		if (!cidr_read(text_of(o, "CidrBlock"), &v->cidr[0]))
			v->nr_cidr = 1;
		read_cidrs(json_object_get(o, "CidrBlockAssociationSet"), "CidrBlock", "CidrBlockState", v->cidr,
			   (int)ARRAY_SIZE(v->cidr), &v->nr_cidr);
		read_cidrs(json_object_get(o, "Ipv6CidrBlockAssociationSet"), "Ipv6CidrBlock", "Ipv6CidrBlockState",
			   v->cidr, (int)ARRAY_SIZE(v->cidr), &v->nr_cidr);
	}
}

static void read_subnets(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	w->subnet = list_new(root, "Subnets", sizeof(*w->subnet), &w->nr_subnet);
	json_array_foreach (json_object_get(root, "Subnets"), i, o) {
		struct subnet *s = &w->subnet[w->nr_subnet++];

		copy_id(s->id, text_of(o, "SubnetId"));
		s->vpc = find_vpc(w, text_of(o, "VpcId"));
		copy_id(s->az, text_of(o, "AvailabilityZone"));
		s->nacl = s->table = -1;
		if (!cidr_read(text_of(o, "CidrBlock"), &s->cidr[0]))
			s->nr_cidr = 1;
		read_cidrs(json_object_get(o, "Ipv6CidrBlockAssociationSet"), "Ipv6CidrBlock", "Ipv6CidrBlockState",
			   s->cidr, (int)ARRAY_SIZE(s->cidr), &s->nr_cidr);
	}
}

/* SG-05: names and numbers are synonyms. */
static int protocol_of(const char *s)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {{"tcp", P_TCP}, {"udp", P_UDP}, {"icmp", P_ICMP}, {"icmpv6", P_ICMP6}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(s, names[i].name))
			return names[i].number;
	return atoi(s);
}

static struct sg_rule *add_rule(struct group *g, json_t *perm, bool egress)
{
	g->rule = realloc(g->rule, (size_t)(g->nr_rule + 1) * sizeof(*g->rule));
	struct sg_rule *r = &g->rule[g->nr_rule++];
	json_t *from = json_object_get(perm, "FromPort"), *to = json_object_get(perm, "ToPort");

	memset(r, 0, sizeof(*r));
	r->egress = egress;
	r->proto = protocol_of(text_of(perm, "IpProtocol"));
	r->from = from && !json_is_null(from) ? (int)json_integer_value(from) : -1;
	r->to = to && !json_is_null(to) ? (int)json_integer_value(to) : -1;
	return r;
}

static void read_permission(struct group *g, json_t *perm, bool egress)
{
	static const struct {
		const char *list, *key;
		enum peer_kind kind;
	} peers[] = {{"IpRanges", "CidrIp", PEER_CIDR},
		     {"Ipv6Ranges", "CidrIpv6", PEER_CIDR},
		     {"PrefixListIds", "PrefixListId", PEER_LIST},
		     {"UserIdGroupPairs", "GroupId", PEER_GROUP}};

	for (size_t k = 0; k < ARRAY_SIZE(peers); k++) {
		size_t i;
		json_t *o;

		json_array_foreach (json_object_get(perm, peers[k].list), i, o) {
			struct sg_rule *r = add_rule(g, perm, egress);

			r->kind = peers[k].kind;
			if (r->kind != PEER_CIDR)
				copy_id(r->ref, text_of(o, peers[k].key));
			else if (cidr_read(text_of(o, peers[k].key), &r->cidr))
				g->nr_rule--;
		}
	}
}

static void read_groups(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *perm;

	w->group = list_new(root, "SecurityGroups", sizeof(*w->group), &w->nr_group);
	json_array_foreach (json_object_get(root, "SecurityGroups"), i, o) {
		struct group *g = &w->group[w->nr_group++];

		copy_id(g->id, text_of(o, "GroupId"));
		copy_id(g->vpc, text_of(o, "VpcId"));
		json_array_foreach (json_object_get(o, "IpPermissions"), k, perm)
			read_permission(g, perm, false);
		json_array_foreach (json_object_get(o, "IpPermissionsEgress"), k, perm)
			read_permission(g, perm, true);
	}
	json_array_foreach (json_object_get(root, "SecurityGroupRules"), i, o) {
		int at = find_group(w, text_of(o, "GroupId"));
		json_t *ref = json_object_get(o, "ReferencedGroupInfo");
		const char *cidr = *text_of(o, "CidrIpv4") ? text_of(o, "CidrIpv4") : text_of(o, "CidrIpv6");

		if (at < 0)
			continue;
		struct sg_rule *r = add_rule(&w->group[at], o, json_is_true(json_object_get(o, "IsEgress")));

		if (*cidr && !cidr_read(cidr, &r->cidr))
			continue;
		r->kind = ref ? PEER_GROUP : PEER_LIST;
		copy_id(r->ref, ref ? text_of(ref, "GroupId") : text_of(o, "PrefixListId"));
	}
}

static void add_cidr(struct prefix_list *l, const char *text)
{
	struct cidr c;

	if (cidr_read(text, &c))
		return;
	l->cidr = realloc(l->cidr, (size_t)(l->nr_cidr + 1) * sizeof(c));
	l->cidr[l->nr_cidr++] = c;
}

static void read_lists(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *e;

	w->list = list_new(root, "PrefixLists", sizeof(*w->list), &w->nr_list);
	json_array_foreach (json_object_get(root, "PrefixLists"), i, o) {
		struct prefix_list *l = &w->list[w->nr_list++];

		copy_id(l->id, text_of(o, "PrefixListId"));
		json_array_foreach (json_object_get(o, "Cidrs"), k, e)
			add_cidr(l, json_string_value(e));
	}
	json_array_foreach (json_object_get(root, "ManagedPrefixListEntries"), i, o) {
		int at = find_list(w, text_of(o, "PrefixListId"));

		if (at < 0)
			continue;
		json_array_foreach (json_object_get(o, "Entries"), k, e)
			add_cidr(&w->list[at], text_of(e, "Cidr"));
	}
}

static int int_of(json_t *o, const char *key, int fallback)
{
	json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int)json_integer_value(v) : fallback;
}

static void read_nacl_entry(struct nacl *n, json_t *o)
{
	struct nacl_entry *e = &n->entry[n->nr_entry++];
	json_t *ports = json_object_get(o, "PortRange"), *icmp = json_object_get(o, "IcmpTypeCode");
	const char *cidr = *text_of(o, "CidrBlock") ? text_of(o, "CidrBlock") : text_of(o, "Ipv6CidrBlock");

	e->number = int_of(o, "RuleNumber", 0);
	e->egress = json_is_true(json_object_get(o, "Egress"));
	e->allow = !strcmp(text_of(o, "RuleAction"), "allow");
	e->proto = atoi(text_of(o, "Protocol"));
	e->ports = json_is_object(ports);
	e->from = int_of(ports, "From", 0);
	e->to = int_of(ports, "To", 65535);
	e->type = int_of(icmp, "Type", -1);
	e->code = int_of(icmp, "Code", -1);
	if (cidr_read(cidr, &e->cidr))
		n->nr_entry--;
}

static void read_nacls(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *e;

	w->nacl = list_new(root, "NetworkAcls", sizeof(*w->nacl), &w->nr_nacl);
	json_array_foreach (json_object_get(root, "NetworkAcls"), i, o) {
		struct nacl *n = &w->nacl[w->nr_nacl];

		copy_id(n->id, text_of(o, "NetworkAclId"));
		n->vpc = find_vpc(w, text_of(o, "VpcId"));
		n->is_default = json_is_true(json_object_get(o, "IsDefault"));
		n->entry = calloc(json_array_size(json_object_get(o, "Entries")) + 1, sizeof(*n->entry));
		json_array_foreach (json_object_get(o, "Entries"), k, e)
			read_nacl_entry(n, e);
		for (int s = 0; n->is_default && s < w->nr_subnet; s++)
			if (w->subnet[s].vpc == n->vpc && w->subnet[s].nacl < 0)
				w->subnet[s].nacl = w->nr_nacl;
		w->nr_nacl++;
	}
	for (int n = 0; n < w->nr_nacl; n++) {
		o = json_array_get(json_object_get(root, "NetworkAcls"), (size_t)n);
		json_array_foreach (json_object_get(o, "Associations"), k, e) {
			int s = find_subnet(w, text_of(e, "SubnetId"));

			if (s >= 0)
				w->subnet[s].nacl = n;
		}
	}
}

static bool object_with(json_t *root, const char *list, const char *key, const char *id, json_t **ret_object)
{
	size_t i;
	json_t *o;

	json_array_foreach (json_object_get(root, list), i, o) {
		if (strcmp(text_of(o, key), id))
			continue;
		*ret_object = o;
		return true;
	}
	return false;
}

static void read_target(struct route *r, json_t *o)
{
	static const char *const keys[] = {"GatewayId",        "NetworkInterfaceId",
					   "NatGatewayId",     "VpcPeeringConnectionId",
					   "TransitGatewayId", "EgressOnlyInternetGatewayId"};
	static const enum target_kind kinds[] = {TO_GATE, TO_ENI, TO_NAT, TO_PEERING, TO_TGW, TO_GATE};

	r->kind = TO_NOTHING;
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		const char *id = text_of(o, keys[k]);

		if (!*id)
			continue;
		copy_id(r->target, id);
		r->kind = !strcmp(id, "local") ? TO_LOCAL : kinds[k];
		return;
	}
}

static void read_route(struct table *t, json_t *o)
{
	struct route *r = &t->route[t->nr_route];
	const char *cidr = *text_of(o, "DestinationCidrBlock") ? text_of(o, "DestinationCidrBlock")
							       : text_of(o, "DestinationIpv6CidrBlock");

	copy_id(r->list, text_of(o, "DestinationPrefixListId"));
	if (!*r->list && cidr_read(cidr, &r->cidr))
		return;
	read_target(r, o);
	r->blackhole = !strcmp(text_of(o, "State"), "blackhole");
	r->filtered = !strcmp(text_of(o, "State"), "filtered");
	r->propagated = !strcmp(text_of(o, "Origin"), "EnableVgwRoutePropagation") ||
			!strcmp(text_of(o, "Origin"), "Advertisement");
	t->nr_route++;
}

static void associate_table(struct world *w, int table, json_t *o, bool main_pass)
{
	size_t k;
	json_t *a;

	json_array_foreach (json_object_get(o, "Associations"), k, a) {
		if (!state_is(json_object_get(a, "AssociationState"), "associated"))
			continue;
		for (int s = 0; s < w->nr_subnet; s++) {
			bool here = main_pass ? json_is_true(json_object_get(a, "Main")) &&
							w->subnet[s].vpc == w->table[table].vpc
					      : !strcmp(text_of(a, "SubnetId"), w->subnet[s].id);
			if (here)
				w->subnet[s].table = table;
		}
	}
}

static void read_tables(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *e, *list = json_object_get(root, "RouteTables");

	w->table = list_new(root, "RouteTables", sizeof(*w->table), &w->nr_table);
	json_array_foreach (list, i, o) {
		struct table *t = &w->table[w->nr_table++];

		copy_id(t->id, text_of(o, "RouteTableId"));
		t->vpc = find_vpc(w, text_of(o, "VpcId"));
		t->route = calloc(json_array_size(json_object_get(o, "Routes")) + 1, sizeof(*t->route));
		json_array_foreach (json_object_get(o, "Routes"), k, e)
			read_route(t, e);
	}
	for (int pass = 1; pass >= 0; pass--)
		json_array_foreach (list, i, o)
			associate_table(w, (int)i, o, pass);
}

static void read_eni_addresses(struct eni *e, json_t *o)
{
	size_t k;
	json_t *a;

	json_array_foreach (json_object_get(o, "PrivateIpAddresses"), k, a) {
		struct own_ip *own = &e->ip[e->nr_ip];
		const char *public = text_of(json_object_get(a, "Association"), "PublicIp");
		int fam;

		if (e->nr_ip == ARRAY_SIZE(e->ip) || ip_read(text_of(a, "PrivateIpAddress"), &own->fam, &own->ip))
			continue;
		own->has_public = *public && !ip_read(public, &fam, &own->public);
		e->nr_ip++;
	}
	if (!e->nr_ip && !ip_read(text_of(o, "PrivateIpAddress"), &e->ip[0].fam, &e->ip[0].ip))
		e->nr_ip = 1;
	json_array_foreach (json_object_get(o, "Ipv6Addresses"), k, a)
		if (e->nr_ip < (int)ARRAY_SIZE(e->ip) &&
		    !ip_read(text_of(a, "Ipv6Address"), &e->ip[e->nr_ip].fam, &e->ip[e->nr_ip].ip))
			e->nr_ip++;
	read_cidrs(json_object_get(o, "Ipv4Prefixes"), "Ipv4Prefix", "", e->prefix, (int)ARRAY_SIZE(e->prefix),
		   &e->nr_prefix);
	read_cidrs(json_object_get(o, "Ipv6Prefixes"), "Ipv6Prefix", "", e->prefix, (int)ARRAY_SIZE(e->prefix),
		   &e->nr_prefix);
}

static void read_enis(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *g;

	w->eni = list_new(root, "NetworkInterfaces", sizeof(*w->eni), &w->nr_eni);
	json_array_foreach (json_object_get(root, "NetworkInterfaces"), i, o) {
		struct eni *e = &w->eni[w->nr_eni++];
		json_t *check = json_object_get(o, "SourceDestCheck");
		json_t *times = json_object_get(o, "ConnectionTrackingConfiguration");

		copy_id(e->id, text_of(o, "NetworkInterfaceId"));
		e->number = eni_number(e->id);
		e->vpc = find_vpc(w, text_of(o, "VpcId"));
		e->subnet = find_subnet(w, text_of(o, "SubnetId"));
		mac_read(text_of(o, "MacAddress"), e->mac);
		e->check = !check || json_is_null(check) || json_is_true(check);
		e->live = (!*text_of(o, "Status") || !strcmp(text_of(o, "Status"), "in-use")) &&
			  (!json_object_get(o, "Attachment") ||
			   !strcmp(text_of(json_object_get(o, "Attachment"), "Status"), "attached"));
		e->deny_igw = json_is_true(json_object_get(o, "DenyAllIgwTraffic"));
		read_eni_addresses(e, o);
		json_array_foreach (json_object_get(o, "Groups"), k, g)
			if (e->nr_group < (int)ARRAY_SIZE(e->group))
				copy_id(e->group[e->nr_group++], text_of(g, "GroupId"));
		e->endpoint = !strcmp(text_of(o, "InterfaceType"), "vpc_endpoint");
		e->compute = e->nr_group || !strcmp(text_of(o, "InterfaceType"), "interface");
		e->tcp_established = int_of(times, "TcpEstablishedTimeout", 432000);
		e->udp_stream = int_of(times, "UdpStreamTimeout", 180);
		e->udp = int_of(times, "UdpTimeout", 30);
	}
}

static void read_host(struct world *w, json_t *root, const char *host)
{
	size_t i;
	json_t *h, *o;

	mac_read("02:65:6e:69:64:01", w->router_mac);
	if (!object_with(root, "Hosts", "HostId", host, &h))
		return;
	if (*text_of(h, "RouterMacAddress"))
		mac_read(text_of(h, "RouterMacAddress"), w->router_mac);
	json_array_foreach (json_object_get(h, "Ports"), i, o) {
		int at = find_eni(w, text_of(o, "NetworkInterfaceId"));

		if (at < 0)
			continue;
		w->eni[at].port = true;
		w->eni[at].mtu = int_of(o, "Mtu", 9001);
		w->eni[at].instance = !strcmp(text_of(o, "Side"), "instance");
		w->eni[at].guard = w->eni[at].instance || !strcmp(text_of(o, "Mode"), "guard");
	}
	json_array_foreach (json_object_get(h, "Uplinks"), i, o) {
		int at = find_gate(w, text_of(o, "GatewayId"));

		if (at < 0)
			continue;
		w->gate[at].uplink = true;
		w->gate[at].mtu = int_of(o, "Mtu", 0);
	}
}

static uint64_t digest(uint64_t h, const void *data, size_t n)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ULL;
	return h;
}

/* The rules of an ENI's groups and the entries of the lists they name: what admitted its untracked flows (CT-21). */
static void digest_policy(struct world *w, struct eni *e)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (int i = 0; i < e->nr_group; i++) {
		int at = find_group(w, e->group[i]);

		h = digest(h, e->group[i], strlen(e->group[i]));
		for (int k = 0; at >= 0 && k < w->group[at].nr_rule; k++) {
			const struct sg_rule *r = &w->group[at].rule[k];
			int l = r->kind == PEER_LIST ? find_list(w, r->ref) : -1;

			h = digest(h, r, sizeof(*r));
			if (l >= 0)
				h = digest(h, w->list[l].cidr, (size_t)w->list[l].nr_cidr * sizeof(struct cidr));
		}
	}
	e->policy = h;
}

/* JSON-06: the same id twice with different content. */
static bool has_conflict(json_t *root)
{
	static const char *const lists[][2] = {{"Vpcs", "VpcId"},
					       {"Subnets", "SubnetId"},
					       {"SecurityGroups", "GroupId"},
					       {"NetworkAcls", "NetworkAclId"},
					       {"RouteTables", "RouteTableId"},
					       {"NetworkInterfaces", "NetworkInterfaceId"}};

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		json_t *list = json_object_get(root, lists[l][0]);

		for (size_t i = 0; i < json_array_size(list); i++)
			for (size_t k = 0; k < i; k++) {
				json_t *a = json_array_get(list, i), *b = json_array_get(list, k);

				if (!strcmp(text_of(a, lists[l][1]), text_of(b, lists[l][1])) && !json_equal(a, b))
					return true;
			}
	}
	return false;
}

/* The other ways in which the generator breaks a state: a port range or a CIDR that cannot be. */
static bool has_bad_value(json_t *root)
{
	size_t i, k, n;
	json_t *o, *perm, *range;

	json_array_foreach (json_object_get(root, "Vpcs"), i, o)
		if (!json_is_string(json_object_get(o, "CidrBlock")))
			return true;
	json_array_foreach (json_object_get(root, "SecurityGroups"), i, o)
		json_array_foreach (json_object_get(o, "IpPermissions"), k, perm) {
			int proto = protocol_of(text_of(perm, "IpProtocol"));

			if ((proto == P_TCP || proto == P_UDP) &&
			    int_of(perm, "FromPort", -1) > int_of(perm, "ToPort", -1))
				return true;
			json_array_foreach (json_object_get(perm, "IpRanges"), n, range) {
				struct cidr c;

				if (cidr_read(text_of(range, "CidrIp"), &c))
					return true;
			}
		}
	return false;
}

int world_read(json_t *root, const char *host, struct world **ret_world)
{
	struct world *w;

	if (!json_is_object(root) || has_conflict(root) || has_bad_value(root))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	read_vpcs(w, root);
	read_subnets(w, root);
	read_groups(w, root);
	read_lists(w, root);
	read_nacls(w, root);
	read_enis(w, root);
	read_tables(w, root);
	read_gateways(w, root);
	read_gate_tables(w, root);
	read_host(w, root, host);
	for (int i = 0; i < w->nr_eni; i++)
		digest_policy(w, &w->eni[i]);
	*ret_world = w;
	return 0;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->nr_group; i++)
		free(w->group[i].rule);
	for (int i = 0; i < w->nr_list; i++)
		free(w->list[i].cidr);
	for (int i = 0; i < w->nr_nacl; i++)
		free(w->nacl[i].entry);
	for (int i = 0; i < w->nr_table; i++)
		free(w->table[i].route);
	free(w->vpc);
	free(w->subnet);
	free(w->group);
	free(w->list);
	free(w->nacl);
	free(w->table);
	free(w->eni);
	free_gateways(w);
	free(w);
}
