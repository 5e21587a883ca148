# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where NAT gateways stand and whom they serve: regional ones (NAT-23), clients of other VPCs (NAT-27)."""
from author import A, A6, B, IGW4, IGW6, LOCAL, X, Case, UP, allow_all, deliver, drop, edited, entry, nacl, ping, route, state, subnet, table, tcp, udp, uplink
from gateways import C, C6, LOCAL2, TGW_ROUTES, U, by_tgw, network, rtb, tgw_route, transit
from nat import GONE, N, QN, R, TO_NAT, gateway, nat_eni, quote
from nat64 import BY_NAT, X64

Q1, Q2, Q3 = "203.0.113.31", "203.0.113.32", "203.0.113.33"
FAR = "eu-west-1b"


def regional(*addresses, table_id="rtb-nat", routes=(IGW4,), **more):
    """No subnet, no ENI: addresses by zone, and a route table of its own. S2 is in another zone than S1."""
    tables = [table(None, IGW4, IGW6)] + [table(s, TO_NAT, BY_NAT) for s in ("S1", "S2")]
    own = table(None, *routes)
    own.update(RouteTableId="rtb-nat", Associations=[])
    s = state(None, more.pop("nacls", ()), tables + [own], NatGateways=[{
        "NatGatewayId": "nat-1", "VpcId": "v1", "State": "available", "ConnectivityType": "public", "AvailabilityMode": "regional",
        "RouteTableId": table_id, "NatGatewayAddresses": [{"PublicIp": q, "AvailabilityZone": z, "Status": "succeeded"}
                                                         for z, q in addresses], **more}])
    next(o for o in s["Subnets"] if o["SubnetId"] == "S2")["AvailabilityZone"] = FAR
    return s


def there_and_back(c, port, src, public, sport=40001):
    dst = X64 if ":" in src else X
    c.put(port, tcp(src, dst, sport, 443, "S", 1000), uplink(src=public, dst=X, sport=sport, ttl=63))
    return c.put(UP, tcp(X, public, 443, sport, "SA", 5000, 1001), deliver(port, src=dst, dst=src, dport=sport, ttl=63))


def regions():
    base = regional(("eu-west-1a", Q1), (FAR, Q2))
    c = Case("nat-23-regional-by-zone", "NAT-23: each zone's clients leave by their zone's address; NAT64, too", base)
    there_and_back(there_and_back(c, "a", A, Q1), "b", B, Q2)
    there_and_back(c, "a", A6, Q1, 40002)
    yield c.put("a", tcp(A, Q1, 40001, 80), drop("nat-hairpin")).put(UP, tcp(X, Q2, 443, 40001, "A", 5001, 1001), deliver("b"))
    c = Case("nat-23-a-zone-without-an-address", "NAT-23: served by another zone's address", regional(("eu-west-1a", Q1)))
    yield there_and_back(there_and_back(c, "a", A, Q1), "b", B, Q1, 40005)
    c = Case("nat-23-its-own-route-table", "NAT-23: no subnet's table, and no network ACL of its own",
             regional(("eu-west-1a", Q1), routes=(route("198.51.100.0/24", "GatewayId", "igw-1"),),
                      nacls=[nacl("S3", entry(1, False, "deny", "-1", "0.0.0.0/0"))]))
    there_and_back(c, "a", A, Q1).put("a", udp(A, "192.0.2.1", 5000, 53), drop("no-route"))
    yield c.edit(regional(("eu-west-1a", Q1), State="deleted")).put("a", tcp(A, X, 40001, 443, "A", 1001, 5001), drop("blackhole"))


def others(**more):
    """C's VPC has no way out but the transit gateway; v1 has the NAT gateway, in S0."""
    tables = [rtb("v1", LOCAL, IGW4, by_tgw("10.2.0.0/16")), rtb("v1", LOCAL, TO_NAT, BY_NAT, sub="U1"),
              rtb("v2", LOCAL2, by_tgw("0.0.0.0/0"), by_tgw("::/0"))]
    tables[0]["Routes"].append(route("2001:db8:2::/56", "TransitGatewayId", "tgw-1"))
    routes = [r for r in TGW_ROUTES] + [tgw_route("0.0.0.0/0", "att-1"), tgw_route("::/0", "att-1"), tgw_route("2001:db8:2::/56", "att-2")]
    s = transit(tables=tables, routes=routes, NatGateways=[gateway()], **more)
    s["Subnets"].append(subnet("S0", 0))
    s["NetworkInterfaces"].append(nat_eni())
    s["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return s


def central():
    c = Case("nat-27-centralised-egress", "NAT-27 NAT-17: C's packets come by a transit gateway; answers go by the table of S0", others())
    c.put("c", tcp(C, X, 40001, 443, "S", 1000), uplink(src=QN, dst=X, sport=40001, ttl=62))
    c.put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), deliver("c", src=X, dst=C, dport=40001, ttl=62))
    c.put("c", tcp(C, X, 40001, 443, "A", 1001, 5001), uplink(src=QN, ttl=62)).put("c", udp(C, X, 5000, 53), uplink(src=QN))
    c.put("c", tcp(C6, X64, 40002, 443, "S", 1000), uplink(src=QN, dst=X, sport=40002, ttl=62))
    c.put(UP, tcp(X, QN, 443, 40002, "SA", 5000, 1001), deliver("c", src=X64, dst=C6, dport=40002, ttl=62))
    c.put("c", tcp(C6, X64, 40002, 443, "A", 1001, 5001), uplink(src=QN))
    lost = edited(others(), lambda s: [t["Routes"].pop(2) for t in s["RouteTables"] if t["RouteTableId"] == "rtb-v1-main"])
    yield c.edit(lost).put(UP, tcp(X, QN, 443, 40001, "A", 5001, 1001), drop("igw-no-public-address", "nat-no-mapping", "no-route"))


