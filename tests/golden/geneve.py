# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Gateway Load Balancer endpoints: out to the appliance and back (EP-07..EP-09, PATH-09, NACL-16, SG-18)."""
import struct

import frames as F
from author import (A, A2, A6, B, Case, IGW4, IGW6, LOCAL, MAC, OPEN, QA, UP, X, X6, deliver, drop, edited, entry,
                    allow_all, nacl, perm, ping, route, state, subnet, table, tcp, udp, uplink)
from nat import N, QN, TO_NAT, natted

GW = "vpce-0123456789abcdef0"
LB, APPLIANCES = "192.0.2.1", ("192.0.2.51", "192.0.2.52", "192.0.2.53")
ENDPOINT = "123456789abcdef0"
FORGED, NO_FLOW = drop("geneve"), drop("gwlb-no-flow")


def options(kind="0800"):
    """The GENEVE header and the options before the cookie's value; without NetworkInterfaceIds both numbers are one."""
    return "0800" + kind + "00000000" + "01080102" + ENDPOINT + "01080202" + ENDPOINT + "01080301"


def by_gw(dst):
    return route(dst, "GatewayId", GW)


def rtb(*routes, sub=None, gateway=None):
    t = table(sub, *routes)
    if gateway:
        t.update(RouteTableId="rtb-" + gateway, Associations=[{"Main": False, "GatewayId": gateway,
                                                              "AssociationState": {"State": "associated"}}])
    return t


OUTWARD = [by_gw("0.0.0.0/0"), by_gw("::/0")]
TABLES = [rtb(IGW4, IGW6), rtb(*OUTWARD, sub="S1"), rtb(by_gw("10.0.1.0/24"), by_gw("2001:db8:1:1::/64"), gateway="igw-1")]
WEST = [rtb(IGW4), rtb(by_gw("10.0.2.0/24"), sub="S1"), rtb(by_gw("10.0.1.0/24"), sub="S2")]


def inspected(groups=None, tables=TABLES, targets=APPLIANCES[:1], health=(), where="E", nacls=(), more=None, **lists):
    s = state(groups, list(nacls), list(tables), None, VpcEndpoints=[
        {"VpcEndpointId": GW, "VpcEndpointType": "GatewayLoadBalancer", "VpcId": "v1", "State": "available",
         "SubnetIds": [where]}], **lists)
    s["Subnets"].append(subnet("E", 7))
    up = {"GatewayId": GW, "Device": "up-gw", "Address": LB, "TargetHealthDescriptions":
          [{"Target": {"Id": t, "Port": 6081}, "TargetHealth": {"State": h}}
           for t, h in zip(targets, tuple(health) + ("healthy",) * len(targets))]}
    up.update(more or {})
    s["Hosts"][0]["Uplinks"].append(up)
    return s


def idle(seconds):
    return {"ListenerAttributes": [{"Key": "tcp.idle_timeout.seconds", "Value": str(seconds)}]}


def sticky(kind):
    return {"TargetGroupAttributes": [{"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": kind}]}


def sent(**kw):
    """To an appliance; keys of the packet inside begin with in_."""
    return {"action": "uplink", "to": GW, "csum": True, "src": LB, **kw}


BASE = inspected()


def through(c, port, body, want_in, want, at=None, **kw):
    """To the appliance and back. -> the number of the line that sent it"""
    n = len(c.lines)
    c.put(port, body, sent(**want_in), at, **kw)
    c.back(GW, n, want, at)
    return n


def syn_out(c, port=40001, at=None, **kw):
    return through(c, "a", tcp(A, X, port, 443), {"in_src": A, "in_dst": X, "in_sport": port, "in_flags": 2, **kw},
                   uplink(src=QA, dst=X, sport=port), at)


