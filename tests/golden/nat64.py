# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""NAT64: IPv6 clients reach IPv4 by a NAT gateway (NAT-21), after RFC 6146 and RFC 7915."""
import struct

from author import (A, A6, ANY4, B, B6, IGW4, IGW6, MAC, OPEN, QB, UP, X, X6, Case, allow_all, deliver, drop, edited, entry, nacl,
                    perm, ping, route, table, tcp, udp, uplink)
import frames as F
from nat import GONE, N, QN, R, TO_NAT, Y, mss, natted, opened, pieces, syn

PREFIX = "64:ff9b::"
X64, Y64, R64, N64, B64 = (PREFIX + a for a in (X, Y, R, N, B))
BY_NAT = route("64:ff9b::/96", "NatGatewayId", "nat-1")
TABLES = [table(None, IGW4, IGW6)] + [table(s, TO_NAT, BY_NAT, IGW6) for s in ("S1", "S2")]


def sixfour(groups=None, nacls=(), tables=None, **more):
    """The gateway's own subnet S0 knows no IPv6."""
    s = natted(groups, nacls, tables=tables or TABLES, **more)
    s["Subnets"][0].pop("Ipv6CidrBlockAssociationSet")
    return s


BASE = sixfour()
OUT, IN = dict(src=QN, dst=X, ttl=63), dict(src=X64, dst=A6, ttl=63)


def shaken(c, sport=40001, dport=443, at=0):
    c.put("a", tcp(A6, X64, sport, dport, "S", 1000), uplink(**OUT, sport=sport, dport=dport, etype=0x800), at)
    c.put(UP, tcp(X, QN, dport, sport, "SA", 5000, 1001), deliver("a", **IN, sport=dport, dport=sport, etype=0x86DD))
    return c.put("a", tcp(A6, X64, sport, dport, "A", 1001, 5001), uplink(**OUT, sport=sport))


