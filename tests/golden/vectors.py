# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The conformance vectors (TV-) as golden cases, in the order of their numbers."""
from author import (A, A2, A6, ANY4, B, Case, IGW4, IGW6, M, MAC, OPEN, PASS, QA, QB, UP, X, X6, allow_all, deliver, drop,
                    entry, handshake, nacl, perm, ping, route, state, table, tcp, udp, uplink)
import frames as F

OUT = (X, QB), (B, X)          # X opens to B: what X sends, what B answers
HOST_X = X + "/32"


def tracked():
    web = state({"b": ([perm("tcp", 80, "sg-a")], [])})
    c = Case("tv01-reply-by-tracking", "TV-01 CT-01", web)
    handshake(c, "a", "b", (A, B), (B, A), 40000, 80, deliver("b", src=A, dst=B), deliver("a", src=B, dst=A))
    yield c
    yield Case("tv02-server-opens-nothing", "TV-02 SG-02 PATH-14", web).put("b", tcp(B, A, 40000, 80), drop("sg-egress"))

    ssh, shut = state({"b": ([perm("tcp", 22, HOST_X)], [])}), state({"b": ([], [])})
    c = Case("tv03-tracked-outlives-its-rule", "TV-03 CT-07", ssh)
    handshake(c, UP, "b", *OUT, 40000, 22, deliver("b", src=X, dst=B), uplink(src=QB, dst=X))
    c.edit(shut, 5).put(UP, tcp(X, QB, 40000, 22, "PA", 1001, 5001, b"data"), deliver("b"))
    yield c.put("b", tcp(B, X, 22, 40000, "A", 5001, 1005), uplink()).put(UP, tcp(X, QB, 40001, 22), drop("sg-ingress"))

    c = Case("tv04-untracked-breaks-at-once", "TV-04 CT-03 CT-07", state({"b": ([perm("tcp", 80, "0.0.0.0/0")], OPEN)}))
    handshake(c, UP, "b", *OUT, 40000, 80, deliver("b"), uplink())
    yield c.edit(state({"b": ([], OPEN)}), 5).put(UP, tcp(X, QB, 40000, 80, "PA", 1001, 5001, b"data"), drop("sg-ingress"))

    c = Case("tv05-untracked-by-the-internet-gateway", "TV-05 CT-03 CT-07: the path by the internet gateway",
             state({"a": (OPEN, [perm("tcp", 443, "0.0.0.0/0")])}))
    handshake(c, "a", UP, (A, X), (X, QA), 40000, 443, uplink(src=QA), deliver("a"))
    yield c.edit(state({"a": (OPEN, [])}), 5).put("a", tcp(A, X, 40000, 443, "PA", 1001, 5001, b"data"), drop("sg-egress"))

    c = Case("tv06-network-acl-cuts-a-live-flow", "TV-06 NACL-17", ssh)
    handshake(c, UP, "b", *OUT, 40000, 22, deliver("b"), uplink())
    cut = state({"b": ([perm("tcp", 22, HOST_X)], [])},
                [nacl("S2", entry(50, False, "deny", "6", HOST_X, (22, 22)), *allow_all())])
    yield c.edit(cut, 1).put(UP, tcp(X, QB, 40000, 22, "PA", 1001, 5001, b"data"), drop("nacl-ingress"))


