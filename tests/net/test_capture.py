#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid capture on live ports: every packet with the verdict that it got, as it came and as it was delivered, in a pcapng file
that tshark reads without a complaint; and nothing left behind that anybody would pay for."""
import glob
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import ENID, SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.maps import pinned
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ANYWHERE, State, allow, client_and_server

CLIENT, SERVER = "10.0.1.10", "10.0.2.10"
SITE = "172.20.0.7"
PATIENCE = 8192             # CAPTURE_PATIENCE: packets that find no ring until nobody is told any more


class Capture:
    """enid capture beside the agent: from when it watches until it has ended."""

    def __init__(self, agent, *arguments):
        self.process = agent.fabric.host.popen(ENID, "capture", *arguments, "--pin-dir", agent.pin_dir, "--run-dir", agent.run_dir,
                                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.last = ""

    def __enter__(self):
        first = self.process.stderr.readline()
        check(first.startswith(b"enid capture: ") and b" port" in first, f"it begins with {first}")
        return self

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.output()

    def output(self):
        out, err = self.process.communicate(timeout=20 * SLOW)
        equal(self.process.returncode, 0, f"its exit code ({err.decode()})")
        self.last = err.decode()
        return out

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class World:
    def __init__(self, fabric, agent, listeners):
        self.agent, self.fabric, self.host = agent, fabric, fabric.host
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        self.folder = agent.folder
        listeners.tcp(self.server, 80)

    def rows(self, action, *arguments):
        """What enid capture --json tells of while `action` is done."""
        with Capture(self.agent, "--json", *arguments) as capture:
            action()
            rows = [json.loads(line) for line in capture.end().splitlines()]
            self.last = capture.last
        return rows


    def delivers(self, eni):
        shown = self.agent.command("show", "ports", "--json", "--run-dir", self.agent.run_dir, check=True)
        return next(row["deliver"] for row in json.loads(shown.stdout) if row["id"] == eni)


@scene
def one_vpc():
    with Fabric(client_and_server([allow("tcp", 80, "sg-client"), allow("icmp", -1, *ANYWHERE)])) as fabric, \
            Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


def session(world):
    equal(traffic.tcp(world.client, SERVER, 80), "open", "port 80")


def of(rows, **wanted):
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


@test
def both_ports_of_a_session(world):
    """A packet shows twice: as it came from its sender, and as its receiver gets it, with the same verdict and flow."""
    rows = world.rows(lambda: session(world), "--protocol", "tcp")
    syn = of(rows, port="eni-client", direction="from-guest", tcp_flags=2)
    check(len(syn) == 1, f"one SYN from the client: {rows}")
    equal((syn[0]["verdict"], syn[0]["reason"], syn[0]["to"], syn[0]["kept"], syn[0]["stage"]),
          ("deliver", "accepted", "eni-server", False, "sg-ingress"), "its verdict")
    stages = [decision.split()[0] for decision in syn[0]["decisions"]]
    equal(stages, ["sg-egress", "route", "nacl-egress", "nacl-ingress", "sg-ingress"], "what decided on it")
    equal(len(of(rows, port="eni-server", direction="to-guest", tcp_flags=2, flow=syn[0]["flow"])), 1, "SYNs at the server")
    for name, other in (("eni-client", "eni-server"), ("eni-server", "eni-client")):
        sent, got = of(rows, port=name, direction="from-guest"), of(rows, port=other, direction="to-guest")
        check(len(sent) >= 3 and [row["length"] for row in sent] == [row["length"] for row in got],
              f"{name} sent {len(sent)}, {other} got {len(got)}")
        check(any(row["kept"] and row["decisions"] for row in sent), "none of them met a kept decision")
    check("0 lost" in world.last, world.last)


def failed(world, *arguments, stdout):
    """What enid capture says when what it tells cannot be written."""
    words = ("capture", *arguments, "--count", "1", "--seconds", "30", "--pin-dir", world.agent.pin_dir, "--run-dir", world.agent.run_dir)
    with world.host.popen("sh", "-c", f'exec "$@" {stdout}', "-", ENID, *words, stderr=subprocess.PIPE) as capture:
        capture.stderr.readline()
        session(world)
        said = capture.stderr.read().decode()
        equal(capture.wait(), 1, f"exit code of {arguments} {stdout} ({said})")
    return said.splitlines()[-1]


@test
def what_cannot_be_written_is_said(world):
    """A full disk, a closed stream: by its name, and not by the error of a call before."""
    equal(failed(world, "--write", "/dev/full", stdout=""), "enid capture: '/dev/full': No space left on device", "a file")
    equal(failed(world, "--write", "-", stdout="> /dev/full"), "enid capture: '-': No space left on device", "pcapng to stdout")
    for form in ((), ("--json",)):
        equal(failed(world, *form, stdout="> /dev/full"), "enid capture: cannot write to standard output", f"a full disk {form}")
        equal(failed(world, *form, stdout=">&-"), "enid capture: cannot write to standard output", f"a closed stream {form}")


@test
def a_refused_packet_at_its_target(world):
    """Who looks at the port that does not answer sees what the group there refused, and what else did not come is not there."""
    def refused():
        equal(traffic.tcp(world.client, SERVER, 81, False), "silent", "port 81")
    rows = world.rows(refused, "eni-server", "--port", "81")
    check(rows and all(row["port"] == "eni-server" and row["direction"] == "to-guest" for row in rows), rows)
    equal({(row["verdict"], row["reason"], row["stage"], row["rule"], row["flow"]) for row in rows},
          {("drop", "sg-ingress", "sg-ingress", None, None)}, "its verdicts")
    rows = world.rows(refused, "--reason", "sg-ingress")
    check(rows and all(row["port"] == "eni-client" and row["direction"] == "from-guest" for row in rows),
          f"a refused packet shows once: where it came in ({rows})")
    rows = world.rows(lambda: (refused(), session(world)), "--verdict", "accept", "--protocol", "tcp")
    check(rows and not of(rows, dport=81), f"accepted only: {rows}")


@test
def a_packet_without_a_route(world):
    """The stage that lost it, and no rule of another stage that had let it come so far."""
    rows = world.rows(lambda: traffic.tcp(world.client, "198.51.100.1", 80, False), "eni-client", "--reason", "no-route")
    equal({(row["verdict"], row["stage"], row["rule"]) for row in rows}, {("drop", "route", None)}, "what is said of it")


@test
def every_count_agrees_with_the_books(world):
    """As many drops as the agent's counters say, by reason, over frames of many kinds."""
    before = world.agent.drops()
    me, router = "02:00:00:00:01:10", "02:65:6e:69:64:01"
    mac = json.loads(world.client.run("ip", "-json", "link", "show", "eth0").stdout)[0]["address"]

    def send():
        for number in range(20):
            frames.send(world.client, "eth0", frames.ethernet(mac, router, 0x0800, frames.udp("10.9.9.9", SERVER, 9, number)))
            frames.send(world.client, "eth0", frames.ethernet(mac, router, 0x88b5, b"x" * 50))
            frames.send(world.client, "eth0", frames.ethernet(me, router, 0x0800, frames.udp(CLIENT, SERVER, 9, number)))
            frames.send(world.client, "eth0", frames.ethernet(mac, router, 0x0800, frames.udp(CLIENT, SERVER, 9, number)))
    rows = world.rows(send, "eni-client", "--verdict", "reject")
    found = {}
    for row in of(rows, direction="from-guest"):
        found[row["reason"]] = found.get(row["reason"], 0) + row["segments"]
    equal(found, world.agent.dropped(before), "drops by reason")
    check({"source-check", "ethertype", "mac-spoof", "sg-ingress"} <= set(found), found)


