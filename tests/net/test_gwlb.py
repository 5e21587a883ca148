#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A Gateway Load Balancer endpoint on wires (EP-07..EP-09): real TCP, UDP and ping between guests and the internet, every
packet by way of an appliance that is a UDP socket, and a forger beside it."""
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, allow

ENDPOINT, PORT, ECHO = "vpce-0123456789abcdef0", 6081, 7000
BALANCER, APPLIANCE, STRANGER = "198.18.0.1", "198.18.0.2", "198.18.0.9"
HEADER = bytes.fromhex("08000800000000000108010212345678" "9abcdef0" "0108020212345678" "9abcdef0" "01080301")
SIX = "2001:db8:1:1::10"


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.internet_gateway("igw-1", "vpc-1")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.subnet("s-2", "vpc-1", "10.0.2.0/24")
    state.subnet("s-e", "vpc-1", "10.0.7.0/24")
    inner = [("0.0.0.0/0", ENDPOINT), ("::/0", ENDPOINT), ("10.0.2.0/24", ENDPOINT)]
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")])
    state.table("rtb-1", "vpc-1", inner, subnets=["s-1"])
    state.table("rtb-2", "vpc-1", [("10.0.1.0/24", ENDPOINT)], subnets=["s-2"])
    edge = state.table("rtb-edge", "vpc-1", [("10.0.1.0/24", ENDPOINT), ("2001:db8:1:1::/64", ENDPOINT)], subnets=["none"])
    edge["Associations"] = [{"Main": False, "GatewayId": "igw-1", "AssociationState": {"State": "associated"}}]
    state["VpcEndpoints"] = [{"VpcEndpointId": ENDPOINT, "VpcEndpointType": "GatewayLoadBalancer", "VpcId": "vpc-1",
                              "State": "available", "SubnetIds": ["s-e"]}]
    state.group("sg-all", "vpc-1", [allow("-1", None, *ANYWHERE)])
    state.eni("eni-veth", "s-1", "10.0.1.10", ["sg-all"], SIX, "203.0.113.10")
    state.eni("eni-tap", "s-1", "10.0.1.11", ["sg-all"], None, "203.0.113.11")
    state.eni("eni-west", "s-2", "10.0.2.10", ["sg-all"])
    state.host("host-a", [("eni-veth", "veth-a"), ("eni-tap", "tap-a"), ("eni-west", "veth-w")],
               [("igw-1", "up0"), (ENDPOINT, "up-gw")])
    state["Hosts"][0]["Uplinks"][1].update(Address=BALANCER, TargetHealthDescriptions=[
        {"Target": {"Id": APPLIANCE, "Port": PORT}, "TargetHealth": {"State": "healthy"}}])
    return state


class Appliance:
    """Sends everything back as it came, and takes notes: flow cookies by the addresses and ports inside."""

    def __init__(self, namespace):
        self.cookies, self.faults, self.nr, self.largest, self.drops = {}, [], 0, 0, False
        self.socket = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((APPLIANCE, PORT))
        self.socket.settimeout(0.2)
        self.running = True
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.running:
            try:
                data, _ = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            self.note(data)
            if not self.drops:
                self.socket.sendto(data, (BALANCER, PORT))

    def note(self, data):
        self.nr += 1
        self.largest = max(self.largest, len(data))
        kind, inner = data[2:4], data[40:]
        if data[:2] + data[4:36] != HEADER[:2] + HEADER[4:36] or kind not in (b"\x08\x00", b"\x86\xdd"):
            self.faults.append("options " + data[:40].hex())
        fault = frames.checksum_fault(b"\0" * 12 + kind + inner)
        if fault:
            self.faults.append(fault)
        six = kind == b"\x86\xdd"
        ends = [inner[8:24], inner[24:40]] if six else [inner[12:16], inner[16:20]]
        proto, l4 = (inner[6], inner[40:44]) if six else (inner[9], inner[20:24])
        ports = [l4[:2], l4[2:]] if proto in (6, 17) else [b"", b""]
        self.cookies.setdefault((proto, *sorted(a + b for a, b in zip(ends, ports))), set()).add(data[36:40])

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()


class World:
    def __init__(self, fabric, agent, appliance):
        self.fabric, self.agent, self.appliance = fabric, agent, appliance


@scene
def inspected():
    with Fabric(make_state()) as fabric:
        fabric.host.ip("link set up-gw mtu 9000")
        fabric.service.ip("link set eth0 mtu 9000", f"addr add {STRANGER}/24 dev eth0")
        # The host's end finishes segments and checksums, as a device to a real appliance does.
        fabric.host.run("ethtool", "-K", "up-gw", "tx", "off", "tso", "off", "gso", "off", "tx-udp_tnl-segmentation", "off")
        appliance = Appliance(fabric.service)
        try:
            with Agent(fabric) as agent, traffic.Listeners() as listeners:
                agent.start()
                for guest in (*fabric.guests.values(), fabric.internet):
                    listeners.tcp(guest, ECHO)
                    listeners.udp(guest, ECHO)
                yield World(fabric, agent, appliance)
        finally:
            appliance.close()


def seen(world, what):
    """-> how many packets the appliance had, while what() went on, without a fault"""
    before = world.appliance.nr
    what()
    check(not world.appliance.faults, f"at the appliance: {world.appliance.faults[:3]}")
    many = {flow: found for flow, found in world.appliance.cookies.items() if len(found) != 1 and flow[0] == 6}
    check(not many, f"flows with several cookies: {many}")
    return world.appliance.nr - before


@test
def out_and_back(world):
    for name in ("eni-veth", "eni-tap"):
        guest = world.fabric.guest(name)
        nr = seen(world, lambda: equal(traffic.tcp(guest, INTERNET4, ECHO), "open", f"{name}: TCP out"))
        check(nr >= 6, f"{name}: only {nr} packets by the appliance")
        check(seen(world, lambda: equal(traffic.udp(guest, INTERNET4, ECHO), "answered", f"{name}: UDP")) >= 2, "UDP by it")
        check(seen(world, lambda: check(traffic.ping(guest, INTERNET4), f"{name}: ping")) >= 2, "ping by it")


@test
def out_and_back_with_ipv6(world):
    guest = world.fabric.guest("eni-veth")
    check(seen(world, lambda: equal(traffic.tcp(guest, INTERNET6, ECHO), "open", "TCP out")) >= 6, "all by the appliance")
    check(seen(world, lambda: check(traffic.ping(guest, INTERNET6), "ping")) >= 2, "ping by it")


@test
def in_by_the_gateways_table(world):
    for address in ("203.0.113.10", "203.0.113.11", SIX):
        nr = seen(world, lambda: equal(traffic.tcp(world.fabric.internet, address, ECHO), "open", f"TCP to {address}"))
        check(nr >= 6, f"{address}: only {nr} packets by the appliance")


@test
def between_subnets(world):
    west = world.fabric.guest("eni-west")
    check(seen(world, lambda: equal(traffic.tcp(west, "10.0.1.10", ECHO), "open", "TCP from the west")) >= 6, "by it")
    check(seen(world, lambda: equal(traffic.tcp(world.fabric.guest("eni-tap"), "10.0.2.10", ECHO), "open", "TCP to it")) >= 6,
          "by it")


@test
def streams_of_segments(world):
    """Segmentation offload on: large packets are wrapped whole, and cut by the device into whole small ones."""
    for name, target in (("eni-veth", INTERNET4), ("eni-veth", INTERNET6), ("eni-tap", INTERNET4)):
        guest, data = world.fabric.guest(name), os.urandom(400000)
        world.appliance.largest = 0

        def stream():
            with traffic.Session(guest, target, ECHO, timeout=20 * SLOW) as session:
                check(session.echo(data, timeout=60 * SLOW), f"{name} to {target}: 400 kB did not come back")
        nr = seen(world, stream)
        check(nr > 400, f"{name}: {nr} packets by the appliance")
        check(1200 < world.appliance.largest <= 1540, f"{name}: a packet of {world.appliance.largest} bytes")


@test
def checksums_outside_none_and_whole(world):
    """UDP's own checksum: left to the device by the appliance's kernel, complete, or none."""
    guest = world.fabric.guest("eni-veth")
    for offloads, none in ((False, 0), (False, 1), (True, 1), (True, 0)):
        world.fabric.service.set_offloads("eth0", offloads)
        world.appliance.socket.setsockopt(socket.SOL_SOCKET, 11, none)  # SO_NO_CHECK
        equal(traffic.tcp(guest, INTERNET4, ECHO), "open", f"TCP with offloads {offloads}, checksum {not none}")


@test
def only_by_the_appliance(world):
    world.appliance.drops = True
    try:
        guest = world.fabric.guest("eni-veth")
        equal(traffic.tcp(guest, INTERNET4, ECHO, expect_open=False), "silent", "TCP while the appliance drops")
    finally:
        world.appliance.drops = False


@test
def forgers_reach_nobody(world):
    """Beside the appliance, with its options, with guessed cookies; from another address; the open flow goes on."""
    guest, before = world.fabric.guest("eni-veth"), world.agent.drops()
    got = []
    with traffic.Session(guest, INTERNET4, ECHO) as session, \
            frames.Watch(world.fabric.internet, matching=lambda f: b"forged" in f) as watch:
        check(session.echo(b"one"), "the flow lives")
        inner = frames.udp("10.0.1.10", INTERNET4, 5000, ECHO, b"forged" * 4)
        with world.fabric.service.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((APPLIANCE, 0))
            for cookie in range(200):
                forger.sendto(HEADER + struct.pack("!I", cookie * 2654435761 % (1 << 32)) + inner, (BALANCER, PORT))
        with world.fabric.service.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind((STRANGER, PORT))
            forger.sendto(HEADER + b"\0\0\0\1" + inner, (BALANCER, PORT))
        wait_for(lambda: world.agent.dropped(before).get("geneve", 0) >= 201, 10 * SLOW, "201 drops by the name geneve")
        check(session.echo(b"two"), "the flow lives on")
        got = watch.stop()
    check(not got, f"{len(got or ())} forged packets came through")


@test
def shown_by_name(world):
    ports = world.agent.command("show", "ports").stdout
    routes = world.agent.command("show", "routes").stdout
    check(ENDPOINT in ports, f"show ports: {ports}")
    check(any("gwlb-endpoint" in line and ENDPOINT in line for line in routes.splitlines()), f"show routes: {routes}")


if __name__ == "__main__":
    run()
