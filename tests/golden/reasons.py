# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each reason for a drop at least once, and the edges of the header rules and of connection tracking."""
from author import (A, A2, A6, B, B6, Case, IGW4, IGW6, LOCAL, M, MAC, OPEN, PASS, QA, QB, UP, X, X6, allow_all, deliver, drop,
                    edited, entry, frame, handshake, nacl, perm, ping, route, state, table, tcp, udp, uplink)
import frames as F

BASE = state()
REPLY = {"action": "reply"}


def headers():
    good = frame("a", udp(A, B, 4000, 99))
    c = Case("reason-malformed", "A5 A16 A7: headers cut short and lengths that lie", BASE)
    for cut in (13, 20, 33, 41):
        c.put("a", good[:cut], drop("malformed"), dst="raw")
    c.put("a", F.ip4(F.ip(A), F.ip(B), 17, F.udp(4000, 99), total=60), drop("malformed"))
    c.put("a", F.ip4(F.ip(A), F.ip(B), 17, F.udp(4000, 99), total=19), drop("malformed"))
    c.put("a", good[:14] + b"\x44" + good[15:], drop("malformed"), dst="raw")
    c.put("a", good[:14] + b"\x65" + good[15:], drop("malformed"), dst="raw")
    c.put("a", F.packet(A, B, F.TCP, F.tcp(1, 2, "S")[:12] + b"\x40" + F.tcp(1, 2, "S")[13:]), drop("malformed"))
    c.put("a", F.packet(A6, B6, F.UDP, F.udp(1, 99), chain=[(60, b"\0\1\4\0\0\0\0")] * 9), drop("malformed"))
    yield c.put("a", good + b"\0" * 18, deliver("b", sport=4000), dst="raw")

    c = Case("reason-ethertype", "L2-05 A10", BASE)
    for kind in (b"\x88\x47", b"\x08\x42", b"\x00\x2e", b"\x88\x63", b"\x86\xde"):
        c.put("a", good[:12] + kind + good[14:], drop("ethertype"), dst="raw")
    yield c
    c = Case("reason-vlan", "L2-05 A9", BASE)
    for tag in (b"\x81\x00\x00\x00", b"\x81\x00\x00\x64", b"\x88\xa8\x0f\xff"):
        c.put("a", good[:12] + tag + good[12:], drop("vlan"), dst="raw")
    yield c
    c = Case("reason-ip-options", "A6: source routing is dropped, other options are carried", BASE)
    for option, want in ((b"\x83\x07\x04\x0a\0\0\1\0", drop("ip-options")), (b"\x89\x07\x04\x0a\0\0\1\0", drop("ip-options")),
                         (b"\x01\x01\x01\x01", deliver("b", sport=4000, dport=99)),
                         (b"\x07\x07\x04\0\0\0\0\0", deliver("b", sport=4000, dport=99)),
                         (b"\x07\x01\x04\0", drop("malformed"))):
        c.put("a", udp(A, B, 4000, 99, options=option), want)
    yield c


def pieces(src, dst, l4, ident, at):
    """An IPv4 datagram in two."""
    whole = F.sealed(F.UDP, F.ip(src), F.ip(dst), l4)
    return (F.ip4(F.ip(src), F.ip(dst), F.UDP, whole[:at], ident=ident, more=True),
            F.ip4(F.ip(src), F.ip(dst), F.UDP, whole[at:], ident=ident, offset=at))


