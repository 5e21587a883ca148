/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ENIs and uplinks -> ports, with the security-group objects of this host's ENIs.
 *
 * An ENI whose VPC or subnet is missing is never live and has no policy: nothing is admitted, rather than judged by
 * half of what should hold.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/objects.h"
#include "compile/tree.h"
#include "compile/work.h"

uint32_t vpc_zone(const struct vpc *vpc)
{
	return vpc ? vpc->zone : ZONE_INTERNET;
}

static int note_hosts(struct image_work *work)
{
	const struct state *state = work->state;

	work->notes = calloc(state->nr_enis + 1, sizeof(*work->notes));
	if (!work->notes)
		return -ENOMEM;
	for (size_t h = 0; h < state->nr_hosts; h++) {
		const struct host *host = state->hosts + h;

		for (size_t i = 0; i < host->nr_ports; i++) {
			struct eni_note *note = work->notes + (host->ports[i].eni - state->enis);

			if (work->host && !strcmp(host->id, work->host->id))
				note->here = host->ports + i;
			else
				note->elsewhere = true;
		}
	}
	return 0;
}

static bool complete(const struct eni *eni)
{
	return eni->vpc && eni->subnet && eni->subnet->vpc == eni->vpc;
}

uint32_t bpa_flags(int mode)
{
	switch (mode) {
	case BPA_OFF:
		return 0;
	case BPA_INGRESS:
		return PORT_BPA_IN;
	default:
		return PORT_BPA_IN | PORT_BPA_OUT;
	}
}

static uint32_t eni_flags(const struct eni *eni, const struct eni_note *note)
{
	uint32_t flags = bpa_flags(eni->subnet ? eni->subnet->bpa : BPA_BIDIRECTIONAL);

	if (eni->live && complete(eni) && (note->here || note->elsewhere))
		flags |= PORT_LIVE;
	if (eni->check)
		flags |= PORT_CHECK;
	if (eni->routing && complete(eni))
		flags |= PORT_NO_SG;
	if (eni->deny_igw)
		flags |= PORT_DENY_IGW;
	if (note->here && note->here->side_instance)
		flags |= PORT_SIDE_INSTANCE;
	if (!eni->routing && eni->type && !strcmp(eni->type, "vpc_endpoint"))
		flags |= PORT_ENDPOINT;
	return flags;
}

__be32 eni_primary4(const struct eni *eni)
{
	for (size_t i = 0; i < eni->nr_addresses; i++)
		if (eni->addresses[i].primary && eni->addresses[i].family == 4)
			return eni->addresses[i].addr.ip4;
	return 0;
}

/* A routing ENI without a device belongs to a gateway: when that is gone, nothing can be delivered there. */
static bool is_plugged_in(const struct eni *eni, const struct eni_note *note)
{
	return note->here && (!eni->routing || *note->here->device);
}

struct image_port eni_port(const struct image_work *work, size_t i)
{
	const struct eni *eni = work->state->enis + i;
	const struct eni_note *note = work->notes + i;
	uint32_t set = work->identities.of_eni[i];
	struct image_port port = {
		.id = eni->id,
		.device = note->here ? note->here->device : "",
		.hook = note->here ? note->here->hook : HOOK_AUTO,
		.kind = nat_of_eni(work, eni)      ? PORT_NAT
			: is_plugged_in(eni, note) ? PORT_ENI
						   : PORT_REMOTE,
		.mode = note->here && (note->here->guard || note->here->side_instance) ? MODE_GUARD : MODE_ROUTER,
		.flags = eni_flags(eni, note),
		.zone = vpc_zone(eni->vpc),
		.subnet = eni->subnet ? work->subnet_places[eni->subnet - work->state->subnets] : IMAGE_NONE,
		.sg_in = IMAGE_NONE,
		.sg_out = IMAGE_NONE,
		.mirror = IMAGE_NONE,
		.identity = set == IDENTITY_NONE ? 0 : work->identities.sets[set].identity,
		.tcp_established_s = eni->tcp_established_s,
		.udp_s = (uint16_t)eni->udp_s,
		.udp_stream_s = (uint16_t)eni->udp_stream_s,
		.gateway = ROUTE_NONE,
		.primary4 = eni_primary4(eni),
		.eni = eni,
	};

