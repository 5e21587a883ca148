#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`enid plan` on the command line: every kind of object is told of in AWS's words, whatever the order of lists; what is
refused, and how; nothing pinned; text and JSON. Needs root. (Flows and maps: tests/net/test_plan.py.)"""
import copy
import json
import os
import random
import shutil
import tempfile
import time

from cli import REFERENCE, REPO, check, enid, main, merged, until
from test_live import World

NOWHERE = ("--run-dir", "/run/enid-cli-plan-none", "--pin-dir", "/sys/fs/bpf/enid-cli-plan-none")


class Folder:
    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="enid-plan-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def write(self, state, name="state.json"):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as out:
            json.dump(state, out)
        return path


def nothing_pinned():
    done = enid("plan", REFERENCE, "--json", "--host", "host-a", *NOWHERE)
    told = done.json()
    check("where nothing is pinned all of the state is new", done.code == 0 and told["applies"] and
          all(change["change"] == "added" for change in told["changes"]) and told["flows"]["live"] == 0, done)
    lists = merged(REFERENCE)
    check("... each object once", {(change["list"], change["id"]) for change in told["changes"]} >= {
        ("Vpcs", "vpc-0reference"), ("SecurityGroups", "sg-db"), ("Hosts", "host-a")} and
        len(told["changes"]) == sum(len(entries) for entries in lists.values()), len(told["changes"]))
    check("... and no map is asked for more than it has", all(0 <= one["after"] <= one["most"] <= one["max"]
                                                             for one in told["entries"].values()), told["entries"])
    text = enid("plan", REFERENCE, "--host", "host-a", *NOWHERE)
    check("in words: objects, maps, flows", text.code == 0 and "security group sg-db: added" in text.out and
          "flows: 0 live, 0 cut, 0 moved" in text.out and "addresses" in text.out, text)
    done = enid("plan", REFERENCE, "--host", "host-z", *NOWHERE)
    check("a host that is not in the state is refused", done.code == 1 and "host-z" in done.err, done)


def refused():
    with Folder() as folder:
        path = folder.write({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/33"}], "Subnets": 5})
        done = enid("plan", path, "--json", *NOWHERE)
        told = done.json()
        check("a wrong state: all its errors, exit 1", done.code == 1 and not told["applies"] and len(told["errors"]) == 2 and
              "entries" not in told, done)
        done = enid("plan", path, *NOWHERE)
        check("... in words on standard error", done.code == 1 and not done.out and done.err.count("refused: ") == 2, done)
        done = enid("plan", os.path.join(folder.path, "none.json"), *NOWHERE)
        check("a state that is not there is named", done.code == 1 and "none.json" in done.err, done)
        # More subnets than a state may have: the limit by name, exit 1, and not a map touched.
        state = {"Vpcs": [{"VpcId": f"vpc-{n}", "CidrBlock": f"10.{n}.0.0/16"} for n in range(5)],
                 "Hosts": [{"HostId": "host-a", "Ports": []}],
                 "Subnets": [{"SubnetId": f"s{n}", "VpcId": f"vpc-{n // 4096}",
                              "CidrBlock": f"10.{n // 4096}.{n // 16 % 256}.{n % 16 * 16}/28"} for n in range(17000)]}
        done = enid("plan", folder.write(state), "--json", *NOWHERE, timeout=120)
        told = done.json()
        check("a state beyond a limit: refused whole, by the limit's name", done.code == 1 and not told["applies"] and
              len(told["errors"]) == 1 and "more than the 16383 that the list Subnets may have" in told["errors"][0], done)


# What is done to an object of the list, and what is said of it: (key, change, what, from, to)
EDITS = [
    ("SecurityGroups", "sg-db", lambda o: o["IpPermissions"].append({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [
        {"CidrIp": "10.0.0.0/8"}]}), [("IpPermissions", "added", "tcp 443 from 10.0.0.0/8", None, None)]),
    ("SecurityGroups", "sg-web", lambda o: o["IpPermissionsEgress"].clear(), [
        ("IpPermissionsEgress", "removed", "all to 0.0.0.0/0", None, None),
        ("IpPermissionsEgress", "removed", "all to ::/0", None, None)]),
    ("RouteTables", "rtb-public", lambda o: [route.update(GatewayId="igw-other") for route in o["Routes"]
                                             if route.get("DestinationCidrBlock") == "0.0.0.0/0"],
     [("Routes", "changed", "0.0.0.0/0", "igw-0reference", "igw-other")]),
    ("NetworkAcls", "acl-public", lambda o: o["Entries"].append({"RuleNumber": 77, "Protocol": "17", "RuleAction": "deny", "Egress": True,
        "CidrBlock": "192.0.2.0/24", "PortRange": {"From": 53, "To": 54}}),
     [("Entries", "added", "egress 77", None, "deny udp 53-54 192.0.2.0/24")]),
    ("NetworkInterfaces", "eni-db", lambda o: o.update(SourceDestCheck=False), [("SourceDestCheck", "changed", None, "true", "false")]),
    ("NetworkInterfaces", "eni-db", lambda o: o.update(ConnectionTrackingConfiguration={"UdpTimeout": 40}),
     [("ConnectionTrackingConfiguration.UdpTimeout", "added", None, None, "40")]),
    ("Subnets", "subnet-public-a", lambda o: o.update(Tags=[{"Key": "a", "Value": "b"}]), []),
    ("Hosts", "host-a", lambda o: o["Ports"][0].update(Mtu=1400), [("Ports", "changed", "eni-web-a", "Device=web-a",
                                                                   "Device=web-a Mtu=1400")]),
]


def find(state, name, object_id):
    for one in state[name]:
        if object_id in one.values():
            return one
    raise KeyError(object_id)


def words_of_edits(world, folder):
    original = merged(REFERENCE)
    for name, object_id, edit, expected in EDITS:
        state = copy.deepcopy(original)
        try:
            edit(find(state, name, object_id))
        except KeyError:
            check(f"{name} {object_id} exists", False)
            continue
        done = world.command("plan", folder.write(state), "--json")
        told = done.json()
        found = [(d["key"], d["change"], d.get("what"), d.get("from"), d.get("to")) for change in told["changes"]
                 for d in change["details"]]
        check(f"{name} {object_id}: {expected}", done.code == 0 and found == expected, (found, done.err))


def every_list_is_told_of(world, folder):
    """Generic: an object more, or one less, of each list that the schema knows, is a change of that list."""
    with open(os.path.join(REPO, "tests", "unit", "data", "full.json"), encoding="utf-8") as source:
        full = json.load(source)
    path = folder.write(full, "full.json")
    done = enid("plan", path, "--json", "--host", full["Hosts"][0]["HostId"], *NOWHERE, timeout=120)
    lists = {change["list"] for change in done.json()["changes"]}
    missing = {name for name, value in full.items() if value and name not in lists}
    check("each kind of object of the full state is told of", done.code in (0, 1) and len(lists) > 25 and
          len(missing) <= 2, sorted(missing))  # aliases, and what is ignored
    os.unlink(path)


def any_order(world, folder):
    seed = int(os.environ.get("ENID_SEED", str(int(time.time()))))
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(5):
        state = merged(REFERENCE)
        for entries in state.values():
            dice.shuffle(entries)
        for group in state["SecurityGroups"]:
            for permission in group["IpPermissions"]:
                for peers in permission.values():
                    if isinstance(peers, list):
                        dice.shuffle(peers)
        done = world.command("plan", folder.write(state), "--json")
        told = done.json()
        check("the same lists in another order: nothing changes, no entry is needed", done.code == 0 and not told["changes"] and
              not told["objects"] and not any(one[key] for one in told["entries"].values()
                                              for key in ("added", "updated", "deleted")), (seed, told["changes"]))


def with_an_agent():
    world = World(f"/sys/fs/bpf/enid-cli-plan-{os.getpid()}")
    try:
        check("the agent is ready", world.start() or until(lambda: world.command("status").code == 0, 50))
        done = world.command("plan", world.state)
        check("the state in force: nothing changes", done.code == 0 and done.out ==
              "nothing changes\nnothing changes in the kernel\nflows: 0 live, 0 cut, 0 moved\n", done)
        with Folder() as folder:
            words_of_edits(world, folder)
            any_order(world, folder)
            every_list_is_told_of(world, folder)
    finally:
        world.close()


if __name__ == "__main__":
    main(nothing_pinned, refused, with_an_agent)
