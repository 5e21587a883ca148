# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""NAT gateways rule by rule (NAT-), with the vectors TV-22..TV-27 and TV-41."""
import struct

from author import (A, ANY4, B, Case, IGW4, IGW6, OPEN, QB, UP, X, allow_all, deliver, drop, edited, entry, nacl, perm,
                    ping, route, state, subnet, table, tcp, udp, uplink)
import frames as F

N, QN = "10.0.0.220", "203.0.113.9"           # the gateway's private address in S0, and what the internet sees
Y, R = "198.51.100.8", "192.0.2.1"            # another server, and a router on the way to X
TO_NAT = route("0.0.0.0/0", "NatGatewayId", "nat-1")


def gateway(addresses=((N, QN),), **more):
    return {"NatGatewayId": "nat-1", "VpcId": "v1", "SubnetId": "S0", "State": "available", "ConnectivityType": "public",
            "NatGatewayAddresses": [{"NetworkInterfaceId": "eni-nat", "PrivateIp": n, "IsPrimary": not i, "Status": "succeeded",
                                     **({"PublicIp": q} if q else {})} for i, (n, q) in enumerate(addresses)], **more}


def nat_eni(addresses=((N, QN),)):
    return {"NetworkInterfaceId": "eni-nat", "VpcId": "v1", "SubnetId": "S0", "MacAddress": "02:00:00:00:00:07",
            "Status": "in-use", "InterfaceType": "nat_gateway", "SourceDestCheck": False, "Groups": [],
            "PrivateIpAddress": addresses[0][0], "OwnerId": "111122223333",
            "PrivateIpAddresses": [{"Primary": not i, "PrivateIpAddress": n, **({"Association": {"PublicIp": q}} if q else {})}
                                   for i, (n, q) in enumerate(addresses)],
            "Attachment": {"InstanceId": "i-nat", "DeviceIndex": 0, "Status": "attached"}}


