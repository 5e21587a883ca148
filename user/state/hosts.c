/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hosts, our own list: which device of which host carries which ENI, and which gateway (DESIGN, sections 1 and 2). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/cidr.h"
#include "state/load.h"

static const uint8_t router_mac[6] = {0x02, 0x65, 0x6e, 0x69, 0x64, 0x01};
static const uint8_t no_mac[6];

static bool parse_port(struct load *load, struct item *item, const char *path, const json_t *json,
		       struct host_port *port)
{
	const char *id = get_text(load, json, "NetworkInterfaceId");

	port->eni = FIND(load, enis, id);
	port->device = get_text(load, json, "Device");
	port->side_instance = get_is(json, "Side", "instance");
	port->guard = get_is(json, "Mode", "guard") || port->side_instance;
	port->hook = get_is(json, "Hook", "xdp") ? HOOK_XDP : get_is(json, "Hook", "tc") ? HOOK_TC : HOOK_AUTO;
	port->mtu = (uint32_t)get_int(json, "Mtu", ENI_MTU);
	if (!port->eni)
		state_error(load, item, path, "NetworkInterfaceId %s is not in the state", id);
	else if (port->side_instance && get_is(json, "Mode", "router"))
		state_error(load, item, path, "Side instance does not go with Mode router");
	else if (!*port->device && !port->eni->routing)
		state_error(load, item, path, "Device is missing: %s is not a routing ENI", id);
	else if (*port->device && !memcmp(port->eni->mac, no_mac, 6))
		state_error(load, item, path, "%s has no MacAddress", id);
	else
		return true;
	return false;
}

static int compare_ports(const void *a, const void *b)
{
	return strcmp(((const struct host_port *)a)->eni->id, ((const struct host_port *)b)->eni->id);
}

static void parse_ports(struct load *load, struct item *item, struct host *host)
{
	const json_t *list = json_object_get(item->json, "Ports"), *json;
	size_t index;

	host->ports = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct host_port);
	json_array_foreach (list, index, json) {
		struct host_port port = {};
		char path[32];

		snprintf(path, sizeof(path), "Ports[%zu]", index);
		if (json_is_object(json) && parse_port(load, item, path, json, &port))
			host->ports[host->nr_ports++] = port;
	}
	if (host->nr_ports)
		qsort(host->ports, host->nr_ports, sizeof(*host->ports), compare_ports);
}

static int compare_uplinks(const void *a, const void *b)
{
	const struct host_uplink *x = a, *y = b;
	int order = strcmp(x->gateway_id, y->gateway_id);

	return order ? order : strcmp(x->device, y->device);
}

/* Other objects that an uplink may serve: VPN connections, attachments of a transit gateway, endpoints. */
static bool leads_somewhere(struct load *load, const char *id)
{
	return FIND_EXTRA(load, vpn_connections, id) || FIND_EXTRA(load, tgw_attachments, id) ||
	       FIND_EXTRA(load, endpoints, id);
}

