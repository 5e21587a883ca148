#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bad weather: broken files, full disks, a clock that jumps, no memory, no descriptors, devices by the hundred. The last
good state stays in force, `status` names what is wrong, and all is well when the weather is.

WEATHER_DEVICES: how many devices are made and deleted (200). WEATHER_PORTS: how often a port's is, and is moved (20).
"""
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import (FLOOD_FLOWS, REPO, SERVER, Books, Prober, Sessions, last_writes, make_state, refused_flood,
                   standing_still)
from vpcnet import traffic
from vpcnet.agent import SLOW, USER, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import Failure, check, equal, run, scene, test, wait_for
from vpcnet.vpc import allow

DEVICES = int(os.environ.get("WEATHER_DEVICES", "200"))
PORT_ROUNDS = int(os.environ.get("WEATHER_PORTS", "20"))
CLOCK = os.path.join(REPO, "build", "tests", "survive", "clock.so")


class World:
    def __init__(self, fabric, agent, sessions, clock):
        self.fabric, self.agent, self.sessions, self.clock = fabric, agent, sessions, clock
        self.path = os.path.join(agent.state_dir, "state.json")
        self.passed_s = 0

    def as_before(self, when):
        self.sessions.alive(when)
        self.sessions.new(when)

    def complaint(self, *words):
        """`status` names what is wrong."""
        wait_for(lambda: all(word in str(self.agent.status()["attention"]) for word in words), 8 * SLOW,
                 f"`status` tells of {words}")

    def windows_end(self, condition):
        """A few lines may still fit into a page of a full disk: windows end until there is no doubt."""
        for _ in range(12):
            self.passed_s += 1200
            put_text(self.clock, f"{self.passed_s}\n")
            with contextlib.suppress(Failure):
                return wait_for(condition, 3 * SLOW, "a window ends", 0.1)

    def content(self, when):
        wait_for(lambda: not self.agent.status()["attention"], 15 * SLOW, f"`status` is content {when}: "
                 f"{self.agent.status()['attention']}", 0.2)

    def edit(self):
        """A change of the state that nobody feels."""
        permissions = self.fabric.state.find("SecurityGroups", "sg-server")["IpPermissions"]
        if permissions[-1]["FromPort"] == 8080:
            permissions.pop()
        else:
            permissions.append(allow("tcp", 8080, "sg-client"))

    def open_81(self, wanted):
        permissions = self.fabric.state.find("SecurityGroups", "sg-server")["IpPermissions"]
        permissions[:] = [p for p in permissions if p["FromPort"] != 81]
        if wanted:
            permissions.insert(0, allow("tcp", 81, "sg-client"))
        self.fabric.state.save(self.agent.state_dir)

    def save_big(self):
        """A state of many megabytes."""
        rules = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "IpRanges": [{"CidrIp": "10.0.0.0/8"}] * 40}] * 8000
        groups = self.fabric.state["SecurityGroups"] + [{"GroupId": "sg-big", "VpcId": "vpc-1", "IpPermissions": rules}]
        type(self.fabric.state)(dict(self.fabric.state, SecurityGroups=groups)).save(self.agent.state_dir)

    def limit(self, kind, *value):
        """-> the limits before. As the agent's user: a root without CAP_SYS_RESOURCE may not touch others' limits."""
        done = subprocess.run([sys.executable, "-c", f"import resource; print(*resource.prlimit({self.agent.process.pid}, {kind}, *{value}))"],
                              user=int(USER), group=int(USER), extra_groups=[], check=True, capture_output=True, text=True)
        return tuple(int(number) for number in done.stdout.split())

    def proc(self, name):
        with open(f"/proc/{self.agent.process.pid}/{name}", encoding="ascii") as file:
            return file.read()

    def usage(self):
        """(descriptors but the log's, which opens when a window ends; kB of its own: the kernel's maps and the program's
        text become resident as they are touched, and are no leak)"""
        folder = f"/proc/{self.agent.process.pid}/fd"
        targets = []
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError): # closed meanwhile
                targets.append(os.readlink(os.path.join(folder, fd)))
        anonymous = next(line for line in self.proc("smaps_rollup").splitlines() if line.startswith("Anonymous:"))
        return sum(not target.startswith(self.agent.log_dir) for target in targets), int(anonymous.split()[1])


@contextlib.contextmanager
def small_disk(agent, folder, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        agent.stop()
        agent.command("detach", "--all", "--run-dir", agent.run_dir)
        subprocess.run(["umount", "-l", folder], check=True)


def start(agent, clock):
    os.environ.update(LD_PRELOAD=CLOCK, CLOCK_FILE=clock)
    try:
        agent.start()
    finally:
        del os.environ["LD_PRELOAD"]


@scene
def one_vpc():
    state = make_state()
    state.eni("eni-churn", "s-client", "10.0.1.30", ["sg-client"])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-churn", "Device": "veth-churn"})
    with Fabric(state, prefix="weather") as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners, \
            contextlib.ExitStack() as stack:
        clock = os.path.join(agent.folder, "clock")
        stack.enter_context(small_disk(agent, agent.log_dir, "256m"))
        stack.enter_context(small_disk(agent, agent.run_dir, "16m"))
        start(agent, clock)
        with Sessions(fabric, listeners) as sessions:
            yield World(fabric, agent, sessions, clock)


def put_text(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def spoil_cut(path):
    with open(path, encoding="utf-8") as whole:
        text = whole.read()
    put_text(path, text[:len(text) // 2])


def spoil_folder(path):
    os.unlink(path)
    os.mkdir(path)


def spoil_fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def spoil_huge(path):
    with open(path, "r+b") as file:
        file.truncate(3 << 30)


def spoil_link(path):
    os.unlink(path)
    os.symlink("nowhere", path)


@test
def e17_state_file_in_every_bad_shape(world):
    """E17: cut, gone, a folder, a pipe, a dangling link, 3 GB: refused by name within seconds, and then the good one
    counts again."""
    for spoil in (spoil_cut, os.unlink, spoil_folder, spoil_fifo, spoil_link, spoil_huge):
        spoil(world.path)
        world.complaint(world.agent.state_dir)
        world.as_before(f"with {spoil.__name__}")
        if os.path.isdir(world.path) and not os.path.islink(world.path):
            os.rmdir(world.path)
        else:
            if os.path.lexists(world.path):
                os.unlink(world.path)
        world.fabric.state.save(world.agent.state_dir)
        world.content(f"after {spoil.__name__}")


@contextlib.contextmanager
def full(folder):
    filler = os.path.join(folder, "filler")
    with open(filler, "wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(bytes(1 << 20)):
            pass
    try:
        yield
    finally:
        os.unlink(filler)


@contextlib.contextmanager
def read_only(folder):
    """For whoever opens it by its path, while what the agent has open stays as it is."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@test
