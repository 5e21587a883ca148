/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/devices.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/log.h"
#include "net/guard.h"

#define PIN_CHECK_EVERY 8    /* verifications */
#define LOOK_EVERY      25   /* verifications: the kernel does not tell when a veth's other end moves */
#define HOW_UNTOLD      (-1) /* the datapath does not know the device yet */

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

static struct device_hooks no_hooks(void)
{
	return (struct device_hooks){.rx = HOOK_NONE, .tx = HOOK_NONE, .early = HOOK_NONE};
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

static size_t add_name(struct guard_port *names, size_t nr, const char *device, bool marks)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(names[i].device, device))
			return nr;
	names[nr] = (struct guard_port){device, marks};
	return nr + 1;
}

void devices_cover(struct devices *devices, const struct host *next)
{
	size_t max = devices->nr_served + devices->nr_held + (next ? next->nr_ports : 0), nr = 0;
	struct guard_port *names = calloc(max + 1, sizeof(*names));
	char *why = NULL;
	int r = -ENOMEM;

	for (size_t i = 0; names && i < devices->nr_served; i++)
		if (!devices->served[i].guard && !devices->served[i].uplink)
			nr = add_name(names, nr, devices->served[i].device, true);
	for (size_t i = 0; names && next && i < next->nr_ports; i++)
		if (!next->ports[i].guard && *next->ports[i].device)
			nr = add_name(names, nr, next->ports[i].device, true);
	for (size_t i = 0; names && i < devices->nr_held; i++)
		if (!devices->held[i].guard && guard_name_ok(devices->held[i].name))
			nr = add_name(names, nr, devices->held[i].name, true);
	if (names)
		r = guard_set(devices->guard, names, nr, &why);
	free(names);
	if (r && !devices->guard_problem)
		log_error("forwarding guard: %s", why ? why : strerror(-r));
	free(devices->guard_problem);
	devices->guard_problem = r ? (why ? why : strdup(strerror(-r))) : NULL;
}

/* ---- hooks of one device */

static void take_off(struct devices *devices, struct device_hooks *on)
{
	if (!on->ifindex)
		return;
	hook_detach(&devices->attacher, &on->early);
	hook_detach(&devices->attacher, &on->rx);
	hook_detach(&devices->attacher, &on->tx);
	(void)datapath_clear_device(devices->datapath, on->ifindex);
	*on = no_hooks();
}

static void say_problem(struct devices *devices, struct served *served, const char *text)
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
		snprintf(text, sizeof(text), "cannot attach %s: %s", hook_program(point), strerror(-r));
		/* -ENODEV: it is gone already; the news is on its way. */
		if (r != -ENODEV)
			say_problem(devices, served, text);
		return r;
	}
	*hook = fresh;
	hook_detach(&devices->attacher, &old);
	if (point == HOOK_RX_XDP && fresh.generic)
		log_warning("port %s (%s): XDP in the stack's generic form: each packet is looked at twice, which "
			    "costs more "
			    "than Hook tc and gains nothing on this kind of device",
			    served->id, served->device);
	return 0;
}

static void take_early_off(struct devices *devices, struct served *served)
{
	hook_detach(&devices->attacher, &served->on.early);
	served->on.early = HOOK_NONE;
}

static int put_hooks(struct devices *devices, struct served *served)
{
	int r = put_hook(devices, served, HOOK_RX_TC, &served->on.rx);

	if (!r && !served->uplink)
		r = put_hook(devices, served, HOOK_TX_TC, &served->on.tx);
	if (!r && served->hook == HOOK_XDP)
		r = put_hook(devices, served, HOOK_RX_XDP, &served->on.early);
	else if (served->on.early.ifindex)
		take_early_off(devices, served);
	if (served->enforced != !r)
		devices->dirty = true;
	served->enforced = !r;
	return r;
}

static enum deliver_how deliver_how(const struct served *served)
{
	const struct net_link *link = &served->link;

	if (!link->up)
		return DELIVER_NOT;
	if (served->uplink)
		return link->type == ARPHRD_ETHER ? DELIVER_NEIGH : DELIVER_REDIRECT;
	if (!strcmp(link->kind, "veth") && link->peer_elsewhere)
		return DELIVER_PEER;
	return DELIVER_REDIRECT;
}

/* Tell the datapath which device carries the port, if that is news. An ENI that the datapath does not know has no
 * number: everything on its device is dropped. */
