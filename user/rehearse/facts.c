/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rehearse/facts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- values as text */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the texts. ret: them, in order, with `between`; NULL = no memory */
static char *join_sorted(char **texts, size_t nr, const char *between)
{
	size_t length = 1;
	char *joined = NULL;
	bool whole = true;

	for (size_t i = 0; i < nr; i++) {
		whole = whole && texts[i];
		length += texts[i] ? strlen(texts[i]) + strlen(between) : 0;
	}
	if (whole)
		joined = calloc(1, length);
	if (joined && nr)
		qsort(texts, nr, sizeof(*texts), compare_text);
	for (size_t i = 0; i < nr; i++) {
		if (joined)
			strcat(strcat(joined, i ? between : ""), texts[i]);
		free(texts[i]);
	}
	free(texts);
	return joined;
}

static char *object_text(const json_t *object)
{
	char **texts = calloc(json_object_size(object) + 1, sizeof(*texts));
	const char *key;
	json_t *value;
	size_t nr = 0;

	if (!texts)
		return NULL;
	json_object_foreach ((json_t *)object, key, value) {
		_cleanup_free_ char *text = fact_text(value);

		if (!text || asprintf(&texts[nr], "%s=%s", key, text) < 0)
			texts[nr] = NULL;
		nr++;
	}
	return join_sorted(texts, nr, " ");
}

static char *array_text(const json_t *list)
{
	char **texts = calloc(json_array_size(list) + 1, sizeof(*texts));
	json_t *value;
	size_t i;

	if (!texts)
		return NULL;
	json_array_foreach (list, i, value)
		texts[i] = fact_text(value);
	return join_sorted(texts, json_array_size(list), ",");
}

char *fact_text(const json_t *value)
{
	if (json_is_object(value))
		return object_text(value);
	if (json_is_array(value))
		return array_text(value);
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return value ? json_dumps(value, JSON_ENCODE_ANY) : strdup("");
}

/* ---- facts */

static int add(json_t *facts, char *name, char *value)
{
	int r = name && value ? json_object_set_new(facts, name, json_string(value)) : -1;

	free(name);
	free(value);
	return r;
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...)
{
	char *made = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		made = NULL;
	va_end(args);
	return made;
}

static const char *protocol_text(const json_t *protocol, char room[16])
{
	switch (json_integer_value(protocol)) {
	case -1:
		return "all";
	case 1:
		return "icmp";
	case 6:
		return "tcp";
	case 17:
		return "udp";
	case 58:
		return "icmpv6";
	default:
		snprintf(room, 16, "%d", (int)json_integer_value(protocol));
		return room;
	}
}

/* " 443", " 1-5", " 8/0" of ICMP; "" where it says nothing */
static void ports_text(char room[32], int protocol, const json_t *from, const json_t *to)
{
	int a = (int)json_integer_value(from), b = (int)json_integer_value(to);

	*room = '\0';
	if (!from && !to)
		return;
	if (protocol == 1 || protocol == 58)
		snprintf(room, 32, " %d/%d", a, b);
	else if (a == b)
		snprintf(room, 32, " %d", a);
	else
		snprintf(room, 32, " %d-%d", a, b);
}

static int add_peers(json_t *facts, const json_t *permission, const char *list, const char *key, const char *word)
{
	const json_t *protocol = json_object_get(permission, "IpProtocol"), *peers = json_object_get(permission, list);
	char number[16], ports[32];
	json_t *peer;
	size_t i;
	int r = 0;

	ports_text(ports, (int)json_integer_value(protocol), json_object_get(permission, "FromPort"),
		   json_object_get(permission, "ToPort"));
	json_array_foreach (peers, i, peer) {
		_cleanup_free_ char *whole = key ? NULL : fact_text(peer);

		r |= add(facts,
			 text("%s%s %s %s", protocol_text(protocol, number), ports, word,
			      key ? json_string_value(json_object_get(peer, key)) : whole ?: ""),
			 strdup(""));
	}
	return r;
}

static int add_permission(json_t *facts, const char *key, const json_t *permission)
{
	const char *word = strcmp(key, "IpPermissions") ? "to" : "from";
	int r = add_peers(facts, permission, "IpRanges", "CidrIp", word);
	json_t *pair;
	size_t i;

	r |= add_peers(facts, permission, "Ipv6Ranges", "CidrIpv6", word);
	r |= add_peers(facts, permission, "PrefixListIds", "PrefixListId", word);
	json_array_foreach (json_object_get(permission, "UserIdGroupPairs"), i, pair)
		if (json_object_size(pair) > 2)
			return r | add_peers(facts, permission, "UserIdGroupPairs", NULL, word);
	return r | add_peers(facts, permission, "UserIdGroupPairs", "GroupId", word);
}

