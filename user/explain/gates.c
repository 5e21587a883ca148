/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways as stations of the walk: internet, egress-only, NAT, virtual private and transit gateways, peerings,
 * endpoints. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "enid/flow_hash.h"
#include "explain/way.h"

static int take_hop(struct way *way)
{
	way->hops++;
	return WAY_ON;
}

static uint32_t flow_choice(const struct way *way, uint32_t nr)
{
	const uint64_t secrets[] = {0, way_secret(way, 1), way_secret(way, 2), way_secret(way, 3)};

	return flow_choice_of((const __u64 *)secrets, &way->out, nr);
}

/* ---- out by an uplink */

int gate_uplink(struct way *way, uint32_t uplink)
{
	way->exit = uplink;
	way->action = ACTION_UPLINK;
	return 0;
}

static const struct image_gateway *gate_of(const struct way *way, uint32_t port, uint32_t kind)
{
	const struct image_gateway *g = way_find_gateway(way->image, port);

	return g && g->kind == kind ? g : NULL;
}

/* ---- gateway endpoints (EP-01..EP-04) */

static bool endpoint_serves(const struct way *way, const struct image_gateway *g, const union addr *addr)
{
	const struct image_route *route = way_find_route(way->image, g->table[0], way->out.family, addr);

	return route && route->kind == ROUTE_ENDPOINT;
}

static int endpoint_out(struct way *way, uint32_t uplink)
{
	const struct image_gateway *g = gate_of(way, uplink, GATEWAY_ENDPOINT);

	if (!g)
		return REASON_NOT_SERVED;
	if (way->transit || !endpoint_serves(way, g, &way->out.daddr))
		return REASON_ENDPOINT_SCOPE;
	way_note(way, STAGE_ENDPOINT, way->image->ports[uplink].id, "");
	return gate_uplink(way, uplink);
}

static int endpoint_in(struct way *way, const struct image_gateway *g)
{
	if (!endpoint_serves(way, g, &way->out.saddr))
		return REASON_ENDPOINT_SCOPE;
	way_note(way, STAGE_ENDPOINT, way->image->ports[way->in].id, "");
	way_station(way, WAY_EDGE, g->zone[0], IMAGE_NONE, IMAGE_NONE);
	return 0;
}

/* ---- Gateway Load Balancer endpoints (EP-07..EP-09): the first packet to them */

static int gwlbe_out(struct way *way, uint32_t endpoint)
{
	const struct image_gateway *g = gate_of(way, endpoint, GATEWAY_GWLBE);
	int reason;

	way->at_port = IMAGE_NONE;
	reason = way_nacl(way, way->image->ports[endpoint].subnet, false);
	if (reason)
		return reason;
	if (!g || !g->members[GWLB_KNOWN])
		return REASON_NOT_SERVED;
	way_note(way, STAGE_ENDPOINT, way->image->ports[endpoint].id, "");
	way->relayed = true;
	if (!way->set && (!way_may_open(way) || (way->tuple.proto == IPPROTO_TCP && !way->opens)))
		return REASON_GWLB_NO_FLOW;
	return g->nr ? gate_uplink(way, endpoint) : REASON_NOT_SERVED;
}

/* ---- peerings (PCX-01..PCX-09) */

bool gate_joins(const struct image *image, uint32_t peering, uint32_t a, uint32_t b)
{
	const struct image_gateway *g = way_find_gateway(image, peering);

	return g && g->kind == GATEWAY_PEERING &&
	       ((g->zone[0] == a && g->zone[1] == b) || (g->zone[0] == b && g->zone[1] == a));
}

static int peering_out(struct way *way, uint32_t peering)
{
	const struct image_gateway *g = gate_of(way, peering, GATEWAY_PEERING);
	int far;

	if (!g)
		return REASON_NOT_SERVED;
	if (way->transit)
		return REASON_PEERING;
	far = g->zone[0] == way->at_zone;
	way_note(way, STAGE_PEERING, way->image->ports[peering].id, "");
	if (way->nat != IMAGE_NONE)
		way->peering = peering;
	way_station(way, WAY_PEER, g->zone[far], IMAGE_NONE, g->table[far]);
	way->transit = true;
	return WAY_ON;
}

