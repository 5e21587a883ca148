/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lists of the desired state beside state.h's: gateways between networks, endpoints, mirroring, DHCP. Conventions
 * are those of state.h: sorted by id, "" = absent text, NULL = the object is missing (a warning said so). `available`,
 * `active`: the state words allow traffic (TGW-16, NAT-24, PCX-01).
 */
#ifndef ENID_STATE_EXTRA_H
#define ENID_STATE_EXTRA_H

#include "state/state.h"

struct nat_address {
	const char *eni_id;
	struct eni *eni;
	__be32 private_ip, public_ip; /* 0 = none */
	const char *az;
	bool primary, usable; /* Status succeeded or absent */
};

struct nat_gateway {
	const char *id;
	struct vpc *vpc;
	struct vpc_subnet *subnet;
	const char *state; /* lower case; "available" if absent */
	bool available;
	bool draining;                 /* being deleted: established flows go on (NAT-24) */
	bool private_only;             /* ConnectivityType private (NAT-16) */
	bool regional;                 /* AvailabilityMode regional (NAT-23) */
	struct route_table *table;     /* RouteTableId of a regional one */
	struct nat_address *addresses; /* primary first, then by address */
	size_t nr_addresses;
};

struct peering_side {
	const char *vpc_id, *owner, *region;
	struct vpc *vpc;
	struct cidr *cidrs; /* as the connection tells them; sorted */
	size_t nr_cidrs;
};

struct peering {
	const char *id;
	bool active;
	struct peering_side requester, accepter;
};

enum endpoint_kind { ENDPOINT_GATEWAY, ENDPOINT_INTERFACE, ENDPOINT_GWLB, ENDPOINT_OTHER };

struct vpc_endpoint {
	const char *id;
	enum endpoint_kind kind;
	struct vpc *vpc;
	const char *service;
	bool available;
	struct route_table **tables; /* without missing ones, as in the next three */
	size_t nr_tables;
	struct vpc_subnet **subnets;
	size_t nr_subnets;
	struct security_group **groups;
	size_t nr_groups;
	struct eni **enis;
	size_t nr_enis;
};

struct tgw {
	const char *id;
	const char *owner;
	bool available, vpn_ecmp, sg_referencing, multicast;
	const char *association_table, *propagation_table;
};

struct tgw_attachment {
	const char *id, *tgw_id;
	struct tgw *tgw;
	const char *type; /* vpc, vpn, peering, connect, direct-connect-gateway, ... */
	const char *resource, *owner;
	bool available;
	const char *table; /* associated table, or "" (TGW-02) */
};

struct tgw_vpc_attachment {
	const char *id;
	struct tgw *tgw;
	struct vpc *vpc;
	struct vpc_subnet **subnets;
	size_t nr_subnets;
	bool available, ipv6, appliance_mode, sg_referencing;
};

struct tgw_route {
	struct cidr cidr; /* family 0 where a prefix list is the destination */
	struct prefix_list *prefix_list;
	bool is_static, blackhole;
	const char **attachments;
	size_t nr_attachments;
};

struct tgw_table {
	const char *id;
	struct tgw *tgw;
	bool available, default_association, default_propagation;
	struct tgw_route *routes; /* prefix-list references are among them (TGW-05) */
	size_t nr_routes;
	const char **associations; /* attachment ids, state associated */
	size_t nr_associations;
	const char **propagations; /* attachment ids, state enabled */
	size_t nr_propagations;
};

struct customer_gateway {
	const char *id, *address, *asn, *type;
	bool available;
};

struct vpn_connection {
	const char *id;
	const char *tgw_id;
	struct customer_gateway *customer_gateway;
	struct gateway *vgw;
	bool available, static_only;
	struct cidr *routes; /* static prefixes, sorted */
	size_t nr_routes;
};

struct mirror_rule {
	int number;
	bool accept;
	int protocol; /* or PROTOCOL_ANY */
	struct cidr source, destination;
	uint16_t source_from, source_to, destination_from, destination_to;
};

struct mirror_filter {
	const char *id;
	bool amazon_dns;              /* NetworkServices (TM-05) */
	struct mirror_rule *in, *out; /* ascending numbers */
	size_t nr_in, nr_out;
};

struct mirror_target {
	const char *id, *type;
	struct eni *eni;   /* NULL: missing, or another kind of target */
	const char *other; /* load balancer or endpoint */
};

struct mirror_session {
	const char *id;
	struct eni *eni;
	struct mirror_target *target;
	struct mirror_filter *filter;
	int number;
	uint32_t packet_length; /* 0 = whole packet (TM-11) */
	int64_t vni;            /* -1 = not given */
	bool dropped;           /* MirrorDroppedPackets, ours: what is dropped, too */
};

struct dhcp_configuration {
	const char *key;
	const char **values;
	size_t nr_values;
};

struct dhcp_options {
	const char *id;
	struct dhcp_configuration *configurations;
	size_t nr_configurations;
};

/* An address of the list Addresses; what it says of an ENI is merged into eni.addresses (the ENI wins). */
struct elastic_ip {
	const char *id; /* the address as text */
	__be32 public_ip, private_ip;
	const char *allocation, *eni_id;
	struct eni *eni;
};

/* VpcBlockPublicAccessExclusions in force; already applied to vpc.bpa and vpc_subnet.bpa. */
struct bpa_exclusion {
	const char *id;
	const char *resource; /* vpc or subnet id at the end of ResourceArn */
	bool egress_only;
};

struct state_extra {
	struct nat_gateway *nat_gateways;
	size_t nr_nat_gateways;
	struct peering *peerings;
	size_t nr_peerings;
	struct vpc_endpoint *endpoints;
	size_t nr_endpoints;
	struct tgw *tgws;
	size_t nr_tgws;
	struct tgw_attachment *tgw_attachments;
	size_t nr_tgw_attachments;
	struct tgw_vpc_attachment *tgw_vpc_attachments;
	size_t nr_tgw_vpc_attachments;
	struct tgw_table *tgw_tables;
	size_t nr_tgw_tables;
	struct customer_gateway *customer_gateways;
	size_t nr_customer_gateways;
	struct vpn_connection *vpn_connections;
	size_t nr_vpn_connections;
	struct mirror_filter *mirror_filters;
	size_t nr_mirror_filters;
	struct mirror_target *mirror_targets;
	size_t nr_mirror_targets;
	struct mirror_session *mirror_sessions;
	size_t nr_mirror_sessions;
	struct dhcp_options *dhcp_options;
	size_t nr_dhcp_options;
	struct elastic_ip *elastic_ips;
	size_t nr_elastic_ips;
	struct bpa_exclusion *bpa_exclusions;
	size_t nr_bpa_exclusions;
	int bpa; /* enum bpa_mode of the account (VpcBlockPublicAccessOptions) */
};

#endif
