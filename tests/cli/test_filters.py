#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Filters of `enid logs` and `enid show flows`: what is asked for, all of it, and nothing else.

The live part needs root, and works in a network namespace of its own, with folders of its own."""
import itertools
import os
import re
import subprocess
import tempfile

from cli import ENID, REPO, check, enid, main, until
from test_flowlogs import PINS, World, syn

LINES = [
    "2 111122223333 eni-a 10.0.0.1 10.0.1.1 40000 443 6 3 180 100 110 ACCEPT OK",
    "2 111122223333 eni-a 10.0.1.1 10.0.0.1 443 40000 6 3 180 100 110 ACCEPT OK",
    "2 111122223333 eni-b 10.0.0.1 10.0.2.1 40001 22 6 1 60 100 110 REJECT OK",
    "2 111122223333 eni-b 192.0.2.9 10.0.2.1 53 4000 17 1 60 100 110 REJECT OK",
    "2 111122223333 eni-b 192.0.2.9 10.0.2.1 0 0 1 1 60 100 110 ACCEPT OK",
    "2 111122223333 eni-b 2001:db8::1 2001:db8::2 22 4001 6 1 60 100 110 ACCEPT OK",
    "2 111122223333 eni-b 2001:db8::1 2001:db8::3 0 0 58 1 60 100 110 ACCEPT OK",
    "2 111122223333 eni-c - - - - - - - 100 110 - NODATA",
]
# Option, word, numbers of the lines.
WANTED = [
    ("--eni", "eni-a", {0, 1}), ("--eni", "eni-c", {7}), ("--eni", "eni", set()),
    ("--verdict", "reject", {2, 3}), ("--verdict", "ACCEPT", {0, 1, 4, 5, 6}),
    ("--port", "22", {2, 5}), ("--port", "443", {0, 1}), ("--port", "0", set()),
    ("--address", "10.0.0.1", {0, 1, 2}), ("--address", "10.0.0.0/23", {0, 1, 2}), ("--address", "0.0.0.0/0", {0, 1, 2, 3, 4}),
    ("--address", "192.0.2.9/24", {3, 4}), ("--address", "2001:db8::/127", {5, 6}), ("--address", "::/0", {5, 6}),
    ("--protocol", "tcp", {0, 1, 2, 5}), ("--protocol", "17", {3}), ("--protocol", "icmp", {4, 6}),
]


def logs():
    with tempfile.TemporaryDirectory(prefix="enid-filters-") as folder:
        with open(os.path.join(folder, "flow.log"), "w", encoding="ascii") as out:
            out.write("".join(line + "\n" for line in LINES))
        check("without a filter all", enid("logs", "--log-dir", folder).out.splitlines() == LINES)
        for option, word, lines in WANTED:
            done = enid("logs", "--log-dir", folder, option, word)
            expected = [LINES[i] for i in sorted(lines)]
            check(f"{option} {word}", done.code == 0 and done.out.splitlines() == expected, done)
        wrong = []
        for one, two in itertools.combinations(WANTED, 2):
            if one[0] == two[0]:
                continue
            done = enid("logs", "--log-dir", folder, *one[:2], *two[:2])
            if done.out.splitlines() != [LINES[i] for i in sorted(one[2] & two[2])]:
                wrong.append((one, two, done.out))
        check("of two filters both hold", not wrong, wrong[:2])
        for words, what in ((("--eni", "eni-no"), "record"), (("--eni", "eni-no", "--json"), "record"), (("--eni", "eni-no", "--reason", "any"), "reject")):
            done = enid("logs", "--log-dir", folder, *words)
            check(f"{' '.join(words)}: that there is nothing of it is said", done.code == 0 and not done.out and
                  done.err == f"enid logs: no {what} of 'eni-no' is here\n", done)
        done = enid("logs", "--log-dir", folder, "--eni", "eni-a", "--port", "22")
        check("... nothing of one that there is", done.code == 0 and not done.out and not done.err, done)
        done = enid("logs", "--log-dir", folder, "--json", "--verdict", "reject", "--port", "22")
        check("--json is filtered, too", [line["interface_id"] for line in done.lines()] == ["eni-b"], done)
        follow(folder)


REJECTS = [LINES[2] + " sg-ingress sg-ingress -", LINES[3] + " nacl-ingress nacl-ingress acl-1/90",
           LINES[5].replace("ACCEPT", "REJECT") + " sg-egress sg-egress -", "2 111122223333 eni-c - - - - - - - 100 110 - SKIPDATA - - -"]


def reasons():
    with tempfile.TemporaryDirectory(prefix="enid-filters-") as folder:
        for words in ((), ("--json",)):
            done = enid("logs", "--log-dir", folder, "--reason", "any", *words)
            check(f"before the first reject there are none {words}", done.code == 0 and not done.out, done)
        os.mkdir(os.path.join(folder, "enid-rejects"))
        with open(os.path.join(folder, "enid-rejects", "flow.log"), "w", encoding="ascii") as out:
            out.write("".join(line + "\n" for line in REJECTS))
        for words, lines in ((("any",), (0, 1, 2, 3)), (("sg-ingress",), (0, 3)), (("bpa",), (3,)), (("any", "--eni", "eni-b", "--protocol", "udp"), (1,)),
                             (("any", "--port", "22"), (0, 2)), (("any", "--verdict", "reject"), (0, 1, 2))):
            done = enid("logs", "--log-dir", folder, "--reason", *words)
            check(f"--reason {' '.join(words)}", done.code == 0 and done.out.splitlines() == [REJECTS[i] for i in lines], done)
        done = enid("logs", "--log-dir", folder, "--json", "--reason", "nacl-ingress").lines()
        check("--json names reason, stage and rule", len(done) == 2 and [done[0][key] for key in ("x_reason", "x_stage", "x_rule_id")] ==
              ["nacl-ingress", "nacl-ingress", "acl-1/90"], done)
        done = enid("logs", "--log-dir", "/nonexistent/log", "--reason", "any")
        check("without the log folder it is a failure", done.code == 1 and "/nonexistent/log" in done.err, done)
        for word in ("", "no-route", "sg", "sg-ingress nacl-ingress", "ingress"):
            done = enid("logs", "--reason", word)
            check(f"--reason '{word}' is misuse", done.code == 2 and f"'{word}'" in done.err, done)


def follow(folder):
    """Lines that come are judged one by one: those asked for come out, at once."""
    reader = subprocess.Popen([ENID, "logs", "--follow", "--log-dir", folder, "--verdict", "reject", "--protocol", "tcp"],
                              stdout=subprocess.PIPE, text=True)
    seen = [reader.stdout.readline()]
    with open(os.path.join(folder, "flow.log"), "a", encoding="ascii") as out:
        out.write(LINES[0] + "\n" + LINES[3] + "\n" + LINES[2].replace("40001", "40009") + "\n")
    seen.append(reader.stdout.readline())
    reader.kill()
    reader.wait()
    check("--follow filters what comes", [line.split()[5] for line in seen] == ["40001", "40009"], seen)


def refusals():
    for words in (("--port", "x"), ("--port", "65536"), ("--port", "-1"), ("--address", "10.0.0"), ("--address", "10.0.0.0/33"),
                  ("--protocol", "tpc"), ("--protocol", "256")):
        for command in (("logs",), ("show", "flows")):
            done = enid(*command, *words)
            check(f"{' '.join(command + words)} is misuse", done.code == 2 and f"'{words[1]}'" in done.err, done)
    check("--verdict maybe is misuse", enid("logs", "--verdict", "maybe").code == 2)
    done = enid("logs", "--reason", "any", "--verdict", "accept")
    check("--reason --verdict accept matches nothing: misuse", done.code == 2 and "enid logs: --reason is of rejects" in done.err, done)
    check("only flows are filtered", enid("show", "drops", "--port", "22").code == 2)


def refused(world):
    """The README's line, by a live agent: who follows before there is anything gets it when the agent has written it."""
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
        command = re.search(r"`enid (logs --follow --reason [^`]*)`", file.read())[1]
    with open(os.path.join(world.folder, "follower"), "w+", encoding="ascii") as out:
        reader = subprocess.Popen([ENID, *command.split(), "--log-dir", world.logs], stdout=out)
        before = world.command("status", "--json").json()["drops"].get("sg-ingress", {}).get("packets", 0)
        world.send(syn(50009, 22))
        check("a reject", until(lambda: world.command("status", "--json").json()["drops"].get("sg-ingress", {}).get("packets", 0) > before, 30))
        check("the agent ends", world.stop() == 0)

        def told():
            out.seek(0)
            return [line.split() for line in out.read().splitlines()]
        mine = "eni-db 10.20.1.10 10.20.11.10 50009 22 6 1 40".split()
        check("the README's line tells what was refused, and why", until(lambda: [line[12:] for line in told() if line[2:10] == mine] == [
            ["REJECT", "OK", "sg-ingress", "sg-ingress", "-"]], 30), told())
        reader.kill()
        reader.wait()
    check("an agent comes back", world.start())