def fragments():
    s = state({"b": ([perm("udp", 53, "0.0.0.0/0"), perm("tcp", 80, "0.0.0.0/0")], [])})
    first, rest = pieces(A, B, F.udp(4000, 53, b"z" * 64), 1, 40)
    bad, _ = pieces(A, B, F.udp(4000, 54, b"z" * 64), 1, 40)
    c = Case("reason-fragment", "CT-18 A1 A2: a later fragment follows the first, for 30 s", s)
    c.put("a", rest, drop("fragment"), 0).put("a", first, deliver("b"), 0).put("a", rest, deliver("b"), 0)
    c.put("a", bad, drop("sg-ingress"), 1).put("a", rest, deliver("b"), 1)
    c.put("a", rest, deliver("b"), 29.5).put("a", rest, drop("fragment"), 31.5)
    segment = F.sealed(F.TCP, F.ip(A), F.ip(B), F.tcp(4000, 80, "S", data=b"z" * 36))
    for offset in (8, 16):
        c.put("a", F.ip4(F.ip(A), F.ip(B), F.TCP, segment[offset:offset + 16], ident=2, offset=offset), drop("fragment"))
    yield c.put("a", F.ip4(F.ip(A), F.ip(B), F.TCP, segment[:16], ident=3, more=True), drop("fragment"))
    first, rest = pieces(X, QA, F.udp(4000, 53, b"z" * 64), 5, 40)
    c = Case("fragments-are-translated", "IGW-05 CT-18", BASE)
    c.put(UP, first, deliver("a", src=X, dst=A)).put(UP, rest, deliver("a", src=X, dst=A))
    first, rest = pieces(A, X, F.udp(53, 4000, b"z" * 64), 5, 40)
    yield c.put("a", first, uplink(src=QA)).put("a", rest, uplink(src=QA))


def identity():
    good = udp(A, B, 4000, 99)
    c = Case("reason-mac-spoof", "ENI-09 B2", BASE)
    c.put("a", F.frame("02:00:00:00:77:77", MAC["router"], good), drop("mac-spoof"), dst="raw")
    c.put("a", F.arp(MAC["a2"], 1, MAC["a2"], A2, "10.0.1.1"), drop("mac-spoof"), dst="raw")
    yield c.put("a", F.arp(MAC["a"], 1, MAC["a"], A2, "10.0.1.1"), drop("mac-spoof", "l2", "source-check"), dst="raw")
    c = Case("reason-unknown-mac", "L2-04: a MAC of nobody in the subnet", BASE)
    c.put("a", good, drop("unknown-mac"), dst="b")
    yield c.put("a", F.frame(MAC["a"], "02:aa:aa:aa:aa:aa", good), drop("unknown-mac"), dst="raw")
    c = Case("reason-source-check", "ENI-04 ENI-08", BASE)
    c.put("a", udp("10.0.1.99", B, 4000, 99), drop("source-check")).put("a", udp(QA, B, 4000, 99), drop("source-check"))
    yield c.put("m", udp("192.0.2.9", B, 4000, 99), deliver("b", src="192.0.2.9"))
    c = Case("reason-dest-check", "ENI-05 L2-04: a peer's MAC with a foreign destination", BASE)
    yield c.put("a", udp(A, X, 4000, 99), drop("dest-check"), dst="a2")
    c = Case("reason-martian", "A13", BASE)
    for src in ("127.0.0.1", "0.0.0.0", "169.254.7.7", "224.0.0.9", "255.255.255.255"):
        c.put(UP, udp(src, QA, 4000, 99), drop("martian"))
        c.put("m", udp(src, B, 4000, 99), drop("martian"))
    for src in ("::1", "ff02::9", "::ffff:10.0.1.10"):
        c.put(UP, udp(src, A6, 4000, 99), drop("martian"))
    yield c
    c = Case("reason-multicast", "L2-01", BASE)
    for mac, dst in (("ff:ff:ff:ff:ff:ff", B), ("01:00:5e:00:00:09", "224.0.0.9"), (MAC["router"], "224.0.0.9")):
        c.put("a", F.frame(MAC["a"], mac, udp(A, dst, 4000, 99)), drop("multicast", "l2", "martian"), dst="raw")
    yield c
    c = Case("reason-l2", "L2-03 L2-06: what the fabric consumes", BASE)
    c.put("a", udp(A, A, 4000, 99), drop("l2"))
    c.put("a", F.arp(MAC["a"], 2, MAC["a"], A, A2), drop("l2"), dst="raw")
    c.put("a", F.arp(MAC["a"], 1, MAC["a"], A, A), drop("l2"), dst="raw")
    c.put("a", F.arp(MAC["a"], 1, MAC["a"], A, B), drop("l2"), dst="raw")
    yield c.put("a", F.solicit(MAC["a"], A6, A6, kind=136), drop("l2", "multicast"), dst="raw")


