#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid explain: what it says of ways that a person can follow; AWS's form of it; and random questions about random states, in
which the model, the private programs that explain asks, and `enid replay` have to agree. QUESTIONS sets how many (default
2,000; make explain-long asks 100,000)."""
import collections
import copy
import glob
import json
import os
import random
import re
import tempfile

from asking import Asker, load, random_states
from cli import REFERENCE, REPO, check, enid, main, merged, replay
import frames  # cli knows where

COURSE = os.path.join(REPO, "deploy", "examples", "course")
QUESTIONS = int(os.environ.get("QUESTIONS", "2000"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
PER_STATE = int(os.environ.get("PER_STATE", 250 if QUESTIONS < 20000 else 1000))

KINDS = (("accepted",), ("sg-egress",), ("sg-ingress",), ("nacl-egress", "nacl-ingress"),
         ("no-route", "blackhole", "tgw-no-route", "not-served", "no-owner"))


def explain(state, *words, **kw):
    """State: a path, or an object."""
    if isinstance(state, str):
        return enid("explain", *words, state, **kw)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        return enid("explain", *words, file.name, **kw)


def asked(state, source, target, *words, **kw):
    done = explain(state, "--from", source, "--to", target, "--json", *words, **kw)
    return done.code, done.json()


def codes(found):
    return [e["ExplanationCode"] for e in found["Explanations"]]


def reachable():
    code, found = asked(REFERENCE, "eni-bastion", "eni-db", "--port", "22")
    stages = [c["Enid"]["stage"] for c in found["ForwardPathComponents"] if "Enid" in c]
    check("SSH from the bastion to the database is reachable, exit 0", code == 0 and found["NetworkPathFound"] is True and
          not found["Explanations"], found)
    check("... by all stages in their order (PATH-15)",
          stages == ["sg-egress", "route", "nacl-egress", "nacl-ingress", "sg-ingress"], stages)
    check("... and what decided has AWS's shape", found["ForwardPathComponents"][4]["AclRule"] ==
          {"Cidr": "10.20.0.0/16", "Egress": False, "PortRange": {"From": 22, "To": 22}, "Protocol": "6",
           "RuleAction": "allow", "RuleNumber": 110} and
          found["ForwardPathComponents"][5]["SecurityGroupRule"]["ReferencedGroupId"] == "sg-bastion",
          found["ForwardPathComponents"][4:6])
    back = [c["Enid"]["stage"] for c in found["ReturnPathComponents"] if "Enid" in c]
    check("... the answer is remembered at both ends, and meets the network ACLs (CT-01, NACL-02)",
          back == ["conntrack", "route", "nacl-egress", "nacl-ingress", "conntrack"], back)
    numbers = [c["SequenceNumber"] for c in found["ForwardPathComponents"]]
    check("components are numbered from 1", numbers == list(range(1, len(numbers) + 1)), numbers)
    check("programs and model agree", found["Enid"]["there"]["agree"] and found["Enid"]["back"]["agree"])
    text = explain(REFERENCE, "--from", "eni-bastion", "--to", "eni-db", "--port", "22")
    check("the text names rules in words", "nacl-ingress  acl-private 110 (allow tcp 22 from 10.20.0.0/16)" in text.out and
          text.out.count("the kernel's program says the same") == 2 and text.out.endswith("\nreachable\n"), text)


def refused():
    code, found = asked(REFERENCE, "eni-bastion", "eni-db", "--port", "3306")
    near = {(n["Enid"]["rule"], n["Enid"]["miss"]) for n in found["Explanations"][0]["Enid"]["near"]}
    check("the database's port from the bastion: no group admits it, exit 1", code == 1 and
          codes(found) == ["ENI_SG_RULES_MISMATCH"] and found["Explanations"][0]["Direction"] == "ingress", found)
    check("... near: the port from others, another port from the bastion", near ==
          {("IpPermissions[0]", "but for who is at the other end"), ("IpPermissions[1]", "but for who is at the other end"),
           ("IpPermissions[2]", "but for the port or type")}, near)
    state = merged(REFERENCE)
    for group in state["SecurityGroups"]:
        group["IpPermissions"] = []
    code, found = asked(state, "eni-bastion", "eni-db", "--port", "22")
    check("groups without a rule have a code of their own", codes(found) == ["SG_HAS_NO_RULES"], found["Explanations"])


def near_routes(state, *question):
    why = asked(state, *question)[1]["Explanations"][0]
    return why["ExplanationCode"], {(n["RouteTable"]["Id"], n["Enid"]["rule"], n["Enid"]["target"], n["Enid"]["miss"])
                                    for n in why["Enid"]["near"]}


def near_a_route():
    later, other = "matches, but a longer prefix comes first", "matches, but is in the table of other subnets"
    state = merged(REFERENCE)
    public = next(t for t in state["RouteTables"] if t["RouteTableId"] == "rtb-public")
    default = next(r for r in public["Routes"] if r.get("GatewayId") == "igw-0reference" or "0.0.0.0/0" in r.values())
    next(g for g in state["SecurityGroups"] if g["GroupId"] == "sg-db")["IpPermissionsEgress"] = [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    code, near = near_routes(state, "eni-db", "203.0.113.77", "--port", "443")
    check("no route: the other subnets' table has one, and is named", other in {n[3] for n in near} and
          ("rtb-public", "0.0.0.0/0") in {n[:2] for n in near}, (code, near))
    public["Routes"] += [{"DestinationCidrBlock": "198.51.100.0/24", "NetworkInterfaceId": "eni-0gone", "State": "blackhole"},
                         {"DestinationCidrBlock": "198.51.0.0/16", "GatewayId": default["GatewayId"], "State": "active"}]
    code, near = near_routes(state, "eni-bastion", "198.51.100.7", "--port", "443")
    check("a blackhole: what it hides, longest first", code == "BAD_STATE_ROUTE" and
          {n[1] for n in near if n[3] == later} == {"198.51.0.0/16", "0.0.0.0/0"}, (code, near))
    public["Routes"] = [r for r in public["Routes"] if r is not default]
    code, near = near_routes(state, "eni-bastion", "198.50.1.1", "--port", "443")
    check("a prefix that the address just misses", ("rtb-public", "198.51.0.0/16", "but for what follows its first 15 bits") in
          {n[:2] + n[3:] for n in near}, (code, near))
    text = explain(state, "--from", "eni-bastion", "--to", "198.50.1.1", "--port", "443").out
    check("... in words", "near: rtb-public 198.51.0.0/16 (" in text and "looked in rtb-public" in text, text)


def network_acls():
    state = merged(REFERENCE)
    acl = next(a for a in state["NetworkAcls"] if a["NetworkAclId"] == "acl-private")
    acl["Entries"].append({"RuleNumber": 90, "RuleAction": "deny", "Egress": False, "Protocol": "6",
                           "CidrBlock": "10.20.1.0/24", "PortRange": {"From": 20, "To": 25}})
    code, found = asked(state, "eni-bastion", "eni-db", "--port", "22")
    why = found["Explanations"][0]
    check("an entry that denies first is named", code == 1 and why["ExplanationCode"] == "SUBNET_ACL_RESTRICTION" and
          why["AclRule"]["RuleNumber"] == 90 and why["AclRule"]["RuleAction"] == "deny" and
          why["Acl"]["Id"] == "acl-private", why)
    check("... and the one that came too late (NACL-02)", any(
        n.get("RuleNumber") == 110 and n["Enid"]["miss"].startswith("matches, but") for n in why["Enid"]["near"]), why)
    state = merged(REFERENCE)
    acl = next(a for a in state["NetworkAcls"] if a["NetworkAclId"] == "acl-private")
    acl["Entries"] = [e for e in acl["Entries"] if not e["Egress"] or e["RuleNumber"] == 32767]
    code, found = asked(state, "eni-bastion", "eni-db", "--port", "22")
    check("a network ACL without a way for answers: the way there is free, the way back is not", code == 1 and
          found["Enid"]["there"]["action"] == "deliver" and found["Enid"]["back"]["reason"] == "nacl-egress" and
          codes(found) == ["SUBNET_ACL_RESTRICTION"], found["Enid"])


def routes():
    state = merged(REFERENCE)
    for table in state["RouteTables"]:
        table["Routes"] = [r for r in table["Routes"] if r.get("DestinationCidrBlock") != "0.0.0.0/0"]
    code, found = asked(state, "eni-web-a", "internet", "--port", "443", "--family", "4")
    check("no route", code == 1 and codes(found) == ["NO_ROUTE_TO_DESTINATION"] and
          found["Explanations"][0]["RouteTable"]["Id"] == "rtb-public", found["Explanations"])
    state = merged(COURSE)
    state["NatGateways"][0]["State"] = "deleted"
    code, found = asked(state, "eni-db", "internet", "--port", "443")
    check("a route to a NAT gateway that is gone", codes(found) == ["BAD_STATE_ROUTE"], found["Explanations"])


def translated():
    code, found = asked(COURSE, "eni-db", "internet", "--port", "443")
    last = found["ForwardPathComponents"][-1]
    check("by NAT and internet gateway: the header as it leaves", code == 0 and last["Component"]["Id"] == "igw-0shop" and
          last["InboundHeader"]["SourceAddresses"] == ["50.1.1.220"], last)
    check("... the answer comes back to the client's own address and port", found["ReturnPathComponents"][-1]["InboundHeader"]
          ["DestinationAddresses"] == ["10.0.3.87"] and found["Enid"]["back"]["agree"], found["ReturnPathComponents"][-1])
    code, found = asked(COURSE, "eni-db", "internet", "--port", "443", "--source-port", "500")
    check("a port below 1024 becomes another one, and the answer finds its way (NAT-03)", code == 0 and
          found["ReturnPathComponents"][-1]["InboundHeader"]["DestinationPortRanges"] == [{"From": 500, "To": 500}] and
          found["ReturnPathComponents"][0]["OutboundHeader"]["DestinationPortRanges"][0]["From"] >= 1024, found["Enid"])
    neighbour = os.path.join(REPO, "tests", "golden", "found-neighbour-of-a-nat-gateway", "state.json")
    code, found = asked(neighbour, "m", "a2", "--port", "22", "--source-port", "500")
    ports = [c["OutboundHeader"]["SourcePortRanges"][0]["From"] for c in found["ForwardPathComponents"]
             if c.get("OutboundHeader", {}).get("SourceAddresses") == ["10.0.0.220"]]
    check("... whom it meets behind the gateway is shown the other one", code == 0 and ports and min(ports) >= 1024, ports)
    code, found = asked(neighbour, "a2", "m", "--protocol", "udp", "--port", "80")
    last = found["ReturnPathComponents"][-1]["InboundHeader"]
    check("... and an answer that goes astray through a gateway has one as well", not found["NetworkPathFound"] and
          last["SourceAddresses"] == ["10.0.0.220"] and last["SourcePortRanges"][0]["From"] >= 1024, last)
    code, found = asked(COURSE, "eni-db", "internet", "--protocol", "50")
    check("ESP does not pass a NAT gateway", codes(found) == ["PROTOCOL_RESTRICTION"], found["Explanations"])


def blocked():
    """VPC-18: what block public access stops, where the gateway has something of its own to say against it."""
    def of_golden(case, *excluded):
        state = load(os.path.join(REPO, "tests", "golden", case, "state.json"))
        state["VpcBlockPublicAccessOptions"] = {"InternetGatewayBlockMode": "block-bidirectional", "State": "update-complete"}
        state["VpcBlockPublicAccessExclusions"] = [
            {"ExclusionId": "x-1", "ResourceArn": f"arn:aws:ec2:eu-west-1:1:{name}", "InternetGatewayExclusionMode": "allow-egress",
             "State": "create-complete"} for name in excluded]
        return state

    six, four = ("2001:db8:ffff::7", "2001:db8:1:1::10"), ("198.51.100.7", "10.0.1.10")
    own, shared, regional = "vpc-18-egress-only-gateway", "vpc-18-egress-only-gateway-by-a-shared-uplink", "nat-23-regional-by-zone"
    for what, case, excluded, source, target, words, reason in (
            ("in by an egress-only gateway", own, (), *six, ("--via", "eigw-1"), "bpa"),
            ("... before it is told that nobody asked for it", own, ("vpc/v1",), *six, ("--via", "eigw-1"), "eigw-unsolicited"),
            ("... IPv4", own, (), *four, ("--via", "eigw-1"), "bpa"),
            ("... by the internet gateway's uplink", shared, (), *six, ("--via", "igw-1"), "bpa"),
            ("... out", own, (), *reversed(six), (), "bpa"), ("out by a regional NAT gateway", regional, (), "a", "198.51.100.7", (), "bpa"),
            ("... whose VPC is excluded", regional, ("vpc/v1",), "a", "198.51.100.7", (), "accepted"),
            ("... whose client's subnet is", regional, ("subnet/S1",), "a", "198.51.100.7", (), "bpa")):
        for hook in ("tc", "xdp"):
            code, found = asked(of_golden(case, *excluded), source, target, "--port", "443", "--hook", hook, *words)
            there = found["Enid"]["there"]
            check(f"{what}: {reason} ({hook})", code == (reason != "accepted") and there["reason"] == reason and there["agree"] is True, there)


def names():
    state = merged(REFERENCE)
    db = next(e for e in state["NetworkInterfaces"] if e["NetworkInterfaceId"] == "eni-db")
    db["TagSet"] = [{"Key": "Name", "Value": "the database"}]
    code, found = asked(state, "10.20.1.50", "the database", "--port", "22")
    check("ends by address and by name tag", code == 0 and found["Enid"]["there"]["to"] == "eni-db", found["Enid"])
    twin = copy.deepcopy(db)
    twin.update(NetworkInterfaceId="eni-twin", Ipv6Addresses=[], MacAddress="02:00:00:00:77:01", PrivateIpAddress="10.20.11.99",
                PrivateIpAddresses=[{"PrivateIpAddress": "10.20.11.99", "Primary": True}])
    state["NetworkInterfaces"].append(twin)
    done = explain(state, "--from", "eni-bastion", "--to", "the database", "--port", "22")
    check("a name of two is refused, with both", done.code == 2 and "eni-db" in done.err and "eni-twin" in done.err, done)
    done = explain(REFERENCE, "--from", "eni-nobody", "--to", "eni-db", "--port", "22")
    check("a name of nobody is refused, and told", done.code == 2 and "'eni-nobody'" in done.err and not done.out, done)


def misuse():
    for words, what in ((("--to", "eni-db"), "--from"), (("--from", "eni-web-a"), "--to"),
                        (("--from", "eni-web-a", "--to", "eni-db"), "which port"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--port", "65536"), "'65536'"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--protocol", "tpc"), "'tpc'"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--port", "1", "--family", "5"), "'5'"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--protocol", "icmp", "--icmp-type", "3"), "type 3"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--protocol", "icmp", "--port", "3"), "only TCP and UDP"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--port", "1", "--vpc", "vpc-x"), "'vpc-x'"),
                        (("--from", "eni-web-a", "--to", "eni-db", "--port", "1", "--via", "igw-x"), "'igw-x'"),
                        (("--from", "internet", "--to", "eni-db", "--port", "1", "--via", "igw-x"), "'igw-x'")):
        done = explain(REFERENCE, *words)
        check(f"explain {' '.join(words)} is misuse, and names it", done.code == 2 and what in done.err and not done.out, done)


    question = {"from": "eni-web-a", "to": "eni-db", "port": 3306}
    done = enid("explain", "--static", "--questions", "-", REFERENCE, feed="".join(
        json.dumps(each) + "\n" for each in ({**question, "prot": "udp"}, question)))
    lines = done.lines()
    check("a key that no question has is refused, not left out; the next line is answered", done.code == 2 and
          "'prot'" in lines[0].get("Error", "") and lines[1].get("NetworkPathFound") is True, done)


def model_alone():
    code, found = asked(REFERENCE, "eni-bastion", "eni-db", "--port", "22", "--static")
    check("--static asks the model alone, and says so", code == 0 and found["Enid"]["there"]["agree"] is None, found["Enid"])


def hooks():
    """Both programs are asked, and say the same; the README's line."""
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as file:
        words = re.search(r"`enid explain (--from [^`]* --hook xdp) STATE", file.read())[1].split()
    found = {}
    for hook in ("tc", "xdp"):
        done = explain(REFERENCE, *words[:-1], hook)
        found[hook] = done.out
        check(f"--hook {hook}: the program there is asked, both ways", done.code == 0 and
              done.out.count("the kernel's program says the same") == 2, done)
    check("both programs say the same", found["tc"] == found["xdp"])
    refused_by = [asked(REFERENCE, "eni-bastion", "eni-db", "--port", "3306", "--hook", hook)[1]["Enid"]["there"] for hook in ("tc", "xdp")]
    check("... of what is refused, too", all(one["agree"] is True and one["reason"] == "sg-ingress" for one in refused_by), refused_by)
    for hook in ("", "tcx", "XDP"):
        done = explain(REFERENCE, *words[:-1], hook)
        check(f"--hook '{hook}' is misuse", done.code == 2 and not done.out and f"'{hook}'" in done.err, done)


