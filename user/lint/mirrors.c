/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic mirror sessions that copy nothing, or to somebody who does not take it (TM-01, TM-13, TM-14). */
#include <netinet/in.h>

#include "compile/mirror.h"
#include "enid/mirror.h"
#include "lint/lint.h"

static const struct host *host_of(const struct state *state, const struct eni *eni)
{
	for (size_t h = 0; h < state->nr_hosts; h++)
		for (size_t i = 0; i < state->hosts[h].nr_ports; i++)
			if (state->hosts[h].ports[i].eni == eni)
				return &state->hosts[h];
	return NULL;
}

static bool takes_copies(const struct sg_permission *permission)
{
	return permission->nr_peers && (permission->protocol == PROTOCOL_ANY ||
					(permission->protocol == IPPROTO_UDP && permission->from <= VXLAN_PORT &&
					 permission->to >= VXLAN_PORT));
}

static bool is_open(const struct eni *eni)
{
	for (size_t g = 0; g < eni->nr_groups; g++)
		for (size_t i = 0; i < eni->groups[g]->nr_in; i++)
			if (takes_copies(&eni->groups[g]->in[i]))
				return true;
	return false;
}

static bool has_rules(const struct mirror_filter *filter)
{
	return filter->nr_in || filter->nr_out || filter->amazon_dns;
}

static void check_session(const struct lint *lint, const struct mirror_session *session)
{
	const struct host *source = host_of(lint->state, session->eni);
	const struct eni *target = session->target->eni;
	const struct host *far = host_of(lint->state, target);

	if (!has_rules(session->filter))
		lint_say(lint, LINT_MIRROR_SILENT, session->id, "filter %s has no rule: nothing is mirrored (TM-03)",
			 session->filter->id);
	if (!source)
		lint_say(lint, LINT_MIRROR_SILENT, session->id, "%s is on no host: nothing is mirrored",
			 session->eni->id);
	else if (far != source)
		lint_say(lint, LINT_MIRROR_SILENT, session->id, "%s is on %s, its target %s %s%s", session->eni->id,
			 source->id, target->id, far ? "on " : "on no host", far ? far->id : "");
	if (!is_open(target))
		lint_say(lint, LINT_MIRROR_SILENT, session->id, "no group of %s admits UDP %d (TM-13)", target->id,
			 VXLAN_PORT);
}

void lint_mirrors(const struct lint *lint)
{
	const struct state_extra *extra = lint->state->extra;

	for (size_t i = 0; extra && i < extra->nr_mirror_sessions; i++)
		if (mirror_session_works(&extra->mirror_sessions[i])) /* of others state/ warns */
			check_session(lint, &extra->mirror_sessions[i]);
}
