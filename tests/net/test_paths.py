#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""PATH-01 to PATH-13 from end to end, by real stacks on wires, on both hooks: which addresses, ports and times to live
are seen at each point, and that no other point sees anything; then the stages on each way in their order, by replay."""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, gates, traffic
from vpcnet.agent import ENID, SLOW, Agent
from vpcnet.fabric import INTERNET4, INTERNET6, SERVICE, SITE, Fabric, make_fit_for_xdp
from vpcnet.gates import A, A2, A6, B, C, D, D6, E, M, P, P6, Q, QM, QNAT, QP, QR, R
from vpcnet.harness import Failure, check, equal, run, scene, test, wait_for
from vpcnet.vpc import acl_open

RESOLVER, SPORT, BOTH = "169.254.169.253", 40000, (frames.UDP, frames.TCP)
X, X6, S3 = INTERNET4, INTERNET6, SERVICE


class World:
    """Every point of the fabric hears all that arrives at it, and keeps what is of the test's ports."""

    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent, self.listeners = fabric, agent, listeners
        self.points = {name: fabric.guest("eni-" + name) for name in gates.ENIS}
        self.points.update(x=fabric.internet, site=fabric.site, s3=fabric.service)
        self.seen, self.port = {}, 6000
        gates.make_middlebox(self.points["m"])
        self.ears = [frames.Watch(space, matching=self._hear(name)) for name, space in self.points.items()]

    def _hear(self, name):
        def matching(frame):
            found = frames.transport(frame)
            if found and 6000 <= min(found[1:3]) < 7000:
                ttl = frame[22] if frame[12:14] == b"\x08\x00" else frame[21]
                one = (name, found[0], *found[3:], found[1], found[2], ttl)
                self.seen.setdefault(min(found[1:3]), {}).setdefault(one, 0)
            return False
        return matching

    def close(self):
        for ear in self.ears:
            ear.stop()

    def talk(self, opener, target, server, there, back=()):
        """UDP and TCP, from one point to an address whose server is at another (None: nobody's). there, back: who sees what, in the
        order of the way: (point, source, target, time to live). The ports stay what they are. Without `back` nobody answers."""
        self.port += 1
        port, space = self.port, self.points[opener]
        if server:
            self.listeners.udp(self.points[server], port)
            self.listeners.tcp(self.points[server], port)
        if back:
            equal(traffic.udp(space, target, port, sport=SPORT), "answered", f"UDP of {opener} to {target}")
            equal(_tcp(space, target, port), "open", f"TCP of {opener} to {target}")
        else:
            _unanswered(space, target, port)
        wanted = {(point, protocol, source, to, SPORT, port, ttl) for point, source, to, ttl in there for protocol in BOTH} | \
            {(point, protocol, source, to, port, SPORT, ttl) for point, source, to, ttl in back for protocol in BOTH}
        try:
            wait_for(lambda: set(self.seen.get(port, ())) >= wanted, 2 * SLOW, "all of it")
        except Failure:  # what is missing is said below
            pass
        equal(sorted(self.seen.get(port, ())), sorted(wanted), f"who saw what of {opener} to {target}")


def _unanswered(space, target, port):
    """One datagram and one SYN, to which nobody says anything."""
    family = traffic.family_of(target)
    with space.socket(family, socket.SOCK_DGRAM) as udp, space.socket(family, socket.SOCK_STREAM) as tcp:
        for sock in (udp, tcp):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", SPORT))
            sock.setblocking(False)
        udp.connect((target, port))
        udp.send(b"hello")
        tcp.connect_ex((target, port))
        time.sleep(0.3 * SLOW)
        for sock in (udp, tcp):
            try:
                check(False, f"{target} said {sock.recv(100)}")
            except BlockingIOError:
                pass


def _tcp(space, target, port):
    try:
        with traffic.Session(space, target, port, SPORT) as session:
            said = "open" if session.echo() else "open, but no data"
            session.abort()
            return said
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"


def world_with(hook):
    with Fabric(gates.make_state(hook)) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        if hook == "xdp":
            make_fit_for_xdp(fabric, agent.folder, [guest for eni, guest in fabric.guests.items() if eni not in fabric.cables])
        world = World(fabric, agent, listeners)
        try:
            yield world
        finally:
            world.close()


@scene
def on_tc():
    yield from world_with("tc")


# ---- the paths; each is run on both hooks

PATHS = []


def path(function):
    PATHS.append(function)
    return function


@path
def path_01_same_subnet(world):
    world.talk("a", A2, "a2", [("a2", A, A2, 64)], [("a", A2, A, 64)])


@path
def path_02_another_subnet(world):
    world.talk("a", B, "b", [("b", A, B, 64)], [("a", B, A, 64)])
    world.talk("b", A, "a", [("a", B, A, 64)], [("b", A, B, 64)])


