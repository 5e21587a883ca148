# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where a process is, for who has waited for it in vain: hung, or only not given a CPU?"""
import glob
import os

TICK = os.sysconf("SC_CLK_TCK")


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return error.strerror


def _thread(folder):
    after_name = _read(folder + "/stat").rpartition(")")[2].split()
    ran = sum(map(int, after_name[11:13])) / TICK if len(after_name) > 13 else -1.0
    waited = _read(folder + "/schedstat").split()
    ready = int(waited[1]) / 1e9 if len(waited) == 3 and waited[1].isdigit() else -1.0
    stack = " < ".join(line.split()[-1].partition("+")[0] for line in _read(folder + "/stack").splitlines()[:6] if line)
    return (f"    : {os.path.basename(folder)} {_read(folder + '/comm')} {after_name[:1]} ran {ran:.1f} s, waited for a "
            f"CPU {ready:.1f} s, in {_read(folder + '/wchan')}, call {_read(folder + '/syscall').split()[:4]}, {stack}")


def _children(pid):
    return [int(word) for path in glob.glob(f"/proc/{pid}/task/*/children") for word in _read(path).split()
            if word.isdigit()]


def whereabouts(pid):
    """Each thread of the process and of its children: its state, its CPU time, and what it waits in."""
    lines = [f"    : load {_read('/proc/loadavg')}"]
    for one in [pid, *_children(pid)]:
        lines += [_thread(folder) for folder in sorted(glob.glob(f"/proc/{one}/task/*"))]
    return "\n".join(lines)
