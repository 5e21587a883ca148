# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an attacker's review found at the borders: sources, neighbour discovery, fragments, headers, sizes."""
import frames as F
from author import (A, A2, A6, B, B6, Case, IGW4, IGW6, MAC, OPEN, PASS, QA, QB, UP, X, X6, deliver, drop, edited, entry, allow_all, nacl,
                    perm, route, state, tcp, udp, uplink, handshake)
from edges import by_eigw, on_premises, vpn
from gateways import C, out, transit
from geneve import GW, OUTWARD, inspected, rtb, sent
from sizes import ROUTER, cut, datagram, far_peering, sized, too_big

EIGW6 = route("::/0", "EgressOnlyInternetGatewayId", "eigw-1")
EIGW = {"EgressOnlyInternetGateways": [{"EgressOnlyInternetGatewayId": "eigw-1", "Attachments": [{"VpcId": "v1", "State": "attached"}]}]}
NS, NA, RS, RA, REDIRECT = 135, 136, 133, 134, 137


def nd(kind, src, dst, target=B6, ttl=255, code=0):
    body = bytes([kind, code, 0, 0]) + b"\0\0\0\0" + F.ip(target) + bytes(8)
    return F.ip6(F.ip(src), F.ip(dst), F.ICMP6, F.sealed(F.ICMP6, F.ip(src), F.ip(dst), body), ttl)


def guard(s, *names):
    return edited(s, lambda s: [p.update(Mode="guard") for p in s["Hosts"][0]["Ports"] if p["NetworkInterfaceId"] in names])


def discovery():
    near, link = "2001:db8:1:2::21", "fe80::21"
    c = Case("found-discovery-from-afar", "SG-22 V6-05: neighbour discovery needs no rule between neighbours, where no router has "
             "forwarded it; from further away, to there, and redirects, it is judged", guard(state({"b": ([], [])}), "b"))
    for kind in (RS, NS, NA):
        c.put("b", nd(kind, near, B6), PASS, tx=True).put("b", nd(kind, link, B6), PASS, tx=True)
        c.put("b", nd(kind, near, B6, ttl=254), drop("sg-ingress"), tx=True).put("b", nd(kind, link, B6, ttl=64), drop(), tx=True)
        c.put("b", nd(kind, X6, B6), drop("sg-ingress"), tx=True).put("b", nd(kind, near, B6, code=1), drop("sg-ingress"), tx=True)
        c.put("b", nd(kind, B6, near), PASS).put("b", nd(kind, B6, link), PASS)
        c.put("b", nd(kind, B6, near, ttl=254), drop("sg-egress")).put("b", nd(kind, B6, X6), drop("sg-egress"))
    c.put("b", nd(RA, link, B6), PASS, tx=True).put("b", nd(RA, near, B6), drop("sg-ingress"), tx=True)
    c.put("b", nd(RA, X6, B6), drop("sg-ingress"), tx=True).put("b", nd(RA, B6, link), drop("l2"))
    for source in (near, X6):
        c.put("b", nd(REDIRECT, source, B6), drop("sg-ingress"), tx=True)
    c.put("b", nd(REDIRECT, B6, near), drop("l2"))
    c.edit(guard(state({"b": ([perm("icmpv6", (137, -1), X6 + "/128"), perm("icmpv6", (135, -1), X6 + "/128")], [])}), "b"))
    yield c.put("b", nd(REDIRECT, X6, B6), PASS, tx=True).put("b", nd(NS, X6, B6, ttl=64), PASS, tx=True)


