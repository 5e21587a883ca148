/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a record's packets, as the ENIs on it saw it. */
#include <netinet/in.h>
#include <string.h>

#include "enid/flow_hash.h"
#include "enid/policy.h"
#include "enid/reasons.h"
#include "flowlog/vantage.h"

#define AZ_NOWHERE UINT32_MAX

/* FL-14. */
enum traffic_path {
	PATH_LOCAL = 1,
	PATH_VGW = 3,
	PATH_PEERING = 4,
	PATH_FAR_PEERING = 5,
	PATH_ENDPOINT = 7,
	PATH_IGW = 8
};

struct walk {
	const struct log_enis *enis;
	const struct flow_record *record;
	const struct flow_half *half;
	const uint32_t *trace;
	const struct way *way;
	int side;
	struct sight *sights;
	int nr;
};

static const struct log_place *place(const struct walk *walk, uint32_t port)
{
	static const struct log_place nowhere;

	return walk->enis->place && port < PORTS_MAX ? &walk->enis->place[port] : &nowhere;
}

static struct tuple reversed(const struct tuple *tuple)
{
	struct tuple r = *tuple;

	r.saddr = tuple->daddr;
	r.daddr = tuple->saddr;
	r.sport = tuple->dport;
	r.dport = tuple->sport;
	return r;
}

static struct tuple leaving(const struct walk *walk)
{
	return walk->half->flags & HALF_REWRITE ? reversed(&walk->record->half[!walk->side].tuple) : walk->half->tuple;
}

static void see_as(struct walk *walk, const struct sight *sight)
{
	if (sight->port && walk->nr < SIGHTS_MAX)
		walk->sights[walk->nr++] = *sight;
}

static void see(struct walk *walk, uint32_t port, bool egress, uint8_t path, const struct tuple *tuple)
{
	see_as(walk, &(struct sight){.port = port, .egress = egress, .path = egress ? path : 0, .tuple = *tuple});
}

static uint32_t traced(const struct walk *walk, enum enid_stage stage)
{
	for (int i = 0; i < walk->half->nr_trace && i < HALF_TRACE_MAX; i++)
		if (DECISION_STAGE(walk->trace[i]) == stage)
			return walk->trace[i];
	return 0;
}

static uint8_t uplink_path(const struct log_place *uplink)
{
	switch (uplink->gateway) {
	case ROUTE_IGW:
	case ROUTE_EIGW:
		return PATH_IGW;
	case ROUTE_VGW:
		return PATH_VGW;
	case ROUTE_ENDPOINT:
		return PATH_ENDPOINT;
	}
	return PATH_LOCAL; /* a transit gateway, a Gateway Load Balancer endpoint */
}

/* By which kind of way packets leave the VPC of `from` toward port `to`. */
static uint8_t path_between(const struct walk *walk, uint32_t from, uint32_t to)
{
	uint32_t peering = traced(walk, STAGE_PEERING);

	if (place(walk, from)->zone == place(walk, to)->zone)
		return place(walk, to)->kind == PORT_UPLINK ? uplink_path(place(walk, to)) : PATH_LOCAL;
	if (peering && !traced(walk, STAGE_TGW_ROUTE))
		return place(walk, DECISION_NUMBER(peering))->far ? PATH_FAR_PEERING : PATH_PEERING;
	return PATH_LOCAL;
}

/* ---- transit gateways: the attachment's ENI in the sender's zone (TGW-03, TGW-04), and the doors themselves (FL-27)
 */

/* Of the VPC's doors to this gateway the one in the zone, else the first, as the data path takes it. */
static const struct log_transit *door_of(const struct walk *walk, uint32_t zone, uint32_t az, uint32_t tgw)
{
	const struct log_transit *found = NULL;

	for (size_t i = 0; zone && i < walk->enis->nr_transit; i++) {
		const struct log_transit *door = &walk->enis->transit[i];

		if (door->zone == zone && door->tgw == tgw &&
		    (!found || door->az == az || (found->az != az && door->az < found->az)))
			found = door;
	}
	return found;
}

/* In appliance mode the flow chooses among the doors, by zone in order, as the data path takes it (TGW-10). */
static const struct log_transit *door_of_flow(const struct walk *walk, const struct log_transit *door,
					      const struct tuple *tuple)
{
	const struct log_enis *enis = walk->enis;
	uint32_t nr = 0, chosen;

	for (size_t i = 0; i < enis->nr_transit; i++)
		nr += enis->transit[i].attachment == door->attachment;
	chosen = flow_choice_of((const __u64 *)enis->secrets, tuple, nr);
	for (size_t i = 0; i < enis->nr_transit; i++) {
		uint32_t before = 0;

		for (size_t k = 0; k < enis->nr_transit; k++)
			before += enis->transit[k].attachment == door->attachment &&
				  enis->transit[k].az < enis->transit[i].az;
		if (enis->transit[i].attachment == door->attachment && before == chosen)
			return &enis->transit[i];
	}
	return door;
}