def captured(world):
    """The README's capture, of the port that has a device here: each packet with its verdict as a comment."""
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
        command = re.search(r"`enid (capture [^`]*)`", file.read())[1]
    path = os.path.join(world.folder, "db.pcapng")
    words = command.replace("eni-db", "eni-web-a").replace("db.pcapng", path).split()
    with subprocess.Popen([*world.inside, ENID, *words, "--count", "2", "--seconds", "30", "--run-dir", world.run, "--pin-dir", PINS],
                          stderr=subprocess.PIPE, text=True) as capture:
        sport = iter(range(51000, 52000))

        def ended():
            world.send(syn(next(sport), 3306), syn(next(sport), 22))
            return capture.poll() is not None
        check("the README's capture ends with the last packet asked for", until(ended, 40) and capture.returncode == 0, capture.returncode)
    with open(path, "rb") as file:
        raw = file.read()
    check("... and its file holds verdicts", raw[:4] == b"\n\r\r\n" and raw.count(b"verdict=") == 2 and
              b"verdict=drop reason=sg-ingress" in raw, raw[:900])


def flows():
    world = World()
    try:
        check("the agent starts", world.start())
        world.send(syn(50000, 3306), syn(50001, 3306))
        check("two flows", until(lambda: len(world.command("show", "flows", "--json").json()) == 2))
        for words, ports in (((), {50000, 50001}), (("--port", "50000"), {50000}), (("--port", "3306"), {50000, 50001}),
                             (("--eni", "eni-db"), {50000, 50001}), (("--eni", "eni-web-b"), set()), (("--eni", "eni-no"), set()),
                             (("--address", "10.20.11.0/24"), {50000, 50001}), (("--address", "10.20.12.10"), set()),
                             (("--protocol", "udp"), set()), (("--protocol", "tcp", "--port", "50001"), {50001})):
            done = world.command("show", "flows", "--json", *words)
            check(f"show flows {' '.join(words)}", {row["forward"]["sport"] for row in done.json()} == ports, done)
        with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
            command = re.search(r"`enid (show flows --[^`]*)`", file.read())[1]
        done = world.command(*command.split())
        check("the README's filter", done.code == 0 and done.out.count("eni-web-a>eni-db") == 2, done)
        captured(world)
        refused(world)
    finally:
        world.close()


if __name__ == "__main__":
    main(logs, reasons, refusals, flows)
