/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which device carries which port. The device's entry leads packets in, the port's `ifindex` leads them out. */
#include <bpf/bpf.h>
#include <errno.h>

#include "datapath/internal.h"

static int write_device(struct datapath *datapath, uint32_t ifindex, uint32_t port)
{
	bool near = ifindex < DEVICES_NEAR;
	int fd = datapath_map_fd(datapath, near ? "devices" : "devices_far");

	if (!port && !near)
		return bpf_map_delete_elem(fd, &ifindex) < 0 && errno != ENOENT ? -errno : 0;
	return bpf_map_update_elem(fd, &ifindex, &port, BPF_ANY) < 0 ? -errno : 0;
}

static uint32_t read_device(struct datapath *datapath, uint32_t ifindex)
{
	int fd = datapath_map_fd(datapath, ifindex < DEVICES_NEAR ? "devices" : "devices_far");
	uint32_t port = 0;

	return bpf_map_lookup_elem(fd, &ifindex, &port) < 0 ? 0 : port;
}

/* Nothing is delivered to the device from here on. */
static void detach(struct port *port)
{
	__atomic_store_n(&port->deliver, DELIVER_NOT, __ATOMIC_RELEASE);
	__atomic_store_n(&port->ifindex, 0, __ATOMIC_RELEASE);
	if (port->slot[0].kind == PORT_UPLINK || port->slot[1].kind == PORT_UPLINK)
		__atomic_store_n(&port->mtu, MTU_DOWN, __ATOMIC_RELEASE);
}

int datapath_set_device(struct datapath *datapath, uint32_t port, uint32_t ifindex, enum deliver_how how)
{
	struct port *ports = datapath->ports.at;
	uint32_t other;
	int r;

	if (!port || port >= PORTS_MAX || !ifindex)
		return -EINVAL;
	if (ports[port].ifindex && ports[port].ifindex != ifindex) {
		r = datapath_clear_device(datapath, ports[port].ifindex);
		if (r < 0)
			return r;
	}
	other = read_device(datapath, ifindex);
	if (other && other != port && other < PORTS_MAX && ports[other].ifindex == ifindex)
		detach(&ports[other]);
	r = write_device(datapath, ifindex, port);
	if (r < 0)
		return r;
	__atomic_store_n(&ports[port].ifindex, ifindex, __ATOMIC_RELEASE);
	__atomic_store_n(&ports[port].deliver, (uint32_t)how, __ATOMIC_RELEASE);
	return 0;
}

void datapath_set_mtu(struct datapath *datapath, uint32_t port, uint32_t mtu)
{
	struct port *ports = datapath->ports.at;

	if (port >= PORTS_MAX)
		return;
	/* what leaves for an appliance gets larger on the device (EP-08) */
	if (ports[port].slot[datapath_control(datapath)->generation & 1].gateway == ROUTE_GWLBE && mtu > GENEVE_ROOM)
		mtu -= GENEVE_ROOM;
	if (port && ports[port].mtu != mtu)
		__atomic_store_n(&ports[port].mtu, mtu, __ATOMIC_RELEASE);
}

int datapath_clear_device(struct datapath *datapath, uint32_t ifindex)
{
	struct port *ports = datapath->ports.at;
	uint32_t port = read_device(datapath, ifindex);

	if (port && port < PORTS_MAX && ports[port].ifindex == ifindex)
		detach(&ports[port]);
	return port ? write_device(datapath, ifindex, 0) : 0;
}
