#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent from outside: one at a time, devices that come and go, hooks that somebody removes, states that are wrong,
death and restart, the forwarding guard, and what `enid detach` leaves (hazards E1, E2, E7 to E11, E29, E31).

Needs root and `make`. ENID names the binary (default build/enid). Works in namespaces of its own, called agent-*.
Prints `ok ...` or `FAIL ...` for each sentence, then `N passed, N failed`.
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ENID = os.path.abspath(os.environ.get("ENID", os.path.join(os.path.dirname(__file__), "../../build/enid")))
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
RUN = f"agent-{os.getpid()}"  # others may run this, too
HOST, GUESTS = f"{RUN}-h", {"a": f"{RUN}-a", "b": f"{RUN}-b"}
PINS = f"/sys/fs/bpf/{RUN}"
ADDRESS = {"a": "10.9.1.10", "b": "10.9.2.10"}
results = {True: 0, False: 0}


def check(sentence, good, detail=""):
    results[bool(good)] += 1
    print(("ok " if good else "FAIL ") + sentence + ("" if good or not detail else f": {detail}"), flush=True)


def sh(*argv, ns=None, fail=True, **kw):
    """Never `ip netns exec`: it mounts /sys anew and hides the pins."""
    if ns:
        argv = ("nsenter", f"--net=/run/netns/{ns}") + argv
    done = subprocess.run(argv, capture_output=True, text=True, **kw)
    if fail and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done


def ip(words, ns=HOST, fail=True):
    return sh("ip", *words.split(), ns=ns, fail=fail)


def until(condition, seconds):
    """The seconds it took, or None. A busy machine gets four times the patience: who asserts quickness looks at the result."""
    start = time.monotonic()
    while time.monotonic() - start < 4 * seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.02)
    return None


def back_within_a_second(remove, is_back):
    """Remove something and measure until it is back: quickly in two of three times, as a busy machine is slow now and then.
    -> (whether, the seconds of all)"""
    took = []
    for _ in range(3):
        remove()
        took.append(until(is_back, 2))
    print("# back after " + ", ".join("never" if t is None else f"{t:.2f}" for t in took) + " s", flush=True)
    return sum(t is not None and t < 1 for t in took) >= 2, took


# ---- what is being tested

class Agent:
    def __init__(self, folder, *more, run="run", pins=PINS):
        self.folder, self.run, self.pins = folder, os.path.join(folder, run), pins
        self.log = open(os.path.join(folder, "agent.log"), "a+")
        self.folders = ["--run-dir", self.run, "--pin-dir", pins, "--log-dir", os.path.join(folder, "log")]
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(folder, "notify")
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{HOST}", ENID, "run", "--state", os.path.join(folder, "state"),
             "--max-flows", "4096", *self.folders, *more],
            stderr=self.log, env={**os.environ, "NOTIFY_SOCKET": path})
        ready.settimeout(0.1)
        self.ready = False
        deadline = time.monotonic() + 30
        while not self.ready and time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ready = b"READY=1" in ready.recv(4096)
            except TimeoutError:
                pass
        ready.close()

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        self.log.flush()
        with open(self.log.name) as log:
            return log.read()

    def status(self):
        done = sh(ENID, "status", "--json", *self.folders, ns=HOST, fail=False)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, {}

    def port(self, eni):
        for port in self.status()[1].get("ports", []):
            if port["eni"] == eni:
                return port
        return {}

    def enforced(self, eni):
        return self.port(eni).get("enforced") is True

    def kill(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


def state(hook="auto", devices=None, cidr="0.0.0.0/0"):
    devices = devices or {"a": "pa", "b": "pb"}
    enis = [{"NetworkInterfaceId": f"eni-{g}", "VpcId": "vpc-1", "SubnetId": f"subnet-{g}", "Status": "in-use",
             "MacAddress": f"02:00:00:00:00:0{g}", "InterfaceType": "interface", "SourceDestCheck": True,
             "Groups": [{"GroupId": "sg-1"}], "PrivateIpAddress": ADDRESS[g],
             "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": ADDRESS[g]}]} for g in devices]
    permission = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": cidr}]}
    return {
        "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.9.0.0/16"}],
        "Subnets": [{"SubnetId": "subnet-a", "VpcId": "vpc-1", "CidrBlock": "10.9.1.0/24"},
                    {"SubnetId": "subnet-b", "VpcId": "vpc-1", "CidrBlock": "10.9.2.0/24"}],
        "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "one", "VpcId": "vpc-1",
                            "IpPermissions": [], "IpPermissionsEgress": [permission]}],
        "NetworkInterfaces": enis,
        "Hosts": [{"HostId": "h", "Ports": [
            {"NetworkInterfaceId": f"eni-{g}", "Device": d, "Hook": hook} for g, d in devices.items()]}]}


