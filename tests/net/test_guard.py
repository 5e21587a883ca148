#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Guard mode: somebody else bridges and routes, enid only passes or drops."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import ANYWHERE, State, acl, acl_open, allow, two_subnets

GUARD = {"Mode": "guard", "Side": "host"}
OPEN, CLOSED = 80, 81
HOST = "10.0.1.200"  # an ordinary address of the host; its +1 addresses are the router's, which no rule filters (SG-22)


def make_state(hook="auto"):
    """Two guests on one bridge (subnet s1), one behind the host's own routing (s2), one outsider on the bridge."""
    state = two_subnets()
    state.table("rtb-main", "vpc-1")
    state.nacl("acl-2", "vpc-1", ["s2"], [acl(50, "deny", "6", "10.0.1.20/32", 80), *acl_open()])
    # eni-b: egress to its subnets only, so that what it opens elsewhere is refused
    state.group("sg-a", "vpc-1", [allow("tcp", OPEN, *ANYWHERE), allow("icmp", (8, -1), "0.0.0.0/0"),
                                  allow("icmpv6", (128, -1), "::/0")])
    state.group("sg-b", "vpc-1", [allow("tcp", OPEN, "10.0.1.10/32")],
                [allow("tcp", OPEN, "10.0.0.0/16", "2001:db8:1::/56")])
    state.eni("eni-a", "s1", "10.0.1.10", ["sg-a"], "2001:db8:1:1::10")
    state.eni("eni-b", "s1", "10.0.1.20", ["sg-b"], "2001:db8:1:1::20")
    state.eni("eni-c", "s2", "10.0.2.10", ["sg-a"], "2001:db8:1:2::10")
    state.host("host-a", [(f"eni-{name}", f"veth-{name}", {**GUARD, "Hook": hook}) for name in "abc"])
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.a, self.b, self.c = (fabric.guest(f"eni-{name}") for name in "abc")
        for guest in (self.a, self.b, self.c):
            listeners.tcp(guest, OPEN, CLOSED)


def bridge_and_route(fabric):
    """The host's own networking: a bridge for s1 with the +1 addresses, a routed port for s2."""
    host = fabric.host
    host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    host.ip("link add br0 type bridge", "link set br0 up", "link set veth-a master br0", "link set veth-b master br0",
            "addr add 10.0.1.1/24 dev br0", f"addr add {HOST}/24 dev br0", "addr add 10.0.2.1/24 dev veth-c")
    for device, subnet in (("br0", 1), ("veth-c", 2)):
        host.ip(f"addr add 2001:db8:1:{subnet}::1/64 dev {device} nodad", f"addr add fe80:ec2::1/64 dev {device} nodad")


@scene
def bridge():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        bridge_and_route(fabric)
        agent.start()
        yield World(fabric, agent, listeners)


@test
def bridged_neighbours_by_their_groups(world):
    """Same subnet over the host's bridge: a may open b:80, c may not; ARP and ND work between the guests themselves."""
    equal(traffic.tcp(world.a, "10.0.1.20", OPEN), "open", "a to b:80")
    equal(traffic.tcp(world.b, "10.0.1.10", OPEN), "open", "b to a:80")
    equal(traffic.tcp(world.b, "2001:db8:1:1::10", OPEN), "open", "b to a:80, IPv6")
    before = world.agent.drops()
    equal(traffic.tcp(world.a, "10.0.1.20", CLOSED, False), "silent", "a to b:81")
    check(world.agent.dropped(before).get("sg-ingress", 0) >= 1, "sg-ingress is not counted")
    before = world.agent.drops()
    equal(traffic.tcp(world.b, "10.0.1.10", CLOSED, False), "silent", "b to a:81, which b's egress rules refuse")
    check(world.agent.dropped(before).get("sg-egress", 0) >= 1, "sg-egress is not counted")


@test
def routed_by_the_host(world):
    """The host routes between the subnets; groups and NACL still hold."""
    for address in ("10.0.2.10", "2001:db8:1:2::10"):
        equal(traffic.tcp(world.a, address, OPEN), "open", f"a to c:80 at {address}")
        check(traffic.ping(world.a, address), f"no echo reply from {address}")
        equal(traffic.tcp(world.a, address, CLOSED, False), "silent", f"a to c:81 at {address}")
    before = world.agent.drops()
    equal(traffic.tcp(world.b, "10.0.2.10", OPEN, False), "silent", "b to c:80, which c's NACL denies")
    check(world.agent.dropped(before).get("nacl-ingress", 0) >= 1, "nacl-ingress is not counted")


