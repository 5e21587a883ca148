#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The kernel enforces without the agent: killed, restarted, stopped, all under traffic; and a clean end."""
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, allow, client_and_server

ALLOWED, TRACKED, DENIED = 9000, 9001, 9002


def make_state():
    return client_and_server([allow("udp", ALLOWED, *ANYWHERE), allow("udp", TRACKED, "sg-client"), allow("tcp", 80, "sg-client")])


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80, 81)

    def under_traffic(self, event):
        """Run event() under allowed, tracked and denied streams and an open session; everything must go on as if
        nothing had happened."""
        with traffic.Session(self.client, "10.0.2.10", 80) as session, \
                traffic.Stream(self.client, self.server, "10.0.2.10", ALLOWED, 1500) as allowed, \
                traffic.Stream(self.client, self.server, "2001:db8:1:2::10", TRACKED, 1500) as tracked, \
                traffic.Stream(self.client, self.server, "10.0.2.10", DENIED, 1500) as denied:
            check(session.echo(), "the session does not work")
            wait_for(lambda: len(allowed.got) > 50 and len(tracked.got) > 50, 5, "the allowed streams arrive")
            event()
            check(session.echo(b"still here"), "the open session was cut")
            equal(traffic.tcp(self.client, "10.0.2.10", 80), "open", "a new connection")
            equal(traffic.tcp(self.client, "10.0.2.10", 81, False), "silent", "a new denied connection")
            for name, stream in (("allowed", allowed), ("tracked", tracked)):
                sent, lost = stream.stop()
                equal(lost, 0, f"{name} packets lost, of {sent}")
            sent, lost = denied.stop()
            check(sent > 100, f"only {sent} denied packets sent")
            equal(sent - lost, 0, f"denied packets that passed, of {sent}")


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def killed_agent_changes_nothing(world):
    """kill -9: nothing newly allowed, no flow cut, and `status` says that no agent runs."""
    def kill():
        world.agent.kill()
        time.sleep(0.5)
    world.under_traffic(kill)
    done = world.agent.command("status", "--json", "--run-dir", world.agent.run_dir)
    equal(done.returncode, 1, "exit code of `enid status` without an agent")
    check(world.agent.drops().get("sg-ingress", 0) > 0, "the drops can be read with the agent dead")


@test
def restart_leaves_no_gap(world):
    """A new agent adopts what is pinned: no packet lost, the session goes on, flows are still known."""
    world.under_traffic(world.agent.start)
    equal(world.agent.command("status", "--run-dir", world.agent.run_dir).returncode, 0, "exit code of `enid status`")


@test
def restarts_under_load(world):
    """Five more, each killed the hard way."""
    def restarts():
        for _ in range(5):
            world.agent.kill()
            world.agent.start()
    world.under_traffic(restarts)


@test
def terminated_agent_leaves_the_kernel_enforcing(world):
    """SIGTERM: exit 0, and everything goes on."""
    def terminate():
        equal(world.agent.stop(), 0, "exit code of the agent after SIGTERM")
        time.sleep(0.3)
    world.under_traffic(terminate)
    world.agent.start()


@test
def state_changed_while_away_is_applied_at_start(world):
    """The agent is dead while the rules change; the next one puts them in force before it says READY."""
    world.agent.kill()
    permissions = world.state.find("SecurityGroups", "sg-server")["IpPermissions"]
    permissions.append(allow("tcp", 81, "sg-client"))
    world.state.save(world.agent.state_dir)
    world.agent.start()
    equal(traffic.tcp(world.client, "10.0.2.10", 81), "open", "the port that was opened meanwhile")
    permissions.pop()
    world.agent.apply()
    equal(traffic.tcp(world.client, "10.0.2.10", 81, False), "silent", "the port after the rule is gone")


