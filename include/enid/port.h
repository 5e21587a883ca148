/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ports, subnets and addresses: who is where, and which policy holds for whom.
 *
 * Everything that a state change may alter stands twice, in slot[0] and slot[1]; control.generation & 1 says which of
 * the two is in force. The agent fills the other slot of what changes, flips the generation with one store, waits until
 * no packet can still be under way in the old one (a grace period of the kernel), then copies the new slot over the
 * old. So every packet is judged by exactly one state, however many ENIs a change touches (JSON-07, E2, E3).
 *
 * A port number names an ENI (of this host or of another one) or an uplink; it stays the same for the ENI's life.
 */
#ifndef ENID_PORT_H
#define ENID_PORT_H

#include "enid/limits.h"
#include "enid/types.h"

enum port_kind {
	PORT_NONE,
	PORT_ENI,     /* an ENI of this host, with or without a device */
	PORT_REMOTE,  /* an ENI of another host */
	PORT_UPLINK,  /* leads out through a gateway */
	PORT_TUNNEL,  /* the overlay device */
	PORT_NAT,     /* a NAT gateway of this host: the port of its primary ENI */
	PORT_GATEWAY, /* another gateway that packets pass through; it has no device */
};

enum port_mode { MODE_ROUTER, MODE_GUARD };

#define PORT_LIVE          1u   /* in use and attached (ENI-11): packets may be delivered */
#define PORT_CHECK         2u   /* SourceDestCheck */
#define PORT_NO_SG         4u   /* a routing ENI, an uplink: no security group exists here (SG-24) */
#define PORT_DENY_IGW      8u   /* DenyAllIgwTraffic (ENI-14) */
#define PORT_SIDE_INSTANCE 16u  /* the device is the ENI itself: what it receives goes to the guest */
#define PORT_ANSWER        32u  /* uplink: answer ARP and ND for the addresses behind it */
#define PORT_BPA_IN        64u  /* block public access: no flow from the internet */
#define PORT_BPA_OUT       128u /* ... nor to it */
#define PORT_ENDPOINT      256u /* an interface endpoint: opens nothing itself, and what it sees is tracked (EP-05) */

struct port_policy {
	__u32 epoch;  /* raised by every change that may alter a verdict here; a sum of two decides on a cached one */
	__u32 zone;   /* address space: number of the VPC; uplink: the VPC of its gateway */
	__u32 subnet; /* number in `subnets` */
	__u32 sg_in;  /* line of the policy object in `policy`; 0 = nothing is admitted */
	__u32 sg_out;
	__u32 identity; /* the set of groups that the ENI carries; 0 = none */
	__u32 tcp_established_s;
	__u16 udp_s;
	__u16 udp_stream_s;
	__u8 mac[6];     /* the ENI's MacAddress; uplink: the device's */
	__u8 kind;       /* enum port_kind; PORT_NONE = slot unused */
	__u8 mode;       /* enum port_mode */
	__u32 flags;     /* PORT_* */
	__u32 gateway;   /* uplink: enum route_kind that leads here */
	__be32 primary4; /* primary private IPv4 address: flow logs (FL-10) */
	__u32 hop;       /* number in `gateways`: what else is to know of a gateway; 0 = it is none */
	__u32 mirror;    /* line of its traffic mirror sessions in `policy` (enid/mirror.h); 0 = none */
	__u32 zero;
};

/* A station of a packet's walk that is more than a port. */
enum gateway_kind {
	GATEWAY_NONE,
	GATEWAY_NAT,        /* members: its addresses (__be32), primary first. table[0]: where it sends to */
	GATEWAY_EDGE,       /* uplink of an internet gateway. table[0]: its route table (RT-18), 0 = local delivery;
			     * table[1]: that of a public address pool (RT-23); table[2]: local routes only, the
			     * VPC's CIDRs */
	GATEWAY_EGRESS,     /* uplink of an egress-only internet gateway */
	GATEWAY_ENDPOINT,   /* uplink of a gateway endpoint. table[0]: what it serves */
	GATEWAY_PEERING,    /* zone, table: of both VPCs; the tables know local routes only */
	GATEWAY_ATTACHMENT, /* of a VPC to a transit gateway. members: subnets, then their AZs. table[0]: TGW table */
	GATEWAY_TRANSIT,    /* another attachment: an uplink, or the far side of a TGW peering. table[0]: TGW table;
			     * members: ports of all uplinks of the transit gateway */
	GATEWAY_GROUP,      /* members: ports of equal cost (TGW-09), or in order of preference */
	GATEWAY_VGW,        /* or an uplink of it. table[0]: its own; table[1]: for what enters the VPC;
			     * members: ports of all its uplinks */
	GATEWAY_GWLBE, /* uplink of a Gateway Load Balancer endpoint, in its port's subnet. members: enum gwlb_word;
			* the first nr appliances take new flows */
};

/* Members of a Gateway Load Balancer endpoint: the appliances' addresses (__be32), then these. */
enum gwlb_word {
	GWLB_KNOWN = GWLB_TARGETS_MAX, /* how many appliances there are, with those that only finish what they have */
	GWLB_SOURCE,                   /* outer source address */
	GWLB_ENDPOINT,                 /* two words, as sent: endpoint id */
	GWLB_ATTACHMENT = GWLB_ENDPOINT + 2, /* ... attachment id */
	GWLB_TCP_IDLE = GWLB_ATTACHMENT + 2, /* seconds */
	GWLB_STICKY,                         /* enum gwlb_sticky */
	GWLB_WORDS,
};

