# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Packets around the size that a path or a receiver takes (MTU-01, MTU-02, IGW-09)."""
from author import A, A6, B, QA, QB, UP, X, X6, Case, deliver, drop, edited, perm, state, tcp, udp, uplink
from edges import by_eigw, on_premises, vpn
from gateways import C, R, out, pcx, peered, transit
from nat import natted
import frames as F

ROUTER, ROUTER6 = "10.0.1.1", "2001:db8:1:1::1"
NARROW = [perm("-1", None, "10.0.0.0/8"), perm("-1", None, "2001:db8::/32")]  # never untracked
OUT = [perm("-1", None, "0.0.0.0/0"), perm("-1", None, "::/0")]


def datagram(src, dst, size, dport=99, **kw):
    """A UDP packet of `size` bytes, IP header included."""
    return udp(src, dst, 4000, dport, bytes(range(256)) * 40 if size < 0 else bytes(size - (48 if ":" in src else 28)), **kw)


def too_big(src, dst, mtu, quoted, **kw):
    six = ":" in src
    return {"action": "reply", "src": src, "dst": dst, "type": 2 if six else 3, "code": 0 if six else 4, "ttl": 64,
            "rest": "%08x" % mtu, "bytes_ip": quoted + (48 if six else 28), "csum": True, "smac": "02:65:6e:69:64:01", **kw}


def sized(s, **mtu):
    for port in s["Hosts"][0]["Ports"]:
        if port["NetworkInterfaceId"] in mtu:
            port["Mtu"] = mtu[port["NetworkInterfaceId"]]
    return s


def gateway():
    c = Case("igw-takes-1500-bytes", "IGW-09: 1500 bytes pass the internet gateway; what is larger and must not be cut is "
             "answered from the subnet's router, once the first that fits has opened the flow or not", state({"a": (NARROW, OUT)}))
    for size in (1499, 1500):
        c.put("a", datagram(A, X, size), uplink(src=QA))
    for size in (1501, 3000, 8000, 9001):
        c.put("a", datagram(A, X, size), too_big(ROUTER, A, 1500, 28, isrc=A, idst=X, isport=4000, idport=99))
    c.put("a", datagram(A, X, 1500), uplink(src=QA))
    c.put("a", tcp(A, X, 4001, 80, "S"), uplink())
    c.put(UP, tcp(X, QA, 80, 4001, "SA", 5000, 1001), deliver("a"))
    c.put("a", tcp(A, X, 4001, 80, "A", 1001, 5001, bytes(1460)), uplink(bytes_ip=1500))
    c.put("a", tcp(A, X, 4001, 80, "A", 2461, 5001, bytes(1461)), too_big(ROUTER, A, 1500, 28, isport=4001))
    c.put("a", datagram(A6, X6, 1500), uplink(src=A6))
    c.put("a", datagram(A6, X6, 1501), too_big(ROUTER6, A6, 1500, 1232, isrc=A6, idst=X6, isport=4000, idport=99))
    c.put("a", datagram(A6, X6, 4000), too_big(ROUTER6, A6, 1500, 1232, isrc=A6, idst=X6))
    yield c.put("a", F.packet(A, X, F.ICMP, F.icmp(8, 0, b"\0\7\0\1", bytes(1473))), too_big(ROUTER, A, 1500, 28))


def silence():
    c = Case("mtu-answers-obey-the-groups", "CT-14, MTU-01: the answer to an untracked flow needs a rule",
             state({"a": ([perm("-1", None, "0.0.0.0/0")], OUT), "b": ([perm("tcp", 80, "0.0.0.0/0")], OUT)}))
    c.put("a", datagram(A, X, 1501), too_big(ROUTER, A, 1500, 28))
    c.put(UP, tcp(X, QB, 4001, 80, "S"), deliver("b"))
    c.put("b", tcp(B, X, 80, 4001, "SA", 5000, 1001), uplink())
    c.put("b", tcp(B, X, 80, 4001, "A", 5001, 1001, bytes(1461)), drop("mtu"))
    c.edit(state({"b": ([perm("tcp", 80, "0.0.0.0/0"), perm("icmp", (3, 4), "10.0.0.0/8")], OUT)}))
    yield c.put("b", tcp(B, X, 80, 4001, "A", 5001, 1001, bytes(1461)), too_big("10.0.2.1", B, 1500, 28, isport=80))


