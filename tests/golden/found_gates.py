# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the random runs found at the gateways."""
import frames as F
from author import (A, A6, ANY4, ANY6, Case, IGW4, IGW6, MAC, QA, UP, X, X6, deliver, drop, edited, perm, ping, route, table, tcp, udp)
from gateways import C, LOCAL, LOCAL2, R, by_pcx, by_tgw, network, out, pcx, rtb, transit
from nat import N, QN, data, mss, natted, reset, syn

MAC.update({"eigw-1": MAC["up"], "vgw-1": MAC["up"]})


def found_gates():
    eigw = network(None, [rtb("v1", LOCAL, IGW6), rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"),
                                                      sub="S1")], uplinks=["eigw-1"],
                   EgressOnlyInternetGateways=[{"EgressOnlyInternetGatewayId": "eigw-1",
                                                "Attachments": [{"VpcId": "v1", "State": "attached"}]}])
    c = Case("found-echo-by-an-egress-only-gateway", "EIGW-01 EIGW-02: the answer comes back, a question does not", eigw)
    c.put("a", ping(A6, X6, 128), out("eigw-1", src=A6, dst=X6)).put("eigw-1", ping(X6, A6, 129), deliver("a", src=X6))
    yield c.put("eigw-1", ping(X6, A6, 128), drop("eigw-unsolicited")).put("eigw-1", ping(X6, A6, 129, 8), drop("eigw-unsolicited"))

    # in by the internet gateway, out by the egress-only one: the ENI's entry is neither's
    asked = edited(eigw, lambda s: s["SecurityGroups"][0].update(IpPermissions=[ANY6], IpPermissionsEgress=[]))
    c = Case("found-answers-by-another-gateway", "CT-01 CT-05 EIGW-01: an answer ends nothing, whichever way it takes", asked)
    c.put(UP, ping(X6, A6, 128), deliver("a", src=X6))
    yield c.put("a", ping(A6, X6, 129), out("eigw-1", src=A6, dst=X6), repeat=3)

    c = Case("found-entry-that-another-gateway-meets", "CT-02 CT-11: it stays as it is, opened by the world and half-open", asked)
    c.put(UP, tcp(X6, A6, 53, 40000, "S", 5000, 0), deliver("a"), 0)
    c.put("a", tcp(A6, X6, 40000, 53, "SA", 1000, 5001), out("eigw-1"), repeat=2)
    yield c.put("a", tcp(A6, X6, 40000, 53, "SA", 1000, 5001), drop("sg-egress"), 61)

    c = Case("found-exchanges-by-two-gateways", "CT-09: UDP in by one and out by the other is a stream after the second answer", asked)
    for _ in range(2):
        c.put(UP, udp(X6, A6, 53, 4000), deliver("a")).put("a", udp(A6, X6, 4000, 53), out("eigw-1"))
    c.put("a", udp(A6, X6, 4000, 53), out("eigw-1"), 170)
    yield c.put("a", udp(A6, X6, 4000, 53), drop("sg-egress"), 351)

    c = Case("found-mapping-that-other-ways-do-not-feed", "EIGW-02 NAT-08: it lives by what passes its gateway", eigw)
    c.put("a", F.packet(A6, X6, 50, b"12345678"), out("eigw-1"), 0).put(UP, F.packet(X6, A6, 50, b"12345678"), deliver("a"), 340)
    c.put("eigw-1", F.packet(X6, A6, 50, b"12345678"), drop("eigw-unsolicited"), 360)
    c.put("a", F.packet(A6, X6, 50, b"12345678"), out("eigw-1"), 400)
    c.put(UP, F.packet(X6, A6, 50, b"12345678"), deliver("a"), 600)
    c.put("eigw-1", F.packet(X6, A6, 50, b"12345678"), deliver("a"), 740)
    yield c.put("eigw-1", F.packet(X6, A6, 50, b"12345678"), deliver("a"), 1080)

    # there by a peering, untracked, and back by a transit gateway: from then on an error about it needs no rule
    both = transit({"a": ([perm("tcp", (0, 65535), "0.0.0.0/0")], [ANY4])},
                   tables=[rtb("v1", LOCAL, by_pcx("10.2.0.0/16")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/8"))],
                   lists={"VpcPeeringConnections": [pcx()]})
    c = Case("found-tracked-by-the-way-back", "CT-06 CT-14: what passes a transit gateway is tracked, old entries, too", both)
    c.put("a", tcp(A, C, 40000, 443), deliver("c"))
    c.put("c", tcp(C, A, 443, 40000, "SA", 5000, 1001), deliver("a", ttl=63))
    yield c.put("c", F.packet(C, A, F.ICMP, F.icmp(3, 1, data=tcp(A, C, 40000, 443))), deliver("a"))

    # M sends in A's name, as a middlebox may; A's own way out is taken then, which costs A nothing but the packet
    proxy = edited(asked, lambda s: [t["Routes"].__setitem__(-1, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"))
                                     for t in s["RouteTables"] if t["RouteTableId"] == "rtb-v1-main"])
    c = Case("found-tuple-of-another-at-an-egress-only-gateway", "CT-01 EIGW-02: who finds its name taken keeps its entry", proxy)
    c.put("m", udp(A6, X6, 4000, 53), out("eigw-1"), 0).put(UP, udp(X6, A6, 53, 4000), deliver("a"), 349)
    yield c.put("a", udp(A6, X6, 4000, 53), drop("nat-no-port")).put("a", udp(A6, X6, 4000, 53), out("eigw-1"), 351)

    # behind the gateway, in its own subnet, the route for that subnet is of no concern: not a second translation
    by_nat = route("10.0.0.0/24", "NatGatewayId", "nat-1")
    near = edited(natted(tables=[table(None, IGW4, by_nat), table("S1", by_nat)]), lambda s: [
        e.update(SubnetId="S0", PrivateIpAddress="10.0.0.11", PrivateIpAddresses=[{"Primary": True, "PrivateIpAddress": "10.0.0.11"}],
                 Ipv6Addresses=[]) for e in s["NetworkInterfaces"] if e["NetworkInterfaceId"] == "a2"])
    c = Case("found-neighbour-of-a-nat-gateway", "RT-05 RT-07 NAT-14: within a subnet no route counts, for a gateway's packets either", near)
    c.put("a", udp(A, "10.0.0.11", 4000, 99), deliver("a2", src=N, sport=4000, ttl=63))
    yield c.put("a2", udp("10.0.0.11", N, 99, 4000), deliver("a", src="10.0.0.11", dst=A, ttl=63))

    c = Case("found-fin-that-completes-the-handshake", "NAT-08 NAT-09: its acknowledgement is the third packet", natted())
    c.put("a", tcp(A, X, 40001, 443), {"action": "uplink", "to": UP, "csum": True}, 0).put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), deliver("a"))
    c.put("a", tcp(A, X, 40001, 443, "FA", 1001, 5001), {"action": "uplink", "to": UP, "csum": True})
    yield c.put(UP, tcp(X, QN, 443, 40001, "PA", 5001, 1002, b"data"), deliver("a"), 100)

    short = edited(eigw, lambda s: s["NetworkInterfaces"][0].update(ConnectionTrackingConfiguration={"TcpEstablishedTimeout": 60}))
    c = Case("found-mapping-outlives-the-entry", "EIGW-02 NAT-08 CT-09: what opens the entry anew does not end the mapping", short)
    c.put("a", tcp(A6, X6, 40000, 443, "A", 1001, 5001), out("eigw-1"), 0)
    c.put("eigw-1", tcp(X6, A6, 443, 40000, "A", 5001, 1001), deliver("a"), 0)
    c.put(UP, tcp(X6, A6, 443, 40000, "A", 5001, 1001), deliver("a"), 130)
    yield c.put("eigw-1", tcp(X6, A6, 443, 40000, "A", 5001, 1001), deliver("a"), 250)

    c = Case("found-segment-size-over-a-transit-gateway", "TGW-13", transit())
    c.put("a", syn(A, C, 40000, 80, "S", 1000, 0, mss(8961)), deliver("c", mss=8460, ttl=63))
    yield c.put("c", syn(C, A, 80, 40000, "SA", 5000, 1001, mss(9000)), deliver("a", mss=8460)).put(
        "a", syn(A, C, 40001, 80, "S", 1000, 0, mss(1460)), deliver("c", mss=1460))

    vpn = network(None, [rtb("v1", LOCAL, route("172.20.0.0/16", "GatewayId", "vgw-1"))], uplinks=["vgw-1"],
                  VpnGateways=[{"VpnGatewayId": "vgw-1", "State": "available",
                                "VpcAttachments": [{"VpcId": "v1", "State": "attached"}]}],
                  VpnConnections=[{"VpnConnectionId": "vpn-1", "VpnGatewayId": "vgw-1", "CustomerGatewayId": "cgw-1",
                                   "State": "available", "Options": {"StaticRoutesOnly": True},
                                   "Routes": [{"DestinationCidrBlock": "172.20.0.0/16", "State": "available"}]}])
    c = Case("found-segment-size-over-a-vpn", "VGW-05: both ways", vpn)
    c.put("a", syn(A, R, 40000, 80, "S", 1000, 0, mss(1460)), out("vgw-1", mss=1406))
    yield c.put("vgw-1", syn(R, A, 80, 40000, "SA", 5000, 1001, mss(1460)), deliver("a", mss=1406))

    claims = edited(vpn, lambda s: s["RouteTables"][0]["Routes"].append(
        route("10.0.1.0/24", "GatewayId", "vgw-1", origin="EnableVgwRoutePropagation")))
    c = Case("found-site-that-claims-addresses-of-the-vpc", "RT-04 VGW-07: what comes in for them is delivered", claims)
    yield c.put("vgw-1", udp(R, A, 99, 4000), deliver("a", src=R)).put("vgw-1", udp(R, "192.0.2.9", 99, 4000), drop("vgw"))

    shut = natted({"a": ([], [ANY4])})
    c = Case("found-reset-revives-nothing", "NAT-08, CT-12: a reset by the gateway gives an entry that ran out no new life", shut)
    c.put("a", tcp(A, X, 40001, 443), {"action": "uplink", "to": UP, "csum": True}, 0)
    c.put("a", data(), reset(), 70)
    yield c.put(UP, tcp(X, QA, 443, 40001, "A", 5001, 1005), drop("sg-ingress"))

    gone = edited(natted(), lambda s: s.pop("NatGateways"))
    c = Case("found-nothing-for-the-eni-of-a-gateway-that-is-gone", "ENI-11: no device, no delivery", natted())
    yield c.edit(gone).put("b", udp("10.0.2.20", N, 4000, 99), drop("not-served", "no-owner"))
