#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sweeps of hazards whose cases are too many for a golden folder: every value of a field, every size, a full table."""
import json
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cli import check, main, replay  # noqa: E402
from author import A, A2, A6, B, B6, MAC, QB, UP, X, frame, handshake, perm, state, tcp, udp  # noqa: E402
import frames as F  # noqa: E402

ANY = ("0.0.0.0/0", "::/0")
HOSTS = (A + "/32", A6 + "/128")
FAMILIES = ((A, B), (A6, B6))
HOOKS = ("tc", "xdp")


class Sweep:
    """Packets with expectations, through one replay a hook; tells the first that differ."""

    def __init__(self, wanted_state, *options):
        self.state, self.options, self.lines, self.wants = wanted_state, options, [], []

    def put(self, port, raw, want, at=None):
        """want: "deliver", "pass", or the reasons of a drop, "/" between them"""
        if raw[0] >> 4 in (4, 6) and len(raw) > 20:
            raw = frame(port, raw)
        self.lines.append({"port": port, "packet": raw.hex(), **({} if at is None else {"at": at})})
        self.wants.append(want)
        return self

    def edit(self, path, at):
        self.lines.append({"state": path, "at": at})
        self.wants.append("applied")

    def run(self, sentence, hooks=HOOKS):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(self.state, f)
            f.flush()
            for hook in hooks:
                done = replay(f.name, self.lines, "--host", "host-a", "--hook", hook, *self.options, timeout=300)
                answers = done.lines()
                wrong = [(line, want, got) for line, want, got in zip(self.lines, self.wants, answers)
                         if (got["reason"] if got["action"] == "drop" else got["action"]) not in want.split("/")]
                ok = len(answers) == len(self.lines) and not wrong
                check("%s (%s, %d packets)" % (sentence, hook, len(self.lines)), ok,
                      "%d wrong; %d answers; first: %s" % (len(wrong), len(answers), wrong[:1] or done.err[:300]))
        return answers


def a6_every_option():
    """All kinds of IPv4 options at every header length: only the two source routes are refused, and ports lie behind."""
    s = Sweep(state({"b": ([perm("udp", 53, *ANY)], [])}))
    for kind in range(256):
        for words in (1, 2, 10):
            body = b"" if kind in (0, 1) else bytes([4 * words]) + b"\x04" * (4 * words - 2)
            options = (bytes([kind]) + body).ljust(4 * words, b"\x01" if kind == 1 else b"\0")
            route = "ip-options" if kind in (0x83, 0x89) else None
            s.put("a", udp(A, B, 4000, 53, options=options), route or "deliver")
            s.put("a", udp(A, B, 4000, 54, options=options), route or "sg-ingress")
        if kind > 1:
            for size in (0, 1, 5, 255):
                s.put("a", udp(A, B, 4000, 53, options=bytes([kind, size, 0, 0])), "malformed")
    s.run("A6: every option at three lengths, and with lengths that lie")


def a10_every_ethertype():
    s = Sweep(state())
    body = frame("a", udp(A, B, 4000, 99))
    known = {0x0800: "deliver", 0x0806: "malformed", 0x86DD: "malformed", 0x8100: "vlan", 0x88A8: "vlan", 0x9100: "vlan"}
    for kind in range(65536):
        s.put("a", body[:12] + struct.pack("!H", kind) + body[14:], known.get(kind, "ethertype"))
    s.run("A10: of all ethertypes only IPv4 is taken for IPv4")


def a11_every_protocol():
    """Each rule covers exactly its own protocol, whatever the bytes behind the IP header look like."""
    rules = {"tcp": 6, "udp": 17, "47": 47, "0": 0, "132": 132, "-1": None}
    for name, number in rules.items():
        s = Sweep(state({"b": ([perm(name, 53 if number in (6, 17) else None, *ANY)], [])}))
        for src, dst in FAMILIES:
            icmp = 58 if src == A6 else 1
            for proto in range(256):
                if src == A6 and proto in (0, 43, 44, 60):
                    continue                         # headers of IPv6 itself: A7, A8
                l4 = F.tcp(4000, 53, "S") if proto == 6 else F.udp(4000, 53) if proto != icmp else F.echo(128 if src == A6 else 8, 7)
                want = "deliver" if number in (None, proto) else "sg-ingress"
                s.put("a", F.packet(src, dst, proto, l4), want)
        s.run("A11: every protocol against a rule for %s" % name, HOOKS if name == "udp" else ("tc",))


