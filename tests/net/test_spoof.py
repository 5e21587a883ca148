#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The spoof matrix: a guest sends every lie that a frame can tell, from a veth and from a tap, through TC and XDP, in
router and in guard mode. A peer of its subnet, another one, a guest of another subnet, tenants of another VPC with
the same addresses and MACs, and the host watch. Every frame has exactly one fate: the books of the sender's port
balance by reason, name by name, and nothing arrives anywhere that should not."""
import collections
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import forge, frames
from vpcnet.agent import SLOW, Agent
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.raw import RawFabric, StackCounter
from vpcnet.vpc import ANYWHERE, State, allow

CIDR6 = "2001:db8:1::/56"
CHUNK = 400
DEVICES = {"eni-a": "veth-a", "eni-t": "tap-t", "eni-peer": "veth-peer", "eni-shut": "veth-shut", "eni-far": "veth-far",
           "eni-real": "veth-real", "eni-x": "veth-x", "eni-xpeer": "veth-xpeer"}
BRIDGED = ("eni-a", "eni-t", "eni-peer", "eni-shut", "eni-real")


def make_state(hook, mode):
    state = State()
    for vpc in "1x":
        state.vpc("vpc-" + vpc, "10.0.0.0/16", CIDR6)
        for number in (1, 2):
            state.subnet(f"s{number}-{vpc}", "vpc-" + vpc, f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
        state.table("rtb-" + vpc, "vpc-" + vpc)
        state.group("sg-open" + vpc, "vpc-" + vpc, [allow("-1", None, *ANYWHERE)])
    state.group("sg-shut", "vpc-1")
    for eni, subnet, last, group in (("a", "s1-1", 10, "open1"), ("t", "s1-1", 11, "open1"),
                                     ("peer", "s1-1", 20, "open1"),
                                     ("shut", "s1-1", 30, "shut"), ("real", "s1-1", 40, "open1"),
                                     ("far", "s2-1", 20, "open1"),
                                     ("x", "s1-x", 10, "openx"), ("xpeer", "s1-x", 20, "openx")):
        number = subnet[1]
        state.eni("eni-" + eni, subnet, f"10.0.{number}.{last}", ["sg-" + group], f"2001:db8:1:{number}::{last}")
    for twin, of in (("eni-x", "eni-a"), ("eni-xpeer", "eni-peer")):
        state.find("NetworkInterfaces", twin)["MacAddress"] = state.find("NetworkInterfaces", of)["MacAddress"]
    more = {"Hook": hook, "Mode": mode, **({"Side": "host"} if mode == "guard" else {})}
    state.host("host-a", [(eni, device, more) for eni, device in DEVICES.items()])
    return state


class World:
    """Wires, watchers and books."""

    def __init__(self, fabric, agent, guard):
        self.fabric, self.agent, self.guard, self.host = fabric, agent, guard, fabric.host
        self.sides = {}
        for eni in DEVICES:
            mac = fabric.state.find("NetworkInterfaces", eni)["MacAddress"]
            self.sides[eni] = forge.Side(mac, *fabric.state.addresses(eni))
        self.wires = fabric.wires
        self.lan = fabric.wires["lan"] = fabric.add_wire("lan", "lan0")
        self._prepare_host()
        self.stack = StackCounter(self.host, [DEVICES[eni] for eni in ("eni-a", "eni-t")])
        self.sent = 0

    def _prepare_host(self):
        """The host forwards whatever reaches its stack, to the lan; in guard mode it bridges the subnet, is its
        router, and has no way to the other ones."""
        self.host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.host.ip("addr add 192.0.2.1/24 dev lan0", "route add default via 192.0.2.9 dev lan0",
                     "neigh add 192.0.2.9 lladdr 02:00:00:00:09:09 dev lan0 nud permanent")
        if self.guard:
            self.host.ip(f"link add br0 address {frames.ROUTER_MAC} type bridge mcast_snooping 0", "link set br0 up",
                         "route add blackhole 10.0.0.0/16",
                         *[f"link set {DEVICES[eni]} master br0" for eni in BRIDGED])
            time.sleep(0.1)

    def settle(self):
        """Every guest on the bridge says who it is, so that unicast is not flooded."""
        for eni in BRIDGED if self.guard else ():
            side = self.sides[eni]
            if eni in self.wires:
                hello = frames.arp_request(side.mac, side.four, side.four)
                self.wires[eni].send([frames.ethernet(side.mac, forge.BROADCAST, frames.ETH_ARP, hello)])
        if self.guard:
            self.host.run("bridge", "fdb", "replace", self.sides["eni-real"].mac, "dev", "veth-real", "master",
                          "static")
        time.sleep(0.2 * SLOW)
        for wire in self.wires.values():
            wire.drain()

    def cast(self, eni):
        return forge.Cast(self.sides[eni], self.sides["eni-peer"],
                          self.sides["eni-shut"], self.sides["eni-far"], self.guard)

    def drops(self, eni):
        """Of one port, by reason."""
        rows = json.loads(self.agent.command("show", "drops", "--json", check=True).stdout)
        return collections.Counter({row["reason"]: row["packets"] for row in rows if row["port"] == eni})

    def books(self, eni):
        """What has become of the frames of a port: drops by reason, and what the host's stack or bridge was given."""
        counts = self.drops(eni)
        counts["host"] = self.stack.read(DEVICES[eni])
        return counts

    def volley(self, eni, shots, mark=0):
        """Send, and return (what became of the frames, what arrived where)."""
        wire, arrived = self.wires[eni], collections.defaultdict(list)
        before = self.books(eni)
        more = {"mark": mark} if mark else {}
        for start in range(0, len(shots), CHUNK):
            wire.send([frame for frame, _ in shots[start:start + CHUNK]], **more)
            self._drain(arrived)
        self.sent += len(shots)
        until = time.monotonic() + 2 * SLOW
        while True:
            self._drain(arrived)
            found = self.books(eni) - before
            found["reply"] = len(arrived[eni])
            if not self.guard:
                found.update(deliver=len(arrived["eni-peer"]), routed=len(arrived["eni-far"]))
            found = +found
            if sum(found.values()) >= len(shots) or time.monotonic() > until:
                return found, arrived
            time.sleep(0.01)

    def _drain(self, arrived):
        for name, wire in self.wires.items():
            found = wire.drain()
            if found:
                arrived[name].extend(found)


