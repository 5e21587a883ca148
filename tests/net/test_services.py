#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""DHCP and DNS by the host's dnsmasq, from what `enid services` prints (DNS-01..DNS-06): a real DHCP client gets the
ENI's own address, router and resolver, and resolves names; nobody else sees any of it."""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import ENID, SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.services import Dnsmasq, query
from vpcnet.vpc import State, allow

RESOLVER, RESOLVER6 = "169.254.169.253", "fd00:ec2::253"
SERVED = {"eni-a": ("10.0.1.10", "2001:db8:1:1::10"), "eni-b": ("10.0.2.10", "2001:db8:1:2::10"), "eni-c": ("10.1.1.10", None)}
def make_state():
    state = State()
    for number, six in (("0", "2001:db8:1::/56"), ("1", None)):
        vpc = state.vpc(f"vpc-{number}", f"10.{number}.0.0/16", six)
        state.table(f"rtb-{number}", f"vpc-{number}")
        state.group(f"sg-{number}", f"vpc-{number}", egress=[allow("udp", 9, "10.0.0.0/8")])  # services need no rule
        if number == "0":
            vpc["DhcpOptionsId"] = "dopt-0"
    state.subnet("s-a", "vpc-0", "10.0.1.0/24", "2001:db8:1:1::/64")
    state.subnet("s-b", "vpc-0", "10.0.2.0/24", "2001:db8:1:2::/64")
    state.subnet("s-c", "vpc-1", "10.1.1.0/24")
    state["DhcpOptions"] = [{"DhcpOptionsId": "dopt-0", "DhcpConfigurations": [
        {"Key": "domain-name", "Values": [{"Value": "eu-west-1.compute.internal"}]},
        {"Key": "domain-name-servers", "Values": [{"Value": "AmazonProvidedDNS"}]},
        {"Key": "ntp-servers", "Values": [{"Value": "169.254.169.123"}]}]}]
    for eni, (four, six) in SERVED.items():
        number = four.split(".")[1]
        state.eni(eni, "s-" + eni[-1], four, [f"sg-{number}"], six)
    state.host("host-a", [("eni-a", "veth-a"), ("eni-b", "tap-b"), ("eni-c", "veth-c")])
    state.find("Hosts", "host-a")["Ports"][0]["Mtu"] = 1400
    return state


class World:
    def __init__(self, fabric, agent, folder):
        self.fabric, self.agent, self.folder = fabric, agent, folder
        fabric.state.save(folder)
        self.dnsmasq = Dnsmasq(fabric.host, [folder + "/state.json"], folder, "address=/names.example/192.0.2.80\n")

    def log(self):
        return self.dnsmasq.log()

    def close(self):
        self.dnsmasq.close()

    def lease(self, eni):
        return self.dnsmasq.lease(self.fabric.guest(eni))