	memcpy(port.mac, eni->mac, sizeof(port.mac));
	return port;
}

/* By which kind of route packets leave by an uplink. */
static uint32_t leads_out(const struct image_work *work, const struct host_uplink *uplink)
{
	const struct gateway *gateway = uplink->gateway;

	if (gateway && gateway->vpc && gateway->kind == TARGET_IGW)
		return ROUTE_IGW;
	if (gateway && gateway->vpc && gateway->kind == TARGET_EIGW)
		return ROUTE_EIGW;
	if (hop_of(work, GATEWAY_ENDPOINT, uplink->gateway_id))
		return ROUTE_ENDPOINT;
	if (hop_of(work, GATEWAY_GWLBE, uplink->gateway_id))
		return ROUTE_GWLBE;
	return hop_of(work, GATEWAY_VGW, uplink->gateway_id) || hop_of(work, GATEWAY_TRANSIT, uplink->gateway_id)
		       ? ROUTE_UPLINK
		       : ROUTE_NOT_SERVED;
}

/* The VPC that is behind an uplink, or NULL. */
static const struct vpc *uplink_vpc(const struct image_work *work, const struct host_uplink *uplink)
{
	const struct hop *gwlbe = hop_of(work, GATEWAY_GWLBE, uplink->gateway_id);
	const struct hop *endpoint = gwlbe ? gwlbe : hop_of(work, GATEWAY_ENDPOINT, uplink->gateway_id);
	const struct hop *vgw = hop_of(work, GATEWAY_VGW, uplink->gateway_id);

	if (endpoint)
		return ((const struct vpc_endpoint *)endpoint->object)->vpc;
	if (vgw)
		return ((const struct gateway *)vgw->object)->vpc;
	return uplink->gateway ? uplink->gateway->vpc : NULL;
}

/* Among appliances there are no public addresses. */
static bool answers_neighbours(const struct image_work *work, const struct host_uplink *uplink)
{
	return uplink->answer_neighbours && !hop_of(work, GATEWAY_GWLBE, uplink->gateway_id);
}

/* Where packets are that come back from the appliances behind an uplink (EP-07). */
static uint32_t uplink_subnet(const struct image_work *work, const struct host_uplink *uplink)
{
	const struct hop *hop = hop_of(work, GATEWAY_GWLBE, uplink->gateway_id);

	return hop ? work->subnet_places[gwlbe_subnet(hop->object) - work->state->subnets] : IMAGE_NONE;
}

/* Only a gateway that is attached somewhere leads out; the device's MAC is known where the device is. */
static struct image_port uplink_port(const struct image_work *work, const struct host_uplink *uplink)
{
	return (struct image_port){
		.id = uplink->gateway_id,
		.device = uplink->device,
		.hook = HOOK_AUTO,
		.kind = PORT_UPLINK,
		.mode = MODE_ROUTER,
		.flags = PORT_LIVE | PORT_NO_SG | (answers_neighbours(work, uplink) ? PORT_ANSWER : 0),
		.zone = vpc_zone(uplink_vpc(work, uplink)),
		.subnet = uplink_subnet(work, uplink),
		.sg_in = IMAGE_NONE,
		.sg_out = IMAGE_NONE,
		.mirror = IMAGE_NONE,
		.gateway = leads_out(work, uplink),
	};
}

static int compare_ports(const void *a, const void *b)
{
	return strcmp(((const struct image_port *)a)->id, ((const struct image_port *)b)->id);
}

int set_compile(struct image_work *work, const struct group_set *set, bool egress, const char *id,
		struct image_object *ret)
{
	int r = sg_compile(set->groups, set->nr, egress, set->vpc, work_extra(work), &work->identities, ret);

