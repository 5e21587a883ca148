#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic mirroring on wires: what a monitor gets is held against what was sent, byte for byte, from a veth and a tap, through
TC and XDP, what is dropped included; and of bulk data with offloads every byte, in whole packets (TM-02..TM-12, A14)."""
import collections
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(1, os.path.join(HERE, os.pardir, "golden"))
from vpcnet import frames, traffic                   # noqa: E402
from vpcnet.agent import SLOW, Agent                  # noqa: E402
from vpcnet.harness import check, equal, run, scene, test, wait_for    # noqa: E402
from vpcnet.raw import RawFabric                      # noqa: E402
from vpcnet.vpc import ANYWHERE, allow, two_subnets         # noqa: E402
import mirror                                        # noqa: E402
import vxlan                                         # noqa: E402

SHUT, OPEN = 81, 80
BULK = 5201
RAW = {"eni-a": "veth-a", "eni-t": "tap-t", "eni-p": "veth-p", "eni-m": "veth-m", "eni-n": "tap-n"}


def make_state(hook):
    state = two_subnets()
    state.table("rtb-1", "vpc-1")
    state.group("sg-1", "vpc-1", [allow("-1", None, *ANYWHERE)])
    state.group("sg-half", "vpc-1", [allow("tcp", OPEN, *ANYWHERE), allow("udp", OPEN, *ANYWHERE), allow("icmp", (8, -1), "0.0.0.0/0"),
                                     allow("tcp", BULK, *ANYWHERE)])
    state.group("sg-monitor", "vpc-1", [allow("udp", 4789, "10.0.0.0/16")], [])
    for eni, subnet, last, group in (("a", 1, 10, "half"), ("t", 1, 11, "half"), ("p", 2, 20, "1"), ("m", 2, 30, "monitor"),
                                     ("n", 1, 31, "monitor"), ("b", 1, 40, "half"), ("c", 2, 41, "half")):
        state.eni(f"eni-{eni}", f"s{subnet}", f"10.0.{subnet}.{last}", ["sg-" + group], f"2001:db8:1:{subnet}::{last}")
    more = {"Hook": hook}
    state.host("host-a", [(eni, device, more) for eni, device in RAW.items()] + [("eni-b", "veth-b"), ("eni-c", "veth-c")])
    rules = mirror.ALL
    state["TrafficMirrorFilters"] = [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": rules, "EgressFilterRules": rules}]
    state["TrafficMirrorTargets"] = [{"TrafficMirrorTargetId": "tmt-" + eni, "Type": "network-interface",
                                      "NetworkInterfaceId": "eni-" + eni} for eni in "mn"]
    state["TrafficMirrorSessions"] = [
        session("a", "m", 11, 1, MirrorDroppedPackets=True), session("t", "n", 12, 2, PacketLength=100), session("b", "m", 13, 3)]
    return state


def session(eni, target, vni, number, **more):
    return {"TrafficMirrorSessionId": "tms-" + eni, "NetworkInterfaceId": "eni-" + eni, "TrafficMirrorTargetId": "tmt-" + target,
            "TrafficMirrorFilterId": "tmf-1", "SessionNumber": number, "VirtualNetworkId": vni, **more}


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.state, self.wires = fabric, agent, fabric.state, fabric.wires
        self.macs = {eni["NetworkInterfaceId"]: eni["MacAddress"] for eni in self.state["NetworkInterfaces"]}

    def frame(self, eni, packet):
        return frames.ethernet(self.macs[eni], frames.ROUTER_MAC, frames.ethertype_of(packet), packet)

    def given(self, eni, packet):
        return frames.ethernet(frames.ROUTER_MAC, self.macs[eni], frames.ethertype_of(packet), packet)

    def copy(self, raw, source, target, vni, near=False, **more):
        return vxlan.copy(raw, self.state.addresses(source)[0], self.state.addresses(target)[0], vni,
                          self.macs[source] if near else frames.ROUTER_MAC, self.macs[target], mtu=1500, **more)

    def collect(self, eni, number):
        """That many frames, and none beyond."""
        found = []
        wait_for(lambda: found.extend(self.wires[eni].drain()) or len(found) >= number, 5 * SLOW, f"{number} copies at {eni}")
        return found + self.wires[eni].drain()


def wires(hook):
    """-> the scene of a hook"""
    def lay():
        with RawFabric(make_state(hook), RAW) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
            agent.start()
            world = World(fabric, agent)
            world.listeners = listeners
            yield world
    lay.__name__ = "by_" + hook
    return lay


def packets(near, far, near6, far6):
    """What passes both ways, and sizes up to the MTU."""
    data = bytes(number * 7 & 255 for number in range(1472))
    return [frames.udp(near, far, OPEN, OPEN, data[:size]) for size in (0, 1, 18, 333, 1400, 1472)] + \
        [frames.udp(near6, far6, OPEN, OPEN, data[:size]) for size in (0, 17, 1452)] + \
        [frames.tcp(near, far, OPEN, OPEN, 2), frames.tcp(near6, far6, OPEN, OPEN, 2),
         frames.packet(near, far, frames.ICMP, b"\x08\x00\xf7\xfd\x00\x01\x00\x01", None)]


def same(found, wanted, what):
    """Whatever their order: copies of two devices may overtake each other."""
    left, more = collections.Counter(wanted), collections.Counter(found)
    check(left == more, f"{what}: missing {[raw.hex() for raw in left - more][:2]}, not wanted {[raw.hex() for raw in more - left][:2]}")


def exchange(world, eni, target, vni, near=False, **more):
    """Every packet twice: judged, and by a kept decision."""
    (mine, mine6), (peer, peer6) = world.state.addresses(eni), world.state.addresses("eni-p")
    sent, got = packets(mine, peer, mine6, peer6), packets(peer, mine, peer6, mine6)
    wanted = []
    for _ in range(2):
        world.wires[eni].send([world.frame(eni, packet) for packet in sent])
        world.wires["eni-p"].send([world.frame("eni-p", packet) for packet in got])
        wanted += [world.copy(world.frame(eni, packet), eni, target, vni, near, **more) for packet in sent]
        wanted += [world.copy(world.given(eni, packet), eni, target, vni, near, **more) for packet in got]
    same(world.collect(target, len(wanted)), wanted, f"copies of {eni} at {target}")
    passed = collections.Counter(world.given("eni-p", packet) for packet in 2 * sent)
    equal(collections.Counter(world.wires["eni-p"].drain()), passed, "the packets themselves, at their target")
    passed = collections.Counter(world.given(eni, packet) for packet in 2 * got)
    equal(collections.Counter(world.wires[eni].drain()), passed, "... and back")


def tm_08_copies_are_what_was_sent(world):
    """Of a veth to a veth in another subnet: whole, but for what the target's MTU takes."""
    exchange(world, "eni-a", "eni-m", 11)


