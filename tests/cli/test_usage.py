#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The command line as people type it: help, versions, slips. Results on stdout, all else on stderr; exit 0 done, 1 failed,
2 misuse; every error names the thing."""
import json
import os
import subprocess
import tempfile

from cli import ENID, REFERENCE, check, enid, main

COMMANDS = ("check", "run", "plan", "status", "show", "logs", "metrics", "capture", "top", "replay", "explain", "reach", "graph", "export",
            "services", "detach")
FOLDERS = ("--run-dir", "--pin-dir", "--log-dir")
NOWHERE = ("--run-dir", "/nonexistent/run", "--pin-dir", "/sys/fs/bpf/enid-cli-none")
SHOWN = ("enis", "ports", "groups", "nacls", "routes", "flows", "nat", "mirrors", "rules", "drops")


def help_and_version():
    bare = enid()
    check("enid alone is misuse, and lists the commands", bare.code == 2 and not bare.out and
          all(f"  {name}" in bare.err for name in COMMANDS), bare)
    for word in ("help", "--help", "-h"):
        done = enid(word)
        check(f"enid {word} lists the commands on stdout", done.code == 0 and not done.err and "replay" in done.out, done)
    for word in ("version", "--version", "-V"):
        done = enid(word)
        check(f"enid {word} prints one line", done.code == 0 and done.out.startswith("enid ") and
              done.out.count("\n") == 1, done)
    for name in COMMANDS:
        texts = [enid(name, "--help"), enid(name, "-h"), enid("help", name)]
        check(f"enid {name} --help, -h and enid help {name} are one text on stdout",
              all(done.code == 0 and not done.err and done.out == texts[0].out for done in texts) and
              texts[0].out.startswith(f"usage: enid {name}"), texts[0])


def misuse():
    for words in (("frobnicate",), ("help", "frobnicate")):
        done = enid(*words)
        check(f"enid {' '.join(words)} is misuse and names the word", done.code == 2 and not done.out and
              "unknown command 'frobnicate'" in done.err, done)
    for name in COMMANDS:
        done = enid(name, "--nonsense")
        check(f"enid {name} --nonsense is misuse and names the option", done.code == 2 and not done.out and
              f"enid {name}: unrecognized option '--nonsense'" in done.err, done)
    for words in (("check",), ("plan",), ("plan", "--json"), ("show",), ("show", "frob"), ("show", "enis", "enis"), ("status", "x"), ("detach",),
                  ("detach", "--all", "x"), ("replay",), ("logs", "--format", "x"), ("logs", "x"),
                  ("run", "--max-flows", "x"), ("replay", "--state", "x", "--max-flows", "0"),
                  ("replay", "--state", "x", "--hook", "x")):
        done = enid(*words)
        check(f"enid {' '.join(words)} is misuse", done.code == 2 and not done.out and done.err, done)
    for name in ("run", "plan", "status", "show", "logs", "detach"):
        text = enid(name, "--help").out
        check(f"enid {name} has --run-dir, --pin-dir and --log-dir", all(word in text for word in FOLDERS), text)


def named():
    """What is wrong stands in front of the usage."""
    for words, what in ((("check",), "which state"), (("check", "--strict", REFERENCE), "--strict needs --lint"), (("plan",), "which state"),
                        (("graph",), "which state"), (("reach",), "which state"), (("reach", "--json", "--csv", REFERENCE), "--json or --csv"),
                        (("show",), "which topic"), (("show", "FLOWS"), "'FLOWS'"), (("show", "enis", "ports"), "'ports'"),
                        (("show", "flows", "--unused"), "--unused is for rules, not for flows"),
                        (("show", "enis", "--eni", "eni-db"), "are for flows, not for enis"), (("status", "x"), "'x'"),
                        (("logs", "eni-db"), "'eni-db'"), (("logs", "--format", "xml"), "'xml'"), (("top", "frob"), "'frob'"),
                        (("top", "enis", "flows"), "'flows'"), (("top", "--rows", "0"), "--rows: '0'"), (("top", "--interval", "x"), "--interval: 'x'"),
                        (("metrics", "x"), "'x'"), (("metrics", "--per-eni", "maybe"), "'maybe'"), (("capture", "--bytes", "1"), "--bytes: '1'"),
                        (("capture", "--write", "-", "--json"), "--json and --write -"),
                        (("capture", "--verdict", "accept", "--reason", "ttl"), "--verdict"),
                        (("capture", "--verdict", "reject", "--reason", "accepted"), "--verdict"), (("export", "nft"), "which state"), (("export", "iptables", REFERENCE), "'iptables'"),
                        (("export", "nft", "--form", "x", REFERENCE), "--form is"), (("services", "setup"), "which state"),
                        (("services", "frob", REFERENCE), "frob"), (("detach",), "which device"), (("detach", "--all", "x"), "either --all or")):
        done = enid(*words)
        check(f"enid {' '.join(words).replace(REFERENCE, 'STATE')}: its first line is of that", done.code == 2 and not done.out and
              done.err.startswith(f"enid {words[0]}: ") and what in done.err.splitlines()[0], done)


def nothing_there():
    done = enid("status", *NOWHERE)
    check("enid status without an agent says so and exits 1", done.code == 1 and "not running" in done.out, done)
    done = enid("status", "--json", *NOWHERE)
    status = done.json()
    check("enid status --json has its keys without an agent, too", done.code == 1 and
          status["agent"]["pid"] is None and status["flows"] == {"max": None, "live": None} and
          status["drops"] == {} and status["ports"] == [] and "revision" in status, done)
    for topic in SHOWN:
        done = enid("show", topic, *NOWHERE, "--log-dir", "/nonexistent")
        check(f"enid show {topic} without pins names the folder and exits 1", done.code == 1 and not done.out and
              "enid-cli-none" in done.err and done.err.startswith(f"enid show: {topic}: "), done)
    done = enid("metrics", *NOWHERE)
    check("enid metrics where nothing is pinned tells that no agent runs", done.code == 0 and "enid_agent_running 0" in done.out, done)
    done = enid("logs", "--log-dir", "/nonexistent/log", *NOWHERE)
    check("enid logs without its folder names it", done.code == 1 and "/nonexistent/log" in done.err, done)
    done = enid("detach", "enid-cli-none")
    check("enid detach of a device that is not there names it", done.code == 1 and "'enid-cli-none'" in done.err, done)
    done = enid("show", "rules", "--unused", "--run-dir", "/nonexistent/run", "--pin-dir", "/sys/fs/bpf/enid-cli-none")
    check("enid show rules --unused without pins names the folder", done.code == 1 and "enid-cli-none" in done.err, done)
    done = enid("reach", "/nonexistent/state")
    check("enid reach of a missing state: what is wrong, and no errno of ours", done.code == 1 and "/nonexistent/state: cannot read" in done.err and
          "Invalid argument" not in done.err, done)
    done = enid("detach", "--all", *NOWHERE)
    check("enid detach --all where nothing is has nothing to do", done.code == 0, done)


def full_disk():
    for words in (("check", REFERENCE), ("check", "--json", REFERENCE), ("status", "--json", *NOWHERE), ("--version",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ENID, *words], stdout=full, stderr=subprocess.PIPE, check=False)
        check(f"enid {words[0]}: results that cannot be written are a failure", done.returncode == 1 and
              b"standard output" in done.stderr, done)


def closed_streams():
    """What is opened first must not be taken for the stream that is closed."""
    for words in (("check", REFERENCE), ("graph", REFERENCE), ("status", *NOWHERE), ("--version",)):
        done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "-", ENID, *words], stderr=subprocess.PIPE, check=False)
        check(f"enid {words[0]}: a closed standard output is a failure", done.returncode == 1 and
              b"cannot write to standard output" in done.stderr, done)


def refused_start():
    """A state that cannot be loaded: no folder is made for it."""
    with tempfile.TemporaryDirectory() as folder:
        broken = os.path.join(folder, "broken.json")
        with open(broken, "w", encoding="utf-8") as out:
            out.write("{")
        pins = f"/sys/fs/bpf/enid-cli-refused-{os.getpid()}"
        before = sorted(os.listdir(folder))
        for state, more, what in ((broken, (), "broken.json"), (os.path.join(folder, "none"), (), "none: cannot read"),
                                  (REFERENCE, ("--host", "host-x"), "'host-x'")):
            done = enid("run", "--state", state, *more, "--run-dir", f"{folder}/run/enid", "--log-dir", f"{folder}/log", "--pin-dir", pins)
            check(f"enid run says what is wrong ({what})", done.code == 1 and what in done.err and
                  all(line.startswith("enid run: ") for line in done.err.splitlines()), done)
            check("... and leaves no folder", sorted(os.listdir(folder)) == before and not os.path.exists(pins), os.listdir(folder))
        done = enid("run", "--state", REFERENCE, "--run-dir", f"{folder}/run/enid", "--log-dir", f"{folder}/log", "--pin-dir", f"{folder}/pins",
                    before=("sh", "-c", 'trap "" CHLD; exec "$@"', "-"))
        check("a start that ignores its children's end says what is wrong, too", done.code == 1 and f"{folder}/pins" in done.err, done)


def states():
    for words in (("check", "/nonexistent/state"), ("replay", "--state", "/nonexistent/state")):
        done = enid(*words)
        check(f"enid {words[0]} of a missing state names it and exits 1", done.code == 1 and
              "/nonexistent/state: cannot read" in done.err, done)
    done = enid("check", "--json", "/nonexistent/state")
    check("enid check --json of it is JSON that says invalid", done.code == 1 and done.json()["valid"] is False and
          len(done.json()["errors"]) == 1, done)
    done = enid("check", REFERENCE)
    check("enid check prints what the state holds", done.code == 0 and "6 network interfaces" in done.out, done)
    done = enid("check", "--json", REFERENCE)
    check("enid check --json counts it", done.code == 0 and done.json()["valid"] is True and
          done.json()["holds"]["network interfaces"] == 6, done)
    with tempfile.TemporaryDirectory() as folder:
        done = enid("check", folder)
        check("an empty folder is no state", done.code == 1 and "has no *.json file" in done.err and
              done.out == "invalid: 1 error, 0 warnings\n", done)
        wrong = {"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/33"}], "SecurityGroups": [
            {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": [
                {"IpProtocol": "tcp", "FromPort": 90, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}]}
        path = os.path.join(folder, "a.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(wrong, out)
        done = enid("check", folder)
        check("every error at once, with file, place, id and value", done.code == 1 and "10.0.0.0/33" in done.err and
              f"{path}: SecurityGroups[0] sg-1: IpPermissions[0]" in done.err and "90-80" in done.err, done)
    with tempfile.TemporaryDirectory() as folder:
        strange = os.fsencode(folder) + b"/caf\xe9.json"
        with open(strange, "wb") as out:
            out.write(b"{")
        done = enid("check", "--json", folder)
        check("a file whose name is no UTF-8 leaves the JSON JSON", done.code == 1 and "caf?" in done.json()["errors"][0],
              done)


def hosts():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hosts.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"Hosts": [{"HostId": "host-b", "Ports": []}]}, out)
        both = ("--state", REFERENCE, "--state", path)
        done = enid("replay", *both)
        check("two hosts and no --host: the error asks for it", done.code == 1 and "--host" in done.err and
              "none of the 2" in done.err, done)
        done = enid("replay", *both, "--host", "nobody")
        check("a --host that is not in the state is named", done.code == 1 and "'nobody'" in done.err, done)
        done = enid("replay", *both, "--host", "host-b")
        check("--host chooses", done.code == 0, done)
    done = enid("replay", "--state", os.path.join(REFERENCE, "vpcs.json"))
    check("a state without Hosts says what is missing", done.code == 1 and "the state has none" in done.err, done)
    done = enid("replay", "--state", REFERENCE)
    check("the only host of a state needs no --host", done.code == 0 and not done.err, done)


if __name__ == "__main__":
    main(help_and_version, misuse, named, nothing_there, full_disk, closed_streams, refused_start, states, hosts)