def interfaces_of(path):
    """Names of the interfaces of a pcapng file, and how many packets and comments it has, read by hand."""
    names, packets = [], 0
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        equal(struct.unpack_from("<I", data, at + length - 4)[0], length, "a block's second length")
        if kind == 1:
            code, size = struct.unpack_from("<HH", data, at + 16)
            equal(code, 2, "the first option of an interface is its name")
            names.append(data[at + 20:at + 20 + size].decode())
        packets += kind == 6
        at += length
    return names, packets


@test
def tshark_reads_the_file(world):
    """Every packet of the file has its comment and its interface, and tshark finds nothing malformed."""
    path = os.path.join(world.folder, "both.pcapng")
    with Capture(world.agent, "--write", path) as capture:
        session(world)
        equal(traffic.tcp(world.client, SERVER, 81, False), "silent", "port 81")
        equal(capture.end(), b"", "lines, where a file is asked for")
    names, packets = interfaces_of(path)
    equal(sorted(names), ["eni-client", "eni-server"], "its interfaces")
    if not shutil.which("tshark"):
        return print("skip: no tshark")
    fields = ["frame.interface_name", "frame.comment", "tcp.dstport", "frame.time_epoch", "_ws.malformed", "frame.packet_flags_direction"]
    done = subprocess.run(["tshark", "-r", path, "-o", "tcp.check_checksum:FALSE", "-T", "fields", "-E", "separator=|"] +
                          [word for field in fields for word in ("-e", field)], capture_output=True, check=False, text=True)
    rows = [line.split("|") for line in done.stdout.splitlines()]
    equal((done.returncode, len(rows)), (0, packets), f"tshark: {done.stderr}")
    equal([row for row in rows if row[4]], [], "malformed")
    check(all(row[1].startswith("verdict=") for row in rows), "each has a comment")
    refused = [row for row in rows if row[2] == "81"]
    check(refused and all("verdict=drop reason=sg-ingress" in row[1] for row in refused), refused)
    check(any("flow=" in row[1] and " rule=\"sg-ingress sg-server" in row[1] for row in rows if row[2] == "80"), rows)
    check(all(abs(float(row[3]) - time.time()) < 300 and len(row[3].split(".")[1]) == 9 for row in rows), "nanoseconds, and today")
    equal({int(row[5], 0) for row in rows}, {1, 2}, "directions")
    expert = subprocess.run(["tshark", "-r", path, "-q", "-z", "expert,error"], capture_output=True, check=False, text=True)
    check("Malformed" not in expert.stdout and "Errors" not in expert.stdout, expert.stdout)


