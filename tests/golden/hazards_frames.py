# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Frames that hide, lie or claim: hazards A and B, by the id of their class."""
import struct

from author import (A, A2, A6, B, B6, M, MAC, PASS, QA, QB, UP, X, X6, Case, deliver, drop, edited, frame, perm, ping, state,
                    tcp, udp)
import frames as F

BASE = state()
FAMILIES = ((A, B), (A6, B6))
ANY = ("0.0.0.0/0", "::/0")
PAD = 22                                             # a destination-options header of 24 bytes


def only(*rules):
    return state({"b": ([perm(*rule, *ANY) for rule in rules], [])})


def piece(src, dst, proto, part, ident, offset=0, more=False, chain=()):
    """A fragment; chain: extension headers behind the fragment header (IPv6)."""
    s, d = F.ip(src), F.ip(dst)
    if len(s) == 4:
        return F.ip4(s, d, proto, part, ident=ident, offset=offset, more=more)
    header = struct.pack("!BHI", 0, offset | more, ident)
    return F.ip6(s, d, proto, part, chain=[(44, header), *chain])


def datagram(src, dst, proto, l4):
    return F.sealed(proto, F.ip(src), F.ip(dst), l4)


def fragments():
    c = Case("a1-later-fragments-have-no-ports", "A1: they follow the first of their datagram; what they hold is never read "
             "as ports", only(("udp", 53)))
    decoy = F.udp(4000, 53) + b"z" * 51              # looks like a header for the open port
    for src, dst in FAMILIES:
        good, bad = (datagram(src, dst, F.UDP, F.udp(4000, port, b"z" * 64)) for port in (53, 54))
        rest = piece(src, dst, F.UDP, good[40:], 7, 40)
        c.put("a", rest, drop("fragment")).put("a", piece(src, dst, F.UDP, decoy, 7, 40), drop("fragment"))
        c.put("a", piece(src, dst, F.UDP, bad[:40], 7, more=True), drop("sg-ingress"))
        for part in (bad[40:], decoy):
            c.put("a", piece(src, dst, F.UDP, part, 7, 40), drop("sg-ingress", "fragment"))
        c.put("a", piece(src, dst, F.UDP, good[:40], 8, more=True), deliver("b"))
        c.put("a", piece(src, dst, F.UDP, good[40:], 8, 40), deliver("b"))
        for proto, ident in ((F.UDP, 9), (F.UDP, 0x10008), (132, 8)):
            if src == A6 or ident < 65536:
                c.put("a", piece(src, dst, proto, good[40:], ident, 40), drop("fragment"))
    yield c

    c = Case("a2-tiny-fragments", "A2: no header in pieces, and none that a later piece could write over",
             only(("tcp", 80), ("udp", 53)))
    for n, (src, dst) in enumerate(FAMILIES):
        short = datagram(src, dst, F.TCP, F.tcp(4000, 80, "S", data=b"z" * 60))
        long = datagram(src, dst, F.TCP, F.tcp(4000, 80, "S", data=b"z" * 40, options=b"\x01" * 40))
        small = datagram(src, dst, F.UDP, F.udp(4000, 53, b"z" * 40))
        ping_ = datagram(src, dst, F.ICMP6 if n else F.ICMP, F.echo(128 if n else 8, 7))
        for whole, proto, cuts in ((short, F.TCP, (0, 4, 8, 12, 16, 19)), (long, F.TCP, (24, 40, 56)), (small, F.UDP, (0, 4, 7)),
                                   (ping_, F.ICMP6 if n else F.ICMP, (0, 4, 7))):
            for cut in cuts:
                c.put("a", piece(src, dst, proto, whole[:cut], 50 + cut, more=True), drop("fragment"))
        c.put("a", piece(src, dst, F.TCP, short[:24], 5, more=True), deliver("b"))
        for offset, want in ((8, drop("fragment")), (16, drop("fragment")), (24, deliver("b"))):
            c.put("a", piece(src, dst, F.TCP, short[offset:], 5, offset), want)
    yield c

    c = Case("a3-overlapping-fragments", "A3: what was inspected stays what it was: no piece reaches back into the headers, and "
             "a refused first one changes nothing", only(("tcp", 80), ("udp", 53)))
    for src, dst in FAMILIES:
        good, bad = (datagram(src, dst, F.UDP, F.udp(4000, port, b"z" * 64)) for port in (53, 54))
        rest = piece(src, dst, F.UDP, good[40:], 7, 40)
        c.put("a", piece(src, dst, F.UDP, good[:40], 7, more=True), deliver("b"))
        c.put("a", piece(src, dst, F.UDP, bad[:40], 7, more=True), drop("sg-ingress")).put("a", rest, deliver("b"))
        c.put("a", piece(src, dst, F.UDP, bad[:24], 7, more=True), drop("sg-ingress"))
        c.put("a", piece(src, dst, F.UDP, bad[:40], 8, more=True), drop("sg-ingress"))
        c.put("a", piece(src, dst, F.UDP, good[:40], 8, more=True), deliver("b"))
        c.put("a", piece(src, dst, F.UDP, good[32:], 8, 32), deliver("b"))
    options = [(60, bytes([2, 1, PAD - 2]) + b"\0" * (PAD - 2))]
    for proto, l4 in ((F.UDP, F.udp(4000, 53, b"z" * 64)), (F.TCP, F.tcp(4000, 80, "S", data=b"z" * 64))):
        whole = datagram(A6, B6, proto, l4)
        c.put("a", piece(A6, B6, proto, whole[:40], 9, more=True, chain=options), drop("fragment"))
        evil = datagram(A6, B6, proto, F.udp(4000, 22, b"z" * 64))
        for offset in (24, 32):                      # the next header of a later piece may lie: RFC 8200, 4.5
            c.put("a", piece(A6, B6, proto, evil[offset - 24:], 9, offset), drop("fragment"))
    yield c


