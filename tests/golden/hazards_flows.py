# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ways to be taken for a conversation that one is not: hazards C (and E13), by the id of their class."""
import copy
import struct

from author import (A, A2, A6, B, B6, OPEN, QA, QB, UP, X, X6, Case, IGW4, IGW6, allow_all, deliver, drop, entry,
                    handshake, nacl, perm, ping, state, table, tcp, udp, uplink)
import frames as F

FAMILIES = ((A, B), (A6, B6))
HOSTS = (A + "/32", A6 + "/128")
THERE, HERE = deliver("b"), deliver("a")
WEB = state({"b": ([perm("tcp", 80, *HOSTS)], [])})
DNS = state({"b": ([perm("udp", 53, *HOSTS)], [])})


def opened(c, src, dst, sport=40000, dport=80, at=0):
    handshake(c, "a", "b", (src, dst), (dst, src), sport, dport, THERE, HERE, at)


def directions():
    c = Case("c1-a-request-is-no-reply", "C1: an entry is of one ENI and one opening direction; the same tuple the other way, "
             "or of a neighbour, is a flow of its own", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        near = ("2001:db8:1:1::11" if n else A2)
        opened(c, src, dst, at=n)
        c.put("b", tcp(dst, src, 80, 40000, "S", 9), drop("sg-egress"))
        c.put("b", tcp(dst, src, 80, 40001, "A", 9, 9), drop("sg-egress"))
        c.put("b", tcp(dst, near, 80, 40000, "A", 9, 9), drop("sg-egress"))
        c.put("a2", tcp(near, dst, 40000, 80, "A", 9, 9), drop("sg-ingress"))
        c.put("b", udp(dst, src, 80, 40000), drop("sg-egress"))
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), HERE)
    c.put(UP, tcp(X, QB, 40000, 80, "A", 9, 9), drop("sg-ingress"))
    c.put("b", tcp(B, X, 80, 40000, "SA", 9, 9), drop("sg-egress"))
    yield c
    c = Case("c2-syn-inherits-nothing", "C2: a live flow goes on, but opens anew only by the rules", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        opened(c, src, dst, at=4 * n)
        c.edit(state({"b": ([], [])}), 4 * n + 1).put("a", tcp(src, dst, 40000, 80), drop("sg-ingress"), 4 * n + 1)
        c.put("a", tcp(src, dst, 40000, 80, "A", 1001, 5001, b"x"), THERE, 4 * n + 2)
        c.put("b", tcp(dst, src, 80, 40000, "S", 9000), drop("sg-egress"), 4 * n + 3)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1002), HERE, 4 * n + 3).edit(WEB, 4 * n + 3)
    yield c


def reuse():
    c = Case("c3-port-reuse", "C3: after the close the same ports open a new flow, which owes the old one nothing", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 100 * n
        opened(c, src, dst, at=at)
        c.put("a", tcp(src, dst, 40000, 80, "FA", 1001, 5001), THERE, at + 1)
        c.put("b", tcp(dst, src, 80, 40000, "FA", 5001, 1002), HERE, at + 1)
        c.put("b", tcp(dst, src, 80, 40000, "S", 9), drop("sg-egress"), at + 2)
        opened(c, src, dst, at=at + 2)                              # TIME_WAIT is not over
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001, b"x"), HERE, at + 30)
        c.put("a", tcp(src, dst, 40000, 80, "R", 1001), THERE, at + 31)
        opened(c, src, dst, at=at + 32)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001, b"x"), HERE, at + 60)
        c.put("b", tcp(dst, src, 80, 40000, "FA", 5001, 1001), HERE, at + 61)
        c.put("a", tcp(src, dst, 40000, 80, "FA", 1001, 5002), THERE, at + 61)
        c.edit(state({"b": ([], [])}), at + 62).put("a", tcp(src, dst, 40000, 80), drop("sg-ingress"), at + 62)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1002), HERE, at + 70)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1002), drop("sg-egress"), at + 72).edit(WEB, at + 72)
    yield c