def natted(groups=None, nacls=(), addresses=((N, QN),), tables=None, **more):
    """S1 and S2 reach the world by the gateway, which stands in S0."""
    found = tables or [table(None, IGW4, IGW6)] + [table(s, TO_NAT) for s in ("S1", "S2")]
    s = state(groups, nacls, found, NatGateways=[gateway(addresses, **more)])
    s["Subnets"].insert(0, subnet("S0", 0))
    s["NetworkInterfaces"].append(nat_eni(addresses))
    s["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return s


BASE = natted()
OUT, IN = dict(src=QN, dst=X, ttl=63), dict(src=X, dst=A, ttl=63)


def opened(c, sport=40001, dport=443, at=0, close=False):
    """A's connection to X, as far as it goes."""
    c.put("a", tcp(A, X, sport, dport, "S", 1000), uplink(**OUT, sport=sport, dport=dport), at)
    c.put(UP, tcp(X, QN, dport, sport, "SA", 5000, 1001), deliver("a", **IN, sport=dport, dport=sport))
    c.put("a", tcp(A, X, sport, dport, "A", 1001, 5001), uplink(**OUT, sport=sport))
    if close:
        c.put("a", tcp(A, X, sport, dport, "FA", 1001, 5001), uplink(sport=sport))
        c.put(UP, tcp(X, QN, dport, sport, "FA", 5001, 1002), deliver("a", dport=sport))
    return c


def data(sport=40001, dport=443):
    return tcp(A, X, sport, dport, "PA", 1001, 5001, b"data")


def answer(sport=40001, dport=443):
    return tcp(X, QN, dport, sport, "PA", 5001, 1001, b"data")


GONE = drop("nat-no-mapping")


def reset(**kw):
    return {"action": "reply", "to": "a", "csum": True, "src": X, "dst": A, "sport": 443, "dport": 40001, "flags": 4, **kw}


def basics():
    c = Case("nat-seven-steps", "NAT-02 NAT-20 PATH-05: the gateway changes source and time to live, the port stays", BASE)
    yield opened(c).put("a", data(), uplink(**OUT, sport=40001)).put(UP, answer(), deliver("a", **IN, dport=40001))
    c = Case("tv23-one-port-for-two-servers", "TV-23 NAT-04", BASE)
    c.put("a", tcp(A, X, 40001, 80), uplink(src=QN, dst=X, sport=40001))
    c.put("a", tcp(A, Y, 40001, 80), uplink(src=QN, dst=Y, sport=40001))
    c.put(UP, tcp(Y, QN, 80, 40001, "SA", 5000, 1001), deliver("a", src=Y, dst=A, dport=40001))
    yield c.put(UP, tcp(X, QN, 80, 40001, "SA", 5000, 1001), deliver("a", src=X, dst=A, dport=40001))
    c = Case("nat-one-port-for-two-clients", "NAT-03 NAT-04: the second client gets another port, and each its own answers", BASE)
    opened(c).put("b", tcp(B, X, 40001, 443, "S", 1000), uplink(src=QN, dst=X, dport=443))
    c.put(UP, answer(), deliver("a", **IN, dport=40001)).put("b", tcp(B, Y, 40001, 443), uplink(src=QN, dst=Y, sport=40001))
    yield c.put(UP, tcp(Y, QN, 443, 40001, "SA", 5000, 1001), deliver("b", src=Y, dst=B, dport=40001))
    c = Case("tv26-nothing-comes-unasked", "TV-26 NAT-10", BASE)
    c.put(UP, tcp(X, QN, 40000, 80), GONE).put(UP, ping(X, QN), GONE).put(UP, udp(X, QN, 53, 40001), GONE)
    opened(c).put(UP, tcp(Y, QN, 443, 40001, "A", 5001, 1001), GONE).put(UP, tcp(X, QN, 444, 40001, "A", 5001, 1001), GONE)
    yield c.put(UP, tcp(X, QN, 443, 40002, "A", 5001, 1001), GONE)
    c = Case("nat-is-tracked-whatever-the-rules", "TV-05 CT-06: by the gateway a flow outlives its rule",
             natted({"a": (OPEN, [perm("tcp", 443, "0.0.0.0/0")])}))
    opened(c).edit(natted({"a": (OPEN, [])}), 5).put("a", data(), uplink(sport=40001))
    yield c.put("a", tcp(A, X, 40002, 443), drop("sg-egress"))
    c = Case("nat-carries-three-protocols", "NAT-01: no GRE, no ESP, no SCTP", BASE)
    for proto in (47, 50, 132, 4):
        c.put("a", F.packet(A, X, proto, b"\0" * 24), drop("nat-protocol"))
    yield c
    c = Case("nat-hairpin", "NAT-26: nobody inside reaches the gateway's own addresses", BASE)
    c.put("a", tcp(A, QN, 40001, 80), drop("nat-hairpin")).put("a", ping(A, N), drop("nat-hairpin"))
    yield c.put("b", udp(B, N, 5000, 5001), drop("nat-hairpin"))
    c = Case("nat-to-a-public-address-of-the-vpc", "IGW-11: B sees the gateway's public address, and answers it", BASE)
    c.edit(natted(tables=[table(None, IGW4, IGW6), table("S1", TO_NAT)]))
    c.put("a", tcp(A, QB, 40001, 80), deliver("b", src=QN, dst=B, sport=40001, ttl=63))
    yield c.put("b", tcp(B, QN, 80, 40001, "SA", 5000, 1001), deliver("a", src=QB, dst=A, sport=80, dport=40001, ttl=63))


def timers():
    c = opened(Case("tv25-idle-timeout", "TV-25 NAT-08: 350 s, then a reset; a SYN starts anew", BASE))
    c.put("a", data(), uplink(sport=40001), 349).put(UP, answer(), deliver("a"), 698)
    c.put("a", data(), reset(), 1049).put("a", data(), reset(), 1050).put(UP, answer(), GONE)
    yield opened(c, at=1100)
    c = opened(Case("nat-idle-inbound", "NAT-08: what comes in after 350 s finds nothing", BASE))
    yield c.put(UP, answer(), deliver("a"), 350).put(UP, answer(), GONE, 701)
    c = Case("nat-udp-and-icmp-start-anew", "NAT-08: UDP and ICMP after expiry just create a new mapping", BASE)
    for at in (0, 350, 702):
        c.put("a", udp(A, X, 5000, 53), uplink(src=QN, sport=5000), at)
        c.put("a", ping(A, X), uplink(src=QN, ident=7))
    c.put(UP, udp(X, QN, 53, 5000), deliver("a", dst=A, dport=5000)).put(UP, ping(X, QN, 0), deliver("a", dst=A, ident=7))
    yield c.put(UP, udp(X, QN, 53, 5000), GONE, 1053).put(UP, ping(X, QN, 0), GONE)
    c = Case("nat-mapping-outlives-the-entry", "NAT-08 CT-09: UDP entries end after 30 s, the gateway's after 350", BASE)
    c.edit(natted({"a": ([], OPEN)})).put("a", udp(A, X, 5000, 53), uplink(src=QN))
    c.put(UP, udp(X, QN, 53, 5000), deliver("a"), 29).put(UP, udp(X, QN, 53, 5000), drop("sg-ingress"), 70)
    yield c.put("a", udp(A, X, 5000, 53), uplink(sport=5000), 71).put(UP, udp(X, QN, 53, 5000), deliver("a"), 72)
    c = Case("nat-half-open-60-s", "NAT-09", BASE).put("a", tcp(A, X, 40001, 443), uplink(src=QN))
    yield c.put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), GONE, 61)
    c = Case("nat-half-open-although-closing", "NAT-09: a FIN before the handshake is done leaves 60 s", BASE)
    c.put("a", tcp(A, X, 40001, 443, "S", 1000), uplink(src=QN)).put("a", tcp(A, X, 40001, 443, "FA", 1001), uplink(), 3)
    yield c.put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), GONE, 64)
    for name, close in (("fin", True), ("rst", False)):
        c = opened(Case("nat-closed-by-%s-60-s" % name, "NAT-09: the port stays for 60 s from the closing packet", BASE),
                   close=close)
        if not close:
            c.put(UP, tcp(X, QN, 443, 40001, "R", 5001), deliver("a"))
        c.put(UP, answer(), deliver("a"), 30).put("a", data(), uplink(sport=40001), 59).put(UP, answer(), GONE, 61)
        yield c.put("a", data(), reset())
    c = opened(Case("nat-syn-after-the-close", "NAT-09: a SYN on a closed mapping is a new connection, with its own 350 s", BASE), close=True)
    yield opened(c, at=5).put("a", data(), uplink(sport=40001), 200).put(UP, answer(), deliver("a"), 500)
    c = Case("nat-tcp-starts-with-a-syn", "NAT-09: anything else is answered by a reset; a reset by nothing", BASE)
    c.put("a", data(), reset(seq=5001)).put("a", tcp(A, X, 40001, 443, "F", 1000), reset(flags=20, seq=0))
    c.put("a", tcp(A, X, 40001, 443, "SA", 1000, 77), reset(seq=77)).put("a", tcp(A, X, 40001, 443, "R", 1000), GONE)
    yield c.put(UP, answer(), GONE)