def ways():
    c = Case("gwlb-out-and-back", "EP-07 EP-08 PATH-09: unmodified in GENEVE, back by the endpoint's subnet; one cookie both ways",
             BASE)
    first = syn_out(c, ttl=64, bytes_ip=40 + 68, dport=6081, dst=APPLIANCES[0], options=options(), in_ttl=64)
    answer = tcp(X, QA, 443, 40001, "SA", 5000, 1001)
    through(c, UP, answer, {"in_src": X, "in_dst": A, "like": first}, deliver("a", src=X, dst=A, dport=40001, ttl=64))
    for _ in range(2):
        through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"in_src": A, "like": first}, uplink(src=QA, dst=X))
        through(c, UP, tcp(X, QA, 443, 40001, "PA", 5001, 1001, b"data"), {"in_dst": A, "like": first}, deliver("a", src=X))
    yield c

    c = Case("path09-ingress-routing", "PATH-09 RT-18..RT-20: opened from the internet, by the gateway's table", BASE)
    first = through(c, UP, tcp(X, QA, 40001, 80), {"in_src": X, "in_dst": A}, deliver("a", src=X, dst=A, smac=MAC["router"]))
    through(c, "a", tcp(A, X, 80, 40001, "SA", 5000, 1001), {"in_src": A, "like": first}, uplink(src=QA, dst=X))
    through(c, UP, tcp(X, QA, 40001, 80, "A", 1001, 5001), {"in_dst": A, "like": first}, deliver("a"))
    yield c

    c = Case("gwlb-every-protocol", "EP-07: UDP, ping, others; IPv4 and IPv6", BASE)
    first = through(c, "a", udp(A, X, 5000, 53), {"in_sport": 5000}, uplink(src=QA, sport=5000))
    through(c, UP, udp(X, QA, 53, 5000), {"like": first}, deliver("a", src=X))
    first = through(c, "a", ping(A, X), {"in_ident": 7}, uplink(src=QA, ident=7))
    through(c, UP, ping(X, QA, 0), {"like": first}, deliver("a", src=X, type=0))
    first = through(c, "a", F.packet(A, X, 47, b"\0" * 24), {"in_proto": 47}, uplink(src=QA, proto=47))
    through(c, UP, F.packet(X, QA, 47, b"\0" * 24), {"like": first}, deliver("a", src=X, proto=47))
    for body, answer in ((tcp(A6, X6, 40001, 443), tcp(X6, A6, 443, 40001, "SA", 5000, 1001)),
                         (udp(A6, X6, 5000, 53), udp(X6, A6, 53, 5000)), (ping(A6, X6, 128), ping(X6, A6, 129))):
        first = through(c, "a", body, {"in_src": A6, "in_etype": 0x86DD, "options": options("86dd")}, uplink(src=A6, dst=X6))
        through(c, UP, answer, {"in_src": X6, "like": first}, deliver("a", src=X6, dst=A6))
    yield c

    c = Case("gwlb-between-subnets", "RT-05 RT-24 EP-07: both ways between two subnets", inspected(tables=WEST))
    first = through(c, "a", tcp(A, B, 40001, 80), {"in_dst": B}, deliver("b", src=A, dst=B))
    through(c, "b", tcp(B, A, 80, 40001, "SA", 5000, 1001), {"in_src": B, "like": first}, deliver("a", src=B))
    through(c, "a", tcp(A, B, 40001, 80, "A", 1001, 5001), {"like": first}, deliver("b"))
    yield c

    lone = inspected(tables=[rtb(IGW4, IGW6), rtb(*OUTWARD, sub="S1")])
    c = Case("gwlb-one-way-only", "RT-21 CT-19: answers that come straight find the entry of the ENI", edited(lone, lambda s: s[
        "SecurityGroups"][0].update(IpPermissions=[])))
    syn_out(c)
    c.put(UP, tcp(X, QA, 443, 40001, "SA", 5000, 1001), deliver("a", src=X))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {}, uplink(src=QA))
    yield c.put(UP, tcp(X, QA, 443, 40001, "A", 5001, 1001), deliver("a")).put(UP, tcp(X, QA, 443, 40002, "A", 5001, 1001), drop("sg-ingress"))

    c = Case("gwlb-no-circle", "RT-24: the endpoint's own subnet leads into it again",
             inspected(tables=[rtb(IGW4), rtb(*OUTWARD, sub="S1"), rtb(*OUTWARD, sub="E")]))
    n = len(c.lines)
    yield c.put("a", udp(A, X, 5000, 53), sent()).back(GW, n, drop("ttl"))

    c = Case("gwlb-without-appliances", "EP-07: no target, no uplink: not served", inspected(targets=()))
    c.put("a", udp(A, X, 5000, 53), drop("not-served"))
    yield c.edit(edited(BASE, lambda s: s["Hosts"][0]["Uplinks"].pop())).put("a", udp(A, X, 5000, 53), drop("not-served"))


