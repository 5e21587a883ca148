#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Upgrades that go wrong on their way: what judges is always one state, wholly, and what is not so is said.

Every test goes on from the build that the one before left, to the other one.
"""
import contextlib
import ctypes
import glob
import json
import mmap
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import OTHER_LAYOUT, REPO, SERVER, make_state
from vpcnet import agent as agents
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent, AgentError
from vpcnet.fabric import INTERNET4, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, allow

FAULT = os.path.join(REPO, "build", "tests", "survive", "fault.so")
BUILDS = [agents.ENID, OTHER_LAYOUT]
CLIENT = "10.0.1.10"
PROG_QUERY, OBJ_GET, LINK_UPDATE, ENOMEM = 16, 7, 29, 12
TEST_RUN, BTF_GET_FD, EPERM = 10, 19, 1


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        self.log_from = 0

    @contextlib.contextmanager
    def flow(self, port):
        """A UDP flow from the client, tracked: the server may answer, but not begin one. Yields answered()."""
        with self.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, \
                self.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            client.bind((CLIENT, port))
            server.bind((SERVER, 9000))
            client.settimeout(1.0 * SLOW)
            server.settimeout(5.0 * SLOW)

            def answered():
                server.sendto(b"y", (CLIENT, port))
                try:
                    return client.recv(16) == b"y"
                except TimeoutError:
                    return False

            client.sendto(b"x", (SERVER, 9000))
            server.recv(16)
            check(answered(), "the flow does not even open")
            yield answered

    def other(self):
        return BUILDS[agents.ENID == BUILDS[0]]

    def upgrade(self, *flags, fault=""):
        """End the agent, start the other build's."""
        self.agent.stop()
        agents.ENID = self.other()
        self.start(*flags, fault=fault)

    def start(self, *flags, fault=""):
        self.log_from = os.path.getsize(self.agent.stderr_path)
        if fault:
            os.environ.update(LD_PRELOAD=FAULT, ENID_FAULT=fault)
        try:
            self.agent.start(*flags, timeout=60)
        finally:
            os.environ.pop("LD_PRELOAD", None)

    def log(self):
        with open(self.agent.stderr_path, encoding="utf-8", errors="replace") as log:
            log.seek(self.log_from)
            return log.read()

    def permissions(self, *those):
        self.state.find("SecurityGroups", "sg-server")["IpPermissions"] = list(those)

    def port80(self):
        return traffic.tcp(self.client, SERVER, 80, False)

    def obeyed(self, when):
        """The rules of today judge: close port 80, and open it again."""
        before = self.state.find("SecurityGroups", "sg-server")["IpPermissions"]
        self.permissions()
        self.agent.apply()
        equal(self.port80(), "silent", f"port 80 without a permission, {when}")
        self.permissions(*before)
        self.agent.apply()
        equal(traffic.tcp(self.client, SERVER, 80), "open", f"port 80 with its permission, {when}")

    def well(self, when, hook="tcx"):
        wait_for(lambda: not self.agent.status()["attention"], 10 * SLOW, f"nothing needs attention {when}", 0.1)
        status = self.agent.status()
        equal({(port["enforced"], port["hook"]) for port in status["ports"]}, {(True, hook)}, f"ports {when}")
        sets = [os.path.basename(path) for path in glob.glob(self.agent.pin_dir + "/v*")]
        check(len(sets) == 1, f"sets of pins {when}: {sets}")


@scene
def one_vpc(max_flows=16384):
    state = make_state()
    state.find("SecurityGroups", "sg-client")["IpPermissions"].append(allow("udp", 5000, *ANYWHERE))
    with Fabric(state, prefix="takeover") as fabric, Agent(fabric, max_flows) as agent, \
            traffic.Listeners() as listeners:
        world = World(fabric, agent)
        listeners.tcp(world.server, 80, 81)
        listeners.tcp(fabric.internet, 80)
        agent.start()
        try:
            yield world
        finally:
            agent.stop()
            agent.command("detach", "--all", "--run-dir", agent.run_dir)