def closing():
    c = Case("c5-reset-must-be-exact", "C5: a reset with another number than the one acknowledged closes nothing", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 100 * n
        opened(c, src, dst, at=at)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), HERE, at + 1)
        for wrong in (0, 1000, 1002, 1001 + 8192, 0xFFFFFFFF):
            c.put("a", tcp(src, dst, 40000, 80, "R", wrong), THERE, at + 2)
            c.put("a", tcp(src, dst, 40000, 80, "RA", wrong, 5001), THERE, at + 2)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001, b"x"), HERE, at + 30)
        c.put("a", tcp(src, dst, 40000, 80, "R", 1001), THERE, at + 31)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1001, b"x"), HERE, at + 40.5)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1001, b"x"), drop("sg-egress"), at + 41.5)
    yield c
    c = Case("c6-challenge-ack", "C6: the ACK that answers a blind SYN or reset moves no entry", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 1000 * n
        opened(c, src, dst, at=at)
        c.put("a", tcp(src, dst, 40000, 80, "S", 77), THERE, at + 1)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), HERE, at + 1)            # the challenge
        c.put("a", tcp(src, dst, 40000, 80, "R", 77), THERE, at + 2)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001, b"x"), HERE, at + 90)     # neither closed nor half-open
        c.put("a", tcp(src, dst, 40000, 80, "FA", 1001, 5002), THERE, at + 100)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1002), HERE, at + 100)
        for k in (1, 2, 3):
            c.put("a", tcp(src, dst, 40000, 80, "A", 1002, 5002), THERE, at + 100 + k)
            c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1002), HERE, at + 100 + k)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5002, 1002, b"x"), HERE, at + 200)    # half-closed, still open
        c.put("a", tcp(src, dst, 40000, 80, "R", 1002), THERE, at + 201)               # the peer is really gone
        c.put("b", tcp(dst, src, 80, 40000, "A", 5003, 1002), drop("sg-egress"), at + 212)
    yield c
    c = Case("c7-half-close-is-not-a-close", "C7, CT-11: one FIN leaves the other direction open", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 1000 * n
        opened(c, src, dst, at=at)
        c.put("a", tcp(src, dst, 40000, 80, "FA", 1001, 5001), THERE, at + 1)
        for later in (100, 219.5, 339):
            c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1002, b"x"), HERE, at + later)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1002, b"x"), drop("sg-egress"), at + 460)
    yield c


def crossing():
    both = state({"a": ([perm("tcp", 40000, B + "/32", B6 + "/128")], [perm("tcp", 80, B + "/32", B6 + "/128")]),
                  "b": ([perm("tcp", 80, *HOSTS)], [perm("tcp", 40000, *HOSTS)])})
    c = Case("c8-simultaneous-open", "C8: crossed SYNs need the rules of both; where one refuses, that SYN is no reply", both)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 500 * n
        c.put("a", tcp(src, dst, 40000, 80, "S", 1000), THERE, at).put("b", tcp(dst, src, 80, 40000, "S", 5000), HERE, at)
        c.put("a", tcp(src, dst, 40000, 80, "SA", 1000, 5001), THERE, at).put("b", tcp(dst, src, 80, 40000, "SA", 5000, 1001), HERE)
        c.put("a", tcp(src, dst, 40000, 80, "A", 1001, 5001, b"x"), THERE, at + 100)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1002, b"x"), HERE, at + 200)
    c.edit(WEB, 900)
    for n, (src, dst) in enumerate(FAMILIES):
        c.put("a", tcp(src, dst, 40002, 80, "S", 1000), THERE, 900)
        c.put("b", tcp(dst, src, 80, 40002, "S", 5000), drop("sg-egress"), 900)
        c.put("b", tcp(dst, src, 80, 40002, "SA", 5000, 1001), HERE, 900)
    yield c
    c = Case("c9-mid-stream", "C9, CT-13: without an entry a segment is judged by the rules of its own direction", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        for flags in ("A", "PA", "SA", "FA", "RA", "R", "F"):
            c.put("b", tcp(dst, src, 80, 40000, flags, 5001, 1001), drop("sg-egress"), n)
            c.put("a", tcp(src, dst, 40000, 81, flags, 5001, 1001), drop("sg-ingress"))
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), drop("sg-egress"))
        c.put("a", tcp(src, dst, 40000, 80, "A", 1001, 5001), THERE)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), HERE)
    yield c.put("b", tcp(B, A, 80, 40000, "A", 5001, 1001), HERE, 400000)


