#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is denied never arrives: while rules change, while the host itself forwards, with forged and tagged frames."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, acl, acl_open, allow

ALLOWED, DENIED, TOGGLED = 9000, 9001, 9002
VPC4, VPC6 = "10.0.0.0/16", "2001:db8:1::/56"
STRANGER = "192.168.77.7"  # an address of the host's own


def make_state():
    state = State()
    state.vpc("vpc-1", VPC4, VPC6)
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1")
    state.nacl("acl-2", "vpc-1", ["s2"], acl_open())
    state.group("sg-client", "vpc-1")
    state.group("sg-server", "vpc-1", [allow("udp", ALLOWED, *ANYWHERE), allow("tcp", 80, *ANYWHERE)])
    state.group("sg-spare", "vpc-1")
    state.eni("eni-client", "s1", "10.0.1.10", ["sg-client"], "2001:db8:1:1::10")
    state.eni("eni-near", "s1", "10.0.1.20", ["sg-server"], "2001:db8:1:1::20")
    state.eni("eni-server", "s2", "10.0.2.10", ["sg-server"], "2001:db8:1:2::10")
    state.eni("eni-tap", "s2", "10.0.2.20", ["sg-server"], "2001:db8:1:2::20")
    state.host("host-a", [("eni-client", "veth-client"), ("eni-near", "veth-near"), ("eni-server", "veth-server"),
                          ("eni-tap", "tap-server")])
    return state


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.state = fabric, agent, fabric.state
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        self.near = fabric.guest("eni-near")
        self.client_mac = self.state.find("NetworkInterfaces", "eni-client")["MacAddress"]
        self.near_mac = self.state.find("NetworkInterfaces", "eni-near")["MacAddress"]

    def permissions(self, group="sg-server"):
        return self.state.find("SecurityGroups", group)["IpPermissions"]

    def inject(self, source_mac, target_mac, ip_packet, count, tags=(), ethertype=None):
        """`count` frames out of the client's eth0; returns (what was dropped, frames that arrived anywhere)."""
        before = self.agent.drops()
        frame = frames.ethernet(source_mac, target_mac, ethertype or frames.ethertype_of(ip_packet), ip_packet, tags)
        payload = ip_packet[-16:]
        watches = [frames.Watch(guest, matching=lambda found: payload in found)
                   for eni, guest in self.fabric.guests.items() if eni != "eni-client"]
        frames.send(self.client, "eth0", frame, count)
        told = lambda: sum(self.agent.dropped(before).values()) + sum(len(watch.frames) for watch in watches)
        wait_for(lambda: told() >= count, 5 * SLOW, f"{count} frames, dropped or arrived")
        time.sleep(0.05)  # none arrives twice, or where it was dropped
        arrived = sum(len(watch.stop()) for watch in watches)
        return self.agent.dropped(before), arrived


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        yield World(fabric, agent)


@test
def denied_never_passes_while_rules_change(world):
    """E2, E3: 3,000 packets/s of a denied flow in two families, and of an allowed one, during 30 changes of groups,
    NACL, membership and prefixes around them: nothing passes, nothing is lost."""
    with traffic.Stream(world.client, world.server, "10.0.2.10", DENIED, 1500) as denied4, \
            traffic.Stream(world.client, world.server, "2001:db8:1:2::10", DENIED, 1500) as denied6, \
            traffic.Stream(world.client, world.server, "10.0.2.10", ALLOWED, 1500) as allowed:
        eni = world.state.find("NetworkInterfaces", "eni-server")
        entries = world.state.find("NetworkAcls", "acl-2")["Entries"]
        for step in range(10):
            world.permissions().append(allow("udp", (DENIED + 1, DENIED + 50 + step), *ANYWHERE))
            world.agent.apply()
            entries.insert(0, acl(10 + step, "allow", "17", "10.0.1.0/24", (DENIED - 500, DENIED + 500)))
            eni["Groups"].append({"GroupId": "sg-spare"})
            world.agent.apply()
            world.permissions().pop()
            entries.pop(0)
            eni["Groups"].pop()
            world.agent.apply()
        counts = {name: stream.stop() for name, stream in
                  (("denied4", denied4), ("denied6", denied6), ("allowed", allowed))}
    for name in ("denied4", "denied6"):
        sent, lost = counts[name]
        check(sent > 300, f"{name}: only {sent} packets were sent: too few to tell anything")
        equal(sent - lost, 0, f"{name}: packets that passed, of {sent}")
    sent, lost = counts["allowed"]
    check(sent > 300, f"only {sent} allowed packets were sent")
    equal(lost, 0, f"allowed packets lost, of {sent}")