/* An uplink that is an attachment itself. */
static const struct log_transit *uplink_door(const struct walk *walk, uint32_t port)
{
	for (size_t i = 0; i < walk->enis->nr_transit; i++)
		if (walk->enis->transit[i].attachment == port)
			return &walk->enis->transit[i];
	return NULL;
}

static const struct log_transit *door_at(const struct walk *walk, uint32_t port, uint32_t az, uint32_t tgw)
{
	return uplink_door(walk, port) ?: door_of(walk, place(walk, port)->zone, az, tgw);
}

/* The only transit gateway that this end may reach, and the other end, too, if any does; 0 = none, or nobody says. */
static uint32_t only_tgw(const struct walk *walk, uint32_t port, uint32_t other)
{
	uint32_t only = 0, both = 0, nr = 0, nr_both = 0;

	for (size_t i = 0; i < walk->enis->nr_transit; i++) {
		uint32_t tgw = walk->enis->transit[i].tgw;
		const struct log_transit *door = door_at(walk, port, AZ_NOWHERE, tgw);

		if (!door || door->tgw != tgw)
			continue;
		nr += tgw != only;
		only = tgw;
		door = other ? door_at(walk, other, AZ_NOWHERE, tgw) : NULL;
		if (door && door->tgw == tgw) {
			nr_both += tgw != both;
			both = tgw;
		}
	}
	return nr_both == 1 ? both : nr == 1 ? only : 0;
}

/* Its end of the peering between the two. */
static const struct log_transit *peering_door(const struct walk *walk, uint32_t tgw, uint32_t far)
{
	for (size_t i = 0; i < walk->enis->nr_transit; i++)
		if (walk->enis->transit[i].tgw == tgw && walk->enis->transit[i].far == far)
			return &walk->enis->transit[i];
	return NULL;
}

/* Through one gateway, from door to door; either may be unknown. */
static void see_doors(struct walk *walk, const struct log_transit *in, const struct log_transit *out,
		      const struct tuple *tuple)
{
	struct sight sight = {
		.tuple = *tuple, .from = in ? (uint16_t)in->port : 0, .to = out ? (uint16_t)out->port : 0};

	if (in) {
		sight.port = in->attachment;
		sight.pair = out ? (uint16_t)out->attachment : 0;
		see_as(walk, &sight);
	}
	if (out) {
		sight.port = out->attachment;
		sight.pair = in ? (uint16_t)in->attachment : 0;
		sight.egress = true;
		see_as(walk, &sight);
	}
}

/* More decisions were made than a record keeps: what joins two VPCs is a transit gateway if no peering does. */
static bool may_have_crossed(const struct walk *walk)
{
	return traced(walk, STAGE_TGW_ROUTE) ||
	       (walk->half->nr_trace >= HALF_TRACE_MAX && !traced(walk, STAGE_PEERING));
}

static bool crosses(const struct walk *walk, uint32_t from, uint32_t to, bool mapped)
{
	if (!walk->enis->nr_transit)
		return false;
	if (uplink_door(walk, from) || uplink_door(walk, to))
		return true;
	if (place(walk, from)->zone == place(walk, to)->zone)
		return !mapped && traced(walk, STAGE_TGW_ROUTE);
	return may_have_crossed(walk);
}

/* Between the port that packets come from and the one they go to, if a transit gateway lies between. */
static void see_transit(struct walk *walk, uint32_t from, uint32_t to, const struct tuple *tuple, bool mapped)
{
	uint32_t az = place(walk, from)->kind == PORT_UPLINK ? AZ_NOWHERE : place(walk, from)->az;
	const struct log_transit *in, *out;
	uint32_t tgw;

	if (!crosses(walk, from, to, mapped))
		return;
	tgw = walk->way->tgw[walk->side] ?: only_tgw(walk, from, to);
	in = door_at(walk, from, az, tgw);
	out = door_at(walk, to, az, tgw) ?: door_at(walk, to, az, only_tgw(walk, to, 0));
	if (out && out->appliance)
		out = door_of_flow(walk, out, tuple);
	if (in && in->zone)
		see(walk, in->port, false, 0, tuple);
	if (in && out && in->tgw != out->tgw) {
		see_doors(walk, in, peering_door(walk, in->tgw, out->tgw), tuple);
		see_doors(walk, peering_door(walk, out->tgw, in->tgw), out, tuple);
	} else {
		see_doors(walk, in, out, tuple);
	}
	if (out && out->zone)
		see(walk, out->port, true, PATH_LOCAL, tuple);
}

