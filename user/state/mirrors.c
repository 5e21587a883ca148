/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TrafficMirrorFilters, TrafficMirrorTargets and TrafficMirrorSessions (TM-01..TM-11). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cidr.h"
#include "state/load.h"

/* TM-04; absent = any port */
static bool parse_range(struct load *load, struct item *item, const char *path, const json_t *range, uint16_t *ret_from,
			uint16_t *ret_to)
{
	long long from = get_int(range, "FromPort", 0), to = get_int(range, "ToPort", 65535);

	if (from > to) {
		state_error(load, item, path, "port range %lld-%lld is empty", from, to);
		return false;
	}
	*ret_from = (uint16_t)from;
	*ret_to = (uint16_t)to;
	return true;
}

static bool parse_rule(struct load *load, struct item *item, const char *path, const json_t *json,
		       struct mirror_rule *rule)
{
	rule->number = (int)get_int(json, "RuleNumber", 0);
	rule->accept = get_is(json, "RuleAction", "accept");
	rule->protocol = (int)get_int(json, "Protocol", PROTOCOL_ANY);
	get_cidr(json, "SourceCidrBlock", &rule->source);
	get_cidr(json, "DestinationCidrBlock", &rule->destination);
	if (rule->source.family != rule->destination.family) {
		state_error(load, item, path, "SourceCidrBlock and DestinationCidrBlock are of different families");
		return false;
	}
	return parse_range(load, item, path, json_object_get(json, "SourcePortRange"), &rule->source_from,
			   &rule->source_to) &&
	       parse_range(load, item, path, json_object_get(json, "DestinationPortRange"), &rule->destination_from,
			   &rule->destination_to);
}

static int compare_rules(const void *a, const void *b)
{
	return ((const struct mirror_rule *)a)->number - ((const struct mirror_rule *)b)->number;
}

static size_t parse_rules(struct load *load, struct item *item, const char *key, struct mirror_rule **ret)
{
	const json_t *list = json_object_get(item->json, key), *json;
	struct mirror_rule *rules = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct mirror_rule);
	size_t index, nr = 0;

	json_array_foreach (list, index, json) {
		char path[64];

		snprintf(path, sizeof(path), "%s[%zu]", key, index);
		nr += json_is_object(json) && parse_rule(load, item, path, json, &rules[nr]);
	}
	if (nr)
		qsort(rules, nr, sizeof(*rules), compare_rules);
	for (size_t i = 1; i < nr; i++)
		if (rules[i].number == rules[i - 1].number)
			state_error(load, item, key, "RuleNumber %d stands twice", rules[i].number);
	*ret = rules;
	return nr;
}

static void load_filters(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->mirror_filters = ARENA_ARRAY(load->arena, load->lists[LIST_MIRROR_FILTERS].nr + 1, struct mirror_filter);
	LIST_FOREACH (load, LIST_MIRROR_FILTERS, item) {
		struct mirror_filter *filter = &extra->mirror_filters[extra->nr_mirror_filters++];
		const json_t *service;
		size_t index;

		filter->id = item->id;
		filter->nr_in = parse_rules(load, item, "IngressFilterRules", &filter->in);
		filter->nr_out = parse_rules(load, item, "EgressFilterRules", &filter->out);
		json_array_foreach (json_object_get(item->json, "NetworkServices"), index, service)
			filter->amazon_dns |=
				json_is_string(service) && !strcmp(json_string_value(service), "amazon-dns");
	}
}

static void load_targets(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	extra->mirror_targets = ARENA_ARRAY(load->arena, load->lists[LIST_MIRROR_TARGETS].nr + 1, struct mirror_target);
	LIST_FOREACH (load, LIST_MIRROR_TARGETS, item) {
		struct mirror_target *target = &extra->mirror_targets[extra->nr_mirror_targets++];
		const char *eni = get_text(load, item->json, "NetworkInterfaceId");
		const char *arn = get_text(load, item->json, "NetworkLoadBalancerArn");

		target->id = item->id;
		target->type = get_text(load, item->json, "Type");
		target->eni = FIND(load, enis, eni);
		target->other = *arn ? arn : get_text(load, item->json, "GatewayLoadBalancerEndpointId");
		if (!*eni)
			state_warn(load, item, "",
				   "a target that is no network interface is not served: nothing is mirrored to it");
		if (*eni && !target->eni)
			state_warn(load, item, "",
				   "NetworkInterfaceId %s is not in the state: nothing is mirrored to it", eni);
	}
}