def put_state(folder, content, name="all.json"):
    os.makedirs(os.path.join(folder, "state"), exist_ok=True)
    fresh = os.path.join(folder, "state", "." + name)
    with open(fresh, "w") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    os.rename(fresh, os.path.join(folder, "state", name))


# ---- the machine around it

def make_guest(guest):
    device = f"p{guest}"
    ip(f"link add {device} type veth peer name eth0 netns {GUESTS[guest]}")
    ip(f"link set {device} up")
    ip(f"addr add {ADDRESS[guest].rsplit('.', 1)[0]}.254/24 dev {device}")
    ip(f"link set eth0 address 02:00:00:00:00:0{guest}", ns=GUESTS[guest])
    ip(f"addr add {ADDRESS[guest]}/24 dev eth0", ns=GUESTS[guest])
    ip("link set eth0 up", ns=GUESTS[guest])
    # Past enid: to the host's own MAC, which would forward it.
    mac = json.loads(sh("ip", "-j", "link", "show", device, ns=HOST).stdout)[0]["address"]
    gateway = f"{ADDRESS[guest].rsplit('.', 1)[0]}.254"
    ip(f"neigh replace {gateway} lladdr {mac} dev eth0 nud permanent", ns=GUESTS[guest])
    ip(f"route replace default via {gateway}", ns=GUESTS[guest])
    ip(f"neigh replace {ADDRESS[guest]} lladdr 02:00:00:00:00:0{guest} dev {device} nud permanent")


def make_machine():
    for ns in (HOST, *GUESTS.values()):
        sh("ip", "netns", "add", ns)
        ip("link set lo up", ns=ns)
    sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", ns=HOST)
    for guest in GUESTS:
        make_guest(guest)


def drop_machine():
    for ns in (HOST, *GUESTS.values()):
        sh("ip", "netns", "del", ns, fail=False)
    shutil.rmtree(PINS, ignore_errors=True)


SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(20):
        try:
            s.sendto(b"x", (sys.argv[1], 9))
        except OSError:
            pass
    time.sleep(0.001)
"""
SINK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9))
s.settimeout(float(sys.argv[1]))
print("up", flush=True)
n = 0
try:
    while True:
        s.recv(100)
        n += 1
except TimeoutError:
    print(n)
"""


class Probe:
    """Guest a sends to guest b through the host, past enid. seen() ends it and says how much came through."""

    def __init__(self, seconds):
        self.sink = subprocess.Popen(["nsenter", f"--net=/run/netns/{GUESTS['b']}", sys.executable, "-c", SINK, "1"],
                                     stdout=subprocess.PIPE, text=True)
        self.sink.stdout.readline()
        self.sender = subprocess.Popen(["nsenter", f"--net=/run/netns/{GUESTS['a']}", sys.executable, "-c", SENDER,
                                        ADDRESS["b"], str(seconds)])

    def seen(self):
        self.sender.wait()
        return int(self.sink.communicate()[0])


def links_of(pins=PINS):
    """id -> pin of our links"""
    found = {}
    for pin in sorted(glob.glob(os.path.join(pins, "links/*"))):
        done = sh(BPFTOOL, "-j", "link", "show", "pinned", pin, fail=False)
        if done.returncode == 0:
            found[json.loads(done.stdout)["id"]] = os.path.basename(pin)
    return found


def maps_of(pins=PINS):
    ids = set()
    for folder, _, names in os.walk(pins):
        for name in names:
            done = sh(BPFTOOL, "-j", "map", "show", "pinned", os.path.join(folder, name), fail=False)
            if done.returncode == 0 and done.stdout.strip():
                ids.add(json.loads(done.stdout).get("id"))
    return ids - {None}


def programs_of(links):
    return {json.loads(sh(BPFTOOL, "-j", "link", "show", "id", str(i)).stdout)["prog_id"] for i in links}