@test
def host_itself_is_judged(world):
    """What the host's stack sends to a guest passes the same rules."""
    host = world.fabric.host
    equal(traffic.tcp(host, "10.0.1.10", OPEN, source=HOST), "open", "host to a:80")
    equal(traffic.tcp(host, "10.0.1.10", CLOSED, False, source=HOST), "silent", "host to a:81")


@test
def spoofed_source_is_dropped(world):
    mac = world.state.find("NetworkInterfaces", "eni-a")["MacAddress"]
    b_mac = world.state.find("NetworkInterfaces", "eni-b")["MacAddress"]
    for source_mac, source, reason in ((mac, "10.0.1.99", "source-check"), (b_mac, "10.0.1.10", "mac-spoof")):
        before = world.agent.drops()
        body = frames.udp(source, "10.0.1.20", 4000, 53, b"spoofed in guard")
        with frames.Watch(world.b, matching=lambda found: b"spoofed in guard" in found) as watch:
            frames.send(world.a, "eth0", frames.ethernet(source_mac, b_mac, frames.ETH_IP, body), 20)
            time.sleep(0.2)
            equal(len(watch.stop()), 0, f"frames that arrived with {source_mac}, {source}")
        equal(world.agent.dropped(before).get(reason), 20, f"{reason} counted")


@test
def established_session_lives_untouched_bridge(world):
    """Bulk data over the bridge with all offloads of the kernel."""
    data = os.urandom(1 << 20)
    equal(traffic.tcp(world.b, "10.0.1.10", OPEN, data=data), "open", "1 MiB b to a and back")
    equal(traffic.tcp(world.a, "10.0.2.10", OPEN, data=data), "open", "1 MiB a to c and back")


def make_instance_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.subnet("s1", "vpc-1", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1")])
    state.internet_gateway("igw-1", "vpc-1")
    state.group("sg-a", "vpc-1", [allow("tcp", OPEN, "10.0.1.0/24", "2001:db8:1:1::/64")],
                [allow("tcp", OPEN, "10.0.1.0/24", "2001:db8:1:1::/64")])
    state.eni("eni-self", "s1", "10.0.1.10", ["sg-a"], "2001:db8:1:1::10")
    state.host("host-a", [("eni-self", "eni0", {"Mode": "guard", "Side": "instance"})])
    return state


@scene
def instance_side():
    """The device is the ENI itself: the machine that runs enid is the guest, the namespace behind it its neighbour."""
    state = make_instance_state()
    mac = state.find("NetworkInterfaces", "eni-self")["MacAddress"]
    with Fabric(state) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        machine, neighbour = fabric.host, fabric.guest("eni-self")
        # plug() made the namespace behind the device the guest; here it is the other way round
        neighbour.ip("addr flush dev eth0", "link set eth0 address 02:00:00:00:02:99", "addr add 10.0.1.99/24 dev eth0",
                     "addr add 2001:db8:1:1::99/64 dev eth0 nodad")
        machine.ip(f"link set eni0 address {mac}", "addr add 10.0.1.10/24 dev eni0",
                   "addr add 2001:db8:1:1::10/64 dev eni0 nodad")
        listeners.tcp(machine, OPEN, CLOSED)
        listeners.tcp(neighbour, OPEN, CLOSED)
        agent.start()
        yield machine, neighbour, agent


@test
def instance_is_protected(world):
    machine, neighbour, agent = world
    for mine, other in (("10.0.1.10", "10.0.1.99"), ("2001:db8:1:1::10", "2001:db8:1:1::99")):
        equal(traffic.tcp(neighbour, mine, OPEN), "open", f"neighbour to {mine}:80")
        equal(traffic.tcp(machine, other, OPEN), "open", f"instance to {other}:80")
        before = agent.drops()
        equal(traffic.tcp(neighbour, mine, CLOSED, False), "silent", f"neighbour to {mine}:81")
        check(agent.dropped(before).get("sg-ingress", 0) >= 1, "sg-ingress is not counted")
        before = agent.drops()
        equal(traffic.tcp(machine, other, CLOSED, False), "silent", f"instance to {other}:81")
        check(agent.dropped(before).get("sg-egress", 0) >= 1, "sg-egress is not counted")


if __name__ == "__main__":
    run()
