/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "show/filter.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain/ask.h"
#include "state/cidr.h"

static int complain(const char *word, const char *what)
{
	warnx("'%s' is no %s", word, what);
	return -EINVAL;
}

static int read_cidr(const char *word, struct cidr *ret)
{
	bool host_bits;
	int family = address_parse(word, &ret->addr);

	if (family < 0)
		return cidr_parse(word, ret, &host_bits) ? complain(word, "address or CIDR") : 0;
	ret->family = (uint8_t)family;
	ret->prefixlen = family == 4 ? 32 : 128;
	return 0;
}

static int read_port(const char *word, int *ret)
{
	char *end;
	long port;

	errno = 0;
	port = strtol(word, &end, 10);
	if (errno || end == word || *end || port < 0 || port > UINT16_MAX)
		return complain(word, "port");
	*ret = (int)port;
	return 0;
}

static int read_verdict(const char *word, const char **ret)
{
	*ret = !strcasecmp(word, "accept") ? "ACCEPT" : !strcasecmp(word, "reject") ? "REJECT" : NULL;
	return *ret ? 0 : complain(word, "verdict: accept, reject");
}

static int read_reason(const char *word, const char **ret)
{
	static const char known[] = " " FILTER_REASONS " ";
	const char *found = strstr(known, word);

	if (!*word || strchr(word, ' ') || !found || found[-1] != ' ' || found[strlen(word)] != ' ')
		return complain(word, "reason of flow log records: " FILTER_REASONS);
	*ret = word;
	return 0;
}

int filter_option(struct filter *filter, int option, const char *word)
{
	filter->any |= option >= FILTER_ENI && option <= FILTER_REASON;
	switch (option) {
	case FILTER_ENI:
		filter->eni = word;
		return 0;
	case FILTER_ADDRESS:
		return read_cidr(word, &filter->cidr);
	case FILTER_PORT:
		return read_port(word, &filter->port);
	case FILTER_PROTOCOL:
		filter->protocol = protocol_number(word);
		return filter->protocol < 0 ? complain(word, "protocol") : 0;
	case FILTER_VERDICT:
		return read_verdict(word, &filter->verdict);
	case FILTER_REASON:
		return read_reason(word, &filter->reason);
	default:
		return -ENOENT;
	}
}

static bool is_within(const struct cidr *cidr, int family, const union addr *addr)
{
	const struct cidr one = {.addr = *addr, .family = (uint8_t)family, .prefixlen = family == 4 ? 32 : 128};

	return cidr_contains(cidr, &one);
}

static bool is_protocol(int wanted, int protocol)
{
	if (wanted == PROTOCOL_ICMP)
		return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
	return wanted < 0 || wanted == protocol;
}

bool filter_ends(const struct filter *filter, const struct filter_ends *ends)
{
	if (!is_protocol(filter->protocol, ends->protocol))
		return false;
	if (filter->port >= 0 && filter->port != ends->sport && filter->port != ends->dport)
		return false;
	return !filter->cidr.family || is_within(&filter->cidr, ends->family, &ends->src) ||
	       is_within(&filter->cidr, ends->family, &ends->dst);
}