@test
def change_bites_at_once(world):
    """CT-07, untracked: after the new state is in force not one packet of the flow passes; when the rule is back,
    it flows again."""
    world.permissions().append(allow("udp", TOGGLED, *ANYWHERE))
    world.agent.apply()
    with traffic.Stream(world.client, world.server, "10.0.2.10", TOGGLED) as stream:
        wait_for(lambda: len(stream.got) > 50, 5, "the allowed stream arrives")
        world.permissions().pop()
        world.agent.apply()
        first = stream.sent + 1  # `sent` itself may be on its way; by number, since a busy machine reads sockets late
        wait_for(lambda: stream.sent > first + 500, 10 * SLOW, "500 packets sent after the change")
        late = [number for number in list(stream.got) if number >= first]
        check(not late, f"{len(late)} packets passed that were sent after the change: {sorted(late)[:5]}, from {first}")
        world.permissions().append(allow("udp", TOGGLED, *ANYWHERE))
        world.agent.apply()
        seen = len(stream.got)
        wait_for(lambda: len(stream.got) > seen + 50, 5, "the stream arrives again")
        world.permissions().pop()
        world.agent.apply()


@test
def forwarding_host_leaks_nothing(world):
    """The host has ip_forward and a route to every guest; only enid may forward between ports."""
    host = world.fabric.host
    host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    lines = []
    for eni, device in (("eni-client", "veth-client"), ("eni-server", "veth-server"), ("eni-tap", "tap-server")):
        four, six = world.state.addresses(eni)
        mac = world.state.find("NetworkInterfaces", eni)["MacAddress"]
        lines += [f"route add {four}/32 dev {device}", f"route add {six}/128 dev {device}",
                  f"neigh replace {four} lladdr {mac} dev {device} nud permanent",
                  f"neigh replace {six} lladdr {mac} dev {device} nud permanent"]
    host.ip(*lines)
    host_mac = _mac_of(host, "veth-client")
    tap = world.fabric.guest("eni-tap")
    with traffic.Stream(world.client, world.server, "10.0.2.10", DENIED) as four, \
            traffic.Stream(world.client, world.server, "2001:db8:1:2::10", DENIED) as six, \
            traffic.Stream(world.client, tap, "10.0.2.20", DENIED) as to_tap:
        # Frames to the device's own MAC are what a host would forward; the guest aims at it on purpose.
        for target, address in ((world.server, "10.0.2.10"), (tap, "10.0.2.20")):
            probe = frames.ethernet(world.client_mac, host_mac, frames.ETH_IP,
                                    frames.udp("10.0.1.10", address, 4000, ALLOWED, b"to the host's MAC"))
            with frames.Watch(target, matching=lambda found: b"to the host's MAC" in found) as watch:
                frames.send(world.client, "eth0", probe, 50)
                time.sleep(0.3)
                equal(len(watch.stop()), 0, f"frames forwarded by the host itself to {address}")
        wait_for(lambda: min(stream.sent for stream in (four, six, to_tap)) > 500, 10 * SLOW, "500 sent of each")
        results = {name: stream.stop() for name, stream in (("IPv4", four), ("IPv6", six), ("tap", to_tap))}
    for name, (sent, lost) in results.items():
        equal(sent - lost, 0, f"{name}: packets that passed, of {sent}")