def held_against_replay(path, answers, tally, host=("--host", "host-a")):
    """The frames that explain shows, through the command that it does not use: all in one run, each question so long after the
    one before that no flow is left. -> what differs"""
    lines, ways = [], []
    for number, answer in enumerate(answers):
        for later, (way, path_of) in enumerate((("there", "ForwardPathComponents"), ("back", "ReturnPathComponents"))):
            said = answer["Enid"][way]
            if said:
                lines.append({**{key: said[key] for key in ("port", "packet", "dir") if key in said}, "at": number * 1000000 + later})
                ways.append((said, answer[path_of]))
    done = replay(path, lines, *host, timeout=600)
    tally["replayed"] += len(ways)
    if done.code or len(done.lines()) != len(ways):
        return [str(done)]
    return [f"{os.path.basename(path)}: explain {said}, replay {got}: {what}" for (said, components), got in zip(ways, done.lines())
            for what in [differs_from_replay(said, components, got, tally)] if what]


def differs_from_replay(said, components, got, tally):
    """What explain says of a way, and its components, against a line of replay; explain's own comparison is not believed.
    -> what differs, or None"""
    accepted = said["reason"] == "accepted"
    if got["reason"] != said["reason"]:
        return "the reason"
    if accepted and (got["action"] != said["action"] or got.get("to", "") != said.get("to", got.get("to", ""))):
        return "what becomes of it"
    steps = [(c["Enid"]["stage"], c["Component"]["Id"], c["Enid"]["rule"]) for c in components if "Enid" in c]
    decisions = [(d["stage"], d["id"], d["rule"]) for d in got["decided_by"]]
    if not accepted and got["action"] != "drop":  # the sender is told, and that answer's own decisions stand behind
        decisions = decisions[:len(steps)]
    tally["decisions compared"] += len(steps)
    if steps != decisions:
        return f"decisions {steps}"
    if not accepted or got["action"] not in ("deliver", "uplink"):
        return None
    frame = bytes.fromhex(got["packet"])
    if frames.wrapped(frame):
        return None
    tally["packets compared"] += 1
    left, header = frames.fields(frame), components[-1]["InboundHeader"]
    ports = [header[key][0]["From"] for key in ("SourcePortRanges", "DestinationPortRanges") if key in header]
    return None if [header["SourceAddresses"], header["DestinationAddresses"], int(header["Protocol"]), ports] == \
        [[left["src"]], [left["dst"]], left["proto"], [left[key] for key in ("sport", "dport") if key in left]] else f"header {header}"


