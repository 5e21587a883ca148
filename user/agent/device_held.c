/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Devices that are no ports any more, and drop everything. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/device.h"
#include "agent/log.h"

void device_hold(struct devices *devices, const char *name, bool guard, struct device_hooks *on)
{
	struct held *more;

	if (!on->ifindex)
		return;
	more = realloc(devices->held, (devices->nr_held + 1) * sizeof(*more));
	/* With no port behind it everything is dropped; even without memory to remember it, the hooks stay. */
	(void)datapath_clear_device(devices->datapath, on->ifindex);
	log_notice("device %s is no port any more: everything on it is dropped until it is gone or `enid detach %s`",
		   name, name);
	if (more) {
		devices->held = more;
		more = &more[devices->nr_held++];
		*more = (struct held){.guard = guard, .on = *on};
		snprintf(more->name, sizeof(more->name), "%s", name);
	}
	*on = device_no_hooks();
	devices->dirty = true;
}

void device_forget_held(struct devices *devices, size_t i)
{
	devices->held[i] = devices->held[--devices->nr_held];
	devices->dirty = true;
}

struct device_hooks device_take_held(struct devices *devices, uint32_t ifindex)
{
	for (size_t i = 0; i < devices->nr_held; i++)
		if (devices->held[i].on.ifindex == ifindex) {
			struct device_hooks on = devices->held[i].on;

			device_forget_held(devices, i);
			return on;
		}
	return device_no_hooks();
}
