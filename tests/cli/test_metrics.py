#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Metrics: served by a live agent on loopback and on a unix socket, and printed once with the agent dead; right by the text
format's rules (and by promtool, where it is installed); the numbers are those of packets sent. Alert rules and dashboard name
metrics that there are.

Needs root. Works in a network namespace of its own, with folders of its own; nothing of the host is touched."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import exposition
from cli import ENID, REPO, check, enid, main, until
import frames  # cli knows where
from exposition import value
from test_flowlogs import PINS, World, syn

TCP = "127.0.0.1:9410"
TYPES = 'text/plain; version=0.0.4'
GATEWAY = {"NatGateways": [{
    "NatGatewayId": "nat-0metrics", "VpcId": "vpc-0reference", "SubnetId": "subnet-public-b", "State": "available",
    "ConnectivityType": "public", "NatGatewayAddresses": [{
        "NetworkInterfaceId": "eni-nat", "PrivateIp": "10.20.2.220", "PublicIp": "203.0.113.220", "IsPrimary": True,
        "Status": "succeeded"}]}], "NetworkInterfaces": [{
    "NetworkInterfaceId": "eni-nat", "VpcId": "vpc-0reference", "SubnetId": "subnet-public-b", "Status": "in-use",
    "InterfaceType": "nat_gateway", "OwnerId": "111122223333", "MacAddress": "02:20:01:0a:00:dc", "SourceDestCheck": False,
    "PrivateIpAddress": "10.20.2.220", "PrivateIpAddresses": [{
        "Primary": True, "PrivateIpAddress": "10.20.2.220", "Association": {"PublicIp": "203.0.113.220"}}], "Groups": []}]}
TRANSLATED = "198.51.100.0/24"  # what web-a sends there goes by the NAT gateway


class Served(World):
    """The world of the flow logs, whose agent serves metrics."""

    def __init__(self):
        super().__init__()
        with open(os.path.join(self.state, "nat.json"), "w", encoding="utf-8") as out:
            json.dump(GATEWAY, out)
        self.edit("hosts.json", lambda hosts: hosts["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"}))
        self.edit("routes.json", self.lead_to_gateway)

    def edit(self, name, change):
        path = os.path.join(self.state, name)
        with open(path, encoding="utf-8") as file:
            lists = json.load(file)
        change(lists)
        with open(path, "w", encoding="utf-8") as out:
            json.dump(lists, out)

    @staticmethod
    def lead_to_gateway(lists):
        """The gateway's own subnet keeps the way out in a table of its own."""
        public = next(table for table in lists["RouteTables"] if table["RouteTableId"] == "rtb-public")
        there = [one for one in public["Associations"] if one["SubnetId"] == "subnet-public-b"]
        lists["RouteTables"].append({**public, "RouteTableId": "rtb-metrics", "Associations": there, "Routes": list(public["Routes"])})
        public["Associations"] = [one for one in public["Associations"] if one not in there]
        public["Routes"].append({"DestinationCidrBlock": TRANSLATED, "NatGatewayId": "nat-0metrics", "State": "active"})

    def launch(self, where, *more):
        with open(os.path.join(self.folder, "stderr"), "ab") as err:
            self.agent = subprocess.Popen(
                [*self.inside, ENID, "run", "--state", self.state, "--run-dir", self.run, "--pin-dir", PINS, "--log-dir",
                 self.logs, "--max-flows", "4096", "--metrics", where, *more], stderr=err)

    def start(self, where=TCP, *more):  # pylint: disable=arguments-differ,keyword-arg-before-vararg
        self.launch(where, *more)
        return until(lambda: self.command("status").code == 0, 60)

    def curl(self, *words):
        done = subprocess.run([*self.inside, "curl", "-s", "-m", "5", *words], capture_output=True, text=True, check=False)
        return done.stdout

    def scrape(self):
        time.sleep(1.1)  # an answer is a second old at the most
        return exposition.read(self.curl(f"http://{TCP}/metrics"))


def by_promtool(text):
    if not shutil.which("promtool"):
        return print("skip: no promtool")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    check("promtool finds nothing", done.returncode == 0 and not done.stderr.strip(), done.stderr)


