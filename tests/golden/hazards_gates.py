# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What gateways may be tricked into: hazards B11, B12 and D, by the id of their class."""
import struct

from author import (A, A2, B, Case, IGW4, LOCAL, MAC, OPEN, QA, QB, UP, X, deliver, drop, edited, handshake, perm, ping, route, state, table, tcp,
                    udp, uplink)
from gateways import (C, D, LOCAL2, LOCAL3, R, TGW_ROUTES, by_pcx, by_tgw, network, out, pcx, peered, rtb, tgw_route, transit)
from nat import BASE, GONE, N, QN, data, exceeded, natted, opened, pieces, quote
import frames as F

VXLAN, GENEVE = 4789, 6081
HOST = "192.0.2.11"                       # the host's own tunnel address
PEER = "192.0.2.12"                       # another host that nobody has listed


def wrapped(vni, inner, port):
    """An Ethernet frame for A2 inside a tunnel's header."""
    head = struct.pack("!BBHI", 8, 0, 0, vni << 8) if port == VXLAN else struct.pack("!BBHI", 0, 0, 0x6558, vni << 8)
    return head + F.frame("02:00:00:00:00:01", "02:00:00:00:00:02", inner)


def tunnels():
    shut = state({"a2": ([], []), "b": ([perm("udp", (VXLAN, GENEVE), A + "/32")], [])})
    c = Case("b11-tunnels-of-tenants", "B11: a tunnel's packet is a datagram like any: nobody opens it, and none is the host's", shut)
    for port in (VXLAN, GENEVE):
        for vni in (0, 1, 2, 0xffffff):
            body = wrapped(vni, udp(A, A2, 4000, 99), port)
            c.put("a", udp(A, B, 4000, port, body), deliver("b", src=A, dst=B, dport=port))
            c.put("a", udp(A, A2, 4000, port, body), drop("sg-ingress"))
            c.put("a", udp(A, HOST, 4000, port, body), uplink(src=QA, dst=HOST, dport=port))   # as to any host outside
            c.put("a", udp(HOST, B, 4000, port, body), drop("source-check"))
            for source in (PEER, HOST, X):
                c.put(UP, udp(source, HOST, 4000, port, body), drop("igw-no-owner"))
                c.put(UP, udp(source, QB, 4000, port, body), drop("sg-ingress", "martian"))
            c.put(UP, udp(A, QB, 4000, port, body), drop("martian"))
    for proto, body in ((4, udp(A, A2, 4000, 99)), (47, b"\0\0\x08\0" + udp(A, A2, 4000, 99)), (97, b"\x30\0" + wrapped(1, udp(A, A2, 4000, 99), VXLAN))):
        c.put(UP, F.packet(PEER, HOST, proto, body), drop("igw-no-owner"))
        c.put("a", F.packet(A, A2, proto, body), drop("sg-ingress"))
    yield c


def neighbours():
    """v2 has an internet gateway of its own."""
    igws = [{"InternetGatewayId": i, "Attachments": [{"VpcId": v, "State": "available"}]} for i, v in (("igw-1", "v1"), ("igw-2", "v2"))]
    public = {"PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": C, "Association": {"PublicIp": QC}}]}
    both = edited(network(None, [rtb("v2", LOCAL2, route("0.0.0.0/0", "GatewayId", "igw-2"))], uplinks=["igw-2"], InternetGateways=igws),
                  lambda s: next(e for e in s["NetworkInterfaces"] if e["NetworkInterfaceId"] == "c").update(public))
    c = Case("b9-public-address-of-a-neighbour", "B9 IGW-04: by one tenant's uplink nobody reaches another's addresses", both)
    for body in (lambda q: udp(X, q, 4000, 99), lambda q: tcp(X, q, 4000, 80), lambda q: ping(X, q)):
        c.put(UP, body(QA), deliver("a", src=X, dst=A)).put("igw-2", body(QC), deliver("c", src=X, dst=C))
        c.put(UP, body(QC), drop("igw-no-owner")).put("igw-2", body(QA), drop("igw-no-owner"))
    # nor is the answer of one taken for the other's
    c.put("a", udp(A, X, 5000, 53), uplink(src=QA)).put("igw-2", udp(X, QA, 53, 5000), drop("igw-no-owner"))
    # across: what one sends to the other's public address leaves, and comes in as anybody's
    yield c.put("a", udp(A, QC, 4000, 99), uplink(src=QA, dst=QC)).put("igw-2", udp(QA, QC, 4000, 99), deliver("c", src=QA, dst=C))


