#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid reach: what a person knows of the reference architecture; its three forms say the same; and random states pair by pair
at the edges of every interval, asked of the real programs by `enid explain`."""
import csv
import io
import json
import os
import random
import re
import tempfile
import time

from asking import Asker, load, random_states
from cli import REFERENCE, REPO, check, enid, main, merged

STATES = int(os.environ.get("STATES", "4"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
PER_STATE = 600
NUMBERS = {"tcp": 6, "udp": 17, 47: 47, 132: 132}


def matrix(*words):
    """-> {(source, destination, family): [service]}"""
    done = enid("reach", "--json", *words, timeout=300)
    return {(p["source"], p["destination"], p["family"]): p["services"] for p in done.json()}


def holds(services, protocol, port):
    """-> how its answers fare, None = it is not admitted."""
    for s in services:
        first = protocol > s["protocol"] or s["from"] <= port
        last = protocol < s["protocol_to"] or port <= s["to"]
        if s["protocol"] <= protocol <= s["protocol_to"] and first and last:
            return s["answers"]
    return None


def reference():
    done = enid("reach", REFERENCE)
    lines = done.out.splitlines()
    check("the database answers web servers on 3306, and the bastion on 22", done.code == 0 and
          "eni-web-a -> eni-db: tcp 3306" in lines and "eni-bastion -> eni-db: tcp 22" in lines, lines)
    check("the internet reaches the web servers on 80 and 443, the database not at all",
          "internet -> eni-web-a: icmp type 8, tcp 80, tcp 443" in lines and
          not any(line.startswith("internet -> eni-db") for line in lines), lines)
    check("nobody reaches the database from outside its rules", not any(" -> eni-db: all" in line for line in lines))


def readme():
    """The README's line, of the reference."""
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
        words = re.search(r"`enid (reach) STATE\.\.\.` \|([^|]*)\|", file.read())
    check("the README's reach, in the forms that it promises", all(enid(words[1], *form, REFERENCE).code == 0 and word in words[2]
                                                                 for word, form in (("text", ()), ("JSON", ("--json",)), ("CSV", ("--csv",)))), words)


def forms():
    found = matrix(REFERENCE)
    rows = rows_of(enid("reach", "--csv", REFERENCE).out)
    as_json = sorted((*pair, s["protocol"], s["protocol_to"], s["from"], s["to"], s["answers"])
                     for pair, services in found.items() for s in services)
    as_csv = sorted((r["source"], r["destination"], int(r["family"]), int(r["protocol"]), int(r["protocol_to"]), int(r["from"]),
                     int(r["to"]), r["answers"]) for r in rows)
    check(f"JSON and CSV hold the same {len(as_csv)} rows", as_csv and as_json == as_csv, (as_json[:2], as_csv[:2]))
    check("... and the text has a line for each pair", len(enid("reach", REFERENCE).out.splitlines()) == len(found))


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def odd_names():
    """An id may hold quotes, backslashes and commas (E32)."""
    state = json.loads(json.dumps(merged(REFERENCE)).replace('"eni-db"', json.dumps('eni-"d\\,b')))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        found = matrix(file.name)
        table = rows_of(enid("reach", "--csv", file.name).out)
    check("E32: odd ids stay whole in JSON and in CSV", ("eni-web-a", 'eni-"d\\,b', 4) in found and
          any(row["destination"] == 'eni-"d\\,b' for row in table), sorted(found)[:9])


def no_way_back():
    state = merged(REFERENCE)
    acl = next(a for a in state["NetworkAcls"] if a["NetworkAclId"] == "acl-private")
    for entry in acl["Entries"]:
        if entry["Egress"] and entry.get("PortRange", {}).get("From") == 1024:
            entry["PortRange"] = {"From": 2048, "To": 65535}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        lines = enid("reach", file.name).out.splitlines()
    check("answers that come back to some client ports only are told (NACL-02)",
          "eni-web-a -> eni-db: tcp 3306 (some answers)" in lines, [line for line in lines if "eni-db" in line])


def edges(services, rnd):
    """Services at, before and behind the ends of intervals, and a few others."""
    wanted = [("tcp", rnd.randrange(1, 65536)), ("udp", rnd.randrange(1, 65536)), ("icmp", 8), (47, 0), (132, 0)]
    for s in services:
        for name, number in (("tcp", 6), ("udp", 17)):
            if s["protocol"] <= number <= s["protocol_to"]:
                lo, hi = (s["from"] if number == s["protocol"] else 0), (s["to"] if number == s["protocol_to"] else 65535)
                wanted += [(name, port) for port in (lo - 1, lo, hi, hi + 1) if 0 < port < 65536]
    return rnd.sample(wanted, min(6, len(wanted)))


