/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hook: one of our programs on one device. Nothing else in the tree attaches programs.
 *
 * Where the kernel has TCX (6.6), a TC hook is a pinned bpf_link, put in front of whatever else is there; elsewhere it
 * is a clsact filter with preference 1 and handle 1. An XDP hook is a pinned bpf_link everywhere.
 *
 *  I1  A hook outlives the agent: links by their pin, filters by themselves.
 *  I2  An interface index is a name for one life of one device only. The pin is called <ifindex>_<program>; whoever
 *      opens it compares the link's own ifindex, which is 0 when the device is gone (E7).
 *  I3  At most one hook of ours per device and point: attaching adopts what is there, and puts the new program into it
 *      in one step (E3, E8).
 */
#ifndef ENID_HOOK_H
#define ENID_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath.h"

enum hook_point {
	HOOK_RX_TC,  /* program tc_rx */
	HOOK_TX_TC,  /* program tc_tx */
	HOOK_RX_XDP, /* program xdp_rx */
	HOOK_RX_RAW, /* program tc_rx_raw, instead of tc_rx where frames have no Ethernet header */
	HOOK_POINT_MAX
};

struct attacher {
	char pin_dir[240];
	char folder[256]; /* of the pinned links */
	struct datapath *datapath;
	int prog_fd[HOOK_POINT_MAX]; /* borrowed from the datapath; 0 = not needed yet */
	uint32_t prog_id[HOOK_POINT_MAX];
	bool tcx;        /* hooks are links */
	bool kernel_tcx; /* the kernel has them: others may use them */
	char why[160];   /* of the last hook_attach() that failed for want of a program; "" = for another reason */
};

struct hook {
	enum hook_point point;
	uint32_t ifindex; /* 0 = not attached */
	int link_fd;      /* -1 = a clsact filter */
	uint32_t link_id;
	bool generic; /* XDP in the stack instead of the driver */
};

#define HOOK_NONE ((struct hook){.link_fd = -1})

/* no_tcx: use filters even where links could be had. ret: 0 | -errno; also where it cannot be told what the kernel has
 */
int attacher_open(struct attacher *attacher, struct datapath *datapath, const char *pin_dir, bool no_tcx);

/* Take the programs to attach from the datapath again: they have changed. */
int attacher_programs(struct attacher *attacher);

/* Have the program of this hook in prog_fd: programs that few devices need are loaded when one comes. */
int attacher_need(struct attacher *attacher, enum hook_point point);

const char *hook_program(enum hook_point point);

/* generic: XDP goes into the stack instead of the driver; else only where the driver has none.
 * ret: 0, *ret_hook owns the link's descriptor | -ENODEV | -EBUSY: another program has the XDP hook | -errno */
int hook_attach(struct attacher *attacher, enum hook_point point, uint32_t ifindex, bool generic,
		struct hook *ret_hook);

/* Put the attacher's program of today into it, in one step. ret: 0 | -errno */
int hook_renew(const struct attacher *attacher, const struct hook *hook);

/* Is it where it was put? Only a look, nothing is changed.
 * ret: 0 | -ENOENT: removed | -EEXIST: in place, but another program runs before it | -ESTALE: in place, with another
 * program in it than the attacher's | -errno: it cannot be told */
int hook_check(const struct attacher *attacher, const struct hook *hook);

/* hook_check() said -ESTALE: is what stands there a program of ours, of whichever build? ret: 1 | 0 | -errno */
int hook_holds_ours(const struct attacher *attacher, const struct hook *hook);

/* Is the pin there? False as well once `enid detach DEVICE` took it away. Filters have none: true. */
bool hook_pinned(const struct attacher *attacher, const struct hook *hook);
/* Pin again what lost its pin. */
int hook_pin(const struct attacher *attacher, const struct hook *hook);

/* By the kernel's word, for who attached nothing itself: which of our hooks are on this device? */
struct hook_seen {
	const char *kind; /* "tcx", "tc" (a filter), "xdp"; NULL = none at this point */
	uint32_t prog_id;
};
/* ret: 0 | -errno: it cannot be told */
int hook_look(const char *pin_dir, enum hook_point point, uint32_t ifindex, struct hook_seen *ret);

/* Remove the pins of links whose device is gone, and tell of each index. */
typedef void (*hook_dead_fn)(uint32_t ifindex, void *data);
void hook_sweep(const struct attacher *attacher, hook_dead_fn fn, void *data);

/* Take the program off and remove the pin. Fine if the device or the link is gone already. */
void hook_detach(const struct attacher *attacher, struct hook *hook);
/* The same by the pin alone, of a link that an earlier agent left. ret: 1 | 0 = there was none | -errno */
int hook_detach_left(const struct attacher *attacher, enum hook_point point, uint32_t ifindex);
/* Remove the filter that an agent without TCX left behind our link. ret: as above */
int hook_detach_filter(const struct attacher *attacher, enum hook_point point, uint32_t ifindex);
/* Let go of the descriptor; the program stays. */
void hook_close(struct hook *hook);

#endif