/* ---- transit gateways (TGW-01..TGW-16) */

static uint32_t subnet_in(const struct image_gateway *g, uint32_t az)
{
	for (uint32_t i = 0; i < AZS_MAX && i < g->nr; i++)
		if (g->members[AZS_MAX + i] == az)
			return g->members[i];
	return IMAGE_NONE;
}

static int transit_out(struct way *way, uint32_t attachment)
{
	const struct image_gateway *g = gate_of(way, attachment, GATEWAY_ATTACHMENT);
	const struct image_subnet *from = way->at_subnet == IMAGE_NONE ? NULL : way->image->subnets + way->at_subnet;
	uint32_t subnet;
	int reason;

	if (!g)
		return REASON_NOT_SERVED;
	way->at_az = from ? from->az : IMAGE_NONE;
	subnet = from ? subnet_in(g, from->az) : g->nr ? g->members[0] : IMAGE_NONE;
	if (subnet == IMAGE_NONE)
		return REASON_TGW_ATTACHMENT;
	way->at_port = IMAGE_NONE;
	reason = way_nacl(way, subnet, false);
	if (reason)
		return reason;
	if (!(g->flags & GATEWAY_SG_REF))
		way->relayed = true;
	way_station(way, WAY_TRANSIT, ZONE_INTERNET, IMAGE_NONE, g->table[0]);
	return take_hop(way);
}

static int into_vpc(struct way *way, const struct image_gateway *g, uint32_t attachment)
{
	uint32_t subnet = g->flags & GATEWAY_APPLIANCE ? IMAGE_NONE : subnet_in(g, way->at_az);

	if (subnet == IMAGE_NONE && g->nr)
		subnet = g->members[g->flags & GATEWAY_APPLIANCE ? flow_choice(way, g->nr) : 0];
	if (subnet == IMAGE_NONE)
		return REASON_TGW_ATTACHMENT;
	if (!(g->flags & GATEWAY_SG_REF))
		way->relayed = true;
	if (way->via == IMAGE_NONE)
		way->via = attachment;
	way_station(way, WAY_SUBNET, g->zone[0], subnet, way->image->subnets[subnet].table);
	way->transit = true;
	return WAY_ON;
}

static int through_group(struct way *way, const struct image_gateway *g)
{
	uint32_t uplink;

	if (!g->nr || g->nr > GATEWAY_MEMBERS_MAX)
		return REASON_NOT_SERVED;
	uplink = g->members[g->flags & GATEWAY_ORDERED ? 0 : flow_choice(way, g->nr)];
	return way->at == WAY_VGW && uplink == way->in ? REASON_VGW : gate_uplink(way, uplink);
}

int gate_attachment(struct way *way, uint32_t attachment)
{
	const struct image_gateway *g = way_find_gateway(way->image, attachment);

	if (!g)
		return REASON_NOT_SERVED;
	switch (g->kind) {
	case GATEWAY_ATTACHMENT:
		return into_vpc(way, g, attachment);
	case GATEWAY_GROUP:
		return through_group(way, g);
	case GATEWAY_TRANSIT:
		way->relayed = true;
		way_station(way, WAY_TRANSIT, ZONE_INTERNET, IMAGE_NONE, g->table[0]);
		return take_hop(way);
	}
	return REASON_NOT_SERVED;
}

/* Is the source at home in the VPC that the packet came into, or in one to which the answer would go (B1, TGW-15)? */
static bool transit_martian(const struct way *way)
{
	const struct image *image = way->image;
	const struct image_gateway *g = way_find_gateway(image, way->via != IMAGE_NONE ? way->via : way->exit);
	const union addr *from = &way->tuple.saddr;
	int family = way->tuple.family;

	if (way->via != IMAGE_NONE && g && way_find_owner(image, g->zone[0], family, from) != IMAGE_NONE)
		return true;
	for (int i = 0; i < 4; i++) {
		const struct image_route *route;

		if (!g || (g->kind != GATEWAY_ATTACHMENT && g->kind != GATEWAY_TRANSIT))
			return false;
		route = way_find_route(image, g->table[0], family, from);
		if (!route || route->kind != ROUTE_ATTACHMENT)
			return false;
		g = way_find_gateway(image, route->target);
		if (g && g->kind == GATEWAY_ATTACHMENT)
			return way_find_owner(image, g->zone[0], family, from) != IMAGE_NONE;
	}
	return false;
}