def basics():
    c = shaken(Case("nat64-tcp", "NAT-21: IPv6 for 64:ff9b::/96 becomes IPv4, its answers IPv6 again", BASE))
    data = tcp(A6, X64, 40001, 443, "PA", 1001, 5001, b"odd")
    told = F.packet(QN, X, F.TCP, F.tcp(40001, 443, "PA", 1001, 5001, b"odd"), ttl=63, df=False, ident=0)
    c.put("a", data, uplink(**OUT, bytes_ip=len(told), flags=24, seq=1001))
    back = tcp(X64, A6, 443, 40001, "PA", 5001, 1004, b"answer", ttl=63)
    c.put(UP, tcp(X, QN, 443, 40001, "PA", 5001, 1004, b"answer"),
          deliver("a", bytes=F.frame(MAC["router"], MAC["a"], back).hex()))
    big = tcp(A6, X64, 40001, 443, "PA", 1001, 5001, b"x" * 1200)
    yield c.put("a", big, uplink(bytes_ip=1240)).put("a", tcp(A6, X64, 40001, 443, "FA", 1001, 5001), uplink(flags=17))
    c = Case("nat64-udp-and-echo", "NAT-21 NAT-12: UDP, and ICMPv6 echo as ICMP echo by identifier", BASE)
    c.put("a", udp(A6, X64, 5000, 53), uplink(**OUT, sport=5000, dport=53)).put(UP, udp(X, QN, 53, 5000), deliver("a", **IN, dport=5000))
    c.put("a", udp(A6, X64, 5000, 53), uplink(**OUT, sport=5000)).put(UP, udp(X, QN, 53, 5000), deliver("a", **IN))
    for _ in range(2):
        c.put("a", ping(A6, X64, 128, 9), uplink(**OUT, type=8, code=0, ident=9, proto=1))
        c.put(UP, ping(X, QN, 0, 9), deliver("a", **IN, type=129, ident=9, proto=58))
    c.put("b", ping(B6, X64, 128, 9), uplink(src=QN, type=8)).put(UP, ping(X, QN, 8, 9), GONE).put("a", ping(A6, X64, 129, 9), GONE)
    odd = F.packet(A6, X64, F.ICMP6, F.icmp(128, 0, b"\0\7\0\2", b"seven b"))
    yield c.put("a", odd, uplink(**OUT, type=8, ident=7))
    c = Case("nat64-and-nat44", "NAT-04 NAT-21: clients of both families share the gateway's ports, each flow has its own", BASE)
    opened(shaken(c), 40002).put("a", tcp(A, X, 40001, 443), uplink(src=QN, dst=X))
    c.put(UP, tcp(X, QN, 443, 40001, "A", 5001, 1001), deliver("a", dst=A6)).put(UP, tcp(X, QN, 443, 40002, "A", 5001, 1001), deliver("a", dst=A))
    c.put("b", udp(B6, Y64, 5000, 53), uplink(src=QN, dst=Y, sport=5000)).put("b", udp(B, X, 5000, 53), uplink(src=QN, sport=5000))
    yield c.put(UP, udp(Y, QN, 53, 5000), deliver("b", src=Y64, dst=B6)).put(UP, udp(X, QN, 53, 5000), deliver("b", src=X, dst=B))
    c = Case("nat64-carries-nothing-else", "NAT-01 NAT-21: no other IPv6, no other protocol; no way round what IPv4 may reach",
             sixfour(tables=[table(None, IGW4, IGW6)] + [table(s, route("::/0", "NatGatewayId", "nat-1")) for s in ("S1", "S2")]))
    c.put("a", tcp(A6, X6, 40001, 443), drop("nat-protocol")).put("a", F.packet(A6, X64, 132, b"\0" * 24), drop("nat-protocol"))
    c.put("a", tcp(A6, "64:ff9b:1::198.51.100.7", 40001, 443), drop("nat-protocol"))
    c.put("a", F.packet(A6, X64, F.ICMP6, F.icmp(130)), drop("l2")).put("a", F.packet(A6, X64, F.ICMP6, F.icmp(144)), drop("nat-protocol"))
    for bad in ("127.0.0.1", "169.254.169.254", "0.0.0.1", "255.255.255.254", "240.0.0.1"):
        c.put("a", udp(A6, PREFIX + bad, 5000, 53), drop("martian"))
    c.put("a", udp(A6, PREFIX + "224.0.0.1", 5000, 53), drop("multicast")).put("a", udp(A6, PREFIX + "255.255.255.255", 5000, 53), drop("multicast"))
    c.put("a", udp(A6, PREFIX + "10.0.0.2", 5000, 53), drop("no-owner")).put("a", udp(A6, PREFIX + "10.0.1.1", 5000, 53), drop("no-owner"))
    yield c.put("a", udp(A6, PREFIX + N, 5000, 53), drop("nat-hairpin")).put("a", udp(A6, PREFIX + QN, 5000, 53), drop("nat-hairpin"))
    c = Case("b1-nat64-source-from-outside", "B1 NAT-21: the internet has no address in 64:ff9b::/96", BASE)
    shaken(c).put(UP, tcp(X64, A6, 443, 40001, "A", 5001, 1001), drop("martian"))
    yield c.put(UP, udp(X64, B6, 53, 5000), drop("martian"))


