#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the data path makes of states that were written carelessly (E14, E15, E18, E32): the same state in other words gives
the same verdicts, a state that allows less never admits more, and empty is never "everything"."""
import copy
import ipaddress
import json
import os

from cli import REFERENCE, ROUTER, check, main, replay
from hostile import ROUNDS, SEED, at, changed, rng, walk, without, write
import frames  # cli knows where

INTERNET = ("198.51.100.7", "192.0.2.9")
PORTS = ((6, 80), (6, 443), (6, 22), (6, 3306), (17, 53), (1, 8))


def reference():
    state = {}
    for name in sorted(os.listdir(REFERENCE)):
        with open(os.path.join(REFERENCE, name), encoding="utf-8") as file:
            state.update(json.load(file))
    return state


BASE = reference()
ENIS = BASE["NetworkInterfaces"]


def l4(proto, port, sport):
    return frames.tcp(sport, port, "S") if proto == 6 else frames.udp(sport, port) if proto == 17 else frames.echo(8, sport)


def questions():
    """A first packet of each ENI to each other one and to the internet, and from the internet: each a flow of its own."""
    lines = []
    for eni in ENIS:
        for target in [other["PrivateIpAddress"] for other in ENIS if other is not eni] + list(INTERNET):
            for proto, port in PORTS:
                packet = frames.packet(eni["PrivateIpAddress"], target, proto, l4(proto, port, 20000 + len(lines)))
                near = next((o["MacAddress"] for o in ENIS if o["PrivateIpAddress"] == target and
                             o["SubnetId"] == eni["SubnetId"]), ROUTER)
                lines.append({"port": eni["NetworkInterfaceId"], "packet": frames.frame(eni["MacAddress"], near, packet).hex()})
    gateway = BASE["InternetGateways"][0]["InternetGatewayId"]
    for public in sorted({a["Association"]["PublicIp"] for e in ENIS for a in e["PrivateIpAddresses"] if "Association" in a}):
        for source in INTERNET:
            for proto, port in PORTS:
                packet = frames.packet(source, public, proto, l4(proto, port, 20000 + len(lines)))
                lines.append({"port": gateway, "packet": frames.frame("02:00:00:00:00:99", ROUTER, packet).hex()})
    return lines


QUESTIONS = questions()


def verdicts(state):
    done = replay(state if isinstance(state, str) else write(state), QUESTIONS)
    if done.code or len(done.lines()) != len(QUESTIONS):
        raise RuntimeError(str(done))
    return [(out["action"], out.get("to"), out["reason"]) for out in done.lines()]


FIRST = verdicts(BASE)
ALLOWED = {n for n, out in enumerate(FIRST) if out[0] != "drop"}


def same(name, state):
    found = verdicts(state)
    wrong = [(QUESTIONS[n]["port"], a, b) for n, (a, b) in enumerate(zip(FIRST, found)) if a != b]
    check(f"{name}: {len(found)} verdicts stay", not wrong, f"seed {SEED}: {wrong[:3]}")


def less(name, state, strictly=False):
    found = {n for n, out in enumerate(verdicts(state)) if out[0] != "drop"}
    check(f"{name}: nothing more is admitted", found <= ALLOWED and (not strictly or found < ALLOWED),
          f"seed {SEED}: new {[QUESTIONS[n] for n in sorted(found - ALLOWED)][:2]}, {len(found)} of {len(ALLOWED)}")
    return found


def the_questions_mean_something():
    reasons = {out[2] for out in FIRST}
    check(f"{len(FIRST)} questions, {len(ALLOWED)} of them admitted, {len(reasons)} reasons", 20 < len(ALLOWED) < len(FIRST) - 20 and
          len(reasons) >= 4, reasons)


# ---- E14

def permissions(state):
    """Paths of everything that allows: elements of rules, whole rules, NACL allows, routes, groups of ENIs."""
    for path, value in walk(state):
        if len(path) >= 3 and isinstance(path[-1], int) and path[0] in ("SecurityGroups", "RouteTables") and \
                path[-2] != "Associations":
            yield path
        if path[0] == "NetworkAcls" and path[-2:-1] == ("Entries",) and value["RuleAction"] == "allow":
            yield path
        if path[0] == "NetworkInterfaces" and path[-2:-1] == ("Groups",):
            yield path


def e14_removing_an_allow_never_enlarges():
    paths, shrunk = list(permissions(BASE)), 0
    for path in paths if not ROUNDS else rng.sample(paths, min(len(paths), 14 * ROUNDS)):
        if path[0] == "RouteTables" and at(BASE, path).get("GatewayId") == "local":
            continue  # every table has it (RT-03)
        name = f"E14: without {path[0]} {path[1]} {'.'.join(map(str, path[2:]))}"
        shrunk += less(name, without(BASE, path)) < ALLOWED
    check("E14: some of these removals did bite", shrunk > 2, shrunk)
    for _ in range(3 * max(1, ROUNDS)):
        state = copy.deepcopy(BASE)
        for path in sorted(rng.sample(paths, 6), key=str, reverse=True):
            try:
                if path[0] != "RouteTables":
                    del at(state, path[:-1])[path[-1]]
            except (IndexError, KeyError):
                pass  # its parent went first
        less("E14: without six at once", state)


def e14_empty_is_never_everything():
    """No rules, an empty list, null or no list at all: nothing is admitted by them, alike."""
    for name in ("IpPermissions", "IpPermissionsEgress"):
        found = []
        for value in ([], None, "gone"):
            state = copy.deepcopy(BASE)
            for group in state["SecurityGroups"]:
                if value == "gone":
                    group.pop(name, None)
                else:
                    group[name] = value
            found.append(less(f"E14: {name} of all groups {value!r}", state, True))
        check(f"E14: {name} [], null and absent are alike", found[0] == found[1] == found[2])
    for lists in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"):
        state = copy.deepcopy(BASE)
        for group in state["SecurityGroups"]:
            for permission in group["IpPermissions"] + group["IpPermissionsEgress"]:
                permission[lists] = []
        less(f"E14: {lists} empty", state)
    bare = copy.deepcopy(BASE)
    for group in bare["SecurityGroups"]:
        for permission in group["IpPermissions"]:
            for lists in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"):
                permission.pop(lists, None)
    found = verdicts(bare)
    check("E14: permissions for nobody admit nobody", all(out[2] != "accepted" or out[1] == BASE["InternetGateways"][0][
        "InternetGatewayId"] for out in found), [out for out in found if out[2] == "accepted"][:3])
    for path, value in walk(BASE):
        if path[0] in ("NetworkAcls", "NetworkInterfaces", "RouteTables") and len(path) == 3 and \
                path[2] in ("Entries", "Groups", "Routes") and value:
            less(f"E14: {path[2]} of {path[0]} {path[1]} empty", changed(BASE, path, []))
    lists = {"PrefixListId": "pl-none", "Cidrs": []}
    state = copy.deepcopy(BASE)
    state["PrefixLists"] = [lists]
    for group in state["SecurityGroups"]:
        group["IpPermissions"] = [{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-none"}]}]
    found = verdicts(state)
    check("E14: an empty prefix list is nobody", not any(out[0] == "deliver" for out in found))
    state["PrefixLists"] = []
    check("E14: a missing prefix list is nobody", verdicts(state) == found)
    for group in state["SecurityGroups"]:
        group["IpPermissions"] = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-none"}, {}]}]
    check("E14: a missing group is nobody", verdicts(state) == found)


def e14_mapped_addresses_are_not_ipv4():
    state = copy.deepcopy(BASE)
    for group in state["SecurityGroups"]:
        group["IpPermissions"] = [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::ffff:0:0/96"}, {"CidrIpv6": "::/0"}]}]
    found = verdicts(state)
    check("E14: IPv6 rules, v4-mapped ones too, admit no IPv4", not any(out[0] == "deliver" for out in found))


# ---- the same in other words

def shuffled(value):
    """Every list whose order means nothing in another order (SG-11, NACL-01, RT-01: none does)."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}
    if isinstance(value, list):
        return [shuffled(member) for member in rng.sample(value, len(value))]
    return value


