# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""TCP through two ports, bulk and connections, over the kernel's plain forwarding, in turns."""
import contextlib
import json
import shutil
import socket
import statistics
import sys
import threading
import time

from worlds import ADDRESSES, World

BULK, CONNECT = 5201, 7000


def serve(listener):
    """Take what comes, answer a byte, until the listener closes."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1)
                connection.send(b"x")


def connections(world, seconds):
    """Connections a second: open, a byte there, a byte back, close."""
    guest, done, until = world.fabric.guest("eni-1"), 0, time.monotonic() + seconds
    with guest.entered():
        while time.monotonic() < until:
            with socket.create_connection((ADDRESSES[1], CONNECT), 5) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset: no TIME_WAIT
                connection.send(b"x")
                connection.recv(1)
            done += 1
    return done / seconds


def bulk(world, seconds):
    """Gb/s of one stream, as iperf3 tells."""
    done = world.fabric.guest("eni-1").run("iperf3", "-c", ADDRESSES[1], "-p", str(BULK), "-t", str(seconds), "-J", timeout=60)
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9


def measure(table, rounds):
    sys.setswitchinterval(1e-5)  # server and client are threads of one interpreter
    with contextlib.ExitStack() as stack:
        worlds = {how: stack.enter_context(contextlib.closing(World(how, 10, protocols=("udp", "tcp")))) for how in ("enid", "forward")}
        found = {how: ([], []) for how in worlds}
        for world in worlds.values():
            target = world.fabric.guest("eni-2")
            listener = target.socket()
            listener.bind((ADDRESSES[1], CONNECT))
            listener.listen(512)
            stack.callback(listener.close)
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
            if shutil.which("iperf3"):
                server = target.popen("iperf3", "-s", "-p", str(BULK), stdout=-3)
                stack.callback(server.wait)
                stack.callback(server.kill)
        time.sleep(0.5)
        for _ in range(rounds):
            for how, world in worlds.items():
                found[how][1].append(connections(world, 0.5))
                if shutil.which("iperf3"):
                    found[how][0].append(bulk(world, 1))
    for index, name, unit in ((0, "tcp-bulk/forwarding", "Gb/s"), (1, "tcp-connections/forwarding", "per s")):
        if found["enid"][index]:
            table.add(name, statistics.median(found["enid"][index]), statistics.median(found["forward"][index]), unit, 0.9, (1.0, 1.1)[index], above=True)
