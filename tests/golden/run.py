#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Run the golden cases through `enid replay`: run.py [--hooks tc,xdp] [-k PATTERN] build/enid

A case is a folder with state.json (and the states its scenario names), scenario.jsonl (the input lines), expect.jsonl (one
object per output line) and about.txt. Of an expectation, `action` (one or a list; "?" is anything), `to` (likewise) and `reason` (any of
the list, for a drop) are held against the answer; `changed` against a state's; every other key against a field of the packet
in the answer, where i... are those of the packet that an ICMP error quotes; `csum` asks that every checksum be right and
`bytes` that the packet be this one.
A line with `returned` is the packet in the answer of that number as a Gateway Load Balancer's appliance sends it back,
with `change` and `inner` as in frames.turned(), or from one of `others`; `like` and `unlike` hold its flow cookie and appliance, `toward` the
appliance against those of another answer. `pieces` are the sizes of the fragments in `packet` and `also`, `joined` what they hold.
`copies` are what traffic mirror sessions made of the packet, all of it and byte for byte: none where the key is missing.
"""
import argparse
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import frames                                        # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
META = {"action", "to", "reason", "csum", "bytes", "changed", "pieces", "joined", "more_behind", "like", "unlike", "toward",
        "copies"}


def cases(pattern):
    return sorted(n for n in os.listdir(HERE)
                  if pattern in n and os.path.isfile(os.path.join(HERE, n, "scenario.jsonl")))


def rows(name, part):
    """The objects of a file; one with `repeat` stands for that many."""
    out = []
    with open(os.path.join(HERE, name, part)) as f:
        for line in f:
            o = json.loads(line)
            out += [o] * o.pop("repeat", 1)
    return out


def talks(lines):
    """Do lines depend on answers?"""
    return any("returned" in line for line in lines)


def returned(line, answers):
    packet = answers[line["returned"]].get("packet")
    if not packet:
        raise RuntimeError("line %d: nothing was sent by line %d: %s" % (len(answers), line["returned"],
                                                                       answers[line["returned"]]))
    inner = bytes.fromhex(line["inner"]) if "inner" in line else None
    change = list(line.get("change", ()))
    if "others" in line:                            # from one of these that it was not sent to
        change.append((26, next(a for a in line["others"] if a != packet[60:68])))
    raw = frames.turned(bytes.fromhex(packet), change, inner)
    return {**{k: line[k] for k in ("port", "at") if k in line}, "packet": raw.hex()}


def converse(process, lines):
    """Line by line, since some are made of earlier answers. -> the answers"""
    out = []
    for line in lines:
        if "returned" in line:
            line = returned(line, out)
        process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError("no answer to line %d" % len(out))
        out.append(json.loads(answer))
    return out


def talk(argv, lines):
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        out = converse(process, lines)
        process.stdin.close()
    return out


def replay(cmd, hook, name, lines):
    folder = os.path.join(HERE, name)
    fed = [dict(e, state=os.path.join(folder, e["state"])) if "state" in e else e for e in lines]
    argv = shlex.split(cmd) + ["replay", "--state", os.path.join(folder, "state.json"), "--host", "host-a"]
    if hook:
        argv += ["--hook", hook]
    extra = os.path.join(folder, "options.txt")
    if os.path.exists(extra):
        argv += shlex.split(open(extra).read())
    if talks(lines):
        return talk(argv, fed)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write("".join(json.dumps(e) + "\n" for e in fed))
        f.flush()
        r = subprocess.run(argv + [f.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    out = [json.loads(line) for line in r.stdout.decode().splitlines() if line.strip()]
    if [o.get("n") for o in out] != list(range(len(lines))):
        raise RuntimeError("%d lines in, %d out, exit %d: %s" % (len(lines), len(out), r.returncode,
                                                                  r.stderr.decode()[-400:].strip()))
    return out


def pieces_differ(want, got):
    """-> what is wrong with the fragments of one answer, or None."""
    raws = [bytes.fromhex(part["packet"]) for part in [got] + got.get("also", [])]
    parts = [frames.fields(raw) for raw in raws]
    sizes = [part["bytes_ip"] for part in parts]
    if sizes != want.get("pieces"):
        return "pieces of %s bytes, wanted %s" % (sizes, want.get("pieces"))
    joined = b""
    for raw, part in zip(raws, parts):
        if part["offset"] != len(joined) + parts[0]["offset"] or frames.bad_checksum(raw):
            return "a piece at %d behind %d bytes: %s" % (part["offset"], len(joined), frames.describe(raw))
        if len(raw) != 14 + part["bytes_ip"] or (part["src"], part["dst"], part["dmac"]) != tuple(
                parts[0][key] for key in ("src", "dst", "dmac")):
            return "a piece of another packet: %s" % frames.describe(raw)
        joined += raw[14 + (raw[14] & 15) * 4:]
    if [part["more"] for part in parts] != [True] * (len(parts) - 1) + [want.get("more_behind", False)]:
        return "more-fragments is %s" % [part["more"] for part in parts]
    return None if joined.hex() == want["joined"] else "the pieces hold %s" % joined.hex()


def flow_differs(want, got, answers):
    """Flow cookie and appliance against those of other answers."""
    for key in ("like", "unlike", "toward"):
        if key not in want:
            continue
        one, other = (frames.fields(bytes.fromhex(a["packet"])) for a in (got, answers[want[key]]))
        if key != "unlike" and one["dst"] != other["dst"]:
            return "to appliance %s, wanted %s" % (one["dst"], other["dst"])
        if key != "toward" and (one["cookie"] == other["cookie"]) != (key == "like"):
            return "cookie %s, that of answer %d is %s" % (one["cookie"], want[key], other["cookie"])
    return None


def parted(got):
    """-> the answer with fragments alone under `also`, the copies of mirrored packets"""
    also = got.get("also", [])
    pieces = [part for part in also if "mirror" not in part]
    rest = {key: value for key, value in got.items() if key != "also"}
    return {**rest, "also": pieces} if pieces else rest, [part for part in also if "mirror" in part]


def differs(want, got, answers=()):
    """-> what is wrong with one answer, or None."""
    got, copies = parted(got)
    if copies != want.get("copies", []):
        return "copies %s, wanted %s" % (json.dumps(copies), json.dumps(want.get("copies", [])))
    action = want["action"] if isinstance(want["action"], list) else [want["action"]]
    if action == ["?"]:
        return None
    if got.get("action") not in action:
        return "action %s, wanted %s (reason %s)" % (got.get("action"), "/".join(action), got.get("reason"))
    if "to" in want and got.get("to") not in (want["to"] if isinstance(want["to"], list) else [want["to"]]):
        return "to %s, wanted %s" % (got.get("to"), want["to"])
    # a program that does not fix which stage speaks first names several
    if want.get("reason") and got["action"] == "drop" and not set(got.get("reason", "").split("|")) & set(want["reason"]):
        return "reason %s, wanted %s" % (got.get("reason"), "/".join(want["reason"]))
    if not set(want) - {"action", "to", "reason", "changed", "copies"}:
        return None
    if not got.get("packet"):
        return "no packet in the answer"
    raw = bytes.fromhex(got["packet"])
    if "bytes" in want and raw.hex() != want["bytes"]:
        return "packet %s" % raw.hex()
    if "pieces" in want or got.get("also"):
        wrong = pieces_differ(want, got)
        if wrong:
            return wrong
    wrong = flow_differs(want, got, answers)
    if wrong:
        return wrong
    have = frames.fields(raw)
    for key in set(want) - META:
        value = frames.canonical(want[key]) if key in ("src", "dst", "isrc", "idst", "in_src", "in_dst") else want[key]
        if have.get(key) != value:
            return "%s is %s, wanted %s" % (key, have.get(key), value)
    return frames.bad_checksum(raw) if want.get("csum") else None


def run(cmd, hook, name):
    lines, wants = rows(name, "scenario.jsonl"), rows(name, "expect.jsonl")
    if len(lines) != len(wants):
        return "%d lines but %d expectations" % (len(lines), len(wants))
    answers = replay(cmd, hook, name, lines)
    for n, (line, want, got) in enumerate(zip(lines, wants, answers)):
        wrong = differs(want, got, answers)
        if wrong:
            words = (frames.describe(bytes.fromhex(line["packet"])) if "packet" in line else
                     line.get("state", "what line %s sent" % line.get("returned")))
            return "line %d: %s\n      in  %s %s" % (n, wrong, line.get("port", ""), words)
    return None


def tried(cmd, hook, name):
    try:
        return run(cmd, hook, name)
    except Exception as x:                           # a crash is a failure like any other
        return "%s: %s" % (type(x).__name__, x)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--hooks", default="tc,xdp", help="none: without the option")
    ap.add_argument("-k", default="", help="only cases whose name contains this")
    ap.add_argument("--skip", default=None, help="not those whose name contains one of these, by commas")
    ap.add_argument("cmd")
    a = ap.parse_args()
    names = [name for name in cases(a.k) if not a.skip or not any(part in name for part in a.skip.split(","))]
    chosen = [(hook, name) for hook in ([None] if a.hooks == "none" else a.hooks.split(",")) for name in names]
    good = bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:   # loading the programs is what takes the time
        for (hook, name), wrong in zip(chosen, pool.map(lambda one: tried(a.cmd, *one), chosen)):
            good, bad = good + (not wrong), bad + bool(wrong)
            if wrong:
                print("FAIL %s%s: %s" % (name, " (%s)" % hook if hook else "", wrong), flush=True)
    print("golden: %d passed, %d failed" % (good, bad))
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