def respelled(text):
    """The same CIDR or address in other words; anything else as it is."""
    try:
        if "/" not in text:
            address = ipaddress.ip_address(text)
            return address.exploded.upper() if address.version == 6 else text
        net = ipaddress.ip_network(text)
    except ValueError:
        return text
    host = net[rng.randrange(min(net.num_addresses, 1 << 32))]  # host bits are a warning, no other network
    return f"{host.exploded.upper() if net.version == 6 else host}/{net.prefixlen}"


def reworded(value, key=None):
    if isinstance(value, dict):
        return {k: reworded(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [reworded(member, key) for member in value]
    if isinstance(value, str) and key in ("State", "Status", "IpProtocol"):
        return rng.choice((value.upper(), value.title(), value))
    if isinstance(value, str) and key == "MacAddress":
        return value.upper()
    return respelled(value) if isinstance(value, str) else value


def littered(value):
    """Keys that nobody knows, nulls, empty lists and texts, everywhere."""
    if isinstance(value, dict):
        found = {key: littered(member) for key, member in value.items()}
        found.update({"Tags": [{"Key": "%s\n", "Value": "\x1b[31m"}], "X-" + "k" * rng.randrange(300): rng.choice(
            (None, [], {}, "", 7.5, "\u202e", [[[[]]]], "v" * 5000))})
        return found
    return [littered(member) for member in value] if isinstance(value, list) else value


def split(state):
    """One object a file, some objects in two files, in a folder."""
    path = write("{}") + ".d"
    os.makedirs(path, exist_ok=True)
    for name in os.listdir(path):
        os.unlink(os.path.join(path, name))
    number = 0
    for name, entries in state.items():
        for entry in entries + rng.sample(entries, len(entries) // 2):
            number += 1
            with open(os.path.join(path, f"{rng.randrange(10000):04d}-{number}.json"), "w", encoding="utf-8") as file:
                json.dump({name: [entry]}, file)
    return path


def e15_e18_the_same_in_other_words():
    for _ in range(2 * max(1, ROUNDS)):
        same("E18: every list and object in another order", shuffled(BASE))
        same("E15: addresses, CIDRs, states, MACs in other spellings", reworded(BASE))
        same("E18: unknown keys, nulls and litter everywhere", littered(BASE))
        same("E18: one file for each object, half of them twice", split(BASE))
        same("E18: all of it at once", shuffled(littered(reworded(BASE))))


# ---- E32

def e32_ids_in_results():
    """Ids that are odd but printable come out as they went in: one JSON line for each packet."""
    mine = [n for n, line in enumerate(QUESTIONS) if line["port"] == "eni-bastion"]
    check("E32: (the bastion opens something at the database)", any(FIRST[n][1] == "eni-db" for n in mine))
    for name in ("%s%n%x", 'a"b\\c', "{}[],:", "$(reboot)`id`", "'" * 63):
        text = json.dumps(BASE)
        for old in ("sg-bastion", "rtb-public", "eni-db"):
            text = text.replace(f'"{old}"', json.dumps(name))
        done = replay(write(text), [QUESTIONS[n] for n in mine])
        outs = done.lines()
        steps = {step["stage"] for out in outs for step in out.get("decided_by", ()) if step["id"] == name}
        check(f"E32: a group, a table and an ENI called {name[:12]}", done.code == 0 and len(outs) == len(mine) and
              any(out.get("to") == name for out in outs) and {"sg-egress", "route"} <= steps, f"{steps} {done}")


if __name__ == "__main__":
    print(f"# ENID_SEED={SEED} ENID_HOSTILE_ROUNDS={ROUNDS}")
    main(the_questions_mean_something, e14_removing_an_allow_never_enlarges, e14_empty_is_never_everything,
         e14_mapped_addresses_are_not_ipv4, e15_e18_the_same_in_other_words, e32_ids_in_results)
