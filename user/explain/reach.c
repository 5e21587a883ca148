/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain/ask.h"
#include "state/cidr.h"

#define CLIENT_FIRST 1024

struct reach_work {
	const struct state *state;
	const struct image *image;
	union addr outside[2]; /* IPv4, IPv6 */
	struct services there, back;
	reach_each each;
	void *context;
};

/* The first address of a family; public: as the internet knows it. ret: false = there is none */
static bool address_of(const struct eni *eni, int family, bool public, union addr *ret)
{
	for (size_t i = 0; i < eni->nr_addresses; i++) {
		const struct eni_address *own = eni->addresses + i;

		if (own->family != family || own->prefixlen != (family == 6 ? 128 : 32) ||
		    (public && family == 4 && !own->public_ip))
			continue;
		*ret = public && family == 4 ? (union addr){.ip4 = own->public_ip} : own->addr;
		return true;
	}
	return false;
}

static uint32_t internet_of(const struct image *image, const struct eni *eni)
{
	for (uint32_t i = 0; eni->vpc && i < image->nr_ports; i++)
		if (image->ports[i].kind == PORT_UPLINK && image->ports[i].gateway == ROUTE_IGW &&
		    image->ports[i].zone == eni->vpc->zone)
			return i;
	return IMAGE_NONE;
}

static bool leads_outside(const struct image *image, uint32_t port)
{
	uint32_t gateway = image->ports[port].gateway;

	return image->ports[port].kind == PORT_UPLINK && (gateway == ROUTE_IGW || gateway == ROUTE_EIGW);
}

/* Did it arrive where it was sent? Not at a middlebox before. */
static bool arrived(const struct way *way, const struct eni *to)
{
	if (way->reason)
		return false;
	if (!to)
		return way->action == ACTION_UPLINK && leads_outside(way->image, way->exit);
	return way->action == ACTION_DELIVER && way->image->ports[way->exit].eni == to;
}

/* Addresses that whoever sent the first packet takes for an answer to it. */
static bool is_known(const struct way *there, const struct way *back)
{
	const struct tuple wanted = way_answer(&there->tuple);

	return !memcmp(&wanted.saddr, &back->out.saddr, sizeof(wanted.saddr)) &&
	       !memcmp(&wanted.daddr, &back->out.daddr, sizeof(wanted.daddr));
}

static int walk_back(struct reach_work *work, const struct way *there)
{
	struct way_memory memory;
	struct way back;

	way_remember(there, &memory);
	back = (struct way){.state = work->state,
			    .image = work->image,
			    .memory = &memory,
			    .set = &work->back,
			    .in = there->exit,
			    .tuple = way_answer(&there->out)};
	services_all(&work->back, back.tuple.family);
	if (way_walk(&back) || back.exit != there->in || !is_known(there, &back))
		work->back.nr = 0;
	return work->back.lost ? -ENOMEM : 0;
}

static int one_pair(struct reach_work *work, const struct eni *from, const struct eni *to, int family)
{
	struct reach_pair pair = {from, to, family, &work->there, &work->back};
	struct way way = {.state = work->state, .image = work->image, .set = &work->there};
	int r;

	way.tuple.family = (uint8_t)family;
	way.in = from ? way_find_port(work->image, from->id) : internet_of(work->image, to);
	if (way.in == IMAGE_NONE)
		return 0;
	*(from ? &way.tuple.daddr : &way.tuple.saddr) = work->outside[family == 6];
	if ((from && !address_of(from, family, false, &way.tuple.saddr)) ||
	    (to && !address_of(to, family, !from, &way.tuple.daddr)))
		return 0;
	services_all(&work->there, family);
	(void)way_walk(&way);
	if (work->there.lost)
		return -ENOMEM;
	if (!arrived(&way, to) || !work->there.nr)
		return 0;
	r = walk_back(work, &way);
	return r ? r : work->each(work->context, &pair);
}

static bool served(const struct image *image, const struct eni *eni)
{
	uint32_t port = way_find_port(image, eni->id);

	return port != IMAGE_NONE && image->ports[port].kind == PORT_ENI && image->ports[port].flags & PORT_LIVE &&
	       image->ports[port].mode == MODE_ROUTER;
}

static int both_families(struct reach_work *work, const struct eni *from, const struct eni *to)
{
	int r = one_pair(work, from, to, 4);

	return r ? r : one_pair(work, from, to, 6);
}

