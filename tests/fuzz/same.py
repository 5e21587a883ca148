#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The fuzzers' packets through the kernel's programs and through the host's build of them: every answer (verdict, reason,
exit, frame, deciding rules) must be the same, byte for byte. Needs root.

    same.py ENID HOST_FOLDER [--packets N] [--seed N] [--corpus FOLDER]

Inputs of the fuzzers packet and flow are written as lines of replay input (ENID_FUZZ_LINES); both programs replay these on
either hook. Without --corpus: the seeds and the kept corpora, made anew; not where fuzz-short, which may run beside it,
makes its own.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
FUZZERS = ("packet", "flow")
AT_ONCE = 200


def lines_of(folder, fuzzer, files, most, where):
    """Lines of as many inputs as make `most` packets."""
    path = os.path.join(where, fuzzer + ".jsonl")
    lines = []
    for i in range(0, len(files), AT_ONCE):
        subprocess.run([os.path.join(folder, "fuzz-" + fuzzer)] + files[i:i + AT_ONCE], check=True, cwd=ROOT,
                       env=dict(os.environ, ENID_FUZZ_LINES=path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if not os.path.exists(path):
            continue
        with open(path) as f:
            lines += f.readlines()
        os.unlink(path)
        if len(lines) >= most:
            break
    return lines


def in_order(groups):
    """One batch behind another: times of a later one count from the end of the one before."""
    out, base = [], 0.0
    for lines in groups:
        last = base
        for line in lines:
            head, at, rest = line.partition('"at":')
            number = rest[:rest.index(",") if "," in rest else rest.index("}")]
            last = base + float(number)
            out.append("%s%s%.6f%s" % (head, at, last, rest[len(number):]))
        base = last + 1000000
    return out


def replay(enid, hook, path):
    r = subprocess.run([enid, "replay", "--state", "tests/fuzz/states/before.json", "--host", "host-a", "--max-flows", "40",
                        "--hook", hook, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, timeout=600)
    return r.stdout.decode().splitlines(), r.stderr.decode()


def compare(hook, lines, kernel, host):
    """-> how many answers differ"""
    bad = 0
    for n, line in enumerate(lines):
        a, b = (out[n] if n < len(out) else "nothing" for out in (kernel, host))
        if a != b:
            bad += 1
            if bad <= 5:
                print("FAIL %s line %d: %s\n  kernel %s\n  host   %s" % (hook, n, line.strip()[:2000], a, b))
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("enid")
    ap.add_argument("folder")
    ap.add_argument("--packets", type=int, default=4000, help="of each fuzzer")
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    ap.add_argument("--corpus", action="append", help="a folder with folders packet and flow")
    a = ap.parse_args()
    if os.geteuid():
        print("SKIP same: needs root")
        return 0
    rng, groups = random.Random(a.seed), []
    with tempfile.TemporaryDirectory(prefix="enid-same.") as where:
        seeds = os.path.join(where, "seeds")
        subprocess.run([os.path.join(HERE, "seeds.py"), seeds], check=True)
        for fuzzer in FUZZERS:
            files = []
            for corpus in (a.corpus or [seeds]):
                folder = os.path.join(corpus, fuzzer)
                files += sorted(os.path.abspath(os.path.join(folder, n)) for n in os.listdir(folder))
            rng.shuffle(files)
            groups.append(lines_of(os.path.abspath(a.folder), fuzzer, files, a.packets, where)[:a.packets])
        lines = in_order(groups)
        path = os.path.join(where, "lines.jsonl")
        with open(path, "w") as f:
            f.writelines(lines)
        good = bad = 0
        for hook in ("tc", "xdp"):
            (kernel, words), (host, _) = (replay(os.path.abspath(e), hook, path) for e in (a.enid, os.path.join(a.folder, "enid")))
            if not kernel:
                print("FAIL %s: the kernel answered nothing: %s" % (hook, words[-500:]))
            differ = compare(hook, lines, kernel, host)
            accepted = sum('"reason":"accepted"' in x for x in kernel)
            print("%s: %d lines, %d accepted, %d differ (seed %d)" % (hook, len(lines), accepted, differ, a.seed))
            wrong = bool(differ or len(kernel) != len(lines) or not 0 < accepted < len(lines))
            good, bad = good + (not wrong), bad + wrong
    print("%d passed, %d failed" % (good, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