def ids_alive(kind, ids):
    return [i for i in ids if sh(BPFTOOL, kind, "show", "id", str(i), fail=False).returncode == 0]


def detach_links(which):
    for number, name in links_of().items():
        if which in name:
            sh(BPFTOOL, "link", "detach", "id", str(number), fail=False)  # the agent may just be replacing it


# ---- the sentences

def test_start(folder):
    put_state(folder, state())
    agent = Agent(folder)
    check("E1: READY=1 comes once every present device is enforced",
          agent.ready and agent.enforced("eni-a") and agent.enforced("eni-b"), agent.said()[-600:])
    code, status = agent.status()
    check("status exits 0 with the agent up and everything enforced", code == 0, f"{code} {status.get('attention')}")
    check("status names the agent's pid, a revision and the table's size",
          status.get("agent", {}).get("pid") == agent.pid and status.get("revision") and
          status.get("flows", {}).get("max") == 4096, json.dumps(status)[:400])
    check("applied.json holds the lists of the state",
          json.load(open(os.path.join(agent.run, "applied.json"))).get("NetworkInterfaces"))
    return agent


def test_one_agent(folder, agent):
    for what, run in (("run folder", "run"), ("pin folder", "run2")):
        start = time.monotonic()
        second = sh("timeout", "12", ENID, "run", "--state", f"{folder}/state", "--run-dir", os.path.join(folder, run),
                    "--pin-dir", PINS, "--log-dir", f"{folder}/log", ns=HOST, fail=False, timeout=20)
        check(f"E10: a second agent on the same {what} is refused within 10 s, naming the first",
              second.returncode == 1 and str(agent.pid) in second.stderr and time.monotonic() - start < 10,
              f"{second.returncode} {second.stderr}")
    check("E10: the first agent is unharmed", agent.status()[0] == 0)


def test_devices(agent):
    before = agent.port("eni-a")["ifindex"]
    ip("link del pa")
    gone = until(lambda: not agent.port("eni-a").get("present"), 3)
    check("E7: a deleted device is no fault, its port waits", gone is not None and agent.status()[0] == 0)
    make_guest("a")
    took = until(lambda: agent.enforced("eni-a"), 5)
    after = agent.port("eni-a")["ifindex"]
    check("E7: a re-created device is enforced, on its new index", took is not None and before != after,
          f"{before} {after}")
    ip("link set pa down")
    ip("link set pa name pz")
    held = until(lambda: "pz" in agent.status()[1].get("held", []), 3)
    check("E7: a renamed device is held, not let go", held is not None and len(links_of()) == 4, agent.status()[1])
    ip("link set pz name pa")
    ip("link set pa up")
    check("E7: renamed back it is a port again",
          until(lambda: agent.enforced("eni-a") and agent.status()[1].get("held") == [], 3) is not None)
    sh("ip", "link", "set", "pa", "netns", GUESTS["a"], ns=HOST)
    moved = until(lambda: not agent.port("eni-a").get("present"), 3)
    left = sh(BPFTOOL, "net", ns=GUESTS["a"]).stdout
    check("E7: a device that moved to another namespace carries nothing of ours",
          moved is not None and "tc_rx" not in left and len(links_of()) == 2, left)
    ip("link del pa", ns=GUESTS["a"])
    make_guest("a")
    check("E7: ... and its successor is enforced", until(lambda: agent.enforced("eni-a"), 5) is not None)
    for _ in range(30):
        ip("link del pa")
        ip(f"link add pa type veth peer name eth0 netns {GUESTS['a']}")
    ip("link del pa")
    make_guest("a")
    check("E12: thirty devices later there is one pair of links for each port",
          until(lambda: agent.enforced("eni-a") and len(links_of()) == 4, 5) is not None, links_of())


def hooks_are_back(agent, remove):
    """remove() takes two hooks away."""
    count = [0]

    def count_and_remove():
        count[0] = agent.status()[1]["hooks_restored"]
        remove()
    return back_within_a_second(count_and_remove, lambda: agent.enforced("eni-a") and agent.enforced("eni-b") and
                                agent.status()[1]["hooks_restored"] >= count[0] + 2)