def neighbours():
    s = guard(state({"a2": ([perm("tcp", 22, "sg-a")], []), "b": ([], [])}), "a2", "b")
    s = edited(s, lambda s: s["NetworkInterfaces"].append(dict(s["NetworkInterfaces"][2], NetworkInterfaceId="b2", MacAddress="02:00:00:00:00:33",
                                                              PrivateIpAddress="10.0.2.21", Ipv6Addresses=[], PrivateIpAddresses=[
                                                                  {"Primary": True, "PrivateIpAddress": "10.0.2.21"}])))
    c = Case("found-neighbour-in-anothers-name", "SG-14 SG-22 B1: in guard mode, too, an ENI of the subnet sends by its own MAC only "
             "from its own addresses", edited(s, lambda s: s["NetworkInterfaces"][3].update(SubnetId="S1", PrivateIpAddress="10.0.1.30", PrivateIpAddresses=[
                 {"Primary": True, "PrivateIpAddress": "10.0.1.30"}])))
    def seen(port, smac, body, want):
        c.put(port, F.frame(smac, MAC[port], body), want, tx=True, dst="raw")
    seen("a2", MAC["a"], tcp(A, A2, 1000, 22), PASS)
    seen("a2", "02:00:00:00:00:77", tcp(A, A2, 1001, 22), PASS)      # somebody routes
    seen("b", "02:00:00:00:00:33", tcp("10.0.2.21", B, 1000, 22), drop("sg-ingress"))
    for source in ("10.0.0.2", "10.0.2.1", "169.254.169.254", A, X):
        seen("b", "02:00:00:00:00:33", tcp(source, B, 1000, 22), drop("mac-spoof"))
    seen("a2", MAC["m"], tcp(A, A2, 1002, 22), PASS)                 # a forwarder may have it from there
    seen("a2", MAC["m"], tcp("10.0.1.1", A2, 1003, 22), drop("mac-spoof"))
    for source in ("10.0.0.2", "169.254.169.254"):
        seen("b", MAC["router"], udp(source, B, 53, 1000), PASS)
    yield c


def inside():
    c = Case("found-unowned-address-from-outside", "B1 A13: nobody on the internet has an address of the VPC's CIDRs, be it an ENI's, the "
             "router's, the resolver's or nobody's", state({"b": ([perm("-1", None, "10.0.0.0/15"), perm("-1", None, "2001:db8::/32"), perm("-1", None, "fd00:ec2::/32")], [])}))
    for source in ("10.0.1.10", "10.0.1.99", "10.0.1.1", "10.0.2.1", "10.0.0.2", "10.0.200.1"):
        c.put(UP, udp(source, QB, 1, 53), drop("martian"))
    for source in (A6, "2001:db8:1:1::99", "2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:ff::1", "fd00:ec2::253"):
        c.put(UP, udp(source, B6, 1, 53), drop("martian"))
    c.put(UP, udp("169.254.169.253", QB, 53, 1), drop("martian")).put(UP, udp("169.254.169.254", QB, 80, 1), drop("martian"))
    c.put(UP, udp("10.1.0.1", QB, 1, 53), deliver("b")).put(UP, udp("2001:db8:2::1", B6, 1, 53), deliver("b"))
    more = edited(c.states[0], lambda s: s["Vpcs"][0].update(CidrBlockAssociationSet=[
        {"CidrBlock": cidr, "CidrBlockState": {"State": "associated"}} for cidr in ("10.0.0.0/16", "10.1.0.0/24")]))
    c.edit(more).put(UP, udp("10.1.0.1", QB, 1, 53), drop("martian")).put(UP, udp("10.1.1.1", QB, 1, 53), deliver("b"))
    yield c.edit(c.states[0]).put(UP, udp("10.1.0.1", QB, 1, 53), deliver("b"))


def strangers():
    """IPv6 sources that nobody in the VPC has."""
    lost, none = drop("igw-no-public-address"), ("2001:db8:1:2::99", "2001:db8:1:1::77", "2001:db8:dead::1", X6.replace("7", "8"))
    loose = {"a": {"SourceDestCheck": False}}
    c = Case("found-unowned-ipv6-to-the-internet", "IGW-03 IGW-10: a source that nobody in the VPC has does not leave it; another "
             "ENI's does, as the translated one does", state(enis=loose))
    for source in none:
        c.put("a", tcp(source, X6, 1000, 80), lost)
    yield c.put("a", tcp(A6, X6, 1000, 80), uplink()).put("a", tcp(B6, X6, 1000, 80), uplink())
    s = edited(by_eigw(), lambda s: s["NetworkInterfaces"][0].update(SourceDestCheck=False))
    c = Case("found-unowned-ipv6-to-an-egress-only-gateway", "EIGW-01 IGW-10: nor by an egress-only gateway", s)
    for source in none:
        c.put("a", udp(source, X6, 1000, 53), lost)
    yield c.put("a", udp(A6, X6, 1000, 53), out("eigw-1"))

    shut = {"VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": "block-bidirectional", "State": "update-complete"}}
    for name, way, more in (("internet", IGW6, {}), ("egress-only", EIGW6, EIGW)):
        s = edited(inspected(tables=[rtb(IGW4, way), rtb(*OUTWARD, sub="S1")], **shut, **more),
                   lambda s: s["NetworkInterfaces"][0].update(SourceDestCheck=False))
        c = Case("found-blocked-%s-gateway-behind-an-appliance" % name, "VPC-18 IGW-10: no source passes, be it the sender's or nobody's", s)
        for source, want in ((A6, drop("bpa")), (none[1], drop("bpa", "igw-no-public-address"))):
            n = len(c.lines)
            c.put("a", tcp(source, X6, 40001, 443), sent(in_src=source)).back(GW, n, want)
        yield c


