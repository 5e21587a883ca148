#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Flow logs of transit gateways (FL-27) by a live agent: what passed by which attachments, and what was lost there; the ENIs of
attachments where a VPC has two gateways (FL-23).

Needs root. Works in a network namespace of its own, with folders of its own; nothing of the host is touched."""
import glob
import gzip
import json
import os
import re
import subprocess

from cli import ROUTER, check, main, until
import frames  # cli knows where
from test_flowlogs import World

WEB, FAR = "10.20.1.10", "10.99.1.8"
HERE, THERE, OTHER = "tgw-attach-0here", "tgw-attach-0there", "tgw-attach-0other"


def eni(name, vpc, subnet, mac, address, **more):
    return {"NetworkInterfaceId": name, "VpcId": vpc, "SubnetId": subnet, "Status": "in-use", "OwnerId": "111122223333",
            "MacAddress": mac, "PrivateIpAddress": address, "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": address}],
            "Groups": [], **more}


def attachment(name, tgw, vpc, subnet):
    return {"TransitGatewayAttachmentId": name, "TransitGatewayId": tgw, "VpcId": vpc, "SubnetIds": [subnet], "State": "available"}


def door(name, vpc, subnet, mac, address, of):
    return eni(name, vpc, subnet, mac, address, InterfaceType="transit_gateway", RequesterManaged=True, SourceDestCheck=False,
               Description=f"Network Interface for Transit Gateway Attachment {of}")


def table(name, tgw):
    return {"TransitGatewayRouteTableId": name, "TransitGatewayId": tgw, "State": "available"}


ATTACHMENTS = [attachment(HERE, "tgw-0red", "vpc-0reference", "subnet-public-a"), attachment(THERE, "tgw-0red", "vpc-0far", "subnet-far"),
               attachment(OTHER, "tgw-0blue", "vpc-0reference", "subnet-public-a")]
STATE = {
    "Vpcs": [{"VpcId": "vpc-0far", "CidrBlock": "10.99.0.0/16", "OwnerId": "444455556666"}],
    "Subnets": [{"SubnetId": "subnet-far", "VpcId": "vpc-0far", "CidrBlock": "10.99.1.0/24", "AvailabilityZone": "eu-west-1a",
                 "AvailabilityZoneId": "euw1-az1"}],
    "SecurityGroups": [{"GroupId": "sg-far", "GroupName": "far", "VpcId": "vpc-0far", "IpPermissions": [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}], "IpPermissionsEgress": []}],
    "RouteTables": [{"RouteTableId": "rtb-far", "VpcId": "vpc-0far", "Associations": [{"Main": True}], "Routes": [
        {"DestinationCidrBlock": "10.99.0.0/16", "GatewayId": "local", "State": "active"}]}],
    "NetworkInterfaces": [
        eni("eni-far", "vpc-0far", "subnet-far", "02:99:00:00:00:08", FAR, Groups=[{"GroupId": "sg-far"}]),
        door("eni-red-here", "vpc-0reference", "subnet-public-a", "02:99:00:00:00:01", "10.20.1.201", HERE),
        door("eni-blue-here", "vpc-0reference", "subnet-public-a", "02:99:00:00:00:02", "10.20.1.202", OTHER),
        door("eni-red-there", "vpc-0far", "subnet-far", "02:99:00:00:00:03", "10.99.1.201", THERE)],
    "TransitGateways": [{"TransitGatewayId": name, "State": "available", "OwnerId": "999900001111"} for name in ("tgw-0red", "tgw-0blue")],
    "TransitGatewayVpcAttachments": ATTACHMENTS,
    "TransitGatewayAttachments": [{
        **{key: one[key] for key in ("TransitGatewayAttachmentId", "TransitGatewayId", "State")}, "ResourceType": "vpc",
        "ResourceId": one["VpcId"], "Association": {"State": "associated", "TransitGatewayRouteTableId":
                                                   "tgw-rtb-" + one["TransitGatewayId"][5:]}} for one in ATTACHMENTS],
    "TransitGatewayRouteTables": [table("tgw-rtb-red", "tgw-0red"), table("tgw-rtb-blue", "tgw-0blue")],
    "TransitGatewayRoutes": [{"TransitGatewayRouteTableId": "tgw-rtb-red", "Routes": [
        {"DestinationCidrBlock": "10.99.0.0/16", "Type": "static", "State": "active",
         "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": THERE}]},
        {"DestinationCidrBlock": "10.98.0.0/16", "Type": "static", "State": "blackhole"}]}],
}
LOGS = {"FlowLogs": [
    {"FlowLogId": "fl-tgw", "ResourceId": "tgw-0red"},
    {"FlowLogId": "fl-there", "ResourceId": THERE, "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::bucket"},
    {"FlowLogId": "fl-enis", "ResourceId": "vpc-0reference", "MaxAggregationInterval": 60, "LogFormat":
     "${interface-id} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr} ${packets} ${flow-direction} ${action}"}]}


def lead_there(world):
    """The other VPC, whose ENI is here as well: with a device, or it would be nobody's."""
    for words in ("link add far type veth peer name g-far", "link set g-far addrgenmode none up", "link set far up"):
        subprocess.run([*world.inside, "ip", *words.split()], check=True)
    path = os.path.join(world.state, "routes.json")
    with open(path, encoding="utf-8") as file:
        lists = json.load(file)
    public = next(one for one in lists["RouteTables"] if one["RouteTableId"] == "rtb-public")
    public["Routes"] += [{"DestinationCidrBlock": f"10.{net}.0.0/16", "TransitGatewayId": tgw, "State": "active"}
                         for net, tgw in ((99, "tgw-0red"), (98, "tgw-0red"), (97, "tgw-0red"), (96, "tgw-0blue"))]
    with open(path, "w", encoding="utf-8") as out:
        json.dump(lists, out)
    path = os.path.join(world.state, "hosts.json")
    with open(path, encoding="utf-8") as file:
        lists = json.load(file)
    lists["Hosts"][0]["Ports"] += [{"NetworkInterfaceId": "eni-far", "Device": "far"}] + [
        {"NetworkInterfaceId": one["NetworkInterfaceId"]} for one in STATE["NetworkInterfaces"][1:]]
    with open(path, "w", encoding="utf-8") as out:
        json.dump(lists, out)
    for name, lists in (("tgw.json", STATE), ("logs.json", LOGS)):
        with open(os.path.join(world.state, name), "w", encoding="utf-8") as out:
            json.dump(lists, out)


