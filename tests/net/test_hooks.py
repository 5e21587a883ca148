#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Hook "tc" and "xdp" on veth and tap ports and on the uplink's host: the same verdicts from each."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import Agent
from vpcnet.fabric import INTERNET4, Fabric, make_fit_for_xdp
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import ANYWHERE, allow, two_subnets

PUBLIC = "203.0.113.10"


def make_state(hook):
    state = two_subnets()
    state.internet_gateway("igw-1", "vpc-1")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1")])
    state.group("sg-all", "vpc-1", [allow("tcp", 80, *ANYWHERE), allow("udp", 53, "10.0.0.0/16", "2001:db8:1::/56"),
                                    allow("icmp", (8, -1), "0.0.0.0/0"), allow("icmpv6", (128, -1), "::/0")])
    state.eni("eni-a", "s1", "10.0.1.10", ["sg-all"], "2001:db8:1:1::10", PUBLIC)
    state.eni("eni-b", "s2", "10.0.2.10", ["sg-all"], "2001:db8:1:2::10")
    state.eni("eni-t", "s2", "10.0.2.20", ["sg-all"], "2001:db8:1:2::20")
    state.host("host-a", [("eni-a", "veth-a", {"Hook": hook}), ("eni-b", "veth-b", {"Hook": hook}),
                          ("eni-t", "tap-t", {"Hook": hook})], [("igw-1", "up0")])
    return state


class World:
    def __init__(self, fabric, agent, listeners, hook):
        self.fabric, self.agent, self.hook = fabric, agent, hook
        self.a, self.b, self.t = (fabric.guest(f"eni-{name}") for name in "abt")
        for guest in (self.a, self.b, self.t, fabric.internet):
            listeners.tcp(guest, 80, 81)
            listeners.udp(guest, 53, 54)
        if hook == "xdp":
            make_fit_for_xdp(fabric, agent.folder, (self.a, self.b))


def world_with(hook):
    with Fabric(make_state(hook)) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners, hook)


@scene
def tc_hook():
    yield from world_with("tc")


def verdicts(world):
    """What is allowed passes, what is not does not, whoever is asked."""
    for source, target, name in ((world.a, "eni-b", "veth to veth"), (world.a, "eni-t", "veth to tap"),
                                 (world.t, "eni-a", "tap to veth"), (world.t, "eni-b", "tap to veth, same subnet")):
        for address in world.fabric.state.addresses(target):
            equal(traffic.udp(source, address, 53), "answered", f"{name}: UDP to {address}")
            check(traffic.ping(source, address), f"{name}: no echo reply from {address}")
            equal(traffic.tcp(source, address, 80), "open", f"{name}: TCP to {address}")
            equal(traffic.udp(source, address, 54, False), "silent", f"{name}: UDP to {address}, denied")
            equal(traffic.tcp(source, address, 81, False), "silent", f"{name}: TCP to {address}, denied")


def gateway(world):
    equal(traffic.tcp(world.fabric.internet, PUBLIC, 80), "open", "from the internet")
    equal(traffic.tcp(world.fabric.internet, PUBLIC, 81, False), "silent", "from the internet, denied")
    equal(traffic.tcp(world.a, INTERNET4, 81), "open", "to the internet")
    check(traffic.ping(world.fabric.internet, PUBLIC), "no echo reply to the internet")


def reported_hook(world):
    hooks = {port["eni"]: port.get("hook") for port in world.agent.status()["ports"] if port["eni"] in
             ("eni-a", "eni-b", "eni-t")}
    check(len(hooks) == 3 and all(str(hook).startswith(world.hook) for hook in hooks.values()),
          f"`status` tells other hooks: {hooks}")


@test
def tc_verdicts(world):
    verdicts(world)


@test
def tc_gateway(world):
    gateway(world)


@test
def tc_is_reported(world):
    reported_hook(world)


@scene
def xdp_hook():
    yield from world_with("xdp")


@test
def xdp_verdicts(world):
    verdicts(world)


@test
def xdp_gateway(world):
    gateway(world)


@test
def xdp_is_reported_with_a_warning(world):
    """LIMITS: XDP on veth is known to hurt, and the log says so."""
    reported_hook(world)
    with open(world.agent.stderr_path, encoding="utf-8") as log:
        text = log.read().lower()
    check("xdp" in text and "veth-a" in text, "the agent's log does not warn about XDP on a veth")


if __name__ == "__main__":
    run()