@test
def removed_hook_leaks_nothing(world):
    """E9 with ip_forward on (by the test before): another tool detaches the guest's hook; until it is back, and after,
    nothing denied passes, and within 2 s what is allowed passes again."""
    with traffic.Stream(world.client, world.server, "10.0.2.10", DENIED) as denied, \
            traffic.Stream(world.client, world.server, "10.0.2.10", ALLOWED) as allowed:
        wait_for(lambda: len(allowed.got) > 50, 5, "the allowed stream arrives")
        removed = _remove_hooks(world, "veth-client")
        check(removed, "no hook of veth-client was found to remove")
        time.sleep(1.5 * traffic.SLOW)
        seen = len(allowed.got)
        wait_for(lambda: len(allowed.got) > seen + 50, 5, "the allowed stream arrives again")
        sent, lost = denied.stop()
        equal(sent - lost, 0, f"denied packets that passed, of {sent}")


def _remove_hooks(world, device):
    """Detach everything from a device as a careless administrator would: TCX links (pins <ifindex>_*) and clsact."""
    host, removed = world.fabric.host, 0
    index = host.run("ip", "-o", "link", "show", device).stdout.split(":")[0]
    for folder, _, names in os.walk(world.agent.pin_dir):
        for name in names:
            if name.startswith(index + "_"):
                pin = os.path.join(folder, name)
                removed += host.run("bpftool", "link", "detach", "pinned", pin, check=False).returncode == 0
    if "bpf" in host.run("tc", "filter", "show", "dev", device, "ingress", check=False).stdout:
        removed += host.run("tc", "qdisc", "del", "dev", device, "clsact", check=False).returncode == 0
    return removed


def _mac_of(host, device):
    return host.run("ip", "-o", "link", "show", device).stdout.split("link/ether ")[1].split()[0]


@test
def own_stack_of_the_host_is_judged(world):
    """The egress guard: what the host itself sends toward a guest is an ingress packet like any other."""
    host = world.fabric.host
    host.ip(f"addr replace {STRANGER}/32 dev lo", f"route replace 10.0.2.10/32 dev veth-server src {STRANGER}",
            f"neigh replace 10.0.2.10 lladdr {world.state.find('NetworkInterfaces', 'eni-server')['MacAddress']} "
            "dev veth-server nud permanent")
    with traffic.Stream(host, world.server, "10.0.2.10", DENIED) as denied, \
            traffic.Stream(host, world.server, "10.0.2.10", ALLOWED) as allowed:
        wait_for(lambda: min(denied.sent, allowed.sent) > 1000, 10 * SLOW, "1,000 sent of each")
        sent, lost = denied.stop()
        equal(sent - lost, 0, f"denied packets of the host that passed, of {sent}")
        sent, lost = allowed.stop()
        equal(lost, 0, f"allowed packets of the host lost, of {sent}")


@test
def spoofed_source_is_dropped(world):
    """ENI-04, B1: another guest's address, a stranger's, and of the other family; counted exactly."""
    for source in ("10.0.1.20", "8.8.8.8"):
        dropped, arrived = world.inject(world.client_mac, frames.ROUTER_MAC,
                                        frames.udp(source, "10.0.2.10", 4000, ALLOWED, b"spoofed address."), 20)
        equal((dropped, arrived), ({"source-check": 20}, 0), f"source {source}")
    dropped, arrived = world.inject(world.client_mac, frames.ROUTER_MAC,
                                    frames.udp("2001:db8:1:1::20", "2001:db8:1:2::10", 4000, ALLOWED,
                                               b"spoofed address."), 20)
    equal((dropped, arrived), ({"source-check": 20}, 0), "IPv6 source of a neighbour")


@test
def spoofed_mac_is_dropped(world):
    """ENI-09, B2: whatever the source address says."""
    for mac in (world.near_mac, "02:de:ad:be:ef:01"):
        dropped, arrived = world.inject(mac, frames.ROUTER_MAC, frames.udp("10.0.1.10", "10.0.2.10", 4000, ALLOWED,
                                                                           b"spoofed MAC....."), 20)
        equal((dropped, arrived), ({"mac-spoof": 20}, 0), f"source MAC {mac}")