def timers():
    c = Case("tv07-icmp-types", "TV-07 SG-08 CT-05", state({"b": ([perm("icmp", (8, -1), "0.0.0.0/0")], [])}))
    c.put(UP, ping(X, QB), deliver("b", type=8, ident=7)).put("b", ping(B, X, 0), uplink(type=0, src=QB))
    yield c.put(UP, ping(X, QB, 13), drop("sg-ingress"))

    dns = state({"b": ([perm("udp", 53, HOST_X)], [])},
                enis={"b": {"ConnectionTrackingConfiguration": {"UdpTimeout": 30, "UdpStreamTimeout": 180}}})
    for late, want in ((29.5, uplink()), (31.5, drop("sg-egress"))):
        c = Case("tv08-udp-reply-after-%d-s" % (late - 0.5), "TV-08 CT-09", dns)
        c.put(UP, udp(X, QB, 5353, 53), deliver("b"), 0).put("b", udp(B, X, 53, 5353), uplink(), 0.5)
        yield c.put("b", udp(B, X, 53, 5353), want, late)
    c = Case("tv09-udp-stream", "TV-09 CT-09", dns)
    for at in (0, 1):
        c.put(UP, udp(X, QB, 5353, 53), deliver("b"), at).put("b", udp(B, X, 53, 5353), uplink(), at + 0.5)
    c.put("b", udp(B, X, 53, 5353), uplink(), 101.5)
    yield c.put("b", udp(B, X, 53, 5353), drop("sg-egress"), 282.5)


MIDDLE = [table(None, IGW4, IGW6), table("S1", route("0.0.0.0/0", "NetworkInterfaceId", "m"))]


def middleboxes():
    c = Case("tv10-forwarder-needs-its-own-rule", "TV-10 CT-02",
             state({"m": ([perm("-1", None, A + "/32")], [])}, tables=MIDDLE))
    c.put("a", udp(A, X, 4000, 99), deliver("m", src=A, dst=X, smac=MAC["router"]))
    yield c.put("m", udp(A, X, 4000, 99), drop("sg-egress"))
    yield Case("tv11-destination-check", "TV-11 ENI-05", state(tables=MIDDLE, enis={"m": {"SourceDestCheck": True}})).put(
        "a", udp(A, X, 4000, 99), drop("dest-check"))


def acls():
    c = Case("tv12-network-acl-only-between-subnets", "TV-12 NACL-09 L2-04",
             state(nacls=[nacl("S1", entry(100, False, "allow", "-1", "0.0.0.0/0"))]))
    c.put("a", udp(A, A2, 4000, 99), deliver("a2", smac=MAC["a"]), dst="a2").put("a", udp(A, B, 4000, 99), drop("nacl-egress"))
    yield c.put("a", udp(A, A2, 4000, 99), deliver("a2"))
    c = Case("tv13-network-acl-is-stateless", "TV-13 NACL-04",
             state(nacls=[nacl("S1", entry(100, True, "allow", "6", "0.0.0.0/0", (443, 443)))]))
    c.put("a", tcp(A, X, 40000, 443), uplink(src=QA))
    yield c.put(UP, tcp(X, QA, 443, 40000, "SA", 5000, 1001), drop("nacl-ingress"))
    for number, ssh in ((90, drop("nacl-ingress")), (110, deliver("a"))):
        c = Case("tv14-deny-numbered-%d" % number, "TV-14 NACL-02",
                 state(nacls=[nacl("S1", entry(number, False, "deny", "6", HOST_X, (22, 22)), *allow_all())]))
        yield c.put(UP, tcp(X, QA, 4000, 22), ssh).put(UP, tcp(X, QA, 4000, 80), deliver("a"))
    acl = nacl("S1", entry(100, False, "allow", "6", "0.0.0.0/0", (443, 443)), *allow_all()[2:])
    c = Case("tv15-network-acl-tests-the-destination-port", "TV-15 NACL-06", state(nacls=[acl]))
    c.put("a", tcp(A, X, 50000, 443), uplink())
    yield c.put(UP, tcp(X, QA, 443, 50000, "SA", 5000, 1001), drop("nacl-ingress"))


