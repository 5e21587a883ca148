#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an operator asks of a host at work: `enid show` over live flows, before and after a device is renamed."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, allow, client_and_server


def make_state():
    return client_and_server([allow("tcp", 80, "sg-client"), allow("icmp", -1, *ANYWHERE)])


class World:
    def __init__(self, fabric, agent, listeners):
        self.agent, self.host = agent, fabric.host
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80)

    def show(self, *what):
        return self.agent.command("show", *what, check=True).stdout

    def flows(self):
        return json.loads(self.show("flows", "--json"))


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def live_flows_are_shown(world):
    """A session and a ping: state, ends, counters and the rules that admitted them, as JSON and as lines."""
    with traffic.Session(world.client, "10.0.2.10", 80) as session:
        check(session.echo(), "the session does not work")
        world.client.run("ping", "-c", "1", "-W", "2", "10.0.2.10")
        rows = {row["protocol"]: row for row in world.flows() if row["forward"]["from"] == "eni-client"}
        tcp, icmp = rows.get("tcp"), rows.get("icmp")
        check(tcp and icmp, f"protocols shown: {sorted(rows)}")
        equal((tcp["state"], tcp["forward"]["to"], tcp["forward"]["dst"], tcp["forward"]["dport"]),
              ("ESTABLISHED", "eni-server", "10.0.2.10", 80), "the session")
        check(tcp["tracked"] and not tcp["translated"] and tcp["expires_s"] > 60, f"the session: {tcp}")
        check(tcp["forward"]["packets"] >= 3 and tcp["reverse"]["packets"] >= 2, f"its packets: {tcp}")
        stages = [rule.split()[0] for rule in tcp["forward"]["rules"]]
        equal(stages, ["sg-egress", "route", "nacl-egress", "nacl-ingress", "sg-ingress"], "what decided on it")
        check("id" in icmp["forward"] and "sport" not in icmp["forward"], f"ping has an identifier: {icmp['forward']}")
        lines = [line.split() for line in world.show("flows").splitlines()]
        check(any(line[0] == "tcp" and "ESTABLISHED" in line and "eni-client>eni-server" in line and "dport=80" in line
                  for line in lines if line), f"lines: {lines}")
    wait_for(lambda: all(row["state"] != "ESTABLISHED" for row in world.flows() if row["protocol"] == "tcp"), 5,
             "the closed session is shown as closing")


@test
def renamed_device_keeps_its_port(world):
    """Another name is another device to the state: the port is without one until the name is back; nothing opens."""
    def device():
        row = next(row for row in json.loads(world.show("ports", "--json")) if row["id"] == "eni-client")
        return {key: row[key] for key in ("number", "device", "ifindex", "deliver")}
    before = device()
    world.host.run("ip", "link", "set", "veth-client", "down")
    world.host.run("ip", "link", "set", "veth-client", "name", "veth-other")
    world.host.run("ip", "link", "set", "veth-other", "up")
    wait_for(lambda: device() != before, 10 * SLOW, "the agent to hear of the name")  # until then the device is judged as the port
    equal(traffic.tcp(world.client, "10.0.2.10", 80, False), "silent", "a connection from a device that nobody named")
    world.host.run("ip", "link", "set", "veth-other", "down")
    world.host.run("ip", "link", "set", "veth-other", "name", "veth-client")
    world.host.run("ip", "link", "set", "veth-client", "up")
    wait_for(lambda: traffic.tcp(world.client, "10.0.2.10", 80) == "open", 10, "connections with the name back")
    equal(device(), before, "the port as shown")


if __name__ == "__main__":
    run()
