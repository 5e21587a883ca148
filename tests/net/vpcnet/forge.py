# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a hostile guest could claim: lists of (frame, fate), the matrix of hazards A9-A11 and B1-B7.

The fate is what must become of the frame: the name of the reason to drop it, or
    reply    the fabric answers, to the sender alone
    deliver  it arrives at the peer that it is for, and nowhere else       (router mode)
    routed   it arrives at the guest of the other subnet, and nowhere else (router mode)
    host     it is left to the host's stack or bridge, and reaches no guest
    bridge   the same, and the bridge brings it to the peer                (guard mode)
    flood    the same, and the bridge brings it to every guest on it       (guard mode)
"""
import ipaddress
import itertools
import random
import struct

from vpcnet import frames
from vpcnet.frames import (ETH_ARP, ETH_IP, ETH_IP6, ETH_QINQ, ETH_VLAN, ICMP, ICMP6, ROUTER_MAC, TCP, UDP, ethernet,
                           mac_bytes)

BROADCAST = "ff:ff:ff:ff:ff:ff"
ROUTER4, ROUTER6 = "10.0.1.1", ("fe80:ec2::1", "2001:db8:1:1::1", "fe80::65:6eff:fe69:6401")
UNOWNED4, FOREIGN4, UNOWNED6, FOREIGN6 = "10.0.1.77", "8.8.8.8", "2001:db8:1:1::77", "2001:db8:ffff::7"
STRANGE_MAC = "02:de:ad:be:ef:01"
TAGGED = (0x8100, 0x88A8, 0x9100)
NOISE = b"forged by a guest!"


class Side:
    """Who a guest is."""

    def __init__(self, mac, four, six):
        self.mac, self.four, self.six = mac, four, six
        packed = mac_bytes(mac)
        self.link_local = str(ipaddress.IPv6Address(
            b"\xfe\x80" + bytes(6) + bytes([packed[0] ^ 2]) + packed[1:3] + b"\xff\xfe" + packed[3:]))


class Cast:
    """The attacker `me`, a `peer` of its subnet whose groups admit everything, one (`shut`) whose groups admit
    nothing, and `far` in another subnet."""

    def __init__(self, me, peer, shut, far, guard):
        self.me, self.peer, self.shut, self.far, self.guard = me, peer, shut, far, guard

    def at_peer(self):
        """The fate of what the rules let through to the peer."""
        return "bridge" if self.guard else "deliver"

    def at_shut(self):
        return "host" if self.guard else "sg-ingress"

    def frame(self, packet, to=None, source=None, tags=()):
        return ethernet(source or self.me.mac, to or self.peer.mac, frames.ethertype_of(packet), packet, tags)

    def udp(self, family=4, **changed):
        me, peer = (self.me.four, self.peer.four) if family == 4 else (self.me.six, self.peer.six)
        return frames.udp(changed.get("source", me), changed.get("target", peer), changed.get("sport", 4000),
                          changed.get("dport", 9000), NOISE)


def honest(cast):
    """The same way of sending, without a lie: so that what is dropped below is dropped for the lie."""
    return [(cast.frame(cast.udp(family)), cast.at_peer()) for family in (4, 6)]


def odd_sources(cast):
    """B1: addresses of others, of nobody, of the fabric, of every odd range: [(address, whether a middlebox may use
    it)]."""
    four = [(cast.peer.four, True), (cast.shut.four, True), (cast.far.four, True), (UNOWNED4, True),
            ("10.0.1.255", True),
            (FOREIGN4, True), ("192.168.0.1", True), (ROUTER4, False), ("10.0.0.2", False), ("0.0.0.0", False),
            ("127.0.0.1", False), ("169.254.169.254", False), ("169.254.1.1", False), ("224.0.0.1", False),
            ("255.255.255.255", False), ("240.0.0.1", False)]
    six = [(cast.peer.six, True), (cast.shut.six, True), (cast.far.six, True), (UNOWNED6, True), (FOREIGN6, True),
           *[(router, False) for router in ROUTER6], ("::", False), ("::1", False), ("ff02::1", False),
           ("fd00:ec2::254", False), ("::ffff:" + cast.me.four, False), (cast.me.link_local, False),
           (cast.peer.link_local, False)]
    return four + six


def sources(cast, checked=True):
    """B1: none of them leaves an ENI; one without source check may send from what is not the fabric's or a martian."""
    shots = []
    for source, plausible in odd_sources(cast):
        six = ":" in source
        for side, mac in ((cast.peer, cast.peer.mac), (cast.peer, ROUTER_MAC), (cast.far, ROUTER_MAC)):
            target = side.six if six else side.four
            fate = "deliver" if side is cast.peer else "routed"
            if cast.guard:
                fate = "bridge" if mac == cast.peer.mac else "host"
            fate = "source-check" if checked else fate if plausible and source != target else "martian"
            shots += [(cast.frame(body, mac), fate) for body in (
                frames.udp(source, target, 4000, 9000, NOISE), frames.tcp(source, target, 4000, 80, 2),
                echo(source, target))]
    return shots