def memory():
    c = Case("a4-fragment-memory", "A4: what is remembered of a datagram is of one arrival, one identification, and 30 s",
             only(("udp", 53)))
    for n, (src, dst) in enumerate(FAMILIES):
        at = 100 * n
        good, bad = (datagram(src, dst, F.UDP, F.udp(4000, port, b"z" * 64)) for port in (53, 54))
        rest = piece(src, dst, F.UDP, good[40:], 7, 40)
        c.put("a", piece(src, dst, F.UDP, good[:40], 7, more=True), deliver("b"), at).put("a", rest, deliver("b"), at)
        c.put("m", rest, drop("fragment")).put("a", piece(src, dst, F.UDP, good[40:], 6, 40), drop("fragment"))
        c.put("m", piece(src, dst, F.UDP, bad[:40], 7, more=True), drop("sg-ingress")).put("a", rest, deliver("b"))
        c.put("m", rest, drop("fragment")).put("a", rest, deliver("b"), at + 29).put("a", rest, drop("fragment"), at + 31)
        c.put("a", piece(src, dst, F.UDP, bad[:40], 7, more=True), drop("sg-ingress"), at + 31)
        c.put("a", rest, drop("fragment"), at + 32)
    yield c


def lengths():
    c = Case("a5-lengths-that-lie", "A5: no length is believed that the frame does not bear out; padding is no payload",
             only(("tcp", 80), ("udp", 53)))
    for src, dst in FAMILIES:
        six = src == A6
        good = udp(src, dst, 4000, 53, b"z" * 20)
        for body in (good, tcp(src, dst, 4000, 80, "A", data=b"zzzz")):      # a live flow: its decision is kept
            c.put("a", body, deliver("b")).put("a", body, deliver("b"))
        for lie in (len(good) + 1, 65535, 27, 20, 19, 0):
            field = lie if not six else max(lie - 40, 0)
            at = 4 if six else 2
            c.put("a", good[:at] + struct.pack("!H", field) + good[at + 2:], drop("malformed"))
        for lie in (0, 7, 29, 65535):                # of the UDP header
            at = 44 if six else 24
            c.put("a", good[:at] + struct.pack("!H", lie) + good[at + 2:], drop("malformed"))
        for words in (0, 1, 4, 15):                  # TCP data offset
            l4 = F.tcp(4000, 80, "A", data=b"zzzz")
            c.put("a", F.packet(src, dst, F.TCP, l4[:12] + bytes([words << 4]) + l4[13:]), drop("malformed"))
        c.put("a", frame("a", good) + b"\0" * 18, deliver("b", dport=53), dst="raw")
    for ihl in (0, 1, 4, 15):
        raw = udp(A, B, 4000, 53, b"")
        c.put("a", bytes([0x40 | ihl]) + raw[1:], drop("malformed"))
    yield c


