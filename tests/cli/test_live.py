#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The commands that look at an agent: status, show, logs, detach, with the agent alive, mistaken, dead and gone.

Needs root. Works in a network namespace of its own, with folders of its own; nothing of the host is touched."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from cli import ENID, REFERENCE, check, enid, main

PINS = "/sys/fs/bpf/enid-cli-live"
TOPICS = {"enis": "eni", "ports": "id", "groups": "group", "nacls": "subnet", "routes": "destination", "flows": None, "nat": "eni",
          "rules": "rule", "drops": None}


class World:
    """A namespace with two devices of the reference state, and the agent's folders."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="enid-cli-")
        self.state, self.run, self.logs = (os.path.join(self.folder, name) for name in ("state", "run", "log"))
        shutil.copytree(REFERENCE, self.state)
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        self.inside = ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net")
        self.folders = ("--run-dir", self.run, "--pin-dir", PINS)
        self.agent = None
        mine = os.readlink("/proc/self/ns/net")
        self.until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine)
        for device, other in (("web-a", "g-web-a"), ("uplink0", "inet")):
            self.ip(f"link add {device} type veth peer name {other}")
            for each in (device, other):
                self.ip(f"link set {each} up")

    def ip(self, words):
        subprocess.run([*self.inside, "ip", *words.split()], check=True)

    def until(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.05)
        return False

    def start(self):
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            self.agent = subprocess.Popen([*self.inside, ENID, "run", "--state", self.state, *self.folders, "--log-dir",
                                           self.logs, "--max-flows", "4096"], stderr=err)
        return self.until(lambda: self.command("status").code == 0)

    def command(self, *words, **kw):
        return enid(*words, *self.folders, before=self.inside, **kw)

    def close(self):
        if self.agent and self.agent.poll() is None:
            self.agent.terminate()
            self.agent.wait()
        self.command("detach", "--all")
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def looks(world, when):
    for topic, key in TOPICS.items():
        done = world.command("show", topic, "--json")
        rows = done.json()
        check(f"{when}: show {topic} --json is a list of objects", done.code == 0 and isinstance(rows, list) and
              all(isinstance(row, dict) for row in rows) and (not key or rows and all(key in row for row in rows)), done)
        done = world.command("show", topic)
        check(f"{when}: show {topic} prints a line for each", done.code == 0 and not done.err and
              done.out.count("\n") >= len(rows), done)
    rows = [(row["stage"], row["id"], row["rule"]) for row in world.command("show", "rules", "--json").json()]
    check(f"{when}: show rules has each rule once, by name", len(rows) == len(set(rows)) and
          ("sg-ingress", "sg-db", "IpPermissions[0]") in rows and ("nacl-ingress", "acl-private", "100") in rows, rows)


def alive(world):
    status = world.command("status", "--json").json()
    ports = {port["device"]: port for port in status["ports"]}
    check("status --json: pid, revision, flows, drops, ports", status["agent"]["pid"] > 0 and status["revision"] and
          status["flows"]["max"] == 4096 and status["flows"]["live"] == 0 and isinstance(status["drops"], dict) and
          all("eni" in port for port in status["ports"]), status)
    check("a port with its device is enforced, one without is not", ports["web-a"]["enforced"] is True and
          ports["uplink0"]["enforced"] is True and ports["db"]["enforced"] is False, ports)
    text = world.command("status")
    check("status in words: the port, its device, and how it is", text.code == 0 and any(
        "eni-web-a" in line and "web-a" in line and "enforced" in line for line in text.out.splitlines()), text)
    start = time.monotonic()
    second = enid("run", "--state", world.state, "--run-dir", world.run + "2", "--pin-dir", PINS, "--log-dir", world.logs,
                  before=world.inside)
    check("a second agent gives up within 10 s and names the first one's pid", second.code == 1 and
          time.monotonic() - start < 10 and str(status["agent"]["pid"]) in second.err, second)
    done = world.command("detach", "web-a")
    check("detach of a device that the agent serves is refused", done.code == 1 and "web-a" in done.err, done)


def mistaken(world):
    before = world.command("status", "--json").json()["revision"]
    bad = os.path.join(world.state, "zz.json")
    for what, text in (("half-written", '{"Vpcs": ['), ("wrong", '{"Vpcs": [{"VpcId": "vpc-0reference", "CidrBlock": 5}]}')):
        with open(bad, "w", encoding="utf-8") as out:
            out.write(text)
        seen = world.until(lambda: world.command("status").code == 1, 5)
        status = world.command("status", "--json").json()
        check(f"a {what} file: the last good state stays, and status says which file is wrong", seen and
              status["revision"] == before and any("zz.json" in line for line in status["attention"]), status["attention"])
        os.unlink(bad)
        check("without it all is well again", world.until(lambda: world.command("status").code == 0, 5))
    strange = os.fsencode(world.state) + b"/caf\xe9.json"
    with open(strange, "wb") as out:
        out.write(b"{")
    check("a wrong file whose name is no UTF-8 needs attention, too", world.until(
        lambda: world.command("status").code == 1, 5) and world.command("status", "--json").json()["attention"])
    os.unlink(strange)
    moved = world.state + ".away"
    os.rename(world.state, moved)
    check("a state folder that is gone: the last good state stays", world.until(
        lambda: world.command("status").code == 1, 5) and
        world.command("status", "--json").json()["revision"] == before)
    os.rename(moved, world.state)
    check("a folder renamed into place is enough", world.until(lambda: world.command("status").code == 0, 5))


def logs(world):
    line = "2 111122223333 eni-web-a 10.0.0.1 10.0.0.2 1 2 6 3 180 1700000000 1700000059 ACCEPT OK\n"
    folder = os.path.join(world.folder, "made")
    os.makedirs(folder)
    with open(os.path.join(folder, "flow.log"), "w", encoding="ascii") as out:
        out.write(line + line.replace("10.0.0.1 10.0.0.2 1 2 6 3 180", "- - - - - - -").replace("ACCEPT OK", "- NODATA"))
    done = enid("logs", "--log-dir", folder)
    check("logs prints the records as they are", done.code == 0 and done.out.startswith(line) and done.out.count("\n") == 2,
          done)
    for words in (("--json",), ("--format", "json")):
        rows = enid("logs", *words, "--log-dir", folder).lines()
        check(f"logs {' '.join(words)}: a line of JSON each, numbers as numbers", len(rows) == 2 and
              rows[0]["srcport"] == 1 and rows[0]["action"] == "ACCEPT" and rows[1]["log_status"] == "NODATA" and
              rows[1]["srcaddr"] is None, rows)
    files = [name for name in os.listdir(world.logs) if name != "flow.log"]
    check("in the agent's log folder nothing but flow.log and .part files", all(name.endswith(".part") for name in files), files)


def dead(world):
    pid = world.command("status", "--json").json()["agent"]["pid"]
    os.kill(pid, signal.SIGKILL)
    world.agent.wait()
    done = world.command("status", "--json")
    status = done.json()
    check("with the agent killed status says so, and that the ports are enforced", done.code == 1 and
          status["agent"]["pid"] is None and any(port["enforced"] for port in status["ports"]) and
          "no agent runs" in status["attention"], status)
    looks(world, "agent dead")
    done = world.command("detach", "web-a")
    check("detach DEVICE takes one device's programs", done.code == 0, done)
    done = world.command("detach", "web-a")
    check("... once", done.code == 1 and "web-a" in done.err, done)
    done = world.command("detach", "--all")
    rules = subprocess.run([*world.inside, "nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout
    filters = subprocess.run([*world.inside, "tc", "qdisc", "show"], capture_output=True, text=True, check=False).stdout
    check("detach --all leaves no pin, rule, qdisc or file", done.code == 0 and not os.path.exists(PINS) and not rules and
          "clsact" not in filters and not os.listdir(world.run), (done, rules, filters, os.listdir(world.run)))
    done = world.command("show", "enis")
    check("then there is nothing to show", done.code == 1 and PINS in done.err, done)


def live():
    world = World()
    try:
        check("the agent is ready and status exits 0", world.start())
        alive(world)
        looks(world, "agent alive")
        mistaken(world)
        logs(world)
        dead(world)
    finally:
        world.close()


if __name__ == "__main__":
    main(live)