def picked_up():
    c = Case("c9-a-reset-opens-nothing", "C9, C10: a reset that a rule admits passes, and nothing remembers it", WEB)
    for src, dst in FAMILIES:
        for n, flags in enumerate(("R", "RA", "RPA")):
            c.put("a", tcp(src, dst, 40000 + n, 80, flags, 1001, 5001), THERE)
            c.put("b", tcp(dst, src, 80, 40000 + n, "A", 5001, 1001), drop("sg-egress"))
    yield c
    short = state({"b": ([perm("tcp", 80, *HOSTS)], [])}, enis={"b": {"ConnectionTrackingConfiguration": {"TcpEstablishedTimeout": 100}}})
    c = Case("c9-a-reset-revives-nothing", "C9: nor does it wake an entry that ran out while the other ENI still knows the flow", short)
    for n, (src, dst) in enumerate(FAMILIES):
        opened(c, src, dst, at=200 * n)
        c.put("a", tcp(src, dst, 40000, 80, "R", 7), THERE, 200 * n + 101)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), drop("sg-egress"))
        c.put("a", tcp(src, dst, 40000, 80, "A", 1001, 5001), THERE)
        c.put("b", tcp(dst, src, 80, 40000, "A", 5001, 1001), HERE)
    yield c
    c = Case("c9-picked-up-until-the-other-side-speaks", "C9, C10, CT-13: what is picked up midway is half-open until the other side "
             "has spoken; a reset does not speak, nor does an acknowledgement of nothing", WEB)
    rows = []
    for n, (src, dst) in enumerate(FAMILIES):
        for k, (flags, ack, says) in enumerate((("A", 5001, None), ("A", 0, "R"), ("PA", 0, "RA"), ("P", 0, "RA"), ("FA", 5001, None),
                                                ("SA", 5001, None), ("SA", 0, "R"))):
            there, back = ((src, dst, 41000 + k, 80), (dst, src, 80, 41000 + k))
            rows.append((n, "a", tcp(*there, flags, 1001, ack, b"x"), THERE))
            rows.append((n + .1, "a", tcp(*there, "A", 1002, ack), THERE))        # saying it again is no answer
            rows.append((n + 1, "b", tcp(*back, says, 5), HERE) if says else (n, "a", tcp(*there, "A", 1002, ack), THERE))
            rows.append((n + 62, "b", tcp(*back, "A", 5001, 1001), drop("sg-egress")))
            there, back = ((src, dst, 42000 + k, 80), (dst, src, 80, 42000 + k))
            rows.append((n, "a", tcp(*there, flags, 1001, ack, b"x"), THERE))
            rows.append((n + 59, "b", tcp(*back, "A", 5001, 1001), HERE))
            rows.append((n + 400000, "b", tcp(*back, "A", 5001, 1001), HERE))
        there, back = (src, dst, 43000, 80), (dst, src, 80, 43000)
        rows += [(n, "a", tcp(*there, "S", 1000), THERE), (n, "b", tcp(*back, "SA", 5000, 1001), HERE),
                 (n, "a", tcp(*there, "A", 1001, 0), THERE), (n, "b", tcp(*back, "R", 0), HERE),
                 (n + 62, "b", tcp(*back, "A", 5001, 1001), drop("sg-egress"))]
        there, back = (src, dst, 43001, 80), (dst, src, 80, 43001)
        rows += [(n, "a", tcp(*there, "S", 1000), THERE), (n, "a", tcp(*there, "FA", 1001, 7), THERE),
                 (n + 62, "b", tcp(*back, "A", 5001, 1001), drop("sg-egress"))]
    for at, port, packet, want in sorted(rows, key=lambda row: row[0]):
        c.put(port, packet, want, at)
    yield c