PN = "10.2.9.220"                             # of the private gateway in C's VPC


def twice(**more):
    """C goes by a private gateway of its own VPC to the transit gateway, and by the public one of v1 to the world."""
    s = others(**more)
    main = next(t for t in s["RouteTables"] if t["RouteTableId"] == "rtb-v2-main")
    main["Routes"][1:] = [route("0.0.0.0/0", "NatGatewayId", "nat-2"), route("64:ff9b::/96", "NatGatewayId", "nat-2")]
    s["RouteTables"].append(rtb("v2", LOCAL2, by_tgw("0.0.0.0/0"), sub="V"))
    s["Subnets"].append({**subnet("V", 9), "VpcId": "v2", "CidrBlock": "10.2.9.0/24", "Ipv6CidrBlockAssociationSet": []})
    inner = gateway(((PN, None),), ConnectivityType="private")
    inner.update(NatGatewayId="nat-2", VpcId="v2", SubnetId="V")
    inner["NatGatewayAddresses"][0]["NetworkInterfaceId"] = "eni-nat2"
    s["NatGateways"].append(inner)
    s["NetworkInterfaces"].append({**nat_eni(((PN, None),)), "NetworkInterfaceId": "eni-nat2", "VpcId": "v2", "SubnetId": "V",
                                   "MacAddress": "02:00:00:00:00:17"})
    s["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat2"})
    return s


def chained():
    c = Case("nat-a-second-one-on-the-way", "NAT-14 NAT-16 NAT-27: each translates, each is a hop, one reset when it is over", twice())
    c.put("c", tcp(C, X, 40001, 443, "S", 1000), uplink(src=QN, dst=X, sport=40001, ttl=61))
    c.put(UP, tcp(X, QN, 443, 40001, "SA", 5000, 1001), deliver("c", src=X, dst=C, dport=40001, ttl=61))
    for _ in range(2):
        c.put("c", tcp(C, X, 40001, 443, "A", 1001, 5001), uplink(src=QN, sport=40001, ttl=61))
        c.put(UP, tcp(X, QN, 443, 40001, "A", 5001, 1001), deliver("c", dst=C, dport=40001, ttl=61))
    c.put("c", ping(C, X, ident=9), uplink(src=QN, ident=9)).put(UP, ping(X, QN, 0, 9), deliver("c", src=X, dst=C, ident=9))
    c.put("c", udp(C, X, 5000, 53), uplink(src=QN)).put(UP, udp(X, QN, 53, 5000), deliver("c", dst=C, dport=5000))
    c.put(UP, quote(R, QN, udp(QN, X, 5000, 53), 3, 3), deliver("c", src=R, dst=C, isrc=C, idst=X, isport=5000, idport=53))
    c.put("c", quote(C, X, udp(X, C, 53, 5000), 3, 3), uplink(src=QN, dst=X, isrc=X, idst=QN, idport=5000))
    c.put("c", udp(C, X, 5000, 33434, ttl=1), {"action": "reply", "to": "c", "src": PN, "type": 11})
    c.put("c", udp(C, X, 5000, 33434, ttl=3), {"action": "reply", "to": "c", "src": N, "type": 11})
    c.put("c", tcp(C6, X64, 40002, 443, "S", 1000), uplink(src=QN, dst=X, sport=40002, ttl=61))
    c.put(UP, tcp(X, QN, 443, 40002, "SA", 5000, 1001), deliver("c", src=X64, dst=C6, dport=40002, ttl=61))
    c.put("c", tcp(C6, X64, 40002, 443, "A", 1001, 5001), uplink(src=QN, ttl=61))
    c.put(UP, tcp(X, QN, 443, 40003, "A", 5001, 1001), GONE)
    c.put("c", tcp(C, X, 40001, 443, "A", 1001, 5001), {"action": "reply", "to": "c", "src": X, "flags": 4}, 400)
    c.put("c", udp(C, X, 5000, 53), uplink(src=QN, sport=5000)).put(UP, udp(X, QN, 53, 5000), deliver("c", dst=C, dport=5000))
    yield c
    c = Case("nat-a-second-one-comes-and-goes", "NAT-08: what one gateway promised holds for its own way only", twice())
    c.put("c", udp(C, X, 5000, 53), uplink(src=QN, ttl=61)).edit(others(), 5)
    c.put("c", udp(C, X, 5000, 53), uplink(src=QN, sport=5000, ttl=62)).put(UP, udp(X, QN, 53, 5000), deliver("c", dst=C, ttl=62))
    c.edit(twice(), 6).put("c", udp(C, X, 5000, 53), uplink(src=QN, ttl=61)).put(UP, udp(X, QN, 53, 5000), deliver("c", dst=C, ttl=61))
    yield c


def nat_places():
    for part in (regions, central, chained):
        yield from part()