def test_removed_hooks(agent):
    for which in ("tc_rx", "tc_tx"):
        check(f"E9: {which} that somebody detached is back within a second", *hooks_are_back(
            agent, lambda which=which: detach_links(which)))
    code, status = agent.status()
    check("E9: status tells of it", code == 1 and any("removed" in text for text in status["attention"]))
    before = sh("nft", "list", "ruleset", ns=HOST).stdout
    check("E9: the forwarding guard that somebody flushed is back within a second", *back_within_a_second(
        lambda: sh("nft", "flush", "ruleset", ns=HOST), lambda: sh("nft", "list", "ruleset", ns=HOST).stdout == before))
    sh("nft", "add", "table", "inet", "other", ns=HOST)
    time.sleep(0.6)
    rules = sh("nft", "list", "ruleset", ns=HOST).stdout
    check("E9: other people's tables are left alone", "table inet other" in rules)
    sh("nft", "delete", "table", "inet", "other", ns=HOST)
    check("E9: ten seconds later it is no news any more", until(lambda: agent.status()[0] == 0, 13) is not None)


def test_states(folder, agent):
    first = agent.status()[1]["revision"]
    put_state(folder, state(cidr="10.0.0.0/8"))
    took = until(lambda: agent.status()[1]["revision"] != first, 3)
    check("a rename into the folder is enough to apply a state", took is not None)
    good = agent.status()[1]["revision"]
    put_state(folder, '{"Vpcs": [', "zz.json")
    said = until(lambda: "zz.json" in str(agent.status()[1].get("attention")), 3)
    status = agent.status()[1]
    check("E2: a half-written state leaves the last good one in force, and status says so",
          said is not None and status["revision"] == good and agent.enforced("eni-a"), status["attention"])
    os.unlink(os.path.join(folder, "state", "zz.json"))
    check("... until it is gone", until(lambda: agent.status()[0] == 0, 3) is not None)
    put_state(folder, '{"Vpcs": 7}', "note.txt")
    with open(os.path.join(folder, "state", ".hidden.json"), "w") as file:
        file.write("{")
    time.sleep(0.5)
    check("dot-files and other names are ignored", agent.status()[0] == 0)
    os.unlink(os.path.join(folder, "state", ".hidden.json"))
    os.unlink(os.path.join(folder, "state", "note.txt"))
    os.rename(os.path.join(folder, "state"), os.path.join(folder, "away"))
    gone = until(lambda: "refused" in str(agent.status()[1].get("attention")), 4)
    check("a deleted state leaves the last good one in force", gone is not None and
          agent.status()[1]["revision"] == good and agent.enforced("eni-a"))
    os.rename(os.path.join(folder, "away"), os.path.join(folder, "state"))
    check("... and is followed again when it is back", until(lambda: agent.status()[0] == 0, 4) is not None)
    put_state(folder, state(devices={"b": "pb"}))
    check("E13: a port taken out of the state is held while its device is there",
          until(lambda: agent.status()[1]["held"] == ["pa"], 3) is not None and len(links_of()) == 4)
    freed = sh(ENID, "detach", *agent.folders[:4], "pa", ns=HOST, fail=False)
    check("`enid detach DEVICE` sets it free",
          freed.returncode == 0 and until(lambda: agent.status()[1]["held"] == [], 2) is not None and
          len(links_of()) == 2 and '"pa"' not in sh("nft", "list", "ruleset", ns=HOST).stdout, freed.stderr)
    refused = sh(ENID, "detach", *agent.folders[:4], "pb", ns=HOST, fail=False)
    check("... but not a port that the agent serves", refused.returncode == 1 and agent.enforced("eni-b"))
    put_state(folder, state())
    check("it comes back with the state", until(lambda: agent.enforced("eni-a"), 3) is not None)


def test_xdp(folder, agent):
    put_state(folder, state(hook="xdp"))
    check("Hook xdp takes effect on a live port",
          until(lambda: agent.port("eni-a").get("hook") == "xdp" and agent.port("eni-b").get("hook") == "xdp", 3)
          is not None and len(links_of()) == 6, links_of())
    links = links_of()
    codes = [ip(f"link set pa {word} off", fail=False).returncode for word in ("xdpgeneric", "xdp", "xdpdrv")]
    check("E9: `ip link set pa xdpgeneric off` is refused, no form of it removes the program",
          codes[0] != 0 and agent.enforced("eni-a") and links_of() == links, codes)
    check("E9: an XDP program that somebody detached is back within a second", *hooks_are_back(
        agent, lambda: detach_links("xdp_rx")))
    put_state(folder, state())
    check("... and Hook auto brings TC back", until(lambda: agent.port("eni-a").get("hook") == "tcx", 3) is not None)


