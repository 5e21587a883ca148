/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What joins VPCs and leads out of them, read into plain lists: gateways with uplinks, NAT gateways, peerings, transit
 * gateways, block public access.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "world.h"

#define FIND(list, nr, name) \
	for (int i = 0; i < (nr); i++) \
		if (!strcmp((list)[i].id, name)) \
			return i; \
	return -1

static int find_tgw(const struct world *w, const char *id)
{
	FIND(w->tgw, w->nr_tgw, id);
}

static int find_attachment(const struct world *w, const char *id)
{
	FIND(w->attachment, w->nr_attachment, id);
}

static int find_tgw_table(const struct world *w, const char *id)
{
	FIND(w->tgw_table, w->nr_tgw_table, id);
}

/* ---- gateways with an uplink */

static struct gate *add_gate(struct world *w, enum gate_kind kind, const char *id)
{
	w->gate = realloc(w->gate, (size_t)(w->nr_gate + 1) * sizeof(*w->gate));
	struct gate *g = &w->gate[w->nr_gate++];

	*g = (struct gate){.kind = kind, .vpc = -1, .table = -1, .vgw = -1};
	copy_id(g->id, id);
	return g;
}

static void read_attached(struct world *w, json_t *root, const char *list, const char *key, enum gate_kind kind)
{
	size_t i;
	json_t *o;

	json_array_foreach (json_object_get(root, list), i, o) {
		struct gate *g = add_gate(w, kind, text_of(o, key));
		json_t *a = json_array_get(json_object_get(o, kind == GATE_VGW ? "VpcAttachments" : "Attachments"), 0);

		if (a && (state_is(a, "available") || state_is(a, "attached")) &&
		    (kind != GATE_VGW || state_is(o, "available")))
			g->vpc = find_vpc(w, text_of(a, "VpcId"));
	}
}

static void read_endpoints(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	json_array_foreach (json_object_get(root, "VpcEndpoints"), i, o) {
		struct gate *g;

		if (strcmp(text_of(o, "VpcEndpointType"), "Gateway"))
			continue;
		g = add_gate(w, GATE_ENDPOINT, text_of(o, "VpcEndpointId"));
		if (state_is(o, "available"))
			g->vpc = find_vpc(w, text_of(o, "VpcId"));
		g->tracks = strstr(text_of(o, "ServiceName"), "dynamodb");
	}
}

/* VGW-01, VGW-03: each connection knows its sites, and may have an uplink of its own. A gateway without connections is
 * reached by Direct Connect and forwards everything. */
static void read_vpns(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *r;

	for (int g = 0; g < w->nr_gate; g++)
		w->gate[g].any_site = w->gate[g].kind == GATE_VGW;
	json_array_foreach (json_object_get(root, "VpnConnections"), i, o) {
		int at = find_gate(w, text_of(o, "VpnGatewayId"));

		if (at < 0 || !state_is(o, "available"))
			continue;
		struct gate *g = add_gate(w, GATE_VGW, text_of(o, "VpnConnectionId"));

		g->vgw = at;
		g->vpc = w->gate[at].vpc;
		g->vpn = w->gate[at].vpn = true;
		w->gate[at].any_site = false;
		g->any_site = !json_is_true(json_object_get(json_object_get(o, "Options"), "StaticRoutesOnly"));
		json_array_foreach (json_object_get(o, "Routes"), k, r)
			if (g->nr_site < (int)ARRAY_SIZE(g->site) &&
			    !cidr_read(text_of(r, "DestinationCidrBlock"), &g->site[g->nr_site]))
				g->nr_site++;
	}
}

/* VGW-02: what its connections reach, as propagated routes of a table. */
static void propagate(struct world *w, struct table *t, int vgw)
{
	for (int i = 0; vgw >= 0 && i < w->nr_gate; i++)
		for (int k = 0; w->gate[i].vgw == vgw && k < w->gate[i].nr_site; k++) {
			t->route = realloc(t->route, (size_t)(t->nr_route + 1) * sizeof(*t->route));
			struct route *r = &t->route[t->nr_route++];

			*r = (struct route){.cidr = w->gate[i].site[k], .kind = TO_GATE, .propagated = true};
			copy_id(r->target, w->gate[vgw].id);
		}
}

