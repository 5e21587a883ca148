/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Subnets, with the network ACL objects and route tables that hold there. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/objects.h"
#include "compile/tree.h"
#include "compile/work.h"

/* Objects of one NACL, by place in state.nacls; the last pair is for subnets without one. */
struct nacl_objects {
	uint32_t in, out;
};

static __be32 mask4(unsigned prefixlen)
{
	return prefixlen ? htonl(UINT32_MAX << (32 - prefixlen)) : 0;
}

static void mask6(unsigned prefixlen, union addr *ret)
{
	for (unsigned i = 0; i<16; i++, prefixlen -= prefixlen> 8 ? 8 : prefixlen)
		ret->bytes[i] = prefixlen >= 8 ? 0xff : (uint8_t)(0xff << (8 - prefixlen));
}

static __be32 address_after(const struct cidr *cidr, uint32_t distance)
{
	return cidr->family == 4 ? htonl(ntohl(cidr->addr.ip4) + distance) : 0;
}

static struct image_subnet subnet_image(const struct vpc_subnet *subnet)
{
	const struct vpc *vpc = subnet->vpc;
	struct image_subnet image = {
		.id = subnet->id,
		.nacl_in = IMAGE_NONE,
		.nacl_out = IMAGE_NONE,
		.table = IMAGE_NONE,
		.zone = vpc_zone(vpc),
		.router4 = address_after(&subnet->cidr4, 1),                                /* VPC-13 */
		.resolver4 = vpc && vpc->dns_support ? address_after(&vpc->primary, 2) : 0, /* VPC-12, DNS-03 */
		.nr_cidrs6 = (uint32_t)subnet->nr_cidrs6,
	};

	if (subnet->cidr4.family == 4) {
		image.net4 = subnet->cidr4.addr.ip4;
		image.mask4 = mask4(subnet->cidr4.prefixlen);
	}
	for (size_t i = 0; i < subnet->nr_cidrs6; i++) {
		image.cidrs6[i].net = subnet->cidrs6[i].addr;
		mask6(subnet->cidrs6[i].prefixlen, &image.cidrs6[i].mask);
	}
	return image;
}

static int compile_nacl(struct image_work *work, const struct vpc_subnet *subnet, bool egress, uint32_t *ret_index)
{
	struct image_object object;
	int r = compile_nacl_object(subnet->nacl, egress, &object);

	if (r == -E2BIG)
		return work_refuse(work, "network ACL of %s: too large for one policy object (%u lines)", subnet->id,
				   OBJECT_LINES_MAX);
	return r < 0 ? r : work_add_object(work, &object, ret_index);
}

static int compile_nacls(struct image_work *work, const struct vpc_subnet *subnet, struct nacl_objects *known,
			 struct image_subnet *image)
{
	if (known->in == IMAGE_NONE) {
		int r = compile_nacl(work, subnet, false, &known->in);

		if (!r)
			r = compile_nacl(work, subnet, true, &known->out);
		if (r < 0)
			return r;
	}
	image->nacl_in = known->in;
	image->nacl_out = known->out;
	return 0;
}

static int compare_subnets(const void *a, const void *b)
{
	return strcmp((*(const struct vpc_subnet *const *)a)->id, (*(const struct vpc_subnet *const *)b)->id);
}

static int fill_subnets(struct image_work *work, const struct vpc_subnet **order, struct nacl_objects *known)
{
	const struct state *state = work->state;
	struct image *image = work->image;

	for (size_t i = 0; i <= state->nr_nacls; i++)
		known[i] = (struct nacl_objects){IMAGE_NONE, IMAGE_NONE};
	for (size_t i = 0; i < state->nr_subnets; i++)
		order[i] = state->subnets + i;
	qsort(order, state->nr_subnets, sizeof(*order), compare_subnets);
	for (uint32_t i = 0; i < state->nr_subnets; i++) {
		const struct nacl *nacl = order[i]->nacl;
		int r;

		work->subnet_places[order[i] - state->subnets] = i;
		image->subnets[i] = subnet_image(order[i]);
		r = compile_nacls(work, order[i], known + (nacl ? (size_t)(nacl - state->nacls) : state->nr_nacls),
				  image->subnets + i);
		if (r < 0)
			return r;
	}
	image->nr_subnets = state->nr_subnets;
	return 0;
}

