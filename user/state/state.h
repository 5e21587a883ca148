/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Desired state: the lists of SEMANTICS section 18 as C structs, parsed, validated and with references resolved.
 *
 * state_load() reads files and folders, merges them list by list, and returns either a state in which every value is in
 * range, every id unique and every reference resolved (a missing object = NULL and a warning, JSON-06), or all errors
 * at once. It knows nothing of the kernel. All strings and arrays belong to the state (one arena: state_free frees
 * all). Addresses are in network byte order; IPv4 CIDRs have their host bits cleared (a warning says so). An absent
 * list is empty; an absent key has the default that the comment gives. AWS ids are at most ID_MAX - 1 bytes of
 * printable ASCII without blanks (E32).
 */
#ifndef ENID_STATE_H
#define ENID_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enid/limits.h"
#include "enid/types.h"

struct cidr {
	uint8_t family;    /* 4 or 6 */
	uint8_t prefixlen; /* 0..32 or 0..128 */
	union addr addr;   /* network address */
};

struct vpc {
	const char *id;
	const char *owner;        /* OwnerId; "" if absent */
	const char *dhcp_options; /* DhcpOptionsId; "" if absent */
	struct cidr primary;      /* CidrBlock; family 0 if absent */
	struct cidr *cidrs;       /* every associated CIDR, IPv4 and IPv6, primary included, no duplicates (VPC-04) */
	size_t nr_cidrs;
	uint32_t zone; /* 1 + position in the order of VpcIds: also the VNI unless Vni is set */
	uint32_t vni;
	int bpa; /* enum bpa_mode of BlockPublicAccessStates, or of VpcBlockPublicAccessOptions; exclusions applied */
	bool dns_support; /* EnableDnsSupport, default true */
};

enum bpa_mode { BPA_OFF, BPA_BIDIRECTIONAL, BPA_INGRESS };

struct nacl;
struct route_table;

struct vpc_subnet {
	const char *id;
	struct vpc *vpc;
	struct cidr cidr4; /* family 0 = IPv6-only */
	struct cidr cidrs6[SUBNET_CIDRS6_MAX];
	size_t nr_cidrs6;
	const char *az; /* AvailabilityZone; "" if absent */
	const char *az_id;
	int bpa;           /* as vpc.bpa, exclusions applied */
	struct nacl *nacl; /* the associated one, else the VPC's default one, else NULL = allow all (VPC-16, VPC-17) */
	struct route_table *table; /* the associated one, else the main one, else NULL = local routes only (VPC-17) */
};

struct prefix_list {
	const char *id;
	const char *name;
	struct cidr *entries; /* empty when nothing is known, or while State is delete-* */
	size_t nr_entries;
};

enum peer_kind { PEER_CIDR, PEER_PREFIX_LIST, PEER_GROUP };

struct security_group;

struct sg_peer {
	enum peer_kind kind;
	struct cidr cidr;
	struct prefix_list *prefix_list; /* NULL = missing: matches nothing */
	struct security_group *group;    /* NULL = missing or stale (SG-19): matches nothing */
	const char *id;                  /* PrefixListId or GroupId as written; "" for a CIDR */
	const char *peering;             /* VpcPeeringConnectionId, or "" */
	const char *rule_id;             /* SecurityGroupRuleId, or "" */
};

#define PROTOCOL_ANY (-1)

struct sg_permission {
	int protocol; /* 0..255 or PROTOCOL_ANY */
	/* TCP, UDP: first and last port, all = 0..65535. ICMP, ICMPv6: type and code, -1 = any. Others: 0 and 65535. */
	int from, to;
	struct sg_peer *peers;
	size_t nr_peers;
	const char *place; /* "IpPermissions[2]", or the SecurityGroupRuleId it came from */
};

struct security_group {
	const char *id;
	const char *name;
	const char *owner;
	struct vpc *vpc;
	struct sg_permission *in, *out;
	size_t nr_in, nr_out;
	struct vpc **associated; /* other VPCs it serves (SG-20) */
	size_t nr_associated;
};

struct nacl_entry {
	int number; /* 1..32768 */
	bool allow;
	int protocol; /* 0..255 or PROTOCOL_ANY */
	struct cidr cidr;
	int from, to; /* as in sg_permission */
};