static void parse_uplinks(struct load *load, struct item *item, struct host *host)
{
	const json_t *list = json_object_get(item->json, "Uplinks"), *json;
	size_t index;

	host->uplinks = ARENA_ARRAY(load->arena, json_array_size(list) + 1, struct host_uplink);
	json_array_foreach (list, index, json) {
		struct host_uplink *uplink = &host->uplinks[host->nr_uplinks];

		if (!json_is_object(json))
			continue;
		uplink->gateway_id = get_text(load, json, "GatewayId");
		uplink->gateway = FIND(load, gateways, uplink->gateway_id);
		uplink->device = get_text(load, json, "Device");
		uplink->mtu = (uint32_t)get_int(json, "Mtu", 0);
		uplink->answer_neighbours = get_flag(json, "AnswerNeighbours", true);
		parse_appliances(load, item, json, host->tunnel_address, uplink);
		if (!uplink->gateway && !leads_somewhere(load, uplink->gateway_id))
			state_warn(load, item, "Uplinks",
				   "GatewayId %s is no gateway of the state: the uplink carries nothing",
				   uplink->gateway_id);
		host->nr_uplinks++;
	}
	if (host->nr_uplinks)
		qsort(host->uplinks, host->nr_uplinks, sizeof(*host->uplinks), compare_uplinks);
	for (size_t i = 1; i < host->nr_uplinks; i++)
		if (!strcmp(host->uplinks[i].gateway_id, host->uplinks[i - 1].gateway_id))
			state_error(load, item, "Uplinks", "GatewayId %s has two devices, %s and %s",
				    host->uplinks[i].gateway_id, host->uplinks[i - 1].device, host->uplinks[i].device);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A device carries one port or one uplink. */
static void check_devices(struct load *load, struct item *item, const struct host *host)
{
	const char **devices = ARENA_ARRAY(load->arena, host->nr_ports + host->nr_uplinks + 1, const char *);
	size_t nr = 0;

	for (size_t i = 0; i < host->nr_ports; i++)
		if (*host->ports[i].device)
			devices[nr++] = host->ports[i].device;
	for (size_t i = 0; i < host->nr_uplinks; i++)
		devices[nr++] = host->uplinks[i].device;
	if (nr)
		qsort(devices, nr, sizeof(*devices), compare_text);
	for (size_t i = 1; i < nr; i++)
		if (!strcmp(devices[i], devices[i - 1]))
			state_error(load, item, "", "Device %s stands twice", devices[i]);
}

/* An ENI is plugged in once; a tunnel address is one host's. */
static void check_hosts(struct load *load)
{
	struct state *state = load->state;
	const char **owner = ARENA_ARRAY(load->arena, state->nr_enis + 1, const char *);

	for (size_t i = 0; i < state->nr_hosts; i++) {
		struct host *host = &state->hosts[i];
		struct item *item = &load->lists[LIST_HOSTS].item[i];

		for (size_t j = 0; j < host->nr_ports; j++) {
			const char **slot = &owner[host->ports[j].eni - state->enis];

			if (*slot)
				state_error(load, item, "Ports", "NetworkInterfaceId %s is a port of %s, too",
					    host->ports[j].eni->id, *slot);
			*slot = host->id;
		}
		for (size_t j = 0; host->tunnel_address && j < i; j++)
			if (state->hosts[j].tunnel_address == host->tunnel_address)
				state_error(load, item, "", "TunnelAddress is that of %s, too", state->hosts[j].id);
	}
}

void load_hosts(struct load *load)
{
	struct items *items = &load->lists[LIST_HOSTS];
	struct state *state = load->state;

	state->hosts = ARENA_ARRAY(load->arena, items->nr + 1, struct host);
	state->nr_hosts = items->nr;
	for (size_t i = 0; i < items->nr; i++) {
		struct item *item = &items->item[i];
		struct host *host = &state->hosts[i];
		const char *mac = get_text(load, item->json, "RouterMacAddress");

		host->id = item->id;
		host->tunnel_address = get_ip4(item->json, "TunnelAddress");
		memcpy(host->router_mac, router_mac, sizeof(router_mac));
		if (*mac)
			(void)mac_parse(mac, host->router_mac); /* cannot fail: checked by shape.c */
		parse_ports(load, item, host);
		parse_uplinks(load, item, host);
		check_devices(load, item, host);
	}
	check_hosts(load);
}

const struct host *state_host(const struct state *state, const char *name)
{
	char own[HOST_NAME_MAX + 1] = "";
	const struct host *host;

	if (name)
		return state_find(state->hosts, state->nr_hosts, sizeof(*state->hosts), name);
	if (!gethostname(own, sizeof(own) - 1)) {
		host = state_find(state->hosts, state->nr_hosts, sizeof(*state->hosts), own);
		if (host)
			return host;
	}
	return state->nr_hosts == 1 ? state->hosts : NULL;
}

char *state_host_missing(const struct state *state, const char *name)
{
	char own[HOST_NAME_MAX + 1] = "", *text = NULL;
	int r;

	(void)gethostname(own, sizeof(own) - 1);
	if (!state->nr_hosts)
		r = asprintf(&text, "Hosts: the state has none: it must say which device carries which ENI");
	else if (name)
		r = asprintf(&text, "Hosts: no host is called '%s' (--host)", name);
	else
		r = asprintf(&text, "Hosts: none of the %zu is called '%s' like this machine: choose one by --host",
			     state->nr_hosts, own);
	return r < 0 ? NULL : text;
}