FATE_IN_BOOKS = {"bridge": "host", "flood": "host"}


def expected_books(shots):
    return collections.Counter(FATE_IN_BOOKS.get(fate, fate) for _, fate in shots)


def expected_arrivals(eni, shots):
    """Who gets how many of the frames."""
    fates = collections.Counter(fate for _, fate in shots)
    other = "eni-t" if eni == "eni-a" else "eni-a"
    expected = {"eni-peer": fates["deliver"] + fates["bridge"] + fates["flood"], "eni-shut": fates["flood"],
                other: fates["flood"], "eni-far": fates["routed"], eni: fates["reply"]}
    return {name: count for name, count in expected.items() if count}


def verdict(world, eni, shots, mark=0):
    """What is wrong with a volley, or None."""
    found, arrived = world.volley(eni, shots, mark)
    wanted, counts = expected_books(shots), {name: len(found) for name, found in arrived.items() if found}
    if found != wanted:
        return f"books {dict(found - wanted)} instead of {dict(wanted - found)}"
    if counts != expected_arrivals(eni, shots):
        return f"arrivals {counts}, expected {expected_arrivals(eni, shots)}"
    sent = collections.Counter(frame[14:] for frame, fate in shots if fate in ("deliver", "bridge", "flood"))
    if collections.Counter(frame[14:] for frame in arrived["eni-peer"]) != sent:
        return "the peer got other packets than were sent to it"
    return foreign_answer(world, eni, arrived[eni])