def routed():
    c = Case("found-routing-headers-of-any-type", "A7: source routing is dropped, whatever it calls itself; a routing header that is "
             "used up is none", state())
    l4 = F.sealed(F.TCP, F.ip(A6), F.ip(B6), F.tcp(1, 80, "S"))
    for kind in (0, 1, 2, 3, 4, 253):
        for left in (0, 1, 255):
            header = (43, bytes([2, kind, left]) + b"\0\0\0\0" + F.ip(X6))
            c.put("a", F.ip6(F.ip(A6), F.ip(B6), F.TCP, l4, chain=(header,)), drop("ip-options") if left else deliver("b"))
    yield c


def pieces(l4, src, dst, proto, at, ident, more=False):
    """The two fragments of L4 bytes, cut at `at`."""
    s, d = F.ip(src), F.ip(dst)
    l4 = F.sealed(proto, s, d, l4)
    if len(s) == 4:
        return (F.ip4(s, d, proto, l4[:at], ident=ident, more=True, df=False), F.ip4(s, d, proto, l4[at:], ident=ident, offset=at, df=False))
    return tuple(F.ip6(s, d, proto, part, chain=((44, bytes([0]) + off.to_bytes(2, "big") + ident.to_bytes(4, "big")),))
                 for part, off in ((l4[:at], 1), (l4[at:], at)))


def errors():
    s = state({"a": ([], [perm("tcp", 80, "0.0.0.0/0"), perm("tcp", 80, "::/0")])})
    c = Case("found-pieces-of-an-icmp-error", "CT-14 CT-18: the pieces of an error follow the first one, to the flow that it quotes", s)
    handshake(c, "a", UP, (A, X), (X, QA), 40000, 80, uplink(), deliver("a"))
    router = "198.51.100.1"
    for quoted, want in ((40000, deliver("a", src=router, dst=A)), (40001, drop("sg-ingress", "fragment"))):
        quote = F.packet(QA, X, F.TCP, F.tcp(quoted, 80, "A", 1001, 5001, bytes(500)))
        for n, (first, later) in enumerate((pieces(F.icmp(3, 1, b"\0\0\0\0", quote), router, QA, F.ICMP, 256, quoted & 255),)):
            c.put(UP, first, want).put(UP, later, want)
    yield c
    handed = Case("found-pieces-of-an-icmp6-error", "CT-14 CT-18: IPv6, too", s)
    handshake(handed, "a", UP, (A6, X6), (X6, A6), 40000, 80, uplink(), deliver("a"))
    quote = F.packet(A6, X6, F.TCP, F.tcp(40000, 80, "A", 1001, 5001, bytes(500)))
    first, later = pieces(F.icmp(1, 1, b"\0\0\0\0", quote), "2001:db8:ffff::1", A6, F.ICMP6, 256, 9)
    yield handed.put(UP, first, deliver("a")).put(UP, later, deliver("a"))
    only = state({"b": ([perm("icmp", (3, -1), "0.0.0.0/0")], OPEN)})
    c = Case("found-pieces-of-bare-icmp", "CT-18 SG-08 NACL-18: the pieces are of the first one's type", only)
    for kind, want in ((3, deliver("b")), (5, drop("sg-ingress", "fragment")), (0, drop("sg-ingress", "fragment"))):
        first, later = pieces(F.icmp(kind, 1, b"\0\0\0\0", b"z" * 300), A, B, F.ICMP, 160, 20 + kind)
        c.put("a", first, want).put("a", later, want)
    shut = state(nacls=[nacl("S2", entry(10, False, "deny", "1", "0.0.0.0/0", icmp=(0, -1)), *allow_all())])
    c.edit(shut)
    for kind, want in ((3, deliver("b")), (0, drop("nacl-ingress", "fragment"))):
        first, later = pieces(F.icmp(kind, 1, b"\0\0\0\0", b"z" * 300), A, B, F.ICMP, 160, 40 + kind)
        c.put("a", first, want).put("a", later, want)
    yield c