def sources_of_a_middlebox(cast):
    return sources(cast, False)


def echo(source, target):
    if ":" in source:
        return frames.packet(source, target, ICMP6, struct.pack("!BBHHH", 128, 0, 0, 7, 1) + NOISE, 2)
    return frames.packet(source, target, ICMP, icmp4(8, 0, struct.pack("!HH", 7, 1)))


def icmp4(kind, code, rest):
    body = struct.pack("!BBH", kind, code, 0) + rest + NOISE
    return body[:2] + struct.pack("!H", frames.checksum(body)) + body[4:]


def source_macs(cast, flood=4000):
    """B2: MACs of others and of the fabric, each single bit of the own one flipped, thousands at random."""
    own = int.from_bytes(mac_bytes(cast.me.mac), "big")
    dice = random.Random(48)
    macs = [cast.peer.mac, cast.far.mac, ROUTER_MAC, BROADCAST, "00:00:00:00:00:00", "01:00:5e:00:00:01",
            "33:33:00:00:00:01"]
    macs += [(own ^ 1 << bit).to_bytes(6, "big").hex(":") for bit in range(48)]
    bodies = [cast.udp(4), cast.udp(6), dhcp_request(), solicit(cast.me.six, cast.peer.six)]
    shots = [(cast.frame(body, source=mac), "mac-spoof") for mac in macs for body in bodies]
    shots += [(ethernet(mac, BROADCAST, ETH_ARP, frames.arp_request(mac, cast.me.four, cast.peer.four)), "mac-spoof")
              for mac in macs]
    shots += [(cast.frame(bodies[0], source=(2 << 40 | dice.getrandbits(40)).to_bytes(6, "big").hex(":")), "mac-spoof")
              for _ in range(flood)]
    return shots


def arp(cast):
    """B3: every operation x sender hardware x sender x target x target hardware x destination."""
    me, peer = cast.me, cast.peer
    fours = {text: ipaddress.ip_address(text).packed for text in
             (me.four, peer.four, cast.far.four, ROUTER4, UNOWNED4, FOREIGN4, "0.0.0.0", "255.255.255.255")}
    answered = (peer.four, ROUTER4)
    shots = []
    for op, sha, (spa, spa_bytes), (tpa, tpa_bytes), tha, to in itertools.product(
            (0, 1, 2, 3, 4, 8, 9, 10, 25, 0xFFFF), (me.mac, peer.mac, ROUTER_MAC, BROADCAST, STRANGE_MAC),
            fours.items(),
            fours.items(), ("00:00:00:00:00:00", me.mac, peer.mac), (BROADCAST, peer.mac)):
        body = struct.pack("!HHBBH", 1, ETH_IP, 6, 4, op) + mac_bytes(sha) + spa_bytes + mac_bytes(tha) + tpa_bytes
        claimed = tpa if spa == "0.0.0.0" else spa
        if cast.guard:
            fate = ("flood" if to == BROADCAST else "bridge") if sha == me.mac and claimed == me.four else "mac-spoof"
        elif op != 1:
            fate = "l2"
        elif sha != me.mac or spa not in (me.four, "0.0.0.0"):
            fate = "mac-spoof"
        else:
            fate = "reply" if tpa in answered else "l2"
        shots.append((ethernet(me.mac, to, ETH_ARP, body), fate))
    return shots + arp_shapes(cast)


