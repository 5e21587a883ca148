#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""E28: an agent started by hand as root becomes another user, gives up what it does not need, and does everything without:
hooks of both kinds, devices that come later, reload. Nobody can connect to it, and system calls that are none of its business
are refused."""
import contextlib
import errno
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import ENID, REPO, USER, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import allow, client_and_server

NET_ADMIN, SYS_ADMIN, DAC_READ_SEARCH, PERFMON, BPF = 12, 21, 2, 38, 39
INJECT = os.path.join(REPO, "build", "tests", "net", "inject")
NEEDED = sum(1 << number for number in (NET_ADMIN, SYS_ADMIN, DAC_READ_SEARCH, PERFMON, BPF))


def make_state():
    return client_and_server([allow("tcp", 80, "sg-client")])


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent = fabric, agent
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80, 81)

    def facts(self):
        with open(f"/proc/{self.agent.process.pid}/status", encoding="ascii") as lines:
            return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)

    def works(self):
        wait_for(lambda: traffic.tcp(self.client, "10.0.2.10", 80) == "open", 10, "the allowed port")
        equal(traffic.tcp(self.client, "10.0.2.10", 81, False), "silent", "the denied port")
        equal(self.agent.status()["attention"], [], "what needs attention")


    def calls(self, *calls):
        """Made by the agent itself, in place of that which it waits in. -> what the kernel answers"""
        words = [str(word) for call in calls for word in (*call, "--")]

        def inject():
            done = subprocess.run([INJECT, str(self.agent.process.pid), *words], capture_output=True, text=True, timeout=30, check=False)
            if "not waiting" in done.stderr: # it works just now
                return None
            equal(done.returncode, 0, f"exit code of inject ({done.stderr.strip()})")
            return [int(line) for line in done.stdout.split()]
        return wait_for(inject, 10, "the agent waits in a system call")


def owners(folder):
    """User and group of the folder and all in it; a draft may be gone before it is looked at."""
    found = {os.lstat(folder)}
    for path in (os.path.join(place, name) for place, folders, files in os.walk(folder) for name in folders + files):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.lstat(path))
    return {(status.st_uid, status.st_gid) for status in found}


@scene
def one_host():
    with Fabric(make_state(), prefix="priv") as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        yield World(fabric, agent, listeners)


@test
def e28_capabilities_are_given_up(world):
    """Also those that a program it would start could get. It is a user of its own, behind a filter of its own, in every
    thread."""
    world.agent.start()
    facts = world.facts()
    for name in ("Uid", "Gid"):
        equal(facts[name].split(), [USER] * 4, name)
    equal((facts["Groups"].split(), facts["Seccomp"], facts["Seccomp_filters"]), ([USER], "2", "2"), "groups, filters")
    for name in ("CapPrm", "CapEff", "CapBnd"):
        equal(f"{int(facts[name], 16):x}", f"{NEEDED:x}", name)
    for name in ("CapInh", "CapAmb"):
        equal(int(facts[name], 16), 0, name)
    equal(facts["NoNewPrivs"], "1", "no new privileges")


@test
def it_works_without_them(world):
    world.works()


@test
def e28_what_it_never_does_is_refused(world):
    """In the running agent. Each of these would be answered otherwise without the filter, in brackets."""
    pid = world.agent.process.pid
    refused = {
        "execve [EFAULT]": (59, 0, 0, 0),
        "ptrace [ESRCH]": (101, 16, -1, 0, 0),
        "listen [EBADF]": (50, -1, 1),
        "accept4 [EBADF]": (288, -1, 0, 0, 0),
        "socket of TCP [a socket]": (41, 2, 1, 0),
        "socket of another family [EAFNOSUPPORT]": (41, 21, 5, 0),
        "mount [EFAULT]": (165, 0, 0, 0, 0, 0),
        "umount [EFAULT]": (166, 0, 0),
        "unshare [0]": (272, 0),
        "setns [EBADF]": (308, -1, 0),
        "add_key [EFAULT]": (248, 0, 0, 0, 0, 0),
        "process_vm_readv [0]": (310, pid, 0, 0, 0, 0, 0),
        "memory to write and run [an address]": (9, 0, 4096, 7, 0x22, -1, 0),
        "kill of itself with signal 0 [0]": (62, pid, 0),
        "prctl: dumpable [0]": (157, 4, 1),
        "capset [EFAULT]": (126, 0, 0),
        "the number of a machine of 32 bits [a pid]": (0x40000000 + 39,),
    }
    answers = world.calls((39,), *refused.values(), (321, 0x7fff, 0, 0))
    equal(answers[0], pid, "getpid(), which is allowed")
    equal([what for what, answer in zip(refused, answers[1:]) if answer != -errno.EPERM], [], "calls that were not refused")
    equal(answers[-1], -errno.EINVAL, "bpf(), which is allowed")
    world.works()


@test
def e28_metrics_are_what_opens_a_socket(world):
    """Only an agent that is told to serve metrics can listen."""
    world.agent.stop()
    world.agent.start("--metrics", f"unix:{world.agent.run_dir}/metrics.sock")
    equal(world.calls((50, -1, 1)), [-errno.EBADF], "listen(-1)")
    wait_for(lambda: os.path.exists(f"{world.agent.run_dir}/metrics.sock"), 10, "the socket")
    listening = world.fabric.host.run("ss", "-H", "-l", "-x", "-p").stdout
    check(f"pid={world.agent.process.pid}," in listening, "the socket is not the agent's")
    world.works()
    world.agent.stop()
    world.agent.start()


@test
def e28_an_agent_of_roots_is_followed(world):
    """What an agent that was root pinned and wrote is handed over to the user of the next one; but not a file that has
    another name elsewhere."""
    elsewhere = os.path.join(world.agent.folder, "elsewhere")
    with open(elsewhere, "w", encoding="ascii"):
        pass
    world.agent.stop()
    world.agent.command("detach", "--all", "--run-dir", world.agent.run_dir)
    for user in ("0", USER):
        world.agent.stop()
        for folder in (world.agent.run_dir, world.agent.log_dir) if user == "0" else ():
            subprocess.run(["chown", "-R", "0:0", folder], check=True)
        if user == USER:
            os.link(elsewhere, os.path.join(world.agent.log_dir, "flow.log.99.gz"))
        world.agent.start("--user", user)
        for folder in (world.agent.pin_dir, world.agent.run_dir):
            equal(owners(folder), {(int(user),) * 2}, f"owners in {folder}")
        equal(owners(world.agent.log_dir), {(0, 0), (int(user),) * 2}, "owners in the log folder")
        world.works()
    equal(os.stat(elsewhere).st_uid, 0, "owner of the file that has another name")
    os.unlink(os.path.join(world.agent.log_dir, "flow.log.99.gz"))


@test
def e28_a_folder_of_other_things_stays_roots(world):
    """--log-dir /var/log: not the agent's to have. It works on as root, and says so."""
    shared = os.path.join(world.agent.folder, "shared")
    os.mkdir(shared)
    with open(os.path.join(shared, "syslog"), "w", encoding="ascii"):
        pass
    world.agent.stop()
    world.agent.start("--log-dir", shared)
    equal((world.facts()["Uid"].split()[0], owners(shared)), ("0", {(0, 0)}), "user of the agent, owners in its log folder")
    check("staying root: " + shared in world.agent.log_tail(40), "it does not say that it stays root")
    equal(world.calls((59, 0, 0, 0)), [-errno.EPERM], "execve")
    world.works()
    world.agent.stop()
    world.agent.start()
    equal(world.facts()["Uid"].split()[0], USER, "user of the next agent")


