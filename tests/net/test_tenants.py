#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two tenants with equal addresses on one host: nothing of one ever reaches the other (B9)."""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import ANYWHERE, State, allow

TENANTS = ("red", "blue")
CIDR6 = "2001:db8:1::/56"  # private IPAM ranges may be equal, too (V6-01)


def make_state():
    state = State()
    for tenant in TENANTS:
        vpc = "vpc-" + tenant
        state.vpc(vpc, "10.0.0.0/16", CIDR6)
        for number in (1, 2):
            state.subnet(f"s{number}-{tenant}", vpc, f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
        state.table("rtb-" + tenant, vpc)
        state.group("sg-" + tenant, vpc, [allow("-1", None, *ANYWHERE)])
        for eni, subnet in (("client", 1), ("near", 1), ("server", 2)):
            last = {"client": 10, "near": 20, "server": 10}[eni]
            state.eni(f"eni-{eni}-{tenant}", f"s{subnet}-{tenant}", f"10.0.{subnet}.{last}", ["sg-" + tenant],
                      f"2001:db8:1:{subnet}::{last}")
    # Only one of the two has a guest at this address: the other's packets to it have nowhere to go.
    state.eni("eni-only-blue", "s2-blue", "10.0.2.99", ["sg-blue"])
    state.host("host-a", [(eni["NetworkInterfaceId"], "v-" + eni["NetworkInterfaceId"][4:])
                          for eni in state["NetworkInterfaces"]])
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        for tenant in TENANTS:
            for eni in ("near", "server"):
                guest = fabric.guest(f"eni-{eni}-{tenant}")
                listeners.udp(guest, 53, prefix=tenant.encode())
                listeners.tcp(guest, 80)
        listeners.tcp(fabric.guest("eni-only-blue"), 80)


@scene
def two_tenants():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def same_tuples_at_the_same_time(world):
    """Both tenants' clients send from the same address and port to the same address and port, all at once: each gets
    its own tenant's answers only."""
    foreign, answered, lock = [], {tenant: 0 for tenant in TENANTS}, threading.Lock()

    def talk(tenant):
        guest = world.fabric.guest(f"eni-client-{tenant}")
        for sport in range(20000, 20100):
            for target in ("10.0.2.10", "10.0.1.20", "2001:db8:1:2::10", "2001:db8:1:1::20"):
                answers = []
                traffic.udp(guest, target, 53, sport=sport, data=b"/" + tenant.encode(), ret_data=answers)
                with lock:
                    answered[tenant] += bool(answers)
                    foreign.extend(a for a in answers if a != tenant.encode() + b"/" + tenant.encode())

    threads = [threading.Thread(target=talk, args=(tenant,)) for tenant in TENANTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not foreign, f"{len(foreign)} foreign answers: {foreign[:3]}")
    equal(answered, {tenant: 400 for tenant in TENANTS}, "answers")


@test
def tcp_stays_with_its_tenant(world):
    for tenant in TENANTS:
        guest = world.fabric.guest(f"eni-client-{tenant}")
        with traffic.Session(guest, "10.0.2.10", 80, sport=30000) as session:
            check(session.echo(tenant.encode() * 1000), f"{tenant}: no echo")


@test
def the_other_tenants_address_is_nobody(world):
    """The blue guest at 10.0.2.99 does not exist for red."""
    equal(traffic.tcp(world.fabric.guest("eni-client-blue"), "10.0.2.99", 80), "open", "blue")
    before = world.agent.drops()
    equal(traffic.tcp(world.fabric.guest("eni-client-red"), "10.0.2.99", 80, False), "silent", "red")
    check(world.agent.dropped(before).get("no-owner", 0) >= 1, "no-owner is not counted")


if __name__ == "__main__":
    run()
