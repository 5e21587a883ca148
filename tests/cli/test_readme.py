#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""README.md tells the truth: its session is run and compared, its commands and make targets exist, the lines that it quotes
from the demo are lines of the demo. (The demo itself is `make demo`.)"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import readme                                                          # noqa: E402
ENID = os.environ.get("ENID", os.path.join(TOP, "build", "enid"))
README = readme.TEXT
SESSION = readme.session("A session of your own", "## Use it")
count = {True: 0, False: 0}


def check(name, good, detail=""):
    count[bool(good)] += 1
    print(("ok " if good else "FAIL ") + name + ("" if good else ": " + str(detail)[:400]))


def run_session():
    packet = None
    for command, expected in SESSION:
        if command.startswith("cat "):
            packet = "\n".join(expected) + "\n"
            continue
        words = command.replace("sudo ", "").split()
        if words[-1].endswith(".jsonl"):
            words[-1] = "-"
        words[0] = ENID
        got = subprocess.run(words, input=packet, capture_output=True, text=True, cwd=TOP, check=False)
        check(f"`{command}` prints what the README says", got.stdout.splitlines() == expected, got.stdout + got.stderr)


def mirror_example():
    """The traffic mirror session of the README: valid, and it copies the packet of the session above."""
    part = README[README.index("So does what `aws ec2 describe-traffic-mirror-sessions`"):README.index("| command | does |")]
    lists = json.loads("".join(line for line in part.splitlines() if line.startswith("    ")))
    reference = os.path.join(TOP, "deploy", "examples", "reference")
    with tempfile.TemporaryDirectory() as folder:
        for name in os.listdir(reference):
            shutil.copy(os.path.join(reference, name), folder)
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                state = json.load(file)
            for group in state.get("SecurityGroups", ()):
                if group["GroupId"] == "sg-web":
                    group["IpPermissions"].append({"IpProtocol": "udp", "FromPort": 4789, "ToPort": 4789,
                                                   "IpRanges": [{"CidrIp": "10.20.0.0/16"}]})
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                json.dump(state, file)
        with open(os.path.join(folder, "mirror.json"), "w", encoding="utf-8") as file:
            json.dump(lists, file)
        got = subprocess.run([ENID, "check", folder], capture_output=True, text=True, check=False)
        check("the README's mirror session is valid", "0 errors, 0 warnings" in got.stdout, got.stdout + got.stderr)
        syn = next("\n".join(lines) for command, lines in SESSION if command.startswith("cat "))
        got = subprocess.run([ENID, "replay", "--state", folder, "-"], input=syn + "\n", capture_output=True, text=True, check=False)
        copies = json.loads(got.stdout).get("also", [{}])
        check("... and copies the session's packet", len(copies) == 1 and copies[0].get("to") == "eni-web-a" and
              copies[0]["packet"][84:100] == "0800000000109200" and copies[0]["packet"][100:] == json.loads(syn)["packet"], got.stdout)


def main():
    run_session()
    mirror_example()
    for name in sorted(set(re.findall(r"\benid (\w+)", README)) & {"check", "run", "plan", "status", "show", "logs", "metrics", "top", "replay", "explain", "reach", "export", "services", "detach", "capture", "graph"}):
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