def chains():
    option = (60, b"\0\1\4\0\0\0\0")
    c = Case("a7-extension-headers", "A7: the port behind the chain decides; a chain too long, cut or routed is no packet",
             only(("udp", 53)))
    for n in range(13):
        for port, want in ((53, deliver("b", dport=53)), (54, drop("sg-ingress"))):
            c.put("a", udp(A6, B6, 4000, port, chain=[option] * n), want if n <= 8 else drop("malformed"))
    c.put("a", udp(A6, B6, 4000, 53, chain=[(0, b"\0\1\4\0\0\0\0"), option, (43, b"\0\2\0\0\0\0\0")]), deliver("b"))
    for left, want in ((1, drop("ip-options")), (255, drop("ip-options"))):
        routing = (43, bytes([2, 0, left]) + b"\0" * 4 + F.ip(B6))
        c.put("a", udp(A6, B6, 4000, 53, chain=[routing]), want).put("a", udp(A6, B6, 4000, 53, chain=[option, routing]), want)
    c.put("a", udp(A6, B6, 4000, 53, chain=[(60, b"\x10" + b"\0" * 6)]), drop("malformed"))
    for kind in (50, 51, 59, 135, 139, 140, 253):    # not walked: a protocol of its own, which no UDP rule covers
        c.put("a", F.packet(A6, B6, kind, F.udp(4000, 53)), drop("sg-ingress"))
    yield c

    c = Case("a8-nested-and-atomic-fragments", "A8: one fragment header at most; a datagram of one piece is a packet",
             only(("udp", 53)))
    atomic, first = (44, b"\0\0\0\0\0\0\x09"), (44, b"\0\0\1\0\0\0\x09")
    for port, want in ((53, deliver("b", dport=53)), (54, drop("sg-ingress"))):
        c.put("a", udp(A6, B6, 4000, port, b"z" * 32, chain=[atomic]), want)
        c.put("a", udp(A6, B6, 4000, port, b"z" * 32, chain=[option, atomic]), want)
        for outer in (atomic, first):
            for inner in (atomic, first, (44, b"\0\0\x28\0\0\0\x09")):
                c.put("a", udp(A6, B6, 4000, port, b"z" * 32, chain=[outer, inner]), drop("malformed"))
    yield c


def tags():
    good = frame("a", udp(A, B, 4000, 99))
    c = Case("a9-tags-in-the-frame", "A9: no tag, of whatever id, is a packet of a port", BASE)
    for kind in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        for vlan in (0, 1, 100, 4095, 0xE001):
            tag = kind + struct.pack("!H", vlan)
            c.put("a", good[:12] + tag + good[12:], drop("vlan"), dst="raw")
            c.put("a", good[:12] + tag + b"\x81\x00\0\x05" + good[12:], drop("vlan"), dst="raw")
            c.put(UP, frame(UP, udp(X, QA, 4000, 99))[:12] + tag + good[12:], drop("vlan"), dst="raw")
    c.put("a", good[:12] + b"\x81", drop("malformed"), dst="raw")
    yield c.put("a", good, deliver("b"), dst="raw")