@test
def e3_a_query_that_fails_is_no_old_kernel(world):
    """Whether there is TCX cannot be told: no filters behind the links of the build before, but no start."""
    try:
        world.upgrade(fault=f"bpf {PROG_QUERY} - 1 1 {ENOMEM}")
    except AgentError as error:
        check("Cannot allocate memory" in str(error), f"why it did not start: {error}")
    else:
        raise AgentError("it starts without knowing")
    equal(traffic.tcp(world.client, SERVER, 80), "open", "port 80, the set before is in force")
    world.start()
    world.well("at the next start")
    world.obeyed("at the next start")


@test
def e3_to_filters_and_back(world):
    """Links that are left in front of filters, or filters behind links, would judge by maps that nobody edits."""
    world.upgrade("--no-tcx")
    equal([path for path in os.listdir(world.agent.pin_dir + "/links") if "_tc" in path], [], "pinned links")
    world.well("without TCX", "tc")
    world.obeyed("without TCX")
    world.upgrade()
    world.well("with TCX again")
    found = world.fabric.host.run("tc", "filter", "show", "dev", "veth-server", "ingress").stdout
    check("tc_rx" not in found, f"filters are left: {found}")
    world.obeyed("with TCX again")


@test
def e3_what_fails_is_not_the_state(world):
    """Hooks that take the new program late: the state that was read stays in force, nothing older comes back."""
    world.state.find("SecurityGroups", "sg-server")["IpPermissions"].append(allow("udp", 7777, *ANYWHERE))
    world.agent.stop()
    world.state.save(world.agent.state_dir)
    world.upgrade(fault=f"bpf {LINK_UPDATE} - 6 80 {ENOMEM}")  # from the renewal of the five links on
    check("refused" not in world.log(), world.log())
    with open(world.agent.run_dir + "/applied.json", encoding="utf-8") as applied:
        check("7777" in applied.read(), "an older state is in force")
    world.well("once links can be updated")
    world.obeyed("once links can be updated")


@test
def e3_device_goes_during_the_switch(world):
    """With filters: a device that is gone is nothing to fail for."""
    world.upgrade("--no-tcx")
    world.agent.stop()
    world.state.find("SecurityGroups", "sg-server")["IpPermissions"].append(allow("udp", 7778, *ANYWHERE))
    world.state.save(world.agent.state_dir)
    thread = threading.Thread(
        target=lambda: world.upgrade("--no-tcx", fault="membarrier 1 99 sleep 700"))
    world.log_from = os.path.getsize(world.agent.stderr_path)
    thread.start()
    wait_for(lambda: "enforced on veth-server" in world.log() or not thread.is_alive(), 60 * SLOW, "hooks", 0.01)
    world.fabric.unplug("eni-server", "veth-server")
    thread.join()
    log = world.log()
    world.fabric.plug("eni-server", "veth-server")
    check("refused" not in log and "generation 2" not in log, log)
    with open(world.agent.run_dir + "/applied.json", encoding="utf-8") as applied:
        check("7778" in applied.read(), "an older state is in force")
    world.well("with a new device", "tc")
    world.upgrade()


@test
def e13_device_left_is_found_late(world):
    """An ENI leaves the state with the upgrade, and its hook cannot be read at first: its guest reaches nobody."""
    host = world.state["Hosts"][0]
    before, status = list(host["Ports"]), world.agent.status()
    ifindex = next(port["ifindex"] for port in status["ports"] if port["eni"] == "eni-server")
    host["Ports"] = [port for port in before if port["NetworkInterfaceId"] != "eni-server"]
    world.agent.stop()
    world.state.save(world.agent.state_dir)
    world.upgrade(fault=f"bpf {OBJ_GET} /{ifindex}_tc_rx 1 8 {ENOMEM}")
    with world.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((CLIENT, 5000))
        client.settimeout(0.3 * SLOW)
        wait_for(lambda: world.agent.status()["held"], 10 * SLOW, "the device is held", 0.1)
        world.well("once it is held")
        with world.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.sendto(b"x", (CLIENT, 5000))
        try:
            check(not client.recv(16), "the removed ENI's guest reaches the client")
        except TimeoutError:
            pass
    host["Ports"] = before
    world.agent.apply()
    world.well("with the port again")


