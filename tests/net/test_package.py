#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""E28: the package and the unit in use: installed by dpkg, run by a systemd (tests/net/box), with guests in namespaces and
traffic all the time. An upgrade loses no packet and lets none through; a removal leaves enforcement; a purge ends it
(E1, E11)."""
import glob
import json
import os
import pwd
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from vpcnet import traffic
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, allow, client_and_server

ALLOWED, DENIED = 9000, 9001
PINS, ENID = "/sys/fs/bpf/enid", "/usr/sbin/enid"
VERSIONS = ("0.1+test1", "0.1+test2")
DROP_IN = "/run/systemd/system/enid.service.d/test.conf"


def package(version):
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.join(REPO, "build", f"enid_{version}_{architecture}.deb")


def enter_a_box():
    """Build two packages, and run this script again where they can be installed."""
    for version in VERSIONS:
        subprocess.run([os.path.join(REPO, "deploy/debian/build"), os.path.join(REPO, "build"), version], check=True,
                       stdout=subprocess.DEVNULL)
    os.chdir(REPO)
    sys.exit(subprocess.run(["tests/net/box", "-t", "150", sys.executable, "tests/net/test_package.py", *sys.argv[1:]],
                            check=False).returncode)


def call(*argv):
    """-> what a program says; it must end well."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    equal(done.returncode, 0, f"exit code of {' '.join(argv)} ({done.stdout.strip()[-600:]})")
    return done.stdout


def dpkg(*argv):
    return call("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *argv)


def agent_pid():
    return int(call("systemctl", "show", "--property=MainPID", "--value", "enid.service"))


def facts():
    with open(f"/proc/{agent_pid()}/status", encoding="ascii") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def status():
    return json.loads(subprocess.run([ENID, "status", "--json"], capture_output=True, text=True, check=False).stdout)


def make_state():
    return client_and_server([allow("udp", ALLOWED, *ANYWHERE), allow("tcp", 80, "sg-client")])


class World:
    def __init__(self, fabric, listeners):
        self.fabric = fabric
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80, 81)

    def drop_in(self, *lines):
        """The unit as it is, but in the host's namespace, and with these lines."""
        with open(DROP_IN, "w", encoding="ascii") as unit:
            unit.write(f"[Service]\nNetworkNamespacePath={self.fabric.host.path}\nStandardError=append:/box-out/agent.log\n"
                       "Environment=JOURNAL_STREAM=\n" + "".join(line + "\n" for line in lines))
        call("systemctl", "daemon-reload")

    def as_ever(self):
        equal(traffic.tcp(self.client, "10.0.2.10", 80), "open", "an allowed connection")
        equal(traffic.tcp(self.client, "10.0.2.10", 81, False), "silent", "a denied connection")

    def under_traffic(self, event):
        """Nobody's packet is lost, or let through, while event() runs."""
        with traffic.Session(self.client, "10.0.2.10", 80) as session, \
                traffic.Stream(self.client, self.server, "10.0.2.10", ALLOWED, 1500) as allowed, \
                traffic.Stream(self.client, self.server, "10.0.2.10", DENIED, 1500) as denied:
            wait_for(lambda: len(allowed.got) > 50, 5, "the allowed stream arrives")
            event()
            check(session.echo(b"still here"), "the open session was cut")
            self.as_ever()
            sent, lost = allowed.stop()
            equal(lost, 0, f"allowed packets lost, of {sent}")
            sent, lost = denied.stop()
            check(sent > 100, f"only {sent} denied packets sent")
            equal(sent - lost, 0, f"denied packets that passed, of {sent}")


def links():
    """-> the numbers of the links that are pinned: an old bpftool knows no more of those that hold our programs."""
    pins = glob.glob(os.path.join(PINS, "links", "*"))
    return [call("bpftool", "link", "show", "pinned", pin).split(":")[0] for pin in pins]


def lives(link):
    return subprocess.run(["bpftool", "link", "show", "id", link], capture_output=True, check=False).returncode == 0


@scene
def one_host():
    with Fabric(make_state(), prefix="pkg") as fabric, traffic.Listeners() as listeners:
        yield World(fabric, listeners)


@test
def install_starts_nothing(_):
    """There is no state yet: an agent would have nothing to enforce. The folders and the group are there."""
    dpkg("-i", package(VERSIONS[0]))
    equal(agent_pid(), 0, "pid of an agent after the first installation")
    equal(call("stat", "-c", "%a %U %G", "/run/enid", "/var/log/enid").split(), ["750", "enid", "enid"] * 2, "folders")
    check(os.path.isdir("/etc/enid/state"), "there is no folder for the state")


