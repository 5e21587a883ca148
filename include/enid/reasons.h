/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a packet was dropped, and which rule decided: the one table of both (DESIGN section 3).
 *
 * A stage of the data path returns 0 (go on), or a negative drop reason. The names are stable: users grep for them in
 * `enid status`, in replay's output and in flow-log field x-reason.
 */
#ifndef ENID_REASONS_H
#define ENID_REASONS_H

/*      symbol              name                    meaning */
#define ENID_REASONS(X) \
	X(ACCEPTED, "accepted", "not dropped") \
	X(MALFORMED, "malformed", "a header is cut short, or its lengths lie (A5, A16)") \
	X(ETHERTYPE, "ethertype", "neither IPv4, IPv6 nor ARP (L2-05)") \
	X(VLAN, "vlan", "an 802.1Q or 802.1ad tag, in the frame or beside it (L2-05)") \
	X(FRAGMENT, "fragment", "a fragment whose datagram is unknown, or a cut L4 header (CT-18)") \
	X(IP_OPTIONS, "ip-options", "source routing (A6)") \
	X(MARTIAN, "martian", "an address that no packet may carry (A13)") \
	X(MULTICAST, "multicast", "multicast or broadcast destination (L2-01)") \
	X(L2, "l2", "a frame that the fabric consumes (L2-03)") \
	X(MAC_SPOOF, "mac-spoof", "source MAC is not the ENI's (ENI-09)") \
	X(UNKNOWN_MAC, "unknown-mac", "destination MAC of nobody in the subnet (L2-04)") \
	X(SOURCE_CHECK, "source-check", "source is not the ENI's own address (ENI-04)") \
	X(DEST_CHECK, "dest-check", "destination is not the ENI's own address (ENI-05)") \
	X(SG_EGRESS, "sg-egress", "no egress rule of the security groups admits it (SG-02)") \
	X(SG_INGRESS, "sg-ingress", "no ingress rule of the security groups admits it (SG-02)") \
	X(NACL_EGRESS, "nacl-egress", "network ACL denies it on the way out of the subnet (NACL-02)") \
	X(NACL_INGRESS, "nacl-ingress", "network ACL denies it on the way into the subnet (NACL-02)") \
	X(NO_ROUTE, "no-route", "no route matches (RT-13)") \
	X(BLACKHOLE, "blackhole", "the matching route is a blackhole (RT-11)") \
	X(NO_OWNER, "no-owner", "no live ENI owns the address (RT-16)") \
	X(NOT_SERVED, "not-served", "a target that this build or host does not serve") \
	X(IGW_NO_PUBLIC_ADDRESS, "igw-no-public-address", "source has no public address (IGW-03)") \
	X(IGW_NO_OWNER, "igw-no-owner", "public address of nobody (IGW-04)") \
	X(DENY_IGW, "deny-igw", "DenyAllIgwTraffic of the ENI (ENI-14)") \
	X(BPA, "bpa", "block public access (VPC-18)") \
	X(PEERING, "peering", "destination is not an ENI of the peer VPC (PCX-04)") \
	X(TGW_ATTACHMENT, "tgw-attachment", "no usable attachment in this availability zone (TGW-04)") \
	X(TGW_NO_ROUTE, "tgw-no-route", "no route in the transit gateway table (TGW-06)") \
	X(TGW_BLACKHOLE, "tgw-blackhole", "blackhole in the transit gateway table (TGW-06)") \
	X(VGW, "vgw", "the virtual private gateway does not carry it (VGW-01)") \
	X(EIGW_UNSOLICITED, "eigw-unsolicited", "inbound flow at an egress-only gateway (EIGW-01)") \
	X(ENDPOINT_SCOPE, "endpoint-scope", "the endpoint does not serve it (EP-03, EP-04)") \
	X(GWLB_NO_FLOW, "gwlb-no-flow", "Gateway Load Balancer endpoint: part of no flow that it knows (EP-09)") \
	X(GENEVE, "geneve", "not what the endpoint sent to this appliance (EP-08)") \
	X(NAT_NO_MAPPING, "nat-no-mapping", "inbound without a mapping (NAT-10)") \
	X(NAT_NO_PORT, "nat-no-port", "no port left (NAT-05)") \
	X(NAT_PROTOCOL, "nat-protocol", "protocol that the NAT gateway does not carry (NAT-01)") \
	X(NAT_HAIRPIN, "nat-hairpin", "inside client to the gateway's own address (NAT-26)") \
	X(CONNTRACK_FULL, "conntrack-full", "no record left for a new tracked flow (CT-16)") \
	X(RATE_LIMIT, "rate-limit", "over a per-ENI rate (ENI-15, DNS-04)") \
	X(TTL, "ttl", "time to live used up (NAT-20)") \
	X(MTU, "mtu", "larger than the path (MTU-01)") \
	X(NO_POLICY, "no-policy", "nothing is known about this port yet") \
	X(HOST_FORWARD, "host-forward", "the host's own forwarding tried to reach a port")

enum enid_reason {
#define X(symbol, name, meaning) REASON_##symbol,
	ENID_REASONS(X)
#undef X
		REASON_MAX
};

/* The stages that decided_by may name. */
#define ENID_STAGES(X) \
	X(NONE, "none") \
	X(SG_EGRESS, "sg-egress") \
	X(SG_INGRESS, "sg-ingress") \
	X(NACL_EGRESS, "nacl-egress") \
	X(NACL_INGRESS, "nacl-ingress") \
	X(ROUTE, "route") \
	X(TGW_ROUTE, "tgw-route") \
	X(GATEWAY_ROUTE, "gateway-route") \
	X(NAT, "nat") \
	X(IGW, "igw") \
	X(PEERING, "peering") \
	X(ENDPOINT, "endpoint") \
	X(CONNTRACK, "conntrack")

enum enid_stage {
#define X(symbol, name) STAGE_##symbol,
	ENID_STAGES(X)
#undef X
		STAGE_MAX
};

/* One decision: stage in the top four bits; below, a rule number (policy and route stages: rule_base + index) or a
 * port number (gateway and conntrack stages). */
#define DECISION(stage, number) (((__u32)(stage) << 28) | ((number)&0x0fffffff))
#define DECISION_STAGE(d)       ((d) >> 28)
#define DECISION_NUMBER(d)      ((d)&0x0fffffff)
#define RULE_NUMBER_MAX         0x0fffffff

/* What became of a packet. */
#define ENID_ACTIONS(X) \
	X(DROP, "drop") \
	X(DELIVER, "deliver") \
	X(UPLINK, "uplink") \
	X(TUNNEL, "tunnel") \
	X(PASS, "pass") \
	X(REPLY, "reply")

enum enid_action {
#define X(symbol, name) ACTION_##symbol,
	ENID_ACTIONS(X)
#undef X
		ACTION_MAX
};

#endif
