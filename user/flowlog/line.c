/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a flow log record. Ids are escaped where they enter (enis.c), so nothing here can break a line. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "flowlog/line.h"

static void address_text(int family, const union addr *addr, char ret[INET6_ADDRSTRLEN])
{
	if (family == 4)
		inet_ntop(AF_INET, &addr->ip4, ret, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, ret, INET6_ADDRSTRLEN);
}

size_t line_traffic(const struct log_eni *eni, const struct window_entry *entry, char *buf)
{
	const struct window_key *key = &entry->key;
	const struct window_count *count = &entry->count;
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	address_text(key->family, &key->src, src);
	address_text(key->family, &key->dst, dst);
	return (size_t)snprintf(buf, LINE_MAX_BYTES, "2 %s %s %s %s %u %u %u %llu %llu %u %u %s OK\n", eni->account,
				eni->id, src, dst, ntohs(key->sport), ntohs(key->dport), key->proto,
				(unsigned long long)count->packets, (unsigned long long)count->bytes, count->first_s,
				count->last_s, key->reject ? "REJECT" : "ACCEPT");
}

size_t line_empty(const struct log_eni *eni, uint32_t start_s, uint32_t interval_s, const char *status, char *buf)
{
	return (size_t)snprintf(buf, LINE_MAX_BYTES, "2 %s %s - - - - - - - %u %u - %s\n", eni->account, eni->id,
				start_s, start_s + interval_s - 1, status);
}
