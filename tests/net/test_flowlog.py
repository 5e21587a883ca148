#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Flow logs say exactly what was sent: packets and bytes of each flow, ACCEPT and REJECT, at both ENIs.

The traffic is made in a few seconds, then the end of the minute is awaited: at most 65 s in all.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames, traffic
from vpcnet.agent import ENID, SLOW, Agent
from vpcnet.fabric import INTERNET4, Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import ACCOUNT, ANYWHERE, acl, acl_open, allow, two_subnets

A, B, A6, B6 = "10.0.1.10", "10.0.2.10", "2001:db8:1:1::10", "2001:db8:1:2::10"
PUBLIC = "203.0.113.10"
FIELDS = ("version account eni source target sport dport protocol packets bytes start end action status").split()


def make_state():
    state = two_subnets()
    state.internet_gateway("igw-1", "vpc-1")
    state.table("rtb-main", "vpc-1", [("0.0.0.0/0", "igw-1")])
    # A's subnet lets no answer of B to port 17777 come in (FL-09).
    state.nacl("acl-1", "vpc-1", ["s1"], [acl(50, "deny", "17", f"{B}/32", 17777), *acl_open()])
    state.group("sg-a", "vpc-1", [allow("tcp", 80, "0.0.0.0/0")],
                [allow("tcp", (0, 65535), *ANYWHERE), allow("udp", (5000, 9000), *ANYWHERE),
                 allow("icmp", (8, -1), "0.0.0.0/0")])
    state.group("sg-b", "vpc-1", [allow("udp", (5000, 6000), "10.0.0.0/16", "2001:db8:1::/56"),
                                  allow("udp", 7777, "sg-a"), allow("tcp", 80, "sg-a"), allow("icmp", (8, -1), "sg-a")])
    state.eni("eni-a", "s1", A, ["sg-a"], A6, PUBLIC)
    state.eni("eni-b", "s2", B, ["sg-b"], B6)
    state.eni("eni-idle", "s2", "10.0.2.30", ["sg-b"])
    state.host("host-a", [("eni-a", "veth-a"), ("eni-b", "veth-b"), ("eni-idle", "veth-idle")], [("igw-1", "up0")])
    return state