/* ---- NAT gateways: two at the most, of which the outer one has the mapping */

static bool is_mapped(const struct walk *walk)
{
	return walk->way->mapping.gateway && walk->way->mapping.addr && walk->record->half[0].shared & RECORD_GATED &&
	       walk->half->flags & HALF_MAPPED;
}

/* The gateway that clients meet, and the one that servers meet. */
static uint32_t near_gateway(const struct walk *walk)
{
	return walk->way->mapping.inner ? walk->way->mapping.inner : walk->way->mapping.gateway;
}

static void set_outside(struct tuple *tuple, __be32 addr, __be16 port, bool source)
{
	union addr *own = source ? &tuple->saddr : &tuple->daddr;

	*own = (union addr){.ip4 = addr};
	*(source ? &tuple->sport : &tuple->dport) = port;
}

/* Packets from clients: in with the address of who sent them, out with the gateway's. */
static void see_nat_out(struct walk *walk)
{
	const struct gate_mapping *mapping = &walk->way->mapping;
	struct tuple in = walk->half->tuple, out = leaving(walk);

	see_transit(walk, IN_PORT(walk->half->in), near_gateway(walk), &in, true);
	if (mapping->inner) {
		see(walk, mapping->inner, false, 0, &in);
		set_outside(&out, mapping->inner_addr, mapping->port, true);
		see(walk, mapping->inner, true, path_between(walk, mapping->inner, mapping->gateway), &out);
		see_transit(walk, mapping->inner, mapping->gateway, &out, true);
		in = out;
	}
	see(walk, mapping->gateway, false, 0, &in);
	set_outside(&out, mapping->addr, mapping->port, true);
	see(walk, mapping->gateway, true, path_between(walk, mapping->gateway, walk->half->exit), &out);
	see_transit(walk, mapping->gateway, walk->half->exit, &out, true);
}

/* Answers, the other way round. */
static void see_nat_back(struct walk *walk)
{
	const struct gate_mapping *mapping = &walk->way->mapping;
	struct tuple in = walk->half->tuple, out = leaving(walk);

	set_outside(&in, mapping->addr, mapping->port, false);
	see_transit(walk, IN_PORT(walk->half->in), mapping->gateway, &in, true);
	see(walk, mapping->gateway, false, 0, &in);
	if (mapping->inner) {
		set_outside(&in, mapping->inner_addr, mapping->port, false);
		see(walk, mapping->gateway, true, path_between(walk, mapping->gateway, mapping->inner), &in);
		see_transit(walk, mapping->gateway, mapping->inner, &in, true);
		see(walk, mapping->inner, false, 0, &in);
	}
	see(walk, near_gateway(walk), true, path_between(walk, near_gateway(walk), walk->half->exit), &out);
	see_transit(walk, near_gateway(walk), walk->half->exit, &out, true);
}

static void see_gateways(struct walk *walk)
{
	struct tuple tuple = walk->half->tuple;

	if (!is_mapped(walk)) {
		see_transit(walk, IN_PORT(walk->half->in), walk->half->exit, &tuple, false);
		return;
	}
	if (walk->side == 0)
		see_nat_out(walk);
	else
		see_nat_back(walk);
}

static uint8_t sender_path(const struct walk *walk)
{
	uint32_t to = walk->half->exit;

	if (is_mapped(walk))
		to = walk->side == 0 ? near_gateway(walk) : walk->way->mapping.gateway;
	return to ? path_between(walk, IN_PORT(walk->half->in), to) : 0;
}

/* What a device receives came from the guest, unless the device is the ENI itself; what the host sends out of it goes
 * there. Such packets (IN_TX) have no other end here. */
int vantage_sights(const struct log_enis *enis, const struct flow_record *record, const struct way *way, int side,
		   struct sight ret[SIGHTS_MAX])
{
	struct walk walk = {.enis = enis,
			    .record = record,
			    .half = &record->half[side],
			    .trace = way->trace[side],
			    .way = way,
			    .side = side,
			    .sights = ret};
	uint32_t in = IN_PORT(walk.half->in);
	const struct log_eni *eni = log_eni(enis, uplink_door(&walk, in) ? 0 : in);
	bool tx = walk.half->in & IN_TX, egress = eni && eni->side_instance == tx;
	struct tuple leaves;

	if (eni)
		see(&walk, in, egress, sender_path(&walk), &walk.half->tuple);
	if (tx || (eni && !egress) || !walk.half->exit)
		return walk.nr;
	see_gateways(&walk);
	leaves = leaving(&walk);
	if (!uplink_door(&walk, walk.half->exit))
		see(&walk, walk.half->exit, false, 0, &leaves);
	return walk.nr;
}
