#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The README's session on a live host ("Look at it") prints what the README says. Each command is run where the reference
architecture is in force and has carried what the README tells of; numbers may be others, words may not."""
import contextlib
import os
import re
import shutil
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import readme                                                          # noqa: E402
from vpcnet import traffic                                             # noqa: E402
from vpcnet.agent import ENID, REPO, SLOW, Agent                       # noqa: E402
from vpcnet.fabric import Fabric                                       # noqa: E402
from vpcnet.harness import check, equal, run, scene, test, wait_for    # noqa: E402
from vpcnet.vpc import State                                           # noqa: E402

REFERENCE = os.path.join(REPO, "deploy", "examples", "reference")
FOLDERS = "status show plan explain logs metrics top capture"    # commands that ask where the agent's folders are
DB, WEB_A_PUBLIC = "10.20.11.10", "203.0.113.10"


def masked(lines):
    """Ports, counts and hashes differ from run to run, and columns with them."""
    return [" ".join(re.sub(r"\d+", "N", re.sub(r"\b[0-9a-f]{16}\b", "HASH", line)).split()) for line in lines]


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent = fabric, agent

    def run(self, command):
        """By a shell, as a user would, whose `enid` knows this agent's folders."""
        agent = self.agent
        enid = (f'enid() {{ case "$1" in {FOLDERS.replace(" ", "|")}) set -- "$@" --run-dir {agent.run_dir} --pin-dir {agent.pin_dir};; esac; '
                f'[ "$1" = logs ] && set -- "$@" --log-dir {agent.log_dir}; {ENID} "$@"; }}; sudo() {{ "$@"; }}; cd {agent.folder}\n')
        with self.knocking() if "capture" in command else contextlib.nullcontext():
            return self.fabric.host.run("sh", "-c", enid + command, check=False, timeout=60 * SLOW)

    @contextlib.contextmanager
    def knocking(self):
        """web-a tries port 22 of the database, again and again."""
        ended = threading.Event()

        def knock():
            while not ended.is_set():
                traffic.tcp(self.fabric.guest("eni-web-a"), DB, 22, False)
        thread = threading.Thread(target=knock)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@scene
def in_force():
    with Fabric(State.load(REFERENCE), prefix="readme") as fabric, Agent(fabric, folders=False) as agent, traffic.Listeners() as listeners:
        proposed = os.path.join(agent.folder, "proposed")
        shutil.copytree(REFERENCE, agent.state_dir, dirs_exist_ok=True)
        state = State.load(REFERENCE)
        entries = state.find("NetworkAcls", "acl-private")["Entries"]
        entries[:] = [entry for entry in entries if not entry["Egress"] or entry["RuleNumber"] != 110]
        os.mkdir(proposed)
        state.save(proposed)
        web, db = fabric.guest("eni-web-a"), fabric.guest("eni-db")
        listeners.tcp(db, 3306, 22)
        listeners.tcp(web, 80)
        agent.start()
        with traffic.Session(web, DB, 3306) as opened:
            opened.echo(b"a query")
            equal([traffic.tcp(web, DB, 22), traffic.tcp(fabric.internet, WEB_A_PUBLIC, 80)], ["silent", "open"], "what the README tells of")
            wait_for(lambda: agent.drops().get("sg-ingress"), 5 * SLOW, "the refused packets counted")
            yield World(fabric, agent)


@test
def every_command_prints_what_the_readme_says(world):
    found = readme.session("## Look at it", "## How fast")
    check(len(found) >= 8, f"{len(found)} commands in the chapter")
    for command, expected in found:
        done = world.run(command)
        if "--show" in sys.argv:
            print(f"    $ {command}\n" + "".join(f"    {line}\n" for line in done.stdout.splitlines()) + done.stderr)
            continue
        equal(masked(done.stdout.splitlines()), masked(expected), f"`{command}` ({done.stderr.strip()})")


if __name__ == "__main__":
    run()
