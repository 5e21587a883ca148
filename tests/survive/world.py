# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of survival share: a small VPC with a NAT gateway, a prober at full rate, and open sessions."""
import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPO, "tests", "net"))
from vpcnet import agent as agents  # noqa: E402
from vpcnet import frames, traffic  # noqa: E402
from vpcnet.agent import SLOW  # noqa: E402
from vpcnet.fabric import INTERNET4  # noqa: E402
from vpcnet.floods import Flood  # noqa: E402
from vpcnet.harness import check, equal  # noqa: E402
from vpcnet.vpc import ANYWHERE, State, allow  # noqa: E402

PROBER = os.path.join(REPO, "build", "tests", "survive", "prober")
OTHER_LAYOUT = os.environ.get("ENID_OTHER", os.path.join(REPO, "build", "layout", "enid"))
SERVER = "10.0.2.10"
ALLOWED, DENIED, SWAPPED = 9000, 9001, 9002
SECONDS = float(os.environ.get("SURVIVE_SECONDS", "inf"))


def rounds(most):
    """0, 1, ... most - 1; none that begins after SURVIVE_SECONDS. Says how many it were."""
    until, done = time.monotonic() + SECONDS, 0
    while done < most and (not done or time.monotonic() < until):
        yield done
        done += 1
    print(f"# {done} rounds of {most}", flush=True)


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    for number, name in enumerate(("s-public", "s-client", "s-server")):
        state.subnet(name, "vpc-1", f"10.0.{number}.0/24")
    state.internet_gateway("igw-1", "vpc-1")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1")])
    state.nat_gateway("nat-1", "s-public", "eni-nat", "10.0.0.20", "203.0.113.20")
    private = state.table("rtb-private", "vpc-1", [("0.0.0.0/0", "igw-1")], ["s-client"])
    for route in private["Routes"]:
        if route.get("GatewayId") == "igw-1":
            del route["GatewayId"]
            route["NatGatewayId"] = "nat-1"
    state.group("sg-client", "vpc-1")
    state.group("sg-server", "vpc-1", [allow("udp", ALLOWED, "sg-client"), allow("tcp", 80, "sg-client")])
    state.group("sg-other", "vpc-1", [allow("udp", SWAPPED, *ANYWHERE)])
    state.eni("eni-client", "s-client", "10.0.1.10", ["sg-client"])
    state.eni("eni-server", "s-server", SERVER, ["sg-server"])
    state.host("host-a", [("eni-client", "veth-client"), ("eni-server", "veth-server")], [("igw-1", "up0")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


class Prober:
    """Packets at full rate while the context lasts; afterwards `result` says what became of them."""

    def __init__(self, fabric):
        self.fabric, self.result = fabric, None

    def __enter__(self):
        self.process = subprocess.Popen(
            [PROBER, self.fabric.guest("eni-client").name, self.fabric.guest("eni-server").name, SERVER, str(ALLOWED),
             str(DENIED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate("x")
        check(out, f"the prober ended with {self.process.returncode}")
        self.result = json.loads(out)

    def nothing_wrong(self, lost=0):
        """0 wrongly allowed; of the allowed flow at most `lost` packets missing, in either direction."""
        result = self.result
        print(f"# prober: {result}", flush=True)
        check(result["sent"] > 1000 and result["denied_sent"] > 250, f"hardly anything sent: {result}")
        equal(result["denied_got"], 0, "denied packets that passed")
        check(0 <= result["sent"] - result["got"] <= lost, f"allowed packets lost: {result}")
        check(0 <= result["got"] - result["answered"] <= lost, f"answers lost: {result}")


class Sessions:
    """TCP sessions that are open all the time: inside the VPC, and through the NAT gateway."""

    def __init__(self, fabric, listeners):
        self.client = fabric.guest("eni-client")
        listeners.tcp(fabric.guest("eni-server"), 80, 81)
        listeners.tcp(fabric.internet, 80)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.open = [stack.enter_context(traffic.Session(self.client, address, 80))
                         for address in (SERVER, SERVER, INTERNET4, INTERNET4)]
            self._stack = stack.pop_all()
        self.alive("at first")
        return self

    def __exit__(self, *_):
        self._stack.close()

    def alive(self, when):
        for number, session in enumerate(self.open):
            check(session.echo(f"{number} {when}".encode()), f"session {number} is cut {when}")

    def new(self, when):
        """New connections: allowed ones open, denied ones do not."""
        equal(traffic.tcp(self.client, SERVER, 80), "open", f"a new session {when}")
        equal(traffic.tcp(self.client, INTERNET4, 80), "open", f"a new session through the NAT gateway {when}")
        equal(traffic.tcp(self.client, SERVER, 81, False), "silent", f"a new denied session {when}")


@contextlib.contextmanager
def build(path):
    """Agents started meanwhile are of this build."""
    before, agents.ENID = agents.ENID, path
    try:
        yield
    finally:
        agents.ENID = before


def last_writes(agent):
    """Kernel entries that the last start of the agent wrote."""
    with open(agent.stderr_path, encoding="utf-8") as log:
        return int(re.findall(r"(\d+) kernel entr(?:y|ies) written", log.read())[-1])


def flow_counts(agent, sport):
    """(forward, reverse) packets of the UDP flow from this port, by `enid show flows`."""
    done = agent.command("show", "flows", "--json")
    check(done.stdout, f"enid show flows: exit {done.returncode}: {done.stderr}")
    flows = json.loads(done.stdout)
    flows = flows["flows"] if isinstance(flows, dict) else flows
    mine = [f for f in flows if f["forward"].get("sport") == sport and f["protocol"] == "udp"]
    return sum(f["forward"]["packets"] for f in mine), sum(f["reverse"]["packets"] for f in mine)


FLOOD_PORT, FLOOD_FLOWS = 2000, 30000  # two ports share the map of tallies: more than a third of it does not fit


class Books:
    """What of the flood the flow log shows and declares, per ENI: packets in records, declared by SKIPDATA, and owed."""

    BOOK = struct.Struct("=6Q2I")

    def __init__(self, agent):
        self.agent = agent
        listed = json.loads(agent.command("show", "ports", "--json").stdout)
        self.numbers = {port["id"]: port["number"] for port in (listed["ports"] if isinstance(listed, dict) else listed)}
        self.before = {eni: self._book(eni) for eni in self.numbers}

    def _book(self, eni):
        with open(os.path.join(self.agent.log_dir, "books.part"), "rb") as page:
            page.seek(24 + self.BOOK.size * self.numbers[eni])
            _, _, lost, declared, common, _, _, _ = self.BOOK.unpack(page.read(self.BOOK.size))
        return declared, common + lost - declared

    def declared(self, eni):
        return self._book(eni)[0] - self.before[eni][0]

    def owed(self, eni):
        return self._book(eni)[1]

    def shown(self, eni, action):
        done = self.agent.fabric.host.run(agents.ENID, "logs", "--log-dir", self.agent.log_dir)
        lines = [line.split() for line in done.stdout.splitlines()]
        return sum(int(line[8]) for line in lines
                   if line[2] == eni and line[7] == "17" and int(line[6]) in range(FLOOD_PORT, FLOOD_PORT + 16) and line[12] == action)


@contextlib.contextmanager
def standing_still(agent):
    agent.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        agent.signal(signal.SIGCONT)


def refused_flood(fabric, cpu, flows=FLOOD_FLOWS, seconds=120 * SLOW):
    """From one CPU, datagrams that the server's group refuses."""
    packet = frames.packet("10.0.1.10", SERVER, frames.UDP, struct.pack("!HHHH", 0, 0, 8, 0))
    return Flood(fabric, "eni-client", packet, FLOOD_PORT, seconds, flows, cpu)