def neighbours():
    c = Case("neighbours-are-answered", "L2-02 L2-06 V6-05", BASE)
    for target, owner in (("10.0.1.1", "router"), (A2, "a2")):
        c.put("a", F.arp(MAC["a"], 1, MAC["a"], A, target),
              dict(REPLY, to="a", op=2, sha=MAC[owner], spa=target, tha=MAC["a"], tpa=A, dmac=MAC["a"]), dst="raw")
    for target, owner in (("2001:db8:1:1::1", "router"), ("fe80:ec2::1", "router"), ("fe80::65:6eff:fe69:6401", "router"),
                          ("2001:db8:1:1::11", "a2")):
        c.put("a", F.solicit(MAC["a"], A6, target),
              dict(REPLY, to="a", type=136, target=target, tlla=MAC[owner], dst=A6, csum=True), dst="raw")
    c.put("a", F.solicit(MAC["a"], A6, B6), drop(), dst="raw")
    c.put("a", F.solicit(MAC["a"], A6, "fe80:ec2::1", ttl=64), drop(), dst="raw")
    c.put(UP, F.arp(MAC["up"], 1, MAC["up"], "203.0.113.1", QA), dict(REPLY, to=UP, op=2, spa=QA), dst="raw")
    c.put(UP, F.arp(MAC["up"], 1, MAC["up"], "203.0.113.1", "203.0.113.99"), {"action": ["drop", "pass"]}, dst="raw")
    yield c.put("a", ping(A, "10.0.2.1"), drop())


def findings():
    """What the oracle found in the data path, made by hand from the shrunk cases."""
    c = Case("found-link-local-leads-nowhere", "RT-09 V6-05 A13: not even by a default route", BASE)
    yield c.put("a", udp(A, "169.254.1.1", 4000, 99), drop()).put("a", udp(A6, "fe80::1", 4000, 99), drop())
    c = Case("found-solicitation-hop-limit", "L2-06, RFC 4861 6.1.1: a router solicitation that was routed", BASE)
    yield c.put("a", F.solicit(MAC["a"], A6, A6, kind=133, ttl=64), drop(), dst="raw")
    c = Case("found-reset-before-any-acknowledgement", "CT-11 C5: sequence 0 is not the number acknowledged",
             state({"b": ([perm("tcp", 80, A + "/32")], [])}))
    c.put("a", tcp(A, B, 40000, 80), deliver("b"), 0).put("a", tcp(A, B, 40000, 80, "R", 0), deliver("b"), 1)
    c.put("b", tcp(B, A, 80, 40000, "SA", 5000, 1001), deliver("a"), 2)
    c.put("a", tcp(A, B, 40000, 80, "A", 1001, 5001), deliver("b"), 3)
    yield c.put("b", tcp(B, A, 80, 40000, "A", 5001, 1001, b"x"), deliver("a"), 30)
    c = Case("found-uplink-frame-for-another-mac", "uplink frames: a MAC of ours or broadcast", BASE)
    for mac in ("02:aa:aa:aa:aa:aa", "01:00:5e:00:00:01"):
        c.put(UP, F.frame(MAC["up"], mac, udp(X, QA, 4000, 99)), drop("unknown-mac", "l2", "multicast"), dst="raw")
    yield c.put(UP, F.frame(MAC["up"], "ff:ff:ff:ff:ff:ff", udp(X, QA, 4000, 99)), deliver("a"), dst="raw")
    whole = frame("a", udp(A6, B6, 4000, 99))
    c = Case("a16-runts-of-ipv6", "A16: each gets its line and its reason", BASE)
    for n in (14, 15, 34, 40, 53):
        c.put("a", whole[:n], drop("malformed"), dst="raw")
    yield c
    c = Case("found-frame-to-the-own-mac", "L2: a middlebox that addresses itself", BASE)
    yield c.put("m", F.frame(MAC["m"], MAC["m"], udp(M, B, 4000, 99)), drop(), dst="raw")
    c = Case("found-quote-of-another-flow", "IGW-05: a private address never leaves in a quote", BASE)
    quoted = F.packet("198.51.100.9", A, F.UDP, F.udp(53, 4000))
    yield c.put("a", F.packet(A, X, F.ICMP, F.icmp(3, 3, b"\0\0\0\0", quoted)), uplink(src=QA, isrc="198.51.100.9", idst=QA))
    via = [table(None, IGW4), table("S1", route("10.0.2.0/24", "NetworkInterfaceId", "m"))]
    c = Case("found-egress-reference-behind-a-middlebox", "SG-18: the sender's own reference does not match either",
             state({"a": (OPEN, [perm("udp", 99, "sg-b")])}, tables=via))
    yield c.put("a", udp(A, B, 4000, 99), drop("sg-egress"))


