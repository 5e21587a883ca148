/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looking after what is in place: hooks, pins, the forwarding guard. What somebody removed is put back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/device.h"
#include "agent/log.h"
#include "net/guard.h"

#define PIN_CHECK_EVERY 8  /* verifications */
#define LOOK_EVERY      25 /* verifications: the kernel does not tell when a veth's other end moves */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void note_restored(struct devices *devices, const char *device, const char *what)
{
	devices->hooks_restored++;
	devices->restored_at_ns = now_ns();
	snprintf(devices->restored, sizeof(devices->restored), "%s of %s", what, device);
	log_warning("somebody removed %s of %s: it is back in place", what, device);
	devices->dirty = true;
}

/* Another program stands in our hook: somebody put it there, or, while we take over, it is one of ours that could not
 * be renewed before. What cannot be told is not said. */
static int renew_hook(struct devices *devices, const char *device, const struct hook *hook)
{
	bool foreign = !devices->taking_over || !hook_holds_ours(&devices->attacher, hook);
	int r = hook_renew(&devices->attacher, hook);

	if (!r && foreign) {
		log_warning("somebody changed the program of %s on %s", hook_program(hook->point), device);
		note_restored(devices, device, hook_program(hook->point));
	}
	return r;
}

/* ret: 0 | -ENOENT = gone and not to be had again now | -EEXIST as hook_check */
static int keep_hook(struct devices *devices, const char *device, struct hook *hook)
{
	enum hook_point point = hook->point;
	uint32_t ifindex = hook->ifindex;
	bool generic = hook->generic;
	int r;

	if (!ifindex)
		return 0;
	r = hook_check(&devices->attacher, hook);
	if (r == -ESTALE)
		return renew_hook(devices, device, hook);
	if (r != -ENOENT)
		return r == -ENODEV ? 0 : r;
	hook_detach(&devices->attacher, hook);
	r = hook_attach(&devices->attacher, point, ifindex, generic, hook);
	if (r) {
		*hook = HOOK_NONE;
		return -ENOENT;
	}
	note_restored(devices, device, hook_program(point));
	return 0;
}

static void repin(struct devices *devices, const char *device, const struct hook *hook)
{
	if (!hook->ifindex || hook_pinned(&devices->attacher, hook))
		return;
	int r = hook_pin(&devices->attacher, hook);

	log_warning("the pin of %s on %s was gone%s%s", hook_program(hook->point), device,
		    r ? " and cannot be made: " : "", r ? strerror(-r) : "");
}

static void verify_served(struct devices *devices, struct served *served)
{
	int rx, tx, early;

	if (!served->on.ifindex || (served->uplink && !served->port))
		return;
	rx = keep_hook(devices, served->device, &served->on.rx);
	tx = keep_hook(devices, served->device, &served->on.tx);
	early = keep_hook(devices, served->device, &served->on.early);
	if (devices->checks % PIN_CHECK_EVERY == 0) {
		repin(devices, served->device, &served->on.rx);
		repin(devices, served->device, &served->on.tx);
		repin(devices, served->device, &served->on.early);
	}
	if (device_tell(devices, served) || device_put_hooks(devices, served))
		return;
	device_say_problem(devices, served,
			   rx == -EEXIST || tx == -EEXIST || early == -EEXIST
				   ? "another program runs before enid's on this device"
				   : "");
}

/* ret: true = still held */
static bool verify_held(struct devices *devices, struct held *held)
{
	bool freed = held->on.rx.ifindex && hook_check(&devices->attacher, &held->on.rx) == -ENOENT &&
		     (held->on.rx.link_fd < 0 || !hook_pinned(&devices->attacher, &held->on.rx));

	if (freed) {
		log_notice("device %s is free: enid was detached from it", held->name);
		device_take_off(devices, &held->on);
		return false;
	}
	(void)keep_hook(devices, held->name, &held->on.rx);
	(void)keep_hook(devices, held->name, &held->on.tx);
	(void)keep_hook(devices, held->name, &held->on.early);
	return true;
}

void devices_verify(struct devices *devices)
{
	size_t nr_held = devices->nr_held;

	devices->checks++;
	devices_take_over_again(devices);
	for (size_t i = 0; i < devices->nr_served; i++)
		verify_served(devices, &devices->served[i]);
	for (size_t i = devices->nr_held; i-- > 0;)
		if (!verify_held(devices, &devices->held[i]))
			device_forget_held(devices, i);
	if (nr_held != devices->nr_held)
		devices_cover(devices, NULL);
	if (devices->checks % LOOK_EVERY == 0)
		(void)devices_look_around(devices);
	if (devices->guard_problem && devices->checks % PIN_CHECK_EVERY == 0)
		devices_cover(devices, NULL);
	else if (guard_check(devices->guard) == 1)
		note_restored(devices, "the host", "the forwarding guard");
}
