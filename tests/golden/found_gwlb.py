# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a review found at Gateway Load Balancer endpoints."""
import frames as F
from author import (A, A6, B, Case, IGW4, IGW6, LOCAL, MAC, QA, QB, UP, X, X6, deliver, drop, edited, ping, route, subnet, tcp,
                    udp, uplink)
from gateways import C, C6, LOCAL2, TGW_ROUTES, by_pcx, network, pcx, rtb as rtb_of, tgw_route, transit
from geneve import BASE, FORGED, GW, NO_FLOW, OUTWARD, WEST, by_gw, idle, inspected, options, rtb, sent, through
from nat import N, QN, TO_NAT, natted

GW2, LB2 = "vpce-0aaaaaaaaaaaaaaa2", "192.0.2.2"


def by_gw2(dst):
    return route(dst, "GatewayId", GW2)


def chained(*tables):
    """A second endpoint, in subnet E2."""
    s = edited(BASE, lambda s: s["VpcEndpoints"].append(dict(s["VpcEndpoints"][0], VpcEndpointId=GW2, SubnetIds=["E2"])))
    s["Subnets"].append(subnet("E2", 8))
    s["Hosts"][0]["Uplinks"].append(dict(s["Hosts"][0]["Uplinks"][-1], GatewayId=GW2, Device="up-gw2", Address=LB2))
    s["RouteTables"] = list(tables)
    return s


def nat_behind(first=TO_NAT, more=None):
    s = natted(tables=[rtb(IGW4), rtb(by_gw("0.0.0.0/0"), sub="S1"), rtb(first, sub="E"), rtb(IGW4, by_gw("10.0.1.0/24"), sub="S0")])
    base = inspected(more=more)
    s["VpcEndpoints"], s["Hosts"][0]["Uplinks"] = base["VpcEndpoints"], base["Hosts"][0]["Uplinks"]
    s["Subnets"].append(subnet("E", 7))
    return s


def narrow(s, port, mtu):
    return edited(s, lambda s: next(p for p in s["Hosts"][0]["Ports"] if p["NetworkInterfaceId"] == port).update(Mtu=mtu))


def complaints():
    big = udp(A, X, 5000, 53, b"x" * 2000)
    told = deliver("a", src="10.0.1.1", dst=A, type=3, code=4, rest="000005dc", smac=MAC["router"])
    c = Case("found-error-behind-an-appliance", "IGW-09 MTU-02 EP-08: the sender is told, the appliance never is", BASE)
    through(c, "a", big, {"in_src": A}, told)
    through(c, "a", udp(A6, X6, 5000, 53, b"x" * 2000), {"in_src": A6},
            deliver("a", src="2001:db8:1:1::1", dst=A6, type=2, rest="000005dc"))
    through(c, "a", tcp(A, X, 40001, 443), {}, uplink(src=QA))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001, b"x" * 2000), {}, told)
    yield c

    c = Case("found-error-behind-two-appliances", "IGW-09 EP-08",
             chained(rtb(IGW4), rtb(*OUTWARD, sub="S1"), rtb(by_gw2("0.0.0.0/0"), sub="E")))
    n = len(c.lines)
    yield c.put("a", big, sent()).back(GW, n, {**sent(src=LB2), "to": GW2}).back(GW2, n + 1, told)

    small = narrow(narrow(inspected(tables=WEST), "b", 1400), "a", 1400)
    c = Case("found-error-of-a-small-receiver-behind-an-appliance", "MTU-02 EP-08", small)
    through(c, "a", udp(A, B, 5000, 53, b"x" * 1373), {}, deliver("a", src="10.0.1.1", dst=A, type=3, code=4, rest="00000578"))
    # who is outside, or behind a NAT gateway, hears nothing
    c.edit(narrow(BASE, "a", 1400))
    through(c, UP, udp(X, QA, 53, 5000, b"x" * 1373), {}, drop("mtu"))
    before = natted(tables=[rtb(IGW4), rtb(TO_NAT, sub="S1"), rtb(by_gw("0.0.0.0/0"), sub="S0")])
    before["VpcEndpoints"], before["Hosts"][0]["Uplinks"] = BASE["VpcEndpoints"], BASE["Hosts"][0]["Uplinks"]
    before["Subnets"].append(subnet("E", 7))
    c.edit(before)
    through(c, "a", udp(A, X, 5001, 53, b"x" * 2000), {"in_src": N}, drop("mtu"))
    yield c

    c = Case("found-gateway-complains-behind-an-appliance", "NAT-08 NAT-20: its reset and its errors reach the ENI", nat_behind(more=idle(6000)))
    through(c, "a", udp(A, X, 5000, 53, ttl=1), {}, deliver("a", src=N, dst=A, type=11, code=0))
    n = through(c, "a", tcp(A, X, 40001, 443), {}, uplink(src=QN), 0)
    through(c, UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), {"like": n}, deliver("a"))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {}, uplink(src=QN))
    through(c, "a", tcp(A, X, 40001, 443, "PA", 1001, 5001, b"hi"), {"like": n},
            deliver("a", src=X, dst=A, sport=443, dport=40001, flags=4), 400)
    yield c


