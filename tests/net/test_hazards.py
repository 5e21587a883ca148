#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Hazards that need wires: headers outside the linear area (A15), the host in reach of tenants (B8), forged marks (B13)."""
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric, UPLINK4
from vpcnet.harness import equal, run, scene, test, wait_for
from vpcnet.vpc import State, allow

VPC4, VPC6 = "10.0.0.0/16", "2001:db8:1::/56"
ALLOWED, DENIED, HOST_PORT = 9000, 9001, 7777
MARK_FOR_HOST = 0x656E6964
SOL_PACKET, PACKET_VNET_HDR, SO_MARK = 263, 15, 36
HOST_OWN = ("192.168.77.7", "10.0.1.99", "10.0.2.99", "2001:db8:77::7", "2001:db8:1:1::99")


def make_state():
    state = State()
    state.vpc("vpc-1", VPC4, VPC6)
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1")
    state.group("sg-a", "vpc-1")
    state.group("sg-b", "vpc-1", [allow("udp", ALLOWED, VPC4, VPC6)])
    state.eni("eni-a", "s1", "10.0.1.10", ["sg-a"], "2001:db8:1:1::10")
    state.eni("eni-b", "s2", "10.0.2.10", ["sg-b"], "2001:db8:1:2::10")
    state.host("host-a", [("eni-a", "veth-a"), ("eni-b", "veth-b")])
    return state


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.a, self.b, self.host = fabric.guest("eni-a"), fabric.guest("eni-b"), fabric.host
        self.mac = {name: self.state.find("NetworkInterfaces", f"eni-{name}")["MacAddress"] for name in "ab"}


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        yield World(fabric, agent)


# ---- A15

def send_with_short_head(guest, frame, linear, count):
    """Packets of a page and more with a virtio header: only `linear` bytes lie in the linear area of the sk_buff."""
    header = struct.pack("<BBHHHH", 0, 0, linear, 0, 0, 0)
    with guest.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sock.bind(("eth0", 0))
        for _ in range(count):
            sock.send(header + frame)


@test
def a15_headers_outside_the_linear_area(world):
    """Ethernet header linear, or a part of the IP header, or of the UDP header: the verdict is that of the whole."""
    for guest, device in ((world.a, "veth-a"), (world.b, "veth-b")):
        world.host.ip(f"link set {device} mtu 9001")
        guest.ip("link set eth0 mtu 9001")
    body = b"outside the linear area " * 300
    spoofed4, spoofed6 = "10.0.1.11", "2001:db8:1:1::11"
    for own, target, spoofed in (("10.0.1.10", "10.0.2.10", spoofed4),
                                 ("2001:db8:1:1::10", "2001:db8:1:2::10", spoofed6)):
        for linear in (14, 20, 30, 34, 38, 60):
            for source, port, dropped, arrive in ((own, ALLOWED, {}, 5), (own, DENIED, {"sg-ingress": 5}, 0),
                                                  (spoofed, ALLOWED, {"source-check": 5}, 0)):
                packet = frames.udp(source, target, 4000, port, body)
                frame = frames.ethernet(world.mac["a"], frames.ROUTER_MAC, frames.ethertype_of(packet), packet)
                before = world.agent.drops()
                with frames.Watch(world.b, matching=lambda found, want=packet[-64:]: want in found) as watch:
                    send_with_short_head(world.a, frame, linear, 5)
                    wait_for(lambda: len(watch.frames) + sum(judged(world, before).values()) >= 5, 5 * SLOW, "five frames")
                    found = len(watch.stop())
                equal((found, judged(world, before)), (arrive, dropped),
                      f"{source} to {port}, {linear} bytes linear")


def judged(world, before):
    """What was dropped since, but for what the guests' own kernels say of themselves."""
    return {reason: count for reason, count in world.agent.dropped(before).items() if reason not in ("l2", "multicast")}


# ---- B8

class HostService:
    """TCP and UDP on every address of the host; counts what reaches it."""

    def __init__(self, host):
        self.sockets, self.reached = [], 0
        for family in (socket.AF_INET, socket.AF_INET6):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                sock = host.socket(family, kind)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(("", HOST_PORT))
                if kind == socket.SOCK_STREAM:
                    sock.listen()
                sock.setblocking(False)
                self.sockets.append(sock)

    def count(self):
        while True:
            ready, _, _ = select.select(self.sockets, [], [], 0.05)
            if not ready:
                return self.reached
            for sock in ready:
                self.reached += 1
                if sock.type == socket.SOCK_STREAM:
                    sock.accept()[0].close()
                else:
                    sock.recv(2048)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            sock.close()


