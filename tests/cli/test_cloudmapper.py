#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A real account, captured by cloudmapper, through enid replay: verdicts held against the account's JSON rule by rule.

The capture lies beside the repo (../shared/data) and is skipped, loudly, where it is absent. First as it is, with nothing but a
generated Hosts list: its one network interface. Then completed: the capture lists the interfaces of its instances, and
what else names security groups (databases, balancers, clusters), without ids of their own, and without route tables and gateway; these are
generated. The expectations are computed here, from the JSON, by a linear walk over permissions: nothing is shared with enid.
"""
import glob
import ipaddress
import json
import os
import sys
import tempfile

from cli import REPO, ROUTER, check, counts, enid, main, replay
import frames  # cli knows where

PLACES = [os.path.join(REPO, up, "shared", "data", "aws-describe", "cloudmapper") for up in ("..", "../..")]
ACCOUNT = next((place for place in PLACES if os.path.isdir(place)), None)
INTERNET = ("1.1.1.1", "2.2.2.1", "2.2.2.15", "2.2.2.16", "198.51.100.7")
PORTS = (22, 80, 443, 5432, 8000)


def documents():
    whole = {}
    for path in sorted(glob.glob(os.path.join(ACCOUNT, "**", "*.json"), recursive=True)):
        with open(path, encoding="utf-8") as file:
            for key, value in json.load(file).items():
                if isinstance(value, list):
                    whole.setdefault(key, []).extend(value)
    return whole


def hosts(enis, gateways=()):
    """The generated list: a tap for every network interface."""
    return {"Hosts": [{"HostId": "host-a", "Ports": [
        {"NetworkInterfaceId": eni["NetworkInterfaceId"], "Device": f"tap{i}"} for i, eni in enumerate(enis)],
        "Uplinks": [{"GatewayId": gateway, "Device": f"up{i}"} for i, gateway in enumerate(gateways)]}]}


def frame(eni, target, proto, l4, source=None):
    return frames.frame(eni["MacAddress"], ROUTER, frames.packet(source or eni["PrivateIpAddress"], target, proto, l4)).hex()


# ---- what must happen, from the JSON alone

class Account:
    def __init__(self, whole, enis):
        self.groups = {group["GroupId"]: group for group in whole["SecurityGroups"]}
        self.subnets = {subnet["SubnetId"]: subnet["CidrBlock"] for subnet in whole["Subnets"]}
        self.enis = enis

    def members(self, group):
        return {eni["PrivateIpAddress"] for eni in self.enis for each in eni["Groups"] if each["GroupId"] == group}

    def admits(self, permission, proto, port, address, by_uplink):
        """Does this permission admit a packet with this far address? SG-05..SG-14."""
        number = {"tcp": "6", "udp": "17", "icmp": "1"}.get(permission["IpProtocol"], permission["IpProtocol"])
        if number not in ("-1", str(proto)):
            return False
        if number in ("6", "17") and not permission["FromPort"] <= port <= permission["ToPort"]:
            return False
        cidrs = [ipaddress.ip_network(r["CidrIp"], strict=False) for r in permission["IpRanges"]]
        return (any(ipaddress.ip_address(address) in cidr for cidr in cidrs) or not by_uplink and
                any(address in self.members(pair["GroupId"]) for pair in permission["UserIdGroupPairs"]))

    def deciders(self, eni, key, proto, port, address, by_uplink=False):
        """Every (group, rule) that admits it: enid may name any of them."""
        return {(each["GroupId"], f"{key}[{i}]") for each in eni["Groups"]
                for i, permission in enumerate(self.groups[each["GroupId"]][key])
                if self.admits(permission, proto, port, address, by_uplink)}


def decided(out, stage):
    return [(d["id"], d["rule"]) for d in out.get("decided_by", []) if d["stage"] == stage]


# ---- the account as it is

def as_it_is():
    whole = documents()
    enis = whole["NetworkInterfaces"]
    done = enid("check", "--json", ACCOUNT)
    holds = done.json()["holds"]
    check("enid check accepts the account", done.code == 0, done)
    check("it holds what the files list", (holds["VPCs"], holds["subnets"], holds["security groups"],
                                           holds["network interfaces"], holds["endpoints"]) == tuple(
        len(whole[key]) for key in ("Vpcs", "Subnets", "SecurityGroups", "NetworkInterfaces", "VpcEndpoints")), holds)
    eni = enis[0]
    lines = [("its own address to the VPC, where nobody is", frame(eni, "10.0.1.77", 6, frames.tcp(4000, 443, "S")), "no-owner"),
             ("to the internet, to which no table has a route", frame(eni, "198.51.100.7", 17, frames.udp(1, 53)), "no-route"),
             ("another's address", frame(eni, "10.0.1.77", 6, frames.tcp(1, 2, "S"), "10.0.0.9"), "source-check"),
             ("another's MAC", "02656e696401" + "020000000001" + frame(eni, "10.0.1.77", 17, frames.udp(1, 2))[24:], "mac-spoof")]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hosts.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(hosts(enis), file)
        done = replay([ACCOUNT, path], [{"port": eni["NetworkInterfaceId"], "packet": packet} for _, packet, _ in lines])
    for (what, _, reason), out in zip(lines, done.lines()):
        check(f"as captured: {what}: {reason}", (out["action"], out["reason"]) == ("drop", reason), out)
    check("as captured: the egress rule is named before the route fails", decided(done.lines()[1], "sg-egress") ==
          [(eni["Groups"][0]["GroupId"], "IpPermissionsEgress[0]")], done.lines()[1])


# ---- the account completed

def interface(number, name, subnet, address, groups, vpc, public=None):
    eni = {"NetworkInterfaceId": name, "SubnetId": subnet, "VpcId": vpc, "MacAddress": f"02:00:00:00:01:{number:02x}",
           "PrivateIpAddress": str(address), "SourceDestCheck": True, "Status": "in-use",
           "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": str(address)}],
           "Attachment": {"Status": "attached"}, "Groups": [{"GroupId": group} for group in groups]}
    if public:
        eni["PrivateIpAddresses"][0]["Association"] = {"PublicIp": public, "IpOwnerId": "amazon"}
        eni["Association"] = {"PublicIp": public, "IpOwnerId": "amazon"}
    return eni


def complete():
    """-> (state, interfaces): every resource that names security groups gets an interface at .2x of its subnet."""
    whole = documents()
    vpc = whole["Vpcs"][0]["VpcId"]
    cidrs = {subnet["SubnetId"]: ipaddress.ip_network(subnet["CidrBlock"]) for subnet in whole["Subnets"]}
    found = [(i["InstanceId"], n["SubnetId"], [g["GroupId"] for g in n["Groups"]], n.get("Association", {}).get("PublicIp"))
             for r in whole["Reservations"] for i in r["Instances"] for n in i["NetworkInterfaces"]]
    found += [("db-" + d["DBInstanceIdentifier"], d["DBSubnetGroup"]["Subnets"][0]["SubnetIdentifier"],
               [g["VpcSecurityGroupId"] for g in d["VpcSecurityGroups"]], None) for d in whole["DBInstances"]]
    found += [("elb-" + e["LoadBalancerName"], subnet, e["SecurityGroups"], f"3.80.4.{i}")
              for e in whole["LoadBalancerDescriptions"] for i, subnet in enumerate(e["Subnets"])]
    found += [("redshift-" + c["ClusterIdentifier"], "subnet-00000002",
               [g["VpcSecurityGroupId"] for g in c["VpcSecurityGroups"]], c["ClusterNodes"][0]["PublicIPAddress"])
              for c in whole["Clusters"]]
    found += [(e["VpcEndpointId"], e["SubnetIds"][0], [g["GroupId"] for g in e["Groups"]], None)
              for e in whole["VpcEndpoints"] if e["VpcEndpointType"] == "Interface"]
    found += [("tasks", "subnet-00000001", ["sg-00000008"], "3.80.3.41"), ("bare", "subnet-00000003", ["sg-00000001"], None),
              ("bare-too", "subnet-00000004", ["sg-00000001", "sg-00000007"], None)]
    enis = [interface(i, f"eni-{name}-{i}", subnet, cidrs[subnet][20 + i], groups, vpc, public)
            for i, (name, subnet, groups, public) in enumerate(found)]
    public = [s for s in cidrs if any(t.get("Value", "").startswith("Public") for t in next(
        subnet for subnet in whole["Subnets"] if subnet["SubnetId"] == s)["Tags"])]
    local = {"DestinationCidrBlock": whole["Vpcs"][0]["CidrBlock"], "GatewayId": "local", "State": "active"}
    state = {key: whole[key] for key in ("Vpcs", "Subnets", "SecurityGroups")}
    state["NetworkInterfaces"] = enis
    state["InternetGateways"] = [{"InternetGatewayId": "igw-made", "Attachments": [{"VpcId": vpc, "State": "available"}]}]
    state["RouteTables"] = [
        {"RouteTableId": "rtb-main", "VpcId": vpc, "Associations": [{"Main": True}], "Routes": [local]},
        {"RouteTableId": "rtb-public", "VpcId": vpc, "Associations": [{"Main": False, "SubnetId": s} for s in public],
         "Routes": [local, {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-made", "State": "active"}]}]
    state.update(hosts(enis, ["igw-made"]))
    return state, enis, public


def run_state(state, lines):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        return replay(file.name, lines)


def between_interfaces():
    """Every pair, every port, TCP and UDP, a source port each: all are first packets."""
    state, enis, _ = complete()
    account = Account(state, enis)
    cases, lines = [], []
    for a in enis:
        for b in enis:
            for proto, port in [(6, p) for p in PORTS] + [(17, 53), (1, 8)]:
                if a is b:
                    continue
                l4 = (frames.tcp(10000 + len(lines) % 50000, port, "S") if proto == 6 else
                      frames.udp(10000 + len(lines) % 50000, port) if proto == 17 else frames.echo(8, len(lines) % 65536))
                same = a["SubnetId"] == b["SubnetId"]
                packet = frames.packet(a["PrivateIpAddress"], b["PrivateIpAddress"], proto, l4)
                lines.append({"port": a["NetworkInterfaceId"], "packet": frames.frame(
                    a["MacAddress"], b["MacAddress"] if same else ROUTER, packet).hex()})
                cases.append((a, b, proto, port, same))
    done = run_state(state, lines)
    wrong, admitted, groups = [], 0, set()
    for (a, b, proto, port, same), out in zip(cases, done.lines()):
        leaves = account.deciders(a, "IpPermissionsEgress", proto, port, b["PrivateIpAddress"])
        enters = account.deciders(b, "IpPermissions", proto, port, a["PrivateIpAddress"])
        want = "accepted" if leaves and enters else "sg-ingress" if leaves else "sg-egress"
        good = out["reason"] == want and (out["action"] == "deliver") == (want == "accepted")
        good = good and set(decided(out, "sg-egress")) <= leaves and bool(decided(out, "sg-egress")) == bool(leaves)
        if want == "accepted":
            admitted += 1
            groups |= enters
            raw = bytes.fromhex(out["packet"])
            good = good and out["to"] == b["NetworkInterfaceId"] and set(decided(out, "sg-ingress")) <= enters and \
                decided(out, "sg-ingress") and frames.fields(raw)["dmac"] == b["MacAddress"] and \
                frames.fields(raw)["smac"] == (a["MacAddress"] if same else ROUTER)
            good = good and bool(decided(out, "route")) != same
        if not good:
            wrong.append((a["NetworkInterfaceId"], b["NetworkInterfaceId"], proto, port, want, out))
    check(f"{len(cases)} first packets between {len(enis)} interfaces, {admitted} of them admitted, by the JSON's rules",
          len(done.lines()) == len(cases) and not wrong and admitted > 20, wrong[:2])
    check(f"rules of {len({g for g, _ in groups})} groups admitted something", len({g for g, _ in groups}) >= 6, sorted(groups))


def from_the_internet():
    """To every public address from addresses on both sides of the bastion's ranges; a group reference never matches there."""
    state, enis, public = complete()
    account = Account(state, enis)
    cases, lines = [], []
    for eni in enis:
        for source in INTERNET:
            for port in PORTS:
                if "Association" not in eni:
                    continue
                cases.append((eni, source, port))
                lines.append({"port": "igw-made", "packet": frames.frame("02:00:00:00:00:99", ROUTER, frames.packet(
                    source, eni["Association"]["PublicIp"], 6, frames.tcp(1000 + len(lines), port, "S"))).hex()})
    done = run_state(state, lines)
    wrong, admitted, answers, askers = [], 0, [], []
    for (eni, source, port), line, out in zip(cases, lines, done.lines()):
        enters = account.deciders(eni, "IpPermissions", 6, port, source, by_uplink=True)
        want = "accepted" if enters else "sg-ingress"
        good = out["reason"] == want and (not enters or out["to"] == eni["NetworkInterfaceId"] and
                                          set(decided(out, "sg-ingress")) <= enters and decided(out, "sg-ingress") and
                                          frames.fields(bytes.fromhex(out["packet"]))["dst"] == eni["PrivateIpAddress"])
        if not good:
            wrong.append((eni["NetworkInterfaceId"], source, port, want, out))
        if enters:
            admitted += 1
            sport = frames.fields(bytes.fromhex(line["packet"]))["sport"]
            answers.append({"port": eni["NetworkInterfaceId"], "packet": frame(eni, source, 6, frames.tcp(
                port, sport, "SA"))})
            askers.append((eni, source))
    check(f"{len(cases)} SYNs from the internet, {admitted} of them admitted, by the JSON's rules",
          not wrong and admitted >= 10, wrong[:2])
    outs = run_state(state, lines + answers).lines()[len(lines):]
    wrong = [out for (eni, source), out in zip(askers, outs)
             if (out["action"], out["to"]) != ("uplink", "igw-made") or
             frames.fields(bytes.fromhex(out["packet"]))["src"] != eni["Association"]["PublicIp"] or
             frames.bad_checksum(bytes.fromhex(out["packet"])) or eni["SubnetId"] not in public]
    check(f"{len(outs)} answers leave with the public address and right checksums", not wrong and outs, wrong[:2])
    private = [eni for eni in enis if eni["SubnetId"] not in public]
    outs = run_state(state, [{"port": eni["NetworkInterfaceId"], "packet": frame(eni, "198.51.100.7", 6, frames.tcp(
        5000, 443, "S"))} for eni in private]).lines()
    check(f"{len(private)} interfaces of private subnets have no route out", private and all(
        out["reason"] == "no-route" for out in outs), outs)


