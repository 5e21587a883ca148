# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Gateways to places outside: ingress routing, egress-only gateways, virtual private gateways, endpoints, and what block
public access leaves of them. Names are those of gateways.py."""
import author
from author import (A, A2, A6, B, B6, Case, IGW4, IGW6, LOCAL, M, MAC, OPEN, QA, UP, X, X6, allow_all, deliver, drop, entry, nacl,
                    perm, ping, route, tcp, udp, uplink)
import frames as F
from gateways import C, C6, LOCAL2, R, acl, associated, by_pcx, by_tgw, network, out, pcx, rtb, subnet, transit

S3 = "192.0.2.9"                  # an address of the service behind the endpoint
TWO = route("10.0.2.0/24", "GatewayId", "vgw-1", origin="EnableVgwRoutePropagation")


def from_outside(c, port, body, want, **kw):
    return c.put(port, F.frame(MAC["up"], MAC["router"], body), want, dst="raw", **kw)


# ---- ingress routing

def ingress():
    edge = network(None, [rtb("v1", LOCAL, route("10.0.1.0/24", "NetworkInterfaceId", "m"), gateway="igw-1")])
    c = Case("rt-18-ingress-routing", "RT-18 RT-19 RT-20 RT-24: what comes in for S1 goes by way of M", edge)
    c.put(UP, tcp(X, QA, 40000, 80), deliver("m", src=X, dst=A)).put("m", tcp(X, A, 40000, 80), deliver("a", src=X, dst=A))
    c.put(UP, tcp(X, author.QB, 40000, 80), deliver("b", dst=B))
    yield c.put("a", tcp(A, X, 80, 40000, "SA", 5000, 1001), uplink(src=QA))
    shut = network(None, edge["RouteTables"][-1:], nacls=[acl("v1", "S3", *allow_all()[2:])])
    yield Case("rt-18-network-acl-of-the-middlebox", "RT-24 NACL-09", shut).put(UP, tcp(X, QA, 40000, 80), drop("nacl-ingress"))
    gone = network(None, [rtb("v1", LOCAL, route("10.0.1.0/24", "NetworkInterfaceId", "eni-gone"), gateway="igw-1")])
    yield Case("rt-21-middlebox-gone", "RT-21 RT-28", gone).put(UP, tcp(X, QA, 40000, 80), drop("blackhole"))

    pool = network(None, [rtb("v1", LOCAL, route("203.0.113.128/25", "NetworkInterfaceId", "m"), gateway="igw-1", pool="ipv4pool-1")])
    c = Case("rt-23-public-pool", "RT-23: delivered without translation", pool)
    c.put(UP, udp(X, "203.0.113.200", 4000, 99), deliver("m", src=X, dst="203.0.113.200"))
    c.put("m", udp("203.0.113.200", X, 99, 4000), uplink(src="203.0.113.200"))
    c.put(UP, udp(X, "203.0.113.99", 4000, 99), drop("igw-no-owner")).put(UP, udp(X, QA, 4000, 99), deliver("a", dst=A))
    yield c.put("m", udp("203.0.113.99", X, 99, 4000), drop("igw-no-public-address"))


# ---- egress-only internet gateway

EIGW = {"EgressOnlyInternetGateways": [{"EgressOnlyInternetGatewayId": "eigw-1", "Attachments": [{"VpcId": "v1", "State": "attached"}]}]}


def by_eigw(groups=None, **kw):
    return network(groups, [rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")],
                   uplinks=["eigw-1"], **EIGW, **kw)


def egress_only():
    c = Case("tv46-egress-only", "TV-46 EIGW-01 EIGW-02 CT-06", by_eigw({"a": (OPEN, OPEN)}))
    c.put("a", tcp(A6, X6, 40000, 443), out("eigw-1", src=A6, dst=X6, ttl=64), 0)
    from_outside(c, "eigw-1", tcp(X6, A6, 443, 40000, "SA", 5000, 1001), deliver("a", src=X6), at=0)
    c.put("a", tcp(A6, X6, 40000, 443, "A", 1001, 5001), out("eigw-1"), 0)
    from_outside(c, "eigw-1", tcp(X6, A6, 4000, 80), drop("eigw-unsolicited"), at=1)
    from_outside(c, "eigw-1", udp(X6, A6, 443, 40000), drop("eigw-unsolicited"), at=1)
    quoted = F.packet(A6, X6, F.TCP, F.tcp(40000, 443, "A", 1001, 5001))
    from_outside(c, "eigw-1", F.packet(X6, A6, F.ICMP6, F.icmp(1, 4, b"\0\0\0\0", quoted)), deliver("a", isrc=A6), at=1)
    quoted = F.packet(A6, X6, F.TCP, F.tcp(40001, 443, "A", 1001, 5001))
    from_outside(c, "eigw-1", F.packet(X6, A6, F.ICMP6, F.icmp(1, 4, b"\0\0\0\0", quoted)), drop("eigw-unsolicited"), at=1)
    from_outside(c, "eigw-1", tcp(X6, A6, 443, 40000, "A", 5001, 1001), deliver("a"), at=340)
    from_outside(c, "eigw-1", tcp(X6, A6, 443, 40000, "A", 5001, 1001), drop("eigw-unsolicited"), at=692)
    yield c
    fd = by_eigw(enis={"a": {"Ipv6Addresses": [{"Ipv6Address": "fd00:1::10"}]}})
    yield Case("v6-01-unique-local-source", "V6-01", fd).put("a", udp("fd00:1::10", X6, 4000, 99), drop("igw-no-public-address"))
    mode = {"VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": "block-bidirectional", "State": "update-complete"}}
    c = Case("vpc-18-egress-only-gateway", "VPC-18: bidirectional stops it, ingress does not", by_eigw(**mode))
    c.put("a", tcp(A6, X6, 40000, 443), drop("bpa"))
    mode = {"VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": "block-ingress", "State": "update-complete"}}
    yield c.edit(by_eigw(**mode)).put("a", tcp(A6, X6, 40000, 443), out("eigw-1"))
    shared = network(None, [rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")], **EIGW)
    c = Case("eigw-by-the-uplink-of-the-internet-gateway", "EIGW-01", shared)
    c.put("a", tcp(A6, X6, 40000, 443), uplink(src=A6))
    yield c.put(UP, tcp(X6, A6, 443, 40000, "SA", 5000, 1001), deliver("a"))
    c = Case("eigw-shared-uplink-lets-nobody-in", "EIGW-01 TV-46 VPC-18: by the internet gateway's uplink, too, only what was asked for "
             "comes in, and only that is no ingress of the public", shared)
    c.put(UP, tcp(X6, A6, 4000, 80), drop("eigw-unsolicited")).put(UP, udp(X6, A6, 4000, 99), drop("eigw-unsolicited"))
    c.put(UP, ping(X6, A6, 128), drop("eigw-unsolicited")).put(UP, udp(X6, B6, 4000, 99), deliver("b", src=X6))
    c.put("a", udp(A6, X6, 5000, 53), uplink(src=A6)).put(UP, udp(X6, A6, 53, 5000), deliver("a", src=X6))
    c.put(UP, udp(X6, A6, 53, 5001), drop("eigw-unsolicited"))
    c.edit(network(None, [rtb("v1", LOCAL, IGW6), rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")],
                   **mode, **EIGW))
    c.put("a", udp(A6, X6, 5000, 53), uplink(src=A6)).put(UP, udp(X6, A6, 53, 5000), deliver("a")).put(UP, udp(X6, B6, 4000, 99), drop("bpa"))
    # where the way out to the sender is the internet gateway, the group alone decides (IGW-10)
    both = network(None, [rtb("v1", LOCAL, IGW6), rtb("v1", LOCAL, IGW6, route("2001:db8:ffff:1::/64", "EgressOnlyInternetGatewayId",
                                                                              "eigw-1"), sub="S1")], **EIGW)
    c.edit(both).put(UP, udp(X6, A6, 4000, 99), deliver("a", src=X6))
    yield c.put(UP, udp("2001:db8:ffff:1::7", A6, 4000, 99), drop("eigw-unsolicited"))


# ---- virtual private gateway

def vpn(name, prefixes, static=True, **more):
    return {"VpnConnectionId": name, "CustomerGatewayId": "cgw-1", "VpnGatewayId": "vgw-1", "State": "available",
            "Options": {"StaticRoutesOnly": static}, "Routes": [{"DestinationCidrBlock": p, "State": "available"} for p in prefixes],
            **more}


def on_premises(routes=(), connections=(), propagating=True, links=("vgw-1",), tables=(), **kw):
    main = rtb("v1", LOCAL, IGW4, *routes)
    if propagating:
        main["PropagatingVgws"] = [{"GatewayId": "vgw-1"}]
    return network(None, [main, *tables], uplinks=links, VpnConnections=list(connections),
                   CustomerGateways=[{"CustomerGatewayId": "cgw-1", "State": "available", "IpAddress": "192.0.2.77", "BgpAsn": "65000"}],
                   VpnGateways=[{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "v1", "State": "attached"}]}],
                   **kw)


def private_gateways():
    one = [vpn("vpn-1", ["172.20.0.0/16"])]
    c = Case("tv16-propagated-never-beats-the-local-route", "TV-16 RT-04", on_premises([TWO], one))
    c.put("a", udp(A, B, 4000, 99), deliver("b")).put("a", udp(A, R, 4000, 99), out("vgw-1", src=A, dst=R, ttl=63))
    yield c
    c = Case("path12-on-premises", "PATH-12 VGW-02 VGW-07", on_premises((), one))
    from_outside(c, "vgw-1", tcp(R, A, 4000, 80), deliver("a", src=R, dst=A, ttl=63))
    c.put("a", tcp(A, R, 80, 4000, "SA", 5000, 1001), out("vgw-1", src=A, dst=R))
    from_outside(c, "vgw-1", udp(R, X, 4000, 99), drop("vgw"))          # no edge-to-edge
    from_outside(c, "vgw-1", udp(R, C, 4000, 99), drop("vgw"))
    from_outside(c, "vgw-1", udp(B, A, 4000, 99), drop("martian"))      # an inside address from outside
    from_outside(c, "vgw-1", udp(X6, A6, 4000, 99), drop("vgw"))
    from_outside(c, "vgw-1", udp(R, "10.0.9.9", 4000, 99), drop("no-owner"))
    c.edit(on_premises((), one, nacls=[acl("v1", "S1", *allow_all()[2:])]))
    yield from_outside(c, "vgw-1", tcp(R, A, 4001, 80), drop("nacl-ingress"))

    yonder = [route("172.21.0.0/16", "GatewayId", "vgw-1"), route("::/0", "GatewayId", "vgw-1")]
    c = Case("vgw-01-only-known-prefixes", "VGW-01 VGW-04", on_premises(yonder, one))
    c.put("a", udp(A, "172.21.0.7", 4000, 99), drop("vgw")).put("a", udp(A6, X6, 4000, 99), drop("vgw"))
    c.edit(on_premises(yonder, [vpn("vpn-1", [], static=False)])).put("a", udp(A, "172.21.0.7", 4000, 99), out("vgw-1"))
    c.edit(on_premises(yonder)).put("a", udp(A, "172.21.0.7", 4000, 99), out("vgw-1"))
    yield from_outside(c, "vgw-1", udp(R, X, 4000, 99), drop("vgw"))         # found: it turned round in the gateway
    c = Case("vgw-02-propagation-is-asked-for", "VGW-02", on_premises((), one, propagating=False))
    yield c.put("a", udp(A, R, 4000, 99), uplink())

    two = [vpn("vpn-1", ["172.20.0.0/16"]), vpn("vpn-2", ["172.20.5.0/24", "172.22.0.0/16"])]
    c = Case("vgw-03-the-more-specific-connection", "VGW-03 VGW-06: two sites reach each other", on_premises((), two, links=("vpn-1", "vpn-2")))
    c.put("a", udp(A, R, 4000, 99), out("vpn-1")).put("a", udp(A, "172.20.5.7", 4000, 99), out("vpn-2"))
    from_outside(c, "vpn-2", udp("172.22.0.7", R, 4000, 99), out("vpn-1", src="172.22.0.7", ttl=63))
    yield from_outside(c, "vpn-1", udp(R, A, 99, 4000), deliver("a"))
    c = Case("vgw-without-an-uplink", "VGW-08: no device, no tunnel", on_premises((), one, links=()))
    yield c.put("a", udp(A, R, 4000, 99), drop("not-served"))

    edge = on_premises((), one, tables=[rtb("v1", LOCAL, route("10.0.1.0/24", "NetworkInterfaceId", "m"), gateway="vgw-1")])
    c = Case("vgw-07-ingress-routing", "VGW-07 RT-18", edge)
    yield from_outside(c, "vgw-1", udp(R, A, 4000, 99), deliver("m", src=R, dst=A))


# ---- endpoints

def endpoint(**kw):
    return {"VpcEndpointId": "vpce-1", "VpcEndpointType": "Gateway", "VpcId": "v1", "ServiceName": "com.amazonaws.eu-west-1.s3",
            "State": "available", "RouteTableIds": ["rtb-v1-main"], **kw}


def served(groups=None, tables=None, **kw):
    lists = {"PrefixLists": [{"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3", "Cidrs": ["192.0.2.0/25"]}],
             "VpcEndpoints": [endpoint()]}
    lists.update(kw)
    return network(groups, tables or [rtb("v1", LOCAL, route("pl-s3", "GatewayId", "vpce-1"))], uplinks=["vpce-1"], **lists)


def endpoints():
    c = Case("path10-gateway-endpoint", "PATH-10 EP-01 EP-02 EP-04", served({"a": ([], [perm("tcp", 443, "pl-s3")])}))
    c.put("a", tcp(A, S3, 40000, 443), out("vpce-1", src=A, dst=S3))
    from_outside(c, "vpce-1", tcp(S3, A, 443, 40000, "SA", 5000, 1001), deliver("a", src=S3))
    c.put("a", tcp(A, X, 40000, 443), drop("sg-egress")).put("b", tcp(B, X, 40000, 443), drop("no-route"))
    from_outside(c, "vpce-1", tcp(X, A, 443, 40000, "SA", 5000, 1001), drop("endpoint-scope"))
    from_outside(c, "vpce-1", tcp(S3, A, 443, 40001, "SA", 5000, 1001), drop("sg-ingress"))
    c.edit(served({"a": ([], [perm("tcp", 443, "pl-s3")])}, nacls=[nacl("S1", *allow_all()[2:])]))
    yield from_outside(c, "vpce-1", tcp(S3, A, 443, 40000, "A", 5001, 1001), drop("nacl-ingress"))
    c = Case("ep-01-longest-prefix", "EP-01 EP-11", served(tables=[rtb("v1", LOCAL, IGW4, route("pl-s3", "GatewayId", "vpce-1"))]))
    c.put("a", tcp(A, S3, 40000, 443), out("vpce-1", src=A)).put("a", tcp(A, "192.0.2.200", 40000, 443), uplink(src=QA))
    c.edit(served(VpcEndpoints=[endpoint(State="deleted")]))
    yield c.put("a", tcp(A, S3, 40000, 443), drop("blackhole"))
    far = transit(tables=[rtb("v1", LOCAL, route("pl-s3", "GatewayId", "vpce-1")), rtb("v2", route("10.2.0.0/16", "GatewayId", "local"), by_tgw("0.0.0.0/0"))],
                  routes=({"DestinationCidrBlock": "0.0.0.0/0", "Type": "static", "State": "active",
                           "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": "att-1"}]},), links=["vpce-1"],
                  lists={k: v for k, v in served().items() if k in ("PrefixLists", "VpcEndpoints")})
    c = Case("ep-03-not-from-another-vpc", "EP-03", far)
    yield c.put("a", tcp(A, S3, 40000, 443), out("vpce-1")).put("c", tcp(C, S3, 40000, 443), drop("endpoint-scope"))

    inside = network({"a": (OPEN, OPEN)}, enis={"b": {"InterfaceType": "vpc_endpoint"}})
    c = Case("path11-interface-endpoint", "PATH-11 EP-05 EP-06 CT-06: only clients open, and all is tracked", inside)
    c.put("a", tcp(A, B, 40000, 443), deliver("b")).put("b", tcp(B, A, 443, 40000, "SA", 5000, 1001), deliver("a"))
    c.put("b", tcp(B, A, 40000, 443), drop("endpoint-scope")).put("b", udp(B, X, 4000, 99), drop("endpoint-scope"))
    c.edit(network({"a": (OPEN, OPEN), "b": ([], [])}, enis={"b": {"InterfaceType": "vpc_endpoint"}}))
    c.put("a", tcp(A, B, 40000, 443, "A", 1001, 5001), deliver("b")).put("a", tcp(A, B, 40001, 443), drop("sg-ingress"))
    yield c


# ---- a NAT gateway before a peering

def beyond_nat(back=()):
    s = blocked("off")
    s["RouteTables"][0]["Routes"] += [by_pcx("10.2.0.0/16")]
    s["RouteTables"] = [t for t in s["RouteTables"] if t["RouteTableId"] != "rtb-v2-main"] + [rtb("v2", LOCAL2, *back)]
    return dict(s, VpcPeeringConnections=[pcx()])


def nat_and_peering():
    n = "10.0.0.220"
    c = Case("nat-18-return-to-sender", "NAT-15 NAT-17 NAT-18", beyond_nat())
    c.put("b", tcp(B, C, 40000, 80), deliver("c", src=n, dst=C, sport=40000, ttl=63))
    c.put("c", tcp(C, n, 80, 40000, "SA", 5000, 1001), deliver("b", src=C, dst=B, ttl=63))
    c.put("b", tcp(B, C, 40000, 80, "A", 1001, 5001), deliver("c", src=n)).put("c", tcp(C, n, 80, 40000, "A", 5001, 1001), deliver("b"))
    c.put("c", tcp(C, n, 80, 40001, "SA", 5000, 1001), drop("no-route"))   # nobody's answer
    c.put("c", tcp(C, A, 4000, 80), drop("no-route"))
    c.edit(beyond_nat([by_pcx("10.0.0.0/16")])).put("c", tcp(C, n, 80, 40000, "A", 5001, 1001), deliver("b"))
    yield c.put("c", tcp(C, n, 4000, 80), drop("nat-no-mapping"))


# ---- block public access

def blocked(mode, exclusions=()):
    n = {"NetworkInterfaceId": "n", "VpcId": "v1", "SubnetId": "S0", "MacAddress": "02:00:00:00:00:0e", "Status": "in-use",
         "InterfaceType": "nat_gateway", "SourceDestCheck": False, "Groups": [], "PrivateIpAddress": "10.0.0.220",
         "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.0.220", "Association": {"PublicIp": "203.0.113.9"}}]}
    nat = {"NatGatewayId": "nat-1", "VpcId": "v1", "SubnetId": "S0", "State": "available",
           "NatGatewayAddresses": [{"NetworkInterfaceId": "n", "PrivateIp": "10.0.0.220", "PublicIp": "203.0.113.9", "IsPrimary": True}]}
    return network(None, [rtb("v1", LOCAL, route("0.0.0.0/0", "NatGatewayId", "nat-1"), sub="S2")], ports=[n], subnets=[subnet("S0", "v1", "10.0.0.0/24")],
                   NatGateways=[nat], VpcBlockPublicAccessOptions={"InternetGatewayBlockMode": mode, "State": "update-complete"},
                   VpcBlockPublicAccessExclusions=[{"ExclusionId": "x-%s" % r, "ResourceArn": "arn:aws:ec2:eu-west-1:1:%s/%s" % (k, r),
                                                    "InternetGatewayExclusionMode": m, "State": "create-complete"} for k, r, m in exclusions])


def public_access():
    c = Case("tv45-block-ingress", "TV-45 VPC-18", blocked("block-ingress"))
    c.put(UP, tcp(X, QA, 4000, 80), drop("bpa")).put("a", tcp(A, X, 4000, 80), drop("bpa"))
    c.put("b", tcp(B, X, 40000, 80), uplink(src="203.0.113.9", sport=40000, ttl=63))
    yield c.put(UP, tcp(X, "203.0.113.9", 80, 40000, "SA", 5000, 1001), deliver("b", dst=B))
    c = Case("vpc-18-bidirectional", "VPC-18: NAT gateways, too, and exclusions by subnet and VPC", blocked("block-bidirectional"))
    c.put("b", tcp(B, X, 40000, 80), drop("bpa")).put("a", udp(A, B, 4000, 99), deliver("b"))
    c.edit(blocked("block-bidirectional", [("subnet", "S0", "allow-egress")]))
    c.put("b", tcp(B, X, 40000, 80), uplink(src="203.0.113.9")).put("a", tcp(A, X, 4000, 80), drop("bpa"))
    c.edit(blocked("block-bidirectional", [("subnet", "S1", "allow-bidirectional")]))
    c.put("a", tcp(A, X, 4000, 80), uplink(src=QA)).put(UP, tcp(X, QA, 4000, 80), deliver("a"))
    c.put("a", tcp(A, author.QB, 4000, 80), drop("bpa"))                 # turns round at the gateway to one that is not excluded
    c.edit(blocked("block-bidirectional", [("vpc", "v1", "allow-bidirectional")]))
    yield c.put("a", tcp(A, author.QB, 4000, 80), deliver("b", src=QA))


def edges():
    for part in (ingress, egress_only, private_gateways, endpoints, nat_and_peering, public_access):
        yield from part()
