#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A restart with another --max-flows carries live flows over: larger, smaller, too small, killed half way, under traffic."""
import glob
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent, AgentError
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, allow, client_and_server

SESSIONS = 40
SEED = int(os.environ.get("RESIZE_SEED", str(random.randrange(1 << 32))))
RULES = [allow("tcp", 80, "sg-client"), allow("udp", 90, *ANYWHERE)]


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent = fabric, agent
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80)
        listeners.udp(self.server, 90)
        addresses = ["10.0.2.10", "2001:db8:1:2::10"]
        self.sessions = [traffic.Session(self.client, addresses[i % 2], 80) for i in range(SESSIONS)]

    def resize(self, flows):
        self.agent.stop()
        self.agent.max_flows = flows
        self.agent.start()

    def expect_alive(self, why):
        dead = [i for i, session in enumerate(self.sessions) if not session.echo()]
        check(not dead, f"{why}: sessions {dead} are dead\n{self.agent.log_tail()}")

    def counted(self):
        """Packets of each session's way there, by its port."""
        rows = json.loads(self.agent.command("show", "flows", "--json", check=True).stdout)
        return {(row["forward"]["src"], row["forward"]["sport"]): row["forward"]["packets"] for row in rows
                if row["protocol"] == "tcp" and row["forward"]["from"] == "eni-client"}

    def left_over(self):
        maps = glob.glob(os.path.join(self.agent.pin_dir, "v*", "maps"))[0]
        return [name for name in os.listdir(maps) if name.endswith(("_next", "_former"))]

    def expect_charges(self):
        """What the client's port is charged for is what stands in the table, once limbo is over."""
        def right():
            rows = json.loads(self.agent.command("show", "flows", "--json", check=True).stdout)
            ports = json.loads(self.agent.command("show", "ports", "--json", check=True).stdout)
            told.append((sum(port["flows"] for port in ports), len(rows)))
            return told[-1][0] == told[-1][1]
        told = []
        wait_for(right, 15, f"charges of ports to be those of the flows: {told}")


@scene
def one_vpc():
    with Fabric(client_and_server(RULES, hook="tc")) as fabric, Agent(fabric, max_flows=4096) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


