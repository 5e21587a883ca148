# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic mirroring: which packets are copied, by which session, and what a copy looks like (TM-01..TM-12)."""
import frames as F
import vxlan
from author import (A, A2, A6, B, B6, Case, M, MAC, OPEN, PASS, QA, UP, X, X6, deliver, drop, frame, perm, ping, state, tcp, udp,
                    uplink)

VNI = 4242
RESOLVER = "10.0.0.2"


def rule(number, action="accept", proto=None, src="0.0.0.0/0", dst="0.0.0.0/0", sports=None, dports=None):
    r = {"RuleNumber": number, "RuleAction": action, "SourceCidrBlock": src, "DestinationCidrBlock": dst}
    r.update({"Protocol": proto} if proto is not None else {})
    for key, ports in (("SourcePortRange", sports), ("DestinationPortRange", dports)):
        if ports:
            r[key] = {"FromPort": ports[0], "ToPort": ports[1]}
    return r


ALL = [rule(100), rule(110, src="::/0", dst="::/0")]


def mirrored(*sessions, groups=None, eni="a", target="m", **kw):
    """sessions: (number, ingress rules, egress rules, more keys)"""
    lists = {"TrafficMirrorSessions": [], "TrafficMirrorFilters": [],
             "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "Type": "network-interface",
                                       "NetworkInterfaceId": target}]}
    for number, ingress, egress, more in sessions:
        lists["TrafficMirrorFilters"].append({"TrafficMirrorFilterId": "tmf-%d" % number, "IngressFilterRules": ingress,
                                              "EgressFilterRules": egress, "NetworkServices": more.get("services", [])})
        lists["TrafficMirrorSessions"].append({
            "TrafficMirrorSessionId": "tms-%d" % number, "NetworkInterfaceId": eni, "TrafficMirrorTargetId": "tmt-1",
            "TrafficMirrorFilterId": "tmf-%d" % number, "SessionNumber": number, "VirtualNetworkId": VNI,
            **{key: value for key, value in more.items() if key != "services"}})
    return state(groups, **lists, **kw)


def sent(raw, session=1, eni="a", source=A, to="m", target=M, near=False, vni=VNI, **kw):
    """An entry of `copies`: the frame `raw` on its way from an ENI to the target of its session."""
    made = vxlan.copy(raw, source, target, vni, MAC[eni] if near else MAC["router"], MAC[to], **kw)
    return {"action": "deliver", "to": to, "reason": "accepted", "mirror": eni, "session": session, "packet": made.hex()}


def lost(reason, session=1, eni="a"):
    return {"action": "drop", "reason": reason, "mirror": eni, "session": session}


def out(port, body, **kw):
    """What an ENI's guest sends is copied as it sends it."""
    return sent(frame(port, body), **kw)


def given(port, body, smac="router", **kw):
    """... and what it gets as it gets it."""
    return sent(F.frame(MAC[smac], MAC[port], body), **kw)


def copied(want, *copies):
    return {**want, "copies": list(copies)}


def both_ways():
    c = Case("tm-03-both-directions-of-a-flow", "TM-03 TM-08 TM-09: the first packet and those that follow a kept decision",
             mirrored((1, ALL, ALL, {})))
    for port, body in (("a", tcp(A, B, 4000, 80, "S")), ("b", tcp(B, A, 80, 4000, "SA", 5000, 1001)),
                       ("a", tcp(A, B, 4000, 80, "A", 1001, 5001)), ("b", tcp(B, A, 80, 4000, "A", 5001, 1001)),
                       ("a", tcp(A, B, 4000, 80, "PA", 1001, 5001, b"data")), ("b", tcp(B, A, 80, 4000, "PA", 5001, 1005, b"x"))):
        c.put(port, body, copied(deliver("b"), out("a", body)) if port == "a" else copied(deliver("a"), given("a", body)))
    yield c
    c = Case("tm-03-a-direction-without-rules", "TM-03: nothing is mirrored in it", mirrored((1, [], ALL, {})))
    c.put("a", udp(A, B, 4000, 53), copied(deliver("b"), out("a", udp(A, B, 4000, 53))))
    yield c.put("b", udp(B, A, 53, 4000), deliver("a")).put("b", udp(B, A, 53, 4000), deliver("a"))
    c = Case("tm-02-nobody-elses-packets", "TM-02: ENIs without a session, one beside a mirrored one included",
             mirrored((1, ALL, ALL, {})))
    yield c.put("a2", udp(A2, B, 4000, 53), deliver("b")).put("b", udp(B, A2, 53, 4000), deliver("a2"))


