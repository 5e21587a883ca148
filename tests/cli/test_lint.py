#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid check --lint: each finding by an edit of a state that has none, and silence where the edit is undone or harmless; every
id stands in enid-check(8)."""
import copy
import json
import os
import re
import tempfile

from cli import REFERENCE, REPO, check, enid, main, merged

COURSE = os.path.join(REPO, "deploy", "examples", "course")


def lint(state, *words):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        return enid("check", "--lint", *words, file.name)


def findings(state):
    done = lint(state, "--json")
    return [(f["id"], f["object"], f["text"]) for f in done.json()["lint"]]


def of(state, kind, **wanted):
    """The object of a list with these values."""
    return next(o for o in state[kind] if all(o.get(k) == v for k, v in wanted.items()))


BASE = {REFERENCE: findings(merged(REFERENCE)), COURSE: findings(merged(COURSE))}


def expect(sentence, folder, edit, ident, thing, words=""):
    state = merged(folder)
    edit(state)
    new = [f for f in findings(state) if f not in BASE[folder]]
    hit = [f for f in new if f[0] == ident and f[1] == thing and words in f[2]]
    check(f"{ident}: {sentence}", hit, new)
    return new


def entry(number, egress, action="allow", protocol="-1", cidr="0.0.0.0/0", ports=None):
    made = {"RuleNumber": number, "Egress": egress, "RuleAction": action, "Protocol": protocol, "CidrBlock": cidr}
    if ports:
        made["PortRange"] = {"From": ports[0], "To": ports[1]}
    return made


def private(state):
    return of(state, "NetworkAcls", NetworkAclId="acl-private")


def public(state):
    return of(state, "NetworkAcls", NetworkAclId="acl-public")


def network_acls():
    def no_answers(state):
        private(state)["Entries"] = [e for e in private(state)["Entries"] if not (e["Egress"] and e["RuleNumber"] == 110)]

    def tcp_only(state):
        public(state)["Entries"] = [entry(100, False, protocol="6", ports=(0, 65535)), entry(100, True)]

    def tcp_and_icmp(state):
        tcp_only(state)
        public(state)["Entries"].append(dict(entry(110, False, protocol="1"), IcmpTypeCode={"Type": 3, "Code": 4}))

    def late(state):
        public(state)["Entries"].append(entry(200, False, "deny", "6", "198.51.100.0/24", (22, 22)))

    def early(state):
        public(state)["Entries"].append(entry(50, False, "deny", "6", "198.51.100.0/24", (22, 22)))

    def unused(state):
        state["NetworkAcls"].append({"NetworkAclId": "acl-idle", "VpcId": private(state)["VpcId"], "Entries": [],
                                     "Associations": []})

    expect("without the ephemeral ports there is no way back", REFERENCE, no_answers, "nacl-ephemeral", "acl-private",
           "ports 32768-60999")
    expect("TCP without ICMP 3/4", REFERENCE, tcp_only, "nacl-mtu", "acl-public", "type 3 code 4")
    state = merged(REFERENCE)
    tcp_and_icmp(state)
    check("nacl-mtu: ... and with it, silence", not any(f[0] == "nacl-mtu" for f in findings(state)), findings(state))
    expect("an entry behind one that covers it", REFERENCE, late, "nacl-shadowed", "acl-public", "entry 200")
    state = merged(REFERENCE)
    early(state)
    check("nacl-shadowed: ... and before it, silence", not any(f[0] == "nacl-shadowed" for f in findings(state)))
    expect("a network ACL of no subnet", REFERENCE, unused, "nacl-unused", "acl-idle")


def groups():
    def web(state):
        return of(state, "SecurityGroups", GroupId="sg-web")

    def twice(state):
        web(state)["IpPermissions"].append(copy.deepcopy(web(state)["IpPermissions"][0]))

    def narrower(state):
        web(state)["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
                                            "IpRanges": [{"CidrIp": "192.0.2.0/24"}]})

    def wider(state):
        web(state)["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81,
                                            "IpRanges": [{"CidrIp": "192.0.2.0/24"}]})

    def unused(state):
        state["SecurityGroups"].append(dict(copy.deepcopy(web(state)), GroupId="sg-idle", GroupName="idle"))

    def stale(state):
        web(state)["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080,
                                            "UserIdGroupPairs": [{"GroupId": "sg-gone"}]})

    def ssh(state):
        web(state)["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 20, "ToPort": 25,
                                            "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})

    def rdp(state):
        web(state)["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 3389, "ToPort": 3389,
                                            "Ipv6Ranges": [{"CidrIpv6": "::/0"}]})

    expect("the same rule again", REFERENCE, twice, "sg-duplicate", "sg-web")
    expect("one within another", REFERENCE, narrower, "sg-shadowed", "sg-web", "all of it is admitted by")
    state = merged(REFERENCE)
    wider(state)
    check("sg-shadowed: one that only overlaps is none", not any(f[0].startswith("sg-") for f in findings(state)), findings(state))
    expect("a group of nobody", REFERENCE, unused, "sg-unused", "sg-idle")
    expect("a reference to nobody (SG-19)", REFERENCE, stale, "stale-reference", "sg-web", "sg-gone")
    new = expect("SSH from everywhere, by each interface", REFERENCE, ssh, "open-admin", "eni-web-a", "port 22")
    check("open-admin: ... not those of other groups", not any(f[1] == "eni-db" for f in new), new)
    expect("RDP from all of IPv6", REFERENCE, rdp, "open-admin", "eni-web-b", "port 3389")


def routes():
    def gone(state):
        state["NatGateways"][0]["State"] = "deleted"

    def no_public(state):
        for eni in state["NetworkInterfaces"]:
            eni.pop("Ipv6Addresses", None)
            eni.pop("Association", None)
            for address in eni["PrivateIpAddresses"]:
                address.pop("Association", None)
        state["Addresses"] = []

    def nat_inside(state):
        for nat in state["NatGateways"]:
            table = of(state, "RouteTables", RouteTableId="rtb-public")
            table["Routes"] = [r for r in table["Routes"] if not r.get("GatewayId", "").startswith("igw-")]

    def one_way(state):
        table = of(state, "RouteTables", RouteTableId="rtb-tools")
        table["Routes"] = [r for r in table["Routes"] if "VpcPeeringConnectionId" not in r]

    expect("a route to what is gone (RT-11)", COURSE, gone, "blackhole", "rtb-private", "0.0.0.0/0")
    state = merged(REFERENCE)
    no_public(state)
    check("igw-no-public: a way to the internet, and no public address (IGW-03)",
          any(f[0] == "igw-no-public" for f in findings(state)), findings(state))
    expect("a NAT gateway without a way out (NAT-14)", COURSE, nat_inside, "nat-no-igw", merged(COURSE)["NatGateways"][0]
           ["NatGatewayId"])
    check("asymmetric-route: the course's public subnets have no way back to its tools, and lint says so",
          [f[0] for f in BASE[COURSE]] == ["asymmetric-route"], BASE[COURSE])
    new = [f for f in findings_of(COURSE, one_way) if f[0] == "asymmetric-route"]
    check("... without the route of the other side it is the other way round", new and all("subnet-tools" != f[1] for f in new), new)


def findings_of(folder, edit):
    state = merged(folder)
    edit(state)
    return findings(state)


def overlaps():
    state = {"Vpcs": [{"VpcId": f"vpc-{n}", "CidrBlock": c} for n, c in (("a", "10.0.0.0/16"), ("b", "10.1.0.0/16"),
                                                                         ("c", "10.1.128.0/17"), ("d", "10.2.0.0/16"))],
             "VpcPeeringConnections": [{"VpcPeeringConnectionId": f"pcx-{n}", "Status": {"Code": "active"},
                                        "RequesterVpcInfo": {"VpcId": "vpc-a"}, "AccepterVpcInfo": {"VpcId": f"vpc-{n}"}}
                                       for n in "bcd"]}
    found = findings(state)
    check("peering-overlap: two peers of a VPC with common addresses (PCX-02), and no others", [f[:2] for f in found] ==
          [("peering-overlap", "vpc-a")] and "pcx-b and pcx-c" in found[0][2], found)


def mirrors():
    def session(target="eni-web-a", rules=None):
        def edit(state):
            rule = {"RuleNumber": 1, "RuleAction": "accept", "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"}
            state["TrafficMirrorFilters"] = [{"TrafficMirrorFilterId": "tmf", "IngressFilterRules": [rule] if rules is None else rules}]
            state["TrafficMirrorTargets"] = [{"TrafficMirrorTargetId": "tmt", "NetworkInterfaceId": target}]
            state["TrafficMirrorSessions"] = [{
                "TrafficMirrorSessionId": "tms", "NetworkInterfaceId": "eni-bastion", "TrafficMirrorTargetId": "tmt",
                "TrafficMirrorFilterId": "tmf", "SessionNumber": 1}]
            return state
        return edit

    def elsewhere(state):
        ports = session()(state)["Hosts"][0]["Ports"]
        moved = next(port for port in ports if port["NetworkInterfaceId"] == "eni-web-a")
        ports.remove(moved)
        state["Hosts"].append({"HostId": "host-far", "TunnelAddress": "192.0.2.99", "Ports": [moved]})

    def admitted(state):
        of(session()(state), "SecurityGroups", GroupId="sg-web")["IpPermissions"].append(
            {"IpProtocol": "udp", "FromPort": 4000, "ToPort": 5000, "IpRanges": [{"CidrIp": "10.20.0.0/16"}]})

    expect("a target that admits no VXLAN", REFERENCE, session(), "mirror-silent", "tms", "no group of eni-web-a admits UDP 4789")
    expect("a filter without rules", REFERENCE, session(rules=[]), "mirror-silent", "tms", "filter tmf has no rule")
    expect("a target on another host", REFERENCE, elsewhere, "mirror-silent", "tms", "its target eni-web-a on host-far")
    state = merged(REFERENCE)
    admitted(state)
    check("mirror-silent: one that is right is none", not any(f[0] == "mirror-silent" for f in findings(state)), findings(state))


def exit_codes():
    done = enid("check", "--lint", REFERENCE)
    check("nothing found: exit 0, and so it says", done.code == 0 and done.out.endswith("lint: 0 findings\n"), done)
    done = enid("check", "--lint", COURSE)
    check("findings are no failure", done.code == 0 and "asymmetric-route: subnet-tools: " in done.out, done)
    check("... unless --strict", enid("check", "--lint", "--strict", COURSE).code == 1)
    check("--strict with nothing found: exit 0", enid("check", "--lint", "--strict", REFERENCE).code == 0)
    check("--strict alone is misuse", enid("check", "--strict", REFERENCE).code == 2)
    done = enid("check", "--json", REFERENCE)
    check("without --lint nothing is looked for", "lint" not in done.json())
    done = enid("check", "--lint", "/nonexistent")
    check("an invalid state is not linted", done.code == 1 and "lint:" not in done.out, done)


def documented():
    with open(os.path.join(REPO, "user", "lint", "lint.h"), encoding="utf-8") as file:
        known = set(re.findall(r'X\(\w+, "([a-z-]+)"', file.read()))
    with open(os.path.join(REPO, "deploy", "man", "enid-check.8"), encoding="utf-8") as file:
        page = set(re.findall(r"^\.B ([a-z\\-]+)$", file.read(), re.M))
    page = {word.replace("\\-", "-") for word in page}
    check(f"all {len(known)} ids stand in enid-check(8)", len(known) > 10 and known <= page, known - page)


if __name__ == "__main__":
    main(network_acls, groups, routes, overlaps, mirrors, exit_codes, documented)
