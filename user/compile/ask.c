/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ask a policy object as the data path does: three independent look-ups, the lowest rule index decides (enid/policy.h).
 * Tests and explain use this, so that what they say is read from the very lines that the kernel reads. */
#include <arpa/inet.h>

#include "compile/image.h"
#include "compile/rows.h"

static uint32_t ask_service(const struct policy_line *object, uint32_t tree, uint32_t service)
{
	return tree ? tree32_find(object, tree, service) : 0;
}

static uint32_t ask_peer(const struct policy_line *object, int family, const union addr *peer, uint32_t service)
{
	uint32_t tree = object->w[family == 6 ? POLICY_W_PEERS6 : POLICY_W_PEERS4];

	if (!tree)
		return 0;
	tree = family == 6 ? tree128_find(object, tree, key128_of(peer)) : tree32_find(object, tree, ntohl(peer->ip4));
	return ask_service(object, tree, service);
}

static uint32_t ask_identity(const struct policy_line *object, uint32_t identity, uint32_t service)
{
	uint32_t tree = object->w[POLICY_W_GROUPS];

	return tree && identity ? ask_service(object, tree32_find(object, tree, identity), service) : 0;
}

static uint32_t better(uint32_t a, uint32_t b)
{
	return RULE_RANK(a) <= RULE_RANK(b) ? a : b;
}

uint32_t policy_ask(const struct policy_line *object, int family, const union addr *peer, uint32_t identity,
		    uint32_t service, bool *ret_any)
{
	uint32_t any = ask_service(object, object->w[family == 6 ? POLICY_W_ANY6 : POLICY_W_ANY4], service);

	*ret_any = any != 0;
	return better(better(any, ask_peer(object, family, peer, service)), ask_identity(object, identity, service));
}
