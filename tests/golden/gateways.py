# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Gateways between networks: peering, transit gateways, virtual private gateways, endpoints, ingress routing.

VPC v1 is that of author.py. C 10.2.1.30 is in subnet T of v2 (10.2.0.0/16), D 10.3.1.40 in W of v3 (10.3.0.0/16); R
172.20.0.7 is on premises."""
import author
from author import (A, A2, A6, B, Case, IGW4, IGW6, LOCAL, M, MAC, OPEN, QA, UP, X, X6, allow_all, deliver, drop, edited, entry,
                    nacl, perm, ping, route, state, table, tcp, udp, uplink)
import frames as F

C, D, C6, R = "10.2.1.30", "10.3.1.40", "2001:db8:2:1::30", "172.20.0.7"
MAC.update({"c": "02:00:00:00:00:05", "d": "02:00:00:00:00:06"})
LOCAL2, LOCAL3 = (route(c, "GatewayId", "local", origin="CreateRouteTable") for c in ("10.2.0.0/16", "10.3.0.0/16"))


def vpc(name, cidr, six=None):
    v = {"VpcId": name, "CidrBlock": cidr, "State": "available", "OwnerId": "111122223333"}
    if six:
        v["Ipv6CidrBlockAssociationSet"] = [{"Ipv6CidrBlock": six, "Ipv6CidrBlockState": {"State": "associated"}}]
    return v


def subnet(name, of, cidr, az="eu-west-1a", six=None):
    return {"SubnetId": name, "VpcId": of, "CidrBlock": cidr, "AvailabilityZone": az, "Ipv6CidrBlockAssociationSet":
            [{"Ipv6CidrBlock": six, "Ipv6CidrBlockState": {"State": "associated"}}] if six else []}


def rtb(of, *routes, sub=None, gateway=None, pool=None):
    where = {"SubnetId": sub} if sub else {"GatewayId": gateway} if gateway else {}
    ways = [{"Main": not where, "AssociationState": {"State": "associated"}, **where}]
    if pool:
        ways.append({"Main": False, "PublicIpv4Pool": pool, "AssociationState": {"State": "associated"}})
    return {"RouteTableId": "rtb-%s-%s" % (of, sub or gateway or "main"), "VpcId": of, "Routes": list(routes),
            "Associations": ways}


def acl(of, sub, *entries):
    return dict(nacl(sub, *entries), VpcId=of)


def network(groups=None, tables=(), nacls=(), enis=None, uplinks=(), subnets=(), vpcs=(), ports=(), **lists):
    """v1 of author.py with two neighbours. tables: those that are no main ones, or take the place of these."""
    group = {"c": (OPEN, OPEN), "d": (OPEN, OPEN)}
    group.update(groups or {})
    own = {n: g for n, g in group.items() if n in ("a", "a2", "b", "m")}
    given = {t["RouteTableId"] for t in tables}
    base = [rtb("v1", LOCAL, IGW4, IGW6), rtb("v2", LOCAL2), rtb("v3", LOCAL3)]
    s = state(own, nacls, [t for t in base if t["RouteTableId"] not in given] + list(tables), enis)
    s["Vpcs"] += [vpc("v2", "10.2.0.0/16", "2001:db8:2::/56"), vpc("v3", "10.3.0.0/16")] + list(vpcs)
    s["Subnets"] += [subnet("T", "v2", "10.2.1.0/24", six="2001:db8:2:1::/64"), subnet("W", "v3", "10.3.1.0/24"),
                     *subnets]
    s["SecurityGroups"] += [{"GroupId": "sg-" + n, "GroupName": n, "VpcId": {"c": "v2", "d": "v3"}[n], "OwnerId": "111122223333",
                             "IpPermissions": g[0], "IpPermissionsEgress": g[1]} for n, g in group.items() if n in "cd"]
    more = [dict(author.eni("c", "T", C, None, C6), VpcId="v2"), dict(author.eni("d", "W", D), VpcId="v3"), *ports]
    s["NetworkInterfaces"] += more
    host = s["Hosts"][0]
    host["Ports"] += [{"NetworkInterfaceId": e["NetworkInterfaceId"],
                       **({} if e["InterfaceType"] == "nat_gateway" else {"Device": "tap-" + e["NetworkInterfaceId"]})}
                      for e in more]
    host["Uplinks"] += [{"GatewayId": u, "Device": "up-" + u} for u in uplinks]
    s.update(lists)
    return s


def out(to, **kw):
    return {"action": "uplink", "to": to, "csum": True, **kw}


# ---- peering

def pcx(name="pcx-1", code="active", ends=("v1", "v2"), regions=("eu-west-1", "eu-west-1")):
    cidr = {"v1": "10.0.0.0/16", "v2": "10.2.0.0/16", "v3": "10.3.0.0/16"}
    side = [{"VpcId": v, "CidrBlock": cidr[v], "OwnerId": "111122223333", "Region": r} for v, r in zip(ends, regions)]
    return {"VpcPeeringConnectionId": name, "Status": {"Code": code}, "RequesterVpcInfo": side[0], "AccepterVpcInfo": side[1]}


def by_pcx(dst, name="pcx-1"):
    return route(dst, "VpcPeeringConnectionId", name)


def peered(groups=None, back=True, code="active", peerings=(), **kw):
    return network(groups, [rtb("v1", LOCAL, IGW4, by_pcx("10.2.0.0/16")),
                            rtb("v2", LOCAL2, *([by_pcx("10.0.0.0/16")] if back else []))],
                   VpcPeeringConnections=[pcx(code=code), *peerings], **kw)


def peering():
    wide = network(None, [rtb("v1", LOCAL, by_pcx("0.0.0.0/0")), rtb("v2", LOCAL2, route("0.0.0.0/0", "GatewayId", "igw-2"))],
                   uplinks=["igw-2"], VpcPeeringConnections=[pcx()],
                   InternetGateways=[{"InternetGatewayId": i, "Attachments": [{"VpcId": v, "State": "available"}]}
                                     for i, v in (("igw-1", "v1"), ("igw-2", "v2"))])
    c = Case("tv28-peering-is-not-transitive", "TV-28 PCX-04 PCX-05", wide)
    c.put("a", udp(A, X, 4000, 99), drop("peering")).put("a", udp(A, "10.2.9.9", 4000, 99), drop("peering"))
    yield c.put("a", udp(A, D, 4000, 99), drop("peering")).put("a", udp(A, C, 4000, 99), deliver("c", src=A, dst=C, ttl=64))

    c = Case("tv29-peering-without-a-way-back", "TV-29 RT-15 PCX-03", peered(back=False))
    c.put("a", tcp(A, C, 40000, 80), deliver("c", src=A))
    yield c.put("c", tcp(C, A, 80, 40000, "SA", 5000, 1001), drop("no-route"))

    ref = {"c": ([perm("tcp", 80, "sg-a")], [])}
    c = Case("tv30-reference-over-a-peering", "TV-30 SG-17 SG-19 PCX-01", peered(ref))
    c.put("a", tcp(A, C, 40000, 80), deliver("c")).put("c", tcp(C, A, 80, 40000, "SA", 5000, 1001), deliver("a"))
    c.put("a2", tcp(A2, C, 40000, 80), drop("sg-ingress")).edit(peered(ref, code="deleted"))
    c.put("a", tcp(A, C, 40001, 80), drop("blackhole")).edit(peered(ref))
    yield c.put("a", tcp(A, C, 40002, 80), deliver("c"))
    c = Case("sg-17-egress-reference-over-a-peering", "SG-17", peered({"a": ([], [perm("tcp", 80, "sg-c")])}))
    yield c.put("a", tcp(A, C, 40000, 80), deliver("c")).put("a", tcp(A, B, 40000, 80), drop("sg-egress"))

    shut = peered(nacls=[acl("v2", "T", entry(50, False, "deny", "6", A + "/32", (81, 81)), *allow_all())])
    c = Case("path06-peering", "PATH-06 PCX-07: both subnets' network ACLs, no other stage", shut)
    c.put("a", tcp(A, C, 40000, 80), deliver("c", src=A, dst=C, smac=MAC["router"]))
    c.put("a", tcp(A, C, 40000, 81), drop("nacl-ingress")).put("c", tcp(C, A, 80, 40000, "SA", 5000, 1001), deliver("a"))
    yield c.edit(peered(nacls=[nacl("S1", *allow_all()[:2])])).put("a", tcp(A, C, 40000, 80, "A", 1001, 5001), drop("nacl-egress"))
    c = Case("pcx-06-third-party-source", "PCX-06: no reverse-path check", peered(nacls=[]))
    yield c.put("m", udp("192.0.2.9", C, 4000, 99), deliver("c", src="192.0.2.9")).put("c", udp(C, "192.0.2.9", 99, 4000), drop("no-route"))

    # not over two peerings, not by way of the neighbour's gateways, nor with an address that both ends have
    chain = peered(peerings=[pcx("pcx-2", ends=("v2", "v3"))])
    chain = edited(chain, lambda s: next(t for t in s["RouteTables"] if t["RouteTableId"] == "rtb-v1-main")["Routes"].append(
        by_pcx("10.3.0.0/16")))
    yield Case("pcx-04-not-over-two-peerings", "PCX-04", chain).put("a", udp(A, D, 4000, 99), drop("peering"))


# ---- transit gateways

def attachment(name, of, subnets, tgw="tgw-1", **options):
    return {"TransitGatewayAttachmentId": name, "TransitGatewayId": tgw, "VpcId": of, "SubnetIds": list(subnets),
            "State": "available", "Options": {"Ipv6Support": "enable", **options}}


def associated(name, rtb_id, tgw="tgw-1", kind="vpc", resource=""):
    return {"TransitGatewayAttachmentId": name, "TransitGatewayId": tgw, "ResourceType": kind, "ResourceId": resource,
            "State": "available", "Association": {"TransitGatewayRouteTableId": rtb_id, "State": "associated"}}


def tgw_route(dst, *to, kind="static", active=True):
    return {"DestinationCidrBlock": dst, "Type": kind, "State": "active" if active else "blackhole",
            "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": t} for t in to]}


TGW_ROUTES = (tgw_route("10.0.0.0/16", "att-1", kind="propagated"), tgw_route("10.2.0.0/16", "att-2", kind="propagated"))
U = [subnet("U1", "v1", "10.0.8.0/24"), subnet("U2", "v2", "10.2.8.0/24")]


def by_tgw(dst):
    return route(dst, "TransitGatewayId", "tgw-1")


def transit(groups=None, routes=TGW_ROUTES, places=(("U1",), ("U2",)), subnets=U, tables=None, options=({}, {}), tgw=None,
            more=(), links=(), **kw):
    lists = {"TransitGateways": [{"TransitGatewayId": "tgw-1", "State": "available", "Options": tgw or {}}],
             "TransitGatewayVpcAttachments": [attachment("att-%d" % (i + 1), "v%d" % (i + 1), p, **options[i])
                                              for i, p in enumerate(places)],
             "TransitGatewayAttachments": [associated("att-%d" % (i + 1), "tgw-rtb-1", resource="v%d" % (i + 1))
                                           for i in range(len(places))] + list(more),
             "TransitGatewayRouteTables": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "TransitGatewayId": "tgw-1",
                                            "State": "available"}],
             "TransitGatewayRoutes": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "Routes": list(routes)}]}
    lists.update(kw.pop("lists", {}))
    return network(groups, tables or [rtb("v1", LOCAL, IGW4, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2, by_tgw("10.0.0.0/8"))],
                   subnets=subnets, uplinks=links, **lists, **kw)


def transit_gateways():
    c = Case("path07-transit-gateway", "PATH-07 TGW-03 TGW-06", transit())
    c.put("a", tcp(A, C, 40000, 80), deliver("c", src=A, dst=C, ttl=63, smac=MAC["router"]))
    c.put("c", tcp(C, A, 80, 40000, "SA", 5000, 1001), deliver("a", ttl=63))
    c.put("a", tcp(A, C, 40000, 80, "A", 1001, 5001), deliver("c", ttl=63)).put("a", udp(A, D, 4000, 99), drop("tgw-no-route"))
    c.put("a", udp(A, "10.2.9.9", 4000, 99), drop("no-owner")).put("a", udp(A, C, 4000, 99, ttl=1), drop("ttl"))
    # each of the four borders of the way there
    for at, of, one in (("S1", "v1", entry(50, True, "deny", "6", C + "/32", (80, 80))),
                        ("U1", "v1", entry(50, False, "deny", "6", A + "/32", (80, 80))),
                        ("U2", "v2", entry(50, True, "deny", "6", C + "/32", (80, 80))),
                        ("T", "v2", entry(50, False, "deny", "6", A + "/32", (80, 80)))):
        c.edit(transit(nacls=[acl(of, at, one, *allow_all())]))
        c.put("a", tcp(A, C, 40000, 80, "A", 1001, 5001), drop("nacl-egress" if one["Egress"] else "nacl-ingress"))
    # outbound rules of U1 and inbound rules of U2 are of no concern on the way there
    c.edit(transit(nacls=[acl("v1", "U1", *allow_all()[:2]), acl("v2", "U2", *allow_all()[2:])]))
    yield c.put("a", tcp(A, C, 40000, 80, "A", 1001, 5001), deliver("c"))

    far = [subnet("U1", "v1", "10.0.8.0/24", "eu-west-1b"), U[1]]
    yield Case("tv33-no-attachment-in-the-zone", "TV-33 TGW-04", transit(subnets=far)).put("a", udp(A, C, 4000, 99), drop("tgw-attachment"))
    hidden = transit(routes=TGW_ROUTES + (tgw_route("10.2.1.0/24", active=False), tgw_route("10.2.0.0/16", active=False)))
    c = Case("tv34-blackhole-hides-the-propagated-route", "TV-34 TGW-05 TGW-06", hidden)
    yield c.put("a", udp(A, C, 4000, 99), drop("tgw-blackhole")).put("a", udp(A, "10.2.9.9", 4000, 99), drop("tgw-blackhole"))
    same = (("S1",), ("T",))
    c = Case("tv44-attachment-in-the-own-subnet", "TV-44 NACL-15", transit(
        places=same, subnets=[], nacls=[nacl("S1", entry(50, False, "deny", "-1", A + "/32"), *allow_all())]))
    c.put("a", udp(A, C, 4000, 99), drop("nacl-ingress")).edit(transit(places=same, subnets=[]))
    c.put("a", udp(A, C, 4000, 99), deliver("c"))
    # toward an instance in the attachment's own subnet nothing is evaluated
    c.edit(transit(places=same, subnets=[], nacls=[acl("v2", "T")]))
    yield c.put("a", udp(A, C, 4000, 99), deliver("c"))

    c = Case("tgw-02-no-association", "TGW-02 TGW-16", transit(lists={"TransitGatewayAttachments": []}))
    yield c.put("a", udp(A, C, 4000, 99), drop("tgw-no-route"))
    moved = transit(lists={"TransitGatewayRoutes": [], "TransitGatewayPropagations": [
        {"TransitGatewayRouteTableId": "tgw-rtb-1", "TransitGatewayRouteTablePropagations": [
            {"TransitGatewayAttachmentId": n, "ResourceType": "vpc", "State": "enabled"} for n in ("att-1", "att-2")]}]})
    c = Case("tgw-07-vpcs-propagate-their-cidrs", "TGW-07 TGW-16", moved)
    yield c.put("a", udp(A, C, 4000, 99), deliver("c")).put("a", udp(A, D, 4000, 99), drop("tgw-no-route"))
    listed = transit(routes=TGW_ROUTES[:1], lists={
        "PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "two", "Cidrs": ["10.2.0.0/16"]}],
        "TransitGatewayPrefixListReferences": [{"TransitGatewayRouteTableId": "tgw-rtb-1", "PrefixListId": "pl-1", "State": "available",
                                                "TransitGatewayAttachment": {"TransitGatewayAttachmentId": "att-2"}}]})
    yield Case("tgw-05-prefix-list-reference", "TGW-05", listed).put("a", udp(A, C, 4000, 99), deliver("c"))

    ref = {"c": ([perm("tcp", 80, "sg-a")], [])}
    c = Case("sg-17-reference-over-a-transit-gateway", "SG-17: ingress only, and only where it is enabled",
             transit(ref, tgw={"SecurityGroupReferencingSupport": "enable"}))
    c.put("a", tcp(A, C, 40000, 80), deliver("c")).put("a2", tcp(A2, C, 40000, 80), drop("sg-ingress"))
    c.edit(transit(ref)).put("a", tcp(A, C, 40001, 80), drop("sg-ingress"))
    c.edit(transit(ref, tgw={"SecurityGroupReferencingSupport": "enable"},
                   options=({"SecurityGroupReferencingSupport": "disable"}, {})))
    c.put("a", tcp(A, C, 40002, 80), drop("sg-ingress"))
    c.edit(transit({"a": ([], [perm("tcp", 80, "sg-c")])}, tgw={"SecurityGroupReferencingSupport": "enable"}))
    yield c.put("a", tcp(A, C, 40003, 80), drop("sg-egress"))

    # a VPC behind two others: reached over the transit gateway, whose peer VPC may not be left by its internet gateway
    wide = transit(routes=TGW_ROUTES + (tgw_route("0.0.0.0/0", "att-1"),),
                   tables=[rtb("v1", LOCAL, IGW4, by_tgw("10.2.0.0/16")), rtb("v2", LOCAL2, by_tgw("0.0.0.0/0"))])
    yield Case("igw-08-no-transit-to-the-internet", "IGW-08", wide).put("c", udp(C, X, 4000, 99), drop("igw-no-public-address"))


def live_edits():
    def said(c, want):
        c.put("a", tcp(A, C, 40000, 80, "A", 1001, 5001), want)

    c = Case("rt-25-edits-bite-at-the-next-packet", "RT-25 CT-07: gateways on the way of a live flow", transit())
    c.put("a", tcp(A, C, 40000, 80), deliver("c")).put("c", tcp(C, A, 80, 40000, "SA", 5000, 1001), deliver("a"))
    said(c, deliver("c"))
    gone = tgw_route("10.2.0.0/16", active=False)
    for other, want in ((transit(routes=TGW_ROUTES + (gone,)), drop("tgw-blackhole")), (transit(), deliver("c")),
                        (transit(routes=TGW_ROUTES[:1]), drop("tgw-no-route")), (transit(), deliver("c")),
                        (transit(subnets=[subnet("U1", "v1", "10.0.8.0/24", "eu-west-1b"), U[1]]), drop("tgw-attachment")),
                        (transit(tables=[rtb("v1", LOCAL, by_tgw("10.0.0.0/8")), rtb("v2", LOCAL2)]), deliver("c")),
                        (peered(), deliver("c")), (peered(code="deleted"), drop("blackhole")), (peered(), deliver("c"))):
        said(c.edit(other), want)
    c.put("c", tcp(C, A, 80, 40000, "A", 5001, 1001), deliver("a", ttl=64)).edit(peered(back=False))
    c.put("c", tcp(C, A, 80, 40000, "A", 5001, 1001), drop("no-route"))
    ref = transit({"c": ([perm("tcp", 80, "sg-a")], [])}, tgw={"SecurityGroupReferencingSupport": "enable"})
    c.edit(ref).put("a", tcp(A, C, 40010, 80), deliver("c"))
    moved = edited(ref, lambda s: next(e for e in s["NetworkInterfaces"] if e["NetworkInterfaceId"] == "a")["Groups"].append({"GroupId": "sg-m"}))
    moved["NetworkInterfaces"][0]["Groups"] = [{"GroupId": "sg-m"}]
    yield c.edit(moved).put("a", tcp(A, C, 40011, 80), drop("sg-ingress"))


def groups():
    def vpns(ecmp):
        return transit(routes=TGW_ROUTES[:1] + (tgw_route("172.20.0.0/16", "att-7", "att-8", kind="propagated"),),
                       tables=[rtb("v1", LOCAL, by_tgw("172.20.0.0/16"))], tgw={"VpnEcmpSupport": ecmp},
                       more=[associated("att-7", "tgw-rtb-1", kind="vpn", resource="vpn-7"),
                             associated("att-8", "tgw-rtb-1", kind="vpn", resource="vpn-8")], links=["att-7", "vpn-8"])
    c = Case("tgw-09-equal-cost-over-connections", "TGW-09: both ways of a flow choose alike", vpns("enable"))
    for port in range(24):
        c.put("a", udp(A, R, 4000 + port, 99), {"action": "uplink", "to": ["att-7", "vpn-8"], "csum": True, "ttl": 63})
    c.put("vpn-8", F.frame(MAC["up"], MAC["router"], udp(R, A, 99, 4000)), deliver("a", src=R, dst=A, ttl=63), dst="raw")
    c.edit(vpns("disable"))
    for port in range(24):
        c.put("a", udp(A, R, 5000 + port, 99), out("att-7"))
    yield c
    yield Case("tgw-vpn-to-vpc", "TGW-02 TGW-06 from a connection", vpns("enable")).put(
        "att-7", F.frame(MAC["up"], MAC["router"], udp(R, C, 99, 4000)), drop("tgw-no-route"), dst="raw")


def gateways():
    for part in (peering, transit_gateways, live_edits, groups):
        yield from part()