def states():
    c = shaken(Case("nat64-idle-timeout", "NAT-08 NAT-21: 350 s, then a reset in IPv6; UDP starts anew", BASE))
    late = tcp(A6, X64, 40001, 443, "PA", 1001, 5001, b"late")
    c.put("a", late, {"action": "reply", "to": "a", "csum": True, "src": X64, "dst": A6, "flags": 4, "seq": 5001}, 351)
    c.put(UP, tcp(X, QN, 443, 40001, "A", 5001, 1001), GONE).put("a", udp(A6, X64, 5000, 53), uplink(sport=5000))
    yield shaken(c.put("a", udp(A6, X64, 5000, 53), uplink(sport=5000), 800), at=801)
    acls = [nacl("S1", entry(90, True, "deny", "6", X64 + "/128", (444, 444)), *allow_all()),
            nacl("S0", entry(90, False, "deny", "6", A6 + "/128", (445, 445)), entry(91, True, "deny", "6", X + "/32", (446, 446)),
                 entry(92, False, "deny", "17", X + "/32", (1024, 65535)), entry(93, False, "deny", "6", X64 + "/128", (1, 65535)), *allow_all())]
    c = Case("nat64-crosses-its-subnet", "NAT-13 NAT-21: IPv6 on the client's side of the gateway, IPv4 on the other", sixfour(nacls=acls))
    c.put("a", tcp(A6, X64, 40001, 444), drop("nacl-egress")).put("a", tcp(A6, X64, 40001, 445), drop("nacl-ingress"))
    shaken(c.put("a", tcp(A6, X64, 40001, 446), drop("nacl-egress")))
    yield c.put("a", udp(A6, X64, 5000, 53), uplink()).put(UP, udp(X, QN, 53, 5000), drop("nacl-ingress"))
    acls = [nacl("S1", entry(90, False, "allow", "58", "64:ff9b::/96", icmp=(129, -1)),
                 entry(91, False, "allow", "6", "64:ff9b::/96", (40001, 40001)), entry(92, True, "allow", "-1", "::/0")), nacl("S0", *allow_all())]
    c = Case("nat64-answers-cross-as-ipv6", "NAT-13 NAT-21: the ACL of the client's subnet sees types and ports of the client", sixfour(nacls=acls))
    shaken(c).put("a", ping(A6, X64, 128, 9), uplink()).put(UP, ping(X, QN, 0, 9), deliver("a"))
    c.put("a", tcp(A6, X64, 40002, 443), uplink()).put(UP, tcp(X, QN, 443, 40002, "SA", 5000, 1001), drop("nacl-ingress"))
    yield c
    c = Case("nat64-groups-are-asked-in-ipv6", "SG-10 NAT-21: a rule for IPv4 says nothing of 64:ff9b::/96", sixfour({"a": ([], [ANY4])}))
    c.put("a", tcp(A6, X64, 40001, 443), drop("sg-egress"))
    yield shaken(c.edit(sixfour({"a": ([], [perm("tcp", 443, "64:ff9b::/96")])})))
    c = Case("nat64-into-the-vpc", "NAT-21: IPv4 inside the VPC, too; its ENI sees the gateway's private address",
             sixfour({"b": ([perm("tcp", 80, N + "/32"), perm("icmp", (8, -1), N + "/32")], OPEN)}))
    c.put("a", tcp(A6, B64, 40001, 80, "S", 1000), deliver("b", src=N, dst=B, sport=40001, ttl=63))
    c.put("b", tcp(B, N, 80, 40001, "SA", 5000, 1001), deliver("a", src=B64, dst=A6, sport=80, dport=40001, ttl=63))
    c.put("a", tcp(A6, B64, 40001, 80, "A", 1001, 5001), deliver("b", src=N)).put("b", tcp(B, N, 80, 40001, "A", 5001, 1001), deliver("a"))
    c.put("a", tcp(A6, B64, 40002, 81), drop("sg-ingress")).put("a", ping(A6, B64, 128), deliver("b", src=N, type=8))
    yield c.put("b", ping(B, N, 0), deliver("a", src=B64, type=129)).put("a", tcp(A6, PREFIX + QB, 40001, 80), drop("sg-ingress"))


def error6(src, dst, inner, kind, code, rest=b"\0\0\0\0", cut=1232, **kw):
    return F.packet(src, dst, F.ICMP6, F.icmp(kind, code, rest, inner[:cut]), **kw)


def error4(src, dst, inner, kind, code, rest=b"\0\0\0\0", cut=28, **kw):
    return F.packet(src, dst, F.ICMP, F.icmp(kind, code, rest, inner[:cut]), **kw)


