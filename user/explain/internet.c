/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateways to the internet as stations of the walk: internet gateways and egress-only ones. */
#include <arpa/inet.h>

#include "explain/way.h"

static const struct image_port *port_of(const struct way *way, uint32_t port)
{
	return port == IMAGE_NONE ? NULL : way->image->ports + port;
}

static bool unique_local(const union addr *addr)
{
	return (addr->bytes[0] & 0xfe) == 0xfc;
}

bool gate_nat64_address(const union addr *a)
{
	return a->w[0] == htonl(0x0064ff9b) && !a->w[1] && !a->w[2];
}

/* ---- internet gateways (IGW-01..IGW-11) */

/* VPC-18: a NAT gateway opens its flows outward, so only the bidirectional mode stops it. */
static int blocked_for_public(const struct image_port *e, int family)
{
	if (e->flags & (e->kind == PORT_NAT ? PORT_BPA_OUT : PORT_BPA_IN | PORT_BPA_OUT))
		return REASON_BPA;
	return family == 6 && e->flags & PORT_DENY_IGW ? REASON_DENY_IGW : 0;
}

/* RT-23 */
static uint32_t pool_address(const struct way *way, const struct image_gateway *g, const union addr *addr)
{
	const struct image_route *route =
		g && g->table[1] != IMAGE_NONE ? way_find_route(way->image, g->table[1], way->out.family, addr) : NULL;

	return route && route->kind == ROUTE_ENI ? route->target : IMAGE_NONE;
}

/* Who is at the inner end of a gateway to the internet. */
struct insider {
	uint32_t port; /* IMAGE_NONE = nobody */
	bool pool;
	__be32 other;
};

/* VPC-18: of the source outward, of the destination inward. side: where an IPv4 address is looked for */
static struct insider insider_of(const struct way *way, const struct image_gateway *g, uint32_t zone, uint32_t side,
				 const union addr *addr)
{
	struct insider inside = {.port = pool_address(way, g, addr)};

	inside.pool = inside.port != IMAGE_NONE;
	if (inside.pool)
		return inside;
	if (way->out.family == 6)
		inside.port = way_find_owner(way->image, zone, 6, addr);
	else
		way_find_association(way->image, side, addr->ip4, &inside.port, &inside.other);
	return inside;
}

static int igw_source(struct way *way, const struct insider *inside)
{
	if (inside->pool)
		return inside->port == way->at_port ? 0 : REASON_IGW_NO_PUBLIC_ADDRESS;
	if (inside->port == IMAGE_NONE)
		return REASON_IGW_NO_PUBLIC_ADDRESS;
	if (way->out.family == 6)
		return unique_local(&way->out.saddr) ? REASON_IGW_NO_PUBLIC_ADDRESS : 0;
	way->out.saddr.ip4 = inside->other;
	return 0;
}

/* To a public address of the VPC: the packet turns round (IGW-11). */
static bool hairpin(struct way *way, int *ret_reason)
{
	uint32_t port;
	__be32 other;

	if (way->out.family != 4 ||
	    !way_find_association(way->image, ZONE_INTERNET, way->out.daddr.ip4, &port, &other) ||
	    way->image->ports[port].zone != way->at_zone)
		return false;
	*ret_reason = blocked_for_public(way->image->ports + port, 4);
	if (!*ret_reason)
		way->out.daddr.ip4 = other;
	return true;
}

int gate_igw_out(struct way *way, uint32_t uplink)
{
	const struct image_gateway *g = way_find_gateway(way->image, uplink);
	struct insider inside = insider_of(way, g, way->at_zone, way->at_zone, &way->out.saddr);
	const struct image_port *e = port_of(way, inside.port != IMAGE_NONE ? inside.port : way->at_port);
	int reason = way->transit ? REASON_IGW_NO_PUBLIC_ADDRESS : e ? blocked_for_public(e, way->out.family) : 0;

	if (!reason)
		reason = igw_source(way, &inside);
	if (reason)
		return reason;
	way_note(way, STAGE_IGW, way->image->ports[uplink].id, "");
	if (!hairpin(way, &reason))
		return gate_uplink(way, uplink);
	way->relayed = true;
	way_station(way, WAY_EDGE, way->at_zone, IMAGE_NONE, g ? g->table[0] : IMAGE_NONE);
	return reason ? reason : WAY_ON;
}

