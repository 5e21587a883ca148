/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Matches as nftables rules, in one of three forms. */
#include <netinet/in.h>
#include <stdlib.h>

#include "export/export.h"
#include "state/cidr.h"

static const char *family_word(uint8_t family)
{
	return family == 6 ? "ip6" : "ip";
}

static bool has_ports(int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static const char *port_word(int protocol)
{
	return protocol == IPPROTO_TCP ? "tcp dport" : "udp dport";
}

static void print_range(FILE *out, int from, int to)
{
	if (from == to)
		fprintf(out, "%d", from);
	else
		fprintf(out, "%d-%d", from, to);
}

void export_protocol(FILE *out, uint8_t family, int protocol, int from, int to)
{
	const char *icmp = family == 6 ? "icmpv6" : "icmp";

	if (protocol == PROTOCOL_ANY)
		return;
	if (has_ports(protocol) && (from > 0 || to < 65535)) {
		fprintf(out, " %s ", port_word(protocol));
		print_range(out, from, to);
	} else if (protocol == (family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && from >= 0) {
		fprintf(out, " %s type %d", icmp, from);
		if (to >= 0)
			fprintf(out, " %s code %d", icmp, to);
	} else {
		fprintf(out, " meta l4proto %d", protocol);
	}
}

static void print_linear(FILE *out, const struct export_match *match, const char *side, const char *verdict)
{
	char text[CIDR_TEXT_MAX];

	if (match->cidr.prefixlen)
		fprintf(out, "\t\t%s %s %s", family_word(match->cidr.family), side, cidr_format(&match->cidr, text));
	else
		fprintf(out, "\t\tmeta nfproto %s", match->cidr.family == 6 ? "ipv6" : "ipv4");
	export_protocol(out, match->cidr.family, match->protocol, match->from, match->to);
	fprintf(out, " %s\n", verdict);
}

static bool same_service(const struct export_match *a, const struct export_match *b)
{
	return a->cidr.family == b->cidr.family && a->protocol == b->protocol && a->from == b->from && a->to == b->to;
}

static void print_sets(FILE *out, const struct export_matches *matches, const char *side, const char *verdict)
{
	char text[CIDR_TEXT_MAX];
	size_t end;

	for (size_t i = 0; i < matches->nr; i = end) {
		const struct export_match *first = &matches->match[i];

		for (end = i + 1; end < matches->nr && same_service(first, &matches->match[end]); end++)
			;
		if (end == i + 1) {
			print_linear(out, first, side, verdict);
			continue;
		}
		fprintf(out, "\t\t%s %s {", family_word(first->cidr.family), side);
		for (size_t j = i; j < end; j++)
			fprintf(out, "%s %s", j > i ? "," : "", cidr_format(&matches->match[j].cidr, text));
		fprintf(out, " }");
		export_protocol(out, first->cidr.family, first->protocol, first->from, first->to);
		fprintf(out, " %s\n", verdict);
	}
}

/* The kernel refuses a pair of ranges that overlaps another one; such a match stays a rule of its own. */
static bool fits_set(const struct export_match *match, const struct export_match *set, size_t first, size_t end,
		     const bool *apart)
{
	if (!has_ports(match->protocol) || !match->cidr.prefixlen)
		return false;
	for (size_t i = first; i < end; i++)
		if (!apart[i] && set[i].from <= match->to && match->from <= set[i].to &&
		    cidr_overlaps(&set[i].cidr, &match->cidr))
			return false;
	return true;
}

static void print_pairs(FILE *out, const struct export_match *match, size_t first, size_t end, const bool *apart,
			const char *side, const char *verdict)
{
	const char *between = "";
	char text[CIDR_TEXT_MAX];

	for (size_t i = first; i < end; i++) {
		if (apart[i])
			continue;
		if (!*between)
			fprintf(out, "\t\t%s %s . %s {", family_word(match[i].cidr.family), side,
				port_word(match[i].protocol));
		fprintf(out, "%s %s . ", between, cidr_format(&match[i].cidr, text));
		print_range(out, match[i].from, match[i].to);
		between = ",";
	}
	if (*between)
		fprintf(out, " } %s\n", verdict);
}

static void print_concat(FILE *out, const struct export_matches *matches, const char *side, const char *verdict)
{
	const struct export_match *match = matches->match;
	bool *apart = calloc(matches->nr + 1, sizeof(*apart));
	size_t end;

	for (size_t i = 0; i < matches->nr; i = end) {
		for (end = i; end < matches->nr && match[end].protocol == match[i].protocol &&
			      match[end].cidr.family == match[i].cidr.family;
		     end++) {
			if (apart && fits_set(&match[end], match, i, end, apart))
				continue;
			if (apart)
				apart[end] = true;
			print_linear(out, &match[end], side, verdict);
		}
		if (apart)
			print_pairs(out, match, i, end, apart, side, verdict);
	}
	free(apart);
}

void export_rules(FILE *out, const struct export_matches *matches, const char *side, const char *verdict,
		  enum export_form form)
{
	if (form == EXPORT_SETS)
		print_sets(out, matches, side, verdict);
	else if (form == EXPORT_CONCAT)
		print_concat(out, matches, side, verdict);
	for (size_t i = 0; form == EXPORT_LINEAR && i < matches->nr; i++)
		print_linear(out, &matches->match[i], side, verdict);
}
