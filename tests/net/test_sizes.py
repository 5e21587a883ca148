#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Packets larger than their way: the sender is told, or the packet is cut (IGW-09, MTU-01, MTU-02); by real stacks."""
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, allow

JUMBO, NARROW = 9001, 1300
ECHO, ERROR4, ERROR6 = 7000, (3, 4), (2, 0)
PORTS = {"eni-web": "veth-web", "eni-tap": "tap-web", "eni-narrow": "veth-narrow", "eni-ntap": "tap-narrow"}
ADDRESSES = {"eni-web": "10.0.1.10", "eni-tap": "10.0.1.20", "eni-narrow": "10.0.2.10", "eni-ntap": "10.0.2.20"}
SIX = {eni: address.replace("10.0.", "2001:db8:1:").replace(".", "::", 1) for eni, address in ADDRESSES.items()}


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.internet_gateway("igw-1", "vpc-1")
    for number in (1, 2):
        state.subnet(f"s-{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")])
    state.group("sg-all", "vpc-1", [allow("tcp", ECHO, *ANYWHERE), allow("udp", ECHO, *ANYWHERE),
                                    allow("icmp", (8, -1), "0.0.0.0/0"), allow("icmpv6", (128, -1), "::/0")],
                [allow("-1", None, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")])  # tracked: errors need no rule
    for number, (eni, address) in enumerate(ADDRESSES.items()):
        state.eni(eni, f"s-{address[5]}", address, ["sg-all"], SIX[eni], f"203.0.113.{10 + number}")
    state.host("host-a", list(PORTS.items()), [("igw-1", "up0")])
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.internet = fabric, agent, fabric.internet
        self.guests = {eni: fabric.guest(eni) for eni in PORTS}
        for guest in (*self.guests.values(), self.internet):
            listeners.tcp(guest, ECHO)
            listeners.udp(guest, ECHO)
        for eni in ("eni-narrow", "eni-ntap"):  # before anybody knows; the agent follows the device
            fabric.host.ip(f"link set {PORTS[eni]} mtu {NARROW}")
            self.guests[eni].ip(f"link set eth0 mtu {NARROW}")
        # The internet's host claims to take more than the gateway carries.
        self.internet.ip("route replace 203.0.113.0/24 dev eth0 advmss 8960", "route replace 2001:db8:1::/56 dev eth0 advmss 8940")

    def forget(self, eni):
        self.guests[eni].ip("route flush cache")
        self.guests[eni].run("ip", "-6", "route", "flush", "cache")


@scene
def sizes():
    with Fabric(make_state(), mtu=JUMBO) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


def learned(guest, target):
    found = re.search(r"mtu (\d+)", guest.run("ip", "route", "get", target).stdout)
    return int(found.group(1)) if found else None


def datagram(guest, target, size, cut):
    """Send one of `size` bytes, with DF or without, until its echo comes back whole. ret: sends it took, 0 = never"""
    six = ":" in target
    data = bytes(i * 31 & 255 for i in range(size))
    with guest.socket(traffic.family_of(target), socket.SOCK_DGRAM) as sock:
        sock.setsockopt(41 if six else 0, 23 if six else 10, 0 if cut else 2)  # IPV6_MTU_DISCOVER, IP_MTU_DISCOVER
        sock.connect((target, ECHO))
        sock.settimeout(0.7 * SLOW)
        for tries in range(1, 4):
            try:
                sock.send(data)
                if sock.recv(65536) == data:
                    return tries
            except (TimeoutError, OSError):
                continue
    return 0


def errors_seen(guest, target, size, want):
    """The ICMP errors that reach the guest when it sends a datagram of this size with DF, as raw frames."""
    seen = []

    def record(frame):
        l4 = 14 + (40 if frame[12:14] == b"\x86\xdd" else 20)
        proto = frame[20] if l4 == 54 else frame[23]
        if proto in (frames.ICMP, frames.ICMP6) and (frame[l4], frame[l4 + 1]) == want:
            seen.append(frame)
        return False

    with frames.Watch(guest, matching=record):
        datagram(guest, target, size, False)
        wait_for(lambda: seen, 3 * SLOW, f"an ICMP error for {size} bytes to {target}")
    return seen


@test
def the_error_is_right(world):
    """From the router's address, with its MAC, the next hop's MTU, and checksums that hold, whatever was offloaded."""
    for eni in ("eni-web", "eni-tap"):
        for target, want, router, mtu in ((INTERNET4, ERROR4, "10.0.1.1", 1500), (INTERNET6, ERROR6, "2001:db8:1:1::1", 1500),
                                          (ADDRESSES["eni-narrow"], ERROR4, "10.0.1.1", NARROW),
                                          (SIX["eni-narrow"], ERROR6, "2001:db8:1:1::1", NARROW)):
            world.forget(eni)
            error = errors_seen(world.guests[eni], target, 4000, want)[0]
            fault = frames.checksum_fault(error)
            check(not fault, f"{eni} to {target}: {fault}")
            equal(error[6:12].hex(":"), frames.ROUTER_MAC, "who sent it")
            at, l4, length = (26, 34, 4) if want == ERROR4 else (22, 54, 16)
            equal(error[at:at + length], socket.inet_pton(traffic.family_of(target), router), f"source of the error for {target}")
            equal(int.from_bytes(error[l4 + 4:l4 + 8], "big"), mtu, f"MTU told to {eni} about {target}")
            equal(learned(world.guests[eni], target), mtu, f"what {eni} learned about {target}")


@test
def bulk_from_jumbo_guests(world):
    """TCP of guests of MTU 9001, offloads on and off, to the internet and to narrow neighbours."""
    data = os.urandom(1 << 20)
    for eni in ("eni-web", "eni-tap"):
        for offloads in ((True, False) if eni == "eni-web" else (True,)):
            world.guests[eni].set_offloads("eth0", offloads)
            for target in (INTERNET4, INTERNET6, ADDRESSES["eni-narrow"], SIX["eni-ntap"]):
                world.forget(eni)
                equal(traffic.tcp(world.guests[eni], target, ECHO, data=data), "open", f"{eni} to {target}, offloads {offloads}")
    world.guests["eni-web"].set_offloads("eth0", True)


@test
def segments_count_not_their_train(world):
    """A14: GSO packets of 64 KB whose segments fit pass an uplink of 1500 as they are, and none is dropped."""
    guest = world.guests["eni-web"]
    equal(traffic.tcp(guest, INTERNET4, ECHO, data=b"x" * 9000), "open", "TCP")  # learns the path
    before, large = world.agent.drops(), []
    with frames.Watch(world.internet, matching=lambda frame: len(frame) > 20000 and not large.append(len(frame))):
        equal(traffic.tcp(guest, INTERNET4, ECHO, data=os.urandom(4 << 20)), "open", "4 MiB to the internet")
    check(large, "no large packet passed")
    equal(world.agent.dropped(before).get("mtu", 0), 0, "drops for their size")


@test
def without_df_it_is_cut(world):
    """IGW-09: pieces of at most 1500 bytes on the uplink, one datagram with a good checksum at the receiver."""
    sizes = []
    with frames.Watch(world.internet, matching=lambda frame: sizes.append(len(frame)) or False):
        for eni, offloads in (("eni-web", True), ("eni-web", False), ("eni-tap", True)):
            world.guests[eni].set_offloads("eth0", offloads)
            for size in (1472, 1473, 2953, 5000, 8972):
                equal(datagram(world.guests[eni], INTERNET4, size, True), 1, f"sends of {size} bytes by {eni}, offloads {offloads}")
    check(max(sizes) <= 1514, f"a frame of {max(sizes)} bytes on the uplink")
    world.guests["eni-web"].set_offloads("eth0", True)


@test
def narrow_receivers_get_pieces(world):
    """From a veth, whose checksums are left to the device, into a veth and into a tap, and the other way round."""
    for eni in ("eni-web", "eni-tap"):
        for target in ("eni-narrow", "eni-ntap"):
            for size in (NARROW - 27, 4000, 8900):
                equal(datagram(world.guests[eni], ADDRESSES[target], size, True), 1, f"sends of {size} bytes, {eni} to {target}")
    for eni in ("eni-tap", "eni-ntap"):
        check(not world.fabric.cables[eni].bad_checksums, f"{eni}: {world.fabric.cables[eni].bad_checksums[:3]}")


@test
def with_df_the_sender_adapts(world):
    for target, size in ((INTERNET4, 1472), (INTERNET6, 1452), (ADDRESSES["eni-narrow"], NARROW - 28)):
        world.forget("eni-web")
        equal(datagram(world.guests["eni-web"], target, size + 1, False), 0, f"{size + 1} bytes with DF to {target}")
        equal(datagram(world.guests["eni-web"], target, size, False), 1, f"{size} bytes with DF to {target}")


@test
def the_agent_follows_the_device(world):
    """ip link set mtu, and nothing else."""
    target, guest = ADDRESSES["eni-narrow"], world.guests["eni-web"]
    world.fabric.host.ip(f"link set {PORTS['eni-narrow']} mtu 1400")
    world.guests["eni-narrow"].ip("link set eth0 mtu 1400")
    try:
        def told():
            world.forget("eni-web")
            datagram(guest, target, 1500, False)
            return learned(guest, target) == 1400
        wait_for(told, 10 * SLOW, "1400 is what the sender is told")
    finally:
        world.fabric.host.ip(f"link set {PORTS['eni-narrow']} mtu {NARROW}")
        world.guests["eni-narrow"].ip(f"link set eth0 mtu {NARROW}")


@test
def answers_are_limited(world):
    """MTU-02: 1,000 a second; the drops are counted all the same."""
    guest = world.guests["eni-web"]
    mac = world.fabric.state.find("NetworkInterfaces", "eni-web")["MacAddress"]
    frame = frames.ethernet(mac, frames.ROUTER_MAC, frames.ETH_IP, frames.udp(ADDRESSES["eni-web"], INTERNET4, 4000, 99, bytes(1600)))
    before, seen = world.agent.drops(), []
    began = time.monotonic()
    with frames.Watch(guest, matching=lambda f: f[12:14] == b"\x08\x00" and f[23] == 1 and f[34] == 3 and seen.append(1)):
        frames.send(guest, "eth0", frame, 4000)
        took = time.monotonic() - began
    equal(world.agent.dropped(before).get("mtu"), 4000, "drops")
    check(1000 <= len(seen) <= 1000 * (took + 1) + 5 or took > 3, f"{len(seen)} answers in {took:.2f} s")


if __name__ == "__main__":
    run()