@scene
def served():
    with tempfile.TemporaryDirectory() as folder, Fabric(make_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        world = World(fabric, agent, folder)
        try:
            yield world
        finally:
            world.close()


@test
def a_dhcp_client_gets_what_the_eni_has(world):
    """DNS-02, DNS-06: address, mask, router, the set's values; over veth and tap; a VPC without a set gets the
    link-local resolver. No other tenant's device sees a frame of it."""
    wanted = {"eni-a": ("10.0.1.10", "10.0.1.1", "10.0.0.2", "eu-west-1.compute.internal"),
              "eni-b": ("10.0.2.10", "10.0.2.1", "10.0.0.2", "eu-west-1.compute.internal"),
              "eni-c": ("10.1.1.10", "10.1.1.1", RESOLVER, "")}
    for eni, (address, router, resolver, domain) in wanted.items():
        others = [frames.Watch(world.fabric.guest(other)) for other in SERVED if other != eni]
        try:
            told = world.lease(eni)
        finally:
            seen = [frame for watch in others for frame in watch.stop() if frame[12:14] == b"\x08\x00"]
        equal((told["ip"], told["mask"], told["router"], told["dns"], told["domain"]), (address, "24", router, resolver, domain),
              f"what {eni} was told")
        check(not seen, f"{len(seen)} IPv4 frames reached other guests: {[f[:60].hex() for f in seen[:2]]}")


@test
def names_are_resolved(world):
    """DNS-03: at VPC+2 and the link-local addresses, both families, although no group allows port 53."""
    for eni in ("eni-a", "eni-b"):
        guest = world.fabric.guest(eni)
        world.lease(eni)
        for server in ("10.0.0.2", RESOLVER, RESOLVER6):
            equal(query(guest, server, "names.example"), ["192.0.2.80"], f"{eni} asks {server}")
        equal(query(guest, RESOLVER, "ip-10-0-2-10.eu-west-1.compute.internal"), ["10.0.2.10"], "a neighbour's name")
    other = world.fabric.guest("eni-c")
    world.lease("eni-c")
    equal(query(other, RESOLVER, "names.example"), ["192.0.2.80"], "eni-c asks the link-local resolver")
    equal(query(other, "10.0.0.2", "names.example"), None, "eni-c asks the resolver of another VPC")


@test
def an_ipv6_address_by_dhcp(world):
    """L2-06: addresses by DHCPv6. A SOLICIT of eni-a is answered with eni-a's address."""
    guest = world.fabric.guest("eni-a")
    mac = bytes.fromhex(world.fabric.state.find("NetworkInterfaces", "eni-a")["MacAddress"].replace(":", ""))
    duid = struct.pack("!HHHH", 1, 10, 3, 1) + mac
    body = b"\x01\x00\x00\x07" + duid + struct.pack("!HHIII", 3, 12, 1, 0, 0) + struct.pack("!HHH", 8, 2, 0)
    with guest.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, guest.entered():
        index = socket.if_nametoindex("eth0")
        local = re.search(r"inet6 (fe80\S+)/64", guest.run("ip", "-6", "addr", "show", "dev", "eth0").stdout).group(1)
        sock.bind((local, 546, 0, index))
        sock.settimeout(2 * SLOW)
        sock.sendto(body, ("ff02::1:2", 547, 0, index))
        try:
            answer = sock.recv(2048)
        except TimeoutError:
            answer = b""
    check(answer[:1] == b"\x02" and socket.inet_pton(socket.AF_INET6, "2001:db8:1:1::10") in answer,
          f"the answer to a SOLICIT: {answer.hex()}\n{world.log()[-1500:]}")


@test
def nothing_else_of_the_host_is_open(world):
    """A listener of the host on all addresses is not for guests, at no address that the host has for them."""
    guest = world.fabric.guest("eni-a")
    world.lease("eni-a")
    with traffic.Listeners() as listeners:
        listeners.tcp(world.fabric.host, 22)
        for address in (RESOLVER, "10.0.0.2", "10.0.1.1", "169.254.169.254"):
            equal(traffic.tcp(guest, address, 22, False), "silent", f"port 22 of {address}")


@test
def equal_addresses_are_refused_by_name(world):
    state = make_state()
    state.find("NetworkInterfaces", "eni-c").update(PrivateIpAddress="10.0.1.10")
    state.find("NetworkInterfaces", "eni-c")["PrivateIpAddresses"][0]["PrivateIpAddress"] = "10.0.1.10"
    state.find("Vpcs", "vpc-1")["CidrBlock"] = "10.0.0.0/16"
    state.find("Vpcs", "vpc-1")["CidrBlockAssociationSet"][0]["CidrBlock"] = "10.0.0.0/16"
    state.find("Subnets", "s-c")["CidrBlock"] = "10.0.1.0/24"
    for table in state["RouteTables"]:
        table["Routes"] = [route for route in table["Routes"] if route.get("DestinationCidrBlock") != "10.1.0.0/16"]
    state.save(world.folder, "twins.json")
    twins = world.folder + "/twins.json"
    done = subprocess.run([ENID, "services", "dnsmasq", twins], capture_output=True, text=True, check=False)
    check(done.returncode == 1 and "10.0.1.10" in done.stderr and "--vpc" in done.stderr, f"twins: {done}")
    done = subprocess.run([ENID, "services", "dnsmasq", "--vpc", "vpc-1", twins], capture_output=True, text=True, check=False)
    check(not done.returncode and "veth-c" in done.stdout and "veth-a" not in done.stdout, f"one of the twins: {done}")


if __name__ == "__main__":
    run()