static void read_propagation_of_vgws(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *p;

	json_array_foreach (json_object_get(root, "RouteTables"), i, o)
		json_array_foreach (json_object_get(o, "PropagatingVgws"), k, p)
			propagate(w, &w->table[i], find_gate(w, text_of(p, "GatewayId")));
}

/* ---- NAT gateways and peerings */

static void read_nats(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *a;

	w->nat = list_new(root, "NatGateways", sizeof(*w->nat), &w->nr_nat);
	json_array_foreach (json_object_get(root, "NatGateways"), i, o) {
		struct nat *n = &w->nat[w->nr_nat++];
		int fam;

		copy_id(n->id, text_of(o, "NatGatewayId"));
		n->number = eni_number(n->id);
		n->vpc = find_vpc(w, text_of(o, "VpcId"));
		n->subnet = find_subnet(w, text_of(o, "SubnetId"));
		n->eni = -1;
		n->available = state_is(o, "available");
		n->deleting = *text_of(o, "State") && state_is(o, "deleting");
		json_array_foreach (json_object_get(o, "NatGatewayAddresses"), k, a) {
			if (n->eni < 0 || json_is_true(json_object_get(a, "IsPrimary")))
				n->eni = find_eni(w, text_of(a, "NetworkInterfaceId"));
			if (n->nr_addr < (int)ARRAY_SIZE(n->addr) &&
			    (!*text_of(a, "Status") || !strcmp(text_of(a, "Status"), "succeeded")) &&
			    !ip_read(text_of(a, "PrivateIp"), &fam, &n->addr[n->nr_addr]))
				n->nr_addr++;
		}
	}
}

static void read_peerings(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	w->peering = list_new(root, "VpcPeeringConnections", sizeof(*w->peering), &w->nr_peering);
	json_array_foreach (json_object_get(root, "VpcPeeringConnections"), i, o) {
		struct peering *x = &w->peering[w->nr_peering++];

		copy_id(x->id, text_of(o, "VpcPeeringConnectionId"));
		x->active = !strcmp(text_of(json_object_get(o, "Status"), "Code"), "active");
		const char *a = text_of(json_object_get(o, "RequesterVpcInfo"), "Region");
		const char *b = text_of(json_object_get(o, "AccepterVpcInfo"), "Region");

		x->far = *a && *b && strcmp(a, b);
		x->vpc[0] = find_vpc(w, text_of(json_object_get(o, "RequesterVpcInfo"), "VpcId"));
		x->vpc[1] = find_vpc(w, text_of(json_object_get(o, "AccepterVpcInfo"), "VpcId"));
	}
}

/* ---- transit gateways */

static bool is_enabled(json_t *o, const char *key, bool fallback)
{
	const char *s = text_of(json_object_get(o, "Options"), key);

	return *s ? !strcmp(s, "enable") : fallback;
}

static void read_tgws(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	w->tgw = list_new(root, "TransitGateways", sizeof(*w->tgw), &w->nr_tgw);
	json_array_foreach (json_object_get(root, "TransitGateways"), i, o) {
		struct tgw *t = &w->tgw[w->nr_tgw++];

		copy_id(t->id, text_of(o, "TransitGatewayId"));
		t->available = state_is(o, "available");
		t->refs = is_enabled(o, "SecurityGroupReferencingSupport", false);
	}
	w->tgw_table = list_new(root, "TransitGatewayRouteTables", sizeof(*w->tgw_table), &w->nr_tgw_table);
	json_array_foreach (json_object_get(root, "TransitGatewayRouteTables"), i, o)
		copy_id(w->tgw_table[w->nr_tgw_table++].id, text_of(o, "TransitGatewayRouteTableId"));
}