def flags_packet(src, dst, sport, dport, bits, seq=1001, ack=5001):
    l4 = F.tcp(sport, dport, "", seq, ack)
    return F.packet(src, dst, F.TCP, l4[:13] + bytes([bits]) + l4[14:])


def lead(src, dst, port, name):
    there = lambda flags, seq=1001, ack=5001: ("a", tcp(src, dst, port, 80, flags, seq, ack))
    back = lambda flags, seq=5001, ack=1001: ("b", tcp(dst, src, 80, port, flags, seq, ack))
    shake = [there("S", 1000, 0), back("SA", 5000), there("A")]
    return {"none": [], "syn": shake[:1], "syn-ack": shake[:2], "established": shake, "one fin": shake + [there("FA")],
            "closed": shake + [there("FA"), back("FA")]}[name]


def life(name, bits, idle):
    """Seconds that an entry has left after the server sent these flags."""
    if name in ("none", "closed") or bits & 0x12 == 0x02:
        return idle
    if bits & 0x04 and name in ("established", "one fin"):
        return 10                                    # the opener has acknowledged: this reset is exact
    if bits & 0x11 == 0x11:                          # a FIN that acknowledges nothing is none that the other end would take
        return 10 if name == "one fin" else 120
    return idle


def a12_every_flag_byte():
    """256 flag bytes in each state. From the side that no rule lets open: only what answers a live entry, never a SYN.
    What passed leaves no entry that outlives its state: 60 s before the handshake is over, 10 s after the close."""
    for name, idle in (("none", 0), ("syn", 60), ("syn-ack", 60), ("one fin", 120), ("closed", 10), ("established", 350)):
        s = Sweep(state({"b": ([perm("tcp", 80, *HOSTS)], [])},
                        enis={n: {"ConnectionTrackingConfiguration": {"TcpEstablishedTimeout": 350}} for n in "ab"}))
        for src, dst in FAMILIES:
            start = 0 if src == A else 10000
            for bits in range(256):
                for port, raw in lead(src, dst, 41000 + bits, name):
                    s.put(port, raw, "deliver", start)
            for bits in range(256):
                opens = bits & 0x12 == 0x02
                want = "sg-egress" if name == "none" or opens else "deliver"
                s.put("b", flags_packet(dst, src, 80, 41000 + bits, bits, 5001, 1001), want, start + 1)
                s.put("a", flags_packet(src, dst, 41000 + bits, 81, bits), "sg-ingress", start + 1)
            for bits in range(256):
                late = start + 2 + life(name, bits, idle)
                s.put("b", flags_packet(dst, src, 80, 41000 + bits, 0x10, 5002, 1001), "sg-egress", late)
        s.lines, s.wants = zip(*sorted(zip(s.lines, s.wants), key=lambda row: row[0]["at"]))
        s.run("A12: every flag byte on an entry in state %s" % name, HOOKS if name == "established" else ("tc",))


def a16_every_size():
    """Every frame from nothing to 1,500 bytes, cut off or honest, and every tail."""
    for src, dst in FAMILIES:
        s = Sweep(state({"b": ([perm("udp", 53, *HOSTS), perm("tcp", 80, *HOSTS)], [])}))
        whole = frame("a", udp(src, dst, 4000, 53, b"z" * 1400))
        for n in range(1, len(whole)):
            s.put("a", whole[:n], "malformed")
        for n in range(0, 1400):
            s.put("a", frame("a", udp(src, dst, 4000, 53 + n % 2, b"z" * n)), "sg-ingress" if n % 2 else "deliver")
        short = frame("a", tcp(src, dst, 4000, 80))
        for n in range(1, len(short)):
            s.put("a", short[:n], "malformed")
        for n in range(1, 64):
            s.put("a", short + b"\xff" * n, "deliver")
        for proto, l4 in ((F.TCP, F.tcp(4000, 80, "S")), (F.UDP, F.udp(4000, 53)[:8])):
            for n in range(len(l4)):                 # the padding would make the header whole
                s.put("a", frame("a", F.packet(src, dst, proto, l4[:n])) + l4[n:] + b"\0" * 20, "malformed")
        s.run("A16: every size, IPv%d" % (4 if src == A else 6))