struct nacl {
	const char *id;
	struct vpc *vpc;
	bool is_default;
	struct nacl_entry *in, *out; /* ascending numbers; without the implied `*` */
	size_t nr_in, nr_out;
};

enum target_kind {
	TARGET_LOCAL,
	TARGET_IGW,
	TARGET_EIGW,
	TARGET_VGW,
	TARGET_VPCE,
	TARGET_NAT,
	TARGET_ENI,
	TARGET_PEERING,
	TARGET_TGW,
	TARGET_OTHER, /* local gateway, carrier, core network, Outposts (RT-16): blackhole */
	TARGET_NONE,  /* no target key at all: blackhole */
};

enum route_origin { ORIGIN_STATIC, ORIGIN_LOCAL, ORIGIN_PROPAGATED };

struct eni;
struct gateway;

struct vpc_route {
	struct cidr cidr; /* family 0 when a prefix list is the destination */
	struct prefix_list *prefix_list;
	const char *destination; /* as written, for people: CIDR or prefix list id */
	enum target_kind target;
	const char *target_id;
	struct eni *eni;         /* TARGET_ENI, NULL = missing */
	struct gateway *gateway; /* TARGET_IGW, TARGET_EIGW, TARGET_VGW; NULL = missing */
	enum route_origin origin;
	bool blackhole; /* State says so, or the target is missing or unusable (RT-28) */
	bool filtered;  /* State: filtered = not installed (RT-11) */
};

struct route_table {
	const char *id;
	struct vpc *vpc;
	struct vpc_route *routes;
	size_t nr_routes;
	bool main;
	const char **propagating; /* ids of PropagatingVgws */
	size_t nr_propagating;
};

/* An internet, egress-only internet or virtual private gateway. */
struct gateway {
	const char *id;
	enum target_kind kind;     /* TARGET_IGW, TARGET_EIGW, TARGET_VGW */
	struct vpc *vpc;           /* NULL = attached to none */
	struct route_table *table; /* gateway route table (RT-18), or NULL */
	struct route_table *pool;  /* that of a public address pool (RT-23), or NULL */
};

/* An address has one owner in its VPC, a public one in the whole state; prefixes included. */
struct eni_address {
	union addr addr;
	uint8_t family;
	uint8_t prefixlen; /* 32 or 128; 28 or 80 of a delegated prefix */
	bool primary;
	__be32 public_ip; /* Association.PublicIp, 0 = none */
};

struct eni {
	const char *id;
	struct vpc *vpc;           /* NULL: missing; the ENI is not served */
	struct vpc_subnet *subnet; /* as above */
	uint8_t mac[6];            /* zeros if absent; a port with a device has one */
	bool live;                 /* in-use and attached (ENI-11); an absent Status or Attachment counts as live */
	bool routing;              /* no security group exists here (ENI-02, ENI-03, JSON-09) */
	bool check;                /* SourceDestCheck; default true for compute, false for routing */
	bool deny_igw;
	const char *type; /* InterfaceType; "interface" if absent */
	const char *owner;
	const char *instance;           /* Attachment.InstanceId, or "" */
	const char *name;               /* of the tag Name, or "" */
	const char *transit;            /* attachment to a transit gateway that its Description names, or "" */
	struct security_group **groups; /* without missing ones */
	size_t nr_groups;
	struct eni_address *addresses; /* primary IPv4 first */
	size_t nr_addresses;
	uint32_t tcp_established_s; /* CT-09, defaults filled in */
	uint32_t udp_s;
	uint32_t udp_stream_s;
};

enum hook_kind { HOOK_AUTO, HOOK_XDP, HOOK_TC };

struct host_port {
	struct eni *eni;    /* never NULL: a port of a missing ENI is an error */
	const char *device; /* "" = a routing ENI without a device */
	bool guard;
	bool side_instance;
	enum hook_kind hook;
	uint32_t mtu; /* Mtu: of the guest's interface, which the host cannot see; ENI_MTU if it is not said */
};

/* An appliance behind a Gateway Load Balancer endpoint. */
struct gwlb_target {
	__be32 address;
	bool fresh; /* takes new flows */
};