def numbers(world):
    before = world.scrape()
    check("no group has refused anything yet", value(before, "enid_drops_total", reason="sg-ingress") in (None, 0))
    world.send(*[syn(40000 + i, 22) for i in range(7)], *[syn(50000 + i, 3306) for i in range(3)])
    check("rejects are counted at the ENI that refused, within seconds", until(lambda: value(
        world.scrape(), "enid_packets_total", eni="eni-db", direction="ingress", verdict="reject") == 7, 20))
    now = world.scrape()
    check("drops by reason", value(now, "enid_drops_total", reason="sg-ingress") == 7 and value(
        now, "enid_drop_bytes_total", reason="sg-ingress") == 280, now["enid_drops_total"])
    check("flow records in use", value(now, "enid_conntrack_entries") == 3 and value(now, "enid_conntrack_limit") == 4096)
    check("flows of the port", value(now, "enid_port_flows", eni="eni-web-a", device="web-a") == 3 and value(
        now, "enid_port_half_open", eni="eni-web-a", device="web-a") == 3, now["enid_port_flows"])
    check("the port is enforced, one without a device is not there", value(
        now, "enid_port_enforced", eni="eni-web-a", device="web-a") == 1 and value(
            now, "enid_port_present", eni="eni-db-standby", device="db-standby") == 0, now["enid_port_present"])
    check("maps", 0 < value(now, "enid_map_entries", map="policy") < value(now, "enid_map_max_entries", map="policy") and value(
        now, "enid_map_entries", map="ports") >= 6, now["enid_map_entries"])
    check("NAT gateways (NAT-25)", len(now["enid_nat_active_connections"]["samples"]) == 1 and
          len(now["enid_nat_bytes_total"]["samples"]) == 4, now.get("enid_nat_bytes_total"))
    translated(world)


def translated(world):
    """Five flows go out: what came in from the source went out to the destination, and nothing comes back."""
    client, server, router = "10.20.1.10", "198.51.100.7", "02:65:6e:69:64:01"
    out = [frames.frame("02:20:01:0a:00:01", router, frames.packet(client, server, 6, frames.tcp(41000 + i, 443, "S"))) for i in range(5)]
    world.send(*out)

    def carried():
        now = world.scrape()
        return {way: tuple(value(now, f"enid_nat_{what}_total", gateway="eni-nat", way=way) for what in ("packets", "bytes"))
                for way in ("in_from_source", "out_to_destination", "in_from_destination", "out_to_source")}
    wanted = {"in_from_source": (5, 200), "out_to_destination": (5, 200), "in_from_destination": (0, 0), "out_to_source": (0, 0)}
    check("translated packets and bytes, by way", until(lambda: carried() == wanted, 20), carried())
    now = world.scrape()
    told = {name: value(now, f"enid_nat_{name}", gateway="eni-nat") for name in (
        "active_connections", "connection_attempts_total", "connections_established_total", "port_allocation_errors_total",
        "dropped_packets_total")}
    check("... and mappings", told == {"active_connections": 5, "connection_attempts_total": 5, "connections_established_total": 0,
                                       "port_allocation_errors_total": 0, "dropped_packets_total": 0}, told)


