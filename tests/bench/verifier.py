#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each program costs the verifier: instructions that it walks, instructions as loaded, and the CPU time to load it.

    verifier.py [--write] LOADER OBJECT

Compared with tests/bench/verifier.txt, which holds what Linux of the version in its first line found: more than a fifth above is a
failure (the limit of a million is far, but load time and 6.1's verifier are not). Time depends on the machine and on what else it does, so
of time (the lesser of two loads) the share of all programs' is compared: one whose share of it has doubled, and grown by 0.15 of all, has
become slow to load.
On other kernels it is told, not judged. Needs root.
"""
import os
import subprocess
import sys

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verifier.txt")
MARGIN, SHARE_TIMES, SHARE_MORE = 1.2, 2, 0.15
NONE = (0, 0, 0)


def kernel():
    return ".".join(os.uname().release.split(".")[:2])


def entries(lines):
    """{program: (walked, loaded, ms)}"""
    return {line[0]: tuple(map(int, line[1:])) for line in map(str.split, lines) if line and line[0] != "#"}


def load(loader, target):
    done = subprocess.run([loader, target], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"verifier: {target} does not load: {done.stderr[-400:]}")
    return entries(done.stdout.splitlines())


def measure(loader, target):
    once, again = load(loader, target), load(loader, target)
    return {name: (walked, loaded, min(took, again[name][2])) for name, (walked, loaded, took) in once.items()}


def read():
    with open(FILE, encoding="ascii") as file:
        lines = file.read().splitlines()
    return lines[0].split()[2], entries(lines)


def write(found):
    with open(FILE, "w", encoding="ascii") as out:
        out.write(f"# Linux {kernel()}\n# program walked loaded ms\n")
        out.writelines(f"{name} {walked} {loaded} {took}\n" for name, (walked, loaded, took) in sorted(found.items()))


def share(programs, name):
    return programs.get(name, NONE)[2] / max(sum(took for _, _, took in programs.values()), 1)


def grown(found, known, name):
    """What of a program is more than it was, in words; [] = nothing."""
    now, before = found.get(name, NONE), known.get(name, NONE)
    faults = ["not in both"] if not now[0] or not before[0] else []
    faults += [what for what, a, b in zip(("walked", "loaded"), now, before) if a > b * MARGIN]
    if share(found, name) > max(share(known, name) * SHARE_TIMES, share(known, name) + SHARE_MORE):
        faults.append("time")
    return faults


def main():
    found = measure(*sys.argv[-2:])
    if "--write" in sys.argv:
        write(found)
    version, known = read()
    failed, names = 0, sorted(set(found) | set(known))
    for name in names:
        faults = grown(found, known, name) if version == kernel() else []
        failed += bool(faults)
        (walked, loaded, took), before = found.get(name, NONE), known.get(name, NONE)
        print(f"{'FAIL' if faults else 'ok'} {name}: {walked} instructions walked, {loaded} loaded, {took} ms, {100 * share(found, name):.0f} % of all; "
              f"{before[0]}, {before[1]}, {before[2]} and {100 * share(known, name):.0f} in {os.path.basename(FILE)}{': ' if faults else ''}{', '.join(faults)}")
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
