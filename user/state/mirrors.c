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
	if (!session->eni || !session->target || !session->filter)
		state_warn(load, item, "", "%s is not in the state: nothing is mirrored",
			   !session->eni      ? eni
			   : !session->target ? target
					      : filter);
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
}
