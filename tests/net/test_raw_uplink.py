#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A virtual private gateway on a device without an Ethernet header: what WireGuard, xfrm, vti, GRE and tun have in
common. The other end of the tun is this script."""
import glob
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import State, allow

SITE = "172.20.0.7"


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24")
    state.table("rtb-main", "vpc-1", [("172.20.0.0/16", "vgw-1")])
    state["VpnGateways"] = [{"VpnGatewayId": "vgw-1", "State": "available",
                             "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state.group("sg-1", "vpc-1", [allow("udp", 53, SITE + "/32")], [allow("udp", 99, SITE + "/32")])
    state.eni("eni-veth", "s-1", "10.0.1.10", ["sg-1"])
    state.eni("eni-tap", "s-1", "10.0.1.20", ["sg-1"])
    state.host("host-a", [("eni-veth", "veth-1"), ("eni-tap", "tap-1")], [("vgw-1", "tun-1")])
    return state


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent, self.tun = fabric, agent, fabric.tuns["tun-1"]

    def read(self, timeout=2.0):
        """The next UDP packet that leaves by the tunnel: (IPv4 header fields, payload), or None."""
        until = time.monotonic() + timeout
        while select.select([self.tun], [], [], max(0, until - time.monotonic()))[0]:
            packet = os.read(self.tun, 65600)
            if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP:
                check(not frames.checksum_fault(b"\0" * 12 + b"\x08\x00" + packet), "a checksum is wrong")
                source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
                sport, dport = struct.unpack("!HH", packet[20:24])
                return source, target, packet[8], sport, dport, packet[28:]
        return None

    def write(self, source, target, sport, dport, data, ttl=64):
        src, dst = socket.inet_aton(source), socket.inet_aton(target)
        udp = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0x4000, ttl, 17, 0, src, dst)
        total = sum(struct.unpack("!10H", header))
        total = (total & 0xffff) + (total >> 16)
        header = header[:10] + struct.pack("!H", ~total & 0xffff) + header[12:]
        os.write(self.tun, header + udp)

    def listener(self, eni, port):
        heard = self.fabric.guest(eni).socket(kind=socket.SOCK_DGRAM)
        heard.bind(("0.0.0.0", port))
        heard.settimeout(2)
        return heard


@scene
def tunnel():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        yield World(fabric, agent)


@test
def guest_reaches_the_site_and_hears_the_answer(world):
    """VGW-01, VGW-07: private addresses both ways, one hop, on a veth and on a tap."""
    for eni, address in (("eni-veth", "10.0.1.10"), ("eni-tap", "10.0.1.20")):
        with world.listener(eni, 4000) as heard:
            heard.sendto(b"question", (SITE, 99))
            found = world.read()
            check(found, f"nothing of {eni} came out of the tunnel")
            equal(found, (address, SITE, 63, 4000, 99, b"question"), "the packet in the tunnel")
            world.write(SITE, address, 99, 4000, b"answer")
            equal(heard.recvfrom(100), (b"answer", (SITE, 99)), "what the guest heard")


@test
def site_reaches_only_what_the_groups_admit(world):
    with world.listener("eni-veth", 53) as open_port, world.listener("eni-veth", 54) as shut:
        world.write(SITE, "10.0.1.10", 4001, 54, b"no")
        world.write("172.20.0.8", "10.0.1.10", 4001, 53, b"no")
        world.write(SITE, "10.0.1.10", 4001, 53, b"yes")
        equal(open_port.recvfrom(100), (b"yes", (SITE, 4001)), "what the open port heard")
        open_port.sendto(b"back", (SITE, 4001))
        found = world.read()
        check(found, "no answer came out of the tunnel")
        equal(found[:2] + found[3:], ("10.0.1.10", SITE, 53, 4001, b"back"), "the answer in the tunnel")
        shut.settimeout(0.3)
        try:
            check(False, f"the shut port heard {shut.recvfrom(100)}")
        except socket.timeout:
            pass


@test
def what_is_not_for_the_vpc_goes_no_further(world):
    """VGW-07: no way through the VPC; nothing turns round, nothing reaches the host."""
    world.write(SITE, "198.51.100.9", 4001, 53, b"through")
    world.write(SITE, "10.0.1.1", 4001, 53, b"router")
    os.write(world.tun, b"\x45\x00")
    found = world.read(0.5)
    check(found is None, f"something came back: {found}")


@test
def an_uplink_that_left_the_state_meanwhile(world):
    """E13: no agent saw it go; the next one sets the device free, as a running one would have."""
    def pins():
        return glob.glob(os.path.join(world.agent.pin_dir, "**", "*_tc_rx_raw"), recursive=True)
    equal(len(pins()), 1, "hooks of raw uplinks")
    world.agent.stop()
    world.fabric.state.find("Hosts", "host-a")["Uplinks"] = []
    world.fabric.state.save(world.agent.state_dir)
    world.agent.start()
    wait_for(lambda: not pins(), 5 * SLOW, "the device of the uplink is free")


if __name__ == "__main__":
    run()