class World:
    """The traffic is made once. expected: (eni, source, target, sport, dport, protocol, action) -> [packets, bytes]."""

    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent = fabric, agent
        self.a, self.b = fabric.guest("eni-a"), fabric.guest("eni-b")
        self.expected = {}
        listeners.tcp(self.a, 80)
        listeners.tcp(self.b, 80)
        listeners.udp(self.b, 7777)
        listeners.sink(self.b, *range(5001, 5006))
        listeners.sink(fabric.internet, 5004)
        self.settle()
        self.began = time.time()
        self.make_traffic()
        self.ended = time.time()
        window_end = (int(time.time()) // 60 + 1) * 60
        time.sleep(window_end - time.time())
        wait_for(lambda: self.found("eni-idle", status="NODATA") and self.found("eni-a", action="REJECT"),
                 20 * SLOW, "records of the window in flow.log", 0.2)
        time.sleep(1)

    @staticmethod
    def settle():
        """Enough of the minute must be left for the traffic to be in one window."""
        left = 60 - time.time() % 60
        if left < 12:
            time.sleep(left + 0.2)

    def expect(self, enis, source, target, sport, dport, protocol, packets, size, actions=("ACCEPT", "ACCEPT")):
        for eni, action in zip(enis, actions):
            entry = self.expected.setdefault((eni, source, target, sport, dport, protocol, action), [0, 0])
            entry[0] += packets
            entry[1] += packets * size

    def send(self, source, target, sport, dport, count, body):
        """Raw datagrams from A's own address, one flow."""
        mac = self.fabric.state.find("NetworkInterfaces", "eni-a")["MacAddress"]
        frame = frames.udp(source, target, sport, dport, body)
        frames.send(self.a, "eth0", frames.ethernet(mac, frames.ROUTER_MAC, frames.ethertype_of(frame), frame), count,
                    0.0005)

    def make_traffic(self):
        both = ("eni-a", "eni-b")
        self.send(A, B, 4001, 5001, 1234, b"x" * 100)
        self.expect(both, A, B, 4001, 5001, 17, 1234, 128)
        self.send(A6, B6, 4002, 5002, 321, b"x" * 100)
        self.expect(both, A6, B6, 4002, 5002, 17, 321, 148)
        self.send(A, B, 4003, 5003, 77, b"")  # padded to 60 bytes by nobody: 28 bytes of IP
        self.expect(both, A, B, 4003, 5003, 17, 77, 28)
        self.send(A, B, 4004, 6001, 456, b"x" * 10)  # B's group refuses
        self.expect(both, A, B, 4004, 6001, 17, 456, 38, ("ACCEPT", "REJECT"))
        self.send(A, B, 4005, 4999, 99, b"x" * 10)  # A's own group refuses
        self.expect(both[:1], A, B, 4005, 4999, 17, 99, 38, ("REJECT",))
        self.send(A, INTERNET4, 4006, 5004, 55, b"x" * 10)  # the internet: one ENI, its private address
        self.expect(both[:1], A, INTERNET4, 4006, 5004, 17, 55, 38)
        # Segmentation offload: 40 sends of 30 datagrams count as 1,200 packets.
        sport = traffic.send_segments(self.a, B, 5005, 1400, 30, 40)
        self.expect(both, A, B, sport, 5005, 17, 1200, 1428)
        # NACL: the request passes, the answer is denied on its way into A's subnet.
        traffic.udp(self.a, B, 7777, False, b"y" * 20, sport=17777)
        self.expect(both, A, B, 17777, 7777, 17, 3, 48)
        self.expect(("eni-b", "eni-a"), B, A, 7777, 17777, 17, 3, 48, ("ACCEPT", "REJECT"))
        check(traffic.ping(self.a, B, count=4), "no echo replies")
        self.expect(both, A, B, 0, 0, 1, 4, 84)
        self.expect(both, B, A, 0, 0, 1, 4, 84)
        self.make_stream()
        time.sleep(0.3)

    def make_stream(self):
        """A TCP stream whose headers are all 52 bytes, but for the SYNs' 60: without SACK no acknowledgement has more
        options. A busy machine retransmits; what was really sent A's stack knows."""
        for guest in (self.a, self.b):
            guest.sysctl(net__ipv4__tcp_sack=0)
        self.tcp_payload = 300000
        with traffic.Session(self.a, B, 80) as session:
            self.tcp_sport = session.socket.getsockname()[1]
            syns = 1 + session.sent()["retransmitted"]
            check(session.echo(b"z" * self.tcp_payload), "TCP session")
            sent = session.finish()
        self.tcp_segments, self.tcp_bytes = sent["segments"], sent["bytes"] + 8 * syns

    def found(self, eni, **wanted):
        """Log lines of an ENI as dictionaries."""
        lines = [dict(zip(FIELDS, fields)) for fields in self.agent.flow_log() if len(fields) == len(FIELDS)]
        return [line for line in lines if line["eni"] == eni and all(line[k] == v for k, v in wanted.items())]

    def sums(self):
        total = {}
        for eni in ("eni-a", "eni-b"):
            for line in self.found(eni, status="OK"):
                key = (eni, line["source"], line["target"], int(line["sport"]), int(line["dport"]),
                       int(line["protocol"]), line["action"])
                entry = total.setdefault(key, [0, 0])
                entry[0] += int(line["packets"])
                entry[1] += int(line["bytes"])
        return total


@scene
def one_minute():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        World.settle()
        agent.start()
        yield World(fabric, agent, listeners)


@test
def counts_are_exact(world):
    """FL-07, DESIGN "as on the wire": packets and bytes of each flow at each ENI."""
    sums, wrong = world.sums(), []
    for key, wanted in world.expected.items():
        if sums.get(key) != wanted:
            wrong.append(f"{' '.join(map(str, key))}: {sums.get(key)}, sent {wanted}")
    check(not wrong, "; ".join(wrong))


@test
def nothing_else_is_logged(world):
    """No line for a flow that was not made: no ARP, ND or RS (FL-15), no answer that was not given."""
    others = [key for key in world.sums() if key not in world.expected and key[5] != 6]
    check(not others, f"{others[:5]}")


@test
def segments_of_a_tcp_stream_are_counted(world):
    """Bytes = those that A's stack sent + 52 for each packet: holds only if GSO packets count as their segments."""
    check(world.tcp_bytes >= world.tcp_payload + 8, f"A's stack says it sent {world.tcp_bytes} bytes")
    keys = [("eni-a", A, B, world.tcp_sport, 80, 6, "ACCEPT"), ("eni-b", A, B, world.tcp_sport, 80, 6, "ACCEPT")]
    sums = world.sums()
    for key in keys:
        check(key in sums, f"no line for {key}")
        packets, size = sums[key]
        equal(size - 52 * packets, world.tcp_bytes, f"{key}: bytes without headers, of {packets} packets")
        check(packets >= world.tcp_segments, f"{key}: {packets} packets, {world.tcp_segments} sent")
        check(packets >= world.tcp_payload // 1448, f"{key}: {packets} packets for {world.tcp_payload} bytes")
    equal(sums[keys[0]], sums[keys[1]], "the two ENIs' counts of one stream")


@test
def lines_are_well_formed(world):
    """FL-05, FL-11: 14 fields, the account, private addresses only, window bounds at most 61 s apart and about now."""
    lines = world.agent.flow_log()
    check(lines, "flow.log is empty")
    for fields in lines:
        equal(len(fields), 14, f"fields of {' '.join(fields)!r}")
        line = dict(zip(FIELDS, fields))
        equal((line["version"], line["account"]), ("2", ACCOUNT), f"version and account of {' '.join(fields)!r}")
        check(PUBLIC not in fields, f"a public address: {' '.join(fields)!r}")
        start, end = int(line["start"]), int(line["end"])
        check(0 <= end - start <= 61, f"window of {end - start} s: {' '.join(fields)!r}")
        check(world.began - 61 <= start <= world.ended + 1 and end <= time.time() + 1, f"times: {' '.join(fields)!r}")


@test
def idle_eni_has_one_nodata_line(world):
    """FL-12."""
    lines = world.found("eni-idle", status="NODATA")
    check(lines, "no NODATA line")
    equal(len({line["start"] for line in lines}), len(lines), "NODATA lines of different windows")
    for line in lines:
        equal([line[k] for k in ("source", "target", "sport", "dport", "protocol", "packets", "bytes", "action")],
              ["-"] * 8, "fields of a NODATA line")
    equal(world.found("eni-idle", status="OK"), [], "other lines of the idle ENI")


@test
def logs_command_prints_the_file(world):
    done = world.fabric.host.run(ENID, "logs", "--log-dir", world.agent.log_dir)
    equal([line.split() for line in done.stdout.splitlines()], world.agent.flow_log(), "`enid logs`")


if __name__ == "__main__":
    run()