def forgeries():
    """Offsets in the frame: 14 outer IP, 34 UDP, 42 GENEVE, 50 options, 78 the cookie, 82 the packet inside."""
    c = Case("b11-forged-geneve", "B11 EP-08: whatever differs from what was sent, outside of the packet, is dropped", BASE)
    syn_out(c)
    c.put("a", udp(A, X, 5000, 53), sent())
    for change in ((78, "00000000"), (78, "ffffffff"),                   # cookie
                   (26, "c0000234"), (26, "0a00010a"), (30, "c0000202"),    # from nobody of them; to another address
                   (54, "ffffffffffffffff"), (66, "0000000000000000"),       # endpoint and attachment
                   (50, "0109"), (52, "02"), (53, "03"), (64, "01"), (76, "02"), (50, "0108020212345678"),
                   (42, "48"), (42, "09"), (42, "07"), (42, "00"), (43, "80"), (43, "40"), (43, "01"),  # version, length, flags
                   (44, "6558"), (44, "86dd"), (44, "0806"), (46, "000001"), (49, "01"),    # kind of packet, VNI, reserved
                   (36, "17c2"), (36, "12b5"), (38, "0008"), (38, "ffff"), (23, "06"), (23, "01"),   # not GENEVE
                   (20, "2000"), (20, "0001")):                                # in pieces
        c.back(GW, 2, drop("geneve", "malformed", "fragment", "martian"), change=[change])
    c.back(GW, 2, FORGED, inner=udp(A, X, 5001, 53)).back(GW, 2, FORGED, inner=udp(A, "198.51.100.8", 5000, 53))
    c.back(GW, 2, FORGED, inner=tcp(A, X, 40001, 443, "A", 1001, 5001))    # of a flow that lives, but another ticket
    c.back(GW, 2, drop("malformed", "geneve"), inner=b"").back(GW, 2, drop("malformed", "geneve"), inner=b"\x45" + b"\0" * 10)
    c.back(GW, 2, drop("malformed", "geneve"), inner=udp(A6, X6, 5000, 53))         # says IPv4
    c.back(GW, 2, drop("martian", "geneve", "multicast"), inner=udp("127.0.0.1", X, 5000, 53))
    c.back(GW, 2, FORGED, change=[(40, "1234")])                         # UDP checksum: neither none nor right
    c.put(GW, F.frame(MAC["up"], MAC["router"], udp(X, A, 53, 5000)), FORGED, dst="raw")
    c.put(GW, F.frame(MAC["up"], MAC["router"], tcp(X, A, 443, 40001, "SA", 5000, 1001)), FORGED, dst="raw")
    c.back(GW, 2, drop("unknown-mac"), change=[(0, "020000000009")])
    for _ in range(2):
        c.back(GW, 2, uplink(src=QA, dst=X, sport=5000)).back(GW, 0, uplink(src=QA, sport=40001))
        c.back(GW, 2, FORGED, change=[(78, "00000001")]).back(GW, 0, FORGED, change=[(78, "00000001")])  # a decision is kept
    yield c.back(GW, 2, FORGED, change=[(54, "ffff")]).back(GW, 2, uplink())

    c = Case("b11-geneve-from-another-appliance", "B11 EP-09: only the appliance of the flow returns it", inspected(targets=APPLIANCES))
    for port in range(5000, 5004):
        n = len(c.lines)
        c.put("a", udp(A, X, port, 53), sent())
        c.back(GW, n, FORGED, others=APPLIANCES).back(GW, n, FORGED, others=APPLIANCES[::-1])
        c.back(GW, n, uplink(src=QA)).back(GW, n, FORGED, others=APPLIANCES)
    yield c

    c = Case("b11-geneve-at-another-port", "B11 EP-08: an appliance's packet counts at the endpoint's uplink only", BASE)
    first = len(c.lines)
    c.put("a", udp(A, X, 5000, 53), sent()).back(UP, first, drop("igw-no-owner"))
    yield c.back("a", first, drop("mac-spoof"))

    body = udp(A, X, 5000, 53)
    c = Case("gwlb-right-outer-checksum", "EP-08: UDP checksum none or right", BASE).put("a", body, sent())
    c.put("a", udp(A, X, 5000, 54), sent())
    yield c.back(GW, 0, FORGED, change=[(40, "0001")]).back(GW, 0, uplink(src=QA, dst=X))

    # An ENI without source check sends what looks inside like the tunnel does outside; its flow has a kept decision.
    m = inspected(tables=[*TABLES, rtb(*OUTWARD, sub="S3"),
                          rtb(IGW4, route("192.0.2.0/24", "NetworkInterfaceId", "m"), sub="E")])
    c = Case("b11-inner-name-of-an-outer-packet", "B11 EP-08: the decision for a flow inside is none for the tunnel's packets", m)
    for _ in range(2):
        through(c, "m", udp(APPLIANCES[0], LB, 40000, 6081), {"in_dst": LB}, deliver("m", src=APPLIANCES[0], dport=6081))
    n = len(c.lines)
    c.put("a", udp(A, X, 5000, 53), sent()).back(GW, n, uplink(src=QA, dst=X, sport=5000), change=[(34, "9c40")])
    yield c.put(GW, F.frame(MAC["up"], MAC["router"], udp(APPLIANCES[0], LB, 40000, 6081)), FORGED, dst="raw")


