/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The static model: the way of one packet through a state, in user space and without the kernel.
 *
 * Routes, addresses and gateways are read from the compiled image, security groups and network ACLs from the state
 * itself (rules.h). It is written down as SEMANTICS tells it (PATH-01..PATH-15), not as the programs in bpf/ have it,
 * but names its reasons and decisions alike, so that the two can be compared word by word.
 *
 * Two questions can be put. A point: one protocol and port; the first rule that decides is noted at each stage. A set
 * (`set` not NULL): all services of a family at once; each stage leaves those that it admits, and the way ends where
 * none is left. What depends on the service otherwise (NAT) narrows the set, too.
 */
#ifndef ENID_EXPLAIN_WAY_H
#define ENID_EXPLAIN_WAY_H

#include "compile/image.h"
#include "enid/report.h"
#include "explain/rules.h"

/* What an ENI remembers of a flow: its packets by the tuple with which they leave it (CT-19). */
struct way_entry {
	uint32_t port;
	struct tuple tuple;
};

#define WAY_ENTRIES_MAX 2

/* What the first packet left behind, for the answer to it. */
struct way_memory {
	struct way_entry entry[WAY_ENTRIES_MAX];
	size_t nr;
	bool opened;         /* the flow has a record */
	struct tuple client; /* as its opener sends */
	uint32_t outside;    /* the port where answers come in */
	/* at a gateway that keeps mappings; IMAGE_NONE = there is none */
	uint32_t gateway, inner, peering;
	__be32 addr, inner_addr;
};

/* One decision. */
struct way_step {
	uint32_t stage; /* enum enid_stage */
	const char *id, *rule;
	uint32_t subnet;        /* whose network ACL, or whose packet it was there; IMAGE_NONE = no subnet's */
	struct rule_found what; /* groups and network ACLs: the rule itself */
	struct tuple at;        /* the packet there */
};

struct way {
	/* in */
	const struct state *state;
	const struct image *image;
	const uint64_t *secrets;         /* of the data path, whose choices are by hash; NULL = whichever comes first */
	const struct way_memory *memory; /* NULL: the first packet of its flow */
	struct services *set;            /* NULL: a point */
	uint32_t in;                     /* port where the packet comes from, index in image.ports */
	struct tuple tuple;
	uint32_t icmp; /* type << 8 | code */
	bool opens;    /* a TCP SYN without ACK */

	/* out */
	uint32_t action; /* enum enid_action */
	uint32_t reason; /* enum enid_reason */
	uint32_t exit;   /* port */
	struct tuple out;
	struct way_step step[TRACE_MAX];
	size_t nr_steps;
	struct rules_question asked; /* REASON_SG_*, REASON_NACL_*: what the last rules were asked */
	const struct eni *asked_eni; /* ... whose groups */
	uint32_t asked_subnet;       /* ... or which subnet's network ACL */
	uint32_t asked_table;        /* the route table that was looked at last */
	bool port_free;              /* a NAT gateway chooses the source port */
	bool relayed;                /* no group reference can match (SG-18) */

	/* under way: where the packet is, as bpf/packet.h says */
	uint32_t service, source, target, at, at_zone, at_subnet, at_table, at_port, at_gateway, at_az, peer_zone, via;
	uint32_t nat, nat_inner, peering;
	__be32 nat_addr, nat_inner_addr;
	const struct image_route *route;
	bool routed, crossing, transit, source_fresh, target_fresh, answered, nat_new;
	uint8_t hops;
};

/* Fill in what comes out. ret: way->reason */
uint32_t way_walk(struct way *way);

/* What an accepted first packet leaves behind. */
void way_remember(const struct way *way, struct way_memory *ret);
/* The packet that answers one with this tuple (ICMP queries: the reply). */
struct tuple way_answer(const struct tuple *tuple);
bool way_is_query(int family, uint8_t proto);
bool way_query_type(int family, uint32_t type);

/* ---- look-ups in an image (find.c); IMAGE_NONE = nobody, nowhere */
uint32_t way_find_port(const struct image *image, const char *id);
uint32_t way_find_owner(const struct image *image, uint32_t zone, int family, const union addr *addr);
bool way_find_association(const struct image *image, uint32_t zone, __be32 addr, uint32_t *ret_port, __be32 *ret_other);
const struct image_route *way_find_route(const struct image *image, uint32_t table, int family, const union addr *addr);
bool way_find_covers(const struct image *image, uint32_t subnet, int family, const union addr *addr);
bool way_find_is_router(const struct image *image, uint32_t subnet, int family, const union addr *addr);
bool way_find_is_service(const struct image *image, uint32_t subnet, int family, const union addr *addr);
const struct image_gateway *way_find_gateway(const struct image *image, uint32_t port);
const struct vpc_subnet *way_find_subnet(const struct state *state, const struct image *image, uint32_t subnet);

/* ---- parts of the walk (gates.c), ret: 0 = arrived, WAY_ON, or the reason */
#define WAY_ON (-1)
enum way_at { WAY_SUBNET, WAY_EDGE, WAY_NAT, WAY_PEER, WAY_TRANSIT, WAY_VGW };

int way_nacl(struct way *way, uint32_t subnet, bool egress);
void way_station(struct way *way, uint32_t at, uint32_t zone, uint32_t subnet, uint32_t table);
void way_note(struct way *way, uint32_t stage, const char *id, const char *rule);
bool way_may_open(const struct way *way);
bool way_plain(const struct way *way);
uint64_t way_secret(const struct way *way, int i);
bool way_martian_source(int family, const union addr *a);
bool way_martian_destination(int family, const union addr *a);

int gate_nat_out(struct way *way, uint32_t nat);
int gate_nat_in(struct way *way, uint32_t nat);
int gate_out(struct way *way, uint32_t kind, uint32_t target); /* by the route of that kind */
int gate_attachment(struct way *way, uint32_t attachment);
int gate_uplink(struct way *way, uint32_t uplink);
int gate_igw_out(struct way *way, uint32_t uplink);
int gate_igw_in(struct way *way, const struct image_port *uplink);
int gate_eigw_out(struct way *way, uint32_t uplink);
int gate_eigw_in(struct way *way, const struct image_port *uplink);
bool gate_shared_with_eigw(const struct way *way, const struct image_port *uplink);
bool gate_maps(const struct way *way, uint32_t gateway, bool inbound);
bool gate_nat64_address(const union addr *a);
int gate_vgw_to_vpc(struct way *way);
int gate_in(struct way *way, const struct image_port *uplink); /* from outside: the first station */
int gate_outsider(struct way *way, const struct image_port *uplink);
bool gate_joins(const struct image *image, uint32_t peering, uint32_t a, uint32_t b);

#endif