def age(pin_dir, port, by_ns):
    """Make the copy of the flow in the set that is not in force yet look old."""
    path = min(glob.glob(pin_dir + "/v*"), key=lambda folder: os.path.exists(folder + "/maps/control"))
    path += "/maps/records"
    for index in range(64):
        key = [str(byte) for byte in index.to_bytes(4, sys.byteorder)]
        entry = json.loads(bpftool("-j", "map", "lookup", "pinned", path, "key", *key))
        halves = entry["formatted"]["value"]["half"]
        value = bytes(int(byte, 16) for byte in entry["value"])
        if not any(half["last_ns"] for half in halves) or port.to_bytes(2, "big") not in value:
            continue
        for half in halves:
            value = value.replace(half["last_ns"].to_bytes(8, sys.byteorder),
                                  max(1, half["last_ns"] - by_ns).to_bytes(8, sys.byteorder))
        bpftool("map", "update", "pinned", path, "key", *key, "value", *[str(byte) for byte in value])
        return
    check(False, "no copy of the flow is there")


def bpftool(*words):
    done = agents.subprocess.run(["bpftool", *words], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, f"bpftool {words[:4]}: {done.stderr}")
    return done.stdout


def filters(world):
    return [world.fabric.host.run("tc", "filter", "show", "dev", device, way).stdout
            for device in ("veth-client", "veth-server", "up0") for way in ("ingress", "egress")]


@test
def e10_two_agents_on_filters(world):
    """Another agent with pins of its own: filters have no pins, and its programs the same names."""
    world.upgrade("--no-tcx")
    before = filters(world)
    check(any("tc_rx" in text for text in before), f"no filters: {before}")
    state = State()
    state.vpc("vpc-2", "10.9.0.0/16")
    state.subnet("s-other", "vpc-2", "10.9.0.0/24")
    state.table("rtb-other", "vpc-2", [])
    state.group("sg-other", "vpc-2")
    state.eni("eni-other", "s-other", "10.9.0.10", ["sg-other"])
    state.host("host-a", [("eni-other", "veth-other")], [])
    with Agent(world.fabric) as other:
        state.save(other.state_dir)
        other.pin_dir += "-2"
        for when in ("its start", "its take-over"):
            other.start("--no-tcx", timeout=60)
            equal(other.status()["held"], [], f"devices that the other one holds after {when}")
            equal(filters(world), before, f"our filters after {when}")
            other.stop()
            agents.ENID = world.other()
        other.command("detach", "--all", "--run-dir", other.run_dir)
        equal(filters(world), before, "our filters after the other's detach")
    world.well("beside another agent", "tc")
    world.obeyed("beside another agent")
    world.upgrade()


@test
def e3_a_switch_that_fails_frees_no_device(world):
    """An uplink leaves the state with the upgrade, and the upgrade fails: what was in force needs it."""
    host = world.state["Hosts"][0]
    before = list(host["Uplinks"])
    host["Uplinks"] = []
    world.agent.stop()
    world.state.save(world.agent.state_dir)
    try:
        world.upgrade(fault=f"map handover_phase 2 99 fail {ENOMEM}")
    except AgentError as error:
        check("stays in force" in str(error), f"why it ended: {error}")
    else:
        check(False, "it started")
    equal(traffic.tcp(world.client, INTERNET4, 80), "open", "a connection by the state before")
    host["Uplinks"] = before
    world.state.save(world.agent.state_dir)
    world.start()
    world.well("with the uplink again")
    equal(traffic.tcp(world.client, INTERNET4, 80), "open", "a connection with the uplink again")