@test
def e28_which_folders_of_roots_are_an_agents(world):
    """Judged by all that is in them, before the agent makes anything there; none that others can write to; and never what is
    mounted there. Of the one that is not the agent's nothing is given."""
    run_dir, log_dir = (os.path.join(world.agent.folder, name) for name in ("run2", "log2"))
    within = os.path.join(log_dir, "AWSLogs", "within")

    def make(folder, *names):
        for name in names:
            os.mkdir(os.path.join(folder, name))

    def mount():
        os.makedirs(within)
        subprocess.run(["mount", "-t", "tmpfs", "enid-test", within], check=True)

    for what, argument, folder, fill, own in (
            ("run folder with other things", "--run-dir", run_dir, lambda: make(run_dir, "udev"), False),
            ("one known name among others", "--log-dir", log_dir, lambda: make(log_dir, "AWSLogs", ".X11-unix"), False),
            ("files with a dot only", "--log-dir", log_dir, lambda: make(log_dir, ".X11-unix"), False),
            ("others may write", "--log-dir", log_dir, lambda: os.chmod(log_dir, 0o1777), False),
            ("a mount within", "--log-dir", log_dir, mount, True),
            ("what an agent wrote", "--log-dir", log_dir, lambda: make(log_dir, "AWSLogs"), True)):
        world.agent.stop()
        os.mkdir(folder)
        fill()
        usual = owners(world.agent.pin_dir)
        try:
            options = [argument, folder]
            world.agent.start(*options)
            equal(world.facts()["Uid"].split()[0], USER if own else "0", f"{what}: user of the agent")
            pair = (int(USER),) * 2 if own else (0, 0)
            equal(owners(folder) - ({(0, 0)} if os.path.ismount(within) else set()), {pair}, f"{what}: owners")
            equal(owners(world.agent.pin_dir), {pair}, f"{what}: owners of the pins, once {usual}")
            if os.path.ismount(within):
                equal(owners(within), {(0, 0)}, f"{what}: its owners")
        finally:
            world.agent.stop()
            subprocess.run(["umount", within], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder)
    world.agent.start()


