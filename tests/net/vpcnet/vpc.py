# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Desired state, as enid reads it, from compact descriptions.

A State is the dictionary of JSON-08's lists plus `Hosts`. Its methods append objects; a test edits them afterwards as
the plain dictionaries they are. save() writes one file and renames it into the state folder, which is all that a
running agent needs in order to follow.
"""
import ipaddress
import json
import os

ID_KEYS = {"Vpcs": "VpcId", "Subnets": "SubnetId", "SecurityGroups": "GroupId", "NetworkAcls": "NetworkAclId",
           "RouteTables": "RouteTableId", "NetworkInterfaces": "NetworkInterfaceId", "Hosts": "HostId",
           "InternetGateways": "InternetGatewayId"}
TARGET_KEYS = {"eni": "NetworkInterfaceId", "nat": "NatGatewayId", "pcx": "VpcPeeringConnectionId", "tgw": "TransitGatewayId",
               "eigw": "EgressOnlyInternetGatewayId"}  # of a route; all others are a GatewayId
ACCOUNT = "111122223333"
ANYWHERE = ("0.0.0.0/0", "::/0")


def allow(protocol, ports, *peers):
    """One IpPermission. ports: None, a number, or (from, to); ICMP: (type, code). Peers by shape: CIDR, sg-*, pl-*."""
    permission = {"IpProtocol": protocol}
    if ports is not None:
        first, last = ports if isinstance(ports, tuple) else (ports, ports)
        permission.update(FromPort=first, ToPort=last)
    for peer in peers:
        if peer.startswith("sg-"):
            permission.setdefault("UserIdGroupPairs", []).append({"GroupId": peer, "UserId": ACCOUNT})
        elif peer.startswith("pl-"):
            permission.setdefault("PrefixListIds", []).append({"PrefixListId": peer})
        elif ":" in peer:
            permission.setdefault("Ipv6Ranges", []).append({"CidrIpv6": peer})
        else:
            permission.setdefault("IpRanges", []).append({"CidrIp": peer})
    return permission


def acl(number, action, protocol="-1", cidr="0.0.0.0/0", ports=None, egress=False):
    """One NACL entry."""
    entry = {"RuleNumber": number, "RuleAction": action, "Protocol": protocol, "Egress": egress}
    entry["Ipv6CidrBlock" if ":" in cidr else "CidrBlock"] = cidr
    if ports is not None:
        first, last = ports if isinstance(ports, tuple) else (ports, ports)
        entry["PortRange"] = {"From": first, "To": last}
    return entry


def acl_open():
    """The entries of a default NACL (VPC-16)."""
    return [acl(100 + six, "allow", cidr=cidr, egress=egress)
            for egress in (False, True) for six, cidr in enumerate(ANYWHERE)]


class State(dict):
    """The lists of a desired state."""

    def find(self, name, object_id):
        for entry in self[name]:
            if entry[ID_KEYS[name]] == object_id:
                return entry
        raise KeyError(f"{name}: no {object_id}")

    def _add(self, name, **entry):
        self.setdefault(name, []).append(entry)
        return entry

    def vpc(self, vpc_id, cidr, cidr6=None):
        entry = self._add("Vpcs", VpcId=vpc_id, CidrBlock=cidr, State="available", OwnerId=ACCOUNT,
                          CidrBlockAssociationSet=[{"CidrBlock": cidr, "CidrBlockState": {"State": "associated"}}])
        if cidr6:
            entry["Ipv6CidrBlockAssociationSet"] = [
                {"Ipv6CidrBlock": cidr6, "Ipv6CidrBlockState": {"State": "associated"}}]
        return entry

    def subnet(self, subnet_id, vpc_id, cidr, cidr6=None):
        entry = self._add("Subnets", SubnetId=subnet_id, VpcId=vpc_id, CidrBlock=cidr,
                          AvailabilityZone="eu-west-1a", AvailabilityZoneId="euw1-az1")
        if cidr6:
            entry["Ipv6CidrBlockAssociationSet"] = [
                {"Ipv6CidrBlock": cidr6, "Ipv6CidrBlockState": {"State": "associated"}}]
        return entry

    def group(self, group_id, vpc_id, ingress=(), egress=None):
        """egress defaults to everything to everywhere, as AWS makes new groups (VPC-15)."""
        return self._add("SecurityGroups", GroupId=group_id, GroupName=group_id[3:], VpcId=vpc_id, OwnerId=ACCOUNT,
                         IpPermissions=list(ingress),
                         IpPermissionsEgress=[allow("-1", None, *ANYWHERE)] if egress is None else list(egress))

    def nacl(self, acl_id, vpc_id, subnets, entries):
        return self._add("NetworkAcls", NetworkAclId=acl_id, VpcId=vpc_id, IsDefault=False,
                         Associations=[{"SubnetId": subnet} for subnet in subnets], Entries=list(entries))

    def table(self, table_id, vpc_id, routes=(), subnets=None, gateway=None):
        """routes: (destination, target id). Without subnets and gateway it is the main table."""
        entry = self._add("RouteTables", RouteTableId=table_id, VpcId=vpc_id, Associations=[], Routes=[])
        for subnet in subnets or [None]:
            place = {"Main": True} if subnet is None else {"Main": False, "SubnetId": subnet}
            place = {"Main": False, "GatewayId": gateway} if gateway else place
            entry["Associations"].append({**place, "AssociationState": {"State": "associated"}})
        vpc = self.find("Vpcs", vpc_id)
        local = [vpc["CidrBlock"]] + [a["Ipv6CidrBlock"] for a in vpc.get("Ipv6CidrBlockAssociationSet", ())]
        for destination, target in [(cidr, "local") for cidr in local] + list(routes):
            key = "DestinationPrefixListId" if destination.startswith("pl-") else \
                "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"
            target_key = TARGET_KEYS.get(target.split("-")[0], "GatewayId")
            entry["Routes"].append({key: destination, target_key: target, "State": "active",
                                    "Origin": "CreateRouteTable" if target == "local" else "CreateRoute"})
        return entry

    def internet_gateway(self, gateway_id, vpc_id):
        return self._add("InternetGateways", InternetGatewayId=gateway_id, OwnerId=ACCOUNT,
                         Attachments=[{"VpcId": vpc_id, "State": "available"}])

    def nat_gateway(self, gateway_id, subnet_id, eni_id, private, public):
        """A public one, with its ENI."""
        self.eni(eni_id, subnet_id, private, [], public=public, check=False)["InterfaceType"] = "nat_gateway"
        return self._add("NatGateways", NatGatewayId=gateway_id, SubnetId=subnet_id, State="available", ConnectivityType="public",
                         VpcId=self.find("Subnets", subnet_id)["VpcId"],
                         NatGatewayAddresses=[{"NetworkInterfaceId": eni_id, "PrivateIp": private, "PublicIp": public,
                                               "IsPrimary": True, "Status": "succeeded"}])

    def peering(self, peering_id, requester, accepter):
        sides = [{"VpcId": vpc, "CidrBlock": self.find("Vpcs", vpc)["CidrBlock"], "OwnerId": ACCOUNT, "Region": "eu-west-1"}
                 for vpc in (requester, accepter)]
        return self._add("VpcPeeringConnections", VpcPeeringConnectionId=peering_id, Status={"Code": "active"},
                         RequesterVpcInfo=sides[0], AccepterVpcInfo=sides[1])

    def transit_gateway(self, gateway_id, attachments):
        """attachments: id -> (VPC, its subnets); one table, in which all propagate."""
        self._add("TransitGateways", TransitGatewayId=gateway_id, State="available", Options={})
        table = {"TransitGatewayRouteTableId": gateway_id + "-rtb"}
        self._add("TransitGatewayRouteTables", TransitGatewayId=gateway_id, State="available", **table)
        for name, (vpc, subnets) in attachments.items():
            self._add("TransitGatewayVpcAttachments", TransitGatewayAttachmentId=name, TransitGatewayId=gateway_id, VpcId=vpc,
                      SubnetIds=list(subnets), State="available", Options={"Ipv6Support": "enable"})
            self._add("TransitGatewayAttachments", TransitGatewayAttachmentId=name, TransitGatewayId=gateway_id, ResourceId=vpc,
                      ResourceType="vpc", State="available", Association={**table, "State": "associated"})
        self._add("TransitGatewayPropagations", TransitGatewayRouteTablePropagations=[
            {"TransitGatewayAttachmentId": name, "ResourceType": "vpc", "ResourceId": vpc, "State": "enabled"}
            for name, (vpc, _) in attachments.items()], **table)

    def eni(self, eni_id, subnet_id, address, groups, address6=None, public=None, check=True):
        number = len(self.get("NetworkInterfaces", ())) + 1
        private = {"Primary": True, "PrivateIpAddress": address}
        if public:
            private["Association"] = {"PublicIp": public, "IpOwnerId": ACCOUNT}
        return self._add("NetworkInterfaces", NetworkInterfaceId=eni_id, SubnetId=subnet_id, OwnerId=ACCOUNT,
                         VpcId=self.find("Subnets", subnet_id)["VpcId"], MacAddress=f"02:00:00:00:01:{number:02x}",
                         Status="in-use", InterfaceType="interface", SourceDestCheck=check,
                         Groups=[{"GroupId": group} for group in groups], PrivateIpAddress=address,
                         PrivateIpAddresses=[private],
                         Ipv6Addresses=[{"Ipv6Address": address6}] if address6 else [],
                         Attachment={"InstanceId": "i-" + eni_id, "DeviceIndex": 0, "Status": "attached"})

    def host(self, host_id, ports=(), uplinks=()):
        """ports: (eni, device) or (eni, device, {more keys}); uplinks: (gateway, device)."""
        return self._add("Hosts", HostId=host_id,
                         Ports=[{"NetworkInterfaceId": eni, "Device": device, **(more[0] if more else {})}
                                for eni, device, *more in ports],
                         Uplinks=[{"GatewayId": gateway, "Device": device} for gateway, device in uplinks])

    def addresses(self, eni_id):
        """(primary IPv4 or None, first IPv6 or None) of an ENI."""
        eni = self.find("NetworkInterfaces", eni_id)
        six = [entry["Ipv6Address"] for entry in eni.get("Ipv6Addresses", ())]
        return eni.get("PrivateIpAddress"), six[0] if six else None

    def networks(self, eni_id):
        """The CIDRs of the ENI's subnet: (IPv4 network or None, IPv6 network or None)."""
        subnet = self.find("Subnets", self.find("NetworkInterfaces", eni_id)["SubnetId"])
        four = subnet.get("CidrBlock")
        six = [entry["Ipv6CidrBlock"] for entry in subnet.get("Ipv6CidrBlockAssociationSet", ())]
        return (ipaddress.ip_network(four) if four else None, ipaddress.ip_network(six[0]) if six else None)

    def save(self, folder, name="state.json"):
        write_json(os.path.join(folder, name), self)

    @classmethod
    def load(cls, folder):
        """All files of a state folder, merged list by list."""
        state = cls()
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json") and not name.startswith("."):
                with open(os.path.join(folder, name), encoding="utf-8") as source:
                    for key, value in json.load(source).items():
                        state.setdefault(key, []).extend(value)
        return state


def write_json(path, value):
    """Replace a file by a rename, so that no reader sees half of it."""
    folder, name = os.path.split(path)
    draft = os.path.join(folder, "." + name + ".draft")
    with open(draft, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=1)
    os.rename(draft, path)


def client_and_server(rules, client_rules=(), hook="auto"):
    """Two subnets of a VPC, in both families: eni-client (10.0.1.10, 2001:db8:1:1::10; sg-client) in one, eni-server
    (10.0.2.10, 2001:db8:1:2::10; sg-server, whose ingress rules are `rules`) in the other, on two veths of a host."""
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.table("rtb-main", "vpc-1")
    state.group("sg-client", "vpc-1", client_rules)
    state.group("sg-server", "vpc-1", rules)
    state.eni("eni-client", "s1", "10.0.1.10", ["sg-client"], "2001:db8:1:1::10")
    state.eni("eni-server", "s2", "10.0.2.10", ["sg-server"], "2001:db8:1:2::10")
    state.host("host-a", [("eni-client", "veth-client", {"Hook": hook}), ("eni-server", "veth-server")])
    return state


def two_subnets():
    """A State of one VPC, vpc-1, and two subnets of both families, s1 and s2."""
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    for number in (1, 2):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    return state