@test
def e3_copies_do_not_grow_old(world):
    """A flow that goes on in the old set while ours is made ready: nothing sweeps its copy away before the switch."""
    with world.flow(5555) as answered:
        thread = threading.Thread(target=lambda: world.upgrade(fault="inotify 1 1 sleep 3000"))
        thread.start()
        wait_for(lambda: os.path.exists(world.agent.pin_dir + "/handover") or not thread.is_alive(), 60 * SLOW, "copies")
        age(world.agent.pin_dir, 5555, 300 * 10**9)
        time.sleep(0.5)
        check(answered(), "an answer before the switch is lost")
        thread.join()
        check(answered(), "an answer after the switch is lost")
    world.well("after it")


@test
def e3_change_of_size_is_broken_off(world):
    """The agent dies while the flows move to a table of another size; the next start is the other build's."""
    with world.flow(5556) as answered:
        world.agent.stop()
        world.agent.max_flows *= 2
        try:
            world.start(fault="membarrier 1 1 kill 0")
            check(False, "the agent was not killed")
        except AgentError:
            pass
        check(glob.glob(world.agent.pin_dir + "/v*/maps/records_former"), "no change of size was under way")
        check(answered(), "an answer is lost while no agent runs")
        world.agent.max_flows = None
        world.upgrade()
        check(answered(), "an answer is lost after the upgrade")
    world.well("after it")
    equal(world.agent.status()["flows"]["max"], 32768, "flow records without --max-flows: as many as before")


@test
def e5_counters_are_carried(world):
    """The other build counts more reasons: the counts go on."""
    equal(traffic.udp(world.client, SERVER, 81, False), "silent", "a denied packet")
    before = world.agent.drops()
    check(before.get("security-group-ingress") or sum(before.values()) >= 3, f"dropped: {before}")
    world.agent.stop()
    agents.ENID = world.other()
    try:
        attention = " ".join(world.agent.status()["attention"])
        check("another build's set is in force" in attention, f"the other build's status: {attention}")
    finally:
        agents.ENID = world.other()
    world.upgrade()
    after = world.agent.drops()
    check(all(after.get(reason, 0) >= count for reason, count in before.items()), f"{before} became {after}")
    world.well("after it")


def gateway(world):
    """Counters of the NAT gateway."""
    return world.agent.status()["nat_gateways"][0]


@test
def e5_counted_between_copy_and_switch(world):
    """What the old programs count after the new set has copied their counters is in the books as well."""
    def denied():
        return world.agent.drops().get("sg-ingress", 0)

    first = denied()
    equal(traffic.udp(world.client, SERVER, 81, False), "silent", "a denied packet")
    attempts, drops = gateway(world)["ConnectionAttemptCount"], denied()
    thread = threading.Thread(target=lambda: world.upgrade(
        fault="inotify 1 1 sleep 2000; map handover_phase 2 2 sleep 2000"))
    world.log_from = os.path.getsize(world.agent.stderr_path)
    thread.start()
    for number in (1, 2):
        wait_for(lambda n=number: world.log().count("fault: waiting") == n or not thread.is_alive(), 60 * SLOW,
                 "a wait", 0.01)
        equal(traffic.tcp(world.client, INTERNET4, 80), "open", "a connection through the NAT gateway")
        equal(traffic.udp(world.client, SERVER, 81, False), "silent", "a denied packet")
        check(world.log().count("fault: waiting") == number and thread.is_alive(), "too slow: the wait is over")
    thread.join()
    world.well("after it")
    equal(gateway(world)["ConnectionAttemptCount"], attempts + 2, "connections that the NAT gateway opened")
    equal(denied(), drops + 2 * (drops - first), "denied packets that are counted")