static int set_device(struct devices *devices, struct served *served)
{
	int how = deliver_how(served), r;

	if (how == served->how || !served->port)
		return 0;
	r = datapath_set_device(devices->datapath, served->port, served->link.ifindex, how);
	if (!r)
		served->how = how;
	else
		say_problem(devices, served, "the datapath does not take the device");
	return r;
}

/* The device of this port is here. */
static void serve(struct devices *devices, struct served *served, const struct net_link *link)
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
	r = set_device(devices, served);
	/* Hooks in any case: without a port behind them they drop. */
	if (put_hooks(devices, served) || r)
		return;
	say_problem(devices, served, "");
	if (!fresh)
		return;
	log_info("port %s: enforced on %s (index %u, %s%s)", served->id, served->device, link->ifindex,
		 served->on.early.ifindex ? "XDP and " : "", served->on.rx.link_fd >= 0 ? "TCX" : "clsact");
	devices->dirty = true;
}

static void lose(struct devices *devices, struct served *served)
{
	if (served->on.ifindex)
		log_info("port %s: device %s is gone", served->id, served->device);
	take_off(devices, &served->on);
	memset(&served->link, 0, sizeof(served->link));
	served->how = HOW_UNTOLD;
	served->enforced = false;
	served->problem[0] = 0;
	devices->dirty = true;
}

/* ---- held devices */

static void hold(struct devices *devices, const char *name, bool guard, struct device_hooks *on)
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
	*on = no_hooks();
	devices->dirty = true;
}

static void forget_held(struct devices *devices, size_t i)
{
	devices->held[i] = devices->held[--devices->nr_held];
	devices->dirty = true;
}

static struct device_hooks take_held(struct devices *devices, uint32_t ifindex)
{
	for (size_t i = 0; i < devices->nr_held; i++)
		if (devices->held[i].on.ifindex == ifindex) {
			struct device_hooks on = devices->held[i].on;

			forget_held(devices, i);
			return on;
		}
	return no_hooks();
}

/* ---- news */

static int by_device(const void *a, const void *b)
{
	return strcmp(((const struct served *)a)->device, ((const struct served *)b)->device);
}

static struct served *served_by_name(struct devices *devices, const char *name)
{
	struct served key = {};

	snprintf(key.device, sizeof(key.device), "%s", name);
	return devices->nr_served ? bsearch(&key, devices->served, devices->nr_served, sizeof(key), by_device) : NULL;
}

static struct served *served_by_index(struct devices *devices, uint32_t ifindex)
{
	for (size_t i = 0; i < devices->nr_served; i++)
		if (devices->served[i].on.ifindex == ifindex)
			return &devices->served[i];
	return NULL;
}

static void device_gone(struct devices *devices, uint32_t ifindex)
{
	struct served *served = served_by_index(devices, ifindex);
	struct device_hooks on;

	if (served)
		lose(devices, served);
	on = take_held(devices, ifindex);
	if (on.ifindex) {
		take_off(devices, &on);
		devices_cover(devices, NULL);
	}
}

static void device_renamed(struct devices *devices, struct served *served, const char *name)
{
	log_notice("port %s: device %s is called %s now", served->id, served->device, name);
	hold(devices, name, served->guard, &served->on);
	lose(devices, served);
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
	served = served_by_index(devices, link->ifindex);
	if (served && strcmp(served->device, link->name) != 0)
		device_renamed(devices, served, link->name);
	served = served_by_name(devices, link->name);
	if (!served) {
		follow_held(devices, link);
		return;
	}
	if (served->on.ifindex && served->on.ifindex != link->ifindex)
		lose(devices, served);
	if (!served->on.ifindex)
		served->on = take_held(devices, link->ifindex);
	serve(devices, served, link);
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
static int look_around(struct devices *devices)
{
	struct roll_call call = {.devices = devices};
	int r = links_dump(devices->links, on_present, &call);

	if (!r && call.failed)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < devices->nr_served; i++)
		if (devices->served[i].on.ifindex && absent(&call, devices->served[i].on.ifindex))
			lose(devices, &devices->served[i]);
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
		(void)look_around(devices);
}

/* ---- a new state */

