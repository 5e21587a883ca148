# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Details of gateways: what may not follow on what, who may not be a source, and the ways back that differ from the way there.
Names are those of gateways.py."""
import struct

import author
from author import (A, ANY4, B, Case, LOCAL, MAC, OPEN, UP, X, allow_all, deliver, drop, edited, entry, nacl, perm, ping, route,
                    tcp, udp)
import frames as F
from edges import S3, from_outside, on_premises, served, vpn
from gateways import (C, D, LOCAL2, LOCAL3, R, TGW_ROUTES, U, associated, attachment, by_pcx, by_tgw, network, out, pcx, rtb,
                      subnet, tgw_route, transit)
from nat import N, TO_NAT, natted

MAC["e"] = "02:00:00:00:00:09"
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


# ---- what a NAT gateway answers itself

def own_answers():
    """Its reset has the address of the server, its time exceeded its own; both leave S0 and come into S1."""
    def shut(sub, egress, proto, cidr, ports=None, icmp=None):
        return natted(nacls=[nacl(sub, entry(50, egress, "deny", proto, cidr, ports, icmp), *allow_all())])
    c = Case("nacl-12-answers-of-a-nat-gateway", "NACL-09 NACL-12 NAT-13: resets and errors cross the borders between, too", natted())
    late, last = tcp(A, X, 40001, 443, "PA", 1001, 5001, b"data"), udp(A, X, 4000, 99, ttl=1)
    rst, gone = {"action": "reply", "to": "a", "src": X, "flags": 4}, {"action": "reply", "to": "a", "src": N, "type": 11}
    c.put("a", late, rst).put("a", last, gone)
    c.edit(shut("S0", True, "6", A + "/32", (40001, 40001))).put("a", late, drop("nat-no-mapping")).put("a", last, gone)
    c.edit(shut("S1", False, "6", X + "/32", (0, 65535))).put("a", late, drop("nat-no-mapping")).put("a", last, gone)
    c.edit(shut("S1", False, "6", N + "/32", (0, 65535))).put("a", late, rst)
    c.edit(shut("S0", True, "1", A + "/32", icmp=(11, -1))).put("a", late, rst).put("a", last, drop("ttl"))
    c.edit(shut("S1", False, "1", N + "/32", icmp=(11, 0))).put("a", late, rst).put("a", last, drop("ttl"))
    # to a client in the gateway's own subnet there is none
    home = shut("S0", True, "-1", "10.0.0.0/24")
    home["NetworkInterfaces"][0].update(SubnetId="S0", PrivateIpAddress="10.0.0.10", PrivateIpAddresses=[
        {"Primary": True, "PrivateIpAddress": "10.0.0.10"}], Ipv6Addresses=[])
    home["RouteTables"].append(author.table("S0", TO_NAT))
    yield c.edit(home).put("a", tcp("10.0.0.10", X, 40001, 443, "A", 1001, 5001), rst)


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


# ---- appliance mode, peerings of transit gateways

AB = [subnet("U1", "v1", "10.0.8.0/24"), subnet("U2", "v2", "10.2.8.0/24"), subnet("Z1", "v1", "10.0.9.0/24", "eu-west-1b"),
      subnet("Z2", "v2", "10.2.9.0/24", "eu-west-1b"), subnet("U3", "v3", "10.3.8.0/24")]


def inspected(appliance, ends=("eu-west-1a", "eu-west-1a")):
    """v1 and v3 meet by way of v2, where C inspects zone a and E zone b. A is in zone a, D where ends[1] says."""
    e = dict(author.eni("e", "T2", "10.2.2.30"), VpcId="v2")
    places = (("U1", "Z1"), ("U2", "Z2"), ("U3",) if ends[1] == "eu-west-1a" else ("Y3",))
    more = [*AB, subnet("T2", "v2", "10.2.2.0/24", "eu-west-1b"), subnet("Y3", "v3", "10.3.9.0/24", "eu-west-1b")]
    tables = [rtb("v1", LOCAL, by_tgw("10.0.0.0/8")), rtb("v3", LOCAL3, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/8")),
              rtb("v2", LOCAL2, route("0.0.0.0/0", "NetworkInterfaceId", "c"), sub="U2"),
              rtb("v2", LOCAL2, route("0.0.0.0/0", "NetworkInterfaceId", "e"), sub="Z2")]
    lists = {"TransitGatewayRouteTables": [{"TransitGatewayRouteTableId": t, "TransitGatewayId": "tgw-1", "State": "available"}
                                           for t in ("tgw-rtb-1", "tgw-rtb-2")],
             "TransitGatewayAttachments": [associated("att-%d" % n, "tgw-rtb-%d" % (2 if n == 2 else 1), resource="v%d" % n) for n in (1, 2, 3)],
             "TransitGatewayRoutes": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": [tgw_route("0.0.0.0/0", "att-2")]},
                                      {"TransitGatewayRouteTableId": "tgw-rtb-2", "Routes": [
                                          tgw_route("10.0.0.0/16", "att-1"), tgw_route("10.3.0.0/16", "att-3")]}]}
    s = transit(places=places, options=({}, {"ApplianceModeSupport": "enable" if appliance else "disable"}, {}), subnets=more,
                tables=tables, lists=lists, ports=[e])
    s["SecurityGroups"].append({"GroupId": "sg-e", "GroupName": "e", "VpcId": "v2", "OwnerId": "111122223333",
                                "IpPermissions": OPEN, "IpPermissionsEgress": OPEN})
    for o in s["NetworkInterfaces"]:
        if o["NetworkInterfaceId"] in "ce":
            o["SourceDestCheck"] = False
    next(o for o in s["Subnets"] if o["SubnetId"] == "W")["AvailabilityZone"] = ends[1]
    return s


def appliances():
    cross = ("eu-west-1a", "eu-west-1b")
    c = Case("tgw-10-each-way-in-its-own-zone", "TGW-03 TGW-10: without appliance mode the ways differ where the zones do", inspected(False, cross))
    for n in range(8):
        c.put("a", udp(A, D, 4000 + n, 99), {"action": "deliver", "to": "c", "src": A, "dst": D})
        c.put("d", udp(D, A, 99, 4000 + n), {"action": "deliver", "to": "e", "src": D, "dst": A})
    c.put("c", udp(A, D, 4000, 99), deliver("d", src=A))
    yield c
    for n, zones in (("one-zone", ("eu-west-1a", "eu-west-1a")), ("two-zones", cross)):
        # which appliance a flow takes is secret; that both ways take one of them is not: the other's route leads nowhere
        c = Case("tgw-10-appliance-mode-in-" + n, "TGW-10: both ways of a flow by one appliance, whichever zone they come from", inspected(True, zones))
        for k in range(12):
            c.put("a", udp(A, D, 4000 + k, 99), {"action": "deliver", "to": ["c", "e"], "src": A})
            c.put("d", udp(D, A, 99, 4000 + k), {"action": "deliver", "to": ["c", "e"], "src": D})
        yield c


def two_transit_gateways(far=(), near=None):
    """v1 at tgw-1, v2 at tgw-2; the two are peered by att-p, which each lists. tgw-rtb-2 is the table of tgw-2."""
    near = [tgw_route("10.0.0.0/16", "att-1"), tgw_route("10.2.0.0/16", "att-p")] if near is None else near
    lists = {"TransitGateways": [{"TransitGatewayId": t, "State": "available", "Options": {"SecurityGroupReferencingSupport": "enable"}}
                                 for t in ("tgw-1", "tgw-2")],
             "TransitGatewayVpcAttachments": [attachment("att-1", "v1", ["U1"]), attachment("att-2", "v2", ["U2"], tgw="tgw-2")],
             "TransitGatewayAttachments": [associated("att-1", "tgw-rtb-1", resource="v1"),
                                           associated("att-2", "tgw-rtb-2", tgw="tgw-2", resource="v2"),
                                           associated("att-p", "tgw-rtb-1", kind="peering", resource="tgw-2"),
                                           associated("att-p", "tgw-rtb-2", tgw="tgw-2", kind="peering", resource="tgw-1")],
             "TransitGatewayRouteTables": [{"TransitGatewayRouteTableId": "tgw-rtb-%d" % n, "TransitGatewayId": "tgw-%d" % n,
                                            "State": "available"} for n in (1, 2)],
             "TransitGatewayRoutes": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": near},
                                      {"TransitGatewayRouteTableId": "tgw-rtb-2", "Routes": [
                                          tgw_route("10.0.0.0/16", "att-p"), tgw_route("10.2.0.0/16", "att-2"), *far]}]}
    return transit({"c": ([perm("tcp", 80, "sg-a"), perm("tcp", 81, "10.0.0.0/8")], OPEN)}, lists=lists, tables=[
        rtb("v1", LOCAL, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2, route("10.0.0.0/8", "TransitGatewayId", "tgw-2"))])


def peered_transit_gateways():
    c = Case("tgw-08-peering-of-transit-gateways", "TGW-01 TGW-06 TGW-08: two hops, static routes only, no group references across",
             two_transit_gateways([tgw_route("10.3.0.0/16", "att-p")]))
    c.put("a", tcp(A, C, 40000, 81), deliver("c", src=A, dst=C, ttl=62)).put("c", tcp(C, A, 81, 40000, "SA", 5000, 1001), deliver("a", ttl=62))
    c.put("a", tcp(A, C, 40001, 80), drop("sg-ingress")).put("a", tcp(A, C, 40002, 81, ttl=2), drop("ttl"))
    c.put("a", udp(A, D, 4000, 99), drop("tgw-no-route")).put("c", udp(C, D, 4000, 99), drop("tgw-no-route"))
    c.edit(two_transit_gateways(near=[tgw_route("10.0.0.0/16", "att-1"), tgw_route("10.2.0.0/16", "att-p", active=False)]))
    c.put("a", tcp(A, C, 40000, 81, "A", 1001, 5001), drop("tgw-blackhole"))
    gone = edited(two_transit_gateways(), lambda s: s["TransitGatewayAttachments"].pop())
    c.edit(gone).put("a", tcp(A, C, 40000, 81, "A", 1001, 5001), drop("not-served"))      # the other end is not of this state
    c.edit(two_transit_gateways()).put("a", tcp(A, C, 40000, 81, "A", 1001, 5001), deliver("c", ttl=62))
    yield c
    round_about = two_transit_gateways([tgw_route("10.3.0.0/16", "att-p")], near=[
        tgw_route("10.0.0.0/16", "att-1"), tgw_route("10.2.0.0/16", "att-p"), tgw_route("10.3.0.0/16", "att-p")])
    yield Case("d10-two-transit-gateways-in-a-circle", "D10: it ends", round_about).put("a", udp(A, D, 4000, 99), drop("ttl"))


def turns():
    """A route of several attachments that may not share."""
    def by(*names):
        return transit(routes=TGW_ROUTES[:1] + (tgw_route("172.20.0.0/16", *names),), tables=[rtb("v1", LOCAL, by_tgw("172.20.0.0/16"))],
                       tgw={"VpnEcmpSupport": "disable"}, links=["vpn-7", "vpn-8"],
                       more=[associated("att-7", "tgw-rtb-1", kind="vpn", resource="vpn-7"),
                             associated("att-8", "tgw-rtb-1", kind="vpn", resource="vpn-8")])
    c = Case("tgw-09-without-equal-cost", "TGW-09: one of a route's attachments, by name, in whatever order they are listed", by("att-8", "att-7"))
    for n in range(8):
        c.put("a", udp(A, R, 4000 + n, 99), out("vpn-7", src=A))
    c.edit(by("att-7", "att-8")).put("a", udp(A, R, 4000, 99), out("vpn-7"))
    yield from_outside(c, "vpn-8", udp(R, A, 99, 4000), deliver("a", src=R))
    both = on_premises((), [vpn("vpn-1", ["172.20.0.0/16"]), vpn("vpn-2", ["172.20.0.0/16", "172.20.0.0/24"])], links=("vpn-1", "vpn-2"))
    c = Case("vgw-03-one-tunnel-at-a-time", "VGW-03: the longest prefix, never equal cost", both)
    for n in range(8):
        c.put("a", udp(A, R, 4000 + n, 99), out("vpn-2")).put("a", udp(A, "172.20.1.7", 4000 + n, 99), out("vpn-1"))
    from_outside(c, "vpn-2", udp("172.20.1.7", R, 4000, 99), drop("vgw"))
    from_outside(c, "vpn-1", udp("172.20.1.7", R, 4000, 99), out("vpn-2"))
    yield from_outside(c, "vpn-1", udp(R, A, 99, 4000), deliver("a", src=R))


def gates():
    for part in (edge_to_edge, sources, endpoints, own_answers, other_members, appliances, peered_transit_gateways, turns):
        yield from part()
