#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Restart, upgrade and downgrade under load: nothing wrongly allowed, nothing cut, the books exact.

SURVIVE_ROUNDS: restarts of the same build (20), and a fifth of it upgrades and downgrades. SURVIVE_SECONDS: begin no other
one after so long, each.
"""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import OTHER_LAYOUT, Prober, Sessions, build, flow_counts, last_writes, make_state, rounds
from vpcnet import agent as agents
from vpcnet import traffic
from vpcnet.agent import Agent, AgentError
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test

ROUNDS = int(os.environ.get("SURVIVE_ROUNDS", "20"))
BUILDS = [agents.ENID, OTHER_LAYOUT]


@scene
def one_vpc():
    with Fabric(make_state(), prefix="survive") as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield fabric, agent, Sessions(fabric, listeners)


def layouts(agent):
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(agent.pin_dir, "v*")))


@test
def e5_same_layout_writes_nothing_and_loses_nothing(world):
    """Killed or ended, and started again, at full rate: no packet lost, every packet in the books, no map written."""
    fabric, agent, sessions = world
    with sessions, Prober(fabric) as prober:
        for number in rounds(ROUNDS):
            if number % 2:
                agent.kill()
            else:
                agent.stop()
            agent.start()
            equal(last_writes(agent), 0, "kernel entries written by a restart")
            sessions.alive(f"after restart {number}")
    prober.nothing_wrong()
    forward, reverse = flow_counts(agent, prober.result["sport"])
    equal((forward, reverse), (prober.result["sent"], prober.result["got"]), "packets in the flow's books")


@test
def e3_e5_other_layout_takes_flows_over(world):
    """N-1 -> N -> N-1 under load: the hooks change over in one moment, flows and NAT mappings go on, the old set is
    gone."""
    fabric, agent, sessions = world
    before = layouts(agent)
    with sessions, Prober(fabric) as prober:
        for pair in rounds(max(1, ROUNDS // 10)):
            for number in (2 * pair, 2 * pair + 1):
                agent.kill()
                with build(BUILDS[(number + 1) % 2]):
                    agent.start(timeout=60)  # five programs are verified, beside a prober at full rate
                    sessions.alive(f"after change {number}")
                    sessions.new(f"after change {number}")
                    now = layouts(agent)
                    check(len(now) == 1 and (now != before) == (number % 2 == 0), f"sets of pins: {now}, before {before}")
                    check(not os.path.exists(os.path.join(agent.pin_dir, "handover")), "the handover's pins are left")
                    status = agent.status()
                    check(not status["attention"], f"status: {status['attention']}")
    prober.nothing_wrong()
    forward, reverse = flow_counts(agent, prober.result["sport"])
    equal((forward, reverse), (prober.result["sent"], prober.result["got"]), "packets in the flow's books")


if __name__ == "__main__":
    run()