static void read_attachments(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *s;

	w->attachment = list_new(root, "TransitGatewayVpcAttachments", sizeof(*w->attachment), &w->nr_attachment);
	json_array_foreach (json_object_get(root, "TransitGatewayVpcAttachments"), i, o) {
		struct attachment *a = &w->attachment[w->nr_attachment++];

		copy_id(a->id, text_of(o, "TransitGatewayAttachmentId"));
		a->tgw = find_tgw(w, text_of(o, "TransitGatewayId"));
		a->vpc = find_vpc(w, text_of(o, "VpcId"));
		a->table = -1;
		a->available = state_is(o, "available");
		a->refs = is_enabled(o, "SecurityGroupReferencingSupport", true);
		a->appliance = is_enabled(o, "ApplianceModeSupport", false);
		a->ipv6 = is_enabled(o, "Ipv6Support", false);
		json_array_foreach (json_object_get(o, "SubnetIds"), k, s) {
			int at = find_subnet(w, json_string_value(s));

			if (at >= 0 && a->nr_subnet < (int)ARRAY_SIZE(a->subnet))
				a->subnet[a->nr_subnet++] = at;
		}
	}
	json_array_foreach (json_object_get(root, "TransitGatewayAttachments"), i, o) {
		int at = find_attachment(w, text_of(o, "TransitGatewayAttachmentId"));
		json_t *x = json_object_get(o, "Association");

		if (at >= 0 && x && state_is(x, "associated"))
			w->attachment[at].table = find_tgw_table(w, text_of(x, "TransitGatewayRouteTableId"));
		if (at >= 0 && !state_is(o, "available"))
			w->attachment[at].available = false;
	}
}

static void add_tgw_route(struct tgw_table *t, const struct cidr *c, enum tgw_rank rank, int attachment, bool blackhole)
{
	t->route = realloc(t->route, (size_t)(t->nr_route + 1) * sizeof(*t->route));
	t->route[t->nr_route++] = (struct tgw_route){*c, rank, attachment, blackhole};
}

static void read_static_routes(struct world *w, json_t *o)
{
	int at = find_tgw_table(w, text_of(o, "TransitGatewayRouteTableId"));
	size_t k;
	json_t *r;

	json_array_foreach (json_object_get(o, "Routes"), k, r) {
		json_t *a = json_array_get(json_object_get(r, "TransitGatewayAttachments"), 0);
		struct cidr c;

		if (at >= 0 && !cidr_read(text_of(r, "DestinationCidrBlock"), &c))
			add_tgw_route(&w->tgw_table[at], &c,
				      strcmp(text_of(r, "Type"), "propagated") ? TGW_STATIC : TGW_PROPAGATED,
				      find_attachment(w, text_of(a, "TransitGatewayAttachmentId")),
				      !strcmp(text_of(r, "State"), "blackhole"));
	}
}

static void read_list_reference(struct world *w, json_t *o)
{
	int at = find_tgw_table(w, text_of(o, "TransitGatewayRouteTableId"));
	int l = find_list(w, text_of(o, "PrefixListId"));
	json_t *a = json_object_get(o, "TransitGatewayAttachment");

	for (int i = 0; at >= 0 && l >= 0 && i < w->list[l].nr_cidr; i++)
		add_tgw_route(&w->tgw_table[at], &w->list[l].cidr[i], TGW_LIST,
			      find_attachment(w, text_of(a, "TransitGatewayAttachmentId")),
			      json_is_true(json_object_get(o, "Blackhole")));
}

