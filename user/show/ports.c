/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid show enis, ports: who is where. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "show/show.h"

static const char *const kinds[] = {
	[PORT_NONE] = "none",     [PORT_ENI] = "eni", [PORT_REMOTE] = "remote",   [PORT_UPLINK] = "uplink",
	[PORT_TUNNEL] = "tunnel", [PORT_NAT] = "nat", [PORT_GATEWAY] = "gateway",
};
static const char *const deliveries[] = {
	[DELIVER_NOT] = "none",
	[DELIVER_REDIRECT] = "redirect",
	[DELIVER_PEER] = "redirect-peer",
	[DELIVER_NEIGH] = "redirect-neigh",
};

static json_t *mac_text(const uint8_t mac[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* By the state, if it is known: the agent's devices may be in another network namespace than ours. */
static json_t *device_name(const struct view *view, uint32_t port)
{
	const struct image_port *image = view_image_port(view, datapath_port_id(view->datapath, port));
	uint32_t ifindex = view->ports[port].ifindex;
	char name[IF_NAMESIZE];

	if (!ifindex)
		return json_null();
	if (image && *image->device)
		return json_string(image->device);
	return if_indextoname(ifindex, name) ? json_string(name) : json_sprintf("if%u", ifindex);
}

static json_t *subnet_name(const struct view *view, uint32_t subnet)
{
	struct port_name name;

	if (!subnet)
		return json_null();
	if (bpf_map_lookup_elem(datapath_map_fd(view->datapath, "subnet_names"), &subnet, &name) || !*name.id)
		return json_sprintf("subnet %u", subnet);
	return json_stringn(name.id, strnlen(name.id, sizeof(name.id)));
}

/* The addresses of every port, from the map `addresses`: an array of arrays by port number. */
static int collect_addresses(const struct view *view, json_t **ret)
{
	static const char *const no_key = NULL;
	int fd = datapath_map_fd(view->datapath, "addresses");
	json_t *by_port = json_array();
	struct address_key key, *before = NULL;
	struct address value;

	for (uint32_t port = 0; port < view->nr_ports; port++)
		json_array_append_new(by_port, json_array());
	while (!bpf_map_get_next_key(fd, before, &key)) {
		bool four = key.prefixlen <= 32 && !key.addr.zero[0] && !key.addr.zero[1] && !key.addr.zero[2];
		bool whole = key.prefixlen == 32 || key.prefixlen == 128;
		uint32_t port;

		before = &key;
		if (bpf_map_lookup_elem(fd, &key, &value))
			continue;
		port = value.port[view->slot];
		if (port && port < view->nr_ports)
			json_array_append_new(json_array_get(by_port, port),
					      whole ? view_address(four ? 4 : 6, &key.addr)
						    : view_prefix(four ? 4 : 6, &key.addr, key.prefixlen));
	}
	if (!by_port)
		return -ENOMEM;
	for (uint32_t port = 0; port < view->nr_ports; port++)
		output_sort(json_array_get(by_port, port), &no_key);
	*ret = by_port;
	return 0;
}

static json_t *group_names(const struct view *view, uint32_t port)
{
	const struct image_port *image = view_image_port(view, datapath_port_id(view->datapath, port));
	json_t *groups = json_array();

	if (view_port(view, port)->flags & PORT_NO_SG)
		return groups;
	for (size_t i = 0; image && image->eni && i < image->eni->nr_groups; i++)
		json_array_append_new(groups, json_string(image->eni->groups[i]->id));
	if (!image)
		json_array_append_new(groups, json_sprintf("identity %u", view_port(view, port)->identity));
	return groups;
}

static json_t *eni_row(const struct view *view, uint32_t port, json_t *addresses)
{
	const struct port_policy *policy = view_port(view, port);

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:O, s:o, s:b, s:b, s:s, s:o, s:I, s:I}", "eni", view_port_name(view, port),
		"vpc", view_zone_name(view, policy->zone), "subnet", subnet_name(view, policy->subnet), "mac",
		mac_text(policy->mac), "addresses", addresses, "groups", group_names(view, port), "live",
		!!(policy->flags & PORT_LIVE), "check", !!(policy->flags & PORT_CHECK), "where",
		policy->kind == PORT_REMOTE ? "elsewhere" : "here", "device", device_name(view, port), "flows",
		(json_int_t)datapath_port_stats(view->datapath)[port].flows, "epoch", (json_int_t)policy->epoch);
}

int show_enis(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"eni",    "vpc",  "subnet", "addresses", "groups", "where",
					      "device", "live", "check",  "flows",     NULL};
	json_t *addresses = NULL;
	int r = collect_addresses(view, &addresses);

	if (r)
		return r;
	output_begin(output, json, columns);
	for (uint32_t port = 1; port < view->nr_ports; port++) {
		uint8_t kind = view_port(view, port)->kind;

		if (kind == PORT_ENI || kind == PORT_REMOTE || kind == PORT_NAT)
			output_row(output, eni_row(view, port, json_array_get(addresses, port)), NULL);
	}
	json_decref(addresses);
	return output_end(output);
}

static json_t *port_row(const struct view *view, uint32_t port)
{
	const struct port_policy *policy = view_port(view, port);
	const struct port_stats *stats = &datapath_port_stats(view->datapath)[port];
	uint32_t deliver = view->ports[port].deliver;

	return json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:I, s:s, s:I, s:I, s:I, s:I}", "number", (json_int_t)port,
			 "id", view_port_name(view, port), "kind",
			 policy->kind <= PORT_GATEWAY ? kinds[policy->kind] : "unknown", "mode",
			 policy->mode == MODE_GUARD ? "guard" : "router", "side",
			 policy->flags & PORT_SIDE_INSTANCE ? "instance" : "host", "device", device_name(view, port),
			 "ifindex", (json_int_t)view->ports[port].ifindex, "deliver",
			 deliver <= DELIVER_NEIGH ? deliveries[deliver] : "unknown", "flows", (json_int_t)stats->flows,
			 "half_open", (json_int_t)stats->half_open, "skipped_accepts",
			 (json_int_t)stats->skipped_accepts, "skipped_rejects", (json_int_t)stats->skipped_rejects);
}

int show_ports(const struct view *view, struct output *output, bool json)
{
	static const char *const columns[] = {"number",  "id",      "kind",  "mode",      "side", "device",
					      "ifindex", "deliver", "flows", "half_open", NULL};

	output_begin(output, json, columns);
	for (uint32_t port = 1; port < view->nr_ports; port++) {
		uint8_t kind = view_port(view, port)->kind;

		if (kind != PORT_NONE && kind != PORT_REMOTE)
			output_row(output, port_row(view, port), NULL);
	}
	return output_end(output);
}