def sessions():
    ssh = [rule(10, "reject", 6, dports=(22, 22)), rule(20)]
    c = Case("tv37-first-session-that-accepts", "TV-37 TM-02 TM-03", mirrored((1, ssh, [], {}), (2, ALL, [], {"VirtualNetworkId": 7})))
    for port, number, vni in ((22, 2, 7), (80, 1, VNI)):
        body = tcp(B, A, 4000, port)
        c.put("b", body, copied(deliver("a"), given("a", body, session=number, vni=vni)))
    yield c
    lists = mirrored((2, ALL, ALL, {}), (1, [], ALL, {}), (3, ALL, ALL, {}))
    c = Case("tm-02-by-ascending-number", "TM-02: whatever their order in the state", lists)
    body, back = udp(A, B, 4000, 53), udp(B, A, 53, 4000)
    c.put("a", body, copied(deliver("b"), out("a", body, session=1)))
    yield c.put("b", back, copied(deliver("a"), given("a", back, session=2)))
    c = Case("tm-02-an-edit-counts-from-the-next-packet", "TM-02 C20: for live flows, too", mirrored((1, ALL, ALL, {})))
    c.put("a", body, copied(deliver("b"), out("a", body))).edit(state(), 1).put("a", body, deliver("b"))
    c.edit(mirrored((1, ALL, ALL, {"PacketLength": 60}), groups={"a": ([], [])}), 2)
    yield c.put("a", body, drop("sg-egress"))


def filters():
    rules = [rule(10, proto=17, dst="10.0.2.0/24", dports=(53, 60)), rule(20, "reject", 6, src="10.0.1.0/24"),
             rule(30, proto=6), rule(40, proto=1), rule(50, proto=17, src="2001:db8:1:1::/64", dst="2001:db8:1:2::20/128",
                                                        sports=(4000, 4000))]
    c = Case("tm-04-fields-of-a-rule", "TM-04: protocol, CIDRs, port ranges, both families; the first match decides",
             mirrored((1, [], rules, {})))
    for body, to, hit in ((udp(A, B, 1, 52), "b", False), (udp(A, B, 1, 53), "b", True), (udp(A, B, 1, 60), "b", True),
                          (udp(A, B, 1, 61), "b", False), (udp(A, A2, 1, 53), "a2", False), (tcp(A, B, 1, 53), "b", False),
                          (ping(A, B), "b", True), (udp(A6, B6, 4000, 9), "b", True), (udp(A6, B6, 4001, 9), "b", False),
                          (ping(A6, B6, 128), "b", False)):
        c.put("a", body, copied(deliver(to), *[out("a", body)] * hit))
    yield c


def services():
    """Amazon DNS is the host's stack's here, as all services are."""
    question, answer = udp(A, RESOLVER, 4000, 53), udp(RESOLVER, A, 53, 4000)
    c = Case("tm-05-amazon-dns", "TM-05: both directions, and no rule is asked", mirrored((1, [], [], {"services": ["amazon-dns"]})))
    c.put("a", question, copied(PASS, out("a", question)))
    c.put("a", F.frame(MAC["router"], MAC["a"], answer), copied(PASS, given("a", answer)), tx=True, dst="raw")
    yield c.put("a", udp(A, B, 4000, 53), deliver("b")).put("a", udp(A, "169.254.169.253", 4000, 5353), PASS)
    c = Case("tm-06-never-mirrored", "TM-05 TM-06: DNS that was not asked for, DHCP, IMDS, time, ARP, activation", mirrored((1, ALL, ALL, {})))
    for dst, port in ((RESOLVER, 53), ("169.254.169.253", 53), ("169.254.169.254", 80), ("169.254.169.123", 123),
                      ("169.254.169.250", 1688)):
        c.put("a", udp(A, dst, 4000, port), PASS)
    c.put("a", F.frame(MAC["a"], "ff:ff:ff:ff:ff:ff", F.packet("0.0.0.0", "255.255.255.255", F.UDP, F.udp(68, 67))), PASS, dst="raw")
    yield c.put("a", F.arp(MAC["a"], 1, MAC["a"], A, "10.0.1.1"), {"action": "reply"}, dst="raw")