struct host_uplink {
	const char *gateway_id;
	struct gateway *gateway; /* NULL: none of state.gateways */
	const char *device;
	bool answer_neighbours; /* AnswerNeighbours, default true */
	uint32_t mtu;           /* Mtu; 0 = the device's */
	/* Gateway Load Balancer endpoint (EP-07..EP-09) */
	__be32 address;              /* outer source: Address, or the host's TunnelAddress; 0 = none */
	struct gwlb_target *targets; /* those for new flows first, then by address */
	size_t nr_targets;
	uint32_t tcp_idle_s;
	uint32_t sticky; /* enum gwlb_sticky */
};

struct host {
	const char *id;
	__be32 tunnel_address; /* 0 = none */
	uint8_t router_mac[6];
	struct host_port *ports;
	size_t nr_ports;
	struct host_uplink *uplinks;
	size_t nr_uplinks;
};

struct flow_log {
	const char *id;
	const char *resource;
	const char *traffic; /* ACCEPT, REJECT, ALL */
	const char *format;
	const char *destination_type; /* cloud-watch-logs, s3, ...; ours: netflow9, ipfix */
	const char *destination;
	uint32_t interval_s; /* 60 or 600 */
	bool active, hive, per_hour, json;
};

struct state_message {
	const char *text; /* "state/sgs.json: SecurityGroups[3] sg-0a1: IpPermissions[0]: port range 90-80 is empty" */
};

/* Every list is sorted by id, so that the same objects in any order give the same state. */
struct state {
	struct vpc *vpcs;
	size_t nr_vpcs;
	struct vpc_subnet *subnets;
	size_t nr_subnets;
	struct security_group *groups;
	size_t nr_groups;
	struct nacl *nacls;
	size_t nr_nacls;
	struct route_table *tables;
	size_t nr_tables;
	struct eni *enis;
	size_t nr_enis;
	struct gateway *gateways;
	size_t nr_gateways;
	struct prefix_list *prefix_lists;
	size_t nr_prefix_lists;
	struct flow_log *flow_logs;
	size_t nr_flow_logs;
	struct host *hosts;
	size_t nr_hosts;
	struct state_extra *extra; /* the other lists (extra.h) */
	void *arena;
	void *changed; /* change.c: memory of what was changed after loading; NULL = nothing was */
};

struct state_messages {
	struct state_message *errors;
	size_t nr_errors;
	struct state_message *warnings;
	size_t nr_warnings;
	void *arena;
};

/* Load and validate. paths: files, or folders (every *.json in them, dot-files ignored, sorted by name).
 * ret: 0, *ret_state set, messages may hold warnings | -EINVAL: messages hold the errors, *ret_state untouched
 *      | -ENOMEM. messages is always valid afterwards and freed with state_messages_done(). */
int state_load(const char *const *paths, size_t nr_paths, struct state **ret_state, struct state_messages *messages);
/* The same of one document that was read already; it is reduced by this. name: for messages */
int state_load_document(json_t *document, const char *name, struct state **ret_state, struct state_messages *messages);
/* As state_load(), or of a document where that is not NULL (then paths[0] is its name); and tell all objects as they
 * were understood, in one spelling: {list: {id: object}}. */
int state_load_objects(const char *const *paths, size_t nr_paths, json_t *document, struct state **ret_state,
		       struct state_messages *messages, json_t **ret_objects);
/* As state_load(), and keep the texts, so that change.h can follow what happens to the files. *ret_sources: to
 * sources_free(); NULL on failure, and also where memory was too short for them. */
struct sources;
int state_load_sources(const char *const *paths, size_t nr_paths, struct state **ret_state,
		       struct state_messages *messages, struct sources **ret_sources);
void state_free(struct state **state);
void state_messages_done(struct state_messages *messages);

/* The host to act for: the one named (NULL: this machine's host name, else the only one in the state); NULL if none. */
const struct host *state_host(const struct state *state, const char *name);
/* Why state_host() finds none, to free(). */
char *state_host_missing(const struct state *state, const char *name);
const struct eni *state_eni(const struct state *state, const char *id);

#endif