@test
def honest_frame_arrives(world):
    """The same way of sending, without a lie: so the tests around this one can fail."""
    dropped, arrived = world.inject(world.client_mac, frames.ROUTER_MAC,
                                    frames.udp("10.0.1.10", "10.0.2.10", 4000, ALLOWED, b"honest frame...."), 20)
    equal((dropped, arrived), ({}, 20), "honest frames")
    dropped, arrived = world.inject(world.client_mac, world.near_mac,
                                    frames.udp("10.0.1.10", "10.0.1.20", 4000, ALLOWED, b"honest frame...."), 20)
    equal((dropped, arrived), ({}, 20), "honest frames to a neighbour")


@test
def vlan_tags_are_dropped(world):
    """L2-05, A9: 802.1Q and 802.1ad, any id, one tag or two; TC sees the outer tag beside the frame only."""
    body = frames.udp("10.0.1.10", "10.0.2.10", 4000, ALLOWED, b"tagged frame....")
    for tags in ([(frames.ETH_VLAN, 0)], [(frames.ETH_VLAN, 1)], [(frames.ETH_VLAN, 100)], [(frames.ETH_VLAN, 4095)],
                 [(frames.ETH_QINQ, 5)], [(frames.ETH_QINQ, 5), (frames.ETH_VLAN, 6)]):
        for mac in (frames.ROUTER_MAC, world.near_mac):
            dropped, arrived = world.inject(world.client_mac, mac, body, 10, tags)
            equal((dropped, arrived), ({"vlan": 10}, 0), f"tags {tags} to {mac}")


@test
def other_ethertypes_are_dropped(world):
    """L2-05, A10: MPLS, PPPoE, LLDP, EAPOL, a length (LLC)."""
    for ethertype in (0x8847, 0x8864, 0x88CC, 0x888E, 0x0040):
        body = frames.udp("10.0.1.10", "10.0.2.10", 4000, ALLOWED, b"strange frame...")
        dropped, arrived = world.inject(world.client_mac, frames.ROUTER_MAC, body, 10, ethertype=ethertype)
        equal((dropped, arrived), ({"ethertype": 10}, 0), f"ethertype {ethertype:#06x}")


@test
def broadcast_and_multicast_stay_home(world):
    """L2-01, B7."""
    for mac, target in (("ff:ff:ff:ff:ff:ff", "10.0.1.255"), ("ff:ff:ff:ff:ff:ff", "255.255.255.255"),
                        ("01:00:5e:00:00:05", "224.0.0.5")):
        body = frames.udp("10.0.1.10", target, 4000, ALLOWED, b"for everybody...")
        dropped, arrived = world.inject(world.client_mac, mac, body, 10)
        equal((sum(dropped.values()), arrived), (10, 0), f"{target} to {mac}: {dropped}")


@test
def mac_of_another_subnet_is_unknown(world):
    """L2-04: a frame to the MAC of an ENI outside the sender's subnet."""
    server_mac = world.state.find("NetworkInterfaces", "eni-server")["MacAddress"]
    dropped, arrived = world.inject(world.client_mac, server_mac,
                                    frames.udp("10.0.1.10", "10.0.2.10", 4000, ALLOWED, b"across subnets.."), 10)
    equal((dropped, arrived), ({"unknown-mac": 10}, 0), "frames")


@test
def arp_claims_nothing(world):
    """L2-03, B3: gratuitous ARP and replies for a neighbour's address do not move it."""
    claim = frames.arp_request(world.client_mac, "10.0.1.20", "10.0.1.20")
    frames.send(world.client, "eth0", frames.ethernet(world.client_mac, "ff:ff:ff:ff:ff:ff", frames.ETH_ARP, claim), 20)
    # A reply goes where the truth is: to eni-near, by its own MAC.
    with traffic.Stream(world.server, world.near, "10.0.1.20", ALLOWED, 500) as stream:
        time.sleep(0.4)
        sent, lost = stream.stop()
    check(sent > 50, f"only {sent} sent")
    equal(lost, 0, f"packets to the claimed address that did not reach its owner, of {sent}")


if __name__ == "__main__":
    run()
