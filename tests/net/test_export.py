#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid export nft: the kernel's own forwarding under the exported rules delivers what `enid replay` delivers, packet by packet, in
each form; nft accepts every state; the order of a state's lists changes nothing."""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames
from vpcnet.harness import Failure, equal, run, scene, test
from vpcnet.netns import Namespace
from vpcnet.vpc import State, acl, allow

ENID = os.environ.get("ENID", "build/enid")
ROUTER = "02:65:6e:69:64:01"
FORMS = ("linear", "sets", "concat")
PORTS = (22, 53, 80, 443, 8080)
SEED = int(os.environ.get("ENID_SEED") or random.randrange(1 << 31))


def random_peer(draw):
    return draw.choice(["10.0.0.0/16", f"10.0.{draw.randint(1, 3)}.0/24", f"10.0.{draw.randint(1, 3)}.{draw.randint(10, 11)}/32",
                        "0.0.0.0/0", "sg-1", "sg-2", "sg-3"])


def random_rules(draw):
    rules = []
    for _ in range(draw.randint(3, 9)):
        peers = {random_peer(draw) for _ in range(draw.randint(1, 3))}
        protocol = draw.choice(["tcp", "tcp", "udp", "udp", "icmp", "-1"])
        first = draw.choice(PORTS)
        ports = {"icmp": draw.choice([(-1, -1), (8, 0), (8, -1), (13, -1)]), "-1": None}.get(protocol, (first, first + draw.choice([0, 30, 400, 30000])))
        if protocol == "-1" and draw.random() < 0.7:
            peers = {f"10.0.{draw.randint(1, 3)}.{draw.randint(10, 11)}/32"}
        rules.append(allow(protocol, ports, *sorted(peers)))
    return rules


def random_entries(draw):
    entries = []
    for egress in (False, True):
        for number in range(1, draw.randint(2, 5)):
            entries.append(acl(number, draw.choice(["allow", "deny"]), draw.choice(["6", "17"]),
                               draw.choice(["10.0.0.0/16", f"10.0.{draw.randint(1, 3)}.0/24"]),
                               (draw.choice(PORTS), 65535), egress))
        entries.append(acl(100, "allow", egress=egress))
    return entries


def random_state(draw):
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    for number in (1, 2, 3):
        state.subnet(f"s-{number}", "vpc-1", f"10.0.{number}.0/24")
        state.group(f"sg-{number}", "vpc-1", random_rules(draw), random_rules(draw) if draw.random() < 0.5 else None)
        state.nacl(f"acl-{number}", "vpc-1", [f"s-{number}"], random_entries(draw))
    state.table("rtb-1", "vpc-1")
    for number in range(6):
        groups = draw.sample(["sg-1", "sg-2", "sg-3"], draw.randint(1, 2))
        state.eni(f"eni-{number}", f"s-{number // 2 + 1}", f"10.0.{number // 2 + 1}.{10 + number % 2}", groups)
    state.host("host-a", [(f"eni-{number}", f"veth{number}") for number in range(6)])
    return state


def address(number):
    return f"10.0.{number // 2 + 1}.{10 + number % 2}"


def icmp(source, target, kind, rest):
    total = frames.checksum(bytes([kind, 0, 0, 0]) + rest)
    return frames.packet(source, target, 1, bytes([kind, 0]) + total.to_bytes(2, "big") + rest)


def a_packet(draw, source, target, mark):
    """A first packet and its answer; the mark is found again in either."""
    kind, sport, dport = draw.choice(["tcp", "udp", "echo", "stamp"]), 20000 + mark % 40000, draw.choice(PORTS) + draw.randint(0, 40)
    if kind == "tcp":
        return (frames.tcp(source, target, sport, dport, 0x02, mark), frames.tcp(target, source, dport, sport, 0x12, mark, mark + 1))
    body = mark.to_bytes(4, "big")
    if kind == "udp":
        return frames.udp(source, target, sport, dport, body), frames.udp(target, source, dport, sport, body)
    ask, answer = (8, 0) if kind == "echo" else (13, 14)
    rest = sport.to_bytes(2, "big") + b"\0\1" + body + bytes(8)
    return icmp(source, target, ask, rest), icmp(target, source, answer, rest)


def random_probes(draw, marks):
    """(eni, frame) in the order they are sent. No mark serves twice: the kernel's conntrack remembers."""
    probes = []
    for mark in marks:
        a, b = draw.sample(range(6), 2)
        source = address(a) if draw.random() < 0.95 else draw.choice(["10.0.1.77", address(next(n for n in range(6) if n not in (a, b)))])
        for eni, packet in zip((a, b), a_packet(draw, source, address(b), mark)):
            mac = f"02:00:00:00:01:{eni + 1:02x}"
            probes.append((eni, frames.ethernet(mac, ROUTER, 0x0800, packet)))
        if draw.random() < 0.3:
            probes.pop(-2)  # an answer that nobody asked for
    return probes


def identity(frame):
    """What stays of a frame on its way: the IP packet without time to live and checksum."""
    return frame[14:22] + frame[23:24] + frame[26:]


def replayed(path, probes):
    """Where each probe arrives: [(eni, identity)]."""
    lines = "".join(json.dumps({"port": f"eni-{eni}", "packet": frame.hex(), "at": n * 0.001}) + "\n" for n, (eni, frame) in enumerate(probes))
    done = subprocess.run([ENID, "replay", "--state", path, "--host", "host-a"], input=lines, capture_output=True, text=True, check=False)
    out = [json.loads(line) for line in done.stdout.splitlines()]
    equal(len(out), len(probes), "lines of replay: " + done.stderr)
    return [(int(line["to"][4:]), identity(frame)) for line, (_, frame) in zip(out, probes) if line["action"] == "deliver"]


