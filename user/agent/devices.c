/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"
#include "net/guard.h"
#include "net/offload.h"

int devices_open(struct datapath *datapath, const char *pin_dir, bool no_tcx, struct devices **ret, char **ret_why)
{
	struct devices *devices = calloc(1, sizeof(*devices));
	const char *what = "memory";
	int r = -ENOMEM;

	if (!devices)
		return r;
	devices->datapath = datapath;
	devices->pin_dir = pin_dir;
	what = "programs";
	r = attacher_open(&devices->attacher, datapath, pin_dir, no_tcx);
	if (!r) {
		what = "nftables";
		r = guard_open(pin_dir, &devices->guard);
	}
	if (!r) {
		what = "netlink";
		r = links_open(&devices->links);
	}
	if (r) {
		if (asprintf(ret_why, "cannot get ready to attach: %s: %s", what, strerror(-r)) < 0)
			*ret_why = NULL;
		devices_close(&devices);
		return r;
	}
	*ret = devices;
	return 0;
}

void devices_close(struct devices **devices)
{
	struct devices *d = *devices;

	if (!d)
		return;
	for (size_t i = 0; i < d->nr_served; i++) {
		hook_close(&d->served[i].on.rx);
		hook_close(&d->served[i].on.tx);
		hook_close(&d->served[i].on.early);
	}
	for (size_t i = 0; i < d->nr_held; i++) {
		hook_close(&d->held[i].on.rx);
		hook_close(&d->held[i].on.tx);
		hook_close(&d->held[i].on.early);
	}
	free(d->served);
	free(d->held);
	free(d->guard_problem);
	links_close(&d->links);
	guard_close(&d->guard);
	free(d);
	*devices = NULL;
}

/* ---- the forwarding guard */

int devices_acceptable(const struct host *host, char **ret_why)
{
	for (size_t i = 0; i < host->nr_ports; i++) {
		const struct host_port *port = &host->ports[i];

		if (!*port->device || port->guard || guard_name_ok(port->device))
			continue;
		if (asprintf(ret_why, "%s: Hosts: %s: the forwarding guard cannot name the device '%s'", host->id,
			     port->eni->id, port->device) < 0)
			*ret_why = NULL;
		return -EINVAL;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct guard_port *)a)->device, ((const struct guard_port *)b)->device);
}

/* Today's devices and tomorrow's are the same but for a few. ret: how many there are, each once */
static size_t sort_names(struct guard_port *names, size_t nr)
{
	size_t kept = 0;

	if (nr)
		qsort(names, nr, sizeof(*names), compare_names);
	for (size_t i = 0; i < nr; i++)
		if (!kept || strcmp(names[kept - 1].device, names[i].device) != 0)
			names[kept++] = names[i];
	return kept;
}

void devices_cover(struct devices *devices, const struct host *next)
{
	size_t max = devices->nr_served + devices->nr_held + (next ? next->nr_ports : 0), nr = 0;
	struct guard_port *names = calloc(max + 1, sizeof(*names));
	char *why = NULL;
	int r = -ENOMEM;

	for (size_t i = 0; names && i < devices->nr_served; i++)
		if (!devices->served[i].guard && !devices->served[i].uplink)
			names[nr++] = (struct guard_port){devices->served[i].device, true};
	for (size_t i = 0; names && next && i < next->nr_ports; i++)
		if (!next->ports[i].guard && *next->ports[i].device)
			names[nr++] = (struct guard_port){next->ports[i].device, true};
	for (size_t i = 0; names && i < devices->nr_held; i++)
		if (!devices->held[i].guard && guard_name_ok(devices->held[i].name))
			names[nr++] = (struct guard_port){devices->held[i].name, true};
	nr = names ? sort_names(names, nr) : 0;
	if (names)
		r = guard_set(devices->guard, names, nr, &why);
	free(names);
	if (r && !devices->guard_problem)
		log_error("forwarding guard: %s", why ? why : strerror(-r));
	free(devices->guard_problem);
	devices->guard_problem = r ? (why ? why : strdup(strerror(-r))) : NULL;
}