int subnets_compile(struct image_work *work)
{
	const struct state *state = work->state;
	const struct vpc_subnet **order;
	struct nacl_objects *known;
	int r = -ENOMEM;

	if (state->nr_subnets > SUBNETS_MAX - 1)
		return work_refuse(work, "subnets: more than %u", SUBNETS_MAX - 1);
	order = calloc(state->nr_subnets + 1, sizeof(const struct vpc_subnet *));
	known = calloc(state->nr_nacls + 1, sizeof(*known));
	work->image->subnets = calloc(state->nr_subnets + 1, sizeof(*work->image->subnets));
	work->subnet_places = calloc(state->nr_subnets + 1, sizeof(*work->subnet_places));
	if (order && known && work->image->subnets && work->subnet_places)
		r = fill_subnets(work, order, known);
	free(order);
	free(known);
	return r;
}

static uint32_t target_eni(const void *context, const struct eni *eni)
{
	const struct image_work *work = context;

	return work->notes[eni - work->state->enis].port;
}

static int compare_port_id(const void *id, const void *port)
{
	return strcmp(id, ((const struct image_port *)port)->id);
}

static uint32_t target_uplink(const void *context, const struct gateway *gateway)
{
	const struct image_work *work = context;
	const struct image *image = work->image;
	const struct image_port *port;

	port = bsearch(gateway->id, image->ports, image->nr_ports, sizeof(*image->ports), compare_port_id);
	return port && port->gateway == ROUTE_IGW ? (uint32_t)(port - image->ports) : IMAGE_NONE;
}

static const char *target_port_id(const void *context, uint32_t port)
{
	return ((const struct image_work *)context)->image->ports[port].id;
}

static int check_routes(struct image_work *work)
{
	size_t routes[2] = {};

	for (size_t t = 0; t < work->image->nr_tables; t++)
		for (size_t i = 0; i < work->image->tables[t].nr_routes; i++)
			routes[work->image->tables[t].routes[i].cidr.family == 6]++;
	if (routes[0] > ROUTES_MAX || routes[1] > ROUTES_MAX)
		return work_refuse(work, "%s routes: more than %u", routes[0] > ROUTES_MAX ? "IPv4" : "IPv6",
				   ROUTES_MAX);
	return 0;
}

/* known: index of every compiled table by place in state.tables, then of the VPCs' local routes alone by place in
 * state.vpcs, then of the empty one. */
static int fill_tables(struct image_work *work, uint32_t *known)
{
	const struct route_targets targets = {target_eni, target_uplink, target_port_id, work};
	const struct state *state = work->state;
	struct image *image = work->image;

	for (size_t i = 0; i < state->nr_subnets; i++) {
		const struct vpc_subnet *subnet = state->subnets + i;
		const struct route_table *table = subnet->table;
		const struct vpc *vpc = table ? table->vpc : subnet->vpc;
		uint32_t *index = known + state->nr_tables + state->nr_vpcs;

		if (table)
			index = known + (table - state->tables);
		else if (vpc)
			index = known + state->nr_tables + (vpc - state->vpcs);
		if (*index == IMAGE_NONE) {
			int r = route_table_compile(table, vpc, &targets, image->tables + image->nr_tables);

			if (r < 0)
				return r;
			*index = (uint32_t)image->nr_tables++;
		}
		image->subnets[work->subnet_places[i]].table = *index;
	}
	return check_routes(work);
}

int tables_compile(struct image_work *work)
{
	size_t most = work->state->nr_tables + work->state->nr_vpcs + 1;
	uint32_t *known = calloc(most, sizeof(*known));
	int r = -ENOMEM;

	work->image->tables = calloc(most, sizeof(*work->image->tables));
	if (known && work->image->tables) {
		for (size_t i = 0; i < most; i++)
			known[i] = IMAGE_NONE;
		r = fill_tables(work, known);
	}
	free(known);
	return r;
}