def pieces(src, dst, proto, whole, ident, **kw):
    first, rest = whole[:1480], whole[1480:]
    return (F.ip4(F.ip(src), F.ip(dst), proto, first, ident=ident, more=True, **kw),
            F.ip4(F.ip(src), F.ip(dst), proto, rest, ident=ident, offset=1480, **kw))


def fragments():
    c = Case("tv27-fragments", "TV-27 NAT-11: UDP in pieces is carried both ways; TCP and ICMP in pieces is not", BASE)
    big = F.sealed(F.UDP, F.ip(A), F.ip(X), F.udp(5000, 53, b"u" * 2000))
    there = pieces(A, X, F.UDP, big, 77)
    c.put("a", there[0], uplink(src=QN, sport=5000)).put("a", there[1], uplink(src=QN))
    big = F.sealed(F.UDP, F.ip(X), F.ip(QN), F.udp(53, 5000, b"v" * 2000))
    back = pieces(X, QN, F.UDP, big, 78)
    c.put(UP, back[0], deliver("a", dst=A, dport=5000)).put(UP, back[1], deliver("a", dst=A))
    c.put("a", there[1], uplink(src=QN), 10)
    opened(c, at=10)
    for part in pieces(A, X, F.TCP, F.tcp(40001, 443, "A", 1001, 5001, b"t" * 2000), 79):
        c.put("a", part, drop("fragment"))
    for part in pieces(X, QN, F.TCP, F.tcp(443, 40001, "A", 5001, 1001, b"t" * 2000), 80):
        c.put(UP, part, drop("fragment"))
    c.put("a", ping(A, X), uplink(ident=7))
    for part in pieces(A, X, F.ICMP, F.icmp(8, 0, b"\0\7\0\1", b"p" * 2000), 81):
        c.put("a", part, drop("fragment"))
    yield c
    c = Case("nat-fragment-without-its-first", "NAT-11 CT-18", BASE)
    yield c.put("a", there[1], drop("fragment")).put(UP, back[1], drop("fragment"))