@test
def e28_preparing_gives_the_pins(world):
    """`--prepare` is for an agent that starts as the user: a log folder that cannot be given makes no pin root's."""
    link = os.path.join(world.agent.folder, "link")
    os.symlink(world.agent.log_dir, link)
    world.agent.stop()
    subprocess.run(["chown", "-R", "0:0", world.agent.pin_dir], check=True)
    os.mkdir(os.path.join(world.agent.pin_dir, "somebodys"))
    done = subprocess.run([ENID, "run", "--prepare", "--user", USER, "--run-dir", world.agent.run_dir, "--log-dir", link,
                           "--pin-dir", world.agent.pin_dir], capture_output=True, text=True, timeout=20, check=False)
    equal((done.returncode, owners(world.agent.pin_dir)), (1, {(0, 0)}), "result, and owners of pins among somebody's")
    os.rmdir(os.path.join(world.agent.pin_dir, "somebodys"))
    done = subprocess.run([ENID, "run", "--prepare", "--user", USER, "--run-dir", world.agent.run_dir, "--log-dir", link,
                           "--pin-dir", world.agent.pin_dir], capture_output=True, text=True, timeout=20, check=False)
    equal((done.returncode, owners(world.agent.pin_dir)), (0, {(int(USER),) * 2}), "result, and owners of the pins")
    check("not handed over: " + link in done.stderr, "it does not say which folder it left")
    os.unlink(link)
    world.agent.start()


@test
def a_users_own_group(world):
    """--user UID is that user, with his group, as --user NAME is."""
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_uid != entry.pw_gid)
    for name in (user.pw_name, str(user.pw_uid)):
        with tempfile.TemporaryDirectory(dir=world.agent.folder) as place:
            pins = world.agent.pin_dir + "-group"
            run_dir, log_dir = (os.path.join(place, folder) for folder in ("run", "log"))
            done = subprocess.run([ENID, "run", "--prepare", "--user", name, "--run-dir", run_dir, "--log-dir", log_dir,
                                   "--pin-dir", pins], capture_output=True, text=True, timeout=20, check=False)
            equal(done.returncode, 0, f"exit code ({done.stderr})")
            for folder in (run_dir, log_dir, pins):
                equal(owners(folder), {(user.pw_uid, user.pw_gid)}, f"--user {name}: owners in {folder}")
            os.rmdir(pins)


@test
def status_of_an_agent_whose_lock_is_its_own(world):
    """Who may not read the lock is not told that no agent runs."""
    os.chmod(world.agent.folder, 0o755)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", ENID, "status", "--json",
                           "--run-dir", world.agent.run_dir, "--pin-dir", world.agent.pin_dir],
                          capture_output=True, text=True, timeout=20, check=False)
    agent = json.loads(done.stdout)["agent"]
    equal((agent["running"], agent["pid"]), (True, world.agent.process.pid), "the agent")


@test
def a_device_that_comes_later(world):
    world.fabric.unplug("eni-client", "veth-client")
    time.sleep(0.2)
    world.fabric.plug("eni-client", "veth-client")
    world.works()
    equal(world.fabric.host.run("cat", "/proc/sys/net/ipv4/conf/veth-client/forwarding").stdout.strip(), "0",
          "forwarding of the device that came back")


@test
def a_state_of_another_user(world):
    """sudo enid run --state ~/state: the folder is its owner's alone."""
    state = os.path.join(world.agent.state_dir, "state.json")
    for path, mode in ((world.agent.state_dir, 0o700), (state, 0o600)):
        os.chmod(path, mode)
        os.chown(path, 65534, 65534)
    world.agent.stop()
    world.agent.start()
    world.works()
    os.chown(world.agent.state_dir, 0, 0)


@test
def filters_instead_of_links(world):
    """The way of Linux 6.1. Whose filter it is can be told only by looking its program up, which needs SYS_ADMIN: of a port that
    was taken out of the state while no agent ran, nothing passes (I3), so its filters must be known."""
    state = world.fabric.state
    world.agent.stop()
    world.agent.command("detach", "--all", "--run-dir", world.agent.run_dir)
    world.agent.start("--no-tcx")
    world.works()
    world.fabric.host.run("tc", "filter", "del", "dev", "veth-server", "ingress")
    wait_for(lambda: world.agent.status()["hooks_restored"], 5, "the filter is put back, and told of")
    equal(traffic.tcp(world.client, "10.0.2.10", 81, False), "silent", "the denied port")
    world.agent.stop()
    ports = state["Hosts"][0]["Ports"]
    port = ports.pop()
    state.save(world.agent.state_dir)
    world.agent.start("--no-tcx")
    wait_for(lambda: "veth-server" in str(world.agent.status()["held"]), 5, "the port without a place in the state is held")
    equal(traffic.tcp(world.client, "10.0.2.10", 80, False), "silent", "the port that is no more")
    ports.append(port)
    world.agent.apply()
    world.works()


@test
def e28_nobody_can_connect(world):
    """No socket that listens, of any kind."""
    listening = world.fabric.host.run("ss", "-H", "-l", "-t", "-u", "-n", "-p").stdout
    equal(listening.strip(), "", "sockets that listen in the host's namespace")
    own = world.fabric.host.run("ss", "-H", "-l", "-x", "-p").stdout
    check(f"pid={world.agent.process.pid}," not in own, "a local socket of the agent listens")


if __name__ == "__main__":
    run()
