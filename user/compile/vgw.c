/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Virtual private gateways: which of them there are, and which of their tunnels leads where (VGW-01..VGW-08). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/work.h"
#include "state/cidr.h"

static bool belongs(const struct vpn_connection *connection, const struct gateway *vgw)
{
	return connection->available && connection->vgw == vgw;
}

/* VGW-03: what is known of a prefix, best first. */
enum vgw_rank { VGW_LOCAL, VGW_STATIC, VGW_LEARNED };

/* A prefix, and by which uplink it is reached. */
struct site {
	struct cidr cidr;
	enum vgw_rank rank;
	const char *uplink;
	bool here; /* this host has it */
};

struct vgw_work {
	struct image_work *work;
	const struct gateway *vgw;
	struct site *sites;
	size_t nr, room;
	struct uplinks dynamic; /* of dynamic connections; of the gateway itself if it has none */
	bool any;               /* has connections at all; else it is reached by Direct Connect */
	bool learns;
};

static int add_site(struct vgw_work *vgw, const struct cidr *cidr, enum vgw_rank rank, const char *uplink)
{
	const struct vpc *vpc = vgw->vgw->vpc;

	/* An address of the VPC is never beyond the gateway (RT-04, VGW-07), whatever a site says it has. */
	for (size_t i = 0; i < vpc->nr_cidrs; i++)
		if (cidr_contains(vpc->cidrs + i, cidr))
			return 0;
	if (vgw->nr == vgw->room) {
		size_t room = vgw->room ? vgw->room * 2 : 64;
		struct site *sites = reallocarray(vgw->sites, room, sizeof(*sites));

		if (!sites)
			return -ENOMEM;
		vgw->sites = sites;
		vgw->room = room;
	}
	vgw->sites[vgw->nr++] =
		(struct site){.cidr = *cidr, .rank = rank, .uplink = uplink, .here = has_uplink(vgw->work, uplink)};
	return 0;
}

/* The device of a connection, else the one that serves the whole gateway. */
static const char *uplink_of(const struct vgw_work *vgw, const struct vpn_connection *connection)
{
	return has_uplink(vgw->work, connection->id) ? connection->id : vgw->vgw->id;
}

static int add_connections(struct vgw_work *vgw)
{
	const struct state_extra *extra = work_extra(vgw->work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_vpn_connections && !r; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (!belongs(connection, vgw->vgw))
			continue;
		vgw->any = true;
		if (!connection->static_only)
			uplinks_add(&vgw->dynamic, uplink_of(vgw, connection));
		for (size_t k = 0; k < connection->nr_routes && !r; k++)
			r = add_site(vgw, connection->routes + k, VGW_STATIC, uplink_of(vgw, connection));
	}
	/* VGW-01: one with a dynamic connection, or without any that is listed, forwards whatever a route sends to it.
	 */
	vgw->learns = !vgw->any || vgw->dynamic.nr;
	if (!vgw->dynamic.nr)
		uplinks_add(&vgw->dynamic, vgw->vgw->id);
	return r;
}

static int add_learned(struct vgw_work *vgw, const struct cidr *cidr)
{
	int r = 0;

	for (size_t i = 0; i < vgw->dynamic.nr && !r; i++)
		r = add_site(vgw, cidr, VGW_LEARNED, vgw->dynamic.ids[i]);
	return r;
}

/* Destinations of propagated routes count as learned. */
static int add_propagated(struct vgw_work *vgw)
{
	int r = 0;

	for (size_t t = 0; t < vgw->work->state->nr_tables; t++) {
		const struct route_table *table = vgw->work->state->tables + t;

		for (size_t i = 0; i < table->nr_routes && !r; i++)
			if (table->routes[i].origin == ORIGIN_PROPAGATED && table->routes[i].gateway == vgw->vgw &&
			    table->routes[i].cidr.family == 4)
				r = add_learned(vgw, &table->routes[i].cidr);
	}
	return r;
}

/* Outer prefixes before inner ones, then the best first. */
static int compare_sites(const void *a, const void *b)
{
	const struct site *x = a, *y = b;
	int order = memcmp(&x->cidr.addr, &y->cidr.addr, sizeof(x->cidr.addr));

	if (order)
		return order;
	if (x->cidr.prefixlen != y->cidr.prefixlen)
		return x->cidr.prefixlen < y->cidr.prefixlen ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->here != y->here)
		return x->here ? -1 : 1;
	return strcmp(x->uplink, y->uplink);
}

