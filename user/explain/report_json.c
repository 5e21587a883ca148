/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The JSON of `aws ec2 describe-network-insights-analyses`: NetworkPathFound, ForwardPathComponents,
 * ReturnPathComponents, Explanations. Shapes: API_PathComponent, API_Explanation, API_AnalysisAclRule,
 * API_AnalysisSecurityGroupRule, API_AnalysisPacketHeader, API_AnalysisRouteTableRoute of the EC2 API reference. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "explain/near.h"
#include "explain/report.h"
#include "replay/line.h"
#include "state/cidr.h"

static void set(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value);
}

static json_t *component(const char *id)
{
	return json_pack("{s:s}", "Id", id);
}

static json_t *port_range(int from, int to)
{
	return json_pack("{s:i, s:i}", "From", from, "To", to);
}

static json_t *protocol_text(int protocol)
{
	return json_sprintf("%d", protocol);
}

/* ---- rules */

static bool has_ports(int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static json_t *acl_rule(const struct rule_found *rule, bool egress)
{
	const struct nacl_entry *entry = rule->entry;
	json_t *object = json_pack("{s:b, s:s, s:i}", "Egress", egress, "RuleAction", rule->allow ? "allow" : "deny",
				   "RuleNumber", entry ? entry->number : 32767);
	char text[CIDR_TEXT_MAX];

	if (!entry)
		return object;
	set(object, "Cidr", json_string(cidr_format(&entry->cidr, text)));
	set(object, "Protocol", protocol_text(entry->protocol));
	if (has_ports(entry->protocol))
		set(object, "PortRange", port_range(entry->from, entry->to));
	return object;
}

static json_t *sg_rule(const struct rule_found *rule, bool egress)
{
	const struct sg_peer *peer = rule->peer;
	json_t *object = json_pack("{s:s, s:s, s:o}", "Direction", egress ? "egress" : "ingress", "SecurityGroupId",
				   rule->id, "Protocol", protocol_text(rule->permission->protocol));
	char text[CIDR_TEXT_MAX];

	if (has_ports(rule->permission->protocol))
		set(object, "PortRange", port_range(rule->permission->from, rule->permission->to));
	if (peer->kind == PEER_CIDR)
		set(object, "Cidr", json_string(cidr_format(&peer->cidr, text)));
	else
		set(object, peer->kind == PEER_GROUP ? "ReferencedGroupId" : "PrefixListId", json_string(peer->id));
	return object;
}

static json_t *rule_json(const struct rule_found *rule, bool egress)
{
	return rule->permission ? sg_rule(rule, egress) : acl_rule(rule, egress);
}

/* ---- components */

static json_t *header(const struct tuple *t)
{
	char from[CIDR_TEXT_MAX], to[CIDR_TEXT_MAX];
	json_t *object = json_pack("{s:[s], s:[s], s:o}", "SourceAddresses", address_format(t->family, &t->saddr, from),
				   "DestinationAddresses", address_format(t->family, &t->daddr, to), "Protocol",
				   protocol_text(t->proto));

	if (has_ports(t->proto)) {
		set(object, "SourcePortRanges", json_pack("[o]", port_range(ntohs(t->sport), ntohs(t->sport))));
		set(object, "DestinationPortRanges", json_pack("[o]", port_range(ntohs(t->dport), ntohs(t->dport))));
	}
	return object;
}

static json_t *route_json(const char *destination)
{
	return json_pack("{s:s}", strncmp(destination, "pl-", 3) ? "DestinationCidr" : "DestinationPrefixListId",
			 destination);
}

static json_t *step_json(const struct way *way, const struct way_step *step)
{
	json_t *object = json_pack("{s:o, s:o}", "Component", component(step->id), "OutboundHeader", header(&step->at));

	switch (step->stage) {
	case STAGE_SG_EGRESS:
	case STAGE_SG_INGRESS:
		set(object, "SecurityGroupRule", rule_json(&step->what, step->stage == STAGE_SG_EGRESS));
		break;
	case STAGE_NACL_EGRESS:
	case STAGE_NACL_INGRESS:
		set(object, "AclRule", rule_json(&step->what, step->stage == STAGE_NACL_EGRESS));
		break;
	case STAGE_ROUTE:
	case STAGE_GATEWAY_ROUTE:
		set(object, "RouteTableRoute", route_json(step->rule));
		break;
	case STAGE_TGW_ROUTE:
		set(object, "TransitGatewayRouteTableRoute", route_json(step->rule));
		break;
	}
	if (step->subnet != IMAGE_NONE)
		set(object, "Subnet", component(way->image->subnets[step->subnet].id));
	set(object, "Enid", json_pack("{s:s, s:s}", "stage", stage_name(step->stage), "rule", step->rule));
	return object;
}

static void add_component(json_t *list, json_t *object)
{
	set(object, "SequenceNumber", json_integer((json_int_t)json_array_size(list) + 1));
	(void)json_array_append_new(list, object);
}

static json_t *path(const struct ask_way *asked)
{
	const struct way *way = &asked->way;
	json_t *list = json_array();

	if (!asked->asked)
		return list;
	add_component(list, json_pack("{s:o, s:o}", "Component", component(way->image->ports[way->in].id),
				      "OutboundHeader", header(&way->tuple)));
	for (size_t i = 0; i < way->nr_steps; i++)
		add_component(list, step_json(way, way->step + i));
	if (!way->reason && way->exit != IMAGE_NONE)
		add_component(list, json_pack("{s:o, s:o}", "Component", component(way->image->ports[way->exit].id),
					      "InboundHeader", header(&way->out)));
	return list;
}

/* ---- explanations */

struct near_list {
	json_t *list;
	bool egress;
};

static void add_near(void *context, const struct rule_found *rule, enum rule_miss miss)
{
	struct near_list *near = context;
	json_t *object = rule_json(rule, near->egress);

	set(object, "Enid", json_pack("{s:s, s:s, s:s}", "id", rule->id, "rule", rule->text, "miss", miss_words(miss)));
	(void)json_array_append_new(near->list, object);
}

static json_t *explain_groups(const struct way *way, struct near_list *near, uint32_t service)
{
	json_t *object = json_object(), *ids = json_array();

	for (size_t i = 0; way->asked_eni && i < way->asked_eni->nr_groups; i++)
		(void)json_array_append_new(ids, component(way->asked_eni->groups[i]->id));
	set(object, "SecurityGroups", ids);
	if (way->asked_eni) {
		set(object, "NetworkInterface", component(way->asked_eni->id));
		rules_near_groups(&way->asked, way->asked_eni, service, add_near, near);
	}
	return object;
}

static json_t *explain_nacl(const struct way *way, struct near_list *near, uint32_t service)
{
	const struct vpc_subnet *subnet = way_find_subnet(way->state, way->image, way->asked_subnet);
	const struct way_step *last = way->nr_steps ? way->step + way->nr_steps - 1 : NULL;
	json_t *object = json_object();

	if (!subnet)
		return object;
	set(object, "Subnet", component(subnet->id));
	if (subnet->nacl)
		set(object, "Acl", component(subnet->nacl->id));
	if (last && last->what.id && !last->what.permission)
		set(object, "AclRule", rule_json(&last->what, way->asked.egress));
	rules_near_nacl(&way->asked, subnet->nacl, service, add_near, near);
	return object;
}

static void add_near_route(void *context, const struct route_found *route)
{
	char text[NEAR_WORDS_MAX];
	json_t *object = route_json(route->prefix);

	set(object, "RouteTable", component(route->table));
	set(object, "Enid",
	    json_pack("{s:s, s:s, s:s, s:s}", "id", route->table, "rule", route->prefix, "target", route->target,
		      "miss", near_words(route, text)));
	(void)json_array_append_new(context, object);
}

static json_t *explain_rest(const struct way *way, json_t *near)
{
	const struct image_table *table = way->asked_table == IMAGE_NONE ? NULL : way->image->tables + way->asked_table;
	json_t *object = json_object();

	if (table && table->nr_rules)
		set(object, "RouteTable", component(table->rules[0].id));
	near_routes(way, add_near_route, near);
	return object;
}

static json_t *explanation(const struct asked *asked, const struct ask_way *asked_way)
{
	const struct way *way = &asked_way->way;
	struct near_list near = {.list = json_array(), .egress = way->asked.egress};
	uint32_t service = SERVICE_KEY(way->out.family, way->out.proto, way->service);
	json_t *object;

	switch (way->reason) {
	case REASON_SG_EGRESS:
	case REASON_SG_INGRESS:
		object = explain_groups(way, &near, service);
		break;
	case REASON_NACL_EGRESS:
	case REASON_NACL_INGRESS:
		object = explain_nacl(way, &near, service);
		break;
	default:
		object = explain_rest(way, near.list);
	}
	if (way->reason >= REASON_SG_EGRESS && way->reason <= REASON_NACL_INGRESS)
		set(object, "Direction", json_string(way->asked.egress ? "egress" : "ingress"));
	set(object, "ExplanationCode", json_string(explanation_code(asked, way)));
	set(object, "Enid",
	    json_pack("{s:s, s:s, s:o}", "reason", reason_name(way->reason), "meaning", reason_meaning(way->reason),
		      "near", near.list));
	return object;
}

static json_t *explanations(const struct asked *asked, const struct answer *answer)
{
	json_t *list = json_array();

	if (answer->there.way.reason)
		(void)json_array_append_new(list, explanation(asked, &answer->there));
	if (answer->back.asked && answer->back.way.reason)
		(void)json_array_append_new(list, explanation(asked, &answer->back));
	if (answer->astray)
		(void)json_array_append_new(list, json_pack("{s:s, s:{s:s}}", "ExplanationCode", "NO_PATH", "Enid",
							    "reason", answer->astray));
	return list;
}

/* ---- ours */

static json_t *verdict(const struct ask_way *asked_way)
{
	const struct way *way = &asked_way->way;
	bool left = way->action == ACTION_DELIVER || way->action == ACTION_UPLINK;
	const struct image_port *in;
	char hex[2 * FRAME_BUILT_MAX + 1];

	if (!asked_way->asked)
		return json_null();
	in = way->image->ports + way->in;
	hex_encode(asked_way->frame, asked_way->nr_frame, hex);
	return json_pack("{s:s, s:s, s:s*, s:s, s:s*, s:s#, s:o, s:s*}", "action", action_name(way->action), "reason",
			 reason_name(way->reason), "to", left ? way->image->ports[way->exit].id : NULL, "port", in->id,
			 "dir", in->mode == MODE_GUARD && in->flags & PORT_SIDE_INSTANCE ? "tx" : NULL, "packet", hex,
			 (int)(2 * asked_way->nr_frame), "agree",
			 asked_way->by_program ? json_boolean(!asked_way->differs[0]) : json_null(), "disagreement",
			 asked_way->differs[0] ? asked_way->differs : NULL);
}

int report_json(const struct asked *asked, const struct answer *answer, FILE *out, size_t flags)
{
	json_t *object =
		json_pack("{s:s, s:b, s:s, s:s, s:o, s:o, s:o, s:{s:o, s:o, s:s*}}", "Status", "succeeded",
			  "NetworkPathFound", answer->found, "Source", answer->question.from, "Destination",
			  answer->question.to, "ForwardPathComponents", path(&answer->there), "ReturnPathComponents",
			  path(&answer->back), "Explanations", explanations(asked, answer), "Enid", "there",
			  verdict(&answer->there), "back", verdict(&answer->back), "no_back", answer->no_back);
	int r = object ? json_print(object, out, flags) : -1;

	fputc('\n', out);
	json_decref(object);
	return r ? -ENOMEM : 0;
}
