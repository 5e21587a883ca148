#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each program costs the verifier: instructions that it walks, instructions as loaded, and milliseconds to load them all.

    verifier.py [--write] LOADER OBJECT

Compared with tests/bench/verifier.txt, which holds what Linux of the version in its first line found: more than a fifth above is a
failure (the limit of a million is far, but load time and 6.1's verifier are not). On other kernels it is told, not judged. Needs root.
"""
import os
import subprocess
import sys

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verifier.txt")
MARGIN = 1.2


def kernel():
    return ".".join(os.uname().release.split(".")[:2])


def measure(loader, target):
    """{program: (walked, loaded)}, ms for all."""
    done = subprocess.run([loader, target], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"verifier: {target} does not load: {done.stderr[-400:]}")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: (int(line[1]), int(line[2])) for line in lines[:-1]}, int(lines[-1][1])


def read():
    with open(FILE, encoding="ascii") as file:
        lines = [line.split() for line in file]
    return lines[0][2], {line[0]: (int(line[1]), int(line[2])) for line in lines if line[0] != "#"}


def main():
    found, took = measure(*sys.argv[-2:])
    if "--write" in sys.argv:
        with open(FILE, "w", encoding="ascii") as out:
            out.write(f"# Linux {kernel()}\n# program walked loaded\n")
            out.writelines(f"{name} {walked} {loaded}\n" for name, (walked, loaded) in sorted(found.items()))
    version, known = read()
    failed = 0
    for name in sorted(set(found) | set(known)):
        now, before = found.get(name, (0, 0)), known.get(name, (0, 0))
        over = version == kernel() and (not now[0] or not before[0] or any(a > b * MARGIN for a, b in zip(now, before)))
        failed += over
        print(f"{'FAIL' if over else 'ok'} {name}: {now[0]} instructions walked, {now[1]} loaded; {before[0]} and {before[1]} in {os.path.basename(FILE)}")
    print(f"# all loaded in {took:.0f} ms")
    print(f"{len(set(found) | set(known)) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