def e23_no_room_for_logs_and_run_folder(world):
    """E23: a full disk, and one that is read-only, under flow logs and under what the agent notes of itself: traffic and
    new states as before, and `status` says so."""
    for spoil, reason in ((full, "No space left"), (read_only, "Read-only")):
        for folder, what in ((world.agent.log_dir, world.agent.log_dir + "/flow.log" if spoil == full else "flow log"),
                             (world.agent.run_dir, world.agent.run_dir)):
            when = f"with a {spoil.__name__} {folder}"
            with spoil(folder):
                for port_open in (True, False):
                    world.open_81(port_open)
                    wait_for(lambda: traffic.tcp(world.sessions.client, SERVER, 81, port_open) == ("open" if port_open else "silent"),  # pylint: disable=cell-var-from-loop
                             10 * SLOW, f"a new state is in force {when}")
                if folder == world.agent.log_dir:
                    world.windows_end(lambda: what in str(world.agent.status()["attention"]))  # pylint: disable=cell-var-from-loop
                world.complaint(what, reason)
                world.as_before(when)
            world.edit()
            world.fabric.state.save(world.agent.state_dir)
            if folder == world.agent.log_dir:
                world.windows_end(lambda: not world.agent.status()["attention"])
            world.content(f"after that: {when}")
    put_text(world.clock, "0\n")


@test
def e24_clock_set_back_and_on(world):
    """E24: the wall clock a year back, then a year on: no flow expires, states are taken, the agent stands."""
    for seconds in (-365 * 86400, 365 * 86400, 0):
        world.passed_s = seconds
        put_text(world.clock, f"{seconds}\n")
        time.sleep(2.5)
        world.as_before(f"with the clock moved by {seconds} s")
        world.edit()
        world.agent.apply()
        world.content(f"with the clock moved by {seconds} s")
        about = time.time() + seconds
        def told():
            return any(abs(int(line[10]) - about) < 86400 for line in world.agent.flow_log() if line[10].isdigit())  # pylint: disable=cell-var-from-loop
        check(world.windows_end(told), f"no flow log record of the time with the clock moved by {seconds} s")
    put_text(world.clock, "0\n")


