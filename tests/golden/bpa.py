# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Block public access where it is not the internet gateway that is asked first: NAT gateways, egress-only gateways, packets that
turn round (VPC-18, IGW-12). Live flows end with the edit, both ways, and go on when it is taken back."""
from author import A, A6, B, Case, IGW4, IGW6, LOCAL, M, QA, QB, UP, X, X6, deliver, drop, edited, route, tcp, udp, uplink
from edges import EIGW, by_eigw, from_outside
from gateways import C, network, out, peered, rtb
from nat import BASE, QN, answer, data, opened
from nat64 import X64
from nat_places import FAR, Q1, Q2, regional, there_and_back

BPA = drop("bpa")


def mode(s, which, *excluded):
    """The state with that mode, but for the subnets and VPCs, each with what it is still allowed."""
    def change(into):
        into["VpcBlockPublicAccessOptions"] = {"InternetGatewayBlockMode": which, "State": "update-complete"}
        into["VpcBlockPublicAccessExclusions"] = [
            {"ExclusionId": "x-" + name, "ResourceArn": "arn:aws:ec2:eu-west-1:1:%s/%s" % ("vpc" if name[0] == "v" else "subnet", name),
             "InternetGatewayExclusionMode": allowed, "State": "create-complete"} for name, allowed in excluded]
    return edited(s, change)


def nat_gateways():
    both, ingress = mode(BASE, "block-bidirectional"), mode(BASE, "block-ingress")
    c = opened(Case("vpc-18-live-flow-of-a-nat-gateway", "VPC-18 NAT-08: ends both ways, and goes on under block-ingress", BASE))
    c.edit(both, 1).put("a", data(), BPA).put(UP, answer(), BPA).put("a", data(), BPA).put(UP, answer(), BPA)
    c.edit(ingress, 2).put("a", data(), uplink(src=QN, sport=40001)).put(UP, answer(), deliver("a"))
    yield c.put(UP, tcp(X, QA, 4000, 80), BPA)
    c = Case("vpc-18-nat-gateway-of-an-excluded-subnet", "VPC-18: the gateway's subnet counts, not the client's",
             mode(BASE, "block-bidirectional", ("S1", "allow-bidirectional")))
    c.put("a", tcp(A, X, 40001, 443), BPA).edit(mode(BASE, "block-bidirectional", ("S0", "allow-egress")), 1)
    yield opened(c, at=1).put(UP, tcp(X, QA, 4000, 80), BPA)
    c = Case("vpc-18-nat-gateway-that-turns-round", "VPC-18 IGW-11: out of the gateway is allowed, into B is not, unless B's subnet is excluded",
             ingress)
    c.put("a", udp(A, QB, 4000, 53), BPA).edit(mode(BASE, "block-ingress", ("S2", "allow-egress")), 1)
    c.put("a", udp(A, QB, 4000, 53), BPA).edit(mode(BASE, "block-ingress", ("S2", "allow-bidirectional")), 2)
    c.put("a", udp(A, QB, 4000, 53), deliver("b", src=QN, dst=B)).edit(mode(BASE, "block-bidirectional", ("S2", "allow-bidirectional")), 3)
    yield c.put("a", udp(A, QB, 4000, 53), BPA)


def regional_nat_gateways():
    base = regional(("eu-west-1a", Q1), (FAR, Q2))
    ask, got = tcp(A, X, 40001, 443, "A", 1001, 5001), tcp(X, Q1, 443, 40001, "A", 5001, 1001)
    c = there_and_back(Case("nat-23-block-bidirectional", "NAT-23 VPC-18: nobody leaves by it, live flows end both ways", base), "a", A, Q1)
    c.edit(mode(base, "block-bidirectional"), 1)
    for _ in range(2):
        c.put("a", ask, BPA).put(UP, got, BPA)
    c.put("b", tcp(B, X, 40002, 443), BPA).put("b", udp(B, X, 5000, 53), BPA).put("a", tcp(A6, X64, 40003, 443), BPA)
    c.put("a", udp(A, QB, 4000, 53), BPA).edit(base, 2)
    yield there_and_back(c.put("a", ask, uplink(src=Q1)).put(UP, got, deliver("a", src=X, dst=A)), "b", B, Q2, 40002)
    c = Case("nat-23-block-ingress", "NAT-23 VPC-18: out of it is allowed, and the answers; into ENIs is not", mode(base, "block-ingress"))
    there_and_back(there_and_back(there_and_back(c, "a", A, Q1), "b", B, Q2), "a", A6, Q1, 40002)
    yield c.put(UP, tcp(X, QA, 4000, 80), BPA).put("a", udp(A, QB, 4000, 53), BPA).put(UP, tcp(X, Q1, 4000, 80), drop("nat-no-mapping"))
    c = Case("nat-23-block-and-exclusions", "NAT-23 VPC-18: it stands in no subnet, so only an exclusion of its VPC helps it",
             mode(base, "block-bidirectional", ("S1", "allow-bidirectional"), ("S2", "allow-egress")))
    c.put("a", tcp(A, X, 40001, 443), BPA).edit(mode(base, "block-bidirectional", ("v1", "allow-egress")), 1)
    there_and_back(c, "a", A, Q1).put(UP, tcp(X, QA, 4000, 80), BPA).edit(mode(base, "block-bidirectional", ("v2", "allow-egress")), 2)
    c.put("a", ask, BPA).put(UP, got, BPA).edit(mode(base, "block-bidirectional", ("v1", "allow-bidirectional")), 3)
    yield c.put("a", ask, uplink(src=Q1)).put(UP, got, deliver("a")).put(UP, tcp(X, QB, 4000, 80), deliver("b", dst=B))


def egress_only():
    s = by_eigw()
    ask, got = udp(A6, X6, 5000, 53), udp(X6, A6, 53, 5000)
    c = Case("vpc-18-live-flow-of-an-egress-only-gateway", "VPC-18 EIGW-01: ends both ways, and goes on under block-ingress", s)
    c.put("a", ask, out("eigw-1"))
    from_outside(c, "eigw-1", got, deliver("a"))
    c.edit(mode(s, "block-bidirectional"), 1)
    for _ in range(2):
        c.put("a", ask, BPA)
        from_outside(c, "eigw-1", got, BPA)
    c.edit(mode(s, "block-ingress"), 2)
    from_outside(c, "eigw-1", got, deliver("a"))
    yield c.put("a", ask, out("eigw-1"))
    c = Case("vpc-18-egress-only-gateway-and-exclusions", "VPC-18: by the sender's subnet", mode(s, "block-bidirectional", ("S1", "allow-egress")))
    c.put("a", ask, out("eigw-1"))
    from_outside(c, "eigw-1", got, deliver("a"))
    from_outside(c, "eigw-1", udp(X6, A6, 53, 5001), drop("eigw-unsolicited"))
    c.edit(mode(s, "block-bidirectional", ("S2", "allow-egress")), 1)
    from_outside(c, "eigw-1", got, BPA)
    yield c.put("a", ask, BPA)
    shared = network(None, [rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")], **EIGW)
    c = Case("vpc-18-egress-only-gateway-by-a-shared-uplink", "VPC-18 EIGW-01: as by an uplink of its own", shared)
    c.put("a", ask, uplink()).put(UP, got, deliver("a")).edit(mode(shared, "block-bidirectional"), 1)
    c.put(UP, got, BPA).put("a", ask, BPA).put(UP, got, BPA).edit(mode(shared, "block-ingress"), 2)
    yield c.put(UP, got, deliver("a")).put("a", ask, uplink())


def inside():
    c = Case("vpc-18-hairpin", "VPC-18 IGW-11: packets that turn round are in and out", mode(BASE_IGW, "block-ingress", ("S1", "allow-bidirectional")))
    c.put("a", udp(A, QB, 4000, 53), BPA).put("b", udp(B, QA, 4000, 53), BPA)
    c.edit(mode(BASE_IGW, "block-ingress", ("S1", "allow-bidirectional"), ("S2", "allow-bidirectional")), 1)
    c.put("a", udp(A, QB, 4000, 53), deliver("b", src=QA, dst=B)).put("b", udp(B, QA, 53, 4000), deliver("a", src=QB, dst=A))
    c.edit(mode(BASE_IGW, "block-bidirectional"), 2)
    yield c.put("a", udp(A, QB, 4000, 53), BPA).put("b", udp(B, QA, 53, 4000), BPA).put("a", udp(A, B, 4000, 53), deliver("b"))
    yield Case("vpc-18-private-ways", "VPC-18: a peering is none of its business", mode(peered(), "block-bidirectional")).put(
        "a", udp(A, C, 4000, 53), deliver("c")).put("c", udp(C, A, 53, 4000), deliver("a"))


def by_a_middlebox():
    """M in S3 stands in A's way, S1. Both ways it is A's address that is outside, so A's subnet counts."""
    s = network(None, [rtb("v1", LOCAL, IGW4, IGW6), rtb("v1", LOCAL, route("10.0.1.0/24", "NetworkInterfaceId", "m"),
                                                         route("2001:db8:1:1::/64", "NetworkInterfaceId", "m"), gateway="igw-1")])
    whose = {which: mode(s, mine, (which, "allow-bidirectional")) for which, mine in (("S1", "block-bidirectional"), ("S3", "block-bidirectional"))}
    new, answer = (tcp(A, X, 40001, 443), tcp(X, QA, 443, 40001, "SA", 5000, 1001)), (tcp(A6, X6, 40001, 443), tcp(X6, A6, 443, 40001, "SA", 5000, 1001))
    c = Case("vpc-18-middlebox-before-an-excluded-subnet", "VPC-18: the subnet of who has the address counts, not the middlebox's", whose["S1"])
    c.put("m", new[0], uplink(src=QA)).put(UP, new[1], deliver("m", dst=A)).put("m", answer[0], uplink(src=A6)).put(UP, answer[1], deliver("m"))
    yield c.put("m", tcp(M, X, 40002, 443), drop("igw-no-public-address", "bpa"))
    c = Case("vpc-18-middlebox-of-an-excluded-subnet", "VPC-18: it opens no way for others, neither in nor out", whose["S3"])
    yield c.put("m", new[0], BPA).put(UP, new[1], BPA).put("m", answer[0], BPA).put(UP, answer[1], BPA)
    c = Case("vpc-18-middlebox-and-an-edit", "VPC-18: live flows by a middlebox end both ways, with the exclusion of who has the address", whose["S1"])
    c.put("m", new[0], uplink(src=QA)).put(UP, new[1], deliver("m", dst=A)).edit(whose["S3"], 1).put("m", new[0], BPA).put(UP, new[1], BPA)
    yield c.edit(whose["S1"], 2).put(UP, new[1], deliver("m")).put("m", new[0], uplink(src=QA))
    six = network(None, [rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"))], **EIGW)
    ask, got = udp(A6, X6, 5000, 53), udp(X6, A6, 53, 5000)
    c = Case("vpc-18-middlebox-and-an-egress-only-gateway", "VPC-18 EIGW-01: there, too", mode(six, "block-bidirectional", ("S1", "allow-egress")))
    c.put("m", ask, uplink()).put(UP, got, deliver("a")).edit(mode(six, "block-bidirectional", ("S3", "allow-egress")), 1)
    yield c.put("m", ask, BPA).put(UP, got, BPA)


def clients():
    """NAT gateway in S0, its client A in S1: the gateway's subnet counts, both ways."""
    for name, where, inside in (("gateway", "S0", True), ("client", "S1", False)):
        for allowed in ("allow-bidirectional", "allow-egress"):
            c = Case("vpc-18-excluded-%s-%s" % (name, allowed), "VPC-18: the subnet of the NAT gateway counts, not the client's",
                     mode(BASE, "block-bidirectional", (where, allowed)))
            if inside:
                opened(c).put(UP, answer(), deliver("a")).put("a", data(), uplink(src=QN, sport=40001))
            else:
                c.put("a", tcp(A, X, 40001, 443), BPA).put(UP, answer(), BPA)
            yield c.put(UP, tcp(X, QN, 4000, 80), drop("nat-no-mapping") if inside else BPA)


BASE_IGW = network(None, [rtb("v1", LOCAL, IGW4, IGW6)])


def bpa():
    for part in (nat_gateways, regional_nat_gateways, egress_only, inside, by_a_middlebox, clients):
        yield from part()
