/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Devices that come, go and are renamed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/log.h"

static void device_gone(struct devices *devices, uint32_t ifindex)
{
	struct served *served = devices_by_index(devices, ifindex);
	struct device_hooks on;

	if (served)
		device_lose(devices, served);
	on = device_take_held(devices, ifindex);
	if (on.ifindex) {
		device_take_off(devices, &on);
		devices_cover(devices, NULL);
	}
}

static void device_renamed(struct devices *devices, struct served *served, const char *name)
{
	log_notice("port %s: device %s is called %s now", served->id, served->device, name);
	device_hold(devices, name, served->guard, &served->on);
	device_lose(devices, served);
	devices_cover(devices, NULL);
}

/* A held device may be renamed once more. */
static void follow_held(struct devices *devices, const struct net_link *link)
{
	for (size_t i = 0; i < devices->nr_held; i++) {
		struct held *held = &devices->held[i];

		if (held->on.ifindex != link->ifindex || strcmp(held->name, link->name) == 0)
			continue;
		snprintf(held->name, sizeof(held->name), "%s", link->name);
		devices_cover(devices, NULL);
	}
}

static void on_link(const struct net_link *link, bool gone, void *data)
{
	struct devices *devices = data;
	struct served *served;

	if (gone) {
		device_gone(devices, link->ifindex);
		return;
	}
	served = devices_by_index(devices, link->ifindex);
	if (served && strcmp(served->device, link->name) != 0)
		device_renamed(devices, served, link->name);
	served = devices_by_name(devices, link->name);
	if (!served) {
		follow_held(devices, link);
		return;
	}
	if (served->on.ifindex && served->on.ifindex != link->ifindex)
		device_lose(devices, served);
	if (!served->on.ifindex)
		served->on = device_take_held(devices, link->ifindex);
	device_serve(devices, served, link);
}

struct roll_call {
	struct devices *devices;
	uint32_t *present;
	size_t nr, room;
	bool failed;
};

static void on_present(const struct net_link *link, bool gone, void *data)
{
	struct roll_call *call = data;

	if (call->nr == call->room) {
		size_t room = call->room ? 2 * call->room : 256;
		uint32_t *more = realloc(call->present, room * sizeof(*more));

		call->failed = call->failed || !more;
		if (!more)
			return;
		call->present = more;
		call->room = room;
	}
	call->present[call->nr++] = link->ifindex;
	on_link(link, gone, call->devices);
}

static bool absent(const struct roll_call *call, uint32_t ifindex)
{
	for (size_t i = 0; i < call->nr; i++)
		if (call->present[i] == ifindex)
			return false;
	return true;
}

/* Look at every device; what is not there is gone. */
int devices_look_around(struct devices *devices)
{
	struct roll_call call = {.devices = devices};
	int r = links_dump(devices->links, on_present, &call);

	if (!r && call.failed)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < devices->nr_served; i++)
		if (devices->served[i].on.ifindex && absent(&call, devices->served[i].on.ifindex))
			device_lose(devices, &devices->served[i]);
	for (size_t i = devices->nr_held; !r && i-- > 0;)
		if (absent(&call, devices->held[i].on.ifindex))
			device_gone(devices, devices->held[i].on.ifindex);
	free(call.present);
	if (r)
		log_error("cannot list the network devices: %s", strerror(-r));
	return r;
}

void devices_news(struct devices *devices)
{
	int r = links_read(devices->links, on_link, devices);

	if (r)
		(void)devices_look_around(devices);
}