def quote(src, dst, inner, kind=3, code=4, rest=b"\0\0\5\x78", cut=28, **kw):
    return F.packet(src, dst, F.ICMP, F.icmp(kind, code, rest, inner[:cut]), **kw)


def errors():
    sent = tcp(QN, X, 40001, 443, "A", 1001, 5001, b"data", ttl=60)
    c = opened(Case("nat-icmp-errors-inbound", "NAT-12 D7 D8: outside and inside of the error are translated", natted({"a": ([], OPEN)})))
    told = dict(dst=A, isrc=A, idst=X, isport=40001, idport=443)
    c.put(UP, quote(X, QN, sent), deliver("a", src=X, type=3, code=4, **told))
    c.put(UP, quote(R, QN, sent, 11, 0, b"\0\0\0\0", 40), deliver("a", src=R, type=11, **told))
    c.put(UP, quote(R, QN, sent, 11, 0, b"\0\0\0\0", 44), deliver("a", src=R, type=11, **told))
    c.put(UP, quote(X, QN, tcp(QN, X, 40002, 443, "A")), GONE).put(UP, quote(X, QN, tcp(QN, Y, 40001, 443, "A")), GONE)
    c.put("a", udp(A, X, 5000, 53), uplink(sport=5000))
    c.put(UP, quote(X, QN, udp(QN, X, 5000, 53), 3, 3), deliver("a", isrc=A, isport=5000, idport=53))
    c.put("a", ping(A, X), uplink(ident=7))
    c.put(UP, quote(R, QN, ping(QN, X, ttl=1), 11, 0), deliver("a", src=R, dst=A, isrc=A, idst=X))
    yield c.put(UP, quote(R, QN, ping(QN, X, ident=8, ttl=1), 11, 0), GONE)
    c = opened(Case("nat-errors-change-no-timer", "NAT-12: an error ends no mapping, nor does it keep one alive (RFC 5382, REQ-10; RFC 5508, "
                    "REQ-6)", BASE))
    for code in (0, 1, 2, 3, 9, 13):
        c.put(UP, quote(R, QN, sent, 3, code), deliver("a", src=R, type=3, code=code), 10)
    c.put(UP, answer(), deliver("a"), 11).put("a", data(), uplink(sport=40001), 12)
    c.put(UP, quote(R, QN, sent, 11, 0), deliver("a"), 300).put(UP, answer(), GONE, 363).put("a", data(), reset(), 363)
    yield c
    c = opened(Case("nat-reads-no-payload", "RFC 4787, REQ-10: addresses and ports in the data are nobody's business", BASE), dport=21)
    for n, (words, dport) in enumerate(((b"PORT 10,0,1,10,156,65\r\n", 21), (b"EPRT |1|10.0.1.10|40001|\r\n", 21))):
        c.put("a", tcp(A, X, 40001, dport, "PA", 1001, 5001, words), uplink(bytes=(b"\0" * 12 + b"\x08\0" + tcp(
            QN, X, 40001, dport, "PA", 1001, 5001, words, ttl=63)).hex()))
        c.put(UP, tcp(X, QN, 20, 40065 + n), drop("nat-no-mapping"))
    sip = b"REGISTER sip:x SIP/2.0\r\nContact: <sip:a@10.0.1.10:5060>\r\n\r\n"
    c.put("a", udp(A, X, 5060, 5060, sip), uplink(bytes=(b"\0" * 12 + b"\x08\0" + udp(QN, X, 5060, 5060, sip, ttl=63)).hex()))
    yield c.put(UP, udp("198.51.100.8", QN, 5060, 5060, sip), GONE)
    c = Case("nat-icmp-errors-outbound", "NAT-12: A complains about what the gateway let in", BASE)
    c.put("a", udp(A, X, 5000, 53), uplink(sport=5000)).put(UP, udp(X, QN, 53, 5000), deliver("a"))
    told = dict(isrc=X, idst=QN, isport=53, idport=5000)
    c.put("a", quote(A, X, udp(X, A, 53, 5000), 3, 3), uplink(src=QN, dst=X, type=3, code=3, ttl=63, **told))
    yield c.put("a", quote(A, X, udp(X, A, 54, 5000), 3, 3), GONE)
    c = Case("nat-icmp-by-identifier", "NAT-12 C18: A and B ping X with one identifier; a reply opens nothing", BASE)
    c.put("a", ping(A, X, ident=9), uplink(src=QN, ident=9)).put(UP, ping(X, QN, 0, 9), deliver("a", dst=A, ident=9, ttl=63))
    c.put(UP, ping(X, QN, 8, 9), GONE).put("a", ping(A, X, 0, 9), GONE).put("a", ping(A, X, 8, 0), uplink(ident=0))
    yield c.put("a", F.packet(A, X, F.ICMP, F.icmp(5, 1)), drop("nat-protocol"))