def exported(path, form):
    return subprocess.run([ENID, "export", "nft", "--form", form, "--host", "host-a", path], check=True, capture_output=True, text=True).stdout


class World:
    """A router that forwards by itself, and guests that only listen."""

    def __init__(self, prefix):
        self.host = Namespace(f"{prefix}-host")
        self.guests = []
        self.marks = 1
        self.host.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0,
                         net__ipv4__conf__all__send_redirects=0, net__ipv4__conf__default__send_redirects=0)
        self.host.ip("route add blackhole 10.0.0.0/16")  # as the fabric: it says nothing
        for number in range(6):
            guest = Namespace(f"{prefix}-{number}")
            self.guests.append(guest)
            self.host.ip(f"link add veth{number} address {ROUTER} type veth peer name eth0 netns {guest.name}", f"link set veth{number} up",
                         f"route add {address(number)}/32 dev veth{number}",
                         f"neigh add {address(number)} lladdr 02:00:00:00:01:{number + 1:02x} dev veth{number} nud permanent")
            guest.sysctl(net__ipv6__conf__eth0__disable_ipv6=1)
            guest.ip(f"link set eth0 address 02:00:00:00:01:{number + 1:02x} up")

    def close(self):
        for namespace in self.guests + [self.host]:
            namespace.close()

    def load(self, rules):
        self.host.run("nft", "-f", "-", text_in=rules)

    def sent(self, probes):
        """Where each probe arrives, once nothing more does."""
        watches = [frames.Watch(guest) for guest in self.guests]
        with_sockets = []
        try:
            for guest in self.guests:
                with guest.entered():
                    sock = frames.socket.socket(frames.socket.AF_PACKET, frames.socket.SOCK_RAW)
                    sock.bind(("eth0", 0))
                with_sockets.append(sock)
            for eni, frame in probes:
                with_sockets[eni].send(frame)
            seen, quiet = -1, lambda: sum(len(watch.frames) for watch in watches)
            while seen != quiet():
                seen = quiet()
                frames.time.sleep(0.2)
        finally:
            for sock in with_sockets:
                sock.close()
            arrived = [(number, identity(frame)) for number, watch in enumerate(watches) for frame in watch.stop() if frame[12:14] == b"\x08\0"]
        return arrived


@scene
def routers():
    print(f"ENID_SEED={SEED}")
    world = World(f"export-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            world.folder = folder
            yield world
    finally:
        world.close()


def telling_round(world, path, draw):
    """A random state and probes of which enough pass and enough do not: a few states in a hundred would prove nothing."""
    for _ in range(50):
        random_state(draw).save(world.folder)
        probes = random_probes(draw, range(world.marks, world.marks + 150))
        wanted = sorted(replayed(path, probes))
        if 10 < len(wanted) < len(probes) - 10:
            world.marks += 150
            return probes, wanted
    raise Failure("fifty states that prove nothing")


def agree(world, form):
    """Three states a form; both ways of every flow, in order."""
    for round_number in range(3):
        path = os.path.join(world.folder, "state.json")
        probes, wanted = telling_round(world, path, random.Random(SEED * 64 + round_number))
        world.load(exported(path, form))
        found = sorted(world.sent(probes))
        differ = [("let through", sorted(set(found) - set(wanted))), ("dropped", sorted(set(wanted) - set(found)))]
        for verb, frames_ in differ:
            equal([(eni, packet.hex()) for eni, packet in frames_[:3]], [], f"state {round_number} of seed {SEED}: {verb} by nft alone")
        equal(len(found), len(wanted), f"packets that arrive, state {round_number} of seed {SEED}")


@test
def linear_rules_agree_with_replay(world):
    agree(world, "linear")


@test
def address_sets_agree_with_replay(world):
    agree(world, "sets")


@test
def concatenated_sets_agree_with_replay(world):
    agree(world, "concat")


@test
def order_changes_nothing(world):
    draw = random.Random(SEED)
    state = random_state(draw)
    path = os.path.join(world.folder, "state.json")
    state.save(world.folder)
    first = [exported(path, form) for form in FORMS]
    for entries in [list_ for name, list_ in state.items() if name != "Hosts"] + [acl_["Entries"] for acl_ in state["NetworkAcls"]]:
        draw.shuffle(entries)
    for group in state["SecurityGroups"]:
        draw.shuffle(group["IpPermissions"])
    state.save(world.folder)
    equal([exported(path, form) for form in FORMS], first, "what a shuffled state exports")


@test
def examples_are_accepted(world):
    for folder in sorted(os.listdir("deploy/examples")):
        for form in FORMS:
            rules = subprocess.run([ENID, "export", "nft", "--form", form, os.path.join("deploy/examples", folder)], check=True,
                                   capture_output=True, text=True).stdout
            world.host.run("nft", "-c", "-f", "-", text_in=rules)


@test
def misuse_is_told(world):
    for argv, code in ((["nft"], 2), (["pf", "x"], 2), (["nft", "--form", "round", "x"], 2), (["nft", world.folder + "/none"], 1)):
        equal(subprocess.run([ENID, "export", *argv], capture_output=True, check=False).returncode, code, " ".join(argv))


if __name__ == "__main__":
    run()
