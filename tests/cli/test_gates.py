#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What gateways choose by a secret hash, where a golden case cannot know the choice; and forged ICMP errors through each."""
import json
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cli import check, main, replay  # noqa: E402
from author import A, A6, MAC, QA, UP, X, X6, frame, route, tcp, udp  # noqa: E402
import author  # noqa: E402
from edges import EIGW  # noqa: E402
from gates import inspected, nat_in_v2  # noqa: E402
from gateways import C, D, LOCAL, R, TGW_ROUTES, associated, by_tgw, network, rtb, tgw_route, transit  # noqa: E402
from nat import QN, natted  # noqa: E402
import frames as F  # noqa: E402

FLOWS = 64


def answers(state, lines, hook="tc"):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(state, f)
        f.flush()
        done = replay(f.name, lines, "--host", "host-a", "--hook", hook, timeout=300)
    found = done.lines()
    if len(found) != len(lines):
        raise RuntimeError(str(done))
    return found


def line(port, body):
    smac = MAC["up"] if port == UP or port.startswith(("vpn-", "eigw-")) else MAC[port]
    return {"port": port, "packet": F.frame(smac, MAC["router"], body).hex()}


def tgw10_appliance_mode():
    """TGW-10: one appliance for both ways of a flow, and both appliances for some."""
    for zones in (("eu-west-1a", "eu-west-1a"), ("eu-west-1a", "eu-west-1b")):
        lines = [line(*way) for n in range(FLOWS) for way in (("a", udp(A, D, 4000 + n, 99)), ("d", udp(D, A, 99, 4000 + n)))]
        for hook in ("tc", "xdp"):
            found = [o.get("to") for o in answers(inspected(True, zones), lines, hook)]
            check("TGW-10: both ways of %d flows by one appliance (%s, %s)" % (FLOWS, zones[1], hook), found[::2] == found[1::2], found)
            check("TGW-10: flows are spread over the appliances (%s, %s)" % (zones[1], hook), set(found) == {"c", "e"} and
                  FLOWS // 8 < found[::2].count("c") < FLOWS - FLOWS // 8, found)


def tgw09_equal_cost():
    """TGW-09: a flow keeps to its connection, flows are spread, by addresses as well as by ports."""
    tied = transit(routes=TGW_ROUTES[:1] + (tgw_route("172.20.0.0/16", "att-7", "att-8", kind="propagated"),),
                   tables=[rtb("v1", LOCAL, by_tgw("172.20.0.0/16"))], tgw={"VpnEcmpSupport": "enable"}, links=["vpn-7", "vpn-8"],
                   more=[associated("att-7", "tgw-rtb-1", kind="vpn", resource="vpn-7"),
                         associated("att-8", "tgw-rtb-1", kind="vpn", resource="vpn-8")])
    for what, packets in (("ports", [udp(A, R, 4000 + n, 99) for n in range(FLOWS)]),
                          ("addresses", [author.ping(A, "172.20.1.%d" % n, ident=1) for n in range(FLOWS)])):
        found = [o.get("to") for o in answers(tied, [line("a", p) for p in packets for _ in range(3)])]
        check("TGW-09: a flow keeps to its connection (%s)" % what, found[::3] == found[1::3] == found[2::3], found)
        check("TGW-09: flows are spread (%s)" % what, set(found) == {"vpn-7", "vpn-8"} and
              FLOWS // 8 < found[::3].count("vpn-7") < FLOWS - FLOWS // 8, found)


# ---- forged errors

ERRORS = {4: [(3, 1), (3, 3), (3, 4), (11, 0), (12, 0)], 6: [(1, 4), (2, 0), (3, 0), (4, 0)]}


def error(src, dst, kind, code, quoted):
    six = ":" in src
    rest = struct.pack("!I", 1300)
    return F.packet(src, dst, F.ICMP6 if six else F.ICMP, F.icmp(kind, code, rest, quoted))


def forgeries(inside, outside, sport, dport):
    """Quotes that differ from the live flow, which `inside` sees as inside:sport -> outside:dport, in one thing."""
    other = "2001:db8:ffff::66" if ":" in outside else "198.51.100.66"
    yield "another port inside", F.packet(inside, outside, F.UDP, F.udp(sport + 1, dport))
    yield "another port outside", F.packet(inside, outside, F.UDP, F.udp(sport, dport + 1))
    yield "another address outside", F.packet(inside, other, F.UDP, F.udp(sport, dport))
    yield "another protocol", F.packet(inside, outside, F.TCP, F.tcp(sport, dport, "A"))
    yield "the other direction", F.packet(outside, inside, F.UDP, F.udp(dport, sport))


def c19_forged_errors():
    """C19, CT-14: of the errors from outside only those pass that quote a live flow exactly, by each gateway and each family;
    forged ones never, and open nothing."""
    shut = {"a": ([], author.OPEN), "c": ([], author.OPEN)}
    tracked = [author.perm("-1", None, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")]
    shut = {n: ([], tracked) for n in shut}
    six = network(shut, [rtb("v1", LOCAL, author.IGW4, author.IGW6),
                         rtb("v1", LOCAL, route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), sub="S1")], **dict(EIGW, uplinks=["eigw-1"]))
    site = dict(more=[associated("att-7", "tgw-rtb-1", kind="vpn", resource="vpn-7")], links=["vpn-7"])
    by_vpn = transit(shut, routes=TGW_ROUTES + (tgw_route("172.20.0.0/16", "att-7"),), tables=[rtb("v1", LOCAL, by_tgw("172.20.0.0/16"))], **site)
    nat_vpn = nat_in_v2(shut, behind=[by_tgw("172.20.0.0/16")], routes=TGW_ROUTES + (tgw_route("172.20.0.0/16", "att-7"),), **site)
    ways = (("internet gateway", network(shut), "a", A, UP, QA, X), ("internet gateway, IPv6", network(shut), "a", A6, UP, A6, X6),
            ("NAT gateway", natted({"a": shut["a"]}), "a", A, UP, QN, X), ("egress-only gateway", six, "a", A6, "eigw-1", A6, X6),
            ("transit gateway", by_vpn, "a", A, "vpn-7", A, R), ("NAT and transit gateway", nat_vpn, "c", C, "vpn-7", "10.2.7.100", R))
    for name, state, guest, inside, port, outside, far in ways:
        router = "2001:db8:ffff::1" if ":" in far else far.rsplit(".", 1)[0] + ".1"
        begin = [line(guest, udp(inside, far, 4000, 99))]
        exact = F.packet(outside, far, F.UDP, F.udp(4000, 99))
        cases = [(error(source, outside, kind, code, quoted), good, "%s, type %d code %d" % (what, kind, code))
                 for kind, code in ERRORS[6 if ":" in far else 4] for source in (router, far)
                 for what, quoted, good in [("exact", exact, True)] + [(w, q, False) for w, q in forgeries(outside, far, 4000, 99)]]
        cases.append((error(router, outside, *ERRORS[6 if ":" in far else 4][0], exact[:24]), False, "cut short"))
        for hook in ("tc", "xdp"):
            before = answers(state, [line(port, packet) for packet, _, _ in cases], hook)
            check("C19: nothing is quoted before there is a flow: %s (%s)" % (name, hook), all(o["action"] == "drop" for o in before),
                  [c[2] for c, o in zip(cases, before) if o["action"] != "drop"])
            first, *found = answers(state, begin + [line(port, packet) for packet, _, _ in cases], hook)
            wrong = [(what, o["action"], o.get("reason")) for (_, good, what), o in zip(cases, found) if (o["action"] == "deliver") != good]
            check("C19: %d errors through the %s (%s)" % (len(cases), name, hook), first["action"] == "uplink" and not wrong, wrong or first)


if __name__ == "__main__":
    main(tgw10_appliance_mode, tgw09_equal_cost, c19_forged_errors)
