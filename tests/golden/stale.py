# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What was decided for a way through gateways ends with an edit of any station on it, not only of its two ends."""
from author import (A, A2, A6, B, Case, IGW4, IGW6, LOCAL, OPEN, QA, QB, UP, X, X6, deliver, drop, eni, perm, route, table,
                    tcp, udp, uplink)
from edges import EIGW, beyond_nat
from gateways import C, network, pcx, rtb
from nat import GONE, N, QN, data, natted, opened

QN2 = "203.0.113.99"


def dead_peering():
    c = Case("found-answers-over-a-dead-peering", "NAT-18 PCX-01 B12: answers need no route, but they need the peering",
             beyond_nat())
    c.put("b", tcp(B, C, 40000, 80), deliver("c", src=N)).put("c", tcp(C, N, 80, 40000, "SA", 5000, 1001), deliver("b"))
    c.put("c", tcp(C, N, 80, 40000, "A", 5001, 1001), deliver("b"))
    answer = tcp(C, N, 80, 40000, "PA", 5001, 1001, b"still here")
    c.edit(dict(beyond_nat(), VpcPeeringConnections=[pcx(code="deleted")])).put("c", answer, drop("no-route"), repeat=2)
    c.edit(dict(beyond_nat(), VpcPeeringConnections=[])).put("c", answer, drop("no-route"))
    renamed = dict(beyond_nat(), VpcPeeringConnections=[pcx("pcx-2", ends=("v2", "v3"))])
    yield c.edit(renamed).put("c", answer, drop("no-route"))
    c = Case("nat-18-a-peering-made-anew", "NAT-18: the next packet from inside shows the new way back", beyond_nat())
    c.put("b", tcp(B, C, 40000, 80), deliver("c", src=N)).put("c", tcp(C, N, 80, 40000, "SA", 5000, 1001), deliver("b"))
    c.edit(dict(beyond_nat(), VpcPeeringConnections=[])).put("c", tcp(C, N, 80, 40000, "A", 5001, 1001), drop("no-route"))
    c.edit(beyond_nat()).put("b", tcp(B, C, 40000, 80, "A", 1001, 5001), deliver("c", src=N, sport=40000))
    yield c.put("c", tcp(C, N, 80, 40000, "A", 5001, 1001), deliver("b"))


def two_clients(*admitted):
    """Beyond the gateway: its clients are in S1 and S2, and the group of C admits this."""
    s = beyond_nat()
    for routes in s["RouteTables"]:
        if routes["RouteTableId"] == "rtb-v1-S2":
            routes["Associations"] += [dict(routes["Associations"][0], SubnetId="S1")]
    for group in s["SecurityGroups"]:
        if group["GroupId"] == "sg-c":
            group["IpPermissions"] = list(admitted)
    return s


def borrowed_ports():
    """The port that a new mapping gets is not known before it is claimed: nothing may be judged by the client's own."""
    c = Case("found-entry-of-another-client", "CT-02 NAT-07 B1: another client's flow admits nobody",
             two_clients(perm("udp", 53, N + "/32")))
    c.put("b", udp(B, C, 5000, 53), deliver("c", src=N, sport=5000)).put("c", udp(C, N, 53, 5000), deliver("b"))
    c.edit(two_clients()).put("a", udp(A, C, 5001, 53), drop("sg-ingress"))
    c.put("a", udp(A, C, 5000, 53), drop("sg-ingress"), repeat=2)
    yield c.put("b", udp(B, C, 5000, 53), deliver("c", src=N, sport=5000))
    c = Case("found-rest-of-another-clients-port", "NAT-09 D12: a SYN of another client ends no rest",
             two_clients(perm("tcp", 80, N + "/32")))
    c.put("b", tcp(B, C, 40000, 80), deliver("c", src=N, sport=40000))
    c.put("c", tcp(C, N, 80, 40000, "SA", 5000, 1001), deliver("b"))
    c.put("b", tcp(B, C, 40000, 80, "FA", 1001, 5001), deliver("c"))
    c.put("c", tcp(C, N, 80, 40000, "FA", 5001, 1002), deliver("b"))
    c.put("b", tcp(B, C, 40000, 80, "A", 1002, 5002), deliver("c"))
    c.put("a", tcp(A, C, 40000, 80), deliver("c", src=N), at=1)
    not_for_a = {"action": ["drop", "deliver"], "to": ["b", None]}
    yield c.put("c", tcp(C, N, 80, 40000, "SA", 7000, 1001), not_for_a)


