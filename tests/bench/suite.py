#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""enid against what a user could pick instead. Every line is a ratio measured in turns in one run; every measurement on wires
checks that packets in = delivered + dropped by name. Needs root.

    suite.py [--full] [--rounds N] [--only WORD,...] [--out FOLDER]

A table on stdout; in FOLDER (build/bench) results.csv, curves.csv and, where gnuplot is installed, results.svg and curves.svg. Routes
are random ones of the Internet's prefix lengths, and with ENID_PREFIXES=FILE (--full) also those of a file, a prefix a line. A gate is what a
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
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import publish
import scale
import throughput
from worlds import BUILD, World

FLOWS = 1024
NEW = 8192  # first packets a round


class Table:
    """Lines as they come, and all of them afterwards."""

    def __init__(self):
        self.rows = []
        print(f"# {'name':<40} {'ours':>9} {'reference':>9} {'ratio':>6} unit   gate   aim")

    def add(self, name, ours, reference, unit="ns", gate=None, aim=None, above=False, ratio=None, failed=False):
        """above: the ratio shall be at least, not at most, the gate. ratio: of the rounds, if not of the two numbers."""
        ratio = ratio or (ours / reference if reference else 0.0)
        broken = failed or gate is not None and (ratio < gate if above else ratio > gate)
        self.rows.append({"name": name, "ours": round(ours, 2), "reference": round(reference, 2), "ratio": round(ratio, 4), "unit": unit,
                          "gate": gate, "aim": aim, "above": above, "broken": broken})
        told = [f"{limit:>6}" if limit is not None else "     -" for limit in (gate, aim)]
        print(f"{name:<42} {ours:9.1f} {reference:9.1f} {ratio:6.2f} {unit:<5} {' '.join(told)}{'  FAILED' if failed else '  NOT MET' if broken else ''}", flush=True)

    def keep(self, folder):
        """A run of some parts: the lines of earlier ones stay, where they were, unless they were measured again."""
        fresh, old = {row["name"]: row for row in self.rows}, []
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, "results.csv"), newline="", encoding="ascii") as results:
            old = [self._read(row) for row in csv.DictReader(results)]
        self.rows = [fresh.pop(row["name"], row) for row in old] + list(fresh.values())

    @staticmethod
    def _read(row):
        for key in ("ours", "reference", "ratio", "gate", "aim"):
            row[key] = float(row[key]) if row[key] else None
        return {**row, "above": row["above"] == "True", "broken": row["broken"] == "True"}

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "machine"), "w", encoding="utf-8") as out:
            out.write(machine() + "\n")
        with open(os.path.join(folder, "results.csv"), "w", newline="", encoding="ascii") as out:
            writer = csv.DictWriter(out, self.rows[0].keys())
            writer.writeheader()
            writer.writerows(self.rows)


