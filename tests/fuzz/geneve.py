#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Random flows by way of appliances that lie, through the kernel's programs and through the host's build of them (ASan, UBSan):
every answer must be the same, and nothing that was not sent may come back. Needs root.

    geneve.py ENID HOST_ENID [--packets N] [--seed N]

What an appliance returns is what it got with some bytes changed, of one of the last packets; whatever differs outside of the
packet inside, but for what a router on the way may change, must be dropped; so must a packet of addresses or ports that no
ticket is for.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests/golden"))
import author as G                                   # noqa: E402
import frames as F                                   # noqa: E402
import geneve as W                                   # noqa: E402

TABLES = [W.rtb(G.IGW4, G.IGW6), W.rtb(*W.OUTWARD, W.by_gw("10.0.2.0/24"), sub="S1"), W.rtb(W.by_gw("10.0.1.0/24"), G.IGW4, sub="S2"),
          W.rtb(W.by_gw("10.0.1.0/24"), W.by_gw("2001:db8:1:1::/64"), gateway="igw-1")]
STATES = [W.inspected(tables=TABLES, targets=W.APPLIANCES),
          W.inspected(tables=TABLES, targets=W.APPLIANCES, health=("unhealthy",), more=W.idle(60)),
          W.inspected(tables=TABLES, targets=W.APPLIANCES[1:], more=W.sticky("source_ip_dest_ip"))]
FREE = {*range(0, 12), 15, 18, 19, 22, 24, 25, 34, 35, 40, 41}   # MACs (checked elsewhere), TOS, id, TTL, sums, source port; of byte 20 two bits that say nothing


def plain(rng):
    """A packet that is to go to an appliance, more often than not: (port, IP packet)"""
    sport, dport = 40000 + rng.randrange(4), rng.choice((53, 80))
    (port, src, dst) = rng.choice((("a", G.A, G.X), ("a", G.A, G.B), ("b", G.B, G.A), (G.UP, G.X, G.QA), ("a", G.A6, G.X6),
                                   (G.UP, G.X6, G.A6), ("a2", G.A2, G.B)))
    if port == G.UP or rng.random() < .2:
        sport, dport = dport, sport
    data = bytes(rng.randrange(256) for _ in range(rng.choice((0, 1, 9, 40))))
    kind = rng.randrange(8)
    if kind < 3:
        return port, G.udp(src, dst, sport, dport, data)
    if kind < 6:
        return port, G.tcp(src, dst, sport, dport, rng.choice(("S", "S", "SA", "A", "A", "PA", "FA", "R")), rng.randrange(9), 5, data)
    if kind == 6:
        return port, G.ping(src, dst, rng.choice((128, 129) if ":" in src else (8, 0)))
    return port, F.packet(src, dst, rng.choice((47, 50)), data + b"12345678")


def returned(rng, packet):
    """-> (frame, must it be dropped?)"""
    raw = bytearray(F.turned(bytes.fromhex(packet)))
    honest = bytes(raw)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 5))):
        at = rng.choice((rng.randrange(12, 82), rng.randrange(len(raw))))
        raw[at] = rng.choice((rng.randrange(256), raw[at] ^ 1 << rng.randrange(8)))
    if rng.random() < .1:
        del raw[rng.randrange(14, len(raw)):]
    if rng.random() < .1:
        raw += bytes(rng.randrange(1, 60))
    if rng.random() < .7 and len(raw) >= 34:
        raw[24:26] = b"\0\0"
        raw[24:26] = F.struct.pack("!H", ~F.ones(raw[14:34]) & 0xFFFF)
    differs = [i for i in range(12, min(82, len(raw))) if i not in FREE and (raw[i] ^ honest[i]) & (0x3f if i == 20 else 0xff)]
    return bytes(raw), bool(differs) or len(raw) < 82


class Talk:
    def __init__(self, enid, hook, state):
        self.process = subprocess.Popen([enid, "replay", "--state", state, "--host", "host-a", "--hook", hook, "--max-flows", "64"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("no answer: " + self.process.stderr.read()[-2000:].decode(errors="replace"))
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def play(talks, rng, paths, packets):
    """-> what went wrong, or None"""
    sent, at, counts = [], 0.0, [0, 0, 0]
    for n in range(packets):
        must = False
        at += rng.choice((0, 0, 0.001, 0.1, 3, 130, 351) if rng.random() < .2 else (0, 0.001))
        if rng.random() < .004:
            line = {"state": rng.choice(paths)}
        elif sent and rng.random() < .5:
            raw, must = returned(rng, rng.choice(sent[-6:]))
            line = {"port": W.GW, "packet": raw.hex()}
        else:
            port, body = plain(rng)
            line = {"port": port, "packet": G.frame(port, body).hex()}
        line["at"] = round(at, 6)
        answers = [talk.say(line) for talk in talks]
        if answers[0] != answers[1]:
            return "line %d: %s\n  kernel %s\n  host   %s" % (n, line, *answers)
        answer = answers[0]
        if must and answer["action"] != "drop" and not (answer["action"] == "pass" and raw[12:14] == b"\x08\x06"):
            # a mutated type may be ARP's, which goes to the host's stack on every uplink
            return "line %d: a forged packet passed: %s\n  %s" % (n, line, answer)
        if answer.get("to") == W.GW and answer["action"] == "uplink":
            if F.bad_checksum(bytes.fromhex(answer["packet"])) and "packet" in line and line["port"] != W.GW:
                return "line %d: a wrong checksum: %s" % (n, answer)
            sent.append(answer["packet"])
            counts[0] += 1
        elif line.get("port") == W.GW:
            counts[1 + (answer["action"] == "drop")] += 1
    print("  %d went to appliances; of what they returned %d went on, %d died" % tuple(counts))
    return None if min(counts) > packets // 50 else "hardly anything was tried: %s" % counts


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("enid")
    ap.add_argument("host")
    ap.add_argument("--packets", type=int, default=1500)
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    a = ap.parse_args()
    if os.geteuid():
        print("SKIP geneve: needs root")
        return 0
    good = bad = 0
    with tempfile.TemporaryDirectory(prefix="enid-geneve.") as where:
        paths = [os.path.join(where, "state%d.json" % n) for n in range(len(STATES))]
        for path, state in zip(paths, STATES):
            with open(path, "w") as f:
                json.dump(state, f)
        for hook in ("tc", "xdp"):
            talks = [Talk(enid, hook, paths[0]) for enid in (a.enid, a.host)]
            wrong = play(talks, random.Random(a.seed), paths, a.packets)
            for talk in talks:
                talk.end()
            print("geneve %s: seed %d: %s" % (hook, a.seed, wrong or "the same"))
            good, bad = good + (not wrong), bad + bool(wrong)
    print("%d passed, %d failed" % (good, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