def routes():
    vgw = {"VpnGateways": [{"VpnGatewayId": "vgw-1", "State": "available",
                            "VpcAttachments": [{"VpcId": "v1", "State": "attached"}]}]}
    propagated = route("10.0.2.0/24", "GatewayId", "vgw-1", origin="EnableVgwRoutePropagation")
    yield Case("tv16-propagated-never-beats-local", "TV-16 RT-04", state(tables=[table(None, propagated)], **vgw)).put(
        "a", udp(A, B, 4000, 99), deliver("b"))
    c = Case("tv17-subnet-route-to-a-middlebox", "TV-17 RT-05 RT-07",
             state(tables=[table(None, IGW4), table("S1", route("10.0.2.0/24", "NetworkInterfaceId", "m"))]))
    c.put("a", udp(A, B, 4000, 99), deliver("m", src=A, dst=B)).put("a", udp(A, A2, 4000, 99), deliver("a2"), dst="a2")
    yield c.put("m", udp(A, B, 4000, 99), deliver("b", src=A))
    c = Case("tv18-blackhole-does-not-fall-back", "TV-18 RT-11 RT-28",
             state(tables=[table(None, IGW4, route("203.0.113.0/24", "NatGatewayId", "nat-gone"))]))
    yield c.put("a", udp(A, "203.0.113.5", 4000, 99), drop("blackhole")).put("a", udp(A, X, 4000, 99), uplink())
    two = [{"Primary": True, "PrivateIpAddress": A, "Association": {"PublicIp": QA}},
           {"Primary": False, "PrivateIpAddress": "10.0.1.12"}]
    c = Case("tv19-source-needs-its-own-public-address", "TV-19 IGW-03", state(enis={"a": {"PrivateIpAddresses": two}}))
    c.put("a", udp(A, X, 4000, 99), uplink(src=QA))
    yield c.put("a", udp("10.0.1.12", X, 4000, 99), drop("igw-no-public-address"))
    c = Case("tv20-one-to-one-translation", "TV-20 IGW-02 IGW-04",
             state({"a": ([perm("tcp", 22, HOST_X)], [])}))
    c.put(UP, tcp(X, QA, 51000, 22), deliver("a", src=X, dst=A, sport=51000, dport=22))
    yield c.put("a", tcp(A, X, 22, 51000, "SA", 5000, 1001), uplink(src=QA, dst=X, sport=22, dport=51000))
    c = Case("tv21-related-icmp-error", "TV-21 IGW-05 CT-14", state({"a": ([], [perm("tcp", 80, "0.0.0.0/0")])}))
    c.put("a", tcp(A, X, 40000, 80), uplink(src=QA))
    for sport, want in ((40000, deliver("a", src="198.51.100.1", dst=A, isrc=A, idst=X, isport=40000, idport=80)),
                        (40001, drop("sg-ingress"))):
        quoted = F.packet(QA, X, F.TCP, F.tcp(sport, 80, "A", 1001, 5001))
        c.put(UP, F.packet("198.51.100.1", QA, F.ICMP, F.icmp(3, 4, b"\0\0\x05\x78", quoted)), want)
    yield c


def references():
    by_group = {"b": ([perm("tcp", 80, "sg-a")], [])}
    c = Case("tv31-reference-does-not-match-a-public-address", "TV-31 IGW-11 SG-14", state(by_group))
    c.put("a", tcp(A, QB, 40000, 80), drop("sg-ingress"))
    c.edit(state({"b": ([perm("tcp", 80, QA + "/32")], [])}))
    c.put("a", tcp(A, QB, 40000, 80), deliver("b", src=QA, dst=B, smac=MAC["router"]))
    yield c.put("b", tcp(B, QA, 80, 40000, "SA", 5000, 1001), deliver("a", src=QB, dst=A))
    via = [table(None, IGW4), table("S1", route("10.0.2.0/24", "NetworkInterfaceId", "m"))]
    c = Case("tv32-reference-does-not-match-behind-a-middlebox", "TV-32 SG-18", state(by_group, tables=via))
    c.put("a", tcp(A, B, 40000, 80), deliver("m", src=A, dst=B)).put("m", tcp(A, B, 40000, 80), drop("sg-ingress"))
    c.edit(state({"b": ([perm("tcp", 80, A + "/32")], [])}, tables=via))
    yield c.put("m", tcp(A, B, 40000, 80), deliver("b", src=A))
    c = Case("tv36-delegated-prefix-is-delivered", "TV-36 ENI-06 ENI-12: the packet; its record is a flow-log test",
             state(enis={"b": {"Ipv4Prefixes": [{"Ipv4Prefix": "10.0.2.64/28"}]}}))
    yield c.put("a", udp(A, "10.0.2.70", 4000, 99), deliver("b", dst="10.0.2.70")).put(
        "a", udp(A, "10.0.2.80", 4000, 99), drop("no-owner"))