def tm_11_copies_are_cut(world):
    """Of a tap to a tap in its own subnet: 100 bytes."""
    exchange(world, "eni-t", "eni-n", 12, near=True, length=100)


def tm_x_dropped_packets_with_the_reason(world):
    """What the group refuses, and a source that is not the guest's, through XDP, too."""
    (mine, _), (peer, _) = world.state.addresses("eni-a"), world.state.addresses("eni-p")
    before = world.agent.drops()
    inward = [world.frame("eni-p", frames.udp(peer, mine, 9, SHUT + n, b"x" * n)) for n in range(20)]
    lies = [world.frame("eni-a", frames.udp("10.0.1.99", peer, 9, n, b"x" * n)) for n in range(20)]
    world.wires["eni-p"].send(inward)
    world.wires["eni-a"].send(lies)
    wanted = [world.copy(raw, "eni-a", "eni-m", 11, group=mirror.REASON["sg-ingress"]) for raw in inward]
    wanted += [world.copy(raw, "eni-a", "eni-m", 11, group=mirror.REASON["source-check"]) for raw in lies]
    same(world.collect("eni-m", len(wanted)), wanted, "copies of what was dropped")
    equal(world.wires["eni-p"].drain() + world.wires["eni-a"].drain(), [], "what got through")
    dropped = world.agent.dropped(before)
    equal((dropped.get("sg-ingress"), dropped.get("source-check")), (20, 20), "the drops, counted once")


def books(world):
    return {row["eni"]: row for row in json.loads(world.agent.command("show", "mirrors", "--json", "--run-dir", world.agent.run_dir, check=True).stdout)}


