#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Gateways over time: flows through NAT, egress-only and transit gateways and a peering while the agent dies and comes
back, and while the gateways themselves are edited; tunnels that go down."""
import contextlib
import glob
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import Agent
from vpcnet.fabric import INTERNET4, INTERNET6, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import State, allow

ECHO, NEW, STREAM = 7000, 7001, 7002
NAT, NAT_PUBLIC, SECOND, SECOND_PUBLIC = "10.0.1.220", "203.0.113.9", "10.0.1.221", "203.0.113.10"
WEB_PUBLIC, SPARE_PUBLIC = "203.0.113.20", "203.0.113.21"
PEER, FAR = "10.2.1.30", "10.3.1.40"
HALVES = ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")  # not "all": what the guests open is tracked


def to(destination, key, target):
    return {"DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock": destination, key: target,
            "State": "active", "Origin": "CreateRoute"}


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.subnet("s-public", "vpc-1", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.subnet("s-private", "vpc-1", "10.0.2.0/24", "2001:db8:1:2::/64")
    state.internet_gateway("igw-1", "vpc-1")
    state["EgressOnlyInternetGateways"] = [{"EgressOnlyInternetGatewayId": "eigw-1",
                                            "Attachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state.table("rtb-main", "vpc-1")
    state.table("rtb-public", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")], subnets=["s-public"])
    private = state.table("rtb-private", "vpc-1", [], subnets=["s-private"])
    private["Routes"] += [to("0.0.0.0/0", "NatGatewayId", "nat-1"), to("::/0", "EgressOnlyInternetGatewayId", "eigw-1"),
                          to("10.2.0.0/16", "VpcPeeringConnectionId", "pcx-1"), to("10.3.0.0/16", "TransitGatewayId", "tgw-1")]
    state.group("sg-in", "vpc-1", [], [allow("-1", None, *HALVES)])
    state.group("sg-web", "vpc-1", [allow("tcp", ECHO, "0.0.0.0/1", "128.0.0.0/1")])
    state.group("sg-shut", "vpc-1", [allow("tcp", 22, "192.0.2.1/32")])
    state.eni("eni-in", "s-private", "10.0.2.10", ["sg-in"], "2001:db8:1:2::10")
    state.eni("eni-web", "s-public", "10.0.1.10", ["sg-web"], public=WEB_PUBLIC)
    state.eni("eni-shut", "s-public", "10.0.1.11", ["sg-shut"], public=SPARE_PUBLIC)
    nat = state.eni("eni-nat", "s-public", NAT, [], public=NAT_PUBLIC, check=False)
    nat["InterfaceType"] = "nat_gateway"
    state["NatGateways"] = [{"NatGatewayId": "nat-1", "VpcId": "vpc-1", "SubnetId": "s-public", "State": "available",
                             "ConnectivityType": "public", "NatGatewayAddresses": [
                                 {"NetworkInterfaceId": "eni-nat", "PrivateIp": NAT, "PublicIp": NAT_PUBLIC, "IsPrimary": True,
                                  "Status": "succeeded"}]}]
    for number, address in ((2, PEER), (3, FAR)):
        state.vpc(f"vpc-{number}", f"10.{number}.0.0/16")
        state.subnet(f"s-{number}", f"vpc-{number}", f"10.{number}.1.0/24")
        table = state.table(f"rtb-{number}", f"vpc-{number}")
        table["Routes"].append(to("10.0.0.0/16", *(("VpcPeeringConnectionId", "pcx-1") if number == 2 else
                                                   ("TransitGatewayId", "tgw-1"))))
        state.group(f"sg-{number}", f"vpc-{number}", [allow("tcp", (ECHO, NEW), "10.0.0.0/16"), allow("udp", STREAM, "10.0.0.0/16")])
        state.eni(f"eni-{number}", f"s-{number}", address, [f"sg-{number}"])
    ends = [{"VpcId": f"vpc-{n}", "CidrBlock": f"10.{m}.0.0/16", "Region": "eu-west-1"} for n, m in ((1, 0), (2, 2))]
    state["VpcPeeringConnections"] = [{"VpcPeeringConnectionId": "pcx-1", "Status": {"Code": "active"},
                                       "RequesterVpcInfo": ends[0], "AccepterVpcInfo": ends[1]}]
    join_by_transit(state)
    state.host("host-a", [(eni, eni.replace("eni", "veth")) for eni in ("eni-in", "eni-web", "eni-shut", "eni-2", "eni-3")],
               [("igw-1", "up0")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


def join_by_transit(state):
    state["TransitGateways"] = [{"TransitGatewayId": "tgw-1", "State": "available"}]
    state["TransitGatewayRouteTables"] = [{"TransitGatewayRouteTableId": "tgw-rtb-1", "TransitGatewayId": "tgw-1", "State": "available"}]
    places = (("tgw-attach-1", "vpc-1", "s-private", "10.0.0.0/16"), ("tgw-attach-3", "vpc-3", "s-3", "10.3.0.0/16"))
    state["TransitGatewayVpcAttachments"] = [
        {"TransitGatewayAttachmentId": a, "TransitGatewayId": "tgw-1", "VpcId": v, "SubnetIds": [s], "State": "available"}
        for a, v, s, _ in places]
    state["TransitGatewayAttachments"] = [
        {"TransitGatewayAttachmentId": a, "TransitGatewayId": "tgw-1", "ResourceType": "vpc", "ResourceId": v, "State": "available",
         "Association": {"TransitGatewayRouteTableId": "tgw-rtb-1", "State": "associated"}} for a, v, _, _ in places]
    state["TransitGatewayRoutes"] = [{"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": [
        {"DestinationCidrBlock": c, "Type": "propagated", "State": "active",
         "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": a}]} for a, _, _, c in places]}]


class World:
    TARGETS = {"the NAT gateway": INTERNET4, "the egress-only gateway": INTERNET6, "the peering": PEER, "the transit gateway": FAR}

    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.state, self.listeners = fabric, agent, fabric.state, listeners
        self.guest, self.web = fabric.guest("eni-in"), fabric.guest("eni-web")
        for there in (fabric.internet, fabric.guest("eni-2"), fabric.guest("eni-3"), self.web, fabric.guest("eni-shut")):
            listeners.tcp(there, ECHO, NEW)

    @contextlib.contextmanager
    def sessions(self):
        """An open session by each gateway."""
        with contextlib.ExitStack() as stack:
            yield {name: stack.enter_context(traffic.Session(self.guest, target, ECHO)) for name, target in self.TARGETS.items()}

    def map_rows(self, name):
        path = glob.glob(os.path.join(self.agent.pin_dir, "**", name), recursive=True)[0]
        done = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", path], stdout=subprocess.PIPE, check=True, timeout=60)
        return json.loads(done.stdout)

    def nat(self):
        return self.agent.status()["nat_gateways"][0]

    def ports_taken(self):
        """How many words of `nat_uses` count ports that are taken (the rest of a word says whose)."""
        return sum(1 for row in self.map_rows("nat_uses") if any(int(b, 16) for b in row["value"][:3]))

    def generation(self):
        """Raised by every change of the policy."""
        value = self.map_rows("*control*")[0]["value"]
        return bytes(int(b, 16) for b in value[:4])


@scene
def all_gateways():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def killed_and_back_under_traffic(world):
    """kill -9 and a new agent that adopts gateways and mappings: no datagram lost by any gateway, sessions go on while
    nobody is there, new ones open, and nothing is written that did not change."""
    with world.sessions() as open_ones, contextlib.ExitStack() as stack:
        ends = {"the NAT gateway": world.fabric.internet, "the egress-only gateway": world.fabric.internet,
                "the peering": world.fabric.guest("eni-2"), "the transit gateway": world.fabric.guest("eni-3")}
        streams = {name: stack.enter_context(traffic.Stream(world.guest, ends[name], target, STREAM, 500))
                   for name, target in world.TARGETS.items()}
        wait_for(lambda: all(len(stream.got) > 50 for stream in streams.values()), 10 * traffic.SLOW, "all streams arrive")
        written = world.generation()
        world.agent.kill()
        for name, session in open_ones.items():
            check(session.echo(b"nobody"), f"the session by {name} without an agent")
            equal(traffic.tcp(world.guest, world.TARGETS[name], NEW), "open", f"a new session by {name} without an agent")
        mapped = world.nat()["ActiveConnectionCount"]
        world.agent.start()
        equal(world.generation(), written, "generation: something was written")
        check(world.nat()["ActiveConnectionCount"] >= min(mapped, 2), "mappings were lost")
        for name, session in open_ones.items():
            check(session.echo(b"back"), f"the session by {name} after the restart")
        for name, stream in streams.items():
            sent, lost = stream.stop()
            equal(lost, 0, f"datagrams lost by {name}, of {sent}")


@test
def nat_gateway_is_deleted_under_traffic(world):
    """NAT-24: while deleting it carries what it has and nothing else; then it is gone and gives everything back."""
    with traffic.Session(world.guest, INTERNET4, ECHO) as session:
        check(session.echo(), "a session")
        check(world.ports_taken() >= 1, "a port is counted")
        world.state["NatGateways"][0]["State"] = "deleting"
        world.agent.apply()
        check(session.echo(b"going on"), "the session while the gateway is being deleted")
        equal(traffic.tcp(world.guest, INTERNET4, NEW, False), "silent", "a new session meanwhile")
        world.state["NatGateways"][0]["State"] = "deleted"
        world.agent.apply()
        check(not session.echo(b"gone", 1), "the session after the end of the gateway")
    equal(world.ports_taken(), 0, "counters of ports that are not given back")
    world.state["NatGateways"][0]["State"] = "available"
    world.agent.apply()
    equal(traffic.tcp(world.guest, INTERNET4, ECHO), "open", "a session by the gateway made anew")


@test
def nat_addresses_change_under_traffic(world):
    """NAT-06, NAT-24: a flow keeps its address while the gateway has it."""
    gateway, eni = world.state["NatGateways"][0], world.state.find("NetworkInterfaces", "eni-nat")
    first = gateway["NatGatewayAddresses"][0]
    second = dict(first, PrivateIp=SECOND, PublicIp=SECOND_PUBLIC, IsPrimary=False)
    with traffic.Session(world.guest, INTERNET4, ECHO) as session:
        check(session.echo(), "a session")
        equal(world.listeners.peers.get(ECHO), NAT_PUBLIC, "its address")
        gateway["NatGatewayAddresses"].append(second)
        eni["PrivateIpAddresses"].append({"Primary": False, "PrivateIpAddress": SECOND, "Association": {"PublicIp": SECOND_PUBLIC}})
        world.agent.apply()
        check(session.echo(b"two"), "the session when there are two addresses")
        seen = set()
        for _ in range(3):
            traffic.tcp(world.guest, INTERNET4, NEW)
            seen.add(world.listeners.peers.get(NEW))
        check(len(seen) == 1 and seen <= {NAT_PUBLIC, SECOND_PUBLIC}, f"one client has one address: {seen}")
        gateway["NatGatewayAddresses"].pop()
        eni["PrivateIpAddresses"].pop()
        world.agent.apply()
        check(session.echo(b"one"), "the session when there is one again")
        equal(traffic.tcp(world.guest, INTERNET4, NEW), "open", "a new session")
        equal(world.listeners.peers.get(NEW), NAT_PUBLIC, "by the address that is left")


@test
def d11_public_address_moves_under_traffic(world):
    """D11, IGW-13: nothing of the old owner's flows reaches the new one."""
    web, shut = (world.state.find("NetworkInterfaces", eni)["PrivateIpAddresses"][0]["Association"] for eni in ("eni-web", "eni-shut"))
    seen = []

    def record(frame):
        found = frames.transport(frame)
        if found and found[2] == ECHO:
            seen.append(found)
        return False

    with traffic.Session(world.fabric.internet, WEB_PUBLIC, ECHO) as session, \
            frames.Watch(world.fabric.guest("eni-shut"), matching=record):
        check(session.echo(), "a session to the public address")
        web["PublicIp"], shut["PublicIp"] = SPARE_PUBLIC, WEB_PUBLIC
        world.agent.apply()
        check(not session.echo(b"whose", 1), "the session after its address moved")
        equal(seen, [], "what arrived at the new owner")
        web["PublicIp"], shut["PublicIp"] = WEB_PUBLIC, SPARE_PUBLIC
        world.agent.apply()
        wait_for(lambda: traffic.tcp(world.fabric.internet, WEB_PUBLIC, ECHO) == "open", 5 * traffic.SLOW, "the address is back")


