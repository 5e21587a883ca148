# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a state costs the agent: from nothing to enforced, and one edit, from the rename of the file to the kernel's next generation.
The states, the edits and the clock are those of edits.py; here are the lines of the suite."""
import os
import shutil
import statistics
import tempfile

import edits
from worlds import ENID

ROUNDS = 9


def one(table, layout, enis, rules, gates):
    """gates: of cold start (s) and of an edit (ms), each (gate, aim)."""
    folder = tempfile.mkdtemp(prefix="enid-publish-", dir="/dev/shm")
    try:
        state = edits.State(os.path.join(folder, "state"), layout, enis, rules)
        agent = edits.Agent(ENID, folder, f"/sys/fs/bpf/enid-publish-{os.getpid()}")
        try:
            table.add(f"cold-start-{enis}-enis-{layout}", agent.start_s, 1, "s", *gates[0])
            table.add(f"agent-memory-{enis}-enis-{layout}", agent.memory_mb()["VmRSS"], 1, "MB")
            for kind, times in edits.edit_times(agent, state, ROUNDS, 0.2).items():
                table.add(f"one-{kind}-{enis}-enis-{layout}", statistics.median(kernel for kernel, _, _ in times), 1, "ms",
                          *(gates[1] if kind in ("rule", "member", "route", "nacl") else (None, None)))
        finally:
            agent.stop()
    finally:
        shutil.rmtree(folder)


def measure(table, full):
    """The reference is one: what is told are seconds, megabytes and milliseconds."""
    if not full:
        one(table, "vpcs", 1000, 100000, ((None, None), (20, 2)))
        return
    one(table, "vpcs", 10000, 100000, ((10, 2), (20, 2)))
    one(table, "one", 10000, 100000, ((10, 2), (20, 2)))
