/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hooks of one device: put on, taken off, and told to the datapath. */
#include "agent/device.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "agent/log.h"
#include "net/offload.h"

void device_take_off(struct devices *devices, struct device_hooks *on)
{
	if (!on->ifindex)
		return;
	hook_detach(&devices->attacher, &on->early);
	hook_detach(&devices->attacher, &on->rx);
	hook_detach(&devices->attacher, &on->tx);
	offload_undo(devices->pin_dir, on->ifindex);
	(void)datapath_clear_device(devices->datapath, on->ifindex);
	*on = device_no_hooks();
}

void device_say_problem(struct devices *devices, struct served *served, const char *text)
{
	if (!strcmp(served->problem, text))
		return;
	snprintf(served->problem, sizeof(served->problem), "%s", text);
	if (*text)
		log_warning("port %s (%s): %s", served->id, served->device, text);
	devices->dirty = true;
}

/* The driver form of XDP on a veth or tap takes segmentation and checksum offload from the guest's end: bulk TCP falls
 * to a fifth. The generic form sees whole packets of the stack, and xdp_rx only drops. */
static bool in_software(const struct served *served)
{
	return *served->link.kind;
}

/* One hook as it should be; the old one of another kind goes after the new one is in place. */
static int put_hook(struct devices *devices, struct served *served, enum hook_point point, struct hook *hook)
{
	struct hook old = *hook, fresh;
	char text[160];
	int r;

	if (hook->ifindex && hook->point == point)
		return 0;
	r = hook_attach(&devices->attacher, point, served->on.ifindex, in_software(served), &fresh);
	if (r) {
		snprintf(text, sizeof(text), "cannot attach %s: %.120s", hook_program(point),
			 *devices->attacher.why ? devices->attacher.why : strerror(-r));
		/* -ENODEV: it is gone already; the news is on its way. */
		if (r != -ENODEV)
			device_say_problem(devices, served, text);
		return r;
	}
	*hook = fresh;
	hook_detach(&devices->attacher, &old);
	if (point == HOOK_RX_XDP && fresh.generic)
		log_warning("port %s (%s): XDP in the stack's generic form: each packet is looked at twice: that "
			    "costs more than Hook tc and gains nothing on this kind of device",
			    served->id, served->device);
	return 0;
}

static void take_one_off(struct devices *devices, struct hook *hook)
{
	hook_detach(&devices->attacher, hook);
	*hook = HOOK_NONE;
}

/* What an earlier agent put there and this state does not want. xdp_rx works with the flow table of its time and would
 * drop what that does not know (E8); tc_tx at what is an uplink now would judge what goes out as if it came in. */
static void clear_left(struct devices *devices, struct served *served)
{
	struct hook_seen seen = {};
	struct hook left;
	int xdp = 0, tx = 0;

	if (served->on.cleared)
		return;
	if (served->hook != HOOK_XDP)
		xdp = hook_detach_left(&devices->attacher, HOOK_RX_XDP, served->on.ifindex);
	if (xdp > 0)
		log_info("port %s: XDP of an earlier agent is taken off %s", served->id, served->device);
	if (served->uplink && !datapath_in_force(devices->datapath))
		return; /* where the state before has an ENI here, that needs it until the switch */
	if (served->uplink)
		tx = hook_look(devices->pin_dir, HOOK_TX_TC, served->on.ifindex, &seen);
	if (!tx && seen.kind)
		tx = hook_attach(&devices->attacher, HOOK_TX_TC, served->on.ifindex, false, &left);
	if (!tx && seen.kind) {
		take_one_off(devices, &left); /* a filter has no pin: it is taken over first */
		log_info("port %s: the egress hook of an earlier agent is taken off %s", served->id, served->device);
	}
	served->on.cleared = xdp >= 0 && !tx; /* else it is tried again */
}