def ask_about_states(seed, rnd, tally, wrong):
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(random_states(folder, seed, max(1, QUESTIONS // PER_STATE))):
            asker = Asker(load(path), rnd)
            questions = [asker.question() for _ in range(PER_STATE)]
            done = enid("explain", "--questions", "-", "--host", "host-a", path, timeout=600,
                        feed="".join(json.dumps(q) + "\n" for q in questions))
            answers = done.lines()
            if len(answers) != PER_STATE:
                wrong.append((number, done))
                continue
            for question, answer in zip(questions, answers):
                if "Error" in answer:
                    tally["refused"] += 1
                    continue
                tally["asked"] += 1
                for way in ("there", "back"):
                    said = answer["Enid"][way]
                    if not said:
                        continue
                    tally[f"{way} {said['reason']}"] += 1
                    if said["agree"] is not True:
                        wrong.append((number, question, way, said["disagreement"]))
            wrong += held_against_replay(path, [a for a in answers if "Error" not in a], tally)


def is_complete(tally):
    return all(any(tally[f"there {reason}"] for reason in kind) for kind in KINDS) and tally["back accepted"]


def random_questions():
    rnd, tally, wrong = random.Random(SEED), collections.Counter(), []
    for more in range(4):  # eight states may happen to refuse nothing by a network ACL
        if not is_complete(tally):
            ask_about_states(SEED + more, rnd, tally, wrong)
    print("  " + ", ".join(f"{count} {name}" for name, count in sorted(tally.items())))
    check(f"{tally['asked']} random questions (seed {SEED:#x}): 0 disagreements, nor with replay", tally["asked"] > QUESTIONS * 0.6 and not wrong,
          wrong[:3])
    check("... of every kind: delivered, refused by groups, network ACLs and routes, answered",
          is_complete(tally), tally)


def golden_states():
    """The states of the worked examples have every gateway there is."""
    rnd, wrong, seen, tally = random.Random(SEED), [], 0, collections.Counter()
    paths = sorted(glob.glob(os.path.join(REPO, "tests", "golden", "*", "state.json")))
    for path in paths if QUESTIONS > 20000 else rnd.sample(paths, min(8, len(paths))):
        asker = Asker(load(path), rnd)
        if not asker.enis:
            continue
        done = enid("explain", "--questions", "-", *host_of(asker.state), path, timeout=600,
                    feed="".join(json.dumps(asker.question()) + "\n" for _ in range(60)))
        answers = [answer for answer in done.lines() if "Error" not in answer]
        wrong += held_against_replay(path, answers, tally, host_of(asker.state))
        for answer in answers:
            ways = [answer["Enid"][way] for way in ("there", "back") if answer.get("Enid", {}).get(way)]
            seen += len(ways)
            wrong += [(path, way) for way in ways if way["agree"] is not True]
    check(f"{seen} ways through states of the worked examples (seed {SEED:#x}): 0 disagreements, nor with replay",
          tally["packets compared"] and tally["decisions compared"] and not wrong, wrong[:3])


def host_of(state):
    return ("--host", state["Hosts"][0]["HostId"]) if state.get("Hosts") else ()


if __name__ == "__main__":
    main(reachable, refused, near_a_route, network_acls, routes, translated, blocked, names, misuse, model_alone, hooks, random_questions, golden_states)