def arp_shapes(cast):
    """ARP that is not about IPv4 over Ethernet, or says that its addresses have other lengths."""
    rest = frames.arp_request(cast.me.mac, cast.me.four, ROUTER4)[8:]
    shots = []
    for lengths in ((0, 4), (8, 4), (6, 0), (6, 16), (255, 255)):
        shots.append((struct.pack("!HHBBH", 1, ETH_IP, *lengths, 1), "malformed"))
    for hardware, protocol in ((6, ETH_IP), (0, ETH_IP), (1, ETH_IP6), (1, 0)):
        shots.append((struct.pack("!HHBBH", hardware, protocol, 6, 4, 1), "flood" if cast.guard else "malformed"))
    return [(ethernet(cast.me.mac, BROADCAST, ETH_ARP, head + rest), fate) for head, fate in shots]


def nd(source, target, kind, body, hops=255, code=0):
    return frames.packet(source, target, ICMP6, struct.pack("!BBH", kind, code, 0) + body, 2, hops)


def option(kind, mac):
    return struct.pack("!BB", kind, 1) + mac_bytes(mac) if mac else b""


def solicit(source, target, mac=None, **more):
    packed = ipaddress.ip_address(target).packed
    group = ipaddress.IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + packed[13:])
    return nd(source, group, 135, bytes(4) + packed + option(1, mac), **more)


def solicits(cast):
    """B4: neighbour solicitations: sender x target x link-layer option x hop limit x code x destination."""
    me, peer = cast.me, cast.peer
    answered = {peer.six, *ROUTER6}
    shots = []
    for source, target, mac, (hops, code), to in itertools.product(
            (me.six, me.link_local, "::", peer.six, cast.far.six, *ROUTER6, FOREIGN6),
            (me.six, me.link_local, peer.six, *ROUTER6, UNOWNED6, cast.far.six, "ff02::1"),
            (None, me.mac, peer.mac, ROUTER_MAC),
            ((255, 0), (64, 0), (255, 1)), (BROADCAST, "33:33:ff:00:00:20", peer.mac)):
        body = solicit(source, target, mac, hops=hops, code=code)
        own = source in (me.six, me.link_local, "::")
        if cast.guard:
            claim = source != "::" or target in (me.six, me.link_local)
            fate = "martian" if source in ROUTER6 else "l2" if not claim else "source-check" if not own else "flood"
            fate = "multicast" if fate == "flood" and (hops != 255 or code) else fate  # no discovery (RFC 4861), so a packet like others
            fate = "bridge" if fate == "flood" and to == peer.mac else fate
        elif not own and not source.startswith("fe80:"):
            fate = "source-check"
        else:
            fate = "reply" if target in answered and hops == 255 and not code else "l2"
        shots.append((cast.frame(body, to), fate))
    return shots


def adverts(cast):
    """B4, B5: neighbour advertisements, router advertisements and redirects of a guest."""
    me, peer = cast.me, cast.peer
    shots = []
    for source, target, flags, mac, to in itertools.product(
            (me.six, me.link_local, peer.six, *ROUTER6), (me.six, peer.six, *ROUTER6, UNOWNED6), (0, 0x20, 0x60, 0xE0),
            (None, me.mac, STRANGE_MAC), ("33:33:00:00:00:01", peer.mac)):
        claim = struct.pack("!I", flags << 24) + ipaddress.ip_address(target).packed + option(2, mac)
        body = nd(source, "ff02::1", 136, claim)
        fate = "l2"
        if cast.guard and source in ROUTER6:
            fate = "martian"
        elif cast.guard and target == me.six:
            fate = "source-check" if source == peer.six else "bridge" if to == peer.mac else "flood"
        shots.append((cast.frame(body, to), fate))
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 86400, 0) + ipaddress.ip_address("2001:db8:bad::").packed
    for source, target, to in itertools.product((me.six, me.link_local, *ROUTER6), ("ff02::1", peer.six),
                                                ("33:33:00:00:00:01", peer.mac)):
        router = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + option(1, me.mac) + prefix
        redirect = bytes(4) + ipaddress.ip_address(me.link_local).packed + ipaddress.ip_address(FOREIGN6).packed
        shots += [(cast.frame(nd(source, target, kind, body), to), "l2")
                  for kind, body in ((134, router), (137, redirect + option(2, me.mac)))]
    return shots