def syns_that_reset():
    c = Case("c5-syn-that-resets", "C5 CT-01: a SYN with a RST, which the rules admit, takes no entry away", WEB)
    for n, (src, dst) in enumerate(FAMILIES):
        there, back = (src, dst, 41000, 80), (dst, src, 80, 41000)
        c.put("a", tcp(*there, "S", 1000), THERE, n).put("b", tcp(*back, "SA", 5000, 1001), HERE).put("a", tcp(*there, "A", 1001, 5001), THERE)
        for flags in ("SR", "SRA", "SRF"):
            c.put("a", tcp(*there, flags, 77, 99), THERE).put("b", tcp(*back, "PA", 5001, 1001, b"x"), HERE)
    yield c


def blind_fins():
    c = Case("c5-fin-must-be-near", "C5: a FIN far from what the other side acknowledged moves no entry, a real one does, although "
             "segments before it were lost", WEB)
    far = (1 << 20, 1 << 26, 1 << 28, 1 << 31, (1 << 32) - (1 << 20))
    rows = []
    for n, (src, dst) in enumerate(FAMILIES):
        for k, off in enumerate(far + (None,)):
            there, back = (src, dst, 41000 + k, 80), (dst, src, 80, 41000 + k)
            rows += [(n, "a", tcp(*there, "S", 1000), THERE), (n, "b", tcp(*back, "SA", 5000, 1001), HERE),
                     (n, "a", tcp(*there, "A", 1001, 5001), THERE)]
            if off is None:                                     # a FIN without ACK is none
                rows += [(n + 1, "a", tcp(*there, "F", 1001), THERE), (n + 1, "b", tcp(*back, "F", 5001), HERE)]
            else:
                rows += [(n + 1, "a", tcp(*there, "FA", (1001 + off) % 2**32, 5001), THERE),
                         (n + 1, "b", tcp(*back, "FA", (5001 + off) % 2**32, 1001), HERE)]
            rows += [(n + 130, "b", tcp(*back, "A", 5001, 1001, b"x"), HERE)]
        for k, off in enumerate((0, 1, 100000, -1000)):
            there, back = (src, dst, 42000 + k, 80), (dst, src, 80, 42000 + k)
            rows += [(n, "a", tcp(*there, "S", 1000), THERE), (n, "b", tcp(*back, "SA", 5000, 1001), HERE),
                     (n, "a", tcp(*there, "A", 1001, 5001), THERE), (n + 1, "a", tcp(*there, "FA", 1001 + off, 5001), THERE),
                     (n + 2, "b", tcp(*back, "A", 5001, 1001), HERE), (n + 123, "b", tcp(*back, "A", 5001, 1001), drop("sg-egress"))]
    for at, port, packet, want in sorted(rows, key=lambda row: row[0]):
        c.put(port, packet, want, at)
    yield c


def error(src, dst, kind, code, quoted, rest=b"\0\0\0\0"):
    return F.packet(src, dst, F.ICMP6 if ":" in src else F.ICMP, F.icmp(kind, code, rest, quoted[:68]))