def membership():
    """Database from sg-4 only; the bastion joins sg-4 by an edit, and may; a live session survives its leaving."""
    state, enis, _ = complete()
    database = next(eni for eni in enis if "eni-db-" in eni["NetworkInterfaceId"])
    bastion = enis[0]
    joined = json.loads(json.dumps(state))
    joined["NetworkInterfaces"][0]["Groups"].append({"GroupId": "sg-00000004"})
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("state.json", "joined.json")]
        for path, each in zip(paths, (state, joined)):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(each, file)

        def syn(sport):
            return {"port": bastion["NetworkInterfaceId"], "packet": frame(
                bastion, database["PrivateIpAddress"], 6, frames.tcp(sport, 5432, "S"))}
        live = {"port": bastion["NetworkInterfaceId"], "packet": frame(
            bastion, database["PrivateIpAddress"], 6, frames.tcp(2, 5432, "A", seq=1001, ack=1))}
        answer = {"port": database["NetworkInterfaceId"], "packet": frame(
            database, bastion["PrivateIpAddress"], 6, frames.tcp(5432, 2, "SA", ack=1001))}
        outs = replay(paths[0], [syn(1), {"state": paths[1]}, syn(2), answer, live, {"state": paths[0]}, live, syn(3)]).lines()
    check("a bastion that joins the group gets to the database, keeps its session when it leaves, and opens no other",
          [out.get("reason", out["action"]) for out in outs] == [
              "sg-ingress", "applied", "accepted", "accepted", "accepted", "applied", "accepted", "sg-ingress"], outs)


if __name__ == "__main__":
    if not ACCOUNT:
        print("SKIPPED: no ../shared/data/aws-describe/cloudmapper beside the repo: the captured account is not tested")
        print(f"{counts[True]} passed, {counts[False]} failed")
        sys.exit(0)
    main(as_it_is, between_interfaces, from_the_internet, membership)