def applies(world):
    text = world.command("status", "--json").out
    check("bounds of status --json have as many digits as they mean", "0.0005," in text and not re.search(r"\d\.\d{10}", text), text)
    before = world.scrape()
    path = os.path.join(world.state, "zz.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write("{")
    check("a refused state is told", until(lambda: value(world.scrape(), "enid_state_stale") == 1))
    os.unlink(path)
    check("... and its end", until(lambda: value(world.scrape(), "enid_state_stale") == 0))
    now = world.scrape()
    for name in ("enid_state_apply_seconds_count", "enid_state_generation"):
        check(f"{name} grows", value(now, name) > value(before, name), value(now, name))
    check("refused states are counted", value(now, "enid_state_refused_total") > value(before, "enid_state_refused_total"))
    check("when", abs(value(now, "enid_state_last_success_timestamp_seconds") - time.time()) < 60)


def http(world):
    text = world.curl("-i", f"http://{TCP}/metrics")
    check("the type of the text format", f"Content-Type: {TYPES}" in text and text.startswith("HTTP/1.1 200"), text[:200])
    check("another path is 404", world.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{TCP}/") == "404")
    check("POST is 405", world.curl("-o", "/dev/null", "-w", "%{http_code}", "-d", "x", f"http://{TCP}/metrics") == "405")
    first, again = world.curl(f"http://{TCP}/metrics"), world.curl("-I", f"http://{TCP}/metrics")
    check("HEAD tells the length", f"Content-Length: {len(first)}" in again, again)


def live():
    world = Served()
    try:
        check("an agent that serves metrics is well", world.start(), world.command("status"))
        by_promtool(world.curl(f"http://{TCP}/metrics"))
        http(world)
        numbers(world)
        applies(world)
        families = world.scrape()
        named(families)
        check("a killed agent leaves its numbers", world.agent.send_signal(signal.SIGKILL) is None and
              world.agent.wait(10) is not None)
        dead(world, families)
        unix_socket(world)
    finally:
        world.close()


def dead(world, families):
    done = world.command("metrics")
    now = exposition.read(done.out)
    by_promtool(done.out)
    check("enid metrics tells the same with the agent dead", done.code == 0 and set(now) == set(families), set(now) ^ set(families))
    check("... but that none runs", value(now, "enid_agent_running") == 0 and value(families, "enid_agent_running") == 1)
    check("... rejects still stand", value(now, "enid_packets_total", eni="eni-db", direction="ingress", verdict="reject") == 7)
    flat = {(name, *sorted(labels)): number for family in now.values() for (name, labels), number in family["samples"].items()}
    told = {(sample["name"], *sorted(sample["labels"].items())): sample["value"]
            for family in world.command("metrics", "--json").json() for sample in family["samples"]}
    check("--json is the same", told == flat and len(flat) > 100, {key for key in set(told) ^ set(flat)})
    few = exposition.read(world.command("metrics", "--per-eni", "off").out)
    check("--per-eni off", "enid_packets_total" not in few and set(few) < set(now))


@contextlib.contextmanager
def full_backlog(path):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(path)
        yield


def unix_socket(world):
    path = os.path.join(world.folder, "metrics.sock")
    check("on a unix socket", world.start(f"unix:{path}", "--metrics-per-eni", "off"), world.command("status"))
    text = world.curl("--unix-socket", path, "http://enid/metrics")
    check("... it is served, without ENIs", "enid_agent_running 1" in text and "eni-web-a" not in text, text[:200])
    check("... for its owner and group", stat.S_IMODE(os.stat(path).st_mode) == 0o660)
    world.agent.kill()
    world.agent.wait()
    check("a socket that a killed agent left is no obstacle", os.path.exists(path) and world.start(f"unix:{path}") and
          "enid_agent_running 1" in world.curl("--unix-socket", path, "http://enid/metrics"))
    world.stop()
    now = exposition.read(world.command("metrics").out)
    check("an agent that ends removes it", not os.path.exists(path))
    with full_backlog(path):
        world.launch(f"unix:{path}")
        check("somebody who listens there and does not accept holds up no start", until(
            lambda: any("metrics: cannot listen" in line for line in world.command("status", "--json").json()["attention"]), 30))
        world.stop()
    os.unlink(path)
    # What the other end refused has left all the same (FL-08).
    for eni, direction, packets in (("eni-web-a", "egress", 15), ("eni-db", "ingress", 3)):
        labels = {"eni": eni, "direction": direction, "verdict": "accept"}
        check(f"accepted packets of {eni}, {direction}", value(now, "enid_packets_total", **labels) == packets and
              value(now, "enid_bytes_total", **labels) == 40 * packets, now["enid_packets_total"])
    blocked = subprocess.Popen([*world.inside, "nc", "-l", "127.0.0.1", "9410"], stdout=subprocess.DEVNULL)
    world.launch(TCP)
    check("where somebody else listens, the agent enforces all the same", until(lambda: world.command("status").code == 1 and any(
        "metrics: cannot listen" in line for line in world.command("status", "--json").json()["attention"]), 60))
    blocked.kill()
    blocked.wait()
    check("... and serves when it can", until(lambda: world.command("status").code == 0, 15))


def refusals():
    for where in ("0.0.0.0:9410", "10.0.0.1:9410", "[::]:9410", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "localhost:9410",
                  "unix:relative", "unix:/" + 200 * "x", "127.0.0.1:94x"):
        done = enid("run", "--metrics", where, "--state", "/nonexistent")
        check(f"--metrics {where[:20]} is misuse", done.code == 2 and "--metrics" in done.err, done)
    check("--metrics-per-eni maybe is misuse", enid("run", "--metrics-per-eni", "maybe").code == 2)
    check("--per-eni maybe is misuse", enid("metrics", "--per-eni", "maybe").code == 2)


def named(families):
    """Alert rules and dashboard ask for metrics and labels that there are."""
    names = {name + suffix for name, family in families.items() for suffix in exposition.SUFFIXES[family["type"]]}
    with open(os.path.join(REPO, "deploy", "alerts", "enid.yml"), encoding="utf-8") as file:
        rules = file.read()
    with open(os.path.join(REPO, "deploy", "dashboard", "enid.json"), encoding="utf-8") as file:
        board = json.load(file)
    exprs = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for what, text in (("alert rules", rules), ("the dashboard", json.dumps(board))):
        asked = set(re.findall(r"\benid_\w+", text))
        check(f"{what} name metrics that there are", len(asked) > 10 and asked <= names, asked - names)
    labels = {label for family in families.values() for _, pairs in family["samples"] for label, _ in pairs} | {"instance"}
    used = set(re.findall(r"(\w+)=~?\"", "".join(exprs))) | {word for group in re.findall(r"by \(([^)]*)\)", "".join(exprs) + rules)
                                                           for word in group.split(", ")}
    check("... and labels that there are", used and used <= labels, used - labels)
    for expr in exprs:
        check(f"brackets of {expr}", all(expr.count(a) == expr.count(b) for a, b in ("()", "{}", "[]")))
    if not shutil.which("promtool"):
        print("skip: no promtool, so nobody checks the alert rules")
    else:
        path = os.path.join(REPO, "deploy", "alerts", "enid.yml")
        done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
        check("promtool check rules", done.returncode == 0 and "SUCCESS" in done.stdout, done.stderr)


def alerts():
    """Which numbers raise an alert, and which do not."""
    if not shutil.which("promtool"):
        return print("skip: no promtool")
    done = subprocess.run(["promtool", "test", "rules", os.path.join(os.path.dirname(os.path.abspath(__file__)), "alerts.yml")],
                          capture_output=True, text=True, check=False)
    check("promtool test rules", done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr)


if __name__ == "__main__":
    main(refusals, alerts, live)