@test
def unit_of_an_earlier_version(world):
    """An agent that was root, as units of old had it: what it made is root's, and the next one's all the same."""
    world.fabric.state.save("/etc/enid/state")
    os.chmod("/etc/enid/state", 0o700)  # also such a folder has to do
    os.chmod("/sys/fs/bpf", 0o700)  # as Debian mounts it
    os.makedirs(os.path.dirname(DROP_IN))
    world.drop_in("User=root", "AmbientCapabilities=", "ExecStartPre=", "ExecStartPre=+/bin/mkdir -p -m 0700 /sys/fs/bpf/enid")
    call("systemctl", "start", "enid.service")
    world.as_ever()
    equal((facts()["Uid"].split()[0], os.stat(PINS).st_uid, os.stat("/run/enid/lock").st_uid), ("0", 0, 0), "who is root")


@test
def unit_starts_and_enforces(world):
    """The hardened unit: every device is enforced when it says that it is ready, as enid:enid with few capabilities."""
    world.drop_in()
    world.under_traffic(lambda: call("systemctl", "restart", "enid.service"))
    call("systemctl", "enable", "enid.service")
    user = pwd.getpwnam("enid")
    equal((facts()["Uid"].split(), facts()["Gid"].split()), ([str(user.pw_uid)] * 4, [str(user.pw_gid)] * 4), "user, group")
    equal({os.lstat(path).st_uid for folder in (PINS, "/run/enid", "/var/log/enid") for path in [folder, *glob.glob(folder + "/**", recursive=True)]},
          {user.pw_uid}, "owners of pins, run folder and logs")
    world.as_ever()
    equal(status()["attention"], [], "what needs attention")
    for name in ("CapPrm", "CapEff", "CapBnd"):
        # DAC_READ_SEARCH 2, NET_ADMIN 12, SYS_ADMIN 21, PERFMON 38, BPF 39
        equal(int(facts()[name], 16), 1 << 2 | 1 << 12 | 1 << 21 | 1 << 38 | 1 << 39, name)
    equal((int(facts()["CapInh"], 16), int(facts()["CapAmb"], 16)), (0, 0), "inheritable and ambient capabilities")
    equal((facts()["NoNewPrivs"], facts()["Seccomp"]), ("1", "2"), "new privileges, filter of calls")


@test
def unit_lets_the_agent_work(world):
    """Below the sandbox: a device that comes back is enforced and not forwarded from, a reload counts."""
    world.fabric.unplug("eni-client", "veth-client")
    time.sleep(0.3)
    world.fabric.plug("eni-client", "veth-client")
    wait_for(lambda: traffic.tcp(world.client, "10.0.2.10", 80) == "open", 10, "the device that came back is served")
    world.as_ever()
    equal(world.fabric.host.run("cat", "/proc/sys/net/ipv4/conf/veth-client/forwarding").stdout.strip(), "0",
          "forwarding of the device that came back")
    permissions = world.fabric.state.find("SecurityGroups", "sg-server")["IpPermissions"]
    permissions.append(allow("tcp", 81, "sg-client"))
    world.fabric.state.save("/etc/enid/state")
    call("systemctl", "reload", "enid.service")
    wait_for(lambda: traffic.tcp(world.client, "10.0.2.10", 81) == "open", 5, "the opened port")
    permissions.pop()
    world.fabric.state.save("/etc/enid/state")
    wait_for(lambda: traffic.tcp(world.client, "10.0.2.10", 81, False) == "silent", 5, "the closed port")
    equal(status()["attention"], [], "what needs attention")


@test
def unit_serves_metrics(world):
    """With --metrics by a drop-in, at both kinds of socket; without, nobody can connect."""
    for where in ("127.0.0.1:9410", "unix:/run/enid/metrics.sock"):
        world.drop_in("ExecStart=", f"ExecStart={ENID} run --metrics {where}")
        call("systemctl", "restart", "enid.service")
        to = ["--unix-socket", where[5:], "http://enid/metrics"] if where.startswith("unix:") else [f"http://{where}/metrics"]
        text = wait_for(lambda: world.fabric.host.run("curl", "-s", "-m", "5", *to, check=False).stdout, 10, f"metrics at {where}")
        check("enid_" in text and len(text.splitlines()) > 50, f"hardly any metrics: {text[:200]}")
        equal(status()["attention"], [], "what needs attention")
        world.as_ever()
    world.drop_in()
    call("systemctl", "restart", "enid.service")
    # `ss -l` shows a datagram socket, too, as the agent has one while it tells systemd how it is
    wait_for(lambda: f"pid={agent_pid()}," not in world.fabric.host.run("ss", "-H", "-l", "-t", "-x", "-p").stdout, 10,
             "an agent without a socket that listens")