def policy():
    c = Case("reason-sg", "SG-02 SG-07 SG-12: egress, then ingress",
             state({"a": (OPEN, [perm("tcp", (80, 90), "10.0.2.0/24")]), "b": ([perm("tcp", 85, A + "/32")], [])}))
    c.put("a", tcp(A, B, 4000, 79), drop("sg-egress")).put("a", tcp(A, B, 4000, 91), drop("sg-egress"))
    c.put("a", tcp(A, B, 4000, 80), drop("sg-ingress")).put("a", tcp(A, B, 4001, 85), deliver("b"))
    yield c.put("a", udp(A, B, 4000, 85), drop("sg-egress"))
    lists = {"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "x", "State": "create-complete"}],
             "ManagedPrefixListEntries": [{"PrefixListId": "pl-1", "Entries": [{"Cidr": "198.51.100.0/29"}]}]}
    c = Case("sg-prefix-list-and-membership", "SG-13 SG-14 SG-16: lists, and a member that joins",
             state({"b": ([perm("tcp", 80, "pl-1"), perm("udp", 9, "sg-m")], [])}, **lists))
    c.put(UP, tcp(X, QB, 4000, 80), deliver("b")).put(UP, tcp("198.51.100.8", QB, 4000, 80), drop("sg-ingress"))
    c.put("a", udp(A, B, 4000, 9), drop("sg-ingress"))
    c.edit(state({"b": ([perm("tcp", 80, "pl-1"), perm("udp", 9, "sg-m")], [])},
                 enis={"a": {"Groups": [{"GroupId": "sg-a"}, {"GroupId": "sg-m"}]}}, **lists))
    yield c.put("a", udp(A, B, 4000, 9), deliver("b"))
    acl1 = nacl("S1", entry(10, True, "deny", "17", "10.0.2.0/24", (99, 99)), *allow_all())
    acl2 = nacl("S2", entry(10, False, "deny", "17", "10.0.1.0/24", (98, 98)), *allow_all())
    acl2["Entries"].append(entry(11, False, "deny", "1", "0.0.0.0/0", icmp=(8, -1)))
    c = Case("reason-nacl", "NACL-02 NACL-05 NACL-08 NACL-09 PATH-02", state(nacls=[acl1, acl2]))
    c.put("a", udp(A, B, 4000, 99), drop("nacl-egress")).put("a", udp(A, B, 4000, 98), drop("nacl-ingress"))
    yield c.put("a", udp(A, B, 4000, 97), deliver("b")).put("a", ping(A, B), drop("nacl-ingress")).put("b", ping(B, A), deliver("a"))