def tm_13_books_of_copies(world):
    """`enid show mirrors`: each copy sent, with its bytes, and those that the target's network would not take, by reason."""
    (mine, _), (peer, _) = world.state.addresses("eni-t"), world.state.addresses("eni-p")
    before = books(world)["eni-t"]
    equal((before["id"], before["target"], before["vni"], before["packet_length"]), ("tms-t", "10.0.1.31", 12, 100), "the session")
    world.wires["eni-n"].drain()
    world.wires["eni-t"].send([world.frame("eni-t", frames.udp(mine, peer, 7, OPEN, b"x" * 500))] * 10)
    world.collect("eni-n", 10)
    after = books(world)["eni-t"]
    equal((after["packets"] - before["packets"], after["bytes"] - before["bytes"], after["lost"]), (10, 10 * 136, {}), "ten copies")
    group = world.state.find("SecurityGroups", "sg-monitor")
    allowed, group["IpPermissions"] = group["IpPermissions"], []
    world.agent.apply()
    try:
        world.wires["eni-t"].send([world.frame("eni-t", frames.udp(mine, peer, 7, OPEN, b"x" * 500))] * 10)
        wait_for(lambda: books(world)["eni-t"]["lost"] == {"sg-ingress": 10}, 5 * SLOW, "ten copies that the target refuses")
        words = world.agent.command("show", "mirrors", "--run-dir", world.agent.run_dir, check=True).stdout
        equal([line.split()[-1] for line in words.splitlines() if line.startswith("tms-t ")], ["sg-ingress=10"], "the same in words")
        equal(world.wires["eni-n"].drain(), [], "what came through")
    finally:
        group["IpPermissions"] = allowed
        world.agent.apply()


def inner(raw):
    return raw[14 + 36:]


def stream_of(found, address, port):
    """The bytes of a TCP connection that copies hold, from the first sequence number on."""
    parts, first = {}, None
    for raw in map(inner, found):
        said = frames.transport(raw)
        if not said or said[0] != frames.TCP or said[2] != port or said[4] != address:
            continue
        fault = frames.checksum_fault(raw)
        check(not fault, f"a copy of {len(raw)} bytes: {fault}")
        check(len(raw) <= 1514, f"a copy of {len(raw)} bytes: no packet on a wire is that long")
        l4 = 14 + (20 if raw[12:14] == b"\x08\x00" else 40)
        seq, = struct.unpack_from("!I", raw, l4 + 4)
        if raw[l4 + 13] & 2:
            first = seq + 1
        elif raw[l4 + (raw[l4 + 12] >> 4) * 4:]:
            parts[seq] = raw[l4 + (raw[l4 + 12] >> 4) * 4:]
    data = b""
    while first is not None and parts.get(first + len(data) & 0xffffffff):
        data += parts[first + len(data) & 0xffffffff]
    return data


def a14_bulk_data_with_offloads(world):
    """Segments that a device would cut, and checksums that it would write: copies have them done, and no byte is missing."""
    source, target = world.fabric.guest("eni-b"), world.fabric.guest("eni-c")
    world.wires["eni-m"].namespace.ip("link set eth0 mtu 1600")
    world.fabric.host.ip("link set veth-m mtu 1600")
    world.listeners.tcp(target, BULK)
    for address in world.state.addresses("eni-c"):
        data = bytes(number * 31 + (number >> 8) & 255 for number in range(200000))
        with traffic.Session(source, address, BULK) as opened:
            opened.echo(data, timeout=10 * SLOW)
        found = []

        def whole():
            found.extend(world.wires["eni-m"].drain())
            return stream_of(found, address, BULK) == data
        wait_for(whole, 10 * SLOW, f"copies of all of {len(data)} bytes to {address}")
        back = {len(inner(raw)) for raw in found if (frames.transport(inner(raw)) or [0] * 3)[1] == BULK}
        check(max(back) > 1400, f"copies of what came back: {sorted(back)}")


def tm_09_as_others_read_it(world):
    """tshark's VXLAN dissector: numbers, the inner packet, nothing malformed."""
    if not shutil.which("tshark"):
        return print("skip: no tshark")
    (mine, _), (peer, _) = world.state.addresses("eni-a"), world.state.addresses("eni-p")
    world.wires["eni-m"].drain()
    world.wires["eni-a"].send([world.frame("eni-a", frames.udp(mine, peer, 9, OPEN))])
    world.wires["eni-p"].send([world.frame("eni-p", frames.udp(peer, mine, 9, SHUT))])
    found = world.collect("eni-m", 2)
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for raw in found:
            file.write(struct.pack("<IIII", 0, 0, len(raw), len(raw)) + raw)
        file.flush()
        done = subprocess.run(["tshark", "-r", file.name, "-T", "json"], capture_output=True, check=True)
    read = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    check(b"_ws.malformed" not in done.stdout and b"_ws.expert" not in done.stdout, "malformed")
    return equal(sorted((layers["vxlan"]["vxlan.vni"], layers["vxlan"]["vxlan.gbp"]) for layers in read),
          [("11", "0"), ("11", str(mirror.REASON["sg-ingress"]))], "VNI and group")


if __name__ == "__main__":
    for each in ("tc", "xdp"):
        scene(wires(each))
        for function in (tm_08_copies_are_what_was_sent, tm_11_copies_are_cut, tm_x_dropped_packets_with_the_reason, tm_13_books_of_copies,
                         a14_bulk_data_with_offloads, tm_09_as_others_read_it):
            test(function)
    run()