def exceeded(to, src, dst, **kw):
    return {"action": "reply", "to": to, "csum": True, "src": src, "dst": dst, "type": 11, "code": 0, **kw}


def hops():
    c = Case("nat-is-a-hop", "NAT-20 D10: the gateway shows in traceroute, by its private address", BASE)
    c.put("a", udp(A, X, 5000, 33434, ttl=1), exceeded("a", N, A, isrc=A, idst=X, isport=5000, idport=33434))
    c.put("a", udp(A, X, 5000, 33434, ttl=0), exceeded("a", N, A)).put("a", udp(A, X, 5000, 33434, ttl=2), uplink(ttl=1))
    c.put("a", udp(A, X, 5000, 33434, ttl=1), exceeded("a", N, A)).put("a", udp(A, X, 5000, 33434, ttl=2), uplink(ttl=1))
    c.put(UP, udp(X, QN, 33434, 5000, ttl=1), exceeded(UP, QN, X, isrc=X, idst=QN))
    c.put(UP, udp(X, QN, 33434, 5000, ttl=2), deliver("a", ttl=1)).put(UP, udp(X, QN, 33434, 5000, ttl=1), exceeded(UP, QN, X))
    yield c.put("a", ping(A, X, ttl=1), exceeded("a", N, A, isrc=A))


def syn(src, dst, sport, dport, flags, seq, ack, options):
    return F.packet(src, dst, F.TCP, F.tcp(sport, dport, flags, seq, ack, b"", options))


def mss(n, odd=False):
    option = struct.pack("!BBH", 2, 4, n)
    return b"\1" + option + b"\1\1\1" if odd else option


