/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policy objects: the compiled form of security-group sets and network ACLs, as they lie in the map `policy`.
 *
 * The map is an array of 64-byte lines, written by the agent through mmap and read by the data path. An object is a
 * run of lines; it is immutable from the moment a port or subnet points at it, and shared by all that need the same
 * content. All offsets inside an object are in lines, relative to its first line: an object can lie anywhere. Line 0 of
 * the map is never used, so the offset 0 means "nothing".
 *
 * A question to an object is {peer address, peer identity, service}. Up to three independent look-ups answer it; the
 * lowest rule index among their answers decides (for a NACL that is the lowest rule number; for security groups, whose
 * rules only allow, any would do):
 *   any4/any6   service tree over the rules that hold for all addresses of the family
 *   peers4/6    address tree -> service tree over the other CIDR rules that cover this address
 *   groups      identity tree -> service tree over the rules that reference one of the identity's groups
 *
 * Trees map a key to the value of the interval it falls into: keys[0] = 0, value i holds for keys[i] <= key <
 * keys[i+1]. Header line: w[0] = n intervals. small (32-bit keys, n <= 7): w[1..7] = keys (unused: 0xffffffff),
 * w[8..14] = values. else: w[1] = depth (number of key levels, 1..6 for 32-bit keys, 1..10 for 128-bit keys); w[2 ..
 * 2+depth-1] = first line of each level, root first; w[2+depth] = first line of the values (16 a line). Levels and
 * values are contiguous in this order. A line of a level holds the first key of each of its children: 16 32-bit keys
 * (host order), or four 128-bit keys (each two 64-bit halves as four words: w = high word of the address first, host
 * order). The last level holds all n keys, so child i of its line l is interval l * fanout + i. Unused keys are all
 * ones. 128-bit trees have no small form. Look-up in a level: the child is (number of keys <= key) - 1; child and line
 * are clamped to what exists (padding).
 */
#ifndef ENID_POLICY_H
#define ENID_POLICY_H

#include "enid/types.h"

#define POLICY_LINE_WORDS 16

struct policy_line {
	__u32 w[POLICY_LINE_WORDS];
};

enum policy_kind { POLICY_NONE, POLICY_SG, POLICY_NACL, POLICY_MIRROR };

/* Words of an object's first line. */
enum policy_word {
	POLICY_W_KIND,
	POLICY_W_RULE_BASE, /* decision number of local rule 0 */
	POLICY_W_LINES,     /* length of the object */
	POLICY_W_FLAGS,
	POLICY_W_ANY4,
	POLICY_W_ANY6,
	POLICY_W_PEERS4,
	POLICY_W_PEERS6,
	POLICY_W_GROUPS,
	POLICY_W_RULES,                    /* number of local rules */
	POLICY_W_HASH,                     /* 4 words: hash of the content (all but RULE_BASE and this) */
	POLICY_W_ALL4 = POLICY_W_HASH + 4, /* the answer to every question about IPv4; 0 = it depends, ask the trees */
	POLICY_W_ALL6,
};

/* Flags of a security-group object: one single rule admits all addresses of the family and all ports of the protocol
 * (CT-03 b, CT-04). */
#define POLICY_OPEN_TCP4 1u
#define POLICY_OPEN_UDP4 2u
#define POLICY_OPEN_TCP6 4u
#define POLICY_OPEN_UDP6 8u

/* Value of a service tree: 0 = no rule; else local rule index + 1, with POLICY_DENY for a deny. Value of the address
 * and identity trees: 0 = nothing; else the line of a service tree. */
#define POLICY_DENY 0x80000000u

#define TREE_SMALL_MAX    7
#define TREE32_FANOUT     16
#define TREE32_DEPTH_MAX  6
#define TREE128_FANOUT    4
#define TREE128_DEPTH_MAX 10

/* Key of a service tree: what a rule's protocol and port range select, in one dimension. port: destination port of TCP
 * and UDP; type << 8 | code of ICMP in IPv4 and of ICMPv6 in IPv6; 0 for every other protocol. */
#define SERVICE_KEY(family, proto, port) (((family) == 6 ? 1u << 24 : 0u) | ((__u32)(proto) << 16) | (__u32)(port))

/* Routes: the maps routes4 and routes6 (longest prefix match). `table` is the number of one immutable version of a
 * route table; prefixlen counts its 32 bits, too. */
struct route4_key {
	__u32 prefixlen;
	__u32 table;
	__be32 addr;
};

struct route6_key {
	__u32 prefixlen;
	__u32 table;
	__be32 addr[4];
};

/* Map `tables`: what a table number stands for. */
struct table_version {
	__u32 hash[4];   /* of the content: image_table.hash */
	__u32 rule_base; /* number of the table's rule 0 */
	__u32 nr_rules;
	__u32 nr_routes;
	__u32 zero;
};

enum route_kind {
	ROUTE_NONE,
	ROUTE_LOCAL, /* to the ENI of `zone` that owns the address */
	ROUTE_ENI,   /* to port `target`, packet unmodified */
	ROUTE_IGW,   /* uplink: port `target` */
	ROUTE_BLACKHOLE,
	ROUTE_NOT_SERVED, /* a target that this build or host does not serve */
	ROUTE_NAT,        /* NAT gateway: port `target` */
	ROUTE_EIGW,       /* uplink `target`, IPv6, only what was opened from inside comes back */
	ROUTE_PEERING,    /* `target`: the peering connection */
	ROUTE_TGW,        /* `target`: the VPC's attachment to the transit gateway */
	ROUTE_VGW,        /* `target`: the virtual private gateway */
	ROUTE_ENDPOINT,   /* gateway endpoint: uplink `target` */
	ROUTE_GWLBE,      /* Gateway Load Balancer endpoint: uplink `target` to its appliances */
	ROUTE_ATTACHMENT, /* in a transit gateway's table: attachment `target` */
	ROUTE_UPLINK,     /* in a table of a transit or virtual private gateway: uplink `target` */
	ROUTE_KINDS,
};

struct route {
	__u32 kind;
	__u32 target; /* port number, 0 where the kind has none */
	__u32 rule;   /* decision number */
	__u32 zero;
};

#endif