def ask_of(pair, service, rnd):
    question = {"from": pair[0], "to": pair[1], "family": pair[2], "protocol": service[0]}
    if service[0] in ("tcp", "udp"):
        question.update({"port": service[1], "source-port": rnd.randrange(1024, 65536)})
    return question


def difference(found, pair, service, answer):
    """-> what reach says otherwise than the programs, or None."""
    protocol = NUMBERS.get(service[0], 58 if pair[2] == 6 else 1)
    port = (128 << 8 if pair[2] == 6 else 8 << 8) if service[0] == "icmp" else service[1]
    said = holds(found.get(pair, []), protocol, port)
    there, back = answer["Enid"]["there"], answer["Enid"]["back"]
    to = there.get("to", "")
    arrives = there["reason"] == "accepted" and (to == pair[1] or (pair[1] == "internet" and to.startswith(("igw-", "eigw-"))))
    if there["agree"] is not True:
        return f"model and programs disagree: {there}"
    if arrives != (said is not None):
        return f"reach says {said}, the program {there['action']} {there['reason']} {to}"
    if not arrives or not back or said == "some":
        return None
    returns = back["reason"] == "accepted" and back.get("to", "") == there["port"] and answer["NetworkPathFound"]  # by addresses it knows
    return f"reach says answers: {said}, the program {back['reason']}" if returns != (said == "all") else None


def random_states_at_their_edges():
    rnd, wrong, asked, reached = random.Random(SEED), [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for path in random_states(folder, SEED, STATES):
            state = load(path)
            found = matrix("--host", "host-a", path)
            guarded = {p["NetworkInterfaceId"] for h in state["Hosts"] for p in h["Ports"]
                       if p.get("Mode") == "guard" or p.get("Side") == "instance"}
            ends = [e for e in Asker(state, rnd).enis if e not in guarded] + ["internet"]
            pairs = [(a, b, f) for a in ends for b in ends for f in (4, 6) if a != b]
            cases = [(pair, service) for pair in pairs for service in edges(found.get(pair, []), rnd)]
            cases = rnd.sample(cases, min(PER_STATE, len(cases)))
            answers = enid("explain", "--questions", "-", "--host", "host-a", path, timeout=600,
                           feed="".join(json.dumps(ask_of(*case, rnd)) + "\n" for case in cases)).lines()
            for (pair, service), answer in zip(cases, answers):
                if "Error" in answer:
                    continue
                asked += 1
                reached += answer["Enid"]["there"]["reason"] == "accepted"
                why = difference(found, pair, service, answer)
                if why:
                    wrong.append((os.path.basename(path), pair, service, why))
    check(f"{asked} services at the edges of intervals (seed {SEED:#x}), {reached} of them delivered: reach says the same",
          asked > 50 * STATES and reached > 5 * STATES and not wrong, (len(wrong), wrong[:4]))


def thousand():
    """1,000 interfaces, a million pairs."""
    rnd = random.Random(5)
    groups = [{"GroupId": f"sg-{i}", "GroupName": f"g{i}", "VpcId": "vpc-1", "IpPermissionsEgress": [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}], "IpPermissions": [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port + 9, "UserIdGroupPairs": [{"GroupId": f"sg-{rnd.randrange(50)}"}]}
            for port in rnd.sample(range(1, 60000), 8)]} for i in range(50)]
    enis = [{"NetworkInterfaceId": f"eni-{i}", "VpcId": "vpc-1", "SubnetId": f"subnet-{i % 10}",
             "MacAddress": f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", "PrivateIpAddress": f"10.0.{i % 10}.{10 + i // 10}",
             "PrivateIpAddresses": [{"PrivateIpAddress": f"10.0.{i % 10}.{10 + i // 10}", "Primary": True}],
             "Groups": [{"GroupId": f"sg-{rnd.randrange(50)}"}]} for i in range(1000)]
    state = {"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}], "SecurityGroups": groups, "NetworkInterfaces": enis,
             "Subnets": [{"SubnetId": f"subnet-{i}", "VpcId": "vpc-1", "CidrBlock": f"10.0.{i}.0/24"} for i in range(10)],
             "Hosts": [{"HostId": "h", "Ports": [{"NetworkInterfaceId": e["NetworkInterfaceId"], "Device": f"d{i}"}
                                                 for i, e in enumerate(enis)]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        begin = time.monotonic()
        done = enid("reach", "--csv", file.name, timeout=120)
        took = time.monotonic() - begin
    check(f"1,000 interfaces in {took:.1f} s (60 at most)", done.code == 0 and done.out.count("\n") > 1000 and took < 60, done)


if __name__ == "__main__":
    main(reference, readme, forms, odd_names, no_way_back, random_states_at_their_edges, thousand)