/* i = nr stands for the internet. */
int reach(const struct state *state, const struct image *image, reach_each each, void *context)
{
	struct reach_work work = {.state = state, .image = image, .each = each, .context = context};
	const struct eni **enis = calloc(state->nr_enis + 1, sizeof(*enis));
	size_t nr = 0;
	int r = enis ? 0 : -ENOMEM;

	work.outside[0] = outside_address(state, 4);
	work.outside[1] = outside_address(state, 6);
	for (size_t i = 0; !r && i < state->nr_enis; i++)
		if (served(image, state->enis + i))
			enis[nr++] = state->enis + i;
	for (size_t i = 0; !r && i <= nr; i++)
		for (size_t k = 0; !r && k <= nr; k++)
			if (i != k)
				r = both_families(&work, i < nr ? enis[i] : NULL, k < nr ? enis[k] : NULL);
	services_done(&work.there);
	services_done(&work.back);
	free(enis);
	return r;
}

/* ---- words */

static uint32_t base(int family, int protocol)
{
	return SERVICE_KEY(family, protocol, 0);
}

static enum reach_answers answers_of(const struct reach_pair *pair, int protocol)
{
	bool icmp = protocol == (pair->family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	bool ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
	uint32_t first = base(pair->family, protocol), last;
	uint64_t covered = 0;

	if (icmp)
		first += pair->family == 6 ? 129 << 8 : 0; /* echo replies */
	else if (ports)
		first += CLIENT_FIRST;
	last = ports ? base(pair->family, protocol) + 65535 : first;
	for (size_t i = 0; i < pair->back->nr; i++) {
		const struct services_range *range = pair->back->range + i;
		uint32_t lo = range->lo > first ? range->lo : first, hi = range->hi < last ? range->hi : last;

		covered += lo <= hi ? hi - lo + 1 : 0;
	}
	return covered == last - first + 1 ? REACH_ALL : covered ? REACH_SOME : REACH_NONE;
}

/* Whole protocols whose answers fare alike are one item. */
static void add_item(const struct reach_pair *pair, struct reach_item *items, size_t room, size_t *nr, int protocol,
		     int from, int to)
{
	struct reach_item item = {protocol, protocol, from, to, answers_of(pair, protocol)};
	struct reach_item *last = *nr && *nr <= room ? items + *nr - 1 : NULL;

	if (from == 0 && to == 65535 && last && last->from == 0 && last->to == 65535 &&
	    last->protocol_to == protocol - 1 && last->answers == item.answers) {
		last->protocol_to = protocol;
		return;
	}
	if (*nr < room)
		items[*nr] = item;
	++*nr;
}

size_t reach_items(const struct reach_pair *pair, struct reach_item *items, size_t room)
{
	size_t nr = 0;

	for (size_t i = 0; i < pair->there->nr; i++) {
		const struct services_range *range = pair->there->range + i;
		int first = (int)(range->lo >> 16 & 0xff), last = (int)(range->hi >> 16 & 0xff);

		for (int protocol = first; protocol <= last; protocol++)
			add_item(pair, items, room, &nr, protocol, protocol == first ? (int)(range->lo & 0xffff) : 0,
				 protocol == last ? (int)(range->hi & 0xffff) : 65535);
	}
	return nr;
}

const char *reach_words(const struct reach_item *item, int family, char text[64])
{
	bool icmp = item->protocol == (family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	char name[16];

	if (item->protocol == 0 && item->protocol_to == 255)
		(void)snprintf(text, 64, "all");
	else if (item->protocol != item->protocol_to)
		(void)snprintf(text, 64, "protocols %d-%d", item->protocol, item->protocol_to);
	else if (item->from == 0 && item->to == 65535)
		(void)snprintf(text, 64, "%s", protocol_name(item->protocol, name));
	else if (icmp && item->from >> 8 == item->to >> 8 && (item->to & 255) == 255 && !(item->from & 255))
		(void)snprintf(text, 64, "%s type %d", protocol_name(item->protocol, name), item->from >> 8);
	else if (icmp)
		(void)snprintf(text, 64, "%s %d:%d-%d:%d", protocol_name(item->protocol, name), item->from >> 8,
			       item->from & 255, item->to >> 8, item->to & 255);
	else if (item->from == item->to)
		(void)snprintf(text, 64, "%s %d", protocol_name(item->protocol, name), item->from);
	else
		(void)snprintf(text, 64, "%s %d-%d", protocol_name(item->protocol, name), item->from, item->to);
	return text;
}