static int transit_in(struct way *way, const struct image_gateway *g)
{
	way_station(way, WAY_TRANSIT, ZONE_INTERNET, IMAGE_NONE, g->table[0]);
	way->at_az = IMAGE_NONE;
	(void)take_hop(way);
	return 0;
}

/* ---- virtual private gateways (VGW-01..VGW-09) */

static int vgw_out(struct way *way, uint32_t vgw)
{
	const struct image_gateway *g = gate_of(way, vgw, GATEWAY_VGW);

	if (!g)
		return REASON_NOT_SERVED;
	if (way->out.family != 4 || way->transit)
		return REASON_VGW;
	way_station(way, WAY_VGW, g->zone[0], IMAGE_NONE, g->table[0]);
	way->at_gateway = vgw;
	return take_hop(way);
}

int gate_vgw_to_vpc(struct way *way)
{
	const struct image_gateway *g = way_find_gateway(way->image, way->at_gateway);

	if (!g || way->at_gateway != way->in)
		return REASON_VGW;
	way_station(way, WAY_EDGE, g->zone[0], IMAGE_NONE, g->table[1]);
	way->transit = true;
	return WAY_ON;
}

static int vgw_in(struct way *way, const struct image_gateway *g)
{
	if (way->out.family != 4)
		return REASON_VGW;
	way_station(way, WAY_VGW, g->zone[0], IMAGE_NONE, g->table[0]);
	way->at_gateway = way->in;
	(void)take_hop(way);
	return 0;
}

/* ---- NAT gateways (NAT-01..NAT-27) */

/* NAT-01, NAT-21: what it carries at all. A set is narrowed to that. */
static int nat_carries(struct way *way)
{
	int family = way->out.family;
	uint8_t proto = way->out.proto;

	if (family == 6 && !gate_nat64_address(&way->out.daddr))
		return REASON_NAT_PROTOCOL;
	if (way->set) {
		struct services carried = {};
		uint32_t icmp = SERVICE_KEY(family, family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 0);

		services_add(&carried, SERVICE_KEY(family, IPPROTO_TCP, 0), SERVICE_KEY(family, IPPROTO_TCP, 65535));
		services_add(&carried, SERVICE_KEY(family, IPPROTO_UDP, 0), SERVICE_KEY(family, IPPROTO_UDP, 65535));
		if (way->memory) /* answers */
			services_add(&carried, icmp, icmp | 0xffff);
		else if (family == 6)
			services_add(&carried, icmp | 128 << 8, icmp | 128 << 8 | 255);
		for (uint32_t type = 8; !way->memory && family == 4 && type <= 17; type += type == 8 ? 5 : 2)
			services_add(&carried, icmp | type << 8, icmp | type << 8 | 255);
		services_meet(way->set, &carried);
		services_done(&carried);
		return way->set->nr ? 0 : REASON_NAT_PROTOCOL;
	}
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP && !way_is_query(family, proto)) || !way_plain(way))
		return REASON_NAT_PROTOCOL;
	return 0;
}

