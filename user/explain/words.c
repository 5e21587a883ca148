/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "explain/report.h"
#include "state/cidr.h"

static int service_words(int protocol, int from, int to, char text[80])
{
	bool icmp = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
	char name[16];

	if (protocol == PROTOCOL_ANY)
		return snprintf(text, 80, "all");
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && !icmp)
		return snprintf(text, 80, "%s", protocol_name(protocol, name));
	if (icmp && from < 0)
		return snprintf(text, 80, "%s", protocol_name(protocol, name));
	if (icmp)
		return to < 0 ? snprintf(text, 80, "%s type %d", protocol_name(protocol, name), from)
			      : snprintf(text, 80, "%s type %d code %d", protocol_name(protocol, name), from, to);
	if (from == 0 && to == 65535)
		return snprintf(text, 80, "%s", protocol_name(protocol, name));
	return from == to ? snprintf(text, 80, "%s %d", protocol_name(protocol, name), from)
			  : snprintf(text, 80, "%s %d-%d", protocol_name(protocol, name), from, to);
}

const char *rule_words(const struct rule_found *rule, bool egress, char text[RULE_WORDS_MAX])
{
	const char *word = egress ? "to" : "from";
	char service[80], peer[CIDR_TEXT_MAX];

	if (rule->permission) {
		const struct sg_permission *p = rule->permission;

		(void)service_words(p->protocol, p->from, p->to, service);
		(void)snprintf(text, RULE_WORDS_MAX, "%s %s %s", service, word,
			       rule->peer->kind == PEER_CIDR ? cidr_format(&rule->peer->cidr, peer) : rule->peer->id);
	} else if (rule->entry) {
		(void)service_words(rule->entry->protocol, rule->entry->from, rule->entry->to, service);
		(void)snprintf(text, RULE_WORDS_MAX, "%s %s %s %s", rule->entry->allow ? "allow" : "deny", service,
			       word, cidr_format(&rule->entry->cidr, peer));
	} else {
		(void)snprintf(text, RULE_WORDS_MAX, "%s",
			       rule->nacl ? "deny: no rule matches" : "allow: the subnet has no network ACL");
	}
	return text;
}

const char *packet_words(const struct tuple *t, uint32_t icmp, char text[RULE_WORDS_MAX])
{
	char from[CIDR_TEXT_MAX], to[CIDR_TEXT_MAX], name[16];
	const char *protocol = protocol_name(t->proto, name);

	(void)address_format(t->family, &t->saddr, from);
	(void)address_format(t->family, &t->daddr, to);
	if (t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP)
		(void)snprintf(text, RULE_WORDS_MAX, "%s %s port %u to %s port %u", protocol, from, ntohs(t->sport), to,
			       ntohs(t->dport));
	else if (way_is_query(t->family, t->proto))
		(void)snprintf(text, RULE_WORDS_MAX, "%s type %u %s to %s", protocol,
			       icmp != UINT32_MAX ? icmp >> 8 : t->dport, from, to);
	else
		(void)snprintf(text, RULE_WORDS_MAX, "%s %s to %s", protocol, from, to);
	return text;
}

const char *miss_words(enum rule_miss miss)
{
	switch (miss) {
	case MISS_NOT:
		return "matches, but another one came first";
	case MISS_PORT:
		return "but for the port or type";
	case MISS_PROTOCOL:
		return "but for the protocol";
	case MISS_PEER:
		return "but for who is at the other end";
	case MISS_ALL:
		break;
	}
	return "but for more than one thing";
}
