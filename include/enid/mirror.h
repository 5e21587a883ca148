/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic mirroring (SEMANTICS 13): what an ENI's sessions are, as an object in the map `policy`, and what a copy is.
 *
 * port_policy.mirror leads to the object's first line, POLICY_W_KIND = POLICY_MIRROR; behind it stands a line for each
 * session in the order in which they are tried (TM-02), then the rules of their filters, two lines each. The object is
 * immutable like all of `policy`: another target, filter or length is another object, so kept decisions are made anew.
 */
#ifndef ENID_MIRROR_H
#define ENID_MIRROR_H

#include "enid/policy.h"
#include "enid/types.h"

#define POLICY_W_SESSIONS POLICY_W_ANY4 /* of the first line: how many */
#define POLICY_W_DROPPED  POLICY_W_ANY6 /* ... does one of them have MIRROR_DROPPED? */

/* Words of a session's line. */
enum mirror_word {
	MIRROR_W_NUMBER, /* SessionNumber */
	MIRROR_W_FLAGS,  /* MIRROR_* */
	MIRROR_W_VNI,
	MIRROR_W_LENGTH, /* PacketLength; 0 = all */
	MIRROR_W_SOURCE, /* __be32: primary address of the mirrored ENI */
	MIRROR_W_TARGET, /* __be32: ... of the target */
	MIRROR_W_RULES,  /* ingress, egress: how many rules; then the line of the first, relative to the object's */
	MIRROR_W_FIRST = MIRROR_W_RULES + 2,
	MIRROR_W_ZONE = MIRROR_W_FIRST + 2, /* the target's VPC: with its address, that is one ENI */
};

#define MIRROR_DNS     1u /* NetworkServices has amazon-dns (TM-05) */
#define MIRROR_DROPPED 2u /* MirrorDroppedPackets, our extension: what is dropped, too, with the reason */

/* Words of a rule's first line; the second has source network, its mask, destination network, its mask. */
enum mirror_rule_word {
	RULE_W_ACCEPT,
	RULE_W_FAMILY,
	RULE_W_PROTOCOL, /* or MIRROR_ANY */
	RULE_W_SPORTS,   /* from << 16 | to; TCP and UDP */
	RULE_W_DPORTS,
};

#define MIRROR_ANY       0xffffffffu /* every protocol */
#define MIRROR_ALL_PORTS 0x0000ffffu

#define MIRROR_INGRESS 0
#define MIRROR_EGRESS  1

#define MIRROR_SESSIONS_MAX 3  /* of an ENI (TM-01) */
#define MIRROR_RULES_MAX    32 /* of a filter's direction; AWS has 10 */

#define VXLAN_PORT      4789
#define MIRROR_ROOM     36 /* outer IPv4, UDP and VXLAN: what is before the copied frame, behind Ethernet */
#define MIRROR_OVERHEAD 54 /* ... as AWS counts it, with an Ethernet header (TM-12) */
#define MIRROR_MIN4     35 /* a copy is never cut below this (TM-12) */
#define MIRROR_MIN6     55
#define MIRROR_MAX      9230 /* bytes of a copied frame: CUT_MAX and an Ethernet header */
#define MIRROR_L4_MAX   127  /* where the L4 header of what has to be summed or cut may begin; a mask */
#define MIRROR_SEGMENTS \
	128 /* of a GSO packet that are copied: 64 KiB in segments of the least that TCP may count on \
	     */

/* Map `mirror_counts`: copies by the ENI that is mirrored, the session, and what became of them. */
struct mirror_key {
	__u32 port;
	__u16 session; /* SessionNumber */
	__u16 reason;  /* enum enid_reason; REASON_ACCEPTED = sent */
};

/* In front of a copied frame. */
struct mirror_outer {
	__u8 version_ihl, tos;
	__be16 total, id, fragment;
	__u8 ttl, proto;
	__be16 check;
	__be32 saddr, daddr;
	__be16 sport, dport, length, udp_check;
	__u8 flags, more; /* VXLAN: the I flag; G and the reason in `group` for a dropped packet */
	__be16 group;
	__be32 vni; /* << 8 */
};

/* A copy in the making. */
struct mirror_copy {
	__u32 mark; /* who takes it at the device knows by this that it is one; 0 = none is under way */
	__u32 ifindex;
	__u32 action; /* enum enid_action; ACTION_DROP for `reason` */
	__u32 reason; /* enum enid_reason */
	__u32 exit;   /* port it leaves by */
	__u32 source; /* port number of the mirrored ENI */
	__u32 session;
	__u32 keep;    /* bytes of the frame at the most */
	__u32 length;  /* replay: of the frame that it keeps */
	__u32 seen;    /* ... of them in `bytes` */
	__u32 segment; /* of a GSO packet: 1 and on; 0 = the frame is one packet */
	__u32 size;    /* ... bytes of payload in each */
	__u32 proto;   /* of a packet with an L4 header; 0 = a fragment */
	__u32 allowed; /* copies of this packet that the session's budget has room for */
	__u32 sent;    /* ... that left */
	__u64 sent_bytes;
	__u64 count; /* of marks so far */
	__u8 dmac[6], smac[6];
	struct mirror_outer outer;
	__u8 bytes[16384 + 512];
};

#endif