/* IPv6 for 64:ff9b::/96 becomes IPv4; until an address is chosen a number that stands for the client is its source. */
static int nat64_narrow(struct way *way)
{
	union addr to = {.ip4 = way->out.daddr.ip4};
	uint64_t client = way->out.saddr.d[0] ^ way->out.saddr.d[1];

	if (ntohl(to.ip4) >> 28 == 14 || to.ip4 == 0xffffffff)
		return REASON_MULTICAST;
	if (way_martian_destination(4, &to))
		return REASON_MARTIAN;
	if (way->set) {
		struct services four = {};

		/* the same protocols and ports, in the other family; of ICMP only the echo is left */
		for (size_t i = 0; i < way->set->nr; i++) {
			struct services_range range = way->set->range[i];
			uint32_t proto = range.lo >> 16 & 0xff;

			if (proto == IPPROTO_ICMPV6)
				services_add(&four, SERVICE_KEY(4, IPPROTO_ICMP, 8 << 8),
					     SERVICE_KEY(4, IPPROTO_ICMP, 8 << 8));
			else
				services_add(&four, range.lo & 0xffffff, range.hi & 0xffffff);
		}
		services_done(way->set);
		*way->set = four;
	}
	if (way->out.proto == IPPROTO_ICMPV6) {
		way->service = way->icmp >> 8 == 128 ? 8 << 8 : 0;
		way->out.proto = IPPROTO_ICMP;
		way->out.dport = way->out.dport == 128 ? 8 : 0;
	}
	way->out.family = 4;
	way->out.daddr = to;
	way->out.saddr = (union addr){.ip4 = (uint32_t)client ^ (uint32_t)(client >> 32)};
	return 0;
}

static bool hairpins(const struct way *way, uint32_t nat, uint32_t zone)
{
	uint32_t port;
	__be32 other;

	if (way_find_association(way->image, ZONE_INTERNET, way->out.daddr.ip4, &port, &other) && port == nat)
		return true;
	return way_find_owner(way->image, zone, 4, &way->out.daddr) == nat;
}

/* NAT-07, NAT-23: a client keeps to one address; of a regional gateway one of its zone, if there is one. */
static void choose_address(struct way *way, const struct image_gateway *g)
{
	uint32_t az = way->at_subnet == IMAGE_NONE ? AZ_ANY : way->image->subnets[way->at_subnet].az;
	uint32_t first = (uint32_t)(flow_mix(way->out.saddr.ip4, way_secret(way, 4)) >> 32) % g->nr;

	way->nat_addr = g->members[first];
	for (uint32_t i = 0; i < g->nr; i++) {
		uint32_t at = (first + i) % g->nr;

		if (g->az[at] == AZ_ANY || g->az[at] == az) {
			way->nat_addr = g->members[at];
			return;
		}
	}
}

static int nat_new(struct way *way, const struct image_gateway *g)
{
	if (!way->set && (!way_may_open(way) || (way->out.proto == IPPROTO_TCP && !way->opens)))
		return REASON_NAT_NO_MAPPING;
	if (g->flags & GATEWAY_DRAINING)
		return REASON_BLACKHOLE;
	choose_address(way, g);
	if (!way_is_query(4, way->out.proto) && ntohs(way->out.sport) < NAT_PORT_FIRST)
		way->port_free = true;
	way->nat_new = true;
	return 0;
}

int gate_nat_out(struct way *way, uint32_t nat)
{
	const struct image_gateway *g = gate_of(way, nat, GATEWAY_NAT);
	int reason;

	if (!g || !g->nr || way->nat_inner != IMAGE_NONE)
		return REASON_NOT_SERVED;
	if (way->nat != IMAGE_NONE) {
		way->nat_inner = way->nat;
		way->nat_inner_addr = way->nat_addr;
	}
	way_note(way, STAGE_NAT, way->image->ports[nat].id, "");
	reason = nat_carries(way);
	if (!reason && way->out.family == 6)
		reason = nat64_narrow(way);
	if (!reason && hairpins(way, nat, g->zone[0]))
		reason = REASON_NAT_HAIRPIN;
	if (!reason)
		reason = nat_new(way, g);
	if (reason)
		return reason;
	way->hops++;
	way->out.saddr.ip4 = way->nat_addr;
	way->nat = nat;
	return 0;
}

static __be32 mapped_at(const struct way_memory *m, uint32_t nat)
{
	return m->gateway == nat ? m->addr : m->inner_addr;
}

/* What the client of the flow gets. */
static void to_client(struct way *way)
{
	const struct tuple *client = &way->memory->client;

	if (client->family == 6) {
		way->out = way_answer(client);
		way->service = client->proto == IPPROTO_ICMPV6 ? 129u << 8 : ntohs(client->sport);
		return;
	}
	way->out.daddr = client->saddr;
	if (way->out.proto == IPPROTO_ICMP) {
		way->out.sport = client->sport;
	} else {
		way->out.dport = client->sport;
		way->service = ntohs(client->sport);
	}
}

