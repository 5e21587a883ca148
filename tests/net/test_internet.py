#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The internet gateway on an uplink: both ways, both families, ICMP errors, path MTU, and nmap from outside."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, allow

WEB_PUBLIC = "203.0.113.10"
OPEN, CLOSED, UDP_OPEN, UDP_CLOSED = 80, 443, 53, 54
UNLISTED = 8080  # a listener that no rule allows
FAR4, FAR6 = "192.0.2.9", "2001:db8:fffe::9"
FAR_MTU = 1400


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.subnet("s-public", "vpc-1", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.subnet("s-private", "vpc-1", "10.0.2.0/24", "2001:db8:1:2::/64")
    state.internet_gateway("igw-1", "vpc-1")
    state.table("rtb-main", "vpc-1")
    state.table("rtb-public", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")], subnets=["s-public"])
    state.group("sg-web", "vpc-1", [
        allow("tcp", OPEN, *ANYWHERE), allow("tcp", CLOSED, *ANYWHERE), allow("udp", (UDP_OPEN, UDP_CLOSED), *ANYWHERE),
        allow("icmp", (8, -1), "0.0.0.0/0"), allow("icmpv6", (128, -1), "::/0")],
        # Not open to all: so every flow that the guest opens is tracked, and ICMP errors need no rule (CT-14).
        [allow("-1", None, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")])
    state.eni("eni-web", "s-public", "10.0.1.10", ["sg-web"], "2001:db8:1:1::10", WEB_PUBLIC)
    state.eni("eni-plain", "s-public", "10.0.1.20", ["sg-web"], "2001:db8:1:1::20")
    state.eni("eni-tap", "s-public", "10.0.1.30", ["sg-web"], "2001:db8:1:1::30", "203.0.113.30")
    state.eni("eni-private", "s-private", "10.0.2.10", ["sg-web"], "2001:db8:1:2::10", "203.0.113.40")
    state.host("host-a", [("eni-web", "veth-web"), ("eni-plain", "veth-plain"), ("eni-tap", "tap-web"),
                          ("eni-private", "veth-private")], [("igw-1", "up0")])
    return state


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        self.web, self.internet = fabric.guest("eni-web"), fabric.internet
        self.far = fabric.add_far_host(FAR4, FAR6, FAR_MTU)
        for guest in (self.web, self.fabric.guest("eni-tap"), self.internet, self.far):
            listeners.tcp(guest, OPEN, UNLISTED)
            listeners.udp(guest, UDP_OPEN, UNLISTED)


@scene
def uplink():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def internet_reaches_public_address(world):
    """IGW-04: the guest sees its private address and the real client."""
    for target in (WEB_PUBLIC, "203.0.113.30", "2001:db8:1:1::10", "2001:db8:1:1::30"):
        client = INTERNET6 if ":" in target else INTERNET4
        equal(traffic.tcp(world.internet, target, OPEN), "open", f"TCP to {target}")
        equal(world.listeners.peers.get(OPEN), client, f"who the guest at {target} saw")
        equal(traffic.udp(world.internet, target, UDP_OPEN), "answered", f"UDP to {target}")
        check(traffic.ping(world.internet, target), f"no echo reply from {target}")


@test
def guest_reaches_internet(world):
    """IGW-02: the server sees the public address (IPv4) or the guest's own (IPv6)."""
    for eni, public in (("eni-web", WEB_PUBLIC), ("eni-tap", "203.0.113.30")):
        guest = world.fabric.guest(eni)
        for target, seen in ((INTERNET4, public), (INTERNET6, world.fabric.state.addresses(eni)[1])):
            equal(traffic.tcp(guest, target, UNLISTED), "open", f"TCP from {eni} to {target}")
            equal(world.listeners.peers.get(UNLISTED), seen, f"who {target} saw for {eni}")
            equal(traffic.udp(guest, target, UDP_OPEN), "answered", f"UDP from {eni} to {target}")
            equal(world.listeners.peers.get(UDP_OPEN), seen, f"who {target} saw for {eni} by UDP")
            check(traffic.ping(guest, target), f"no echo reply from {target} for {eni}")


@test
def uplink_answers_with_its_own_mac(world):
    """ARP and ND for public addresses and the VPC's prefixes: the MAC of the uplink device, nobody else's."""
    for target in (WEB_PUBLIC, "2001:db8:1:1::10"):
        check(traffic.ping(world.internet, target), f"no echo reply from {target}")
        lines = [line for line in world.internet.run("ip", "neigh", "show").stdout.splitlines()
                 if line.startswith(target + " ")]
        check(lines and _uplink_mac(world) in lines[0], f"{target} is not at {_uplink_mac(world)}: {lines}")


@test
def internet_does_not_reach_denied_ports(world):
    for target in (WEB_PUBLIC, "2001:db8:1:1::10"):
        equal(traffic.tcp(world.internet, target, UNLISTED, False), "silent", f"TCP to {target}")
        equal(traffic.udp(world.internet, target, UNLISTED, False), "silent", f"UDP to {target}")


@test
def without_public_address_no_internet(world):
    """IGW-03 by the counter's name; the same guest's IPv6 works (IGW-10)."""
    before = world.agent.drops()
    plain = world.fabric.guest("eni-plain")
    equal(traffic.tcp(plain, INTERNET4, OPEN, False), "silent", "TCP without a public address")
    dropped = world.agent.dropped(before)
    check(dropped.get("igw-no-public-address", 0) >= 1, f"igw-no-public-address is not counted: {dropped}")
    equal(traffic.tcp(plain, INTERNET6, OPEN), "open", "TCP over IPv6")


@test
def private_subnet_has_no_internet(world):
    """RT-13, IGW-07: no route, no answer, although the ENI has a public address."""
    before = world.agent.drops()
    equal(traffic.tcp(world.fabric.guest("eni-private"), INTERNET4, OPEN, False), "silent", "TCP from a private subnet")
    dropped = world.agent.dropped(before)
    check(dropped.get("no-route", 0) >= 1, f"no-route is not counted: {dropped}")


@test
def nobodys_public_address(world):
    """IGW-04: a public address without an ENI is dropped under its name, or not even at home (no ARP answer)."""
    before = world.agent.drops()
    probe = frames.ethernet("02:00:00:00:99:01", _uplink_mac(world), frames.ETH_IP,
                            frames.tcp(INTERNET4, "203.0.113.77", 4000, OPEN, 2))
    frames.send(world.internet, "eth0", probe, 5)
    dropped = world.agent.dropped(before)
    equal(dropped.get("igw-no-owner"), 5, f"igw-no-owner of {dropped}")


def _uplink_mac(world):
    text = world.fabric.host.run("ip", "-o", "link", "show", "up0").stdout
    return re.search(r"link/ether (\S+)", text).group(1)


@test
def port_unreachable_comes_back(world):
    """IGW-05, CT-14: the error's outer and inner addresses fit the sender's own socket, or its kernel ignores it."""
    for target in (WEB_PUBLIC, "203.0.113.30", "2001:db8:1:1::10"):
        equal(traffic.udp(world.internet, target, UDP_CLOSED), "refused", f"UDP to the closed port of {target}")
    for target in (INTERNET4, INTERNET6):
        equal(traffic.udp(world.web, target, UDP_CLOSED), "refused", f"UDP from the guest to {target}, closed")


@test
def traceroute_sees_the_internet_only(world):
    """RT-14, IGW-05: no hop of the VPC; time-exceeded and port-unreachable of tracked flows come in."""
    equal(traffic.trace_route(world.web, FAR4), [INTERNET4, "arrived"], "IPv4")
    equal(traffic.trace_route(world.web, FAR6), [INTERNET6, "arrived"], "IPv6")


@test
def path_mtu_is_learned(world):
    """CT-14: fragmentation-needed reaches the guest; a bulk transfer over a narrower path succeeds."""
    for target in (FAR4, FAR6):
        # The far host announces the MSS of a wider path than there is, so that segments do not fit at first.
        equal(traffic.tcp(world.web, target, UNLISTED, data=b"m" * 300000), "open", f"bulk TCP to {target}")
        size = FAR_MTU - (48 if ":" in target else 28) + 50
        traffic.udp(world.web, target, UDP_OPEN, False, data=b"u" * size)
        route = world.web.run("ip", "route", "get", target).stdout
        check(f"mtu {FAR_MTU}" in route, f"the guest did not learn the path MTU to {target}: {route!r}")


@test
def bulk_both_ways(world):
    data = os.urandom(1 << 20)
    for target in (INTERNET4, INTERNET6):
        equal(traffic.tcp(world.web, target, UNLISTED, data=data), "open", f"1 MiB out and back to {target}")
    for target in (WEB_PUBLIC, "203.0.113.30", "2001:db8:1:1::10"):
        equal(traffic.tcp(world.internet, target, OPEN, data=data), "open", f"1 MiB in and back from {target}")


@test
def checksums_of_translated_packets(world):
    """IGW-02: the tap carried translated traffic of the tests above; its checksums were verified frame by frame. Then
    without any offload at the sender: real checksums, rewritten, verified by the receiving kernel."""
    cable = world.fabric.cables["eni-tap"]
    check(cable.frames > 500, f"only {cable.frames} frames: did the other tests run?")
    check(not cable.bad_checksums, f"{len(cable.bad_checksums)} frames: {cable.bad_checksums[:5]}")
    world.internet.set_offloads("eth0", False)
    world.web.set_offloads("eth0", False)
    try:
        before = _bad_checksums(world.web) + _bad_checksums(world.internet)
        equal(traffic.tcp(world.internet, WEB_PUBLIC, OPEN, data=b"c" * 200000), "open", "TCP in, no offloads")
        equal(traffic.tcp(world.web, INTERNET4, UNLISTED, data=b"c" * 200000), "open", "TCP out, no offloads")
        equal(traffic.udp(world.internet, WEB_PUBLIC, UDP_OPEN, data=b"odd"), "answered", "UDP in, no offloads")
        equal(_bad_checksums(world.web) + _bad_checksums(world.internet), before, "packets with a wrong checksum")
    finally:
        world.internet.set_offloads("eth0", True)
        world.web.set_offloads("eth0", True)


def _bad_checksums(namespace):
    """InCsumErrors of TCP, UDP and ICMP."""
    total = 0
    lines = namespace.run("cat", "/proc/self/net/snmp").stdout.splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        total += sum(int(v) for n, v in zip(names.split(), values.split()) if n == "InCsumErrors")
    return total


@test
def nmap_finds_exactly_the_allowed_ports(world):
    """From an attacker on the internet, five kinds of scan; and nothing else ever arrives at the guest."""
    seen = set()

    def record(frame):
        found = frames.transport(frame)
        if found and found[3] == INTERNET4:
            seen.add((found[0], found[2]))
        return False

    with frames.Watch(world.web, matching=record):
        scans = {"-sS": _nmap(world, "-sS"), "-sA": _nmap(world, "-sA"), "-sF": _nmap(world, "-sF"),
                 "-sX": _nmap(world, "-sX"), "-sU": _nmap(world, "-sU", "53-56,123,161,1900,8080")}
    equal(scans["-sS"].get("open"), {OPEN}, "SYN scan: open")
    equal(scans["-sS"].get("closed"), {CLOSED}, "SYN scan: closed, but reachable")
    equal(scans["-sA"].get("unfiltered"), {OPEN, CLOSED}, "ACK scan: reachable")
    for scan in ("-sF", "-sX"):
        equal(scans[scan].get("closed"), {CLOSED}, f"{scan} scan: answered with a reset")
    equal(scans["-sU"].get("closed"), {UDP_CLOSED}, "UDP scan: port unreachable")
    allowed = {(frames.TCP, OPEN), (frames.TCP, CLOSED), (frames.UDP, UDP_OPEN), (frames.UDP, UDP_CLOSED)}
    check(seen <= allowed, f"arrived at the guest: {sorted(seen - allowed)[:10]}")
    equal(seen, allowed, "what arrived at the guest")


@test
def blocked_public_access_is_in_the_flow_log(world):
    """VPC-18, FL-08: each packet that it stops has a REJECT line, at the ENI whose address it came for or from, and no other."""
    agent, state = world.agent, world.fabric.state
    agent.stop()  # what the scan has left is written
    agent.start()
    before, written = agent.drops(), len(agent.flow_log())
    state["VpcBlockPublicAccessOptions"] = {"InternetGatewayBlockMode": "block-bidirectional", "State": "update-complete"}
    try:
        agent.apply()
        mac = state.find("NetworkInterfaces", "eni-web")["MacAddress"]
        out = frames.udp("10.0.1.10", INTERNET4, 4000, 4001, b"x" * 80)
        frames.send(world.web, "eth0", frames.ethernet(mac, frames.ROUTER_MAC, 0x0800, out), count=7)
        traffic.udp(world.internet, WEB_PUBLIC, UDP_OPEN, False)
        traffic.udp(world.internet, "2001:db8:1:1::10", UDP_OPEN, False)
        wait_for(lambda: agent.dropped(before).get("bpa", 0) >= 9, 5 * SLOW, "drops")
        dropped = agent.dropped(before)["bpa"]
        agent.stop()
        log = agent.flow_log()[written:]
        lines = [line for line in log if line[12] == "REJECT" and line[2] == "eni-web"]
        sent = [(line[3], line[4], line[8], line[9]) for line in lines if line[6] == "4001"]
        equal(sent, [("10.0.1.10", INTERNET4, "7", str(7 * len(out)))], "what the guest sent")
        check(not [line for line in log if line[6] == "4001" and line[12] == "ACCEPT"], "it is accepted, too")
        came = {(line[3], line[4]) for line in lines if line[6] == str(UDP_OPEN) and line[7] == "17"}
        check({(INTERNET4, "10.0.1.10"), (INTERNET6, "2001:db8:1:1::10")} <= came, f"what came from outside: {came}")
        equal(sum(int(line[8]) for line in lines if line[6] == "4001" or line[3] in (INTERNET4, INTERNET6)), dropped,
              "packets in those lines")
    finally:
        del state["VpcBlockPublicAccessOptions"]
        agent.stop()
        state.save(agent.state_dir)
        agent.start()


@test
def a_port_becomes_the_uplink(world):
    """While the agent runs, and while none does: the egress hook of its time as a port would judge what goes out."""
    agent, host = world.agent, world.fabric.state["Hosts"][0]
    as_uplink = (host["Ports"], host["Uplinks"])
    as_port = ([port for port in host["Ports"] if port["NetworkInterfaceId"] != "eni-private"] +
               [{"NetworkInterfaceId": "eni-private", "Device": "up0"}], [])

    def configure(configuration):
        host["Ports"], host["Uplinks"] = configuration

    try:
        configure(as_port)
        agent.apply()
        equal(traffic.tcp(world.internet, WEB_PUBLIC, OPEN, False), "silent", "the internet behind a port")
        configure(as_uplink)
        agent.apply()
        for how in ("made an uplink by an edit", "made one while no agent ran"):
            wait_for(lambda: traffic.tcp(world.internet, WEB_PUBLIC, OPEN) == "open", 5 * SLOW, f"{how}: the internet to come in")
            equal(traffic.tcp(world.web, INTERNET4, UNLISTED), "open", f"{how}: to the internet")
            if how.startswith("made an"):
                configure(as_port)
                agent.apply()
                agent.stop()
                configure(as_uplink)
                world.fabric.state.save(agent.state_dir)
                agent.start()
    finally:
        configure(as_uplink)
        world.fabric.state.save(agent.state_dir)


def _nmap(world, scan, ports="1-1024,8080"):
    """{port state: ports} of one scan of the web server's public address."""
    done = world.internet.run("nmap", "-n", "-Pn", "-T4", "--max-retries", "1", "--min-rate", "3000",
                              "--disable-arp-ping", scan, "-p", ports, "-v", "-oG", "-", WEB_PUBLIC)
    states = {}
    for port, state in re.findall(r"(\d+)/([a-z|]+)/", done.stdout):
        states.setdefault(state, set()).add(int(port))
    return states


if __name__ == "__main__":
    run()