@test
def unit_is_refused_no_call(_):
    """Nothing that the agent did so far was refused by a filter, its own or the unit's: the kernel would have logged it."""
    lines = [line for line in call("dmesg").splitlines() if "type=1326" in line and 'exe="/usr/sbin/enid"' in line]
    equal(lines, [], "refused calls")


@test
def readers_of_the_group(_):
    """A member of the group enid reads what is in force and how it is; nobody else does."""
    for group, code in (("enid", 0), ("nogroup", 1)):
        done = subprocess.run(["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", "cat", "/run/enid/status.json"],
                              capture_output=True, check=False)
        equal(done.returncode, code, f"reading as a member of {group}")


@test
def upgrade_leaves_no_gap(world):
    """dpkg -i of the next version: another agent, adopting everything. The one that ended wrote its flow log to the end."""
    before = agent_pid()
    world.under_traffic(lambda: dpkg("-i", package(VERSIONS[1])))
    check(agent_pid() not in (0, before), f"agent {before} was not exchanged")
    with open("/var/log/enid/flow.log", encoding="ascii") as log:
        check(any("10.0.1.10 10.0.2.10" in line and "ACCEPT" in line for line in log), "the flow log lacks the session")
    equal(call("dpkg-query", "-W", "-f", "${Version}", "enid"), VERSIONS[1], "version")
    equal(status()["attention"], [], "what needs attention")


@test
def downgrade_leaves_no_gap(world):
    before = agent_pid()

    def older():
        dpkg("--unpack", "--force-downgrade", package(VERSIONS[0]))
        found = map(os.lstat, [PINS, *glob.glob(PINS + "/**", recursive=True)])
        equal({(pin.st_uid, pin.st_gid) for pin in found}, {(0, 0)},
              "owners of the pins, which an enid without a user of its own would take over")
        dpkg("--configure", "enid")

    world.under_traffic(older)
    equal(os.stat(PINS).st_uid, pwd.getpwnam("enid").pw_uid, "owner of the pins in the end")
    check(agent_pid() not in (0, before), f"agent {before} was not exchanged")


@test
def remove_leaves_enforcement(world):
    """The agent ends, and what was closed stays closed."""
    world.under_traffic(lambda: dpkg("-r", "enid"))
    check(not os.path.exists(ENID), "the program is left")
    equal(subprocess.run(["pidof", "enid"], check=False).returncode, 1, "exit code of pidof: 1 = no agent")
    check(len(links()) >= 4, f"the links of two devices, two ways each, are not there: {links()}")
    owners = {os.lstat(path).st_uid for path in (PINS, *glob.glob(PINS + "/**", recursive=True))}
    equal(owners, {0}, "owners of the pins, for whichever version comes next")


@test
def install_after_removal_adopts(world):
    world.under_traffic(lambda: (dpkg("-i", package(VERSIONS[1])), call("systemctl", "start", "enid.service")))
    check(not os.path.exists("/var/lib/enid/removed"), "the copy for a purge is left")
    equal(status()["attention"], [], "what needs attention")


@test
def purge_takes_it_away(_):
    """No pin, no program on a device, no file but the operator's state."""
    before = links()
    check(len(before) >= 4 and all(map(lives, before)), f"links before: {before}")
    dpkg("-P", "enid")
    check(not os.path.exists(PINS), f"pins are left: {os.path.exists(PINS) and os.listdir(PINS)}")
    wait_for(lambda: not any(map(lives, before)), 5, "the links are gone")
    equal([path for path in ("/run/enid", "/var/log/enid", "/var/lib/enid", ENID) if os.path.exists(path)], [], "left")
    check(os.listdir("/etc/enid/state"), "the operator's state is gone")


if __name__ == "__main__":
    if "BOX" not in os.environ:
        enter_a_box()
    run()