@test
def it_ends_as_it_is_told(world):
    """--count, --seconds and a pipe that breaks; the first bytes of each packet, where so many are enough."""
    with Capture(world.agent, "eni-client", "--json", "--count", "2") as capture:
        session(world)
        equal(len(capture.output().splitlines()), 2, "packets, of which 2 were asked for")
    with Capture(world.agent, "veth-client", "--seconds", "0.2") as capture:
        capture.output()
    path = os.path.join(world.folder, "short.pcapng")
    with Capture(world.agent, "--write", path, "--bytes", "54") as capture:
        session(world)
        capture.end()
    with open(path, "rb") as file:
        data = file.read()
    at, lengths = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == 6:
            lengths.append(struct.unpack_from("<II", data, at + 20))
        at += length
    check(lengths and all(kept == min(54, full) for kept, full in lengths) and any(full > 54 for _, full in lengths), lengths)
    equal(world.agent.command("capture", "eni-nobody").returncode, 1, "a port that does not exist")
    equal(world.agent.command("capture", "--reason", "bad-mood").returncode, 2, "a reason that does not exist")


def member(value, name):
    """Of what bpftool says of a value: a section of variables, arrays of structures."""
    if isinstance(value, dict) and name in value:
        return value[name]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in parts for found in [member(part, name)] if found is not None), None)


@test
def nothing_stays_behind(world):
    """Killed without a word, it costs nothing after some packets: the programs find nobody who reads, and stop telling."""
    def watch():
        [path] = glob.glob(f"{world.agent.pin_dir}/v*/maps/control")
        dump = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", path], check=True, capture_output=True, text=True)
        return member(json.loads(dump.stdout)[0]["formatted"]["value"], "watch")
    equal(watch(), 0, "the word before anybody captures")
    with Capture(world.agent, "eni-client") as capture:
        equal(watch(), PATIENCE, "the word while somebody captures")
        second = world.agent.command("capture", "--run-dir", world.agent.run_dir)
        check(second.returncode == 1 and "another enid capture" in second.stderr, second.stderr)
        capture.process.kill()
        capture.process.wait()
        frame = frames.ethernet("02:00:00:00:00:01", "02:65:6e:69:64:01", 0x0800, frames.udp(CLIENT, SERVER, 9, 9))
        frames.send(world.client, "eth0", frame, count=PATIENCE)
        equal(watch(), 0, "the word after it was killed, and packets came")
    rows = world.rows(lambda: session(world), "eni-server")
    check(rows and {row["port"] for row in rows} == {"eni-server"}, "nobody asks for the ports of the one that was killed")
    equal(watch(), 0, "the word after it ended")


