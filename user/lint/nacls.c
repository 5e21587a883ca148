/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <netinet/in.h>
#include <string.h>

#include "compile/classify.h"
#include "explain/rules.h"
#include "lint/lint.h"
#include "state/cidr.h"

#define CLIENT_FIRST 32768 /* what Linux takes; others begin at 49152 or 1024 */
#define CLIENT_LAST  60999

static bool used(const struct state *state, const struct nacl *nacl)
{
	for (size_t i = 0; i < state->nr_subnets; i++)
		if (state->subnets[i].nacl == nacl)
			return true;
	return false;
}

static struct services admitted(const struct lint *lint, const struct nacl *nacl, bool egress, const struct cidr *peer)
{
	const struct rules_question q = {
		.state = lint->state, .egress = egress, .family = peer->family, .peer = peer->addr};
	struct services set = {};

	rules_admit_nacl(&q, nacl, &set);
	return set;
}

static bool holds_all(const struct services *set, uint32_t lo, uint32_t hi)
{
	for (size_t i = 0; i < set->nr; i++)
		if (set->range[i].lo <= lo && hi <= set->range[i].hi)
			return true;
	return false;
}

/* An entry for services, not one for answers. */
static bool for_services(const struct nacl_entry *entry)
{
	bool ports = entry->protocol == IPPROTO_TCP || entry->protocol == IPPROTO_UDP;

	return entry->allow && (entry->protocol == PROTOCOL_ANY || (ports && entry->from < 1024));
}

static void check_answers(const struct lint *lint, const struct nacl *nacl, bool egress)
{
	const struct nacl_entry *entries = egress ? nacl->out : nacl->in;
	size_t nr = egress ? nacl->nr_out : nacl->nr_in;

	for (size_t i = 0; i < nr; i++) {
		const struct nacl_entry *entry = entries + i;
		int protocol = entry->protocol == PROTOCOL_ANY ? IPPROTO_TCP : entry->protocol;
		struct service_range clients =
			service_range_of(entry->cidr.family, protocol, CLIENT_FIRST, CLIENT_LAST);
		struct services back;
		char cidr[CIDR_TEXT_MAX];

		if (!for_services(entry))
			continue;
		back = admitted(lint, nacl, !egress, &entry->cidr);
		if (!holds_all(&back, clients.lo, clients.hi))
			lint_say(lint, LINT_NACL_EPHEMERAL, nacl->id,
				 "%s entry %d lets %s through %s %s, but the other direction does not let ports %d-%d "
				 "back",
				 egress ? "egress" : "ingress", entry->number, protocol == IPPROTO_TCP ? "TCP" : "UDP",
				 egress ? "to" : "from", cidr_format(&entry->cidr, cidr), CLIENT_FIRST, CLIENT_LAST);
		services_done(&back);
	}
}

/* Who sends TCP, or serves it, has to hear that a packet was too large. */
static void check_mtu(const struct lint *lint, const struct nacl *nacl, int family)
{
	struct service_range told =
		family == 6 ? service_range_of(6, IPPROTO_ICMPV6, 2, 0) : service_range_of(4, IPPROTO_ICMP, 3, 4);
	struct service_range tcp = service_range_of(family, IPPROTO_TCP, 0, 65535);
	struct cidr everybody = {.family = (uint8_t)family};
	struct services in;
	bool any = false;

	(void)address_parse(family == 6 ? "2001:db8:ffff:ffff::1" : "198.51.100.1", &everybody.addr);
	in = admitted(lint, nacl, false, &everybody);
	for (size_t i = 0; i < in.nr; i++)
		any |= in.range[i].lo <= tcp.hi && in.range[i].hi >= tcp.lo;
	if (any && !holds_all(&in, told.lo, told.hi))
		lint_say(lint, LINT_NACL_MTU, nacl->id, "TCP comes in from anywhere, but not %s",
			 family == 6 ? "ICMPv6 type 2 (packet too big)" : "ICMP type 3 code 4 (fragmentation needed)");
	services_done(&in);
}

static void check_shadows(const struct lint *lint, const struct nacl *nacl, bool egress)
{
	const struct nacl_entry *entries = egress ? nacl->out : nacl->in;
	size_t nr = egress ? nacl->nr_out : nacl->nr_in;

	for (size_t i = 1; i < nr; i++) {
		const struct nacl_entry *late = entries + i;
		struct service_range inner = service_range_of(late->cidr.family, late->protocol, late->from, late->to);

		for (size_t k = 0; k < i; k++) {
			const struct nacl_entry *early = entries + k;
			struct service_range outer =
				service_range_of(late->cidr.family, early->protocol, early->from, early->to);

			if (outer.lo > inner.lo || outer.hi < inner.hi || !cidr_contains(&early->cidr, &late->cidr))
				continue;
			lint_say(lint, LINT_NACL_SHADOWED, nacl->id, "%s entry %d never decides: entry %d comes first",
				 egress ? "egress" : "ingress", late->number, early->number);
			break;
		}
	}
}

void lint_nacls(const struct lint *lint)
{
	for (size_t i = 0; i < lint->state->nr_nacls; i++) {
		const struct nacl *nacl = lint->state->nacls + i;

		for (int egress = 0; egress < 2; egress++)
			check_shadows(lint, nacl, egress);
		if (!used(lint->state, nacl)) {
			if (!nacl->is_default)
				lint_say(lint, LINT_NACL_UNUSED, nacl->id, "no subnet has it");
			continue; /* what would happen there happens to nobody */
		}
		for (int egress = 0; egress < 2; egress++)
			check_answers(lint, nacl, egress);
		check_mtu(lint, nacl, 4);
		check_mtu(lint, nacl, 6);
	}
}
