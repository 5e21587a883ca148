#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""E30: somebody else writes into the maps of a running agent: it is found, put right within seconds and reported; what the wrong
maps admitted is denied from then on, and what they denied goes on. Maps that nobody has to write to are frozen."""
import contextlib
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vpcnet import maps, traffic
from vpcnet.agent import SLOW, Agent
from vpcnet.fabric import Fabric
from vpcnet.harness import Failure, check, equal, run, scene, test, wait_for
from vpcnet.vpc import allow, client_and_server

WITHIN = 4 * SLOW  # seconds; the watch looks at all of so small a state every second
# struct port_policy in struct port: where the slots are, and sg_in in each (include/enid/port.h)
SLOTS, SLOT, SG_IN, EPOCH, IFINDEX = 64, 64, 12, 0, 0


def make_state():
    return client_and_server([allow("tcp", 80, "10.0.0.0/16")], [allow("tcp", 7000, "10.0.0.0/16")])


class World:
    ENIS = ("eni-client", "eni-server")

    def __init__(self, fabric, agent):
        self.agent = agent
        self.client, self.server = fabric.guest("eni-client"), fabric.guest("eni-server")

    def drift(self):
        return self.agent.status()["drift"]

    def devices(self):
        """Ports of interface indexes: 5, and those of both guests. All 65,536 take longer to read than a repair."""
        with maps.pinned(self.agent.pin_dir, "ports") as ports, maps.pinned(self.agent.pin_dir, "devices") as devices:
            keys = [ports.lookup(struct.pack("=I", self.number(eni)))[IFINDEX:IFINDEX + 4] for eni in self.ENIS]
            return {key: devices.lookup(key) for key in (struct.pack("=I", 5), *keys)}

    def elements(self, name):
        found = self.devices() if name == "devices" else maps.elements(self.agent.pin_dir, name)
        if name == "ports":  # epochs are raised by a repair
            found = {key: b"".join(value[SLOTS + i * SLOT + 4:SLOTS + (i + 1) * SLOT] for i in (0, 1))
                     for key, value in found.items()}
        return found

    def number(self, eni):
        with maps.pinned(self.agent.pin_dir, "port_names") as names:
            return next(n for n in range(1, 100) if names.lookup(struct.pack("=I", n)).rstrip(b"\0") == eni.encode())

    def repaired(self, name, tamper, element=None):
        """Change a map, and wait until it is what it was. Returns the seconds that took."""
        before, had = self.elements(name), self.drift()["repaired"]
        with maps.pinned(self.agent.pin_dir, name) as pinned:
            tamper(pinned)
        check(self.elements(name) != before or self.drift()["repaired"] > had, f"{name}: nothing was changed")
        began = time.monotonic()
        wait_for(lambda: self.elements(name) == before, WITHIN, f"{name} is put right")
        took = time.monotonic() - began
        wait_for(lambda: self.drift()["repaired"] > had, WITHIN, f"{name}: the repair is counted")
        status = self.agent.status()
        check(f"map {name}" in status["drift"]["last"], status["drift"])
        check(any("somebody changed map " + name in line for line in status["attention"]), status["attention"])
        check("somebody changed map " + name in self.agent.log_tail(3), self.agent.log_tail(3))
        return took

    def denied(self, port, times=5):
        """Not once in so many tries."""
        for _ in range(times):
            equal(traffic.tcp(self.client, "10.0.2.10", port, expect_open=False), "silent", f"port {port} of the server")

    def admitted(self):
        equal(traffic.tcp(self.client, "10.0.2.10", 80), "open", "port 80 of the server")


@scene
def one_vpc():
    with Fabric(make_state()) as fabric, Agent(fabric) as agent, traffic.Listeners() as listeners:
        agent.start()
        world = World(fabric, agent)
        listeners.tcp(world.server, 80, 7000)
        wait_for(lambda: world.drift()["watched"], 10 * SLOW, "the first round")
        yield world


@test
def a_quiet_host_has_no_drift(world):
    """Traffic, devices and statuses are none; and looking costs next to nothing (CPU time of the agent, 3 s)."""
    def cpu():
        with open(f"/proc/{world.agent.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    world.admitted()
    world.denied(7000, 1)
    before = cpu()
    time.sleep(3)
    used = cpu() - before
    equal((world.drift()["repaired"], world.drift()["last"]), (0, ""), "drift")
    check(used < 0.3 * SLOW, f"{used:.2f} s of CPU in 3 s")
    print(f"# {used / 3:.1%} of a CPU, a round in {world.drift()['round_s']:.2f} s")


@test
def a_policy_that_is_another_ports(world):
    """An ENI that is given another one's rules: what they admitted is denied again, always."""
    client, server = world.number("eni-client"), world.number("eni-server")

    def tamper(ports):
        other = ports.lookup(struct.pack("=I", client))
        value = bytearray(ports.lookup(struct.pack("=I", server)))
        for slot in (0, 1):
            at = SLOTS + slot * SLOT + SG_IN
            value[at:at + 4] = other[at:at + 4]
            epoch = struct.unpack_from("=I", value, SLOTS + slot * SLOT + EPOCH)[0]
            struct.pack_into("=I", value, SLOTS + slot * SLOT + EPOCH, epoch + 7)
        ports.update(struct.pack("=I", server), bytes(value))
    took = world.repaired("ports", tamper)
    print(f"# repaired in {took:.2f} s")
    world.denied(7000)
    world.admitted()