def foreign_answer(world, eni, answers):
    """ARP and ND are answered to the sender alone, and with the truth."""
    truth = {world.sides["eni-peer"].four: world.sides["eni-peer"].mac, forge.ROUTER4: frames.ROUTER_MAC,
             world.sides["eni-peer"].six: world.sides["eni-peer"].mac,
             **dict.fromkeys(forge.ROUTER6, frames.ROUTER_MAC)}
    truth = {forge.ipaddress.ip_address(address).packed: frames.mac_bytes(mac) for address, mac in truth.items()}
    for frame in answers:
        ethertype = int.from_bytes(frame[12:14], "big")
        if frame[:6] != frames.mac_bytes(world.sides[eni].mac) and frame[:2] != b"\x33\x33":
            return f"an answer to somebody else: {frame.hex()}"
        if ethertype == frames.ETH_ARP and truth.get(frame[28:32]) != frame[22:28]:
            return f"an ARP answer that is not true: {frame.hex()}"
        if ethertype == frames.ETH_IP6 and frame[54] == 136 and truth.get(frame[62:78]) != frame[80:86]:
            return f"a neighbour advertisement that is not true: {frame.hex()}"
    return None


def blame(world, eni, shots, mark):
    """The first frame of a volley that fares otherwise than it should, by halving."""
    while len(shots) > 1:
        half = shots[:len(shots) // 2]
        shots = half if verdict(world, eni, half, mark) else shots[len(shots) // 2:]
    why = verdict(world, eni, shots, mark)
    frame, fate = shots[0]
    return f"frame {frame[:120].hex()}, which should be {fate}: {why}" if why else "each half alone fares well"


def fire(world, make, enis=("eni-a", "eni-t"), mark=0):
    for eni in enis:
        shots = make(world.cast(eni))
        why = verdict(world, eni, shots, mark)
        check(not why, f"{make.__name__} from {DEVICES[eni]}, {len(shots)} frames: {why}; "
              f"{why and blame(world, eni, shots, mark)}")


def world_with(hook, mode):
    raw = [eni for eni in DEVICES if eni != "eni-real"]
    with RawFabric(make_state(hook, mode), raw, prefix="spoof") as fabric, Agent(fabric) as agent:
        world = World(fabric, agent, mode == "guard")
        agent.start()
        world.settle()
        world.memory = memory(world)
        hooks = {port["hook"] for port in agent.status()["ports"]}
        check(all(found.startswith(hook) for found in hooks), f"the hooks are {hooks}, not {hook}")
        yield world


def memory(world):
    """What the host and a real guest believe: routes, neighbours, addresses. A guest may know the attackers by their
    own names."""
    real = world.fabric.guest("eni-real")
    sides = [world.sides[eni] for eni in ("eni-a", "eni-t")]
    own = [name for side in sides for name in (side.four, side.six, side.link_local)]
    believed = []
    for name, namespace in (("host", world.host), ("guest", real)):
        for what in (("route", "show", "table", "all"), ("-6", "route", "show", "table", "all"), ("neigh", "show"),
                     ("-o", "addr", "show")):
            lines = namespace.run("ip", *what).stdout.splitlines()
            believed += [f"{name}: {line}" for line in lines
                         if not (what[0] == "neigh" and line.split()[0] in own)]
    return sorted(believed)


PARTS = []


def part(function):
    """Decorator: a part of the matrix, played in every scene in the order of this file."""
    PARTS.append(function)
    return function


@part
def honest_frames_arrive(world):
    fire(world, forge.honest)


@part
def b1_sources(world):
    fire(world, forge.sources)


@part
def b2_source_macs(world):
    fire(world, forge.source_macs)


@part
def b3_arp(world):
    fire(world, forge.arp)


@part
def b4_solicitations(world):
    fire(world, forge.solicits)


@part
def b4_b5_advertisements_and_redirects(world):
    fire(world, forge.adverts)


@part
def b5_redirects(world):
    fire(world, forge.redirects4)


@part
def b6_dhcp(world):
    fire(world, forge.dhcps)


@part
def b4_b5_all_icmp_types(world):
    fire(world, forge.icmp_types)


@part
def b7_groups(world):
    fire(world, forge.groups)


@part
def b7_macs_of_nobody(world):
    fire(world, forge.target_macs)


@part
def a9_tags_in_the_frame(world):
    fire(world, forge.tags)


@part
def a10_every_ethertype(world):
    fire(world, forge.ethertypes)


@part
def a11_every_protocol(world):
    fire(world, forge.protocols)


@part
def b1_spoof_poisons_nothing(world):
    """B1: what was sent in a victim's name leaves no record, so the answer to it is not an answer. The victim's groups
    refuse it: where the peer sends it in router mode, where it would arrive in guard mode."""
    peer, shut, judge = world.sides["eni-peer"], world.sides["eni-shut"], "eni-shut" if world.guard else "eni-peer"
    for attacker in ("eni-a", "eni-t"):
        cast = world.cast(attacker)
        lies = [(cast.frame(frames.udp(shut.four, peer.four, 5000, 6000)), "source-check"),
                (cast.frame(frames.tcp(shut.four, peer.four, 5000, 6000, 2)), "source-check")]
        why = verdict(world, attacker, lies * 20)
        check(not why, f"{attacker}: {why}")
    before = world.drops(judge)
    for body in (frames.udp(peer.four, shut.four, 6000, 5000), frames.tcp(peer.four, shut.four, 6000, 5000, 0x12, 9, 2)):
        world.wires["eni-peer"].send([frames.ethernet(peer.mac, shut.mac, frames.ETH_IP, body)] * 20)
    wait_for(lambda: (world.drops(judge) - before).total() >= 40, 5 * SLOW, "40 drops of the answers")
    equal(len(world.wires["eni-shut"].drain()), 0, "answers that the victim got")
    equal(world.drops(judge) - before, {"sg-ingress": 40}, "drops of the answers")


@part
def a9_tags_beside_the_frame(world):
    """A9: from the veth only, since nothing brings a tag beside the frame into a tap."""
    guest, program = world.wires["eni-a"].namespace, os.path.join(world.agent.folder, "push.o")
    subprocess.run(["clang", "-O2", "-target", "bpf", f"-I/usr/include/{os.uname().machine}-linux-gnu", "-x", "c",
                    "-c", "-",
                    "-o", program], input=forge.VLAN_PUSH, check=True)
    guest.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    guest.run("tc", "filter", "add", "dev", "eth0", "egress", "bpf", "da", "obj", program, "sec", "tc")
    fire(world, forge.honest, ("eni-a",))  # the flows are known now: a tag must not slip through with them
    for mark, shots in forge.metadata_tags(world.cast("eni-a")):
        why = verdict(world, "eni-a", shots, mark)
        check(not why, f"mark {mark:#x}: {why}; {why and blame(world, 'eni-a', shots, mark)}")
    guest.run("tc", "qdisc", "del", "dev", "eth0", "clsact")


@part
def b3_b4_b5_nobody_believed_a_word(world):
    """B3, B4, B5: after all of it routes, neighbours and addresses of the host and of a real guest are what they
    were."""
    equal([line for line in memory(world) if line not in world.memory], [], "new beliefs")
    equal([line for line in world.memory if line not in memory(world)], [], "lost beliefs")
    if world.guard:
        learned = [line for line in world.host.run("bridge", "fdb", "show", "br", "br0").stdout.splitlines()
                   if "permanent" not in line and "static" not in line]
        check(len(learned) <= len(BRIDGED), f"B2: the bridge has learned {len(learned)} MACs: {learned[:8]}")


@part
def b1_b2_without_source_check(world):
    """B1, ENI-08: without source check the fabric's own addresses and the odd ranges stay closed, nothing else."""
    for eni in ("eni-a", "eni-t"):
        world.fabric.state.find("NetworkInterfaces", eni)["SourceDestCheck"] = False
    world.agent.apply()
    fire(world, forge.sources_of_a_middlebox)
    fire(world, forge.source_macs)


def make_tests(hook, mode):
    """The scene of one hook and mode, with every part of the matrix."""
    def setup():
        yield from world_with(hook, mode)
    setup.__name__ = f"{mode}_{hook}"
    scene(setup)
    for function in PARTS:
        def instance(world, function=function):
            function(world)
        instance.__name__ = f"{function.__name__}_{mode}_{hook}"
        test(instance)


for of_mode in ("router", "guard"):
    for of_hook in ("tc", "xdp"):
        make_tests(of_hook, of_mode)


if __name__ == "__main__":
    run()
