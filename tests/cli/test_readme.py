#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""README.md tells the truth: its session is run and compared, its commands and make targets exist, the lines that it quotes
from the demo are lines of the demo. (The demo itself is `make demo`.)"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENID = os.environ.get("ENID", os.path.join(TOP, "build", "enid"))
README = open(os.path.join(TOP, "README.md"), encoding="utf-8").read()
count = {True: 0, False: 0}


def check(name, good, detail=""):
    count[bool(good)] += 1
    print(("ok " if good else "FAIL ") + name + ("" if good else ": " + str(detail)[:400]))


def session():
    """-> [(command, its output lines)] of the README's second session."""
    part = README[README.index("A session of your own"):README.index("## Use it")]
    found = []
    for line in part.splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return found


def run_session():
    packet = None
    for command, expected in session():
        if command.startswith("cat "):
            packet = "\n".join(expected) + "\n"
            continue
        words = command.replace("sudo ", "").split()
        if words[-1].endswith(".jsonl"):
            words[-1] = "-"
        words[0] = ENID
        got = subprocess.run(words, input=packet, capture_output=True, text=True, cwd=TOP, check=False)
        check(f"`{command}` prints what the README says", got.stdout.splitlines() == expected, got.stdout + got.stderr)


def main():
    run_session()
    for name in sorted(set(re.findall(r"\benid (\w+)", README)) & {"check", "run", "status", "show", "logs", "replay", "export", "services", "detach"}):
        got = subprocess.run([ENID, name, "--help"], capture_output=True, text=True, check=False)
        check(f"enid {name} --help", got.returncode == 0 and name in got.stdout, (got.returncode, got.stderr))
    makefiles = open(os.path.join(TOP, "Makefile"), encoding="utf-8").read()
    for folder in os.listdir(os.path.join(TOP, "tests")):
        rules = os.path.join(TOP, "tests", folder, "rules.mk")
        makefiles += open(rules, encoding="utf-8").read() if os.path.exists(rules) else ""
    for target in sorted(set(re.findall(r"^ +(?:sudo )?make ([a-z-]+)", README, re.M))):
        check(f"make {target} exists", re.search(rf"^{target}:", makefiles, re.M))
    demo = "".join(open(os.path.join(TOP, "tests", "demo", part), encoding="utf-8").read() for part in ("demo", "course.py"))
    demo = re.sub(r'"\s*\n\s*f?"', '', demo)
    for line in re.findall(r"✓ (.*?)(?:  \(|$)", README, re.M):
        word = max(re.findall(r"[a-z ,']{8,}", line), key=len).strip()
        check(f"the demo says: {line}", word in demo, word)
    print(f"{count[True]} passed, {count[False]} failed")
    return 1 if count[False] else 0


sys.exit(main())