def timers():
    c = Case("gwlb-idle-350-s", "EP-09: 350 s of silence end a TCP flow, then only a SYN opens", BASE)
    first = syn_out(c, at=0)
    through(c, UP, tcp(X, QA, 443, 40001, "SA", 5000, 1001), {"like": first}, deliver("a"), 1)
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"like": first}, uplink(), 2)
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"like": first}, uplink(), 351)
    through(c, UP, tcp(X, QA, 443, 40001, "A", 5001, 1001), {"like": first}, deliver("a"), 700)
    c.put("a", tcp(A, X, 40001, 443, "A", 1001, 5001), NO_FLOW, 1051)
    c.put(UP, tcp(X, QA, 443, 40001, "A", 5001, 1001), NO_FLOW)
    n = len(c.lines)
    c.put("a", tcp(A, X, 40001, 443), sent(unlike=first)).back(GW, n, uplink()).back(GW, first, FORGED)
    yield c

    c = Case("gwlb-idle-as-configured", "EP-09: 60 to 6000 s", inspected(more=idle(60)))
    syn_out(c, at=0)
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {}, uplink(), 59)
    c.put("a", tcp(A, X, 40001, 443, "A", 1001, 5001), NO_FLOW, 120)
    yield c

    c = Case("gwlb-idle-120-s", "EP-09: without TCP 120 s, then a new flow", BASE)
    first = through(c, "a", udp(A, X, 5000, 53), {}, uplink(), 0)
    through(c, UP, udp(X, QA, 53, 5000), {"like": first}, deliver("a"), 119)
    second = through(c, UP, udp(X, QA, 53, 5000), {"like": first}, deliver("a"), 238)
    c.back(GW, second, FORGED, 359)
    through(c, "a", udp(A, X, 5000, 53), {"unlike": first}, uplink())
    yield c

    c = Case("gwlb-mid-stream", "EP-09 CT-13: nothing but a SYN opens a TCP flow; what opens nothing has none", BASE)
    for flags in ("A", "SA", "FA", "R"):
        c.put("a", tcp(A, X, 40001, 443, flags, 1001, 5001), NO_FLOW).put(UP, tcp(X, QA, 443, 40001, flags, 1, 1), NO_FLOW)
    c.put("a", ping(A, X, 0), NO_FLOW)
    yield c.put("a", F.packet(A, X, F.ICMP, F.icmp(5, 1, F.ip(X) + udp(A, X, 5000, 53)[:28])), NO_FLOW)

    c = Case("gwlb-port-reuse", "C3 EP-09: a SYN after the close is a new flow with another cookie", BASE)
    first = syn_out(c)
    through(c, UP, tcp(X, QA, 443, 40001, "SA", 5000, 1001), {"like": first}, deliver("a"))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"like": first}, uplink())
    through(c, "a", tcp(A, X, 40001, 443, "FA", 1001, 5001), {"like": first}, uplink())
    through(c, UP, tcp(X, QA, 443, 40001, "FA", 5001, 1002), {"like": first}, deliver("a"))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1002, 5002), {"like": first}, uplink(), 5)
    c.put("a", tcp(A, X, 40001, 443, "A", 1002, 5002), NO_FLOW, 17)
    again = syn_out(c, unlike=first)
    through(c, UP, tcp(X, QA, 443, 40001, "SA", 7000, 1001), {"like": again}, deliver("a"))
    yield c