/* ---- the list */

static int by_device(const void *a, const void *b)
{
	return strcmp(((const struct served *)a)->device, ((const struct served *)b)->device);
}

struct served *devices_by_name(struct devices *devices, const char *name)
{
	struct served key = {};

	snprintf(key.device, sizeof(key.device), "%s", name);
	return devices->nr_served ? bsearch(&key, devices->served, devices->nr_served, sizeof(key), by_device) : NULL;
}

struct served *devices_by_index(struct devices *devices, uint32_t ifindex)
{
	for (size_t i = 0; i < devices->nr_served; i++)
		if (devices->served[i].on.ifindex == ifindex)
			return &devices->served[i];
	return NULL;
}

/* ---- a new state */

static void describe(const struct datapath *datapath, const char *id, const char *device, struct served *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->device, sizeof(ret->device), "%s", device);
	ret->port = datapath_port_number(datapath, id);
	ret->how = HOW_UNTOLD;
	ret->on = device_no_hooks();
}

static size_t list_host(const struct datapath *datapath, const struct host *host, struct served *list)
{
	size_t nr = 0;

	for (size_t i = 0; i < host->nr_ports; i++) {
		const struct host_port *port = &host->ports[i];

		if (!*port->device)
			continue;
		describe(datapath, port->eni->id, port->device, &list[nr]);
		list[nr].hook = port->hook == HOOK_XDP ? HOOK_XDP : HOOK_TC;
		list[nr].guard = port->guard;
		list[nr].mtu = port->mtu;
		list[nr++].side_instance = port->side_instance;
	}
	for (size_t i = 0; i < host->nr_uplinks; i++) {
		describe(datapath, host->uplinks[i].gateway_id, host->uplinks[i].device, &list[nr]);
		list[nr].hook = HOOK_TC;
		list[nr].mtu = host->uplinks[i].mtu;
		list[nr++].uplink = true;
	}
	qsort(list, nr, sizeof(*list), by_device);
	return nr;
}

/* A device of the old list goes on under the new one, or is held, or set free. */
static void hand_over(struct devices *devices, struct served *old)
{
	struct served *heir = devices_by_name(devices, old->device);

	if (!old->on.ifindex)
		return;
	if (heir) {
		heir->on = old->on;
		heir->link = old->link;
		heir->enforced = old->enforced;
		if (heir->port == old->port)
			heir->how = old->how;
		else
			(void)datapath_clear_device(devices->datapath, old->on.ifindex);
		return;
	}
	if (!old->guard && !old->uplink) {
		device_hold(devices, old->device, false, &old->on);
		return;
	}
	log_info("port %s: device %s is left alone from now on", old->id, old->device);
	device_take_off(devices, &old->on);
}

static void fill_mac(const struct net_link *link, bool gone, void *data)
{
	struct image *image = data;

	for (size_t i = 0; !gone && i < image->nr_ports; i++)
		if (image->ports[i].kind == PORT_UPLINK && !strcmp(image->ports[i].device, link->name)) {
			memcpy(image->ports[i].mac, link->mac, sizeof(link->mac));
			image_altered(image);
		}
}

int devices_fill(struct devices *devices, struct image *image)
{
	return links_dump(devices->links, fill_mac, image);
}

int devices_fill_once(struct image *image)
{
	struct links *links = NULL;
	int r = links_open(&links);

	if (!r)
		r = links_dump(links, fill_mac, image);
	links_close(&links);
	return r;
}

/* What is on a device that is no port: which of our hooks. ret: 0 | -errno: it cannot be told */
static int look_for_left(const struct devices *devices, uint32_t ifindex, bool ret_found[HOOK_POINT_MAX])
{
	struct hook_seen seen;
	int r = 0;

	for (int point = 0; point < HOOK_POINT_MAX && !r; point++) {
		r = hook_look(devices->pin_dir, (enum hook_point)point, ifindex, &seen);
		ret_found[point] = seen.kind;
	}
	return r;
}