def translated():
    c = Case("tm-08-private-addresses", "TM-08 IGW-06: before the gateway translates, and after it has", mirrored((1, ALL, ALL, {})))
    for _ in range(2):
        ask = udp(A, X, 4000, 53)
        c.put("a", ask, copied(uplink(src=QA), out("a", ask)))
        got = udp(X, A, 53, 4000)
        c.put(UP, udp(X, QA, 53, 4000), copied(deliver("a", src=X, dst=A), given("a", got)))
    yield c.put("a", udp(A6, X6, 1, 2), copied(uplink(), out("a", udp(A6, X6, 1, 2))))


def source_ports():
    c = Case("tm-10-source-ports", "TM-09 TM-10: of the 5-tuple, of the 3-tuple for what has no ports; each direction its own",
             mirrored((1, ALL, ALL, {})))
    seen = set()
    for src, dst, port in ((A, B, "a"), (B, A, "b")):
        for body in (udp(src, dst, 5000, 6000), udp(src, dst, 5000, 6001), tcp(src, dst, 5000, 6000), ping(src, dst, ident=7),
                     ping(src, dst, ident=8)):
            c.put(port, body, copied(deliver("b"), out("a", body)) if port == "a" else copied(deliver("a"), given("a", body)))
            seen.add(vxlan.source_port(body))
    assert len(seen) == 8
    yield c


def lengths():
    body, small = udp(A, B, 4000, 53, b"x" * 600), F.packet(A, B, 200, b"")
    for length in (128, 20):
        c = Case("tm-11-length-%d" % length, "TM-11 TM-12: bytes behind the VXLAN header, 35 at the least (55 of IPv6); the "
                 "checksums stay", mirrored((1, ALL, ALL, {"PacketLength": length})))
        for want in (body, udp(A, B, 4000, 53, b""), small, udp(A6, B6, 4000, 53, b"y" * 90)):
            c.put("a", want, copied(deliver("b"), out("a", want, length=length)))
        yield c
    c = Case("tm-12-mtu-of-the-target", "TM-12: what does not fit the target with AWS's overhead of 54 is cut", mirrored((1, ALL, ALL, {})))
    c.states[0]["Hosts"][0]["Ports"][3]["Mtu"] = 1500
    for size in (1500 - 54 - 28, 1500 - 54 - 27, 3000, 8000):
        body = udp(A, B, 4000, 53, bytes(i & 255 for i in range(size)))
        c.put("a", body, copied(deliver("b"), out("a", body, mtu=1500)))
    yield c
    c = Case("tm-12-jumbo-frames", "TM-12: of 9001 bytes 54 are lost, of 8947 none", mirrored((1, ALL, ALL, {})))
    for size in (8947, 8948, 9001):
        body = udp(A, B, 4000, 53, bytes(i * 7 & 255 for i in range(size - 28)))
        c.put("a", body, copied(deliver("b"), out("a", body)))
    yield c


def pieces():
    whole = F.udp(4000, 53, b"z" * 64)
    first = F.ip4(F.ip(A), F.ip(B), F.UDP, whole[:40], ident=9, more=True, df=False)
    later = F.ip4(F.ip(A), F.ip(B), F.UDP, whole[40:], ident=9, offset=40, df=False)
    c = Case("tm-04-fragments", "TM-04 CT-18: later ones have the ports of the first", mirrored((1, [], [rule(1, proto=17, dports=(53, 53))], {})))
    c.put("a", first, copied({"action": "deliver", "to": "b"}, out("a", first)))
    yield c.put("a", later, copied({"action": "deliver", "to": "b"}, out("a", later, ports=(4000, 53))))