def chain(routes=((C, "pcx-1", "v1"), (D, "pcx-1", "v1"), (A, "pcx-1", "v2"), (D, "pcx-2", "v2"), (C, "pcx-2", "v3"), (A, "pcx-2", "v3")),
          first="active", second="active"):
    """v1 - v2 - v3, and routes to all."""
    net = {A: "10.0.0.0/16", C: "10.2.0.0/16", D: "10.3.0.0/16"}
    own = {"v1": (LOCAL, IGW4), "v2": (LOCAL2,), "v3": (LOCAL3,)}
    return network(None, [rtb(v, *own[v], *(by_pcx(net[to], name) for to, name, of in routes if of == v)) for v in own],
                   VpcPeeringConnections=[pcx("pcx-1", first), pcx("pcx-2", second, ("v2", "v3"))])


def peerings():
    where = {"a": A, "c": C, "d": D}
    c = Case("b12-peerings-are-one-hop", "B12 PCX-04: every pair of a chain, whatever the tables say", chain())
    for n, (one, other) in enumerate((x, y) for x in "acd" for y in "acd" if x != y):
        far = {one, other} == {"a", "d"}
        want = drop("peering") if far else deliver(other, src=where[one], dst=where[other], ttl=64)
        c.put(one, udp(where[one], where[other], 4000 + n, 99), want)
        c.put(one, tcp(where[one], where[other], 4000 + n, 80), want)
    # the chain's other end does not become near by a peering's own path: with the addresses of the middle
    c.put("a", udp(C, D, 5000, 99), drop("source-check")).put("d", udp(C, A, 5000, 99), drop("source-check"))
    # a route alone opens nothing: one side has not accepted
    for code in ("pending-acceptance", "initiating-request", "provisioning", "rejected", "expired", "failed", "deleting", "deleted"):
        c.edit(chain(first=code)).put("a", udp(A, C, 6000, 99), drop("blackhole")).put("c", udp(C, A, 6000, 99), drop("blackhole"))
        c.put("c", udp(C, D, 6000, 99), deliver("d"))
    yield c

    c = Case("b12-live-flows-end-with-the-peering", "B12 RT-25: a tracked entry does not carry a flow over what is gone",
             peered({"c": ([perm("tcp", 80, A + "/32")], [])}))
    there, back = tcp(A, C, 40000, 80, "PA", 1001, 5001, b"x"), tcp(C, A, 80, 40000, "PA", 5001, 1002, b"y")
    handshake(c, "a", "c", (A, C), (C, A), 40000, 80, deliver("c"), deliver("a"))
    shut = {"c": ([perm("tcp", 80, A + "/32")], [])}
    for other, one, two in ((peered(shut, code="deleted"), drop("blackhole"), drop("blackhole")), (peered(shut), deliver("c"), deliver("a")),
                            (peered(shut, back=False), deliver("c"), drop("no-route")), (peered(shut), deliver("c"), deliver("a")),
                            (network(shut, [rtb("v1", LOCAL)], VpcPeeringConnections=[pcx()]), drop("no-route"), drop("no-route"))):
        c.edit(other).put("a", there, one).put("c", back, two).put("a", there, one)
    yield c