def receivers():
    c = Case("mtu-of-the-smaller-receiver", "MTU-01: between two instances the smaller receiver's MTU counts",
             sized(state({"a": (NARROW, OUT)}), b=1500, a=8000))
    for body, want in ((datagram(A, B, 1500), deliver("b")), (datagram(A, B, 1501), too_big(ROUTER, A, 1500, 28, idst=B)),
                       (datagram(B, A, 8000), deliver("a")), (datagram(B, A, 8001), too_big("10.0.2.1", B, 8000, 28)),
                       (datagram(A6, "2001:db8:1:2::20", 1500), deliver("b")),
                       (datagram(A6, "2001:db8:1:2::20", 1501), too_big(ROUTER6, A6, 1500, 1232))):
        c.put("a" if body[12:16] == F.ip(A) or body[8:24] == F.ip(A6) else "b", body, want)
    for size, want in ((1500, deliver("b")), (1501, too_big(QB, X, 1500, 28, smac="00:00:00:00:00:00", isrc=X, idst=QB))):
        c.put(UP, datagram(X, QB, size), want)
    yield c.put("a", datagram(A, "10.0.1.11", 9002), too_big(ROUTER, A, 9001, 28))


def never_answered():
    s = sized(state({"a": (NARROW, OUT)}), b=1500)
    c = Case("mtu-is-not-always-answered", "MTU-02: no answer to an ICMP error or a later fragment; 1,000 a second for each ENI", s)
    quote = datagram(B, A, 1400)
    c.put("b", datagram(B, A, 1400), deliver("a"))
    c.put("a", F.packet(A, B, F.ICMP, F.icmp(3, 1, data=quote + bytes(200))), drop("mtu"))
    c.put("a", F.packet(A, B, F.ICMP, F.icmp(5, 1, data=bytes(1600))), drop("mtu"))
    c.put("a", datagram(A, B, 1501), too_big(ROUTER, A, 1500, 28), at=2, repeat=1000)
    c.put("a", datagram(A, B, 1501), drop("mtu"), at=2, repeat=5)
    c.put("a", datagram(A, B, 1500), deliver("b"), at=2)
    c.put("b", datagram(B, X, 1501), too_big("10.0.2.1", B, 1500, 28), at=2)
    c.put("a", datagram(A, B, 1501), too_big(ROUTER, A, 1500, 28), at=2.5, repeat=500)
    yield c.put("a", datagram(A, B, 1501), drop("mtu"), at=2.5)


def hairpin():
    c = Case("igw-hairpin-takes-1500-bytes", "IGW-09, IGW-11: what turns round at the internet gateway obeys its MTU, too",
             state({"a": (NARROW, OUT)}))
    c.put("a", datagram(A, QB, 1500), deliver("b", src=QA, dst=B))
    yield c.put("a", datagram(A, QB, 1501), too_big(ROUTER, A, 1500, 28, idst=QB))


def cut(to, src, dst, l4, size, **kw):
    """What is expected of a datagram's L4 bytes, sealed, in pieces that fit `size`."""
    room, rest, held = size - 20 & ~7, [], F.sealed(F.UDP, F.ip(src), F.ip(dst), l4)
    for at in range(0, len(held), room):
        rest.append(20 + min(room, len(held) - at))
    return {"action": "uplink" if to == UP else "deliver", "to": to, "pieces": rest, "joined": held.hex(), **kw}