class Busy:
    """Every session talks all the time, and new ones come and go."""

    def __init__(self, world):
        self.world, self.over, self.echoes, self.faults = world, False, 0, []
        self.threads = [threading.Thread(target=work) for work in (self._talk, self._open)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()

    def _talk(self):
        while not self.over:
            for session in self.world.sessions:
                if not session.echo():
                    self.faults.append("a session fell silent")
                self.echoes += 1

    def _open(self):
        while not self.over:
            try:
                with traffic.Session(self.world.client, "10.0.2.10", 80) as session:
                    if not session.echo():
                        self.faults.append("a new session fell silent")
            except OSError as error:
                self.faults.append(f"a new session: {error}")
            time.sleep(0.01)


@test
def tables_grow_and_shrink_under_traffic(world):
    """No session falls silent, none loses what it counted, and nothing of the former table is left."""
    before = world.counted()
    equal(len(before), SESSIONS, "flows before")
    with Busy(world) as busy:
        for flows in (16384, 8192, 3000, 4096):
            world.resize(flows)
            equal(world.left_over(), [], "pins of a former table")
            time.sleep(0.2)
    equal(busy.faults, [], "faults under traffic")
    world.expect_charges()
    check(busy.echoes > SESSIONS, f"only {busy.echoes} echoes")
    after = world.counted()
    for key, packets in before.items():
        check(after.get(key, 0) > packets, f"{key}: {packets} packets before, {after.get(key)} after")
    total = sum(after[key] - before[key] for key in before)
    check(total >= busy.echoes, f"{total} packets counted of {busy.echoes} echoes")


@test
def a_table_that_is_too_small_is_refused_by_name(world):
    """C11: nothing is evicted: the agent does not start, the old table stays in force; a size with room then works."""
    world.agent.stop()
    world.agent.max_flows = SESSIONS // 2
    try:
        world.agent.start()
        check(False, "it started")
    except AgentError as error:
        check(f"flows live, a table of {SESSIONS // 2} has no room for them" in str(error), str(error))
    world.expect_alive("with the agent refused")
    world.agent.max_flows = 8192
    world.agent.start()
    world.expect_alive("with a table that has room")


@test
def another_size_is_nobodys_change(world):
    """E30: the limits of a new size are the agent's own doing, though the state is the same: no alarm."""
    for flows in (8192, 16384):
        world.resize(flows)
        wait_for(lambda: world.agent.status()["drift"]["watched"], 10 * SLOW, "a round of the watch")
        drift = world.agent.status()["drift"]
        equal((drift["repaired"], drift["last"]), (0, ""), f"drift with --max-flows {flows}")


@test
def a_gateway_in_the_state_makes_room_for_its_flows(world):
    """Status says how many flows may pass gateways that remember them; a restart makes room for all, and cuts none."""
    def flows():
        part = world.agent.status()["flows"]
        return part["max"], part["gated_max"], part["gated_refused"]
    size = world.agent.max_flows
    equal(flows(), (size, size // 4 + 64, 0), "flows in status without a gateway")
    world.fabric.state["EgressOnlyInternetGateways"] = [{"EgressOnlyInternetGatewayId": "eigw-1",
                                                         "Attachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    world.fabric.state.save(world.agent.state_dir)
    world.resize(size)
    equal(flows(), (size, size, 0), "flows in status with a gateway")
    equal(world.left_over(), [], "pins of a former table")
    world.expect_alive("after room was made")


@test
def a_hook_that_became_tc_meanwhile(world):
    """xdp_rx of an earlier agent goes with Hook xdp, though no agent saw that; it would work on the former table."""
    def pins():
        return glob.glob(os.path.join(world.agent.pin_dir, "**", "*_xdp_rx"), recursive=True)

    def put(hook):
        world.agent.stop()
        world.fabric.state = client_and_server(RULES, hook=hook)
        world.fabric.state.save(world.agent.state_dir)
        world.agent.max_flows = 32768 if hook == "tc" else 16384
        world.agent.start()
    put("xdp")
    wait_for(lambda: len(pins()) == 1, 5 * SLOW, "XDP on the client's device")
    put("tc")
    wait_for(lambda: not pins(), 5 * SLOW, "no XDP on the client's device")
    equal(traffic.tcp(world.client, "10.0.2.10", 80), "open", "a new session")
    world.expect_alive("after the change of the hook")


def kill_next(agent, gone, after):
    """Kill the process that follows the one that is gone, so long after it began."""
    while agent.process is gone:
        time.sleep(0.001)
    time.sleep(after)
    agent.process.kill()


@test
def an_agent_killed_half_way_leaves_all_flows(world):
    """E31: kill -9 at any moment of it; the next start goes on, and charges are right again."""
    sizes, rng = (2048, 8192), random.Random(SEED)
    print(f"# RESIZE_SEED={SEED}", flush=True)
    for turn in range(8):
        world.agent.stop()
        world.agent.max_flows = sizes[turn % 2]
        gone = world.agent.process
        killer = threading.Thread(target=kill_next, args=(world.agent, gone, rng.uniform(0, 1)))
        killer.start()
        try:
            world.agent.start()
        except AgentError:
            pass
        killer.join()
        world.agent.kill()
        world.expect_alive(f"killed, turn {turn}")
    try:
        world.agent.start()
    except AgentError:  # killed before the sizes changed places: the pins still have the other one
        world.agent.max_flows = sizes[turn % 2 - 1]
        world.agent.start()
    world.expect_alive("after all that")
    world.expect_charges()
    equal(world.left_over(), [], "pins of a former table")


@test
def entries_outlive_their_rule(world):
    """CT-07: what was admitted before goes on in a table of another size, though no rule would admit it now."""
    world.agent.stop()
    world.fabric.state = client_and_server([], hook="tc")
    world.fabric.state.save(world.agent.state_dir)
    world.agent.max_flows = 1024 if world.agent.max_flows != 1024 else 2048
    world.agent.start()
    world.expect_alive("without the rule")
    equal(traffic.tcp(world.client, "10.0.2.10", 80), "silent", "a new session")
    for session in world.sessions:
        session.close()


if __name__ == "__main__":
    sys.exit(run())