static void parse_session(struct load *load, struct item *item, struct mirror_session *session)
{
	const char *eni = get_text(load, item->json, "NetworkInterfaceId");
	const char *target = get_text(load, item->json, "TrafficMirrorTargetId");
	const char *filter = get_text(load, item->json, "TrafficMirrorFilterId");

	session->id = item->id;
	session->eni = FIND(load, enis, eni);
	session->target = FIND_EXTRA(load, mirror_targets, target);
	session->filter = FIND_EXTRA(load, mirror_filters, filter);
	session->number = (int)get_int(item->json, "SessionNumber", 0);
	session->packet_length = (uint32_t)get_int(item->json, "PacketLength", 0);
	session->vni = get_int(item->json, "VirtualNetworkId", -1);
	session->dropped = get_flag(item->json, "MirrorDroppedPackets", false);
	if (session->eni && session->target && session->target->eni == session->eni)
		state_warn(load, item, "", "%s is source and target: nothing is mirrored (TM-01)", eni);
	if (!session->eni || !session->target || !session->filter)
		state_warn(load, item, "", "%s is not in the state: nothing is mirrored",
			   !session->eni      ? eni
			   : !session->target ? target
					      : filter);
}

/* Copies that can be copied again without end: targets that are sources of sessions whose targets are sources in turn,
 * until it is one of them again (TM-01). Sessions whose target is no source are taken away until none is left. */
struct rings {
	size_t *sessions; /* for each ENI: how many not taken away have it as their source */
	size_t *next;     /* for each session: another one to the same target, +1 */
	size_t *first;    /* for each ENI: of the sessions that have it as their target, +1 */
	size_t *ends;     /* ENIs that are nobody's source any more */
	size_t nr_ends;
};

static bool sends_on(const struct mirror_session *session)
{
	return session->eni && session->target && session->filter && session->target->eni &&
	       session->target->eni != session->eni;
}

static void rings_fill(struct rings *rings, const struct state *state)
{
	const struct state_extra *extra = state->extra;

	for (size_t i = 0; i < extra->nr_mirror_sessions; i++) {
		const struct mirror_session *session = &extra->mirror_sessions[i];
		size_t target;

		if (!sends_on(session))
			continue;
		target = (size_t)(session->target->eni - state->enis);
		rings->sessions[session->eni - state->enis]++;
		rings->next[i] = rings->first[target];
		rings->first[target] = i + 1;
	}
	for (size_t e = 0; e < state->nr_enis; e++)
		if (!rings->sessions[e])
			rings->ends[rings->nr_ends++] = e;
}

static void refuse_rings(struct load *load)
{
	const struct state_extra *extra = load->state->extra;
	const struct state *state = load->state;
	struct rings rings = {
		.sessions = ARENA_ARRAY(load->arena, state->nr_enis + 1, size_t),
		.next = ARENA_ARRAY(load->arena, extra->nr_mirror_sessions + 1, size_t),
		.first = ARENA_ARRAY(load->arena, state->nr_enis + 1, size_t),
		.ends = ARENA_ARRAY(load->arena, state->nr_enis + 1, size_t),
	};
	size_t index = 0;

	rings_fill(&rings, state);
	for (size_t end = 0; end < rings.nr_ends; end++)
		for (size_t i = rings.first[rings.ends[end]]; i; i = rings.next[i - 1]) {
			size_t source = (size_t)(extra->mirror_sessions[i - 1].eni - state->enis);

			if (!--rings.sessions[source])
				rings.ends[rings.nr_ends++] = source;
		}
	LIST_FOREACH (load, LIST_MIRROR_SESSIONS, item) {
		const struct mirror_session *session = &extra->mirror_sessions[index++];

		if (!sends_on(session) || !rings.sessions[session->target->eni - state->enis])
			continue;
		state_error(load, item, "", "%s is mirrored to %s, and that one on, in a ring (TM-01)",
			    session->eni->id, session->target->eni->id);
		return;
	}
}

void load_mirrors(struct load *load)
{
	struct state_extra *extra = load->state->extra;

	load_filters(load);
	load_targets(load);
	extra->mirror_sessions =
		ARENA_ARRAY(load->arena, load->lists[LIST_MIRROR_SESSIONS].nr + 1, struct mirror_session);
	LIST_FOREACH (load, LIST_MIRROR_SESSIONS, item)
		parse_session(load, item, &extra->mirror_sessions[extra->nr_mirror_sessions++]);
	if (extra->nr_mirror_sessions)
		refuse_rings(load);
}
