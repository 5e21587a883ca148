#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""D7: every checksum of what leaves by the internet gateway and the NAT gateway, and of what comes back, recomputed at the
receiver: {IPv4, IPv6} x {TCP, UDP, UDP without a checksum, ICMP, ICMP error} x {offloads on, off}. Receivers are taps, and an
uplink whose device leaves nothing to do to the other end, so that the frames that are looked at are finished."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import ANYWHERE, State, allow

ECHO, CLOSED = 7000, 7001
PUBLIC = {"eni-veth": "203.0.113.10", "eni-tap": "203.0.113.11"}
SIX = {"eni-veth": "2001:db8:1:1::10", "eni-tap": "2001:db8:1:1::11", "eni-inner": None, "eni-itap": None}


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.internet_gateway("igw-1", "vpc-1")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.subnet("s-2", "vpc-1", "10.0.2.0/24")
    state.table("rtb-1", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")], subnets=["s-1"])
    inner = state.table("rtb-2", "vpc-1", [], subnets=["s-2"])
    inner["Routes"].append({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active", "Origin": "CreateRoute"})
    state.group("sg-all", "vpc-1", [allow("-1", None, *ANYWHERE)], [allow("-1", None, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")])
    for number, eni in enumerate(SIX):
        subnet = 1 if eni in PUBLIC else 2
        state.eni(eni, f"s-{subnet}", f"10.0.{subnet}.{10 + number}", ["sg-all"], SIX[eni], PUBLIC.get(eni))
    nat = state.eni("eni-nat", "s-1", "10.0.1.220", [], public="203.0.113.220", check=False)
    nat["InterfaceType"] = "nat_gateway"
    state["NatGateways"] = [{"NatGatewayId": "nat-1", "VpcId": "vpc-1", "SubnetId": "s-1", "State": "available",
                             "ConnectivityType": "public", "NatGatewayAddresses": [
                                 {"NetworkInterfaceId": "eni-nat", "PrivateIp": "10.0.1.220", "PublicIp": "203.0.113.220",
                                  "IsPrimary": True, "Status": "succeeded"}]}]
    state.host("host-a", [("eni-veth", "veth-a"), ("eni-tap", "tap-a"), ("eni-inner", "veth-i"), ("eni-itap", "tap-i")],
               [("igw-1", "up0")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


def kinds(guest, target):
    """One exchange of each kind with the target; the name of each that did not come back."""
    failed = [] if traffic.tcp(guest, target, ECHO, data=b"odd" * 999) == "open" else ["TCP"]
    failed += [] if traffic.udp(guest, target, ECHO, data=b"odd") == "answered" else ["UDP"]
    failed += [] if traffic.udp(guest, target, CLOSED) == "refused" else ["ICMP error"]
    failed += [] if traffic.ping(guest, target, size=57) else ["ICMP"]
    if ":" not in target:
        with guest.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
            sock.settimeout(1.0 * SLOW)
            sock.sendto(b"unsummed", (target, ECHO))
            try:
                failed += [] if sock.recv(64) == b"unsummed" else ["UDP without a checksum"]
            except TimeoutError:
                failed.append("UDP without a checksum")
    return failed


class Books:
    """What arrived, by kind, and the faults in it."""

    def __init__(self):
        self.kinds, self.faults = {}, []

    def note(self, frame):
        fault = frames.checksum_fault(frame)
        if fault:
            self.faults.append(fault)
        if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
            six = frame[12:14] == b"\x86\xdd"
            proto, l4 = (frame[20], 54) if six else (frame[23], 34)
            word = {frames.TCP: "TCP", frames.UDP: "UDP", frames.ICMP: "ICMP", frames.ICMP6: "ICMP"}.get(proto, "other")
            if word == "UDP" and frame[l4 + 6:l4 + 8] == b"\0\0":
                word = "UDP without a checksum"
            if word == "ICMP" and frame[l4] in ((1, 2, 3, 4) if six else (3, 11, 12)):
                word = "ICMP error"
            self.kinds[word, six] = self.kinds.get((word, six), 0) + 1
        return False


@scene
def gateways():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        for guest in (*fabric.guests.values(), fabric.internet):
            listeners.tcp(guest, ECHO)
            listeners.udp(guest, ECHO)
        # The host's end of the uplink finishes all checksums; the far end believes none.
        fabric.host.set_offloads("up0", False)
        yield fabric


def outward(fabric, guest, targets, offloads, wanted):
    books = Books()
    guest.set_offloads("eth0", offloads)
    try:
        with frames.Watch(fabric.internet, matching=books.note):
            for target in targets:
                equal(kinds(guest, target), [], f"what failed to {target}, offloads {offloads}")
    finally:
        guest.set_offloads("eth0", True)
    check(not books.faults, f"offloads {offloads}: {len(books.faults)} frames: {books.faults[:4]}")
    missing = [kind for kind in wanted if not books.kinds.get(kind)]
    check(not missing, f"never seen on the uplink: {missing} in {books.kinds}")


@test
def out_by_the_internet_gateway(fabric):
    wanted = [("TCP", False), ("TCP", True), ("UDP", False), ("UDP", True), ("UDP without a checksum", False), ("ICMP", False),
              ("ICMP", True)]
    for offloads in (True, False):
        outward(fabric, fabric.guest("eni-veth"), (INTERNET4, INTERNET6), offloads, wanted)


@test
def out_by_the_nat_gateway(fabric):
    wanted = [("TCP", False), ("UDP", False), ("UDP without a checksum", False), ("ICMP", False)]
    for offloads in (True, False):
        outward(fabric, fabric.guest("eni-inner"), (INTERNET4,), offloads, wanted)


@test
def errors_of_guests_go_out_right(fabric):
    """Port unreachable from inside, whose quoted packet is translated back: the sender's kernel knows its own socket."""
    for target in (PUBLIC["eni-veth"], SIX["eni-veth"]):
        books = Books()
        with frames.Watch(fabric.internet, matching=books.note):
            equal(traffic.udp(fabric.internet, target, CLOSED), "refused", f"UDP to the closed port of {target}")
        check(not books.faults and books.kinds.get(("ICMP error", ":" in target)), f"{target}: {books.faults} {books.kinds}")


@test
def in_to_taps(fabric):
    """By the internet gateway and back through the NAT gateway; the cable reads finished frames both ways."""
    for offloads in (True, False):
        fabric.internet.set_offloads("eth0", offloads)
        try:
            for target in (PUBLIC["eni-tap"], SIX["eni-tap"]):
                equal(kinds(fabric.internet, target), [], f"what failed to {target}, offloads {offloads}")
            equal(kinds(fabric.guest("eni-itap"), INTERNET4), [], f"what failed through the NAT gateway, offloads {offloads}")
        finally:
            fabric.internet.set_offloads("eth0", True)
    for eni in ("eni-tap", "eni-itap"):
        cable = fabric.cables[eni]
        check(cable.frames > 40 and not cable.bad_checksums, f"{eni}: {cable.frames} frames, {cable.bad_checksums[:4]}")


if __name__ == "__main__":
    run()