@path
def path_03_out_by_the_internet_gateway(world):
    """The address is the public one outside, the private one inside; the port stays (IGW-02)."""
    world.talk("p", X, "x", [("x", QP, X, 64)], [("p", X, P, 64)])
    world.talk("p", X6, "x", [("x", P6, X6, 64)], [("p", X6, P6, 64)])


@path
def path_04_in_by_the_internet_gateway(world):
    world.talk("x", QP, "p", [("p", X, P, 64)], [("x", QP, X, 64)])
    world.talk("x", P6, "p", [("p", X6, P6, 64)], [("x", P6, X6, 64)])


@path
def path_05_nat_gateway(world):
    """A hop, and the gateway's public address outside (NAT-02, NAT-20). IPv6 takes the egress-only gateway untranslated, and
    nobody outside opens anything (EIGW-01, NAT-10)."""
    world.talk("a", X, "x", [("x", QNAT, X, 63)], [("a", X, A, 63)])
    world.talk("a", X6, "x", [("x", A6, X6, 64)], [("a", X6, A6, 64)])
    world.talk("x", QNAT, None, [])
    world.talk("x", A6, "a", [])


@path
def path_06_peering(world):
    world.talk("a", C, "c", [("c", A, C, 64)], [("a", C, A, 64)])
    world.talk("c", B, None, [("b", C, B, 64)])       # s2 has no way back
    world.talk("c", X, "x", [])                       # PCX-04


@path
def path_07_transit_gateway(world):
    world.talk("a", D, "d", [("d", A, D, 63)], [("a", D, A, 63)])
    world.talk("d", A, "a", [("a", D, A, 63)], [("d", A, D, 63)])
    world.talk("a", D6, "d", [("d", A6, D6, 63)], [("a", D6, A6, 63)])


@path
def path_08_out_by_a_middlebox(world):
    """m forwards what is not for it; it masks q, and r has a public address of its own."""
    world.talk("q", X, "x", [("m", Q, X, 64), ("x", QM, X, 63)], [("m", X, M, 64), ("q", X, Q, 63)])
    world.talk("r", X, "x", [("m", R, X, 64), ("x", QR, X, 63)], [("m", X, R, 64), ("r", X, R, 63)])


@path
def path_09_in_by_a_middlebox(world):
    """The gateway's route table leads to m first (RT-18), and so does the answer."""
    world.talk("x", QR, "r", [("m", X, R, 64), ("r", X, R, 63)], [("m", R, X, 64), ("x", QR, X, 63)])


@path
def path_10_gateway_endpoint(world):
    """The private address is seen there (EP-04); nobody there opens anything inside."""
    world.talk("a", S3, "s3", [("s3", A, S3, 64)], [("a", S3, A, 64)])
    world.talk("q", S3, None, [("m", Q, S3, 64), ("x", QM, S3, 63)])  # s4 and s3 lead to the internet only


@path
def path_11_interface_endpoint(world):
    world.talk("a", E, "e", [("e", A, E, 64)], [("a", E, A, 64)])
    world.talk("e", A, "a", [])


@path
def path_12_on_premises(world):
    world.talk("site", A, "a", [("a", SITE, A, 63)], [("site", A, SITE, 63)])
    world.talk("a", SITE, "site", [("site", A, SITE, 63)], [("a", SITE, A, 63)])
    for beyond in (X, C, D, S3):                                       # VGW-04: no way through
        world.talk("site", beyond, None, [])


