/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fingerprint of a flow's name, the same in the kernel and in user space.
 *
 * Each word is mixed on its own with a secret, then the words are summed: no loop-carried multiplication, and nobody
 * who does not know the secrets can choose tuples that collide (C13). A collision costs the later flow its record only.
 */
#ifndef ENID_FLOW_HASH_H
#define ENID_FLOW_HASH_H

#include "enid/flow.h"
#include "enid/limits.h"

#define FLOW_SECRETS 7

_Static_assert(PORTS_MAX <= 0x8000, "a port number and IN_TX fit 16 bits");

static inline __attribute__((always_inline)) __u64 flow_mix(__u64 word, __u64 secret)
{
	word = (word ^ secret) * 0x9e3779b97f4a7c15ull;
	word ^= word >> 29;
	return word * (secret | 1);
}

static inline __attribute__((always_inline)) __u64 flow_fingerprint(const __u64 *secrets, const struct tuple *tuple,
								    __u32 in)
{
	__u64 hash = flow_mix((__u64)tuple->saddr.w[3] << 32 | tuple->daddr.w[3], secrets[0]);
	__u32 arrival = (in & 0x7fff) | in >> 31 << 15; /* 16 bits: see the assertion below */

	hash += flow_mix((__u64)tuple->sport << 48 | (__u64)tuple->dport << 32 | arrival << 16 | tuple->proto << 8 |
				 tuple->family,
			 secrets[1]);
	if (tuple->family == 6) {
		hash += flow_mix(tuple->saddr.d[0], secrets[2]);
		hash += flow_mix((__u64)tuple->saddr.w[2] << 32 | tuple->daddr.w[2], secrets[3]);
		hash += flow_mix(tuple->daddr.d[0], secrets[4]);
	}
	return hash ^ hash >> 32;
}

/* One of nr, the same for both directions of a flow (TGW-09, TGW-10). */
static inline __attribute__((always_inline)) __u32 flow_choice_of(const __u64 *secrets, const struct tuple *tuple,
								  __u32 nr)
{
	_Bool ports = tuple->proto == 6 || tuple->proto == 17; /* TCP, UDP */
	__u64 l4 = ports ? (__u64)tuple->sport + tuple->dport : 0;
	__u64 hash = flow_mix(tuple->saddr.d[0] + tuple->daddr.d[0], secrets[1]) +
		     flow_mix(tuple->saddr.d[1] + tuple->daddr.d[1], secrets[2]) +
		     flow_mix(l4 << 8 | tuple->proto, secrets[3]);

	return nr ? (__u32)(hash >> 32) % nr : 0;
}

#endif
