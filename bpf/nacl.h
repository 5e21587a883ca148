/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network ACLs: stateless, at the border of a subnet, lowest rule number first (NACL-01..NACL-18). */
#ifndef ENID_NACL_H
#define ENID_NACL_H

#include "classify.h"

static __always_inline bool nacl_allows(struct pkt *p, __u32 object, const union addr *peer, __u32 stage)
{
	__u64 answer = policy_ask(object, peer, 0, SERVICE_KEY(p->out.family, p->out.proto, p->service));
	struct policy_line *line = policy_at(object);
	__u32 value = answer;

	if (!object || !line)
		return false;
	/* no rule: the implied `*`, the last one */
	decide(p, stage, line->w[POLICY_W_RULE_BASE] + (value ? value & ~POLICY_DENY : line->w[POLICY_W_RULES]) - 1);
	return value && !(value & POLICY_DENY);
}

/* Out of subnet number `subnet`: the destination decides (NACL-05). ret: 0 or REASON_NACL_EGRESS */
__noinline int nacl_egress(struct pkt *p, __u32 subnet)
{
	struct subnet_policy *s;

	if (!p)
		return REASON_NO_POLICY;
	s = subnet_of(p, subnet);
	return s && nacl_allows(p, s->nacl_out, &p->out.daddr, STAGE_NACL_EGRESS) ? 0 : REASON_NACL_EGRESS;
}

/* Into subnet number `subnet`: the source decides. ret: 0 or REASON_NACL_INGRESS */
__noinline int nacl_ingress(struct pkt *p, __u32 subnet)
{
	struct subnet_policy *s;

	if (!p)
		return REASON_NO_POLICY;
	s = subnet_of(p, subnet);
	return s && nacl_allows(p, s->nacl_in, &p->out.saddr, STAGE_NACL_INGRESS) ? 0 : REASON_NACL_INGRESS;
}

#endif
