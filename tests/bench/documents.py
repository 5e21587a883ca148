#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The numbers that README.md and ARCHITECTURE.md show, written by the suite instead of by hand.

    documents.py [--results FOLDER]           do the documents show what was measured? exit 0 yes, 1 no
    documents.py --write [--results FOLDER]   put the results of the last `make bench` in, and the picture beside this file

Each document has a block between two comments; the rest is left alone.
"""
import argparse
import csv
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.join(HERE, "..", "..")
PICTURE = "tests/bench/results.svg"
BEGIN, END = "<!-- numbers: `make bench-numbers` writes them -->", "<!-- end of numbers -->"

# What README says: name of the line, what it is.
SAID = (("established", "established packet, over the smallest program that looks a flow up, counts and redirects"),
        ("wire-established/forwarding", "established packet on wires, over kernel forwarding without a filter"),
        ("wire-established/conntrack", "... over nftables' `ct state` alone"),
        ("wire-established/linear-100", "... over nftables with a list of 100 rules"),
        ("stateful-check: nftables'/ours", "the stateful check alone (ours is 10 ns here where it is less, which a run cannot tell): nftables' cost with 100 rules over ours"),
        ("stateful-check: conntrack's/ours", "... conntrack's over ours"),
        ("wire-first/conntrack", "first packet of a flow, over nf_conntrack alone"),
        ("wire-first/linear-1000", "... over nftables with a list of 1,000 rules"),
        ("wire-denied-10k/best-nft", "denied packet, 10,000 rules, over nftables' best form"),
        ("wire-denied-10k/linear", "... over its list"),
        ("wire-denied-10k/wire-denied-10", "... over our own with 10 rules"),
        ("established-of-100000-rules", "established packet, 100,000 rules over 10"),
        ("first-of-100000-rules", "first packet, 100,000 rules over 10"),
        ("established-of-1000000-rules", "established packet, a million rules over 10"),
        ("first-of-1000000-rules", "first packet, a million rules over 10"),
        ("established-1m-over-1k-flows", "established packet, a million active flows over 1,000"),
        ("established-of-10000-enis", "established packet, 10,000 ENIs over 1"),
        ("memory-per-flow", "bytes a tracked flow"),
        ("memory-per-flow-with-gateways", "... where a NAT, egress-only or Load Balancer gateway may have any of them"),
        ("one-rule-10000-enis-vpcs", "ms from a changed rule's file to the kernel, 10,000 ENIs and 100,000 rules"),
        ("cold-start-10000-enis-vpcs", "s of a cold start with that state"),
        ("flow-logs-on-over-off", "packets a second, flow logs on over off"),
        ("established-on-two-cpus", "established packets a second, two CPUs over one"),
        ("first-on-two-cpus", "first packets a second, two CPUs over one"),
        ("tcp-bulk/forwarding", "TCP bulk over kernel forwarding"),
        ("tcp-bulk-plain-segments/forwarding", "... of guests without segmentation offload"),
        ("tcp-connections/forwarding", "TCP connections a second over kernel forwarding"),
        ("tcp-connections: bare/forwarding", "... of a redirect that judges nothing: the most there is"))


def number(value):
    value = float(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"


def limits(row):
    return [row[key] if row[key] else "" for key in ("gate", "aim")]


def readme(rows, machine):
    found = {row["name"]: row for row in rows}
    lines = [f"![how much of its gate each ratio uses]({PICTURE})", "", "Each ratio is of one run, best rounds; parts of the suite may have run at different times.",
             f"{machine} Gates and aims are at most, but for",
             "those marked `≥`.", "", "| what | ratio | gate | aim |", "|---|---|---|---|"]
    for name, text in SAID:
        row = found.get(name)
        if not row:
            continue
        gate, aim = limits(row)
        sign = "≥ " if row["above"] == "True" and gate else ""
        missed = " **not met**" if row["broken"] == "True" else ""
        lines.append(f"| {text} | {number(row['ratio'])}{missed} | {sign}{gate} | {sign if aim else ''}{aim} |")
    return lines


def architecture(rows, machine):
    lines = [machine, "", f"    # {'name':<40} {'ours':>11} {'reference':>11} {'ratio':>8} unit   gate"]
    for row in rows:
        if row["gate"]:
            more = "at least" if row["above"] == "True" else ""
            more = " ".join(word for word in (row["gate"].ljust(6), more, "not met" if row["broken"] == "True" else "") if word)
            lines.append(f"    {row['name']:<42} {float(row['ours']):11.1f} {float(row['reference']):11.1f} {float(row['ratio']):8.2f} "
                         f"{row['unit']:<6} {more}".rstrip())
    return lines


def put(path, lines, write):
    """ret: did the document show these lines already?"""
    with open(path, encoding="utf-8") as document:
        text = document.read()
    block = "\n".join([BEGIN, *lines, END])
    new, times = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, text, flags=re.DOTALL)
    if times != 1:
        sys.exit(f"documents: {path}: {times} blocks of numbers instead of one")
    if write and new != text:
        with open(path, "w", encoding="utf-8") as document:
            document.write(new)
    return new == text


def main():
    parser = argparse.ArgumentParser(description="the numbers of the documents")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--results", default=os.path.join(os.environ.get("ENID_BUILD", "build"), "bench"))
    arguments = parser.parse_args()
    try:
        with open(os.path.join(arguments.results, "results.csv"), encoding="ascii", newline="") as results:
            rows = list(csv.DictReader(results))
        with open(os.path.join(arguments.results, "machine"), encoding="utf-8") as text:
            machine = text.read().strip()
    except FileNotFoundError as missing:
        sys.exit(f"documents: {missing.filename} is missing: run `make bench` first")
    same = put(os.path.join(REPO, "README.md"), readme(rows, machine), arguments.write)
    same = put(os.path.join(REPO, "ARCHITECTURE.md"), architecture(rows, machine), arguments.write) and same
    if arguments.write:
        shutil.copy(os.path.join(arguments.results, "results.svg"), os.path.join(REPO, PICTURE))
    return 0 if same or arguments.write else 1


if __name__ == "__main__":
    sys.exit(main())
