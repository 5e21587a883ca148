#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""From changed file to enforced: what one edit costs in a state of many ENIs and rules, as the user feels it.

    tests/bench/edits.py [--layout vpcs|one] [--enis N] [--rules N] [--rounds N] [--enid BINARY] [--make FOLDER]

A state is made (the same for the same numbers), an agent is started on it, and its files are edited by rename: a rule of a
security group, a member of one, a route, an entry of a network ACL, an ENI. Two moments are waited for: `kernel`, the store
of control.generation after which packets are judged anew; `status`, the report that says so. Layout `vpcs`: 100 VPCs, a folder
each; `one`: one VPC, a file for each list, as `aws ec2 describe-*` prints it. --make only writes the state.
"""
import argparse
import ctypes
import json
import mmap
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

SYS_BPF, OBJ_GET = 321, 7
GROUP_RULES = 100
ROUTES = 50
NACL_ENTRIES = 20
HOST = "bench"


class Vpc:
    """A VPC with its share of the ENIs and rules, list by list. Ids tell the VPC, addresses are the same in each."""

    def __init__(self, name, enis, rules, dice, numbers):
        self.lists = {}
        self.name, self.dice = name, dice
        vpc = "vpc-" + name
        self.add("Vpcs", VpcId=vpc, CidrBlock="10.0.0.0/16", OwnerId="111111111111", State="available")
        groups = [f"sg-{name}-{i:04}" for i in range(max(rules // GROUP_RULES, 2))]
        for i, group in enumerate(groups):
            self.add("SecurityGroups", GroupId=group, GroupName=f"group {i}", VpcId=vpc, OwnerId="111111111111",
                     Description="made for the benchmark", IpPermissions=self.permissions(groups),
                     IpPermissionsEgress=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
        subnets = [f"subnet-{name}-{i:02}" for i in range((enis + 199) // 200)]
        for i, subnet in enumerate(subnets):
            self.add("Subnets", SubnetId=subnet, VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone="eu-west-1a")
            self.add("NetworkAcls", NetworkAclId=f"acl-{name}-{i:02}", VpcId=vpc, IsDefault=False,
                     Associations=[{"SubnetId": subnet}], Entries=self.entries())
            self.add("RouteTables", RouteTableId=f"rtb-{name}-{i:02}", VpcId=vpc, PropagatingVgws=[], Routes=[
                {"DestinationCidrBlock": f"172.16.{k}.0/24", "NetworkInterfaceId": f"eni-{name}-{0:05}", "State": "active",
                 "Origin": "CreateRoute"} for k in range(ROUTES)], Associations=[
                     {"SubnetId": subnet, "Main": False, "AssociationState": {"State": "associated"}}])
        for i in range(enis):
            self.eni(i, vpc, subnets[i // 200], groups, next(numbers))

    def add(self, name, **entry):
        self.lists.setdefault(name, []).append(entry)

    def permissions(self, groups):
        ports = self.dice.sample(range(1024, 60000), GROUP_RULES // 10)
        return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "PrefixListIds": [], "Ipv6Ranges": [],
                 "UserIdGroupPairs": [{"GroupId": self.dice.choice(groups), "UserId": "111111111111"}],
                 "IpRanges": [{"CidrIp": f"10.{self.dice.randrange(256)}.{self.dice.randrange(256)}.{16 * k}/28",
                               "Description": f"rule {k}"} for k in range(9)]} for port in sorted(ports)]

    def entries(self):
        return [{"RuleNumber": 10 * k + 10, "Protocol": "6", "RuleAction": "allow", "Egress": egress,
                 "CidrBlock": f"10.{k}.0.0/16", "PortRange": {"From": 1000 * k, "To": 1000 * k + 999}}
                for egress in (False, True) for k in range(NACL_ENTRIES // 2)]

    def eni(self, i, vpc, subnet, groups, number):
        address = f"10.0.{i // 200}.{10 + i % 200}"
        self.add("NetworkInterfaces", NetworkInterfaceId=f"eni-{self.name}-{i:05}", VpcId=vpc, SubnetId=subnet,
                 MacAddress=f"02:00:{number >> 24:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
                 Status="in-use", InterfaceType="interface", SourceDestCheck=True, OwnerId="111111111111",
                 AvailabilityZone="eu-west-1a", Description="", RequesterManaged=False, TagSet=[],
                 Groups=[{"GroupId": groups[0], "GroupName": "group 0"},
                         {"GroupId": groups[1 + i % (len(groups) - 1)], "GroupName": "group"}],
                 PrivateIpAddress=address, PrivateIpAddresses=[{"Primary": True, "PrivateIpAddress": address}],
                 Attachment={"InstanceId": f"i-{self.name}-{i:05}", "DeviceIndex": 0, "Status": "attached"})


def write(path, value, compact=False):
    """Into place by a rename, which is when the clock starts."""
    text = json.dumps(value, indent=None if compact else 1, separators=(",", ":") if compact else None)
    draft = os.path.join(os.path.dirname(path), "." + os.path.basename(path))
    with open(draft, "w", encoding="ascii") as out:
        out.write(text)
    began = time.monotonic()
    os.rename(draft, path)
    return began


class State:
    """The files: which list stands in which."""

    def __init__(self, folder, layout, enis, rules, change=None):
        """change: what to do with the lists before they are written, given all of them by path."""
        dice, numbers = random.Random(1), iter(range(1, enis + 1))
        nr = 100 if layout == "vpcs" else 1
        self.files = {}
        for v in range(nr):
            vpc = Vpc(f"{v:03}", enis // nr, rules // nr, dice, numbers)
            for name, entries in vpc.lists.items():
                path = os.path.join(folder, vpc.name if layout == "vpcs" else "", name + ".json")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self.files[path] = {name: entries}
        ports = [{"NetworkInterfaceId": eni["NetworkInterfaceId"], "Device": f"dev{i:05}"} for i, eni in enumerate(
            eni for lists in self.files.values() for eni in lists.get("NetworkInterfaces", ()))]
        self.files[os.path.join(folder, "hosts.json")] = {"Hosts": [{"HostId": HOST, "Ports": ports}]}
        self.compact = change is not None
        if change:
            change(self.files)
        for path in self.files:
            self.write(path)

    def write(self, path):
        return write(path, self.files[path], self.compact)

    def some(self, name, dice):
        path = dice.choice([path for path, lists in self.files.items() if name in lists])
        return path, dice.choice(self.files[path][name])


def edit_rule(state, dice):
    path, group = state.some("SecurityGroups", dice)
    dice.choice(group["IpPermissions"])["IpRanges"][3]["CidrIp"] = f"192.168.{dice.randrange(256)}.{dice.randrange(256)}/32"
    return path


def edit_member(state, dice):
    path, eni = state.some("NetworkInterfaces", dice)
    groups = state.files[path.replace("NetworkInterfaces", "SecurityGroups")]["SecurityGroups"]
    has = [group["GroupId"] for group in eni["Groups"]]
    group = dice.choice([group for group in groups if group["GroupId"] not in has])
    eni["Groups"] = eni["Groups"][:1] + [{"GroupId": group["GroupId"], "GroupName": "group"}]
    return path


def edit_route(state, dice):
    path, table = state.some("RouteTables", dice)
    dice.choice(table["Routes"])["DestinationCidrBlock"] = f"172.{17 + dice.randrange(10)}.{dice.randrange(256)}.0/24"
    return path


def edit_nacl(state, dice):
    path, nacl = state.some("NetworkAcls", dice)
    dice.choice(nacl["Entries"])["CidrBlock"] = f"192.{dice.randrange(256)}.{dice.randrange(256)}.0/24"
    return path


def edit_eni(state, dice):
    path, eni = state.some("NetworkInterfaces", dice)
    eni["SourceDestCheck"] = not eni["SourceDestCheck"]
    return path


def edit_used_rule(state, dice):
    """Of a group that some ENI has: all others are in no kernel."""
    path, eni = state.some("NetworkInterfaces", dice)
    path = path.replace("NetworkInterfaces", "SecurityGroups")
    group = next(group for group in state.files[path]["SecurityGroups"] if group["GroupId"] == eni["Groups"][-1]["GroupId"])
    dice.choice(group["IpPermissions"])["IpRanges"][3]["CidrIp"] = f"192.168.{dice.randrange(256)}.{dice.randrange(256)}/32"
    return path


EDITS = {"rule": edit_rule, "member": edit_member, "route": edit_route, "nacl": edit_nacl, "eni": edit_eni}


def open_control(pins):
    """The map `control`, shared with the kernel; it begins with the generation."""
    for folder, _, names in os.walk(pins):
        if "control" in names:
            path = ctypes.create_string_buffer(os.path.join(folder, "control").encode())
            request = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(path), 0, 0) + bytes(112))
            fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, OBJ_GET, request, 128)
            return mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    raise FileNotFoundError("the map control")


class Agent:
    def __init__(self, binary, folder, pins, within=("unshare", "-n", "--")):
        self.run, self.pins = os.path.join(folder, "run"), pins
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*within, binary, "run", "--state", os.path.join(folder, "state"), "--host", HOST, "--run-dir",
             self.run, "--pin-dir", pins, "--log-dir", os.path.join(folder, "logs"), "--max-flows", "65536"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while not self.report(True).get("ready"):
            if self.process.poll() is not None or time.monotonic() - began > 300:
                raise RuntimeError(open(self.log.name, encoding="utf-8").read())
            time.sleep(0.01)
        self.start_s = time.monotonic() - began
        self.control = open_control(pins)

    def report(self, missing_ok=False):
        try:
            with open(os.path.join(self.run, "status.json"), encoding="utf-8") as report:
                return json.load(report)
        except FileNotFoundError:
            return {} if missing_ok else None

    def generation(self):
        return struct.unpack_from("I", self.control, 0)[0]

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in status if line.startswith(("VmRSS", "VmHWM"))}

    def cpu_ms(self):
        with open(f"/proc/{self.process.pid}/schedstat", encoding="ascii") as stat:
            return int(stat.read().split()[0]) / 1e6

    def follow(self, began, before, report_before):
        """Seconds until the kernel enforces, and until the report says so."""
        path = os.path.join(self.run, "status.json")
        kernel = None
        while True:
            if kernel is None and self.generation() != before:
                kernel = time.monotonic() - began
            if kernel is not None and os.stat(path).st_ino != report_before:
                return kernel, time.monotonic() - began
            if time.monotonic() - began > 60:
                raise RuntimeError(open(self.log.name, encoding="utf-8").read()[-3000:])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.pins, ignore_errors=True)


def edit_times(agent, state, rounds, pause_s, edits=None):
    """{kind of edit: [(ms until the kernel enforces it, until the report says so, ms of the agent's CPU)]}"""
    dice, found = random.Random(2), {}
    for name, edit in (edits or EDITS).items():
        for _ in range(rounds):
            path = edit(state, dice)
            cpu = agent.cpu_ms()
            before, report = agent.generation(), os.stat(os.path.join(agent.run, "status.json")).st_ino
            kernel, status = agent.follow(state.write(path), before, report)
            found.setdefault(name, []).append((1000 * kernel, 1000 * status, agent.cpu_ms() - cpu))
            time.sleep(pause_s)
    return found


def measure(agent, state, rounds, pause_s):
    for name, times in edit_times(agent, state, rounds, pause_s).items():
        kernel, status, cpu = zip(*times)
        print(f"publish-{name:7} {statistics.median(kernel):9.2f} {max(kernel):9.2f} {statistics.median(status):9.2f} "
              f"{max(status):9.2f} {statistics.median(cpu):9.2f} {min(cpu):9.2f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--layout", choices=("vpcs", "one"), default="vpcs")
    parser.add_argument("--enis", type=int, default=10000)
    parser.add_argument("--rules", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between edits")
    parser.add_argument("--enid", default="build/enid")
    parser.add_argument("--make", metavar="FOLDER")
    options = parser.parse_args()
    if options.make:
        State(options.make, options.layout, options.enis, options.rules)
        return 0
    folder = tempfile.mkdtemp(prefix="enid-edits-", dir="/dev/shm")
    pins = f"/sys/fs/bpf/enid-edits-{os.getpid()}"
    try:
        state = State(os.path.join(folder, "state"), options.layout, options.enis, options.rules)
        size = sum(os.path.getsize(path) for path in state.files)
        agent = Agent(options.enid, folder, pins)
        try:
            memory = agent.memory_mb()
            print(f"# {options.layout}: {options.enis} ENIs, {options.rules} rules, {len(state.files)} files, {size / 1e6:.1f} MB")
            print(f"cold-start {agent.start_s:.2f} s, memory {memory['VmRSS']:.0f} MB, at its highest {memory['VmHWM']:.0f} MB")
            print("# edit             kernel       max    status       max agent cpu       min")
            measure(agent, state, options.rounds, options.pause)
            print(f"memory-after {agent.memory_mb()['VmRSS']:.0f} MB", flush=True)
        finally:
            agent.stop()
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
