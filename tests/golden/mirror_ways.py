# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic mirroring: where copies go, and what keeps them from it (TM-07, TM-13, TM-14); guard mode."""
import frames as F
from author import (A, A2, B, Case, IGW4, M, MAC, OPEN, PASS, allow_all, deliver, drop, edited, entry, nacl, perm, route, table,
                    tcp, udp)
from gateways import C, peered
from mirror import ALL, REASON, copied, given, lost, mirrored, out, sent

BODY, BACK = udp(A, B, 4000, 53), udp(B, A, 53, 4000)
EVERY = (1, ALL, ALL, {})


def one(name, about, s, copy, again=2):
    """The same packet, first and by a kept decision."""
    c = Case(name, about, s)
    for _ in range(again):
        c.put("a", BODY, copied(deliver("b"), copy))
    return c


def groups():
    only = [perm("udp", 4789, "sg-a")]
    yield one("tm-13-group-of-the-target", "TM-13 SG-14: UDP 4789 from the source, as a reference to its group",
              mirrored(EVERY, groups={"m": (only, [])}), out("a", BODY))
    yield one("tm-13-refused-by-the-target", "TM-13: the target's group is asked", mirrored(EVERY, groups={"m": ([perm("udp", 4789, "sg-b")], [])}),
              lost("sg-ingress"))
    yield one("tm-07-own-group-is-not-asked", "TM-07: the source's egress rules are for the guest's packets",
              mirrored(EVERY, groups={"a": (OPEN, [perm("udp", 53, "0.0.0.0/0")])}), out("a", BODY))


def acls():
    deny = [entry(50, True, "deny", "17", "0.0.0.0/0", (4789, 4789))]
    yield one("tm-13-network-acl-of-the-source", "TM-13 NACL-09: on the way out", mirrored(EVERY, nacls=[nacl("S1", *deny, *allow_all())]),
              lost("nacl-egress"))
    deny = [entry(50, False, "deny", "17", "10.0.1.0/24", (4789, 4789))]
    yield one("tm-13-network-acl-of-the-target", "TM-13 NACL-09: on the way in", mirrored(EVERY, nacls=[nacl("S3", *deny, *allow_all())]),
              lost("nacl-ingress"))
    near = mirrored(EVERY, target="a2", nacls=[nacl("S1", *[entry(50, way, "deny", "17", "0.0.0.0/0", (4789, 4789))
                                                            for way in (False, True)], *allow_all())])
    yield one("tm-13-target-in-the-own-subnet", "TM-13 NACL-01: no network ACL, and the source's own MAC", near,
              out("a", BODY, to="a2", target=A2, near=True))


def ways():
    box = [table(None, IGW4), table("S1", route("10.0.3.0/24", "NetworkInterfaceId", "b"))]
    yield one("tm-13-by-a-middlebox", "TM-13 RT-04: by the route table of the source's subnet; the middlebox takes it for another's",
              mirrored(EVERY, tables=box, enis={"b": {"SourceDestCheck": False}}), out("a", BODY, to="b"))
    yield one("tm-13-destination-check-on-the-way", "TM-13 ENI-05", mirrored(EVERY, tables=box), lost("dest-check"))
    s = peered()
    s.update({key: value for key, value in mirrored(EVERY, target="c").items() if key.startswith("TrafficMirror")})
    s["TrafficMirrorSessions"][0]["PacketLength"] = 8500
    c = Case("tm-13-over-a-peering", "TM-13 TM-11: routed as what the source sends", s)
    c.put("a", BODY, copied(deliver("b"), out("a", BODY, to="c", target=C)))
    big = udp(A, B, 4000, 53, bytes(8900))
    yield c.put("a", big, copied(deliver("b"), out("a", big, to="c", target=C, length=8500)))
    lonely = edited(s, lost_routes)
    yield one("tm-13-route-of-the-source", "TM-13 TM-14: without a route over the peering; no internet gateway carries it", lonely,
              lost("not-served")).edit(s, 1).put("a", BODY, copied(deliver("b"), out("a", BODY, to="c", target=C)))


def lost_routes(s):
    for one_table in s["RouteTables"]:
        one_table["Routes"] = [r for r in one_table["Routes"] if "VpcPeeringConnectionId" not in r]


