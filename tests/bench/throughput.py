# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""TCP through two ports, veths or taps, bulk and connections, over the kernel's plain forwarding, in turns.

Connections are made on all CPUs at once, client and server of a connection on one CPU (connect.c): that is what they cost. With
server and client on two CPUs, which mostly wait for each other, it is wake-ups that are measured (`woken`), the same for all. A bare redirect, which judges nothing, shows what there is to be had at most. Ratios are the medians of the rounds' own."""
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time

from worlds import ADDRESSES, BUILD, MACS, ROUTER, World

BULK = 5201
PORTS = iter(range(7000, 60000, 64))
SECONDS = 0.25


def connections(world, *options):
    """Connections a second: open, a byte there, a byte back, reset."""
    done = subprocess.run([os.path.join(BUILD, "tests/bench/connect"), "-t", str(int(1000 * SECONDS)), *options,
                           *[world.fabric.guest(f"eni-{n}").path for n in (1, 2)], ADDRESSES[1], str(next(PORTS))],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"suite: {world.name}: {done.stderr.strip()}")
    return float(done.stdout.split()[0])


def bulk(world):
    """Gb/s of one stream, as iperf3 tells."""
    done = world.fabric.guest("eni-1").run("iperf3", "-c", ADDRESSES[1], "-p", str(BULK), "-t", "1", "-J", timeout=60)
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9


def plain_segments(world):
    """The guests leave no segmentation to their devices."""
    for number in (1, 2):
        world.fabric.guest(f"eni-{number}").run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    try:
        return bulk(world)
    finally:
        for number in (1, 2):
            world.fabric.guest(f"eni-{number}").run("ethtool", "-K", "eth0", "tso", "on", "gso", "on")


def make_bare(world):
    """A bare redirect both ways, without the sinks that packets end in elsewhere."""
    for a, b in ((0, 1), (1, 0)):
        world.fabric.host.run(os.path.join(BUILD, "tests/bench/wires"), "-r", "1", "-n", "1", "-b", f"port{b + 1}", f"port{a + 1}",
                              MACS[a], ROUTER, ADDRESSES[a], ADDRESSES[b])


LINES = (("tcp-connections", "per s", connections, 1.1), ("tcp-connections-woken", "per s", lambda world: connections(world, "-x", "-c", "1"), None),
         ("tcp-bulk", "Gb/s", bulk, 1.0), ("tcp-bulk-plain-segments", "Gb/s", plain_segments, 1.0))


def add(table, name, unit, ours, reference, **limits):
    """The ratio is the median of the rounds' ratios; what stands before it are medians."""
    ratio = statistics.median(a / b for a, b in zip(ours, reference))
    table.add(name, statistics.median(ours), statistics.median(reference), unit, ratio=ratio, **limits)


def measure(table, rounds, taps=False):
    """taps: the ports are taps, whose far ends are a process's (cable.c), as a virtual machine's are; else veths."""
    with contextlib.ExitStack() as stack:
        worlds = {how: stack.enter_context(contextlib.closing(World(how, 10, protocols=("udp", "tcp"), flows=1 << 20, taps=taps)))
                  for how in (("enid", "forward") if taps else ("enid", "forward", "bare"))}
        if not taps:
            make_bare(worlds["bare"])
        lines = [line for line in LINES if not (taps and line[2] is plain_segments)]
        if not shutil.which("iperf3"):
            print("skip: no iperf3, so TCP in bulk is not measured", flush=True)
            for name, unit, _, aim in [line for line in lines if "bulk" in line[0]]:
                table.add(f"{'tap-' if taps else ''}{name}/forwarding", 0, 0, unit, gate=0.9 if aim else None, aim=aim, above=True, failed=True)
            lines = [line for line in lines if "bulk" not in line[0]]
        for world in worlds.values():
            if shutil.which("iperf3"):
                server = world.fabric.guest("eni-2").popen("iperf3", "-s", "-p", str(BULK), stdout=-3)
                stack.callback(server.wait)
                stack.callback(server.kill)
        time.sleep(0.5)
        for name, unit, work, aim in lines:
            found = {how: [] for how in worlds}
            for number in range(rounds):
                order = list(worlds.items())
                first = number % len(order)
                for how, world in order[first:] + order[:first]:  # nobody is always first
                    if how != "bare" or work is connections:
                        found[how].append(work(world))
            name = f"tap-{name}" if taps else name
            add(table, f"{name}/forwarding", unit, found["enid"], found["forward"], gate=0.9 if aim else None, aim=aim, above=True)
            if found.get("bare"):
                add(table, f"{name}: bare/forwarding", unit, found["bare"], found["forward"])
