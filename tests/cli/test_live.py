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

from cli import ENID, REFERENCE, check, enid, main, silent_namespace, until

PINS = f"/sys/fs/bpf/enid-cli-live-{os.getpid()}"
TOPICS = {"enis": "eni", "ports": "id", "groups": "group", "nacls": "subnet", "routes": "destination", "flows": None, "nat": "eni",
          "rules": "rule", "drops": None}


class World:
    """A namespace with two devices of the reference state, and the agent's folders."""

    def __init__(self, pins=PINS):
        self.folder = tempfile.mkdtemp(prefix="enid-cli-")
        self.state, self.run, self.logs = (os.path.join(self.folder, name) for name in ("state", "run", "log"))
        shutil.copytree(REFERENCE, self.state)
        self.holder, self.inside = silent_namespace()
        self.folders = ("--run-dir", self.run, "--pin-dir", pins)
        self.agent = None
        for device, other in (("web-a", "g-web-a"), ("uplink0", "inet")):
            self.ip(f"link add {device} type veth peer name {other}")
            for each in (device, other):
                self.ip(f"link set {each} up")

    def ip(self, words):
        subprocess.run([*self.inside, "ip", *words.split()], check=True)

    def start(self):
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            self.agent = subprocess.Popen([*self.inside, ENID, "run", "--state", self.state, *self.folders, "--log-dir",
                                           self.logs, "--max-flows", "4096"], stderr=err)
        return until(lambda: self.command("status").code == 0)

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


def in_order(world):
    rows = world.command("show", "enis", "--json").json()
    check("an ENI's addresses: IPv4 before IPv6", rows and all([":" in each for each in row["addresses"]] == [False, True] for row in rows), rows)
    enis = [row["eni"] for row in world.command("show", "nat", "--json").json() if "association" in row]
    check("pairs of addresses in the order of their ENIs", len(enis) == 4 and enis == sorted(enis), enis)
    maps = world.command("status", "--json").json()["maps"]
    said = [line.split()[1:] for line in world.command("status").out.splitlines() if line.startswith("table ")]
    check("status in words has the use of each table", maps and said == [[name, str(use), "of", str(most)] for name, (use, most) in maps.items()],
          (said, maps))


def slips(world):
    done = world.command("show", "flows", "--eni", "10.20.1.10")
    check("flows of what is no ENI: none, and why", done.code == 0 and not done.out and "'10.20.1.10' is no ENI" in done.err, done)
    done = enid("show", "rules", "--unused", "--run-dir", world.run + "-none", "--pin-dir", PINS, before=world.inside)
    check("unused rules where nobody has counted: the file is named", done.code == 1 and world.run + "-none/rules.use" in done.err, done)
    ask = ("explain", "--from", "eni-web-a", "--to", "eni-db", "--port", "3306")
    done = world.command(*ask, "--host", "host-x")
    check("explain for another host than the agent's is refused, with both", done.code == 1 and "'host-a'" in done.err and "'host-x'" in done.err, done)
    check("explain for the agent's host is answered", world.command(*ask, "--host", "host-a").code == 0)
    for words in (("show", "rules"), ("metrics",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ENID, *words, *world.folders], stdout=full, stderr=subprocess.PIPE, check=False)
        check(f"enid {words[0]} on a full disk: one line says so", done.returncode == 1 and b"standard output" in done.stderr and
              done.stderr.count(b"\n") == 1, done.stderr)


