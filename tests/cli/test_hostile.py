#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Hostile states (E14, E17, E18, E32): every change of a catalogue is refused whole, with a message that names the place and
the value, or tolerated with the right warning. tests/cli/test_hostile_verdicts.py asks the data path about the tolerated
ones. ENID_SEED and ENID_HOSTILE_ROUNDS (1 = a sample, 0 = everything) set the random part."""
import copy
import json
import os
import tempfile

from cli import check, enid, main
from hostile import REFERENCES_UNSAID, ROUNDS, SEED, Verdict, at, changed, full, has, place, refused, rng, tolerated, walk, \
    without, write

BASE = full()
KINDS = {dict: "an object", list: "a list", str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
WRONG = [[], {}, "", "text", 7, 7.5, True]
# Where another type than AWS's is read, because captures have it (JSON-02, SG-05)
LENIENT = ("IpProtocol", "Protocol")


def sample(cases, share):
    """All of them in the long form, else some."""
    cases = list(cases)
    return cases if not ROUNDS else rng.sample(cases, min(len(cases), max(1, int(len(cases) * share * ROUNDS))))


def summary(name, total, wrong):
    check(f"{name}: {total} cases", total and not wrong, f"seed {SEED}: {len(wrong)} wrong: {wrong[:3]}")


# ---- every path

def base_is_valid():
    verdict = Verdict(BASE)
    check("the state with every list is valid, without warnings", verdict.sane and verdict.valid and not verdict.warnings,
          verdict)


def e18_wrong_type_at_every_path():
    """The message names list, index, path and key, what it found and what it wanted."""
    wrong, total = [], 0
    for path, value in walk(BASE):
        for other in sample([w for w in WRONG if type(w) is not type(value) and value is not None], 0.2):
            if path[-1] in LENIENT and other in (7, "text", ""):
                continue
            total += 1
            verdict = Verdict(changed(BASE, path, other))
            key = path[-1] if isinstance(path[-1], str) else place(path[2:])
            item = path[:2] if len(path) > 1 and isinstance(path[1], int) else path[:1]
            parts = [place(item), place(path[len(item):-1]), key, KINDS[type(other)] + ", not "]
            if not verdict.sane or verdict.valid or not has(verdict.errors, *parts):
                wrong.append((place(path), other, str(verdict)))
    summary("E18: a value of the wrong type is refused by path", total, wrong)


def e14_null_is_absent_everywhere():
    """JSON-03: null says what no key says, no more; and not one of them makes the agent fall over."""
    wrong, total = [], 0
    for path, _ in sample([(p, v) for p, v in walk(BASE) if isinstance(p[-1], str)], 0.5):
        total += 1
        null, gone = Verdict(changed(BASE, path, None)), Verdict(without(BASE, path))
        if not null.sane or not null.same(gone):
            wrong.append((place(path), str(null), str(gone)))
    summary("E14: null is the same as absent", total, wrong)
    wrong, total = [], 0
    for path, _ in sample([(p, v) for p, v in walk(BASE) if isinstance(p[-1], int)], 0.5):
        total += 1
        verdict = Verdict(changed(BASE, path, None))
        if not verdict.sane:
            wrong.append((place(path), str(verdict)))
    summary("E14: null as a list element", total, wrong)


def e18_dangling_reference_is_named():
    """Whatever an id points at: when it is not in the state, a message names it."""
    wrong, total = [], 0
    for path, value in walk(BASE):
        key = path[-1] if isinstance(path[-1], str) else path[-2]
        where = (path[0], key)
        if not isinstance(value, str) or not key.endswith(("Id", "Ids")) or value == "VpcLattice" or where in REFERENCES_UNSAID or \
                (len(path) == 3 and path[2] in OWN.get(path[0], ())) or \
                "blackhole" in str(at(BASE, path[:-1])):  # a route that leads nowhere anyway
            continue
        total += 1
        verdict = Verdict(changed(BASE, path, "none-0badcafe"))
        if not verdict.sane or not has(verdict.errors + verdict.warnings, path[0], "none-0badcafe"):
            wrong.append((place(path), str(verdict)))
    summary("E18: a reference to nothing is named", total, wrong)


# The keys that an object is known by, and those that name things outside of the state
OWN = {name: {next(iter(entries[0])), "OwnerId", "ResourceOwnerId", "AvailabilityZoneId", "AllocationId"}
       for name, entries in BASE.items() if isinstance(entries, list) and entries and isinstance(entries[0], dict)}


def e18_duplicate_ids():
    """JSON-06: the same object twice counts once; one that says something else is refused, naming both places."""
    wrong, total = [], 0
    for name, entries in BASE.items():
        if not isinstance(entries, list) or name == "Unknown":
            continue
        for index, entry in enumerate(entries):
            total += 1
            twice = Verdict(changed(BASE, (name,), entries + [entry]))
            if not twice.sane or not twice.valid or twice.warnings:
                wrong.append((name, index, "the same", str(twice)))
            key, other = conflicting(name, entry)
            if key is None:
                continue
            verdict = Verdict(changed(BASE, (name,), entries + [dict(entry, **{key: other})]))
            if verdict.valid or not has(verdict.errors, f"{key} differs from the one in", name,
                                        f"{name}[{index}]", f"{name}[{len(entries)}]"):
                wrong.append((name, index, key, str(verdict)))
    summary("E18: an object twice", total, wrong)


def conflicting(name, entry):
    """A key of the entry that may say something else, well-formed."""
    for key, value in entry.items():
        if key in ("Tags",) or key in OWN[name] - {"OwnerId"} or (name.startswith("TransitGateway") and key.endswith("Id")) or \
                (name == "SecurityGroupVpcAssociations" and key == "VpcId"):
            continue
        if isinstance(value, str) and (key.endswith("Id") or key in ("State", "InterfaceType")):
            return key, "other-1"
        if isinstance(value, bool):
            return key, not value
    return None, None


def e18_lost_object():
    """Any object taken out: what pointed at it is told of; the state loads, or is refused by name, never halfway."""
    wrong, total = [], 0
    for name, entries in BASE.items():
        for index, entry in enumerate(entries if isinstance(entries, list) and name != "Unknown" else []):
            total += 1
            verdict = Verdict(without(BASE, (name, index)))
            own = next(iter(entry.values()))
            if not verdict.sane or (not verdict.valid and not has(verdict.errors, own)):
                wrong.append((name, index, str(verdict)))
    summary("E18: an object missing", total, wrong)


# ---- single values: (what, path, value, parts of the message)

VPC, SUBNET, GROUP, ENI = ("Vpcs", 1), ("Subnets", 3), ("SecurityGroups", 0), ("NetworkInterfaces", 3)
RULE = GROUP + ("IpPermissions", 0)
NACL = ("NetworkAcls", 0, "Entries", 1)


def e18_ports():
    huge = [(-2, "FromPort -2 is not within -1..65535"), (65536, "65536"), (2 ** 31, str(2 ** 31)), (2 ** 53 + 1, str(2 ** 53 + 1)),
            (-2 ** 63, str(-2 ** 63)), (1e99, "is a number, not an integer"), (80.0, "is a number, not an integer"),
            ("80", "is a string, not an integer"), (False, "is a boolean, not an integer")]
    for value, text in huge:
        refused(f"E18: FromPort {value!r}", changed(BASE, RULE + ("FromPort",), value), "SecurityGroups[0] sg-web",
                "IpPermissions[0]", "FromPort", text)
    for low, high, text in ((81, 80, "81-80 is empty"), (-1, 80, "-1 to 80 mixes"), (80, -1, "80 to -1 mixes"),
                            (None, 80, "FromPort is missing"), (80, None, "ToPort is missing")):
        state = changed(changed(BASE, RULE + ("FromPort",), low), RULE + ("ToPort",), high)
        refused(f"E18: ports {low} to {high}", state, "SecurityGroups[0] sg-web: IpPermissions[0]", text)
    for kind, code, text in ((-1, 0, "ICMP code 0 without a type"), (256, 0, "256"), (8, 256, "256"), (None, 0, "FromPort")):
        state = changed(BASE, RULE, {"IpProtocol": "icmp", "FromPort": kind, "ToPort": code, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
        refused(f"E18: ICMP {kind}/{code}", state, "sg-web: IpPermissions[0]", text)
    for low, high in ((0, 0), (65535, 65535), (0, 65535)):
        tolerated(f"E18: ports {low} to {high}", changed(changed(BASE, RULE + ("FromPort",), low), RULE + ("ToPort",), high))
    tolerated("E18: ports -1 to -1 of TCP", changed(changed(BASE, RULE + ("FromPort",), -1), RULE + ("ToPort",), -1),
              "sg-web: IpPermissions[0]", "read as all ports")
    for value, text in ((256, "256"), (-2, "-2"), ("256", "256"), ("tcp ", "'tcp '"), ("06x", "06x"), ("+6", "+6"), (" 6", " 6"),
                        ("", ""), ("1e1", "1e1"), ("0x6", "0x6"), ("99999999999999999999", "99999999999999999999")):
        refused(f"E18: IpProtocol {value!r}", changed(BASE, RULE + ("IpProtocol",), value), "sg-web: IpPermissions[0]",
                "IpProtocol", text)


def e18_nacl():
    for key, value, text in (("RuleNumber", 0, "0 is not within 1..32768"), ("RuleNumber", 32769, "32769"),
                             ("RuleNumber", -1, "-1"), ("RuleNumber", None, "RuleNumber is missing"),
                             ("RuleAction", "permit", "'permit' is not one of allow|deny"), ("RuleAction", None, "missing"),
                             ("RuleAction", "allow\n", "allow"), ("Egress", None, "Egress is missing"),
                             ("Egress", "false", "Egress is a string"), ("PortRange", None, "PortRange is missing"),
                             ("PortRange", {"From": 23, "To": 22}, "23-22 is empty"), ("PortRange", {"From": 22}, "To is missing"),
                             ("PortRange", {"From": -1, "To": -1}, "-1 to -1"), ("PortRange", {}, "From is missing"),
                             ("CidrBlock", None, "neither CidrBlock nor Ipv6CidrBlock"),
                             ("Ipv6CidrBlock", "::/0", "both CidrBlock and Ipv6CidrBlock")):
        refused(f"E18: NACL {key} {value!r}", changed(BASE, NACL, dict(at(BASE, NACL), **{key: value})), "NetworkAcls[0] acl-1",
                "Entries", text)
    refused("E18: an allow numbered as the implied deny", changed(changed(BASE, NACL + ("RuleNumber",), 32767),
                                                                  NACL + ("RuleAction",), "allow"), "acl-1", "32767")
    entries = BASE["NetworkAcls"][0]["Entries"]
    refused("E18: one rule number twice", changed(BASE, ("NetworkAcls", 0, "Entries"), entries + [dict(
        entries[1], RuleAction="allow")]), "acl-1", "RuleNumber 90 stands twice for ingress traffic")
    tolerated("E18: one entry twice", changed(BASE, ("NetworkAcls", 0, "Entries"), entries + [entries[1]]))


def e15_cidr_spellings():
    bad4 = ("10.50.0.0", "10.50.0.0/", "10.50.0.0/33", "10.50.0.0/-1", "10.50.0.0/016", "10.50.0.0/1e1", "10.50.0/16", "10.50/16",
            "010.50.0.0/16", "10.050.0.0/16", "0x0a.50.0.0/16", "10.50.0.0/16 ", " 10.50.0.0/16", "10.50.0.0/16\n", "10.50.0.256/16",
            "10.50.0.0.0/16", "10.50.0.0/16/16", "10.50.0.0/+16", "١٠.50.0.0/16", "::/0", "::ffff:10.50.0.0/112", "any", "0", "/",
            "/16", "10.50.0.0%eth0/16", "1" * 5000)
    for text in bad4:
        refused(f"E15: IPv4 CIDR {text[:30]!r}", changed(BASE, RULE + ("IpRanges", 0, "CidrIp"), text),
                "sg-web: IpPermissions[0].IpRanges[0]", "CidrIp", "is not an IPv4 CIDR", text[:20].split("\n")[0])
    bad6 = ("::", "::/129", "::/", ":::/0", "2001:db8::1::/64", "fe80::%eth0/64", "12345::/16", "2001:db8/32", "0.0.0.0/0",
            "::/00", "::/0x0", "[::]/0", "2001:db8:0:0:0:0:0:0:0/64", "::ffff:1.2.3/96")
    for text in bad6:
        refused(f"E15: IPv6 CIDR {text!r}", changed(BASE, RULE + ("Ipv6Ranges", 0, "CidrIpv6"), text),
                "sg-web: IpPermissions[0].Ipv6Ranges[0]", "CidrIpv6", text, "is not an IPv6 CIDR")
    for text, canonical in (("10.50.7.9/16", "10.50.0.0/16"), ("1.2.3.4/0", "0.0.0.0/0"), ("255.255.255.255/31", "255.255.255.254/31")):
        tolerated(f"E15: host bits in {text}", changed(BASE, RULE + ("IpRanges", 0, "CidrIp"), text), "sg-web", text, canonical)
    for text in ("::FFFF:10.0.0.0/104", "0:0:0:0:0:0:0:0/0", "2001:DB8::/32", "2001:0db8:0000::/48"):
        tolerated(f"E15: {text}", changed(BASE, RULE + ("Ipv6Ranges", 0, "CidrIpv6"), text))


def e18_addresses_and_places():
    for what, path, value, *parts in (
            ("VPC /15", VPC + ("CidrBlock",), "10.50.0.0/15", "vpc-b", "10.50.0.0/15", "16..28"),
            ("VPC /29", VPC + ("CidrBlock",), "10.50.0.0/29", "vpc-b", "10.50.0.0/29"),
            ("VPC in 127/8", VPC + ("CidrBlock",), "127.0.0.0/16", "vpc-b", "127.0.0.0/16"),
            ("VPC multicast", VPC + ("CidrBlock",), "224.0.0.0/16", "vpc-b", "224.0.0.0/16"),
            ("Vni 0", VPC + ("Vni",), 0, "vpc-b", "Vni 0 is not within 1..16777215"),
            ("Vni 2^24", VPC + ("Vni",), 1 << 24, "vpc-b", "Vni 16777216"),
            ("Vni of another VPC", VPC + ("Vni",), 77, "Vni 77 is that of vpc-b"),
            ("subnet outside its VPC", SUBNET + ("CidrBlock",), "10.99.0.0/24", "subnet-b", "10.99.0.0/24", "vpc-b"),
            ("subnet over another", ("Subnets", 1, "CidrBlock"), "10.40.1.0/25", "10.40.1.0/25", "10.40.1.0/24", "subnet-p"),
            ("group address as MAC", ENI + ("MacAddress",), "01:00:00:00:00:01", "eni-b", "01:00:00:00:00:01"),
            ("zero MAC", ENI + ("MacAddress",), "00:00:00:00:00:00", "eni-b", "00:00:00:00:00:00"),
            ("short MAC", ENI + ("MacAddress",), "02:00:00:00:01", "eni-b", "02:00:00:00:01"),
            ("MAC with blanks", ENI + ("MacAddress",), "02: 0:00:00:00:01", "eni-b", "unicast MAC"),
            ("address of nobody's form", ENI + ("PrivateIpAddress",), "10.50.1", "eni-b", "10.50.1"),
            ("leading zero", ENI + ("PrivateIpAddress",), "10.50.1.010", "eni-b", "10.50.1.010"),
            ("ENI of another VPC's subnet", ENI + ("VpcId",), "vpc-a", "eni-b", "subnet-b", "vpc-a"),
            ("TCP time-out 59", ENI + ("ConnectionTrackingConfiguration",), {"TcpEstablishedTimeout": 59}, "eni-b", "59"),
            ("TCP time-out 432001", ENI + ("ConnectionTrackingConfiguration",), {"TcpEstablishedTimeout": 432001}, "432001"),
            ("host port of no ENI", ("Hosts", 1, "Ports", 0, "NetworkInterfaceId"), "eni-x", "host-a: Ports[0]", "eni-x"),
            ("ENI at two hosts", ("Hosts", 1, "Ports", 0, "NetworkInterfaceId"), "eni-b", "eni-b is a port of"),
            ("device twice", ("Hosts", 1, "Ports", 0, "Device"), "tap-db", "host-a", "Device tap-db stands twice"),
            ("port on the uplink", ("Hosts", 1, "Ports", 0, "Device"), "up0", "host-a", "Device up0 stands twice"),
            ("device path", ("Hosts", 1, "Ports", 0, "Device"), "../tap", "host-a", "'../tap'"),
            ("device ..", ("Hosts", 1, "Ports", 0, "Device"), "..", "host-a", "'..'"),
            ("device of 16", ("Hosts", 1, "Ports", 0, "Device"), "d" * 16, "host-a", "d" * 16),
            ("hook", ("Hosts", 1, "Ports", 0, "Hook"), "ebpf", "host-a: Ports[0]", "'ebpf' is not one of auto|xdp|tc"),
            ("tunnel address twice", ("Hosts", 1, "TunnelAddress"), "192.0.2.12", "TunnelAddress is that of"),
            ("id of 64", VPC + ("VpcId",), "v" * 64, "Vpcs[1]", "v" * 64)):
        refused(f"E18: {what}", changed(BASE, path, value), *parts)
    for what, name, entry, *parts in (
            ("private address twice", "NetworkInterfaces", dict(at(BASE, ENI), NetworkInterfaceId="eni-c", MacAddress="02:00:00:00:99:99"),
             "private address 10.50.", "eni-b"),
            ("MAC twice", "NetworkInterfaces", dict(at(BASE, ENI), NetworkInterfaceId="eni-c", PrivateIpAddress="10.50.1.99",
                                                   PrivateIpAddresses=[]), "MacAddress is that of eni-b"),
            ("second main table", "RouteTables", {"RouteTableId": "rtb-x", "VpcId": "vpc-a", "Associations": [{"Main": True}]},
             "vpc-a has the main route table rtb-main already"),
            ("second default ACL", "NetworkAcls", {"NetworkAclId": "acl-x", "VpcId": "vpc-a", "IsDefault": True}, "acl-1"),
            ("subnet with two ACLs", "NetworkAcls", {"NetworkAclId": "acl-x", "VpcId": "vpc-a", "Associations": [
                {"SubnetId": "subnet-pub"}]}, "subnet-pub", "acl-1"),
            ("ACL of another VPC", "NetworkAcls", {"NetworkAclId": "acl-x", "VpcId": "vpc-a", "Associations": [
                {"SubnetId": "subnet-b"}]}, "acl-x", "subnet-b is a subnet of another VPC"),
            ("subnet with two tables", "RouteTables", {"RouteTableId": "rtb-x", "VpcId": "vpc-a", "Associations": [
                {"SubnetId": "subnet-pub"}]}, "subnet-pub", "rtb-pub"),
            ("gateway id of another kind", "VpnGateways", {"VpnGatewayId": "igw-1"}, "igw-1"),
            ("prefix list in a prefix list", "PrefixLists", {"PrefixListId": "pl-x", "Cidrs": ["pl-x"]}, "pl-x", "Cidrs[0]",
             "'pl-x' is not a CIDR")):
        refused(f"E18: {what}", changed(BASE, (name,), BASE[name] + [entry]), *parts)


def e18_routes():
    table = {"RouteTableId": "rtb-x", "VpcId": "vpc-a", "Associations": []}
    for what, routes, *parts in (
            ("two targets", [{"DestinationCidrBlock": "1.0.0.0/8", "GatewayId": "igw-1", "NatGatewayId": "nat-1"}], "Routes[0]",
             "two targets, GatewayId and NatGatewayId"),
            ("no destination", [{"GatewayId": "igw-1"}], "Routes[0]", "has 0 of DestinationCidrBlock"),
            ("two destinations", [{"DestinationCidrBlock": "1.0.0.0/8", "DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1"}],
             "Routes[0]", "has 2 of DestinationCidrBlock"),
            ("two ways", [{"DestinationCidrBlock": "1.0.0.0/8", "GatewayId": "igw-1"}, {
                "DestinationCidrBlock": "1.0.0.0/8", "NatGatewayId": "nat-1"}], "1.0.0.0/8", "igw-1", "nat-1"),
            ("reserved range", [{"DestinationCidrBlock": "169.254.169.254/32", "GatewayId": "igw-1"}], "169.254.169.254/32")):
        refused(f"E18: route with {what}", changed(BASE, ("RouteTables",), BASE["RouteTables"] + [dict(table, Routes=routes)]),
                "rtb-x", *parts)


def e18_cycles():
    """What points at itself is no danger: references are followed one step only."""
    tolerated("E18: a group that admits itself", changed(BASE, RULE, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-web"}]}))
    ring = [{"GroupId": f"sg-{i}", "VpcId": "vpc-a", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [
        {"GroupId": f"sg-{(i + 1) % 50}"}]}]} for i in range(50)]
    tolerated("E18: a ring of 50 groups", changed(BASE, ("SecurityGroups",), BASE["SecurityGroups"] + ring))
    peering = {"VpcPeeringConnectionId": "pcx-self", "Status": {"Code": "active"}, "RequesterVpcInfo": {"VpcId": "vpc-a"},
               "AccepterVpcInfo": {"VpcId": "vpc-a"}}
    tolerated("E18: a peering of a VPC with itself", changed(BASE, ("VpcPeeringConnections",), BASE["VpcPeeringConnections"] + [
        peering]), "pcx-self", "joins VPCs that overlap")
    loop = {"DestinationCidrBlock": "1.0.0.0/8", "NetworkInterfaceId": "eni-web"}
    table = {"RouteTableId": "rtb-x", "VpcId": "vpc-a", "Associations": [{"SubnetId": "subnet-six"}], "Routes": [loop]}
    tolerated("E18: a route to an ENI of the subnet itself", changed(BASE, ("RouteTables",), BASE["RouteTables"] + [table]))


# ---- quotas and many errors

def e18_quotas():
    """VPC-20: at a quota nothing is said; beyond it a warning, since quotas can be raised. Limits of ours are refused."""
    def group(n):
        return {"GroupId": "sg-big", "VpcId": "vpc-a", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "IpRanges": [
            {"CidrIp": f"1.{i >> 8}.{i & 255}.0/24"} for i in range(n)]}]}

    def nacl(n):
        return {"NetworkAclId": "acl-big", "VpcId": "vpc-a", "Entries": [{
            "RuleNumber": i + 1, "Protocol": "-1", "RuleAction": "deny", "Egress": False, "CidrBlock": f"1.{i}.0.0/16"} for i in range(n)]}

    def table(n):
        return {"RouteTableId": "rtb-big", "VpcId": "vpc-a", "Routes": [{
            "DestinationCidrBlock": f"1.{i >> 8}.{i & 255}.0/24", "GatewayId": "igw-1"} for i in range(n)]}

    def vpc(n):
        return {"VpcId": "vpc-big", "CidrBlock": "10.0.0.0/24", "CidrBlockAssociationSet": [
            {"CidrBlock": f"10.0.{i}.0/24"} for i in range(n)]}
    for name, make, limit, text in (("SecurityGroups", group, 1000, "sg-big"), ("NetworkAcls", nacl, 40, "acl-big"),
                                    ("RouteTables", table, 1000, "rtb-big"), ("Vpcs", vpc, 50, "vpc-big")):
        tolerated(f"E18: {name}: {limit}, the quota", changed(BASE, (name,), BASE[name] + [make(limit)]))
        tolerated(f"E18: {name}: {limit + 1}", changed(BASE, (name,), BASE[name] + [make(limit + 1)]), text, f"{limit + 1}",
                  "beyond the quota of", f"{limit}")

    def subnets(n):
        return [{"SubnetId": f"subnet-{i}", "VpcId": "vpc-b", "CidrBlock": f"10.50.{i >> 4 | 128}.{(i & 15) * 16}/28"} for i in range(n)]
    own = sum(subnet["VpcId"] == "vpc-b" for subnet in BASE["Subnets"])
    tolerated("E18: 200 subnets", changed(BASE, ("Subnets",), BASE["Subnets"] + subnets(200 - own)))
    tolerated("E18: 201 subnets", changed(BASE, ("Subnets",), BASE["Subnets"] + subnets(201 - own)), "vpc-b", "has 201 subnets", "200")
    six = [{"Ipv6CidrBlock": f"2001:db8:40:a{i}::/64"} for i in range(6)]
    tolerated("E18: 5 IPv6 CIDRs of a subnet", changed(BASE, ("Subnets", 1, "Ipv6CidrBlockAssociationSet"), six[:5]))
    refused("E18: 6 IPv6 CIDRs of a subnet", changed(BASE, ("Subnets", 1, "Ipv6CidrBlockAssociationSet"), six), "subnet-prv",
            "has 6 IPv6 CIDRs, more than 5")
    more = [{"GroupId": f"sg-{i}", "VpcId": "vpc-a"} for i in range(17)]
    state = changed(BASE, ("SecurityGroups",), BASE["SecurityGroups"] + more)
    where = ("NetworkInterfaces", 0, "Groups")
    tolerated("E18: 16 groups of an ENI", changed(state, where, more[:16]))
    tolerated("E18: 17 groups of an ENI", changed(state, where, more), "eni-web", "has 17 security groups", "16")


def e18_many_errors_at_once():
    errors = Verdict(changed(BASE, RULE + ("IpRanges",), [{"CidrIp": f"10.0.0.{i}"} for i in range(1500)])).errors
    check("E18: 1,500 errors: 1,000 are listed, each with its place, and the rest is counted", len(errors) == 1001 and
          errors[-1] == "and 500 more errors" and all(f"IpRanges[{i}]" in errors[i] for i in range(1000)), errors[-2:])
    state, wanted = copy.deepcopy(BASE), []
    for name, key, value in (("Vpcs", "CidrBlock", "x1"), ("Subnets", "CidrBlock", "x2"), ("NetworkInterfaces", "MacAddress", "x3"),
                             ("Hosts", "TunnelAddress", "x4"), ("InternetGateways", "Attachments", "x5"),
                             ("FlowLogs", "MaxAggregationInterval", 59), ("CustomerGateways", "IpAddress", "x6")):
        state[name][0][key] = value
        wanted.append((name, key))
    errors = Verdict(state).errors
    check("E18: an error in each of seven lists: all at once", all(has(errors, *parts) for parts in wanted), errors)


# ---- the text itself

def e17_text():
    text = json.dumps({"Vpcs": [{"VpcId": "v1", "CidrBlock": "10.0.0.0/16"}]})
    tolerated("E17: (the text without harm)", text)
    for what, data in (("byte order mark", b"\xef\xbb\xbf" + text.encode()), ("UTF-16", text.encode("utf-16")),
                       ("NUL byte", text.encode() + b"\0"), ("NUL inside", text.encode().replace(b"v1", b"v\0")),
                       ("escaped NUL", text.replace("v1", "v\\u0000")), ("Latin-1", text.replace("v1", "é").encode("latin-1")),
                       ("overlong UTF-8", text.encode().replace(b"v1", b"\xc0\xaf")), ("UTF-8 surrogate", text.encode().replace(
                           b"v1", b"\xed\xa0\x80")), ("half a surrogate pair", text.replace("v1", "\\ud800")),
                       ("UTF-8 above U+10FFFF", text.encode().replace(b"v1", b"\xf4\x90\x80\x80")), ("comment", "/* */" + text),
                       ("trailing comma", text.replace("}]}", "},]}")), ("two documents", text + text), ("nothing", ""),
                       ("blanks", " \n"), ("a list", "[]"), ("a string", '"x"'), ("null", "null"), ("NaN", text.replace('"v1"', "NaN")),
                       ("hexadecimal", text.replace('"v1"', "0x1")), ("+1", text.replace('"v1"', "+1")),
                       ("single quotes", text.replace('"', "'")), ("bare key", text.replace('"VpcId"', "VpcId")),
                       ("overflow", text.replace('"v1"', "1e999")), ("an integer beyond 64 bits", text.replace('"v1"', "9" * 30)),
                       ("cut off", text[:-1]), ("33 levels", "[" * 33 + "]" * 33), ("a million levels", "[" * 1000000)):
        refused(f"E17: {what}", data, "s.json: ")
    levels = [(), ("Vpcs",), ("Vpcs", 0), ("Vpcs", 0, "CidrBlockAssociationSet", 0), RULE, RULE + ("IpRanges", 0), NACL + ("PortRange",),
              ("Hosts", 1, "Ports", 0)]
    for path in [p for p in levels if isinstance(at(BASE, p), dict)]:
        marked = json.dumps(changed(BASE, path, dict(at(BASE, path), TWICE=1)) if path else dict(BASE, TWICE=1))
        doubled = marked.replace('"TWICE": 1', '"TWICE": 1, "TWICE": 1')
        tolerated(f"E17: (an unknown key at {place(path) or 'the top'})", marked)
        refused(f"E17: one key twice at {place(path) or 'the top'}", doubled, "line 1, column", "duplicate object key", "TWICE")


# ---- names

NAMES = ("a\nb", "a\r\nerror: forged", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\tb", "a b", "é", "\u2028", "\u202eevil", "\x7f", "\x9b31m",
         "", " ", "v" * 64, "v" * 100000, "\U0001f600", "\ufeff", "\0")
ODD = ("%s%n%x", 'a"b', "a'b", "a\\b", "$(reboot)", "`id`", "a;b", "../../etc", "<script>", "{}", "a,b", "--help", "a" * 63, "%1$s", "\\n")


TURNING = set("\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text):
    return all(c == "\n" or (c >= " " and not "\x7f" <= c <= "\x9f" and c not in TURNING) for c in text)


def e32_names_stay_on_their_line():
    """In ids: what could leave its line is refused, what is merely odd is a name like any other. One line a message."""
    for name in NAMES:
        state = changed(BASE, ("Vpcs", 2, "VpcId"), name)
        path = write(state)
        done = enid("check", path)
        lines = done.err.splitlines()
        check(f"E32: id {name[:12]!r}: refused, one clean line a message", done.code == 1 and clean(done.err) and lines and
              all(line.startswith(("error: ", "warning: ")) for line in lines) and ("VpcId" in done.err or name == "\0") and
              len(max(lines, key=len)) < 600, done)
    for name in ODD:
        state = changed(BASE, ("Vpcs", 2, "VpcId"), name)
        done = enid("check", write(state))
        check(f"E32: id {name[:12]!r} is an id", done.code == 0 and clean(done.err) and done.out.endswith("0 errors, 1 warning\n"), done)
        missing = enid("check", write(changed(BASE, ("Subnets", 0, "VpcId"), name)))
        check(f"E32: ... and is told of as it is", name in missing.err and clean(missing.err), missing)


def e32_text_elsewhere():
    """Names that people choose, and files."""
    for name in NAMES[:15]:
        for where in (("SecurityGroups", 0, "GroupName"), ("FlowLogs", 0, "LogDestination"), ("Vpcs", 0, "OwnerId"),
                      ("NetworkAcls", 0, "Entries", 1, "RuleAction"), ("Hosts", 1, "Ports", 0, "Device"), (RULE + ("IpProtocol",))):
            done = enid("check", write(changed(BASE, where, name)))
            lines = done.err.splitlines()
            good = clean(done.err) and clean(done.out) and all(line.startswith(("error: ", "warning: ")) for line in lines)
            check(f"E32: {place(where)} {name[:12]!r}", good and done.code == (1 if "error: " in done.err else 0), done)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a\nerror: forged.json", "\x1b[31m.json", "%s%n.json"):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write("{")
        done = enid("check", folder)
        check("E32: files with such names", done.code == 1 and clean(done.err) and len(done.err.splitlines()) == 3 and
              "%s%n.json" in done.err, done)


if __name__ == "__main__":
    print(f"# ENID_SEED={SEED} ENID_HOSTILE_ROUNDS={ROUNDS}")
    main(base_is_valid, e18_wrong_type_at_every_path, e14_null_is_absent_everywhere, e18_dangling_reference_is_named,
         e18_duplicate_ids, e18_lost_object, e18_ports, e18_nacl, e15_cidr_spellings, e18_addresses_and_places, e18_routes,
         e18_cycles, e18_quotas, e18_many_errors_at_once, e17_text, e32_names_stay_on_their_line, e32_text_elsewhere)