def machine():
    """What was measured on, and when."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as text:
        model = re.search(r"model name\s*: (.*)", text.read())
    return (f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} CPUs ({model[1] if model else os.uname().machine}), "
            f"Linux {os.uname().release.split('-')[0]}.")


def choose_core():
    """All runs on one CPU, the one with the least of neighbours (core.h): what opens a flow on one CPU and counts it on another pays for that."""
    if "ENID_BENCH_CPU" in os.environ:
        return
    cpu, probe = subprocess.run([os.path.join(BUILD, "tests/bench/wires"), "-C"], check=True, capture_output=True, text=True).stdout.split()
    os.environ.update(ENID_BENCH_CPU=cpu, ENID_BENCH_PROBE=probe)


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
        for name, how, rules in (("forward", "forward", 2), ("bare", "bare", 2), ("routed", "routed", 2), ("conntrack", "conntrack", 2), ("linear", "linear", 100),
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
    # What the policy costs beside forwarding by address. The kernel's is nftables with the same rules, in its best form, or conntrack
    # that asks none; ours is beside the least program that forwards, or, as in the last line, beside one that looks at no packet.
    nft = min(ns[form] for form in ("linear", "sets", "concat")) - ns["forward"]
    conntrack = ns["conntrack"] - ns["forward"]
    ours = max(ns["enid"] - ns["routed"], 10)  # runs differ by so much: less cannot be told from nothing
    table.add("stateful-check: nftables'/ours", nft, ours, gate=3, aim=5, above=True)
    table.add("stateful-check: conntrack's/ours", conntrack, ours, gate=3, aim=5, above=True)
    table.add("stateful-check: conntrack's/all of ours", conntrack, ns["enid"] - ns["bare"], above=True)


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


# name of a line of the C benchmark: gate and aim
AIMS = {"established": (1.6, 1.3), "established-10000-rules": (1.05, 1.02), "first-10000-rules": (3, 1.5), "denied-10000-rules": (1.2, 1.05),
        "established-internet-gateway": (1.25, None), "established-nat-gateway": (1.25, None), "first-nat-gateway": (2, None),
        "established-1m-over-1k-flows": (5, 2.5)}
# Of a curve's lines: what each of its points may be of the smallest one, so that no decade grows by more.
GROWTH = {("established", "rules"): (1.05, 1.02), ("first", "rules"): (3, 1.5), ("denied", "rules"): (1.2, 1.05),
          ("established", "enis"): (1.2, 1.05), ("first", "routes"): (3, 1.5),
          ("lookup", "flows"): (5, 2.5), ("create", "flows"): (5, 2.5), ("expire", "flows"): (5, 2.5)}
# Gates on numbers themselves, and on packets a second instead of their time.
BYTES = {"memory-per-flow": (320, 192), "memory-per-flow-with-gateways": (320, 192)}
RATES = {"first-on-two-cpus": (2, 1.8, 1.95), "established-on-two-cpus": (2, 1.8, 1.95), "flow-logs-on-over-off": (1, 0.95, 0.98)}
QUICK = ("hot", "routed", "flows", "rules", "ways", "first-rules", "denied-rules", "first-ways", "first-cpus", "established-cpus",
         "logs", "growth", "memory", "floods", "enis", "routes", "many-rules")


def aims_of(name, curves):
    """(gate, aim) of a line of the C benchmark. curves: those that began; the first point is what the others are compared with."""
    found = re.fullmatch(r"(\w+)-of-\d+-(\w+)", name)
    if found and found.groups() not in curves:
        curves.add(found.groups())
        return AIMS.get(name, (None, None))
    return AIMS.get(name) or (GROWTH.get(found.groups()) if found else None) or (None, None)


def test_run_line(table, curves, name, ours, reference, unit):
    if name in BYTES:
        table.add(name, ours, 1, unit, *BYTES[name])
    elif name in RATES:
        cpus, gate, aim = RATES[name]
        table.add(name, cpus * 1000 / ours, 1000 / reference, "Mpps", gate, aim, above=True)
    else:
        table.add(name, ours, reference, unit, *aims_of(name, curves))


def test_runs(table, metrics, full=False):
    """The C benchmark: one program against another, no wires. A metric that could not be measured is an error."""
    command = [os.path.join(BUILD, "tests/bench/bench"), *(["-a"] if full else []), *metrics]
    curves = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            found = re.match(r"(\S+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+) (\S+)", line)
            if found:
                name, ours, reference, _, unit = found.groups()
                test_run_line(table, curves, name, float(ours), float(reference), unit)
            elif "could not be measured" in line:
                table.add(line.split()[0], 0, 0, "-", failed=True)
    if process.returncode:  # what it did not come to is no line, and so no gate
        table.add(f"bench-exit-{process.returncode}", 0, 0, "-", failed=True)


def draw(rows, folder):
    """One bar a line that has a gate: how much of the gate is used."""
    bars = [(row["name"], row["ratio"] / row["gate"] if not row["above"] else row["gate"] / max(row["ratio"], 0.01)) for row in rows if row["gate"]]
    if not bars or not shutil.which("gnuplot"):
        return
    script = ["set terminal svg size 900,%d font 'sans,13'" % (120 + 26 * len(bars)), f"set output '{folder}/results.svg'",
              "set style fill solid 0.7", "set xrange [0:*]", f"set yrange [{len(bars)}:-1]", "set xlabel 'share of the gate that is used (1 = at the gate)'",
              "set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb '#aa0000'", "unset key", "set lmargin 38", "set grid x",
              "plot '-' using ($2/2):0:($2/2):(0.35):ytic(1) with boxxyerror lc rgb '#336699'"]
    script += [f'"{name}" {share:.3f}' for name, share in bars] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=False)


def curves_of(rows):
    """{(what grows, what is measured, unit): [(size, value)]}"""
    curves = {}
    for row in rows:
        found = re.fullmatch(r"(.*)-of-(\d+)-(rules|flows|enis|routes)", row["name"])
        if found:
            curves.setdefault((found[3], found[1], row["unit"]), []).append((int(found[2]), row["ours"]))
    return {name: sorted(points) for name, points in sorted(curves.items()) if len(points) > 1}


def draw_curves(rows, folder):
    """A panel for each of what may grow: how many times the smallest's cost everything then costs."""
    curves = curves_of(rows)
    with open(os.path.join(folder, "curves.csv"), "w", newline="", encoding="ascii") as out:
        writer = csv.writer(out)
        writer.writerow(("by", "what", "unit", "size", "value"))
        writer.writerows((by, what, unit, size, value) for (by, what, unit), points in curves.items() for size, value in points)
    if not curves or not shutil.which("gnuplot"):
        return
    script = ["set terminal svg size 1200,900 font 'sans,11'", f"set output '{folder}/curves.svg'", "set multiplot layout 2,2",
              "set logscale xy", "set key left top", "set grid", "set ylabel 'times the smallest'", "set format x '%.0s%c'"]
    for by in ("rules", "flows", "enis", "routes"):
        lines = {name: points for name, points in curves.items() if name[0] == by and points[0][1] > 0}
        if not lines:
            continue
        titles = [f"{what} ({points[0][1]:.4g} {unit})" for (_, what, unit), points in lines.items()]
        script += [f"set xlabel 'number of {by}'", "plot [][0.5:] " + ", ".join(f"'-' with linespoints title '{title}'" for title in titles)]
        for points in lines.values():
            script += [f"{x} {max(y, 1e-9) / points[0][1]}" for x, y in points] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\nunset multiplot\n", text=True, check=False)