def targets():
    for kind, name in ((None, "5"), ("source_ip_dest_ip_proto", "3"), ("source_ip_dest_ip", "2")):
        c = Case("gwlb-sticky-%s-tuple" % name, "EP-09: one appliance a flow, both ways; by %s fields" % name,
                 inspected(targets=APPLIANCES, more=sticky(kind) if kind else None))
        flows = []
        for port in range(40001, 40013):
            same = {"toward": flows[0]} if flows and kind else {}
            n = syn_out(c, port, **same)
            through(c, UP, tcp(X, QA, 443, port, "SA", 5000, 1001), {"like": n}, deliver("a"))
            flows.append(n)
        n = through(c, "a", udp(A, X, 5000, 53), {"toward": flows[0]} if name == "2" else {}, uplink())
        through(c, UP, udp(X, QA, 53, 5000), {"like": n}, deliver("a"))
        yield c

    c = Case("gwlb-targets-come-and-go", "EP-09: flows stay where they are until the target is gone; new ones go to healthy ones",
             inspected(targets=APPLIANCES[:1]))
    first = syn_out(c)
    c.edit(inspected(targets=APPLIANCES[:2], health=("unhealthy",)))
    through(c, UP, tcp(X, QA, 443, 40001, "SA", 5000, 1001), {"like": first}, deliver("a"))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"like": first, "dst": APPLIANCES[0]}, uplink())
    for port in range(40002, 40008):
        syn_out(c, port, dst=APPLIANCES[1])
    c.edit(inspected(targets=APPLIANCES[:2], health=("draining",)))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"like": first}, uplink())
    c.edit(inspected(targets=APPLIANCES[1:2]))
    c.back(GW, first, FORGED)                                    # no target any more
    moved = through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"dst": APPLIANCES[1]}, uplink())
    through(c, UP, tcp(X, QA, 443, 40001, "A", 5001, 1001), {"like": moved}, deliver("a"))
    c.edit(inspected(targets=APPLIANCES[:2], health=("unhealthy", "unhealthy")))
    syn_out(c, 40010)
    yield c


def sizes():
    def big(size, **kw):
        return udp(A, X, 5000, 53, b"x" * (size - 28), **kw)
    c = Case("gwlb-mtu-8500", "EP-08 MTU: 8500 bytes go, more vanishes without a word", inspected(tables=WEST))
    for size, fits in ((8500, True), (8501, False), (9001, False)):
        for kw in ({}, {"df": False}):
            body = udp(A, B, 5000, 53, b"x" * (size - 28), **kw)
            c.put("a", body, sent(bytes_ip=8568, in_bytes_ip=8500) if fits else drop("mtu"))
    six = udp(A6, "2001:db8:1:2::20", 5000, 53, b"x" * (8500 - 48))
    wide = inspected(tables=[rtb(IGW4), rtb(by_gw("10.0.2.0/24"), by_gw("2001:db8:1:2::/64"), sub="S1"), rtb(sub="S2")])
    c.edit(wide).put("a", six, sent(in_bytes_ip=8500)).back(GW, len(c.lines) - 1, deliver("b", bytes_ip=8500))
    yield c.put("a", udp(A6, "2001:db8:1:2::20", 5000, 53, b"x" * (8501 - 48)), drop("mtu"))

    small = inspected(tables=WEST, more={"Mtu": 1500})
    c = Case("gwlb-small-device", "EP-08 MTU-02: where the uplink's device carries less, the sender is told", small)
    c.put("a", udp(A, B, 5000, 53, b"x" * (1432 - 28)), sent(bytes_ip=1500))
    c.put("a", udp(A, B, 5000, 53, b"x" * (1433 - 28)),
          {"action": "reply", "to": "a", "csum": True, "type": 3, "code": 4, "src": "10.0.1.1", "rest": "00000598"})
    yield c.put("a", udp(A, B, 5000, 53, b"x" * (1433 - 28), df=False), drop("mtu")).put(
        "a", udp(A, B, 5000, 53, b"x" * (9001 - 28)), drop("mtu"))

    c = Case("gwlb-fragments", "CT-18: each piece goes through the appliance, and back", BASE)
    whole = F.sealed(F.UDP, F.ip(A), F.ip(X), F.udp(5000, 53, b"y" * 2000))
    parts = [F.ip4(F.ip(A), F.ip(X), F.UDP, whole[:1400], ident=9, more=True),
             F.ip4(F.ip(A), F.ip(X), F.UDP, whole[1400:], ident=9, offset=1400)]
    c.put("a", parts[1], drop("fragment"))
    n = through(c, "a", parts[0], {"in_more": True}, uplink(src=QA, more=True))
    through(c, "a", parts[1], {"in_offset": 1400, "like": n}, uplink(src=QA, offset=1400))
    c.put("a", udp(A, X, 5001, 53), sent())
    yield c.back(GW, len(c.lines) - 1, drop("fragment", "geneve"), inner=F.ip4(F.ip(A), F.ip(X), F.UDP, whole[1400:], ident=10, offset=1400))


