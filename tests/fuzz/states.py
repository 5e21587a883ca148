#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Write tests/fuzz/states/: the fixed states that the fuzzers packet and flow judge by (run it after a change, commit).

Both have the golden cases' addresses, so their frames are seeds. `before` has a port of every kind: router and guard, host
and instance side, a middlebox, a tenant with the same addresses, delegated prefixes, and a gateway of every kind; `after`
is an edit of it that changes rules, paths and owners, takes one port away and moves a public address.
"""
import copy
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
import author as G                                   # noqa: E402
import edges                                         # noqa: E402
import gateways as W                                 # noqa: E402
import nat                                           # noqa: E402

G.MAC.update({"g": "02:00:00:00:00:05", "gi": "02:00:00:00:00:06", "z": "02:00:00:00:00:07", "y": "02:00:00:00:00:08",
              "c": "02:00:00:00:00:09", "e": "02:00:00:00:00:0a"})


def other(o):
    """The same in the other tenant's VPC."""
    return dict(json.loads(json.dumps(o).replace('"v1"', '"v2"')))


def by_gateways(s):
    """E behind a NAT gateway (IPv6: an egress-only one), C in a VPC that a peering and a transit gateway reach, places on
    premises by VPN connections of either kind, a service behind an endpoint; small MTUs."""
    main, third = s["RouteTables"][0], next(t for t in s["RouteTables"] if t["RouteTableId"] == "rtb-S3")
    main["Routes"] += [W.by_pcx("10.3.0.0/16"), G.route("172.21.0.0/16", "GatewayId", "vgw-1"),
                       G.route("pl-s3", "GatewayId", "vpce-1"), W.by_tgw("172.20.0.0/16")]
    third["Routes"] += [W.by_tgw("10.3.0.0/16"), G.route("172.21.0.0/16", "GatewayId", "vgw-1")]
    s["Vpcs"].append(W.vpc("v3", "10.3.0.0/16", "2001:db8:3::/56"))
    s["Subnets"] += [G.subnet("S0", 0), G.subnet("S4", 4), W.subnet("W", "v3", "10.3.1.0/24", six="2001:db8:3:1::/64"),
                     G.subnet("U1", 8), W.subnet("U3", "v3", "10.3.8.0/24")]
    s["RouteTables"] += [
        G.table("S4", nat.TO_NAT, G.route("::/0", "EgressOnlyInternetGatewayId", "eigw-1"), W.by_tgw("10.3.0.0/16")),
        W.rtb("v3", W.LOCAL3, W.by_pcx("10.0.0.0/17"), W.by_tgw("172.20.0.0/16"), W.by_tgw("10.0.4.0/24"))]
    s["SecurityGroups"] += [{"GroupId": "sg-" + n, "GroupName": n, "VpcId": v, "OwnerId": "111122223333",
                             "IpPermissions": i, "IpPermissionsEgress": G.OPEN}
                            for n, v, i in (("c", "v3", [G.perm("tcp", (1, 65535), "sg-a"), G.perm("udp", (1, 65535), "10.0.0.0/8"),
                                                         G.perm("-1", None, "172.16.0.0/12"), G.perm("icmp", (-1, -1), "0.0.0.0/0")]),
                                            ("e", "v1", [G.perm("tcp", 22, "10.0.0.0/8"), G.perm("udp", 53, "sg-c")]))]
    s["NetworkInterfaces"] += [dict(G.eni("c", "W", "10.3.1.30", None, "2001:db8:3:1::30"), VpcId="v3"),
                               G.eni("e", "S4", "10.0.4.40", None, "2001:db8:1:4::40"), nat.nat_eni()]
    s["PrefixLists"].append({"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3", "Cidrs": ["192.0.2.192/26"]})
    s.update(NatGateways=[nat.gateway()], **edges.EIGW, VpcEndpoints=[edges.endpoint(RouteTableIds=["rtb-main"])],
             VpcPeeringConnections=[W.pcx(ends=("v1", "v3"))],
             VpnConnections=[edges.vpn("vpn-1", ["172.21.0.0/16"])],
             CustomerGateways=[{"CustomerGatewayId": "cgw-1", "State": "available", "IpAddress": "192.0.2.77", "BgpAsn": "65000"}],
             VpnGateways=[{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "v1", "State": "attached"}]}])
    wide = W.transit(routes=(W.tgw_route("10.0.0.0/16", "att-1", kind="propagated"), W.tgw_route("10.3.0.0/16", "att-3"),
                             W.tgw_route("172.20.0.0/16", "att-7", "att-8", kind="propagated"),
                             W.tgw_route("172.20.99.0/24", active=False)), tgw={"VpnEcmpSupport": "enable"},
                     more=[W.associated("att-3", "tgw-rtb-1", resource="v3")] +
                     [W.associated("att-%d" % n, "tgw-rtb-1", kind="vpn", resource="vpn-%d" % n) for n in (7, 8)])
    for key in (k for k in wide if k.startswith("TransitGateway")):
        s[key] = wide[key]
    s["TransitGatewayVpcAttachments"] = [W.attachment("att-1", "v1", ["U1"]), W.attachment("att-3", "v3", ["U3"])]
    s["TransitGatewayAttachments"] = [o for o in s["TransitGatewayAttachments"] if o["TransitGatewayAttachmentId"] != "att-2"]
    host = s["Hosts"][0]
    host["Ports"] += [{"NetworkInterfaceId": "c", "Device": "tap-c", "Mtu": 900},
                      {"NetworkInterfaceId": "e", "Device": "tap-e"}, {"NetworkInterfaceId": "eni-nat"}]
    host["Ports"][2]["Mtu"] = 1200
    host["Uplinks"] += [{"GatewayId": g, "Device": "up-" + g} for g in ("eigw-1", "vgw-1", "vpce-1", "att-7", "vpn-8")]
    return s


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
    return by_gateways(s)


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
    s["NatGateways"][0]["State"] = "deleting"
    s["VpcPeeringConnections"][0]["Status"]["Code"] = "deleted"
    s["TransitGateways"][0]["Options"] = {"VpnEcmpSupport": "disable", "SecurityGroupReferencingSupport": "enable"}
    s["TransitGatewayVpcAttachments"][1]["Options"]["ApplianceModeSupport"] = "enable"
    s["VpnConnections"][0]["Routes"] = []
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
