/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gateway Load Balancer endpoints (EP-07..EP-09): served where the host has an uplink to their appliances. */
#include <arpa/inet.h>
#include <string.h>

#include "compile/hash.h"
#include "compile/work.h"

const struct vpc_subnet *gwlbe_subnet(const struct vpc_endpoint *endpoint)
{
	const struct vpc_subnet *subnet = endpoint->nr_subnets ? endpoint->subnets[0] : NULL;

	return subnet && subnet->vpc == endpoint->vpc ? subnet : NULL;
}

int gwlbe_collect(struct image_work *work)
{
	const struct state_extra *extra = work_extra(work);
	int r = 0;

	for (size_t i = 0; i < extra->nr_endpoints && !r; i++) {
		const struct vpc_endpoint *endpoint = extra->endpoints + i;

		if (endpoint->kind == ENDPOINT_GWLB && endpoint->available && endpoint->vpc && gwlbe_subnet(endpoint) &&
		    has_uplink(work, endpoint->id))
			r = hop_add(work, endpoint->id, GATEWAY_GWLBE, endpoint);
	}
	return r;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number in "vpce-0123456789abcdef0": AWS's ids are 0 and 64 bits. Ids of other makes are hashed. */
static uint64_t id_number(const char *id)
{
	struct hasher hasher = HASHER_INIT;
	const char *dash = strchr(id, '-'), *at = dash ? dash + 1 : "";
	struct content_hash hash;
	uint64_t number = 0;

	if (strlen(at) == 17 && *at == '0') {
		while (*at && hex_digit(*at) >= 0)
			number = number << 4 | (uint64_t)hex_digit(*at++);
		if (!*at)
			return number;
	}
	hasher_add_text(&hasher, id);
	hash = hasher_result(&hasher);
	return (uint64_t)hash.w[0] << 32 | hash.w[1];
}

static void put_number(uint32_t *words, uint64_t number)
{
	words[0] = htonl((uint32_t)(number >> 32));
	words[1] = htonl((uint32_t)number);
}

static const struct host_uplink *uplink_of(const struct image_work *work, const char *id)
{
	for (size_t i = 0; i < work->host->nr_uplinks; i++)
		if (!strcmp(work->host->uplinks[i].gateway_id, id))
			return work->host->uplinks + i;
	return NULL;
}

int fill_gwlbe(struct image_work *work, const struct vpc_endpoint *endpoint, struct image_gateway *gateway)
{
	const struct host_uplink *uplink = uplink_of(work, endpoint->id);
	uint32_t *words = gateway->members;

	gateway->zone[0] = vpc_zone(endpoint->vpc);
	gateway->realm = realm_of_vpc(work, endpoint->vpc);
	for (size_t i = 0; uplink && i < uplink->nr_targets && i < GWLB_TARGETS_MAX; i++) {
		words[i] = uplink->targets[i].address;
		gateway->nr += uplink->targets[i].fresh;
		words[GWLB_KNOWN]++;
	}
	if (!uplink)
		return 0;
	words[GWLB_SOURCE] = uplink->address;
	words[GWLB_TCP_IDLE] = uplink->tcp_idle_s;
	words[GWLB_STICKY] = uplink->sticky;
	put_number(words + GWLB_ENDPOINT, id_number(endpoint->id));
	put_number(words + GWLB_ATTACHMENT, id_number(endpoint->nr_enis ? endpoint->enis[0]->id : endpoint->id));
	return 0;
}