def errors():
    ways = [(A, X, QA, X, "192.0.2.1", (3, 11, 12), (4, 5, 9, 10, 40)),
            (A6, X6, A6, X6, "2001:db8:fffe::1", (1, 2, 3, 4), (5, 100, 127, 138, 200))]
    second = {"a": {"Ipv6Addresses": [{"Ipv6Address": a} for a in (A6, A6 + "2")]}}
    s = state({"a": ([], [perm("udp", 53, X + "/32", X6 + "/128")])}, enis=second)
    c = Case("c17-icmp-errors", "C17: an error is let in for the flow it quotes, if it goes to who it quotes; it refreshes "
             "nothing and opens nothing", s)
    for n, (own, far, src, dst, router, good, bad) in enumerate(ways):
        at = 200 * n
        quoted = udp(src, dst, 4000, 53)
        other = QB if own == A else B6
        c.put(UP, error(router, src, good[0], 1, quoted), drop("sg-ingress"), at)     # before the flow
        c.put("a", udp(own, far, 4000, 53), uplink(), at)
        for kind in good:
            c.put(UP, error(router, src, kind, 0, quoted), deliver("a", dst=own, isrc=own), at)
        for kind in bad:
            c.put(UP, error(router, src, kind, 0, quoted), drop("sg-ingress", "l2"), at)
        wrong = [udp(src, dst, 4001, 53), udp(src, dst, 4000, 54), udp(dst, src, 53, 4000), tcp(src, dst, 4000, 53),
                 udp(src, router, 4000, 53), quoted[:24 if own == A else 44]]
        for quote in wrong:
            c.put(UP, error(router, src, good[0], 1, quote), drop("sg-ingress"), at)
        c.put(UP, error(router, other, good[0], 1, quoted), deliver("b"), at)         # B's rules admit all: it is not related
        c.edit(state({"a": ([], [perm("udp", 53, X + "/32", X6 + "/128")]), "b": ([], [])}, enis=second), at)
        c.put(UP, error(router, other, good[0], 1, quoted), drop("sg-ingress"), at)
        if own == A6:                                # another address of the very ENI
            c.put(UP, error(router, A6 + "2", good[0], 1, quoted), drop("sg-ingress"), at)
        c.put(UP, error(router, src, good[0], 1, quoted), deliver("a"), at + 29)
        c.put(UP, udp(dst, src, 53, 4000), drop("sg-ingress"), at + 31)
        c.put(UP, error(router, src, good[0], 1, quoted), drop("sg-ingress"), at + 31)
        c.edit(s, at + 31)
    yield c
    c = Case("c18-ping-both-ways-with-one-identifier", "C18, CT-05: the identifier is shared, the conversation is not",
             state({"b": ([perm("icmp", (8, -1), A + "/32"), perm("icmpv6", (128, -1), A6 + "/128")], [])}))
    for (src, dst), (ask, answer) in zip(FAMILIES, ((8, 0), (128, 129))):
        c.put("a", ping(src, dst, ask), THERE).put("b", ping(dst, src, ask), drop("sg-egress"))
        c.put("b", ping(dst, src, answer), HERE).put("a", ping(src, dst, answer), drop("sg-ingress"))
        c.put("b", ping(dst, src, answer, 8), drop("sg-egress")).put("b", ping(dst, src, answer), HERE)
    yield c
    c = Case("c19-path-mtu", "C19: what a live flow needs to learn reaches it, whatever MTU it names; a forged one does not",
             state({"a": ([], [perm("tcp", 443, X + "/32", X6 + "/128")])}))
    for n, (own, far, src, dst, router, _, _) in enumerate(ways):
        handshake(c, "a", UP, (own, far), (far, src), 40000, 443, uplink(), HERE, at=n)
        quoted, forged = tcp(src, dst, 40000, 443, "A", 1001, 5001), tcp(src, dst, 40001, 443, "A", 1001, 5001)
        for mtu in (0, 68, 576, 1279, 1280, 1499, 1500, 9001, 65535):
            rest = struct.pack("!HH", 0, mtu) if own == A else struct.pack("!I", mtu)
            kind, code = (3, 4) if own == A else (2, 0)
            c.put(UP, error(router, src, kind, code, quoted, rest), deliver("a", dst=own, isrc=own, csum=True))
            c.put(UP, error(router, src, kind, code, forged, rest), drop("sg-ingress"))
            c.put(UP, error(router, src, kind, code, tcp(dst, src, 443, 40000, "A"), rest), drop("sg-ingress"))
        c.put("a", tcp(own, far, 40000, 443, "A", 1001, 5001, b"x"), uplink())
    yield c