def nobody():
    gone = mirrored(EVERY)
    gone["TrafficMirrorTargets"][0]["NetworkInterfaceId"] = "eni-gone"
    yield one("tm-14-target-that-is-gone", "TM-14: silence; the next session gets it", edited(gone, second), out("a", BODY, session=2))
    dead = mirrored(EVERY, enis={"m": {"Status": "available", "Attachment": None}})
    yield one("tm-14-target-that-is-not-attached", "TM-14", dead, lost("no-owner"))
    balancer = mirrored(EVERY)
    balancer["TrafficMirrorTargets"] = [{"TrafficMirrorTargetId": "tmt-1", "Type": "network-load-balancer",
                                         "NetworkLoadBalancerArn": "arn:aws:elasticloadbalancing:x"}]
    c = Case("tm-14-load-balancers-are-not-served", "TM-14: nothing is known of their targets", balancer)
    yield c.put("a", BODY, deliver("b"))
    own = mirrored(EVERY, target="a")
    c = Case("tm-01-a-source-is-no-target", "TM-01", own)
    yield c.put("a", BODY, deliver("b"))


def second(s):
    s["TrafficMirrorSessions"].append(dict(s["TrafficMirrorSessions"][0], TrafficMirrorSessionId="tms-2", SessionNumber=2,
                                           TrafficMirrorTargetId="tmt-2"))
    s["TrafficMirrorTargets"].append({"TrafficMirrorTargetId": "tmt-2", "Type": "network-interface", "NetworkInterfaceId": "m"})


def twice():
    """Source and target of one packet are mirrored, and so is the target of the copies."""
    s = mirrored(EVERY)
    for number, name, target in ((4, "b", "tmt-1"), (5, "m", "tmt-2")):
        s["TrafficMirrorSessions"].append(dict(s["TrafficMirrorSessions"][0], TrafficMirrorSessionId="tms-%d" % number,
                                               SessionNumber=number, NetworkInterfaceId=name, TrafficMirrorTargetId=target))
    s["TrafficMirrorTargets"].append({"TrafficMirrorTargetId": "tmt-2", "Type": "network-interface", "NetworkInterfaceId": "a2"})
    c = Case("tm-02-both-ends-and-never-a-copy", "TM-02 FL-15: one copy at each end; what is mirrored is not mirrored again", s)
    for _ in range(2):
        c.put("a", BODY, copied(deliver("b"), out("a", BODY), given("b", BODY, session=4, eni="b", source=B)))
    yield c.put("m", udp(M, A2, 1, 2), copied(deliver("a2"), out("m", udp(M, A2, 1, 2), session=5, eni="m", source=M, to="a2", target=A2)))


def guarded():
    s = mirrored(EVERY)
    s["Hosts"][0]["Ports"][0]["Mode"] = "guard"
    c = Case("tm-08-guard-mode", "TM-08: both directions, as the frames are", s)
    for _ in range(2):
        c.put("a", BODY, copied(PASS, out("a", BODY)))
        back = F.frame(MAC["router"], MAC["a"], BACK)
        c.put("a", back, copied(PASS, sent(back)), tx=True, dst="raw")
    c.put("a", udp(A, "10.0.0.2", 1, 53), PASS)
    c.put("a", F.arp(MAC["a"], 1, MAC["a"], A, "10.0.1.1"), PASS, dst="raw")
    yield c
    s = mirrored((1, ALL, ALL, {"MirrorDroppedPackets": True}), groups={"a": ([], [perm("udp", 53, "0.0.0.0/0")])})
    s["Hosts"][0]["Ports"][0]["Mode"] = "guard"
    c = Case("tm-x-dropped-in-guard-mode", "TM-07, our extension: whichever way", s)
    body, inward = tcp(A, B, 1, 2), F.frame(MAC["router"], MAC["a"], tcp(B, A, 1, 2))
    c.put("a", body, copied(drop("sg-egress"), out("a", body, group=REASON["sg-egress"])))
    c.put("a", inward, copied(drop("sg-ingress"), sent(inward, group=REASON["sg-ingress"])), tx=True, dst="raw")
    yield c


def from_the_host():
    c = Case("tm-03-what-the-host-sends", "TM-03: an ingress packet like any other", mirrored(EVERY))
    raw = F.frame("02:00:00:00:00:99", MAC["a"], BACK)
    yield c.put("a", raw, copied({"action": "deliver"}, sent(raw)), tx=True, dst="raw")


def mirror_ways():
    for part in (groups, acls, ways, nobody, twice, guarded, from_the_host):
        yield from part()