def exemptions():
    shut = state({"a": ([], [])}, [nacl("S1")])
    c = Case("tv39-services-are-exempt", "TV-39 SG-22 SG-23 PATH-13", shut)
    for service, port in (("169.254.169.253", 53), ("169.254.169.254", 80), ("169.254.169.123", 123), ("10.0.0.2", 53)):
        c.put("a", udp(A, service, 4000, port), PASS)
    c.put("a", udp(A6, "fd00:ec2::253", 4000, 53), PASS)
    c.put("a", F.frame(MAC["a"], "ff:ff:ff:ff:ff:ff", udp("0.0.0.0", "255.255.255.255", 68, 67)), PASS, dst="raw")
    c.put("a", ping(A, "10.0.1.1"), {"action": "reply", "to": "a", "src": "10.0.1.1", "dst": A, "type": 0, "ident": 7,
                                     "csum": True, "dmac": MAC["a"]})
    yield c.put("a", udp(A, "192.0.2.53", 4000, 53), drop("sg-egress"))
    c = Case("tv40-any-ipv4-is-not-ipv6", "TV-40 SG-10", state({"b": ([perm("tcp", 80, "0.0.0.0/0")], OPEN)}))
    yield c.put(UP, tcp(X6, "2001:db8:1:2::20", 40000, 80), drop("sg-ingress")).put(UP, tcp(X, QB, 40000, 80), deliver("b"))

    full = state({"b": ([perm("udp", 53, HOST_X), perm("tcp", 80, "0.0.0.0/0")], [ANY4])})
    c = Case("tv42-full-table", "TV-42 CT-16 CT-17", full, "--max-flows 64")
    c.put(UP, udp(X, QB, 5000, 53), deliver("b"), 0).put("b", udp(B, X, 53, 5000), uplink(), 0)
    for n in range(100):
        c.put(UP, udp(X, QB, 6000 + n, 53), {"action": ["deliver", "drop"], "reason": ["conntrack-full"]}, 1)
    c.put(UP, udp(X, QB, 7000, 53), drop("conntrack-full"), 1)
    c.put(UP, udp(X, QB, 5000, 53), deliver("b"), 1).put("b", udp(B, X, 53, 5000), uplink(), 1)
    yield c.put(UP, tcp(X, QB, 7001, 80), deliver("b"), 1)

    two = {"b": {"Groups": [{"GroupId": "sg-b"}, {"GroupId": "sg-m"}]}}
    narrow, wide = [perm("tcp", 22, HOST_X)], [perm("tcp", 22, "0.0.0.0/0")]
    c = Case("tv43-untracked-becomes-tracked", "TV-43 CT-04 CT-21", state({"b": (narrow, OPEN), "m": (wide, OPEN)}, enis=two))
    handshake(c, UP, "b", *OUT, 40000, 22, deliver("b"), uplink())
    c.edit(state({"b": (narrow, OPEN), "m": ([], OPEN)}, enis=two), 5)
    c.put(UP, tcp(X, QB, 40000, 22, "PA", 1001, 5001, b"data"), deliver("b"))
    c.edit(state({"b": ([], OPEN), "m": ([], OPEN)}, enis=two), 6)
    yield c.put(UP, tcp(X, QB, 40000, 22, "PA", 1005, 5001, b"data"), deliver("b"))
    c = Case("tv47-delegated-prefix-is-the-sender-s-own", "TV-47 ENI-04 ENI-06",
             state(enis={"a": {"Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.64/28"}]}}))
    yield c.put("a", udp("10.0.1.70", B, 4000, 99), deliver("b", src="10.0.1.70")).put(
        "a", udp("10.0.1.90", B, 4000, 99), drop("source-check"))


def vectors():
    for group in (tracked, timers, middleboxes, acls, routes, references, exemptions):
        yield from group()