@test
def peering_and_attachment_go_and_come(world):
    """TV-30, TGW-16: gone at once, for live flows, too; made anew they go on."""
    def peering(code):
        world.state["VpcPeeringConnections"][0]["Status"]["Code"] = code

    def attached(there):
        if there:
            join_by_transit(world.state)
        else:
            world.state["TransitGatewayVpcAttachments"].pop()
            world.state["TransitGatewayAttachments"].pop()

    for name, target, away, back in (("the peering", PEER, lambda: peering("deleted"), lambda: peering("active")),
                                     ("the transit gateway", FAR, lambda: attached(False), lambda: attached(True))):
        with traffic.Session(world.guest, target, ECHO) as session:
            check(session.echo(), f"a session by {name}")
            away()
            world.agent.apply()
            check(not session.echo(b"x", 0.5), f"the session without {name}")
            equal(traffic.tcp(world.guest, target, NEW, False), "silent", f"a new session without {name}")
            back()
            world.agent.apply()
            equal(traffic.tcp(world.guest, target, NEW), "open", f"a new session by {name} made anew")
            wait_for(lambda: session.echo(b"y", 1), 10 * traffic.SLOW, f"the session goes on by {name}")


# ---- tunnels

SITE = "172.20.0.7"


class Site:
    """What is at the other end of both tunnels: it sends every UDP packet back, by the tunnel of `by` or by which it came."""

    def __init__(self, tuns):
        self.tuns, self.by, self.seen, self._running = tuns, None, [], True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        names = {fd: name for name, fd in self.tuns.items()}
        while self._running:
            for fd in select.select(list(names), [], [], 0.05)[0]:
                try:
                    packet = os.read(fd, 65600)
                    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
                        continue
                    self.seen.append(names[fd])
                    back = packet[:12] + packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22] + packet[24:]
                    os.write(self.tuns[self.by] if self.by else fd, back)
                except OSError:  # it is down
                    continue

    def close(self):
        self._running = False
        self._thread.join()


