# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the scripts of this folder share: run enid, say ok or FAIL, count."""
import glob
import json
import os
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
ENID = os.path.abspath(os.environ.get("ENID", os.path.join(REPO, "build", "enid")))
REFERENCE = os.path.join(REPO, "deploy", "examples", "reference")
ROUTER = "02:65:6e:69:64:01"
SLOW = float(os.environ.get("ENID_SLOW", "1"))  # limits are this much longer
sys.path.insert(0, os.path.join(REPO, "tests", "golden"))
counts = {True: 0, False: 0}


def check(sentence, good, detail=""):
    counts[bool(good)] += 1
    print(("ok " if good else "FAIL ") + sentence + ("" if good or detail == "" else f": {detail}"), flush=True)
    return bool(good)


class Done:
    """What a run of enid left: code, out, err (text)."""

    def __init__(self, argv, feed=b"", timeout=60, before=()):
        if isinstance(feed, str):
            feed = feed.encode()
        done = subprocess.run([*before, ENID, *argv], input=feed, capture_output=True, timeout=timeout * SLOW)
        self.code, self.raw = done.returncode, done.stdout
        self.out, self.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def __str__(self):
        return f"exit {self.code}, out {self.out[:200]!r}, err {self.err[:300]!r}"

    def json(self):
        return json.loads(self.raw.decode())

    def lines(self):
        return [json.loads(line) for line in self.raw.decode().splitlines()]


def enid(*argv, **kw):
    return Done(argv, **kw)


def replay(state, lines, *more, **kw):
    """Lines: objects, or text that goes as it is."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    states = [state] if isinstance(state, str) else state
    return enid("replay", *(word for path in states for word in ("--state", path)), *more, feed=text, **kw)


def merged(folder):
    """All lists of a state's folder in one document."""
    state = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path, encoding="utf-8") as file:
            for key, rows in json.load(file).items():
                state.setdefault(key, []).extend(rows)
    return state


def until(condition, seconds=30):
    """-> whether it came to be so in time."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def silent_namespace():
    """-> (the process that holds a network namespace, words that run a command in it). No device there sends anything by itself:
    the kernel's own IPv6 would be packets that no test counts."""
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    inside = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
    mine = os.readlink("/proc/self/ns/net")
    until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine)
    subprocess.run([*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"], check=True)
    return holder, inside


def main(*tests):
    """Run each test, or those that the command line names; one that raises has failed."""
    for test in [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]:
        try:
            test()
        except Exception as error:  # pylint: disable=broad-except
            place = traceback.extract_tb(error.__traceback__)[-1]
            check(test.__name__, False, f"{type(error).__name__}: {error} (line {place.lineno} of {place.filename})")
    print(f"{counts[True]} passed, {counts[False]} failed", flush=True)
    sys.exit(1 if counts[False] or not counts[True] else 0)
