/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ask a policy object (format: enid/policy.h). Cost: at most three address-like look-ups and three service look-ups,
 * each of a few lines, whatever the number of rules. Comparisons are branch-free: the verifier then sees one path a
 * node. */
#ifndef ENID_CLASSIFY_H
#define ENID_CLASSIFY_H

#include "packet.h"

static __always_inline struct policy_line *policy_at(__u32 line)
{
	return bpf_map_lookup_elem(&policy, &line);
}

/* 1 if a < beyond, without a branch. beyond: a 32-bit number + 1, so this is a <= number. */
static __always_inline __u64 below32(__u32 a, __u64 beyond)
{
	__u64 difference = a - beyond;

	asm("" : "+r"(difference)); /* else clang makes it a branch again */
	return difference >> 63;
}

static __always_inline __u64 lt64(__u64 a, __u64 b)
{
	__u64 lt = (~a & b) | (~(a ^ b) & (a - b));

	asm volatile("" : "+r"(lt));
	return lt >> 63;
}

/* 1 if the key in four words is <= {high, low}. */
static __always_inline __u64 le128(const __u32 *w, __u64 high, __u64 low)
{
	__u64 key_high = (__u64)w[0] << 32 | w[1], key_low = (__u64)w[2] << 32 | w[3];
	__u64 differs = key_high ^ high;

	differs |= 0 - differs;
	asm volatile("" : "+r"(differs));
	differs >>= 63;
	return lt64(key_high, high) | ((differs ^ 1) & (lt64(low, key_low) ^ 1));
}

static __always_inline __u32 tree_small(const struct policy_line *line, __u32 n, __u32 key)
{
	__u64 at = 0, beyond = (__u64)key + 1;

	for (int i = 2; i <= TREE_SMALL_MAX; i++)
		at += below32(line->w[i], beyond);
	if (at >= n) /* unused keys are all ones, and so may the key be */
		at = n - 1;
	asm volatile("" : "+r"(at)); /* keep the mask, the verifier of 6.1 needs it */
	return line->w[8 + (at & 7)];
}

static __always_inline __u32 tree_value(__u32 values, __u64 at)
{
	struct policy_line *line = policy_at(values + (__u32)(at >> 4));

	return line ? line->w[at & 15] : 0;
}

/* Value of the interval of `key` in the 32-bit tree at line `tree`. */
__noinline __u32 tree32_find(__u32 base, __u32 tree, __u32 key)
{
	struct policy_line *header = policy_at(base + tree), *node;
	__u64 at = 0, beyond = (__u64)key + 1;
	__u32 n, depth, i = 0;

	if (!header)
		return 0;
	n = header->w[0];
	if (!n)
		return 0;
	if (n <= TREE_SMALL_MAX)
		return tree_small(header, n, key);
	depth = header->w[1];
	for (i = 0; i < TREE32_DEPTH_MAX; i++) {
		__u32 first, last;
		__u64 below = 0;

		if (i >= depth)
			break;
		first = header->w[2 + i];
		last = header->w[3 + i] - first - 1;
		if (at > last)
			at = last;
		node = policy_at(base + first + (__u32)at);
		if (!node)
			return 0;
		for (int k = 0; k < TREE32_FANOUT; k++)
			below += below32(node->w[k], beyond);
		at = at * TREE32_FANOUT + below - 1;
	}
	if (at >= n)
		at = n - 1;
	return tree_value(base + header->w[2 + i], at);
}

/* The same for 128-bit keys: an IPv6 address. */
__noinline __u32 tree128_find(__u32 base, __u32 tree, const union addr *key)
{
	struct policy_line *header = policy_at(base + tree), *node;
	__u64 high, low, at = 0;
	__u32 n, depth, i = 0;

	if (!header || !key)
		return 0;
	high = (__u64)be32(key->w[0]) << 32 | be32(key->w[1]);
	low = (__u64)be32(key->w[2]) << 32 | be32(key->w[3]);
	n = header->w[0];
	if (!n)
		return 0;
	depth = header->w[1];
	for (i = 0; i < TREE128_DEPTH_MAX; i++) {
		__u32 first, last;
		__u64 below = 0;

		if (i >= depth)
			break;
		first = header->w[2 + i];
		last = header->w[3 + i] - first - 1;
		if (at > last)
			at = last;
		node = policy_at(base + first + (__u32)at);
		if (!node)
			return 0;
		for (int k = 0; k < TREE128_FANOUT; k++)
			below += le128(&node->w[4 * k], high, low);
		at = at * TREE128_FANOUT + below - 1;
	}
	if (at >= n)
		at = n - 1;
	return tree_value(base + header->w[2 + i], at);
}

/* The lower rule index wins; 0 = no rule. The deny bit does not take part. */
static __always_inline __u32 first_rule(__u32 a, __u32 b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	return (b & ~POLICY_DENY) < (a & ~POLICY_DENY) ? b : a;
}

#define ANSWER_ANY (1ull << 32) /* a rule for all addresses matched (CT-03 a) */

/* in: object = its first line (0 = none), peer, identity of the peer (0 = none), service = SERVICE_KEY
 * ret: ANSWER_ANY | value of the deciding rule: local index + 1, POLICY_DENY; 0 = no rule */
__noinline __u64 policy_ask(__u32 object, const union addr *peer, __u32 identity, __u32 service)
{
	struct policy_line *line = policy_at(object);
	bool six = service >> 24;
	__u32 tree, value = 0;
	__u64 any = 0;

	if (!object || !line || !peer)
		return 0;
	value = six ? line->w[POLICY_W_ALL6] : line->w[POLICY_W_ALL4];
	if (value)
		return value & POLICY_DENY ? value : ANSWER_ANY | value;
	tree = six ? line->w[POLICY_W_ANY6] : line->w[POLICY_W_ANY4];
	if (tree) {
		value = tree32_find(object, tree, service);
		if (value && !(value & POLICY_DENY))
			any = ANSWER_ANY;
	}
	tree = six ? line->w[POLICY_W_PEERS6] : line->w[POLICY_W_PEERS4];
	if (tree)
		tree = six ? tree128_find(object, tree, peer) : tree32_find(object, tree, be32(peer->ip4));
	if (tree)
		value = first_rule(value, tree32_find(object, tree, service));
	tree = identity ? line->w[POLICY_W_GROUPS] : 0;
	if (tree)
		tree = tree32_find(object, tree, identity);
	if (tree)
		value = first_rule(value, tree32_find(object, tree, service));
	return any | value;
}

static __always_inline __u32 rule_number(__u32 object, __u32 value)
{
	struct policy_line *line = policy_at(object);

	return line ? line->w[POLICY_W_RULE_BASE] + (value & ~POLICY_DENY) - 1 : 0;
}

#endif