def errors():
    c = shaken(Case("nat64-icmp-errors-inbound", "NAT-12 NAT-21 RFC 7915 4.2: the quoted packet becomes the client's own", BASE))
    sent = tcp(QN, X, 40001, 443, "A", 1001, 5001, b"some data that fills a line or two", ttl=60)
    told = dict(dst=A6, isrc=A6, idst=X64, isport=40001, idport=443, ttl=63)
    for mtu, want in ((1400, "0000058c"), (1260, "00000500"), (576, "00000500"), (0, "00000500")):
        c.put(UP, error4(R, QN, sent, 3, 4, struct.pack("!HH", 0, mtu)), deliver("a", src=R64, type=2, code=0, rest=want, **told))
    for code, want in ((0, (1, 0)), (1, (1, 0)), (2, (4, 1)), (3, (1, 4)), (5, (1, 0)), (9, (1, 1)), (10, (1, 1)), (12, (1, 0)),
                       (13, (1, 1)), (15, (1, 1))):
        c.put(UP, error4(R, QN, sent, 3, code), deliver("a", src=R64, type=want[0], code=want[1],
                                                      rest="00000006" if code == 2 else "00000000", **told))
    for cut in (28, 40, 54, 200):
        c.put(UP, error4(R, QN, sent, 11, 0, cut=cut), deliver("a", src=R64, type=3, code=0, **told))
    c.put(UP, error4(R, QN, sent, 12, 0, b"\x09\0\0\0"), deliver("a", type=4, code=0, rest="00000006", **told))
    for kind, code, rest in ((3, 14, b"\0" * 4), (12, 1, b"\0" * 4), (12, 0, b"\5\0\0\0")):
        c.put(UP, error4(R, QN, sent, kind, code, rest), drop("nat-protocol"))
    c.put(UP, error4(X, QN, tcp(QN, X, 40002, 443, "A"), 3, 4), GONE)
    c.put("a", udp(A6, X64, 5000, 53), uplink()).put(UP, error4(X, QN, udp(QN, X, 5000, 53), 3, 3, cut=999),
                                                      deliver("a", src=X64, isrc=A6, idst=X64, isport=5000, idport=53, type=1, code=4))
    c.put("a", ping(A6, X64, 128, 9), uplink())
    c.put(UP, error4(R, QN, ping(QN, X, 8, 9, ttl=1), 11, 0, cut=999), deliver("a", src=R64, isrc=A6, idst=X64, type=3))
    yield c.put(UP, error4(R, QN, ping(QN, X, 8, 8), 11, 0), GONE)
    c = Case("nat64-icmp-errors-outbound", "NAT-12 NAT-21 RFC 7915 5.2: A complains about what the gateway let in", BASE)
    c.put("a", udp(A6, X64, 5000, 53), uplink()).put(UP, udp(X, QN, 53, 5000), deliver("a"))
    got = udp(X64, A6, 53, 5000)
    told = dict(src=QN, dst=X, ttl=63, isrc=X, idst=QN, isport=53, idport=5000)
    for (kind, code), want in (((1, 0), (3, 1)), ((1, 1), (3, 10)), ((1, 3), (3, 1)), ((1, 4), (3, 3)), ((3, 0), (11, 0)), ((4, 1), (3, 2))):
        c.put("a", error6(A6, X64, got, kind, code), uplink(type=want[0], code=want[1], **told))
    c.put("a", error6(A6, X64, udp(X64, A6, 53, 5000, b"b" * 1190), 2, 0, struct.pack("!I", 1280)),
          uplink(type=3, code=4, rest="000004ec", bytes_ip=576, **told))
    c.put("a", error6(A6, X64, got, 4, 0, struct.pack("!I", 7)), uplink(type=12, code=0, rest="08000000", **told))
    for kind, code, rest in ((1, 5, 0), (4, 2, 0), (4, 0, 3), (4, 0, 40)):
        c.put("a", error6(A6, X64, got, kind, code, struct.pack("!I", rest)), drop("nat-protocol"))
    yield c.put("a", error6(A6, X64, udp(X64, A6, 54, 5000), 1, 4), GONE)