def clamp():
    c = Case("nat-clamps-the-mss", "NAT-19: 1460 toward the internet gateway, both ways; less stays", BASE)
    for i, (there, back, odd) in enumerate(((8961, 8961, False), (1460, 1300, False), (65535, 8961, True), (536, 1461, True))):
        c.put("a", syn(A, X, 40001 + i, 443, "S", 1000, 0, mss(there, odd)), uplink(mss=min(there, 1460), sport=40001 + i))
        c.put(UP, syn(X, QN, 443, 40001 + i, "SA", 5000, 1001, mss(back, odd)), deliver("a", mss=min(back, 1460)))
        c.put(UP, syn(X, QN, 443, 40001 + i, "SA", 5000, 1001, mss(back, odd)), deliver("a", mss=min(back, 1460)))
    yield c.put("a", syn(A, X, 41000, 443, "S", 1000, 0, b"\1\1\0\0"), uplink(sport=41000))
    c = Case("nat-clamps-no-data", "NAT-19: an option that ends behind the header is none: what stands there is the guest's data", BASE)
    cut = F.tcp(40001, 443, "S", 1000, 0, b"\xff\xff data", b"\1\1\2\4")
    told = F.packet(QN, X, F.TCP, cut, ttl=63)
    yield c.put("a", F.packet(A, X, F.TCP, cut), uplink(bytes=(b"\0" * 12 + b"\x08\0" + told).hex()))


def places():
    c = Case("tv41-private-gateway", "TV-41 NAT-16: nothing leaves by an internet gateway",
             natted(addresses=((N, None),), ConnectivityType="private"))
    yield c.put("a", tcp(A, X, 40001, 443), drop("igw-no-public-address"))
    acls = [nacl("S1", *allow_all()), nacl("S0", entry(90, False, "deny", "6", X + "/32", (1024, 65535)), *allow_all())]
    c = Case("nat-crosses-its-subnet", "NAT-13: the ACL of its subnet sees both sides", natted(nacls=acls))
    c.put("a", tcp(A, X, 40001, 443), uplink(src=QN))
    yield c.put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), drop("nacl-ingress"))
    c = opened(Case("nat-states", "NAT-24: only an available gateway carries traffic", BASE))
    c.edit(natted(State="deleted"), 10).put("a", data(), drop("blackhole")).put("a", tcp(A, X, 40002, 443), drop("blackhole"))
    c.edit(natted(State="pending")).put("a", tcp(A, X, 40003, 443), drop("blackhole"))
    yield c.edit(natted(State="failed")).put("a", tcp(A, X, 40003, 443), drop("blackhole"))
    c = opened(Case("nat-being-deleted", "NAT-24: a gateway being deleted still carries established flows", BASE))
    c.edit(natted(State="deleting"), 10).put("a", data(), uplink(sport=40001)).put(UP, answer(), deliver("a"))
    yield c.put("a", tcp(A, X, 40002, 443), drop("blackhole"))
    c = opened(Case("nat-route-moves", "NAT-08 IGW-03: a flow does not follow its route to another gateway", BASE))
    c.edit(natted(tables=[table(None, IGW4, IGW6)]), 10).put("a", data(), uplink(src="203.0.113.10", sport=40001))
    yield c.put(UP, answer(), GONE).edit(BASE).put("a", data(), reset())
    blocked = edited(BASE, lambda s: s["Vpcs"][0].update(BlockPublicAccessStates={"InternetGatewayBlockMode": "block-ingress"}))
    c = Case("tv45-block-public-access-and-nat", "TV-45 VPC-18: ingress is blocked, the gateway's way out is not", blocked)
    yield opened(c).put(UP, tcp(X, "203.0.113.10", 40000, 80), drop("bpa"))
    c = Case("nat-udp-without-a-checksum", "IGW-05 D7: a UDP checksum of zero stays zero", BASE)
    bare = F.ip4(F.ip(A), F.ip(X), F.UDP, F.udp(5000, 53, b"bare"))
    told = F.ip4(F.ip(QN), F.ip(X), F.UDP, F.udp(5000, 53, b"bare"), ttl=63)
    yield c.put("a", bare, uplink(bytes=(b"\0" * 12 + b"\x08\0" + told).hex()))


def nat():
    for part in (basics, timers, fragments, errors, hops, clamp, places):
        yield from part()