static void describe(const struct datapath *datapath, const char *id, const char *device, struct served *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->device, sizeof(ret->device), "%s", device);
	ret->port = datapath_port_number(datapath, id);
	ret->how = HOW_UNTOLD;
	ret->on = no_hooks();
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
		list[nr++].side_instance = port->side_instance;
	}
	for (size_t i = 0; i < host->nr_uplinks; i++) {
		describe(datapath, host->uplinks[i].gateway_id, host->uplinks[i].device, &list[nr]);
		list[nr].hook = HOOK_TC;
		list[nr++].uplink = true;
	}
	qsort(list, nr, sizeof(*list), by_device);
	return nr;
}

/* A device of the old list goes on under the new one, or is held, or set free. */
static void hand_over(struct devices *devices, struct served *old)
{
	struct served *heir = served_by_name(devices, old->device);

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
		hold(devices, old->device, false, &old->on);
		return;
	}
	log_info("port %s: device %s is left alone from now on", old->id, old->device);
	take_off(devices, &old->on);
}

static void fill_mac(const struct net_link *link, bool gone, void *data)
{
	struct image *image = data;

	for (size_t i = 0; !gone && i < image->nr_ports; i++)
		if (image->ports[i].kind == PORT_UPLINK && !strcmp(image->ports[i].device, link->name))
			memcpy(image->ports[i].mac, link->mac, sizeof(link->mac));
}

int devices_fill(struct devices *devices, struct image *image)
{
	return links_dump(devices->links, fill_mac, image);
}

/* What an agent before us served and this state does not: as if it were taken out of the state now (I3). */
static void on_left(const struct net_link *link, bool gone, void *data)
{
	struct devices *devices = data;
	struct device_hooks on = no_hooks();
	bool xdp;

	if (gone || served_by_name(devices, link->name))
		return;
	xdp = hook_found(devices->pin_dir, HOOK_RX_XDP, link->ifindex);
	if (!xdp && !hook_found(devices->pin_dir, HOOK_RX_TC, link->ifindex))
		return;
	on.ifindex = link->ifindex;
	(void)hook_attach(&devices->attacher, HOOK_RX_TC, link->ifindex, false, &on.rx);
	if (xdp)
		(void)hook_attach(&devices->attacher, HOOK_RX_XDP, link->ifindex, *link->kind, &on.early);
	/* An uplink has no egress hook; it may be the host's own way out, so it is set free. */
	if (!hook_found(devices->pin_dir, HOOK_TX_TC, link->ifindex)) {
		log_info("device %s is left alone from now on", link->name);
		take_off(devices, &on);
		return;
	}
	(void)hook_attach(&devices->attacher, HOOK_TX_TC, link->ifindex, false, &on.tx);
	hold(devices, link->name, false, &on);
}

static void on_dead(uint32_t ifindex, void *data)
{
	struct devices *devices = data;

	if (!served_by_index(devices, ifindex))
		(void)datapath_clear_device(devices->datapath, ifindex);
}

static void settle(struct devices *devices)
{
	if (devices->settled)
		return;
	devices->settled = true;
	hook_sweep(&devices->attacher, on_dead, devices);
	if (links_dump(devices->links, on_left, devices))
		log_warning("cannot look for hooks of an earlier agent");
	if (devices->nr_held)
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
	r = look_around(devices);
	settle(devices);
	return r;
}

/* ---- looking after */

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
	if (set_device(devices, served) || put_hooks(devices, served))
		return;
	say_problem(devices, served,
		    rx == -EEXIST || tx == -EEXIST || early == -EEXIST
			    ? "another program runs before enid's on this device"
			    : "");
}

/* ret: true = still held */
static bool verify_held(struct devices *devices, struct held *held)
{
	bool freed = hook_check(&devices->attacher, &held->on.rx) == -ENOENT &&
		     (held->on.rx.link_fd < 0 || !hook_pinned(&devices->attacher, &held->on.rx));

	if (freed) {
		log_notice("device %s is free: enid was detached from it", held->name);
		take_off(devices, &held->on);
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
	for (size_t i = 0; i < devices->nr_served; i++)
		verify_served(devices, &devices->served[i]);
	for (size_t i = devices->nr_held; i-- > 0;)
		if (!verify_held(devices, &devices->held[i]))
			forget_held(devices, i);
	if (nr_held != devices->nr_held)
		devices_cover(devices, NULL);
	if (devices->checks % LOOK_EVERY == 0)
		(void)look_around(devices);
	if (devices->guard_problem && devices->checks % PIN_CHECK_EVERY == 0)
		devices_cover(devices, NULL);
	else if (guard_check(devices->guard) == 1)
		note_restored(devices, "the host", "the forwarding guard");
}
