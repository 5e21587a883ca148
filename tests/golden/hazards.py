# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ways in that a hostile tenant or an outsider tried, by the id of their class."""
from author import A, B, PASS, QA, QB, UP, X, Case, deliver, drop, edited, perm, state, tcp, udp
import frames as F

BASE = state()


def from_outside():
    s = state({"a": ([perm("tcp", 22, "10.0.0.0/16", QB + "/32", X + "/32")], [perm("udp", 99, "0.0.0.0/0")])})
    c = Case("b1-inside-address-from-outside",
             "B1: a rule for an inside address, or a flow with one, admits nobody who comes by the uplink", s)
    c.put("a", udp(A, B, 4000, 99), deliver("b"), 0)
    c.put(UP, udp(B, QA, 99, 4000), drop("martian"), 1)
    c.put("b", udp(B, A, 99, 4000), deliver("a"), 1)
    c.put(UP, tcp(B, QA, 4000, 22), drop("martian"))
    c.put(UP, tcp(QB, QA, 4000, 22), drop("martian"))
    c.put(UP, tcp(B, QA, 4000, 23), drop("sg-ingress", "martian"))
    c.put(UP, tcp(X, QA, 4000, 22), deliver("a", src=X, dst=A))
    yield c.put("b", tcp(B, QA, 4001, 22), deliver("a", src=QB, dst=A))


def from_a_middlebox():
    c = Case("a13-addresses-of-the-fabric",
             "A13: without a source check, too, nobody is the router, a service, or the receiver", BASE)
    for source in ("10.0.3.1", "10.0.0.2", "169.254.169.253", B):
        c.put("m", udp(source, B, 53, 4000), drop("martian"))
    yield c.put("m", udp(X, B, 53, 4000), deliver("b"))


def neighbours_in_pieces():
    c = Case("b4-discovery-in-fragments", "B4: neighbour discovery never comes in pieces (RFC 6980)", BASE)
    for kind in range(133, 138):
        body = bytes([kind, 0, 0, 0]) + b"\0" * 36
        first = F.packet("2001:db8:1:1::10", "2001:db8:1:1::11", F.ICMP6, body, ttl=255,
                         chain=[(44, b"\0\0\1\0\0\0\x09")])
        c.put("a", first, drop("fragment", "l2"))
    yield c


def guarded(s):
    s["Hosts"][0]["Ports"][2]["Mode"] = "guard"


def router_claims():
    c = Case("b4-claims-of-the-router-in-guard-mode", "B4: no guest says who the router is", edited(BASE, guarded))
    for own in ("fe80::3", "2001:db8:1:2::20"):
        for target, want in (("fe80:ec2::1", drop("l2")), ("fe80::65:6eff:fe69:6401", drop("l2")), ("fe80::3", PASS)):
            body = bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + F.ip(target) + b"\x02\x01" + F.mac("02:00:00:00:00:03")
            c.put("b", F.packet(own, "fe80::9", F.ICMP6, body, ttl=255), want)
    yield c.put("b", F.solicit("02:00:00:00:00:03", "fe80:ec2::1", "2001:db8:1:2::99"), drop("martian"), dst="raw")


def dhcp():
    c = Case("b6-dhcp-answer-of-a-tenant", "B6: only the router's DHCP answers pass the groups of a guard port",
             edited(state({"b": ([perm("tcp", 22, X + "/32")], [])}), guarded))
    for source, want in ((A, drop("sg-ingress")), (X, drop("sg-ingress")), ("10.0.2.1", PASS)):
        c.put("b", F.frame("02:65:6e:69:64:01", "02:00:00:00:00:03", udp(source, B, 67, 68)), want, tx=True, dst="raw")
    yield c


def hazards():
    for group in (from_outside, from_a_middlebox, neighbours_in_pieces, router_claims, dhcp):
        yield from group()