def tunnel_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24")
    state.subnet("s-2", "vpc-1", "10.0.2.0/24")
    state.table("rtb-main", "vpc-1", [("172.20.0.0/16", "vgw-1")])
    inner = state.table("rtb-2", "vpc-1", [], subnets=["s-2"])
    inner["Routes"].append(to("172.20.0.0/16", "NatGatewayId", "nat-1"))
    state["VpnGateways"] = [{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state["VpnConnections"] = [{"VpnConnectionId": f"vpn-{n}", "VpnGatewayId": "vgw-1", "CustomerGatewayId": "cgw-1", "State": "available",
                                "Options": {"StaticRoutesOnly": True}, "Routes": [{"DestinationCidrBlock": c, "State": "available"}]}
                               for n, c in ((1, "172.20.0.0/24"), (2, "172.20.0.0/16"))]
    state.group("sg-1", "vpc-1", [], [allow("udp", 99, SITE + "/32")])
    state.eni("eni-1", "s-1", "10.0.1.10", ["sg-1"])
    state.eni("eni-2", "s-2", "10.0.2.10", ["sg-1"])
    nat = state.eni("eni-nat", "s-1", NAT, [], check=False)
    nat["InterfaceType"] = "nat_gateway"
    state["NatGateways"] = [{"NatGatewayId": "nat-1", "VpcId": "vpc-1", "SubnetId": "s-1", "State": "available", "ConnectivityType": "private",
                             "NatGatewayAddresses": [{"NetworkInterfaceId": "eni-nat", "PrivateIp": NAT, "IsPrimary": True, "Status": "succeeded"}]}]
    state.host("host-a", [("eni-1", "veth-1"), ("eni-2", "veth-2")], [("vpn-1", "tun-1"), ("vpn-2", "tun-2")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


class Tunnels:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.site = fabric, agent, Site(fabric.tuns)

    def device(self, name, up):
        self.fabric.host.ip(f"link set {name} {'up' if up else 'down'}")


@scene
def tunnels():
    with Fabric(tunnel_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        world = Tunnels(fabric, agent)
        yield world
        world.site.close()


def asks(world, sock, how):
    """A question and its answer. Returns by which tunnel the question went, None = there was no answer."""
    world.site.seen.clear()
    sock.sendto(how.encode(), (SITE, 99))
    try:
        return world.site.seen[-1] if sock.recv(100) == how.encode() else None
    except TimeoutError:
        return None


@test
def vgw08_the_next_tunnel_takes_over(world):
    """VGW-03, VGW-08: the more specific tunnel while its device works, else the other; for live flows, too, with a NAT
    gateway in the way and without. Down for both: not-served."""
    for eni in ("eni-1", "eni-2"):
        with world.fabric.guest(eni).socket(kind=socket.SOCK_DGRAM) as sock:
            sock.settimeout(1.0 * traffic.SLOW)
            for _ in range(3):
                equal(asks(world, sock, "both"), "tun-1", f"{eni}: both are up")
            world.device("tun-1", False)
            wait_for(lambda: asks(world, sock, "one") == "tun-2", 5 * traffic.SLOW, f"{eni}: the other tunnel takes over")
            for _ in range(3):
                equal(asks(world, sock, "other"), "tun-2", f"{eni}: one is down")
            world.device("tun-2", False)
            before = world.agent.drops()
            equal(asks(world, sock, "none"), None, f"{eni}: both are down")
            wait_for(lambda: world.agent.dropped(before).get("not-served"), 5 * traffic.SLOW, "the drop is counted by name")
            world.device("tun-1", True)
            world.device("tun-2", True)
            with world.fabric.guest(eni).socket(kind=socket.SOCK_DGRAM) as fresh:
                fresh.settimeout(1.0 * traffic.SLOW)
                wait_for(lambda: asks(world, fresh, "new") == "tun-1", 5 * traffic.SLOW, f"{eni}: a new flow by the first again")


@test
def answers_come_by_the_other_tunnel(world):
    """VGW-03, NAT-10: whichever tunnel an answer takes, it belongs to its flow."""
    for eni in ("eni-1", "eni-2"):
        for by in ("tun-2", "tun-1", "tun-2"):
            with world.fabric.guest(eni).socket(kind=socket.SOCK_DGRAM) as sock:
                sock.settimeout(1.0 * traffic.SLOW)
                world.site.by = by
                for _ in range(3):
                    equal(asks(world, sock, "question"), "tun-1", f"{eni}: answered by {by}")
    world.site.by = None


@test
def tunnel_that_is_deleted(world):
    """A device that is gone counts as a tunnel that is down. Last test: it is not made again."""
    with world.fabric.guest("eni-1").socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0 * traffic.SLOW)
        equal(asks(world, sock, "both"), "tun-1", "both are there")
        world.fabric.host.ip("link del tun-1")
        wait_for(lambda: asks(world, sock, "one") == "tun-2", 5 * traffic.SLOW, "the other tunnel takes over")
    world.agent.kill()
    world.agent.start()
    with world.fabric.guest("eni-1").socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0 * traffic.SLOW)
        wait_for(lambda: asks(world, sock, "one") == "tun-2", 5 * traffic.SLOW, "so does it for an agent that never saw the first")


if __name__ == "__main__":
    run()
