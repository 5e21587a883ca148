# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Random questions about a state: ends that it has, and ports at the edges of its rules."""
import json
import os
import subprocess

from cli import REPO

DIFFER = os.path.join(os.environ.get("B", os.path.join(REPO, "build")), "tests", "oracle", "differ")


def random_states(folder, seed, count):
    """-> paths of `count` states of the oracle's generator."""
    if not os.path.exists(DIFFER):
        subprocess.run(["make", "-s", "-C", REPO, "build/tests/oracle/differ"], check=True)
    subprocess.run([DIFFER, "states", f"{seed:x}", str(count), folder], check=True)
    return [os.path.join(folder, f"{i}.json") for i in range(count)]


def walk(value, key):
    """Every value that stands under `key`, anywhere."""
    if isinstance(value, dict):
        for k, v in value.items():
            if k == key:
                yield v
            yield from walk(v, key)
    elif isinstance(value, list):
        for v in value:
            yield from walk(v, key)


def ports_of(state):
    """Ports at which some rule begins or ends, and their neighbours."""
    found = {22, 80, 443, 1023, 1024, 65535}
    for key in ("FromPort", "ToPort", "From", "To"):
        for port in walk(state, key):
            if isinstance(port, int):
                found |= {p for p in (port - 1, port, port + 1) if 0 < p < 65536}
    return sorted(found)


class Asker:
    """Questions about one state."""

    def __init__(self, state, rnd):
        self.state, self.rnd = state, rnd
        self.enis = [e["NetworkInterfaceId"] for e in state.get("NetworkInterfaces", [])]
        self.ported = [p["NetworkInterfaceId"] for h in state.get("Hosts", []) for p in h.get("Ports", [])] or self.enis
        self.vpcs = [v["VpcId"] for v in state.get("Vpcs", [])]
        self.ports = ports_of(state)
        self.uplinks = [u["GatewayId"] for h in state.get("Hosts", []) for u in h.get("Uplinks", [])]
        self.addresses = [a for key in ("PrivateIpAddress", "Ipv6Address", "PublicIp") for a in walk(state, key)
                          if isinstance(a, str)]
        self.blocks = [c.split("/")[0] for key in ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "CidrIp", "Cidr")
                       for c in walk(state, key) if isinstance(c, str) and "/" in c]

    def near(self, address):
        head, dot, last = address.rpartition("." if "." in address else ":")
        if dot == ".":
            return f"{head}.{self.rnd.randrange(256)}"
        return f"{head}:{self.rnd.randrange(65536):x}"

    def end(self):
        pick = self.rnd.random()
        if pick < 0.5 and self.ported:
            return self.rnd.choice(self.ported)
        if pick < 0.55 and self.enis:
            return self.rnd.choice(self.enis)
        if pick < 0.65:
            return "internet"
        if pick < 0.85 and self.addresses:
            return self.rnd.choice(self.addresses)
        if self.blocks:
            return self.near(self.rnd.choice(self.blocks))
        return "64:ff9b::c633:6401"

    def question(self):
        rnd = self.rnd
        asked = {"from": rnd.choice(self.ported) if rnd.random() < 0.75 and self.ported else self.end(), "to": self.end()}
        if self.uplinks and rnd.random() < 0.5:
            asked["via"] = rnd.choice(self.uplinks)
        if rnd.random() < 0.7 and self.vpcs:
            asked["vpc"] = rnd.choice(self.vpcs)
        if rnd.random() < 0.2:
            asked["family"] = rnd.choice((4, 6))
        asked["protocol"] = rnd.choice(("tcp",) * 5 + ("udp",) * 3 + ("icmp",) * 2 + (47, 50, 132))
        if asked["protocol"] in ("tcp", "udp"):
            asked["port"] = rnd.choice(self.ports)
            if rnd.random() < 0.3:
                asked["source-port"] = rnd.choice(self.ports)
        elif asked["protocol"] == "icmp" and rnd.random() < 0.4:
            asked["icmp-type"] = rnd.choice(("8", "8:1", "13", "17", "0", "10", "128", "129", "150:2"))
        return asked


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