def fragments():
    c = Case("igw-cuts-what-may-be-cut", "IGW-09: without DF the internet gateway cuts what exceeds 1500 bytes, after the "
             "translation; a first fragment and a later one likewise; IPv6 never", state({"a": (NARROW, OUT)}))
    for size in (1473, 1480, 1481, 2953, 8000, 8973):
        l4 = F.udp(4000, 99, bytes(i * 7 & 255 for i in range(size)))
        c.put("a", F.packet(A, X, F.UDP, l4, df=False), cut(UP, QA, X, l4, 1500))
    c.put("a", F.packet(A, X, F.UDP, F.udp(4000, 99, bytes(1472)), df=False), uplink(src=QA))
    c.put("a", F.packet(A, X, F.UDP, F.udp(4000, 99, bytes(9300)), df=False), drop("mtu"))
    l4 = F.udp(4000, 99, bytes(2952))
    c.put("a", F.ip4(F.ip(A), F.ip(X), F.UDP, F.sealed(F.UDP, F.ip(A), F.ip(X), l4), df=False, options=b"\1\1\1\0"),
          {"action": "uplink", "to": UP, "pieces": [1496, 1492, 36], "joined": F.sealed(F.UDP, F.ip(QA), F.ip(X), l4).hex()})
    c.put("a", datagram(A6, X6, 1501), too_big(ROUTER6, A6, 1500, 1232))
    whole = F.sealed(F.UDP, F.ip(QA), F.ip(X), F.udp(4000, 99, bytes(5992)))
    inside = F.sealed(F.UDP, F.ip(A), F.ip(X), F.udp(4000, 99, bytes(5992)))
    c.put("a", F.ip4(F.ip(A), F.ip(X), F.UDP, inside[:2000], ident=9, more=True),
          {"action": "uplink", "to": UP, "pieces": [1500, 540], "joined": whole[:2000].hex(), "more_behind": True})
    c.put("a", F.ip4(F.ip(A), F.ip(X), F.UDP, inside[2000:5000], ident=9, offset=2000, more=True),
          {"action": "uplink", "to": UP, "pieces": [1500, 1500, 60], "joined": whole[2000:5000].hex(), "more_behind": True})
    yield c.put("a", F.ip4(F.ip(A), F.ip(X), F.UDP, inside[5000:], ident=9, offset=5000), uplink(src=QA, offset=5000))
    c = Case("receiver-cuts-what-may-be-cut", "MTU-01: what may be cut is cut to the receiver's MTU", sized(state(), b=1300))
    l4 = F.udp(4000, 99, bytes(range(200)) * 10)
    c.put("a", F.packet(A, B, F.UDP, l4, df=False), cut("b", A, B, l4, 1300))
    yield c.put("a", F.packet(A, QB, F.UDP, l4, df=False), cut("b", QA, B, l4, 1300))


def paths():
    """The table of section 11, path by path."""
    c = Case("mtu-through-a-nat-gateway", "NAT-19, IGW-09: 8500 in the gateway, 1500 behind it; the smaller one is told", natted())
    c.put("a", datagram(A, X, 1500), uplink(src="203.0.113.9"))
    c.put("a", datagram(A, X, 1501), too_big(ROUTER, A, 1500, 28, isrc=A, idst=X, isport=4000))
    c.put("a", datagram(A, X, 8501), too_big(ROUTER, A, 1500, 28))
    c.put("a", datagram(A, X, 1500), uplink(src="203.0.113.9"))
    l4 = F.udp(4000, 99, bytes(2952))
    yield c.put("a", F.packet(A, X, F.UDP, l4, df=False), cut(UP, "203.0.113.9", X, l4, 1500))
    c = Case("mtu-through-a-peering", "PCX-07: 9001 in a Region; 8500 between two, and what is larger vanishes", peered())
    c.put("a", datagram(A, C, 9001), deliver("c")).put("a", datagram(A, C, 9002), too_big(ROUTER, A, 9001, 28))
    c.edit(far_peering())
    yield c.put("a", datagram(A, C, 8500), deliver("c")).put("a", datagram(A, C, 8501), drop("mtu"))
    c = Case("mtu-through-a-transit-gateway", "TGW-13: 8500; an answer for what comes from a VPC, never a fragment", transit())
    c.put("a", datagram(A, C, 8500), deliver("c")).put("a", datagram(A, C, 8501), too_big(ROUTER, A, 8500, 28))
    yield c.put("a", datagram(A, C, 8501, df=False), drop("mtu"))
    c = Case("mtu-through-a-vpn", "VGW-05: 1446, and what is larger vanishes",
             on_premises((), [vpn("vpn-1", ["172.20.0.0/16"])], links=("vpn-1",)))
    yield c.put("a", datagram(A, R, 1446), out("vpn-1")).put("a", datagram(A, R, 1447), drop("mtu"))
    c = Case("mtu-through-an-egress-only-gateway", "EIGW-01: 1500, the sender is told", by_eigw())
    yield c.put("a", datagram(A6, X6, 1500), out("eigw-1")).put("a", datagram(A6, X6, 1501), too_big(ROUTER6, A6, 1500, 1232))


def far_peering():
    s = peered()
    s["VpcPeeringConnections"] = [pcx(regions=("eu-west-1", "us-east-1"))]
    return s


def sizes():
    for group in (paths, fragments, gateway, silence, receivers, never_answered, hairpin):
        yield from group()