@test
def a_cpu_that_comes_online(world):
    """A ring is missing, as that of a CPU that was not there when it began: it makes rings anew, and says what it missed."""
    frame = frames.ethernet("02:00:00:00:00:01", "02:65:6e:69:64:01", 0x0800, frames.udp(CLIENT, SERVER, 9, 9))
    with Capture(world.agent, "eni-client", "--json") as capture:
        with pinned(world.agent.pin_dir, "capture_ring") as ring:
            for cpu in range(os.cpu_count()):
                ring.delete(struct.pack("<I", cpu))
        frames.send(world.client, "eth0", frame, count=10)

        def told():
            frames.send(world.client, "eth0", frame)
            return capture.process.stdout.readline() if select.select([capture.process.stdout], [], [], 0)[0] else None
        wait_for(told, 10 * SLOW, "packets again")
        capture.end()
    check(int(capture.last.split(" lost")[0].split()[-1]) >= 10, capture.last)


@test
def a_drop_at_the_last_moment(world):
    """What is judged to be delivered and finds no device there is a drop, in the file, too."""
    device = "veth-server"
    world.host.ip(f"link set {device} name was-{device}")
    try:
        wait_for(lambda: world.delivers("eni-server") == "none", 5 * SLOW, "the agent to see that the device is gone")
        rows = world.rows(lambda: equal(traffic.tcp(world.client, SERVER, 80, False), "silent", "port 80"), "eni-client", "--port", "80")
    finally:
        world.host.ip(f"link set was-{device} name {device}")
        wait_for(lambda: world.delivers("eni-server") != "none", 5 * SLOW, "the device to be there again")
    check(rows and {(row["verdict"], row["reason"], row["to"]) for row in rows} == {("drop", "no-owner", None)}, rows)


@test
def what_is_lost_is_counted(world):
    """A reader that stands still: the rings fill, and what they did not take is told at the end, packet by packet."""
    with Capture(world.agent, "eni-client", "--json", "--bytes", "9216") as capture:
        capture.process.send_signal(signal.SIGSTOP)
        before = dropped = world.agent.drops()
        frame = frames.ethernet("02:00:00:00:00:01", "02:65:6e:69:64:01", 0x0800, frames.udp(CLIENT, SERVER, 9, 9, b"x" * 1400))
        frames.send(world.client, "eth0", frame, count=8000)
        dropped = sum(world.agent.dropped(before).values())
        capture.process.send_signal(signal.SIGCONT)
        rows = [json.loads(line) for line in capture.end().splitlines()]
    told = len(of(rows, direction="from-guest", reason="mac-spoof"))
    lost = int(capture.last.split(" lost")[0].split()[-1])
    check(lost > 100 and told > 100, f"{told} told, {lost} lost")
    check(abs(told + lost - dropped) <= 5, f"{told} told and {lost} lost of {dropped} that were dropped")