static bool same_cidr(const struct cidr *a, const struct cidr *b)
{
	return a->prefixlen == b->prefixlen && !memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

static int list_sites(struct vgw_work *vgw)
{
	static const struct cidr everywhere = {.family = 4};
	size_t kept = 0;
	int r = add_connections(vgw);

	if (!r && vgw->learns)
		r = add_learned(vgw, &everywhere);
	if (!r)
		r = add_propagated(vgw);
	if (vgw->nr)
		qsort(vgw->sites, vgw->nr, sizeof(*vgw->sites), compare_sites);
	for (size_t i = 0; i < vgw->nr; i++)
		if (!kept || compare_sites(vgw->sites + kept - 1, vgw->sites + i) != 0)
			vgw->sites[kept++] = vgw->sites[i];
	vgw->nr = kept;
	return r;
}

/* The outer prefixes of the one at hand, by their first sites. */
struct nest {
	size_t first[33];
	size_t nr;
};

static void add_tunnels(const struct vgw_work *vgw, size_t first, struct uplinks *uplinks)
{
	for (size_t i = first; i < vgw->nr && same_cidr(&vgw->sites[first].cidr, &vgw->sites[i].cidr); i++)
		if (vgw->sites[i].here)
			uplinks_add(uplinks, vgw->sites[i].uplink);
}

/* The tunnels that lead to a prefix, best first: its own, then those of the outer ones, since what is up goes before
 * what is longer (VGW-03). None if the best one is another host's. */
static struct uplinks tunnels_to(const struct vgw_work *vgw, const struct nest *nest)
{
	struct uplinks uplinks = {.ordered = true};

	for (size_t i = nest->nr; i > 0 && vgw->sites[nest->first[nest->nr - 1]].here; i--)
		add_tunnels(vgw, nest->first[i - 1], &uplinks);
	return uplinks;
}

/* Call fn for each prefix that the gateway knows, with the tunnels that lead there. */
static int each_prefix(struct vgw_work *vgw,
		       int (*fn)(struct vgw_work *vgw, const struct cidr *cidr, const struct uplinks *uplinks))
{
	struct nest nest = {};
	int r = 0;

	for (size_t i = 0; i < vgw->nr && !r; i++) {
		const struct cidr *cidr = &vgw->sites[i].cidr;
		struct uplinks uplinks;

		if (i && same_cidr(cidr, &vgw->sites[i - 1].cidr))
			continue;
		while (nest.nr && !cidr_contains(&vgw->sites[nest.first[nest.nr - 1]].cidr, cidr))
			nest.nr--;
		nest.first[nest.nr++] = i;
		uplinks = tunnels_to(vgw, &nest);
		r = fn(vgw, cidr, &uplinks);
	}
	return r;
}

/* ---- hops */

static int collect_group(struct vgw_work *vgw, const struct cidr *cidr, const struct uplinks *uplinks)
{
	(void)cidr;
	return group_add(vgw->work, uplinks, realm_of_vpc(vgw->work, vgw->vgw->vpc));
}

static int collect_vgw(struct image_work *work, const struct gateway *gateway)
{
	struct vgw_work vgw = {.work = work, .vgw = gateway};
	int r = list_sites(&vgw);

	if (!r)
		r = each_prefix(&vgw, collect_group);
	free(vgw.sites);
	return r ? r : hop_add(work, gateway->id, GATEWAY_VGW, gateway);
}

/* The uplinks of its connections lead into it, too. */
int vgw_collect(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	const struct state *state = work->state;
	int r = 0;

	for (size_t i = 0; i < state->nr_gateways && !r; i++)
		if (state->gateways[i].kind == TARGET_VGW && state->gateways[i].vpc)
			r = collect_vgw(work, state->gateways + i);
	for (size_t i = 0; i < extra->nr_vpn_connections && !r; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (connection->available && connection->vgw && connection->vgw->kind == TARGET_VGW &&
		    connection->vgw->vpc && has_uplink(work, connection->id))
			r = hop_add(work, connection->id, GATEWAY_VGW, connection->vgw);
	}
	return r;
}

struct vgw_table {
	struct vgw_work vgw; /* first: each_prefix() hands it on */
	struct route_entry *entries;
	size_t nr;
};

static int add_entry(struct vgw_work *vgw, const struct cidr *cidr, const struct uplinks *uplinks)
{
	struct vgw_table *table = (struct vgw_table *)vgw;
	struct route_entry *entry = table->entries + table->nr++;

	*entry = (struct route_entry){.cidr = *cidr, .rank = VGW_STATIC, .tie = ""};
	entry->kind = route_by_uplinks(vgw->work, uplinks, &entry->target);
	return 0;
}

/* By any of them an answer may come. */
static void list_tunnels(const struct vgw_work *vgw, struct image_gateway *gateway)
{
	const struct state_extra *extra = work_extra(vgw->work);

	if (has_uplink(vgw->work, vgw->vgw->id))
		gateway->members[gateway->nr++] = uplink_port_of(vgw->work, vgw->vgw->id);
	for (size_t i = 0; i < extra->nr_vpn_connections && gateway->nr < GATEWAY_MEMBERS_MAX; i++) {
		const struct vpn_connection *connection = extra->vpn_connections + i;

		if (belongs(connection, vgw->vgw) && has_uplink(vgw->work, connection->id))
			gateway->members[gateway->nr++] = uplink_port_of(vgw->work, connection->id);
	}
}

static int compile_table(struct vgw_table *table, uint32_t *ret_index)
{
	const struct vpc *vpc = table->vgw.vgw->vpc;
	int r = 0;

	table->entries = calloc(table->vgw.nr + vpc->nr_cidrs + 1, sizeof(*table->entries));
	if (!table->entries)
		return -ENOMEM;
	for (size_t i = 0; i < vpc->nr_cidrs; i++)
		if (vpc->cidrs[i].family == 4)
			table->entries[table->nr++] = (struct route_entry){
				.cidr = vpc->cidrs[i], .tie = "", .kind = ROUTE_LOCAL, .target = IMAGE_NONE};
	r = each_prefix(&table->vgw, add_entry);
	if (!r)
		r = add_table(table->vgw.work, table->vgw.vgw->id, table->entries, table->nr, ret_index);
	free(table->entries);
	return r;
}

int fill_vgw(struct image_work *work, const struct gateway *gateway, struct image_gateway *ret)
{
	struct vgw_table table = {.vgw = {.work = work, .vgw = gateway}};
	int r = list_sites(&table.vgw);

	if (!r)
		r = compile_table(&table, &ret->table[0]);
	ret->flags = table.vgw.any ? GATEWAY_VPN : 0;
	list_tunnels(&table.vgw, ret);
	free(table.vgw.sites);
	ret->zone[0] = vpc_zone(gateway->vpc);
	ret->realm = realm_of_vpc(work, gateway->vpc);
	return r ? r : table_index(work, gateway->table, gateway->vpc, &ret->table[1]);
}
