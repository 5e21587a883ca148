#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid against what a user could pick instead. Every line is a ratio measured in turns in one run; every measurement on wires
checks that packets in = delivered + dropped by name. Needs root.

    suite.py [--full] [--rounds N] [--only WORD] [--out FOLDER]

A table on stdout; in FOLDER (build/bench) results.csv and, where gnuplot is installed, results.svg and curves.svg. A gate is what a
ratio may not exceed, an aim what it should reach. On a machine that does other things as well only the best rounds mean something,
and of these only ratios. Exit: 0 all gates held, 1 not.
"""
import argparse
import contextlib
import csv
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import publish
import throughput
from worlds import BUILD, World

FLOWS = 1024
NEW = 8192  # first packets a round


class Table:
    """Lines as they come, and all of them afterwards."""

    def __init__(self):
        self.rows = []
        print(f"# {'name':<40} {'ours':>9} {'reference':>9} {'ratio':>6} unit   gate   aim")

    def add(self, name, ours, reference, unit="ns", gate=None, aim=None, above=False):
        """above: the ratio shall be at least, not at most, the gate."""
        ratio = ours / reference if reference else 0.0
        broken = gate is not None and (ratio < gate if above else ratio > gate)
        self.rows.append({"name": name, "ours": round(ours, 2), "reference": round(reference, 2), "ratio": round(ratio, 4), "unit": unit,
                          "gate": gate, "aim": aim, "above": above, "broken": broken})
        told = [f"{limit:>6}" if limit is not None else "     -" for limit in (gate, aim)]
        print(f"{name:<42} {ours:9.1f} {reference:9.1f} {ratio:6.2f} {unit:<5} {' '.join(told)}{'  NOT MET' if broken else ''}", flush=True)

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "results.csv"), "w", newline="", encoding="ascii") as out:
            writer = csv.DictWriter(out, self.rows[0].keys())
            writer.writeheader()
            writer.writerows(self.rows)


class Wires:
    """Worlds that are measured in turns."""

    def __init__(self, stack, rounds):
        self.stack, self.rounds = stack, rounds
        self.worlds = {}

    def add(self, name, *arguments, **options):
        self.worlds[name] = self.stack.enter_context(contextlib.closing(World(*arguments, **options)))

    def measure(self, options, admitted=True, packets=None, fresh=False):
        """{name: best ns}. fresh: each packet of each round is of a flow of its own."""
        best = {}
        for _ in range(self.rounds):
            for name, world in self.worlds.items():
                nr = (packets or {}).get(name, NEW if fresh else 20000)
                first = ["-p", world.sent] if fresh else []
                before = world.agent.drops() if world.agent else None
                low, _, sent, arrived = world.run("-r", 3, "-n", nr, *first, *options)
                world.sent += 3 * nr
                self._check(world, sent, arrived, admitted, before)
                best[name] = min(best.get(name, low), low)
        return best

    @staticmethod
    def _check(world, sent, arrived, admitted, before):
        """Packets in = delivered + dropped, each drop by its name."""
        if arrived != (sent if admitted else 0):
            raise SystemExit(f"suite: {world.name}: {arrived} of {sent} packets arrived, {'all' if admitted else 'none'} should")
        if world.agent:
            dropped = sum(world.agent.dropped(before).values())
            if arrived + dropped != sent:
                raise SystemExit(f"suite: {world.name}: {sent} in, {arrived} delivered, {dropped} dropped by name")


def established(table, rounds):
    with contextlib.ExitStack() as stack:
        wires = Wires(stack, rounds)
        for name, how, rules in (("forward", "forward", 2), ("bare", "bare", 2), ("conntrack", "conntrack", 2), ("linear", "linear", 100),
                                 ("sets", "sets", 100), ("concat", "concat", 100), ("iptables", "iptables", 100), ("enid", "enid", 100)):
            if how != "iptables" or shutil.which("iptables-restore"):
                wires.add(name, how, rules)
        for world in wires.worlds.values():
            world.establish(FLOWS)
        ns = wires.measure(["-f", FLOWS])
    table.add("wire-established/forwarding", ns["enid"], ns["forward"], gate=0.85, aim=0.7)
    table.add("wire-established/conntrack", ns["enid"], ns["conntrack"], gate=0.6, aim=0.45)
    for form in ("linear", "sets", "concat", "iptables"):
        if form in ns:
            table.add(f"wire-established/{form}-100", ns["enid"], ns[form], gate=0.6, aim=0.45)
    table.add("stateful-check: conntrack's/ours", ns["conntrack"] - ns["forward"], ns["enid"] - ns["bare"], gate=3, aim=5, above=True)


def first_packets(table, rounds):
    with contextlib.ExitStack() as stack:
        wires = Wires(stack, min(rounds, 3))
        wires.add("conntrack", "conntrack", 2)
        wires.add("linear", "linear", 1000)
        wires.add("enid", "enid", 1000)
        ns = wires.measure([], fresh=True)
    table.add("wire-first/conntrack", ns["enid"], ns["conntrack"], gate=0.8, aim=0.5)
    table.add("wire-first/linear-1000", ns["enid"], ns["linear"], gate=0.12, aim=0.06)


def denied(table, rounds):
    with contextlib.ExitStack() as stack:
        wires = Wires(stack, min(rounds, 3))
        wires.add("enid-10", "enid", 10, admitted=False)
        for how in ("enid", "linear", "sets", "concat"):
            wires.add(how, how, 10000, admitted=False)
        ns = wires.measure([], admitted=False, fresh=True, packets={"linear": 1000})
    table.add("wire-denied-10k/best-nft", ns["enid"], min(ns["sets"], ns["concat"]), gate=0.6, aim=0.4)
    table.add("wire-denied-10k/linear", ns["enid"], ns["linear"], gate=0.01, aim=0.004)
    table.add("wire-denied-10k/wire-denied-10", ns["enid"], ns["enid-10"], gate=1.2, aim=1.05)


AIMS = {"established": (1.6, 1.3), "established-10000-rules": (1.05, 1.02), "first-10000-rules": (3, 1.5),
        "established-internet-gateway": (1.25, None), "established-nat-gateway": (1.25, None), "first-nat-gateway": (2, None)}


def test_runs(table, full):
    """The C benchmark: one program against another, no wires."""
    done = subprocess.run([os.path.join(BUILD, "tests/bench/bench"), *(["-a"] if full else [])], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        found = re.match(r"(\S+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+) (\S+)", line)
        if found:
            name, ours, reference, _, unit = found.groups()
            table.add(name, float(ours), float(reference), unit, *AIMS.get(name, (None, None)))
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)


def draw(rows, folder):
    """One bar a line that has a gate: how much of the gate is used."""
    if not shutil.which("gnuplot"):
        return
    bars = [(row["name"], row["ratio"] / row["gate"] if not row["above"] else row["gate"] / max(row["ratio"], 0.01)) for row in rows if row["gate"]]
    script = ["set terminal svg size 900,%d font 'sans,13'" % (120 + 26 * len(bars)), f"set output '{folder}/results.svg'",
              "set style fill solid 0.7", "set xrange [0:*]", f"set yrange [{len(bars)}:-1]", "set xlabel 'share of the gate that is used (1 = at the gate)'",
              "set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb '#aa0000'", "unset key", "set lmargin 38", "set grid x",
              "plot '-' using ($2/2):0:($2/2):(0.35):ytic(1) with boxxyerror lc rgb '#336699'"]
    script += [f'"{name}" {share:.3f}' for name, share in bars] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=False)


def draw_curves(rows, folder):
    """Cost by number of flows, and by number of rules."""
    curves = {}
    for row in rows:
        found = re.match(r"(.*)-(\d+)(k?)-(rules|flows|enis|routes)$", row["name"])
        if found:
            size = int(found[2]) * (1000 if found[3] else 1)
            curves.setdefault(f"{found[1]} by {found[4]}", []).append((size, row["ours"]))
    curves = {name: sorted(points) for name, points in curves.items() if len(points) > 1}
    if not curves or not shutil.which("gnuplot"):
        return
    script = ["set terminal svg size 900,500 font 'sans,13'", f"set output '{folder}/curves.svg'", "set logscale xy", "set key outside",
              "set ylabel 'ns'", "plot " + ", ".join(f"'-' with linespoints title '{name}'" for name in curves)]
    for points in curves.values():
        script += [f"{x} {y}" for x, y in points] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=False)


def main():
    parser = argparse.ArgumentParser(description="enid against what could be used instead")
    parser.add_argument("--full", action="store_true", help="all curves and sizes (about half an hour)")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--out", default=os.path.join(BUILD, "bench"))
    arguments = parser.parse_args()
    if os.geteuid():
        sys.exit("suite: needs root: it loads BPF programs and makes network namespaces")
    rounds = arguments.rounds or (15 if arguments.full else 5)
    table = Table()
    parts = {"test-runs": lambda: test_runs(table, arguments.full), "established": lambda: established(table, rounds),
             "first": lambda: first_packets(table, rounds), "denied": lambda: denied(table, rounds),
             "publish": lambda: publish.measure(table, arguments.full), "throughput": lambda: throughput.measure(table, 10 if arguments.full else 3)}
    for name, part in parts.items():
        if arguments.only in name:
            part()
    table.save(arguments.out)
    draw(table.rows, arguments.out)
    draw_curves(table.rows, arguments.out)
    broken = [row["name"] for row in table.rows if row["broken"]]
    print(f"# {len(table.rows)} lines, {len(broken)} gates not met{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
