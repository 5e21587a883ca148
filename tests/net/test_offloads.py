#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bulk data with and without offloads, at MTU 1500 and 9001: GSO packets of 64 KB, jumbo frames, nothing lost (A14)."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import State, allow

VPC4, VPC6 = "10.0.0.0/16", "2001:db8:1::/56"
MEGABIT_FLOOR = 50 / SLOW  # far below what any working path does, far above one that drops each large packet


def make_state():
    state = State()
    state.vpc("vpc-1", VPC4, VPC6)
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1")
    state.group("sg-all", "vpc-1", [allow("tcp", (5000, 6000), VPC4, VPC6), allow("udp", (5000, 6000), VPC4, VPC6),
                                    allow("icmp", (8, -1), VPC4), allow("icmpv6", (128, -1), VPC6)])
    state.eni("eni-a", "s1", "10.0.1.10", ["sg-all"], "2001:db8:1:1::10")
    state.eni("eni-b", "s2", "10.0.2.10", ["sg-all"], "2001:db8:1:2::10")
    state.eni("eni-t", "s2", "10.0.2.20", ["sg-all"], "2001:db8:1:2::20")
    state.host("host-a", [("eni-a", "veth-a"), ("eni-b", "veth-b"), ("eni-t", "tap-t")])
    return state


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent = fabric, agent
        self.a, self.b, self.t = (fabric.guest(f"eni-{name}") for name in "abt")

    def iperf(self, source, target, address, seconds=1.2, udp=False):
        """One iperf3 run; returns its result. Both sides must have counted the same bytes (UDP: without loss)."""
        server = target.popen("iperf3", "-s", "-1", "-p", "5201", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            more = ["-u", "-b", "40M"] if udp else []
            for _ in range(50):  # until the server listens
                done = source.run("iperf3", "-J", "-p", "5201", "-t", str(seconds), "-c", address, *more, check=False)
                if "unable to connect" not in done.stdout:
                    break
                time.sleep(0.1)
            result = json.loads(done.stdout)
            check("error" not in result, f"iperf3 to {address}: {result.get('error')}")
            server.wait(10 * SLOW)
            return result["end"]
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()

    def bulk(self, source, target, address):
        """TCP as fast as it goes: above the floor, and what was sent was received (but for what is under way)."""
        end = self.iperf(source, target, address)
        sent, received = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
        megabits = end["sum_received"]["bits_per_second"] / 1e6
        check(megabits > MEGABIT_FLOOR, f"TCP to {address}: {megabits:.1f} Mbit/s")
        check(received <= sent <= received + (64 << 20), f"TCP to {address}: {sent} bytes sent, {received} received")
        return megabits

    def set_mtu(self, mtu):
        for guest, device in ((self.a, "veth-a"), (self.b, "veth-b"), (self.t, "tap-t")):
            self.fabric.host.ip(f"link set {device} mtu {mtu}")
            guest.ip(f"link set eth0 mtu {mtu}")


@scene
def bulk_data():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        yield World(fabric, agent)


def matrix(world, mtu, offloads):
    world.set_mtu(mtu)
    for guest in (world.a, world.b):
        guest.set_offloads("eth0", offloads)
    try:
        return [round(world.bulk(world.a, world.b, address)) for address in ("10.0.2.10", "2001:db8:1:2::10")]
    finally:
        world.set_mtu(1500)
        for guest in (world.a, world.b):
            guest.set_offloads("eth0", True)


@test
def a14_tcp_bulk_with_offloads(world):
    """And it must be GSO that passed: 64 KB packets at the port, seen by the receiver's own capture."""
    large = []
    with frames.Watch(world.b, matching=lambda frame: len(frame) > 20000 and not large.append(len(frame))):
        rates = matrix(world, 1500, True)
    check(large, "no packet above 20,000 bytes arrived: segmentation offload does not get through")
    print(f"# TCP, offloads on, MTU 1500: {rates} Mbit/s (IPv4, IPv6); largest packet {max(large)}")


@test
def a14_tcp_bulk_without_offloads(world):
    print(f"# TCP, offloads off, MTU 1500: {matrix(world, 1500, False)} Mbit/s")


@test
def tcp_bulk_jumbo(world):
    print(f"# TCP, offloads on, MTU 9001: {matrix(world, 9001, True)} Mbit/s")
    print(f"# TCP, offloads off, MTU 9001: {matrix(world, 9001, False)} Mbit/s")


@test
def a14_tcp_bulk_through_a_tap(world):
    """Into a tap the host's kernel segments and makes the checksums; out of it they are real."""
    world.bulk(world.a, world.t, "10.0.2.20")
    world.bulk(world.t, world.a, "10.0.1.10")
    faults = world.fabric.cables["eni-t"].bad_checksums
    check(not faults, f"{len(faults)} frames with a wrong checksum: {faults[:5]}")


@test
def udp_without_loss(world):
    """40 Mbit/s of datagrams, both families: none is lost but what the receiver's socket had no room for."""
    for address in ("10.0.2.10", "2001:db8:1:2::10"):
        before = _receive_errors(world.b)
        total = world.iperf(world.a, world.b, address, udp=True)["sum"]
        lost = total["lost_packets"] - (_receive_errors(world.b) - before)
        check(lost <= 0, f"{lost} datagrams lost on the way to {address}, of {total['packets']}")
        check(total["packets"] > 500, f"only {total['packets']} datagrams to {address}")


def _receive_errors(namespace):
    """Datagrams of both families that found a full socket."""
    lines = namespace.run("cat", "/proc/self/net/snmp").stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    six = dict(line.split() for line in namespace.run("cat", "/proc/self/net/snmp6").stdout.splitlines())
    return int(values[names.index("RcvbufErrors")]) + int(six["Udp6RcvbufErrors"])


@test
def a14_udp_segmentation_offload(world):
    """64 KB sends that become 45 datagrams each: all arrive, whole."""
    received = []

    def record(frame):
        found = frames.transport(frame)
        if found and found[0] == frames.UDP and found[2] == 5555:
            received.append(len(frame))
        return False

    sink = world.b.socket(traffic.socket.AF_INET, traffic.socket.SOCK_DGRAM)
    sink.setsockopt(traffic.socket.SOL_SOCKET, 33, 64 << 20)
    sink.bind(("", 5555))
    sink.settimeout(0.3 * SLOW)
    with sink, frames.Watch(world.b, matching=record):
        traffic.send_segments(world.a, "10.0.2.10", 5555, 1400, 45, 100)
        got = 0
        try:
            while True:
                equal(len(sink.recv(65536)), 1400, "length of a datagram")
                got += 1
        except TimeoutError:
            pass
    equal(got, 4500, "datagrams that arrived")
    check(any(size > 20000 for size in received), f"no large packet was seen on the way: largest {max(received)}")


@test
def a14_jumbo_frames_pass_whole(world):
    """9001 bytes of IP, unfragmented, between guests of that MTU."""
    world.set_mtu(9001)
    try:
        for address, overhead in (("10.0.2.10", 28), ("2001:db8:1:2::10", 48), ("10.0.2.20", 28)):
            done = world.a.run("ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s",
                               str(9001 - overhead), address, check=False)
            check(" 2 received" in done.stdout, f"9001 bytes to {address}: {done.stdout!r}")
    finally:
        world.set_mtu(1500)


@test
def fragments_arrive(world):
    """CT-18: datagrams and echo requests of 5,000 bytes at MTU 1500, both families, veth and tap."""
    for address in ("10.0.2.10", "2001:db8:1:2::10", "10.0.2.20", "2001:db8:1:2::20"):
        check(traffic.ping(world.a, address, size=5000), f"no echo reply of 5,000 bytes from {address}")


if __name__ == "__main__":
    run()