@test
def rules_of_a_group(world):
    """The lines of a policy object, by bpftool map update or anybody: written anew from the state."""
    with maps.pinned(world.agent.pin_dir, "ports") as ports:
        line, = struct.unpack_from("=I", ports.lookup(struct.pack("=I", world.number("eni-server"))), SLOTS + SG_IN)

    def tamper(policy):
        for number in range(line + 1, line + 3):
            value = bytearray(policy.lookup(struct.pack("=I", number)))
            for i in range(0, len(value), 4):
                value[i] ^= 0x55
            policy.update(struct.pack("=I", number), bytes(value))
    world.repaired("policy", tamper)
    world.denied(7000)
    world.admitted()


@test
def routes(world):
    """A route that is gone, one that leads nowhere, and one too many."""
    def gone(routes4):
        for key in routes4.keys():
            routes4.delete(key)

    def black(routes4):
        key = routes4.keys()[0]
        value = bytearray(routes4.lookup(key))
        value[0] ^= 0x3f
        routes4.update(key, bytes(value))

    def surplus(routes4):
        key = routes4.keys()[0]
        table, = struct.unpack_from("=I", key, 4)
        routes4.update(struct.pack("=II4B", 64, table, 10, 0, 2, 10), bytes(16))
    for tamper in (gone, black, surplus):
        world.repaired("routes4", tamper)
        world.admitted()
        world.denied(7000, 2)


@test
def addresses(world):
    """Who owns an address: an owner less, and one more."""
    def gone(addresses):
        for key in set(addresses.keys()):  # a walk begins anew where the agent, which repairs meanwhile, took its place away
            with contextlib.suppress(FileNotFoundError):
                addresses.delete(key)

    def surplus(addresses):
        key = bytearray(addresses.keys()[0])
        key[-1] ^= 0x21
        addresses.update(bytes(key), struct.pack("=II", 1, 1))
    for tamper in (gone, surplus):
        world.repaired("addresses", tamper)
        world.admitted()


@test
def devices(world):
    """Which device carries which port: one that is nobody's, one that is another's, and a port without its device."""
    client, server = world.number("eni-client"), world.number("eni-server")
    carried = {struct.unpack("=I", value)[0]: key for key, value in world.elements("devices").items() if any(value)}
    equal(set(carried), {client, server}, "ports with a device")

    def surplus(devices):
        devices.update(struct.pack("=I", 5), struct.pack("=I", client))

    def swapped(devices):
        devices.update(carried[client], struct.pack("=I", server))

    def gone(devices):
        devices.update(carried[server], bytes(4))
    for tamper in (surplus, swapped, gone):
        world.repaired("devices", tamper)
        world.admitted()
        world.denied(7000, 2)


@test
def device_of_a_port(world):
    """What leaves by another device, or by none (`ifindex`, `deliver` of struct port)."""
    server = struct.pack("=I", world.number("eni-server"))

    def whole():
        with maps.pinned(world.agent.pin_dir, "ports") as ports:
            return ports.lookup(server)[:SLOTS]
    before, had = whole(), world.drift()["repaired"]
    with maps.pinned(world.agent.pin_dir, "ports") as ports:
        value = bytearray(ports.lookup(server))
        value[IFINDEX:IFINDEX + 4] = struct.pack("=I", 5)
        ports.update(server, bytes(value))
    check(whole() != before, "nothing was changed")
    wait_for(lambda: whole()[IFINDEX:IFINDEX + 4] == before[IFINDEX:IFINDEX + 4], WITHIN, "the port has its device again")
    wait_for(lambda: world.drift()["repaired"] > had, WITHIN, "the repair is counted")
    check("map ports, eni-server" in world.drift()["last"], world.drift())
    world.admitted()


@test
def frozen_maps(world):
    """What only the programs write, no system call can."""
    for name in ("drops", "port_drops", "fragments", "fragments_due"):
        with maps.pinned(world.agent.pin_dir, name) as frozen:
            try:
                frozen.update(bytes(frozen.key_size), bytes(frozen.value_size))
            except PermissionError:
                continue
            raise Failure(f"map {name} can be written to")
    world.denied(7000, 1)
    check(world.agent.drops().get("sg-ingress"), "drops are still counted")


@test
def a_restart_in_between(world):
    """Changed while no agent ran: the next one adopts what it finds, and puts it right as well."""
    def value(routes4, key):
        changed = bytearray(routes4.lookup(key))
        changed[0] ^= 0x3f
        routes4.update(key, bytes(changed))

    def surplus(routes4, key):
        table, = struct.unpack_from("=I", key, 4)
        routes4.update(struct.pack("=II4B", 64, table, 10, 0, 2, 10), bytes(16))
    for tamper in (value, surplus, lambda routes4, key: (surplus(routes4, key), routes4.delete(key))):
        before = world.elements("routes4")
        world.agent.stop()
        with maps.pinned(world.agent.pin_dir, "routes4") as routes4:
            tamper(routes4, routes4.keys()[0])
        world.agent.start()
        wait_for(lambda: set(world.elements("routes4").values()) == set(before.values()) and
                 len(world.elements("routes4")) == len(before), 2 * WITHIN, "put right after the restart")
    world.admitted()


if __name__ == "__main__":
    run()