@test
def state_broken_while_away_leaves_the_last_applied_one(world):
    """The agent is dead while the state is half written: the next one starts with what was in force last."""
    world.agent.kill()
    with open(os.path.join(world.agent.state_dir, "state.json"), "w", encoding="utf-8") as out:
        out.write('{"Vpcs": [{"VpcId": "vpc-1", "Cidr')
    world.agent.start()
    check("in force last" in world.agent.log_tail(40), "the agent says what it goes on with")
    equal(traffic.tcp(world.client, "10.0.2.10", 80), "open", "what was allowed")
    equal(traffic.tcp(world.client, "10.0.2.10", 81, False), "silent", "what was denied")
    world.agent.apply()


@test
def wrong_state_leaves_the_last_good_one(world):
    """A half-written file, and a state with an error: traffic as before, `status` says so; the next good one counts."""
    def spoil(text):
        draft = os.path.join(world.agent.state_dir, ".draft")
        with open(draft, "w", encoding="utf-8") as out:
            out.write(text)
        os.rename(draft, os.path.join(world.agent.state_dir, "state.json"))

    for text in ('{"Vpcs": [{"VpcId": "vpc-1", "Cidr', '{"SecurityGroups": [{"GroupId": 7}]}'):
        world.under_traffic(lambda text=text: (spoil(text), time.sleep(0.4)))
        wait_for(lambda: world.agent.status().get("attention"), 5 * traffic.SLOW, f"`status` tells about {text!r}")
    world.state.save(world.agent.state_dir)
    wait_for(lambda: not world.agent.status().get("attention"), 5 * traffic.SLOW, "`status` is content again")


@test
def sighup_reloads(world):
    world.agent.signal(signal.SIGHUP)
    time.sleep(0.2)
    check(world.agent.process.poll() is None, "the agent is gone")
    equal(traffic.tcp(world.client, "10.0.2.10", 80), "open", "a new connection")


@test
def device_that_comes_back_is_enforced(world):
    """E7: deleted and made again under the same name, with an attacker that never stops: allowed traffic again within
    5 s, and nothing denied before."""
    world.fabric.unplug("eni-client", "veth-client")
    time.sleep(0.2)
    world.fabric.plug("eni-client", "veth-client")
    began = time.monotonic()
    with traffic.Stream(world.client, world.server, "10.0.2.10", DENIED) as denied, \
            traffic.Stream(world.client, world.server, "10.0.2.10", ALLOWED) as allowed:
        wait_for(lambda: allowed.got, 5 * traffic.SLOW, "allowed traffic after the device came back", 0.01)
        took = time.monotonic() - began
        sent, lost = denied.stop()
    check(took < 5 * traffic.SLOW, f"allowed traffic came back after {took:.1f} s")
    equal(sent - lost, 0, f"denied packets that passed, of {sent}")


@test
def detach_all_leaves_nothing(world):
    """E11: no link, program, pin or rule of ours; the namespaces' devices stay. Last test: the agent is gone after."""
    world.agent.stop()
    with socket.socket(socket.AF_UNIX) as left, open(world.agent.run_dir + "/.status.json.new", "w", encoding="ascii"):
        left.bind(world.agent.run_dir + "/metrics.sock")  # as an agent leaves it that was killed
    done = world.agent.command("detach", "--all", "--run-dir", world.agent.run_dir)
    equal(done.returncode, 0, f"exit code of `enid detach --all` ({done.stderr.strip()})")
    equal(os.listdir(world.agent.run_dir), [], "files left in the run folder")
    check(not os.path.isdir(world.agent.pin_dir) or not os.listdir(world.agent.pin_dir), "pins are left")
    host = world.fabric.host
    equal(host.run("nft", "list", "ruleset").stdout.strip(), "", "nftables rules left")
    for device in ("veth-client", "veth-server"):
        for direction in ("ingress", "egress"):
            equal(host.run("tc", "filter", "show", "dev", device, direction, check=False).stdout.strip(), "",
                  f"filters left at {device} {direction}")
        check("xdp" not in host.run("ip", "link", "show", device).stdout, f"XDP left at {device}")


if __name__ == "__main__":
    run()