static int add_entry(json_t *facts, const char *key, const json_t *entry)
{
	const json_t *ports = json_object_get(entry, "PortRange"), *icmp = json_object_get(entry, "IcmpTypeCode");
	const json_t *protocol = json_object_get(entry, "Protocol"), *cidr = json_object_get(entry, "CidrBlock");
	int number = (int)json_integer_value(protocol);
	bool is_icmp = (number == 1 || number == 58) && icmp;
	char room[16], range[32];

	(void)key;
	ports_text(range, number, json_object_get(is_icmp ? icmp : ports, is_icmp ? "Type" : "From"),
		   json_object_get(is_icmp ? icmp : ports, is_icmp ? "Code" : "To"));
	if (!cidr)
		cidr = json_object_get(entry, "Ipv6CidrBlock");
	return add(facts,
		   text("%s %d", json_is_true(json_object_get(entry, "Egress")) ? "egress" : "ingress",
			(int)json_integer_value(json_object_get(entry, "RuleNumber"))),
		   text("%s %s%s %s", json_string_value(json_object_get(entry, "RuleAction")),
			protocol_text(protocol, room), range, json_string_value(cidr) ?: ""));
}

/* All of an object but these members. */
static char *rest_text(const json_t *object, const char *const *but)
{
	json_t *rest = json_copy((json_t *)object);
	char *made = NULL;

	for (; rest && *but; but++)
		(void)json_object_del(rest, *but);
	if (rest)
		made = fact_text(rest);
	json_decref(rest);
	return made;
}

/* Its target is the one member that is neither the destination nor about its state. */
static int add_route(json_t *facts, const char *key, const json_t *route)
{
	static const char *const destinations[] = {"DestinationCidrBlock", "DestinationIpv6CidrBlock",
						   "DestinationPrefixListId", "PrefixListId"};
	static const char *const rest[] = {"DestinationCidrBlock", "DestinationIpv6CidrBlock",
					   "DestinationPrefixListId", "PrefixListId", NULL};
	const char *destination = NULL, *origin = json_string_value(json_object_get(route, "Origin"));
	const char *state = json_string_value(json_object_get(route, "State")), *target = NULL, *name;
	json_t *value;

	(void)key;
	for (size_t i = 0; i < ARRAY_SIZE(destinations) && !destination; i++)
		destination = json_string_value(json_object_get(route, destinations[i]));
	if (json_object_get(route, "TransitGatewayAttachments"))
		return add(facts, strdup(destination ?: ""), rest_text(route, rest));
	json_object_foreach ((json_t *)route, name, value)
		if (json_is_string(value) && strncmp(name, "Destination", 11) != 0 && strcmp(name, "Origin") != 0 &&
		    strcmp(name, "State") != 0)
			target = json_string_value(value);
	return add(facts, strdup(destination ?: ""),
		   text("%s%s%s%s%s", target ?: "nowhere", state && strcmp(state, "active") ? " " : "",
			state && strcmp(state, "active") ? state : "",
			origin && strcmp(origin, "createroute") ? " " : "",
			origin && strcmp(origin, "createroute") ? origin : ""));
}

static const struct maker {
	const char *key;
	int (*make)(json_t *facts, const char *key, const json_t *element);
} makers[] = {
	{"IpPermissions", add_permission},
	{"IpPermissionsEgress", add_permission},
	{"Routes", add_route},
};

/* Elements that are the same thing, however the rest of them changes. */
static const struct known {
	const char *key, *by;
} known[] = {
	{"Ports", "NetworkInterfaceId"},      {"Uplinks", "GatewayId"},      {"PrivateIpAddresses", "PrivateIpAddress"},
	{"NatGatewayAddresses", "PrivateIp"}, {"VpcAttachments", "VpcId"},   {"IngressFilterRules", "RuleNumber"},
	{"EgressFilterRules", "RuleNumber"},  {"DhcpConfigurations", "Key"}, {"TargetHealthDescriptions", "Target"},
};

static int add_known(json_t *facts, const struct known *how, const json_t *element)
{
	const char *const but[] = {how->by, NULL};

	return add(facts, fact_text(json_object_get(element, how->by)), rest_text(element, but));
}

/* One member needs no name. */
static int add_plain(json_t *facts, const json_t *element)
{
	const json_t *only = element;

	if (json_is_object(element) && json_object_size(element) == 1)
		only = json_object_iter_value(json_object_iter((json_t *)element));
	return add(facts, fact_text(only), strdup(""));
}

static int add_element(json_t *facts, const char *key, const json_t *element)
{
	if (json_is_null(element))
		return 0;
	if (json_object_get(element, "RuleNumber") && json_object_get(element, "Egress"))
		return add_entry(facts, key, element);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (!strcmp(makers[i].key, key))
			return makers[i].make(facts, key, element);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].key, key) && json_object_get(element, known[i].by))
			return add_known(facts, &known[i], element);
	return add_plain(facts, element);
}

json_t *facts_of_list(const char *key, const json_t *list)
{
	json_t *facts = json_object(), *element;
	size_t i;

	json_array_foreach (list, i, element) {
		if (facts && add_element(facts, key, element)) {
			json_decref(facts);
			facts = NULL;
		}
	}
	return facts;
}
