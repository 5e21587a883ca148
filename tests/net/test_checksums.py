#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""D7: every checksum of what goes through the internet, the NAT, the transit and the virtual private gateway, both ways,
recomputed at the receiver: {IPv4, IPv6} x {TCP, UDP, UDP without a checksum, ICMP, ICMP error} x {offloads on, off}. Receivers
are taps, and uplinks whose devices leave nothing to do to the other end, so that the frames that are looked at are finished.

What there is not: IPv6 over a virtual private gateway (VGW-04), and UDP without a checksum in IPv6."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, gates, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, SITE, Fabric
from vpcnet.gates import A, A6, A2, D, D6, M6, P6, QM, QP
from vpcnet.harness import check, equal, run, scene, test

ECHO, CLOSED = 7000, 7001
ALL4 = {("TCP", False), ("UDP", False), ("UDP without a checksum", False), ("ICMP", False)}
ALL6 = {("TCP", True), ("UDP", True), ("ICMP", True)}


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
    with Fabric(gates.make_state(taps=("a2", "m", "d"))) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        for guest in (*fabric.guests.values(), fabric.internet, fabric.site):
            listeners.tcp(guest, ECHO)
            listeners.udp(guest, ECHO)
        for uplink in ("up0", "site0"):  # the host's end finishes all checksums; the far end believes none
            fabric.host.set_offloads(uplink, False)
        yield fabric


def with_offloads(guest, work):
    """Do it with all offloads of the sender, and with none."""
    for offloads in (True, False):
        guest.set_offloads("eth0", offloads)
        try:
            work("on" if offloads else "off")
        finally:
            guest.set_offloads("eth0", True)
            guest.run("ethtool", "-K", "eth0", "gro", "off")  # what is merged on arrival is not what was on the wire


def to_uplink(guest, far, targets, wanted):
    """The guest talks to what lies behind an uplink, where all that arrives is looked at."""
    def work(offloads):
        books = Books()
        with frames.Watch(far, matching=books.note):
            for target in targets:
                equal(kinds(guest, target), [], f"what failed to {target}, offloads {offloads}")
        check(not books.faults, f"offloads {offloads}: {len(books.faults)} frames: {books.faults[:4]}")
        missing = wanted - set(books.kinds)
        check(not missing, f"never seen on the uplink: {missing} in {books.kinds}")
    with_offloads(guest, work)


def to_tap(fabric, guest, eni, targets):
    """Somebody talks to a guest on a tap, whose cable looks at all frames of both ways."""
    cable = fabric.cables[eni]

    def work(offloads):
        before = cable.frames
        for target in targets:
            equal(kinds(guest, target), [], f"what failed to {target}, offloads {offloads}")
        check(cable.frames > before + 8 and not cable.bad_checksums, f"{eni}: {cable.frames} frames, {cable.bad_checksums[:4]}")
    with_offloads(guest, work)


def from_tap(fabric, eni, targets):
    """A guest on a tap opens; what comes back is looked at."""
    cable, before = fabric.cables[eni], fabric.cables[eni].frames
    for target in targets:
        equal(kinds(fabric.guest(eni), target), [], f"what failed from {eni} to {target}")
    check(cable.frames > before + 8 and not cable.bad_checksums, f"{eni}: {cable.frames} frames, {cable.bad_checksums[:4]}")


@test
def d7_internet_gateway(fabric):
    to_uplink(fabric.guest("eni-p"), fabric.internet, (INTERNET4, INTERNET6), ALL4 | ALL6)
    to_tap(fabric, fabric.internet, "eni-m", (QM, M6))
    from_tap(fabric, "eni-m", (INTERNET4, INTERNET6))


@test
def d7_nat_gateway(fabric):
    """IPv6 of the same guest takes the egress-only gateway."""
    to_uplink(fabric.guest("eni-a"), fabric.internet, (INTERNET4, INTERNET6), ALL4 | ALL6)
    from_tap(fabric, "eni-a2", (INTERNET4,))


@test
def d7_transit_gateway(fabric):
    to_tap(fabric, fabric.guest("eni-a"), "eni-d", (D, D6))
    from_tap(fabric, "eni-d", (A, A6))


@test
def d7_virtual_private_gateway(fabric):
    to_uplink(fabric.guest("eni-a"), fabric.site, (SITE,), ALL4)
    to_tap(fabric, fabric.site, "eni-a2", (A2,))
    from_tap(fabric, "eni-a2", (SITE,))


@test
def d7_errors_of_guests_go_out_right(fabric):
    """Port unreachable from inside, whose quoted packet is translated back: the sender's kernel knows its own socket."""
    for far, targets in ((fabric.internet, (QP, P6)), (fabric.site, (A,))):
        for target in targets:
            books = Books()
            with frames.Watch(far, matching=books.note):
                equal(traffic.udp(far, target, CLOSED), "refused", f"UDP to the closed port of {target}")
            check(not books.faults and books.kinds.get(("ICMP error", ":" in target)), f"{target}: {books.faults} {books.kinds}")


if __name__ == "__main__":
    run()