@path
def path_13_link_local_services(world):
    """To the host's stack, where nobody listens in this test, whatever the groups say; never to another guest."""
    before = world.agent.drops()
    with world.points["a"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(5):
            sock.sendto(struct.pack("!HHHHHH", 1, 0x100, 0, 0, 0, 0), (RESOLVER, 53))
    time.sleep(0.1 * SLOW)
    dropped = world.agent.dropped(before)
    check(not {"sg-egress", "nacl-egress", "no-route"} & set(dropped), f"a service was judged: {dropped}")


@path
def b12_peering_deleted_under_load(world):
    """Nothing passes once the deletion is in force; the transit gateway and the site notice nothing."""
    status = world.fabric.state["VpcPeeringConnections"][0]["Status"]
    streams = {name: traffic.Stream(world.points["a"], world.points[name], address, 7100, 500)
               for name, address in (("c", C), ("d", D), ("site", SITE))}
    try:
        wait_for(lambda: all(len(stream.got) > 50 for stream in streams.values()), 5 * SLOW, "all streams run")
        status["Code"] = "deleted"
        world.agent.apply()
        time.sleep(0.05 * SLOW)
        before = {name: (stream.sent, len(stream.got)) for name, stream in streams.items()}
        wait_for(lambda: all(stream.sent > before[name][0] + 100 for name, stream in streams.items()), 5 * SLOW, "100 more sent")
        time.sleep(0.05 * SLOW)
        equal(len(streams["c"].got), before["c"][1], "what passed the peering that is gone")
        status["Code"] = "active"
        world.agent.apply()
        wait_for(lambda: len(streams["c"].got) > before["c"][1] + 50, 5 * SLOW, "the peering carries again")
    finally:
        status["Code"] = "active"
        counts = {name: stream.stop() for name, stream in streams.items()}
    equal({name: lost for name, (_, lost) in counts.items() if name != "c"}, {"d": 0, "site": 0}, "lost by others")


@path
def d11_public_address_moves_under_load(world):
    """A stream from r's peer outside, to its public address; then q has that address: q's group admits nothing, and of the
    old flow it hears nothing, nor does r."""
    state = world.fabric.state
    r, q = (state.find("NetworkInterfaces", "eni-" + name) for name in "rq")
    group = state.find("SecurityGroups", "sg-q")
    kept, group["IpPermissions"] = group["IpPermissions"], []
    heard = []
    q_ear = frames.Watch(world.points["q"], matching=lambda frame: (frames.transport(frame) or (0, 0, 0))[2] == 7101 and
                         not heard.append(1))
    stream = traffic.Stream(world.points["x"], world.points["r"], QR, 7101, 500)
    try:
        wait_for(lambda: len(stream.got) > 50, 5 * SLOW, "the stream runs")
        public = r["PrivateIpAddresses"][0].pop("Association")
        q["PrivateIpAddresses"][0]["Association"] = public
        world.agent.apply()
        time.sleep(0.1 * SLOW)
        sent, got = stream.sent, len(stream.got)
        wait_for(lambda: stream.sent > sent + 200, 5 * SLOW, "200 more sent")
        equal((len(stream.got) - got, len(heard)), (0, 0), "what the old and the new owner hear of the old flow")
    finally:
        stream.stop()
        q_ear.stop()
        r["PrivateIpAddresses"][0]["Association"] = q["PrivateIpAddresses"][0].pop("Association", public)
        group["IpPermissions"] = kept
        world.agent.apply()


for _path in PATHS:
    test(_path)


@scene
def on_xdp():
    yield from world_with("xdp")


def by_xdp(function):
    def again(world):
        function(world)
    again.__name__ = function.__name__ + "_by_xdp"
    return test(again)


for _path in PATHS:
    by_xdp(_path)


# ---- the stages of each way in their order, by replay of the same state: in notation, `>` leaves a subnet, `<` enters one

NEAR, ANY, SITES = "10.0.0.0/16", "0.0.0.0/0", "172.20.0.0/16"
WAYS = [
    ("PATH-01 there", "eni-a", A, A2, "deliver eni-a2", "out:sg-a in:sg-a2"),
    ("PATH-01 back", "eni-a2", A2, A, "deliver eni-a", "ct:eni-a2 ct:eni-a"),
    ("PATH-02 there", "eni-a", A, B, "deliver eni-b", f"out:sg-a rtb-s1={NEAR} >s1 <s2 in:sg-b"),
    ("PATH-02 back", "eni-b", B, A, "deliver eni-a", f"ct:eni-b rtb-main={NEAR} >s2 <s1 ct:eni-a"),
    ("PATH-03 there", "eni-p", P, X, "uplink igw-1", f"out:sg-p rtb-s0={ANY} >s0 igw"),
    ("PATH-03 back", "igw-1", X, QP, "deliver eni-p", f"igw edge:rtb-edge={NEAR} <s0 ct:eni-p"),
    ("PATH-04 there", "igw-1", X, QR, "deliver eni-m", "igw edge:rtb-edge=10.0.5.0/24 <s3 in:sg-m"),    # as PATH-09
    ("PATH-05 there", "eni-a", A, X, "uplink igw-1", f"out:sg-a rtb-s1={ANY} >s1 <s0 nat rtb-s0={ANY} >s0 igw"),
    ("PATH-05 back", "igw-1", X, QNAT, "deliver eni-a", f"igw edge:rtb-edge={NEAR} <s0 nat rtb-s0={NEAR} >s0 <s1 ct:eni-a"),
    ("PATH-06 there", "eni-a", A, C, "deliver eni-c", "out:sg-a rtb-s1=10.2.0.0/16 >s1 peering vpc-2=10.2.0.0/16 <t in:sg-c"),
    ("PATH-06 back", "eni-c", C, A, "deliver eni-a", f"ct:eni-c rtb-2={NEAR} >t peering vpc-1={NEAR} <s1 ct:eni-a"),
    ("PATH-07 there", "eni-a", A, D, "deliver eni-d",
     "out:sg-a rtb-s1=10.3.0.0/16 >s1 <u1 tgw:tgw-1-rtb=10.3.0.0/16 rtb-3=10.3.0.0/16 >u3 <w in:sg-d"),
    ("PATH-07 back", "eni-d", D, A, "deliver eni-a",
     f"ct:eni-d rtb-3={NEAR} >w <u3 tgw:tgw-1-rtb={NEAR} rtb-main={NEAR} >u1 <s1 ct:eni-a"),
    ("PATH-08 to m", "eni-q", Q, X, "deliver eni-m", f"out:sg-q rtb-s4={ANY} >s4 <s3 in:sg-m"),
    ("PATH-08 from m, unmasked", "eni-m", Q, X, "drop igw-no-public-address", f"out:sg-m rtb-s3={ANY} >s3"),
    ("PATH-08 from m, masked", "eni-m", M, X, "uplink igw-1", f"out:sg-m rtb-s3={ANY} >s3 igw"),
    ("PATH-08 back to m", "igw-1", X, QM, "deliver eni-m", f"igw edge:rtb-edge={NEAR} <s3 ct:eni-m"),
    ("PATH-09 from m", "eni-m", X, R, "deliver eni-r", f"out:sg-m rtb-s3={NEAR} >s3 <s5 in:sg-r"),
    ("PATH-09 back to m", "eni-r", R, X, "deliver eni-m", f"ct:eni-r rtb-s4={ANY} >s5 <s3 ct:eni-m"),
    ("PATH-09 back from m", "eni-m", R, X, "uplink igw-1", f"ct:eni-m rtb-s3={ANY} >s3 igw"),
    ("PATH-10 there", "eni-a", A, S3, "uplink vpce-1", "out:sg-a rtb-s1=pl-s3 >s1 endpoint"),
    ("PATH-10 back", "vpce-1", S3, A, "deliver eni-a", "endpoint <s1 ct:eni-a"),
    ("PATH-11 there", "eni-a", A, E, "deliver eni-e", f"out:sg-a rtb-s1={NEAR} >s1 <s2 in:sg-e"),
    ("PATH-11 back", "eni-e", E, A, "deliver eni-a", f"ct:eni-e rtb-main={NEAR} >s2 <s1 ct:eni-a"),
    ("PATH-12 there", "vgw-1", SITE, A, "deliver eni-a", f"vgw-1={NEAR} edge:vpc-1={NEAR} <s1 in:sg-a"),
    ("PATH-12 back", "eni-a", A, SITE, "uplink vgw-1", f"ct:eni-a rtb-s1={SITES} >s1 vgw-1={ANY}"),
    ("PATH-13", "eni-a", A, RESOLVER, "pass", ""),
    ("PATH-04, open", "igw-1", "198.51.100.8", QP, "deliver eni-p", f"igw edge:rtb-edge={NEAR} <s0 in:sg-p"),
]
WORDS = {"sg-egress": "out:{id}", "sg-ingress": "in:{id}", "conntrack": "ct:{id}", "route": "{id}={rule}", "tgw-route": "tgw:{id}={rule}",
         "gateway-route": "edge:{id}={rule}", "nacl-egress": ">{id}", "nacl-ingress": "<{id}"}


@scene
def replayed():
    state = gates.make_state()
    for subnet in state["Subnets"]:
        state.nacl(subnet["SubnetId"], subnet["VpcId"], [subnet["SubnetId"]], acl_open())  # named like it
    with tempfile.TemporaryDirectory(prefix="paths-") as folder:
        state.save(folder)
        yield folder, {eni["NetworkInterfaceId"]: eni["MacAddress"] for eni in state["NetworkInterfaces"]}


def stages_by(hook, folder, macs):
    lines = [{"port": port, "packet": frames.ethernet(macs.get(port, "02:ff:ff:ff:fe:01"), frames.ROUTER_MAC, frames.ETH_IP,
                                                      frames.udp(source, target, 5000, 5000)).hex()}
             for _, port, source, target, _, _ in WAYS]
    path = os.path.join(folder, "lines")
    with open(path, "w", encoding="ascii") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([ENID, "replay", "--state", os.path.join(folder, "state.json"), "--hook", hook, path], capture_output=True,
                          text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    equal(len(answers), len(WAYS), "answers")
    for (name, _, _, _, fate, stages), said in zip(WAYS, answers):
        found = " ".join(WORDS.get(one["stage"], one["stage"]).format(**one) for one in said["decided_by"])
        told = said["action"] + " " + (said.get("to") or (said["reason"] if said["action"] == "drop" else ""))
        equal((told.strip(), found), (fate, stages), name)


@test
def stages_in_their_order(world):
    stages_by("tc", *world)


@test
def stages_in_their_order_by_xdp(world):
    stages_by("xdp", *world)


if __name__ == "__main__":
    run()
