# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic mirroring: a target is an interface, not an address that others may have, too (TM-13, TM-14)."""
import author
from author import A, A2, Case, IGW4, LOCAL, M, MAC, OPEN, deliver
from gateways import C, LOCAL2, by_pcx, network, pcx, rtb, subnet, vpc
from mirror import copied, lost, mirrored, out
from mirror_ways import BODY, EVERY

MAC["m9"] = "02:00:00:00:00:09"


def elsewhere(address, tables=(), groups=None, links=()):
    """What a sends and gets is mirrored to m9, which is in v9, whose range another VPC has, too."""
    ours = address.rsplit(".", 1)[0] + ".0/24"
    target = dict(author.eni("m9", "Z", address), VpcId="v9", Groups=[{"GroupId": "sg-m9"}])
    s = network(groups, tables, subnets=[subnet("Z", "v9", ours)], vpcs=[vpc("v9", ".".join(address.split(".")[:2]) + ".0.0/16")],
                ports=[target], VpcPeeringConnections=list(links))
    s["SecurityGroups"].append({"GroupId": "sg-m9", "GroupName": "m9", "VpcId": "v9", "OwnerId": "111122223333",
                                "IpPermissions": OPEN, "IpPermissionsEgress": OPEN})
    s.update({key: value for key, value in mirrored(EVERY, target="m9").items() if key.startswith("TrafficMirror")})
    return s


def again(c, copy):
    """The packet that is mirrored, first and by a kept decision."""
    for _ in range(2):
        c.put("a", BODY, copied(deliver("b"), copy))
    return c


def near():
    """The addresses of others of the source's own VPC, and its own."""
    for name, address in (("other-subnet", M), ("own-subnet", A2), ("own-address", A)):
        yield again(Case("tm-13-target-in-a-vpc-with-the-same-range-" + name, "TM-13 TM-14: the target is an ENI of another VPC; "
                         "who has its address here gets nothing", elsewhere(address)), lost("no-owner"))
    shut = {"m": ([], OPEN)}
    yield again(Case("tm-13-nobody-else-judges-a-copy", "TM-13: ... and its group is not asked", elsewhere(M, groups=shut)), lost("no-owner"))


def ways(link, way=None):
    main = [rtb("v1", LOCAL, IGW4, by_pcx("10.2.0.0/16", link)), rtb("v2", LOCAL2, by_pcx("10.0.0.0/16"))]
    return main + [rtb("v9", LOCAL2, *([way] if way else []))]


def far():
    """v2 and v9 have one range, and both are peers of v1: the route says which of the two is meant."""
    ninth = dict(pcx("pcx-9"), AccepterVpcInfo={"VpcId": "v9", "CidrBlock": "10.2.0.0/16", "OwnerId": "111122223333", "Region": "eu-west-1"})
    for name, groups in (("", None), ("-that-refuses", {"c": ([], OPEN)})):
        c = again(Case("tm-13-peer-with-the-same-range" + name, "TM-13 PCX-02: only over the peering that leads to the target",
                       elsewhere(C, ways("pcx-1"), groups, [pcx(), ninth])), lost("no-owner"))
        c.edit(elsewhere(C, ways("pcx-9"), groups, [pcx(), ninth]), 1)
        yield again(c, out("a", BODY, to="m9", target=C))


def mirror_targets():
    for part in (near, far):
        yield from part()
