# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Details of gateways: what may not follow on what, who may not be a source, and the ways back that differ from the way there.
Names are those of gateways.py."""
import struct

from author import (A, ANY4, B, Case, LOCAL, MAC, OPEN, UP, X, deliver, drop, edited, ping, route, tcp, udp)
import frames as F
from edges import S3, from_outside, on_premises, served, vpn
from gateways import (C, D, LOCAL2, LOCAL3, R, TGW_ROUTES, U, associated, attachment, by_pcx, by_tgw, network, out, pcx, rtb,
                      subnet, tgw_route, transit)

N2 = "10.2.7.100"                 # a NAT gateway in subnet P of v2


def nat_in_v2(groups=None, behind=(), routes=TGW_ROUTES, more=(), links=(), peerings=(), tgw=None):
    """v1 reaches v2 by the transit gateway, and what is beyond by the private NAT gateway there, which stands in P."""
    beyond = [route(d, "NatGatewayId", "nat-2") for d in ("10.3.0.0/16", "172.20.0.0/16")]
    eni = {"NetworkInterfaceId": "eni-nat2", "VpcId": "v2", "SubnetId": "P", "MacAddress": "02:00:00:00:00:17", "Status": "in-use",
           "InterfaceType": "nat_gateway", "SourceDestCheck": False, "Groups": [], "PrivateIpAddress": N2, "OwnerId": "111122223333",
           "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": N2}],
           "Attachment": {"InstanceId": "i-nat", "DeviceIndex": 0, "Status": "attached"}}
    nat = {"NatGatewayId": "nat-2", "VpcId": "v2", "SubnetId": "P", "State": "available", "ConnectivityType": "private",
           "NatGatewayAddresses": [{"NetworkInterfaceId": "eni-nat2", "PrivateIp": N2, "IsPrimary": True, "Status": "succeeded"}]}
    tables = [rtb("v1", LOCAL, by_tgw("10.0.0.0/8"), by_tgw("172.20.0.0/16")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/16"), *beyond[1:]),
              rtb("v2", LOCAL2, *beyond, sub="U2"), rtb("v2", LOCAL2, by_tgw("10.0.0.0/16"), *behind, sub="P")]
    wide = routes + (tgw_route("10.3.0.0/16", "att-2"),)
    return transit(groups, routes=wide, subnets=U + [subnet("P", "v2", "10.2.7.0/24")], tables=tables, ports=[eni], more=more, links=links,
                   tgw=tgw, NatGateways=[nat], VpcPeeringConnections=list(peerings))


def too_big(src, dst, quoted, mtu=1300):
    return F.packet(src, dst, F.ICMP, F.icmp(3, 4, struct.pack("!HH", 0, mtu), quoted))


# ---- no edge-to-edge over a peering

def edge_to_edge():
    beyond = transit(routes=TGW_ROUTES + (tgw_route("10.3.0.0/16", "att-2"),),
                     tables=[rtb("v1", LOCAL, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/16"), by_pcx("10.3.0.0/16")),
                             rtb("v3", LOCAL3, by_pcx("10.0.0.0/8"))],
                     VpcPeeringConnections=[pcx(ends=("v2", "v3"))])
    c = Case("pcx-04-not-from-a-transit-gateway", "PCX-04: who came into a VPC by a transit gateway does not leave it by its peering", beyond)
    c.put("a", udp(A, D, 4000, 99), drop("peering")).put("c", udp(C, D, 4000, 99), deliver("d", src=C))
    yield c.put("d", udp(D, A, 99, 4000), drop("peering")).put("a", udp(A, C, 4000, 99), deliver("c", src=A, ttl=63))
    c = Case("pcx-04-but-from-a-middlebox", "PCX-04 PCX-06: an ENI in between sends on its own account", edited(beyond, lambda s: [
        s["RouteTables"].append(rtb("v2", LOCAL2, route("10.3.0.0/16", "NetworkInterfaceId", "c"), sub="U2")),
        next(e for e in s["NetworkInterfaces"] if e["NetworkInterfaceId"] == "c").update(SourceDestCheck=False)]))
    yield c.put("a", udp(A, D, 4000, 99), deliver("c", src=A, dst=D)).put("c", udp(A, D, 4000, 99), deliver("d", src=A))
    c = Case("nat-14-from-a-transit-gateway-to-a-peering", "NAT-14 NAT-18 NAT-27: a NAT gateway in between, too",
             nat_in_v2(behind=[by_pcx("10.3.0.0/16")], peerings=[pcx(ends=("v2", "v3"))]))
    c.put("a", tcp(A, D, 40000, 80), deliver("d", src=N2, sport=40000, ttl=62))
    c.put("d", tcp(D, N2, 80, 40000, "SA", 5000, 1001), deliver("a", src=D, dst=A, ttl=62))
    yield c.put("a", tcp(A, D, 40000, 80, "A", 1001, 5001), deliver("d", src=N2, sport=40000))


# ---- sources that are at home elsewhere

def sites(**kw):
    """Two connections of the transit gateway; what they bring is associated with tgw-rtb-9, which knows all three VPCs."""
    nine = [tgw_route("10.%d.0.0/16" % n, "att-%d" % i, kind="propagated") for n, i in ((0, 1), (2, 2), (3, 3))]
    onward = (tgw_route("172.20.0.0/16", "att-7", kind="propagated"), tgw_route("172.22.0.0/16", "att-8", kind="propagated"))
    lists = {"TransitGatewayRouteTables": [{"TransitGatewayRouteTableId": t, "TransitGatewayId": "tgw-1", "State": "available"}
                                           for t in ("tgw-rtb-1", "tgw-rtb-9")],
             "TransitGatewayRoutes": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": [*TGW_ROUTES, *onward]},
                                      {"TransitGatewayRouteTableId": "tgw-rtb-9", "Routes": [*nine, *onward]}]}
    lists.update(kw)
    return transit(places=(("U1",), ("U2",), ("W",)), options=({}, {}, {}), lists=lists,
                   tables=[rtb("v1", LOCAL, by_tgw("0.0.0.0/0")), rtb("v2", LOCAL2, by_tgw("0.0.0.0/0")), rtb("v3", LOCAL3)],
                   more=[associated("att-7", "tgw-rtb-9", kind="vpn", resource="vpn-7"),
                         associated("att-8", "tgw-rtb-9", kind="vpn", resource="vpn-8")], links=["vpn-7", "vpn-8"])


def sources():
    c = Case("b1-inside-addresses-by-a-connection", "B1 TGW-11: nobody on premises has the address of an instance that the answer "
             "would go to", sites())
    from_outside(c, "vpn-7", udp(R, A, 4000, 99), deliver("a", src=R))
    from_outside(c, "vpn-7", udp(B, A, 4000, 99), drop("martian"))          # of the VPC that it is for
    from_outside(c, "vpn-7", udp(A, A, 4000, 99), drop("martian", "l2"))
    from_outside(c, "vpn-7", udp(C, A, 4000, 99), drop("martian"))          # of one that the transit gateway leads to
    from_outside(c, "vpn-7", udp("10.2.9.9", A, 4000, 99), deliver("a"))    # that nobody has
    from_outside(c, "vpn-7", udp(D, A, 4000, 99), deliver("a", src=D))      # an answer would not go to v3: D is somebody else (TGW-15)
    from_outside(c, "vpn-7", udp(R, "172.22.0.7", 4000, 99), out("vpn-8", src=R))
    from_outside(c, "vpn-7", udp(A, "172.22.0.7", 4000, 99), drop("martian"))
    # a firewall on premises between two VPCs: the answers go there, too
    hairpin = sites(TransitGatewayRoutes=[
        {"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": [tgw_route("0.0.0.0/0", "att-7")]},
        {"TransitGatewayRouteTableId": "tgw-rtb-9", "Routes": list(TGW_ROUTES)}])
    c.edit(hairpin).put("a", udp(A, C, 4000, 99), out("vpn-7", src=A, dst=C))
    from_outside(c, "vpn-7", udp(A, C, 4000, 99), deliver("c", src=A))
    yield from_outside(c, "vpn-7", udp(C, C, 4000, 99), drop("martian", "l2"))

    c = Case("b1-inside-addresses-by-a-private-gateway", "B1 VGW-04: nor by a virtual private gateway, whichever its tunnel",
             on_premises((), [vpn("vpn-1", ["172.20.0.0/16"]), vpn("vpn-2", ["172.22.0.0/16"])], links=("vpn-1", "vpn-2")))
    from_outside(c, "vpn-1", udp(B, A, 4000, 99), drop("martian"))
    yield from_outside(c, "vpn-2", udp(A, R, 4000, 99), drop("martian"))


# ---- gateway endpoints

def endpoints():
    def heard(c, body, want, at=None):
        return from_outside(c, "vpce-1", body, want, at=at)
    shut = drop("endpoint-scope")
    c = Case("ep-01-nothing-comes-unasked", "EP-01 EP-02: a service answers, it opens nothing, whatever the groups allow", served())
    heard(c, tcp(S3, A, 443, 40000), shut), heard(c, tcp(S3, A, 443, 40000, "A", 9, 9), shut)
    heard(c, udp(S3, A, 53, 4000), shut), heard(c, ping(S3, A), shut), heard(c, ping(S3, A, 0), shut)
    heard(c, F.packet(S3, A, 47, b"\0" * 24), shut)
    quote = F.packet(A, S3, F.TCP, F.tcp(40000, 443, "A", 1001, 5001))
    heard(c, too_big(S3, A, quote), shut)
    c.put("a", tcp(A, S3, 40000, 443), out("vpce-1"))
    heard(c, tcp(S3, A, 443, 40000), shut)
    heard(c, tcp(S3, A, 443, 40000, "SA", 5000, 1001), deliver("a"))
    c.put("a", tcp(A, S3, 40000, 443, "A", 1001, 5001), out("vpce-1"))
    heard(c, tcp(S3, A, 443, 40000, "A", 5001, 1001), deliver("a"))
    heard(c, too_big(S3, A, quote), deliver("a"))
    heard(c, tcp(S3, A, 443, 40000), shut)
    # untracked, so an edit of the rules makes the groups look again, but not the endpoint
    c.edit(served({"a": ([ANY4], [ANY4])}))
    yield heard(c, tcp(S3, A, 443, 40000, "A", 5001, 1001), deliver("a"))
    c = Case("ep-01-answers-end-with-the-flow", "EP-01 CT-11: an answer after the close is nobody's", served())
    c.put("a", ping(A, S3), out("vpce-1"), 0)
    heard(c, ping(S3, A, 0), deliver("a"), 29)
    yield heard(c, ping(S3, A, 0), shut, 61)


# ---- answers by another member

def other_members():
    tied = {"more": [associated("att-7", "tgw-rtb-1", kind="vpn", resource="vpn-7"),
                     associated("att-8", "tgw-rtb-1", kind="vpn", resource="vpn-8")], "links": ["vpn-7", "vpn-8"],
            "tgw": {"VpnEcmpSupport": "enable"}}
    world = nat_in_v2(behind=[by_tgw("172.20.0.0/16")],
                      routes=TGW_ROUTES + (tgw_route("172.20.0.0/16", "att-7", "att-8", kind="propagated"),), **tied)
    anywhere = {"action": "uplink", "to": ["vpn-7", "vpn-8"], "csum": True, "src": N2, "dst": R}
    c = Case("tgw-09-answers-by-another-member", "TGW-09 NAT-10: an answer to a NAT gateway may take any of the connections", world)
    for n in range(4):
        c.put("c", tcp(C, R, 40000 + n, 80), {**anywhere, "sport": 40000 + n})
        for link in ("vpn-7", "vpn-8", "vpn-7"):
            from_outside(c, link, tcp(R, N2, 80, 40000 + n, "SA", 5000, 1001), deliver("c", src=R, dst=C, dport=40000 + n))
        c.put("c", tcp(C, R, 40000 + n, 80, "A", 1001, 5001), {**anywhere, "sport": 40000 + n}, repeat=2)
        quote = F.packet(N2, R, F.TCP, F.tcp(40000 + n, 80, "A", 1001, 5001))
        for link in ("vpn-8", "vpn-7"):
            from_outside(c, link, tcp(R, N2, 80, 40000 + n, "A", 5001, 1001), deliver("c", dport=40000 + n), repeat=2)
            from_outside(c, link, too_big(R, N2, quote), deliver("c", isrc=C, idst=R))
            from_outside(c, link, tcp(R, N2, 80, 41000 + n, "A", 5001, 1001), drop("nat-no-mapping"))
            from_outside(c, link, tcp("172.20.0.8", N2, 80, 40000 + n, "A", 5001, 1001), drop("nat-no-mapping"))
    yield c


def gates():
    for part in (edge_to_edge, sources, endpoints, other_members):
        yield from part()
