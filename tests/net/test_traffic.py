#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is allowed works: TCP, UDP, ping, both families, same subnet and routed, between veth and tap ports."""
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import State, allow

VPC4, VPC6 = "10.0.0.0/16", "2001:db8:1::/56"
ENIS = {"eni-a": ("s1", "veth"), "eni-b": ("s1", "veth"), "eni-c": ("s2", "veth"),
        "eni-d": ("s2", "tap"), "eni-e": ("s1", "tap")}
REFUSED_PORT, DENIED_PORT = 81, 82


def make_state():
    state = State()
    state.vpc("vpc-1", VPC4, VPC6)
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1")
    state.group("sg-all", "vpc-1", [
        allow("tcp", (80, REFUSED_PORT), VPC4, VPC6), allow("udp", 53, VPC4, VPC6),
        allow("icmp", (8, -1), VPC4), allow("icmpv6", (128, -1), VPC6)])
    for number, (eni, (subnet, _)) in enumerate(ENIS.items()):
        net = subnet[1]
        state.eni(eni, subnet, f"10.0.{net}.{10 + number}", ["sg-all"], f"2001:db8:1:{net}::{10 + number}")
    state.host("host-a", [(eni, f"{kind}-{eni[4:]}") for eni, (_, kind) in ENIS.items()])
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        self.state = fabric.state
        for eni in ENIS:
            listeners.tcp(fabric.guest(eni), 80, DENIED_PORT)
            listeners.udp(fabric.guest(eni), 53, DENIED_PORT)

    def everyone_to_everyone(self, family, talk, wanted):
        """talk(guest, address) for each ordered pair of ENIs; all must answer `wanted`."""
        wrong = []
        for source, target in itertools.permutations(ENIS, 2):
            answer = talk(self.fabric.guest(source), self.state.addresses(target)[family == 6])
            if answer != wanted:
                same = ENIS[source][0] == ENIS[target][0]
                wrong.append(f"{source} ({ENIS[source][1]}) to {target} ({ENIS[target][1]}, "
                             f"{'same subnet' if same else 'routed'}): {answer}")
        check(not wrong, "; ".join(wrong))


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def tcp_ipv4_between_all_ports(world):
    world.everyone_to_everyone(4, lambda guest, address: traffic.tcp(guest, address, 80), "open")


@test
def tcp_ipv6_between_all_ports(world):
    world.everyone_to_everyone(6, lambda guest, address: traffic.tcp(guest, address, 80), "open")


@test
def udp_ipv4_between_all_ports(world):
    world.everyone_to_everyone(4, lambda guest, address: traffic.udp(guest, address, 53), "answered")


@test
def udp_ipv6_between_all_ports(world):
    world.everyone_to_everyone(6, lambda guest, address: traffic.udp(guest, address, 53), "answered")


@test
def ping_ipv4_between_all_ports(world):
    world.everyone_to_everyone(4, traffic.ping, True)


@test
def ping_ipv6_between_all_ports(world):
    world.everyone_to_everyone(6, traffic.ping, True)


@test
def closed_port_answers_with_reset(world):
    """The receiver's own RST comes back: enid allows the port, nobody listens there."""
    for family in (0, 1):
        answer = traffic.tcp(world.fabric.guest("eni-a"), world.state.addresses("eni-c")[family], REFUSED_PORT)
        equal(answer, "refused", f"family {family}")


@test
def denied_port_is_silent(world):
    """SG-02: a denial is a timeout, never a refusal."""
    before = world.agent.drops()
    for family in (0, 1):
        for target in ("eni-b", "eni-c", "eni-d"):
            address = world.state.addresses(target)[family]
            equal(traffic.tcp(world.fabric.guest("eni-a"), address, DENIED_PORT, False), "silent", f"TCP to {address}")
            equal(traffic.udp(world.fabric.guest("eni-a"), address, DENIED_PORT, False), "silent", f"UDP to {address}")
    dropped = world.agent.dropped(before)
    check(dropped.get("sg-ingress", 0) >= 6 + 18, f"sg-ingress counts what was denied: {dropped}")


@test
def router_answers_ping_of_own_subnet_only(world):
    """RT-14: +1 answers inside its subnet, and only there. ARP answers for it with the router's MAC."""
    guest = world.fabric.guest("eni-a")
    check(traffic.ping(guest, "10.0.1.1"), "no answer from 10.0.1.1")
    check(traffic.ping(guest, "2001:db8:1:1::1"), "no answer from 2001:db8:1:1::1")
    check(not traffic.ping(guest, "10.0.2.1", False), "10.0.2.1 answers a guest of another subnet")
    neighbours = guest.run("ip", "neigh", "show").stdout
    for address in ("10.0.1.1 ", "2001:db8:1:1::1 "):
        lines = [line for line in neighbours.splitlines() if line.startswith(address)]
        check(lines and frames.ROUTER_MAC in lines[0], f"{address}has not the router's MAC: {lines}")


@test
def neighbours_have_their_own_mac(world):
    """L2-02: within a subnet, ARP and ND tell the ENI's real MAC; an address of nobody has no answer."""
    guest = world.fabric.guest("eni-a")
    equal(traffic.tcp(guest, world.state.addresses("eni-b")[0], 80), "open", "TCP to a neighbour")
    equal(traffic.tcp(guest, world.state.addresses("eni-b")[1], 80), "open", "TCP to a neighbour, IPv6")
    mac = world.state.find("NetworkInterfaces", "eni-b")["MacAddress"]
    neighbours = guest.run("ip", "neigh", "show").stdout
    for address in world.state.addresses("eni-b"):
        check(any(line.startswith(address + " ") and mac in line for line in neighbours.splitlines()),
              f"{address} is not at {mac}: {neighbours!r}")
    check(not traffic.ping(guest, "10.0.1.99", False), "10.0.1.99, which no ENI owns, answers")
    check("10.0.1.99 dev eth0 lladdr" not in guest.run("ip", "neigh", "show").stdout, "ARP for 10.0.1.99 was answered")


@test
def hop_limit_stays(world):
    """RT-14: the implicit router does not count as a hop."""
    guest = world.fabric.guest("eni-a")
    done = guest.run("ping", "-n", "-c", "1", "-W", "2", world.state.addresses("eni-c")[0], check=False)
    check("ttl=64" in done.stdout, f"the reply's TTL is not 64: {done.stdout!r}")


@test
def bulk_transfer_arrives_whole(world):
    """256 KiB each way, checked byte for byte, over each pair of port kinds."""
    data = bytes(range(256)) * 1024
    for source, target in (("eni-a", "eni-c"), ("eni-a", "eni-d"), ("eni-d", "eni-a"), ("eni-e", "eni-d")):
        for address in world.state.addresses(target):
            answer = traffic.tcp(world.fabric.guest(source), address, 80, data=data)
            equal(answer, "open", f"{source} to {target} at {address}")


@test
def checksums_are_right_on_the_wire(world):
    """What leaves through a tap is what is on the wire: every checksum was verified there. What enters from a tap
    carries real checksums, which the receiving kernel verified for the tests above."""
    carried = sum(cable.frames for cable in world.fabric.cables.values())
    faults = [fault for cable in world.fabric.cables.values() for fault in cable.bad_checksums]
    check(carried > 500, f"only {carried} frames went over the taps: did the other tests run?")
    check(not faults, f"{len(faults)} of {carried} frames: {faults[:5]}")


if __name__ == "__main__":
    run()
