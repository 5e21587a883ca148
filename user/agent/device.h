/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files about devices share: devices.c (the list), device_hooks.c (one device), device_held.c, device_news.c
 * (what the kernel tells), device_verify.c (looking after). */
#ifndef ENID_DEVICE_H
#define ENID_DEVICE_H

#include "agent/devices.h"

#define HOW_UNTOLD (-1) /* the datapath does not know the device yet */

static inline struct device_hooks device_no_hooks(void)
{
	return (struct device_hooks){.rx = HOOK_NONE, .tx = HOOK_NONE, .early = HOOK_NONE};
}

struct served *devices_by_name(struct devices *devices, const char *name);
struct served *devices_by_index(struct devices *devices, uint32_t ifindex);
/* Look at every device; what is not there is gone. ret: 0 | -errno, logged */
int devices_look_around(struct devices *devices);

void device_take_off(struct devices *devices, struct device_hooks *on);
/* "" = the problem is gone. */
void device_say_problem(struct devices *devices, struct served *served, const char *text);
/* The hooks that the port wants, on the device it has. ret: 0 | -errno, said */
int device_put_hooks(struct devices *devices, struct served *served);
/* Tell the datapath which device carries the port, if that is news. */
int device_tell(struct devices *devices, struct served *served);
/* Look, once, for what an earlier agent left on devices that are no ports. */
void devices_settle(struct devices *devices);
/* Go on with what failed at the start. */
void devices_take_over_again(struct devices *devices);
/* The device of this port is here, or is gone. */
void device_serve(struct devices *devices, struct served *served, const struct net_link *link);
void device_lose(struct devices *devices, struct served *served);

/* Held: I3 of devices.h. Takes the hooks. */
void device_hold(struct devices *devices, const char *name, bool guard, struct device_hooks *on);
void device_forget_held(struct devices *devices, size_t i);
/* The hooks of a held device that is held no longer; none if it is not. */
struct device_hooks device_take_held(struct devices *devices, uint32_t ifindex);

#endif