def padded():
    raw = frame("a", tcp(A, B, 4000, 80)) + b"\0" * 6
    c = Case("tm-09-padding-is-no-part-of-it", "TM-09 A16", mirrored((1, ALL, ALL, {})))
    yield c.put("a", raw, copied(deliver("b"), out("a", tcp(A, B, 4000, 80))), dst="raw")


def refused():
    closed = {"a": ([perm("tcp", 22, "0.0.0.0/0")], [perm("udp", 53, "0.0.0.0/0")])}
    c = Case("tm-07-only-what-is-accepted", "TM-07: not what the groups drop, either way; what leaves is copied, wherever it ends",
             mirrored((1, ALL, ALL, {}), groups={**closed, "b": ([], OPEN)}))
    c.put("b", tcp(B, A, 4000, 80), drop("sg-ingress")).put("a", tcp(A, B, 4000, 80), drop("sg-egress"))
    yield c.put("a", udp(A, B, 4000, 53), copied(drop("sg-ingress"), out("a", udp(A, B, 4000, 53))))
    keep = {"MirrorDroppedPackets": True}
    c = Case("tm-x-dropped-packets", "TM-07, our extension: the reason stands in the VXLAN header's group, as they came",
             mirrored((1, ALL, ALL, keep), groups={**closed, "b": ([], OPEN)}))
    inward, outward, away = tcp(B, A, 4000, 80), tcp(A, B, 4000, 80), udp(A, B, 4000, 53)
    c.put("b", inward, copied(drop("sg-ingress"), sent(frame("b", inward), group=REASON["sg-ingress"])))
    c.put("a", outward, copied(drop("sg-egress"), out("a", outward, group=REASON["sg-egress"])))
    c.put("a", away, copied(drop("sg-ingress"), out("a", away)))
    c.put("a", udp(A2, B, 1, 2), copied(drop("source-check"), out("a", udp(A2, B, 1, 2), group=REASON["source-check"])))
    c.put(UP, tcp(X, QA, 4000, 80), copied(drop("sg-ingress"), sent(frame(UP, tcp(X, QA, 4000, 80)), group=REASON["sg-ingress"],
                                                                      sport=vxlan.source_port(tcp(X, A, 4000, 80)))))
    yield c.put("b", tcp(B, A, 4000, 22), copied(deliver("a"), given("a", tcp(B, A, 4000, 22))))
    c = Case("tm-x-dropped-packets-of-hidden-senders", "TM-08, our extension: the frame has an address that the ENI is never shown",
             mirrored((1, ALL, ALL, keep), groups={**closed, "b": ([], OPEN)}))
    yield c.put("b", tcp(B, QA, 4000, 80), copied(drop("sg-ingress"), lost("not-served")))
    c = Case("tm-x-dropped-packets-need-a-rule", "TM-03, our extension: sessions are tried in their order, those that ask",
             mirrored((1, ALL, ALL, {}), (2, [rule(1, proto=6)], [], {**keep, "PacketLength": 64}), groups={**closed, "b": ([], OPEN)}))
    c.put("b", inward, copied(drop("sg-ingress"), sent(frame("b", inward), session=2, group=REASON["sg-ingress"], length=64)))
    yield c.put("b", udp(B, A, 1, 2), drop("sg-ingress")).put("a", outward, drop("sg-egress"))


def reasons():
    """Numbers of reasons, as enid-state(5) has them."""
    import os
    import re
    page = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/man/enid-state.5")).read()
    return {name.replace("\\-", "-"): int(number) for number, name in re.findall(r"^(\d+)\s+([a-z\\-]+)$", page, re.M)}


REASON = reasons()


def mirror():
    for part in (both_ways, sessions, filters, services, translated, source_ports, lengths, pieces, padded, refused):
        yield from part()