def routing():
    c = Case("reason-no-route", "RT-10 RT-13", state(tables=[table(None, IGW4)]))
    yield c.put("a", tcp(A6, X6, 4000, 80), drop("no-route")).put("a", tcp(A, X, 4000, 80), uplink())
    holes = [route("192.0.2.0/25", "GatewayId", "igw-1", "blackhole"), route("192.0.2.128/26", "NetworkInterfaceId", "gone"),
             route("192.0.2.192/26", "GatewayId", "igw-other"), route("198.51.100.0/26", "NatGatewayId", "nat-1")]
    nat = {"NatGateways": [{"NatGatewayId": "nat-1", "VpcId": "v1", "SubnetId": "S1", "State": "deleted"}]}
    c = Case("reason-blackhole", "RT-11 RT-28 IGW-08", state(tables=[table(None, IGW4, *holes)], **nat))
    for dst in ("192.0.2.1", "192.0.2.129", "192.0.2.193", "198.51.100.7"):
        c.put("a", udp(A, dst, 4000, 99), drop("blackhole"))
    yield c.put("a", udp(A, "198.51.100.65", 4000, 99), uplink())
    c = Case("reason-no-owner", "RT-16: a local address of nobody", BASE)
    yield c.put("a", udp(A, "10.0.2.99", 4000, 99), drop("no-owner")).put("a", udp(A, "10.0.1.99", 4000, 99), drop("no-owner"))
    c = Case("reason-igw", "IGW-03 IGW-04 ENI-14", state(enis={"a2": {"DenyAllIgwTraffic": True}}))
    c.put("a2", udp(A2, X, 4000, 99), drop("igw-no-public-address"))
    c.put(UP, udp(X, "203.0.113.77", 4000, 99), drop("igw-no-owner")).put(UP, udp(X, A, 4000, 99), drop("igw-no-owner"))
    c.put("a2", udp("2001:db8:1:1::11", X6, 4000, 99), drop("deny-igw"))
    yield c.put(UP, udp(X6, "2001:db8:1:1::11", 4000, 99), drop("deny-igw"))
    c = Case("reason-no-policy", "E7: what arrives on a device whose port was taken out of the state", BASE)
    c.put("a", udp(A, B, 4000, 99), deliver("b")).edit(state(enis={"a": None}))
    yield c.put("a", udp(A, B, 4000, 99), drop("no-policy")).edit(BASE).put("a", udp(A, B, 4000, 99), deliver("b"))
    c = Case("reason-bpa", "VPC-18: block public access, both modes, and a subnet that is excluded", BASE)
    for mode in ("block-bidirectional", "block-ingress"):
        c.edit(state(VpcBlockPublicAccessOptions={"InternetGatewayBlockMode": mode, "State": "update-complete"},
                     VpcBlockPublicAccessExclusions=[{"ExclusionId": "ex-1", "State": "create-complete",
                                                      "ResourceArn": "arn:aws:ec2:eu-west-1:111122223333:subnet/S2",
                                                      "InternetGatewayExclusionMode": "allow-bidirectional"}]))
        c.put("a", udp(A, X, 4000, 99), drop("bpa")).put(UP, udp(X, QA, 4000, 99), drop("bpa"))
        c.put("a", udp(A6, X6, 4000, 99), drop("bpa")).put(UP, udp(X6, A6, 4000, 99), drop("bpa"))
        c.put("a", udp(A, B, 4000, 99), deliver("b")).put("b", udp(B, X, 4000, 99), uplink(src=QB))
        c.put(UP, udp(X, QB, 4001, 99), deliver("b", dst=B))
    c.edit(BASE)
    yield c.put("a", udp(A, X, 4000, 99), uplink(src=QA))
    served = {"NatGateways": [{"NatGatewayId": "nat-1", "VpcId": "v1", "SubnetId": "S1", "State": "available",
                               "ConnectivityType": "private", "NatGatewayAddresses": [{"PrivateIp": "10.0.1.200"}]}]}
    c = Case("reason-not-served", "a target that exists, of a kind this build does not serve yet",
             state(tables=[table(None, route("0.0.0.0/0", "NatGatewayId", "nat-1"))], **served))
    yield c.put("a", udp(A, X, 4000, 99), drop("not-served"))
    lengths = [route("198.51.100.0/24", "GatewayId", "igw-1", "blackhole"), route("198.51.100.0/28", "GatewayId", "igw-1"),
               route("198.51.100.7/32", "GatewayId", "igw-1", "blackhole")]
    c = Case("longest-prefix-wins", "RT-02", state(tables=[table(None, *lengths)]))
    c.put("a", udp(A, "198.51.100.99", 4000, 99), drop("blackhole")).put("a", udp(A, "198.51.100.8", 4000, 99), uplink())
    yield c.put("a", udp(A, X, 4000, 99), drop("blackhole"))
    c = Case("public-address-moves", "IGW-13", BASE)
    c.put(UP, udp(X, QA, 4000, 99), deliver("a", dst=A))
    moved = [{"Primary": True, "PrivateIpAddress": A2, "Association": {"PublicIp": QA}}]
    plain = [{"Primary": True, "PrivateIpAddress": A}]
    c.edit(state(enis={"a": {"PrivateIpAddresses": plain}, "a2": {"PrivateIpAddresses": moved}}))
    yield c.put(UP, udp(X, QA, 4000, 99), deliver("a2", dst=A2)).put("a", udp(A, X, 99, 4000), drop("igw-no-public-address"))


