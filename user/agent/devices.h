/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which device carries which port: brings the host's list of ports and the kernel's devices together.
 *
 *  I1  A port is found by its device's name; an interface index stands for one life of a device (E7).
 *  I2  Guard first, then the datapath's number for the device, then the hooks; away in the opposite order. So a
 * device's first packet is judged or dropped, never forwarded (E1). I3  A device that stops being a router-mode port
 * while it exists (renamed, or taken out of the state) is held: its hooks stay and, having no port, drop everything,
 * until it is gone, or `enid detach DEVICE` sets it free (E13).
 */
#ifndef ENID_DEVICES_H
#define ENID_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/hook.h"
#include "datapath/datapath.h"
#include "net/links.h"
#include "state/state.h"

/* Our hooks on one device. */
struct device_hooks {
	uint32_t ifindex;   /* 0 = no device */
	struct hook rx, tx; /* tc_rx, tc_tx */
	struct hook early;  /* xdp_rx in front of rx, where Hook says xdp */
	bool cleared;       /* what an earlier agent left, and nobody wants now, was looked for */
};

/* A port or uplink with a device, as the state wants it, and what is so. */
struct served {
	char id[ID_MAX]; /* ENI or gateway */
	char device[IFNAMSIZ];
	uint32_t port;
	enum hook_kind hook;
	bool guard, side_instance, uplink;
	uint32_t mtu;         /* as the state has it; 0 = not said */
	struct net_link link; /* as last seen; ifindex 0 = not present */
	struct device_hooks on;
	int how; /* enum deliver_how as the datapath was told; -1 = not yet */
	bool enforced;
	char problem[160]; /* "" = none */
};

/* A device that carries our hooks and no port. */
struct held {
	char name[IFNAMSIZ];
	bool guard; /* was a guard-mode port: the forwarding guard does not cover it */
	struct device_hooks on;
};

struct devices {
	struct datapath *datapath;
	struct attacher attacher;
	struct guard *guard;
	struct links *links;
	struct served *served; /* sorted by device name */
	size_t nr_served;
	struct held *held;
	size_t nr_held;
	char *guard_problem; /* NULL = none */
	uint64_t hooks_restored;
	uint64_t restored_at_ns; /* CLOCK_MONOTONIC */
	char restored[64];       /* which one it was last */
	const char *pin_dir;
	bool taking_over;    /* a take-over began and is not over: hooks may lead to other maps still */
	bool settled;        /* what an earlier agent left on devices that are no ports any more was looked for */
	bool uplink_changed; /* a MAC address that devices_fill() wrote into an image is another one now */
	bool dirty;          /* something that `enid status` shows has changed */
	uint32_t checks;
};

/* pin_dir is checked already. *ret_why: a sentence, to free(). */
int devices_open(struct datapath *datapath, const char *pin_dir, bool no_tcx, struct devices **ret, char **ret_why);
void devices_close(struct devices **devices); /* hooks and guard stay */

/* Can every device of this host be guarded? ret: 0 | -EINVAL, *ret_why */
int devices_acceptable(const struct host *host, char **ret_why);
/* Before a new state: cover its devices as well as today's. */
void devices_cover(struct devices *devices, const struct host *next);
/* Write what only the devices know into an image: the MAC addresses of uplinks, which answer neighbours with them. */
int devices_fill(struct devices *devices, struct image *image);
int devices_fill_once(struct image *image); /* for who serves none */
/* After it is applied (or, with the old host, was refused): serve its ports, attach to what is present. */
int devices_serve(struct devices *devices, const struct host *host);

/* When every device is served: bring our programs and maps into force where another build's, or a table of another
 * size, are (datapath_take_over, datapath_carried), and let those go once no hook leads there.
 * ret: 0 | -errno: the others are in force (datapath_in_force() tells), or some hooks lead to them; call it again */
int devices_take_over(struct devices *devices, char **ret_why);

void devices_news(struct devices *devices);   /* the links' descriptor is readable */
void devices_verify(struct devices *devices); /* a few times a second: hooks and guard are in place, or are put back */

#endif
