#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Write seed corpora: seeds.py FOLDER makes FOLDER/<fuzzer>/<seed>.

Those of every fuzzer: the corpus that was found so far, tests/fuzz/corpus/<fuzzer>.b64, an input a line (see keep.py).
packet   the golden cases' frames; frames of the captures in ../shared/data/pcap, where that is, made a port's own
flow     conversations of every protocol and by every gateway, with answers, errors, pieces, pauses and edits
classify random rules
state    the golden states, and those in ../shared/data/aws-describe
replay   the golden cases' lines; the captures
"""
import base64
import glob
import json
import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
PLACES = [os.path.join(HERE, "..", "..", up, "shared", "data") for up in ("..", "../..")]
DATA = next((p for p in PLACES if os.path.isdir(p)), PLACES[0])
PORTS = {"a": 0, "a2": 1, "b": 2, "m": 3, "g": 4, "gi": 5, "z": 6, "y": 7, "igw-1": 8, "igw-2": 9, "c": 10, "e": 11, "eigw-1": 12,
         "vgw-1": 13, "vpce-1": 14, "att-7": 15}
TX, OWN, EDIT = 1, 2, 8


def packet(port, frame, flags=0, step=2):
    frame = frame[:3000]
    return bytes([flags << 4 | port, step]) + struct.pack(">H", len(frame)) + frame


def step_of(seconds):
    return next(i for i, s in enumerate((0.0005, 0.0005, 0.02, 1, 20, 50, 200, 1e9)) if seconds <= s)


def golden_packets():
    for case in sorted(glob.glob(os.path.join(GOLDEN, "*", "scenario.jsonl"))):
        out, at = b"", 0
        with open(case) as f:
            for line in f:
                o = json.loads(line)
                flags, now = EDIT if "state" in o else 0, o.get("at", at)
                if "packet" not in o or o["port"] not in PORTS or len(o["packet"]) > 3000:
                    continue
                flags |= TX if o.get("dir") == "tx" else 0
                out += packet(PORTS[o["port"]], bytes.fromhex(o["packet"]), flags, step_of(now - at))
                at = now
        if out:
            yield os.path.basename(os.path.dirname(case)), out[:4000]


def capture_frames(path):
    with open(path, "rb") as f:
        raw = f.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<"}.get(raw[:4])
    if not order or struct.unpack(order + "I", raw[20:24])[0] != 1:
        return
    at = 24
    while at + 16 <= len(raw):
        size = struct.unpack(order + "I", raw[at + 8:at + 12])[0]
        yield raw[at + 16:at + 16 + size]
        at += 16 + size


def captures():
    return sorted(p for p in glob.glob(os.path.join(DATA, "pcap", "**", "*"), recursive=True) if os.path.isfile(p))


def captured_packets():
    for path in captures():
        out = b"".join(packet(i % 10, f, OWN if i & 1 else 0) for i, f in enumerate(capture_frames(path)) if i < 6)
        if out:
            yield "pcap-" + os.path.basename(path), out[:4000]


def flows():
    rng = random.Random(1)
    for n in range(60):
        out = b""
        for _ in range(rng.randrange(1, 6)):
            pair = bytes([rng.choice((0, 0, 2, 3, 6, 8, 4, 5)) << 4 | rng.choice((0, 1, 2, 3, 4, 5, 7, 8))])
            kind = bytes([rng.randrange(256) & 0xef, rng.randrange(256) & 0xc7])
            out += b"\0" + pair + kind
            for i in range(rng.randrange(6)):
                last = len(out) // 4 % 8
                out += rng.choice((bytes([1, (last - 1) & 7, rng.choice((1, 2, 2, 3, 5)), 0]),
                                   bytes([1, (last - 1) & 7, rng.choice((1, 2, 2, 3)), 0]),
                                   bytes([3, (last - 1) & 7, rng.randrange(4), 0]),
                                   bytes([4, (last - 1) & 7, 8 | rng.randrange(8), 7]),
                                   bytes([5, rng.randrange(16), 0, 0]), bytes([6, rng.randrange(2), 0, 0]),
                                   bytes([2, 48 | (last - 1) & 7, rng.randrange(60), rng.randrange(256)]),
                                   bytes([7, rng.randrange(256), rng.randrange(256), rng.randrange(256)])))
        yield "flow-%02d" % n, bytes([rng.choice((0, 0, 1, 2, 3, 4, 6, 12, 15))]) + out


# from, to and the family of flows by gateways: NAT, egress-only, peering, transit, VPN of either kind, endpoint; and back
GATEWAYS = [(11, 8, 4), (11, 12, 6), (11, 8, 4), (0, 10, 4), (3, 10, 4), (10, 0, 4), (0, 13, 4), (0, 14, 4), (0, 15, 4), (13, 0, 4),
            (15, 0, 4), (15, 10, 4), (10, 15, 4), (12, 11, 6), (13, 8, 4), (10, 11, 4), (11, 10, 4), (2, 10, 4), (14, 0, 4),
            (6, 10, 4), (10, 8, 4), (15, 8, 4), (2, 8, 4), (0, 2, 4), (0, 8, 6), (8, 2, 4)]


def gateway_flows():
    """A conversation each: opened, answered, quoted, in pieces, after a pause, after an edit, closed, and opened anew."""
    rng = random.Random(3)
    for n in range(8 * len(GATEWAYS)):
        source, to, family = GATEWAYS[n % len(GATEWAYS)]
        proto, large = rng.choice((0, 0, 0, 3, 3, 4, 6)), rng.choice((0, 0, 2, 3))
        public = 32 * (to in (8, 9) and source not in (8, 9) and rng.randrange(8) == 0 or source == 8)
        kind = proto | (family == 6) * 8 | public | rng.randrange(4) << 6
        first = bytes([rng.choice((0, 0, 0, 16, 32, 80)), source << 4 | to, kind, rng.choice((0, 1, 2, 3, 5)) | large << 6])
        out, past = first, 0

        def answer(flags, step=1):
            nonlocal out, past
            out += bytes([step, past & 7, flags, 0])
            past += 1
        answer(1), answer(2)
        for _ in range(rng.randrange(2, 9)):
            way = rng.randrange(12)
            if way < 4:
                answer(rng.choice((2, 2, 3, 3, 4, 5, 6)))
            elif way == 4:
                answer(2 | 8, 1)  # from elsewhere
            elif way == 5:
                out += bytes([3, rng.randrange(4), rng.randrange(4) | rng.randrange(2) << 5, rng.randrange(64)])
                past += 1
            elif way == 6:
                out += bytes([4, past & 7, 8 | rng.randrange(8) | rng.randrange(4) << 4, 7])
            elif way < 9:
                out += bytes([5, rng.choice((3, 6, 8, 11, 13, 14)), 0, 0])
            elif way == 9:
                out += bytes([6, rng.randrange(2), 0, 0])
            else:
                out += first[:3] + bytes([first[3] & 7 | rng.choice((0, 0, 2, 4)) << 3 | rng.randrange(4) << 6])
                past += 1
        yield "gateway-%03d" % n, bytes([rng.choice((0, 0, 0, 1, 2, 2, 3, 4, 6))]) + out


def rules():
    rng = random.Random(2)
    for n in range(20):
        yield "rules-%02d" % n, bytes(rng.randrange(256) for _ in range(rng.randrange(20, 400)))


def states():
    files = sorted(glob.glob(os.path.join(GOLDEN, "*", "state*.json"))) + sorted(glob.glob(os.path.join(HERE, "states", "*")))
    files += sorted(glob.glob(os.path.join(DATA, "aws-describe", "**", "*.json"), recursive=True))
    for n, path in enumerate(files):
        with open(path, "rb") as f:
            raw = f.read()
        try:
            raw = json.dumps(json.loads(raw), separators=(",", ":")).encode()
        except ValueError:
            pass
        if len(raw) < 12000:
            yield "state-%03d" % n, raw


def lines():
    for case in sorted(glob.glob(os.path.join(GOLDEN, "*", "scenario.jsonl"))):
        with open(case, "rb") as f:
            raw = f.read()
        yield os.path.basename(os.path.dirname(case)), b"\0" + raw[:3000]
    for path in captures():
        with open(path, "rb") as f:
            raw = f.read()
        if len(raw) < 6000:
            yield "pcap-" + os.path.basename(path), b"\1" + raw


def kept(name):
    path = os.path.join(HERE, "corpus", name + ".b64")
    if os.path.exists(path):
        with open(path) as f:
            for n, line in enumerate(x for x in f if not x.startswith("#")):
                yield "kept-%04d" % n, base64.b64decode(line)


def main(folder):
    if not os.path.isdir(DATA):
        print("SKIP seeds from the captures and states of others: no '%s'" % os.path.normpath(DATA))
    for name, made in (("packet", list(golden_packets()) + list(captured_packets())), ("flow", list(flows()) + list(gateway_flows())), ("classify", rules()),
                       ("state", states()), ("replay", lines())):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for seed, content in made:
            if name == "packet":
                content = bytes([sum(seed.encode()) & 15]) + content
            with open(os.path.join(folder, name, seed), "wb") as f:
                f.write(content)
        for seed, content in kept(name):
            with open(os.path.join(folder, name, seed), "wb") as f:
                f.write(content)


if __name__ == "__main__":
    main(sys.argv[1])