@test
def e26_who_reads_the_rings_stands_still(world):
    """E26, E31: rejects come while the agent is stopped, until the tallies and the ring are full; it goes on amid them.
    Each packet is in a record or declared by SKIPDATA, at the one who sent it and at the one who refused it."""
    books, refused = Books(world.agent), world.agent.drops().get("sg-ingress", 0)
    lost = world.agent.status()["flow_logs"]["lost_events"]
    skipped = lambda: world.agent.status()["skipped"]["rejects"]  # noqa: E731
    def ring_was_full():
        return world.agent.status()["flow_logs"]["lost_events"] > lost
    with refused_flood(world.fabric, min(os.sched_getaffinity(0))) as flood:
        for stop in range(1, 6):  # how long it takes is the machine's affair: longer each time
            with standing_still(world.agent):
                before = skipped()
                wait_for(lambda: skipped() - before > stop * 20000, 20 * SLOW, "the data path skips")  # pylint: disable=cell-var-from-loop
            with contextlib.suppress(Failure):
                wait_for(ring_was_full, 4 * SLOW, "the agent has seen that events are missing")
                break
        flood.end()
    check(ring_was_full(), "the ring never was full")
    seen = world.agent.drops()["sg-ingress"] - refused
    put_text(world.clock, "1200\n")  # the windows end
    try:
        for eni, action in (("eni-client", "ACCEPT"), ("eni-server", "REJECT")):
            total = lambda: books.shown(eni, action) + books.declared(eni)  # noqa: E731  pylint: disable=cell-var-from-loop
            with contextlib.suppress(Failure):
                wait_for(lambda: total() >= seen and not books.owed(eni), 15 * SLOW, "all is told", 0.3)  # pylint: disable=cell-var-from-loop
            shown, declared = books.shown(eni, action), books.declared(eni)
            print(f"# {flood.sent} sent, {seen} seen; {eni}: {shown} in records, {declared} declared", flush=True)
            check(shown > FLOOD_FLOWS // 3 and declared > 0, f"{eni}: {shown} in records, {declared} declared: no flood")
            equal(shown + declared, seen, f"{eni}: packets in records and declared, of those that were seen")
            equal(books.owed(eni), 0, f"{eni}: packets that are neither")
        lines = [line for line in world.agent.flow_log() if line[13] == "SKIPDATA"]
        check({line[2] for line in lines} >= {"eni-client", "eni-server"}, f"no SKIPDATA line of each: {lines}")
    finally:
        put_text(world.clock, "0\n")
    world.as_before("after the flood")
    world.content("after the flood")


@test
def e31_no_descriptors(world):
    """E31: not one descriptor more than it has: the last good state stays; with them back, the new one is taken."""
    hard = world.limit(resource.RLIMIT_NOFILE)[1]
    taken = {int(fd) for fd in os.listdir(f"/proc/{world.agent.process.pid}/fd")}
    before = world.limit(resource.RLIMIT_NOFILE, (min(set(range(len(taken) + 1)) - taken), hard))  # the next one
    try:
        world.edit()
        world.fabric.state.save(world.agent.state_dir)
        world.complaint("Too many open files")
        world.as_before("without descriptors")
        check(world.agent.process.poll() is None, "the agent is gone")
    finally:
        world.limit(resource.RLIMIT_NOFILE, before)
    world.content("with descriptors")
    world.edit()
    world.agent.apply()


@test
def e31_no_memory(world):
    """E31: a state of many megabytes, and no memory for it: refused, the last good one stays, and so does the agent."""
    before = world.limit(resource.RLIMIT_AS, (int(world.proc("statm").split()[0]) * 4096 + (8 << 20), -1))
    try:
        world.save_big()
        wait_for(lambda: world.agent.process.poll() is not None or world.agent.status()["attention"], 30 * SLOW,
                 "the state is refused", 0.2)
        check(world.agent.process.poll() is None, f"the agent is gone:\n{world.agent.log_tail()}")
        world.as_before("without memory")
    finally:
        if world.agent.process.poll() is None:
            world.limit(resource.RLIMIT_AS, before)
    world.fabric.state.save(world.agent.state_dir)
    world.content("with memory")


def kernel_objects(agent):
    """What the agent holds of BPF: the numbers of its maps, programs and links, and how much is pinned. What nobody holds by
    a descriptor, a pin or a device is gone, so others on the machine do not matter."""
    held = {"map_id": set(), "prog_id": set(), "link_id": set()}
    folder = f"/proc/{agent.process.pid}/fdinfo"
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, fd), encoding="ascii") as info:
            for key, value in (line.split(":", 1) for line in info if ":" in line):
                if key in held:
                    held[key].add(int(value))
    counts = {key: len(ids) for key, ids in held.items()}
    counts["pins"] = sum(len(names) for _, _, names in os.walk(agent.pin_dir))
    return counts