def hairpins():
    c = Case("d5-own-public-addresses", "D5 IGW-11: to a neighbour's public address, and to one's own, and back", state())
    for n, (who, own, public) in enumerate((("b", B, QB), ("a", A, QA))):
        sport = 40000 + n
        c.put("a", tcp(A, public, sport, 80), deliver(who, src=QA, dst=own, sport=sport, dport=80))
        c.put(who, tcp(own, QA, 80, sport, "SA", 5000, 1001), deliver("a", src=public, dst=A, sport=80, dport=sport))
        c.put("a", tcp(A, public, sport, 80, "A", 1001, 5001), deliver(who, src=QA, dst=own))
        c.put("a", udp(A, public, sport, 53), deliver(who, src=QA, dst=own)).put("a", ping(A, public), deliver(who, src=QA, dst=own))
        error = quote(own, QA, udp(QA, own, sport, 53), 3, 3)
        c.put(who, error, deliver("a", src=public, dst=A, type=3, isrc=A, idst=public, isport=sport, idport=53))
    c.put("a2", tcp(A2, QB, 40000, 80), drop("igw-no-public-address"))
    yield c.edit(state({"b": ([perm("tcp", 80, "sg-a")], [])})).put("a", tcp(A, QB, 41000, 80), drop("sg-ingress"))


def unasked():
    """The server's own other ports, its neighbours and the gateway's other ports, while flows live."""
    shut = natted({"a": ([], OPEN), "b": ([], OPEN)})
    c = opened(Case("d6-nobody-meets-anothers-mapping", "D6 NAT-10: nor the packet that a neighbour of the server sends", shut))
    c.put("b", udp(B, X, 5000, 53), uplink(src=QN, sport=5000))
    for source, sport, port in ((X, 444, 40001), (X, 443, 40002), ("198.51.100.8", 443, 40001), (X, 53, 40001)):
        for flags in ("S", "SA", "A", "PA", "FA", "R", "RA", ""):
            c.put(UP, tcp(source, QN, sport, port, flags, 5001, 1001), GONE)
    for source, sport, port in ((X, 54, 5000), (X, 53, 5001), ("198.51.100.8", 53, 5000), (X, 443, 5000)):
        c.put(UP, udp(source, QN, sport, port), GONE)
    # port shadowing: a client that takes the gateway's own port as its own gets its answers, and nobody else's
    c.put("b", tcp(B, X, 40001, 443), uplink(src=QN, dst=X)).put(UP, tcp(X, QN, 443, 40001, "PA", 5001, 1001, b"x"), deliver("a", dst=A))
    c.put("b", tcp(B, "198.51.100.8", 443, 40001), uplink(src=QN)).put(UP, tcp("198.51.100.8", QN, 40001, 40001, "A", 1, 1), GONE)
    # from the mapping's own server a SYN gets as far as the group, which has not asked for it (RFC 5382, REQ-2)
    yield c.put(UP, tcp(X, QN, 443, 40001, "S", 9), drop("sg-ingress"))
    c = opened(Case("d6-a-port-at-rest-opens-nothing", "D6 NAT-09: while it rests after the close, its server starts nothing, either", BASE),
               close=True)
    yield c.put(UP, tcp(X, QN, 443, 40001, "S", 9), GONE, 1).put(UP, tcp(X, QN, 443, 40001, "S", 9), GONE, 59)


