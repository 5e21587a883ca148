#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Write tests/fuzz/states/: the fixed states that the fuzzers packet and flow judge by (run it after a change, commit).

Both have the golden cases' addresses, so their frames are seeds. `before` has a port of every kind: router and guard, host
and instance side, a middlebox, a tenant with the same addresses, delegated prefixes; `after` is an edit of it that changes
rules, paths and owners, takes one port away and moves a public address.
"""
import copy
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
import author as G                                   # noqa: E402

G.MAC.update({"g": "02:00:00:00:00:05", "gi": "02:00:00:00:00:06", "z": "02:00:00:00:00:07", "y": "02:00:00:00:00:08"})


def other(o):
    """The same in the other tenant's VPC."""
    return dict(json.loads(json.dumps(o).replace('"v1"', '"v2"')))


def before():
    s = G.state(
        groups={"a": ([G.perm("tcp", (20, 443), "0.0.0.0/0"), G.perm("tcp", (20, 443), "::/0"),
                       G.perm("udp", (0, 65535), "0.0.0.0/0"), G.perm("icmp", (8, -1), "10.0.0.0/16"),
                       G.perm("icmpv6", (-1, -1), "::/0")], G.OPEN),
                "a2": ([G.perm("tcp", 80, "10.0.0.0/16"), G.perm("udp", 53, "sg-a"), G.perm("tcp", 22, "pl-1"),
                        G.perm("50", None, "0.0.0.0/0")],
                       [G.perm("-1", None, "10.0.0.0/8"), G.perm("tcp", (1, 1023), "::/0")]),
                "b": ([G.perm("tcp", (1, 65535), "sg-a"), G.perm("udp", (1, 65535), "10.0.1.0/24"),
                       G.perm("-1", None, "2001:db8::/32"), G.perm("icmp", (-1, -1), "0.0.0.0/0")], G.OPEN)},
        nacls=[G.nacl("S2", *G.allow_all(), G.entry(50, False, "deny", "17", "10.0.1.11/32", (9, 99)),
                      G.entry(60, True, "deny", "6", "198.51.100.0/24", (25, 25)),
                      G.entry(70, False, "deny", "58", "2001:db8:1:1::11/128", icmp=(128, -1)))],
        tables=[G.table(None, G.IGW4, G.IGW6, G.route("192.0.2.0/24", "NetworkInterfaceId", "m"),
                        G.route("203.0.113.128/25", "NetworkInterfaceId", "m", state="blackhole")),
                G.table("S3", G.IGW4)])
    s["PrefixLists"] = [{"PrefixListId": "pl-1", "PrefixListName": "one", "State": "create-complete"}]
    s["ManagedPrefixListEntries"] = [{"PrefixListId": "pl-1",
                                      "Entries": [{"Cidr": "198.51.100.0/24"}, {"Cidr": "10.0.3.0/25"}]}]
    one = {o["NetworkInterfaceId"]: o for o in s["NetworkInterfaces"]}
    one["a2"].update({"Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.64/28"}], "Ipv6Prefixes": [{"Ipv6Prefix": "2001:db8:1:1:a::/80"}]})
    one["b"]["ConnectionTrackingConfiguration"] = {"TcpEstablishedTimeout": 60, "UdpTimeout": 40, "UdpStreamTimeout": 70}
    guards = [G.eni("g", "S1", "10.0.1.12", "203.0.113.12", "2001:db8:1:1::12", Groups=[{"GroupId": "sg-b"}]),
              G.eni("gi", "S2", "10.0.2.21", None, "2001:db8:1:2::21", Groups=[{"GroupId": "sg-a2"}])]
    twins = [other(G.eni("z", "T1", G.A, "203.0.113.110", "2001:db8:2:1::10", Groups=[{"GroupId": "sg-z"}])),
             other(G.eni("y", "T1", G.A2, None, "2001:db8:2:1::11", Groups=[{"GroupId": "sg-z"}]))]
    s["NetworkInterfaces"] += guards + twins
    s["Vpcs"].append({"VpcId": "v2", "CidrBlock": "10.0.0.0/16", "State": "available", "OwnerId": "111122223333",
                      "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8:2::/56",
                                                       "Ipv6CidrBlockState": {"State": "associated"}}]})
    s["Subnets"].append(json.loads(json.dumps(other(dict(G.subnet("T1", 1)))).replace("db8:1:1", "db8:2:1")))
    s["SecurityGroups"].append(other({"GroupId": "sg-z", "GroupName": "z", "VpcId": "v1", "OwnerId": "111122223333",
                                      "IpPermissions": G.OPEN, "IpPermissionsEgress": G.OPEN}))
    s["RouteTables"].append(json.loads(json.dumps(other(G.table(None, G.IGW4, G.IGW6))).replace("igw-1", "igw-2")
                                       .replace("rtb-main", "rtb-v2")))
    s["InternetGateways"].append({"InternetGatewayId": "igw-2", "Attachments": [{"VpcId": "v2", "State": "available"}]})
    host = s["Hosts"][0]
    host["Ports"] += [{"NetworkInterfaceId": "g", "Device": "tap-g", "Mode": "guard"},
                      {"NetworkInterfaceId": "gi", "Device": "eth-gi", "Mode": "guard", "Side": "instance"},
                      {"NetworkInterfaceId": "z", "Device": "tap-z"}, {"NetworkInterfaceId": "y", "Device": "tap-y"}]
    host["Uplinks"].append({"GatewayId": "igw-2", "Device": "up1", "AnswerNeighbours": False})
    return s


def after(first):
    s = copy.deepcopy(first)
    one = {o["NetworkInterfaceId"]: o for o in s["NetworkInterfaces"]}
    group = {o["GroupId"]: o for o in s["SecurityGroups"]}
    group["sg-a"]["IpPermissions"] = [G.perm("tcp", 443, "0.0.0.0/0"), G.perm("udp", 53, "10.0.0.0/16")]
    group["sg-b"]["IpPermissions"] = [G.perm("tcp", (1, 65535), "10.0.1.10/32"), G.perm("-1", None, "::/0")]
    s["NetworkAcls"][0]["Entries"].append(G.entry(10, False, "deny", "6", "10.0.1.0/24", (8000, 9000)))
    s["RouteTables"].append(G.table("S1", G.route("10.0.2.0/24", "NetworkInterfaceId", "m"), G.IGW4, G.IGW6))
    del one["a"]["PrivateIpAddresses"][0]["Association"]
    one["b"]["PrivateIpAddresses"][0]["Association"] = {"PublicIp": G.QA}
    one["m"]["DenyAllIgwTraffic"] = True
    s["NetworkInterfaces"] = [o for o in s["NetworkInterfaces"] if o["NetworkInterfaceId"] != "a2"]
    host = s["Hosts"][0]
    host["Ports"] = [p for p in host["Ports"] if p["NetworkInterfaceId"] != "a2"]
    s["VpcBlockPublicAccessOptions"] = {"InternetGatewayBlockMode": "block-ingress", "State": "update-complete"}
    return s


def main():
    first = before()
    for name, s in (("before", first), ("after", after(first))):
        with open(os.path.join(HERE, "states", name + ".json"), "w") as f:
            json.dump(s, f, separators=(",", ":"))
            f.write("\n")


if __name__ == "__main__":
    main()