def syn(to, sport):
    return frames.frame("02:20:01:0a:00:01", ROUTER, frames.packet(WEB, to, 6, frames.tcp(sport, 80, "S")))


def lines(world, name):
    with open(os.path.join(world.logs, name, "flow.log"), encoding="ascii") as file:
        return [line for line in file.read().splitlines() if "NODATA" not in line]


def live():
    world = World()
    try:
        lead_there(world)
        check("the agent is ready", world.start(), world.command("status"))
        world.send(syn(FAR, 40000), syn(FAR, 40000), *[syn("10.98.0.1", 40001)] * 3, *[syn("10.97.0.1", 40002)] * 4, syn("10.96.0.1", 40003))
        check("the packets are counted", until(lambda: sum(
            world.command("status", "--json").json()["drops"].get(name, {}).get("packets", 0)
            for name in ("tgw-blackhole", "tgw-no-route")) == 8, 30), world.command("status", "--json"))
        check("the agent ends", world.stop() == 0)
        gateway(lines(world, "fl-tgw"))
        tree(world)
        enis(world)
    finally:
        world.close()


def gateway(found):
    pair = (r"999900001111 tgw-0red {} 111122223333 444455556666 vpc-0reference vpc-0far subnet-public-a subnet-far eni-red-here "
            rf"eni-red-there \S+ euw1-az1 {{}} {WEB} {FAR} 40000 80 6 2 80 \d+ \d+ OK IPv4 0 0 0 0 2 eu-west-1 {{}} - -")
    lost = (rf"999900001111 tgw-0red {HERE} 111122223333 - vpc-0reference - subnet-public-a - - - \S+ - - {WEB} {{}} {{}} 80 6 {{}} \d+ "
            r"\d+ \d+ OK IPv4 {} {} 0 0 2 eu-west-1 ingress - -")
    wanted = (("in by one attachment", pair.format(HERE, THERE, "ingress")), ("out by the other", pair.format(THERE, HERE, "egress")),
              ("three lost in a blackhole", lost.format("10.98.0.1", 40001, 3, 0, 3)),
              ("four lost for want of a route", lost.format("10.97.0.1", 40002, 4, 4, 0)))
    for what, pattern in wanted:
        check(f"FL-27: {what}", sum(bool(re.fullmatch("6 TransitGateway " + pattern, line)) for line in found) == 1, found)
    check("... and nothing else: the other gateway is not logged", len(found) == len(wanted), found)


def tree(world):
    files = glob.glob(f"{world.logs}/AWSLogs/999900001111/vpcflowlogs/eu-west-1/*/*/*/999900001111_vpcflowlogs_eu-west-1_fl-there_*.log.gz")
    found = [line for each in files for line in gzip.open(each, "rt").read().splitlines()]
    check("an attachment's own log, as a tree of the gateway's account and Region", files and any(
        line.endswith(" egress - -") for line in found) and {line.split()[4] for line in found[1:]} == {THERE}, found)


def enis(world):
    found = lines(world, "fl-enis")
    check("FL-23: of two gateways' ENIs in one subnet that of the gateway that the packets took", [
        line for line in found if line.startswith("eni-red-here")] == [
            f"eni-red-here {WEB} 10.20.1.201 {WEB} {FAR} 2 ingress ACCEPT"] and not any("eni-blue" in line for line in found), found)
    with open(os.path.join(world.logs, "flow.log"), encoding="ascii") as file:
        check("the log file is of ENIs only", "tgw-" not in file.read())


if __name__ == "__main__":
    main(live)