def overwritten():
    s = state({"a": ([], [perm("tcp", 443, "0.0.0.0/0"), perm("tcp", 443, "::/0")])})
    c = Case("found-pieces-over-the-quote-of-an-error", "A3 C17 CT-14: no later piece writes over the quote by which an error was judged", s)
    for src, dst, seen, far, kinds in ((A, X, QA, "192.0.2.77", (F.ICMP, 3, 3)), (A6, X6, A6, "2001:db8:ffff::77", (F.ICMP6, 1, 4))):
        proto, kind, code = kinds
        c.put("a", tcp(src, dst, 40000, 443, "S", 1000), uplink())
        def quoting(sport, to, size):
            return F.icmp(kind, code, b"\0\0\0\0", F.packet(seen, to, F.TCP, F.tcp(sport, 443, "", 1000) + bytes(size)))
        first, later = pieces(quoting(40000, dst, 400), dst, seen, proto, 256, 77)
        c.put(UP, first, deliver("a")).put(UP, later, deliver("a"))
        for at in (8, 16, 64, 120):
            c.put(UP, pieces(quoting(40001, far, 400), dst, seen, proto, at, 77)[1], drop("fragment"))
        c.put(UP, pieces(quoting(40001, far, 400), dst, seen, proto, 128, 77)[1], deliver("a"))
    yield c


FAR = "172.20.0.7"


def by_tunnel(c, link, flags, seq, ack, at, want, payload=b""):
    c.put(link, F.frame(MAC["up"], MAC["router"], tcp(FAR, A, 80, 40000, flags, seq, ack, payload)), want, at, dst="raw")


def opened(name, about, back):
    """a's flow to FAR, which leaves by vpn-2; answers come by `back`. Nothing else lets them in."""
    links = [vpn("vpn-1", ["172.20.0.0/16"]), vpn("vpn-2", ["172.20.0.0/16", "172.20.0.0/24"])]
    s = on_premises((), links, links=("vpn-1", "vpn-2"))
    c = Case(name, about, edited(s, lambda s: [g.update(IpPermissions=[], IpPermissionsEgress=[perm("-1", None, "0.0.0.0/0")])
                                               for g in s["SecurityGroups"] if g["GroupId"] == "sg-a"]))
    c.put("a", tcp(A, FAR, 40000, 80, "S", 1000), uplink(to="vpn-2"), 0)
    by_tunnel(c, back, "SA", 5000, 1001, 0.1, deliver("a"))
    c.put("a", tcp(A, FAR, 40000, 80, "A", 1001, 5001), uplink(to="vpn-2"), 0.2)
    by_tunnel(c, back, "A", 5001, 1001, 0.3, deliver("a"), b"d")
    return c


def resets():
    """Whichever way the flow's packets took, and whichever the reset takes."""
    about = "CT-11 CT-12 C5 TGW-09 VGW-03: an exact reset closes the entry of the ENI, by whichever tunnel it comes; "
    for back in ("vpn-1", "vpn-2"):
        for link in ("vpn-1", "vpn-2"):
            for at in (1, 130.5):
                c = opened(f"found-reset-by-{link}-of-answers-by-{back}-at-{int(at)}", about + "afterwards its answers need a rule", back)
                by_tunnel(c, link, "R", 5001, 0, at, deliver("a"))
                by_tunnel(c, back, "A", 5002, 1001, at + 11, drop("sg-ingress"), b"late")
                yield c
        c = opened(f"found-own-reset-of-answers-by-{back}", about + "its own, too", back)
        c.put("a", tcp(A, FAR, 40000, 80, "R", 1001, 0), uplink(to="vpn-2"), 1)
        by_tunnel(c, back, "A", 5002, 1001, 12, drop("sg-ingress"), b"late")
        yield c
        c = opened(f"found-blind-reset-of-answers-by-{back}", "C5: one whose number is not exact closes nothing, by no tunnel", back)
        for n, link in enumerate(("vpn-1", "vpn-2")):
            by_tunnel(c, link, "R", 5900 + n, 0, 1, deliver("a"))
        by_tunnel(c, back, "A", 5002, 1001, 100, deliver("a"), b"alive")
        yield c