def redirects4(cast):
    """B5: ICMP redirects, as a guest can send them: from itself they are ICMP like any other, from the router they
    are lies."""
    shots = []
    for code, source in itertools.product(range(4), (cast.me.four, ROUTER4, cast.peer.four)):
        for side, fate in ((cast.peer, cast.at_peer()), (cast.shut, cast.at_shut())):
            quoted = frames.udp(side.four, cast.far.four, 9000, 4000, NOISE)
            gateway = ipaddress.ip_address(cast.me.four).packed
            body = frames.packet(source, side.four, ICMP, icmp4(5, code, gateway + quoted))
            shots.append((cast.frame(body, side.mac), fate if source == cast.me.four else "source-check"))
    return shots


def dhcp(source, target, sport, dport):
    """The ports make it a request or an offer."""
    fixed = struct.pack("!BBBBIHH", 1 if dport in (67, 547) else 2, 1, 6, 0, 7, 0, 0) + bytes(224)
    return frames.udp(source, target, sport, dport, fixed + b"\x63\x82\x53\x63\x35\x01\x02\xff")


def dhcp_request():
    return dhcp("0.0.0.0", "255.255.255.255", 68, 67)


def dhcps(cast):
    """B6: offers of a guest are a guest's datagrams; requests reach the host only, and only honest ones."""
    me, peer = cast.me, cast.peer
    shots = [(cast.frame(dhcp_request(), BROADCAST), "host"),
             (cast.frame(dhcp(me.four, "255.255.255.255", 68, 67), BROADCAST), "host"),
             (cast.frame(dhcp(me.four, ROUTER4, 68, 67), ROUTER_MAC), "host" if cast.guard else "not-served"),
             (cast.frame(dhcp(me.link_local, "ff02::1:2", 546, 547), "33:33:00:01:00:02"), "host"),
             (cast.frame(dhcp(peer.four, "255.255.255.255", 68, 67), BROADCAST), "multicast"),
             (cast.frame(dhcp("0.0.0.0", peer.four, 68, 67), peer.mac), "source-check"),
             (cast.frame(dhcp(me.six, "ff02::1:2", 546, 547), "33:33:00:01:00:02"), "multicast")]
    for source in (me.four, ROUTER4, peer.four, "0.0.0.0"):
        own = source == me.four
        shots += [(cast.frame(dhcp(source, "255.255.255.255", 67, 68), BROADCAST), "multicast"),
                  (cast.frame(dhcp(source, cast.shut.four, 67, 68), cast.shut.mac),
                   cast.at_shut() if own else "source-check"),
                  (cast.frame(dhcp(source, peer.four, 67, 68), peer.mac), cast.at_peer() if own else "source-check")]
    for source in (me.six, me.link_local, *ROUTER6, peer.six):
        shots += [(cast.frame(dhcp(source, "ff02::1", 547, 546), "33:33:00:00:00:01"), "multicast"),
                  (cast.frame(dhcp(source, cast.shut.six, 547, 546), cast.shut.mac),
                   cast.at_shut() if source == me.six else "source-check"),
                  (cast.frame(dhcp(source, cast.shut.link_local, 547, 546), cast.shut.mac),
                   "martian" if source == me.six else "source-check")]
    return shots