def flood(s, count, at, want, port=UP, start=1024):
    for n in range(count):
        s.put(port, tcp("198.51.%d.%d" % (100 + n // 60000, 7), QB, start + n % 60000, 80) if port == UP else
              tcp(A2, B, start + n % 60000, 80), want, at)


def flows(s, count, at, probe, want="deliver"):
    """Established flows of A and B: opened, or (probe) a segment each way."""
    for n in range(count):
        packets = lead(A, B, 41000 + n, "established") if not probe else \
            [("a", tcp(A, B, 41000 + n, 80, "A", 1002, 5002, b"x")), ("b", tcp(B, A, 80, 41000 + n, "A", 5002, 1003, b"x"))]
        for port, raw in packets:
            s.put(port, raw, want, at)


def c10_syn_flood():
    """An ENI's half-open flows have a budget; what is established lives, and the table is free again after 60 s."""
    s = Sweep(state({"b": ([perm("tcp", 80, "0.0.0.0/1", "128.0.0.0/1")], [])}), "--max-flows", "4096")
    flows(s, 100, 0, False)
    flood(s, 512, 1, "deliver")
    flood(s, 40960, 1, "conntrack-full", start=2000)
    flows(s, 100, 30, True)
    s.put("a", tcp(A, B, 50000, 80), "deliver", 31)  # the budget is its ENI's own: A still opens
    s.put("b", tcp(B, A, 80, 50000, "SA", 5000, 1001), "deliver", 31)
    flood(s, 512, 70, "deliver", start=3000)
    flows(s, 100, 71, True)
    s.run("C10: a SYN flood of ten times the table")


def c9_c10_stray_segments():
    """What nobody asked for is half-open whatever its flags, gone after 60 s; and a reset is not even that."""
    s = Sweep(state({"b": ([perm("tcp", 80, "0.0.0.0/1", "128.0.0.0/1")], [])}), "--max-flows", "4096")
    stray = lambda n, flags, at, want: s.put(UP, tcp(X, QB, 1024 + n, 80, flags, 7, 0), want, at)
    for n in range(5000):
        stray(n, ("R", "RA")[n % 2], 0, "deliver")
    for n in range(512):
        stray(n, ("A", "PA", "FA", "SA", "P")[n % 5], 1, "deliver")
    for n in range(512, 3000):
        stray(n, ("A", "PA", "FA", "SA", "P")[n % 5], 1, "conntrack-full")
    for n in range(512):                             # saying it again does not make it a conversation, nor does a FIN
        stray(n, ("FA", "A")[n % 2], 2, "deliver")
    s.put("b", tcp(B, X, 80, 1024, "R", 0), "uplink", 3)   # nor the reset that answers it
    flood(s, 512, 64, "deliver")
    s.run("C9, C10: segments without a flow, of all kinds")


def c11_nothing_is_evicted():
    """A table filled to the last record still knows both halves of every flow it holds, idle or not."""
    rules = state({"b": ([perm("udp", 53, "0.0.0.0/1", "128.0.0.0/1")], [])})
    s = Sweep(rules, "--max-flows", "2048")
    for n in range(2048):
        s.put("a", udp(A, B, 1024 + n, 53), "deliver", 0)
    for n in range(20480):
        s.put(UP, udp("198.51.100.7", QB, 1024 + n, 53), "conntrack-full", 1)
    for n in range(2048):
        s.put("b", udp(B, A, 53, 1024 + n), "deliver", 29).put("a", udp(A, B, 1024 + n, 53), "deliver", 29)
    s.run("C11: a full table loses no half of a flow")


def c12_one_tenant_fills_its_share():
    """A hundred times its quota of one ENI: every new flow of another succeeds."""
    s = Sweep(state({"b": ([perm("udp", 53, "0.0.0.0/1", "128.0.0.0/1")], [])}), "--max-flows", "4096")
    for n in range(3072):
        s.put("a2", udp(A2, B, 1024 + n, 53), "deliver", 0)
    for n in range(20480):
        s.put("a2", udp(A2, B, 8000 + n, 53), "conntrack-full", 0)
    for n in range(200):
        s.put("a", udp(A, B, 1024 + n, 53), "deliver", 1).put("b", udp(B, A, 53, 1024 + n), "deliver", 1)
    s.run("C12: another ENI's new flows all succeed")


if __name__ == "__main__":
    main(a6_every_option, a10_every_ethertype, a11_every_protocol, a12_every_flag_byte, a16_every_size, c9_c10_stray_segments,
         c10_syn_flood, c11_nothing_is_evicted, c12_one_tenant_fills_its_share)