@test
def e12_ports_come_and_go(world):
    """E12, E7: the device of a port is made and deleted, and moved away and back, in a loop: programs, maps, links, pins,
    descriptors and memory stay flat, and it is enforced in the end."""
    fabric, agent = world.fabric, world.agent
    elsewhere = fabric.namespace("elsewhere")
    def enforced():
        port = next(port for port in agent.status()["ports"] if port["eni"] == "eni-churn")
        return port["enforced"] and port["present"] and not agent.status()["attention"]
    def churn(rounds):
        for number in range(rounds):
            fabric.unplug("eni-churn", "veth-churn")
            fabric.plug("eni-churn", "veth-churn")
            fabric.host.ip(f"link set veth-churn netns {elsewhere.name}")
            elsewhere.ip(f"link set veth-churn netns {fabric.host.name}")
            fabric.host.ip("link set veth-churn up")
            if number % 4 == 0:  # else it is gone again before it is served, or amid that
                wait_for(enforced, 15 * SLOW, "the port is enforced")
            if number % 100 == 0:
                world.sessions.alive("amid the churn")  # the NAT gateway ends what is silent for 350 s (NAT-08)
        wait_for(enforced, 15 * SLOW, "the port is enforced in the end")
    def flat():
        before, used = kernel_objects(agent), world.usage()
        churn(PORT_ROUNDS)
        wait_for(lambda: kernel_objects(agent) == before, 10 * SLOW, f"as many objects as before: {before}")
        after = wait_for(lambda: (now := world.usage())[0] <= used[0] and now, 10 * SLOW, "no more descriptors than before")
        print(f"# {before}; descriptors and own kB before and after {PORT_ROUNDS} rounds: {used}, {after}", flush=True)
        return after[1] <= used[1]
    churn(5)
    check(any(flat() for _ in range(5)), f"each {PORT_ROUNDS} rounds leave more memory taken")
    world.as_before("after the churn")


# where, the limit, and that of memory and swap together (version 1) or of swap (version 2)
MEMORY_GROUPS = (("/sys/fs/cgroup", "memory.max", "memory.swap.max", False),
                 ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", True))


@contextlib.contextmanager
def memory_group(name, limit):
    """A control group of either version; yields its file for pids, None where no such group can be made."""
    path = None
    for root, key, swap, together in MEMORY_GROUPS:
        made = os.path.join(root, name)
        with contextlib.suppress(OSError):
            os.mkdir(made)
            if os.path.exists(os.path.join(made, key)):
                path = made
                put_text(os.path.join(path, key), str(limit))
                if os.path.exists(os.path.join(made, swap)):
                    put_text(os.path.join(made, swap), str(limit if together else 0))
                break
            os.rmdir(made)
    try:
        yield path and os.path.join(path, "cgroup.procs")
    finally:
        if path:
            wait_for(lambda: not subprocess.run(["rmdir", path], stderr=subprocess.DEVNULL, check=False).returncode, 10 * SLOW,
                     f"{path} is empty")


@test
def e31_killed_for_its_memory(world):
    """E31: a state that needs more than the agent's control group may have. The kernel ends it; what is in force stays, no
    packet notices, and one that is started again goes on with that state."""
    with Prober(world.fabric) as prober:
        with memory_group(world.fabric.prefix, 24 << 20) as procs:
            if not procs:
                print("  skipped: no control group for memory can be made here", flush=True)
                return
            put_text(procs, str(world.agent.process.pid))
            world.save_big()
            code = wait_for(world.agent.process.poll, 60 * SLOW, "the kernel ends the agent", 0.1)
        equal(code, -signal.SIGKILL, "how the agent ended")
        world.complaint("no agent runs")
        world.as_before("with the agent killed")
        world.fabric.state.save(world.agent.state_dir)
        start(world.agent, world.clock)
        equal(last_writes(world.agent), 0, "kernel entries that the next agent wrote")
        world.as_before("with the next agent")
        world.content("with the next agent")
    prober.nothing_wrong()


@test
def e12_devices_by_the_hundred(world):
    """E12: devices made and deleted in a loop: descriptors and memory stay flat."""
    def churn(nr):
        for number in range(nr):
            world.fabric.host.ip(f"link add chrn{number} type veth peer name chrp{number}", f"link del chrn{number}")
            if number % 500 == 0:
                world.sessions.alive("amid the devices")  # as there
    def flat():
        before = world.usage()
        churn(DEVICES)
        after = wait_for(lambda: (now := world.usage())[0] <= before[0] and now, 10 * SLOW, "no more descriptors than before")
        print(f"# descriptors and own kB before and after {DEVICES} devices: {before}, {after}", flush=True)
        return after[1] <= before[1]
    churn(20)
    # What is asked for once, for a window's end or a thread, comes in one round; what leaks comes in each.
    check(any(flat() for _ in range(5)), f"each {DEVICES} devices leave more memory taken")
    world.as_before("after the devices")
    world.content("after the devices")


if __name__ == "__main__":
    run()