def test_death(folder, agent):
    links, maps = links_of(), maps_of()
    agent.kill(signal.SIGKILL)
    code, status = agent.status()
    check("E31: kill -9 leaves links and maps", links_of() == links and maps_of() == maps and len(links) == 4)
    check("status works with the agent dead, says so, and shows what the kernel enforces",
          code == 1 and status["agent"] == {"running": False, "pid": None} and
          all(port["enforced"] for port in status["ports"]), status)
    again = Agent(folder)
    check("a restart adopts the same links and maps", again.ready and links_of() == links and maps_of() == maps,
          f"{links} {links_of()}")
    check("SIGTERM ends it with 0 and leaves the kernel enforcing", again.kill() == 0 and links_of() == links)
    again = Agent(folder)
    before = again.status()[1]["revision"]
    put_state(folder, state(cidr="10.0.0.0/8"))
    check("a small change of the files is in force, and on disk behind applied.json",
          until(lambda: again.status()[1]["revision"] != before, 3) is not None and
          os.path.exists(os.path.join(again.run, "applied.changes")), again.said()[-500:])
    changed = again.status()[1]["revision"]
    again.kill(signal.SIGKILL)
    put_state(folder, "{", "all.json")
    again = Agent(folder)
    check("E2: a restart with a broken state goes on with the small change, too",
          again.status()[1]["revision"] == changed != before, f"{before} {changed} {again.status()[1]['revision']}")
    code, status = again.status()
    check("E2: a restart with a broken state goes on with applied.json, and status says so",
          again.ready and code == 1 and again.enforced("eni-a") and status["attention"], again.said()[-500:])
    put_state(folder, state())
    check("... until the state is good", until(lambda: again.status()[0] == 0, 3) is not None)
    ip("link del pa")
    again.kill(signal.SIGKILL)
    make_guest("a")
    again = Agent(folder)
    check("E7: a device re-created while no agent ran is enforced after the restart",
          again.enforced("eni-a") and len(links_of()) == 4, links_of())
    again.kill(signal.SIGKILL)
    put_state(folder, state(devices={"b": "pb"}))
    again = Agent(folder)
    check("E13: a port taken out of the state while no agent ran is held after the restart",
          again.status()[1].get("held") == ["pa"] and len(links_of()) == 4, again.said()[-500:])
    put_state(folder, state())
    check("... and is a port again with the state", until(lambda: again.enforced("eni-a") and
                                                         again.status()[1]["held"] == [], 3) is not None)
    return again


def test_forwarding(folder, agent):
    agent.kill()
    sh(ENID, "detach", "--all", *agent.folders[:4], ns=HOST)
    probe = Probe(0.5)
    open_before = probe.seen()
    check("(the probe works: without enid the host forwards from guest to guest)", open_before > 100, open_before)
    probe = Probe(3)
    time.sleep(0.3)
    agent = Agent(folder)
    ready = agent.ready
    early = probe.seen()
    check("(... and it goes on until the agent starts)", ready and early > 0, early)
    probe = Probe(1)
    check("E1: with hooks in place nothing is forwarded past enid", probe.seen() == 0)
    agent.process.send_signal(signal.SIGSTOP)
    detach_links("tc_")
    probe = Probe(1)
    seen = probe.seen()
    check("E9: with the hooks removed and the agent standing still nothing is forwarded", seen == 0, seen)
    ip("link del pa")
    make_guest("a")
    probe = Probe(1)
    seen = probe.seen()
    check("E7: nor from a device that was created meanwhile", seen == 0, seen)
    agent.process.send_signal(signal.SIGCONT)
    check("... which is enforced as soon as the agent goes on", until(lambda: agent.enforced("eni-a"), 3) is not None)
    probe = Probe(4)
    for _ in range(20):
        detach_links("tc_rx")
        time.sleep(0.05)
    seen = probe.seen()
    check("E9: twenty removals under traffic let nothing through", seen == 0, seen)
    agent.kill(signal.SIGKILL)
    detach_links("tc_")
    probe = Probe(1)
    seen = probe.seen()
    check("the guard stays when the agent dies", seen == 0, seen)
    return Agent(folder)