def circles():
    both = rtb(by_gw("10.0.1.0/24"), by_gw("10.0.2.0/24"), gateway="igw-1")
    c = Case("found-hairpin-through-one-endpoint", "IGW-11 RT-18 RT-24: to a public address of a neighbour, inspected twice",
             inspected(tables=[rtb(IGW4), rtb(*OUTWARD, sub="S1"), rtb(*OUTWARD, sub="S2"), both]))
    for flags, answer, seq, ack in (("S", "SA", 1000, 0), ("A", "PA", 1001, 5001), ("A", "A", 1001, 5001)):
        n = len(c.lines)
        c.put("a", tcp(A, QB, 40001, 80, flags, seq, ack), sent(in_src=A, in_dst=QB))
        c.back(GW, n, sent(in_src=QA, in_dst=B, in_ttl=63)).back(GW, n + 1, deliver("b", src=QA, dst=B, ttl=63))
        c.put("b", tcp(B, QA, 80, 40001, answer, 5000 if answer == "SA" else 5001, 1001), sent(in_src=B, in_dst=QA))
        c.back(GW, n + 3, sent(in_src=QB, in_dst=A)).back(GW, n + 4, deliver("a", src=QB, dst=A))
    yield c

    c = Case("found-circle-of-two-endpoints", "D10 RT-24: the time to live ends it",
             chained(rtb(IGW4), rtb(*OUTWARD, sub="S1"), rtb(by_gw2("0.0.0.0/0"), sub="E"), rtb(*OUTWARD, sub="E2")))
    second = {**sent(src=LB2), "to": GW2}
    n = len(c.lines)
    c.put("a", udp(A, X, 5000, 53, ttl=3), sent(in_ttl=3)).back(GW, n, {**second, "in_ttl": 2})
    c.back(GW2, n + 1, sent(in_ttl=1)).back(GW, n + 2, drop("ttl"))
    yield c.put("a", udp(A, X, 5001, 53, ttl=1), sent(in_ttl=1)).back(GW, n + 4, drop("ttl"))


def forms():
    c = Case("found-nat64-into-an-endpoint", "NAT-21 EP-08: what leaves the gateway as IPv4 is wrapped as IPv4",
             edited(nat_behind(), lambda s: s.update(RouteTables=[
                 rtb(IGW4), rtb(route("64:ff9b::/96", "NatGatewayId", "nat-1"), sub="S1"), rtb(by_gw("0.0.0.0/0"), sub="S0"),
                 rtb(by_gw("10.0.0.0/24"), gateway="igw-1"), rtb(IGW4, sub="E")])))
    for _ in range(3):
        n = through(c, "a", udp(A6, "64:ff9b::198.51.100.7", 5000, 53, b"abcd"),
                    {"options": options(), "in_src": N, "in_dst": X, "bytes_ip": 32 + 68, "in_bytes_ip": 32}, uplink(src=QN, dst=X))
        through(c, UP, udp(X, QN, 53, 5000, b"abcde"), {"in_dst": N, "like": n}, deliver("a", dst=A6, bytes_ip=53))
    yield c

    c = Case("found-lengths-of-the-tunnel-that-lie", "A5 EP-08: inner and outer length are one", BASE)
    c.put("a", udp(A, X, 5000, 53, b"q" * 40), sent())
    c.put("a", udp(A6, X6, 5000, 53, b"q" * 40), sent())
    for n, inner in ((0, 68), (1, 88)):
        for outer in (28, 60, 68, 68 + inner - 1, 68 + inner - 20):     # the frame holds more
            c.back(GW, n, drop("geneve", "malformed"), change=[(16, "%04x" % outer), (38, "%04x" % (outer - 20))])
    longer, shorter = udp(A, X, 5000, 53, b"q" * 41), udp(A, X, 5000, 53, b"q" * 39)
    c.back(GW, 0, FORGED, change=[(16, "%04x" % 137), (38, "%04x" % 117)], inner=longer[:2] + b"\0\x44" + longer[4:])
    c.back(GW, 0, uplink(src=QA), inner=longer).back(GW, 0, uplink(src=QA), inner=shorter)
    yield c.back(GW, 0, uplink(src=QA)).back(GW, 1, uplink(src=A6))

    bare = F.packet(X, QA, F.ICMP, F.icmp(9, 0, b"\0\0\0\0", b"\0" * 8))
    c = Case("found-bare-icmp-has-no-ticket", "EP-09 CT-13: it is no echo with the identifier 0", BASE)
    through(c, "a", ping(A, X, 8, 0), {}, uplink(src=QA))
    yield c.put(UP, bare, NO_FLOW)

    far = transit(routes=TGW_ROUTES + (dict(tgw_route("", "att-1"), DestinationCidrBlock="::/0"),),
                  tables=[rtb_of("v1", LOCAL, IGW6), rtb_of("v2", LOCAL2, route("::/0", "TransitGatewayId", "tgw-1")),
                          rtb_of("v1", LOCAL, by_gw("::/0"), sub="U1")])
    far["VpcEndpoints"] = BASE["VpcEndpoints"]
    far["Hosts"][0]["Uplinks"].append(BASE["Hosts"][0]["Uplinks"][-1])
    far["Subnets"].append(subnet("E", 7))
    c = Case("found-transit-behind-an-appliance", "IGW-08: a peer VPC does not reach the internet by way of an endpoint", far)
    through(c, "c", udp(C6, X6, 5000, 53), {"in_src": C6}, drop("igw-no-public-address"))
    yield c

    over = network(None, [rtb_of("v1", LOCAL, by_pcx("10.2.0.0/16")), rtb_of("v2", LOCAL2),
                          rtb_of("v1", LOCAL, by_gw("10.2.0.0/16"), sub="S3")], VpcPeeringConnections=[pcx()])
    over["VpcEndpoints"] = BASE["VpcEndpoints"]
    over["Hosts"][0]["Uplinks"].append(BASE["Hosts"][0]["Uplinks"][-1])
    over["Subnets"].append(subnet("E", 7))
    c = Case("found-forwarder-before-an-appliance", "PCX-06: what an ENI of the VPC sends in another's name is no transit", over)
    through(c, "m", udp("192.0.2.9", C, 4000, 99), {"in_src": "192.0.2.9"}, deliver("c", src="192.0.2.9"))
    yield c


def found_gwlb():
    for part in (complaints, circles, forms):
        yield from part()