def senders():
    """A server whose requests come another way: only its answers pass."""
    c = Case("found-server-that-only-answers", "CT-19 CT-16 C10: an ENI that sees one direction of its conversations is not out of half-open flows",
             state({"a": ([perm("tcp", 22, "0.0.0.0/0")], OPEN)}), "--max-flows 4096")
    for n in range(1200):
        for flags, seq in (("SA", 5000), ("PA", 5001)):
            c.put("a", tcp(A, f"198.51.{n // 250}.{n % 250 + 1}", 80, 1024, flags, seq, 1001), uplink(), n / 100)
    yield c


def refusals():
    """What the guest resets was never established: it stays in the budget of half-open flows until its record ends."""
    c = Case("found-reset-openings-are-half-open", "C10 C12 CT-16: openings that the guest resets pay until their record ends, so a flood of "
             "them holds an eighth of the table at the most", state({"a": ([perm("tcp", 80, "0.0.0.0/0")], [perm("tcp", 1, "192.0.2.250/32")])}), "--max-flows 4096")
    for n in range(530):
        far = f"198.18.{n // 250}.{n % 250 + 1}"
        if n < 500:
            c.put(UP, tcp(far, QA, 1024, 80, "A", 1000, 9), deliver("a"), n / 1000)
            c.put("a", tcp(A, far, 80, 1024, "R", 9, 0), uplink(), n / 1000)
        else:
            c.put(UP, tcp(far, QA, 1024, 80, "S", 1000), {"action": ["deliver", "drop"], "reason": ["conntrack-full"]}, n / 1000)
    c.put(UP, tcp("198.18.9.1", QA, 1024, 80, "S", 1000), drop("conntrack-full"), 1)
    yield c.put(UP, tcp("198.18.9.2", QA, 1024, 80, "S", 1000), deliver("a"), 90)


def refused():
    s = state({"b": ([perm("udp", 53, "0.0.0.0/0")], OPEN)})
    c = Case("found-pieces-of-a-refused-datagram", "CT-18 A4: only a first fragment that was let through is remembered, so the pieces of "
             "another are unknown; a refused one changes nothing of what is", s)
    first, later = pieces(F.udp(1, 53, bytes(40)), X, QB, F.UDP, 24, 7)
    other = pieces(F.udp(1, 99, bytes(40)), X, QB, F.UDP, 24, 7)
    c.put(UP, other[0], drop("sg-ingress")).put(UP, other[1], drop("fragment"))
    c.put(UP, first, deliver("b")).put(UP, other[0], drop("sg-ingress")).put(UP, later, deliver("b"))
    yield c.put(UP, later, deliver("b"), 30).put(UP, later, drop("fragment"), 31)


def receivers():
    l4 = F.udp(4000, 99, bytes(1972))
    told, parts = too_big(ROUTER, A, 1500, 28), cut("c", A, C, l4, 1500)
    for name, about, s in (("inter-region-peering", "PCX-07", far_peering()), ("transit-gateway", "TGW-13", transit())):
        c = Case("found-small-receiver-behind-a-" + name, "MTU-01 %s: what the path carries meets the receiver's limit, which answers or "
                 "cuts; beyond the path's limit the path's rule holds" % about, sized(s, c=1500))
        c.put("a", datagram(A, C, 1500), deliver("c")).put("a", datagram(A, C, 1501), told).put("a", datagram(A, C, 8500), told)
        c.put("a", F.packet(A, C, F.UDP, l4, df=False), parts)
        c.put("a", datagram(A, C, 8501), told if name == "transit-gateway" else drop("mtu"))
        yield c.put("a", datagram(A, C, 8501, df=False), drop("mtu"))


def found_borders():
    for part in (discovery, neighbours, inside, strangers, routed, errors, overwritten, resets, senders, refusals, refused, receivers):
        yield from part()