def identities():
    shut = state({"b": ([perm("udp", 99, A + "/32", A6 + "/128")], [])})
    c = Case("b1-spoofed-source-opens-nothing", "B1: what a liar sends opens no flow in the name of its victim", shut)
    for fam, (src, dst) in enumerate(FAMILIES):
        for liar in ("a2",):
            c.put(liar, udp(src, dst, 4000, 99), drop("source-check")).put(liar, tcp(src, dst, 4000, 99), drop("source-check"))
            c.put(liar, ping(src, dst, 128 if fam else 8), drop("source-check"))
        c.put("b", udp(dst, src, 99, 4000), drop("sg-egress")).put("a", udp(src, dst, 4000, 99), deliver("b"))
        c.put("a2", udp(src, dst, 4000, 99), drop("source-check")).put("b", udp(dst, src, 99, 4000), deliver("a"))
    yield c

    c = Case("b2-mac-of-another-on-a-live-flow", "B2: a kept decision, too, is for the owner's MAC only", BASE)
    for src, dst in FAMILIES:
        body = udp(src, dst, 4000, 99)
        c.put("a", body, deliver("b")).put("a", body, deliver("b"))
        for mac in (MAC["a2"], MAC["b"], "02:00:00:00:00:05", "06:00:00:00:00:01", MAC["router"], "ff:ff:ff:ff:ff:ff"):
            c.put("a", F.frame(mac, MAC["router"], body), drop("mac-spoof"), dst="raw")
        c.put("a", F.frame(MAC["a"], MAC["a2"], body), drop("dest-check"), dst="raw")
        c.put("a", F.frame(MAC["a"], MAC["b"], body), drop("unknown-mac"), dst="raw")
        c.put("a", body, deliver("b"))
    yield c

    c = Case("b3-arp-claims", "B3: of all forms of ARP only an honest question is answered, and nothing is passed on", BASE)
    for op in range(12):
        for smac in ("a", "a2"):
            for sha in ("a", "a2"):
                for spa in (A, A2, "10.0.1.1", "0.0.0.0", "10.0.1.77"):
                    honest = smac == sha == "a" and spa in (A, "0.0.0.0")
                    want = ({"action": "reply", "sha": MAC["router"], "spa": "10.0.1.1", "tpa": spa, "dmac": MAC["a"]}
                            if op == 1 and honest else drop("mac-spoof") if smac != "a" else drop("mac-spoof", "l2"))
                    c.put("a", F.arp(MAC[smac], op, MAC[sha], spa, "10.0.1.1"), want, dst="raw")
    for at, value in ((15, 6), (16, 0x86), (18, 8), (19, 16)):       # hardware, protocol and their lengths
        raw = bytearray(F.arp(MAC["a"], 1, MAC["a"], A, "10.0.1.1"))
        raw[at] = value
        c.put("a", bytes(raw), drop("malformed"), dst="raw")
    yield c


def discovery(kind, smac, src, dst, dmac, rest, ttl=255):
    body = F.packet(src, dst, F.ICMP6, bytes([kind, 0, 0, 0]) + rest, ttl=ttl)
    return F.frame(smac, dmac, body)