def edits():
    s = state({"b": ([perm("tcp", 80, *HOSTS), perm("udp", 53, "sg-a"), perm("udp", 99, "0.0.0.0/0", "::/0")], OPEN)})
    c = Case("c20-what-outlives-its-rule", "C20, CT-07: tracked flows live on, untracked ones and those a network ACL denies end "
             "at the next packet", s)
    for n, (src, dst) in enumerate(FAMILIES):
        opened(c, src, dst, at=0)
        c.put("a", udp(src, dst, 4000, 53), THERE, 0).put("b", udp(dst, src, 53, 4000), HERE, 0)
        c.put("a", udp(src, dst, 4000, 99), THERE, 0).put("b", udp(dst, src, 99, 4000), HERE, 0)
    c.edit(state({"b": ([], [])}), 1)
    for src, dst in FAMILIES:
        c.put("a", tcp(src, dst, 40000, 80, "A", 1001, 5001, b"x"), THERE).put("b", tcp(dst, src, 80, 40000, "A", 5001, 1002), HERE)
        c.put("a", udp(src, dst, 4000, 53), THERE).put("b", udp(dst, src, 53, 4000), HERE)
        c.put("a", udp(src, dst, 4000, 99), drop("sg-ingress")).put("b", udp(dst, src, 99, 4000), drop("sg-egress"))
        c.put("a", udp(src, dst, 4001, 53), drop("sg-ingress")).put("a", tcp(src, dst, 40001, 80), drop("sg-ingress"))
    cut = nacl("S2", entry(10, False, "deny", "6", "10.0.1.0/24", (80, 80)), entry(11, True, "deny", "17", "2001:db8:1:1::/64",
                                                                                 (4000, 4000)), *allow_all())
    c.edit(state({"b": ([], [])}, [cut]), 2)
    c.put("a", tcp(A, B, 40000, 80, "A", 1002, 5001, b"x"), drop("nacl-ingress"))
    c.put("b", tcp(B, A, 80, 40000, "A", 5001, 1002), HERE).put("a", tcp(A6, B6, 40000, 80, "A", 1002, 5001, b"x"), THERE)
    c.put("b", udp(B6, A6, 53, 4000), drop("nacl-egress")).put("b", udp(B, A, 53, 4000), HERE)
    c.edit(state({"b": ([], [])}), 3)
    c.put("a", tcp(A, B, 40000, 80, "A", 1002, 5001, b"x"), THERE)
    yield c


TIMES = {"TcpEstablishedTimeout": 350, "UdpTimeout": 40, "UdpStreamTimeout": 90}


def conversation(src, dst, kind, port):
    """-> (packets that lead into the state, probe that the opener may send only by the entry... of the other side, seconds)"""
    there = lambda flags, seq=1001, ack=5001: ("a", tcp(src, dst, port, 80, flags, seq, ack), THERE)
    back = lambda flags, seq=5001, ack=1001: ("b", tcp(dst, src, 80, port, flags, seq, ack), HERE)
    ask, answer = (128, 129) if ":" in src else (8, 0)
    query, reply = ("a", udp(src, dst, port, 53), THERE), ("b", udp(dst, src, 53, port), HERE)
    shake = [there("S", 1000, 0), back("SA", 5000), there("A")]
    return {"syn": (shake[:1], back("SA", 5000), 60), "syn-ack": (shake[:2], back("SA", 5000), 60),
            "established": (shake, back("A"), 350), "one fin": (shake + [there("FA")], back("A"), 120),
            "the other fin": (shake + [back("FA")], back("A"), 120),
            "both": (shake + [there("FA"), back("FA")], back("A"), 10),
            "reset": (shake + [back("A"), there("R")], back("A"), 10),
            "udp": ([query], reply, 40), "udp answered": ([query, reply], reply, 40),
            "udp stream": ([query, reply] * 2, reply, 90),
            "ping": ([("a", ping(src, dst, ask, port), THERE)], ("b", ping(dst, src, answer, port), HERE), 30),
            "gre": ([("a", F.packet(src, dst, 47, struct.pack("!HH", 0, port)), THERE)],
                    ("b", F.packet(dst, src, 47, struct.pack("!HH", 0, port)), HERE), 600)}[kind]


KINDS = ("syn", "syn-ack", "established", "one fin", "the other fin", "both", "reset", "udp", "udp answered", "udp stream", "ping")


