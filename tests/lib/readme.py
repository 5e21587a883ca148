# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""README.md for tests: its text, and the sessions that it shows."""
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXT = open(os.path.join(TOP, "README.md"), encoding="utf-8").read()


def part(start, end):
    """The text from one place to another, which are named by their words."""
    return TEXT[TEXT.index(start):TEXT.index(end)]


def session(start, end):
    """-> [(command, the lines that it prints)] of that part"""
    found = []
    for line in part(start, end).splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return found