def rates():
    c = Case("reason-rate-limit", "ENI-15 DNS-04: more than 1,024 in a second", BASE)
    c.put("a", udp(A, "169.254.169.253", 4000, 53), PASS, 0, repeat=1000)
    c.put("a", udp(A, "169.254.169.253", 4000, 53), {"action": ["pass", "drop"]}, 0, repeat=100)
    c.put("a", udp(A, "169.254.169.253", 4000, 53), drop("rate-limit"), 0, repeat=20)
    c.put("a2", udp(A2, "169.254.169.253", 4000, 53), PASS, 0)
    first, _ = pieces(A, B, F.udp(4000, 53, b"z" * 64), 9, 40)
    c.put("a", first, deliver("b"), 5, repeat=1000).put("a", first, {"action": ["deliver", "drop"]}, 5, repeat=100)
    c.put("a", first, drop("rate-limit"), 5, repeat=20)
    yield c.put("a2", udp(A2, B, 4000, 53), deliver("b"), 5)


def tracking():
    s = state({"b": ([perm("tcp", 80, A + "/32")], [])})
    there, here = deliver("b"), deliver("a")
    c = Case("tcp-half-open-60-s", "CT-11", s)
    c.put("a", tcp(A, B, 40000, 80), there, 0).put("b", tcp(B, A, 80, 40000, "SA", 5000, 1001), here, 59.5)
    yield c.put("b", tcp(B, A, 80, 40000, "SA", 5000, 1001), drop("sg-egress"), 120.5)
    c = Case("tcp-close-lingers-10-s", "CT-11 CT-12", s)
    handshake(c, "a", "b", (A, B), (B, A), 40000, 80, there, here)
    c.put("a", tcp(A, B, 40000, 80, "FA", 1001, 5001), there, 1).put("b", tcp(B, A, 80, 40000, "FA", 5001, 1002), here, 2)
    c.put("b", tcp(B, A, 80, 40000, "A", 5002, 1002), here, 11.5)
    yield c.put("b", tcp(B, A, 80, 40000, "A", 5002, 1002), drop("sg-egress"), 12.5)
    c = Case("eni-timeouts-and-removal", "CT-09 CT-10 CT-20",
             state({"b": ([perm("udp", 9, A + "/32")], [])}, enis={"b": {"ConnectionTrackingConfiguration": {"UdpTimeout": 60}}}))
    c.put("a", udp(A, B, 4000, 9), there, 0).put("b", udp(B, A, 9, 4000), here, 29)
    closed = state({"b": ([], [])}, enis={"b": {"ConnectionTrackingConfiguration": {"UdpTimeout": 60}}})
    c.edit(closed, 29).put("b", udp(B, A, 9, 4000), here, 40)
    c.edit(edited(closed, lambda s_: (s_["NetworkInterfaces"].pop(2), s_["Hosts"][0]["Ports"].pop(2))), 40)
    c.put("a", udp(A, B, 4000, 9), drop("no-owner"), 40).edit(closed, 41)
    yield c.put("b", udp(B, A, 9, 4000), drop("sg-egress"), 41).put("a", udp(A, B, 4000, 9), drop("sg-ingress"), 41)
    c = Case("other-protocols-600-s", "CT-05", state({"b": ([perm("47", None, A + "/32")], [])}))
    gre = F.packet(A, B, 47, b"\0\0\x08\0" + b"g" * 20)
    back = F.packet(B, A, 47, b"\0\0\x08\0" + b"g" * 20)
    c.put("a", gre, there, 0).put("b", back, here, 599)
    yield c.put("b", back, drop("sg-egress"), 1200)
    c = Case("dropped-packet-opens-nothing", "a packet that dies later leaves no record at the sender",
             state({"a": ([], [perm("tcp", 80, B + "/32")]), "b": ([], OPEN)}))
    yield c.put("a", tcp(A, B, 40000, 80), drop("sg-ingress")).put("b", tcp(B, A, 80, 40000, "SA", 5000, 1001), drop("sg-ingress"))