def test_detach(agent):
    links, maps = links_of(), maps_of()
    programs = programs_of(links)
    done = sh(ENID, "detach", "--all", *agent.folders[:4], ns=HOST, fail=False, timeout=30)
    agent.process.wait(timeout=10)
    check("E11: detach --all stops the agent and succeeds", done.returncode == 0, done.stderr)
    left = until(lambda: not (ids_alive("link", links) or ids_alive("prog", programs) or ids_alive("map", maps)), 5)
    check("E11: ... and leaves no link, program or map",
          left is not None and links and programs and maps and not os.path.exists(PINS),
          f"{ids_alive('link', links)} {ids_alive('prog', programs)} {ids_alive('map', maps)}")
    rules = sh("nft", "list", "ruleset", ns=HOST).stdout
    check("E11: ... and no rule", rules.strip() == "", rules)
    probe = Probe(0.5)
    check("the host then behaves as if enid had never run", probe.seen() > 100)


def test_filters(folder):
    agent = Agent(folder, "--no-tcx")
    check("without TCX the hooks are clsact filters", agent.ready and agent.port("eni-a").get("hook") == "tc" and
          agent.status()[0] == 0, agent.said()[-500:])
    check("E9: filters that `tc qdisc del` removed are back within a second", *hooks_are_back(
        agent, lambda: sh("tc", "qdisc", "del", "dev", "pa", "clsact", ns=HOST)))
    agent.kill(signal.SIGKILL)
    check("E31: filters outlive the agent", agent.enforced("eni-a") and agent.enforced("eni-b"))
    sh(ENID, "detach", "--all", *agent.folders[:4], ns=HOST)
    qdiscs = sh("tc", "qdisc", "show", ns=HOST).stdout
    check("E11: detach --all takes filters and qdisc away", "clsact" not in qdiscs, qdiscs)


def test_pin_folder(folder):
    def refused(path, why):
        done = sh(ENID, "run", "--state", f"{folder}/state", "--run-dir", f"{folder}/run3", "--pin-dir", path,
                  "--log-dir", f"{folder}/log", ns=HOST, fail=False, timeout=20)
        return done.returncode == 1 and any(f"pin folder {path} {why}" in line for line in done.stderr.splitlines())

    os.mkdir(PINS)
    os.chown(PINS, 65534, 65534)
    check("E29: a pin folder of another user is refused", refused(PINS, "belongs to another user"))
    os.chown(PINS, 0, 0)
    os.chmod(PINS, 0o777)
    check("E29: a pin folder that others may write to is refused", refused(PINS, "can be written by others"))
    os.rmdir(PINS)
    os.symlink("/sys/fs/bpf", PINS)
    check("E29: a symbolic link is refused", refused(PINS, "is a symbolic link"))
    os.unlink(PINS)
    os.mkdir(f"{folder}/plain")
    check("E29: a folder outside a BPF file system is refused", refused(f"{folder}/plain", "is not on a BPF"))
    check("E29: ... also when it does not exist yet", refused(f"{folder}/none", "does not exist"))


def main():
    if os.geteuid():
        print("SKIP test_agent: needs root")
        return 0
    drop_machine()
    folder = tempfile.mkdtemp(prefix="agent-test-")
    agent = None
    try:
        make_machine()
        put_state(folder, state())
        if sys.argv[1:] != ["E29:"]:  # which stands alone
            agent = test_start(folder)
            test_one_agent(folder, agent)
            test_devices(agent)
            test_removed_hooks(agent)
            test_states(folder, agent)
            test_xdp(folder, agent)
            agent = test_death(folder, agent)
            agent = test_forwarding(folder, agent)
            test_detach(agent)
            test_filters(folder)
        test_pin_folder(folder)
    except Exception as error:  # one broken step must not hide what was found before it
        check("the test ran to its end", False, repr(error))
        if agent:
            print(agent.said()[-3000:], file=sys.stderr)
    finally:
        if agent and agent.process.poll() is None:
            agent.kill(signal.SIGKILL)
        sh(ENID, "detach", "--all", "--run-dir", f"{folder}/run", "--pin-dir", PINS, ns=HOST, fail=False)
        drop_machine()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{results[True]} passed, {results[False]} failed")
    return 1 if results[False] else 0


if __name__ == "__main__":
    sys.exit(main())
