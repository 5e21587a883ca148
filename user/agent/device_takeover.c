/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From another build's programs and maps to ours, or from a table of another size: what was before is let go only when
 * the kernel says that no hook leads there any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/log.h"
#include "attach/audit.h"

/* ret: 0 | -errno of the first; all of them are tried */
static int renew(const struct devices *devices, const struct device_hooks *on)
{
	int rx = hook_renew(&devices->attacher, &on->rx), tx = hook_renew(&devices->attacher, &on->tx);
	int early = hook_renew(&devices->attacher, &on->early);

	return rx ? rx : tx ? tx : early;
}

static int renew_all(const struct devices *devices)
{
	int first = 0, r;

	for (size_t i = 0; i < devices->nr_served; i++) {
		r = renew(devices, &devices->served[i].on);
		first = first ? first : r;
	}
	for (size_t i = 0; i < devices->nr_held; i++) {
		r = renew(devices, &devices->held[i].on);
		first = first ? first : r;
	}
	return first;
}

/* What the state before needed until now. */
static void clear_all(struct devices *devices)
{
	for (size_t i = 0; i < devices->nr_served; i++)
		if (devices->served[i].on.ifindex)
			(void)device_put_hooks(devices, &devices->served[i]);
}

/* Ours are in force: bring every hook to them. */
static int bring_hooks(struct devices *devices, char **ret_why)
{
	char which[160] = "programs";
	int r = attacher_programs(&devices->attacher);

	if (!r)
		r = renew_all(devices);
	if (!r) {
		clear_all(devices);
		devices_settle(devices);
		r = devices->settled ? 0 : -EAGAIN;
	}
	if (!r)
		r = audit_hooks(&devices->attacher, which);
	else
		snprintf(which, sizeof(which), "%s", strerror(-r));
	if (r && asprintf(ret_why, "not every hook leads to this build's maps yet: %s", which) < 0)
		*ret_why = NULL;
	return r;
}

static void say_over(const struct devices *devices)
{
	log_notice("took over from another build's programs and maps");
	if (datapath_left_flows(devices->datapath))
		log_warning("that build's maps have another meaning: its flows and counters were not carried over");
	if (datapath_lost_counts(devices->datapath))
		log_warning("what that build's programs counted during the switch could not be read and is lost");
}

int devices_take_over(struct devices *devices, char **ret_why)
{
	bool other = datapath_takes_over(devices->datapath);
	int r = 0;

	if (!other && !datapath_carries(devices->datapath))
		return 0;
	devices->taking_over = true;
	if (other)
		r = datapath_take_over(devices->datapath, ret_why);
	if (!r)
		r = bring_hooks(devices, ret_why);
	if (r)
		return r;
	datapath_carried(devices->datapath);
	if (other) {
		say_over(devices);
		datapath_leave_old(devices->datapath);
	}
	devices->taking_over = false;
	devices->dirty = true;
	return 0;
}

void devices_take_over_again(struct devices *devices)
{
	char *why = NULL;

	if (!devices->settled) {
		devices_settle(devices);
		devices->dirty |= devices->settled;
	}
	if (devices->taking_over)
		(void)devices_take_over(devices, &why);
	free(why); /* status has it all the time */
}
