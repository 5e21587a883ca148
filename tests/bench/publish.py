# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a big state costs the agent: from nothing to enforced, and one rule more, from the written file to the map that holds it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.vpc import State, allow

RULES_A_GROUP = 20


def make_state(enis, rules):
    """`enis` ENIs in subnets of 4,000; groups of 20 rules, of which each ENI carries two."""
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    groups = max(rules // RULES_A_GROUP, 2)
    for number in range(groups):
        state.group(f"sg-{number:05}", "vpc-1", [allow("tcp", (1000 + n, 1000 + n + number % 50), f"10.{number % 200}.{n}.0/24") for n in range(RULES_A_GROUP)])
    for number in range(0, enis, 4000):
        state.subnet(f"s-{number // 4000}", "vpc-1", f"10.0.{number // 4000 * 16}.0/20")
    state.table("rtb-1", "vpc-1")
    ports = []
    for number in range(enis):
        place = number // 4000 * 4096 + number % 4000 + 16
        eni = state.eni(f"eni-{number:05}", f"s-{number // 4000}", f"10.0.{place >> 8}.{place & 255}",
                        [f"sg-{number % groups:05}", f"sg-{(number * 7 + 1) % groups:05}"])
        eni["MacAddress"] = f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        ports.append((eni["NetworkInterfaceId"], f"no{number}"))
    state.host("host-a", ports)
    return state


def one(table, enis, rules, gates):
    state = make_state(enis, rules)
    ports, state["Hosts"][0]["Ports"] = state["Hosts"][0]["Ports"], []
    with Fabric(state, prefix=f"bench-publish-{enis}") as fabric:
        state["Hosts"][0]["Ports"] = ports
        with Agent(fabric, max_flows=16384) as agent:
            state.save(agent.state_dir)
            began = os.times().elapsed
            agent.start(timeout=300)
            table.add(f"cold-start-{enis}-enis, s", os.times().elapsed - began, 1, "s", *gates[:2])
            seconds = []
            for number in range(5):
                state["SecurityGroups"][number]["IpPermissions"].append(allow("tcp", 7, f"192.0.2.{number}/32"))
                seconds.append(agent.apply(timeout=300))
            table.add(f"one-rule-{enis}-enis, ms", min(seconds) * 1000, 1, "ms", *gates[2:])


def measure(table, full):
    """The reference is one: gates are seconds and milliseconds. A test writes the whole state in one file, whose parsing counts."""
    one(table, 1000, 10000, (None, None, None, None))
    if full:
        one(table, 10000, 100000, (10, 2, 20, 2))
