#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid graph: what stands in what, who leads where, and that Graphviz's language is kept."""
import glob
import json
import os
import random
import re
import shutil
import subprocess
import tempfile

from cli import REPO, check, enid, main, merged

COURSE = os.path.join(REPO, "deploy", "examples", "course")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[\[\]{}=;,]|[A-Za-z0-9_.]+|\s+')


def graph(state, *words):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        return enid("graph", *words, file.name)


def edges(state, **wanted):
    return [edge for edge in graph(state, "--json").json()["edges"] if all(edge[k] == v for k, v in wanted.items())]


def tokens(text):
    at, found = 0, []
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError(f"no token at {text[at:at + 40]!r}")
        at = match.end()
        if match.group().strip():
            found.append(match.group())
    return found


def well_formed(text):
    """-> (nodes, edges) of a DOT text, by its own reading of the language."""
    words, nodes, found, depth = tokens(text), set(), [], 0
    for i, word in enumerate(words):
        depth += {"{": 1, "}": -1}.get(word, 0)
        if word == "[" and words[i - 2] == "->":
            found.append((words[i - 3], words[i - 1]))
        elif word == "[" and words[i - 1].startswith('"'):
            nodes.add(words[i - 1])
    if depth or words[:3] != ["digraph", "enid", "{"]:
        raise ValueError(f"depth {depth} at the end")
    return nodes, found


def topology():
    nodes = {node["id"]: node for node in enid("graph", "--json", COURSE).json()["nodes"]}
    check("an ENI stands in its subnet, the subnet in its VPC, the VPC in nothing",
          nodes["eni-db"]["inside"] == "subnet-private-b" and nodes["subnet-private-b"]["inside"] == "vpc-0shop" and
          nodes["vpc-0shop"]["inside"] is None, nodes["eni-db"])
    check("an ENI tells its address, public address, groups, host and device",
          nodes["eni-web-2"]["text"] == ["eni-web-2", "10.0.2.238 = 50.1.1.10", "sg-web", "host-a web-2"],
          nodes["eni-web-2"])
    state = merged(COURSE)
    check("a route is an edge from its table to its target, by its destination",
          [edge["text"] for edge in edges(state, **{"from": "rtb-private", "to": "nat-0shop"})] == ["0.0.0.0/0"])
    check("the local route is none", not [e for e in edges(state, kind="route") if e["to"] == "local"])
    check("a subnet without an association uses the main table",
          [e["to"] for e in edges(state, **{"from": "subnet-tools", "kind": "uses"})] == ["rtb-tools"])
    check("a peering links its two VPCs", sorted(e["to"] for e in edges(state, **{"from": "pcx-0shop"})) ==
          ["vpc-0shop", "vpc-0tools"])
    check("all is alive", not edges(state, dead=True), edges(state, dead=True))


def blackholes():
    state = merged(COURSE)
    state["NatGateways"][0]["State"] = "deleted"
    dead = edges(state, dead=True)
    check("the route to a deleted NAT gateway is dead, and that alone", [(e["from"], e["to"]) for e in dead] ==
          [("rtb-private", "nat-0shop")], dead)
    state = merged(COURSE)
    state["InternetGateways"] = []
    nodes = {node["id"]: node for node in graph(state, "--json").json()["nodes"]}
    check("a target that the state lacks is there, as missing", nodes["igw-0shop"]["missing"] is True and
          nodes["igw-0shop"]["kind"] == "missing", nodes.get("igw-0shop"))
    text = graph(state).out
    check("... and red, as its routes are", re.search(r'"igw-0shop" \[[^\]]*color=red', text) and
          re.search(r'-> "igw-0shop" \[[^\]]*color=red', text), text[-1500:])


TARGETS = ("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId", "NetworkInterfaceId", "VpcEndpointId",
           "EgressOnlyInternetGatewayId", "InstanceId")


