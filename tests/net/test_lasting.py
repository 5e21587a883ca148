#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An agent and what others do to its host: pins that get lost (E8), files that change all the time (E22), users who may load
programs (E33)."""
import contextlib
import ctypes
import json
import os
import shutil
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import allow, client_and_server

EDITS, PER_SECOND = 2000, 1000
SYS_BPF, OBJ_GET = 321, 7
SYSCTL = "/proc/sys/kernel/unprivileged_bpf_disabled"
# how many programs stand at a hook: BPF_PROG_QUERY of TCX, which no bpftool of Debian 12 knows
QUERY = """
import ctypes, json, socket, struct
def count(device, hook):
    attr = ctypes.create_string_buffer(struct.pack("<IIIIQII", socket.if_nametoindex(device), hook, 0, 0, 0, 0, 0), 120)
    code = ctypes.CDLL(None, use_errno=True).syscall(321, 16, attr, 120)
    return -ctypes.get_errno() if code else struct.unpack_from("<I", attr, 24)[0]
print(json.dumps([count(d, h) for d in ("veth-client", "veth-server") for h in (46, 47)]))
"""


class World:
    def __init__(self, fabric, agent, listeners):
        self.fabric, self.agent = fabric, agent
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")
        listeners.tcp(self.server, 80, 81)

    def programs(self):
        return json.loads(self.fabric.host.run(sys.executable, "-c", QUERY, check=True).stdout)

    @contextlib.contextmanager
    def held(self):
        """What is pinned at the hooks, kept alive as another tool's descriptors would."""
        folder, libc, fds = os.path.join(self.agent.pin_dir, "links"), ctypes.CDLL(None, use_errno=True), []
        for name in os.listdir(folder):
            path = ctypes.create_string_buffer(os.path.join(folder, name).encode())
            attr = ctypes.create_string_buffer(struct.pack("<QII", ctypes.addressof(path), 0, 0), 120)
            fds.append(libc.syscall(SYS_BPF, OBJ_GET, attr, 120))
        try:
            check(len(fds) == 4 and min(fds) >= 0, f"descriptors of links: {fds}")
            yield
        finally:
            for fd in fds:
                if fd >= 0:
                    os.close(fd)

    def works(self):
        wait_for(lambda: traffic.tcp(self.client, "10.0.2.10", 80) == "open", 10 * SLOW, "the allowed port")
        equal(traffic.tcp(self.client, "10.0.2.10", 81, False), "silent", "the denied port")

    def resident(self):
        """MiB"""
        with open(f"/proc/{self.agent.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


@scene
def one_vpc():
    with Fabric(client_and_server([allow("tcp", 80, "sg-client")]), prefix="last") as fabric, Agent(fabric) as agent, \
            traffic.Listeners() as listeners:
        agent.start()
        yield World(fabric, agent, listeners)


@test
def e8_lost_pins_leave_one_program_at_each_hook(world):
    """Somebody removes all pins, as an unmount of the BPF file system does: the next agent begins anew, beside nobody, also
    where a descriptor of another tool keeps the hooks of the last one alive."""
    world.works()
    before = world.programs()
    if min(before) < 0:
        print(f"SKIP no TCX here: {before}")
        return
    equal(before, [1] * 4, "programs at the hooks")
    for die, held in ((world.agent.kill, contextlib.nullcontext), (world.agent.stop, world.held), (world.agent.kill, world.held)):
        with held():
            shutil.rmtree(world.agent.pin_dir)
            equal(world.programs(), [1] * 4, "programs while the agent holds them")
            die()
            left = [int(held == world.held)] * 4
            wait_for(lambda: world.programs() == left, 5 * SLOW, f"programs without an agent and pins: {left}")  # pylint: disable=cell-var-from-loop
            world.agent.start()
            equal(world.programs(), [1] * 4, "programs at the hooks after the next start")
            world.works()
            equal(world.agent.status()["attention"], [], "what needs attention")


def put_text(path, text):
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.rename(path + ".new", path)


@test
def e22_a_storm_of_edits(world):
    """A thousand edits a second: sessions go on, no memory piles up, and when the storm is over the last edit is in force."""
    world.works()
    permissions = world.fabric.state.find("SecurityGroups", "sg-server")["IpPermissions"]
    permissions.append(allow("tcp", 9000, "sg-client"))
    world.agent.apply()
    path, text = os.path.join(world.agent.state_dir, "state.json"), json.dumps(world.fabric.state)
    equal(text.count('"FromPort": 9000, "ToPort": 9000'), 1, "places of the port in the file")
    resident, generation, began = world.resident(), world.agent.status()["generation"], time.monotonic()
    with traffic.Session(world.client, "10.0.2.10", 80) as session:
        for number in range(EDITS):
            port = 81 if number == EDITS - 1 else 9000 + number
            put_text(path, text.replace('"FromPort": 9000, "ToPort": 9000', f'"FromPort": {port}, "ToPort": {port}'))
            if number % 200 == 0:
                check(session.echo(b"in the storm"), f"the session is cut at edit {number}")
            time.sleep(max(0, began + number / PER_SECOND - time.monotonic()))
        took, amid = time.monotonic() - began, world.agent.status()["generation"] - generation
        wait_for(lambda: traffic.tcp(world.client, "10.0.2.10", 81) == "open", 5 * SLOW, "the last edit is in force")
        check(session.echo(b"after the storm"), "the session is cut")
    check(amid > 1, "no state was taken while the storm went on")
    print(f"# {EDITS} edits in {took:.1f} s, {amid} states taken, resident {resident:.0f} -> {world.resident():.0f} MiB", flush=True)
    check(world.resident() < resident + 16, f"resident {resident} -> {world.resident()} MiB")
    equal(world.agent.status()["attention"], [], "what needs attention")
    permissions.pop()
    world.agent.apply()
    world.works()


@test
def e33_programs_of_anybody_are_warned_of(world):
    """The verifier's holes are the kernel's to mend; who may use them is the host's to say, and the agent looks."""
    def warned(value):
        with open(SYSCTL, "w", encoding="ascii") as out:
            out.write(value)
        world.agent.stop()
        with open(world.agent.stderr_path, "w", encoding="ascii"):
            pass
        world.agent.start()
        with open(world.agent.stderr_path, encoding="utf-8") as log:
            return "unprivileged_bpf_disabled is 0" in log.read()
    with open(SYSCTL, encoding="ascii") as file:
        before = file.read().strip()
    if before == "1":
        print("SKIP unprivileged_bpf_disabled is 1, for good")
        return
    try:
        equal((warned("0"), warned("2")), (True, False), "warned with 0, with 2")
    finally:
        with open(SYSCTL, "w", encoding="ascii") as out:
            out.write(before)


if __name__ == "__main__":
    run()
