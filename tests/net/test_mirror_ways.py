#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic mirroring where copies are hard to make or to send: over bridges, past a guard on the way, of bulk data in a guest's own
tunnel, of segments by the hundred, and of sessions that are gone (TM-02, TM-13, TM-15)."""
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(1, os.path.join(HERE, os.pardir, "golden"))
from vpcnet import fabric as fabrics, frames, traffic                  # noqa: E402
from vpcnet.agent import SLOW, Agent                  # noqa: E402
from vpcnet.harness import check, equal, run, scene, test, wait_for    # noqa: E402
from vpcnet.maps import pinned                        # noqa: E402
from vpcnet.raw import RawFabric                      # noqa: E402
from vpcnet.vpc import ANYWHERE, State, allow         # noqa: E402
import mirror                                         # noqa: E402
import test_mirror                                    # noqa: E402
import vxlan                                          # noqa: E402
from test_mirror import OPEN, books, inner, same      # noqa: E402

FAR, BULK, TUNNEL = fabrics.SITE, 5201, 8472
METRICS = "127.0.0.1:9410"      # in a namespace of its own
RAW = {"eni-a": "veth-a", "eni-p": "veth-p", "eni-m": "veth-m", "eni-g": "tap-g"}


def make_state():
    """a is mirrored to a target behind the VPN, whose uplink is a bridge; g, a port of that bridge, in guard mode, to m."""
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.vpc("vpc-far", fabrics.SITE4)
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.subnet("s-far", "vpc-far", "172.20.0.0/24")
    state.table("rtb-1", "vpc-1", [(fabrics.SITE4, "vgw-1")])
    state["VpnGateways"] = [{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state.group("sg-1", "vpc-1", [allow("-1", None, *ANYWHERE)])
    state.group("sg-far", "vpc-far", [allow("-1", None, *ANYWHERE)])
    for eni, subnet, last in (("a", 1, 10), ("p", 2, 20), ("m", 2, 30), ("g", 1, 50), ("b", 1, 40), ("c", 2, 41)):
        state.eni(f"eni-{eni}", f"s{subnet}", f"10.0.{subnet}.{last}", ["sg-1"], f"2001:db8:1:{subnet}::{last}")
    state.eni("eni-far", "s-far", FAR, ["sg-far"])
    ports = [(eni, device, {"Mode": "guard"} if eni == "eni-g" else {}) for eni, device in RAW.items()]
    state.host("host-a", ports + [("eni-b", "veth-b"), ("eni-c", "veth-c")], [("vgw-1", "bridge-s")])
    state.host("host-b", [("eni-far", "veth-far")])
    state["TrafficMirrorFilters"] = [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": mirror.ALL, "EgressFilterRules": mirror.ALL}]
    state["TrafficMirrorTargets"] = [{"TrafficMirrorTargetId": "tmt-" + eni, "Type": "network-interface", "NetworkInterfaceId": "eni-" + eni}
                                     for eni in ("m", "far")]
    state["TrafficMirrorSessions"] = [test_mirror.session("a", "far", 21, 1), test_mirror.session("g", "m", 22, 2),
                                      test_mirror.session("b", "m", 23, 3)]
    return state


class Bridged(RawFabric):
    """The uplink of the VPN is a bridge that learns nothing: what it does not know goes to all its ports."""

    def _plug_site(self, device):
        # An address of its own: else it is the lowest one of its ports, and with each change of it the kernel forgets all neighbours.
        self.host.ip(f"link add {device} address 02:00:00:00:0b:01 type bridge", f"link set {device} addrgenmode none up",
                     f"addr add 198.18.1.1/30 dev {device}")
        self.site = self.add_wire("site", "site0")
        mac = mac_of(self.site.namespace, "eth0")
        self.site.mac = mac
        self.host.ip(f"link set site0 master {device}", f"neigh add 198.18.1.2 lladdr {mac} dev {device} nud permanent",
                     f"route add {fabrics.SITE4} via 198.18.1.2 dev {device}")
        self.learn_nothing("site0")

    def plug(self, eni_id, device):
        super().plug(eni_id, device)
        if eni_id == "eni-g":
            self.host.ip(f"link set {device} master bridge-s")
            self.learn_nothing(device)

    def learn_nothing(self, device):
        self.host.ip(f"link set {device} type bridge_slave learning off mcast_flood off")


def mac_of(namespace, device):
    return json.loads(namespace.run("ip", "-json", "link", "show", device).stdout)[0]["address"]


class World(test_mirror.World):
    def __init__(self, fabric, agent, listeners):
        super().__init__(fabric, agent)
        self.listeners, self.site = listeners, fabric.site
        self.site.router = mac_of(fabric.host, "bridge-s")


@scene
def bridged():
    with Bridged(make_state(), RAW) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        fabric.wires["eni-m"].namespace.ip("link set eth0 mtu 1600")  # copies of full packets are whole
        fabric.host.ip("link set veth-m mtu 1600", "link set lo up")
        agent.start("--metrics", METRICS)
        yield World(fabric, agent, listeners)


def of_copies(found):
    return [raw for raw in found if raw[12:14] == b"\x08\x00" and raw[23] == frames.UDP and raw[36:38] == b"\x12\xb5"]


def is_quiet(world):
    time.sleep(0.2)
    return not sum(len(wire.drain()) for wire in (*world.wires.values(), world.site))


@test
def tm_13_past_a_guard_on_the_bridge(world):
    """A copy leaves by a bridge, in the middle of the packet it is of, and comes to another port there, whose guard drops it: the
    packet's own verdict is not touched, nor is another packet's."""
    (mine, mine6), (peer, peer6) = world.state.addresses("eni-a"), world.state.addresses("eni-p")
    sent = test_mirror.packets(mine, peer, mine6, peer6)
    sent = [packet for packet in sent if len(packet) <= 1400]
    # A bridge's port forwards when the kernel has seen its carrier, on a busy host a while after it is up.
    wait_for(lambda: (world.wires["eni-a"].send([world.frame("eni-a", sent[0])]), of_copies(world.site.drain()))[1], 10 * SLOW,
             "a first copy at the site")
    wait_for(lambda: is_quiet(world), 10 * SLOW, "nothing that comes any more")
    before, wanted = world.agent.drops(), []
    for _ in range(2):
        world.wires["eni-a"].send([world.frame("eni-a", packet) for packet in sent])
        wanted += [vxlan.copy(world.frame("eni-a", packet), mine, FAR, 21, world.site.router, world.site.mac, mtu=1500, ttl=63) for packet in sent]
    found = []
    wait_for(lambda: found.extend(of_copies(world.site.drain())) or len(found) >= len(wanted), 5 * SLOW, f"{len(wanted)} copies at the site")
    same(found + of_copies(world.site.drain()), wanted, "copies at the site")
    same(world.wires["eni-p"].drain(), 2 * [world.given("eni-p", packet) for packet in sent], "the packets themselves")
    equal(of_copies(world.wires["eni-g"].drain()), [], "copies at the guarded port")
    equal(world.agent.dropped(before), {"not-served": len(wanted)}, "drops: those of the guard")
    equal(world.wires["eni-m"].drain(), [], "what the guarded port's own session has of it")


@test
def tm_08_of_a_port_of_a_bridge(world):
    """g's device is a bridge's port, and somebody else routes: what it sends goes on over the bridge, and is copied."""
    (mine, _) = world.state.addresses("eni-g")
    raw = [frames.ethernet(world.macs["eni-g"], world.site.mac, 0x0800, frames.udp(mine, FAR, 9, OPEN, b"x" * size)) for size in (0, 40, 900)]
    world.site.drain(), world.wires["eni-m"].drain()
    for _ in range(2):
        world.wires["eni-g"].send(raw)
    same(world.collect("eni-m", 2 * len(raw)), 2 * [world.copy(frame, "eni-g", "eni-m", 22) for frame in raw], "copies of the guarded port")
    found = []
    wait_for(lambda: found.extend(world.site.drain()) or len(found) >= 2 * len(raw), 5 * SLOW, "the packets themselves")
    same(found, 2 * raw, "the packets themselves, over the bridge")


def ext_headers(source, target, many):
    """UDP behind `many` destination options of eight bytes."""
    udp = frames.udp(source, target, 9, OPEN, b"behind options")
    chain = b"".join(bytes((60 if left else frames.UDP, 0, 1, 4, 0, 0, 0, 0)) for left in range(many - 1, -1, -1))
    return udp[:4] + (len(udp) - 40 + len(chain)).to_bytes(2, "big") + bytes((60,)) + udp[7:40] + chain + udp[40:]


@test
def tm_08_extension_headers(world):
    """Of what has its L4 header further back the copy is the frame, too."""
    mine, peer = world.state.addresses("eni-g")[1], world.state.addresses("eni-p")[1]
    raw = [frames.ethernet(world.macs["eni-g"], world.site.mac, 0x86dd, ext_headers(mine, peer, many)) for many in (1, 3, 8)]
    world.wires["eni-m"].drain()
    world.wires["eni-g"].send(raw)
    sport = vxlan.source_port(frames.udp(mine, peer, 9, OPEN))
    same(world.collect("eni-m", len(raw)), [world.copy(frame, "eni-g", "eni-m", 22, sport=sport) for frame in raw], "copies")


def difference(now, before):
    """What the books of a session have more: (copies sent, lost by reason)."""
    lost = {reason: nr - before["lost"].get(reason, 0) for reason, nr in now["lost"].items()}
    return now["packets"] - before["packets"], {reason: nr for reason, nr in lost.items() if nr}


def drained(world):
    """All copies that m gets until nothing comes any more, which the books know."""
    found = world.wires["eni-m"].drain()
    wait_for(lambda: not found.extend(more := world.wires["eni-m"].drain()) and not more, 5 * SLOW, "silence")
    return found


@test
def tm_15_segments_by_the_hundred(world):
    """A guest has its bulk data cut into segments of 88 bytes, hundreds from one packet: the connection has all of them, copies are
    made of the first 128 of each packet, and the rest is counted."""
    source, target = world.fabric.guest("eni-b"), world.fabric.guest("eni-c")
    world.listeners.tcp(target, BULK)
    address, before = world.state.addresses("eni-c")[0], books(world)["eni-b"]
    data = bytes(number * 31 + (number >> 8) & 255 for number in range(400000))
    target.ip(f"route add {world.state.addresses('eni-b')[0]}/32 via 10.0.2.1 advmss 100")
    drained(world)
    with traffic.Session(source, address, BULK) as opened:
        opened.echo(data, timeout=20 * SLOW)
    found = drained(world)
    sent, lost = difference(books(world)["eni-b"], before)
    check(set(lost) == {"rate-limit"} and lost["rate-limit"] > 100, f"{sent} copies, lost {lost}")
    sizes = [len(inner(raw)) for raw in found if inner(raw)[23] == frames.TCP]
    check(len(sizes) > 1000 and sent >= len(sizes), f"{len(sizes)} copies came, {sent} were sent")
    for raw in found[:2000]:
        check(not frames.checksum_fault(inner(raw)), f"a copy with a wrong checksum: {raw.hex()}")


@test
def a14_bulk_data_in_a_tunnel_of_the_guest(world):
    """TCP in VXLAN of the guest's own, widened by offloads: it works as without a mirror, no copy is a packet that nobody sent, and
    what cannot be cut is counted."""
    source, target = world.fabric.guest("eni-b"), world.fabric.guest("eni-c")
    ends = {source: ("10.0.1.40", "10.0.2.41", 1), target: ("10.0.2.41", "10.0.1.40", 2)}
    for guest, (local, remote, last) in ends.items():
        guest.ip(f"link add vx0 type vxlan id 7 local {local} remote {remote} dstport {TUNNEL} dev eth0",
                 f"addr add 192.168.7.{last}/24 dev vx0", "link set vx0 mtu 1400 up")
    world.listeners.tcp(target, BULK + 1)
    before, data = books(world)["eni-b"], bytes(number * 13 + (number >> 8) & 255 for number in range(300000))
    drained(world)
    with traffic.Session(source, "192.168.7.2", BULK + 1) as opened:
        opened.echo(data, timeout=20 * SLOW)
    found = drained(world)
    sent, lost = difference(books(world)["eni-b"], before)
    check(sent > 0 and set(lost) <= {"malformed"}, f"{sent} copies, lost {lost}")
    for raw in found:
        check(len(inner(raw)) <= 1514 and not frames.checksum_fault(inner(raw)), f"a copy of {len(inner(raw))} bytes: {raw.hex()}")


@test
def tm_13_metrics_are_the_books(world):
    """enid_mirror_*: of each session what `enid show mirrors` says, the sessions that lost copies included."""
    def scrape():
        text = world.fabric.host.run("curl", "-s", "-m", "5", f"http://{METRICS}/metrics", check=False).stdout
        return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("enid_mirror_"))}

    def wanted():
        found = {}
        for row in books(world).values():
            labels = f'{{eni="{row["eni"]}",session="{row["session"]}"'
            found.update({f"enid_mirror_packets_total{labels}}}": row["packets"], f"enid_mirror_bytes_total{labels}}}": row["bytes"]})
            found.update({f'enid_mirror_lost_total{labels},reason="{reason}"}}': nr for reason, nr in row["lost"].items()})
        return found
    wait_for(lambda: scrape() == wanted(), 15 * SLOW, "the metrics to be the books") # a guest's retransmissions are copied, too
    check(any("rate-limit" in name for name in wanted()) and all(row["packets"] for row in books(world).values()), "there was nothing to tell")


def counted(world):
    """(port, session) of which anything is counted, or budgeted."""
    found = set()
    for name in ("mirror_counts", "mirror_budgets"):
        with pinned(world.agent.pin_dir, name) as table:
            for key in table.keys():
                found.add((int.from_bytes(key[:4], "little"), int.from_bytes(key[4:6], "little")))
    return found


@test
def tm_02_books_of_sessions_that_are_gone(world):
    """They are forgotten with the session, and only they; the same session, come back, begins at zero."""
    sessions = world.state["TrafficMirrorSessions"]
    before = counted(world)
    check({number for _, number in before} == {1, 2, 3}, before)
    world.state["TrafficMirrorSessions"] = sessions[1:]
    try:
        world.agent.apply()
        wait_for(lambda: {number for _, number in counted(world)} == {2, 3}, 5 * SLOW, "the books of session 1 to be gone")
        equal(counted(world), {pair for pair in before if pair[1] != 1}, "what is left")
    finally:
        world.state["TrafficMirrorSessions"] = sessions
        world.agent.apply()
    row = books(world)["eni-a"]
    equal((row["packets"], row["bytes"], row["lost"]), (0, 0, {}), "the session, come back")


if __name__ == "__main__":
    run()