@test
def e5_a_failure_says_its_error(world):
    """Types that cannot be had now are not none; the set before stays in force, and the next start has them."""
    try:
        world.upgrade(fault=f"bpf {BTF_GET_FD} - 1 9 {ENOMEM}")
    except AgentError as error:
        check("Cannot allocate memory" in str(error) and "nothing is known" not in str(error), f"why not: {error}")
    else:
        check(False, "it starts without knowing what the maps hold")
    equal(traffic.tcp(world.client, SERVER, 80), "open", "port 80, the set before is in force")
    world.start()
    world.well("at the next start")


@test
def e5_a_call_that_fails_cuts_no_flow(world):
    """The kernel is asked to name each flow: if it does not do so once, it is asked again; if never, nothing changes."""
    with world.flow(5558) as answered:
        world.upgrade(fault=f"bpf {TEST_RUN} - 1 1 {EPERM}")
        check(answered(), "the flow is cut by one failure")
        world.well("after one failure")
        try:
            world.upgrade(fault=f"bpf {TEST_RUN} - 1 99999 {EPERM}")
        except AgentError as error:
            check("Operation not permitted" in str(error), f"why not: {error}")
        else:
            check(False, "it takes over without the flows")
        check(answered(), "the flow is cut by a take-over that was refused")
        world.start()
        check(answered(), "the flow is cut by the next start")
    world.well("at the next start")


@test
def e5_another_version_is_not_read(world):
    """Fields may have another meaning there: nothing is carried over, and that is said."""
    with world.flow(5557) as answered:
        world.agent.stop()
        folder = glob.glob(world.agent.pin_dir + "/v*")[0]
        os.rename(folder, folder.replace("/v5-", "/v4-"))
        world.upgrade()
        check("were not carried over" in world.log(), world.log())
        check(not answered(), "the flow was carried over")
    world.well("after it")
    world.obeyed("after it")


class Answerer:
    """A UDP server in the internet: each client is told where its packets come from."""

    def __init__(self, fabric):
        self.socket = fabric.internet.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 5300))
        self.socket.settimeout(0.1)
        self.running = True
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.socket.close()

    def send(self, data, seen):
        address, port = seen.decode().split()
        self.socket.sendto(data, (address, int(port)))

    def _serve(self):
        while self.running:
            try:
                _, peer = self.socket.recvfrom(64)
                self.socket.sendto("{} {}".format(*peer).encode(), peer)
            except OSError:
                continue