int gate_igw_in(struct way *way, const struct image_port *uplink)
{
	const struct image_gateway *g = way_find_gateway(way->image, way->in);
	struct insider inside = insider_of(way, g, uplink->zone, ZONE_INTERNET, &way->out.daddr);
	int reason;

	if (!inside.pool && way->out.family == 6 && gate_nat64_address(&way->out.saddr))
		return REASON_MARTIAN;
	if (inside.port == IMAGE_NONE)
		return way->out.family == 6 ? REASON_NO_OWNER : REASON_IGW_NO_OWNER;
	if (!inside.pool && way->out.family == 4)
		way->out.daddr.ip4 = inside.other;
	if (way->image->ports[inside.port].zone != uplink->zone)
		return REASON_IGW_NO_OWNER;
	reason = blocked_for_public(way->image->ports + inside.port, way->out.family);
	if (reason)
		return reason;
	way_note(way, STAGE_IGW, uplink->id, "");
	way_station(way, WAY_EDGE, uplink->zone, IMAGE_NONE, !g ? IMAGE_NONE : g->table[inside.pool ? 1 : 0]);
	return 0;
}

/* ---- egress-only internet gateways (EIGW-01, EIGW-02) */

bool gate_maps(const struct way *way, uint32_t gateway, bool inbound)
{
	const struct way_memory *m = way->memory;

	return m && inbound && !way->opens && way_plain(way) && (m->gateway == gateway || m->inner == gateway);
}

/* VPC-18: both ways by who has the address; `other` where nobody has it. */
static bool eigw_blocked(const struct way *way, uint32_t zone, const union addr *addr, uint32_t other)
{
	uint32_t port = way_find_owner(way->image, zone, way->out.family, addr);
	const struct image_port *e = port_of(way, port != IMAGE_NONE ? port : other);

	return e && e->flags & PORT_BPA_OUT;
}

int gate_eigw_out(struct way *way, uint32_t uplink)
{
	if (eigw_blocked(way, way->at_zone, &way->out.saddr, way->at_port))
		return REASON_BPA;
	if (way->out.family != 6 || way->transit || unique_local(&way->out.saddr) ||
	    way_find_owner(way->image, way->at_zone, 6, &way->out.saddr) == IMAGE_NONE)
		return REASON_IGW_NO_PUBLIC_ADDRESS;
	way_note(way, STAGE_IGW, way->image->ports[uplink].id, "");
	if (!way_plain(way) && !way->set)
		return REASON_EIGW_UNSOLICITED;
	if (way_may_open(way)) {
		way->nat = uplink;
		way->nat_addr = 0;
	}
	return gate_uplink(way, uplink);
}

int gate_eigw_in(struct way *way, const struct image_port *uplink)
{
	if (eigw_blocked(way, uplink->zone, &way->out.daddr,
			 IMAGE_NONE)) /* IGW-12: before the gateway knows of the flow */
		return REASON_BPA;
	if (way->out.family != 6 || !gate_maps(way, way->in, true))
		return REASON_EIGW_UNSOLICITED;
	way_note(way, STAGE_IGW, uplink->id, "");
	way_station(way, WAY_EDGE, uplink->zone, IMAGE_NONE, IMAGE_NONE);
	return 0;
}

/* An egress-only gateway without an uplink of its own shares the internet gateway's. */
bool gate_shared_with_eigw(const struct way *way, const struct image_port *uplink)
{
	uint32_t owner =
		way->out.family == 6 ? way_find_owner(way->image, uplink->zone, 6, &way->out.daddr) : IMAGE_NONE;
	uint32_t subnet = owner == IMAGE_NONE ? IMAGE_NONE : way->image->ports[owner].subnet;
	const struct image_route *back =
		subnet == IMAGE_NONE
			? NULL
			: way_find_route(way->image, way->image->subnets[subnet].table, 6, &way->out.saddr);

	return back && back->kind == ROUTE_EIGW && back->target == way->in;
}