def exceeded(to, src, dst, kind, **kw):
    return {"action": "reply", "to": to, "csum": True, "src": src, "dst": dst, "type": kind, "code": 0, **kw}


def hops():
    c = Case("nat64-is-a-hop", "NAT-20 NAT-21: the gateway shows in an IPv6 traceroute as 64:ff9b::, its private address", BASE)
    c.put("a", udp(A6, X64, 5000, 33434, ttl=1), exceeded("a", N64, A6, 3, isrc=A6, idst=X64, idport=33434))
    for _ in range(2):
        c.put("a", udp(A6, X64, 5000, 33434, ttl=2), uplink(ttl=1)).put("a", udp(A6, X64, 5000, 33434, ttl=1), exceeded("a", N64, A6, 3))
        c.put(UP, udp(X, QN, 33434, 5000, ttl=2), deliver("a", ttl=1)).put(UP, udp(X, QN, 33434, 5000, ttl=1), exceeded(UP, QN, X, 11))
    yield c


def sizes():
    c = Case("nat64-clamps-the-mss", "NAT-19 NAT-21: 20 less than for IPv4", BASE)
    for i, (there, back, odd) in enumerate(((8941, 8961, False), (1440, 1300, True), (536, 1460, True))):
        c.put("a", syn(A6, X64, 40001 + i, 443, "S", 1000, 0, mss(there, odd)), uplink(mss=min(there, 1440), sport=40001 + i))
        c.put(UP, syn(X, QN, 443, 40001 + i, "SA", 5000, 1001, mss(back, odd)), deliver("a", mss=min(back, 1440)))
    yield c
    c = Case("nat64-takes-1500-bytes-of-ipv4", "NAT-21 MTU-02: 1520 of IPv6 are 1500 of IPv4; who sends more is told", BASE)
    for _ in range(2):
        c.put("a", udp(A6, X64, 5000, 53, b"u" * 1472), uplink(bytes_ip=1500))
        c.put("a", udp(A6, X64, 5000, 53, b"u" * 1473), {"action": "reply", "to": "a", "csum": True, "type": 2, "rest": "000005f0",
                                                        "src": "2001:db8:1:1::1", "isrc": A6})
        c.put(UP, udp(X, QN, 53, 5000, b"v" * 1472), deliver("a", bytes_ip=1520))
    c.put("a", udp(A6, X64, 5000, 53, b"u" * 8500), {"action": "reply", "to": "a", "type": 2, "rest": "000005f0"})
    yield c
    c = Case("nat64-may-be-cut-when-small", "RFC 7915 5.1: up to 1260 bytes of IPv4 may be cut, more may not", BASE)
    for size, word in ((1260, 0), (1261, 0x4000)):
        c.put("a", udp(A6, X64, 5000, 53, b"u" * (size - 28)), uplink(bytes_ip=size, df=bool(word)))
    yield c