def routers():
    advert = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\x01\x01" + F.mac(MAC["a"])
    redirect = b"\0\0\0\0" + F.ip("fe80::1") + F.ip(B6)
    c = Case("b5-router-claims", "B5: no advertisement and no redirect of a tenant reaches anybody", BASE)
    for port in ("a", "m"):
        for kind, rest in ((134, advert), (137, redirect)):
            for src in ("fe80::1", "fe80:ec2::1", A6):
                for dst, dmac in (("ff02::1", "33:33:00:00:00:01"), (B6, MAC["router"]), ("2001:db8:1:1::11", MAC["a2"])):
                    c.put(port, discovery(kind, MAC[port], src, dst, dmac, rest), drop("l2", "source-check"), dst="raw")
    from_router = [F.packet(src, A2, F.ICMP, F.icmp(5, 1, F.ip(A), udp(A2, X, 4000, 53))) for src in ("10.0.1.1", "10.0.3.1", M)]
    closed = state({"a2": ([perm("udp", 99, "0.0.0.0/0")], [])})
    c.edit(closed)
    for body, want in zip(from_router, (drop("martian", "sg-ingress"), drop("martian"), drop("sg-ingress"))):
        c.put("m", body, want)                       # without a source check, too
    c.put("a", F.packet("10.0.1.1", A2, F.ICMP, F.icmp(5, 1, F.ip(A), udp(A2, X, 4000, 53))), drop("source-check"), dst="a2")
    yield c

    c = Case("b7-nothing-to-everybody", "B7: no group, no broadcast, by address or by MAC", BASE)
    for mac, dst in (("ff:ff:ff:ff:ff:ff", B), ("ff:ff:ff:ff:ff:ff", "255.255.255.255"), ("ff:ff:ff:ff:ff:ff", "10.0.1.255"),
                     ("01:00:5e:00:00:fb", "224.0.0.251"), (MAC["router"], "239.1.1.1"), (MAC["a2"], "255.255.255.255"),
                     ("01:80:c2:00:00:00", B)):
        c.put("a", F.frame(MAC["a"], mac, udp(A, dst, 4000, 99)), drop("multicast", "l2", "martian"), dst="raw")
    for mac, dst in (("33:33:00:00:00:01", "ff02::1"), ("33:33:00:00:00:fb", "ff02::fb"), (MAC["router"], "ff0e::1"),
                     ("33:33:00:01:00:02", B6), (MAC["a2"], "ff05::2")):
        c.put("a", F.frame(MAC["a"], mac, udp(A6, dst, 4000, 99)), drop("multicast", "l2"), dst="raw")
    for dst in ("224.0.0.1", "255.255.255.255"):
        c.put(UP, F.frame(MAC["up"], "ff:ff:ff:ff:ff:ff", udp(X, dst, 4000, 99)), drop("multicast", "martian"), dst="raw")
    yield c.put(UP, F.frame(MAC["up"], "33:33:00:00:00:01", udp(X6, "ff02::1", 4000, 99)), drop("multicast"), dst="raw")


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
    c = Case("b6-dhcp-is-for-the-router-only", "B6: a server among the tenants offers nothing, and a request names its sender",
             state({"a": ([], []), "b": ([], [])}))
    broadcast = "ff:ff:ff:ff:ff:ff"
    c.put("a", F.frame(MAC["a"], broadcast, udp("0.0.0.0", "255.255.255.255", 68, 67)), PASS, dst="raw")
    for src, sport, dport in ((A, 67, 68), ("10.0.1.1", 67, 68), ("0.0.0.0", 67, 68), (A2, 68, 67)):
        c.put("a", F.frame(MAC["a"], broadcast, udp(src, "255.255.255.255", sport, dport)),
              drop("multicast", "source-check", "martian"), dst="raw")
    for sport, dport in ((67, 68), (68, 67)):
        c.put("a", udp(A, B, sport, dport), drop("sg-egress"))
    c.put("a", F.frame(MAC["a2"], broadcast, udp("0.0.0.0", "255.255.255.255", 68, 67)), drop("mac-spoof"), dst="raw")
    c.put("a", udp("fe80::a", B6, 547, 546), drop("source-check"))
    yield c.put("a", udp("fe80::a", B6, 546, 547), drop("source-check"))


def frames_hazards():
    for group in (fragments, memory, lengths, chains, tags, identities, routers, from_outside, from_a_middlebox, neighbours_in_pieces,
                  router_claims, dhcp):
        yield from group()