/* What of a flow chooses its appliance (EP-09). */
enum gwlb_sticky { STICKY_5_TUPLE, STICKY_3_TUPLE, STICKY_2_TUPLE };

#define GATEWAY_PRIVATE   1u   /* NAT: no public address (NAT-16) */
#define GATEWAY_REGIONAL  2u   /* NAT: in no subnet (NAT-23) */
#define GATEWAY_APPLIANCE 4u   /* attachment: both directions of a flow through one subnet (TGW-10) */
#define GATEWAY_SG_REF    8u   /* attachment: group references hold across the transit gateway (SG-17) */
#define GATEWAY_DRAINING  16u  /* NAT: being deleted; carries what it has mappings for (NAT-24) */
#define GATEWAY_TRACKED   32u  /* flows through it are tracked whatever the rules (CT-06) */
#define GATEWAY_FAR       64u  /* peering: between Regions (PCX-07) */
#define GATEWAY_LOGGED    512u /* transit gateway: a flow log asks what is lost there (FL-27) */
#define GATEWAY_ORDERED   256u /* group: the first member that works, else any by the flow */
#define GATEWAY_VPN       128u /* uplink: through an IPsec tunnel of AWS's kind (VGW-05) */

_Static_assert(GWLB_WORDS <= GATEWAY_MEMBERS_MAX, "they fit among the members");

#define GATEWAY_TABLES 3

struct gateway_policy {
	__u32 kind;  /* enum gateway_kind */
	__u32 flags; /* GATEWAY_* */
	__u32 zone[2];
	__u32 table[GATEWAY_TABLES]; /* numbers of route table versions */
	__u32 realm; /* lowest zone of those that gateways join to this one: a change in one concerns all (epochs) */
	__u32 nr;    /* of members */
	__u32 members[GATEWAY_MEMBERS_MAX];
	__u8 az[GATEWAY_MEMBERS_MAX]; /* NAT: the availability zone that an address serves first */
};

#define AZ_ANY 0xff

struct gateway_slots {
	struct gateway_policy slot[2];
};

enum deliver_how {
	DELIVER_NOT,      /* no device, or not attached: packets to it are dropped */
	DELIVER_REDIRECT, /* bpf_redirect to the device (tap, NIC) */
	DELIVER_PEER,     /* bpf_redirect_peer (veth whose other end is in another namespace) */
	DELIVER_NEIGH,    /* bpf_redirect_neigh: uplink with an Ethernet header */
};

/* port.mtu of an uplink whose device is down or gone: no packet fits, so all look for another way (VGW-08). */
#define MTU_DOWN 1u

struct port {
	__u32 ifindex; /* 0 = no device at the moment */
	__u32 deliver; /* enum deliver_how */
	__u32 mtu;     /* largest packet that the device takes; 0 = nobody knows */
	__u32 zero[13];
	struct port_policy slot[2];
};

struct port_name {
	char id[ID_MAX]; /* ENI or gateway id: the persistent name of a port number */
};

struct cidr6 {
	union addr net;
	union addr mask;
};

struct subnet_policy {
	__u32 nacl_in; /* line in `policy`; 0 = nothing is admitted */
	__u32 nacl_out;
	__u32 table; /* number of the route table version in routes4/routes6 */
	__u32 zone;
	__be32 net4; /* the subnet's IPv4 CIDR; mask4 0 = an IPv6-only subnet */
	__be32 mask4;
	__be32 router4;   /* base + 1 (VPC-13) */
	__be32 resolver4; /* primary VPC CIDR base + 2 (VPC-12); 0 = none */
	__u32 nr_cidrs6;
	__u32 az;                               /* a number for each availability zone of the state */
	struct cidr6 cidrs6[SUBNET_CIDRS6_MAX]; /* router address of each: net | 1 */
};

struct subnet {
	struct subnet_policy slot[2];
};

/* Map `addresses`: who owns an address in a zone. Single addresses have prefixlen 32 or 128, delegated prefixes 28 or
 * 80 with the host bits zero (ENI-06, ENI-12). */
struct address_key {
	__u32 zone;
	__u32 prefixlen;
	union addr addr;
};

struct address {
	__u32 port[2]; /* by generation parity; 0 = nobody */
};

/* Map `associations` (IGW-01): private to public with the VPC's zone, public to private with ZONE_INTERNET. */
#define ZONE_INTERNET 0u

struct association_key {
	__u32 zone;
	__be32 addr;
};

struct association {
	struct {
		__u32 port;   /* 0 = none */
		__be32 other; /* the other address of the pair */
	} slot[2];
};

/* Map `macs`: whose MAC this is within a subnet (L2-04). */
struct mac_key {
	__u32 subnet;
	__u8 mac[6];
	__u16 zero;
};

struct mac_owner {
	__u32 port[2]; /* by generation parity */
};

/* Per-port tallies that change with packets (map `port_stats`). */
struct bucket {
	__u64 at_ns; /* when it was last filled */
	__u32 tokens;
	__u32 zero;
};

struct port_stats {
	__u32 flows;        /* records charged to this port */
	__u32 half_open;    /* ... of them TCP without a finished handshake */
	__u32 fragments;    /* remembered datagrams that it sent */
	__u32 fragments_in; /* ... that came to it from outside */
	__u32 tallies[2];   /* entries of `tallies`, by parity; the collector takes them back */
	struct bucket fragment_rate;
	struct bucket link_local_rate;
	struct bucket answer_rate;
	struct bucket event_rate;
	__u64 skipped_accepts; /* packets that no flow-log record will show: declared by SKIPDATA */
	__u64 skipped_rejects;
};

#endif