def routes_of(state):
    """-> every route of the state as (table, target, destination, dead), by its own words."""
    for route_table in state.get("RouteTables", ()):
        for route in route_table.get("Routes", ()):
            target = next((route[key] for key in TARGETS if route.get(key)), "blackhole")
            if target != "local":
                yield (route_table["RouteTableId"], target, next(value for key, value in route.items() if key.startswith("Destination")),
                       route.get("State") == "blackhole")
    for routes in state.get("TransitGatewayRoutes", ()):
        for route in routes["Routes"]:
            for attachment in route.get("TransitGatewayAttachments") or [{"TransitGatewayAttachmentId": "blackhole"}]:
                yield (routes["TransitGatewayRouteTableId"], attachment["TransitGatewayAttachmentId"],
                       route["DestinationCidrBlock"], route.get("State") == "blackhole")
    for one in state.get("TransitGatewayPrefixListReferences", ()):
        yield (one["TransitGatewayRouteTableId"], one.get("TransitGatewayAttachment", {}).get("TransitGatewayAttachmentId", "blackhole"),
               one["PrefixListId"], bool(one.get("Blackhole")))


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def walk():
    """Every route of every worked example is an edge, and red if it is dead; there are no other routes."""
    wrong, seen, red = [], 0, 0
    golden = sorted(glob.glob(os.path.join(REPO, "tests", "golden", "*", "state.json")))
    for path in (COURSE, *[path for i, path in enumerate(golden) if i % 8 == 0 or "blackhole" in text_of(path)]):
        state = merged(path) if os.path.isdir(path) else json.loads(text_of(path))
        propagating = {(one["RouteTableId"], vgw["GatewayId"]) for one in state.get("RouteTables", ()) for vgw in one.get("PropagatingVgws", ())}
        wanted = set(routes_of(state))
        done = enid("graph", path)
        nodes, _ = well_formed(done.out)
        found = {(e["from"], e["to"], e["text"]): e["dead"] for e in enid("graph", "--json", path).json()["edges"]
                 if e["kind"] == "route" and e["text"] != "propagated"}
        for table, target, destination, dead in wanted:
            seen += 1
            red += dead
            edge = f'"{table}" -> "{target}"'
            told = found.get((table, target, destination))
            drawn = [line for line in done.out.splitlines() if edge in line and f'"{destination}"' in line]
            if told is None or (dead and not told) or f'"{target}"' not in nodes or len(drawn) != 1 or ("red" in drawn[0]) != told:
                wrong.append((os.path.basename(os.path.dirname(path)), table, target, destination, dead, told, drawn))
        wrong += [(path, extra) for extra in set(found) - {route[:3] for route in wanted} if extra[:2] not in propagating]
    check(f"each of {seen} routes is an edge, {red} dead ones red, and no edge is a route that there is not", seen > 100 and red > 3 and
          not wrong, wrong[:5])


def language():
    for folder in (COURSE, os.path.join(REPO, "deploy", "examples", "reference"),
                   *sorted(glob.glob(os.path.join(REPO, "tests", "golden", "*", "state.json")))[::20]):
        done, data = enid("graph", folder), enid("graph", "--json", folder).json()
        nodes, found = well_formed(done.out)
        name = os.path.relpath(folder, REPO)
        check(f"{name}: every end of an edge is a node, and both forms have the same ones", done.code == 0 and
              all(a in nodes and b in nodes for a, b in found) and len(found) == len(data["edges"]) and
              nodes == {'"%s"' % node["id"] for node in data["nodes"]}, done)
    state = merged(COURSE)
    state["NetworkInterfaces"][0]["NetworkInterfaceId"] = 'eni-"]->\\'
    state["Hosts"] = []
    nodes, _ = well_formed(graph(state).out)
    check("a name with quotes and backslashes stays one name (E32)", '"eni-\\"]->\\\\"' in nodes, sorted(nodes)[:9])
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tsvg"], input=enid("graph", COURSE).raw, capture_output=True, check=False)
        check("dot draws it without a word", done.returncode == 0 and not done.stderr and b"</svg>" in done.stdout)


def order():
    state, seed = merged(COURSE), random.randrange(1 << 32)
    text, shuffle = graph(state).out, random.Random(seed).shuffle
    for rows in state.values():
        shuffle(rows)
    check(f"the lists' order changes nothing (seed {seed})", graph(state).out == text)


def refused():
    done = graph({"Vpcs": [{"VpcId": 7}]})
    check("an invalid state is told, and nothing printed", done.code == 1 and not done.out and "VpcId" in done.err, done)


main(topology, blackholes, walk, language, order, refused)
