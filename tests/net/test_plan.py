#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`enid plan` over live flows: what it says of the kernel's maps is what an apply then does to them, key by key, and the
flows that it says are cut are those that then end, and no other. Plans touch nothing, and need no agent."""
import contextlib
import copy
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import maps, traffic
from vpcnet.agent import Agent
from vpcnet.fabric import INTERNET4, Fabric
from vpcnet.harness import check, equal, run, scene, test
from vpcnet.vpc import State, acl, acl_open, allow, write_json, two_subnets

# Maps of keys: how many come, change and go can be seen by whoever dumps them.
KEYED = ("addresses", "associations", "macs", "routes4", "routes6", "tables")
# Arrays, and which element means nothing.
ARRAYS = ("ports", "subnets", "gateways", "port_names", "subnet_names")


def make_state():
    state = two_subnets()
    state.internet_gateway("igw-1", "vpc-1")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1")])
    state.group("sg-client", "vpc-1", [allow("tcp", 7000, "10.0.0.0/16")])
    state.group("sg-server", "vpc-1", [allow("tcp", 80, "sg-client"), allow("tcp", 81, "0.0.0.0/0"), allow("udp", 53, "0.0.0.0/0")])
    state.nacl("acl-2", "vpc-1", ["s2"], acl_open())
    state.eni("eni-client", "s1", "10.0.1.10", ["sg-client"], "2001:db8:1:1::10", public="203.0.113.10")
    state.eni("eni-server", "s2", "10.0.2.10", ["sg-server"], "2001:db8:1:2::10", public="203.0.113.20")
    state.eni("eni-idle", "s2", "10.0.2.11", ["sg-server"])
    state.host("host-a", [("eni-client", "veth-client"), ("eni-server", "veth-server"), ("eni-idle", "veth-idle")],
               [("igw-1", "uplink")])
    return state


class Flows:
    """Sessions, one of each kind that an edit treats in its own way, by the port that they go to."""

    def __init__(self, world):
        self.sessions = {
            "tracked": traffic.Session(world.client, "10.0.2.10", 80),
            "untracked": traffic.Session(world.client, "10.0.2.10", 81),
            "tracked6": traffic.Session(world.client, "2001:db8:1:2::10", 80),
            "outward": traffic.Session(world.client, INTERNET4, 80),
            "inward": traffic.Session(world.internet, "203.0.113.20", 81),
        }

    def sport(self, name):
        return self.sessions[name].socket.getsockname()[1]

    def alive(self):
        return {name for name, session in self.sessions.items() if session.echo(timeout=1.0)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in self.sessions.values():
            session.abort()


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent = fabric, agent
        self.client, self.server, self.internet = fabric.guest("eni-client"), fabric.guest("eni-server"), fabric.internet
        self.original = copy.deepcopy(dict(fabric.state))
        self.applied = self.original
        self.proposed = os.path.join(agent.folder, "proposed")
        os.mkdir(self.proposed)

    def plan(self, state=None, code=0, words=("--json",)):
        """Of a state: a dictionary, or the one that is applied."""
        if state is not None:
            write_json(os.path.join(self.proposed, "state.json"), state)
        done = self.agent.command("plan", self.proposed if state is not None else self.agent.state_dir, *words, "--run-dir",
                                  self.agent.run_dir)
        check(done.returncode == code, f"plan: exit {done.returncode}, not {code}: {done.stdout[:300]} {done.stderr[:300]}")
        return json.loads(done.stdout) if "--json" in words else done.stdout

    def edited(self, edit):
        state = copy.deepcopy(self.original)
        state = State(state)
        edit(state)
        return dict(state)

    def apply(self, state):
        if state == self.applied:
            return
        self.applied = state
        self.agent.apply(lambda: write_json(os.path.join(self.agent.state_dir, "state.json"), state))
        time.sleep(0.3)  # what is left over goes after a grace period

    def maps(self, more=()):
        return {name: maps.elements(self.agent.pin_dir, name) for name in (*KEYED, *ARRAYS, *more)}


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        world = World(fabric, agent)
        listeners.tcp(world.server, 80, 81)
        listeners.tcp(world.internet, 80)
        yield world


def seen_changes(before, after):
    """(added, updated, deleted) by map, of keys; of arrays, elements that differ at all."""
    found = {}
    for name in KEYED:
        old, new = before[name], after[name]
        found[name] = (len(new.keys() - old.keys()), sum(old[key] != new[key] for key in old.keys() & new.keys()),
                       len(old.keys() - new.keys()))
    for name in ARRAYS:
        found[name] = sum(before[name].get(key) != after[name].get(key) for key in before[name].keys() | after[name].keys())
    return found


def said_changes(entries):
    found = {}
    for name in KEYED:
        found[name] = tuple(entries[name][key] for key in ("added", "updated", "deleted"))
    for name in ARRAYS:
        found[name] = sum(entries[name][key] for key in ("added", "updated", "deleted"))
    return found


def cut_of(told, flows):
    """Names of the sessions that a plan says are cut, and why."""
    by_port = {flows.sport(name): name for name in flows.sessions}
    found = {}
    for flow in told["flows"]["cut"]:
        name = by_port.get(flow["forward"]["sport"])
        if name:  # else one of an earlier test, whose end never arrived
            rule = flow["decided_by"]
            found.setdefault(name, (flow["direction"], flow["reason"], rule["id"], rule["rule"]))
    return found


def agrees(world, what, edit, cut):
    """Plan, look, apply, look again. cut: {session: (direction, reason, id, rule)}"""
    world.apply(world.original)
    with Flows(world) as flows:
        equal(flows.alive(), set(flows.sessions), f"{what}: sessions before")
        state = world.edited(edit)
        before = world.maps()
        told = world.plan(state)
        equal(world.maps(), before, f"{what}: maps after the plan")
        equal(flows.alive(), set(flows.sessions), f"{what}: sessions after the plan")
        equal(cut_of(told, flows), cut, f"{what}: flows said to be cut")
        world.apply(state)
        equal(seen_changes(before, world.maps()), said_changes(told["entries"]), f"{what}: entries written, and said")
        equal(set(flows.sessions) - flows.alive(), set(cut), f"{what}: sessions that ended, and said to")
        again = world.plan()
        equal(said_changes(again["entries"]), said_changes(dict.fromkeys(told["entries"], dict.fromkeys(
            ("added", "updated", "deleted"), 0))), f"{what}: then nothing is left to do")
    return told


def set_rules(group, *rules):
    return lambda state: state.find("SecurityGroups", group).update(IpPermissions=list(rules))


def entry(state, number, **more):
    for one in state.find("NetworkAcls", "acl-2")["Entries"]:
        if one["RuleNumber"] == number and one["Egress"] == more.get("egress", False):
            one.update(more.get("update", {}))


@test
def nothing_changes(world):
    """The state that is applied needs no entry, cuts nobody, and is said in one line; so does the order of its lists."""
    told = world.plan()
    equal(told["changes"], [], "changes")
    check(all(not change[key] for change in told["entries"].values() for key in ("added", "updated", "deleted")), told)
    check("nothing changes\nnothing changes in the kernel\n" in world.plan(words=()), "the words")
    turned = {name: list(reversed(entries)) for name, entries in world.original.items()}
    told = world.plan(turned)
    equal((told["changes"], told["objects"]), ([], 0), "the same lists backwards")


@test
def rules_of_groups(world):
    """A rule that goes: flows that are tracked go on, untracked ones end (CT-07, CT-03, C20)."""
    told = agrees(world, "rules", set_rules("sg-server", allow("udp", 53, "0.0.0.0/0")), {
        "untracked": ("forward", "sg-ingress", "", ""), "inward": ("forward", "sg-ingress", "", "")})
    details = [(d["key"], d["change"], d["what"]) for c in told["changes"] for d in c["details"]]
    equal(details, [("IpPermissions", "removed", "tcp 80 from sg-client"), ("IpPermissions", "removed", "tcp 81 from 0.0.0.0/0")],
          "in AWS's words")


@test
def entries_of_a_network_acl(world):
    """A deny is asked of tracked flows as well (NACL-01), each way by itself, and the plan names the entry."""
    def deny(state):
        state.find("NetworkAcls", "acl-2")["Entries"].append(acl(50, "deny", "tcp", "10.0.1.0/24", (80, 80)))
    told = agrees(world, "an entry", deny, {"tracked": ("forward", "nacl-ingress", "acl-2", "50")})
    text = world.plan(world.original, words=())
    check("network ACL acl-2: Entries: -ingress 50 deny tcp 80 10.0.1.0/24" in text, text)
    check(told["entries"]["ports"]["updated"] > 0, "epochs are raised")
    agrees(world, "the way back", lambda state: entry(state, 100, egress=True, update={"RuleAction": "deny"}), {
        "tracked": ("reverse", "nacl-egress", "acl-2", "100"), "untracked": ("reverse", "nacl-egress", "acl-2", "100"),
        "inward": ("reverse", "nacl-egress", "acl-2", "100")})


@test
def routes(world):
    """A route that goes ends what needs it, both ways or one."""
    def without(state):
        table = state.find("RouteTables", "rtb-main")
        table["Routes"] = [r for r in table["Routes"] if r.get("DestinationCidrBlock") != "0.0.0.0/0"]
    told = agrees(world, "a route", without, {
        "outward": ("forward", "no-route", "", ""), "inward": ("reverse", "no-route", "", "")})
    change, = told["changes"]
    equal((change["kind"], change["id"], change["details"]), ("route table", "rtb-main", [
        {"key": "Routes", "change": "removed", "what": "0.0.0.0/0", "from": "igw-1"}]), "the route's change")


@test
def interfaces(world):
    """An ENI that goes takes its flows along (CT-20); one that comes, or is idle, takes none."""
    def without(eni):
        def edit(state):
            state["NetworkInterfaces"] = [e for e in state["NetworkInterfaces"] if e["NetworkInterfaceId"] != eni]
            state["Hosts"][0]["Ports"] = [p for p in state["Hosts"][0]["Ports"] if p["NetworkInterfaceId"] != eni]
        return edit
    told = agrees(world, "an idle ENI goes", without("eni-idle"), {})
    check(any(c["kind"] == "ENI" and c["change"] == "removed" for c in told["changes"]), told["changes"])
    equal(told["entries"]["addresses"]["deleted"], 1, "its address")
    told = agrees(world, "the groups of an ENI", lambda state: state.find("NetworkInterfaces", "eni-server").update(
        Groups=[{"GroupId": "sg-client"}]), {"untracked": ("forward", "sg-ingress", "", ""), "inward": ("forward", "sg-ingress", "", "")})
    equal([(d["key"], d["change"], d.get("what")) for d in told["changes"][0]["details"]],
          [("Groups", "added", "sg-client"), ("Groups", "removed", "sg-server")], "its groups")


def moved_of(told, flows):
    by_port = {flows.sport(name): name for name in flows.sessions}
    return {by_port[flow["forward"]["sport"]]: (flow["direction"], flow["left_by"], flow["leaves_by"], flow["readdressed"])
            for flow in told["flows"]["moved"] if flow["forward"]["sport"] in by_port}


@test
def flows_that_go_on_elsewhere(world):
    """A flow that leaves by another port, or by another address, is no cut one: it is told of as moved, with both ports."""
    def detour(state):
        state.find("RouteTables", "rtb-main")["Routes"].append({"DestinationCidrBlock": "10.0.2.0/24", "NetworkInterfaceId": "eni-idle",
                                                               "State": "active"})
        state.find("NetworkInterfaces", "eni-idle")["SourceDestCheck"] = False

    def readdress(state):
        eni = state.find("NetworkInterfaces", "eni-client")
        eni["PrivateIpAddresses"][0]["Association"]["PublicIp"] = "203.0.113.11"
    world.apply(world.original)
    with Flows(world) as flows:
        equal(flows.alive(), set(flows.sessions), "sessions")
        told = world.plan(world.edited(detour))
        equal(moved_of(told, flows), {"untracked": ("forward", "eni-server", "eni-idle", False)}, "moved by a route to an ENI")
        equal(cut_of(told, flows), {"tracked": ("forward", "sg-ingress", "", "")}, "cut by it")
        rows = json.loads(world.agent.command("show", "flows", "--json", "--run-dir", world.agent.run_dir).stdout)
        check(len(flows.sessions) <= told["flows"]["live"] <= len(rows), f"{told['flows']['live']} live flows of {len(rows)}")
        equal(told["flows"]["not_asked"], 0, "flows that could not be asked")
        told = world.plan(world.edited(readdress))
        equal(moved_of(told, flows), {"outward": ("forward", "igw-1", "igw-1", True)}, "moved by another public address")


@test
def an_agent_that_is_dead(world):
    """The plan comes from what is pinned; what it says is the same, and all pins stay what they were."""
    world.apply(world.original)
    state = world.edited(set_rules("sg-server"))
    alive = world.plan(state)
    world.agent.kill()
    pinned = ("policy", "records", "names", "limbo", "sides", "control", "port_stats", "nat_uses", "tallies")
    for _ in range(5):  # the kernel's sweeper, and what guests send again, may write meanwhile; a plan would each time
        before = world.maps(pinned)
        dead = world.plan(state)
        after = world.maps(pinned)
        differ = [name for name, found in before.items() if after[name] != found]
        if not differ:
            break
    equal(differ, [], "maps that are not what they were")
    equal((dead["changes"], dead["entries"]), (alive["changes"], alive["entries"]), "with the agent dead")
    world.agent.start()
    equal(world.plan()["changes"], [], "after the restart")


@test
def what_would_be_refused(world):
    """An invalid state: its errors, exit 1, and nothing else; a state that is gone; a state for no host."""
    state = world.edited(lambda state: state.find("Vpcs", "vpc-1").update(CidrBlock="10.0.0.0/40"))
    told = world.plan(state, code=1)
    check(told["applies"] is False and "10.0.0.0/40" in told["errors"][0] and "entries" not in told, told)
    done = world.agent.command("plan", world.proposed + "-not", "--run-dir", world.agent.run_dir)
    check(done.returncode == 1 and "proposed-not" in done.stderr, done)
    done = world.agent.command("plan", world.agent.state_dir, "--host", "host-z", "--run-dir", world.agent.run_dir)
    check(done.returncode == 1 and "host-z" in done.stderr, done.stderr)
    with contextlib.suppress(FileNotFoundError):
        os.rename(os.path.join(world.agent.run_dir, "applied.json"), os.path.join(world.agent.run_dir, "aside"))
    done = world.agent.command("plan", world.agent.state_dir, "--run-dir", world.agent.run_dir)
    os.rename(os.path.join(world.agent.run_dir, "aside"), os.path.join(world.agent.run_dir, "applied.json"))
    check(done.returncode == 1 and "applied.json" in done.stderr, done.stderr)


if __name__ == "__main__":
    run()