def rules():
    c = Case("gwlb-icmp-errors", "CT-14 IGW-05: an error goes the way of the flow that it quotes, with its cookie", BASE)
    first = syn_out(c)
    quote = tcp(QA, X, 40001, 443)[:28]
    error = F.packet("192.0.2.99", QA, F.ICMP, F.icmp(3, 4, struct.pack("!HH", 0, 1400), quote))
    through(c, UP, error, {"in_dst": A, "in_idst": X, "in_isrc": A, "like": first}, deliver("a", dst=A, isrc=A, idst=X))
    other = F.packet("192.0.2.99", QA, F.ICMP, F.icmp(3, 4, struct.pack("!HH", 0, 1400), tcp(QA, X, 40002, 443)[:28]))
    yield c.put(UP, other, NO_FLOW)

    ref = {"b": ([perm("tcp", 80, "sg-a")], OPEN), "a": (OPEN, [perm("tcp", 81, "sg-b"), perm("tcp", 80, "0.0.0.0/0")])}
    c = Case("tv32-reference-behind-an-endpoint", "TV-32 SG-18: a reference matches nobody who is reached through an appliance",
             inspected(ref, WEST))
    c.put("a", tcp(A, B, 40001, 81), drop("sg-egress"))
    yield c.put("a", tcp(A, B, 40001, 80), sent()).back(GW, 1, drop("sg-ingress"))

    shut = {"a": (OPEN, [perm("tcp", 443, "0.0.0.0/0")])}
    c = Case("gwlb-is-tracked", "CT-06: by the endpoint a flow outlives its rule", inspected(shut))
    syn_out(c)
    c.edit(inspected({"a": (OPEN, [])}))
    through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {}, uplink(src=QA))
    yield c.put("a", tcp(A, X, 40002, 443), drop("sg-egress"))

    open_but = [entry(50, False, "deny", "17", A + "/32", (54, 54)), *allow_all()]
    c = Case("gwlb-network-acls", "NACL-12 RT-24: out of the sender's subnet, into the endpoint's, out of it, into the next",
             inspected(nacls=[nacl("E", *open_but, entry(60, True, "deny", "17", "0.0.0.0/0", (55, 55))),
                              nacl("S1", entry(70, True, "deny", "17", "0.0.0.0/0", (56, 56)),
                                   entry(70, False, "deny", "6", X + "/32", (81, 81)), *allow_all())]))
    c.put("a", udp(A, X, 5000, 56), drop("nacl-egress")).put("a", udp(A, X, 5000, 54), drop("nacl-ingress"))
    n = len(c.lines)
    c.put("a", udp(A, X, 5000, 55), sent()).back(GW, n, drop("nacl-egress"))
    yield c.put(UP, tcp(X, QA, 40001, 81), sent()).back(GW, n + 2, drop("nacl-ingress"))

    one = inspected(where="S1", tables=[rtb(IGW4), rtb(by_gw("10.0.2.0/24"), sub="S1"), rtb(by_gw("10.0.1.0/24"), sub="S2")],
                    nacls=[nacl("S1", entry(50, True, "deny", "17", B + "/32", (54, 54)),
                                entry(50, False, "deny", "17", A + "/32", (55, 55)), *allow_all())])
    c = Case("nacl-16-endpoint-in-the-sender's-subnet".replace("'s", "s"), "NACL-16: evaluated on the way to the endpoint", one)
    c.put("a", udp(A, B, 5000, 54), drop("nacl-egress")).put("a", udp(A, B, 5000, 55), drop("nacl-ingress"))
    n = len(c.lines)
    c.put("a", udp(A, B, 5000, 53), sent())
    yield c.edit(edited(one, lambda s: s["VpcEndpoints"][0].update(SubnetIds=["E"]))).put("a", udp(A, B, 5000, 55), sent())

    deny = inspected(where="E")
    deny = edited(deny, lambda s: s["NetworkInterfaces"][0].update(DenyAllIgwTraffic=True))
    c = Case("gwlb-hides-no-eni-from-the-gateway", "ENI-14: whose packet it is still counts behind the appliance", deny)
    n = len(c.lines)
    yield c.put("a", udp(A6, X6, 5000, 53), sent()).back(GW, n, drop("deny-igw"))

    c = Case("gwlb-edits-of-a-live-flow", "RT-25 CT-19: a route into the endpoint and out again; the ENI's entry stays",
             inspected({"a": ([], OPEN)}, [rtb(IGW4, IGW6)]))
    shut = {"a": ([], OPEN)}
    c.put("a", udp(A, X, 5000, 53), uplink(src=QA)).put(UP, udp(X, QA, 53, 5000), deliver("a"))
    c.edit(inspected(shut))
    n = through(c, UP, udp(X, QA, 53, 5000), {}, deliver("a"))
    through(c, "a", udp(A, X, 5000, 53), {"like": n}, uplink(src=QA))
    through(c, UP, udp(X, QA, 53, 5000), {"like": n}, deliver("a"))
    c.edit(inspected(shut, [rtb(IGW4, IGW6)]))
    c.put("a", udp(A, X, 5000, 53), uplink(src=QA)).put(UP, udp(X, QA, 53, 5000), deliver("a"))
    yield c


