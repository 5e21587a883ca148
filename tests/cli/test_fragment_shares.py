#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who pays for remembered datagrams (A4, C12): 16,384 an ENI of what it is sent, and as many of what it sends."""
import json
import os
import tempfile

from cli import check, main, replay
from author import A, B, MAC, OPEN, QA, QB, UP, X, perm, state
import frames as F

SHARE = 16384


def pieces(src, dst, dport, ident):
    l4 = F.sealed(F.UDP, F.ip(src), F.ip(dst), F.udp(1, dport, bytes(40)))
    return [F.ip4(F.ip(src), F.ip(dst), F.UDP, l4[:24], ident=ident, more=True, df=False),
            F.ip4(F.ip(src), F.ip(dst), F.UDP, l4[24:], ident=ident, offset=24, df=False)]


def line(port, body, at=0):
    return {"port": port, "packet": F.frame(MAC["up" if port == UP else port], MAC["router"], body).hex(), "at": at}


def judged(hook, lines):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(state({name: ([perm("udp", 53, "0.0.0.0/0")], OPEN) for name in "ab"}), file)
        done = replay(path, lines, "--host", "host-a", "--hook", hook)
    return [(answer["action"], answer.get("reason")) for answer in done.lines()]


def flood(hook, dport):
    """More datagrams to `a` than it may hold, then those of others. First pieces twice: the kernel may have no memory for
    one at the moment. -> answers to the first pieces, to the others"""
    lines = [line(UP, pieces(X, QA, dport, ident)[0]) for ident in [0, *range(SHARE + 512)]]
    floods = len(lines)
    lines += [line(UP, pieces(X, QA, dport, ident)[1]) for ident in (0, SHARE + 511)]
    for port, src, dst, ident, at in ((UP, X, QB, 7, 0), ("a", A, B, 9, 0), (UP, X, QA, SHARE, 31)):
        first, later = pieces(src, dst, 53, ident)
        lines += [line(port, first, at), line(port, first, at), line(port, later, at)]
    got = judged(hook, lines)
    return got[:floods], got[floods:floods + 2] + got[floods + 4::3]


def a4_receivers_have_shares_of_their_own():
    for hook in ("tc", "xdp"):
        first, later = flood(hook, 53)
        check(f"{hook}: all first pieces that a rule admits pass", {action for action, _ in first} == {"deliver"})
        check(f"{hook}: a piece of what is within the share passes", later[0][0] == "deliver", later[0])
        check(f"{hook}: one of what is beyond it is unknown", later[1] == ("drop", "fragment"), later[1])
        check(f"{hook}: another ENI behind the uplink loses none", later[2][0] == "deliver", later[2])
        check(f"{hook}: nor does what the ENI itself sends", later[3][0] == "deliver", later[3])
        check(f"{hook}: after 30 s the share is whole again", later[4][0] == "deliver", later[4])


def a4_refused_ones_take_no_room():
    first, later = flood("tc", 99)
    check("first pieces that no rule admits are refused", set(first) == {("drop", "sg-ingress")})
    check("their pieces are unknown", later[:2] == [("drop", "fragment")] * 2, later[:2])
    check("and the other ENI's pass", later[2][0] == "deliver", later[2])


main(a4_receivers_have_shares_of_their_own, a4_refused_ones_take_no_room)
