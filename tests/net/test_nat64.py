#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""NAT64 on wires (NAT-21): real sockets of IPv6 guests, on veth and tap, reach IPv4 servers by a NAT gateway whose subnet has
no IPv6; every checksum recomputed at the receiver, with offloads on and off, TCP in large segments, UDP in pieces."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import Agent
from vpcnet.fabric import INTERNET4, Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import State, acl, acl_open, allow

ECHO, CLOSED = 7000, 7001
PREFIX = "64:ff9b::"
GATEWAY, PUBLIC, INSIDE = "10.0.1.220", "203.0.113.220", "10.0.1.30"
FAR, FAR_MTU = "192.0.2.9", 1400
LOW_PORT = 500  # below those that the gateway uses


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.internet_gateway("igw-1", "vpc-1")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24")
    for number in (2, 3):
        state.subnet(f"s-{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-1", "vpc-1", [("0.0.0.0/0", "igw-1")], subnets=["s-1"])
    inner = state.table("rtb-2", "vpc-1", [], subnets=["s-2", "s-3"])
    for key, cidr in (("DestinationIpv6CidrBlock", "64:ff9b::/96"), ("DestinationCidrBlock", "0.0.0.0/0")):
        inner["Routes"].append({key: cidr, "NatGatewayId": "nat-1", "State": "active", "Origin": "CreateRoute"})
    state.nacl("acl-3", "vpc-1", ["s-3"], [
        *[acl(90 + six, "allow", "6", source, (LOW_PORT, LOW_PORT)) for six, source in enumerate(("0.0.0.0/0", "64:ff9b::/96"))],
        *[entry for entry in acl_open() if entry["Egress"]]])
    state.group("sg-all", "vpc-1", [allow("-1", None, "0.0.0.0/0")], [allow("-1", None, "0.0.0.0/1", "128.0.0.0/1", "64:ff9b::/96")])
    for number, eni in enumerate(("eni-veth", "eni-tap"), 10):
        state.eni(eni, "s-2", f"10.0.2.{number}", ["sg-all"], f"2001:db8:1:2::{number}")
    state.eni("eni-low", "s-3", "10.0.3.10", ["sg-all"], "2001:db8:1:3::10")
    state.eni("eni-inside", "s-1", INSIDE, ["sg-all"])
    nat = state.eni("eni-nat", "s-1", GATEWAY, [], public=PUBLIC, check=False)
    nat["InterfaceType"] = "nat_gateway"
    state["NatGateways"] = [{"NatGatewayId": "nat-1", "VpcId": "vpc-1", "SubnetId": "s-1", "State": "available",
                             "ConnectivityType": "public", "NatGatewayAddresses": [
                                 {"NetworkInterfaceId": "eni-nat", "PrivateIp": GATEWAY, "PublicIp": PUBLIC,
                                  "IsPrimary": True, "Status": "succeeded"}]}]
    state.host("host-a", [("eni-veth", "veth-a"), ("eni-tap", "tap-a"), ("eni-low", "veth-l"), ("eni-inside", "veth-i")],
               [("igw-1", "up0")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        self.far = fabric.add_far_host(FAR, mtu=FAR_MTU)
        self.clients = {eni: fabric.guest(eni) for eni in ("eni-veth", "eni-tap")}
        for guest in (fabric.internet, fabric.guest("eni-inside"), self.far):
            listeners.tcp(guest, ECHO)
            listeners.udp(guest, ECHO)


@scene
def gateway():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        # The host's end of the uplink finishes all checksums; the far end believes none.
        fabric.host.set_offloads("up0", False)
        yield World(fabric, agent, listeners)


class Arrivals:
    """Frames at the internet: faults of their checksums, and who sent how large ones."""

    def __init__(self):
        self.faults, self.sources, self.largest = [], set(), 0

    def note(self, frame):
        fault = frames.checksum_fault(frame)
        self.faults += [fault] if fault else []
        if frame[12:14] == b"\x08\x00":
            self.sources.add(socket.inet_ntoa(frame[26:30]))
        elif frame[12:14] == b"\x86\xdd" and frames.ICMP6 not in (frame[20], frame[20] or frame[54]):  # MLD's comes behind options
            self.faults.append("IPv6 on the uplink")
        self.largest = max(self.largest, len(frame))
        return False


def exchange(guest, target):
    """The name of each kind of exchange that failed."""
    target = PREFIX + target
    failed = [] if traffic.tcp(guest, target, ECHO, data=b"odd" * 999) == "open" else ["TCP"]
    failed += [] if traffic.udp(guest, target, ECHO, data=b"odd") == "answered" else ["UDP"]
    failed += [] if traffic.udp(guest, target, CLOSED) == "refused" else ["ICMP error"]
    return failed + ([] if traffic.ping(guest, target, size=57) else ["echo"])


@test
def all_kinds_with_offloads_and_without(world):
    for eni, guest in world.clients.items():
        for offloads in (True, False):
            arrivals = Arrivals()
            guest.set_offloads("eth0", offloads)
            try:
                with frames.Watch(world.fabric.internet, matching=arrivals.note):
                    equal(exchange(guest, INTERNET4), [], f"what failed from {eni}, offloads {offloads}")
            finally:
                guest.set_offloads("eth0", True)
            check(not arrivals.faults, f"{eni}, offloads {offloads}: {arrivals.faults[:4]}")
            check(PUBLIC in arrivals.sources, f"nobody from {PUBLIC}: {arrivals.sources}")
            equal(world.listeners.peers.get(ECHO), PUBLIC, "who the server saw")
    cable = world.fabric.cables["eni-tap"]
    check(cable.frames > 40 and not cable.bad_checksums, f"{cable.frames} frames, {cable.bad_checksums[:4]}")


@test
def bulk_in_large_segments(world):
    """A14: 64 KB packets change their family whole; each side's kernel verifies the sums of all that arrives."""
    data = os.urandom(1 << 20)
    for there in (True, False):
        for back in (True, False):
            for guest in world.clients.values():
                guest.set_offloads("eth0", there)
                world.fabric.internet.set_offloads("eth0", back)
                try:
                    equal(traffic.tcp(guest, PREFIX + INTERNET4, ECHO, data=data), "open", f"1 MiB, offloads {there}, {back}")
                finally:
                    guest.set_offloads("eth0", True)
                    world.fabric.internet.set_offloads("eth0", True)
    large = Arrivals()
    with frames.Watch(world.fabric.guest("eni-inside"), matching=large.note):
        equal(traffic.tcp(world.clients["eni-veth"], PREFIX + INSIDE, ECHO, data=data), "open", "1 MiB inside the VPC")
    check(large.largest > 20000, f"no packet above 20,000 bytes was translated: {large.largest}")
    faults = world.fabric.cables["eni-tap"].bad_checksums
    check(not faults, f"{len(faults)} frames with a wrong checksum: {faults[:4]}")


@test
def udp_segmentation_offload(world):
    """45 datagrams in one packet become 45 datagrams of IPv4."""
    inside, got = world.fabric.guest("eni-inside"), 0
    sink = inside.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    sink.bind(("", 5555))
    sink.settimeout(1.0)
    with sink:
        traffic.send_segments(world.clients["eni-veth"], PREFIX + INSIDE, 5555, 1300, 45, 20)
        try:
            while got < 900:
                equal(len(sink.recv(65536)), 1300, "length of a datagram")
                got += 1
        except TimeoutError:
            pass
    equal(got, 900, "datagrams that arrived")


@test
def into_the_vpc(world):
    """Offloaded on both sides: nothing on the way finishes a checksum."""
    for eni, guest in world.clients.items():
        equal(exchange(guest, INSIDE), [], f"what failed from {eni}")
        equal(world.listeners.peers.get(ECHO), GATEWAY, "who the ENI saw")


@test
def datagrams_in_pieces(world):
    for eni, guest in world.clients.items():
        got = []
        data = os.urandom(4000)
        for place, device in ((world.fabric.host, "veth-a" if eni == "eni-veth" else "tap-a"), (guest, "eth0")):
            place.ip(f"link set {device} mtu 1600")  # pieces of 1500 bytes of IPv4 are 1528 of IPv6
        traffic.udp(guest, PREFIX + INTERNET4, ECHO, False, data=data)  # learns what the path takes
        equal(traffic.udp(guest, PREFIX + INTERNET4, ECHO, data=data, ret_data=got), "answered", f"4,000 bytes from {eni}")
        equal(got, [data], "what came back")


@test
def datagrams_without_a_checksum(world):
    """From IPv4, which allows that: the guest's kernel would not take them."""
    guest = world.clients["eni-tap"]
    with world.fabric.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            guest.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        server.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
        server.bind((INTERNET4, 7100))
        server.settimeout(3)
        client.settimeout(3)
        client.sendto(b"hello", (PREFIX + INTERNET4, 7100))
        peer = server.recvfrom(64)[1]
        for size in (0, 1, 2, 511, 512, 513, 1400):
            data = os.urandom(size)
            server.sendto(data, peer)
            equal(client.recv(2048), data, f"{size} bytes")
    faults = world.fabric.cables["eni-tap"].bad_checksums
    check(not faults, f"{faults[:4]}")


@test
def traceroute_shows_the_way(world):
    for guest in world.clients.values():
        equal(traffic.trace_route(guest, PREFIX + FAR), [PREFIX + text for text in ("a00:1dc", "c633:6407")] + ["arrived"], "the hops")


@test
def path_mtu_is_learned(world):
    """Fragmentation needed, 1400, is 1420 to the IPv6 sender; bulk data goes over the narrow path."""
    guest = world.clients["eni-veth"]
    equal(traffic.tcp(guest, PREFIX + FAR, ECHO, data=b"m" * 300000), "open", "bulk TCP")
    traffic.udp(guest, PREFIX + FAR, ECHO, False, data=b"u" * (FAR_MTU - 28 + 1))
    route = guest.run("ip", "route", "get", PREFIX + FAR).stdout
    check(f"mtu {FAR_MTU + 20}" in route, f"the guest did not learn the path MTU: {route!r}")
    equal(traffic.udp(guest, PREFIX + FAR, ECHO, data=b"u" * (FAR_MTU - 28)), "answered", "what fits exactly")


@test
def nothing_else_is_carried(world):
    before = world.agent.drops()
    guest = world.clients["eni-veth"]
    for target, reason in (("127.0.0.1", "martian"), (PUBLIC, "nat-hairpin"), (GATEWAY, "nat-hairpin")):
        equal(traffic.udp(guest, PREFIX + target, ECHO, False), "silent", f"UDP to {target} by NAT64")
        check(world.agent.dropped(before).get(reason, 0) >= 1, f"{reason} is not counted for {target}")
        before = world.agent.drops()


@test
def acl_behind_the_gateway_knows_the_port_of_the_client(world):
    """NAT-13, PATH-05: only answers to one port come into the subnet, and the gateway never uses that port itself."""
    guest = world.fabric.guest("eni-low")
    for target in (INTERNET4, PREFIX + INTERNET4):
        before = world.agent.drops()
        try:
            with traffic.Session(guest, target, ECHO, sport=LOW_PORT) as session:
                check(session.echo(), f"no data from {target}")
                session.abort()
        except OSError as error:
            raise AssertionError(f"{target}: {error}, dropped {world.agent.dropped(before)}") from error
        equal(traffic.tcp(guest, target, ECHO, False), "silent", f"TCP to {target} from another port")


if __name__ == "__main__":
    run()
