/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands behind the uplink of a Gateway Load Balancer endpoint, as `aws elbv2` prints it: TargetHealthDescriptions
 * of describe-target-health, Attributes of describe-target-group-attributes and describe-listener-attributes (EP-09).
 */
#include <stdlib.h>
#include <string.h>

#include "enid/limits.h"
#include "enid/port.h"
#include "state/load.h"

#define IDLE_MIN 60
#define IDLE_MAX 6000

static int compare_targets(const void *a, const void *b)
{
	const struct gwlb_target *x = a, *y = b;

	if (x->fresh != y->fresh)
		return x->fresh ? -1 : 1;
	return memcmp(&x->address, &y->address, sizeof(x->address));
}

/* Without a healthy target all those that are not on their way out take new flows (fail open). */
static void choose_fresh(struct host_uplink *uplink, const bool *leaves)
{
	for (size_t i = 0; i < uplink->nr_targets; i++)
		if (uplink->targets[i].fresh)
			return;
	for (size_t i = 0; i < uplink->nr_targets; i++)
		uplink->targets[i].fresh = !leaves[i];
}

static void parse_targets(struct load *load, struct item *item, const json_t *json, struct host_uplink *uplink)
{
	const json_t *list = json_object_get(json, "TargetHealthDescriptions"), *element;
	bool leaves[GWLB_TARGETS_MAX] = {};
	size_t index;

	uplink->targets = ARENA_ARRAY(load->arena, GWLB_TARGETS_MAX, struct gwlb_target);
	json_array_foreach (list, index, element) {
		const json_t *target = json_object_get(element, "Target");
		const json_t *health = json_object_get(element, "TargetHealth");
		__be32 address = get_ip4(target, "Id");
		size_t nr = uplink->nr_targets;

		for (size_t i = 0; i < nr; i++)
			if (uplink->targets[i].address == address)
				address = 0;
		if (!address)
			continue;
		if (get_int(target, "Port", GENEVE_PORT) != GENEVE_PORT) {
			state_error(load, item, "Uplinks", "%s: a target's Port is not %d", uplink->gateway_id,
				    GENEVE_PORT);
			continue;
		}
		if (nr == GWLB_TARGETS_MAX) {
			state_error(load, item, "Uplinks", "%s has more than %d targets", uplink->gateway_id,
				    GWLB_TARGETS_MAX);
			break;
		}
		leaves[nr] = get_is(health, "State", "draining");
		uplink->targets[nr] = (struct gwlb_target){address, !json_object_get(health, "State") ||
									    get_is(health, "State", "healthy")};
		uplink->nr_targets++;
	}
	choose_fresh(uplink, leaves);
	if (uplink->nr_targets)
		qsort(uplink->targets, uplink->nr_targets, sizeof(*uplink->targets), compare_targets);
}

/* The value of an attribute, or NULL */
static const char *attribute(const json_t *json, const char *list, const char *key)
{
	const json_t *element;
	size_t index;

	json_array_foreach (json_object_get(json, list), index, element)
		if (get_is(element, "Key", key))
			return json_string_value(json_object_get(element, "Value"));
	return NULL;
}

static void parse_idle(struct load *load, struct item *item, const json_t *json, struct host_uplink *uplink)
{
	const char *text = attribute(json, "ListenerAttributes", "tcp.idle_timeout.seconds");
	char *end = NULL;
	long seconds = text ? strtol(text, &end, 10) : GWLB_TCP_IDLE_S;

	uplink->tcp_idle_s = GWLB_TCP_IDLE_S;
	if (seconds < IDLE_MIN || seconds > IDLE_MAX || (text && (end == text || *end)))
		state_error(load, item, "Uplinks", "%s: tcp.idle_timeout.seconds '%s' is not from %d to %d",
			    uplink->gateway_id, text, IDLE_MIN, IDLE_MAX);
	else
		uplink->tcp_idle_s = (uint32_t)seconds;
}

static void parse_stickiness(struct load *load, struct item *item, const json_t *json, struct host_uplink *uplink)
{
	const char *enabled = attribute(json, "TargetGroupAttributes", "stickiness.enabled");
	const char *type = attribute(json, "TargetGroupAttributes", "stickiness.type");

	uplink->sticky = STICKY_5_TUPLE;
	if (!type || (enabled && !strcmp(enabled, "false")))
		return;
	if (!strcmp(type, "source_ip_dest_ip"))
		uplink->sticky = STICKY_2_TUPLE;
	else if (!strcmp(type, "source_ip_dest_ip_proto"))
		uplink->sticky = STICKY_3_TUPLE;
	else
		state_error(load, item, "Uplinks",
			    "%s: stickiness.type '%s' is neither source_ip_dest_ip nor source_ip_dest_ip_proto",
			    uplink->gateway_id, type);
}

void parse_appliances(struct load *load, struct item *item, const json_t *json, __be32 tunnel_address,
		      struct host_uplink *uplink)
{
	__be32 own = get_ip4(json, "Address");

	uplink->address = own ? own : tunnel_address;
	parse_targets(load, item, json, uplink);
	parse_idle(load, item, json, uplink);
	parse_stickiness(load, item, json, uplink);
	if (uplink->nr_targets && !uplink->address)
		state_error(load, item, "Uplinks", "%s has targets, but neither Address nor the host's TunnelAddress",
			    uplink->gateway_id);
}