class Opener:
    """Opens flows through the NAT gateway from begin() to finish(), TCP and UDP in turn, and keeps them open."""

    def __init__(self, world, answerer):
        self.world, self.answerer, self.stack = world, answerer, contextlib.ExitStack()
        self.tcp, self.udp, self.silent = [], [], []  # udp: (socket, what the server saw)
        self.pace, self.thread = 0.0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()
        self.stack.close()

    def begin(self):
        self.pace, wanted = 0.02, self.number() + 8
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.number() >= wanted or not self.thread.is_alive(), 60 * SLOW, "flows before the take-over")
        self.pace = 0.25 * SLOW

    def finish(self):
        if self.thread:
            self.pace = None
            self.thread.join()

    def number(self):
        return len(self.tcp) + len(self.udp)

    def _run(self):
        while (pace := self.pace) is not None:
            self._open_udp()
            try:
                self.tcp.append(self.stack.enter_context(traffic.Session(self.world.client, INTERNET4, 80)))
            except OSError as error:
                self.silent.append(f"TCP: {error}")
            time.sleep(pace)

    def _open_udp(self):
        client = self.stack.enter_context(self.world.client.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.connect((INTERNET4, 5300))
        for _ in range(3):  # as clients do
            if seen := self.ask(client):
                self.udp.append((client, seen))
                return
        self.silent.append("UDP")

    @staticmethod
    def ask(client):
        """Whence the server sees the client, or None."""
        client.settimeout(1.0 * SLOW)
        client.send(b"x")
        try:
            return client.recv(64)
        except TimeoutError:
            return None

    @staticmethod
    def hears(client, wanted):
        client.settimeout(0.5 * SLOW)
        try:
            while client.recv(64) != wanted:
                pass
            return True
        except TimeoutError:
            return False

    def go_on(self):
        """Each flow is answered, and by the same mapping. Of UDP the server is first: who asks gets a new mapping."""
        equal(self.silent, [], "flows that did not open")
        cut = [number for number, session in enumerate(self.tcp) if not session.echo(b"on", 2.0 * SLOW)]
        for _, seen in self.udp:
            self.answerer.send(b"late", seen)
        deaf = [number for number, (client, _) in enumerate(self.udp) if not self.hears(client, b"late")]
        moved = [(number, seen, now) for number, (client, seen) in enumerate(self.udp)
                 if (now := self.ask(client)) != seen]
        check(not cut + deaf + moved, f"of {len(self.tcp)} sessions are cut: {cut}; of {len(self.udp)} UDP flows get "
              f"no late answer: {deaf}, are seen elsewhere: {moved}")


def uses_counted(pin_dir):
    """The sum of what the words of `nat_uses` count; the rest of a word says for whom."""
    path = next(path for path in glob.glob(pin_dir + "/v*/maps/nat_uses"))
    fd = ctypes.CDLL("libbpf.so.1").bpf_obj_get(path.encode())
    check(fd >= 0, f"cannot open {path}")
    try:
        size = 8 * json.loads(bpftool("-j", "map", "show", "pinned", path))["max_entries"]
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as uses:
            return sum(word & 0xffffff for word in memoryview(uses[:]).cast("Q"))
    finally:
        os.close(fd)


@contextlib.contextmanager
def opening_meanwhile(world):
    """A take-over within the context, with the fault that it yields, waits at each of the first flows that it copies;
    more are opened beside it, in records that it has yet to read."""
    opener, refused = world.opener, world.agent.drops().get("nat-no-mapping", 0)
    world.log_from, numbers, over = os.path.getsize(world.agent.stderr_path), [], threading.Event()

    def hurry():
        wait_for(lambda: "fault: waiting" in world.log() or over.is_set(), 90 * SLOW, "the copy", 0.01)
        numbers.append(opener.number())
        opener.pace = 0.01
        wait_for(lambda: opener.number() >= numbers[0] + 80 or over.is_set(), 90 * SLOW, "flows", 0.01)
        opener.pace = 0.25 * SLOW

    opener.begin()
    thread = threading.Thread(target=hurry)
    thread.start()
    try:
        yield f"bpf {TEST_RUN} - 1 8 sleep 200"
    finally:
        over.set()
        thread.join()
        opener.finish()
    check(numbers and opener.number() - numbers[0] >= 8, f"flows at the copy: {numbers}, now: {opener.number()}")
    world.well("after it")
    active, uses = gateway(world)["ActiveConnectionCount"], uses_counted(world.agent.pin_dir)
    opener.go_on()
    equal(world.agent.drops().get("nat-no-mapping", 0), refused, "answers without a mapping")
    equal((active, uses), (opener.number(),) * 2, "connections that the NAT gateway has, and that its ports count")


@scene
def behind_nat():
    """A table that is large enough for CPUs to take records in batches: flows that are opened during the copy have
    records within what it reads."""
    with contextlib.contextmanager(one_vpc)(131072) as world, Answerer(world.fabric) as answerer, \
            Opener(world, answerer) as world.opener:
        yield world


@test
def e5_nat_flows_opened_during_the_copy(world):
    """Flows that are opened while another layout's table is copied come over with their mapping, or not yet."""
    with opening_meanwhile(world) as fault:
        world.upgrade(fault=fault)


@test
def e5_nat_flows_opened_during_a_change_of_size(world):
    """The same while they move to a smaller table."""
    world.agent.stop()
    world.agent.max_flows //= 2
    with opening_meanwhile(world) as fault:
        world.start(fault=fault)


if __name__ == "__main__":
    run()