def sums():
    """Odd lengths, and words whose change carries: every checksum is recomputed by the runner."""
    c = Case("d7-every-checksum", "D7: addresses and ports change under every sum, carries and zeros included", BASE)
    for n in range(24):
        body = bytes([0xff, 0xff, n]) * (n % 7) + b"o" * (n & 1)
        c.put("a", udp(A, X, 5000 + n, 53, body), uplink(src=QN, sport=5000 + n))
        c.put(UP, udp(X, QN, 53, 5000 + n, body), deliver("a", dst=A, dport=5000 + n))
        c.put("a", tcp(A, X, 6000 + n, 443, "S", 0xfffffff0 + n & 0xffffffff, 0, body), uplink(src=QN, sport=6000 + n))
        c.put(UP, tcp(X, QN, 443, 6000 + n, "SA", 1 << n, 0xfffffff1 + n & 0xffffffff, body), deliver("a", dst=A, dport=6000 + n))
        c.put("a", ping(A, X, ident=7000 + n), uplink(src=QN, ident=7000 + n))
        c.put(UP, ping(X, QN, 0, 7000 + n), deliver("a", dst=A, ident=7000 + n))
        for cut in (28, 28 + n, 60):      # the quoted sum is there, or half of it, or not at all
            c.put(UP, quote(X, QN, udp(QN, X, 5000 + n, 53, body + bytes(40)), 3, 3, cut=cut), deliver("a", isrc=A, isport=5000 + n))
            c.put(UP, quote(X, QN, tcp(QN, X, 6000 + n, 443, "A", n, data=bytes(40)), 3, 1, cut=cut), deliver("a", isrc=A, isport=6000 + n))
            c.put(UP, quote(X, QN, ping(QN, X, ident=7000 + n), 11, 0, cut=cut), deliver("a", isrc=A, idst=X))
    yield c
    c = Case("d7-sums-of-quoted-ports", "D7 NAT-12: quoted whole, with the port that the gateway chose and its own sum", BASE)
    c.put("a", udp(A, X, 5000, 53), uplink(src=QN, sport=5000)).put("b", udp(B, X, 5000, 53), uplink(src=QN))
    for n in range(8):
        c.put("b", quote(B, X, udp(X, B, 53, 5000, b"answer" * n), 3, 3, cut=999), uplink(src=QN, isrc=X, idst=QN, isport=53))
    yield c
    c = Case("d7-wrong-sums-stay-wrong", "D7: nobody mends a packet that was broken before (RFC 5508, REQ-3)", BASE)
    c.put("a", udp(A, X, 5000, 53, b"sent"), uplink(src=QN, sport=5000)).put("a", tcp(A, X, 6000, 443), uplink(src=QN, sport=6000))
    for was, now in ((udp(A, X, 5000, 53, b"x"), udp(QN, X, 5000, 53, b"x", ttl=63)), (tcp(A, X, 6000, 443, "A", 1001), tcp(QN, X, 6000, 443, "A", 1001, ttl=63))):
        at = 26 if was[9] == F.UDP else 36
        c.put("a", off_by_one(was, at), {"action": "uplink", "to": UP, "bytes": whole(off_by_one(now, at))})
    sent = udp(QN, X, 5000, 53)
    c.put(UP, off_by_one(quote(X, QN, sent, 3, 3), 22),
          {"action": "deliver", "to": "a", "bytes": whole(off_by_one(quote(X, A, udp(A, X, 5000, 53), 3, 3, ttl=63), 22), target=MAC["a"])})
    yield c
    # a sum that becomes 0 by translation is sent as 0xffff (UDP), and one that is absent stays so
    c = Case("d7-sums-at-the-edge", "D7 IGW-05: a UDP sum that comes out as zero is 0xffff; zero is none", state())
    for n in range(0x10000 // 997):
        c.put("a", udp(A, X, 4000, 99, struct.pack("!H", n * 997)), uplink(src=QA))
    for word in edge_words():
        body = struct.pack("!H", word)
        told = F.ip4(F.ip(QA), F.ip(X), F.UDP, F.sealed(F.UDP, F.ip(QA), F.ip(X), F.udp(4000, 99, body)))
        c.put("a", udp(A, X, 4000, 99, body), uplink(bytes=(b"\0" * 12 + b"\x08\0" + told).hex()))
    bare = F.ip4(F.ip(A), F.ip(X), F.UDP, F.udp(4000, 99, b"bare"))
    told = F.ip4(F.ip(QA), F.ip(X), F.UDP, F.udp(4000, 99, b"bare"))
    yield c.put("a", bare, uplink(bytes=(b"\0" * 12 + b"\x08\0" + told).hex()))


def off_by_one(packet, at):
    """With its L4 checksum at this offset wrong by one."""
    return packet[:at] + struct.pack("!H", struct.unpack_from("!H", packet, at)[0] + 1) + packet[at + 2:]


def edge_words():
    """Payloads whose sum is 0 (sent as 0xffff) before, or after, A became QA."""
    found = []
    for word in range(0x10000):
        body = struct.pack("!H", word)
        for source in (A, QA):
            if F.sealed(F.UDP, F.ip(source), F.ip(X), F.udp(4000, 99, body))[6:8] == b"\xff\xff":
                found.append(word)
    return found


def quotes():
    c = opened(Case("d8-short-quotes", "D8: errors that quote 8 bytes of L4, or a piece of a datagram", natted({"a": ([], OPEN)})))
    c.put("a", udp(A, X, 5000, 53), uplink(sport=5000))
    short = tcp(QN, X, 40001, 443, "A", 1001, 5001, b"data")
    c.put(UP, quote(X, QN, short, 3, 4, cut=28), deliver("a", isrc=A, isport=40001, idport=443))
    for cut in (20, 21, 22, 24, 27):      # less than RFC 792 asks for: whose it is cannot be known
        c.put(UP, quote(X, QN, short, 3, 4, cut=cut), drop("malformed", "nat-no-mapping", "nat-protocol", "not-served"))
    ports = struct.pack("!HHHH", 5000, 53, 500, 0) * 66            # which a later piece seems to begin with
    big = F.sealed(F.UDP, F.ip(QN), F.ip(X), F.udp(5000, 53, b"u" * 1472 + ports))
    first, later = pieces(QN, X, F.UDP, big, 77)
    c.put(UP, quote(R1, QN, first, 11, 1, b"\0" * 4), deliver("a", src=R1, isrc=A, isport=5000, idport=53))
    c.put(UP, quote(R1, QN, later, 11, 1, b"\0" * 4), drop("nat-protocol", "nat-no-mapping"))   # a later piece has no ports to know it by
    there = pieces(A, X, F.UDP, F.sealed(F.UDP, F.ip(A), F.ip(X), F.udp(5000, 53, b"u" * 2000)), 78)
    c.put("a", there[0], uplink(src=QN)).put(UP, quote(R1, QN, pieces(QN, X, F.UDP, big, 78)[0], 3, 4), deliver("a", isrc=A, isport=5000))
    # an error in pieces, or about an error, is nobody's
    whole = F.icmp(3, 4, b"\0\0\5\x78", short[:28] + bytes(1500))
    for part in pieces(X, QN, F.ICMP, whole, 79):
        c.put(UP, part, drop("fragment"))
    yield c.put(UP, quote(X, QN, quote(QN, X, short), 3, 1, cut=60), drop("nat-protocol", "nat-no-mapping"))


R1, QC = "192.0.2.1", "203.0.113.30"
MAC["igw-2"] = MAC["up"]


def whole(body, source=MAC["router"], target=None):
    """The frame as it leaves, byte by byte; nothing is known of the MACs behind an uplink."""
    return (F.frame(source, target, body) if target else b"\0" * 12 + b"\x08\0" + body).hex()


def orders():
    c = Case("d9-pieces-in-any-order", "D9 NAT-11: in order they are translated alike; out of order they are dropped and counted", BASE)
    c.put("a", udp(A, X, 5000, 53), uplink(sport=5000)).put("b", udp(B, X, 5001, 53), uplink(sport=5001))
    for ident, who, own, port in ((77, "a", A, 5000), (78, "b", B, 5001)):
        there = pieces(own, X, F.UDP, F.sealed(F.UDP, F.ip(own), F.ip(X), F.udp(port, 53, b"u" * 2000)), ident)
        back = pieces(X, QN, F.UDP, F.sealed(F.UDP, F.ip(X), F.ip(QN), F.udp(53, port, b"v" * 2000)), ident)
        c.put(who, there[1], drop("fragment")).put(UP, back[1], drop("fragment"))
        c.put(who, there[0], uplink(src=QN, sport=port, ttl=63)).put(UP, back[0], deliver(who, dst=own, dport=port, ttl=63))
        gone, come = pieces(QN, X, F.UDP, F.udp(0, 0, b"u" * 2000), ident, ttl=63), pieces(X, own, F.UDP, F.udp(0, 0, b"v" * 2000), ident, ttl=63)
        c.put(who, there[1], uplink(bytes=whole(gone[1]))).put(UP, back[1], deliver(who, bytes=whole(come[1], target=MAC[who])))
        c.put(who, there[1], uplink(src=QN)).put(UP, back[1], deliver(who, dst=own))      # late, twice
    # a first piece for nobody leaves no way for the others; nor does a live datagram's memory serve another's pieces
    lost = pieces(X, QN, F.UDP, F.sealed(F.UDP, F.ip(X), F.ip(QN), F.udp(53, 5002, b"v" * 2000)), 90)
    c.put(UP, lost[0], GONE).put(UP, lost[1], drop("nat-no-mapping", "fragment"))
    other = pieces("198.51.100.8", QN, F.UDP, F.sealed(F.UDP, F.ip("198.51.100.8"), F.ip(QN), F.udp(53, 5000, b"v" * 2000)), 77)
    c.put(UP, other[1], drop("fragment")).put(UP, other[0], GONE)
    yield c.put(UP, other[1], drop("nat-no-mapping", "fragment"))


def loops():
    c = Case("d10-every-hop-counts", "D10 NAT-20 L2-07: times to live 0, 1, 2 at each gateway that is a hop", BASE)
    for ttl in (0, 1):
        c.put("a", udp(A, X, 5000, 99, ttl=ttl), exceeded("a", N, A, isrc=A, idst=X))
        c.put("a", ping(A, X, ttl=ttl), exceeded("a", N, A))
    c.put("a", udp(A, X, 5000, 99, ttl=2), uplink(ttl=1)).put("a", udp(A, B, 5000, 99, ttl=1), deliver("b", ttl=1))
    c.put("a", exceeded_frame(ttl=1), drop("ttl"))                 # no error about an error
    c.edit(transit()).put("a", udp(A, C, 5000, 99, ttl=2), deliver("c", ttl=1))
    for ttl in (0, 1):
        c.put("a", udp(A, C, 5000, 99, ttl=ttl), drop("ttl"))
    yield c.edit(peered()).put("a", udp(A, C, 5000, 99, ttl=1), deliver("c", ttl=1))

    # 10.9.0.0/16 leads from v1 to v2 and back again, for ever
    circle = transit(routes=TGW_ROUTES + (tgw_route("10.9.0.0/16", "att-2"),),
                     tables=[rtb("v1", LOCAL, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/8"))])
    c = Case("d10-circles-end", "D10: a packet that goes round is dropped once, whatever its time to live", circle)
    for ttl in (255, 64, 2):
        c.put("a", udp(A, "10.9.0.1", 5000, 99, ttl=ttl), drop("ttl"))
    # a gateway whose own subnet sends everything to it
    itself = natted(tables=[table(None, route("0.0.0.0/0", "NatGatewayId", "nat-1"))])
    c.edit(itself).put("a", udp(A, X, 5000, 99), drop()).put("a", tcp(A, X, 5000, 99), drop())
    # the site that is asked for its own addresses by the site
    vpn = network(None, [rtb("v1", LOCAL, route("172.20.0.0/16", "GatewayId", "vgw-1"))], uplinks=["vgw-1"],
                  VpnGateways=[{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "v1", "State": "attached"}]}])
    c.edit(vpn).put("a", udp(A, R, 5000, 99), out("vgw-1", ttl=63))
    turned = F.frame("02:ff:ff:ff:fe:01", "02:65:6e:69:64:01", udp("172.20.0.8", R, 5000, 99))
    yield c.put("vgw-1", turned, drop("vgw"), dst="raw")


def exceeded_frame(ttl):
    return F.packet(A, X, F.ICMP, F.icmp(11, 0, b"\0" * 4, udp(X, A, 53, 5000)[:28]), ttl=ttl)


def moves():
    """Q goes from A to A2. Neither lets anything in unasked."""
    shut = {"a": ([], OPEN), "a2": ([], OPEN)}
    moved = [{"Primary": True, "PrivateIpAddress": A2, "Association": {"PublicIp": QA}}]
    plain = [{"Primary": True, "PrivateIpAddress": A}]
    tight = {n: ([], [perm("-1", None, "0.0.0.0/1"), perm("-1", None, "128.0.0.0/1")]) for n in ("a", "a2")}
    c = Case("d11-old-flows-of-a-public-address", "D11 IGW-13: the new owner gets no packet of the old one's flows, tracked or not", state(shut))
    for groups, sport in ((shut, 40000), (tight, 41000)):
        before, after = state(groups), state(groups, enis={"a": {"PrivateIpAddresses": plain}, "a2": {"PrivateIpAddresses": moved}})
        c.edit(before)
        handshake(c, "a", UP, (A, X), (X, QA), sport, 443, uplink(src=QA, dst=X), deliver("a", src=X, dst=A))
        c.put("a", udp(A, X, sport, 53), uplink(src=QA)).put(UP, udp(X, QA, 53, sport), deliver("a"))
        c.edit(after)
        for flags in ("A", "PA", "FA", "SA", "R", "S"):
            c.put(UP, tcp(X, QA, 443, sport, flags, 5001, 1001), drop("sg-ingress"))
        c.put(UP, udp(X, QA, 53, sport), drop("sg-ingress")).put(UP, ping(X, QA, 0), drop("sg-ingress"))
        c.put(UP, quote(X, QA, udp(QA, X, sport, 53), 3, 3), drop("sg-ingress"))
        c.put("a", tcp(A, X, sport, 443, "PA", 1001, 5001, b"x"), drop("igw-no-public-address"))
        # its own flow with the same ports is its own
        handshake(c, "a2", UP, (A2, X), (X, QA), sport, 443, uplink(src=QA, dst=X), deliver("a2", src=X, dst=A2))
        c.edit(before).put(UP, tcp(X, QA, 443, sport, "PA", 5001, 1001), deliver("a", dst=A))
        c.put("a2", tcp(A2, X, sport, 443, "PA", 1001, 5001, b"x"), drop("igw-no-public-address"))
        c.put("a", tcp(A, X, sport, 443, "R", 1001), uplink()).put(UP, tcp(X, QA, 443, sport, "R", 5001), deliver("a"))
    yield c
    # the public address of a NAT gateway goes to an ENI: the gateway never knew it
    c = opened(Case("d11-address-of-a-gateway", "D11 NAT-02: a NAT gateway's flows stay its own, under its new address", natted({"a": ([], OPEN), "b": ([], OPEN)})))
    taken = natted({"a": ([], OPEN), "b": ([], OPEN)}, addresses=((N, "203.0.113.99"),))
    taken["NetworkInterfaces"] = [dict(e, PrivateIpAddresses=[{"Primary": True, "PrivateIpAddress": B, "Association": {"PublicIp": QN}}])
                                  if e["NetworkInterfaceId"] == "b" else e for e in taken["NetworkInterfaces"]]
    c.edit(taken)
    c.put(UP, tcp(X, QN, 443, 40001, "PA", 5001, 1001, b"x"), drop("sg-ingress"))
    c.put("a", data(), uplink(src="203.0.113.99", sport=40001))
    c.put(UP, tcp(X, "203.0.113.99", 443, 40001, "A", 5001, 1001), deliver("a", dst=A, dport=40001))
    yield c.put("b", udp(B, X, 5000, 53), uplink(src="203.0.113.99"))


def gate_hazards():
    for part in (neighbours, tunnels, peerings, hairpins, unasked, sums, quotes, orders, loops, moves):
        yield from part()
