#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent dies at a system call, or a bpf() call of it fails, during start, adoption, edit, take-over and detach.

Each phase is gone through once undisturbed, to count its calls; then points are drawn: (phase, kind of call, which of
them, death or error), and met by tests/survive/nth.c. Points come in chains: the next one strikes while the agent
recovers from the one before. After each: open sessions are open, and the maps are audited (audit.c): while the agent is
dead, the policy in force is that before or that after, whole, and each live flow has its names. After each chain: what
was denied did not pass, the next start works, what is allowed works and what is denied does not, another start writes
nothing, nothing is left over, the maps hold what a first start would have made, and records, names, free lists and
budgets agree.

CRASH_POINTS: how many (8). CRASH_SEED: which; printed. CRASH_ONE: "phase kind n what; ..." plays one chain again.
CRASH_SECONDS: begin no other chain after so long.
"""
import collections
import errno
import glob
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import DENIED, OTHER_LAYOUT, REPO, SERVER, Sessions, build, last_writes, make_state
import invariants
from vpcnet import agent as agents
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent, AgentError
from vpcnet.fabric import Fabric
from vpcnet.harness import Failure, check, equal, wait_for
from vpcnet.vpc import allow

POINTS = int(os.environ.get("CRASH_POINTS", "8"))
SECONDS = float(os.environ.get("CRASH_SECONDS", "inf"))
SEED = int(os.environ.get("CRASH_SEED", str(random.randrange(1 << 32))))
CHAIN = 6
ERRORS = ("ENOMEM", "E2BIG", "ENOSPC", "EINTR", "EBUSY", "EPERM")
KINDS = ("any", "effect", "bpf")
LIVE = {"adopt": 5, "edit": 2, "takeover": 2}
REAL = agents.ENID
BUILDS = [REAL, OTHER_LAYOUT]
NTH = os.path.join(REPO, "build", "tests", "survive", "nth")
READY_SECONDS = 60  # two programs are verified, by half a second of CPU each, on a machine that others use, too
EDIT_SECONDS = 3
Point = collections.namedtuple("Point", "phase kind n what")


class Nth:
    """Runs a program under nth.c; its report is shared memory."""
    LAYOUT = struct.Struct("@6I")

    def __init__(self, folder):
        self.report, self.wrapper = os.path.join(folder, "report"), os.path.join(folder, "traced")

    def program(self, real, point, marked):
        """The path of a program that runs `real`, up to this point."""
        with open(self.report, "wb") as out:
            out.write(self.LAYOUT.pack(marked, 0, 0, 0, 0, 0))
        number = "KILL" if point.what == "KILL" else str(getattr(errno, point.what))
        with open(self.wrapper, "w", encoding="ascii") as out:
            out.write(f'#!/bin/sh\nexec {NTH} {self.report} {point.kind} {point.n} {number} {real} "$@"\n')
        os.chmod(self.wrapper, stat.S_IRWXU)
        return self.wrapper

    def mark(self):
        with open(self.report, "r+b") as out:
            out.write(struct.pack("@I", 1))

    def _read(self):
        with open(self.report, "rb") as file:
            return self.LAYOUT.unpack(file.read(self.LAYOUT.size))

    def met(self):
        return bool(self._read()[1])

    def seen(self):
        return dict(zip(KINDS, self._read()[2:5]))


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.sessions = Sessions(fabric, listeners)
        self.nth = Nth(agent.folder)
        self.invariants = invariants.Invariants(agent.pin_dir)
        self.build = REAL  # whose maps are in force
        self.allowed = set()  # variants of the state that may be in force
        self.logged = 0  # bytes of its log when the agent was started

    # ---- the agent

    def start(self, point=None, marked=True):
        """-> did it become ready? False = it ended, by a fault only."""
        path = self.nth.program(self.build, point, marked) if point else self.build
        self.logged = os.path.getsize(self.agent.stderr_path) if os.path.exists(self.agent.stderr_path) else 0
        with build(path):
            try:
                self.agent.start(timeout=READY_SECONDS)
            except AgentError as error:
                if not point or "not ready" in str(error):
                    raise
                return False
        return True

    def refused(self):
        """Where a map could not be written, what was in force last stays it, and `status` says so."""
        with open(self.agent.stderr_path, "rb") as log:
            log.seek(self.logged)
            if b"the state is refused" not in log.read():
                return False
        with build(self.build):
            wait_for(lambda: any("the state is refused" in text for text in self.agent.status()["attention"]), 5 * SLOW,
                     "`status` that says of the state that it is refused")
        return True

    def end(self):
        """kill -9; nth, if it runs under that, comes to its end by it."""
        process = self.agent.process
        if process is None or process.poll() is not None:
            return
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            for child in file.read().split():
                os.kill(int(child), signal.SIGKILL)
        if os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) != "nth":
            process.kill()
        try:
            process.wait(READY_SECONDS * SLOW)
        except subprocess.TimeoutExpired:
            raise AgentError(f"killed, and still there:\n{agents.whereabouts(process.pid)}") from None

    def detach(self, path=REAL):
        with build(path):
            return self.agent.command("detach", "--all", "--run-dir", self.agent.run_dir)

    def other_build(self):
        return BUILDS[self.build == BUILDS[0]]

    # ---- the state

    def variant(self):
        """Which of the two states the files hold."""
        return len(self.state.find("NetworkInterfaces", "eni-client")["PrivateIpAddresses"])

    def toggle(self):
        """A rule (port 8080), a route and an address more, or less; nobody uses them."""
        permissions = self.state.find("SecurityGroups", "sg-server")["IpPermissions"]
        routes = self.state.find("RouteTables", "rtb-private")["Routes"]
        addresses = self.state.find("NetworkInterfaces", "eni-client")["PrivateIpAddresses"]
        if len(addresses) > 1:
            del permissions[-1], routes[-1], addresses[-1]
        else:
            permissions.append(allow("tcp", 8080, "sg-client"))
            routes.append(dict(routes[-1], DestinationCidrBlock="198.51.100.0/24"))
            addresses.append({"Primary": False, "PrivateIpAddress": "10.0.1.77"})
        self.state.save(self.agent.state_dir)

    def learn(self):
        """What the maps hold for each state and build, if nothing disturbs them."""
        for path in reversed(BUILDS):
            self.build = path
            for _ in range(2):
                self.start()
                self.invariants.learn(self.variant())
                self.toggle()
                self.end()
                self.detach()

    # ---- phases. ret: did it get through?

    def edit(self, point):
        check(self.start(point, marked=False), "it ended without a fault")
        self.allowed = {self.variant()}
        before = self.agent._applied()
        self.nth.mark()
        self.toggle()
        self.allowed.add(self.variant())
        until = time.monotonic() + EDIT_SECONDS * SLOW
        while self.agent._applied() == before and self.agent.process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        return self.agent._applied() != before

    def act(self, point):
        if point.phase == "edit":
            return self.edit(point)
        if point.phase == "detach":
            return self.detach(self.nth.program(self.build, point, True)).returncode == 0
        if point.phase == "takeover":
            self.build = self.other_build()
        self.allowed.add(self.variant())
        if not self.start(point):
            return False
        if not self.refused():
            self.allowed = {self.variant()}
        return True

    # ---- what holds

    def left_over(self):
        return [path for path in glob.glob(self.agent.pin_dir + "/**", recursive=True) if os.path.exists(path)]

    def well(self, sessions):
        """The next start works, and the one after it has nothing to do."""
        self.end()
        self.start()
        if sessions:
            sessions.alive("after the next start")
        self.sessions.new("after the next start")
        with build(self.build):
            wait_for(lambda: not self.agent.status()["attention"], 5 * SLOW, "nothing that `status` calls attention to")
        self.end()
        self.start()
        equal(last_writes(self.agent), 0, "kernel entries written by one more start")
        self.end()
        self.invariants.after_a_start(self.variant())
        folders = [p for p in os.listdir(self.agent.pin_dir) if p not in ("links", "gro")]
        check(len(folders) == 1, f"sets of pins: {folders}")
        self.allowed = {self.variant()}


NO_POINT = {"kind": "any", "n": 0, "what": "KILL"}


def count_once(world, phase):
    check(world.act(Point(phase, **NO_POINT)), f"{phase} does not even work undisturbed:\n{world.agent.log_tail()}")
    seen = world.nth.seen()
    world.end()
    return seen


def count_edit(world):
    """Each of the two states twice: on a busy machine the start before goes on behind its READY=1, and is counted, too."""
    first, second = [[count_once(world, "edit") for _ in range(2)] for _ in range(2)]
    return {kind: max(min(both[0][kind], both[1][kind]) for both in zip(first, second)) for kind in KINDS}


def count_calls(world):
    """phase -> kind -> how many calls."""
    return {phase: count_edit(world) if phase == "edit" else count_once(world, phase)
            for phase in ("fresh", "adopt", "edit", "takeover", "detach")}


def draw(rng, calls, phase):
    """A point: half of them deaths, anywhere; half errors of bpf()."""
    if rng.random() < 0.5 and calls[phase]["bpf"]:
        return Point(phase, "bpf", rng.randint(1, calls[phase]["bpf"]), rng.choice(ERRORS))
    kind = rng.choice(KINDS)
    return Point(phase, kind, rng.randint(1, max(1, calls[phase][kind])), "KILL")


def draw_chain(rng, calls):
    whole = rng.choices(("live", "fresh", "detach"), (8, 1, 1))[0]
    length = CHAIN if whole == "live" else 3
    phases = rng.choices(list(LIVE), LIVE.values(), k=length) if whole == "live" else [whole] * length
    return [draw(rng, calls, phase) for phase in phases]


def one_point(world, point, sessions):
    """-> what became of the agent"""
    if point.phase == "detach" and not world.left_over():  # the one before got through
        world.start()
        world.end()
    through = world.act(point)
    met = world.nth.met()
    if sessions:
        sessions.alive(f"after {' '.join(map(str, point))}")
    if point.phase != "detach":
        world.end()
        in_force = world.invariants.after_a_death(world.allowed, first=point.phase == "fresh")
        world.build = world.build if in_force is None else BUILDS[in_force]
        if point.phase == "fresh" and through:
            world.detach()
    return "not met" if not met else "got through" if through else "ended"


def play(world, chain, told):
    live = chain[0].phase in LIVE
    if not live:
        equal(world.detach().returncode, 0, "exit code of detach")
    if live and not world.left_over():
        world.start()
        world.end()
    if live:
        sessions = world.sessions.__enter__()
    else:
        sessions = None
    try:
        with traffic.Stream(world.fabric.guest("eni-client"), world.fabric.guest("eni-server"), SERVER, DENIED, 300) as denied:
            for point in chain:
                began = time.monotonic()
                told(point, one_point(world, point, sessions), time.monotonic() - began)
            if chain[0].phase == "detach":
                equal(world.detach().returncode, 0, "exit code of the next detach")
                check(not world.left_over(), f"left over: {world.left_over()[:5]}")
            world.well(sessions)
            sent, lost = denied.stop()
            equal(sent - lost, 0, f"denied packets that passed, of {sent}")
    finally:
        if sessions:
            sessions.__exit__()


def read_chain(text):
    points = [Point(*words.split()) for words in text.split(";")]
    return [point._replace(n=int(point.n)) for point in points]


class Tally:
    def __init__(self):
        self.ways, self.different, self.failed = collections.Counter(), set(), 0

    def __call__(self, point, way, seconds):
        self.ways[way] += 1
        if way != "not met":
            self.different.add(point)
        print(f"ok e2 {' '.join(map(str, point))}: {way} ({seconds:.1f} s)", flush=True)

    def drawn(self):
        return sum(self.ways.values())


def play_all(world, rng, one, tally):
    calls = {} if one else count_calls(world)
    for phase, of in calls.items():
        print(f"# {phase}: {of}", flush=True)
    print(f"# seed {SEED}, {POINTS} points", flush=True)
    began = time.monotonic()
    while tally.drawn() + tally.failed < (1 if one else POINTS) and time.monotonic() - began < SECONDS:
        chain = read_chain(one) if one else draw_chain(rng, calls)[:POINTS - tally.drawn()]
        try:
            play(world, chain, tally)
        except (Failure, AgentError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            tally.failed += 1
            print(f"FAIL e2 {'; '.join(' '.join(map(str, point)) for point in chain)}: {error}\n"
                  f"{world.agent.log_tail(40)}", flush=True)
            world.end()
            world.detach()


def main():
    if os.geteuid():
        sys.exit("test_crash.py: needs root")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    tally = Tally()
    with Fabric(make_state(), prefix="crash") as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        world = World(fabric, agent, listeners)
        world.learn()
        play_all(world, random.Random(SEED), os.environ.get("CRASH_ONE", ""), tally)
        world.end()
    print(f"# {tally.drawn()} points, {len(tally.different)} different ones met; the agent: {dict(tally.ways)}")
    print(f"{tally.drawn()} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
