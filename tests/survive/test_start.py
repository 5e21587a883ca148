#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Starts, deaths and policy swaps at full rate; devices that go and come back with an attacker on them.

SURVIVE_ROUNDS: how many of each (20). SURVIVE_SECONDS: begin no other one after so long, each. SURVIVE_SEED: the order; printed.
"""
import itertools
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import DENIED, SERVER, SWAPPED, Prober, Sessions, make_state, rounds
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent, AgentError
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import allow

ROUNDS = int(os.environ.get("SURVIVE_ROUNDS", "20"))
SEED = int(os.environ.get("SURVIVE_SEED", str(random.randrange(1 << 32))))


@scene
def one_vpc():
    with Fabric(make_state(), prefix="starts") as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        listeners.udp(fabric.guest("eni-server"), SWAPPED)
        yield fabric, agent, Sessions(fabric, listeners)


def toggle(fabric):
    """-> is the port open in the new state?"""
    permissions = fabric.state.find("SecurityGroups", "sg-server")["IpPermissions"]
    if permissions[-1]["FromPort"] == SWAPPED:
        permissions.pop()
    else:
        permissions.append(allow("udp", SWAPPED, "sg-client"))
    return permissions[-1]["FromPort"] == SWAPPED


def swap(fabric, agent):
    """A rule comes or goes; as soon as the agent says so, a new flow is judged by it."""
    open_now = toggle(fabric)
    agent.apply()
    judged(fabric, open_now)


# Below what the kernel hands out, one after the other: a port that came again within 30 s would be a flow that is known.
ports = itertools.cycle(range(10000, 32000))


def judged(fabric, open_now):
    met = traffic.udp(fabric.guest("eni-client"), SERVER, SWAPPED, open_now, sport=next(ports))
    equal(met, "answered" if open_now else "silent", "a new flow after the swap")


def second_agent(agent):
    first = agent.process
    try:
        agent.start()
    except AgentError as error:
        check(f"pid {first.pid}" in str(error), f"E10: the second agent does not name the first: {error}")
    else:
        check(False, "E10: a second agent has started")
    finally:
        agent.process = first


@test
def e1_starts_deaths_and_swaps_under_load(world):
    """E1, E2, E10: at full rate nothing denied passes, nothing allowed is lost, sessions go on."""
    fabric, agent, sessions = world
    rng = random.Random(SEED)
    print(f"# seed {SEED}", flush=True)
    with sessions, Prober(fabric) as prober:
        second_agent(agent)
        sessions.alive("after a second agent")
        for number in rounds(ROUNDS):
            what = rng.choice(("kill", "stop", "swap", "swap", "kill in a swap"))
            if what == "swap":
                swap(fabric, agent)
            elif what == "kill in a swap":
                open_now = toggle(fabric)
                fabric.state.save(agent.state_dir)
                agent.kill()
                agent.start()
                judged(fabric, open_now)
            else:
                (agent.stop if what == "stop" else agent.kill)()
                agent.start()
            sessions.alive(f"after {what}, round {number}")
    prober.nothing_wrong()


def recreated(fabric):
    fabric.unplug("eni-client", "veth-client")
    fabric.plug("eni-client", "veth-client")


def moved(fabric):
    """The host's end goes to another namespace and comes back, with a new index maybe."""
    elsewhere = fabric.namespace(f"else{len(fabric.namespaces)}")
    fabric.host.ip(f"link set veth-client netns {elsewhere.name}")
    elsewhere.ip(f"link set veth-client netns {fabric.host.name}")
    fabric.host.ip("link set veth-client up")


@test
def e7_devices_come_back_closed(world):
    """E7: made again, or moved away and back, with an attacker that never stops: nothing denied passes."""
    fabric, agent, _ = world
    client, server = fabric.guest("eni-client"), fabric.guest("eni-server")
    for number in rounds(max(4, ROUNDS // 5)):
        with traffic.Stream(client, server, SERVER, DENIED, 1000) as denied:
            (moved if number % 2 else recreated)(fabric)
            wait_for(lambda: traffic.tcp(client, SERVER, 80) == "open", 10 * SLOW, "allowed traffic is back")
            sent, lost = denied.stop()
        equal(sent - lost, 0, f"denied packets that passed, of {sent}")
        wait_for(lambda: not agent.status()["attention"], 5 * SLOW, "`status` is content")


if __name__ == "__main__":
    run()
