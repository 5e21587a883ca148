# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Places in which a packet goes from one port to another under the same policy, by different means: enid, the kernel's forwarding
with nothing, conntrack alone, nftables in three forms, iptables; by a bare redirect, and by the least that forwards by address. Each stands in namespaces of its own, so
that they can be measured in turns."""
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))
from vpcnet.agent import Agent
from vpcnet.fabric import Fabric
from vpcnet.vpc import State, acl, allow

BUILD = os.environ.get("ENID_BUILD", "build")
ENID = os.environ.get("ENID", os.path.join(BUILD, "enid"))
ROUTER = "02:65:6e:69:64:01"
MACS = ("02:00:00:00:01:01", "02:00:00:00:01:02")
ADDRESSES = ("10.0.1.10", "10.0.2.10")
CONNTRACK = "table inet bench { chain forward { type filter hook forward priority 0; ct state established,related accept; ct state new accept; }; }"


class FastCable:
    """cable.c: between two taps, as a virtual machine's monitor and its guest are."""

    def __init__(self, host, host_device, guest, guest_device):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests/bench/cable"), host.path, host_device, guest.path, guest_device],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"cable: {host_device} could not be made")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def make_state(rules, admitted=True, protocols=("udp",), port="port"):
    """Two ENIs in two subnets. The group of each has `rules` rules a direction, of which the last admits what is sent; CIDRs and
    ports do not overlap, so that any form of nftables can hold them."""
    draw = random.Random(rules)
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    lists = {}
    for direction in ("in", "out"):
        blocks = draw.sample(range(1 << 15), rules - 1)
        lists[direction] = [allow("udp", (1024 + n % 512, 1536 + n % 512), f"10.{128 + (b >> 8)}.{b & 255}.0/24") for n, b in enumerate(blocks)]
    for protocol in protocols:
        lists["in"].append(allow(protocol, (2048, 60000) if admitted else (100, 200), "10.0.0.0/16"))
        lists["out"].append(allow(protocol, (1024, 65535), "10.0.0.0/16"))
    state.group("sg-1", "vpc-1", lists["in"], lists["out"])
    for number in (1, 2):
        state.subnet(f"s-{number}", "vpc-1", f"10.0.{number}.0/24")
        state.nacl(f"acl-{number}", "vpc-1", [f"s-{number}"], [acl(100, "allow", egress=egress) for egress in (False, True)])
    state.table("rtb-1", "vpc-1")
    for number in (1, 2):
        state.eni(f"eni-{number}", f"s-{number}", ADDRESSES[number - 1], ["sg-1"])
    state.host("host-a", [("eni-1", f"{port}1"), ("eni-2", f"{port}2")])
    return state


class World:
    """One of them. how: enid, forward, bare, routed, conntrack, linear, sets, concat, iptables."""

    def __init__(self, how, rules=10, admitted=True, flows=1 << 19, protocols=("udp",), taps=False):
        self.how, self.rules, self.port = how, rules, "tap" if taps else "port"
        self.name = f"{how}-{rules}"
        self.state = make_state(rules, admitted, protocols, self.port)
        self.fabric = Fabric(self.state, prefix=f"bench-{how}-{rules}-{self.port}", cable=FastCable)
        self.fabric.__enter__()
        self.agent = None
        self.sent = 0
        try:
            self._set_up(flows)
        except BaseException:
            self.close()
            raise

    def _set_up(self, flows):
        host = self.fabric.host
        for number in (1, 2):
            host.ip(f"link set {self.port}{number} address {ROUTER}")
        if self.how == "enid":
            self.agent = Agent(self.fabric, max_flows=flows)
            self.agent.__enter__()
            self.agent.start(timeout=120)
            return
        host.sysctl(net__ipv4__ip_forward=1)
        for number in (1, 2):
            host.ip(f"route add {ADDRESSES[number - 1]}/32 dev {self.port}{number}",
                    f"neigh add {ADDRESSES[number - 1]} lladdr {MACS[number - 1]} dev {self.port}{number} nud permanent")
            self.fabric.guest(f"eni-{number}").ip(f"neigh add 10.0.{number}.1 lladdr {ROUTER} dev eth0 nud permanent")
        if self.how == "conntrack":
            host.run("nft", "-f", "-", text_in=CONNTRACK)
        elif self.how in ("linear", "sets", "concat"):
            host.run("nft", "-f", "-", text_in=self._exported())
        elif self.how == "iptables":
            host.run("iptables-restore", text_in=self._iptables())

    def _exported(self):
        path = os.path.join("/tmp", f"enid-{self.fabric.prefix}")
        os.mkdir(path)
        try:
            self.state.save(path)
            return subprocess.run([ENID, "export", "nft", "--form", self.how, path], check=True, capture_output=True, text=True).stdout
        finally:
            subprocess.run(["rm", "-r", path], check=False)

    def _iptables(self):
        lines = ["*filter", ":FORWARD DROP [0:0]", ":out - [0:0]", "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                 "-A FORWARD -j out", "-A FORWARD -j DROP"]
        group = self.state["SecurityGroups"][0]
        lines.insert(3, ":in - [0:0]")
        for chain, key, side, verdict in (("out", "IpPermissionsEgress", "-d", "in"), ("in", "IpPermissions", "-s", "ACCEPT")):
            lines += [f"-A {chain} {side} {rule['IpRanges'][0]['CidrIp']} -p udp --dport {rule['FromPort']}:{rule['ToPort']} -j {verdict}"
                      for rule in group[key]]
        return "\n".join(lines + ["COMMIT", ""])

    def close(self):
        if self.agent:
            self.agent.__exit__(None, None, None)
        self.fabric.close()

    def run(self, *options, back=False):
        """The generator: (ns of the best round, of the median, sent, arrived)."""
        a, b = (1, 0) if back else (0, 1)
        options = list(options) + (["-R"] if back else []) + (["-b", f"port{b + 1}"] if self.how in ("bare", "routed") else [])
        options += ["-t", MACS[b]] if self.how == "routed" else []
        sink = f"/run/netns/{self.fabric.guest(f'eni-{b + 1}').name}:eth0"
        done = self.fabric.host.run(os.path.join(BUILD, "tests/bench/wires"), *[str(word) for word in options], f"port{a + 1}", MACS[a], ROUTER,
                                    ADDRESSES[a], ADDRESSES[b], sink)
        best, median, sent, arrived = done.stdout.split()
        return float(best), float(median), int(sent), int(arrived)

    def establish(self, flows):
        """Both ways, as often as UDP needs to be a stream for everybody."""
        for _ in range(3):
            self.run("-r", 1, "-n", flows, "-f", flows)
            self.run("-r", 1, "-n", flows, "-f", flows, back=True)