static int take_left(struct devices *devices, const struct net_link *link, const bool *found, struct device_hooks *on)
{
	struct attacher *attacher = &devices->attacher;
	int r;

	on->ifindex = link->ifindex;
	r = hook_attach(attacher, found[HOOK_RX_RAW] ? HOOK_RX_RAW : HOOK_RX_TC, link->ifindex, false, &on->rx);
	if (!r && found[HOOK_RX_XDP])
		r = hook_attach(attacher, HOOK_RX_XDP, link->ifindex, *link->kind, &on->early);
	if (!r && found[HOOK_TX_TC])
		r = hook_attach(attacher, HOOK_TX_TC, link->ifindex, false, &on->tx);
	return r;
}

static int hold_left(struct devices *devices, const struct net_link *link)
{
	struct device_hooks on = device_no_hooks();
	bool found[HOOK_POINT_MAX] = {};
	int r = look_for_left(devices, link->ifindex, found);

	if (r || !(found[HOOK_RX_TC] || found[HOOK_RX_RAW] || found[HOOK_RX_XDP]))
		return r;
	r = take_left(devices, link, found, &on);
	if (r) {
		hook_close(&on.rx); /* they stay, as they are or with our programs */
		hook_close(&on.tx);
		hook_close(&on.early);
		return r == -ENODEV ? 0 : r;
	}
	/* An uplink has no egress hook; it may be the host's own way out, so it is set free. */
	if (!found[HOOK_TX_TC] && !datapath_in_force(devices->datapath)) {
		hook_close(&on.rx);
		hook_close(&on.early);
		devices->settled =
			false; /* it is done after the switch: should that fail, the state before is in force */
		return 0;
	}
	if (!found[HOOK_TX_TC]) {
		log_info("device %s is left alone from now on", link->name);
		device_take_off(devices, &on);
		return 0;
	}
	device_hold(devices, link->name, false, &on);
	return 0;
}

static bool is_held(const struct devices *devices, uint32_t ifindex)
{
	for (size_t i = 0; i < devices->nr_held; i++)
		if (devices->held[i].on.ifindex == ifindex)
			return true;
	return false;
}

/* What an agent before us served and this state does not: as if it were taken out of the state now (I3). */
static void on_left(const struct net_link *link, bool gone, void *data)
{
	struct devices *devices = data;
	int r = 0;

	if (gone)
		return;
	if (!devices_by_name(devices, link->name) && !is_held(devices, link->ifindex))
		r = hold_left(devices, link);
	for (int point = 0; point < HOOK_POINT_MAX && r >= 0; point++)
		r = hook_detach_filter(&devices->attacher, (enum hook_point)point, link->ifindex);
	if (r < 0 && devices->settled)
		log_warning("device %s: it cannot be told what an earlier agent left there: %s", link->name,
			    strerror(-r));
	if (r < 0)
		devices->settled = false;
}

static void on_dead(uint32_t ifindex, void *data)
{
	struct devices *devices = data;

	if (!devices_by_index(devices, ifindex))
		(void)datapath_clear_device(devices->datapath, ifindex);
}

void devices_settle(struct devices *devices)
{
	size_t nr_held = devices->nr_held;

	if (devices->settled)
		return;
	devices->settled = true;
	hook_sweep(&devices->attacher, on_dead, devices);
	offload_sweep(devices->pin_dir);
	if (links_dump(devices->links, on_left, devices)) {
		log_warning("cannot look for hooks of an earlier agent");
		devices->settled = false;
	}
	if (devices->nr_held != nr_held)
		devices_cover(devices, NULL);
}

int devices_serve(struct devices *devices, const struct host *host)
{
	struct served *old = devices->served, *list;
	size_t nr_old = devices->nr_served;
	int r;

	list = calloc(host->nr_ports + host->nr_uplinks + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	devices->nr_served = list_host(devices->datapath, host, list);
	devices->served = list;
	for (size_t i = 0; i < nr_old; i++)
		hand_over(devices, &old[i]);
	free(old);
	devices_cover(devices, NULL);
	devices->dirty = true;
	r = devices_look_around(devices);
	devices_settle(devices);
	return r;
}