def by_nobody(world):
    """Who may not look is told that, and of what: not that there is nothing, or that the agent is starting."""
    with tempfile.TemporaryDirectory() as folder:
        mine = shutil.copy(ENID, folder)
        for each in (folder, world.folder):
            os.chmod(each, 0o755)

        def ask(*words):
            done = subprocess.run([*world.inside, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", mine, *words, *world.folders],
                                  capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr
        code, text = ask("status")
        check("status by nobody: it cannot read what the agent reports", code == 1 and "attention  cannot read " + world.run in text and
              "starting" not in text and "pid 0" not in text, text)
        for words in (("show", "enis"), ("metrics",), ("top", "--once"), ("plan", world.state), ("capture",), ("detach", "web-a"),
                      ("explain", "--from", "eni-web-a", "--to", "eni-db", "--port", "1")):
            code, text = ask(*words)
            check(f"{words[0]} by nobody names the folder", code == 1 and f"cannot look below '{PINS}': Permission denied" in text, text)


def mistaken(world):
    before = world.command("status", "--json").json()["revision"]
    bad = os.path.join(world.state, "zz.json")
    for what, text in (("half-written", '{"Vpcs": ['), ("wrong", '{"Vpcs": [{"VpcId": "vpc-0reference", "CidrBlock": 5}]}')):
        with open(bad, "w", encoding="utf-8") as out:
            out.write(text)
        seen = until(lambda: world.command("status").code == 1, 5)
        status = world.command("status", "--json").json()
        check(f"a {what} file: the last good state stays, and status says which file is wrong", seen and
              status["revision"] == before and any("zz.json" in line for line in status["attention"]), status["attention"])
        os.unlink(bad)
        check("without it all is well again", until(lambda: world.command("status").code == 0, 5))
    strange = os.fsencode(world.state) + b"/caf\xe9.json"
    with open(strange, "wb") as out:
        out.write(b"{")
    check("a wrong file whose name is no UTF-8 needs attention, too", until(
        lambda: world.command("status").code == 1, 5) and world.command("status", "--json").json()["attention"])
    os.unlink(strange)
    moved = world.state + ".away"
    os.rename(world.state, moved)
    check("a state folder that is gone: the last good state stays", until(
        lambda: world.command("status").code == 1, 5) and
        world.command("status", "--json").json()["revision"] == before)
    os.rename(moved, world.state)
    check("a folder renamed into place is enough", until(lambda: world.command("status").code == 0, 5))


def explained(world):
    """explain without a state: that in force, and the pinned tables, which are only read."""
    question = ("explain", "--from", "eni-bastion", "--to", "eni-db", "--port", "22", "--json")
    done = world.command(*question)
    said = done.json()["Enid"]
    check("explain asks with the state in force and the pinned tables", done.code == 0 and said["there"]["agree"] is True and
          said["back"]["agree"] is True, done)
    check("... and leaves no flow behind", world.command("show", "flows", "--json").json() == [])
    path = os.path.join(world.run, "applied.json")
    with open(path, encoding="utf-8") as file:
        saved = file.read()
    other = json.loads(saved)
    for group in other["SecurityGroups"]:
        if group["GroupId"] == "sg-db":
            group["IpPermissions"] = []
    with open(path, "w", encoding="utf-8") as file:
        json.dump(other, file)
    done = world.command(*question)
    check("tables that are not what the state says are a disagreement: exit 3, named", done.code == 3 and
          "disagreement on the way there: the model says sg-ingress, the program deliver" in done.err, done)
    # The verdict is the same, but who gives it, or how the packet leaves, is not.
    other = json.loads(saved)
    for acl in other["NetworkAcls"]:
        for entry in acl["Entries"]:
            if acl["NetworkAclId"] == "acl-private" and entry["RuleNumber"] == 110:
                entry["RuleNumber"] = 111
    disagrees(world, path, other, question, "decision 4: the model says acl-private 111, the program")
    other = json.loads(saved)
    for eni in other["NetworkInterfaces"]:
        if eni["NetworkInterfaceId"] == "eni-web-a":
            eni["PrivateIpAddresses"][0]["Association"]["PublicIp"] = "198.18.7.7"
    disagrees(world, path, other, ("explain", "--from", "eni-web-a", "--to", "internet", "--port", "443", "--family", "4", "--json"),
              "the packet leaves with other addresses or ports")
    with open(path, "w", encoding="utf-8") as file:
        file.write(saved)
    check("... and are none any more", world.command(*question).code == 0)


def disagrees(world, path, state, question, sentence):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(state, file)
    done = world.command(*question)
    check(f"... {sentence}", done.code == 3 and sentence in done.err, done)


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
    files = [name for name in os.listdir(world.logs) if name not in ("flow.log", "enid-rejects")]
    check("in the agent's log folder nothing but flow.log, the folder of rejects, and .part files", all(name.endswith(".part") for name in files), files)


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
        in_order(world)
        slips(world)
        by_nobody(world)
        looks(world, "agent alive")
        explained(world)
        mistaken(world)
        logs(world)
        dead(world)
    finally:
        world.close()


if __name__ == "__main__":
    main(live)
