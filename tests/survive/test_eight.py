#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Eight agents are started at the same moment, for one folder of pins: one serves, seven say who does, and end.

SURVIVE_EIGHT: how often, of each kind (1).
"""
import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import Prober, Sessions, make_state
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for

EIGHT = 8
TIMES = int(os.environ.get("SURVIVE_EIGHT", "1"))


@scene
def eight_agents():
    """Of one host: their pins are the same, all other folders are their own."""
    with Fabric(make_state(), prefix="eight") as fabric, contextlib.ExitStack() as stack:
        agents = [stack.enter_context(Agent(fabric)) for _ in range(EIGHT)]
        listeners = stack.enter_context(traffic.Listeners())
        yield fabric, agents, Sessions(fabric, listeners)


def start_all(fabric, agents):
    """They wait behind one pipe, and all see its end at once."""
    read, write = os.pipe()
    for agent in agents:
        with open(agent.stderr_path, "wb") as stderr:
            agent.process = fabric.host.popen("sh", "-c", 'read -r _; exec "$@" </dev/null', "sh", *agent.words(),
                                              stdin=read, stdout=stderr, stderr=stderr)
    os.close(read)
    os.close(write)


def one_serves(agents):
    """-> who"""
    wait_for(lambda: sum(agent.process.poll() is None for agent in agents) <= 1, 60 * SLOW, "all but one have ended", 0.1)
    alive = [agent for agent in agents if agent.process.poll() is None]
    equal(len(alive), 1, "agents alive:\n" + "".join(agent.log_tail(3) for agent in agents))
    first = alive[0]
    def serves():
        check(first.process.poll() is None, f"who was to serve has ended:\n{first.log_tail()}")
        status = first.status()
        return status["agent"]["pid"] == first.process.pid and not status["attention"] and len(status["ports"]) > 2 and \
            all(port["enforced"] for port in status["ports"] if port["device"])
    wait_for(serves, 60 * SLOW, f"it serves:\n{first.log_tail()}", 0.1)
    for agent in agents:
        if agent is not first:
            equal(agent.process.returncode, 1, f"exit of one that came second:\n{agent.log_tail()}")
            check(f"pid {first.process.pid}" in agent.log_tail(), f"pid {first.process.pid} is not named:\n{agent.log_tail()}")
    return first


def pins(agent):
    return sorted(os.path.relpath(os.path.join(folder, name), agent.pin_dir)
                  for folder, folders, names in os.walk(agent.pin_dir) for name in (*folders, *names))


def written(agent):
    return {name for folder in (agent.run_dir, agent.log_dir) for name in os.listdir(folder)}


@test
def e10_one_of_eight_makes_the_pins(world):
    """E10: nothing is there yet. One makes all of it, just as one that is alone does; the others leave nothing."""
    fabric, agents, sessions = world
    agents[0].start()
    alone = pins(agents[0])
    check(any("links/" in pin for pin in alone), f"an agent that is alone: {alone}")
    agents[0].command("detach", "--all", "--run-dir", agents[0].run_dir, check=True)
    agents[0].process.wait(20 * SLOW)
    for _ in range(TIMES):
        check(not os.path.exists(agents[0].pin_dir), "the pins are still there")
        before = {agent: written(agent) for agent in agents}
        start_all(fabric, agents)
        first = one_serves(agents)
        equal(pins(first), alone, "pins after eight")
        for agent in agents:
            check(agent is first or written(agent) - before[agent] <= {"lock"}, f"one that came second left {written(agent)}")
        with sessions:
            sessions.new("with one of eight")
        first.command("detach", "--all", "--run-dir", first.run_dir, check=True)
        equal(first.process.wait(20 * SLOW), 0, "exit of the one that served")


@test
def e10_one_of_eight_adopts_them(world):
    """E10, E31: one was killed. Nothing is made anew, and nobody's packets notice."""
    fabric, agents, sessions = world
    first = agents[0]
    first.start()
    with sessions, Prober(fabric) as prober:
        for number in range(TIMES):
            before = pins(first)
            first.kill()
            start_all(fabric, agents)
            first = one_serves(agents)
            equal(pins(first), before, "pins after eight")
            sessions.alive(f"after eight, {number}")
    prober.nothing_wrong()


if __name__ == "__main__":
    run()