def timers():
    s = state({"b": ([perm("tcp", 80, *HOSTS), perm("udp", 53, *HOSTS), perm("icmp", (8, -1), HOSTS[0]),
                      perm("icmpv6", (128, -1), HOSTS[1]), perm("47", None, *HOSTS)], [])},
              enis={name: {"ConnectionTrackingConfiguration": TIMES} for name in "ab"})
    c = Case("c21-every-time-out", "C21: each state of an entry lives as long as it should, to the second", s)
    rows = []
    for n, (src, dst) in enumerate(FAMILIES):
        for late in (False, True):
            for k, kind in enumerate(KINDS):
                lead, (port, probe, want), seconds = conversation(src, dst, kind, 41000 + 2 * k + late)
                rows += [(10, port_, packet, w) for port_, packet, w in lead]
                rows.append((10 + seconds + (1 if late else -1), port, probe, drop("sg-egress") if late else want))
        lead, (port, probe, want), seconds = conversation(src, dst, "gre", 0)
        rows += [(700 + 1300 * n, *lead[0]), (1299 + 1300 * n, port, probe, want)]
        rows.append((1299 + 601 + 1300 * n, port, probe, drop("sg-egress")))
    for at, port, packet, want in sorted(rows, key=lambda row: row[0]):
        c.put(port, packet, want, at)
    yield c
    c = Case("c22-one-sided-udp-stays-short", "C22: only an exchange that went both ways twice earns the stream's time", DNS)
    for n, (src, dst) in enumerate(FAMILIES):
        at = 1000 * n
        for k in range(20):
            c.put("a", udp(src, dst, 4000, 53), THERE, at)
        c.put("b", udp(dst, src, 53, 4000), drop("sg-egress"), at + 31)
        c.put("a", udp(src, dst, 4001, 53), THERE, at + 40)
        for k in range(20):
            c.put("b", udp(dst, src, 53, 4001), HERE, at + 40)
        c.put("b", udp(dst, src, 53, 4001), drop("sg-egress"), at + 71)
        for k in range(10):
            c.put("a", udp(src, dst, 4002, 53), THERE, at + 80)
        c.put("b", udp(dst, src, 53, 4002), HERE, at + 80).put("a", udp(src, dst, 4002, 53), THERE, at + 80)
        c.put("b", udp(dst, src, 53, 4002), drop("sg-egress"), at + 111)
        for k in range(2):
            c.put("a", udp(src, dst, 4003, 53), THERE, at + 120).put("b", udp(dst, src, 53, 4003), HERE, at + 120)
        c.put("b", udp(dst, src, 53, 4003), HERE, at + 299).put("b", udp(dst, src, 53, 4003), drop("sg-egress"), at + 480)
    yield c


def without(s, *lists):
    """The state without the objects that a predicate names: (list, predicate)..."""
    s = copy.deepcopy(s)
    for name, gone in lists:
        s[name] = [o for o in s[name] if not gone(o)]
    return s


def removal():
    s = state({"b": ([perm("tcp", 80, *HOSTS)], [])}, [nacl("S2", *allow_all())], [table(None, IGW4, IGW6)])
    c = Case("e13-removal-in-any-order", "E13: whatever is taken away first, nothing denied passes meanwhile", s)
    b_port = lambda s_: s_["Hosts"][0].update(Ports=[p for p in s_["Hosts"][0]["Ports"] if p["NetworkInterfaceId"] != "b"])
    steps = {"rules": lambda s_: s_["SecurityGroups"][2].update(IpPermissions=[], IpPermissionsEgress=[]),
             "acl": lambda s_: s_.update(NetworkAcls=[]),
             "table": lambda s_: s_.update(RouteTables=[table(None)]),
             "port": b_port,
             "gateway": lambda s_: (s_.update(InternetGateways=[]), s_["Hosts"][0].update(Uplinks=[]))}
    orders = (("rules", "acl", "table", "port", "gateway"), ("gateway", "port", "table", "acl", "rules"),
              ("acl", "gateway", "rules", "port", "table"), ("port", "rules", "gateway", "table", "acl"))
    at = 0
    for order in orders:
        now = copy.deepcopy(s)
        for step in (None, *order):
            at += 1
            if step:
                steps[step](now)
                c.edit(copy.deepcopy(now), at)
            for src, dst in FAMILIES:
                c.put("a", tcp(src, dst, 40000, 81), drop(), at).put("a", udp(src, dst, 4000, 80), drop(), at)
                c.put("b", tcp(dst, src, 4000, 80), drop(), at)
            for src, dst in ((X, QB), (X6, B6)):
                c.put(UP, tcp(src, dst, 40000, 80), drop(), at)
        c.edit(s, at)
        opened(c, A, B, 42000 + at, at=at)
    yield c


def flow_hazards():
    for group in (directions, reuse, closing, blind_fins, syns_that_reset, crossing, picked_up, errors, edits, timers, removal):
        yield from group()