def nat_on_the_way():
    """A NAT gateway before the endpoint, and behind it: each leg of the flow is a record of its own."""
    behind = (rtb(IGW4), rtb(by_gw("0.0.0.0/0"), sub="S1"), rtb(TO_NAT, sub="E"), rtb(IGW4, by_gw("10.0.1.0/24"), sub="S0"))
    before = (rtb(IGW4), rtb(TO_NAT, sub="S1"), rtb(by_gw("0.0.0.0/0"), sub="S0"), rtb(by_gw("10.0.0.0/24"), gateway="igw-1"))
    for name, tables, inner in (("behind", behind, A), ("before", before, N)):
        s = natted(tables=list(tables))
        s["VpcEndpoints"], s["Hosts"][0]["Uplinks"] = BASE["VpcEndpoints"], BASE["Hosts"][0]["Uplinks"]
        s["Subnets"].append(subnet("E", 7))
        c = Case("gwlb-nat-%s-it" % name, "NAT-02 RT-24: a NAT gateway %s the endpoint" % name, s)
        first = through(c, "a", tcp(A, X, 40001, 443), {"in_src": inner, "in_sport": 40001},
                        uplink(src=QN, dst=X, sport=40001, ttl=63))
        for flags in ("SA", "A"):
            through(c, UP, tcp(X, QN, 443, 40001, flags, 5000, 1001), {"in_dst": inner, "like": first},
                    deliver("a", src=X, dst=A, dport=40001))
            through(c, "a", tcp(A, X, 40001, 443, "A", 1001, 5001), {"in_src": inner, "like": first},
                    uplink(src=QN, sport=40001))
        yield c


def geneve():
    for part in (ways, forgeries, timers, targets, sizes, rules, nat_on_the_way):
        yield from part()