	if (r == -E2BIG)
		return work_refuse(work, "security groups of %s: too large for one policy object (%u lines)", id,
				   OBJECT_LINES_MAX);
	return r;
}

static int add_set(struct image_work *work, const struct group_set *set, bool egress, const char *id,
		   uint32_t *ret_index)
{
	struct image_object object;
	int r = set_compile(work, set, egress, id, &object);

	return r < 0 ? r : work_add_object(work, &object, ret_index);
}

/* Compiled when the first ENI of this host needs them. */
static int compile_groups(struct image_work *work, struct image_port *port, struct object_pair *known)
{
	static const struct group_set empty;
	uint32_t number = work->identities.of_eni[port->eni - work->state->enis];
	const struct group_set *set = number == IDENTITY_NONE ? &empty : work->identities.sets + number;
	int r;

	if (number == IDENTITY_NONE)
		number = (uint32_t)work->identities.nr_sets;
	if (known[number].in == IMAGE_NONE) {
		r = add_set(work, set, false, port->id, &known[number].in);
		if (!r)
			r = add_set(work, set, true, port->id, &known[number].out);
		if (r < 0)
			return r;
	}
	port->sg_in = known[number].in;
	port->sg_out = known[number].out;
	return 0;
}

static int compile_policies(struct image_work *work)
{
	struct image *image = work->image;
	size_t nr = work->identities.nr_sets + 1;
	struct object_pair *known = calloc(nr, sizeof(*known));
	int r = known ? 0 : -ENOMEM;

	work->set_objects = known;
	for (size_t i = 0; !r && i < nr; i++)
		known[i] = (struct object_pair){IMAGE_NONE, IMAGE_NONE};
	for (size_t i = 0; !r && i < image->nr_ports; i++) {
		struct image_port *port = image->ports + i;

		if (port->eni && port->kind == PORT_ENI && !port->eni->routing && complete(port->eni))
			r = compile_groups(work, port, known);
	}
	return r;
}

/* A gateway that is an ENI or has an uplink is that port, too. */
static void add_hops(struct image_work *work)
{
	struct image *image = work->image;
	size_t nr = image->nr_ports; /* sorted so far */

	for (uint32_t i = 0; i < work->nr_hops; i++) {
		const struct image_port wanted = {.id = work->hops[i].id};
		struct image_port *port = bsearch(&wanted, image->ports, nr, sizeof(wanted), compare_ports);

		if (!port) {
			port = image->ports + image->nr_ports++;
			*port = hop_port(work, i);
		}
		port->hop = i + 1;
	}
}

int ports_compile(struct image_work *work)
{
	const struct state *state = work->state;
	const struct host *host = work->host;
	struct image *image = work->image;
	size_t nr = state->nr_enis + (host ? host->nr_uplinks : 0);
	int r = note_hosts(work);

	if (!r)
		r = hops_collect(work);
	if (r < 0)
		return r;
	nr += work->nr_hops;
	if (nr > PORTS_MAX - 1)
		return work_refuse(work, "network interfaces, uplinks and gateways: more than %u", PORTS_MAX - 1);
	image->ports = calloc(nr + 1, sizeof(*image->ports));
	if (!image->ports)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_enis; i++)
		image->ports[image->nr_ports++] = eni_port(work, i);
	for (size_t i = 0; host && i < host->nr_uplinks; i++)
		image->ports[image->nr_ports++] = uplink_port(work, host->uplinks + i);
	qsort(image->ports, image->nr_ports, sizeof(*image->ports), compare_ports);
	add_hops(work);
	qsort(image->ports, image->nr_ports, sizeof(*image->ports), compare_ports);
	for (uint32_t i = 0; i < image->nr_ports; i++) {
		if (image->ports[i].eni)
			work->notes[image->ports[i].eni - state->enis].port = i;
		if (image->ports[i].hop)
			work->hops[image->ports[i].hop - 1].port = i;
	}
	return compile_policies(work);
}
