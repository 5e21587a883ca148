/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose traffic is logged, and how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flowlog/enis.h"

/* One record is one line whatever an id holds (E32): blanks, controls and bytes beyond ASCII become \xHH. */
static void escape(const char *name, char *ret)
{
	size_t at = 0;

	for (; *name && at + 4 < LOG_NAME_MAX; name++) {
		unsigned char c = (unsigned char)*name;

		if (c > ' ' && c < 0x7f && c != '\\')
			ret[at++] = (char)c;
		else
			at += (size_t)sprintf(ret + at, "\\x%02x", c);
	}
	ret[at] = 0;
}

static bool log_covers(const struct flow_log *log, const struct eni *eni)
{
	return !strcmp(log->resource, eni->id) || (eni->subnet && !strcmp(log->resource, eni->subnet->id)) ||
	       (eni->vpc && !strcmp(log->resource, eni->vpc->id));
}

static uint32_t log_traffic(const struct flow_log *log)
{
	if (!strcasecmp(log->traffic, "ACCEPT"))
		return LOG_ACCEPT;
	return strcasecmp(log->traffic, "REJECT") ? LOG_ACCEPT | LOG_REJECT : LOG_REJECT;
}

/* FL-01 to FL-03: several logs of one ENI add up, the shortest window holds. Without any log all is logged. */
static void choose_logging(const struct state *state, struct log_eni *eni, const struct eni *from)
{
	eni->what = state->nr_flow_logs ? 0 : LOG_ACCEPT | LOG_REJECT;
	eni->interval_s = state->nr_flow_logs ? 0 : LOG_INTERVAL_S;
	for (size_t i = 0; i < state->nr_flow_logs; i++) {
		const struct flow_log *log = &state->flow_logs[i];

		if (!log->active || !log_covers(log, from))
			continue;
		eni->what |= log_traffic(log);
		if (!eni->interval_s || log->interval_s < eni->interval_s)
			eni->interval_s = log->interval_s;
	}
	if (!eni->interval_s)
		eni->interval_s = LOG_INTERVAL_S;
}

static int copy_six(struct log_eni *eni, const struct eni *from)
{
	eni->six = calloc(from->nr_addresses + 1, sizeof(*eni->six));
	if (!eni->six)
		return -ENOMEM;
	for (size_t i = 0; i < from->nr_addresses; i++) {
		const struct eni_address *address = &from->addresses[i];

		if (address->family != 6)
			continue;
		eni->six[eni->nr_six++] = *address;
		if (!eni->has6 && address->prefixlen == 128) {
			eni->first6 = address->addr;
			eni->has6 = true;
		}
	}
	return 0;
}

static void eni_free(struct log_eni *eni)
{
	if (eni)
		free(eni->six);
	free(eni);
}

static const char *account_of(const struct eni *eni)
{
	if (eni->owner && *eni->owner)
		return eni->owner;
	return eni->vpc && *eni->vpc->owner ? eni->vpc->owner : "unknown";
}

static int make_eni(const struct state *state, const struct image_port *port, struct log_eni **ret)
{
	struct log_eni *eni = calloc(1, sizeof(*eni));

	if (!eni || copy_six(eni, port->eni)) {
		eni_free(eni);
		return -ENOMEM;
	}
	escape(port->id, eni->id);
	escape(account_of(port->eni), eni->account);
	eni->primary4 = port->primary4;
	eni->side_instance = port->flags & PORT_SIDE_INSTANCE;
	choose_logging(state, eni, port->eni);
	*ret = eni;
	return 0;
}

static int copy_gone(const struct log_eni *from, struct log_eni **ret)
{
	struct log_eni *eni = malloc(sizeof(*eni));

	if (!eni)
		return -ENOMEM;
	*eni = *from;
	eni->gone = true;
	eni->six = calloc(from->nr_six + 1, sizeof(*eni->six));
	if (!eni->six) {
		free(eni);
		return -ENOMEM;
	}
	memcpy(eni->six, from->six, from->nr_six * sizeof(*eni->six));
	*ret = eni;
	return 0;
}

static int fill(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		const struct log_enis *before, struct log_enis *enis)
{
	for (size_t i = 0; i < image->nr_ports; i++) {
		uint32_t port = number(arg, image->ports[i].id);

		if (image->ports[i].kind == PORT_REMOTE || !image->ports[i].eni || !port || port >= PORTS_MAX)
			continue;
		if (make_eni(state, &image->ports[i], &enis->by_port[port]))
			return -ENOMEM;
	}
	for (uint32_t port = 0; before && port < before->nr; port++)
		if (before->by_port[port] && !enis->by_port[port] &&
		    copy_gone(before->by_port[port], &enis->by_port[port]))
			return -ENOMEM;
	return 0;
}

int log_enis_make(const struct state *state, const struct image *image, port_number_fn number, const void *arg,
		  const struct log_enis *before, struct log_enis **ret)
{
	struct log_enis *enis = calloc(1, sizeof(*enis));

	if (!enis)
		return -ENOMEM;
	enis->users = 1;
	enis->nr = PORTS_MAX;
	enis->by_port = calloc(PORTS_MAX, sizeof(*enis->by_port));
	if (!enis->by_port || fill(state, image, number, arg, before, enis)) {
		log_enis_drop(&enis);
		return -ENOMEM;
	}
	while (enis->nr && !enis->by_port[enis->nr - 1])
		enis->nr--;
	*ret = enis;
	return 0;
}

struct log_enis *log_enis_use(struct log_enis *enis)
{
	__atomic_fetch_add(&enis->users, 1, __ATOMIC_RELAXED);
	return enis;
}

void log_enis_drop(struct log_enis **enis)
{
	struct log_enis *set = *enis;

	*enis = NULL;
	if (!set || __atomic_sub_fetch(&set->users, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t port = 0; set->by_port && port < set->nr; port++)
		eni_free(set->by_port[port]);
	free(set->by_port);
	free(set);
}

static bool is_inside(const union addr *addr, const struct eni_address *own)
{
	uint8_t bits = own->prefixlen;

	if (memcmp(addr->bytes, own->addr.bytes, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || !((addr->bytes[bits / 8] ^ own->addr.bytes[bits / 8]) >> (8 - bits % 8));
}

void log_eni_own(const struct log_eni *eni, int family, const union addr *in_packet, union addr *ret)
{
	*ret = *in_packet;
	if (family == 4) {
		if (eni->primary4)
			*ret = (union addr){.ip4 = eni->primary4};
		return;
	}
	for (size_t i = 0; i < eni->nr_six; i++)
		if (is_inside(in_packet, &eni->six[i]))
			return;
	if (eni->has6)
		*ret = eni->first6;
}