def fragments():
    c = Case("nat64-fragments", "NAT-11 NAT-21: UDP in pieces both ways; TCP and ICMP in pieces are not carried", BASE)
    whole = F.sealed(F.UDP, F.ip(A6), F.ip(X64), F.udp(5000, 53, b"u" * 2000))
    c.put("a", piece6(A6, X64, F.UDP, whole[:1232], 0, True, 0x12345678), uplink(src=QN, dst=X, sport=5000, more=True, offset=0, ttl=63))
    c.put("a", piece6(A6, X64, F.UDP, whole[1232:], 1232, False, 0x12345678), uplink(src=QN, dst=X, more=False, offset=1232, ttl=63))
    told = F.sealed(F.UDP, F.ip(QN), F.ip(X), F.udp(5000, 53, b"u" * 2000))
    c.put("a", piece6(A6, X64, F.UDP, whole[:1232], 0, True, 0x9999ABCD), uplink(bytes=out4(F.ip4(
        F.ip(QN), F.ip(X), F.UDP, told[:1232], 63, 0xABCD, more=True))))
    c.put("a", piece6(A6, X64, F.UDP, whole[1232:], 1232, False, 0x9999ABCD), uplink(bytes=out4(F.ip4(
        F.ip(QN), F.ip(X), F.UDP, told[1232:], 63, 0xABCD, offset=1232))))
    back = F.sealed(F.UDP, F.ip(X), F.ip(QN), F.udp(53, 5000, b"v" * 2000))
    there = F.sealed(F.UDP, F.ip(X64), F.ip(A6), F.udp(53, 5000, b"v" * 2000))
    for raw, (part, at, more) in zip(pieces(X, QN, F.UDP, back, 78), ((there[:1480], 0, True), (there[1480:], 1480, False))):
        want = F.frame(MAC["router"], MAC["a"], piece6(X64, A6, F.UDP, part, at, more, 78, 63))
        c.put(UP, raw, deliver("a", bytes=want.hex()))
    bare = pieces(X, QN, F.UDP, F.udp(53, 5000, b"v" * 2000), 79)
    c.put(UP, bare[0], drop("fragment")).put(UP, bare[1], drop("fragment"))
    c.put("a", piece6(A6, X64, F.ICMP6, F.echo(128, 7), 0, True, 80), drop("fragment"))
    shaken(c).put("a", piece6(A6, X64, F.TCP, F.tcp(40001, 443, "A", 1001, 5001, b"t" * 1000), 0, True, 81), drop("fragment"))
    atomic = F.sealed(F.UDP, F.ip(A6), F.ip(X64), F.udp(5000, 53, b"atom"))
    yield c.put("a", piece6(A6, X64, F.UDP, atomic, 0, False, 82), uplink(src=QN, sport=5000, more=False, bytes_ip=32))
    c = Case("nat64-headers-end-at-the-gateway", "RFC 7915 4.1, 5.1: options and extension headers are not carried over", BASE)
    l4 = F.sealed(F.UDP, F.ip(A6), F.ip(X64), F.udp(5000, 53, b"hello"))
    chain = [(0, b"\0" + b"\1\4" + b"\0" * 4), (60, b"\1" + b"\1\x0c" + b"\0" * 12)]
    c.put("a", F.ip6(F.ip(A6), F.ip(X64), F.UDP, l4, chain=chain), uplink(src=QN, sport=5000, bytes_ip=33))
    opts = F.ip4(F.ip(X), F.ip(QN), F.UDP, F.sealed(F.UDP, F.ip(X), F.ip(QN), F.udp(53, 5000)), options=b"\x07\x07\x04\0\0\0\0\0")
    yield c.put(UP, opts, deliver("a", **IN, dport=5000, bytes_ip=53))
    c = Case("nat64-udp-without-a-checksum", "RFC 7915 4.5: IPv6 gets the checksum that IPv4 went without", BASE)
    c.put("a", udp(A6, X64, 5000, 53), uplink(sport=5000))
    for size in (0, 5, 504, 505, 1024, 1400):
        bare = F.ip4(F.ip(X), F.ip(QN), F.UDP, F.udp(53, 5000, b"z" * size))
        c.put(UP, bare, deliver("a", bytes=F.frame(MAC["router"], MAC["a"], udp(X64, A6, 53, 5000, b"z" * size, ttl=63)).hex()))
    yield c


def piece6(src, dst, proto, part, offset, more, ident, ttl=64):
    return F.ip6(F.ip(src), F.ip(dst), proto, part, ttl, chain=[(44, b"\0" + struct.pack("!HI", offset | more, ident))])


def out4(packet):
    return (b"\0" * 12 + b"\x08\0" + packet).hex()


def nat64():
    for part in (basics, states, errors, hops, sizes, fragments):
        yield from part()