def many_hooks_state():
    """A port judged by XDP, one by TC, and a VPN without Ethernet headers."""
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24")
    state.table("rtb-main", "vpc-1", [(SITE + "/32", "vgw-1")])
    state["VpnGateways"] = [{"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state.group("sg-1", "vpc-1", [allow("udp", 53, SITE + "/32")], [allow("udp", 99, SITE + "/32")])
    state.eni("eni-x", "s-1", "10.0.1.10", ["sg-1"])
    state.eni("eni-t", "s-1", "10.0.1.20", ["sg-1"])
    state.host("host-a", [("eni-x", "veth-x", {"Hook": "xdp"}), ("eni-t", "veth-t")], [("vgw-1", "tun-1")])
    return state


class ManyHooks(World):
    def __init__(self, fabric, agent):  # pylint: disable=super-init-not-called
        self.agent, self.fabric, self.host, self.folder = agent, fabric, fabric.host, agent.folder
        self.tun = fabric.tuns["tun-1"]

    def frame(self, eni, packet, tags=()):
        """Sent by the ENI's guest as it is."""
        mac = self.fabric.state.find("NetworkInterfaces", eni)["MacAddress"]
        return frames.ethernet(mac, "02:65:6e:69:64:01", 0x0800, packet, tags)

    def send(self, eni, packet, count=1, tags=()):
        frames.send(self.fabric.guest(eni), "eth0", self.frame(eni, packet, tags), count=count)

    def until_dropped(self, before, reason, number):
        wait_for(lambda: self.agent.dropped(before).get(reason) == number, 5 * SLOW, f"{number} drops by {reason}")

    def until_out(self, data):
        """... of the VPN's device."""
        wait_for(lambda: select.select([self.tun], [], [], 0)[0] and os.read(self.tun, 65600).endswith(data), 5 * SLOW, f"{data} to leave")


@scene
def many_hooks():
    with Fabric(many_hooks_state()) as fabric, Agent(fabric) as agent:
        agent.start()
        yield ManyHooks(fabric, agent)


@test
def drops_by_xdp(world):
    """What XDP drops is told by XDP, once, as many as the books have; what it leaves to TC is told there, with TC's verdict."""
    before = world.agent.drops()

    def send():
        world.send("eni-x", frames.udp("10.0.1.99", SITE, 9, 99), count=7)
        world.send("eni-x", frames.udp("10.0.1.10", SITE, 9, 98), count=5)
        world.send("eni-x", frames.udp("10.0.1.10", SITE, 9, 99, b"x"), count=2)
        world.send("eni-x", frames.udp("10.0.1.10", SITE, 9, 99, b"the last"))
        world.until_dropped(before, "sg-egress", 5)
        world.until_out(b"the last")
    rows = [row for row in world.rows(send, "eni-x", "--protocol", "udp") if row["direction"] == "from-guest"]
    found = {}
    for row in rows:
        found[(row["verdict"], row["reason"])] = found.get((row["verdict"], row["reason"]), 0) + 1
    equal(found, {("drop", "source-check"): 7, ("drop", "sg-egress"): 5, ("uplink", "accepted"): 3}, "verdicts")
    dropped = world.agent.dropped(before)
    equal((dropped.get("source-check"), dropped.get("sg-egress")), (7, 5), "drops in the books")


@test
def an_uplink_without_ethernet_headers(world):
    """Both ways on the VPN's device: packets without headers of a link, in the file as raw IP."""
    question = frames.udp("10.0.1.20", SITE, 4000, 99, b"question")
    answer, unasked = frames.udp(SITE, "10.0.1.20", 99, 4000, b"answer"), frames.udp(SITE, "10.0.1.20", 99, 4001, b"unasked")

    def exchange():
        before = world.agent.drops()
        world.send("eni-t", question)
        world.until_out(b"question")
        os.write(world.tun, answer)
        os.write(world.tun, unasked)
        world.until_dropped(before, "sg-ingress", 1)
    rows = world.rows(exchange, "vgw-1", "--protocol", "udp")
    equal(sorted((row["direction"], row["length"], row["src"], row["sport"], row["verdict"], row["reason"]) for row in rows),
          sorted([("to-guest", len(question), "10.0.1.20", 4000, "uplink", "accepted"),
                  ("from-guest", len(answer), SITE, 99, "deliver", "accepted"),
                  ("from-guest", len(unasked), SITE, 99, "drop", "sg-ingress")]), "the VPN's")
    path = os.path.join(world.folder, "raw.pcapng")
    with Capture(world.agent, "vgw-1", "--protocol", "udp", "--write", path) as capture:
        exchange()
        capture.end()
    with open(path, "rb") as file:
        data = file.read()
    at, links, sizes = 0, [], []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        links += struct.unpack_from("<H", data, at + 8) if kind == 1 else ()
        sizes += [data[at + 28] >> 4] if kind == 6 else []
        at += length
    equal((links, sizes), ([101], [4, 4, 4]), "LINKTYPE_RAW, and packets that begin with IPv4")


@test
def tags_are_in_the_frame(world):
    """A tag that the kernel keeps beside the frame is in what is shown, and in the file, where it was on the wire."""
    sent = frames.udp("10.0.1.20", SITE, 9, 99, b"tagged")
    path = os.path.join(world.folder, "tagged.pcapng")
    with Capture(world.agent, "eni-t", "--write", path, "--reason", "vlan") as capture:
        before = world.agent.drops()
        world.send("eni-t", sent, tags=[(0x8100, 7)])
        world.until_dropped(before, "vlan", 1)
        capture.end()
    with open(path, "rb") as file:
        data = file.read()
    check(world.frame("eni-t", sent, [(0x8100, 7)]) in data, f"the frame with its tag: {data.hex()}")


if __name__ == "__main__":
    run()
