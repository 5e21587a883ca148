/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Basic types of both worlds. */
#ifndef ENID_TYPES_H
#define ENID_TYPES_H

#include <linux/types.h>

/* An IPv4 or IPv6 address, network byte order. IPv4: ip4 = the address, the twelve bytes before it are zero; which of
 * the two it is always stands beside it (family 4 or 6, or the prefix length of an address_key). */
union addr {
	__u8 bytes[16];
	__be32 w[4];
	__u64 d[2];
	struct {
		__be32 zero[3];
		__be32 ip4;
	};
};

/* What a packet says of itself. Ports in network order. ICMP queries: sport = identifier, dport = the message type in
 * host order (8 request, 0 reply, ...), so that a request can never pass as a reply (C18). Other protocols: 0. */
struct tuple {
	union addr saddr;
	union addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 family; /* 4 or 6 */
	__u16 zero;
};

#endif
