#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Hostile states by size (E17): files of tens of megabytes in shapes that cost a careless reader memory or time, and lists at
and beyond our limits. Measured is CPU time, not time on the clock, so that a busy machine fails nothing; the bounds have
a factor of five to what a plain machine takes. ENID_HOSTILE_ROUNDS=0 adds a state at several limits at once."""
import json
import os
import subprocess
import tempfile

from cli import ENID, check, main
from hostile import ROUNDS

MB = 1 << 20
SLOW = float(os.environ.get("ENID_SLOW", "1"))
folder = tempfile.TemporaryDirectory(prefix="enid-sizes-")


def cpu_of(*argv):
    """-> (exit code, output, CPU seconds, peak MB). The peak is never below this script's own: a process keeps its
    parent's from before exec."""
    with tempfile.TemporaryFile() as out, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return process.returncode, out.read().decode(errors="replace"), usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10


def bounded(name, write, code, text, seconds, megabytes):
    path = os.path.join(folder.name, "s.json")
    with open(path, "wb") as file:
        write(file)
    size = os.path.getsize(path) >> 20
    found, said, cpu, peak = cpu_of(ENID, "check", path)
    os.unlink(path)
    check(f"E17: {name}, {size} MB: exit {code}, {cpu:.2f} s of CPU, {peak} MB", found == code and text in said and
          cpu < seconds * SLOW and peak < megabytes, f"exit {found}, bounds {seconds} s, {megabytes} MB, {said[-300:]!r}")