int device_put_hooks(struct devices *devices, struct served *served)
{
	bool raw = served->uplink && served->link.type != ARPHRD_ETHER;
	int r = put_hook(devices, served, raw ? HOOK_RX_RAW : HOOK_RX_TC, &served->on.rx);

	if (!r && !served->uplink)
		r = put_hook(devices, served, HOOK_TX_TC, &served->on.tx);
	else if (served->uplink && served->on.tx.ifindex)
		take_one_off(devices, &served->on.tx);
	if (!r && served->hook == HOOK_XDP)
		r = put_hook(devices, served, HOOK_RX_XDP, &served->on.early);
	else if (served->on.early.ifindex)
		take_one_off(devices, &served->on.early);
	if (!r)
		clear_left(devices, served);
	if (served->enforced != !r)
		devices->dirty = true;
	served->enforced = !r;
	return r;
}

static enum deliver_how deliver_how(const struct served *served)
{
	const struct net_link *link = &served->link;

	if (!link->up || (served->uplink && !link->running))
		return DELIVER_NOT;
	if (served->uplink)
		return link->type == ARPHRD_ETHER ? DELIVER_NEIGH : DELIVER_REDIRECT;
	if (!strcmp(link->kind, "veth") && link->peer_elsewhere)
		return DELIVER_PEER;
	return DELIVER_REDIRECT;
}

/* What a port takes: the state may know of a smaller number than the device's, that of the guest's end. An uplink that
 * does not work takes nothing. */
static uint32_t port_mtu(const struct served *served, int how)
{
	if (served->uplink && how == DELIVER_NOT)
		return MTU_DOWN;
	return served->mtu && served->mtu < served->link.mtu ? served->mtu : served->link.mtu;
}

/* Tell the datapath which device carries the port, if that is news. An ENI that the datapath does not know has no
 * number: everything on its device is dropped. */
int device_tell(struct devices *devices, struct served *served)
{
	int how = deliver_how(served), r;

	if (served->link.ifindex)
		datapath_set_mtu(devices->datapath, served->port, port_mtu(served, how));
	if (how == served->how || !served->port)
		return 0;
	r = datapath_set_device(devices->datapath, served->port, served->link.ifindex, how);
	if (!r)
		served->how = how;
	else
		device_say_problem(devices, served, "the datapath does not take the device");
	return r;
}

/* A guest's plain segments are merged before they are judged. The XDP hook of a veth would have to copy what is merged.
 */
static void set_offload(const struct devices *devices, const struct served *served)
{
	int r;

	if (served->uplink || served->guard || served->hook != HOOK_TC || strcmp(served->link.kind, "veth") != 0)
		return;
	r = offload_set(devices->pin_dir, served->on.ifindex, served->device);
	if (r > 0)
		log_info("port %s: GRO is switched on at %s; detaching switches it off again", served->id,
			 served->device);
	else if (r < 0 && r != -ENODEV)
		log_warning("port %s: GRO cannot be switched on at %s: %s", served->id, served->device, strerror(-r));
}

/* The device of this port is here. */
void device_serve(struct devices *devices, struct served *served, const struct net_link *link)
{
	bool fresh = !served->enforced;
	int r;

	if (served->uplink && memcmp(served->link.mac, link->mac, sizeof(link->mac)) != 0)
		devices->uplink_changed = true;
	served->link = *link;
	if (served->uplink && !served->port)
		return; /* its gateway is unknown: leave the device alone */
	if (served->on.ifindex != link->ifindex)
		served->how = HOW_UNTOLD;
	served->on.ifindex = link->ifindex;
	r = device_tell(devices, served);
	/* Hooks in any case: without a port behind them they drop. */
	if (device_put_hooks(devices, served) || r)
		return;
	device_say_problem(devices, served, "");
	if (!fresh)
		return;
	set_offload(devices, served);
	log_info("port %s: enforced on %s (index %u, %s%s)", served->id, served->device, link->ifindex,
		 served->on.early.ifindex ? "XDP and " : "", served->on.rx.link_fd >= 0 ? "TCX" : "clsact");
	devices->dirty = true;
}

void device_lose(struct devices *devices, struct served *served)
{
	if (served->on.ifindex)
		log_info("port %s: device %s is gone", served->id, served->device);
	device_take_off(devices, &served->on);
	memset(&served->link, 0, sizeof(served->link));
	served->how = HOW_UNTOLD;
	served->enforced = false;
	served->problem[0] = 0;
	devices->dirty = true;
}
