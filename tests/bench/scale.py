# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the agent's work costs by the size of a state: one edit and memory by rules, ENIs and routes, and devices that become ports.
The states, the edits and the clock are those of edits.py. The devices are veth pairs in a namespace of their own."""
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import edits
from worlds import ENID

SIZES = {"rules": (100, 1000, 10000, 100000, 1000000), "enis": (10, 100, 1000, 10000), "routes": (10, 100, 1000, 10000, 100000, 1000000)}
ROUNDS = 9
PAUSE_S = 0.2
EDITS = {**edits.EDITS, "rule": edits.edit_used_rule}


def internet_routes(number):
    """Makes the first route table one of so many routes to an internet gateway."""
    def change(files):
        by_list = {name: lists for lists in files.values() for name in lists}
        routes = [{"DestinationCidrBlock": f"{16 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24", "GatewayId": "igw-1"} for n in range(number)]
        by_list["RouteTables"]["RouteTables"][0]["Routes"] = routes
        by_list["Vpcs"]["InternetGateways"] = [{"InternetGatewayId": "igw-1", "Attachments": [{"VpcId": "vpc-000", "State": "available"}]}]
        by_list["Hosts"]["Hosts"][0]["Uplinks"] = [{"GatewayId": "igw-1", "Device": "up0"}]
    return change


@contextlib.contextmanager
def agent_on(layout, enis, rules, change=None, within=None):
    folder = tempfile.mkdtemp(prefix="enid-scale-", dir="/dev/shm")
    try:
        state = edits.State(os.path.join(folder, "state"), layout, enis, rules, change)
        agent = edits.Agent(ENID, folder, f"/sys/fs/bpf/enid-scale-{os.getpid()}", **({"within": within} if within else {}))
        try:
            yield state, agent
        finally:
            agent.stop()
    finally:
        shutil.rmtree(folder)


class Curve:
    """Lines of one kind; each is told with the first, smallest one."""

    def __init__(self, table, what, by, unit):
        self.table, self.what, self.by, self.unit, self.first = table, what, by, unit, None

    def add(self, size, value):
        self.first = self.first or value
        self.table.add(f"{self.what}-of-{size}-{self.by}", value, self.first, self.unit)


def edited(table, by, kind, make):
    """One edit, CPU time of it, cold start and memory, by size. make: (layout, ENIs, rules, change) of a size"""
    curves = [Curve(table, f"one-{kind}", by, "ms"), Curve(table, f"one-{kind}-cpu", by, "ms"), Curve(table, "cold-start", by, "s"),
              Curve(table, "agent-memory", by, "MB")]
    for size in SIZES[by]:
        with agent_on(*make(size)) as (state, agent):
            times = edits.edit_times(agent, state, ROUNDS, PAUSE_S, {kind: EDITS[kind]})[kind]
            found = (min(kernel for kernel, _, _ in times), min(cpu for _, _, cpu in times), agent.start_s, agent.memory_mb()["VmRSS"])
        for curve, value in zip(curves, found):
            curve.add(size, value)


# ---- devices

def served(agent):
    with open(agent.log.name, encoding="utf-8") as log:
        return len(re.findall(r"enforced on", log.read()))


def wait_served(agent, number, began):
    while served(agent) < number:
        if time.monotonic() - began > 120:
            raise RuntimeError(f"scale: {served(agent)} of {number} devices are served")
        time.sleep(0.0005)
    return time.monotonic() - began


def make_devices(within, first, number):
    links = "".join(f"link add dev{n:05} up type veth peer name p{n:05}\n" for n in range(first, first + number))
    began = time.monotonic()
    subprocess.run([*within, "ip", "-batch", "-"], input=links, text=True, check=True)
    return began


@contextlib.contextmanager
def namespace(name):
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield ("nsenter", f"--net=/run/netns/{name}", "--")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def attach(table, sizes):
    """N devices come at once to a running agent: until all are enforced, by device, over what it takes to make them where nobody
    looks. Then one more comes, nine times."""
    one_more = Curve(table, "attach-one", "enis", "ms")
    for size in sizes:
        name = f"enid-scale-{os.getpid()}"
        with namespace(name + "-bare") as within:
            began = make_devices(within, 0, size)
            bare_s = time.monotonic() - began
        with namespace(name) as within, agent_on("one", size + ROUNDS, 1000, None, within) as (_, agent):
            began = make_devices(within, 0, size)
            table.add(f"attach-of-{size}-enis", 1000 * wait_served(agent, size, began) / size, 1000 * bare_s / size, "ms")
            times = [1000 * wait_served(agent, n + 1, make_devices(within, n, 1)) for n in range(size, size + ROUNDS)]
            one_more.add(size, statistics.median(times))


PARTS = {
    "scale-rules": lambda table: edited(table, "rules", "rule", lambda size: ("vpcs" if size >= 100000 else "one", 100, size)),
    "scale-enis": lambda table: edited(table, "enis", "eni", lambda size: ("one" if size < 1000 else "vpcs", size, 10000)),
    "scale-routes": lambda table: edited(table, "routes", "route", lambda size: ("one", 10, 1000, internet_routes(size))),
    "attach": lambda table: attach(table, (1, 10, 100, 1000)),
    # Thousands of devices in one namespace stall whoever else makes some on this machine, so by its name only.
    "attach-10k": lambda table: attach(table, (10000,)),
}
BY_NAME_ONLY = ("attach-10k",)
