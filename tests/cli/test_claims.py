#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is said to be tested is tested: every conformance vector has a golden case or a reason why not, every path its test on
wires, and every requirement of the RFCs in ARCHITECTURE.md names tests that there are."""
import glob
import os
import re
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VECTORS, PATHS = ["TV-%02d" % n for n in range(1, 48)], ["PATH-%02d" % n for n in range(1, 14)]
# The requirements of each RFC; those that are not about what is translated here are named in the table as well.
RFCS = {"4787": 14, "5382": 10, "5508": 11}
count = {True: 0, False: 0}


def check(name, good, why=""):
    count[bool(good)] += 1
    if not good:
        print("FAIL %s: %s" % (name, why))


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as f:
        return f.read()


def is_test(name):
    """`a-golden-case`, or `folder/file.c: function`"""
    if ": " not in name:
        return os.path.exists(os.path.join(TESTS, "golden", name, "expect.jsonl"))
    path, function = name.split(": ")
    full = os.path.join(TESTS, path)
    return os.path.exists(full) and re.search(r"\b(void|def|async def) %s\(" % re.escape(function), read(full)) is not None


def vectors():
    golden = set(re.findall(r"TV-\d\d", " ".join(read(path) for path in glob.glob(TESTS + "/golden/*/about.txt"))))
    pending = dict(re.findall(r"^(TV-\d\d)  (.+)$", read(TESTS, "golden/pending.txt"), re.M))
    for one in VECTORS:
        check(one, (one in golden) != (one in pending), "a golden case and pending, or neither")
    for one, why in pending.items():
        named = re.search(r"\. (\S+/\S+: \w+)$", why)
        check(one + " pending", one in VECTORS and ("not served" in why or named and is_test(named.group(1))), why)


def paths():
    text = read(TESTS, "net/test_paths.py")
    for one in PATHS:
        check(one, "def %s_" % one.lower().replace("-", "_") in text and '("%s' % one in text, "test_paths.py has no test of its name")


def requirements():
    text = read(os.path.dirname(TESTS), "ARCHITECTURE.md")
    part = text[text.index("| requirement | here | test |"):]
    rows = [line.strip("| ").split(" | ") for line in part[:part.index("\n\n")].splitlines()[2:]]
    said = set()
    for row in rows:
        what, _, names = row if len(row) == 3 else (*row, "")[:3]
        for rfc, first, _, last in re.findall(r"(\d{4}) REQ-(\d+)((?:\.\.|, REQ-)(\d+))?", what):
            said.update("%s REQ-%d" % (rfc, n) for n in range(int(first), int(last or first) + 1))
        tests = [name.strip() for name in names.strip("| ").split(", ") if name.strip()]
        check(what, tests and all(is_test(name) for name in tests), "no test, or none of the name: %s" % names)
    for rfc, last in RFCS.items():
        for n in range(1, last + 1):
            check("RFC %s REQ-%d" % (rfc, n), "%s REQ-%d" % (rfc, n) in said, "is not in the table of ARCHITECTURE.md")


def main():
    vectors()
    paths()
    requirements()
    print("%d passed, %d failed" % (count[True], count[False]))
    return 1 if count[False] else 0


if __name__ == "__main__":
    sys.exit(main())