def mac_of(namespace, device):
    return namespace.run("ip", "-o", "link", "show", device).stdout.split("link/ether ")[1].split()[0]


@test
def b8_no_address_of_the_host_is_in_reach(world):
    """Listeners on all the host's addresses, those that it has inside the VPC's ranges included: no tenant reaches one,
    by whatever MAC, and the host answers nothing."""
    world.host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1, net__ipv4__conf__all__rp_filter=0)
    world.host.ip("link set lo up", "route replace 10.0.1.10/32 dev veth-a", "route replace 2001:db8:1:1::10/128 dev veth-a",
                  *[f"addr replace {a}/{128 if ':' in a else 32} dev lo" for a in HOST_OWN])
    link_local = [line.split()[3].split("/")[0] for line in
                  world.host.run("ip", "-6", "-o", "addr", "show", "dev", "veth-a").stdout.splitlines() if "fe80" in line]
    macs = (frames.ROUTER_MAC, mac_of(world.host, "veth-a"), "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01")
    targets = [*HOST_OWN, UPLINK4, "127.0.0.1", "10.0.1.1", "10.0.1.255", "255.255.255.255", "::1", "ff02::1",
               "2001:db8:1:1::1", *link_local]
    answered = lambda frame: frame[:6] == frames.mac_bytes(world.mac["a"]) and struct.pack("!H", HOST_PORT) in frame[34:60]
    with HostService(world.host) as service, frames.Watch(world.a, matching=answered) as answers:
        with world.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"x", ("192.168.77.7", HOST_PORT))
        equal(service.count(), 1, "datagrams of the host itself that reached its service")
        for target in targets:
            own = "2001:db8:1:1::10" if ":" in target else "10.0.1.10"
            for mac in macs:
                for packet in (frames.udp(own, target, 4000, HOST_PORT), frames.tcp(own, target, 4000, HOST_PORT, 2)):
                    frame = frames.ethernet(world.mac["a"], mac, frames.ethertype_of(packet), packet)
                    frames.send(world.a, "eth0", frame, 2)
        time.sleep(0.2)
        equal(service.count(), 1, "packets and connections that reached the host's services")
        equal(len(answers.stop()), 0, "answers of the host to a tenant")


# ---- B13

@test
def b13_forged_marks_open_nothing(world):
    """A mark says that enid has judged a packet: one that the host or a guest sets itself says nothing."""
    marks = (0, 1, 3, MARK_FOR_HOST, MARK_FOR_HOST | 1, 0x7FFFFFFF, 0xFFFFFFFF)
    world.host.ip("addr replace 192.168.77.7/32 dev lo", "route replace 10.0.2.10/32 dev veth-b src 192.168.77.7",
                  f"neigh replace 10.0.2.10 lladdr {world.mac['b']} dev veth-b nud permanent")
    before = world.agent.drops()
    seen = lambda frame: b"a forged mark" in frame
    with frames.Watch(world.b, matching=seen) as watch, world.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for mark in marks:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("I", mark))
            for _ in range(20):
                sock.sendto(b"a forged mark", ("10.0.2.10", DENIED))
        wait_for(lambda: len(watch.frames) + sum(judged(world, before).values()) >= 20 * len(marks), 5 * SLOW, "the host's packets")
        equal(len(watch.stop()), 0, "packets of the host that passed with a forged mark")
    equal(judged(world, before), {"sg-ingress": 20 * len(marks)}, "drops")
    packet = frames.udp("10.0.1.10", "10.0.2.10", 4000, DENIED, b"a forged mark")
    frame = frames.ethernet(world.mac["a"], frames.ROUTER_MAC, frames.ETH_IP, packet)
    before = world.agent.drops()
    with frames.Watch(world.b, matching=seen) as watch, world.a.entered(), \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        for mark in marks:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("I", mark))
            for _ in range(20):
                sock.send(frame)
        wait_for(lambda: len(watch.frames) + sum(judged(world, before).values()) >= 20 * len(marks), 5 * SLOW, "the guest's packets")
        equal(len(watch.stop()), 0, "packets of a guest that passed with a forged mark")
    equal(judged(world, before), {"sg-ingress": 20 * len(marks)}, "drops")


if __name__ == "__main__":
    run()