def repeated(unit, nr, before=b"", after=b""):
    def write(file):
        file.write(before)
        for _ in range(nr // 10000):
            file.write(unit * 10000)
        file.write(after)
    return write


def e17_files_of_100_mb():
    """Refused by their size, before they are read."""
    for name, write in (("one huge string", repeated(b"aaaaaaaaaa", 10 * MB, b'{"x":"', b'"}')),
                        ("sparse", lambda file: file.truncate(100 * MB)), ("array of numbers", repeated(b"0,", 50 * MB, b"["))):
        bounded(name, write, 1, "is larger than 64 MiB", 1, 20)


def e17_files_of_60_mb():
    """Refused by one look at their text, before anything is built."""
    for name, write, text in (
            ("one huge string", repeated(b"aaaaaaaaaa", 6 * MB, b'{"x":"', b'"}'), "contains a string longer than 1 MiB"),
            ("an unfinished string", repeated(b"aaaaaaaaaa", 6 * MB, b'{"x":"'), "contains a string longer than 1 MiB"),
            ("a huge key", repeated(b"aaaaaaaaaa", 6 * MB, b'{"', b'":1}'), "contains a string longer than 1 MiB"),
            ("10 million empty objects", repeated(b"{},", 10000000, b'{"x":[', b"{}]}"), "has too many values"),
            ("20 million empty arrays", repeated(b"[],", 20000000, b'{"x":[', b"[]]}"), "has too many values"),
            ("30 million numbers", repeated(b"0,", 30000000, b'{"x":[', b"0]}"), "has too many values"),
            ("30 million levels", repeated(b"[", 30000000), "nested deeper than 32 levels"),
            ("12 million levels of objects", repeated(b'{"a":', 12000000), "nested deeper than 32 levels"),
            ("one key 7 million times", repeated(b'"a":1,', 7000000, b"{", b'"a":1}'), "has too many values"),
            ("one key a million times", repeated(b'"a":1,', 1000000, b"{", b'"a":1}'), "duplicate object key"),
            ("backslashes", repeated(b"\\\\", 30000000, b'{"x":"', b'"}'), "contains a string longer than 1 MiB"),
            ("NUL bytes", repeated(b"\0", 60000000), "contains a NUL byte"),
            ("blanks", repeated(b" ", 60000000), "expected near end of file")):
        bounded(name, write, 1, text, 2, 64 * 3)


def e17_just_below_the_bounds():
    """What the look lets through may cost the memory that it counted, not more."""
    bounded("8 million numbers", repeated(b"0,", 8000000, b'{"x":[', b"0]}"), 0, "valid", 10, 1100)
    bounded("2 million keys", lambda file: file.write(("{" + ",".join(f'"k{i}":1' for i in range(2000000)) + "}").encode()), 0,
            "valid", 10, 1100)


# ---- lists whose elements are compared with each other

VPC = {"VpcId": "v1", "CidrBlock": "10.0.0.0/16"}
SUBNET = {"SubnetId": "s1", "VpcId": "v1", "CidrBlock": "10.0.0.0/16"}


def ip(number):
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def addresses(nr):
    return {"Vpcs": [VPC], "Subnets": [SUBNET], "NetworkInterfaces": [{
        "NetworkInterfaceId": "e1", "VpcId": "v1", "SubnetId": "s1", "PrivateIpAddresses": [
            {"PrivateIpAddress": ip(i)} for i in range(nr)]}]}


def hosts(nr):
    return {"Hosts": [{"HostId": f"h{i}", "TunnelAddress": ip(i)} for i in range(nr)]}


def peerings(nr):
    return {"VpcPeeringConnections": [{"VpcPeeringConnectionId": f"p{i}"} for i in range(nr)]}


def cidrs(nr):
    return {"Vpcs": [{"VpcId": "v1", "CidrBlockAssociationSet": [
        {"CidrBlock": f"10.{i >> 12}.{i >> 4 & 255}.{(i & 15) * 16}/28"} for i in range(nr)]}]}


def subnets(nr):
    return {"Vpcs": [{"VpcId": f"v{i}", "CidrBlock": "10.0.0.0/16"} for i in range(-(-nr // 4096))], "Subnets": [
        {"SubnetId": f"s{i}", "VpcId": f"v{i // 4096}", "CidrBlock": f"10.0.{i >> 4 & 255}.{(i & 15) * 16}/28"} for i in range(nr)]}


def enis(nr, each=8):
    """With `each` of them in a subnet."""
    state = subnets(-(-nr // each))
    state["NetworkInterfaces"] = [{
        "NetworkInterfaceId": f"e{i}", "VpcId": f"v{i // each // 4096}", "SubnetId": f"s{i // each}", "MacAddress":
        f"02:00:00:{i >> 16:02x}:{i >> 8 & 255:02x}:{i & 255:02x}",
        "PrivateIpAddress": f"10.0.{i // each >> 4 & 255}.{(i // each & 15) * 16 + 4 + i % each}"} for i in range(nr)]
    return state


def e18_limits_of_ours():
    """At a limit the state is valid, one more is refused by name; far beyond costs no more than reading it."""
    for name, make, limit, text in (("addresses of an ENI", addresses, 1024, "has 1025 addresses, more than 1024"),
                                    ("hosts", hosts, 4096, "is more than the 4096 that the list Hosts may have"),
                                    ("peerings", peerings, 4096, "is more than the 4096 that the list VpcPeeringConnections"),
                                    ("CIDRs of a VPC", cidrs, 128, "has 129 CIDRs, more than 128"),
                                    ("subnets", subnets, 16383, "is more than the 16383 that the list Subnets may have"),
                                    ("ENIs", enis, 32767, "is more than the 32767 that the list NetworkInterfaces may have")):
        for nr, code, said in ((limit, 0, "valid: 0 errors"), (limit + 1, 1, text)):
            data = json.dumps(make(nr)).encode()
            bounded(f"{nr} {name}", lambda file, data=data: file.write(data), code, said, 5, 400)
    for name, make in (("addresses of an ENI", addresses), ("hosts", hosts), ("CIDRs of a VPC", cidrs)):
        data = json.dumps(make(100000)).encode()
        bounded(f"100,000 {name}", lambda file, data=data: file.write(data), 1, "more than", 3, 400)


# ---- compiled, too

def maxima(target):
    """32,766 ENIs of 16,383 subnets, a million rules in 200 groups, half a million routes, a file a list. -> the sizes"""
    state = enis(32766, 2)
    vpcs = [vpc["VpcId"] for vpc in state["Vpcs"]]
    state["SecurityGroups"] = [{"GroupId": f"sg-{vpc}-{g}", "VpcId": vpc, "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": p, "ToPort": p, "IpRanges": [{"CidrIp": f"{g + 11}.{p}.{k}.0/24"} for k in range(50)]}
        for p in range(100)]} for vpc in vpcs for g in range(50)]
    for i, eni in enumerate(state["NetworkInterfaces"]):
        eni["Groups"] = [{"GroupId": f"sg-{eni['VpcId']}-{i % 50}"}]
    state["InternetGateways"] = [{"InternetGatewayId": "igw-x", "Attachments": [{"VpcId": vpcs[0]}]}]
    state["RouteTables"] = [{"RouteTableId": "rtb-x", "VpcId": vpcs[0], "Associations": [{"Main": True}], "Routes": [
        {"DestinationCidrBlock": f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24", "GatewayId": "igw-x"} for i in range(500000)]}]
    state["Hosts"] = [{"HostId": "h", "Ports": [{"NetworkInterfaceId": "e0", "Device": "none"}]}]
    for name, entries in state.items():
        with open(os.path.join(target, name + ".json"), "w", encoding="utf-8") as file:
            json.dump({name: entries}, file, separators=(",", ":"))
    return f"{len(state['NetworkInterfaces'])} ENIs, {len(state['Subnets'])} subnets, 1,000,000 rules, 500,000 routes, " + \
        f"{sum(os.path.getsize(os.path.join(target, name)) for name in os.listdir(target)) >> 20} MB"


def e18_maxima_at_once():
    """Loaded, compiled, put into the kernel's maps by replay, and measured."""
    target = os.path.join(folder.name, "maxima")
    os.mkdir(target)
    sizes = maxima(target)
    found, said, cpu, peak = cpu_of(ENID, "check", target)
    check(f"E18: check of {sizes}: {cpu:.1f} s of CPU, {peak} MB", found == 0 and cpu < 60 * SLOW and peak < 2048, said[-300:])
    found, said, cpu, peak = cpu_of(ENID, "replay", "--state", target)
    check(f"E18: the same compiled and in the maps: {cpu:.1f} s of CPU, {peak} MB", found == 0 and cpu < 120 * SLOW and peak < 4096,
          said[-400:])


if __name__ == "__main__":
    main(e17_files_of_100_mb, e17_files_of_60_mb, e17_just_below_the_bounds, e18_limits_of_ours,
         *([] if ROUNDS else [e18_maxima_at_once]))