def turning_round():
    """At the internet gateway, where neither end of the way is the one whose public address changes."""
    tables = [table(None, IGW4, IGW6), table("S1", route("0.0.0.0/0", "NatGatewayId", "nat-1"))]
    c = Case("found-address-of-a-gateway-that-turns-round", "IGW-11 IGW-13 D11", natted(tables=tables))
    c.put("a", udp(A, QB, 40001, 80), deliver("b", src="203.0.113.9"), repeat=2)
    c.edit(natted(tables=tables, addresses=((N, QN2),)))
    yield c.put("a", udp(A, QB, 40001, 80), deliver("b", src=QN2), repeat=2)

    edge = rtb("v1", LOCAL, route("10.0.2.0/24", "NetworkInterfaceId", "m"), gateway="igw-1")
    moved = {e["NetworkInterfaceId"]: {"PrivateIpAddresses": e["PrivateIpAddresses"]}
             for e in (eni("b", "S2", B, None), eni("a2", "S1", A2, QB))}
    c = Case("found-address-moves-behind-a-middlebox", "IGW-11 IGW-13 D11 RT-18", network(None, [edge]))
    c.put("a", udp(A, QB, 40001, 80), deliver("m", src=QA, dst=B), repeat=2)
    yield c.edit(network(None, [edge], enis=moved)).put("a", udp(A, QB, 40001, 80), deliver("a2", src=QA, dst=A2))


def block_behind_a_middlebox():
    def excluded(*subnets):
        edge = rtb("v1", LOCAL, route("10.0.2.0/24", "NetworkInterfaceId", "m"), gateway="igw-1")
        return network(None, [edge], VpcBlockPublicAccessOptions={"InternetGatewayBlockMode": "block-ingress", "State": "update-complete"},
                       VpcBlockPublicAccessExclusions=[{"ExclusionId": "x-" + s, "State": "create-complete",
                                                        "ResourceArn": "arn:aws:ec2:eu-west-1:1:subnet/" + s,
                                                        "InternetGatewayExclusionMode": "allow-bidirectional"} for s in subnets])
    c = Case("found-block-behind-a-middlebox", "VPC-18 RT-18: the way ends at M, the block is B's", excluded("S1", "S2", "S3"))
    c.put(UP, udp(X, QB, 4000, 99), deliver("m", dst=B), repeat=2).put("a", udp(A, QB, 4000, 99), deliver("m", dst=B), repeat=2)
    c.edit(excluded("S1", "S3")).put(UP, udp(X, QB, 4000, 99), drop("bpa")).put("a", udp(A, QB, 4000, 99), drop("bpa"))
    yield c


def shared_uplink():
    shared = network({"a": ([], OPEN)}, [rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")], **EIGW)
    c = Case("eigw-shared-uplink-stays-tracked", "EIGW-02 CT-06", shared)
    c.put("a", tcp(A6, X6, 40000, 443), uplink(src=A6)).put(UP, tcp(X6, A6, 443, 40000, "SA", 5000, 1001), deliver("a"))
    for _ in range(3):
        c.put("a", tcp(A6, X6, 40000, 443, "A", 1001, 5001), uplink(src=A6))
        c.put(UP, tcp(X6, A6, 443, 40000, "A", 5001, 1001), deliver("a"))
    yield c


def syn_from_outside():
    c = opened(Case("found-syn-from-outside-after-the-close", "NAT-09 NAT-10 D6: the port rests; nobody outside opens anything", natted()),
               close=True)
    c.put(UP, tcp(X, QN, 443, 40001, "S", 9000), GONE, 5, repeat=2).put("a", data(), uplink(sport=40001), 6)
    yield opened(c, at=7)


def stale():
    for part in (dead_peering, borrowed_ports, turning_round, block_behind_a_middlebox, shared_uplink, syn_from_outside):
        yield from part()