def main():
    parser = argparse.ArgumentParser(description="enid against what could be used instead")
    parser.add_argument("--full", action="store_true", help="all curves and sizes (about half an hour)")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default="", help="parts whose names contain one of these, with commas between; other parts' last results stay")
    parser.add_argument("--out", default=os.path.join(BUILD, "bench"))
    arguments = parser.parse_args()
    if os.geteuid():
        sys.exit("suite: needs root: it loads BPF programs and makes network namespaces")
    rounds = arguments.rounds or (15 if arguments.full else 5)
    choose_core()
    table = Table()
    parts = {"test-runs": lambda: test_runs(table, QUICK), "established": lambda: established(table, rounds),
             "first": lambda: first_packets(table, rounds), "denied": lambda: denied(table, rounds),
             "publish": lambda: publish.measure(table, arguments.full), "throughput": lambda: throughput.measure(table, 20 if arguments.full else 10),
             "taps": lambda: throughput.measure(table, 10, taps=True)}
    if arguments.full:
        for metric in ("many-rules", "many-flows", "enis", "routes"):
            parts[f"curve-{metric}"] = lambda metric=metric: test_runs(table, (metric,), True)
        parts |= {name: lambda part=part: part(table) for name, part in scale.PARTS.items()}
    for name, part in parts.items():
        if name in arguments.only.split(",") or name not in scale.BY_NAME_ONLY and any(word in name for word in arguments.only.split(",")):
            part()
    if arguments.only:
        table.keep(arguments.out)
    table.save(arguments.out)
    draw(table.rows, arguments.out)
    draw_curves(table.rows, arguments.out)
    broken = [row["name"] for row in table.rows if row["broken"]]
    print(f"# {len(table.rows)} lines, {len(broken)} gates not met{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
