#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the agent sets up at a port's device beside its hooks, and that detaching takes it back: receive merging (GRO)."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import frames
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import check, equal, run, scene, test, wait_for
from vpcnet.vpc import State, allow

PORTS = [("eni-a", "veth-a"), ("eni-b", "veth-b"), ("eni-had", "veth-had"), ("eni-g", "veth-g", {"Mode": "guard"}),
         ("eni-x", "veth-x", {"Hook": "xdp"}), ("eni-t", "tap-t")]
BYTES = 4 << 20


def make_state():
    state = State()
    state.vpc("vpc-1", "10.0.0.0/16")
    state.subnet("s-1", "vpc-1", "10.0.1.0/24")
    state.table("rtb-1", "vpc-1")
    state.group("sg-1", "vpc-1", [allow("tcp", (5000, 6000), "10.0.0.0/16")])
    for number, port in enumerate(PORTS):
        state.eni(port[0], "s-1", f"10.0.1.{10 + number}", ["sg-1"])
    state.host("host-a", PORTS)
    return state


class World:
    def __init__(self, fabric, agent):
        self.fabric, self.agent = fabric, agent

    def gro(self, device):
        shown = self.fabric.host.run("ethtool", "-k", device).stdout
        return "generic-receive-offload: on" in shown

    def start_again(self):
        self.agent.kill()
        self.agent.start()

    def detach(self, *what):
        done = self.agent.command("detach", *what, "--run-dir", self.agent.run_dir)
        equal(done.returncode, 0, f"exit code of `enid detach {' '.join(what)}` ({done.stderr.strip()})")


@scene
def ports():
    with Fabric(make_state(), prefix="ports") as fabric, Agent(fabric) as agent:
        fabric.host.run("ethtool", "-K", "veth-had", "gro", "on")
        agent.start()
        yield World(fabric, agent)


@test
def gro_is_switched_on_where_a_veth_is_a_port(world):
    for device in ("veth-a", "veth-b"):
        check(world.gro(device), f"GRO is off at {device}")
    for device in ("veth-g", "veth-x"):
        check(not world.gro(device), f"GRO is on at {device}, which is not to be touched")
    notes = os.path.join(world.agent.pin_dir, "gro")
    equal(len(os.listdir(notes)), 2, f"notes in {notes}")
    check("GRO is switched on at veth-a" in world.agent.log_tail(200), "the log does not say so")


@test
def plain_segments_are_merged_and_whole(world):
    """A guest that leaves no segmentation to its device: what arrives is larger than the MTU, all of it, in order."""
    a, b = world.fabric.guest("eni-a"), world.fabric.guest("eni-b")
    sizes, data = [], os.urandom(BYTES)
    a.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    listener = b.socket()
    listener.bind(("", 5001))
    listener.listen(1)
    with listener, frames.Watch(b, matching=lambda frame: sizes.append(len(frame))), a.socket() as sender:
        sender.connect(("10.0.1.11", 5001))
        taker, _ = listener.accept()
        got = bytearray()
        with taker:
            taker.settimeout(5 * SLOW)
            sent = 0
            while len(got) < BYTES:
                sent += sender.send(data[sent:sent + 65536]) if sent < BYTES else 0
                got += taker.recv(1 << 20)
    check(bytes(got) == data, "other bytes arrived than were sent")
    check(max(sizes) > 1514, f"nothing was merged: the largest of {len(sizes)} frames has {max(sizes)} bytes")


@test
def what_the_operator_does_afterwards_stands(world):
    world.fabric.host.run("ethtool", "-K", "veth-b", "gro", "off")
    time.sleep(1.2 * SLOW)  # the agent looks after its devices several times
    check(not world.gro("veth-b"), "the agent switched it on again")
    world.start_again()
    check(not world.gro("veth-b"), "the next agent switched it on again")
    check(world.gro("veth-a"), "GRO is off at veth-a after a restart")


@test
def e7_a_new_device_is_set_up_anew(world):
    world.fabric.unplug("eni-b", "veth-b")
    world.fabric.plug("eni-b", "veth-b")
    wait_for(lambda: world.gro("veth-b"), 5 * SLOW, "GRO at the device that came back")
    equal(len(os.listdir(os.path.join(world.agent.pin_dir, "gro"))), 2, "notes")


@test
def notes_of_devices_that_went_meanwhile_go(world):
    world.agent.kill()
    world.fabric.unplug("eni-b", "veth-b")
    world.agent.start()
    equal(len(os.listdir(os.path.join(world.agent.pin_dir, "gro"))), 1, "notes")
    world.fabric.plug("eni-b", "veth-b")
    wait_for(lambda: world.gro("veth-b"), 5 * SLOW, "GRO at the device that came back")


@test
def a_device_taken_out_keeps_it_until_detached(world):
    """Its hooks stay, too."""
    taken = world.fabric.state["Hosts"][0]["Ports"].pop(1)
    world.agent.apply()
    check(world.gro("veth-b"), "GRO is off at a device that is held")
    world.detach("veth-b")
    check(not world.gro("veth-b"), "GRO is on at veth-b after `enid detach veth-b`")
    check(world.gro("veth-a"), "GRO is off at veth-a after `enid detach veth-b`")
    world.fabric.state["Hosts"][0]["Ports"].insert(1, taken)
    world.agent.apply()
    wait_for(lambda: world.gro("veth-b"), 5 * SLOW, "GRO at a device that is a port again")


@test
def detach_all_leaves_devices_as_they_were(world):
    """E11. Last test: the agent is gone after."""
    world.agent.kill()
    check(world.gro("veth-a") and world.gro("veth-b"), "GRO went with the agent")
    world.detach("--all")
    for device in ("veth-a", "veth-b", "veth-g", "veth-x"):
        check(not world.gro(device), f"GRO is on at {device}")
    check(world.gro("veth-had"), "GRO is off at a device that had it on before")


if __name__ == "__main__":
    run()