/* TGW-07: a VPC attachment propagates its VPC's CIDRs, IPv6 ones if it carries IPv6. */
static void read_propagation(struct world *w, json_t *o)
{
	int at = find_tgw_table(w, text_of(o, "TransitGatewayRouteTableId"));
	size_t k;
	json_t *p;

	json_array_foreach (json_object_get(o, "TransitGatewayRouteTablePropagations"), k, p) {
		int x = find_attachment(w, text_of(p, "TransitGatewayAttachmentId"));

		if (at < 0 || x < 0 || !state_is(p, "enabled") || w->attachment[x].vpc < 0)
			continue;
		const struct vpc *v = &w->vpc[w->attachment[x].vpc];

		for (int i = 0; i < v->nr_cidr; i++)
			if (v->cidr[i].fam == 4 || w->attachment[x].ipv6)
				add_tgw_route(&w->tgw_table[at], &v->cidr[i], TGW_PROPAGATED, x, false);
	}
}

static void read_tgw_routes(struct world *w, json_t *root)
{
	size_t i;
	json_t *o;

	json_array_foreach (json_object_get(root, "TransitGatewayRoutes"), i, o)
		read_static_routes(w, o);
	json_array_foreach (json_object_get(root, "TransitGatewayPrefixListReferences"), i, o)
		read_list_reference(w, o);
	json_array_foreach (json_object_get(root, "TransitGatewayPropagations"), i, o)
		read_propagation(w, o);
}

/* ---- block public access */

enum bpa_mode bpa_mode(const char *word, enum bpa_mode absent)
{
	if (!strcmp(word, "block-bidirectional"))
		return BPA_BIDIRECTIONAL;
	if (!strcmp(word, "block-ingress"))
		return BPA_INGRESS;
	return *word ? BPA_OFF : absent;
}

static void read_bpa(struct world *w, json_t *root)
{
	json_t *options = json_object_get(root, "VpcBlockPublicAccessOptions"), *o;
	const char *mode = text_of(options, "InternetGatewayBlockMode");
	size_t i;

	w->bpa = bpa_mode(mode, BPA_OFF);
	w->exclusion = list_new(root, "VpcBlockPublicAccessExclusions", sizeof(*w->exclusion), &w->nr_exclusion);
	json_array_foreach (json_object_get(root, "VpcBlockPublicAccessExclusions"), i, o) {
		struct exclusion *x = &w->exclusion[w->nr_exclusion];
		const char *id = strrchr(text_of(o, "ResourceArn"), '/');

		if (!id)
			continue;
		copy_id(x->id, id + 1);
		x->bidirectional = !strcmp(text_of(o, "InternetGatewayExclusionMode"), "allow-bidirectional");
		w->nr_exclusion++;
	}
}

void read_gateways(struct world *w, json_t *root)
{
	read_attached(w, root, "InternetGateways", "InternetGatewayId", GATE_IGW);
	read_attached(w, root, "EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId", GATE_EIGW);
	read_attached(w, root, "VpnGateways", "VpnGatewayId", GATE_VGW);
	read_endpoints(w, root);
	read_vpns(w, root);
	read_propagation_of_vgws(w, root);
	read_nats(w, root);
	read_peerings(w, root);
	read_tgws(w, root);
	read_attachments(w, root);
	read_tgw_routes(w, root);
	read_bpa(w, root);
}

/* RT-18: tables that are associated with a gateway. */
void read_gate_tables(struct world *w, json_t *root)
{
	size_t i, k;
	json_t *o, *a;

	json_array_foreach (json_object_get(root, "RouteTables"), i, o)
		json_array_foreach (json_object_get(o, "Associations"), k, a) {
			int at = find_gate(w, text_of(a, "GatewayId"));

			if (at >= 0 && state_is(json_object_get(a, "AssociationState"), "associated"))
				w->gate[at].table = (int)i;
		}
	for (int g = 0; g < w->nr_gate; g++)
		if (w->gate[g].vgw >= 0)
			w->gate[g].table = w->gate[w->gate[g].vgw].table;
}

void free_gateways(struct world *w)
{
	for (int i = 0; i < w->nr_tgw_table; i++)
		free(w->tgw_table[i].route);
	free(w->gate);
	free(w->nat);
	free(w->peering);
	free(w->tgw);
	free(w->attachment);
	free(w->tgw_table);
	free(w->exclusion);
}
