#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid top: what was sent between its looks is told, by ENI, flow, rule and reason; what was sent before is not.

Needs root. Works in a network namespace of its own, with folders of its own; nothing of the host is touched."""
import json
import os
import pty
import re
import subprocess
import time

from cli import ENID, check, enid, main
from test_flowlogs import PINS, World, syn


def looked(world, packets, *words):
    """Send between the two looks of a `top --once`."""
    reader = subprocess.Popen([*world.inside, ENID, "top", "--once", "--interval", "4", "--run-dir", world.run, "--pin-dir", PINS,
                               *words], stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    world.send(*packets)
    out, _ = reader.communicate(timeout=20)
    check(f"top {' '.join(words)} ends well", reader.returncode == 0, reader.returncode)
    return out


def per_second(seconds, count):
    return int(count / seconds + 0.5)


def numbers(world):
    world.send(*[syn(51000, 3306)] * 40)
    text = looked(world, [syn(50000, 3306)] * 12 + [syn(50001, 3306)] * 30 + [syn(50002, 22)] * 20, "--json")
    top = json.loads(text)
    check("numbers have as many digits as they mean", not re.search(r"\d\.\d{10}", text), text)
    flows = [(row["forward"]["sport"], row["packets_s"], row["bytes_s"]) for row in top["flows"]]
    seconds = top["seconds"]
    check("flows, the busiest first, without one that rests", flows == [
        (50001, per_second(seconds, 30), per_second(seconds, 1200)), (50000, per_second(seconds, 12), per_second(seconds, 480))], top)
    enis = {row["eni"]: row for row in top["enis"]}
    check("ENIs: what the flows carried", set(enis) == {"eni-web-a", "eni-db"} and enis["eni-web-a"]["out_bytes_s"] == per_second(
        seconds, 42 * 40) == enis["eni-db"]["in_bytes_s"] and enis["eni-web-a"]["in_bytes_s"] == 0, enis)
    rules = {row["rule"]: row["packets_s"] for row in top["rules"]}
    check("rules", rules.get("nacl-egress acl-public 100") == per_second(seconds, 42), rules)
    drops = {row["reason"]: row["packets_s"] for row in top["drops"]}
    check("drops", drops.get("sg-ingress") == per_second(seconds, 20), drops)
    check("records", top["records"]["max"] == 4096 and top["records"]["live"] == 3, top["records"])


def words(world):
    text = looked(world, [syn(50003, 3306)] * 8)
    check("in words: four tables", all(f"\n{name}\n" in text for name in ("enis", "flows", "rules", "drops")) and
          "eni-web-a>eni-db src=10.20.1.10" in text and "\033" not in text, text)
    text = looked(world, [syn(50004, 3306)] * 8, "flows", "--rows", "1")
    check("one part, one row", text.count("\n") == 5 and "BYTES_S" in text and "sport=50004" in text and "enis" not in text, text)


def terminal(world):
    """On a terminal one picture after the other."""
    master, slave = pty.openpty()
    with subprocess.Popen([*world.inside, ENID, "top", "--interval", "1", "--run-dir", world.run, "--pin-dir", PINS],
                          stdout=slave, stderr=slave) as top:
        seen = b""
        end = time.monotonic() + 15
        while seen.count(b"\033[H\033[J") < 3 and time.monotonic() < end:
            seen += os.read(master, 65536)
        top.terminate()
    os.close(master)
    os.close(slave)
    check("on a terminal it refreshes", seen.count(b"\033[H\033[J") >= 3 and b"flow records" in seen, seen[:300])


def live():
    world = World()
    try:
        check("the agent starts", world.start())
        numbers(world)
        words(world)
        terminal(world)
    finally:
        world.close()


def refusals():
    for wrong in (("--rows", "0"), ("--rows", "x"), ("--interval", "0"), ("--interval", "99999"), ("everything",), ("enis", "flows")):
        check(f"top {' '.join(wrong)} is misuse", enid("top", *wrong).code == 2)
    done = enid("top", "--once", "--pin-dir", "/sys/fs/bpf/enid-there-is-none")
    check("without pins top fails, and says why", done.code == 1 and "nothing is pinned" in done.err, done)


if __name__ == "__main__":
    main(refusals, live)
