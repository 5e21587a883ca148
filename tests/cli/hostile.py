# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Walk, change and check states: what the tests with hostile states share."""
import copy
import json
import os
import random
import tempfile
import time

from cli import REPO, Done, check, enid

FULL = os.path.join(REPO, "tests", "unit", "data", "full.json")  # has every list
SEED = int(os.environ.get("ENID_SEED") or time.time())
ROUNDS = int(os.environ.get("ENID_HOSTILE_ROUNDS", "1"))  # 1 = the short form
rng = random.Random(SEED)
# What enid does not read (JSON-01), wherever it stands
IGNORED = {"Tags", "Description", "NextToken", "Unknown"}
IGNORED_IN = {(("Groups",), "GroupName"), (("Routes",), "InstanceId")}
_folder = tempfile.TemporaryDirectory(prefix="enid-hostile-")


def full():
    with open(FULL, encoding="utf-8") as file:
        return json.load(file)


def walk(value, path=()):
    """(path, value) of everything below; a path is a tuple of keys and indexes."""
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if key in IGNORED or (path[-2:-1], key) in IGNORED_IN:
            continue
        yield path + (key,), member
        if isinstance(member, (dict, list)):
            yield from walk(member, path + (key,))


def at(state, path):
    for key in path:
        state = state[key]
    return state


def changed(state, path, value):
    """A copy of the state with another value at the path. Only what lies on the path is copied."""
    twin = copy.copy(state)
    twin[path[0]] = changed(state[path[0]], path[1:], value) if len(path) > 1 else value
    return twin


def without(state, path):
    twin = copy.deepcopy(state)
    del at(twin, path[:-1])[path[-1]]
    return twin


def place(path):
    """("Vpcs", 0, "CidrBlockAssociationSet", 1, "CidrBlock") -> "CidrBlockAssociationSet[1].CidrBlock", as messages say."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def write(state):
    """The state, or bytes or text as they are, as s.json. -> its path"""
    path = os.path.join(_folder.name, "s.json")
    data = state if isinstance(state, bytes) else (state if isinstance(state, str) else json.dumps(state)).encode()
    with open(path, "wb") as file:
        file.write(data)
    return path


class Verdict:
    """What `enid check --json` says of a state: valid, errors, warnings; messages without the folder's name."""

    def __init__(self, state):
        self.done: Done = enid("check", "--json", write(state))
        said = self.done.json()
        self.valid = said["valid"]
        self.errors, self.warnings = ([text.replace(_folder.name + "/", "") for text in said[kind]]
                                      for kind in ("errors", "warnings"))
        self.sane = (self.done.code == (0 if self.valid else 1) and not self.done.err and
                     bool(self.errors) != self.valid)

    def __str__(self):
        return f"exit {self.done.code}, errors {self.errors[:3]}, warnings {self.warnings[:3]}, {self.done.err[:200]!r}"

    def same(self, other):
        return (self.valid, self.errors, self.warnings) == (other.valid, other.errors, other.warnings)


def has(texts, *parts):
    """Whether one of the messages has all the parts."""
    return any(all(str(part) in text for part in parts) for text in texts)


def refused(name, state, *parts):
    """Refused whole, with a message that has all parts."""
    verdict = Verdict(state)
    return check(f"{name}: refused", verdict.sane and not verdict.valid and has(verdict.errors, *parts), f"{parts}: {verdict}")


def tolerated(name, state, *parts):
    """Valid; with a warning that has all parts, or without any more than the base has."""
    verdict = Verdict(state)
    said = has(verdict.warnings, *parts) if parts else not verdict.warnings
    return check(f"{name}: tolerated", verdict.sane and verdict.valid and said, f"{parts}: {verdict}")


# References that no message need name: they point outside of the state, or belong to gateways that nothing is forwarded to yet
REFERENCES_UNSAID = {
    ("SecurityGroups", "UserId"), ("SecurityGroupRules", "UserId"), ("SecurityGroups", "VpcId"), ("NetworkInterfaces", "InstanceId"),
    ("VpcPeeringConnections", "VpcId"), ("VpnGateways", "VpcId"), ("TransitGatewayAttachments", "ResourceId"),
    ("TransitGatewayAttachments", "TransitGatewayRouteTableId"), ("TransitGatewayRoutes", "TransitGatewayAttachmentId"),
    ("TransitGatewayRoutes", "ResourceId"), ("TransitGatewayRouteTableAssociations", "TransitGatewayAttachmentId"),
    ("TransitGatewayPropagations", "TransitGatewayAttachmentId"), ("TransitGatewayPropagations", "ResourceId"),
    ("TransitGatewayPrefixListReferences", "TransitGatewayAttachmentId"), ("FlowLogs", "ResourceId")}