int gate_nat_in(struct way *way, uint32_t nat)
{
	const struct image_gateway *g = gate_of(way, nat, GATEWAY_NAT);
	bool inside;
	int reason;

	if (!g || !g->nr)
		return REASON_NOT_SERVED;
	inside = way->source != IMAGE_NONE && !way->transit && way->at_zone == g->zone[0];
	way_note(way, STAGE_NAT, way->image->ports[nat].id, "");
	reason = nat_carries(way);
	if (reason)
		return reason;
	if (!gate_maps(way, nat, true) || mapped_at(way->memory, nat) != way->out.daddr.ip4)
		return inside ? REASON_NAT_HAIRPIN : REASON_NAT_NO_MAPPING;
	way->nat = nat;
	way->hops++;
	if (way->memory->gateway == nat && way->memory->inner != IMAGE_NONE)
		way->out.daddr.ip4 = way->memory->inner_addr;
	else
		to_client(way);
	return 0;
}

/* ---- all of them */

int gate_out(struct way *way, uint32_t kind, uint32_t target)
{
	switch (kind) {
	case ROUTE_IGW:
		return gate_igw_out(way, target);
	case ROUTE_PEERING:
		return peering_out(way, target);
	case ROUTE_TGW:
		return transit_out(way, target);
	case ROUTE_VGW:
		return vgw_out(way, target);
	case ROUTE_EIGW:
		return gate_eigw_out(way, target);
	case ROUTE_ENDPOINT:
		return endpoint_out(way, target);
	case ROUTE_GWLBE:
		return gwlbe_out(way, target);
	}
	return REASON_NOT_SERVED;
}

int gate_in(struct way *way, const struct image_port *uplink)
{
	const struct image_gateway *g = way_find_gateway(way->image, way->in);

	if (uplink->gateway == ROUTE_EIGW || (uplink->gateway == ROUTE_IGW && gate_shared_with_eigw(way, uplink)))
		return gate_eigw_in(way, uplink);
	if (uplink->gateway == ROUTE_IGW)
		return gate_igw_in(way, uplink);
	if (uplink->gateway == ROUTE_GWLBE)
		return REASON_GENEVE; /* only what an appliance wraps comes in there */
	switch (g ? g->kind : GATEWAY_NONE) {
	case GATEWAY_VGW:
		return vgw_in(way, g);
	case GATEWAY_TRANSIT:
		return transit_in(way, g);
	case GATEWAY_ENDPOINT:
		return endpoint_in(way, g);
	}
	return REASON_NOT_SERVED;
}

/* Nobody outside has an address of the VPC, as it is or as the internet knows it, nor, on the internet, one of its
 * CIDRs (B1). */
static bool inside_address(const struct way *way, const struct image_port *uplink)
{
	const struct image_gateway *g = uplink->gateway == ROUTE_IGW ? way_find_gateway(way->image, way->in) : NULL;
	const union addr *a = &way->tuple.saddr;
	uint32_t port;
	__be32 other;

	if (way_find_owner(way->image, uplink->zone, way->tuple.family, a) != IMAGE_NONE)
		return true;
	if (g && g->table[2] != IMAGE_NONE && way_find_route(way->image, g->table[2], way->tuple.family, a))
		return true;
	if (way->tuple.family == 6)
		return a->w[0] == htonl(0xfd000ec2);
	return way_find_association(way->image, ZONE_INTERNET, a->ip4, &port, &other) &&
	       way->image->ports[port].zone == uplink->zone;
}

int gate_outsider(struct way *way, const struct image_port *uplink)
{
	const struct image_gateway *g = way_find_gateway(way->image, way->in);

	if (inside_address(way, uplink) || (g && g->kind == GATEWAY_TRANSIT && transit_martian(way)))
		return REASON_MARTIAN;
	if (!g || g->kind != GATEWAY_ENDPOINT)
		return 0;
	return !way->opens && (way->answered || (way->memory && way->memory->opened)) ? 0 : REASON_ENDPOINT_SCOPE;
}