def honest_bodies(cast):
    """(destination MAC, ethertype, payload) of frames that would pass or be answered."""
    return [(cast.peer.mac, ETH_IP, cast.udp(4)), (ROUTER_MAC, ETH_IP, cast.udp(4)),
            (cast.peer.mac, ETH_IP6, cast.udp(6)),
            (BROADCAST, ETH_ARP, frames.arp_request(cast.me.mac, cast.me.four, ROUTER4)),
            (BROADCAST, ETH_IP, dhcp_request()),
            ("33:33:ff:00:00:20", ETH_IP6, solicit(cast.me.six, cast.peer.six))]


def tags(cast):
    """A9: tags in the frame: each type x VLAN 0, 1, 4095 and others x priority, alone and nested."""
    shots = []
    ids = (0, 1, 2, 100, 4094, 4095, 0x1000, 0x2001, 0xE000, 0xFFFF)
    nested = [((outer, one), (inner, two))
              for outer in TAGGED for inner in TAGGED for one in (0, 1, 4095) for two in (0, 1, 4095)]
    nested += [((ETH_VLAN, 1),) * depth for depth in (3, 4, 8)]
    for to, ethertype, body in honest_bodies(cast):
        for stack in [((kind, vlan),) for kind in TAGGED for vlan in ids] + nested:
            shots.append((ethernet(cast.me.mac, to, ethertype, body, stack), "vlan"))
    return shots


def metadata_tags(cast):
    """A9: [(mark, shots)]: tags beside the frame, put there by the guest's own egress hook: see VLAN_PUSH."""
    shots = [(ethernet(cast.me.mac, to, ethertype, body), "vlan") for to, ethertype, body in honest_bodies(cast)]
    inline = [(ethernet(cast.me.mac, to, ethertype, body, [(kind, vlan)]), "vlan")
              for to, ethertype, body in honest_bodies(cast) for kind in (ETH_VLAN, ETH_QINQ) for vlan in (0, 4095)]
    return [(VLAN_MARK | bits | vlan, shots + inline) for bits in (0, VLAN_MARK_AD, VLAN_MARK_TWICE,
                                                                   VLAN_MARK_AD | VLAN_MARK_TWICE)
            for vlan in (0, 1, 4095)]


VLAN_MARK, VLAN_MARK_AD, VLAN_MARK_TWICE = 0x100000, 0x10000, 0x20000
VLAN_PUSH = b"""
#include <linux/bpf.h>
static long (*push)(void *skb, __be16 type, __u16 tci) = (void *)BPF_FUNC_skb_vlan_push;
__attribute__((section("tc"), used)) int tag(struct __sk_buff *skb)
{
	__u32 mark = skb->mark;

	if (!(mark & 0x100000))
		return 0;
	skb->mark = 0;
	if (mark & 0x20000 && push(skb, __builtin_bswap16(0x8100), 5))
		return 2;
	if (mark & 0x10000)
		return push(skb, __builtin_bswap16(0x88a8), mark & 0xfff) ? 2 : 0;
	return push(skb, __builtin_bswap16(0x8100), mark & 0xfff) ? 2 : 0;
}
"""


def ethertypes(cast):
    """A10: all 65,536 of them, before an IPv4 packet that would pass."""
    body = cast.udp(4)
    macs = mac_bytes(cast.peer.mac) + mac_bytes(cast.me.mac)
    known = {ETH_IP: cast.at_peer(), ETH_IP6: "malformed", ETH_ARP: "malformed", **dict.fromkeys(TAGGED, "vlan")}
    return [(macs + struct.pack("!H", ethertype) + body, known.get(ethertype, "ethertype"))
            for ethertype in range(65536)]


