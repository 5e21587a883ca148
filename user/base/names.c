/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/names.h"

#include <string.h>

static const struct {
	const char *name, *meaning;
} reasons[REASON_MAX] = {
#define X(symbol, name, meaning) [REASON_##symbol] = {name, meaning},
	ENID_REASONS(X)
#undef X
};
static const enum enid_stage reason_stages[REASON_MAX] = {
	[REASON_SG_EGRESS] = STAGE_SG_EGRESS,
	[REASON_SG_INGRESS] = STAGE_SG_INGRESS,
	[REASON_NACL_EGRESS] = STAGE_NACL_EGRESS,
	[REASON_NACL_INGRESS] = STAGE_NACL_INGRESS,
	[REASON_NO_ROUTE] = STAGE_ROUTE,
	[REASON_BLACKHOLE] = STAGE_ROUTE,
	[REASON_IGW_NO_PUBLIC_ADDRESS] = STAGE_IGW,
	[REASON_IGW_NO_OWNER] = STAGE_IGW,
	[REASON_DENY_IGW] = STAGE_IGW,
	[REASON_BPA] = STAGE_IGW,
	[REASON_EIGW_UNSOLICITED] = STAGE_IGW,
	[REASON_PEERING] = STAGE_PEERING,
	[REASON_TGW_ATTACHMENT] = STAGE_TGW_ROUTE,
	[REASON_TGW_NO_ROUTE] = STAGE_TGW_ROUTE,
	[REASON_TGW_BLACKHOLE] = STAGE_TGW_ROUTE,
	[REASON_ENDPOINT_SCOPE] = STAGE_ENDPOINT,
	[REASON_GWLB_NO_FLOW] = STAGE_ENDPOINT,
	[REASON_GENEVE] = STAGE_ENDPOINT,
	[REASON_NAT_NO_MAPPING] = STAGE_NAT,
	[REASON_NAT_NO_PORT] = STAGE_NAT,
	[REASON_NAT_PROTOCOL] = STAGE_NAT,
	[REASON_NAT_HAIRPIN] = STAGE_NAT,
	[REASON_CONNTRACK_FULL] = STAGE_CONNTRACK,
};
static const char *const actions[] = {
#define X(symbol, name) [ACTION_##symbol] = (name),
	ENID_ACTIONS(X)
#undef X
};
static const char *const stages[] = {
#define X(symbol, name) [STAGE_##symbol] = (name),
	ENID_STAGES(X)
#undef X
};

const char *reason_name(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].name : "unknown";
}

const char *reason_meaning(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].meaning : "unknown";
}

const char *action_name(uint32_t action)
{
	return action < ACTION_MAX ? actions[action] : "unknown";
}

const char *stage_name(uint32_t stage)
{
	return stage < STAGE_MAX ? stages[stage] : "unknown";
}

enum enid_stage reason_stage(uint32_t reason)
{
	return reason < REASON_MAX ? reason_stages[reason] : STAGE_NONE;
}

bool is_reason_name(const char *word)
{
	for (uint32_t reason = 0; reason < REASON_MAX; reason++)
		if (!strcmp(word, reasons[reason].name))
			return true;
	return false;
}
