#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Write the golden folders from the tables below: author.py (run it after a change, and commit what it writes).

The expectations are worked out by hand from the semantics, not taken from any program. Addresses are those of the
conformance vectors: A 10.0.1.10 and A2 10.0.1.11 in S1, B 10.0.2.20 in S2, M 10.0.3.30 in S3, X 198.51.100.7 outside;
the public address of A is 203.0.113.10 and that of B 203.0.113.20.
"""
import copy
import json
import os
import shutil

import frames as F

HERE = os.path.dirname(os.path.abspath(__file__))
MAC = {"a": "02:00:00:00:00:01", "a2": "02:00:00:00:00:02", "b": "02:00:00:00:00:03", "m": "02:00:00:00:00:04",
       "up": "02:ff:ff:ff:fe:01", "router": "02:65:6e:69:64:01"}
A, A2, B, M, X = "10.0.1.10", "10.0.1.11", "10.0.2.20", "10.0.3.30", "198.51.100.7"
QA, QB, UP = "203.0.113.10", "203.0.113.20", "igw-1"
A6, B6, X6 = "2001:db8:1:1::10", "2001:db8:1:2::20", "2001:db8:ffff::7"


# ---- states

def perm(proto, ports=None, *peers):
    p = {"IpProtocol": proto}
    if ports is not None:
        p["FromPort"], p["ToPort"] = ports if isinstance(ports, tuple) else (ports, ports)
    for peer in peers:
        key, item = (("UserIdGroupPairs", {"GroupId": peer}) if peer.startswith("sg-") else
                     ("PrefixListIds", {"PrefixListId": peer}) if peer.startswith("pl-") else
                     ("Ipv6Ranges", {"CidrIpv6": peer}) if ":" in peer else ("IpRanges", {"CidrIp": peer}))
        p.setdefault(key, []).append(item)
    return p


ANY4, ANY6 = perm("-1", None, "0.0.0.0/0"), perm("-1", None, "::/0")
OPEN = [ANY4, ANY6]


def entry(number, egress, action, proto, cidr, ports=None, icmp=None):
    e = {"RuleNumber": number, "Egress": egress, "RuleAction": action, "Protocol": proto,
         "Ipv6CidrBlock" if ":" in cidr else "CidrBlock": cidr}
    if ports:
        e["PortRange"] = {"From": ports[0], "To": ports[1]}
    if icmp:
        e["IcmpTypeCode"] = {"Type": icmp[0], "Code": icmp[1]}
    return e


def allow_all(number=100):
    return [entry(number + k, out, "allow", "-1", cidr) for out in (False, True) for k, cidr in enumerate(("0.0.0.0/0", "::/0"))]


def nacl(subnet, *entries):
    return {"NetworkAclId": "acl-" + subnet, "VpcId": "v1", "IsDefault": False, "Associations": [{"SubnetId": subnet}],
            "Entries": list(entries)}


def route(dst, key, target, state="active", origin="CreateRoute"):
    where = ("DestinationPrefixListId" if dst.startswith("pl-") else
             "DestinationIpv6CidrBlock" if ":" in dst else "DestinationCidrBlock")
    return {where: dst, key: target, "State": state, "Origin": origin}


LOCAL = route("10.0.0.0/16", "GatewayId", "local", origin="CreateRouteTable")
IGW4, IGW6 = route("0.0.0.0/0", "GatewayId", "igw-1"), route("::/0", "GatewayId", "igw-1")


def table(subnet, *routes):
    return {"RouteTableId": "rtb-" + (subnet or "main"), "VpcId": "v1", "Routes": [LOCAL] + list(routes),
            "Associations": [{"Main": not subnet, "AssociationState": {"State": "associated"},
                              **({"SubnetId": subnet} if subnet else {})}]}


def subnet(name, n):
    return {"SubnetId": name, "VpcId": "v1", "CidrBlock": "10.0.%d.0/24" % n, "AvailabilityZone": "eu-west-1a",
            "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8:1:%d::/64" % n,
                                             "Ipv6CidrBlockState": {"State": "associated"}}]}


def eni(name, sub, address, public=None, six=None, **more):
    first = {"Primary": True, "PrivateIpAddress": address, **({"Association": {"PublicIp": public}} if public else {})}
    return {"NetworkInterfaceId": name, "VpcId": "v1", "SubnetId": sub, "MacAddress": MAC[name], "Status": "in-use",
            "InterfaceType": "interface", "SourceDestCheck": True, "Groups": [{"GroupId": "sg-" + name}],
            "PrivateIpAddress": address, "PrivateIpAddresses": [first],
            "Ipv6Addresses": [{"Ipv6Address": six}] if six else [], "OwnerId": "111122223333",
            "Attachment": {"InstanceId": "i-" + name, "DeviceIndex": 0, "Status": "attached"}, **more}


def state(groups=None, nacls=(), tables=None, enis=None, **lists):
    """groups: name -> (ingress, egress), all open when not named; enis: name -> keys to change, None removes it."""
    group = {n: (OPEN, OPEN) for n in ("a", "a2", "b", "m")}
    group.update(groups or {})
    found = [eni("a", "S1", A, QA, A6), eni("a2", "S1", A2, None, "2001:db8:1:1::11"), eni("b", "S2", B, QB, B6),
             eni("m", "S3", M, None, None, SourceDestCheck=False)]
    for o in found:
        o.update((enis or {}).get(o["NetworkInterfaceId"]) or {})
    found = [o for o in found if (enis or {}).get(o["NetworkInterfaceId"], {}) is not None]
    s = {"Vpcs": [{"VpcId": "v1", "CidrBlock": "10.0.0.0/16", "State": "available", "OwnerId": "111122223333",
                   "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8:1::/56",
                                                    "Ipv6CidrBlockState": {"State": "associated"}}]}],
         "Subnets": [subnet("S1", 1), subnet("S2", 2), subnet("S3", 3)],
         "SecurityGroups": [{"GroupId": "sg-" + n, "GroupName": n, "VpcId": "v1", "OwnerId": "111122223333",
                             "IpPermissions": i, "IpPermissionsEgress": e} for n, (i, e) in group.items()],
         "NetworkAcls": list(nacls), "RouteTables": tables or [table(None, IGW4, IGW6)], "NetworkInterfaces": found,
         "InternetGateways": [{"InternetGatewayId": "igw-1", "Attachments": [{"VpcId": "v1", "State": "available"}]}],
         "Hosts": [{"HostId": "host-a", "TunnelAddress": "192.0.2.11",
                    "Ports": [{"NetworkInterfaceId": o["NetworkInterfaceId"], "Device": "tap-" + o["NetworkInterfaceId"]}
                              for o in found],
                    "Uplinks": [{"GatewayId": "igw-1", "Device": "up0"}]}]}
    s.update(lists)
    return s


# ---- scenarios

def frame(port, body, dst=None):
    return F.frame(MAC["up" if port == UP else port], MAC[dst or "router"], body)


def tcp(src, dst, sport, dport, flags="S", seq=1000, ack=0, data=b"", **kw):
    return F.packet(src, dst, F.TCP, F.tcp(sport, dport, flags, seq, ack, data), **kw)


def udp(src, dst, sport, dport, data=b"hello", **kw):
    return F.packet(src, dst, F.UDP, F.udp(sport, dport, data), **kw)


def ping(src, dst, kind=8, ident=7, **kw):
    return F.packet(src, dst, F.ICMP6 if ":" in src else F.ICMP, F.echo(kind, ident), **kw)


def deliver(to, **kw):
    return {"action": "deliver", "to": to, "dmac": MAC[to], "csum": True, **kw}


def uplink(**kw):
    return {"action": "uplink", "to": UP, "csum": True, **kw}


def drop(*reasons):
    return {"action": "drop", **({"reason": list(reasons)} if reasons else {})}


PASS = {"action": "pass"}


class Case:
    def __init__(self, name, about, first, options=None):
        self.name, self.about, self.states, self.lines, self.wants = name, about, [first], [], []
        self.options = options

    def put(self, port, body, want, at=None, dst=None, repeat=1, tx=False):
        """body: an IP packet, or a whole frame."""
        raw = body if body[0] >> 4 not in (4, 6) or dst == "raw" else frame(port, body, dst)
        line = {"port": port, "packet": raw.hex()}
        line.update({"dir": "tx"} if tx else {}, **({"at": at} if at is not None else {}))
        self.row(line, dict(want), repeat)
        return self

    def back(self, port, number, want, at=None, change=(), inner=None, others=()):
        """What line `number` sent to an appliance comes back from it."""
        line = {"port": port, "returned": number, **({"at": at} if at is not None else {})}
        line.update({"others": [F.ip(a).hex() for a in others]} if others else {})
        line.update({"change": list(change)} if change else {}, **({"inner": inner.hex()} if inner is not None else {}))
        self.row(line, dict(want))
        return self

    def row(self, line, want, repeat=1):
        if repeat > 1:
            line["repeat"] = want["repeat"] = repeat
        self.lines.append(line)
        self.wants.append(want)

    def edit(self, new, at=None, action="applied"):
        self.row({"state": "state%d.json" % len(self.states), **({"at": at} if at is not None else {})},
                 {"action": action})
        self.states.append(new)
        return self

    def write(self):
        folder = os.path.join(HERE, self.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        for i, s in enumerate(self.states):
            with open(os.path.join(folder, "state%s.json" % (i or "")), "w") as f:
                json.dump(s, f, indent=1)
                f.write("\n")
        for part, rows in (("scenario", self.lines), ("expect", self.wants)):
            with open(os.path.join(folder, part + ".jsonl"), "w") as f:
                f.writelines(json.dumps(r) + "\n" for r in rows)
        with open(os.path.join(folder, "about.txt"), "w") as f:
            f.write(self.about + "\n")
        if self.options:
            with open(os.path.join(folder, "options.txt"), "w") as f:
                f.write(self.options + "\n")


def handshake(c, port, back, src, dst, sport, dport, there, here, at=0):
    """A TCP handshake from port to back; src/dst as the opener sees them, there/here the expectations each way."""
    (osrc, odst), (rsrc, rdst) = src, dst
    c.put(port, tcp(osrc, odst, sport, dport, "S", 1000), there, at)
    c.put(back, tcp(rsrc, rdst, dport, sport, "SA", 5000, 1001), here, at)
    c.put(port, tcp(osrc, odst, sport, dport, "A", 1001, 5001), there, at)


def cases():
    from bpa import bpa
    from edges import edges
    from found_borders import found_borders
    from found_gates import found_gates
    from found_gwlb import found_gwlb
    from gates import gates
    from gateways import gateways
    from geneve import geneve
    from hazards_flows import flow_hazards
    from hazards_frames import frames_hazards
    from hazards_gates import gate_hazards
    from mirror import mirror
    from mirror_targets import mirror_targets
    from mirror_ways import mirror_ways
    from nat import nat
    from nat64 import nat64
    from nat_places import nat_places
    from reasons import reasons
    from sizes import sizes
    from stale import stale
    from vectors import vectors
    parts = (vectors, reasons, frames_hazards, flow_hazards, gate_hazards, sizes, nat, nat64, nat_places, gateways, gates,
             edges, found_borders, found_gates, stale, geneve, found_gwlb, mirror, mirror_ways, mirror_targets,
             bpa)
    return [c for part in parts for c in part()]


def edited(s, change):
    s = copy.deepcopy(s)
    change(s)
    return s


if __name__ == "__main__":
    written = [c.name for c in cases() if not c.write()]
    assert len(set(written)) == len(written)
    print("%d folders written" % len(written))