def protocols(cast):
    """A11: all 256 protocols of both families, to the open peer and to the shut one. An IPv6 extension header must lead
    somewhere."""
    shots = []
    rest = {TCP: struct.pack("!HHIIBBHHH", 4000, 9000, 1, 0, 0x50, 2, 1000, 0, 0),
            ICMP6: struct.pack("!BBHHH", 128, 0, 0, 3, 1),
            UDP: struct.pack("!HHHH", 4000, 9001, 8 + len(NOISE), 0), ICMP: icmp4(8, 0, struct.pack("!HH", 3, 1))[:8]}
    for protocol, (side, fate) in itertools.product(
            range(256), ((cast.peer, cast.at_peer()), (cast.shut, cast.at_shut()))):
        four = frames.packet(cast.me.four, side.four, protocol, rest.get(protocol, bytes(8)) + NOISE)
        six = frames.packet(cast.me.six, side.six, protocol, rest.get(protocol, bytes(8)) + NOISE,
                            {UDP: 6, TCP: 16, ICMP6: 2}.get(protocol))
        shots += [(cast.frame(four, side.mac), fate),
                  (cast.frame(six, side.mac), "malformed" if protocol in (0, 43, 44, 60) else fate)]
    return shots


def icmp_types(cast):
    """B4, B5: all types of ICMP and ICMPv6 to the peer itself. What only routers and the fabric say is consumed."""
    shots = []
    for kind, code in itertools.product(range(256), (0, 1)):
        shots.append((cast.frame(frames.packet(cast.me.four, cast.peer.four, ICMP, icmp4(kind, code, bytes(4)))),
                      cast.at_peer()))
        fate = cast.at_peer()
        if cast.guard and kind in (134, 136, 137) or not cast.guard and kind in (130, 131, 132, 134, 136, 137, 143):
            fate = "l2"
        elif kind == 133 and not cast.guard:
            fate = "l2" if code else "reply"
        elif kind == 135 and not cast.guard:
            fate = "l2"  # what it asks for is nobody's address
        body = nd(cast.me.six, cast.peer.six, kind, bytes(4) + NOISE, code=code)
        shots.append((cast.frame(body), fate))
    return shots


def groups(cast):
    """B7: everybody's addresses, in the frame and in the packet."""
    shots = []
    macs = (BROADCAST, "01:00:5e:00:00:01", "01:00:5e:7f:ff:ff", "33:33:00:00:00:01", "33:33:00:00:00:fb",
            "01:80:c2:00:00:00", "01:80:c2:00:00:0e", "01:00:0c:cc:cc:cc", "03:00:00:00:00:01")
    for mac in (*macs, ROUTER_MAC, cast.peer.mac):
        for target in ("255.255.255.255", "224.0.0.1", "224.0.0.251", "239.255.255.250"):
            shots += [(cast.frame(frames.packet(cast.me.four, target, protocol, NOISE), mac), "multicast")
                      for protocol in (2, 47, 103)]
            shots.append((cast.frame(cast.udp(target=target), mac), "multicast"))
        shots += [(cast.frame(frames.udp(cast.me.six, target, 4000, 9000, NOISE), mac), "multicast")
                  for target in ("ff01::1", "ff02::1", "ff02::fb", "ff05::2", "ff0e::1")]
    for mac in macs:
        for target in (cast.peer.four, cast.shut.four, cast.far.four, "10.0.1.255", UNOWNED4, FOREIGN4, ROUTER4,
                       "10.0.0.2"):
            shots += [(cast.frame(body, mac), "l2") for body in (cast.udp(target=target), echo(cast.me.four, target))]
        shots += [(cast.frame(frames.udp(cast.me.six, target, 4000, 9000, NOISE), mac), "l2")
                  for target in (cast.peer.six, cast.far.six, UNOWNED6, ROUTER6[1])]
    return shots


def target_macs(cast):
    """Frames to MACs that are nobody's here: the sender's own, another subnet's, another tenant's, a stranger's."""
    shots = []
    for body in (cast.udp(4, target=cast.far.four), cast.udp(6, target=cast.far.six)):
        shots += [(cast.frame(body, mac), "host" if cast.guard else "unknown-mac")
                  for mac in (cast.far.mac, STRANGE_MAC)]
        shots.append((cast.frame(body, cast.me.mac), "host" if cast.guard else "l2"))
    return shots