def modes():
    def guard(side=None):
        def change(s):
            s["Hosts"][0]["Ports"][0].update({"Mode": "guard"}, **({"Side": side} if side else {}))
        return edited(state({"a": ([perm("tcp", 22, X + "/32")], [perm("udp", 53, "0.0.0.0/0")])},
                            [nacl("S1", entry(9, True, "deny", "17", "192.0.2.0/24", (53, 53)), *allow_all())]), change)

    for side in (None, "instance"):
        out, into = bool(side), not side
        c = Case("guard-side-" + (side or "host"), "guard mode: both directions, nothing is routed or rewritten", guard(side))
        toward = lambda body: F.frame(MAC["router"], MAC["a"], body)
        c.put("a", udp(A, X, 4000, 53), PASS, tx=out).put("a", udp(A, X, 4000, 54), drop("sg-egress"), tx=out)
        c.put("a", toward(udp(X, A, 53, 4000)), PASS, tx=into, dst="raw")
        c.put("a", toward(udp(X, A, 54, 4000)), drop("sg-ingress"), tx=into, dst="raw")
        c.put("a", toward(tcp(X, A, 4000, 22)), PASS, tx=into, dst="raw")
        c.put("a", tcp(A, X, 22, 4000, "SA", 5000, 1001), PASS, tx=out)
        c.put("a", udp(A, "192.0.2.1", 4000, 53), drop("nacl-egress"), tx=out)
        c.put("a", udp("10.0.1.99", X, 4000, 53), drop("source-check"), tx=out)
        c.put("a", toward(tcp(X, "10.0.1.99", 4000, 22)), drop("dest-check"), tx=into, dst="raw")
        c.put("a", udp(A, "169.254.169.253", 4000, 53), PASS, tx=out)
        yield c
    c = Case("router-egress-hook", "what the host itself sends toward a guest is judged as ingress",
             state({"b": ([perm("tcp", 22, X + "/32")], [])}))
    c.put("b", F.frame(MAC["router"], MAC["b"], tcp(X, B, 4000, 22)), {"action": ["pass", "deliver"]}, tx=True, dst="raw")
    c.put("b", F.frame(MAC["router"], MAC["b"], tcp(X, B, 4000, 23)), drop("sg-ingress"), tx=True, dst="raw")
    c.put("b", F.frame(MAC["router"], MAC["b"], udp("169.254.169.253", B, 53, 4000)), {"action": ["pass", "deliver"]}, tx=True,
          dst="raw")
    yield c.put("b", F.frame(MAC["router"], MAC["b"], tcp(X, "10.0.2.99", 4000, 22)), drop("dest-check"), tx=True, dst="raw")
    twice = edited(BASE, lambda s: s["SecurityGroups"].append(dict(s["SecurityGroups"][0], GroupName="other")))
    c = Case("broken-state-is-refused", "JSON-06 SG-07 SG-08: the last good one stays in force", BASE)
    for bad in (twice, state({"a": ([perm("tcp", (90, 80), "0.0.0.0/0")], [])})):
        c.edit(bad, action="refused").put("a", udp(A, B, 4000, 99), deliver("b"))
    yield c


def reasons():
    for group in (headers, fragments, identity, neighbours, findings, policy, routing, rates, tracking, modes):
        yield from group()
